//! The one writer of the journal: takes what waits in the pool, gives indexes, appends and syncs one frame for all
//! tenants, and answers; and the same function that shows rows replays them after a start.
//!
//! Not here: how batches come into the pool and what readers ask (the module above).

use super::Clock;
use super::{
    Answer, Batch, FRAME_BYTES, Frozen, GROUP_BYTES, Inner, KEY_BYTES, Known, Outcome, Pending, RECORD_BYTES, Receipt,
    SubmitError,
};
use crate::frame::{Frame, FrameWriter};
use crate::ids::{HashedKeys, IdKey, RecentIds};
use crate::journal::{Journal, JournalError};
use crate::tail::{Node, ROW_OVERHEAD, Shared, TailRow};
use crate::{Hash, PersonKey};
use merkle::{Frontier, Hasher};
use std::collections::HashMap;
use std::ops::Range;
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
    /// Empty between frames; kept for the memory it has.
    pub(super) fresh: Fresh,
    pub(super) hasher: Hasher,
}

/// Ids of the frame being built: tenant, and which of its records there.
pub(super) type Fresh = HashMap<IdKey, (u32, u32), HashedKeys>;

/// One tenant's share of the frame being built.
struct Group {
    frontier: Frontier,
    first_index: u64,
    /// Batch number, record number.
    records: Vec<(usize, usize)>,
    /// The leaf of each record.
    leaves: Vec<Hash>,
    /// Repetitions of records of this frame: batch number, record number, which record of the group.
    again: Vec<(usize, usize, u32)>,
    keys: Vec<PersonKey>,
    nodes: Vec<Node>,
}

impl Group {
    /// Hashes the leaves and grows the tree, and says so to whom only the leaf is missing.
    fn seal(&mut self, now: i64, batches: &[(Batch, Answer)], hasher: &mut Hasher, answers: &mut [Answered]) {
        let entry = |(b, r): &(usize, usize)| {
            let record = &batches[*b].0.records[*r];
            entry_of(record.kind, now, &record.commitment)
        };
        self.leaves = hasher.leaves(self.records.iter().map(entry));
        let nodes = &mut self.nodes;
        self.frontier.extend_with(&self.leaves, hasher, |level, index, hash| keep_node(nodes, level, index, hash));
        // Who lets go of them again looks at the oldest first.
        nodes.sort_by_key(|node| (u128::from(node.index + 1) << (8 * u32::from(node.level)), node.level));
        let mut say = |b: usize, r: usize, outcome| {
            if let Ok(outcomes) = &mut answers[b] {
                outcomes[r] = outcome;
            }
        };
        for (((b, r), leaf), index) in self.records.iter().zip(&self.leaves).zip(self.first_index..) {
            say(*b, *r, Outcome::Sealed { index, leaf: *leaf });
        }
        for (b, r, place) in &self.again {
            let leaf = self.leaves[*place as usize];
            say(*b, *r, Outcome::Duplicate { index: self.first_index + u64::from(*place), leaf });
        }
    }
}

/// What the records of a batch are told.
type Answered = Result<Vec<Outcome>, SubmitError>;

impl Committer {
    pub(super) fn run(mut self, inner: &Inner, mut journal: Journal) {
        loop {
            let (batches, freeze, stop) = {
                let mut pool = inner.pool.lock();
                while pool.batches.is_empty() && pool.freeze.is_empty() && !pool.stop {
                    inner.wake.wait(&mut pool);
                }
                let mut bytes = 0;
                let take = pool.batches.iter().take_while(|(b, _)| {
                    let first = bytes == 0;
                    bytes += b.weight();
                    first || bytes <= FRAME_BYTES
                });
                let n = take.count();
                let batches: Vec<_> = pool.batches.drain(..n).collect();
                // A freeze never waits for a pause between batches: under load there is none. And none is left
                // behind at the end, for nothing is handed in after `stop`.
                let freeze = std::mem::take(&mut pool.freeze);
                (batches, freeze, pool.stop && pool.batches.is_empty())
            };
            if !batches.is_empty() {
                self.commit(inner, &mut journal, batches);
            }
            if self.unfrozen >= inner.config.freeze_bytes
                && freeze.is_empty()
                && let Some(frozen) = self.freeze(inner, &mut journal)
            {
                inner.frozen.lock().push_back(frozen);
            }
            for done in freeze {
                if let Some(frozen) = self.freeze(inner, &mut journal) {
                    done(frozen);
                }
            }
            if stop {
                self.end(inner, &mut journal);
                return;
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

    fn head(&self, inner: &Inner, tenant: u32) -> Frontier {
        match self.heads.get(&tenant) {
            Some(f) => f.clone(),
            None => inner.tenants.read().get(&tenant).map_or_else(Frontier::new, |t| t.frontier()),
        }
    }

    fn commit(&mut self, inner: &Inner, journal: &mut Journal, batches: Vec<(Batch, Answer)>) {
        let weight: usize = batches.iter().map(|(b, _)| b.weight()).sum();
        let now = (self.clock)().max(self.recorded_at);
        let mut groups: HashMap<u32, Group> = HashMap::new();
        let count = batches.iter().map(|(batch, _)| batch.records.len()).sum();
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.reserve(count);
        let mut answers: Vec<Answered> = Vec::with_capacity(batches.len());
        let ids = inner.ids.lock();
        for (b, (batch, _)) in batches.iter().enumerate() {
            let recent = if ids.covers(batch.id_epoch) { recent(inner, &ids, &batch.records) } else { None };
            let Some(recent) = recent else {
                answers.push(Err(SubmitError::Stale));
                continue;
            };
            let group = groups.entry(batch.tenant).or_insert_with(|| {
                let frontier = self.head(inner, batch.tenant);
                Group {
                    first_index: frontier.size(),
                    frontier,
                    records: Vec::new(),
                    leaves: Vec::new(),
                    again: Vec::new(),
                    keys: Vec::new(),
                    nodes: Vec::new(),
                }
            });
            group.keys.extend_from_slice(&batch.keys);
            let mut outcomes = Vec::with_capacity(batch.records.len());
            for (r, (record, recent)) in batch.records.iter().zip(recent).enumerate() {
                let sealed_here = record.id.and_then(|id| fresh.get(&id)).map(|(_, place)| *place);
                let known = match sealed_here {
                    Some(place) => {
                        let (b, r) = group.records[place as usize];
                        let index = group.first_index + u64::from(place);
                        Some(Known { index, commitment: batches[b].0.records[r].commitment, leaf: Hash::default() })
                    }
                    None => recent,
                };
                outcomes.push(match known {
                    Some(k) if k.commitment == record.commitment => {
                        group.again.extend(sealed_here.map(|place| (b, r, place)));
                        Outcome::Duplicate { index: k.index, leaf: k.leaf }
                    }
                    Some(k) => Outcome::Conflict { index: k.index },
                    None => {
                        let place = group.records.len() as u32;
                        group.records.push((b, r));
                        if let Some(id) = record.id {
                            fresh.insert(id, (batch.tenant, place));
                        }
                        // With its leaf once that is hashed, with all others.
                        Outcome::Sealed { index: group.first_index + u64::from(place), leaf: Hash::default() }
                    }
                });
            }
            answers.push(Ok(outcomes));
        }
        drop(ids);
        groups.retain(|_, g| !g.records.is_empty());
        for group in groups.values_mut() {
            group.seal(now, &batches, &mut self.hasher, &mut answers);
        }
        let result = if groups.is_empty() { Ok(()) } else { self.write(inner, journal, now, &batches, groups, &fresh) };
        fresh.clear();
        self.fresh = fresh;
        inner.pooled.fetch_sub(weight, Ordering::Relaxed);
        for ((batch, answer), outcomes) in batches.into_iter().zip(answers) {
            answer(match (&result, outcomes) {
                (_, Err(e)) => Err(e),
                (Err(e), _) => Err(e.clone()),
                (Ok(()), Ok(outcomes)) => {
                    Ok(Receipt { outcomes, recorded_at: now, size: self.head(inner, batch.tenant).size() })
                }
            });
        }
    }

    /// Appends the frame and, when it is committed, shows its records.
    fn write(
        &mut self,
        inner: &Inner,
        journal: &mut Journal,
        now: i64,
        batches: &[(Batch, Answer)],
        mut groups: HashMap<u32, Group>,
        fresh: &Fresh,
    ) -> Result<(), SubmitError> {
        let rows: usize = batches
            .iter()
            .map(|(b, _)| b.rows.len() + b.records.len() * RECORD_BYTES + b.keys.len() * KEY_BYTES + GROUP_BYTES)
            .sum();
        let mut frame = FrameWriter::new(now, rows, journal.end());
        let first: HashMap<u32, u64> = groups.iter().map(|(tenant, group)| (*tenant, group.first_index)).collect();
        // Tenant, then where each of its rows lies.
        let mut places: Vec<(u32, Vec<Range<usize>>)> = Vec::with_capacity(groups.len());
        for (tenant, group) in &groups {
            frame.group(*tenant, group.first_index, group.records.len() as u32, &group.keys);
            let mut at = Vec::with_capacity(group.records.len());
            for (b, r) in &group.records {
                let batch = &batches[*b].0;
                let record = &batch.records[*r];
                let row = &batch.rows[record.row.clone()];
                frame.record(record.kind, row, &record.commitment);
                at.push(frame.len() - row.len()..frame.len());
            }
            places.push((*tenant, at));
        }
        let seq = journal.next_seq();
        let bytes = frame.finish(seq);
        let started = std::time::Instant::now();
        if let Err(e) = journal.append(seq, &bytes) {
            return Err(match e {
                JournalError::Unknown(why) => {
                    tracing::error!(error = %why, "the journal's state is unknown; no more records are taken");
                    *inner.failed.write() = Some(why.clone());
                    SubmitError::Stopped(why)
                }
                other => {
                    tracing::error!(error = %other, "a frame could not be written; its callers were told");
                    SubmitError::Disk(other.to_string())
                }
            });
        }
        // Committed. Nothing below can fail.
        inner.stats.sync_micros.fetch_add(started.elapsed().as_micros() as u64, Ordering::Relaxed);
        inner.stats.frames.fetch_add(1, Ordering::Relaxed);
        inner.stats.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.recorded_at = now;
        let mut weight = 0;
        for (tenant, at) in places {
            let Some(group) = groups.remove(&tenant) else { continue };
            let rows: Vec<TailRow> = group
                .records
                .iter()
                .zip(group.leaves)
                .zip(at)
                .zip(group.first_index..)
                .map(|((((b, r), leaf), at), index)| {
                    let record = &batches[*b].0.records[*r];
                    weight += at.len() + ROW_OVERHEAD;
                    TailRow {
                        index,
                        recorded_at: now,
                        kind: record.kind,
                        commitment: record.commitment,
                        leaf,
                        sum: Some(record.sum),
                        row: bytes.slice(at),
                    }
                })
                .collect();
            inner.stats.records.fetch_add(rows.len() as u64, Ordering::Relaxed);
            self.keys.extend(group.keys.iter().map(|k| (tenant, *k)));
            self.heads.insert(tenant, group.frontier.clone());
            shared(inner, tenant).publish(rows, group.nodes, group.frontier);
        }
        let mut ids = inner.ids.lock();
        for (id, (tenant, place)) in fresh {
            ids.insert(*id, *tenant, first[tenant] + u64::from(*place));
        }
        inner.tail.fetch_add(weight, Ordering::Relaxed);
        self.unfrozen += weight;
        Ok(())
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

/// The earlier record of each of a batch's, from the tail or as it was found in the segments. `None` where one
/// was in the tail when the segments were searched and is in them now: they have to be searched again.
fn recent(inner: &Inner, ids: &RecentIds, records: &[Pending]) -> Option<Vec<Option<Known>>> {
    let find = |record: &Pending| {
        let Some((tenant, index)) = record.id.and_then(|id| ids.get(id)) else { return Some(record.known) };
        let row = inner.tenants.read().get(&tenant).and_then(|t| t.row(index));
        let in_tail = row.map(|row| Known { index, commitment: row.commitment, leaf: row.leaf });
        in_tail.or(record.known).map(Some)
    };
    records.iter().map(find).collect()
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
fn keep_node(nodes: &mut Vec<Node>, height: u8, index: u64, hash: Hash) {
    if height.is_multiple_of(8) {
        nodes.push(Node { level: height / 8, index, hash });
    }
}

/// The leaf of an entry: the 47 bytes of `docs/formats/entry.md`, hashed. The ledger knows the layout of an
/// entry, which is its own to seal, and nothing of the row behind the commitment.
pub fn leaf_of(kind: u8, recorded_at: i64, commitment: &Hash) -> Hash {
    merkle::leaf_hash(&entry_of(kind, recorded_at, commitment))
}

fn entry_of(kind: u8, recorded_at: i64, commitment: &Hash) -> [u8; 47] {
    let mut entry = [0; 47];
    entry[0] = 1;
    entry[1] = kind;
    entry[2..10].copy_from_slice(&(recorded_at.max(0) as u64).to_be_bytes());
    entry[10..42].copy_from_slice(commitment);
    entry[42..46].copy_from_slice(&10u32.to_be_bytes());
    entry[46] = 1;
    entry
}
