//! One record of a batch, looked at by its fields.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use event::Field;
use segments::columns;
use serde_json::Value;

/// The member of the attributes that is ours and not the source's.
const MARKS: &str = "_indelible";

/// One record of a batch whose columns are numbered by a projection.
pub(super) struct Row<'b> {
    batch: &'b RecordBatch,
    projection: &'b [usize],
    row: usize,
}

impl<'b> Row<'b> {
    /// The record in a row of a batch.
    pub(super) fn new(batch: &'b RecordBatch, projection: &'b [usize], row: usize) -> Row<'b> {
        Row { batch, projection, row }
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

    fn attributes(&self) -> Option<Value> {
        serde_json::from_str(self.text(Field::Attributes)?).ok()
    }

    /// What our own marks in the attributes say under this name.
    pub(super) fn mark(&self, name: &str) -> Option<Value> {
        let attributes = self.text(Field::Attributes)?;
        // Most records have no such mark, and to read all of their attributes takes longer than to look for its name.
        memchr::memmem::find(attributes.as_bytes(), name.as_bytes())?;
        let mut attributes: Value = serde_json::from_str(attributes).ok()?;
        attributes.get_mut(MARKS)?.get_mut(name).map(Value::take)
    }

    /// What stands in these places, one after the other; `None` where anything is missing.
    pub(super) fn values(&self, places: &[String]) -> Option<String> {
        let pointed = places.iter().any(|place| place.starts_with('/'));
        let attributes = if pointed { self.attributes()? } else { Value::Null };
        let mut out = String::new();
        for place in places {
            let value = match place.starts_with('/') {
                true => attributes.pointer(place).filter(|value| !value.is_null())?.to_string(),
                false => Value::from(self.text(Field::from_path(place)?)?).to_string(),
            };
            out.push_str(&value);
            out.push('\n');
        }
        (!out.is_empty()).then_some(out)
    }
}
