//! Rows by their ledger index.
//!
//! Owns the read that proofs and level-0 tiles need: a few consecutive indexes, in stored form. Only pages
//! that may hold them are decoded. Not here: hashing.

use crate::batch::RowRef;
use crate::columns::COUNT;
use crate::decode::Shape;
use crate::error::{Error, Result};
use crate::rows::batch_to_rows;
use crate::segment::Segment;
use std::ops::Range;

impl Segment {
    /// Calls `each` with the tenant's rows whose index is in `wanted`, in file order. How many there were.
    ///
    /// # Errors
    /// Errors of reading, and whatever `each` returns.
    pub fn rows_by_index<E: From<Error>>(
        &self,
        tenant: u32,
        wanted: Range<u64>,
        mut each: impl FnMut(RowRef<'_>) -> Result<(), E>,
    ) -> Result<u64, E> {
        let Some(slice) = self.slice(tenant) else { return Ok(0) };
        if slice.max_index < wanted.start || slice.min_index >= wanted.end {
            return Ok(0);
        }
        let shape = Shape::new(&(0..COUNT).collect::<Vec<_>>(), false)?.keeping(true);
        let (spans, _) = self.index_spans(&slice.range(), &wanted);
        let mut found = 0;
        for span in spans {
            let mut at = span.start;
            while at < span.end {
                let number = self.group_at(at);
                let Some(group) = self.groups.get(number) else { break };
                let end = span.end.min(group.end());
                let base = (at - group.start) as usize;
                let mut rows: Vec<Range<usize>> = Vec::new();
                for (i, index) in self.indexes_at(&(at..end))?.iter().enumerate() {
                    if !wanted.contains(index) {
                        continue;
                    }
                    match rows.last_mut() {
                        Some(last) if last.end == base + i => last.end += 1,
                        _ => rows.push(base + i..base + i + 1),
                    }
                }
                at = end;
                if rows.is_empty() {
                    continue;
                }
                let batch = self.decode(number, &shape, &rows)?;
                found += batch.num_rows() as u64;
                batch_to_rows(&batch, &mut each)?;
            }
        }
        Ok(found)
    }
}
