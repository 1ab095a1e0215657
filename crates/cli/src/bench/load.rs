//! The writing half: batches as fast as they are taken, and single records at a fixed rate.
//!
//! Owns: both loads for both sides, waiting and trying again on 503 as `Retry-After` says, and that every record sent was
//! accepted. Not here: the records (`generate`), the wire (`http`, `postgres`).

use std::{
    sync::{
        Barrier,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::{Map, Value, json};

use super::{
    Fault, Side,
    generate::Generator,
    http::{Answer, Client},
    latencies, members, micros,
    postgres::Postgres,
    round,
};

/// How batches are sent.
#[derive(Clone, Debug, Args)]
pub struct IngestArgs {
    /// Records per batch.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    batch: u64,
    /// Connections, a thread each.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    connections: u16,
    /// Spread the batches over this many tenants (`bench-0`, `bench-1`, ...).
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    tenants: u64,
    /// So many records are made before the clock starts; the others while it runs, which costs each side the same.
    #[arg(long, default_value_t = 4_000_000)]
    hold: u64,
    /// Give up when one batch has been refused with 503 for so many seconds.
    #[arg(long, default_value_t = 300)]
    patience: u64,
}

/// How single records are sent.
#[derive(Clone, Debug, Args)]
pub struct SingleArgs {
    /// Records per second.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: u64,
    /// For so long.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// So many seconds before that are not counted.
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
    /// Connections, a thread each: enough that one is always free.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    connections: u16,
    /// Number of the first record, to go on after an earlier run on the same data.
    #[arg(long, default_value_t = 0)]
    first: u64,
}

/// One connection to either side.
enum Connection {
    Indelible(Client, String),
    Postgres(Postgres),
}

/// What became of what was sent.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    accepted: u64,
    duplicate: u64,
    retries: u64,
    waited: Duration,
}

impl Sent {
    fn add(&mut self, more: Sent) {
        self.accepted += more.accepted;
        self.duplicate += more.duplicate;
        self.retries += more.retries;
        self.waited += more.waited;
    }
}

impl Connection {
    fn open(side: &Side) -> Result<Connection, Fault> {
        Ok(match side {
            Side::Indelible(target, tenant) => Connection::Indelible(Client::new(target), tenant.clone()),
            Side::Postgres(at) => Connection::Postgres(Postgres::connect(at)?),
        })
    }

    /// Sends `records` records and returns once they are durable.
    fn send(&mut self, data: &[u8], records: u64, tenant: Option<u64>, patience: Duration) -> Result<Sent, Fault> {
        let (client, name) = match self {
            Connection::Postgres(connection) => {
                let accepted = connection.copy(data)?;
                return if accepted == records {
                    Ok(Sent { accepted, ..Sent::default() })
                } else {
                    Err("PostgreSQL took fewer".into())
                };
            }
            Connection::Indelible(client, name) => (client, name),
        };
        let path = match tenant {
            Some(number) => format!("/v1/t/{name}-{number}/records"),
            None => format!("/v1/t/{name}/records"),
        };
        let (mut sent, started) = (Sent::default(), Instant::now());
        loop {
            let answer = client.send("POST", &path, "application/x-ndjson", data)?;
            if answer.status != 503 && answer.status != 429 {
                let counted = count(&answer, records)?;
                return Ok(Sent { accepted: counted.accepted, duplicate: counted.duplicate, ..sent });
            }
            if started.elapsed() > patience {
                return Err(format!(
                    "refused with {} for {} s: {}",
                    answer.status,
                    patience.as_secs(),
                    answer.excerpt()
                )
                .into());
            }
            let pause = Duration::from_secs_f64(answer.retry_after.unwrap_or(0.2).clamp(0.01, 30.0));
            thread::sleep(pause);
            sent.retries += 1;
            sent.waited += pause;
        }
    }
}

/// Reads the counts of a 200, which must add up.
fn count(answer: &Answer, records: u64) -> Result<Sent, Fault> {
    if answer.status != 200 {
        return Err(format!("the server answered {}: {}", answer.status, answer.excerpt()).into());
    }
    let body: Value =
        serde_json::from_slice(&answer.body).map_err(|error| format!("not JSON ({error}): {}", answer.excerpt()))?;
    let number = |name: &str| body[name].as_u64().unwrap_or(0);
    let sent = Sent { accepted: number("accepted"), duplicate: number("duplicate"), ..Sent::default() };
    if number("rejected") > 0 || sent.accepted + sent.duplicate != records {
        return Err(format!("of {records} records not all were taken: {}", answer.excerpt()).into());
    }
    Ok(sent)
}

/// Sends records 0 to `records` of `generator` in batches and measures how long that takes.
///
/// # Errors
/// A batch was not taken whole; the first such failure ends the run.
pub fn ingest(
    side: &Side,
    generator: &Generator,
    records: u64,
    args: &IngestArgs,
) -> Result<Map<String, Value>, Fault> {
    let copy = matches!(side, Side::Postgres(_));
    if let Side::Postgres(at) = side {
        let mut connection = Postgres::connect(at)?;
        if connection.query("select to_regclass('records')")? == [[None]] {
            connection.create()?;
        }
    }
    let batches = records.div_ceil(args.batch);
    let range = |batch: u64| (batch * args.batch, records.min((batch + 1) * args.batch));
    let held = make(generator, (args.hold / args.batch).min(batches), &range, copy);
    eprintln!(
        "{}: {records} records in {batches} batches over {} connections, {} made beforehand",
        side.name(),
        args.connections,
        held.len()
    );

    let (next, taken, bytes) = (AtomicU64::new(0), AtomicU64::new(0), AtomicUsize::new(0));
    // When each tenth of the records was in, in microseconds: a rate that sinks shows here.
    let tenths: Vec<AtomicU64> = (0..10).map(|_| AtomicU64::new(0)).collect();
    let barrier = Barrier::new(usize::from(args.connections) + 1);
    let worker = |clock: Instant| -> Result<(Sent, Vec<u32>, Duration), Fault> {
        let mut connection = Connection::open(side);
        barrier.wait();
        let connection = connection.as_mut().map_err(|error| error.to_string())?;
        let (mut sent, mut times, mut making, mut own) = (Sent::default(), Vec::new(), Duration::ZERO, Vec::new());
        loop {
            let batch = next.fetch_add(1, Relaxed);
            if batch >= batches {
                return Ok((sent, times, making));
            }
            let (from, to) = range(batch);
            let data = match held.get(batch as usize) {
                Some(made) => made,
                None => {
                    let started = Instant::now();
                    own.clear();
                    generator.write(from, to, copy, &mut own);
                    making += started.elapsed();
                    &own
                }
            };
            bytes.fetch_add(data.len(), Relaxed);
            let started = Instant::now();
            let tenant = (args.tenants > 1).then(|| batch % args.tenants);
            let done = connection.send(data, to - from, tenant, Duration::from_secs(args.patience));
            sent.add(done.inspect_err(|_| next.store(batches, Relaxed))?);
            times.push(micros(started));
            let before = taken.fetch_add(to - from, Relaxed);
            for (at, tenth) in tenths.iter().enumerate() {
                let mark = records * (at as u64 + 1) / 10;
                if before < mark && before + to - from >= mark {
                    tenth.store(clock.elapsed().as_micros() as u64, Relaxed);
                }
            }
        }
    };
    let clock = Instant::now();
    let (outcome, seconds) = thread::scope(|scope| {
        let threads: Vec<_> = (0..args.connections).map(|_| scope.spawn(|| worker(clock))).collect();
        barrier.wait();
        let begun = clock.elapsed();
        let outcome: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a sender panicked".into())))
            .collect();
        (outcome, (clock.elapsed() - begun).as_secs_f64())
    });
    let (mut sent, mut times, mut making) = (Sent::default(), Vec::new(), Duration::ZERO);
    for one in outcome {
        let (more, latency, made) = one?;
        sent.add(more);
        times.extend(latency);
        making += made;
    }
    let (mut last, mut slices) = (0, Vec::new());
    for tenth in tenths {
        let at = tenth.into_inner();
        slices.push((records as f64 / 10.0 / (at.saturating_sub(last).max(1) as f64 / 1e6)).round());
        last = at;
    }
    let rate = records as f64 / seconds;
    eprintln!("{}: {rate:.0} records/s ({seconds:.1} s, {} tries again)", side.name(), sent.retries);
    let mut line = members(json!({
        "bench": "ingest", "records": records, "batch": args.batch, "connections": args.connections, "tenants": args.tenants,
        "bytes": bytes.into_inner(), "seconds": round(seconds), "records_per_s": round(rate), "tenths_per_s": slices,
        "accepted": sent.accepted, "duplicate": sent.duplicate, "retries": sent.retries, "waited_s": round(sent.waited.as_secs_f64()),
        "generator_s": round(making.as_secs_f64()),
    }));
    line.extend(latencies(times));
    Ok(line)
}

/// The first `count` batches, made by two threads.
fn make(generator: &Generator, count: u64, range: &(impl Fn(u64) -> (u64, u64) + Sync), copy: bool) -> Vec<Vec<u8>> {
    let part = |from: u64, to: u64| -> Vec<Vec<u8>> {
        (from..to)
            .map(|batch| {
                let (from, to) = range(batch);
                let mut out = Vec::with_capacity((to - from) as usize * 560);
                generator.write(from, to, copy, &mut out);
                out
            })
            .collect()
    };
    thread::scope(|scope| {
        let second = scope.spawn(|| part(count / 2, count));
        let mut all = part(0, count / 2);
        all.extend(second.join().unwrap_or_default());
        all
    })
}

/// Sends single records, each due at its own moment whether or not the earlier ones are answered (an open loop), so a server that
/// stalls is charged for every record that had to wait. PostgreSQL gets each as a `COPY` of one row, its cheapest transaction.
///
/// # Errors
/// A record was not taken.
pub fn single(side: &Side, generator: Generator, args: &SingleArgs) -> Result<Map<String, Value>, Fault> {
    let copy = matches!(side, Side::Postgres(_));
    let (uncounted, count) = (args.rate * args.warm_up, args.rate * (args.warm_up + args.seconds));
    let next = AtomicU64::new(0);
    let barrier = Barrier::new(usize::from(args.connections));
    let worker = |clock: Instant| -> Result<(Vec<u32>, Vec<u32>, Sent), Fault> {
        let mut connection = Connection::open(side);
        barrier.wait();
        let connection = connection.as_mut().map_err(|error| error.to_string())?;
        let (mut due_to_done, mut sent_to_done, mut sent, mut data) =
            (Vec::new(), Vec::new(), Sent::default(), Vec::new());
        loop {
            let at = next.fetch_add(1, Relaxed);
            if at >= count {
                return Ok((due_to_done, sent_to_done, sent));
            }
            data.clear();
            generator.write(args.first + at, args.first + at + 1, copy, &mut data);
            let due = clock + Duration::from_nanos(at * 1_000_000_000 / args.rate);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let started = Instant::now();
            let done = connection.send(&data, 1, None, Duration::from_secs(30));
            sent.add(done.inspect_err(|_| next.store(count, Relaxed))?);
            if at >= uncounted {
                due_to_done.push(micros(due));
                sent_to_done.push(micros(started));
            }
        }
    };
    let clock = Instant::now() + Duration::from_millis(500);
    let outcome: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..args.connections).map(|_| scope.spawn(|| worker(clock))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("a sender panicked".into()))).collect()
    });
    let seconds = clock.elapsed().as_secs_f64();
    let (mut due, mut service, mut sent) = (Vec::new(), Vec::new(), Sent::default());
    for one in outcome {
        let (more_due, more_service, more) = one?;
        due.extend(more_due);
        service.extend(more_service);
        sent.add(more);
    }
    let mut line = members(json!({
        "bench": "single", "rate": args.rate, "seconds": args.seconds, "connections": args.connections, "counted": due.len(),
        "achieved_per_s": round(count as f64 / seconds), "accepted": sent.accepted, "duplicate": sent.duplicate, "retries": sent.retries,
    }));
    line.insert("service".into(), Value::Object(latencies(service)));
    line.extend(latencies(due));
    eprintln!(
        "{}: {} records/s one by one, p50 {} ms, p99 {} ms",
        side.name(),
        args.rate,
        line["p50_ms"],
        line["p99_ms"]
    );
    Ok(line)
}

#[cfg(test)]
mod tests;
