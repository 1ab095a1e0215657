//! Drives a store through a schedule of chance, on a disk that fails and a machine that loses power, and holds it
//! against the model after every step.
//!
//! Everything is as in the product but for the threads: flushes, merges and checkpoints happen where the schedule
//! says, so that a seed is a schedule. Segments are of a few rows, and two of one size class make a merge.

pub mod life;
mod lying;
mod write;

use crate::common::NOW;
use crate::model::{self, Model, Sent, Wrong};
use crate::vfs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use store::verify::verify;
use store::{Folder, Settings, Store};
use testdisk::{Fault, FaultyDisk, Lie, Rng};

const TENANTS: usize = 3;

/// What happened, in numbers: a schedule in which nothing happens proves nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub records: u64,
    pub signed: u64,
    pub flushed: u64,
    pub merged: u64,
    pub starts: u64,
    pub power_cuts: u64,
    pub failed: u64,
    pub rotten: u64,
    pub refused_copies: u64,
}

pub struct World {
    /// Where the lock is; everything else is on the test disk.
    root: PathBuf,
    disk: FaultyDisk,
    lie: Lie,
    clock: Arc<AtomicI64>,
    rng: Rng,
    model: Model,
    open: Option<Arc<Store>>,
    /// A batch that nobody answered for.
    maybe: Option<(String, Vec<Sent>)>,
    /// Something was to fail since the start: errors are no surprise.
    wounded: bool,
    /// The store was open once: from then on it must open again.
    founded: bool,
    /// An old copy of the folder, and the sizes of the trees in it.
    copy: Option<(FaultyDisk, Vec<(String, u64)>)>,
    next: usize,
    pub counts: Counts,
    /// For a counterexample.
    story: Vec<String>,
}

impl World {
    fn new(root: &Path, seed: u64, lie: Lie) -> World {
        let disk = vfs::mount(root, FaultyDisk::new(seed ^ 0xD15C));
        disk.lie(lie);
        World {
            root: root.to_owned(),
            disk,
            lie,
            clock: Arc::new(AtomicI64::new(NOW)),
            rng: Rng(seed),
            model: Model::new(),
            open: None,
            maybe: None,
            wounded: false,
            founded: false,
            copy: None,
            next: 0,
            counts: Counts::default(),
            story: Vec::new(),
        }
    }

    fn folder(&self) -> Folder {
        Folder::new(&self.root.join("data"), None).on(Arc::new(self.disk.clone()))
    }

    fn try_open(&self) -> store::Result<Arc<Store>> {
        // So small that the commit thread freezes parts by itself.
        let settings = Settings {
            flush_bytes: 4_000,
            overlap_bytes: 1,
            merge_at: 2,
            compaction_share: 1.0,
            ..Settings::default()
        };
        let clock = Arc::clone(&self.clock);
        Ok(Store::open_still(self.folder(), settings, Arc::new(move || clock.load(Ordering::Relaxed)))?.0)
    }

    /// What the folder is before a start: whole, whatever happened to it.
    fn verify(&self) -> Result<(), String> {
        if !self.founded {
            return Ok(());
        }
        let report = verify(&self.folder(), &|_| {}).map_err(|e| format!("verify: {e}"))?;
        match report.findings.first() {
            None => Ok(()),
            Some(f) => Err(format!("I4: verify finds: {f}")),
        }
    }

    fn start(&mut self) -> Result<(), String> {
        self.verify()?;
        if self.rng.once_in(4) {
            // A start that fails changes nothing that matters.
            let (n, fault) = (1 + self.rng.below(90) as u64, self.fault());
            self.disk.fail_in(n, fault, self.rng.once_in(2));
            self.story.push(format!("call {n} of the start will fail: {fault:?}"));
            match self.try_open() {
                Ok(store) => {
                    self.disk.mend();
                    self.wounded = true;
                    return self.settle(store);
                }
                Err(e) => {
                    self.story.push(format!("it does not start: {e}"));
                    self.counts.failed += 1;
                    if looks_like_damage(&e) {
                        return Err(format!("I1: a failing disk looks like damage: {e}"));
                    }
                }
            }
            self.disk.mend();
            if self.rng.once_in(2) {
                self.power_cut();
            }
            self.verify()?;
        }
        let store = self.try_open().map_err(|e| format!("I1: it does not start: {e}"))?;
        self.wounded = false;
        self.settle(store)
    }

    /// A store is open: what became of the batch that nobody answered for?
    fn settle(&mut self, store: Arc<Store>) -> Result<(), String> {
        self.founded = true;
        self.counts.starts += 1;
        if let Some((slug, batch)) = self.maybe.take()
            && let Some(tenant) = store.catalog().tenant(&slug)
        {
            let records = self.model.entry(slug.clone()).or_default();
            let have = records.rows.len() as u64;
            if store.ledger().size(tenant.number) > have {
                let first = store.rows(&tenant, have..have + 1).map_err(|e| format!("I1: {e}"))?;
                records.seal(&batch, first[0].recorded_at);
                self.story.push(format!("the last batch of {slug} is there"));
            }
        }
        self.story.push(format!("started with {:?}", self.sizes()));
        self.open = Some(store);
        self.check()
    }

    fn sizes(&self) -> Vec<(String, u64)> {
        self.model.iter().map(|(slug, r)| (slug.clone(), r.rows.len() as u64)).collect()
    }

    fn fault(&mut self) -> Fault {
        [Fault::Before, Fault::After, Fault::Short][self.rng.below(3)]
    }

    fn power_cut(&mut self) {
        self.disk.power_cut();
        self.disk.lie(self.lie);
        self.counts.power_cuts += 1;
        self.story.push("the power goes".into());
    }

    /// The store against the model. Reads may fail while the disk does.
    fn check(&mut self) -> Result<(), String> {
        let Some(store) = self.open.clone() else { return Ok(()) };
        for (slug, records) in &mut self.model {
            if let Some(tenant) = store.catalog().tenant(slug)
                && let Some(shown) = store.checkpoints().wait(tenant.number, 1, Duration::ZERO)
                && records.signed.last().is_none_or(|(size, _)| *size != shown.size)
            {
                records.signed.push((shown.size, shown.root));
                self.counts.signed += 1;
            }
        }
        match model::check(&store, &self.model) {
            Ok(()) => Ok(()),
            Err(Wrong::Failed(e)) if self.wounded => {
                self.story.push(format!("a read fails: {e}"));
                if looks_like_damage(&e) {
                    return Err(format!("I1: a failing disk looks like damage: {e}"));
                }
                Ok(())
            }
            Err(Wrong::Failed(e)) => Err(format!("I1: a read fails: {e}")),
            Err(Wrong::Differs(what)) => Err(what),
        }
    }

    /// Says what an operation that may fail came to.
    fn outcome<E: std::fmt::Display>(&mut self, what: &str, result: Result<(), E>) -> Result<bool, String> {
        match result {
            Ok(()) => {
                self.story.push(what.into());
                Ok(true)
            }
            Err(e) if self.wounded => {
                self.story.push(format!("{what} fails: {e}"));
                self.counts.failed += 1;
                Ok(false)
            }
            Err(e) => Err(format!("{what} fails on a sound disk: {e}")),
        }
    }

    fn sign(&mut self) -> Result<(), String> {
        let Some(store) = self.open.clone() else { return Ok(()) };
        let named: Vec<_> = (store.catalog().tenants().iter())
            .filter(|t| store.ledger().size(t.number) > 0)
            .map(|t| (t.number, t.slug.clone()))
            .collect();
        match store.checkpoints().publish(store.ledger(), &named) {
            Err(e) if e.to_string().contains("refusing") => Err(format!("I3: {e}")),
            result => self.outcome("signing", result.map(drop)).map(drop),
        }
    }

    fn flush(&mut self) -> Result<(), String> {
        let Some(store) = self.open.clone() else { return Ok(()) };
        let before = store.counters().flushes.load(Ordering::Relaxed);
        // All of the tail, or the next part of it.
        let flushed = if self.rng.once_in(2) { store.flush() } else { store.flush_unhurried() };
        self.outcome("flushing", flushed)?;
        self.counts.flushed += store.counters().flushes.load(Ordering::Relaxed) - before;
        Ok(())
    }

    fn merge(&mut self) -> Result<(), String> {
        let Some(store) = self.open.clone() else { return Ok(()) };
        let before = store.counters().merges.load(Ordering::Relaxed);
        self.outcome("merging", store.compact())?;
        self.counts.merged += store.counters().merges.load(Ordering::Relaxed) - before;
        Ok(())
    }

    /// An orderly stop, a killed process, or a power cut; and perhaps what happens to a folder that lies about.
    fn stop(&mut self) -> Result<(), String> {
        let Some(store) = self.open.take() else { return self.start() };
        let how = self.rng.below(5);
        let mut in_order = false;
        if how < 2 {
            // One whose ledger has stopped is not closed in order: a batch that nobody answered for may be there or not.
            let sound = store.ledger().failure().is_none();
            in_order = self.outcome("closing", store.close())? && sound;
        } else {
            self.kill(&store);
            self.story.push("killed".into());
        }
        drop(store);
        self.disk.mend();
        if how > 2 {
            self.power_cut();
        }
        if in_order && self.rng.once_in(3) {
            self.rot()?;
        }
        self.old_copy()?;
        self.start()
    }

    fn step(&mut self) -> Result<(), String> {
        // The clock goes on, stands still, or back.
        let by = match self.rng.below(5) {
            0 => -(self.rng.below(5_000_000) as i64),
            1 => 0,
            _ => self.rng.below(2_000_000) as i64,
        };
        self.clock.fetch_add(by, Ordering::Relaxed);
        match self.rng.below(20) {
            0..=2 => self.stop()?,
            3..=6 => self.flush()?,
            7 | 8 => self.merge()?,
            9 => self.sign()?,
            10 | 11 => {
                let (n, fault, stay) = (1 + self.rng.below(60) as u64, self.fault(), self.rng.once_in(3));
                self.disk.fail_in(n, fault, stay);
                self.wounded = true;
                self.story.push(format!("call {n} will fail: {fault:?}, stay {stay}"));
                return Ok(());
            }
            12 => {
                let free = self.rng.below(40_000);
                self.disk.fill_up(free);
                self.wounded = true;
                self.story.push(format!("{free} bytes are free"));
                return Ok(());
            }
            13 => {
                self.disk.mend();
                self.story.push("mended".into());
            }
            _ => self.write()?,
        }
        self.check()
    }

    /// A schedule from its seed to the end, and a number that tells whether it was the same one.
    ///
    /// # Errors
    /// What is broken, and how it came to it.
    pub fn run(seed: u64, steps: usize, lie: Lie) -> Result<(Counts, u64), String> {
        World::within(seed, lie, |world| {
            world.start()?;
            for _ in 0..steps {
                world.step()?;
            }
            world.stop()?;
            world.last()?;
            Ok(world.counts)
        })
    }

    /// Makes a world, lets things happen in it, and ends it. With what comes out, the disk's trace.
    pub fn within<T>(
        seed: u64,
        lie: Lie,
        happen: impl FnOnce(&mut World) -> Result<T, String>,
    ) -> Result<(T, u64), String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        // Of one name for all: names are part of what is repeated.
        let root = dir.path().join("home");
        std::fs::create_dir_all(root.join("data")).map_err(|e| e.to_string())?;
        let mut world = World::new(&root, seed, lie);
        let result = happen(&mut world);
        if let Some(store) = world.open.take() {
            store.ledger().close();
        }
        vfs::unmount(&root);
        let out = result.map_err(|e| format!("{e}\n  {}", world.story.join("\n  ")))?;
        Ok((out, world.disk.trace()))
    }

    /// Ends a process: nothing it still does reaches the disk.
    fn kill(&mut self, store: &Store) {
        self.disk.fail_in(1, Fault::Before, true);
        store.ledger().close();
    }

    /// On a sound disk everything that was put off is done, and the folder is whole.
    fn last(&mut self) -> Result<(), String> {
        self.disk.mend();
        if self.wounded {
            self.stop()?;
        }
        self.flush()?;
        self.merge()?;
        self.check()?;
        if let Some(store) = self.open.take() {
            let closed = store.close();
            drop(store);
            self.outcome("closing at the end", closed)?;
        }
        self.verify()
    }
}

/// An error that would send an operator to his backups.
fn looks_like_damage(e: &store::Error) -> bool {
    use ledger::JournalError;
    use ledger::highwater::HighWaterError;
    matches!(
        e,
        store::Error::Segment(segments::Error::Damaged { .. })
            | store::Error::HighWater(HighWaterError::Damaged { .. } | HighWaterError::Fork { .. })
            | store::Error::Journal(JournalError::Damage(_) | JournalError::Fork(_) | JournalError::Behind { .. })
            | store::Error::Mismatch { .. }
            | store::Error::Missing { .. }
    )
}
