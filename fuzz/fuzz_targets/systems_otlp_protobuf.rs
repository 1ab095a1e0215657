//! OTLP requests in protobuf: refused, or JSON that is taken in like any other.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(json) = systems::otlp::protobuf::to_json(data) {
        serde_json::from_str::<serde_json::Value>(&json).expect("what is made is JSON");
        indelible_fuzz::native("otlp", json.as_bytes());
    }
});
