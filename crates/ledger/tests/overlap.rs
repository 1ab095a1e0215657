//! A frame that is put together while the one below it waits for the disk.
#![allow(missing_docs)]

mod common;

use common::{Fault, FaultyDisk, TestClock};
use common::{batch, config, journal, key_of, row};
use disk::Disk;
use ledger::{Batch, Config, Ledger, Outcome, Receipt, SubmitError};
use std::collections::HashMap;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

type Answer = mpsc::Receiver<Result<Receipt, SubmitError>>;

struct World {
    disk: FaultyDisk,
    clock: TestClock,
    ledger: Ledger,
}

impl World {
    fn new(freeze_bytes: usize) -> World {
        World::on(FaultyDisk::new(1), freeze_bytes)
    }

    fn on(disk: FaultyDisk, freeze_bytes: usize) -> World {
        let clock = TestClock::default();
        clock.set(1_000);
        let (all, config) = (Arc::new(disk.clone()), Config { freeze_bytes, ..config(&journal()) });
        let all: Arc<dyn Disk> = all;
        let opened = Ledger::open(config, all, clock.clock(), Vec::new(), 0, &HashMap::new(), key_of, |_, _| {});
        World { disk, clock, ledger: opened.unwrap().0 }
    }

    fn opened_again(self) -> World {
        let World { disk, ledger, .. } = self;
        drop(ledger);
        World::on(disk, usize::MAX)
    }

    fn hand_in(&self, batch: Batch) -> Answer {
        let (send, receive) = mpsc::channel();
        self.ledger.submit(batch, move |answer| send.send(answer).unwrap()).unwrap();
        receive
    }

    fn rows(&self, tenant: u32, rows: &[(&str, &str)]) -> Batch {
        let rows: Vec<_> = rows.iter().map(|(id, content)| row(id, content)).collect();
        batch(tenant, self.ledger.id_epoch(), &rows)
    }

    /// Hands in a batch whose frame waits for the disk, then one whose frame is put together on top of it.
    fn two(&self, below: Batch, above: Batch) -> (Answer, Answer) {
        self.disk.shut_gate();
        let below = self.hand_in(below);
        wait(|| self.disk.at_gate() == 1);
        let looks = self.clock.looks();
        let above = self.hand_in(above);
        wait(|| self.clock.looks() > looks);
        (below, above)
    }

    fn end(&self, (below, above): (Answer, Answer)) -> [Result<Receipt, SubmitError>; 2] {
        self.disk.open_gate();
        [below, above].map(|answer| answer.recv_timeout(Duration::from_secs(10)).unwrap())
    }
}

fn wait(until: impl Fn() -> bool) {
    let begun = Instant::now();
    while !until() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it never comes to that");
        std::thread::yield_now();
    }
}

fn indexes(answer: &Result<Receipt, SubmitError>) -> Vec<(char, u64)> {
    let said = |outcome: &Outcome| match outcome {
        Outcome::Sealed { index, .. } => ('s', *index),
        Outcome::Duplicate { index, .. } => ('d', *index),
        Outcome::Conflict { index } => ('c', *index),
    };
    answer.as_ref().unwrap().outcomes.iter().map(said).collect()
}

#[test]
fn the_frame_on_top_goes_by_the_one_below() {
    let world = World::new(usize::MAX);
    let below = world.rows(1, &[("a", "1"), ("b", "1")]);
    let two = world.two(below, world.rows(1, &[("a", "1"), ("b", "2"), ("c", "1")]));
    assert_eq!(world.ledger.size(1), 0, "nothing is shown before the disk has it");
    assert!(two.0.try_recv().is_err() && two.1.try_recv().is_err(), "nor is anybody answered");
    let [below, above] = world.end(two);
    assert_eq!(indexes(&below), [('s', 0), ('s', 1)]);
    assert_eq!(indexes(&above), [('d', 0), ('c', 1), ('s', 2)]);
    let (below, above) = (below.unwrap(), above.unwrap());
    assert_eq!((below.size, above.size), (2, 3));
    let leaf = |outcome: &Outcome| match outcome {
        Outcome::Sealed { leaf, .. } | Outcome::Duplicate { leaf, .. } => *leaf,
        Outcome::Conflict { .. } => [0; 32],
    };
    assert_eq!(leaf(&above.outcomes[0]), leaf(&below.outcomes[0]), "a repetition gets the first receipt");
    // The tree that grew over both is the one that a start finds.
    let head = world.ledger.head(1);
    assert_eq!(world.opened_again().ledger.head(1), head);
}

#[test]
fn the_frame_on_top_of_one_that_fails_is_put_together_anew() {
    for fault in [Fault::Before, Fault::Short, Fault::After] {
        let world = World::new(usize::MAX);
        let first = world.hand_in(world.rows(1, &[("x", "")]));
        assert_eq!(indexes(&first.recv().unwrap()), [('s', 0)]);
        let below = world.rows(1, &[("a", "1"), ("b", "1")]);
        let two = world.two(below, world.rows(1, &[("a", "1"), ("b", "2"), ("x", "")]));
        world.disk.fail_in(1, fault, false);
        let [below, above] = world.end(two);
        assert!(matches!(below, Err(SubmitError::Disk(_))), "{below:?}");
        assert_eq!(indexes(&above), [('s', 1), ('s', 2), ('d', 0)], "as if the one below had never been");
        assert_eq!(above.unwrap().size, 3);
        let head = world.ledger.head(1);
        assert_eq!(world.opened_again().ledger.head(1), head);
    }
}

#[test]
fn nothing_is_taken_on_top_of_a_frame_of_which_nobody_knows() {
    let world = World::new(usize::MAX);
    let two = world.two(world.rows(1, &[("a", "")]), world.rows(1, &[("b", "")]));
    // The append is the first call, its sync the second.
    world.disk.fail_in(2, Fault::Before, false);
    let [below, above] = world.end(two);
    assert!(matches!(below, Err(SubmitError::Stopped(_))), "{below:?}");
    assert!(matches!(above, Err(SubmitError::Stopped(_))), "{above:?}");
    assert_eq!(world.ledger.size(1), 0);
    assert!(world.ledger.freeze().is_none());
}

#[test]
fn a_frame_of_repetitions_waits_for_the_one_below() {
    let world = World::new(usize::MAX);
    let two = world.two(world.rows(1, &[("a", "1")]), world.rows(1, &[("a", "1")]));
    std::thread::sleep(Duration::from_millis(5));
    assert!(two.1.try_recv().is_err(), "what it repeats is not durable");
    let [below, above] = world.end(two);
    assert_eq!((indexes(&below), indexes(&above)), (vec![('s', 0)], vec![('d', 0)]));
    // And is not a repetition of anything where that one failed.
    let two = world.two(world.rows(1, &[("b", "1")]), world.rows(1, &[("b", "1")]));
    world.disk.fail_in(1, Fault::Before, false);
    let [below, above] = world.end(two);
    assert!(below.is_err());
    assert_eq!(indexes(&above), [('s', 1)]);
}

/// A part of the tail is frozen between two frames, in the middle of a line of them.
#[test]
fn a_freeze_comes_between_a_frame_and_the_one_on_top() {
    let world = World::new(usize::MAX);
    let two = world.two(world.rows(1, &[("a", "")]), world.rows(1, &[("b", "")]));
    let frozen = std::thread::scope(|scope| {
        let freeze = scope.spawn(|| world.ledger.freeze());
        std::thread::sleep(Duration::from_millis(5));
        assert!(!freeze.is_finished(), "a frame is on its way");
        world.disk.open_gate();
        freeze.join().unwrap().unwrap()
    });
    assert_eq!(frozen.tenants, [(1, 0, 1)], "the frame below, and not the one on top");
    let [below, above] = world.end(two);
    assert_eq!((indexes(&below), indexes(&above)), (vec![('s', 0)], vec![('s', 1)]));
    world.ledger.stored(&frozen).unwrap();
    assert_eq!(world.ledger.rows(1, 0, 9).len(), 1);
    // By itself the ledger freezes when a frame more has landed: the one on top does not wait for it.
    let world = World::new(1);
    let two = world.two(world.rows(1, &[("a", "")]), world.rows(1, &[("b", "")]));
    let [_, above] = world.end(two);
    assert_eq!(indexes(&above), [('s', 1)]);
    assert_eq!(world.ledger.freeze_next().unwrap().tenants, [(1, 0, 2)]);
}

/// Where a user may raise a priority at all. The nineteenth field of a thread's `stat` is its nice value, the second its name.
#[test]
#[cfg(target_os = "linux")]
fn the_threads_that_commit_come_first() {
    let allowed = std::thread::spawn(|| rustix::process::setpriority_process(None, -10).is_ok()).join().unwrap();
    let world = World::new(usize::MAX);
    world.hand_in(world.rows(1, &[("a", "")])).recv().unwrap().unwrap();
    let nice = |name: &str| {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let stats = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
        let of = |stat: String| {
            let (before, after) = stat.rsplit_once(") ")?;
            before.ends_with(&format!("({name}")).then(|| after.split(' ').nth(16)?.parse::<i32>().ok())?
        };
        stats.filter_map(of).min()
    };
    let want = Some(if allowed { -10 } else { 0 });
    assert_eq!((nice("commit"), nice("journal")), (want, want));
}

#[test]
fn an_end_waits_for_all_frames() {
    let world = World::new(usize::MAX);
    let two = world.two(world.rows(1, &[("a", "")]), world.rows(1, &[("b", "")]));
    let third = world.hand_in(world.rows(1, &[("c", "")]));
    std::thread::scope(|scope| {
        scope.spawn(|| world.ledger.close());
        std::thread::sleep(Duration::from_millis(5));
        world.disk.open_gate();
    });
    let [below, above] = world.end(two);
    assert_eq!((indexes(&below), indexes(&above)), (vec![('s', 0)], vec![('s', 1)]));
    assert_eq!(indexes(&third.recv().unwrap()), [('s', 2)]);
    assert_eq!(world.opened_again().ledger.size(1), 3);
}
