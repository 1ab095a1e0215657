//! The tables, as numbered steps, and the rule of versions.
//!
//! `application_id` is the file's magic, `user_version` its version: the number of steps that have run. A step
//! that has been released is never edited; a change is a new step at the end.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, Fault, Result, Step, is_corruption};

/// `INDC`.
pub const APPLICATION_ID: u32 = 0x494E_4443;

/// The version this program writes: the number of steps.
pub const SCHEMA_VERSION: u32 = STEPS.len() as u32;

const STEPS: [&str; 4] = [
    include_str!("schema/001_core.sql"),
    include_str!("schema/002_sources.sql"),
    include_str!("schema/003_jobs.sql"),
    include_str!("schema/004_gaps.sql"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Empty,
    Version(u32),
}

/// Brings the file to [`SCHEMA_VERSION`], each step in a transaction of its own: a crash between two leaves the
/// older version, and the next start carries on from there.
pub(crate) fn migrate(conn: &mut Connection, path: &Path) -> Result<()> {
    migrate_with(conn, path, &STEPS)
}

fn migrate_with(conn: &mut Connection, path: &Path, steps: &[&str]) -> Result<()> {
    const ACTION: &str = "bring the catalog up to date";
    let done = match inspect(conn, path, steps.len() as u32)? {
        Found::Empty => 0,
        Found::Version(version) => version,
    };
    for (version, step) in (1u32..).zip(steps).skip(done as usize) {
        let mut run = || -> Step<()> {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            tx.execute_batch(step)?;
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.pragma_update(None, "user_version", version)?;
            tx.commit()?;
            Ok(())
        };
        run().map_err(|fault| fault.during(ACTION))?;
    }
    Ok(())
}

/// Refuses what is not a catalog or is too new, and changes nothing.
pub(crate) fn refuse_foreign(conn: &Connection, path: &Path) -> Result<()> {
    inspect(conn, path, SCHEMA_VERSION).map(drop)
}

/// Like [`refuse_foreign`], for a file that may not be brought up to date either.
pub(crate) fn refuse_other_version(conn: &Connection, path: &Path) -> Result<()> {
    match inspect(conn, path, SCHEMA_VERSION)? {
        Found::Version(SCHEMA_VERSION) => Ok(()),
        Found::Version(found) => Err(Error::NeedsMigration { path: path.into(), found, supported: SCHEMA_VERSION }),
        Found::Empty => Err(Error::NotACatalog { path: path.into(), reason: "it is empty" }),
    }
}

fn inspect(conn: &Connection, path: &Path, supported: u32) -> Result<Found> {
    let not = |reason| Error::NotACatalog { path: path.into(), reason };
    let read = || -> Step<(i64, i64, i64)> {
        Ok((
            conn.query_row("SELECT application_id FROM pragma_application_id", [], |row| row.get(0))?,
            conn.query_row("SELECT user_version FROM pragma_user_version", [], |row| row.get(0))?,
            conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?,
        ))
    };
    let (id, version, objects) = match read() {
        Ok(found) => found,
        Err(Fault::Sqlite(e)) if is_corruption(&e) => return Err(not("it is not an SQLite file")),
        Err(fault) => return Err(fault.during("read the catalog's version")),
    };
    if (id, version, objects) == (0, 0, 0) {
        return Ok(Found::Empty);
    }
    if id != i64::from(APPLICATION_ID) {
        return Err(not("it is another program's SQLite file"));
    }
    match u32::try_from(version) {
        Ok(version) if (1..=supported).contains(&version) => Ok(Found::Version(version)),
        Ok(found) if found > supported => Err(Error::TooNew { path: path.into(), found, supported }),
        _ => Err(not("its version is not a version")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(conn: &Connection) -> u32 {
        conn.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn steps_run_once_and_in_order() {
        let path = Path::new("test.db");
        let steps = [
            "CREATE TABLE a (x INTEGER) STRICT;",
            "ALTER TABLE a ADD COLUMN y INTEGER;",
            "INSERT INTO a VALUES (1, 2);",
        ];
        let mut conn = Connection::open_in_memory().unwrap();
        for upto in [1, 2, 2, 3, 3] {
            migrate_with(&mut conn, path, &steps[..upto]).unwrap();
            assert_eq!(version(&conn) as usize, upto);
        }
        assert_eq!(conn.query_row("SELECT count(*) FROM a", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
        let error = migrate_with(&mut conn, path, &steps[..2]).unwrap_err();
        assert!(matches!(error, Error::TooNew { found: 3, supported: 2, .. }), "{error}");
    }

    #[test]
    fn a_failing_step_leaves_the_version_before_it() {
        let mut conn = Connection::open_in_memory().unwrap();
        let steps = ["CREATE TABLE a (x INTEGER) STRICT;", "CREATE TABLE b (x INTEGER) STRICT; SELECT nonsense;"];
        assert!(migrate_with(&mut conn, Path::new("test.db"), &steps).is_err());
        assert_eq!(version(&conn), 1);
        assert_eq!(conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    }

    #[test]
    fn another_programs_file_is_refused() {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE theirs (x)").unwrap();
        let error = migrate(&mut conn, Path::new("test.db")).unwrap_err();
        assert!(matches!(error, Error::NotACatalog { .. }), "{error}");
    }
}
