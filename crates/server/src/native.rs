//! `POST …/ingest/{system}`: records in the own words of the systems that send them.
//!
//! Owns which system a body is from, and what is remembered between its records. What their shapes mean is
//! `systems`' matter; from there on a record goes the way of any other (`prepare`, `intake`). The addresses that some
//! systems insist on (`otlp`, `push`) end here too.

use crate::app::App;
use crate::auth;
use crate::heard::{self, Said};
use crate::intake::{self, MAX_RECORDS, On, Options, Taken};
use crate::kept;
use crate::parts;
use crate::prepare::{self, Prepared};
use crate::problem::Problem;
use crate::push;
use crate::request::Query;
use crate::twins;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use catalog::{Source, Tenant};
use jiff::tz::TimeZone;
use lru::LruCache;
use parking_lot::Mutex;
use serde_json::{Map, json};
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::Arc;
use systems::convert::Decoded;
use systems::{Filled, Mapping, Memory, Origin, Read, System};

/// Tenants whose earlier records are remembered, about 1 MiB each.
const MEMORIES: usize = 256;
/// How sure `auto` must be of a system, of 100.
const SURE: u8 = 50;
/// And how much surer than of any other.
const SURER: u8 = 10;

/// What is said in place of a system's name where that is to be found out.
pub(crate) const AUTO: &str = "auto";

/// The header in which Ory's Actions have an id that is the same at each try, and its longest.
const TRIGGER: &str = "ory-webhook-trigger-id";
const MAX_TRIGGER: usize = 128;

/// The header in which a sender says what is the same at each try of a request, so that records without ids are known again; and its
/// longest. The name is that of draft-ietf-httpapi-idempotency-key-header.
const KEY: &str = "idempotency-key";
const MAX_KEY: usize = 256;

/// What is remembered per tenant, from record to record.
pub struct Memories(Mutex<LruCache<u32, Arc<Memory>>>);

impl Default for Memories {
    fn default() -> Memories {
        Memories(Mutex::new(LruCache::new(NonZeroUsize::new(MEMORIES).unwrap_or(NonZeroUsize::MIN))))
    }
}

impl Memories {
    fn of(&self, tenant: &Tenant) -> Arc<Memory> {
        Arc::clone(self.0.lock().get_or_insert(tenant.number, Arc::default))
    }

    /// Forgets a person of a tenant.
    pub fn forget(&self, tenant: &Tenant, person: &str) {
        self.of(tenant).forget(person);
    }
}

/// Who reads a body: a system's adapter, or a tenant's own mapping.
#[derive(Clone)]
pub enum Adapter {
    /// One of `systems::SYSTEMS`.
    Known(&'static dyn System),
    /// Rules that a tenant wrote.
    Mapped(Arc<Mapping>),
}

impl Adapter {
    /// The system, where it gives an event in several shapes ([`systems::shapes`]).
    pub(crate) fn shaped(&self) -> Option<&'static dyn System> {
        match self {
            Adapter::Known(system) => Some(*system).filter(|system| system.shapes()),
            Adapter::Mapped(_) => None,
        }
    }
}

impl Deref for Adapter {
    type Target = dyn System;
    fn deref(&self) -> &Self::Target {
        match self {
            Adapter::Known(system) => *system,
            Adapter::Mapped(mapping) => &**mapping,
        }
    }
}

/// Who reads a body, and in which zone its times are where they name none.
#[derive(Clone)]
pub struct Reader {
    /// Who.
    pub system: Adapter,
    /// In which zone.
    pub zone: TimeZone,
    /// Where in a record its number is, if the source numbers them.
    pub sequence: Option<Arc<str>>,
    /// The project whose events the source sends, where it may leave that out.
    pub project: Option<Arc<str>>,
}

impl Reader {
    /// A system's adapter.
    pub fn known(system: &'static dyn System, zone: TimeZone) -> Reader {
        Reader { system: Adapter::Known(system), zone, sequence: None, project: None }
    }

    /// Reads the records of a body from this one on (from 0), as many as may be held at once, and hands them on.
    ///
    /// # Errors
    /// A body that this system's adapter cannot take apart; whatever `then` returns.
    pub(crate) fn read<R>(
        &self,
        app: &App,
        tenant: &Tenant,
        posted: &Posted,
        from: usize,
        then: impl FnOnce(Natives<'_>) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        self.decoded(posted, |body, text| then(Natives::read(self, body, text, posted, from, &app.memories.of(tenant))))
    }

    /// What is left of the records in these lines of a body (ascending) where one shape of them is stored ([`twins`]).
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn twins(&self, posted: &Posted, lines: &[usize]) -> Result<Vec<(usize, String)>, Problem> {
        self.decoded(posted, |_, text| {
            let pieces = text.part(&*self.system, 0);
            let wanted = pieces.texts().filter(|(line, _)| lines.binary_search(line).is_ok());
            Ok(wanted.filter_map(|(line, native)| Some((line, self.system.twin(native)?))).collect())
        })
    }

    fn decoded<R>(
        &self,
        posted: &Posted,
        then: impl FnOnce(&[u8], &Decoded<'_>) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        let name = self.system.name();
        let event = name == "cloudevents" || matches!(self.system, Adapter::Mapped(_));
        let body = posted.content(event)?;
        let text = systems::decode(&*self.system, &body, &posted.kind)
            .map_err(|e| Problem::bad(e.code, format!("the body is not {name}'s: {}", e.detail)))?;
        then(&body, &text)
    }

    /// A tenant's own rules.
    pub fn mapped(mapping: Mapping, zone: TimeZone) -> Reader {
        Reader { system: Adapter::Mapped(Arc::new(mapping)), zone, sequence: None, project: None }
    }
}

/// A body as it was posted, and what its headers say of it.
#[derive(Clone)]
pub struct Posted {
    body: Bytes,
    encoding: Option<String>,
    kind: String,
    /// The headers of a CloudEvent in binary mode; empty where it is none.
    event: Vec<(String, Vec<u8>)>,
    /// What its sender calls the request, the same at each try.
    request: Option<String>,
    /// What its sender says is the same at each try, and nothing more.
    key: Option<String>,
    /// What is known of its sender's signature.
    signature: Option<&'static str>,
    /// Who sent it; `None` where it was fetched.
    from: Option<heard::From>,
    /// It was fetched, and will be again: records without an id are known by what they say.
    fetched: bool,
}

impl Posted {
    /// The body of a request with these headers.
    pub fn new(headers: &HeaderMap, body: Bytes) -> Posted {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let structured = kind.to_ascii_lowercase().starts_with("application/cloudevents");
        let binary = headers.contains_key("ce-specversion") && !structured;
        let of_event = |name: &str| binary && (name.starts_with("ce-") || name == "content-type");
        let event = headers.iter().filter(|(name, _)| of_event(name.as_str()));
        let event = event.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
        let said = |name: &str, most: usize| {
            let said = headers.get(name).and_then(|id| id.to_str().ok()).filter(|id| (1..=most).contains(&id.len()));
            said.map(str::to_owned)
        };
        let (encoding, request, key) = (intake::encoding(headers), said(TRIGGER, MAX_TRIGGER), said(KEY, MAX_KEY));
        Posted { body, encoding, kind, event, request, key, signature: None, from: None, fetched: false }
    }

    /// A body that came inside another, such as the message in an envelope.
    pub fn inside(text: String) -> Posted {
        let kind = "application/json".to_owned();
        let (encoding, event, request, signature, from) = (None, Vec::new(), None, None, None);
        Posted { body: Bytes::from(text), encoding, kind, event, request, key: None, signature, from, fetched: false }
    }

    /// The same, sent to this source, or as this system, by this sender.
    pub(crate) fn of(self, name: &str, sender: &str) -> Posted {
        Posted { from: Some(heard::From { name: name.to_owned(), sender: sender.to_owned() }), ..self }
    }

    /// The same, its signature checked and right.
    pub fn signed(self) -> Posted {
        Posted { signature: Some("verified"), ..self }
    }

    /// The same, signed by its nature, and nobody said with which key.
    pub fn not_checked(self) -> Posted {
        Posted { signature: Some("not checked"), ..self }
    }

    /// What came in it, as a body of its own: its sender's signature counts for that too.
    pub(crate) fn holding(&self, text: String) -> Posted {
        Posted { signature: self.signature, ..Posted::inside(text) }
    }

    /// The body without its compression; a CloudEvent in binary mode in its JSON form, where that may be meant.
    fn content(&self, event: bool) -> Result<Cow<'_, [u8]>, Problem> {
        let body = prepare::decompress(&self.body, self.encoding.as_deref())?;
        if !event || self.event.is_empty() {
            return Ok(body);
        }
        let headers = self.event.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        Ok(systems::cloudevents::structured(headers, &body).map_or(body, |text| Cow::Owned(text.into_bytes())))
    }
}

/// The records of a body, read.
pub struct Natives<'t> {
    /// Whose shape they had.
    pub system: Adapter,
    /// Their envelopes.
    pub filled: Filled,
    /// The records, in order; those that tell of states in that of their time. None of them where there are more than [`parts::MOST`].
    pub list: Vec<Read<'t>>,
    /// How many the body has.
    pub count: usize,
    /// Which of them is the first here, from 0.
    pub from: usize,
    /// Which is the first that is not here, where those behind it could not be held as well.
    pub next: Option<usize>,
    /// The body says nothing at all: no byte, or `{}`.
    pub bare: bool,
    /// The body is an answer whose list of records is empty, or a table without a row: its sender says that there is none.
    pub hollow: bool,
    /// A name for the body, where it is more than one batch, or its sender says what is the same at each try.
    pub name: Option<String>,
    /// Records without an id are known by what they say.
    pub by_content: bool,
    /// Their sender signed them, or does as a rule.
    pub signed: bool,
}

impl<'t> Natives<'t> {
    fn read(
        reader: &Reader,
        body: &[u8],
        text: &'t Decoded<'_>,
        posted: &Posted,
        from: usize,
        memory: &Memory,
    ) -> Natives<'t> {
        let system = reader.system.clone();
        let pieces = text.part(&*system, from);
        let next = pieces.next();
        let (count, bare) = (pieces.count(), matches!(body.trim_ascii(), b"" | b"{}"));
        let hollow = count == 0 && system.says_none(&systems::split::text(body));
        let name = || systems::envelope::hash(&[system.name().as_bytes(), b"\0", body]);
        let of_key = || {
            let key = posted.key.as_deref()?;
            Some(systems::envelope::hash(&[system.name().as_bytes(), b"\0key\0", key.as_bytes()]))
        };
        let name = if (MAX_RECORDS + 1..=parts::MOST).contains(&count) { Some(name()) } else { of_key() };
        let filled = Filled::with_capacity(text.len() * 2);
        let by_content = posted.fetched;
        let signed = posted.signature.is_some() || system.signs();
        let list = Vec::with_capacity(count.min(parts::MOST));
        let mut natives = Natives { system, filled, list, count, from, next, bare, hollow, name, by_content, signed };
        if count <= parts::MOST {
            let (filled, list) = (&mut natives.filled, &mut natives.list);
            let origin = Origin {
                content_type: &posted.kind,
                zone: &reader.zone,
                signature: posted.signature,
                project: reader.project.as_deref(),
                request: posted.request.as_deref(),
            };
            systems::fill(&*reader.system, pieces, &origin, memory, filled, &mut |_, read| list.push(read));
            natives.in_time();
        }
        natives
    }

    /// Puts records that tell of states into the order of their time, which is what makes one the state before another: many
    /// systems answer the newest first. Each keeps its line, under which its sender is told of it.
    fn in_time(&mut self) {
        if self.list.iter().all(|read| read.change.is_none()) {
            return;
        }
        let times: Vec<i64> = (0..self.list.len()).filter_map(|n| self.moment(n)).collect();
        if times.is_sorted() {
            return;
        }
        // Of the same moment the one that happened first stands last as well.
        if times.is_sorted_by(|a, b| a >= b) {
            self.list.reverse();
        }
        let filled = &self.filled;
        self.list.sort_by_cached_key(|read| moment(filled, read));
    }

    /// When what a record tells of was so.
    fn moment(&self, n: usize) -> Option<i64> {
        moment(&self.filled, self.list.get(n)?)
    }

    /// The same, without the body that they were read from.
    pub fn into_owned(self) -> Natives<'static> {
        let list = self.list.into_iter().map(Read::into_owned).collect();
        Natives { list, ..self }
    }

    /// The time that a record says, microseconds UTC.
    pub fn time(&self, n: usize) -> Option<i64> {
        self.filled.at(self.list.get(n)?.envelope.as_ref().ok()?)
    }
}

fn moment(filled: &Filled, read: &Read<'_>) -> Option<i64> {
    let said = || filled.at(read.envelope.as_ref().ok()?);
    read.change.as_ref().and_then(|change| change.at).or_else(said)
}

/// `POST /v1/t/{tenant}/ingest/{system}`.
///
/// # Errors
/// A problem document.
pub async fn post(
    State(app): State<App>,
    Path((slug, name)): Path<(String, String)>,
    Query(options): Query<Options>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let peer = peer.map(|Extension(ConnectInfo(address))| address.ip());
    if let Some(response) = push::take(&app, (&slug, &name), peer, &headers, &body).await? {
        return Ok(response);
    }
    let caller = auth::writer(&app, &headers, &slug)?;
    let asked = options.check()?;
    let posted = Posted::new(&headers, body);
    let mut more = Map::new();
    let reader = if name == AUTO {
        let (system, sure) = detect(&posted.content(true)?)?;
        more.insert("confidence".into(), sure.into());
        Reader::known(system, TimeZone::UTC)
    } else {
        reader(&app, &caller.tenant, &name)?
    };
    more.insert("system".into(), reader.system.name().into());
    let posted = match reader.system.name() == "set" && systems::set::is_token(&posted.content(false)?) {
        true => posted.not_checked(),
        false => posted,
    };
    let source = if name == AUTO { reader.system.name().to_owned() } else { name };
    let posted = posted.of(&source, &caller.principal.key_id);
    let taken = take(&app, &caller.tenant, reader, posted, Empty::Refused).await?;
    more.insert("unparsed".into(), taken.unparsed.len().into());
    intake::reply(&app, &caller.tenant, &taken, asked, more).await
}

/// Takes in what was fetched from a system, the way of [`post`]. Returns when everything accepted is durable.
///
/// # Errors
/// A problem with nothing stored.
pub(crate) async fn take_fetched(
    app: &App,
    tenant: &Arc<Tenant>,
    reader: Reader,
    body: String,
) -> Result<Taken, Problem> {
    take(app, tenant, reader, Posted { fetched: true, ..Posted::inside(body) }, Empty::Refused).await
}

/// Who reads what is sent under this name: one of the tenant's sources, or a system.
///
/// # Errors
/// 404 that names those known.
pub fn reader(app: &App, tenant: &Tenant, name: &str) -> Result<Reader, Problem> {
    if let Some(source) = app.store().catalog().source(tenant.number, name)?.filter(|s| s.kind == push::KIND) {
        return app.readers.of(&source);
    }
    systems::find(name).map(|system| Reader::known(system, TimeZone::UTC)).ok_or_else(|| unknown(name))
}

/// Readers of sources, made once per version of their settings.
pub struct Readers(Mutex<LruCache<(u32, String), (Source, Reader)>>);

impl Default for Readers {
    fn default() -> Readers {
        Readers(Mutex::new(LruCache::new(NonZeroUsize::new(MEMORIES).unwrap_or(NonZeroUsize::MIN))))
    }
}

impl Readers {
    fn of(&self, source: &Source) -> Result<Reader, Problem> {
        let key = (source.tenant, source.name.clone());
        if let Some((_, reader)) = self
            .0
            .lock()
            .get(&key)
            .filter(|(known, _)| (&known.system, &known.settings) == (&source.system, &source.settings))
        {
            return Ok(reader.clone());
        }
        let reader = push::reader(source)?;
        self.0.lock().put(key, (source.clone(), reader.clone()));
        Ok(reader)
    }
}

/// Whether a body may hold no record at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// Somebody forgot something, and is told.
    Refused,
    /// It is how the sender works: traces of which none has an event of ours.
    Taken,
}

/// Takes in a body in the shape of a system. Returns when all of it is durable.
///
/// # Errors
/// A problem with nothing stored; or of a body of several batches ([`parts`]) with what that says.
pub async fn take(
    app: &App,
    tenant: &Arc<Tenant>,
    reader: Reader,
    posted: Posted,
    empty: Empty,
) -> Result<Taken, Problem> {
    let label = label(&reader.system);
    let sender = posted.from.clone();
    let (mut said, system) = (Said::default(), reader.system.name().to_owned());
    let mut taken = Taken::default();
    let mut next = Some(0);
    while let Some(from) = next {
        let (of_part, told, more) = part(app, tenant, (&reader, &posted), from, empty).await?;
        if from == 0 {
            (taken, said) = (of_part, told);
        } else {
            taken.add(of_part);
            said.add(told);
        }
        next = more;
    }
    kept::known(app, tenant, reader.clone(), posted.clone(), &mut taken).await?;
    if reader.system.writes_twice() {
        twins::rest(app, tenant, reader, posted, &mut taken).await?;
    }
    if let Some(sender) = sender {
        app.heard.note(tenant.number, &sender, &system, &said, &taken, app.store().now());
    }
    metrics::counter!("indelible_records_unparsed_total", "system" => label).increment(taken.unparsed.len() as u64);
    Ok(taken)
}

/// Takes in the records of a body from this one on, as many as may be held at once: what became of them, what they say of themselves, and
/// which record the next part begins with.
async fn part(
    app: &App,
    tenant: &Arc<Tenant>,
    (reader, posted): (&Reader, &Posted),
    from: usize,
    empty: Empty,
) -> Result<(Taken, Said, Option<usize>), Problem> {
    #[derive(Default)]
    struct Left {
        said: Said,
        times: HashMap<usize, i64>,
        rest: Option<Arc<Natives<'static>>>,
        next: Option<usize>,
    }
    let left: Arc<Mutex<Left>> = Arc::default();
    let (kept, reader, posted) = (Arc::clone(&left), reader.clone(), posted.clone());
    let on = On::for_body(&posted.body, posted.encoding.as_deref());
    let mut taken = intake::take_prepared(app, Arc::clone(tenant), on, move |app, tenant| {
        reader.read(app, tenant, &posted, from, |natives| {
            let mut left = kept.lock();
            left.next = natives.next;
            if posted.from.is_some() {
                left.said = Said::of(&natives, reader.sequence.as_deref(), app.store().now());
            }
            if posted.fetched {
                let read = natives.list.iter().enumerate();
                left.times = read.filter_map(|(n, read)| Some((read.line, natives.time(n)?))).collect();
            }
            // An export request of nothing is `{}` in JSON, and no byte at all in Protocol Buffers.
            let nothing = natives.count == 0 || natives.bare;
            if natives.hollow || (nothing && empty == Empty::Taken) {
                return Ok(Prepared::default());
            }
            let all = natives.list.len();
            let prepared = prepare::native(app, tenant, &natives, 0..all.min(MAX_RECORDS))?;
            if all > MAX_RECORDS {
                left.rest = Some(Arc::new(natives.into_owned()));
            }
            Ok(prepared)
        })
    })
    .await
    .map_err(|problem| if from == 0 { problem } else { parts::after(problem, from) })?;
    let Left { said, times, rest, next } = std::mem::take(&mut *left.lock());
    taken.times = times;
    if let Some(natives) = rest {
        parts::rest(app, tenant, natives, &mut taken).await?;
    }
    Ok((taken, said, next))
}

/// What a system is called in metrics: a tenant's own name for its mapping is nobody else's matter.
fn label(system: &Adapter) -> &'static str {
    match system {
        Adapter::Known(system) => system.name(),
        Adapter::Mapped(_) => "mapping",
    }
}

/// The system a body is from, and how sure that is.
fn detect(body: &[u8]) -> Result<(&'static dyn System, u8), Problem> {
    if body.trim_ascii().is_empty() {
        return Err(prepare::no_records());
    }
    let found = systems::detect(body);
    let second = found.get(1).map_or(0, |f| f.1);
    let first = found.first().filter(|(_, sure)| *sure >= SURE && *sure >= second.saturating_add(SURER));
    if let Some((name, sure)) = first
        && let Some(system) = systems::find(name)
    {
        return Ok((system, *sure));
    }
    let mut problem = Problem::bad(
        "unknown_system",
        "the first record has the shape of no system known here, or of several; name the system in the address",
    );
    for (name, sure) in found {
        problem = problem.error(json!({ "system": name, "confidence": sure }));
    }
    Err(problem)
}

fn unknown(name: &str) -> Problem {
    let names: Vec<&str> = systems::SYSTEMS.iter().map(|s| s.name()).collect();
    let shown: String = name.chars().take(60).collect();
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown_system",
        format!("there is no system {shown:?}; it is `auto` or one of {}", names.join(", ")),
    )
}
