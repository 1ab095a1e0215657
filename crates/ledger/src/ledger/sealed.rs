//! Batches that were given their indexes, and the frame that says so: all that can be done before the disk has it.
//!
//! Owns which records of the batches are new, in what order they are sealed, and what everyone will be told. A frame may be put
//! together on top of one that is still being written: then it goes by what that one will have made of ids and trees, and is put
//! together anew if that one comes to nothing. Not here: when (`committer`), and the frame's bytes (`frame`).

use super::committer::{entry_of, keep_node};
use super::{Answer, Batch, GROUP_BYTES, Inner, KEY_BYTES, Known, Outcome, Pending, RECORD_BYTES, SubmitError};
use crate::frame::FrameWriter;
use crate::ids::{HashedKeys, IdKey, RecentIds};
use crate::tail::{Node, ROW_OVERHEAD, TailRow};
use crate::{Hash, PersonKey};
use bytes::Bytes;
use merkle::{Frontier, Hasher};
use std::collections::HashMap;
use std::ops::Range;

/// Ids of the frame being built: tenant, and which of its records there.
pub(super) type Fresh = HashMap<IdKey, (u32, u32), HashedKeys>;

/// What the records of a batch are told.
pub(super) type Answered = Result<Vec<Outcome>, SubmitError>;

/// Where the next frame goes.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Its number.
    pub seq: u64,
    /// Where in the journal's file.
    pub at: u64,
}

/// One tenant's share of a frame.
pub(super) struct Group {
    pub frontier: Frontier,
    pub first_index: u64,
    /// Batch number, record number.
    records: Vec<(usize, usize)>,
    /// The leaf of each record.
    leaves: Vec<Hash>,
    /// Where the row of each lies in the frame.
    rows: Vec<Range<usize>>,
    /// Repetitions of records of this frame: batch number, record number, which record of the group.
    again: Vec<(usize, usize, u32)>,
    pub keys: Vec<PersonKey>,
    pub nodes: Vec<Node>,
}

impl Group {
    fn on(frontier: Frontier) -> Group {
        Group {
            first_index: frontier.size(),
            frontier,
            records: Vec::new(),
            leaves: Vec::new(),
            rows: Vec::new(),
            again: Vec::new(),
            keys: Vec::new(),
            nodes: Vec::new(),
        }
    }

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

/// See the module.
pub(super) struct Sealed {
    pub batches: Vec<(Batch, Answer)>,
    /// What each batch is told once the frame is committed.
    pub answers: Vec<Answered>,
    pub now: i64,
    /// By tenant; only of those that have new records.
    pub groups: HashMap<u32, Group>,
    pub fresh: Fresh,
    /// The frame. Empty where nothing is new.
    pub bytes: Bytes,
    pub place: Place,
}

impl Sealed {
    /// Gives indexes to what is new in `batches`. `below` is the frame that is still being written, if one is; `head` a
    /// tenant's tree as it is committed.
    pub fn of(
        batches: Vec<(Batch, Answer)>,
        below: Option<&Sealed>,
        (inner, hasher): (&Inner, &mut Hasher),
        (now, place, mut fresh): (i64, Place, Fresh),
        head: impl Fn(u32) -> Frontier,
    ) -> Sealed {
        let mut groups: HashMap<u32, Group> = HashMap::new();
        fresh.reserve(batches.iter().map(|(batch, _)| batch.records.len()).sum());
        let mut answers: Vec<Answered> = Vec::with_capacity(batches.len());
        let ids = inner.ids.lock();
        for (b, (batch, _)) in batches.iter().enumerate() {
            let recent = if ids.covers(batch.id_epoch) { recent(inner, &ids, below, &batch.records) } else { None };
            let Some(recent) = recent else {
                answers.push(Err(SubmitError::Stale));
                continue;
            };
            let group = groups.entry(batch.tenant).or_insert_with(|| {
                let grown = below.and_then(|below| below.groups.get(&batch.tenant));
                Group::on(grown.map_or_else(|| head(batch.tenant), |group| group.frontier.clone()))
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
            group.seal(now, &batches, hasher, &mut answers);
        }
        let bytes = if groups.is_empty() { Bytes::new() } else { frame(now, place, &batches, &mut groups) };
        Sealed { batches, answers, now, groups, fresh, bytes, place }
    }

    /// What the pool counts for the batches.
    pub fn weight(&self) -> usize {
        self.batches.iter().map(|(batch, _)| batch.weight()).sum()
    }

    /// Where the frame behind this one goes.
    pub fn next(&self) -> Place {
        let grows = !self.bytes.is_empty();
        Place { seq: self.place.seq + u64::from(grows), at: self.place.at + self.bytes.len() as u64 }
    }

    /// The record of this frame that has an id.
    fn known(&self, id: IdKey) -> Option<Known> {
        let (tenant, place) = self.fresh.get(&id)?;
        let group = self.groups.get(tenant)?;
        let (b, r) = group.records.get(*place as usize)?;
        let commitment = self.batches.get(*b)?.0.records.get(*r)?.commitment;
        let leaf = *group.leaves.get(*place as usize)?;
        Some(Known { index: group.first_index + u64::from(*place), commitment, leaf })
    }

    /// The rows of a group as the tail keeps them, and what they weigh there.
    pub fn rows_of(&self, group: &Group) -> (Vec<TailRow>, usize) {
        let records = group.records.iter().zip(&group.leaves).zip(&group.rows).zip(group.first_index..);
        let rows = records.map(|((((b, r), leaf), at), index)| {
            let record = &self.batches[*b].0.records[*r];
            TailRow {
                index,
                recorded_at: self.now,
                kind: record.kind,
                commitment: record.commitment,
                leaf: *leaf,
                sum: Some(record.sum),
                row: self.bytes.slice(at.clone()),
            }
        });
        let weight = group.rows.iter().map(|at| at.len() + ROW_OVERHEAD).sum();
        (rows.collect(), weight)
    }
}

fn frame(now: i64, place: Place, batches: &[(Batch, Answer)], groups: &mut HashMap<u32, Group>) -> Bytes {
    let rows: usize = batches
        .iter()
        .map(|(b, _)| b.rows.len() + b.records.len() * RECORD_BYTES + b.keys.len() * KEY_BYTES + GROUP_BYTES)
        .sum();
    let mut frame = FrameWriter::new(now, rows, place.at);
    for (tenant, group) in groups {
        frame.group(*tenant, group.first_index, group.records.len() as u32, &group.keys);
        group.rows.reserve_exact(group.records.len());
        for (b, r) in &group.records {
            let batch = &batches[*b].0;
            let record = &batch.records[*r];
            let row = &batch.rows[record.row.clone()];
            frame.record(record.kind, row, &record.commitment);
            group.rows.push(frame.len() - row.len()..frame.len());
        }
    }
    frame.finish(place.seq)
}

/// The earlier record of each of a batch's, from the tail, from the frame below, or as it was found in the segments. `None` where
/// one was in the tail when the segments were searched and is in them now: they have to be searched again.
fn recent(inner: &Inner, ids: &RecentIds, below: Option<&Sealed>, records: &[Pending]) -> Option<Vec<Option<Known>>> {
    let find = |record: &Pending| {
        let Some(id) = record.id else { return Some(record.known) };
        let Some((tenant, index)) = ids.get(id) else {
            return Some(below.and_then(|below| below.known(id)).or(record.known));
        };
        let row = inner.tenants.read().get(&tenant).and_then(|t| t.row(index));
        let in_tail = row.map(|row| Known { index, commitment: row.commitment, leaf: row.leaf });
        in_tail.or(record.known).map(Some)
    };
    records.iter().map(find).collect()
}
