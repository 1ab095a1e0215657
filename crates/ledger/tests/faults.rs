//! Schedules of chance over a disk that fails and a machine that loses power (I1, I2, I3).
//!
//! `INDELIBLE_SEED=17 cargo test -p ledger --test faults` repeats schedule 17 alone, `INDELIBLE_SCHEDULES=100000`
//! runs that many.
#![allow(missing_docs)]

mod common;

use common::Lie;
use common::driver::World;
use testdisk::Schedules;

const SCHEDULES: u64 = 6_000;
const STEPS: usize = 24;

#[test]
fn every_schedule_ends_as_the_model_says() {
    let schedules = Schedules::from_environment(SCHEDULES);
    let [records, signed, stored, overlapped] = schedules.run(|seed| {
        let world = World::run(seed, STEPS, Lie::None)?;
        let records: usize = world.model.tenants.values().map(|t| t.rows.len()).sum();
        let stored: usize = world.catalog.rows.values().map(Vec::len).sum();
        Ok([records as u64, world.model.signed.len() as u64, stored as u64, world.overlapped])
    });
    let n = schedules.count();
    println!(
        "{n} schedules: {records} records, {signed} checkpoints, {stored} stored, {overlapped} frames on top of another"
    );
    // A schedule in which nothing happens proves nothing.
    assert!(schedules.alone() || (records > 8 * n && signed > n / 6 && stored > n / 6 && overlapped > n));
}

/// On a disk that breaks its word some schedule must fail: else the schedules find nothing.
#[test]
fn a_disk_that_lies_is_noticed() {
    for lie in [Lie::Sync, Lie::SyncDir, Lie::Truncate] {
        let found = (0..300).any(|seed| World::run(seed, STEPS, lie).is_err());
        assert!(found, "{lie:?} went unnoticed");
    }
}
