//! Ids seen lately: what makes a repetition find the first receipt while its record is still in the tail.
//!
//! Exact, in memory, in generations: one per span of frames between two freezes of the tail. Ids whose records
//! are in segments are looked up there by whoever prepares a batch, before the batch comes here.
//!
//! Counters: `first ≤ stored ≤ first + generations kept`. Generations below `stored` have their records in
//! segments; those from `first` on are still known here.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// A keyed 128-bit hash of tenant and id. Made with a secret seed, so nobody can aim for a collision.
pub type IdKey = u128;

/// For maps whose keys hold a hash under a secret: hashing them again would only cost time.
pub type HashedKeys = BuildHasherDefault<AsIs>;

/// See [`HashedKeys`].
#[derive(Debug, Default, Clone, Copy)]
pub struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for eight in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(eight).for_each(|(to, from)| *to = *from);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = self.0.rotate_left(29) ^ n;
    }

    fn write_u128(&mut self, n: u128) {
        self.write_u64((n >> 64) as u64 ^ n as u64);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

/// Where an id was used, and in which generation: its number modulo 2^32, so that an entry of the map is 32 bytes and not 48.
#[derive(Debug, Clone, Copy)]
struct Seen {
    generation: u32,
    tenant: u32,
    index: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct RecentIds {
    /// Every id of the generations kept: one look-up, whichever it is in.
    seen: HashMap<IdKey, Seen, HashedKeys>,
    /// The ids of each generation, by which it is let go of.
    generations: VecDeque<Vec<IdKey>>,
    /// Number of the oldest generation kept.
    first: u64,
    /// Generations below this one are stored.
    stored: u64,
    /// What is left of the generation before `first`, which is being let go of.
    leaving: Vec<IdKey>,
}

/// Generations kept after their records went to segments: a batch checked its ids against the segments a
/// moment before it came here, and may have missed what moved in between.
const KEEP: u64 = 2;

/// Ids from which on the map grows to [`FULL_TAIL`] at once: the map has 4 MiB by then.
const MANY: usize = 100_000;

/// Ids of a tail that is full of small records, and of what went to segments lately: 7/8 of 2^21, as full as a map with
/// that many places of 33 bytes gets (69 MB).
const FULL_TAIL: usize = 7 << 18;

impl RecentIds {
    pub fn new() -> Self {
        Self {
            seen: HashMap::default(),
            generations: VecDeque::from([Vec::new()]),
            first: 0,
            stored: 0,
            leaving: Vec::new(),
        }
    }

    pub fn get(&self, id: IdKey) -> Option<(u32, u64)> {
        self.seen.get(&id).map(|s| (s.tenant, s.index))
    }

    pub fn insert(&mut self, id: IdKey, tenant: u32, index: u64) {
        // A burst fills the tail: one step to what that takes, not five that each move all ids to new memory.
        if self.seen.len() == self.seen.capacity() && (MANY..FULL_TAIL).contains(&self.seen.len()) {
            self.seen.reserve(FULL_TAIL - self.seen.len());
        }
        let generation = (self.first + self.generations.len() as u64 - 1) as u32;
        self.seen.insert(id, Seen { generation, tenant, index });
        if let Some(newest) = self.generations.back_mut() {
            newest.push(id);
        }
    }

    /// Begins a generation: what comes now goes to a later segment. Gives its number, which
    /// [`stored`](Self::stored) is told when all before it is in segments.
    pub fn freeze(&mut self) -> u64 {
        self.generations.push_back(Vec::new());
        self.first + self.generations.len() as u64 - 1
    }

    /// The generations below `number` are stored. Ids are let go of by [`let_go`](Self::let_go).
    pub fn stored(&mut self, number: u64) {
        self.stored = self.stored.max(number);
    }

    /// Lets go of some ids that no batch can still miss, at most `most`: whoever holds this lock keeps every writer
    /// waiting. Whether there are more. A generation whose freeze came to nothing stays until a later one takes its
    /// records along.
    pub fn let_go(&mut self, most: usize) -> bool {
        if self.leaving.is_empty() && self.first + KEEP < self.stored && self.generations.len() > 1 {
            self.leaving = self.generations.pop_front().unwrap_or_default();
            self.first += 1;
        }
        let left = self.leaving.len().saturating_sub(most);
        for id in self.leaving.drain(left..) {
            // The same id may have been used again since.
            if self.seen.get(&id).is_some_and(|s| s.generation == (self.first - 1) as u32) {
                self.seen.remove(&id);
            }
        }
        if left == 0 {
            self.leaving = Vec::new();
        }
        let more = left > 0 || self.first + KEEP < self.stored && self.generations.len() > 1;
        // With room for as many again: a map that just fits grows with the next id, which moves all.
        if !more && self.seen.len() < self.seen.capacity() / 8 {
            self.seen.shrink_to(self.seen.len() * 2);
        }
        more
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
        while ids.let_go(1) {}
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
            while ids.let_go(1) {
                assert!(!ids.covers(epoch) || ids.get(7).is_some());
            }
        }
        assert!(ids.get(7).is_none());
        assert!(!ids.covers(epoch));
        assert!(ids.covers(ids.epoch()));
    }
}
