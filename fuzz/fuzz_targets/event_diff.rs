//! Two JSON documents compared: a document equals itself, a difference is JSON, and the short way finds what the long one does.
#![no_main]
use event::diff::{diff, diff_with};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (&str, &str)| {
    let (old, new) = texts;
    if let Ok(Some(found)) = diff(old, new) {
        serde_json::from_str::<&serde_json::value::RawValue>(&found.json).unwrap();
    }
    assert_eq!(diff(old, new).ok(), diff_with(old, new, &|_| false).ok());
    if let Ok(same) = diff(old, old) {
        assert!(same.is_none());
    }
});
