//! A gate before the disk: who appends while it is shut waits, so that a test says what happens in the meantime.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    shut: bool,
    waiting: usize,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set(&self, shut: bool) {
        self.state().shut = shut;
        self.changed.notify_all();
    }

    pub fn waiting(&self) -> usize {
        self.state().waiting
    }

    pub fn pass(&self) {
        let mut state = self.state();
        state.waiting += 1;
        while state.shut {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
    }
}
