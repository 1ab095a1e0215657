//! Sealed rows by index, and the tiles and bundles made of them.
//!
//! Level-0 tiles and entry bundles are derived from rows, tile levels from 1 up come from the catalog and the
//! tail. Not here: proofs (`merkle` makes them from tiles).

use crate::error::{Error, Result};
use crate::keys::Salts;
use crate::store::Store;
use catalog::Tenant;
use event::commit::{self, CommitError, EntryKind};
use ledger::Hash;
use merkle::tile::{Tile, TileReader};
use segments::RowRef;
use std::ops::Range;
use std::sync::Arc;

/// A sealed row with what was sealed of it.
#[derive(Debug, Clone)]
pub struct Row {
    /// Index in the tenant's ledger.
    pub index: u64,
    /// When it was sealed, microseconds UTC.
    pub recorded_at: i64,
    /// Kind of entry.
    pub kind: u8,
    /// Stored form.
    pub row: Vec<u8>,
    /// Commitment in its entry.
    pub commitment: Hash,
    /// Hash of its leaf.
    pub leaf: Hash,
}

impl Row {
    /// A row of a segment, of which what was sealed is not known yet.
    pub(crate) fn read(row: &RowRef<'_>) -> Row {
        let RowRef { index, recorded_at, kind, row, .. } = *row;
        let (commitment, leaf) = Default::default();
        Row { index, recorded_at, kind, row: row.to_vec(), commitment, leaf }
    }

    /// The 47 bytes of its entry.
    pub fn entry(&self) -> [u8; commit::ENTRY_LEN] {
        commit::entry(EntryKind::from_byte(self.kind).unwrap_or(EntryKind::Record), self.recorded_at, &self.commitment)
    }
}

impl Store {
    /// Recomputes what was sealed of rows that were [read](Row::read) from a segment. `salts` are their tenant's.
    pub(crate) fn seal_again(
        &self,
        tenant: &Tenant,
        salts: &mut Salts<'_>,
        rows: &mut [Row],
        segment: u64,
    ) -> Result<()> {
        let mut made = Vec::with_capacity(rows.len());
        commit::commitments(rows.iter().map(|row| row.row.as_slice()), salts, |commitment| made.push(commitment));
        for (row, commitment) in rows.iter_mut().zip(made) {
            row.commitment = commitment.map_err(|e| match e {
                CommitError::Key(e) => e.into(),
                e => Error::Mismatch { segment, tenant: tenant.slug.clone(), index: row.index, what: e.to_string() },
            })?;
            row.leaf = ledger::leaf_of(row.kind, row.recorded_at, &row.commitment);
        }
        Ok(())
    }

    /// The rows of an index range, in order. All of them: a row that cannot be found is an error.
    ///
    /// # Errors
    /// [`Error::Missing`], or what reading failed with.
    pub fn rows(&self, tenant: &Arc<Tenant>, range: Range<u64>) -> Result<Vec<Row>> {
        let wanted = (range.end - range.start) as usize;
        let mut rows: Vec<Row> = self
            .ledger
            .rows(tenant.number, range.start, wanted)
            .into_iter()
            .filter(|r| range.contains(&r.index))
            .map(|r| Row {
                index: r.index,
                recorded_at: r.recorded_at,
                kind: r.kind,
                row: r.row.to_vec(),
                commitment: r.commitment,
                leaf: r.leaf,
            })
            .collect();
        let below = rows.first().map_or(range.end, |r| r.index);
        if below > range.start {
            let mut salts = self.keys.reader(tenant);
            for segment in self.segments().iter() {
                let Some(slice) = segment.slice(tenant.number) else { continue };
                if slice.min_index >= below || slice.max_index < range.start {
                    continue;
                }
                let first = rows.len();
                segment.rows_by_index(tenant.number, range.start..below, |row| -> Result<()> {
                    rows.push(Row::read(&row));
                    Ok(())
                })?;
                let read = rows.get_mut(first..).unwrap_or_default();
                self.seal_again(tenant, &mut salts, read, segment.info().id)?;
            }
            rows.sort_unstable_by_key(|r| r.index);
        }
        let sound = rows.len() == wanted && rows.iter().zip(range.clone()).all(|(r, i)| r.index == i);
        if !sound {
            return Err(Error::Missing {
                tenant: tenant.slug.clone(),
                what: format!("of the records {} to {} only {} were found", range.start, range.end - 1, rows.len()),
            });
        }
        Ok(rows)
    }

    /// One row, on the way to its proof in a tree of `size` records. The level-0 tile that the proof needs is made
    /// of the same pages, and kept with it.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub fn row_of_tile(&self, tenant: &Arc<Tenant>, index: u64, size: u64) -> Result<Row> {
        let missing = || Error::Missing { tenant: tenant.slug.clone(), what: format!("record {index} was not found") };
        let tile = Tile::in_tree(0, index / 256, size).filter(|_| index < size).ok_or_else(missing)?;
        let key = (tenant.number, tile);
        let first = tile.index * 256;
        let known = self.tiles.lock().get(&key).is_some();
        let range = if known { index..index + 1 } else { first..first + u64::from(tile.width) };
        let rows = self.rows(tenant, range)?;
        if !known {
            let leaves: Vec<u8> = rows.iter().flat_map(|r| r.leaf).collect();
            self.tiles.lock().put(key, Arc::new(leaves));
        }
        rows.into_iter().find(|r| r.index == index).ok_or_else(missing)
    }

    /// The hashes of a tile, as many as its width says.
    ///
    /// # Errors
    /// A tile beyond the tree, or what reading failed with.
    pub fn tile(&self, tenant: &Arc<Tenant>, tile: Tile) -> Result<Arc<Vec<u8>>> {
        let key = (tenant.number, tile);
        if let Some(bytes) = self.tiles.lock().get(&key) {
            return Ok(Arc::clone(bytes));
        }
        let first = tile.index * 256;
        let mut bytes = Vec::with_capacity(tile.byte_len());
        if tile.level == 0 {
            for row in self.rows(tenant, first..first + u64::from(tile.width))? {
                bytes.extend_from_slice(&row.leaf);
            }
        } else {
            let stored = self.catalog.tile(tenant.number, tile.level, tile.index)?.unwrap_or_default();
            bytes.extend_from_slice(stored.get(..stored.len().min(tile.byte_len())).unwrap_or_default());
            while bytes.len() < tile.byte_len() {
                let at = first + (bytes.len() / 32) as u64;
                let hash = match self.ledger.node(tenant.number, tile.level, at) {
                    Some(hash) => hash,
                    // Moved to the catalog since it was read, or never complete.
                    None => self.below(tenant, tile.level, at)?,
                };
                bytes.extend_from_slice(&hash);
            }
        }
        let bytes = Arc::new(bytes);
        self.tiles.lock().put(key, Arc::clone(&bytes));
        Ok(bytes)
    }

    /// A hash of level ≥ 1 made from the full tile below it.
    fn below(&self, tenant: &Arc<Tenant>, level: u8, index: u64) -> Result<Hash> {
        let missing =
            || Error::Missing { tenant: tenant.slug.clone(), what: format!("no tile {index} at level {}", level - 1) };
        let tile = Tile::new(level - 1, index, 256).map_err(|_| missing())?;
        merkle::tile::tile_root(&self.tile(tenant, tile)?).ok_or_else(missing)
    }

    /// A reader of the tenant's tiles, for making proofs.
    pub fn tile_reader<'a>(&'a self, tenant: &'a Arc<Tenant>) -> impl TileReader<Error = Error> + 'a {
        move |tile: Tile| self.tile(tenant, tile).map(|bytes| bytes.as_ref().clone())
    }

    /// The entries of a bundle.
    ///
    /// # Errors
    /// As [`tile`](Self::tile).
    pub fn bundle(&self, tenant: &Arc<Tenant>, tile: Tile) -> Result<Vec<u8>> {
        let first = tile.index * 256;
        let rows = self.rows(tenant, first..first + u64::from(tile.width))?;
        merkle::bundle::encode(rows.iter().map(Row::entry))
            .map_err(|e| Error::Missing { tenant: tenant.slug.clone(), what: e.to_string() })
    }
}
