//! Ending sessions and withdrawing grants in the system that gave them: what to ask of it, and what it says afterwards.
//!
//! Owns: the requests of every connector ([`plan`]), their signatures, and the records by which the source itself confirms.
//! Requests are only built here; nothing is sent, no clock is read. Not here: who may revoke, sending, waiting, and what is
//! recorded of it (the server).
//!
//! A connector is a system that listens: [`CONNECTORS`]. `keycloak/revoke.rs` and `ory/revoke.rs` know their admin
//! interfaces; anything else is told by a signed webhook.

use crate::{keycloak, ory};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeMap;

/// Connectors by name, and the sources of records whose sessions and grants they end.
pub const CONNECTORS: &[(&str, &[&str])] = &[
    ("hydra", &["ory", "ory-network"]),
    ("keycloak", &["keycloak"]),
    ("kratos", &["ory", "ory-network", "ory-nestjs"]),
    // Whatever has no connector of its own, unless its settings say which.
    ("webhook", &[]),
];

/// What is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aim {
    /// One session.
    Session {
        /// Its id.
        id: String,
        /// Whose it is, if that is known.
        user: Option<String>,
    },
    /// One grant.
    Grant {
        /// Its id in the records.
        id: String,
        /// Who gave it.
        user: String,
        /// What it was given to.
        client: String,
    },
    /// All sessions of a user.
    Sessions {
        /// The user's id.
        user: String,
        /// Those that are known to live.
        known: Vec<String>,
    },
    /// All grants of a user.
    Grants {
        /// The user's id.
        user: String,
        /// The clients of those that are known to live.
        known: Vec<String>,
    },
}

impl Aim {
    /// The word for what ends, and its id: a session's, a grant's or the user's.
    pub fn target(&self) -> (&'static str, &str) {
        match self {
            Aim::Session { id, .. } => ("session", id),
            Aim::Grant { id, .. } => ("grant", id),
            Aim::Sessions { user, .. } | Aim::Grants { user, .. } => ("user", user),
        }
    }

    /// Whose it is.
    pub fn user(&self) -> Option<&str> {
        match self {
            Aim::Session { user, .. } => user.as_deref(),
            Aim::Grant { user, .. } | Aim::Sessions { user, .. } | Aim::Grants { user, .. } => Some(user),
        }
    }

    /// The members by which services that check know it.
    pub fn members(&self) -> Value {
        match self {
            Aim::Session { id, user } => json!({ "kind": "session", "session_id": id, "user_id": user }),
            Aim::Grant { id, user, client } => {
                json!({ "kind": "grant", "grant_id": id, "user_id": user, "client_id": client })
            }
            Aim::Sessions { user, .. } => json!({ "kind": "sessions", "user_id": user }),
            Aim::Grants { user, .. } => json!({ "kind": "grants", "user_id": user }),
        }
    }
}

/// One request to a connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// `DELETE` or `POST`; `GET` where something is only looked at.
    pub method: &'static str,
    /// The whole address.
    pub url: String,
    /// Headers beside the key's. None is secret.
    pub headers: Vec<(&'static str, String)>,
    /// Type and text of the body.
    pub body: Option<(&'static str, String)>,
}

/// How a connector knows us.
#[derive(Clone, PartialEq, Eq)]
pub enum Access {
    /// It asks for nothing.
    Open,
    /// With this bearer token.
    Bearer(String),
    /// With the `access_token` that this request gives.
    Token(Call),
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Access::Open => "Open",
            Access::Bearer(_) => "Bearer(…)",
            Access::Token(_) => "Token(…)",
        })
    }
}

impl Plan {
    /// Only events of these sources say that it was done; of all where there are none.
    pub fn only_of(&mut self, sources: &[&str]) {
        if sources.is_empty() {
            return;
        }
        let of: Vec<String> = sources.iter().map(|source| is("source", source)).collect();
        for filter in &mut self.confirm {
            *filter = format!("({filter}) ({})", of.join(" OR "));
        }
    }
}

/// What to do, and how to know that it was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How to be let in.
    pub access: Access,
    /// The requests, in order.
    pub calls: Vec<Call>,
    /// Filter texts over envelopes: done once a record that came afterwards matches each. Empty where the system says
    /// nothing of it.
    pub confirm: Vec<String>,
    /// Where the system shows afterwards that it is over, whether an event comes or not.
    pub shown: Option<Shown>,
    /// What a person should know before: one sentence.
    pub effect: &'static str,
}

/// A look at what a system has afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// A `GET`.
    pub call: Call,
    /// What its answer says when it is over.
    pub over: Over,
}

/// What an answer says when it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// An object whose `active` is `false`.
    Inactive,
    /// A list with nothing in it.
    NoneLeft,
}

impl Shown {
    /// Whether this answer says that it is over. One that says something else, or nothing, does not.
    pub fn says(&self, status: u16, body: &[u8]) -> bool {
        let body = || serde_json::from_slice::<Value>(body).unwrap_or_default();
        status == 200
            && match self.over {
                Over::Inactive => body().get("active") == Some(&Value::Bool(false)),
                Over::NoneLeft => body().as_array().is_some_and(Vec::is_empty),
            }
    }
}

/// A connector as it is configured.
#[derive(Debug)]
pub struct Connector<'a> {
    /// One of [`CONNECTORS`].
    pub system: &'a str,
    /// Its settings: `url`, and what else it needs.
    pub settings: &'a Value,
    /// Its secrets by name.
    pub secrets: &'a BTreeMap<String, String>,
}

/// A connector that cannot do it as it is configured. Never names a secret's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cannot {
    /// It has no way to do this: another connector may.
    #[error("{0}")]
    NotIts(&'static str),
    /// Something is missing or wrong in its settings.
    #[error("{0}")]
    Settings(String),
}

/// What is the same in every request of an operation.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    /// Its id.
    pub id: &'a str,
    /// The tenant's name.
    pub tenant: &'a str,
    /// Now, seconds since 1970.
    pub now: i64,
}

/// The requests of a connector for an aim.
///
/// # Errors
/// [`Cannot`].
pub fn plan(connector: &Connector<'_>, aim: &Aim, operation: &Operation<'_>) -> Result<Plan, Cannot> {
    match connector.system {
        "keycloak" => keycloak::revoke::plan(connector, aim),
        "kratos" => ory::revoke::kratos(connector, aim),
        "hydra" => ory::revoke::hydra(connector, aim),
        "webhook" => webhook(connector, aim, operation),
        _ => Err(Cannot::Settings(format!("there is no connector for {:?}", connector.system))),
    }
}

impl Connector<'_> {
    /// Whether it ends what records of this source tell of. `sources` in its settings says so; else [`CONNECTORS`] does.
    pub fn serves(&self, source: &str) -> bool {
        match self.settings.get("sources").and_then(Value::as_array) {
            Some(list) => list.iter().any(|s| s == source),
            None => self.by_nature().contains(&source),
        }
    }

    /// Whether nobody said which sources it serves, and it serves those that no other does.
    pub fn serves_the_rest(&self) -> bool {
        self.settings.get("sources").is_none() && self.by_nature().is_empty()
    }

    fn by_nature(&self) -> &'static [&'static str] {
        CONNECTORS.iter().find(|(name, _)| *name == self.system).map_or(&[], |(_, sources)| sources)
    }

    /// The address that requests go below, without a slash at its end.
    pub(crate) fn url(&self) -> Result<&str, Cannot> {
        let url = self.text("url")?.trim_end_matches('/');
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
        if host.is_empty() || url.contains(['@', '?', '#', ' ']) {
            return Err(Cannot::Settings(
                "`url` is http:// or https:// with a host, and without a user, a query or a fragment".into(),
            ));
        }
        Ok(url)
    }

    /// A setting that is a text.
    pub(crate) fn text(&self, name: &str) -> Result<&str, Cannot> {
        let text = self.settings.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.ok_or_else(|| {
            Cannot::Settings(format!("the setting `{name}` of the {} connector is missing", self.system))
        })
    }

    /// A secret that it cannot do without.
    pub(crate) fn secret(&self, name: &str) -> Result<&str, Cannot> {
        let secret = self.secrets.get(name).map(String::as_str).filter(|secret| !secret.is_empty());
        secret
            .ok_or_else(|| Cannot::Settings(format!("the secret `{name}` of the {} connector is missing", self.system)))
    }

    /// A bearer token, if it has one.
    pub(crate) fn bearer(&self) -> Access {
        self.secrets.get("token").filter(|token| !token.is_empty()).cloned().map_or(Access::Open, Access::Bearer)
    }
}

/// A request without a body.
pub(crate) fn call(method: &'static str, url: String) -> Call {
    Call { method, url, headers: Vec::new(), body: None }
}

/// `text` as one segment of a path, or one value of a query.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Dots too: `..` as a segment is another place.
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// `key:"value"` of a filter.
pub(crate) fn is(key: &str, value: &str) -> String {
    format!("{key}:\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The filter for a record that says that a session was revoked.
pub(crate) fn revoked(session: &str) -> String {
    format!("({} OR {}) session.status:revoked", is("session_id", session), is("session.id", session))
}

/// Sessions, or grants, of one user that are dealt with one by one: as many as are known of anybody ([`Aim`]).
pub const MOST: usize = 1_000;

/// One filter per session that is known.
pub(crate) fn all_revoked(known: &[String]) -> Vec<String> {
    known.iter().take(MOST).map(|session| revoked(session)).collect()
}

/// The header with the time that was signed, in seconds since 1970.
pub const TIMESTAMP: &str = "indelible-timestamp";
/// The header with the operation's id, which a receiver takes only once.
pub const ID: &str = "indelible-id";
/// The header with the signature.
pub const SIGNATURE: &str = "indelible-signature";

/// A signed request to any service of the user's own. The receiver makes the signature again, refuses times more than five
/// minutes away, and takes an id once.
fn webhook(connector: &Connector<'_>, aim: &Aim, operation: &Operation<'_>) -> Result<Plan, Cannot> {
    let mut body = aim.members();
    if let Some(body) = body.as_object_mut() {
        if let Aim::Sessions { known, .. } = aim {
            body.insert("known_session_ids".into(), json!(known));
        }
        body.insert("operation".into(), operation.id.into());
        body.insert("tenant".into(), operation.tenant.into());
    }
    let body = body.to_string();
    let signature = signature(connector.secret("secret")?, operation.now, operation.id, &body);
    let call = Call {
        method: "POST",
        url: connector.url()?.to_owned(),
        headers: vec![(TIMESTAMP, operation.now.to_string()), (ID, operation.id.to_owned()), (SIGNATURE, signature)],
        body: Some(("application/json", body)),
    };
    let confirm = match aim {
        Aim::Session { id, .. } => vec![revoked(id)],
        Aim::Grant { id, .. } => vec![format!("{} grant.status:revoked", is("grant.id", id))],
        Aim::Sessions { known, .. } => all_revoked(known),
        Aim::Grants { user, known } => {
            let of_user = format!("{} grant.status:revoked", is("grant.user_id", user));
            let one =
                |client: &String| format!("{of_user} ({} OR {})", is("client.id", client), is("client.name", client));
            if known.is_empty() { vec![of_user] } else { known.iter().take(MOST).map(one).collect() }
        }
    };
    Ok(Plan {
        access: Access::Open,
        calls: vec![call],
        confirm,
        shown: None,
        effect: "a service of yours is told; what it does cannot be known here",
    })
}

/// `v1=` and HMAC-SHA256 in hex over `v1.{seconds}.{id}.{body}`.
pub fn signature(secret: &str, seconds: i64, id: &str, body: &str) -> String {
    // RFC 2104 pads a short key with zeros and hashes a long one; `KeyInit` has the same as its only failure.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("v1.{seconds}.{id}.").as_bytes());
    mac.update(body.as_bytes());
    let mut out = String::from("v1=");
    for byte in mac.finalize().into_bytes() {
        out.push_str(&format!("{byte:02x}"));
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn planned(system: &str, settings: &Value, aim: &Aim) -> Result<Plan, Cannot> {
        let secrets = [("token", "t0"), ("client_secret", "c0"), ("secret", "s0")];
        let secrets = secrets.map(|(name, secret)| (name.to_owned(), secret.to_owned())).into();
        let operation = Operation { id: "op-1", tenant: "acme", now: 1_795_178_096 };
        plan(&Connector { system, settings, secrets: &secrets }, aim, &operation)
    }

    pub(crate) fn session() -> Aim {
        Aim::Session { id: "s/1".into(), user: Some("u 1".into()) }
    }

    #[test]
    fn a_webhook_is_signed_over_time_id_and_body() {
        let plan = planned("webhook", &json!({"url": "https://x.example/hook"}), &session()).unwrap();
        let call = &plan.calls[0];
        let (_, body) = call.body.as_ref().unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(body).unwrap(),
            json!({"kind": "session", "session_id": "s/1", "user_id": "u 1", "operation": "op-1", "tenant": "acme"})
        );
        let header = |name| call.headers.iter().find(|(n, _)| *n == name).unwrap().1.as_str();
        assert_eq!((header(TIMESTAMP), header(ID)), ("1795178096", "op-1"));
        assert_eq!(header(SIGNATURE), signature("s0", 1_795_178_096, "op-1", body));
        for other in [signature("s1", 1_795_178_096, "op-1", body), signature("s0", 1_795_178_097, "op-1", body)] {
            assert_ne!(header(SIGNATURE), other);
        }
        // printf 'v1.1.a.{}' | openssl dgst -sha256 -hmac Jefe
        let known = "v1=8aad71fa86c5edacb7f56d4e0b10753d46c1ff82d7d74170cf193b336a1ebdd8";
        assert_eq!(signature("Jefe", 1, "a", "{}"), known);
    }

    #[test]
    fn each_of_a_users_grants_and_sessions_has_to_be_confirmed() {
        let known: Vec<String> = (0..150).map(|n| format!("c{n}")).collect();
        let user = || "u".to_owned();
        let confirm = |aim: &Aim| planned("webhook", &json!({"url": "https://x.example"}), aim).unwrap().confirm;
        let grants = confirm(&Aim::Grants { user: user(), known: known.clone() });
        assert_eq!(grants.len(), 150);
        assert!(grants[7].contains(r#"client.id:"c7""#) && grants[7].contains(r#"grant.user_id:"u""#), "{}", grants[7]);
        assert_eq!(confirm(&Aim::Grants { user: user(), known: Vec::new() }).len(), 1);
        assert_eq!(confirm(&Aim::Sessions { user: user(), known }).len(), 150);
    }

    #[test]
    fn only_an_answer_that_says_so_shows_that_it_is_over() {
        let shown = |over| Shown { call: call("GET", "http://h:1".into()), over };
        for (over, status, body, says) in [
            (Over::Inactive, 200, r#"{"id":"s1","active":false}"#, true),
            (Over::Inactive, 200, r#"{"id":"s1","active":true}"#, false),
            (Over::Inactive, 200, r#"{"id":"s1"}"#, false),
            (Over::Inactive, 500, r#"{"active":false}"#, false),
            (Over::Inactive, 404, r#"{"error":{}}"#, false),
            (Over::Inactive, 200, "[]", false),
            (Over::NoneLeft, 200, "[]", true),
            (Over::NoneLeft, 200, r#"[{"id":"s1"}]"#, false),
            (Over::NoneLeft, 200, "{}", false),
            (Over::NoneLeft, 200, "<html>", false),
            (Over::NoneLeft, 204, "", false),
        ] {
            assert_eq!(shown(over).says(status, body.as_bytes()), says, "{over:?} {status} {body}");
        }
    }

    #[test]
    fn which_connector_serves_which_source() {
        let none = BTreeMap::new();
        let serves = |system, settings: &Value, source| Connector { system, settings, secrets: &none }.serves(source);
        assert!(serves("keycloak", &json!({}), "keycloak") && !serves("keycloak", &json!({}), "ory"));
        assert!(serves("webhook", &json!({"sources": ["okta"]}), "okta"));
        assert!(!serves("keycloak", &json!({"sources": ["other"]}), "keycloak"), "as it was told");
        assert!(Connector { system: "webhook", settings: &json!({}), secrets: &none }.serves_the_rest());
    }

    #[test]
    fn settings_that_cannot_be_used_are_named() {
        for settings in [json!({}), json!({"url": "ftp://x"}), json!({"url": "https://u@x"}), json!({"url": 7})] {
            let error = planned("kratos", &settings, &session()).unwrap_err();
            assert!(error.to_string().contains("`url`"), "{error}");
        }
        assert!(matches!(planned("nobody", &json!({}), &session()), Err(Cannot::Settings(_))));
    }

    proptest! {
        #[test]
        fn whatever_is_answered_only_a_success_shows_it(
            status in any::<u16>(),
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            text in r#"[\[{]("active":(true|false|\PC{0,9}))?[\]}]"#,
        ) {
            for over in [Over::Inactive, Over::NoneLeft] {
                let shown = Shown { call: call("GET", "http://h:1".into()), over };
                for body in [bytes.as_slice(), text.as_bytes()] {
                    prop_assert!(!shown.says(status, body) || status == 200);
                    shown.says(200, body);
                }
            }
        }

        #[test]
        fn an_id_stays_in_its_place(id in "\\PC{1,30}", user in "\\PC{1,30}", client in "\\PC{1,30}") {
            let aims = [
                Aim::Session { id: id.clone(), user: None },
                Aim::Grant { id, user: user.clone(), client: client.clone() },
                Aim::Sessions { user: user.clone(), known: vec![client.clone()] },
                Aim::Grants { user, known: vec![client] },
            ];
            let settings = json!({"url": "http://h:1/base", "realm": "shop", "client_id": "us"});
            for aim in aims {
                for (system, _) in CONNECTORS {
                    let calls = planned(system, &settings, &aim)
                        .into_iter()
                        .flat_map(|plan| plan.calls.into_iter().chain(plan.shown.map(|shown| shown.call)));
                    for call in calls {
                        prop_assert!(call.url.starts_with("http://h:1/base"), "{}", call.url);
                        prop_assert!(!call.url.contains("..") && !call.url.contains(' ') && !call.url.contains('#'));
                        prop_assert!(call.url.matches('?').count() <= 1);
                    }
                }
            }
        }
    }
}
