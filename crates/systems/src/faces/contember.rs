//! A record of another system as a row of Contember's `person_auth_log`: every column of the table, `null` where there is nothing.
//!
//! `type` is Contember's for such an event where it has one. `event_data` has the states before and after, and `metadata` what no
//! column has, the fields under the envelope's own names. A row has one bit for how it ended; where the record does not know,
//! `success` is `null`.

use super::people::Place;
use super::{Given, Record, kind, people};
use crate::contember;
use event::Field;
use serde_json::{Map, Value, json};

/// Columns that hold one text field.
const COLUMNS: &[(&str, Field)] = &[
    ("error_code", Field::ErrorCode),
    ("error_message", Field::Message),
    ("ip_address", Field::Ip),
    ("user_agent", Field::UserAgent),
    ("identity_provider_id", Field::ProviderId),
];
/// Members of `metadata` as Contember itself writes them.
const METADATA: &[(&str, Field)] = &[
    ("forwarderIp", Field::ForwarderIp),
    ("forwarderUserAgent", Field::ForwarderUserAgent),
    ("sessionId", Field::SessionId),
    ("reason", Field::Comments),
];
/// Columns of which no other system says anything.
const NOTHING: [&str; 3] = ["person_token_id", "geo_country", "device_fingerprint"];

pub(super) fn render(record: Record<'_>, _: &Given<'_>) -> Value {
    let kind = kind::of(record);
    let action = record.action();
    let known = crate::catalog::of("contember").get(action).is_some();
    let name = if known || kind.contember.is_empty() { action } else { kind.contember };
    let mut row = Row { record, columns: Map::new(), placed: vec![Field::Time, Field::Outcome] };
    if name == action {
        row.placed.push(Field::Action);
    }
    let columns = contember::people(name);
    let person = match people::initiator(record, kind) {
        Place::Actor => columns.person,
        other => other.id(),
    };
    row.column("id", &[Field::Id]);
    row.column("person_id", &[person]);
    // Where the person's own column holds the target, there is no other one for it.
    let target = if person == Field::TargetId { Field::SubjectId } else { Field::TargetId };
    // The column is of persons only.
    let place = if target == Field::TargetId { Place::Target } else { Place::Second };
    let target = people::may_be_person(record, place).then_some(target);
    row.column("target_person_id", target.as_slice());
    row.column("invoked_by_id", &[columns.invoked_by]);
    row.column("person_input_identifier", &[Field::Identifier, Field::Email, Field::Username]);
    for (column, field) in COLUMNS {
        row.column(column, &[*field]);
    }
    for column in NOTHING {
        row.columns.insert(column.to_owned(), Value::Null);
    }
    let mut data = Map::new();
    for (member, field) in [("before", Field::Old), ("after", Field::New)] {
        if let Some(value) = record.value(field) {
            data.insert(member.to_owned(), value.clone());
            row.placed.push(field);
        }
    }
    let mut metadata = Map::new();
    for (member, field) in METADATA {
        if let Some(text) = record.text(*field) {
            metadata.insert((*member).to_owned(), text.into());
            row.placed.push(*field);
        }
    }
    metadata.extend(record.rest(&row.placed));
    row.columns.insert("type".to_owned(), name.into());
    row.columns.insert("created_at".to_owned(), json!(record.text(Field::Time)));
    row.columns.insert(
        "success".to_owned(),
        match record.text(Field::Outcome) {
            Some("success") => true.into(),
            Some("failure" | "deny") => false.into(),
            _ => Value::Null,
        },
    );
    let data = if data.is_empty() { Value::Null } else { Value::Object(data) };
    row.columns.insert("event_data".to_owned(), data);
    row.columns.insert("metadata".to_owned(), metadata.into());
    Value::Object(row.columns)
}

struct Row<'r> {
    record: Record<'r>,
    columns: Map<String, Value>,
    placed: Vec<Field>,
}

impl Row<'_> {
    /// Fills a column with the first of these fields that has a text.
    fn column(&mut self, name: &str, fields: &[Field]) {
        let found = fields.iter().find_map(|field| Some((*field, self.record.text(*field)?)));
        self.placed.extend(found.map(|(field, _)| field));
        self.columns.insert(name.to_owned(), found.map_or(Value::Null, |(_, text)| text.into()));
    }
}
