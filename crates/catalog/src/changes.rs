//! How many transactions a catalog in use has had, told a second time beside it.
//!
//! SQLite takes a log that is gone, or whose last transaction is not sound, for one that ends there: what was committed last is gone
//! without a word, and `wal` cannot tell either. So every transaction counts itself (`position` `changes`), and after its commit the
//! count goes into `catalog.changes`, synced before the caller is answered. A catalog with a smaller count has lost what was answered.
//! One with a larger count was cut off between the two. The file is there while the catalog is in use; afterwards the seal says more.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use disk::{Disk, DiskFile};

use crate::catalog::Catalog;
use crate::db::{Db, sync_folder_of};
use crate::error::{Error, Result};
use crate::sum::short_hash;

const FIRST_LINE: &str = "indelible catalog changes v1";
/// The file is written anew beyond this.
const MOST_BYTES: usize = 64 << 10;

/// What a catalog and the count beside it say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangesState {
    /// Nothing against it: it has what was counted, or nothing was.
    Whole,
    /// Changes that were answered are not in it.
    Lost {
        /// How many.
        changes: u64,
    },
    /// The count itself is damaged, so nothing is known.
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

impl Catalog {
    /// The count beside a catalog.
    pub fn changes_path(path: &Path) -> PathBuf {
        path.with_extension("changes")
    }

    /// Compares a catalog that nobody has open, and that was not closed in good order, with the count beside it. Changes neither.
    ///
    /// # Errors
    ///
    /// When one of the two cannot be read.
    pub fn check_changes(disk: &dyn Disk, path: &Path) -> Result<ChangesState> {
        let counted = Self::changes_path(path);
        let said = match disk.read(&counted) {
            Ok(bytes) => parse(&bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(ChangesState::Whole),
            Err(source) => return Err(Error::File { action: "read", path: counted, source }),
        };
        let Some(said) = said else { return Ok(ChangesState::Damaged { path: counted }) };
        let have = Db::peek_changes(disk, path)?;
        Ok(match said.checked_sub(have) {
            None | Some(0) => ChangesState::Whole,
            Some(changes) => ChangesState::Lost { changes },
        })
    }

    /// Takes a catalog as it is from now on, without the changes that it has lost.
    ///
    /// # Errors
    ///
    /// When the count cannot be removed.
    pub fn accept_loss(disk: &dyn Disk, path: &Path) -> Result<()> {
        remove(disk, path)?;
        sync_folder_of(disk, path)
    }
}

/// The file being written.
pub(crate) struct Changes {
    file: Option<Box<dyn DiskFile>>,
    bytes: usize,
}

impl Changes {
    /// Begins a file with this count, in place of any other.
    pub(crate) fn begin(disk: &dyn Disk, path: &Path, count: u64) -> Result<Changes> {
        let counted = Catalog::changes_path(path);
        let (file, bytes) =
            rewrite(disk, &counted, count).map_err(|source| Error::File { action: "write", path: counted, source })?;
        Ok(Changes { file: Some(file), bytes })
    }

    /// Says that there is one change more. What it counts is durable already, so a failure is nobody's: the next count tells of it too.
    pub(crate) fn count(&mut self, disk: &dyn Disk, path: &Path, count: u64) {
        let line = line(count);
        let appended = match &mut self.file {
            Some(file) if self.bytes + line.len() <= MOST_BYTES => {
                file.append(line.as_bytes()).and_then(|()| file.sync()).map(|()| self.bytes += line.len())
            }
            // Behind a line of which nothing is known none is written.
            _ => rewrite(disk, &Catalog::changes_path(path), count).map(|(file, bytes)| {
                *self = Changes { file: Some(file), bytes };
            }),
        };
        if appended.is_err() {
            self.file = None;
        }
    }
}

/// Removes the count of a catalog that needs none.
pub(crate) fn remove(disk: &dyn Disk, path: &Path) -> Result<()> {
    let counted = Catalog::changes_path(path);
    match disk.remove(&counted) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::File { action: "remove", path: counted, source })
        }
        _ => Ok(()),
    }
}

fn rewrite(disk: &dyn Disk, counted: &Path, count: u64) -> io::Result<(Box<dyn DiskFile>, usize)> {
    let mut unfinished = counted.as_os_str().to_owned();
    unfinished.push(".tmp");
    let unfinished = Path::new(&unfinished);
    match disk.remove(unfinished) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let text = format!("{FIRST_LINE}\n{}", line(count));
    let mut file = disk.create(unfinished)?;
    file.append(text.as_bytes())?;
    file.sync()?;
    disk.rename(unfinished, counted)?;
    disk.sync_dir(disk::parent(counted))?;
    Ok((file, text.len()))
}

fn line(count: u64) -> String {
    let mut line = format!("changes {count} check ");
    let check = short_hash(line.as_bytes());
    for byte in check {
        let _ = write!(line, "{byte:02x}");
    }
    line.push('\n');
    line
}

/// The last count of a file; `None` where it is damaged before its last line, which may be torn.
fn parse(bytes: &[u8]) -> Option<u64> {
    let rest = bytes.strip_prefix(FIRST_LINE.as_bytes())?.strip_prefix(b"\n")?;
    let mut lines = rest.split_inclusive(|byte| *byte == b'\n').peekable();
    let mut last = None;
    while let Some(bytes) = lines.next() {
        match count_of(bytes) {
            Some(count) => last = Some(count),
            None if lines.peek().is_none() => break,
            None => return None,
        }
    }
    // The first is there before the file has its name.
    last
}

fn count_of(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (count, _) = text.strip_prefix("changes ")?.split_once(' ')?;
    let count = count.parse().ok()?;
    (line(count) == text).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::log_of;
    use crate::wal::tests::crashed;
    use std::sync::Arc;

    fn check(path: &Path) -> ChangesState {
        Catalog::check_changes(disk::local().as_ref(), path).unwrap()
    }

    #[test]
    fn a_log_that_is_gone_or_whose_end_is_changed_is_noticed() {
        let (_dir, path) = crashed();
        let log = log_of(&path);
        let sound = std::fs::read(&log).unwrap();
        assert_eq!(check(&path), ChangesState::Whole);
        for at in [sound.len() - 1, sound.len() - 2000, sound.len() - 4096] {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            std::fs::write(&log, &bytes).unwrap();
            assert_eq!(Catalog::check_log(disk::local().as_ref(), &path).unwrap(), None, "it looks torn");
            assert_eq!(check(&path), ChangesState::Lost { changes: 1 }, "{at}");
        }
        std::fs::remove_file(&log).unwrap();
        assert_eq!(check(&path), ChangesState::Lost { changes: 6 });
        std::fs::write(&log, &sound).unwrap();
        assert_eq!(check(&path), ChangesState::Whole);
    }

    #[test]
    fn what_is_lost_can_be_given_up_and_the_log_is_kept() {
        let (dir, path) = crashed();
        let log = log_of(&path);
        let mut bytes = std::fs::read(&log).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&log, &bytes).unwrap();
        let aside = dir.path().join("aside");
        assert!(Catalog::keep_log(disk::local().as_ref(), &path, &aside).unwrap());
        assert_eq!(std::fs::read(&aside).unwrap(), bytes);
        Catalog::accept_loss(disk::local().as_ref(), &path).unwrap();
        assert_eq!(check(&path), ChangesState::Whole);
        let catalog = Catalog::open(&disk::local(), &path).unwrap();
        assert!(catalog.meta("name-4").unwrap().is_some());
        assert!(catalog.meta("name-5").unwrap().is_none());
    }

    #[test]
    fn a_transaction_that_was_not_counted_is_no_loss() {
        let (_dir, path) = crashed();
        let counted = Catalog::changes_path(&path);
        let sound = std::fs::read(&counted).unwrap();
        for len in sound.len() - 30..sound.len() {
            std::fs::write(&counted, &sound[..len]).unwrap();
            assert_eq!(check(&path), ChangesState::Whole, "{len}");
            let mut zeros = sound.clone();
            zeros[len..].fill(0);
            std::fs::write(&counted, zeros).unwrap();
            assert_eq!(check(&path), ChangesState::Whole, "zeros from {len}");
        }
        std::fs::remove_file(&counted).unwrap();
        assert_eq!(check(&path), ChangesState::Whole, "a folder of a program that did not count");
    }

    #[test]
    fn every_changed_bit_before_the_last_line_is_found_and_none_panics() {
        let text = format!("{FIRST_LINE}\n{}{}{}", line(4), line(5), line(6));
        assert_eq!(text, include_str!("../golden/catalog-changes-v1"));
        assert_eq!(parse(text.as_bytes()), Some(6));
        let last = text.len() - line(6).len();
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = parse(&bytes);
            match bit / 8 {
                at if at >= last => assert!(matches!(found, Some(5)), "bit {bit}"),
                // The end of the line before: the two are one line then.
                at if at == last - 1 => assert!(matches!(found, Some(4)), "bit {bit}"),
                _ => assert_eq!(found, None, "bit {bit}"),
            }
        }
    }

    #[test]
    fn it_is_written_anew_when_it_is_long_and_removed_with_the_seal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        let disk: Arc<dyn Disk> = disk::local();
        let mut changes = Changes::begin(disk.as_ref(), &path, 0).unwrap();
        for count in 1..1800 {
            changes.count(disk.as_ref(), &path, count);
        }
        let counted = Catalog::changes_path(&path);
        assert_eq!(parse(&std::fs::read(&counted).unwrap()), Some(1799));
        assert!(std::fs::metadata(&counted).unwrap().len() <= MOST_BYTES as u64);
        let catalog = Catalog::open(&disk, &path).unwrap();
        assert!(counted.try_exists().unwrap());
        catalog.seal_file(&dir.path().join("catalog.sum")).unwrap();
        assert!(!counted.try_exists().unwrap());
    }
}
