//! The tail as record batches, so that a query reads it like a segment.
//!
//! Rows are turned into Arrow once: blocks of fixed index ranges are kept until their rows are in a segment,
//! and only the last, unfinished block is made anew as it grows. Not here: the rows themselves (`ledger`).

use arrow::array::{Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::take_record_batch;
use ledger::Ledger;
use parking_lot::Mutex;
use segments::{BatchBuilder, RowRef, columns};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Rows of a finished block.
const LARGE: u64 = 8192;
/// Rows of the blocks at the growing end.
const SMALL: u64 = 1024;

/// Some rows of the tail, in `(time DESC, id DESC)` order.
#[derive(Debug, Clone)]
pub struct Block {
    /// All columns of [`segments::schema`].
    pub batch: RecordBatch,
    /// Oldest and newest time in it.
    pub times: (i64, i64),
}

#[derive(Debug, Default)]
pub(crate) struct Blocks {
    kept: Mutex<HashMap<(u32, u64, u64), Arc<Block>>>,
}

impl Blocks {
    /// The tenant's tail from its first row up to index `size`, and the index of that first row: everything
    /// below it is in segments.
    pub fn of(
        &self,
        ledger: &Ledger,
        tenant: u32,
        slug: &str,
        size: u64,
    ) -> Result<(u64, Vec<Arc<Block>>), segments::Error> {
        // Rows leave the tail only after they are in a segment. Where some leave while blocks are made, those
        // behind them may be in no segment yet: it is done again from the first row that is left.
        'again: loop {
            let (first, rows) = ledger.tail_span(tenant);
            if rows == 0 || first >= size {
                return Ok((first.min(size), Vec::new()));
            }
            let mut blocks = Vec::new();
            let mut at = first;
            while at < size {
                let large = (at / LARGE + 1) * LARGE;
                let small = (at / SMALL + 1) * SMALL;
                let end = if large <= size { large } else { small.min(size) };
                let Some(block) = self.block(ledger, tenant, slug, at..end)? else { continue 'again };
                blocks.push(block);
                at = end;
            }
            return Ok((first, blocks));
        }
    }

    fn block(
        &self,
        ledger: &Ledger,
        tenant: u32,
        slug: &str,
        range: Range<u64>,
    ) -> Result<Option<Arc<Block>>, segments::Error> {
        let key = (tenant, range.start, range.end);
        if let Some(block) = self.kept.lock().get(&key) {
            return Ok(Some(Arc::clone(block)));
        }
        let rows = ledger.rows(tenant, range.start, (range.end - range.start) as usize);
        if rows.first().map(|r| r.index) != Some(range.start) || rows.len() as u64 != range.end - range.start {
            return Ok(None);
        }
        let mut builder = BatchBuilder::new();
        for row in &rows {
            builder.push(RowRef {
                tenant: slug,
                index: row.index,
                recorded_at: row.recorded_at,
                kind: row.kind,
                row: &row.row,
            })?;
        }
        let block = Arc::new(sorted(&builder.finish()?)?);
        let mut kept = self.kept.lock();
        // A block that ends where an earlier one did not replaces it.
        kept.retain(|(t, from, to), _| !(*t == tenant && *from >= range.start && *to <= range.end));
        kept.insert(key, Arc::clone(&block));
        Ok(Some(block))
    }

    /// Forgets blocks whose rows are in segments.
    pub fn trim(&self, tenant: u32, stored: u64) {
        self.kept.lock().retain(|(t, _, to), _| *t != tenant || *to > stored);
    }
}

fn sorted(batch: &RecordBatch) -> Result<Block, segments::Error> {
    let compute = |what: &str| segments::Error::Compute(arrow::error::ArrowError::SchemaError(what.to_owned()));
    let times = batch
        .column(columns::TIME)
        .as_any()
        .downcast_ref::<TimestampMicrosecondArray>()
        .ok_or_else(|| compute("`time` is no timestamp"))?;
    let ids =
        batch.column(columns::ID).as_any().downcast_ref::<StringArray>().ok_or_else(|| compute("`id` is no text"))?;
    let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
    order.sort_unstable_by(|a, b| {
        let key = |i: u32| (times.value(i as usize), ids.value(i as usize));
        key(*b).cmp(&key(*a))
    });
    let oldest = order.last().map_or(0, |i| times.value(*i as usize));
    let newest = order.first().map_or(0, |i| times.value(*i as usize));
    let batch = take_record_batch(batch, &UInt32Array::from(order)).map_err(segments::Error::Compute)?;
    Ok(Block { batch, times: (oldest, newest) })
}
