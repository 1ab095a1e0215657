//! An audit event, or the line it stands in → envelope.

use super::{DENIED, FIELD};
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::object::{self, Object};
use crate::{Context, Reason, shipped};
use event::Field;
use event::json::Reader;
use std::borrow::Cow;

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let none =
        || Reason::new("not_an_event", "there is no `AuthenticationDenied` in the record or behind `audit_event`");
    out.id_by_content(text);
    let of_line = |line: &str, shipper: Option<Object<'a>>, out: &mut Envelope<'a>| {
        let (before, event) = inside(line).ok_or_else(none)?;
        let mut native = Object::parse(&event)?.into_owned();
        denied(&mut native, context, out)?;
        native.add_text("line", before.to_owned());
        if let Some(shipper) = shipper {
            native.add_object("log", shipper);
        }
        out.rest(native);
        Ok(())
    };
    if !text.trim_start().starts_with('{') {
        return of_line(text, None, out);
    }
    let mut native = Object::parse(text)?;
    // A shipper passes the line on inside an object, whatever it calls it.
    if !native.has(DENIED)
        && !native.has(FIELD)
        && let Some(name) = shipped::carried(&mut native, |line| inside(line).is_some())
    {
        let line = native.take_member(&name).as_ref().and_then(object::decode).unwrap_or_default().into_owned();
        return of_line(&shipped::uncoloured(&line), Some(native), out);
    }
    if !native.has(DENIED) {
        // The server's log as JSON: the event as an object, or as JSON in a text.
        let path = if native.has(FIELD) { FIELD } else { "fields.audit_event" };
        let event = native.take(path).ok_or_else(none)?;
        let event = if event.starts_with('"') { crate::object::decode(&event).ok_or_else(none)? } else { event };
        let mut inner = Object::parse(&event).map_err(|_| none())?.into_owned();
        denied(&mut inner, context, out)?;
        inner.add_object("log", native);
        out.rest(inner);
        return Ok(());
    }
    denied(&mut native, context, out)?;
    out.rest(native);
    Ok(())
}

/// Whether a text says that there is no event: `null` alone, or as what a line has for its event.
pub(super) fn says_nothing(text: &str) -> bool {
    let text = text.trim();
    if text.contains(DENIED) {
        return false;
    }
    if text.starts_with('{') {
        let said = |path: &[&str]| object::at(text, path).is_some_and(|event| matches!(event, "null" | "\"null\""));
        return said(&[FIELD]) || said(&["fields", FIELD]);
    }
    let event = text.split_once(FIELD).map(|(_, after)| after.trim_start_matches([' ', ':', '=', '"']));
    text == "null"
        || event.is_some_and(|event| {
            event.strip_prefix("null").is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        })
}

/// The event in a line, as it is or as JSON in quotes, and what stands before it.
pub(super) fn inside(line: &str) -> Option<(&str, Cow<'_, str>)> {
    let after = line.find(FIELD)? + FIELD.len();
    let start = after + line.get(after..)?.find('{')?;
    let before = |start: usize| line.get(..start).unwrap_or_default().trim_end();
    let quote = start.checked_sub(1).filter(|at| line.get(*at..).is_some_and(|rest| rest.starts_with('"')));
    let quoted = quote.and_then(|at| Some((at, Reader::new(line.get(at..)?).string().ok()?)));
    if let Some((at, event)) = quoted.filter(|(_, event)| event.contains(DENIED)) {
        return Some((before(at), event));
    }
    let event = Reader::new(line.get(start..)?).skip(0).ok()?;
    event.contains(DENIED).then(|| (before(start), Cow::Borrowed(event)))
}

fn denied<'a>(native: &mut Object<'a>, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let event = native
        .inner(DENIED)
        .ok_or_else(|| Reason::new("missing_field", format!("`{DENIED}` is no object, which has who was denied")))?;
    out.time(event, "time", Stamp::UnixSeconds, context)?;
    out.set(Field::Log, "event");
    out.set(Field::Action, DENIED);
    out.set(Field::Outcome, "deny");
    out.set(Field::Level, "warn");
    out.take(event, "uuid", Field::ActorId);
    out.take(event, "spn", Field::Username);
    for path in ["source.Https", "source.Ldaps"] {
        // The address stays: over which protocol it came stands nowhere else.
        out.copy(event, path, Field::Ip);
    }
    Ok(())
}
