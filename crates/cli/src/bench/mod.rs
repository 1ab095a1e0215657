//! `indelible bench`: the load behind every figure in BENCHMARKS.md, for Indelible and for PostgreSQL alike.
//!
//! Owns: the command line, and the one line of JSON on stdout that each measurement becomes (prose goes to stderr). Not here:
//! starting servers, pinning, alternating the sides, disk sizes: `bench/run` does that and calls these commands.
//!
//! | file | what it does |
//! | --- | --- |
//! | `generate`, `tables`, `text` | makes the records from a seed |
//! | `load` | sends batches as fast as they are taken, or single records at a fixed rate |
//! | `native` | sends systems' own records and the same ones as envelopes in turn |
//! | `queries` | asks the same questions of both sides |
//! | `http`, `postgres` | the two ways to a server, both our own and nearly free |
//! | `probe`, `report` | what the disk can do; the table from the raw lines |

mod generate;
mod http;
mod load;
mod native;
mod postgres;
mod probe;
mod queries;
mod report;
mod tables;
mod text;

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Instant,
};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use generate::{END, Generator, SEED};

/// What can go wrong in a benchmark, as a sentence.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Measure a running server with generated records; one JSON line per measurement on stdout.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Which measurement.
    #[command(subcommand)]
    command: Command,
    /// Written into each result line as `round`, to tell repeated runs apart.
    #[arg(long, global = true, default_value_t = 1)]
    round: u32,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write records as NDJSON (or rows for COPY) to stdout, or only measure how fast they are made.
    Generate {
        #[command(flatten)]
        records: RecordArgs,
        /// Number of the first record.
        #[arg(long, default_value_t = 0)]
        first: u64,
        /// Rows of PostgreSQL's COPY instead of NDJSON.
        #[arg(long)]
        copy: bool,
        /// Write nothing; print the rate and the mean size.
        #[arg(long)]
        measure: bool,
    },
    /// Send all records in batches, as fast as they are taken.
    Ingest {
        #[command(flatten)]
        side: SideArgs,
        #[command(flatten)]
        records: RecordArgs,
        #[command(flatten)]
        load: load::IngestArgs,
    },
    /// Send single records at a fixed rate; latency counts from when each was due.
    Single {
        #[command(flatten)]
        side: SideArgs,
        #[command(flatten)]
        records: RecordArgs,
        #[command(flatten)]
        load: load::SingleArgs,
    },
    /// Send each system's own records and the same ones as envelopes, in turn, and compare.
    Native {
        #[command(flatten)]
        side: SideArgs,
        #[command(flatten)]
        records: RecordArgs,
        #[command(flatten)]
        load: native::NativeArgs,
    },
    /// Time look-ups, pages, contains, histogram, top addresses and proofs on a side that holds all records.
    Queries {
        #[command(flatten)]
        side: SideArgs,
        #[command(flatten)]
        records: RecordArgs,
        #[command(flatten)]
        queries: queries::QueryArgs,
    },
    /// Run one SQL statement on the PostgreSQL side and print its rows.
    Sql {
        /// Socket file, or host:port.
        #[arg(long)]
        postgres: String,
        /// The statement.
        sql: String,
    },
    /// Measure how long write + fdatasync takes on the disk under a folder.
    Disk {
        /// Any folder on that disk.
        dir: PathBuf,
        /// How many times.
        #[arg(long, default_value_t = 300)]
        times: u32,
    },
    /// Print the Markdown table of a file of result lines.
    Report {
        /// The file that bench/run wrote.
        file: PathBuf,
    },
}

/// Which server.
#[derive(Clone, Debug, Args)]
pub struct SideArgs {
    /// Address of the Indelible server.
    #[arg(long, env = "INDELIBLE_URL", default_value = "http://127.0.0.1:7440")]
    url: String,
    /// Its key.
    #[arg(long, env = "INDELIBLE_KEY", hide_env_values = true, default_value = "")]
    key: String,
    /// A file with its key.
    #[arg(long, env = "INDELIBLE_KEY_FILE")]
    key_file: Option<PathBuf>,
    /// Tenant that the records belong to.
    #[arg(long, default_value = "bench")]
    tenant: String,
    /// Measure PostgreSQL instead: its socket file, or host:port (database and user `postgres`, no password).
    #[arg(long, value_name = "SOCKET")]
    postgres: Option<String>,
}

/// A server to measure.
#[derive(Clone, Debug)]
pub enum Side {
    /// Indelible, over HTTP, and the tenant.
    Indelible(http::Target, String),
    /// PostgreSQL, at a socket.
    Postgres(String),
}

impl SideArgs {
    fn side(&self) -> Result<Side, Fault> {
        if let Some(at) = &self.postgres {
            return Ok(Side::Postgres(at.clone()));
        }
        let key = match &self.key_file {
            Some(file) if self.key.is_empty() => std::fs::read_to_string(file)
                .map_err(|error| format!("cannot read the key file {}: {error}", file.display()))?,
            _ => self.key.clone(),
        };
        Ok(Side::Indelible(http::Target::new(&self.url, &key)?, self.tenant.clone()))
    }
}

impl Side {
    fn name(&self) -> &'static str {
        match self {
            Side::Indelible(..) => "indelible",
            Side::Postgres(_) => "postgres",
        }
    }
}

/// Which records.
#[derive(Clone, Copy, Debug, Args)]
pub struct RecordArgs {
    /// How many records the month has.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    records: u64,
    /// Seed; the same seed, end and number give the same bytes.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// When the 30 days end, in seconds since 1970.
    #[arg(long, default_value_t = END / 1_000_000, value_parser = clap::value_parser!(i64).range(2_592_000..=9_000_000_000))]
    end: i64,
}

impl RecordArgs {
    fn generator(&self) -> Generator {
        Generator::new(self.seed, self.end * 1_000_000, self.records)
    }
}

/// Runs one measurement.
///
/// # Errors
/// The server does not answer, or answers what a working server would not; a benchmark never goes on over a failure.
pub fn run(args: &BenchArgs) -> Result<(), Fault> {
    let line = match &args.command {
        Command::Generate { records, first, copy, measure } => generate(records, *first, *copy, *measure)?,
        Command::Ingest { side, records, load } => {
            Some(load::ingest(&side.side()?, &records.generator(), records.records, load)?)
        }
        Command::Single { side, records, load } => Some(load::single(&side.side()?, records.generator().live(), load)?),
        Command::Queries { side, records, queries } => {
            let side = side.side()?;
            queries::run(&side, &records.generator(), records.records, queries, &mut |line| {
                emit(args.round, &side, line)
            })?;
            None
        }
        Command::Native { side, records, load } => {
            let side = side.side()?;
            let Side::Indelible(target, tenant) = &side else {
                return Err("PostgreSQL knows no system's own records".into());
            };
            native::run(target, tenant, &records.generator(), load, &mut |line| emit(args.round, &side, line))?;
            None
        }
        Command::Sql { postgres, sql } => {
            for row in postgres::Postgres::connect(postgres)?.query(sql)? {
                let values: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
                writeln!(io::stdout(), "{}", values.join("\t"))?;
            }
            None
        }
        Command::Disk { dir, times } => {
            for line in probe::fdatasync(dir, *times)? {
                writeln!(io::stdout(), "{}", Value::Object(line))?;
            }
            None
        }
        Command::Report { file } => {
            let text =
                std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            write!(io::stdout(), "{}", report::markdown(&text)?)?;
            None
        }
    };
    match (line, &args.command) {
        (Some(line), Command::Ingest { side, .. } | Command::Single { side, .. }) => {
            emit(args.round, &side.side()?, line)
        }
        (Some(line), _) => Ok(writeln!(io::stdout(), "{}", Value::Object(line))?),
        (None, _) => Ok(()),
    }
}

fn emit(round: u32, side: &Side, mut line: Map<String, Value>) -> Result<(), Fault> {
    line.insert("side".into(), json!(side.name()));
    line.insert("round".into(), json!(round));
    writeln!(io::stdout(), "{}", Value::Object(line))?;
    Ok(())
}

fn generate(records: &RecordArgs, first: u64, copy: bool, measure: bool) -> Result<Option<Map<String, Value>>, Fault> {
    const PIECE: u64 = 10_000;
    let generator = records.generator();
    let (mut bytes, mut out) = (0, Vec::new());
    let started = Instant::now();
    let mut stdout = io::stdout().lock();
    for from in (0..records.records).step_by(PIECE as usize) {
        out.clear();
        generator.write(first + from, first + (from + PIECE).min(records.records), copy, &mut out);
        bytes += out.len();
        if !measure {
            match stdout.write_all(&out) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(None),
                done => done?,
            }
        }
    }
    let (seconds, mean) = (started.elapsed().as_secs_f64(), bytes as f64 / records.records as f64 - 1.0);
    eprintln!(
        "{} records of {mean:.1} bytes on average, {:.0} records/s",
        records.records,
        records.records as f64 / seconds
    );
    let line = json!({
        "bench": "generate", "records": records.records, "seed": records.seed, "mean_bytes": round(mean),
        "records_per_s": round(records.records as f64 / seconds),
    });
    Ok(measure.then(|| members(line)))
}

/// The members of a JSON object made by `json!`.
fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Three decimals are enough.
fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// Latencies in microseconds, sorted: what of it is reported.
fn latencies(mut micros: Vec<u32>) -> Map<String, Value> {
    micros.sort_unstable();
    let ms = |value: Option<&u32>| json!(value.map(|&value| round(f64::from(value) / 1_000.0)));
    let mut line = Map::new();
    for (name, share) in [("p50_ms", 0.50), ("p90_ms", 0.90), ("p99_ms", 0.99)] {
        let rank = (micros.len() as f64 * share).ceil() as usize;
        line.insert(name.into(), ms(micros.get(rank.max(1) - 1)));
    }
    line.insert("max_ms".into(), ms(micros.last()));
    line
}

/// The time since `since` in whole microseconds.
fn micros(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let line = latencies((1..=100).rev().map(|ms| ms * 1_000).collect());
        assert_eq!(Value::Object(line), json!({"p50_ms": 50.0, "p90_ms": 90.0, "p99_ms": 99.0, "max_ms": 100.0}));
        assert_eq!(latencies(vec![7_000])["p50_ms"], json!(7.0));
        assert_eq!(latencies(Vec::new())["p99_ms"], Value::Null);
    }

    #[test]
    fn the_command_line_holds_together() {
        #[derive(clap::Parser)]
        struct Program {
            #[command(flatten)]
            bench: BenchArgs,
        }
        use clap::{CommandFactory, Parser};
        Program::command().debug_assert();
        let program = Program::parse_from(["bench", "ingest", "--records", "5000", "--batch", "100", "--round", "2"]);
        assert_eq!(program.bench.round, 2);
    }
}
