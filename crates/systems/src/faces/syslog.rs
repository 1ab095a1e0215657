//! Syslog, RFC 5424: the whole record in one line.
//!
//! ```text
//! <PRI>1 TIME HOST SOURCE - ACTION [record@32473 id="…" log="…" actor.id="…" …][proof@32473 …] a sentence
//! ```
//!
//! Every field stands in the structured data under its envelope path. 32473 is the enterprise number set aside for
//! documentation (RFC 5612): nobody has registered one for this program. In values `"`, `\` and `]` have a backslash before
//! them, as the RFC says, and a control character is `\uXXXX`, so that no value can end the line. The sentence is for people;
//! it says nothing that is not in a field, and has a backslash before a backslash, so that it tells one from a control character.

use super::{Given, Record, escape};
use event::Field;
use std::fmt::Write;

/// Facilities: security messages, and the log audit.
const AUTHPRIV: u8 = 10;
const AUDIT: u8 = 13;
/// Most characters of the header's names.
const APP_NAME: usize = 48;
const HOSTNAME: usize = 255;
const MSGID: usize = 32;

pub(super) fn render(record: Record<'_>, given: &Given<'_>) -> String {
    let facility = if record.text(Field::Log) == Some("audit") { AUDIT } else { AUTHPRIV };
    let severity = match record.text(Field::Level) {
        Some("error") => 3,
        Some("warn") => 4,
        _ => 6,
    };
    let mut out = String::with_capacity(1024);
    let time = record.time(Field::Time).map_or_else(|| "-".to_owned(), event::time::format);
    let _ = write!(
        out,
        "<{}>1 {time} {} {} - {} [record@32473",
        facility * 8 + severity,
        escape::token(given.host(), HOSTNAME),
        escape::token(record.text(Field::Source).unwrap_or_default(), APP_NAME),
        escape::token(record.action(), MSGID),
    );
    param(&mut out, "tenant", given.tenant);
    for (field, text) in record.fields() {
        param(&mut out, field.spec().path, &text);
    }
    if let Some(at) = record.recorded_at() {
        param(&mut out, "recorded_at", &event::time::format(at));
    }
    out.push(']');
    if let Some(proof) = given.proof {
        out.push_str("[proof@32473");
        param(&mut out, "origin", given.origin);
        param(&mut out, "index", &proof.index.to_string());
        param(&mut out, "leaf_hash", proof.leaf);
        if let Some(size) = proof.tree_size {
            param(&mut out, "tree_size", &size.to_string());
        }
        out.push(']');
    }
    let sentence = escape::sentence(record);
    out.push(' ');
    if !sentence.is_ascii() {
        // What tells a reader that the sentence is UTF-8.
        out.push('\u{feff}');
    }
    for c in sentence.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if escape::is_control(c) => escape::write_control(&mut out, c),
            c => out.push(c),
        }
    }
    out
}

fn param(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, " {name}=\"");
    for c in value.chars() {
        match c {
            '"' | '\\' | ']' => {
                out.push('\\');
                out.push(c);
            }
            c if escape::is_control(c) => escape::write_control(out, c),
            c => out.push(c),
        }
    }
    out.push('"');
}
