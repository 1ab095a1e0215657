//! One open segment.
//!
//! Owns: opening and checking a segment's files against what the catalog says of them, and its layout in
//! memory (row groups, pages of time and index, which columns are empty where). Not here: reading rows
//! ([`crate::decode`]), deciding which ([`crate::scan`]).

use crate::columns::{self, COUNT, INDEX, TIME};
use crate::error::{Error, Result, guard};
use crate::file::{CheckedFile, Handle, idx_path, parquet_path};
use crate::filters::{Filters, IdKey};
use crate::idx;
use crate::info::{SegmentInfo, SliceInfo, parse_directory};
use crate::pages::CacheId;
use crate::writer::{FORMAT, KEY_FORMAT, KEY_SLICES};
use disk::Dir;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A segment, open for reading. Shared by every query that uses it.
#[derive(Debug)]
pub struct Segment {
    pub(crate) info: SegmentInfo,
    pub(crate) file: Handle,
    pub(crate) meta: Arc<ParquetMetaData>,
    pub(crate) cache_id: CacheId,
    pub(crate) filters: Filters,
    pub(crate) groups: Vec<Group>,
    pub(crate) times: Vec<Page>,
    pub(crate) indexes: Vec<Page>,
}

/// One row group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) start: u64,
    pub(crate) rows: u64,
    /// Columns that have a value in some row; bit = column number.
    pub(crate) present: u128,
}

impl Group {
    pub(crate) fn end(&self) -> u64 {
        self.start + self.rows
    }

    pub(crate) fn has(&self, column: usize) -> bool {
        column < COUNT && self.present & (1 << column) != 0
    }
}

// `Group::present` has a bit for each column.
const _: () = assert!(COUNT <= 128);

/// One page of an integer column: where it begins and what lies in it. `u64` values are compared as such.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) start: u64,
    pub(crate) min: i64,
    pub(crate) max: i64,
}

impl Segment {
    /// Opens segment `info.id` of `dir`.
    ///
    /// # Errors
    /// [`Error::Filters`]: the `.idx` must be made anew ([`crate::rebuild_filters`]). [`Error::Damaged`]: the
    /// rows are not what was written. [`Error::Io`]: the system could not read.
    pub fn open(dir: &Dir, info: SegmentInfo) -> Result<Arc<Segment>> {
        let idx_path = idx_path(&dir.path, info.id);
        let bytes = match dir.disk.read(&idx_path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::filters(&idx_path, "it is missing"));
            }
            Err(e) => return Err(Error::io("read", &idx_path, e)),
        };
        let idx = idx::decode(&idx_path, &bytes)?;
        if (idx.id, idx.rows, idx.parquet_bytes) != (info.id, info.rows, info.bytes) {
            return Err(Error::filters(&idx_path, "it belongs to another segment"));
        }
        let file = CheckedFile::open(dir.disk.as_ref(), parquet_path(&dir.path, info.id), idx.blocks)?;
        Segment::assemble(file, idx.filters, info)
    }

    pub(crate) fn assemble(file: CheckedFile, filters: Filters, info: SegmentInfo) -> Result<Arc<Segment>> {
        let path = file.path().to_owned();
        let file = Handle(Arc::new(file));
        guard(&path, || {
            let meta = ParquetMetaDataReader::new()
                .with_page_index_policy(PageIndexPolicy::Optional)
                .parse_and_finish(&file)
                .map_err(|e| Error::parquet(&path, e))?;
            let layout = Layout::of(&meta).map_err(|what| Error::damaged(&path, what))?;
            layout.fits(&info).map_err(|what| Error::damaged(&path, what))?;
            // The value index has been copied into the layout; the place index is what decoders need.
            let meta = Arc::new(meta.into_builder().set_column_index(None).build());
            let Layout { groups, times, indexes, .. } = layout;
            Ok(Arc::new(Segment {
                info,
                file: file.clone(),
                meta,
                cache_id: CacheId::new(),
                filters,
                groups,
                times,
                indexes,
            }))
        })
    }

    /// What the catalog knows of it.
    pub fn info(&self) -> &SegmentInfo {
        &self.info
    }

    /// The slice of a tenant; `None` where the segment has no row of it.
    pub fn slice(&self, tenant: u32) -> Option<&SliceInfo> {
        self.info.slice(tenant)
    }

    /// The Parquet file.
    pub fn path(&self) -> &Path {
        self.file.0.path()
    }

    /// Bytes its filters hold in memory.
    pub fn filter_memory(&self) -> usize {
        self.filters.memory()
    }

    /// Bytes read from the Parquet file since it was opened.
    pub fn bytes_read(&self) -> u64 {
        self.file.0.bytes_read()
    }

    /// Rows of each row group, in order.
    pub fn row_groups(&self) -> impl ExactSizeIterator<Item = Range<u64>> {
        self.groups.iter().map(|g| g.start..g.end())
    }

    /// Whether a record with this id may be among its tenant's rows here: never `false` for one that is,
    /// `true` for one of 65,536 that are not.
    pub fn may_contain_id(&self, id: IdKey) -> bool {
        self.filters.may_contain_id(id)
    }

    /// Splits a tenant's rows into at most `n` runs of whole row groups, newest first, for scans side by side.
    pub fn parts(&self, tenant: u32, n: usize) -> Vec<Range<u64>> {
        let Some(slice) = self.slice(tenant) else { return Vec::new() };
        let rows = slice.range();
        let (first, end) = (self.group_at(rows.start), self.group_at(rows.end.saturating_sub(1)) + 1);
        let per_part = (end - first).div_ceil(n.max(1)).max(1);
        let groups = self.groups.get(first..end).unwrap_or_default();
        groups
            .chunks(per_part)
            .filter_map(|part| Some(part.first()?.start.max(rows.start)..part.last()?.end().min(rows.end)))
            .filter(|part| !part.is_empty())
            .collect()
    }

    /// Number of the row group that holds this row.
    pub(crate) fn group_at(&self, row: u64) -> usize {
        self.groups.partition_point(|g| g.end() <= row)
    }
}

/// What the footer says, made ready.
struct Layout {
    groups: Vec<Group>,
    times: Vec<Page>,
    indexes: Vec<Page>,
    slices: Vec<(u32, u64)>,
    rows: u64,
}

impl Layout {
    fn of(meta: &ParquetMetaData) -> Result<Layout, String> {
        let key = |name: &str| {
            let all = meta.file_metadata().key_value_metadata()?;
            all.iter().find(|kv| kv.key == name)?.value.as_deref()
        };
        match key(KEY_FORMAT) {
            Some(FORMAT) => {}
            Some(other) => return Err(format!("its format {other} is not known")),
            None => return Err("it is not a segment".to_owned()),
        }
        let slices = key(KEY_SLICES).and_then(parse_directory).ok_or("it has no directory of tenants")?;
        check_schema(meta)?;
        let mut groups = Vec::with_capacity(meta.num_row_groups());
        let mut rows = 0u64;
        for group in meta.row_groups() {
            let n = u64::try_from(group.num_rows()).map_err(|_| "a row group has no length")?;
            let mut present = 0u128;
            for (column, chunk) in group.columns().iter().enumerate().take(COUNT) {
                let nulls = chunk.statistics().and_then(|s| s.null_count_opt());
                if nulls != Some(n) {
                    present |= 1 << column;
                }
            }
            groups.push(Group { start: rows, rows: n, present });
            rows += n;
        }
        let times = pages(meta, &groups, TIME)?;
        let indexes = pages(meta, &groups, INDEX)?;
        Ok(Layout { groups, times, indexes, slices, rows })
    }

    /// Whether the file is the one the catalog speaks of.
    fn fits(&self, info: &SegmentInfo) -> Result<(), String> {
        if self.rows != info.rows {
            return Err(format!("it has {} rows, not {}", self.rows, info.rows));
        }
        let mut start = 0;
        let known = info.slices.iter().map(|s| {
            let fits = s.row_start == start && s.rows > 0;
            start = s.row_start.saturating_add(s.rows);
            (fits, s.tenant, s.rows)
        });
        let fits = known.eq(self.slices.iter().map(|(tenant, rows)| (true, *tenant, *rows)));
        let ordered = self.slices.windows(2).all(|w| matches!(w, [a, b] if a.0 < b.0));
        if fits && ordered && start == info.rows {
            Ok(())
        } else {
            Err("its tenants are not those the catalog has".to_owned())
        }
    }
}

/// The file's columns must be ours, by name, place and type: decoders rely on it.
fn check_schema(meta: &ParquetMetaData) -> Result<(), String> {
    let found = parquet_to_arrow_schema(meta.file_metadata().schema_descr(), None).map_err(|e| e.to_string())?;
    if found.fields() == columns::schema().fields() {
        Ok(())
    } else {
        Err("its columns are not a segment's".to_owned())
    }
}

fn pages(meta: &ParquetMetaData, groups: &[Group], column: usize) -> Result<Vec<Page>, String> {
    let missing = || "its page index is incomplete".to_owned();
    let (Some(values), Some(offsets)) = (meta.column_index(), meta.offset_index()) else {
        return if groups.is_empty() { Ok(Vec::new()) } else { Err(missing()) };
    };
    let mut pages = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        let values = values.get(number).and_then(|g| g.get(column)).ok_or_else(missing)?;
        let offsets = offsets.get(number).and_then(|g| g.get(column)).ok_or_else(missing)?;
        let ColumnIndexMetaData::INT64(values) = values else { return Err(missing()) };
        let locations = offsets.page_locations();
        if values.min_values().len() != locations.len() || values.max_values().len() != locations.len() {
            return Err(missing());
        }
        for ((min, max), location) in values.min_values().iter().zip(values.max_values()).zip(locations) {
            let start = u64::try_from(location.first_row_index).map_err(|_| missing())?;
            pages.push(Page { start: group.start + start, min: *min, max: *max });
        }
    }
    if pages.windows(2).any(|w| matches!(w, [a, b] if a.start >= b.start)) {
        return Err(missing());
    }
    Ok(pages)
}
