//! The storage under everything in a data folder: a handful of file operations that tests can break.
//!
//! Owns [`Disk`], what is assumed of one, and [`LocalDisk`]. Journal, high-water mark, segments, secrets and the
//! catalog's own files go through it. SQLite brings its own file layer; a disk says which one is its
//! ([`Disk::sqlite_vfs`]). Not here: what the files mean, locks between processes, a disk that fails (`testdisk`).
//!
//! What is assumed of a disk: [`DiskFile::sync`] makes everything appended so far survive a power cut;
//! [`Disk::sync_dir`] does so for names; nothing else is durable; an append may be torn anywhere.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod local;

pub use local::{LocalDisk, local};

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes for [`DiskFile::append_cold`] that are to be written without a copy begin in memory as far behind a multiple of this as they
/// will in the file.
pub const COLD_ALIGN: usize = 4096;
/// Fewer bytes are copied: that costs less than a write of their own.
pub const COLD_LEAST: usize = 128 << 10;

/// A file open for appending. Dropping it does not sync.
pub trait DiskFile: Send {
    /// Appends all of `bytes`. On an error any prefix of them may have been written.
    ///
    /// # Errors
    /// What the operating system says.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// The same for bytes that nobody will read soon: many of them may go to the disk without a copy in the system's memory. They do
    /// where they lie in memory as they will in the file, see [`COLD_ALIGN`].
    ///
    /// # Errors
    /// As [`append`](Self::append). The file must be cut ([`truncate`](Self::truncate)) before more is appended.
    fn append_cold(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.append(bytes)
    }
    /// Returns when everything appended is on stable storage (`fdatasync`). After an error nothing is known
    /// of what is, and the file must not be written to again.
    ///
    /// # Errors
    /// What the operating system says.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to `len` bytes; later appends go there.
    ///
    /// # Errors
    /// What the operating system says.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// The first `len` bytes are synced and nobody will read them soon: the system need not keep a copy of them in
    /// memory. Only a hint.
    fn forget(&mut self, len: u64) {
        let _ = len;
    }
}

/// A file open for reading from anywhere in it, by several threads at once.
pub trait ReadFile: Debug + Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn size(&self) -> io::Result<u64>;
    /// Fills `buffer` with the bytes from `offset` on. Fewer are an error.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// A folder tree. MUST be usable from several threads.
pub trait Disk: Debug + Send + Sync {
    /// Makes a new, empty file that only its owner may read: all that we keep is confidential. MUST fail if the
    /// name exists.
    ///
    /// # Errors
    /// What the operating system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to append at its end.
    ///
    /// # Errors
    /// What the operating system says.
    fn append_to(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to read parts of it. It stays readable when its name is removed.
    ///
    /// # Errors
    /// What the operating system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>>;
    /// The whole content. An absent file is `NotFound`, never empty.
    ///
    /// # Errors
    /// What the operating system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The files directly inside a folder, in any order.
    ///
    /// # Errors
    /// What the operating system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Makes a folder and those above it; one that exists is fine.
    ///
    /// # Errors
    /// What the operating system says.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Gives a file another name, replacing what had it.
    ///
    /// # Errors
    /// What the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Returns when the names in a folder are on stable storage.
    ///
    /// # Errors
    /// What the operating system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Name of the file layer with which SQLite reads and writes files of this disk; `None` is SQLite's own.
    fn sqlite_vfs(&self) -> Option<&str> {
        None
    }
    /// Fills `bytes` with what nobody can foresee, for keys: from the system. A test that is to repeat exactly
    /// gives others, because keys decide where rows lie in the catalog.
    ///
    /// # Errors
    /// What the operating system says.
    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        getrandom::fill(bytes).map_err(io::Error::other)
    }
}

/// A folder, and the disk that it is on.
#[derive(Debug, Clone)]
pub struct Dir {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The folder.
    pub path: PathBuf,
}

impl Dir {
    /// A folder on this disk.
    pub fn new(disk: Arc<dyn Disk>, path: impl Into<PathBuf>) -> Dir {
        Dir { disk, path: path.into() }
    }

    /// A folder of the machine's file system.
    pub fn local(path: impl Into<PathBuf>) -> Dir {
        Dir::new(local(), path)
    }

    /// A file directly inside it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Returns when the names in it are on stable storage.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn sync(&self) -> io::Result<()> {
        self.disk.sync_dir(&self.path)
    }
}

/// The folder that a name is in; the current one for a bare name.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
