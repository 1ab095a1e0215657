//! A record, by a mapping's rules → envelope.

use super::{Form, Mapping, Pointer, Rule};
use crate::envelope::{Envelope, hash};
use crate::memory::Memory;
use crate::moment::{self, Stamp};
use crate::object::{self, Object};
use crate::{Context, Reason, kind_of};
use event::Field;
use event::fields::Kind;
use event::json::{Reader, write_string};
use event::parse::MAX_ID;
use std::borrow::Cow;

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The envelope's JSON text.
    pub envelope: String,
    /// Paths of fields that have a rule and got no value.
    pub empty: Vec<&'static str>,
}

pub(super) fn apply(mapping: &Mapping, text: &str, zone: &jiff::tz::TimeZone) -> Result<Applied, Reason> {
    let memory = Memory::default();
    let context = Context::new(&memory, zone);
    let mut out = Envelope::new(mapping.name.as_str());
    let empty = read(mapping, text, &context, &mut out)?;
    let mut envelope = String::with_capacity(text.len() + 256);
    out.write(&mut envelope)?;
    Ok(Applied { envelope, empty })
}

/// Gives the fields whose rules found nothing.
pub(super) fn read<'a>(
    mapping: &Mapping,
    text: &'a str,
    context: &Context<'_>,
    out: &mut Envelope<'a>,
) -> Result<Vec<&'static str>, Reason> {
    let mut native = Object::parse(text)?;
    let mut empty = Vec::new();
    for rule in &mapping.rules {
        if !fill(rule, &mut native, context, out)? {
            empty.push(rule.field.spec().path);
        }
    }
    if out.is_empty(Field::Id) {
        out.id_by_content(text);
    }
    if out.is_empty(Field::Time) {
        out.no_time();
    }
    for (field, word) in [(Field::Log, "event"), (Field::Outcome, "unknown")] {
        if out.is_empty(field) {
            out.set(field, word);
        }
    }
    if out.is_empty(Field::Level) {
        let wrong = out.text(Field::Outcome).is_some_and(|outcome| outcome == "failure" || outcome == "deny");
        out.set(Field::Level, if wrong { "warn" } else { "info" });
    }
    if out.text(Field::Log).is_some_and(|log| log == "audit" || log == "event") && out.is_empty(Field::Action) {
        let rule = mapping.rules.iter().find(|rule| rule.field == Field::Action);
        let from = rule.map_or(&[][..], |rule| &rule.from);
        let looked: Vec<String> =
            from.iter().map(|pointer| format!("{} at {}", came(&mut native, pointer), pointer.text)).collect();
        let words = if rule.is_some_and(|rule| !rule.words.is_empty()) { ", or none of its `words`" } else { "" };
        let detail = format!(
            "`action` is empty: there is {}{words}; correct the rule, or say what it is `otherwise`",
            looked.join(" and ")
        );
        return Err(Reason::new("missing_field", detail));
    }
    out.rest(native);
    Ok(empty)
}

/// What stands where a pointer ends, in words.
fn came(native: &mut Object<'_>, pointer: &Pointer) -> &'static str {
    let raw = place(native, pointer).and_then(|place| match place {
        Place::Member(holder, name) => holder.json(name).map(Cow::into_owned),
        Place::Inside(raw) => Some(raw),
    });
    raw.map_or("nothing", |raw| kind_of(&raw))
}

/// Fills a field by its rule. Tells whether it got a value.
fn fill<'a>(
    rule: &Rule,
    native: &mut Object<'a>,
    context: &Context<'_>,
    out: &mut Envelope<'a>,
) -> Result<bool, Reason> {
    for pointer in &rule.from {
        let Some(mut place) = place(native, pointer) else { continue };
        let raw = match &mut place {
            Place::Member(holder, name) => holder.json(name),
            Place::Inside(raw) => Some(Cow::Owned(raw.clone())),
        };
        let Some(raw) = raw.filter(|raw| !matches!(raw.as_ref(), "null" | "\"\"")) else { continue };
        let Some(moves) = value(rule, pointer, raw, context, out)? else { continue };
        if let (true, true, Place::Member(holder, name)) = (moves, pointer.alone, place) {
            holder.take_member(name);
        }
        return Ok(true);
    }
    let Some(word) = &rule.otherwise else { return Ok(false) };
    if rule.field.spec().kind == Kind::Bool {
        out.set_raw(rule.field, word.clone());
    } else {
        out.set(rule.field, word.clone());
    }
    Ok(true)
}

/// Where a pointer ends.
enum Place<'o, 'a, 'p> {
    /// A member of an object, which may be taken.
    Member(&'o mut Object<'a>, &'p str),
    /// JSON text inside a list; it stays.
    Inside(String),
}

fn place<'o, 'a, 'p>(native: &'o mut Object<'a>, pointer: &'p Pointer) -> Option<Place<'o, 'a, 'p>> {
    let (last, way) = pointer.steps.split_last()?;
    let mut holder = native;
    for (i, step) in way.iter().enumerate() {
        if holder.member(step).is_some_and(|raw| raw.starts_with('[')) {
            let rest: Vec<&str> = pointer.steps.iter().skip(i + 1).map(String::as_str).collect();
            return object::at(holder.member(step)?, &rest).map(|raw| Place::Inside(raw.to_owned()));
        }
        holder = holder.inner(step)?;
    }
    Some(Place::Member(holder, last))
}

/// Puts a value into the rule's field. `None` where it is not of the field's kind; else whether the field now says all that it
/// said, so that it need not stay.
fn value<'a>(
    rule: &Rule,
    pointer: &Pointer,
    raw: Cow<'a, str>,
    context: &Context<'_>,
    out: &mut Envelope<'a>,
) -> Result<Option<bool>, Reason> {
    let field = rule.field;
    Ok(match (field.spec().kind, rule.form) {
        (_, Form::Time(stamp)) => Some(time(field, pointer, &raw, stamp, context, out)?),
        (Kind::Json, Form::QuotedJson) => quoted_json(field, &raw, out),
        (Kind::Json, _) => {
            out.set_raw(field, raw);
            Some(true)
        }
        (Kind::List, _) => list(field, &raw, out),
        (Kind::Bool, _) => {
            let said = scalar(&raw).map(|text| said(rule, &text));
            said.flatten().filter(|word| matches!(word.as_str(), "true" | "false")).map(|word| {
                let same = word == *raw;
                out.set_raw(field, word);
                same
            })
        }
        (Kind::Text | Kind::Time, _) => {
            let Some(text) = scalar(&raw) else { return Ok(None) };
            let whole = raw.starts_with('"');
            if field == Field::Id {
                return Ok(Some(id(&text, whole, out)));
            }
            if rule.words.is_empty() {
                out.set(field, text);
                return Ok(Some(whole));
            }
            said(rule, &text).map(|word| {
                out.set(field, word);
                false
            })
        }
    })
}

/// A text, number or truth value as text.
fn scalar(raw: &str) -> Option<String> {
    if raw.starts_with('"') {
        return Reader::new(raw).string().ok().map(Cow::into_owned);
    }
    (!raw.starts_with(['{', '['])).then(|| raw.to_string())
}

/// Our word for theirs; theirs where the rule has no words.
fn said(rule: &Rule, text: &str) -> Option<String> {
    if rule.words.is_empty() {
        return Some(text.to_owned());
    }
    rule.words.iter().find(|(from, _)| from == text).map(|(_, to)| to.clone())
}

/// One that cannot be an id is hashed and stays, as for every system.
fn id(text: &str, whole: bool, out: &mut Envelope<'_>) -> bool {
    if text.len() <= MAX_ID && text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        out.set(Field::Id, text.to_owned());
        return whole;
    }
    out.set(Field::Id, hash(&[text.as_bytes()]));
    false
}

fn time(
    field: Field,
    pointer: &Pointer,
    raw: &str,
    stamp: Stamp,
    context: &Context<'_>,
    out: &mut Envelope<'_>,
) -> Result<bool, Reason> {
    let (at, zoned) = moment::read(raw, stamp, context.zone).ok_or_else(|| no_time(&pointer.text, raw, stamp))?;
    if field == Field::Time {
        out.set_line_time(at, zoned);
    } else {
        out.set_time(field, at);
    }
    Ok(stamp.writes(at, raw))
}

/// What the rule expects of a time, and what came.
fn no_time(pointer: &str, raw: &str, stamp: Stamp) -> Reason {
    let number = raw.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let format = match stamp {
        Stamp::Millis | Stamp::Micros | Stamp::Table if number => {
            "; of a number say what it counts: format = \"unix-s\", \"unix-ms\" or \"unix-ns\""
        }
        _ => "",
    };
    Reason::time(pointer, raw, &format!("{}{format}", stamp.wanted()))
}

fn quoted_json(field: Field, raw: &str, out: &mut Envelope<'_>) -> Option<bool> {
    let json = if raw.starts_with('"') { Reader::new(raw).string().ok()?.into_owned() } else { raw.to_owned() };
    if serde_json::from_str::<&serde_json::value::RawValue>(&json).is_err() || json.trim() == "null" {
        return None;
    }
    out.set_raw(field, json);
    Some(true)
}

fn list(field: Field, raw: &str, out: &mut Envelope<'_>) -> Option<bool> {
    if raw.starts_with('"') {
        out.set_raw(field, raw.to_owned());
        return Some(true);
    }
    if serde_json::from_str::<Vec<Cow<'_, str>>>(raw).is_ok_and(|list| !list.is_empty()) {
        out.set_raw(field, raw.to_owned());
        return Some(true);
    }
    let number = scalar(raw)?;
    let mut quoted = String::new();
    write_string(&mut quoted, &number);
    out.set_raw(field, quoted);
    Some(false)
}
