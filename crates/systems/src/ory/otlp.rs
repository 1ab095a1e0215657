//! OTLP traces, Protocol Buffers or JSON, into one JSON object per span event.
//!
//! Owns: where OTLP has its span events, and typed values as plain JSON. Not here: what an event means (`read`).

use super::TRACES;
use crate::Reason;
use crate::object::{self, Object};
use crate::protobuf::{Fields, Value};
use crate::split::{self, MAX_MADE};
use base64::Engine as _;
use event::json::write_string;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

/// How deep lists and maps may stand in each other in a value. Ory's have none; OTLP has no limit.
const MAX_DEPTH: usize = 8;

/// The start of the names of a resource that a record keeps: which server it was.
const SERVICE: &str = "service.";

/// One span event, values as JSON text.
#[derive(Debug, Default)]
struct Event {
    name: String,
    nanos: String,
    attributes: Vec<(String, String)>,
}

/// What an event's record also says.
#[derive(Debug, Default, Clone)]
struct Place {
    trace: String,
    span: String,
    span_name: String,
    /// Of the resource, what begins with [`SERVICE`].
    service: Vec<(String, String)>,
}

/// Whether a span event may be Ory's.
fn is_ours(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
}

/// The record, as one line of JSON.
fn record(event: &Event, place: &Place) -> String {
    let mut out = String::with_capacity(512);
    let text = |out: &mut String, name: &str, value: &str| {
        out.push_str(if out.is_empty() { "{" } else { "," });
        write_string(out, name);
        out.push(':');
        write_string(out, value);
    };
    text(&mut out, "name", &event.name);
    text(&mut out, "timeUnixNano", &event.nanos);
    members(&mut out, "attributes", &event.attributes);
    for (name, value) in [("traceId", &place.trace), ("spanId", &place.span), ("span", &place.span_name)] {
        if !value.is_empty() {
            text(&mut out, name, value);
        }
    }
    members(&mut out, "resource", &place.service);
    out.push('}');
    out
}

/// Appends an object of values. Of a name that stands there more than once the last counts; the others get a number.
fn members(out: &mut String, name: &str, values: &[(String, String)]) {
    let _ = write!(out, ",\"{name}\":{{");
    let mut left: HashMap<&str, usize> = HashMap::with_capacity(values.len());
    for (key, _) in values {
        *left.entry(key).or_default() += 1;
    }
    let mut numbered: HashMap<&str, usize> = HashMap::new();
    for (i, (key, value)) in values.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        let more = left.get_mut(key.as_str()).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if more > 0 {
            let number = numbered.entry(key).or_default();
            *number += 1;
            write_string(out, &format!("{key}#{number}"));
        } else {
            write_string(out, key);
        }
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_string(&mut out, text);
    out
}

/// A whole number as JSON; in quotes where a reader might make another one of it.
fn whole(number: i64) -> String {
    if number.unsigned_abs() < 1 << 53 { number.to_string() } else { format!("\"{number}\"") }
}

fn fraction(number: f64) -> String {
    serde_json::Number::from_f64(number).map_or_else(|| format!("\"{number}\""), |number| number.to_string())
}

fn too_much() -> Reason {
    Reason::new("batch_too_large", "the span events of this request would be over 64 MiB; send fewer at once")
}

/// What stands in place of a value that is deeper than [`MAX_DEPTH`]: one attribute is no reason to lose its event or the others.
const TOO_DEEP: &str = "\"not kept: deeper than 8 lists or maps\"";

// JSON

/// Whether a record is a request of traces.
pub(super) fn is_traces(text: &str) -> bool {
    object::at(text, &[TRACES]).is_some_and(|list| list.starts_with('['))
}

/// The span events of one request in JSON. `made` counts the bytes of all of a body.
pub(super) fn events<'t>(text: &str, made: &mut usize) -> Vec<Result<Cow<'t, str>, Reason>> {
    let mut all = Vec::new();
    if let Err(reason) = walk(text, made, &mut all) {
        all.push(Err(reason));
    }
    all
}

/// The elements of a list inside an object; none where there is no such list.
fn list<'t>(text: &'t str, path: &[&str]) -> Result<Vec<Cow<'t, str>>, Reason> {
    split::wrapped(text, path).unwrap_or_default().into_iter().map(|piece| piece.text).collect()
}

fn walk(text: &str, made: &mut usize, all: &mut Vec<Result<Cow<'_, str>, Reason>>) -> Result<(), Reason> {
    for resource in list(text, &[TRACES])? {
        let mut place = Place::default();
        for attribute in list(&resource, &["resource", "attributes"])? {
            place.service.extend(pair(&attribute)?.filter(|(name, _)| name.starts_with(SERVICE)));
        }
        for scope in list(&resource, &["scopeSpans"])? {
            for span in list(&scope, &["spans"])? {
                let events = list(&span, &["events"])?;
                if events.is_empty() {
                    continue;
                }
                let mut head = Object::parse(&span)?;
                let mut text = |name: &str| head.text(name).unwrap_or_default().into_owned();
                (place.trace, place.span, place.span_name) = (text("traceId"), text("spanId"), text("name"));
                for event in events {
                    // One event that is broken is no reason to lose the others.
                    match json_event(&event) {
                        Ok(Some(event)) => all.push(add(record(&event, &place), made).map(Cow::Owned)),
                        Ok(None) => {}
                        Err(reason) => all.push(Err(reason)),
                    }
                }
            }
        }
    }
    Ok(())
}

fn add(record: String, made: &mut usize) -> Result<String, Reason> {
    *made = made.saturating_add(record.len());
    if *made > MAX_MADE { Err(too_much()) } else { Ok(record) }
}

fn json_event(text: &str) -> Result<Option<Event>, Reason> {
    let mut native = Object::parse(text)?;
    let name = native.text("name").unwrap_or_default().into_owned();
    if !is_ours(&name) {
        return Ok(None);
    }
    // A number in quotes, as the format has it; some exporters leave the quotes away.
    let nanos = native.raw("timeUnixNano").map(|raw| raw.trim_matches('"').to_owned()).unwrap_or_default();
    let mut event = Event { name, nanos, attributes: Vec::new() };
    for attribute in list(text, &["attributes"])? {
        event.attributes.extend(pair(&attribute)?);
    }
    Ok(Some(event))
}

/// `{"key": …, "value": {"stringValue": …}}`
fn pair(text: &str) -> Result<Option<(String, String)>, Reason> {
    let Some(key) = Object::parse(text)?.text("key").map(Cow::into_owned) else { return Ok(None) };
    Ok(Some((key, plain(object::at(text, &["value"]).unwrap_or("null"), 0)?)))
}

/// A typed value as plain JSON; what is of no known type stays as it is.
fn plain(value: &str, depth: usize) -> Result<String, Reason> {
    if depth > MAX_DEPTH {
        return Ok(TOO_DEEP.to_owned());
    }
    let of = |name: &str| object::at(value, &[name]);
    if let Some(raw) = of("stringValue").or_else(|| of("boolValue")).or_else(|| of("bytesValue")) {
        return Ok(raw.to_owned());
    }
    if let Some(raw) = of("intValue") {
        return Ok(raw.trim_matches('"').parse().map_or_else(|_| raw.to_owned(), whole));
    }
    if let Some(raw) = of("doubleValue") {
        return Ok(raw.to_owned());
    }
    let mut out = String::new();
    if of("arrayValue").is_some() {
        out.push('[');
        for (i, element) in list(value, &["arrayValue", "values"])?.iter().enumerate() {
            out.push_str(if i > 0 { "," } else { "" });
            out.push_str(&plain(element, depth + 1)?);
        }
        out.push(']');
        return Ok(out);
    }
    if of("kvlistValue").is_some() {
        let mut pairs = Vec::new();
        for element in list(value, &["kvlistValue", "values"])? {
            if let Some(key) = Object::parse(&element)?.text("key").map(Cow::into_owned) {
                pairs.push((key, plain(object::at(&element, &["value"]).unwrap_or("null"), depth + 1)?));
            }
        }
        return Ok(map(&pairs));
    }
    Ok(value.to_owned())
}

/// An object of values, alone.
fn map(pairs: &[(String, String)]) -> String {
    let mut out = String::new();
    members(&mut out, "", pairs);
    // Without the `,"":` that stands before it.
    out.split_off(4)
}

// Protocol Buffers. The numbers are those of opentelemetry-proto 1.x: trace.proto, common.proto, resource.proto.

/// The span events of a request in Protocol Buffers, one per line.
///
/// # Errors
/// `invalid_protobuf` where the body is not one, `batch_too_large` where its events would be over 64 MiB.
pub fn lines(body: &[u8]) -> Result<String, Reason> {
    let mut out = String::new();
    for field in Fields::new(body) {
        if let (1, resource) = field? {
            resource_spans(resource.bytes(), &mut out)?;
        }
    }
    Ok(out)
}

fn resource_spans(message: &[u8], out: &mut String) -> Result<(), Reason> {
    let mut place = Place::default();
    // The resource may stand after the spans that are its own.
    for field in Fields::new(message) {
        if let (1, resource) = field? {
            for field in Fields::new(resource.bytes()) {
                if let (1, attribute) = field? {
                    place
                        .service
                        .extend(Some(key_value(attribute.bytes(), 0)?).filter(|(name, _)| name.starts_with(SERVICE)));
                }
            }
        }
    }
    for field in Fields::new(message) {
        if let (2, scope) = field? {
            for field in Fields::new(scope.bytes()) {
                if let (2, span) = field? {
                    span_events(span.bytes(), &mut place, out)?;
                }
            }
        }
    }
    Ok(())
}

fn span_events(message: &[u8], place: &mut Place, out: &mut String) -> Result<(), Reason> {
    let (mut trace, mut span, mut name, mut events) = (&b""[..], &b""[..], &b""[..], Vec::new());
    for field in Fields::new(message) {
        match field? {
            (1, value) => trace = value.bytes(),
            (2, value) => span = value.bytes(),
            (5, value) => name = value.bytes(),
            (11, value) => events.push(value.bytes()),
            _ => {}
        }
    }
    if events.is_empty() {
        return Ok(());
    }
    (place.trace, place.span, place.span_name) = (hex(trace), hex(span), text(name));
    for event in events {
        let mut found = Event::default();
        for field in Fields::new(event) {
            match field? {
                (1, value) => found.nanos = value.number().to_string(),
                (2, value) => found.name = text(value.bytes()),
                (3, value) => found.attributes.push(key_value(value.bytes(), 0)?),
                _ => {}
            }
        }
        if is_ours(&found.name) {
            out.push_str(&record(&found, place));
            out.push('\n');
            if out.len() > MAX_MADE {
                return Err(too_much());
            }
        }
    }
    Ok(())
}

fn key_value(message: &[u8], depth: usize) -> Result<(String, String), Reason> {
    let (mut key, mut value) = (String::new(), "null".to_owned());
    for field in Fields::new(message) {
        match field? {
            (1, name) => key = text(name.bytes()),
            (2, any) => value = any_value(any.bytes(), depth)?,
            _ => {}
        }
    }
    Ok((key, value))
}

fn any_value(message: &[u8], depth: usize) -> Result<String, Reason> {
    if depth > MAX_DEPTH {
        return Ok(TOO_DEEP.to_owned());
    }
    // Of a choice the last field counts.
    let mut out = "null".to_owned();
    for field in Fields::new(message) {
        out = match field? {
            (1, value) => quoted(&text(value.bytes())),
            (2, value) => (value.number() != 0).to_string(),
            (3, value) => whole(value.number().cast_signed()),
            (4, value) => fraction(f64::from_bits(value.number())),
            (5, value) => {
                let mut list = Vec::new();
                for field in Fields::new(value.bytes()) {
                    if let (1, element) = field? {
                        list.push(any_value(element.bytes(), depth + 1)?);
                    }
                }
                format!("[{}]", list.join(","))
            }
            (6, value) => {
                let mut pairs = Vec::new();
                for field in Fields::new(value.bytes()) {
                    if let (1, element) = field? {
                        pairs.push(key_value(element.bytes(), depth + 1)?);
                    }
                }
                map(&pairs)
            }
            (7, Value::Bytes(bytes)) => quoted(&base64::engine::general_purpose::STANDARD.encode(bytes)),
            _ => out,
        };
    }
    Ok(out)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
