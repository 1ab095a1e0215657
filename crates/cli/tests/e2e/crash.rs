//! I1, I2, I3: kill -9 at random moments under concurrent writers, again and again on one folder.
//!
//! `INDELIBLE_KILLS` says how often (15), `INDELIBLE_SEED` with which seed.

use crate::http::Client;
use crate::ledger::{Ledger, Seen};
use crate::random::Random;
use crate::server::Home;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

const SETTINGS: &[(&str, &str)] = &[("FLUSH_SECONDS", "0"), ("CHECKPOINT_MS", "100"), ("COMPACTION_SHARE", "1.0")];
/// Where a record is, as its receipt said.
type Receipts = HashMap<String, (u64, String)>;

/// What one tenant's writer knows.
#[derive(Default)]
struct Known {
    receipts: Receipts,
    /// Batches sent without an answer coming back.
    open: Vec<Vec<Value>>,
    seen: Vec<Seen>,
    sent: usize,
}

fn batch(tenant: &str, from: usize, count: usize) -> Vec<Value> {
    (from..from + count)
        .map(|i| json!({ "id": format!("{tenant}-{i:06}"), "log": "event", "time": "2026-11-01T00:00:00Z", "action": "login",
            "email": format!("u{}@example.org", i % 50), "target": { "id": format!("t-{i}") }, "attributes": { "text": "x".repeat(i % 700) } }))
        .collect()
}

/// Sends a batch; false where the connection broke.
fn send(client: &Client, tenant: &str, known: &mut Known, records: Vec<Value>, seed: u64) -> bool {
    let body: Vec<String> = records.iter().map(Value::to_string).collect();
    let path = format!("/v1/t/{tenant}/records?receipts=full");
    let Ok(reply) = client.send(ureq::http::Method::POST, &path, &[], body.join("\n").as_bytes()) else {
        known.open.push(records);
        return false;
    };
    if reply.status == 503 {
        known.open.push(records);
        return true;
    }
    let answer = reply.ok();
    assert_eq!(answer["rejected"], 0, "seed {seed}: {answer}");
    for result in answer["results"].as_array().unwrap() {
        let id = result["id"].as_str().unwrap().to_owned();
        let place = (result["index"].as_u64().unwrap(), result["leaf_hash"].as_str().unwrap().to_owned());
        if let Some(first) = known.receipts.insert(id, place.clone()) {
            assert_eq!(first, place, "a repetition gets the first receipt; seed {seed}");
        }
    }
    true
}

/// Writes until the connection breaks or enough was written, looking at the checkpoint now and then.
fn write(client: &Client, tenant: &str, known: &mut Known, mut random: Random, seed: u64) {
    let mut open = std::mem::take(&mut known.open).into_iter();
    while let Some(records) = open.next() {
        if !send(client, tenant, known, records, seed) {
            known.open.extend(open);
            return;
        }
    }
    for n in 0..60 {
        let count = 1 + random.below(40);
        let records = batch(tenant, known.sent, count);
        known.sent += count;
        if !send(client, tenant, known, records, seed) {
            return;
        }
        let path = format!("/t/{tenant}/log/checkpoint");
        if n % 5 == 0 {
            let (Ok(note), Ok(vkey)) = (get(client, &path), get(client, &format!("/t/{tenant}/log/vkey"))) else {
                return;
            };
            known.seen.push(Seen::open(note, &merkle::note::VerifyingKey::parse(vkey.trim()).unwrap()));
        }
    }
}

fn get(client: &Client, path: &str) -> Result<String, ureq::Error> {
    client.anonymous().send(ureq::http::Method::GET, path, &[], b"").map(|r| r.text())
}

/// Every answered record is at its index with its leaf, no id is there twice, no checkpoint is contradicted.
fn check(client: &Client, tenant: &str, known: &mut Known, seed: u64) {
    let size = client.get(&format!("/v1/t/{tenant}")).ok()["records"].as_u64().unwrap();
    let ledger = Ledger::new(client, tenant);
    let now = ledger.checkpoint_of(size);
    for old in &known.seen {
        ledger.consistency(old, &now);
    }
    known.seen = vec![now.clone()];
    let leaves = ledger.leaves(&now);
    let mut ids: Vec<Option<(String, String)>> = vec![None; leaves.len()];
    let mut cursor = String::new();
    loop {
        let page = client.page(tenant, "records", &[("limit", "1000"), ("cursor", &cursor)]);
        for item in page["items"].as_array().unwrap() {
            let place = &mut ids[usize::try_from(item["index"].as_u64().unwrap()).unwrap()];
            assert!(place.is_none(), "an index twice; seed {seed}");
            let text = |name: &str| item[name].as_str().unwrap().to_owned();
            *place = Some((text("id"), text("recorded_at")));
        }
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    let ids: Vec<(String, String)> = ids.into_iter().map(|i| i.expect("I2: indexes are contiguous from 0")).collect();
    assert!(ids.windows(2).all(|w| w[0].1 <= w[1].1), "I2: recorded_at never goes back; seed {seed}");
    assert_eq!(ids.iter().map(|i| &i.0).collect::<HashSet<_>>().len(), ids.len(), "no id twice; seed {seed}");
    for (id, (index, leaf)) in &known.receipts {
        let at = usize::try_from(*index).unwrap();
        assert_eq!(ids.get(at).map(|i| &i.0), Some(id), "I1: {id} was answered at {index}; seed {seed}");
        let hex: String = leaves[at].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, *leaf, "I1: {id} has another leaf; seed {seed}");
    }
}

#[test]
fn i1_i2_i3_after_kill_9_at_any_moment_every_answered_record_is_there_once() {
    let kills: usize = std::env::var("INDELIBLE_KILLS").ok().and_then(|k| k.parse().ok()).unwrap_or(15);
    let seed = Random::seed(7440);
    let mut random = Random::new(seed);
    let tenants = ["acme", "beta"];
    let known: Vec<Mutex<Known>> = tenants.iter().map(|_| Mutex::default()).collect();
    let mut home = Home::new(SETTINGS);
    let mut slowest = Duration::ZERO;
    for round in 0..kills {
        let server = home.start();
        slowest = slowest.max(server.took);
        assert!(server.took < Duration::from_secs(5), "round {round}: a start took {:?}; seed {seed}", server.took);
        if round % 3 == 2 {
            for (tenant, known) in tenants.iter().zip(&known) {
                check(&server.admin, tenant, &mut known.lock().unwrap(), seed);
            }
        }
        let patience = Duration::from_micros(20_000 + random.next() % 500_000);
        let client = server.admin.clone();
        home = std::thread::scope(|scope| {
            for (tenant, known) in tenants.iter().zip(&known) {
                let (client, random) = (&client, Random::new(random.next()));
                scope.spawn(move || write(client, tenant, &mut known.lock().unwrap(), random, seed));
            }
            std::thread::sleep(patience);
            server.kill()
        });
    }
    // Each batch whose answer was lost is sent again: stored once, whichever way it was.
    let server = home.start();
    for (tenant, known) in tenants.iter().zip(&known) {
        let mut known = known.lock().unwrap();
        for records in std::mem::take(&mut known.open) {
            assert!(send(&server.admin, tenant, &mut known, records, seed));
        }
        assert!(known.open.is_empty());
        check(&server.admin, tenant, &mut known, seed);
        let size = server.admin.get(&format!("/v1/t/{tenant}")).ok()["records"].as_u64().unwrap();
        assert_eq!(usize::try_from(size).unwrap(), known.sent, "nothing twice, nothing lost; seed {seed}");
        assert!(known.sent > 20 * kills, "only {} records: the test proves little", known.sent);
    }
    let home = server.stop();
    home.verify().ok();
    println!("{kills} kills, slowest start {slowest:?}");
}

#[test]
fn i1_sigterm_under_load_exits_with_0_and_loses_nothing_answered() {
    let seed = Random::seed(15);
    let mut home = Home::new(SETTINGS);
    let known: Vec<Mutex<Known>> = (0..2).map(|_| Mutex::default()).collect();
    for round in 0..3 {
        let server = home.start();
        let client = server.admin.clone();
        home = std::thread::scope(|scope| {
            for (tenant, known) in ["acme", "beta"].into_iter().zip(&known) {
                let (client, random) = (&client, Random::new(seed + round));
                scope.spawn(move || write(client, tenant, &mut known.lock().unwrap(), random, seed));
            }
            std::thread::sleep(Duration::from_millis(150 + 100 * round));
            server.stop()
        });
        home.verify().ok();
    }
    let server = home.start();
    for (tenant, known) in ["acme", "beta"].iter().zip(&known) {
        let mut known = known.lock().unwrap();
        assert!(!known.receipts.is_empty());
        check(&server.admin, tenant, &mut known, seed);
    }
}
