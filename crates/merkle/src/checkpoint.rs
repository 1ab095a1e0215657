//! C2SP tlog-checkpoint: the statement "the log of this origin has this size and this root".
//!
//! Owns the three lines and when a signed checkpoint counts as the log's. Whether two checkpoints agree is for
//! [`crate::proof::verify_consistency`]; that a log signs no two that disagree is for its ledger.

use crate::encoding::{base64, decimal, unbase64_hash};
use crate::hash::{Hash, MAX_SIZE, empty_root};
use crate::note::{self, KeyKind, Note, NoteError, Opened, SigningKey, VerifyingKey};

/// Size and root of one log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// The name of the log, unique in the world; also the name of its key.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Root of these leaves.
    pub root: Hash,
}

/// Why a checkpoint is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note around it is refused.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Fewer than three lines, or the last one does not end.
    #[error("checkpoint does not have three lines")]
    TooShort,
    /// The origin is empty or holds a control character.
    #[error("checkpoint origin is empty or holds a control character")]
    BadOrigin,
    /// The size is not a canonical decimal up to 2^63 - 1.
    #[error("checkpoint size is not a decimal up to 2^63 - 1")]
    BadSize,
    /// The root is not the base64 of 32 bytes.
    #[error("checkpoint root is not a base64 hash")]
    BadRoot,
    /// Size 0 with a root other than SHA-256 of nothing.
    #[error("checkpoint of size 0 has the root of another tree")]
    BadEmptyRoot,
    /// Lines after the third: they are optional in the specification, not covered by every cosignature, and never ours.
    #[error("checkpoint has extension lines")]
    ExtensionLines,
    /// No verified log signature by a key of the origin's name.
    #[error("checkpoint of {origin} is not signed by a key of that name")]
    NotSignedByOrigin {
        /// The origin in the text.
        origin: String,
    },
}

impl Checkpoint {
    /// Reads the text of a checkpoint (not the note around it).
    ///
    /// # Errors
    ///
    /// Anything that [`Checkpoint::to_text`] would not write.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::TooShort)?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::TooShort);
        };
        if lines.next().is_some() {
            return Err(CheckpointError::ExtensionLines);
        }
        let size = decimal(size, MAX_SIZE).ok_or(CheckpointError::BadSize)?;
        let root = unbase64_hash(root).ok_or(CheckpointError::BadRoot)?;
        let checkpoint = Self { origin: origin.to_owned(), size, root };
        checkpoint.check()?;
        Ok(checkpoint)
    }

    /// The three lines.
    ///
    /// # Errors
    ///
    /// If the origin is empty or holds a control character, the size is above [`MAX_SIZE`], or size 0 has a root
    /// of its own.
    pub fn to_text(&self) -> Result<String, CheckpointError> {
        self.check()?;
        Ok(format!("{}\n{}\n{}\n", self.origin, self.size, base64(&self.root)))
    }

    /// The checkpoint as a note signed by the log.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::to_text`], or if the key is not named as the origin.
    pub fn sign(&self, key: &SigningKey) -> Result<String, CheckpointError> {
        if key.name() != self.origin {
            return Err(CheckpointError::NotSignedByOrigin { origin: self.origin.clone() });
        }
        Ok(note::sign(&self.to_text()?, &[key])?)
    }

    /// Reads a signed checkpoint and verifies it: at least one *log* signature must be by a known key whose name is
    /// the origin, and no line of a known key may be wrong. A cosignature alone is not enough, nor is the key of
    /// another log.
    ///
    /// # Errors
    ///
    /// If the note or the checkpoint is malformed, or the signatures do not suffice.
    pub fn open(note: impl AsRef<[u8]>, known: &[VerifyingKey]) -> Result<(Self, Opened), CheckpointError> {
        let opened = note::open(note, known)?;
        let checkpoint = Self::parse(&opened.text)?;
        let by_log = |key: &note::Verified| key.kind == KeyKind::Ed25519 && key.name == checkpoint.origin;
        if !opened.verified.iter().any(by_log) {
            return Err(CheckpointError::NotSignedByOrigin { origin: checkpoint.origin });
        }
        Ok((checkpoint, opened))
    }

    /// Reads a signed checkpoint *without* verifying it, to learn the origin and so the key to verify it with.
    ///
    /// # Errors
    ///
    /// If the note or the checkpoint is malformed.
    pub fn parse_unverified(note: impl AsRef<[u8]>) -> Result<Self, CheckpointError> {
        Self::parse(Note::parse(note.as_ref())?.text())
    }

    fn check(&self) -> Result<(), CheckpointError> {
        if self.origin.is_empty() || self.origin.bytes().any(|byte| byte < 0x20) {
            return Err(CheckpointError::BadOrigin);
        }
        if self.size > MAX_SIZE {
            return Err(CheckpointError::BadSize);
        }
        if self.size == 0 && self.root != empty_root() {
            return Err(CheckpointError::BadEmptyRoot);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
