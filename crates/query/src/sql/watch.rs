//! Ending what computes for long without reading, and what makes much of little: joins, windows, lists that are unnested.
//!
//! A join of a few thousand rows with themselves has billions of pairs, and DataFusion looks at all pairs of a
//! batch before anybody else has a say. So a join's condition is wrapped in a function that fails once nobody
//! wants the answer any more, and what a join gives passes a stream that fails then too.

use super::Run;
use super::batches;
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{
    ColumnarValue, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::window::WindowExpr;
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;
use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

fn stopped() -> DataFusionError {
    DataFusionError::Execution("the statement was stopped".to_owned())
}

/// Wraps the conditions of joins in an optimised plan.
///
/// # Errors
/// None in practice: the plan's types stay what they are.
pub(super) fn conditions(plan: LogicalPlan, run: &Arc<Run>) -> PlanResult<LogicalPlan> {
    let watch = Arc::new(ScalarUDF::new_from_impl(Watch {
        run: Arc::clone(run),
        signature: Signature::any(1, Volatility::Volatile),
    }));
    plan.transform_up_with_subqueries(|plan| match plan {
        LogicalPlan::Join(mut join) => {
            join.filter = join.filter.map(|filter| watch.call(vec![filter]));
            Ok(Transformed::yes(LogicalPlan::Join(join)))
        }
        other => Ok(Transformed::no(other)),
    })
    .data()
}

/// Wraps the nodes of a physical plan that can make much of little. Where the statement repeats values, what aggregates collected is
/// looked at before it is: texts of many rows in one.
///
/// # Errors
/// None in practice: a node is only put between two others.
pub(super) fn nodes(
    plan: Arc<dyn ExecutionPlan>,
    run: &Arc<Run>,
    memory_bytes: usize,
    repeats: bool,
) -> PlanResult<Arc<dyn ExecutionPlan>> {
    let watched = |input: Arc<dyn ExecutionPlan>, limit: Limit| -> Arc<dyn ExecutionPlan> {
        Arc::new(Watched { input, run: Arc::clone(run), limit })
    };
    plan.transform_up(|plan| {
        let texts = window_texts(plan.as_ref());
        let before = match plan.name() {
            "UnnestExec" => Some(Limit::Unnested),
            _ => (!texts.is_empty()).then_some(Limit::Window(texts, memory_bytes)),
        };
        let plan = match before {
            Some(limit) => {
                let inputs =
                    plan.children().into_iter().map(|input| watched(Arc::clone(input), limit.clone())).collect();
                plan.replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))?
            }
            None => plan,
        };
        Ok(match plan.name() {
            "AggregateExec" if repeats => Transformed::yes(watched(plan, Limit::Fits)),
            "UnnestExec" => Transformed::yes(watched(plan, Limit::None)),
            _ if plan.children().len() > 1 => Transformed::yes(watched(plan, Limit::None)),
            _ => Transformed::yes(plan),
        })
    })
    .data()
}

/// The function: its argument, while the statement is wanted.
#[derive(Debug)]
struct Watch {
    run: Arc<Run>,
    signature: Signature,
}

impl PartialEq for Watch {
    fn eq(&self, other: &Watch) -> bool {
        Arc::ptr_eq(&self.run, &other.run)
    }
}

impl Eq for Watch {}

impl Hash for Watch {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.run).hash(state);
    }
}

impl ScalarUDFImpl for Watch {
    fn name(&self) -> &'static str {
        "while_wanted"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, kinds: &[DataType]) -> PlanResult<DataType> {
        Ok(kinds.first().cloned().unwrap_or(DataType::Boolean))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        if self.run.stopped() {
            return Err(stopped());
        }
        args.args.into_iter().next().ok_or_else(stopped)
    }
}

/// The columns of a window's input that its functions with a text for a result are made of.
fn window_texts(plan: &dyn ExecutionPlan) -> Vec<usize> {
    let any: &dyn Any = plan;
    let functions = any
        .downcast_ref::<WindowAggExec>()
        .map(WindowAggExec::window_expr)
        .or_else(|| any.downcast_ref::<BoundedWindowAggExec>().map(BoundedWindowAggExec::window_expr));
    // These give each text of theirs to one row.
    let once = |name: &str| name.starts_with("lag(") || name.starts_with("lead(");
    let repeats = |f: &&Arc<dyn WindowExpr>| f.field().is_ok_and(|f| !f.data_type().is_primitive()) && !once(f.name());
    let texts = functions.unwrap_or_default().iter().filter(repeats);
    let arguments = texts.flat_map(|function| function.expressions());
    arguments.flat_map(|argument| collect_columns(&argument)).map(|column| column.index()).collect()
}

/// The bytes of the longest text in these columns.
fn longest(batch: &RecordBatch, columns: &[usize]) -> usize {
    let texts = columns.iter().filter_map(|at| batch.columns().get(*at)?.as_string_opt::<i32>());
    texts.flat_map(|texts| texts.offsets().lengths()).max().unwrap_or(0)
}

/// A node whose output ends with the statement.
struct Watched {
    input: Arc<dyn ExecutionPlan>,
    run: Arc<Run>,
    limit: Limit,
}

/// What is looked at in the batches of a node.
#[derive(Debug, Clone)]
enum Limit {
    None,
    /// The longest text in these columns may come to so many bytes for all rows together.
    Window(Vec<usize>, usize),
    /// Each row comes once for each item of its longest list.
    Unnested,
    /// Each value may be beside all rows of a batch.
    Fits,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl DisplayAs for Watched {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl ExecutionPlan for Watched {
    fn name(&self) -> &'static str {
        "Watched"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> PlanResult<TreeNodeRecursion>,
    ) -> PlanResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let input = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.input));
        Ok(Arc::new(Watched { input, run: Arc::clone(&self.run), limit: self.limit.clone() }))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> PlanResult<SendableRecordBatchStream> {
        let input = make_cooperative(self.input.execute(partition, task)?);
        let run = Arc::clone(&self.run);
        let schema = input.schema();
        let limit = self.limit.clone();
        let (mut rows, mut most) = (0, 0);
        let checked = input.map(move |batch| {
            if run.stopped() {
                return Err(stopped());
            }
            let Ok(batch) = batch else { return batch };
            match &limit {
                Limit::None => {}
                Limit::Window(columns, bytes) => {
                    rows += batch.num_rows();
                    most = most.max(longest(&batch, columns));
                    if rows.saturating_mul(most) > *bytes {
                        return Err(DataFusionError::ResourcesExhausted("a window repeats a long text".to_owned()));
                    }
                }
                Limit::Unnested => {
                    // All columns are put beside each item; a list itself is not, but each of its items is.
                    let items = batch.columns().iter().map(|c| batches::items(c.as_ref())).max().unwrap_or(0);
                    let texts = batch.columns().iter().filter(|c| !matches!(c.data_type(), DataType::List(_)));
                    let most = texts.map(|c| batches::longest(c.as_ref())).max().unwrap_or(0);
                    run.fits(items, most, "`unnest`")?;
                }
                Limit::Fits => run.fits(batch.num_rows(), batches::longest_of(&batch), "an aggregate")?,
            }
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, checked)))
    }
}
