//! The records of an operation: each step is one.
//!
//! Not here: what the steps are (`operation`, `afterwards`).

use crate::app::App;
use crate::problem::Problem;
use catalog::Tenant;
use query::lang::{Clock, text};
use query::{Access, View};
use serde_json::{Value, json};
use std::sync::Arc;

/// A step of an operation, without who asked for it and what it is about.
pub(super) fn record(step: &str, outcome: &str, operation: &str) -> Value {
    json!({
        "log": "audit", "source": "indelible", "action": format!("indelible.revoke.{step}"), "outcome": outcome,
        "level": if outcome == "success" { "info" } else { "warn" }, "request_id": operation,
    })
}

/// Writes such a record down. One with an id that is there already was written down before.
pub(super) async fn write(app: &App, tenant: &Arc<Tenant>, record: &Value) -> Result<(), Problem> {
    let taken = crate::intake::take_own(app, Arc::clone(tenant), record.to_string()).await?;
    match taken.refused.first() {
        None | Some((_, "id_conflict", ..)) => Ok(()),
        Some((_, code, _, detail)) => {
            Err(Problem::internal("a step of the revocation could not be recorded", &format!("{code}: {detail}")))
        }
    }
}

/// The records of an operation, in their order.
pub(super) async fn records_of(app: &App, tenant: &Arc<Tenant>, operation: &str) -> Result<Vec<Value>, Problem> {
    let clock = Clock::utc(app.store().now());
    let id = operation.replace('\\', "\\\\").replace('"', "\\\"");
    let mut query = query::Query::new(View::Records);
    query.filter =
        text::parse(&format!("source:indelible request_id:\"{id}\" action:indelible.revoke.*"), View::Records, &clock)
            .map_err(query::Error::Query)?;
    query.limit = Some(query::MAX_LIMIT);
    let tenant = Arc::clone(tenant);
    let page =
        crate::turns::blocking(app, move |app, _| app.engine.page(&tenant, &query, Access { bodies: false })).await?;
    let mut records: Vec<Value> = page.items.iter().filter_map(|item| serde_json::from_str(item).ok()).collect();
    records.sort_by_key(|record| record["index"].as_u64());
    Ok(records)
}

/// Which step a record is.
pub(super) fn word(record: &Value) -> &str {
    record["action"].as_str().unwrap_or_default().trim_start_matches("indelible.revoke.")
}
