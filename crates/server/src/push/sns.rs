//! Messages of Amazon SNS, and subscriptions that it wants confirmed.
//!
//! Owns the order of things and the certificates that were fetched. What may be believed is `systems::sns`' matter.

use super::{Push, accept, refused};
use crate::app::App;
use crate::intake;
use crate::native::Posted;
use crate::problem::Problem;
use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use lru::LruCache;
use parking_lot::Mutex;
use serde_json::json;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use systems::Reason;
use systems::sns::{Message, Step, UNSIGNED};

/// Certificates that are kept: SNS has one per region, and a new one every year or so.
const KEPT: usize = 64;
/// A certificate is some 2 KiB, the answer to a confirmation less.
const MAX_FETCHED: usize = 64 << 10;
/// How long an address that could not be read is left alone, microseconds.
const PAUSE: i64 = 30 * 1_000_000;

/// A certificate; or until when it is not asked for again.
type Found = Result<Arc<Vec<u8>>, i64>;

/// Certificates by their address, which names their content.
pub struct Certificates(Mutex<LruCache<String, Found>>);

impl Default for Certificates {
    fn default() -> Certificates {
        Certificates(Mutex::new(LruCache::new(NonZeroUsize::new(KEPT).unwrap_or(NonZeroUsize::MIN))))
    }
}

/// What SNS says of a message that it delivers without its envelope.
const RAW: &str = "x-amz-sns-rawdelivery";

/// Takes what SNS posted.
pub async fn take(
    app: &App,
    push: &Push,
    peer: Option<IpAddr>,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response, Problem> {
    if headers.get(RAW).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true")) {
        let detail = "the message came raw, without the envelope that has its signature; turn raw message delivery off";
        return Err(refused::record(app, push, peer, &Reason::new(UNSIGNED, detail)).await);
    }
    let message = match Message::parse(body) {
        Ok(message) => message,
        // Whoever leaves the signature out proves no more than who makes one up.
        Err(reason) if reason.code == UNSIGNED => return Err(refused::record(app, push, peer, &reason).await),
        Err(e) => return Err(Problem::bad(e.code, format!("this is no message of SNS: {}", e.detail))),
    };
    let admitted = match message.admit(&push.settings.sns_topics, app.store().now()) {
        Ok(admitted) => admitted,
        Err(reason) => return Err(refused::record(app, push, peer, &reason).await),
    };
    let certificate = certificate(app, admitted.certificate_url()).await?;
    let step = match admitted.verify(&certificate) {
        Ok(step) => step,
        Err(reason) => return Err(refused::record(app, push, peer, &reason).await),
    };
    match step {
        Step::Take { text, .. } => accept(app, push, Posted::inside(text)).await,
        Step::Confirm { topic, url } => {
            let asked = fetch(app, url).await;
            let outcome = if asked.is_ok() { "success" } else { "failure" };
            note(app, push, "indelible.sns.confirm", outcome, &topic).await?;
            asked.map_err(|_| {
                Problem::busy("SNS could not be asked to confirm the subscription; have it ask again", 30)
            })?;
            Ok(done(&json!({ "confirmed": topic })))
        }
        Step::Ended { topic, .. } => {
            note(app, push, "indelible.sns.ended", "success", &topic).await?;
            Ok(done(&json!({ "ended": topic })))
        }
    }
}

fn done(answer: &serde_json::Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

/// A record of what SNS asked for and how that went.
async fn note(app: &App, push: &Push, action: &str, outcome: &str, topic: &str) -> Result<(), Problem> {
    let record = json!({
        "log": "audit", "source": "indelible", "action": action, "outcome": outcome,
        "target": { "id": push.source.name, "type": "source", "name": push.source.name },
        "request_id": crate::problem::request_id(), "attributes": { "topic": topic },
    });
    let taken = intake::take_own(app, Arc::clone(&push.tenant), record.to_string()).await?;
    match taken.refused.first() {
        None => Ok(()),
        Some((_, code, _, detail)) => {
            Err(Problem::internal("what SNS asks for could not be recorded", &format!("{code}: {detail}")))
        }
    }
}

async fn certificate(app: &App, url: &str) -> Result<Arc<Vec<u8>>, Problem> {
    let now = app.store().now();
    match app.certificates.0.lock().get(url) {
        Some(Ok(certificate)) => return Ok(Arc::clone(certificate)),
        Some(Err(until)) if now < *until => return Err(later()),
        _ => {}
    }
    let fetched = fetch(app, url.to_owned()).await;
    let kept = fetched.as_ref().map(|bytes| Arc::new(bytes.clone())).map_err(|_| now.saturating_add(PAUSE));
    app.certificates.0.lock().put(url.to_owned(), kept);
    fetched.map(Arc::new)
}

async fn fetch(app: &App, url: String) -> Result<Vec<u8>, Problem> {
    let fetch = Arc::clone(&app.options.fetch);
    let fetched = tokio::task::spawn_blocking(move || fetch.get(&url, MAX_FETCHED))
        .await
        .map_err(|e| Problem::internal("SNS could not be asked", &e))?;
    fetched.map_err(|e| {
        tracing::warn!(error = e, "SNS could not be asked for a certificate or a confirmation");
        later()
    })
}

/// SNS sends again after this.
fn later() -> Problem {
    Problem::busy("SNS could not be asked for its certificate; nothing was stored, send it again", 30)
}
