//! The storage under everything in a data folder: a handful of file operations that tests can break.
//!
//! Owns [`Disk`], what is assumed of one, and [`LocalDisk`]. Journal, high-water mark, segments, secrets and the
//! catalog's own files go through it. SQLite brings its own file layer; a disk says which one is its
//! ([`Disk::sqlite_vfs`]). Not here: what the files mean, locks between processes, a disk that fails (`testdisk`).
//!
//! What is assumed of a disk: [`DiskFile::sync`] makes everything appended so far survive a power cut;
//! [`Disk::sync_dir`] does so for names; nothing else is durable; an append may be torn anywhere.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

use std::fmt::Debug;
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file open for appending. Dropping it does not sync.
pub trait DiskFile: Send {
    /// Appends all of `bytes`. On an error any prefix of them may have been written.
    ///
    /// # Errors
    /// What the operating system says.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
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

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisk;

/// The machine's file system, to be shared.
pub fn local() -> Arc<dyn Disk> {
    Arc::new(LocalDisk)
}

impl DiskFile for fs::File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn forget(&mut self, len: u64) {
        // The last bytes share a page with what is appended next, which would have to be read again for it.
        if let Some(whole) = NonZeroU64::new(len & !(LARGEST_PAGE - 1)) {
            let _ = rustix::fs::fadvise(self, 0, Some(whole), rustix::fs::Advice::DontNeed);
        }
    }
}

/// The largest page of memory that a machine we run on has.
const LARGEST_PAGE: u64 = 64 << 10;

impl ReadFile for fs::File {
    fn size(&self) -> io::Result<u64> {
        self.metadata().map(|m| m.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }
}

impl Disk for LocalDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Box::new(options.append(true).create_new(true).open(path)?))
    }

    fn append_to(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(fs::OpenOptions::new().append(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        Ok(Box::new(fs::File::open(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push(entry.path());
            }
        }
        Ok(files)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_local_disk_keeps_its_word() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::local(folder.path().join("a/b"));
        dir.disk.create_dir(&dir.path).unwrap();
        dir.disk.create_dir(&dir.path).unwrap();
        let (one, two) = (dir.join("one"), dir.join("two"));
        assert_eq!(dir.disk.read(&one).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(dir.disk.open(&one).unwrap_err().kind(), io::ErrorKind::NotFound);

        let mut file = dir.disk.create(&one).unwrap();
        assert_eq!(fs::metadata(&one).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(dir.disk.create(&one).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        file.append(b"hello ").unwrap();
        file.append(b"world").unwrap();
        file.truncate(5).unwrap();
        file.append(b"!").unwrap();
        file.sync().unwrap();
        file.forget(6);
        dir.disk.append_to(&one).unwrap().append(b"?").unwrap();
        assert_eq!(dir.disk.read(&one).unwrap(), b"hello!?");

        let open = dir.disk.open(&one).unwrap();
        dir.disk.rename(&one, &two).unwrap();
        dir.sync().unwrap();
        assert_eq!(dir.disk.list(&dir.path).unwrap(), std::slice::from_ref(&two));
        dir.disk.remove(&two).unwrap();
        let mut bytes = [0; 4];
        open.read_exact_at(&mut bytes, 3).unwrap();
        assert_eq!((&bytes, open.size().unwrap()), (b"lo!?", 7));
        assert!(open.read_exact_at(&mut bytes, 4).is_err(), "fewer bytes than asked for are an error");
        assert_eq!((parent(Path::new("x")), parent(Path::new("a/x"))), (Path::new("."), Path::new("a")));
    }
}
