//! What the ledger's tests share: chance that can be repeated, a disk that fails, a plain model, a driver.
#![allow(dead_code)]

pub mod driver;
pub mod model;

use ledger::{Batch, Clock, Config, Hash, IdKey, Pending};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
pub use testdisk::{Fault, FaultyDisk, Lie, Rng};

/// Name of every test's ledger.
pub const LEDGER: [u8; 16] = *b"a ledger of ours";

/// The clock of a test: it stands where it is put.
#[derive(Debug, Clone, Default)]
pub struct TestClock(Arc<AtomicI64>, Arc<AtomicU64>);

impl TestClock {
    pub fn set(&self, now: i64) {
        self.0.store(now, Ordering::Relaxed);
    }

    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn clock(&self) -> Clock {
        let at = self.clone();
        Arc::new(move || {
            at.1.fetch_add(1, Ordering::Release);
            at.get()
        })
    }

    /// How often the ledger has looked at it: once for each frame it puts together.
    pub fn looks(&self) -> u64 {
        self.1.load(Ordering::Acquire)
    }
}

/// Limits that no test meets by chance.
pub fn config(dir: &Path) -> Config {
    Config {
        dir: dir.to_owned(),
        ledger: LEDGER,
        pool_bytes: 64 << 20,
        tail_bytes: 256 << 20,
        freeze_bytes: usize::MAX,
        overlap_bytes: 1,
    }
}

pub fn journal() -> PathBuf {
    PathBuf::from("/data/journal")
}

/// A row of these tests: `id|content`; an empty id is none.
pub fn row(id: &str, content: &str) -> Vec<u8> {
    format!("{id}|{content}").into_bytes()
}

/// The id in a row, as a key.
pub fn key_of(tenant: u32, row: &[u8]) -> Option<IdKey> {
    let id = row.split(|b| *b == b'|').next().filter(|id| !id.is_empty())?;
    let mut bytes = tenant.to_le_bytes().to_vec();
    bytes.extend_from_slice(id);
    let hash = merkle::leaf_hash(&bytes);
    Some(u128::from_le_bytes(hash[..16].try_into().unwrap()))
}

/// The commitment of a row: here a hash of its bytes.
pub fn commitment_of(row: &[u8]) -> Hash {
    merkle::leaf_hash(row)
}

/// A batch of these rows, with no word on what is stored.
pub fn batch(tenant: u32, id_epoch: u64, rows: &[Vec<u8>]) -> Batch {
    let mut batch = Batch { tenant, id_epoch, ..Batch::default() };
    for row in rows {
        let start = batch.rows.len();
        batch.rows.extend_from_slice(row);
        let place = start..batch.rows.len();
        let (commitment, id) = (commitment_of(row), key_of(tenant, row));
        let sum = ledger::sum_of(row);
        batch.records.push(Pending { kind: 0, row: place, commitment, sum, id, known: None });
    }
    batch
}
