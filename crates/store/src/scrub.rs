//! Reading everything stored again, in the background and on a budget: rot is found before it is needed.
//!
//! A pass goes over the catalog's rows, every segment and its `.idx`, every row of it (hashed to its leaf as at
//! admission), and puts the trees together again: they must be the stored ones, with the stored tiles. The
//! checks themselves are [`crate::verify`]'s. A finding is logged and counted and takes nothing down: reads of
//! what is sound go on. Only a damaged `.idx` is mended, for it is derived. Not here: the journal, which the
//! next start reads.

use crate::error::Result;
use crate::store::Store;
use crate::trees::{Put, Trees};
use crate::verify::{Finding, ReadRow, check_segments, slug, twice};
use merkle::Frontier;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The first pass begins this long after the start, or after the pause between passes if that is shorter.
const FIRST: Duration = Duration::from_secs(600);
/// Findings that are remembered; all are counted and logged.
const MAX_FINDINGS: usize = 1000;

/// A pass over everything that was stored when it began.
#[derive(Debug, Clone, PartialEq)]
pub struct Pass {
    /// When it was done, microseconds UTC.
    pub ended_at: i64,
    /// Rows hashed again.
    pub rows: u64,
    /// Bytes of segments and their filters read.
    pub bytes: u64,
    /// How long it took, pauses for the budget included.
    pub seconds: f64,
    /// What was wrong, damage that was mended included.
    pub findings: usize,
}

/// What scrubbing has come to since the start.
#[derive(Debug, Clone, Default)]
pub struct Scrubbed {
    /// Passes done.
    pub passes: u64,
    /// Rows hashed again, the running pass included.
    pub rows: u64,
    /// Findings, each counted once for as long as it lasts.
    pub findings: u64,
    /// The last whole pass.
    pub last: Option<Pass>,
    /// Damage that is known now: what the last pass found, and what the running one has found since.
    pub damaged: Vec<Finding>,
}

/// See [`Scrubbed`].
#[derive(Debug, Default)]
pub(crate) struct Scrubber(Mutex<Scrubbed>);

impl Store {
    /// What scrubbing has come to.
    pub fn scrubbed(&self) -> Scrubbed {
        self.scrubber.0.lock().clone()
    }

    /// Passes with pauses between them, for as long as the store is open.
    pub(crate) fn scrub(&self) {
        let share = self.settings.scrub_share.min(1.0);
        if share <= 0.0 {
            return;
        }
        let mut wait = self.settings.scrub_every.min(FIRST);
        while !self.pause(wait) {
            let mut pace = Pace { store: self, share, since: Instant::now() };
            match self.scrub_once(&mut pace) {
                Ok(Some(pass)) => tracing::info!(
                    rows = pass.rows,
                    bytes = pass.bytes,
                    seconds = pass.seconds,
                    findings = pass.findings,
                    "everything stored was read again"
                ),
                Ok(None) => return,
                Err(e) => {
                    self.counters.failures.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(error = %e, "what is stored could not be read again; the next pass tries");
                }
            }
            wait = self.settings.scrub_every;
        }
    }

    /// One pass; `None` where the store is stopping.
    fn scrub_once(&self, pace: &mut Pace<'_>) -> Result<Option<Pass>> {
        let started = Instant::now();
        let mut found: Vec<Finding> = Vec::new();
        let catalog_file = self.folder.catalog();
        for what in self.catalog.check()? {
            self.found(Finding::new(catalog_file.clone(), what), &mut found);
        }
        if pace.rest() {
            return Ok(None);
        }
        let ends: HashMap<u32, Frontier> = self.frontiers.lock().clone();
        let mut trees = Trees::of(ends.iter().map(|(tenant, f)| (*tenant, f.size())));
        let (mut rows, mut bytes) = (0, 0);
        let mut unreadable: HashSet<u32> = HashSet::new();
        let mut done: HashSet<u64> = HashSet::new();
        // Merges go on meanwhile, and what they make is read too: at any moment a row below `ends` is in a segment
        // of the set, so when all of them were visited, all rows were.
        let next = |done: &HashSet<u64>| {
            let set = self.segments();
            set.iter().map(|s| s.info()).find(|i| !done.contains(&i.id) && reaches(i, &ends)).cloned()
        };
        while let Some(info) = next(&done) {
            done.insert(info.id);
            let state = Mutex::new((&mut *pace, &mut trees));
            let stopped = AtomicBool::new(false);
            let sink = |id: u64, read: &mut Vec<ReadRow>, findings: &mut Vec<Finding>| {
                let (pace, trees) = &mut *state.lock();
                for (tenant, index, leaf, _) in read.drain(..) {
                    if trees.put(tenant, index, leaf) == Put::Differs {
                        findings.push(twice(&self.folder, &self.catalog, id, tenant, index));
                    }
                }
                let stop = pace.rest();
                stopped.fetch_or(stop, Ordering::Relaxed);
                !stop
            };
            let one = std::slice::from_ref(&info);
            let (read_rows, findings) = check_segments(&self.folder, &self.catalog, &self.keys, one, 1, &sink, &|_| {});
            if stopped.load(Ordering::Relaxed) || pace.rest() {
                return Ok(None);
            }
            if !self.segments().iter().any(|s| s.info().id == info.id) {
                // Merged away meanwhile: its files are gone, and its rows are in another that is read too.
                continue;
            }
            rows += read_rows;
            bytes += info.bytes + info.filter_bytes;
            self.scrubber.0.lock().rows += read_rows;
            for mut finding in findings {
                let derived = finding.file == segments::idx_path(&self.folder.segments().path, info.id);
                if derived && self.mend(&info, &finding) {
                    found.push(finding);
                    continue;
                }
                if !derived {
                    unreadable.extend(info.slices.iter().map(|s| s.tenant));
                }
                if finding.tenant.is_none()
                    && let Some(slice) = info.slices.first()
                {
                    finding.tenant = slug(&self.catalog, slice.tenant);
                    finding.index = Some(slice.min_index);
                }
                if finding.unreadable {
                    self.counters.failures.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(%finding, "what is stored could not be read again; the next pass tries");
                    found.push(finding);
                    continue;
                }
                self.found(finding, &mut found);
            }
        }
        for (tenant, end) in &ends {
            // Where rows could not be read, that has been said; what follows from it is no news.
            if !unreadable.contains(tenant) {
                self.scrub_tree(*tenant, end, &trees, &mut found)?;
            }
            if pace.rest() {
                return Ok(None);
            }
        }
        let pass =
            Pass { ended_at: self.now(), rows, bytes, seconds: started.elapsed().as_secs_f64(), findings: found.len() };
        let mut state = self.scrubber.0.lock();
        state.passes += 1;
        // What an earlier pass found and this one did not is well again: its file was restored.
        state.damaged.retain(|f| found.contains(f));
        state.last = Some(pass.clone());
        Ok(Some(pass))
    }

    /// One tenant's tree as it was when the pass began, and its tiles.
    fn scrub_tree(&self, tenant: u32, end: &Frontier, trees: &Trees, found: &mut Vec<Finding>) -> Result<()> {
        let Some(tree) = trees.0.get(&tenant) else { return Ok(()) };
        let name = slug(&self.catalog, tenant);
        let (frontier, tiles) = match tree.close() {
            Ok(whole) => whole,
            Err(index) => {
                let finding = Finding::new(self.folder.segments().path, "the record is missing").at(name, Some(index));
                self.found(finding, found);
                return Ok(());
            }
        };
        let wrong =
            |index: Option<u64>, what: String| Finding::new(self.folder.catalog(), what).at(name.clone(), index);
        if frontier != *end {
            let what = format!("the tree of the {} stored records is not the one that was stored", end.size());
            self.found(wrong(None, what), found);
        }
        for ((level, number), hashes) in tiles {
            let kept = match self.catalog.tile(tenant, level, number) {
                // Named by the check of the catalog's rows.
                Err(e) if e.is_damage() => continue,
                kept => kept?.unwrap_or_default(),
            };
            // It may have grown since the pass began.
            if kept.get(..hashes.len()) != Some(hashes.as_slice()) {
                let first = (number * 256) << (8 * u32::from(level));
                let what = format!("tile {number} of level {level} is not the one its records make");
                self.found(wrong(Some(first), what), found);
            }
        }
        Ok(())
    }

    /// Logs and counts a finding. One that lasts is logged in every pass and counted in the first.
    fn found(&self, finding: Finding, found: &mut Vec<Finding>) {
        tracing::error!(%finding, "what is stored is damaged; `indelible verify --data` and `indelible repair` say more");
        let mut state = self.scrubber.0.lock();
        if !state.damaged.contains(&finding) {
            state.findings += 1;
            self.counters.mismatches.fetch_add(1, Ordering::Relaxed);
            if state.damaged.len() < MAX_FINDINGS {
                state.damaged.push(finding.clone());
            }
        }
        found.push(finding);
    }

    /// Makes a segment's `.idx` anew from its rows; the open segment has the sound one in memory.
    fn mend(&self, info: &segments::SegmentInfo, finding: &Finding) -> bool {
        match segments::rebuild_filters(&self.folder.segments(), info) {
            Ok(_) => {
                tracing::warn!(%finding, "look-up filters were damaged and have been made anew from the rows");
                self.scrubber.0.lock().findings += 1;
                true
            }
            Err(e) => {
                tracing::error!(%finding, error = %e, "look-up filters are damaged and could not be made anew");
                false
            }
        }
    }
}

/// Whether a segment has rows that were stored when the pass began.
fn reaches(info: &segments::SegmentInfo, ends: &HashMap<u32, Frontier>) -> bool {
    info.slices.iter().any(|s| ends.get(&s.tenant).is_some_and(|end| s.min_index < end.size()))
}

/// Keeps a pass to a share of a core by sleeping in proportion to what it did.
struct Pace<'a> {
    store: &'a Store,
    share: f64,
    since: Instant,
}

impl Pace<'_> {
    /// True when the store is stopping.
    fn rest(&mut self) -> bool {
        let stopping = match self.share < 1.0 {
            true => self.store.pause(self.since.elapsed().mul_f64(1.0 / self.share - 1.0)),
            false => self.store.stopping(),
        };
        self.since = Instant::now();
        stopping
    }
}
