//! The hashes of records' leaves, for answers that say where their records stand in the ledger.

use crate::engine::{Engine, Result};
use catalog::Tenant;
use std::collections::HashMap;
use std::sync::Arc;

/// Rows read at once: each may be 1 MiB.
const AT_ONCE: u64 = 32;

impl Engine {
    /// The leaf hash of each of these records of a tenant, by index.
    ///
    /// # Errors
    /// [`crate::Error`]; a record that is not there is one.
    pub fn leaves(&self, tenant: &Arc<Tenant>, indexes: &[u64]) -> Result<HashMap<u64, [u8; 32]>> {
        let mut sorted = indexes.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut leaves = HashMap::with_capacity(sorted.len());
        for run in sorted.chunk_by(|a, b| a + 1 == *b) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let mut at = *first;
            while at <= *last {
                let end = (at + AT_ONCE).min(last + 1);
                leaves.extend(self.store().rows(tenant, at..end)?.into_iter().map(|row| (row.index, row.leaf)));
                at = end;
            }
        }
        Ok(leaves)
    }
}
