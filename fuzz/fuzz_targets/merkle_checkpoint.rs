//! Checkpoints: there is one way to write one.
#![no_main]
use libfuzzer_sys::fuzz_target;
use merkle::checkpoint::Checkpoint;

fuzz_target!(|text: &str| {
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.to_text().unwrap(), text);
    }
    let _ = Checkpoint::parse_unverified(text);
    assert!(Checkpoint::open(text, &[]).is_err());
});
