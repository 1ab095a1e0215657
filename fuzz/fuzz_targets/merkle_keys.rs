//! Key texts: there is one way to write one.
#![no_main]
use libfuzzer_sys::fuzz_target;
use merkle::note::{SigningKey, VerifyingKey};

fuzz_target!(|text: &str| {
    if let Ok(key) = VerifyingKey::parse(text) {
        assert_eq!(key.vkey(), text);
    }
    if let Ok(key) = SigningKey::parse_private_text(text) {
        assert_eq!(key.to_private_text(), text);
        VerifyingKey::parse(&key.vkey()).unwrap();
    }
});
