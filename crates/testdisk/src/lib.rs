//! A disk in memory that fails on order, rots, and loses power. For tests only.
//!
//! It remembers what was asked of it since the last sync, per file and per folder. A power cut keeps what was
//! synced, of the rest of each file either a chance-chosen beginning with its last write perhaps torn, or any
//! choice of its sectors; and of the names that were not synced any choice. Nothing kinder is assumed by `disk`.
//!
//! Everything that happens follows from the seed and the calls, so a schedule can be repeated; [`trace`]
//! tells whether it was.
//!
//! [`trace`]: FaultyDisk::trace

mod file;
mod gate;
mod open;
mod rng;
mod schedules;

pub use open::OpenFile;
pub use rng::Rng;
pub use schedules::Schedules;

use disk::{Disk, DiskFile, ReadFile};
use file::{File, Op, beginning, sectors};
use gate::Gate;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What goes wrong, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails and does nothing.
    Before,
    /// The call fails after it has done all of its work.
    After,
    /// A write does a part and fails; other calls fail before.
    Short,
}

/// A promise that the disk breaks without a word. Tests that pass on such a disk test nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// None: it keeps all of them.
    None,
    /// File contents are not made durable.
    Sync,
    /// Names are not made durable.
    SyncDir,
    /// A cut file has its old bytes back.
    Truncate,
}

/// New names of one call; `None` is gone. They become durable together.
type Names = Vec<(PathBuf, Option<u64>)>;

#[derive(Debug, Clone)]
struct State {
    files: BTreeMap<u64, File>,
    names: BTreeMap<PathBuf, u64>,
    durable: BTreeMap<PathBuf, u64>,
    pending: Vec<Names>,
    next: u64,
    calls: u64,
    trace: u64,
    /// Number of the call that fails, how, and whether all after it fail too.
    fault: Option<(u64, Fault, bool)>,
    /// Bytes that fit.
    capacity: Option<usize>,
    /// What every sync takes.
    slow: Duration,
    lie: Lie,
    rng: Rng,
    keys: Rng,
}

/// See the crate. Clones share the disk.
#[derive(Debug, Clone)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
    gate: Arc<Gate>,
    vfs: Option<&'static str>,
}

impl FaultyDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        let state = State {
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
            pending: Vec::new(),
            next: 0,
            calls: 0,
            trace: 0,
            fault: None,
            capacity: None,
            slow: Duration::ZERO,
            lie: Lie::None,
            rng: Rng(seed),
            keys: Rng(!seed),
        };
        FaultyDisk { state: Arc::new(Mutex::new(state)), gate: Arc::default(), vfs: None }
    }

    /// The disk, whose files SQLite reads and writes through the file layer of this name.
    #[must_use]
    pub fn with_sqlite_vfs(self, name: &'static str) -> Self {
        FaultyDisk { vfs: Some(name), ..self }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it breaks this promise.
    pub fn lie(&self, lie: Lie) {
        self.state().lie = lie;
    }

    /// The `n`th call from now fails; with `stay` it is the machine that stops, and all after it fail too.
    pub fn fail_in(&self, n: u64, fault: Fault, stay: bool) {
        let mut state = self.state();
        state.fault = Some((state.calls + n, fault, stay));
    }

    /// No more bytes than `free` from now on.
    pub fn fill_up(&self, free: usize) {
        let mut state = self.state();
        state.capacity = Some(state.used() + free);
    }

    /// Every sync takes this long.
    pub fn slow_down(&self, sync: Duration) {
        self.state().slow = sync;
    }

    /// Whoever appends from now on waits until it is [opened](Self::open_gate).
    pub fn shut_gate(&self) {
        self.gate.set(true);
    }

    /// See [`shut_gate`](Self::shut_gate).
    pub fn open_gate(&self) {
        self.gate.set(false);
    }

    /// How many wait before the gate.
    pub fn at_gate(&self) -> usize {
        self.gate.waiting()
    }

    /// Nothing fails any more.
    pub fn mend(&self) {
        let mut state = self.state();
        state.fault = None;
        state.capacity = None;
        state.slow = Duration::ZERO;
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// A number that is another one when anything else was written, cut, synced, named or removed.
    pub fn trace(&self) -> u64 {
        self.state().trace
    }

    /// The power goes, and comes back with what had reached the disk.
    pub fn power_cut(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        for change in std::mem::take(&mut state.pending) {
            if state.rng.once_in(2) {
                apply(&mut state.durable, &change);
            }
        }
        for file in state.files.values_mut() {
            let pending = std::mem::take(&mut file.pending);
            let kept = match state.rng.once_in(2) {
                true => beginning(std::mem::take(&mut file.durable), pending, &mut state.rng),
                false => sectors(std::mem::take(&mut file.durable), pending, &mut state.rng),
            };
            file.durable.clone_from(&kept);
            file.data = kept;
        }
        state.names.clone_from(&state.durable);
        let used: std::collections::BTreeSet<u64> = state.names.values().copied().collect();
        state.files.retain(|id, _| used.contains(id));
        state.fault = None;
        state.capacity = None;
    }

    /// One bit of a file turns over, durably. Where: a number as large as you like.
    pub fn rot(&self, path: &Path, at: u64) {
        let mut guard = self.state();
        let state = &mut *guard;
        if let Some(file) = state.names.get(path).and_then(|id| state.files.get_mut(id))
            && !file.data.is_empty()
        {
            let (byte, bit) = ((at / 8) as usize % file.data.len(), at % 8);
            file.data[byte] ^= 1 << bit;
            file.durable.clone_from(&file.data);
            file.pending.clear();
        }
    }

    /// Another disk with the same content, as a copy of a stopped folder would be.
    pub fn copy(&self) -> FaultyDisk {
        FaultyDisk { state: Arc::new(Mutex::new(self.state().clone())), gate: Arc::default(), vfs: self.vfs }
    }

    /// Content of a file.
    ///
    /// # Panics
    /// Where there is none.
    pub fn bytes(&self, path: &Path) -> Vec<u8> {
        let state = self.state();
        state.files[&state.names[path]].data.clone()
    }

    /// Puts a file there, durably.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        state.files.insert(id, File { data: bytes.clone(), durable: bytes, pending: Vec::new() });
        state.names.insert(path.to_owned(), id);
        state.durable.insert(path.to_owned(), id);
    }

    /// Takes a file away, durably.
    pub fn take(&self, path: &Path) {
        let mut state = self.state();
        state.names.remove(path);
        state.durable.remove(path);
    }

    /// Files directly in a folder, by name.
    pub fn paths(&self, dir: &Path) -> Vec<PathBuf> {
        self.state().names.keys().filter(|p| p.parent() == Some(dir)).cloned().collect()
    }

    /// Everything on the disk, to see whether something changed.
    pub fn content(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        state.names.iter().map(|(p, id)| (p.clone(), state.files[id].data.clone())).collect()
    }

    /// Whether a name is there, as SQLite asks.
    ///
    /// # Errors
    /// As ordered.
    pub fn exists(&self, path: &Path) -> Result<bool> {
        self.call(("exists", path, 0), |state| Ok(state.names.contains_key(path)))
    }

    /// Opens a file to read and write anywhere in it, as SQLite does.
    ///
    /// # Errors
    /// As ordered, and `NotFound` unless it may be created.
    pub fn open_to_write(&self, path: &Path, create: bool) -> Result<OpenFile> {
        let (file, new) = self.call(("open", path, 0), |state| match state.names.get(path) {
            Some(id) => Ok((*id, false)),
            None if create => Ok((state.create(path), true)),
            None => Err(not_found()),
        })?;
        Ok(OpenFile { disk: self.clone(), file, path: path.to_owned(), unsynced_name: new })
    }

    /// One call: counts, fails as ordered, else does the work.
    fn call<T>(&self, what: (&str, &Path, usize), work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.state();
        state.note(what);
        match state.fault {
            Some((at, fault, stay)) if state.calls == at || (stay && state.calls > at) => {
                if fault == Fault::After && state.calls == at {
                    work(&mut state)?;
                }
                Err(Error::other("the test disk fails"))
            }
            _ => work(&mut state),
        }
    }

    fn sync(&self, id: u64, path: &Path) -> Result<()> {
        let slow = self.state().slow;
        if !slow.is_zero() {
            std::thread::sleep(slow);
        }
        self.call(("sync", path, 0), |state| {
            if state.lie != Lie::Sync {
                let file = state.file(id)?;
                file.durable.clone_from(&file.data);
                file.pending.clear();
            }
            Ok(())
        })
    }

    fn truncate(&self, id: u64, path: &Path, len: usize) -> Result<()> {
        self.call(("truncate", path, len), |state| {
            if state.lie != Lie::Truncate {
                state.file(id)?.apply(Op::Truncate(len));
            }
            Ok(())
        })
    }

    /// Writes at a place, or at the end.
    fn write(&self, id: u64, path: &Path, at: Option<usize>, bytes: &[u8]) -> Result<()> {
        {
            // A short write is an effect and an error at once, which `call` does not know.
            let mut guard = self.state();
            let state = &mut *guard;
            let end = state.file(id)?.data.len();
            let at = at.unwrap_or(end);
            let part = match state.fault {
                Some((n, Fault::Short, _)) if n == state.calls + 1 => {
                    Some((state.rng.below(bytes.len() + 1), Error::other("the test disk wrote a part")))
                }
                Some((n, _, stay)) if n == state.calls + 1 || (stay && n <= state.calls) => None,
                _ => {
                    let free = state.capacity.map(|c| c.saturating_sub(state.used()) + end.saturating_sub(at));
                    free.filter(|f| *f < bytes.len()).map(|f| (f, Error::from(ErrorKind::StorageFull)))
                }
            };
            if let Some((part, error)) = part {
                state.note(("short write", path, part));
                state.file(id)?.apply(Op::Write(at, bytes[..part].to_vec()));
                return Err(error);
            }
        }
        self.call(("write", path, bytes.len()), |state| {
            let file = state.file(id)?;
            file.apply(Op::Write(at.unwrap_or(file.data.len()), bytes.to_vec()));
            Ok(())
        })
    }

    fn sync_names(&self, dir: &Path) -> Result<()> {
        self.call(("sync folder", dir, 0), |state| {
            if state.lie == Lie::SyncDir {
                return Ok(());
            }
            let of_dir = |change: &Names| change.iter().any(|(p, _)| p.parent() == Some(dir));
            let (synced, rest) = std::mem::take(&mut state.pending).into_iter().partition(of_dir);
            state.pending = rest;
            let synced: Vec<Names> = synced;
            synced.iter().for_each(|change| apply(&mut state.durable, change));
            Ok(())
        })
    }
}

fn apply(names: &mut BTreeMap<PathBuf, u64>, change: &Names) {
    for (path, id) in change {
        match id {
            Some(id) => names.insert(path.clone(), *id),
            None => names.remove(path),
        };
    }
}

fn not_found() -> Error {
    Error::from(ErrorKind::NotFound)
}

impl State {
    fn note(&mut self, (what, path, len): (&str, &Path, usize)) {
        self.calls += 1;
        // Reads of several threads come in any order.
        if matches!(what, "read" | "read all" | "open" | "size" | "exists") {
            return;
        }
        let name = path.file_name().map_or(&[][..], |n| n.as_encoded_bytes());
        for byte in what.as_bytes().iter().chain(name).chain(&len.to_le_bytes()) {
            self.trace = (self.trace ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    fn used(&self) -> usize {
        self.names.values().filter_map(|id| self.files.get(id)).map(|f| f.data.len()).sum()
    }

    fn create(&mut self, path: &Path) -> u64 {
        let id = self.next;
        self.next += 1;
        self.files.insert(id, File::default());
        self.rename(vec![(path.to_owned(), Some(id))]);
        id
    }

    fn rename(&mut self, change: Names) {
        apply(&mut self.names, &change);
        self.pending.push(change);
    }

    /// A file that is open. One from before a power cut is of another machine.
    fn file(&mut self, id: u64) -> Result<&mut File> {
        self.files.get_mut(&id).ok_or_else(|| Error::other("the file was open when the power went"))
    }
}

impl FaultyDisk {
    fn handle(&self, what: &str, path: &Path) -> Result<OpenFile> {
        let file = self.call((what, path, 0), |state| state.names.get(path).copied().ok_or_else(not_found))?;
        Ok(OpenFile { disk: self.clone(), file, path: path.to_owned(), unsynced_name: false })
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let file = self.call(("create", path, 0), |state| match state.names.contains_key(path) {
            true => Err(Error::from(ErrorKind::AlreadyExists)),
            false => Ok(state.create(path)),
        })?;
        Ok(Box::new(OpenFile { disk: self.clone(), file, path: path.to_owned(), unsynced_name: false }))
    }

    fn append_to(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        Ok(Box::new(self.handle("append to", path)?))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn ReadFile>> {
        Ok(Box::new(self.handle("open", path)?))
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        self.call(("read all", path, 0), |state| {
            state.names.get(path).and_then(|id| state.files.get(id)).map(|f| f.data.clone()).ok_or_else(not_found)
        })
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        self.call(("list", dir, 0), |state| {
            Ok(state.names.keys().filter(|p| p.parent() == Some(dir)).cloned().collect())
        })
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        self.call(("create folder", dir, 0), |_| Ok(()))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.call(("rename", to, 0), |state| {
            let id = state.names.get(from).copied().ok_or_else(not_found)?;
            state.rename(vec![(from.to_owned(), None), (to.to_owned(), Some(id))]);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.call(("remove", path, 0), |state| {
            state.names.get(path).ok_or_else(not_found)?;
            state.rename(vec![(path.to_owned(), None)]);
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.sync_names(dir)
    }

    fn sqlite_vfs(&self) -> Option<&str> {
        self.vfs
    }

    fn random(&self, bytes: &mut [u8]) -> Result<()> {
        let mut state = self.state();
        bytes.iter_mut().for_each(|b| *b = state.keys.word() as u8);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
