//! Entry bundles: what splits joins to the same bytes.
#![no_main]
use libfuzzer_sys::fuzz_target;
use merkle::bundle::{decode, decode_exact, encode};

fuzz_target!(|data: &[u8]| {
    if let Ok(entries) = decode(data) {
        assert_eq!(encode(&entries).unwrap(), data);
        let width = entries.len() as u16;
        assert!(width == 0 || decode_exact(data, width).is_ok());
        assert!(decode_exact(data, width + 1).is_err());
    }
});
