//! Named numbers that only grow: how far the journal is stored, and which segment ids are spoken for.
//!
//! Always: `flushed_seq <= last frame of the journal`. Everything up to `flushed_seq` is in segments, so the
//! journal may be cut there and not one frame further.

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use crate::catalog::Catalog;
use crate::error::{Error, Result, Step, from_sql, to_sql};
use crate::sum::Sum;

pub(crate) const FLUSHED: &str = "flushed_seq";
pub(crate) const ID_CEILING: &str = "segment_id_ceiling";
/// Transactions so far; see `changes`.
pub(crate) const CHANGES: &str = "changes";

impl Catalog {
    /// The journal frame up to which everything is in segments; 0 before the first flush.
    ///
    /// # Errors
    ///
    /// When it cannot be read or its checksum does not match.
    pub fn flushed_seq(&self) -> Result<u64> {
        self.db.read("read the flushed position", |conn| get(conn, FLUSHED))
    }
}

/// The position, or 0 when it was never set.
pub(crate) fn get(conn: &Connection, name: &str) -> Step<u64> {
    let mut query = conn.prepare_cached("SELECT name, value, sum FROM position WHERE name = ?1")?;
    let found = query.query_row([name], |row| Ok(position_row(row))).optional()?;
    Ok(found.transpose()?.map_or(0, |(_, value)| value))
}

/// Moves the position forward, or leaves it where it is.
pub(crate) fn advance(tx: &Transaction<'_>, name: &'static str, to: u64) -> Step<()> {
    let from = get(tx, name)?;
    if to < from {
        return Err(Error::WentBack { what: name.into(), from, to }.into());
    }
    let value = to_sql(name, to)?;
    tx.prepare_cached(
        "INSERT INTO position (name, value, sum) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value, sum = excluded.sum",
    )?
    .execute((name, value, position_sum(name, value).done()))?;
    Ok(())
}

/// Counts this transaction, and gives the count.
pub(crate) fn count_change(tx: &Transaction<'_>) -> Step<u64> {
    let count = get(tx, CHANGES)?.saturating_add(1);
    advance(tx, CHANGES, count)?;
    Ok(count)
}

pub(crate) const ALL_POSITIONS: &str = "SELECT name, value, sum FROM position ORDER BY name";

pub(crate) fn position_row(row: &Row<'_>) -> Step<(String, u64)> {
    let (name, value): (String, i64) = (row.get(0)?, row.get(1)?);
    let what = || format!("position {name:?}");
    position_sum(&name, value).expect(row.get(2)?, what)?;
    let value = from_sql(&what(), value)?;
    Ok((name, value))
}

fn position_sum(name: &str, value: i64) -> Sum {
    Sum::of("position").text(name).int(value)
}
