//! What a record is: the envelope, validation, redaction, diff, and the frozen leaf encoding.
//!
//! Pure: bytes and the caller's clock in, bytes out. There is no I/O here, no clock, no tree and no other
//! crate of ours. A record passes through once: [`parse`] validates, redacts and canonicalises in a single
//! pass and gives the stored form ([`encode`]); [`commit`] hashes that form. Everything is driven by the
//! field table ([`fields`]).

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod batch;
pub mod commit;
pub mod diff;
pub mod encode;
mod field_map;
pub mod fields;
pub mod json;
pub mod parse;
pub mod redact;
pub mod size;
pub mod time;

pub use commit::{EntryKind, Keys, SaltKey};
pub use field_map::FieldMap;
pub use fields::{FIELDS, Field, Kind, Part};
