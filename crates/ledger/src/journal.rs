//! The journal's files: appending frames, and reading them all back at start.
//!
//! Owns names, order, the torn tail, and the line between a torn tail and damage. A frame is *committed* when
//! [`Journal::append`] has returned; a crash before that leaves at most a torn tail, which recovery cuts; a
//! crash after it loses nothing. Files hold consecutive frames; a new one is begun when the tail is frozen
//! for a segment, so that whole files can go once their frames are stored.

use crate::LedgerId;
use crate::frame::{self, FileHeader, Frame, FrameError, HEADER_LEN};
use bytes::Bytes;
use disk::{Disk, DiskFile};
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
    /// Fewer records than were signed: an old copy, or one that has lost its end.
    #[error("tenant {tenant}: the data folder has {have} records, and {signed} were signed")]
    Behind {
        /// The tenant's number.
        tenant: u32,
        /// Records that are here.
        have: u64,
        /// Records that were signed.
        signed: u64,
    },
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
    /// When the last frame was sealed, one that is stored and gone included; 0 where there was none.
    pub recorded_at: i64,
}

/// Synced bytes after which the system is told to keep no copy of them. A journal is read at a start only; what is
/// written again and again into the same pages of memory never waits for new ones, which in a virtual machine can
/// cost more than all else that is done to a record.
const FORGET_BYTES: u64 = 1 << 20;

/// The journal, open for appending.
pub struct Journal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    ledger: LedgerId,
    file: Box<dyn DiskFile>,
    path: PathBuf,
    /// Bytes of whole frames in the open file.
    len: u64,
    /// The bytes of them that the system was told to keep no copy of in memory.
    forgotten: u64,
    next_seq: u64,
    /// Set when what is on disk is not known any more.
    unknown: Option<String>,
}

pub(crate) fn path_of(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(format!("{first_seq:016x}.log"))
}

pub(crate) fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    move |source| JournalError::Io { what, path: path.to_owned(), source }
}

/// The journal's files in order of their first frame.
pub(crate) fn files(disk: &dyn Disk, dir: &Path) -> Result<Vec<(u64, PathBuf)>, JournalError> {
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
    let mut found = Replayed { last_seq: stored, ..Replayed::default() };
    let mut expected: Option<u64> = None;
    let mut end = None;
    for (n, (first_seq, path)) in files.iter().enumerate() {
        let last_file = n + 1 == files.len();
        let bytes = Bytes::from(disk.read(path).map_err(io_error("read", path))?);
        let damage = |at: usize, what: String| {
            JournalError::Damage(Damage { path: path.clone(), at, what, resumes_at: frame::next_frame(&bytes, at + 1) })
        };
        // Each run begins a file: what the run before it said at its end is no word on this one's.
        found.clean = false;
        match frame::read_file_header(&bytes) {
            Ok(h) if h.ledger != *ledger => return Err(damage(0, "the file belongs to another ledger".into())),
            Ok(h) if h.first_seq != *first_seq => {
                return Err(damage(0, format!("the header says frame {}, the name {first_seq}", h.first_seq)));
            }
            Ok(h) => found.recorded_at = found.recorded_at.max(h.recorded_at),
            Err(FrameError::Newer(version)) => return Err(JournalError::Newer { path: path.clone(), version }),
            // A crash while the file was being made: nothing in it was committed.
            Err(_) if last_file && frame::next_frame(&bytes, 0).is_none() => {
                found.torn += bytes.len();
                end = Some((path.clone(), 0));
                break;
            }
            Err(e) => return Err(damage(0, e.to_string())),
        }
        // Files that are stored are removed, and a power cut may bring some of them back: what is missing counts
        // from the first frame that is not stored.
        let missing = expected.unwrap_or(0).max(stored + 1);
        if *first_seq > missing {
            let gone = path_of(dir, missing);
            let gone = gone.file_name().unwrap_or_default().display();
            return Err(damage(
                0,
                format!("frames {missing} to {} ({gone}) are missing before this file", first_seq - 1),
            ));
        }
        if let Some(expected) = expected.filter(|e| e > first_seq) {
            return Err(damage(0, format!("frames {first_seq} to {} were in the file before", expected - 1)));
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
            if frame.recorded_at < found.recorded_at {
                return Err(damage(at, format!("frame {next}: its time is before the frame before it")));
            }
            found.recorded_at = frame.recorded_at;
            let start = at;
            next += 1;
            at += frame.len;
            found.clean = frame.groups.is_empty();
            if frame.seq > stored {
                found.last_seq = frame.seq;
                let seq = frame.seq;
                visit(frame).map_err(|what| damage(start, format!("frame {seq}: {what}")))?;
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
    /// Goes on after what [`read`] found and whoever read it accepted: cuts a torn tail and begins a file.
    /// Reading changes nothing on disk, so that a refusal does not either.
    ///
    /// # Errors
    /// `Io`; the next start finds the same records.
    pub fn go_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        ledger: LedgerId,
        found: &Replayed,
        end: Option<&(PathBuf, u64)>,
    ) -> Result<Journal, JournalError> {
        let next_seq = found.last_seq + 1;
        let path = path_of(dir, next_seq);
        let len = HEADER_LEN as u64;
        let mut begun = None;
        match end {
            Some((torn, 0)) => disk.remove(torn).map_err(io_error("remove", torn))?,
            Some((last, whole)) => {
                let mut file = disk.append_to(last).map_err(io_error("open", last))?;
                if found.torn > 0 {
                    file.truncate(*whole).map_err(io_error("cut", last))?;
                }
                // Also where nothing is cut: the last run may have ended between an append and its sync, and
                // what was read here is shown from now on.
                file.sync().map_err(io_error("sync", last))?;
                if *last == path && *whole == len {
                    // An earlier run began this file and committed nothing to it. It may be the last that knows
                    // the time of the frame before, so it is not made anew.
                    disk.sync_dir(dir).map_err(io_error("sync", dir))?;
                    begun = Some(file);
                }
            }
            None => {}
        }
        // A file with frames is written to by one run only, so a torn tail is always the last file's.
        let file = match begun {
            Some(file) => file,
            None => {
                let header = FileHeader { ledger, first_seq: next_seq, recorded_at: found.recorded_at };
                begin(&*disk, dir, &path, &header)?
            }
        };
        Ok(Journal { disk, dir: dir.to_owned(), ledger, file, path, len, forgotten: 0, next_seq, unknown: None })
    }

    /// Number that the next frame gets.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Where in its file the next frame goes.
    pub fn end(&self) -> u64 {
        self.len
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
        if let Err(source) = self.file.append_cold(frame) {
            // Not synced, so not committed; but some or all of it may be in the file and must not come back. The
            // sync is part of that: without it a power cut could leave a torn frame in what is by then not the
            // last file, or a whole frame whose callers were told that nothing of it was sealed.
            if let Err(e) = self.file.truncate(self.len).and_then(|()| self.file.sync()) {
                let why = format!("{source}, and what was written could not be taken back: {e}");
                self.unknown = Some(why.clone());
                return Err(JournalError::Unknown(why));
            }
            return Err(JournalError::Io { what: "append to", path: self.path.clone(), source });
        }
        if let Err(e) = self.file.sync() {
            self.unknown = Some(e.to_string());
            return Err(JournalError::Unknown(e.to_string()));
        }
        self.len += frame.len() as u64;
        self.next_seq += 1;
        if self.len - self.forgotten >= FORGET_BYTES {
            self.file.forget(self.len);
            self.forgotten = self.len;
        }
        Ok(())
    }

    /// Begins a new file; the frames so far, the last of them sealed at `recorded_at`, stay in those before.
    ///
    /// # Errors
    /// `Io`: the journal goes on in the old file. `Unknown` as for [`append`](Self::append), also where a half
    /// made file could not be removed.
    pub fn rotate(&mut self, recorded_at: i64) -> Result<(), JournalError> {
        if let Some(why) = &self.unknown {
            // The old file may or may not hold a frame with the number that the new one would begin with.
            return Err(JournalError::Unknown(why.clone()));
        }
        if self.len == HEADER_LEN as u64 {
            return Ok(());
        }
        let path = path_of(&self.dir, self.next_seq);
        let header = FileHeader { ledger: self.ledger, first_seq: self.next_seq, recorded_at };
        let mut full = match begin(&*self.disk, &self.dir, &path, &header) {
            Ok(file) => std::mem::replace(&mut self.file, file),
            Err(e) => {
                // The half made file must be gone for good before the old one grows past the number in its name.
                let gone = match self.disk.remove(&path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                    _ => self.disk.sync_dir(&self.dir),
                };
                if let Err(left) = gone {
                    let why = format!("{e}, and it could not be removed: {left}");
                    self.unknown = Some(why.clone());
                    return Err(JournalError::Unknown(why));
                }
                return Err(e);
            }
        };
        full.forget(self.len);
        self.path = path;
        (self.len, self.forgotten) = (HEADER_LEN as u64, 0);
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

fn begin(disk: &dyn Disk, dir: &Path, path: &Path, header: &FileHeader) -> Result<Box<dyn DiskFile>, JournalError> {
    let made = || -> io::Result<Box<dyn DiskFile>> {
        let mut file = disk.create(path)?;
        file.append(&frame::file_header(header))?;
        file.sync()?;
        disk.sync_dir(dir)?;
        Ok(file)
    };
    made().map_err(io_error("make", path))
}
