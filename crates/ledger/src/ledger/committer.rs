//! The one committer: takes what waits in the pool, has it sealed, has one frame for all tenants appended and synced, and only
//! then shows the records and answers; and the same function that shows rows replays them after a start.
//!
//! While a large frame is on its way to the disk the next is put together on top of it; it is shown, and its callers are answered,
//! after the one below, and is put together anew if that one could not be written. Not here: how batches come into the pool and what
//! readers ask (the module above), what a frame says (`sealed`), who waits for the disk (`writer`).

use super::sealed::{Fresh, Place, Sealed};
use super::writer::{Landed, Writer, append, come_first};
use super::{Answer, Batch, Clock, FRAME_BYTES, Freeze, Frozen, Inner, Receipt, SubmitError};
use crate::frame::{Frame, FrameWriter};
use crate::ids::{IdKey, RecentIds};
use crate::journal::{Journal, JournalError};
use crate::tail::{Node, ROW_OVERHEAD, Shared, TailRow};
use crate::{Hash, PersonKey};
use merkle::{Frontier, Hasher};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(super) struct Committer {
    /// Keys since the last freeze.
    pub(super) keys: Vec<(u32, PersonKey)>,
    pub(super) recorded_at: i64,
    pub(super) clock: Clock,
    /// Frontiers as of the last commit, of tenants written to since the start.
    pub(super) heads: HashMap<u32, Frontier>,
    /// Bytes sealed since the last freeze.
    pub(super) unfrozen: usize,
    /// Empty ones between frames; kept for the memory they have.
    pub(super) fresh: Vec<Fresh>,
    pub(super) hasher: Hasher,
}

/// What the committer does next.
enum Work {
    /// The frame on its way has landed, and these freezes are due.
    Land(Landed, Vec<Freeze>),
    /// Batches to be sealed.
    Seal(Vec<(Batch, Answer)>),
    /// Nothing is on its way; whether this is the end.
    Rest(Vec<Freeze>, bool),
}

/// The frames between pool and disk. The journal is here unless one is on its way to the disk.
struct Line {
    journal: Option<Box<Journal>>,
    flying: Option<Sealed>,
    /// Put together on top of the one on its way.
    ready: Option<Sealed>,
    writer: Writer,
}

impl Committer {
    pub(super) fn run(mut self, inner: &Inner, journal: Journal, writer: Writer) {
        come_first();
        let mut line = Line { journal: Some(Box::new(journal)), flying: None, ready: None, writer };
        loop {
            match line.next(inner) {
                Work::Land(landed, freezes) => self.land(inner, &mut line, landed, freezes),
                Work::Seal(batches) => self.seal(inner, &mut line, batches),
                Work::Rest(freezes, stop) => {
                    if let Some(journal) = &mut line.journal {
                        self.freeze_for(inner, journal, freezes);
                        if stop {
                            self.end(inner, journal);
                        }
                    }
                    if stop {
                        line.writer.end();
                        return;
                    }
                }
            }
        }
    }

    /// Seals batches on top of what is on its way, and brings them on theirs.
    fn seal(&mut self, inner: &Inner, line: &mut Line, batches: Vec<(Batch, Answer)>) {
        let below = line.flying.as_ref();
        let place = match (below, &line.journal) {
            (Some(below), _) => below.next(),
            (None, Some(journal)) => Place { seq: journal.next_seq(), at: journal.end() },
            (None, None) => return,
        };
        let (clock, last) = ((self.clock)(), below.map_or(self.recorded_at, |below| below.now));
        inner.health.clock(clock, last);
        let now = clock.max(last);
        let fresh = self.fresh.pop().unwrap_or_default();
        let heads = &self.heads;
        let head = |tenant| head(heads, inner, tenant);
        let sealed = Sealed::of(batches, below, (inner, &mut self.hasher), (now, place, fresh), head);
        if line.flying.is_some() {
            line.ready = Some(sealed);
        } else {
            self.begin(inner, line, sealed);
        }
    }

    /// Writes a frame, or has it written; below it there is none.
    fn begin(&mut self, inner: &Inner, line: &mut Line, sealed: Sealed) {
        if sealed.bytes.len() >= inner.config.overlap_bytes && !sealed.bytes.is_empty() {
            return line.fly(inner, sealed);
        }
        let Some(journal) = &mut line.journal else { return };
        let written =
            if sealed.bytes.is_empty() { Ok(()) } else { append(inner, journal, sealed.place.seq, &sealed.bytes) };
        self.answer(inner, sealed, written);
        self.freeze_for(inner, journal, Vec::new());
    }

    /// What was on its way has come to its end, and what is on top of it goes.
    fn land(&mut self, inner: &Inner, line: &mut Line, landed: Landed, freezes: Vec<Freeze>) {
        let Landed { mut journal, result } = landed;
        let Some(done) = line.flying.take() else { return };
        let freeze = !freezes.is_empty() || self.is_due(inner);
        if !freeze && result.is_ok() && line.ready.as_ref().is_some_and(|next| !next.bytes.is_empty()) {
            // Before anybody is answered, which takes a while and needs no disk.
            line.journal = Some(journal);
            if let Some(next) = line.ready.take() {
                line.fly(inner, next);
            }
            return self.answer(inner, done, Ok(()));
        }
        let failed = result.is_err();
        self.answer(inner, done, result);
        self.freeze_for(inner, &mut journal, freezes);
        line.journal = Some(journal);
        match line.ready.take() {
            // What it was put together on does not exist.
            Some(next) if failed => {
                self.keep(next.fresh);
                self.seal(inner, line, next.batches);
            }
            Some(next) => self.begin(inner, line, next),
            None => {}
        }
    }

    /// The frame of `sealed` is committed, or is not: shows its records, and answers.
    fn answer(&mut self, inner: &Inner, mut sealed: Sealed, written: Result<(), JournalError>) {
        let result = written.map_err(|e| refused(inner, e, sealed.bytes.len()));
        if result.is_ok() {
            self.show(inner, &mut sealed);
        }
        inner.pooled.fetch_sub(sealed.weight(), Ordering::Relaxed);
        self.keep(sealed.fresh);
        for ((batch, answer), outcomes) in sealed.batches.into_iter().zip(sealed.answers) {
            answer(match (&result, outcomes) {
                (_, Err(e)) => Err(e),
                (Err(e), _) => Err(e.clone()),
                (Ok(()), Ok(outcomes)) => {
                    let size = head(&self.heads, inner, batch.tenant).size();
                    Ok(Receipt { outcomes, recorded_at: sealed.now, size })
                }
            });
        }
    }

    /// Makes committed records visible. Nothing here can fail.
    fn show(&mut self, inner: &Inner, sealed: &mut Sealed) {
        if sealed.bytes.is_empty() {
            return;
        }
        self.recorded_at = sealed.now;
        inner.stats.recorded_at.store(sealed.now, Ordering::Relaxed);
        let mut weight = 0;
        let mut groups = std::mem::take(&mut sealed.groups);
        for (tenant, group) in &mut groups {
            let (rows, their) = sealed.rows_of(group);
            weight += their;
            inner.stats.records.fetch_add(rows.len() as u64, Ordering::Relaxed);
            self.keys.extend(group.keys.iter().map(|k| (*tenant, *k)));
            self.heads.insert(*tenant, group.frontier.clone());
            shared(inner, *tenant).publish(rows, std::mem::take(&mut group.nodes), group.frontier.clone());
        }
        let mut ids = inner.ids.lock();
        for (id, (tenant, place)) in &sealed.fresh {
            if let Some(group) = groups.get(tenant) {
                ids.insert(*id, *tenant, group.first_index + u64::from(*place));
            }
        }
        drop(ids);
        inner.tail.fetch_add(weight, Ordering::Relaxed);
        self.unfrozen += weight;
    }

    /// Two frames are under way at most.
    fn keep(&mut self, mut fresh: Fresh) {
        fresh.clear();
        if self.fresh.len() < 2 {
            self.fresh.push(fresh);
        }
    }

    fn is_due(&self, inner: &Inner) -> bool {
        self.unfrozen >= inner.config.freeze_bytes
    }

    /// Freezes for those who asked, or because enough has come.
    fn freeze_for(&mut self, inner: &Inner, journal: &mut Journal, asked: Vec<Freeze>) {
        if self.is_due(inner)
            && asked.is_empty()
            && let Some(frozen) = self.freeze(inner, journal)
        {
            inner.frozen.lock().push_back(frozen);
        }
        for done in asked {
            if let Some(frozen) = self.freeze(inner, journal) {
                done(frozen);
            }
        }
    }

    /// Says in the journal that nothing was cut off. Failing to is no loss.
    fn end(&mut self, inner: &Inner, journal: &mut Journal) {
        let seq = journal.next_seq();
        if inner.failed.read().is_none()
            && let Err(e) = journal.append(seq, &FrameWriter::new(self.recorded_at, 0, 0).finish(seq))
        {
            tracing::warn!(error = %e, "could not mark the journal as closed in order");
        }
        *inner.failed.write() = Some("shut down".into());
    }

    /// `None` where the ledger has stopped: which files the journal has is then for the next start to say, and
    /// none may be cut before.
    fn freeze(&mut self, inner: &Inner, journal: &mut Journal) -> Option<Frozen> {
        match journal.rotate(self.recorded_at) {
            Ok(()) => {}
            Err(JournalError::Unknown(why)) => {
                tracing::error!(error = %why, "the journal's state is unknown; no more records are taken");
                inner.failed.write().get_or_insert(why);
                return None;
            }
            // The old file goes on; it is cut one segment later.
            Err(e) => tracing::warn!(error = %e, "could not begin a new journal file"),
        }
        self.unfrozen = 0;
        let ids = inner.ids.lock().freeze();
        let tenants = inner
            .tenants
            .read()
            .iter()
            .filter_map(|(tenant, tail)| {
                let (first, rows, size, _) = tail.head();
                (rows > 0).then_some((*tenant, first, size))
            })
            .collect();
        Some(Frozen { seq: journal.next_seq() - 1, tenants, keys: std::mem::take(&mut self.keys), ids })
    }

    /// One frame of the journal, at recovery. Gives the memory it takes.
    pub(super) fn replay(
        &mut self,
        frame: Frame,
        tenants: &mut HashMap<u32, Shared>,
        ids: &mut RecentIds,
        marks: &HashMap<u32, (u64, Hash)>,
        key: &impl Fn(u32, &[u8]) -> Option<IdKey>,
    ) -> Result<usize, String> {
        let mut weight = 0;
        for group in frame.groups {
            let tail = tenants.entry(group.tenant).or_default();
            let mut frontier = tail.frontier();
            if frontier.size() != group.first_index {
                return Err(format!(
                    "tenant {}: index {} follows a tree of {} records",
                    group.tenant,
                    group.first_index,
                    frontier.size()
                ));
            }
            let mut rows = Vec::with_capacity(group.records.len());
            let mut nodes = Vec::new();
            for (kind, commitment, row) in group.records {
                let index = frontier.size();
                let leaf = leaf_of(kind, frame.recorded_at, &commitment);
                frontier.push_with(leaf, |level, index, hash| keep_node(&mut nodes, level, index, hash));
                check_mark(marks, group.tenant, &frontier)?;
                if let Some(id) = key(group.tenant, &row) {
                    ids.insert(id, group.tenant, index);
                }
                weight += row.len() + ROW_OVERHEAD;
                rows.push(TailRow { index, recorded_at: frame.recorded_at, kind, commitment, leaf, sum: None, row });
            }
            self.keys.extend(group.keys.into_iter().map(|k| (group.tenant, k)));
            tail.publish(rows, nodes, frontier);
        }
        Ok(weight)
    }
}

impl Line {
    /// Waits for something to do. A freeze never waits for a pause between batches: under load there is none. And none is left
    /// behind at the end, for nothing is handed in after `stop`.
    fn next(&self, inner: &Inner) -> Work {
        let mut pool = inner.pool.lock();
        loop {
            if let Some(landed) = pool.landed.take() {
                return Work::Land(landed, std::mem::take(&mut pool.freeze));
            }
            let flies = self.flying.is_some();
            if !flies && !pool.freeze.is_empty() {
                return Work::Rest(std::mem::take(&mut pool.freeze), false);
            }
            if self.ready.is_none() && !pool.batches.is_empty() {
                let mut bytes = 0;
                let take = pool.batches.iter().take_while(|(b, _)| {
                    let first = bytes == 0;
                    bytes += b.weight();
                    first || bytes <= FRAME_BYTES
                });
                let n = take.count();
                return Work::Seal(pool.batches.drain(..n).collect());
            }
            if !flies && pool.stop {
                return Work::Rest(Vec::new(), true);
            }
            inner.wake.wait(&mut pool);
        }
    }

    /// Sends a frame on its way.
    fn fly(&mut self, inner: &Inner, mut sealed: Sealed) {
        let Some(journal) = self.journal.take() else { return };
        // A new file was begun since it was put together, or none.
        sealed.place.at = journal.end();
        let (seq, bytes) = (sealed.place.seq, sealed.bytes.clone());
        self.flying = Some(sealed);
        if let Err(mut journal) = self.writer.write(journal, seq, bytes.clone()) {
            let result = append(inner, &mut journal, seq, &bytes);
            inner.pool.lock().landed = Some(Landed { journal, result });
        }
    }
}

/// What callers are told of a frame that is not committed. After one of which nobody knows, nothing is taken any more.
fn refused(inner: &Inner, e: JournalError, bytes: usize) -> SubmitError {
    match e {
        JournalError::Unknown(why) => {
            tracing::error!(error = %why, "the journal's state is unknown; no more records are taken");
            *inner.failed.write() = Some(why.clone());
            SubmitError::Stopped(why)
        }
        other => {
            inner.health.refused(bytes, &other);
            SubmitError::Disk(other.to_string())
        }
    }
}

/// A tenant's tree as it is committed.
fn head(heads: &HashMap<u32, Frontier>, inner: &Inner, tenant: u32) -> Frontier {
    match heads.get(&tenant) {
        Some(f) => f.clone(),
        None => inner.tenants.read().get(&tenant).map_or_else(Frontier::new, |t| t.frontier()),
    }
}

/// A tree that has just reached its mark's size must have its root.
pub(super) fn check_mark(marks: &HashMap<u32, (u64, Hash)>, tenant: u32, frontier: &Frontier) -> Result<(), String> {
    match marks.get(&tenant) {
        Some((size, root)) if *size == frontier.size() && *root != frontier.root() => {
            Err(format!("tenant {tenant}: at {size} records the tree is not the one that was signed"))
        }
        _ => Ok(()),
    }
}

fn shared(inner: &Inner, tenant: u32) -> Shared {
    if let Some(tail) = inner.tenants.read().get(&tenant) {
        return Arc::clone(tail);
    }
    Arc::clone(inner.tenants.write().entry(tenant).or_default())
}

/// Tiles are 256 wide: only every eighth height of the tree is a tile's hash.
pub(super) fn keep_node(nodes: &mut Vec<Node>, height: u8, index: u64, hash: Hash) {
    if height.is_multiple_of(8) {
        nodes.push(Node { level: height / 8, index, hash });
    }
}

/// The leaf of an entry: the 47 bytes of `docs/formats/entry.md`, hashed. The ledger knows the layout of an
/// entry, which is its own to seal, and nothing of the row behind the commitment.
pub fn leaf_of(kind: u8, recorded_at: i64, commitment: &Hash) -> Hash {
    merkle::leaf_hash(&entry_of(kind, recorded_at, commitment))
}

pub(super) fn entry_of(kind: u8, recorded_at: i64, commitment: &Hash) -> [u8; 47] {
    let mut entry = [0; 47];
    entry[0] = 1;
    entry[1] = kind;
    entry[2..10].copy_from_slice(&(recorded_at.max(0) as u64).to_be_bytes());
    entry[10..42].copy_from_slice(commitment);
    entry[42..46].copy_from_slice(&10u32.to_be_bytes());
    entry[46] = 1;
    entry
}
