//! Reading a view that is not folded: segments and tail as partitions of a DataFusion scan.
//!
//! Owns the split into partitions and the streams. Each partition is a run of rows in `(time DESC, id DESC)`
//! order and says so, which lets DataFusion merge runs instead of sorting, and end early where a statement
//! asks for the newest rows. Rows are read on blocking threads, a batch at a time and only when asked for:
//! no thread waits for a statement that does not read on.

use super::pushdown;
use super::table::{Context, Mapping, ViewTable};
use crate::lang::{Filter, Key, Op, Test, Value, View, views::envelope};
use crate::predicate::Matcher;
use crate::source::{Wanted, block_rows, request};
use datafusion::arrow::array::{AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{SortOptions, interleave_record_batch};
use datafusion::arrow::datatypes::TimestampMicrosecondType;
use datafusion::arrow::error::ArrowError;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Statistics, internal_err};
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use event::Field;
use futures::stream;
use segments::{Need, Predicate, Probe, Segment, SegmentScan, columns};
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use store::{Block, Snapshot};

/// Partitions of one scan, at most: each holds a batch and decodes a row group.
const MAX_PARTITIONS: usize = 16;
/// Columns beyond which batches are small.
const WIDE: usize = 20;

/// What one partition reads.
#[derive(Debug, Clone)]
enum Part {
    /// Rows of segments, one after another.
    Segments(Vec<(Arc<Segment>, Range<u64>)>),
    /// The blocks of the tail, merged.
    Tail,
}

/// What all partitions of a scan share.
struct Shared {
    context: Arc<Context>,
    mapping: Mapping,
    matcher: Arc<Matcher>,
    time: Range<i64>,
    /// Columns read from segments.
    projection: Vec<usize>,
    /// Rows of a batch.
    rows: usize,
}

/// A scan of one view.
pub(super) struct ViewScan {
    view: View,
    shared: Arc<Shared>,
    parts: Vec<Part>,
    limit: Option<usize>,
    estimate: usize,
    properties: Arc<PlanProperties>,
}

impl ViewScan {
    pub(super) fn new(
        table: &ViewTable,
        projection: &[usize],
        filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<ViewScan> {
        let mapping = table.mapping(projection)?;
        let snapshot = &table.context.snapshot;
        let mut conditions = pushdown::filters(table, filters);
        if table.view.log().is_none() {
            // Entries that are no records (erasures, gaps, heartbeats) have no log, and no view shows them.
            let key = Key::Column(envelope(Field::Log));
            conditions.push(Filter::Test(Test { key, op: Op::Exists, value: Value::None }));
        }
        let time = pushdown::bounds(table, filters);
        let mut needed = mapping.needed();
        if needed.is_empty() {
            needed.push(columns::KIND);
        }
        let wide = needed.len() > WIDE;
        let (parts, ordered) = split(snapshot, &time);
        let shared = Shared {
            context: Arc::clone(&table.context),
            matcher: Arc::new(Matcher::new(table.view, Filter::And(conditions).normalized(), true)),
            mapping,
            time: time.clone(),
            projection: needed,
            rows: if wide { 1024 } else { 8192 },
        };
        let properties = Arc::new(properties(&shared.mapping, parts.len(), ordered));
        let estimate = estimate(snapshot, &time);
        Ok(ViewScan { view: table.view, shared: Arc::new(shared), parts, limit, estimate, properties })
    }
}

/// The runs of a snapshot, and whether each is in order.
fn split(snapshot: &Snapshot, time: &Range<i64>) -> (Vec<Part>, bool) {
    let tenant = snapshot.tenant.number;
    let mut segments: Vec<(&Arc<Segment>, (i64, i64))> = Vec::new();
    for segment in &snapshot.segments {
        if let Some(slice) = segment.slice(tenant)
            && slice.max_time >= time.start
            && slice.min_time < time.end
        {
            segments.push((segment, (slice.min_time, slice.max_time)));
        }
    }
    segments.sort_by_key(|(_, (_, newest))| std::cmp::Reverse(*newest));
    let tail = snapshot.blocks.iter().any(|b| b.times().1 >= time.start && b.times().0 < time.end);
    let most = MAX_PARTITIONS.saturating_sub(usize::from(tail)).max(1);
    let mut parts = Vec::new();
    let mut ordered = true;
    if segments.len() <= most {
        // Few segments: each in as many runs as give every core something to do.
        let each = super::cores().div_ceil(segments.len().max(1));
        for (segment, _) in &segments {
            parts.extend(
                segment.parts(tenant, each).into_iter().map(|rows| Part::Segments(vec![((*segment).clone(), rows)])),
            );
        }
    } else {
        // Many: chains of segments that follow each other in time, newest first, as segments of a live log do.
        let mut chains: Vec<Chain> = Vec::new();
        for (segment, (oldest, newest)) in &segments {
            let Some(rows) = segment.slice(tenant).map(segments::SliceInfo::range) else { continue };
            let run = ((*segment).clone(), rows);
            let after =
                chains.iter().enumerate().filter(|(_, (_, end))| newest < end).min_by_key(|(_, (runs, _))| runs.len());
            let shortest = chains.iter().enumerate().min_by_key(|(_, (runs, _))| runs.len());
            match (after, shortest) {
                _ if chains.len() < super::cores() => chains.push((vec![run], *oldest)),
                (Some((at, _)), _) => add(&mut chains, at, run, *oldest),
                _ if chains.len() < most => chains.push((vec![run], *oldest)),
                (None, Some((at, _))) => {
                    ordered = false;
                    add(&mut chains, at, run, *oldest);
                }
                (None, None) => chains.push((vec![run], *oldest)),
            }
        }
        parts.extend(chains.into_iter().map(|(runs, _)| Part::Segments(runs)));
    }
    if tail {
        parts.push(Part::Tail);
    }
    if parts.is_empty() {
        parts.push(Part::Segments(Vec::new()));
    }
    (parts, ordered)
}

type Chain = (Vec<(Arc<Segment>, Range<u64>)>, i64);

fn add(chains: &mut [Chain], at: usize, run: (Arc<Segment>, Range<u64>), oldest: i64) {
    if let Some((runs, end)) = chains.get_mut(at) {
        runs.push(run);
        *end = oldest.min(*end);
    }
}

fn estimate(snapshot: &Snapshot, time: &Range<i64>) -> usize {
    let within = |oldest: i64, newest: i64| newest >= time.start && oldest < time.end;
    let tenant = snapshot.tenant.number;
    let slices = snapshot.segments.iter().filter_map(|s| s.slice(tenant)).filter(|s| within(s.min_time, s.max_time));
    let blocks = snapshot.blocks.iter().filter(|b| within(b.times().0, b.times().1));
    slices.map(|s| s.rows as usize).sum::<usize>() + blocks.map(|b| b.len()).sum::<usize>()
}

fn properties(mapping: &Mapping, partitions: usize, ordered: bool) -> PlanProperties {
    let mut order = Vec::new();
    if ordered {
        let newest_first = SortOptions { descending: true, nulls_first: true };
        for wanted in [columns::TIME, columns::ID] {
            let Some(at) = mapping.outputs.iter().position(|o| o.as_slice() == [wanted]) else { break };
            let name = mapping.schema.field(at).name();
            order.push(PhysicalSortExpr::new(Arc::new(Column::new(name, at)), newest_first));
        }
    }
    let equivalence =
        EquivalenceProperties::new_with_orderings(Arc::clone(&mapping.schema), (!order.is_empty()).then_some(order));
    let partitioning = Partitioning::UnknownPartitioning(partitions);
    PlanProperties::new(equivalence, partitioning, EmissionType::Incremental, Boundedness::Bounded)
}

impl fmt::Debug for ViewScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ViewScan({}, {} partitions)", self.view.name(), self.parts.len())
    }
}

impl DisplayAs for ViewScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{self:?} limit={:?} time={:?} probed={}",
            self.limit,
            self.shared.time,
            !self.shared.matcher.probes().is_empty()
        )
    }
}

impl ExecutionPlan for ViewScan {
    fn name(&self) -> &'static str {
        "ViewScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> PlanResult<TreeNodeRecursion>,
    ) -> PlanResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> PlanResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn supports_limit_pushdown(&self) -> bool {
        false
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(ViewScan {
            view: self.view,
            shared: Arc::clone(&self.shared),
            parts: self.parts.clone(),
            limit,
            estimate: self.estimate,
            properties: Arc::clone(&self.properties),
        }))
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> PlanResult<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.shared.mapping.schema);
        let rows = match args.partition() {
            Some(_) => self.estimate / self.parts.len().max(1),
            None => self.estimate,
        };
        statistics.num_rows = Precision::Inexact(self.limit.map_or(rows, |l| l.min(rows)));
        Ok(Arc::new(statistics))
    }

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> PlanResult<SendableRecordBatchStream> {
        let Some(part) = self.parts.get(partition) else {
            return internal_err!("there is no partition {partition}");
        };
        let left = self.limit.unwrap_or(usize::MAX);
        let rows = self.shared.rows.min(task.session_config().batch_size());
        let feed = match part {
            Part::Tail => Feed::Tail(TailFeed::new(Arc::clone(&self.shared), rows, left)),
            Part::Segments(runs) => Feed::Segments(SegmentFeed {
                shared: Arc::clone(&self.shared),
                runs: runs.iter().cloned().collect(),
                open: None,
                rows,
                left,
            }),
        };
        let run = Arc::clone(&self.shared.context.run);
        let batches = stream::try_unfold((feed, run), |(mut feed, run)| async move {
            let read = tokio::task::spawn_blocking(move || {
                let found = feed.next();
                (feed, found)
            });
            let (feed, found) = read.await.map_err(|e| DataFusionError::Execution(format!("the scan ended: {e}")))?;
            let found = found.map_err(|e| run.fail(e))?;
            if let Some(batch) = &found {
                run.fits_read(batch)?;
            }
            Ok(found.map(|batch| (batch, (feed, run))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.shared.mapping.schema), batches)))
    }
}

/// A partition being read.
enum Feed {
    Segments(SegmentFeed),
    Tail(TailFeed),
}

impl Feed {
    fn next(&mut self) -> crate::Result<Option<RecordBatch>> {
        match self {
            Feed::Segments(feed) => feed.next(),
            Feed::Tail(feed) => feed.next(),
        }
    }
}

/// Runs of segments being read.
struct SegmentFeed {
    shared: Arc<Shared>,
    runs: VecDeque<(Arc<Segment>, Range<u64>)>,
    open: Option<Box<SegmentScan>>,
    /// Rows of a batch, at most.
    rows: usize,
    left: usize,
}

impl SegmentFeed {
    fn next(&mut self) -> crate::Result<Option<RecordBatch>> {
        loop {
            if self.left == 0 || self.shared.context.run.stopped() {
                return Ok(None);
            }
            if let Some(scan) = &mut self.open {
                if let Some(batch) = scan.next() {
                    let batch = self.shared.mapping.rows(&batch?, &self.shared.projection)?;
                    let batch = if batch.num_rows() > self.left { batch.slice(0, self.left) } else { batch };
                    self.left = self.left.saturating_sub(batch.num_rows());
                    return Ok(Some(batch));
                }
                self.open = None;
            }
            let Some((segment, rows)) = self.runs.pop_front() else { return Ok(None) };
            let shared = &self.shared;
            let wanted = Wanted {
                projection: shared.projection.clone(),
                matcher: None,
                time: shared.time.clone(),
                before: None,
                limit: (self.left < usize::MAX).then_some(self.left),
                deadline: shared.context.run.wanted.clone(),
            };
            let mut request = request(&shared.context.snapshot, &wanted);
            request.rows = Some(rows);
            request.batch_rows = self.rows;
            if !shared.matcher.is_all() {
                request.predicate = Some(Arc::new(Stoppable(Arc::clone(shared))));
            }
            self.open = Some(Box::new(segment.scan(&request)?));
        }
    }
}

/// The scan's condition, which fails once nobody wants the answer any more.
struct Stoppable(Arc<Shared>);

impl Predicate for Stoppable {
    fn columns(&self) -> &[usize] {
        Predicate::columns(self.0.matcher.as_ref())
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        if self.0.context.run.stopped() {
            return Err(ArrowError::ComputeError("the statement was stopped".to_owned()));
        }
        self.0.matcher.evaluate(batch)
    }

    fn probes(&self) -> &[Vec<Probe>] {
        self.0.matcher.probes()
    }

    fn needs(&self) -> &[Vec<Need>] {
        self.0.matcher.needs()
    }
}

/// Blocks of the tail being merged.
struct TailFeed {
    shared: Arc<Shared>,
    wanted: Wanted,
    /// Not looked at yet, newest first.
    pending: VecDeque<Arc<Block>>,
    /// What of a block is wanted, and the next row of it.
    open: Vec<(RecordBatch, usize)>,
    rows: usize,
    left: usize,
}

impl TailFeed {
    fn new(shared: Arc<Shared>, rows: usize, left: usize) -> TailFeed {
        let mut projection = vec![columns::TIME, columns::ID];
        projection.extend(shared.projection.iter().filter(|c| !matches!(**c, columns::TIME | columns::ID)));
        let wanted = Wanted {
            projection,
            matcher: Some(Arc::clone(&shared.matcher)),
            time: shared.time.clone(),
            before: None,
            limit: None,
            deadline: shared.context.run.wanted.clone(),
        };
        let blocks = shared.context.snapshot.blocks.iter();
        let mut pending: Vec<Arc<Block>> =
            blocks.filter(|b| b.times().1 >= shared.time.start && b.times().0 < shared.time.end).cloned().collect();
        pending.sort_by_key(|b| std::cmp::Reverse(b.times().1));
        TailFeed { shared, wanted, pending: pending.into(), open: Vec::new(), rows, left }
    }

    fn next(&mut self) -> crate::Result<Option<RecordBatch>> {
        let mut places: Vec<(usize, usize)> = Vec::new();
        let most = self.rows.min(self.left);
        while places.len() < most && !self.shared.context.run.stopped() {
            let best = self
                .open
                .iter()
                .enumerate()
                .filter(|(_, (b, row))| *row < b.num_rows())
                .max_by_key(|(_, (b, row))| key(b, *row));
            let best = best.map(|(at, (batch, row))| (at, key(batch, *row).0));
            if let Some(block) = self.pending.front()
                && best.is_none_or(|(_, time)| block.times().1 >= time)
            {
                let rows = block_rows(block, &self.shared.context.snapshot, &self.wanted)?;
                self.pending.pop_front();
                if rows.num_rows() > 0 {
                    self.open.push((rows, 0));
                }
                continue;
            }
            let Some((_, row)) = best.and_then(|(at, _)| self.open.get_mut(at)) else { break };
            places.push((best.map_or(0, |(at, _)| at), *row));
            *row += 1;
        }
        if places.is_empty() {
            return Ok(None);
        }
        self.left -= places.len();
        let all: Vec<&RecordBatch> = self.open.iter().map(|(batch, _)| batch).collect();
        let rows = interleave_record_batch(&all, &places)?;
        self.open.retain(|(batch, row)| *row < batch.num_rows());
        Ok(Some(self.shared.mapping.rows(&rows, &self.wanted.projection)?))
    }
}

/// Where a row of the tail stands in the order.
fn key(batch: &RecordBatch, row: usize) -> (i64, &str) {
    (
        batch.column(0).as_primitive::<TimestampMicrosecondType>().value(row),
        batch.column(1).as_string::<i32>().value(row),
    )
}
