//! Schedules of chance over a disk that fails and a machine that loses power (I1, I2, I3).
//!
//! `INDELIBLE_SEED=17 cargo test -p ledger --test faults` repeats schedule 17 alone.
#![allow(missing_docs)]

mod common;

use common::disk::Lie;
use common::driver::World;

const SCHEDULES: u64 = 6_000;
const STEPS: usize = 24;

fn all(from: u64, to: u64) {
    let one = std::env::var("INDELIBLE_SEED").ok().map(|s| s.parse::<u64>().expect("INDELIBLE_SEED is a number"));
    let (mut records, mut signed, mut stored) = (0, 0, 0);
    for seed in one.map_or(from..to, |seed| seed..seed + 1) {
        match World::run(seed, STEPS, Lie::None) {
            Ok(world) => {
                records += world.model.tenants.values().map(|t| t.rows.len()).sum::<usize>();
                signed += world.model.signed.len();
                stored += world.catalog.rows.values().map(Vec::len).sum::<usize>();
            }
            Err(e) => panic!("INDELIBLE_SEED={seed}: {e}"),
        }
    }
    // A schedule in which nothing happens proves nothing.
    assert!(one.is_some() || (records as u64 > 8 * (to - from) && signed > 500 && stored > 500));
}

// Two halves, for two cores.
#[test]
fn first_half() {
    all(0, SCHEDULES / 2);
}

#[test]
fn second_half() {
    all(SCHEDULES / 2, SCHEDULES);
}

/// On a disk that breaks its word some schedule must fail: else the schedules find nothing.
#[test]
fn a_disk_that_lies_is_noticed() {
    for lie in [Lie::Sync, Lie::SyncDir, Lie::Truncate] {
        let found = (0..300).any(|seed| World::run(seed, STEPS, lie).is_err());
        assert!(found, "{lie:?} went unnoticed");
    }
}
