//! Several segments into fewer.
//!
//! Owns the merge of sorted inputs, in memory bounded by some thousand rows of each, and the choice of which
//! tenants share a file. Every row goes on; nothing is dropped or changed. Not here: when to merge, retiring
//! the inputs, admission of the outputs.

use crate::batch::{RunRef, text, times};
use crate::columns::{self, COUNT, ID, TIME};
use crate::decode::{Library, Shape};
use crate::error::{Result, guard};
use crate::info::SegmentInfo;
use crate::segment::Segment;
use crate::writer::{ROW_GROUP_ROWS, SegmentWriter, push_run};
use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::compute::{concat, interleave};
use disk::Dir;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of an input decoded at a time, and rows of a batch written.
const BATCH_ROWS: usize = 8192;
/// A tenant with so many rows has files of its own.
const OWN_FILE_ROWS: u64 = 65_536;

/// Merges segments into new ones of at most `max_rows` rows (rounded up to whole row groups). A tenant with
/// 65,536 rows or more gets files of its own; the others share.
///
/// `new_id` names each output, `throttle` is called with the rows written since its last call; it may sleep, and an error of it ends the work.
/// The outputs are on disk, durably, when this returns; after an error none of them may be used.
///
/// # Errors
/// Errors of reading the inputs and writing the outputs, and `throttle`'s.
pub fn write_merged(
    dir: &Dir,
    new_id: &mut dyn FnMut() -> u64,
    inputs: &[Arc<Segment>],
    max_rows: u64,
    throttle: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Vec<SegmentInfo>> {
    let mut totals: BTreeMap<u32, u64> = BTreeMap::new();
    for slice in inputs.iter().flat_map(|s| &s.info().slices) {
        *totals.entry(slice.tenant).or_default() += slice.rows;
    }
    let max_rows = max_rows.max(1).next_multiple_of(ROW_GROUP_ROWS as u64);
    let mut out = Output { dir, new_id, totals, max_rows, own: None, shared: None, done: Vec::new() };

    let mut feeds = Vec::with_capacity(inputs.len());
    for segment in inputs {
        if let Some(feed) = Feed::open(segment)? {
            feeds.push(feed);
        }
    }
    feeds.sort_by(Feed::order);
    let mut chunk = Chunk::default();
    while !feeds.is_empty() {
        let (pick, next) = match feeds.as_mut_slice() {
            [] => break,
            [only] => (only, None),
            [pick, next, ..] => (pick, Some(&*next)),
        };
        let n = pick.take_before(next, BATCH_ROWS - chunk.rows);
        chunk.add(pick, n);
        pick.at += n;
        let goes_on = pick.refill()?;
        if chunk.rows >= BATCH_ROWS {
            throttle(out.write(&mut chunk)?)?;
        }
        // The first feed moved on: put it back where it belongs.
        let moved = feeds.remove(0);
        if goes_on {
            let place = feeds.partition_point(|f| f.order(&moved) == Ordering::Less);
            feeds.insert(place, moved);
        }
    }
    throttle(out.write(&mut chunk)?)?;
    out.finish()
}

/// One input, read from its first row to its last.
struct Feed {
    segment: Arc<Segment>,
    shape: Shape,
    /// The row group after the one being decoded.
    next_group: usize,
    decoder: Option<Library>,
    batch: RecordBatch,
    ids: StringArray,
    times: TimestampMicrosecondArray,
    /// Next row of the batch.
    at: usize,
    /// Row in the file of the batch's first.
    base: u64,
    slice: usize,
}

impl Feed {
    fn open(segment: &Arc<Segment>) -> Result<Option<Feed>> {
        let batch = RecordBatch::new_empty(columns::schema());
        let mut feed = Feed {
            segment: Arc::clone(segment),
            shape: Shape::new(&(0..COUNT).collect::<Vec<_>>(), false)?,
            next_group: 0,
            decoder: None,
            ids: text(&batch, ID)?.clone(),
            times: times(&batch, TIME)?.clone(),
            batch,
            at: 0,
            base: 0,
            slice: 0,
        };
        Ok(feed.refill()?.then_some(feed))
    }

    /// Makes sure there is a next row; `false` at the end.
    fn refill(&mut self) -> Result<bool> {
        while self.at >= self.batch.num_rows() {
            let segment = Arc::clone(&self.segment);
            let batch = match &mut self.decoder {
                None => None,
                Some(decoder) => guard(segment.path(), || decoder.next(&segment))?,
            };
            if let Some(batch) = batch {
                self.base += self.batch.num_rows() as u64;
                self.ids = text(&batch, ID)?.clone();
                self.times = times(&batch, TIME)?.clone();
                self.batch = batch;
                self.at = 0;
                continue;
            }
            let Some(group) = segment.groups.get(self.next_group) else { return Ok(false) };
            let all = 0..group.rows as usize;
            let number = self.next_group;
            self.decoder = Some(guard(segment.path(), || segment.library(number, &self.shape, &[all], BATCH_ROWS))?);
            self.next_group += 1;
        }
        while self.slice_end() <= self.row() && self.slice + 1 < self.segment.info.slices.len() {
            self.slice += 1;
        }
        Ok(true)
    }

    fn row(&self) -> u64 {
        self.base + self.at as u64
    }

    fn slice_end(&self) -> u64 {
        self.segment.info.slices.get(self.slice).map_or(0, |s| s.range().end)
    }

    fn tenant(&self) -> u32 {
        self.segment.info.slices.get(self.slice).map_or(u32::MAX, |s| s.tenant)
    }

    /// Order of the next rows.
    fn order(&self, other: &Feed) -> Ordering {
        self.tenant().cmp(&other.tenant()).then_with(|| self.newer(self.at, other))
    }

    /// Order of row `at` of this batch and the other's next, both of one tenant.
    fn newer(&self, at: usize, other: &Feed) -> Ordering {
        let time = other.times.value(other.at).cmp(&self.times.value(at));
        time.then_with(|| other.ids.value(other.at).cmp(self.ids.value(at)))
    }

    /// How many rows, at least one and at most `most`, go before the other's next.
    fn take_before(&self, other: Option<&Feed>, most: usize) -> usize {
        let slice_left = self.slice_end().saturating_sub(self.row()) as usize;
        let end = (self.at + most.min(slice_left).max(1)).min(self.batch.num_rows());
        match other.filter(|o| o.tenant() == self.tenant()) {
            None => end - self.at,
            Some(other) => {
                let same = (self.at + 1..end).take_while(|at| self.newer(*at, other) != Ordering::Greater);
                1 + same.count()
            }
        }
    }
}

/// Rows picked for the next batch.
#[derive(Default)]
struct Chunk {
    batches: Vec<RecordBatch>,
    /// Batch number, first row, how many.
    pieces: Vec<(usize, usize, usize)>,
    runs: Vec<RunRef>,
    rows: usize,
}

impl Chunk {
    fn add(&mut self, feed: &Feed, rows: usize) {
        let known = self.batches.iter().rposition(|b| same_batch(b, &feed.batch));
        let number = known.unwrap_or_else(|| {
            self.batches.push(feed.batch.clone());
            self.batches.len() - 1
        });
        match self.pieces.last_mut() {
            Some((n, start, len)) if *n == number && *start + *len == feed.at => *len += rows,
            _ => self.pieces.push((number, feed.at, rows)),
        }
        push_run(&mut self.runs, feed.tenant(), rows);
        self.rows += rows;
    }

    /// The rows as one batch.
    fn assemble(&self) -> Result<RecordBatch> {
        if let [(number, start, len)] = self.pieces.as_slice()
            && let Some(batch) = self.batches.get(*number)
        {
            return Ok(batch.slice(*start, *len));
        }
        let few = self.pieces.len() * 16 < self.rows;
        let mut picks = Vec::new();
        if !few {
            for (number, start, len) in &self.pieces {
                picks.extend((*start..start + len).map(|row| (*number, row)));
            }
        }
        let schema = columns::schema();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(COUNT);
        for (column, field) in schema.fields().iter().enumerate() {
            let parts: Vec<&ArrayRef> = self.batches.iter().filter_map(|b| b.columns().get(column)).collect();
            if parts.iter().all(|a| a.null_count() == a.len()) {
                arrays.push(new_null_array(field.data_type(), self.rows));
            } else if few {
                let slices: Vec<ArrayRef> = self
                    .pieces
                    .iter()
                    .filter_map(|(number, start, len)| Some(parts.get(*number)?.slice(*start, *len)))
                    .collect();
                arrays.push(concat(&slices.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>())?);
            } else {
                arrays.push(interleave(&parts.iter().map(|a| a.as_ref()).collect::<Vec<_>>(), &picks)?);
            }
        }
        Ok(RecordBatch::try_new(schema, arrays)?)
    }
}

fn same_batch(a: &RecordBatch, b: &RecordBatch) -> bool {
    matches!((a.columns().first(), b.columns().first()), (Some(a), Some(b)) if Arc::ptr_eq(a, b))
}

/// The files being written.
struct Output<'a> {
    dir: &'a Dir,
    new_id: &'a mut dyn FnMut() -> u64,
    totals: BTreeMap<u32, u64>,
    max_rows: u64,
    /// The file of a tenant that has its own.
    own: Option<(u32, SegmentWriter)>,
    shared: Option<SegmentWriter>,
    done: Vec<SegmentInfo>,
}

impl Output<'_> {
    /// Writes and empties the chunk. How many rows it had.
    fn write(&mut self, chunk: &mut Chunk) -> Result<u64> {
        let chunk = std::mem::take(chunk);
        if chunk.rows == 0 {
            return Ok(0);
        }
        let batch = chunk.assemble()?;
        let mut at = 0;
        let mut small: Vec<RunRef> = Vec::new();
        let mut small_from = 0;
        for run in &chunk.runs {
            let total = self.totals.get(&run.tenant).copied().unwrap_or(0);
            if total >= OWN_FILE_ROWS {
                self.write_shared(&batch, small_from, &mut small)?;
                self.write_own(run.tenant, &batch.slice(at, run.rows))?;
                small_from = at + run.rows;
            } else {
                let pending: u64 = small.iter().map(|r| r.rows as u64).sum();
                let begins = small.last().is_none_or(|r| r.tenant != run.tenant);
                let written = self.shared.as_ref().map_or(0, SegmentWriter::rows);
                if begins && self.last_shared() != Some(run.tenant) && written + pending + total > self.max_rows {
                    self.write_shared(&batch, small_from, &mut small)?;
                    small_from = at;
                    self.close_shared()?;
                }
                push_run(&mut small, run.tenant, run.rows);
            }
            at += run.rows;
        }
        self.write_shared(&batch, small_from, &mut small)?;
        Ok(chunk.rows as u64)
    }

    fn last_shared(&self) -> Option<u32> {
        self.shared.as_ref().and_then(SegmentWriter::last_tenant)
    }

    fn write_shared(&mut self, batch: &RecordBatch, from: usize, runs: &mut Vec<RunRef>) -> Result<()> {
        let runs = std::mem::take(runs);
        let rows = runs.iter().map(|r| r.rows).sum();
        if rows == 0 {
            return Ok(());
        }
        let writer = match &mut self.shared {
            Some(writer) => writer,
            none => none.insert(SegmentWriter::create(self.dir, (self.new_id)())?),
        };
        writer.push_runs(&batch.slice(from, rows), &runs)
    }

    fn write_own(&mut self, tenant: u32, batch: &RecordBatch) -> Result<()> {
        if self.own.as_ref().is_some_and(|(owner, _)| *owner != tenant) {
            self.close_own()?;
        }
        let mut at = 0;
        while at < batch.num_rows() {
            let (_, writer) = match &mut self.own {
                Some(own) => own,
                none => none.insert((tenant, SegmentWriter::create(self.dir, (self.new_id)())?)),
            };
            let room = self.max_rows.saturating_sub(writer.rows());
            let n = ((batch.num_rows() - at) as u64).min(room) as usize;
            writer.push_batch(tenant, &batch.slice(at, n))?;
            at += n;
            if n as u64 == room {
                self.close_own()?;
            }
        }
        Ok(())
    }

    fn close_own(&mut self) -> Result<()> {
        if let Some((_, writer)) = self.own.take() {
            self.done.push(writer.finish()?);
        }
        Ok(())
    }

    fn close_shared(&mut self) -> Result<()> {
        if let Some(writer) = self.shared.take() {
            self.done.push(writer.finish()?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<SegmentInfo>> {
        self.close_own()?;
        self.close_shared()?;
        Ok(self.done)
    }
}
