//! Saved proofs: a file is read and checked, and nothing but the one that was signed is right; parts of any form are
//! compared with any record.
#![no_main]
use indelible_fuzz::proof;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, Vec<(String, Option<Vec<u8>>)>)| {
    let (text, parts) = input;
    // No input holds a signature that its own key did not make; the seed is the proof of a real record.
    if let Ok(checked) = proof::file::check(text, None) {
        assert!(checked.size > checked.index);
        let _ = checked.sentence();
    }
    let record = serde_json::from_str(text).unwrap_or_default();
    let _ = proof::compare(&parts, &record);
});
