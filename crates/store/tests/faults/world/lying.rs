//! What happens to a folder that nobody has open: bits turn over, and old copies are put back.

use super::World;
use crate::model::{self, Wrong};
use crate::vfs;
use std::path::PathBuf;
use store::verify::verify;
use testdisk::FaultyDisk;

impl World {
    /// A bit of a folder that was closed in order turns over: it is found, and whatever is still answered is right.
    pub(super) fn rot(&mut self) -> Result<(), String> {
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
    pub(super) fn old_copy(&mut self) -> Result<(), String> {
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
}
