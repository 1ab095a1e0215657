//! What was heard of sources that send: a heartbeat and a count for each, and the holes in the numbers of those that number
//! their records.
//!
//! A batch leaves a note in memory when it is durable; every [`EVERY`] what was noted is written with the source, one
//! transaction per source that sent something. So a request waits for none of it. What a `kill -9` takes with it is what was
//! noted since: then counts are too low, and numbers that follow are *not known* to follow ([`state`]). A system that sends
//! under its own name without a source gets one; where it is also fetched from, that source compares and this one is not needed.

pub(crate) mod state;
pub(crate) mod verdict;

use crate::app::App;
use crate::gap;
use crate::intake::Taken;
use crate::native::Natives;
use crate::push;
use catalog::{Source, SourceCounts, SourceNews, SourceSpec};
use event::time;
use ledger::Outcome;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use state::{Run, Sender, Sequence, State, joined};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;
use systems::object;
use systems::pull::Window;
use tokio::sync::watch;

/// Between two writings.
const EVERY: Duration = Duration::from_secs(3);
/// Runs of numbers of a source that are kept between two writings, before they are put in order.
const RUNS: usize = 4096;
const SECOND: i64 = 1_000_000;
/// How long a number is waited for, unless the source says.
pub(crate) const SETTLE: i64 = 300;

type Key = (u32, String);

/// What is not written yet.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    notes: Mutex<HashMap<Key, Note>>,
    /// Sources whose state was taken over since the start, and those of them that have holes to come back to.
    begun: Mutex<HashSet<Key>>,
    waiting: Mutex<HashSet<Key>>,
}

#[derive(Debug, Default)]
struct Note {
    system: String,
    seen: i64,
    counts: SourceCounts,
    events: Option<(i64, i64)>,
    senders: BTreeMap<String, Sender>,
    runs: Vec<Run>,
    /// Of the numbers, those of records that were not here before.
    fresh: Vec<Run>,
}

/// What a batch says of itself, gathered while it is prepared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    events: Option<(i64, i64)>,
    /// Line, number, time.
    numbers: Vec<(usize, u64, i64)>,
}

impl Said {
    /// Looks at the first and the last record, and at each where they are numbered. One that says no time, or is not understood,
    /// came at `now`.
    pub(crate) fn of(natives: &Natives<'_>, pointer: Option<&str>, now: i64) -> Said {
        let ends = [natives.time(0), natives.list.len().checked_sub(1).and_then(|last| natives.time(last))];
        let events = ends.iter().flatten().min().zip(ends.iter().flatten().max()).map(|(a, b)| (*a, *b));
        let mut numbers = Vec::new();
        if let Some(pointer) = pointer {
            let steps: Vec<&str> = pointer.split('/').skip(1).collect();
            for (n, record) in natives.list.iter().enumerate() {
                let Ok(native) = &record.native else { continue };
                let number = object::at(native, &steps);
                let number = number.and_then(|text| text.trim_matches('"').parse().ok());
                if let Some(number) = number {
                    numbers.push((record.line, number, natives.time(n).unwrap_or(now)));
                }
            }
        }
        Said { events, numbers }
    }

    /// Adds what the next part of the body says.
    pub(crate) fn add(&mut self, next: Said) {
        self.events = spanning(self.events, next.events);
        self.numbers.extend(next.numbers);
    }
}

/// The first and the last moment of two spans of time.
fn spanning(one: Option<(i64, i64)>, other: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (one, other) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (one, other) => one.or(other),
    }
}

impl Heard {
    /// Forgets what was noted of a source that was removed: it must be heard again to be there again.
    pub(crate) fn forget(&self, tenant: u32, name: &str) {
        let key = (tenant, name.to_owned());
        self.notes.lock().remove(&key);
        self.waiting.lock().remove(&key);
        self.begun.lock().remove(&key);
    }

    /// Notes a batch that is durable.
    pub(crate) fn note(&self, tenant: u32, from: &From, system: &str, said: &Said, taken: &Taken, now: i64) {
        let sealed = taken.sealed.iter().filter(|s| matches!(s.2, Outcome::Sealed { .. }));
        let new: HashSet<usize> =
            if said.numbers.is_empty() { HashSet::new() } else { sealed.clone().map(|s| s.0).collect() };
        let fresh = sealed.count() as u64;
        let received = (taken.sealed.len() + taken.refused.len()) as u64;
        let refused = taken.refused.iter().filter(|r| r.1 != "id_conflict");
        let missing: HashSet<usize> = refused.map(|r| r.0).collect();
        let runs = said.numbers.iter().filter(|(line, ..)| !missing.contains(line));
        let run = |(_, n, at): &(usize, u64, i64)| Run { low: *n, high: *n, from: *at, to: *at, seen: now };
        let (first, again): (Vec<_>, Vec<_>) = runs.partition(|(line, ..)| new.contains(line));
        let first: Vec<Run> = first.into_iter().map(run).collect();
        let mut notes = self.notes.lock();
        let note = notes.entry((tenant, from.name.clone())).or_default();
        note.system = system.to_owned();
        note.seen = note.seen.max(now);
        note.counts.received += received;
        note.counts.refused += missing.len() as u64;
        note.counts.duplicate += received.saturating_sub(fresh).saturating_sub(missing.len() as u64);
        note.events = spanning(note.events, said.events);
        let sender = note.senders.entry(from.sender.clone()).or_default();
        sender.received += received;
        sender.seen = sender.seen.max(now);
        note.runs.extend(again.into_iter().map(run).chain(first.iter().copied()));
        note.fresh.extend(first);
        for runs in [&mut note.runs, &mut note.fresh] {
            if runs.len() > RUNS {
                *runs = joined(std::mem::take(runs));
            }
        }
    }
}

/// Who sent a batch.
#[derive(Debug, Clone)]
pub(crate) struct From {
    /// The source's name, or the system's.
    pub name: String,
    /// The key's id, or how it was let in without one.
    pub sender: String,
}

/// Who sent to a source, as people are shown it: by key, how much and when last.
pub(crate) fn senders(source: &Source) -> Value {
    let state = State::read(source.position.as_deref(), source.created_at);
    let senders = state.senders.iter();
    senders
        .map(|(key, part)| (key.clone(), json!({ "received": part.received, "last_seen": time::format(part.seen) })))
        .collect::<Map<_, _>>()
        .into()
}

/// The highest number that came from a source that numbers its records.
pub(crate) fn highest(source: &Source) -> Option<u64> {
    State::read(source.position.as_deref(), source.created_at).sequence?.runs.last().map(|run| run.high)
}

/// Writes what is noted until `stop`. Called once.
pub(crate) async fn run(app: App, mut stop: watch::Receiver<bool>) {
    begin(&app);
    // At once, so that a source whose end was in order is known to be counted again.
    write(&app, false).await;
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = async { let _ = stop.wait_for(|stop| *stop).await; } => return,
        }
        write(&app, false).await;
    }
}

/// Writes what is left, after the last request: the end is in order.
pub async fn finish(app: &App) {
    write(app, true).await;
}

/// Sources with numbers are looked at from the start on: their holes may be due.
fn begin(app: &App) {
    let Ok(all) = app.store().catalog().all_sources() else { return };
    let numbered = all.into_iter().filter(|s| s.kind == push::KIND && push::numbering(s).is_some());
    app.heard.waiting.lock().extend(numbered.map(|s| (s.tenant, s.name)));
}

async fn write(app: &App, last: bool) {
    let mut notes = std::mem::take(&mut *app.heard.notes.lock());
    for key in app.heard.waiting.lock().iter() {
        notes.entry(key.clone()).or_default();
    }
    if last {
        // An end in order is told to each that was begun.
        for key in app.heard.begun.lock().iter() {
            notes.entry(key.clone()).or_default();
        }
    }
    for (key, note) in notes {
        if let Err(why) = one(app, &key, note, last).await {
            tracing::warn!(tenant = key.0, source = key.1, why, "what was heard of a source could not be written");
            // The numbers that were noted are lost: those that follow are not known to follow.
            app.heard.begun.lock().remove(&key);
        }
    }
}

/// Writes what is new of one source.
async fn one(app: &App, key: &Key, note: Note, last: bool) -> Result<(), String> {
    let now = app.store().now();
    let catalog = app.store().catalog();
    let Some(source) = of(app, key, &note, now)? else {
        app.heard.waiting.lock().remove(key);
        return Ok(());
    };
    let tenant = catalog.tenant_by_number(key.0).ok_or("there is no such tenant")?;
    let before = State::read(source.position.as_deref(), now);
    let mut state = before.clone();
    if app.heard.begun.lock().insert(key.clone()) {
        state.begin();
    }
    for (sender, part) in &note.senders {
        state.add(sender, part);
    }
    state.widen(note.events);
    match push::numbering(&source) {
        None => state.sequence = None,
        Some((pointer, settle)) => {
            let kept = state.sequence.take().filter(|s| s.pointer == pointer);
            let mut sequence = kept.unwrap_or_else(|| Sequence::of(&pointer));
            sequence.look(&note.fresh);
            sequence.add(&note.runs);
            for told in sequence.filled() {
                // One of a source that was made anew since is gone.
                let Some(gap) = catalog.gap(key.0, &key.1, &told.id).map_err(|e| e.to_string())? else { continue };
                let by = match told.high - told.low {
                    0 => format!("its number {} came", told.low),
                    _ => format!("its numbers {} to {} came", told.low, told.high),
                };
                gap::fill(app, &tenant, &source, &gap, by).await?;
            }
            while let Some(hole) = sequence.due(now.saturating_sub(settle.saturating_mul(SECOND))) {
                if !hole.unsure {
                    let cause = match hole.high - hole.low {
                        0 => format!("its number {} did not come", hole.low),
                        _ => format!("its numbers {} to {} did not come", hole.low, hole.high),
                    };
                    let id = format!("gap:{}:{}:{}-{}", key.1, source.created_at, hole.low, hole.high);
                    let window = Window { from: hole.from, to: hole.to };
                    let id = gap::record(app, &tenant, &source, id, window, &cause).await?;
                    sequence.tell(&hole, id);
                } else {
                    // It is no gap, and its numbers may still come.
                    sequence.tell(&hole, String::new());
                }
                sequence.close(&hole);
            }
            let mut waiting = app.heard.waiting.lock();
            if sequence.holes().is_empty() {
                waiting.remove(key)
            } else {
                waiting.insert(key.clone())
            };
            drop(waiting);
            state.sequence = Some(sequence);
        }
    }
    state.complete = last;
    if state == before && note.seen == 0 {
        return Ok(());
    }
    let position = serde_json::to_string(&state).map_err(|e| e.to_string())?;
    let news = SourceNews {
        made: Some(source.created_at),
        position: Some(&position),
        seen: (note.seen > 0).then_some(note.seen),
        counts: note.counts,
    };
    catalog.note_source(key.0, &key.1, &news).map_err(|e| e.to_string())?;
    Ok(())
}

/// The source that a note is of; one is made for a system that sends under its own name.
fn of(app: &App, key: &Key, note: &Note, now: i64) -> Result<Option<Source>, String> {
    let catalog = app.store().catalog();
    let why = |e: catalog::Error| e.to_string();
    if let Some(source) = catalog.source(key.0, &key.1).map_err(why)? {
        return Ok((source.kind == push::KIND).then_some(source));
    }
    let is_system = note.seen > 0 && key.1 == note.system && systems::find(&key.1).is_some();
    let fetched = catalog.sources(key.0).map_err(why)?.iter().any(|s| s.kind == "pull" && s.system == key.1);
    if !is_system || fetched {
        return Ok(None);
    }
    let secrets = BTreeMap::new();
    let spec = SourceSpec { name: &key.1, system: &key.1, kind: push::KIND, settings: "{}", secrets: &secrets };
    catalog.put_source(key.0, &spec, now).map(|(source, _)| Some(source)).map_err(why)
}
