//! Fetching from systems that keep their events and can be asked for them: requests made and answers read.
//!
//! Owns the one shape of it all: a *window* of time, walked page by page. The same walk serves fetching and looking again.
//! Each system's own words are in its `pull.rs`. Not here: sockets, clocks, waiting, positions on disk; the caller sends an
//! [`Ask`] and hands the [`Answer`] back.
//!
//! **Invariants:** no answer leads to the page it is the answer of; a window's records are those with
//! `from <= time < to`; no error quotes a secret or an answer's body.

use crate::object::{Object, decode};
use crate::split;
use crate::{Reason, moment};
use event::json::Reader;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

pub mod saving;
pub mod size;
pub mod sql;

/// Records asked for at a time, at most.
pub const MAX_PAGE: usize = 1000;
/// The longest page token that is believed.
const MAX_TOKEN: usize = 4096;

/// What is known of a source: its settings, and its secrets by name.
#[derive(Clone, Default)]
pub struct Config {
    /// A JSON object.
    pub settings: Map<String, Value>,
    /// Secrets.
    pub secrets: BTreeMap<String, String>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secrets: Vec<&String> = self.secrets.keys().collect();
        f.debug_struct("Config").field("settings", &self.settings).field("secrets", &secrets).finish()
    }
}

impl Config {
    /// A setting that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.settings.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// A setting that must be there.
    ///
    /// # Errors
    /// Names it.
    pub fn need(&self, name: &str) -> Result<&str, Reason> {
        self.text(name)
            .ok_or_else(|| Reason::new("invalid_settings", format!("`settings.{name}` is a text that must be there")))
    }

    /// A secret that must be there.
    ///
    /// # Errors
    /// Names it.
    pub fn secret(&self, name: &str) -> Result<&str, Reason> {
        self.secrets
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty() && text.bytes().all(|b| (0x20..0x7f).contains(&b)))
            .ok_or_else(|| {
                Reason::new("invalid_settings", format!("`secrets.{name}` must be there, in printable ASCII"))
            })
    }

    /// The address that paths are put behind: `settings.url`.
    ///
    /// # Errors
    /// Says what an address is.
    pub fn base(&self) -> Result<&str, Reason> {
        address("url", self.need("url")?)
    }
}

/// Checks an address from the settings. A slash at its end is taken away.
///
/// # Errors
/// Says what an address is.
pub fn address<'a>(name: &str, text: &'a str) -> Result<&'a str, Reason> {
    let bad = |why: &str| Reason::new("invalid_settings", format!("`settings.{name}` {why}"));
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .ok_or_else(|| bad("begins with https:// (or http://, which shows everything to everyone on the way)"))?;
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || text.len() > 2000 || !text.bytes().all(|b| (0x21..0x7f).contains(&b)) {
        return Err(bad("is not an address"));
    }
    if host.contains('@') {
        return Err(bad("has a user in it; passwords go into `secrets`"));
    }
    if rest.contains(['?', '#']) {
        return Err(bad("takes neither a query nor a fragment"));
    }
    Ok(text.trim_end_matches('/'))
}

/// `settings.path`: what stands behind the address.
///
/// # Errors
/// Says what a path is.
pub(crate) fn path<'a>(config: &'a Config, default: Option<&'a str>) -> Result<&'a str, Reason> {
    let path = match (config.text("path"), default) {
        (None, Some(default)) => default,
        _ => config.need("path")?,
    };
    let plain = path.starts_with('/') && path.bytes().all(|b| (0x21..0x7f).contains(&b) && !matches!(b, b'?' | b'#'));
    if plain { Ok(path) } else { Err(Reason::new("invalid_settings", "`settings.path` is a path, such as /tenant")) }
}

/// Setting names of a system, so that a misspelled one is refused.
///
/// # Errors
/// Names the setting or secret that is not known.
pub fn only(config: &Config, settings: &[&str], secrets: &[&str]) -> Result<(), Reason> {
    let unknown = config.settings.keys().find(|k| !COMMON.contains(&k.as_str()) && !settings.contains(&k.as_str()));
    if let Some(name) = unknown {
        let all: Vec<&str> = settings.iter().chain(COMMON).copied().collect();
        let shown: String = name.chars().take(40).collect();
        return Err(Reason::new(
            "invalid_settings",
            format!("`settings.{shown}` is not known; settings are {}", all.join(", ")),
        ));
    }
    match config.secrets.keys().find(|k| !secrets.contains(&k.as_str())) {
        Some(name) => Err(Reason::new(
            "invalid_settings",
            format!("`secrets.{name}` is not known; secrets are {}", secrets.join(", ")),
        )),
        None => Ok(()),
    }
}

/// Settings that every source which is fetched from has; what they mean is the caller's matter.
pub const COMMON: &[&str] = &[
    "url",
    "since",
    "interval_seconds",
    "overlap_seconds",
    "settle_seconds",
    "check_minutes",
    "retention_days",
    "paused",
];

/// A request.
#[derive(Clone, PartialEq, Eq)]
pub struct Ask {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The whole address.
    pub url: String,
    /// Names in lower case. Some are secret.
    pub headers: Vec<(&'static str, String)>,
    /// With a `POST`. May be secret.
    pub body: String,
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("method", &self.method).field("url", &self.url).finish_non_exhaustive()
    }
}

impl Ask {
    /// A `GET` that shows a token.
    pub fn get(url: String, authorization: String) -> Ask {
        let headers = vec![("accept", "application/json".into()), ("authorization", authorization)];
        Ask { method: "GET", url, headers, body: String::new() }
    }

    /// A `POST` of JSON that shows a token.
    pub fn post(url: String, authorization: String, body: &Value) -> Ask {
        let mut ask = Ask::get(url, authorization);
        ask.method = "POST";
        ask.headers.push(("content-type", "application/json".into()));
        ask.body = body.to_string();
        ask
    }
}

/// What came back.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// Names in lower case; one may stand there several times.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// A span of time, microseconds since 1970 UTC: `from` belongs to it, `to` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first moment.
    pub from: i64,
    /// The moment after its last.
    pub to: i64,
}

/// A page of a window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Its records, in the system's own shape, as a body that the adapter reads; empty where there are none.
    pub body: String,
    /// How many they are.
    pub count: usize,
    /// The answer had no record at all, not even one outside the window. It may still lead to a next page.
    pub empty: bool,
    /// What the next page is asked for with; `None` where the window is done.
    pub next: Option<String>,
    /// How long to wait before the next request, where the system says so.
    pub wait: Option<u64>,
    /// Records that exist and cannot be had: between when, and why.
    pub lost: Option<(Window, &'static str)>,
    /// How much of the window lies behind this page, microseconds, where its records say so.
    pub passed: Option<i64>,
}

/// Why there is no page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Ask again; after so many seconds where the system says how long.
    Later(Option<u64>, String),
    /// Who we are is not known, or not any more.
    Login(String),
    /// Asking again is of no use until somebody changes something.
    Refused(String),
    /// The page is more than is read of one answer.
    TooLarge,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Later(_, why) | Trouble::Login(why) | Trouble::Refused(why) => f.write_str(why),
            Trouble::TooLarge => f.write_str("a page of it is larger than 16 MiB"),
        }
    }
}

/// How one system is asked.
pub trait Pull: Sync {
    /// The system's name, as in [`crate::SYSTEMS`].
    fn system(&self) -> &'static str;

    /// Whether the settings and secrets are enough to ask with.
    ///
    /// # Errors
    /// Names what is missing or wrong.
    fn check(&self, config: &Config) -> Result<(), Reason>;

    /// Lists that are walked one after the other, each with a position of its own.
    fn streams(&self, _config: &Config) -> Vec<&'static str> {
        vec!["log"]
    }

    /// Seconds of a window, at most.
    fn step(&self) -> i64 {
        6 * 3600
    }

    /// Records of a page, where fewer can be asked for: pages then have their size in front of what leads to them ([`size`]).
    fn most(&self) -> Option<usize> {
        None
    }

    /// Whether a shorter window is a smaller answer.
    fn divides(&self, _page: Option<&str>) -> bool {
        true
    }

    /// Days that the system keeps its events, where that is published.
    fn keeps_days(&self) -> Option<u32> {
        None
    }

    /// Whether it can ever say that nothing is missing; otherwise why not.
    fn unknowable(&self) -> Option<&'static str> {
        None
    }

    /// How it is asked where it is a database. Then it is asked that way only.
    fn sql(&self) -> Option<&dyn sql::Sql> {
        None
    }

    /// How it is asked whether it saves its events, where it can be set not to.
    fn saves(&self) -> Option<&dyn saving::Saves> {
        None
    }

    /// The request for a token, where one is needed.
    ///
    /// # Errors
    /// Settings that [`check`](Pull::check) refuses too.
    fn login(&self, _config: &Config) -> Result<Option<Ask>, Reason> {
        Ok(None)
    }

    /// The request for a page of a window.
    ///
    /// # Errors
    /// Settings that [`check`](Pull::check) refuses too.
    fn ask(
        &self,
        config: &Config,
        token: &str,
        stream: &str,
        window: Window,
        page: Option<&str>,
    ) -> Result<Ask, Reason>;

    /// What came back for it. MUST give a `next` that is nearer to the end than `page`, or none.
    ///
    /// # Errors
    /// [`Trouble`].
    fn read(&self, window: Window, page: Option<&str>, answer: &Answer<'_>, now: i64) -> Result<Page, Trouble>;
}

/// The systems that can be asked over HTTP.
pub static PULLS: &[&dyn Pull] = &[
    &crate::asgardeo::pull::AsgardeoSearch,
    &crate::contember::pull::ContemberAuthLog,
    &crate::keycloak::pull::KeycloakEvents,
    &crate::okta::pull::OktaLogs,
    &crate::ory_network::pull::OryEvents,
];

/// The systems whose database can be asked.
pub static TABLES: &[&dyn Pull] = &[&crate::contember::table::ContemberTable];

/// How this system is asked, if it can be, with settings of this kind.
pub fn find(system: &str, settings: &Map<String, Value>) -> Option<&'static dyn Pull> {
    let list = if sql::is_database(settings) { TABLES } else { PULLS };
    list.iter().copied().find(|p| p.system() == system)
}

/// The request for a token by OAuth 2.0 client credentials, or a password where `username` is set.
///
/// # Errors
/// Names what is missing.
pub fn oauth(config: &Config, token_url: String) -> Result<Ask, Reason> {
    let mut form = String::new();
    let mut add = |name: &str, value: &str| {
        if !form.is_empty() {
            form.push('&');
        }
        form.push_str(name);
        form.push('=');
        encode(&mut form, value);
    };
    match config.text("username") {
        Some(user) => {
            add("grant_type", "password");
            add("username", user);
            add("password", config.secret("password")?);
        }
        None => add("grant_type", "client_credentials"),
    }
    add("client_id", config.need("client_id")?);
    if config.text("username").is_none() || config.secrets.contains_key("client_secret") {
        add("client_secret", config.secret("client_secret")?);
    }
    if let Some(scope) = config.text("scope") {
        add("scope", scope);
    }
    let headers =
        vec![("accept", "application/json".into()), ("content-type", "application/x-www-form-urlencoded".into())];
    Ok(Ask { method: "POST", url: token_url, headers, body: form })
}

/// The token and the seconds it is good for, out of the answer to [`oauth`].
///
/// # Errors
/// [`Trouble`].
pub fn token(answer: &Answer<'_>, now: i64) -> Result<(String, u64), Trouble> {
    if matches!(answer.status, 400 | 401 | 403) {
        let why = "the client or password for the token was refused; check `client_id`, `username` and the secrets";
        return Err(Trouble::Refused(format!("{why} (status {})", answer.status)));
    }
    good(answer, now)?;
    let body: Value = serde_json::from_slice(answer.body).unwrap_or_default();
    let text = body.get("access_token").and_then(Value::as_str);
    let seconds = body.get("expires_in").and_then(Value::as_u64).unwrap_or(60);
    match text.filter(|t| !t.is_empty() && t.bytes().all(|b| (0x21..0x7f).contains(&b))) {
        Some(text) => Ok((text.to_owned(), seconds)),
        None => Err(Trouble::Refused("the token's address answered without an `access_token`".into())),
    }
}

/// Whether an answer is one to read.
///
/// # Errors
/// [`Trouble`] by its status, and the time that it says to wait.
pub fn good(answer: &Answer<'_>, now: i64) -> Result<(), Trouble> {
    let status = answer.status;
    match status {
        200 => Ok(()),
        401 => Err(Trouble::Login("the token was refused (status 401)".into())),
        403 => Err(Trouble::Refused("what was asked is not allowed to this client (status 403)".into())),
        408 | 425 | 429 | 500..=599 => Err(Trouble::Later(
            retry_after(answer, now),
            format!("the system says to come back later (status {status})"),
        )),
        _ => Err(Trouble::Refused(format!("the request was not understood there (status {status}); check `url`"))),
    }
}

/// That the body of an answer is there to its end. A list is read up to where it ends, and what would say that more pages follow
/// stands behind it.
///
/// # Errors
/// [`Trouble::Later`]: it was cut off.
pub(crate) fn whole(text: &str) -> Result<(), Trouble> {
    let mut r = Reader::new(text);
    let read = r.skip_whole().and_then(|_| r.end());
    read.map_err(|_| Trouble::Later(None, "the answer is no JSON to its end; it may have been cut off".into()))
}

/// Seconds to wait, by `Retry-After` or `x-rate-limit-reset`, an hour at most.
pub fn retry_after(answer: &Answer<'_>, now: i64) -> Option<u64> {
    let now = now.div_euclid(1_000_000);
    let until = |at: i64| u64::try_from(at.saturating_sub(now)).unwrap_or(0).saturating_add(1);
    let said = answer.header("retry-after").map(str::trim).and_then(|text| {
        text.parse::<u64>().ok().or_else(|| {
            let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            Some(until(date.as_second()))
        })
    });
    let reset = || answer.header("x-rate-limit-reset").and_then(|t| t.trim().parse().ok()).map(until);
    said.or_else(reset).map(|seconds| seconds.min(3600))
}

/// A list of records cut down to a window, as a body again.
pub(crate) struct Cut {
    /// Records within the window.
    pub count: usize,
    /// They, as a JSON list.
    pub body: String,
    /// Records there were.
    pub all: usize,
    /// The earliest time among all.
    pub oldest: Option<i64>,
    /// The times of the first and the last that have one.
    pub ends: Option<(i64, i64)>,
}

impl Cut {
    /// How much of the window lies behind these records, which go on in the direction that they have among themselves.
    pub(crate) fn passed(&self, window: Window) -> Option<i64> {
        let (first, last) = self.ends.filter(|(first, last)| first != last)?;
        Some(if first < last { onward(window, last) } else { window.to.saturating_sub(last).max(0) })
    }
}

/// How much of a window lies before a moment.
pub(crate) fn onward(window: Window, at: i64) -> i64 {
    at.saturating_sub(window.from).max(0)
}

/// Takes a list apart. A record without a time that can be read stays: it is the adapter's matter.
pub(crate) fn cut(list: &str, window: Window, member: &str, stamp: moment::Stamp) -> Result<Cut, Trouble> {
    let unusable = || Trouble::Later(None, "the answer is not the list that was asked for".into());
    if !list.trim_start().starts_with('[') {
        return Err(unusable());
    }
    let mut out = Cut { count: 0, body: String::new(), all: 0, oldest: None, ends: None };
    for piece in split::records(list) {
        let text = piece.text.map_err(|_| unusable())?;
        out.all += 1;
        let at = Object::parse(&text).ok().and_then(|mut o| {
            let raw = o.raw(member)?.clone();
            moment::read(&raw, stamp, &jiff::tz::TimeZone::UTC).map(|(at, _)| at)
        });
        if let Some(at) = at {
            out.oldest = Some(out.oldest.map_or(at, |o| o.min(at)));
            out.ends = Some((out.ends.map_or(at, |(first, _)| first), at));
            if at < window.from || at >= window.to {
                continue;
            }
        }
        out.body.push(if out.count == 0 { '[' } else { ',' });
        out.body.push_str(&text);
        out.count += 1;
    }
    if out.count > 0 {
        out.body.push(']');
    }
    Ok(out)
}

/// What a member that leads to the next page says; nothing where there is none.
///
/// # Errors
/// It is no text: taking that for the end would leave out what follows without a word.
pub(crate) fn token_of(raw: Option<&str>) -> Result<Option<String>, Trouble> {
    match raw.filter(|raw| *raw != "null") {
        None => Ok(None),
        Some(raw) => match decode(&Cow::Borrowed(raw)) {
            Some(token) => Ok(Some(token.into_owned())),
            None => Err(Trouble::Later(
                None,
                "the token of the next page is no text; what follows cannot be asked for".into(),
            )),
        },
    }
}

/// The token of the next page, which is sent back encoded and may be any text. None where there is none, or the same came again with an
/// `empty` page: there is no more for now.
///
/// # Errors
/// One that is too long to be sent back, or that led to this page and its records: what follows would be missing without a word.
pub(crate) fn next_token(token: Option<String>, page: Option<&str>, empty: bool) -> Result<Option<String>, Trouble> {
    let same = token.is_some() && token.as_deref() == page;
    if same && !empty {
        return Err(Trouble::Later(None, "the pages lead in a circle: one leads to itself".into()));
    }
    match token.filter(|token| !token.is_empty() && !same) {
        Some(token) if token.len() > MAX_TOKEN => Err(Trouble::Refused(format!(
            "the token of the next page has {} bytes, more than {MAX_TOKEN}; what follows cannot be asked for",
            token.len()
        ))),
        token => Ok(token),
    }
}

/// `text` as a part of a query or a form.
pub(crate) fn encode(out: &mut String, text: &str) {
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
}

/// The same, as a text of its own.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    encode(&mut out, text);
    out
}

#[cfg(test)]
mod tests;
