//! Pages of a segment: never a panic, never more rows than there can be.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| indelible_fuzz::segment_page(data));
