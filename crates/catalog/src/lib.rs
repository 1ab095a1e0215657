//! What an installation knows about itself, in one SQLite file: tenants, API keys, personal salt keys, sources,
//! the set of segments, hash tiles, positions and the newest checkpoint of each tenant.
//!
//! This crate owns `catalog.db` (format: `docs/formats/catalog.md`) and nothing else. It is *not* the commit
//! point of a record (that is the ledger's journal), it never looks inside a segment, a tile or a note, it
//! knows no HTTP and reads no clock: every time is a parameter, in microseconds since 1970 UTC.
//!
//! **Architecture invariants:**
//!
//! * The set of segments, the flushed position and all that belongs to a flush change in one transaction
//!   ([`Catalog::commit_store`]), so no correctness ever rests on listing a folder.
//! * When a function that changes something returns `Ok`, the change is durable: it survives a power cut.
//! * A read that fails is an error and never looks like "there is none"; every row carries a checksum, so
//!   neither does a rotten disk.
//! * [`Catalog::tenant`] and [`Catalog::authenticate`] answer from memory. They may because exactly one
//!   process has the file open for writing; whoever opens the data folder holds its lock.
//! * No secret appears in an error or in `Debug`.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod catalog;
mod changes;
mod check;
mod checkpoints;
mod commit;
mod db;
mod error;
mod gaps;
mod ids;
mod jobs;
mod keys;
mod keytext;
mod persons;
mod positions;
mod rebuild;
mod schema;
mod scopes;
mod seal;
mod secret;
mod segments;
mod slices;
mod sources;
mod spans;
mod sum;
mod tenants;
mod tiles;
mod vault;
mod wal;

pub use catalog::Catalog;
pub use changes::ChangesState;
pub use commit::StoreCommit;
pub use error::{Error, Result};
pub use gaps::{Filling, SourceGap};
pub use jobs::{Job, JobChange, JobStatus, KEPT_JOBS};
pub use keys::{ApiKey, Principal};
pub use rebuild::Derived;
pub use schema::{APPLICATION_ID, SCHEMA_VERSION};
pub use scopes::{Scopes, UnknownScope};
pub use seal::SealState;
pub use secret::SecretKey;
pub use segments::{Segment, Slice};
pub use slices::{SlicesError, decode_slices, encode_slices};
pub use sources::{MAX_SECRET, MAX_SOURCE_SETTINGS, MAX_SOURCES, Source, SourceCounts, SourceNews, SourceSpec};
pub use spans::SourceSpan;
pub use tenants::{MAX_SETTINGS_BYTES, Tenant};
pub use tiles::TileRow;
pub use vault::SecretText;
pub use wal::LogDamage;
