//! Which subtrees a proof is made of, and which tiles hold them.
//!
//! Owns the arithmetic of RFC 6962 sections 2.1.1 and 2.1.2 over leaf ranges. Touches no hash.

use std::collections::BTreeSet;

use super::{HEIGHT, Tile};
use crate::hash::split_point;
use crate::proof::ProofError;

/// The leaves `[start, end)` of a tree; the hash of such a range is one hash of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// A perfect subtree: number `index` from the left of those of this `height`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subtree {
    pub(super) height: u8,
    pub(super) index: u64,
}

/// Where a subtree's hashes are: `1 << shift` hashes of a tile, from `offset` on.
pub(super) struct Place {
    pub(super) tile: Tile,
    pub(super) offset: usize,
    pub(super) count: usize,
}

impl Range {
    /// The perfect subtrees of the range, leftmost (largest) first. Every range of a plan starts at a multiple of
    /// the power of two that holds it, so its set bits are its subtrees.
    pub(super) fn subtrees(self) -> impl Iterator<Item = Subtree> {
        let mut start = self.start;
        std::iter::from_fn(move || {
            let height = self.end.saturating_sub(start).checked_ilog2()?;
            let subtree = Subtree { height: height as u8, index: start >> height };
            start += 1 << height;
            Some(subtree)
        })
    }
}

impl Subtree {
    /// The tile of a tree of `size` leaves that this subtree is hashed from; `None` if the tree lacks it.
    pub(super) fn place(self, size: u64) -> Option<Place> {
        let (level, rest) = (self.height / HEIGHT, self.height % HEIGHT);
        let first = self.index.checked_mul(1 << rest)?;
        let tile = Tile::in_tree(level, first >> HEIGHT, size)?;
        let offset = (first & 0xff) as usize;
        Some(Place { tile, offset, count: 1 << rest })
    }
}

/// The ranges of an inclusion proof, in proof order (leaf sibling first).
pub(super) fn inclusion(index: u64, size: u64) -> Result<Vec<Range>, ProofError> {
    if index >= size {
        return Err(ProofError::IndexOutOfRange { index, size });
    }
    let (mut start, mut end) = (0, size);
    let mut ranges = Vec::new();
    while end - start > 1 {
        let middle = start + split_point(end - start);
        if index < middle {
            ranges.push(Range { start: middle, end });
            end = middle;
        } else {
            ranges.push(Range { start, end: middle });
            start = middle;
        }
    }
    ranges.reverse();
    Ok(ranges)
}

/// The ranges of a consistency proof, in proof order; none if `old` is 0 or equal to `new`.
pub(super) fn consistency(old: u64, new: u64) -> Result<Vec<Range>, ProofError> {
    if old > new {
        return Err(ProofError::SizesReversed { old, new });
    }
    let mut ranges = Vec::new();
    if old == 0 || old == new {
        return Ok(ranges);
    }
    let (mut start, mut end) = (0, new);
    // Until the old tree ends where the range ends: SUBPROOF(m, D[start:end], b) of the RFC.
    while old != end {
        let middle = start + split_point(end - start);
        if old <= middle {
            ranges.push(Range { start: middle, end });
            end = middle;
        } else {
            ranges.push(Range { start, end: middle });
            start = middle;
        }
    }
    // The verifier has the old root itself, so it is left out when it is the whole old tree.
    if start > 0 {
        ranges.push(Range { start, end });
    }
    ranges.reverse();
    Ok(ranges)
}

/// The one range that is the whole tree; none for the empty tree.
pub(super) fn whole(size: u64) -> Vec<Range> {
    if size == 0 { Vec::new() } else { vec![Range { start: 0, end: size }] }
}

/// The distinct tiles of a tree of `size` leaves that these ranges are hashed from, in order.
pub(super) fn tiles(ranges: &[Range], size: u64) -> Vec<Tile> {
    let tiles: BTreeSet<Tile> = ranges
        .iter()
        .flat_map(|range| range.subtrees())
        .filter_map(|subtree| Some(subtree.place(size)?.tile))
        .collect();
    tiles.into_iter().collect()
}

/// The tiles needed to prove that leaf `index` is in the tree of `size` leaves, each once, lowest level first.
///
/// # Errors
///
/// If `index >= size`.
pub fn tiles_for_inclusion(index: u64, size: u64) -> Result<Vec<Tile>, ProofError> {
    Ok(tiles(&inclusion(index, size)?, size))
}

/// The tiles needed to prove that the tree of `old` leaves is a prefix of that of `new` leaves. Their widths are
/// those of the new tree.
///
/// # Errors
///
/// If `old > new`.
pub fn tiles_for_consistency(old: u64, new: u64) -> Result<Vec<Tile>, ProofError> {
    Ok(tiles(&consistency(old, new)?, new))
}

/// The tiles needed for the root of the tree of `size` leaves: its right edge.
pub fn tiles_for_root(size: u64) -> Vec<Tile> {
    tiles(&whole(size), size)
}
