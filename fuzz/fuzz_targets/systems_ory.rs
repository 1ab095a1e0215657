//! Bodies from self-hosted Ory: every record is kept, understood or not.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| indelible_fuzz::native("ory", data));
