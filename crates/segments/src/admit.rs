//! Reading back what was written: admission of a new segment, and rebuilding its derived file.
//!
//! Owns: whole-file checks and walks over every row in file order. Not here: re-hashing of rows (the caller
//! does it) and the decision to cut a journal.

use crate::batch::{RowRef, RunRef};
use crate::columns::COUNT;
use crate::decode::Shape;
use crate::error::{Error, Result, guard};
use crate::file::{CheckedFile, idx_path, parquet_path, sum_file};
use crate::filters::{FilterBuilder, Filters};
use crate::idx;
use crate::info::{SegmentInfo, SliceInfo};
use crate::rows::batch_to_rows;
use crate::segment::Segment;
use crate::writer::write_idx;
use arrow::array::RecordBatch;
use disk::Dir;
use std::ops::Range;
use std::sync::Arc;

/// Rows decoded at a time.
const WALK_ROWS: usize = 8192;

impl Segment {
    /// Calls `each` with all rows in file order, with all columns, and the row number of the first.
    ///
    /// # Errors
    /// Errors of reading, and whatever `each` returns.
    pub fn walk<E: From<Error>>(&self, each: impl FnMut(u64, &RecordBatch) -> Result<(), E>) -> Result<(), E> {
        self.walk_as(false, each)
    }

    /// As [`walk`](Self::walk); `coded` leaves dictionaries as they are.
    fn walk_as<E: From<Error>>(
        &self,
        coded: bool,
        mut each: impl FnMut(u64, &RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        let shape = Shape::new(&(0..COUNT).collect::<Vec<_>>(), coded)?;
        for (number, group) in self.groups.iter().enumerate() {
            let all = 0..group.rows as usize;
            let mut decoder = guard(self.path(), || self.library(number, &shape, &[all], WALK_ROWS))?;
            let mut at = group.start;
            while let Some(batch) = guard(self.path(), || decoder.next(self))? {
                each(at, &batch)?;
                at += batch.num_rows() as u64;
            }
        }
        Ok(())
    }

    /// Calls `each` with every row in stored form, in file order.
    ///
    /// # Errors
    /// As [`Segment::walk`].
    pub fn rows<E: From<Error>>(&self, each: &mut dyn FnMut(RowRef<'_>) -> Result<(), E>) -> Result<(), E> {
        // A value of a dictionary is copied and checked once there, not once per row.
        self.walk_as(true, |_, batch| batch_to_rows(batch, &mut *each))
    }
}

/// Reads a written segment back from disk and hands every row, in stored form and file order, to `expected`.
///
/// When this returns without error, both files have the hashes of `info` and every row went through
/// `expected`: only then may the journal that holds these rows be cut.
///
/// # Errors
/// [`Error::Damaged`] or [`Error::Filters`] for a file that is not what was written, and whatever `expected`
/// returns.
pub fn admit<E: From<Error>>(
    dir: &Dir,
    info: &SegmentInfo,
    expected: &mut dyn FnMut(RowRef<'_>) -> Result<(), E>,
) -> Result<(), E> {
    verify_files(dir, info)?;
    Segment::open(dir, info.clone())?.rows(expected)
}

/// Compares both files of a segment with their hashes.
///
/// # Errors
/// [`Error::Damaged`] for the rows, [`Error::Filters`] for the derived file, [`Error::Io`].
pub fn verify_files(dir: &Dir, info: &SegmentInfo) -> Result<()> {
    checked_sum(dir, info)?;
    let path = idx_path(&dir.path, info.id);
    match sum_file(dir.disk.as_ref(), &path) {
        Ok(sum) if sum.sha256 == info.filter_sha256 && sum.bytes == info.filter_bytes => Ok(()),
        Ok(_) => Err(Error::filters(&path, "its SHA-256 is not the recorded one")),
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::filters(&path, "it is missing"))
        }
        Err(e) => Err(e),
    }
}

/// Block checksums of the Parquet file, whose hash is the recorded one.
fn checked_sum(dir: &Dir, info: &SegmentInfo) -> Result<Vec<u32>> {
    let path = parquet_path(&dir.path, info.id);
    let sum = match sum_file(dir.disk.as_ref(), &path) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::damaged(&path, "it is missing"));
        }
        sum => sum?,
    };
    if sum.sha256 != info.sha256 || sum.bytes != info.bytes {
        return Err(Error::damaged(&path, "its SHA-256 is not the recorded one"));
    }
    Ok(sum.blocks)
}

/// Makes a missing or damaged `.idx` anew from the rows, and gives its length and hash.
///
/// The bytes are the same as the first time, so a result other than `info`'s means that another version of
/// this program wrote it; the answers are the same.
///
/// # Errors
/// [`Error::Damaged`] where the rows themselves are not what was written: then nothing is rebuilt on them.
pub fn rebuild_filters(dir: &Dir, info: &SegmentInfo) -> Result<(u64, [u8; 32])> {
    let blocks = checked_sum(dir, info)?;
    let file = CheckedFile::open(dir.disk.as_ref(), parquet_path(&dir.path, info.id), blocks.clone())?;
    let none = Filters { blocks: Vec::new(), ids: Vec::new() };
    let segment: Arc<Segment> = Segment::assemble(file, none, info.clone())?;
    let mut filters = FilterBuilder::default();
    segment.walk(|at, batch| filters.add(batch, &runs(&info.slices, &(at..at + batch.num_rows() as u64))))?;
    let bytes = idx::encode(info.id, info.rows, info.bytes, &filters.finish(), &blocks);
    write_idx(dir, info.id, &bytes)
}

impl Segment {
    /// Opens a segment for reading its rows only, also where its filters are missing or damaged; changes
    /// nothing on disk. For checks.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the rows are not what was written, [`Error::Io`].
    pub fn open_rows(dir: &Dir, info: SegmentInfo) -> Result<Arc<Segment>> {
        match Segment::open(dir, info.clone()) {
            Err(Error::Filters { .. }) => {
                let file =
                    CheckedFile::open(dir.disk.as_ref(), parquet_path(&dir.path, info.id), checked_sum(dir, &info)?)?;
                Segment::assemble(file, Filters { blocks: Vec::new(), ids: Vec::new() }, info)
            }
            other => other,
        }
    }
}

/// Whose rows these are, in order.
pub(crate) fn runs(slices: &[SliceInfo], rows: &Range<u64>) -> Vec<RunRef> {
    let first = slices.partition_point(|s| s.range().end <= rows.start);
    let inside = slices.iter().skip(first).take_while(|s| s.row_start < rows.end);
    inside
        .map(|s| {
            let (start, end) = (s.row_start.max(rows.start), s.range().end.min(rows.end));
            RunRef { tenant: s.tenant, rows: end.saturating_sub(start) as usize }
        })
        .collect()
}
