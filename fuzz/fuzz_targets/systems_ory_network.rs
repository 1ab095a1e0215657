//! Bodies from Ory Network: every record is kept, understood or not.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| indelible_fuzz::native("ory-network", data));
