//! Arrow columns back into rows.
//!
//! Owns the way from a batch to the exact stored bytes: the columns that are present, in table order. Not
//! here: which rows, and where the batch came from.

use crate::batch::{RowRef, as_type, text, times};
use crate::columns::{FIRST_FIELD, INDEX, KIND, RECORDED_AT, TENANT};
use crate::error::{Error, Result};
use crate::list;
use arrow::array::{
    Array, BooleanArray, DictionaryArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt8Array, UInt64Array,
};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;
use event::encode::{put, put_time};
use event::{FIELDS, Field, Kind};

/// Texts as numbers of the values in a dictionary.
type Coded = DictionaryArray<Int32Type>;

/// A column of texts: as they are, or as numbers of the values in a dictionary.
enum Texts<'a> {
    Plain(&'a StringArray),
    Coded(&'a Coded, &'a StringArray),
}

impl<'a> Texts<'a> {
    fn of(batch: &'a RecordBatch, column: usize) -> Result<Texts<'a>> {
        let coded = batch.columns().get(column).and_then(|a| a.as_any().downcast_ref::<Coded>());
        let Some(coded) = coded else { return Ok(Texts::Plain(text(batch, column)?)) };
        let values = coded.values().as_any().downcast_ref::<StringArray>();
        let values = values.ok_or_else(|| ArrowError::SchemaError(format!("column {column} is no text")))?;
        // The library compares keys with the dictionary's length, but not with that of an empty one.
        if values.is_empty() && coded.null_count() < coded.len() {
            return Err(Error::Compute(ArrowError::InvalidArgumentError(format!(
                "column {column} has an empty dictionary"
            ))));
        }
        Ok(Texts::Coded(coded, values))
    }

    #[inline]
    fn get(&self, at: usize) -> Option<&'a str> {
        match self {
            Texts::Plain(array) => array.is_valid(at).then(|| array.value(at)),
            Texts::Coded(array, values) => array.key(at).map(|key| values.value(key)),
        }
    }
}

enum Source<'a> {
    Text(Texts<'a>),
    List(Texts<'a>),
    Time(&'a TimestampMicrosecondArray),
    Bool(&'a BooleanArray),
}

/// Gives every row of a batch with all columns in stored form, in order. Columns of texts may be dictionaries.
///
/// # Errors
/// [`Error::Compute`] where the batch does not have the schema, [`Error::Refused`] where a list is not what
/// the builder writes, and whatever `each` returns.
pub fn batch_to_rows<E: From<Error>>(
    batch: &RecordBatch,
    mut each: impl FnMut(RowRef<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let tenants = Texts::of(batch, TENANT)?;
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
            Kind::Text | Kind::Json => Source::Text(Texts::of(batch, column)?),
            Kind::List => Source::List(Texts::of(batch, column)?),
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
                Source::Text(texts) => {
                    if let Some(text) = texts.get(at) {
                        put(&mut row, *field, text.as_bytes());
                    }
                }
                Source::List(texts) => {
                    if let Some(text) = texts.get(at) {
                        list::each(text.as_bytes(), &mut scratch, |e| put(&mut row, *field, e)).ok_or_else(|| {
                            Error::Refused { row: at as u64, what: format!("`{}` is not a list", field.spec().path) }
                        })?;
                    }
                }
                Source::Time(a) if a.is_valid(at) => put_time(&mut row, *field, a.value(at)),
                Source::Bool(a) if a.is_valid(at) => put(&mut row, *field, &[u8::from(a.value(at))]),
                _ => {}
            }
        }
        each(RowRef {
            tenant: tenants.get(at).unwrap_or_default(),
            index: indexes.value(at),
            recorded_at: recorded.value(at),
            kind: kinds.value(at),
            row: &row,
        })?;
    }
    Ok(())
}
