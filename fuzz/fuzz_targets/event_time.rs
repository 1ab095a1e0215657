//! RFC 3339: what is read is written in one way, which reads back.
#![no_main]
use event::time::{format, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(at) = parse(text) {
        let written = format(at);
        // Offsets can lead out of the years that four digits can write.
        if written.len() == 27 && !written.starts_with('-') {
            assert_eq!(parse(&written), Some(at));
        }
    }
});
