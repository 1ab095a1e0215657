//! Envelope → the event in its JSON form.

use super::NO_SUBJECT;
use crate::moment::Stamp;
use crate::native::Native;
use event::fields::FIELDS;
use event::{Field, Kind};
use serde_json::{Map, Value};

pub(super) fn to_native(envelope: &Value) -> Value {
    let mut native = Native::new(envelope);
    native.time("time", Stamp::Micros);
    native.field("type", Field::Action);
    let subject = native.shape() != Some(NO_SUBJECT);
    if subject {
        native.field("subject", Field::TargetId);
    }
    // The trace is read from `traceparent`, which stays.
    let traced = native.members.contains_key("traceparent");
    let taken = FIELDS.iter().filter(|spec| match spec.field {
        Field::Id | Field::Source | Field::Action | Field::Attributes | Field::Diff => false,
        Field::TargetId => !subject,
        Field::TraceId | Field::SpanId => !traced,
        Field::Old | Field::New => true,
        _ => spec.kind == Kind::Text,
    });
    for spec in taken {
        let value = match spec.kind {
            Kind::Text => native.said(spec.field).map(Value::from),
            _ => envelope.get(spec.path).filter(|value| !value.is_null()).cloned(),
        };
        if let Some(value) = value {
            put(native.members.entry("data").or_insert_with(|| Value::Object(Map::new())), spec.path, value);
        }
    }
    native.finish()
}

/// Puts a value at a dotted path, unless something stands in the way.
fn put(place: &mut Value, path: &str, value: Value) {
    let Some(members) = place.as_object_mut() else { return };
    match path.split_once('.') {
        None => {
            members.entry(path).or_insert(value);
        }
        Some((name, rest)) => put(members.entry(name).or_insert_with(|| Value::Object(Map::new())), rest, value),
    }
}
