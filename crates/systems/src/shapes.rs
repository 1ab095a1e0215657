//! Two stored forms of one event that its system gives in several shapes under one id: as a row and as an answer of GraphQL, as it is
//! streamed and as it is pulled.
//!
//! Owns telling whether all that one of them says is stored with the other ([`System::shapes`]). Not here: what the shapes are (each
//! system's folder), and actions that a system writes twice by itself (`twins`).

use crate::System;
use crate::envelope::MARKS;
use event::Field;
use event::encode::{Stored, fields};
use serde_json::{Map, Value};

/// A row taken apart.
struct Row<'r> {
    fields: Vec<Stored<'r>>,
    attributes: Map<String, Value>,
    shape: String,
    /// The record names no time; what is stored is that of its arrival.
    arrived: bool,
}

impl<'r> Row<'r> {
    fn new(system: &dyn System, row: &'r [u8]) -> Option<Row<'r>> {
        let mut all: Vec<Stored<'r>> = fields(row).collect::<Result<_, _>>().ok()?;
        let text = all.iter().find(|s| s.field == Field::Attributes).and_then(Stored::text).unwrap_or("{}");
        let mut attributes: Map<String, Value> = serde_json::from_str(text).ok()?;
        let marks = attributes.remove(MARKS).unwrap_or_default();
        let mark = |name: &str| marks.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let id = all.iter().find(|s| s.field == Field::Id).and_then(Stored::text).unwrap_or_default();
        let shape = mark("shape");
        system.plain(&mut attributes, &shape, id);
        // Where something was redacted stands in another place, but what stands there is the same.
        all.retain(|s| !matches!(s.field, Field::Attributes | Field::Redactions));
        Some(Row { fields: all, attributes, shape, arrived: mark("time") == "arrival" })
    }

    /// Whether this row has what a field of another one says.
    fn has(&self, field: &Stored<'_>) -> bool {
        let own = self.fields.iter().find(|own| own.field == field.field);
        own.is_some_and(|own| match (field.field, own.time(), field.time()) {
            // One shape may have its time in milliseconds where another has microseconds.
            (Field::Time, Some(own), Some(other)) => {
                own == other || (other % 1000 == 0 && own.div_euclid(1000) == other / 1000)
            }
            _ => own.value == field.value,
        })
    }
}

/// Whether everything that a value says is said by another: members that are null or empty say nothing.
fn within(sent: &Value, stored: &Value) -> bool {
    match (sent, stored) {
        (Value::Null, _) => true,
        (Value::Object(sent), stored) => sent.iter().all(|(name, value)| within(value, &stored[name.as_str()])),
        _ => sent == stored,
    }
}

/// What a system does to its records: it takes out what they name once that is gone, or writes in one shape what another has as it was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Amended {
    /// Fields of the envelope that it takes out.
    pub fields: &'static [Field],
    /// Members that no field holds, the same.
    pub members: &'static [&'static str],
    /// Fields that two shapes of one event have in different words.
    pub reworded: &'static [Field],
}

impl Amended {
    /// Whether all that is stored is sent as well, but for what the system forgot.
    fn alone(self, mut stored: Row<'_>, sent: &Row<'_>) -> bool {
        if self.fields.is_empty() {
            return false;
        }
        self.members.iter().for_each(|name| drop(stored.attributes.remove(*name)));
        stored.fields.iter().all(|field| self.fields.contains(&field.field) || sent.has(field))
            && within(&Value::Object(stored.attributes), &Value::Object(sent.attributes.clone()))
    }
}

/// Whether two rows with one id are one event, in two shapes or with less in it than before, and all that `sent` says is stored already.
pub fn same(system: &dyn System, stored: &[u8], sent: &[u8]) -> bool {
    let (Some(stored), Some(sent)) = (Row::new(system, stored), Row::new(system, sent)) else { return false };
    let (amends, shapes) = (system.amends(), stored.shape != sent.shape);
    let told = |field: &Stored<'_>| match field.field {
        Field::Time if sent.arrived => true,
        other if shapes && amends.reworded.contains(&other) => stored.fields.iter().any(|own| own.field == other),
        _ => stored.has(field),
    };
    let known = sent.fields.iter().all(told)
        && within(&Value::Object(sent.attributes.clone()), &Value::Object(stored.attributes.clone()));
    known && (shapes || amends.alone(stored, &sent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::NOW;
    use event::parse::Parser;
    use event::redact::Rules;
    use serde_json::json;

    fn row(system: &str, native: &Value) -> Vec<u8> {
        let system = crate::find(system).unwrap();
        let rules = Rules::default();
        let (mut out, mut count) = (Vec::new(), 0);
        let zone = jiff::tz::TimeZone::UTC;
        crate::convert(system, native.to_string().as_bytes(), "", &crate::Memory::default(), &zone, &mut |record| {
            assert!(record.unparsed.is_none(), "{native}");
            let parser = Parser { rules: &rules, tenant: "t", now: NOW };
            parser.parse(record.envelope.unwrap(), &mut || "made".into(), &mut out).unwrap();
            count += 1;
        })
        .unwrap();
        assert_eq!(count, 1);
        out
    }

    fn known(system: &str, stored: &Value, sent: &Value) -> bool {
        same(crate::find(system).unwrap(), &row(system, stored), &row(system, sent))
    }

    /// The value with one member changed.
    fn with(value: &Value, pointer: &str, to: Value) -> Value {
        let mut value = value.clone();
        *value.pointer_mut(pointer).unwrap() = to;
        value
    }

    #[test]
    fn a_row_of_contember_and_the_answer_of_graphql_are_one_event() {
        let stored = json!({
            "id": "e-1", "created_at": "2026-11-20T12:00:00.123456+00:00", "invoked_by_id": "i", "person_id": "p", "person_token_id": null,
            "person_input_identifier": "ann@example.com", "type": "idp_update", "success": true, "error_code": null, "error_message": null,
            "ip_address": "192.0.2.1", "user_agent": "curl/8", "identity_provider_id": "google", "metadata": {"forwarderIp": "203.0.113.7", "more": 1},
            "target_person_id": null, "event_data": {"slug": "g", "before": {"a": 1}, "after": {"a": 2}, "clientSecret": "hunter2"}, "geo_country": null,
            "device_fingerprint": null,
        });
        let graphql = json!({
            "id": "e-1", "createdAt": "2026-11-20T12:00:00.123Z", "type": "idp_update", "success": true, "invokedByIdentityId": "i", "personId": "p",
            "targetPersonId": null, "personInputIdentifier": "ann@example.com", "errorCode": null, "errorMessage": null, "ipAddress": "192.0.2.1",
            "userAgent": "curl/8", "identityProviderId": "google", "metadata": {"forwarderIp": "203.0.113.7", "more": 1},
            "eventData": {"slug": "g", "before": {"a": 1}, "after": {"a": 2}, "clientSecret": "hunter2"},
        });
        assert!(known("contember", &stored, &graphql));
        assert!(!known("contember", &graphql, &stored), "microseconds would be lost");
        let millis = with(&stored, "/created_at", json!("2026-11-20T12:00:00.123+00:00"));
        assert!(known("contember", &graphql, &millis) && known("contember", &millis, &graphql));
        // With only some members asked for, and no time.
        let some = json!({"id": "e-1", "type": "idp_update", "success": true, "personId": "p"});
        assert!(known("contember", &stored, &some));
        assert!(!known("contember", &some, &stored), "more is said than is stored");
        let more = with(&millis, "/geo_country", json!("CZ"));
        assert!(
            known("contember", &more, &graphql) && !known("contember", &graphql, &more),
            "the country would be lost"
        );
        for (pointer, to) in [
            ("/type", json!("idp_create")),
            ("/personId", json!("q")),
            ("/success", json!(false)),
            ("/createdAt", json!("2026-11-20T12:00:00.124Z")),
            ("/eventData/slug", json!("h")),
            ("/metadata/more", json!(2)),
            ("/targetPersonId", json!("t")),
        ] {
            assert!(!known("contember", &stored, &with(&graphql, pointer, to.clone())), "{pointer} {to}");
        }
        assert!(!known("contember", &stored, &with(&stored, "/user_agent", Value::Null)), "one shape, another content");
    }

    #[test]
    fn a_row_whose_people_were_deleted_since_is_the_same_row() {
        let stored = json!({
            "id": "e-2", "created_at": "2026-11-20T12:00:00.123456+00:00", "invoked_by_id": "i", "person_id": "p", "person_token_id": "t",
            "person_input_identifier": null, "type": "forced_sign_out", "success": true, "ip_address": "192.0.2.1", "user_agent": "curl/8",
            "identity_provider_id": "google", "metadata": {}, "target_person_id": "q", "event_data": {"slug": "g"},
        });
        let mut gone = stored.clone();
        for column in ["invoked_by_id", "person_id", "person_token_id", "identity_provider_id", "target_person_id"] {
            gone[column] = Value::Null;
            assert!(known("contember", &stored, &gone), "{column}");
            assert!(!known("contember", &gone, &stored), "{column}: who it was is said now");
        }
        for (pointer, to) in [
            ("/user_agent", Value::Null),
            ("/event_data/slug", json!("h")),
            ("/event_data", json!({})),
            ("/success", json!(false)),
        ] {
            assert!(!known("contember", &stored, &with(&gone, pointer, to.clone())), "{pointer} {to}");
        }
        for kind in ["person_disable", "create_session_token", "session_policy_applied"] {
            let (stored, gone) = (with(&stored, "/type", json!(kind)), with(&gone, "/type", json!(kind)));
            assert!(known("contember", &stored, &gone) && !known("contember", &gone, &stored), "{kind}");
        }
    }

    #[test]
    fn an_entry_of_auth0_is_one_event_streamed_and_pulled() {
        let data = json!({
            "date": "2026-11-20T12:00:00.123Z", "type": "sapi", "log_id": "9002", "client_id": "c", "client_ip": null, "user_agent": "curl/8",
            "user_id": "auth0|1", "details": {"request": {"body": {"password": "hunter2"}}, "session_id": "s"}, "tenant_name": "shop",
        });
        let mut pulled = data.clone();
        pulled["_id"] = json!("9002");
        let streamed = json!({"log_id": "9002", "data": data});
        assert!(known("auth0", &streamed, &pulled) && known("auth0", &pulled, &streamed));
        let other = with(&pulled, "/user_agent", json!("curl 8.0.0 / Other"));
        assert!(known("auth0", &streamed, &other) && known("auth0", &other, &streamed), "the API writes it anew");
        for (pointer, to) in [("/details/request/body", json!({})), ("/tenant_name", json!("other"))] {
            let other = with(&pulled, pointer, to.clone());
            // What is left out says nothing else.
            assert_eq!(known("auth0", &streamed, &other), to == json!({}), "{pointer}");
            assert!(!known("auth0", &other, &streamed), "{pointer}");
        }
        assert!(!known("auth0", &streamed, &streamed), "that is no other shape");
    }
}
