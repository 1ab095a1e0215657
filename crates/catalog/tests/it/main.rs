//! The catalog from outside: a real file in a temporary folder, reopened as a crash or a restart would.
#![allow(clippy::unwrap_used, reason = "tests")]

mod auth;
mod damage;
mod gaps;
mod jobs;
mod model;
mod seal;
mod sources;
mod speed;
mod store;

use std::path::PathBuf;

use catalog::{Catalog, Segment, Slice};
use tempfile::TempDir;

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.0.path().join("catalog.db")
    }

    pub(crate) fn sum(&self) -> PathBuf {
        self.0.path().join("catalog.sum")
    }

    pub(crate) fn open(&self) -> Catalog {
        Catalog::open(&disk::local(), &self.db()).unwrap()
    }

    /// A catalog with tenants 1 to `count`, named t1, t2...
    pub(crate) fn with_tenants(&self, count: u32) -> Catalog {
        let catalog = self.open();
        for number in 1..=count {
            let (tenant, created) = catalog.create_tenant(&format!("t{number}"), "{}", 1).unwrap();
            assert!(created && tenant.number == number);
        }
        catalog
    }
}

/// A segment of `rows` rows per tenant.
pub(crate) fn segment(id: u64, tenants: &[u32], rows: u64) -> Segment {
    let slices = (0u64..).zip(tenants).map(|(at, &tenant)| Slice {
        tenant,
        row_start: at * rows,
        rows,
        min_time: 1_700_000_000_000_000 + at as i64,
        max_time: 1_700_000_060_000_000 + at as i64,
        min_index: 1_000,
        max_index: 999 + rows,
    });
    Segment {
        id,
        level: 0,
        rows: rows * tenants.len() as u64,
        bytes: 123_456,
        sha256: [id as u8; 32],
        filter_bytes: 789,
        filter_sha256: [!(id as u8); 32],
        created_at: 42,
        slices: slices.collect(),
    }
}

#[test]
fn it_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Catalog>();
}
