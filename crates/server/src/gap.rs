//! Gaps: that records of a source are missing, and that all of them are here after all, told where neither can be taken back.
//!
//! Owns the two entries in the ledger, one of the kind *gap* and a record that names it once it is filled, and the row to look both up
//! by. Not here: who finds a gap, and who finds that it is filled (`pull`, `heard`).

use crate::app::App;
use crate::intake::{self, Taken};
use crate::prepare;
use catalog::{Filling, Source, SourceGap, Tenant};
use event::time;
use serde_json::json;
use std::sync::Arc;
use systems::pull::Window;

/// Records that something is missing between two times; says under which id. The same `id` told again is the same entry, unless that
/// gap was filled: then it is another one.
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
) -> Result<String, String> {
    let name = &source.name;
    let id = open_id(app, tenant, name, id)?;
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
    told(&taken)?;
    let gap = SourceGap {
        tenant: tenant.number,
        name: name.clone(),
        id: id.clone(),
        from: window.from,
        to: window.to,
        told_at: app.store().now(),
        told_size: taken.size,
        cause: cause.to_owned(),
        filled: None,
    };
    app.store().catalog().add_gap(&gap, source.created_at).map_err(|e| e.to_string())?;
    metrics::counter!("indelible_source_gaps_total", "system" => system_label(&source.system)).increment(1);
    Ok(id)
}

/// Records that all of a gap is here by now, and by what that is known: an entry of its own, which names the gap's. Told again it is
/// the same entry.
///
/// # Errors
/// As [`record`].
pub(crate) async fn fill(
    app: &App,
    tenant: &Arc<Tenant>,
    source: &Source,
    gap: &SourceGap,
    by: String,
) -> Result<(), String> {
    let name = &source.name;
    let (at, from, to) = (app.store().now(), time::format(gap.from), time::format(gap.to));
    let record = json!({
        "id": format!("{}:filled", gap.id),
        "log": "audit",
        "time": time::format(at),
        "source": "indelible",
        "action": "indelible.gap.filled",
        "outcome": "success",
        "target": { "id": name, "type": "source", "name": name },
        "message": format!("the gap of {name} from {from} to {to} is filled: {by}"),
        "attributes": { "source": name, "system": source.system, "from": from, "to": to, "gap": gap.id, "cause": gap.cause, "by": by },
    });
    let taken = intake::take_own(app, Arc::clone(tenant), record.to_string()).await;
    told(&taken.map_err(|p| p.detail().to_owned())?)?;
    let filling = Filling { at, by };
    app.store().catalog().fill_gap(gap, &filling, source.created_at).map_err(|e| e.to_string())?;
    metrics::counter!("indelible_source_gaps_filled_total", "system" => system_label(&source.system)).increment(1);
    Ok(())
}

/// The entry is there. With other words for it, it was told of before.
fn told(taken: &Taken) -> Result<(), String> {
    let refused = taken.refused.iter().find(|refused| refused.1 != "id_conflict");
    refused.map_or(Ok(()), |(_, code, ..)| Err((*code).to_owned()))
}

/// The id for a gap: this one, or where that gap was filled, the next that was not.
fn open_id(app: &App, tenant: &Tenant, name: &str, id: String) -> Result<String, String> {
    let mut nth = 1u32;
    let mut open = id.clone();
    loop {
        let there = app.store().catalog().gap(tenant.number, name, &open).map_err(|e| e.to_string())?;
        if there.is_none_or(|gap| gap.filled.is_none()) {
            return Ok(open);
        }
        nth += 1;
        open = format!("{id}:{nth}");
    }
}

/// What a system is called in metrics.
fn system_label(system: &str) -> &'static str {
    systems::SYSTEMS.iter().map(|s| s.name()).find(|name| *name == system).unwrap_or("mapping")
}
