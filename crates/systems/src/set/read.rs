//! The payload of a token → envelope.

use super::NAME;
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::object::{self, Object};
use crate::{Context, Reason, catalog, sessions};
use event::Field;
use event::json::write_string;
use std::borrow::Cow;

/// Members of a subject that name it, in the formats of RFC 9493, most telling first.
const NAMES: &[&str] = &["sub", "id", "email", "phone_number", "uri", "url"];
/// Parts of a subject that is made of several; the person first.
const PARTS: &[&str] = &["user", "session", "device", "application", "group", "tenant", "org_unit"];
/// Members of a session's subject that name it, beside [`NAMES`].
const SESSION_NAMES: &[&str] = &["jti", "assertion_id"];
/// Digits of a time in seconds, up to the year 5138.
const SECONDS: usize = 11;
/// Events that say that sessions were revoked.
const REVOKED: [&str; 2] = [
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
    "https://schemas.openid.net/secevent/risc/event-type/sessions-revoked",
];

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let mut native = Object::parse(text)?;
    let uri = native.inner("events").and_then(|events| events.names().next().map(str::to_owned));
    let uri = uri.filter(|uri| !uri.is_empty()).ok_or_else(|| {
        let what = "a security event token has the event there, `\"events\": { \"https://…\": { … } }`";
        let came = match native.json("events").as_deref() {
            None => "is missing",
            Some("null") => "is null",
            Some(raw) if raw.starts_with('{') => "is an object with nothing in it",
            Some(_) => "is no object",
        };
        Reason::new("missing_field", format!("`events` {came}; {what}"))
    })?;
    let events = object::at(text, &["events"]).unwrap_or_default();
    let event = object::at(events, &[&uri]).unwrap_or_default();

    let claim = |native: &mut Object<'a>, name| native.text(name).unwrap_or_default();
    let (issuer, token) = (claim(&mut native, "iss"), claim(&mut native, "jti"));
    if token.is_empty() {
        out.id_by_content(text);
    } else {
        out.id_by(&[NAME, &issuer, &token]);
    }
    time(&mut native, event, context, out)?;
    let known = catalog::of(NAME).get(&uri);
    out.known(known.is_some());
    out.set(Field::Log, known.map_or("event", |entry| entry.log.as_str()));
    out.set(Field::Level, known.map_or("info", |entry| entry.level.as_str()));
    // A token states what is so; how an attempt ended is not what it is about.
    out.set(Field::Outcome, "success");
    subject(&mut native, event, out);
    // Of several facets the one that ends sessions may be another than the first.
    let revokes = REVOKED.into_iter().find_map(|uri| Some((uri, object::at(events, &[uri])?)));
    let (ending, its) = revokes.unwrap_or((&uri, event));
    session(ending, &mut native, its, out);
    if let Some(by) = object::at(event, &["initiating_entity"]) {
        out.copy_raw(by, Field::ActorType);
    }
    for path in [["reason_admin", "en"], ["reason_user", "en"]] {
        if let Some(reason) = object::at(event, &path) {
            out.copy_raw(reason, Field::Message);
        }
    }
    out.take(&mut native, "txn", Field::RequestId);
    out.set(Field::Action, uri);
    out.rest(native);
    Ok(())
}

fn time<'a>(native: &mut Object<'a>, event: &str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    if native.has("toe") {
        return out.time(native, "toe", Stamp::UnixSeconds, context);
    }
    if let Some(raw) = object::at(event, &["event_timestamp"]) {
        // Older drafts of CAEP had milliseconds, which as seconds are a time nobody lives in.
        let in_millis = raw.trim_matches('"').split('.').next().is_some_and(|whole| whole.len() > SECONDS);
        let stamp = if in_millis { Stamp::UnixMillis } else { Stamp::UnixSeconds };
        let (at, _) = crate::moment::read(raw, stamp, context.zone)
            .ok_or_else(|| Reason::time("event_timestamp", raw, Stamp::UnixSeconds.wanted()))?;
        out.set_line_time(at, true);
        return Ok(());
    }
    out.time(native, "iat", Stamp::UnixSeconds, context)
}

/// Whom the event is about. Where it stands it stays: one text does not hold what a subject says.
fn subject<'a>(native: &mut Object<'a>, event: &str, out: &mut Envelope<'a>) {
    let of_token = native.raw("sub_id").map(ToString::to_string);
    let of_event = object::at(event, &["subject"]).map(str::to_owned);
    for subject in [of_token, of_event].into_iter().flatten() {
        let (kind, inner) = PARTS
            .iter()
            .find_map(|part| object::at(&subject, &[part]).filter(|raw| raw.starts_with('{')).map(|raw| (*part, raw)))
            .unwrap_or(("", &subject));
        // `aliases` is a list of names for one subject.
        let inner = object::at(inner, &["identifiers", "0"]).unwrap_or(inner);
        for name in NAMES {
            if let Some(raw) = object::at(inner, &[name]) {
                out.copy_raw(raw, Field::TargetId);
            }
        }
        if let Some(email) = object::at(inner, &["email"]) {
            out.copy_raw(email, Field::Email);
        }
        if !kind.is_empty() && !out.is_empty(Field::TargetId) && out.is_empty(Field::TargetType) {
            let mut raw = String::new();
            write_string(&mut raw, kind);
            out.set_raw(Field::TargetType, raw);
        }
    }
    out.copy(native, "sub", Field::TargetId);
}

/// Which session the event is about and whose it is; or whose sessions ended all at once, where it says that and names none.
fn session<'a>(uri: &str, native: &mut Object<'a>, event: &str, out: &mut Envelope<'a>) {
    let of_token = native.raw("sub_id").map(ToString::to_string);
    let of_event = object::at(event, &["subject"]).map(str::to_owned);
    let in_event = || format!("/events/{}/subject", uri.replace('~', "~0").replace('/', "~1"));
    let place = if of_token.is_some() { "/sub_id".to_owned() } else { in_event() };
    let subject = of_token.or(of_event).unwrap_or_default();
    let part = |name: &str| object::at(&subject, &[name]).filter(|raw| raw.starts_with('{'));
    let parts: Vec<&str> = PARTS.iter().copied().filter(|name| part(name).is_some()).collect();
    // A subject that is not made of several is the person.
    let user =
        if parts.is_empty() { name_of(&subject, NAMES) } else { part("user").and_then(|raw| name_of(raw, NAMES)) };
    let user = user.or_else(|| native.text("sub").filter(|_| subject.is_empty()).map(Cow::into_owned));
    let named = part("session").and_then(|raw| name_of(raw, NAMES).or_else(|| name_of(raw, SESSION_NAMES)));
    if let Some(id) = named {
        out.set(Field::SessionId, id);
        if let Some(user) = user {
            out.set(Field::SessionUserId, user);
        }
        return;
    }
    // Somebody's sessions on one device only, or of one application: nobody says which those are.
    let some_only = parts.iter().any(|part| !matches!(*part, "user" | "tenant"));
    if some_only || !REVOKED.contains(&uri) {
        return;
    }
    match user {
        Some(user) => sessions::end_all_of(&user, out),
        // Tenants are named by each issuer for itself.
        None if parts == ["tenant"] => {
            let tenant = [Cow::Borrowed("source"), "/iss".into(), format!("{place}/tenant").into()];
            sessions::end_all(tenant, out);
        }
        None => {}
    }
}

/// The text or number that names a subject, in whichever of these members it has one.
fn name_of(subject: &str, names: &[&str]) -> Option<String> {
    let inner = object::at(subject, &["identifiers", "0"]).unwrap_or(subject);
    let name = names.iter().find_map(|name| {
        let raw = object::at(inner, &[name])?;
        let number = || raw.bytes().all(|b| b.is_ascii_digit()).then(|| raw.to_owned());
        object::decode(&Cow::Borrowed(raw)).map(Cow::into_owned).or_else(number)
    });
    name.filter(|name| !name.is_empty())
}
