//! `/v1/t/{tenant}/sources`: the systems that records come from, or that are told things.
//!
//! Owns the shapes of requests and answers, and that every change is a record in the tenant's audit log before it is
//! made. A secret goes in and never comes out: it reads `***`, and `***` sent back leaves it as it is. Not here: what a
//! source is used for (`native`, `pull`).

use crate::app::App;
use crate::auth::{self, Caller};
use crate::heard;
use crate::intake::record_use;
use crate::native;
use crate::problem::Problem;
use crate::pull;
use crate::push;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog::{Scopes, SecretText, Source, SourceSpec};
use event::time;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a secret reads.
const HIDDEN: &str = "***";

/// What is recorded when the source of a system that sends under its own name is removed.
const LISTED_AGAIN: &str = "its settings and counts are forgotten; if the system sends again under its own name, it is listed again without settings and counted from nought. To keep it out, revoke the key it sends with";

/// What a source can be for, and what that is.
const KINDS: &[(&str, &str)] = &[
    ("push", "it sends its records here"),
    ("pull", "its records are fetched"),
    ("connector", "it is called when something is to be done there"),
];

/// Body of `PUT …/sources/{name}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Put {
    system: String,
    kind: String,
    #[serde(default)]
    settings: Map<String, Value>,
    #[serde(default)]
    secrets: BTreeMap<String, Option<String>>,
}

fn answer(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// A source as it is shown.
pub(crate) fn shown(source: &Source) -> Value {
    let settings: Value = serde_json::from_str(&source.settings).unwrap_or_else(|_| json!({}));
    let secrets: Map<String, Value> = source.secrets.iter().map(|n| (n.clone(), HIDDEN.into())).collect();
    let mut shown = json!({
        "name": source.name,
        "system": source.system,
        "kind": source.kind,
        "settings": settings,
        "secrets": secrets,
        "created_at": time::format(source.created_at),
        "updated_at": time::format(source.updated_at),
        "last_seen": source.last_seen.map(time::format),
        "received": source.counts.received,
        "duplicate": source.counts.duplicate,
        "refused": source.counts.refused,
    });
    // What is kept as the position of one that sends is our own way of counting.
    if source.kind == push::KIND {
        shown["senders"] = heard::senders(source);
        if let Some(number) = heard::highest(source) {
            shown["highest_number"] = number.into();
        }
    } else {
        shown["position"] = source.position.as_deref().into();
    }
    shown
}

/// `GET /v1/t/{tenant}/sources`.
///
/// # Errors
/// A problem document.
pub async fn list(State(app): State<App>, Path(slug): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::ADMIN)?;
    let all = app.store().catalog().sources(caller.tenant.number)?;
    let items: Vec<Value> = all.iter().map(|s| with_status(&app, s)).collect();
    Ok(answer(StatusCode::OK, &json!({ "items": items })))
}

/// `GET /v1/t/{tenant}/sources/{name}`.
///
/// # Errors
/// A problem document.
pub async fn get(
    State(app): State<App>,
    Path((slug, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::ADMIN)?;
    let source = app.store().catalog().source(caller.tenant.number, &name)?.ok_or_else(Problem::not_found)?;
    Ok(answer(StatusCode::OK, &with_status(&app, &source)))
}

/// The same, and how it goes with fetching.
fn with_status(app: &App, source: &Source) -> Value {
    let mut value = shown(source);
    if let (Value::Object(members), Some(more)) = (&mut value, pull::status(app, source)) {
        members.extend(more);
    }
    value
}

/// `PUT /v1/t/{tenant}/sources/{name}`: makes a source or changes it.
///
/// # Errors
/// A problem document.
pub async fn put(
    State(app): State<App>,
    Path((slug, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::ADMIN)?;
    let put = parse(&body)?;
    let catalog = app.store().catalog();
    let old = catalog.source(caller.tenant.number, &name)?;
    let names = old.as_ref().map(|source| source.secrets.as_slice()).unwrap_or_default();
    let had = match catalog.source_secrets(caller.tenant.number, &name) {
        Ok(had) => had,
        // The key beside the catalog is gone, or another one. Whoever gives all of them again needs none of the old.
        Err(e) if gives_all(&put.secrets, names) => {
            tracing::warn!(error = %e, source = name, "secrets that cannot be read are replaced");
            BTreeMap::new()
        }
        Err(e) => {
            tracing::error!(error = %e, source = name, "a source's secrets cannot be read");
            let detail = "the secrets of this source cannot be read with catalog.key; give all of them again";
            return Err(Problem::new(StatusCode::CONFLICT, "unreadable_secrets", detail));
        }
    };
    let secrets = merge(put.secrets, had)?;
    if put.kind == "pull" {
        pull::validate(&put.system, &put.settings, &secrets)?;
    }
    let settings = Value::Object(put.settings);
    if put.kind == push::KIND {
        push::check(&put.system, &settings, |name| secrets.get(name).cloned())?;
    }
    if put.kind == "connector" {
        crate::revoke::check(&put.system, &settings, &secrets)?;
    }
    let text = settings.to_string();
    if name == native::AUTO {
        let detail = "`auto` is where records are sent whose system is to be found out; give the source another name";
        return Err(Problem::bad("invalid_source", detail));
    }
    let spec = SourceSpec { name: &name, system: &put.system, kind: &put.kind, settings: &text, secrets: &secrets };
    spec.check()?;
    let after = json!({
        "system": put.system, "kind": put.kind, "settings": settings, "secret_names": secrets.keys().collect::<Vec<_>>(),
    });
    record(&app, &caller, "indelible.source.put", &name, old.as_ref(), after).await?;
    let now = app.store().now();
    let (source, created) = match old.as_ref().is_some_and(|old| is_another(old, &settings)) {
        true => catalog.replace_source(caller.tenant.number, &spec, now)?,
        false => catalog.put_source(caller.tenant.number, &spec, now)?,
    };
    app.pulls.changed(caller.tenant.number, &name);
    Ok(answer(if created { StatusCode::CREATED } else { StatusCode::OK }, &shown(&source)))
}

/// `DELETE /v1/t/{tenant}/sources/{name}`: the source, its secrets, its position and its counts. Its records stay. It keeps nobody
/// from sending: a system that sends under its own name is listed again, and counted from nought.
///
/// # Errors
/// A problem document.
pub async fn remove(
    State(app): State<App>,
    Path((slug, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::ADMIN)?;
    let catalog = app.store().catalog();
    let old = catalog.source(caller.tenant.number, &name)?.ok_or_else(Problem::not_found)?;
    record(&app, &caller, "indelible.source.delete", &name, Some(&old), Value::Null).await?;
    catalog.delete_source(caller.tenant.number, &name)?;
    app.heard.forget(caller.tenant.number, &name);
    app.pulls.changed(caller.tenant.number, &name);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Whether another system, or another part of it, is meant now, or more of it: how far the old one was read says nothing of that.
fn is_another(old: &Source, settings: &Value) -> bool {
    let before: Value = serde_json::from_str(&old.settings).unwrap_or_default();
    ["url", "realm", "path", "schema"].iter().any(|name| before[*name] != settings[*name])
        || ["events", "admin_events"].iter().any(|name| before[*name] == false && settings[*name] != false)
}

/// A member of the body: its name, whether it has to be there, what it is, and whether a value is that.
type Member = (&'static str, bool, &'static str, fn(&Value) -> bool);

const MEMBERS: [Member; 4] = [
    ("system", true, "a text", Value::is_string),
    ("kind", true, "a text", Value::is_string),
    ("settings", false, "an object", Value::is_object),
    ("secrets", false, "an object of texts, null where one is to be forgotten", |secrets| {
        secrets.as_object().is_some_and(|all| all.values().all(|secret| secret.is_string() || secret.is_null()))
    }),
];

/// Names of members are quoted where they are wrong, their values never: they may be secrets.
fn parse(body: &[u8]) -> Result<Put, Problem> {
    let bad = |what: String| {
        Problem::bad(
            "invalid_source",
            format!("{what}; the body is {{\"system\", \"kind\", \"settings\": {{…}}, \"secrets\": {{name: text}}}}"),
        )
    };
    let members: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|e| bad(format!("it is no JSON object, at line {} column {}", e.line(), e.column())))?;
    if let Some(name) = members.keys().find(|name| MEMBERS.iter().all(|member| member.0 != name.as_str())) {
        let name: String = name.chars().take(64).collect();
        return Err(bad(format!("`{name}` is no member of a source; what its system needs stands in `settings`")));
    }
    for (name, needed, what, is) in MEMBERS {
        match members.get(name) {
            None if needed => return Err(bad(format!("`{name}` is missing"))),
            Some(value) if !is(value) => return Err(bad(format!("`{name}` is not {what}"))),
            _ => {}
        }
    }
    let put: Put = serde_json::from_value(Value::Object(members)).map_err(|_| bad("it is no source".into()))?;
    if !KINDS.iter().any(|(kind, _)| *kind == put.kind) {
        let kinds: Vec<String> = KINDS.iter().map(|(kind, what)| format!("`{kind}` ({what})")).collect();
        return Err(Problem::bad("invalid_source", format!("`kind` is one of {}", kinds.join(", "))));
    }
    let mapped = put.kind == push::KIND && put.system == push::MAPPING;
    if put.kind != "connector" && !mapped && systems::find(&put.system).is_none() {
        let names: Vec<&str> = systems::SYSTEMS.iter().map(|s| s.name()).collect();
        return Err(Problem::bad("unknown_system", format!("`system` is one of {}", names.join(", "))));
    }
    Ok(put)
}

/// Whether every secret that a source has is given anew, or taken away.
fn gives_all(given: &BTreeMap<String, Option<String>>, names: &[String]) -> bool {
    let anew = |name: &String| given.get(name).is_some_and(|secret| secret.as_deref() != Some(HIDDEN));
    names.iter().all(anew)
}

/// What is not named stays, `***` stays, `null` goes.
fn merge(
    given: BTreeMap<String, Option<String>>,
    mut held: BTreeMap<String, SecretText>,
) -> Result<BTreeMap<String, SecretText>, Problem> {
    for (name, text) in given {
        match text {
            None => {
                held.remove(&name);
            }
            Some(text) if text == HIDDEN => {
                if !held.contains_key(&name) {
                    return Err(Problem::bad(
                        "invalid_source",
                        format!("`secrets` has `{HIDDEN}` for a secret that this source does not have; send its text"),
                    ));
                }
            }
            Some(text) => {
                held.insert(name, SecretText::new(text));
            }
        }
    }
    Ok(held)
}

async fn record(
    app: &App,
    caller: &Caller,
    action: &str,
    name: &str,
    old: Option<&Source>,
    after: Value,
) -> Result<(), Problem> {
    let before = old.map(|s| {
        let settings: Value = serde_json::from_str(&s.settings).unwrap_or_else(|_| json!({}));
        json!({ "system": s.system, "kind": s.kind, "settings": settings, "secret_names": s.secrets })
    });
    let target = json!({ "id": name, "type": "source", "name": name });
    let mut details = json!({ "before": before, "after": after });
    if old.is_some_and(|s| details["after"].is_null() && s.kind == push::KIND && s.name == s.system) {
        details["note"] = LISTED_AGAIN.into();
    }
    record_use(app, caller, action, target, details).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_cannot_be_read_are_replaced_only_by_all_of_them() {
        let given = |secrets: Value| serde_json::from_value::<BTreeMap<String, Option<String>>>(secrets).unwrap();
        let names = ["token".to_owned(), "secret".to_owned()];
        assert!(gives_all(&given(json!({ "token": "a", "secret": null })), &names));
        for part in [json!({}), json!({ "token": "a" }), json!({ "token": "a", "secret": HIDDEN })] {
            assert!(!gives_all(&given(part.clone()), &names), "{part}: the rest would be lost");
        }
    }

    #[test]
    fn a_wrong_body_is_told_by_the_name_of_its_member_and_never_by_its_value() {
        let wrong = [
            ("[]", "no JSON object"),
            (r#"{"system":"okta""#, "line 1 column 16"),
            (r#"{"kind":"push"}"#, "`system` is missing"),
            (r#"{"system":"okta","kind":"push","sequence":"hunter2"}"#, "`sequence` is no member"),
            (r#"{"system":"okta","kind":["hunter2"]}"#, "`kind` is not a text"),
            (r#"{"system":"okta","kind":"push","settings":"hunter2"}"#, "`settings` is not an object"),
            (
                r#"{"system":"okta","kind":"push","secrets":{"token":["hunter2"]}}"#,
                "`secrets` is not an object of texts",
            ),
            (r#"{"system":"okta","kind":"hunter2"}"#, "`kind` is one of"),
        ];
        for (body, what) in wrong {
            let problem = parse(body.as_bytes()).map(|_| ()).unwrap_err();
            assert!(problem.detail().contains(what) && !problem.detail().contains("hunter2"), "{}", problem.detail());
        }
        let put = parse(br#"{"system":"okta","kind":"push","secrets":{"a":"x","b":null}}"#).unwrap();
        assert_eq!(put.secrets.into_values().collect::<Vec<_>>(), [Some("x".into()), None]);
    }
}
