//! The SQLite file itself: creating and opening it, the one writing connection, the reading ones.
//!
//! Locks are taken in the order `open` (shared; exclusive only to close), `writer`, and then what a caller's
//! `after` takes; a reading connection is borrowed and not held under a lock.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use disk::Disk;
use parking_lot::{Mutex, RwLock};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};

use crate::changes::Changes;
use crate::error::{Error, Result, Step};
use crate::positions;
use crate::schema;

/// Reading connections kept open between uses; more are opened when more read at once.
const IDLE_READERS: usize = 4;
const STATEMENTS: usize = 64;
const BUSY: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Write,
    Read,
    /// Reading a file that nobody has open and that has no write-ahead log: nothing beside it is touched.
    ReadStill,
}

pub(crate) struct Db {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    mode: Mode,
    open: RwLock<Option<Connections>>,
}

/// Dropped in this order: the last one to close moves the log into the file, which only the writer may.
struct Connections {
    readers: Mutex<Vec<Connection>>,
    writer: Mutex<Connection>,
    /// Written by who holds `writer`; none where nothing is written.
    changes: Mutex<Option<Changes>>,
}

impl Db {
    /// Opens the file for writing, creates it if there is none, and brings its tables up to date.
    pub(crate) fn open(disk: &Arc<dyn Disk>, path: &Path) -> Result<Self> {
        create_if_absent(disk.as_ref(), path)?;
        let mut conn = connect(disk.as_ref(), path, Mode::Write)?;
        schema::refuse_foreign(&conn, path)?;
        let set = |conn: &Connection| -> rusqlite::Result<String> {
            // To the end of the statement: it answers first and writes afterwards.
            let mut change = conn.prepare("PRAGMA journal_mode = WAL")?;
            let mut answers = change.query([])?;
            while answers.next()?.is_some() {}
            let mode = conn.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
            conn.pragma_update(None, "synchronous", "FULL")?;
            conn.pragma_update(None, "fullfsync", true)?;
            conn.pragma_update(None, "checkpoint_fullfsync", true)?;
            Ok(mode)
        };
        let mode = set(&conn).map_err(|source| Error::Storage { action: "set up the catalog", source })?;
        if mode != "wal" {
            // SQLite goes on with another journal where it cannot make the log, and says so only here. A commit
            // with that one is not durable when it returns: the journal's removal is not synced.
            let source = std::io::Error::other(format!("its journal is still in mode {mode:?}, not a write-ahead log"));
            return Err(Error::File { action: "set up", path: path.into(), source });
        }
        schema::migrate(&mut conn, path)?;
        // What a crash left in the log goes into the file. Behind a torn end SQLite would go on writing over frames of another
        // transaction, and those that stay would look like lost ones (`wal`).
        truncate_log(&conn, "move the catalog's log into its file", path)?;
        sync_folder_of(disk.as_ref(), path)?;
        let count = positions::get(&conn, positions::CHANGES).map_err(|fault| fault.during("count changes"))?;
        let changes = Changes::begin(disk.as_ref(), path, count)?;
        Ok(Self::with(disk, path, Mode::Write, conn, Some(changes)))
    }

    pub(crate) fn open_read_only(disk: &Arc<dyn Disk>, path: &Path) -> Result<Self> {
        disk.open(path).map_err(|source| Error::File { action: "open", path: path.into(), source })?;
        let mode = if has_pending_log(disk.as_ref(), path)? { Mode::Read } else { Mode::ReadStill };
        let conn = connect(disk.as_ref(), path, mode)?;
        schema::refuse_other_version(&conn, path)?;
        Ok(Self::with(disk, path, mode, conn, None))
    }

    /// A named value of a file of any version; `None` where there is no such value, table or file. Neither the file nor its log is changed;
    /// SQLite may make its index of the log (`-shm`).
    pub(crate) fn peek(disk: &dyn Disk, path: &Path, name: &str) -> Result<Option<Vec<u8>>> {
        Self::peek_in(disk, path, "meta", "SELECT value FROM meta WHERE name = ?1", name)
    }

    /// How many transactions it has had, of a file as in [`Db::peek`].
    pub(crate) fn peek_changes(disk: &dyn Disk, path: &Path) -> Result<u64> {
        let sql = "SELECT value FROM position WHERE name = ?1";
        let count: Option<i64> = Self::peek_in(disk, path, "position", sql, positions::CHANGES)?;
        Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
    }

    fn peek_in<T: rusqlite::types::FromSql>(
        disk: &dyn Disk,
        path: &Path,
        table: &str,
        sql: &str,
        name: &str,
    ) -> Result<Option<T>> {
        match disk.open(path) {
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::File { action: "open", path: path.into(), source }),
        }
        let mode = if has_pending_log(disk, path)? { Mode::Read } else { Mode::ReadStill };
        let conn = connect(disk, path, mode)?;
        let value = || -> rusqlite::Result<Option<T>> {
            if !conn.table_exists(None, table)? {
                return Ok(None);
            }
            conn.query_row(sql, [name], |row| row.get(0)).optional()
        };
        value().map_err(|source| Error::Open { path: path.into(), source })
    }

    fn with(disk: &Arc<dyn Disk>, path: &Path, mode: Mode, conn: Connection, changes: Option<Changes>) -> Self {
        let open =
            Connections { writer: Mutex::new(conn), readers: Mutex::new(Vec::new()), changes: Mutex::new(changes) };
        Self { disk: Arc::clone(disk), path: path.into(), mode, open: RwLock::new(Some(open)) }
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }

    /// Bytes of the file itself.
    pub(crate) fn file_size(&self) -> Result<u64> {
        let failed = |source| Error::File { action: "look at", path: self.path.clone(), source };
        self.disk.open(&self.path).and_then(|file| file.size()).map_err(failed)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `f` on a reading connection; it sees one committed state per statement, or one for all of them if it
    /// opens a transaction.
    pub(crate) fn read<T>(&self, action: &'static str, f: impl FnOnce(&Connection) -> Step<T>) -> Result<T> {
        // Recursive, so that a reader that reads again never waits behind one who wants to close.
        let open = self.open.read_recursive();
        let Some(connections) = open.as_ref() else { return Err(Error::Closed { action }) };
        let idle = connections.readers.lock().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => connect(self.disk(), &self.path, if self.mode == Mode::Write { Mode::Read } else { self.mode })?,
        };
        let answer = f(&conn).map_err(|fault| fault.during(action));
        let mut readers = connections.readers.lock();
        if readers.len() < IDLE_READERS {
            readers.push(conn);
        }
        answer
    }

    /// Runs `f` in one transaction. When this returns `Ok`, what it did is durable; on any error but
    /// [`Error::Commit`] nothing of it was done.
    pub(crate) fn write<T>(&self, action: &'static str, f: impl FnOnce(&Transaction<'_>) -> Step<T>) -> Result<T> {
        self.write_then(action, f, |done| done)
    }

    /// The same, and after the commit runs `after` before any other writer may begin: for what is kept in memory.
    pub(crate) fn write_then<T, R>(
        &self,
        action: &'static str,
        f: impl FnOnce(&Transaction<'_>) -> Step<T>,
        after: impl FnOnce(T) -> R,
    ) -> Result<R> {
        if self.mode != Mode::Write {
            return Err(Error::ReadOnly { action });
        }
        let open = self.open.read_recursive();
        let Some(connections) = open.as_ref() else { return Err(Error::Closed { action }) };
        let mut conn = connections.writer.lock();
        let tx = conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|source| Error::Storage { action, source })?;
        let done = f(&tx).map_err(|fault| fault.during(action))?;
        let count = positions::count_change(&tx).map_err(|fault| fault.during(action))?;
        // A crash before the commit's sync returns leaves the old state or the new one, never a part of it.
        tx.commit().map_err(|source| Error::Commit { action, source })?;
        if let Some(changes) = connections.changes.lock().as_mut() {
            changes.count(self.disk(), &self.path, count);
        }
        Ok(after(done))
    }

    /// Moves everything into the main file and closes it. On an error the catalog stays open.
    pub(crate) fn close(&self) -> Result<()> {
        const ACTION: &str = "close the catalog";
        if self.mode != Mode::Write {
            return Err(Error::ReadOnly { action: ACTION });
        }
        let mut open = self.open.write();
        let Some(connections) = open.as_mut() else { return Err(Error::Closed { action: ACTION }) };
        connections.readers.get_mut().clear();
        truncate_log(connections.writer.get_mut(), ACTION, &self.path)?;
        if let Some(Connections { writer, changes, .. }) = open.take()
            && let Err((writer, source)) = writer.into_inner().close()
        {
            *open = Some(Connections {
                writer: Mutex::new(writer),
                readers: Mutex::new(Vec::new()),
                changes: Mutex::new(changes.into_inner()),
            });
            return Err(Error::Storage { action: ACTION, source });
        }
        Ok(())
    }
}

fn connect(disk: &dyn Disk, path: &Path, mode: Mode) -> Result<Connection> {
    // Connections are never used by two threads at once: each is behind a lock or borrowed.
    let common = OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<Connection> {
        let (name, flags) = match mode {
            Mode::Write => (path.to_owned(), OpenFlags::SQLITE_OPEN_READ_WRITE),
            Mode::Read => (path.to_owned(), OpenFlags::SQLITE_OPEN_READ_ONLY),
            Mode::ReadStill => (still_uri(path).into(), OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI),
        };
        let conn = match disk.sqlite_vfs() {
            None => Connection::open_with_flags(name, common | flags)?,
            Some(vfs) => Connection::open_with_flags_and_vfs(name, common | flags, vfs)?,
        };
        conn.busy_timeout(BUSY)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        conn.pragma_update(None, "foreign_keys", true)?;
        conn.pragma_update(None, "trusted_schema", false)?;
        conn.pragma_update(None, "cell_size_check", true)?;
        Ok(conn)
    };
    let conn = open().map_err(|source| Error::Open { path: path.into(), source })?;
    // A file that may not be written is opened to read, and SQLite says so only here.
    if mode == Mode::Write && conn.is_readonly(rusqlite::MAIN_DB).unwrap_or(false) {
        let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        return Err(Error::File { action: "open for writing", path: path.into(), source });
    }
    Ok(conn)
}

/// Moves everything from the log into the file and empties the log.
fn truncate_log(conn: &Connection, action: &'static str, path: &Path) -> Result<()> {
    let busy: i64 = conn
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .map_err(|source| Error::Storage { action, source })?;
    if busy == 0 { Ok(()) } else { Err(Error::Busy { path: path.into() }) }
}

fn still_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri + "?immutable=1"
}

/// Whether there is a write-ahead log with something in it beside the file.
pub(crate) fn has_pending_log(disk: &dyn Disk, path: &Path) -> Result<bool> {
    let log = log_of(path);
    match disk.open(&log).and_then(|file| file.size()) {
        Ok(size) => Ok(size > 0),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::File { action: "look at", path: log, source }),
    }
}

/// SQLite's write-ahead log of a file.
pub(crate) fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Makes an empty file, readable by its owner alone (it will hold salt keys; SQLite gives its log the same mode).
fn create_if_absent(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.create(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(Error::File { action: "create", path: path.into(), source }),
    }
}

/// Makes a file's creation, renaming or removal durable.
pub(crate) fn sync_folder_of(disk: &dyn Disk, path: &Path) -> Result<()> {
    let folder = disk::parent(path);
    disk.sync_dir(folder).map_err(|source| Error::File { action: "sync the folder", path: folder.into(), source })
}
