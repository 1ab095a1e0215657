//! Segments: how sealed records live on disk.
//!
//! Owns: rows ↔ Arrow ↔ Parquet without loss, filters beside each file, scans of one segment, reading a
//! written file back before it counts, and merging. Files are immutable and found through the catalog alone.
//! Not here: the catalog, the ledger and hashing of rows (callers give rows and take rows), queries over
//! several segments, threads, a clock.
//!
//! The way of a row: [`SegmentWriter`] sorts nothing and checks the order → [`admit`] reads the file back and
//! hands every row to the caller, who compares or re-hashes it → [`Segment::scan`] and [`Segment::rows_by_index`] →
//! [`write_merged`] into fewer, larger segments. Layout: `docs/formats/segment.md`.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod admit;
mod batch;
mod bounds;
mod column;
pub mod columns;
mod decode;
mod error;
mod file;
mod filters;
mod grams;
mod idx;
mod info;
mod list;
mod lookup;
mod merge;
mod packed;
mod page;
mod pages;
mod rows;
mod scan;
mod search;
mod segment;
mod writer;

pub use admit::{admit, rebuild_filters, verify_files};
pub use batch::{BatchBuilder, RowRef};
pub use columns::schema;
pub use error::{Error, Result};
pub use file::{idx_path, parquet_path, remove};
pub use filters::{IdKey, Probe, TailFilter};
pub use info::{SegmentInfo, SliceInfo};
pub use merge::write_merged;
pub use pages::set_page_cache;
pub use rows::batch_to_rows;
pub use scan::{Predicate, ScanRequest, SegmentScan};
pub use search::{Need, RowTest};
pub use segment::Segment;
pub use writer::{FORMAT, PAGE_ROWS, ROW_GROUP_ROWS, SegmentWriter, write_segment};
