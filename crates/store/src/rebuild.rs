//! Making everything derived anew, from the rows alone: look-up filters, and tiles of level 1 and up.
//!
//! The rows are checked first: their files, their leaves, and that they make the trees that were stored; on
//! anything else nothing is built and nothing is changed. Each `.idx` is replaced by a rename and the catalog in
//! one transaction, so a crash at any moment leaves old or new, and a folder that starts.

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::keys::KeyStore;
use crate::store::{info_of, is_there};
use crate::trees::{Put, Trees};
use crate::verify::{Finding, ReadRow, check_segments, cores, slug, twice};
use catalog::{Catalog, Derived, SealState, TileRow};
use merkle::Frontier;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What was made anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Rows it was made from.
    pub records: u64,
    /// Filter files.
    pub filters: usize,
    /// Filter files that were missing or other bytes than now.
    pub filters_changed: usize,
    /// Tiles.
    pub tiles: usize,
    /// Tiles that were missing, damaged or other ones than now.
    pub tiles_changed: usize,
}

/// Makes everything derived in a folder anew. `progress` is told the records read.
///
/// # Errors
/// Where the folder is in use, or what it would be made from is damaged: then nothing was changed.
pub fn rebuild(folder: &Folder, progress: &(dyn Fn(u64) + Sync)) -> Result<Rebuilt> {
    let disk = &folder.disk;
    if !is_there(disk.as_ref(), &folder.catalog())? {
        return Err(Error::Folder(format!("{} is not a data folder: it has no catalog.db", folder.dir.display())));
    }
    let _lock = folder.lock()?;
    if let Some(damage) = Catalog::check_log(disk.as_ref(), &folder.catalog())? {
        return Err(refused(&format!("{} is {damage}", damage.path.display())));
    }
    let sum = folder.catalog_sum();
    let sealed = Catalog::verify_sealed(disk.as_ref(), &folder.catalog(), &sum)?;
    if sealed == SealState::NotSealed
        && let catalog::ChangesState::Lost { changes } = Catalog::check_changes(disk.as_ref(), &folder.catalog())?
    {
        return Err(refused(&format!("{} has lost its last {changes} changes", folder.catalog().display())));
    }
    let before = Arc::new(Catalog::open_read_only(disk, &folder.catalog())?);
    if let Some(first) = before.check_underived()?.into_iter().next() {
        return Err(refused(&first));
    }
    let list: Vec<_> = before.segments()?.iter().map(info_of).collect();
    let trees = read_trees(folder, &before, &list, progress)?;
    let mut derived = Derived::default();
    let mut out = Rebuilt { filters: list.len(), ..Rebuilt::default() };
    out.records = list.iter().map(|i| i.rows).sum();
    for (tenant, tiles) in trees {
        for ((level, index), hashes) in tiles {
            let same = before.tile(tenant, level, index).is_ok_and(|kept| kept.as_deref() == Some(&hashes[..]));
            out.tiles_changed += usize::from(!same);
            derived.tiles.push(TileRow { tenant, level, index, hashes });
        }
    }
    out.tiles = derived.tiles.len();
    // A seal that does not fit is explained where tiles are damaged, and nothing else is.
    if let SealState::Damaged { reason } = &sealed
        && out.tiles_changed == 0
    {
        return Err(refused(reason));
    }
    for info in &list {
        let sound = segments::verify_files(&folder.segments(), info).is_ok();
        let (bytes, sha256) = segments::rebuild_filters(&folder.segments(), info)?;
        let same = (bytes, sha256) == (info.filter_bytes, info.filter_sha256);
        out.filters_changed += usize::from(!sound || !same);
        if !same {
            derived.filters.push((info.id, bytes, sha256));
        }
    }
    drop(before);
    Catalog::unseal_file(disk.as_ref(), &sum)?;
    let catalog = Catalog::open(disk, &folder.catalog())?;
    catalog.replace_derived(&derived)?;
    // A folder that was not closed in order is not closed in order by this: its journal may end in the middle of a frame.
    if sealed != SealState::NotSealed {
        catalog.seal_file(&sum)?;
    }
    Ok(out)
}

fn refused(what: &str) -> Error {
    Error::Damaged(format!(
        "nothing was made anew, for what it would be made from is damaged: {what}. `indelible repair` shows what can be done"
    ))
}

/// The tiles of every tenant's tree, from its rows, which make the tree that was stored.
fn read_trees(
    folder: &Folder,
    catalog: &Arc<Catalog>,
    list: &[segments::SegmentInfo],
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<(u32, crate::trees::TileMap)>> {
    let mut stored: HashMap<u32, Frontier> = HashMap::new();
    for (tenant, _, bytes) in catalog.frontiers()? {
        let frontier = Frontier::from_bytes(&bytes).map_err(|e| refused(&format!("tenant {tenant}: {e}")))?;
        stored.insert(tenant, frontier);
    }
    let keys = KeyStore::new(Arc::clone(catalog));
    let trees = Mutex::new(Trees::of(stored.iter().map(|(tenant, f)| (*tenant, f.size()))));
    let sink = |segment: u64, read: &mut Vec<ReadRow>, findings: &mut Vec<Finding>| {
        let mut trees = trees.lock().unwrap_or_else(PoisonError::into_inner);
        for (tenant, index, leaf, _) in read.drain(..) {
            if trees.put(tenant, index, leaf) != Put::Kept {
                findings.push(twice(folder, catalog, segment, tenant, index));
            }
        }
        true
    };
    let (_, findings) = check_segments(folder, catalog, &keys, list, cores(), &sink, progress);
    let derived = |f: &&Finding| f.file.extension().is_some_and(|e| e == "idx");
    if let Some(first) = findings.iter().find(|f| !derived(f)) {
        return Err(match first.unreadable {
            true => Error::Folder(format!("nothing was made anew: {first}")),
            false => refused(&first.to_string()),
        });
    }
    let trees = trees.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut out = Vec::new();
    for (tenant, tree) in &trees.0 {
        let name = slug(catalog, *tenant).unwrap_or_else(|| tenant.to_string());
        let (frontier, tiles) =
            tree.close().map_err(|index| refused(&format!("tenant {name}, index {index}: the record is missing")))?;
        if stored.get(tenant) != Some(&frontier) {
            return Err(refused(&format!("tenant {name}: its records do not make the tree that was stored")));
        }
        out.push((*tenant, tiles));
    }
    Ok(out)
}
