//! ory-nestjs 0.6: what its `AuditSink` is given, an `IamAuditEvent`.
//!
//! ```text
//! { timestamp (JavaScript's, milliseconds, Z), event, tenant, actorId?, targetId?,
//!   result: success | failure | deny, attributes: {…} (always there), correlationId? }
//! ```
//!
//! What makes it special:
//! * There is no event id, so the id is a hash of the record, and no level, so it follows from `result`.
//! * `authz.permission.grant` means two things. A check that passed has `attributes.route`; a tuple that was written
//!   has `attributes.subject`. They are told apart by `target.type`: `permission check`, or `permission` with the `subject` it was
//!   given to.
//! * Such a `subject` is a text, or an object: `{id}`, or Keto's subject set. It is then written as Keto writes it, `{namespace}:{object}#{relation}`, and
//!   the object stays. A set is those who are in it, and no one person: `subject.type` says so.
//! * Its `LoggerAuditSink` gives the whole event to Nest's logger, which as JSON has it as `message`.
//! * A change never names its actor. Who was signed in for the same `correlationId` did it: `actor.id` is then taken from that
//!   `auth.success`, which came before it or stands anywhere in the same body, and marked as inferred.

mod native;
mod read;
#[cfg(test)]
mod tests;

use crate::detect::Sample;
use crate::envelope::Envelope;
use crate::{Context, Reason, System};
use event::Field;
use serde_json::Value;

/// The adapter.
#[derive(Debug)]
pub struct OryNestjs;

const NAME: &str = "ory-nestjs";

/// Where a logger has the event.
const MESSAGE: &str = "message";

/// Native members that are one text in the envelope.
const FIELDS: &[(&str, Field)] = &[
    ("event", Field::Action),
    ("actorId", Field::ActorId),
    ("targetId", Field::TargetId),
    ("correlationId", Field::RequestId),
    ("attributes.subject", Field::SubjectId),
    ("attributes.reason", Field::ErrorCode),
];

/// Where a change says the name of what it made.
const NAMED: &[(&str, &str)] = &[
    ("oauth2.client.create", "attributes.clientName"),
    ("iam.network.project.create", "attributes.name"),
    ("iam.network.project.apiKey.create", "attributes.keyName"),
    ("iam.network.workspace.create", "attributes.workspaceName"),
    ("iam.network.workspace.apiKey.create", "attributes.keyName"),
];

/// Target types by the beginning of a name, the longest first where one begins with another.
const TARGETS: &[(&str, &str)] = &[
    ("iam.identity.", "identity"),
    ("iam.session.", "session"),
    ("authz.session.", "session"),
    ("iam.courier.message.", "message"),
    ("iam.oauth2.trustedIssuer.", "trusted issuer"),
    ("iam.jwk.", "key"),
    ("iam.network.project.apiKey.", "API key"),
    ("iam.network.project.", "project"),
    ("iam.network.workspace.apiKey.", "API key"),
    ("iam.network.workspace.", "workspace"),
    ("iam.network.events.", "event stream"),
    ("oauth2.client.", "client"),
];

/// `target.type` of a relation that was asked for, and of one that was written.
pub(crate) const CHECK: &str = "permission check";
const PERMISSION: &str = "permission";
/// `subject.type` of all who have a relation to something.
pub(crate) const SUBJECT_SET: &str = "subject set";

impl System for OryNestjs {
    fn name(&self) -> &'static str {
        NAME
    }

    fn looks_like(&self, sample: &Sample<'_>) -> u8 {
        if sample.has(&["message.timestamp", "message.event", "message.result", "message.attributes"]) {
            return 90;
        }
        if !sample.has(&["timestamp", "event", "result"]) {
            return 0;
        }
        let result = sample.text("result").is_some_and(|r| matches!(r.as_str(), "success" | "failure" | "deny"));
        match (result, sample.has(&["tenant", "attributes"])) {
            (true, true) => 97,
            (true, false) => 60,
            (false, true) => 40,
            (false, false) => 0,
        }
    }

    fn foresee(&self, text: &str, context: &Context<'_>) {
        read::foresee(text, context);
    }

    fn read<'a>(&self, text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
        read::read(text, context, out)
    }

    fn to_native(&self, envelope: &Value) -> Option<Value> {
        Some(native::to_native(envelope))
    }
}
