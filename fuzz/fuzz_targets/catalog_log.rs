//! SQLite's log of a catalog, and the count of its changes: never a panic, and damage lies inside.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let path = indelible_fuzz::scratch().join("catalog.db");
    std::fs::write(path.with_extension("db-wal"), data).unwrap();
    let found = catalog::Catalog::check_log(disk::local().as_ref(), &path).unwrap();
    std::fs::write(catalog::Catalog::changes_path(&path), data).unwrap();
    catalog::Catalog::check_changes(disk::local().as_ref(), &path).unwrap();
    assert!(found.is_none_or(|found| found.at < data.len() as u64));
});
