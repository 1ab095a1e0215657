//! What of a source was looked at: spans of time that were compared.
//!
//! Owns the table `source_span`. Spans are half open, `from <= time < to`, and none has a part of another. Those that touch and were
//! looked at at about the same time are one row. Gaps are in `gaps`; those that were written up to version 3 are rows of
//! this table, and are read from it. Not here: comparing.

use rusqlite::{Connection, Row, Transaction};

use crate::catalog::Catalog;
use crate::error::{Error, Result, Step, from_sql, to_sql};
use crate::gaps::SourceGap;
use crate::sum::Sum;

/// A span of a source's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSpan {
    /// The tenant's number.
    pub tenant: u32,
    /// The source.
    pub name: String,
    /// Its first moment, in microseconds since 1970 UTC.
    pub from: i64,
    /// The moment after its last.
    pub to: i64,
    /// When it was last looked at; of what was looked at in parts, the part that was longest ago.
    pub checked_at: i64,
    /// Records that the source had then.
    pub records: u64,
    /// Of them, those that were missing here and were filled in.
    pub filled: u64,
}

/// A row as it is stored: a span that was compared, or a gap of the old kind with its cause.
#[derive(Debug)]
pub(crate) struct Stored {
    span: SourceSpan,
    gap: Option<String>,
}

const CHECKED: &str = "checked";
const GAP: &str = "gap";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT tenant, name, verdict, from_time, to_time, checked_at, records, filled, cause, sum FROM source_span ",
            $rest
        )
    };
}

impl Catalog {
    /// Adds a span, durably. It says from then on what the newest look said of all that it covers, and what was known of the rest
    /// stays. Says `false` where the source
    /// is gone, or is not the one that was `made` then (its `created_at`; `None` means whichever has the name).
    ///
    /// # Errors
    ///
    /// When it cannot be read or written.
    pub fn add_span(&self, span: &SourceSpan, made: Option<i64>) -> Result<bool> {
        if span.to <= span.from {
            return Ok(true);
        }
        self.db.write("save what was looked at", |tx| {
            let there: i64 = tx.query_row(
                "SELECT count(*) FROM source WHERE tenant = ?1 AND name = ?2 AND (?3 IS NULL OR created_at = ?3)",
                (span.tenant, &span.name, made),
                |row| row.get(0),
            )?;
            if there == 0 {
                return Ok(false);
            }
            let mut span = span.clone();
            cut(tx, &mut span)?;
            put(tx, &Stored { span: span.clone(), gap: None })?;
            fade(tx, &span)?;
            Ok(true)
        })
    }

    /// Removes, durably, what of a source was looked at later than now: the clock was ahead then, and what it said was settled was not.
    ///
    /// # Errors
    ///
    /// When they cannot be removed.
    pub fn forget_spans(&self, tenant: u32, name: &str, now: i64) -> Result<()> {
        self.db.write("forget what was looked at by another clock", |tx| {
            tx.execute(
                "DELETE FROM source_span WHERE tenant = ?1 AND name = ?2 AND verdict = ?3 AND checked_at > ?4",
                (tenant, name, CHECKED, now),
            )?;
            Ok(())
        })
    }

    /// The spans of a source that have a part of `from..to`, by time.
    ///
    /// # Errors
    ///
    /// When they cannot be read or a checksum does not match.
    pub fn spans(&self, tenant: u32, name: &str, from: i64, to: i64) -> Result<Vec<SourceSpan>> {
        self.db.read("read what was looked at", |conn| checked(conn, tenant, name, from, to))
    }
}

fn checked(conn: &Connection, tenant: u32, name: &str, from: i64, to: i64) -> Step<Vec<SourceSpan>> {
    let all = overlapping(conn, tenant, name, from, to)?;
    Ok(all.into_iter().filter(|row| row.gap.is_none()).map(|row| row.span).collect())
}

/// The gaps that were written up to version 3. Their entries in the ledger are known by source and bounds.
pub(crate) fn old_gaps(conn: &Connection, tenant: u32, name: &str, from: i64, to: i64) -> Step<Vec<SourceGap>> {
    let all = overlapping(conn, tenant, name, from, to)?.into_iter();
    Ok(all
        .filter_map(|Stored { span, gap }| {
            Some(SourceGap {
                id: format!("gap:{}:{}:{}", span.name, span.from, span.to),
                tenant: span.tenant,
                name: span.name,
                from: span.from,
                to: span.to,
                told_at: span.checked_at,
                told_size: u64::MAX,
                cause: gap?,
                filled: None,
            })
        })
        .collect())
}

/// Removes the row of a gap that is written elsewhere from now on.
pub(crate) fn forget_old_gap(tx: &Transaction<'_>, gap: &SourceGap) -> Step<()> {
    remove(tx, (gap.tenant, &gap.name), GAP, gap.from)
}

fn remove(tx: &Transaction<'_>, (tenant, name): (u32, &str), verdict: &str, from: i64) -> Step<()> {
    tx.execute(
        "DELETE FROM source_span WHERE tenant = ?1 AND name = ?2 AND verdict = ?3 AND from_time = ?4",
        (tenant, name, verdict, from),
    )?;
    Ok(())
}

fn overlapping(conn: &Connection, tenant: u32, name: &str, from: i64, to: i64) -> Step<Vec<Stored>> {
    let mut query = conn.prepare_cached(select!(
        "WHERE tenant = ?1 AND name = ?2 AND from_time < ?4 AND to_time > ?3 ORDER BY from_time, verdict"
    ))?;
    let mut rows = query.query((tenant, name, from, to))?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(span_row(row)?);
    }
    Ok(all)
}

/// Spans that touch are one row where they were looked at within a minute of each other, as one comparison does window by window, or
/// within an eighth of the time that has passed since: so a year of hourly looks is some hundred rows, and the older a look is the less
/// it matters when it was.
const ALIKE: i64 = 60_000_000;
const FADES: i64 = 8;
/// Rows before a new one that are looked at for such.
const FADING: usize = 256;

/// Makes room for a span: of those that it has a part of, what it does not cover stays as it was.
fn cut(tx: &Transaction<'_>, span: &mut SourceSpan) -> Step<()> {
    for old in checked(tx, span.tenant, &span.name, span.from, span.to)? {
        remove(tx, (old.tenant, &old.name), CHECKED, old.from)?;
        let left = SourceSpan { to: old.to.min(span.from), ..old.clone() };
        let right = SourceSpan { from: old.from.max(span.to), ..old.clone() };
        let mut counts = Some((old.records, old.filled));
        // What was counted is counted once: by what is left of the row, or by the new one.
        for part in [left, right].into_iter().filter(|part| part.from < part.to) {
            let (records, filled) = counts.take().unwrap_or_default();
            put(tx, &Stored { span: SourceSpan { records, filled, ..part }, gap: None })?;
        }
        let (records, filled) = counts.unwrap_or_default();
        span.records = span.records.saturating_add(records);
        span.filled = span.filled.saturating_add(filled);
    }
    Ok(())
}

/// Joins rows up to this span that touch and were looked at at about the same time: what is known of them is as of the earlier look.
fn fade(tx: &Transaction<'_>, span: &SourceSpan) -> Step<()> {
    let mut rows = checked(tx, span.tenant, &span.name, i64::MIN, i64::MAX)?;
    let behind = rows.partition_point(|row| row.from <= span.to);
    rows.truncate(behind);
    let mut rows = rows.split_off(behind.saturating_sub(FADING)).into_iter();
    let Some(mut last) = rows.next() else { return Ok(()) };
    for next in rows {
        let apart = last.checked_at.abs_diff(next.checked_at);
        let since = span.checked_at.saturating_sub(last.checked_at.max(next.checked_at)).max(0);
        if last.to != next.from || apart > ALIKE.max(since / FADES).unsigned_abs() {
            last = next;
            continue;
        }
        for old in [&last, &next] {
            remove(tx, (old.tenant, &old.name), CHECKED, old.from)?;
        }
        last = SourceSpan {
            to: next.to,
            checked_at: last.checked_at.min(next.checked_at),
            records: last.records.saturating_add(next.records),
            filled: last.filled.saturating_add(next.filled),
            ..last
        };
        put(tx, &Stored { span: last.clone(), gap: None })?;
    }
    Ok(())
}

fn put(tx: &Transaction<'_>, row: &Stored) -> Step<()> {
    let span = &row.span;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO source_span (tenant, name, verdict, from_time, to_time, checked_at, records, filled,
         cause, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute((
        span.tenant,
        &span.name,
        verdict(row),
        span.from,
        span.to,
        span.checked_at,
        to_sql("records of a span", span.records)?,
        to_sql("records filled in", span.filled)?,
        row.gap.as_deref().unwrap_or_default(),
        span_sum(row)?.done(),
    ))?;
    Ok(())
}

fn verdict(row: &Stored) -> &'static str {
    if row.gap.is_some() { GAP } else { CHECKED }
}

pub(crate) const ALL_SPANS: &str = select!("ORDER BY tenant, name, from_time");

pub(crate) fn span_row(row: &Row<'_>) -> Step<Stored> {
    let (number, name): (i64, String) = (row.get(0)?, row.get(1)?);
    let what = || format!("a span of source {name:?} of tenant {number}");
    let (verdict, cause): (String, String) = (row.get(2)?, row.get(8)?);
    let gap = match verdict.as_str() {
        GAP => Some(cause),
        CHECKED if cause.is_empty() => None,
        _ => return Err(Error::damaged(what(), "its verdict is none").into()),
    };
    let span = SourceSpan {
        tenant: from_sql(&what(), number)?,
        from: row.get(3)?,
        to: row.get(4)?,
        checked_at: row.get(5)?,
        records: from_sql(&what(), row.get(6)?)?,
        filled: from_sql(&what(), row.get(7)?)?,
        name: name.clone(),
    };
    let stored = Stored { span, gap };
    span_sum(&stored)?.expect(row.get(9)?, what)?;
    Ok(stored)
}

fn span_sum(row: &Stored) -> Result<Sum> {
    let span = &row.span;
    Ok(Sum::of("source_span")
        .int(span.tenant.into())
        .text(&span.name)
        .text(verdict(row))
        .int(span.from)
        .int(span.to)
        .int(span.checked_at)
        .int(to_sql("records of a span", span.records)?)
        .int(to_sql("records filled in", span.filled)?)
        .text(row.gap.as_deref().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Filling, SourceSpec};
    use std::collections::BTreeMap;

    /// A catalog with a gap as it was written up to version 3.
    fn with_old_gap(folder: &std::path::Path) -> Catalog {
        let catalog = Catalog::open(&disk::local(), &folder.join("catalog.db")).unwrap();
        catalog.create_tenant("acme", "{}", 1).unwrap();
        let secrets = BTreeMap::new();
        let spec = SourceSpec { name: "kc", system: "keycloak", kind: "pull", settings: "{}", secrets: &secrets };
        catalog.put_source(1, &spec, 1).unwrap();
        let span = SourceSpan { tenant: 1, name: "kc".into(), from: 10, to: 20, checked_at: 7, records: 0, filled: 0 };
        catalog.db.write("test", |tx| put(tx, &Stored { span, gap: Some("lost".into()) })).unwrap();
        catalog
    }

    #[test]
    fn a_gap_of_an_older_catalog_is_a_gap_can_be_told_again_and_filled() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = with_old_gap(folder.path());
        assert!(catalog.check().unwrap().is_empty());
        assert_eq!(catalog.spans(1, "kc", 0, 100).unwrap(), []);
        let all = || catalog.gaps(1, "kc", 0, 100).unwrap();
        let old = all().remove(0);
        assert_eq!((old.id.as_str(), old.cause.as_str(), old.told_size), ("gap:kc:10:20", "lost", u64::MAX));
        let again = SourceGap { told_at: 9, told_size: 5, cause: "too large".into(), ..old.clone() };
        assert!(catalog.add_gap(&again, 1).unwrap());
        assert_eq!(all(), [SourceGap { cause: "lost; too large".into(), ..again }]);

        let folder = tempfile::tempdir().unwrap();
        let catalog = with_old_gap(folder.path());
        let filling = Filling { at: 30, by: "a comparison".into() };
        assert!(catalog.fill_gap(&old, &filling, 1).unwrap());
        assert_eq!(catalog.gaps(1, "kc", 0, 100).unwrap(), [SourceGap { filled: Some(filling), ..old }]);
        assert!(catalog.check().unwrap().is_empty());
    }
}
