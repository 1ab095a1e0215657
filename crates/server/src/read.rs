//! Reading records: pages, typed queries, questions, SQL, single records, proofs. Not here: the live tail ([`crate::tail`]).

use crate::app::App;
use crate::auth::{self, Caller};
#[cfg(feature = "sql")]
use crate::gone;
use crate::intake::record_use;
use crate::log::newest;
use crate::problem::Problem;
use crate::request::Query;
#[cfg(feature = "sql")]
use crate::request::wanted;
use crate::turns::blocking;
#[cfg(feature = "sql")]
use crate::turns::turn;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use catalog::Scopes;
use event::time;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use query::lang::{Clock, ask, text, time as when};
use query::{Counts, Cursor, Group, Items, Page, View};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// Query of a page.
#[derive(Debug, Default, Deserialize)]
pub struct PageQuery {
    pub(crate) q: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) limit: Option<String>,
    pub(crate) cursor: Option<String>,
    pub(crate) diff: Option<String>,
}

/// By so much later any time that is said from now on is another.
const LATER: i64 = 1234 * time::DAY;

/// The query that `make` reads by a clock: by the first page's where it goes on, so that `now-7d` stays where it was.
fn by_clock(
    app: &App,
    cursor: Option<&str>,
    make: impl Fn(&Clock) -> Result<query::Query, Problem>,
) -> Result<query::Query, Problem> {
    let now = cursor.and_then(Cursor::clock).unwrap_or_else(|| app.store().now());
    let mut query = make(&Clock::utc(now))?;
    let moves = make(&Clock::utc(now.saturating_add(LATER))).map_or(true, |later| later != query);
    query.asked_at = moves.then_some(now);
    Ok(query)
}

pub(crate) fn json_text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// The query that a page's parameters ask for.
pub(crate) fn typed(app: &App, view: View, params: &PageQuery) -> Result<query::Query, Problem> {
    by_clock(app, params.cursor.as_deref(), |clock| of_params(view, params, clock))
}

fn of_params(view: View, params: &PageQuery, clock: &Clock) -> Result<query::Query, Problem> {
    let mut query = query::Query::new(view);
    let bad = |e: query::lang::Error| Problem::from(query::Error::Query(e));
    if let Some(q) = params.q.as_deref().filter(|q| !q.trim().is_empty()) {
        query.filter = text::parse(q, view, clock).map_err(|e| bad(e.at("q")))?;
    }
    query.lift_time();
    let bound = |name: &str, value: &Option<String>| match value.as_deref().filter(|v| !v.is_empty()) {
        None => Ok(None),
        Some(text) => when::parse(text, clock).map(|p| Some(p.start)).map_err(|e| bad(e.at(name))),
    };
    let (from, to) = (bound("from", &params.from)?, bound("to", &params.to)?);
    in_order(from, to)?;
    if let Some(from) = from {
        query.from = Some(query.from.map_or(from, |f| f.max(from)));
    }
    if let Some(to) = to {
        query.to = Some(query.to.map_or(to, |t| t.min(to)));
    }
    if let Some(limit) = params.limit.as_deref() {
        let n = limit.parse().ok().filter(|n| (1..=query::MAX_LIMIT).contains(n));
        query.limit = Some(n.ok_or_else(|| {
            Problem::bad("invalid_parameter", format!("`limit` is a number from 1 to {}", query::MAX_LIMIT))
        })?);
    }
    query.cursor = params.cursor.clone().filter(|c| !c.is_empty());
    Ok(query)
}

/// Refuses bounds between which there is no time.
fn in_order(from: Option<i64>, to: Option<i64>) -> Result<(), Problem> {
    match (from, to) {
        (Some(from), Some(to)) if from > to => {
            let (from, to) = (time::format(from), time::format(to));
            let problem = Problem::bad("invalid_parameter", format!("`from`, {from}, is later than `to`, {to}"));
            Err(["from", "to"].into_iter().fold(problem, Problem::at))
        }
        _ => Ok(()),
    }
}

/// `GET /v1/t/{tenant}/records`.
///
/// # Errors
/// A problem document.
pub async fn records(
    state: State<App>,
    Path(slug): Path<String>,
    params: Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    view(state, Path((slug, "records".into())), params, headers).await
}

/// `GET /v1/t/{tenant}/{view}`.
///
/// # Errors
/// A problem document.
pub async fn view(
    State(app): State<App>,
    Path((slug, name)): Path<(String, String)>,
    Query(params): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::READ)?;
    let view = View::parse(&name).ok_or_else(Problem::not_found)?;
    let query = typed(&app, view, &params)?;
    let guide = guide(params.diff.as_deref())?;
    let page = page(&app, &caller, query).await?;
    Ok(json_text(page_json(&page, guide)))
}

fn guide(diff: Option<&str>) -> Result<bool, Problem> {
    match diff {
        None | Some("") => Ok(false),
        Some("guide") => Ok(true),
        Some(_) => Err(Problem::bad("invalid_parameter", "`diff` is `guide` or absent")),
    }
}

async fn page(app: &App, caller: &Caller, query: query::Query) -> Result<Page, Problem> {
    page_of(app, caller, query, Items::Rows).await
}

/// A page; where it shows bodies, that is a record.
pub(crate) async fn page_of(app: &App, caller: &Caller, query: query::Query, items: Items) -> Result<Page, Problem> {
    let (tenant, access, view) = (caller.tenant.clone(), caller.access(), query.view);
    let asked = query::asks_for_bodies(&query);
    let page = blocking(app, move |_, engine| engine.page_of(&tenant, &query, access, items)).await?;
    if page.bodies > 0 || asked {
        record_use(
            app,
            caller,
            "indelible.body.read",
            json!({ "id": view.name(), "type": "view" }),
            json!({ "records": page.bodies }),
        )
        .await?;
    }
    Ok(page)
}

/// The answer of a page.
pub(crate) fn page_json(page: &Page, guide: bool) -> String {
    let mut out = String::with_capacity(page.items.iter().map(|i| i.len() + 1).sum::<usize>() + 200);
    out.push_str("{\"items\":[");
    for (i, item) in page.items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        match guide {
            true => out.push_str(&guide_diff(item)),
            false => out.push_str(item),
        }
    }
    out.push_str("],\"next_cursor\":");
    match &page.next_cursor {
        Some(c) => {
            let _ = write!(out, "\"{c}\"");
        }
        None => out.push_str("null"),
    }
    for (name, bound) in [("from", page.from), ("to", page.to)] {
        let _ = match bound {
            Some(at) => write!(out, ",\"{name}\":\"{}\"", time::format(at)),
            None => write!(out, ",\"{name}\":null"),
        };
    }
    out.push('}');
    out
}

/// An item with its diff in the monitoring guide's spelling. Everything else, and the order of the diff's own
/// members, stays as it is.
fn guide_diff(item: &str) -> String {
    let Ok(map) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(item) else { return item.to_owned() };
    let mut out = String::from("{");
    for (name, value) in map {
        if out.len() > 1 {
            out.push(',');
        }
        event::json::write_string(&mut out, &name);
        out.push(':');
        match name.as_str() {
            "diff" => out.push_str(&event::diff::to_guide(value.get())),
            _ => out.push_str(value.get()),
        }
    }
    out.push('}');
    out
}

/// `POST /v1/t/{tenant}/query`.
///
/// # Errors
/// A problem document.
pub async fn query(
    State(app): State<App>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::READ)?;
    let body: Value = serde_json::from_slice(&body)
        .map_err(|e| Problem::bad("invalid_json", format!("the body is not JSON: {e}")))?;
    let mut query = by_clock(&app, body["cursor"].as_str(), |clock| {
        Ok(query::Query::from_json(&body, None, clock).map_err(query::Error::Query)?)
    })?;
    in_order(query.from, query.to)?;
    query.lift_time();
    Ok(json_text(run(&app, &caller, query).await?))
}

/// A page, or counts where they are asked for.
async fn run(app: &App, caller: &Caller, query: query::Query) -> Result<String, Problem> {
    let counting = query.count || query.count_by.is_some() || query.interval.is_some();
    let facets = !query.facets.is_empty();
    let mut out = Map::new();
    if counting || facets {
        // What the key may not ask is refused below, and no use.
        if caller.access().bodies && query::asks_for_bodies(&query) {
            let target = json!({ "id": query.view.name(), "type": "view" });
            record_use(app, caller, "indelible.body.read", target, json!({ "counted": true })).await?;
        }
        let (tenant, access, query) = (caller.tenant.clone(), caller.access(), query.clone());
        let counts = blocking(app, move |_, engine| engine.counts(&tenant, &query, access)).await?;
        counts_json(&counts, &mut out);
        if counting {
            out.insert("from".into(), counts.bounds.0.map(time::format).into());
            out.insert("to".into(), counts.bounds.1.map(time::format).into());
        }
    }
    if counting {
        return Ok(Value::Object(out).to_string());
    }
    let page = page(app, caller, query).await?;
    let mut text = page_json(&page, false);
    if facets {
        text.pop();
        let more = Value::Object(out).to_string();
        text.push(',');
        text.push_str(more.get(1..).unwrap_or("}"));
    }
    Ok(text)
}

fn groups(list: &[Group]) -> Value {
    list.iter().map(|(value, count)| json!({ "value": value, "count": count })).collect()
}

fn counts_json(counts: &Counts, out: &mut Map<String, Value>) {
    out.insert("count".into(), counts.total.into());
    if let Some(list) = &counts.groups {
        out.insert("groups".into(), groups(list));
    }
    if let Some(bars) = &counts.histogram {
        let bars: Vec<Value> = bars
            .iter()
            .map(|b| {
                let mut bar = json!({ "time": time::format(b.from), "count": b.count });
                if !b.groups.is_empty() {
                    bar["groups"] = groups(&b.groups);
                }
                bar
            })
            .collect();
        out.insert("histogram".into(), bars.into());
    }
    if !counts.facets.is_empty() {
        let facets: Map<String, Value> =
            counts.facets.iter().map(|(name, list)| (name.clone(), groups(list))).collect();
        out.insert("facets".into(), facets.into());
    }
}

/// Query of `POST …/ask`.
#[derive(Debug, Default, Deserialize)]
pub struct AskQuery {
    run: Option<String>,
}

impl AskQuery {
    fn runs(&self) -> Result<bool, Problem> {
        match self.run.as_deref() {
            None | Some("" | "false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(Problem::bad("invalid_parameter", "`run` is `true` or `false`")),
        }
    }
}

/// A member of a body that is a text or absent. What is neither is not passed over: something else would be answered.
fn text_member<'b>(body: &'b Value, name: &str) -> Result<Option<&'b str>, Problem> {
    match &body[name] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(Problem::bad("wrong_type", format!("`{name}` is a text"))),
    }
}

pub(crate) fn view_named(name: &str) -> Result<View, Problem> {
    View::parse(name).ok_or_else(|| {
        Problem::bad(
            "unknown_view",
            format!("there is no view {name:?}; there are {}", View::ALL.map(View::name).join(", ")),
        )
    })
}

/// `POST /v1/t/{tenant}/ask`.
///
/// # Errors
/// A problem document; for a question not understood, with three examples.
pub async fn ask(
    State(app): State<App>,
    Path(slug): Path<String>,
    Query(params): Query<AskQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::READ)?;
    let body: Value = serde_json::from_slice(&body)
        .map_err(|e| Problem::bad("invalid_json", format!("the body is {{\"view\", \"question\"}}: {e}")))?;
    let question =
        text_member(&body, "question")?.ok_or_else(|| Problem::bad("missing_field", "`question` is missing"))?;
    let view = view_named(text_member(&body, "view")?.or(text_member(&body, "log")?).unwrap_or("event_logs"))?;
    let runs = params.runs()?;
    let now = match text_member(&body, "now")? {
        None => app.store().now(),
        Some(text) => time::parse(text).ok_or_else(|| Problem::bad("invalid_time", "`now` is not an RFC 3339 time"))?,
    };
    let zone = match text_member(&body, "tz")? {
        None => TimeZone::UTC,
        Some(name) => TimeZone::get(name).map_err(|_| {
            Problem::bad("unknown_zone", format!("`tz` {name:?} is no IANA time zone such as Europe/Prague"))
        })?,
    };
    let instant =
        Timestamp::from_microsecond(now).map_err(|_| Problem::bad("invalid_time", "`now` is out of range"))?;
    let answer = ask::ask(question, view, &Clock::new(instant, zone)).map_err(|e| {
        let mut more = Map::new();
        more.insert("examples".into(), json!(ask::examples(view)));
        Problem::from(query::Error::Query(e)).with(more)
    })?;
    let mut shown = answer.to_json();
    if runs {
        let result = run(&app, &caller, answer.query).await?;
        shown["result"] = serde_json::from_str(&result).unwrap_or(Value::Null);
        // At the top level too, as every other answer has them, where the query itself says nothing there.
        let result = shown["result"].as_object().cloned().unwrap_or_default();
        if let Value::Object(shown) = &mut shown {
            for (name, value) in result {
                // The bounds that were used, where the question names none.
                let place = shown.entry(name).or_insert(Value::Null);
                if place.is_null() {
                    *place = value;
                }
            }
        }
    }
    Ok(json_text(shown.to_string()))
}

/// `POST /v1/t/{tenant}/sql`, in a program built without DataFusion.
///
/// # Errors
/// Always.
#[cfg(not(feature = "sql"))]
pub async fn sql() -> Result<Response, Problem> {
    Err(Problem::new(
        axum::http::StatusCode::NOT_IMPLEMENTED,
        "no_sql",
        "this program was built without SQL; the typed query at /query answers most questions",
    ))
}

/// The media type of an Arrow stream.
#[cfg(feature = "sql")]
const ARROW: &str = "application/vnd.apache.arrow.stream";

/// `POST /v1/t/{tenant}/sql`.
///
/// # Errors
/// A problem document.
#[cfg(feature = "sql")]
pub async fn sql(
    State(app): State<App>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::READ)?;
    let body: Value = serde_json::from_slice(&body)
        .map_err(|e| Problem::bad("invalid_json", format!("the body is {{\"sql\"}}: {e}")))?;
    let sql = text_member(&body, "sql")?.ok_or_else(|| Problem::bad("missing_field", "`sql` is missing"))?;
    let _permit = turn(&app).await?;
    let limits = query::SqlLimits::default();
    let answer = tokio::select! {
        answer = app.engine.sql(&caller.tenant, sql, caller.access(), &limits) => answer?,
        () = gone::client() => return Err(query::Error::Ended(query::Ended::Unwanted).into()),
    };
    // No record holds a NUL.
    let shown: String = sql.chars().take(2000).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect();
    record_use(
        &app,
        &caller,
        "indelible.sql",
        json!({ "type": "sql" }),
        json!({ "sql": shown, "rows": answer.rows() }),
    )
    .await?;
    let (kind, bytes) = match wanted(&headers, &["application/json", "text/csv", ARROW]) {
        "text/csv" => ("text/csv; charset=utf-8", answer.to_csv().into_bytes()),
        ARROW => (ARROW, answer.to_arrow_stream()?),
        _ => ("application/json", answer.to_json().into_bytes()),
    };
    Ok(([(header::CONTENT_TYPE, axum::http::HeaderValue::from_static(kind))], bytes).into_response())
}

/// `GET /v1/t/{tenant}/records/{id}`.
///
/// # Errors
/// A problem document.
pub async fn record(
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
    Query(params): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::READ)?;
    let guide = guide(params.diff.as_deref())?;
    let json = envelope(&app, &caller, id).await?;
    Ok(json_text(if guide { guide_diff(&json) } else { json }))
}

/// One record's envelope; where it shows a body, that is a record.
pub(crate) async fn envelope(app: &App, caller: &Caller, id: String) -> Result<String, Problem> {
    let (tenant, access) = (caller.tenant.clone(), caller.access());
    let wanted = id.clone();
    let found = blocking(app, move |_, engine| engine.record(&tenant, &wanted, access)).await?;
    let (json, bodies) = found.ok_or_else(Problem::not_found)?;
    if bodies {
        let target = json!({ "id": id, "type": "record" });
        record_use(app, caller, "indelible.body.read", target, json!({ "records": 1 })).await?;
    }
    Ok(json)
}

/// `GET /v1/t/{tenant}/records/{id}/proof`.
///
/// # Errors
/// A problem document.
pub async fn proof(
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::READ)?;
    let (tenant, access) = (caller.tenant.clone(), caller.access());
    newest(&app, &tenant).await?;
    let wanted = id.clone();
    let found = blocking(&app, move |app, engine| {
        let store = app.store();
        engine.proof(&tenant, &wanted, access, &|size| {
            store.checkpoints().wait(tenant.number, size, Duration::from_secs(3))
        })
    })
    .await?;
    let (proof, bodies) = found.ok_or_else(Problem::not_found)?;
    if bodies {
        let target = json!({ "id": id, "type": "proof" });
        record_use(&app, &caller, "indelible.body.read", target, json!({ "records": 1 })).await?;
    }
    Ok(json_text(proof.to_string()))
}
