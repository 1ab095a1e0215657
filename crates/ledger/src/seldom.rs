//! Lines of the log that say the same over and over: the first at once, then one a minute with how many there were.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// Between two lines.
const EVERY: Duration = Duration::from_secs(60);

/// Counts what happens, and says when it is time for a line.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// One that nothing was said of.
    pub const fn new() -> Seldom {
        Seldom(Mutex::new((None, 0)))
    }

    /// It happened. Where a line is due: how often it has since the last.
    pub fn due(&self) -> Option<u64> {
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Option<u64> {
        let (said, times) = &mut *self.0.lock();
        *times += 1;
        if said.is_some_and(|said| now.duration_since(said) < EVERY) {
            return None;
        }
        *said = Some(now);
        Some(std::mem::take(times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_the_others_together() {
        let seldom = Seldom::new();
        let start = Instant::now();
        assert_eq!(seldom.due_at(start), Some(1));
        assert!((1..60).all(|s| seldom.due_at(start + Duration::from_secs(s)).is_none()));
        assert_eq!(seldom.due_at(start + EVERY), Some(60));
        assert_eq!(seldom.due_at(start + EVERY), None);
        assert_eq!(seldom.due_at(start + 3 * EVERY), Some(2));
    }
}
