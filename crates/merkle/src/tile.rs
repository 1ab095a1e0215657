//! C2SP tlog-tiles: which tile holds which hash, what it is called, and proofs made from tiles.
//!
//! Owns tile coordinates and their path spelling (this file), which tiles a proof needs and the proofs themselves
//! (`tile/read.rs`). Does not store or fetch tiles: see [`TileReader`]. Not the paths of Go's sumdb
//! (`tile/8/...`) nor of static-ct-api (`tile/data/...`).

mod plan;
mod read;

pub use plan::{tiles_for_consistency, tiles_for_inclusion, tiles_for_root};
pub use read::{ReadError, TileReader, consistency_proof, frontier, inclusion_proof, root, tile_root};

use crate::encoding::decimal;

/// Hashes in a full tile, and the number of tiles of one level that a tile of the next level covers.
pub const WIDTH: u16 = 256;

/// Tree levels that one tile level spans: `log2(WIDTH)`.
pub const HEIGHT: u8 = 8;

/// The highest level that a path may name.
pub const MAX_LEVEL: u8 = 63;

/// One tile of hashes: hash `i` is the root of the perfect subtree of height `8 * level` that is number
/// `index * 256 + i` from the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// Tile level, 0 for leaf hashes; at most [`MAX_LEVEL`].
    pub level: u8,
    /// Position within the level, from the left.
    pub index: u64,
    /// Hashes in the tile, 1 to 256; below 256 the tile is partial.
    pub width: u16,
}

/// What a tile path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// `tile/<level>/...`: a tile of hashes.
    Hashes(Tile),
    /// `tile/entries/...`: the entry bundle beside the level-0 tile given here.
    Entries(Tile),
}

/// The path is not a canonical C2SP tile path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a tile path")]
pub struct PathError;

impl Tile {
    /// The tile with these coordinates.
    ///
    /// # Errors
    ///
    /// If the level is above [`MAX_LEVEL`] or the width is not 1 to 256.
    pub fn new(level: u8, index: u64, width: u16) -> Result<Self, PathError> {
        if level > MAX_LEVEL || width == 0 || width > WIDTH {
            return Err(PathError);
        }
        Ok(Self { level, index, width })
    }

    /// The tile at these coordinates as it is in a tree of `size` leaves; `None` if the tree has no hash there.
    pub fn in_tree(level: u8, index: u64, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(u32::from(level) * u32::from(HEIGHT)).unwrap_or(0);
        let width = hashes.saturating_sub(index.checked_mul(u64::from(WIDTH))?).min(u64::from(WIDTH));
        (width > 0 && level <= MAX_LEVEL).then_some(Self { level, index, width: width as u16 })
    }

    /// Whether a tree of `size` leaves has all the hashes of this tile.
    pub fn is_within(&self, size: u64) -> bool {
        self.width > 0 && Self::in_tree(self.level, self.index, size).is_some_and(|tile| self.width <= tile.width)
    }

    /// Whether the tile has fewer than 256 hashes and so may still grow.
    pub fn is_partial(&self) -> bool {
        self.width < WIDTH
    }

    /// The full tile that this tile becomes.
    pub fn full(&self) -> Self {
        Self { width: WIDTH, ..*self }
    }

    /// Length of the tile's bytes: 32 per hash.
    pub fn byte_len(&self) -> usize {
        usize::from(self.width) * 32
    }

    /// The path of the tile of hashes, without a leading slash: `tile/0/x001/x234/067.p/8`.
    pub fn path(&self) -> String {
        format!("tile/{}/{}", self.level, self.tail())
    }

    /// The path of the entry bundle beside this tile, for tiles of level 0: `tile/entries/000`.
    pub fn entries_path(&self) -> String {
        format!("tile/entries/{}", self.tail())
    }

    fn tail(&self) -> String {
        let mut path = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            path = format!("x{:03}/{path}", rest % 1000);
            rest /= 1000;
        }
        if self.is_partial() {
            path.push_str(&format!(".p/{}", self.width));
        }
        path
    }
}

impl Resource {
    /// The path that [`parse_path`] reads back as this resource.
    pub fn path(&self) -> String {
        match self {
            Self::Hashes(tile) => tile.path(),
            Self::Entries(tile) => tile.entries_path(),
        }
    }
}

/// Every tile and partial tile that a tree of `size` leaves has and a tree of `old` leaves does not have in this
/// width, lowest level first: what to write when a tree grows.
pub fn new_tiles(old: u64, size: u64) -> impl Iterator<Item = Tile> {
    (0..=(u64::BITS as u8 - 1) / HEIGHT).flat_map(move |level| {
        let shift = u32::from(level) * u32::from(HEIGHT);
        let (from, to) = (old >> shift, size >> shift);
        let range = if to > from { from / u64::from(WIDTH)..to.div_ceil(u64::from(WIDTH)) } else { 0..0 };
        range.filter_map(move |index| Tile::in_tree(level, index, size))
    })
}

/// Reads a tile path, with or without the `.p/<width>` of partial tiles. Only the canonical spelling is accepted,
/// and no leading slash.
///
/// # Errors
///
/// Anything that [`Resource::path`] would not write.
pub fn parse_path(path: &str) -> Result<Resource, PathError> {
    // tile/entries/ + seven groups + .p/255 is the longest; refuse more before looking at it.
    if path.len() > 64 {
        return Err(PathError);
    }
    let resource = parse_loosely(path).ok_or(PathError)?;
    if resource.path() == path { Ok(resource) } else { Err(PathError) }
}

/// Reads the values; the caller compares the spelling.
fn parse_loosely(path: &str) -> Option<Resource> {
    let (level, tail) = path.strip_prefix("tile/")?.split_once('/')?;
    let (groups, width) = match tail.split_once(".p/") {
        Some((groups, width)) => (groups, decimal(width, u64::from(WIDTH) - 1)? as u16),
        None => (tail, WIDTH),
    };
    let mut index = 0u64;
    for group in groups.split('/') {
        let digits = group.strip_prefix('x').unwrap_or(group);
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    if level == "entries" {
        return Some(Resource::Entries(Tile::new(0, index, width).ok()?));
    }
    let level = decimal(level, u64::from(MAX_LEVEL))? as u8;
    Some(Resource::Hashes(Tile::new(level, index, width).ok()?))
}

#[cfg(test)]
mod tests;
