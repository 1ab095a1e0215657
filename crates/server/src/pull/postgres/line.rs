//! A connection to a database: address, TCP, TLS as `sslmode` says, and a deadline for every wait.
//!
//! Owns the bytes' way. Every read and write ends at [`Patience`]'s deadline, or when it was given up from outside.

use super::talk::broken;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use systems::pull::Trouble;
use systems::pull::sql::{Database, SslMode};

/// What asks for TLS before anything else is said.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const CONNECT: Duration = Duration::from_secs(10);
/// How soon it is seen that nobody waits any more.
const BEAT: Duration = Duration::from_millis(200);

/// How long is waited, and whether still.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    pub until: Instant,
    pub given_up: Arc<AtomicBool>,
}

impl Patience {
    /// How long the next wait may be.
    fn left(&self) -> io::Result<Duration> {
        if self.given_up.load(Ordering::Relaxed) {
            return Err(ErrorKind::TimedOut.into());
        }
        match self.until.saturating_duration_since(Instant::now()).min(BEAT) {
            Duration::ZERO => Err(ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }
}

/// A TCP connection whose waits end.
#[derive(Debug)]
pub(super) struct Tcp {
    stream: TcpStream,
    patience: Patience,
}

impl Tcp {
    fn patiently<T>(&mut self, mut step: impl FnMut(&mut TcpStream) -> io::Result<T>) -> io::Result<T> {
        loop {
            let left = Some(self.patience.left()?);
            self.stream.set_read_timeout(left)?;
            self.stream.set_write_timeout(left)?;
            match step(&mut self.stream) {
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
                done => return done,
            }
        }
    }
}

impl Read for Tcp {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.patiently(|stream| stream.read(into))
    }
}

impl Write for Tcp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.patiently(|stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A connection, protected or not.
#[derive(Debug)]
pub(super) enum Line {
    Plain(Tcp),
    Tls(Box<StreamOwned<ClientConnection, Tcp>>),
}

impl Line {
    /// Connects, and protects the connection as the settings say.
    ///
    /// # Errors
    /// [`Trouble`] saying what is in the way.
    pub(super) fn open(database: &Database, patience: &Patience) -> Result<Line, Trouble> {
        let addresses: Vec<_> = (database.host.as_str(), database.port)
            .to_socket_addrs()
            .map_err(|_| Trouble::Later(None, "its host name is not known".into()))?
            .collect();
        let mut found = Err(Trouble::Later(None, "its host name has no address".into()));
        for address in addresses {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(stream) => {
                    found = Ok(stream);
                    break;
                }
                Err(e) => found = Err(broken(&e)),
            }
        }
        let stream = found?;
        let _ = stream.set_nodelay(true);
        let mut tcp = Tcp { stream, patience: patience.clone() };
        if database.tls == SslMode::Disable {
            return Ok(Line::Plain(tcp));
        }
        // One byte and no more is read before TLS begins: what somebody put behind it must not count as protected.
        let mut answer = [0];
        tcp.write_all(&SSL_REQUEST).and_then(|()| tcp.read_exact(&mut answer)).map_err(|e| broken(&e))?;
        match (answer, database.tls) {
            ([b'S'], _) => {}
            ([b'N'], SslMode::Prefer) => return Ok(Line::Plain(tcp)),
            ([b'N'], mode) => {
                let mode = if mode == SslMode::Require { "require" } else { "verify-full" };
                let why = format!(
                    "the server has no TLS, and `sslmode` is {mode}; turn `ssl` on there, or say prefer or disable"
                );
                return Err(Trouble::Refused(why));
            }
            _ => return Err(Trouble::Later(None, "what answers there is not PostgreSQL".into())),
        }
        let unusable = |what: &str| Trouble::Refused(format!("TLS cannot be used: {what}"));
        let name = ServerName::try_from(database.host.clone()).map_err(|_| unusable("the host is no name"))?;
        let config = config(database)?;
        let tls = ClientConnection::new(Arc::new(config), name).map_err(|_| unusable("the settings do not fit"))?;
        let mut stream = StreamOwned::new(tls, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|e| broken(&e))?;
        }
        Ok(Line::Tls(Box::new(stream)))
    }

    /// The same line for another wait.
    pub(super) fn be_patient(&mut self, patience: &Patience) {
        let tcp = match self {
            Line::Plain(tcp) => tcp,
            Line::Tls(stream) => &mut stream.sock,
        };
        tcp.patience = patience.clone();
    }
}

impl Read for Line {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Line::Plain(tcp) => tcp.read(into),
            Line::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Line::Plain(tcp) => tcp.write(bytes),
            Line::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Line::Plain(tcp) => tcp.flush(),
            Line::Tls(stream) => stream.flush(),
        }
    }
}

/// The authorities of a PEM text.
///
/// # Errors
/// Says that there is none.
pub(super) fn authorities(pem: &str) -> Result<RootCertStore, &'static str> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| "`settings.ca` is not PEM")?;
        roots.add(certificate).map_err(|_| "`settings.ca` has a certificate that is none")?;
    }
    if roots.is_empty() {
        Err("`settings.ca` has no certificate in it (-----BEGIN CERTIFICATE-----)")
    } else {
        Ok(roots)
    }
}

fn config(database: &Database) -> Result<ClientConfig, Trouble> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|_| Trouble::Refused("TLS cannot be used here".into()))?;
    if database.tls != SslMode::VerifyFull {
        let anyone = Arc::new(Anyone(provider));
        return Ok(builder.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth());
    }
    let roots = match &database.ca {
        Some(pem) => authorities(pem).map_err(|why| Trouble::Refused(why.into()))?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Believes any certificate, as `prefer` and `require` say. That who shows it has its key is still checked.
struct Anyone(Arc<CryptoProvider>);

impl fmt::Debug for Anyone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anyone")
    }
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
