//! The check of a whole data folder, from its files alone: rows → leaves → tiles → trees → checkpoints.
//!
//! Owns what is compared with what, and the words about it. It opens nothing for writing and believes nothing
//! that can be derived: every row is hashed again, every file compared with its checksum.

mod stored;

pub(crate) use stored::{ReadRow, check_segments, cores, slug, twice};

use stored::locked;

use crate::error::{Error, Result, io};
use crate::folder::Folder;
use crate::keys::{KeyStore, Salts};
use crate::start::has_remains;
use crate::store::{info_of, is_there};
use catalog::{Catalog, ChangesState, Tenant};
use event::commit;
use ledger::{Hash, highwater, journal};
use merkle::Frontier;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// What findings say that `repair` acts upon.
pub(crate) const LOST_CHANGES: &str = "changes to the catalog that were answered are not in it";
pub(crate) const NO_LEDGER: &str = "it knows of no ledger";
pub(crate) const NO_TENANT: &str = "its tenant is not in the catalog";

/// One thing that is not as it was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// Name of the tenant, where one can be named.
    pub tenant: Option<String>,
    /// Index of the record, where one can be named.
    pub index: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// The file is there and could not be read: what is in it may be sound.
    pub unreadable: bool,
}

impl Finding {
    /// Something wrong with a file.
    pub(crate) fn new(file: PathBuf, what: impl Into<String>) -> Finding {
        Finding { file, tenant: None, index: None, what: what.into(), unreadable: false }
    }

    /// Of whom, and with which record.
    pub(crate) fn at(self, tenant: Option<String>, index: Option<u64>) -> Finding {
        Finding { tenant, index, ..self }
    }

    /// What kept a file from being looked at.
    pub(crate) fn failed(file: PathBuf, e: &Error) -> Finding {
        Finding { unreadable: e.is_unreadable(), ..Finding::new(file, e.to_string()) }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(tenant) = &self.tenant {
            write!(f, ", tenant {tenant}")?;
        }
        if let Some(index) = self.index {
            write!(f, ", index {index}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// What was checked.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Records hashed again.
    pub records: u64,
    /// Tenants with records.
    pub tenants: usize,
    /// Segments read.
    pub segments: usize,
    /// Frames of the journal read.
    pub frames: u64,
    /// Bytes of torn tail, which a crash leaves and the next start cuts.
    pub torn: usize,
    /// Stored records that no segment gives back any more.
    pub lost: Vec<Lost>,
    /// What is wrong; empty where everything is as it was sealed.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether every file could be read. Of what could not, nothing is known: that something of it is missing neither.
    fn all_read(&self) -> bool {
        !self.findings.iter().any(|f| f.unreadable)
    }
}

/// Records of one tenant that cannot be read any more, by index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Name of the tenant, or its number where the catalog has no name for it.
    pub tenant: String,
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tenant {}, index {}", self.tenant, self.first)?;
        if self.last > self.first {
            write!(f, " to {}", self.last)?;
        }
        Ok(())
    }
}

/// The leaves of one tenant, by index; filled from segments in any order.
#[derive(Default)]
struct Leaves {
    hashes: Vec<Option<(Hash, i64)>>,
}

/// Checks the folder. `progress` is told the records done.
///
/// # Errors
/// Where the check itself could not be made: no such folder, in use, unreadable. Damage is a finding.
pub fn verify(folder: &Folder, progress: &(dyn Fn(u64) + Sync)) -> Result<Report> {
    let disk = &folder.disk;
    let mut report = Report::default();
    let finding = Finding::new;
    if !is_there(disk.as_ref(), &folder.catalog())? {
        if !has_remains(folder)? {
            return Err(Error::Folder(format!("{} is not a data folder: it has no catalog.db", folder.dir.display())));
        }
        let what = "it is missing, and without it nothing of what is in the folder can be read";
        report.findings.push(finding(folder.catalog(), what.into()));
        return Ok(report);
    }
    let _lock = folder.lock_to_look()?;

    let mut in_order = false;
    match Catalog::verify_sealed(disk.as_ref(), &folder.catalog(), &folder.catalog_sum()) {
        Ok(catalog::SealState::Damaged { .. }) => {
            let what = format!(
                "it is not what {} says it was at the last shutdown; one of the two was changed",
                folder.catalog_sum().display()
            );
            report.findings.push(finding(folder.catalog(), what));
        }
        Ok(state) => in_order = matches!(state, catalog::SealState::Sealed),
        Err(e) => report.findings.push(Finding::failed(folder.catalog_sum(), &e.into())),
    }
    match Catalog::check_log(disk.as_ref(), &folder.catalog()) {
        Ok(Some(damage)) => report.findings.push(finding(damage.path.clone(), damage.to_string())),
        Ok(None) if in_order => {}
        Ok(None) => report.findings.extend(lost_changes(folder)),
        Err(e) => report.findings.push(Finding::failed(Catalog::log_path(&folder.catalog()), &e.into())),
    }
    let catalog = match Catalog::open_read_only(&folder.disk, &folder.catalog()) {
        Ok(catalog) => Arc::new(catalog),
        Err(e) => {
            report.findings.push(Finding::failed(folder.catalog(), &e.into()));
            return Ok(report);
        }
    };
    match catalog.check() {
        Ok(list) => report.findings.extend(list.into_iter().map(|what| finding(folder.catalog(), what))),
        Err(e) => report.findings.push(Finding::failed(folder.catalog(), &e.into())),
    }
    if let Err(e) = check_secrets(&catalog) {
        report.findings.push(finding(folder.catalog_key(), e));
    }
    if let Err(e) = check_admin_key(folder, &catalog) {
        report.findings.push(finding(folder.admin_key(), e));
    }
    let seed = match folder.signing_seed(false) {
        Ok(seed) => Some(seed),
        Err(e) => {
            report.findings.push(Finding::failed(folder.ledger_key(), &e));
            None
        }
    };
    let result = check_trees(folder, &catalog, seed, in_order, &mut report, progress);
    if let Err(e) = result {
        report.findings.push(Finding::failed(folder.catalog(), &e));
    }
    Ok(report)
}

/// What the count of the catalog's changes says against it.
fn lost_changes(folder: &Folder) -> Option<Finding> {
    match Catalog::check_changes(folder.disk.as_ref(), &folder.catalog()) {
        Ok(ChangesState::Whole) => None,
        Ok(ChangesState::Lost { changes }) => {
            let what =
                format!("the last {changes} {LOST_CHANGES}: this log is gone, or its end is not what was written");
            Some(Finding::new(Catalog::log_path(&folder.catalog()), what))
        }
        Ok(ChangesState::Damaged { path }) => Some(Finding::new(path, "it is damaged")),
        // What cannot be opened is said when it is opened.
        Err(e @ catalog::Error::File { .. }) => {
            Some(Finding::failed(Catalog::changes_path(&folder.catalog()), &e.into()))
        }
        Err(_) => None,
    }
}

/// Whether the secrets of every source that has some open with the key beside the catalog.
fn check_secrets(catalog: &Catalog) -> Result<(), String> {
    for tenant in catalog.tenants() {
        let sources = catalog.sources(tenant.number).map_err(|e| e.to_string())?;
        for source in sources.iter().filter(|source| !source.secrets.is_empty()) {
            catalog.source_secrets(tenant.number, &source.name).map_err(|e| {
                format!("the secrets of source {:?} of tenant {} do not open with it: {e}", source.name, tenant.slug)
            })?;
        }
    }
    Ok(())
}

fn check_admin_key(folder: &Folder, catalog: &Catalog) -> Result<(), String> {
    match folder.disk.read(&folder.admin_key()) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            match catalog.authenticate(text.trim()) {
                Some(_) if text.ends_with('\n') && text.trim().len() + 1 == text.len() => Ok(()),
                _ => Err("the key in it is not an administrator's key of this folder".into()),
            }
        }
        // Moved to a safer place, as it should be.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}

fn check_trees(
    folder: &Folder,
    catalog: &Arc<Catalog>,
    seed: Option<[u8; 32]>,
    in_order: bool,
    report: &mut Report,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    let keys = KeyStore::new(Arc::clone(catalog));
    let ledger_id: [u8; 16] = match catalog.meta("ledger.id")?.map(TryInto::try_into) {
        Some(Ok(id)) => id,
        Some(Err(_)) => return Err(Error::Folder("the ledger's id is damaged".into())),
        None => {
            // The first start writes the id before there is a journal.
            if has_remains(folder)? {
                let what = format!("{NO_LEDGER}, and there are a journal or segments: it has lost what was in it");
                report.findings.push(Finding::new(folder.catalog(), what));
            }
            return Ok(());
        }
    };
    let mut frontiers: HashMap<u32, Frontier> = HashMap::new();
    for (tenant, size, bytes) in catalog.frontiers()? {
        match Frontier::from_bytes(&bytes) {
            Ok(f) if f.size() == size => {
                frontiers.insert(tenant, f);
            }
            _ => report
                .findings
                .push(Finding::new(folder.catalog(), "the stored frontier is damaged").at(slug(catalog, tenant), None)),
        }
    }
    // The journal first: it brings keys that segments do not need yet, but its rows do.
    let mut tail: Vec<(u32, u64, u8, i64, Hash, Vec<u8>)> = Vec::new();
    let stored = catalog.flushed_seq()?;
    let mut frames = 0;
    let read = journal::read(folder.disk.as_ref(), &folder.journal(), &ledger_id, stored, |frame| {
        frames += 1;
        for group in frame.groups {
            let keyed: Vec<_> = group.keys.iter().map(|k| (group.tenant, *k)).collect();
            keys.recovered(&keyed);
            for (index, (kind, commitment, row)) in (group.first_index..).zip(group.records) {
                tail.push((group.tenant, index, kind, frame.recorded_at, commitment, row.to_vec()));
            }
        }
        Ok(())
    });
    report.frames = frames;
    match read {
        // After an orderly stop nothing was being written: a tail that is torn then was torn since.
        Ok((found, Some((path, at)))) if found.torn > 0 && in_order => report.findings.push(
            Finding::new(path, format!("damaged from byte {at} on, though the last stop was in order"))
                .at(tail.last().and_then(|t| slug(catalog, t.0)), tail.last().map(|t| t.1 + 1)),
        ),
        Ok((found, _)) => report.torn = found.torn,
        Err(ledger::JournalError::Damage(d)) => report.findings.push(
            Finding::new(
                d.path.clone(),
                format!("damaged at byte {}: {}; the records from here on cannot be read", d.at, d.what),
            )
            .at(tail.last().and_then(|t| slug(catalog, t.0)), tail.last().map(|t| t.1 + 1)),
        ),
        Err(e) => report.findings.push(Finding::failed(folder.journal(), &e.into())),
    }

    let mut leaves: BTreeMap<u32, Leaves> = BTreeMap::new();
    for (tenant, f) in &frontiers {
        leaves.entry(*tenant).or_default().hashes.resize(f.size() as usize, None);
    }
    let leaves = Mutex::new(leaves);
    let list: Vec<_> = catalog.segments()?.iter().map(info_of).collect();
    report.segments = list.len();
    let keep = |segment: u64, read: &mut Vec<ReadRow>, findings: &mut Vec<Finding>| {
        let mut all = locked(&leaves);
        for (number, index, leaf, recorded_at) in read.drain(..) {
            match all.get_mut(&number).and_then(|l| l.hashes.get_mut(index as usize)) {
                Some(place @ None) => *place = Some((leaf, recorded_at)),
                _ => findings.push(twice(folder, catalog, segment, number, index)),
            }
        }
        true
    };
    let (records, findings) = check_segments(folder, catalog, &keys, &list, cores(), &keep, progress);
    report.records += records;
    report.findings.extend(findings);
    let mut leaves = leaves.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    name_records(folder, catalog, &leaves, report)?;
    // Keys of the tenant at hand: the same people stand in row after row.
    let mut at_hand: Option<(u32, Salts<'_>)> = None;
    for (tenant, index, kind, recorded_at, commitment, row) in tail {
        let of = leaves.entry(tenant).or_default();
        let wrong = |what: &str| Finding::new(folder.journal(), what).at(slug(catalog, tenant), Some(index));
        if of.hashes.len() as u64 != index {
            report.findings.push(wrong("the record does not follow the one before it"));
            continue;
        }
        let Some(t) = catalog.tenant_by_number(tenant) else {
            report.findings.push(wrong(NO_TENANT));
            continue;
        };
        let salts = match &mut at_hand {
            Some((number, salts)) if *number == tenant => salts,
            other => &mut other.insert((tenant, keys.reader(&t))).1,
        };
        match commit::commitment(&row, salts) {
            Ok(c) if c == commitment => {}
            Ok(_) => report.findings.push(wrong("the record does not hash to its commitment")),
            Err(e) => report.findings.push(wrong(&e.to_string())),
        }
        of.hashes.push(Some((ledger::leaf_of(kind, recorded_at, &commitment), recorded_at)));
        report.records += 1;
    }
    let marks = match folder.disk.read(&folder.high_water) {
        Ok(bytes) => match highwater::parse(&folder.high_water, &bytes, &ledger_id) {
            Ok((marks, _)) => marks,
            Err(e) => {
                report.findings.push(Finding::failed(folder.high_water.clone(), &e.into()));
                HashMap::new()
            }
        },
        Err(e) => {
            report.findings.push(Finding::failed(folder.high_water.clone(), &io("read", &folder.high_water)(e)));
            HashMap::new()
        }
    };
    for (number, of) in &leaves {
        let Some(tenant) = catalog.tenant_by_number(*number) else { continue };
        report.tenants += usize::from(!of.hashes.is_empty());
        check_tenant(folder, catalog, &tenant, of, frontiers.get(number), marks.get(number).copied(), report)?;
    }
    for (number, (size, _)) in &marks {
        let have = leaves.get(number).map_or(0, |l| l.hashes.len() as u64);
        if have < *size && report.all_read() {
            let what = format!("{size} records were signed and {have} are here: an old copy, or the end is lost");
            report.findings.push(Finding::new(folder.dir.clone(), what).at(slug(catalog, *number), Some(have)));
        }
    }
    // The key must be the one that signed: the stored public key is derived from it at the first start.
    if let (Some(seed), Some(public)) = (seed, catalog.meta("ledger.vkey")?)
        && merkle::note::SigningKey::new("indelible", &seed).map(|k| k.verifying_key().public_key().to_vec()).ok()
            != Some(public)
    {
        report.findings.push(Finding::new(folder.ledger_key(), "it is not the key that signed this ledger"));
    }
    Ok(())
}

/// Gives the findings about a whole segment file the first record of it that could not be read, or, where all
/// could, the first that it holds.
fn name_records(folder: &Folder, catalog: &Catalog, leaves: &BTreeMap<u32, Leaves>, report: &mut Report) -> Result<()> {
    for row in catalog.segments()? {
        let path = segments::parquet_path(&folder.segments().path, row.id);
        for finding in report.findings.iter_mut().filter(|f| f.file == path && f.tenant.is_none()) {
            let missing = row.slices.iter().find_map(|s| {
                let of = leaves.get(&s.tenant)?;
                (s.min_index..=s.max_index)
                    .find(|i| matches!(of.hashes.get(*i as usize), Some(None)))
                    .map(|i| (s.tenant, i))
            });
            let named = missing.or_else(|| row.slices.first().map(|s| (s.tenant, s.min_index)));
            finding.tenant = named.and_then(|(t, _)| slug(catalog, t));
            finding.index = named.map(|(_, i)| i);
        }
    }
    Ok(())
}

/// One tenant: no index missing, the tree of the leaves is the stored one, its tiles, its mark, its checkpoint.
fn check_tenant(
    folder: &Folder,
    catalog: &Catalog,
    tenant: &Tenant,
    of: &Leaves,
    stored: Option<&Frontier>,
    mark: Option<(u64, Hash)>,
    report: &mut Report,
) -> Result<()> {
    let all_read = report.all_read();
    let mut wrong = |index: Option<u64>, file: PathBuf, what: String| {
        report.findings.push(Finding::new(file, what).at(Some(tenant.slug.clone()), index));
    };
    let mut frontier = Frontier::new();
    let mut last = i64::MIN;
    let mut tiles: BTreeMap<(u8, u64), Vec<u8>> = BTreeMap::new();
    let stored_size = stored.map_or(0, Frontier::size);
    // A tenant that was never signed has no mark; then nothing of it may be stored.
    if all_read && mark.map_or(0, |(size, _)| size) < stored_size {
        wrong(Some(stored_size), folder.high_water.clone(), "the high-water mark is behind what is stored".into());
    }
    for (index, leaf) in of.hashes.iter().enumerate() {
        let Some((leaf, recorded_at)) = leaf else {
            if !all_read {
                return Ok(());
            }
            wrong(Some(index as u64), folder.segments().path, "the record is missing".into());
            report.lost.extend(missing(&tenant.slug, of));
            return Ok(());
        };
        if *recorded_at < last {
            wrong(Some(index as u64), folder.segments().path, "it was sealed before the record before it".into());
        }
        last = *recorded_at;
        frontier.push_with(*leaf, |height, i, hash| {
            if height.is_multiple_of(8) && (index as u64) < stored_size {
                tiles.entry((height / 8, i / 256)).or_default().extend_from_slice(&hash);
            }
        });
        if frontier.size() == stored_size && stored != Some(&frontier) {
            wrong(
                None,
                folder.catalog(),
                format!(
                    "the tree of the {stored_size} stored records is not the one that was stored: a record was changed"
                ),
            );
        }
        if let Some((size, root)) = mark
            && frontier.size() == size
            && frontier.root() != root
        {
            wrong(
                None,
                folder.high_water.clone(),
                format!("the tree of {size} records is not the one that was signed: a record was changed"),
            );
        }
    }
    for ((level, index), hashes) in tiles {
        let kept = match catalog.tile(tenant.number, level, index) {
            // Named already, by the check of the catalog's rows.
            Err(e) if e.is_damage() => continue,
            kept => kept?,
        };
        if kept.as_deref() != Some(hashes.as_slice()) {
            let first = (index * 256) << (8 * u32::from(level));
            wrong(
                Some(first),
                folder.catalog(),
                format!("tile {index} of level {level} is not the one its records make"),
            );
        }
    }
    Ok(())
}

/// The runs of indexes whose record no file gave.
fn missing(tenant: &str, of: &Leaves) -> Vec<Lost> {
    let mut runs: Vec<Lost> = Vec::new();
    for (index, _) in (0u64..).zip(&of.hashes).filter(|(_, leaf)| leaf.is_none()) {
        match runs.last_mut() {
            Some(run) if run.last + 1 == index => run.last = index,
            _ => runs.push(Lost { tenant: tenant.to_owned(), first: index, last: index }),
        }
    }
    runs
}
