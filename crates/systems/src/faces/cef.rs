//! ArcSight's Common Event Format, version 0: the whole record in one line.
//!
//! ```text
//! CEF:0|Indelible|SOURCE|VERSION|ACTION|what happened|SEVERITY|externalId=… act=… suid=… src=… …
//! ```
//!
//! What the format has a key for stands there; every other field under a key of our own, `Indelible` and the field's path in
//! capitals' spelling (`IndelibleSessionExpiresAt`), as the format lets a product do. In the header `|` and `\` have a
//! backslash before them; in the extension `=` and `\` have, and the ends of lines are `\n` and `\r`. Any other control
//! character is `\uXXXX`, also in the header, where the format has no way to write one.

use super::{Given, Record, escape, kind, people};
use crate::catalog;
use event::Field;
use std::fmt::Write;
use std::net::IpAddr;

/// Keys of the format, and the fields they take. An address has three keys, see [`address`].
const KEYS: &[(&str, Field)] = &[
    ("externalId", Field::Id),
    ("cat", Field::Log),
    ("act", Field::Action),
    ("outcome", Field::Outcome),
    ("reason", Field::ErrorCode),
    ("suid", Field::ActorId),
    ("suser", Field::ActorName),
    ("duid", Field::TargetId),
    ("duser", Field::TargetName),
    ("requestClientApplication", Field::UserAgent),
    ("destinationServiceName", Field::ClientName),
];

/// The format's texts of our own choice, and what each is said to be.
const LABELLED: &[(&str, &str, Field)] = &[
    ("cs1", "Session", Field::SessionId),
    ("cs2", "Request", Field::RequestId),
    ("cs3", "Source system", Field::Source),
    ("cs4", "Target type", Field::TargetType),
];

pub(super) fn render(record: Record<'_>, given: &Given<'_>) -> String {
    let action = record.action();
    let source = record.text(Field::Source).unwrap_or("unknown");
    let known = catalog::find(source, action);
    let severity = match record.text(Field::Level) {
        Some("error") => 8,
        Some("warn") => 6,
        _ => 3,
    };
    let mut out = String::with_capacity(1024);
    out.push_str("CEF:0|Indelible|");
    header(&mut out, source);
    let _ = write!(out, "|{}|", env!("CARGO_PKG_VERSION"));
    header(&mut out, action);
    out.push('|');
    header(&mut out, known.map_or(action, |entry| &entry.meaning));
    let _ = write!(out, "|{severity}|");

    let mut first = true;
    let mut put = |key: &str, value: &str| {
        if !std::mem::take(&mut first) {
            out.push(' ');
        }
        out.push_str(key);
        out.push('=');
        extension(&mut out, value);
    };
    for (key, field) in [("start", record.time(Field::Time)), ("rt", record.recorded_at())] {
        if let Some(at) = field {
            put(key, &at.div_euclid(1000).to_string());
        }
    }
    put("dvchost", given.host());
    let mut placed = vec![Field::Time];
    for (key, field) in KEYS {
        if let Some(text) = record.text(*field) {
            put(key, text);
            placed.push(*field);
        }
    }
    // The key is for what somebody is called; the field it is from has its own key as well.
    let name = people::actors_name(record, kind::of(record)).filter(|_| record.text(Field::ActorName).is_none());
    if let Some(name) = name {
        put("suser", name);
    }
    for (key, label, field) in LABELLED {
        if let Some(text) = record.text(*field) {
            put(&format!("{key}Label"), label);
            put(key, text);
            placed.push(*field);
        }
    }
    if let Some((key, label)) = record.text(Field::Ip).and_then(address) {
        if let Some(label) = label {
            put(&format!("{key}Label"), label);
        }
        put(key, record.text(Field::Ip).unwrap_or_default());
        placed.push(Field::Ip);
    }
    put("IndelibleTenant", given.tenant);
    if let Some(proof) = given.proof {
        put("cn1Label", "Index");
        put("cn1", &proof.index.to_string());
        put("IndelibleLeafHash", proof.leaf);
        put("IndelibleOrigin", given.origin);
        if let Some(size) = proof.tree_size {
            put("cn2Label", "Tree size");
            put("cn2", &size.to_string());
        }
    }
    for (field, text) in record.fields().filter(|(field, _)| !placed.contains(field)) {
        put(&key(field), &text);
    }
    // Last, so that readers who do not unescape still see the end of it.
    put("msg", &escape::sentence(record));
    out
}

/// The key of an address, and its label if it needs one; none for what is no address.
fn address(text: &str) -> Option<(&'static str, Option<&'static str>)> {
    match text.parse().ok()? {
        IpAddr::V4(_) => Some(("src", None)),
        IpAddr::V6(_) => Some(("c6a2", Some("Source IPv6 Address"))),
    }
}

/// `session.expires_at` as `IndelibleSessionExpiresAt`.
pub(super) fn key(field: Field) -> String {
    let mut out = "Indelible".to_owned();
    for word in field.spec().path.split(['.', '_']) {
        let mut letters = word.chars();
        out.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    out
}

fn header(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '|' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if escape::is_control(c) => escape::write_control(out, c),
            c => out.push(c),
        }
    }
}

fn extension(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '=' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if escape::is_control(c) => escape::write_control(out, c),
            c => out.push(c),
        }
    }
}
