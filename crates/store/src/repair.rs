//! What is lost in a damaged folder, what can be kept, and doing it.
//!
//! [`examine`] changes nothing. Of damage only the journal's can be cut out: a record that follows lost ones of
//! its tenant cannot be kept, for the tree needs every leaf before it; tenants that lost nothing keep
//! everything. [`cut_out`] puts such a journal in place of the damaged one in one step and keeps the damaged one
//! beside it, whole. Damaged segments are restored from a copy: nothing here drops a stored record.

use crate::error::{Error, Result, io};
use crate::folder::Folder;
use crate::start::has_remains;
use crate::verify::{self, Finding, LOST_CHANGES, Lost, NO_LEDGER, NO_TENANT, Report, slug};
use catalog::{Catalog, ChangesState, SealState};
use ledger::frame::{Frame, Group};
use ledger::salvage::{Hole, Rewrite, sound_frames};
use ledger::{LedgerId, highwater, journal};
use merkle::Frontier;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is wrong with a folder, and what that means.
#[derive(Debug, Clone, Default)]
pub struct Diagnosis {
    /// Everything that `verify` finds, and records that no segment gives back.
    pub report: Report,
    /// What is left of a damaged journal; `None` where it is sound.
    pub journal: Option<Journal>,
}

/// A damaged journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Journal {
    /// Bytes that are no sound frame.
    pub holes: Vec<Hole>,
    /// Frames that are missing, by number: first, last.
    pub missing: Vec<(u64, u64)>,
    /// Records that are kept when the damage is cut out.
    pub kept: u64,
    /// Records known to be lost: those in damaged frames, as far as others tell.
    pub lost: Vec<Lost>,
    /// Records that can be read and not kept, for others of their tenant before them are lost.
    pub stranded: Vec<Lost>,
    /// Tenants of whose lost records some were signed: their checkpoints cannot be kept. Tenant, records signed,
    /// records kept.
    pub signed: Vec<(String, u64, u64)>,
}

/// Checks the folder and says what is lost. `progress` is told the records done.
///
/// # Errors
/// Where the check itself could not be made.
pub fn examine(folder: &Folder, progress: &(dyn Fn(u64) + Sync)) -> Result<Diagnosis> {
    let report = verify::verify(folder, progress)?;
    let journal = folder.journal();
    let damaged = |f: &Finding| f.file.starts_with(&journal) && f.file != journal && !f.unreadable;
    // Which frames follow which records is in the catalog: what a damaged one says of a journal is not to be acted upon.
    let catalog =
        |f: &Finding| f.file.parent() == Some(&folder.dir) && f.file.file_stem() == folder.catalog().file_stem();
    let believed = !report.findings.iter().any(|f| catalog(f) && !derived(folder, f));
    let journal = match believed && report.findings.iter().any(damaged) {
        true => survey(folder, None)?,
        false => None,
    };
    Ok(Diagnosis { report, journal })
}

/// Whether what a finding is about can be made anew from the records.
pub fn derived(folder: &Folder, finding: &Finding) -> bool {
    finding.file.extension().is_some_and(|e| e == "idx")
        || finding.file == folder.catalog() && finding.what.contains("tile ")
}

/// Whether there are records of which what the catalog has lost is needed: a tenant that was made last, or the ledger itself. Such a loss
/// is not given up.
pub fn needs_copy(report: &Report) -> bool {
    let says = |part: &str| report.findings.iter().any(|f| f.what.contains(part));
    says(LOST_CHANGES) && (says(NO_LEDGER) || says(NO_TENANT))
}

/// What became of the catalog's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogMended {
    /// It was not damaged.
    Sound,
    /// Cut off where the damage begins; the damaged one is kept there.
    Cut(PathBuf),
    /// Taken as it is, without what its end or the whole of it had; what there was is kept there.
    GivenUp(Option<PathBuf>),
}

/// Cuts the catalog's log off where it is damaged, or gives up the changes that it has lost. `now` is part of the name under which the
/// damaged one is kept.
///
/// # Errors
/// Where the log could not be copied or cut; then it is as it was.
pub fn mend_catalog_log(folder: &Folder, now: i64) -> Result<LogMended> {
    let _lock = folder.lock()?;
    let disk = folder.disk.as_ref();
    let path = folder.catalog();
    let mut aside = Catalog::log_path(&path).into_os_string();
    aside.push(format!(".damaged-{now}"));
    let aside = PathBuf::from(aside);
    if let Some(damage) = Catalog::check_log(disk, &path)? {
        Catalog::cut_log(disk, &damage, &aside)?;
        // What was cut off is counted too.
        Catalog::accept_loss(disk, &path)?;
        return Ok(LogMended::Cut(aside));
    }
    if Catalog::verify_sealed(disk, &path, &folder.catalog_sum())? != SealState::NotSealed {
        return Ok(LogMended::Sound);
    }
    // Without its beginning there is nothing to go on with.
    if has_remains(folder)? && Catalog::peek_meta(disk, &path, "ledger.id")?.is_none() {
        return Ok(LogMended::Sound);
    }
    match Catalog::check_changes(disk, &path)? {
        ChangesState::Whole => Ok(LogMended::Sound),
        ChangesState::Lost { .. } | ChangesState::Damaged { .. } => {
            let kept = Catalog::keep_log(disk, &path, &aside)?;
            Catalog::accept_loss(disk, &path)?;
            Ok(LogMended::GivenUp(kept.then_some(aside)))
        }
    }
}

/// Puts a journal without the damaged frames, and without what cannot be kept without them, in place of the
/// damaged one. Gives where that one is now. `now` is part of its name.
///
/// A crash before the exchange leaves the damaged journal in its place, and after it the new one.
///
/// # Errors
/// Where the journal could not be written or exchanged; then it is as it was.
pub fn cut_out(folder: &Folder, now: i64) -> Result<PathBuf> {
    let _lock = folder.lock()?;
    let journal = folder.journal();
    let mut aside = journal.clone().into_os_string();
    aside.push(format!(".damaged-{now}"));
    let aside = PathBuf::from(aside);
    // It is written under the name that the damaged one will have.
    let exchanged = survey(folder, Some(&aside)).and_then(|_| {
        let dir = rustix::fs::CWD;
        rustix::fs::renameat_with(dir, &aside, dir, &journal, rustix::fs::RenameFlags::EXCHANGE)
            .map_err(|e| io("exchange", &journal)(e.into()))
    });
    if let Err(e) = exchanged {
        // The damaged one has not moved: what is there was written here.
        let _ = std::fs::remove_dir_all(&aside);
        return Err(e);
    }
    folder.disk.sync_dir(&folder.dir).map_err(io("sync", &folder.dir))?;
    Ok(aside)
}

/// Goes over what is left of the journal and says what of it can be kept; writes that to the folder `to`.
fn survey(folder: &Folder, to: Option<&Path>) -> Result<Option<Journal>> {
    let disk = folder.disk.as_ref();
    let catalog = Catalog::open_read_only(&folder.disk, &folder.catalog())?;
    let Some(ledger) = catalog.meta("ledger.id")? else { return Ok(None) };
    let ledger: LedgerId =
        ledger.try_into().map_err(|_| Error::Folder("the ledger's id in the catalog is damaged".into()))?;
    let stored = catalog.flushed_seq()?;
    let mut keeping = Keeping { next_seq: stored + 1, ..Keeping::default() };
    for (tenant, _, bytes) in catalog.frontiers()? {
        let tree = Frontier::from_bytes(&bytes).map_err(|e| Error::Folder(format!("tenant {tenant}: {e}")))?;
        keeping.sizes.insert(tenant, tree.size());
    }
    let mut rewrite = match to {
        None => None,
        Some(dir) => {
            // Time never goes back: what was stored last was sealed before its segment was written.
            let last = catalog.segments()?.iter().map(|s| s.created_at).max().unwrap_or(0);
            Some(Rewrite::begin(disk, dir, ledger, stored + 1, last)?)
        }
    };
    let mut failed = None;
    let holes = sound_frames(disk, &folder.journal(), &ledger, |frame| {
        if frame.seq <= stored || failed.is_some() {
            return;
        }
        let recorded_at = frame.recorded_at;
        let groups = keeping.frame(frame);
        if let Some(out) = &mut rewrite
            && !groups.is_empty()
        {
            failed = out.add(recorded_at, &groups).err();
        }
    })?;
    if let Some(e) = failed {
        return Err(e.into());
    }
    if let Some(out) = rewrite {
        out.finish(disk)?;
    }
    let name = |tenant: u32| slug(&catalog, tenant).unwrap_or_else(|| format!("number {tenant}"));
    let mut found =
        Journal { holes, missing: std::mem::take(&mut keeping.missing), kept: keeping.kept, ..Journal::default() };
    let marks = disk
        .read(&folder.high_water)
        .ok()
        .and_then(|bytes| highwater::parse(&folder.high_water, &bytes, &ledger).ok())
        .map(|(marks, _)| marks)
        .unwrap_or_default();
    for (tenant, (size, _)) in &marks {
        let kept = keeping.sizes.get(tenant).copied().unwrap_or(0);
        if kept < *size {
            found.signed.push((name(*tenant), *size, kept));
            keeping.lose(*tenant, kept, size - 1);
        }
    }
    found.signed.sort();
    let named = |list: BTreeMap<u32, Vec<(u64, u64)>>| -> Vec<Lost> {
        list.into_iter()
            .flat_map(|(tenant, runs)| runs.into_iter().map(move |run| (tenant, run)))
            .map(|(tenant, (first, last))| Lost { tenant: name(tenant), first, last })
            .collect()
    };
    found.lost = named(std::mem::take(&mut keeping.lost));
    found.stranded = named(std::mem::take(&mut keeping.stranded));
    Ok(Some(found))
}

/// Decides, frame by frame, which records still follow their tenant's tree.
#[derive(Default)]
struct Keeping {
    next_seq: u64,
    /// Size of each tenant's tree with what was kept.
    sizes: BTreeMap<u32, u64>,
    /// Tenants with a gap.
    broken: HashSet<u32>,
    kept: u64,
    recorded_at: i64,
    missing: Vec<(u64, u64)>,
    lost: BTreeMap<u32, Vec<(u64, u64)>>,
    stranded: BTreeMap<u32, Vec<(u64, u64)>>,
}

impl Keeping {
    /// The groups of a frame that are kept.
    fn frame(&mut self, frame: Frame) -> Vec<Group> {
        if frame.seq > self.next_seq {
            self.missing.push((self.next_seq, frame.seq - 1));
        }
        // A frame that stands twice, or whose time goes back, is not one that was written there.
        let sound = frame.seq >= self.next_seq && frame.recorded_at >= self.recorded_at;
        self.next_seq = self.next_seq.max(frame.seq.saturating_add(1));
        if !sound {
            return Vec::new();
        }
        self.recorded_at = frame.recorded_at;
        frame.groups.into_iter().filter(|group| self.keep(group)).collect()
    }

    fn keep(&mut self, group: &Group) -> bool {
        let Some(last) = (group.records.len() as u64).checked_sub(1).and_then(|n| group.first_index.checked_add(n))
        else {
            return false;
        };
        let size = self.sizes.entry(group.tenant).or_default();
        if group.first_index == *size && !self.broken.contains(&group.tenant) {
            *size = last.saturating_add(1);
            self.kept += group.records.len() as u64;
            return true;
        }
        let end = self.stranded.get(&group.tenant).and_then(|runs| runs.last()).map_or(*size, |run| run.1 + 1);
        if group.first_index > end {
            self.lose(group.tenant, end, group.first_index - 1);
        }
        self.broken.insert(group.tenant);
        add(self.stranded.entry(group.tenant).or_default(), group.first_index, last);
        false
    }

    /// Counts these as lost, but for those that can still be read.
    fn lose(&mut self, tenant: u32, first: u64, last: u64) {
        let known = [self.stranded.get(&tenant), self.lost.get(&tenant)];
        let mut known: Vec<(u64, u64)> = known.into_iter().flatten().flatten().copied().collect();
        known.sort_unstable();
        let mut from = first;
        for (known_first, known_last) in known.into_iter().filter(|k| k.1 >= first && k.0 <= last) {
            if known_first > from {
                add(self.lost.entry(tenant).or_default(), from, known_first - 1);
            }
            from = from.max(known_last + 1);
        }
        if from <= last {
            add(self.lost.entry(tenant).or_default(), from, last);
        }
    }
}

/// Adds a run of indexes, joined to the one before it where it goes on from there.
fn add(runs: &mut Vec<(u64, u64)>, first: u64, last: u64) {
    match runs.last_mut() {
        Some(run) if run.1.checked_add(1) == Some(first) => run.1 = last,
        _ => runs.push((first, last)),
    }
}

/// Makes a new high-water mark from the records in a folder, which was checked before.
///
/// # Errors
/// Where the folder could not be read or the mark not written.
pub fn new_high_water(folder: &Folder) -> Result<()> {
    let _lock = folder.lock()?;
    let catalog = Catalog::open_read_only(&folder.disk, &folder.catalog())?;
    let ledger_id: [u8; 16] = catalog
        .meta("ledger.id")?
        .and_then(|id| id.try_into().ok())
        .ok_or_else(|| Error::Folder("the ledger's id is missing or damaged".into()))?;
    let mut trees: HashMap<u32, Frontier> = HashMap::new();
    for (tenant, _, bytes) in catalog.frontiers()? {
        let frontier = Frontier::from_bytes(&bytes).map_err(|e| Error::Folder(format!("tenant {tenant}: {e}")))?;
        trees.insert(tenant, frontier);
    }
    journal::read(folder.disk.as_ref(), &folder.journal(), &ledger_id, catalog.flushed_seq()?, |frame| {
        for group in frame.groups {
            let tree = trees.entry(group.tenant).or_default();
            for (kind, commitment, _) in group.records {
                tree.push(ledger::leaf_of(kind, frame.recorded_at, &commitment));
            }
        }
        Ok(())
    })?;
    let mark = highwater::HighWater::open(Arc::clone(&folder.disk), &folder.high_water, ledger_id, true)?;
    let heads: Vec<_> = trees.iter().map(|(tenant, tree)| (*tenant, tree.size(), tree.root())).collect();
    mark.advance(&heads)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn frame(seq: u64, groups: &[(u32, u64, usize)]) -> Frame {
        let groups = groups.iter().map(|(tenant, first_index, n)| Group {
            tenant: *tenant,
            first_index: *first_index,
            keys: Vec::new(),
            records: vec![(0, [0; 32], Bytes::new()); *n],
        });
        Frame { seq, recorded_at: seq as i64, groups: groups.collect(), len: 0 }
    }

    #[test]
    fn a_tenant_without_a_gap_keeps_everything_and_one_with_a_gap_what_is_before_it() {
        let mut keeping = Keeping { next_seq: 5, sizes: BTreeMap::from([(1, 10)]), ..Keeping::default() };
        let kept = |frames: Vec<Group>| frames.iter().map(|g| (g.tenant, g.first_index)).collect::<Vec<_>>();
        assert_eq!(kept(keeping.frame(frame(5, &[(1, 10, 2), (2, 0, 1)]))), [(1, 10), (2, 0)]);
        // Frames 6 and 7 are lost, and with them records 12 to 14 of the first tenant.
        assert_eq!(kept(keeping.frame(frame(8, &[(1, 15, 1), (2, 1, 4)]))), [(2, 1)]);
        assert_eq!(kept(keeping.frame(frame(9, &[(1, 16, 2), (3, 0, 1)]))), [(3, 0)]);
        // One more hole.
        assert_eq!(kept(keeping.frame(frame(11, &[(1, 20, 1)]))), []);
        assert_eq!(kept(keeping.frame(frame(11, &[(2, 5, 1)]))), [], "a number that stands twice");
        assert_eq!(keeping.missing, [(6, 7), (10, 10)]);
        assert_eq!(keeping.kept, 2 + 1 + 4 + 1);
        assert_eq!(keeping.lost, BTreeMap::from([(1, vec![(12, 14), (18, 19)])]));
        assert_eq!(keeping.stranded, BTreeMap::from([(1, vec![(15, 17), (20, 20)])]));
        // What was signed says that there were more.
        keeping.lose(1, 12, 24);
        assert_eq!(keeping.lost, BTreeMap::from([(1, vec![(12, 14), (18, 19), (21, 24)])]));
    }
}
