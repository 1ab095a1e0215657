//! The trees of every tenant, put together again from leaves that come in any order.
//!
//! Owns folding: 256 leaves become one hash as soon as all of them are there, so that ten million leaves whose
//! order is nearly theirs take a few MiB. For the scrubber and for `rebuild`. Not here: where leaves come from,
//! and what the trees are compared with.

use ledger::Hash;
use merkle::Frontier;
use merkle::tile::{WIDTH, tile_root};
use std::collections::{BTreeMap, HashMap};

/// Leaves of one block.
pub(crate) const BLOCK: u64 = WIDTH as u64;

/// Hashes of tile levels from 1 up, end to end, by level and number.
pub(crate) type TileMap = BTreeMap<(u8, u64), Vec<u8>>;

/// What became of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    Kept,
    /// The same index again, with the same leaf.
    Again,
    /// The same index again, with another leaf.
    Differs,
    /// Not below the size that was asked for.
    Beyond,
}

/// One tree of a known size, being filled.
#[derive(Debug)]
pub(crate) struct Tree {
    size: u64,
    /// Roots of the blocks that are whole.
    blocks: Vec<Option<Hash>>,
    open: HashMap<u64, Block>,
}

/// Leaves that stand side by side, being filled in any order.
#[derive(Debug)]
pub(crate) struct Block {
    missing: usize,
    leaves: Vec<Option<Hash>>,
}

impl Block {
    /// Room for so many leaves.
    pub fn new(width: usize) -> Block {
        Block { missing: width, leaves: vec![None; width] }
    }

    pub fn put(&mut self, place: usize, leaf: Hash) -> Put {
        let Some(slot) = self.leaves.get_mut(place) else { return Put::Beyond };
        match slot {
            Some(kept) if *kept == leaf => Put::Again,
            Some(_) => Put::Differs,
            None => {
                *slot = Some(leaf);
                self.missing -= 1;
                Put::Kept
            }
        }
    }

    /// The root of a whole block of 256, once all leaves are there.
    pub fn root(&self) -> Option<Hash> {
        if self.missing > 0 {
            return None;
        }
        let bytes: Vec<u8> = self.leaves.iter().flatten().flatten().copied().collect();
        tile_root(&bytes)
    }

    /// The first place without a leaf.
    pub fn first_missing(&self) -> usize {
        self.leaves.iter().position(Option::is_none).unwrap_or(0)
    }
}

/// Trees by tenant.
#[derive(Debug, Default)]
pub(crate) struct Trees(pub BTreeMap<u32, Tree>);

impl Trees {
    /// Trees of these sizes.
    pub fn of(sizes: impl IntoIterator<Item = (u32, u64)>) -> Trees {
        Trees(sizes.into_iter().map(|(tenant, size)| (tenant, Tree::new(size))).collect())
    }

    pub fn put(&mut self, tenant: u32, index: u64, leaf: Hash) -> Put {
        self.0.get_mut(&tenant).map_or(Put::Beyond, |tree| tree.put(index, leaf))
    }
}

impl Tree {
    pub fn new(size: u64) -> Tree {
        Tree { size, blocks: vec![None; (size / BLOCK) as usize], open: HashMap::new() }
    }

    fn put(&mut self, index: u64, leaf: Hash) -> Put {
        if index >= self.size {
            return Put::Beyond;
        }
        let number = index / BLOCK;
        let whole = self.blocks.get(number as usize).copied();
        let width = (self.size - number * BLOCK).min(BLOCK) as usize;
        let open = self.open.entry(number).or_insert_with(|| Block::new(width));
        let put = open.put((index % BLOCK) as usize, leaf);
        if put != Put::Kept {
            return put;
        }
        // A last block that is not full stays open: its leaves are the end of the tree.
        if width as u64 == BLOCK
            && let Some(root) = open.root()
        {
            self.open.remove(&number);
            let Some(place) = self.blocks.get_mut(number as usize) else { return Put::Beyond };
            let before = place.replace(root);
            if before.is_some_and(|before| before != root) {
                return Put::Differs;
            }
        }
        if whole.flatten().is_some() { Put::Again } else { Put::Kept }
    }

    /// The tree and its tiles of level 1 and up.
    ///
    /// # Errors
    /// The first index whose leaf never came.
    pub fn close(&self) -> Result<(Frontier, TileMap), u64> {
        let mut upper = Frontier::new();
        let mut tiles = TileMap::new();
        let mut keep = |level: u8, index: u64, hash: Hash| {
            tiles.entry((level, index / BLOCK)).or_default().extend_from_slice(&hash);
        };
        for (number, root) in (0..).zip(&self.blocks) {
            let Some(root) = root else { return Err(self.first_missing(number)) };
            keep(1, number, *root);
            upper.push_with(*root, |height, index, hash| {
                if height.is_multiple_of(8) {
                    keep(1 + height / 8, index, hash);
                }
            });
        }
        let last = self.size / BLOCK;
        let mut lower = Frontier::new();
        for index in last * BLOCK..self.size {
            let leaf = self.open.get(&last).and_then(|o| *o.leaves.get((index % BLOCK) as usize)?);
            lower.push(leaf.ok_or(index)?);
        }
        let hashes = [upper.hashes(), lower.hashes()].concat();
        // The number of hashes is that of the size's bits: the two halves are its high and its low ones.
        let frontier = Frontier::from_hashes(self.size, hashes).map_err(|_| self.size)?;
        Ok((frontier, tiles))
    }

    fn first_missing(&self, number: u64) -> u64 {
        number * BLOCK + self.open.get(&number).map_or(0, Block::first_missing) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaf(i: u64) -> Hash {
        merkle::leaf_hash(&i.to_le_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn in_any_order_it_is_the_tree_that_appending_makes(
            size in 0u64..70_000,
            // Primes above every size: each step visits every index once.
            step in prop::sample::select(vec![104_729u64, 1_299_709, 15_485_863]),
            start in any::<u32>(),
        ) {
            let mut expected = Frontier::new();
            let mut tiles = TileMap::new();
            for i in 0..size {
                expected.push_with(leaf(i), |height, index, hash| {
                    if height.is_multiple_of(8) {
                        tiles.entry((height / 8, index / 256)).or_default().extend_from_slice(&hash);
                    }
                });
            }
            let mut tree = Tree::new(size);
            for n in 0..size {
                let i = (u64::from(start) + n * step) % size;
                prop_assert_eq!(tree.put(i, leaf(i)), Put::Kept);
            }
            prop_assert_eq!(tree.put(size, leaf(size)), Put::Beyond);
            prop_assert_eq!(tree.close(), Ok((expected, tiles)));
        }
    }

    #[test]
    fn a_leaf_that_never_came_or_comes_as_another_is_found() {
        for missing in [0, 255, 256, 300, 599] {
            let mut tree = Tree::new(600);
            for i in (0..600).rev().filter(|i| *i != missing) {
                tree.put(i, leaf(i));
            }
            assert_eq!(tree.close(), Err(missing));
        }
        let mut tree = Tree::new(300);
        for i in 0..300 {
            tree.put(i, leaf(i));
        }
        assert_eq!(tree.put(299, leaf(299)), Put::Again);
        assert_eq!(tree.put(299, leaf(0)), Put::Differs);
        let again: Vec<_> = (0..256).map(|i| tree.put(i, leaf(i))).collect();
        assert!(again.iter().all(|p| *p == Put::Again), "a block that is read twice is no harm");
        let last = (0..256).map(|i| tree.put(i, leaf(i + 1))).last();
        assert_eq!(last, Some(Put::Differs));
    }
}
