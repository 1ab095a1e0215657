//! `POST …/unparsed/replay`: records that were not understood, read again once an adapter or a mapping knows them.
//!
//! Owns: which records are read again and by whom, and what is said of each. What could not be understood when it came is in the log
//! as a record with the action `unparsed` and the original in `attributes.native`; it stays there for good, because the log
//! only grows. What is understood now becomes a record of its own, which names the kept one in `attributes._indelible.unparsed`. Reading
//! again what was read again already stores nothing: the records are the same, and known.
//!
//! Not here: listing them (`GET …/records?q=action:unparsed`), and what was redacted from the original when it came: that
//! is gone.

use crate::app::App;
use crate::auth;
use crate::intake::{self, record_use};
use crate::native::{self, Reader};
use crate::prepare::{self, Prepared};
use crate::problem::Problem;
use crate::read::{PageQuery, typed};
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use catalog::{Scopes, Tenant};
use ledger::Outcome;
use query::{Access, Query, View};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;

/// Records read again by one request, if it does not say.
const DEFAULT_LIMIT: u32 = 1_000;
/// Records that are told of one by one.
const MOST_SHOWN: usize = 100;

/// The request's body; `{}` for everything.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Filter text that narrows it down: `source:keycloak error_code:invalid_time`.
    #[serde(default)]
    q: String,
    /// From this time on.
    from: Option<String>,
    /// Before this time.
    to: Option<String>,
    /// A system or a source of the tenant that reads them; by default each is read by the one it came by.
    with: Option<String>,
    /// How many at most.
    limit: Option<u32>,
    /// `next_cursor` of the answer before.
    cursor: Option<String>,
}

/// What is needed of a kept record.
#[derive(Deserialize)]
struct Kept<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow, default)]
    source: Cow<'a, str>,
    #[serde(borrow)]
    attributes: Original<'a>,
}

#[derive(Deserialize)]
struct Original<'a> {
    #[serde(borrow)]
    native: &'a RawValue,
}

impl Kept<'_> {
    /// The original's text: JSON that was sound stands there as it is, any other text as a string.
    fn text(&self) -> Option<Cow<'_, str>> {
        let raw = self.attributes.native.get();
        if raw.starts_with('"') { serde_json::from_str::<String>(raw).ok().map(Cow::Owned) } else { Some(raw.into()) }
    }
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// What reading a page again came to, before it is stored.
#[derive(Default)]
struct Reading {
    /// How many were looked at.
    read: usize,
    /// Ids of the kept records that are understood now, and the envelopes that they make.
    ids: Vec<String>,
    envelopes: Vec<String>,
    /// The others: id, code, and a sentence.
    left: Vec<(String, String, String)>,
    next_cursor: Option<String>,
}

/// `POST /v1/t/{tenant}/unparsed/replay`.
///
/// # Errors
/// A problem document.
pub async fn post(
    State(app): State<App>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::READ | Scopes::WRITE)?;
    let asked: Asked = if body.is_empty() {
        Asked::default()
    } else {
        serde_json::from_slice(&body).map_err(|e| {
            let members = "`q`, `from`, `to`, `with`, `limit` and `cursor`";
            Problem::bad("invalid_json", format!("the body is a JSON object, `{{}}` at least, with {members}: {e}"))
        })?
    };
    let query = query(&app, &asked)?;
    let with = asked.with.as_deref().map(|name| native::reader(&app, &caller.tenant, name)).transpose()?;
    let target = json!({ "id": "unparsed", "type": "view" });
    record_use(&app, &caller, "indelible.unparsed.replay", target, json!({ "q": asked.q, "with": asked.with })).await?;

    let reading = {
        let _turn = app.reads.acquire().await.map_err(|e| Problem::internal("the server is stopping", &e))?;
        let (app, tenant, access) = (app.clone(), Arc::clone(&caller.tenant), caller.access());
        tokio::task::spawn_blocking(move || read_again(&app, &tenant, &query, access, with.as_ref()))
            .await
            .map_err(|e| Problem::internal("the records could not be read", &e))??
    };
    let Reading { read, ids, envelopes, mut left, next_cursor } = reading;
    let taken = intake::take_with(&app, Arc::clone(&caller.tenant), move |app, tenant| {
        if envelopes.is_empty() { Ok(Prepared::default()) } else { prepare::again(app, tenant, &envelopes) }
    })
    .await?;
    for (line, code, field, detail) in &taken.refused {
        let detail = if field.is_empty() { detail.clone() } else { format!("{field}: {detail}") };
        left.push((ids.get(*line).cloned().unwrap_or_default(), (*code).to_owned(), detail));
    }
    let stored = taken.sealed.iter().filter(|s| matches!(s.2, Outcome::Sealed { .. })).count();
    let results = left.iter().take(MOST_SHOWN);
    let results: Vec<_> =
        results.map(|(id, code, detail)| json!({ "id": id, "code": code, "detail": detail })).collect();
    let answer = json!({
        "read": read, "stored": stored, "known": taken.sealed.len() - stored, "still_unparsed": left.len(),
        "tree_size": taken.size, "results": results, "next_cursor": next_cursor,
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response())
}

/// The kept records that are asked for, newest first.
fn query(app: &App, asked: &Asked) -> Result<Query, Problem> {
    let mut params = PageQuery {
        q: Some(asked.q.clone()),
        from: asked.from.clone(),
        to: asked.to.clone(),
        limit: Some(asked.limit.unwrap_or(DEFAULT_LIMIT).to_string()),
        cursor: asked.cursor.clone(),
        diff: None,
    };
    if asked.q.trim().is_empty() {
        params.q = Some("action:unparsed".into());
        return typed(app, View::Records, &params);
    }
    // Alone first, so that what is wrong is found where it was sent.
    typed(app, View::Records, &params)?;
    params.q = Some(format!("action:unparsed AND ({})", asked.q));
    typed(app, View::Records, &params)
}

/// Reads a page of kept records again, each by `with` or by the reader of the system or source it came by.
fn read_again(
    app: &App,
    tenant: &Arc<Tenant>,
    query: &Query,
    access: Access,
    with: Option<&Reader>,
) -> Result<Reading, Problem> {
    let page = app.engine.page(tenant, query, access)?;
    let mut reading = Reading { read: page.items.len(), next_cursor: page.next_cursor, ..Reading::default() };
    for item in &page.items {
        let Ok(kept) = serde_json::from_str::<Kept<'_>>(item) else {
            // Named so by somebody who sent it: there is no original that we kept.
            let id = serde_json::from_str::<Named<'_>>(item).map(|named| named.id.into_owned()).unwrap_or_default();
            reading.left.push((id, "no_original".into(), "there is no original in `attributes.native`".into()));
            continue;
        };
        let own = match with {
            Some(_) => None,
            None => native::reader(app, tenant, &kept.source).ok(),
        };
        let mut envelope = String::new();
        let read = match (with.or(own.as_ref()), kept.text(), event::time::parse(&kept.time)) {
            (Some(reader), Some(text), Some(arrived)) => {
                systems::again(&*reader.system, &text, (&kept.id, arrived), &reader.zone, &mut envelope)
                    .map_err(|e| (e.code.to_owned(), e.detail))
            }
            (None, ..) => {
                Err(("unknown_system".into(), "its source is no system or source; name one in `with`".into()))
            }
            _ => Err(("no_original".into(), "its original or its time cannot be read".into())),
        };
        match read {
            Ok(()) => {
                reading.ids.push(kept.id.into_owned());
                reading.envelopes.push(envelope);
            }
            Err((code, detail)) => reading.left.push((kept.id.into_owned(), code, detail)),
        }
    }
    Ok(reading)
}
