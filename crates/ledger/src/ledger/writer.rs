//! The thread that waits for the disk, so that the next frame is put together meanwhile.
//!
//! It owns nothing between frames: the journal comes with each and goes back with what became of it, so there is one writer at any
//! time. Not here: which frames go this way and what follows from their result (`committer`).

use super::Inner;
use crate::journal::{Journal, JournalError};
use bytes::Bytes;
use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, atomic::Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

/// A frame on its way to the disk.
struct Frame {
    journal: Box<Journal>,
    seq: u64,
    bytes: Bytes,
}

/// The journal again, and whether the frame is in it.
pub(super) struct Landed {
    pub journal: Box<Journal>,
    pub result: Result<(), JournalError>,
}

/// See the module.
pub(super) struct Writer {
    frames: Sender<Frame>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread. What it has written it leaves in the pool, where the committer waits.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn start(inner: &Arc<Inner>) -> io::Result<Writer> {
        let (frames, to_write) = channel::<Frame>();
        let inner = Arc::clone(inner);
        let run = move || {
            come_first();
            for Frame { mut journal, seq, bytes } in to_write {
                let result = append(&inner, &mut journal, seq, &bytes);
                inner.pool.lock().landed = Some(Landed { journal, result });
                inner.wake.notify_one();
            }
        };
        let thread = std::thread::Builder::new().name("journal".into()).spawn(run)?;
        Ok(Writer { frames, thread })
    }

    /// Hands a frame over; its [`Landed`] comes into the pool. Where the thread is gone the journal comes back at once.
    pub fn write(&self, journal: Box<Journal>, seq: u64, bytes: Bytes) -> Result<(), Box<Journal>> {
        self.frames.send(Frame { journal, seq, bytes }).map_err(|refused| refused.0.journal)
    }

    /// Ends the thread.
    pub fn end(self) {
        drop(self.frames);
        let _ = self.thread.join();
    }
}

/// Lets this thread go before others of the machine, where the user may say so (root, `CAP_SYS_NICE`, `RLIMIT_NICE`): all writers wait
/// for the two threads that commit, which take half a core together at most and mostly sleep; woken in their turn, behind those that
/// prepare batches, they would wait longer for a core than for the disk. Where it is not allowed all goes on as it would.
pub(super) fn come_first() {
    // Of Linux, where a thread has a priority of its own. Elsewhere it would be that of the whole program.
    #[cfg(target_os = "linux")]
    if let Err(e) = rustix::process::setpriority_process(None, PRIORITY) {
        tracing::debug!(error = %e, "the threads that commit have no priority over others");
    }
}

/// Of the threads that commit, as `nice` counts.
#[cfg(target_os = "linux")]
const PRIORITY: i32 = -10;

/// Appends and syncs a frame, and counts what it took.
pub(super) fn append(inner: &Inner, journal: &mut Journal, seq: u64, bytes: &[u8]) -> Result<(), JournalError> {
    let started = Instant::now();
    journal.append(seq, bytes)?;
    inner.health.written();
    inner.stats.sync_micros.fetch_add(started.elapsed().as_micros() as u64, Ordering::Relaxed);
    inner.stats.frames.fetch_add(1, Ordering::Relaxed);
    inner.stats.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    Ok(())
}
