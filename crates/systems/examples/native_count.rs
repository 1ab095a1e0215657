//! Instructions that a record costs from a body to its stored form, before it is hashed; for a machine where time says little:
//!
//! ```text
//! cargo build --release -p systems --example native_count
//! valgrind --tool=callgrind --toggle-collect='*counted*' target/release/examples/native_count native ory/traces.json
//! ```
//!
//! Ways: `native`, that of `…/ingest/{system}`; `same`, that of `…/records` with the envelopes which the sample's records become;
//! `plain`, the same with a record such as the load generator makes. The sample's records are repeated to about a thousand. Only what
//! is inside `counted` is collected.

use event::batch::Body;
use event::parse::Parser;
use event::redact::Rules;
use jiff::tz::TimeZone;
use std::hint::black_box;
use std::path::Path;
use systems::{Filled, Memory, Origin, System, convert, decode, fill};

/// The zone of times without one.
static UTC: TimeZone = TimeZone::UTC;

/// Records of the body, about.
const RECORDS: usize = 1000;

/// Systems whose samples are sent whole: a request around its records, a log whose lines belong together.
const WHOLE: &[&str] = &["ory", "otlp", "wso2"];

const PLAIN: &str = r#"{"id":"0192f0c1-7d3e-7a4b-9c11-2f6f0a5b1c2d","log":"event","time":"2026-11-20T12:00:00.123456Z","source":"web","action":"LoginSucceeded","outcome":"success","actor":{"id":"usr_8f14e45fceea467f","email":"maria.novak12345@example.com"},"ip":"192.0.2.17","user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0","request_id":"9b2c4d6e8f0a1b3c5d7e9f1a2b3c4d5e","session_id":"7f3a9c2be1d0485f6a7b8c9d","message":"signed in password totp","attributes":{"aal":"aal2","flow":"browser","method":"password"}}"#;

fn envelopes(parser: &Parser<'_>, body: &str, rows: &mut Vec<u8>) -> usize {
    let body = Body::new(body.as_bytes());
    let pieces = body.pieces();
    let texts = pieces.iter().filter_map(|piece| piece.text.as_ref().ok());
    texts.filter(|text| parser.parse(text, &mut String::new, rows).is_ok()).count()
}

fn natives(parser: &Parser<'_>, system: &dyn System, body: &str, rows: &mut Vec<u8>) -> Option<usize> {
    let text = decode(system, body.as_bytes(), "").ok()?;
    let origin = Origin::new("", &UTC);
    let (mut filled, mut list) = (Filled::with_capacity(text.len() * 2), Vec::new());
    fill(system, text.part(system, 0), &origin, &Memory::default(), &mut filled, &mut |_, read| list.push(read));
    let places = list.iter().filter_map(|read| read.envelope.as_ref().ok());
    Some(places.filter(|place| parser.take(filled.fields(place), &mut id, rows).is_some()).count())
}

fn id() -> String {
    "0192f0c1-7d3e-7a4b-9c11-2f6f0a5b1c2d".to_owned()
}

#[inline(never)]
fn counted(work: &mut dyn FnMut() -> usize) -> usize {
    work()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(way), Some(sample)) = (arguments.next(), arguments.next()) else {
        return Err("native_count native|same|plain SYSTEM/FILE".into());
    };
    let name = sample.split('/').next().unwrap_or_default();
    let system = systems::find(name).ok_or("no such system")?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(&sample);
    let native = body(system, &std::fs::read_to_string(path)?);
    let mut same = String::new();
    convert(system, native.as_bytes(), "", &Memory::default(), &TimeZone::UTC, &mut |piece| {
        same.extend([piece.envelope.unwrap_or_default(), "\n"]);
    })?;
    let plain = format!("{PLAIN}\n").repeat(RECORDS);
    let rules = Rules::default();
    let parser = Parser { rules: &rules, tenant: "acme", now: 1_800_000_000_000_000 };
    let mut rows = Vec::with_capacity(8 << 20);
    // What is made once, at the first record, is no part of a record's cost.
    envelopes(&parser, &same, &mut rows);
    rows.clear();
    let records = counted(&mut || match way.as_str() {
        "native" => natives(&parser, system, black_box(&native), &mut rows).unwrap_or(0),
        "same" => envelopes(&parser, black_box(&same), &mut rows),
        _ => envelopes(&parser, black_box(&plain), &mut rows),
    });
    println!("{records} records");
    Ok(())
}

/// The sample's records, one per line, until there are enough.
fn body(system: &dyn System, sample: &str) -> String {
    let on_one_line = |text: &str| match serde_json::from_str::<serde_json::Value>(text) {
        Ok(record) => record.to_string(),
        Err(_) => text.trim_end().to_owned(),
    };
    let split = system.split(sample);
    let (lines, count) = if WHOLE.contains(&system.name()) {
        (vec![on_one_line(sample)], split.len())
    } else {
        (split.iter().filter_map(|piece| piece.text.as_deref().ok()).map(on_one_line).collect(), split.len())
    };
    (lines.join("\n") + "\n").repeat(RECORDS.div_ceil(count.max(1)))
}
