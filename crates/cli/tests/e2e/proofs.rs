//! Checkpoints, tiles and proofs, judged by others: Go's `sumdb/note` and `sumdb/tlog`, OpenSSL, and `verify`.

use crate::ledger::{Ledger, go, save, tool};
use crate::server::{Done, Server, at};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use merkle::note::Note;
use merkle::proof;
use serde_json::{Value, json};
use std::path::Path;

fn events(from: usize, to: usize) -> Vec<Value> {
    (from..to)
        .map(|i| json!({ "id": format!("p-{i}"), "log": "event", "time": at(-30), "action": "login", "email": format!("u{i}@example.org"),
            "target": { "id": format!("t{i}"), "name": "n" }, "attributes": { "i": i } }))
        .collect()
}

/// 700 records, the first of them in segments, and the checkpoint seen in between.
fn filled() -> (Server, crate::ledger::Seen) {
    let server = Server::start(&[("FLUSH_SECONDS", "1"), ("CHECKPOINT_MS", "100"), ("HOST", "audit.example")]);
    server.admin.write("acme", &events(0, 300));
    server.flushed();
    let old = Ledger::new(&server.admin, "acme").checkpoint_of(300);
    server.admin.write("acme", &events(300, 700));
    (server, old)
}

#[test]
fn go_accepts_checkpoint_tiles_proofs_and_consistency_of_a_running_server() {
    let (server, old) = filled();
    let ledger = Ledger::new(&server.admin, "acme");
    let new = ledger.checkpoint_of(700);
    assert!(new.note.starts_with("audit.example/t/acme\n700\n"), "origin and size: {}", new.note);
    let dir = server.home.path().join("go");
    let vkey = save(&dir, "vkey", ledger.vkey().vkey());
    let (old_file, new_file) = (save(&dir, "old", &old.note), save(&dir, "new", &new.note));
    assert!(go(&["-vkey", &vkey, "-checkpoint", &new_file]).ok().contains("checkpoint ok: size 700"));

    ledger.save_tiles(&new, &dir);
    let tiles = dir.to_str().unwrap();
    assert!(go(&["-vkey", &vkey, "-checkpoint", &new_file, "-tiles", tiles]).ok().contains("tiles ok: 700 leaves"));
    let prefix = format!("{}/t/acme/log", server.url());
    assert!(go(&["-vkey", &vkey, "-checkpoint", &new_file, "-prefix", &prefix]).ok().contains("tiles ok: 700 leaves"));

    let hashes = ledger.consistency(&old, &new);
    let consistency = save(&dir, "consistency", proof::to_lines(&hashes));
    let said = go(&["-vkey", &vkey, "-old", &old_file, "-new", &new_file, "-consistency", &consistency]).ok();
    assert!(said.contains(&format!("consistency ok: {} to 700", old.size)), "{said}");

    for index in [0, 1, 255, 256, 299, 300, 511, 512, 699] {
        let answer = server.admin.get(&format!("/v1/t/acme/records/p-{index}/proof")).ok();
        assert_eq!(answer["index"], index);
        let proof = save(&dir, "proof", answer["tlog_proof"].as_str().unwrap());
        let entry = STANDARD.decode(answer["entry"].as_str().unwrap()).unwrap();
        assert_eq!(entry.len(), 47, "the entry has 47 bytes");
        let other = save(&dir, "other", [&entry[..46], &[entry[46] ^ 1]].concat());
        let entry = save(&dir, "entry", entry);
        assert!(
            go(&["-vkey", &vkey, "-proof", &proof, "-entry", &entry])
                .ok()
                .contains(&format!("proof ok: index {index} of 700"))
        );
        go(&["-vkey", &vkey, "-proof", &proof, "-entry", &other]).failed(1);
    }
    // The checker can say no.
    let forged = save(&dir, "forged", new.note.replacen("700", "701", 1));
    go(&["-vkey", &vkey, "-checkpoint", &forged]).failed(1);
}

#[test]
fn openssl_accepts_the_signature_of_a_checkpoint() {
    let server = Server::start(&[("CHECKPOINT_MS", "100")]);
    server.admin.write("acme", &events(0, 3));
    let ledger = Ledger::new(&server.admin, "acme");
    let seen = ledger.checkpoint_of(3);
    let note = Note::parse(seen.note.as_bytes()).unwrap();
    let dir = server.home.path().join("openssl");
    // SubjectPublicKeyInfo of RFC 8410.
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let der = STANDARD.encode([prefix.as_slice(), ledger.vkey().public_key()].concat());
    let public = save(&dir, "public.pem", format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n"));
    let signature = save(&dir, "signature", note.signatures()[0].signature());
    let verify = |text: &str| {
        let message = save(&dir, "message", text);
        let args =
            ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", &public, "-in", &message, "-sigfile", &signature];
        Done::of(tool("openssl").args(args).output().unwrap())
    };
    verify(note.text()).ok();
    verify(&note.text().replacen('3', "4", 1)).failed(1);
}

#[test]
fn tiles_beyond_the_published_tree_are_not_there() {
    let (server, _) = filled();
    Ledger::new(&server.admin, "acme").checkpoint_of(700);
    let get = |path: &str| server.admin.anonymous().get(&format!("/t/acme/log/{path}"));
    for path in
        ["tile/0/000", "tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2", "tile/entries/000", "tile/entries/002.p/188"]
    {
        let reply = get(path);
        assert_eq!(reply.status, 200, "{path}: {reply}");
        assert!(reply.header("cache-control").contains("immutable"), "{path}");
    }
    for path in [
        "tile/0/002",
        "tile/0/002.p/189",
        "tile/0/003.p/1",
        "tile/1/000",
        "tile/1/000.p/3",
        "tile/2/000.p/1",
        "tile/entries/002",
        "tile/0/x001/000",
    ] {
        get(path).problem(404, "not_found");
    }
    for path in ["tile/0/0", "tile/0/000.p/0", "tile/0/000.p/256", "tile/64/000", "tile/a/000", "tile/0/x000/001"] {
        let reply = get(path);
        assert!(matches!(reply.status, 400 | 404), "{path}: {reply}");
    }
    assert_eq!(server.admin.anonymous().get("/t/nobody/log/checkpoint").status, 404);
}

#[test]
fn verify_url_checks_a_running_server_as_an_outsider_and_remembers() {
    let (server, _) = filled();
    Ledger::new(&server.admin, "acme").checkpoint_of(700);
    let verify = |more: &[&str]| {
        let args = [&["verify", "--url", server.url(), "--tenant", "acme"], more].concat();
        server.home.run(&args)
    };
    let said = verify(&[]).ok();
    assert!(said.starts_with("ok: the 700 entries of acme"), "{said}");
    assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    server.admin.write("acme", &events(700, 900));
    let new = Ledger::new(&server.admin, "acme").checkpoint_of(900);
    let said = verify(&["--vkey", &Ledger::new(&server.admin, "acme").vkey().vkey()]).ok();
    assert!(said.contains("the 700 entries of the last check are unchanged"), "{said}");
    // Another key.
    let other = merkle::note::SigningKey::new("audit.example/t/acme", &[7; 32]).unwrap();
    let said = verify(&["--vkey", &other.vkey()]).failed(5);
    assert!(said.contains("WRONG"), "{said}");
    // A checkpoint remembered that this ledger contradicts, signed by its own key: a fork.
    let home = server.stop();
    let seed = std::fs::read_to_string(home.data().join("ledger.key")).unwrap();
    let hex = seed.split(' ').nth(1).unwrap();
    let seed: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
    let key = merkle::note::SigningKey::new("audit.example/t/acme", &seed.try_into().unwrap()).unwrap();
    let fork = merkle::checkpoint::Checkpoint { origin: "audit.example/t/acme".into(), size: new.size, root: [9; 32] };
    let server = home.start();
    let state = server.home.path().join("state");
    let args = ["verify", "--url", server.url(), "--tenant", "acme", "--state", state.to_str().unwrap()];
    server.home.run(&args).ok();
    let mut kept: Value = serde_json::from_str(&std::fs::read_to_string(&state).unwrap()).unwrap();
    kept["checkpoint"] = fork.sign(&key).unwrap().into();
    std::fs::write(&state, kept.to_string()).unwrap();
    let said = server.home.run(&args).failed(5);
    assert!(said.contains("WRONG") && said.contains("changed"), "{said}");
}

#[test]
fn prove_and_verify_a_record_offline_and_any_change_of_the_file_is_found() {
    let (server, _) = filled();
    let file = server.home.path().join("proof.json");
    let path = file.to_str().unwrap();
    for id in ["p-5", "p-650"] {
        server.cli(&["prove", "acme", id, "--out-file", path]).ok();
        let said = server.home.run(&["verify", path]).ok();
        assert!(said.contains(&format!("record {id} ")) && said.contains("audit.example/t/acme"), "{said}");
    }
    let key = Ledger::new(&server.admin, "acme").vkey().vkey();
    server.home.run(&["verify", path, "--vkey", &key]).ok();
    let good: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let tampered = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut bad = good.clone();
        change(&mut bad);
        assert_ne!(bad, good, "{name}");
        let path = Path::new(path).with_file_name("tampered.json");
        std::fs::write(&path, bad.to_string()).unwrap();
        let said = server.home.run(&["verify", path.to_str().unwrap()]).failed(5);
        assert!(said.contains("WRONG"), "{name}: {said}");
    };
    tampered("a value", &|p| p["record"]["email"] = "eve@example.org".into());
    tampered("the time", &|p| p["record"]["time"] = "2026-01-01T00:00:00Z".into());
    tampered("an attribute", &|p| p["record"]["attributes"]["i"] = 651.into());
    tampered("a member added", &|p| p["record"]["outcome"] = "success".into());
    tampered("a member removed", &|p| drop(p["record"].as_object_mut().unwrap().remove("target")));
    tampered("recorded_at", &|p| p["record"]["recorded_at"] = "2026-01-01T00:00:00Z".into());
    tampered("the index", &|p| p["index"] = 651.into());
    tampered("the tenant", &|p| p["record"]["tenant"] = "beta".into());
    tampered("a salt", &|p| p["parts"][0]["salt"] = STANDARD.encode([1; 16]).into());
    tampered("a part removed", &|p| drop(p["parts"].as_array_mut().unwrap().pop()));
    tampered("the entry", &|p| p["entry"] = STANDARD.encode([1; 47]).into());
    tampered("the proof", &|p| {
        p["tlog_proof"] = p["tlog_proof"].as_str().unwrap().replacen("index 650", "index 649", 1).into()
    });
    tampered("the checkpoint", &|p| {
        p["tlog_proof"] = p["tlog_proof"].as_str().unwrap().replacen("\n700\n", "\n701\n", 1).into()
    });
    std::fs::write(&file, "{}").unwrap();
    server.home.run(&["verify", path]).failed(5);
    server.cli(&["prove", "acme", "nobody"]).failed(3);
}
