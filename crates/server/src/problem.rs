//! Problem documents (RFC 9457): the one form of every error answer.
//!
//! What the caller reads is made here; what went wrong inside goes to the log with the same request id.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ledger::Seldom;
use serde_json::{Map, Value, json};

/// An error answer.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<Value>,
    more: Map<String, Value>,
    retry_after: Option<u32>,
    basic: bool,
}

impl Problem {
    /// A problem with a stable code and a sentence that says what to do.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            more: Map::new(),
            retry_after: None,
            basic: false,
        }
    }

    /// 400.
    pub fn bad(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 404, the same words whatever is not there.
    pub fn not_found() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address, or this key may not see it")
    }

    /// 405.
    pub fn method_not_allowed() -> Problem {
        Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this address does not take that method; see /openapi.json",
        )
    }

    /// 503, come back after so many seconds.
    pub fn busy(detail: impl Into<String>, seconds: u32) -> Problem {
        let mut p = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
        p.retry_after = Some(seconds);
        p
    }

    /// 503: the disk took no more. `said` is what became of what was asked.
    pub fn disk_full(said: &str) -> Problem {
        Problem::busy(format!("the server's disk is full or cannot be written to; {said}, send it again later"), 5)
    }

    /// As it is where something has to be recorded before it is answered, and the record could not be taken.
    #[must_use]
    pub fn of_recording(mut self) -> Problem {
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let why = self.detail.split(';').next().unwrap_or_default();
            self.detail = format!(
                "{why}, and what was asked is answered only when a record of it is in the audit log; ask again later"
            );
        }
        self
    }

    /// 500: the cause goes to the log, not to the caller.
    pub fn internal(what: &str, cause: &dyn std::fmt::Display) -> Problem {
        tracing::error!(error = %cause, "{what}");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!("{what}; the server's log says why, under this request id"),
        )
    }

    /// Adds a detail error: a place and what is wrong there.
    #[must_use]
    pub fn error(mut self, error: Value) -> Problem {
        self.errors.push(error);
        self
    }

    /// Says of which parameter or member it is.
    #[must_use]
    pub fn at(self, pointer: &str) -> Problem {
        let error = json!({ "code": self.code, "detail": self.detail, "pointer": pointer });
        self.error(error)
    }

    /// The parameter or member that its sentence names, where nobody said it in another way: the one that it begins with, and of
    /// settings and parameters the first that it has at all.
    fn named(&self) -> Option<&str> {
        let named = match self.code {
            "invalid_settings" | "invalid_source" | "invalid_parameter" => self.detail.split('`').nth(1),
            _ => self.detail.strip_prefix('`').and_then(|rest| rest.split('`').next()),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-[]".contains(c);
        named.filter(|name| !name.is_empty() && name.chars().all(plain))
    }

    /// Adds to its sentence.
    #[must_use]
    pub fn adding(mut self, more: &str) -> Problem {
        self.detail.push_str("; ");
        self.detail.push_str(more);
        self
    }

    /// Adds members of its own.
    #[must_use]
    pub fn with(mut self, more: Map<String, Value>) -> Problem {
        self.more.extend(more);
        self
    }

    /// A 401 that offers HTTP basic authentication too. Not for addresses that a browser asks: it would open a window.
    #[must_use]
    pub fn asking_for_basic(mut self) -> Problem {
        self.basic = true;
        self
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Its sentence.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

tokio::task_local! {
    /// The id of the request being answered.
    pub static REQUEST_ID: String;
    /// Trace and span that its client says it is part of.
    pub static TRACE: Option<(String, String)>;
}

/// Trace and span of the request being answered, where its client named them.
pub fn trace() -> Option<(String, String)> {
    TRACE.try_with(Clone::clone).ok().flatten()
}

/// The id of the request being answered, where there is one.
pub fn request_id() -> Option<String> {
    REQUEST_ID.try_with(Clone::clone).ok()
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        if self.errors.is_empty()
            && self.status == StatusCode::BAD_REQUEST
            && let Some(name) = self.named().map(str::to_owned)
        {
            self = self.at(&name);
        }
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
            "request_id": request_id(),
            "errors": self.errors,
        });
        if let Value::Object(body) = &mut body {
            body.extend(self.more);
        }
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"indelible\""));
            if self.basic {
                headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"indelible\""));
            }
        }
        response
    }
}

impl From<query::Error> for Problem {
    fn from(e: query::Error) -> Problem {
        match e {
            query::Error::Query(e) => {
                let mut p = Problem::bad(e.code, e.to_string());
                let mut place = Map::new();
                place.insert("code".into(), e.code.into());
                place.insert("detail".into(), e.message.clone().into());
                if let Some(span) = &e.span {
                    place.insert("span".into(), json!([span.start, span.end]));
                }
                if let Some(at) = &e.at {
                    place.insert("pointer".into(), at.clone().into());
                }
                if let Some(s) = &e.suggestion {
                    place.insert("suggestion".into(), s.clone().into());
                    // Some messages name it themselves.
                    if !e.message.contains("did you mean") {
                        p.detail = format!("{}; did you mean `{s}`?", p.detail);
                    }
                }
                p.error(Value::Object(place))
            }
            query::Error::Cursor(e) => {
                let problem = Problem::bad("invalid_cursor", e.to_string()).at("cursor");
                if let query::CursorError::Other(what) = e { problem.at(what) } else { problem }
            }
            query::Error::Scope(_) => Problem::new(StatusCode::FORBIDDEN, "missing_scope", e.to_string()),
            query::Error::Limit(what) => Problem::bad("limit", what),
            query::Error::Ended(why) => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "query_timeout",
                format!("{why}; give `from` and `to` nearer to each other, or a filter with fewer or simpler tests"),
            ),
            query::Error::Sql(what) => Problem::bad("invalid_sql", what),
            query::Error::Store(e) => e.into(),
        }
    }
}

impl From<store::Error> for Problem {
    fn from(e: store::Error) -> Problem {
        Problem::internal("the records could not be read", &e)
    }
}

impl From<catalog::Error> for Problem {
    fn from(e: catalog::Error) -> Problem {
        match e {
            catalog::Error::InvalidSlug { .. } => Problem::bad("invalid_tenant", e.to_string()),
            catalog::Error::InvalidSource { .. } => Problem::bad("invalid_source", e.to_string()),
            catalog::Error::InvalidSettings { .. } => Problem::bad("invalid_settings", e.to_string()),
            e if e.is_disk_full() => {
                static SAID: Seldom = Seldom::new();
                if let Some(times) = SAID.due() {
                    tracing::error!(error = %e, times, "the catalog could not be written; its callers were told");
                }
                Problem::disk_full(match e.is_fatal() {
                    true => "whether it was saved is known when there is room",
                    false => "nothing was changed",
                })
            }
            e => Problem::internal("the catalog could not be used", &e),
        }
    }
}

impl From<ledger::SubmitError> for Problem {
    fn from(e: ledger::SubmitError) -> Problem {
        match e {
            ledger::SubmitError::Full(_) => {
                Problem::busy(format!("{e}; nothing of the batch was stored, send it again"), 1)
            }
            ledger::SubmitError::Disk(_) => {
                // The ledger says why in the log.
                Problem::disk_full("nothing of the batch was stored")
            }
            ledger::SubmitError::Stopped(_) => Problem::busy(
                "the server takes no records until it is restarted; whether this batch was stored is not known, and sending it again later is safe where records carry an `id`",
                30,
            ),
            ledger::SubmitError::Stale => Problem::busy("the batch waited too long; send it again", 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_where_the_sentence_names_it() {
        for (code, detail, named) in [
            ("invalid_parameter", "`limit` is a number from 1 to 1000", Some("limit")),
            ("invalid_parameter", "the query of the address: duplicate field `limit`; give each once", Some("limit")),
            ("invalid_settings", "`redaction.kees` is no setting; there are keys", Some("redaction.kees")),
            ("invalid_settings", "the body is a JSON object of settings, `{}` at least", None),
            ("invalid_source", "a setting is unknown or of the wrong type: unknown field `ulr`", Some("ulr")),
            ("missing_field", "`question` is missing", Some("question")),
            ("invalid_scopes", "there is no scope `wirte`", None),
            ("empty_body", "the body has no record", None),
        ] {
            assert_eq!(Problem::bad(code, detail).named(), named, "{detail}");
        }
    }

    #[test]
    fn a_full_disk_is_503_whoever_met_it_and_each_says_what_became_of_what_was_asked() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let catalog = catalog::Error::File { action: "write", path: "catalog.db".into(), source: full };
        let (of_catalog, of_ledger) = (Problem::from(catalog), Problem::from(ledger::SubmitError::Disk("full".into())));
        for problem in [&of_catalog, &of_ledger] {
            assert_eq!((problem.status().as_u16(), problem.retry_after), (503, Some(5)), "{problem:?}");
            assert!(problem.detail().contains("disk is full"), "{problem:?}");
        }
        assert!(of_catalog.detail().contains("nothing was changed"));
        assert!(of_ledger.detail().contains("nothing of the batch was stored"));
        let of_reading = of_ledger.of_recording();
        assert!(of_reading.detail().contains("audit log") && !of_reading.detail().contains("batch"), "{of_reading:?}");
        assert_eq!(of_reading.retry_after, Some(5));
    }
}
