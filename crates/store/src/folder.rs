//! The data folder: its files, its lock, its keys.
//!
//! Owns names and first-start creation. The layout:
//!
//! ```text
//! DIR/lock            held by the one process that uses the folder; names it
//! DIR/ledger.key      the signing key (seed), mode 0600
//! DIR/admin.key       an administrator's API key, mode 0600
//! DIR/catalog.db      see `catalog`
//! DIR/catalog.changes how many changes it has had, while it is in use
//! DIR/catalog.sum     checksum of catalog.db after a shutdown in order
//! DIR/journal/        see `ledger`
//! DIR/segments/       see `segments`
//! DIR.high-water      beside the folder, not in it: see `ledger::highwater`
//! ```

use crate::error::{Error, Result, io};
use disk::{Dir, Disk};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const KEY_MAGIC: &str = "indelible-ledger-key-v1";

/// Paths of one data folder.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The folder itself.
    pub dir: PathBuf,
    /// The high-water mark beside it.
    pub high_water: PathBuf,
    /// What both are on.
    pub disk: Arc<dyn Disk>,
}

impl Folder {
    /// The folder at `dir`; `high_water` overrides where its mark is.
    pub fn new(dir: &Path, high_water: Option<&Path>) -> Folder {
        let beside = || {
            let mut name = dir.file_name().map_or_else(|| "indelible".into(), ToOwned::to_owned);
            name.push(".high-water");
            match dir.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent.join(name),
                _ => PathBuf::from(name),
            }
        };
        let high_water = high_water.map_or_else(beside, ToOwned::to_owned);
        Folder { dir: dir.to_owned(), high_water, disk: disk::local() }
    }

    /// The same names on another disk. The lock stays with the machine's file system: it is between processes.
    #[must_use]
    pub fn on(self, disk: Arc<dyn Disk>) -> Folder {
        Folder { disk, ..self }
    }

    /// The catalog's database.
    pub fn catalog(&self) -> PathBuf {
        self.dir.join("catalog.db")
    }

    /// The database's checksum after an orderly shutdown.
    pub fn catalog_sum(&self) -> PathBuf {
        self.dir.join("catalog.sum")
    }

    /// The journal's folder.
    pub fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    /// The segments' folder.
    pub fn segments(&self) -> Dir {
        Dir::new(Arc::clone(&self.disk), self.dir.join("segments"))
    }

    /// The signing key.
    pub fn ledger_key(&self) -> PathBuf {
        self.dir.join("ledger.key")
    }

    /// The key of the secrets that the catalog keeps, made with the first of them.
    pub fn catalog_key(&self) -> PathBuf {
        self.dir.join("catalog.key")
    }

    /// The administrator's key.
    pub fn admin_key(&self) -> PathBuf {
        self.dir.join("admin.key")
    }

    /// Refuses a folder that is there and has nothing in it, where a mark of records stands beside it: most likely it is where a disk
    /// should be mounted. A folder that was taken away as a whole is another matter, and a first start.
    ///
    /// # Errors
    /// [`Error::Folder`], with nothing changed.
    pub(crate) fn refuse_unmounted(&self) -> Result<()> {
        let mut entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(io("look into", &self.dir)(e)),
        };
        if entries.any(|entry| entry.is_ok_and(|e| e.file_name() != "lost+found")) {
            return Ok(());
        }
        let marked = match self.disk.open(&self.high_water).and_then(|file| file.size()) {
            Ok(size) => size > ledger::highwater::HEADER as u64,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => false,
            Err(e) => return Err(io("look at", &self.high_water)(e)),
        };
        if !marked {
            return Ok(());
        }
        Err(Error::Folder(format!(
            "{} is empty, and the high-water mark {} says that records were signed there. Nothing was changed. If the folder's disk is not mounted, mount it; to begin anew, move the mark away",
            self.dir.display(),
            self.high_water.display()
        )))
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(&self) -> Result<()> {
        for dir in [&self.dir, &self.journal(), &self.segments().path] {
            self.disk.create_dir(dir).map_err(io("make", dir))?;
        }
        fs::set_permissions(&self.dir, fs::Permissions::from_mode(0o700)).map_err(io("protect", &self.dir))
    }

    /// Takes the folder for this process. The lock goes when the value is dropped or the process ends.
    ///
    /// # Errors
    /// [`Error::Folder`] naming the process that has it.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io("open", &path))?;
        self.refuse_in_use(&mut file)?;
        file.set_len(0).and_then(|()| file.rewind()).map_err(io("write", &path))?;
        writeln!(file, "process {}", std::process::id()).map_err(io("write", &path))?;
        Ok(Lock { file: Some(file), written: true })
    }

    /// The same for who only looks, also where nothing may be written.
    ///
    /// # Errors
    /// As [`Folder::lock`].
    pub fn lock_to_look(&self) -> Result<Lock> {
        use rustix::fs::{StatVfsMountFlags, statvfs};
        if !statvfs(&self.dir).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY)) {
            return self.lock();
        }
        let path = self.dir.join("lock");
        let file = match File::open(&path) {
            Ok(mut file) => {
                self.refuse_in_use(&mut file)?;
                Some(file)
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return Err(io("open", &path)(e)),
        };
        Ok(Lock { file, written: false })
    }

    fn refuse_in_use(&self, file: &mut File) -> Result<()> {
        if rustix::fs::flock(&*file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(());
        }
        let mut holder = String::new();
        let _ = file.read_to_string(&mut holder);
        let holder = if holder.trim().is_empty() { "another process".to_owned() } else { holder.trim().to_owned() };
        Err(Error::Folder(format!(
            "the data folder {} is in use by {holder}; stop it, or use another folder",
            self.dir.display()
        )))
    }

    /// The signing key's seed, made at the first start.
    ///
    /// # Errors
    /// A file that cannot be read, or is not what was written.
    pub fn signing_seed(&self, may_create: bool) -> Result<[u8; 32]> {
        let path = self.ledger_key();
        match self.disk.read(&path) {
            Ok(text) => std::str::from_utf8(&text).ok().and_then(parse_seed).ok_or_else(|| {
                Error::Folder(format!(
                    "the signing key {} is damaged; restore it from a copy: without it no new checkpoint can be signed",
                    path.display()
                ))
            }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && may_create => {
                let mut seed = [0; 32];
                self.disk.random(&mut seed).map_err(|e| Error::Folder(format!("no random bytes: {e}")))?;
                self.write_secret(&path, &seed_text(&seed))?;
                Ok(seed)
            }
            Err(e) => Err(io("read", &path)(e)),
        }
    }

    /// Writes a file that only its owner may read, durably. It is there whole or not at all: half a key would be taken for a
    /// damaged one.
    ///
    /// # Errors
    /// [`Error::Io`]; also where the file exists.
    pub fn write_secret(&self, path: &Path, text: &str) -> Result<()> {
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".new");
        let unfinished = Path::new(&unfinished);
        let write = || -> std::io::Result<()> {
            match self.disk.open(path) {
                Ok(_) => return Err(std::io::ErrorKind::AlreadyExists.into()),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
            match self.disk.remove(unfinished) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let mut file = self.disk.create(unfinished)?;
            file.append(text.as_bytes())?;
            file.sync()?;
            self.disk.rename(unfinished, path)?;
            self.disk.sync_dir(disk::parent(path))
        };
        write().map_err(io("write", path))
    }
}

fn seed_text(seed: &[u8; 32]) -> String {
    let hex: String = seed.iter().map(|b| format!("{b:02x}")).collect();
    let line = format!("{KEY_MAGIC} {hex}");
    let sum: String = merkle::leaf_hash(line.as_bytes()).iter().take(4).map(|b| format!("{b:02x}")).collect();
    format!("{line} {sum}\n")
}

fn parse_seed(text: &str) -> Option<[u8; 32]> {
    let hex = text.strip_prefix(KEY_MAGIC)?.strip_prefix(' ')?.get(..64)?;
    let mut seed = [0; 32];
    for (i, byte) in seed.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    (seed_text(&seed) == text).then_some(seed)
}

/// The folder is ours while this lives.
#[derive(Debug)]
pub struct Lock {
    /// None where nothing may be written and there is no file.
    file: Option<File>,
    /// Whether it names this process.
    written: bool,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Whoever finds the file empty knows that nobody died holding it. The lock itself goes with the file.
        if let Some(file) = self.file.as_ref().filter(|_| self.written) {
            let _ = file.set_len(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testdisk::{Fault, FaultyDisk};

    #[test]
    fn a_start_that_failed_leaves_no_half_of_a_key() {
        for (call, fault, power_cut) in (1..12)
            .flat_map(|call| [Fault::Before, Fault::After, Fault::Short].map(|fault| (call, fault)))
            .flat_map(|(call, fault)| [false, true].map(|power_cut| (call, fault, power_cut)))
        {
            let at = format!("{fault:?} in call {call}, power cut: {power_cut}");
            let disk = FaultyDisk::new(call);
            let folder = Folder::new(Path::new("/data"), None).on(Arc::new(disk.clone()));
            disk.fail_in(call, fault, false);
            let first = folder.signing_seed(true);
            disk.mend();
            if power_cut {
                disk.power_cut();
            }
            let second = folder.signing_seed(true).unwrap_or_else(|e| panic!("{at}: {e}"));
            assert_eq!(folder.signing_seed(false).unwrap(), second, "{at}");
            assert_eq!(disk.paths(Path::new("/data")), [folder.ledger_key()], "{at}");
            // One that was given out stays; what failed said so.
            match first {
                Ok(first) => assert_eq!(first, second, "{at}"),
                Err(e) => assert!(matches!(e, Error::Io { .. }), "{at}: {e}"),
            }
        }
    }

    #[test]
    fn a_secret_that_is_there_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path(), None);
        folder.write_secret(&folder.admin_key(), "one").unwrap();
        assert!(folder.write_secret(&folder.admin_key(), "two").is_err());
        assert_eq!(fs::read_to_string(folder.admin_key()).unwrap(), "one");
    }
}
