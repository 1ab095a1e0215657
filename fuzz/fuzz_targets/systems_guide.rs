//! Bodies from the monitoring guide's exports: every record is kept, understood or not.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| indelible_fuzz::native("guide", data));
