//! Jobs: work that takes longer than a request, with a state that survives a restart.
//!
//! Owns the table `job` and which status may follow which. What a job does, and what its input means, is not known
//! here. Of a tenant's finished jobs the newest [`KEPT_JOBS`] stay; the records in the tenant's job log stay anyway.

use std::fmt;

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use crate::catalog::Catalog;
use crate::error::{Error, Result, Step, from_sql};
use crate::sum::Sum;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT tenant, id, name, type, status, percent, message, stacktrace, input, tries, created_at, ",
            "started_at, updated_at, sum FROM job ",
            $rest
        )
    };
}

/// Finished jobs that are kept per tenant.
pub const KEPT_JOBS: u32 = 1000;
/// The longest message and stack trace kept, in bytes; the rest is cut off.
const MAX_TEXT: usize = 16 * 1024;

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// It waits to be begun.
    Pending,
    /// It is being done, or was when the process ended.
    Running,
    /// It is done.
    Success,
    /// It ended without being done.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl JobStatus {
    const ALL: [(JobStatus, &'static str); 5] = [
        (JobStatus::Pending, "pending"),
        (JobStatus::Running, "running"),
        (JobStatus::Success, "success"),
        (JobStatus::Failed, "failed"),
        (JobStatus::Cancelled, "cancelled"),
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).map_or("", |(_, name)| name)
    }

    /// Whether nothing more comes, unless somebody wants it again.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Cancelled)
    }

    /// Whether a job may go from this status to that one.
    pub fn may_become(self, next: JobStatus) -> bool {
        use JobStatus::{Cancelled, Failed, Pending, Running, Success};
        match self {
            Pending => matches!(next, Running | Failed | Cancelled),
            // Running again: after a restart.
            Running => matches!(next, Running | Success | Failed | Cancelled),
            Failed | Cancelled => next == Pending,
            Success => false,
        }
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The tenant's number.
    pub tenant: u32,
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What sort of work it is: a word, such as `fetch`.
    pub kind: String,
    /// Where it is.
    pub status: JobStatus,
    /// How much is done, 0 to 100.
    pub percent: u8,
    /// How it goes or how it ended, for people.
    pub message: String,
    /// What went wrong, in full, for those who mend it; empty where nothing did.
    pub stacktrace: String,
    /// What to do: a JSON object that its sort of work understands.
    pub input: String,
    /// How often it was begun.
    pub tries: u32,
    /// When it was made, in microseconds since 1970 UTC.
    pub created_at: i64,
    /// When it was last begun.
    pub started_at: Option<i64>,
    /// When something of it last changed.
    pub updated_at: i64,
}

/// A change of a job.
#[derive(Debug, Clone, Default)]
pub struct JobChange {
    /// Its status from now on.
    pub status: Option<JobStatus>,
    /// How much is done.
    pub percent: Option<u8>,
    /// How it goes.
    pub message: Option<String>,
    /// What went wrong.
    pub stacktrace: Option<String>,
}

impl Catalog {
    /// Makes a job that is to be done, durably.
    ///
    /// # Errors
    ///
    /// When there is no such tenant, a job has this id already, or it cannot be written.
    pub fn create_job(&self, tenant: u32, id: &str, name: &str, kind: &str, input: &str, now: i64) -> Result<Job> {
        self.known_tenant(tenant)?;
        let job = Job {
            tenant,
            id: id.into(),
            name: name.into(),
            kind: kind.into(),
            status: JobStatus::Pending,
            percent: 0,
            message: String::new(),
            stacktrace: String::new(),
            input: input.into(),
            tries: 0,
            created_at: now,
            started_at: None,
            updated_at: now,
        };
        self.db.write("save a job", |tx| {
            if find(tx, tenant, id)?.is_some() {
                return Err(Error::InvalidJob { reason: "there is one with this id already" }.into());
            }
            put(tx, &job)?;
            // Ids are made in the order of time.
            tx.execute(
                "DELETE FROM job WHERE tenant = ?1 AND status NOT IN ('pending', 'running') AND id NOT IN
                 (SELECT id FROM job WHERE tenant = ?1 AND status NOT IN ('pending', 'running')
                  ORDER BY id DESC LIMIT ?2)",
                (tenant, KEPT_JOBS),
            )?;
            Ok(())
        })?;
        Ok(job)
    }

    /// A job.
    ///
    /// # Errors
    ///
    /// When it cannot be read or its checksum does not match.
    pub fn job(&self, tenant: u32, id: &str) -> Result<Option<Job>> {
        self.db.read("read a job", |conn| find(conn, tenant, id))
    }

    /// A tenant's jobs, newest first: at most `limit`, those made before the one with the id `before`.
    ///
    /// # Errors
    ///
    /// As [`Catalog::job`].
    pub fn jobs(&self, tenant: u32, before: Option<&str>, limit: u32) -> Result<Vec<Job>> {
        self.db.read("read the jobs", |conn| {
            let mut query = conn
                .prepare_cached(select!("WHERE tenant = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3"))?;
            collect(&mut query.query((tenant, before, limit))?)
        })
    }

    /// Every tenant's jobs that are not over, oldest first: what a start has to go on with.
    ///
    /// # Errors
    ///
    /// As [`Catalog::job`].
    pub fn open_jobs(&self) -> Result<Vec<Job>> {
        self.db.read("read the jobs", |conn| {
            let mut query =
                conn.prepare_cached(select!("WHERE status IN ('pending', 'running') ORDER BY tenant, id"))?;
            collect(&mut query.query([])?)
        })
    }

    /// Changes a job, durably, and gives it as it is now. `None` where there is no such job, or where its status does
    /// not allow the change: somebody else was first.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written.
    pub fn change_job(&self, tenant: u32, id: &str, change: &JobChange, now: i64) -> Result<Option<Job>> {
        self.db.write("save a job", |tx| {
            let Some(mut job) = find(tx, tenant, id)? else { return Ok(None) };
            match change.status {
                Some(next) if !job.status.may_become(next) => return Ok(None),
                None if job.status.is_over() => return Ok(None),
                Some(next) => job.status = next,
                None => {}
            }
            match change.status {
                Some(JobStatus::Running) => {
                    job.tries = job.tries.saturating_add(1);
                    job.started_at = Some(now);
                    job.stacktrace = String::new();
                }
                Some(JobStatus::Pending) => {
                    job.percent = 0;
                    job.message = String::new();
                }
                Some(JobStatus::Success) => job.percent = 100,
                _ => {}
            }
            if let Some(percent) = change.percent {
                job.percent = percent.min(100);
            }
            if let Some(message) = &change.message {
                job.message = short(message);
            }
            if let Some(trace) = &change.stacktrace {
                job.stacktrace = short(trace);
            }
            job.updated_at = now;
            put(tx, &job)?;
            Ok(Some(job))
        })
    }
}

fn short(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let mut end = MAX_TEXT;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} …", text.get(..end).unwrap_or_default())
}

pub(crate) const ALL_JOBS: &str = select!("ORDER BY tenant, id");

fn find(conn: &Connection, tenant: u32, id: &str) -> Step<Option<Job>> {
    let mut query = conn.prepare_cached(select!("WHERE tenant = ?1 AND id = ?2"))?;
    let found = query.query_row((tenant, id), |row| Ok(job_row(row))).optional()?;
    found.transpose()
}

fn collect(rows: &mut rusqlite::Rows<'_>) -> Step<Vec<Job>> {
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(job_row(row)?);
    }
    Ok(all)
}

pub(crate) fn job_row(row: &Row<'_>) -> Step<Job> {
    let (number, id): (i64, String) = (row.get(0)?, row.get(1)?);
    let what = || format!("job {id:?} of tenant {number}");
    let status: String = row.get(4)?;
    let found = JobStatus::ALL.iter().find(|(_, name)| *name == status).map(|(status, _)| *status);
    let job = Job {
        tenant: from_sql(&what(), number)?,
        name: row.get(2)?,
        kind: row.get(3)?,
        status: found.ok_or_else(|| Error::damaged(what(), "it has a status that there is not"))?,
        percent: from_sql(&what(), row.get(5)?)?,
        message: row.get(6)?,
        stacktrace: row.get(7)?,
        input: row.get(8)?,
        tries: from_sql(&what(), row.get(9)?)?,
        created_at: row.get(10)?,
        started_at: row.get(11)?,
        updated_at: row.get(12)?,
        id: id.clone(),
    };
    job_sum(&job).expect(row.get(13)?, what)?;
    Ok(job)
}

fn put(tx: &Transaction<'_>, job: &Job) -> Step<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO job (tenant, id, name, type, status, percent, message, stacktrace, input, tries,
         created_at, started_at, updated_at, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute((
        job.tenant,
        &job.id,
        &job.name,
        &job.kind,
        job.status.as_str(),
        job.percent,
        &job.message,
        &job.stacktrace,
        &job.input,
        job.tries,
        job.created_at,
        job.started_at,
        job.updated_at,
        job_sum(job).done(),
    ))?;
    Ok(())
}

fn job_sum(job: &Job) -> Sum {
    Sum::of("job")
        .int(job.tenant.into())
        .text(&job.id)
        .text(&job.name)
        .text(&job.kind)
        .text(job.status.as_str())
        .int(job.percent.into())
        .text(&job.message)
        .text(&job.stacktrace)
        .text(&job.input)
        .int(job.tries.into())
        .int(job.created_at)
        .opt(job.started_at)
        .int(job.updated_at)
}
