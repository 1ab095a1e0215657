//! The JSON form: a query that is read can be written and read again.
#![no_main]
use indelible_fuzz::{NOW, lang};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(json) = serde_json::from_str::<serde_json::Value>(text) else { return };
    let clock = lang::Clock::utc(NOW);
    if let Ok(query) = lang::Query::from_json(&json, None, &clock) {
        let written = query.to_json();
        let again = lang::Query::from_json(&written, None, &clock).unwrap();
        assert_eq!(again.filter.normalized(), query.filter.clone().normalized(), "{written}");
    }
});
