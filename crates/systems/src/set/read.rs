//! The payload of a token → envelope.

use super::NAME;
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::object::{self, Object};
use crate::{Context, Reason, catalog};
use event::Field;
use event::json::write_string;

/// Members of a subject that name it, in the formats of RFC 9493, most telling first.
const NAMES: &[&str] = &["sub", "id", "email", "phone_number", "uri", "url"];
/// Parts of a subject that is made of several; the person first.
const PARTS: &[&str] = &["user", "session", "device", "application", "group", "tenant", "org_unit"];

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let mut native = Object::parse(text)?;
    let uri = native.inner("events").and_then(|events| events.names().next().map(str::to_owned));
    let uri = uri.filter(|uri| !uri.is_empty()).ok_or_else(|| Reason::missing("events"))?;
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
    out.set(Field::Log, known.map_or("event", |entry| entry.log.as_str()));
    out.set(Field::Level, known.map_or("info", |entry| entry.level.as_str()));
    // A token states what is so; how an attempt ended is not what it is about.
    out.set(Field::Outcome, "success");
    subject(&mut native, event, out);
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
        let (at, _) = crate::moment::read(raw, Stamp::UnixSeconds, context.zone)
            .ok_or_else(|| Reason::time("event_timestamp"))?;
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
