//! The entry check of SQL text, which stands before anything is planned: it ends, in bounded stack and time.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = indelible_fuzz::sql::entry(text);
});
