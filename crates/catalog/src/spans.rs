//! What of a source was looked at: spans of time that were compared and found whole, and spans with a gap.
//!
//! Owns the table `source_span`. Spans are half open, `from <= time < to`. Checked spans that touch are one row, so there
//! are as many rows as there are holes between them. Not here: comparing, and the gap's entry in the ledger.

use rusqlite::{Connection, Row, Transaction};

use crate::catalog::Catalog;
use crate::error::{Error, Result, Step, from_sql, to_sql};
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
    /// Why something is missing for good, of several gaps in turn; `None` where nothing is.
    pub gap: Option<String>,
}

const CHECKED: &str = "checked";
const GAP: &str = "gap";

/// Bytes of the causes that gaps with the same beginning are told with: the ledger has an entry for each.
const MAX_CAUSES: usize = 2000;
const OTHERS: &str = "; and others";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT tenant, name, verdict, from_time, to_time, checked_at, records, filled, cause, sum FROM source_span ",
            $rest
        )
    };
}

impl Catalog {
    /// Adds a span, durably. One without a gap is joined with those it touches: it says from then on what the newest look
    /// said, and counts add up. Gaps with the same beginning are one row, with the causes of all. Says `false` where the source
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
            match span.gap.take() {
                None => join(tx, &mut span)?,
                Some(cause) => join_gap(tx, &mut span, cause)?,
            }
            put(tx, &span)?;
            Ok(true)
        })
    }

    /// The spans of a source that have a part of `from..to`, by time.
    ///
    /// # Errors
    ///
    /// When they cannot be read or a checksum does not match.
    pub fn spans(&self, tenant: u32, name: &str, from: i64, to: i64) -> Result<Vec<SourceSpan>> {
        self.db.read("read what was looked at", |conn| overlapping(conn, tenant, name, from, to))
    }
}

fn overlapping(conn: &Connection, tenant: u32, name: &str, from: i64, to: i64) -> Step<Vec<SourceSpan>> {
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

/// Takes in the checked spans that this one touches, and removes their rows.
fn join(tx: &Transaction<'_>, span: &mut SourceSpan) -> Step<()> {
    let (from, to) = (span.from.saturating_sub(1), span.to.saturating_add(1));
    let looked_at = span.from..=span.to;
    for old in overlapping(tx, span.tenant, &span.name, from, to)?.into_iter().filter(|s| s.gap.is_none()) {
        span.from = span.from.min(old.from);
        span.to = span.to.max(old.to);
        // Of what was not looked at again it is known as of then, and one row has one moment.
        if !(looked_at.contains(&old.from) && looked_at.contains(&old.to)) {
            span.checked_at = span.checked_at.min(old.checked_at);
        }
        span.records = span.records.saturating_add(old.records);
        span.filled = span.filled.saturating_add(old.filled);
        tx.execute(
            "DELETE FROM source_span WHERE tenant = ?1 AND name = ?2 AND verdict = ?3 AND from_time = ?4",
            (old.tenant, &old.name, CHECKED, old.from),
        )?;
    }
    Ok(())
}

/// Takes in the gap that begins with this one: a source whose times are whole seconds has many in one.
fn join_gap(tx: &Transaction<'_>, span: &mut SourceSpan, cause: String) -> Step<()> {
    let there = overlapping(tx, span.tenant, &span.name, span.from, span.from.saturating_add(1))?;
    let old = there.into_iter().find(|s| s.from == span.from && s.gap.is_some());
    span.to = span.to.max(old.as_ref().map_or(span.to, |old| old.to));
    span.gap = Some(match old.and_then(|old| old.gap) {
        None => cause,
        Some(was) if format!("; {was}; ").contains(&format!("; {cause}; ")) || was.ends_with(OTHERS) => was,
        Some(was) if was.len() + cause.len() > MAX_CAUSES => was + OTHERS,
        Some(was) => format!("{was}; {cause}"),
    });
    Ok(())
}

fn put(tx: &Transaction<'_>, span: &SourceSpan) -> Step<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO source_span (tenant, name, verdict, from_time, to_time, checked_at, records, filled,
         cause, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute((
        span.tenant,
        &span.name,
        verdict(span),
        span.from,
        span.to,
        span.checked_at,
        to_sql("records of a span", span.records)?,
        to_sql("records filled in", span.filled)?,
        span.gap.as_deref().unwrap_or_default(),
        span_sum(span)?.done(),
    ))?;
    Ok(())
}

fn verdict(span: &SourceSpan) -> &'static str {
    if span.gap.is_some() { GAP } else { CHECKED }
}

pub(crate) const ALL_SPANS: &str = select!("ORDER BY tenant, name, from_time");

pub(crate) fn span_row(row: &Row<'_>) -> Step<SourceSpan> {
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
        gap,
        name: name.clone(),
    };
    span_sum(&span)?.expect(row.get(9)?, what)?;
    Ok(span)
}

fn span_sum(span: &SourceSpan) -> Result<Sum> {
    Ok(Sum::of("source_span")
        .int(span.tenant.into())
        .text(&span.name)
        .text(verdict(span))
        .int(span.from)
        .int(span.to)
        .int(span.checked_at)
        .int(to_sql("records of a span", span.records)?)
        .int(to_sql("records filled in", span.filled)?)
        .text(span.gap.as_deref().unwrap_or_default()))
}
