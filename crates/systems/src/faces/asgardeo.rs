//! A record of another system as an Asgardeo audit record, v2.
//!
//! ```text
//! { id, recordedAt, requestId, initiatorId, initiatorType, targetId, targetType, action, impersonatorId?, data? }
//! ```
//!
//! Such a record says by being there that something was done, so the name is Asgardeo's only where it was done; what failed keeps
//! the source's name. `data` has what v2 has no member for, under the envelope's own names.

use super::{Given, Record, kind};
use event::Field;
use serde_json::{Map, Value};

/// Members that hold one text field.
const MEMBERS: &[(&str, Field)] = &[
    ("id", Field::Id),
    ("recordedAt", Field::Time),
    ("requestId", Field::RequestId),
    ("initiatorId", Field::ActorId),
    ("initiatorType", Field::ActorType),
    ("targetId", Field::TargetId),
    ("targetType", Field::TargetType),
    ("impersonatorId", Field::ImpersonatorId),
];
/// What Asgardeo calls an initiator that nobody signed in as.
const SYSTEM: &str = "System";

pub(super) fn render(record: Record<'_>, _: &Given<'_>) -> Value {
    let name = kind::called(record, super::Face::Asgardeo.name(), kind::of(record).asgardeo);
    let mut out = Map::new();
    let mut placed = Vec::new();
    for (member, field) in MEMBERS {
        if let Some(text) = record.text(*field) {
            out.insert((*member).to_owned(), text.into());
            placed.push(*field);
        }
    }
    if name == record.action() {
        placed.push(Field::Action);
    }
    for member in ["initiatorId", "initiatorType"] {
        out.entry(member).or_insert_with(|| SYSTEM.into());
    }
    out.insert("action".to_owned(), name.into());
    let data = record.rest(&placed);
    if !data.is_empty() {
        out.insert("data".to_owned(), data.into());
    }
    Value::Object(out)
}
