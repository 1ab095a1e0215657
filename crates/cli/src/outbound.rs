//! What the server reads from addresses of others: by way of a proxy and with certificate authorities of one's own, where settings name them.
//!
//! Owns the connection. Which addresses are read, and when, is `server`'s matter.

use crate::client::Failure;
use crate::client::http::certificates;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Proxy};

/// How long one address may take in all. Senders wait for us meanwhile, SNS 15 s.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads over HTTPS, and nothing else.
#[derive(Debug)]
pub struct Outbound(Agent);

impl Outbound {
    /// With these settings; without a proxy it goes there itself, and without a file the public authorities are trusted.
    ///
    /// # Errors
    /// A proxy's address, or a file of certificates, that cannot be used.
    pub fn new(proxy: Option<&str>, ca_file: Option<&Path>) -> Result<Outbound, Failure> {
        let proxy = proxy.map(Proxy::new).transpose();
        // Not the address itself: it may have a password in it.
        let proxy = proxy.map_err(|e| Failure::other(format!("`outbound_proxy` cannot be used: {e}")))?;
        let roots = match ca_file {
            None => RootCerts::WebPki,
            Some(path) => RootCerts::from(certificates(path)?.into_iter()),
        };
        let config = Agent::config_builder()
            .https_only(true)
            .max_redirects(0)
            .proxy(proxy)
            .timeout_global(Some(PATIENCE))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        Ok(Outbound(config.new_agent()))
    }
}

impl server::Fetch for Outbound {
    fn get(&self, url: &str, most: usize) -> Result<Vec<u8>, String> {
        let mut answer = self.0.get(url).call().map_err(|e| e.to_string())?;
        if answer.status() != 200 {
            return Err(format!("the answer is a {}", answer.status()));
        }
        let mut out = Vec::new();
        let limit = most as u64 + 1;
        answer.body_mut().as_reader().take(limit).read_to_end(&mut out).map_err(|e| e.to_string())?;
        if out.len() > most {
            return Err(format!("the answer is longer than {most} bytes"));
        }
        Ok(out)
    }
}
