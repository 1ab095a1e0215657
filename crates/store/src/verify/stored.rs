//! Segments read again: their files against their hashes, their rows to their leaves, on all cores.
//!
//! Not here: what the leaves are compared with, which whoever takes the rows knows.

use super::Finding;
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::keys::{KeyStore, Salts};
use crate::rehash::Gathered;
use catalog::{Catalog, Tenant};

use ledger::Hash;
use segments::Segment;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub(crate) fn slug(catalog: &Catalog, tenant: u32) -> Option<String> {
    catalog.tenant_by_number(tenant).map(|t| t.slug.clone())
}

/// A part of the check of one segment.
enum Job {
    /// Its files against their hashes.
    Files,
    /// Rows of one row group.
    Rows(std::ops::Range<u64>),
}

/// A row read: tenant, index, leaf, when it was sealed.
pub(crate) type ReadRow = (u32, u64, Hash, i64);

/// Takes rows in batches, with the segment they are from, and empties the batch; adds what is wrong with them.
/// Says whether to go on.
pub(crate) type Sink<'a> = dyn Fn(u64, &mut Vec<ReadRow>, &mut Vec<Finding>) -> bool + Sync + 'a;

/// Rows that are handed on at a time.
const BATCH: usize = 4096;

pub(crate) fn twice(folder: &Folder, catalog: &Catalog, segment: u64, tenant: u32, index: u64) -> Finding {
    Finding::new(segments::parquet_path(&folder.segments().path, segment), "the index stands twice or beyond the tree")
        .at(slug(catalog, tenant), Some(index))
}

/// A segment being checked.
struct Checked<'a> {
    info: &'a segments::SegmentInfo,
    file: PathBuf,
    segment: Option<Arc<Segment>>,
    findings: Mutex<Vec<Finding>>,
    /// The first row that could not be read, and why.
    unread: Mutex<Option<(u64, Error)>>,
    file_error: Mutex<Option<Error>>,
}

/// What the threads of the check share.
struct Shared<'a> {
    folder: &'a Folder,
    catalog: &'a Catalog,
    keys: &'a KeyStore,
    sink: &'a Sink<'a>,
    /// Whoever takes the rows wants no more.
    enough: AtomicBool,
    records: AtomicU64,
    progress: &'a (dyn Fn(u64) + Sync),
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// As many threads as there are cores, eight at most.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, |n| n.get()).min(8)
}

/// Checks the files of segments and hashes every row of them again, row groups side by side on `threads`. Gives the
/// rows read and what is wrong.
pub(crate) fn check_segments(
    folder: &Folder,
    catalog: &Catalog,
    keys: &KeyStore,
    list: &[segments::SegmentInfo],
    threads: usize,
    sink: &Sink<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> (u64, Vec<Finding>) {
    let dir = folder.segments();
    let mut all = Vec::new();
    let mut jobs = Vec::new();
    for info in list {
        let opened = Segment::open_rows(&dir, info.clone());
        jobs.push((all.len(), Job::Files));
        if let Ok(segment) = &opened {
            jobs.extend(segment.row_groups().map(|rows| (all.len(), Job::Rows(rows))));
        }
        let (segment, unread) = match opened {
            Ok(segment) => (Some(segment), None),
            Err(e) => (None, Some((0, e.into()))),
        };
        all.push(Checked {
            info,
            file: segments::parquet_path(&dir.path, info.id),
            segment,
            findings: Mutex::default(),
            unread: Mutex::new(unread),
            file_error: Mutex::default(),
        });
    }
    let (records, enough) = (AtomicU64::new(0), AtomicBool::new(false));
    let shared = Shared { folder, catalog, keys, sink, enough, records, progress };
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((of, job)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if shared.enough.load(Ordering::Relaxed) {
                return;
            }
            match (all.get(*of), job) {
                (Some(checked), Job::Files) => check_files(&shared, checked),
                (Some(checked), Job::Rows(rows)) => check_rows(&shared, checked, rows),
                (None, _) => {}
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let mut findings = Vec::new();
    for checked in all {
        findings.extend(checked.findings.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner));
        let unread = locked(&checked.unread).take().map(|(_, e)| e);
        if let Some(e) = unread.or_else(|| locked(&checked.file_error).take()) {
            // Which records that concerns is known when all segments have been read.
            findings.push(Finding::failed(checked.file, &e));
        }
    }
    (shared.records.into_inner(), findings)
}

fn check_files(shared: &Shared<'_>, checked: &Checked<'_>) {
    match segments::verify_files(&shared.folder.segments(), checked.info) {
        Ok(()) => {}
        Err(segments::Error::Filters { path, what }) => {
            locked(&checked.findings).push(Finding::new(path, what));
        }
        // Said at the end, unless a record can be named.
        Err(e) => *locked(&checked.file_error) = Some(e.into()),
    }
}

fn check_rows(shared: &Shared<'_>, checked: &Checked<'_>, rows: &std::ops::Range<u64>) {
    let Some(segment) = &checked.segment else { return };
    let mut rows_of = RowsOf { shared, checked, tenant: None, batch: Vec::new(), findings: Vec::new() };
    let mut visit = |r: segments::RowRef<'_>, number: u32| rows_of.row(&r, number);
    if let Some((at, what)) = read_rows(segment, rows, &mut visit) {
        let mut unread = locked(&checked.unread);
        if unread.as_ref().is_none_or(|(first, _)| at < *first) {
            *unread = Some((at, what));
        }
    }
    rows_of.hash();
    rows_of.hand_on();
    locked(&checked.findings).extend(rows_of.findings);
}

/// What is found while the rows of a segment go by.
struct RowsOf<'a> {
    shared: &'a Shared<'a>,
    checked: &'a Checked<'a>,
    /// Whose rows these are, by number, and those of them that wait to be hashed; `None` where the catalog does not know.
    tenant: Option<(u32, Option<Waiting<'a>>)>,
    batch: Vec<ReadRow>,
    findings: Vec<Finding>,
}

/// A tenant's rows that wait to be hashed.
struct Waiting<'a> {
    tenant: Arc<Tenant>,
    salts: Salts<'a>,
    gathered: Gathered,
}

impl RowsOf<'_> {
    fn row(&mut self, row: &segments::RowRef<'_>, number: u32) {
        if self.shared.enough.load(Ordering::Relaxed) {
            return;
        }
        if self.tenant.as_ref().is_none_or(|(of, _)| *of != number) {
            self.hash();
            let tenant = self.shared.catalog.tenant_by_number(number);
            let waiting = tenant.map(|tenant| {
                let salts = self.shared.keys.reader(&tenant);
                Waiting { tenant, salts, gathered: Gathered::default() }
            });
            self.tenant = Some((number, waiting));
        }
        let Some((_, Some(waiting))) = &mut self.tenant else {
            self.wrong(row.index, super::NO_TENANT.into());
            return;
        };
        let full = waiting.gathered.push(row);
        if waiting.tenant.slug != row.tenant {
            self.wrong(row.index, format!("the row says it belongs to {}", row.tenant));
        }
        if full {
            self.hash();
        }
    }

    fn wrong(&mut self, index: u64, what: String) {
        let tenant = self.tenant.as_ref().and_then(|(_, of)| of.as_ref()).map(|of| of.tenant.slug.clone());
        self.findings.push(Finding::new(self.checked.file.clone(), what).at(tenant, Some(index)));
    }

    /// Hashes the rows that wait.
    fn hash(&mut self) {
        let Some((number, Some(waiting))) = &mut self.tenant else { return };
        let number = *number;
        for row in waiting.gathered.hash(&mut waiting.salts) {
            match row.leaf {
                Ok(leaf) => self.batch.push((number, row.index, leaf, row.recorded_at)),
                Err(e) => self.wrong(row.index, e.to_string()),
            }
        }
        if self.batch.len() >= BATCH {
            self.hand_on();
        }
    }

    fn hand_on(&mut self) {
        let n = self.batch.len() as u64;
        (self.shared.progress)(self.shared.records.fetch_add(n, Ordering::Relaxed) + n);
        if !(self.shared.sink)(self.checked.info.id, &mut self.batch, &mut self.findings) {
            self.shared.enough.store(true, Ordering::Relaxed);
        }
        self.batch.clear();
    }
}

/// Every one of these rows that can be read; otherwise the first that cannot, and why.
fn read_rows(
    segment: &Arc<Segment>,
    rows: &std::ops::Range<u64>,
    visit: &mut dyn FnMut(segments::RowRef<'_>, u32),
) -> Option<(u64, Error)> {
    let page = segments::PAGE_ROWS as u64;
    let mut error = None;
    for slice in &segment.info().slices {
        let mut at = slice.row_start.max(rows.start);
        let end = (slice.row_start + slice.rows).min(rows.end);
        let mut visit = |row: segments::RowRef<'_>| visit(row, slice.tenant);
        let mut by_page = false;
        while at < end {
            let next_page = (at / page + 1) * page;
            let until = if by_page { next_page.min(end) } else { end };
            let Err((read, e)) = read_range(segment, slice.tenant, at..until, &mut visit) else {
                at = until;
                continue;
            };
            at += read;
            // Batches are larger than pages: what is left is read page by page, and of a page that cannot be read
            // the rows before the damage, which are read without it.
            if by_page {
                let reads = |rows: std::ops::Range<u64>| read_range(segment, slice.tenant, rows, &mut |_| {}).is_ok();
                let sound = first(at..until, |row| !reads(at..row + 1));
                let again = read_range(segment, slice.tenant, at..sound, &mut visit);
                error.get_or_insert_with(|| (sound, again.err().map_or(e, |(_, e)| e).into()));
                // A page of long texts has fewer rows: behind its end there may be sound ones.
                at = first(sound + 1..until, |row| reads(row..row + 1));
            }
            by_page = true;
        }
    }
    error
}

/// The first row for which `holds`, which it does not before and does from there on; the end where it never does.
fn first(rows: std::ops::Range<u64>, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (rows.start, rows.end.max(rows.start));
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// Reads rows of one tenant. On an error: how many were visited before it.
fn read_range(
    segment: &Arc<Segment>,
    tenant: u32,
    rows: std::ops::Range<u64>,
    visit: &mut dyn FnMut(segments::RowRef<'_>),
) -> std::result::Result<(), (u64, segments::Error)> {
    let projection: Vec<usize> = (0..segments::columns::COUNT).collect();
    let mut request = segments::ScanRequest::new(tenant, &projection);
    request.rows = Some(rows);
    let mut read = 0;
    let result = segment.scan(&request).and_then(|scan| {
        for batch in scan {
            let batch = batch?;
            segments::batch_to_rows(&batch, |r| -> Result<(), segments::Error> {
                visit(r);
                read += 1;
                Ok(())
            })?;
        }
        Ok(())
    });
    result.map_err(|e| (read, e))
}
