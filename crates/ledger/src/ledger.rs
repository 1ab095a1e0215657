//! The pool and the commit: batches of every tenant wait together and go down in one frame.
//!
//! One thread commits. It takes whatever waits, gives each record its index, builds one frame, has it appended and
//! synced, and only then shows the records and answers the callers. There is no timer: the next frame is
//! whatever gathered while the last one was put together or synced.

mod committer;
mod health;
mod sealed;
mod writer;

pub use committer::leaf_of;
pub use health::Refusing;

use crate::frame::MAX_BODY;
use crate::ids::{IdKey, RecentIds};
use crate::journal::{self, Journal, JournalError, Replayed};
use crate::tail::{ROW_OVERHEAD, Shared, TailRow, TenantTail};
use crate::{Hash, LedgerId, PersonKey, TailPart, TailView};
use committer::{Committer, check_mark};
use disk::Disk;
use health::Health;
use merkle::Frontier;
use parking_lot::{Condvar, Mutex, RwLock};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use writer::{Landed, Writer};

/// The clock, microseconds UTC. Injected, so that tests own time.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Limits of one ledger.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of the journal.
    pub dir: PathBuf,
    /// Name of the ledger; its journal files carry it.
    pub ledger: LedgerId,
    /// Bytes that may wait for a commit. Beyond it callers are told to come back: at 100 MB/s of appends
    /// 64 MiB is well under a second of waiting.
    pub pool_bytes: usize,
    /// Bytes of sealed rows that may wait for a segment, memory overhead included.
    pub tail_bytes: usize,
    /// Bytes of them that are frozen for a segment of their own: more would be let go of late, and fill the tail meanwhile.
    pub freeze_bytes: usize,
    /// Frames of so many bytes and more are written by a thread of their own, while the next is put together. To hand a smaller
    /// one over takes longer than is gained.
    pub overlap_bytes: usize,
}

/// Rows in one frame beyond which the next batch waits for the next frame.
const FRAME_BYTES: usize = 16 << 20;
/// What a group, a record and a key take in a frame, beside the record's row.
const GROUP_BYTES: usize = 20;
const RECORD_BYTES: usize = 37;
const KEY_BYTES: usize = 48;
/// Ids let go of while writers wait.
const IDS_AT_ONCE: usize = 1024;

/// A record on its way into the ledger.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Kind of entry.
    pub kind: u8,
    /// Where its stored form lies in [`Batch::rows`].
    pub row: Range<usize>,
    /// Commitment over its parts.
    pub commitment: Hash,
    /// [`sum_of`](crate::sum_of) the bytes that were committed to.
    pub sum: u32,
    /// Its id; `None` where the id was made just now and cannot be a repetition.
    pub id: Option<IdKey>,
    /// A stored record with this id, found in the segments.
    pub known: Option<Known>,
}

/// An earlier record with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its index.
    pub index: u64,
    /// Its commitment: the same one means the same content.
    pub commitment: Hash,
    /// Hash of its leaf.
    pub leaf: Hash,
}

/// Records of one tenant, to be sealed together or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    /// Whose.
    pub tenant: u32,
    /// The stored forms.
    pub rows: Vec<u8>,
    /// The records, in the sender's order.
    pub records: Vec<Pending>,
    /// Personal keys not yet durable that the records use. Durable when the batch is.
    pub keys: Vec<PersonKey>,
    /// What [`Ledger::id_epoch`] said before the ids were looked up in the segments.
    pub id_epoch: u64,
}

impl Batch {
    fn weight(&self) -> usize {
        self.rows.len() + self.records.len() * ROW_OVERHEAD
    }
}

/// What became of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Sealed now.
    Sealed {
        /// Its index.
        index: u64,
        /// Hash of its leaf.
        leaf: Hash,
    },
    /// Sealed before, with the same content: the first receipt.
    Duplicate {
        /// Its index.
        index: u64,
        /// Hash of its leaf.
        leaf: Hash,
    },
    /// The id was used before with other content; nothing was written.
    Conflict {
        /// Index of the record that has the id.
        index: u64,
    },
}

/// The answer to a batch.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// One per record, in order.
    pub outcomes: Vec<Outcome>,
    /// When it was sealed.
    pub recorded_at: i64,
    /// Size of the tenant's tree with the batch in it.
    pub size: u64,
}

/// Why a batch was not sealed. Nothing of it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// Too much is waiting; the same batch may be sent again after a moment.
    #[error("the ledger is busy: {0}")]
    Full(&'static str),
    /// The disk refused; the batch may be sent again.
    #[error("the journal could not be written: {0}")]
    Disk(String),
    /// The ledger does not take anything until it is restarted. Whether this batch is sealed is not known;
    /// sending it again later is safe, its ids tell.
    #[error("the ledger has stopped: {0}")]
    Stopped(String),
    /// The ids were looked up too long ago; prepare the batch again.
    #[error("the batch was prepared too long ago")]
    Stale,
}

type Answer = Box<dyn FnOnce(Result<Receipt, SubmitError>) + Send>;

/// What was frozen for a segment: everything sealed up to `seq`.
#[derive(Debug, Clone, Default)]
pub struct Frozen {
    /// Last frame of it.
    pub seq: u64,
    /// Per tenant with rows in the tail: first index, and the size of the tree at the freeze. Of the rows from the first on, some may be
    /// frozen before, and in segments since.
    pub tenants: Vec<(u32, u64, u64)>,
    /// Personal keys that the rows brought.
    pub keys: Vec<(u32, PersonKey)>,
    /// Number of the ids' generation that began with it.
    pub ids: u64,
}

type Freeze = Box<dyn FnOnce(Frozen) + Send>;

#[derive(Default)]
struct Pool {
    batches: Vec<(Batch, Answer)>,
    freeze: Vec<Freeze>,
    stop: bool,
    /// What became of the frame that was on its way to the disk.
    landed: Option<Landed>,
}

struct Inner {
    config: Config,
    disk: Arc<dyn Disk>,
    pool: Mutex<Pool>,
    wake: Condvar,
    /// Weight of the batches that nobody was answered for.
    pooled: AtomicUsize,
    tail: AtomicUsize,
    tenants: RwLock<HashMap<u32, Shared>>,
    ids: Mutex<RecentIds>,
    /// Their epoch, for whoever begins a batch: nobody waits for a commit that has the ids.
    id_epoch: AtomicU64,
    /// What the committer froze by itself, the oldest first.
    frozen: Mutex<VecDeque<Frozen>>,
    failed: RwLock<Option<String>>,
    health: Health,
    stats: Stats,
}

impl Inner {
    /// Whether the tail has room for a batch of this weight, with those that wait already.
    fn tail_has_room(&self, weight: usize) -> bool {
        let taken = self.tail.load(Ordering::Relaxed) + self.pooled.load(Ordering::Relaxed);
        taken + weight <= self.config.tail_bytes
    }
}

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Frames committed.
    pub frames: AtomicU64,
    /// Records sealed.
    pub records: AtomicU64,
    /// Bytes appended.
    pub bytes: AtomicU64,
    /// Microseconds spent in append and sync.
    pub sync_micros: AtomicU64,
    /// Time of the newest frame, of an earlier run too, microseconds UTC.
    pub recorded_at: AtomicI64,
}

/// Size and root of a tenant's tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of leaves.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

/// The ledger of every tenant of one installation.
pub struct Ledger {
    inner: Arc<Inner>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Ledger {
    /// Recovers: takes the trees as they were stored up to frame `stored`, replays the journal after it, and
    /// starts committing. `key` gives the id key of a replayed row, `on_key` is told the personal keys found;
    /// `marks` are the highest signed sizes and
    /// roots, which the rebuilt trees must hold.
    ///
    /// # Errors
    /// [`JournalError`]; the ledger does not start on damage.
    #[expect(
        clippy::too_many_arguments,
        reason = "recovery needs all of them once; a struct would only name them twice"
    )]
    pub fn open(
        config: Config,
        disk: Arc<dyn Disk>,
        clock: Clock,
        heads: Vec<(u32, Frontier)>,
        stored: u64,
        marks: &HashMap<u32, (u64, Hash)>,
        key: impl Fn(u32, &[u8]) -> Option<IdKey>,
        mut on_key: impl FnMut(u32, &PersonKey),
    ) -> Result<(Ledger, Replayed), JournalError> {
        for (tenant, frontier) in &heads {
            check_mark(marks, *tenant, frontier).map_err(JournalError::Fork)?;
            // Checkpoints are signed before their records are moved to segments, so a mark is never behind.
            if frontier.size() > marks.get(tenant).map_or(0, |m| m.0) {
                return Err(JournalError::Fork(format!(
                    "tenant {tenant}: the data folder has {} stored records and the high-water mark {}: it is not this folder's mark",
                    frontier.size(),
                    marks.get(tenant).map_or(0, |m| m.0)
                )));
            }
        }
        let mut tenants: HashMap<u32, Shared> =
            heads.into_iter().map(|(tenant, f)| (tenant, Arc::new(TenantTail::at(f)))).collect();
        let mut committer = Committer {
            keys: Vec::new(),
            recorded_at: 0,
            clock,
            heads: HashMap::new(),
            unfrozen: 0,
            fresh: Vec::new(),
            hasher: merkle::Hasher::default(),
        };
        let mut ids = RecentIds::new();
        let mut weight = 0;
        let dir = config.dir.clone();
        disk.create_dir(&dir).map_err(|source| JournalError::Io { what: "make", path: dir.clone(), source })?;
        let (found, end) = journal::read(&*disk, &dir, &config.ledger, stored, |frame| {
            for group in &frame.groups {
                group.keys.iter().for_each(|key| on_key(group.tenant, key));
            }
            weight += committer.replay(frame, &mut tenants, &mut ids, marks, &key)?;
            Ok(())
        })?;
        committer.recorded_at = found.recorded_at;
        committer.unfrozen = weight;
        for (&tenant, &(signed, _)) in marks {
            let have = tenants.get(&tenant).map_or(0, |t| t.frontier().size());
            if have < signed {
                return Err(JournalError::Behind { tenant, have, signed });
            }
        }
        // Accepted. Only now is anything on disk changed.
        let journal = Journal::go_on(Arc::clone(&disk), &dir, config.ledger, &found, end.as_ref())?;
        let inner = Arc::new(Inner {
            config,
            disk,
            pool: Mutex::default(),
            wake: Condvar::new(),
            pooled: AtomicUsize::new(0),
            tail: AtomicUsize::new(weight),
            tenants: RwLock::new(tenants),
            id_epoch: AtomicU64::new(ids.epoch()),
            ids: Mutex::new(ids),
            frozen: Mutex::default(),
            failed: RwLock::new(None),
            health: Health::default(),
            stats: Stats { recorded_at: found.recorded_at.into(), ..Stats::default() },
        });
        let shared = Arc::clone(&inner);
        let thread = Writer::start(&inner)
            .and_then(|writer| {
                let commit = std::thread::Builder::new().name("commit".into());
                commit.spawn(move || committer.run(&shared, journal, writer))
            })
            .map_err(|source| JournalError::Io { what: "start the commit thread for", path: dir, source })?;
        Ok((Ledger { inner, thread: Mutex::new(Some(thread)) }, found))
    }

    /// Hands a batch in. `answer` is called once, from the commit thread, after the batch is durable or
    /// after it is certain that nothing of it is.
    ///
    /// # Errors
    /// [`SubmitError::Full`] or [`SubmitError::Stopped`] at once, with `answer` not called.
    pub fn submit(
        &self,
        batch: Batch,
        answer: impl FnOnce(Result<Receipt, SubmitError>) + Send + 'static,
    ) -> Result<(), SubmitError> {
        if let Some(why) = self.inner.failed.read().as_ref() {
            return Err(SubmitError::Stopped(why.clone()));
        }
        let rows: usize = batch.records.iter().map(|r| r.row.len() + RECORD_BYTES).sum();
        if rows + batch.keys.len() * KEY_BYTES + FRAME_BYTES > MAX_BODY {
            // A reader would refuse the frame.
            return Err(SubmitError::Disk("the batch is more than one frame holds; send it in parts".into()));
        }
        let weight = batch.weight();
        // Counted and handed in under one lock: of two batches for which there is room for one, one is let in.
        let mut pool = self.inner.pool.lock();
        let pooled = self.inner.pooled.load(Ordering::Relaxed);
        // A single batch is always let in when nothing waits, whatever its size: it has passed its own limit.
        if pooled > 0 && pooled + weight > self.inner.config.pool_bytes {
            return Err(SubmitError::Full("too many records wait to be written"));
        }
        if !self.inner.tail_has_room(weight) {
            self.inner.health.tail.store(weight, Ordering::Relaxed);
            return Err(SubmitError::Full("too many records wait to be moved to segments"));
        }
        if pool.stop {
            return Err(SubmitError::Stopped("shutting down".into()));
        }
        self.inner.health.tail.store(0, Ordering::Relaxed);
        self.inner.pooled.fetch_add(weight, Ordering::Relaxed);
        pool.batches.push((batch, Box::new(answer)));
        self.inner.wake.notify_one();
        Ok(())
    }

    /// To be read *before* ids are looked up in the segments, and passed in [`Batch::id_epoch`].
    pub fn id_epoch(&self) -> u64 {
        self.inner.id_epoch.load(Ordering::Acquire)
    }

    /// Freezes the tail, all of it: what is sealed now can go to a segment, what comes later goes to later files.
    /// `None` where the ledger has stopped.
    pub fn freeze(&self) -> Option<Frozen> {
        let (send, receive) = std::sync::mpsc::channel();
        {
            let mut pool = self.inner.pool.lock();
            if pool.stop {
                return None;
            }
            pool.freeze.push(Box::new(move |frozen| {
                let _ = send.send(frozen);
            }));
            self.inner.wake.notify_one();
        }
        let mut frozen = receive.recv().ok()?;
        // It holds what was frozen before it.
        self.inner.frozen.lock().retain(|earlier| {
            let later = earlier.seq > frozen.seq;
            if !later {
                frozen.keys.extend_from_slice(&earlier.keys);
            }
            later
        });
        Some(frozen)
    }

    /// What goes to a segment next under load: the oldest part of the tail that was frozen for a segment of its own
    /// ([`Config::freeze_bytes`]). Where there is none it is all of the tail.
    pub fn freeze_next(&self) -> Option<Frozen> {
        if self.inner.pool.lock().stop {
            return None;
        }
        let next = self.inner.frozen.lock().pop_front();
        next.or_else(|| self.freeze())
    }

    /// Everything in `frozen` is in segments, durably and visibly: lets go of the rows and cuts the journal.
    ///
    /// # Errors
    /// `Io` from removing files; the rows are let go all the same.
    pub fn stored(&self, frozen: &Frozen) -> Result<(), JournalError> {
        let mut freed = 0;
        for (tenant, _, size) in &frozen.tenants {
            if let Some(tail) = self.tenant(*tenant) {
                freed += tail.trim(*size);
            }
        }
        self.inner.tail.fetch_sub(freed, Ordering::Relaxed);
        let epoch = {
            let mut ids = self.inner.ids.lock();
            ids.stored(frozen.ids);
            ids.epoch()
        };
        self.inner.id_epoch.fetch_max(epoch, Ordering::Release);
        while self.inner.ids.lock().let_go(IDS_AT_ONCE) {}
        journal::cut(&*self.inner.disk, &self.inner.config.dir, frozen.seq)
    }

    fn tenant(&self, tenant: u32) -> Option<Shared> {
        self.inner.tenants.read().get(&tenant).cloned()
    }

    /// The tenant's tree now. A tenant without records has the empty tree.
    pub fn head(&self, tenant: u32) -> Head {
        match self.tenant(tenant) {
            Some(tail) => {
                let (_, _, size, root) = tail.head();
                Head { size, root }
            }
            None => Head { size: 0, root: merkle::empty_root() },
        }
    }

    /// Number of records of a tenant.
    pub fn size(&self, tenant: u32) -> u64 {
        self.tenant(tenant).map_or(0, |t| t.size())
    }

    /// Index of a record sealed lately, by its id key.
    pub fn find_id(&self, id: IdKey, tenant: u32) -> Option<u64> {
        self.inner.ids.lock().get(id).filter(|(t, _)| *t == tenant).map(|(_, index)| index)
    }

    /// First index still in the tail (the tree's size if there is none), number of rows in it.
    pub fn tail_span(&self, tenant: u32) -> (u64, usize) {
        self.tenant(tenant).map_or((0, 0), |t| {
            let (first, rows, ..) = t.head();
            (first, rows)
        })
    }

    /// A tenant's tail at this moment, all of it. Costs a copy of its row handles.
    pub fn view(&self, tenant: u32) -> Option<TailView> {
        self.tenant(tenant).map(|t| t.view())
    }

    /// Up to `most` rows of the tail from index `from` on.
    pub fn rows(&self, tenant: u32, from: u64, most: usize) -> Vec<TailRow> {
        self.tenant(tenant).map_or_else(Vec::new, |t| t.rows(from, most))
    }

    /// As [`rows`](Self::rows), without a copy of each.
    pub fn parts(&self, tenant: u32, from: u64, most: usize) -> Vec<TailPart> {
        self.tenant(tenant).map_or_else(Vec::new, |t| t.parts(from, most))
    }

    /// One row, if it is still in the tail.
    pub fn row(&self, tenant: u32, index: u64) -> Option<TailRow> {
        self.tenant(tenant)?.row(index)
    }

    /// A complete subtree's root, if its last leaf is still in the tail.
    pub fn node(&self, tenant: u32, level: u8, index: u64) -> Option<Hash> {
        self.tenant(tenant)?.node(level, index)
    }

    /// The frontier of a tenant's tree.
    pub fn frontier(&self, tenant: u32) -> Frontier {
        self.tenant(tenant).map_or_else(Frontier::new, |t| t.frontier())
    }

    /// Every tenant that ever had a record.
    pub fn tenants(&self) -> Vec<u32> {
        self.inner.tenants.read().keys().copied().collect()
    }

    /// Bytes of sealed rows waiting for a segment.
    pub fn tail_bytes(&self) -> usize {
        self.inner.tail.load(Ordering::Relaxed)
    }

    /// Whether the tail is three quarters full: whoever can wait does well to, until rows have moved to segments.
    pub fn is_crowded(&self) -> bool {
        self.tail_bytes() > self.inner.config.tail_bytes / 4 * 3
    }

    /// Whether the tail is nine sixteenths full: rows come faster than they move to segments.
    pub fn is_filling(&self) -> bool {
        self.tail_bytes() > self.inner.config.tail_bytes / 16 * 9
    }

    /// Why the ledger takes nothing any more, if so.
    pub fn failure(&self) -> Option<String> {
        self.inner.failed.read().clone()
    }

    /// Counters since the start.
    pub fn stats(&self) -> &Stats {
        &self.inner.stats
    }

    /// Folder of the journal.
    pub fn dir(&self) -> &Path {
        &self.inner.config.dir
    }

    /// Commits what waits, marks the journal as stopped in order, and ends the thread.
    pub fn close(&self) {
        {
            self.inner.pool.lock().stop = true;
            self.inner.wake.notify_one();
        }
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.close();
    }
}
