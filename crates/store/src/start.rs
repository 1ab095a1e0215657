//! What a start refuses, and why, and the segments that it opens.
//!
//! Owns the checks before anything in a folder is changed, and the words to whoever has to decide what to do. Not here: the order of a
//! start ([`crate::store`]), and the lock and the keys ([`crate::folder`]).

use crate::error::{Error, Result, io};
use crate::folder::Folder;
use crate::store::info_of;
use catalog::{Catalog, ChangesState, SealState};
use segments::Segment;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// Refuses a folder whose catalog is not what was written, as far as can be told before it is opened. Changes nothing, the catalog's
/// log neither. Gives what its seal says.
///
/// # Errors
/// [`Error::Folder`] with what to do.
pub(crate) fn refuse_damaged(folder: &Folder) -> Result<SealState> {
    let disk = folder.disk.as_ref();
    let seal = Catalog::verify_sealed(disk, &folder.catalog(), &folder.catalog_sum())?;
    if let SealState::Damaged { reason } = seal {
        return Err(Error::Folder(format!(
            "{reason}. Not started: the catalog may not be what it was at the last shutdown. `indelible verify --data {dir}` says what is damaged, and `indelible rebuild --data {dir}` mends it where only tiles are; else restore it from a copy",
            dir = folder.dir.display()
        )));
    }
    if let Some(damage) = Catalog::check_log(disk, &folder.catalog())? {
        return Err(Error::Folder(format!(
            "{} is {damage}. Nothing was changed. Put the catalog back from a copy, with its -wal file; or, to go on without those changes, `indelible repair --data {} --confirm` cuts the log off there and keeps the damaged one beside it",
            damage.path.display(),
            folder.dir.display()
        )));
    }
    refuse_remains(folder)?;
    if seal == SealState::NotSealed {
        refuse_lost_changes(folder)?;
    }
    Ok(seal)
}

/// Refuses a folder that has records and no catalog that knows of a ledger: a first start would set aside what is left of it.
fn refuse_remains(folder: &Folder) -> Result<()> {
    let remains = if has_files(folder, &folder.segments().path)? { folder.segments().path } else { folder.journal() };
    if !has_files(folder, &remains)?
        || Catalog::peek_meta(folder.disk.as_ref(), &folder.catalog(), "ledger.id")?.is_some()
    {
        return Ok(());
    }
    Err(Error::Folder(format!(
        "{} is missing, or lost what was in it, and {} is not empty. Nothing was changed. Put the catalog back from a copy, with its -wal file if there was one; or, to begin anew, move {} away",
        folder.catalog().display(),
        remains.display(),
        folder.dir.display()
    )))
}

/// Refuses a catalog that has lost what was answered: keys that were given out, settings, tenants.
fn refuse_lost_changes(folder: &Folder) -> Result<()> {
    match Catalog::check_changes(folder.disk.as_ref(), &folder.catalog())? {
        ChangesState::Whole => Ok(()),
        ChangesState::Lost { changes } => Err(Error::Folder(format!(
            "{db} has lost the last {changes} changes that were answered: {db}-wal is gone, or its end is not what was written. Nothing was changed. Put the catalog back from a copy, with its -wal file; or, to go on without those changes, `indelible repair --data {dir} --confirm`",
            db = folder.catalog().display(),
            dir = folder.dir.display()
        ))),
        ChangesState::Damaged { path } => {
            tracing::warn!(
                "{} is damaged; it only counts the changes of the catalog, and is made anew",
                path.display()
            );
            Ok(())
        }
    }
}

/// Whether there are records in a folder, or were.
pub(crate) fn has_remains(folder: &Folder) -> Result<bool> {
    Ok(has_files(folder, &folder.segments().path)? || has_files(folder, &folder.journal())?)
}

fn has_files(folder: &Folder, dir: &Path) -> Result<bool> {
    match folder.disk.list(dir) {
        Ok(files) => Ok(!files.is_empty()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(io("look into", dir)(e)),
    }
}

/// What the journal says against a start, with names instead of numbers and what to do.
pub(crate) fn explain(e: ledger::JournalError, folder: &Folder, catalog: &Catalog) -> Error {
    match e {
        ledger::JournalError::Behind { tenant, have, signed } => Error::Folder(format!(
            "tenant {}: the data folder has {have} records, and {signed} were signed, as the high-water mark {} says: it is an old copy, or has lost its end. Not started, for another history must not be signed. Put the newest copy back; if there is none, `indelible repair --data {}` says what is lost",
            catalog.tenant_by_number(tenant).map_or_else(|| format!("number {tenant}"), |t| t.slug.clone()),
            folder.high_water.display(),
            folder.dir.display()
        )),
        other => other.into(),
    }
}

/// Opens every segment of the catalog, mends missing or damaged filters, and removes files that no
/// transaction ever added.
///
/// # Errors
/// A segment that is missing or damaged, with what to do; the disk's.
pub(crate) fn load_segments(folder: &Folder, catalog: &Catalog) -> Result<Vec<Arc<Segment>>> {
    let dir = folder.segments();
    let mut set = Vec::new();
    let mut known = HashSet::new();
    for row in catalog.segments()? {
        known.insert(row.id);
        set.push(open_segment(folder, info_of(&row))?);
    }
    for id in catalog.retired()? {
        if !known.contains(&id) {
            segments::remove(&dir, id)?;
        }
    }
    for path in dir.disk.list(&dir.path).map_err(io("list", &dir.path))? {
        let id = path
            .file_stem()
            .and_then(|n| n.to_str())
            .and_then(|n| u64::from_str_radix(n.split('.').next().unwrap_or(n), 16).ok());
        if id.is_none_or(|id| !known.contains(&id)) {
            dir.disk.remove(&path).map_err(io("remove", &path))?;
        }
    }
    Ok(set)
}

fn open_segment(folder: &Folder, info: segments::SegmentInfo) -> Result<Arc<Segment>> {
    let dir = folder.segments();
    let open = || match Segment::open(&dir, info.clone()) {
        Err(segments::Error::Filters { .. }) => {
            tracing::warn!(segment = info.id, "the look-up filters are missing or damaged; making them anew");
            segments::rebuild_filters(&dir, &info)?;
            Segment::open(&dir, info.clone())
        }
        other => other,
    };
    open().map_err(|e| match e {
        e if Error::is_unreadable_segment(&e) => e.into(),
        e => Error::Folder(format!(
            "{e}. Not started. Put the file back from any copy that has it: segments never change. `indelible repair --data {}` says which records are in it",
            folder.dir.display()
        )),
    })
}
