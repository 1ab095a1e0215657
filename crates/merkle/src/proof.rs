//! Verification of inclusion and consistency proofs, and their line format.
//!
//! Owns the verdict. Proofs are made in [`crate::tile`]; roots become trustworthy only through a verified
//! [`crate::checkpoint`].
//!
//! A proof binds hashes, not sizes: the same hashes can verify for a few sizes of equal shape. Sizes and
//! roots must therefore come from one signed checkpoint, never from the proof's sender.

use crate::encoding;
use crate::hash::{Hash, empty_root, node_hash};

/// The most hashes any proof holds for sizes up to [`crate::MAX_SIZE`] (consistency: `ceil(log2 n) + 1`).
pub const MAX_HASHES: usize = 64;

/// Why a proof is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf index is not in a tree of this size.
    #[error("leaf {index} is not in a tree of size {size}")]
    IndexOutOfRange {
        /// Index of the leaf.
        index: u64,
        /// Size of the tree.
        size: u64,
    },
    /// The old tree is larger than the new one.
    #[error("old size {old} is above new size {new}")]
    SizesReversed {
        /// Size of the old tree.
        old: u64,
        /// Size of the new tree.
        new: u64,
    },
    /// The proof has too few or too many hashes for these sizes.
    #[error("proof has {got} hashes, these sizes take {want}")]
    WrongLength {
        /// Hashes that the sizes take.
        want: usize,
        /// Hashes given.
        got: usize,
    },
    /// A tree of size 0 was given a root other than SHA-256 of nothing.
    #[error("root of the empty tree is wrong")]
    EmptyRoot,
    /// The proof leads to another old root.
    #[error("proof does not lead to the old root")]
    OldRootMismatch,
    /// The proof leads to another (new) root.
    #[error("proof does not lead to the root")]
    RootMismatch,
    /// A line of a written proof is not the base64 of 32 bytes.
    #[error("line {line} is not a base64 hash")]
    BadLine {
        /// Line number, from 1.
        line: usize,
    },
    /// A written proof has more lines than any tree needs.
    #[error("proof has more than 64 hashes")]
    TooManyHashes,
}

/// Checks that `leaf_hash` is the leaf `index` of the tree of `size` leaves with this `root`.
///
/// # Errors
///
/// If the index is outside the tree, the proof has any other number of hashes than this index and size take,
/// or it leads to another root.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf_hash: &Hash,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if root_from_inclusion(index, size, leaf_hash, proof)? == *root { Ok(()) } else { Err(ProofError::RootMismatch) }
}

/// The root that an inclusion proof leads to, for callers who compare it themselves.
///
/// # Errors
///
/// If the index is outside the tree or the proof has the wrong number of hashes.
pub fn root_from_inclusion(index: u64, size: u64, leaf_hash: &Hash, proof: &[Hash]) -> Result<Hash, ProofError> {
    if index >= size {
        return Err(ProofError::IndexOutOfRange { index, size });
    }
    let (inner, border) = shape(index, size);
    let (inner, border) = split(proof, inner, border)?;
    let hash = up_inner(*leaf_hash, inner, index);
    Ok(up_border(hash, border))
}

/// Checks that the tree of `old` leaves is a prefix of the tree of `new` leaves.
///
/// Size 0 is a prefix of everything: the proof must be empty and `old_root` the root of the empty tree.
///
/// # Errors
///
/// If `old > new`, the number of hashes is wrong (any hash at all when the sizes are equal or `old` is 0), a tree
/// of size 0 has a root of its own, or the proof leads to other roots.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::SizesReversed { old, new });
    }
    if old == 0 || old == new {
        if !proof.is_empty() {
            return Err(ProofError::WrongLength { want: 0, got: proof.len() });
        }
        if (old == 0 && *old_root != empty_root()) || (new == 0 && *new_root != empty_root()) {
            return Err(ProofError::EmptyRoot);
        }
        if old == new && old_root != new_root {
            return Err(ProofError::RootMismatch);
        }
        return Ok(());
    }

    // The walk starts at the last perfect subtree of the old tree; its root is the first hash, except when that
    // subtree is the whole old tree, whose root the verifier has.
    let last = old.trailing_zeros();
    let (inner, border) = shape(old - 1, new);
    let inner = inner.saturating_sub(last as usize);
    let (start, proof) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        let want = 1 + inner + border;
        proof.split_first().ok_or(ProofError::WrongLength { want, got: 0 })?
    };
    let (inner, border) = split(proof, inner, border)?;
    let path = (old - 1) >> last;
    // In the old tree only the left siblings exist, in the new tree all of them do.
    let old_found = up_border(up_inner_left(*start, inner, path), border);
    let new_found = up_border(up_inner(*start, inner, path), border);
    if old_found != *old_root {
        return Err(ProofError::OldRootMismatch);
    }
    if new_found != *new_root {
        return Err(ProofError::RootMismatch);
    }
    Ok(())
}

/// Number of hashes of the way from leaf `index` to the root of `size` leaves: first those below the point where
/// it meets the right edge (siblings on either side), then those along the edge (left siblings only).
fn shape(index: u64, size: u64) -> (usize, usize) {
    let inner = u64::BITS - (index ^ size.wrapping_sub(1)).leading_zeros();
    let border = index.checked_shr(inner).unwrap_or(0).count_ones();
    (inner as usize, border as usize)
}

fn split(proof: &[Hash], inner: usize, border: usize) -> Result<(&[Hash], &[Hash]), ProofError> {
    let want = inner + border;
    proof
        .split_at_checked(inner)
        .filter(|(_, rest)| rest.len() == border)
        .ok_or(ProofError::WrongLength { want, got: proof.len() })
}

fn up_inner(start: Hash, siblings: &[Hash], path: u64) -> Hash {
    siblings.iter().enumerate().fold(start, |hash, (level, sibling)| {
        if (path >> level) & 1 == 0 { node_hash(&hash, sibling) } else { node_hash(sibling, &hash) }
    })
}

fn up_inner_left(start: Hash, siblings: &[Hash], path: u64) -> Hash {
    siblings.iter().enumerate().fold(
        start,
        |hash, (level, sibling)| {
            if (path >> level) & 1 == 0 { hash } else { node_hash(sibling, &hash) }
        },
    )
}

fn up_border(start: Hash, siblings: &[Hash]) -> Hash {
    siblings.iter().fold(start, |hash, left| node_hash(left, &hash))
}

/// Writes hashes one base64 line each, as tlog-proof and tlog-witness carry them.
pub fn to_lines(hashes: &[Hash]) -> String {
    hashes.iter().map(|hash| encoding::base64(hash) + "\n").collect()
}

/// Reads what [`to_lines`] writes. An empty text is an empty proof.
///
/// # Errors
///
/// If a line is not the base64 of 32 bytes, the last line does not end, or there are more than [`MAX_HASHES`].
pub fn from_lines(text: &str) -> Result<Vec<Hash>, ProofError> {
    let mut hashes = Vec::new();
    for line in text.split_inclusive('\n') {
        if hashes.len() == MAX_HASHES {
            return Err(ProofError::TooManyHashes);
        }
        let hash = line.strip_suffix('\n').and_then(encoding::unbase64_hash);
        hashes.push(hash.ok_or(ProofError::BadLine { line: hashes.len() + 1 })?);
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests;
