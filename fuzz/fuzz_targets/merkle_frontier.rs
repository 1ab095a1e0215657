//! A saved frontier: reads and writes the same, and can grow.
#![no_main]
use libfuzzer_sys::fuzz_target;
use merkle::{Frontier, MAX_SIZE};

fuzz_target!(|data: &[u8]| {
    if let Ok(mut frontier) = Frontier::from_bytes(data) {
        assert_eq!(frontier.to_bytes(), data);
        let _ = frontier.root();
        if frontier.size() < MAX_SIZE {
            let size = frontier.size();
            frontier.push([1; 32]);
            assert_eq!(frontier.size(), size + 1);
        }
    }
});
