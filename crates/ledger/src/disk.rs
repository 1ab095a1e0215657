//! The storage under the journal and the high-water mark: a handful of file operations that tests can break.
//!
//! What is assumed of a disk: [`DiskFile::sync`] makes everything appended so far survive a power cut;
//! [`Disk::sync_dir`] does so for names; nothing else is durable; an append may be torn anywhere.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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
}

/// A folder tree. MUST be usable from several threads.
pub trait Disk: Send + Sync {
    /// Makes a new, empty file. MUST fail if the name exists.
    ///
    /// # Errors
    /// What the operating system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to append at its end.
    ///
    /// # Errors
    /// What the operating system says.
    fn append_to(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
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
}

/// The real one.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisk;

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
}

impl Disk for LocalDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(fs::OpenOptions::new().append(true).create_new(true).open(path)?))
    }

    fn append_to(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(fs::OpenOptions::new().append(true).open(path)?))
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
