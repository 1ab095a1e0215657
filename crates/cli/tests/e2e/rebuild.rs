//! `rebuild`: what is derived can be deleted or garbled and comes back to the same bytes and answers, also when
//! rebuilding is killed in the middle.

use crate::random::Random;
use crate::server::{Home, Server, at};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

/// Fixed times, so that answers are the same whenever they are asked for.
fn events(tenant: &str, from: usize, to: usize) -> Vec<Value> {
    (from..to)
        .map(|i| {
            json!({ "id": format!("{tenant}-{i}"), "log": "event", "action": if i % 3 == 0 { "logout" } else { "login" },
                "time": format!("2026-03-{:02}T10:{:02}:00Z", 1 + i % 28, i % 60), "email": format!("u{}@example.org", i % 90) })
        })
        .collect()
}

/// Two tenants, three segments, tiles of level 1, and records that are only in the journal.
fn folder() -> Home {
    let server = Server::start(&[("FLUSH_SECONDS", "1"), ("CHECKPOINT_MS", "100"), ("SCRUB_SHARE", "0")]);
    for (from, to) in [(0, 900), (900, 1500)] {
        server.admin.write("acme", &events("acme", from, to));
        server.flushed();
    }
    server.admin.write("beta", &events("beta", 0, 700));
    server.flushed();
    let server = server.stop().with("FLUSH_SECONDS", "3600").start();
    server.admin.write("acme", &events("acme", 1500, 1600));
    server.stop()
}

fn data(home: &Home) -> String {
    home.data().to_str().unwrap().to_owned()
}

fn rebuild(home: &Home) -> Value {
    serde_json::from_str(&home.run(&["rebuild", "--json", "--data", &data(home)]).ok()).unwrap()
}

fn idx_files(home: &Home) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = std::fs::read_dir(home.data().join("segments")).unwrap().map(|e| e.unwrap().path());
    files
        .filter(|p| p.extension().is_some_and(|e| e == "idx"))
        .map(|p| (p.clone(), std::fs::read(&p).unwrap()))
        .collect()
}

fn tiles(home: &Home) -> Vec<(u32, u8, i64, Vec<u8>, i64)> {
    let catalog = Connection::open(home.data().join("catalog.db")).unwrap();
    let mut query =
        catalog.prepare("SELECT tenant, level, number, hashes, sum FROM tile ORDER BY tenant, level, number").unwrap();
    let rows = query.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Pages, counts, look-ups, proofs, tiles and bundles, byte for byte.
fn answers(server: &Server) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    for tenant in ["acme", "beta"] {
        let mut keep = |path: String| {
            let reply = server.admin.get(&path);
            assert_eq!(reply.status, 200, "{path}: {reply}");
            out.insert(path, reply.body);
        };
        let t = format!("/v1/t/{tenant}");
        keep(format!("{t}/records?limit=200"));
        keep(format!("{t}/records?q=email:u7@example.org"));
        keep(format!("{t}/records?q=id:{tenant}-650"));
        keep(format!("{t}/records/{tenant}-13"));
        for i in [0, 255, 256, 699] {
            keep(format!("{t}/records/{tenant}-{i}/proof"));
        }
        for tile in ["0/000", "0/001", "1/000.p/2", "entries/000", "entries/001"] {
            keep(format!("/t/{tenant}/log/tile/{tile}"));
        }
        keep(format!("/t/{tenant}/log/checkpoint"));
        let query = json!({ "view": "records", "count_by": "action", "from": "2026-01-01", "interval": "1d" });
        let counts = server.admin.post(&format!("{t}/query"), query.to_string());
        assert_eq!(counts.status, 200, "{counts}");
        out.insert(format!("{t}/query"), counts.body);
    }
    out
}

#[test]
fn i10_everything_derived_is_deleted_or_garbled_and_made_anew_to_the_same_bytes_and_answers() {
    let server = folder().start();
    let before = answers(&server);
    let home = server.stop();
    let (files, kept) = (idx_files(&home), tiles(&home));
    assert!(files.len() == 3 && kept.iter().any(|t| t.1 == 1), "there is something derived");
    let sound = rebuild(&home);
    assert_eq!(sound["records"], 2200);
    assert_eq!((&sound["filters_changed"], &sound["tiles_changed"]), (&json!(0), &json!(0)), "{sound}");
    home.verify().ok();

    let catalog = || Connection::open(home.data().join("catalog.db")).unwrap();
    for garble in [false, true] {
        for (n, (path, good)) in files.iter().enumerate() {
            match garble {
                false => std::fs::remove_file(path).unwrap(),
                true => {
                    let mut bad = good.clone();
                    bad[good.len() / (n + 2)] ^= 0x20;
                    std::fs::write(path, bad).unwrap();
                }
            }
        }
        match garble {
            false => catalog().execute("DELETE FROM tile", []).unwrap(),
            true => catalog().execute("UPDATE tile SET hashes = zeroblob(length(hashes))", []).unwrap(),
        };
        home.verify().failed(5);
        let done = rebuild(&home);
        assert_eq!(done["filters_changed"], 3, "{done}");
        assert_eq!(done["tiles_changed"], kept.len(), "{done}");
        assert_eq!(idx_files(&home), files, "the same bytes");
        assert_eq!(tiles(&home), kept, "the same rows");
        home.verify().ok();
    }
    let server = home.start();
    let after = answers(&server);
    for (path, body) in &before {
        assert_eq!(String::from_utf8_lossy(&after[path]), String::from_utf8_lossy(body), "{path}");
    }
    assert_eq!(after, before);
}

#[test]
fn i10_a_rebuild_that_is_killed_leaves_a_folder_that_starts_and_that_the_next_one_completes() {
    let home = folder();
    let (files, kept) = (idx_files(&home), tiles(&home));
    let seed = Random::seed(10);
    let mut random = Random::new(seed);
    let started = std::time::Instant::now();
    rebuild(&home);
    let whole = started.elapsed();
    let mut home = home;
    for round in 0..12 {
        for path in files.keys() {
            std::fs::remove_file(path).unwrap();
        }
        let catalog = Connection::open(home.data().join("catalog.db")).unwrap();
        catalog.execute("UPDATE tile SET hashes = zeroblob(length(hashes)) WHERE number % 2 = 0", []).unwrap();
        drop(catalog);
        let mut child = home
            .command()
            .args(["rebuild", "--data", &data(&home)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(random.below(whole.as_micros() as usize) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        let done = rebuild(&home);
        assert_eq!(done["filters"], 3, "round {round}, seed {seed}: {done}");
        assert_eq!(idx_files(&home), files, "round {round}, seed {seed}");
        assert_eq!(tiles(&home), kept, "round {round}, seed {seed}");
        home.verify().ok();
        if round % 4 == 3 {
            // Killed once more, and started as it is left, but for the tiles: those are damage that a start refuses.
            for path in files.keys() {
                std::fs::remove_file(path).unwrap();
            }
            let mut child = home.command().args(["rebuild", "--data", &data(&home)]).spawn().unwrap();
            std::thread::sleep(Duration::from_micros(random.below(whole.as_micros() as usize) as u64));
            child.kill().unwrap();
            child.wait().unwrap();
            let server = home.start();
            assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], 1600, "round {round}, seed {seed}");
            home = server.stop();
            assert_eq!(idx_files(&home), files, "the start makes filters anew");
        }
    }
}

#[test]
fn nothing_is_built_on_damaged_records_and_nothing_is_changed() {
    let home = folder();
    let path = std::fs::read_dir(home.data().join("segments"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "parquet"))
        .unwrap();
    let idx = path.with_extension("idx");
    std::fs::remove_file(&idx).unwrap();
    let mut bad = std::fs::read(&path).unwrap();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&path, &bad).unwrap();
    let said = home.run(&["rebuild", "--data", &data(&home)]).failed(5);
    assert!(said.contains("nothing was made anew") && said.contains("repair"), "{said}");
    assert!(std::fs::metadata(&idx).is_err(), "nothing was changed");
    bad[middle] ^= 1;
    std::fs::write(&path, &bad).unwrap();
    rebuild(&home);
    home.verify().ok();
}

#[test]
fn a_running_server_holds_its_folder_and_a_folder_that_is_none_is_said_to_be_so() {
    let server = Server::start(&[]);
    let said = server.home.run(&["rebuild", "--data", &data(&server.home)]).failed(1);
    assert!(said.contains("in use"), "{said}");
    let said = server.home.run(&["rebuild", "--data", server.home.path().to_str().unwrap()]).failed(1);
    assert!(said.contains("not a data folder"), "{said}");
    server.admin.write("acme", &[json!({ "log": "event", "action": "x", "time": at(-1) })]);
}
