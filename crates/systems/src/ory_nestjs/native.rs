//! Envelope → `IamAuditEvent`.

use super::{CHECK, FIELDS, NAMED, PERMISSION};
use crate::moment::Stamp;
use crate::native::Native;
use event::Field;
use serde_json::Value;

pub(super) fn to_native(envelope: &Value) -> Value {
    let mut native = Native::new(envelope);
    native.time("timestamp", Stamp::Millis);
    // The target of a relation was put together from the attributes.
    let made = native.said(Field::TargetType).is_some_and(|kind| kind == CHECK || kind == PERMISSION);
    for (path, field) in FIELDS.iter().filter(|(path, _)| !(made && *path == "targetId")) {
        native.field(path, *field);
    }
    if let Some(outcome) = native.said(Field::Outcome).filter(|outcome| *outcome != "unknown") {
        native.put("result", outcome.into());
    }
    if envelope.get("irreversible").and_then(Value::as_bool) == Some(true) {
        native.put("attributes.irreversible", true.into());
    }
    let action = native.said(Field::Action).unwrap_or_default();
    if let Some((_, path)) = NAMED.iter().find(|(of, _)| *of == action) {
        native.field(path, Field::TargetName);
    }
    native.finish()
}
