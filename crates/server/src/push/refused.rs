//! Requests that prove nothing: 401, and a record in the tenant's audit log.
//!
//! Owns the pace: whoever knows an address could fill a log with refusals, so each source and reason gets a record at most once a
//! minute, and it says how many came since the last one.

use super::Push;
use crate::app::App;
use crate::intake;
use crate::problem::{Problem, request_id};
use axum::http::StatusCode;
use lru::LruCache;
use parking_lot::Mutex;
use serde_json::json;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use systems::Reason;

/// Sources and reasons that are remembered.
const REMEMBERED: usize = 4096;
/// From one record to the next of the same, microseconds.
const PAUSE: i64 = 60 * 1_000_000;

/// When a source and reason had its last record, and how many had none since.
type Seen = (i64, u64);

/// The refusals of late.
pub struct Refusals(Mutex<LruCache<(u32, String, &'static str), Seen>>);

impl Default for Refusals {
    fn default() -> Refusals {
        Refusals(Mutex::new(LruCache::new(NonZeroUsize::new(REMEMBERED).unwrap_or(NonZeroUsize::MIN))))
    }
}

impl Refusals {
    /// Counts one; how many had no record since the last, if this one is to have one.
    fn count(&self, tenant: u32, source: &str, code: &'static str, now: i64) -> Option<u64> {
        let mut all = self.0.lock();
        let seen = all.get_or_insert_mut((tenant, source.to_owned(), code), || (i64::MIN, 0));
        if now.saturating_sub(seen.0) < PAUSE {
            seen.1 += 1;
            return None;
        }
        let silent = seen.1;
        *seen = (now, 0);
        Some(silent)
    }
}

/// Notes a refusal and gives the answer.
pub async fn record(app: &App, push: &Push, peer: Option<IpAddr>, reason: &Reason) -> Problem {
    metrics::counter!("indelible_push_refused_total", "code" => reason.code).increment(1);
    let now = app.store().now();
    if let Some(silent) = app.refusals.count(push.tenant.number, &push.source.name, reason.code, now) {
        let record = json!({
            "log": "audit",
            "source": "indelible",
            "action": "indelible.ingest.refused",
            "outcome": "deny",
            "level": "warn",
            "target": { "id": push.source.name, "type": "source", "name": push.source.name },
            "ip": peer.map(|ip| ip.to_string()),
            "error_code": reason.code,
            "message": reason.detail,
            "request_id": request_id(),
            "attributes": { "not_recorded_since_the_last": silent },
        });
        if let Err(problem) = intake::take_own(app, Arc::clone(&push.tenant), record.to_string()).await {
            tracing::warn!(code = problem.code(), "a refused request could not be recorded");
        }
    }
    Problem::new(StatusCode::UNAUTHORIZED, reason.code, format!("nothing was stored: {}", reason.detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_and_reason_has_one_record_a_minute() {
        let all = Refusals::default();
        let second = 1_000_000;
        assert_eq!(all.count(1, "ory", "sns_signature", 0), Some(0));
        assert_eq!(all.count(1, "ory", "sns_signature", 59 * second), None);
        assert_eq!(all.count(1, "ory", "sns_signature", 59 * second), None);
        assert_eq!(all.count(1, "ory", "sns_time", 59 * second), Some(0), "another reason");
        assert_eq!(all.count(1, "kc", "sns_signature", 59 * second), Some(0), "another source");
        assert_eq!(all.count(2, "ory", "sns_signature", 59 * second), Some(0), "another tenant");
        assert_eq!(all.count(1, "ory", "sns_signature", 60 * second), Some(2), "and the two that had none");
        assert_eq!(all.count(1, "ory", "sns_signature", 120 * second), Some(0));
    }
}
