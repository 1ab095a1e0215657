//! What a request to revoke means: the sessions and grants it hits, whose they are, and which sources told of them.
//!
//! Owns reading that from the records. Records of our own say nothing here, because only a source can tell of its sessions; but
//! for those that say what a source showed when it was asked.

use crate::app::App;
use catalog::Tenant;
use query::lang::{Clock, text};
use query::{Access, Standing, View};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use systems::revoke::{Aim, MOST};

/// What was found.
pub(super) struct Found {
    pub(super) aim: Aim,
    /// Sources that told of it.
    pub(super) sources: BTreeSet<String>,
    /// Sessions that would end, as the records know them.
    pub(super) sessions: Vec<Value>,
    /// Grants that would be withdrawn.
    pub(super) grants: Vec<Value>,
    /// What one session or grant is now.
    pub(super) status: Option<String>,
}

/// `key:"value"`.
fn is(key: &str, value: &str) -> String {
    format!("{key}:\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The newest items of a view that match, at most [`MOST`].
fn items(app: &App, tenant: &Arc<Tenant>, view: View, filter: &str) -> query::Result<Vec<Value>> {
    let mut query = query::Query::new(view);
    query.filter = text::parse(filter, view, &Clock::utc(app.store().now()))?;
    query.from = Some(0);
    query.limit = Some(query::MAX_LIMIT);
    let page = app.engine.page(tenant, &query, Access { bodies: false })?;
    Ok(page.items.iter().filter_map(|item| serde_json::from_str(item).ok()).take(MOST).collect())
}

fn said(record: &Value, path: &str) -> Option<String> {
    let value = path.split('.').try_fold(record, |value, name| value.get(name))?;
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Our own, which is no source.
const OWN: &str = "indelible";

/// How a record stands among those of the same session or grant.
fn standing(record: &Value) -> Standing {
    let at = |name: &str| record[name].as_str().and_then(event::time::parse).unwrap_or_default();
    let status = said(record, "session.status").or_else(|| said(record, "grant.status"));
    Standing::new(at("time"), at("recorded_at"), record["index"].as_u64().unwrap_or_default(), status.as_deref())
}

/// The records of sources that tell of something, and those of what a source showed, the latest first, as in the views.
fn told(app: &App, tenant: &Arc<Tenant>, filter: &str) -> query::Result<Vec<Value>> {
    let mut found = items(app, tenant, View::Records, filter)?;
    found.retain(|record| {
        said(record, "source").is_some_and(|source| source != OWN) || said(record, "session.status").is_some()
    });
    found.sort_by_cached_key(|record| std::cmp::Reverse(standing(record)));
    Ok(found)
}

fn sources(records: &[Value]) -> BTreeSet<String> {
    records.iter().filter_map(|record| said(record, "source")).filter(|source| source != OWN).collect()
}

/// Whose it is: what a record says of the session itself, or who acted when it began.
fn owner(records: &[Value], what: &str) -> Option<String> {
    let own = format!("{what}.user_id");
    let status = format!("{what}.status");
    let began = |r: &&Value| said(r, &status).is_some_and(|s| s == "active");
    records
        .iter()
        .find_map(|record| said(record, &own))
        .or_else(|| records.iter().filter(began).find_map(|record| said(record, "actor.id")))
}

/// What it is now, a time that is over taken into account.
fn status(app: &App, records: &[Value], what: &str) -> Option<String> {
    let now = records.iter().find_map(|record| said(record, &format!("{what}.status")));
    let end = records.iter().find_map(|record| said(record, &format!("{what}.expires_at")));
    let over = end.and_then(|end| event::time::parse(&end)).is_some_and(|end| end <= app.store().now());
    match now.as_deref() {
        None | Some("active") if over => Some("expired".into()),
        _ => now,
    }
}

/// One session; `None` where nothing tells of it.
pub(super) fn session(app: &App, tenant: &Arc<Tenant>, id: &str) -> query::Result<Option<Found>> {
    let records = told(app, tenant, &format!("{} OR {}", is("session_id", id), is("session.id", id)))?;
    if records.is_empty() {
        return Ok(None);
    }
    let user = owner(&records, "session");
    // What ended all of a user's sessions names none of them; the view knows.
    let shown = items(app, tenant, View::Sessions, &is("session_id", id))?;
    let status = shown.first().and_then(|item| said(item, "status")).or_else(|| status(app, &records, "session"));
    Ok(Some(Found {
        sources: sources(&records),
        sessions: vec![json!({ "session_id": id, "user_id": user, "status": status })],
        grants: Vec::new(),
        status,
        aim: Aim::Session { id: id.to_owned(), user },
    }))
}

/// What a grant was given to: where nothing says its id, its name.
fn client(record: &Value) -> Option<String> {
    said(record, "client.id").or_else(|| said(record, "client.name"))
}

/// One grant; `None` where nothing tells of it, or not whose it is and what it was given to.
pub(super) fn grant(app: &App, tenant: &Arc<Tenant>, id: &str) -> query::Result<Option<Found>> {
    let records = told(app, tenant, &is("grant.id", id))?;
    let given = |r: &&Value| said(r, "grant.status").is_some_and(|s| s == "active");
    let client = records.iter().filter(given).chain(&records).find_map(client);
    let user = owner(&records, "grant").or_else(|| records.iter().find_map(|r| said(r, "email")));
    let Some((user, client)) = user.zip(client) else { return Ok(None) };
    let status = status(app, &records, "grant");
    Ok(Some(Found {
        sources: sources(&records),
        sessions: Vec::new(),
        grants: vec![json!({ "grant_id": id, "user_id": user, "client_id": client, "status": status })],
        status,
        aim: Aim::Grant { id: id.to_owned(), user, client },
    }))
}

/// All sessions of a user, known or not.
pub(super) fn sessions(app: &App, tenant: &Arc<Tenant>, user: &str) -> query::Result<Found> {
    let mut live = items(app, tenant, View::Sessions, &format!("{} status:active", is("user_id", user)))?;
    let known: Vec<String> = live.iter().filter_map(|item| said(item, "session_id")).collect();
    for item in &mut live {
        if let Some(item) = item.as_object_mut() {
            item.retain(|name, _| {
                matches!(name.as_str(), "session_id" | "user_id" | "client_id" | "created_at" | "status")
            });
        }
    }
    let records =
        told(app, tenant, &format!("({} OR {}) session.status:*", is("session.user_id", user), is("actor.id", user)))?;
    Ok(Found {
        sources: sources(&records),
        sessions: live,
        grants: Vec::new(),
        status: None,
        aim: Aim::Sessions { user: user.to_owned(), known },
    })
}

/// All grants of a user, known or not.
pub(super) fn grants(app: &App, tenant: &Arc<Tenant>, user: &str) -> query::Result<Found> {
    let whose = format!("({} OR ({} NOT grant.user_id:*)) grant.id:*", is("grant.user_id", user), is("email", user));
    let records = told(app, tenant, &whose)?;
    let mut by_id: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for record in &records {
        if let Some(id) = said(record, "grant.id") {
            by_id.entry(id).or_default().push(record.clone());
        }
    }
    let (mut known, mut live) = (Vec::new(), Vec::new());
    for (id, records) in by_id {
        if status(app, &records, "grant").as_deref() == Some("active")
            && let Some(client) = records.iter().find_map(client)
        {
            live.push(json!({ "grant_id": id, "user_id": user, "client_id": client, "status": "active" }));
            known.push(client);
        }
    }
    Ok(Found {
        sources: sources(&records),
        sessions: Vec::new(),
        grants: live,
        status: None,
        aim: Aim::Grants { user: user.to_owned(), known },
    })
}
