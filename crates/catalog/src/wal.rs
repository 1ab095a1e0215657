//! SQLite's write-ahead log of a catalog that was not closed in good order, looked at before SQLite reads it.
//!
//! SQLite takes the first frame that is not sound for the torn end of the log, and all that was committed after it is gone without a
//! word. But every transaction is synced before the next begins, so only the last one may be torn. A frame's checksum goes on from
//! that of the frame before: where frames go on so from one that is not sound, over the end of its transaction and into the next,
//! bytes were changed. Frames that do not are left of transactions that failed. Not here: what the frames hold.
//!
//! The format is <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>. What cannot be told is a change in the last transaction
//! of the log: that looks like a torn one.

use std::io;
use std::path::{Path, PathBuf};

use disk::{Disk, ReadFile};

use crate::catalog::Catalog;
use crate::db::log_of;
use crate::error::{Error, Result};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The last bit says whose order of bytes the checksums are made in.
const MAGIC: u32 = 0x377f_0682;
/// SQLite's own bounds.
const PAGE: std::ops::RangeInclusive<usize> = 512..=65_536;

/// What was committed and cannot be read any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDamage {
    /// The log.
    pub path: PathBuf,
    /// Where the first frame that is not sound begins; 0 for the log's own header.
    pub at: u64,
    /// Transactions behind the one that is damaged, as far as can be seen.
    pub lost: u64,
}

impl std::fmt::Display for LogDamage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let LogDamage { at, lost, .. } = self;
        write!(f, "damaged at byte {at}: the change to the catalog there cannot be read, nor can ")?;
        match lost {
            0 => f.write_str("any after it"),
            lost => write!(f, "the {lost} after it"),
        }
    }
}

impl Catalog {
    /// The log of a catalog.
    pub fn log_path(path: &Path) -> PathBuf {
        log_of(path)
    }

    /// Whether the log of a catalog has lost something in its middle. `None` for a sound log, one with a torn end, and none at all.
    ///
    /// # Errors
    ///
    /// A log that cannot be read.
    pub fn check_log(disk: &dyn Disk, path: &Path) -> Result<Option<LogDamage>> {
        let log = log_of(path);
        let failed = |source| Error::File { action: "read", path: log.clone(), source };
        let file = match disk.open(&log) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let found = damage(file.as_ref()).map_err(failed)?;
        Ok(found.map(|(at, lost)| LogDamage { path: log, at, lost }))
    }

    /// Copies a damaged log to `aside` and cuts it where the damage begins, so that what is left can be opened. A crash in between
    /// leaves it as it was.
    ///
    /// # Errors
    ///
    /// A log that cannot be read or cut, or a copy that cannot be made.
    pub fn cut_log(disk: &dyn Disk, damage: &LogDamage, aside: &Path) -> Result<()> {
        copy(disk, &damage.path, aside)?;
        let cut = || {
            let mut file = disk.append_to(&damage.path)?;
            file.truncate(damage.at)?;
            file.sync()
        };
        cut().map_err(|source| Error::File { action: "cut", path: damage.path.clone(), source })
    }

    /// Copies the log of a catalog to `aside`, if there is one; whether there is.
    ///
    /// # Errors
    ///
    /// A log that cannot be read, or a copy that cannot be made.
    pub fn keep_log(disk: &dyn Disk, path: &Path, aside: &Path) -> Result<bool> {
        match copy(disk, &log_of(path), aside) {
            Ok(()) => Ok(true),
            Err(Error::File { action: READ, source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }
}

const READ: &str = "read";

/// Makes a durable copy of a log under another name.
fn copy(disk: &dyn Disk, log: &Path, aside: &Path) -> Result<()> {
    let bytes = disk.read(log).map_err(|source| Error::File { action: READ, path: log.into(), source })?;
    let write = || {
        let mut file = disk.create(aside)?;
        file.append(&bytes)?;
        file.sync()
    };
    write().map_err(|source| Error::File { action: "write", path: aside.into(), source })?;
    crate::db::sync_folder_of(disk, aside)
}

/// Where the damage begins and how many transactions are known behind the damaged one.
fn damage(file: &dyn ReadFile) -> io::Result<Option<(u64, u64)>> {
    let size = file.size()?;
    let mut header = [0; HEADER];
    if size <= HEADER as u64 {
        return Ok(None);
    }
    file.read_exact_at(&mut header, 0)?;
    let mut sums = Sums { big: word(&header, 0, true) & 1 == 1, state: (0, 0) };
    sums.add(header.get(..24).unwrap_or_default());
    let page = word(&header, 8, true) as usize;
    let sound = word(&header, 0, true) & !1 == MAGIC
        && PAGE.contains(&page)
        && sums.state == (word(&header, 24, true), word(&header, 28, true));
    if !sound {
        // It is written within one sector and synced before the first frame.
        return Ok(Some((0, 0)));
    }
    let salts = header.get(16..24).unwrap_or_default();
    let mut frame = vec![0; FRAME_HEADER + page];
    let mut at = HEADER as u64;
    // What the next frame's sums may go on from: those of the frame before, and of one that is not sound both those it should have and
    // those it has.
    let mut from = vec![sums];
    // Where the first frame that is not sound begins; whether the end of its transaction was seen; what is committed behind that.
    let (mut damaged, mut ended, mut behind, mut commits) = (None, false, false, 0);
    while at + frame.len() as u64 <= size {
        file.read_exact_at(&mut frame, at)?;
        let said = (word(&frame, 16, true), word(&frame, 20, true));
        let made: Vec<Sums> = from.iter().map(|before| before.over(&frame)).collect();
        let follows = frame.get(8..16) == Some(salts) && made.iter().any(|sums| sums.state == said);
        let stored = Sums { state: said, ..sums };
        let commit = word(&frame, 4, true) != 0;
        match damaged {
            None if follows => from = vec![stored],
            None => {
                (damaged, ended) = (Some(at), commit);
                from = made;
                from.push(stored);
            }
            // The end of what was written, or what is left there of a transaction that failed and was written over.
            Some(_) if !follows => break,
            Some(_) => {
                from = vec![stored];
                behind |= ended;
                commits += u64::from(ended && commit);
                ended |= commit;
            }
        }
        at += frame.len() as u64;
    }
    Ok(damaged.filter(|_| behind).map(|at| (at, commits)))
}

/// SQLite's checksum: two sums over pairs of words.
#[derive(Clone, Copy)]
struct Sums {
    big: bool,
    state: (u32, u32),
}

impl Sums {
    /// The sums of a frame that goes on from these: over a part of its header and its page.
    fn over(mut self, frame: &[u8]) -> Sums {
        self.add(frame.get(..8).unwrap_or_default());
        self.add(frame.get(FRAME_HEADER..).unwrap_or_default());
        self
    }

    fn add(&mut self, bytes: &[u8]) {
        let (mut a, mut b) = self.state;
        for pair in bytes.chunks_exact(8) {
            a = a.wrapping_add(word(pair, 0, self.big)).wrapping_add(b);
            b = b.wrapping_add(word(pair, 4, self.big)).wrapping_add(a);
        }
        self.state = (a, b);
    }
}

/// The four bytes from `at` on.
fn word(bytes: &[u8], at: usize, big: bool) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).unwrap_or_default();
    if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A catalog with a log of several transactions and the count of its changes, as a crash leaves it.
    pub(crate) fn crashed() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let live = dir.path().join("live.db");
        let catalog = Catalog::open(&disk::local(), &live).unwrap();
        for n in 0..6 {
            catalog.set_meta(&format!("name-{n}"), &vec![n; 3000]).unwrap();
        }
        let copy = dir.path().join("catalog.db");
        let copies = [(live.clone(), copy.clone()), (log_of(&live), log_of(&copy))];
        let counts = (Catalog::changes_path(&live), Catalog::changes_path(&copy));
        for (from, to) in copies.into_iter().chain([counts]) {
            std::fs::copy(from, to).unwrap();
        }
        drop(catalog);
        (dir, copy)
    }

    fn check(path: &Path) -> Option<LogDamage> {
        Catalog::check_log(disk::local().as_ref(), path).unwrap()
    }

    /// Names that SQLite reads.
    fn names(path: &Path) -> usize {
        let catalog = Catalog::open(&disk::local(), path).unwrap();
        (0..6).filter(|n| catalog.meta(&format!("name-{n}")).unwrap().is_some()).count()
    }

    #[test]
    fn a_changed_byte_is_told_from_a_torn_end() {
        let (_dir, path) = crashed();
        let log = log_of(&path);
        let sound = std::fs::read(&log).unwrap();
        assert_eq!(check(&path), None);
        // Cut anywhere, it is a torn end.
        for len in (0..sound.len()).step_by(sound.len() / 41) {
            std::fs::write(&log, &sound[..len]).unwrap();
            assert_eq!(check(&path), None, "{len}");
        }
        // Ends of transactions, from the frames' own headers.
        let page = word(&sound, 8, true) as usize;
        let frame = FRAME_HEADER + page;
        let starts: Vec<usize> = (HEADER..sound.len()).step_by(frame).collect();
        let ends: Vec<usize> =
            starts.iter().filter(|at| word(&sound, **at + 4, true) != 0).map(|at| at + frame).collect();
        assert!(ends.len() >= 6);
        let last = ends[ends.len() - 2];
        let headers = starts.iter().flat_map(|start| *start..*start + FRAME_HEADER);
        for at in headers.chain((HEADER..sound.len()).step_by(97)) {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            std::fs::write(&log, &bytes).unwrap();
            let start = HEADER + (at - HEADER) / frame * frame;
            match check(&path) {
                Some(found) => {
                    assert_eq!(found.at as usize, start, "{at}");
                    assert!(at < last || at - start < 8, "{at}");
                    let known = ends.iter().filter(|end| **end > at).count() as u64 - 1;
                    // Where a transaction ends may be what is changed.
                    assert!(found.lost == known || at - start < 8 && found.lost.abs_diff(known) == 1, "{at} {found}");
                }
                // The last transaction may be torn.
                None => assert!(at >= last || at - start < 8 && at >= ends[ends.len() - 3], "{at}"),
            }
        }
        // What is left of a transaction that failed is no sign of one that was committed.
        let mut bytes = sound.clone();
        bytes[last + FRAME_HEADER] ^= 1;
        bytes.extend_from_slice(&sound[HEADER..]);
        std::fs::write(&log, &bytes).unwrap();
        assert_eq!(check(&path), None);
        let mut bytes = sound.clone();
        bytes[5] ^= 1;
        std::fs::write(&log, &bytes).unwrap();
        assert_eq!(check(&path).unwrap().at, 0, "its header");
    }

    #[test]
    fn what_is_left_of_a_damaged_log_can_be_opened_and_the_damaged_one_is_kept() {
        let (dir, path) = crashed();
        let log = log_of(&path);
        let mut bytes = std::fs::read(&log).unwrap();
        let middle = bytes.len() * 3 / 4;
        bytes[middle] ^= 1;
        std::fs::write(&log, &bytes).unwrap();
        let found = check(&path).unwrap();
        let aside = dir.path().join("aside");
        Catalog::cut_log(disk::local().as_ref(), &found, &aside).unwrap();
        assert_eq!(std::fs::read(&aside).unwrap(), bytes);
        assert_eq!(check(&path), None);
        let left = names(&path);
        assert!((1..6).contains(&left), "{left}");
    }

    #[test]
    fn a_start_leaves_no_old_log_behind() {
        let (_dir, path) = crashed();
        let catalog = Catalog::open(&disk::local(), &path).unwrap();
        assert_eq!(std::fs::metadata(log_of(&path)).unwrap().len(), 0);
        assert!(catalog.meta("name-5").unwrap().is_some());
    }

    #[test]
    fn no_bytes_panic() {
        let (_dir, path) = crashed();
        let log = log_of(&path);
        let sound = std::fs::read(&log).unwrap();
        for (at, value) in [(8, 255u8), (10, 255), (0, 0), (25, 77)] {
            let mut bytes = sound.clone();
            bytes[at] = value;
            std::fs::write(&log, &bytes).unwrap();
            assert!(check(&path).is_some());
        }
        std::fs::write(&log, vec![0; 9000]).unwrap();
        assert!(check(&path).is_some());
    }
}
