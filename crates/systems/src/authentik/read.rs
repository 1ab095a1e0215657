//! An event → envelope.

use super::NAME;
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::object::{self, Object};
use crate::{Context, Reason, catalog};
use event::Field;
use event::json::Reader;
use std::borrow::Cow;

/// Members that are one text in the envelope.
const FIELDS: &[(&str, Field)] = &[
    ("action", Field::Action),
    ("client_ip", Field::Ip),
    ("context.message", Field::Message),
    ("context.http_request.user_agent", Field::UserAgent),
    ("context.http_request.request_id", Field::RequestId),
    ("request_id", Field::RequestId),
    ("context.authorized_application.name", Field::ClientName),
    ("context.model.name", Field::TargetName),
    ("context.model.model_name", Field::TargetType),
    // What was shown or replaced, not what is in it.
    ("context.secret.name", Field::TargetName),
    ("context.secret.model_name", Field::TargetType),
];

/// Whom somebody began to act as.
const IMPERSONATED: &str = "impersonation_started";

/// Where ids stand that may be numbers.
const IDS: &[(&str, Field)] = &[
    ("context.authorized_application.pk", Field::ClientId),
    ("context.model.pk", Field::TargetId),
    ("context.secret.pk", Field::TargetId),
];

/// What authentik calls nobody.
const ANONYMOUS: &str = "AnonymousUser";

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let mut native = Object::parse(text)?;
    let action = native.needed("action")?;
    // A line of the server's own log has neither.
    let logged = !native.has("pk") && !native.has("created") && native.has("timestamp");
    if logged {
        out.id_by_content(text);
    } else {
        out.id(&mut native, "pk");
    }
    out.time(&mut native, if logged { "timestamp" } else { "created" }, Stamp::Micros, context)?;
    let known = catalog::of(NAME).get(&action);
    out.known(known.is_some());
    out.set(Field::Log, known.map_or("event", |entry| entry.log.as_str()));
    out.set(Field::Level, known.map_or("info", |entry| entry.level.as_str()));
    let outcome = match action.as_ref() {
        "login_failed" | "configuration_error" => "failure",
        "suspicious_request" => "deny",
        "policy_execution" if native.raw("context.result.passing").is_some_and(|passing| passing == "false") => "deny",
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
    if action == IMPERSONATED {
        out.copy(&mut native, "context.user.pk", Field::TargetId);
        out.copy(&mut native, "context.user.username", Field::TargetName);
        if !out.is_empty(Field::TargetId) {
            out.set(Field::TargetType, "user");
        }
    }
    out.rest(native);
    Ok(())
}

/// What a change was from and to, member by member: `context.diff.{member}.{previous_value, new_value}`. It stays where it is.
fn states(native: &mut Object<'_>, out: &mut Envelope<'_>) {
    let Some(diff) = native.raw("context.diff").cloned() else { return };
    let (mut old, mut new) = (Vec::new(), Vec::new());
    let mut r = Reader::new(&diff);
    let read = object::members(&mut r, &mut |name, r| {
        let changed = r.skip(1)?;
        for (list, member) in [(&mut old, "previous_value"), (&mut new, "new_value")] {
            if let Some(value) = object::at(changed, &[member]) {
                list.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(())
    });
    if read.is_ok() {
        out.states(&old, &new);
    }
}

/// Who acted, where a forwarder made a text of `user`: the object as JSON in a text, or the name alone. The text stays as it is.
fn written(text: &str, name: Field, email: Field, out: &mut Envelope<'_>) {
    let mut native = Object::default();
    match Object::parse(text) {
        Ok(user) => native.add_object("user", user.into_owned()),
        Err(_) if text.starts_with(['{', '[']) || text == ANONYMOUS => return,
        // What stands there may be either.
        Err(_) => {
            let address = text.split_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty());
            return out.set(if address { email } else { name }, text.to_owned());
        }
    }
    let mut said = Envelope::new(NAME);
    acting(&mut native, name, email, &mut said);
    for field in [Field::ActorId, name, email, Field::ImpersonatorId, Field::ImpersonatorName] {
        if let Some(text) = said.text(field) {
            out.set(field, text.into_owned());
        }
    }
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
    match native.text("user").map(Cow::into_owned) {
        Some(text) => written(text.trim(), name, email, out),
        None => acting(native, name, email, out),
    }
}

fn acting<'a>(native: &mut Object<'a>, name: Field, email: Field, out: &mut Envelope<'a>) {
    if native.has("user.on_behalf_of.pk") {
        out.copy(native, "user.pk", Field::ImpersonatorId);
        out.take(native, "user.username", Field::ImpersonatorName);
        out.copy(native, "user.on_behalf_of.pk", Field::ActorId);
        out.take(native, "user.on_behalf_of.username", name);
        out.take(native, "user.on_behalf_of.email", email);
        return;
    }
    if native.text("user.username").is_some_and(|name| name == ANONYMOUS) {
        return;
    }
    out.copy(native, "user.pk", Field::ActorId);
    out.take(native, "user.username", name);
    out.take(native, "user.email", email);
}
