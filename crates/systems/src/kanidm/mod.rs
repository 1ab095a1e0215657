//! Kanidm: its one audit event, alone or in the line of the server's log that carries it.
//!
//! ```text
//! { "AuthenticationDenied": { "source": "Internal" | { "Https": ip } | { "Ldaps": ip }, "uuid", "spn", "time" (seconds) } }
//! line  …  WARN …  audit_event: { … }        or as JSON  { …, "audit_event": "{ … }" }
//! ```
//!
//! What makes it special:
//! * No line was ever published: the event's shape is from the source, how it stands in a line is not certain. So the
//!   event is looked for behind the word `audit_event`, however the line is written.
//! * What is logged may be nothing at all: `null`, alone or as the event of a line, is no record.
//! * `uuid` and `spn` are the account that was asked for; nobody has shown to be its owner.
//! * There is no event id. Two denials of one account in one second from one address are one record.

mod read;
#[cfg(test)]
mod tests;

use crate::detect::Sample;
use crate::envelope::Envelope;
use crate::split::{self, Piece};
use crate::{Context, Reason, System, shipped};

/// The adapter.
#[derive(Debug)]
pub struct Kanidm;

const NAME: &str = "kanidm";

/// The member and field of a log line that holds the event.
const FIELD: &str = "audit_event";
/// The only event there is.
const DENIED: &str = "AuthenticationDenied";

impl System for Kanidm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn looks_like(&self, sample: &Sample<'_>) -> u8 {
        let known = match &sample.object {
            Some(_) if sample.has(&["AuthenticationDenied.spn"]) => return 98,
            Some(_) if sample.has(&[FIELD]) || sample.has(&["fields.audit_event"]) => sample.first.contains(DENIED),
            Some(object) => {
                shipped::carried(&mut object.clone(), |line| line.contains(FIELD) && read::inside(line).is_some())
                    .is_some()
            }
            None => sample.first.contains(FIELD) && read::inside(sample.first).is_some(),
        };
        if known { 95 } else { 0 }
    }

    fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        let mut pieces = split::records(text);
        pieces.retain(|piece| !piece.text.as_deref().is_ok_and(read::says_nothing));
        pieces
    }

    fn says_none(&self, text: &str) -> bool {
        let pieces = split::records(text);
        pieces.iter().all(|piece| piece.text.as_deref().is_ok_and(read::says_nothing)) && !text.trim().is_empty()
    }

    fn read<'a>(&self, text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
        read::read(text, context, out)
    }
}
