//! `GET /v1/catalog`: every event that is known of every system. No key: it says nothing of anybody's records.

use crate::problem::Problem;
use crate::request::{self, Query, wanted};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use systems::catalog::{self, Entry};
use systems::envelope::hash;
use systems::faces::kind;

/// Query of the catalogue.
#[derive(Debug, Default, Deserialize)]
pub struct CatalogQuery {
    system: Option<String>,
    q: Option<String>,
}

/// `GET /v1/catalog`.
///
/// # Errors
/// A problem document, for a system that is not in it.
pub async fn get(Query(params): Query<CatalogQuery>, headers: HeaderMap) -> Result<Response, Problem> {
    let system = params.system.as_deref().filter(|s| !s.is_empty());
    let mut known: Vec<&str> = catalog::entries().iter().map(|e| e.system.as_str()).collect();
    known.dedup();
    if let Some(name) = system.filter(|name| !known.contains(name)) {
        let shown: String = name.chars().take(60).collect();
        let names = known.join(", ");
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "unknown_system",
            format!("the catalogue has no events of {shown:?}; it has those of {names}"),
        ));
    }
    let words: Vec<String> =
        params.q.as_deref().unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
    let found: Vec<&Entry> = catalog::entries()
        .iter()
        .filter(|entry| system.is_none_or(|system| entry.system == system) && has(entry, &words))
        .collect();
    let (kind, body) = if wanted(&headers, &["application/json", "text/csv"]) == "text/csv" {
        ("text/csv; charset=utf-8", catalog::to_csv(&found))
    } else {
        let events: Vec<Value> = found.into_iter().map(event).collect();
        ("application/json", json!({ "systems": known, "count": events.len(), "events": events }).to_string())
    };
    let tag = format!("\"{}\"", hash(&[body.as_bytes()]).get(..32).unwrap_or_default());
    let mut response = if request::has(&headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, kind)], body).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Whether an event's name or meaning has every one of these words, whatever their case.
fn has(entry: &Entry, words: &[String]) -> bool {
    let (name, meaning) = (entry.name.to_lowercase(), entry.meaning.to_lowercase());
    words.iter().all(|word| name.contains(word) || meaning.contains(word))
}

fn event(entry: &Entry) -> Value {
    let mut out = json!({
        "system": entry.system,
        "name": entry.name,
        "log": entry.log,
        "level": entry.level,
        "meaning": entry.meaning,
        "fills": entry.fills,
        "source": entry.source,
    });
    if let Some(kind) = kind::named(&entry.system, &entry.name) {
        let (class, activity) = kind.class;
        out["kind"] = kind.name.into();
        out["ocsf"] = json!({ "class_uid": class, "activity_id": activity });
    }
    out
}
