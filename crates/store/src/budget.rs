//! Keeping background work to a share of a core, by sleeping in proportion to what it worked.

use std::time::{Duration, Instant};

/// Longest sleep in one go: a shutdown waits for it.
const LONGEST: Duration = Duration::from_millis(500);

/// What one piece of background work may take.
pub(crate) struct Budget {
    share: f64,
    since: Instant,
}

impl Budget {
    /// Work that may take `share` of a core, 0 to 1.
    pub fn new(share: f64) -> Budget {
        Budget { share: share.clamp(0.01, 1.0), since: Instant::now() }
    }

    /// To be called every few thousand rows.
    pub fn rest(&mut self) {
        if self.share < 1.0 {
            std::thread::sleep(self.since.elapsed().mul_f64(1.0 / self.share - 1.0).min(LONGEST));
        }
        self.since = Instant::now();
    }

    /// As [`rest`](Self::rest), after which `share` holds.
    pub fn rest_at(&mut self, share: f64) {
        self.share = share.clamp(0.01, 1.0);
        self.rest();
    }
}
