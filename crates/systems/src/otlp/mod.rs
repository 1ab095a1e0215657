//! OTLP logs: what OpenTelemetry exporters send to `/v1/logs`, as JSON and as protobuf.
//!
//! ```text
//! { resourceLogs: [ { resource{ attributes[] }, scopeLogs: [ { scope{ name, version }, logRecords: [
//!   { timeUnixNano, observedTimeUnixNano, severityNumber, severityText, body, attributes[], traceId, spanId, eventName } ] } ] } ] }
//! ```
//!
//! What makes it special:
//! * One record is put together from three places: `{ resource, scope, logRecord }` is what we call its native text.
//! * Attributes are lists of `{ key, value: { stringValue: … } }`. They become plain members, or redaction would not know
//!   a secret by its name. Whole numbers past 2^53 stay texts: a JSON number does not hold them.
//! * A record has no name unless it is an event: the action is `eventName`, else the attribute `event.name`, else `log`.
//! * Attributes named as the envelope's fields (`actor.id`, `target.name`, `outcome`) fill them, and so do the semantic
//!   conventions for people, clients and errors (`user.id`, `client.address`, `error.type`).
//! * `timeUnixNano` may be 0 for "not known"; then it is `observedTimeUnixNano`. Both stay: nanoseconds are finer than our time.
//! * There is no id. A record that is sent again is the same text, so its hash is its id.
//!
//! Protobuf becomes the JSON form first ([`protobuf`]). Fields that the schema got later than what is known there are not kept.

mod attributes;
pub mod protobuf;
mod read;
pub(crate) mod request;
#[cfg(test)]
mod tests;
mod unwrap;

use crate::detect::Sample;
use crate::envelope::Envelope;
use crate::split::{self, Part, Piece};
use crate::{Context, Reason, System};
use std::borrow::Cow;

/// The adapter.
#[derive(Debug)]
pub struct Otlp;

const NAME: &str = "otlp";

impl System for Otlp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn looks_like(&self, sample: &Sample<'_>) -> u8 {
        if split::wrapped(sample.first, &["resourceLogs"]).is_some() { 99 } else { 0 }
    }

    fn decode<'a>(&self, body: &'a [u8], content_type: &str) -> Result<Cow<'a, str>, Reason> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/x-protobuf") || kind.eq_ignore_ascii_case("application/protobuf") {
            return protobuf::to_json(body).map(Cow::Owned);
        }
        Ok(split::text(body))
    }

    fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        unwrap::records(text, 0).pieces
    }

    fn part<'a>(&self, text: &'a str, from: usize) -> Part<'a> {
        unwrap::records(text, from)
    }

    fn read<'a>(&self, text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
        read::read(text, context, out)
    }
}
