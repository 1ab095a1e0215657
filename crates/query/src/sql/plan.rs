//! From a parsed query to a physical plan: the names it may use, the engine it is planned with.
//!
//! Owns the session, made anew for each statement: the views as tables, the list of functions, a memory pool
//! of the statement's own, no disk, no object store, no catalog, and the time that `now()` is.

use super::batches::REPEATING;
use super::cost;
use super::error::readable;
use super::functions::{functions, settings};
use super::made;
use super::table::Tables;
use super::watch;
use super::{Run, SqlLimits};
use crate::engine::Result;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion::common::TableReference;
use datafusion::common::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::execution::TaskContext;
use datafusion::execution::context::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::Statement;
use std::sync::Arc;

/// What one statement is planned and run with.
pub(super) struct Session {
    state: SessionState,
    tables: Tables,
    limits: SqlLimits,
    run: Arc<Run>,
}

impl Session {
    /// A session over these tables, in which it is `now`.
    pub(super) fn new(tables: Tables, limits: &SqlLimits, now: i64, run: Arc<Run>) -> Result<Session> {
        let failed = |e: DataFusionError| readable(&e, limits);
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(limits.memory_bytes));
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(pool)
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()
            .map_err(failed)?;
        // The only store there is by default: the machine's own files.
        runtime.deregister_object_store(ObjectStoreUrl::local_filesystem().as_ref()).map_err(failed)?;
        let mut config = SessionConfig::new().with_target_partitions(super::cores());
        settings(config.options_mut());
        let mut props = ExecutionProps::new();
        props.query_execution_start_time = timestamp_us_to_datetime(now).map(|t| t.and_utc());
        props.config_options = Some(Arc::clone(config.options()));
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_execution_props(props)
            .build();
        Ok(Session { state, tables, limits: limits.clone(), run })
    }

    /// The statement's memory.
    pub(super) fn memory(&self) -> &Arc<dyn MemoryPool> {
        &self.state.runtime_env().memory_pool
    }

    /// What it is executed with.
    pub(super) fn task(&self) -> Arc<TaskContext> {
        Arc::new(TaskContext::from(&self.state))
    }

    /// Plans a query that `parse` let through.
    ///
    /// # Errors
    /// What is wrong with it, for its writer.
    pub(super) async fn plan(&mut self, statement: Statement) -> Result<Arc<dyn ExecutionPlan>> {
        let logical = {
            let options = ParserOptions::from(&self.state.config().options().sql_parser);
            let planner = SqlToRel::new_with_options(&*self, options);
            planner.sql_statement_to_plan(statement).map_err(|e| readable(&e, &self.limits))?
        };
        cost::check(&logical)?;
        let repeats = cost::repeats(&logical);
        if repeats {
            self.run.batches.at_most(REPEATING);
        }
        // Filters and joins put together batches of this size, whatever size they are given.
        let config = self.state.config().clone().with_batch_size(self.run.batches.rows());
        *self.state.config_mut() = config;
        let failed = |e| readable(&e, &self.limits);
        let optimised = self.state.optimize(&logical).map_err(failed)?;
        let bounded = made::bounded(optimised, &self.run).map_err(failed)?;
        let watched = watch::conditions(bounded, &self.run).map_err(failed)?;
        let physical = self.state.query_planner().create_physical_plan(&watched, &self.state).await.map_err(failed)?;
        watch::nodes(physical, &self.run, self.limits.memory_bytes, repeats).map_err(failed)
    }
}

impl ContextProvider for Session {
    fn get_table_source(&self, name: TableReference) -> PlanResult<Arc<dyn TableSource>> {
        self.tables.source(&name)
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &functions().planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        functions().scalar.get(name).cloned()
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        functions().aggregate.get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        functions().window.get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        functions().scalar.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        functions().aggregate.keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        functions().window.keys().cloned().collect()
    }
}
