//! The check that stands before every segment: each row, read back from the file, hashes to its leaf.
//!
//! A row that is byte for byte the one this process committed to hashes to the same leaf, and is not hashed to see it:
//! that is how a flush looks at rows of the tail. Merges, and rows that came out of the journal at a start, are hashed.

use crate::error::{Error, Result};
use crate::keys::Salts;
use crate::leaves::Leaves;
use crate::rehash::Gathered;
use crate::store::Store;
use catalog::Tenant;
use event::commit::CommitError;
use ledger::Hash;
use segments::{RowRef, SegmentInfo};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Rows read back between two calls of `pace`.
const PACED_ROWS: u64 = 4096;

impl Store {
    /// Reads the segments back and compares every row's leaf with what `leaves` expects; all of that must be there
    /// once. `known` gives the leaf of a row that need not be hashed. `pace` is called every few thousand rows.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for the first row that differs or is missing; `pace`'s.
    pub(crate) fn admit(
        &self,
        infos: &[SegmentInfo],
        leaves: &mut Leaves,
        known: &dyn Fn(u32, &RowRef<'_>) -> Option<Hash>,
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
                walk.row(&row, known, &mut |tenant, index, leaf| leaves.take(tenant, index, leaf))
            })?;
            walk.end(&mut |tenant, index, leaf| leaves.take(tenant, index, leaf))?;
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

/// What becomes of a leaf, by tenant and index: whether it is as expected.
pub(crate) type Take<'a> = dyn FnMut(u32, u64, Hash) -> bool + 'a;

/// Rows of one file, with the tenant that the row number says they belong to.
pub(crate) struct Walk<'a> {
    store: &'a Store,
    info: &'a SegmentInfo,
    slice: usize,
    row: u64,
    tenant: Arc<Tenant>,
    salts: Salts<'a>,
    gathered: Gathered,
}

impl<'a> Walk<'a> {
    pub fn new(store: &'a Store, info: &'a SegmentInfo) -> Result<Walk<'a>> {
        let tenant = store.tenant(info.slices.first().map_or(0, |s| s.tenant))?;
        Ok(Walk::of(store, info, tenant))
    }

    /// For some rows of a file, all of one tenant: see [`gather`](Self::gather).
    pub fn of(store: &'a Store, info: &'a SegmentInfo, tenant: Arc<Tenant>) -> Walk<'a> {
        let salts = store.keys.reader(&tenant);
        Walk { store, info, slice: 0, row: 0, tenant, salts, gathered: Gathered::default() }
    }

    /// The next row. `take` is given the leaves of rows some time after they came, at the latest at the
    /// [`end`](Self::end); a leaf that is `known` at once.
    pub fn row(
        &mut self,
        row: &RowRef<'_>,
        known: &dyn Fn(u32, &RowRef<'_>) -> Option<Hash>,
        take: &mut Take<'_>,
    ) -> Result<()> {
        while let Some(slice) = self.info.slices.get(self.slice)
            && self.row >= slice.row_start + slice.rows
        {
            self.end(take)?;
            self.slice += 1;
            if let Some(next) = self.info.slices.get(self.slice) {
                self.tenant = self.store.tenant(next.tenant)?;
                self.salts = self.store.keys.reader(&self.tenant);
            }
        }
        self.row += 1;
        self.belongs(row)?;
        match known(self.tenant.number, row) {
            Some(leaf) => self.check(row.index, leaf, take),
            None => self.hold(row, take),
        }
    }

    /// As [`row`](Self::row), for a row of the tenant at hand.
    pub fn gather(&mut self, row: &RowRef<'_>, take: &mut Take<'_>) -> Result<()> {
        self.belongs(row)?;
        self.hold(row, take)
    }

    fn hold(&mut self, row: &RowRef<'_>, take: &mut Take<'_>) -> Result<()> {
        if self.gathered.push(row) { self.end(take) } else { Ok(()) }
    }

    /// Hands on the leaves of all rows that came.
    pub fn end(&mut self, take: &mut Take<'_>) -> Result<()> {
        for row in self.gathered.hash(&mut self.salts) {
            let leaf = row.leaf.map_err(|e| match e {
                CommitError::Key(e) => e.into(),
                e => self.wrong(row.index, e.to_string()),
            })?;
            self.check(row.index, leaf, take)?;
        }
        Ok(())
    }

    fn check(&self, index: u64, leaf: Hash, take: &mut Take<'_>) -> Result<()> {
        if take(self.tenant.number, index, leaf) {
            return Ok(());
        }
        let what = "the row, or one of its 256 neighbours, does not hash to what was sealed";
        Err(self.wrong(index, what.into()))
    }

    fn belongs(&self, row: &RowRef<'_>) -> Result<()> {
        if row.tenant == self.tenant.slug {
            return Ok(());
        }
        Err(self.wrong(row.index, format!("the row says it belongs to {}", row.tenant)))
    }

    fn wrong(&self, index: u64, what: String) -> Error {
        Error::Mismatch { segment: self.info.id, tenant: self.tenant.slug.clone(), index, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Folder, Settings};
    use event::EntryKind;
    use event::commit;
    use event::parse::Parser;
    use event::redact::Rules;
    use segments::write_segment;
    use std::time::Duration;

    /// Rows of a tenant as a segment of its own, and what each must hash to.
    fn written(store: &Store, count: u64) -> (Arc<Tenant>, SegmentInfo, Vec<Hash>) {
        let (tenant, _) = store.catalog().create_tenant("acme", "{}", 1).unwrap();
        let rules = Rules::default();
        let parser = Parser { rules: &rules, tenant: "acme", now: 1 };
        let mut salts = store.keys().intake(&tenant);
        let kind = EntryKind::Record as u8;
        let (mut rows, mut leaves) = (Vec::new(), Vec::new());
        for n in 0..count {
            let text = format!(
                r#"{{"id":"r{n:04}","time":"1970-01-01T00:00:00Z","log":"event","action":"a","email":"{n}@x.org"}}"#
            );
            let mut row = Vec::new();
            parser.parse(&text, &mut String::new, &mut row).unwrap();
            leaves.push(ledger::leaf_of(kind, 7, &commit::commitment(&row, &mut salts).unwrap()));
            rows.push(row);
        }
        let in_order = rows.iter().enumerate().rev().map(|(n, row)| (row, n as u64));
        let refs =
            in_order.map(|(row, index)| (tenant.number, RowRef { tenant: "acme", index, recorded_at: 7, kind, row }));
        let info = write_segment(&store.folder.segments(), 1, refs).unwrap();
        (tenant, info, leaves)
    }

    #[test]
    fn a_row_that_does_not_hash_to_its_leaf_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let quiet = Settings { flush_after: Duration::from_secs(36_000), compaction_share: 0.0, ..Settings::default() };
        let (store, _) = Store::open(Folder::new(&dir.path().join("data"), None), quiet, Arc::new(|| 9)).unwrap();
        let (tenant, info, leaves) = written(&store, 300);
        let expected = |change: &dyn Fn(&mut Vec<Hash>)| {
            let mut leaves = leaves.clone();
            change(&mut leaves);
            let mut expected = Leaves::default();
            expected.expect(tenant.number, 0..leaves.len() as u64);
            leaves.iter().zip(0..).for_each(|(leaf, index)| expected.put(tenant.number, index, *leaf));
            expected
        };
        let admit = |change: &dyn Fn(&mut Vec<Hash>)| {
            store.admit(std::slice::from_ref(&info), &mut expected(change), &|_, _| None, &mut |_| Ok(()))
        };
        assert!(admit(&|_| {}).is_ok());
        for index in [0, 17, 299] {
            match admit(&|leaves| leaves[index][31] ^= 1).unwrap_err() {
                Error::Mismatch { tenant, index: named, .. } => {
                    assert_eq!((tenant.as_str(), named), ("acme", index as u64))
                }
                other => panic!("{other}"),
            }
        }
        match admit(&|leaves| leaves.push([1; 32])).unwrap_err() {
            Error::Mismatch { index: 300, what, .. } => assert!(what.contains("not written"), "{what}"),
            other => panic!("{other}"),
        }
        match admit(&|leaves| leaves.truncate(299)).unwrap_err() {
            Error::Mismatch { index: 299, .. } => {}
            other => panic!("{other}"),
        }
        store.close().unwrap();
    }
}
