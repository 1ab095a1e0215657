//! A row, or an entry of `authLog` → envelope.

use super::{CAMEL, GRAPHQL, GRAPHQL_MARK, NAME, PERSON, ROW, people, target};
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::object::{Object, decode};
use crate::{Context, Reason, catalog, pairs};
use event::Field;
use event::json::write_string;
use std::borrow::Cow;

/// Nobody is known who failed to sign in; what was typed is an address or a name, and people look for it as that.
fn typed(out: &mut Envelope<'_>) {
    let Some(typed) = out.text(Field::Identifier).filter(|typed| !typed.is_empty()).map(Cow::into_owned) else {
        return;
    };
    let address = typed.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    let mut raw = String::new();
    write_string(&mut raw, &typed);
    out.infer(if address { Field::Email } else { Field::Username }, raw);
}

const METADATA: &str = "metadata";

/// An object that an exporter wrote as a text, as some do with what PostgreSQL has as `jsonb`. It stays as it is.
fn written<'a>(raw: &Cow<'a, str>) -> Option<Object<'a>> {
    let text = decode(raw).filter(|text| text.trim_start().starts_with('{'))?;
    Object::parse(&text).ok().map(Object::into_owned)
}

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let mut native = Object::parse(text)?;
    let kind = native.needed("type")?;
    let shape = if !native.has(ROW.created_at) && CAMEL.iter().any(|name| native.has(name)) {
        out.shape(GRAPHQL_MARK);
        &GRAPHQL
    } else {
        &ROW
    };
    out.id(&mut native, "id");
    out.time(&mut native, shape.created_at, Stamp::Millis, context)?;
    let known = catalog::of(NAME).get(&kind);
    out.known(known.is_some());
    out.set(Field::Log, known.map_or("event", |entry| entry.log.as_str()));
    let (outcome, level) = match native.raw("success").map(AsRef::as_ref) {
        // As PostgreSQL prints it, and what is made of that; it stays, then.
        Some("true" | "\"true\"" | "\"t\"" | "1") => ("success", known.map_or("info", |entry| entry.level.as_str())),
        Some("false" | "\"false\"" | "\"f\"" | "0") => ("failure", "warn"),
        _ => ("unknown", "info"),
    };
    if native.raw("success").is_some_and(|raw| matches!(raw.as_ref(), "true" | "false")) {
        native.take("success");
    }
    out.set(Field::Outcome, outcome);
    out.set(Field::Level, level);

    let people = people(&kind);
    out.take(&mut native, shape.target, Field::TargetId);
    out.take(&mut native, shape.person, people.person);
    out.take(&mut native, shape.invoked_by, people.invoked_by);
    if !out.is_empty(Field::TargetId) {
        out.set(Field::TargetType, PERSON);
    }
    // A cast of `inet` to text has the length of the network.
    if let Some(address) = native.text(shape.address)
        && let Some(address) = address.strip_suffix("/32").or_else(|| address.strip_suffix("/128"))
    {
        out.set(Field::Ip, address.to_owned());
    }
    // What became a list of pairs, or a text, on its way here; it stays as it is.
    let mut listed = native.member(shape.data).and_then(|raw| pairs::object(raw).or_else(|| written(raw)));
    let mut metadata = native.member(METADATA).and_then(|raw| written(raw));
    target::fill(&kind, shape, &mut native, listed.as_mut(), out);
    out.take_json(&mut native, shape.before, Field::Old);
    out.take_json(&mut native, shape.after, Field::New);
    for (name, field) in [("before", Field::Old), ("after", Field::New)] {
        let state = listed.as_mut().and_then(|data| data.take_member(name)).filter(|raw| raw != "null");
        if let Some(state) = state {
            out.set_raw(field, state);
        }
    }
    out.take_all(&mut native, shape.fields);
    if let Some(metadata) = &mut metadata {
        for (path, field) in shape.fields {
            if let Some(name) = path.strip_prefix(METADATA).and_then(|path| path.strip_prefix('.')) {
                out.copy(metadata, name, *field);
            }
        }
    }
    if outcome == "failure" && known.is_none_or(|entry| entry.log == "event") {
        typed(out);
    }
    out.rest(native);
    Ok(())
}
