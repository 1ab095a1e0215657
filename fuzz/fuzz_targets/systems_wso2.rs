//! Bodies from WSO2 Identity Server: every record is kept, understood or not.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| indelible_fuzz::native("wso2", data));
