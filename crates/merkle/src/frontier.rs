//! The append side of a tree: the compact range of the perfect subtrees that make up its right edge.
//!
//! Owns appending, the running root and the saved form. It cannot answer proofs: that needs tiles
//! ([`crate::tile`]). One frontier is at most 63 hashes, whatever the size of the tree.

use crate::hash::{Hash, Hasher, MAX_SIZE, empty_root, node_hash};

/// The right edge of a tree: enough to append and to know the root, nothing more.
///
/// A clone copies `popcount(size)` hashes (at most 2 KiB).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of the perfect subtrees, largest (leftmost) first; one per set bit of `size`.
    hashes: Vec<Hash>,
}

/// Why saved bytes are not a [`Frontier`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrontierError {
    /// The bytes end before the size does.
    #[error("frontier is {0} bytes, its size alone takes 8")]
    Truncated(usize),
    /// The number of bytes does not belong to the size they name.
    #[error("frontier of size {size} takes {want} bytes, got {got}")]
    WrongLength {
        /// The tree size read from the bytes.
        size: u64,
        /// Bytes that this size takes.
        want: usize,
        /// Bytes given.
        got: usize,
    },
    /// The size is above [`MAX_SIZE`].
    #[error("frontier size {0} is above 2^63 - 1")]
    TooLarge(u64),
}

impl Frontier {
    /// The frontier of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of leaves appended so far, which is also the index that the next leaf gets.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees of the right edge, leftmost (largest) first; one per set bit of [`Frontier::size`].
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Appends one leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        self.push_with(leaf, |_, _, _| {});
    }

    /// Appends one leaf hash and calls `completed(level, index, root)` for every perfect subtree of height
    /// `level >= 1` that it completes, lowest first. `index` counts subtrees of that height from the left.
    ///
    /// A level-`l` tile hash is the subtree of height `8 * l`. Allocates only when the frontier grows longer than it ever was.
    pub fn push_with(&mut self, leaf: Hash, mut completed: impl FnMut(u8, u64, Hash)) {
        let mut carry = leaf;
        // One merge per trailing set bit of the old size.
        for level in 0..self.size.trailing_ones() {
            let Some(left) = self.hashes.pop() else { break };
            carry = node_hash(&left, &carry);
            completed(level as u8 + 1, self.size >> (level + 1), carry);
        }
        self.hashes.push(carry);
        self.size += 1;
    }

    /// Appends many leaf hashes, as [`push_with`](Self::push_with) does one by one, but level by level, with the nodes of a level
    /// hashed side by side: `completed` is told of all subtrees of one height from left to right, then of the next height.
    pub fn extend_with(&mut self, leaves: &[Hash], hasher: &mut Hasher, mut completed: impl FnMut(u8, u64, Hash)) {
        let start = self.size;
        // Subtrees of one height that are to be paired, and those that stay without a partner, lowest first.
        let (mut level, mut single): (Vec<Hash>, Vec<Hash>) = (leaves.to_vec(), Vec::new());
        for height in 0..u64::BITS {
            if level.is_empty() {
                break;
            }
            if start >> height & 1 == 1
                && let Some(left) = self.hashes.pop()
            {
                level.insert(0, left);
            }
            let above = hasher.nodes(&level);
            single.extend(level.last().filter(|_| !level.len().is_multiple_of(2)));
            for (hash, index) in above.iter().zip(start >> height >> 1..) {
                completed(height as u8 + 1, index, *hash);
            }
            level = above;
        }
        self.hashes.extend(single.into_iter().rev());
        self.size += leaves.len() as u64;
    }

    /// The root of the tree as it is now. Costs `popcount(size) - 1` node hashes.
    pub fn root(&self) -> Hash {
        fold(&self.hashes).unwrap_or_else(empty_root)
    }

    /// The saved form: size as u64 little-endian, then the hashes, leftmost first.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + 32 * self.hashes.len());
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(self.hashes.as_flattened());
        out
    }

    /// Reads the form written by [`Frontier::to_bytes`].
    ///
    /// # Errors
    ///
    /// Any length other than `8 + 32 * popcount(size)`, or a size above [`MAX_SIZE`]. The hashes themselves cannot
    /// be judged here: compare [`Frontier::root`] with a signed root.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrontierError> {
        let Some((size, rest)) = bytes.split_first_chunk::<8>() else {
            return Err(FrontierError::Truncated(bytes.len()));
        };
        let (hashes, odd) = rest.as_chunks::<32>();
        let size = u64::from_le_bytes(*size);
        if odd.is_empty() { Self::from_hashes(size, hashes.to_vec()) } else { Err(wrong_length(size, bytes.len())) }
    }

    /// Builds a frontier from a size and its subtree roots, leftmost first (see [`Frontier::hashes`]).
    ///
    /// # Errors
    ///
    /// If the number of hashes is not `popcount(size)`, or the size is above [`MAX_SIZE`].
    pub fn from_hashes(size: u64, hashes: Vec<Hash>) -> Result<Self, FrontierError> {
        if size > MAX_SIZE {
            return Err(FrontierError::TooLarge(size));
        }
        if hashes.len() != size.count_ones() as usize {
            return Err(wrong_length(size, 8 + 32 * hashes.len()));
        }
        Ok(Self { size, hashes })
    }
}

fn wrong_length(size: u64, got: usize) -> FrontierError {
    let want = 8 + 32 * size.count_ones() as usize;
    FrontierError::WrongLength { size, want, got }
}

/// The root over perfect subtrees of falling height, given leftmost first; `None` for none.
pub(crate) fn fold(hashes: &[Hash]) -> Option<Hash> {
    let (last, left) = hashes.split_last()?;
    Some(left.iter().rev().fold(*last, |right, left| node_hash(left, &right)))
}

#[cfg(test)]
mod tests;
