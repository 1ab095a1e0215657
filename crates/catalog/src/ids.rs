//! Segment ids: never given twice, also across restarts and crashes.
//!
//! The file holds a ceiling below which ids may have been given. Ids are given from memory below it, and raising
//! it by a block costs one durable write; a restart continues at the ceiling and leaves the rest of the block unused.

use parking_lot::MutexGuard;
use rusqlite::Transaction;

use crate::catalog::Catalog;
use crate::error::{Error, Result, Step};
use crate::positions::{self, ID_CEILING};

const BLOCK: u64 = 64;

/// Always `next <= ceiling <= the ceiling in the file`.
#[derive(Debug, Default)]
pub(crate) struct SegmentIds {
    next: u64,
    ceiling: u64,
}

impl SegmentIds {
    fn take(&mut self) -> Option<u64> {
        (self.next < self.ceiling).then(|| {
            let id = self.next;
            self.next += 1;
            id
        })
    }
}

impl Catalog {
    /// An id that was never given before and never will be again, used or not.
    ///
    /// # Errors
    ///
    /// When the ceiling cannot be raised durably.
    pub fn next_segment_id(&self) -> Result<u64> {
        if let Some(id) = self.ids.lock().take() {
            return Ok(id);
        }
        self.db.write_then(
            "reserve segment ids",
            |tx| {
                // Held over the commit: nobody gives ids from a block that is not reserved yet.
                let mut ids = self.ids.lock();
                if let Some(id) = ids.take() {
                    return Ok((ids, id, None));
                }
                let from = positions::get(tx, ID_CEILING)?;
                let to = from.checked_add(BLOCK).ok_or(Error::TooLarge { what: "segment id", value: from })?;
                positions::advance(tx, ID_CEILING, to)?;
                Ok((ids, from, Some(to)))
            },
            |(mut ids, id, reserved)| {
                if let Some(ceiling) = reserved {
                    *ids = SegmentIds { next: id + 1, ceiling };
                }
                id
            },
        )
    }

    /// Makes sure that an id that came from elsewhere (a rebuilt catalog) is not given again. The guard is kept
    /// until the commit, and then [`settle`] is called with it.
    pub(crate) fn claim_ids(&self, tx: &Transaction<'_>, highest: Option<u64>) -> Step<Claim<'_>> {
        let Some(highest) = highest else { return Ok(None) };
        let ids = self.ids.lock();
        // Without a block of our own, everything below the file's ceiling counts as given.
        let first_free = if ids.next < ids.ceiling { ids.next } else { positions::get(tx, ID_CEILING)? };
        if highest < first_free {
            return Ok(None);
        }
        let after = highest.checked_add(1).ok_or(Error::TooLarge { what: "segment id", value: highest })?;
        let ceiling = positions::get(tx, ID_CEILING)?.max(after);
        positions::advance(tx, ID_CEILING, ceiling)?;
        Ok(Some((ids, after, ceiling)))
    }
}

pub(crate) type Claim<'a> = Option<(MutexGuard<'a, SegmentIds>, u64, u64)>;

pub(crate) fn settle(claim: Claim<'_>) {
    if let Some((mut ids, next, ceiling)) = claim {
        *ids = SegmentIds { next, ceiling };
    }
}
