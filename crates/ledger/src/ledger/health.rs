//! Whether records are taken now: what somebody asks who could send them to another server instead.
//!
//! A disk that refused a frame refuses the next until room is made, and nobody may be sending any more. So, where the last frame was
//! refused and a moment has passed, a file is written beside the journal and removed again. Not here: what callers are told.

use super::{Inner, Ledger};
use crate::seldom::Seldom;
use disk::Disk;
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A clock that is so many microseconds behind was set back, and not only put right a little.
const SET_BACK: i64 = 1_000_000;
/// For so long after a frame was refused nothing is tried.
const RECENT: Duration = Duration::from_secs(5);
/// Bytes that are tried at least, and at most: with room for a MiB most batches are taken.
const TRIED: (usize, usize) = (64 << 10, 1 << 20);
/// Name of the file that is tried. The journal's own end in `.log`; others in its folder are nothing to it.
const TRIAL: &str = "room.tmp";

/// Why no records are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusing {
    /// The ledger has stopped; see [`Ledger::failure`].
    Stopped,
    /// The disk took no frame, and would take none now.
    Disk,
    /// Too many records wait to be moved to segments.
    Tail,
}

/// What was refused last.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// When the disk refused a frame, and of how many bytes, where none was written since.
    refused: Mutex<Option<(Instant, usize)>>,
    /// Whether there is such: what a commit looks at.
    any: AtomicBool,
    /// Weight of the last batch that the tail had no room for, where none was let in since; else 0.
    pub tail: AtomicUsize,
    said: Seldom,
    clock_said: Seldom,
}

impl Health {
    /// The disk refused a frame of so many bytes.
    pub fn refused(&self, bytes: usize, why: &dyn std::fmt::Display) {
        if let Some(times) = self.said.due() {
            tracing::error!(error = %why, times, "frames could not be written; their callers were told");
        }
        *self.refused.lock() = Some((Instant::now(), bytes));
        self.any.store(true, Ordering::Release);
    }

    /// The clock as a frame is put together on top of one of `last`, microseconds UTC.
    pub fn clock(&self, now: i64, last: i64) {
        let behind = last.saturating_sub(now);
        if behind >= SET_BACK
            && let Some(frames) = self.clock_said.due()
        {
            tracing::warn!(
                seconds = behind as f64 / 1e6,
                frames,
                "the clock is behind the newest record, so it was set back; records get that record's time until it has caught up"
            );
        }
    }

    /// A frame was written.
    pub fn written(&self) {
        if self.any.load(Ordering::Relaxed) {
            let mut refused = self.refused.lock();
            self.any.store(false, Ordering::Release);
            if refused.take().is_some() {
                tracing::info!("the disk takes records again");
            }
        }
    }

    fn disk_refuses(&self, inner: &Inner) -> bool {
        let mut refused = self.refused.lock();
        let Some((at, bytes)) = *refused else { return false };
        if at.elapsed() < RECENT {
            return true;
        }
        let path = inner.config.dir.join(TRIAL);
        match tried(&*inner.disk, &path, bytes.clamp(TRIED.0, TRIED.1)) {
            Ok(()) => {
                *refused = None;
                self.any.store(false, Ordering::Release);
                false
            }
            Err(_) => true,
        }
    }
}

fn tried(disk: &dyn Disk, path: &Path, bytes: usize) -> io::Result<()> {
    // One may be left from before a crash.
    let _ = disk.remove(path);
    let written = disk.create(path).and_then(|mut file| {
        file.append(&vec![0; bytes])?;
        file.sync()
    });
    let removed = disk.remove(path);
    written.and(removed)
}

impl Ledger {
    /// Whether records are refused now, and why. May write to the disk: not for a thread that must not wait.
    pub fn refusing(&self) -> Option<Refusing> {
        let inner = &self.inner;
        if inner.failed.read().is_some() {
            return Some(Refusing::Stopped);
        }
        if inner.health.disk_refuses(inner) {
            return Some(Refusing::Disk);
        }
        let weight = inner.health.tail.load(Ordering::Relaxed);
        (weight > 0 && !inner.tail_has_room(weight)).then_some(Refusing::Tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_said_and_one_that_was_put_right_is_not() {
        let health = Health::default();
        health.clock(10, 9 + SET_BACK);
        health.clock(10, 0);
        assert_eq!(health.clock_said.due(), Some(1), "nothing was said before this");
        let health = Health::default();
        health.clock(10, 10 + SET_BACK);
        assert_eq!(health.clock_said.due(), None, "it was said just now");
    }
}
