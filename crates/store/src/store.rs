//! Opening a data folder, and the threads that keep it in order.

use crate::error::{Error, Result, io};
use crate::folder::{Folder, Lock};
use crate::keys::KeyStore;
use crate::scrub::Scrubber;
use crate::start;
use crate::tail::Blocks;
use catalog::{Catalog, Tenant};
use disk::Disk;
use ledger::highwater::HighWater;
use ledger::{Checkpoints, Clock, Hash, IdKey, Ledger};
use lru::LruCache;
use merkle::Frontier;
use merkle::tile::Tile;
use parking_lot::{Condvar, Mutex, RwLock};
use segments::{Segment, SegmentInfo, SliceInfo};
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Limits and intervals of a store.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Host in the origins of checkpoints.
    pub host: String,
    /// Bytes of tail that make a segment due, and become one.
    pub flush_bytes: usize,
    /// See [`ledger::Config::overlap_bytes`].
    pub overlap_bytes: usize,
    /// A tail this old makes a segment due, whatever its size.
    pub flush_after: Duration,
    /// Bytes of tail beyond which writers are told to wait.
    pub tail_bytes: usize,
    /// Bytes that may wait for a commit.
    pub pool_bytes: usize,
    /// Share of one core that merging may take, 0 to 1.
    pub compaction_share: f64,
    /// Share of one core that reading everything stored again may take, 0 (never) to 1.
    pub scrub_share: f64,
    /// Pause between two passes of that.
    pub scrub_every: Duration,
    /// Segments of one size class that make a merge due, and become one.
    pub merge_at: usize,
    /// Time between checkpoints of a growing tenant.
    pub checkpoint_every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            host: "localhost".into(),
            flush_bytes: 128 << 20,
            overlap_bytes: disk::COLD_LEAST,
            flush_after: Duration::from_secs(300),
            tail_bytes: 1 << 30,
            pool_bytes: 64 << 20,
            compaction_share: 0.25,
            scrub_share: 0.05,
            scrub_every: Duration::from_secs(24 * 3600),
            merge_at: 8,
            checkpoint_every: Duration::from_secs(1),
        }
    }
}

/// An open data folder.
pub struct Store {
    pub(crate) folder: Folder,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) keys: Arc<KeyStore>,
    pub(crate) set: RwLock<Arc<Vec<Arc<Segment>>>>,
    pub(crate) blocks: Blocks,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    /// Trees as far as they are in segments. Its lock also makes flushes one at a time.
    pub(crate) frontiers: Mutex<HashMap<u32, Frontier>>,
    /// Personal keys of frozen frames that no transaction has taken over yet.
    pub(crate) keys_to_store: Mutex<Vec<(u32, ledger::PersonKey)>>,
    /// Changes of the set of segments happen one at a time.
    pub(crate) changing: Mutex<()>,
    pub(crate) tiles: Mutex<TileCache>,
    pub(crate) scrubber: Scrubber,
    id_seed: u64,
    stop: (Mutex<bool>, Condvar),
    threads: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) counters: Counters,
    _lock: Option<Lock>,
}

/// Tiles served lately, by tenant.
pub(crate) type TileCache = LruCache<(u32, Tile), Arc<Vec<u8>>>;

/// What the store did since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Segments written from the tail.
    pub flushes: AtomicU64,
    /// Rows in them.
    pub flushed_rows: AtomicU64,
    /// Microseconds that took.
    pub flush_micros: AtomicU64,
    /// Merges done.
    pub merges: AtomicU64,
    /// Rows merged.
    pub merged_rows: AtomicU64,
    /// Rows or files found that are not what was sealed.
    pub mismatches: AtomicU64,
    /// Checkpoints signed.
    pub checkpoints: AtomicU64,
    /// Background work that failed and will be tried again.
    pub failures: AtomicU64,
}

/// What the last start found.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// The folder was made now.
    pub created: bool,
    /// Records read back from the journal.
    pub replayed: u64,
    /// Bytes of torn tail that were cut.
    pub torn: usize,
    /// The last stop was in order.
    pub clean: bool,
    /// How long recovery took.
    pub took: Duration,
}

impl Store {
    /// Opens a folder, making it where there is none, recovers, and starts the background threads.
    ///
    /// # Errors
    /// [`Error`]: the folder is in use, damaged, or an old copy. Nothing is signed or taken then.
    pub fn open(folder: Folder, settings: Settings, clock: Clock) -> Result<(Arc<Store>, Recovered)> {
        let (store, found) = Store::open_still(folder, settings, clock)?;
        store.start("keeper", Store::keep)?;
        store.start("signer", Store::sign)?;
        store.start("merger", Store::merge)?;
        store.start("scrubber", Store::scrub)?;
        Ok((store, found))
    }

    /// Opens a folder without the background threads: flushes, merges and checkpoints happen when asked for.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_still(folder: Folder, settings: Settings, clock: Clock) -> Result<(Arc<Store>, Recovered)> {
        let started = Instant::now();
        folder.refuse_unmounted()?;
        folder.create()?;
        let lock = folder.lock()?;
        let disk = Arc::clone(&folder.disk);
        let sum = folder.catalog_sum();
        let seal = start::refuse_damaged(&folder)?;
        Catalog::unseal_file(disk.as_ref(), &sum)?;
        let catalog = Arc::new(Catalog::open(&disk, &folder.catalog())?);
        let (ledger_id, created) = match catalog.meta("ledger.id")? {
            Some(id) => {
                (id.try_into().map_err(|_| Error::Folder("the ledger's id in the catalog is damaged".into()))?, false)
            }
            None => {
                let mut id = [0u8; 16];
                disk.random(&mut id).map_err(|e| Error::Folder(format!("no random bytes: {e}")))?;
                (id, true)
            }
        };
        if seal == catalog::SealState::NotSealed
            && let Some(first) = catalog.check_rows()?.first()
        {
            // A damaged row reads as an error, and whoever took that for "not there" would make a second key for a person.
            return Err(Error::Folder(format!(
                "{} is damaged: {first}. Not started. Put it back from a copy; `indelible verify --data {}` says all that is damaged",
                folder.catalog().display(),
                folder.dir.display()
            )));
        }
        let seed = folder.signing_seed(created)?;
        let signer = merkle::note::SigningKey::new("indelible", &seed)
            .map_err(|e| Error::Folder(format!("the signing key is not usable: {e}")))?;
        let public = signer.verifying_key().public_key();
        if let Some(known) = catalog.meta("ledger.vkey")?
            && known != public
        {
            return Err(Error::Folder(format!(
                "{} is not the key that signed this ledger. Not started: checkpoints of another key are nobody's proof. Put the right one back from a copy",
                folder.ledger_key().display()
            )));
        }
        if created && is_there(disk.as_ref(), &folder.high_water)? {
            // The mark of a folder that stood here before. It is kept under another name: it may be evidence.
            let mut aside = folder.high_water.clone().into_os_string();
            aside.push(format!(".{}", clock()));
            disk.rename(&folder.high_water, aside.as_ref()).map_err(io("set aside", &folder.high_water))?;
            tracing::warn!(
                "the folder is new, and a high-water mark of another is there; it is kept as {}",
                std::path::Path::new(&aside).display()
            );
        }
        let high_water = HighWater::open(Arc::clone(&disk), &folder.high_water, ledger_id, created).map_err(|e| match &e {
            ledger::highwater::HighWaterError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Error::Folder(format!(
                    "the high-water mark {} is missing. It proves that this folder is no old copy. Bring it along from where the folder was, or, if it is lost, accept the folder as it is with `indelible repair --data {} --new-high-water --confirm`",
                    folder.high_water.display(),
                    folder.dir.display()
                ))
            }
            _ => e.into(),
        })?;
        if created {
            // Last of the first start's steps: until it is there, a crash leads to another first start.
            catalog.set_meta("ledger.vkey", public)?;
            catalog.set_meta("ledger.id", &ledger_id)?;
        }
        let keys = Arc::new(KeyStore::new(Arc::clone(&catalog)));
        let mut frontiers = HashMap::new();
        for (tenant, size, bytes) in catalog.frontiers()? {
            let f = Frontier::from_bytes(&bytes)
                .map_err(|e| Error::Folder(format!("tenant {tenant}: the stored frontier is damaged: {e}")))?;
            if f.size() != size {
                return Err(Error::Folder(format!("tenant {tenant}: the stored frontier is of another size")));
            }
            frontiers.insert(tenant, f);
        }
        let mut seed_bytes = [0; 8];
        disk.random(&mut seed_bytes).map_err(|e| Error::Folder(format!("no random bytes: {e}")))?;
        let id_seed = u64::from_le_bytes(seed_bytes);
        let marks: HashMap<u32, (u64, Hash)> = high_water.all().into_iter().map(|(t, s, r)| (t, (s, r))).collect();
        let config = ledger::Config {
            dir: folder.journal(),
            ledger: ledger_id,
            pool_bytes: settings.pool_bytes,
            tail_bytes: settings.tail_bytes,
            freeze_bytes: settings.flush_bytes,
            overlap_bytes: settings.overlap_bytes,
        };
        let heads = frontiers.iter().map(|(t, f)| (*t, f.clone())).collect();
        let mut recovered_keys = Vec::new();
        let (ledger, replayed) = Ledger::open(
            config,
            disk,
            Arc::clone(&clock),
            heads,
            catalog.flushed_seq()?,
            &marks,
            |tenant, row| Some(id_key(id_seed, tenant, crate::ids::id_of(row)?)),
            |tenant, key| recovered_keys.push((tenant, *key)),
        )
        .map_err(|e| start::explain(e, &folder, &catalog))?;
        // A tenant is in the catalog before its first record is answered.
        if let Some(tenant) = ledger.tenants().into_iter().find(|t| catalog.tenant_by_number(*t).is_none()) {
            return Err(Error::Folder(format!(
                "the journal has records of a tenant, number {tenant}, that is not in {}: the catalog has lost what was written last. Put it back from a copy, with its -wal file",
                folder.catalog().display()
            )));
        }
        keys.recovered(&recovered_keys);
        let set = start::load_segments(&folder, &catalog)?;
        let replayed_rows = ledger.tenants().iter().map(|t| ledger.tail_span(*t).1 as u64).sum();
        let checkpoints = Arc::new(Checkpoints::new(high_water, seed, settings.host.clone()));
        let store = Arc::new(Store {
            folder,
            catalog,
            ledger: Arc::new(ledger),
            checkpoints,
            keys,
            set: RwLock::new(Arc::new(set)),
            blocks: Blocks::default(),
            settings,
            clock,
            frontiers: Mutex::new(frontiers),
            keys_to_store: Mutex::default(),
            changing: Mutex::new(()),
            tiles: Mutex::new(LruCache::new(NonZeroUsize::new(4096).unwrap_or(NonZeroUsize::MIN))),
            scrubber: Scrubber::default(),
            id_seed,
            stop: Default::default(),
            threads: Mutex::default(),
            counters: Counters::default(),
            _lock: Some(lock),
        });
        let found = Recovered {
            created,
            replayed: replayed_rows,
            torn: replayed.torn,
            clean: replayed.clean,
            took: started.elapsed(),
        };
        Ok((store, found))
    }

    fn start(self: &Arc<Self>, name: &str, run: fn(&Store)) -> Result<()> {
        let store = Arc::downgrade(self);
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                if let Some(store) = store.upgrade() {
                    run(&store);
                }
            })
            .map_err(io("start a thread for", &self.folder.dir))?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Sleeps; true when the store is stopping.
    pub(crate) fn pause(&self, how_long: Duration) -> bool {
        let mut stop = self.stop.0.lock();
        if !*stop {
            self.stop.1.wait_for(&mut stop, how_long);
        }
        *stop
    }

    pub(crate) fn stopping(&self) -> bool {
        *self.stop.0.lock()
    }

    /// Moves the tail to segments when it is due.
    fn keep(&self) {
        let mut last = Instant::now();
        while !self.pause(Duration::from_millis(50)) {
            let bytes = self.ledger.tail_bytes();
            if bytes >= self.settings.flush_bytes || (bytes > 0 && last.elapsed() >= self.settings.flush_after) {
                if let Err(e) = self.flush_unhurried() {
                    self.counters.failures.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(error = %e, "the tail could not be moved to a segment; it stays in the journal");
                    if self.pause(Duration::from_secs(1)) {
                        return;
                    }
                }
                last = Instant::now();
            } else if bytes == 0 {
                last = Instant::now();
            }
        }
    }

    /// Signs what has grown.
    fn sign(&self) {
        let mut signed: HashMap<u32, u64> = HashMap::new();
        while !self.pause(self.settings.checkpoint_every) {
            let mut grown = Vec::new();
            for tenant in self.ledger.tenants() {
                let size = self.ledger.size(tenant);
                if size > 0
                    && signed.get(&tenant) != Some(&size)
                    && let Some(t) = self.catalog.tenant_by_number(tenant)
                {
                    grown.push((tenant, t.slug.clone()));
                    signed.insert(tenant, size);
                }
            }
            if grown.is_empty() {
                continue;
            }
            match self.checkpoints.publish(&self.ledger, &grown) {
                Ok(n) => {
                    self.counters.checkpoints.fetch_add(n as u64, Ordering::Relaxed);
                }
                Err(e) => {
                    self.counters.failures.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(error = %e, "checkpoints could not be signed");
                    signed.clear();
                }
            }
        }
    }

    /// Ends the threads, commits what waits, and seals the catalog. Records in the tail stay in the journal.
    ///
    /// # Errors
    /// Where the catalog could not be sealed; nothing is lost then.
    pub fn close(&self) -> Result<()> {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            let _ = thread.join();
        }
        let sound = self.ledger.failure().is_none();
        self.ledger.close();
        // What was answered since the last round is signed too, so that nothing at the end can be dropped unseen.
        let all: Vec<_> = self
            .catalog
            .tenants()
            .iter()
            .filter(|t| self.ledger.size(t.number) > 0)
            .map(|t| (t.number, t.slug.clone()))
            .collect();
        self.checkpoints.publish(&self.ledger, &all)?;
        // The seal says that nothing was being written to the journal. Where that is not known, none is given, and the next start
        // is that after a crash.
        if sound {
            self.catalog.seal_file(&self.folder.catalog_sum())?;
        }
        Ok(())
    }

    /// The catalog.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The ledger.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The signer.
    pub fn checkpoints(&self) -> &Arc<Checkpoints> {
        &self.checkpoints
    }

    /// The salt keys.
    pub fn keys(&self) -> &Arc<KeyStore> {
        &self.keys
    }

    /// The folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Counters since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The clock, microseconds UTC.
    pub fn now(&self) -> i64 {
        (self.clock)()
    }

    /// The segments now.
    pub fn segments(&self) -> Arc<Vec<Arc<Segment>>> {
        Arc::clone(&self.set.read())
    }

    /// The id key of a tenant's record.
    pub fn id_key(&self, tenant: u32, id: &[u8]) -> IdKey {
        id_key(self.id_seed, tenant, id)
    }

    /// A tenant by its number.
    ///
    /// # Errors
    /// [`Error::Folder`] where rows speak of a tenant the catalog does not have.
    pub(crate) fn tenant(&self, number: u32) -> Result<Arc<Tenant>> {
        self.catalog
            .tenant_by_number(number)
            .ok_or_else(|| Error::Folder(format!("tenant number {number} is not in the catalog")))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.folder.dir).finish_non_exhaustive()
    }
}

/// Whether a file is there. One that cannot be looked at is an error, not absent.
pub(crate) fn is_there(disk: &dyn Disk, path: &std::path::Path) -> Result<bool> {
    match disk.open(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(io("look at", path)(e)),
    }
}

fn id_key(seed: u64, tenant: u32, id: &[u8]) -> IdKey {
    xxhash_rust::xxh3::xxh3_128_with_seed(id, seed ^ (u64::from(tenant) << 32 | u64::from(tenant)))
}

/// What `segments` calls a segment, from what the catalog says.
pub(crate) fn info_of(s: &catalog::Segment) -> SegmentInfo {
    SegmentInfo {
        id: s.id,
        rows: s.rows,
        bytes: s.bytes,
        sha256: s.sha256,
        filter_bytes: s.filter_bytes,
        filter_sha256: s.filter_sha256,
        slices: s
            .slices
            .iter()
            .map(|s| SliceInfo {
                tenant: s.tenant,
                row_start: s.row_start,
                rows: s.rows,
                min_time: s.min_time,
                max_time: s.max_time,
                min_index: s.min_index,
                max_index: s.max_index,
            })
            .collect(),
    }
}

/// The catalog's form of a segment.
pub(crate) fn row_of(info: &SegmentInfo, level: u8, now: i64) -> catalog::Segment {
    catalog::Segment {
        id: info.id,
        level,
        rows: info.rows,
        bytes: info.bytes,
        sha256: info.sha256,
        filter_bytes: info.filter_bytes,
        filter_sha256: info.filter_sha256,
        created_at: now,
        slices: info
            .slices
            .iter()
            .map(|s| catalog::Slice {
                tenant: s.tenant,
                row_start: s.row_start,
                rows: s.rows,
                min_time: s.min_time,
                max_time: s.max_time,
                min_index: s.min_index,
                max_index: s.max_index,
            })
            .collect(),
    }
}
