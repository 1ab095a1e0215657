//! Systems that are asked in SQL: where the database is, the statements, and what the rows come to.
//!
//! Owns what settings say about a database ([`Database`]) and how a table is read in pages ([`Sql`]). Not here: sockets,
//! TLS and PostgreSQL's protocol; the caller runs a [`Statement`] and hands the [`Rows`] back.

use super::{Config, Page, Trouble, Window};
use crate::Reason;
use std::fmt;

/// Settings of every source that is a database, beside [`super::COMMON`].
pub const SETTINGS: &[&str] = &["user", "sslmode", "ca", "schema"];
/// Its secrets.
pub const SECRETS: &[&str] = &["password"];
const SCHEMES: &[&str] = &["postgresql://", "postgres://"];
const PORT: u16 = 5432;
/// PostgreSQL's own limit of a name, in bytes.
const MAX_NAME: usize = 63;

/// How the connection is protected. The names are libpq's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted where the server can, by whatever certificate it shows.
    Prefer,
    /// Encrypted or not at all, by whatever certificate it shows: keeps listeners out, not somebody in between.
    Require,
    /// Encrypted, and the certificate must be signed by a known authority and name the host.
    VerifyFull,
}

/// Every mode with its name.
const MODES: &[(&str, SslMode)] = &[
    ("disable", SslMode::Disable),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-full", SslMode::VerifyFull),
];

/// A database and how it is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct Database {
    /// A name or an address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database's name.
    pub name: String,
    /// Who asks.
    pub user: String,
    /// Secret.
    pub password: String,
    /// How the connection is protected.
    pub tls: SslMode,
    /// Certificates of authorities to believe instead of the public ones, as PEM.
    pub ca: Option<String>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Database { host, port, name, user, tls, .. } = self;
        write!(f, "{user}@{host}:{port}/{name} ({tls:?})")
    }
}

/// Whether settings are those of a database.
pub fn is_database(settings: &serde_json::Map<String, serde_json::Value>) -> bool {
    let url = settings.get("url").and_then(serde_json::Value::as_str).unwrap_or_default();
    SCHEMES.iter().any(|scheme| url.starts_with(scheme))
}

impl Database {
    /// Reads `settings.url`, `user`, `sslmode`, `ca` and `secrets.password`.
    ///
    /// # Errors
    /// Names the setting or secret and what it has to be. Never quotes one: an address may hold a password.
    pub fn of(config: &Config) -> Result<Database, Reason> {
        let (host, port, name) = place(config.need("url")?)?;
        let user = config.need("user")?;
        if user.len() > MAX_NAME || user.contains('\0') {
            return Err(bad(format!("user` has {MAX_NAME} bytes at most, and no zero byte")));
        }
        let tls = match config.text("sslmode") {
            None => SslMode::VerifyFull,
            Some(word) => MODES.iter().find(|(name, _)| *name == word).map(|(_, mode)| *mode).ok_or_else(|| {
                bad("sslmode` is one of disable, prefer, require, verify-full (which it is if absent)".into())
            })?,
        };
        let ca = config.text("ca").map(str::to_owned);
        if ca.is_some() && tls != SslMode::VerifyFull {
            return Err(bad(
                "ca` is looked at with `sslmode` verify-full only; the others believe any certificate".into()
            ));
        }
        let password = config.secrets.get("password").filter(|p| !p.is_empty() && !p.contains('\0'));
        let password = password.ok_or_else(|| {
            Reason::new("invalid_settings", "`secrets.password` must be there, and have no zero byte")
        })?;
        Ok(Database { host, port, name, user: user.into(), password: password.clone(), tls, ca })
    }
}

fn bad(what: String) -> Reason {
    Reason::new("invalid_settings", format!("`settings.{what}"))
}

/// Host, port and database of `postgresql://host:port/database`.
fn place(url: &str) -> Result<(String, u16, String), Reason> {
    let shape = || bad("url` is postgresql://host:port/database".into());
    let rest = SCHEMES.iter().find_map(|scheme| url.strip_prefix(scheme)).ok_or_else(shape)?;
    if rest.contains('@') {
        return Err(bad("url` has a user in it; that is `settings.user`, and the password goes into `secrets`".into()));
    }
    if rest.contains(['?', '#']) {
        return Err(bad("url` takes no query: `sslmode` is a setting of its own".into()));
    }
    let (host, name) = rest.split_once('/').ok_or_else(shape)?;
    let (host, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(shape)?;
            (host, port.strip_prefix(':').or(port.is_empty().then_some("")).ok_or_else(shape)?)
        }
        None => host.split_once(':').unwrap_or((host, "")),
    };
    let port = match port {
        "" => PORT,
        port => port.parse().ok().filter(|p| *p > 0).ok_or_else(shape)?,
    };
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'/');
    if !plain(host) || host.len() > 253 || !plain(name) || name.len() > MAX_NAME {
        return Err(shape());
    }
    Ok((host.into(), port, name.into()))
}

/// A name of the database's as SQL writes it, from a setting.
///
/// # Errors
/// Names the setting.
pub(crate) fn quoted<'a>(config: &'a Config, setting: &str, default: &'a str) -> Result<String, Reason> {
    let name = config.text(setting).unwrap_or(default);
    if name.len() > MAX_NAME || name.contains('\0') {
        return Err(bad(format!("{setting}` has {MAX_NAME} bytes at most, and no zero byte")));
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// A question: `$1` and so on stand for the parameters, which are sent as texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// SQL.
    pub text: String,
    /// In order.
    pub parameters: Vec<String>,
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// Column by column, as text; `None` is NULL.
    pub list: Vec<Vec<Option<String>>>,
    /// There were more, which did not fit.
    pub cut: bool,
}

/// How one table is asked.
pub trait Sql: Sync {
    /// The question for a page of a window.
    ///
    /// # Errors
    /// Settings that [`check`](super::Pull::check) refuses too.
    fn statement(&self, config: &Config, window: Window, page: Option<&str>) -> Result<Statement, Reason>;

    /// What came back for it. MUST give a `next` that is nearer to the end than `page`, or none.
    ///
    /// # Errors
    /// [`Trouble`].
    fn rows(&self, window: Window, page: Option<&str>, rows: Rows) -> Result<Page, Trouble>;
}
