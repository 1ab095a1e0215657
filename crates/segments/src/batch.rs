//! Rows into Arrow columns.
//!
//! Owns [`RowRef`] and [`BatchBuilder`]. A column that no row of the batch has costs nothing per row: it is
//! filled with nulls only when its first value arrives, and is one null array when none does. Not here:
//! the way back ([`crate::rows`]) and files.

use crate::columns::{self, COUNT, FIRST_FIELD};
use crate::error::{Error, Result};
use crate::list;
use arrow::array::{
    Array, ArrayRef, BooleanArray, NullBufferBuilder, RecordBatch, StringArray, TimestampMicrosecondArray, UInt8Array,
    UInt64Array, new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, OffsetBuffer, ScalarBuffer};
use event::encode::{RowError, fields};
use event::{Field, Kind};
use std::sync::Arc;

/// One sealed row on its way into a segment or out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowRef<'a> {
    /// Name of the tenant.
    pub tenant: &'a str,
    /// Its index in the tenant's ledger.
    pub index: u64,
    /// When it was sealed, in microseconds.
    pub recorded_at: i64,
    /// Kind of entry (`event::EntryKind`).
    pub kind: u8,
    /// The row's stored form.
    pub row: &'a [u8],
}

/// How many of the following rows belong to which tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunRef {
    pub(crate) tenant: u32,
    pub(crate) rows: usize,
}

/// Most bytes of values in one batch: offsets are 32 bits wide.
const MAX_BATCH_BYTES: usize = 1 << 30;

/// Collects rows into a [`RecordBatch`] of [`crate::schema`].
#[derive(Debug)]
pub struct BatchBuilder {
    tenant: Text,
    index: Vec<u64>,
    recorded_at: Vec<i64>,
    kind: Vec<u8>,
    fields: Vec<Option<Column>>,
    /// Rows of the batch before, and the bytes of each text in it: the next is likely to be as large.
    before: (usize, Vec<usize>),
    rows: usize,
    bytes: usize,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        BatchBuilder::new()
    }
}

impl BatchBuilder {
    /// An empty builder.
    pub fn new() -> BatchBuilder {
        BatchBuilder {
            tenant: Text::new(0, 0),
            index: Vec::new(),
            recorded_at: Vec::new(),
            kind: Vec::new(),
            fields: (0..event::fields::COUNT).map(|_| None).collect(),
            before: (0, vec![0; event::fields::COUNT]),
            rows: 0,
            bytes: 0,
        }
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of stored rows so far: callers finish a batch before it grows large.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a row. A row that is refused leaves the builder as it was.
    ///
    /// # Errors
    /// [`Error::Row`] for bytes that are not a row, [`Error::Refused`] for a row without id or time or a
    /// batch grown past 1 GiB.
    pub fn push(&mut self, row: RowRef<'_>) -> Result<()> {
        if self.bytes + row.row.len() > MAX_BATCH_BYTES {
            return Err(self.refused("the batch is past 1 GiB"));
        }
        match self.push_fields(row.row) {
            Ok(()) => {}
            Err(refused) => {
                for column in self.fields.iter_mut().flatten() {
                    column.truncate(self.rows);
                }
                return Err(match refused {
                    Some(source) => Error::Row { row: self.rows, source },
                    None => self.refused("a row needs an id and a time"),
                });
            }
        }
        self.tenant.push(self.rows, row.tenant.as_bytes());
        self.index.push(row.index);
        self.recorded_at.push(row.recorded_at);
        self.kind.push(row.kind);
        self.rows += 1;
        self.bytes += row.row.len();
        Ok(())
    }

    fn refused(&self, what: &str) -> Error {
        Error::Refused { row: self.rows as u64, what: what.to_owned() }
    }

    /// `Err(None)`: the row lacks its id or time.
    fn push_fields(&mut self, row: &[u8]) -> Result<(), Option<RowError>> {
        let at = self.rows;
        let mut open: Option<Field> = None;
        let (mut id, mut time) = (false, false);
        for stored in fields(row) {
            let stored = stored?;
            if let Some(field) = open
                && field != stored.field
            {
                self.close_list(field);
                open = None;
            }
            let bad = || Some(RowError::BadValue { field: stored.field.spec().path, at: stored.at });
            let kind = stored.field.spec().kind;
            let Some(slot) = self.fields.get_mut(stored.field as usize) else { return Err(bad()) };
            let (rows, bytes) = (self.before.0, self.before.1.get(stored.field as usize).copied().unwrap_or(0));
            let column = slot.get_or_insert_with(|| Column::new(kind, rows, bytes));
            match (column, kind) {
                (Column::Text(text), Kind::Text | Kind::Json) => {
                    id |= stored.field == Field::Id;
                    text.push(at, stored.value);
                }
                (Column::Text(text), _) => {
                    if open.is_none() {
                        text.backfill(at);
                        text.data.push(b'[');
                        open = Some(stored.field);
                    } else {
                        text.data.push(b',');
                    }
                    list::put(&mut text.data, stored.value);
                }
                (Column::Time(times), _) => {
                    time |= stored.field == Field::Time;
                    times.push(at, stored.time().ok_or_else(bad)?);
                }
                (Column::Bool(bools), _) => bools.push(at, stored.value == [1]),
            }
        }
        if let Some(field) = open {
            self.close_list(field);
        }
        if id && time { Ok(()) } else { Err(None) }
    }

    fn close_list(&mut self, field: Field) {
        if let Some(Some(Column::Text(text))) = self.fields.get_mut(field as usize) {
            text.data.push(b']');
            text.end();
        }
    }

    /// The batch of all rows added since the last one; the builder is empty again.
    ///
    /// # Errors
    /// [`Error::Compute`] where a text is not UTF-8.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        let schema = columns::schema();
        let rows = self.rows;
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(COUNT);
        arrays.push(self.tenant.finish(rows)?);
        arrays.push(Arc::new(UInt64Array::from(std::mem::take(&mut self.index))));
        arrays.push(Arc::new(
            TimestampMicrosecondArray::from(std::mem::take(&mut self.recorded_at)).with_timezone("UTC"),
        ));
        arrays.push(Arc::new(UInt8Array::from(std::mem::take(&mut self.kind))));
        let kept = self.fields.iter_mut().zip(&mut self.before.1);
        for ((slot, bytes), spec) in kept.zip(schema.fields().iter().skip(FIRST_FIELD)) {
            arrays.push(match slot.take() {
                None => new_null_array(spec.data_type(), rows),
                Some(mut column) => {
                    *bytes = column.bytes();
                    column.finish(rows)?
                }
            });
        }
        self.before.0 = rows;
        self.rows = 0;
        self.bytes = 0;
        Ok(RecordBatch::try_new(schema, arrays)?)
    }
}

#[derive(Debug)]
enum Column {
    Text(Text),
    Time(Values<i64>),
    Bool(Values<bool>),
}

impl Column {
    /// A column with room for so many rows, and for so many bytes of text.
    fn new(kind: Kind, rows: usize, bytes: usize) -> Column {
        match kind {
            Kind::Text | Kind::Json | Kind::List => Column::Text(Text::new(rows, bytes)),
            Kind::Time => Column::Time(Values::new(rows)),
            Kind::Bool => Column::Bool(Values::new(rows)),
        }
    }

    /// Bytes of its texts.
    fn bytes(&self) -> usize {
        match self {
            Column::Text(c) => c.data.len(),
            Column::Time(_) | Column::Bool(_) => 0,
        }
    }

    fn truncate(&mut self, rows: usize) {
        match self {
            Column::Text(c) => c.truncate(rows),
            Column::Time(c) => c.truncate(rows),
            Column::Bool(c) => c.truncate(rows),
        }
    }

    fn finish(&mut self, rows: usize) -> Result<ArrayRef> {
        Ok(match self {
            Column::Text(c) => c.finish(rows)?,
            Column::Time(c) => {
                c.backfill(rows);
                let values = ScalarBuffer::from(std::mem::take(&mut c.values));
                Arc::new(TimestampMicrosecondArray::try_new(values, c.nulls.finish())?.with_timezone("UTC"))
            }
            Column::Bool(c) => {
                c.backfill(rows);
                Arc::new(BooleanArray::new(BooleanBuffer::from(c.values.as_slice()), c.nulls.finish()))
            }
        })
    }
}

/// A column of text under construction: `offsets` has one entry more than there are rows.
#[derive(Debug)]
struct Text {
    offsets: Vec<i32>,
    data: Vec<u8>,
    nulls: NullBufferBuilder,
}

impl Text {
    fn new(rows: usize, bytes: usize) -> Text {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Text { offsets, data: Vec::with_capacity(bytes + bytes / 16), nulls: NullBufferBuilder::new(0) }
    }

    fn backfill(&mut self, row: usize) {
        let missing = (row + 1).saturating_sub(self.offsets.len());
        if missing > 0 {
            self.offsets.resize(row + 1, self.data.len() as i32);
            self.nulls.append_n_nulls(missing);
        }
    }

    fn end(&mut self) {
        self.offsets.push(self.data.len() as i32);
        self.nulls.append_non_null();
    }

    fn push(&mut self, row: usize, value: &[u8]) {
        self.backfill(row);
        self.data.extend_from_slice(value);
        self.end();
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.nulls.truncate(rows);
        self.data.truncate(self.offsets.last().copied().unwrap_or(0) as usize);
    }

    fn finish(&mut self, rows: usize) -> Result<ArrayRef> {
        self.backfill(rows);
        let mut done = std::mem::replace(self, Text::new(0, 0));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(done.offsets));
        Ok(Arc::new(StringArray::try_new(offsets, Buffer::from_vec(done.data), done.nulls.finish())?))
    }
}

#[derive(Debug)]
struct Values<T> {
    values: Vec<T>,
    nulls: NullBufferBuilder,
}

impl<T: Default + Clone> Values<T> {
    fn new(rows: usize) -> Values<T> {
        Values { values: Vec::with_capacity(rows), nulls: NullBufferBuilder::new(0) }
    }

    fn backfill(&mut self, row: usize) {
        let missing = row.saturating_sub(self.values.len());
        if missing > 0 {
            self.values.resize(row, T::default());
            self.nulls.append_n_nulls(missing);
        }
    }

    fn push(&mut self, row: usize, value: T) {
        self.backfill(row);
        self.values.push(value);
        self.nulls.append_non_null();
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.nulls.truncate(rows);
    }
}

/// The column of a batch as texts.
pub(crate) fn text(batch: &RecordBatch, column: usize) -> Result<&StringArray> {
    as_type(batch, column)
}

/// The column of a batch as times.
pub(crate) fn times(batch: &RecordBatch, column: usize) -> Result<&TimestampMicrosecondArray> {
    as_type(batch, column)
}

/// The column of a batch, as the array type it must have.
pub(crate) fn as_type<A: Array + 'static>(batch: &RecordBatch, column: usize) -> Result<&A> {
    batch.columns().get(column).and_then(|a| a.as_any().downcast_ref::<A>()).ok_or_else(|| {
        Error::Compute(arrow::error::ArrowError::SchemaError(format!("column {column} does not have its type")))
    })
}
