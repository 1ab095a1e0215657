//! Arrow columns back into rows.
//!
//! Owns the way from a batch to the exact stored bytes: the columns that are present, in table order. Not
//! here: which rows, and where the batch came from.

use crate::batch::{RowRef, as_type, text, times};
use crate::columns::{FIRST_FIELD, INDEX, KIND, RECORDED_AT, TENANT};
use crate::error::{Error, Result};
use crate::list;
use arrow::array::{Array, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt8Array, UInt64Array};
use event::encode::{put, put_time};
use event::{FIELDS, Field, Kind};

enum Source<'a> {
    Text(&'a StringArray),
    List(&'a StringArray),
    Time(&'a TimestampMicrosecondArray),
    Bool(&'a BooleanArray),
}

/// Gives every row of a batch with all columns in stored form, in order.
///
/// # Errors
/// [`Error::Compute`] where the batch does not have the schema, [`Error::Refused`] where a list is not what
/// the builder writes, and whatever `each` returns.
pub fn batch_to_rows<E: From<Error>>(
    batch: &RecordBatch,
    mut each: impl FnMut(RowRef<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let tenants = text(batch, TENANT)?;
    let indexes: &UInt64Array = as_type(batch, INDEX)?;
    let recorded = times(batch, RECORDED_AT)?;
    let kinds: &UInt8Array = as_type(batch, KIND)?;
    let mut sources: Vec<(Field, Source<'_>)> = Vec::new();
    for (i, spec) in FIELDS.iter().enumerate() {
        let column = FIRST_FIELD + i;
        let empty = batch.columns().get(column).is_some_and(|a| a.null_count() == a.len());
        if empty {
            continue;
        }
        let source = match spec.kind {
            Kind::Text | Kind::Json => Source::Text(text(batch, column)?),
            Kind::List => Source::List(text(batch, column)?),
            Kind::Time => Source::Time(times(batch, column)?),
            Kind::Bool => Source::Bool(as_type(batch, column)?),
        };
        sources.push((spec.field, source));
    }
    let mut row = Vec::with_capacity(1024);
    let mut scratch = Vec::new();
    for at in 0..batch.num_rows() {
        row.clear();
        for (field, source) in &sources {
            match source {
                Source::Text(a) if a.is_valid(at) => put(&mut row, *field, a.value(at).as_bytes()),
                Source::Time(a) if a.is_valid(at) => put_time(&mut row, *field, a.value(at)),
                Source::Bool(a) if a.is_valid(at) => put(&mut row, *field, &[u8::from(a.value(at))]),
                Source::List(a) if a.is_valid(at) => {
                    list::each(a.value(at).as_bytes(), &mut scratch, |e| put(&mut row, *field, e)).ok_or_else(
                        || Error::Refused { row: at as u64, what: format!("`{}` is not a list", field.spec().path) },
                    )?;
                }
                _ => {}
            }
        }
        each(RowRef {
            tenant: tenants.value(at),
            index: indexes.value(at),
            recorded_at: recorded.value(at),
            kind: kinds.value(at),
            row: &row,
        })?;
    }
    Ok(())
}
