//! Drives a ledger through a schedule of chance, and holds it against the model after every step.
//!
//! Around the ledger stands what the store is in the product: a catalog, here a struct that is durable and
//! changes as a whole, with the stored rows, keys, frontiers and the number of the last stored frame.

use super::model::{Model, Sealed};
use super::{Fault, FaultyDisk, Lie};
use super::{LEDGER, Rng, TestClock, batch, config, journal, key_of, row};
use disk::Disk;
use ledger::highwater::{HighWater, HighWaterError};
use ledger::{Batch, Checkpoints, Frozen, JournalError, Known, Ledger, Outcome, PersonKey, Receipt, SubmitError};
use merkle::Frontier;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;

pub type Answer = Result<Receipt, SubmitError>;

/// What the store would have in its catalog.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    pub flushed: u64,
    pub rows: BTreeMap<u32, Vec<Sealed>>,
    pub frontiers: BTreeMap<u32, Frontier>,
    pub keys: BTreeSet<(u32, PersonKey)>,
    /// A high-water mark was made: from now on it must be there.
    pub marked: bool,
}

pub struct Open {
    pub ledger: Ledger,
    pub checkpoints: Checkpoints,
    /// Keys that the journal brought, and those frozen that no catalog transaction took.
    keys: BTreeSet<(u32, PersonKey)>,
    pending_keys: BTreeSet<(u32, PersonKey)>,
}

pub struct World {
    pub disk: FaultyDisk,
    pub clock: TestClock,
    pub catalog: Catalog,
    pub model: Model,
    pub open: Option<Open>,
    rng: Rng,
    /// What the model is if the frame that nobody answered for is there.
    maybe: Option<Model>,
    /// Batches prepared a while ago.
    held: Vec<Batch>,
    next: u64,
    /// Frames put together while the one below waited for the disk.
    pub overlapped: u64,
    /// What happened, for a counterexample.
    pub story: Vec<String>,
}

pub fn mark() -> PathBuf {
    PathBuf::from("/mark/data.high-water")
}

const TENANTS: u32 = 3;

impl World {
    pub fn new(seed: u64, lie: Lie) -> World {
        let disk = FaultyDisk::new(seed ^ 0xD15C);
        disk.lie(lie);
        let clock = TestClock::default();
        clock.set(1_000);
        World {
            disk,
            clock,
            catalog: Catalog::default(),
            model: Model::default(),
            open: None,
            rng: Rng(seed),
            maybe: None,
            held: Vec::new(),
            next: 0,
            overlapped: 0,
            story: Vec::new(),
        }
    }

    /// Opens as the store does.
    fn try_open(&mut self) -> Result<Open, String> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let mark = HighWater::open(Arc::clone(&disk), &mark(), LEDGER, !self.catalog.marked).map_err(|e| match e {
            HighWaterError::Io { .. } => String::new(),
            e => e.to_string(),
        })?;
        self.catalog.marked = true;
        let marks = mark.all().into_iter().map(|(t, s, r)| (t, (s, r))).collect();
        let mut keys = BTreeSet::new();
        let heads = self.catalog.frontiers.iter().map(|(t, f)| (*t, f.clone())).collect();
        let (ledger, _) = Ledger::open(
            config(&journal()),
            disk,
            self.clock.clock(),
            heads,
            self.catalog.flushed,
            &marks,
            key_of,
            |tenant, key| {
                keys.insert((tenant, *key));
            },
        )
        .map_err(|e| match e {
            JournalError::Io { .. } => String::new(),
            e => e.to_string(),
        })?;
        let checkpoints = Checkpoints::new(mark, [7; 32], "host".into());
        Ok(Open { ledger, checkpoints, keys, pending_keys: BTreeSet::new() })
    }

    /// Opens, and settles what became of a frame that nobody answered for.
    ///
    /// # Errors
    /// What is broken.
    pub fn start(&mut self) -> Result<(), String> {
        if self.rng.once_in(4) {
            // A start that fails changes nothing that matters.
            let n = 1 + self.rng.below(12) as u64;
            self.disk.fail_in(n, self.fault(), self.rng.clone().once_in(2));
            match self.try_open() {
                Ok(open) => {
                    self.disk.mend();
                    return self.settle(open);
                }
                Err(e) if e.is_empty() => self.story.push(format!("a start fails at call {n}")),
                Err(e) => return Err(format!("I1: a failing disk looks like damage: {e}")),
            }
            self.disk.mend();
            if self.rng.once_in(2) {
                self.disk.power_cut();
            }
        }
        let open = self.try_open().map_err(|e| format!("I1: it does not start: {e}"))?;
        self.settle(open)
    }

    fn settle(&mut self, open: Open) -> Result<(), String> {
        if let Some(mut maybe) = self.maybe.take() {
            let grown = maybe.tenants.keys().find(|t| maybe.size(**t) > self.model.size(**t)).copied();
            if let Some(tenant) = grown
                && let Some(row) = open.ledger.row(tenant, self.model.size(tenant))
            {
                if row.recorded_at < self.model.recorded_at {
                    return Err("I2: a frame that came back is older than the one before it".into());
                }
                maybe.recorded_from(&self.model, row.recorded_at);
                maybe.signed.clone_from(&self.model.signed);
                self.model = maybe;
                self.story.push("the last frame is there".into());
            }
        }
        self.story.push(format!("started: {:?}", self.sizes()));
        let known: BTreeSet<_> = self.catalog.keys.union(&open.keys).collect();
        if let Some(key) = self.model.keys.iter().find(|k| !known.contains(k)) {
            return Err(format!("I1: the personal key {:?} of an answered record is lost", key.1.0));
        }
        self.held.clear();
        self.open = Some(open);
        self.check()
    }

    fn sizes(&self) -> Vec<u64> {
        (0..TENANTS).map(|t| self.model.size(t)).collect()
    }

    fn fault(&self) -> Fault {
        [Fault::Before, Fault::After, Fault::Short][self.rng.clone().below(3)]
    }

    /// # Errors
    /// What is broken.
    pub fn check(&self) -> Result<(), String> {
        let Some(open) = &self.open else { return Ok(()) };
        self.model.check(&open.ledger, &self.catalog.rows)
    }

    /// A batch of chance: new records, records without an id, repetitions, conflicts. Ids are looked up in the
    /// stored rows as the server does it.
    fn prepare(&mut self) -> Batch {
        let Some(open) = &self.open else { return Batch::default() };
        let tenant = self.rng.below(TENANTS as usize) as u32;
        let epoch = open.ledger.id_epoch();
        let mut rows = Vec::new();
        for _ in 0..1 + self.rng.below(5) {
            self.next += 1;
            let long = "x".repeat(self.rng.below(if self.rng.clone().once_in(8) { 3_000 } else { 60 }));
            let known = self.model.tenants.get(&tenant).map_or(&[][..], |t| &t.rows);
            let earlier = (!known.is_empty()).then(|| known[self.rng.below(known.len())].row.clone());
            rows.push(match (self.rng.below(6), earlier) {
                (0, _) => row("", &format!("{}{long}", self.next)),
                (1, Some(earlier)) if key_of(tenant, &earlier).is_some() => earlier,
                (2, Some(earlier)) if key_of(tenant, &earlier).is_some() => {
                    let id = String::from_utf8_lossy(&earlier).split('|').next().unwrap_or_default().to_owned();
                    row(&id, &format!("other {}", self.next))
                }
                // Now and then the same id twice in one frame.
                (3, _) => row(&format!("id{}", self.next / 4), "same"),
                _ => row(&format!("id-{}", self.next), &long),
            });
        }
        let mut batch = batch(tenant, epoch, &rows);
        let stored = self.catalog.rows.get(&tenant).map_or(&[][..], Vec::as_slice);
        for record in &mut batch.records {
            let found = stored.iter().position(|s| record.id.is_some() && key_of(tenant, &s.row) == record.id);
            record.known = found.map(|at| Known {
                index: at as u64,
                commitment: super::commitment_of(&stored[at].row),
                leaf: stored[at].leaf(),
            });
        }
        for _ in 0..self.rng.below(3) {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&self.rng.word().to_le_bytes());
            batch.keys.push(([self.rng.below(250) as u8; 16], key));
        }
        batch
    }

    /// Hands a batch in. Its answer comes through what this gives.
    fn hand_in(open: &Open, b: &Batch) -> Result<mpsc::Receiver<Answer>, SubmitError> {
        let (send, receive) = mpsc::channel();
        let again = Batch { rows: b.rows.clone(), records: b.records.clone(), keys: b.keys.clone(), ..*b };
        let answer = move |answer| {
            let _ = send.send(answer);
        };
        open.ledger.submit(again, answer).map(|()| receive)
    }

    /// Hands batches in so that all of them wait together, then one on top of their frame, while that waits for the disk; and collects
    /// the answers.
    fn submit(&mut self, batches: &[Batch], on_top: Option<&Batch>) -> Vec<Answer> {
        let Some(open) = &self.open else { return Vec::new() };
        let (started, at_plug) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        // An empty batch is answered without a write: its answer holds the commit thread.
        let plug = open.ledger.submit(batch(0, open.ledger.id_epoch(), &[]), move |_| {
            let _ = started.send(());
            let _ = gone.recv();
        });
        if plug.is_ok() {
            let _ = at_plug.recv();
        }
        let mut waiting: Vec<_> = batches.iter().map(|b| Self::hand_in(open, b)).collect();
        let mut answers: Vec<Option<Answer>> = waiting.iter().map(|_| None).collect();
        if let Some(on_top) = on_top {
            self.disk.shut_gate();
            drop(go);
            // Unless nothing of the frame is new, or it was refused, it comes to the gate.
            let come = |answers: &mut Vec<Option<Answer>>| {
                let all = waiting.iter().zip(answers).all(|(waiting, answer)| match waiting {
                    Ok(receive) if answer.is_none() => {
                        *answer = receive.try_recv().ok();
                        answer.is_some()
                    }
                    _ => true,
                });
                all || self.disk.at_gate() > 0
            };
            while !come(&mut answers) {
                std::thread::yield_now();
            }
            let looks = self.clock.looks();
            let top = Self::hand_in(open, on_top);
            if top.is_ok() && self.disk.at_gate() > 0 {
                while self.clock.looks() == looks {
                    std::thread::yield_now();
                }
                self.overlapped += 1;
            }
            waiting.push(top);
            answers.push(None);
            self.disk.open_gate();
        } else {
            drop(go);
        }
        let waited = |(waiting, answer): (Result<mpsc::Receiver<Answer>, SubmitError>, Option<Answer>)| {
            waiting.and_then(|receive| answer.unwrap_or_else(|| receive.recv().expect("an answer")))
        };
        waiting.into_iter().zip(answers).map(waited).collect()
    }

    /// Submits some batches and takes their answers into the model.
    fn write(&mut self) -> Result<(), String> {
        let mut batches: Vec<Batch> = (0..1 + self.rng.below(4)).map(|_| self.prepare()).collect();
        if self.rng.once_in(6) {
            self.held.push(batches.remove(0));
        }
        if self.rng.once_in(3) {
            batches.append(&mut self.held);
        }
        let on_top = if self.rng.once_in(2) { batches.pop().filter(|_| !batches.is_empty()) } else { None };
        let mut answers = self.submit(&batches, on_top.as_ref());
        let of_top = answers.split_off(batches.len().min(answers.len()));
        self.take(&batches, &answers)?;
        self.take(on_top.as_slice(), &of_top)
    }

    /// What was answered for one frame.
    fn take(&mut self, batches: &[Batch], answers: &[Answer]) -> Result<(), String> {
        let mut after = self.model.clone();
        let mut errors = BTreeSet::new();
        for (batch, answer) in batches.iter().zip(answers) {
            match answer {
                Ok(receipt) => {
                    let grows = receipt.outcomes.iter().any(|o| matches!(o, Outcome::Sealed { .. }));
                    if grows && receipt.recorded_at < self.model.recorded_at {
                        return Err("I2: time went back".into());
                    }
                    let want = after.seal(batch, receipt.recorded_at);
                    if want != receipt.outcomes {
                        return Err(format!("ids: answered {:?} instead of {want:?}", receipt.outcomes));
                    }
                }
                Err(SubmitError::Stale) => {}
                Err(e) => {
                    after.seal(batch, self.model.recorded_at);
                    errors.insert(matches!(e, SubmitError::Stopped(_)));
                }
            }
        }
        self.story.push(format!("{} batches, errors {errors:?}", batches.len()));
        match (errors.first(), errors.len()) {
            (None, _) => self.model = after,
            (Some(true), 1) if self.maybe.is_none() => self.maybe = Some(after),
            // Said to be not there, and so it must be; or refused after the stop.
            (Some(_), 1) => {}
            _ => return Err("one frame was answered in two ways".into()),
        }
        Ok(())
    }

    fn sign(&mut self) -> Result<(), String> {
        let Some(open) = &self.open else { return Ok(()) };
        let tenants: Vec<_> = (0..TENANTS).filter(|t| self.model.size(*t) > 0).map(|t| (t, format!("t{t}"))).collect();
        match open.checkpoints.publish(&open.ledger, &tenants) {
            Ok(_) => {
                for (tenant, slug) in tenants {
                    let shown = open.checkpoints.newest(&open.ledger, tenant, &slug).map_err(|e| e.to_string())?;
                    self.model.signed.push((tenant, shown.size, shown.root));
                }
                self.story.push("signed".into());
                Ok(())
            }
            Err(e) if e.to_string().contains("refusing") => Err(format!("I3: {e}")),
            Err(e) => {
                self.story.push(format!("not signed: {e}"));
                Err(String::new())
            }
        }
    }

    /// The tail to segments, or as far as it comes.
    fn flush(&mut self) -> Result<(), String> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let Some(frozen) = open.ledger.freeze() else { return Ok(()) };
        open.pending_keys.extend(frozen.keys.iter().copied());
        self.story.push(format!("frozen up to {} {:?}", frozen.seq, frozen.tenants));
        if self.rng.once_in(3) {
            return Ok(());
        }
        // Writers go on meanwhile, and another freeze may overtake this one.
        if self.rng.once_in(2) {
            self.write()?;
            if self.rng.once_in(2)
                && let Some(open) = &mut self.open
                && let Some(later) = open.ledger.freeze()
            {
                open.pending_keys.extend(later.keys);
                self.write()?;
            }
        }
        match self.sign() {
            Err(e) if !e.is_empty() => return Err(e),
            Err(_) => return Ok(()),
            Ok(()) => {}
        }
        self.store(&frozen);
        if self.rng.once_in(5) {
            self.story.push("stored, and stopped before it was said".into());
            return self.stop();
        }
        let Some(open) = &self.open else { return Ok(()) };
        let _ = open.ledger.stored(&frozen);
        Ok(())
    }

    /// The catalog's transaction.
    fn store(&mut self, frozen: &Frozen) {
        let Some(open) = &mut self.open else { return };
        for (tenant, first, size) in &frozen.tenants {
            let rows = self.catalog.rows.entry(*tenant).or_default();
            let frontier = self.catalog.frontiers.entry(*tenant).or_default();
            assert_eq!(rows.len() as u64, *first, "the tail goes on where the segments end");
            for r in open.ledger.rows(*tenant, *first, (size - first) as usize) {
                frontier.push(r.leaf);
                rows.push(Sealed { kind: r.kind, recorded_at: r.recorded_at, row: r.row.to_vec() });
            }
        }
        self.catalog.flushed = frozen.seq;
        self.catalog.keys.append(&mut open.pending_keys);
    }

    /// An orderly stop, a killed process, or a power cut.
    fn stop(&mut self) -> Result<(), String> {
        let how = self.rng.below(4);
        if how > 0 {
            self.disk.fail_in(1, Fault::Before, true);
        }
        if let Some(open) = self.open.take() {
            open.ledger.close();
        }
        self.disk.mend();
        if how > 1 {
            self.disk.power_cut();
        }
        self.story.push(["closed", "killed", "power cut", "power cut"][how].to_owned());
        self.start()
    }

    /// One step of chance.
    ///
    /// # Errors
    /// What is broken.
    pub fn step(&mut self) -> Result<(), String> {
        // The clock goes on, stands still, or back.
        let now = self.clock.get();
        self.clock.set(match self.rng.below(5) {
            0 => now - self.rng.below(5_000) as i64,
            1 => now,
            _ => now + self.rng.below(2_000) as i64,
        });
        match self.rng.below(16) {
            0 | 1 => self.stop()?,
            2 | 3 => self.flush()?,
            4 => self.sign().or_else(|e| if e.is_empty() { Ok(()) } else { Err(e) })?,
            5 | 6 => {
                let (n, fault) = (1 + self.rng.below(14) as u64, self.fault());
                let stay = self.rng.once_in(3);
                self.disk.fail_in(n, fault, stay);
                self.story.push(format!("call {n} will fail: {fault:?}, stay {stay}"));
            }
            7 => {
                let free = self.rng.below(4_000);
                self.disk.fill_up(free);
                self.story.push(format!("{free} bytes are free"));
            }
            8 => {
                self.disk.mend();
                self.story.push("mended".into());
            }
            _ => self.write()?,
        }
        self.check()
    }

    /// A schedule from its seed to the end.
    ///
    /// # Errors
    /// What is broken, and how it came to it.
    pub fn run(seed: u64, steps: usize, lie: Lie) -> Result<World, String> {
        let mut world = World::new(seed, lie);
        let mut result = world.start();
        for _ in 0..steps {
            result = result.and_then(|()| world.step());
        }
        result = result.and_then(|()| world.stop());
        if let Some(open) = world.open.take() {
            open.ledger.close();
        }
        result.map_err(|e| format!("{e}\n  {}", world.story.join("\n  ")))?;
        Ok(world)
    }
}
