//! The way back: an envelope as it was stored into the record it was made of.
//!
//! Owns: what every system's way back begins and ends with. It is asked for one record at a time, so a JSON tree is fine here.

use crate::change::DERIVED;
use crate::envelope::{MARKS, text_at};
use event::Field;
use serde_json::{Map, Value};

/// A native record being put together: the attributes first, then what the fields hold.
#[derive(Debug)]
pub struct Native<'v> {
    /// The stored envelope.
    pub envelope: &'v Value,
    /// The native members so far.
    pub members: Map<String, Value>,
    marks: Value,
}

impl<'v> Native<'v> {
    /// Begins with the attributes: every member that no field took.
    pub fn new(envelope: &'v Value) -> Native<'v> {
        let mut members = envelope.get("attributes").and_then(Value::as_object).cloned().unwrap_or_default();
        let marks = members.remove(MARKS).unwrap_or_default();
        Native { envelope, members, marks }
    }

    /// The shape that the record came in, if it was marked.
    pub fn shape(&self) -> Option<&str> {
        self.marks.get("shape").and_then(Value::as_str)
    }

    /// The text of a field, if the source said it itself.
    pub fn said(&self, field: Field) -> Option<&'v str> {
        let path = field.spec().path;
        if field == Field::Id && self.marks.get("id").is_some() {
            return None;
        }
        if self.concluded(path) {
            return None;
        }
        text_at(self.envelope, path)
    }

    /// Whether what stands at an envelope path was concluded here, not said by the source.
    pub fn concluded(&self, path: &str) -> bool {
        ["inferred", DERIVED].iter().any(|mark| {
            let paths = self.marks.get(*mark).and_then(Value::as_array);
            paths.is_some_and(|paths| paths.iter().any(|p| p == path))
        })
    }

    /// Puts a value at a native path of one or two names, unless something stands there: the attributes are the
    /// source's own words.
    pub fn put(&mut self, path: &str, value: Value) {
        let (outer, name) = path.split_once('.').map_or((None, path), |(outer, name)| (Some(outer), name));
        let holder = match outer {
            None => &mut self.members,
            Some(outer) => {
                let inside = self.members.entry(outer).or_insert_with(|| Value::Object(Map::new()));
                match inside.as_object_mut() {
                    Some(inside) => inside,
                    None => return,
                }
            }
        };
        if !holder.contains_key(name) {
            holder.insert(name.to_owned(), value);
        }
    }

    /// Puts a field's text at a native path, if it has one.
    pub fn field(&mut self, path: &str, field: Field) {
        if let Some(text) = self.said(field) {
            self.put(path, text.into());
        }
    }

    /// Puts the texts of the table that [`crate::envelope::Envelope::take_all`] took.
    pub fn fields(&mut self, table: &[(&str, Field)]) {
        for (path, field) in table {
            self.field(path, *field);
        }
    }

    /// Puts a field's JSON value at a native path, if it has one.
    pub fn json(&mut self, path: &str, field: Field) {
        if let Some(value) = self.envelope.get(field.spec().path) {
            self.put(path, value.clone());
        }
    }

    /// Puts the record's time, in the form the system writes it, unless it was that of the arrival.
    pub fn time(&mut self, path: &str, stamp: crate::moment::Stamp) {
        let arrival = self.marks.get("time").is_some_and(|from| from == "arrival");
        let at = self.said(Field::Time).filter(|_| !arrival).and_then(event::time::parse);
        if let Some(value) = at.and_then(|at| serde_json::from_str(&stamp.write(at)).ok()) {
            self.put(path, value);
        }
    }

    /// The record.
    pub fn finish(self) -> Value {
        Value::Object(self.members)
    }
}
