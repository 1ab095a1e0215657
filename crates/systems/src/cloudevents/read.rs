//! An event in its JSON form → envelope.

use super::{FIELDS, NAME, NO_SUBJECT};
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::object::{self, Inside, Object};
use crate::{Context, Reason};
use event::Field;
use std::borrow::Cow;

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let mut native = Object::parse_into(text, &[Inside("data", &[])])?;
    native.needed("type")?;
    open_data(&mut native);
    let (source, id) = (native.needed("source")?, id(&mut native)?);
    out.id_by(&[NAME, &source, &id]);
    out.time(&mut native, "time", Stamp::Micros, context)?;
    out.take_all(&mut native, FIELDS);
    if let Some((trace, span)) = native.text("traceparent").and_then(|text| trace(&text)) {
        out.set(Field::TraceId, trace);
        out.set(Field::SpanId, span);
    }
    let subject = !out.is_empty(Field::TargetId);
    if let Some(data) = native.inner("data") {
        out.take_named(data);
    }
    if !subject && !out.is_empty(Field::TargetId) {
        out.shape(NO_SUBJECT);
    }
    let failed = out.text(Field::Outcome).is_some_and(|outcome| matches!(outcome.as_ref(), "failure" | "deny"));
    let level = if failed { r#""warn""# } else { r#""info""# };
    for (field, word) in [(Field::Log, r#""event""#), (Field::Outcome, r#""unknown""#), (Field::Level, level)] {
        if out.is_empty(field) {
            out.infer(field, word);
        }
    }
    out.rest(native);
    Ok(())
}

/// The id: a text, or the number that some write.
fn id<'a>(native: &mut Object<'a>) -> Result<Cow<'a, str>, Reason> {
    match native.member("id") {
        Some(raw) if raw.starts_with(|c: char| c.is_ascii_digit()) => Ok(raw.clone()),
        _ => native.needed("id"),
    }
}

/// Base64 hides from redaction what is in it, so JSON and text take their place in `data`, where they say the same. Other bytes stay.
/// Before version 1.0 it is `data` itself that is in it, and `datacontentencoding` says so. Tells whether they did.
pub(super) fn open_data(native: &mut Object<'_>) -> bool {
    let old = native.text("datacontentencoding").is_some_and(|coding| coding.eq_ignore_ascii_case("base64"));
    let member = if old { "data" } else { "data_base64" };
    let Some(text) = native.text(member).and_then(|text| object::from_base64(&text)) else { return false };
    if !old && native.has("data") {
        return false;
    }
    let json = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
    if !json && text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return false;
    }
    native.take(member);
    if old {
        native.take("datacontentencoding");
    }
    native.add_opened("data", text, json);
    true
}

/// The ids of a W3C `traceparent`: `00-<32 hex>-<16 hex>-01`.
pub fn trace(text: &str) -> Option<(String, String)> {
    let mut parts = text.split('-').skip(1);
    let (trace, span) = (parts.next()?, parts.next()?);
    let hex = |id: &str, length| id.len() == length && id.bytes().all(|b| b.is_ascii_hexdigit());
    (hex(trace, 32) && hex(span, 16)).then(|| (trace.to_owned(), span.to_owned()))
}
