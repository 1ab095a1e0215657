//! A file that is open, for those who append, read or do both.

use crate::FaultyDisk;
use disk::{DiskFile, ReadFile};
use std::io::Result;
use std::path::PathBuf;

/// A file that is open to read and write anywhere in it.
#[derive(Debug)]
pub struct OpenFile {
    pub(crate) disk: FaultyDisk,
    pub(crate) file: u64,
    pub(crate) path: PathBuf,
    /// It was made by opening it: its first sync is to make its name durable too.
    pub(crate) unsynced_name: bool,
}

impl OpenFile {
    /// Reads what there is, up to the length of `buffer`; gives how much.
    ///
    /// # Errors
    /// As ordered.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.disk.call(("read", &self.path, buffer.len()), |state| {
            let file = state.file(self.file)?;
            let rest = usize::try_from(offset).ok().and_then(|at| file.data.get(at..)).unwrap_or_default();
            let n = rest.len().min(buffer.len());
            buffer[..n].copy_from_slice(&rest[..n]);
            Ok(n)
        })
    }

    /// Writes at a place; the file grows as needed.
    ///
    /// # Errors
    /// As ordered.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.disk.write(self.file, &self.path, Some(offset as usize), bytes)
    }

    /// Its length.
    ///
    /// # Errors
    /// As ordered.
    pub fn size(&self) -> Result<u64> {
        self.disk.call(("size", &self.path, 0), |state| Ok(state.file(self.file)?.data.len() as u64))
    }

    /// Cuts it.
    ///
    /// # Errors
    /// As ordered.
    pub fn truncate(&self, len: u64) -> Result<()> {
        self.disk.truncate(self.file, &self.path, len as usize)
    }

    /// Makes its content durable, and the name of a file that this opening made.
    ///
    /// # Errors
    /// As ordered.
    pub fn sync(&mut self) -> Result<()> {
        self.disk.sync(self.file, &self.path)?;
        if self.unsynced_name {
            self.disk.sync_names(disk::parent(&self.path))?;
            self.unsynced_name = false;
        }
        Ok(())
    }
}

impl DiskFile for OpenFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.disk.gate.pass();
        self.disk.write(self.file, &self.path, None, bytes)
    }

    fn sync(&mut self) -> Result<()> {
        self.disk.sync(self.file, &self.path)
    }

    fn truncate(&mut self, len: u64) -> Result<()> {
        OpenFile::truncate(self, len)
    }
}

impl ReadFile for OpenFile {
    fn size(&self) -> Result<u64> {
        OpenFile::size(self)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.disk.call(("read", &self.path, buffer.len()), |state| state.file(self.file)?.read(buffer, offset))
    }
}
