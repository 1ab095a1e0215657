//! ZITADEL: events of its store, as the admin API's search answers them and as Actions v2 sends them.
//!
//! ```text
//! search   { events: [ { editor{ userId, displayName, service }, aggregate{ id, type{ type }, resourceOwner }, sequence,
//!            creationDate, payload, type{ type, localized{ key, localizedMessage } } } ] }
//! actions  { aggregateID, aggregateType, resourceOwner, instanceID, version, sequence, event_type, created_at, userID,
//!            event_payload (base64 of JSON) }
//! ```
//!
//! What makes it special:
//! * There is no event id. An aggregate counts its events, so the aggregate and `sequence` name an event for good, and the id
//!   is a hash of them: an event that is pushed and found by search again is one record.
//! * `event_payload` is opened, or redaction would not see what is in it; what is no base64 of JSON stays as it came. So it is where the record is not understood.
//! * `sequence` is a number in one shape and a text in the other, `created_at` has a zone of its own.
//! * A payload says what changed, not what the state is now, so it is neither `old` nor `new`.

mod read;
#[cfg(test)]
mod tests;

use crate::detect::Sample;
use crate::envelope::Envelope;
use crate::object;
use crate::split::{self, Piece};
use crate::{Context, Reason, System};
use std::borrow::Cow;

/// The adapter.
#[derive(Debug)]
pub struct Zitadel;

const NAME: &str = "zitadel";

/// Where a search's answer has its events.
const EVENTS: &[&str] = &["events"];

/// What only events that Actions v2 sends have together, and what only those that were searched for have.
const ACTIONS: &[&str] = &["event_type", "aggregateID", "aggregateType"];
const SEARCH: &[&str] = &["aggregate.id", "editor", "sequence", "type.type"];

impl System for Zitadel {
    fn name(&self) -> &'static str {
        NAME
    }

    fn looks_like(&self, sample: &Sample<'_>) -> u8 {
        if sample.has(ACTIONS) || sample.has(SEARCH) {
            return 98;
        }
        let inside = split::wrapped(sample.first, EVENTS).and_then(split::telling);
        if inside.is_some_and(|text| Sample::new(&text).has(SEARCH)) { 98 } else { 0 }
    }

    fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        split::wrapped(text, EVENTS).unwrap_or_else(|| split::records(text))
    }

    fn read<'a>(&self, text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
        read::read(text, context, out)
    }

    fn opened<'a>(&self, native: &'a str) -> Cow<'a, str> {
        object::changed(native, read::open_payload)
    }
}
