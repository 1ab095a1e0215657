//! Tile paths: only the one spelling.
#![no_main]
use libfuzzer_sys::fuzz_target;
use merkle::tile::parse_path;

fuzz_target!(|path: &str| {
    if let Ok(resource) = parse_path(path) {
        assert_eq!(resource.path(), path);
    }
});
