//! Whether a system saves its events at all, where it can be set not to: what it keeps nothing of nobody can miss.

use super::{Answer, Ask, Config, Trouble};
use crate::Reason;

/// What a system says of its saving of events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saving {
    /// Why not all of the events that are asked for are saved, or why that is not known. `None` where all are.
    pub not: Option<String>,
    /// It did not say.
    pub unknown: bool,
    /// Seconds after which it removes what it saved, where it does.
    pub keeps: Option<i64>,
    /// What else is to be known of it.
    pub note: Option<String>,
}

impl Saving {
    /// It cannot be asked.
    pub fn unknown(why: &str) -> Saving {
        let not = format!("it cannot be known whether its events are saved: {why}");
        Saving { not: Some(not), unknown: true, ..Saving::default() }
    }
}

/// How it is asked.
pub trait Saves: Sync {
    /// The request.
    ///
    /// # Errors
    /// Settings that [`check`](super::Pull::check) refuses too.
    fn ask(&self, config: &Config, token: &str) -> Result<Ask, Reason>;

    /// What came back.
    ///
    /// # Errors
    /// [`Trouble`]; where it is refused for good, it is not known.
    fn read(&self, config: &Config, answer: &Answer<'_>, now: i64) -> Result<Saving, Trouble>;
}
