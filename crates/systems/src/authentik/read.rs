//! An event → envelope.

use super::NAME;
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::object::{self, Object};
use crate::{Context, Reason, catalog};
use event::Field;
use std::borrow::Cow;

/// Members that are one text in the envelope.
const FIELDS: &[(&str, Field)] = &[
    ("action", Field::Action),
    ("client_ip", Field::Ip),
    ("context.message", Field::Message),
    ("context.http_request.user_agent", Field::UserAgent),
    ("context.http_request.request_id", Field::RequestId),
    ("context.authorized_application.name", Field::ClientName),
    ("context.model.name", Field::TargetName),
    ("context.model.model_name", Field::TargetType),
    // What was shown or replaced, not what is in it.
    ("context.secret.name", Field::TargetName),
    ("context.secret.model_name", Field::TargetType),
];

/// Where ids stand that may be numbers.
const IDS: &[(&str, Field)] = &[
    ("context.authorized_application.pk", Field::ClientId),
    ("context.model.pk", Field::TargetId),
    ("context.secret.pk", Field::TargetId),
];

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let mut native = Object::parse(text)?;
    let action = native.needed("action")?;
    out.id(&mut native, "pk");
    out.time(&mut native, "created", Stamp::Micros, context)?;
    let known = catalog::of(NAME).get(&action);
    out.set(Field::Log, known.map_or("event", |entry| entry.log.as_str()));
    out.set(Field::Level, known.map_or("info", |entry| entry.level.as_str()));
    let outcome = match action.as_ref() {
        "login_failed" | "configuration_error" => "failure",
        "suspicious_request" => "deny",
        exception if exception.ends_with("_exception") => "failure",
        // A site's own action says nothing of how it ended.
        custom if known.is_none() || custom.starts_with("custom_") => "unknown",
        _ => "success",
    };
    out.set(Field::Outcome, outcome);
    people(&action, &mut native, out);
    states(&mut native, out);
    out.take_all(&mut native, FIELDS);
    for (path, field) in IDS {
        out.copy(&mut native, path, *field);
    }
    out.rest(native);
    Ok(())
}

/// What a change was from and to, member by member: `context.diff.{member}.{previous_value, new_value}`. It stays where it is.
fn states(native: &mut Object<'_>, out: &mut Envelope<'_>) {
    let Some(diff) = native.raw("context.diff").cloned() else { return };
    let Ok(changed) = Object::parse(&diff) else { return };
    let names: Vec<String> = changed.keys().map(Cow::into_owned).collect();
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for name in names {
        for (list, member) in [(&mut old, "previous_value"), (&mut new, "new_value")] {
            if let Some(value) = object::at(&diff, &[&name, member]) {
                list.push((name.clone(), value.to_owned()));
            }
        }
    }
    out.states(&old, &new);
}

fn people<'a>(action: &str, native: &mut Object<'a>, out: &mut Envelope<'a>) {
    let audit = catalog::of(NAME).get(action).is_some_and(|entry| entry.log == "audit");
    let (name, email) = if audit { (Field::ActorName, Field::ActorEmail) } else { (Field::Username, Field::Email) };
    if action == "login_failed" {
        // Nobody acted yet; `user` says so and stays.
        out.copy(native, "context.username", Field::Username);
        out.take(native, "context.username", Field::Identifier);
        return;
    }
    if native.has("user.on_behalf_of.pk") {
        out.copy(native, "user.pk", Field::ImpersonatorId);
        out.take(native, "user.username", Field::ImpersonatorName);
        out.copy(native, "user.on_behalf_of.pk", Field::ActorId);
        out.take(native, "user.on_behalf_of.username", name);
        out.take(native, "user.on_behalf_of.email", email);
        return;
    }
    if native.text("user.username").is_some_and(|name| name == "AnonymousUser") {
        return;
    }
    out.copy(native, "user.pk", Field::ActorId);
    out.take(native, "user.username", name);
    out.take(native, "user.email", email);
}
