//! A small blocking client: status, headers and body, whatever they are.

use serde_json::Value;
use std::fmt;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{HeaderMap, Method, Request};

/// One server, and the key to use with it.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    pub base: String,
    key: Option<String>,
}

/// An answer.
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Client {
    pub fn new(base: &str, key: Option<&str>) -> Client {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .new_agent();
        Client { agent, base: base.to_owned(), key: key.map(str::to_owned) }
    }

    pub fn with_key(&self, key: &str) -> Client {
        Client { key: Some(key.to_owned()), ..self.clone() }
    }

    /// Its key.
    pub fn key(&self) -> &str {
        self.key.as_deref().unwrap_or_default()
    }

    /// The same key at another server.
    pub fn with_base(&self, other: &Client) -> Client {
        Client { base: other.base.clone(), ..self.clone() }
    }

    pub fn anonymous(&self) -> Client {
        Client { key: None, ..self.clone() }
    }

    /// Sends a request; an error only where no answer came.
    pub fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply, ureq::Error> {
        let mut request = Request::builder().method(method.clone()).uri(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = if matches!(method, Method::GET | Method::DELETE | Method::OPTIONS) {
            self.agent.run(request.body(())?)?
        } else {
            self.agent.run(request.body(body)?)?
        };
        let (parts, mut body) = response.into_parts();
        let body = body.with_config().limit(256 << 20).read_to_vec()?;
        Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    fn must(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.send(method.clone(), path, headers, body).unwrap_or_else(|e| panic!("{method} {path}: no answer: {e}"))
    }

    pub fn get(&self, path: &str) -> Reply {
        self.must(Method::GET, path, &[], b"")
    }

    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.must(Method::GET, path, headers, b"")
    }

    pub fn delete(&self, path: &str) -> Reply {
        self.must(Method::DELETE, path, &[], b"")
    }

    pub fn put_with(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.must(Method::PUT, path, headers, body.as_bytes())
    }

    pub fn put(&self, path: &str, body: &str) -> Reply {
        self.must(Method::PUT, path, &[("content-type", "application/json")], body.as_bytes())
    }

    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Reply {
        self.must(Method::POST, path, &[("content-type", "application/json")], body.as_ref())
    }

    pub fn post_with(&self, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Reply {
        self.must(Method::POST, path, headers, body.as_ref())
    }

    /// Writes records to a tenant and expects all of them to be taken.
    pub fn write(&self, tenant: &str, records: &[Value]) -> Value {
        let body: Vec<String> = records.iter().map(Value::to_string).collect();
        let answer = self.post(&format!("/v1/t/{tenant}/records?receipts=full"), body.join("\n")).ok();
        assert_eq!(answer["rejected"], 0, "{answer}");
        answer
    }

    /// The items of a page of a view. `query` holds pairs that are encoded here.
    pub fn page(&self, tenant: &str, view: &str, query: &[(&str, &str)]) -> Value {
        self.get(&format!("/v1/t/{tenant}/{view}{}", encode_query(query))).ok()
    }

    /// The values of one member of every item of a page.
    pub fn column(&self, tenant: &str, view: &str, query: &[(&str, &str)], member: &str) -> Vec<String> {
        let page = self.page(tenant, view, query);
        let items = page["items"].as_array().unwrap_or_else(|| panic!("no items in {page}"));
        items.iter().map(|i| i[member].as_str().map_or_else(|| i[member].to_string(), str::to_owned)).collect()
    }

    /// Rows of a SQL answer.
    pub fn sql(&self, tenant: &str, sql: &str) -> Vec<Value> {
        let answer = self.post(&format!("/v1/t/{tenant}/sql"), serde_json::json!({ "sql": sql }).to_string()).ok();
        answer["rows"].as_array().unwrap_or_else(|| panic!("no rows in {answer}")).clone()
    }

    /// The body of an answer to be read as it comes.
    pub fn stream(&self, path: &str, headers: &[(&str, &str)]) -> impl std::io::Read + use<> {
        let mut request = Request::builder().method(Method::GET).uri(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.agent.run(request.body(()).unwrap()).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(response.status(), 200, "{path}");
        response.into_body().into_reader()
    }
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{self} is not JSON: {e}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// The JSON of a 200.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self}");
        self.json()
    }

    /// The problem document of an error with this status and code, checked for its form.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self}");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{self}");
        assert_eq!(problem["status"], status, "{self}");
        assert!(problem["errors"].is_array(), "a problem has `errors`: {self}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.len() > 10, "a problem says what is wrong: {self}");
        let id = problem["request_id"].as_str().unwrap_or_default();
        assert!(!id.is_empty() && id == self.header("x-request-id"), "a problem has its request's id: {self}");
        problem
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.text().chars().take(2000).collect();
        write!(f, "status {}: {text}", self.status)
    }
}

/// `text` as one segment of a path or one value of a query.
pub fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

pub fn encode_query(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={}", encode(v))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}
