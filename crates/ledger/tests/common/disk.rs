//! A disk in memory that fails on order and loses power.
//!
//! It remembers what was asked of it since the last sync, per file and per folder. A power cut keeps what was
//! synced, of each file a chance-chosen beginning of the rest, its last write perhaps torn into sectors, and of
//! the names that were not synced any choice. Nothing kinder is assumed by `ledger::disk`.

use super::Rng;
use ledger::disk::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// What goes wrong, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails and does nothing.
    Before,
    /// The call fails after it has done all of its work.
    After,
    /// An append writes a part and fails; other calls fail before.
    Short,
}

/// A promise that the disk breaks without a word. Tests that pass on such a disk test nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    None,
    /// File contents are not made durable.
    Sync,
    /// Names are not made durable.
    SyncDir,
    /// A cut file has its old bytes back.
    Truncate,
}

#[derive(Debug, Clone)]
enum Op {
    Append(Vec<u8>),
    Truncate(usize),
}

#[derive(Debug, Clone, Default)]
struct File {
    data: Vec<u8>,
    durable: Vec<u8>,
    /// Since the last sync, in order.
    pending: Vec<Op>,
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
    /// Number of the call that fails, how, and whether all after it fail too.
    fault: Option<(u64, Fault, bool)>,
    /// Bytes that fit.
    capacity: Option<usize>,
    lie: Lie,
    rng: Rng,
}

/// See the module. Clones share the disk.
#[derive(Debug, Clone)]
pub struct FaultyDisk(Arc<Mutex<State>>);

impl FaultyDisk {
    pub fn new(seed: u64) -> Self {
        FaultyDisk(Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
            pending: Vec::new(),
            next: 0,
            calls: 0,
            fault: None,
            capacity: None,
            lie: Lie::None,
            rng: Rng(seed),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

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
        let used: usize = state.names.values().map(|id| state.files[id].data.len()).sum();
        state.capacity = Some(used + free);
    }

    /// Nothing fails any more.
    pub fn mend(&self) {
        let mut state = self.state();
        state.fault = None;
        state.capacity = None;
    }

    /// The power goes, and comes back with what had reached the disk.
    pub fn power_cut(&self) {
        let mut state = self.state();
        let mut rng = state.rng.clone();
        let mut names = state.durable.clone();
        for change in std::mem::take(&mut state.pending) {
            if rng.once_in(2) {
                apply(&mut names, &change);
            }
        }
        for file in state.files.values_mut() {
            let keep = rng.below(file.pending.len() + 1);
            let torn = rng.once_in(2);
            let mut data = std::mem::take(&mut file.durable);
            for (n, op) in file.pending.drain(..).take(keep).enumerate() {
                match op {
                    Op::Truncate(len) => data.truncate(len),
                    Op::Append(bytes) if torn && n + 1 == keep => tear(&mut data, &bytes, &mut rng),
                    Op::Append(bytes) => data.extend(bytes),
                }
            }
            file.durable.clone_from(&data);
            file.data = data;
        }
        state.names.clone_from(&names);
        state.durable = names;
        state.rng = rng;
        state.fault = None;
        state.capacity = None;
    }

    /// Another disk with the same content, as a copy of a stopped folder would be.
    pub fn copy(&self) -> FaultyDisk {
        FaultyDisk(Arc::new(Mutex::new(self.state().clone())))
    }

    /// Content of a file.
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

    /// Files below a folder, by name.
    pub fn paths(&self, dir: &Path) -> Vec<PathBuf> {
        self.state().names.keys().filter(|p| p.parent() == Some(dir)).cloned().collect()
    }

    /// Everything on the disk, to see whether something changed.
    pub fn content(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        state.names.iter().map(|(p, id)| (p.clone(), state.files[id].data.clone())).collect()
    }

    /// One call: counts, fails as ordered, else does the work.
    fn call<T>(&self, work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.state();
        state.calls += 1;
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
}

fn apply(names: &mut BTreeMap<PathBuf, u64>, change: &Names) {
    for (path, id) in change {
        match id {
            Some(id) => names.insert(path.clone(), *id),
            None => names.remove(path),
        };
    }
}

/// Some of the sectors that a write touched are there, others are zeros, and the file may end early.
fn tear(data: &mut Vec<u8>, bytes: &[u8], rng: &mut Rng) {
    const SECTOR: usize = 512;
    let start = data.len();
    let len = rng.below(bytes.len() + 1);
    data.extend_from_slice(&bytes[..len]);
    if rng.once_in(2) {
        let mut at = start;
        while at < data.len() {
            let end = (at / SECTOR * SECTOR + SECTOR).min(data.len());
            if rng.once_in(2) {
                data[at..end].fill(0);
            }
            at = end;
        }
    }
}

fn not_found() -> Error {
    Error::from(ErrorKind::NotFound)
}

struct Handle {
    disk: FaultyDisk,
    file: u64,
}

impl State {
    fn rename(&mut self, change: Names) {
        apply(&mut self.names, &change);
        self.pending.push(change);
    }

    fn file(&mut self, id: u64) -> &mut File {
        self.files.get_mut(&id).unwrap()
    }

    fn append(&mut self, id: u64, bytes: &[u8]) {
        let file = self.file(id);
        file.data.extend_from_slice(bytes);
        file.pending.push(Op::Append(bytes.to_vec()));
    }
}

impl DiskFile for Handle {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let id = self.file;
        {
            // A short write is an effect and an error at once, which `call` does not know.
            let mut state = self.disk.state();
            let at = state.calls + 1;
            let part = match state.fault {
                Some((n, Fault::Short, _)) if n == at => {
                    let mut rng = state.rng.clone();
                    let part = rng.below(bytes.len() + 1);
                    state.rng = rng;
                    Some((part, Error::other("the test disk wrote a part")))
                }
                _ => {
                    let used: usize = state.names.values().map(|id| state.files[id].data.len()).sum();
                    let free = state.capacity.map(|c| c.saturating_sub(used));
                    free.filter(|f| *f < bytes.len()).map(|f| (f, Error::from(ErrorKind::StorageFull)))
                }
            };
            if let Some((part, error)) = part {
                state.calls += 1;
                state.append(id, &bytes[..part]);
                return Err(error);
            }
        }
        self.disk.call(|state| {
            state.append(id, bytes);
            Ok(())
        })
    }

    fn sync(&mut self) -> Result<()> {
        let id = self.file;
        self.disk.call(|state| {
            if state.lie != Lie::Sync {
                let file = state.file(id);
                file.durable.clone_from(&file.data);
                file.pending.clear();
            }
            Ok(())
        })
    }

    fn truncate(&mut self, len: u64) -> Result<()> {
        let id = self.file;
        self.disk.call(|state| {
            if state.lie != Lie::Truncate {
                let file = state.file(id);
                file.data.truncate(len as usize);
                file.pending.push(Op::Truncate(len as usize));
            }
            Ok(())
        })
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let file = self.call(|state| {
            if state.names.contains_key(path) {
                return Err(Error::from(ErrorKind::AlreadyExists));
            }
            let id = state.next;
            state.next += 1;
            state.files.insert(id, File::default());
            state.rename(vec![(path.to_owned(), Some(id))]);
            Ok(id)
        })?;
        Ok(Box::new(Handle { disk: self.clone(), file }))
    }

    fn append_to(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let file = self.call(|state| state.names.get(path).copied().ok_or_else(not_found))?;
        Ok(Box::new(Handle { disk: self.clone(), file }))
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        self.call(|state| state.names.get(path).map(|id| state.files[id].data.clone()).ok_or_else(not_found))
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        self.call(|state| Ok(state.names.keys().filter(|p| p.parent() == Some(dir)).cloned().collect()))
    }

    fn create_dir(&self, _: &Path) -> Result<()> {
        self.call(|_| Ok(()))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.call(|state| {
            let id = state.names.get(from).copied().ok_or_else(not_found)?;
            state.rename(vec![(from.to_owned(), None), (to.to_owned(), Some(id))]);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.call(|state| {
            state.names.get(path).ok_or_else(not_found)?;
            state.rename(vec![(path.to_owned(), None)]);
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.call(|state| {
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
