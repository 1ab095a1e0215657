//! One revocation from its request to its end: each step a record, each connector called once, and the wait for the
//! source's own word.
//!
//! Owns the steps, the calls and the states they end in. Not here: what is asked of which system, and what was meant (`aim`).

use super::steps::{record, records_of, word, write};
use crate::app::App;
use crate::auth::{self, Caller};
use crate::problem::{self, Problem};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use catalog::{Scopes, Tenant};
use query::lang::{Clock, text};
use query::{Access, View};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use systems::revoke::{Access as How, Aim, Call, MOST, Plan, Shown};
use tokio::time::Instant;

/// How long the source's confirming event is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(250);
/// How often the sources that may have it are fetched from meanwhile: their own interval may be longer than the patience.
const FETCH: Duration = Duration::from_secs(3);
/// How long a connector may take to answer.
const CALL: Duration = Duration::from_secs(10);
/// The longest answer that is read: to a request for a token, and to the look afterwards.
const MAX_ANSWER: u64 = 64 << 10;
/// An operation whose last step is older than this, and no end, was cut off: calls and patience are over by then.
const CUT_OFF: i64 = 120 * 1_000_000;

/// A connector with its requests.
pub(super) struct Planned {
    pub(super) name: String,
    pub(super) system: String,
    pub(super) plan: Plan,
    /// Sources that are fetched from and may say that it was done.
    pub(super) pulls: Vec<String>,
}

/// An operation.
#[derive(Clone)]
pub(super) struct Operation {
    tenant: Arc<Tenant>,
    actor: Value,
    request: Option<String>,
    id: String,
    aim: Arc<Aim>,
}

/// How it ended with one connector.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// The source said so itself.
    Confirmed,
    /// The source showed so when it was asked.
    Shown,
    /// It answered that it was done, and said nothing more in time.
    NotConfirmed,
    /// The same, and it never says more.
    NotConfirmable,
    /// It was not done, or nobody knows.
    Failed(String),
}

impl End {
    fn state(&self) -> &'static str {
        match self {
            End::Confirmed | End::Shown => "confirmed",
            End::NotConfirmed => "not_confirmed",
            End::NotConfirmable => "not_confirmable",
            End::Failed(_) => "failed",
        }
    }

    fn detail(&self) -> String {
        match self {
            End::Confirmed => "revoked and confirmed".into(),
            End::Shown => "revoked and confirmed: asked afterwards, the system shows it as ended".into(),
            End::NotConfirmed => format!("not confirmed after {} s", PATIENCE.as_secs()),
            End::NotConfirmable => "revoked; the system sends no event that would confirm it".into(),
            End::Failed(why) => why.clone(),
        }
    }
}

impl Operation {
    pub(super) fn new(caller: &Caller, id: String, aim: Aim) -> Operation {
        let principal = &caller.principal;
        Operation {
            tenant: Arc::clone(&caller.tenant),
            actor: json!({ "id": principal.key_id.as_ref(), "type": "api_key", "name": principal.name.as_ref() }),
            request: problem::request_id(),
            id,
            aim: Arc::new(aim),
        }
    }

    /// What a caller is told who does not wait.
    pub(super) fn running(&self) -> Value {
        let mut out = self.aim.members();
        out["operation"] = self.id.as_str().into();
        out["state"] = "requested".into();
        out["href"] = format!("/v1/t/{}/revocations/{}", self.tenant.slug, self.id).into();
        out
    }

    /// Writes a step down.
    async fn step(&self, app: &App, step: &str, outcome: &str, details: Value) -> Result<(), Problem> {
        self.step_of(app, step, outcome, details, None).await
    }

    /// The same; `ended` is a session that the source showed as over, which is then so in the view of sessions too.
    async fn step_of(
        &self,
        app: &App,
        step: &str,
        outcome: &str,
        details: Value,
        ended: Option<&str>,
    ) -> Result<(), Problem> {
        let (kind, id) = self.aim.target();
        let mut attributes = self.aim.members();
        if let (Some(attributes), Value::Object(details)) = (attributes.as_object_mut(), details) {
            attributes.extend(details);
            if let Some(request) = &self.request {
                attributes.insert("http_request_id".into(), request.as_str().into());
            }
        }
        let mut record = record(step, outcome, &self.id);
        record["actor"] = self.actor.clone();
        record["target"] = json!({ "id": id, "type": kind });
        record["attributes"] = attributes;
        // Whose session or grant it is, where the target is not that user.
        if let Some(user) = self.aim.user().filter(|_| kind != "user") {
            record["subject"] = json!({ "id": user, "type": "user" });
        }
        if let Some(session) = ended {
            record["session"] = json!({ "id": session, "status": "revoked" });
            if let Some(user) = self.aim.user() {
                record["session"]["user_id"] = user.into();
            }
        }
        write(app, &self.tenant, &record).await
    }

    /// Writes down that it was asked for, which also publishes it.
    ///
    /// # Errors
    /// What cannot be recorded is not done.
    pub(super) async fn requested(&self, app: &App, planned: &[Planned]) -> Result<(), Problem> {
        let connectors: Vec<&str> = planned.iter().map(|p| p.name.as_str()).collect();
        self.step(app, "requested", "success", json!({ "connectors": connectors })).await
    }

    /// Does it. Gives what a caller is told, which is also its last record.
    pub(super) async fn run(self, app: &App, planned: Vec<Planned>) -> Value {
        let told = !planned.is_empty();
        let mut tasks = tokio::task::JoinSet::new();
        for planned in planned {
            let (operation, app) = (self.clone(), app.clone());
            tasks.spawn(async move {
                let end = operation.connector(&app, &planned).await;
                (planned.name, planned.system, end)
            });
        }
        let mut ends = Vec::new();
        while let Some(joined) = tasks.join_next().await {
            ends.extend(joined.ok());
        }
        ends.sort_by(|a, b| a.0.cmp(&b.0));
        let worst = [
            ends.iter().find(|e| matches!(e.2, End::Failed(_))),
            ends.iter().find(|e| e.2 == End::NotConfirmed),
            ends.iter().find(|e| e.2 == End::NotConfirmable),
            ends.first(),
        ];
        let (state, detail) = match worst.into_iter().flatten().next() {
            Some((_, _, end)) => (end.state(), end.detail()),
            None if told => ("failed", "the connectors could not be called; the server's log says why".into()),
            None => ("recorded", "recorded and published; nothing upstream was told".into()),
        };
        let connectors: Vec<Value> = ends
            .iter()
            .map(|(name, system, end)| {
                json!({ "name": name, "system": system, "state": end.state(), "detail": end.detail() })
            })
            .collect();
        let details = json!({ "state": state, "detail": detail, "upstream": told, "connectors": connectors });
        let outcome = if state == "failed" { "failure" } else { "success" };
        if let Err(problem) = self.step(app, "ended", outcome, details.clone()).await {
            tracing::error!(?problem, operation = self.id, "the end of a revocation could not be recorded");
        }
        if state == "not_confirmed" {
            app.open_revocations.add(&self.tenant, &self.id, app.store().now());
        }
        let mut out = self.running();
        if let (Some(out), Value::Object(details)) = (out.as_object_mut(), details) {
            out.extend(details);
        }
        out
    }

    /// Calls one connector and waits for its word.
    async fn connector(&self, app: &App, planned: &Planned) -> End {
        // Only what is sealed from here on can be about this.
        let from = app.store().ledger().size(self.tenant.number);
        let named = |details: Value| {
            let mut out = json!({ "connector": planned.name, "system": planned.system });
            if let (Some(out), Value::Object(details)) = (out.as_object_mut(), details) {
                out.extend(details);
            }
            out
        };
        let requests: Vec<String> = planned.plan.calls.iter().map(|c| format!("{} {}", c.method, c.url)).collect();
        // With what would confirm it, so that it is known later too.
        let sending = json!({ "requests": requests, "confirm": planned.plan.confirm });
        if self.step(app, "sent", "success", named(sending)).await.is_err() {
            return End::Failed("the call could not be recorded, so it was not made".into());
        }
        let plan = planned.plan.clone();
        let sent = tokio::task::spawn_blocking(move || send(&plan)).await;
        let sent = sent.unwrap_or_else(|_| Err((Vec::new(), "the call was cut off".into())));
        let (outcome, details) = match &sent {
            Ok(statuses) => ("success", json!({ "statuses": statuses })),
            Err((statuses, why)) => ("failure", json!({ "error": why, "statuses": statuses })),
        };
        // The call is made: that its answer cannot be recorded changes nothing of it.
        let recorded = self.step(app, "answered", outcome, named(details)).await;
        if let Err((_, why)) = sent {
            return End::Failed(why);
        }
        if recorded.is_err() {
            tracing::error!(operation = self.id, "the answer to a revocation could not be recorded");
        }
        if self.shown(&planned.plan).await {
            self.ended(app, named(json!({ "detail": End::Shown.detail() }))).await;
            return End::Shown;
        }
        if planned.plan.confirm.is_empty() {
            return End::NotConfirmable;
        }
        let open = self.unconfirmed(app, planned, from).await;
        let (end, step, outcome) = match open.is_empty() {
            true => (End::Confirmed, "confirmed", "success"),
            false => (End::NotConfirmed, "not_confirmed", "unknown"),
        };
        let mut details = json!({ "detail": end.detail() });
        if !open.is_empty() {
            // Of many sessions it says which.
            details["unconfirmed"] = open.into_iter().take(MOST).collect();
        }
        if self.step(app, step, outcome, named(details)).await.is_err() {
            tracing::error!(operation = self.id, "the end of a revocation could not be recorded");
        }
        end
    }

    /// Whether the source, asked now, shows that it is over. What it does not show it may still say.
    async fn shown(&self, plan: &Plan) -> bool {
        let (Some(shown), access) = (plan.shown.clone(), plan.access.clone()) else { return false };
        let looked = tokio::task::spawn_blocking(move || look(&access, &shown)).await;
        match looked.unwrap_or_else(|_| Err("the look was cut off".into())) {
            Ok(over) => over,
            Err(why) => {
                tracing::warn!(why, operation = self.id, "what became of a revocation could not be looked at");
                false
            }
        }
    }

    /// Writes down what the source showed: of each session that it was about.
    async fn ended(&self, app: &App, details: Value) {
        let sessions: &[String] = match &*self.aim {
            Aim::Session { id, .. } => std::slice::from_ref(id),
            Aim::Sessions { known, .. } => known,
            Aim::Grant { .. } | Aim::Grants { .. } => &[],
        };
        let mut steps: Vec<Option<&str>> = sessions.iter().take(MOST).map(|id| Some(id.as_str())).collect();
        if steps.is_empty() {
            steps.push(None);
        }
        for session in steps {
            if self.step_of(app, "confirmed", "success", details.clone(), session).await.is_err() {
                tracing::error!(operation = self.id, "the end of a revocation could not be recorded");
            }
        }
    }

    /// Waits until a record that was sealed from `from` on matches each of the plan's filters. Gives those that none matched.
    async fn unconfirmed(&self, app: &App, planned: &Planned, from: u64) -> Vec<String> {
        let Some(mut open) = confirming(app, &planned.plan.confirm, from) else {
            tracing::error!("a connector's own filter cannot be read");
            return planned.plan.confirm.clone();
        };
        let names = |open: Vec<Confirming>| open.into_iter().map(|(filter, _)| filter).collect();
        let until = Instant::now() + PATIENCE;
        let mut fetch = Instant::now();
        loop {
            if Instant::now() >= fetch {
                app.pulls.hurry(self.tenant.number, &planned.pulls);
                fetch = Instant::now() + FETCH;
            }
            match unseen(app, &self.tenant, open.clone()).await {
                Ok(left) if left.is_empty() => return Vec::new(),
                Ok(left) => open = left,
                Err(problem) => tracing::warn!(?problem, "a confirming event could not be looked for"),
            }
            if Instant::now() >= until {
                return names(open);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What would confirm a revocation: a connector's filter, and the query of it.
type Confirming = (String, query::Query);

/// The filters as queries of what was sealed from `from` on; `None` where one of them is no filter.
fn confirming(app: &App, filters: &[String], from: u64) -> Option<Vec<Confirming>> {
    let clock = Clock::utc(app.store().now());
    let query = |filter: &String| {
        let text = format!("({filter}) -source:indelible index:>={from}");
        let mut query = query::Query::new(View::Records);
        (query.filter, query.limit) = (text::parse(&text, View::Records, &clock).ok()?, Some(1));
        Some((filter.clone(), query))
    };
    filters.iter().map(query).collect()
}

/// Those of the queries that no record matches yet.
async fn unseen(app: &App, tenant: &Arc<Tenant>, queries: Vec<Confirming>) -> Result<Vec<Confirming>, Problem> {
    let tenant = Arc::clone(tenant);
    crate::turns::blocking(app, move |app, _| {
        let mut left = Vec::new();
        for (filter, query) in queries {
            if app.engine.page(&tenant, &query, Access { bodies: false })?.items.is_empty() {
                left.push((filter, query));
            }
        }
        Ok(left)
    })
    .await
}

/// The end of an operation that a stop of the server cut off: nobody waited for the word of those that had answered, and of the others it
/// is not known whether they were told.
fn cut_off(records: &[Value]) -> Value {
    let with = |step: &str| {
        let action = format!("indelible.revoke.{step}");
        records.iter().filter(move |r| r["action"] == action.as_str())
    };
    let state = |name: &Value| {
        let said = |step: &str| with(step).any(|r| &r["attributes"]["connector"] == name && r["outcome"] != "failure");
        match (said("confirmed"), said("answered")) {
            (true, _) => ("confirmed", "revoked and confirmed"),
            (_, true) => ("not_confirmed", "it answered; a stop of the server cut the wait for its event off"),
            _ => ("unknown", "a stop of the server cut it off; ask again, which is safe"),
        }
    };
    let connector = |sent: &Value| {
        let (state, detail) = state(&sent["attributes"]["connector"]);
        json!({ "name": sent["attributes"]["connector"], "system": sent["attributes"]["system"], "state": state, "detail": detail })
    };
    let connectors: Vec<Value> = with("sent").map(connector).collect();
    let worst = ["unknown", "not_confirmed", "confirmed"];
    let worst = worst.into_iter().find_map(|state| connectors.iter().find(|c| c["state"] == state)).cloned();
    let (state, detail) = worst.map_or_else(
        || {
            (
                "unknown".into(),
                "a stop of the server cut it off before anything was told; ask again, which is safe".into(),
            )
        },
        |worst| (worst["state"].clone(), worst["detail"].clone()),
    );
    json!({ "state": state, "detail": detail, "upstream": !connectors.is_empty(), "connectors": connectors })
}

/// The end of an operation as it reads now: what was not confirmed in time may be by an event that came since.
async fn by_now(app: &App, tenant: &Arc<Tenant>, records: &[Value], ended: &mut Value) -> Result<(), Problem> {
    let sent = |name: &Value| {
        let mut sent = records.iter().filter(|r| r["action"] == "indelible.revoke.sent");
        sent.find(|r| &r["attributes"]["connector"] == name)
    };
    let Some(connectors) = ended["connectors"].as_array_mut() else { return Ok(()) };
    for connector in connectors.iter_mut().filter(|c| c["state"] == "not_confirmed") {
        let Some(sent) = sent(&connector["name"]) else { continue };
        let filters: Vec<String> = serde_json::from_value(sent["attributes"]["confirm"].clone()).unwrap_or_default();
        let open = confirming(app, &filters, sent["index"].as_u64().unwrap_or_default());
        let Some(open) = open.filter(|open| !open.is_empty()) else { continue };
        if unseen(app, tenant, open).await?.is_empty() {
            connector["state"] = "confirmed".into();
            connector["detail"] = "revoked and confirmed, later than it was waited for".into();
        }
    }
    let left = ["not_confirmed", "not_confirmable", "confirmed"];
    let now = left.into_iter().find_map(|state| connectors.iter().find(|c| c["state"] == state).cloned());
    if let Some(now) = now.filter(|_| ended["state"] == "not_confirmed") {
        for name in ["state", "detail"] {
            ended[name] = now[name].clone();
        }
    }
    Ok(())
}

/// Connectors of an ended operation that were confirmed since, and whether all are by now.
pub(super) async fn late(
    app: &App,
    tenant: &Arc<Tenant>,
    records: &[Value],
    ended: &Value,
) -> Result<(Vec<Value>, bool), Problem> {
    let mut now = ended.clone();
    by_now(app, tenant, records, &mut now).await?;
    let before = ended["connectors"].as_array().into_iter().flatten();
    let connectors = now["connectors"].as_array().cloned().unwrap_or_default();
    let changed = connectors.iter().zip(before).filter(|(now, before)| now["state"] != before["state"]);
    let confirmed = changed.map(|(now, _)| now.clone()).collect();
    Ok((confirmed, connectors.iter().all(|connector| connector["state"] != "not_confirmed")))
}

/// The end of an operation that nobody waits for any more, though it has none; `None` where somebody may still.
pub(super) async fn cut_off_by(app: &App, tenant: &Arc<Tenant>, records: &[Value]) -> Result<Option<Value>, Problem> {
    let at = records.last().and_then(|last| last["time"].as_str()).and_then(event::time::parse).unwrap_or_default();
    // Nobody waits any more for what began before this process did.
    let since_start = i64::try_from(app.started.elapsed().as_micros()).unwrap_or(i64::MAX);
    if app.store().now().saturating_sub(at) <= CUT_OFF.min(since_start) {
        return Ok(None);
    }
    let mut ended = cut_off(records);
    by_now(app, tenant, records, &mut ended).await?;
    Ok(Some(ended))
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(CALL))
        .user_agent(concat!("indelible/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

/// What lets us in, if anything has to.
fn bearer(agent: &ureq::Agent, access: &How) -> Result<Option<String>, String> {
    match access {
        How::Open => Ok(None),
        How::Bearer(token) => Ok(Some(token.clone())),
        How::Token(call) => token(agent, call).map(Some),
    }
}

/// Asks whether it is over.
fn look(access: &How, shown: &Shown) -> Result<bool, String> {
    let agent = agent();
    let token = bearer(&agent, access)?;
    let mut response = ask(&agent, &shown.call, token.as_deref())?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
    Ok(shown.says(status, &body.map_err(|e| format!("its answer cannot be read: {e}"))?))
}

/// Sends a plan's requests one after the other. Gives their statuses; and why not all were done, if so: never a secret. That one of
/// them is not done keeps none of the others from being asked for, unless nobody is there or we are not let in.
fn send(plan: &Plan) -> Result<Vec<u16>, (Vec<u16>, String)> {
    let agent = agent();
    let token = bearer(&agent, &plan.access).map_err(|why| (Vec::new(), why))?;
    let (mut statuses, mut first) = (Vec::new(), None);
    for call in &plan.calls {
        let status = match ask(&agent, call, token.as_deref()) {
            Ok(response) => response.status().as_u16(),
            Err(why) => return Err((statuses, why)),
        };
        statuses.push(status);
        let why = match status {
            200..=299 => continue,
            404 => "answered 404: it knows no such session, grant or user, or not any more".into(),
            401 | 403 => {
                return Err((
                    statuses,
                    format!("answered {status}: the connector's credentials do not let it do this"),
                ));
            }
            _ => format!("answered {status}; whether it was done is not known"),
        };
        first.get_or_insert(why);
    }
    let Some(mut why) = first else { return Ok(statuses) };
    let done = statuses.iter().filter(|status| (200..=299).contains(*status)).count();
    if done > 0 {
        why.push_str(&format!(" ({done} of {} requests were done)", statuses.len()));
    }
    Err((statuses, why))
}

fn token(agent: &ureq::Agent, call: &Call) -> Result<String, String> {
    let mut response = ask(agent, call, None)?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(format!(
            "answered {status} to the request for a token; check the connector's client and its secret"
        ));
    }
    let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
    let body: Option<Value> = body.ok().and_then(|body| serde_json::from_slice(&body).ok());
    let token = body.as_ref().and_then(|body| body["access_token"].as_str());
    token.map(str::to_owned).ok_or_else(|| "gave no `access_token`".into())
}

fn ask(agent: &ureq::Agent, call: &Call, token: Option<&str>) -> Result<ureq::http::Response<ureq::Body>, String> {
    let mut request = ureq::http::Request::builder().method(call.method).uri(&call.url);
    for (name, value) in &call.headers {
        request = request.header(*name, value);
    }
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let unsound = |_| "the request is none that can be sent; check the connector's settings".to_owned();
    let answer = match &call.body {
        Some((kind, text)) => agent.run(request.header("content-type", *kind).body(text.as_bytes()).map_err(unsound)?),
        None if call.method == "POST" => agent.run(request.body([].as_slice()).map_err(unsound)?),
        None => agent.run(request.body(()).map_err(unsound)?),
    };
    // What went wrong below HTTP: addresses and names of files at most.
    answer.map_err(|e| format!("gave no answer ({e}); whether it was done is not known"))
}

/// `GET /v1/t/{tenant}/revocations/{id}`: how far an operation is, from its records.
///
/// # Errors
/// A problem document.
pub async fn show(
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::either(&app, &headers, &slug, Scopes::READ, Scopes::REVOKE)?;
    let records = records_of(&app, &caller.tenant, &id).await?;
    let (Some(first), Some(last)) = (records.first(), records.last()) else { return Err(Problem::not_found()) };
    let mut out = serde_json::Map::new();
    for name in ["kind", "session_id", "grant_id", "user_id", "client_id"] {
        if let Some(value) = first["attributes"].get(name).filter(|value| !value.is_null()) {
            out.insert(name.to_owned(), value.clone());
        }
    }
    out.insert("operation".into(), first["request_id"].clone());
    let ended = match records.iter().find(|record| word(record) == "ended") {
        Some(ended) => {
            let mut ended = ended["attributes"].clone();
            by_now(&app, &caller.tenant, &records, &mut ended).await?;
            Some(ended)
        }
        None => cut_off_by(&app, &caller.tenant, &records).await?,
    };
    match ended {
        Some(ended) => {
            let told = ["state", "detail", "upstream", "connectors"].map(|name| (name, ended[name].clone()));
            out.extend(
                told.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)),
            );
        }
        None => {
            out.insert("state".into(), word(last).into());
        }
    }
    let steps: Vec<Value> = records
        .iter()
        .map(
            |r| json!({ "step": word(r), "time": r["time"], "id": r["id"], "connector": r["attributes"]["connector"] }),
        )
        .collect();
    out.insert("steps".into(), steps.into());
    Ok(super::answer(StatusCode::OK, &Value::Object(out)))
}
