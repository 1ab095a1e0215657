//! Two JSON documents compared: a document equals itself, and a difference is JSON.
#![no_main]
use event::diff::diff;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (&str, &str)| {
    let (old, new) = texts;
    if let Ok(Some(found)) = diff(old, new) {
        serde_json::from_str::<&serde_json::value::RawValue>(&found.json).unwrap();
    }
    if let Ok(same) = diff(old, old) {
        assert!(same.is_none());
    }
});
