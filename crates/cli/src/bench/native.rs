//! Native records beside plain ones: what reading a system's own shape costs.
//!
//! Owns: many distinct records out of each system's samples, and sending them two ways in turn: as the system sends them
//! (`…/ingest/{system}`), and as the envelopes that they become (`…/records`). The two hold the same, so their ratio is the price of
//! the conversion and of nothing else. The generator's own records are sent as well, as the rate that everybody knows. Told which
//! process the server is, it says what a record costs it beside how many it takes: on a machine that does other work, only that is
//! worth comparing. Not here: the wire (`http`), and starting a server.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use jiff::tz::TimeZone;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::{
    Fault,
    generate::Generator,
    http::{Client, Target},
    members, round,
};

/// What is sent.
#[derive(Clone, Debug, Args)]
pub struct NativeArgs {
    /// Records of each system and way in each round; up to the samples' smallest unit more.
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    count: u64,
    /// Records per batch.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=5_000))]
    batch: u64,
    /// Connections, a thread each.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    connections: u16,
    /// Rounds; the median counts. The ways take turns in going first.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Only this system; may be given several times.
    #[arg(long)]
    system: Vec<String>,
    /// Process id of the server, on this machine, to measure its processor time per record as well.
    #[arg(long)]
    pid: Option<u32>,
}

/// A system, its samples, and whether a sample is sent whole because it is what holds its records together.
struct Samples {
    system: &'static str,
    texts: &'static [&'static str],
    whole: bool,
}

macro_rules! samples {
    ($($system:literal $whole:literal [$($file:literal),+]),+ $(,)?) => {
        &[$(Samples {
            system: $system,
            whole: $whole,
            texts: &[$(include_str!(concat!("../../../systems/samples/", $system, "/", $file))),+],
        }),+]
    };
}

/// One file or two of each system: the shape that it sends most.
const SAMPLES: &[Samples] = samples! {
    "asgardeo" false ["v2.json"],
    "auth0" false ["stream.json"],
    "authentik" false ["events.json"],
    "cloudevents" false ["batch.json"],
    "contember" false ["rows.json"],
    "guide" false ["audit.json", "events.json"],
    "kanidm" false ["event.json"],
    "keycloak" false ["events.json", "admin-events.json"],
    "okta" false ["logs.json"],
    "ory" true ["traces.json"],
    "ory-nestjs" false ["requests.ndjson"],
    "ory-network" false ["events.ndjson"],
    "otlp" true ["logs.json"],
    "set" false ["session-revoked.json"],
    "wso2" true ["audit.log"],
    "zitadel" false ["search.json"],
};

/// Bodies, each with how many records it holds.
type Bodies = Vec<(Vec<u8>, u64)>;

/// Measures each system; a line of results each.
///
/// # Errors
/// A record was not taken, or was taken for one that was sent before: then the rate would be of something else.
pub fn run(
    target: &Target,
    tenant: &str,
    generator: &Generator,
    args: &NativeArgs,
    emit: &mut dyn FnMut(Map<String, Value>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if let Some(name) = args.system.iter().find(|name| SAMPLES.iter().all(|s| s.system != **name)) {
        let known: Vec<&str> = SAMPLES.iter().map(|s| s.system).collect();
        return Err(format!("no samples of {name:?}; there are {}", known.join(", ")).into());
    }
    // Of its own, so that each run has records that no other has sent.
    let run = std::process::id();
    let generated = plain(generator, args);
    for samples in SAMPLES.iter().filter(|s| args.system.is_empty() || args.system.iter().any(|name| name == s.system))
    {
        let (native, same) = bodies(samples, args)?;
        let records: u64 = native.iter().map(|(_, count)| count).sum();
        let bytes = |bodies: &Bodies| bodies.iter().map(|(body, _)| body.len()).sum::<usize>() as f64;
        let (mut rates, mut costs): ([Vec<f64>; 3], [Vec<f64>; 3]) = Default::default();
        for turn in 0..args.rounds {
            let at = |way: &str| format!("/v1/t/{tenant}-{run}-{}-{turn}-{way}", samples.system);
            let ways = [
                (format!("{}/ingest/{}", at("native"), samples.system), &native),
                (format!("{}/records", at("same")), &same),
                (format!("{}/records", at("plain")), &generated),
            ];
            for step in 0..ways.len() {
                let way = (step + turn as usize) % ways.len();
                if let (Some((path, bodies)), Some(rates), Some(costs)) =
                    (ways.get(way), rates.get_mut(way), costs.get_mut(way))
                {
                    let before = args.pid.map(processor_time).transpose()?;
                    rates.push(send(target, path, bodies, args.connections)?);
                    if let Some((pid, before)) = args.pid.zip(before) {
                        let sent: u64 = bodies.iter().map(|(_, count)| count).sum();
                        costs.push((processor_time(pid)? - before) * 1e6 / sent as f64);
                    }
                }
            }
        }
        let [native_rate, same_rate, plain_rate] = rates.map(median);
        eprintln!(
            "{:12} {native_rate:>9.0}/s native, {same_rate:>9.0}/s the same as envelopes ({:.2}), {plain_rate:>9.0}/s plain ({:.2})",
            samples.system,
            native_rate / same_rate,
            native_rate / plain_rate
        );
        let measured = args.pid.is_some();
        // What the server still does with the records of one way when the next begins evens out over the rounds, in a mean.
        let [native_cost, same_cost, plain_cost] = costs.map(|costs| costs.iter().sum::<f64>() / costs.len() as f64);
        if measured {
            eprintln!(
                "{:12} {native_cost:>9.1} µs native, {same_cost:>9.1} µs the same as envelopes ({:.2}), {plain_cost:>9.1} µs plain ({:.2})",
                "",
                same_cost / native_cost,
                plain_cost / native_cost
            );
        }
        let cost = |micros: f64| measured.then(|| round(micros));
        emit(members(json!({
            "bench": "native", "system": samples.system, "records": records, "batch": args.batch, "connections": args.connections,
            "rounds": args.rounds, "native_bytes": round(bytes(&native) / records as f64),
            "envelope_bytes": round(bytes(&same) / records as f64), "native_per_s": native_rate.round(), "same_per_s": same_rate.round(),
            "plain_per_s": plain_rate.round(), "of_same": round(native_rate / same_rate), "of_plain": round(native_rate / plain_rate),
            "native_us": cost(native_cost), "same_us": cost(same_cost), "plain_us": cost(plain_cost),
            "of_same_us": cost(same_cost / native_cost), "of_plain_us": cost(plain_cost / native_cost),
        })))?;
    }
    Ok(())
}

/// The processor time that a process has used so far, all threads, in seconds: `utime` and `stime` of proc_pid_stat(5), whose unit
/// is a hundredth of a second on every Linux that this is built for.
fn processor_time(pid: u32) -> Result<f64, Fault> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    // The second field is a name in parentheses, and may hold anything; `utime` is the 12th after it.
    let mut after = text.rsplit_once(')').map_or("", |(_, after)| after).split_whitespace().skip(11);
    let mut ticks = || after.next().and_then(|field| field.parse::<u64>().ok());
    let used = ticks().zip(ticks()).ok_or_else(|| format!("{path} has no processor time"))?;
    Ok((used.0 + used.1) as f64 / 100.0)
}

/// The generator's records.
fn plain(generator: &Generator, args: &NativeArgs) -> Bodies {
    let starts = (0..args.count).step_by(args.batch as usize);
    let body = |from: u64| {
        let to = args.count.min(from + args.batch);
        let mut out = Vec::new();
        generator.write(from, to, false, &mut out);
        (out, to - from)
    };
    starts.map(body).collect()
}

/// The same records twice: as their system sends them, and as envelopes.
fn bodies(samples: &Samples, args: &NativeArgs) -> Result<(Bodies, Bodies), Fault> {
    let system = systems::find(samples.system).ok_or_else(|| format!("there is no system {}", samples.system))?;
    let mut units = Vec::new();
    for text in samples.texts {
        let pieces = if samples.whole { vec![(*text).to_owned()] } else { records(system, text) };
        units.extend(pieces.iter().map(|piece| on_one_line(piece)));
    }
    let (mut native, mut same): (Bodies, Bodies) = Default::default();
    let (memory, mut made, mut number) = (systems::Memory::default(), 0, 0);
    while made < args.count {
        let (mut body, mut envelopes, mut count) = (String::new(), String::new(), 0);
        while count < args.batch && made + count < args.count {
            let unit = units.get(number as usize % units.len()).map_or("", String::as_str);
            let unit = numbered(unit, number);
            number += 1;
            let mut unparsed = None;
            systems::convert(system, unit.as_bytes(), "", &memory, &TimeZone::UTC, &mut |record| {
                unparsed = unparsed.take().or_else(|| record.unparsed.cloned());
                if let Ok(envelope) = record.envelope {
                    envelopes.push_str(envelope);
                    envelopes.push('\n');
                    count += 1;
                }
            })?;
            if let Some(reason) = unparsed {
                return Err(format!(
                    "a record made of {}'s sample is not understood: {reason}: {unit}",
                    samples.system
                )
                .into());
            }
            body.push_str(&unit);
            body.push('\n');
        }
        made += count;
        native.push((body.into_bytes(), count));
        same.push((envelopes.into_bytes(), count));
    }
    Ok((native, same))
}

/// The records of a sample, each by itself.
fn records(system: &dyn systems::System, text: &str) -> Vec<String> {
    system.split(text).into_iter().filter_map(|piece| piece.text.ok()).map(|text| text.into_owned()).collect()
}

/// JSON without the breaks and blanks that make a sample readable, its members in the order that the system has them in; a line of a
/// log as it is.
fn on_one_line(text: &str) -> String {
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return text.trim_end().to_owned();
    }
    let (mut quoted, mut escaped) = (false, false);
    let stays = |c: &char| {
        let stays = quoted || !c.is_ascii_whitespace();
        quoted ^= *c == '"' && !escaped;
        escaped = quoted && *c == '\\' && !escaped;
        stays
    };
    text.chars().filter(stays).collect()
}

/// The samples' day, and the first of the month that the numbered ones are spread over: a second each.
const DAY: &str = "2026-11-20";
const MONTH: i64 = 1_793_491_200;

/// What stands before a record's own id. Any other id is of somebody or something that many records speak of.
const OWN: &[&str] = &[
    "\"id\":\"",
    "\"pk\":\"",
    "\"log_id\":\"",
    "\"uuid\":\"",
    "\"jti\":\"",
    "\"requestId\":\"",
    "\"correlationId\":\"req-",
    // The correlation id of a line in WSO2's log, which pairs the two forms of one action.
    "] [",
];
/// The same of what many records speak of: a thing that says of itself that it is one, and the account of a sign-in at Kanidm, whose
/// events have no ids.
fn is_shared(before: &str) -> bool {
    before.ends_with("\"aggregate\":{\"id\":\"")
        || before.starts_with("{\"Authentication") && before.ends_with("\"uuid\":\"")
}
/// What is followed by something too short to be seen as an id that is the record's own all the same: the record's, or its place in a
/// row of them.
const SHORT: &[&str] = &["\"id\":\"A-", "\"sequence\":\""];
/// People and things that the records speak of.
const OTHERS: u64 = 5_000;

/// A record like this one, and unlike it with any other number: with its own times and id, of one of so many people.
fn numbered(text: &str, number: u64) -> String {
    let seconds = number % 1_500_000;
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix(DAY)
            && let Some((mark, after)) = after.split_at_checked(1).filter(|(mark, _)| matches!(*mark, "T" | " "))
            && let Some((_, after)) = after.split_at_checked(8)
        {
            let (day, time) = (1 + seconds / 86_400, seconds % 86_400);
            out.push_str(&format!("2026-11-{day:02}{mark}{:02}:{:02}:{:02}", time / 3600, time / 60 % 60, time % 60));
            rest = after;
            continue;
        }
        let length = rest.bytes().take_while(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).count();
        let (run, after) = rest.split_at(length);
        if length == 0 {
            let (head, tail) = rest.split_at(first.len_utf8());
            out.push_str(head);
            rest = tail;
            if let Some(short) = SHORT.iter().find(|short| out.ends_with(**short)) {
                out.push_str(&format!("{number}{}", if short.ends_with('-') { "-" } else { "" }));
            }
            continue;
        }
        let digits = run.bytes().all(|b| b.is_ascii_digit());
        if digits && length >= 10 && run.starts_with("17951") {
            out.push_str(&(MONTH + seconds as i64).to_string());
            out.push_str(run.get(10..).unwrap_or_default());
        } else if length >= 8 && run.bytes().any(|b| b.is_ascii_digit()) {
            let own = !is_shared(&out) && OWN.iter().any(|own| out.ends_with(own));
            let number = if own { number } else { number % OTHERS };
            out.push_str(run.get(..length - 6).unwrap_or_default());
            out.push_str(&if digits {
                format!("{:06}", number % 1_000_000)
            } else {
                format!("{:06x}", number & 0xff_ffff)
            });
        } else {
            out.push_str(run);
        }
        rest = after;
    }
    out
}

/// Sends all bodies over several connections. Records per second.
fn send(target: &Target, path: &str, bodies: &Bodies, connections: u16) -> Result<f64, Fault> {
    let next = AtomicUsize::new(0);
    let worker = || -> Result<u64, Fault> {
        let (mut client, mut sent) = (Client::new(target), 0);
        while let Some((body, count)) = bodies.get(next.fetch_add(1, Relaxed)) {
            post(&mut client, path, body, *count).inspect_err(|_| next.store(bodies.len(), Relaxed))?;
            sent += count;
        }
        Ok(sent)
    };
    // `/v1/t/{tenant}`: making it is no part of what is measured.
    let tenant: Vec<&str> = path.split('/').take(4).collect();
    Client::new(target).send("PUT", &tenant.join("/"), "application/json", b"{}")?;
    let started = Instant::now();
    let outcome: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("a sender panicked".into()))).collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    let mut sent = 0;
    for one in outcome {
        sent += one?;
    }
    Ok(sent as f64 / seconds)
}

fn post(client: &mut Client, path: &str, body: &[u8], count: u64) -> Result<(), Fault> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = client.send("POST", path, "application/x-ndjson", body)?;
        if answer.status == 503 && Instant::now() < until {
            thread::sleep(Duration::from_secs_f64(answer.retry_after.unwrap_or(0.2).clamp(0.01, 5.0)));
            continue;
        }
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        return if answer.status == 200 && said["accepted"] == count && said["unparsed"].as_u64().unwrap_or(0) == 0 {
            Ok(())
        } else {
            Err(format!("of {count} records not all were taken as new by {path}: {}", answer.excerpt()).into())
        };
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_system_has_samples_that_become_distinct_records() {
        let args = NativeArgs {
            count: 2 * OTHERS + 100,
            batch: 500,
            connections: 1,
            rounds: 1,
            system: Vec::new(),
            pid: None,
        };
        let known: Vec<&str> = systems::SYSTEMS.iter().map(|s| s.name()).collect();
        assert_eq!(SAMPLES.iter().map(|s| s.system).collect::<Vec<_>>(), known);
        for samples in SAMPLES {
            let (native, same) = bodies(samples, &args).unwrap();
            let envelopes: Vec<Value> = same
                .iter()
                .flat_map(|(body, _)| std::str::from_utf8(body).unwrap().lines())
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert!(envelopes.len() as u64 >= args.count, "{}", samples.system);
            let distinct: HashSet<String> = envelopes.iter().map(Value::to_string).collect();
            assert_eq!(distinct.len(), envelopes.len(), "{}: {}", samples.system, envelopes[0]);
            let ids: HashSet<&str> = envelopes.iter().filter_map(|e| e["id"].as_str()).collect();
            let named = envelopes.iter().filter(|e| e.get("id").is_some()).count();
            assert_eq!(ids.len(), named, "{}: an id stands for one record: {}", samples.system, envelopes[0]);
            assert_eq!(native.iter().map(|b| b.1).sum::<u64>(), envelopes.len() as u64);
        }
    }

    #[test]
    fn processor_time_of_a_process_is_read() {
        let used = || processor_time(std::process::id()).unwrap();
        let (before, started) = (used(), Instant::now());
        while used() == before {
            assert!(started.elapsed() < Duration::from_secs(60), "nothing is counted");
        }
        assert!(processor_time(u32::MAX).is_err());
    }

    #[test]
    fn numbers_change_times_and_ids_and_nothing_else() {
        let text = r#"{"id":"9d4f6f0e-2b6a","at":1795176000123,"t":"2026-11-20T12:00:03.297Z","n":"312909075212468632","type":"added"}"#;
        assert_eq!(
            numbered(text, 90_061),
            r#"{"id":"9d015fcd-2b6a","at":1793581261123,"t":"2026-11-02T01:01:01.297Z","n":"312909075212000061","type":"added"}"#
        );
        assert_eq!(numbered("žluť \"id\":\"A-2\"", 7), "žluť \"id\":\"A-7-2\"");
        assert_eq!(
            numbered(r#"{"aggregate":{"id":"313014806065971608"},"sequence":"4"}"#, 5_007),
            r#"{"aggregate":{"id":"313014806065000007"},"sequence":"50074"}"#
        );
    }
}
