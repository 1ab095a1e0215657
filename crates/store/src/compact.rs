//! Merging small segments into large ones, in the background and on a budget.
//!
//! Size-tiered: eight segments ([`merge_at`](crate::Settings)) of one size class become one of the next, so a row
//! is rewritten about log8(rows ÷ flush) times. A merge is admitted like a flush, against the leaves of its inputs, and swaps
//! the set in one catalog transaction. Readers that have the old files open keep them.

use crate::admit::{Leaves, Walk};
use crate::budget::Budget;
use crate::error::Result;
use crate::store::{Store, row_of};
use catalog::StoreCommit;
use segments::{Segment, write_merged};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A segment of this many rows is large enough to be left alone.
const LARGE_ROWS: u64 = 1 << 20;
/// Most rows of one merge: their leaves are held in memory, 33 bytes each.
const MERGE_ROWS: u64 = 4 << 20;
/// Most rows of an output.
const OUTPUT_ROWS: u64 = 2 << 20;

impl Store {
    /// Runs merges while there are any, for as long as the store is open.
    pub(crate) fn merge(&self) {
        while !self.pause(Duration::from_millis(500)) {
            loop {
                match self.merge_once(self.settings.compaction_share) {
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
        while self.merge_once(1.0)? {}
        Ok(())
    }

    /// One merge, if one is due. `share` is the part of a core it may take.
    fn merge_once(&self, share: f64) -> Result<bool> {
        let inputs = due(&self.segments(), self.settings.merge_at.max(2));
        if inputs.is_empty() {
            return Ok(false);
        }
        let mut leaves = Leaves::default();
        for slice in inputs.iter().flat_map(|s| &s.info().slices) {
            leaves.expect(slice.tenant, slice.min_index, slice.max_index - slice.min_index + 1);
        }
        let mut budget = Budget::new(share);
        // A stop does not wait for a merge: the inputs stay, and the outputs so far are removed.
        let rest = |budget: &mut Budget| {
            budget.rest();
            if self.stopping() { Err(segments::Error::Stopped) } else { Ok(()) }
        };
        for input in &inputs {
            let mut walk = Walk::new(self, input.info())?;
            let mut n = 0u64;
            input.rows(&mut |row| -> Result<()> {
                let (tenant, leaf) = walk.leaf(&row)?;
                leaves.put(tenant, row.index, leaf);
                n += 1;
                if n.is_multiple_of(4096) { rest(&mut budget).map_err(Into::into) } else { Ok(()) }
            })?;
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
            self.admit(&outputs, &mut leaves, &mut |_| rest(&mut budget).map_err(Into::into))?;
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
