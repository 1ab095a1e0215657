//! `POST …/ingest/{system}`: records in the own words of the systems that send them.
//!
//! Owns which system a body is from, and what is remembered between its records. What their shapes mean is
//! `systems`' matter; from there on a record goes the way of any other (`prepare`, `intake`).

use crate::app::App;
use crate::auth;
use crate::intake::{self, Options};
use crate::prepare;
use crate::problem::Problem;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use catalog::Tenant;
use lru::LruCache;
use parking_lot::Mutex;
use serde_json::{Map, json};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use systems::change::Change;
use systems::{Memory, Reason, System};

/// Tenants whose earlier records are remembered, about 1 MiB each.
const MEMORIES: usize = 256;
/// How sure `auto` must be of a system, of 100.
const SURE: u8 = 50;
/// And how much surer than of any other.
const SURER: u8 = 10;

/// What is remembered per tenant, from record to record.
pub struct Memories(Mutex<LruCache<u32, Arc<Mutex<Memory>>>>);

impl Default for Memories {
    fn default() -> Memories {
        Memories(Mutex::new(LruCache::new(NonZeroUsize::new(MEMORIES).unwrap_or(NonZeroUsize::MIN))))
    }
}

impl Memories {
    fn of(&self, tenant: &Tenant) -> Arc<Mutex<Memory>> {
        Arc::clone(self.0.lock().get_or_insert(tenant.number, Arc::default))
    }

    /// Forgets a person of a tenant.
    pub fn forget(&self, tenant: &Tenant, person: &str) {
        self.of(tenant).lock().forget(person);
    }
}

/// Where a record lies in [`Natives::text`].
pub struct Places {
    /// As the system sent it.
    pub native: Range<usize>,
    /// As an envelope.
    pub envelope: Range<usize>,
}

/// One converted record.
pub struct Native {
    /// Line in NDJSON or a log, position in a list, from 1.
    pub line: usize,
    /// Where it is; or why nothing of it can be kept.
    pub text: Result<Places, Reason>,
    /// Why the envelope is an unparsed one.
    pub unparsed: Option<Reason>,
    /// See `systems::Converted`.
    pub by_content: bool,
    /// See `systems::Converted`.
    pub change: Option<Change>,
}

/// The converted records of a body.
pub struct Natives {
    /// Whose shape they had.
    pub system: &'static dyn System,
    /// All native records and envelopes, one after the other.
    pub text: String,
    /// The records, in order.
    pub list: Vec<Native>,
}

impl Natives {
    fn convert(system: &'static dyn System, body: &[u8], kind: &str, memory: &mut Memory) -> Result<Natives, Reason> {
        let mut natives = Natives { system, text: String::with_capacity(body.len() * 3), list: Vec::new() };
        let (text, list) = (&mut natives.text, &mut natives.list);
        systems::convert(system, body, kind, memory, &jiff::tz::TimeZone::UTC, &mut |record| {
            let mut put = |part: &str| {
                let start = text.len();
                text.push_str(part);
                start..text.len()
            };
            list.push(Native {
                line: record.line,
                text: match record.envelope {
                    Ok(envelope) => Ok(Places { native: put(record.native), envelope: put(envelope) }),
                    Err(reason) => Err(reason.clone()),
                },
                unparsed: record.unparsed.cloned(),
                by_content: record.by_content,
                change: record.change,
            });
        })?;
        Ok(natives)
    }

    /// The text at a place.
    pub fn at(&self, place: &Range<usize>) -> &str {
        self.text.get(place.clone()).unwrap_or_default()
    }
}

/// `POST /v1/t/{tenant}/ingest/{system}`.
///
/// # Errors
/// A problem document.
pub async fn post(
    State(app): State<App>,
    Path((slug, name)): Path<(String, String)>,
    Query(options): Query<Options>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let caller = auth::writer(&app, &headers, &slug)?;
    let asked = options.check()?;
    let encoding = intake::encoding(&headers);
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let mut more = Map::new();
    let system = if name == "auto" {
        let sample = prepare::decompress(&body, encoding.as_deref())?;
        let (system, sure) = detect(&sample)?;
        more.insert("confidence".into(), sure.into());
        system
    } else {
        systems::find(&name).ok_or_else(|| unknown(&name))?
    };
    more.insert("system".into(), system.name().into());
    let taken = intake::take_with(&app, caller.tenant.clone(), move |app, tenant| {
        let body = prepare::decompress(&body, encoding.as_deref())?;
        let memory = app.memories.of(tenant);
        let natives = Natives::convert(system, &body, &kind, &mut memory.lock())
            .map_err(|e| Problem::bad(e.code, format!("the body is not {}'s: {}", system.name(), e.detail)))?;
        prepare::native(app, tenant, &natives)
    })
    .await?;
    metrics::counter!("indelible_records_unparsed_total", "system" => system.name())
        .increment(taken.unparsed.len() as u64);
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
    system: &'static dyn System,
    body: String,
) -> Result<intake::Taken, Problem> {
    let taken = intake::take_with(app, Arc::clone(tenant), move |app, tenant| {
        let memory = app.memories.of(tenant);
        let natives = Natives::convert(system, body.as_bytes(), "application/json", &mut memory.lock())
            .map_err(|e| Problem::bad(e.code, format!("the answer is not {}'s: {}", system.name(), e.detail)))?;
        prepare::native(app, tenant, &natives)
    })
    .await?;
    metrics::counter!("indelible_records_unparsed_total", "system" => system.name())
        .increment(taken.unparsed.len() as u64);
    Ok(taken)
}

/// The system a body is from, and how sure that is.
fn detect(body: &[u8]) -> Result<(&'static dyn System, u8), Problem> {
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
