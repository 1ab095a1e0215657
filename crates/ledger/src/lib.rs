//! The journal: assigns indexes, commits, recovers, reads back.
//!
//! Owns hops 3 and 4 of a record's way: the pool, where the records of every tenant wait together, and the
//! one append + one `fdatasync` that commits them; the in-memory tail of what is not yet in a segment; the
//! signed checkpoints and the high-water mark that keeps a restored copy from forking a ledger. Not here:
//! what is inside a row (it is bytes here), where rows go afterwards (`segments`), and HTTP.
//!
//! Counters, per tenant: `stored ≤ signed-or-sealed ≤ sealed`; what [`Ledger::submit`] answered is sealed.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod checkpoints;
pub mod frame;
pub mod highwater;
mod ids;
pub mod journal;
mod ledger;
pub mod salvage;
mod seldom;
mod tail;

pub use checkpoints::Checkpoints;
pub use ids::{AsIs, HashedKeys, IdKey};
pub use journal::{Damage, JournalError};
pub use ledger::{
    Batch, Clock, Config, Frozen, Head, Known, Ledger, Outcome, Pending, Receipt, Refusing, Stats, SubmitError, leaf_of,
};
pub use seldom::Seldom;
pub use tail::{Node, TailPart, TailRow, TailView, sum_of};

/// SHA-256 output.
pub type Hash = merkle::Hash;
/// Random name of one ledger (one data folder), made at its first start.
pub type LedgerId = [u8; 16];
/// A person's blinded reference and the random key its salts derive from.
pub type PersonKey = ([u8; 16], [u8; 32]);
