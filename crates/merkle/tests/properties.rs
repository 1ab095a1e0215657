//! Proofs against the RFC's recursive definitions and against `ct-merkle`, and every mutation that the test data of
//! transparency-dev/merkle knows: all must be refused.
#![allow(missing_docs)]

mod common;

use common::{Log, NoSuchTile, naive_consistency, naive_inclusion};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use merkle::proof::{verify_consistency, verify_inclusion};
use merkle::tile::{self, ReadError};
use merkle::{Hash, leaf_hash, root_of};
use proptest::prelude::*;
use sha2::Sha256;

/// Exhaustive to a size where every shape of the lowest levels has occurred.
#[test]
fn every_small_proof_is_the_one_of_the_rfc() {
    let mut log = Log::with_leaves(40);
    for new in 0..=40u64 {
        let leaves = log.leaves[..new as usize].to_vec();
        let root = root_of(&leaves);
        assert_eq!(tile::root(&mut log, new), Ok(root));
        assert_eq!(log.take_reads().into_iter().collect::<Vec<_>>(), tile::tiles_for_root(new));
        for index in 0..new {
            let proof = tile::inclusion_proof(&mut log, index, new).unwrap();
            assert_eq!(proof, naive_inclusion(index as usize, &leaves), "leaf {index} of {new}");
            verify_inclusion(index, new, &leaves[index as usize], &proof, &root).unwrap();
            log.take_reads();
        }
        for old in 0..=new {
            let proof = tile::consistency_proof(&mut log, old, new).unwrap();
            let naive = if old == 0 { vec![] } else { naive_consistency(old as usize, &leaves, true) };
            assert_eq!(proof, naive, "{old} in {new}");
            verify_consistency(old, new, &log.root_at(old), &root, &proof).unwrap();
            log.take_reads();
        }
    }
}

/// Around the edges of tiles, where partial tiles and levels change.
#[test]
fn proofs_across_tile_edges() {
    let sizes = [255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 65_792, 66_000];
    let mut log = Log::with_leaves(66_000);
    for generous in [false, true] {
        log.generous = generous;
        for new in sizes {
            let root = log.root_at(new);
            assert_eq!(tile::root(&mut log, new), Ok(root));
            log.take_reads();
            let frontier = tile::frontier(&mut log, new).unwrap();
            assert_eq!((frontier.size(), frontier.root()), (new, root));
            log.take_reads();
            for index in [0, 1, 254, 255, 256, 257, 65_535, 65_536, new - 2, new - 1] {
                if index < new {
                    let proof = tile::inclusion_proof(&mut log, index, new).unwrap();
                    verify_inclusion(index, new, &log.leaves[index as usize], &proof, &root).unwrap();
                    let planned = tile::tiles_for_inclusion(index, new).unwrap();
                    assert_eq!(log.take_reads().into_iter().collect::<Vec<_>>(), planned);
                }
            }
            for old in sizes.into_iter().chain([1, 2, 3, 128, 1000]).filter(|old| *old <= new) {
                let proof = tile::consistency_proof(&mut log, old, new).unwrap();
                verify_consistency(old, new, &log.root_at(old), &root, &proof).unwrap();
                let planned = tile::tiles_for_consistency(old, new).unwrap();
                assert_eq!(log.take_reads().into_iter().collect::<Vec<_>>(), planned);
            }
        }
    }
}

/// The mutations of transparency-dev/merkle `testdata/inclusion`, regenerated.
#[test]
fn every_inclusion_mutation_is_refused() {
    let mut log = Log::with_leaves(300);
    let mut refused = 0;
    for size in (1..=35).chain([64, 100, 255, 256, 257, 300]) {
        let root = log.root_at(size);
        for index in (0..size.min(20)).chain([size / 2, size - 1]) {
            let proof = tile::inclusion_proof(&mut log, index, size).unwrap();
            let leaf = log.leaves[index as usize];
            let mut refuse = |what: &str, index: u64, size: u64, leaf: &Hash, proof: &[Hash], root: &Hash| {
                let verdict = verify_inclusion(index, size, leaf, proof, root);
                assert!(verdict.is_err(), "{what}: leaf {index} of {size}");
                refused += 1;
            };
            // Wrong index, wrong size.
            refuse("index - 1", index.wrapping_sub(1), size, &leaf, &proof, &root);
            refuse("index + 1", index + 1, size, &leaf, &proof, &root);
            refuse("index ^ 2", index ^ 2, size, &leaf, &proof, &root);
            refuse("size * 2", index, size * 2, &leaf, &proof, &root);
            refuse("size / 2", index, size / 2, &leaf, &proof, &root);
            refuse("size 0", index, 0, &leaf, &proof, &root);
            refuse("huge index", u64::MAX, size, &leaf, &proof, &root);
            refuse("huge size", index, u64::MAX, &leaf, &proof, &root);
            // Wrong leaf, wrong root.
            refuse("random leaf", index, size, &leaf_hash(b"wrong"), &proof, &root);
            refuse("empty leaf hash", index, size, &merkle::empty_root(), &proof, &root);
            refuse("random root", index, size, &leaf, &proof, &leaf_hash(b"wrong"));
            refuse("empty root", index, size, &leaf, &proof, &merkle::empty_root());
            if size > 1 {
                refuse("leaf and root swapped", index, size, &root, &proof, &leaf);
                refuse("empty proof", index, size, &leaf, &[], &root);
            }
            mutate(&proof, &[leaf, root], |what, mutant| refuse(what, index, size, &leaf, mutant, &root));
        }
    }
    assert!(refused > 20_000, "only {refused} mutations were made");
}

/// The mutations of transparency-dev/merkle `testdata/consistency`, regenerated.
#[test]
fn every_consistency_mutation_is_refused() {
    let mut log = Log::with_leaves(300);
    let mut refused = 0;
    for new in (2..=35).chain([64, 100, 255, 256, 257, 300]) {
        let new_root = log.root_at(new);
        for old in (1..new.min(20)).chain([new / 2, new - 1]) {
            let old_root = log.root_at(old);
            let proof = tile::consistency_proof(&mut log, old, new).unwrap();
            let mut refuse = |what: &str, old: u64, new: u64, old_root: &Hash, new_root: &Hash, proof: &[Hash]| {
                let verdict = verify_consistency(old, new, old_root, new_root, proof);
                assert!(verdict.is_err(), "{what}: {old} in {new}");
                refused += 1;
            };
            refuse("old - 1", old - 1, new, &old_root, &new_root, &proof);
            refuse("old + 1", old + 1, new, &old_root, &new_root, &proof);
            refuse("old ^ 2", old ^ 2, new, &old_root, &new_root, &proof);
            refuse("new * 2", old, new * 2, &old_root, &new_root, &proof);
            refuse("new / 2", old, new / 2, &old_root, &new_root, &proof);
            refuse("sizes swapped", new, old, &old_root, &new_root, &proof);
            refuse("both swapped", new, old, &new_root, &old_root, &proof);
            refuse("old 0", 0, new, &old_root, &new_root, &proof);
            refuse("new 0", old, 0, &old_root, &new_root, &proof);
            refuse("both old", old, old, &old_root, &new_root, &proof);
            refuse("both new", new, new, &old_root, &new_root, &proof);
            refuse("huge", old, u64::MAX, &old_root, &new_root, &proof);
            refuse("wrong old root", old, new, &leaf_hash(b"wrong"), &new_root, &proof);
            refuse("wrong new root", old, new, &old_root, &leaf_hash(b"wrong"), &proof);
            refuse("roots swapped", old, new, &new_root, &old_root, &proof);
            refuse("old root twice", old, new, &old_root, &old_root, &proof);
            refuse("new root twice", old, new, &new_root, &new_root, &proof);
            refuse("empty root", old, new, &merkle::empty_root(), &new_root, &proof);
            refuse("empty proof", old, new, &old_root, &new_root, &[]);
            mutate(&proof, &[old_root, new_root], |what, mutant| {
                refuse(what, old, new, &old_root, &new_root, mutant);
            });
        }
    }
    assert!(refused > 20_000, "only {refused} mutations were made");
}

/// Every way to damage the hashes of a proof; `others` are the values a forger has at hand.
fn mutate(proof: &[Hash], others: &[Hash], mut refuse: impl FnMut(&str, &[Hash])) {
    for extra in others.iter().chain([&[0; 32], &merkle::empty_root()]) {
        refuse("trailing hash", &[proof, &[*extra]].concat());
        refuse("preceding hash", &[&[*extra], proof].concat());
        refuse("both", &[&[*extra], proof, &[*extra]].concat());
    }
    refuse("proof twice", &[proof, proof, &[[1; 32]]].concat());
    for position in 0..proof.len() {
        let mut less = proof.to_vec();
        less.remove(position);
        refuse("hash removed", &less);
        refuse("cut", &proof[..position]);
        let mut more = proof.to_vec();
        more.insert(position, proof[position]);
        refuse("hash repeated", &more);
        for bit in [0, 7, 100, 255] {
            let mut flipped = proof.to_vec();
            flipped[position][bit / 8] ^= 1 << (bit % 8);
            refuse("bit flipped", &flipped);
        }
        for other in others {
            if proof[position] != *other {
                let mut replaced = proof.to_vec();
                replaced[position] = *other;
                refuse("hash replaced", &replaced);
            }
        }
        let next = (position + 1) % proof.len();
        if proof[position] != proof[next] {
            let mut swapped = proof.to_vec();
            swapped.swap(position, next);
            refuse("hashes swapped", &swapped);
        }
    }
}

/// Any hash of any tile that a proof or root reads: taken away, moved or changed, it is seen.
#[test]
fn damage_to_any_tile_hash_is_seen() {
    let size = 700;
    let log = Log::with_leaves(size);
    let root = log.root();
    for (key, bytes) in &log.tiles {
        for position in 0..bytes.len() / 32 {
            let at = position * 32;
            let without = [&bytes[..at], &bytes[at + 32..]].concat();
            let mut changed = bytes.clone();
            changed[at + 5] ^= 0x10;
            for damaged in [without, changed] {
                let mut log = log.clone();
                log.tiles.insert(*key, damaged);
                assert!(seen(&mut log, *key, position as u64, size, &root), "hash {position} of tile {key:?}");
            }
        }
    }
}

/// Whether a proof that needs the hash fails to come to the signed root.
fn seen(log: &mut Log, (level, tile_index): (u8, u64), position: u64, size: u64, root: &Hash) -> bool {
    // The hash is a sibling of its neighbour's leaves; without a neighbour it is on the right edge, part of the root.
    let number = tile_index * 256 + position;
    let neighbour = (number ^ 1) << (8 * level);
    if neighbour >= size {
        return tile::root(log, size) != Ok(*root);
    }
    match tile::inclusion_proof(log, neighbour, size) {
        Err(ReadError::Reader { source: NoSuchTile, .. } | ReadError::BadTile { .. }) => true,
        Err(other) => panic!("{other:?}"),
        Ok(proof) => verify_inclusion(neighbour, size, &log.leaves[neighbour as usize], &proof, root).is_err(),
    }
}

#[test]
fn a_full_tile_hashes_to_its_place_in_the_level_above() {
    let log = Log::with_leaves(1000);
    for index in 0..3 {
        let above = &log.tiles[&(1, 0)][index * 32..][..32];
        assert_eq!(tile::tile_root(&log.tiles[&(0, index as u64)]).unwrap(), above);
    }
    assert_eq!(tile::tile_root(&log.tiles[&(0, 3)]), None);
}

/// What growing writes is what the tiles of the new size are, no more and no less.
#[test]
fn new_tiles_are_those_that_changed() {
    let mut log = Log::default();
    let mut before = log.tiles.clone();
    for step in [1, 3, 251, 1, 1, 255, 300, 65_000, 1] {
        let old = log.size();
        (0..step).for_each(|i| log.push(leaf_hash(&(old + i).to_be_bytes())));
        let mut changed = Vec::new();
        for (&(level, index), bytes) in &log.tiles {
            if before.get(&(level, index)) != Some(bytes) {
                changed.push((level, index, bytes.len() / 32));
            }
        }
        let told: Vec<_> =
            tile::new_tiles(old, log.size()).map(|tile| (tile.level, tile.index, usize::from(tile.width))).collect();
        assert_eq!(told, changed, "{old} + {step}");
        before = log.tiles.clone();
    }
}

fn oracle(count: u64) -> MemoryBackedTree<Sha256, [u8; 8]> {
    let mut tree = MemoryBackedTree::new();
    (0..count).for_each(|index| tree.push(index.to_be_bytes()));
    tree
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn agrees_with_ct_merkle(new in 1u64..1500, a in any::<u64>(), b in any::<u64>()) {
        let (index, old) = (a % new, 1 + b % new);
        let mut log = Log::with_leaves(new);
        let tree = oracle(new);
        let (ours, theirs) = (log.root(), tree.root());
        prop_assert_eq!(ours.as_slice(), theirs.as_bytes().as_slice());
        let proof = tile::inclusion_proof(&mut log, index, new).unwrap();
        let theirs = tree.prove_inclusion(index as usize);
        prop_assert_eq!(proof.as_flattened(), theirs.as_bytes());
        log.take_reads();
        let proof = tile::consistency_proof(&mut log, old, new).unwrap();
        if old < new {
            let theirs = tree.prove_consistency((new - old) as usize);
            prop_assert_eq!(proof.as_flattened(), theirs.as_bytes());
        }
        verify_consistency(old, new, &log.root_at(old), &log.root(), &proof).unwrap();
    }

    /// Two logs that differ in one leaf are never consistent, whatever proof either of them makes.
    #[test]
    fn a_rewritten_leaf_is_never_consistent(new in 2u64..600, a in any::<u64>(), b in any::<u64>()) {
        let old = 1 + a % (new - 1);
        let honest = Log::with_leaves(old);
        let mut forged = Log::default();
        (0..new).for_each(|i| forged.push(leaf_hash(&if i == b % old { u64::MAX } else { i }.to_be_bytes())));
        let root = forged.root();
        for mut source in [forged, Log::with_leaves(new)] {
            let proof = tile::consistency_proof(&mut source, old, new).unwrap();
            prop_assert!(verify_consistency(old, new, &honest.root(), &root, &proof).is_err());
        }
    }
}
