//! Envelope → stream event.

use super::{ATTRIBUTES, events};
use crate::moment::Stamp;
use crate::native::Native;
use event::Field;
use serde_json::Value;

pub(super) fn to_native(envelope: &Value) -> Value {
    let mut native = Native::new(envelope);
    native.field("name", Field::Action);
    native.time("timestamp", Stamp::Micros);
    events::put_back(&mut native, ATTRIBUTES);
    native.finish()
}
