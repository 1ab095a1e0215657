//! A log record with its resource and scope → envelope.

use super::attributes;
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::named::{holding, holds, nameable};
use crate::object::{Inside, Object};
use crate::{Context, Reason};
use event::Field;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Semantic conventions for what the envelope has a field for; the newest spelling first.
const CONVENTIONS: &[(&str, Field)] = &[
    ("event.name", Field::Action),
    ("user.id", Field::ActorId),
    ("enduser.id", Field::ActorId),
    ("user.full_name", Field::ActorName),
    ("user.name", Field::Username),
    ("user.email", Field::Email),
    ("client.address", Field::Ip),
    ("source.address", Field::Ip),
    ("user_agent.original", Field::UserAgent),
    ("session.id", Field::SessionId),
    ("error.type", Field::ErrorCode),
    ("exception.type", Field::ErrorCode),
    ("exception.message", Field::Message),
    ("event.outcome", Field::Outcome),
];

/// Members of the log record itself that are one text in the envelope.
const MEMBERS: &[(&str, Field)] =
    &[("eventName", Field::Action), ("traceId", Field::TraceId), ("spanId", Field::SpanId)];

/// What a record is put together from.
const INSIDE: &[Inside] = &[Inside("resource", &[]), Inside("scope", &[]), Inside("logRecord", &[])];

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let mut native = Object::parse_into(text, INSIDE)?;
    let mut record = native.take_object("logRecord").ok_or_else(|| {
        Reason::new("not_an_event", "there is no log record; send an export request with `resourceLogs`")
    })?;
    out.id_by_content(text);
    time(&mut record, context, out)?;
    out.take_all(&mut record, MEMBERS);
    let number = record.raw("severityNumber").map(|raw| raw.trim_matches('"').to_owned()).unwrap_or_default();
    let level = match number.parse().unwrap_or(0u32) {
        // Some write the number's name, and some a word of their own alone.
        0 => match number.strip_prefix("SEVERITY_NUMBER_").filter(|word| *word != "UNSPECIFIED") {
            Some(word) => level_of(word),
            None => record.text("severityText").map_or("info", |word| level_of(&word)),
        },
        13..=16 => "warn",
        17.. => "error",
        _ => "info",
    };
    flatten(&mut record);
    if let Some(mut attributes) = record.take_object("attributes") {
        named(&mut attributes, out);
        record.add_object("attributes", attributes);
    }
    out.take(&mut record, "body", Field::Message);
    for (field, word) in
        [(Field::Log, "event"), (Field::Outcome, "unknown"), (Field::Level, level), (Field::Action, "log")]
    {
        if out.is_empty(field) {
            out.set(field, word);
        }
    }
    for name in ["resource", "scope"] {
        if let Some(mut inside) = native.take_object(name) {
            flatten(&mut inside);
            if !inside.is_empty() {
                record.add_object(name, inside);
            }
        }
    }
    out.rest(record);
    Ok(())
}

/// The level by its word, where no number says it: that of a logger, in whatever case.
fn level_of(word: &str) -> &'static str {
    let begins = |with: &str| word.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
    if begins("warn") {
        "warn"
    } else if ["err", "fatal", "crit", "alert", "emerg", "panic", "severe"].into_iter().any(begins) {
        "error"
    } else {
        "info"
    }
}

fn time<'a>(record: &mut Object<'a>, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let known = |record: &mut Object<'a>, name| {
        record.raw(name).is_some_and(|raw| !matches!(raw.as_ref(), "0" | "\"0\"" | "null" | "\"\""))
    };
    let name = if known(record, "timeUnixNano") { "timeUnixNano" } else { "observedTimeUnixNano" };
    if !known(record, name) {
        out.no_time();
        return Ok(());
    }
    out.time(record, name, Stamp::UnixNanos, context)
}

/// Puts plain JSON where OTLP's own values are; what is none of them stays as it came.
fn flatten(holder: &mut Object<'_>) {
    let attributes = match holder.raw("attributes").cloned() {
        Some(Cow::Borrowed(raw)) => attributes::members(raw),
        Some(Cow::Owned(raw)) => attributes::members(&raw).map(Object::into_owned),
        None => None,
    };
    if let Some(plain) = attributes {
        holder.take("attributes");
        holder.add_object("attributes", plain);
    }
    let body = match holder.raw("body").cloned() {
        Some(Cow::Borrowed(raw)) => attributes::plain(raw),
        Some(Cow::Owned(raw)) => attributes::plain(&raw).map(|plain| Cow::Owned(plain.into_owned())),
        None => None,
    };
    if let Some(plain) = body {
        holder.take("body");
        holder.add("body", plain);
    }
}

/// Names of attributes and what they fill, the envelope's own first: that is the order in which they count.
static TABLE: LazyLock<Vec<(&str, Field)>> =
    LazyLock::new(|| nameable().map(|s| (s.path, s.field)).chain(CONVENTIONS.iter().copied()).collect());

/// Where each name stands in [`TABLE`].
static NAMES: LazyLock<HashMap<&str, Vec<usize>>> = LazyLock::new(|| {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, (name, _)) in TABLE.iter().enumerate() {
        places.entry(name).or_default().push(place);
    }
    places
});

/// Moves attributes that are named as a field, or as a semantic convention for one.
fn named<'a>(attributes: &mut Object<'a>, out: &mut Envelope<'a>) {
    let mut places: Vec<usize> = attributes.names().filter_map(|name| NAMES.get(name)).flatten().copied().collect();
    places.sort_unstable();
    for (name, field) in places.into_iter().filter_map(|place| TABLE.get(place).copied()) {
        // By the convention it is the session that something happened in; only a record of the session log is about it.
        let about = field != Field::SessionRefId || out.text(Field::Log).is_some_and(|log| log == "session");
        if !about || !out.is_empty(field) {
            continue;
        }
        // A user's number is one, and stays: as text it is none any more.
        if event::parse::allowed(field).is_none()
            && let Some(raw) =
                attributes.member(name).filter(|raw| raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()))
        {
            out.copy_raw(raw, field);
            continue;
        }
        let known = event::parse::allowed(field)
            .is_none_or(|words| attributes.member_text(name).is_some_and(|text| words.contains(&text.as_ref())));
        if known {
            out.take_member(attributes, name, field);
        }
    }
    for spec in holding() {
        if out.is_empty(spec.field)
            && attributes.member(spec.path).is_some_and(|raw| holds(spec.kind, raw))
            && let Some(raw) = attributes.take_member(spec.path)
        {
            out.set_raw(spec.field, raw);
        }
    }
}
