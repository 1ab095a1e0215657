//! WSO2 Identity Server's `audit.log`, line by line, and its file of OAuth transactions.
//!
//! ```text
//! TID: [-1234] [2019-11-07 03:04:05,214] [{correlation id}]  INFO {AUDIT_LOG} - {message}
//! [2018-03-13 11:42:20,567]  INFO {AUDIT_LOG}-  {message}
//! TID: [1] Tenant: [foo.com] [{time}] [{correlation id}] : iam-audit : INFO {AUDIT_LOG} - {message}
//!
//! pipes   Initiator : X | Action : Y | Target : Z | Data : { … } | Result : Success
//! equals  Initiator=X Action=Y Target=Z Data={…} Outcome=Success | Impersonator : W
//! v2      { "id": …, "initiatorType": …, … }                     as in `asgardeo`
//! OAuth   [{time}] - Type: OAUTH TOKEN | Info: {…}
//! ```
//!
//! What makes it special:
//! * The time has a comma before its milliseconds and no zone. It is read in the zone that is configured for this source.
//! * The level says nothing: successes are written as `WARN` too. How it ended is in `Result` or `Outcome`.
//! * `Target` may be missing. `Data` may be no JSON (`{ TripAction3 }`); then it is a text. In it `null` is often written as a text,
//!   and then fills nothing.
//! * Action names may have spaces, so a value ends where the next name begins. A name that stands there twice before `Data` (a user name may look
//!   like one) is not believed.
//! * An initiator is `{name}@{tenant}` or an id; it stays as it is.
//! * A shipper may pass a line on inside a JSON object (`{"log": "…", "time": …}`, `{"message": "…"}`), whatever it calls it. What else is in
//!   the object stays as `log`.
//! * The line's text is the only name that it has, so the id is its hash. It is enough: the time has milliseconds.
//!
//! The fields are those of Asgardeo's legacy shape; [`crate::asgardeo`] reads them. What stands before the message is kept as `line`.

pub(crate) mod line;
mod read;
#[cfg(test)]
mod tests;

use crate::asgardeo::{self, pair};
use crate::detect::Sample;
use crate::envelope::Envelope;
use crate::split::{self, Piece};
use crate::{Context, Reason, System};

/// The adapter.
#[derive(Debug)]
pub struct Wso2;

pub(crate) const NAME: &str = "wso2";

/// The shape of a line that is not v2.
const LINE: &str = "line";

impl System for Wso2 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn looks_like(&self, sample: &Sample<'_>) -> u8 {
        if let Some(mut object) = sample.object.clone() {
            return if read::carried(&mut object).is_some() { 95 } else { 0 };
        }
        let line = sample.body.trim_start().lines().next().unwrap_or_default();
        if line.starts_with('{') || line::Line::parse(&crate::shipped::uncoloured(line)).is_none() { 0 } else { 97 }
    }

    /// Lines begin with a bracket, as lists do; in a list an object follows it, on the same line or the next, or nothing.
    fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        let start = text.trim_start();
        let list = start.strip_prefix('[').is_some_and(|inside| inside.trim_start().starts_with(['{', ']']));
        let pieces = match start.starts_with('{') {
            true => asgardeo::logs(text).unwrap_or_else(|| split::records(text)),
            false if list => split::records(text),
            false => split::lines(text),
        };
        pair::pair(text, pieces)
    }

    fn read<'a>(&self, text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
        read::read(text, context, out)
    }

    fn signs(&self) -> bool {
        true
    }

    fn writes_twice(&self) -> bool {
        true
    }

    fn twin(&self, native: &str) -> Option<String> {
        pair::twin(native)
    }
}
