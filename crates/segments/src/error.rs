//! What can go wrong with a segment, told apart by what must happen next.
//!
//! Owns the error type and the boundary that turns a panic inside a decoder into an error. Not here: any
//! decision about repairing.

use arrow::error::ArrowError;
use event::encode::RowError;
use parquet::errors::ParquetError;
use std::cell::Cell;
use std::path::{Path, PathBuf};

/// Why a segment could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused. The file's content is not in doubt.
    #[error("could not {what} {}: {source}", .path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not what was written. Its rows must be restored from a copy.
    #[error("{} is damaged: {what}", .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The derived `.idx` file is missing or damaged: [`crate::rebuild_filters`] makes it anew.
    #[error("{} must be rebuilt: {what}", .path.display())]
    Filters {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// Bytes given to the writer are not a row.
    #[error("row {row} of the batch is not a row: {source}")]
    Row {
        /// Which row, from 0.
        row: usize,
        /// What is wrong with it.
        source: RowError,
    },
    /// A row the writer cannot take: no id or time, out of order, or text that is not UTF-8.
    #[error("row {row} cannot be stored: {what}")]
    Refused {
        /// Position in the file being written, or in the batch.
        row: u64,
        /// Why.
        what: String,
    },
    /// The caller asked to give it up. What was written so far is of no use.
    #[error("given up, as asked")]
    Stopped,
    /// A caller's predicate failed, or a batch did not have the expected columns.
    #[error("could not compute on columns: {0}")]
    Compute(#[from] ArrowError),
}

/// Shorthand of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(what: &'static str, path: &Path, source: std::io::Error) -> Error {
        Error::Io { what, path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Error {
        Error::Damaged { path: path.to_owned(), what: what.into() }
    }

    pub(crate) fn filters(path: &Path, what: impl Into<String>) -> Error {
        Error::Filters { path: path.to_owned(), what: what.into() }
    }

    /// A decoder's error: ours travels inside it when reading the file was what failed.
    pub(crate) fn parquet(path: &Path, e: ParquetError) -> Error {
        match e {
            ParquetError::External(inner) => match inner.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(other) => Error::damaged(path, other.to_string()),
            },
            other => Error::damaged(path, other.to_string()),
        }
    }

    /// An error that came through an Arrow reader over a Parquet file.
    pub(crate) fn decode(path: &Path, e: ArrowError) -> Error {
        match e {
            ArrowError::ExternalError(inner) => match inner.downcast::<ParquetError>() {
                Ok(parquet) => Error::parquet(path, *parquet),
                Err(inner) => match inner.downcast::<Error>() {
                    Ok(ours) => *ours,
                    Err(other) => Error::damaged(path, other.to_string()),
                },
            },
            other => Error::damaged(path, other.to_string()),
        }
    }

    /// Whether this is a failure of the operating system rather than of the bytes.
    pub fn is_io(&self) -> bool {
        matches!(self, Error::Io { .. })
    }
}

thread_local! {
    /// Why the last read of this thread failed. Decoders on the way turn errors to text, and a disk that does not
    /// answer must not be taken for rows that are gone.
    static UNREAD: Cell<Option<Error>> = const { Cell::new(None) };
}

/// A read that failed: what is given on, after it was kept for [`guard`].
pub(crate) fn unread(path: &Path, source: std::io::Error) -> Error {
    let again = std::io::Error::new(source.kind(), source.to_string());
    UNREAD.set(Some(Error::io("read", path, again)));
    Error::io("read", path, source)
}

/// Runs a decoder over bytes from `path`. Every block read is checked before it is decoded, so a panic here
/// means a file that was written wrongly; it must still not take the process down.
pub(crate) fn guard<T>(path: &Path, f: impl FnOnce() -> Result<T>) -> Result<T> {
    UNREAD.take();
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)) {
        Ok(Err(e @ Error::Damaged { .. })) => Err(UNREAD.take().unwrap_or(e)),
        Ok(result) => result,
        Err(panic) => {
            let what = panic
                .downcast_ref::<&str>()
                .map(|s| (*s).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "unknown cause".to_owned());
            Err(Error::damaged(path, format!("decoding stopped: {what}")))
        }
    }
}
