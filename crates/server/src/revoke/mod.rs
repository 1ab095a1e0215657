//! Ending sessions and withdrawing grants where they came from, and telling services that check.
//!
//! Owns the requests, their previews and their answers. `aim` finds out what is meant, `operation` does it and waits for the
//! source's own word, `published` is the list for services that check. What is asked of which system is `systems::revoke`'s
//! matter.
//!
//! Every step is a record of the tenant, made before the step where the step could not be taken back. The records are the
//! only memory of an operation: a restart loses none of what was done, and writes down the end of what was cut off (`afterwards`), as it
//! does where a source confirms something late.

mod afterwards;
mod aim;
mod operation;
mod published;
mod steps;

pub use afterwards::Open;
pub(crate) use afterwards::run as watch;
pub use operation::show;
pub use published::published;

use crate::app::App;
use crate::auth::{self, Caller};
use crate::problem::Problem;
use crate::request::Query;
use aim::Found;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog::Scopes;
use operation::{Operation, Planned};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use systems::revoke::{Aim, Cannot, Connector};

/// The longest that a caller is held.
const LONGEST_WAIT: u64 = 60;

/// Query of a revocation.
#[derive(Debug, Default, Deserialize)]
pub struct Options {
    /// `true`: say what would be hit, and do nothing.
    preview: Option<String>,
    /// Seconds to hold the answer until it is known how it ended; `true` for the longest.
    wait: Option<String>,
}

struct Asked {
    preview: bool,
    wait: Duration,
}

impl Options {
    fn check(&self) -> Result<Asked, Problem> {
        let preview = match self.preview.as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(_) => return Err(Problem::bad("invalid_parameter", "`preview` is true or absent")),
        };
        let seconds = match self.wait.as_deref() {
            None | Some("false" | "0") => Some(0),
            Some("true") => Some(LONGEST_WAIT),
            Some(text) => text.trim_end_matches('s').parse().ok().filter(|s| *s <= LONGEST_WAIT),
        };
        let seconds = seconds.ok_or_else(|| {
            Problem::bad("invalid_parameter", format!("`wait` is a number of seconds up to {LONGEST_WAIT}, or true"))
        })?;
        Ok(Asked { preview, wait: Duration::from_secs(seconds) })
    }
}

/// `POST /v1/t/{tenant}/sessions/{id}/revoke`.
///
/// # Errors
/// A problem document.
pub async fn session(
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
    Query(options): Query<Options>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (caller, asked) = (auth::caller(&app, &headers, &slug, Scopes::REVOKE)?, options.check()?);
    let found = find(&app, &caller, move |app, caller| aim::session(app, &caller.tenant, &id)).await?;
    go(&app, &caller, found.ok_or_else(|| unknown("session"))?, &asked).await
}

/// `POST /v1/t/{tenant}/grants/{id}/revoke`.
///
/// # Errors
/// A problem document.
pub async fn grant(
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
    Query(options): Query<Options>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (caller, asked) = (auth::caller(&app, &headers, &slug, Scopes::REVOKE)?, options.check()?);
    let found = find(&app, &caller, move |app, caller| aim::grant(app, &caller.tenant, &id)).await?;
    go(&app, &caller, found.ok_or_else(|| unknown("grant"))?, &asked).await
}

/// `POST /v1/t/{tenant}/sessions/revoke` with `{"user_id"}`: all of that user's.
///
/// # Errors
/// A problem document.
pub async fn sessions(
    State(app): State<App>,
    Path(slug): Path<String>,
    Query(options): Query<Options>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let (caller, asked) = (auth::caller(&app, &headers, &slug, Scopes::REVOKE)?, options.check()?);
    let user = user_in(&body)?;
    let found = find(&app, &caller, move |app, caller| aim::sessions(app, &caller.tenant, &user)).await?;
    go(&app, &caller, found, &asked).await
}

/// `POST /v1/t/{tenant}/grants/revoke` with `{"user_id"}`: all of that user's.
///
/// # Errors
/// A problem document.
pub async fn grants(
    State(app): State<App>,
    Path(slug): Path<String>,
    Query(options): Query<Options>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let (caller, asked) = (auth::caller(&app, &headers, &slug, Scopes::REVOKE)?, options.check()?);
    let user = user_in(&body)?;
    let found = find(&app, &caller, move |app, caller| aim::grants(app, &caller.tenant, &user)).await?;
    go(&app, &caller, found, &asked).await
}

fn unknown(what: &str) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        format!(
            "no record of this tenant tells of a {what} with this id; all of a user's can be revoked by the user's id"
        ),
    )
}

fn user_in(body: &[u8]) -> Result<String, Problem> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let user = body["user_id"].as_str().filter(|user| !user.is_empty() && user.len() <= 512);
    user.map(str::to_owned).ok_or_else(|| Problem::bad("missing_field", "the body is {\"user_id\": …}, a text"))
}

async fn find<T: Send + 'static>(
    app: &App,
    caller: &Caller,
    work: impl FnOnce(&App, &Caller) -> query::Result<T> + Send + 'static,
) -> Result<T, Problem> {
    let caller = caller.clone();
    crate::turns::blocking(app, move |app, _| work(app, &caller)).await
}

async fn go(app: &App, caller: &Caller, found: Found, asked: &Asked) -> Result<Response, Problem> {
    let id = app.ids.next(app.store().now());
    let (planned, skipped) = connectors(app, caller, &found, &id)?;
    if asked.preview {
        return Ok(answer(StatusCode::OK, &preview(&found, &planned, &skipped)));
    }
    let turn = app.revocations.clone().try_acquire_owned();
    let Ok(turn) = turn else {
        return Err(Problem::busy("too many revocations are waiting for their systems already; nothing was done", 5));
    };
    let operation = Operation::new(caller, id, found.aim);
    operation.requested(app, &planned).await?;
    let (tx, mut state) = tokio::sync::watch::channel(None);
    let (running, shared) = (operation.clone(), app.clone());
    let task = tokio::spawn(async move {
        let _turn = turn;
        let _ = tx.send(Some(running.run(&shared, planned).await));
    });
    if !asked.wait.is_zero() {
        // Whether it ended or the caller's patience did is told apart below.
        let _ = tokio::time::timeout(asked.wait, state.wait_for(Option::is_some)).await;
    }
    drop(task);
    let ended = state.borrow().clone();
    let status = if ended.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let shown = ended.unwrap_or_else(|| operation.running());
    Ok(answer(status, &shown))
}

fn answer(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// A connector by its name, and why it cannot do it.
type Skipped = (String, &'static str);

/// The connectors that can do it and their requests; and those that cannot, with why.
fn connectors(app: &App, caller: &Caller, found: &Found, id: &str) -> Result<(Vec<Planned>, Vec<Skipped>), Problem> {
    let catalog = app.store().catalog();
    let mut sources = catalog.sources(caller.tenant.number)?;
    let fetched = sources.iter().filter(|source| source.kind == "pull");
    let fetched: Vec<(String, String)> = fetched.map(|source| (source.name.clone(), source.system.clone())).collect();
    sources.retain(|source| source.kind == "connector");
    let settings: Vec<Value> = sources.iter().map(|s| serde_json::from_str(&s.settings).unwrap_or_default()).collect();
    let none = BTreeMap::new();
    let serves = |n: usize, what: &dyn Fn(&Connector<'_>) -> bool| {
        let (source, settings) = (sources.get(n), settings.get(n));
        source
            .zip(settings)
            .is_some_and(|(s, settings)| what(&Connector { system: &s.system, settings, secrets: &none }))
    };
    let told = &found.sources;
    let all = 0..sources.len();
    let mut chosen: Vec<usize> = match told.is_empty() {
        // Nothing is known of the user: whoever may know is asked.
        true => all.clone().collect(),
        false => all.clone().filter(|n| serves(*n, &|c| told.iter().any(|source| c.serves(source)))).collect(),
    };
    let served = |source: &String| all.clone().any(|n| serves(n, &|c| c.serves(source)));
    if !told.is_empty() && !told.iter().all(served) {
        let rest = all.clone().filter(|n| serves(*n, &|c| c.serves_the_rest()));
        chosen.extend(rest.collect::<Vec<_>>());
        chosen.sort_unstable();
        chosen.dedup();
    }
    let (mut planned, mut skipped) = (Vec::new(), Vec::new());
    for n in chosen {
        let Some((source, settings)) = sources.get(n).zip(settings.get(n)) else { continue };
        let connector = Connector { system: &source.system, settings, secrets: &none };
        let says = |system: &String| connector.serves(system) || told.contains(system);
        let pulls = fetched.iter().filter(|(_, system)| says(system)).map(|(name, _)| name.clone()).collect();
        let secrets = catalog.source_secrets(caller.tenant.number, &source.name)?;
        let secrets = secrets.iter().map(|(name, text)| (name.clone(), text.expose().to_owned())).collect();
        let connector = Connector { system: &source.system, settings, secrets: &secrets };
        let now = app.store().now() / 1_000_000;
        let operation = systems::revoke::Operation { id, tenant: &caller.tenant.slug, now };
        match systems::revoke::plan(&connector, &found.aim, &operation) {
            Ok(mut plan) => {
                plan.only_of(&whose(&connector, told));
                if let Some(request) = crate::problem::request_id() {
                    plan.calls.iter_mut().for_each(|call| call.headers.push(("x-request-id", request.clone())));
                }
                planned.push(Planned { name: source.name.clone(), system: source.system.clone(), plan, pulls });
            }
            Err(Cannot::NotIts(why)) => skipped.push((source.name.clone(), why)),
            Err(Cannot::Settings(why)) => {
                return Err(Problem::new(
                    StatusCode::CONFLICT,
                    "unusable_connector",
                    format!("the source {:?} cannot be used: {why}; nothing was done", source.name),
                ));
            }
        }
    }
    Ok((planned, skipped))
}

/// The sources whose events say that a connector did it: those that it serves, or for one that serves the rest those that told of what
/// ends. Empty where nobody knows.
fn whose<'s>(connector: &Connector<'_>, told: &'s BTreeSet<String>) -> Vec<&'s str> {
    let systems = systems::SYSTEMS.iter().map(|system| system.name());
    let all: BTreeSet<&'s str> = told.iter().map(String::as_str).chain(systems).collect();
    let own: Vec<&str> = all.into_iter().filter(|source| connector.serves(source)).collect();
    if own.is_empty() { told.iter().map(String::as_str).collect() } else { own }
}

/// Whether a connector could be used as it is set up: whoever needs it needs it now, and is not the one who can mend it.
///
/// # Errors
/// 400 that says what is wrong.
pub(crate) fn check(
    system: &str,
    settings: &Value,
    secrets: &BTreeMap<String, catalog::SecretText>,
) -> Result<(), Problem> {
    let secrets = secrets.iter().map(|(name, text)| (name.clone(), text.expose().to_owned())).collect();
    let aim = Aim::Session { id: "s".into(), user: Some("u".into()) };
    let operation = systems::revoke::Operation { id: "o", tenant: "t", now: 0 };
    match systems::revoke::plan(&Connector { system, settings, secrets: &secrets }, &aim, &operation) {
        Ok(_) | Err(Cannot::NotIts(_)) => Ok(()),
        Err(Cannot::Settings(why)) => Err(Problem::bad("invalid_settings", why)),
    }
}

fn preview(found: &Found, planned: &[Planned], skipped: &[Skipped]) -> Value {
    let connectors: Vec<Value> = planned
        .iter()
        .map(|p| {
            let requests: Vec<String> = p.plan.calls.iter().map(|c| format!("{} {}", c.method, c.url)).collect();
            json!({
                "name": p.name, "system": p.system, "requests": requests, "effect": p.plan.effect,
                "confirmable": !p.plan.confirm.is_empty() || p.plan.shown.is_some(),
            })
        })
        .collect();
    let skipped: Vec<Value> = skipped.iter().map(|(name, why)| json!({ "name": name, "why": why })).collect();
    let mut out = found.aim.members();
    out["preview"] = true.into();
    out["sessions"] = json!(found.sessions);
    out["grants"] = json!(found.grants);
    out["status"] = json!(found.status);
    out["sources"] = json!(found.sources);
    out["connectors"] = connectors.into();
    out["skipped"] = skipped.into();
    out["upstream"] = (!planned.is_empty()).into();
    // No system brings an ended session or a withdrawn consent back.
    out["irreversible"] = (!planned.is_empty()).into();
    out["detail"] = match (planned.is_empty(), &found.aim) {
        (true, _) => "no connector would be told: it would be recorded and published only".into(),
        (false, Aim::Session { .. } | Aim::Sessions { .. }) => {
            "the user has to sign in again; this cannot be undone".into()
        }
        (false, _) => "the clients have to ask the user again; this cannot be undone".into(),
    };
    out
}
