//! Reading a folded view: jobs, notifications, sessions, grants in their latest state.
//!
//! Owns the table in memory that a statement makes at most once per view, when it is first read. What the
//! latest state is belongs to `crate::fold`.

use super::table::{Context, Mapping};
use crate::fold;
use crate::lang::View;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::internal_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use std::fmt;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// A view's rows, once made, and the memory they count as.
#[derive(Debug, Default)]
pub(super) struct Folded(OnceCell<(RecordBatch, MemoryReservation)>);

/// A scan of one folded view.
pub(super) struct FoldedScan {
    view: View,
    context: Arc<Context>,
    mapping: Mapping,
    cell: Arc<Folded>,
    projection: Vec<usize>,
    properties: Arc<PlanProperties>,
}

impl FoldedScan {
    /// A scan that makes `mapping` into `cell` and shows `projection` of it.
    pub(super) fn new(
        view: View,
        context: Arc<Context>,
        mapping: Mapping,
        cell: Arc<Folded>,
        projection: Vec<usize>,
    ) -> PlanResult<FoldedScan> {
        let schema: SchemaRef = Arc::new(mapping.schema.project(&projection)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(FoldedScan { view, context, mapping, cell, projection, properties: Arc::new(properties) })
    }
}

impl fmt::Debug for FoldedScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FoldedScan({})", self.view.name())
    }
}

impl DisplayAs for FoldedScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl ExecutionPlan for FoldedScan {
    fn name(&self) -> &'static str {
        "FoldedScan"
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

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> PlanResult<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("there is no partition {partition}");
        }
        let (view, context, mapping) = (self.view, Arc::clone(&self.context), self.mapping.clone());
        let (cell, projection) = (Arc::clone(&self.cell), self.projection.clone());
        let batches = stream::once(async move {
            let run = Arc::clone(&context.run);
            let (all, _) = cell.0.get_or_try_init(|| make(view, context, mapping, &task)).await?;
            let shown = all.project(&projection)?;
            let rows = task.session_config().batch_size();
            let starts = (0..shown.num_rows()).step_by(rows);
            let slices: Vec<_> = starts.map(|at| shown.slice(at, rows.min(shown.num_rows() - at))).collect();
            slices.iter().try_for_each(|slice| run.fits_read(slice))?;
            let slices = slices.into_iter().map(Ok);
            Ok::<_, DataFusionError>(stream::iter(slices))
        });
        let schema = self.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches.try_flatten().boxed())))
    }
}

async fn make(
    view: View,
    context: Arc<Context>,
    mapping: Mapping,
    task: &TaskContext,
) -> PlanResult<(RecordBatch, MemoryReservation)> {
    let held = MemoryConsumer::new(format!("view {}", view.name())).register(task.memory_pool());
    let run = Arc::clone(&context.run);
    let read = tokio::task::spawn_blocking(move || -> crate::Result<RecordBatch> {
        let latest = fold::latest(&context.snapshot, view, context.now, &context.run.wanted)?;
        Ok(mapping.rows(&latest.batch, &latest.columns)?)
    });
    let batch =
        read.await.map_err(|e| DataFusionError::Execution(format!("the scan ended: {e}")))?.map_err(|e| run.fail(e))?;
    held.try_grow(batch.get_array_memory_size())?;
    Ok((batch, held))
}
