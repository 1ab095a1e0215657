//! Traces in Protocol Buffers: whatever is taken apart is one sound JSON object per line.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(lines) = systems::ory::otlp::lines(data) {
        for line in lines.lines() {
            let event: serde_json::Value = serde_json::from_str(line).expect("every line is JSON");
            assert!(event["name"].is_string() && event["attributes"].is_object());
        }
        indelible_fuzz::native("ory", lines.as_bytes());
    }
});
