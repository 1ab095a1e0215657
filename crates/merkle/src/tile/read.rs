//! Proofs and roots made from tiles.
//!
//! Owns reading each tile once and hashing the parts of it that a proof needs. A wrong hash in a tile of the right
//! length cannot be seen here: it yields a proof that does not verify. Whoever serves proofs from storage that
//! may be damaged checks them with [`crate::proof`] before answering.

use std::collections::BTreeMap;

use super::plan::{self, Range, Subtree};
use super::{Tile, WIDTH};
use crate::frontier::{Frontier, FrontierError, fold};
use crate::hash::{Hash, empty_root, root_of};
use crate::proof::ProofError;

/// Where tiles come from.
pub trait TileReader {
    /// What reading can fail with.
    type Error;

    /// The bytes of a tile, 32 per hash.
    ///
    /// `tile.width` is the number of hashes wanted and is the width that the tree has; an implementation MAY
    /// return more (the full tile, once there is one) and MUST NOT return hashes of another tile.
    ///
    /// # Errors
    ///
    /// Whatever the storage says; it is passed on as [`ReadError::Reader`].
    fn read(&mut self, tile: Tile) -> Result<Vec<u8>, Self::Error>;
}

impl<F, E> TileReader for F
where
    F: FnMut(Tile) -> Result<Vec<u8>, E>,
{
    type Error = E;

    fn read(&mut self, tile: Tile) -> Result<Vec<u8>, E> {
        self(tile)
    }
}

/// Why nothing could be made from the tiles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError<E> {
    /// The reader failed; nothing is known about the data.
    #[error("could not read {}", .tile.path())]
    Reader {
        /// The tile asked for.
        tile: Tile,
        /// What the reader said.
        source: E,
    },
    /// The reader gave a tile that cannot be the one asked for.
    #[error("{} has {got} bytes, want {} or more in whole hashes, at most 8192", .tile.path(), .tile.byte_len())]
    BadTile {
        /// The tile asked for.
        tile: Tile,
        /// Bytes received.
        got: usize,
    },
    /// The question makes no sense for any tree.
    #[error(transparent)]
    Request(#[from] ProofError),
    /// The size is above [`crate::MAX_SIZE`].
    #[error(transparent)]
    Size(#[from] FrontierError),
}

/// The proof that leaf `index` is in the tree of `size` leaves. Reads the tiles of [`super::tiles_for_inclusion`], each once.
///
/// # Errors
///
/// If `index >= size`, the reader fails or gives a tile of the wrong length.
pub fn inclusion_proof<R: TileReader>(reader: &mut R, index: u64, size: u64) -> Result<Vec<Hash>, ReadError<R::Error>> {
    hash_ranges(reader, &plan::inclusion(index, size)?, size)
}

/// The proof that the tree of `old` leaves is a prefix of the tree of `new` leaves; empty if `old` is 0 or equal to
/// `new`. Reads the tiles of [`super::tiles_for_consistency`], each once.
///
/// # Errors
///
/// If `old > new`, the reader fails or gives a tile of the wrong length.
pub fn consistency_proof<R: TileReader>(reader: &mut R, old: u64, new: u64) -> Result<Vec<Hash>, ReadError<R::Error>> {
    hash_ranges(reader, &plan::consistency(old, new)?, new)
}

/// The root of the tree of `size` leaves. Reads the tiles of [`super::tiles_for_root`], each once.
///
/// # Errors
///
/// If the reader fails or gives a tile of the wrong length.
pub fn root<R: TileReader>(reader: &mut R, size: u64) -> Result<Hash, ReadError<R::Error>> {
    let hashes = hash_ranges(reader, &plan::whole(size), size)?;
    Ok(hashes.first().copied().unwrap_or_else(empty_root))
}

/// The frontier of the tree of `size` leaves, to go on appending where tiles end. Reads the tiles of
/// [`super::tiles_for_root`], each once.
///
/// # Errors
///
/// If the size is above [`crate::MAX_SIZE`], the reader fails or gives a tile of the wrong length.
pub fn frontier<R: TileReader>(reader: &mut R, size: u64) -> Result<Frontier, ReadError<R::Error>> {
    let whole = plan::whole(size);
    let tiles = Tiles::load(reader, &whole, size)?;
    let subtrees = whole.into_iter().flat_map(Range::subtrees);
    let hashes = subtrees.map(|subtree| tiles.subtree(subtree)).collect::<Result<_, _>>()?;
    Ok(Frontier::from_hashes(size, hashes)?)
}

/// The hash that a full tile has in the level above; `None` unless the bytes are exactly 256 hashes.
pub fn tile_root(bytes: &[u8]) -> Option<Hash> {
    let (hashes, odd) = bytes.as_chunks::<32>();
    (odd.is_empty() && hashes.len() == usize::from(WIDTH)).then(|| root_of(hashes))
}

fn hash_ranges<R: TileReader>(reader: &mut R, ranges: &[Range], size: u64) -> Result<Vec<Hash>, ReadError<R::Error>> {
    let tiles = Tiles::load(reader, ranges, size)?;
    ranges.iter().map(|range| tiles.range(*range)).collect()
}

/// The tiles of one proof, by coordinates.
struct Tiles {
    size: u64,
    tiles: BTreeMap<Tile, Vec<u8>>,
}

impl Tiles {
    fn load<R: TileReader>(reader: &mut R, ranges: &[Range], size: u64) -> Result<Self, ReadError<R::Error>> {
        let mut tiles = BTreeMap::new();
        for tile in plan::tiles(ranges, size) {
            let bytes = reader.read(tile).map_err(|source| ReadError::Reader { tile, source })?;
            let got = bytes.len();
            if got % 32 != 0 || got < tile.byte_len() || got > tile.full().byte_len() {
                return Err(ReadError::BadTile { tile, got });
            }
            tiles.insert(tile, bytes);
        }
        Ok(Self { size, tiles })
    }

    fn range<E>(&self, range: Range) -> Result<Hash, ReadError<E>> {
        let subtrees = range.subtrees().map(|subtree| self.subtree(subtree)).collect::<Result<Vec<_>, _>>()?;
        Ok(fold(&subtrees).unwrap_or_else(empty_root))
    }

    fn subtree<E>(&self, subtree: Subtree) -> Result<Hash, ReadError<E>> {
        let outside = ProofError::IndexOutOfRange { index: subtree.index, size: self.size };
        let place = subtree.place(self.size).ok_or(outside)?;
        let bytes = self.tiles.get(&place.tile).map(Vec::as_slice).unwrap_or_default();
        let (hashes, _) = bytes.as_chunks::<32>();
        let wanted = hashes.get(place.offset..place.offset + place.count);
        let bad = ReadError::BadTile { tile: place.tile, got: bytes.len() };
        wanted.map(root_of).ok_or(bad)
    }
}
