//! The way from the tail into segments, and back out: the same records, trees and answers at every stage.
#![allow(missing_docs)]

mod common;

use common::{World, check_tenant, record, snapshot_indexes};
use ledger::{Outcome, SubmitError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn the_same_answers_in_tail_segments_and_merged_segments() {
    let mut world = World::new();
    world.more("acme", 700);
    world.more("globex", 130);
    world.check();
    // Nine flushes make a merge due, and leave one segment beside it.
    for round in 0..9 {
        world.store().flush().unwrap();
        assert_eq!(world.store().ledger().tail_bytes(), 0);
        world.more("acme", 257);
        if round % 2 == 0 {
            world.more("globex", 100);
        }
        if round % 4 == 0 {
            world.check();
        }
    }
    let before = world.store().segments().len();
    let roots = [world.tenant("acme"), world.tenant("globex")].map(|t| world.store().ledger().head(t.number));
    world.store().compact().unwrap();
    let after = world.store().segments();
    assert!(after.len() < before && before == 9, "{before} segments became {}", after.len());
    let in_segments: u64 = after.iter().map(|s| s.info().rows).sum();
    assert_eq!(in_segments, 700 + 8 * 257 + 130 + 4 * 100, "a merge keeps every row");
    assert_eq!(roots, [world.tenant("acme"), world.tenant("globex")].map(|t| world.store().ledger().head(t.number)));
    world.check();
    world.reopen();
    world.check();
    world.close();
    let report = world.verify();
    assert_eq!(report.findings, []);
    assert_eq!((report.records, report.tenants), (700 + 9 * 257 + 130 + 5 * 100, 2));
}

#[test]
fn a_flush_cuts_the_journal() {
    let mut world = World::new();
    let journal = world.folder().journal();
    for _ in 0..4 {
        world.more("acme", 300);
        world.store().flush().unwrap();
        let left = common::files(&journal, "log");
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(std::fs::metadata(&left[0]).unwrap().len(), 48, "what is left has no frame yet");
    }
    world.store().flush().unwrap();
    assert_eq!(world.store().segments().len(), 4, "an empty tail makes no segment");
}

/// A merge that takes a small share of a core may take minutes.
#[test]
fn a_stop_does_not_wait_for_a_merge() {
    let mut world = World::new();
    for _ in 0..2 {
        world.more("acme", 20_000);
        world.store().flush().unwrap();
    }
    world.settings.merge_at = 2;
    // About half a second of rest for every 4,096 rows: some twelve seconds in all.
    world.settings.compaction_share = 0.01;
    world.reopen();
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(world.store().segments().len(), 2, "the merge is going on");
    let started = std::time::Instant::now();
    world.close();
    let took = started.elapsed();
    let files = common::files(&world.folder().dir.join("segments"), "parquet");
    world.settings.compaction_share = 0.0;
    world.open().unwrap();
    assert!(took < std::time::Duration::from_secs(4), "{took:?}");
    assert_eq!((files.len(), world.store().segments().len()), (2, 2), "as it was, and nothing left over: {files:?}");
}

#[test]
fn a_crash_at_any_stage_loses_nothing() {
    let mut world = World::new();
    let again = |world: &World, replayed: u64| {
        let mut crashed = world.crashed();
        assert_eq!(crashed.verify().findings, [], "verify reads what a crash left");
        crashed.open().unwrap();
        crashed.check();
        let tail: u64 = crashed.expected.keys().map(|t| tail(&crashed, t)).sum();
        assert_eq!(tail, replayed);
        // And it goes on: the same persons, new records, into a segment.
        crashed.more("acme", 50);
        crashed.store().flush().unwrap();
        crashed.check();
        crashed.close();
        assert_eq!(crashed.verify().findings, []);
    };
    world.more("acme", 400);
    world.more("globex", 20);
    again(&world, 420);
    world.store().flush().unwrap();
    again(&world, 0);
    world.more("acme", 30);
    again(&world, 30);
    world.close();
    again(&world, 30);
}

fn tail(world: &World, slug: &str) -> u64 {
    world.store().ledger().tail_span(world.tenant(slug).number).1 as u64
}

/// The clock is set back while the program is down, with nothing left in the journal.
#[test]
fn time_does_not_go_back_across_a_crash() {
    let mut world = World::new();
    world.more("acme", 10);
    world.store().flush().unwrap();
    let mut crashed = world.crashed();
    crashed.clock.fetch_sub(3_600_000_000, Ordering::Relaxed);
    crashed.open().unwrap();
    crashed.more("acme", 10);
    crashed.check();
    let tenant = crashed.tenant("acme");
    let times: Vec<i64> = crashed.store().rows(&tenant, 0..20).unwrap().iter().map(|r| r.recorded_at).collect();
    assert!(times.is_sorted(), "{times:?}");
    crashed.close();
    assert_eq!(crashed.verify().findings, []);
}

#[test]
fn a_flush_of_many_tiny_tenants() {
    let mut world = World::new();
    for t in 0..300 {
        world.more(&format!("t{t}"), 1 + t % 3);
    }
    world.more("large", 2_000);
    world.store().flush().unwrap();
    assert_eq!(world.store().segments().len(), 1, "one segment for all");
    for t in (0..300).step_by(3) {
        world.more(&format!("t{t}"), 2);
    }
    world.store().flush().unwrap();
    world.check();
    world.reopen();
    world.check();
    world.close();
    let report = world.verify();
    assert_eq!((report.findings.len(), report.tenants, report.records), (0, 301, 2_000 + 600 + 200));
}

#[test]
fn ids_are_found_wherever_their_record_is() {
    let mut world = World::new();
    world.more("acme", 50);
    world.tenant("globex");
    let repeated = |world: &World| {
        let texts: Vec<String> = (0..50).map(|i| record("acme", i)).collect();
        let receipt = world.submit(world.prepare("acme", &texts)).unwrap();
        for (i, outcome) in receipt.outcomes.iter().enumerate() {
            let leaf = world.expected["acme"].leaves[i];
            assert_eq!(*outcome, Outcome::Duplicate { index: i as u64, leaf });
        }
        let other = texts[7].replace("acme-7\"", "acme-7\",\"trace_id\":\"x\"");
        let receipt = world.submit(world.prepare("acme", &[other])).unwrap();
        assert_eq!(receipt.outcomes, [Outcome::Conflict { index: 7 }]);
        // Another tenant's ids are its own.
        assert_eq!(world.store().index_of(&world.tenant("globex"), "acme-7").unwrap(), None);
        assert_eq!(world.store().ledger().size(world.tenant("acme").number), 50);
    };
    repeated(&world);
    world.reopen();
    repeated(&world);
    // Looked up while in the tail, submitted when in a segment.
    let late = world.prepare("acme", &[record("acme", 3)]);
    world.store().flush().unwrap();
    assert!(matches!(world.submit(late), Err(SubmitError::Stale)));
    repeated(&world);
    world.reopen();
    repeated(&world);
    let mut crashed = world.crashed();
    crashed.open().unwrap();
    repeated(&crashed);
}

/// Writers, flushes, merges and readers at once: every snapshot has each record exactly once (I5).
#[test]
fn snapshots_are_whole_while_everything_moves() {
    let mut world = World::new();
    world.more("acme", 10);
    let (store, tenant) = (Arc::clone(world.store()), world.tenant("acme"));
    let stop = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let reader = || {
            let mut seen = 0u64;
            while !stop.load(Ordering::Relaxed) {
                let before = store.ledger().size(tenant.number);
                let indexes = snapshot_indexes(&store, &tenant, None);
                assert!(indexes.len() as u64 >= before, "{} of {before}", indexes.len());
                assert!(indexes.iter().copied().eq(0..indexes.len() as u64), "a record is missing or twice");
                let last = before - 1;
                assert_eq!(store.rows(&tenant, last..before).unwrap()[0].index, last);
                seen += 1;
            }
            seen
        };
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        let flusher = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                store.flush().unwrap();
                store.compact().unwrap();
            }
        });
        for round in 0..80 {
            world.more("acme", 20 + round * 7 % 60);
        }
        stop.store(true, Ordering::Relaxed);
        flusher.join().unwrap();
        readers.map(|r| r.join().unwrap())
    });
    assert!(seen.iter().all(|n| *n > 5), "{seen:?}");
    check_tenant(&store, &tenant, &world.expected["acme"]);
    drop(store);
    world.close();
    assert_eq!(world.verify().findings, []);
}

/// A flush that fails loses nothing, and the next one takes everything, keys included.
#[test]
fn a_flush_that_fails_is_made_up_for() {
    let mut world = World::new();
    world.more("acme", 100);
    let (segments, aside) = (world.folder().segments().path, world.folder().dir.join("aside"));
    std::fs::rename(&segments, &aside).unwrap();
    for _ in 0..4 {
        world.store().flush().unwrap_err();
        world.more("acme", 10);
        world.check();
    }
    std::fs::rename(&aside, &segments).unwrap();
    world.store().flush().unwrap();
    assert_eq!(world.store().ledger().tail_bytes(), 0);
    world.check();
    let mut crashed = world.crashed();
    crashed.open().unwrap();
    crashed.check();
    crashed.close();
    assert_eq!(crashed.verify().findings, []);
}

/// What memory would have done to a row between its commitment and its segment; and what came out of the journal like that.
#[test]
fn a_row_that_changed_after_it_was_committed_to_goes_into_no_segment() {
    let mut world = World::new();
    world.more("acme", 300);
    let mut batch = world.prepare("acme", &[record("acme", 300)]);
    let row = batch.records[0].row.clone();
    let at = batch.rows[row.clone()].windows(8).position(|w| w == b"acme-300").unwrap() + row.start;
    batch.rows[at] = b'b';
    world.submit(batch).unwrap();
    for _ in 0..2 {
        match world.store().flush().unwrap_err() {
            store::Error::Mismatch { tenant, index, .. } => assert_eq!((tenant.as_str(), index), ("acme", 300)),
            other => panic!("{other}"),
        }
        assert!(world.store().segments().is_empty());
        // The rows are in the journal still, and nobody knows that this one is not what was committed to.
        world = world.crashed();
        world.open().unwrap();
    }
    assert_eq!(world.store().ledger().head(world.tenant("acme").number).size, 301);
}

#[test]
fn checkpoints_stay_consistent_across_everything() {
    let mut world = World::new();
    let mut shown = Vec::new();
    for round in 0..6 {
        world.more("acme", 90);
        let tenant = world.tenant("acme");
        world.store().checkpoints().publish(world.store().ledger(), &[(tenant.number, "acme".into())]).unwrap();
        let published = world.store().checkpoints().newest(world.store().ledger(), tenant.number, "acme").unwrap();
        shown.push((published.size, published.root));
        match round % 3 {
            0 => world.store().flush().unwrap(),
            1 => world.reopen(),
            _ => {
                let mut crashed = world.crashed();
                crashed.open().unwrap();
                world = crashed;
            }
        }
        let leaves = &world.expected["acme"].leaves;
        for (size, root) in &shown {
            assert_eq!(merkle::root_of(&leaves[..*size as usize]), *root);
        }
        world.check();
    }
}
