//! The three hashes of RFC 6962 section 2.1 and the root over a slice of leaf hashes.
//!
//! Owns the domain-separation prefixes. Does not know what a leaf contains.

use sha::{Messages, START, State, bytes_of};
use sha2::{Digest, Sha256};

/// A SHA-256 value: a leaf hash, an interior node or a root.
pub type Hash = [u8; 32];

/// The largest tree size that the formats here accept: 2^63 - 1, so that Go's signed sizes hold it.
pub const MAX_SIZE: u64 = i64::MAX as u64;

const LEAF_PREFIX: u8 = 0x00;
const NODE_PREFIX: u8 = 0x01;

/// The hash of a leaf: `SHA-256(0x00 || entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([LEAF_PREFIX]);
    hasher.update(entry);
    hasher.finalize().into()
}

/// The hash of an interior node: `SHA-256(0x01 || left || right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([NODE_PREFIX]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// Many of these hashes side by side: the same ones, in a fraction of the time where the processor can. Keeps its memory from one
/// use to the next.
#[derive(Default)]
pub struct Hasher {
    messages: Messages,
    states: Vec<State>,
}

impl Hasher {
    /// [`leaf_hash`] of each entry.
    pub fn leaves<E: AsRef<[u8]>>(&mut self, entries: impl IntoIterator<Item = E>) -> Vec<Hash> {
        for entry in entries {
            self.messages.add(START, 0, &[&[LEAF_PREFIX], entry.as_ref()]);
        }
        self.finish()
    }

    /// [`node_hash`] of each two of `level`; an odd one at the end is left out.
    pub(crate) fn nodes(&mut self, level: &[Hash]) -> Vec<Hash> {
        let mut node = [NODE_PREFIX; 65];
        for [left, right] in level.as_chunks().0 {
            node[1..33].copy_from_slice(left);
            node[33..].copy_from_slice(right);
            self.messages.add_short(START, 0, &node);
        }
        self.finish()
    }

    fn finish(&mut self) -> Vec<Hash> {
        self.messages.hash_into(&mut self.states);
        self.states.iter().copied().map(bytes_of).collect()
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

/// The root of a tree without leaves: `SHA-256("")`.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The root over `leaves`, which are *leaf hashes* already (see [`leaf_hash`]).
///
/// Allocates nothing; the recursion is as deep as the tree is high.
pub fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(split_point(many.len() as u64) as usize);
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// The largest power of two smaller than `n`, where RFC 6962 splits a tree of `n >= 2` leaves.
pub(crate) fn split_point(n: u64) -> u64 {
    match n.saturating_sub(1).checked_ilog2() {
        Some(log) => 1 << log,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_largest_smaller_power_of_two() {
        let want = [0, 0, 1, 2, 2, 4, 4, 4, 4, 8];
        for (n, want) in want.into_iter().enumerate() {
            assert_eq!(split_point(n as u64), want, "n = {n}");
        }
        assert_eq!(split_point(u64::MAX), 1 << 63);
    }
}
