//! A store in a temporary folder, filled the way the server fills one.

#![allow(dead_code, reason = "each test file uses its own part")]

use catalog::Tenant;
use event::commit;
use event::parse::Parser;
use event::redact::Rules;
use ledger::{Batch, Pending};
use query::Engine;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use store::{Folder, Settings, Store};

/// 2026-11-20T12:00:00Z.
pub const NOW: i64 = 1_795_176_000_000_000;
pub const SECOND: i64 = 1_000_000;
pub const HOUR: i64 = 3_600 * SECOND;

/// An open store and the engine over it.
pub struct World {
    pub engine: Engine,
    pub clock: Arc<AtomicI64>,
    _folder: tempfile::TempDir,
}

impl World {
    /// An empty store whose clock stands at [`NOW`].
    pub fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(NOW));
        let store = open(&folder.path().join("data"), Arc::clone(&clock));
        World { engine: Engine::new(store), clock, _folder: folder }
    }

    pub fn store(&self) -> &Arc<Store> {
        self.engine.store()
    }

    pub fn tenant(&self, slug: &str) -> Arc<Tenant> {
        self.store().catalog().create_tenant(slug, "{}", NOW).unwrap().0
    }

    /// Seals these records together.
    pub fn put(&self, tenant: &Arc<Tenant>, records: &[String]) {
        let store = self.store();
        let rules = Rules::new(false, &[], &[]).unwrap();
        let parser = Parser { rules: &rules, tenant: &tenant.slug, now: store.now() };
        for records in records.chunks(1_000) {
            let mut keys = store.keys().intake(tenant);
            let mut batch = Batch { tenant: tenant.number, id_epoch: store.ledger().id_epoch(), ..Batch::default() };
            let mut rows = Vec::new();
            for text in records {
                let mut fresh = || panic!("every record of a test has its id");
                let event = parser.parse(text, &mut fresh, &mut rows).unwrap_or_else(|e| panic!("{e}: {text}"));
                let commitment = commit::commitment(&rows[event.row.clone()], &mut keys).unwrap();
                let id = Some(store.id_key(tenant.number, &rows[event.id.clone()]));
                let sum = ledger::sum_of(&rows[event.row.clone()]);
                batch.records.push(Pending { kind: 0, row: event.row, commitment, sum, id, known: None });
            }
            batch.keys = keys.finish();
            batch.rows = rows;
            let fresh = batch.keys.clone();
            let (send, receive) = std::sync::mpsc::channel();
            store.ledger().submit(batch, move |r| send.send(r).unwrap()).unwrap();
            receive.recv().unwrap().unwrap();
            store.keys().durable(tenant.number, &fresh);
        }
    }
}

fn open(dir: &Path, clock: Arc<AtomicI64>) -> Arc<Store> {
    let settings = Settings { flush_after: Duration::from_secs(3_600), compaction_share: 0.0, ..Settings::default() };
    let clock: ledger::Clock = Arc::new(move || clock.load(Ordering::Relaxed));
    Store::open(Folder::new(dir, None), settings, clock).unwrap().0
}

/// A repeatable sequence of numbers.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    pub fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }
}

/// Records of every log over the last hours: `n` of them, ids beginning with `prefix`.
pub fn records(prefix: &str, n: usize, seed: u64) -> Vec<String> {
    let mut r = Random(seed | 1);
    let mut out = Vec::with_capacity(n);
    for i in 0..n {
        let at = NOW - (r.below(100 * 3_600) as i64) * SECOND - r.below(1_000_000) as i64;
        let time = event::time::format(at);
        let user = r.below(40);
        let actor = format!(
            r#""actor":{{"id":"u{user}","type":"user","email":"User{user}@Example.com","name":"User {user}"}}"#
        );
        let outcome = r.of(&["success", "success", "failure", "deny"]);
        let head = format!(
            r#""id":"{prefix}-{i}","time":"{time}","source":"{}","outcome":"{outcome}""#,
            r.of(&["ory-network", "contember"])
        );
        let ip = format!("10.0.{}.{}", r.below(3), r.below(250));
        let record = match i % 6 {
            0 => format!(
                r#"{{{head},"log":"audit","action":"{}",{actor},"target":{{"id":"t{}","name":"Target {}"}},"ip":"{ip}","old":{{"a":{i}}},"new":{{"a":{}}},"comments":"it's number {i}"}}"#,
                r.of(&["iam.identity.patch", "iam.identity.delete", "update IdentityProvider"]),
                r.below(20),
                r.below(20),
                i + 1
            ),
            1 => format!(
                r#"{{{head},"log":"event","action":"{}",{actor},"ip":"{ip}","client":{{"id":"c{}"}},"provider":{{"id":"google","name":"Google"}},"request_id":"req-{prefix}-{i}","attributes":{{"flow":{{"id":"f{i}"}}}}}}"#,
                r.of(&["login", "logout", "2fa_enable"]),
                r.below(3)
            ),
            2 => format!(
                r#"{{{head},"log":"job","job":{{"id":"job-{}","name":"sync","type":"cron","status":"{}"}},"message":"step {i}"}}"#,
                r.below(60),
                r.of(&["pending", "running", "success", "failed"])
            ),
            3 => format!(
                r#"{{{head},"log":"notification","notification":{{"id":"n-{}","subject":"Welcome","recipient":["a{user}@x.org"],"status":"{}","body":"the secret body {i}"}}}}"#,
                r.below(90),
                r.of(&["pending", "sent", "bounced"])
            ),
            4 => format!(
                r#"{{{head},"log":"session","session":{{"id":"s-{}","protocol":"oidc","user_id":"u{user}","status":"{}","expires_at":"{}","claims":{{"sub":"u{user}"}}}}}}"#,
                r.below(50),
                r.of(&["active", "active", "revoked"]),
                event::time::format(at + (i as i64 % 100) * HOUR)
            ),
            _ => format!(
                r#"{{{head},"log":"grant","grant":{{"id":"g-{}","protocol":"oidc","status":"active"}},"email":"user{user}@example.com","client":{{"id":"c1","name":"Console"}}}}"#,
                r.below(30)
            ),
        };
        out.push(record);
    }
    out
}
