//! Contember 2.2: rows of `person_auth_log`, and what the GraphQL query `authLog` answers.
//!
//! A row as JSON has the columns' names; they are not all what Contember's page calls them (`invoked_by_id`, not
//! `identity_id`; `ip_address`, not `client_ip`). GraphQL has the same in camel case, without `geo_country`, `device_fingerprint` and
//! `person_token_id`, and with only those members that were asked for.
//!
//! What makes it special:
//! * A foreign key is set to null when what it pointed to is deleted, so real rows have no actor any more. `null` says nothing
//!   and stays in the attributes.
//! * `person_id` is who acted, but in `person_disable` whom it was done to.
//! * What a row is about that is no person stands in `event_data`, and for each type elsewhere (`target`).
//! * `create_session_token` is impersonation: whoever invoked it goes on as `person_id`.
//! * `metadata.forwarderIp` and `forwarderUserAgent` are the proxy that a trusted key spoke for.
//! * The list of types grows; `type` is a text, and one we do not know is taken in as it is.

mod native;
pub mod pull;
mod read;
pub mod table;
mod target;
#[cfg(test)]
mod tests;

use crate::detect::Sample;
use crate::envelope::Envelope;
use crate::shapes::Amended;
use crate::split::{self, Piece};
use crate::{Context, Reason, System};
use event::Field;
use serde_json::{Map, Value};

/// The adapter.
#[derive(Debug)]
pub struct Contember;

const NAME: &str = "contember";

/// The names of one shape, and the fields they fill.
struct Shape {
    created_at: &'static str,
    person: &'static str,
    target: &'static str,
    invoked_by: &'static str,
    before: &'static str,
    after: &'static str,
    provider: &'static str,
    data: &'static str,
    address: &'static str,
    /// Texts that fill the same field whatever the type is.
    fields: &'static [(&'static str, Field)],
}

const ROW: Shape = Shape {
    created_at: "created_at",
    person: "person_id",
    target: "target_person_id",
    invoked_by: "invoked_by_id",
    before: "event_data.before",
    after: "event_data.after",
    provider: "identity_provider_id",
    data: "event_data",
    address: "ip_address",
    fields: &[
        ("type", Field::Action),
        ("person_input_identifier", Field::Identifier),
        ("error_code", Field::ErrorCode),
        ("error_message", Field::Message),
        ("ip_address", Field::Ip),
        ("user_agent", Field::UserAgent),
        ("identity_provider_id", Field::ProviderId),
        ("metadata.forwarderIp", Field::ForwarderIp),
        ("metadata.forwarderUserAgent", Field::ForwarderUserAgent),
        ("metadata.sessionId", Field::SessionId),
        ("metadata.reason", Field::Comments),
    ],
};

const GRAPHQL: Shape = Shape {
    created_at: "createdAt",
    person: "personId",
    target: "targetPersonId",
    invoked_by: "invokedByIdentityId",
    before: "eventData.before",
    after: "eventData.after",
    provider: "identityProviderId",
    data: "eventData",
    address: "ipAddress",
    fields: &[
        ("type", Field::Action),
        ("personInputIdentifier", Field::Identifier),
        ("errorCode", Field::ErrorCode),
        ("errorMessage", Field::Message),
        ("ipAddress", Field::Ip),
        ("userAgent", Field::UserAgent),
        ("identityProviderId", Field::ProviderId),
        ("metadata.forwarderIp", Field::ForwarderIp),
        ("metadata.forwarderUserAgent", Field::ForwarderUserAgent),
        ("metadata.sessionId", Field::SessionId),
        ("metadata.reason", Field::Comments),
    ],
};

/// Members at the top that have another name in each shape: the column's, and GraphQL's.
fn columns() -> impl Iterator<Item = (&'static str, &'static str)> {
    let people = [
        (ROW.created_at, GRAPHQL.created_at),
        (ROW.person, GRAPHQL.person),
        (ROW.target, GRAPHQL.target),
        (ROW.invoked_by, GRAPHQL.invoked_by),
        (ROW.data, GRAPHQL.data),
    ];
    let texts = ROW.fields.iter().zip(GRAPHQL.fields).map(|((column, _), (camel, _))| (*column, *camel));
    people.into_iter().chain(texts).filter(|(column, camel)| column != camel)
}

/// The mark of a record that came from GraphQL.
const GRAPHQL_MARK: &str = "graphql";

/// The type of a target that has a column.
const PERSON: &str = "person";

/// Members by which a GraphQL entry is told from a row.
const CAMEL: &[&str] = &[
    "createdAt",
    "invokedByIdentityId",
    "personId",
    "targetPersonId",
    "personInputIdentifier",
    "errorCode",
    "errorMessage",
    "ipAddress",
    "userAgent",
    "identityProviderId",
    "eventData",
];

/// Where GraphQL's answer has its entries.
const ENTRIES: &[&str] = &["data", "authLog", "entries"];
/// And where the tenant API is a part of another.
const INNER: &[&str] = &["data", "tenant", "authLog", "entries"];

fn entries(text: &str) -> Option<Vec<Piece<'_>>> {
    split::wrapped(text, ENTRIES).or_else(|| split::wrapped(text, INNER))
}

/// Fields that hold a person's id in this type of record.
pub(crate) struct People {
    pub(crate) person: Field,
    pub(crate) invoked_by: Field,
}

pub(crate) fn people(kind: &str) -> People {
    match kind {
        "person_disable" => People { person: Field::TargetId, invoked_by: Field::ActorIdentityId },
        "create_session_token" => People { person: Field::ActorId, invoked_by: Field::ImpersonatorId },
        _ => People { person: Field::ActorId, invoked_by: Field::ActorIdentityId },
    }
}

impl System for Contember {
    fn name(&self) -> &'static str {
        NAME
    }

    fn looks_like(&self, sample: &Sample<'_>) -> u8 {
        if entries(sample.first).is_some() {
            return 99;
        }
        if !sample.has(&["type", "success"]) {
            return 0;
        }
        let known = sample.text("type").is_some_and(|kind| crate::catalog::of(NAME).get(&kind).is_some());
        let row = ["invoked_by_id", "person_input_identifier", "target_person_id", "device_fingerprint"];
        let own = row.iter().any(|name| sample.has(&[name])) || CAMEL.iter().any(|name| sample.has(&[name]));
        match (known, own) {
            (true, true) => 98,
            (false, true) => 80,
            (true, false) => 50,
            (false, false) => 0,
        }
    }

    fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        entries(text).unwrap_or_else(|| split::records(text))
    }

    fn read<'a>(&self, text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
        read::read(text, context, out)
    }

    fn shapes(&self) -> bool {
        true
    }

    /// Its foreign keys are set to null where what they name is deleted.
    fn amends(&self) -> Amended {
        Amended {
            fields: &[
                Field::ActorId,
                Field::ActorIdentityId,
                Field::ImpersonatorId,
                Field::TargetId,
                Field::TargetType,
                Field::ProviderId,
                Field::SessionUserId,
            ],
            members: &["person_token_id", ROW.person, ROW.target, ROW.invoked_by, ROW.provider],
            ..Amended::default()
        }
    }

    /// The columns' names; but for the time, which the record has.
    fn plain(&self, attributes: &mut Map<String, Value>, shape: &str, _id: &str) {
        if shape == GRAPHQL_MARK {
            for (column, camel) in columns() {
                if let Some(value) = attributes.remove(camel) {
                    attributes.insert(column.to_owned(), value);
                }
            }
        }
        attributes.remove(ROW.created_at);
    }

    fn to_native(&self, envelope: &Value) -> Option<Value> {
        Some(native::to_native(envelope))
    }
}
