//! WebSub hubs, and other systems that ask back whether an address wants what they have.
//!
//! Owns the two routes' part of it; what is a question and what is signed is for `systems::asgardeo::websub` to say.

use super::{HUB_SECRET, MAPPING, Push, accept, find, refused};
use crate::app::App;
use crate::native::Posted;
use crate::problem::Problem;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::net::IpAddr;
use systems::Reason;
use systems::asgardeo::websub;

/// The longest challenge of Okta's that is sent back.
const MAX_CHALLENGE: usize = 256;

/// The longest name of a sender that is sent back: that of a host has 253 letters at most.
const MAX_ORIGIN: usize = 256;

/// `GET /v1/t/{tenant}/ingest/{system}`: a hub asks whether a subscription is meant, or Okta whether the address is ours. Whoever asks
/// has no key; what is sent back is what was sent here.
///
/// # Errors
/// 404 for what is no question that a source of this name wants to be asked.
pub async fn question(
    State(app): State<App>,
    Path((slug, name)): Path<(String, String)>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let plain = [(header::CONTENT_TYPE, "text/plain")];
    let push = find(&app, &slug, &name)?;
    if let Some(push) = &push
        && let Some(organization) = &push.settings.organization
        && let Some(question) =
            websub::question(query.iter().map(|(name, value)| (name.as_str(), value.as_str())), organization)
        && (question.subscribe || push.settings.unsubscribing)
    {
        return Ok((plain, question.challenge).into_response());
    }
    let okta = system(push.as_ref(), &name) == "okta";
    let challenge = headers.get("x-okta-verification-challenge").and_then(|value| value.to_str().ok());
    if let Some(challenge) = challenge.filter(|text| okta && !text.is_empty() && text.len() <= MAX_CHALLENGE) {
        let json = [(header::CONTENT_TYPE, "application/json")];
        return Ok((json, json!({ "verification": challenge }).to_string()).into_response());
    }
    Err(Problem::not_found())
}

/// `OPTIONS /v1/t/{tenant}/ingest/{system}`: whoever sends CloudEvents asks whether it may, as their HTTP webhook specification has it
/// (section 4, abuse protection), and some send nothing before. That says nothing of who may: what is sent needs a key all the same.
///
/// For any other address, or where no sender is named, it is 405.
///
/// # Errors
/// A storage error.
pub async fn permission(
    State(app): State<App>,
    Path((slug, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let origin = headers.get("webhook-request-origin").filter(|origin| (1..=MAX_ORIGIN).contains(&origin.len()));
    match (system(find(&app, &slug, &name)?.as_ref(), &name), origin) {
        ("cloudevents" | MAPPING | "auto", Some(origin)) => Ok((
            [(header::ALLOW, "POST")],
            [("webhook-allowed-origin", origin.clone())],
            [("webhook-allowed-rate", "*")],
        )
            .into_response()),
        _ => Ok(([(header::ALLOW, "POST, GET")], Problem::method_not_allowed()).into_response()),
    }
}

/// The system whose records come in under this name.
fn system<'n>(push: Option<&'n Push>, name: &'n str) -> &'n str {
    push.map_or(name, |push| push.source.system.as_str())
}

/// Takes what a hub posted, if it is signed.
pub async fn take(
    app: &App,
    push: &Push,
    peer: Option<IpAddr>,
    headers: &HeaderMap,
    body: &Bytes,
    signature: &str,
) -> Result<Response, Problem> {
    let secret = push.secret(app, HUB_SECRET)?;
    if !secret.is_some_and(|secret| websub::signed(signature, secret.expose().as_bytes(), body)) {
        let detail = "the signature is not that of the body under the webhook's secret";
        return Err(refused::record(app, push, peer, &Reason::new("hub_signature", detail)).await);
    }
    accept(app, push, Posted::new(headers, body.clone())).await
}
