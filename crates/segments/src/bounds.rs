//! Where a time range or a page cursor begins and ends among a tenant's rows.
//!
//! Owns the search: rows of a slice are newest first, so a range of times is one run of rows. Page statistics
//! find the page, and only pages that hold a boundary are decoded. Not here: conditions that are not a run.

use crate::batch::text;
use crate::columns::ID;
use crate::decode::Shape;
use crate::error::Result;
use crate::info::SliceInfo;
use crate::segment::{Page, Segment};
use arrow::array::Array;
use std::ops::Range;

impl Segment {
    /// The tenant's rows with a time in `time` and after `cursor`.
    pub(crate) fn row_range(
        &self,
        slice: &SliceInfo,
        time: &Range<i64>,
        cursor: Option<&(i64, String)>,
    ) -> Result<Range<u64>> {
        let rows = slice.range();
        let mut start = self.first_below(slice, time.end)?;
        if let Some((time, id)) = cursor {
            start = start.max(self.after(slice, *time, id)?);
        }
        let end = self.first_below(slice, time.start)?;
        Ok(start.min(rows.end)..end.max(start.min(rows.end)))
    }

    /// The first row of the slice whose time is below `bound`; the slice's end where none is.
    fn first_below(&self, slice: &SliceInfo, bound: i64) -> Result<u64> {
        let rows = slice.range();
        if slice.max_time < bound {
            return Ok(rows.start);
        }
        if slice.min_time >= bound {
            return Ok(rows.end);
        }
        let pages = overlapping(&self.times, &rows);
        let all = self.times.get(pages.clone()).unwrap_or_default();
        // The first and last page may hold rows of other tenants; those between are ordered.
        let inner = all.get(1..all.len().saturating_sub(1)).unwrap_or_default();
        let skip = inner.partition_point(|p| p.min >= bound);
        for at in std::iter::once(0).chain(1 + skip..all.len()) {
            let Some(page) = all.get(at) else { break };
            let span = self.span(&self.times, pages.start + at, &rows);
            if page.min >= bound {
                continue;
            }
            if page.max < bound {
                return Ok(span.start);
            }
            let values = self.times_at(&span)?;
            let before = values.partition_point(|t| *t >= bound);
            if before < values.len() {
                return Ok(span.start + before as u64);
            }
        }
        Ok(rows.end)
    }

    /// The first row of the slice that comes after `(time, id)` in `(time DESC, id DESC)` order.
    fn after(&self, slice: &SliceInfo, time: i64, id: &str) -> Result<u64> {
        // Rows at just this time: nearly always none or one.
        let from = match time.checked_add(1) {
            Some(bound) => self.first_below(slice, bound)?,
            None => slice.row_start,
        };
        let to = self.first_below(slice, time)?;
        let shape = Shape::new(&[ID], false)?;
        let mut at = from;
        while at < to {
            let number = self.group_at(at);
            let Some(group) = self.groups.get(number) else { break };
            let end = to.min(group.end()).min(at + 4096);
            let local = (at - group.start) as usize..(end - group.start) as usize;
            let batch = self.decode(number, &shape, &[local])?;
            let ids = text(&batch, 0)?;
            if let Some(first) = (0..ids.len()).find(|i| ids.value(*i) < id) {
                return Ok(at + first as u64);
            }
            at = end;
        }
        Ok(to)
    }

    /// The part of `rows` in page number `at`.
    pub(crate) fn span(&self, pages: &[Page], at: usize, rows: &Range<u64>) -> Range<u64> {
        let start = pages.get(at).map_or(rows.end, |p| p.start);
        let end = pages.get(at + 1).map_or(self.info.rows, |p| p.start);
        start.max(rows.start)..end.min(rows.end)
    }

    /// The runs of `rows` that may have an index in `wanted`, and whether each row's must be looked at.
    pub(crate) fn index_spans(&self, rows: &Range<u64>, wanted: &Range<u64>) -> (Vec<Range<u64>>, bool) {
        let mut spans: Vec<Range<u64>> = Vec::new();
        let mut exact = false;
        for at in overlapping(&self.indexes, rows) {
            let Some(page) = self.indexes.get(at) else { break };
            let (low, high) = (page.min as u64, page.max as u64);
            if high < wanted.start || low >= wanted.end {
                continue;
            }
            exact |= low < wanted.start || high >= wanted.end;
            let span = self.span(&self.indexes, at, rows);
            match spans.last_mut() {
                Some(last) if last.end == span.start => last.end = span.end,
                _ => spans.push(span),
            }
        }
        (spans, exact)
    }
}

/// Numbers of the pages that hold some of `rows`.
fn overlapping(pages: &[Page], rows: &Range<u64>) -> Range<usize> {
    if rows.is_empty() {
        return 0..0;
    }
    let first = pages.partition_point(|p| p.start <= rows.start).saturating_sub(1);
    first..pages.partition_point(|p| p.start < rows.end)
}
