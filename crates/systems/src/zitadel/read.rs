//! An event, in either shape → envelope.

use super::NAME;
use crate::envelope::Envelope;
use crate::moment::{self, Stamp};
use crate::object::{self, Inside, Object};
use crate::{Context, Reason, catalog};
use event::Field;
use std::borrow::Cow;

/// What an event that Actions v2 sends has as texts of its own.
const ACTIONS: &[(&str, Field)] = &[("userID", Field::ActorId)];

/// Who wrote an event that was searched for.
const EDITOR: &[(&str, Field)] =
    &[("userId", Field::ActorId), ("displayName", Field::ActorName), ("service", Field::ClientActorName)];

/// Objects that something is taken from of an event that was searched for.
const INSIDE: &[Inside] =
    &[Inside("aggregate", &[Inside("type", &[])]), Inside("editor", &[]), Inside("type", &[Inside("localized", &[])])];

/// Where the payload has its user's address and browser: of a login by way of the hosted pages, and of a session by way of the API.
const CLIENT: &[(&[&str], Field)] = &[
    (&["browserInfo", "remoteIP"], Field::Ip),
    (&["browserInfo", "userAgent"], Field::UserAgent),
    (&["user_agent", "ip"], Field::Ip),
    (&["userAgent", "ip"], Field::Ip),
    (&["user_agent", "description"], Field::UserAgent),
    (&["userAgent", "description"], Field::UserAgent),
];

/// What decides what an event means, and where the rest of it is in its shape.
struct Said<'a> {
    kind: Option<Cow<'a, str>>,
    aggregate_id: Option<Cow<'a, str>>,
    aggregate_type: Option<Cow<'a, str>>,
    /// Where its kind is, for who misses it.
    named: &'static str,
    time: &'static str,
    payload: &'static str,
}

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let mut native = Object::parse_into(text, INSIDE)?;
    let said = if native.has("event_type") { actions(&mut native, out) } else { search(&mut native, out) };
    let kind = said.kind.as_deref().filter(|kind| !kind.is_empty()).ok_or_else(|| native.misses(said.named))?;
    out.time(&mut native, said.time, Stamp::Micros, context)?;
    id(&mut native, &said, text, out);
    let known = catalog::of(NAME).get(kind);
    out.known_with_outcome(known.is_some());
    out.set(Field::Log, known.map_or_else(|| log_of(kind), |entry| entry.log.as_str()));
    let failed = kind.ends_with(".failed");
    out.set(Field::Outcome, if failed { "failure" } else { "success" });
    out.set(Field::Level, if failed { "warn" } else { known.map_or("info", |entry| entry.level.as_str()) });
    if kind.starts_with("session.")
        && let Some(id) = out.text(Field::TargetId).map(Cow::into_owned)
    {
        out.set(Field::SessionId, id);
    }
    open_payload(&mut native);
    if let Some(payload) = native.raw(said.payload).cloned() {
        for (path, field) in CLIENT {
            if let Some(raw) = object::at(&payload, path) {
                out.copy_raw(raw, *field);
            }
        }
    }
    // A session begins as nobody's; whose it is is said once its user was found.
    if kind == "session.user.checked"
        && let Some(owner) = native.raw(said.payload).and_then(|payload| object::at(payload, &["userID"]))
    {
        out.copy_raw(owner, Field::SessionUserId);
    }
    // How long it lives is counted from then on, in nanoseconds.
    if kind == "session.lifetime.set"
        && let Some(life) = native.raw(said.payload).and_then(|payload| object::at(payload, &["lifetime"]))
        && let Some(life) = life.trim_matches('"').parse::<i64>().ok().filter(|life| *life > 0)
        && let Some(end) = out.at().and_then(|at| at.checked_add(life / 1000)).filter(|end| moment::plausible(*end))
    {
        out.infer(Field::SessionExpiresAt, format!("\"{}\"", event::time::format(end)));
    }
    // What a user was given is a grant or a membership of its own, and whom it was given to is in it.
    if (kind.starts_with("user.grant.") || kind.contains(".member."))
        && let Some(user) = native.raw(said.payload).and_then(|payload| object::at(payload, &["userId"]))
    {
        out.copy_raw(user, Field::SubjectId);
        if !out.is_empty(Field::SubjectId) {
            out.set(Field::SubjectType, "user");
        }
    }
    out.rest(native);
    Ok(())
}

fn actions<'a>(native: &mut Object<'a>, out: &mut Envelope<'a>) -> Said<'a> {
    out.shape("actions");
    out.take_members(native, ACTIONS);
    Said {
        kind: out.take_saying(native, "event_type", Field::Action),
        aggregate_id: out.take_saying(native, "aggregateID", Field::TargetId),
        aggregate_type: out.take_saying(native, "aggregateType", Field::TargetType),
        named: "event_type",
        time: "created_at",
        payload: "event_payload",
    }
}

fn search<'a>(native: &mut Object<'a>, out: &mut Envelope<'a>) -> Said<'a> {
    let mut said = Said {
        kind: None,
        aggregate_id: None,
        aggregate_type: None,
        named: "type.type",
        time: "creationDate",
        payload: "payload",
    };
    if let Some(kind) = native.inner("type") {
        said.kind = out.take_saying(kind, "type", Field::Action);
        if let Some(localized) = kind.inner("localized") {
            out.take_member(localized, "localizedMessage", Field::Message);
        }
    }
    if let Some(aggregate) = native.inner("aggregate") {
        said.aggregate_id = out.take_saying(aggregate, "id", Field::TargetId);
        let kind = aggregate.inner("type");
        said.aggregate_type = kind.and_then(|kind| out.take_saying(kind, "type", Field::TargetType));
    }
    if let Some(editor) = native.inner("editor") {
        out.take_members(editor, EDITOR);
    }
    said
}

/// The aggregate, the number of the event in it, what happened and when, which are the same in both shapes; the whole record where the
/// aggregate or the number is missing. After a restore numbers begin anew, and another installation may have the same ids: then the time
/// tells.
fn id<'a>(native: &mut Object<'a>, said: &Said<'_>, text: &str, out: &mut Envelope<'a>) {
    let sequence = native.member("sequence").map_or("", |raw| raw.trim_matches('"'));
    let (kind, id) =
        (said.aggregate_type.as_deref().unwrap_or_default(), said.aggregate_id.as_deref().unwrap_or_default());
    let counted = !sequence.is_empty() && sequence.bytes().all(|b| b.is_ascii_digit());
    if counted && !id.is_empty() {
        let event = said.kind.as_deref().unwrap_or_default();
        let at = out.at().map(|at| at.to_string()).unwrap_or_default();
        out.id_by_contents(&[NAME, kind, id, sequence, event, &at]);
    } else {
        out.id_by_content(text);
    }
}

/// Names that the catalogue does not have: what people do, and what is changed.
fn log_of(kind: &str) -> &'static str {
    const EVENTS: &[&str] = &[".check.", "session.", "token.", "auth_request.", ".signed.out", "saml_request."];
    if EVENTS.iter().any(|part| kind.contains(part)) { "event" } else { "audit" }
}

/// Base64 hides from redaction what is in it, so sound JSON takes its place, and what is left of JSON that was cut as a text. Tells
/// whether it was opened.
pub(super) fn open_payload(native: &mut Object<'_>) -> bool {
    let json = native.text("event_payload").and_then(|payload| object::from_base64(&payload));
    let Some(json) = json else { return false };
    let sound = serde_json::from_str::<&serde_json::value::RawValue>(&json).is_ok();
    if !sound && !json.trim_start().starts_with(['{', '[']) {
        return false;
    }
    native.take("event_payload");
    native.add_opened("event_payload", json, sound);
    true
}
