//! What becomes of a revocation when nobody waits for it any more: its source confirms it late, or a stop of the server cut it off.
//!
//! Owns looking at those operations for a day and writing down what became of them, so that what is sealed says the same as what is
//! answered. Not here: how an operation stands by its records (`operation`).

use super::operation::{cut_off_by, late};
use super::steps::{self, records_of, word};
use crate::app::App;
use crate::problem::Problem;
use catalog::Tenant;
use parking_lot::Mutex;
use query::lang::{Clock, text};
use query::{Access, View};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Between two looks; for one that was noticed long ago an eighth of the time since, since there may be many. For so long there are any
/// (microseconds).
const EVERY: Duration = Duration::from_secs(5);
const RARER: i64 = 8;
const DAY: i64 = 86_400 * 1_000_000;
/// Operations that are looked at, at most; of those past that it is known by who asks.
const MOST: usize = 1000;

/// Operations of which more may become known.
#[derive(Default)]
pub struct Open(Mutex<Vec<Waiting>>);

struct Waiting {
    tenant: Arc<Tenant>,
    operation: String,
    /// When it was noticed, microseconds.
    since: i64,
    /// When it is looked at next.
    next: i64,
}

impl Open {
    /// One more.
    pub(super) fn add(&self, tenant: &Arc<Tenant>, operation: &str, since: i64) {
        let mut all = self.0.lock();
        if all.len() < MOST {
            all.push(Waiting { tenant: Arc::clone(tenant), operation: operation.to_owned(), since, next: since });
        }
    }
}

/// Looks at them until the server stops.
pub(crate) async fn run(app: App, mut stop: watch::Receiver<bool>) {
    if let Err(problem) = left_over(&app).await {
        tracing::warn!(?problem, "revocations that a stop cut off could not be looked for");
    }
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let all = std::mem::take(&mut *app.open_revocations.0.lock());
        let mut left = Vec::new();
        for mut waiting in all {
            if *stop.borrow() {
                return;
            }
            let now = app.store().now();
            if now < waiting.next {
                left.push(waiting);
                continue;
            }
            let done = look(&app, &waiting).await.unwrap_or_else(|problem| {
                tracing::warn!(?problem, operation = waiting.operation, "a revocation could not be looked at");
                false
            });
            let age = now.saturating_sub(waiting.since);
            if !done && age < DAY {
                waiting.next = now.saturating_add(age / RARER);
                left.push(waiting);
            }
        }
        app.open_revocations.0.lock().extend(left);
    }
}

/// What was asked for during the last day, before this process began.
async fn left_over(app: &App) -> Result<(), Problem> {
    let now = app.store().now();
    for tenant in app.store().catalog().tenants() {
        let mut query = query::Query::new(View::Records);
        let filter = "source:indelible action:indelible.revoke.requested";
        query.filter = text::parse(filter, View::Records, &Clock::utc(now)).map_err(query::Error::Query)?;
        (query.from, query.limit) = (Some(now.saturating_sub(DAY)), Some(query::MAX_LIMIT));
        let of = Arc::clone(&tenant);
        let asked = crate::turns::blocking(app, move |app, _| app.engine.page(&of, &query, Access { bodies: false }));
        for item in asked.await?.items {
            let record: Value = serde_json::from_str(&item).unwrap_or_default();
            if let Some(operation) = record["request_id"].as_str() {
                app.open_revocations.add(&tenant, operation, now);
            }
        }
    }
    Ok(())
}

/// Writes down what became of one. Whether no more can.
async fn look(app: &App, waiting: &Waiting) -> Result<bool, Problem> {
    let records = records_of(app, &waiting.tenant, &waiting.operation).await?;
    let Some(first) = records.first() else { return Ok(true) };
    let Some(ended) = records.iter().find(|record| word(record) == "ended") else {
        let Some(end) = cut_off_by(app, &waiting.tenant, &records).await? else { return Ok(false) };
        let done = end["state"] != "not_confirmed";
        write(app, waiting, first, ("ended", "unknown"), end).await?;
        return Ok(done);
    };
    if ended["attributes"]["state"] != "not_confirmed" {
        return Ok(true);
    }
    let (confirmed, all) = late(app, &waiting.tenant, &records, &ended["attributes"]).await?;
    for connector in confirmed {
        let known =
            |record: &Value| word(record) == "confirmed" && record["attributes"]["connector"] == connector["name"];
        if !records.iter().any(known) {
            let details =
                json!({ "connector": connector["name"], "system": connector["system"], "detail": connector["detail"] });
            write(app, waiting, first, ("confirmed", "success"), details).await?;
        }
    }
    Ok(all)
}

/// Writes a step down, in the name of whoever asked for the operation. Once: its id says which step it is.
async fn write(
    app: &App,
    waiting: &Waiting,
    first: &Value,
    (step, outcome): (&str, &str),
    details: Value,
) -> Result<(), Problem> {
    let mut attributes = first["attributes"].clone();
    if let (Some(attributes), Value::Object(details)) = (attributes.as_object_mut(), &details) {
        attributes.retain(|name, _| !matches!(name.as_str(), "connectors" | "http_request_id"));
        attributes.extend(details.clone());
    }
    let connector = details["connector"].as_str().unwrap_or_default();
    let mut record = steps::record(step, outcome, &waiting.operation);
    record["id"] = format!("{}.{step}.{connector}", waiting.operation).into();
    for name in ["actor", "target", "subject"] {
        if first[name].is_object() {
            record[name] = first[name].clone();
        }
    }
    record["attributes"] = attributes;
    steps::write(app, &waiting.tenant, &record).await
}
