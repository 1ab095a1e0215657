//! Auth0: tenant logs, as its log streams push them and as its Management API answers them.
//!
//! ```text
//! stream  { log_id, data: { date, type, description, connection, client_id, client_name, ip, user_agent, user_id, … } }
//! pull    the inner object, with _id equal to log_id
//! either  { logs: [ … ] }, as a stream may wrap them and as the API answers with `include_totals`
//! ```
//!
//! What makes it special:
//! * `type` is a code of a few letters (`s`, `fp`, `seacft`); what it means and whether it went well is in the catalogue and
//!   in its spelling. Newer codes are words that end in `_succeeded` or `_failed`.
//! * Both shapes are the same event with the same `log_id`, so pushed and pulled records are one.
//! * `client_id` may be null and `user_id` empty; nobody is then named. `user_agent` is rewritten by the pull API.
//! * `details` differs per type; secrets in it are masked by Auth0 itself, and by us again.

mod read;
#[cfg(test)]
mod tests;

use crate::detect::Sample;
use crate::envelope::Envelope;
use crate::shapes::Amended;
use crate::split::{self, Piece};
use crate::{Context, Reason, System};
use event::Field;
use serde_json::{Map, Value};

/// The adapter.
#[derive(Debug)]
pub struct Auth0;

const NAME: &str = "auth0";

/// The mark of an entry that was streamed.
const STREAM: &str = "stream";

/// Where entries are wrapped.
const LOGS: &[&str] = &["logs"];

/// Members that are one text in the envelope.
const FIELDS: &[(&str, Field)] = &[
    ("type", Field::Action),
    ("description", Field::Message),
    ("client_id", Field::ClientId),
    ("client_name", Field::ClientName),
    ("connection", Field::ProviderName),
    ("connection_id", Field::ProviderId),
    ("ip", Field::Ip),
    ("client_ip", Field::Ip),
    ("user_agent", Field::UserAgent),
    ("user_id", Field::ActorId),
    ("user_name", Field::Username),
    ("details.session_id", Field::SessionId),
];

impl System for Auth0 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn looks_like(&self, sample: &Sample<'_>) -> u8 {
        match split::wrapped(sample.first, LOGS) {
            Some(all) => {
                let first = split::telling(all);
                first.map_or(0, |first| sure(&Sample::new(&first)))
            }
            None => sure(sample),
        }
    }

    fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        split::wrapped(text, LOGS).unwrap_or_else(|| split::records(text))
    }

    fn shapes(&self) -> bool {
        true
    }

    /// The pull API writes `Chrome 100 / Mac` where the stream has what the browser said.
    fn amends(&self) -> Amended {
        Amended { reworded: &[Field::UserAgent], ..Amended::default() }
    }

    /// The inner object, without the id that either shape says once more.
    fn plain(&self, attributes: &mut Map<String, Value>, shape: &str, id: &str) {
        if shape == STREAM
            && let Some(Value::Object(data)) = attributes.remove("data")
        {
            attributes.extend(data);
        }
        for name in ["log_id", "_id"] {
            if attributes.get(name).is_some_and(|value| value == id) {
                attributes.remove(name);
            }
        }
    }

    fn read<'a>(&self, text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
        read::read(text, context, out)
    }
}

fn sure(sample: &Sample<'_>) -> u8 {
    let pulled = sample.has(&["log_id", "date", "type"]);
    if !pulled && !sample.has(&["log_id", "data.date", "data.type"]) {
        return 0;
    }
    let kind = sample.text(if pulled { "type" } else { "data.type" });
    let known = kind.is_some_and(|kind| crate::catalog::of(NAME).get(&kind).is_some());
    if known { 97 } else { 75 }
}
