//! Ctrl-C: the first one asks a command to stop in order, the second one ends it at once with 130.
//!
//! Owns the signal handlers of client commands. The server has its own (tokio's).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::SIGINT;

use super::Exit;

/// Whether somebody wants us to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Ctrl-C ends the program at once: for commands that hold nothing that would be lost.
    pub fn at_once() {
        let _ = signal_hook::flag::register_conditional_shutdown(
            SIGINT,
            Exit::Interrupted as i32,
            Arc::new(AtomicBool::new(true)),
        );
    }

    /// The first Ctrl-C sets the flag, the next ends the program.
    pub fn on_interrupt() -> Stop {
        let stop = Stop::default();
        // The order matters: the shutdown looks at the flag before the same signal sets it.
        let _ = signal_hook::flag::register_conditional_shutdown(SIGINT, Exit::Interrupted as i32, Arc::clone(&stop.0));
        let _ = signal_hook::flag::register(SIGINT, Arc::clone(&stop.0));
        stop
    }

    /// Asks to stop, as Ctrl-C does.
    #[cfg(test)]
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Sleeps, but not past a wish to stop. False if there was one.
    pub fn sleep(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while !self.is_set() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
        false
    }
}
