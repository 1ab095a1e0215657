//! Keycloak: user events and admin events, as its REST interface and its listeners give them, and as its log prints them.
//!
//! ```text
//! user   { id?, time (ms), type, realmId, realmName?, clientId, userId, sessionId?, ipAddress, error?, details{}? }
//! admin  { id?, time (ms), realmId, authDetails{ realmId, clientId, userId, ipAddress }, operationType, resourceType,
//!          resourcePath, representation (JSON in a string), error?, details{}? }
//! line   type="LOGIN", realmId="…", clientId="…", userId="…", ipAddress="…", …        after the server's own prefix
//! line   type=LOGIN_ERROR, realmId=test, clientId=…, …, username=a, b                 before version 22
//! ```
//!
//! What makes it special:
//! * Each type has an `_ERROR` twin.
//! * An admin event's action is `operationType resourceType`; its target is the entity that `resourcePath` begins with.
//! * `representation` is what the request carried: the state after a change, so `new`; for `DELETE` it is what is gone, so `old`.
//!   Keycloak never sends the state before; what was known of it is derived (`change`).
//! * Old log lines quote nothing but values with spaces, and values may hold commas: a value ends where `, name=` follows. What
//!   stands there twice (somebody's user name may look like a field) is not believed.
//! * A line's time has no zone; its prefix is kept as `line`, with what a shipper wrote before it. Colours are taken out.
//! * A line has no id. One with its day is known by its text, a JSON one by what numbers it: a line that is sent again is the same record.

mod change;
mod line;
mod native;
pub mod pull;
mod read;
pub(crate) mod revoke;
#[cfg(test)]
mod tests;

use crate::change::Change;
use crate::detect::Sample;
use crate::envelope::Envelope;
use crate::shipped::carried;
use crate::{Context, Reason, System};
use event::Field;
use serde_json::Value;

/// The adapter.
#[derive(Debug)]
pub struct Keycloak;

const NAME: &str = "keycloak";

/// User events: native members that are one text in the envelope.
const USER: &[(&str, Field)] = &[
    ("type", Field::Action),
    ("clientId", Field::ClientId),
    ("userId", Field::ActorId),
    ("sessionId", Field::SessionId),
    ("ipAddress", Field::Ip),
    ("error", Field::ErrorCode),
    ("details.username", Field::Username),
    ("details.email", Field::Email),
    ("details.identity_provider", Field::ProviderId),
    ("details.impersonator", Field::ImpersonatorName),
];

/// Admin events: the same.
const ADMIN: &[(&str, Field)] = &[
    ("authDetails.userId", Field::ActorId),
    ("authDetails.clientId", Field::ClientActorId),
    ("authDetails.ipAddress", Field::Ip),
    ("error", Field::ErrorCode),
];

impl System for Keycloak {
    fn name(&self) -> &'static str {
        NAME
    }

    fn looks_like(&self, sample: &Sample<'_>) -> u8 {
        if sample.object.is_none() {
            return if line::parse(&crate::shipped::uncoloured(sample.first)).is_some() { 95 } else { 0 };
        }
        if sample.text("loggerName").is_some_and(|name| name == line::LOGGER) {
            return 99;
        }
        if sample.has(&["operationType", "resourceType", "authDetails"])
            || sample.has(&["operationType", "resourcePath"])
        {
            return 98;
        }
        let kind = sample.text("type").is_some_and(|kind| read::is_kind(&kind));
        if !kind || !sample.has(&["type", "realmId"]) {
            let Some(mut object) = sample.object.clone() else { return 0 };
            let line = !read::known(&mut object) && carried(&mut object, read::is_line).is_some();
            return if line { 95 } else { 0 };
        }
        match (kind, sample.has(&["time"])) {
            (true, true) => 97,
            (true, false) => 70,
            _ => 0,
        }
    }

    fn read<'a>(&self, text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
        read::read(text, context, out)
    }

    fn change(&self, envelope: &Value) -> Option<Change> {
        change::of_stored(envelope)
    }

    fn states(&self) -> Option<&'static str> {
        Some("outcome:success (log:audit OR action:[UPDATE_EMAIL,UPDATE_PROFILE])")
    }

    fn to_native(&self, envelope: &Value) -> Option<Value> {
        Some(native::to_native(envelope))
    }
}
