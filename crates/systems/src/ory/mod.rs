//! Self-hosted Ory: Kratos, Hydra and Keto, by way of their traces or of Ory Actions.
//!
//! Traces are OTLP over HTTP (`POST /v1/traces`), Protocol Buffers or JSON. The servers put the events that Ory Network streams
//! into their spans, as span events of the same names and attributes:
//!
//! ```text
//! { name, timeUnixNano, attributes: { name: text | number | truth | list, … }, traceId, spanId, span, resource: { service.*: … } }
//! ```
//!
//! is one of them as [`otlp`] lays it out. Actions are webhooks whose body the operator writes; what is understood is
//! the whole context, `function(ctx) ctx`, or with the event named as well, `function(ctx) ctx + { event: "registration" }`:
//!
//! ```text
//! { event?, flow, identity?, session?, request_headers, request_method, request_url, request_cookies }
//! ```
//!
//! What makes it special:
//! * Traces are best effort. A sampler may leave any of them out, an exporter may lose them, nothing says how many there were. So
//!   the shape is marked `trace, best effort`, and a gap cannot be known.
//! * A span that has no such event is no record; nor is an event of another library in it (`exception`). Ory's begin with a capital
//!   letter, all others with a small one.
//! * An attribute that is set twice is there twice; the last one counts, as in the OpenTelemetry SDK, and the others stay as
//!   `name#1`.
//! * An Action's body does not say when it happened, and only by its address which flow it was. Before a flow there is no
//!   identity in it: then how it ended is unknown. Of the webhook's own ids, which are in headers, that of the trigger becomes `request_id`,
//!   as it is in the traces.
//! * An Action after a sign-in is sent on the side and may come after the session was ended. It has the time of the sign-in,
//!   `session.authenticated_at`, so that it begins the session and never begins it again.
//! * An Action after a sign-in may be made before the session is stored: its id is then all zeros, and no session's.
//! * With no proxy before the server, addresses are the connection's, with its port. Only the address fills the field.
//! * The first `OAuth2LoginAccepted` of a sign-in has an empty subject (Hydra 2.3.0); whose it was says `OAuth2ConsentAccepted`.

pub mod otlp;
mod read;
pub(crate) mod revoke;
#[cfg(test)]
mod tests;

use crate::change::Change;
use crate::detect::Sample;
use crate::envelope::Envelope;
use crate::ory_network::events;
use crate::split::{self, Piece};
use crate::{Context, Reason, System};
use serde_json::Value;
use std::borrow::Cow;

/// The adapter.
#[derive(Debug)]
pub struct Ory;

pub(crate) const NAME: &str = "ory";

/// The member of a trace that nothing else has.
const TRACES: &str = "resourceSpans";

/// What marks the records of traces.
const TRACE_MARK: &str = "trace, best effort";
const ACTION_MARK: &str = "action";

impl System for Ory {
    fn name(&self) -> &'static str {
        NAME
    }

    fn looks_like(&self, sample: &Sample<'_>) -> u8 {
        if sample.has(&[TRACES]) {
            // Anybody's traces look so; these names are Ory's.
            let ory = ["\"IdentityID\"", "\"OAuth2ClientID\"", "\"OAuth2Subject\"", "\"ClientIP\"", "\"ProjectID\""];
            return if ory.iter().any(|name| sample.body.contains(name)) { 97 } else { 40 };
        }
        if sample.has(&["flow", "request_method", "request_url"]) {
            return 95;
        }
        if sample.has(&["name", "timeUnixNano", "attributes", "traceId"]) { 60 } else { 0 }
    }

    fn decode<'a>(&self, body: &'a [u8], content_type: &str) -> Result<Cow<'a, str>, Reason> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/x-protobuf") || kind.eq_ignore_ascii_case("application/protobuf") {
            return otlp::lines(body).map(Cow::Owned);
        }
        Ok(split::text(body))
    }

    /// Every span event of a trace is a record.
    fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        let pieces = split::records(text);
        if memchr::memmem::find(text.as_bytes(), TRACES.as_bytes()).is_none() {
            return pieces;
        }
        let mut all = Vec::new();
        let mut made = 0;
        for piece in pieces {
            match &piece.text {
                Ok(text) if otlp::is_traces(text) => {
                    all.extend(otlp::events(text, &mut made).into_iter().map(|text| Piece::new(piece.line, text)));
                }
                _ => all.push(piece),
            }
        }
        all
    }

    fn read<'a>(&self, text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
        read::read(text, context, out)
    }

    fn change(&self, envelope: &Value) -> Option<Change> {
        events::change_of_stored(envelope)
    }

    fn states(&self) -> Option<&'static str> {
        Some(events::STATES)
    }
}
