//! Signed notes: what reads writes back the same, and nothing unsigned is vouched for.
#![no_main]
use libfuzzer_sys::fuzz_target;
use merkle::note::{Note, SigningKey, open};
use std::sync::LazyLock;

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::new("audit.example/t/acme", &[7; 32]).unwrap());

fuzz_target!(|data: &[u8]| {
    if let Ok(note) = Note::parse(data) {
        assert_eq!(note.to_string().as_bytes(), data);
    }
    // Whoever finds a signature of this key by fuzzing may keep it: the one in the seeds is over its own text.
    if let Ok(opened) = open(data, &[KEY.verifying_key().clone()]) {
        assert!(!opened.verified.is_empty());
        assert_eq!(opened.text, "audit.example/t/acme\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n");
    }
});
