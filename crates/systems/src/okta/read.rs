//! A System Log entry → envelope.

use super::NAME;
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::object::{Inside, Object, pick};
use crate::{Context, Reason, catalog};
use event::Field;
use event::json::Reader;

/// Members of the entry that are one text in the envelope, whichever log it is.
const FIELDS: &[(&str, Field)] = &[("eventType", Field::Action), ("displayMessage", Field::Message)];

/// Those of an object in it.
const ACTOR: &[(&str, Field)] =
    &[("id", Field::ActorId), ("type", Field::ActorType), ("displayName", Field::ActorName)];
const NOBODY: &[(&str, Field)] = &[("type", Field::ActorType)];
const CLIENT: &[(&str, Field)] = &[("id", Field::ClientActorId), ("ipAddress", Field::Ip)];

/// Objects that something stands in which the envelope has a field for.
const INSIDE: &[Inside] = &[
    Inside("actor", &[]),
    Inside("client", &[Inside("userAgent", &[])]),
    Inside("outcome", &[]),
    Inside("authenticationContext", &[]),
    Inside("transaction", &[]),
];

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

/// Ends every session of its target.
const CLEARS: &str = "user.session.clear";

/// Targets that are looked at; a list has two or three.
const TARGETS: usize = 4;

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let mut native = Object::parse_into(text, INSIDE)?;
    let kind = native.needed("eventType")?;
    out.id(&mut native, "uuid");
    out.time(&mut native, "published", Stamp::Millis, context)?;
    let known = catalog::of(NAME).get(&kind);
    out.known(known.is_some());
    let log = match known {
        Some(entry) => entry.log.as_str(),
        None if EVENTS.iter().any(|family| kind.starts_with(family)) => "event",
        None => "audit",
    };
    out.set(Field::Log, log);
    outcome(native.inner("outcome"), out);
    let level = match native.member_text("severity").as_deref() {
        Some("WARN") => "warn",
        Some("ERROR") => "error",
        _ => "info",
    };
    out.set(Field::Level, level);
    if let Some(actor) = native.inner("actor") {
        login(log, actor, out);
        // Nobody by that name signed in: all of them would be one person.
        let known = actor.member_text("id").is_none_or(|id| id != "unknown");
        out.take_members(actor, if known { ACTOR } else { NOBODY });
    }
    if let Some(client) = native.inner("client") {
        out.take_members(client, CLIENT);
        if let Some(agent) = client.inner("userAgent") {
            out.take_member(agent, "rawUserAgent", Field::UserAgent);
        }
    }
    if let Some(signed_in) = native.inner("authenticationContext") {
        // That of the administrator who ended somebody's sessions is not one of those that ended.
        if kind != CLEARS && signed_in.member_text("externalSessionId").is_some_and(|id| id != "unknown") {
            out.take_member(signed_in, "externalSessionId", Field::SessionId);
        }
        out.take_member(signed_in, "authenticationProvider", Field::ProviderName);
    }
    if let Some(transaction) = native.inner("transaction") {
        out.take_member(transaction, "id", Field::RequestId);
    }
    targets(log, &mut native, out);
    out.take_members(&mut native, FIELDS);
    out.rest(native);
    Ok(())
}

/// The word itself stays: ours say less.
fn outcome<'a>(mut native: Option<&mut Object<'a>>, out: &mut Envelope<'a>) {
    let result = native.as_mut().and_then(|native| native.member_text("result"));
    let outcome = match result.as_deref() {
        Some("SUCCESS" | "ALLOW") => "success",
        Some("FAILURE" | "ABANDONED" | "UNANSWERED") => "failure",
        Some("DENY" | "RATE_LIMIT") => "deny",
        _ => "unknown",
    };
    out.set(Field::Outcome, outcome);
    if let Some(native) = native
        && matches!(outcome, "failure" | "deny")
    {
        out.take_member(native, "reason", Field::ErrorCode);
    }
}

/// What the actor signs in with: an address as a rule.
fn login<'a>(log: &str, actor: &mut Object<'a>, out: &mut Envelope<'a>) {
    let Some(login) = actor.member_text("alternateId").filter(|login| login != "unknown") else { return };
    let field = match (login.contains('@'), log) {
        (true, "event") => Field::Email,
        (true, _) => Field::ActorEmail,
        // What applications and the system itself have there is no name of a person.
        (false, "event") if actor.member_text("type").is_some_and(|kind| kind == "User") => Field::Username,
        _ => return,
    };
    out.take_member(actor, "alternateId", field);
}

fn targets<'a>(log: &str, native: &mut Object<'a>, out: &mut Envelope<'a>) {
    // Most records have none. What was passed on may have one that is in no list any more.
    let Some(targets) = native.standing("target").filter(|targets| targets.starts_with(['[', '{'])) else { return };
    let listed = targets.starts_with('[');
    let mut places = [
        [Field::TargetId, Field::TargetType, Field::TargetName],
        [Field::SubjectId, Field::SubjectType, Field::SubjectName],
    ]
    .into_iter();
    let mut list = Reader::new(targets);
    if listed && list.open(b'[').is_err() {
        return;
    }
    let mut all: Vec<[Option<&str>; 4]> = Vec::with_capacity(TARGETS);
    for position in 0..if listed { TARGETS } else { 1 } {
        // A list that breaks off is found out once it stands in the envelope.
        if listed && !list.element(position == 0).unwrap_or(false) {
            break;
        }
        let mut ahead = list.clone();
        let found = match pick(&mut ahead, ["id", "type", "displayName", "changeDetails"]) {
            Ok(found) => {
                list = ahead;
                found
            }
            // Something else than a target has its place all the same.
            Err(_) if list.skip(1).is_ok() => [None; 4],
            Err(_) => break,
        };
        all.push(found);
    }
    // A person's account in an application is not who it is, where that is said as well: then it is the person's.
    let place_of = |wanted| all.iter().position(|[_, kind, ..]| *kind == Some(wanted));
    if let (Some(account), Some(person)) = (place_of("\"AppUser\""), place_of("\"User\"")) {
        all.swap(account, person);
        all.remove(person);
    }
    for [id, kind, name, changed] in all {
        let fields = if log == "event" && kind == Some("\"AppInstance\"") {
            [Some(Field::ClientId), None, Some(Field::ClientName)]
        } else {
            let Some(place) = places.next() else { continue };
            place.map(Some)
        };
        for (raw, field) in [id, kind, name].into_iter().zip(fields) {
            if let (Some(field), Some(raw)) = (field, raw) {
                out.copy_json(raw, field);
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
                    out.set_raw(field, state);
                }
            }
        }
    }
}
