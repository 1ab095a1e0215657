//! The life of a small store with one failure in it, for going through all of them.

use super::World;
use testdisk::{Fault, Lie};

/// A call that fails.
#[derive(Debug, Clone, Copy)]
pub struct Failing {
    /// Number of the stage of a store's life.
    pub stage: usize,
    /// Number of the call in it, from 1.
    pub call: u64,
    pub fault: Fault,
    /// Nothing works after it.
    pub stay: bool,
    /// How many more stages there are before the process is killed.
    pub stages_after: usize,
    /// And the power goes with it.
    pub power_cut: bool,
}

type Stage = (&'static str, fn(&mut World) -> Result<(), String>);

/// A store's life, all kinds of storage calls in it.
pub const STAGES: [Stage; 11] = [
    ("start", World::first_start),
    ("write", World::write),
    ("write", World::write),
    ("flush", World::flush),
    ("write", World::write),
    ("sign", World::sign),
    ("write", World::write),
    ("flush", World::flush),
    ("merge", World::merge),
    ("write", World::write),
    ("close", World::close),
];

impl World {
    /// The life of a small store, in which one call of the disk fails in one of its [`STAGES`]. How many calls each
    /// stage had.
    ///
    /// # Errors
    /// What is broken, and how it came to it.
    pub fn life(failing: Option<Failing>) -> Result<Vec<u64>, String> {
        World::within(17, Lie::None, |world| {
            let mut calls = Vec::new();
            for (number, stage) in STAGES.iter().enumerate() {
                if let Some(f) = failing.filter(|f| f.stage == number) {
                    world.disk.fail_in(f.call, f.fault, f.stay);
                    world.wounded = true;
                }
                let before = world.disk.calls();
                stage.1(world)?;
                calls.push(world.disk.calls() - before);
                world.check()?;
                if failing.is_some_and(|f| number >= f.stage + f.stages_after) {
                    break;
                }
            }
            if let Some(store) = world.open.take() {
                world.kill(&store);
            }
            if failing.is_some_and(|f| f.power_cut) {
                world.power_cut();
            }
            world.disk.mend();
            world.start()?;
            world.last()?;
            Ok(calls)
        })
        .map(|(calls, _)| calls)
    }

    fn first_start(&mut self) -> Result<(), String> {
        match self.try_open() {
            Ok(store) => self.settle(store),
            Err(e) => self.outcome("starting", Err(e)).map(drop),
        }
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(store) = self.open.take() else { return Ok(()) };
        self.outcome("closing", store.close())?;
        self.kill(&store);
        Ok(())
    }

    /// Flushes at every amount of room, until one fits. Files of those before it are gone.
    pub fn flushes_on_a_full_disk(&mut self) -> Result<(), String> {
        self.first_start()?;
        self.write()?;
        self.wounded = true;
        let dir = self.folder().segments().path;
        for free in (0..100_000).step_by(97) {
            self.disk.fill_up(free);
            let before = self.counts.flushed;
            self.flush()?;
            let files = self.disk.paths(&dir);
            match self.counts.flushed > before {
                true if files.len() <= 2 + 2 * self.doubtful() && free > 10_000 => return Ok(()),
                // A commit that was in doubt leaves its files: it may be found done.
                false if files.len() <= 2 * self.doubtful() => {}
                _ => return Err(format!("with {free} bytes free: {files:?}")),
            }
        }
        Err("100,000 bytes are not enough for a flush".into())
    }

    fn doubtful(&self) -> usize {
        self.story.iter().filter(|line| line.contains("could not tell whether")).count()
    }
}
