//! An event, in either shape → envelope.

use super::NAME;
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::object::{self, Object};
use crate::{Context, Reason, catalog};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use event::Field;
use std::borrow::Cow;

/// Where one shape has what.
struct Shape {
    kind: &'static str,
    time: &'static str,
    aggregate_id: &'static str,
    aggregate_type: &'static str,
    payload: &'static str,
    fields: &'static [(&'static str, Field)],
}

const ACTIONS: Shape = Shape {
    kind: "event_type",
    time: "created_at",
    aggregate_id: "aggregateID",
    aggregate_type: "aggregateType",
    payload: "event_payload",
    fields: &[
        ("event_type", Field::Action),
        ("aggregateID", Field::TargetId),
        ("aggregateType", Field::TargetType),
        ("userID", Field::ActorId),
    ],
};

const SEARCH: Shape = Shape {
    kind: "type.type",
    time: "creationDate",
    aggregate_id: "aggregate.id",
    aggregate_type: "aggregate.type.type",
    payload: "payload",
    fields: &[
        ("type.type", Field::Action),
        ("type.localized.localizedMessage", Field::Message),
        ("aggregate.id", Field::TargetId),
        ("aggregate.type.type", Field::TargetType),
        ("editor.userId", Field::ActorId),
        ("editor.displayName", Field::ActorName),
        ("editor.service", Field::ClientActorName),
    ],
};

/// Objects that something of [`SEARCH`] stands in.
const INSIDE: &[&str] = &["aggregate", "editor", "type", "localized"];

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let mut native = Object::parse_into(text, INSIDE)?;
    let shape = if native.has("event_type") {
        out.shape("actions");
        &ACTIONS
    } else {
        &SEARCH
    };
    let kind = native.text(shape.kind).filter(|kind| !kind.is_empty()).ok_or_else(|| Reason::missing(shape.kind))?;
    id(&mut native, shape, text, out);
    out.time(&mut native, shape.time, Stamp::Micros, context)?;
    let known = catalog::of(NAME).get(&kind);
    out.set(Field::Log, known.map_or_else(|| log_of(&kind), |entry| entry.log.as_str()));
    let failed = kind.ends_with(".failed");
    out.set(Field::Outcome, if failed { "failure" } else { "success" });
    out.set(Field::Level, if failed { "warn" } else { known.map_or("info", |entry| entry.level.as_str()) });
    out.take_all(&mut native, shape.fields);
    if kind.starts_with("session.")
        && let Some(id) = out.text(Field::TargetId).map(Cow::into_owned)
    {
        out.set(Field::SessionId, id);
    }
    open_payload(&mut native);
    // A session begins as nobody's; whose it is is said once its user was found.
    if kind == "session.user.checked"
        && let Some(owner) = native.raw(shape.payload).and_then(|payload| object::at(payload, &["userID"]))
    {
        out.copy_raw(owner, Field::SessionUserId);
    }
    out.rest(native);
    Ok(())
}

/// The aggregate and the number of the event in it; the whole record where either is missing.
fn id<'a>(native: &mut Object<'a>, shape: &Shape, text: &str, out: &mut Envelope<'a>) {
    let sequence = native.raw("sequence").map(|raw| raw.trim_matches('"').to_owned()).unwrap_or_default();
    let kind = native.text(shape.aggregate_type).unwrap_or_default();
    let id = native.text(shape.aggregate_id).unwrap_or_default();
    let counted = !sequence.is_empty() && sequence.bytes().all(|b| b.is_ascii_digit());
    if counted && !id.is_empty() {
        out.id_by(&[NAME, &kind, &id, &sequence]);
    } else {
        out.id_by_content(text);
    }
}

/// Names that the catalogue does not have: what people do, and what is changed.
fn log_of(kind: &str) -> &'static str {
    const EVENTS: &[&str] = &[".check.", "session.", "token.", "auth_request.", ".signed.out", "saml_request."];
    if EVENTS.iter().any(|part| kind.contains(part)) { "event" } else { "audit" }
}

/// Base64 hides from redaction what is in it, so sound JSON takes its place.
fn open_payload(native: &mut Object<'_>) {
    let Some(payload) = native.text("event_payload") else { return };
    let Some(json) = STANDARD.decode(payload.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return;
    };
    if serde_json::from_str::<&serde_json::value::RawValue>(&json).is_ok() {
        native.take("event_payload");
        native.add("event_payload", json);
    }
}
