//! What is left of a damaged journal: every sound frame, before and after the damage, and writing some of them
//! as a new journal.
//!
//! Owns finding frames again behind damaged bytes. Not here: which of them still follow a tenant's tree
//! (`store::repair` decides), and putting one journal in place of the other.

use crate::LedgerId;
use crate::frame::{self, FileHeader, Frame, FrameWriter, Group, HEADER_LEN};
use crate::journal::{JournalError, files, io_error, path_of};
use bytes::Bytes;
use disk::{Disk, DiskFile};
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of a journal file that are no sound frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// The file.
    pub path: PathBuf,
    /// Where it begins.
    pub from: usize,
    /// Where sound frames go on, or the file ends.
    pub to: usize,
    /// What is wrong at its beginning.
    pub what: String,
}

/// Calls `visit` with every sound frame of every file, in order, and gives the holes between them.
///
/// # Errors
/// Where a file cannot be read, or is of a newer version; damage is no error here.
pub fn sound_frames(
    disk: &dyn Disk,
    dir: &Path,
    ledger: &LedgerId,
    mut visit: impl FnMut(Frame),
) -> Result<Vec<Hole>, JournalError> {
    let mut holes = Vec::new();
    for (first_seq, path) in files(disk, dir)? {
        let bytes = Bytes::from(disk.read(&path).map_err(io_error("read", &path))?);
        let hole = |from: usize, to: usize, what: String| Hole { path: path.clone(), from, to, what };
        match frame::read_file_header(&bytes) {
            Err(frame::FrameError::Newer(version)) => return Err(JournalError::Newer { path, version }),
            Ok(header) if header.ledger != *ledger => {
                holes.push(hole(0, bytes.len(), "the file belongs to another ledger".into()));
                continue;
            }
            Ok(header) if header.first_seq != first_seq => {
                holes.push(hole(0, HEADER_LEN, format!("the header says frame {}", header.first_seq)));
            }
            Ok(_) => {}
            Err(e) => holes.push(hole(0, HEADER_LEN.min(bytes.len()), e.to_string())),
        }
        let mut at = HEADER_LEN;
        while at < bytes.len() {
            match frame::read_frame(&bytes, at) {
                Ok(frame) => {
                    at += frame.len;
                    visit(frame);
                }
                Err(e) => {
                    let to = frame::next_frame(&bytes, at + 1).unwrap_or(bytes.len());
                    holes.push(hole(at, to, e.to_string()));
                    at = to;
                }
            }
        }
    }
    Ok(holes)
}

/// A journal being written from frames that are sealed already.
pub struct Rewrite {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    next_seq: u64,
}

impl Rewrite {
    /// Begins a journal in `dir`, which is made and must be empty, with frame `first_seq`; `recorded_at` is when
    /// the frame before it was sealed.
    ///
    /// # Errors
    /// `Io`.
    pub fn begin(
        disk: &dyn Disk,
        dir: &Path,
        ledger: LedgerId,
        first_seq: u64,
        recorded_at: i64,
    ) -> Result<Rewrite, JournalError> {
        let path = path_of(dir, first_seq);
        let make = || -> io::Result<Box<dyn DiskFile>> {
            disk.create_dir(dir)?;
            let mut file = disk.create(&path)?;
            file.append(&frame::file_header(&FileHeader { ledger, first_seq, recorded_at }))?;
            Ok(file)
        };
        let file = make().map_err(io_error("make", &path))?;
        Ok(Rewrite { file, path, next_seq: first_seq })
    }

    /// Adds a frame with these groups, sealed at `recorded_at`, under the next number.
    ///
    /// # Errors
    /// `Io`.
    pub fn add(&mut self, recorded_at: i64, groups: &[Group]) -> Result<(), JournalError> {
        let mut writer = FrameWriter::new(recorded_at, 0, 0);
        for group in groups {
            writer.group(group.tenant, group.first_index, group.records.len() as u32, &group.keys);
            for (kind, commitment, row) in &group.records {
                writer.record(*kind, row, commitment);
            }
        }
        self.file.append(&writer.finish(self.next_seq)).map_err(io_error("write", &self.path))?;
        self.next_seq += 1;
        Ok(())
    }

    /// Returns when everything is on stable storage.
    ///
    /// # Errors
    /// `Io`.
    pub fn finish(mut self, disk: &dyn Disk) -> Result<(), JournalError> {
        self.file.sync().map_err(io_error("sync", &self.path))?;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        disk.sync_dir(dir).map_err(io_error("sync", dir))
    }
}
