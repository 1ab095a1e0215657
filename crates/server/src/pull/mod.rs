//! Fetching from the systems that can be asked: when, with how much patience, and as which job.
//!
//! Owns the schedule. A source of kind `pull` is looked at every `interval_seconds`; after failures later and later, up to
//! five minutes, or when its system says. Every `check_minutes` it is compared as well ([`check`]). One run per source at a
//! time, [`AT_ONCE`] pages in all. [`walk`] asks, [`fetch`] and [`check`] say what to ask for, [`plan`] reads settings and
//! positions, [`slots`] is what is known of each source in memory, [`saved`] what it says of its saving, [`filled`] which of its gaps are no more, [`large`] what is
//! done where a page is too large, [`refused`] what is told of records that cannot be stored; [`http`] and [`postgres`] are
//! the ways out; how a system is asked is in `systems::pull`.
//!
//! A run that ends anywhere, by `kill -9` too, is gone on with from the saved position: its last page may come again, and
//! is known by its ids then.

mod check;
mod fetch;
mod filled;
mod http;
mod large;
mod plan;
mod postgres;
mod refused;
mod saved;
mod slots;
mod walk;

pub use slots::Pulls;

use crate::app::App;
use crate::auth;
use crate::intake::record_use;
use crate::jobs;
use crate::problem::Problem;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use catalog::{Job, Scopes, SecretText, Source, Tenant};
use event::time;
use plan::{Plan, Position, SECOND};
use query::lang::{Clock, time as when};
use saved::Saved;
pub(crate) use saved::Unsaved;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use systems::pull::{Config, Pull, Trouble, Window};
use tokio::sync::watch;
use walk::{End, Took, Walk};

/// The job that fetches, and the one that compares.
pub(crate) const FETCH: &str = "fetch";
/// See [`FETCH`].
pub(crate) const CHECK: &str = "check";
/// Pages asked for and taken in at the same time; turns are given page by page, so that a long history holds nobody up.
const AT_ONCE: usize = 4;
/// Between two looks at the schedule, and between two readings of the list of sources.
const TICK: Duration = Duration::from_millis(250);
const LIST_AGE: i64 = 5 * SECOND;
/// How long the end waits for runs to end.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// The longest wait after failures, unless the system says how long.
const LONGEST_BACK_OFF: i64 = 300;

/// Puts a job of [`FETCH`] or [`CHECK`] before its source.
pub(crate) fn want(app: &App, job: Job) {
    let input: Value = serde_json::from_str(&job.input).unwrap_or_default();
    let name = input["source"].as_str().unwrap_or_default().to_owned();
    app.pulls.slots.lock().entry((job.tenant, name)).or_default().wanted.push(job);
    app.pulls.wake.notify_one();
}

/// Puts a job that the last process left before its source. One that is paused stays so.
pub(crate) fn want_again(app: &App, job: Job) {
    let input: Value = serde_json::from_str(&job.input).unwrap_or_default();
    let name = input["source"].as_str().unwrap_or_default().to_owned();
    app.pulls.slots.lock().entry((job.tenant, name)).or_default().left.push(job);
}

/// Settings and secrets together.
fn config(secrets: &BTreeMap<String, SecretText>, source: &Source) -> Result<Config, Problem> {
    let settings: Map<String, Value> = serde_json::from_str(&source.settings)
        .map_err(|e| Problem::internal("the settings of a source cannot be read", &e))?;
    let secrets = secrets.iter().map(|(name, text)| (name.clone(), text.expose().to_owned())).collect();
    Ok(Config { settings, secrets })
}

fn puller(system: &str, settings: &Map<String, Value>) -> Result<&'static dyn Pull, Problem> {
    systems::pull::find(system, settings).ok_or_else(|| {
        let names: Vec<&str> = systems::pull::PULLS.iter().map(|p| p.system()).collect();
        Problem::bad("invalid_source", format!("{system} cannot be asked for its records; {} can", names.join(", ")))
    })
}

/// Whether a source of kind `pull` can be used as it is to be.
///
/// # Errors
/// 400 naming the setting or secret.
pub(crate) fn validate(
    system: &str,
    settings: &Map<String, Value>,
    secrets: &BTreeMap<String, SecretText>,
) -> Result<(), Problem> {
    let secrets = secrets.iter().map(|(name, text)| (name.clone(), text.expose().to_owned())).collect();
    let config = Config { settings: settings.clone(), secrets };
    let pull = puller(system, settings)?;
    pull.check(&config).map_err(|e| Problem::bad("invalid_source", e.detail))?;
    if let Some(Err(why)) = config.text("ca").map(postgres::check_ca) {
        return Err(Problem::bad("invalid_source", why));
    }
    Plan::of(settings, 0, pull).map(drop)
}

/// Up to so many milliseconds, each time others.
fn jitter(app: &App, most: u64) -> u64 {
    let id = app.ids.next(0);
    let random = id.rsplit('-').next().and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0);
    random % most.max(1)
}

/// Looks after every source until `stop`. Called once.
pub async fn run(app: App, mut stop: watch::Receiver<bool>) {
    jobs::resume(&app);
    let mut last = i64::MIN;
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = app.pulls.wake.notified() => {}
            () = async { let _ = stop.wait_for(|stop| *stop).await; } => break,
        }
        let now = app.store().now();
        if now < std::mem::replace(&mut last, now).saturating_sub(SECOND) {
            app.pulls.set_back();
        }
        let Some(sources) = sources(&app) else { continue };
        forget(&app, &sources);
        lag(&app, &sources);
        for source in sources {
            start_due(&app, source);
        }
    }
    app.pulls.stopping.store(true, Ordering::Relaxed);
    // Runs end at their next step, between pages. One that waits for an answer is gone on with at the next start.
    let _ = tokio::time::timeout(STOP_PATIENCE, app.pulls.turns.acquire_many(AT_ONCE as u32)).await;
}

/// `None` where they cannot be read: then nothing is concluded from their absence.
fn sources(app: &App) -> Option<Vec<Source>> {
    let now = app.store().now();
    let mut list = app.pulls.list.lock();
    if now.saturating_sub(list.0) >= LIST_AGE {
        match app.store().catalog().all_sources() {
            Ok(all) => *list = (now, all.into_iter().filter(|s| s.kind == "pull").collect()),
            Err(e) => {
                tracing::error!(error = %e, "the sources could not be read; nothing is fetched");
                return None;
            }
        }
    }
    Some(list.1.clone())
}

/// Drops what is known of sources that are gone, and ends the jobs that wait for them.
fn forget(app: &App, sources: &[Source]) {
    let is_there = |key: &(u32, String)| sources.iter().any(|s| s.tenant == key.0 && s.name == key.1);
    let mut orphans = Vec::new();
    app.pulls.slots.lock().retain(|key, slot| {
        let stays = slot.running || is_there(key);
        if !stays {
            orphans.append(&mut slot.wanted);
            orphans.append(&mut slot.left);
        }
        stays
    });
    for job in orphans {
        let app = app.clone();
        tokio::spawn(async move {
            if let Some(tenant) = app.store().catalog().tenant_by_number(job.tenant) {
                abandon(&app, &tenant, Some(job), "there is no such source any more").await;
            }
        });
    }
}

/// How far behind each system's slowest source is.
fn lag(app: &App, sources: &[Source]) {
    let now = app.store().now();
    // A system of which no source is left, or only paused ones, is behind nothing.
    let mut worst: BTreeMap<&'static str, f64> = app.pulls.lagged.lock().iter().map(|system| (*system, 0.0)).collect();
    for source in sources {
        if let Some((pull, until, plan)) = until(source)
            && !plan.paused
        {
            let behind = now.saturating_sub(until).max(0) as f64 / SECOND as f64;
            worst.entry(pull.system()).and_modify(|w| *w = w.max(behind)).or_insert(behind);
        }
    }
    app.pulls.lagged.lock().extend(worst.keys());
    for (system, behind) in worst {
        metrics::gauge!("indelible_source_lag_seconds", "system" => system).set(behind);
    }
}

/// How a source is asked; everything before that moment was asked for; and the source's plan.
fn until(source: &Source) -> Option<(&'static dyn Pull, i64, Plan)> {
    let config = config(&BTreeMap::new(), source).ok()?;
    let pull = puller(&source.system, &config.settings).ok()?;
    let plan = Plan::of(&config.settings, source.created_at, pull).ok()?;
    let until = Position::of(source).until(&pull.streams(&config), plan.since);
    Some((pull, until, plan))
}

/// Starts a run of a source, where it is time and none is under way.
fn start_due(app: &App, source: Source) {
    let Some(tenant) = app.store().catalog().tenant_by_number(source.tenant) else { return };
    let key = (source.tenant, source.name.clone());
    let now = app.store().now();
    let job = {
        let mut slots = app.pulls.slots.lock();
        let slot = slots.entry(key.clone()).or_default();
        if slot.running {
            return;
        }
        if !slot.left.is_empty() {
            let settings: Value = serde_json::from_str(&source.settings).unwrap_or_default();
            if settings["paused"] != true {
                slot.wanted.splice(0..0, slot.left.drain(..));
            } else if !std::mem::replace(&mut slot.said, true) {
                slot.left.iter().for_each(|job| jobs::note(app, job, "waiting: its source is paused"));
            }
        }
        if slot.wanted.is_empty() && slot.due > now {
            return;
        }
        slot.running = true;
        if slot.wanted.is_empty() { None } else { Some(slot.wanted.remove(0)) }
    };
    let app = app.clone();
    tokio::spawn(async move {
        let next = work(&app, &tenant, &source.name, job).await;
        let mut slots = app.pulls.slots.lock();
        let slot = slots.entry(key).or_default();
        slot.ended(next);
        drop(slots);
        app.pulls.list.lock().0 = i64::MIN;
    });
}

/// One run. Says when the next one is due.
async fn work(app: &App, tenant: &Arc<Tenant>, name: &str, job: Option<Job>) -> i64 {
    let now = app.store().now();
    // As it is now, not as it was when the list was read.
    let source = match app.store().catalog().source(tenant.number, name) {
        Ok(Some(source)) if source.kind == "pull" => source,
        _ => {
            abandon(app, tenant, job, "there is no such source any more").await;
            return now.saturating_add(LIST_AGE);
        }
    };
    let mut walk = match Walk::new(app, tenant, source) {
        Ok(walk) => walk,
        Err(problem) => {
            failed(app, tenant.number, name, problem.detail());
            abandon(app, tenant, job, problem.detail()).await;
            return now.saturating_add(LONGEST_BACK_OFF * SECOND);
        }
    };
    let interval = walk.plan.interval.saturating_mul(SECOND);
    if let Some(job) = job {
        return asked_for(&mut walk, &job).await.unwrap_or_else(|| app.store().now().saturating_add(interval));
    }
    if walk.plan.paused {
        return now.saturating_add(interval);
    }
    walk.scheduled = true;
    let mut total = Took::default();
    let ended = fetch::catch_up(&mut walk, &mut total).await;
    if let Some(later) = finish(&mut walk, FETCH, ended, total).await {
        return later;
    }
    if let Some((span, turn)) = due_comparison(&walk) {
        let mut total = Took::default();
        let ended = match walk.ensure_task(CHECK, &format!("Compare {name}"), Some(span)).await {
            Ok(()) => due(&mut walk, span, turn, &mut total).await,
            Err(end) => Err(end),
        };
        if let Some(later) = finish(&mut walk, CHECK, ended, total).await {
            return later;
        }
    }
    app.store().now().saturating_add(interval)
}

/// A run that somebody asked for.
async fn asked_for(walk: &mut Walk, job: &Job) -> Option<i64> {
    match jobs::begin(&walk.app, &walk.tenant, job).await {
        Ok(Some(task)) => walk.task = Some(task),
        Ok(None) => return None,
        Err(problem) => {
            failed(&walk.app, walk.tenant.number, &walk.source.name, problem.detail());
            return None;
        }
    }
    let mut total = Took::default();
    let ended = if job.kind == CHECK {
        match span_of(job) {
            Some(span) => check::compare(walk, span, &mut total).await,
            None => {
                let settled = walk.now().saturating_sub(walk.plan.settle.saturating_mul(SECOND));
                let span = Window { from: walk.plan.since, to: settled };
                check::compare(walk, span, &mut total).await
            }
        }
    } else {
        fetch::catch_up(walk, &mut total).await
    };
    finish(walk, &job.kind, ended, total).await
}

fn span_of(job: &Job) -> Option<Window> {
    let input: Value = serde_json::from_str(&job.input).ok()?;
    Some(Window { from: input["from"].as_i64()?, to: input["to"].as_i64()? })
}

async fn due(walk: &mut Walk, span: Window, turn: usize, total: &mut Took) -> Result<(), End> {
    // Until it was done it is owed: what was compared meanwhile tells nothing of it.
    let again = *walk.position.again.get_or_insert(span.from.saturating_sub(DAY));
    walk.save(Took::default(), true)?;
    check::compare(walk, span, total).await?;
    if let Some(before) = a_day_before(span, again, walk.plan.since.max(walk.kept())) {
        check::compare(walk, before, total).await?;
    }
    walk.position.again = None;
    walk.save(Took::default(), true)?;
    check::look_again(walk, turn, total).await
}

const DAY: i64 = 86_400 * SECOND;

/// What is compared once more with a span: that of a day before, from `again` on, as far as it was compared by itself. Records come
/// late, and some come after the first look.
fn a_day_before(span: Window, again: i64, earliest: i64) -> Option<Window> {
    let from = again.max(earliest);
    let to = span.to.saturating_sub(DAY).min(span.from);
    (from < to).then_some(Window { from, to })
}

/// The span that is to be compared by itself now, if it is time, and how many comparisons were before it.
fn due_comparison(walk: &Walk) -> Option<(Window, usize)> {
    let now = walk.now();
    let key = (walk.tenant.number, walk.source.name.clone());
    let turn = {
        let mut slots = walk.app.pulls.slots.lock();
        let slot = slots.entry(key).or_default();
        if now < slot.compared.saturating_add(walk.plan.check.saturating_mul(SECOND)) {
            return None;
        }
        slot.compared = now;
        slot.comparisons = slot.comparisons.wrapping_add(1);
        slot.comparisons
    };
    let to = now.saturating_sub(walk.plan.settle.saturating_mul(SECOND));
    let from = walk.compared_until(to).ok()?;
    (to > from).then_some((Window { from, to }, turn))
}

/// Ends the job of a run, if it has one or deserves one, and says when to come back where something is in the way.
async fn finish(walk: &mut Walk, kind: &str, ended: Result<(), End>, total: Took) -> Option<i64> {
    let (app, now) = (walk.app.clone(), walk.now());
    let key = (walk.tenant.number, walk.source.name.clone());
    let did = match kind {
        CHECK => format!("{} records compared, {} were missing and are here now", total.theirs, total.fresh),
        _ => format!("{} records, {} of them new", total.theirs, total.fresh),
    };
    let (why, after) = match ended {
        Ok(()) => {
            if let Some(task) = walk.task.take() {
                task.success(&did).await;
            }
            let mut slots = app.pulls.slots.lock();
            let slot = slots.entry(key).or_default();
            (slot.failures, slot.last_error) = (0, None);
            return None;
        }
        Err(End::Stopping) => {
            // Its job stays as it is, and is begun again at the next start.
            walk.task = None;
            return Some(i64::MAX);
        }
        Err(End::Changed) => {
            if let Some(task) = walk.task.take() {
                let job = task.job.clone();
                drop(task);
                want(&app, job);
            }
            return Some(now);
        }
        Err(End::Cancelled) => {
            if let Some(task) = walk.task.take() {
                task.cancelled(&format!("cancelled after {did}")).await;
            }
            // Nor is anything compared: of a source that was changed or made anew the next run does that.
            return Some(now.saturating_add(walk.plan.interval.saturating_mul(SECOND)));
        }
        Err(End::Ours(why)) => (why, None),
        Err(End::Trouble(Trouble::Later(after, why))) => (why, after),
        Err(End::Trouble(Trouble::Login(why) | Trouble::Refused(why))) => (why, None),
        // Taken care of while walking; of what cannot be divided nothing else is left.
        Err(End::TooLarge | End::Trouble(Trouble::TooLarge)) => (Trouble::TooLarge.to_string(), None),
    };
    let failures = failed(&app, walk.tenant.number, &walk.source.name, &why);
    // One job for the first of several failures in a row; the source itself shows the last.
    if failures == 1 && walk.task.is_none() {
        let verb = if kind == CHECK { "Compare" } else { "Fetch" };
        if let Err(End::Ours(why)) = walk.ensure_task(kind, &format!("{verb} {}", walk.source.name), None).await {
            tracing::error!(why, "a failed run could not be recorded");
        }
    }
    if let Some(task) = walk.task.take() {
        let trace = format!("{} {} of {}: {why}\nafter {did}", walk.pull.system(), kind, walk.source.name);
        task.failed(&why, &trace).await;
    }
    let back_off = (1i64 << failures.min(9)).min(LONGEST_BACK_OFF);
    let millis = i64::try_from(jitter(&app, back_off.unsigned_abs() * 500)).unwrap_or(0);
    let wait = after.and_then(|s| i64::try_from(s).ok()).unwrap_or(back_off).saturating_mul(SECOND);
    Some(now.saturating_add(wait).saturating_add(millis * 1000))
}

/// Notes a failure; says which one in a row it is.
fn failed(app: &App, tenant: u32, name: &str, why: &str) -> u32 {
    tracing::warn!(tenant, source = name, why, "a source could not be asked");
    let mut slots = app.pulls.slots.lock();
    let slot = slots.entry((tenant, name.to_owned())).or_default();
    slot.failures = slot.failures.saturating_add(1);
    slot.last_error = Some(why.to_owned());
    slot.failures
}

/// Ends a job that nobody can do any more.
async fn abandon(app: &App, tenant: &Arc<Tenant>, job: Option<Job>, why: &str) {
    if let Some(job) = job
        && let Ok(Some(task)) = jobs::begin(app, tenant, &job).await
    {
        task.failed(why, "").await;
    }
}

/// What can be said of whether all of a source's records are here.
pub(crate) struct Known {
    /// From when on its records are wanted.
    pub since: i64,
    /// Seconds between two comparisons, and how old records are before they are compared.
    pub check: i64,
    /// See [`Known::check`].
    pub settle: i64,
    /// Everything before this was asked for.
    pub until: i64,
    /// Nothing is fetched now.
    pub paused: bool,
    /// Why it can never be said.
    pub unknowable: Option<&'static str>,
    /// Why it cannot be asked now.
    pub last_error: Option<String>,
    /// Where it is not known that it saved its events.
    pub unsaved: Vec<Unsaved>,
    /// When it was last seen to save them, where it can be asked.
    pub saved_at: Option<i64>,
    /// Seconds after which it removes its events.
    pub keeps: Option<i64>,
}

/// As [`Known`]; `None` for a source that cannot be asked.
pub(crate) fn known(app: &App, source: &Source) -> Option<Known> {
    let (pull, until, plan) = until(source).filter(|_| source.kind == "pull")?;
    let saved = Position::of(source).saved;
    let at = saved.as_ref().map_or(i64::MIN, |saved| saved.at);
    Some(Known {
        since: plan.since,
        check: plan.check,
        settle: plan.settle,
        until,
        paused: plan.paused,
        unknowable: pull.unknowable(),
        last_error: app.pulls.last_error(source),
        saved_at: pull.saves().map(|_| at),
        keeps: saved.as_ref().and_then(|saved| saved.keeps),
        unsaved: saved.map(|saved| saved.spans()).unwrap_or_default(),
    })
}

/// How it goes with a source that is fetched from: what `GET …/sources/{name}` adds.
pub(crate) fn status(app: &App, source: &Source) -> Option<Map<String, Value>> {
    let (pull, until, plan) = until(source).filter(|_| source.kind == "pull")?;
    let now = app.store().now();
    let mut out = Map::new();
    out.insert("fetched_until".into(), time::format(until).into());
    out.insert("lag_seconds".into(), (now.saturating_sub(until).max(0) / SECOND).into());
    if pull.saves().is_some() {
        let saved = Position::of(source).saved;
        let (word, detail) = saved.as_ref().map_or(("unknown", None), Saved::shown);
        out.insert("saves_events".into(), word.into());
        out.insert("saves_events_detail".into(), detail.into());
    }
    app.pulls.status(source, plan.paused, &mut out);
    Some(out)
}

/// Body of `POST …/check`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Span {
    from: Option<String>,
    to: Option<String>,
}

/// `POST /v1/t/{tenant}/sources/{name}/fetch`: looks for new records now. 202 with the job.
///
/// # Errors
/// A problem document.
pub async fn fetch_now(
    State(app): State<App>,
    Path((slug, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    ask(&app, &slug, &name, &headers, FETCH, json!({ "source": name })).await
}

/// `POST /v1/t/{tenant}/sources/{name}/check`: compares a past span, `{"from","to"}`, or all that is settled. 202 with the
/// job.
///
/// # Errors
/// A problem document.
pub async fn check_now(
    State(app): State<App>,
    Path((slug, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let span: Span = if body.is_empty() {
        Span::default()
    } else {
        serde_json::from_slice(&body).map_err(|e| {
            Problem::bad("invalid_json", format!("the body is {{\"from\", \"to\"}}, or there is none: {e}"))
        })?
    };
    let clock = Clock::utc(app.store().now());
    let at = |name: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => when::parse(text, &clock)
            .map(|moment| Some(moment.start))
            .map_err(|e| Problem::from(query::Error::Query(e.at(name)))),
    };
    let mut input = json!({ "source": name });
    match (at("from", &span.from)?, at("to", &span.to)?) {
        (None, None) => {}
        (Some(from), Some(to)) if from < to && to <= app.store().now() => {
            input["from"] = from.into();
            input["to"] = to.into();
        }
        _ => return Err(Problem::bad("invalid_time", "`from` is before `to`, and `to` is not in the future")),
    }
    ask(&app, &slug, &name, &headers, CHECK, input).await
}

async fn ask(
    app: &App,
    slug: &str,
    name: &str,
    headers: &HeaderMap,
    kind: &str,
    input: Value,
) -> Result<Response, Problem> {
    let caller = auth::caller(app, headers, slug, Scopes::ADMIN)?;
    let source = app.store().catalog().source(caller.tenant.number, name)?.ok_or_else(Problem::not_found)?;
    if source.kind != "pull" {
        return Err(Problem::bad("invalid_source", "only a source of kind `pull` can be asked for its records"));
    }
    let target = json!({ "id": name, "type": "source", "name": name });
    record_use(app, &caller, &format!("indelible.source.{kind}"), target, input.clone()).await?;
    let verb = if kind == CHECK { "Compare" } else { "Fetch" };
    let job = jobs::create(app, &caller.tenant, kind, &format!("{verb} {name}"), &input).await?;
    want(app, job.clone());
    Ok(jobs::answer(StatusCode::ACCEPTED, &job))
}

#[cfg(test)]
mod tests;
