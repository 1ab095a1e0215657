//! Envelope → user event or admin event. A log line comes back as the event it was about, with its prefix as `line`.

use super::{ADMIN, USER};
use crate::moment::Stamp;
use crate::native::Native;
use event::Field;
use serde_json::Value;

pub(super) fn to_native(envelope: &Value) -> Value {
    let mut native = Native::new(envelope);
    // A line has no id of its own, and its time is in what stood before it.
    if !native.members.contains_key("line") && !native.members.contains_key("log") {
        native.field("id", Field::Id);
        native.time("time", Stamp::UnixMillis);
    }
    if native.said(Field::Log).is_none_or(|log| log != "audit") {
        native.fields(USER);
        return native.finish();
    }
    native.fields(ADMIN);
    if let Some((operation, resource)) = native.said(Field::Action).and_then(|action| action.split_once(' ')) {
        native.put("operationType", operation.into());
        native.put("resourceType", resource.into());
    }
    // Spaces and the order of keys inside the text are not what they were.
    let said = |path| envelope.get(path).filter(|_| !native.concluded(path));
    if let Some(state) = said("new").or_else(|| said("old")) {
        native.put("representation", state.to_string().into());
    }
    native.finish()
}
