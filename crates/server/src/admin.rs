//! Tenants and keys.

use crate::app::App;
use crate::auth::{self, Caller};
use crate::intake::{record_use, rules_of};
use crate::problem::Problem;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog::{ApiKey, Scopes, Tenant};
use event::redact::{Canonical, Context};
use event::time;
use serde_json::{Map, Value, json};
use systems::mapping::distance;

/// The setting that holds a tenant's own rules of redaction.
const REDACTION: &str = "redaction";

fn json_answer(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn shown(app: &App, tenant: &Tenant) -> Value {
    let settings: Value = serde_json::from_str(&tenant.settings).unwrap_or_else(|_| json!({}));
    json!({
        "tenant": tenant.slug,
        "settings": settings,
        "created_at": time::format(tenant.created_at),
        "records": app.store().ledger().size(tenant.number),
        "origin": app.store().checkpoints().origin(&tenant.slug),
    })
}

/// `GET /v1/t`: all of them, for an administrator.
///
/// # Errors
/// A problem document.
pub async fn tenants(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    auth::administrator(&app, &headers)?;
    let mut all = app.store().catalog().tenants();
    all.sort_by(|a, b| a.slug.cmp(&b.slug));
    let items: Vec<Value> = all.iter().map(|t| shown(&app, t)).collect();
    Ok(json_answer(StatusCode::OK, &json!({ "items": items })))
}

/// `PUT /v1/t/{tenant}`: makes a tenant or changes its settings.
///
/// # Errors
/// A problem document.
pub async fn put_tenant(
    State(app): State<App>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let principal = auth::administrator_of(&app, &headers, &slug)?;
    let settings = std::str::from_utf8(&body)
        .ok()
        .and_then(|text| Some((serde_json::from_str::<Map<String, Value>>(text).ok()?, text)))
        .ok_or_else(|| Problem::bad("invalid_settings", "the body is a JSON object of settings, `{}` at least"))?;
    let (members, settings) = (settings.0, settings.1.to_owned());
    // Settings of other names are kept for whoever gave them. Rules under such a name would redact nothing, and nobody would know.
    let misspelt = |name: &&String| *name != REDACTION && distance(&name.to_lowercase(), REDACTION) <= 2;
    if let Some(name) = members.keys().find(misspelt) {
        return Err(Problem::bad("invalid_settings", format!("`{name}` is no setting; did you mean `{REDACTION}`?")));
    }
    let rules = rules_of(&settings)?;
    // A change of them is a record, which has to be able to hold them: in `attributes.before` and `after`.
    let how = Canonical { path: "settings", depth: 3, context: Context::default(), rules: &rules };
    how.write(&settings, &mut Vec::new(), &mut String::new())
        .map_err(|e| Problem::bad("invalid_settings", format!("the settings cannot be kept: {e}")))?;
    let store = app.store();
    let (tenant, created) = store.catalog().create_tenant(&slug, &settings, store.now())?;
    if created {
        return Ok(json_answer(StatusCode::CREATED, &shown(&app, &tenant)));
    }
    if tenant.settings == settings {
        return Ok(json_answer(StatusCode::OK, &shown(&app, &tenant)));
    }
    let caller = Caller { principal, tenant };
    let old: Value = serde_json::from_str(&caller.tenant.settings).unwrap_or_else(|_| json!({}));
    let new: Value = serde_json::from_str(&settings).unwrap_or_else(|_| json!({}));
    record_use(
        &app,
        &caller,
        "indelible.tenant.settings",
        json!({ "id": slug, "type": "tenant" }),
        json!({ "before": old, "after": new }),
    )
    .await?;
    let tenant = store.catalog().update_settings(&slug, &settings)?;
    Ok(json_answer(StatusCode::OK, &shown(&app, &tenant)))
}

/// `GET /v1/t/{tenant}`.
///
/// # Errors
/// A problem document.
pub async fn get_tenant(
    State(app): State<App>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::READ)?;
    Ok(json_answer(StatusCode::OK, &shown(&app, &caller.tenant)))
}

fn key_shown(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes.names().collect::<Vec<_>>(),
        "last4": key.last4,
        "created_at": time::format(key.created_at),
        "revoked_at": key.revoked_at.map(time::format),
    })
}

/// `POST /v1/t/{tenant}/keys`: a new key, shown this once.
///
/// # Errors
/// A problem document.
pub async fn create_key(
    State(app): State<App>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::ADMIN)?;
    let request: Value = serde_json::from_slice(&body)
        .map_err(|e| Problem::bad("invalid_json", format!("the body is {{\"name\", \"scopes\": […]}}: {e}")))?;
    let name = request["name"]
        .as_str()
        .map(str::trim)
        .filter(|n| !n.is_empty() && n.len() <= 200 && !n.chars().any(char::is_control))
        .ok_or_else(|| {
            let detail = "`name` says what the key is for, in at most 200 bytes without control characters";
            Problem::bad("invalid_name", detail)
        })?;
    let list = request["scopes"].as_array().filter(|l| !l.is_empty()).ok_or_else(|| {
        Problem::bad("invalid_scopes", format!("`scopes` is a list of at least one of {}", Scopes::ALL))
    })?;
    let names: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
    let scopes = names
        .ok_or_else(|| Problem::bad("invalid_scopes", "`scopes` is a list of texts"))
        .and_then(|names| Scopes::parse(names).map_err(|e| Problem::bad("invalid_scopes", e.to_string())))?;
    if !caller.principal.scopes.contains(scopes) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "missing_scope",
            format!("a key cannot give scopes it lacks; it has {}", caller.principal.scopes),
        ));
    }
    let (key, secret) =
        app.store().catalog().create_key(Some(caller.tenant.number), name, scopes, app.store().now())?;
    let recorded = record_use(
        &app,
        &caller,
        "indelible.key.create",
        json!({ "id": key.id, "type": "api_key", "name": name }),
        json!({ "scopes": key.scopes.names().collect::<Vec<_>>() }),
    )
    .await;
    if let Err(problem) = recorded {
        // What cannot be recorded is not done. On a full disk neither can be, and nobody was told the key.
        if let Err(e) = app.store().catalog().revoke_key(Some(caller.tenant.number), &key.id, app.store().now()) {
            tracing::warn!(error = %e, key = key.id, "a key that nobody was told could not be revoked");
        }
        return Err(problem);
    }
    let mut shown = key_shown(&key);
    shown["key"] = secret.into();
    Ok(json_answer(StatusCode::CREATED, &shown))
}

/// `GET /v1/t/{tenant}/keys`.
///
/// # Errors
/// A problem document.
pub async fn keys(State(app): State<App>, Path(slug): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::ADMIN)?;
    let items: Vec<Value> = app.store().catalog().keys(caller.tenant.number)?.iter().map(key_shown).collect();
    Ok(json_answer(StatusCode::OK, &json!({ "items": items })))
}

/// `DELETE /v1/t/{tenant}/keys/{id}`: the key stops at once.
///
/// # Errors
/// A problem document.
pub async fn revoke_key(
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::ADMIN)?;
    let known = app.store().catalog().keys(caller.tenant.number)?.into_iter().any(|k| k.id == id);
    if !known {
        return Err(Problem::not_found());
    }
    record_use(&app, &caller, "indelible.key.revoke", json!({ "id": id, "type": "api_key" }), json!({})).await?;
    app.store().catalog().revoke_key(Some(caller.tenant.number), &id, app.store().now())?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
