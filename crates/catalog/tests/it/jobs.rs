//! Jobs and spans: they survive a restart, only allowed changes are made, and rot is found.

use std::collections::BTreeMap;

use catalog::{Catalog, JobChange, JobStatus, KEPT_JOBS, SourceSpan, SourceSpec};
use rusqlite::Connection;

use crate::Folder;

fn to(status: JobStatus) -> JobChange {
    JobChange { status: Some(status), ..JobChange::default() }
}

#[test]
fn a_job_goes_its_way_and_survives_a_restart() {
    let folder = Folder::new();
    let catalog = folder.with_tenants(2);
    catalog.create_job(1, "a", "Fetch kc", "fetch", r#"{"source":"kc"}"#, 5).unwrap();
    assert!(catalog.create_job(1, "a", "again", "fetch", "{}", 5).is_err());
    let job = catalog.change_job(1, "a", &to(JobStatus::Running), 6).unwrap().unwrap();
    assert_eq!((job.tries, job.started_at), (1, Some(6)));
    let progress = JobChange { percent: Some(140), message: Some("half".into()), ..JobChange::default() };
    catalog.change_job(1, "a", &progress, 7).unwrap().unwrap();
    drop(catalog);
    let catalog = folder.open();
    let open = catalog.open_jobs().unwrap();
    assert_eq!(
        (open.len(), open[0].status, open[0].percent, open[0].message.as_str()),
        (1, JobStatus::Running, 100, "half")
    );
    assert_eq!(catalog.change_job(1, "a", &to(JobStatus::Running), 8).unwrap().unwrap().tries, 2);
    let failed = JobChange { stacktrace: Some("at x".into()), ..to(JobStatus::Failed) };
    assert_eq!(catalog.change_job(1, "a", &failed, 9).unwrap().unwrap().stacktrace, "at x");
    // It is over: no progress, no cancelling, only a retry.
    assert!(catalog.change_job(1, "a", &progress, 9).unwrap().is_none());
    assert!(catalog.change_job(1, "a", &to(JobStatus::Cancelled), 9).unwrap().is_none());
    assert!(catalog.change_job(1, "a", &to(JobStatus::Pending), 9).unwrap().is_some());
    catalog.change_job(1, "a", &to(JobStatus::Running), 9).unwrap().unwrap();
    let done = catalog.change_job(1, "a", &to(JobStatus::Success), 9).unwrap().unwrap();
    assert_eq!((done.percent, done.tries), (100, 3));
    assert!(catalog.change_job(1, "a", &to(JobStatus::Pending), 9).unwrap().is_none());
    assert!(catalog.job(2, "a").unwrap().is_none() && catalog.open_jobs().unwrap().is_empty());
    assert!(catalog.change_job(1, "none", &to(JobStatus::Running), 9).unwrap().is_none());
    assert!(catalog.check().unwrap().is_empty());
}

#[test]
fn old_finished_jobs_go_and_open_ones_stay() {
    let folder = Folder::new();
    let catalog = folder.with_tenants(1);
    let id = |n: u32| format!("{n:08}");
    catalog.create_job(1, &id(0), "waits", "fetch", "{}", 0).unwrap();
    for n in 1..=KEPT_JOBS + 5 {
        catalog.create_job(1, &id(n), "n", "fetch", "{}", i64::from(n)).unwrap();
        catalog.change_job(1, &id(n), &to(JobStatus::Cancelled), i64::from(n)).unwrap().unwrap();
    }
    catalog.create_job(1, &id(KEPT_JOBS + 9), "last", "fetch", "{}", 9).unwrap();
    let all = catalog.jobs(1, None, 10_000).unwrap();
    assert_eq!(all.len(), KEPT_JOBS as usize + 2);
    assert_eq!((all[0].name.as_str(), all.last().unwrap().name.as_str()), ("last", "waits"));
    let page = catalog.jobs(1, Some(&all[1].id), 3).unwrap();
    assert_eq!(page.iter().map(|j| &j.id).collect::<Vec<_>>(), [&all[2].id, &all[3].id, &all[4].id]);
}

fn span(from: i64, to: i64) -> SourceSpan {
    SourceSpan { tenant: 1, name: "kc".into(), from, to, checked_at: to, records: 1, filled: 0 }
}

pub(crate) fn with_source(folder: &Folder) -> Catalog {
    let catalog = folder.with_tenants(1);
    let secrets = BTreeMap::new();
    let spec = SourceSpec { name: "kc", system: "keycloak", kind: "pull", settings: "{}", secrets: &secrets };
    catalog.put_source(1, &spec, 1).unwrap();
    catalog
}

#[test]
fn spans_that_touch_are_one() {
    let folder = Folder::new();
    let catalog = with_source(&folder);
    for (from, to) in [(0, 10), (20, 30), (40, 50), (30, 35), (10, 15), (5, 5)] {
        assert!(catalog.add_span(&span(from, to), None).unwrap());
    }
    let of = |from, to| {
        let all = catalog.spans(1, "kc", from, to).unwrap();
        all.into_iter().map(|s| (s.from, s.to)).collect::<Vec<_>>()
    };
    assert_eq!(of(0, 100), [(0, 15), (20, 35), (40, 50)]);
    assert_eq!(of(15, 20), []);
    catalog.add_span(&span(14, 45), None).unwrap();
    assert_eq!(of(0, 100), [(0, 50)]);
    assert!(!catalog.add_span(&SourceSpan { name: "none".into(), ..span(0, 1) }, None).unwrap());
    assert!(catalog.check().unwrap().is_empty());
    catalog.delete_source(1, "kc").unwrap();
    assert_eq!(catalog.spans(1, "kc", 0, 100).unwrap(), []);
}

#[test]
fn each_part_was_looked_at_when_it_was() {
    const HOUR: i64 = 3_600_000_000;
    let folder = Folder::new();
    let catalog = with_source(&folder);
    let add = |from: i64, to: i64, at: i64| {
        catalog.add_span(&SourceSpan { checked_at: at, ..span(from, to) }, None).unwrap();
    };
    let all = || -> Vec<_> {
        let all = catalog.spans(1, "kc", 0, i64::MAX).unwrap();
        all.into_iter().map(|s| (s.from, s.to, s.checked_at, s.records)).collect()
    };
    add(0, 100, 5 * HOUR);
    add(100, 200, 8 * HOUR);
    assert_eq!(all(), [(0, 100, 5 * HOUR, 1), (100, 200, 8 * HOUR, 1)]);
    // Looked at again, from the middle of the one to the middle of the other.
    add(50, 150, 12 * HOUR);
    assert_eq!(all(), [(0, 50, 5 * HOUR, 1), (50, 150, 12 * HOUR, 1), (150, 200, 8 * HOUR, 1)]);
    // Inside of one.
    add(90, 110, 20 * HOUR);
    let parts = [(0, 50, 5 * HOUR, 1), (50, 90, 12 * HOUR, 1), (90, 110, 20 * HOUR, 1), (110, 150, 12 * HOUR, 0)];
    assert_eq!(all(), [&parts[..], &[(150, 200, 8 * HOUR, 1)]].concat());
    // All of it.
    add(0, 200, 30 * HOUR);
    assert_eq!(all(), [(0, 200, 30 * HOUR, 5)]);
    // Three months of looks, an hour each: rows are few, those of late as they were, and none says more than it may.
    let hours = 90 * 24;
    for n in 1..=hours {
        add(200 + (n - 1) * HOUR, 200 + n * HOUR, (30 + n) * HOUR);
    }
    let rows = all();
    assert!(rows.len() < 100, "{}", rows.len());
    assert!(rows.windows(2).all(|pair| pair[0].1 == pair[1].0 && pair[0].2 < pair[1].2), "{rows:?}");
    let last = rows.last().unwrap();
    assert!(last.2 >= (28 + hours) * HOUR, "{last:?}");
    assert_eq!(rows.iter().map(|row| row.3).sum::<u64>(), 5 + hours as u64);
    assert!(catalog.check().unwrap().is_empty());
}

#[test]
fn what_was_compared_is_forgotten_where_something_else_stands_behind_the_name() {
    let folder = Folder::new();
    let catalog = with_source(&folder);
    let secrets = BTreeMap::new();
    let spec = SourceSpec { name: "kc", system: "keycloak", kind: "pull", settings: r#"{"a":1}"#, secrets: &secrets };
    catalog.add_span(&span(0, 10), None).unwrap();
    assert_eq!(catalog.put_source(1, &spec, 5).unwrap().0.created_at, 1);
    assert_eq!(catalog.spans(1, "kc", 0, 100).unwrap().len(), 1);
    let (source, created) = catalog.replace_source(1, &spec, 6).unwrap();
    assert_eq!((source.created_at, created), (6, false));
    assert_eq!(catalog.spans(1, "kc", 0, 100).unwrap(), []);
    assert!(!catalog.add_span(&span(0, 10), Some(1)).unwrap(), "a run of the old one");
    catalog.add_span(&span(0, 10), Some(6)).unwrap();
    catalog.put_source(1, &SourceSpec { system: "okta", ..spec }, 7).unwrap();
    assert_eq!(catalog.spans(1, "kc", 0, 100).unwrap(), []);
    assert!(catalog.check().unwrap().is_empty());
}

#[test]
fn rot_is_found() {
    for sql in
        ["UPDATE job SET message = 'x'", "UPDATE source_span SET to_time = 99", "UPDATE source_span SET records = 9"]
    {
        let folder = Folder::new();
        let catalog = with_source(&folder);
        catalog.create_job(1, "a", "n", "fetch", "{}", 5).unwrap();
        catalog.add_span(&span(0, 10), None).unwrap();
        Connection::open(folder.db()).unwrap().execute(sql, []).unwrap();
        let read = catalog.job(1, "a").map(drop).and(catalog.spans(1, "kc", 0, 10).map(drop));
        assert!(read.unwrap_err().is_damage(), "{sql}");
        assert!(!catalog.check().unwrap().is_empty(), "{sql}");
    }
}
