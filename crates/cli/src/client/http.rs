//! One blocking HTTP client for all commands: address, key, timeouts, and problem documents made readable.
//!
//! Owns how a status becomes an exit code. Not here: retries (`ingest`, `tail`) and what answers mean.

use std::io::Read;
use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::{Method, Request, Response, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy};

use super::{Connect, Exit, Failure};

/// The largest answer that is read into memory.
pub const MAX_ANSWER: u64 = 256 << 20;
/// The largest problem document that is looked at: of a batch of 10,000 records each of which is refused, with all the reasons.
const MAX_PROBLEM: u64 = 16 << 20;

/// A server and the key to use with it.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    base: String,
    key: Option<String>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: Method,
    /// Path below the server's address, already encoded, with its query.
    pub path: String,
    /// What to accept.
    pub accept: &'a str,
    /// Type and bytes of the body.
    pub body: Option<(&'a str, &'a [u8])>,
    /// Where a stream is to go on.
    pub last_event_id: Option<&'a str>,
    /// What is the same at each try of the request.
    pub idempotency_key: Option<&'a str>,
    /// How long the answer's head may take.
    pub patience: Duration,
    /// How long the connection may be silent within the answer's body.
    pub silence: Duration,
}

impl<'a> Ask<'a> {
    /// A `GET` of JSON.
    pub fn get(path: impl Into<String>) -> Ask<'a> {
        Ask {
            method: Method::GET,
            path: path.into(),
            accept: "application/json",
            body: None,
            last_event_id: None,
            idempotency_key: None,
            patience: Duration::from_secs(120),
            silence: Duration::from_secs(120),
        }
    }

    /// The same with another method and a JSON body.
    pub fn json(method: Method, path: impl Into<String>, body: &'a str) -> Ask<'a> {
        Ask { method, body: Some(("application/json", body.as_bytes())), ..Ask::get(path) }
    }
}

/// Why there is no answer to use.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// No answer, or none that came through whole.
    Connection(String),
    /// The server said no.
    Problem(Box<Problem>),
    /// What came is no answer that can be used, or nothing could be asked: trying again is of no use.
    Unusable(String),
}

/// A problem document, or what there was in its place.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// The status of the response itself.
    #[serde(skip)]
    pub status: u16,
    /// How long to wait before the next try.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// Stable code.
    pub code: String,
    /// Short name of the kind of problem.
    pub title: String,
    /// What is wrong here and what to do.
    pub detail: String,
    /// Finds the request in the server's log.
    pub request_id: String,
    /// Each thing that is wrong.
    pub errors: Vec<ProblemItem>,
    /// The document as it came.
    #[serde(skip)]
    pub body: String,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ProblemItem {
    /// Where, as a JSON pointer or a name.
    pub pointer: String,
    /// Stable code.
    pub code: String,
    /// What is wrong.
    pub detail: String,
}

impl Problem {
    /// What went wrong, in one line.
    pub fn line(&self) -> String {
        let said = [&self.detail, &self.title].into_iter().find(|text| !text.is_empty());
        let said = said.map_or("the server refused without saying why", String::as_str);
        let mut line = said.to_owned();
        // One that the sentence ends with, behind the same place, says nothing new.
        let news = |item: &&ProblemItem| !item.detail.is_empty() && !said.ends_with(item.detail.as_str());
        for item in self.errors.iter().filter(news).take(3) {
            let place = if item.pointer.is_empty() { String::new() } else { format!("{}: ", item.pointer) };
            line.push_str(&format!("; {place}{}", item.detail));
        }
        if self.errors.len() > 3 {
            line.push_str(&format!("; and {} more", self.errors.len() - 3));
        }
        line.push_str(&format!(" ({}", self.status));
        for (name, value) in
            [("", &self.code), ("request ", &self.request_id)].iter().filter(|(_, value)| !value.is_empty())
        {
            line.push_str(&format!(", {name}{value}"));
        }
        line + ")"
    }

    /// Whether the same request may work later.
    pub fn is_temporary(&self) -> bool {
        matches!(self.status, 429 | 502 | 503 | 504)
    }

    fn exit(&self) -> Exit {
        match self.status {
            401 | 403 => Exit::Denied,
            404 | 410 => Exit::NotFound,
            _ if self.is_temporary() => Exit::Unavailable,
            _ => Exit::Failure,
        }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Connection(message) => Failure::new(Exit::Unavailable, message),
            Trouble::Unusable(message) => Failure::other(message),
            Trouble::Problem(problem) => {
                let hint = match problem.status {
                    401 => "; set INDELIBLE_KEY or INDELIBLE_KEY_FILE to a valid key",
                    _ => "",
                };
                Failure::new(problem.exit(), problem.line() + hint)
            }
        }
    }
}

/// A good answer, its body still to be read.
#[derive(Debug)]
pub struct Reply {
    response: Response<Body>,
    from: String,
}

impl Client {
    /// The client for a server.
    ///
    /// # Errors
    /// An address that is none, or a key or certificate file that cannot be read.
    pub fn new(connect: &Connect) -> Result<Client, Failure> {
        let base = connect.url.trim_end_matches('/').to_owned();
        let usage = |what: String| Failure::new(Exit::Usage, what);
        let uri: Uri = base.parse().map_err(|e| usage(format!("{base:?} is not an address: {e}")))?;
        let host = uri.host().unwrap_or_default().to_owned();
        if !matches!(uri.scheme_str(), Some("http" | "https")) || host.is_empty() {
            return Err(usage(format!("{base:?} is not an address; it begins with http:// or https://")));
        }
        if uri.query().is_some() || uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err(usage(
                "the server's address takes neither a user nor a query; keys go into INDELIBLE_KEY".into(),
            ));
        }
        let roots = match &connect.ca_file {
            None => RootCerts::WebPki,
            Some(path) => RootCerts::from(certificates(path)?.into_iter()),
        };
        // ureq's `rustls` feature brings ring and uses it by name: no process-wide provider is needed or disturbed.
        let tls = TlsConfig::builder().root_certs(roots).build();
        let here =
            host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("indelible/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(10)))
            .tls_config(tls)
            .proxy(if here { None } else { Proxy::try_from_env() })
            .build();
        Ok(Client { agent: config.new_agent(), base, key: find_key(connect)? })
    }

    /// The server's address, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request. Anything but a status of 200 to 299 is trouble.
    ///
    /// # Errors
    /// [`Trouble`], with the server's own words where it has some.
    pub fn call(&self, ask: &Ask<'_>) -> Result<Reply, Trouble> {
        let from = format!("{}{}", self.base, ask.path);
        let unreachable = |e: ureq::Error| {
            let message = format!("no answer from {}: {}", self.base, reason(&e));
            // A wrong certificate or an address that cannot be sent stays so.
            let stays = match &e {
                ureq::Error::Http(_) | ureq::Error::BadUri(_) | ureq::Error::Tls(_) | ureq::Error::Rustls(_) => true,
                ureq::Error::Io(e) => e.kind() == std::io::ErrorKind::InvalidData,
                _ => false,
            };
            if stays { Trouble::Unusable(message) } else { Trouble::Connection(message) }
        };
        let mut request = Request::builder().method(&ask.method).uri(&from).header("accept", ask.accept);
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if let Some(id) = ask.last_event_id {
            request = request.header("last-event-id", id);
        }
        if let Some(key) = ask.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if let Some((kind, _)) = ask.body {
            request = request.header("content-type", kind);
        }
        let (patience, silence) = (ask.patience, ask.silence);
        macro_rules! send {
            ($body:expr) => {{
                let request = request.body($body).map_err(|e| unreachable(e.into()))?;
                let request = self.agent.configure_request(request);
                let request =
                    request.timeout_recv_response(Some(patience)).timeout_per_read(Some(silence.max(patience)));
                self.agent.run(request.timeout_per_write(Some(Duration::from_secs(60))).build())
            }};
        }
        let response = match ask.body {
            Some((_, bytes)) => send!(bytes),
            None => send!(()),
        };
        let response = response.map_err(unreachable)?;
        if response.status().is_success() {
            return Ok(Reply { response, from });
        }
        Err(Trouble::Problem(Box::new(problem(response))))
    }
}

impl Reply {
    /// The value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The whole body.
    ///
    /// # Errors
    /// A connection that breaks off, or more than `limit` bytes.
    pub fn bytes(self, limit: u64) -> Result<Vec<u8>, Trouble> {
        let (from, mut body) = (self.from, self.response.into_body());
        let read = body.with_config().limit(limit).read_to_vec();
        read.map_err(|e| Trouble::Connection(format!("the answer of {from} broke off: {}", reason(&e))))
    }

    /// The whole body as text.
    ///
    /// # Errors
    /// As [`Reply::bytes`], and bytes that are not UTF-8.
    pub fn text(self) -> Result<String, Failure> {
        let from = self.from.clone();
        let bytes = self.bytes(MAX_ANSWER)?;
        String::from_utf8(bytes)
            .map_err(|_| Failure::other(format!("the answer of {from} is not text; is this an Indelible server?")))
    }

    /// The body as it comes.
    pub fn reader(self) -> impl Read + Send + 'static {
        self.response.into_body().into_with_config().limit(u64::MAX).reader()
    }
}

/// Reads JSON that a server sent.
pub fn parse<'t, T: Deserialize<'t>>(text: &'t str, from: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|e| {
        Failure::other(format!(
            "the answer of {from} is not of the shape expected ({e}); is this an Indelible server of this version?"
        ))
    })
}

/// `text` as one segment of a path or one value of a query.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            // A segment of dots alone would be taken for a way up.
            b'.' if !text.bytes().all(|b| b == b'.') => out.push('.'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The path of something of a tenant: `/v1/t/{tenant}/{a}/{b}`.
pub fn tenant_path(tenant: &str, rest: &[&str]) -> String {
    let mut path = format!("/v1/t/{}", encode(tenant));
    for part in rest {
        path.push('/');
        path.push_str(&encode(part));
    }
    path
}

/// A query of the pairs that have a value.
pub fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let given = pairs.iter().filter_map(|(name, value)| Some(format!("{name}={}", encode((*value)?))));
    let joined = given.collect::<Vec<_>>().join("&");
    if joined.is_empty() { joined } else { format!("?{joined}") }
}

fn problem(response: Response<Body>) -> Problem {
    let status = response.status();
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let retry_after = header("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let location = header("location").filter(|_| status.is_redirection());
    let text =
        response.into_body().with_config().limit(MAX_PROBLEM).lossy_utf8(true).read_to_string().unwrap_or_default();
    let mut problem: Problem = serde_json::from_str(&text).unwrap_or_default();
    if let Some(to) = location {
        problem.detail = format!("the server sends us on to {to}; use that as --url");
    }
    if problem.detail.is_empty() && problem.title.is_empty() {
        problem.title = status.canonical_reason().unwrap_or("refused").to_lowercase();
    }
    problem.status = status.as_u16();
    problem.retry_after = retry_after;
    problem.body = text;
    problem
}

/// What ureq says, without its own name for it.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(e) => e.to_string(),
        ureq::Error::HostNotFound => "there is no such host".to_owned(),
        ureq::Error::ConnectionFailed => "nobody answers there; is the server running?".to_owned(),
        other => other.to_string(),
    }
}

/// The certificates in a PEM file.
///
/// # Errors
/// One that cannot be read, or holds none.
pub(crate) fn certificates(path: &std::path::Path) -> Result<Vec<ureq::tls::Certificate<'static>>, Failure> {
    let bytes = std::fs::read(path).map_err(|e| Failure::file("read", path, &e))?;
    let mut found = Vec::new();
    for item in parse_pem(&bytes) {
        if let PemItem::Certificate(certificate) =
            item.map_err(|e| Failure::other(format!("{}: {e}", path.display())))?
        {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err(Failure::other(format!("{} holds no certificate", path.display())));
    }
    Ok(found)
}

/// The key: the file of the flag, then the environment's key, then the environment's file.
fn find_key(connect: &Connect) -> Result<Option<String>, Failure> {
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let key = match (&connect.key_file, environment("INDELIBLE_KEY"), environment("INDELIBLE_KEY_FILE")) {
        (Some(path), ..) => Some(read_key(path)?),
        (None, Some(key), _) => Some(key),
        (None, None, Some(path)) => Some(read_key(path.as_ref())?),
        (None, None, None) => None,
    };
    let key = key.map(|key| key.trim().to_owned());
    if key.as_ref().is_some_and(|key| key.is_empty() || !key.bytes().all(|b| (0x21..0x7f).contains(&b))) {
        return Err(Failure::new(Exit::Usage, "the key is empty or holds other than printable characters"));
    }
    Ok(key)
}

fn read_key(path: &std::path::Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| Failure::file("read the key in", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The JSON at a path.
    fn fetch(client: &Client) -> Result<serde_json::Value, Failure> {
        parse(&client.call(&Ask::get("/x"))?.text()?, "/x")
    }

    use crate::client::testing::{Fake, connect};

    #[test]
    fn statuses_become_exit_codes() {
        let cases: [(u16, Exit); 8] = [
            (400, Exit::Failure),
            (401, Exit::Denied),
            (403, Exit::Denied),
            (404, Exit::NotFound),
            (409, Exit::Failure),
            (429, Exit::Unavailable),
            (500, Exit::Failure),
            (503, Exit::Unavailable),
        ];
        for (status, exit) in cases {
            let fake = Fake::new(move |_| {
                (status, r#"{"code":"c","detail":"what\u001b[2J is wrong","request_id":"r1","errors":[{"pointer":"/q","detail":"here"}]}"#.to_owned())
            });
            let client = Client::new(&connect(&fake.url)).unwrap();
            let failure = fetch(&client).unwrap_err();
            assert_eq!(failure.exit, exit, "{status}");
            assert!(
                failure.message.starts_with(&format!("what\u{1b}[2J is wrong; /q: here ({status}, c, request r1)")),
                "{failure}"
            );
        }
    }

    #[test]
    fn nobody_there_is_unavailable() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let client = Client::new(&connect(&format!("http://127.0.0.1:{port}"))).unwrap();
        assert_eq!(fetch(&client).unwrap_err().exit, Exit::Unavailable);
    }

    #[test]
    fn what_is_no_answer_of_ours_is_a_failure() {
        let fake = Fake::new(|_| (200, "<html>".to_owned()));
        let client = Client::new(&connect(&fake.url)).unwrap();
        assert_eq!(fetch(&client).unwrap_err().exit, Exit::Failure);
        let moved = Fake::new(|_| (302, String::new()));
        let client = Client::new(&connect(&moved.url)).unwrap();
        assert_eq!(fetch(&client).unwrap_err().exit, Exit::Failure);
    }

    #[test]
    fn addresses_are_checked_before_anything_is_sent() {
        for bad in ["", "localhost:7440", "ftp://h", "http://", "http://u:p@h", "http://h/?a=b"] {
            assert_eq!(Client::new(&connect(bad)).map(|_| ()).unwrap_err().exit, Exit::Usage, "{bad}");
        }
        for good in ["http://h:1/", "https://h/base"] {
            assert!(Client::new(&connect(good)).is_ok(), "{good}");
        }
    }

    #[test]
    fn the_key_goes_into_the_header_from_a_file() {
        let fake = Fake::new(|request| (200, format!("{:?}", request.header("authorization"))));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "abc_def\n").unwrap();
        let with = Connect { key_file: Some(path.clone()), ..connect(&fake.url) };
        let text = Client::new(&with).unwrap().call(&Ask::get("/x")).unwrap().text().unwrap();
        assert_eq!(text, r#"Some("Bearer abc_def")"#);
        std::fs::write(&path, "two\nlines").unwrap();
        assert_eq!(Client::new(&with).map(|_| ()).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn paths_keep_what_ids_may_hold() {
        assert_eq!(tenant_path("a/b", &["records", "x y%?#"]), "/v1/t/a%2Fb/records/x%20y%25%3F%23");
        assert_eq!(tenant_path("..", &["a.b"]), "/v1/t/%2E%2E/a.b");
        assert_eq!(query(&[("q", Some("a:b")), ("from", None), ("limit", Some("3"))]), "?q=a%3Ab&limit=3");
        assert_eq!(query(&[("q", None)]), "");
    }
}
