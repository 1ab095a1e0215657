//! Back-pressure, repeated ids and stopping, with several threads at once.
#![allow(missing_docs)]

mod common;

use common::{Fault, FaultyDisk};
use common::{LEDGER, TestClock, batch, commitment_of, journal, key_of, row};
use disk::Disk;
use ledger::{Batch, Config, Known, Ledger, Outcome, Pending, Receipt, Refusing, SubmitError, leaf_of};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

fn open(disk: &FaultyDisk, pool_bytes: usize, tail_bytes: usize) -> Ledger {
    open_with(disk, pool_bytes, tail_bytes, &TestClock::default())
}

fn open_with(disk: &FaultyDisk, pool_bytes: usize, tail_bytes: usize, clock: &TestClock) -> Ledger {
    let config = Config {
        dir: journal(),
        ledger: LEDGER,
        pool_bytes,
        tail_bytes,
        freeze_bytes: usize::MAX,
        overlap_bytes: disk::COLD_LEAST,
    };
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Ledger::open(config, disk, clock.clock(), Vec::new(), 0, &HashMap::new(), key_of, |_, _| {}).unwrap().0
}

fn send(ledger: &Ledger, batch: Batch) -> Result<Receipt, SubmitError> {
    let (send, receive) = mpsc::channel();
    ledger.submit(batch, move |a| send.send(a).unwrap())?;
    receive.recv().unwrap()
}

fn rows(ledger: &Ledger, tenant: u32, rows: &[Vec<u8>]) -> Result<Receipt, SubmitError> {
    send(ledger, batch(tenant, ledger.id_epoch(), rows))
}

/// Holds the commit thread until the result is dropped, so that batches gather.
fn hold(ledger: &Ledger) -> mpsc::Sender<()> {
    let (started, at) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let plug = move |_| {
        started.send(()).unwrap();
        let _ = gone.recv();
    };
    ledger.submit(batch(0, ledger.id_epoch(), &[]), plug).unwrap();
    at.recv().unwrap();
    go
}

/// A batch of one record without an id, of `n` bytes.
fn of(ledger: &Ledger, n: usize) -> Batch {
    batch(0, ledger.id_epoch(), &[row("", &"x".repeat(n - 1))])
}

#[test]
fn the_pool_is_counted_right_after_every_kind_of_answer() {
    const POOL: usize = 20_000;
    let disk = FaultyDisk::new(1);
    let ledger = open(&disk, POOL, 1 << 30);
    for n in 0..50 {
        // Sealed, repeated, in conflict, stale, and refused by a full disk.
        rows(&ledger, 1, &[row(&format!("{n}"), "a")]).unwrap();
        rows(&ledger, 1, &[row(&format!("{n}"), "a")]).unwrap();
        rows(&ledger, 1, &[row(&format!("{n}"), "b")]).unwrap();
        disk.fill_up(10);
        let full = rows(&ledger, 1, &[row("", "never")]);
        assert!(matches!(full, Err(SubmitError::Disk(_))), "{full:?}");
        disk.mend();
    }
    // What fits an empty pool fits now, and not a byte more beside it: nothing leaked, nothing went below.
    let held = hold(&ledger);
    ledger.submit(of(&ledger, 100), |_| {}).unwrap();
    let most = (1..POOL).rev().find(|n| ledger.submit(of(&ledger, *n), |_| {}).is_ok()).unwrap();
    assert!((POOL - 700..POOL - 100).contains(&most), "{most}");
    let full = ledger.submit(of(&ledger, 100), |_| {});
    assert!(matches!(full, Err(SubmitError::Full(_))), "{full:?}");
    drop(held);
    ledger.close();
    assert_eq!(ledger.size(0), 2, "both that were let in are sealed");
}

#[test]
fn a_full_tail_is_refused_until_it_is_stored() {
    let disk = FaultyDisk::new(1);
    let ledger = open(&disk, 1 << 20, 50_000);
    let mut sealed = 0;
    let full = loop {
        match rows(&ledger, 2, &[row("", &"y".repeat(900))]) {
            Ok(_) => sealed += 1,
            Err(e) => break e,
        }
    };
    assert!(matches!(full, SubmitError::Full(_)), "{full}");
    assert!(sealed > 30, "{sealed}");
    let frozen = ledger.freeze().unwrap();
    assert!(ledger.tail_bytes() > 40_000);
    ledger.stored(&frozen).unwrap();
    assert_eq!(ledger.tail_bytes(), 0);
    ledger.stored(&frozen).unwrap();
    assert_eq!(ledger.tail_bytes(), 0, "said twice is counted once");
    rows(&ledger, 2, &[row("", "z")]).unwrap();
    assert_eq!(ledger.size(2), sealed + 1);
}

#[test]
fn whether_records_are_taken_is_told_also_where_nobody_sends_any() {
    let disk = FaultyDisk::new(1);
    let ledger = open(&disk, 1 << 20, 50_000);
    assert_eq!(ledger.refusing(), None);
    disk.fill_up(10);
    assert!(matches!(rows(&ledger, 1, &[row("", "a")]), Err(SubmitError::Disk(_))));
    assert_eq!(ledger.refusing(), Some(Refusing::Disk));
    disk.mend();
    rows(&ledger, 1, &[row("", "a")]).unwrap();
    assert_eq!(ledger.refusing(), None, "at once after one was taken");

    disk.fill_up(10);
    assert!(matches!(rows(&ledger, 1, &[row("", "b")]), Err(SubmitError::Disk(_))));
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(ledger.refusing(), Some(Refusing::Disk), "there is still no room");
    let names = |disk: &FaultyDisk| disk.paths(&journal());
    disk.mend();
    let before = names(&disk);
    assert_eq!(ledger.refusing(), None, "there is, and nobody has sent anything since");
    assert_eq!(names(&disk), before, "what was tried with is gone");

    while rows(&ledger, 2, &[row("", &"y".repeat(900))]).is_ok() {}
    assert_eq!(ledger.refusing(), Some(Refusing::Tail));
    ledger.stored(&ledger.freeze().unwrap()).unwrap();
    assert_eq!(ledger.refusing(), None);
    ledger.close();
    assert_eq!(ledger.refusing(), Some(Refusing::Stopped));
}

#[test]
fn the_time_of_the_newest_record_is_told_whatever_the_clock_says() {
    let disk = FaultyDisk::new(1);
    let clock = TestClock::default();
    clock.set(5_000_000);
    let ledger = open_with(&disk, 1 << 20, 1 << 20, &clock);
    let newest = |ledger: &Ledger| ledger.stats().recorded_at.load(Ordering::Relaxed);
    assert_eq!(rows(&ledger, 1, &[row("", "a")]).unwrap().recorded_at, 5_000_000);
    clock.set(2_000_000);
    assert_eq!(rows(&ledger, 1, &[row("", "b")]).unwrap().recorded_at, 5_000_000);
    assert_eq!(newest(&ledger), 5_000_000);
    ledger.close();
    drop(ledger);
    assert_eq!(newest(&open_with(&disk, 1 << 20, 1 << 20, &clock)), 5_000_000, "also of the run before");
}

#[test]
fn a_batch_no_reader_would_take_is_refused() {
    let disk = FaultyDisk::new(1);
    let ledger = open(&disk, 1 << 30, 1 << 40);
    let big = vec![b'x'; 1 << 20];
    let record = Pending { kind: 0, row: 0..big.len(), commitment: [1; 32], sum: 0, id: None, known: None };
    let batch = Batch { rows: big, records: vec![record; 257], ..Batch::default() };
    assert!(matches!(send(&ledger, batch), Err(SubmitError::Disk(_))));
    assert_eq!(ledger.size(0), 0);
}

/// A record moves from the tail to a segment between the look into the segments and the commit.
#[test]
fn a_repetition_that_crosses_a_flush_is_never_sealed_again() {
    for failed_flushes in 0..6 {
        for later_flushes in 1..6 {
            let disk = FaultyDisk::new(1);
            let ledger = open(&disk, 1 << 20, 1 << 20);
            let first = row("the id", "content");
            let at = rows(&ledger, 1, std::slice::from_ref(&first)).unwrap().recorded_at;
            for n in 0..failed_flushes {
                ledger.freeze().unwrap();
                rows(&ledger, 1, &[row(&format!("f{n}"), "")]).unwrap();
            }
            // Prepared now: no segment has it.
            let prepared = |content: &str| batch(1, ledger.id_epoch(), &[row("the id", content)]);
            let (same, other) = (prepared("content"), prepared("other"));
            for n in 0..later_flushes {
                let frozen = ledger.freeze().unwrap();
                rows(&ledger, 1, &[row(&format!("l{n}"), "")]).unwrap();
                ledger.stored(&frozen).unwrap();
            }
            for late in [same, other] {
                let answer = send(&ledger, late);
                assert!(matches!(answer, Err(SubmitError::Stale)), "{failed_flushes}, {later_flushes}: {answer:?}");
            }
            // Prepared anew, the segments have it.
            let commitment = commitment_of(&first);
            let known = Some(Known { index: 0, commitment, leaf: leaf_of(0, at, &commitment) });
            let mut again = prepared("content");
            again.records[0].known = known;
            let outcomes = send(&ledger, again).unwrap().outcomes;
            assert!(matches!(outcomes[..], [Outcome::Duplicate { index: 0, .. }]));
            let mut again = prepared("other");
            again.records[0].known = known;
            assert_eq!(send(&ledger, again).unwrap().outcomes, [Outcome::Conflict { index: 0 }]);
        }
    }
}

#[test]
fn many_threads_with_the_same_ids_seal_each_once() {
    let disk = FaultyDisk::new(1);
    let ledger = open(&disk, 64 << 20, 64 << 20);
    let start = Barrier::new(4);
    let sealed: usize = std::thread::scope(|scope| {
        let run = || {
            start.wait();
            (0..200)
                .map(|n| rows(&ledger, 1, &[row(&format!("{n}"), "same"), row(&format!("{}", n / 2), "same")]).unwrap())
                .flat_map(|r| r.outcomes)
                .filter(|o| matches!(o, Outcome::Sealed { .. }))
                .count()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!((sealed, ledger.size(1)), (200, 200));
}

/// Under load there is never a moment without a waiting batch.
#[test]
fn a_freeze_does_not_wait_for_a_pause() {
    fn again(ledger: &Arc<Ledger>, stop: &Arc<AtomicBool>, left: usize) {
        let (weak, stop) = (Arc::downgrade(ledger), Arc::clone(stop));
        let next = move |_| {
            if let Some(ledger) = weak.upgrade().filter(|_| left > 0 && !stop.load(Ordering::Relaxed)) {
                again(&ledger, &stop, left - 1);
            }
        };
        let _ = ledger.submit(batch(1, ledger.id_epoch(), &[row("", "load")]), next);
    }
    const MOST: usize = 2_000_000;
    let disk = FaultyDisk::new(1);
    let ledger = Arc::new(open(&disk, 64 << 20, 1 << 30));
    let stop = Arc::new(AtomicBool::new(false));
    again(&ledger, &stop, MOST);
    again(&ledger, &stop, MOST);
    let (done, frozen) = mpsc::channel();
    let freezer = Arc::clone(&ledger);
    let thread = std::thread::spawn(move || done.send(freezer.freeze().is_some()).unwrap());
    let got = frozen.recv_timeout(Duration::from_secs(10));
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    assert_eq!(got, Ok(true));
    // The commit thread may hold the last handle for a moment; the end must come from here.
    ledger.close();
}

#[test]
fn a_freeze_and_a_close_at_once_both_end() {
    for _ in 0..20 {
        let disk = FaultyDisk::new(1);
        let ledger = open(&disk, 1 << 20, 1 << 20);
        let held = hold(&ledger);
        ledger.submit(of(&ledger, 10), |_| {}).unwrap();
        let (done, ended) = mpsc::channel();
        std::thread::scope(|scope| {
            let (ledger, freeze_done) = (&ledger, done.clone());
            scope.spawn(move || {
                ledger.freeze();
                freeze_done.send(()).unwrap();
            });
            std::thread::sleep(Duration::from_millis(2));
            scope.spawn(|| {
                ledger.close();
                done.send(()).unwrap();
            });
            std::thread::sleep(Duration::from_millis(2));
            drop(held);
            for _ in 0..2 {
                if ended.recv_timeout(Duration::from_secs(10)).is_err() {
                    eprintln!("a freeze or a close hangs");
                    std::process::abort();
                }
            }
        });
        assert_eq!(ledger.size(0), 1, "what was handed in before the stop is sealed");
        assert!(matches!(rows(&ledger, 0, &[row("", "late")]), Err(SubmitError::Stopped(_))));
        assert!(ledger.freeze().is_none());
    }
}

/// After a sync that failed nothing is taken, and nothing is frozen, until a start has read what is there.
#[test]
fn a_failed_sync_stops_the_ledger() {
    let disk = FaultyDisk::new(1);
    let ledger = open(&disk, 1 << 20, 1 << 20);
    rows(&ledger, 1, &[row("a", "")]).unwrap();
    disk.fail_in(2, Fault::Before, false);
    let stopped = rows(&ledger, 1, &[row("b", "")]);
    assert!(matches!(stopped, Err(SubmitError::Stopped(_))), "{stopped:?}");
    assert!(ledger.failure().is_some());
    assert!(ledger.freeze().is_none());
    assert!(matches!(rows(&ledger, 1, &[row("c", "")]), Err(SubmitError::Stopped(_))));
    assert_eq!(ledger.size(1), 1);
    drop(ledger);
    let ledger = open(&disk, 1 << 20, 1 << 20);
    assert!(ledger.size(1) >= 1);
    let again = rows(&ledger, 1, &[row("b", "")]).unwrap();
    assert_eq!((again.size, ledger.size(1)), (2, 2), "sent again, it is there once");
}
