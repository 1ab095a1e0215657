//! Schedules of chance over a whole store, on a disk that fails and a machine that loses power (I1 to I5).
//!
//! `INDELIBLE_SEED=17 cargo test -p store --test faults` repeats schedule 17 alone, `INDELIBLE_SCHEDULES=100000`
//! runs that many.
#![allow(missing_docs)]

#[path = "../common/mod.rs"]
mod common;
mod model;
mod slow;
mod vfs;
mod world;

use testdisk::{Fault, Lie, Schedules};
use world::World;

const SCHEDULES: u64 = 600;
const STEPS: usize = 24;

#[test]
fn every_schedule_ends_as_the_model_says() {
    let schedules = Schedules::from_environment(SCHEDULES);
    let sums = schedules.run(|seed| {
        let (c, _) = World::run(seed, STEPS, Lie::None)?;
        Ok([c.records, c.signed, c.flushed, c.merged, c.starts, c.power_cuts, c.failed, c.rotten, c.refused_copies])
    });
    let names =
        ["records", "signed", "flushed", "merged", "starts", "power cuts", "failed", "rotten", "copies refused"];
    let told: Vec<String> = names.iter().zip(sums).map(|(name, n)| format!("{n} {name}")).collect();
    println!("{} schedules: {}", schedules.count(), told.join(", "));
    // A schedule in which nothing happens proves nothing.
    let few = sums.iter().any(|n| *n < schedules.count() / 10);
    assert!(schedules.alone() || !few, "some of it hardly ever happened: {told:?}");
}

/// Every storage call of a store's life fails, one after the other. In the ordinary run a part of them, another part
/// for each way to fail; all of them where `INDELIBLE_SCHEDULES` is set.
#[test]
fn every_call_fails_in_turn() {
    let schedules = Schedules::from_environment(150);
    let calls = World::life(1 << 40, Fault::Before, false).unwrap();
    assert!(calls > 300, "only {calls} calls");
    let step = if schedules.count() < calls { calls / schedules.count() } else { 1 };
    let ways = [(Fault::Before, false), (Fault::After, false), (Fault::Short, true), (Fault::After, true)];
    let [lives] = Schedules::all(calls / step).run(|n| {
        let (fault, power_cut) = ways[n as usize % ways.len()];
        let only_one = step > 1;
        for (fault, power_cut) in ways.iter().filter(|w| !only_one || **w == (fault, power_cut)) {
            let call = 1 + n * step;
            World::life(call, *fault, *power_cut)
                .map_err(|e| format!("call {call}, {fault:?}, power cut {power_cut}: {e}"))?;
        }
        Ok([if only_one { 1 } else { ways.len() as u64 }])
    });
    println!("{calls} calls, {lives} lives");
}

/// A seed is a schedule: the second time the disk sees the same calls.
#[test]
fn a_seed_repeats_its_schedule() {
    for seed in 0..12 {
        let once = World::run(seed, STEPS, Lie::None).unwrap().1;
        assert_eq!(once, World::run(seed, STEPS, Lie::None).unwrap().1, "seed {seed}");
    }
}

/// On a disk that breaks its word some schedule must fail: else the schedules find nothing.
#[test]
fn a_disk_that_lies_is_noticed() {
    // (A lie about cutting is the journal's to notice: `ledger/tests/faults.rs`.)
    for lie in [Lie::Sync, Lie::SyncDir] {
        let found = (0..100).any(|seed| World::run(seed, STEPS, lie).is_err());
        assert!(found, "{lie:?} went unnoticed");
    }
}
