//! What was seen of a ledger before: its key and its last good checkpoint, in a file of our own.
//!
//! Owns that file. It is written only after a check that found nothing wrong, so that a server can never talk us out
//! of what we saw.

use std::path::{Path, PathBuf};

use merkle::checkpoint::Checkpoint;
use merkle::note::VerifyingKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::client::{Failure, hex, home_folder, replace_file};

/// A checkpoint that was checked before, and the key it was signed with.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) key: VerifyingKey,
    pub(super) checkpoint: Checkpoint,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    vkey: String,
    /// The signed note, verbatim.
    checkpoint: String,
}

/// Where the ledger of this server and tenant is remembered.
pub(super) fn default_path(base: &str, tenant: &str) -> Result<PathBuf, Failure> {
    let digest = hex(&Sha256::digest(format!("{base}\n{tenant}")));
    let readable: String =
        tenant.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(40).collect();
    let name = format!("{readable}-{}.json", digest.get(..16).unwrap_or_default());
    Ok(home_folder("XDG_STATE_HOME", ".local/state")?.join("verify").join(name))
}

/// What is remembered; `None` the first time.
pub(super) fn read(path: &Path) -> Result<Option<Seen>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|e| Failure::file("read", path, &e))?,
    };
    // Our own file: if it is damaged, nothing is known about the server.
    let damaged = |what: &dyn std::fmt::Display| {
        Failure::other(format!("{} is damaged ({what}); move it away to begin anew", path.display()))
    };
    let saved: Saved = serde_json::from_str(&text).map_err(|e| damaged(&e))?;
    if saved.version != 1 {
        return Err(damaged(&format!("version {}", saved.version)));
    }
    let key = VerifyingKey::parse(&saved.vkey).map_err(|e| damaged(&e))?;
    let (checkpoint, _) = Checkpoint::open(&saved.checkpoint, std::slice::from_ref(&key)).map_err(|e| damaged(&e))?;
    Ok(Some(Seen { key, checkpoint }))
}

/// Remembers a checkpoint that was found good.
pub(super) fn write(path: &Path, key: &VerifyingKey, signed: &[u8]) -> Result<(), Failure> {
    let saved = Saved { version: 1, vkey: key.vkey(), checkpoint: String::from_utf8_lossy(signed).into_owned() };
    let text = serde_json::to_string_pretty(&saved).map_err(|e| Failure::other(e.to_string()))?;
    replace_file(path, (text + "\n").as_bytes())
}

/// Keeps a signed checkpoint that contradicts the remembered one: the two are the evidence.
pub(super) fn keep_contradiction(path: &Path, signed: &[u8]) -> Result<PathBuf, Failure> {
    let mut name = path.as_os_str().to_owned();
    name.push(".contradiction");
    let kept = PathBuf::from(name);
    replace_file(&kept, signed)?;
    Ok(kept)
}
