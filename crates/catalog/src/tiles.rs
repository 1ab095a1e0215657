//! Hash tiles and frontiers of the tenants' ledgers, as bytes: what is in them is the `merkle` crate's.

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use crate::catalog::Catalog;
use crate::error::{Error, Result, Step, from_sql, to_sql};
use crate::sum::Sum;

const HASH_BYTES: usize = 32;
const FULL_TILE: usize = 256;
const MAX_LEVEL: u8 = 63;

/// A tile to keep: 1 to 256 hashes of 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileRow {
    /// The tenant's number.
    pub tenant: u32,
    /// The level, 0 being the leaves.
    pub level: u8,
    /// The index in the level.
    pub index: u64,
    /// The hashes, end to end.
    pub hashes: Vec<u8>,
}

impl Catalog {
    /// A tile's hashes, as many as were kept, or `None` when the tile was never kept.
    ///
    /// # Errors
    ///
    /// When it cannot be read or its checksum does not match.
    pub fn tile(&self, tenant: u32, level: u8, index: u64) -> Result<Option<Vec<u8>>> {
        let Ok(number) = i64::try_from(index) else { return Ok(None) };
        self.db.read("read a tile", |conn| {
            let mut query = conn.prepare_cached(
                "SELECT tenant, level, number, hashes, sum FROM tile WHERE tenant = ?1 AND level = ?2 AND number = ?3",
            )?;
            let found = query.query_row((tenant, level, number), |row| Ok(tile_row(row))).optional()?;
            Ok(found.transpose()?.map(|tile| tile.hashes))
        })
    }

    /// Every tenant's frontier as of the flushed position: tenant, size, bytes; by tenant.
    ///
    /// # Errors
    ///
    /// When one cannot be read or its checksum does not match.
    pub fn frontiers(&self) -> Result<Vec<(u32, u64, Vec<u8>)>> {
        self.db.read("read the frontiers", |conn| {
            let mut query = conn.prepare_cached(ALL_FRONTIERS)?;
            let mut rows = query.query([])?;
            let mut frontiers = Vec::new();
            while let Some(row) = rows.next()? {
                frontiers.push(frontier_row(row)?);
            }
            Ok(frontiers)
        })
    }
}

/// Keeps a tile, in place of the one that was there.
pub(crate) fn put_tile(tx: &Transaction<'_>, tile: &TileRow) -> Step<()> {
    let TileRow { tenant, level, index, ref hashes } = *tile;
    let refuse = |reason| Err(Error::InvalidTile { tenant, level, index, reason }.into());
    if level > MAX_LEVEL {
        return refuse("there are 64 levels");
    }
    if !hashes.len().is_multiple_of(HASH_BYTES) || !(1..=FULL_TILE).contains(&(hashes.len() / HASH_BYTES)) {
        return refuse("a tile is 1 to 256 hashes of 32 bytes");
    }
    let number = to_sql("tile index", index)?;
    tx.prepare_cached(
        "INSERT INTO tile (tenant, level, number, hashes, sum) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (tenant, level, number) DO UPDATE SET hashes = excluded.hashes, sum = excluded.sum",
    )?
    .execute((tenant, level, number, hashes, tile_sum(tenant, level, number, hashes).done()))?;
    Ok(())
}

/// Keeps a tenant's frontier; its size must not go back.
pub(crate) fn put_frontier(tx: &Transaction<'_>, tenant: u32, size: u64, hashes: &[u8]) -> Step<()> {
    if let Some((_, from, _)) = find_frontier(tx, tenant)?
        && size < from
    {
        return Err(Error::WentBack { what: format!("the frontier of tenant {tenant}"), from, to: size }.into());
    }
    let size = to_sql("frontier size", size)?;
    tx.prepare_cached(
        "INSERT INTO frontier (tenant, size, hashes, sum) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant) DO UPDATE SET size = excluded.size, hashes = excluded.hashes, sum = excluded.sum",
    )?
    .execute((tenant, size, hashes, frontier_sum(tenant, size, hashes).done()))?;
    Ok(())
}

fn find_frontier(conn: &Connection, tenant: u32) -> Step<Option<(u32, u64, Vec<u8>)>> {
    let mut query = conn.prepare_cached("SELECT tenant, size, hashes, sum FROM frontier WHERE tenant = ?1")?;
    query.query_row([tenant], |row| Ok(frontier_row(row))).optional()?.transpose()
}

pub(crate) const ALL_TILES: &str = "SELECT tenant, level, number, hashes, sum FROM tile ORDER BY tenant, level, number";

pub(crate) fn tile_row(row: &Row<'_>) -> Step<TileRow> {
    let (tenant, level, number): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let what = || format!("tile {level}/{number} of tenant {tenant}");
    let tile = TileRow {
        tenant: from_sql(&what(), tenant)?,
        level: from_sql(&what(), level)?,
        index: from_sql(&what(), number)?,
        hashes: row.get(3)?,
    };
    tile_sum(tile.tenant, tile.level, number, &tile.hashes).expect(row.get(4)?, what)?;
    Ok(tile)
}

fn tile_sum(tenant: u32, level: u8, number: i64, hashes: &[u8]) -> Sum {
    Sum::of("tile").int(tenant.into()).int(level.into()).int(number).bytes(hashes)
}

pub(crate) const ALL_FRONTIERS: &str = "SELECT tenant, size, hashes, sum FROM frontier ORDER BY tenant";

pub(crate) fn frontier_row(row: &Row<'_>) -> Step<(u32, u64, Vec<u8>)> {
    let (number, size): (i64, i64) = (row.get(0)?, row.get(1)?);
    let what = || format!("the frontier of tenant {number}");
    let hashes: Vec<u8> = row.get(2)?;
    let tenant = from_sql(&what(), number)?;
    frontier_sum(tenant, size, &hashes).expect(row.get(3)?, what)?;
    Ok((tenant, from_sql(&what(), size)?, hashes))
}

fn frontier_sum(tenant: u32, size: i64, hashes: &[u8]) -> Sum {
    Sum::of("frontier").int(tenant.into()).int(size).bytes(hashes)
}
