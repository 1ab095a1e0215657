//! Gaps: that records of a source are missing for good, told where it cannot be taken back.
//!
//! Owns the entry of its own kind in the ledger and the row to look it up by. Not here: who finds a gap (`pull`, `heard`).

use crate::app::App;
use crate::intake;
use crate::prepare;
use catalog::{Source, SourceSpan, Tenant};
use event::time;
use serde_json::json;
use std::sync::Arc;
use systems::pull::Window;

/// Records that something is missing between two times. The same `id` told again is the same entry.
///
/// # Errors
/// Why it could not be recorded; then it is to be told again.
pub(crate) async fn record(
    app: &App,
    tenant: &Arc<Tenant>,
    source: &Source,
    id: String,
    window: Window,
    cause: &str,
) -> Result<(), String> {
    let name = &source.name;
    let (from, to) = (time::format(window.from), time::format(window.to));
    let record = json!({
        "id": id,
        "log": "audit",
        "time": to,
        "source": "indelible",
        "action": "indelible.gap",
        "outcome": "unknown",
        "level": "error",
        "target": { "id": name, "type": "source", "name": name },
        "message": format!("records of {name} from {from} to {to} are missing: {cause}"),
        "attributes": { "source": name, "system": source.system, "from": from, "to": to, "cause": cause },
    })
    .to_string();
    let make = move |app: &App, tenant: &Arc<Tenant>| prepare::gap(app, tenant, &record);
    let taken = intake::take_with(app, Arc::clone(tenant), make).await.map_err(|p| p.detail().to_owned())?;
    // With other words for it, it was told of before.
    if let Some((_, code, ..)) = taken.refused.iter().find(|r| r.1 != "id_conflict") {
        return Err((*code).to_owned());
    }
    let span = SourceSpan {
        tenant: tenant.number,
        name: name.clone(),
        from: window.from,
        to: window.to,
        checked_at: app.store().now(),
        records: 0,
        filled: 0,
        gap: Some(cause.to_owned()),
    };
    app.store().catalog().add_span(&span, Some(source.created_at)).map_err(|e| e.to_string())?;
    metrics::counter!("indelible_source_gaps_total", "system" => system_label(&source.system)).increment(1);
    Ok(())
}

/// What a system is called in metrics.
fn system_label(system: &str) -> &'static str {
    systems::SYSTEMS.iter().map(|s| s.name()).find(|name| *name == system).unwrap_or("mapping")
}
