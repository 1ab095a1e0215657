//! What the rows of new segments must hash to.
//!
//! Owns two kinds of expectation. A leaf, where it is known row by row: from the tail at a flush, and from the inputs at
//! the edges of a merge. The root of a block of 256 leaves, where the sealed tree has it: then no input is hashed again,
//! and the rows are compared with what was sealed, not with what the inputs say. Not here: where the rows come from.

use crate::trees::{BLOCK, Block, Put};
use ledger::Hash;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

#[derive(Debug, Default)]
pub(crate) struct Leaves {
    /// Leaves by tenant and first index of a range. Ranges do not overlap.
    known: BTreeMap<(u32, u64), Vec<Option<Hash>>>,
    /// Roots of whole blocks, by tenant and number, and what was found of them.
    blocks: HashMap<(u32, u64), (Hash, Option<Block>), ahash::RandomState>,
}

impl Leaves {
    /// Room for the leaves of an index range, which overlaps no other.
    pub fn expect(&mut self, tenant: u32, range: Range<u64>) {
        if !range.is_empty() {
            self.known.insert((tenant, range.start), vec![None; (range.end - range.start) as usize]);
        }
    }

    /// The root that a block of 256 leaves must have.
    pub fn expect_block(&mut self, tenant: u32, number: u64, root: Hash) {
        self.blocks.insert((tenant, number), (root, None));
    }

    /// The leaf of an index there is room for.
    pub fn put(&mut self, tenant: u32, index: u64, leaf: Hash) {
        if let Some(slot) = self.slot(tenant, index) {
            *slot = Some(leaf);
        }
    }

    /// Parts of an index range whose leaves are expected row by row.
    pub fn ranges(&self, tenant: u32, within: Range<u64>) -> Vec<Range<u64>> {
        let before = self.known.range(..=(tenant, within.start)).next_back();
        let after = self.known.range((tenant, within.start + 1)..(tenant, within.end.max(within.start + 1)));
        let parts = before.into_iter().chain(after).filter(|((t, _), _)| *t == tenant);
        let parts =
            parts.map(|((_, first), leaves)| within.start.max(*first)..within.end.min(first + leaves.len() as u64));
        parts.filter(|part| !part.is_empty()).collect()
    }

    /// A row's leaf, which is as expected or is not. Each is expected once.
    pub fn take(&mut self, tenant: u32, index: u64, leaf: Hash) -> bool {
        if let Some(slot) = self.slot(tenant, index) {
            return slot.take() == Some(leaf);
        }
        let key = (tenant, index / BLOCK);
        let Some((root, found)) = self.blocks.get_mut(&key) else { return false };
        let block = found.get_or_insert_with(|| Block::new(BLOCK as usize));
        if block.put((index % BLOCK) as usize, leaf) != Put::Kept {
            return false;
        }
        match block.root() {
            None => true,
            made => {
                let same = made == Some(*root);
                self.blocks.remove(&key);
                same
            }
        }
    }

    /// Something that was expected and did not come: tenant and index.
    pub fn left(&self) -> Option<(u32, u64)> {
        let known = self.known.iter().find_map(|((tenant, first), leaves)| {
            leaves.iter().position(Option::is_some).map(|at| (*tenant, first + at as u64))
        });
        let missing = |((tenant, number), (_, found)): (&(u32, u64), &(Hash, Option<Block>))| {
            (*tenant, number * BLOCK + found.as_ref().map_or(0, Block::first_missing) as u64)
        };
        known.or_else(|| self.blocks.iter().map(missing).min())
    }

    fn slot(&mut self, tenant: u32, index: u64) -> Option<&mut Option<Hash>> {
        let ((of, first), leaves) = self.known.range_mut(..=(tenant, index)).next_back()?;
        if *of != tenant {
            return None;
        }
        leaves.get_mut((index - first) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use merkle::tile::tile_root;
    use proptest::prelude::*;

    fn leaf(i: u64) -> Hash {
        merkle::leaf_hash(&i.to_le_bytes())
    }

    /// Leaves 200 to 599 one by one, the two blocks behind them by their roots.
    fn expected() -> Leaves {
        let mut leaves = Leaves::default();
        leaves.expect(7, 200..600);
        (200..600).for_each(|i| leaves.put(7, i, leaf(i)));
        for number in [3, 4] {
            let bytes: Vec<u8> = (number * BLOCK..(number + 1) * BLOCK).flat_map(leaf).collect();
            leaves.expect_block(7, number, tile_root(&bytes).unwrap());
        }
        leaves
    }

    fn all() -> Vec<u64> {
        (200..600).chain(3 * BLOCK..5 * BLOCK).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_came_in_any_order_is_nothing_left(order in Just(all()).prop_shuffle()) {
            let mut leaves = expected();
            for i in &order {
                prop_assert!(leaves.take(7, *i, leaf(*i)), "{}", i);
            }
            prop_assert_eq!(leaves.left(), None);
        }

        #[test]
        fn one_that_differs_comes_twice_or_never_is_seen(order in Just(all()).prop_shuffle(), wrong in prop::sample::select(all()), how in 0..3) {
            let mut leaves = expected();
            let mut refused = false;
            for i in &order {
                let came = match (how, *i == wrong) {
                    (0, true) => leaves.take(7, *i, leaf(i + 1)),
                    (1, true) => leaves.take(7, *i, leaf(*i)) && leaves.take(7, *i, leaf(*i)),
                    (2, true) => true,
                    _ => leaves.take(7, *i, leaf(*i)),
                };
                refused |= !came;
            }
            match how {
                2 => prop_assert_eq!(leaves.left(), Some((7, wrong))),
                _ => prop_assert!(refused),
            }
        }
    }

    #[test]
    fn another_tenants_or_an_index_outside_is_not_expected() {
        let mut leaves = expected();
        assert!(!leaves.take(6, 200, leaf(200)) && !leaves.take(8, 200, leaf(200)));
        assert!(
            !leaves.take(7, 199, leaf(199)) && !leaves.take(7, 600, leaf(600)) && !leaves.take(7, 1280, leaf(1280))
        );
    }

    #[test]
    fn ranges_are_the_parts_expected_row_by_row() {
        let mut leaves = expected();
        leaves.expect(7, 2000..2010);
        leaves.expect(8, 0..10);
        assert_eq!(leaves.ranges(7, 0..5000), [200..600, 2000..2010]);
        assert_eq!(leaves.ranges(7, 300..2005), [300..600, 2000..2005]);
        assert_eq!(leaves.ranges(7, 600..2000), []);
        assert_eq!(leaves.ranges(6, 0..5000), []);
        assert_eq!(leaves.ranges(8, 3..4).first(), Some(&(3..4)));
    }
}
