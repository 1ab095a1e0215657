//! Merging small segments into large ones, in the background and on a budget.
//!
//! Size-tiered: eight segments ([`merge_at`](crate::Settings)) of one size class become one of the next, so a row
//! is rewritten about log8(rows ÷ flush) times. A merge is admitted like a flush, against the sealed tree, and swaps
//! the set in one catalog transaction. Readers that have the old files open keep them.

use crate::admit::Walk;
use crate::budget::Budget;
use crate::error::Result;
use crate::leaves::Leaves;
use crate::store::{Store, row_of};
use crate::trees::BLOCK;
use catalog::StoreCommit;
use ledger::Hash;
use segments::{Segment, write_merged};
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A segment of this many rows is large enough to be left alone.
const LARGE_ROWS: u64 = 1 << 20;
/// Most rows of one merge: their leaves are held in memory, 33 bytes each.
const MERGE_ROWS: u64 = 4 << 20;
/// Most rows of an output.
const OUTPUT_ROWS: u64 = 2 << 20;
/// Part of the set share that merging takes while writers are pressing.
const PRESSED: f64 = 0.4;
/// Sets of segments due at once from which merging takes its share whatever the writers do, so that it never falls behind
/// without end.
const BEHIND: usize = 8;
/// Where so large a part of an input's rows is wanted, it is read from end to end rather than by index.
const SPARSE: u64 = 16;

impl Store {
    /// Runs merges while there are any, for as long as the store is open.
    pub(crate) fn merge(&self) {
        while !self.pause(Duration::from_millis(500)) {
            loop {
                match self.merge_once(&|| self.merge_share()) {
                    Ok(true) if !self.stopping() => {}
                    Ok(_) => break,
                    Err(_) if self.stopping() => return,
                    Err(e) => {
                        self.counters.failures.fetch_add(1, Ordering::Relaxed);
                        tracing::error!(error = %e, "segments could not be merged; they stay as they are");
                        if self.pause(Duration::from_secs(10)) {
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Merges until nothing is due, as fast as it goes.
    ///
    /// # Errors
    /// The first merge that failed; what was merged before it stays.
    pub fn compact(&self) -> Result<()> {
        while self.merge_once(&|| 1.0)? {}
        Ok(())
    }

    /// The part of a core that merging may take now.
    fn merge_share(&self) -> f64 {
        let pressed = self.ledger.tail_bytes() > self.settings.tail_bytes / 4;
        let behind = self.segments().len() >= BEHIND * self.settings.merge_at;
        self.settings.compaction_share * if pressed && !behind { PRESSED } else { 1.0 }
    }

    /// What the outputs of a merge must hash to: the roots of the tree's blocks that the inputs hold whole, and the leaves
    /// of the other rows.
    fn expected(&self, inputs: &[Arc<Segment>]) -> Result<Leaves> {
        let mut held: BTreeMap<u32, Vec<(Range<u64>, u64)>> = BTreeMap::new();
        for slice in inputs.iter().flat_map(|s| &s.info().slices) {
            held.entry(slice.tenant).or_default().push((slice.min_index..slice.max_index + 1, slice.rows));
        }
        let mut leaves = Leaves::default();
        for (tenant, mut parts) in held {
            parts.sort_unstable_by_key(|(range, _)| range.start);
            let hull = parts.first().map_or(0, |(r, _)| r.start)..parts.iter().map(|(r, _)| r.end).max().unwrap_or(0);
            // Where records between are in other segments, nothing is known to be whole.
            let whole = parts.iter().map(|(_, rows)| rows).sum::<u64>() == hull.end - hull.start;
            let mut at = hull.start;
            let blocks = hull.start.div_ceil(BLOCK)..hull.end / BLOCK;
            let mut tile: Option<(u64, Vec<u8>)> = None;
            for number in blocks.filter(|_| whole) {
                if tile.as_ref().is_none_or(|(of, _)| *of != number / BLOCK) {
                    tile = Some((number / BLOCK, self.catalog.tile(tenant, 1, number / BLOCK)?.unwrap_or_default()));
                }
                let hashes = tile.as_ref().map(|(_, bytes)| bytes.as_chunks::<32>().0).unwrap_or_default();
                if let Some(root) = hashes.get((number % BLOCK) as usize) {
                    leaves.expect(tenant, at..number * BLOCK);
                    leaves.expect_block(tenant, number, *root);
                    at = (number + 1) * BLOCK;
                }
            }
            leaves.expect(tenant, at..hull.end);
        }
        Ok(leaves)
    }

    /// Takes the leaves that are expected one by one from an input.
    fn leaves_of(&self, input: &Segment, leaves: &mut Leaves, rest: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let slices = input.info().slices.iter();
        let wanted: Vec<(u32, Range<u64>)> = slices
            .flat_map(|s| leaves.ranges(s.tenant, s.min_index..s.max_index + 1).into_iter().map(|r| (s.tenant, r)))
            .collect();
        if wanted.iter().map(|(_, range)| range.end - range.start).sum::<u64>() * SPARSE < input.info().rows {
            for (number, range) in wanted {
                let tenant = self.tenant(number)?;
                let mut walk = Walk::of(self, input.info(), tenant);
                let put = &mut |number, index, leaf| put(leaves, number, index, leaf);
                input.rows_by_index(number, range, |row| walk.gather(&row, put))?;
                walk.end(put)?;
                rest()?;
            }
            return Ok(());
        }
        let mut walk = Walk::new(self, input.info())?;
        let mut n = 0u64;
        let put = &mut |number, index, leaf| put(leaves, number, index, leaf);
        input.rows(&mut |row| -> Result<()> {
            walk.row(&row, &|_, _| None, put)?;
            n += 1;
            if n.is_multiple_of(4096) { rest() } else { Ok(()) }
        })?;
        walk.end(put)
    }

    /// One merge, if one is due. `share` says again and again what part of a core it may take.
    fn merge_once(&self, share: &dyn Fn() -> f64) -> Result<bool> {
        let inputs = due(&self.segments(), self.settings.merge_at.max(2));
        if inputs.is_empty() {
            return Ok(false);
        }
        let mut budget = Budget::new(share());
        // A stop does not wait for a merge: the inputs stay, and the outputs so far are removed.
        let rest = |budget: &mut Budget| {
            budget.rest_at(share());
            if self.stopping() { Err(segments::Error::Stopped) } else { Ok(()) }
        };
        let mut leaves = self.expected(&inputs)?;
        for input in &inputs {
            self.leaves_of(input, &mut leaves, &mut || rest(&mut budget).map_err(Into::into))?;
        }
        let dir = self.folder.segments();
        let mut failed = None;
        let mut ids = Vec::new();
        let written = write_merged(
            &dir,
            &mut || {
                let id = self.catalog.next_segment_id().unwrap_or_else(|e| {
                    failed = Some(e);
                    u64::MAX
                });
                ids.push(id);
                id
            },
            &inputs,
            OUTPUT_ROWS,
            &mut |_| rest(&mut budget),
        );
        let done = (|| -> Result<()> {
            if let Some(e) = failed {
                return Err(e.into());
            }
            let outputs = written?;
            self.admit(&outputs, &mut leaves, &|_, _| None, &mut |_| rest(&mut budget).map_err(Into::into))?;
            let opened = outputs.iter().map(|i| Segment::open(&dir, i.clone())).collect::<Result<Vec<_>, _>>()?;
            let retire: Vec<u64> = inputs.iter().map(|s| s.info().id).collect();
            let _changing = self.changing.lock();
            self.catalog.commit_store(StoreCommit {
                add: outputs.iter().map(|i| row_of(i, 1, self.now())).collect(),
                retire: retire.clone(),
                now: self.now(),
                ..StoreCommit::default()
            })?;
            // The set is the outputs now; a crash from here on leaves the inputs' files for the next start.
            {
                let gone: HashSet<u64> = retire.iter().copied().collect();
                let mut set = self.set.write();
                let mut next: Vec<Arc<Segment>> =
                    set.iter().filter(|s| !gone.contains(&s.info().id)).cloned().collect();
                next.extend(opened);
                *set = Arc::new(next);
            }
            for id in &retire {
                segments::remove(&dir, *id)?;
            }
            self.catalog.forget_retired(&retire)?;
            Ok(())
        })();
        if let Err(e) = done {
            ids.retain(|id| !self.segments().iter().any(|s| s.info().id == *id));
            self.discard(&ids, &e);
            return Err(e);
        }
        self.counters.merges.fetch_add(1, Ordering::Relaxed);
        self.counters.merged_rows.fetch_add(inputs.iter().map(|s| s.info().rows).sum(), Ordering::Relaxed);
        Ok(true)
    }
}

/// Whatever an input's rows hash to is what its outputs' must.
fn put(leaves: &mut Leaves, tenant: u32, index: u64, leaf: Hash) -> bool {
    leaves.put(tenant, index, leaf);
    true
}

/// The segments to merge next: the oldest `fan_in` of the smallest size class that has so many.
fn due(set: &[Arc<Segment>], fan_in: usize) -> Vec<Arc<Segment>> {
    let mut classes: BTreeMap<u32, Vec<&Arc<Segment>>> = BTreeMap::new();
    for segment in set.iter().filter(|s| s.info().rows < LARGE_ROWS) {
        classes.entry(segment.info().rows.max(1).ilog2() / 3).or_default().push(segment);
    }
    for (_, mut of_class) in classes {
        if of_class.len() < fan_in {
            continue;
        }
        of_class.sort_by_key(|s| s.info().id);
        let mut rows = 0;
        let inputs: Vec<_> = of_class
            .into_iter()
            .take(fan_in)
            .take_while(|s| {
                rows += s.info().rows;
                rows <= MERGE_ROWS
            })
            .cloned()
            .collect();
        if inputs.len() > 1 {
            return inputs;
        }
    }
    Vec::new()
}
