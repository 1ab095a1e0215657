//! The end of a query that takes too long, or that nobody waits for any more.
//!
//! Looked at for every batch that is read, every test of a filter over one, and now and then within those that go from row to row: a
//! query ends some milliseconds after its time, wherever it is. Not here: the limits of SQL, which has its own clock (`sql`).

use arrow::error::ArrowError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Why a query ended before it was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// It took longer than it may.
    #[error("the query took longer than {}", shown(.0))]
    Late(Duration),
    /// Nobody waits for its answer.
    #[error("the query was stopped, as nobody waited for its answer any more")]
    Unwanted,
}

fn shown(time: &Duration) -> String {
    if time.subsec_millis() == 0 { format!("{} s", time.as_secs()) } else { format!("{} ms", time.as_millis()) }
}

/// Until when a query may run. Clones are of the same query.
#[derive(Debug, Clone, Default)]
pub struct Deadline(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    until: Option<(Instant, Duration)>,
    unwanted: AtomicBool,
}

impl Deadline {
    /// From now on so long.
    pub fn after(time: Duration) -> Deadline {
        Deadline(Some(Arc::new(Inner { until: Some((Instant::now() + time, time)), unwanted: AtomicBool::new(false) })))
    }

    /// As long as somebody waits.
    pub fn while_wanted() -> Deadline {
        Deadline(Some(Arc::new(Inner { until: None, unwanted: AtomicBool::new(false) })))
    }

    /// Nobody waits any more.
    pub fn stop(&self) {
        if let Some(inner) = &self.0 {
            inner.unwanted.store(true, Ordering::Relaxed);
        }
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// [`Ended`]: the work is to end with it.
    pub fn check(&self) -> Result<(), Ended> {
        let Some(inner) = &self.0 else { return Ok(()) };
        if inner.unwanted.load(Ordering::Relaxed) {
            return Err(Ended::Unwanted);
        }
        match inner.until {
            Some((until, time)) if Instant::now() >= until => Err(Ended::Late(time)),
            _ => Ok(()),
        }
    }

    /// The same, for every so many rows.
    pub(crate) fn check_at(&self, row: usize) -> Result<(), Ended> {
        if row.is_multiple_of(ROWS) { self.check() } else { Ok(()) }
    }
}

/// Rows that are gone over between two looks: each may be 1 MiB.
const ROWS: usize = 64;

/// How it comes through what knows Arrow's errors only.
impl From<Ended> for ArrowError {
    fn from(ended: Ended) -> ArrowError {
        ArrowError::ExternalError(Box::new(ended))
    }
}

impl From<Ended> for segments::Error {
    fn from(ended: Ended) -> segments::Error {
        segments::Error::Compute(ended.into())
    }
}

impl Ended {
    /// What came through as an error of Arrow.
    pub(crate) fn of(e: &ArrowError) -> Option<Ended> {
        match e {
            ArrowError::ExternalError(inner) => inner.downcast_ref().copied(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_when_its_time_is_over_or_nobody_waits() {
        assert_eq!(Deadline::default().check(), Ok(()));
        let (soon, never) = (Deadline::after(Duration::ZERO), Deadline::while_wanted());
        assert_eq!(soon.check(), Err(Ended::Late(Duration::ZERO)));
        assert_eq!((soon.check_at(1), soon.check_at(2 * ROWS).is_err()), (Ok(()), true));
        assert_eq!(never.check(), Ok(()));
        never.clone().stop();
        assert_eq!(never.check(), Err(Ended::Unwanted));
        assert_eq!(Ended::of(&ArrowError::from(Ended::Unwanted)), Some(Ended::Unwanted));
        assert!(Ended::Late(Duration::from_secs(30)).to_string().ends_with("30 s"));
    }
}
