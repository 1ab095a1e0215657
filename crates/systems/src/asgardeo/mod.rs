//! Asgardeo, and WSO2 Identity Server where it writes JSON: three shapes of audit record, and webhooks.
//!
//! ```text
//! v2          { id, recordedAt (microseconds), requestId, initiatorId, initiatorType, targetId, targetType, action | actionId,
//!               impersonatorId?, data? }
//! legacy      { initiatorId, action, target?, data, result? }                          no id, no time
//! diagnostic  { logId, recordedAt: { seconds, nanos }, requestId, resultStatus, resultMessage, actionId, componentId, input{} }
//! webhook     { iss, jti, iat (milliseconds), rci, events: { URI: { user, application, … } } }
//! ```
//!
//! They come one by one, as a list, or as the log search answers them, `{ logs: [ … ] }`.
//!
//! What makes it special:
//! * Capitals and dashes of action names differ (`DELETE OAUTH APPLICATION`, `add-user`, `Add User`), those of types too (`USER`).
//!   They are compared without; a type is stored in the usual spelling.
//! * A legacy record has no time: its record has that of the arrival, and says so. It has no id either, and two equal ones
//!   may be two acts, so each is stored.
//! * v2 has no result, and legacy often none: that something is in this log means that it was done. The outcome is marked inferred.
//! * `initiatorId` may be masked (`a***a`): then it is a name and no id. It may be `{id}@{tenant}`: then the id is the part before.
//! * `targetId` is the word `System` where an Action is the target: its id is `data.ActionId`.
//! * `modifiedStatus` says *disabled*, and `sharedTenantDomains` is a list printed into a text. Both stay as they are.
//! * One action may be written in v2 and in legacy, by a switch of the server. `pair` makes one record of both where they come
//!   together; where the v2 record came in an earlier body, the log line names it as its `twin`. Where the v2 record is stored alone
//!   and both come together later, it is a repetition, and the legacy record is stored beside it, with its `twin`.
//! * A webhook looks like an RFC 8417 token and is none: `iat` is in milliseconds. The signature is an HMAC ([`websub`]).

mod native;
pub(crate) mod pair;
pub mod pull;
pub(crate) mod read;
#[cfg(test)]
mod tests;
mod webhook;
pub mod websub;

use crate::detect::Sample;
use crate::envelope::Envelope;
use crate::split::{self, Piece};
use crate::{Context, Reason, System, catalog};
use event::Field;
use serde_json::Value;

/// The adapter.
#[derive(Debug)]
pub struct Asgardeo;

pub(crate) const NAME: &str = "asgardeo";

/// Shapes as they are marked; v2 with `action` is not.
const V2_ACTION_ID: &str = "v2 with actionId";
const LEGACY: &str = "legacy";
const DIAGNOSTIC: &str = "diagnostic";
/// A diagnostic record as the log search gives it, whose id has the name that those of audit records have.
const SEARCHED: &str = "diagnostic, searched";
const WEBHOOK: &str = "webhook";
/// v2, and what the same action was in legacy as `attributes.legacy`.
const PAIR: &str = "v2 and legacy";
const PAIR_ACTION_ID: &str = "v2 with actionId, and legacy";

/// Members that are one text in the envelope, per shape.
const V2_FIELDS: &[(&str, Field)] = &[
    ("requestId", Field::RequestId),
    ("initiatorType", Field::ActorType),
    ("targetType", Field::TargetType),
    ("impersonatorId", Field::ImpersonatorId),
];
const DIAGNOSTIC_FIELDS: &[(&str, Field)] = &[
    ("actionId", Field::Action),
    ("requestId", Field::RequestId),
    ("resultMessage", Field::Message),
    ("input.user id", Field::ActorId),
    ("input.client id", Field::ClientId),
];
const WEBHOOK_FIELDS: &[(&str, Field)] = &[("rci", Field::RequestId)];

/// What begins the URIs of webhook events.
const EVENTS: &str = "https://schemas.identity.wso2.org/";

impl System for Asgardeo {
    fn name(&self) -> &'static str {
        NAME
    }

    fn looks_like(&self, sample: &Sample<'_>) -> u8 {
        match logs(sample.first) {
            Some(logs) => {
                let first = split::telling(logs);
                first.map_or(0, |first| sure(&Sample::new(&first)))
            }
            None => sure(sample),
        }
    }

    fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        pair::pair(text, logs(text).unwrap_or_else(|| split::records(text)))
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

    fn to_native(&self, envelope: &Value) -> Option<Value> {
        Some(native::to_native(envelope))
    }
}

/// The entries of a log search's answer.
pub(crate) fn logs(text: &str) -> Option<Vec<Piece<'_>>> {
    split::wrapped(text, &["logs"])
}

fn sure(sample: &Sample<'_>) -> u8 {
    if sample.has(&["initiatorId", "initiatorType"]) && (sample.has(&["action"]) || sample.has(&["actionId"])) {
        return 98;
    }
    if sample.has(&["logId", "resultStatus", "actionId"]) {
        return 97;
    }
    if sample.has(&["initiatorId", "action"]) {
        let known = sample.text("action").is_some_and(|name| catalog::of(NAME).get_loose(&name).is_some());
        return if known { 95 } else { 75 };
    }
    let events = sample.object.clone().is_some_and(|mut object| webhook::uri(&mut object).is_some());
    if events { 99 } else { 0 }
}
