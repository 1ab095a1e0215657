//! Filter text: what is read prints to text that reads the same.
#![no_main]
use indelible_fuzz::{NOW, lang, view};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &str)| {
    let (choice, text) = input;
    let view = view(choice);
    let clock = lang::Clock::utc(NOW);
    match lang::text::parse(text, view, &clock) {
        Err(e) => assert!(e.span.is_none_or(|span| text.get(span).is_some())),
        Ok(filter) => {
            let printed = lang::text::print(&filter, view);
            // Quoting can make text longer than what is read.
            if printed.len() <= lang::text::MAX_BYTES {
                assert_eq!(lang::text::parse(&printed, view, &clock).unwrap(), filter, "{printed}");
            }
        }
    }
});
