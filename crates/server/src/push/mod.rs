//! Sources that send here and prove themselves by a signature, or must be asked back: SNS, WebSub hubs, security event tokens.
//!
//! Owns what a source of the kind `push` may be told ([`Settings`]), who lets a request in that brings no key, and what becomes of one
//! that proves nothing: 401, and a record in the tenant's audit log ([`refused`]). Not here: signatures themselves (`systems`), and
//! fetching (`Fetch`, which the caller of [`crate::App::new`] brings).
//!
//! A source that has topics, an organization or keys in its settings signs; its requests need no key of ours, because their senders
//! have no place to keep one. Whoever sends with a key is let in by the key, to any source.

mod fetch;
mod refused;
mod set;
mod sns;
mod websub;

pub use fetch::Fetch;
pub use refused::Refusals;
pub use sns::Certificates;
pub use websub::{permission, question};

use crate::app::App;
use crate::auth;
use crate::intake::{self, Options};
use crate::native::{self, Empty, Posted, Reader};
use crate::problem::Problem;
use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use catalog::{SecretText, Source, Tenant};
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::sync::Arc;
use systems::{Mapping, set::Keys};

/// The sender of what is let in without a key.
const SIGNATURE: &str = "its signature";
/// The kind of source that this is about.
pub const KIND: &str = "push";
/// The system of a source that brings its own rules.
pub const MAPPING: &str = "mapping";
/// The secret of a webhook, with which a hub signs.
const HUB_SECRET: &str = "hub_secret";
/// The secret with which tokens are signed, where it is shared.
const SET_SECRET: &str = "set_secret";
/// Bytes of a body that comes without a key, at most. SNS sends 256 KiB, the others less.
pub const MAX_SIGNED: usize = 1 << 20;

/// What a source of this kind may be told.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The rules of a mapping: the file's text, or what it says as JSON.
    mapping: Option<Value>,
    /// The zone of times that name none, such as `Europe/Prague`.
    zone: Option<String>,
    /// Topics of SNS, by their ARNs.
    sns_topics: Vec<String>,
    /// The organization whose WebSub topics are taken.
    organization: Option<String>,
    /// Whether a hub that asks to end the subscription is agreed with.
    unsubscribing: bool,
    /// Public keys of a transmitter of tokens.
    jwks: Option<Value>,
    /// The issuer that tokens must have.
    issuer: Option<String>,
    /// The audience that tokens must have.
    audience: Option<String>,
    /// Where in a record its number is, a JSON pointer: the source counts its records, one by one.
    sequence: Option<String>,
    /// How long a number is waited for before its absence is a gap.
    settle_seconds: Option<i64>,
    /// The project whose stream this is, for events that do not say it.
    project: Option<String>,
    /// Whatever people want to remember.
    #[serde(rename = "note")]
    _note: Option<Value>,
}

/// A source, and the tenant whose it is.
#[derive(Debug)]
pub struct Push {
    tenant: Arc<Tenant>,
    source: Source,
    settings: Settings,
}

/// Checks what a source of this kind is to be told, before it is kept.
///
/// # Errors
/// 400 naming the setting. No secret is in it.
pub fn check(system: &str, settings: &Value, secret: impl Fn(&str) -> Option<SecretText>) -> Result<(), Problem> {
    let bad = |detail: String| Problem::bad("invalid_source", detail);
    let settings =
        Settings::deserialize(settings).map_err(|e| bad(format!("a setting is unknown or of the wrong type: {e}")))?;
    let only = |is: bool, name: &str, systems: &str| {
        if is { Ok(()) } else { Err(bad(format!("`settings.{name}` is for {systems} only"))) }
    };
    match (&settings.mapping, system == MAPPING) {
        (None, true) => return Err(bad("`settings.mapping` is missing: the text of a mapping file".into())),
        (Some(_), false) => return Err(bad("`settings.mapping` is for the system `mapping` only".into())),
        (Some(rules), true) => drop(mapping(rules).map_err(|e| bad(format!("`settings.mapping`: {e}")))?),
        (None, false) => {}
    }
    if let Some(zone) = &settings.zone {
        TimeZone::get(zone)
            .map_err(|_| bad("`settings.zone` is no time zone; it is a name such as Europe/Prague".into()))?;
    }
    let pointer = |text: &String| text.len() <= 200 && text.len() > 1 && text.starts_with('/') && !text.contains('~');
    if settings.sequence.as_ref().is_some_and(|text| !pointer(text)) {
        return Err(bad("`settings.sequence` is where a record has its number, such as /sequence or /meta/seq".into()));
    }
    if settings.settle_seconds.is_some_and(|n| !(0..=86_400).contains(&n)) {
        return Err(bad("`settings.settle_seconds` is a whole number from 0 to 86400".into()));
    }
    if settings.sns_topics.iter().any(|topic| !systems::sns::is_topic(topic)) {
        return Err(bad("`settings.sns_topics` are ARNs such as arn:aws:sns:eu-central-1:123456789012:ory".into()));
    }
    if settings.organization.is_some() {
        only(matches!(system, "asgardeo" | "wso2"), "organization", "asgardeo and wso2")?;
        if secret(HUB_SECRET).is_none() {
            return Err(bad(format!(
                "with `settings.organization` the webhook's secret is needed: `secrets.{HUB_SECRET}`"
            )));
        }
    }
    if let Some(project) = &settings.project {
        only(system == "ory-network", "project", "ory-network")?;
        if project.is_empty() || project.len() > 200 || project.contains('\0') {
            return Err(bad("`settings.project` is the project's id, 1 to 200 bytes".into()));
        }
    }
    if let Some(keys) = &settings.jwks {
        only(system == "set", "jwks", "set")?;
        Keys::parse(keys).map_err(|e| bad(format!("`settings.jwks`: {}", e.detail)))?;
    }
    if let Some(shared) = secret(SET_SECRET) {
        only(system == "set", "set_secret", "set")?;
        Keys::shared(shared.expose()).map_err(|e| bad(format!("`secrets.{SET_SECRET}`: {}", e.detail)))?;
    }
    Ok(())
}

fn mapping(rules: &Value) -> Result<Mapping, systems::mapping::MappingError> {
    match rules {
        Value::String(text) => Mapping::parse(text),
        other => Mapping::parse(&other.to_string()),
    }
}

/// The reader of a source's records, in its words and its zone.
///
/// # Errors
/// Where its settings are not what was checked once.
pub fn reader(source: &Source) -> Result<Reader, Problem> {
    let settings = settings(source)?;
    let zone = settings.zone.as_deref().and_then(|zone| TimeZone::get(zone).ok()).unwrap_or(TimeZone::UTC);
    let damaged = |e: &dyn std::fmt::Display| Problem::internal("a source's settings cannot be used", e);
    let reader = match &settings.mapping {
        Some(rules) => Reader::mapped(mapping(rules).map_err(|e| damaged(&e))?, zone),
        None => systems::find(&source.system)
            .map(|system| Reader::known(system, zone))
            .ok_or_else(|| damaged(&"there is no such system any more"))?,
    };
    let (sequence, project) = (settings.sequence.as_deref().map(Arc::from), settings.project.as_deref().map(Arc::from));
    Ok(Reader { sequence, project, ..reader })
}

/// Where a source's records have their numbers, and how many seconds one is waited for; `None` where they have none.
pub(crate) fn numbering(source: &Source) -> Option<(String, i64)> {
    let settings = settings(source).ok()?;
    settings.sequence.map(|pointer| (pointer, settings.settle_seconds.unwrap_or(crate::heard::SETTLE)))
}

fn settings(source: &Source) -> Result<Settings, Problem> {
    serde_json::from_str(&source.settings).map_err(|e| Problem::internal("a source's settings cannot be read", &e))
}

/// The source at an address.
fn find(app: &App, slug: &str, name: &str) -> Result<Option<Push>, Problem> {
    let Some(tenant) = app.store().catalog().tenant(slug) else { return Ok(None) };
    let source = app.store().catalog().source(tenant.number, name)?.filter(|source| source.kind == KIND);
    source.map(|source| settings(&source).map(|settings| Push { tenant, source, settings })).transpose()
}

/// Whether the body of a request without a key is to be read: it is for a source that signs.
pub fn awaited(app: &App, path: &str) -> bool {
    let mut parts = path.split('/').skip(1);
    let mut next = || parts.next().unwrap_or_default();
    if (next(), next()) != ("v1", "t") {
        return false;
    }
    let (slug, ingest, name) = (next(), next(), next());
    // Nothing behind it: each spelling of the address would have room of its own.
    ingest == "ingest" && parts.next().is_none() && matches!(find(app, slug, name), Ok(Some(push)) if push.signs())
}

/// How a request says that it proves itself.
enum Proof {
    Sns,
    Hub(String),
    Token,
}

impl Push {
    fn signs(&self) -> bool {
        !self.settings.sns_topics.is_empty() || self.settings.organization.is_some() || self.keyed()
    }

    /// Whether tokens are checked.
    fn keyed(&self) -> bool {
        self.settings.jwks.is_some() || self.source.secrets.iter().any(|name| name == SET_SECRET)
    }

    fn secret(&self, app: &App, name: &str) -> Result<Option<SecretText>, Problem> {
        Ok(app.store().catalog().source_secret(self.tenant.number, &self.source.name, name)?)
    }

    /// What the request brings of what this source signs with.
    fn proof(&self, headers: &HeaderMap, body: &Bytes) -> Option<Proof> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default().to_owned());
        if !self.settings.sns_topics.is_empty() && headers.contains_key("x-amz-sns-message-type") {
            return Some(Proof::Sns);
        }
        if self.settings.organization.is_some()
            && let Some(signature) = text("x-hub-signature").or_else(|| text("x-wso2-event-signature"))
        {
            return Some(Proof::Hub(signature));
        }
        // A token is one by whatever name it is sent.
        (self.keyed() && (is_token(headers) || systems::set::is_token(body))).then_some(Proof::Token)
    }
}

/// Whether the body is a pushed token, RFC 8935.
fn is_token(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/secevent+jwt")
}

/// Takes a request that is to be let in by a signature, or that asks for another kind of answer. `None` for all others: then a key
/// is needed, and the answer is that of any batch.
///
/// # Errors
/// A problem document.
pub async fn take(
    app: &App,
    (slug, name): (&str, &str),
    peer: Option<IpAddr>,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Option<Response>, Problem> {
    let push = find(app, slug, name)?;
    match push.as_ref().and_then(|push| push.proof(headers, body).map(|proof| (push, proof))) {
        Some((push, Proof::Sns)) => sns::take(app, push, peer, headers, body).await.map(Some),
        Some((push, Proof::Hub(signature))) => websub::take(app, push, peer, headers, body, &signature).await.map(Some),
        Some((push, Proof::Token)) => Ok(Some(set::take_signed(app, push, peer, headers, body).await)),
        None if is_token(headers) && push.as_ref().map_or(name, |push| push.source.system.as_str()) == "set" => {
            let caller = auth::writer(app, headers, slug)?;
            Ok(Some(set::take_with_key(app, &caller, name, headers, body).await?))
        }
        None => {
            // A key opens every door. Without one, whoever knocks at a source that signs forgot the signature.
            if let (Some(push), Err(_)) = (push.filter(Push::signs), auth::principal(app, headers)) {
                let reason =
                    systems::Reason::new("no_signature", "this source signs what it sends, and this is not signed");
                return Err(refused::record(app, &push, peer, &reason).await);
            }
            Ok(None)
        }
    }
}

/// Takes a body in that its signature lets in, and answers as for any batch.
async fn accept(app: &App, push: &Push, posted: Posted) -> Result<Response, Problem> {
    let reader = native::reader(app, &push.tenant, &push.source.name)?;
    let asked = Options::default().check()?;
    let mut more = Map::new();
    more.insert("system".into(), reader.system.name().into());
    let taken =
        native::take(app, &push.tenant, reader, posted.of(&push.source.name, SIGNATURE).signed(), Empty::Refused)
            .await?;
    more.insert("unparsed".into(), taken.unparsed.len().into());
    intake::reply(app, &push.tenant, &taken, asked, more).await
}
