//! Looks for damage in the whole file: SQLite's own check, foreign keys, every row's checksum, and that what
//! the tables say together makes sense. Says what is wrong; mends nothing.

use rusqlite::{Connection, Row};

use crate::catalog::{ALL_META, Catalog, meta_row};
use crate::checkpoints::{ALL_CHECKPOINTS, checkpoint_row};
use crate::error::{Fault, Result, Step, is_corruption};
use crate::gaps::{ALL_GAPS, gap_row};
use crate::jobs::{ALL_JOBS, job_row};
use crate::keys::{ALL_KEYS, key_row};
use crate::persons::{ALL_PERSONS, person_row};
use crate::positions::{self, ALL_POSITIONS, ID_CEILING, position_row};
use crate::segments::{ALL_RETIRED, ALL_SEGMENTS, judge, retired_row, segment_row};
use crate::sources::{ALL_SOURCES, source_row};
use crate::spans::{ALL_SPANS, span_row};
use crate::tenants::{ALL_TENANTS, tenant_row};
use crate::tiles::{ALL_FRONTIERS, ALL_TILES, frontier_row, tile_row};

/// Findings beyond this many are counted and not listed.
const MAX_FINDINGS: usize = 1_000;

#[derive(Default)]
struct Findings {
    list: Vec<String>,
    more: usize,
}

impl Findings {
    fn push(&mut self, finding: String) {
        if self.list.len() < MAX_FINDINGS {
            self.list.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// Damage is a finding; any other failure is a failure of the check.
    fn take<T>(&mut self, result: Step<T>) -> Step<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Fault::Typed(error)) if error.is_damage() => {
                self.push(error.to_string());
                Ok(None)
            }
            // A value of another type than its column's is damage too.
            Err(Fault::Sqlite(error)) if is_corruption(&error) || error.sqlite_error_code().is_none() => {
                self.push(format!("the catalog is damaged: {error}"));
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }
}

impl Catalog {
    /// Everything that is wrong with the file, one sentence each; empty means sound.
    ///
    /// # Errors
    ///
    /// When the check itself could not be done. Damage is not an error here.
    pub fn check(&self) -> Result<Vec<String>> {
        self.check_with(true)
    }

    /// As [`Catalog::check`], without the rows that can be made anew from others: tiles.
    ///
    /// # Errors
    ///
    /// As [`Catalog::check`].
    pub fn check_underived(&self) -> Result<Vec<String>> {
        self.check_with(false)
    }

    /// What a start looks at where there is no seal: every row that is not derived, and whether the file has all of its pages. Quicker
    /// than [`Catalog::check`], which looks at the pages too.
    ///
    /// # Errors
    ///
    /// As [`Catalog::check`].
    pub fn check_rows(&self) -> Result<Vec<String>> {
        let size = self.db.file_size()?;
        self.db.read("check the catalog", |conn| {
            let moment = conn.unchecked_transaction()?;
            let mut findings = Findings::default();
            let pages = |name| moment.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            let whole = pages("page_count")?.saturating_mul(pages("page_size")?);
            if u64::try_from(whole).is_ok_and(|whole| size < whole) {
                findings.push(format!("the catalog is damaged: it has {size} bytes of {whole}"));
            }
            check_rows(&moment, &mut findings)?;
            Ok(findings.list)
        })
    }

    fn check_with(&self, derived: bool) -> Result<Vec<String>> {
        self.db.read("check the catalog", |conn| {
            let moment = conn.unchecked_transaction()?;
            let mut findings = Findings::default();
            check_pages(&moment, &mut findings)?;
            check_rows(&moment, &mut findings)?;
            if derived {
                sweep(&moment, &mut findings, ALL_TILES, |_, row| tile_row(row).map(drop))?;
            }
            if findings.more > 0 {
                findings.list.push(format!("and {} more", findings.more));
            }
            Ok(findings.list)
        })
    }
}

fn check_pages(conn: &Connection, findings: &mut Findings) -> Step<()> {
    sweep(conn, findings, "PRAGMA integrity_check", |findings, row| {
        let line: String = row.get(0)?;
        if line != "ok" {
            findings.push(format!("integrity check: {line}"));
        }
        Ok(())
    })?;
    sweep(conn, findings, "PRAGMA foreign_key_check", |findings, row| {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        findings.push(format!("a row of {table} belongs to no {parent}"));
        Ok(())
    })
}

fn check_rows(conn: &Connection, findings: &mut Findings) -> Step<()> {
    sweep(conn, findings, ALL_META, |_, row| meta_row(row).map(drop))?;
    sweep(conn, findings, ALL_POSITIONS, |_, row| position_row(row).map(drop))?;
    sweep(conn, findings, ALL_TENANTS, |_, row| tenant_row(row).map(drop))?;
    sweep(conn, findings, ALL_KEYS, |_, row| key_row(row).map(drop))?;
    sweep(conn, findings, ALL_PERSONS, |_, row| person_row(row).map(drop))?;
    sweep(conn, findings, ALL_FRONTIERS, |_, row| frontier_row(row).map(drop))?;
    sweep(conn, findings, ALL_CHECKPOINTS, |_, row| checkpoint_row(row).map(drop))?;
    sweep(conn, findings, ALL_SOURCES, |_, row| source_row(row).map(drop))?;
    sweep(conn, findings, ALL_SPANS, |_, row| span_row(row).map(drop))?;
    sweep(conn, findings, ALL_GAPS, |_, row| gap_row(row).map(drop))?;
    sweep(conn, findings, ALL_JOBS, |_, row| job_row(row).map(drop))?;

    let ceiling = positions::get(conn, ID_CEILING);
    let ceiling = findings.take(ceiling)?.unwrap_or(u64::MAX);
    let above = move |findings: &mut Findings, id: u64| {
        if id >= ceiling {
            findings.push(format!("segment {id} was never reserved: ids below {ceiling} were"));
        }
    };
    sweep(conn, findings, ALL_SEGMENTS, |findings, row| {
        let segment = segment_row(row)?;
        above(findings, segment.id);
        if let Err(reason) = judge(&segment) {
            findings.push(format!("segment {} is not valid: {reason}", segment.id));
        }
        Ok(())
    })?;
    sweep(conn, findings, ALL_RETIRED, |findings, row| {
        above(findings, retired_row(row)?);
        Ok(())
    })
}

/// Calls `f` with every row; a damaged row is a finding, and the next one is looked at all the same.
fn sweep(
    conn: &Connection,
    findings: &mut Findings,
    sql: &str,
    mut f: impl FnMut(&mut Findings, &Row<'_>) -> Step<()>,
) -> Step<()> {
    let query = conn.prepare(sql).map_err(Fault::from);
    let Some(mut query) = findings.take(query)? else { return Ok(()) };
    let mut rows = query.query([])?;
    loop {
        let next = match rows.next() {
            Ok(None) => return Ok(()),
            Ok(Some(row)) => Ok(f(findings, row)),
            Err(error) => Err(Fault::from(error)),
        };
        match next {
            Ok(row) => {
                findings.take(row)?;
            }
            Err(fault) => {
                findings.take::<()>(Err(fault))?;
                return Ok(());
            }
        }
    }
}
