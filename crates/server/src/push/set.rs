//! Security event tokens, pushed as RFC 8935 has it: 202 with nothing, or 400 with `err` and `description`.
//!
//! Owns those answers, and which token is let in. Without keys in the source a key of ours lets it in, and its records are marked as
//! not checked.

use super::{Push, SET_SECRET, SIGNATURE, refused};
use crate::app::App;
use crate::auth::Caller;
use crate::intake::Taken;
use crate::native::{self, Empty, Posted};
use crate::prepare;
use crate::problem::Problem;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::net::IpAddr;
use systems::Reason;
use systems::set::{Keys, payload};

/// Takes a token for a source that has keys.
pub async fn take_signed(app: &App, push: &Push, peer: Option<IpAddr>, headers: &HeaderMap, body: &Bytes) -> Response {
    match signed(app, push, peer, headers, body).await {
        Ok(taken) => answer(&taken),
        Err(problem) => failure(problem),
    }
}

/// Takes a token that is let in by a key of ours.
///
/// # Errors
/// A problem document, where it is none of the token's.
pub async fn take_with_key(
    app: &App,
    caller: &Caller,
    name: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response, Problem> {
    let tenant = &caller.tenant;
    let reader = native::reader(app, tenant, name)?;
    let posted = Posted::new(headers, body.clone()).of(name, &caller.principal.key_id);
    if let Err(problem) = opened(headers, body).and_then(|(_, claims)| named(&claims)) {
        return Ok(failure(problem));
    }
    Ok(match native::take(app, tenant, reader, posted.not_checked(), Empty::Refused).await {
        Ok(taken) => answer(&taken),
        Err(problem) => failure(problem),
    })
}

async fn signed(
    app: &App,
    push: &Push,
    peer: Option<IpAddr>,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Taken, Problem> {
    let (token, claims) = opened(headers, body)?;
    let checked = match keys(app, push)? {
        Ok(keys) => keys.verify(&token).and_then(|()| expected(push, &claims)),
        Err(reason) => Err(reason),
    };
    if let Err(reason) = checked {
        if reason.code == "set_malformed" {
            return Err(Problem::bad(reason.code, reason.detail));
        }
        return Err(refused::record(app, push, peer, &reason).await);
    }
    named(&claims)?;
    let reader = native::reader(app, &push.tenant, &push.source.name)?;
    let posted = Posted::new(headers, body.clone()).of(&push.source.name, SIGNATURE).signed();
    native::take(app, &push.tenant, reader, posted, Empty::Refused).await
}

/// The body's token, and its claims.
fn opened(headers: &HeaderMap, body: &Bytes) -> Result<(String, Value), Problem> {
    let body = prepare::decompress(body, crate::intake::encoding(headers).as_deref())?;
    let token = String::from_utf8_lossy(&body).trim().to_owned();
    let claims = payload(&token).and_then(|text| serde_json::from_str(&text).ok());
    let claims: Value = claims.ok_or_else(|| {
        Problem::bad(
            "set_malformed",
            "the body is no token: a header, claims and a signature in base64url, with dots between",
        )
    })?;
    Ok((token, claims))
}

/// That a token has an id of its own, as RFC 8417 requires: without one it cannot be told from another when it is sent again.
fn named(claims: &Value) -> Result<(), Problem> {
    match claims["jti"].as_str().filter(|id| !id.is_empty()) {
        Some(_) => Ok(()),
        None => Err(Problem::bad("set_malformed", "`jti` is missing or not a text; a token needs an id of its own")),
    }
}

/// The keys of the source; or why there is none that can be used.
fn keys(app: &App, push: &Push) -> Result<Result<Keys, Reason>, Problem> {
    if let Some(set) = &push.settings.jwks {
        return Ok(Keys::parse(set));
    }
    let secret = push.secret(app, SET_SECRET)?;
    Ok(secret.map_or_else(|| Err(Reason::new("set_key", "the source has no key")), |text| Keys::shared(text.expose())))
}

/// Whether a token is from whom and for whom the source says.
fn expected(push: &Push, claims: &Value) -> Result<(), Reason> {
    if push.settings.issuer.as_ref().is_some_and(|wanted| claims["iss"] != *wanted) {
        return Err(Reason::new("set_issuer", "`iss` is not the issuer that the source names"));
    }
    let is_for = |wanted: &String| match &claims["aud"] {
        Value::Array(list) => list.iter().any(|one| one == wanted),
        one => one == wanted,
    };
    if push.settings.audience.as_ref().is_some_and(|wanted| !is_for(wanted)) {
        return Err(Reason::new("set_audience", "`aud` does not name the audience that the source names"));
    }
    Ok(())
}

/// 202 where it is kept, whether understood or not: it need not be sent again.
fn answer(taken: &Taken) -> Response {
    match taken.refused.first() {
        None => StatusCode::ACCEPTED.into_response(),
        Some((_, code, _, detail)) => error("invalid_request", &format!("{code}: {detail}")),
    }
}

/// What is wrong with a token, in the registered words. What is no matter of the token's, such as a server that is busy, stays a
/// problem document.
fn failure(problem: Problem) -> Response {
    let err = match problem.code() {
        "set_key" | "invalid_keys" => "invalid_key",
        "set_signature" => "authentication_failed",
        "set_issuer" => "invalid_issuer",
        "set_audience" => "invalid_audience",
        _ if problem.status() == StatusCode::BAD_REQUEST => "invalid_request",
        _ => return problem.into_response(),
    };
    error(err, problem.detail())
}

fn error(err: &str, description: &str) -> Response {
    let body = json!({ "err": err, "description": description }).to_string();
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_LANGUAGE, "en")];
    (StatusCode::BAD_REQUEST, headers, body).into_response()
}
