//! Whether a planned query can stay within bounds that nothing measures while it runs.
//!
//! Owns two things the memory pool does not see. *Nodes*: the optimiser writes a column's expression in the
//! place of its name, so ten subqueries that each say `a || a as a` become two to the tenth of them. *Bytes*:
//! functions make their output before anybody counts it, so the same ten, or one `repeat`, make a value of any
//! size. Both are added up here per column from the tables upwards, and a query past the bound is refused
//! before it is planned further. Also the last look at what a plan consists of: views and nothing else.

use super::table::ViewTable;
use crate::engine::{Error, Result};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Operator};
use std::any::Any;

/// Expressions in one column, everything written out.
pub(super) const MAX_NODES: u64 = 20_000;
/// Bytes of one value, where a column of a table counts as [`COLUMN`]. A batch has 8,192 of them.
const MAX_BYTES: u64 = 64 << 10;
/// What a value of a table's column is taken to be.
const COLUMN: u64 = 256;
/// What a list or text that an aggregate collected is taken to be.
const COLLECTED: u64 = 8 << 10;

/// What a column costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Weight {
    nodes: u64,
    bytes: u64,
}

const ONE: Weight = Weight { nodes: 1, bytes: COLUMN };
const SMALL: Weight = Weight { nodes: 1, bytes: 16 };

impl Weight {
    fn max(self, other: Weight) -> Weight {
        Weight { nodes: self.nodes.max(other.nodes), bytes: self.bytes.max(other.bytes) }
    }

    fn within(self) -> Result<Weight> {
        if self.nodes > MAX_NODES {
            return Err(Error::Limit(
                "the statement computes too much in one column; compute it in fewer steps".into(),
            ));
        }
        if self.bytes > MAX_BYTES {
            return Err(Error::Limit(format!(
                "the statement makes values that could be larger than {} KiB; concatenate, replace or repeat less",
                MAX_BYTES >> 10
            )));
        }
        Ok(self)
    }
}

/// Checks a plan as it came from the statement, before anything is optimised.
///
/// # Errors
/// [`Error::Limit`], or [`Error::Sql`] for what is not reading the views.
pub(super) fn check(plan: &LogicalPlan) -> Result<()> {
    Walk { heaviest: ONE }.plan(plan).map(|_| ())
}

/// Whether a plan puts one value beside many rows: joins and subqueries do.
pub(super) fn repeats(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let walked = plan.apply_with_subqueries(|plan| {
        found |= matches!(plan, LogicalPlan::Join(_) | LogicalPlan::Subquery(_));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found || walked.is_err()
}

struct Walk {
    /// Of all columns so far: what a reference out of a subquery may stand for.
    heaviest: Weight,
}

impl Walk {
    /// The weight of each column of a plan.
    fn plan(&mut self, plan: &LogicalPlan) -> Result<Vec<Weight>> {
        let inputs = plan.inputs();
        let mut below = Vec::with_capacity(inputs.len());
        for input in &inputs {
            below.push(self.plan(input)?);
        }
        let scope = Scope { plans: &inputs, weights: &below };
        let columns = plan.schema().fields().len();
        let first = || below.first().cloned().unwrap_or_default();
        let out = match plan {
            LogicalPlan::TableScan(scan) => {
                let provider = source_as_provider(&scan.source).ok();
                let ours = provider.is_some_and(|p| {
                    let any: &dyn Any = p.as_ref();
                    any.is::<ViewTable>()
                });
                if !ours {
                    return Err(refused());
                }
                vec![ONE; columns]
            }
            LogicalPlan::EmptyRelation(_) => vec![SMALL; columns],
            LogicalPlan::Values(values) => {
                let mut out = vec![SMALL; columns];
                for row in &values.values {
                    for (slot, expr) in out.iter_mut().zip(row) {
                        *slot = slot.max(self.expr(expr, &scope)?);
                    }
                }
                out
            }
            LogicalPlan::Projection(p) => self.all(&p.expr, &scope)?,
            LogicalPlan::Aggregate(a) => {
                let groups = self.all(&a.group_expr, &scope)?;
                let group = groups.iter().fold(SMALL, |w, g| w.max(*g));
                let aggregates = self.all(&a.aggr_expr, &scope)?;
                let mut out = vec![group; columns.saturating_sub(aggregates.len())];
                out.extend(aggregates);
                out
            }
            LogicalPlan::Window(w) => {
                let mut out = first();
                out.extend(self.all(&w.window_expr, &scope)?);
                out
            }
            LogicalPlan::Union(_) => {
                let mut out = vec![SMALL; columns];
                for input in &below {
                    out.iter_mut().zip(input).for_each(|(slot, w)| *slot = slot.max(*w));
                }
                out
            }
            LogicalPlan::Join(_) => {
                self.every(plan, &scope)?;
                let mut both: Vec<Weight> = below.iter().flatten().copied().collect();
                if both.len() != columns {
                    // Semi and anti joins give one side, mark joins one side and a mark.
                    let most = both.iter().fold(SMALL, |w, c| w.max(*c));
                    both = vec![most; columns];
                }
                both
            }
            LogicalPlan::Distinct(Distinct::On(on)) => {
                self.all(&on.on_expr, &scope)?;
                self.all(&on.select_expr, &scope)?
            }
            LogicalPlan::Unnest(_) => {
                let most = first().iter().fold(SMALL, |w, c| w.max(*c));
                vec![most; columns]
            }
            LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Distinct(Distinct::All(_))
            | LogicalPlan::Repartition(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::SubqueryAlias(_) => {
                self.every(plan, &scope)?;
                first()
            }
            LogicalPlan::Statement(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Extension(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_)
            | LogicalPlan::RecursiveQuery(_) => return Err(refused()),
        };
        self.heaviest = out.iter().fold(self.heaviest, |w, c| w.max(*c));
        Ok(out)
    }

    fn all(&mut self, exprs: &[Expr], scope: &Scope<'_>) -> Result<Vec<Weight>> {
        exprs.iter().map(|e| self.expr(e, scope)).collect()
    }

    /// Every expression of a node whose output is its input's.
    fn every(&mut self, plan: &LogicalPlan, scope: &Scope<'_>) -> Result<()> {
        plan.expressions().iter().try_for_each(|e| self.expr(e, scope).map(|_| ()))
    }

    fn expr(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Weight> {
        match expr {
            Expr::Column(column) => return Ok(scope.column(column).unwrap_or(self.heaviest)),
            Expr::OuterReferenceColumn(..) => return Ok(self.heaviest),
            Expr::Literal(value, _) => return Ok(Weight { nodes: 1, bytes: literal(value) }),
            Expr::Placeholder(_) | Expr::ScalarVariable(..) => {
                return Err(Error::Sql("parameters and variables are not possible; write the values".into()));
            }
            // Each row would have a copy of all before it, in memory that nothing counts: gigabytes of a few megabytes.
            Expr::WindowFunction(w) if matches!(w.fun.name(), "array_agg" | "string_agg") => {
                let detail =
                    format!("`{}` does not work over a window here; group by what it is gathered for", w.fun.name());
                return Err(Error::Sql(detail));
            }
            Expr::Cast(c) if fixed(c.field.data_type()) => return Err(refused()),
            Expr::TryCast(c) if fixed(c.field.data_type()) => return Err(refused()),
            Expr::HigherOrderFunction(_) | Expr::Lambda(_) | Expr::LambdaVariable(_) => return Err(refused()),
            Expr::ScalarSubquery(sub) => self.heaviest = self.subquery(&sub.subquery)?,
            Expr::Exists(e) => self.heaviest = self.subquery(&e.subquery.subquery)?,
            Expr::InSubquery(e) => self.heaviest = self.subquery(&e.subquery.subquery)?,
            Expr::SetComparison(e) => self.heaviest = self.subquery(&e.subquery.subquery)?,
            _ => {}
        }
        let mut parts = Vec::new();
        let mut failed = None;
        // The direct children only.
        let walked = expr.apply_children(|child| {
            match self.expr(child, scope) {
                Ok(weight) => parts.push(weight),
                Err(e) => {
                    failed = Some(e);
                    return Ok(TreeNodeRecursion::Stop);
                }
            }
            Ok(TreeNodeRecursion::Continue)
        });
        if let Some(e) = failed {
            return Err(e);
        }
        walked.map_err(|_| refused())?;
        let nodes = parts.iter().fold(1u64, |n, p| n.saturating_add(p.nodes));
        Weight { nodes, bytes: self.bytes(expr, &parts)? }.within()
    }

    fn subquery(&mut self, plan: &LogicalPlan) -> Result<Weight> {
        let columns = self.plan(plan)?;
        Ok(columns.iter().fold(self.heaviest, |w, c| w.max(*c)))
    }

    fn bytes(&self, expr: &Expr, parts: &[Weight]) -> Result<u64> {
        let sum = parts.iter().fold(0u64, |n, p| n.saturating_add(p.bytes));
        let most = parts.iter().map(|p| p.bytes).max().unwrap_or(16);
        let part = |at: usize| parts.get(at).map_or(1, |p| p.bytes);
        Ok(match expr {
            Expr::BinaryExpr(b) if b.op == Operator::StringConcat => sum,
            Expr::ScalarFunction(f) => match f.name() {
                "replace" | "regexp_replace" => {
                    part(0).saturating_mul(f.args.iter().skip(2).take(1).map(|_| part(2)).sum::<u64>().max(1))
                }
                "repeat" => part(0).saturating_mul(count(f.args.get(1), f.name())?),
                "lpad" | "rpad" => part(0).max(count(f.args.get(1), f.name())?.saturating_mul(4)),
                "concat_ws" => sum.saturating_add(part(0).saturating_mul(parts.len() as u64)),
                // One string per character at worst.
                "string_to_array" | "array_to_string" => sum.saturating_mul(5),
                "coalesce" | "nvl" | "nvl2" | "greatest" | "least" | "substr" | "left" | "right" | "split_part" => most,
                _ => sum,
            },
            Expr::AggregateFunction(f) => match f.func.name() {
                "array_agg" | "string_agg" => COLLECTED.max(sum),
                _ => most,
            },
            Expr::ScalarSubquery(_) => self.heaviest.bytes,
            _ => most,
        })
    }
}

/// A whole number that must stand in the text.
fn count(expr: Option<&Expr>, name: &str) -> Result<u64> {
    let n = match expr {
        Some(Expr::Literal(value, _)) => value.cast_to(&DataType::Int64).ok().and_then(|v| match v {
            ScalarValue::Int64(n) => n,
            _ => None,
        }),
        _ => None,
    };
    match n {
        Some(n) => Ok(n.max(1).unsigned_abs()),
        None => {
            Err(Error::Sql(format!("`{name}` takes its length as a plain number here, such as {name}(action, 10)")))
        }
    }
}

fn literal(value: &ScalarValue) -> u64 {
    match value {
        ScalarValue::Utf8(Some(t)) | ScalarValue::LargeUtf8(Some(t)) | ScalarValue::Utf8View(Some(t)) => t.len() as u64,
        _ => 16,
    }
}

/// Types whose size is in their name.
fn fixed(kind: &DataType) -> bool {
    match kind {
        DataType::FixedSizeBinary(_) | DataType::FixedSizeList(..) => true,
        DataType::List(f)
        | DataType::LargeList(f)
        | DataType::ListView(f)
        | DataType::LargeListView(f)
        | DataType::Map(f, _) => fixed(f.data_type()),
        DataType::Struct(fields) => fields.iter().any(|f| fixed(f.data_type())),
        DataType::Dictionary(_, v) => fixed(v),
        _ => false,
    }
}

fn refused() -> Error {
    Error::Sql("SQL here only reads the views; write one `select`".to_owned())
}

/// The columns that a node's expressions can name.
struct Scope<'a> {
    plans: &'a [&'a LogicalPlan],
    weights: &'a [Vec<Weight>],
}

impl Scope<'_> {
    fn column(&self, column: &datafusion::common::Column) -> Option<Weight> {
        self.plans.iter().zip(self.weights).find_map(|(plan, weights)| {
            let at = plan.schema().maybe_index_of_column(column)?;
            weights.get(at).copied()
        })
    }
}
