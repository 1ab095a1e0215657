//! Rows of one row group, decoded.
//!
//! Owns: reading chosen columns at chosen rows, with the columns that a row group does not have filled in as
//! nulls, in the order asked for. Queries read through [`Decoder`], checks and merges through [`Library`].
//! Not here: one column's values ([`crate::column`]), which rows are wanted.

use crate::batch::{as_type, times};
use crate::column::{Chunk, Last, Stop};
use crate::columns::{self, INDEX, TIME};
use crate::error::{Error, Result, guard};
use crate::pages::GroupPages;
use crate::segment::Segment;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array};
use arrow::buffer::ScalarBuffer;
use arrow::compute::{cast, concat, concat_batches};
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use std::ops::Range;
use std::sync::Arc;

/// Which columns, in which order, and read how.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) columns: Vec<usize>,
    pub(crate) schema: SchemaRef,
    pub(crate) coded: bool,
    pub(crate) keep: bool,
}

impl Shape {
    /// # Errors
    /// [`Error::Compute`] for a column number past the last.
    pub(crate) fn new(columns: &[usize], coded: bool) -> Result<Shape> {
        let full = Shape::full(coded);
        let fields = columns.iter().map(|column| {
            full.fields().get(*column).cloned().ok_or_else(|| {
                Error::Compute(arrow::error::ArrowError::SchemaError(format!("there is no column {column}")))
            })
        });
        let fields: Vec<FieldRef> = fields.collect::<Result<_>>()?;
        Ok(Shape { columns: columns.to_vec(), schema: Arc::new(Schema::new(fields)), coded, keep: false })
    }

    /// Of a read of few rows, whose dictionaries are worth keeping.
    pub(crate) fn keeping(mut self, keep: bool) -> Shape {
        self.keep = keep;
        self
    }

    fn full(coded: bool) -> SchemaRef {
        if coded { Arc::clone(&columns::CODED) } else { columns::schema() }
    }
}

/// Decodes some rows of one row group, batch by batch.
pub(crate) struct Decoder {
    number: usize,
    shape: Shape,
    /// Rows not given yet.
    rows: Vec<Range<usize>>,
    /// For each wanted column, what is at hand of it.
    last: Vec<Last>,
    batch_rows: usize,
}

/// Decodes a whole row group with the `parquet` crate, batch by batch: what checks and merges read is read
/// by the same code as any other reader of the file has.
pub(crate) struct Library {
    /// `None` where no wanted column has a value here: only the number of rows counts.
    reader: Option<ParquetRecordBatchReader>,
    /// For each wanted column, its place in what the reader gives.
    places: Vec<Option<usize>>,
    schema: SchemaRef,
    left: usize,
    batch_rows: usize,
}

/// Rows of a row group, ascending and apart, counted from its first.
pub(crate) type Rows = [Range<usize>];

pub(crate) fn count(rows: &Rows) -> usize {
    rows.iter().map(Range::len).sum()
}

impl Segment {
    /// A decoder of `rows` of row group `number`.
    pub(crate) fn decoder(&self, number: usize, shape: &Shape, rows: &Rows, batch_rows: usize) -> Result<Decoder> {
        if self.groups.get(number).is_none_or(|g| rows.last().is_some_and(|r| r.end as u64 > g.rows)) {
            return Err(Error::damaged(self.path(), format!("it has no such rows in row group {number}")));
        }
        let last = shape.columns.iter().map(|_| Last::default()).collect();
        Ok(Decoder { number, shape: shape.clone(), rows: rows.to_vec(), last, batch_rows: batch_rows.max(1) })
    }

    /// A decoder of `rows` of row group `number` that leaves all to the library.
    pub(crate) fn library(&self, number: usize, shape: &Shape, rows: &Rows, batch_rows: usize) -> Result<Library> {
        let path = self.path();
        let Some(group) = self.groups.get(number) else {
            return Err(Error::damaged(path, format!("it has no row group {number}")));
        };
        let mut wanted: Vec<usize> = shape.columns.iter().copied().filter(|c| group.has(*c)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let places = shape.columns.iter().map(|c| wanted.binary_search(c).ok()).collect();
        let batch_rows = batch_rows.max(1);
        let mut reader = None;
        if !wanted.is_empty() {
            let schema = self.meta.file_metadata().schema_descr();
            let mask = ProjectionMask::leaves(schema, wanted);
            let levels = parquet_to_arrow_field_levels(schema, mask, Some(Shape::full(shape.coded).fields()))
                .map_err(|e| Error::parquet(path, e))?;
            let all = matches!(rows, [all] if all.start == 0 && all.end as u64 == group.rows);
            let selection =
                (!all).then(|| RowSelection::from_consecutive_ranges(rows.iter().cloned(), group.rows as usize));
            let pages = GroupPages { segment: self, number };
            let made = ParquetRecordBatchReader::try_new_with_row_groups(&levels, &pages, batch_rows, selection);
            reader = Some(made.map_err(|e| Error::parquet(path, e))?);
        }
        Ok(Library { reader, places, schema: Arc::clone(&shape.schema), left: count(rows), batch_rows })
    }

    /// One column at rows of a row group, decoded by the library.
    fn library_column(&self, number: usize, column: usize, rows: &Rows, coded: bool) -> Result<ArrayRef> {
        let shape = Shape::new(&[column], coded)?;
        let mut decoder = self.library(number, &shape, rows, count(rows))?;
        let mut parts = Vec::new();
        while let Some(batch) = decoder.next(self)? {
            parts.extend(batch.columns().first().cloned());
        }
        Ok(concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())?)
    }

    /// All of `rows` in one batch.
    pub(crate) fn decode(&self, number: usize, shape: &Shape, rows: &Rows) -> Result<RecordBatch> {
        guard(self.path(), || {
            let mut decoder = self.decoder(number, shape, rows, count(rows))?;
            let mut batches = Vec::new();
            while let Some(batch) = decoder.next(self)? {
                batches.push(batch);
            }
            match batches.as_slice() {
                [one] => Ok(one.clone()),
                many => Ok(concat_batches(&shape.schema, many)?),
            }
        })
    }

    /// One column at rows of the file that lie in one row group.
    fn column_at(&self, column: usize, rows: &Range<u64>) -> Result<RecordBatch> {
        let number = self.group_at(rows.start);
        let start = self.groups.get(number).map_or(0, |g| g.start);
        let local = (rows.start - start) as usize..(rows.end - start) as usize;
        self.decode(number, &Shape::new(&[column], false)?, &[local])
    }

    /// The times at rows of one row group.
    pub(crate) fn times_at(&self, rows: &Range<u64>) -> Result<ScalarBuffer<i64>> {
        Ok(times(&self.column_at(TIME, rows)?, 0)?.values().clone())
    }

    /// The indexes at rows of one row group.
    pub(crate) fn indexes_at(&self, rows: &Range<u64>) -> Result<ScalarBuffer<u64>> {
        Ok(as_type::<UInt64Array>(&self.column_at(INDEX, rows)?, 0)?.values().clone())
    }
}

impl Decoder {
    /// The next rows; `None` when all have been given. Call inside [`guard`].
    pub(crate) fn next(&mut self, segment: &Segment) -> Result<Option<RecordBatch>> {
        let rows = self.take();
        if rows.is_empty() {
            return Ok(None);
        }
        let (n, number, keep) = (count(&rows), self.number, self.shape.keep);
        let group = segment.groups.get(number);
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.shape.columns.len());
        let columns = self.shape.columns.iter().zip(self.shape.schema.fields()).zip(&mut self.last);
        for ((column, field), last) in columns {
            if group.is_none_or(|g| !g.has(*column)) {
                arrays.push(new_null_array(field.data_type(), n));
                continue;
            }
            let mut chunk = Chunk { segment, number, column: *column, keep, last };
            let array = match chunk.read(&rows, self.shape.coded) {
                Ok(array) => array,
                Err(Stop::Unknown) => segment.library_column(number, *column, &rows, self.shape.coded)?,
                Err(Stop::Failed(e)) => return Err(e),
                Err(Stop::Damaged(what)) => {
                    return Err(Error::damaged(
                        segment.path(),
                        format!("row group {number}, {}: {what}", field.name()),
                    ));
                }
            };
            arrays.push(if array.data_type() == field.data_type() { array } else { cast(&array, field.data_type())? });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(n));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.shape.schema), arrays, &options);
        Ok(Some(batch.map_err(|e| Error::decode(segment.path(), e))?))
    }

    /// Takes the next rows off those not given yet.
    fn take(&mut self) -> Vec<Range<usize>> {
        let mut left = self.batch_rows;
        let mut taken = Vec::new();
        self.rows.retain_mut(|range| {
            let now = range.start..range.end.min(range.start.saturating_add(left));
            left -= now.len();
            range.start = now.end;
            if now.start < now.end {
                taken.push(now);
            }
            range.start < range.end
        });
        taken
    }
}

impl Library {
    /// The next rows; `None` when all have been given. Call inside [`guard`].
    pub(crate) fn next(&mut self, segment: &Segment) -> Result<Option<RecordBatch>> {
        if self.left == 0 {
            return Ok(None);
        }
        let short = || Error::damaged(segment.path(), "it has fewer rows than its footer says");
        let (rows, read): (usize, Vec<ArrayRef>) = match &mut self.reader {
            None => (self.left.min(self.batch_rows), Vec::new()),
            Some(reader) => {
                let batch = reader.next().ok_or_else(short)?.map_err(|e| Error::decode(segment.path(), e))?;
                (batch.num_rows(), batch.columns().to_vec())
            }
        };
        self.left = self.left.checked_sub(rows).ok_or_else(short)?;
        let arrays =
            self.places.iter().zip(self.schema.fields()).map(|(place, field)| match place.and_then(|p| read.get(p)) {
                Some(array) => Arc::clone(array),
                None => new_null_array(field.data_type(), rows),
            });
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays.collect(), &options);
        Ok(Some(batch.map_err(|e| Error::decode(segment.path(), e))?))
    }
}
