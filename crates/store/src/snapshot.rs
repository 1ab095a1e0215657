//! What one query reads: the segments and the tail of a tenant at one moment, each row once.

use crate::store::Store;
use crate::tail::Block;
use catalog::Tenant;
use segments::Segment;
use std::sync::Arc;

/// A tenant's records below an index.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Whose.
    pub tenant: Arc<Tenant>,
    /// Only records with an index below are part of it.
    pub size: u64,
    /// Segments that hold rows of the tenant. Of them only rows below [`stored`](Self::stored) count.
    pub segments: Vec<Arc<Segment>>,
    /// Rows from here on are read from the tail.
    pub stored: u64,
    /// The tail.
    pub blocks: Vec<Arc<Block>>,
}

impl Store {
    /// The tenant's records now, or as they were when the ledger had `size` of them.
    pub fn snapshot(&self, tenant: &Arc<Tenant>, size: Option<u64>) -> Snapshot {
        let now = self.ledger.size(tenant.number);
        let size = size.map_or(now, |s| s.min(now));
        // The tail first, then the set: what moves in between is in both, and is read from the tail only.
        let (stored, blocks) = self.blocks.of(&self.ledger, tenant.number, &tenant.slug, now);
        let segments = self
            .segments()
            .iter()
            .filter(|s| s.slice(tenant.number).is_some_and(|slice| slice.min_index < size.min(stored)))
            .cloned()
            .collect();
        Snapshot { tenant: Arc::clone(tenant), size, segments, stored, blocks }
    }
}
