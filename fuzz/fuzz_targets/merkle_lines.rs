//! Hashes one a line, and proofs made of whatever they are: a verdict, never a panic.
#![no_main]
use libfuzzer_sys::fuzz_target;
use merkle::proof::{from_lines, to_lines, verify_consistency, verify_inclusion};

fuzz_target!(|input: (u64, u64, &str)| {
    let (a, b, text) = input;
    if let Ok(hashes) = from_lines(text) {
        assert_eq!(to_lines(&hashes), text);
        let _ = verify_inclusion(a, b, &[1; 32], &hashes, &[2; 32]);
        let _ = verify_consistency(a, b, &[1; 32], &[2; 32], &hashes);
    }
});
