//! C2SP tlog-proof: one file that proves offline that an entry is in a log.
//!
//! Owns the file's grammar and the whole verdict: checkpoint signature, then inclusion. Which keys to trust is the
//! caller's.

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::encoding::{base64, decimal, unbase64};
use crate::hash::{Hash, MAX_SIZE, leaf_hash};
use crate::note::VerifyingKey;
use crate::proof::{self, ProofError};

const HEADER: &str = "c2sp.org/tlog-proof@v1\n";

/// An inclusion proof with the checkpoint that it leads to. Nothing in it is verified until [`TlogProof::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Bytes for the application. They are **not authenticated** by anything.
    pub extra: Option<Vec<u8>>,
    /// Index of the leaf.
    pub index: u64,
    /// The inclusion proof, leaf sibling first.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

/// Why an offline proof is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// The first line is not `c2sp.org/tlog-proof@v1`.
    #[error("not a c2sp.org/tlog-proof@v1 file")]
    BadHeader,
    /// The file is not UTF-8.
    #[error("proof file is not UTF-8")]
    NotUtf8,
    /// The `extra` line is not canonical base64.
    #[error("extra line of the proof file is malformed")]
    BadExtra,
    /// The `index` line is missing or not a canonical decimal.
    #[error("index line of the proof file is missing or malformed")]
    BadIndex,
    /// No empty line before the checkpoint.
    #[error("proof file has no checkpoint")]
    NoCheckpoint,
    /// The checkpoint is refused.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The hashes are refused.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl TlogProof {
    /// Reads a proof file. The checkpoint is kept as it stands.
    ///
    /// # Errors
    ///
    /// If the file is malformed before the checkpoint.
    pub fn parse(file: impl AsRef<[u8]>) -> Result<Self, TlogProofError> {
        let file = std::str::from_utf8(file.as_ref()).map_err(|_| TlogProofError::NotUtf8)?;
        let mut rest = file.strip_prefix(HEADER).ok_or(TlogProofError::BadHeader)?;
        let mut extra = None;
        if let Some(after) = rest.strip_prefix("extra ") {
            let (encoded, after) = after.split_once('\n').ok_or(TlogProofError::BadExtra)?;
            extra = Some(unbase64(encoded).ok_or(TlogProofError::BadExtra)?);
            rest = after;
        }
        let (index, rest) =
            rest.strip_prefix("index ").and_then(|after| after.split_once('\n')).ok_or(TlogProofError::BadIndex)?;
        let index = decimal(index, MAX_SIZE).ok_or(TlogProofError::BadIndex)?;
        // Without hashes the empty line follows at once; otherwise it follows the last hash line's newline.
        let (hashes, checkpoint) = match rest.strip_prefix('\n') {
            Some(checkpoint) => ("", checkpoint),
            None => {
                let end = rest.find("\n\n").ok_or(TlogProofError::NoCheckpoint)?;
                let (hashes, tail) = rest.split_at_checked(end + 1).ok_or(TlogProofError::NoCheckpoint)?;
                (hashes, tail.strip_prefix('\n').ok_or(TlogProofError::NoCheckpoint)?)
            }
        };
        let hashes = proof::from_lines(hashes)?;
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// The proof file.
    pub fn to_text(&self) -> String {
        let extra = self.extra.as_ref().map(|extra| format!("extra {}\n", base64(extra))).unwrap_or_default();
        let hashes = proof::to_lines(&self.hashes);
        format!("{HEADER}{extra}index {}\n{hashes}\n{}", self.index, self.checkpoint)
    }

    /// Verifies that the leaf with this hash is at [`TlogProof::index`] of the log that one of the keys signs for,
    /// and gives the checkpoint that says so. The caller still decides whether its origin is the expected one.
    ///
    /// # Errors
    ///
    /// If the checkpoint is not signed as [`Checkpoint::open`] demands, or the proof does not lead from the leaf to
    /// its root.
    pub fn verify(&self, leaf_hash: &Hash, known: &[VerifyingKey]) -> Result<Checkpoint, TlogProofError> {
        let (checkpoint, _) = Checkpoint::open(&self.checkpoint, known)?;
        proof::verify_inclusion(self.index, checkpoint.size, leaf_hash, &self.hashes, &checkpoint.root)?;
        Ok(checkpoint)
    }

    /// As [`TlogProof::verify`], for the bytes of the entry.
    ///
    /// # Errors
    ///
    /// As [`TlogProof::verify`].
    pub fn verify_entry(&self, entry: &[u8], known: &[VerifyingKey]) -> Result<Checkpoint, TlogProofError> {
        self.verify(&leaf_hash(entry), known)
    }
}

#[cfg(test)]
mod tests;
