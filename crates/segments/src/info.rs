//! What the catalog keeps of a segment.
//!
//! Owns [`SegmentInfo`] and the directory text that a file carries of its own slices, so that a segment can
//! be read again with nothing but itself. Not here: who stores it.

use std::ops::Range;

/// The rows of one tenant in one segment: they lie together, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceInfo {
    /// Number of the tenant.
    pub tenant: u32,
    /// First row in the file.
    pub row_start: u64,
    /// How many rows.
    pub rows: u64,
    /// Oldest time, in microseconds.
    pub min_time: i64,
    /// Newest time.
    pub max_time: i64,
    /// Lowest ledger index.
    pub min_index: u64,
    /// Highest ledger index.
    pub max_index: u64,
}

impl SliceInfo {
    /// The rows in the file.
    pub fn range(&self) -> Range<u64> {
        self.row_start..self.row_start.saturating_add(self.rows)
    }
}

/// A finished segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number, and name on disk.
    pub id: u64,
    /// Rows of all tenants.
    pub rows: u64,
    /// Bytes of the Parquet file.
    pub bytes: u64,
    /// SHA-256 of the Parquet file.
    pub sha256: [u8; 32],
    /// Bytes of the `.idx` file.
    pub filter_bytes: u64,
    /// SHA-256 of the `.idx` file.
    pub filter_sha256: [u8; 32],
    /// Tenants, ascending by number.
    pub slices: Vec<SliceInfo>,
}

impl SegmentInfo {
    /// The slice of a tenant.
    pub fn slice(&self, tenant: u32) -> Option<&SliceInfo> {
        let at = self.slices.binary_search_by_key(&tenant, |s| s.tenant).ok()?;
        self.slices.get(at)
    }
}

/// `tenant:rows` of each slice, separated by spaces.
pub(crate) fn directory(slices: &[SliceInfo]) -> String {
    let mut out = String::with_capacity(slices.len() * 8);
    for slice in slices {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&slice.tenant.to_string());
        out.push(':');
        out.push_str(&slice.rows.to_string());
    }
    out
}

/// Tenant numbers and row counts from [`directory`]'s text.
pub(crate) fn parse_directory(text: &str) -> Option<Vec<(u32, u64)>> {
    text.split_terminator(' ')
        .map(|item| {
            let (tenant, rows) = item.split_once(':')?;
            Some((tenant.parse().ok()?, rows.parse().ok()?))
        })
        .collect()
}
