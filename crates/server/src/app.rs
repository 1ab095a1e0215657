//! The application's state, its routes, and what happens around every request.

use crate::body::{self, Budget};
use crate::gone::{CLIENT, Client};
use crate::heard::Heard;
use crate::ids::Ids;
use crate::problem::{Problem, REQUEST_ID, TRACE};
use crate::room::{QUERIES, Room};
use crate::states::States;
use crate::{
    admin, catalogue, completeness, faces, intake, jobs, log, native, ops, otlp, parameters, pull, push, read, replay,
    revoke, sources, tail,
};
use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use catalog::Tenant;
use event::redact::Rules;
use metrics_exporter_prometheus::PrometheusHandle;
use query::Engine;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use store::Store;
use tokio::sync::{Semaphore, watch};

/// Batches prepared at the same time. Each may hold some five times its 16 MiB while it is parsed, so this
/// bounds that memory to about 640 MiB, and keeps two cores busy.
const INTAKE_AT_ONCE: usize = 8;
/// Queries run at the same time; more wait.
const READS_AT_ONCE: usize = 16;
/// Callers of `?wait=checkpoint` at the same time: each holds a thread for up to ten seconds.
const WAITS_AT_ONCE: usize = 64;
/// Live tails at the same time: each looks for new records five times a second.
const TAILS_AT_ONCE: usize = 256;

/// Revocations at the same time: each asks for its confirmation four times a second, for half a minute.
const REVOCATIONS_AT_ONCE: usize = 32;

/// What the server is told from outside.
#[derive(Debug, Clone)]
pub struct Options {
    /// Peers whose `X-Request-Id` is believed, beside this machine itself.
    pub trusted_proxies: Vec<IpAddr>,
    /// Connections that one address may have, loopback too; three quarters of all for any but loopback if absent. Not of the proxies.
    pub connections_per_address: Option<usize>,
    /// Whether checkpoints, tiles and entries are served without a key. They hold no personal data.
    pub public_ledger: bool,
    /// How long a client may take to send a header or a body, to take any byte of an answer, and to ask again
    /// on an idle connection.
    pub client_patience: Duration,
    /// How long a page, a count or a look-up may take.
    pub query_time: Duration,
    /// How addresses of others are read.
    pub fetch: Arc<dyn push::Fetch>,
    /// The version shown.
    pub version: &'static str,
}

/// Shared by every request.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// See [`App`].
pub struct Inner {
    /// Reading.
    pub engine: Engine,
    /// From outside.
    pub options: Options,
    /// Ids for records and requests without one.
    pub ids: Ids,
    /// Batches being prepared.
    pub intake: Arc<Semaphore>,
    /// Batches prepared at once while the tail is filling up: one core is left to moving rows to segments.
    pub pressed: Arc<Semaphore>,
    /// What native records need to know of those before them.
    pub memories: native::Memories,
    /// Jobs being done.
    pub(crate) jobs: jobs::Jobs,
    /// Sources being fetched from.
    pub(crate) pulls: pull::Pulls,
    /// What was heard of sources that send.
    pub(crate) heard: Heard,
    /// The last known states of entities.
    pub(crate) states: States,
    /// Readers of the sources' records.
    pub readers: native::Readers,
    /// Certificates that messages are signed with.
    pub certificates: push::Certificates,
    /// Requests that proved nothing.
    pub refusals: push::Refusals,
    /// What is being read.
    pub reads: Arc<Semaphore>,
    /// Queries among it, and whose they are.
    pub queries: Room,
    /// Callers who wait for a checkpoint.
    pub waits: Arc<Semaphore>,
    /// Live tails.
    pub tails: Arc<Semaphore>,
    /// Whether the server is stopping: what never ends by itself ends then.
    pub stopping: watch::Sender<bool>,
    /// Revocations being done.
    pub revocations: Arc<Semaphore>,
    /// Revocations of which more may become known.
    pub open_revocations: Arc<revoke::Open>,
    /// Room for bodies.
    pub bodies: Budget,
    /// Since when the server runs.
    pub started: Instant,
    /// The recorder behind `/metrics`.
    pub metrics: PrometheusHandle,
    rules: RwLock<HashMap<u32, (String, Arc<Rules>)>>,
}

/// The cores there are, less one, and at least one.
fn all_cores_but_one() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() - 1).max(1)
}

impl std::ops::Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    /// The application over an open store.
    pub fn new(store: Arc<Store>, options: Options, metrics: PrometheusHandle) -> App {
        App(Arc::new(Inner {
            engine: Engine::new(store),
            options,
            ids: Ids::default(),
            memories: native::Memories::default(),
            jobs: jobs::Jobs::default(),
            pulls: pull::Pulls::default(),
            heard: Heard::default(),
            states: States::default(),
            readers: native::Readers::default(),
            certificates: push::Certificates::default(),
            refusals: push::Refusals::default(),
            intake: Arc::new(Semaphore::new(INTAKE_AT_ONCE)),
            pressed: Arc::new(Semaphore::new(all_cores_but_one())),
            reads: Arc::new(Semaphore::new(READS_AT_ONCE)),
            queries: Room::new(READS_AT_ONCE, 1, QUERIES, crate::turns::PATIENCE),
            waits: Arc::new(Semaphore::new(WAITS_AT_ONCE)),
            tails: Arc::new(Semaphore::new(TAILS_AT_ONCE)),
            stopping: watch::Sender::new(false),
            revocations: Arc::new(Semaphore::new(REVOCATIONS_AT_ONCE)),
            open_revocations: Arc::default(),
            bodies: Budget::default(),
            started: Instant::now(),
            metrics,
            rules: RwLock::default(),
        }))
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        self.engine.store()
    }

    /// Forgets what is remembered of a person between records: what erasing them calls, after the records are erased.
    pub fn forget(&self, tenant: &Tenant, person: &str) {
        self.memories.forget(tenant, person);
        self.states.forget(tenant.number, person);
    }

    /// A tenant's redaction rules, made once per version of its settings.
    ///
    /// # Errors
    /// Where its settings hold an unusable rule: then nothing is taken in, rather than taken in unredacted.
    pub fn rules(&self, tenant: &Tenant) -> Result<Arc<Rules>, Problem> {
        let cached = |map: &HashMap<u32, (String, Arc<Rules>)>| {
            map.get(&tenant.number)
                .filter(|(settings, _)| *settings == tenant.settings)
                .map(|(_, rules)| Arc::clone(rules))
        };
        if let Some(rules) = cached(&self.rules.read().unwrap_or_else(std::sync::PoisonError::into_inner)) {
            return Ok(rules);
        }
        let rules = Arc::new(intake::rules_of(&tenant.settings)?);
        self.rules
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(tenant.number, (tenant.settings.clone(), Arc::clone(&rules)));
        Ok(rules)
    }
}

/// Every route. `openapi` lists the same ones; a test compares them.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(ops::front))
        .route("/health/live", get(ops::live))
        .route("/health/alive", get(ops::live))
        .route("/health/ready", get(ops::ready))
        .route("/version", get(ops::version))
        .route("/metrics", get(ops::metrics))
        .route("/openapi.json", get(ops::openapi))
        .route("/v1/catalog", get(catalogue::get))
        .route("/v1/t", get(admin::tenants))
        .route("/v1/t/{tenant}", put(admin::put_tenant).get(admin::get_tenant))
        .route("/v1/t/{tenant}/keys", post(admin::create_key).get(admin::keys))
        .route("/v1/t/{tenant}/keys/{id}", delete(admin::revoke_key))
        .route("/v1/t/{tenant}/records", post(intake::post).get(read::records))
        .route("/v1/t/{tenant}/ingest/{system}", post(native::post).get(push::question).options(push::permission))
        .route("/v1/t/{tenant}/unparsed/replay", post(replay::post))
        .route("/v1/t/{tenant}/otlp/v1/traces", post(otlp::tenant_traces))
        .route("/v1/t/{tenant}/otlp/v1/logs", post(otlp::tenant_logs))
        .route("/v1/traces", post(otlp::traces))
        .route("/v1/logs", post(otlp::logs))
        .route("/v1/t/{tenant}/records/{id}", get(read::record))
        .route("/v1/t/{tenant}/records/{id}/proof", get(read::proof))
        .route("/v1/t/{tenant}/as/{system}/records/{id}", get(faces::record))
        .route("/v1/t/{tenant}/as/{system}/{view}", get(faces::page))
        .route("/v1/t/{tenant}/query", post(read::query))
        .route("/v1/t/{tenant}/ask", post(read::ask))
        .route("/v1/t/{tenant}/sql", post(read::sql))
        .route("/v1/t/{tenant}/tail", get(tail::tail))
        .route("/v1/t/{tenant}/sources", get(sources::list))
        .route("/v1/t/{tenant}/sources/{name}", put(sources::put).get(sources::get).delete(sources::remove))
        .route("/v1/t/{tenant}/sources/{name}/fetch", post(pull::fetch_now))
        .route("/v1/t/{tenant}/sources/{name}/check", post(pull::check_now))
        .route("/v1/t/{tenant}/completeness", get(completeness::get))
        .route("/v1/t/{tenant}/jobs", get(jobs::list))
        .route("/v1/t/{tenant}/jobs/{id}", get(jobs::get))
        .route("/v1/t/{tenant}/jobs/{id}/cancel", post(jobs::cancel))
        .route("/v1/t/{tenant}/jobs/{id}/retry", post(jobs::retry))
        .route("/v1/t/{tenant}/sessions/revoke", post(revoke::sessions))
        .route("/v1/t/{tenant}/sessions/{id}/revoke", post(revoke::session))
        .route("/v1/t/{tenant}/grants/revoke", post(revoke::grants))
        .route("/v1/t/{tenant}/grants/{id}/revoke", post(revoke::grant))
        .route("/v1/t/{tenant}/revocations", get(revoke::published))
        .route("/v1/t/{tenant}/revocations/{id}", get(revoke::show))
        .route("/v1/t/{tenant}/{view}", get(read::view))
        .route("/t/{tenant}/log/checkpoint", get(log::checkpoint))
        .route("/t/{tenant}/log/vkey", get(log::vkey))
        .route("/t/{tenant}/log/tile/{*path}", get(log::tile))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(DefaultBodyLimit::max(intake::MAX_BATCH))
        .layer(middleware::from_fn_with_state(app.clone(), body::counted_both))
        .layer(middleware::from_fn_with_state(app.clone(), around))
        .with_state(app)
}

static REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Gives every request an id, times it, and logs it: method, route and status, never addresses or queries.
async fn around(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip());
    let trusted = peer.is_some_and(|p| p.is_loopback() || app.options.trusted_proxies.contains(&p));
    let given = request
        .headers()
        .get(&REQUEST_ID_HEADER)
        .and_then(|v| v.to_str().ok())
        .filter(|id| trusted && !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| (0x21..0x7f).contains(&b)))
        .map(str::to_owned);
    let id = given.unwrap_or_else(|| app.ids.next(app.store().now()));
    if let Ok(value) = HeaderValue::from_str(&id) {
        request.headers_mut().insert(REQUEST_ID_HEADER.clone(), value);
    }
    let method = request.method().clone();
    let route = request.extensions().get::<axum::extract::MatchedPath>().map_or("unmatched", |p| p.as_str()).to_owned();
    let started = Instant::now();
    let trace =
        request.headers().get("traceparent").and_then(|v| v.to_str().ok()).and_then(systems::cloudevents::trace);
    let client = request.extensions_mut().remove::<Client>();
    let answered = async {
        match parameters::check(request.method(), &route, request.uri()) {
            Ok(()) => plain_errors(next.run(request).await),
            Err(problem) => problem.into_response(),
        }
    };
    let mut response = REQUEST_ID.scope(id.clone(), TRACE.scope(trace, CLIENT.scope(client, answered))).await;
    let status = response.status().as_u16();
    let took = started.elapsed();
    metrics::histogram!("indelible_http_request_seconds", "route" => route.clone(), "status" => status.to_string())
        .record(took.as_secs_f64());
    tracing::debug!(%method, route, status, request_id = id, micros = took.as_micros() as u64, "request");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID_HEADER.clone(), value);
    }
    response
}

/// Turns the plain-text refusals of the framework (a body too large, a query that does not parse) into
/// problem documents, so that every error has one form.
fn plain_errors(response: Response) -> Response {
    let status = response.status();
    let plain = response
        .headers()
        .get(axum::http::header::CONTENT_TYPE)
        .is_none_or(|v| v.as_bytes().starts_with(b"text/plain"));
    if !(status.is_client_error() && plain) || response.headers().contains_key("x-plain") {
        return response;
    }
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => body::too_large(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Problem::new(status, "unsupported_media_type", "send the body as application/json")
        }
        _ => Problem::new(
            status,
            "invalid_request",
            "the path, query or body of the request could not be read; see /openapi.json",
        ),
    }
    .into_response()
}
