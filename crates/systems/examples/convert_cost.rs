//! What a record costs on its way from its native form to the envelope, per system, and what `event` needs after that:
//! `cargo run --release -p systems --example convert_cost`.

use event::parse::Parser;
use event::redact::Rules;
use jiff::tz::TimeZone;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;
use systems::{Converted, Memory, SYSTEMS, convert};

fn main() -> std::io::Result<()> {
    let rules = Rules::default();
    let parser = Parser { rules: &rules, tenant: "acme", now: 1_800_000_000_000_000 };
    println!("{:<34} {:>7} {:>7} {:>10} {:>14}", "sample", "bytes", "out", "convert µs", "convert+parse µs");
    for system in SYSTEMS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(system.name());
        for file in std::fs::read_dir(folder)? {
            let file = file?.path();
            let body = std::fs::read(&file)?;
            let mut rows = Vec::with_capacity(1 << 20);
            let mut run = |parse: bool| {
                let (mut records, mut native, mut written) = (0, 0, 0);
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
                let mut memory = Memory::default();
                let whole = convert(*system, black_box(&body), "", &mut memory, &TimeZone::UTC, take);
                assert!(whole.is_ok(), "{}", file.display());
                (records, native, written)
            };
            let mut best = [f64::MAX; 2];
            let sizes = run(false);
            let rounds = 100_000 / sizes.0;
            for (parse, best) in [false, true].into_iter().zip(&mut best) {
                for _ in 0..5 {
                    let started = Instant::now();
                    for _ in 0..rounds {
                        black_box(run(parse));
                    }
                    *best = best.min(started.elapsed().as_secs_f64() * 1e6 / (rounds * sizes.0) as f64);
                }
            }
            let name = format!("{}/{}", system.name(), file.file_name().unwrap_or_default().to_string_lossy());
            println!(
                "{name:<34} {:>7} {:>7} {:>10.2} {:>14.2}",
                sizes.1 / sizes.0,
                sizes.2 / sizes.0,
                best[0],
                best[1]
            );
        }
    }
    Ok(())
}
