//! How far an interrupted run has come, in a file that the next run finds.
//!
//! Owns that file. It only saves work: ids make a record that is sent twice count once. So it is checked against the
//! content (the chain of digests), and ignored where anything does not fit.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Counts;
use crate::client::{Failure, hex, home_folder, note, replace_file};

/// What is saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) version: u32,
    /// Where the records went: address, tenant, system.
    pub(super) target: String,
    /// Records of the file that are dealt with, from its beginning.
    pub(super) records: u64,
    /// The chain of digests over them.
    pub(super) chain: String,
    pub(super) counts: Counts,
}

/// Where the progress of this file to this target is kept.
pub(super) fn default_path(file: &Path, target: &str) -> Result<PathBuf, Failure> {
    let whole = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let digest =
        Sha256::new_with_prefix(whole.as_os_str().as_encoded_bytes()).chain_update([0]).chain_update(target).finalize();
    let name = format!("{}.json", hex(digest.get(..16).unwrap_or_default()));
    Ok(home_folder("XDG_CACHE_HOME", ".cache")?.join("ingest").join(name))
}

/// The progress of an earlier run to the same target, if there is any that can be used.
pub(super) fn read(path: &Path, target: &str) -> Option<Progress> {
    let text = std::fs::read_to_string(path).ok()?;
    let found = serde_json::from_str::<Progress>(&text).ok();
    let found = found.filter(|progress| progress.version == 1 && progress.target == target && progress.records > 0);
    if found.is_none() {
        note(&format!("{} does not belong to this run; beginning from the start", path.display()));
    }
    found
}

/// Saves progress.
pub(super) fn write(path: &Path, progress: &Progress) -> Result<(), Failure> {
    let text = serde_json::to_string(progress).map_err(|e| Failure::other(e.to_string()))?;
    replace_file(path, text.as_bytes())
}
