//! Envelope → the row, or the GraphQL entry that it came as.

use super::{GRAPHQL, GRAPHQL_MARK, PERSON, ROW, people};
use crate::moment::Stamp;
use crate::native::Native;
use event::Field;
use serde_json::Value;

pub(super) fn to_native(envelope: &Value) -> Value {
    let mut native = Native::new(envelope);
    let shape = if native.shape() == Some(GRAPHQL_MARK) { &GRAPHQL } else { &ROW };
    native.field("id", Field::Id);
    native.time(shape.created_at, Stamp::Millis);
    if let Some(outcome) = native.said(Field::Outcome).filter(|outcome| *outcome != "unknown") {
        native.put("success", (outcome == "success").into());
    }
    let people = people(native.said(Field::Action).unwrap_or_default());
    // Where the person is the target, the target's own column fills the field first.
    let both = people.person == Field::TargetId && native.members.contains_key(shape.person);
    // What is no person stands in `event_data` still.
    let person = native.said(Field::TargetType) == Some(PERSON);
    if both || (person && people.person != Field::TargetId) {
        native.field(shape.target, Field::TargetId);
    }
    native.field(shape.person, people.person);
    native.field(shape.invoked_by, people.invoked_by);
    native.json(shape.before, Field::Old);
    native.json(shape.after, Field::New);
    native.fields(shape.fields);
    native.finish()
}
