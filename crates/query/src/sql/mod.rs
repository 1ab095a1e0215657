//! SQL: one read-only query over a tenant's views, on DataFusion, within limits.
//!
//! Owns: what statements are taken (`parse`, `dialect`, `plan`, `cost`), the views as tables (`table`, `pushdown`, `scan`,
//! `folded`), how one runs and is ended (here, `watch`), how much it computes at a time (`batches`, `made`), its answer in JSON, CSV and
//! Arrow (`answer`), and its errors in words a person can use (`error`). Not here: what a view's columns are (`lang::views`), pages and counts (`engine`,
//! `aggregate`), HTTP.
//!
//! What a statement can reach is decided by what exists, not by what is forbidden: names are looked up among
//! the seven views and a list of functions, there is no catalog, no object store, no disk and no setting.
//! Statements run on threads of their own, with deep stacks, so that neither a long computation nor a deep
//! expression touches the threads that take records in.

mod answer;
mod batches;
mod cost;
mod dialect;
mod error;
mod folded;
mod functions;
mod made;
mod parse;
mod plan;
mod pushdown;
mod scan;
mod table;
mod watch;

pub use answer::SqlAnswer;

use crate::deadline::Deadline;
use crate::engine::{Access, Engine, Error, Result};
use batches::Batches;
use catalog::Tenant;
use datafusion::arrow::array::RecordBatch;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use store::Store;
use tokio::runtime::Runtime;

/// What one statement may take.
#[derive(Debug, Clone)]
pub struct SqlLimits {
    /// How long it may run.
    pub time: Duration,
    /// Bytes that sorting, grouping, joining and the answer may hold.
    pub memory_bytes: usize,
    /// Rows of the answer.
    pub rows: usize,
}

impl Default for SqlLimits {
    fn default() -> Self {
        SqlLimits { time: Duration::from_secs(10), memory_bytes: 256 << 20, rows: 100_000 }
    }
}

/// One run of a statement: whether it is still wanted, how many rows it computes at a time, and what went wrong beneath DataFusion.
#[derive(Debug)]
struct Run {
    /// The time is looked after where the statement is waited for.
    wanted: Deadline,
    failed: Mutex<Option<Error>>,
    batches: Batches,
}

impl Run {
    fn stopped(&self) -> bool {
        self.wanted.check().is_err()
    }

    /// Keeps the first error of reading, which DataFusion would only carry as text.
    fn fail(&self, e: Error) -> datafusion::error::DataFusionError {
        let mut failed = self.failed.lock();
        if failed.is_none() {
            *failed = Some(e);
        }
        datafusion::error::DataFusionError::Execution("reading failed".to_owned())
    }
}

/// Ends the statement when its caller goes away.
struct Guard {
    wanted: Deadline,
    task: tokio::task::AbortHandle,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.wanted.stop();
        self.task.abort();
    }
}

/// Stack of the threads that plan and compute. Expressions may nest [`cost::MAX_NODES`]-deep chains of at most
/// [`parse::MAX_DEPTH`] levels; DataFusion takes up to about 20 KiB of stack a level where it is not optimised.
const STACK: usize = 64 << 20;

/// The threads of all statements.
fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let made = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores().max(2))
        // Reading takes turns: a scan has a thread only while it makes one batch, and never waits in it.
        .max_blocking_threads(cores().max(2) * 2)
        .thread_name("sql")
        .thread_stack_size(STACK)
        .enable_time()
        .build()
        .map_err(|e| Error::Sql(format!("no threads for SQL could be started: {e}")))?;
    // Two first statements at once: one runtime is kept, the other has nothing to do and ends in the background.
    if let Err(spare) = RUNTIME.set(made) {
        spare.shutdown_background();
    }
    RUNTIME.get().ok_or_else(|| Error::Sql("no threads for SQL could be started".to_owned()))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(8)
}

impl Engine {
    /// Runs one query over the tenant's views.
    ///
    /// The whole statement sees one state of the ledger. Dropping the future ends the statement.
    ///
    /// # Errors
    /// [`Error::Sql`] for what is not a query over the views, [`Error::Limit`] naming the limit it exceeded, and
    /// [`Error::Store`] where reading failed.
    pub async fn sql(&self, tenant: &Arc<Tenant>, sql: &str, access: Access, limits: &SqlLimits) -> Result<SqlAnswer> {
        parse::check_text(sql)?;
        let wanted = Deadline::while_wanted();
        let work = execute(
            Arc::clone(&self.store),
            Arc::clone(tenant),
            sql.to_owned(),
            access,
            limits.clone(),
            wanted.clone(),
        );
        let task = runtime()?.spawn(work);
        let _guard = Guard { wanted, task: task.abort_handle() };
        match tokio::time::timeout(limits.time, task).await {
            Ok(Ok(answer)) => answer,
            // A panic in there is a defect of ours or of DataFusion's; the server goes on.
            Ok(Err(_)) => Err(Error::Sql("the statement could not be run; write it in another way".to_owned())),
            Err(_) => Err(Error::Limit(format!(
                "the statement took longer than {}; narrow it by time, or group by less",
                seconds(limits.time)
            ))),
        }
    }
}

fn seconds(time: Duration) -> String {
    if time.subsec_millis() == 0 { format!("{} s", time.as_secs()) } else { format!("{} ms", time.as_millis()) }
}

async fn execute(
    store: Arc<Store>,
    tenant: Arc<Tenant>,
    sql: String,
    access: Access,
    limits: SqlLimits,
    wanted: Deadline,
) -> Result<SqlAnswer> {
    let statement = parse::parse(&sql)?;
    let snapshot = Arc::new(store.snapshot(&tenant, None));
    let now = store.now();
    let mut rows = batches::ROWS;
    loop {
        let run = Arc::new(Run { wanted: wanted.clone(), failed: Mutex::default(), batches: Batches::of(rows) });
        let tables = table::Tables::new(Arc::clone(&snapshot), access, now, Arc::clone(&run));
        let mut session = plan::Session::new(tables, &limits, now, Arc::clone(&run))?;
        let result = collect(&mut session, statement.clone(), &limits).await;
        if result.is_ok() {
            return result;
        }
        // Reading errors come back as themselves.
        if let Some(failed) = run.failed.lock().take() {
            return Err(failed);
        }
        match run.batches.fewer() {
            Some(fewer) => rows = fewer,
            None => return result,
        }
    }
}

async fn collect(
    session: &mut plan::Session,
    statement: datafusion::sql::sqlparser::ast::Statement,
    limits: &SqlLimits,
) -> Result<SqlAnswer> {
    let readable = |e| error::readable(&e, limits);
    let physical = session.plan(statement).await?;
    let schema = physical.schema();
    let pool: &Arc<dyn MemoryPool> = session.memory();
    let held = MemoryConsumer::new("answer").register(pool);
    let mut stream = execute_stream(physical, session.task()).map_err(readable)?;
    let mut batches: Vec<RecordBatch> = Vec::new();
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(readable)?;
        rows += batch.num_rows();
        if rows > limits.rows {
            return Err(Error::Limit(format!(
                "the answer has more than {} rows; add `limit {}`, narrow the conditions, or group",
                limits.rows, limits.rows
            )));
        }
        held.try_grow(batch.get_array_memory_size()).map_err(readable)?;
        if batch.num_rows() > 0 {
            batches.push(batch);
        }
    }
    Ok(SqlAnswer::new(&schema, batches)?)
}
