//! Envelope → the event in its JSON form.

use super::NO_SUBJECT;
use crate::moment::Stamp;
use crate::named::holding;
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
        Field::Id | Field::Source | Field::Action => false,
        Field::TargetId => !subject,
        Field::TraceId | Field::SpanId => !traced,
        _ => spec.kind == Kind::Text,
    });
    for spec in taken {
        if let Some(text) = native.said(spec.field) {
            put(native.members.entry("data").or_insert_with(|| Value::Object(Map::new())), spec.path, text.into());
        }
    }
    for spec in holding() {
        let value = spec.path.split('.').try_fold(envelope, |value, name| value.get(name));
        if let Some(value) = value.filter(|_| !native.concluded(spec.path)) {
            put(native.members.entry("data").or_insert_with(|| Value::Object(Map::new())), spec.path, value.clone());
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
