//! What a webhook posts → envelope. Everything stays in `events`; what fills a field is copied.

use super::{EVENTS, NAME, WEBHOOK, WEBHOOK_FIELDS};
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::object::{self, Object};
use crate::{Context, Reason, catalog, sessions, split};
use event::Field;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The event in which every session that it names ended.
const REVOKED: &str = "sessionRevoked";

/// In these the user is whom it was done to; in all others the user acts.
const DONE_TO: &[&str] = &["/user/", "/registration/", "/credential/", "/group/", "/consent/"];

/// Where an event says what.
const PLACES: &[(&str, Field)] = &[
    ("initiatorType", Field::ActorType),
    ("initiatorIpAddress", Field::Ip),
    ("application.id", Field::ClientId),
    ("application.consumerKey", Field::ClientId),
    ("application.name", Field::ClientName),
    ("reason.description", Field::Message),
    ("reason.context.failedStep.idp", Field::ProviderName),
];

/// Claims of the user that fill a field.
const CLAIMS: &[(&str, Field)] =
    &[("http://wso2.org/claims/username", Field::Username), ("http://wso2.org/claims/emailaddress", Field::Email)];

/// The URI of the event, if it is one of WSO2's.
pub(super) fn uri(native: &mut Object<'_>) -> Option<String> {
    let events = native.inner("events")?;
    events.names().find(|name| name.starts_with(EVENTS)).map(str::to_owned)
}

pub(super) fn read<'a>(
    mut native: Object<'a>,
    text: &'a str,
    context: &Context<'_>,
    out: &mut Envelope<'a>,
) -> Result<(), Reason> {
    let uri = uri(&mut native)
        .ok_or_else(|| Reason::new("not_an_event", "`events` holds no event of schemas.identity.wso2.org"))?;
    let name = uri.rsplit('/').next().filter(|name| !name.is_empty()).ok_or_else(|| Reason::missing("events", None))?;
    let event = object::at(text, &["events", &uri]).unwrap_or("{}");
    out.shape(WEBHOOK);
    out.id(&mut native, "jti");
    // RFC 8417 has seconds here, WSO2 milliseconds. As milliseconds, 2026 in seconds is in January 1970.
    let issued = native.raw("iat").and_then(|raw| raw.split('.').next()?.parse::<i64>().ok());
    let seconds = issued.is_some_and(|at| at < 100_000_000_000);
    out.time(&mut native, "iat", if seconds { Stamp::UnixSeconds } else { Stamp::UnixMillis }, context)?;
    if seconds
        && !native.has("iat")
        && let Some(at) = out.at()
    {
        // The way back writes milliseconds, unless it stands there.
        native.add("iat", Stamp::UnixSeconds.write(at));
    }
    let failed = name.ends_with("Failed");
    let known = catalog::of(NAME).get_loose(name);
    out.known(known.is_some());
    out.set(Field::Log, known.map_or("event", |entry| entry.log.as_str()));
    out.set(Field::Level, if failed { "warn" } else { "info" });
    out.set(Field::Outcome, if failed { "failure" } else { "success" });
    out.set(Field::Action, name.to_owned());
    let mut event = Object::parse(event).unwrap_or_default();
    let done_to = DONE_TO.iter().any(|part| uri.contains(part));
    out.copy(&mut event, "user.id", if done_to { Field::TargetId } else { Field::ActorId });
    if event.has("user.id") {
        out.set(if done_to { Field::TargetType } else { Field::ActorType }, "User");
    }
    for (path, field) in PLACES {
        out.copy(&mut event, path, *field);
    }
    match sessions(&mut event).as_slice() {
        [session] => out.set(Field::SessionId, session.clone()),
        // The field has room for one, and each of them ended.
        several @ [_, _, ..] if catalog::alike(name, REVOKED) => sessions::end_each(several.to_vec(), out),
        _ => {}
    }
    claims(&mut event, out);
    out.take_all(&mut native, WEBHOOK_FIELDS);
    out.rest(native);
    Ok(())
}

/// The ids of all sessions that an event names, each once: one by itself, and those of a list, which are objects or ids.
fn sessions(event: &mut Object<'_>) -> Vec<String> {
    let mut named: Vec<Cow<'_, str>> = Vec::new();
    named.extend(["session.id", "sessionId"].iter().filter_map(|path| event.raw(path).cloned()));
    for list in ["sessions", "sessionIds"].iter().filter_map(|name| event.raw(name).cloned()) {
        for one in split::records(&list).into_iter().filter_map(|piece| piece.text.ok()) {
            named.push(Cow::Owned(object::at(&one, &["id"]).unwrap_or(&one).to_owned()));
        }
    }
    let mut seen = BTreeSet::new();
    let ids = named.iter().filter_map(|raw| object::decode(raw).map(Cow::into_owned)).filter(|id| !id.is_empty());
    ids.filter(|id| seen.insert(id.clone())).collect()
}

/// What the user's claims say: a list of URI and value.
fn claims(event: &mut Object<'_>, out: &mut Envelope<'_>) {
    let Some(list) = event.raw("user.claims").filter(|list| list.starts_with('[')) else { return };
    for claim in split::records(list).into_iter().filter_map(|piece| piece.text.ok()) {
        let Ok(mut claim) = Object::parse(&claim) else { continue };
        let uri = claim.text("uri").unwrap_or_default();
        if let Some((_, field)) = CLAIMS.iter().find(|(known, _)| *known == uri) {
            out.copy(&mut claim, "value", *field);
        }
    }
}
