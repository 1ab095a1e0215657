//! What is derived from the rows of segments, replaced as a whole: tiles, and what the filter files are.
//!
//! Not here: making it, and checking the rows it is made from (`store`).

use crate::catalog::Catalog;
use crate::error::Result;
use crate::tiles::TileRow;
use crate::{segments, tiles};

/// Everything derived that the catalog holds, made anew.
#[derive(Debug, Clone, Default)]
pub struct Derived {
    /// All tiles.
    pub tiles: Vec<TileRow>,
    /// Length and hash of the filter file of a segment, by its id. Segments not named here keep theirs.
    pub filters: Vec<(u64, u64, [u8; 32])>,
}

impl Catalog {
    /// Puts the derived data in place of what is there, durably, or changes nothing.
    ///
    /// # Errors
    ///
    /// When a part is not valid (a segment that is not there, a tile of no length) or cannot be written.
    pub fn replace_derived(&self, derived: &Derived) -> Result<()> {
        derived.tiles.iter().try_for_each(|tile| self.known_tenant(tile.tenant))?;
        self.db.write("replace derived data", |tx| {
            // Not read before: a damaged row may be among them.
            tx.execute("DELETE FROM tile", [])?;
            for tile in &derived.tiles {
                tiles::put_tile(tx, tile)?;
            }
            for (id, bytes, sha256) in &derived.filters {
                segments::set_filter(tx, *id, *bytes, sha256)?;
            }
            Ok(())
        })
    }
}
