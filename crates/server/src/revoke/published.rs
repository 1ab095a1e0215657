//! `GET …/revocations`: the list for services that check, small and cacheable.
//!
//! Owns its form. It is made of the records of what was requested; nobody can write such a record from outside (`prepare`).

use crate::app::App;
use crate::auth;
use crate::problem::Problem;
use crate::request::{self, Query};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog::{Scopes, Tenant};
use event::time::DAY;
use query::lang::{Clock, text, time as when};
use query::{Access, View};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// How far back the list goes where nobody says.
const DEFAULT_DAYS: i64 = 7;
/// Revocations in one answer: some 20 MB of it.
const MOST: usize = 100_000;
/// Seconds that an answer may be used without asking again.
const FRESH: u32 = 2;

/// Query of the list.
#[derive(Debug, Default, Deserialize)]
pub struct Since {
    /// A time, or `next` of the answer before.
    since: Option<String>,
}

/// `GET /v1/t/{tenant}/revocations?since=`.
///
/// # Errors
/// A problem document.
pub async fn published(
    State(app): State<App>,
    Path(slug): Path<String>,
    Query(since): Query<Since>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::READ)?;
    let clock = Clock::utc(app.store().now());
    let mut filter = r#"source:indelible action:"indelible.revoke.requested""#.to_owned();
    let mut query = query::Query::new(View::Records);
    match since.since.as_deref().filter(|since| !since.is_empty()) {
        None => query.from = Some(app.store().now() - DEFAULT_DAYS * DAY),
        Some(index) if index.bytes().all(|b| b.is_ascii_digit()) => filter.push_str(&format!(" index:>={index}")),
        Some(time) => {
            let at = when::parse(time, &clock).map_err(|e| Problem::from(query::Error::Query(e.at("since"))))?;
            query.from = Some(at.start);
        }
    }
    query.filter = text::parse(&filter, View::Records, &clock).map_err(query::Error::Query)?;
    query.limit = Some(query::MAX_LIMIT);
    let tenant = caller.tenant.clone();
    let records = crate::turns::blocking(&app, move |app, _| all(app, &tenant, query)).await?;
    if records.len() > MOST {
        let detail = format!(
            "more than {MOST} revocations; ask for those since a later time, or since `next` of an earlier answer"
        );
        return Err(Problem::bad("too_many", detail));
    }
    let last = records.iter().filter_map(|record| record["index"].as_u64()).max();
    let etag = format!("\"{}-{}\"", last.map_or_else(|| "none".to_owned(), |n| n.to_string()), records.len());
    let mut response = if request::has(&headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let items: Vec<Value> = records.iter().map(item).collect();
        let next = last.map(|n| (n + 1).to_string()).or(since.since);
        let body = json!({ "items": items, "next": next });
        ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
    };
    let headers = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    if let Ok(cache) = HeaderValue::from_str(&format!("private, max-age={FRESH}")) {
        headers.insert(header::CACHE_CONTROL, cache);
    }
    Ok(response)
}

/// All records that the query finds, page by page, until there are more than [`MOST`]: whoever checks must not miss one, and asks next
/// time from behind the newest.
fn all(app: &App, tenant: &Arc<Tenant>, mut query: query::Query) -> Result<Vec<Value>, query::Error> {
    let mut records: Vec<Value> = Vec::new();
    loop {
        let page = app.engine.page(tenant, &query, Access { bodies: false })?;
        records.extend(page.items.iter().filter_map(|item| serde_json::from_str(item).ok()));
        if page.next_cursor.is_none() || records.len() > MOST {
            return Ok(records);
        }
        query.cursor = page.next_cursor;
    }
}

fn item(record: &Value) -> Value {
    let mut out = Map::new();
    for name in ["kind", "session_id", "grant_id", "user_id", "client_id"] {
        if let Some(value) = record["attributes"].get(name).filter(|value| !value.is_null()) {
            out.insert(name.to_owned(), value.clone());
        }
    }
    out.insert("operation".into(), record["request_id"].clone());
    out.insert("time".into(), record["time"].clone());
    Value::Object(out)
}
