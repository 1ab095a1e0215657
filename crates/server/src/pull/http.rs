//! The one way out: a request to a system that is fetched from, on a thread that may block.
//!
//! Follows no redirect, reads 16 MiB at most, and tells in no error what was asked or answered, for both hold secrets.

use crate::intake::MAX_BATCH;
use std::net::IpAddr;
use std::time::Duration;
use systems::pull::{Answer, Ask, Trouble};
use ureq::http::{Request, Uri};
use ureq::{Agent, Proxy};

/// From the first byte of the request to the last of the answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client of one system.
#[derive(Debug, Clone)]
pub(super) struct Http(Agent);

/// An answer with its bytes.
pub(super) struct Got {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Got {
    pub(super) fn answer(&self) -> Answer<'_> {
        Answer { status: self.status, headers: &self.headers, body: &self.body }
    }
}

impl Http {
    /// A client for the system at this address.
    pub(super) fn new(base: &str, version: &str) -> Http {
        let uri: Uri = base.parse().unwrap_or_default();
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(format!("indelible/{version}"))
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_global(Some(PATIENCE))
            .proxy(if here { None } else { Proxy::try_from_env() })
            .build();
        Http(config.new_agent())
    }

    /// Sends a request and reads the answer, whatever its status.
    pub(super) async fn send(&self, ask: Ask, request_id: &str) -> Result<Got, Trouble> {
        let (agent, request_id) = (self.0.clone(), request_id.to_owned());
        tokio::task::spawn_blocking(move || send(&agent, ask, &request_id))
            .await
            .map_err(|_| Trouble::Later(None, "the request was broken off here".into()))?
    }
}

fn send(agent: &Agent, ask: Ask, request_id: &str) -> Result<Got, Trouble> {
    let mut request = Request::builder().method(ask.method).uri(&ask.url).header("x-request-id", request_id);
    for (name, value) in &ask.headers {
        request = request.header(*name, value);
    }
    let unusable = |_| Trouble::Refused("the settings make no request that can be sent; check `url`".into());
    let response = if ask.method == "GET" {
        agent.run(request.body(()).map_err(unusable)?)
    } else {
        agent.run(request.body(ask.body).map_err(unusable)?)
    };
    let response = response.map_err(|e| trouble(&e))?;
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    // What says that it is too large need not be read to know it.
    let length = response.headers().get("content-length").and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if status == 200 && length.is_some_and(|length| length > MAX_BATCH as u64) {
        return Err(Trouble::TooLarge);
    }
    let body = response.into_body().with_config().limit(MAX_BATCH as u64).read_to_vec().map_err(|e| trouble(&e))?;
    Ok(Got { status, headers, body })
}

/// How the standard library's errors of looking a host up begin; they have no kind of their own.
const UNRESOLVED: &str = "failed to lookup address information";
const NO_TLS: &str = "what answers there does not speak TLS; check `url`";

/// What a handshake that failed says.
fn no_tls(inside: Option<&(dyn std::error::Error + Send + Sync + 'static)>) -> &'static str {
    match inside.and_then(|e| e.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(_)) => NO_TLS,
        _ => "its certificate is not trusted here",
    }
}

/// Only the sort of failure: an error's own text may quote the request.
fn trouble(error: &ureq::Error) -> Trouble {
    let why = match error {
        ureq::Error::Timeout(_) => "it did not answer in time",
        ureq::Error::HostNotFound => "its host name is not known",
        ureq::Error::ConnectionFailed => "it cannot be connected to",
        ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => "it refuses connections",
        ureq::Error::Io(e) if e.to_string().starts_with(UNRESOLVED) => "its host name is not known",
        ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => no_tls(e.get_ref()),
        ureq::Error::Rustls(rustls::Error::InvalidMessage(_)) => NO_TLS,
        ureq::Error::Io(_) | ureq::Error::Protocol(_) => "the connection broke off",
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => "its certificate is not trusted here",
        ureq::Error::BodyExceedsLimit(_) => return Trouble::TooLarge,
        _ => "the request failed",
    };
    Trouble::Later(None, why.to_owned())
}
