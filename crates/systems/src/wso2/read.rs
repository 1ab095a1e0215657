//! A line → envelope, by way of Asgardeo's shapes.

use super::LINE;
use super::line::{self, Line};
use crate::asgardeo::{pair, read as asgardeo};
use crate::envelope::{Envelope, hash};
use crate::object::{Object, decode};
use crate::shipped::{self, uncoloured};
use crate::{Context, Reason, catalog, moment};
use event::Field;
use std::borrow::Cow;

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    if text.trim_start().starts_with('{') {
        let mut native = Object::parse(text)?;
        // Its webhooks are Asgardeo's.
        if native.has("events") {
            return asgardeo::hook(native, text, context, out);
        }
        // A pair: the v2 record may itself be a line in quotes.
        if native.has("v2") && native.has("legacy") {
            let legacy = native.take("legacy").unwrap_or_default();
            let v2 = native.take("v2").unwrap_or_default();
            let v2 = match decode(&v2) {
                Some(line) => record(&parse(&uncoloured(&line))?, context, out)?.into_owned(),
                None => Object::parse(&v2)?.into_owned(),
            };
            let line = decode(&legacy).map(|line| {
                let line = uncoloured(&line);
                hash(&[Line::parse(&line).map_or(line.trim(), |line| line.own()).as_bytes()])
            });
            asgardeo::both(v2, legacy, context, out)?;
            // What the line by itself would be known by, and is where it comes once more.
            if let Some(id) = line {
                out.twin(id);
            }
            return Ok(());
        }
        if pair::is_twin(&mut native) {
            let Some(text) = native.text("legacy").map(Cow::into_owned) else {
                return asgardeo::twin(native, context, out);
            };
            let text = uncoloured(&text);
            let line = parse(&text)?;
            let record = record(&line, context, out)?.into_owned();
            legacy(&line, record, context, out)?;
            out.twin(native.text("twin").unwrap_or_default().into_owned());
            return Ok(());
        }
        let Some(name) = carried(&mut native) else { return asgardeo::shape(native, context, out) };
        let text = native.take_member(&name).as_ref().and_then(decode).map(Cow::into_owned).unwrap_or_default();
        let text = uncoloured(&text);
        let line = parse(&text)?;
        let mut record = record(&line, context, out)?.into_owned();
        // What the shipper adds is its own, and no part of the record.
        record.add_object("log", native);
        if record.has("initiatorType") {
            return asgardeo::shape(record, context, out);
        }
        return legacy(&line, record, context, out);
    }
    match uncoloured(text) {
        Cow::Borrowed(text) => {
            let line = parse(text)?;
            let native = record(&line, context, out)?;
            either(&line, native, context, out)
        }
        Cow::Owned(text) => {
            let line = parse(&text)?;
            let native = record(&line, context, out)?.into_owned();
            either(&line, native, context, out)
        }
    }
}

/// A line's record, v2 or not.
fn either<'a>(
    line: &Line<'_>,
    mut native: Object<'a>,
    context: &Context<'_>,
    out: &mut Envelope<'a>,
) -> Result<(), Reason> {
    if native.has("initiatorType") {
        return asgardeo::shape(native, context, out);
    }
    legacy(line, native, context, out)
}

/// The member in which a shipper passes a line on: `{"log": "…", "time": …}`, `{"message": "…"}`. `None` where the object is a record
/// itself, or has no such line.
pub(super) fn carried<'a>(object: &mut Object<'a>) -> Option<Cow<'a, str>> {
    if ["action", "actionId", "initiatorId", "events"].iter().any(|name| object.has(name)) {
        return None;
    }
    shipped::carried(object, |text| Line::parse(text).is_some())
}

/// A line that is not v2.
fn legacy<'a>(
    line: &Line<'_>,
    mut native: Object<'a>,
    context: &Context<'_>,
    out: &mut Envelope<'a>,
) -> Result<(), Reason> {
    out.shape(LINE);
    // A shipper may leave a space that another takes away, or write something before it.
    out.id_by_content(line.own());
    if let Some(((request, name), at)) = line.request().zip(native.text("action")).zip(out.at())
        && !asgardeo::failed(&mut native)
    {
        let action = catalog::squeeze(&name);
        if let Some(twin) = context.memory.twin_of(&[request, &action], at) {
            out.twin(twin);
        }
        if let Some(id) = out.text(Field::Id) {
            context.memory.said(&[asgardeo::LINES, request, &action], &id, at);
        }
    }
    let transaction = oauth(&mut native, out);
    out.take_all(&mut native, &[("requestId", Field::RequestId), ("impersonatorId", Field::ImpersonatorId)]);
    asgardeo::legacy(&mut native, context, out)?;
    if transaction {
        out.set(Field::Log, "event");
    }
    out.rest(native);
    Ok(())
}

fn parse(text: &str) -> Result<Line<'_>, Reason> {
    Line::parse(text)
        .ok_or_else(|| Reason::new("not_an_event", "the line is neither of audit.log nor an OAuth transaction"))
}

/// The line's members; its time goes to the envelope. v2 has its own, in UTC, and better.
fn record<'a>(line: &Line<'a>, context: &Context<'_>, out: &mut Envelope<'_>) -> Result<Object<'a>, Reason> {
    let mut record = line::object(line)?;
    if !record.has("recordedAt")
        && let Some(time) = line.time()
    {
        let (at, zoned) = moment::text(time, context.zone)
            .ok_or_else(|| Reason::time("line", "\"…\"", "a text such as 2026-11-20 12:00:00,000"))?;
        out.set_line_time(at, zoned);
    }
    Ok(record)
}

/// Reads an OAuth transaction's own names, and tells whether it is one.
fn oauth(native: &mut Object<'_>, out: &mut Envelope<'_>) -> bool {
    if native.has("result") || native.has("initiatorId") {
        return false;
    }
    let result = match native.raw("data.success").map(Cow::as_ref) {
        Some("true") => "success",
        Some("false") => "failure",
        _ => return false,
    };
    native.add_text("result", result);
    for (path, field) in [("data.client_id", Field::ClientId), ("data.user", Field::ActorId)] {
        out.copy(native, path, field);
    }
    true
}
