//! Drives a store through a schedule of chance, on a disk that fails and a machine that loses power, and holds it
//! against the model after every step.
//!
//! Everything is as in the product but for the threads: flushes, merges and checkpoints happen where the schedule
//! says, so that a seed is a schedule. Segments are of a few rows, and two of one size class make a merge.

use crate::common::{NOW, record};
use crate::model::{self, Model, Sent, Wrong};
use crate::vfs;
use catalog::Tenant;
use event::commit;
use event::parse::Parser;
use event::redact::Rules;
use ledger::{Batch, Outcome, Pending, Receipt, SubmitError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, mpsc};
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
        let settings = Settings { merge_at: 2, compaction_share: 1.0, ..Settings::default() };
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

    fn records(&mut self, slug: &str) -> Vec<(String, String)> {
        let known = self.model.get(slug).map_or(&[][..], |r| &r.rows);
        let mut records = Vec::new();
        for _ in 0..1 + self.rng.below(5) {
            self.next += 1;
            let earlier = (!known.is_empty()).then(|| &known[self.rng.below(known.len())]);
            records.push(match (self.rng.below(6), earlier) {
                (0, Some(earlier)) => (earlier.id.clone(), earlier.text.clone()),
                // The same id, other content.
                (1, Some(earlier)) => {
                    let text = earlier.text.replacen('{', &format!(r#"{{"trace_id":"x{}","#, self.next), 1);
                    (earlier.id.clone(), text)
                }
                // Now and then the same id twice in one batch.
                (2, _) => (format!("{slug}-{}", self.next / 4 * 4), record(slug, self.next / 4 * 4)),
                _ => (format!("{slug}-{}", self.next), record(slug, self.next)),
            });
        }
        records
    }

    /// Records as the server makes them ready, and their batch.
    pub fn prepare(
        store: &Store,
        tenant: &Arc<Tenant>,
        records: &[(String, String)],
    ) -> Result<(Vec<Sent>, Batch), String> {
        let rules = Rules::new(false, &[], &[]).map_err(|e| e.to_string())?;
        let parser = Parser { rules: &rules, tenant: &tenant.slug, now: NOW };
        let mut batch = Batch { tenant: tenant.number, id_epoch: store.ledger().id_epoch(), ..Batch::default() };
        let mut keys = store.keys().intake(tenant);
        let mut sent = Vec::new();
        let mut fresh = || panic!("every record of a test has its id");
        for (id, text) in records {
            let event = parser.parse(text, &mut fresh, &mut batch.rows).map_err(|e| format!("{e}: {text}"))?;
            let row = batch.rows[event.row.clone()].to_vec();
            let commitment = commit::commitment(&row, &mut keys).map_err(|e| e.to_string())?;
            let key = Some(store.id_key(tenant.number, id.as_bytes()));
            batch.records.push(Pending { kind: 0, row: event.row, commitment, id: key, known: None });
            sent.push(Sent { id: id.clone(), text: text.clone(), row, commitment });
        }
        batch.keys = keys.fresh;
        let ids: Vec<&str> = records.iter().map(|(id, _)| id.as_str()).collect();
        let found = store.find_ids(tenant, &ids).map_err(|e| e.to_string())?;
        for (id, pending) in ids.iter().zip(&mut batch.records) {
            pending.known = found.get(*id).copied();
        }
        Ok((sent, batch))
    }

    pub fn submit(store: &Store, batch: Batch) -> Result<Receipt, SubmitError> {
        let (keys, tenant) = (batch.keys.clone(), batch.tenant);
        let (send, receive) = mpsc::channel();
        store.ledger().submit(batch, move |answer| {
            let _ = send.send(answer);
        })?;
        let receipt = receive.recv().map_err(|_| SubmitError::Stopped("no answer".into()))??;
        if receipt.outcomes.iter().any(|o| matches!(o, Outcome::Sealed { .. })) {
            store.keys().durable(tenant, &keys);
        }
        Ok(receipt)
    }

    /// Sends a batch and takes its answer into the model.
    fn write(&mut self) -> Result<(), String> {
        let Some(store) = self.open.clone() else { return Ok(()) };
        let slug = format!("t{}", self.rng.below(TENANTS));
        let tenant = match store.catalog().create_tenant(&slug, "{}", NOW) {
            Ok((tenant, _)) => tenant,
            Err(e) => return self.outcome("making a tenant", Err(e)).map(drop),
        };
        let records = self.records(&slug);
        let (sent, batch) = match World::prepare(&store, &tenant, &records) {
            Ok(ready) => ready,
            Err(e) => return self.outcome("preparing a batch", Err(e)).map(drop),
        };
        let known = self.model.entry(slug.clone()).or_default();
        let mut after = known.clone();
        match World::submit(&store, batch) {
            Ok(receipt) => {
                let want = after.seal(&sent, receipt.recorded_at);
                if want != receipt.outcomes {
                    return Err(format!("ids: answered {:?} instead of {want:?}", receipt.outcomes));
                }
                self.counts.records += (after.rows.len() - known.rows.len()) as u64;
                self.story.push(format!("{slug}: {} records, now {}", sent.len(), after.rows.len()));
                *known = after;
                Ok(())
            }
            Err(e) => {
                // After the stop nothing is taken any more, so the first batch without an answer is the one.
                after.seal(&sent, 0);
                if matches!(e, SubmitError::Stopped(_)) && self.maybe.is_none() && after.rows.len() > known.rows.len() {
                    self.maybe = Some((slug, sent));
                }
                self.outcome("writing", Err(e)).map(drop)
            }
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
        self.outcome("flushing", store.flush())?;
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
            in_order = self.outcome("closing", store.close())?;
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

    /// A bit of a folder that was closed in order turns over: it is found, and whatever is still answered is right.
    fn rot(&mut self) -> Result<(), String> {
        let sound = self.disk.clone();
        let known: Vec<PathBuf> = catalog::Catalog::open_read_only(&self.folder().disk, &self.folder().catalog())
            .and_then(|c| c.segments())
            .map_err(|e| e.to_string())?
            .iter()
            .flat_map(|s| [segments::parquet_path, segments::idx_path].map(|f| f(&self.folder().segments().path, s.id)))
            .collect();
        let mut files = sound.content();
        // What a failed merge left until the next start is nobody's.
        files.retain(|p, bytes| {
            !bytes.is_empty() && (known.contains(p) || !p.starts_with(&self.folder().segments().path))
        });
        let files: Vec<PathBuf> = files.into_keys().collect();
        let path = files[self.rng.below(files.len())].clone();
        self.disk = vfs::mount(&self.root, sound.copy());
        self.disk.rot(&path, self.rng.word());
        self.story.push(format!("a bit of {} turns over", path.display()));
        self.counts.rotten += 1;
        match verify(&self.folder(), &|_| {}) {
            Ok(report) if report.findings.is_empty() => {
                return Err(format!("I4: rot in {} went unnoticed", path.display()));
            }
            _ => {}
        }
        if let Ok(store) = self.try_open() {
            if let Err(Wrong::Differs(what)) = model::check(&store, &self.model) {
                return Err(format!("{what}: rot in {} was answered", path.display()));
            }
            store.ledger().close();
        }
        self.disk = vfs::mount(&self.root, sound);
        Ok(())
    }

    /// Keeps a copy of the folder, or puts one back: without what was signed since, it is refused.
    fn old_copy(&mut self) -> Result<(), String> {
        if self.maybe.is_some() {
            return Ok(());
        }
        let Some((old, sizes)) = self.copy.take() else {
            if self.rng.once_in(3) {
                self.copy = Some((self.disk.copy(), self.sizes()));
            }
            return Ok(());
        };
        let signed_since = self.model.iter().any(|(slug, records)| {
            let have = sizes.iter().find(|(s, _)| s == slug).map_or(0, |(_, size)| *size);
            records.signed.iter().any(|(size, _)| *size > have)
        });
        if !signed_since {
            return Ok(());
        }
        let now = self.disk.clone();
        let mark = self.folder().high_water;
        old.put(&mark, now.bytes(&mark));
        self.disk = vfs::mount(&self.root, old);
        match self.try_open() {
            Ok(_) => return Err("I3: an old copy of the folder was taken for the folder".into()),
            Err(e) if e.to_string().contains("were signed") => {}
            Err(e) => return Err(format!("an old copy is refused for another reason: {e}")),
        }
        let marks = |disk: &FaultyDisk| {
            let bytes = disk.bytes(&mark);
            let ledger = bytes.get(12..28).and_then(|id| id.try_into().ok()).unwrap_or_default();
            ledger::highwater::parse(&mark, &bytes, &ledger).map(|(marks, _)| marks).map_err(|e| e.to_string())
        };
        if marks(&self.disk)? != marks(&now)? {
            return Err("I3: a refused copy changed the mark".into());
        }
        self.story.push("an old copy was refused".into());
        self.counts.refused_copies += 1;
        self.disk = vfs::mount(&self.root, now);
        Ok(())
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

    /// The life of a small store, in which one call of the disk fails in one of its [`STAGES`]; and, with
    /// `power_cut`, the power goes at the end. How many calls each stage had.
    ///
    /// # Errors
    /// What is broken, and how it came to it.
    pub fn life(failing: Option<Failing>, power_cut: bool) -> Result<Vec<u64>, String> {
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
                // What comes long after the failure adds time and no news.
                if failing.is_some_and(|f| number >= f.stage + 3) {
                    break;
                }
            }
            if let Some(store) = world.open.take() {
                world.kill(&store);
            }
            if power_cut {
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

    /// Flushes at every amount of room, until one fits. Files of those before it are gone.
    pub fn flushes_on_a_full_disk(&mut self) -> Result<(), String> {
        self.first_start()?;
        self.write()?;
        self.wounded = true;
        let dir = self.folder().segments().path;
        for free in (0..100_000).step_by(500) {
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
            | store::Error::Journal(JournalError::Damage(_) | JournalError::Fork(_))
            | store::Error::Mismatch { .. }
            | store::Error::Missing { .. }
    )
}
