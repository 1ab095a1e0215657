//! One record of a batch, looked at by its fields.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use event::Field;
use segments::columns;
use serde_json::Value;
use std::cell::OnceCell;

/// The member of the attributes that is ours and not the source's.
const MARKS: &str = "_indelible";

/// One record of a batch whose columns are numbered by a projection.
pub(super) struct Row<'b> {
    batch: &'b RecordBatch,
    projection: &'b [usize],
    row: usize,
    /// Read when they are first asked for.
    attributes: OnceCell<Value>,
}

impl<'b> Row<'b> {
    /// The record in a row of a batch.
    pub(super) fn new(batch: &'b RecordBatch, projection: &'b [usize], row: usize) -> Row<'b> {
        Row { batch, projection, row, attributes: OnceCell::new() }
    }

    /// A field's column, if the record has a value there.
    pub(super) fn array(&self, field: Field) -> Option<&'b ArrayRef> {
        let column = columns::of(field);
        let array = self.batch.columns().get(self.projection.iter().position(|p| *p == column)?)?;
        array.is_valid(self.row).then_some(array)
    }

    /// The text of a field.
    pub(super) fn text(&self, field: Field) -> Option<&'b str> {
        Some(self.array(field)?.as_string_opt::<i32>()?.value(self.row))
    }

    fn attributes(&self) -> &Value {
        let read = || self.text(Field::Attributes).and_then(|text| serde_json::from_str(text).ok());
        self.attributes.get_or_init(|| read().unwrap_or_default())
    }

    /// What our own marks in the attributes say under this name.
    pub(super) fn mark(&self, name: &str) -> Option<&Value> {
        let attributes = self.text(Field::Attributes)?;
        // Most records have no such mark, and to read all of their attributes takes longer than to look for its name.
        memchr::memmem::find(attributes.as_bytes(), name.as_bytes())?;
        self.attributes().get(MARKS)?.get(name)
    }

    /// What stands in these places, one after the other; `None` where anything is missing.
    pub(super) fn values(&self, places: &[String]) -> Option<String> {
        let mut out = Vec::with_capacity(places.len());
        for place in places {
            out.push(match place.starts_with('/') {
                true => self.attributes().pointer(place).filter(|value| !value.is_null())?.clone(),
                false => self.text(Field::from_path(place)?)?.into(),
            });
        }
        (!out.is_empty()).then(|| one(out))
    }
}

/// Values as one text, which is the same where they are.
pub(super) fn one(values: Vec<Value>) -> String {
    Value::Array(values).to_string()
}
