//! The check that stands before every segment: each row, read back from the file, hashes to its leaf.

use crate::error::{Error, Result};
use crate::keys::Salts;
use crate::leaves::Leaves;
use crate::store::Store;
use catalog::Tenant;
use event::commit;
use ledger::Hash;
use segments::{RowRef, SegmentInfo};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Rows read back between two calls of `pace`.
const PACED_ROWS: u64 = 4096;

impl Store {
    /// Reads the segments back and compares every row's leaf with what `leaves` expects; all of that must be there
    /// once. `pace` is called every few thousand rows.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for the first row that differs or is missing; `pace`'s.
    pub(crate) fn admit(
        &self,
        infos: &[SegmentInfo],
        leaves: &mut Leaves,
        pace: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let dir = self.folder.segments();
        for info in infos {
            let mut walk = Walk::new(self, info)?;
            let mut rows = 0;
            segments::admit(&dir, info, &mut |row: RowRef<'_>| {
                rows += 1;
                if rows % PACED_ROWS == 0 {
                    pace(rows)?;
                }
                walk.row(row, leaves)
            })?;
        }
        match leaves.left() {
            None => Ok(()),
            Some((tenant, index)) => Err(Error::Mismatch {
                segment: infos.first().map_or(0, |i| i.id),
                tenant: self.tenant(tenant)?.slug.clone(),
                index,
                what: "the row was not written".into(),
            }),
        }
    }
}

impl Store {
    /// Removes the files of a flush or merge that failed, so that trying again and again fills no disk.
    ///
    /// After a commit that failed they stay: it may be found done after a crash, and then they are the rows. The
    /// next start removes them where it was not.
    pub(crate) fn discard(&self, ids: &[u64], why: &Error) {
        if matches!(why, Error::Mismatch { .. }) {
            self.counters.mismatches.fetch_add(1, Ordering::Relaxed);
        }
        if matches!(why, Error::Catalog(catalog::Error::Commit { .. })) {
            return;
        }
        for id in ids {
            if let Err(e) = segments::remove(&self.folder.segments(), *id) {
                tracing::warn!(error = %e, "the next start removes it");
            }
        }
    }
}

/// Rows of one file, with the tenant that the row number says they belong to.
pub(crate) struct Walk<'a> {
    store: &'a Store,
    info: &'a SegmentInfo,
    slice: usize,
    row: u64,
    tenant: Arc<Tenant>,
    salts: Salts<'a>,
}

impl<'a> Walk<'a> {
    pub fn new(store: &'a Store, info: &'a SegmentInfo) -> Result<Walk<'a>> {
        let tenant = store.tenant(info.slices.first().map_or(0, |s| s.tenant))?;
        let salts = store.keys.reader(&tenant);
        Ok(Walk { store, info, slice: 0, row: 0, tenant, salts })
    }

    /// The next row: its tenant's number, and its leaf.
    pub fn leaf(&mut self, row: &RowRef<'_>) -> Result<(u32, Hash)> {
        while let Some(slice) = self.info.slices.get(self.slice)
            && self.row >= slice.row_start + slice.rows
        {
            self.slice += 1;
            if let Some(next) = self.info.slices.get(self.slice) {
                self.tenant = self.store.tenant(next.tenant)?;
                self.salts = self.store.keys.reader(&self.tenant);
            }
        }
        self.row += 1;
        let wrong = |what: String| Error::Mismatch {
            segment: self.info.id,
            tenant: self.tenant.slug.clone(),
            index: row.index,
            what,
        };
        if row.tenant != self.tenant.slug {
            return Err(wrong(format!("the row says it belongs to {}", row.tenant)));
        }
        let commitment = commit::commitment(row.row, &mut self.salts).map_err(|e| match e {
            commit::CommitError::Key(e) => e.into(),
            e => wrong(e.to_string()),
        })?;
        Ok((self.tenant.number, ledger::leaf_of(row.kind, row.recorded_at, &commitment)))
    }

    fn row(&mut self, row: RowRef<'_>, leaves: &mut Leaves) -> Result<()> {
        let (tenant, leaf) = self.leaf(&row)?;
        if leaves.take(tenant, row.index, leaf) {
            return Ok(());
        }
        Err(Error::Mismatch {
            segment: self.info.id,
            tenant: self.tenant.slug.clone(),
            index: row.index,
            what: "the row, or one of its 256 neighbours, does not hash to what was sealed".into(),
        })
    }
}
