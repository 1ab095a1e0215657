//! Personal salt keys: made on first use, remembered, found again.
//!
//! Owns the way from a person's reference (frozen in `event::commit::person_of`) to a key. A key made here is
//! *new* until a batch that carries it is durable; until then every batch that uses it carries it too, so
//! that whichever commits first makes it durable. Not here: where keys are kept (`catalog`, the journal).

use crate::persons::Persons;
use catalog::{Catalog, Tenant};
use event::{Keys, SaltKey};
use ledger::{HashedKeys, PersonKey};
use parking_lot::{Mutex, MutexGuard, RwLock};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque, hash_map};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const PERSON_DOMAIN: &[u8] = b"indelible/person/v1";
const SHARDS: usize = 64;
/// Keys remembered per shard (about 0.1 KiB each) before a shard forgets those that can be read again.
const SHARD_KEYS: usize = if cfg!(test) { 4 } else { 16_384 };

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

/// Small, because there may be a million: the salt key is made of it anew, in as long as a look into memory takes.
#[derive(Clone, Copy)]
struct Entry {
    key: [u8; 32],
    /// In the catalog: may be forgotten here.
    stored: bool,
    /// In the journal or the catalog.
    durable: bool,
}

/// By tenant and blinded person: hashes under a key of the tenant's, which nobody outside can aim.
type Entries = HashMap<(u32, [u8; 16]), Entry, HashedKeys>;
type Shard = Mutex<Entries>;

/// What so many batches remembered is kept for the next ones of their tenants: 8 MiB each at most.
const KEPT: usize = 8;

/// Every tenant's keys.
pub struct KeyStore {
    catalog: Arc<Catalog>,
    shards: Vec<Shard>,
    tenants: RwLock<HashMap<u32, SaltKey>>,
    /// What batches remembered, by tenant, the latest last. Only keys that are durable.
    kept: Mutex<VecDeque<(u32, Persons)>>,
    /// Tenants that were sealed for, and whether none of their keys was in the catalog then.
    began_empty: RwLock<HashMap<u32, bool>>,
    /// Keys were forgotten here that only the catalog has.
    forgot: AtomicBool,
}

impl KeyStore {
    /// A store over this catalog.
    pub fn new(catalog: Arc<Catalog>) -> KeyStore {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        KeyStore {
            catalog,
            shards,
            tenants: RwLock::default(),
            kept: Mutex::default(),
            began_empty: RwLock::default(),
            forgot: AtomicBool::new(false),
        }
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
            once: HashMap::default(),
            fresh: Vec::new(),
            made: FreshKeys::default(),
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
            let entry = Entry { key: *key, stored: false, durable: true };
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
        match self.remembered(tenant, person) {
            None => self.read(tenant, person),
            known => Ok(known),
        }
    }

    fn read(&self, tenant: u32, person: &[u8; 16]) -> Result<Option<Entry>, KeyError> {
        let Some(key) = self.catalog.person_key(tenant, person)? else { return Ok(None) };
        let entry = Entry { key, stored: true, durable: true };
        Ok(Some(keep(&mut self.room(person), tenant, person, || Ok(entry))?))
    }

    /// As [`find`](Self::find), for sealing: a person not known gets a key. A tenant that began here has most of its persons yet to
    /// come: nobody asks the catalog for each of them.
    fn find_to_seal(&self, tenant: u32, person: &[u8; 16], fresh: &mut FreshKeys) -> Result<Entry, KeyError> {
        let known = self.began_empty.read().get(&tenant).copied();
        let began_empty = match known {
            Some(empty) => empty,
            None => {
                let empty = !self.catalog.has_person_keys(tenant)?;
                *self.began_empty.write().entry(tenant).or_insert(empty)
            }
        };
        let mut made = || Ok(Entry { key: fresh.take(&self.catalog)?, stored: false, durable: false });
        if began_empty {
            let mut shard = self.room(person);
            // Of this shard nothing is forgotten while it is held.
            if !self.forgot.load(Ordering::Acquire) {
                return keep(&mut shard, tenant, person, made);
            }
        }
        match self.find(tenant, person)? {
            Some(entry) => Ok(entry),
            None => keep(&mut self.room(person), tenant, person, &mut made),
        }
    }

    fn remembered(&self, tenant: u32, person: &[u8; 16]) -> Option<Entry> {
        self.shard(person).lock().get(&(tenant, *person)).copied()
    }

    /// The shard of a person, with room for one more.
    fn room(&self, person: &[u8; 16]) -> MutexGuard<'_, Entries> {
        let mut shard = self.shard(person).lock();
        if shard.len() >= SHARD_KEYS {
            self.forgot.store(true, Ordering::Release);
            shard.retain(|_, e| !e.stored);
        }
        shard
    }
}

/// Keeps an entry, or gives the one that another thread kept first.
fn keep(
    shard: &mut Entries,
    tenant: u32,
    person: &[u8; 16],
    entry: impl FnOnce() -> Result<Entry, KeyError>,
) -> Result<Entry, KeyError> {
    Ok(match shard.entry((tenant, *person)) {
        hash_map::Entry::Occupied(kept) => *kept.get(),
        hash_map::Entry::Vacant(room) => *room.insert(entry()?),
    })
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
    once: HashMap<Box<str>, SaltKey, ahash::RandomState>,
    /// Keys used that are not durable yet: the batch must carry them.
    fresh: Vec<PersonKey>,
    made: FreshKeys,
}

/// Random keys that nobody has yet: the system is asked for several at once.
#[derive(Default)]
struct FreshKeys(Vec<[u8; 32]>);

impl FreshKeys {
    fn take(&mut self, catalog: &Catalog) -> Result<[u8; 32], KeyError> {
        if self.0.is_empty() {
            let mut keys = [[0; 32]; 32];
            catalog.random_keys(&mut keys)?;
            self.0.extend(keys);
        }
        self.0.pop().ok_or(KeyError::Missing)
    }
}

impl Salts<'_> {
    fn find(&mut self, reference: &str) -> Result<SaltKey, KeyError> {
        let person = person_hash(self.tenant.key.expose(), reference);
        let tenant = self.tenant.number;
        let entry = match self.seals {
            true => self.store.find_to_seal(tenant, &person, &mut self.made)?,
            false => self.store.find(tenant, &person)?.ok_or(KeyError::Missing)?,
        };
        let salt = SaltKey::new(&entry.key);
        if self.seals && !entry.durable {
            self.fresh.push((person, entry.key));
            self.once.insert(reference.into(), salt);
        } else {
            self.persons.insert(reference, salt);
        }
        Ok(salt)
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
            return Ok(salt);
        }
        if !self.once.is_empty()
            && let Some(salt) = self.once.get(reference)
        {
            return Ok(*salt);
        }
        self.find(reference)
    }

    fn prefetch(&mut self, reference: &str) {
        self.persons.prefetch(reference);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::StoreCommit;
    use disk::{Disk, LocalDisk};

    /// Seals for these people, and brings their new keys into the catalog as a flush does.
    fn seal(store: &KeyStore, tenant: &Arc<Tenant>, people: std::ops::Range<u32>) -> Vec<PersonKey> {
        let mut salts = store.intake(tenant);
        people.for_each(|n| {
            salts.person(&format!("e:{n}@example.org")).unwrap();
        });
        let fresh = salts.finish();
        let person_keys: Vec<_> = fresh.iter().map(|(person, key)| (tenant.number, *person, *key)).collect();
        store.durable(tenant.number, &fresh);
        store.catalog.commit_store(StoreCommit { person_keys, ..StoreCommit::default() }).unwrap();
        store.stored(&fresh.iter().map(|key| (tenant.number, *key)).collect::<Vec<_>>());
        fresh
    }

    #[test]
    fn a_person_keeps_the_first_key_though_it_is_forgotten_here() {
        let folder = tempfile::tempdir().unwrap();
        let real: Arc<dyn Disk> = Arc::new(LocalDisk);
        let catalog = Arc::new(Catalog::open(&real, &folder.path().join("catalog.db")).unwrap());
        let (tenant, _) = catalog.create_tenant("acme", "{}", 1).unwrap();
        let many = (SHARDS * SHARD_KEYS * 3) as u32;
        let store = KeyStore::new(Arc::clone(&catalog));
        assert_eq!(seal(&store, &tenant, 0..20).len(), 20, "nobody was known");
        assert!(!store.forgot.load(Ordering::Acquire), "there was room for all");
        assert_eq!(seal(&store, &tenant, 0..many).len(), many as usize - 20);
        assert!(store.forgot.load(Ordering::Acquire));
        assert_eq!(seal(&store, &tenant, 0..many), [], "everybody has a key");
        // So it is for a program that begins with all of them in its catalog.
        let store = KeyStore::new(catalog);
        assert_eq!(seal(&store, &tenant, 0..many + 5).len(), 5);
        let mut reader = store.reader(&tenant);
        assert!(matches!(reader.person("e:nobody@example.org"), Err(KeyError::Missing)));
    }
}
