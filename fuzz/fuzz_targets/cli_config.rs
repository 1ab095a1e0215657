//! Configuration files: each is used or refused by name, and what is used is within its limits.
#![no_main]
use indelible_fuzz::{client::Exit, scratch, settings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let path = scratch().join("indelible.toml");
    std::fs::write(&path, data).unwrap();
    let flags = settings::Flags { config: Some(path), ..settings::Flags::default() };
    match settings::load(&flags) {
        Ok(settings) => {
            assert!((0.01..=1.0).contains(&settings.compaction_share));
            assert!(settings.flush_mib < settings.tail_mib);
            let _ = settings.store();
        }
        Err(e) => assert!(e.exit == Exit::Usage && !e.message.is_empty()),
    }
});
