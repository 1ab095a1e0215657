//! The Markdown table of a run, from its raw lines.
//!
//! Owns: medians over the rounds, ratios, the layout of the table. Not here: measuring; the raw lines stay beside the table.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::Value;

use super::Fault;

/// A figure of the table.
struct Figure {
    title: &'static str,
    bench: &'static str,
    name: &'static str,
    member: &'static str,
    unit: &'static str,
    /// Whether more is better.
    more: bool,
}

const fn figure(
    title: &'static str,
    bench: &'static str,
    name: &'static str,
    member: &'static str,
    unit: &'static str,
) -> Figure {
    Figure { title, bench, name, member, unit, more: false }
}

const FIGURES: &[Figure] = &[
    Figure { more: true, ..figure("durable ingest, batches", "ingest", "", "records_per_s", "records/s") },
    figure("one batch, p50", "ingest", "", "p50_ms", "ms"),
    figure("one batch, p99", "ingest", "", "p99_ms", "ms"),
    figure("server CPU while taking in", "cpu", "", "us_per_record", "µs/record"),
    figure("single records at a fixed rate, p50", "single", "", "p50_ms", "ms"),
    figure("single records at a fixed rate, p99", "single", "", "p99_ms", "ms"),
    figure("disk, everything counted", "disk", "", "bytes_per_record", "bytes/record"),
    figure("peak memory", "memory", "", "peak_mib", "MiB"),
    figure("restart after kill -9", "restart", "", "seconds", "s"),
    Figure { more: true, ..figure("verify --data", "verify", "", "records_per_s", "records/s") },
    figure("by request id, p50", "query", "request_id", "p50_ms", "ms"),
    figure("by request id that is not there, p50", "query", "request_id_absent", "p50_ms", "ms"),
    figure("by session id, p50", "query", "session_id", "p50_ms", "ms"),
    figure("by e-mail, newest one, p50", "query", "email", "p50_ms", "ms"),
    figure("by e-mail of someone seldom seen, all, p50", "query", "email_seldom", "p50_ms", "ms"),
    figure("newest page of 100, p50", "query", "page_newest", "p50_ms", "ms"),
    figure("page of 100 deep in history, p50", "query", "page_deep", "p50_ms", "ms"),
    figure("the page after it, p50", "query", "page_next", "p50_ms", "ms"),
    figure("contains, common word, newest 100, p50", "query", "contains_common", "p50_ms", "ms"),
    figure("contains, rare word, all, p50", "query", "contains_rare", "p50_ms", "ms"),
    figure("contains, absent word, p50", "query", "contains_absent", "p50_ms", "ms"),
    figure("histogram by day and action, p50", "query", "histogram_day_action", "p50_ms", "ms"),
    figure("top-10 addresses of failures, p50", "query", "top10_ip_failures", "p50_ms", "ms"),
    figure("proof of a random record, p50", "query", "proof", "p50_ms", "ms"),
    figure("proof of a random record, p99", "query", "proof", "p99_ms", "ms"),
];

/// The table of a file of result lines.
///
/// # Errors
/// A line is no JSON object.
pub fn markdown(lines: &str) -> Result<String, Fault> {
    // (bench, name, side) → its lines, one per round.
    let mut found: BTreeMap<(String, String, String), Vec<Value>> = BTreeMap::new();
    let mut out = String::new();
    for (number, line) in lines.lines().enumerate() {
        let line: Value = serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))?;
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        match line["bench"].as_str() {
            Some("run") => {
                for (name, value) in line.as_object().into_iter().flatten().filter(|(name, _)| *name != "bench") {
                    writeln!(out, "* {name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))?;
                }
            }
            Some("fdatasync") => {
                let kib = line["bytes"].as_u64().unwrap_or(0) / 1024;
                writeln!(
                    out,
                    "* write + fdatasync of {kib} KiB: p50 {} ms, p99 {} ms",
                    line["p50_ms"], line["p99_ms"]
                )?;
            }
            Some("generate") => {
                writeln!(out, "* records of {} bytes of JSON on average, seed {}", line["mean_bytes"], line["seed"])?
            }
            Some(bench) => found.entry((bench.to_owned(), text("name"), text("side"))).or_default().push(line),
            None => return Err(format!("line {}: no `bench`", number + 1).into()),
        }
    }
    out.push_str("\n| measure | Indelible | PostgreSQL 15 | ratio |\n| --- | ---: | ---: | ---: |\n");
    for figure in FIGURES {
        let values = |side: &str| -> Vec<f64> {
            let lines = found.get(&(figure.bench.to_owned(), figure.name.to_owned(), side.to_owned()));
            lines.into_iter().flatten().filter_map(|line| line[figure.member].as_f64()).collect()
        };
        let (ours, theirs) = (median(values("indelible")), median(values("postgres")));
        if ours.is_none() && theirs.is_none() {
            continue;
        }
        let ratio = match (ours, theirs) {
            (Some(ours), Some(theirs)) if ours > 0.0 && theirs > 0.0 => {
                let times = if figure.more { ours / theirs } else { theirs / ours };
                format!("{}x", number(times))
            }
            _ => "-".into(),
        };
        let cell =
            |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{} {}", number(value), figure.unit));
        writeln!(out, "| {} | {} | {} | {ratio} |", figure.title, cell(ours), cell(theirs))?;
    }
    out.push_str("\nMedians over the rounds; a ratio above 1 is in Indelible's favour.\n");
    for ((bench, name, _), ours) in found.iter().filter(|((bench, _, side), _)| bench == "query" && side == "indelible")
    {
        let rows = |lines: &[Value]| lines.iter().filter_map(|line| line["rows"].as_u64()).collect::<Vec<_>>();
        if let Some(theirs) = found.get(&(bench.clone(), name.clone(), "postgres".to_owned()))
            && !COUNTS.contains(&name.as_str())
            && rows(ours) != rows(theirs)
        {
            writeln!(out, "\n**The sides disagree on `{name}`: {:?} rows and {:?}.**", rows(ours), rows(theirs))?;
        }
    }
    Ok(out)
}

/// Answers whose shape differs between the sides, so their rows do not compare.
const COUNTS: [&str; 2] = ["histogram_day_action", "top10_ip_failures"];

/// The middle value, or the mean of the two middle ones.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some((low + high) / 2.0)
}

/// About three digits, thousands set apart.
fn number(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => {
            let digits = format!("{value:.0}");
            let mut out = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at).is_multiple_of(3) && digit.is_ascii_digit() {
                    out.push(',');
                }
                out.push(digit);
            }
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_medians_ratios_and_warnings() {
        let lines = r#"{"bench":"run","cores":"0,1","records":1000}
{"bench":"fdatasync","bytes":4096,"p50_ms":0.3,"p99_ms":0.5}
{"bench":"ingest","side":"indelible","round":1,"records_per_s":100000}
{"bench":"ingest","side":"indelible","round":2,"records_per_s":120000}
{"bench":"ingest","side":"postgres","round":1,"records_per_s":20000}
{"bench":"query","side":"indelible","name":"request_id","p50_ms":1,"rows":3}
{"bench":"query","side":"postgres","name":"request_id","p50_ms":0.5,"rows":4}
{"bench":"query","side":"indelible","name":"proof","p50_ms":2,"p99_ms":4,"rows":3}"#;
        let table = markdown(lines).unwrap();
        for expected in [
            "* cores: 0,1\n",
            "* write + fdatasync of 4 KiB: p50 0.3 ms, p99 0.5 ms\n",
            "| durable ingest, batches | 110,000 records/s | 20,000 records/s | 5.50x |\n",
            "| by request id, p50 | 1.00 ms | 0.50 ms | 0.50x |\n",
            "| proof of a random record, p50 | 2.00 ms | - | - |\n",
            "**The sides disagree on `request_id`: [3] rows and [4].**",
        ] {
            assert!(table.contains(expected), "{expected}\nnot in\n{table}");
        }
        assert!(markdown("{}").is_err() && markdown("nonsense").is_err());
    }

    #[test]
    fn medians_and_numbers() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
        assert_eq!(
            ["1,234,567", "12.3", "1.50"],
            [number(1_234_567.0), number(12.34), number(1.5)].map(|n| n).each_ref().map(String::as_str)
        );
    }
}
