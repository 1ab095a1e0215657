//! The high-water mark: the highest signed size and root of every tenant, kept apart from the data folder.
//!
//! A checkpoint is published only after its size and root are here, durably. So a data folder that was put
//! back from an old copy meets a mark above its own trees, and the ledger refuses to sign another history.
//! The file is a log of fixed entries, rewritten when it has grown past what it needs.

use crate::{Hash, LedgerId};
use disk::{Disk, DiskFile};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"INDLHIGH";
const VERSION: u32 = 1;
/// Bytes before the first entry.
pub const HEADER: usize = 32;
const ENTRY: usize = 48;
/// Entries per tenant beyond which the file is rewritten.
const SLACK: usize = 4096;
/// What a disk writes as a whole or not at all.
const SECTOR: u64 = 512;

/// Why the mark could not be read or moved.
#[derive(Debug, thiserror::Error)]
pub enum HighWaterError {
    /// The operating system refused something.
    #[error("high-water mark {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not what was written.
    #[error(
        "high-water mark {path} is damaged at byte {at}: {what}; restore it, or make a new one with `indelible repair`"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A size below the mark, or another root at the same size: another history.
    #[error("tenant {tenant}: refusing to sign size {size}: the high-water mark is at {marked}{}", if .size == .marked { " with another root" } else { "" })]
    Fork {
        /// Which tenant.
        tenant: u32,
        /// What was to be signed.
        size: u64,
        /// What was signed before.
        marked: u64,
    },
}

struct State {
    marks: Marks,
    file: Box<dyn DiskFile>,
    entries: usize,
    len: u64,
    broken: bool,
}

/// The mark of one ledger.
pub struct HighWater {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    ledger: LedgerId,
    state: Mutex<State>,
}

fn header(ledger: &LedgerId) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[..8].copy_from_slice(MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[12..28].copy_from_slice(ledger);
    let crc = crc32c::crc32c(&out[..28]);
    out[28..].copy_from_slice(&crc.to_le_bytes());
    out
}

fn entry(tenant: u32, size: u64, root: &Hash) -> [u8; ENTRY] {
    let mut out = [0; ENTRY];
    out[..4].copy_from_slice(&tenant.to_le_bytes());
    out[4..12].copy_from_slice(&size.to_le_bytes());
    out[12..44].copy_from_slice(root);
    let crc = crc32c::crc32c(&out[..44]);
    out[44..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Signed size and root, by tenant.
pub type Marks = HashMap<u32, (u64, Hash)>;

/// The marks of a file, and how many of its bytes are whole entries.
///
/// # Errors
/// [`HighWaterError::Damaged`].
pub fn parse(path: &Path, bytes: &[u8], ledger: &LedgerId) -> Result<(Marks, usize), HighWaterError> {
    let damaged = |at, what| HighWaterError::Damaged { path: path.to_owned(), at, what };
    if bytes.get(..HEADER) != Some(&header(ledger)) {
        return Err(damaged(0, "the header is not this ledger's"));
    }
    let mut marks = HashMap::new();
    let mut at = HEADER;
    for chunk in bytes.get(HEADER..).unwrap_or_default().chunks(ENTRY) {
        let sound = chunk.len() == ENTRY && crc32c::crc32c(&chunk[..44]).to_le_bytes() == chunk[44..];
        if !sound {
            // The end of the file may be an entry that a crash cut off: its checkpoint was not published.
            // A power cut may also leave zeros from some sector on, which is never inside a checksum.
            let zeros = bytes.get(at + ENTRY - 4..).is_some_and(|rest| rest.iter().all(|b| *b == 0));
            if zeros || chunk.len() < ENTRY {
                break;
            }
            return Err(damaged(at, "an entry's checksum does not match"));
        }
        let mut tenant = [0; 4];
        tenant.copy_from_slice(&chunk[..4]);
        let mut size = [0; 8];
        size.copy_from_slice(&chunk[4..12]);
        let mut root = [0; 32];
        root.copy_from_slice(&chunk[12..44]);
        marks.insert(u32::from_le_bytes(tenant), (u64::from_le_bytes(size), root));
        at += ENTRY;
    }
    Ok((marks, at))
}

impl HighWater {
    /// Opens the mark, or makes one where `may_create` says that the ledger is new.
    ///
    /// # Errors
    /// [`HighWaterError`]; an absent file of a ledger that is not new is an `Io` of kind `NotFound`.
    pub fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        ledger: LedgerId,
        may_create: bool,
    ) -> Result<HighWater, HighWaterError> {
        let io = |source| HighWaterError::Io { path: path.to_owned(), source };
        let marks = match disk.read(path) {
            Ok(bytes) => parse(path, &bytes, &ledger)?.0,
            Err(e) if e.kind() == io::ErrorKind::NotFound && may_create => HashMap::new(),
            Err(e) => return Err(io(e)),
        };
        let (file, len) = rewrite(&*disk, path, &ledger, &marks).map_err(io)?;
        let entries = marks.len();
        Ok(HighWater {
            disk,
            path: path.to_owned(),
            ledger,
            state: Mutex::new(State { marks, file, entries, len, broken: false }),
        })
    }

    /// The mark of a tenant: signed size and root.
    pub fn get(&self, tenant: u32) -> Option<(u64, Hash)> {
        self.state.lock().marks.get(&tenant).copied()
    }

    /// All marks.
    pub fn all(&self) -> Vec<(u32, u64, Hash)> {
        self.state.lock().marks.iter().map(|(t, (s, r))| (*t, *s, *r)).collect()
    }

    /// Moves the marks. When this returns they are durable, and only then may the checkpoints be shown.
    ///
    /// # Errors
    /// [`HighWaterError::Fork`] for the first that goes back, with nothing moved; `Io` where nothing may be
    /// shown.
    pub fn advance(&self, heads: &[(u32, u64, Hash)]) -> Result<(), HighWaterError> {
        let mut state = self.state.lock();
        let mut bytes = Vec::with_capacity(heads.len() * ENTRY);
        for (tenant, size, root) in heads {
            match state.marks.get(tenant) {
                Some((marked, r)) if size < marked || (size == marked && root != r) => {
                    return Err(HighWaterError::Fork { tenant: *tenant, size: *size, marked: *marked });
                }
                Some((marked, _)) if size == marked => {}
                _ => bytes.extend_from_slice(&entry(*tenant, *size, root)),
            }
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let io = |source| HighWaterError::Io { path: self.path.clone(), source };
        let moved = heads.iter().map(|(tenant, size, root)| (*tenant, (*size, *root)));
        // Of an append over several sectors a power cut may leave a later one without an earlier one, which cannot
        // be told from damage. A new file takes the place of the old one as a whole.
        let one_sector = state.len / SECTOR == (state.len + bytes.len() as u64 - 1) / SECTOR;
        if state.broken || !one_sector || state.entries > state.marks.len() + SLACK {
            let mut marks = state.marks.clone();
            marks.extend(moved);
            // Until it is known which file has the name, none is appended to.
            state.broken = true;
            let (file, len) = rewrite(&*self.disk, &self.path, &self.ledger, &marks).map_err(io)?;
            let entries = marks.len();
            *state = State { marks, file, entries, len, broken: false };
            return Ok(());
        }
        if let Err(e) = state.file.append(&bytes).and_then(|()| state.file.sync()) {
            // Whatever is in the file now, the marks in memory are what was signed: write it anew next time.
            state.broken = true;
            return Err(io(e));
        }
        state.len += bytes.len() as u64;
        state.entries += bytes.len() / ENTRY;
        state.marks.extend(moved);
        Ok(())
    }
}

fn rewrite(disk: &dyn Disk, path: &Path, ledger: &LedgerId, marks: &Marks) -> io::Result<(Box<dyn DiskFile>, u64)> {
    // Appended, not put in place of an ending: the folder's neighbours have names of their own.
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    match disk.remove(&new) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut bytes = header(ledger).to_vec();
    for (tenant, (size, root)) in marks.iter().collect::<BTreeMap<_, _>>() {
        bytes.extend_from_slice(&entry(*tenant, *size, root));
    }
    let mut file = disk.create(&new)?;
    file.append(&bytes)?;
    file.sync()?;
    disk.rename(&new, path)?;
    // A bare file name has the empty path for a parent, which names no folder.
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    disk.sync_dir(dir)?;
    Ok((file, bytes.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &[u8] = include_bytes!("../tests/golden/high-water-v1");
    const LEDGER: LedgerId = [3; 16];

    #[test]
    fn golden_bytes_of_version_1() {
        let (marks, whole) = parse(Path::new("m"), GOLDEN, &LEDGER).unwrap();
        assert_eq!(whole, GOLDEN.len());
        assert_eq!(marks, Marks::from([(7, (5, [7; 32])), (9, (1, [6; 32]))]), "the last entry of a tenant counts");
        let mut bytes = header(&LEDGER).to_vec();
        for (tenant, size, root) in [(7, 4, [5; 32]), (9, 1, [6; 32]), (7, 5, [7; 32])] {
            bytes.extend(entry(tenant, size, &root));
        }
        assert_eq!(bytes, GOLDEN);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        for bit in 0..GOLDEN.len() * 8 {
            let mut bytes = GOLDEN.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(Path::new("m"), &bytes, &LEDGER).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn what_a_power_cut_leaves_is_read_up_to_there() {
        for len in HEADER..GOLDEN.len() {
            let whole = HEADER + (len - HEADER) / ENTRY * ENTRY;
            assert_eq!(parse(Path::new("m"), &GOLDEN[..len], &LEDGER).unwrap().1, whole, "cut at {len}");
            // Sectors begin at these places within an entry: see `parse`.
            if (len - HEADER).is_multiple_of(16) {
                let mut bytes = GOLDEN.to_vec();
                bytes[len..].fill(0);
                assert_eq!(parse(Path::new("m"), &bytes, &LEDGER).unwrap().1, whole, "zeros from {len}");
            }
        }
        assert!(parse(Path::new("m"), &GOLDEN[..HEADER - 1], &LEDGER).is_err());
    }
}
