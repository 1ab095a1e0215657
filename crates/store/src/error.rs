//! What can go wrong in the store.

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// A segment.
    #[error(transparent)]
    Segment(#[from] segments::Error),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] ledger::JournalError),
    /// The high-water mark.
    #[error(transparent)]
    HighWater(#[from] ledger::highwater::HighWaterError),
    /// Signing.
    #[error(transparent)]
    Sign(#[from] ledger::checkpoints::SignError),
    /// A salt key.
    #[error(transparent)]
    Key(#[from] crate::keys::KeyError),
    /// A row that does not hash to what was sealed.
    #[error("segment {segment:016x}: tenant {tenant}, index {index}: {what}")]
    Mismatch {
        /// The segment's number, also its file name.
        segment: u64,
        /// Name of the tenant.
        tenant: String,
        /// Index of the row.
        index: u64,
        /// What does not fit.
        what: String,
    },
    /// A file of the data folder.
    #[error("could not {what} {path}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// With which file.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The folder cannot be used as it is.
    #[error("{0}")]
    Folder(String),
    /// What something would be made from is damaged.
    #[error("{0}")]
    Damaged(String),
    /// Rows that should be there are not.
    #[error("tenant {tenant}: {what}")]
    Missing {
        /// Name of the tenant.
        tenant: String,
        /// What is missing.
        what: String,
    },
}

impl Error {
    /// Whether a file that is there could not be read, so that nothing is known of what is in it.
    pub fn is_unreadable(&self) -> bool {
        use ledger::JournalError;
        use ledger::highwater::HighWaterError;
        match self {
            Error::Catalog(e) => e.is_unreadable(),
            Error::Segment(e) => Error::is_unreadable_segment(e),
            Error::Io { source, .. }
            | Error::Journal(JournalError::Io { source, .. })
            | Error::HighWater(HighWaterError::Io { source, .. }) => source.kind() != std::io::ErrorKind::NotFound,
            _ => false,
        }
    }

    pub(crate) fn is_unreadable_segment(e: &segments::Error) -> bool {
        matches!(e, segments::Error::Io { source, .. } if source.kind() != std::io::ErrorKind::NotFound)
    }
}

/// Shorthand of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

pub(crate) fn io(what: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { what, path: path.to_owned(), source }
}
