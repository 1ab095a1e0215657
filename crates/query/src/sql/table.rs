//! The views as tables: which columns each has, and what of the record they are made of.
//!
//! Owns table names, schemas and the building of a view's rows from the columns of segments. Not here: which
//! rows are read (`pushdown`), reading them (`scan`, `folded`).

use super::Run;
use super::error::refused;
use super::folded::{Folded, FoldedScan};
use super::pushdown;
use super::scan::ViewScan;
use crate::engine::Access;
use crate::json::is_body;
use crate::lang::{Column, ColumnKind, View};
use crate::predicate::{CREATED_AT, STATUS, sources};
use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use datafusion::arrow::compute::{is_not_null, kernels::zip::zip};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::error::ArrowError;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::TableReference;
use datafusion::datasource::provider_as_source;
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableSource, TableType};
use datafusion::physical_plan::ExecutionPlan;
use segments::columns;
use std::sync::Arc;
use store::Snapshot;

/// What every table of a statement reads from.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) access: Access,
    pub(super) now: i64,
    pub(super) run: Arc<Run>,
}

/// The seven tables of a statement.
pub(super) struct Tables(Vec<(View, Arc<dyn TableSource>)>);

impl Tables {
    pub(super) fn new(snapshot: Arc<Snapshot>, access: Access, now: i64, run: Arc<Run>) -> Tables {
        let context = Arc::new(Context { snapshot, access, now, run });
        let table = |view| provider_as_source(Arc::new(ViewTable::new(view, Arc::clone(&context))));
        Tables(View::ALL.into_iter().map(|view| (view, table(view))).collect())
    }

    /// The table of this name.
    pub(super) fn source(&self, name: &TableReference) -> PlanResult<Arc<dyn TableSource>> {
        let found = match name {
            TableReference::Bare { table } => self.0.iter().find(|(view, _)| view.name() == &**table),
            _ => None,
        };
        if let Some((_, source)) = found {
            return Ok(Arc::clone(source));
        }
        let shown: String = name.to_string().chars().take(60).collect();
        let all = View::ALL.map(View::name).join(", ");
        let nearest = match nearest(name.table()) {
            Some(view) => format!("did you mean `{}`? There are {all}", view.name()),
            None => format!("there are {all}"),
        };
        Err(refused(format!("there is no table `{shown}`; {nearest}")))
    }
}

fn nearest(name: &str) -> Option<View> {
    let name = name.to_lowercase();
    let stem = name.trim_end_matches('s').trim_end_matches("_log").trim_end_matches('s');
    if stem.len() < 3 {
        return None;
    }
    View::ALL.into_iter().find(|v| v.name().starts_with(stem) || stem.starts_with(v.name().trim_end_matches("_logs")))
}

/// One column of a table.
#[derive(Debug, Clone)]
pub(super) struct TableColumn {
    /// Its name.
    pub(super) name: &'static str,
    /// The view's column, or one of the envelope's for those that every view has besides.
    pub(super) column: &'static Column,
    /// What it is made of, first value first; empty where the caller may not see it.
    pub(super) sources: Vec<usize>,
}

/// A view of one tenant in one state.
#[derive(Debug)]
pub(super) struct ViewTable {
    pub(super) view: View,
    pub(super) context: Arc<Context>,
    pub(super) columns: Vec<TableColumn>,
    schema: SchemaRef,
    folded: Arc<Folded>,
}

impl ViewTable {
    fn new(view: View, context: Arc<Context>) -> ViewTable {
        let mut all: Vec<&'static Column> = view.columns().iter().collect();
        for name in ["id", "index", "recorded_at"] {
            if view.column(name).is_none() {
                all.extend(View::Records.column(name));
            }
        }
        let visible = |c: &usize| context.access.bodies || !is_body(*c);
        let columns: Vec<TableColumn> = all
            .into_iter()
            .map(|column| TableColumn {
                name: column.name,
                column,
                sources: sources(column).into_iter().filter(visible).collect(),
            })
            .collect();
        let fields = columns.iter().map(|c| {
            let required = [columns::TENANT, columns::INDEX, columns::RECORDED_AT, columns::ID, columns::TIME];
            let nullable = !matches!(c.sources.as_slice(), [only] if required.contains(only));
            Field::new(c.name, data_type(c.column.kind), nullable)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        ViewTable { view, context, columns, schema, folded: Arc::default() }
    }

    /// What these columns of the table are made of.
    pub(super) fn mapping(&self, projection: &[usize]) -> PlanResult<Mapping> {
        let schema = Arc::new(self.schema.project(projection)?);
        let outputs = projection.iter().filter_map(|at| self.columns.get(*at)).map(|c| c.sources.clone()).collect();
        Ok(Mapping { schema, outputs })
    }
}

fn data_type(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Text | ColumnKind::Json | ColumnKind::List => DataType::Utf8,
        ColumnKind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnKind::Bool => DataType::Boolean,
        ColumnKind::Int => DataType::UInt64,
    }
}

#[async_trait]
impl TableProvider for ViewTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        // Never exact: comparison in filters ignores case, in SQL it does not.
        let known = |f: &&Expr| {
            if !self.view.folded() && pushdown::usable(self, f) {
                TableProviderFilterPushDown::Inexact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(known).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let projection = projection.cloned().unwrap_or_else(|| (0..self.columns.len()).collect());
        if self.view.folded() {
            let everything: Vec<usize> = (0..self.columns.len()).collect();
            let scan = FoldedScan::new(
                self.view,
                Arc::clone(&self.context),
                self.mapping(&everything)?,
                Arc::clone(&self.folded),
                projection,
            )?;
            return Ok(Arc::new(scan));
        }
        Ok(Arc::new(ViewScan::new(self, &projection, filters, limit)?))
    }
}

/// How rows of a table are made from columns of segments.
#[derive(Debug, Clone)]
pub(super) struct Mapping {
    pub(super) schema: SchemaRef,
    /// Per column of the table, the columns whose first value it shows.
    pub(super) outputs: Vec<Vec<usize>>,
}

impl Mapping {
    /// The columns needed, each once; computed ones of folded views among them.
    pub(super) fn needed(&self) -> Vec<usize> {
        let mut out: Vec<usize> = self.outputs.iter().flatten().copied().collect();
        out.sort_unstable();
        out.dedup();
        debug_assert!(out.iter().all(|c| *c <= STATUS.max(CREATED_AT)));
        out
    }

    /// Rows of the table from a batch that has the columns `have`.
    ///
    /// # Errors
    /// Arrow's, where a column has another type than the table says.
    pub(super) fn rows(&self, batch: &RecordBatch, have: &[usize]) -> Result<RecordBatch, ArrowError> {
        let rows = batch.num_rows();
        let mut arrays = Vec::with_capacity(self.outputs.len());
        for (output, field) in self.outputs.iter().zip(self.schema.fields()) {
            let mut value: Option<ArrayRef> = None;
            for source in output {
                let Some(next) = have.iter().position(|h| h == source).and_then(|at| batch.columns().get(at)) else {
                    continue;
                };
                value = Some(match value {
                    None => Arc::clone(next),
                    Some(known) if known.null_count() == 0 => known,
                    Some(known) if known.null_count() == rows => Arc::clone(next),
                    Some(known) => zip(&is_not_null(&known)?, &known, next)?,
                });
            }
            arrays.push(value.unwrap_or_else(|| new_null_array(field.data_type(), rows)));
        }
        RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            arrays,
            &RecordBatchOptions::new().with_row_count(Some(rows)),
        )
    }
}
