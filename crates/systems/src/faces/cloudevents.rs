//! A record of another system as a CloudEvent 1.0 in structured mode; `data` is the whole envelope, so nothing is lost.
//!
//! `type` is the source and the action (`keycloak.LOGIN`), `source` the tenant's ledger and the system (`//logs.example.com/t/acme#okta`),
//! `subject` the target's id. The attributes of an event may hold no control characters, so those are percent-encoded there; `data`
//! has the texts as they are. `traceparent` and `recordedtime` are published extensions.

use super::record::set;
use super::{Given, Record};
use event::Field;
use serde_json::{Value, json};
use std::fmt::Write;

pub(super) fn render(record: Record<'_>, given: &Given<'_>) -> Value {
    let source = record.text(Field::Source).unwrap_or("unknown");
    let action = record.action();
    let mut data = record.rest(&[]);
    for name in ["tenant", "index", "recorded_at"] {
        if let Some(value) = record.envelope().get(name) {
            data.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(proof) = given.proof {
        data.insert("proof".to_owned(), proof.json(given.origin));
    }
    let mut out = json!({
        "specversion": "1.0",
        "id": record.text(Field::Id).map(attribute),
        "source": format!("//{}#{}", given.origin, uri(source)),
        "type": attribute(&format!("{source}.{action}")),
        "time": record.text(Field::Time),
        "datacontenttype": "application/json",
        "data": data,
    });
    // A name would be read as an id where the event goes in again; it is in `data`.
    if let Some(subject) = record.text(Field::TargetId) {
        set(&mut out, "subject", attribute(subject));
    }
    if let Some(at) = record.recorded_at() {
        set(&mut out, "recordedtime", event::time::format(at));
    }
    if let Some((trace, span)) = record.text(Field::TraceId).zip(record.text(Field::SpanId))
        && is_hex(trace, 32)
        && is_hex(span, 16)
    {
        set(&mut out, "traceparent", format!("00-{trace}-{span}-01"));
    }
    out
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A text without what an attribute may not hold: control characters and noncharacters.
fn attribute(text: &str) -> String {
    encode(text, |c| !c.is_control() && !matches!(u32::from(c), 0xfdd0..=0xfdef) && (u32::from(c) & 0xfffe) != 0xfffe)
}

/// A text as the fragment of a URI.
fn uri(text: &str) -> String {
    encode(text, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '/' | ':' | '@'))
}

fn encode(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if keep(c) {
            out.push(c);
            continue;
        }
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
