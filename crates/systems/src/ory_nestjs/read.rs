//! `IamAuditEvent` → envelope.

use super::{CHECK, FIELDS, MESSAGE, NAME, NAMED, PERMISSION, SUBJECT_SET, TARGETS};
use crate::catalog::{self, Entry};
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::object::{self, Object};
use crate::{Context, Reason};
use event::Field;
use memchr::memmem;
use std::borrow::Cow;

/// The event that says who was signed in.
const SIGNED_IN: &str = "auth.success";

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let (mut native, own) = opened(text)?;
    let name = native.needed("event")?;
    out.id_by_content(own);
    out.time(&mut native, "timestamp", Stamp::Millis, context)?;
    let known = catalog::of(NAME).get(&name);
    out.known(known.is_some());
    outcome(&mut native, known, out);
    let log = known.map_or_else(|| log_of(&name), |entry| entry.log.as_str());
    out.set(Field::Log, log);
    if native.raw("attributes.irreversible").is_some_and(|raw| raw == "true") {
        native.take("attributes.irreversible");
        out.set_raw(Field::Irreversible, "true");
    }
    actor(&name, &mut native, context, out);
    target(&name, &mut native, out);
    subject(&mut native, out);
    out.take_all(&mut native, FIELDS);
    out.rest(native);
    Ok(())
}

/// The event, and its own text. Where a logger wrote it down it is the `message`, and what the logger says beside it stays as `log`:
/// logged or not it is one record.
fn opened(text: &str) -> Result<(Object<'_>, &str), Reason> {
    let mut native = Object::parse(text)?;
    if native.has("event") {
        return Ok((native, text));
    }
    let Some(own) = native.standing(MESSAGE).filter(|raw| raw.starts_with('{')) else { return Ok((native, text)) };
    let mut event = Object::parse(own)?;
    if !event.has("event") {
        return Ok((native, text));
    }
    native.take_member(MESSAGE);
    event.add_object("log", native);
    Ok((event, own))
}

/// Remembers who was signed in, for the changes that stand before that in the same body.
pub(super) fn foresee(text: &str, context: &Context<'_>) {
    if memmem::find(text.as_bytes(), SIGNED_IN.as_bytes()).is_none() {
        return;
    }
    let Ok((mut native, _)) = opened(text) else { return };
    if native.text("event").as_deref() != Some(SIGNED_IN) {
        return;
    }
    let mut times = Envelope::new(NAME);
    if times.time(&mut native, "timestamp", Stamp::Millis, context).is_ok() {
        actor(SIGNED_IN, &mut native, context, &mut times);
    }
}

/// Names that the catalogue does not have belong where their family is.
fn log_of(name: &str) -> &'static str {
    if name.starts_with("iam.") || name.starts_with("oauth2.") { "audit" } else { "event" }
}

/// The level is the logger sink's: `warn` for what failed or was denied, `error` where the catalogue has such an event as one. Of
/// what succeeded the catalogue is not asked: it has `iam.courier.message.access` as a warning, as documented, but the library
/// sends it as a success.
fn outcome<'a>(native: &mut Object<'a>, known: Option<&'static Entry>, out: &mut Envelope<'a>) {
    let wrong = known.map(|entry| entry.level.as_str()).filter(|level| *level == "error").unwrap_or("warn");
    let (outcome, level) = match native.text("result").as_deref() {
        Some("success") => ("success", "info"),
        Some("failure") => ("failure", wrong),
        Some("deny") => ("deny", wrong),
        _ => ("unknown", "info"),
    };
    if outcome != "unknown" {
        native.take("result");
    }
    out.set(Field::Outcome, outcome);
    out.set(Field::Level, level);
}

/// Whom a relation was given to, where that is no text, and whether it is a set.
fn subject<'a>(native: &mut Object<'a>, out: &mut Envelope<'a>) {
    let Some(raw) = native.raw("attributes.subject").cloned() else { return };
    let said = match object::decode(&raw) {
        Some(text) => Some(text.into_owned()),
        None => Object::parse(&raw).ok().and_then(|subject| written(&mut subject.into_owned())),
    };
    let Some(said) = said.filter(|said| !said.is_empty()) else { return };
    if said.split_once('#').is_some_and(|(object, relation)| object.contains(':') && !relation.is_empty()) {
        out.set(Field::SubjectType, SUBJECT_SET);
    }
    if raw.starts_with('{') {
        out.set(Field::SubjectId, said);
    }
}

/// A subject as Keto writes it.
fn written(subject: &mut Object<'_>) -> Option<String> {
    if let Some(id) = ["id", "subject_id", "subjectId"].iter().find_map(|name| subject.text(name)) {
        return Some(id.into_owned());
    }
    for name in ["subject_set", "subjectSet"] {
        if let Some(set) = subject.inner(name) {
            return of_set(set);
        }
    }
    of_set(subject)
}

fn of_set(set: &mut Object<'_>) -> Option<String> {
    let mut part = |name: &str| set.text(name).map(Cow::into_owned).filter(|text| !text.is_empty());
    let object = format!("{}:{}", part("namespace")?, part("object")?);
    Some(part("relation").map_or_else(|| object.clone(), |relation| format!("{object}#{relation}")))
}

/// Remembers who was signed in, or looks it up for a record that does not say who acted.
fn actor<'a>(name: &str, native: &mut Object<'a>, context: &Context<'_>, out: &mut Envelope<'a>) {
    let said = native.raw("actorId").filter(|raw| raw.starts_with('"') && raw.len() > 2).cloned();
    let machine = native.text("attributes.transport").is_some_and(|t| t == "oauth2");
    if name == SIGNED_IN && said.is_some() {
        out.set(Field::ActorType, if machine { "client" } else { "identity" });
    }
    let Some(at) = out.at() else { return };
    let Some(request) = request(native) else { return };
    match said {
        Some(actor) if name == SIGNED_IN => context.memory.signed_in(&request, &actor, at),
        Some(_) => {}
        // A failed sign-in is nobody's act, least of all that of whoever signed in before.
        None if name.starts_with("auth.") || name.starts_with("health.") => {}
        None => {
            if let Some(actor) = context.memory.actor_of(&request, at) {
                out.infer(Field::ActorId, actor);
            }
        }
    }
}

/// A request is one of its tenant's: two may use the same id.
fn request(native: &mut Object<'_>) -> Option<String> {
    let id = native.text("correlationId").filter(|id| !id.is_empty())?;
    let tenant = native.text("tenant").unwrap_or(Cow::Borrowed(""));
    Some(format!("{NAME}\0{tenant}\0{id}"))
}

fn target<'a>(name: &str, native: &mut Object<'a>, out: &mut Envelope<'a>) {
    if let Some((_, path)) = NAMED.iter().find(|(of, _)| *of == name) {
        out.take(native, path, Field::TargetName);
    }
    if native.has("targetId") {
        if let Some((_, kind)) = TARGETS.iter().find(|(family, _)| name.starts_with(family)) {
            out.set(Field::TargetType, *kind);
            if *kind == "session"
                && let Some(id) = native.raw("targetId").filter(|raw| raw.starts_with('"')).cloned()
            {
                out.set_raw(Field::SessionId, id);
            }
        }
        return;
    }
    if !name.starts_with("authz.") {
        return;
    }
    let part = |native: &mut Object<'a>, path| native.text(path).filter(|t| !t.is_empty());
    let relation = part(native, "attributes.namespace")
        .zip(part(native, "attributes.object"))
        .zip(part(native, "attributes.relation"));
    // A relation as Keto writes it.
    let Some(((namespace, object), relation)) = relation else { return };
    out.set(Field::TargetId, format!("{namespace}:{object}#{relation}"));
    out.set(Field::TargetType, if native.has("attributes.subject") { PERMISSION } else { CHECK });
}
