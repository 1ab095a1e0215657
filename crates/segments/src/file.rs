//! Files on disk: names, checked reading, and writing that hashes as it goes.
//!
//! Owns: [`CheckedFile`] (every 4 KiB block is compared with its checksum before anything decodes it, and
//! reads do not share a position, so scans of one segment may run side by side) and [`FileWriter`] (hash,
//! block checksums and length of what is written, then sync and rename). Not here: what the bytes mean.

use crate::error::{Error, Result, unread};
use bytes::Bytes;
use disk::{Dir, Disk, DiskFile, ReadFile};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use sha2::{Digest, Sha256};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes covered by one checksum.
pub(crate) const BLOCK: usize = 4096;

/// Where segment `id` keeps its rows.
pub fn parquet_path(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:016x}.parquet"))
}

/// Where segment `id` keeps its filters and checksums.
pub fn idx_path(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:016x}.idx"))
}

/// Removes a segment's files and what an interrupted writer left of them. Files that are not there are fine.
///
/// # Errors
/// [`Error::Io`] where the system refuses.
pub fn remove(dir: &Dir, id: u64) -> Result<()> {
    for path in [parquet_path(&dir.path, id), idx_path(&dir.path, id)] {
        for path in [temporary(&path), path] {
            remove_if_there(dir.disk.as_ref(), &path)?;
        }
    }
    Ok(())
}

fn remove_if_there(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.remove(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path, e)),
        _ => Ok(()),
    }
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_dir(dir: &Dir) -> Result<()> {
    dir.sync().map_err(|e| Error::io("sync", &dir.path, e))
}

/// What a finished file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    pub(crate) sha256: [u8; 32],
    pub(crate) blocks: Vec<u32>,
}

/// Hash, block checksums and length of a stream of bytes.
#[derive(Default)]
pub(crate) struct Summer {
    hash: Sha256,
    blocks: Vec<u32>,
    crc: u32,
    bytes: u64,
}

impl Summer {
    pub(crate) fn update(&mut self, mut data: &[u8]) {
        self.hash.update(data);
        while !data.is_empty() {
            let room = BLOCK - (self.bytes % BLOCK as u64) as usize;
            let (now, later) = data.split_at(room.min(data.len()));
            self.crc = crc32c::crc32c_append(self.crc, now);
            self.bytes += now.len() as u64;
            if self.bytes.is_multiple_of(BLOCK as u64) {
                self.blocks.push(std::mem::take(&mut self.crc));
            }
            data = later;
        }
    }

    pub(crate) fn finish(mut self) -> Written {
        if !self.bytes.is_multiple_of(BLOCK as u64) {
            self.blocks.push(self.crc);
        }
        Written { bytes: self.bytes, sha256: self.hash.finalize().into(), blocks: self.blocks }
    }
}

/// Reads a whole file through a [`Summer`].
pub(crate) fn sum_file(disk: &dyn Disk, path: &Path) -> Result<Written> {
    let file = disk.open(path).map_err(|e| Error::io("open", path, e))?;
    let failed = |e| Error::io("read", path, e);
    let mut sum = Summer::default();
    let mut buffer = vec![0; 1 << 18];
    let mut rest = file.size().map_err(failed)?;
    while rest > 0 {
        let n = rest.min(buffer.len() as u64);
        if let Some(part) = buffer.get_mut(..n as usize) {
            file.read_exact_at(part, sum.bytes).map_err(failed)?;
            sum.update(part);
        }
        rest -= n;
    }
    Ok(sum.finish())
}

/// A file being written under a temporary name.
pub(crate) struct FileWriter {
    out: BufWriter<Appender>,
    sum: Summer,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// The temporary file is ours to remove.
    pending: bool,
}

impl FileWriter {
    pub(crate) fn create(dir: &Dir, path: PathBuf) -> Result<FileWriter> {
        let (temp, disk) = (temporary(&path), Arc::clone(&dir.disk));
        // What a crash left of an earlier try.
        remove_if_there(disk.as_ref(), &temp)?;
        let file = Appender(disk.create(&temp).map_err(|e| Error::io("create", &temp, e))?);
        let out = BufWriter::with_capacity(1 << 18, file);
        Ok(FileWriter { out, sum: Summer::default(), disk, path, pending: true })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Everything written is on disk when this returns, still under its temporary name.
    pub(crate) fn sync(&mut self) -> Result<()> {
        let failed = |e| Error::io("sync", &self.path, e);
        self.out.flush().map_err(failed)?;
        self.out.get_mut().0.sync().map_err(failed)
    }

    /// Gives the file its name. Durable once the folder is synced.
    pub(crate) fn publish(mut self) -> Result<Written> {
        let temp = temporary(&self.path);
        self.disk.rename(&temp, &self.path).map_err(|e| Error::io("rename", &temp, e))?;
        self.pending = false;
        Ok(std::mem::take(&mut self.sum).finish())
    }
}

/// Lets a [`BufWriter`] append to a file.
struct Appender(Box<dyn DiskFile>);

impl Write for Appender {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.append(data)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Write for FileWriter {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.write_all(data)?;
        Ok(data.len())
    }

    fn write_all(&mut self, data: &[u8]) -> std::io::Result<()> {
        self.sum.update(data);
        self.out.write_all(data)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        if self.pending {
            // An abandoned file is only litter: `remove` finds it too.
            let _ = self.disk.remove(&temporary(&self.path));
        }
    }
}

/// A finished file, read block by block against its checksums.
#[derive(Debug)]
pub(crate) struct CheckedFile {
    file: Box<dyn ReadFile>,
    path: PathBuf,
    len: u64,
    blocks: Vec<u32>,
    read: AtomicU64,
}

impl CheckedFile {
    pub(crate) fn open(disk: &dyn Disk, path: PathBuf, blocks: Vec<u32>) -> Result<CheckedFile> {
        let file = disk.open(&path).map_err(|e| Error::io("open", &path, e))?;
        let len = file.size().map_err(|e| Error::io("read", &path, e))?;
        if len.div_ceil(BLOCK as u64) != blocks.len() as u64 {
            return Err(Error::damaged(&path, format!("{len} bytes do not fit its {} checksums", blocks.len())));
        }
        Ok(CheckedFile { file, path, len, blocks, read: AtomicU64::new(0) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes asked for so far, for tests and figures.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    fn bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.checked_add(length as u64).filter(|e| *e <= self.len).ok_or_else(|| {
            Error::damaged(&self.path, format!("{length} bytes at {start} are past the end of {}", self.len))
        })?;
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        let first = start / BLOCK as u64;
        let from = first * BLOCK as u64;
        let to = end.next_multiple_of(BLOCK as u64).min(self.len);
        let mut buffer = vec![0; (to - from) as usize];
        self.file.read_exact_at(&mut buffer, from).map_err(|e| unread(&self.path, e))?;
        let sums = self.blocks.get(first as usize..).unwrap_or_default();
        for (i, (block, sum)) in buffer.chunks(BLOCK).zip(sums).enumerate() {
            if crc32c::crc32c(block) != *sum {
                let at = from + (i * BLOCK) as u64;
                return Err(Error::damaged(&self.path, format!("the block at byte {at} does not fit its checksum")));
            }
        }
        let offset = (start - from) as usize;
        Ok(Bytes::from(buffer).slice(offset..offset + length))
    }
}

/// The handle that decoders read through.
#[derive(Debug, Clone)]
pub(crate) struct Handle(pub(crate) Arc<CheckedFile>);

impl Length for Handle {
    fn len(&self) -> u64 {
        self.0.len
    }
}

impl ChunkReader for Handle {
    type T = Sequential;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Sequential> {
        Ok(Sequential { file: Arc::clone(&self.0), at: start, buffer: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.0.bytes(start, length).map_err(|e| ParquetError::External(Box::new(e)))
    }
}

/// Reads on from a position, block by block.
pub(crate) struct Sequential {
    file: Arc<CheckedFile>,
    at: u64,
    buffer: Bytes,
}

impl Read for Sequential {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.buffer.is_empty() {
            let rest = self.file.len.saturating_sub(self.at);
            let length = rest.min(BLOCK as u64) as usize;
            self.buffer = self.file.bytes(self.at, length).map_err(std::io::Error::other)?;
            self.at += length as u64;
        }
        let n = out.len().min(self.buffer.len());
        let now = self.buffer.split_to(n);
        if let Some(out) = out.get_mut(..n) {
            out.copy_from_slice(&now);
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_written_and_finds_every_flipped_bit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let data: Vec<u8> = (0..3 * BLOCK + 17).map(|i| (i * 31 % 251) as u8).collect();
        let disk = disk::LocalDisk;
        let mut w = FileWriter::create(&Dir::local(dir.path()), path.clone()).unwrap();
        for part in data.chunks(1000) {
            w.write_all(part).unwrap();
        }
        w.sync().unwrap();
        let written = w.publish().unwrap();
        assert_eq!(written, sum_file(&disk, &path).unwrap());
        assert_eq!(written.blocks.len(), 4);
        let open = || CheckedFile::open(&disk, path.clone(), written.blocks.clone());
        let file = open().unwrap();
        for (start, len) in [(0, data.len()), (4095, 2), (5000, 0), (data.len() - 1, 1), (100, 9000)] {
            assert_eq!(&file.bytes(start as u64, len).unwrap()[..], &data[start..start + len]);
        }
        assert!(file.bytes(data.len() as u64, 1).is_err());
        assert!(file.bytes(u64::MAX, 1).is_err());
        for at in [0, 4096, data.len() - 1] {
            let mut bad = data.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            let file = open().unwrap();
            assert!(matches!(file.bytes(at as u64, 1), Err(Error::Damaged { .. })));
        }
        std::fs::write(&path, &data[..BLOCK]).unwrap();
        assert!(matches!(open(), Err(Error::Damaged { .. })));
    }

    #[test]
    fn an_abandoned_file_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut w = FileWriter::create(&Dir::local(dir.path()), dir.path().join("f")).unwrap();
        w.write_all(b"x").unwrap();
        drop(w);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
