//! Every quirk of Auth0.

use super::read::outcome;
use crate::catalog;
use crate::testing::{keeps_everything, one, reason, survives, take};
use proptest::prelude::*;
use serde_json::json;

const NAME: &str = super::NAME;

fn entry(kind: &str) -> serde_json::Value {
    json!({
        "date": "2026-11-20T12:00:00.123Z", "type": kind, "description": "Wrong password.", "connection": "users",
        "connection_id": "con_1", "client_id": "c1", "client_name": "Shop", "ip": "2001:db8::7", "client_ip": null,
        "user_agent": "curl/8", "user_id": "auth0|u1", "user_name": "ann@example.com", "log_id": "9002026112012000",
        "details": {"error": "invalid_grant", "session_id": "s1", "stats": {"loginsCount": 12}},
        "$event_schema": {"version": "1.0.0"}, "tenant_name": "shop",
    })
}

#[test]
fn both_shapes_are_one_record() {
    let mut pulled = entry("fp");
    pulled["_id"] = pulled["log_id"].clone();
    let streamed = json!({"log_id": "9002026112012000", "data": entry("fp")});
    for sent in [&pulled, &streamed] {
        let stored = one(NAME, &sent.to_string());
        stored.expect(&[
            ("id", "9002026112012000"),
            ("log", "event"),
            ("time", "2026-11-20T12:00:00.123000Z"),
            ("action", "fp"),
            ("outcome", "failure"),
            ("level", "warn"),
            ("message", "Wrong password."),
            ("client.id", "c1"),
            ("client.name", "Shop"),
            ("provider.id", "con_1"),
            ("provider.name", "users"),
            ("ip", "2001:db8::7"),
            ("user_agent", "curl/8"),
            ("actor.id", "auth0|u1"),
            ("username", "ann@example.com"),
            ("session_id", "s1"),
            ("error_code", "invalid_grant"),
        ]);
        keeps_everything(NAME, &sent.to_string());
    }
    one(NAME, &streamed.to_string())
        .expect(&[("attributes._indelible.shape", "stream"), ("attributes.data.tenant_name", "shop")]);
}

#[test]
fn every_code_says_how_it_ended() {
    let codes: Vec<_> = catalog::entries().iter().filter(|e| e.system == NAME).collect();
    assert_eq!(codes.len(), 166);
    for code in codes {
        let stored = one(NAME, &entry(&code.name).to_string());
        stored.expect(&[("action", &code.name), ("log", &code.log), ("outcome", outcome(&code.name))]);
        let wrong = matches!(stored.at("outcome"), "failure" | "deny");
        assert!(!wrong || code.level == "warn", "{}: {} at level {}", code.name, stored.at("outcome"), code.level);
        assert_eq!(stored.at("level"), code.level, "{}", code.name);
    }
    for (code, wanted) in [
        ("s", "success"),
        ("f", "failure"),
        ("seacft", "success"),
        ("feacft", "failure"),
        ("sapi", "success"),
        ("slo", "success"),
        ("limit_wc", "deny"),
        ("pwd_leak", "deny"),
        ("gd_auth_failed", "failure"),
        ("gd_auth_rejected", "deny"),
        ("forms_submission_succeeded", "success"),
        ("federated_logout_failed", "failure"),
        ("ss_sso_success", "success"),
        ("success_on_behalf_of_token_exchange", "success"),
        ("w", "unknown"),
        ("mfar", "success"),
        ("brand_new", "unknown"),
        ("brand_new_failed", "failure"),
    ] {
        assert_eq!(outcome(code), wanted, "{code}");
    }
}

#[test]
fn management_is_audit() {
    one(NAME, &entry("sapi").to_string()).expect(&[("log", "audit"), ("error_code", "")]);
    for kind in ["sapi", "fapi"] {
        let mut sent = entry(kind);
        sent["details"] = json!({"request": {"method": "patch", "path": "/api/v2/users/auth0%7C1"}});
        one(NAME, &sent.to_string()).expect(&[
            ("target.name", "/api/v2/users/auth0%7C1"),
            ("attributes.details.request.path", "/api/v2/users/auth0%7C1"),
        ]);
    }
    one(NAME, &entry("gd_tenant_update").to_string()).expect(&[("log", "audit")]);
}

#[test]
fn nobody_is_named_where_nobody_is() {
    let mut sent = entry("fu");
    sent["client_id"] = json!(null);
    sent["user_id"] = json!("");
    sent["ip"] = json!("");
    sent["client_ip"] = json!("192.0.2.9");
    one(NAME, &sent.to_string()).expect(&[("client.id", ""), ("actor.id", ""), ("ip", "192.0.2.9")]);
    keeps_everything(NAME, &sent.to_string());
}

#[test]
fn secrets_in_details_go() {
    let mut sent = entry("sapi");
    sent["details"] = json!({"response": {"body": {"client_secret": "s3cr3t-value", "name": "x"}}});
    let stored = one(NAME, &sent.to_string());
    assert!(!stored.envelope.to_string().contains("s3cr3t-value"), "{}", stored.envelope);
    assert_eq!(stored.value("attributes.details.response.body.name"), "x");
    sent["details"] = json!({"error": {"message": "no"}, "session_id": 7});
    one(NAME, &sent.to_string()).expect(&[("attributes.details.error.message", "no"), ("error_code", "")]);
}

#[test]
fn lists_and_lines() {
    let both = [json!({"log_id": "1", "data": entry("s")}), entry("slo")];
    assert_eq!(take(NAME, &json!(both).to_string()).len(), 2);
    assert_eq!(take(NAME, &format!("{}\n{}\n", both[0], both[1])).len(), 2);
}

#[test]
fn what_is_not_understood_is_kept() {
    assert_eq!(reason(NAME, r#"{"log_id":"1","data":{}}"#), "missing_field");
    assert_eq!(reason(NAME, r#"{"log_id":"1","type":"s","date":"noon"}"#), "invalid_time");
    assert_eq!(reason(NAME, "7"), "wrong_type");
    assert_eq!(reason(NAME, r#"{"log_id":"1","type":"s","type":"f"}"#), "duplicate_key");
    assert_eq!(reason(NAME, r#"{"log_id":"1","data":{"type":"s","type":"f"}}"#), "duplicate_key");
}

proptest! {
    #[test]
    fn never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in r#"\{"log_id":"[0-9]{0,3}","(data|type|date|details)":[\PC]{0,60}\}"#,
        kind in "[a-z_]{0,12}",
    ) {
        survives(NAME, &bytes);
        survives(NAME, text.as_bytes());
        outcome(&kind);
    }
}

#[test]
fn codes_that_are_in_no_list_of_auth0s() {
    let of = |kind: &str| one(NAME, &json!({"_id": "x", "date": "2026-11-20T12:00:00.000Z", "type": kind}).to_string());
    of("fapi").expect(&[("log", "audit"), ("outcome", "failure")]);
    of("signup_pwd_leak").expect(&[("outcome", "deny")]);
}

/// Event Grid and EventBridge.
#[test]
fn an_entry_inside_somebody_elses_event_is_that_entry() {
    let stream = json!({"log_id": "L1", "data": entry("fp")});
    let alone = one(NAME, &stream.to_string());
    for sent in [
        json!({"specversion": "1.0", "type": "com.auth0.Log", "source": "urn:x", "id": "g2", "time": "2026-11-20T12:00:00Z", "data": stream}),
        json!({"version": "0", "id": "e", "detail-type": "Auth0 log", "source": "aws.partner/auth0.com/x", "detail": stream}),
    ] {
        let stored = one(NAME, &sent.to_string());
        stored.expect(&[("action", "fp"), ("id", alone.at("id")), ("time", alone.at("time"))]);
        assert!(stored.value("attributes.delivered").is_object(), "{}", stored.envelope);
    }
    for other in [json!({"type": "LOGIN_ERROR", "realmId": "r"}), json!({"type": "com.auth0.Log", "id": "g2"})] {
        assert_eq!(reason(NAME, &other.to_string()), "not_an_event");
    }
}
