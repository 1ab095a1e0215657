//! Canonical JSON: made again from itself it is the same, whatever is redacted on the way.
#![no_main]
use event::redact::{Canonical, Context, Rules};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let rules = Rules::default();
    for context in [Context::default(), Context { provider: true, project_secret: true }] {
        let how = Canonical { path: "new", depth: 1, context, rules: &rules };
        let mut once = String::new();
        if how.write(text, &mut Vec::new(), &mut once).is_ok() {
            let mut twice = String::new();
            how.write(&once, &mut Vec::new(), &mut twice).unwrap();
            assert_eq!(once, twice);
        }
    }
});
