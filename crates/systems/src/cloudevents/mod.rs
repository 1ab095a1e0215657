//! CloudEvents 1.0: structured and batched JSON, and binary mode's headers.
//!
//! ```text
//! { specversion: "1.0", type, source, id, time?, subject?, datacontenttype?, dataschema?, data? | data_base64?, extensions… }
//! ```
//!
//! What makes it special:
//! * `id` counts within `source`, so the record's id is a hash of both; the two themselves stay in the attributes. Our `source` is
//!   the system a record came by; the event's own is `attributes.source`.
//! * `subject` is what the event is about, so our target.
//! * An event says nothing of who, where from and how it ended. Members of `data` that are named as the envelope's fields
//!   (`actor.id`, `outcome`, `ip`, `old`, `log`) fill them; whoever cannot name theirs so writes a mapping file.
//! * `data_base64` that is JSON or text becomes `data`: redaction has to see it. Other bytes stay as they came.
//! * `traceparent` is the trace context extension.
//! * In binary mode the event is in the headers and the body is its data: [`structured`] makes one JSON text of them.

mod binary;
mod native;
mod read;
#[cfg(test)]
mod tests;

pub use binary::structured;
pub use read::trace;

use crate::detect::Sample;
use crate::envelope::Envelope;
use crate::object;
use crate::{Context, Reason, System};
use event::Field;
use serde_json::Value;
use std::borrow::Cow;

/// The adapter.
#[derive(Debug)]
pub struct CloudEvents;

const NAME: &str = "cloudevents";

/// Attributes that are one text in the envelope.
const FIELDS: &[(&str, Field)] = &[("type", Field::Action), ("subject", Field::TargetId)];

/// The mark of an event whose target is in its data.
const NO_SUBJECT: &str = "target in data";

impl System for CloudEvents {
    fn name(&self) -> &'static str {
        NAME
    }

    fn looks_like(&self, sample: &Sample<'_>) -> u8 {
        if !sample.has(&["specversion", "type", "source", "id"]) {
            return 0;
        }
        if sample.text("specversion").is_some_and(|version| version == "1.0") { 96 } else { 60 }
    }

    fn read<'a>(&self, text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
        read::read(text, context, out)
    }

    fn opened<'a>(&self, native: &'a str) -> Cow<'a, str> {
        object::changed(native, read::open_data)
    }

    fn to_native(&self, envelope: &Value) -> Option<Value> {
        Some(native::to_native(envelope))
    }
}
