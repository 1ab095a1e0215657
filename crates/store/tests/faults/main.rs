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
use world::life::{Failing, STAGES};

const SCHEDULES: u64 = 500;
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

/// Every storage call of a store's life fails. In the ordinary run: those of a first start and of the end, with the power going later;
/// those of a merge, with the power going at once; and every fourth of all, in turn in every way. All in every way
/// where `INDELIBLE_SCHEDULES` asks for more than usual.
#[test]
fn every_call_fails_in_turn() {
    let thorough = Schedules::from_environment(SCHEDULES).count() > SCHEDULES;
    let way =
        |fault, stay, stages_after, power_cut| Failing { stage: 0, call: 0, fault, stay, stages_after, power_cut };
    let ways = [
        way(Fault::Before, false, 2, true),
        way(Fault::After, false, 0, true),
        way(Fault::After, true, 0, true),
        way(Fault::Short, true, 0, true),
        way(Fault::Before, true, 0, false),
        way(Fault::After, false, 2, false),
    ];
    let calls = World::life(None).unwrap();
    let mut lives = Vec::new();
    for (stage, n) in calls.iter().enumerate() {
        assert!(*n > 0 && *n < 1_000, "{n} calls in {}", STAGES[stage].0);
        for call in 1..=*n {
            let usual = match STAGES[stage].0 {
                "start" | "close" => Some(0),
                "merge" => Some(1),
                _ => None,
            };
            let in_turn = (call % 4 == 0).then_some((call / 4) as usize % ways.len());
            let chosen = (0..ways.len()).filter(|w| thorough || Some(*w) == usual || Some(*w) == in_turn);
            lives.extend(chosen.map(|w| Failing { stage, call, ..ways[w] }));
        }
    }
    let [done] = Schedules::all(lives.len() as u64).run(|n| {
        let failing = lives[n as usize];
        World::life(Some(failing)).map_err(|e| format!("{failing:?}: {e}"))?;
        Ok([1])
    });
    println!("{} calls in a life, {done} lives", calls.iter().sum::<u64>());
}

/// A flush that fails again and again on a full disk does not fill it further.
#[test]
fn a_failed_flush_leaves_no_files() {
    World::within(1, Lie::None, World::flushes_on_a_full_disk).unwrap();
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
