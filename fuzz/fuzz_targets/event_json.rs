//! Canonical JSON: made again from itself it is the same, whatever is redacted on the way.
#![no_main]
use event::redact::{Context, Rules, canonical};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let rules = Rules::default();
    for context in [Context::default(), Context { provider: true, project_secret: true }] {
        let mut once = String::new();
        if canonical(text, "/new", 1, context, &rules, &mut Vec::new(), &mut once).is_ok() {
            let mut twice = String::new();
            canonical(&once, "/new", 1, context, &rules, &mut Vec::new(), &mut twice).unwrap();
            assert_eq!(once, twice);
        }
    }
});
