//! A record of another system as an Asgardeo audit record, v2.
//!
//! ```text
//! { id, recordedAt, requestId, initiatorId, initiatorType, targetId, targetType, action, impersonatorId?, data? }
//! ```
//!
//! Such a record says by being there that something was done, so the name is Asgardeo's only where it was done; what failed keeps
//! the source's name. `data` has what v2 has no member for, under the envelope's own names.

use super::people::Place;
use super::{Given, Record, kind, people};
use event::Field;
use serde_json::{Map, Value};

/// Members that hold one text field.
const MEMBERS: &[(&str, Field)] = &[
    ("id", Field::Id),
    ("recordedAt", Field::Time),
    ("requestId", Field::RequestId),
    ("targetId", Field::TargetId),
    ("targetType", Field::TargetType),
    ("impersonatorId", Field::ImpersonatorId),
];
/// What Asgardeo calls an initiator that nobody signed in as.
const SYSTEM: &str = "System";
/// And one whom a record names without saying what it is.
const USER: &str = "User";

pub(super) fn render(record: Record<'_>, _: &Given<'_>) -> Value {
    let kind = kind::of(record);
    let name = kind::called(record, super::Face::Asgardeo.name(), kind.asgardeo);
    let mut out = Map::new();
    let mut placed = Vec::new();
    let initiator = people::initiator(record, kind);
    // Others have other words for somebody who signed in.
    let person = record.text(Field::ActorType).is_some_and(people::is_user);
    let of_initiator = [
        ("initiatorId", Some(initiator.id())),
        ("initiatorType", (initiator == Place::Actor && !person).then_some(Field::ActorType)),
    ];
    let members = MEMBERS.iter().map(|(member, field)| (*member, Some(*field))).chain(of_initiator);
    for (member, field) in members {
        if let Some((field, text)) = field.and_then(|field| Some((field, record.text(field)?))) {
            out.insert(member.to_owned(), text.into());
            placed.push(field);
        }
    }
    if name == record.action() {
        placed.push(Field::Action);
    }
    // Of some only the identity is known; they are no system for that.
    if initiator == Place::Actor
        && !out.contains_key("initiatorId")
        && let Some(identity) = record.text(Field::ActorIdentityId)
    {
        out.insert("initiatorId".to_owned(), identity.into());
        placed.push(Field::ActorIdentityId);
    }
    // And of some only a name. It stays beside it, as what it is.
    if !out.contains_key("initiatorId")
        && let Some(name) = people::actors_name(record, kind)
    {
        out.insert("initiatorId".to_owned(), name.into());
    }
    let unsaid = if out.contains_key("initiatorId") { USER } else { SYSTEM };
    out.entry("initiatorId").or_insert_with(|| SYSTEM.into());
    out.entry("initiatorType").or_insert_with(|| unsaid.into());
    out.insert("action".to_owned(), name.into());
    let data = record.rest(&placed);
    if !data.is_empty() {
        out.insert("data".to_owned(), data.into());
    }
    Value::Object(out)
}
