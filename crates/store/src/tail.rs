//! The tail in blocks, so that a query reads it like a segment.
//!
//! Blocks of fixed index ranges are kept until their rows are in a segment, and only the last, unfinished
//! block is made anew as it grows. Not here: the rows themselves (`ledger`).

use arrow::array::RecordBatch;
use event::Field;
use ledger::{Ledger, TailRow};
use parking_lot::Mutex;
use segments::{BatchBuilder, Probe, RowRef, TailFilter};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Rows of a finished block.
const LARGE: u64 = 8192;
/// Rows of the blocks at the growing end.
const SMALL: u64 = 1024;

/// Some rows of the tail, in `(time DESC, id DESC)` order.
///
/// Only order and times are made at once. The columns of all rows are made when somebody counts over them, the
/// filter when somebody looks a value up: a page or a look-up pays for the rows that it may show.
#[derive(Debug)]
pub struct Block {
    tenant: u32,
    slug: String,
    rows: Vec<TailRow>,
    /// Time of each row.
    times: Vec<i64>,
    filter: OnceLock<TailFilter>,
    batch: OnceLock<RecordBatch>,
}

impl Block {
    fn new(tenant: u32, slug: &str, rows: Vec<TailRow>) -> Block {
        let mut order: Vec<(i64, usize)> = rows.iter().enumerate().map(|(at, row)| (time_of(&row.row), at)).collect();
        // Rows come oldest first or nearly so: turned round, little is left to sort.
        order.reverse();
        let id = |at: usize| rows.get(at).and_then(|r| crate::ids::id_of(&r.row));
        order.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| id(b.1).cmp(&id(a.1))));
        let times = order.iter().map(|(time, _)| *time).collect();
        let rows = order.iter().filter_map(|(_, at)| rows.get(*at).cloned()).collect();
        Block { tenant, slug: slug.to_owned(), rows, times, filter: OnceLock::new(), batch: OnceLock::new() }
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Oldest and newest time in it.
    pub fn times(&self) -> (i64, i64) {
        (self.times.last().copied().unwrap_or(0), self.times.first().copied().unwrap_or(0))
    }

    /// The rows with a time in this range, by place.
    pub fn within(&self, time: &Range<i64>) -> Range<usize> {
        let start = self.times.partition_point(|t| *t >= time.end);
        start..self.times.partition_point(|t| *t >= time.start).max(start)
    }

    /// The row at a place.
    pub fn row(&self, at: usize) -> Option<&TailRow> {
        self.rows.get(at)
    }

    /// Time and id of the row at a place.
    pub fn key(&self, at: usize) -> Option<(i64, &[u8])> {
        Some((*self.times.get(at)?, crate::ids::id_of(&self.rows.get(at)?.row)?))
    }

    /// Whether a row may have a value of every clause; never `false` where one has.
    pub fn may_match(&self, clauses: &[Vec<Probe>]) -> bool {
        // Not worth making for a block that is replaced as it grows.
        if (self.rows.len() as u64) < SMALL {
            return true;
        }
        let rows = || TailFilter::new(self.tenant, self.rows.iter().map(|r| r.row.as_ref()));
        self.filter.get_or_init(rows).may_match(clauses)
    }

    /// All columns of [`segments::schema`] of all rows; made once.
    ///
    /// # Errors
    /// Where a row is none.
    pub fn batch(&self) -> Result<&RecordBatch, segments::Error> {
        if let Some(batch) = self.batch.get() {
            return Ok(batch);
        }
        let made = self.build(self.rows.iter())?;
        Ok(self.batch.get_or_init(|| made))
    }

    /// All columns of the rows at some places.
    ///
    /// # Errors
    /// As [`batch`](Self::batch).
    pub fn take(&self, places: &[usize]) -> Result<RecordBatch, segments::Error> {
        self.build(places.iter().filter_map(|at| self.rows.get(*at)))
    }

    fn build<'a>(&self, rows: impl Iterator<Item = &'a TailRow>) -> Result<RecordBatch, segments::Error> {
        let mut builder = BatchBuilder::new();
        for row in rows {
            builder.push(RowRef {
                tenant: &self.slug,
                index: row.index,
                recorded_at: row.recorded_at,
                kind: row.kind,
                row: &row.row,
            })?;
        }
        builder.finish()
    }
}

/// The time in a stored row.
fn time_of(row: &[u8]) -> i64 {
    let time = event::encode::fields(row).map_while(Result::ok).find(|f| f.field == Field::Time);
    time.and_then(|f| f.time()).unwrap_or(0)
}

#[derive(Debug, Default)]
pub(crate) struct Blocks {
    kept: Mutex<HashMap<(u32, u64, u64), Arc<Block>>>,
}

impl Blocks {
    /// The tenant's tail from its first row up to index `size`, and the index of that first row: everything
    /// below it is in segments.
    pub fn of(&self, ledger: &Ledger, tenant: u32, slug: &str, size: u64) -> (u64, Vec<Arc<Block>>) {
        // Rows leave the tail only after they are in a segment. Where some leave while blocks are made, those
        // behind them may be in no segment yet: it is done again from the first row that is left.
        'again: loop {
            let (first, rows) = ledger.tail_span(tenant);
            if rows == 0 || first >= size {
                return (first.min(size), Vec::new());
            }
            let mut blocks = Vec::new();
            let mut at = first;
            while at < size {
                let large = (at / LARGE + 1) * LARGE;
                let small = (at / SMALL + 1) * SMALL;
                let end = if large <= size { large } else { small.min(size) };
                let Some(block) = self.block(ledger, tenant, slug, at..end) else { continue 'again };
                blocks.push(block);
                at = end;
            }
            return (first, blocks);
        }
    }

    fn block(&self, ledger: &Ledger, tenant: u32, slug: &str, range: Range<u64>) -> Option<Arc<Block>> {
        let key = (tenant, range.start, range.end);
        if let Some(block) = self.kept.lock().get(&key) {
            return Some(Arc::clone(block));
        }
        let rows = ledger.rows(tenant, range.start, (range.end - range.start) as usize);
        if rows.first().map(|r| r.index) != Some(range.start) || rows.len() as u64 != range.end - range.start {
            return None;
        }
        let block = Arc::new(Block::new(tenant, slug, rows));
        let mut kept = self.kept.lock();
        // A block that ends where an earlier one did not replaces it.
        kept.retain(|(t, from, to), _| !(*t == tenant && *from >= range.start && *to <= range.end));
        kept.insert(key, Arc::clone(&block));
        Some(block)
    }

    /// Forgets blocks whose rows are in segments.
    pub fn trim(&self, tenant: u32, stored: u64) {
        self.kept.lock().retain(|(t, _, to), _| *t != tenant || *to > stored);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::encode::{put, put_time};
    use proptest::prelude::*;
    use segments::columns;

    fn block(rows: &[(i64, u16)]) -> Block {
        let rows = rows.iter().enumerate().map(|(index, (time, id))| {
            let mut row = Vec::new();
            put(&mut row, Field::Id, format!("id-{id}").as_bytes());
            put_time(&mut row, Field::Time, *time);
            put(&mut row, Field::RequestId, format!("REQ-{id}").as_bytes());
            TailRow {
                index: index as u64,
                recorded_at: 0,
                kind: 0,
                commitment: [0; 32],
                leaf: [0; 32],
                sum: None,
                row: row.into(),
            }
        });
        Block::new(7, "t", rows.collect())
    }

    proptest! {
        #[test]
        fn rows_stand_newest_first_and_are_found(rows in prop::collection::vec((0..50i64, any::<u16>()), 1..200), from in 0..60i64, long in 0..30i64) {
            let block = block(&rows);
            let mut expected: Vec<(i64, String)> = rows.iter().map(|(time, id)| (*time, format!("id-{id}"))).collect();
            expected.sort_by(|a, b| b.cmp(a));
            let keys: Vec<(i64, String)> = (0..block.len())
                .map(|at| block.key(at).map(|(time, id)| (time, String::from_utf8_lossy(id).into_owned())).unwrap())
                .collect();
            prop_assert_eq!(&keys, &expected);
            prop_assert_eq!(block.times(), (expected.last().unwrap().0, expected[0].0));
            let within = block.within(&(from..from + long));
            let inside = expected.iter().filter(|(time, _)| (from..from + long).contains(time)).count();
            prop_assert_eq!(within.len(), inside);
            prop_assert!(within.clone().all(|at| (from..from + long).contains(&keys[at].0)));
            let some: Vec<usize> = within.collect();
            let few = block.take(&some).unwrap();
            prop_assert_eq!(few.num_rows(), some.len());
            if let (Some(first), false) = (some.first(), some.is_empty()) {
                prop_assert_eq!(&few, &block.batch().unwrap().slice(*first, some.len()));
            }
        }
    }

    #[test]
    fn a_finished_block_knows_what_it_has_not() {
        let rows: Vec<(i64, u16)> = (0..SMALL as u16).map(|n| (i64::from(n), n)).collect();
        let block = block(&rows);
        let asked = |value: String| vec![vec![Probe { column: columns::of(Field::RequestId), value }]];
        assert!((0..SMALL).all(|n| block.may_match(&asked(format!("req-{n}")))));
        let wrong = (0..1000).filter(|n| block.may_match(&asked(format!("nowhere-{n}")))).count();
        assert!(wrong < 20, "{wrong} of 1,000 pass a filter that lets 1 of 256 pass");
    }
}
