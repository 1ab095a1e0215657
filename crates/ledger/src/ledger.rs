//! The pool and the commit: batches of every tenant wait together and go down in one frame.
//!
//! One thread commits. It takes whatever waits, gives each record its index, builds one frame, appends and
//! syncs it, and only then shows the records and answers the callers. There is no timer: the next frame is
//! whatever gathered while the last one was being synced.

use crate::frame::{Frame, FrameWriter, MAX_BODY};
use crate::ids::{HashedKeys, IdKey, RecentIds};
use crate::journal::{self, Journal, JournalError, Replayed};
use crate::tail::{Node, ROW_OVERHEAD, Shared, TailRow, TenantTail};
use crate::{Hash, LedgerId, PersonKey, TailView};
use bytes::Bytes;
use disk::Disk;
use merkle::Frontier;
use parking_lot::{Condvar, Mutex, RwLock};
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

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
}

/// Rows in one frame beyond which the next batch waits for the next frame.
const FRAME_BYTES: usize = 16 << 20;
/// What a group, a record and a key take in a frame, beside the record's row.
const GROUP_BYTES: usize = 20;
const RECORD_BYTES: usize = 37;
const KEY_BYTES: usize = 48;

/// A record on its way into the ledger.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Kind of entry.
    pub kind: u8,
    /// Where its stored form lies in [`Batch::rows`].
    pub row: Range<usize>,
    /// Commitment over its parts.
    pub commitment: Hash,
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
    /// Per tenant with rows in the tail: first index, and the size of the tree at the freeze.
    pub tenants: Vec<(u32, u64, u64)>,
    /// Personal keys that the rows brought.
    pub keys: Vec<(u32, PersonKey)>,
    /// Number of the ids' generation that began with it.
    pub ids: u64,
}

#[derive(Default)]
struct Pool {
    batches: Vec<(Batch, Answer)>,
    freeze: Vec<Box<dyn FnOnce(Frozen) + Send>>,
    stop: bool,
}

struct Inner {
    config: Config,
    disk: Arc<dyn Disk>,
    pool: Mutex<Pool>,
    wake: Condvar,
    pooled: AtomicUsize,
    tail: AtomicUsize,
    tenants: RwLock<HashMap<u32, Shared>>,
    ids: Mutex<RecentIds>,
    failed: RwLock<Option<String>>,
    stats: Stats,
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
        let mut committer = Committer { keys: Vec::new(), recorded_at: 0, clock, heads: HashMap::new() };
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
        for (tenant, (size, _)) in marks {
            let have = tenants.get(tenant).map_or(0, |t| t.frontier().size());
            if have < *size {
                return Err(JournalError::Fork(format!(
                    "tenant {tenant}: the data folder has {have} records, and {size} were signed: it is an old copy or has lost its end"
                )));
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
            ids: Mutex::new(ids),
            failed: RwLock::new(None),
            stats: Stats::default(),
        });
        let shared = Arc::clone(&inner);
        let thread = std::thread::Builder::new()
            .name("commit".into())
            .spawn(move || committer.run(&shared, journal))
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
        let pooled = self.inner.pooled.load(Ordering::Relaxed);
        // A single batch is always let in when nothing waits, whatever its size: it has passed its own limit.
        if pooled > 0 && pooled + weight > self.inner.config.pool_bytes {
            return Err(SubmitError::Full("too many records wait to be written"));
        }
        if self.inner.tail.load(Ordering::Relaxed) + pooled + weight > self.inner.config.tail_bytes {
            return Err(SubmitError::Full("too many records wait to be moved to segments"));
        }
        let mut pool = self.inner.pool.lock();
        if pool.stop {
            return Err(SubmitError::Stopped("shutting down".into()));
        }
        self.inner.pooled.fetch_add(weight, Ordering::Relaxed);
        pool.batches.push((batch, Box::new(answer)));
        self.inner.wake.notify_one();
        Ok(())
    }

    /// To be read *before* ids are looked up in the segments, and passed in [`Batch::id_epoch`].
    pub fn id_epoch(&self) -> u64 {
        self.inner.ids.lock().epoch()
    }

    /// Freezes the tail: what is sealed now can go to a segment, what comes later goes to later files.
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
        receive.recv().ok()
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
        self.inner.ids.lock().stored(frozen.ids);
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

    /// Whether the tail is nearly full: whoever can wait does well to, until rows have moved to segments.
    pub fn is_crowded(&self) -> bool {
        self.tail_bytes() > self.inner.config.tail_bytes / 8 * 7
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

struct Committer {
    /// Keys since the last freeze.
    keys: Vec<(u32, PersonKey)>,
    recorded_at: i64,
    clock: Clock,
    /// Frontiers as of the last commit, of tenants written to since the start.
    heads: HashMap<u32, Frontier>,
}

/// Ids of the frame being built: tenant, index, commitment, leaf.
type Fresh = HashMap<IdKey, (u32, u64, Hash, Hash), HashedKeys>;

/// One tenant's share of the frame being built.
struct Group {
    frontier: Frontier,
    first_index: u64,
    /// Batch number, record number, leaf.
    records: Vec<(usize, usize, Hash)>,
    keys: Vec<PersonKey>,
    nodes: Vec<Node>,
}

impl Committer {
    fn run(mut self, inner: &Inner, mut journal: Journal) {
        loop {
            let (batches, freeze, stop) = {
                let mut pool = inner.pool.lock();
                while pool.batches.is_empty() && pool.freeze.is_empty() && !pool.stop {
                    inner.wake.wait(&mut pool);
                }
                let mut bytes = 0;
                let take = pool.batches.iter().take_while(|(b, _)| {
                    let first = bytes == 0;
                    bytes += b.weight();
                    first || bytes <= FRAME_BYTES
                });
                let n = take.count();
                let batches: Vec<_> = pool.batches.drain(..n).collect();
                // A freeze never waits for a pause between batches: under load there is none. And none is left
                // behind at the end, for nothing is handed in after `stop`.
                let freeze = std::mem::take(&mut pool.freeze);
                (batches, freeze, pool.stop && pool.batches.is_empty())
            };
            if !batches.is_empty() {
                self.commit(inner, &mut journal, batches);
            }
            for done in freeze {
                if let Some(frozen) = self.freeze(inner, &mut journal) {
                    done(frozen);
                }
            }
            if stop {
                self.end(inner, &mut journal);
                return;
            }
        }
    }

    /// Says in the journal that nothing was cut off. Failing to is no loss.
    fn end(&mut self, inner: &Inner, journal: &mut Journal) {
        let seq = journal.next_seq();
        if inner.failed.read().is_none()
            && let Err(e) = journal.append(seq, &FrameWriter::new(self.recorded_at, 0).finish(seq))
        {
            tracing::warn!(error = %e, "could not mark the journal as closed in order");
        }
        *inner.failed.write() = Some("shut down".into());
    }

    /// `None` where the ledger has stopped: which files the journal has is then for the next start to say, and
    /// none may be cut before.
    fn freeze(&mut self, inner: &Inner, journal: &mut Journal) -> Option<Frozen> {
        match journal.rotate(self.recorded_at) {
            Ok(()) => {}
            Err(JournalError::Unknown(why)) => {
                tracing::error!(error = %why, "the journal's state is unknown; no more records are taken");
                inner.failed.write().get_or_insert(why);
                return None;
            }
            // The old file goes on; it is cut one segment later.
            Err(e) => tracing::warn!(error = %e, "could not begin a new journal file"),
        }
        let ids = inner.ids.lock().freeze();
        let tenants = inner
            .tenants
            .read()
            .iter()
            .filter_map(|(tenant, tail)| {
                let (first, rows, size, _) = tail.head();
                (rows > 0).then_some((*tenant, first, size))
            })
            .collect();
        Some(Frozen { seq: journal.next_seq() - 1, tenants, keys: std::mem::take(&mut self.keys), ids })
    }

    fn head(&self, inner: &Inner, tenant: u32) -> Frontier {
        match self.heads.get(&tenant) {
            Some(f) => f.clone(),
            None => inner.tenants.read().get(&tenant).map_or_else(Frontier::new, |t| t.frontier()),
        }
    }

    fn commit(&mut self, inner: &Inner, journal: &mut Journal, batches: Vec<(Batch, Answer)>) {
        let weight: usize = batches.iter().map(|(b, _)| b.weight()).sum();
        let now = (self.clock)().max(self.recorded_at);
        let mut groups: HashMap<u32, Group> = HashMap::new();
        let mut fresh: Fresh = HashMap::default();
        let mut answers: Vec<Result<Vec<Outcome>, SubmitError>> = Vec::with_capacity(batches.len());
        let ids = inner.ids.lock();
        for (b, (batch, _)) in batches.iter().enumerate() {
            let recent = if ids.covers(batch.id_epoch) { recent(inner, &ids, &batch.records) } else { None };
            let Some(recent) = recent else {
                answers.push(Err(SubmitError::Stale));
                continue;
            };
            let group = groups.entry(batch.tenant).or_insert_with(|| {
                let frontier = self.head(inner, batch.tenant);
                Group {
                    first_index: frontier.size(),
                    frontier,
                    records: Vec::new(),
                    keys: Vec::new(),
                    nodes: Vec::new(),
                }
            });
            group.keys.extend_from_slice(&batch.keys);
            let mut outcomes = Vec::with_capacity(batch.records.len());
            for (r, (record, recent)) in batch.records.iter().zip(recent).enumerate() {
                let known = record.id.and_then(|id| {
                    fresh
                        .get(&id)
                        .map(|(_, index, commitment, leaf)| Known {
                            index: *index,
                            commitment: *commitment,
                            leaf: *leaf,
                        })
                        .or(recent)
                });
                outcomes.push(match known {
                    Some(k) if k.commitment == record.commitment => Outcome::Duplicate { index: k.index, leaf: k.leaf },
                    Some(k) => Outcome::Conflict { index: k.index },
                    None => {
                        let index = group.frontier.size();
                        let leaf = leaf_of(record.kind, now, &record.commitment);
                        let nodes = &mut group.nodes;
                        group.frontier.push_with(leaf, |level, index, hash| keep_node(nodes, level, index, hash));
                        group.records.push((b, r, leaf));
                        if let Some(id) = record.id {
                            fresh.insert(id, (batch.tenant, index, record.commitment, leaf));
                        }
                        Outcome::Sealed { index, leaf }
                    }
                });
            }
            answers.push(Ok(outcomes));
        }
        drop(ids);
        groups.retain(|_, g| !g.records.is_empty());
        let result = if groups.is_empty() { Ok(()) } else { self.write(inner, journal, now, &batches, groups, &fresh) };
        inner.pooled.fetch_sub(weight, Ordering::Relaxed);
        for ((batch, answer), outcomes) in batches.into_iter().zip(answers) {
            answer(match (&result, outcomes) {
                (_, Err(e)) => Err(e),
                (Err(e), _) => Err(e.clone()),
                (Ok(()), Ok(outcomes)) => {
                    Ok(Receipt { outcomes, recorded_at: now, size: self.head(inner, batch.tenant).size() })
                }
            });
        }
    }

    /// Appends the frame and, when it is committed, shows its records.
    fn write(
        &mut self,
        inner: &Inner,
        journal: &mut Journal,
        now: i64,
        batches: &[(Batch, Answer)],
        mut groups: HashMap<u32, Group>,
        fresh: &Fresh,
    ) -> Result<(), SubmitError> {
        let rows: usize = batches
            .iter()
            .map(|(b, _)| b.rows.len() + b.records.len() * RECORD_BYTES + b.keys.len() * KEY_BYTES + GROUP_BYTES)
            .sum();
        let mut frame = FrameWriter::new(now, rows);
        // Tenant, then where each of its rows lies.
        let mut places: Vec<(u32, Vec<Range<usize>>)> = Vec::with_capacity(groups.len());
        for (tenant, group) in &groups {
            frame.group(*tenant, group.first_index, group.records.len() as u32, &group.keys);
            let mut at = Vec::with_capacity(group.records.len());
            for (b, r, _) in &group.records {
                let batch = &batches[*b].0;
                let record = &batch.records[*r];
                let row = &batch.rows[record.row.clone()];
                frame.record(record.kind, row, &record.commitment);
                at.push(frame.len() - row.len()..frame.len());
            }
            places.push((*tenant, at));
        }
        let seq = journal.next_seq();
        let bytes = Bytes::from(frame.finish(seq));
        let started = std::time::Instant::now();
        if let Err(e) = journal.append(seq, &bytes) {
            return Err(match e {
                JournalError::Unknown(why) => {
                    tracing::error!(error = %why, "the journal's state is unknown; no more records are taken");
                    *inner.failed.write() = Some(why.clone());
                    SubmitError::Stopped(why)
                }
                other => {
                    tracing::error!(error = %other, "a frame could not be written; its callers were told");
                    SubmitError::Disk(other.to_string())
                }
            });
        }
        // Committed. Nothing below can fail.
        inner.stats.sync_micros.fetch_add(started.elapsed().as_micros() as u64, Ordering::Relaxed);
        inner.stats.frames.fetch_add(1, Ordering::Relaxed);
        inner.stats.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.recorded_at = now;
        let mut weight = 0;
        for (tenant, at) in places {
            let Some(group) = groups.remove(&tenant) else { continue };
            let rows: Vec<TailRow> = group
                .records
                .iter()
                .zip(at)
                .zip(group.first_index..)
                .map(|(((b, r, leaf), at), index)| {
                    let record = &batches[*b].0.records[*r];
                    weight += at.len() + ROW_OVERHEAD;
                    TailRow {
                        index,
                        recorded_at: now,
                        kind: record.kind,
                        commitment: record.commitment,
                        leaf: *leaf,
                        row: bytes.slice(at),
                    }
                })
                .collect();
            inner.stats.records.fetch_add(rows.len() as u64, Ordering::Relaxed);
            self.keys.extend(group.keys.iter().map(|k| (tenant, *k)));
            self.heads.insert(tenant, group.frontier.clone());
            shared(inner, tenant).publish(rows, group.nodes, group.frontier);
        }
        let mut ids = inner.ids.lock();
        for (id, (tenant, index, ..)) in fresh {
            ids.insert(*id, *tenant, *index);
        }
        inner.tail.fetch_add(weight, Ordering::Relaxed);
        Ok(())
    }

    /// One frame of the journal, at recovery. Gives the memory it takes.
    fn replay(
        &mut self,
        frame: Frame,
        tenants: &mut HashMap<u32, Shared>,
        ids: &mut RecentIds,
        marks: &HashMap<u32, (u64, Hash)>,
        key: &impl Fn(u32, &[u8]) -> Option<IdKey>,
    ) -> Result<usize, String> {
        let mut weight = 0;
        for group in frame.groups {
            let tail = tenants.entry(group.tenant).or_default();
            let mut frontier = tail.frontier();
            if frontier.size() != group.first_index {
                return Err(format!(
                    "tenant {}: index {} follows a tree of {} records",
                    group.tenant,
                    group.first_index,
                    frontier.size()
                ));
            }
            let mut rows = Vec::with_capacity(group.records.len());
            let mut nodes = Vec::new();
            for (kind, commitment, row) in group.records {
                let index = frontier.size();
                let leaf = leaf_of(kind, frame.recorded_at, &commitment);
                frontier.push_with(leaf, |level, index, hash| keep_node(&mut nodes, level, index, hash));
                check_mark(marks, group.tenant, &frontier)?;
                if let Some(id) = key(group.tenant, &row) {
                    ids.insert(id, group.tenant, index);
                }
                weight += row.len() + ROW_OVERHEAD;
                rows.push(TailRow { index, recorded_at: frame.recorded_at, kind, commitment, leaf, row });
            }
            self.keys.extend(group.keys.into_iter().map(|k| (group.tenant, k)));
            tail.publish(rows, nodes, frontier);
        }
        Ok(weight)
    }
}

/// The earlier record of each of a batch's, from the tail or as it was found in the segments. `None` where one
/// was in the tail when the segments were searched and is in them now: they have to be searched again.
fn recent(inner: &Inner, ids: &RecentIds, records: &[Pending]) -> Option<Vec<Option<Known>>> {
    let find = |record: &Pending| {
        let Some((tenant, index)) = record.id.and_then(|id| ids.get(id)) else { return Some(record.known) };
        let row = inner.tenants.read().get(&tenant).and_then(|t| t.row(index));
        let in_tail = row.map(|row| Known { index, commitment: row.commitment, leaf: row.leaf });
        in_tail.or(record.known).map(Some)
    };
    records.iter().map(find).collect()
}

/// A tree that has just reached its mark's size must have its root.
fn check_mark(marks: &HashMap<u32, (u64, Hash)>, tenant: u32, frontier: &Frontier) -> Result<(), String> {
    match marks.get(&tenant) {
        Some((size, root)) if *size == frontier.size() && *root != frontier.root() => {
            Err(format!("tenant {tenant}: at {size} records the tree is not the one that was signed"))
        }
        _ => Ok(()),
    }
}

fn shared(inner: &Inner, tenant: u32) -> Shared {
    if let Some(tail) = inner.tenants.read().get(&tenant) {
        return Arc::clone(tail);
    }
    Arc::clone(inner.tenants.write().entry(tenant).or_default())
}

/// Tiles are 256 wide: only every eighth height of the tree is a tile's hash.
fn keep_node(nodes: &mut Vec<Node>, height: u8, index: u64, hash: Hash) {
    if height.is_multiple_of(8) {
        nodes.push(Node { level: height / 8, index, hash });
    }
}

/// The leaf of an entry: the 47 bytes of `docs/formats/entry.md`, hashed. The ledger knows the layout of an
/// entry, which is its own to seal, and nothing of the row behind the commitment.
pub fn leaf_of(kind: u8, recorded_at: i64, commitment: &Hash) -> Hash {
    let mut entry = [0; 47];
    entry[0] = 1;
    entry[1] = kind;
    entry[2..10].copy_from_slice(&(recorded_at.max(0) as u64).to_be_bytes());
    entry[10..42].copy_from_slice(commitment);
    entry[42..46].copy_from_slice(&10u32.to_be_bytes());
    entry[46] = 1;
    merkle::leaf_hash(&entry)
}
