//! Okta: entries of the System Log, as `GET /api/v1/logs` lists them and as event hooks deliver them.
//!
//! ```text
//! { uuid, published, eventType, displayMessage, severity, version, actor{ id, type, alternateId, displayName },
//!   client{ ipAddress, userAgent{ rawUserAgent }, … }, authenticationContext{ externalSessionId, … },
//!   outcome{ result, reason }, target[{ id, type, alternateId, displayName, changeDetails{ from, to } }],
//!   transaction{ id, … }, request{ ipChain[] }, securityContext, debugContext }
//! hook: { eventType: "com.okta.event_hook", data: { events: [ … ] } }
//! ```
//!
//! What makes it special:
//! * `outcome.result` has twelve words; those that are neither a success nor a failure are `unknown` and stay readable.
//! * `target` is a list, null or empty. It stays whole; the first is our target, the second our subject, and an application
//!   that somebody signs in to is our client.
//! * `version` and `postalCode` come as text or number, `zone` as the text `"null"`; `externalSessionId` may be `unknown`.
//! * `debugContext` is no contract and is only kept.

pub mod pull;
mod read;
#[cfg(test)]
mod tests;

use crate::detect::Sample;
use crate::envelope::Envelope;
use crate::split::{self, Piece};
use crate::{Context, Reason, System};

/// The adapter.
#[derive(Debug)]
pub struct Okta;

const NAME: &str = "okta";

/// Where a hook's delivery has its entries.
const EVENTS: &[&str] = &["data", "events"];

impl System for Okta {
    fn name(&self) -> &'static str {
        NAME
    }

    fn looks_like(&self, sample: &Sample<'_>) -> u8 {
        if sample.text("eventType").is_some_and(|kind| kind == "com.okta.event_hook") {
            return 99;
        }
        // A delivery of which one entry is too deep cannot be read as a whole.
        let inside = split::wrapped(sample.first, EVENTS).and_then(split::telling);
        let inside = inside.as_deref().map(Sample::new);
        let sample = inside.as_ref().unwrap_or(sample);
        match (sample.has(&["uuid", "published", "eventType"]), sample.has(&["actor", "outcome"])) {
            (true, true) => 98,
            (true, false) => 60,
            _ => 0,
        }
    }

    fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        split::wrapped(text, EVENTS).unwrap_or_else(|| split::records(text))
    }

    fn read<'a>(&self, text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
        read::read(text, context, out)
    }
}
