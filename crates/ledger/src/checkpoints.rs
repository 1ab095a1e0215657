//! Signed checkpoints: one signer per installation, one origin per tenant, at most one a second and only
//! for tenants that have grown.
//!
//! Owns the order that matters: mark, then show. Not here: the formats (`merkle`) and serving them.

use crate::highwater::{HighWater, HighWaterError};
use crate::{Hash, Ledger};
use merkle::checkpoint::Checkpoint;
use merkle::note::SigningKey;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The newest published checkpoint of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Size of the tree.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// The signed note, verbatim.
    pub note: String,
}

/// Signs and remembers checkpoints.
pub struct Checkpoints {
    high_water: HighWater,
    seed: [u8; 32],
    host: String,
    newest: Mutex<HashMap<u32, Arc<Published>>>,
    grown: Condvar,
    keys: Mutex<HashMap<u32, Arc<SigningKey>>>,
    /// One at a time, so that an older head never meets a newer mark.
    publishing: Mutex<()>,
}

/// Why a checkpoint could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The mark refused or could not be moved.
    #[error(transparent)]
    HighWater(#[from] HighWaterError),
    /// The origin or key is not usable.
    #[error("checkpoint: {0}")]
    Note(String),
}

impl Checkpoints {
    /// A signer with this Ed25519 seed for origins `<host>/t/<tenant>`.
    pub fn new(high_water: HighWater, seed: [u8; 32], host: String) -> Self {
        Self {
            high_water,
            seed,
            host,
            newest: Mutex::default(),
            grown: Condvar::new(),
            keys: Mutex::default(),
            publishing: Mutex::default(),
        }
    }

    /// The origin, which is also the key's name.
    pub fn origin(&self, slug: &str) -> String {
        format!("{}/t/{slug}", self.host)
    }

    /// The tenant's key: one pair of key bytes, named after the origin.
    ///
    /// # Errors
    /// [`SignError::Note`] where the host makes no valid key name.
    pub fn key(&self, tenant: u32, slug: &str) -> Result<Arc<SigningKey>, SignError> {
        let mut keys = self.keys.lock();
        if let Some(key) = keys.get(&tenant) {
            return Ok(Arc::clone(key));
        }
        let key = SigningKey::new(&self.origin(slug), &self.seed).map_err(|e| SignError::Note(e.to_string()))?;
        let key = Arc::new(key);
        keys.insert(tenant, Arc::clone(&key));
        Ok(key)
    }

    /// The marks, for recovery's check of rebuilt trees.
    pub fn high_water(&self) -> &HighWater {
        &self.high_water
    }

    /// The newest checkpoint, signing one now where none is published since the start.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn newest(&self, ledger: &Ledger, tenant: u32, slug: &str) -> Result<Arc<Published>, SignError> {
        if let Some(p) = self.newest.lock().get(&tenant) {
            return Ok(Arc::clone(p));
        }
        self.publish(ledger, &[(tenant, slug.to_owned())])?;
        self.newest.lock().get(&tenant).cloned().ok_or_else(|| SignError::Note("nothing was published".into()))
    }

    /// Signs what has grown among these tenants. When this returns the checkpoints are published.
    ///
    /// # Errors
    /// [`SignError`] with none of them published.
    pub fn publish(&self, ledger: &Ledger, tenants: &[(u32, String)]) -> Result<usize, SignError> {
        let _one = self.publishing.lock();
        let mut heads = Vec::new();
        let mut notes = Vec::new();
        for (tenant, slug) in tenants {
            let head = ledger.head(*tenant);
            if self.newest.lock().get(tenant).is_some_and(|p| p.size == head.size) {
                continue;
            }
            let checkpoint = Checkpoint { origin: self.origin(slug), size: head.size, root: head.root };
            let note =
                checkpoint.sign(self.key(*tenant, slug)?.as_ref()).map_err(|e| SignError::Note(e.to_string()))?;
            heads.push((*tenant, head.size, head.root));
            notes.push((*tenant, Published { size: head.size, root: head.root, note }));
        }
        self.high_water.advance(&heads)?;
        // The mark is durable: a crash from here on costs nothing but signing again.
        let published = notes.len();
        let mut newest = self.newest.lock();
        for (tenant, note) in notes {
            match newest.get(&tenant) {
                Some(p) if p.size > note.size => {}
                _ => {
                    newest.insert(tenant, Arc::new(note));
                }
            }
        }
        self.grown.notify_all();
        Ok(published)
    }

    /// Waits until a checkpoint of at least `size` is published; `None` after `patience`.
    pub fn wait(&self, tenant: u32, size: u64, patience: Duration) -> Option<Arc<Published>> {
        let until = Instant::now() + patience;
        let mut newest = self.newest.lock();
        loop {
            if let Some(p) = newest.get(&tenant).filter(|p| p.size >= size) {
                return Some(Arc::clone(p));
            }
            if self.grown.wait_until(&mut newest, until).timed_out() {
                return None;
            }
        }
    }
}
