//! Batches to the server, several at a time, each until it is in or refused.
//!
//! Owns retries: a batch whose answer is lost is sent again, which is safe because ids are idempotency keys, and those of a system's own
//! records that have none are made of the batch's. Waits
//! grow from one try to the next, honour `Retry-After`, and end after [`Target::patience`].

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::Method;

use super::split::Refused;
use super::{Counts, Rejected};
use crate::client::http::{Ask, Client, Problem, Trouble};
use crate::client::interrupt::Stop;
use crate::client::{Exit, Failure};

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Records that travel together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) number: u64,
    /// NDJSON.
    pub(super) body: Vec<u8>,
    /// Line and place in the file of each record in the body, and where its line ends there.
    pub(super) sent: Vec<Place>,
    /// Records that are refused without asking the server.
    pub(super) refused: Vec<Rejected>,
    /// Records of the file dealt with once this batch is, and the chain over them.
    pub(super) records: u64,
    pub(super) chain: super::prepare::Chain,
}

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) record: u64,
    /// Where its line in the body ends.
    pub(super) end: usize,
}

/// What became of a batch.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) batch: Batch,
    pub(super) counts: Counts,
    /// Refused ones, and those kept as they came.
    pub(super) rejected: Vec<Rejected>,
    /// What the server says the records are, and how sure it is.
    pub(super) detected: Option<(String, u8)>,
    pub(super) tree_size: Option<u64>,
    /// What ended it early; the other members then say how far it came.
    pub(super) failed: Option<Failure>,
}

/// Where batches go.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) client: Client,
    pub(super) path: String,
    /// Whether one text may hold several records, and so the answer be for more than was sent.
    pub(super) native: bool,
    /// How long a batch may stay without success.
    pub(super) patience: Duration,
    pub(super) stop: Stop,
}

#[derive(Deserialize)]
struct Answer {
    accepted: u64,
    duplicate: u64,
    rejected: u64,
    #[serde(default)]
    unparsed: u64,
    #[serde(default)]
    system: Option<String>,
    #[serde(default)]
    confidence: Option<u8>,
    #[serde(default)]
    tree_size: Option<u64>,
    #[serde(default)]
    results: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    status: String,
    #[serde(default)]
    line: Option<u64>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    field: String,
    #[serde(default)]
    detail: String,
}

impl Answer {
    /// How many records it is for.
    fn count(&self) -> u64 {
        self.accepted.saturating_add(self.duplicate).saturating_add(self.rejected)
    }
}

/// Threads that send batches.
pub(super) struct Senders {
    batches: Option<Sender<Batch>>,
    results: Receiver<Delivered>,
    threads: Vec<JoinHandle<()>>,
    /// Batches handed over and not come back.
    pub(super) under_way: usize,
}

impl Senders {
    pub(super) fn start(target: &Target, threads: usize) -> Senders {
        let (batches, taken) = channel::<Batch>();
        let (done, results) = channel();
        let taken = Arc::new(Mutex::new(taken));
        let threads = (0..threads.max(1)).map(|_| {
            let (target, taken, done) = (target.clone(), Arc::clone(&taken), done.clone());
            std::thread::spawn(move || {
                loop {
                    let next = taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(batch) = next else { return };
                    if done.send(deliver(&target, batch)).is_err() {
                        return;
                    }
                }
            })
        });
        Senders { batches: Some(batches), results, threads: threads.collect(), under_way: 0 }
    }

    pub(super) fn send(&mut self, batch: Batch) {
        if let Some(batches) = &self.batches
            && batches.send(batch).is_ok()
        {
            self.under_way += 1;
        }
    }

    /// The next batch to come back, whichever it is.
    pub(super) fn next(&mut self) -> Option<Delivered> {
        if self.under_way == 0 {
            return None;
        }
        self.under_way -= 1;
        self.results.recv().ok()
    }
}

impl Drop for Senders {
    fn drop(&mut self) {
        self.batches = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Sends a batch until every record of it is in or refused.
fn deliver(target: &Target, batch: Batch) -> Delivered {
    let mut done = Delivered {
        counts: Counts { rejected: batch.refused.len() as u64, ..Counts::default() },
        rejected: batch.refused.clone(),
        detected: None,
        tree_size: None,
        failed: None,
        batch,
    };
    // Ranges of records still to be sent; a body that is too large is halved.
    let mut left = vec![(0, done.batch.sent.len())];
    while let Some((from, to)) = left.pop() {
        if from == to {
            continue;
        }
        let sent = done.batch.sent.get(from..to).unwrap_or_default();
        let start = from.checked_sub(1).and_then(|before| done.batch.sent.get(before)).map_or(0, |place| place.end);
        let end = sent.last().map_or(start, |place| place.end);
        let body = done.batch.body.get(start..end).unwrap_or_default();
        // The same of a run that is gone on with, as batches are made of the file alone.
        let key = target.native.then(|| format!("{}-{from}-{to}", done.batch.chain.to_text()));
        match post(target, body, key.as_deref(), sent.len(), &mut done.counts) {
            Ok(answer) => {
                done.tree_size = answer.tree_size.or(done.tree_size);
                done.detected = answer.system.clone().zip(answer.confidence).or(done.detected);
                let rejected = rejections(&answer, sent);
                done.rejected.extend(rejected);
            }
            Err(Trouble::Problem(problem)) if problem.status == 413 && sent.len() > 1 => {
                let middle = from + sent.len() / 2;
                left.push((middle, to));
                left.push((from, middle));
            }
            Err(Trouble::Problem(problem)) if matches!(problem.status, 400 | 409 | 413 | 422) && sent.len() == 1 => {
                done.counts.rejected += 1;
                done.rejected.extend(sent.iter().map(|place| refused_by(&problem, place)));
            }
            Err(trouble) => {
                done.failed = Some(trouble.into());
                break;
            }
        }
    }
    done
}

fn refused_by(problem: &Problem, place: &Place) -> Rejected {
    let code = if problem.code.is_empty() { format!("http_{}", problem.status) } else { problem.code.clone() };
    Rejected { line: place.line, record: place.record, kept: false, refused: Refused { code, detail: problem.line() } }
}

/// The ones of an answer that were rejected or kept as they came, with their lines in the file. Where the answer is for other than
/// the texts that were sent, which of them it means is not known: then it is the batch's first.
fn rejections(answer: &Answer, sent: &[Place]) -> Vec<Rejected> {
    let several = answer.count() != sent.len() as u64;
    let listed = answer.results.iter().filter_map(|item| {
        let code = item.code.clone()?;
        let at = if several { Some(0) } else { usize::try_from(item.line?).ok()?.checked_sub(1) };
        let place = at.and_then(|at| sent.get(at))?;
        // The detail usually names the field itself.
        let detail = if item.field.is_empty() || item.detail.contains(&item.field) {
            item.detail.clone()
        } else {
            format!("{}: {}", item.field, item.detail)
        };
        let kept = item.status == "unparsed";
        Some(Rejected { line: place.line, record: place.record, kept, refused: Refused { code, detail } })
    });
    listed.collect()
}

/// Sends one body until there is an answer that waiting does not change.
fn post(
    target: &Target,
    body: &[u8],
    key: Option<&str>,
    records: usize,
    counts: &mut Counts,
) -> Result<Answer, Trouble> {
    let begun = Instant::now();
    let mut wait = FIRST_WAIT;
    let mut uncertain = false;
    loop {
        let ask = Ask {
            method: Method::POST,
            body: Some(("application/x-ndjson", body)),
            patience: Duration::from_secs(120),
            idempotency_key: key,
            ..Ask::get(&target.path)
        };
        let trouble = match target.client.call(&ask).and_then(|reply| reply.bytes(super::MAX_ANSWER)) {
            Ok(bytes) => {
                let answer = read_answer(&bytes, records, target.native)?;
                counts.accepted += answer.accepted;
                counts.duplicate += answer.duplicate;
                counts.rejected += answer.rejected;
                counts.unparsed += answer.unparsed;
                if uncertain {
                    counts.duplicate_after_retry += answer.duplicate;
                }
                return Ok(answer);
            }
            Err(trouble) => trouble,
        };
        let asked = match &trouble {
            Trouble::Connection(_) => {
                uncertain = true;
                Duration::ZERO
            }
            Trouble::Problem(problem) if problem.is_temporary() => problem.retry_after.unwrap_or_default(),
            Trouble::Problem(problem) if records > 1 => {
                let Some(answer) = all_refused(problem, records) else { return Err(trouble) };
                counts.rejected += answer.rejected;
                return Ok(answer);
            }
            Trouble::Problem(_) | Trouble::Unusable(_) => return Err(trouble),
        };
        let pause = asked.max(wait + jitter(wait));
        if begun.elapsed() + pause > target.patience || !target.stop.sleep(pause) {
            return Err(trouble);
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// A batch of which every record was refused is a problem for the server, and one answer among others for the file: what comes after
/// it may be taken.
fn all_refused(problem: &Problem, records: usize) -> Option<Answer> {
    let answer: Answer = serde_json::from_str(&problem.body).ok()?;
    (answer.accepted == 0 && answer.duplicate == 0 && answer.rejected == records as u64).then_some(answer)
}

fn read_answer(bytes: &[u8], records: usize, native: bool) -> Result<Answer, Trouble> {
    // Not one to repeat: the records may well be in, and the server speaks another language.
    let unusable = Trouble::Unusable;
    let answer: Answer = serde_json::from_slice(bytes).map_err(|e| {
        unusable(format!("the answer to a batch is not of the shape expected: {e}; is this an Indelible server?"))
    })?;
    let answered = answer.count();
    if answered != records as u64 && (!native || answered > u64::from(u32::MAX)) {
        return Err(unusable(format!("a batch of {records} records was answered for {answered}")));
    }
    Ok(answer)
}

/// Up to half as much again, so that clients turned away together do not come back together.
fn jitter(wait: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    wait.mul_f64(0.5 * (random as f64 / u64::MAX as f64))
}

/// The failure of a run that was asked to stop.
pub(super) fn interrupted() -> Failure {
    Failure::new(Exit::Interrupted, "interrupted")
}
