//! Envelope → the JSON shape it came in.

use super::{
    DIAGNOSTIC, DIAGNOSTIC_FIELDS, LEGACY, PAIR, PAIR_ACTION_ID, SEARCHED, V2_ACTION_ID, V2_FIELDS, WEBHOOK,
    WEBHOOK_FIELDS,
};
use crate::moment::Stamp;
use crate::native::Native;
use event::Field;
use serde_json::Value;

pub(super) fn to_native(envelope: &Value) -> Value {
    let mut native = Native::new(envelope);
    match native.shape() {
        Some(WEBHOOK) => {
            native.field("jti", Field::Id);
            native.time("iat", Stamp::UnixMillis);
            native.fields(WEBHOOK_FIELDS);
        }
        Some(shape @ (DIAGNOSTIC | SEARCHED)) => {
            native.field(if shape == SEARCHED { "id" } else { "logId" }, Field::Id);
            native.time("recordedAt", Stamp::Micros);
            result(&mut native, "resultStatus", ["SUCCESS", "FAILED"]);
            native.fields(DIAGNOSTIC_FIELDS);
        }
        Some(LEGACY) => {
            native.time("recordedAt", Stamp::Micros);
            native.field("initiatorId", Field::ActorId);
            native.field("action", Field::Action);
            native.field("target", Field::TargetId);
            native.json("data.Changed-State", Field::New);
            if !native.members.contains_key("outcome") {
                result(&mut native, "result", ["Success", "Failed"]);
            }
        }
        shape => {
            let action_id = matches!(shape, Some(V2_ACTION_ID | PAIR_ACTION_ID));
            if matches!(shape, Some(PAIR | PAIR_ACTION_ID)) {
                native.members.remove("legacy");
            }
            native.field("id", Field::Id);
            native.time("recordedAt", Stamp::Micros);
            native.field("initiatorId", Field::ActorId);
            native.field("targetId", Field::TargetId);
            native.field(if action_id { "actionId" } else { "action" }, Field::Action);
            native.fields(V2_FIELDS);
        }
    }
    native.finish()
}

/// The word for how it ended, if the source said one of the two usual ones.
fn result(native: &mut Native<'_>, path: &str, words: [&str; 2]) {
    let word = match native.said(Field::Outcome) {
        Some("success") => words.first(),
        Some("failure") => words.last(),
        _ => None,
    };
    if let Some(word) = word {
        native.put(path, (*word).into());
    }
}
