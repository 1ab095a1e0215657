//! Taking records in: hop 1 to 4 of a record's way, for one request.
//!
//! Bytes → records (`event`), each checked, redacted, committed to → one batch for the ledger → receipts. A
//! record that is refused never keeps its neighbours out; a batch the ledger cannot take is not stored at all.

use crate::app::App;
use crate::auth::{self, Caller};
use crate::deriving::as_sent;
use crate::prepare::{self, Prepared, Sent};
use crate::problem::Problem;
use crate::request::Query;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog::Tenant;
use event::redact::Rules;
use ledger::Outcome;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Records of one batch, at most.
pub const MAX_RECORDS: usize = 10_000;
/// Bytes of one batch, at most, before and after decompression.
pub const MAX_BATCH: usize = 16 << 20;
/// How long `?wait=checkpoint` waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a batch waits for rows to move to segments, where the tail is nearly full, before it is sent back.
const ROOM_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of a body that is prepared on the thread that read it: about a thousand records, a few milliseconds of work.
///
/// There is such a thread per core, so no more batches are prepared at once than there are cores, each where its bytes are at hand,
/// and nobody has to be woken for it: which is a tenth of what a busy server takes in (`docs/decisions/0002-speed.md`). Who asks
/// something else meanwhile waits as long as it would for a core; where it would be longer, `prepare` hands the others on.
const QUICK: usize = 3 << 19;

/// Query of `POST …/records`.
#[derive(Debug, Default, Deserialize)]
pub struct Options {
    /// `full`: a receipt for every record.
    receipts: Option<String>,
    /// `checkpoint`: answer when a signed checkpoint covers the batch.
    wait: Option<String>,
}

/// `POST /v1/t/{tenant}/records`.
///
/// # Errors
/// A problem document.
pub async fn post(
    State(app): State<App>,
    Path(slug): Path<String>,
    Query(options): Query<Options>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let caller = auth::writer(&app, &headers, &slug)?;
    let asked = options.check()?;
    let encoding = encoding(&headers);
    let taken = take(&app, caller.tenant.clone(), body, encoding).await?;
    reply(&app, &caller.tenant, &taken, asked, Map::new()).await
}

/// The `Content-Encoding` of a request.
pub(crate) fn encoding(headers: &HeaderMap) -> Option<String> {
    headers.get(header::CONTENT_ENCODING).map(|v| v.to_str().unwrap_or("?").to_owned())
}

/// What a caller wants to be told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    full: bool,
    wait: bool,
}

impl Options {
    pub(crate) fn check(&self) -> Result<Asked, Problem> {
        let full = match self.receipts.as_deref() {
            None | Some("rejected") => false,
            Some("full") => true,
            Some(_) => return Err(Problem::bad("invalid_parameter", "`receipts` is `full` or absent")),
        };
        let wait = match self.wait.as_deref() {
            None => false,
            Some("checkpoint") => true,
            Some(_) => return Err(Problem::bad("invalid_parameter", "`wait` is `checkpoint` or absent")),
        };
        Ok(Asked { full, wait })
    }
}

/// The answer, with `more` members; after a checkpoint covers the batch, if that is asked for.
pub(crate) async fn reply(
    app: &App,
    tenant: &Tenant,
    taken: &Taken,
    asked: Asked,
    mut more: Map<String, Value>,
) -> Result<Response, Problem> {
    if asked.wait && taken.size > 0 {
        let Ok(_turn) = app.waits.clone().try_acquire_owned() else {
            return Err(Problem::busy("the records are stored, but too many callers wait for a checkpoint already", 1));
        };
        let (app, tenant, size) = (app.clone(), tenant.number, taken.size);
        let published = tokio::task::spawn_blocking(move || app.store().checkpoints().wait(tenant, size, PATIENCE))
            .await
            .map_err(|e| Problem::internal("waiting for a checkpoint failed", &e))?;
        let published =
            published.ok_or_else(|| Problem::busy("the records are stored, but no checkpoint covers them yet", 1))?;
        more.insert("checkpoint".into(), published.note.clone().into());
    }
    Ok(answer(taken, asked.full, more))
}

/// What became of a request's records.
#[derive(Debug, Default)]
pub struct Taken {
    /// Per record: line, id, outcome.
    pub sealed: Vec<(usize, String, Outcome)>,
    /// Refused ones: line, code, field, detail.
    pub refused: Vec<(usize, &'static str, String, String)>,
    /// Records not understood, kept as they came: line, code, detail.
    pub unparsed: Vec<(usize, String, String)>,
    /// Size of the tree afterwards.
    pub size: u64,
    /// When the batch was sealed.
    pub recorded_at: i64,
    /// Records that are stored with other content: line, index.
    pub(crate) others: Vec<(usize, u64)>,
    /// The times of records that were fetched, by line.
    pub(crate) times: HashMap<usize, i64>,
    /// Lines of records that are stored without a part of them ([`twins`](crate::twins)), which is not stored.
    pub(crate) apart: Vec<usize>,
}

impl Taken {
    /// Adds what became of records that were stored after these.
    pub(crate) fn add(&mut self, next: Taken) {
        self.sealed.extend(next.sealed);
        self.refused.extend(next.refused);
        self.refused.sort_by_key(|refused| refused.0);
        self.unparsed.extend(next.unparsed);
        self.size = self.size.max(next.size);
        // A batch of which nothing was sealed has no such time.
        self.recorded_at = self.recorded_at.max(next.recorded_at);
        self.apart.extend(next.apart);
        self.others.extend(next.others);
        self.times.extend(next.times);
    }
}

/// Takes a body of envelopes in. Returns when everything accepted is durable.
///
/// # Errors
/// A problem with nothing stored.
pub async fn take(app: &App, tenant: Arc<Tenant>, body: Bytes, encoding: Option<String>) -> Result<Taken, Problem> {
    let on = On::for_body(&body, encoding.as_deref());
    let make = move |app: &App, tenant: &Arc<Tenant>| {
        let body = prepare::decompress(&body, encoding.as_deref())?;
        prepare::plain(app, tenant, &body)
    };
    take_prepared(app, tenant, on, make).await
}

/// Which thread prepares a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// The one that answers requests.
    This,
    /// One for such work, so that requests are answered meanwhile.
    Another,
}

impl On {
    /// Of what a compressed body holds nobody knows how much it is.
    pub fn for_body(body: &[u8], encoding: Option<&str>) -> On {
        if encoding.is_none() && body.len() <= QUICK { On::This } else { On::Another }
    }
}

/// Takes in what `make` prepares, on a thread for such work.
///
/// # Errors
/// A problem with nothing stored.
pub async fn take_with(
    app: &App,
    tenant: Arc<Tenant>,
    make: impl FnOnce(&App, &Arc<Tenant>) -> Result<Prepared, Problem> + Send + 'static,
) -> Result<Taken, Problem> {
    take_prepared(app, tenant, On::Another, make).await
}

/// Takes in what `make` prepares.
///
/// # Errors
/// A problem with nothing stored.
pub async fn take_prepared(
    app: &App,
    tenant: Arc<Tenant>,
    on: On,
    make: impl FnOnce(&App, &Arc<Tenant>) -> Result<Prepared, Problem> + Send + 'static,
) -> Result<Taken, Problem> {
    let permit =
        app.intake.clone().acquire_owned().await.map_err(|e| Problem::internal("the server is stopping", &e))?;
    // Holding the permit, so that writers slow down together instead of being sent away one by one.
    let waiting = tokio::time::Instant::now();
    while app.store().ledger().is_crowded() && waiting.elapsed() < ROOM_PATIENCE {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // One core is left to the flush.
    let pressed = if app.store().ledger().is_filling() { app.pressed.clone().acquire_owned().await.ok() } else { None };
    let prepared = match on {
        On::This => make(app, &tenant)?,
        On::Another => {
            let (app, tenant) = (app.clone(), Arc::clone(&tenant));
            tokio::task::spawn_blocking(move || make(&app, &tenant))
                .await
                .map_err(|e| Problem::internal("a batch could not be prepared", &e))??
        }
    };
    drop((permit, pressed));
    let taken = seal(app, tenant, prepared).await?;
    for (_, code, ..) in &taken.refused {
        metrics::counter!("indelible_records_rejected_total", "code" => *code).increment(1);
    }
    Ok(taken)
}

async fn seal(app: &App, tenant: Arc<Tenant>, prepared: Prepared) -> Result<Taken, Problem> {
    let Prepared { batch, records, learned, refused, unparsed, held } = prepared;
    let mut taken = Taken { sealed: held, refused, unparsed, ..Taken::default() };
    if records.is_empty() {
        metrics::counter!("indelible_records_duplicate_total").increment(taken.sealed.len() as u64);
        taken.size = app.store().ledger().size(tenant.number);
        return Ok(taken);
    }
    let keys = batch.keys.clone();
    // Kept aside for comparing repetitions that came without a time, or with other marks of ours.
    let rows: Vec<Option<Vec<u8>>> = records
        .iter()
        .zip(&batch.records)
        .map(|(sent, r)| {
            ((sent.fresh_time || sent.marked || sent.twins || sent.shapes.is_some()) && r.id.is_some())
                .then(|| batch.rows.get(r.row.clone()).unwrap_or_default().to_vec())
        })
        .collect();
    let (send, receive) = tokio::sync::oneshot::channel();
    app.store().ledger().submit(batch, move |result| {
        let _ = send.send(result);
    })?;
    let receipt = receive.await.map_err(|e| Problem::internal("the ledger did not answer", &e))??;
    // Keys go down with the records that use them: a batch of which nothing was sealed wrote none.
    if receipt.outcomes.iter().any(|o| matches!(o, Outcome::Sealed { .. })) {
        app.store().keys().durable(tenant.number, &keys);
    }
    taken.size = receipt.size;
    taken.recorded_at = receipt.recorded_at;
    let sealed = |place: usize| matches!(receipt.outcomes.get(place), Some(Outcome::Sealed { .. }));
    let learned = learned.into_iter().filter(|(place, ..)| sealed(*place)).map(|(_, key, state)| (key, state));
    app.states.learn(tenant.number, learned.collect());
    for (n, (Sent { line, id, fresh_time, by_content, marked, twins, shapes }, outcome)) in
        records.into_iter().zip(receipt.outcomes).enumerate()
    {
        let outcome = match outcome {
            Outcome::Conflict { index } if by_content => {
                Outcome::Duplicate { index, leaf: leaf(app, &tenant, index).await? }
            }
            // A repetition without a time got another one this time, and other things may be derived by now, or only one of the
            // two was signed; it is the same record all the same.
            Outcome::Conflict { index }
                if (fresh_time || marked)
                    && same_as_sent(app, &tenant, index, rows.get(n).and_then(Option::as_ref), fresh_time).await? =>
            {
                Outcome::Duplicate { index, leaf: leaf(app, &tenant, index).await? }
            }
            Outcome::Conflict { index } if twins => {
                let stored = stored(app, &tenant, index).await?;
                let sent = rows.get(n).and_then(Option::as_ref);
                match stored.zip(sent).and_then(|(row, sent)| Some((row.leaf, systems::twins::same(&row.row, sent)?))) {
                    Some((leaf, left)) => {
                        taken.apart.extend(left.then_some(line));
                        Outcome::Duplicate { index, leaf }
                    }
                    None => Outcome::Conflict { index },
                }
            }
            Outcome::Conflict { index } if shapes.is_some() => {
                let stored = stored(app, &tenant, index).await?;
                let both = stored.zip(rows.get(n).and_then(Option::as_ref)).zip(shapes);
                let known = both.filter(|((row, sent), system)| systems::shapes::same(*system, &row.row, sent));
                known.map_or(Outcome::Conflict { index }, |((row, _), _)| Outcome::Duplicate { index, leaf: row.leaf })
            }
            other => other,
        };
        match outcome {
            Outcome::Conflict { index } => {
                let detail = format!(
                    "the id {id:?} belongs to another record (index {index}) with other content; nothing was written. Give the record its own id"
                );
                taken.others.push((line, index));
                taken.refused.push((line, "id_conflict", "id".into(), detail));
            }
            outcome => taken.sealed.push((line, id, outcome)),
        }
    }
    taken.refused.sort_by_key(|r| r.0);
    let sealed = taken.sealed.iter().filter(|s| matches!(s.2, Outcome::Sealed { .. })).count() as u64;
    metrics::counter!("indelible_records_accepted_total").increment(sealed);
    metrics::counter!("indelible_records_duplicate_total").increment(taken.sealed.len() as u64 - sealed);
    Ok(taken)
}

async fn stored(app: &App, tenant: &Arc<Tenant>, index: u64) -> Result<Option<store::Row>, Problem> {
    let _turn = app.reads.acquire().await.map_err(|e| Problem::internal("the server is stopping", &e))?;
    let (app, tenant) = (app.clone(), Arc::clone(tenant));
    let rows = tokio::task::spawn_blocking(move || app.store().rows(&tenant, index..index + 1))
        .await
        .map_err(|e| Problem::internal("a record could not be compared", &e))??;
    Ok(rows.into_iter().next())
}

async fn leaf(app: &App, tenant: &Arc<Tenant>, index: u64) -> Result<ledger::Hash, Problem> {
    Ok(stored(app, tenant, index).await?.map(|r| r.leaf).unwrap_or_default())
}

async fn same_as_sent(
    app: &App,
    tenant: &Arc<Tenant>,
    index: u64,
    row: Option<&Vec<u8>>,
    fresh_time: bool,
) -> Result<bool, Problem> {
    let Some(row) = row else { return Ok(false) };
    let stored = stored(app, tenant, index).await?;
    Ok(stored.is_some_and(|s| as_sent(&s.row, fresh_time) == as_sent(row, fresh_time)))
}

pub(crate) fn answer(taken: &Taken, full: bool, more: Map<String, Value>) -> Response {
    let accepted = taken.sealed.iter().filter(|s| matches!(s.2, Outcome::Sealed { .. })).count();
    let mut results: Vec<(usize, Value)> = taken
        .refused
        .iter()
        .map(|(line, code, field, detail)| {
            let mut r = json!({ "line": line, "status": "rejected", "code": code, "detail": detail });
            if !field.is_empty() {
                r["field"] = field.clone().into();
            }
            (*line, r)
        })
        .collect();
    results.extend(taken.unparsed.iter().map(|(line, code, detail)| {
        (*line, json!({ "line": line, "status": "unparsed", "code": code, "detail": detail }))
    }));
    if full {
        results.extend(taken.sealed.iter().map(|(line, id, outcome)| {
            let (status, index, leaf) = match outcome {
                Outcome::Sealed { index, leaf } => ("accepted", *index, *leaf),
                Outcome::Duplicate { index, leaf } => ("duplicate", *index, *leaf),
                Outcome::Conflict { index } => ("rejected", *index, [0; 32]),
            };
            (*line, json!({ "line": line, "status": status, "id": id, "index": index, "leaf_hash": crate::hex(&leaf) }))
        }));
    }
    results.sort_by_key(|r| r.0);
    let first = taken.sealed.iter().map(|s| match s.2 {
        Outcome::Sealed { index, .. } | Outcome::Duplicate { index, .. } | Outcome::Conflict { index } => index,
    });
    let mut body = Map::new();
    body.insert("accepted".into(), accepted.into());
    body.insert("duplicate".into(), (taken.sealed.len() - accepted).into());
    body.insert("rejected".into(), taken.refused.len().into());
    body.insert("first_index".into(), first.min().map_or(Value::Null, Into::into));
    body.insert("tree_size".into(), taken.size.into());
    if accepted > 0 {
        body.insert("recorded_at".into(), event::time::format(taken.recorded_at).into());
    }
    body.extend(more);
    body.insert("results".into(), results.into_iter().map(|r| r.1).collect::<Vec<_>>().into());
    match taken.refused.first() {
        Some((_, code, field, detail)) if taken.sealed.is_empty() => {
            let status = match *code {
                "id_conflict" => StatusCode::CONFLICT,
                "record_too_large" => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::BAD_REQUEST,
            };
            let mut problem = Problem::new(status, code, detail.clone());
            for (line, code, field, detail) in &taken.refused {
                problem = problem.error(json!({ "pointer": field, "line": line, "code": code, "detail": detail }));
            }
            let _ = field;
            problem.with(body).into_response()
        }
        _ => ([(header::CONTENT_TYPE, "application/json")], Value::Object(body).to_string()).into_response(),
    }
}

/// The redaction rules of a tenant, from its settings.
///
/// # Errors
/// 400 naming the setting.
pub fn rules_of(settings: &str) -> Result<Rules, Problem> {
    let value: Value = serde_json::from_str(settings)
        .map_err(|e| Problem::bad("invalid_settings", format!("settings are a JSON object: {e}")))?;
    let redaction = &value["redaction"];
    // A rule by a name that does not exist would leave secrets where they are, and nobody would know.
    const RULES: [&str; 3] = ["keep_traits", "keys", "patterns"];
    let unknown = match redaction {
        Value::Null => None,
        Value::Object(rules) => rules.keys().find(|name| !RULES.contains(&name.as_str())),
        _ => {
            return Err(Problem::bad("invalid_settings", "`redaction` is an object of keep_traits, keys and patterns"));
        }
    };
    if let Some(name) = unknown {
        let said = format!("`redaction.{name}` is no setting; there are {}", RULES.join(", "));
        return Err(Problem::bad("invalid_settings", said));
    }
    let list = |name: &str| -> Result<Vec<String>, Problem> {
        match &redaction[name] {
            Value::Null => Ok(Vec::new()),
            Value::Array(list) => list
                .iter()
                .map(|v| {
                    v.as_str().map(str::to_owned).ok_or_else(|| {
                        Problem::bad("invalid_settings", format!("`redaction.{name}` is a list of texts"))
                    })
                })
                .collect(),
            _ => Err(Problem::bad("invalid_settings", format!("`redaction.{name}` is a list of texts"))),
        }
    };
    let keep_traits = match &redaction["keep_traits"] {
        Value::Null => false,
        Value::Bool(b) => *b,
        _ => return Err(Problem::bad("invalid_settings", "`redaction.keep_traits` is true or false")),
    };
    Rules::new(keep_traits, &list("keys")?, &list("patterns")?)
        .map_err(|e| Problem::bad("invalid_settings", e.to_string()))
}

/// Takes in a record of our own.
///
/// # Errors
/// As [`take`].
pub(crate) async fn take_own(app: &App, tenant: Arc<Tenant>, record: String) -> Result<Taken, Problem> {
    take_prepared(app, tenant, On::This, move |app, tenant| prepare::own(app, tenant, record.as_bytes())).await
}

/// Writes a record of our own into a tenant's audit log: what a sensitive scope was used for.
///
/// # Errors
/// As [`take`]: what cannot be recorded is not done.
pub async fn record_use(
    app: &App,
    caller: &Caller,
    action: &str,
    target: Value,
    details: Value,
) -> Result<(), Problem> {
    let (trace, span) = crate::problem::trace().unzip();
    let record = json!({
        "log": "audit",
        "source": "indelible",
        "action": action,
        "outcome": "success",
        "actor": { "id": caller.principal.key_id.as_ref(), "type": "api_key", "name": caller.principal.name.as_ref() },
        "target": target,
        "request_id": crate::problem::request_id(),
        "trace_id": trace,
        "span_id": span,
        "attributes": details,
    });
    let taken = take_own(app, Arc::clone(&caller.tenant), record.to_string()).await.map_err(Problem::of_recording)?;
    match taken.refused.first() {
        None => Ok(()),
        Some((_, code, _, detail)) => {
            Err(Problem::internal("the use of this scope could not be recorded", &format!("{code}: {detail}")))
        }
    }
}
