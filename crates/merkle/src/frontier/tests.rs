use proptest::prelude::*;

use super::*;
use crate::hash::{leaf_hash, root_of};

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|index| leaf_hash(&index.to_be_bytes())).collect()
}

#[test]
fn the_root_is_that_of_all_leaves_at_every_size() {
    let leaves = leaves(600);
    let mut frontier = Frontier::new();
    for size in 0..=leaves.len() {
        assert_eq!(frontier.size(), size as u64);
        assert_eq!(frontier.hashes().len(), size.count_ones() as usize);
        assert_eq!(frontier.root(), root_of(&leaves[..size]), "size {size}");
        if let Some(leaf) = leaves.get(size) {
            frontier.push(*leaf);
        }
    }
}

#[test]
fn every_perfect_subtree_is_told_once_and_in_order() {
    let leaves = leaves(600);
    let mut frontier = Frontier::new();
    let mut seen = [0u64; 11];
    for leaf in &leaves {
        let mut before = 0;
        frontier.push_with(*leaf, |level, index, hash| {
            assert_eq!(level, before + 1, "lowest first");
            before = level;
            assert_eq!(index, seen[usize::from(level)], "from the left");
            seen[usize::from(level)] += 1;
            let start = (index << level) as usize;
            assert_eq!(hash, root_of(&leaves[start..start + (1 << level)]));
        });
    }
    for (level, seen) in seen.iter().enumerate().skip(1) {
        assert_eq!(*seen, 600 >> level, "level {level}");
    }
}

proptest! {
    #[test]
    fn many_leaves_at_once_are_one_after_the_other(counts in prop::collection::vec(0u64..700, 1..5)) {
        let (mut one, mut many, mut hasher) = (Frontier::new(), Frontier::new(), Hasher::default());
        let mut first = 0;
        for count in counts {
            let entries = (first..first + count).map(u64::to_be_bytes);
            first += count;
            let (mut told, mut want) = (Vec::new(), Vec::new());
            let leaves = hasher.leaves(entries.clone());
            prop_assert_eq!(&leaves, &entries.map(|entry| leaf_hash(&entry)).collect::<Vec<_>>());
            leaves.iter().for_each(|leaf| one.push_with(*leaf, |level, index, hash| want.push((level, index, hash))));
            many.extend_with(&leaves, &mut hasher, |level, index, hash| told.push((level, index, hash)));
            prop_assert_eq!(&many, &one);
            want.sort_by_key(|(level, index, _)| (*level, *index));
            prop_assert_eq!(told, want);
        }
    }
}

#[test]
fn odd_lengths_are_refused() {
    let mut frontier = Frontier::new();
    leaves(11).into_iter().for_each(|leaf| frontier.push(leaf));
    let bytes = frontier.to_bytes();
    assert_eq!(bytes.len(), 8 + 3 * 32);
    for len in 0..bytes.len() {
        let short = Frontier::from_bytes(&bytes[..len]);
        assert!(short.is_err(), "length {len}");
    }
    let longer = [bytes.as_slice(), &[0; 32]].concat();
    assert!(matches!(Frontier::from_bytes(&longer), Err(FrontierError::WrongLength { size: 11, want: 104, got: 136 })));
    let mut huge = vec![0xff; 8];
    huge.resize(8 + 64 * 32, 0);
    assert_eq!(Frontier::from_bytes(&huge), Err(FrontierError::TooLarge(u64::MAX)));
}

#[test]
fn the_largest_frontier_still_takes_a_leaf() {
    let mut frontier = Frontier::from_hashes(MAX_SIZE, vec![[7; 32]; 63]).unwrap();
    frontier.push([1; 32]);
    frontier.push([2; 32]);
    assert_eq!((frontier.size(), frontier.hashes().len()), (MAX_SIZE + 2, 2));
}

proptest! {
    #[test]
    fn a_saved_frontier_goes_on_where_it_was(before in 0u64..400, after in 0u64..100) {
        let leaves = leaves(before + after);
        let mut frontier = Frontier::new();
        leaves[..before as usize].iter().for_each(|leaf| frontier.push(*leaf));
        let mut restored = Frontier::from_bytes(&frontier.to_bytes()).unwrap();
        prop_assert_eq!(&restored, &frontier);
        leaves[before as usize..].iter().for_each(|leaf| restored.push(*leaf));
        prop_assert_eq!(restored.root(), root_of(&leaves));
    }

    #[test]
    fn any_bytes_are_a_frontier_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(frontier) = Frontier::from_bytes(&bytes) {
            prop_assert_eq!(frontier.to_bytes(), bytes);
            frontier.root();
        }
    }
}
