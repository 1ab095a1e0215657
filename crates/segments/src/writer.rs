//! Rows into a segment's two files.
//!
//! Owns: encodings and layout of the Parquet file, the check that rows arrive sorted, and the order in which
//! files become durable. Not here: filters' bytes ([`crate::idx`]), reading back ([`crate::admit`]).

use crate::batch::{BatchBuilder, RowRef, RunRef, as_type, text, times};
use crate::columns::{self, COUNT, ID, INDEX, KIND, RECORDED_AT, TENANT, TIME};
use crate::error::{Error, Result};
use crate::file::{FileWriter, idx_path, parquet_path, sync_dir};
use crate::filters::FilterBuilder;
use crate::idx;
use crate::info::{SegmentInfo, SliceInfo, directory};
use arrow::array::{RecordBatch, UInt64Array};
use arrow::datatypes::DataType;
use disk::Dir;
use event::Field;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::io::Write;
use std::path::Path;

/// Rows of a full row group.
pub const ROW_GROUP_ROWS: usize = 32_768;
/// Rows of a full page.
pub const PAGE_ROWS: usize = 4_096;
/// Version of the layout.
pub const FORMAT: &str = "1";
pub(crate) const KEY_FORMAT: &str = "indelible.segment";
pub(crate) const KEY_SLICES: &str = "indelible.slices";
const KEY_SORTED: &str = "indelible.sorted";

/// Rows collected before they are encoded.
const BATCH_ROWS: usize = 16_384;
/// Bytes collected before they are encoded, whatever the number of rows.
const BATCH_BYTES: usize = 32 << 20;
/// A row group of very long rows is closed early: encoded pages wait in memory until it is.
const ROW_GROUP_BYTES: usize = 128 << 20;
/// A dictionary that would grow past this is given up: a page of 100 rows has to read all of it.
const DICTIONARY_BYTES: usize = 64 << 10;
/// The same for people, addresses and sessions, where the dictionary halves the column.
const LARGE_DICTIONARY_BYTES: usize = 1 << 20;
/// Bytes of a page of long texts: what one row costs to read.
const PAGE_BYTES: usize = 32 << 10;

fn properties() -> Result<WriterProperties> {
    let level = |n| ZstdLevel::try_new(n).map_err(|e| Error::Refused { row: 0, what: e.to_string() });
    let mut p = WriterProperties::builder()
        .set_created_by("indelible".to_owned())
        .set_compression(Compression::ZSTD(level(3)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_bloom_filter_enabled(false)
        .set_key_value_metadata(Some(vec![
            KeyValue::new(KEY_FORMAT.to_owned(), FORMAT.to_owned()),
            KeyValue::new(KEY_SORTED.to_owned(), "tenant number, time DESC, id DESC".to_owned()),
        ]));
    let schema = columns::schema();
    for (column, field) in schema.fields().iter().enumerate() {
        let path = ColumnPath::from(field.name().as_str());
        if columns::is_dictionary(column) || column == KIND {
            p = p.set_column_dictionary_enabled(path, true);
        } else if matches!(column, INDEX | RECORDED_AT) || field.data_type() == &columns::time_type() {
            p = p.set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED);
            if matches!(column, INDEX | RECORDED_AT | TIME) {
                p = p.set_column_statistics_enabled(path, EnabledStatistics::Page);
            }
        } else if columns::is_repeated(column) {
            // Ids and addresses hold little that comes back but their letters: the lowest level makes them smaller
            // than level 3 does, and unpacks faster.
            p = p
                .set_column_compression(path.clone(), Compression::ZSTD(level(1)?))
                .set_column_dictionary_enabled(path.clone(), true)
                .set_column_dictionary_page_size_limit(path.clone(), LARGE_DICTIONARY_BYTES)
                .set_column_encoding(path, Encoding::DELTA_LENGTH_BYTE_ARRAY);
        } else if column == ID {
            p = p.set_column_encoding(path, Encoding::DELTA_BYTE_ARRAY);
        } else if field.data_type() == &DataType::Utf8 {
            p = p.set_column_encoding(path, Encoding::DELTA_LENGTH_BYTE_ARRAY);
        }
        if column == columns::of(Field::Attributes) {
            // The least and the greatest of objects say nothing, and finding them compares long texts that begin alike.
            p = p.set_column_statistics_enabled(ColumnPath::from(field.name().as_str()), EnabledStatistics::None);
        }
    }
    Ok(p.build())
}

/// Writes one segment. Dropped before [`SegmentWriter::finish`], it leaves no file behind.
pub struct SegmentWriter {
    dir: Dir,
    id: u64,
    out: ArrowWriter<FileWriter>,
    builder: BatchBuilder,
    runs: Vec<RunRef>,
    filters: FilterBuilder,
    slices: Vec<SliceInfo>,
    rows: u64,
    /// Tenant name, time and id of the last row, against which the next is compared.
    last: Option<(String, i64, String)>,
}

impl std::fmt::Debug for SegmentWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SegmentWriter({:016x}, {} rows)", self.id, self.rows)
    }
}

impl SegmentWriter {
    /// Begins segment `id` in `dir`, under temporary names.
    ///
    /// # Errors
    /// [`Error::Io`] where the files cannot be made.
    pub fn create(dir: &Dir, id: u64) -> Result<SegmentWriter> {
        let file = FileWriter::create(dir, parquet_path(&dir.path, id))?;
        let path = file.path().to_owned();
        // The Arrow schema follows from the Parquet one; its copy in the footer would be 8 KiB per file.
        let options = ArrowWriterOptions::new().with_properties(properties()?).with_skip_arrow_metadata(true);
        let out = ArrowWriter::try_new_with_options(file, columns::schema(), options).map_err(|e| written(&path, e))?;
        Ok(SegmentWriter {
            dir: dir.clone(),
            id,
            out,
            builder: BatchBuilder::new(),
            runs: Vec::new(),
            filters: FilterBuilder::default(),
            slices: Vec::new(),
            rows: 0,
            last: None,
        })
    }

    /// Rows taken so far.
    pub fn rows(&self) -> u64 {
        self.rows + self.builder.rows() as u64
    }

    /// The tenant of the last row encoded.
    pub(crate) fn last_tenant(&self) -> Option<u32> {
        self.slices.last().map(|s| s.tenant)
    }

    /// Adds a row of tenant number `tenant`. Rows arrive by `(tenant number, time DESC, id DESC)`.
    ///
    /// # Errors
    /// [`Error::Row`], [`Error::Refused`] for rows that cannot be stored or are out of order (noticed here or
    /// with a later row), [`Error::Io`] for the file.
    pub fn push(&mut self, tenant: u32, row: RowRef<'_>) -> Result<()> {
        if self.builder.rows() >= BATCH_ROWS || self.builder.bytes() + row.row.len() > BATCH_BYTES {
            self.flush()?;
        }
        self.builder.push(row)?;
        push_run(&mut self.runs, tenant, 1);
        Ok(())
    }

    /// Adds rows of one tenant that are already columns of [`crate::schema`].
    ///
    /// # Errors
    /// As [`SegmentWriter::push`].
    pub fn push_batch(&mut self, tenant: u32, batch: &RecordBatch) -> Result<()> {
        self.flush()?;
        self.write(batch, &[RunRef { tenant, rows: batch.num_rows() }])
    }

    /// As [`SegmentWriter::push_batch`], for rows of several tenants.
    pub(crate) fn push_runs(&mut self, batch: &RecordBatch, runs: &[RunRef]) -> Result<()> {
        self.flush()?;
        self.write(batch, runs)
    }

    fn flush(&mut self) -> Result<()> {
        if self.builder.rows() == 0 {
            return Ok(());
        }
        let batch = self.builder.finish()?;
        let runs = std::mem::take(&mut self.runs);
        self.write(&batch, &runs)
    }

    fn write(&mut self, batch: &RecordBatch, runs: &[RunRef]) -> Result<()> {
        if batch.num_columns() != COUNT || runs.iter().map(|r| r.rows).sum::<usize>() != batch.num_rows() {
            return Err(self.refused(0, "the batch does not have the columns or rows of a segment"));
        }
        self.note_rows(batch, runs)?;
        self.filters.add(batch, runs)?;
        let path = self.out.inner().path().to_owned();
        self.out.write(batch).map_err(|e| written(&path, e))?;
        if self.out.in_progress_size() > ROW_GROUP_BYTES {
            self.out.flush().map_err(|e| written(&path, e))?;
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn refused(&self, at: usize, what: &str) -> Error {
        Error::Refused { row: self.rows + at as u64, what: what.to_owned() }
    }

    /// Checks the order and keeps the slices.
    fn note_rows(&mut self, batch: &RecordBatch, runs: &[RunRef]) -> Result<()> {
        let (names, ids, time) = (text(batch, TENANT)?, text(batch, ID)?, times(batch, TIME)?);
        let indexes: &UInt64Array = as_type(batch, INDEX)?;
        let mut start = 0;
        for run in runs.iter().filter(|r| r.rows > 0) {
            let goes_on = match self.slices.last() {
                Some(last) if last.tenant > run.tenant => {
                    return Err(self.refused(start, "tenants are out of order"));
                }
                Some(last) => last.tenant == run.tenant,
                None => false,
            };
            let mut before = match &self.last {
                Some((name, time, id)) if goes_on => Some((name.as_str(), *time, id.as_str())),
                _ => None,
            };
            let end = start + run.rows;
            let (mut low, mut high) = (u64::MAX, 0);
            for at in start..end {
                let now = (names.value(at), time.value(at), ids.value(at));
                if let Some((name, t, id)) = before {
                    if t < now.1 || (t == now.1 && id < now.2) {
                        return Err(self.refused(at, "rows are not newest first"));
                    }
                    if name != now.0 {
                        return Err(self.refused(at, "one tenant number has two names"));
                    }
                }
                before = Some(now);
                let index = indexes.value(at);
                low = low.min(index);
                high = high.max(index);
            }
            let (newest, oldest) = (time.value(start), time.value(end - 1));
            let kept = before.map(|(name, time, id)| (name.to_owned(), time, id.to_owned()));
            match self.slices.last_mut().filter(|_| goes_on) {
                Some(slice) => {
                    slice.rows += run.rows as u64;
                    slice.min_time = oldest;
                    slice.min_index = slice.min_index.min(low);
                    slice.max_index = slice.max_index.max(high);
                }
                None => self.slices.push(SliceInfo {
                    tenant: run.tenant,
                    row_start: self.rows + start as u64,
                    rows: run.rows as u64,
                    min_time: oldest,
                    max_time: newest,
                    min_index: low,
                    max_index: high,
                }),
            }
            self.last = kept;
            start = end;
        }
        Ok(())
    }

    /// Ends the segment. When this returns, both files are on disk under their names, durably.
    ///
    /// A crash before leaves temporary names, or files that no catalog knows; [`crate::remove`] takes both.
    ///
    /// # Errors
    /// As [`SegmentWriter::push`].
    pub fn finish(mut self) -> Result<SegmentInfo> {
        self.flush()?;
        let path = self.out.inner().path().to_owned();
        self.out.append_key_value_metadata(KeyValue::new(KEY_SLICES.to_owned(), directory(&self.slices)));
        let mut file = self.out.into_inner().map_err(|e| written(&path, e))?;
        file.sync()?;
        let parquet = file.publish()?;

        let filters = self.filters.finish();
        let bytes = idx::encode(self.id, self.rows, parquet.bytes, &filters, &parquet.blocks);
        let filter = write_idx(&self.dir, self.id, &bytes)?;
        Ok(SegmentInfo {
            id: self.id,
            rows: self.rows,
            bytes: parquet.bytes,
            sha256: parquet.sha256,
            filter_bytes: filter.0,
            filter_sha256: filter.1,
            slices: self.slices,
        })
    }
}

/// Writes an `.idx` file durably; gives its length and hash.
pub(crate) fn write_idx(dir: &Dir, id: u64, bytes: &[u8]) -> Result<(u64, [u8; 32])> {
    let mut file = FileWriter::create(dir, idx_path(&dir.path, id))?;
    let path = file.path().to_owned();
    file.write_all(bytes).map_err(|e| Error::io("write", &path, e))?;
    file.sync()?;
    let written = file.publish()?;
    sync_dir(dir)?;
    Ok((written.bytes, written.sha256))
}

pub(crate) fn push_run(runs: &mut Vec<RunRef>, tenant: u32, rows: usize) {
    match runs.last_mut() {
        Some(run) if run.tenant == tenant => run.rows += rows,
        _ => runs.push(RunRef { tenant, rows }),
    }
}

/// An encoder's error while writing: the file system's, or a row's that cannot be encoded.
fn written(path: &Path, e: parquet::errors::ParquetError) -> Error {
    match e {
        parquet::errors::ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(io) => Error::io("write", path, *io),
            Err(other) => Error::Refused { row: 0, what: other.to_string() },
        },
        other => Error::Refused { row: 0, what: other.to_string() },
    }
}

/// Writes sorted rows as segment `id`; see [`SegmentWriter::push`] for the order.
///
/// # Errors
/// As [`SegmentWriter`]'s.
pub fn write_segment<'a>(dir: &Dir, id: u64, rows: impl IntoIterator<Item = (u32, RowRef<'a>)>) -> Result<SegmentInfo> {
    let mut writer = SegmentWriter::create(dir, id)?;
    for (tenant, row) in rows {
        writer.push(tenant, row)?;
    }
    writer.finish()
}
