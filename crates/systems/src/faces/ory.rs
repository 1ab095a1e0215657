//! A record of another system as an event of Ory Network's stream.
//!
//! ```text
//! { name, version: "1", timestamp, projectId, eventAttributes: { name: text, … } }
//! ```
//!
//! The name is Ory's for such an event where Ory has one, else the source's. Ory's attributes hold what they hold in an event of
//! that name; every other field stands beside them under its path in capitals' spelling (`ActorName`), JSON as text, because
//! every value of a stream event is a text. `projectId` is the tenant's name.

use super::{Given, Record, kind, people};
use crate::ory_network::events;
use event::Field;
use serde_json::{Map, Value, json};

pub(super) fn render(record: Record<'_>, given: &Given<'_>) -> Value {
    let kind = kind::of(record);
    let name = kind::called(record, super::Face::Ory.name(), kind.ory);
    let mut attributes = Map::new();
    let mut placed = vec![Field::Time];
    if name == record.action() {
        placed.push(Field::Action);
    }
    for (attribute, field) in events::attributes(name) {
        let field = match (attribute, field) {
            // Ory's event has one person, whom it is about; who acts has a field of the envelope.
            (_, Field::ActorId) | ("IdentityID", Field::TargetId) => people::one_person(record, kind),
            // Whoever else is an application is no SCIM client.
            ("SCIMClient", _) => None,
            ("SCIMGroupID", _) => Some(people::group(record).id()),
            ("SCIMGroupDisplayName", _) => people::group(record).name(),
            _ => Some(field),
        };
        if let Some((field, text)) = field.and_then(|field| Some((field, record.text(field)?))) {
            attributes.insert(attribute.to_owned(), text.into());
            placed.push(field);
        }
    }
    for (field, text) in record.fields().filter(|(field, _)| !placed.contains(field)) {
        let key = super::cef::key(field).replacen("Indelible", "", 1);
        attributes.entry(key).or_insert_with(|| text.into_owned().into());
    }
    if let Some(proof) = given.proof {
        attributes.insert("LedgerIndex".to_owned(), proof.index.to_string().into());
        attributes.insert("LedgerLeafHash".to_owned(), proof.leaf.into());
    }
    json!({
        "name": name,
        "version": "1",
        "timestamp": record.text(Field::Time),
        "projectId": given.tenant,
        "eventAttributes": attributes,
    })
}
