//! The machine's file system.
//!
//! Owns how appended bytes reach the disk: through the system's memory or past it.

use crate::{COLD_ALIGN, COLD_LEAST, Disk, DiskFile, ReadFile};
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisk;

/// The machine's file system, to be shared.
pub fn local() -> Arc<dyn Disk> {
    Arc::new(LocalDisk)
}

/// A file of that file system, open for appending.
struct LocalFile {
    file: fs::File,
    path: PathBuf,
    len: u64,
    direct: Direct,
}

/// The file once more, open to write past the system's memory (`O_DIRECT`).
enum Direct {
    /// Nobody has asked for it.
    NotYet,
    Open(fs::File),
    /// The file system does not do it.
    Never,
}

impl LocalFile {
    fn boxed(file: fs::File, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let len = file.metadata()?.len();
        Ok(Box::new(LocalFile { file, path: path.to_owned(), len, direct: Direct::NotYet }))
    }

    /// Writes whole blocks at the end past the system's memory; `false` where the system will not, and nothing was written.
    fn append_direct(&mut self, blocks: &[u8]) -> io::Result<bool> {
        if matches!(self.direct, Direct::NotYet) {
            let mut options = fs::OpenOptions::new();
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::DIRECT.bits() as i32);
            self.direct = options.write(true).open(&self.path).map_or(Direct::Never, Direct::Open);
        }
        let Direct::Open(file) = &self.direct else { return Ok(false) };
        let mut done = 0;
        while let Some(rest) = blocks.get(done..).filter(|rest| !rest.is_empty()) {
            match file.write_at(rest, self.len + done as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => done += written,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::InvalidInput && done == 0 => {
                    self.direct = Direct::Never;
                    return Ok(false);
                }
                Err(e) => return Err(e),
            }
        }
        self.len += blocks.len() as u64;
        Ok(true)
    }
}

impl DiskFile for LocalFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn append_cold(&mut self, bytes: &[u8]) -> io::Result<()> {
        // The parts of blocks at both ends go the ordinary way, so that a block is never written by both.
        let align = COLD_ALIGN as u64;
        let before = (self.len.next_multiple_of(align) - self.len) as usize;
        let Some((first, rest)) = bytes.split_at_checked(before) else { return self.append(bytes) };
        let (blocks, last) = rest.split_at(rest.len() - rest.len() % COLD_ALIGN);
        if blocks.len() < COLD_LEAST || rest.as_ptr().addr() % COLD_ALIGN != 0 || matches!(self.direct, Direct::Never) {
            return self.append(bytes);
        }
        self.append(first)?;
        if self.append_direct(blocks)? { self.append(last) } else { self.append(rest) }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.len = len;
        Ok(())
    }

    fn forget(&mut self, len: u64) {
        // The last bytes share a page with what is appended next, which would have to be read again for it.
        if let Some(whole) = NonZeroU64::new(len & !(LARGEST_PAGE - 1)) {
            let _ = rustix::fs::fadvise(&self.file, 0, Some(whole), rustix::fs::Advice::DontNeed);
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
        LocalFile::boxed(options.append(true).create_new(true).open(path)?, path)
    }

    fn append_to(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        LocalFile::boxed(fs::OpenOptions::new().append(true).open(path)?, path)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dir, parent};
    use std::os::unix::fs::PermissionsExt;

    /// Bytes that begin in memory as far behind a multiple of [`COLD_ALIGN`] as `at`, and the vector that they are in.
    fn laid_out(bytes: &[u8], at: u64) -> (Vec<u8>, usize) {
        let mut room: Vec<u8> = Vec::with_capacity(bytes.len() + COLD_ALIGN);
        let lead = (at as usize).wrapping_sub(room.as_ptr().addr()) % COLD_ALIGN;
        room.resize(lead, 0);
        room.extend_from_slice(bytes);
        (room, lead)
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
        #[test]
        fn a_file_is_what_was_appended_however_it_went_to_the_disk(
            steps in proptest::collection::vec((0usize..300_000, 0u8..5), 1..20),
        ) {
            // Not in memory: the file system is to be one that can be written to directly, where there is one.
            let folder = tempfile::tempdir_in("/var/tmp").unwrap();
            let path = folder.path().join("a");
            let (mut file, mut want) = (LocalDisk.create(&path).unwrap(), Vec::new());
            for (n, (len, how)) in steps.into_iter().enumerate() {
                let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + n) as u8).collect();
                let (room, lead) = laid_out(&bytes, want.len() as u64);
                match how {
                    0 => file.append(&bytes).unwrap(),
                    1 => file.append_cold(&bytes).unwrap(),
                    2 => {
                        want.truncate(len);
                        file.truncate(want.len() as u64).unwrap();
                        continue;
                    }
                    3 => {
                        drop(file);
                        file = LocalDisk.append_to(&path).unwrap();
                        file.append_cold(&room[lead..]).unwrap();
                    }
                    _ => file.append_cold(&room[lead..]).unwrap(),
                }
                want.extend_from_slice(&bytes);
                file.sync().unwrap();
                file.forget(want.len() as u64);
                proptest::prop_assert!(LocalDisk.read(&path).unwrap() == want, "step {n}");
            }
        }
    }

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
