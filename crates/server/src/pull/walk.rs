//! One source, asked: a token, a page, its records taken in. What fetching and comparing share.
//!
//! Owns waiting: a system that says when to come back is waited for, here for a short while and in the scheduler for a long
//! one. Records go the way of pushed ones, so one that was pushed before is a duplicate.

use super::filled::Open;
use super::http::{Got, Http};
use super::large::Large;
use super::plan::{Plan, Position, SECOND, Stream};
use super::postgres::Postgres;
use super::refused::{self, Refused};
use super::saved::Saved;
use crate::app::App;
use crate::gap;
use crate::jobs::{self, Task};
use crate::native::{self, Reader};
use crate::problem::Problem;
use axum::http::StatusCode;
use catalog::{Source, SourceCounts, SourceNews, Tenant};
use event::redact::{MARK, Rules};
use event::time;
use jiff::tz::TimeZone;
use ledger::Outcome;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;
use systems::pull::saving::{Saves, Saving};
use systems::pull::sql::{Database, Sql};
use systems::pull::{self, Ask, Config, Page, Pull, Trouble, Window};
use tokio::sync::OwnedSemaphorePermit;

/// Tries of one page, and how long is waited for it within a run, seconds.
const TRIES: u32 = 4;
const SHORT_WAIT: u64 = 60;
/// A wait of so many seconds is told of: in less time nobody looks.
const TOLD: u64 = 3;
/// And how long where the system says to come back so late, seconds: twice the longest time that it is believed.
const LONG_WAIT: u64 = 7200;
/// Pages without any record, or with those of the page before, that are asked for one after another. A system may look through its log
/// bit by bit and answer with what little it found; one that never finds anything is going in circles.
const EMPTY_PAGES: u32 = 100;
/// Secrets shorter than this would take half of any sentence with them.
const SECRET: usize = 4;
/// A token is not used in its last seconds.
const TOKEN_MARGIN: i64 = 10 * SECOND;

/// Why a walk ended before its end.
pub(super) enum End {
    /// The system, or what it said.
    Trouble(Trouble),
    /// Not even the smallest page of the window can be read.
    TooLarge,
    /// The source was changed while its system was waited for: it is looked at anew.
    Changed,
    /// We cannot take its records now.
    Ours(String),
    /// Somebody cancelled the job.
    Cancelled,
    /// The server stops: it goes on at the next start.
    Stopping,
}

impl From<Trouble> for End {
    fn from(trouble: Trouble) -> End {
        End::Trouble(trouble)
    }
}

/// What became of the records of a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Took {
    /// Records of the page.
    pub theirs: u64,
    /// Of them, those that were not here before.
    pub fresh: u64,
    /// Of them, those that are not here now either.
    pub refused: u64,
}

/// A source being asked.
pub(super) struct Walk {
    pub app: App,
    pub tenant: Arc<Tenant>,
    pub source: Source,
    pub pull: &'static dyn Pull,
    pub plan: Plan,
    pub position: Position,
    /// The job, once there is one.
    pub task: Option<Task>,
    config: Config,
    http: Http,
    /// Where it is a database.
    database: Option<Postgres>,
    /// It was asked whether it saves its events.
    looked: bool,
    /// Nobody asked for this run: it ends where the source is paused.
    pub scheduled: bool,
    /// Held from the request for a page until its records are durable.
    turn: Option<OwnedSemaphorePermit>,
    /// Pages without a record, or with the same ones, that came since the last with others.
    empty: u32,
    /// The page before, and the tokens that led on in this window, as fingerprints.
    before: u64,
    led: HashSet<u64>,
    /// How large windows and pages are ([`large`](super::large)).
    pub large: Large,
    /// Windows left out since the last page that could be read: not told of yet, and so no position behind them is saved.
    pub skipped: Vec<Window>,
    /// A page of this walk could be read.
    pub readable: bool,
    /// Records that were refused since they were last told of, where they are to be told of.
    pub refused: Vec<Refused>,
    pub tells_refused: bool,
    /// Gaps that this walk may find filled.
    pub open: Open,
    request_id: String,
}

impl Walk {
    /// # Errors
    /// Settings that cannot be used any more, or secrets that cannot be read.
    pub(super) fn new(app: &App, tenant: &Arc<Tenant>, source: Source) -> Result<Walk, Problem> {
        let config = super::config(&app.store().catalog().source_secrets(tenant.number, &source.name)?, &source)?;
        let pull = super::puller(&source.system, &config.settings)?;
        pull.check(&config).map_err(|e| Problem::bad("invalid_source", e.detail))?;
        let plan = Plan::of(&config.settings, source.created_at, pull)?;
        let database = match pull.sql() {
            Some(_) => Some(Database::of(&config).map_err(|e| Problem::bad("invalid_source", e.detail))?),
            None => None,
        };
        let http = Http::new(config.text("url").unwrap_or_default(), app.options.version);
        Ok(Walk {
            app: app.clone(),
            tenant: Arc::clone(tenant),
            position: Position::of(&source),
            pull,
            plan,
            task: None,
            config,
            http,
            database: database.map(Postgres::new),
            looked: false,
            scheduled: false,
            turn: None,
            empty: 0,
            before: 0,
            led: HashSet::new(),
            large: Large::of(pull),
            skipped: Vec::new(),
            readable: false,
            refused: Vec::new(),
            tells_refused: false,
            open: Open::default(),
            request_id: app.ids.next(app.store().now()),
            source,
        })
    }

    pub(super) fn now(&self) -> i64 {
        self.app.store().now()
    }

    pub(super) fn streams(&self) -> Vec<&'static str> {
        self.pull.streams(&self.config)
    }

    /// The job of this run, begun when there is something to tell of.
    ///
    /// One that compares a `span` goes on with that after a stop, and with no other.
    pub(super) async fn ensure_task(&mut self, kind: &str, name: &str, span: Option<Window>) -> Result<(), End> {
        if self.task.is_none() {
            let ours = |_| End::Ours("the job could not be recorded".into());
            let mut input = json!({ "source": self.source.name });
            if let Some(span) = span {
                (input["from"], input["to"]) = (span.from.into(), span.to.into());
            }
            let job = jobs::create(&self.app, &self.tenant, kind, name, &input).await.map_err(ours)?;
            self.task = jobs::begin(&self.app, &self.tenant, &job).await.map_err(ours)?;
        }
        Ok(())
    }

    /// Whether the source was paused since this run began.
    fn is_paused(&self) -> Result<bool, End> {
        let now = self.app.store().catalog().source(self.tenant.number, &self.source.name);
        let now = now.map_err(|e| End::Ours(format!("its settings could not be read: {e}")))?;
        let settings = now.and_then(|source| serde_json::from_str::<Value>(&source.settings).ok());
        Ok(settings.is_some_and(|settings| settings["paused"] == true))
    }

    /// Asked between the steps.
    pub(super) fn go_on(&self) -> Result<(), End> {
        if self.scheduled && self.is_paused()? {
            return Err(End::Cancelled);
        }
        if self.app.pulls.is_stopping() {
            return Err(End::Stopping);
        }
        if self.task.as_ref().is_some_and(Task::is_cancelled) { Err(End::Cancelled) } else { Ok(()) }
    }

    /// A page of a window. Tried again for a short while where that may help.
    pub(super) async fn page(&mut self, stream: &str, window: Window, page: Option<&str>) -> Result<Page, End> {
        let mut tries = 0;
        let mut waited = 0;
        let mut logged_in_again = false;
        let mut sized = self.sized(page);
        if self.is_first(page) {
            self.led.clear();
        }
        loop {
            self.go_on()?;
            tries += 1;
            self.take_turn().await?;
            let page = sized.as_deref();
            let got = match self.pull.sql() {
                Some(sql) => self.rows(sql, window, page).await,
                None => self.once(stream, window, page).await.map_err(End::Trouble),
            };
            let trouble = match got {
                Ok(page) => {
                    let page = self.grown(page);
                    return self.counted(page);
                }
                Err(End::Trouble(trouble)) => trouble,
                Err(end) => return Err(end),
            };
            self.turn = None;
            match self.discreet(trouble) {
                // A token may have been revoked before its time.
                Trouble::Login(_) if !logged_in_again && self.app.pulls.drop_token(&self.source) => {
                    logged_in_again = true;
                }
                Trouble::TooLarge => match self.smaller(page) {
                    Some(smaller) => sized = Some(smaller),
                    None if self.pull.divides(page) => return Err(End::TooLarge),
                    None => {
                        let why =
                            "one of its records is larger than 16 MiB, and it cannot be asked for those behind it";
                        return Err(End::Trouble(Trouble::Later(None, why.into())));
                    }
                },
                Trouble::Later(after, why) if tries < TRIES && after.unwrap_or(0) <= SHORT_WAIT => {
                    match after.filter(|seconds| *seconds >= TOLD) {
                        Some(seconds) => self.wait_long(seconds, &why).await?,
                        None => self.wait(after.unwrap_or(1 << (tries - 1)), after.is_some()).await?,
                    }
                }
                Trouble::Later(Some(seconds), why) if seconds > SHORT_WAIT && waited + seconds <= LONG_WAIT => {
                    waited += seconds;
                    self.wait_long(seconds, &why).await?;
                    tries = 0;
                }
                trouble => {
                    // What it lacks may be given to it by the next run, which then must not come with this one.
                    if !matches!(trouble, Trouble::Later(..)) {
                        self.app.pulls.drop_token(&self.source);
                    }
                    return Err(End::Trouble(trouble));
                }
            }
        }
    }

    /// What went wrong, without what nobody may read: a system may say in its answer what it was asked with.
    fn discreet(&self, trouble: Trouble) -> Trouble {
        let clean = |why: String| {
            let token = self.app.pulls.token(&self.source, i64::MIN);
            let secrets = self.config.secrets.values().map(String::as_str).chain(token.as_deref());
            let hidden =
                secrets.filter(|secret| secret.len() >= SECRET).fold(why, |why, secret| why.replace(secret, MARK));
            Rules::default().text(&hidden, &mut |_| {}).unwrap_or(hidden)
        };
        match trouble {
            Trouble::Login(why) => Trouble::Login(clean(why)),
            Trouble::Refused(why) => Trouble::Refused(clean(why)),
            Trouble::Later(after, why) => Trouble::Later(after, clean(why)),
            Trouble::TooLarge => Trouble::TooLarge,
        }
    }

    /// The page, unless it leads on and so did too many before it that were empty: taking one of those for the last would leave
    /// out what follows without a word.
    fn counted(&mut self, page: Page) -> Result<Page, End> {
        let Some(next) = &page.next else {
            self.empty = 0;
            return Ok(page);
        };
        let same = !page.body.is_empty() && std::mem::replace(&mut self.before, print(&page.body)) == self.before;
        self.empty = if page.empty || same { self.empty + 1 } else { 0 };
        let why = if !self.led.insert(print(next)) {
            "the pages lead in a circle: a token of the next came a second time".to_owned()
        } else if self.empty >= EMPTY_PAGES {
            format!("{EMPTY_PAGES} empty pages came one after another, each with a token of the next")
        } else {
            return Ok(page);
        };
        self.empty = 0;
        self.turn = None;
        Err(End::Trouble(Trouble::Later(None, why)))
    }

    async fn take_turn(&mut self) -> Result<(), End> {
        if self.turn.is_none() {
            let turn = Arc::clone(&self.app.pulls.turns).acquire_owned().await;
            self.turn = Some(turn.map_err(|_| End::Stopping)?);
        }
        Ok(())
    }

    /// Asks once in a run whether the system saves its events. That it does not answer stops nothing; that this may not be asked
    /// says that it is not known.
    pub(super) async fn look_at_saving(&mut self) -> Result<(), End> {
        let Some(saves) = self.pull.saves().filter(|_| !self.looked) else { return Ok(()) };
        self.looked = true;
        let mut logged_in_again = false;
        let seen = loop {
            self.go_on()?;
            self.take_turn().await?;
            // Who is not let in is not let in for a page either, and need not try twice.
            let token = match self.token().await {
                Ok(token) => token,
                Err(Trouble::Later(..)) => return Ok(()),
                Err(trouble) => return Err(End::Trouble(trouble)),
            };
            let seen = self.saving(saves, &token).await;
            self.turn = None;
            match seen {
                Err(Trouble::Login(_)) if !logged_in_again && self.app.pulls.drop_token(&self.source) => {
                    logged_in_again = true;
                }
                Ok(seen) => break seen,
                Err(Trouble::Refused(why)) => break Saving::unknown(&why),
                Err(Trouble::Later(..) | Trouble::Login(_) | Trouble::TooLarge) => return Ok(()),
            }
        };
        let before = self.position.saved.take();
        self.position.saved = Some(Saved::after(before, seen, self.plan.since, self.now()));
        self.save(Took::default(), true)
    }

    async fn saving(&self, saves: &dyn Saves, token: &str) -> Result<Saving, Trouble> {
        let ask = saves.ask(&self.config, token).map_err(|e| Trouble::Refused(e.detail))?;
        let got = self.send(ask).await?;
        saves.read(&self.config, &got.answer(), self.now())
    }

    async fn once(&self, stream: &str, window: Window, page: Option<&str>) -> Result<Page, Trouble> {
        let refused = |e: systems::Reason| Trouble::Refused(e.detail);
        let token = self.token().await?;
        let ask = self.pull.ask(&self.config, &token, stream, window, page).map_err(refused)?;
        let got = self.send(ask).await?;
        self.pull.read(window, page, &got.answer(), self.now())
    }

    /// A page of a database. One that is under way is left when the job is cancelled.
    async fn rows(&self, sql: &dyn Sql, window: Window, page: Option<&str>) -> Result<Page, End> {
        let refused = |why: String| End::Trouble(Trouble::Refused(why));
        let statement = sql.statement(&self.config, window, page).map_err(|e| refused(e.detail))?;
        let database = self.database.as_ref().ok_or_else(|| refused("its settings name no database".into()))?;
        match database.query(statement, || self.go_on().is_ok()).await {
            Some(rows) => Ok(sql.rows(window, page, rows?)?),
            None => Err(self.go_on().err().unwrap_or(End::Cancelled)),
        }
    }

    async fn token(&self) -> Result<String, Trouble> {
        let now = self.now();
        if let Some(token) = self.app.pulls.token(&self.source, now) {
            return Ok(token);
        }
        let Some(ask) = self.pull.login(&self.config).map_err(|e| Trouble::Refused(e.detail))? else {
            return Ok(String::new());
        };
        let got = self.send(ask).await.map_err(|trouble| match trouble {
            Trouble::TooLarge => Trouble::Later(None, "the answer with the token is larger than 16 MiB".into()),
            other => other,
        })?;
        let (token, seconds) = pull::token(&got.answer(), now)?;
        let good_for = i64::try_from(seconds).unwrap_or(0).min(86_400) * SECOND - TOKEN_MARGIN;
        self.app.pulls.keep_token(&self.source, &token, now + good_for);
        Ok(token)
    }

    async fn send(&self, ask: Ask) -> Result<Got, Trouble> {
        self.http.send(ask, &self.request_id).await
    }

    /// Waits so many seconds, and up to half as long again where nobody said how long: sources that failed together do not
    /// come back together.
    pub(super) async fn wait(&self, seconds: u64, said: bool) -> Result<(), End> {
        let millis = seconds.min(SHORT_WAIT) * 1000;
        let jitter = if said { 0 } else { super::jitter(&self.app, millis / 2) };
        let until = tokio::time::Instant::now() + Duration::from_millis(millis + jitter);
        while tokio::time::Instant::now() < until {
            self.go_on()?;
            let rest = until - tokio::time::Instant::now();
            tokio::time::sleep(rest.min(Duration::from_millis(200))).await;
        }
        Ok(())
    }

    /// Waits as long as the system says, however long that is, and tells of it meanwhile.
    async fn wait_long(&mut self, seconds: u64, why: &str) -> Result<(), End> {
        let micros = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(SECOND);
        let at = time::format(self.now().saturating_add(micros));
        let note = format!("waiting until {at}: {why}");
        tracing::info!(tenant = self.tenant.number, source = self.source.name, note, "a source is waited for");
        if let Some(task) = &mut self.task {
            task.tell(&note);
        }
        self.app.pulls.waits(&self.source, Some(note));
        let until = tokio::time::Instant::now() + Duration::from_secs(seconds);
        let ended = loop {
            if let Err(end) = self.go_on() {
                break Err(end);
            }
            if self.app.pulls.is_changed(&self.source) {
                break Err(End::Changed);
            }
            let rest = until.saturating_duration_since(tokio::time::Instant::now());
            if rest.is_zero() {
                break Ok(());
            }
            tokio::time::sleep(rest.min(Duration::from_secs(1))).await;
        };
        self.app.pulls.waits(&self.source, None);
        ended
    }

    /// Takes the records of a page in; when this returns, they are durable.
    pub(super) async fn take(&mut self, page: &mut Page) -> Result<Took, End> {
        let _turn = self.turn.take();
        let mut took = Took { theirs: page.count as u64, ..Took::default() };
        if page.count == 0 {
            return Ok(took);
        }
        let system = systems::find(self.pull.system()).ok_or_else(|| End::Ours("the system is not known".into()))?;
        let project = self.config.text("project").map(Arc::from);
        let reader = Reader { project, ..Reader::known(system, TimeZone::UTC) };
        let body = std::mem::take(&mut page.body);
        let mut tries = 0;
        let taken = loop {
            tries += 1;
            match native::take_fetched(&self.app, &self.tenant, reader.clone(), body.clone()).await {
                Ok(taken) => break taken,
                Err(p) if p.status() == StatusCode::SERVICE_UNAVAILABLE && tries < TRIES => self.wait(1, false).await?,
                Err(p) => return Err(End::Ours(format!("its records could not be taken in: {}", p.detail()))),
            }
        };
        took.fresh = taken.sealed.iter().filter(|s| matches!(s.2, Outcome::Sealed { .. })).count() as u64;
        self.open.took(&taken);
        // An id that is here with other content is here: a pushed record may say more than a fetched one.
        let refused: Vec<_> = taken.refused.iter().filter(|r| r.1 != "id_conflict").collect();
        took.refused = refused.len() as u64;
        if self.tells_refused && !refused.is_empty() {
            self.refused.extend(refused::of(&self.app, &self.tenant, &reader, body, &refused));
        }
        metrics::counter!("indelible_fetched_records_total", "system" => self.pull.system()).increment(took.theirs);
        Ok(took)
    }

    /// Saves how far it was read, and what came. Everything before that position is durable by now.
    pub(super) fn save(&self, took: Took, moved: bool) -> Result<(), End> {
        let text = serde_json::to_string(&self.position).map_err(|e| End::Ours(e.to_string()))?;
        let counts = SourceCounts {
            received: took.theirs,
            duplicate: took.theirs.saturating_sub(took.fresh).saturating_sub(took.refused),
            refused: took.refused,
        };
        let news = SourceNews {
            made: Some(self.source.created_at),
            position: moved.then_some(text.as_str()),
            seen: Some(self.now()),
            counts,
        };
        match self.app.store().catalog().note_source(self.tenant.number, &self.source.name, &news) {
            Ok(true) => Ok(()),
            Ok(false) => Err(End::Cancelled),
            Err(e) => Err(End::Ours(format!("its position could not be saved: {e}"))),
        }
    }

    /// Until when the source was compared without a hole, since the beginning or since what it still has, up to `to`.
    pub(super) fn compared_until(&self, to: i64) -> Result<i64, End> {
        let catalog = self.app.store().catalog();
        let spans = catalog.spans(self.tenant.number, &self.source.name, self.plan.since, to);
        let spans = spans.map_err(|e| End::Ours(format!("what was compared could not be read: {e}")))?;
        let gaps = self.gaps(Window { from: self.plan.since, to })?;
        let mut known: Vec<(i64, i64)> = spans.iter().map(|span| (span.from, span.to)).collect();
        known.extend(gaps.iter().map(|gap| (gap.from, gap.to)));
        known.sort_unstable();
        let mut until = self.plan.since.max(self.kept());
        for (begins, ends) in known {
            if begins > until {
                break;
            }
            until = until.max(ends);
        }
        Ok(until)
    }

    /// Where the source was read up to a time that is still to come, the clock was ahead and is set right: what it asked for then was
    /// not yet there. From the end of what was compared by the right time everything is asked for again. Less than what each look goes
    /// back lost nothing.
    pub(super) fn set_right(&mut self) -> Result<(), End> {
        let now = self.now();
        let bound = now.saturating_add(self.plan.overlap.max(2).saturating_mul(SECOND));
        let ahead = |stream: &Stream| stream.until > bound || stream.from > bound;
        if !self.position.streams.values().any(ahead) {
            return Ok(());
        }
        let forgot = self.app.store().catalog().forget_spans(self.tenant.number, &self.source.name, now);
        forgot.map_err(|e| End::Ours(format!("what was compared could not be changed: {e}")))?;
        let sure = self.compared_until(now)?.min(now);
        tracing::warn!(
            source = self.source.name,
            "the clock was set back: the source is read again from what was compared"
        );
        for stream in self.position.streams.values_mut() {
            let (from, until) = (stream.from.min(sure), stream.until.min(sure));
            *stream = Stream { from, to: None, page: None, until };
        }
        self.save(Took::default(), true)
    }

    /// Records that something is missing for good: an entry of its own kind in the ledger, and a row to look it up by.
    /// The same gap told again is the same entry.
    pub(super) async fn gap(&mut self, window: Window, cause: &str) -> Result<(), End> {
        self.open.still_missing(window);
        // A source that was made anew knows nothing of the gaps before, nor whether they were filled.
        let id = format!("gap:{}:{}:{}:{}", self.source.name, self.source.created_at, window.from, window.to);
        gap::record(&self.app, &self.tenant, &self.source, id, window, cause)
            .await
            .map(drop)
            .map_err(|what| End::Ours(format!("a gap could not be recorded: {what}")))
    }

    /// Tells of records that a page could not give.
    pub(super) async fn tell_lost(&mut self, page: &Page) -> Result<(), End> {
        match page.lost {
            Some((lost, cause)) => self.gap(lost, cause).await,
            None => Ok(()),
        }
    }

    /// The earliest moment of which the source may still have all records, by its own settings.
    pub(super) fn kept(&self) -> i64 {
        let keeps = self.position.saved.as_ref().and_then(|saved| saved.keeps);
        keeps.map_or(i64::MIN, |keeps| self.now().saturating_sub(keeps.saturating_mul(SECOND)))
    }

    /// The earliest moment of which the source still has records, where that is known: to the hour, so that a gap told of
    /// twice is mostly the same one.
    pub(super) fn oldest(&self) -> i64 {
        self.plan.keeps.map_or(i64::MIN, |keeps| {
            let oldest = self.now().saturating_sub(keeps.saturating_mul(SECOND));
            oldest.div_euclid(3600 * SECOND).saturating_mul(3600 * SECOND)
        })
    }
}

/// Tells texts apart in memory.
fn print(text: &str) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
