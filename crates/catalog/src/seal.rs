//! The seal of a catalog that was closed in good order: the hash of the whole file, in a small file beside it.
//!
//! It finds what SQLite cannot: a page that changed while nobody had the file open. It is removed before the
//! first write, so a catalog that was not closed in good order has none and is checked row by row instead.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use disk::Disk;
use sha2::{Digest, Sha256};

use crate::catalog::Catalog;
use crate::db::{has_pending_log, log_of, sync_folder_of};
use crate::error::{Error, Result};
use crate::sum::short_hash;

const FIRST_LINE: &str = "indelible catalog seal v1";

/// What a seal says about its catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealState {
    /// The file is, byte for byte, the one that was closed.
    Sealed,
    /// There is no seal: the catalog is in use or was not closed in good order.
    NotSealed,
    /// The file is not the one that was sealed, or the seal itself cannot be trusted.
    Damaged {
        /// What is wrong.
        reason: String,
    },
}

impl Catalog {
    /// Closes the catalog in good order: moves the write-ahead log into the file, closes it, and writes the
    /// file's hash to `sum_path`. When this returns, the seal is durable. Afterwards, what is in memory still
    /// answers and everything else is [`Error::Closed`].
    ///
    /// # Errors
    ///
    /// When somebody else has the file open, or it cannot be closed, read or the seal written; there is no seal
    /// then.
    pub fn seal_file(&self, sum_path: &Path) -> Result<()> {
        self.db.close()?;
        let (disk, path) = (self.db.disk(), self.db.path());
        // Should the new one fail, an old one must not be there to call a sound file damaged.
        Self::unseal_file(disk, sum_path)?;
        if has_pending_log(disk, path)? {
            return Err(Error::Busy { path: path.into() });
        }
        let failed = |action, path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::File { action, path, source }
        };
        // SQLite says nothing of what fails while it closes, and makes the removal of its log durable at no time: neither the
        // file nor an old log beside it may be another one after the next power cut.
        remove_if_there(disk, &log_of(path)).map_err(failed("remove", &log_of(path)))?;
        sync_folder_of(disk, path)?;
        disk.append_to(path).and_then(|mut file| file.sync()).map_err(failed("sync", path))?;
        let text = seal_text(disk, path).map_err(failed("read", path))?;
        let mut unfinished = sum_path.as_os_str().to_owned();
        unfinished.push(".tmp");
        let unfinished = Path::new(&unfinished);
        let write = || {
            remove_if_there(disk, unfinished)?;
            let mut file = disk.create(unfinished)?;
            file.append(text.as_bytes())?;
            file.sync()?;
            disk.rename(unfinished, sum_path)
        };
        write().map_err(failed("write", sum_path))?;
        // Beside a seal it says nothing more.
        crate::changes::remove(disk, path)?;
        sync_folder_of(disk, sum_path)
    }

    /// Removes the seal, durably; to be called before [`Catalog::open`]. No seal is fine.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be removed.
    pub fn unseal_file(disk: &dyn Disk, sum_path: &Path) -> Result<()> {
        match remove_if_there(disk, sum_path) {
            Ok(true) => sync_folder_of(disk, sum_path),
            Ok(false) => Ok(()),
            Err(source) => Err(Error::File { action: "remove", path: sum_path.into(), source }),
        }
    }

    /// Compares a catalog that nobody has open with its seal.
    ///
    /// # Errors
    ///
    /// When the comparison could not be done. A missing seal is an answer, and so is a missing catalog beside
    /// a seal.
    pub fn verify_sealed(disk: &dyn Disk, db: &Path, sum: &Path) -> Result<SealState> {
        let sealed = match disk.read(sum) {
            Ok(sealed) => sealed,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(SealState::NotSealed),
            Err(source) => return Err(Error::File { action: "read", path: sum.into(), source }),
        };
        let damaged = |reason: String| Ok(SealState::Damaged { reason });
        let Some(sealed) = well_formed(&sealed) else {
            return damaged(format!(
                "{} is not a seal, or is damaged; it only says what the catalog was at the last orderly stop, so remove it, and `indelible verify` looks at the catalog without it",
                sum.display()
            ));
        };
        if has_pending_log(disk, db)? {
            return damaged(format!("{} was written to after it was sealed", db.display()));
        }
        match seal_text(disk, db) {
            Ok(now) if now == sealed => Ok(SealState::Sealed),
            Ok(_) => damaged(format!("{} is not the file that was sealed", db.display())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => damaged(format!("{} is missing", db.display())),
            Err(source) => Err(Error::File { action: "read", path: db.into(), source }),
        }
    }
}

/// Removes a file; whether it was there.
fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    match disk.remove(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// The seal that this file would get.
fn seal_text(disk: &dyn Disk, path: &Path) -> io::Result<String> {
    let file = disk.open(path)?;
    let bytes = file.size()?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut at = 0;
    while at < bytes {
        let n = (bytes - at).min(buffer.len() as u64);
        let part = buffer.get_mut(..n as usize).unwrap_or_default();
        file.read_exact_at(part, at)?;
        hash.update(part);
        at += n;
    }
    let digest: [u8; 32] = hash.finalize().into();
    let content = format!("{FIRST_LINE}\nsha256 {}\nbytes {bytes}\n", hex(&digest));
    let check = hex(&short_hash(content.as_bytes()));
    Ok(format!("{content}check {check}\n"))
}

/// The text, if its first line and its own checksum are right.
fn well_formed(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let at = text.rfind("check ")?;
    let (content, last) = text.split_at(at);
    let right = content.starts_with(&format!("{FIRST_LINE}\n"))
        && last == format!("check {}\n", hex(&short_hash(content.as_bytes())));
    right.then_some(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
