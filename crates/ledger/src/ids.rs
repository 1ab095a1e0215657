//! Ids seen lately: what makes a repetition find the first receipt while its record is still in the tail.
//!
//! Exact, in memory, in generations: one per span of frames between two freezes of the tail. Ids whose records
//! are in segments are looked up there by whoever prepares a batch, before the batch comes here.
//!
//! Counters: `first ≤ stored ≤ first + generations kept`. Generations below `stored` have their records in
//! segments; those from `first` on are still known here.

use std::collections::{HashMap, VecDeque};

/// A keyed 128-bit hash of tenant and id. Made with a secret seed, so nobody can aim for a collision.
pub type IdKey = u128;

/// See the module.
#[derive(Debug)]
pub(crate) struct RecentIds {
    generations: VecDeque<HashMap<IdKey, (u32, u64)>>,
    /// Number of the oldest generation kept.
    first: u64,
    /// Generations below this one are stored.
    stored: u64,
}

/// Generations kept after their records went to segments: a batch checked its ids against the segments a
/// moment before it came here, and may have missed what moved in between.
const KEEP: u64 = 2;

impl RecentIds {
    pub fn new() -> Self {
        Self { generations: VecDeque::from([HashMap::new()]), first: 0, stored: 0 }
    }

    pub fn get(&self, id: IdKey) -> Option<(u32, u64)> {
        self.generations.iter().rev().find_map(|g| g.get(&id).copied())
    }

    pub fn insert(&mut self, id: IdKey, tenant: u32, index: u64) {
        if let Some(newest) = self.generations.back_mut() {
            newest.insert(id, (tenant, index));
        }
    }

    /// Begins a generation: what comes now goes to a later segment. Gives its number, which
    /// [`stored`](Self::stored) is told when all before it is in segments.
    pub fn freeze(&mut self) -> u64 {
        self.generations.push_back(HashMap::new());
        self.first + self.generations.len() as u64 - 1
    }

    /// The generations below `number` are stored. Lets go of those that no batch can still miss; one whose
    /// freeze came to nothing stays until a later one takes its records along.
    pub fn stored(&mut self, number: u64) {
        self.stored = self.stored.max(number);
        while self.first + KEEP < self.stored && self.generations.len() > 1 {
            self.generations.pop_front();
            self.first += 1;
        }
    }

    /// To be taken before ids are looked up in the segments, which then have all generations below it.
    pub fn epoch(&self) -> u64 {
        self.stored
    }

    /// Whether what a batch may have missed when it looked in `epoch` is known here: all generations from it on.
    pub fn covers(&self, epoch: u64) -> bool {
        epoch >= self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_stored_is_never_forgotten() {
        let mut ids = RecentIds::new();
        for n in 0..10 {
            ids.insert(n, 0, n as u64);
            ids.freeze();
        }
        // Ten freezes of which only the first three came to segments, told late.
        let epoch = ids.epoch();
        ids.stored(3);
        for n in 3..10 {
            assert!(ids.get(n).is_some(), "{n} is in the tail only");
        }
        assert!(!ids.covers(epoch) || (0..10).all(|n| ids.get(n).is_some()));
        ids.stored(2);
        assert_eq!(ids.epoch(), 3, "what is stored stays stored");
    }

    #[test]
    fn a_batch_is_covered_only_while_all_it_missed_is_known() {
        let mut ids = RecentIds::new();
        ids.insert(7, 0, 0);
        // Looked up now: the record is in no segment.
        let epoch = ids.epoch();
        for _ in 0..10 {
            let number = ids.freeze();
            ids.stored(number);
            assert!(!ids.covers(epoch) || ids.get(7).is_some());
        }
        assert!(!ids.covers(epoch));
        assert!(ids.covers(ids.epoch()));
    }
}
