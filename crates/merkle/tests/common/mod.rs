//! What several test files share: a tree kept the way a ledger keeps it, and the RFC's own recursive definitions.
#![allow(dead_code, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use merkle::tile::{Tile, TileReader};
use merkle::{Frontier, Hash, leaf_hash, node_hash};

/// The eight leaves of the well-known RFC 6962 test tree.
pub const RFC_LEAVES: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];

/// A frontier and the tiles written beside it as the tree grows.
#[derive(Clone, Default)]
pub struct Log {
    pub frontier: Frontier,
    pub leaves: Vec<Hash>,
    /// Bytes of all hashes of a tile so far, by level and index.
    pub tiles: BTreeMap<(u8, u64), Vec<u8>>,
    /// Every tile read, for the rule that each is read once.
    pub reads: Vec<Tile>,
    /// Serve whole tiles even if the tree asked about is smaller.
    pub generous: bool,
}

impl Log {
    pub fn with_leaves(count: u64) -> Self {
        let mut log = Self::default();
        (0..count).for_each(|index| log.push(leaf_hash(&index.to_be_bytes())));
        log
    }

    pub fn of(entries: &[&[u8]]) -> Self {
        let mut log = Self::default();
        entries.iter().for_each(|entry| log.push(leaf_hash(entry)));
        log
    }

    pub fn push(&mut self, leaf: Hash) {
        let Self { frontier, tiles, leaves, .. } = self;
        let mut put = |level: u8, index: u64, hash: Hash| {
            let bytes = tiles.entry((level, index / 256)).or_default();
            assert_eq!(bytes.len() as u64, index % 256 * 32, "hashes of a tile come in order");
            bytes.extend_from_slice(&hash);
        };
        put(0, frontier.size(), leaf);
        frontier.push_with(leaf, |height, index, hash| {
            if height % 8 == 0 {
                put(height / 8, index, hash);
            }
        });
        leaves.push(leaf);
    }

    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Root of the first `size` leaves by definition.
    pub fn root_at(&self, size: u64) -> Hash {
        naive_root(&self.leaves[..size as usize])
    }

    /// The reads since the last call; fails if a tile was read twice.
    pub fn take_reads(&mut self) -> BTreeSet<Tile> {
        let reads = std::mem::take(&mut self.reads);
        let distinct: BTreeSet<Tile> = reads.iter().copied().collect();
        assert_eq!(distinct.len(), reads.len(), "a tile was read twice");
        distinct
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct NoSuchTile;

impl TileReader for Log {
    type Error = NoSuchTile;

    fn read(&mut self, tile: Tile) -> Result<Vec<u8>, NoSuchTile> {
        self.reads.push(tile);
        let bytes = self.tiles.get(&(tile.level, tile.index)).ok_or(NoSuchTile)?;
        if self.generous {
            return Ok(bytes.clone());
        }
        bytes.get(..tile.byte_len()).map(<[u8]>::to_vec).ok_or(NoSuchTile)
    }
}

fn split(len: usize) -> usize {
    let mut k = 1;
    while k * 2 < len {
        k *= 2;
    }
    k
}

/// MTH of RFC 6962 section 2.1 over leaf hashes.
pub fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves.len() {
        0 => merkle::empty_root(),
        1 => leaves[0],
        len => {
            let (left, right) = leaves.split_at(split(len));
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

/// PATH of section 2.1.1.
pub fn naive_inclusion(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, sibling) =
        if index < k { (naive_inclusion(index, left), right) } else { (naive_inclusion(index - k, right), left) };
    proof.push(naive_root(sibling));
    proof
}

/// SUBPROOF of section 2.1.2.
pub fn naive_consistency(old: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if known { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, sibling) = if old <= k {
        (naive_consistency(old, left, known), right)
    } else {
        (naive_consistency(old - k, right, false), left)
    };
    proof.push(naive_root(sibling));
    proof
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn seed(from: u8) -> [u8; 32] {
    std::array::from_fn(|i| from + i as u8)
}
