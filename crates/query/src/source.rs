//! Rows of a snapshot in order: segments and tail blocks, merged newest first and opened only when due.

use crate::deadline::Deadline;
use crate::predicate::Matcher;
use arrow::array::{AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use segments::{Predicate, RowTest, ScanRequest, SegmentScan};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use store::{Block, Snapshot};

/// What rows are wanted of a snapshot.
pub struct Wanted {
    /// Columns, by number; the first two are time and id.
    pub projection: Vec<usize>,
    /// Which rows.
    pub matcher: Option<Arc<Matcher>>,
    /// Times, from inclusive, to exclusive.
    pub time: Range<i64>,
    /// Only rows after this one in `(time DESC, id DESC)` order.
    pub before: Option<(i64, String)>,
    /// At most so many rows in all.
    pub limit: Option<usize>,
    /// Until when.
    pub deadline: Deadline,
}

/// A batch with its place in the merge.
struct Current {
    batch: Arc<RecordBatch>,
    row: usize,
}

impl Current {
    fn key(&self) -> (i64, &str) {
        let time = self.batch.column(0).as_primitive::<TimestampMicrosecondType>().value(self.row);
        (time, self.batch.column(1).as_string::<i32>().value(self.row))
    }
}

enum Feed {
    Segment(Arc<segments::Segment>),
    Block(Arc<Block>),
    Scan(Box<SegmentScan>),
    Ahead(Ahead),
    Done,
}

/// A segment searched for few rows: pieces of it side by side, more of them the longer nothing is found.
struct Ahead {
    segment: Arc<segments::Segment>,
    pieces: VecDeque<Range<u64>>,
    found: VecDeque<RecordBatch>,
}

/// Pieces that are searched at a time, at most.
const MOST_AHEAD: usize = 16;

struct Source {
    /// No row of it is newer.
    newest: i64,
    feed: Feed,
    current: Option<Current>,
}

/// The merged rows.
pub struct Merge<'a> {
    snapshot: &'a Snapshot,
    wanted: &'a Wanted,
    sources: Vec<Source>,
    /// Pieces to search next.
    ahead: usize,
}

impl<'a> Merge<'a> {
    /// Prepares the sources; nothing is read yet.
    pub fn new(snapshot: &'a Snapshot, wanted: &'a Wanted) -> Merge<'a> {
        let mut sources = Vec::new();
        let newest = |max: i64| wanted.before.as_ref().map_or(max, |(t, _)| max.min(*t));
        for segment in &snapshot.segments {
            let Some(slice) = segment.slice(snapshot.tenant.number) else { continue };
            if slice.max_time >= wanted.time.start
                && slice.min_time < wanted.time.end
                && wanted.before.as_ref().is_none_or(|(t, _)| slice.min_time <= *t)
            {
                sources.push(Source {
                    newest: newest(slice.max_time.min(wanted.time.end.saturating_sub(1))),
                    feed: Feed::Segment(Arc::clone(segment)),
                    current: None,
                });
            }
        }
        for block in &snapshot.blocks {
            let (oldest, latest) = block.times();
            if latest >= wanted.time.start
                && oldest < wanted.time.end
                && wanted.before.as_ref().is_none_or(|(t, _)| oldest <= *t)
            {
                sources.push(Source { newest: newest(latest), feed: Feed::Block(Arc::clone(block)), current: None });
            }
        }
        sources.sort_by_key(|s| std::cmp::Reverse(s.newest));
        Merge { snapshot, wanted, sources, ahead: 1 }
    }

    /// The next row: its batch and its number in it.
    ///
    /// # Errors
    /// What reading failed with; the merge ends then.
    pub fn next(&mut self) -> Result<Option<(Arc<RecordBatch>, usize)>, segments::Error> {
        loop {
            // The best row among the open sources, and the source without a row at hand that may have the newest.
            let mut best: Option<usize> = None;
            let mut due: Option<usize> = None;
            for (i, source) in self.sources.iter().enumerate() {
                match &source.current {
                    Some(current) => {
                        if best
                            .and_then(|b| self.sources.get(b))
                            .and_then(|b| b.current.as_ref())
                            .is_none_or(|b| current.key() > b.key())
                        {
                            best = Some(i);
                        }
                    }
                    None if matches!(source.feed, Feed::Done) => {}
                    None => {
                        if due.and_then(|d| self.sources.get(d)).is_none_or(|d| d.newest < source.newest) {
                            due = Some(i);
                        }
                        // They stand newest first: none behind one that was never opened is due before it.
                        if matches!(source.feed, Feed::Segment(_) | Feed::Block(_)) {
                            break;
                        }
                    }
                }
            }
            let best_time = best.and_then(|b| self.sources.get(b)).and_then(|s| s.current.as_ref()).map(|c| c.key().0);
            if let Some(source) = due.and_then(|d| self.sources.get_mut(d))
                && best_time.is_none_or(|t| source.newest >= t)
            {
                advance(source, self.snapshot, self.wanted, &mut self.ahead)?;
                continue;
            }
            let Some(source) = best.and_then(|b| self.sources.get_mut(b)) else { return Ok(None) };
            let Some(current) = &mut source.current else { return Ok(None) };
            let found = (Arc::clone(&current.batch), current.row);
            current.row += 1;
            if current.row >= current.batch.num_rows() {
                source.newest = current.batch.column(0).as_primitive::<TimestampMicrosecondType>().value(found.1);
                source.current = None;
            }
            self.sources.retain(|s| s.current.is_some() || !matches!(s.feed, Feed::Done));
            return Ok(Some(found));
        }
    }
}

fn advance(
    source: &mut Source,
    snapshot: &Snapshot,
    wanted: &Wanted,
    ahead: &mut usize,
) -> Result<(), segments::Error> {
    wanted.deadline.check()?;
    let batch = match std::mem::replace(&mut source.feed, Feed::Done) {
        Feed::Segment(segment) => {
            let request = request(snapshot, wanted);
            source.feed = if request.predicate.is_some() && request.limit.is_some() {
                let pieces = segment.pieces(&request)?.into();
                Feed::Ahead(Ahead { segment, pieces, found: VecDeque::new() })
            } else {
                Feed::Scan(Box::new(segment.scan(&request)?))
            };
            return Ok(());
        }
        Feed::Block(block) => Some(block_rows(&block, snapshot, wanted)?),
        Feed::Scan(mut scan) => match scan.next().transpose()? {
            Some(batch) => {
                source.feed = Feed::Scan(scan);
                Some(batch)
            }
            None => None,
        },
        Feed::Ahead(mut search) => {
            while search.found.is_empty() && !search.pieces.is_empty() {
                let n = search.pieces.len().min(*ahead);
                let pieces: Vec<Range<u64>> = search.pieces.drain(..n).collect();
                *ahead = (*ahead * 2).min(MOST_AHEAD);
                search.found = side_by_side(&search.segment, &pieces, snapshot, wanted)?.into();
            }
            let batch = search.found.pop_front();
            if batch.is_some() {
                source.feed = Feed::Ahead(search);
            }
            batch
        }
        Feed::Done => None,
    };
    source.current = batch.filter(|b| b.num_rows() > 0).map(|batch| Current { batch: Arc::new(batch), row: 0 });
    Ok(())
}

/// Scans pieces of a segment, each up to the limit, on as many threads as there are cores; gives what was found
/// in the order of the pieces.
fn side_by_side(
    segment: &Arc<segments::Segment>,
    pieces: &[Range<u64>],
    snapshot: &Snapshot,
    wanted: &Wanted,
) -> Result<Vec<RecordBatch>, segments::Error> {
    let one = |rows: &Range<u64>| {
        wanted.deadline.check()?;
        let mut request = request(snapshot, wanted);
        request.rows = Some(rows.clone());
        segment.scan(&request)?.collect::<Result<Vec<_>, _>>()
    };
    let threads = threads().min(pieces.len());
    if threads < 2 {
        return Ok(pieces.iter().map(one).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect());
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            match pieces.get(at) {
                Some(rows) => done.push((at, one(rows))),
                None => return done,
            }
        }
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            match other.join() {
                Ok(theirs) => done.extend(theirs),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, found)| found).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// Threads that one request may use.
pub fn threads() -> usize {
    // Asked once: the system reads files to answer.
    static THREADS: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(2, |n| n.get()).min(8));
    *THREADS
}

/// The request to a segment for what is wanted of a snapshot.
pub fn request<'a>(snapshot: &Snapshot, wanted: &'a Wanted) -> ScanRequest<'a> {
    let mut request = ScanRequest::new(snapshot.tenant.number, &wanted.projection);
    request.predicate = wanted.matcher.clone().filter(|m| !m.is_all()).map(|m| m as Arc<dyn segments::Predicate>);
    request.time = wanted.time.clone();
    request.index_below = Some(snapshot.size.min(snapshot.stored));
    request.before = wanted.before.clone();
    request.limit = wanted.limit;
    request
}

/// The rows of a tail block that are wanted, projected.
///
/// # Errors
/// A column of an unexpected type.
pub fn block_rows(block: &Block, snapshot: &Snapshot, wanted: &Wanted) -> Result<RecordBatch, segments::Error> {
    let matcher = wanted.matcher.as_ref().filter(|m| !m.is_all());
    let limit = wanted.limit.unwrap_or(usize::MAX);
    let mut within = block.within(&wanted.time);
    if matcher.is_some_and(|m| !m.probes().is_empty() && !block.may_match(m.probes())) {
        within = 0..0;
    }
    let mut test = RowTest::new(matcher.map(|m| m.needs()).unwrap_or_default());
    let after = |at: usize| match &wanted.before {
        None => true,
        Some((time, id)) => block.key(at).is_some_and(|key| key < (*time, id.as_bytes())),
    };
    let places = within.filter(|at| {
        let sealed = block.row(*at).filter(|r| (snapshot.stored..snapshot.size).contains(&r.index));
        sealed.is_some_and(|row| after(*at) && test.can_match(&row.row))
    });
    // Where a matcher has still to look at them, all; the others are wanted as they are.
    let places: Vec<usize> = if matcher.is_some() { places.collect() } else { places.take(limit).collect() };
    // Only these, unless they are so many that the columns of all are worth making and keeping.
    let all = places.len() > block.len() / 4;
    let (batch, place) = match all {
        true => {
            let mut chosen = BooleanBufferBuilder::new(block.len());
            chosen.append_n(block.len(), false);
            places.iter().for_each(|at| chosen.set_bit(*at, true));
            (block.batch()?.clone(), Some(BooleanArray::new(chosen.finish(), None)))
        }
        false => (block.take(&places)?, None),
    };
    let compute = segments::Error::Compute;
    let found = match matcher {
        Some(matcher) => {
            Some(matcher.evaluate_with(batch.num_rows(), &|c| batch.columns().get(c).cloned()).map_err(compute)?)
        }
        None => None,
    };
    let mask = match (place, found) {
        (Some(place), Some(found)) => Some(arrow::compute::and(&place, &found).map_err(compute)?),
        (place, found) => place.or(found),
    };
    let mut rows = batch.project(&wanted.projection).map_err(compute)?;
    if let Some(mask) = mask {
        rows = filter_record_batch(&rows, &mask).map_err(compute)?;
    }
    Ok(if limit < rows.num_rows() { rows.slice(0, limit) } else { rows })
}
