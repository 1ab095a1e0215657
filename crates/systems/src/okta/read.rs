//! A System Log entry → envelope.

use super::NAME;
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::object::{Object, pick};
use crate::{Context, Reason, catalog};
use event::Field;
use event::json::Reader;

/// Members that are one text in the envelope, whichever log it is.
const FIELDS: &[(&str, Field)] = &[
    ("eventType", Field::Action),
    ("displayMessage", Field::Message),
    ("actor.id", Field::ActorId),
    ("actor.type", Field::ActorType),
    ("actor.displayName", Field::ActorName),
    ("client.id", Field::ClientActorId),
    ("client.ipAddress", Field::Ip),
    ("client.userAgent.rawUserAgent", Field::UserAgent),
    ("authenticationContext.authenticationProvider", Field::ProviderName),
    ("transaction.id", Field::RequestId),
];

/// Objects that something of [`FIELDS`] stands in.
const INSIDE: &[&str] = &["actor", "client", "userAgent", "outcome", "authenticationContext", "transaction"];

/// Families whose events are what people did with their accounts, not what was changed in Okta.
const EVENTS: &[&str] = &[
    "user.session.",
    "user.authentication.",
    "user.mfa.attempt",
    "user.mfa.okta_verify",
    "app.oauth2.",
    "app.generic.",
    "policy.evaluate_sign_on",
    "security.",
    "system.email.",
    "system.sms.",
    "system.push.",
    "system.org.rate_limit",
];

/// Targets that are looked at; a list has two or three.
const TARGETS: usize = 4;

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let mut native = Object::parse_into(text, INSIDE)?;
    let kind = native.text("eventType").filter(|kind| !kind.is_empty()).ok_or_else(|| Reason::missing("eventType"))?;
    out.id(&mut native, "uuid");
    out.time(&mut native, "published", Stamp::Millis, context)?;
    let log = match catalog::of(NAME).get(&kind) {
        Some(entry) => entry.log.as_str(),
        None if EVENTS.iter().any(|family| kind.starts_with(family)) => "event",
        None => "audit",
    };
    out.set(Field::Log, log);
    outcome(&mut native, out);
    let level = match native.text("severity").as_deref() {
        Some("WARN") => "warn",
        Some("ERROR") => "error",
        _ => "info",
    };
    out.set(Field::Level, level);
    login(log, &mut native, out);
    if native.text("authenticationContext.externalSessionId").is_some_and(|id| id != "unknown") {
        out.take(&mut native, "authenticationContext.externalSessionId", Field::SessionId);
    }
    targets(log, &mut native, out);
    out.take_all(&mut native, FIELDS);
    out.rest(native);
    Ok(())
}

/// The word itself stays: ours say less.
fn outcome<'a>(native: &mut Object<'a>, out: &mut Envelope<'a>) {
    let outcome = match native.text("outcome.result").as_deref() {
        Some("SUCCESS" | "ALLOW") => "success",
        Some("FAILURE" | "ABANDONED" | "UNANSWERED") => "failure",
        Some("DENY" | "RATE_LIMIT") => "deny",
        _ => "unknown",
    };
    out.set(Field::Outcome, outcome);
    if matches!(outcome, "failure" | "deny") {
        out.take(native, "outcome.reason", Field::ErrorCode);
    }
}

/// What the actor signs in with: an address as a rule.
fn login<'a>(log: &str, native: &mut Object<'a>, out: &mut Envelope<'a>) {
    let Some(login) = native.text("actor.alternateId").filter(|login| login != "unknown") else { return };
    let field = match (login.contains('@'), log) {
        (true, "event") => Field::Email,
        (true, _) => Field::ActorEmail,
        // What applications and the system itself have there is no name of a person.
        (false, "event") if native.text("actor.type").is_some_and(|kind| kind == "User") => Field::Username,
        _ => return,
    };
    out.take(native, "actor.alternateId", field);
}

fn targets<'a>(log: &str, native: &mut Object<'a>, out: &mut Envelope<'a>) {
    let Some(targets) = native.raw("target").cloned() else { return };
    let mut places = [
        [Field::TargetId, Field::TargetType, Field::TargetName],
        [Field::SubjectId, Field::SubjectType, Field::SubjectName],
    ]
    .into_iter();
    let mut list = Reader::new(&targets);
    if list.open(b'[').is_err() {
        return;
    }
    for position in 0..TARGETS {
        // A list that breaks off is found out once it stands in the envelope.
        if !list.element(position == 0).unwrap_or(false) {
            break;
        }
        let Ok(target) = list.skip(1) else { break };
        let [id, kind, name, changed] =
            pick(&mut Reader::new(target), ["id", "type", "displayName", "changeDetails"]).unwrap_or_default();
        let fields = if log == "event" && kind == Some("\"AppInstance\"") {
            [Some(Field::ClientId), None, Some(Field::ClientName)]
        } else {
            let Some(place) = places.next() else { continue };
            place.map(Some)
        };
        for (raw, field) in [id, kind, name].into_iter().zip(fields) {
            if let (Some(field), Some(raw)) = (field, raw) {
                out.copy_raw(raw, field);
            }
        }
        // What changed is said of one target; the list itself stays, so this is not taken from it.
        let states = changed.and_then(|changed| pick(&mut Reader::new(changed), ["from", "to"]).ok());
        if let Some([Some(from), Some(to)]) = states
            && out.is_empty(Field::Old)
            && out.is_empty(Field::New)
        {
            for (field, state) in [(Field::Old, from), (Field::New, to)] {
                if state != "null" {
                    out.set_raw(field, state.to_owned());
                }
            }
        }
    }
}
