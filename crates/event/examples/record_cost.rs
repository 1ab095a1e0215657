//! What one record costs on its way to a leaf, hop by hop: `cargo run --release -p event --example record_cost`.

use event::commit::{Keys, SaltKey, commitment, commitments, entry, leaf_hash};
use event::parse::Parser;
use event::redact::Rules;
use std::convert::Infallible;
use std::hint::black_box;
use std::time::Instant;

struct OneKey(SaltKey);

impl Keys for OneKey {
    type Error = Infallible;
    fn tenant(&mut self) -> &SaltKey {
        &self.0
    }
    fn person(&mut self, _: &str) -> Result<SaltKey, Infallible> {
        Ok(self.0)
    }
}

fn main() {
    let record = r#"{"id":"0192f0c1-7d3e-7a4b-9c11-2f6f0a5b1c2d","log":"event","time":"2026-11-20T12:00:00.123456Z","source":"ory-network","action":"LoginSucceeded","outcome":"success","level":"info","actor":{"id":"8f14e45f-ceea-467f-ab1c-0d1e2f3a4b5c","type":"user","email":"user12345@example.com"},"email":"user12345@example.com","ip":"192.0.2.17","user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0","request_id":"9b2c4d6e8f0a1b3c5d7e9f1a2b3c4d5e","session_id":"s-7f3a9c","message":"signed in with password and totp","attributes":{"flow":"browser","method":"password","aal":"aal2"}}"#;
    let rules = Rules::default();
    let parser = Parser { rules: &rules, tenant: "acme", now: 1_800_000_000_000_000 };
    let n = 200_000;
    let mut out = Vec::with_capacity(1 << 20);
    let time = |name: &str, work: &mut dyn FnMut()| {
        let mut best = f64::MAX;
        for _ in 0..5 {
            let started = Instant::now();
            for _ in 0..n {
                work();
            }
            best = best.min(started.elapsed().as_secs_f64() * 1e6 / f64::from(n));
        }
        println!("{name:<40} {best:.2} µs");
    };
    println!("record of {} bytes", record.len());
    time("parse, validate, redact, canonicalise", &mut || {
        out.clear();
        black_box(parser.parse(black_box(record), &mut String::new, &mut out)).ok();
    });
    println!("stored form of {} bytes", out.len());
    let row = out.clone();
    let mut keys = OneKey(SaltKey::new(&[7; 32]));
    time("commitment over parts", &mut || {
        black_box(commitment(black_box(&row), &mut keys)).ok();
    });
    let thousand: Vec<&[u8]> = vec![&row; 1000];
    let mut left = 0;
    time("the same, a thousand rows side by side", &mut || {
        left = (left + 1) % thousand.len();
        if left == 0 {
            commitments(black_box(&thousand).iter().copied(), &mut keys, |made| drop(black_box(made)));
        }
    });
    time("entry and leaf hash", &mut || {
        black_box(leaf_hash(&entry(event::EntryKind::Record, 1, black_box(&[7; 32]))));
    });
    time("redaction scan of the message alone", &mut || {
        black_box(rules.text(black_box("signed in with password and totp"), &mut |_| {}));
    });
}
