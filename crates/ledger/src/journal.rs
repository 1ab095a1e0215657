//! The journal's files: appending frames, and reading them all back at start.
//!
//! Owns names, order, the torn tail, and the line between a torn tail and damage. A frame is *committed* when
//! [`Journal::append`] has returned; a crash before that leaves at most a torn tail, which recovery cuts; a
//! crash after it loses nothing. Files hold consecutive frames; a new one is begun when the tail is frozen
//! for a segment, so that whole files can go once their frames are stored.

use crate::LedgerId;
use crate::disk::{Disk, DiskFile};
use crate::frame::{self, Frame, FrameError, HEADER_LEN};
use bytes::Bytes;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the journal could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system refused something.
    #[error("journal: could not {what} {path}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Bytes that were committed are not what was written.
    #[error("{0}")]
    Damage(Damage),
    /// The write may or may not be on disk: nothing more may be written until the next start decides.
    #[error("the journal is closed after a failed sync: {0}; restart to recover")]
    Unknown(String),
    /// The records are sound but not the ones that were signed.
    #[error("refusing to start: {0}")]
    Fork(String),
    /// Written by a newer version.
    #[error("{path}: format version {version} is newer than this program knows")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

/// Damage before the tail: the ledger refuses to start on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The damaged file.
    pub path: PathBuf,
    /// Where in it, in bytes.
    pub at: usize,
    /// What is wrong.
    pub what: String,
    /// Where sound frames go on, if they do.
    pub resumes_at: Option<usize>,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the journal is damaged: {} at byte {}: {}", self.path.display(), self.at, self.what)?;
        if let Some(at) = self.resumes_at {
            write!(f, " (sound frames go on at byte {at})")?;
        }
        f.write_str("; restore the file or run `indelible repair` to see what is lost")
    }
}

/// What was found when the journal was read.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Number of the last whole frame, or of the one before the first if there is none.
    pub last_seq: u64,
    /// Bytes of torn tail that were cut.
    pub torn: usize,
    /// The last frame says that the program was stopped in order.
    pub clean: bool,
}

/// The journal, open for appending.
pub struct Journal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    ledger: LedgerId,
    file: Box<dyn DiskFile>,
    path: PathBuf,
    /// Bytes of whole frames in the open file.
    len: u64,
    next_seq: u64,
    /// Set when what is on disk is not known any more.
    unknown: Option<String>,
}

fn path_of(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(format!("{first_seq:016x}.log"))
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    move |source| JournalError::Io { what, path: path.to_owned(), source }
}

/// The journal's files in order of their first frame.
fn files(disk: &dyn Disk, dir: &Path) -> Result<Vec<(u64, PathBuf)>, JournalError> {
    let mut found = Vec::new();
    for path in disk.list(dir).map_err(io_error("list", dir))? {
        let seq = path
            .file_name()
            .and_then(|n| n.to_str())
            .and_then(|n| n.strip_suffix(".log"))
            .and_then(|n| u64::from_str_radix(n, 16).ok());
        if let Some(seq) = seq {
            found.push((seq, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Reads every frame after number `stored` and hands it to `visit`, in order; changes nothing on disk.
///
/// Gives what was found, and where the last file's whole frames end.
///
/// # Errors
/// [`JournalError::Damage`] on anything wrong before the tail.
pub fn read(
    disk: &dyn Disk,
    dir: &Path,
    ledger: &LedgerId,
    stored: u64,
    mut visit: impl FnMut(Frame) -> Result<(), String>,
) -> Result<(Replayed, Option<(PathBuf, u64)>), JournalError> {
    let files = files(disk, dir)?;
    let mut found = Replayed { last_seq: stored, torn: 0, clean: false };
    let mut expected: Option<u64> = None;
    let mut end = None;
    for (n, (first_seq, path)) in files.iter().enumerate() {
        let last_file = n + 1 == files.len();
        let bytes = Bytes::from(disk.read(path).map_err(io_error("read", path))?);
        let damage = |at: usize, what: String| {
            JournalError::Damage(Damage { path: path.clone(), at, what, resumes_at: frame::next_frame(&bytes, at + 1) })
        };
        match frame::read_file_header(&bytes) {
            Ok((owner, _)) if owner != *ledger => return Err(damage(0, "the file belongs to another ledger".into())),
            Ok((_, first)) if first != *first_seq => {
                return Err(damage(0, format!("the header says frame {first}, the name {first_seq}")));
            }
            Ok(_) => {}
            Err(FrameError::Newer(version)) => return Err(JournalError::Newer { path: path.clone(), version }),
            // A crash while the file was being made: nothing in it was committed.
            Err(_) if last_file && frame::next_frame(&bytes, 0).is_none() => {
                found.torn += bytes.len();
                end = Some((path.clone(), 0));
                break;
            }
            Err(e) => return Err(damage(0, e.to_string())),
        }
        if let Some(expected) = expected.filter(|e| e != first_seq) {
            return Err(damage(
                0,
                format!("frames {expected} to {} are missing before this file", first_seq.saturating_sub(1)),
            ));
        }
        if expected.is_none() && *first_seq > stored + 1 {
            return Err(damage(0, format!("frames {} to {} are missing before this file", stored + 1, first_seq - 1)));
        }
        let mut next = *first_seq;
        let mut at = HEADER_LEN;
        while at < bytes.len() {
            let frame = match frame::read_frame(&bytes, at) {
                Ok(frame) => frame,
                Err(e) => {
                    // Torn tail: the last bytes of the last file, with no whole frame behind them, and not
                    // after a clean shutdown, when nothing was being written.
                    if last_file && !found.clean && frame::next_frame(&bytes, at + 1).is_none() {
                        found.torn = bytes.len() - at;
                        break;
                    }
                    return Err(damage(at, e.to_string()));
                }
            };
            if frame.seq != next {
                return Err(damage(at, format!("frame {} stands where frame {next} was expected", frame.seq)));
            }
            next += 1;
            at += frame.len;
            found.clean = frame.groups.is_empty();
            if frame.seq > stored {
                found.last_seq = frame.seq;
                let seq = frame.seq;
                visit(frame).map_err(|what| damage(at, format!("frame {seq}: {what}")))?;
            }
        }
        expected = Some(next);
        end = Some((path.clone(), at as u64));
    }
    if let Some(next) = expected
        && next <= stored
    {
        // Everything in the journal is stored already; what is written next must not reuse a number.
        found.last_seq = stored;
    }
    Ok((found, end))
}

impl Journal {
    /// Replays the frames after `stored`, cuts a torn tail, and opens the journal for appending.
    ///
    /// # Errors
    /// [`JournalError`]; on damage nothing on disk is changed.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        ledger: LedgerId,
        stored: u64,
        visit: impl FnMut(Frame) -> Result<(), String>,
    ) -> Result<(Journal, Replayed), JournalError> {
        disk.create_dir(dir).map_err(io_error("make", dir))?;
        let (found, end) = read(&*disk, dir, &ledger, stored, visit)?;
        if let Some((path, len)) = &end {
            if *len == 0 {
                disk.remove(path).map_err(io_error("remove", path))?;
            } else if found.torn > 0 {
                let mut file = disk.append_to(path).map_err(io_error("open", path))?;
                file.truncate(*len).map_err(io_error("cut", path))?;
                file.sync().map_err(io_error("sync", path))?;
            }
        }
        // Always a new file: a file is written to by one run only, so a torn tail is always the last file's.
        let next_seq = found.last_seq + 1;
        let path = path_of(dir, next_seq);
        if disk.list(dir).map_err(io_error("list", dir))?.contains(&path) {
            // An earlier run began this file and committed nothing to it.
            disk.remove(&path).map_err(io_error("remove", &path))?;
        }
        let file = begin(&*disk, dir, &path, &ledger, next_seq)?;
        let journal =
            Journal { disk, dir: dir.to_owned(), ledger, file, path, len: HEADER_LEN as u64, next_seq, unknown: None };
        Ok((journal, found))
    }

    /// Number that the next frame gets.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Appends the frame made for [`next_seq`](Self::next_seq) and syncs it: when this returns the frame is
    /// committed. `expected` is the number the writer believes is next; another means that it is stale.
    ///
    /// # Errors
    /// `Io` where nothing was committed and the journal goes on (disk full); `Unknown` where it cannot be
    /// said what is on disk, after which every call fails.
    pub fn append(&mut self, expected: u64, frame: &[u8]) -> Result<(), JournalError> {
        if let Some(why) = &self.unknown {
            return Err(JournalError::Unknown(why.clone()));
        }
        if expected != self.next_seq {
            self.unknown = Some(format!("a writer at frame {expected} met the journal at {}", self.next_seq));
            return Err(JournalError::Unknown(self.unknown.clone().unwrap_or_default()));
        }
        if let Err(source) = self.file.append(frame) {
            // Not synced, so not committed; but part of it may be in the file and must not stay there.
            if let Err(e) = self.file.truncate(self.len) {
                self.unknown = Some(e.to_string());
            }
            return Err(JournalError::Io { what: "append to", path: self.path.clone(), source });
        }
        if let Err(e) = self.file.sync() {
            self.unknown = Some(e.to_string());
            return Err(JournalError::Unknown(e.to_string()));
        }
        self.len += frame.len() as u64;
        self.next_seq += 1;
        Ok(())
    }

    /// Begins a new file; the frames so far stay in those before.
    ///
    /// # Errors
    /// `Io`; the journal goes on in the old file.
    pub fn rotate(&mut self) -> Result<(), JournalError> {
        if self.len == HEADER_LEN as u64 {
            return Ok(());
        }
        let path = path_of(&self.dir, self.next_seq);
        self.file = begin(&*self.disk, &self.dir, &path, &self.ledger, self.next_seq)?;
        self.path = path;
        self.len = HEADER_LEN as u64;
        Ok(())
    }

    /// Removes the files whose every frame is at most `stored`. A crash in between leaves files that the
    /// next start skips.
    ///
    /// # Errors
    /// `Io`.
    pub fn cut(&mut self, stored: u64) -> Result<(), JournalError> {
        cut(&*self.disk, &self.dir, stored)
    }
}

/// See [`Journal::cut`]; also for callers that do not hold the journal.
///
/// # Errors
/// `Io`.
pub fn cut(disk: &dyn Disk, dir: &Path, stored: u64) -> Result<(), JournalError> {
    let files = files(disk, dir)?;
    for pair in files.windows(2) {
        let [(_, path), (next_first, _)] = pair else { continue };
        if *next_first <= stored + 1 {
            disk.remove(path).map_err(io_error("remove", path))?;
        }
    }
    Ok(())
}

fn begin(
    disk: &dyn Disk,
    dir: &Path,
    path: &Path,
    ledger: &LedgerId,
    seq: u64,
) -> Result<Box<dyn DiskFile>, JournalError> {
    let made = || -> io::Result<Box<dyn DiskFile>> {
        let mut file = disk.create(path)?;
        file.append(&frame::file_header(ledger, seq))?;
        file.sync()?;
        disk.sync_dir(dir)?;
        Ok(file)
    };
    made().map_err(|source| {
        // Half made: a later start would find it and cut it; better gone now. If that fails too, the later
        // start still does.
        let _ = disk.remove(path);
        JournalError::Io { what: "make", path: path.to_owned(), source }
    })
}
