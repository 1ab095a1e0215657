//! OTLP over HTTP: where OpenTelemetry's exporters send traces and logs, and what they want to hear.
//!
//! Owns the addresses, the two encodings of an answer (Protocol Buffers and JSON, as the request had it), partial success, and which
//! tenant is meant where the address names none: exporters such as Ory's know a host only, so it is the key's. What a trace or
//! log record means is `systems`' matter.
//!
//! The specification is <https://opentelemetry.io/docs/specs/otlp/#otlphttp>. Exporters send again after 429, 502, 503 and 504, and throw
//! away what got any other error; so an answer that says "later" is a 503 here, with `Retry-After`.

use crate::app::App;
use crate::auth;
use crate::intake::Taken;
use crate::native::{self, Empty, Posted, Reader};
use crate::problem::Problem;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use systems::System;
use systems::protobuf::{put_bytes, put_number};

/// What is exported.
#[derive(Debug, Clone, Copy)]
enum Signal {
    Traces,
    Logs,
}

impl Signal {
    /// Of traces it is Ory's events that are records; any log record is one.
    fn reader(self) -> Reader {
        let system: &'static dyn System = match self {
            Signal::Traces => &systems::ory::Ory,
            Signal::Logs => &systems::otlp::Otlp,
        };
        Reader::known(system, TimeZone::UTC)
    }

    fn rejected(self) -> &'static str {
        match self {
            Signal::Traces => "rejectedSpans",
            Signal::Logs => "rejectedLogRecords",
        }
    }
}

/// How a request, and so its answer, is written.
#[derive(Debug, Clone, Copy)]
enum Form {
    Protobuf,
    Json,
}

impl Form {
    fn of(headers: &HeaderMap) -> Option<Form> {
        let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Some(Form::Protobuf),
            "application/json" => Some(Form::Json),
            _ => None,
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Form::Protobuf => "application/x-protobuf",
            Form::Json => "application/json",
        })
    }
}

/// `POST /v1/t/{tenant}/otlp/v1/traces`.
///
/// # Errors
/// Only where the form of the answer is not known; then it is a problem document.
pub async fn tenant_traces(
    State(app): State<App>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    export(&app, Some(slug), Signal::Traces, &headers, body).await
}

/// `POST /v1/t/{tenant}/otlp/v1/logs`.
///
/// # Errors
/// As [`tenant_traces`].
pub async fn tenant_logs(
    State(app): State<App>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    export(&app, Some(slug), Signal::Logs, &headers, body).await
}

/// `POST /v1/traces`, for the tenant that the key belongs to.
///
/// # Errors
/// As [`tenant_traces`].
pub async fn traces(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    export(&app, None, Signal::Traces, &headers, body).await
}

/// `POST /v1/logs`, for the tenant that the key belongs to.
///
/// # Errors
/// As [`tenant_traces`].
pub async fn logs(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    export(&app, None, Signal::Logs, &headers, body).await
}

async fn export(
    app: &App,
    slug: Option<String>,
    signal: Signal,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let form = Form::of(headers).ok_or_else(|| {
        Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "OTLP over HTTP is application/x-protobuf or application/json",
        )
    })?;
    Ok(match take(app, slug, signal, headers, body).await {
        Ok(taken) => success(form, signal, &taken),
        Err(problem) => failure(form, problem),
    })
}

async fn take(
    app: &App,
    slug: Option<String>,
    signal: Signal,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Taken, Problem> {
    let slug = match slug {
        Some(slug) => slug,
        None => own_tenant(app, headers)?,
    };
    let caller = auth::writer(app, headers, &slug)?;
    let reader = signal.reader();
    let posted = Posted::new(headers, body).of(reader.system.name(), &caller.principal.key_id);
    native::take(app, &caller.tenant, reader, posted, Empty::Taken).await
}

/// The tenant that the request's key belongs to.
fn own_tenant(app: &App, headers: &HeaderMap) -> Result<String, Problem> {
    let number = auth::principal(app, headers).map_err(Problem::asking_for_basic)?.tenant;
    let tenant = number.and_then(|number| app.store().catalog().tenant_by_number(number));
    tenant.map(|tenant| tenant.slug.clone()).ok_or_else(|| {
        Problem::bad(
            "tenant_needed",
            "an administrator's key belongs to no tenant; use a tenant's key, or send to /v1/t/{tenant}/otlp/v1/…",
        )
    })
}

/// `ExportTraceServiceResponse` or `ExportLogsServiceResponse`, which have the same shape: empty, or what was not taken. A
/// message with nothing rejected is a warning.
fn success(form: Form, signal: Signal, taken: &Taken) -> Response {
    let rejected = taken.refused.len();
    let message = said(taken);
    let body = match (form, message.is_empty()) {
        (Form::Protobuf, true) => Body::empty(),
        (Form::Protobuf, false) => {
            let (mut partial, mut out) = (Vec::new(), Vec::new());
            put_number(&mut partial, 1, rejected as u64);
            put_bytes(&mut partial, 2, message.as_bytes());
            put_bytes(&mut out, 1, &partial);
            Body::from(out)
        }
        (Form::Json, true) => Body::from("{}"),
        // 64 bits stand in quotes in the JSON of Protocol Buffers.
        (Form::Json, false) => {
            let partial = json!({ signal.rejected(): rejected.to_string(), "errorMessage": message });
            Body::from(json!({ "partialSuccess": partial }).to_string())
        }
    };
    ([(header::CONTENT_TYPE, form.content_type())], body).into_response()
}

/// What a sender should know of a request that was taken: its first refused record, and how many were not understood.
fn said(taken: &Taken) -> String {
    let mut parts = Vec::new();
    if let Some((line, code, _, detail)) = taken.refused.first() {
        parts.push(format!(
            "{} refused, and all others stored; the first is number {line}: {code}: {detail}",
            taken.refused.len()
        ));
    }
    if let Some((line, code, detail)) = taken.unparsed.first() {
        parts.push(format!(
            "{} not understood and kept as they came; the first is number {line}: {code}: {detail}",
            taken.unparsed.len()
        ));
    }
    parts.join("; ")
}

/// What is answered to a request whose body was not read, in the form that its sender reads. A body that comes too slowly is told to
/// come later: exporters throw away what got a 408.
pub(crate) fn unread(path: &str, headers: &HeaderMap, problem: Problem) -> Response {
    let ours = matches!(path, "/v1/logs" | "/v1/traces")
        || path.starts_with("/v1/t/") && (path.ends_with("/otlp/v1/logs") || path.ends_with("/otlp/v1/traces"));
    match Form::of(headers).filter(|_| ours) {
        None => problem.into_response(),
        Some(form) if problem.status() == StatusCode::REQUEST_TIMEOUT => {
            failure(form, Problem::busy(problem.detail().to_owned(), 1))
        }
        Some(form) => failure(form, problem),
    }
}

/// A problem as `google.rpc.Status`, which is what exporters show. Headers stay.
fn failure(form: Form, problem: Problem) -> Response {
    let code: u64 = match problem.status() {
        StatusCode::UNAUTHORIZED => 16,
        StatusCode::FORBIDDEN => 7,
        StatusCode::NOT_FOUND => 5,
        StatusCode::PAYLOAD_TOO_LARGE => 8,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        status if status.is_server_error() => 13,
        _ => 3,
    };
    let message = format!("{}: {}", problem.code(), problem.detail());
    let body = match form {
        Form::Protobuf => {
            let mut out = Vec::new();
            put_number(&mut out, 1, code);
            put_bytes(&mut out, 2, message.as_bytes());
            Body::from(out)
        }
        Form::Json => Body::from(Value::to_string(&json!({ "code": code, "message": message }))),
    };
    let (mut parts, _) = problem.into_response().into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, form.content_type());
    Response::from_parts(parts, body)
}
