//! The living set of segments: where sealed records go and from where they are read.
//!
//! Owns hop 5 of a record's way (tail → segment, admitted only when every row is the one sealed, then the
//! journal is cut), merging in the background, personal salt keys, the data folder, the snapshot a query
//! reads, level-0 tiles derived from rows, the check of a whole folder (also in the
//! background), and what is done about damage. Not here: the format of a segment
//! (`segments`), the commit (`ledger`), what a query means (`query`), HTTP.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod admit;
mod budget;
mod compact;
mod error;
mod flush;
pub mod folder;
mod ids;
mod keys;
mod leaves;
mod persons;
pub mod rebuild;
mod rehash;
pub mod repair;
mod scrub;
mod snapshot;
mod start;
mod store;
mod tail;
mod tiles;
mod trees;
pub mod verify;

pub use error::{Error, Result};
pub use folder::{Folder, Lock};
pub use keys::{KeyError, KeyStore, Salts, person_hash};
pub use scrub::{Pass, Scrubbed};
pub use snapshot::Snapshot;
pub use store::{Settings, Store};
pub use tail::Block;
pub use tiles::Row;
