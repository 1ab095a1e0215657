//! `ingest`: a file of records into a tenant, in batches, resumable, with exact counts at the end.
//!
//! Owns the run: reading ahead just far enough, what is shown while it goes on, and what it ends with. Its steps are
//! files of their own: [`open`] → [`split`] → [`prepare`] → [`send`], with [`state`] remembering how far it came.
//!
//! Counts rest on this order: a batch is *under way* until the server has answered for every record in it; progress is
//! saved only up to the first batch that is still under way. A crash in between sends some records again, and their ids
//! make the server count them as duplicates, never twice.

mod open;
mod prepare;
mod send;
mod shape;
mod split;
mod state;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::{Deserialize, Serialize};

use self::open::Input;
use self::prepare::Chain;
use self::send::{Batch, Delivered, Place, Senders, Target};
use self::shape::Shape;
use self::split::{Native, Pieces, Refused};
use self::state::Progress;
use super::http::{Client, tenant_path};
use super::interrupt::Stop;
use super::output::Console;
use super::{Connect, Exit, Failure, Outcome, bars_wanted, note};

/// What a file holds, decompressed and as UTF-8, or what comes over stdin for `-`: for those who read it whole.
///
/// # Errors
/// It cannot be opened.
pub fn reader(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    open::open(path).map(|input| input.reader)
}

/// Records in a batch, and its bytes.
const BATCH_RECORDS: usize = 1000;
const BATCH_BYTES: usize = 4 << 20;
/// Rejected records shown one by one.
const SHOWN: u64 = 20;
/// The largest answer to a batch.
const MAX_ANSWER: u64 = 16 << 20;

/// Send a file of records to a tenant
#[derive(Debug, Clone, clap::Args)]
pub struct IngestArgs {
    /// JSON array, JSON object, NDJSON, or what a system writes, plain or compressed with gzip or zstd; - reads stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Tenant to send to
    #[arg(long, value_name = "TENANT")]
    pub tenant: String,
    /// Records are in this system's own shape, or in that of a source of the tenant; records: in ours [default: told by how
    /// the input begins]
    #[arg(long, value_name = "NAME")]
    pub system: Option<String>,
    /// Batches on their way at the same time; 1 keeps the order of the file
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub in_flight: u8,
    /// Write every rejected record into this file as JSON lines
    #[arg(long, value_name = "FILE")]
    pub errors: Option<PathBuf>,
    /// Keep the progress of the run in this file [default: in ~/.cache/indelible, for files]
    #[arg(long, value_name = "FILE", conflicts_with = "no_resume")]
    pub resume: Option<PathBuf>,
    /// Begin from the start and remember nothing
    #[arg(long)]
    pub no_resume: bool,
    /// Give up when the server has not taken anything for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub give_up_after: u64,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
    /// Write the counts as JSON
    #[arg(long)]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub connect: Connect,
}

/// What became of the records of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// New in the ledger.
    pub accepted: u64,
    /// There before, with the same content.
    pub duplicate: u64,
    /// Refused.
    pub rejected: u64,
    /// Of the accepted and duplicate ones, those that were not understood and are kept as they came.
    #[serde(default)]
    pub unparsed: u64,
    /// Of the duplicates, those in batches that had been sent before without an answer coming back: they may be ours.
    pub duplicate_after_retry: u64,
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.accepted += other.accepted;
        self.duplicate += other.duplicate;
        self.rejected += other.rejected;
        self.unparsed += other.unparsed;
        self.duplicate_after_retry += other.duplicate_after_retry;
    }

    fn total(&self) -> u64 {
        self.accepted + self.duplicate + self.rejected
    }
}

/// A record that is not in, or only as it came.
#[derive(Debug, Clone)]
struct Rejected {
    line: u64,
    record: u64,
    /// Not understood, and kept.
    kept: bool,
    refused: Refused,
}

/// `indelible ingest`.
///
/// # Errors
/// What kept the run from coming to its end. Rejected records are no error but an [`Exit`].
pub fn run_ingest(args: &IngestArgs) -> Outcome {
    let stop = Stop::on_interrupt();
    ingest(args, stop, &mut Console::stdout())
}

fn ingest(args: &IngestArgs, stop: Stop, console: &mut Console<'_>) -> Outcome {
    let client = Client::new(&args.connect)?;
    let mut input = open::open(&args.file)?;
    let shape = Shape::find(&args.file, &mut input, args.system.as_deref())?;
    let target = format!("{} {} {}", client.base(), args.tenant, shape.system().unwrap_or("records"));
    let path = match shape.system() {
        Some(system) => tenant_path(&args.tenant, &["ingest", system]),
        None => tenant_path(&args.tenant, &["records"]),
    };
    let is_stdin = args.file.as_os_str() == "-";
    let state = match &args.resume {
        _ if args.no_resume => None,
        Some(path) => Some(path.clone()),
        None if is_stdin => None,
        None => Some(state::default_path(&args.file, &target)?),
    };
    let earlier =
        state.as_ref().filter(|path| path.try_exists().unwrap_or(true)).and_then(|path| state::read(path, &target));
    let native = match shape.system() {
        None => Native::No,
        Some("guide" | "auto") => Native::Table,
        Some(_) => Native::Lines,
    };
    let (source, earlier) = Source::open(&args.file, input, native, earlier)?;

    let patience = Duration::from_secs(args.give_up_after);
    let to = Target { client, path, native: shape != Shape::Plain, patience, stop: stop.clone() };
    let mut run = Run {
        bar: bar(args.quiet, source.size),
        errors: Errors::open(args.errors.as_deref())?,
        done: Progress {
            version: 1,
            target,
            records: source.records,
            chain: source.chain.to_text(),
            counts: earlier.unwrap_or_default(),
        },
        early: BTreeMap::new(),
        next: 0,
        state,
        saved: Instant::now(),
        begun: Instant::now(),
        begun_at: source.records,
        tree_size: None,
        failed: None,
        shape,
    };
    let senders = Senders::start(&to, usize::from(args.in_flight));
    run.send_all(source, senders, &to, usize::from(args.in_flight));
    run.finish(args, console)
}

/// The records of a file, from where the last run ended.
struct Source {
    pieces: Pieces<Box<dyn std::io::BufRead>>,
    chain: Chain,
    records: u64,
    taken: std::sync::Arc<std::sync::atomic::AtomicU64>,
    size: Option<u64>,
}

impl Source {
    /// Steps over what an earlier run of the file dealt with, if the content is still the same.
    fn open(
        path: &Path,
        input: Input,
        native: Native,
        earlier: Option<Progress>,
    ) -> Result<(Source, Option<Counts>), Failure> {
        let fresh = |input: Input| Source {
            pieces: Pieces::new(input.reader, native),
            chain: Chain::default(),
            records: 0,
            taken: input.taken,
            size: input.size,
        };
        let mut source = fresh(input);
        let Some(earlier) = earlier else { return Ok((source, None)) };
        while source.records < earlier.records {
            let piece = source.pieces.next().map_err(|e| Failure::file("read", path, &e))?;
            let Some(piece) = piece else { break };
            source.chain.push(&piece);
            source.records += 1;
        }
        if source.records == earlier.records && source.chain.to_text() == earlier.chain {
            note(&format!("going on after {} records that an earlier run dealt with", earlier.records));
            return Ok((source, Some(earlier.counts)));
        }
        if path.as_os_str() == "-" {
            return Err(Failure::other("stdin is not what the earlier run read; use --no-resume"));
        }
        note("the file has changed since the earlier run; beginning from the start");
        Ok((fresh(open::open(path)?), None))
    }

    /// The next batch; `None` at the end of the file.
    fn batch(&mut self, number: u64, plain: bool) -> std::io::Result<Option<Batch>> {
        let mut batch = Batch { number, ..Batch::default() };
        while batch.sent.len() + batch.refused.len() < BATCH_RECORDS && batch.body.len() < BATCH_BYTES {
            let Some(piece) = self.pieces.next()? else { break };
            self.chain.push(&piece);
            self.records += 1;
            match prepare::line(&piece, &self.chain, plain) {
                Ok(line) => {
                    batch.body.extend_from_slice(&line);
                    batch.sent.push(Place { line: piece.line, record: self.records, end: batch.body.len() });
                }
                Err(refused) => {
                    batch.refused.push(Rejected { line: piece.line, record: self.records, kept: false, refused })
                }
            }
        }
        batch.records = self.records;
        batch.chain = self.chain;
        Ok((!batch.sent.is_empty() || !batch.refused.is_empty()).then_some(batch))
    }
}

/// A run under way.
struct Run {
    bar: ProgressBar,
    errors: Errors,
    /// What is dealt with from the beginning of the file without a gap.
    done: Progress,
    /// Batches that came back before an earlier one.
    early: BTreeMap<u64, (u64, Chain, Counts)>,
    /// The batch that `done` waits for.
    next: u64,
    state: Option<PathBuf>,
    saved: Instant,
    begun: Instant,
    begun_at: u64,
    tree_size: Option<u64>,
    /// Why the run ends early; the first reason counts.
    failed: Option<Failure>,
    shape: Shape,
}

impl Run {
    fn send_all(&mut self, mut source: Source, mut senders: Senders, to: &Target, in_flight: usize) {
        let mut number = 0;
        while self.failed.is_none() {
            if to.stop.is_set() {
                self.failed = Some(send::interrupted());
                break;
            }
            match source.batch(number, !to.native) {
                Ok(Some(batch)) => senders.send(batch),
                Ok(None) => break,
                Err(e) => {
                    self.failed = Some(Failure::other(format!(
                        "the input cannot be read on after {} records: {e}",
                        source.records
                    )));
                    break;
                }
            }
            number += 1;
            self.bar.set_position(source.taken.load(Ordering::Relaxed));
            while senders.under_way >= in_flight {
                self.take(senders.next(), to);
            }
        }
        while senders.under_way > 0 {
            self.take(senders.next(), to);
        }
        self.bar.finish_and_clear();
    }

    /// Takes what became of a batch.
    fn take(&mut self, delivered: Option<Delivered>, to: &Target) {
        let Some(mut delivered) = delivered else {
            self.failed.get_or_insert_with(|| Failure::other("a sending thread has gone"));
            return;
        };
        self.tree_size = self.tree_size.max(delivered.tree_size);
        if let Some((system, sure)) = delivered.detected.take()
            && self.shape.system() == Some("auto")
        {
            self.bar.suspend(|| note(&format!("the server takes the records for {system}'s ({sure} % sure)")));
            self.shape = Shape::Native(system, Some(sure));
        }
        delivered.rejected.sort_by_key(|rejected| rejected.record);
        for rejected in &delivered.rejected {
            self.errors.add(rejected, &self.bar);
        }
        // Records that the server counts as rejected and does not list.
        let listed = delivered.rejected.iter().filter(|rejected| !rejected.kept).count() as u64;
        self.errors.unlisted += delivered.counts.rejected.saturating_sub(listed);
        let failed = delivered.failed.is_some();
        if let Some(failure) = delivered.failed {
            let failure = if to.stop.is_set() { send::interrupted() } else { failure };
            self.failed.get_or_insert(failure);
        }
        let batch = delivered.batch;
        self.early.insert(batch.number, (if failed { 0 } else { batch.records }, batch.chain, delivered.counts));
        self.advance();
        let rate = (self.done.records - self.begun_at) as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        self.bar.set_message(format!("{} records, {rate:.0}/s", self.done.records));
        if self.saved.elapsed() > Duration::from_secs(1) {
            self.save();
        }
    }

    /// Moves `done` over the batches that follow it without a gap.
    fn advance(&mut self) {
        while let Some((records, chain, counts)) = self.early.get(&self.next).copied() {
            if records == 0 {
                // A failed batch: nothing after it is dealt with.
                return;
            }
            self.early.remove(&self.next);
            self.done.counts.add(&counts);
            self.done.records = records;
            self.done.chain = chain.to_text();
            self.next += 1;
        }
    }

    fn save(&mut self) {
        self.saved = Instant::now();
        if let Some(path) = &self.state
            && self.done.records > 0
            && let Err(failure) = state::write(path, &self.done)
        {
            note(&format!("the progress cannot be kept: {failure}"));
            self.state = None;
        }
    }

    /// How sure it is whose records they are, where that was told by the shape.
    fn sure(&self) -> Option<u8> {
        match self.shape {
            Shape::Native(_, sure) => sure,
            Shape::Plain => None,
        }
    }

    fn finish(mut self, args: &IngestArgs, console: &mut Console<'_>) -> Outcome {
        self.errors.finish()?;
        // Batches past the one that failed are in, too.
        let mut counts = self.done.counts;
        self.early.values().for_each(|(_, _, more)| counts.add(more));
        if self.failed.is_some() {
            self.save();
        } else if let Some(path) = &self.state {
            let _ = std::fs::remove_file(path);
        }
        if args.json {
            let summary = serde_json::json!({
                "tenant": args.tenant, "complete": self.failed.is_none(), "records": counts.total(),
                "accepted": counts.accepted, "duplicate": counts.duplicate, "rejected": counts.rejected,
                "unparsed": counts.unparsed, "system": self.shape.system(), "confidence": self.sure(),
                "duplicate_after_retry": counts.duplicate_after_retry, "tree_size": self.tree_size,
                "seconds": (self.begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
            });
            console.line(summary.to_string())?;
        } else {
            let Counts { accepted, duplicate, rejected, unparsed, .. } = counts;
            let kept =
                if unparsed > 0 { format!("; {unparsed} not understood and kept as they came") } else { String::new() };
            console.line(format!(
                "{} records: {accepted} accepted, {duplicate} duplicate, {rejected} rejected{kept}",
                counts.total()
            ))?;
        }
        console.flush()?;
        if counts.duplicate_after_retry > 0 {
            note(&format!(
                "{} of the duplicates were sent twice by this run, because an answer was lost; they may be its own",
                counts.duplicate_after_retry
            ));
        }
        if let Some(failure) = self.failed {
            let again = match self.state.is_some() && self.done.records > 0 {
                true => "; run the same command again to go on from there",
                false => "; run the same command again, records that are in count as duplicates",
            };
            return Err(Failure::new(
                failure.exit,
                format!("{} after {} records{again}", failure.message, counts.total()),
            ));
        }
        Ok(match counts {
            Counts { rejected: 0, .. } => Exit::Ok,
            Counts { accepted: 0, duplicate: 0, .. } => Exit::Failure,
            _ => Exit::Partial,
        })
    }
}

/// Where rejected records are told of.
struct Errors {
    file: Option<(PathBuf, BufWriter<File>)>,
    shown: u64,
    hidden: u64,
    unlisted: u64,
    /// The first failed write.
    failed: Option<Failure>,
}

impl Errors {
    fn open(path: Option<&Path>) -> Result<Errors, Failure> {
        let file = match path {
            None => None,
            Some(path) => {
                let file = File::create(path).map_err(|e| Failure::file("create", path, &e))?;
                Some((path.to_owned(), BufWriter::new(file)))
            }
        };
        Ok(Errors { file, shown: 0, hidden: 0, unlisted: 0, failed: None })
    }

    fn add(&mut self, rejected: &Rejected, bar: &ProgressBar) {
        let Rejected { line, record, kept, refused: Refused { code, detail } } = rejected;
        let status = if *kept { "unparsed" } else { "rejected" };
        if let Some((path, file)) = &mut self.file {
            let text =
                serde_json::json!({"line": line, "record": record, "status": status, "code": code, "detail": detail});
            if let Err(e) = writeln!(file, "{text}") {
                self.failed.get_or_insert_with(|| Failure::file("write", path, &e));
            }
        }
        if self.shown < SHOWN {
            self.shown += 1;
            let word = if *kept { "kept as it came: " } else { "" };
            bar.suspend(|| note(&format!("line {line}: {word}{detail} ({code})")));
        } else {
            self.hidden += 1;
        }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let more = self.hidden + self.unlisted;
        if more > 0 {
            let place = match &self.file {
                Some((path, _)) => format!("all are in {}", path.display()),
                None => "--errors FILE lists all of them".to_owned(),
            };
            note(&format!("and {more} more; {place}"));
        }
        if let Some((path, file)) = &mut self.file {
            file.flush().map_err(|e| Failure::file("write", path, &e))?;
        }
        self.failed.take().map_or(Ok(()), Err)
    }
}

fn bar(quiet: bool, size: Option<u64>) -> ProgressBar {
    if quiet || !bars_wanted() {
        return ProgressBar::hidden();
    }
    let template = match size {
        Some(_) => "{bar:30} {bytes} of {total_bytes}, {msg}, {eta} left",
        None => "{spinner} {bytes}, {msg}",
    };
    let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr());
    let bar = ProgressStyle::with_template(template).map_or(bar.clone(), |style| bar.with_style(style));
    bar.set_message("0 records");
    bar
}

#[cfg(test)]
mod tests;
