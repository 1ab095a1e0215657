//! Gaps of a source: spans of its time of which something is missing, and those of them that were filled later.
//!
//! Owns the table `source_gap`: one row for each entry that tells of a gap in the ledger, under that entry's id. A row is what
//! the ledger says, to be looked up by time. Up to version 3 gaps were rows of `source_span` without an id; those are read as
//! the gaps that they are, and become rows of this table when they are told of again or filled. Not here: who finds a gap,
//! and what fills it.

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use crate::catalog::Catalog;
use crate::error::{Result, Step, from_sql, to_sql};
use crate::spans::{forget_old_gap, old_gaps};
use crate::sum::Sum;

/// A span of a source's time of which something is missing, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceGap {
    /// The tenant's number.
    pub tenant: u32,
    /// The source.
    pub name: String,
    /// The id of its entry in the ledger.
    pub id: String,
    /// Its first moment, in microseconds since 1970 UTC.
    pub from: i64,
    /// The moment after its last.
    pub to: i64,
    /// When it was last told of.
    pub told_at: i64,
    /// How many entries the ledger had then: what fills the gap has an index from there on. Of one that was told of before this
    /// was written down nothing is known, and it is the largest number.
    pub told_size: u64,
    /// Why something is missing, of several reasons in turn.
    pub cause: String,
    /// When all of it was found to be here.
    pub filled: Option<Filling>,
}

/// That a gap was filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filling {
    /// When that was found, microseconds.
    pub at: i64,
    /// By what, in words.
    pub by: String,
}

/// Bytes of the causes that one gap is told with.
const MAX_CAUSES: usize = 2000;
const OTHERS: &str = "; and others";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT tenant, name, id, from_time, to_time, told_at, told_size, cause, filled_at, filled_by, sum FROM source_gap ",
            $rest
        )
    };
}

impl Catalog {
    /// Adds a gap, durably. One with an id that is there is told of again: it has the causes of both, and is as new as this one. One
    /// that was filled stays filled. Says `false` where the source is gone, or is not the one that was `made` then (its
    /// `created_at`).
    ///
    /// # Errors
    ///
    /// When it cannot be read or written.
    pub fn add_gap(&self, gap: &SourceGap, made: i64) -> Result<bool> {
        if gap.to <= gap.from {
            return Ok(true);
        }
        self.db.write("save a gap", |tx| {
            if !is_there(tx, gap, made)? {
                return Ok(false);
            }
            let mut gap = gap.clone();
            if let Some(old) = one(tx, &gap)? {
                gap.cause = both(old.cause, &gap.cause);
                gap.filled = old.filled;
            }
            put(tx, &gap)?;
            Ok(true)
        })
    }

    /// Says durably that a gap was filled, as one of [`Catalog::gaps`]. Says `false` where the source is gone, or is not the
    /// one that was `made` then (its `created_at`).
    ///
    /// # Errors
    ///
    /// When it cannot be read or written.
    pub fn fill_gap(&self, gap: &SourceGap, filling: &Filling, made: i64) -> Result<bool> {
        self.db.write("save that a gap was filled", |tx| {
            if !is_there(tx, gap, made)? {
                return Ok(false);
            }
            let mut gap = one(tx, gap)?.unwrap_or_else(|| gap.clone());
            // The first time stands: its entry is in the ledger.
            gap.filled.get_or_insert_with(|| filling.clone());
            put(tx, &gap)?;
            Ok(true)
        })
    }

    /// The gap of this id.
    ///
    /// # Errors
    ///
    /// When it cannot be read or its checksum does not match.
    pub fn gap(&self, tenant: u32, name: &str, id: &str) -> Result<Option<SourceGap>> {
        self.db.read("read a gap", |conn| by_id(conn, tenant, name, id))
    }

    /// The gaps of a source that have a part of `from..to`, by time; those that were filled too.
    ///
    /// # Errors
    ///
    /// When they cannot be read or a checksum does not match.
    pub fn gaps(&self, tenant: u32, name: &str, from: i64, to: i64) -> Result<Vec<SourceGap>> {
        self.db.read("read the gaps of a source", |conn| {
            let mut query = conn.prepare_cached(select!(
                "WHERE tenant = ?1 AND name = ?2 AND from_time < ?4 AND to_time > ?3 ORDER BY from_time, id"
            ))?;
            let mut rows = query.query((tenant, name, from, to))?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                all.push(gap_row(row)?);
            }
            all.extend(old_gaps(conn, tenant, name, from, to)?);
            all.sort_by(|a, b| (a.from, &a.id).cmp(&(b.from, &b.id)));
            Ok(all)
        })
    }
}

fn is_there(tx: &Transaction<'_>, gap: &SourceGap, made: i64) -> Step<bool> {
    let there: i64 = tx.query_row(
        "SELECT count(*) FROM source WHERE tenant = ?1 AND name = ?2 AND created_at = ?3",
        (gap.tenant, &gap.name, made),
        |row| row.get(0),
    )?;
    Ok(there > 0)
}

fn by_id(conn: &Connection, tenant: u32, name: &str, id: &str) -> Step<Option<SourceGap>> {
    let mut query = conn.prepare_cached(select!("WHERE tenant = ?1 AND name = ?2 AND id = ?3"))?;
    let found = query.query_row((tenant, name, id), |row| Ok(gap_row(row))).optional()?;
    found.transpose()
}

/// The gap of that id as it is written; one of the old kind is taken out of its table for it.
fn one(tx: &Transaction<'_>, gap: &SourceGap) -> Step<Option<SourceGap>> {
    let old = old_gaps(tx, gap.tenant, &gap.name, gap.from, gap.to)?.into_iter().find(|old| old.id == gap.id);
    if let Some(old) = &old {
        forget_old_gap(tx, old)?;
    }
    Ok(by_id(tx, gap.tenant, &gap.name, &gap.id)?.or(old))
}

/// Both causes; one that is among the others is not said twice.
fn both(was: String, cause: &str) -> String {
    if format!("; {was}; ").contains(&format!("; {cause}; ")) || was.ends_with(OTHERS) {
        was
    } else if was.len() + cause.len() > MAX_CAUSES {
        was + OTHERS
    } else {
        format!("{was}; {cause}")
    }
}

fn put(tx: &Transaction<'_>, gap: &SourceGap) -> Step<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO source_gap (tenant, name, id, from_time, to_time, told_at, told_size, cause, filled_at,
         filled_by, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute((
        gap.tenant,
        &gap.name,
        &gap.id,
        gap.from,
        gap.to,
        gap.told_at,
        size(gap)?,
        &gap.cause,
        gap.filled.as_ref().map(|filled| filled.at),
        gap.filled.as_ref().map_or("", |filled| filled.by.as_str()),
        gap_sum(gap)?.done(),
    ))?;
    Ok(())
}

/// What is not known is the largest number that a column holds.
fn size(gap: &SourceGap) -> Result<i64> {
    if gap.told_size == u64::MAX { Ok(i64::MAX) } else { to_sql("size of the ledger", gap.told_size) }
}

pub(crate) const ALL_GAPS: &str = select!("ORDER BY tenant, name, id");

pub(crate) fn gap_row(row: &Row<'_>) -> Step<SourceGap> {
    let (number, name, id): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let what = || format!("the gap {id:?} of source {name:?} of tenant {number}");
    let told_size: i64 = row.get(6)?;
    let gap = SourceGap {
        tenant: from_sql(&what(), number)?,
        name: name.clone(),
        id: id.clone(),
        from: row.get(3)?,
        to: row.get(4)?,
        told_at: row.get(5)?,
        told_size: if told_size == i64::MAX { u64::MAX } else { from_sql(&what(), told_size)? },
        cause: row.get(7)?,
        filled: match row.get(8)? {
            Some(at) => Some(Filling { at, by: row.get(9)? }),
            None => None,
        },
    };
    gap_sum(&gap)?.expect(row.get(10)?, what)?;
    Ok(gap)
}

fn gap_sum(gap: &SourceGap) -> Result<Sum> {
    Ok(Sum::of("source_gap")
        .int(gap.tenant.into())
        .text(&gap.name)
        .text(&gap.id)
        .int(gap.from)
        .int(gap.to)
        .int(gap.told_at)
        .int(size(gap)?)
        .text(&gap.cause)
        .opt(gap.filled.as_ref().map(|filled| filled.at))
        .text(gap.filled.as_ref().map_or("", |filled| filled.by.as_str())))
}
