//! Personal salt keys: made on first use, remembered, found again.
//!
//! Owns the way from a person's reference (frozen in `event::commit::person_of`) to a key. A key made here is
//! *new* until a batch that carries it is durable; until then every batch that uses it carries it too, so
//! that whichever commits first makes it durable. Not here: where keys are kept (`catalog`, the journal).

use catalog::{Catalog, Tenant};
use event::{Keys, SaltKey};
use ledger::{HashedKeys, PersonKey};
use parking_lot::{Mutex, RwLock};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

const PERSON_DOMAIN: &[u8] = b"indelible/person/v1";
const SHARDS: usize = 64;
/// Keys remembered per shard (about 0.15 KiB each) before a shard forgets those that can be read again.
const SHARD_KEYS: usize = 16_384;

/// Why a key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key of a person in a stored record is gone.
    #[error("the salt key of a person in this record is missing")]
    Missing,
    /// The catalog could not be read.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
}

#[derive(Clone, Copy)]
struct Entry {
    key: [u8; 32],
    salt: SaltKey,
    /// In the catalog: may be forgotten here.
    stored: bool,
    /// In the journal or the catalog.
    durable: bool,
}

/// By tenant and blinded person: hashes under a key of the tenant's, which nobody outside can aim.
type Shard = Mutex<HashMap<(u32, [u8; 16]), Entry, HashedKeys>>;

/// Persons remembered by one [`Salts`] (about 0.15 KiB each).
const REMEMBERED: usize = 65_536;
/// What so many batches remembered is kept for the next ones of their tenants: some 10 MiB each at most.
const KEPT: usize = 8;
/// One tenant's persons by their reference.
type Persons = HashMap<Box<str>, SaltKey, ahash::RandomState>;

/// Every tenant's keys.
pub struct KeyStore {
    catalog: Arc<Catalog>,
    shards: Vec<Shard>,
    tenants: RwLock<HashMap<u32, SaltKey>>,
    /// What batches remembered, by tenant, the latest last. Only keys that are durable.
    kept: Mutex<VecDeque<(u32, Persons)>>,
}

impl KeyStore {
    /// A store over this catalog.
    pub fn new(catalog: Arc<Catalog>) -> KeyStore {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        KeyStore { catalog, shards, tenants: RwLock::default(), kept: Mutex::default() }
    }

    fn shard(&self, person: &[u8; 16]) -> &Shard {
        &self.shards[usize::from(person[0]) % SHARDS]
    }

    fn tenant_salt(&self, tenant: &Tenant) -> SaltKey {
        if let Some(salt) = self.tenants.read().get(&tenant.number) {
            return *salt;
        }
        let salt = SaltKey::new(tenant.key.expose());
        self.tenants.write().insert(tenant.number, salt);
        salt
    }

    /// Keys for sealing: a person not known yet gets one.
    pub fn intake(&self, tenant: &Arc<Tenant>) -> Salts<'_> {
        let mut kept = self.kept.lock();
        let place = kept.iter().rposition(|(number, _)| *number == tenant.number);
        let persons = place.and_then(|place| kept.remove(place)).map(|(_, persons)| persons).unwrap_or_default();
        drop(kept);
        Salts { seals: true, persons, ..self.reader(tenant) }
    }

    /// Keys for checking what is sealed: a person not known is an error.
    pub fn reader(&self, tenant: &Arc<Tenant>) -> Salts<'_> {
        Salts {
            store: self,
            tenant: Arc::clone(tenant),
            salt: self.tenant_salt(tenant),
            seals: false,
            persons: Persons::default(),
            once: Persons::default(),
            fresh: Vec::new(),
        }
    }

    /// These keys are durable: batches need not carry them any more.
    pub fn durable(&self, tenant: u32, keys: &[PersonKey]) {
        for (person, _) in keys {
            if let Some(entry) = self.shard(person).lock().get_mut(&(tenant, *person)) {
                entry.durable = true;
            }
        }
    }

    /// These keys were found in the journal at recovery.
    pub fn recovered(&self, keys: &[(u32, PersonKey)]) {
        for (tenant, (person, key)) in keys {
            let entry = Entry { key: *key, salt: SaltKey::new(key), stored: false, durable: true };
            self.shard(person).lock().insert((*tenant, *person), entry);
        }
    }

    /// These keys are in the catalog now.
    pub fn stored(&self, keys: &[(u32, PersonKey)]) {
        for (tenant, (person, _)) in keys {
            if let Some(entry) = self.shard(person).lock().get_mut(&(*tenant, *person)) {
                entry.stored = true;
            }
        }
    }

    fn find(&self, tenant: u32, person: &[u8; 16]) -> Result<Option<Entry>, KeyError> {
        if let Some(entry) = self.shard(person).lock().get(&(tenant, *person)) {
            return Ok(Some(*entry));
        }
        let Some(key) = self.catalog.person_key(tenant, person)? else { return Ok(None) };
        let entry = Entry { key, salt: SaltKey::new(&key), stored: true, durable: true };
        Ok(Some(self.remember(tenant, person, entry)))
    }

    /// Keeps an entry, or gives the one that another thread kept first.
    fn remember(&self, tenant: u32, person: &[u8; 16], entry: Entry) -> Entry {
        let mut shard = self.shard(person).lock();
        if shard.len() >= SHARD_KEYS {
            shard.retain(|_, e| !e.stored);
        }
        *shard.entry((tenant, *person)).or_insert(entry)
    }
}

/// The blinded form of a person's reference: what the key is filed under.
pub fn person_hash(tenant_key: &[u8; 32], reference: &str) -> [u8; 16] {
    let full: [u8; 32] =
        Sha256::new().chain_update(PERSON_DOMAIN).chain_update(tenant_key).chain_update(reference).finalize().into();
    let mut short = [0; 16];
    short.copy_from_slice(&full[..16]);
    short
}

/// One tenant's keys, for the rows of a batch or of a segment. The same few people stand in row after row, so
/// it remembers those it was asked for.
pub struct Salts<'a> {
    store: &'a KeyStore,
    tenant: Arc<Tenant>,
    salt: SaltKey,
    /// Whether a person not known yet gets a key.
    seals: bool,
    persons: Persons,
    /// Of a batch that is being sealed: those whose keys are in `fresh`. The next batch has to ask for them again.
    once: Persons,
    /// Keys used that are not durable yet: the batch must carry them.
    fresh: Vec<PersonKey>,
}

impl Salts<'_> {
    fn find(&mut self, reference: &str) -> Result<SaltKey, KeyError> {
        let person = person_hash(self.tenant.key.expose(), reference);
        let entry = match self.store.find(self.tenant.number, &person)? {
            Some(entry) => entry,
            None if !self.seals => return Err(KeyError::Missing),
            None => {
                let key = self.store.catalog.random_key()?;
                let entry = Entry { key, salt: SaltKey::new(&key), stored: false, durable: false };
                self.store.remember(self.tenant.number, &person, entry)
            }
        };
        if self.seals && !entry.durable {
            self.fresh.push((person, entry.key));
            self.once.insert(reference.into(), entry.salt);
            return Ok(entry.salt);
        }
        if self.persons.len() >= REMEMBERED {
            self.persons.clear();
        }
        self.persons.insert(reference.into(), entry.salt);
        Ok(entry.salt)
    }

    /// The keys that the batch must carry. What else was asked for is kept for the next batch.
    pub fn finish(mut self) -> Vec<PersonKey> {
        let mut kept = self.store.kept.lock();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back((self.tenant.number, std::mem::take(&mut self.persons)));
        self.fresh
    }
}

impl Keys for Salts<'_> {
    type Error = KeyError;

    fn tenant(&mut self) -> &SaltKey {
        &self.salt
    }

    fn person(&mut self, reference: &str) -> Result<SaltKey, KeyError> {
        if let Some(salt) = self.persons.get(reference) {
            return Ok(*salt);
        }
        if !self.once.is_empty()
            && let Some(salt) = self.once.get(reference)
        {
            return Ok(*salt);
        }
        self.find(reference)
    }
}
