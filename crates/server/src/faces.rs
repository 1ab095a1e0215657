//! `GET …/as/{system}/…`: the records of the ordinary reads, in the words of another system.
//!
//! Owns the form of the answer: JSON, NDJSON or lines, and where the next page is. Which records there are, and who may see them,
//! are the ordinary reads' own functions (`read`); how a record is said is `systems::faces`' matter.

use crate::app::App;
use crate::auth::{self, Caller};
use crate::problem::Problem;
use crate::read::{self, PageQuery};
use crate::request::{Query, wanted};
use crate::turns::blocking;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use catalog::{Scopes, Tenant};
use query::lang::{Clock, Filter, text};
use query::{Items, Page, View};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use systems::faces::{Face, Given, Proof, Record, Schema};

/// How long one record is waited for that no signed checkpoint covers yet; they come about once a second. A page is not: on a busy
/// tenant its newest record would always be one of those.
const PATIENCE: Duration = Duration::from_secs(3);
const NDJSON: &str = "application/x-ndjson";

/// What a face may be told.
#[derive(Debug, Default, Deserialize)]
pub struct FaceQuery {
    schema: Option<String>,
    proof: Option<String>,
}

/// The same, understood.
#[derive(Clone, Copy)]
struct Asked {
    face: Face,
    schema: Schema,
    proof: bool,
    /// How long to wait for a signed tree that holds the record.
    patience: Duration,
}

impl FaceQuery {
    fn of(&self, name: &str, patience: Duration) -> Result<Asked, Problem> {
        let face = Face::find(name).ok_or_else(|| unknown(name))?;
        let schema = match self.schema.as_deref().filter(|s| !s.is_empty()) {
            None => Schema::default(),
            Some(number) => Schema::find(number)
                .ok_or_else(|| Problem::bad("invalid_parameter", "`schema` is an edition of OCSF: `1.9` or `1.8`"))?,
        };
        let proof = match self.proof.as_deref() {
            None | Some("" | "true" | "1") => true,
            Some("false" | "0") => false,
            Some(_) => return Err(Problem::bad("invalid_parameter", "`proof` is `true` or `false`")),
        };
        Ok(Asked { face, schema, proof, patience })
    }
}

/// `GET /v1/t/{tenant}/as/{system}/records/{id}`.
///
/// # Errors
/// A problem document.
pub async fn record(
    State(app): State<App>,
    Path((slug, name, id)): Path<(String, String, String)>,
    Query(params): Query<FaceQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::READ)?;
    let asked = params.of(&name, PATIENCE)?;
    let json = read::envelope(&app, &caller, id).await?;
    let mut shown = render(&app, &caller.tenant, asked, vec![json]).await?;
    let text = shown.pop().flatten().ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "other_system",
            format!("`{name}` shows only records that {name} sent; see `source` of the record"),
        )
    })?;
    if asked.face.is_text() {
        return Ok(plain(text + "\n"));
    }
    let kind =
        if matches!(asked.face, Face::CloudEvents) { "application/cloudevents+json" } else { "application/json" };
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// `GET /v1/t/{tenant}/as/{system}/{view}`.
///
/// # Errors
/// A problem document.
pub async fn page(
    State(app): State<App>,
    Path((slug, name, view)): Path<(String, String, String)>,
    Query(params): Query<PageQuery>,
    Query(face): Query<FaceQuery>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::READ)?;
    let asked = face.of(&name, Duration::ZERO)?;
    let view = View::parse(&view).ok_or_else(Problem::not_found)?;
    let mut query = read::typed(&app, view, &params)?;
    if let Some(system) = asked.face.only() {
        let own = text::parse(&format!("source:\"{system}\""), view, &Clock::utc(app.store().now()))
            .map_err(query::Error::Query)?;
        query.filter = Filter::And(vec![query.filter, own]);
    }
    let page = read::page_of(&app, &caller, query, Items::Envelopes).await?;
    answer(&app, &caller, asked, page, &uri, &headers).await
}

async fn answer(
    app: &App,
    caller: &Caller,
    asked: Asked,
    mut page: Page,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let items = std::mem::take(&mut page.items);
    let shown: Vec<String> = render(app, &caller.tenant, asked, items).await?.into_iter().flatten().collect();
    let wants_lines = wanted(headers, &["application/json", NDJSON]) == NDJSON;
    if !asked.face.is_text() && !wants_lines {
        page.items = shown;
        return Ok(read::json_text(read::page_json(&page, false)));
    }
    let mut body = String::with_capacity(shown.iter().map(|line| line.len() + 1).sum());
    for line in shown {
        body.push_str(&line);
        body.push('\n');
    }
    let mut response =
        if asked.face.is_text() { plain(body) } else { ([(header::CONTENT_TYPE, NDJSON)], body).into_response() };
    if let Some(cursor) = &page.next_cursor {
        let link = format!("<{}>; rel=\"next\"", next(uri, cursor));
        for (name, value) in [("link", link.as_str()), ("x-next-cursor", cursor)] {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        }
    }
    Ok(response)
}

/// The address of the next page: this one's with another cursor.
fn next(uri: &Uri, cursor: &str) -> String {
    let mut out = format!("{}?", uri.path());
    for pair in uri.query().unwrap_or_default().split('&') {
        if !pair.is_empty() && !pair.starts_with("cursor=") {
            out.push_str(pair);
            out.push('&');
        }
    }
    out.push_str("cursor=");
    out.push_str(cursor);
    out
}

fn plain(body: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}

/// Envelopes in a face; `None` for one that the face does not show.
async fn render(
    app: &App,
    tenant: &Arc<Tenant>,
    asked: Asked,
    items: Vec<String>,
) -> Result<Vec<Option<String>>, Problem> {
    let tenant = Arc::clone(tenant);
    blocking(app, move |app, _| {
        let unreadable = |e: serde_json::Error| {
            query::Error::from(store::Error::Missing { tenant: tenant.slug.clone(), what: e.to_string() })
        };
        let envelopes: Vec<Value> =
            items.iter().map(|json| serde_json::from_str(json)).collect::<Result<_, _>>().map_err(unreadable)?;
        drop(items);
        let (leaves, tree_size) =
            if asked.proof { proofs(app, &tenant, &envelopes, asked.patience)? } else { Default::default() };
        let origin = app.store().checkpoints().origin(&tenant.slug);
        let shown = envelopes.iter().map(|envelope| {
            let place = envelope["index"].as_u64().and_then(|index| Some((index, leaves.get(&index)?)));
            let proof =
                place.map(|(index, leaf)| Proof { index, leaf, tree_size: Some(tree_size).filter(|s| *s > index) });
            let given = Given { tenant: &tenant.slug, origin: &origin, schema: asked.schema, proof };
            asked.face.render(Record::new(envelope), &given)
        });
        Ok(shown.collect())
    })
    .await
}

/// The leaf hashes of these records in hex, by index, and the size of the newest signed tree.
fn proofs(
    app: &App,
    tenant: &Arc<Tenant>,
    envelopes: &[Value],
    patience: Duration,
) -> query::Result<(HashMap<u64, String>, u64)> {
    let indexes: Vec<u64> = envelopes.iter().filter_map(|envelope| envelope["index"].as_u64()).collect();
    let leaves = app.engine.leaves(tenant, &indexes)?;
    let leaves = leaves.into_iter().map(|(index, leaf)| (index, crate::hex(&leaf))).collect();
    let checkpoints = app.store().checkpoints();
    let newest = checkpoints.newest(app.store().ledger(), tenant.number, &tenant.slug).map_err(store::Error::from)?;
    let covered = indexes.iter().all(|index| *index < newest.size);
    let later = match indexes.iter().max() {
        Some(last) if !covered && !patience.is_zero() => checkpoints.wait(tenant.number, last + 1, patience),
        _ => None,
    };
    Ok((leaves, later.unwrap_or(newest).size))
}

fn unknown(name: &str) -> Problem {
    let shown: String = name.chars().take(60).collect();
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown_face",
        format!("records cannot be shown as {shown:?}; it is one of {}", Face::names().join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_asked_for_as_this_one_was() {
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        assert_eq!(next(&uri("/v1/t/a/as/cef/records"), "c2"), "/v1/t/a/as/cef/records?cursor=c2");
        assert_eq!(
            next(&uri("/v1/t/a/as/cef/records?q=ip%3A10.*&cursor=c1&limit=5"), "c2"),
            "/v1/t/a/as/cef/records?q=ip%3A10.*&limit=5&cursor=c2"
        );
    }
}
