//! The one error type of the crate, and the bridge from SQLite's errors to it.
//!
//! Messages carry the values a person needs to act (a path, a tenant's number, a size) and never a secret:
//! no key, no salt, no settings text.

use std::path::PathBuf;

use crate::scopes::UnknownScope;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the catalog could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is there but is not a catalog of ours.
    #[error("{} is not a catalog: {reason}", path.display())]
    NotACatalog {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        reason: &'static str,
    },
    /// The file was written by a newer program.
    #[error(
        "{} has catalog version {found}, and this program knows versions up to {supported}: use a newer program",
        path.display()
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version this program reads.
        supported: u32,
    },
    /// A file of an older version was opened for reading only, so it cannot be brought up to date.
    #[error("{} has catalog version {found} and must be brought to {supported} first: start the server once", path.display())]
    NeedsMigration {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version this program reads.
        supported: u32,
    },
    /// SQLite could not do it. Nothing was changed.
    #[error("could not {action}: {source}")]
    Storage {
        /// What was being done.
        action: &'static str,
        /// SQLite's own error.
        source: rusqlite::Error,
    },
    /// SQLite could not open the file, or read the first things in it.
    #[error("could not open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// SQLite's own error.
        source: rusqlite::Error,
    },
    /// The commit itself failed: whether the change is there will be known after a restart.
    #[error("could not tell whether this was saved: {action}: {source}")]
    Commit {
        /// What was being done.
        action: &'static str,
        /// SQLite's own error.
        source: rusqlite::Error,
    },
    /// A file operation failed.
    #[error("could not {action} {}: {source}", path.display())]
    File {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own error.
        source: std::io::Error,
    },
    /// A row is there but is not what was written.
    #[error("the catalog is damaged: {what}: {reason}")]
    Damaged {
        /// Which row.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A tenant's name breaks the rule.
    #[error(
        "invalid tenant name {slug:?}: use 1 to 63 characters of a-z, 0-9 and -, starting and ending with a letter or a digit"
    )]
    InvalidSlug {
        /// The name, cut to 80 characters.
        slug: String,
    },
    /// A tenant's settings are not a JSON object, or too long.
    #[error("invalid settings: {reason}")]
    InvalidSettings {
        /// What is wrong; never quotes the settings.
        reason: String,
    },
    /// A source breaks a rule.
    #[error("invalid source: {reason}")]
    InvalidSource {
        /// Which rule; never quotes a setting or a secret.
        reason: String,
    },
    /// A job breaks a rule.
    #[error("invalid job: {reason}")]
    InvalidJob {
        /// Which rule.
        reason: &'static str,
    },
    /// An API key's name breaks the rule.
    #[error("invalid key name: use 1 to 200 characters, no control characters")]
    InvalidKeyName,
    /// A scope that does not exist.
    #[error(transparent)]
    UnknownScope(#[from] UnknownScope),
    /// No such tenant.
    #[error("there is no tenant {tenant}")]
    UnknownTenant {
        /// Its name or its number.
        tenant: String,
    },
    /// A segment to retire is not in the catalog.
    #[error("there is no segment {id}")]
    UnknownSegment {
        /// Its id.
        id: u64,
    },
    /// A segment's id has been used before.
    #[error("segment id {id} has been used before")]
    SegmentExists {
        /// Its id.
        id: u64,
    },
    /// A segment contradicts itself.
    #[error("segment {id} is not valid: {reason}")]
    InvalidSegment {
        /// Its id.
        id: u64,
        /// The rule it breaks.
        reason: String,
    },
    /// A tile's size or place is impossible.
    #[error("tile {level}/{index} of tenant {tenant} is not valid: {reason}")]
    InvalidTile {
        /// The tenant's number.
        tenant: u32,
        /// The tile's level.
        level: u8,
        /// The tile's index in its level.
        index: u64,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// A position that only grows was asked to shrink.
    #[error("{what} must not go back from {from} to {to}")]
    WentBack {
        /// Which position.
        what: String,
        /// Where it is.
        from: u64,
        /// Where it was asked to go.
        to: u64,
    },
    /// Two checkpoints of one size have different roots: the tenant's ledger has forked.
    #[error("tenant {tenant} has another checkpoint of size {size} with a different root")]
    CheckpointConflict {
        /// The tenant's number.
        tenant: u32,
        /// The size both claim.
        size: u64,
    },
    /// A number does not fit into the file's signed 64 bits.
    #[error("{what} {value} is too large to store")]
    TooLarge {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// There are 2^32 - 1 tenants.
    #[error("there is no tenant number left")]
    TenantsExhausted,
    /// The catalog was opened for reading.
    #[error("could not {action}: the catalog is open for reading only")]
    ReadOnly {
        /// What was asked.
        action: &'static str,
    },
    /// The catalog was sealed and closed.
    #[error("could not {action}: the catalog is closed")]
    Closed {
        /// What was asked.
        action: &'static str,
    },
    /// Somebody else has the file open, so it cannot be sealed.
    #[error("could not seal {}: another program has it open", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The system gave no random bytes.
    #[error("could not get random bytes: {reason}")]
    Random {
        /// The system's answer.
        reason: String,
    },
}

impl Error {
    /// Whether the state after this error is unknown, so that the caller must stop and reopen instead of
    /// carrying on or repeating.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Commit { .. }) || self.is_damage()
    }

    /// Whether it is for want of room: the disk, or the system's limit on a file, took no more.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Storage { source, .. } | Self::Commit { source, .. } => is_no_room(source),
            Self::File { source, .. } => {
                use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
                matches!(source.kind(), StorageFull | FileTooLarge | QuotaExceeded)
            }
            _ => false,
        }
    }

    /// Whether the file itself is damaged.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Storage { source, .. } | Self::Commit { source, .. } | Self::Open { source, .. } => {
                is_corruption(source)
            }
            _ => false,
        }
    }

    /// Whether the file, which is there, could not be read: nothing is known of what is in it.
    pub fn is_unreadable(&self) -> bool {
        match self {
            Self::File { source, .. } => source.kind() != std::io::ErrorKind::NotFound,
            Self::Storage { source, .. } | Self::Commit { source, .. } | Self::Open { source, .. } => {
                use rusqlite::ErrorCode::{CannotOpen, PermissionDenied, ReadOnly, SystemIoFailure};
                matches!(source.sqlite_error_code(), Some(CannotOpen | PermissionDenied | ReadOnly | SystemIoFailure))
            }
            _ => false,
        }
    }

    pub(crate) fn damaged(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Damaged { what: what.into(), reason: reason.into() }
    }
}

/// Whether SQLite itself calls the file damaged.
pub(crate) fn is_corruption(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// Whether SQLite could not write. A file that may not grow it calls a failed write, a full disk by its name.
fn is_no_room(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{
        SQLITE_FULL, SQLITE_IOERR_FSYNC, SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE,
    };
    let code = error.sqlite_error().map(|e| e.extended_code);
    matches!(
        code,
        Some(SQLITE_FULL | SQLITE_IOERR_WRITE | SQLITE_IOERR_FSYNC | SQLITE_IOERR_TRUNCATE | SQLITE_IOERR_SHMSIZE)
    )
}

/// An error on its way out of a transaction, before it is known what the transaction was for.
#[derive(Debug)]
pub(crate) enum Fault {
    Sqlite(rusqlite::Error),
    Typed(Error),
}

impl Fault {
    pub(crate) fn during(self, action: &'static str) -> Error {
        match self {
            Self::Sqlite(source) => Error::Storage { action, source },
            Self::Typed(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(source: rusqlite::Error) -> Self {
        Self::Sqlite(source)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Typed(error)
    }
}

pub(crate) type Step<T> = std::result::Result<T, Fault>;

/// A number as SQLite stores it.
pub(crate) fn to_sql(what: &'static str, value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|_| Error::TooLarge { what, value })
}

/// A number as it was before [`to_sql`], of any unsigned type.
pub(crate) fn from_sql<T: TryFrom<i64>>(what: &str, value: i64) -> Result<T> {
    T::try_from(value).map_err(|_| Error::damaged(what, format!("{value} is out of range")))
}

/// A fixed-size value; its length is part of what must be right.
pub(crate) fn fixed<const N: usize>(what: &str, bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| Error::damaged(what, format!("{} bytes instead of {N}", bytes.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn a_disk_that_is_full_is_told_from_one_that_cannot_be_read() {
        let sqlite = |code| Error::Storage {
            action: "do it",
            source: rusqlite::Error::SqliteFailure(ffi::Error::new(code), None),
        };
        let file = |kind: std::io::ErrorKind| Error::File {
            action: "write",
            path: PathBuf::from("catalog.sum"),
            source: kind.into(),
        };
        for full in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_SHMSIZE] {
            assert!(sqlite(full).is_disk_full(), "{full}");
        }
        for other in [ffi::SQLITE_IOERR_READ, ffi::SQLITE_CORRUPT, ffi::SQLITE_BUSY] {
            assert!(!sqlite(other).is_disk_full(), "{other}");
        }
        assert!(file(std::io::ErrorKind::StorageFull).is_disk_full());
        assert!(!file(std::io::ErrorKind::NotFound).is_disk_full());
    }
}
