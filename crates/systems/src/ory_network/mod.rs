//! Ory Network's event streams: what it posts to an HTTPS endpoint, and what it publishes to an SNS topic.
//!
//! ```text
//! { name, version ("1"), timestamp, projectId?, eventAttributes: { name: text, … } }
//! ```
//!
//! What makes it special:
//! * There is no event id, and the same event may come more than once, streamed and queried: the id is a hash of what both forms say, and
//!   of the project, which a query leaves to its source.
//! * `timestamp` is documented as ISO 8601 and shown as `2025-05-16 11:18:56`. Both are UTC, whatever zone is configured.
//! * `projectId` is documented and missing in Ory's own example. `eventAttributes.ProjectID` may say it; else it is
//!   the one that the source is configured for. It fills no field, so that it stays where it was said; from elsewhere it is a mark.
//! * Every value is a text, also `true`, `403` and `48.13`. Times and lengths of time are Go's.
//! * Attributes differ in spelling from page to page (`ScimClient`, `SCIMError Detail`): names are matched without case and
//!   spaces. A value found under another spelling stays there as well.
//! * Hydra sets `OAuth2Subject` twice, as SHA-256 and as it is. A subject of 64 hex digits is marked as `hashed subject`, so that
//!   it is not taken for another person.
//! * Keto's events do not carry the relation, and `PermissionsChecked` not even the answer: its outcome is unknown.
//! * A query of project events answers `{ events: [ … ] }`, its attributes as a list of `{ key, value }`. Attributes that
//!   are such a list elsewhere are read as the same.
//! * A message of SNS may hold a list of events.
//!
//! `events` knows the names and attributes; self-hosted Ory ([`crate::ory`]) has the same.

pub(crate) mod events;
mod native;
pub mod pull;
mod read;
#[cfg(test)]
mod tests;

use crate::change::Change;
use crate::detect::Sample;
use crate::envelope::Envelope;
use crate::split::{self, Piece};
use crate::{Context, Reason, System, catalog, sns};
use memchr::memmem;
use serde_json::Value;
use std::borrow::Cow;

/// The adapter.
#[derive(Debug)]
pub struct OryNetwork;

pub(crate) const NAME: &str = "ory-network";

/// Where an event has its attributes.
const ATTRIBUTES: &str = "eventAttributes";

/// Where the answer of the query of project events has them.
const EVENTS: &[&str] = &["events"];

impl System for OryNetwork {
    fn name(&self) -> &'static str {
        NAME
    }

    fn looks_like(&self, sample: &Sample<'_>) -> u8 {
        if let Some(message) = sns::message(sample.first) {
            return split::telling(split::records(&message)).map_or(0, |first| sure(&Sample::new(&first)));
        }
        match split::wrapped(sample.first, EVENTS) {
            Some(all) => {
                let first = split::telling(all);
                first.map_or(0, |first| sure(&Sample::new(&pull::as_streamed(&first).unwrap_or(first.into_owned()))))
            }
            None => sure(sample),
        }
    }

    /// What was queried and not fetched from here may be passed on as it was answered. An event that was published to SNS may come as SNS
    /// wraps it, from a queue or a forwarder. Its signature is then nobody's concern: whoever sends the body has a key of ours. SNS itself
    /// calls an endpoint of its own ([`sns`]).
    fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        let mut pieces = split::wrapped(text, EVENTS).unwrap_or_else(|| split::records(text));
        if text.contains("\"TopicArn\"") {
            pieces = unwrapped(pieces);
        }
        for text in pieces.iter_mut().filter_map(|piece| piece.text.as_mut().ok()).filter(|text| may_have_pairs(text)) {
            if let Some(streamed) = pull::as_streamed(text) {
                *text = Cow::Owned(streamed);
            }
        }
        pieces
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

    fn to_native(&self, envelope: &Value) -> Option<Value> {
        Some(native::to_native(envelope))
    }
}

/// Whether a text may have attributes that are a list; found out without reading it, since next to none have.
fn may_have_pairs(text: &str) -> bool {
    const STREAMED: &[u8] = b"\"eventAttributes\"";
    let is_list = |at: usize| {
        let value = text.get(at + STREAMED.len()..).and_then(|rest| rest.trim_start().strip_prefix(':'));
        value.is_some_and(|value| value.trim_start().starts_with('['))
    };
    memmem::find(text.as_bytes(), b"\"attributes\"").is_some()
        || memmem::find_iter(text.as_bytes(), STREAMED).any(is_list)
}

/// The events inside of what SNS posted: the one that was published, or each of a list. Where there is such a list the records of the body
/// are counted anew.
fn unwrapped(pieces: Vec<Piece<'_>>) -> Vec<Piece<'_>> {
    let (all, mut out) = (pieces.len(), Vec::with_capacity(pieces.len()));
    for piece in pieces {
        let message = piece.text.as_deref().ok().and_then(sns::message);
        match message {
            Some(list) if list.trim_start().starts_with('[') => {
                let events = split::records(&list).into_iter().map(|event| {
                    let (text, rest) = (event.text.map(|text| Cow::Owned(text.into_owned())), event.rest.into_owned());
                    Piece { text, rest: Cow::Owned(rest), line: piece.line }
                });
                out.extend(events);
            }
            Some(message) => out.push(Piece { text: Ok(Cow::Owned(message)), ..piece }),
            None => out.push(piece),
        }
    }
    if out.len() != all {
        out.iter_mut().enumerate().for_each(|(n, piece)| piece.line = n + 1);
    }
    out
}

fn sure(sample: &Sample<'_>) -> u8 {
    if !sample.has(&["name", "timestamp"]) {
        return 0;
    }
    let known = sample.text("name").is_some_and(|name| catalog::of(NAME).get_loose(&name).is_some());
    match (known, sample.has(&[ATTRIBUTES]), sample.has(&["version"])) {
        (true, true, _) => 98,
        (true, false, true) => 95,
        (false, true, true) => 90,
        (false, true, false) => 60,
        _ => 0,
    }
}
