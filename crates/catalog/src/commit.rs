//! Hop 5's commit point: everything that one flush or compaction changes, in one transaction.
//!
//! Before it, the `segments` crate has written and synced the files; after it, the journal may be cut up to
//! `flushed_seq` and the files of retired segments removed. What goes wrong here: a crash before the commit
//! leaves new files that no catalog names (the writer sweeps them away and flushes again from the journal), and
//! a crash after it leaves retired files, which [`Catalog::retired`] lists. Pinned by `tests/it/store.rs`.

use std::fmt;

use crate::catalog::Catalog;
use crate::error::Result;
use crate::positions::{self, FLUSHED};
use crate::segments::Segment;
use crate::tiles::TileRow;
use crate::{ids, persons, segments, tiles};

/// One change of what is stored.
#[derive(Clone, Default)]
pub struct StoreCommit {
    /// Segments that are new.
    pub add: Vec<Segment>,
    /// Ids of segments that the new ones take the place of.
    pub retire: Vec<u64>,
    /// The journal frame up to which everything is in segments now; must not go back. `None` leaves it.
    pub flushed_seq: Option<u64>,
    /// Personal keys that the flushed frames brought: tenant, person, key. A person's first key stands.
    pub person_keys: Vec<(u32, [u8; 16], [u8; 32])>,
    /// Frontiers at the flushed position: tenant, size (must not go back), bytes.
    pub frontiers: Vec<(u32, u64, Vec<u8>)>,
    /// Tiles that are new or have grown.
    pub tiles: Vec<TileRow>,
    /// The time, in microseconds since 1970 UTC.
    pub now: i64,
}

impl fmt::Debug for StoreCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreCommit")
            .field("add", &self.add.iter().map(|segment| segment.id).collect::<Vec<_>>())
            .field("retire", &self.retire)
            .field("flushed_seq", &self.flushed_seq)
            .field("person_keys", &self.person_keys.len())
            .field("frontiers", &self.frontiers.len())
            .field("tiles", &self.tiles.len())
            .field("now", &self.now)
            .finish()
    }
}

impl Catalog {
    /// Makes the whole change, durably, or none of it.
    ///
    /// # Errors
    ///
    /// When a part contradicts what is there (a segment id used before, one to retire that is not there, a
    /// position going back, an unknown tenant) or cannot be written; nothing was changed then, unless
    /// [`Error::is_fatal`](crate::Error::is_fatal) says that the outcome is unknown.
    pub fn commit_store(&self, c: StoreCommit) -> Result<()> {
        let named = c.person_keys.iter().map(|(tenant, ..)| *tenant);
        let named = named.chain(c.frontiers.iter().map(|(tenant, ..)| *tenant));
        let named = named.chain(c.tiles.iter().map(|tile| tile.tenant));
        let mut named: Vec<u32> = named.chain(c.add.iter().flat_map(|s| s.slices.iter().map(|s| s.tenant))).collect();
        named.sort_unstable();
        named.dedup();
        named.into_iter().try_for_each(|tenant| self.known_tenant(tenant))?;

        self.db.write_then(
            "commit segments",
            |tx| {
                for id in &c.retire {
                    segments::retire(tx, *id, c.now)?;
                }
                for segment in &c.add {
                    segments::add(tx, segment)?;
                }
                persons::insert_new(tx, &c.person_keys)?;
                for (tenant, size, hashes) in &c.frontiers {
                    tiles::put_frontier(tx, *tenant, *size, hashes)?;
                }
                for tile in &c.tiles {
                    tiles::put_tile(tx, tile)?;
                }
                if let Some(to) = c.flushed_seq {
                    positions::advance(tx, FLUSHED, to)?;
                }
                self.claim_ids(tx, c.add.iter().map(|segment| segment.id).max())
            },
            ids::settle,
        )
    }
}
