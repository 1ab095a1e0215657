//! User event, admin event, or log line → envelope.

use super::{ADMIN, NAME, USER, change, line};
use crate::envelope::Envelope;
use crate::moment::{self, Stamp};
use crate::object::{Object, decode};
use crate::shipped::{self, uncoloured};
use crate::{Context, Reason, catalog, sessions};
use event::Field;
use std::borrow::Cow;

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    if !text.trim_start().starts_with('{') {
        match uncoloured(text) {
            Cow::Borrowed(text) => of_line(text, |object| object, context, out)?,
            Cow::Owned(text) => of_line(&text, Object::into_owned, context, out)?,
        };
        return Ok(());
    }
    let mut native = Object::parse(text)?;
    if is_log(&mut native) {
        return logged(native, None, context, out);
    }
    if !known(&mut native)
        && let Some(name) = shipped::carried(&mut native, is_line)
    {
        let line = native.take_member(&name).as_ref().and_then(decode).map(Cow::into_owned).unwrap_or_default();
        if line.trim_start().starts_with('{') {
            return logged(Object::parse(&line)?.into_owned(), Some(native), context, out);
        }
        let timed = of_line(
            &uncoloured(&line),
            |line| {
                let mut line = line.into_owned();
                line.add_object("log", native.clone());
                line
            },
            context,
            out,
        )?;
        if !timed {
            // The line's text alone may be two acts.
            out.id_by_content(text);
            let at = ["@timestamp", "timestamp", "time"].into_iter().find_map(|name| native.text(name));
            if let (None, Some((at, zoned))) = (out.at(), at.and_then(|at| moment::text(&at, context.zone))) {
                out.set_line_time(at, zoned);
            }
        }
        return Ok(());
    }
    if !known(&mut native) && native.text("type").is_some_and(|kind| !kind.is_empty()) {
        return Err(Reason::new("not_an_event", "the record's `type` is none of an event, and it has no line of one"));
    }
    event(native, None, context, out)
}

/// The server's log as JSON: the same line, as the message. `shipper` is the object that it came in.
fn logged<'a>(
    mut native: Object<'a>,
    shipper: Option<Object<'a>>,
    context: &Context<'_>,
    out: &mut Envelope<'a>,
) -> Result<(), Reason> {
    let message = native.text("message").unwrap_or_default();
    let message = uncoloured(&message);
    let line = line::parse(&message)
        .ok_or_else(|| Reason::new("not_an_event", "`message` is no line that Keycloak's event listener writes"))?;
    let at = native.text("timestamp").and_then(|time| moment::text(&time, context.zone));
    let mut inside = line.into_object().into_owned();
    // What a shipper adds is no part of it.
    let named = ["timestamp", "sequence", "hostName", "processName", "processId"]
        .map(|name| native.raw(name).map(|raw| raw.trim_matches('"').to_owned()).unwrap_or_default());
    native.take("message");
    if let Some(shipper) = shipper {
        native.add_object("shipper", shipper);
    }
    inside.add_object("log", native);
    event(inside, at, context, out)?;
    if at.is_some() {
        let parts: Vec<&str> = [NAME].into_iter().chain(named.iter().map(String::as_str)).chain([&*message]).collect();
        out.id_by_contents(&parts);
    }
    Ok(())
}

fn is_log(native: &mut Object<'_>) -> bool {
    native.text("loggerName").is_some_and(|name| name == line::LOGGER)
}

/// Whether a text is a line of an event, or an object of the server's log that has one.
pub(super) fn is_line(text: &str) -> bool {
    if text.trim_start().starts_with('{') {
        return Object::parse(text).is_ok_and(|mut inside| is_log(&mut inside));
    }
    line::parse(text).is_some()
}

/// Whether an object is an event itself. Shippers have a `type` as well, and write it in other letters.
pub(super) fn known(native: &mut Object<'_>) -> bool {
    native.has("operationType") || native.has("realmId") || native.text("type").is_some_and(|kind| is_kind(&kind))
}

/// Whether a text is written as the types of events are.
pub(super) fn is_kind(kind: &str) -> bool {
    !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_uppercase() || matches!(b, b'0'..=b'9' | b'_'))
}

/// Reads a line, and tells whether it has a time; `keep` makes its members last as long as the record does.
fn of_line<'l, 'a>(
    text: &'l str,
    keep: impl Fn(Object<'l>) -> Object<'a>,
    context: &Context<'_>,
    out: &mut Envelope<'a>,
) -> Result<bool, Reason> {
    let text = text.trim();
    let line = line::parse(text)
        .ok_or_else(|| Reason::new("not_an_event", "the line is none that Keycloak's event listener writes"))?;
    let time = line.time().and_then(|(begin, time)| Some((begin, moment::text(time, context.zone)?)));
    event(keep(line.into_object()), time.map(|(_, at)| at), context, out)?;
    // Without its day the same text may be two acts. What a shipper writes before the line is no part of it.
    if let Some((begin, _)) = time {
        out.id_by_content(text.get(begin..).unwrap_or(text));
    }
    Ok(time.is_some())
}

/// Reads an event in its JSON form. `line_time` is that of the line it came in.
fn event<'a>(
    mut native: Object<'a>,
    line_time: Option<(i64, bool)>,
    context: &Context<'_>,
    out: &mut Envelope<'a>,
) -> Result<(), Reason> {
    out.id(&mut native, "id");
    out.time(&mut native, "time", Stamp::UnixMillis, context)?;
    if let (None, Some((at, zoned))) = (out.at(), line_time) {
        out.set_line_time(at, zoned);
    }
    let failed = if native.has("operationType") { admin(&mut native, out)? } else { user(&mut native, out)? };
    out.set(Field::Outcome, if failed { "failure" } else { "success" });
    if failed {
        out.set(Field::Level, "warn");
    }
    out.rest(native);
    Ok(())
}

/// Tells whether it failed.
fn user<'a>(native: &mut Object<'a>, out: &mut Envelope<'a>) -> Result<bool, Reason> {
    let kind = native.needed("type")?;
    let base = kind.strip_suffix("_ERROR");
    let known = catalog::of(NAME).get(base.unwrap_or(&kind));
    out.known(known.is_some());
    out.set(Field::Log, "event");
    out.set(Field::Level, known.map_or("info", |entry| entry.level.as_str()));
    let (member, status) = match kind.as_ref() {
        "GRANT_CONSENT" | "UPDATE_CONSENT" => ("details.granted_client", "active"),
        "REVOKE_GRANT" => ("details.revoked_client", "revoked"),
        _ => ("", ""),
    };
    let granted = native.text(member).filter(|client| !client.is_empty());
    // In the account console the event's client and session are the console's, and not those of what was granted.
    let elsewhere = granted.is_some() && granted != native.text("clientId");
    for (path, field) in USER {
        if !(elsewhere && matches!(field, Field::ClientId | Field::SessionId)) {
            out.take(native, path, *field);
        }
    }
    if elsewhere {
        out.copy(native, member, Field::ClientId);
    }
    out.copy(native, "details.auth_method", Field::SessionProtocol);
    let failed = base.is_some() || !out.is_empty(Field::ErrorCode);
    let user = out.text(Field::ActorId).map(Cow::into_owned);
    if !failed && change::OF_PERSONS.contains(&kind.as_ref()) {
        change::own(native, out);
        let realm = native.text("realmId").map(Cow::into_owned).unwrap_or_default();
        out.change(
            change::of_person(&realm, user.as_deref().unwrap_or_default()).filter(|_| !out.is_empty(Field::New)),
        );
    }
    if let (false, Some(user), Some(client)) = (failed, user, granted) {
        sessions::grant(NAME, &user, &client, status, out);
    }
    Ok(failed)
}

fn admin<'a>(native: &mut Object<'a>, out: &mut Envelope<'a>) -> Result<bool, Reason> {
    let operation =
        native.text("operationType").filter(|t| is_word(t)).ok_or_else(|| native.misses("operationType"))?;
    let resource = native.text("resourceType").filter(|t| is_word(t)).ok_or_else(|| native.misses("resourceType"))?;
    native.take("operationType");
    native.take("resourceType");
    out.set(Field::Log, "audit");
    out.set(Field::Level, "info");
    out.set(Field::Action, [&*operation, " ", &*resource].concat());
    let state = if operation == "DELETE" { Field::Old } else { Field::New };
    let path = native.text("resourcePath").unwrap_or_default();
    let realm = native.text("realmId").unwrap_or_default();
    let (target, subject) = entities(&path);
    let nested = nested(&path);
    let role = role_of_client(&path).filter(|_| resource == "CLIENT_ROLE");
    let by_id = path.starts_with("roles-by-id/");
    let (mut role_id, mut shown) = (None, [None, None, None]);
    let target = match path.trim_matches('/') {
        "" | "events/config" if resource == "REALM" => Some(realm.as_ref()),
        _ => target,
    };
    // A path that ends in another entity comes with that one's representation.
    let name = if subject.is_some() && nested.is_none() { Field::SubjectName } else { Field::TargetName };
    if let Some(text) = native.text("representation") {
        if let Some(called) = text_in(&text, change::NAMES) {
            out.set_raw(name, called);
        }
        // A realm's role, too, has an id beside the name that may be in its path.
        let realms = resource == "REALM_ROLE" && path.strip_prefix("roles/").is_some_and(|name| !name.contains('/'));
        role_id = text_in(&text, &["id", "_id"]).filter(|_| role.is_some() || realms || nested.is_some());
        if matches!(resource.as_ref(), "REALM_ROLE" | "CLIENT_ROLE" | "GROUP") {
            shown = ["id", "name", "containerId"]
                .map(|name| text_in(&text, &[name]).and_then(|raw| decode(&raw)).map(Cow::into_owned));
        }
        if resource == "IDENTITY_PROVIDER" {
            let alias = text_in(&text, &["alias"]).and_then(|raw| decode(&raw)).map(Cow::into_owned);
            shown = [None, alias, None];
        }
        out.take_decoded(native, "representation", text, state);
    }
    let [id, name, client] = shown.each_ref().map(Option::as_deref);
    let change = change::of(&operation, &resource, &path, &realm, change::Role { id, name, client });
    // Failures to sign in are those of a user.
    let of_user = resource == "USER_LOGIN_FAILURE";
    out.set(Field::TargetType, if of_user { "USER".into() } else { resource.clone() });
    let (target, subject) = match (role, nested) {
        (Some((client, role)), _) => {
            out.set(Field::SubjectType, "CLIENT");
            (Some(role), Some(client))
        }
        (None, Some((kind, outer, inner))) => {
            out.set(Field::SubjectType, kind);
            (inner, Some(outer))
        }
        (None, None) if by_id && resource == "CLIENT_ROLE" && client.is_some() => {
            out.set(Field::SubjectType, "CLIENT");
            (target, client)
        }
        (None, None) => (target, subject),
    };
    for (field, id) in [(Field::TargetId, target), (Field::SubjectId, subject)] {
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            out.set(field, id.to_owned());
        }
    }
    if let Some(id) = role_id {
        out.set_raw(Field::TargetId, id);
    }
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["sessions", id] if resource == "USER_SESSION" => out.set(Field::SessionId, (*id).to_owned()),
        ["users", user, "consents", client] if !native.has("error") => {
            sessions::grant(NAME, user, client, "revoked", out);
        }
        ["users", user, "logout"] if operation == "ACTION" && !native.has("error") => sessions::end_all_of(user, out),
        ["users", user] if operation == "DELETE" && !native.has("error") => sessions::end_all_of(user, out),
        ["logout-all"] if operation == "ACTION" && !native.has("error") => {
            sessions::end_all(["source", "/realmId"], out);
        }
        _ => {}
    }
    out.take_all(native, ADMIN);
    let failed = !out.is_empty(Field::ErrorCode);
    out.change(change.filter(|_| !failed));
    Ok(failed)
}

/// One word, so that two of them can be told apart again.
fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(' ')
}

/// The entity that a resource path begins with, and the one inside it: `users/{id}/groups/{id}`.
fn entities(path: &str) -> (Option<&str>, Option<&str>) {
    const BEFORE: [&str; 3] = ["identity-provider/", "authentication/", "attack-detection/brute-force/"];
    let path = BEFORE.iter().find_map(|before| path.strip_prefix(before)).unwrap_or(path);
    let mut steps = path.split('/');
    steps.next();
    let target = steps.next();
    let inner = steps.next();
    let subject =
        steps.next().filter(|_| matches!(inner, Some("groups" | "members" | "federated-identity" | "organizations")));
    (target, subject)
}

/// What a path leads to inside another entity, where that is one of its own: what the other is, its id, and the id of what is inside.
fn nested(path: &str) -> Option<(&'static str, &str, Option<&str>)> {
    let steps: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (kind, outer, inner) = match *steps.as_slice() {
        ["clients", outer, "protocol-mappers", "models", id] => ("CLIENT", outer, Some(id)),
        ["clients", outer, "protocol-mappers", _] => ("CLIENT", outer, None),
        ["clients", outer, "authz", "resource-server", _, .., id] => ("CLIENT", outer, Some(id)),
        ["client-scopes", outer, "protocol-mappers", "models", id] => ("CLIENT_SCOPE", outer, Some(id)),
        ["client-scopes", outer, "protocol-mappers", _] => ("CLIENT_SCOPE", outer, None),
        ["identity-provider", "instances", outer, "mappers", id] => ("IDENTITY_PROVIDER", outer, Some(id)),
        ["identity-provider", "instances", outer, "mappers"] => ("IDENTITY_PROVIDER", outer, None),
        ["groups", outer, "children"] => ("GROUP", outer, None),
        _ => return None,
    };
    Some((kind, outer, inner))
}

/// The client and the role's name in a path that leads to a role of a client: `clients/{id}/roles/{name}`. The role is what was
/// changed, and its name is one only within the client.
fn role_of_client(path: &str) -> Option<(&str, &str)> {
    let (client, rest) = path.strip_prefix("clients/")?.split_once('/')?;
    let role = if rest == "roles" { "" } else { rest.strip_prefix("roles/")? };
    Some((client, role.split('/').next().unwrap_or_default()))
}

/// What an entity says of itself in the first of these members that has a text, as JSON text.
fn text_in(representation: &str, members: &[&str]) -> Option<Cow<'static, str>> {
    let mut entity = Object::parse(representation).ok()?;
    members.iter().find_map(|member| {
        let raw = entity.raw(member).filter(|raw| raw.starts_with('"') && raw.len() > 2)?;
        Some(Cow::Owned(raw.as_ref().to_owned()))
    })
}
