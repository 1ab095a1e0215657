//! Scans: the rows of one tenant that a query wants, newest first.
//!
//! Owns: the request, and the walk over row groups. Rows are excluded by what is in memory (slice, filters,
//! page statistics), then the columns that conditions need are decoded, then the wanted columns of the rows
//! that remain. Row groups are taken one after another, and conditions are computed page after page, so a
//! scan with a limit stops soon. Not here: what a predicate means, several segments, threads.

use crate::columns::INDEX;
use crate::decode::{Decoder, Rows, Shape, count};
use crate::error::{Error, Result, guard};
use crate::filters::{BLOCK_ROWS, Probe, Probes};
use crate::search::Need;
use crate::segment::Segment;
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{concat, filter};
use arrow::error::ArrowError;
use std::ops::Range;
use std::sync::Arc;

/// A condition on rows.
pub trait Predicate: Send + Sync {
    /// The columns it needs, by number.
    fn columns(&self) -> &[usize];

    /// One value per row of a batch that has only those columns, in that order. Null counts as false.
    ///
    /// # Errors
    /// Whatever computing on the columns fails with; it ends the scan.
    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError>;

    /// Of each inner list, every matching row has at least one value. Empty where nothing can be said.
    fn probes(&self) -> &[Vec<Probe>];

    /// Of each inner list, every matching row fulfils at least one: so rows are excluded without being decoded.
    fn needs(&self) -> &[Vec<Need>] {
        &[]
    }

    /// Whether every row that fulfils one of each list matches: then those found need not be looked at again.
    fn only_needs(&self) -> bool {
        false
    }
}

/// What to scan for.
#[derive(Clone)]
pub struct ScanRequest<'a> {
    /// Number of the tenant.
    pub tenant: u32,
    /// Columns wanted, by number, in this order.
    pub projection: &'a [usize],
    /// The condition, on top of those below.
    pub predicate: Option<Arc<dyn Predicate>>,
    /// Times in microseconds: from inclusive, to exclusive.
    pub time: Range<i64>,
    /// Snapshot: only rows with an index below.
    pub index_below: Option<u64>,
    /// Only rows with an index in this range.
    pub index_range: Option<Range<u64>>,
    /// Page cursor: only rows after this `(time, id)` in `(time DESC, id DESC)` order.
    pub before: Option<(i64, String)>,
    /// Only these rows of the file (one of [`Segment::parts`]).
    pub rows: Option<Range<u64>>,
    /// At most so many rows.
    pub limit: Option<usize>,
    /// Rows of a batch, at most.
    pub batch_rows: usize,
    /// Give columns that are stored with a dictionary ([`crate::columns::is_coded`]) as `Dictionary(Int32, Utf8)`. The
    /// predicate's columns stay plain.
    pub dictionaries: bool,
}

impl std::fmt::Debug for ScanRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The cursor's id and the predicate's values belong to somebody.
        f.debug_struct("ScanRequest").field("tenant", &self.tenant).field("time", &self.time).finish_non_exhaustive()
    }
}

impl<'a> ScanRequest<'a> {
    /// All rows of a tenant.
    pub fn new(tenant: u32, projection: &'a [usize]) -> ScanRequest<'a> {
        ScanRequest {
            tenant,
            projection,
            predicate: None,
            time: i64::MIN..i64::MAX,
            index_below: None,
            index_range: None,
            before: None,
            rows: None,
            limit: None,
            batch_rows: 8192,
            dictionaries: false,
        }
    }
}

/// Rows given to the predicate at a time, at most: a page, so that a scan with a limit ends within one.
const EVALUATE_ROWS: usize = 4096;
/// Rows that a scan with a limit searches at first; twice as many each time it finds too few.
const SEARCH_ROWS: u64 = 4096;

impl Segment {
    /// Begins a scan. Batches come in `(time DESC, id DESC)` order.
    ///
    /// # Errors
    /// [`Error::Compute`] for a column that does not exist; errors of reading. The iterator ends after an error.
    pub fn scan(self: &Arc<Self>, request: &ScanRequest<'_>) -> Result<SegmentScan> {
        // A scan without limit or probes reads what it reads once.
        let few = request.limit.is_some() || request.predicate.as_ref().is_some_and(|p| !p.probes().is_empty());
        let shape = Shape::new(request.projection, request.dictionaries)?.keeping(few);
        let mut rows = 0..0;
        let mut index = None;
        if let Some(slice) = self.slice(request.tenant) {
            rows = self.row_range(slice, &request.time, request.before.as_ref())?;
            if let Some(part) = &request.rows {
                rows = rows.start.max(part.start)..rows.end.min(part.end);
            }
            let wanted = request.index_range.clone().unwrap_or(0..u64::MAX);
            let wanted = wanted.start..wanted.end.min(request.index_below.unwrap_or(u64::MAX));
            if slice.max_index < wanted.start || slice.min_index >= wanted.end {
                rows = 0..0;
            } else if slice.min_index < wanted.start || slice.max_index >= wanted.end {
                index = Some(wanted);
            }
        }
        let probes = match &request.predicate {
            Some(p) => Probes::new(request.tenant, p.probes(), p.needs()),
            None => Probes::default(),
        };
        let test = Test::new(request.predicate.clone(), index.is_some(), few)?;
        Ok(SegmentScan {
            segment: Arc::clone(self),
            rows,
            index,
            probes,
            test,
            left: request.limit.unwrap_or(usize::MAX),
            batch_rows: request.batch_rows.max(1),
            shape,
            open: None,
            looks_up: request.predicate.as_ref().is_some_and(|p| !p.probes().is_empty()),
            window: if request.limit.is_some() { SEARCH_ROWS } else { u64::MAX },
            groups_read: 0,
            last_group: None,
        })
    }
}

impl Segment {
    /// The rows that a scan looks at, in order: in pieces of one row group or less, each of which
    /// [`ScanRequest::rows`] can be set to. Rows that filters exclude are left out.
    ///
    /// # Errors
    /// As [`Segment::scan`].
    pub fn pieces(self: &Arc<Self>, request: &ScanRequest<'_>) -> Result<Vec<Range<u64>>> {
        let mut scan = self.scan(request)?;
        let mut pieces = Vec::new();
        while let Some(group) =
            self.groups.get(self.group_at(scan.rows.start)).filter(|_| scan.rows.start < scan.rows.end)
        {
            let rows = scan.rows.start..group.end().min(scan.rows.end);
            scan.rows.start = rows.end;
            if scan.probes.is_empty() {
                pieces.push(rows);
                continue;
            }
            for block in rows.start / BLOCK_ROWS..rows.end.div_ceil(BLOCK_ROWS) {
                if self.filters.may_match(block, &scan.probes) {
                    pieces.push((block * BLOCK_ROWS).max(rows.start)..((block + 1) * BLOCK_ROWS).min(rows.end));
                }
            }
        }
        Ok(pieces)
    }
}

/// The conditions that need columns.
struct Test {
    predicate: Option<Arc<dyn Predicate>>,
    /// The predicate's columns, then the index where a scan may need it.
    shape: Shape,
    own: usize,
}

impl Test {
    fn new(predicate: Option<Arc<dyn Predicate>>, index: bool, keep: bool) -> Result<Test> {
        let mut columns = predicate.as_ref().map_or_else(Vec::new, |p| p.columns().to_vec());
        let own = columns.len();
        if index {
            columns.push(INDEX);
        }
        Ok(Test { predicate, shape: Shape::new(&columns, false)?.keeping(keep), own })
    }
}

/// A scan under way.
pub struct SegmentScan {
    segment: Arc<Segment>,
    /// Rows of the file still to look at.
    rows: Range<u64>,
    /// Indexes wanted, where the slice has others.
    index: Option<Range<u64>>,
    probes: Probes,
    test: Test,
    left: usize,
    batch_rows: usize,
    shape: Shape,
    open: Option<Open>,
    /// Whether single values are looked up: what is unpacked for it is kept.
    looks_up: bool,
    /// Rows to search before any of them are decoded.
    window: u64,
    groups_read: usize,
    last_group: Option<usize>,
}

impl std::fmt::Debug for SegmentScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SegmentScan({:016x}, rows {:?})", self.segment.info.id, self.rows)
    }
}

/// Chosen rows being decoded.
struct Open {
    decoder: Decoder,
    /// Columns that the conditions already decoded, by place in the projection, with their chosen rows.
    kept: Vec<(usize, ArrayRef)>,
    /// For the others, their place in the projection.
    rest: Vec<usize>,
    at: usize,
}

impl Iterator for SegmentScan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let path = self.segment.path().to_owned();
        match guard(&path, || self.step()) {
            Ok(batch) => batch.map(Ok),
            Err(e) => {
                self.rows = 0..0;
                self.open = None;
                self.left = 0;
                Some(Err(e))
            }
        }
    }
}

impl SegmentScan {
    /// How many row groups had columns decoded so far.
    pub fn row_groups_read(&self) -> usize {
        self.groups_read
    }

    fn step(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.left == 0 {
                return Ok(None);
            }
            if let Some(open) = &mut self.open {
                if let Some(batch) = open.next(&self.segment, &self.shape)? {
                    self.left = self.left.saturating_sub(batch.num_rows());
                    return Ok(Some(batch));
                }
                self.open = None;
            }
            if self.rows.is_empty() {
                return Ok(None);
            }
            let (number, mut candidates, exact) = self.candidates();
            let mut matched = true;
            if let Some(predicate) = self.test.predicate.clone() {
                matched = predicate.only_needs();
                for any in predicate.needs().iter().filter(|any| !any.is_empty()) {
                    if !candidates.is_empty() {
                        let (found, sure) = self.segment.search(number, &candidates, any, self.looks_up)?;
                        candidates = found;
                        matched &= sure;
                    }
                }
            }
            if candidates.is_empty() {
                continue;
            }
            self.open = self.choose(number, candidates, exact, matched)?;
        }
    }

    /// Takes the next row group, or part of one, off the rows; gives what of it memory cannot exclude, counted
    /// from the row group's first row, and whether indexes must be looked at.
    fn candidates(&mut self) -> (usize, Vec<Range<usize>>, bool) {
        let number = self.segment.group_at(self.rows.start);
        let Some(group) = self.segment.groups.get(number) else {
            self.rows = 0..0;
            return (number, Vec::new(), false);
        };
        let mut end = group.end().min(self.rows.end);
        if self.test.predicate.as_ref().is_some_and(|p| !p.needs().is_empty()) && !self.looks_up {
            end = end.min(self.rows.start.saturating_add(self.window));
            self.window = self.window.saturating_mul(2);
        }
        let taken = self.rows.start..end;
        self.rows.start = end;
        let mut spans = vec![taken.clone()];
        if !self.probes.is_empty() {
            spans = self.probed(&taken);
        }
        let mut exact = false;
        if let Some(wanted) = &self.index {
            let mut kept = Vec::new();
            for span in &spans {
                let (spans, look) = self.segment.index_spans(span, wanted);
                exact |= look;
                kept.extend(spans);
            }
            spans = kept;
        }
        let start = group.start;
        let local = spans.into_iter().map(|s| (s.start - start) as usize..(s.end - start) as usize);
        (number, local.filter(|s| !s.is_empty()).collect(), exact)
    }

    /// The runs of `rows` whose filter does not exclude the probes.
    fn probed(&self, rows: &Range<u64>) -> Vec<Range<u64>> {
        let mut spans: Vec<Range<u64>> = Vec::new();
        for block in rows.start / BLOCK_ROWS..rows.end.div_ceil(BLOCK_ROWS) {
            if !self.segment.filters.may_match(block, &self.probes) {
                continue;
            }
            let span = (block * BLOCK_ROWS).max(rows.start)..((block + 1) * BLOCK_ROWS).min(rows.end);
            match spans.last_mut() {
                Some(last) if last.end == span.start => last.end = span.end,
                _ => spans.push(span),
            }
        }
        spans
    }

    /// Applies the conditions to candidates and opens what remains. `exact`: their indexes must be looked at;
    /// `matched`: the predicate holds for them.
    fn choose(
        &mut self,
        number: usize,
        candidates: Vec<Range<usize>>,
        exact: bool,
        matched: bool,
    ) -> Result<Option<Open>> {
        if self.last_group != Some(number) {
            self.last_group = Some(number);
            self.groups_read += 1;
        }
        if matched && !exact {
            let chosen = first(candidates, self.left);
            return self.open(number, &chosen, Vec::new()).map(Some);
        }
        let mut shape = self.test.shape.clone();
        if !exact && shape.columns.len() > self.test.own {
            shape = Shape::new(shape.columns.get(..self.test.own).unwrap_or_default(), false)?.keeping(shape.keep);
        }
        // Columns that are both tested and wanted are decoded once, unless the wanted form differs.
        let keep: Vec<(usize, usize)> = self
            .shape
            .columns
            .iter()
            .enumerate()
            .filter(|(_, c)| !(self.shape.coded && crate::columns::is_coded(**c)))
            .filter_map(|(place, c)| Some((place, shape.columns.iter().position(|t| t == c)?)))
            .collect();
        let mut kept: Vec<Vec<ArrayRef>> = vec![Vec::new(); keep.len()];

        let mut decoder = self.segment.decoder(number, &shape, &candidates, EVALUATE_ROWS)?;
        let mut walk = Walk::new(&candidates);
        let mut chosen: Vec<Range<usize>> = Vec::new();
        let mut found = 0;
        while found < self.left
            && let Some(batch) = decoder.next(&self.segment)?
        {
            let mask = self.evaluate(&batch, exact)?;
            let n = mask.true_count();
            walk.take(&mask, &mut chosen);
            found += n;
            if n > 0 {
                for (arrays, (_, from)) in kept.iter_mut().zip(&keep) {
                    if let Some(array) = batch.columns().get(*from) {
                        arrays.push(if n == mask.len() { Arc::clone(array) } else { filter(array, &mask)? });
                    }
                }
            }
        }
        if found == 0 {
            return Ok(None);
        }
        let chosen = first(chosen, self.left);
        let mut arrays = Vec::with_capacity(keep.len());
        for ((place, _), parts) in keep.iter().zip(&kept) {
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            arrays.push((*place, concat(&parts)?));
        }
        self.open(number, &chosen, arrays).map(Some)
    }

    fn evaluate(&self, batch: &RecordBatch, exact: bool) -> Result<BooleanArray> {
        let mut mask = match &self.test.predicate {
            None => BooleanArray::from(vec![true; batch.num_rows()]),
            Some(p) => {
                let own: Vec<usize> = (0..self.test.own).collect();
                let mask = p.evaluate(&batch.project(&own)?)?;
                if mask.len() != batch.num_rows() {
                    return Err(Error::Compute(ArrowError::ComputeError("a predicate lost rows".to_owned())));
                }
                match mask.nulls() {
                    None => mask,
                    Some(nulls) => BooleanArray::new(mask.values() & nulls.inner(), None),
                }
            }
        };
        if exact && let Some(wanted) = &self.index {
            let indexes: &arrow::array::UInt64Array = crate::batch::as_type(batch, self.test.own)?;
            let inside = BooleanArray::from_unary(indexes, |i| wanted.contains(&i));
            mask = BooleanArray::new(mask.values() & inside.values(), None);
        }
        Ok(mask)
    }

    fn open(&self, number: usize, chosen: &Rows, kept: Vec<(usize, ArrayRef)>) -> Result<Open> {
        let rest: Vec<usize> =
            (0..self.shape.columns.len()).filter(|place| !kept.iter().any(|(p, _)| p == place)).collect();
        let columns: Vec<usize> = rest.iter().filter_map(|p| self.shape.columns.get(*p).copied()).collect();
        let shape = Shape::new(&columns, self.shape.coded)?.keeping(self.shape.keep);
        let decoder = self.segment.decoder(number, &shape, chosen, self.batch_rows)?;
        Ok(Open { decoder, kept, rest, at: 0 })
    }
}

impl Open {
    fn next(&mut self, segment: &Segment, shape: &Shape) -> Result<Option<RecordBatch>> {
        let Some(batch) = self.decoder.next(segment)? else { return Ok(None) };
        if self.kept.is_empty() {
            return Ok(Some(batch));
        }
        let rows = batch.num_rows();
        let mut arrays: Vec<Option<ArrayRef>> = vec![None; shape.columns.len()];
        for (place, array) in &self.kept {
            if let Some(slot) = arrays.get_mut(*place) {
                *slot = Some(array.slice(self.at, rows));
            }
        }
        for (place, array) in self.rest.iter().zip(batch.columns()) {
            if let Some(slot) = arrays.get_mut(*place) {
                *slot = Some(Arc::clone(array));
            }
        }
        self.at += rows;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let arrays = arrays.into_iter().flatten().collect();
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(&shape.schema), arrays, &options)?))
    }
}

/// The first `n` of these rows.
fn first(mut rows: Vec<Range<usize>>, n: usize) -> Vec<Range<usize>> {
    if count(&rows) <= n {
        return rows;
    }
    let mut left = n;
    rows.retain_mut(|r| {
        r.end = r.end.min(r.start + left);
        left -= r.len();
        r.start < r.end
    });
    rows
}

/// Turns masks over candidate rows, batch after batch, into chosen rows.
struct Walk<'a> {
    rows: &'a Rows,
    /// Rows of the first range already passed.
    passed: usize,
}

impl<'a> Walk<'a> {
    fn new(rows: &'a Rows) -> Walk<'a> {
        Walk { rows, passed: 0 }
    }

    fn take(&mut self, mask: &BooleanArray, chosen: &mut Vec<Range<usize>>) {
        let mut done = 0;
        while done < mask.len() {
            let Some((range, later)) = self.rows.split_first() else { return };
            let n = (range.len() - self.passed).min(mask.len() - done);
            let base = range.start + self.passed;
            let part = mask.values().slice(done, n);
            for (from, to) in part.set_slices() {
                match chosen.last_mut() {
                    Some(last) if last.end == base + from => last.end = base + to,
                    _ => chosen.push(base + from..base + to),
                }
            }
            done += n;
            self.passed += n;
            if self.passed == range.len() {
                self.rows = later;
                self.passed = 0;
            }
        }
    }
}
