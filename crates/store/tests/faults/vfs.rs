//! SQLite's files on a disk that breaks.
//!
//! The catalog is SQLite's, and SQLite has its own file layer, so `disk::Disk` is not under it. A file layer (VFS)
//! of ours is, made with `sqlite-plugin`: maintained, without unsafe code on our side, and with shared memory, which
//! a write-ahead log with several connections needs (`sqlite-vfs`, the other one, is of 2022 and copies the
//! shared memory about). So every read, write, sync, cut and removal that SQLite does is a call of the test disk
//! like any other: counted, failed, torn, lost in a power cut. It promises SQLite no more than a plain file system
//! does: sectors that are not written keep their content.
//!
//! A VFS is named and lives as long as the process. There is one for all tests; it finds the disk by the path.

use sqlite_plugin::flags::{AccessFlags, LockLevel, OpenOpts, ShmLockMode};
use sqlite_plugin::vars;
use sqlite_plugin::vfs::{RegisterOpts, Vfs, VfsHandle, VfsResult, register_static};
use std::collections::HashMap;
use std::ffi::CString;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock, Mutex, Once};
use testdisk::{FaultyDisk, OpenFile};

/// Name of the VFS.
const NAME: &str = "testdisk";
const SHM_LOCKS: usize = 8;

static MOUNTED: LazyLock<Mutex<HashMap<PathBuf, Mount>>> = LazyLock::new(Mutex::default);
static REGISTERED: Once = Once::new();

/// A disk, and what the connections to its databases share.
struct Mount {
    disk: FaultyDisk,
    databases: HashMap<PathBuf, Arc<Mutex<Shared>>>,
}

/// What a kernel would keep of one database: its locks, and the memory that its connections share.
#[derive(Default)]
struct Shared {
    next: u64,
    sharing: usize,
    reserved: Option<u64>,
    pending: Option<u64>,
    exclusive: Option<u64>,
    /// Per lock of the shared memory: how many share it, or -1.
    slots: [i32; SHM_LOCKS],
    users: usize,
    regions: Vec<Box<[AtomicU64]>>,
}

/// Puts a disk, empty or with content, where the files below `root` are looked for, in place of any other.
pub fn mount(root: &Path, disk: FaultyDisk) -> FaultyDisk {
    REGISTERED.call_once(|| {
        let name = CString::new(NAME).expect("a name without zeros");
        register_static(name, TestVfs, RegisterOpts { make_default: false }).expect("the file layer is taken");
    });
    let disk = disk.with_sqlite_vfs(NAME);
    let mount = Mount { disk: disk.clone(), databases: HashMap::new() };
    MOUNTED.lock().unwrap().insert(root.to_owned(), mount);
    disk
}

/// Lets go of a disk.
pub fn unmount(root: &Path) {
    MOUNTED.lock().unwrap().remove(root);
}

fn mounted<T>(path: &Path, f: impl FnOnce(&mut Mount) -> T) -> VfsResult<T> {
    let mut all = MOUNTED.lock().unwrap();
    let root = path.ancestors().find(|a| all.contains_key(*a)).map(Path::to_owned).ok_or(vars::SQLITE_CANTOPEN)?;
    all.get_mut(&root).map(f).ok_or(vars::SQLITE_CANTOPEN)
}

fn disk_of(path: &Path) -> VfsResult<FaultyDisk> {
    mounted(path, |m| m.disk.clone())
}

fn code(failed: i32) -> impl Fn(Error) -> i32 {
    move |e| match e.kind() {
        ErrorKind::StorageFull => vars::SQLITE_FULL,
        _ => failed,
    }
}

struct TestVfs;

/// An open file.
struct Handle {
    file: OpenFile,
    readonly: bool,
    id: u64,
    level: LockLevel,
    shared: Arc<Mutex<Shared>>,
    mapped: bool,
    /// Locks of the shared memory that it has: shared, exclusive.
    slots: [(bool, bool); SHM_LOCKS],
}

impl VfsHandle for Handle {
    fn readonly(&self) -> bool {
        self.readonly
    }

    fn in_memory(&self) -> bool {
        false
    }
}

impl Handle {
    /// Takes the locks down to `level`.
    fn release(&mut self, level: LockLevel) {
        let mut guard = self.shared.lock().unwrap();
        let shared = &mut *guard;
        for holder in [&mut shared.exclusive, &mut shared.pending, &mut shared.reserved] {
            if *holder == Some(self.id) {
                *holder = None;
            }
        }
        if level == LockLevel::Unlocked && self.level > LockLevel::Unlocked {
            shared.sharing -= 1;
        }
        drop(guard);
        self.level = level.min(self.level);
    }
}

impl Vfs for TestVfs {
    type Handle = Handle;

    fn open(&self, path: Option<&str>, opts: OpenOpts) -> VfsResult<Handle> {
        let (file, shared) = match path {
            // Room for a sort: nothing that must survive, and so on no disk.
            None => {
                let scratch = FaultyDisk::new(0).open_to_write(Path::new("/scratch"), true);
                (scratch.map_err(code(vars::SQLITE_CANTOPEN))?, Arc::default())
            }
            Some(path) => {
                let path = Path::new(path);
                let create = opts.flags() & vars::SQLITE_OPEN_CREATE != 0;
                let file = disk_of(path)?.open_to_write(path, create).map_err(code(vars::SQLITE_CANTOPEN))?;
                (file, mounted(path, |m| Arc::clone(m.databases.entry(path.to_owned()).or_default()))?)
            }
        };
        let id = {
            let mut shared = shared.lock().unwrap();
            shared.next += 1;
            shared.next
        };
        let readonly = opts.mode().is_readonly();
        let slots = [(false, false); SHM_LOCKS];
        Ok(Handle { file, readonly, id, level: LockLevel::Unlocked, shared, mapped: false, slots })
    }

    fn delete(&self, path: &str) -> VfsResult<()> {
        let path = Path::new(path);
        disk::Disk::remove(&disk_of(path)?, path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => vars::SQLITE_IOERR_DELETE_NOENT,
            _ => vars::SQLITE_IOERR_DELETE,
        })
    }

    fn access(&self, path: &str, _: AccessFlags) -> VfsResult<bool> {
        let path = Path::new(path);
        disk_of(path)?.exists(path).map_err(code(vars::SQLITE_IOERR_ACCESS))
    }

    fn file_size(&self, handle: &mut Handle) -> VfsResult<usize> {
        handle.file.size().map(|n| n as usize).map_err(code(vars::SQLITE_IOERR_FSTAT))
    }

    fn truncate(&self, handle: &mut Handle, size: usize) -> VfsResult<()> {
        handle.file.truncate(size as u64).map_err(code(vars::SQLITE_IOERR_TRUNCATE))
    }

    fn write(&self, handle: &mut Handle, offset: usize, data: &[u8]) -> VfsResult<usize> {
        handle.file.write_at(data, offset as u64).map_err(code(vars::SQLITE_IOERR_WRITE))?;
        Ok(data.len())
    }

    fn read(&self, handle: &mut Handle, offset: usize, data: &mut [u8]) -> VfsResult<usize> {
        handle.file.read_at(data, offset as u64).map_err(code(vars::SQLITE_IOERR_READ))
    }

    fn sync(&self, handle: &mut Handle) -> VfsResult<()> {
        handle.file.sync().map_err(code(vars::SQLITE_IOERR_FSYNC))
    }

    fn close(&self, mut handle: Handle) -> VfsResult<()> {
        handle.release(LockLevel::Unlocked);
        if handle.mapped {
            self.shm_unmap(&mut handle, false)?;
        }
        Ok(())
    }

    fn lock(&self, handle: &mut Handle, level: LockLevel) -> VfsResult<()> {
        if level <= handle.level {
            return Ok(());
        }
        let mut shared = handle.shared.lock().unwrap();
        let free = |holder: Option<u64>| holder.is_none_or(|h| h == handle.id);
        if handle.level == LockLevel::Unlocked {
            if !free(shared.pending) || !free(shared.exclusive) {
                return Err(vars::SQLITE_BUSY);
            }
            shared.sharing += 1;
        }
        if level >= LockLevel::Reserved {
            if !free(shared.reserved) {
                return Err(vars::SQLITE_BUSY);
            }
            shared.reserved = Some(handle.id);
        }
        if level >= LockLevel::Pending {
            shared.pending = Some(handle.id);
            if level == LockLevel::Exclusive && shared.sharing > 1 {
                handle.level = LockLevel::Pending;
                return Err(vars::SQLITE_BUSY);
            }
        }
        if level == LockLevel::Exclusive {
            shared.exclusive = Some(handle.id);
        }
        handle.level = level;
        Ok(())
    }

    fn unlock(&self, handle: &mut Handle, level: LockLevel) -> VfsResult<()> {
        handle.release(level);
        Ok(())
    }

    fn check_reserved_lock(&self, handle: &mut Handle) -> VfsResult<bool> {
        Ok(handle.shared.lock().unwrap().reserved.is_some())
    }

    fn sector_size(&self, _: &mut Handle) -> VfsResult<i32> {
        Ok(4096)
    }

    fn device_characteristics(&self, _: &mut Handle) -> VfsResult<i32> {
        Ok(vars::SQLITE_IOCAP_POWERSAFE_OVERWRITE)
    }

    fn shm_map(&self, handle: &mut Handle, region: usize, size: usize, extend: bool) -> VfsResult<Option<NonNull<u8>>> {
        let mut shared = handle.shared.lock().unwrap();
        if !handle.mapped {
            handle.mapped = true;
            shared.users += 1;
        }
        while shared.regions.len() <= region {
            if !extend {
                return Ok(None);
            }
            shared.regions.push((0..size / 8).map(|_| AtomicU64::new(0)).collect());
        }
        Ok(shared.regions[region].first().and_then(|word| NonNull::new(word.as_ptr().cast())))
    }

    fn shm_lock(&self, handle: &mut Handle, offset: u32, count: u32, mode: ShmLockMode) -> VfsResult<()> {
        let mut shared = handle.shared.lock().unwrap();
        let range = offset as usize..(offset + count) as usize;
        let held = &mut handle.slots[range.clone()];
        let slots = &mut shared.slots[range];
        match mode {
            ShmLockMode::LockShared => {
                if slots.iter().any(|n| *n < 0) {
                    return Err(vars::SQLITE_BUSY);
                }
                slots.iter_mut().zip(held).filter(|(_, h)| !h.0).for_each(|(n, h)| (*n, h.0) = (*n + 1, true));
            }
            ShmLockMode::LockExclusive => {
                let free = |(n, h): (&i32, &(bool, bool))| h.1 || *n == i32::from(h.0);
                if !slots.iter().zip(held.iter()).all(free) {
                    return Err(vars::SQLITE_BUSY);
                }
                slots.iter_mut().zip(held).for_each(|(n, h)| (*n, *h) = (-1, (false, true)));
            }
            ShmLockMode::UnlockShared => {
                slots.iter_mut().zip(held).filter(|(_, h)| h.0).for_each(|(n, h)| (*n, h.0) = (*n - 1, false));
            }
            ShmLockMode::UnlockExclusive => {
                slots.iter_mut().zip(held).filter(|(_, h)| h.1).for_each(|(n, h)| (*n, h.1) = (0, false));
            }
        }
        Ok(())
    }

    fn shm_barrier(&self, _: &mut Handle) {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }

    fn shm_unmap(&self, handle: &mut Handle, _: bool) -> VfsResult<()> {
        if std::mem::take(&mut handle.mapped) {
            let mut shared = handle.shared.lock().unwrap();
            for (n, held) in shared.slots.iter_mut().zip(std::mem::take(&mut handle.slots)) {
                match held {
                    (_, true) => *n = 0,
                    (true, _) => *n -= 1,
                    _ => {}
                }
            }
            shared.users -= 1;
            if shared.users == 0 {
                shared.regions.clear();
            }
        }
        Ok(())
    }
}
