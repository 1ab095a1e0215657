//! The live tail: Server-Sent Events of what is sealed, from now on or from where a client was.
//!
//! Owns a follower's loop, and when it ends: with its client, its key, or the server. Not here: what a record reads as (`query`).

use crate::app::App;
use crate::auth;
use crate::problem::Problem;
use crate::read::{PageQuery, typed, view_named};
use crate::request::Query;
use crate::room::{WHOSE, Whose};
use crate::turns::blocking;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use catalog::Scopes;
use serde::Deserialize;
use std::convert::Infallible;
use std::time::Duration;

/// Query of the tail.
#[derive(Debug, Default, Deserialize)]
pub struct TailQuery {
    q: Option<String>,
    view: Option<String>,
}

/// Records looked at in one step of a tail.
const TAIL_STEP: u64 = 1000;

/// `GET /v1/t/{tenant}/tail`: Server-Sent Events of what is sealed from now on, or since `Last-Event-ID`.
///
/// # Errors
/// A problem document.
pub async fn tail(
    State(app): State<App>,
    Path(slug): Path<String>,
    Query(params): Query<TailQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::READ)?;
    let view = view_named(params.view.as_deref().unwrap_or("records"))?;
    let query = typed(&app, view, &PageQuery { q: params.q, ..PageQuery::default() })?;
    let size = app.store().ledger().size(caller.tenant.number);
    let from = match headers.get("last-event-id") {
        None => size,
        Some(given) => {
            let last = given.to_str().ok().and_then(|text| text.strip_prefix("i")?.parse::<u64>().ok());
            // One past the end is another ledger's: what comes until then would be passed over in silence.
            last.filter(|last| *last < size).map(|last| last + 1).ok_or_else(|| {
                Problem::bad(
                    "invalid_cursor",
                    "`Last-Event-ID` is not one that this server gave out for this tenant; start again without it",
                )
            })?
        }
    };
    let turn =
        app.tails.clone().try_acquire_owned().map_err(|_| {
            Problem::busy("as many live tails are open as the server takes; close one, or page instead", 5)
        })?;
    // Bodies are not streamed: every read of them would be a record, and so an event, of its own.
    let access = query::Access { bodies: false };
    let (send, receive) = tokio::sync::mpsc::channel::<Result<Event, Infallible>>(64);
    let mut stopping = app.stopping.subscribe();
    let follow = async move {
        let _turn = turn;
        let mut at = from;
        loop {
            let (tenant, query) = (caller.tenant.clone(), query.clone());
            let step = blocking(&app, move |_, engine| engine.since(&tenant, &query, at, TAIL_STEP, access)).await;
            let Ok((found, next)) = step else {
                let _ = send
                    .send(Ok(Event::default().event("error").data("the records could not be read; connect again")))
                    .await;
                return;
            };
            // A revoked key is shown nothing more, also of what was read just now.
            let still = app.store().catalog().keys(caller.tenant.number).is_ok_and(|keys| {
                caller.principal.tenant.is_none()
                    || keys.iter().any(|k| *k.id == *caller.principal.key_id && k.revoked_at.is_none())
            });
            if !still {
                return;
            }
            for (index, json) in found {
                if send.send(Ok(Event::default().id(format!("i{index}")).data(json))).await.is_err() {
                    return;
                }
            }
            if send.is_closed() {
                return;
            }
            if next == at {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            at = next;
        }
    };
    let follow = WHOSE.scope(Whose::now(), follow);
    // Its client connects again, to whatever is here then, and goes on after the last event that it got.
    tokio::spawn(async move {
        tokio::select! {
            () = follow => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(receive);
    let mut response = Sse::new(stream)
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)).text("heartbeat"))
        .into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *response.status_mut() = StatusCode::OK;
    Ok(response)
}
