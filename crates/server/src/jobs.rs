//! Jobs: work that takes longer than a request, shown, stopped, tried again, and gone on with after a restart.
//!
//! Owns the way of a job through its statuses: each change is a record in the tenant's job log first and in the catalog
//! after, so the log knows at least as much. Whoever has work makes a job with [`create`], begins it with [`begin`] and ends
//! the [`Task`]; a new sort of work has its line in [`dispatch`]. Not here: what the work is.
//!
//! A crash leaves a job `running` in the catalog; the next start begins it again, so work must be such that beginning again
//! is safe.

use crate::app::App;
use crate::auth;
use crate::intake::{self, record_use};
use crate::problem::Problem;
use crate::pull;
use crate::request::Query;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog::{Job, JobChange, JobStatus, Scopes, Tenant};
use event::time;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Jobs of a page.
const PAGE: u32 = 100;
/// Progress is saved so often at most: every time is a sync.
const TOLD: Duration = Duration::from_secs(1);

/// The jobs that are being done, and who may stop them.
#[derive(Debug, Default)]
pub struct Jobs {
    stops: Mutex<HashMap<(u32, String), Arc<AtomicBool>>>,
    /// One change of status at a time, so that the log and the catalog tell the same story.
    changes: tokio::sync::Mutex<()>,
}

/// A job being done. Dropped without an end, it stays `running` and is begun again at the next start.
pub struct Task {
    app: App,
    tenant: Arc<Tenant>,
    /// As it was begun.
    pub job: Job,
    stop: Arc<AtomicBool>,
    told: Instant,
}

/// Makes a job that waits. The caller sees to it that it is begun, as [`dispatch`] does after a restart.
///
/// # Errors
/// Where it cannot be recorded or saved.
pub async fn create(app: &App, tenant: &Arc<Tenant>, kind: &str, name: &str, input: &Value) -> Result<Job, Problem> {
    let now = app.store().now();
    let id = app.ids.next(now);
    let _turn = app.jobs.changes.lock().await;
    let job = Job {
        tenant: tenant.number,
        id,
        name: name.to_owned(),
        kind: kind.to_owned(),
        status: JobStatus::Pending,
        percent: 0,
        message: String::new(),
        stacktrace: String::new(),
        input: input.to_string(),
        tries: 0,
        created_at: now,
        started_at: None,
        updated_at: now,
    };
    record(app, tenant, &job).await?;
    Ok(app.store().catalog().create_job(tenant.number, &job.id, name, kind, &job.input, now)?)
}

/// Begins a job; `None` where it may not be begun any more, as it was cancelled.
///
/// # Errors
/// As [`create`].
pub async fn begin(app: &App, tenant: &Arc<Tenant>, job: &Job) -> Result<Option<Task>, Problem> {
    let change = JobChange { status: Some(JobStatus::Running), ..JobChange::default() };
    let Some(job) = change_status(app, tenant, &job.id, change).await? else { return Ok(None) };
    let stop = Arc::new(AtomicBool::new(false));
    app.jobs.stops.lock().insert((tenant.number, job.id.clone()), Arc::clone(&stop));
    Ok(Some(Task { app: app.clone(), tenant: Arc::clone(tenant), job, stop, told: Instant::now() }))
}

impl Task {
    /// Whether somebody wants it stopped. Work asks this between its steps.
    pub fn is_cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Says how it goes. Saved once a second at most, and no record.
    pub fn progress(&mut self, percent: u8, message: &str) {
        if self.told.elapsed() < TOLD {
            return;
        }
        self.told = Instant::now();
        let change = JobChange { percent: Some(percent), message: Some(message.to_owned()), ..JobChange::default() };
        let saved =
            self.app.store().catalog().change_job(self.tenant.number, &self.job.id, &change, self.app.store().now());
        if let Err(e) = saved {
            tracing::warn!(error = %e, "the progress of a job could not be saved");
        }
    }

    /// Says what it waits for. Saved at once, as it may be a while before there is more to say; no record.
    pub fn tell(&mut self, message: &str) {
        self.told = Instant::now();
        note(&self.app, &self.job, message);
    }

    /// Ends it: done.
    pub async fn success(self, message: &str) {
        self.end(JobStatus::Success, message, "").await;
    }

    /// Ends it: not done. `trace` says in full what went wrong.
    pub async fn failed(self, message: &str, trace: &str) {
        self.end(JobStatus::Failed, message, trace).await;
    }

    /// Ends it: stopped by somebody.
    pub async fn cancelled(self, message: &str) {
        self.end(JobStatus::Cancelled, message, "").await;
    }

    async fn end(self, status: JobStatus, message: &str, trace: &str) {
        let change = JobChange {
            status: Some(status),
            percent: None,
            message: Some(message.to_owned()),
            stacktrace: Some(trace.to_owned()),
        };
        if let Err(e) = change_status(&self.app, &self.tenant, &self.job.id, change).await {
            tracing::error!(job = self.job.id, status = %status, problem = ?e, "the end of a job could not be saved; it is begun again at the next start");
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.app.jobs.stops.lock().remove(&(self.tenant.number, self.job.id.clone()));
    }
}

/// `None` where the job's status does not allow it.
async fn change_status(app: &App, tenant: &Arc<Tenant>, id: &str, change: JobChange) -> Result<Option<Job>, Problem> {
    let _turn = app.jobs.changes.lock().await;
    let catalog = app.store().catalog();
    let Some(mut job) = catalog.job(tenant.number, id)? else { return Ok(None) };
    let Some(next) = change.status.filter(|next| job.status.may_become(*next)) else { return Ok(None) };
    job.status = next;
    job.message = change.message.clone().unwrap_or_default();
    job.stacktrace = change.stacktrace.clone().unwrap_or_default();
    job.percent = if next == JobStatus::Success { 100 } else { job.percent };
    job.tries += u32::from(next == JobStatus::Running);
    record(app, tenant, &job).await?;
    Ok(catalog.change_job(tenant.number, id, &change, app.store().now())?)
}

/// The record of a status.
async fn record(app: &App, tenant: &Arc<Tenant>, job: &Job) -> Result<(), Problem> {
    let (outcome, level) = match job.status {
        JobStatus::Success => ("success", "info"),
        JobStatus::Failed => ("failure", "error"),
        _ => ("unknown", "info"),
    };
    let mut members = json!({ "id": job.id, "name": job.name, "type": job.kind, "status": job.status.as_str() });
    if !job.stacktrace.is_empty() {
        members["stacktrace"] = job.stacktrace.clone().into();
    }
    let mut record = json!({
        "log": "job",
        "source": "indelible",
        "action": format!("indelible.job.{}", job.status),
        "outcome": outcome,
        "level": level,
        "job": members,
        "attributes": { "percent": job.percent, "tries": job.tries, "created_at": time::format(job.created_at) },
    });
    if !job.message.is_empty() {
        record["message"] = job.message.clone().into();
    }
    let taken = intake::take_own(app, Arc::clone(tenant), record.to_string()).await?;
    match taken.refused.first() {
        None => Ok(()),
        Some((_, code, _, detail)) => {
            Err(Problem::internal("a job could not be recorded", &format!("{code}: {detail}")))
        }
    }
}

/// Says of a job that nobody does now why that is so.
pub(crate) fn note(app: &App, job: &Job, message: &str) {
    let change = JobChange { message: Some(message.to_owned()), ..JobChange::default() };
    if let Err(e) = app.store().catalog().change_job(job.tenant, &job.id, &change, app.store().now()) {
        tracing::warn!(error = %e, "what a job waits for could not be saved");
    }
}

/// Goes on with what a stop or a crash left. Called once, before anything else makes jobs.
pub fn resume(app: &App) {
    match app.store().catalog().open_jobs() {
        Ok(open) => open.into_iter().for_each(|job| match job.kind.as_str() {
            pull::FETCH | pull::CHECK => pull::want_again(app, job),
            _ => dispatch(app, job),
        }),
        Err(e) => tracing::error!(error = %e, "the jobs of the last run could not be read; they are not gone on with"),
    }
}

/// Hands a job that waits to whoever does its sort of work.
fn dispatch(app: &App, job: Job) {
    match job.kind.as_str() {
        pull::FETCH | pull::CHECK => pull::want(app, job),
        _ => {
            let app = app.clone();
            tokio::spawn(async move {
                let Some(tenant) = app.store().catalog().tenant_by_number(job.tenant) else { return };
                if let Ok(Some(task)) = begin(&app, &tenant, &job).await {
                    task.failed("this program does not know such work", "").await;
                }
            });
        }
    }
}

fn shown(job: &Job) -> Value {
    let input: Value = serde_json::from_str(&job.input).unwrap_or(Value::Null);
    json!({
        "id": job.id,
        "name": job.name,
        "type": job.kind,
        "status": job.status.as_str(),
        "percent": job.percent,
        "message": job.message,
        "stacktrace": job.stacktrace,
        "input": input,
        "tries": job.tries,
        "created_at": time::format(job.created_at),
        "started_at": job.started_at.map(time::format),
        "updated_at": time::format(job.updated_at),
    })
}

pub(crate) fn answer(status: StatusCode, job: &Job) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], shown(job).to_string()).into_response()
}

/// Query of a list of jobs.
#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    cursor: Option<String>,
}

/// `GET /v1/t/{tenant}/jobs`: newest first.
///
/// # Errors
/// A problem document.
pub async fn list(
    State(app): State<App>,
    Path(slug): Path<String>,
    Query(params): Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::either(&app, &headers, &slug, Scopes::READ, Scopes::ADMIN)?;
    let jobs = app.store().catalog().jobs(caller.tenant.number, params.cursor.as_deref(), PAGE)?;
    let next = jobs.last().filter(|_| jobs.len() == PAGE as usize).map(|j| j.id.clone());
    let items: Vec<Value> = jobs.iter().map(shown).collect();
    let body = json!({ "items": items, "next_cursor": next });
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response())
}

/// `GET /v1/t/{tenant}/jobs/{id}`.
///
/// # Errors
/// A problem document.
pub async fn get(
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::either(&app, &headers, &slug, Scopes::READ, Scopes::ADMIN)?;
    let job = app.store().catalog().job(caller.tenant.number, &id)?.ok_or_else(Problem::not_found)?;
    Ok(answer(StatusCode::OK, &job))
}

/// `POST /v1/t/{tenant}/jobs/{id}/cancel`: one that waits ends at once, one that runs at its next step (202).
///
/// # Errors
/// A problem document.
pub async fn cancel(
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::ADMIN)?;
    let catalog = app.store().catalog();
    let job = catalog.job(caller.tenant.number, &id)?.ok_or_else(Problem::not_found)?;
    if job.status.is_over() {
        return Err(over(&job));
    }
    let target = json!({ "id": job.id, "type": "job", "name": job.name });
    record_use(&app, &caller, "indelible.job.cancel", target, json!({})).await?;
    let stop = app.jobs.stops.lock().get(&(caller.tenant.number, id.clone())).map(Arc::clone);
    if let Some(stop) = stop {
        stop.store(true, Ordering::Relaxed);
        return Ok(answer(StatusCode::ACCEPTED, &job));
    }
    let change = JobChange {
        status: Some(JobStatus::Cancelled),
        message: Some("cancelled before it was begun".into()),
        ..JobChange::default()
    };
    match change_status(&app, &caller.tenant, &id, change).await? {
        Some(job) => Ok(answer(StatusCode::OK, &job)),
        None => Err(over(&job)),
    }
}

/// `POST /v1/t/{tenant}/jobs/{id}/retry`: one that failed or was cancelled waits again.
///
/// # Errors
/// A problem document.
pub async fn retry(
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::ADMIN)?;
    let job = app.store().catalog().job(caller.tenant.number, &id)?.ok_or_else(Problem::not_found)?;
    let refuse = |job: &Job| {
        Problem::new(
            StatusCode::CONFLICT,
            "job_status",
            format!("only a job that failed or was cancelled can be tried again; this one is {}", job.status),
        )
    };
    if !job.status.may_become(JobStatus::Pending) {
        return Err(refuse(&job));
    }
    let target = json!({ "id": job.id, "type": "job", "name": job.name });
    record_use(&app, &caller, "indelible.job.retry", target, json!({})).await?;
    let change = JobChange { status: Some(JobStatus::Pending), ..JobChange::default() };
    match change_status(&app, &caller.tenant, &id, change).await? {
        Some(job) => {
            dispatch(&app, job.clone());
            Ok(answer(StatusCode::ACCEPTED, &job))
        }
        None => Err(refuse(&job)),
    }
}

fn over(job: &Job) -> Problem {
    Problem::new(StatusCode::CONFLICT, "job_status", format!("the job is over: {}", job.status))
}
