//! A stored record as the faces look at it.

use crate::envelope::text_at;
use event::fields::FIELDS;
use event::{Field, Kind};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The envelope of one record, borrowed: what `GET …/records/{id}` answers, as JSON.
#[derive(Debug, Clone, Copy)]
pub struct Record<'r> {
    envelope: &'r Value,
}

impl<'r> Record<'r> {
    /// A look at an envelope. Any JSON will do; what it does not have is absent.
    pub fn new(envelope: &'r Value) -> Record<'r> {
        Record { envelope }
    }

    /// All of it.
    pub fn envelope(self) -> &'r Value {
        self.envelope
    }

    /// Whether a system sent it.
    pub fn is_of(self, system: &str) -> bool {
        self.text(Field::Source) == Some(system)
    }

    /// The text of a field, unless it is empty.
    pub fn text(self, field: Field) -> Option<&'r str> {
        text_at(self.envelope, field.spec().path).filter(|text| !text.is_empty())
    }

    /// The first of these fields that has a text.
    pub fn first(self, fields: &[Field]) -> Option<&'r str> {
        fields.iter().find_map(|field| self.text(*field))
    }

    /// What happened, as the source calls it; what has no name is called after its log.
    pub fn action(self) -> &'r str {
        self.first(&[Field::Action, Field::Log]).unwrap_or("unknown")
    }

    /// A field's value, unless it is `null`.
    pub fn value(self, field: Field) -> Option<&'r Value> {
        field
            .spec()
            .path
            .split('.')
            .try_fold(self.envelope, |value, name| value.get(name))
            .filter(|value| !value.is_null())
    }

    /// A field's time, microseconds UTC.
    pub fn time(self, field: Field) -> Option<i64> {
        self.text(field).and_then(event::time::parse)
    }

    /// A member of the attributes.
    pub fn attribute(self, name: &str) -> Option<&'r Value> {
        self.envelope.get("attributes")?.get(name)
    }

    /// When it was sealed, microseconds UTC.
    pub fn recorded_at(self) -> Option<i64> {
        text_at(self.envelope, "recorded_at").and_then(event::time::parse)
    }

    /// Every field that says something, in the order of the field table, as a text: JSON where it is not one. An empty list
    /// says nothing.
    pub fn fields(self) -> impl Iterator<Item = (Field, Cow<'r, str>)> {
        FIELDS.iter().filter_map(move |spec| {
            let value = self.value(spec.field)?;
            Some((
                spec.field,
                match value {
                    Value::String(text) if text.is_empty() => return None,
                    Value::String(text) => Cow::Borrowed(text.as_str()),
                    Value::Array(list) if list.is_empty() => return None,
                    other => Cow::Owned(other.to_string()),
                },
            ))
        })
    }

    /// The fields that are not in `placed`, nested as the envelope has them.
    pub fn rest(self, placed: &[Field]) -> Map<String, Value> {
        let mut out = Map::new();
        for (field, text) in self.fields().filter(|(field, _)| !placed.contains(field)) {
            let spec = field.spec();
            let value = match spec.kind {
                Kind::Text | Kind::Time => Value::String(text.into_owned()),
                Kind::Json | Kind::List | Kind::Bool => self.value(field).cloned().unwrap_or_default(),
            };
            match spec.path.split_once('.') {
                None => {
                    out.insert(spec.path.to_owned(), value);
                }
                Some((group, name)) => {
                    let group = out.entry(group).or_insert_with(|| Value::Object(Map::new()));
                    if let Some(group) = group.as_object_mut() {
                        group.insert(name.to_owned(), value);
                    }
                }
            }
        }
        out
    }
}

/// Sets a member of an object.
pub(super) fn set(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value.into());
    }
}
