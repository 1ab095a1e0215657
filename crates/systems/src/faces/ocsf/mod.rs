//! A record as an event of the Open Cybersecurity Schema Framework, 1.9 or 1.8.
//!
//! The class and activity follow from what the event is ([`super::kind`]); a class whose required attributes the record cannot fill
//! gives way to API Activity (6003), which asks for nothing that a record does not have. In 1.8, users have Account Change (3001) and
//! User Access Management (3005) in place of User Management (3007), and roles are entities.
//!
//! `user` is whom the event is about ([`super::people`]) and `actor` who did it.
//! Where the record does not say who it was, `user.name` is `unknown`, because the schema wants one. Every field that no
//! attribute takes stands in `unmapped` under its envelope path. With a proof, 1.9 events carry the `record_integrity` profile: the
//! fingerprint is the hash of the record's leaf in the tenant's ledger, so it is over the stored record and not over this rendering
//! of it, and `serialization` says so. 1.8 has no such profile; there the proof is in `unmapped` only.

mod classes;
mod parts;

use super::{Given, Record, kind};
use crate::catalog;
use classes::Class;
use event::Field;
use parts::{Parts, object};
use serde_json::{Map, Value, json};

/// Editions of OCSF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Schema {
    /// 1.9.0, with classes of their own for users and roles.
    #[default]
    Newest,
    /// 1.8.0, for readers that do not know those.
    Older,
}

impl Schema {
    /// The edition by its number.
    pub fn find(number: &str) -> Option<Schema> {
        match number {
            "1.9" | "1.9.0" => Some(Schema::Newest),
            "1.8" | "1.8.0" => Some(Schema::Older),
            _ => None,
        }
    }

    fn version(self) -> &'static str {
        match self {
            Schema::Newest => "1.9.0",
            Schema::Older => "1.8.0",
        }
    }
}

pub(super) fn render(record: Record<'_>, given: &Given<'_>) -> Value {
    let kind = kind::of(record);
    let wanted = if given.schema == Schema::Newest { kind.class } else { kind.older };
    let mut parts = Parts::new(record, given.schema, kind);
    let (class, activity, mut event) = of_class(&mut parts, wanted, given);
    common(&mut parts, class, activity, &mut event);
    event.insert("metadata".to_owned(), metadata(&mut parts, given).into());
    let mut unmapped = parts.unmapped();
    if let Some(proof) = given.proof {
        unmapped.insert("proof".to_owned(), proof.json(given.origin));
        if given.schema == Schema::Newest {
            event.insert("attestation_list".to_owned(), attestation(&proof, given));
        }
    }
    if !unmapped.is_empty() {
        event.insert("unmapped".to_owned(), unmapped.into());
    }
    Value::Object(event)
}

/// What the class asks for itself, and the class that it came to.
fn of_class(
    parts: &mut Parts<'_>,
    (class, activity): (u16, u8),
    given: &Given<'_>,
) -> (&'static Class, u8, Map<String, Value>) {
    let mut event = Map::new();
    let mut put = |name: &str, value: Value| event.insert(name.to_owned(), value);
    match class {
        3001 | 3007 => {
            put("user", parts.whom());
            let privileges = parts.privileges();
            if class == 3007 && !privileges.is_empty() && matches!(activity, 14 | 15) {
                put("privileges", privileges.into());
            }
            let roles = parts.roles();
            if class == 3007 && !roles.is_empty() && matches!(activity, 16 | 17) {
                put("iam_roles", roles.into_iter().map(|name| json!({ "name": name })).collect());
            }
        }
        3002 => {
            put("user", parts.whom());
            put("service", parts.service());
            if let Some(session) = parts.session() {
                put("session", session);
            }
        }
        3003 => {
            let privileges = parts.privileges();
            let roles = parts.roles();
            if privileges.is_empty() && (roles.is_empty() || given.schema == Schema::Older) {
                return of_class(parts, (6003, 99), given);
            }
            put("user", parts.whom());
            if !privileges.is_empty() {
                put("privileges", privileges.into());
            } else {
                put("iam_roles", roles.into_iter().map(|name| json!({ "name": name })).collect());
            }
            if let Some(session) = parts.session() {
                put("session", session);
            }
        }
        3005 => {
            let mut privileges = parts.privileges();
            privileges.extend(parts.roles());
            if privileges.is_empty() {
                return of_class(parts, (3001, 99), given);
            }
            put("user", parts.whom());
            put("privileges", privileges.into());
        }
        3004 => {
            put("entity", parts.entity(given));
        }
        3006 => {
            put("group", parts.group());
            let member = if matches!(activity, 3 | 4) { parts.user_there() } else { None };
            if let Some(user) = member {
                match given.schema {
                    Schema::Newest => put("users", json!([user])),
                    Schema::Older => put("user", user),
                };
            }
            let mut privileges = parts.privileges();
            privileges.extend(parts.roles());
            if !privileges.is_empty() && matches!(activity, 1 | 2) {
                put("privileges", privileges.into());
            }
        }
        3008 => {
            put("iam_role", parts.role());
        }
        _ => {
            put("api", parts.api());
            put("actor", parts.actor().unwrap_or_else(|| parts.unknown_actor()));
            put("src_endpoint", parts.endpoint().unwrap_or_else(|| parts.unknown_endpoint()));
            return (classes::of(6003), activity, event);
        }
    }
    (classes::of(class), activity, event)
}

/// What every class has.
fn common(parts: &mut Parts<'_>, class: &Class, activity: u8, event: &mut Map<String, Value>) {
    let mut put = |name: &str, value: Value| event.insert(name.to_owned(), value);
    parts.take(Field::Action);
    let action = parts.record.action();
    let activity_name = class.activity(activity).unwrap_or(action);
    let (category, category_name) = class.category();
    put("category_uid", category.into());
    put("category_name", category_name.into());
    put("class_uid", class.uid.into());
    put("class_name", class.caption.into());
    put("activity_id", activity.into());
    put("activity_name", activity_name.into());
    put("type_uid", (u32::from(class.uid) * 100 + u32::from(activity)).into());
    let caption = class.activity(activity).unwrap_or("Other");
    put("type_name", format!("{}: {caption}", class.caption).into());
    let (severity, caption) = match parts.take(Field::Level) {
        Some("info") => (1, "Informational"),
        Some("warn") => (2, "Low"),
        Some("error") => (3, "Medium"),
        _ => (0, "Unknown"),
    };
    put("severity_id", severity.into());
    put("severity", caption.into());
    // Denied is a failure here; that it was a denial stays in `unmapped`.
    let (status, caption) = match parts.record.text(Field::Outcome) {
        Some("success") => (1, "Success"),
        Some("failure" | "deny") => (2, "Failure"),
        _ => (0, "Unknown"),
    };
    if parts.record.text(Field::Outcome) != Some("deny") {
        parts.take(Field::Outcome);
    }
    put("status_id", status.into());
    put("status", caption.into());
    put("time", parts.record.time(Field::Time).unwrap_or_default().div_euclid(1000).into());
    if let Some(code) = parts.take(Field::ErrorCode) {
        put("status_code", code.into());
    }
    let meaning = || Some(catalog::find(parts.record.text(Field::Source)?, action)?.meaning.as_str());
    match parts.record.text(Field::Message) {
        Some(message) => {
            parts.take(Field::Message);
            put("status_detail", message.into());
            put("message", message.into());
        }
        None => {
            put("message", meaning().unwrap_or(action).into());
        }
    }
    if let Some(user_agent) = parts.take(Field::UserAgent) {
        put("http_request", object([("user_agent", Some(user_agent)), ("uid", parts.record.text(Field::RequestId))]));
    }
    if class.uid != 6003 {
        if let Some(actor) = parts.actor() {
            put("actor", actor);
        }
        if let Some(endpoint) = parts.endpoint() {
            put("src_endpoint", endpoint);
        }
    }
}

fn metadata(parts: &mut Parts<'_>, given: &Given<'_>) -> Map<String, Value> {
    let record = parts.record;
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
    put("version", given.schema.version().into());
    put("product", json!({ "name": parts.take(Field::Source).unwrap_or("unknown") }));
    put("log_provider", "Indelible".into());
    put("tenant_uid", given.tenant.into());
    for (name, field) in [
        ("uid", Field::Id),
        ("event_code", Field::Action),
        ("log_name", Field::Log),
        ("original_time", Field::Time),
        ("correlation_uid", Field::RequestId),
    ] {
        if let Some(text) = parts.take(field) {
            put(name, text.into());
        }
    }
    if let Some(at) = record.recorded_at() {
        put("logged_time", at.div_euclid(1000).into());
    }
    if let Some(proof) = given.proof {
        put("sequence", proof.index.into());
        if given.schema == Schema::Newest {
            put("profiles", json!(["record_integrity"]));
        }
    }
    out
}

/// The `record_integrity` profile's one attribute.
fn attestation(proof: &super::Proof<'_>, given: &Given<'_>) -> Value {
    json!([{
        "uid": format!("{}/{}", given.origin, proof.index),
        "authority_uid": given.origin,
        "chain_uid": given.origin,
        "fingerprint": {
            "algorithm_id": 3,
            "algorithm": "SHA-256",
            "encoding_id": 1,
            "encoding": "Hex",
            "serialization_id": 99,
            "serialization": "RFC 6962 leaf of the stored record (Indelible entry 1)",
            "value": proof.leaf,
        },
    }])
}
