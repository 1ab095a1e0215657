use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use event::commit::{EntryKind, Keys, SaltKey, commitment_with, entry};
use event::encode::{put, put_time};
use event::fields::Field;
use merkle::checkpoint::Checkpoint;
use merkle::note::SigningKey;
use merkle::tile::{self, Resource, Tile};
use merkle::tlog_proof::TlogProof;
use merkle::{Frontier, Hash, bundle, leaf_hash};
use serde_json::{Value, json};

use super::*;
use crate::client::testing::{Asked, Fake, connect};

const ORIGIN: &str = "audit.example/t/acme";

/// A small ledger with everything it publishes.
#[derive(Clone)]
struct Ledger {
    key: SigningKey,
    entries: Vec<[u8; 47]>,
    rows: Vec<Vec<u8>>,
    files: BTreeMap<String, Vec<u8>>,
}

/// The tenant's key.
struct OneKey(SaltKey);
impl Keys for OneKey {
    type Error = std::convert::Infallible;
    fn tenant(&mut self) -> &SaltKey {
        &self.0
    }
    fn person(&mut self, reference: &str) -> Result<SaltKey, Self::Error> {
        let mut key = [1; 32];
        key[..reference.len().min(32)].copy_from_slice(&reference.as_bytes()[..reference.len().min(32)]);
        Ok(SaltKey::new(&key))
    }
}

const START: i64 = 1_790_000_000_000_000;

fn row(n: u64) -> Vec<u8> {
    let mut row = Vec::new();
    put(&mut row, Field::Id, format!("id-{n}").as_bytes());
    put(&mut row, Field::Log, b"event");
    put_time(&mut row, Field::Time, START + n as i64);
    put(&mut row, Field::Action, b"login");
    put(&mut row, Field::ActorEmail, b"ann@example.org");
    put(&mut row, Field::Attributes, br#"{"n":1}"#);
    put(&mut row, Field::TargetId, b"t1");
    row
}

impl Ledger {
    fn new(size: u64) -> Ledger {
        Ledger::changed(size, |_, _| {})
    }

    /// A ledger whose entries were changed before they were sealed.
    fn changed(size: u64, change: impl Fn(u64, &mut [u8; 47])) -> Ledger {
        let rows: Vec<Vec<u8>> = (0..size).map(row).collect();
        let entries = rows.iter().zip(0..).map(|(row, n)| {
            let commitment = commitment_with(row, &mut OneKey(SaltKey::new(&[7; 32])), |_, _, _| {}).unwrap();
            let mut entry = entry(EntryKind::Record, START + n as i64 / 3, &commitment);
            change(n, &mut entry);
            entry
        });
        let entries = entries.collect();
        let key = SigningKey::new(ORIGIN, &[9; 32]).unwrap();
        let mut ledger = Ledger { key, entries, rows, files: BTreeMap::new() };
        ledger.publish();
        ledger
    }

    fn publish(&mut self) {
        let mut frontier = Frontier::new();
        let mut levels: Vec<Vec<Hash>> = vec![Vec::new(); 8];
        for entry in &self.entries {
            levels[0].push(leaf_hash(entry));
            frontier.push_with(leaf_hash(entry), |height, _, root| {
                if height % 8 == 0 {
                    levels[usize::from(height / 8)].push(root);
                }
            });
        }
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size: frontier.size(), root: frontier.root() };
        self.files.insert("checkpoint".into(), checkpoint.sign(&self.key).unwrap().into_bytes());
        self.files.insert("vkey".into(), (self.key.vkey() + "\n").into_bytes());
        for tile in tile::new_tiles(0, frontier.size()) {
            let from = tile.index as usize * 256;
            let range = from..from + usize::from(tile.width);
            self.files.insert(tile.path(), levels[usize::from(tile.level)][range.clone()].as_flattened().to_vec());
            if tile.level == 0 {
                self.files.insert(tile.entries_path(), bundle::encode(&self.entries[range]).unwrap());
            }
        }
    }

    fn check(&self, before: Option<&Checkpoint>) -> Result<log::Checked, Failure> {
        let checkpoint = log::open_checkpoint(&self.files["checkpoint"], self.key.verifying_key(), "acme")?;
        log::check(self, &checkpoint, before, &|_| {})
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint::parse_unverified(&self.files["checkpoint"]).unwrap()
    }

    /// The answer of `…/proof` for entry `index`.
    fn proof(&self, index: u64) -> Value {
        let row = &self.rows[index as usize];
        let entry = self.entries[index as usize];
        let mut opened = Vec::new();
        commitment_with(row, &mut OneKey(SaltKey::new(&[7; 32])), |part, salt, _| {
            let name = format!("{:?}", part.part).to_lowercase();
            opened.push(json!({"name": name, "salt": STANDARD.encode(salt), "bytes": STANDARD.encode(part.bytes)}));
        })
        .unwrap();
        let mut read = |tile: Tile| self.files.get(&tile.path()).cloned().ok_or(());
        let hashes = tile::inclusion_proof(&mut read, index, self.entries.len() as u64).unwrap();
        let checkpoint = String::from_utf8(self.files["checkpoint"].clone()).unwrap();
        let proof = TlogProof { extra: None, index, hashes, checkpoint };
        json!({
            "record": {
                "id": format!("id-{index}"), "log": "event", "time": event::time::format(START + index as i64), "action": "login",
                "actor": {"email": "ann@example.org"}, "attributes": {"n": 1}, "target": {"id": "t1"}, "tenant": "acme",
                "index": index, "recorded_at": event::time::format(START + index as i64 / 3), "leaf_hash": crate::client::hex(&leaf_hash(&entry)),
            },
            "entry": STANDARD.encode(entry), "index": index, "tlog_proof": proof.to_text(), "vkey": self.key.vkey(), "parts": opened,
        })
    }
}

impl Source for Ledger {
    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.files.get(path).cloned())
    }
}

fn is_integrity<T: std::fmt::Debug>(result: Result<T, Failure>, what: &str) -> String {
    let failure = result.expect_err(what);
    assert_eq!(failure.exit, Exit::Integrity, "{what}: {failure}");
    failure.message
}

#[test]
fn good_ledgers_of_every_shape_pass() {
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 700] {
        let ledger = Ledger::new(size);
        let checked = ledger.check(None).unwrap();
        assert_eq!((checked.size, checked.earlier), (size, None));
        for old in [0, 1, size / 2, size] {
            let before = Ledger::new(old.min(size)).checkpoint();
            let checked = ledger.check(Some(&before)).unwrap();
            assert_eq!(checked.earlier, Some(old.min(size)));
        }
    }
    let sentence = Ledger::new(300).check(None).unwrap().sentence("acme");
    assert!(
        sentence.contains("300 entries of acme sealed from 2026-") && sentence.contains("first checkpoint"),
        "{sentence}"
    );
}

#[test]
fn every_tile_path_is_compared() {
    let ledger = Ledger::new(70_000);
    let checked = ledger.check(None).unwrap();
    assert_eq!(checked.tiles, 274 + 2 + 1);
    for path in ["tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1", "tile/0/273.p/112", "tile/entries/273.p/112"] {
        let mut changed = ledger.clone();
        changed.files.get_mut(path).unwrap()[20] ^= 1;
        assert!(is_integrity(changed.check(None), path).contains(path));
        let mut gone = ledger.clone();
        gone.files.remove(path);
        assert!(is_integrity(gone.check(None), path).contains("not there"));
    }
}

#[test]
fn a_flipped_byte_anywhere_in_what_is_published_is_found() {
    let ledger = Ledger::new(260);
    for (path, bytes) in ledger.files.iter().filter(|(path, _)| *path != "vkey") {
        // Every byte of the small files, every seventh of the large.
        for at in (0..bytes.len()).step_by(if bytes.len() > 2000 { 7 } else { 1 }) {
            let mut changed = ledger.clone();
            changed.files.get_mut(path).unwrap()[at] ^= 0x04;
            is_integrity(changed.check(None), &format!("{path} at {at}"));
        }
        for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            let mut changed = ledger.clone();
            changed.files.get_mut(path).unwrap().truncate(cut);
            is_integrity(changed.check(None), &format!("{path} cut at {cut}"));
        }
        let mut longer = ledger.clone();
        longer.files.get_mut(path).unwrap().push(b'\n');
        is_integrity(longer.check(None), path);
    }
}

#[test]
fn a_ledger_rewritten_in_full_has_another_root_than_was_signed() {
    for size in [1, 300] {
        let good = Ledger::new(size);
        let mut forged = Ledger::changed(size, |n, entry| {
            if n == size - 1 {
                entry[20] ^= 1
            }
        });
        forged.files.insert("checkpoint".into(), good.files["checkpoint"].clone());
        assert!(is_integrity(forged.check(None), "forged").contains("the signed checkpoint says"));
    }
}

#[test]
fn the_layout_of_entries_is_checked_even_if_they_are_sealed_so() {
    type Change = fn(&mut [u8; 47]);
    let cases: [(Change, &str); 6] = [
        (|e| e[0] = 2, "version 2"),
        (|e| e[1] = 9, "unknown kind 9"),
        (|e| e[45] = 11, "one at 10"),
        (|e| e[46] = 2, "2 digests"),
        (|e| e[2] = 0x80, "year 9999"),
        (|e| e[9] = e[9].wrapping_sub(2), "before the entry ahead"),
    ];
    for (change, want) in cases {
        let ledger = Ledger::changed(20, |n, entry| {
            if n == 12 {
                change(entry)
            }
        });
        let message = is_integrity(ledger.check(None), want);
        assert!(message.contains(want) && message.contains("entry 12"), "{message}");
    }
}

#[test]
fn what_was_seen_before_must_still_be_there() {
    let ledger = Ledger::new(300);
    let before = ledger.checkpoint();
    assert!(is_integrity(Ledger::new(299).check(Some(&before)), "shorter").contains("taken away"));
    let rewritten = |size| {
        Ledger::changed(size, |n, entry| {
            if n == 7 {
                entry[20] ^= 1
            }
        })
    };
    assert!(is_integrity(rewritten(300).check(Some(&before)), "same size").contains("were changed"));
    assert!(is_integrity(rewritten(400).check(Some(&before)), "grown").contains("were changed"));
    assert!(Ledger::new(400).check(Some(&before)).is_ok());
    let elsewhere = Checkpoint { origin: "b/t/acme".into(), ..before };
    assert!(is_integrity(ledger.check(Some(&elsewhere)), "origin").contains("calls itself"));
}

#[test]
fn the_checkpoint_is_of_the_tenant_and_the_key() {
    let ledger = Ledger::new(3);
    let signed = &ledger.files["checkpoint"];
    let key = ledger.key.verifying_key();
    for tenant in ["acm", "cme", "acme2", "", "t/acme"] {
        is_integrity(log::open_checkpoint(signed, key, tenant), tenant);
    }
    let other = SigningKey::new(ORIGIN, &[8; 32]).unwrap();
    is_integrity(log::open_checkpoint(signed, other.verifying_key(), "acme"), "key");
}

#[test]
fn a_full_tile_stands_in_for_the_partial_one_it_grew_from() {
    let small = Ledger::new(200);
    let mut grown = Ledger::new(256);
    grown.files.insert("checkpoint".into(), small.files["checkpoint"].clone());
    assert_eq!(grown.check(None).unwrap().size, 200);
}

#[test]
fn a_saved_proof_passes() {
    for (index, size) in [(0, 1), (5, 9), (299, 300), (3, 300)] {
        let ledger = Ledger::new(size);
        let text = ledger.proof(index).to_string();
        let checked = file::check(&text, None).unwrap();
        assert_eq!((checked.index, checked.size, checked.fields), (index, size, 7));
        assert_eq!(file::check(&text, Some(ledger.key.verifying_key())), Ok(checked));
        let other = SigningKey::new(ORIGIN, &[8; 32]).unwrap();
        is_integrity(file::check(&text, Some(other.verifying_key())), "another key");
    }
}

#[test]
fn a_flipped_byte_anywhere_in_a_proof_is_found() {
    let ledger = Ledger::new(11);
    let good = ledger.proof(6);
    let flip_base64 = |value: &mut Value, at: usize| {
        let mut bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
        let within = at < bytes.len();
        if within {
            bytes[at] ^= 1;
            *value = STANDARD.encode(bytes).into();
        }
        within
    };
    let mut flips = 0;
    let parts = good["parts"].as_array().unwrap().len();
    let mut places: Vec<Vec<String>> = vec![vec!["entry".into()]];
    for n in 0..parts {
        places.push(vec!["parts".into(), n.to_string(), "salt".into()]);
        places.push(vec!["parts".into(), n.to_string(), "bytes".into()]);
    }
    for place in places {
        let pointer = format!("/{}", place.join("/"));
        for at in 0.. {
            let mut changed = good.clone();
            if !flip_base64(changed.pointer_mut(&pointer).unwrap(), at) {
                break;
            }
            flips += 1;
            is_integrity(file::check(&changed.to_string(), None), &format!("{pointer} at {at}"));
        }
    }
    // The proof's text, checkpoint and signature included.
    let proof = good["tlog_proof"].as_str().unwrap();
    for at in (0..proof.len()).filter(|at| proof.is_char_boundary(*at) && proof.as_bytes()[*at].is_ascii()) {
        let mut bytes = proof.as_bytes().to_vec();
        bytes[at] ^= 1;
        let mut changed = good.clone();
        changed["tlog_proof"] = String::from_utf8(bytes).unwrap().into();
        flips += 1;
        is_integrity(file::check(&changed.to_string(), None), &format!("proof at {at}"));
    }
    assert!(flips > 500, "{flips}");
}

#[test]
fn every_member_of_the_record_and_every_part_counts() {
    let ledger = Ledger::new(11);
    let good = ledger.proof(6);
    let changes: [(&str, Value); 13] = [
        ("/record/id", json!("id-7")),
        ("/record/action", json!("logout")),
        ("/record/time", json!("2026-09-21T00:00:00Z")),
        ("/record/actor/email", json!("bob@example.org")),
        ("/record/attributes", json!({"n": 2})),
        ("/record/target/id", json!(null)),
        ("/record/recorded_at", json!("2026-09-21T14:13:20.000003Z")),
        ("/record/recorded_at", json!(null)),
        ("/record/index", json!(7)),
        ("/record/leaf_hash", json!("00")),
        ("/record/tenant", json!("beta")),
        ("/index", json!(5)),
        ("/parts/0/salt", json!("AA==")),
    ];
    for (pointer, value) in changes {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        is_integrity(file::check(&changed.to_string(), None), pointer);
    }
    let mut fewer = good.clone();
    fewer["parts"].as_array_mut().unwrap().pop();
    is_integrity(file::check(&fewer.to_string(), None), "a part less");
    let mut swapped = good.clone();
    swapped["parts"].as_array_mut().unwrap().swap(0, 1);
    is_integrity(file::check(&swapped.to_string(), None), "parts swapped");
    let mut without = good.clone();
    without["record"].as_object_mut().unwrap().remove("recorded_at");
    is_integrity(file::check(&without.to_string(), None), "no recorded_at");
    let mut elsewhere = good.clone();
    elsewhere["record"].as_object_mut().unwrap().remove("index");
    elsewhere["index"] = json!(5);
    is_integrity(file::check(&elsewhere.to_string(), None), "another index");
    for bad in ["", "{}", "[]", "null", "{\"record\":1}"] {
        is_integrity(file::check(bad, None), bad);
    }
}

#[test]
fn an_erased_part_is_proved_by_its_digest() {
    let ledger = Ledger::new(11);
    let mut proof = ledger.proof(6);
    let part = &proof["parts"][1];
    let (salt, bytes) = (
        STANDARD.decode(part["salt"].as_str().unwrap()).unwrap(),
        STANDARD.decode(part["bytes"].as_str().unwrap()).unwrap(),
    );
    let digest = event::commit::part_digest(&salt.try_into().unwrap(), &bytes);
    proof["parts"][1] = json!({"name": "actor", "digest": STANDARD.encode(digest)});
    is_integrity(file::check(&proof.to_string(), None), "the erased part is still shown");
    let record = proof["record"].as_object_mut().unwrap();
    record.remove("actor");
    record.remove("attributes");
    let checked = file::check(&proof.to_string(), None).unwrap();
    assert_eq!((checked.fields, checked.closed), (5, 1));
}

/// A server that publishes a ledger that can be exchanged.
fn serving(ledger: Ledger) -> (Fake, Arc<Mutex<Ledger>>) {
    let current = Arc::new(Mutex::new(ledger));
    let served = Arc::clone(&current);
    let fake = Fake::new(move |asked: &Asked| {
        let path = asked.path.strip_prefix("/t/acme/log/").unwrap_or("none");
        match served.lock().unwrap().files.get(path) {
            Some(bytes) => (200, bytes.clone()),
            None => (404, Vec::new()),
        }
    });
    (fake, current)
}

#[test]
fn a_server_is_checked_and_remembered() {
    let (fake, current) = serving(Ledger::new(600));
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("seen/acme.json");
    let args = VerifyArgs {
        file: None,
        tenant: Some("acme".into()),
        vkey: None,
        state: Some(state.clone()),
        json: false,
        connect: connect(&fake.url),
    };
    let check = || server(&args, "acme", None);
    let first = check().unwrap();
    assert!(first.contains("first checkpoint") && first.contains("pin it"), "{first}");
    assert!(check().unwrap().contains("nothing has been added"));
    *current.lock().unwrap() = Ledger::new(900);
    assert!(check().unwrap().contains("the 600 entries of the last check are unchanged"));

    // A rollback is found, nothing is forgotten, and the evidence is kept.
    *current.lock().unwrap() = Ledger::new(600);
    assert!(is_integrity(check(), "rollback").contains("taken away"));
    assert!(folder.path().join("seen/acme.json.contradiction").try_exists().unwrap());
    is_integrity(check(), "rollback, again");
    *current.lock().unwrap() = Ledger::changed(950, |n, entry| {
        if n == 3 {
            entry[30] ^= 1
        }
    });
    is_integrity(check(), "rewritten");
    *current.lock().unwrap() = Ledger::new(950);
    assert!(check().is_ok());

    // Another key is not taken, unless it is given.
    let mut other = Ledger::new(950);
    other.key = SigningKey::new(ORIGIN, &[8; 32]).unwrap();
    other.publish();
    let new_key = other.key.verifying_key().clone();
    *current.lock().unwrap() = other;
    assert!(is_integrity(check(), "key").contains("now shows the key"));
    assert!(server(&args, "acme", Some(&new_key)).is_ok());

    // Gone is worse than never there.
    current.lock().unwrap().files.clear();
    is_integrity(check(), "gone");
    std::fs::remove_file(&state).unwrap();
    assert_eq!(check().unwrap_err().exit, Exit::NotFound);
    std::fs::write(&state, "{}").unwrap();
    assert_eq!(check().unwrap_err().exit, Exit::Failure, "our own file is damaged: nothing is said about the server");
}

#[test]
fn a_server_that_refuses_is_not_called_a_liar() {
    let fake = Fake::new(|_: &Asked| (401, String::new()));
    let folder = tempfile::tempdir().unwrap();
    let args = VerifyArgs {
        file: None,
        tenant: Some("acme".into()),
        vkey: None,
        state: Some(folder.path().join("s")),
        json: false,
        connect: connect(&fake.url),
    };
    assert_eq!(server(&args, "acme", None).unwrap_err().exit, Exit::Denied);
}

#[test]
fn paths_are_those_of_the_specification() {
    assert_eq!(tile::parse_path("tile/entries/273.p/112"), Ok(Resource::Entries(Tile::new(0, 273, 112).unwrap())));
}

#[test]
fn keys_are_read_from_text_and_files() {
    let vkey = Ledger::new(1).key.vkey();
    assert_eq!(read_vkey(&vkey).unwrap().vkey(), vkey);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vkey");
    std::fs::write(&path, format!("{vkey}\n")).unwrap();
    assert_eq!(read_vkey(path.to_str().unwrap()).unwrap().vkey(), vkey);
    assert_eq!(read_vkey("nothing").unwrap_err().exit, Exit::Usage);
}
