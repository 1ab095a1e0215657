//! SQLite's log of a catalog: never a panic, and damage lies inside of it.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let path = indelible_fuzz::scratch().join("catalog.db");
    std::fs::write(path.with_extension("db-wal"), data).unwrap();
    let found = catalog::Catalog::check_log(disk::local().as_ref(), &path).unwrap();
    assert!(found.is_none_or(|found| found.at < data.len() as u64));
});
