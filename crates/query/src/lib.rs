//! Reading: the one query type, the languages that become it, and SQL; over segments and tail.
//!
//! Owns what a query means and how it is run. Pages and look-ups walk the segments newest first themselves and
//! stop at the page; SQL runs on DataFusion over the same scan. Writes nothing, and knows no HTTP.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod aggregate;
mod cursor;
mod deadline;
mod engine;
mod fold;
mod json;
pub mod lang;
mod leaves;
mod predicate;
mod proof;
mod source;
#[cfg(feature = "sql")]
mod sql;

pub use aggregate::{Bar, Counts, Group};
pub use cursor::{Cursor, CursorError};
pub use deadline::{Deadline, Ended};
pub use engine::{Access, DEFAULT_LIMIT, Engine, Error, Items, MAX_LIMIT, Page, Result, asks_for_bodies};
pub use fold::Standing;
pub use lang::{Query, View};
#[cfg(feature = "sql")]
pub use sql::{SqlAnswer, SqlLimits};
