//! Ids seen lately: what makes a repetition find the first receipt while its record is still in the tail.
//!
//! Exact, in memory, in generations that go with the journal files. Ids whose records are in segments are
//! looked up there by whoever prepares a batch.

use std::collections::{HashMap, VecDeque};

/// A keyed 128-bit hash of tenant and id. Made with a secret seed, so nobody can aim for a collision.
pub type IdKey = u128;

/// One generation per span of frames between two freezes of the tail.
#[derive(Debug)]
pub(crate) struct RecentIds {
    generations: VecDeque<HashMap<IdKey, (u32, u64)>>,
    /// How many generations were ever begun.
    pub epoch: u64,
}

/// Generations kept after their records went to segments: a batch checked its ids against the segments a
/// moment before it came here, and may have missed what moved in between.
const KEEP: usize = 2;

impl RecentIds {
    pub fn new() -> Self {
        Self { generations: VecDeque::from([HashMap::new()]), epoch: 0 }
    }

    pub fn get(&self, id: IdKey) -> Option<(u32, u64)> {
        self.generations.iter().rev().find_map(|g| g.get(&id).copied())
    }

    pub fn insert(&mut self, id: IdKey, tenant: u32, index: u64) {
        if let Some(newest) = self.generations.back_mut() {
            newest.insert(id, (tenant, index));
        }
    }

    /// Begins a generation: what comes now goes to a later segment.
    pub fn freeze(&mut self) {
        self.generations.push_back(HashMap::new());
        self.epoch += 1;
    }

    /// The oldest generation's records are stored; lets go of those that no batch can still miss.
    pub fn stored(&mut self) {
        while self.generations.len() > KEEP + 1 {
            self.generations.pop_front();
        }
    }

    /// Whether a batch whose ids were checked against the segments in `epoch` may rely on that check.
    pub fn covers(&self, epoch: u64) -> bool {
        epoch + self.generations.len() as u64 > self.epoch
    }
}
