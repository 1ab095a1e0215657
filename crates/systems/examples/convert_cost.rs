//! What a record costs on its way from its native form to the envelope, per system, and what `event` needs after that:
//! `cargo run --release -p systems --example convert_cost [SYSTEM]...`. Each sample's records are sent again and again, in bodies of
//! about a thousand.

use event::parse::Parser;
use event::redact::Rules;
use jiff::tz::TimeZone;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;
use systems::{Converted, Memory, SYSTEMS, System, convert};

/// Records of one body, about.
const RECORDS: usize = 1000;
const ROUNDS: usize = 40;

/// Systems whose samples are sent whole: a request around its records, a log whose lines belong together.
const WHOLE: &[&str] = &["ory", "otlp", "wso2"];

/// The sample's records, one per line, until there are enough.
fn body(system: &dyn System, sample: &str) -> String {
    if WHOLE.contains(&system.name()) {
        let records = system.split(sample).len().max(1);
        let line = match serde_json::from_str::<serde_json::Value>(sample) {
            Ok(request) => request.to_string(),
            Err(_) => sample.trim_end().to_owned(),
        };
        return format!("{line}\n").repeat(RECORDS.div_ceil(records));
    }
    let lines: Vec<String> = system
        .split(sample)
        .into_iter()
        .filter_map(|piece| piece.text.ok())
        .map(|text| match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(record) => record.to_string(),
            Err(_) => text.into_owned(),
        })
        .collect();
    let mut body = String::new();
    for line in lines.iter().cycle().take(RECORDS.next_multiple_of(lines.len().max(1))) {
        body.push_str(line);
        body.push('\n');
    }
    body
}

fn main() -> std::io::Result<()> {
    let rules = Rules::default();
    let parser = Parser { rules: &rules, tenant: "acme", now: 1_800_000_000_000_000 };
    println!("{:<34} {:>6} {:>6} {:>11} {:>9}", "sample, bytes of a record", "native", "out", "convert µs", "parse µs");
    let asked: Vec<String> = std::env::args().skip(1).collect();
    for system in SYSTEMS.iter().filter(|s| asked.is_empty() || asked.iter().any(|name| name == s.name())) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(system.name());
        for file in std::fs::read_dir(folder)? {
            let file = file?.path();
            let body = body(*system, &std::fs::read_to_string(&file)?);
            let mut rows = Vec::with_capacity(1 << 20);
            let (mut records, mut native, mut written) = (0, 0, 0);
            let mut run = |parse: bool| {
                (records, native, written) = (0, 0, 0);
                rows.clear();
                let take = &mut |piece: Converted<'_>| {
                    let Ok(text) = piece.envelope else { return };
                    records += 1;
                    native += piece.native.len();
                    written += text.len();
                    if parse {
                        black_box(parser.parse(text, &mut String::new, &mut rows)).ok();
                    }
                };
                let memory = Memory::default();
                let whole = convert(*system, black_box(body.as_bytes()), "", &memory, &TimeZone::UTC, take);
                assert!(whole.is_ok(), "{}", file.display());
            };
            let mut best = [f64::MAX; 2];
            for _ in 0..ROUNDS {
                for (parse, best) in [false, true].into_iter().zip(&mut best) {
                    let started = Instant::now();
                    run(parse);
                    *best = best.min(started.elapsed().as_secs_f64() * 1e6);
                }
            }
            let each = |sum: f64| sum / records as f64;
            let name = format!("{}/{}", system.name(), file.file_name().unwrap_or_default().to_string_lossy());
            let (convert, parse) = (each(best[0]), each(best[1] - best[0]));
            println!("{name:<34} {:>6} {:>6} {convert:>11.2} {parse:>9.2}", native / records, written / records);
        }
    }
    Ok(())
}
