//! The set of segments: which immutable files hold the stored rows, and whose rows are where in them.
//!
//! This module keeps and judges the rows of the tables `segment` and `retired`. Files are the `segments` crate's:
//! it writes them before they come here and removes them after they have left.

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use crate::catalog::Catalog;
use crate::error::{Error, Result, Step, fixed, from_sql, to_sql};
use crate::slices::{CHECK_BYTES, decode_slices, encode_slices};
use crate::sum::Sum;

/// One immutable file of rows and the look-up filter beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its id, never given twice.
    pub id: u64,
    /// How often its rows have been compacted.
    pub level: u8,
    /// Its rows: those of its slices, summed.
    pub rows: u64,
    /// The size of the file.
    pub bytes: u64,
    /// The hash of the file.
    pub sha256: [u8; 32],
    /// The size of the filter's file.
    pub filter_bytes: u64,
    /// The hash of the filter's file.
    pub filter_sha256: [u8; 32],
    /// When it was written, in microseconds since 1970 UTC.
    pub created_at: i64,
    /// Whose rows are where, in the order of the rows.
    pub slices: Vec<Slice>,
}

/// A run of rows of one tenant in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// The tenant's number.
    pub tenant: u32,
    /// The first row.
    pub row_start: u64,
    /// How many rows; at least one.
    pub rows: u64,
    /// The earliest time in it.
    pub min_time: i64,
    /// The latest time in it.
    pub max_time: i64,
    /// The lowest ledger index in it.
    pub min_index: u64,
    /// The highest ledger index in it.
    pub max_index: u64,
}

impl Catalog {
    /// Every segment, by id, as of one moment.
    ///
    /// # Errors
    ///
    /// When one cannot be read or its checksums do not match.
    pub fn segments(&self) -> Result<Vec<Segment>> {
        self.db.read("list segments", |conn| {
            let mut query = conn.prepare_cached(ALL_SEGMENTS)?;
            let mut rows = query.query([])?;
            let mut segments = Vec::new();
            while let Some(row) = rows.next()? {
                segments.push(segment_row(row)?);
            }
            Ok(segments)
        })
    }

    /// The ids of retired segments whose files may still be there.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn retired(&self) -> Result<Vec<u64>> {
        self.db.read("list retired segments", |conn| {
            let mut query = conn.prepare_cached(ALL_RETIRED)?;
            let mut rows = query.query([])?;
            let mut ids = Vec::new();
            while let Some(row) = rows.next()? {
                ids.push(retired_row(row)?);
            }
            Ok(ids)
        })
    }

    /// Forgets retired segments whose files are gone; ids that are not retired are passed over.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn forget_retired(&self, ids: &[u64]) -> Result<()> {
        self.db.write("forget retired segments", |tx| {
            let mut delete = tx.prepare_cached("DELETE FROM retired WHERE id = ?1")?;
            for id in ids {
                delete.execute([to_sql("segment id", *id)?])?;
            }
            Ok(())
        })
    }
}

/// Takes a segment out of the set and remembers that its files are to be removed.
pub(crate) fn retire(tx: &Transaction<'_>, id: u64, now: i64) -> Step<()> {
    let stored = to_sql("segment id", id)?;
    if tx.prepare_cached("DELETE FROM segment WHERE id = ?1")?.execute([stored])? == 0 {
        return Err(Error::UnknownSegment { id }.into());
    }
    tx.prepare_cached("INSERT INTO retired (id, retired_at, sum) VALUES (?1, ?2, ?3)")?.execute((
        stored,
        now,
        retired_sum(stored, now).done(),
    ))?;
    Ok(())
}

/// Adds a segment whose id was never used.
pub(crate) fn add(tx: &Transaction<'_>, segment: &Segment) -> Step<()> {
    judge(segment).map_err(|reason| Error::InvalidSegment { id: segment.id, reason })?;
    let id = to_sql("segment id", segment.id)?;
    if is_used(tx, id)? {
        return Err(Error::SegmentExists { id: segment.id }.into());
    }
    let blob = encode_slices(&segment.slices);
    let row = Numbers {
        id,
        level: segment.level.into(),
        rows: to_sql("row count", segment.rows)?,
        bytes: to_sql("segment size", segment.bytes)?,
        filter_bytes: to_sql("filter size", segment.filter_bytes)?,
        created_at: segment.created_at,
    };
    tx.prepare_cached(
        "INSERT INTO segment
         (id, level, row_count, bytes, sha256, filter_bytes, filter_sha256, created_at, sum, slices)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute((
        row.id,
        row.level,
        row.rows,
        row.bytes,
        segment.sha256,
        row.filter_bytes,
        segment.filter_sha256,
        row.created_at,
        row.sum(&segment.sha256, &segment.filter_sha256, &blob).done(),
        &blob,
    ))?;
    Ok(())
}

/// Says anew what a segment's filter file is.
pub(crate) fn set_filter(tx: &Transaction<'_>, id: u64, bytes: u64, sha256: &[u8; 32]) -> Step<()> {
    let number = to_sql("segment id", id)?;
    let found = tx
        .prepare_cached(
            "SELECT id, level, row_count, bytes, sha256, filter_bytes, filter_sha256, created_at, sum, slices \
             FROM segment WHERE id = ?1",
        )?
        .query_row([number], |row| Ok(segment_row(row)))
        .optional()?;
    let Some(segment) = found.transpose()? else { return Err(Error::UnknownSegment { id }.into()) };
    let blob = encode_slices(&segment.slices);
    let row = Numbers {
        id: number,
        level: segment.level.into(),
        rows: to_sql("row count", segment.rows)?,
        bytes: to_sql("segment size", segment.bytes)?,
        filter_bytes: to_sql("filter size", bytes)?,
        created_at: segment.created_at,
    };
    tx.prepare_cached("UPDATE segment SET filter_bytes = ?2, filter_sha256 = ?3, sum = ?4 WHERE id = ?1")?
        .execute((number, row.filter_bytes, sha256, row.sum(&segment.sha256, sha256, &blob).done()))?;
    Ok(())
}

fn is_used(conn: &Connection, id: i64) -> Step<bool> {
    let mut query = conn
        .prepare_cached("SELECT 1 FROM segment WHERE id = ?1 UNION ALL SELECT 1 FROM retired WHERE id = ?1 LIMIT 1")?;
    Ok(query.query_row([id], |_| Ok(())).optional()?.is_some())
}

/// What must hold in every segment: its slices follow one another, none is empty, they make up all its rows, and
/// no range is upside down or too narrow for its rows (a tenant's indexes are all different).
pub(crate) fn judge(segment: &Segment) -> Result<(), String> {
    let mut end = 0u64;
    let mut total = 0u64;
    for (at, slice) in segment.slices.iter().enumerate() {
        let wrong = |what: &str| Err(format!("slice {at} (tenant {}) {what}", slice.tenant));
        if slice.rows == 0 {
            return wrong("has no rows");
        }
        if slice.row_start < end {
            return wrong("overlaps the one before it");
        }
        if slice.min_time > slice.max_time {
            return wrong("ends before it begins");
        }
        if slice.max_index < slice.min_index || slice.max_index - slice.min_index < slice.rows - 1 {
            return wrong("has more rows than indexes");
        }
        end = match slice.row_start.checked_add(slice.rows) {
            Some(end) if end <= segment.rows => end,
            _ => return wrong("reaches beyond the segment's rows"),
        };
        total = total.saturating_add(slice.rows);
    }
    if total == segment.rows { Ok(()) } else { Err(format!("its slices have {total} rows, not {}", segment.rows)) }
}

pub(crate) const ALL_SEGMENTS: &str = "SELECT id, level, row_count, bytes, sha256, filter_bytes, filter_sha256, \
     created_at, sum, slices FROM segment ORDER BY id";

pub(crate) fn segment_row(row: &Row<'_>) -> Step<Segment> {
    let numbers = Numbers {
        id: row.get(0)?,
        level: row.get(1)?,
        rows: row.get(2)?,
        bytes: row.get(3)?,
        filter_bytes: row.get(5)?,
        created_at: row.get(7)?,
    };
    let what = || format!("segment {}", numbers.id);
    let (sha256, filter_sha256): (Vec<u8>, Vec<u8>) = (row.get(4)?, row.get(6)?);
    let (sha256, filter_sha256) = (fixed(&what(), &sha256)?, fixed(&what(), &filter_sha256)?);
    let blob: Vec<u8> = row.get(9)?;
    numbers.sum(&sha256, &filter_sha256, &blob).expect(row.get(8)?, what)?;
    let slices = decode_slices(&blob).map_err(|e| Error::damaged(what(), e.to_string()))?;
    Ok(Segment {
        id: from_sql(&what(), numbers.id)?,
        level: from_sql(&what(), numbers.level)?,
        rows: from_sql(&what(), numbers.rows)?,
        bytes: from_sql(&what(), numbers.bytes)?,
        sha256,
        filter_bytes: from_sql(&what(), numbers.filter_bytes)?,
        filter_sha256,
        created_at: numbers.created_at,
        slices,
    })
}

/// The integer columns, as stored.
struct Numbers {
    id: i64,
    level: i64,
    rows: i64,
    bytes: i64,
    filter_bytes: i64,
    created_at: i64,
}

impl Numbers {
    /// Covers the blob by its own trailing checksum, so that blobs cannot change places either.
    fn sum(&self, sha256: &[u8; 32], filter_sha256: &[u8; 32], blob: &[u8]) -> Sum {
        let check = blob.last_chunk::<CHECK_BYTES>().map_or(&[][..], |check| &check[..]);
        Sum::of("segment")
            .int(self.id)
            .int(self.level)
            .int(self.rows)
            .int(self.bytes)
            .bytes(sha256)
            .int(self.filter_bytes)
            .bytes(filter_sha256)
            .int(self.created_at)
            .bytes(check)
    }
}

pub(crate) const ALL_RETIRED: &str = "SELECT id, retired_at, sum FROM retired ORDER BY id";

pub(crate) fn retired_row(row: &Row<'_>) -> Step<u64> {
    let (id, retired_at): (i64, i64) = (row.get(0)?, row.get(1)?);
    retired_sum(id, retired_at).expect(row.get(2)?, || format!("retired segment {id}"))?;
    Ok(from_sql("retired segment", id)?)
}

fn retired_sum(id: i64, retired_at: i64) -> Sum {
    Sum::of("retired").int(id).int(retired_at)
}
