//! Every quirk of Security Event Tokens.

use super::payload;
use crate::catalog;
use crate::testing::{keeps_everything, one, reason, survives, take, take_with};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

const NAME: &str = super::NAME;
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

fn token(event: &Value) -> Value {
    json!({
        "iss": "https://idp.example.com/", "jti": "24c63fb5", "iat": 1_795_176_010, "aud": "https://sp.example.com/", "txn": "t8675309",
        "sub_id": {"format": "iss_sub", "iss": "https://idp.example.com/", "sub": "ann-1"}, "events": {REVOKED: event},
    })
}

fn compact(payload: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(r#"{"typ":"secevent+jwt","alg":"ES256"}"#), part(payload), part("signature"))
}

#[test]
fn what_was_expected_and_what_came_is_said() {
    for (system, body, said) in [
        (
            "set",
            "{}",
            "`events` is missing; a security event token has the event there, `\"events\": { \"https://…\": { … } }`",
        ),
        ("set", r#"{"events":{}}"#, "`events` is an object with nothing in it; "),
        ("set", r#"{"events":[]}"#, "`events` is no object; "),
        (
            "ory",
            r#"{"flow":{}}"#,
            "nothing says what happened: the Action has no `event`, and its `request_url` is missing; send",
        ),
        ("keycloak", r#"{"type":7}"#, "`type` is a number; it is the text by which the record is known for what it is"),
        ("keycloak", r#"{"type":""}"#, "`type` is an empty text; "),
        ("okta", r#"{"eventType":null}"#, "`eventType` is null; "),
        ("zitadel", r#"{"type":{"type":{}}}"#, "`type.type` is an object; "),
        ("asgardeo", r#"{"a":1}"#, "`action` is missing; "),
        ("cloudevents", r#"{"type":"t","source":["s"]}"#, "`source` is a list; "),
        (
            "authentik",
            r#"{"action":"a","created":7}"#,
            "`created` is a number, and none that is known for a time; it should be a text such as 2026",
        ),
        (
            "keycloak",
            r#"{"type":"LOGIN","time":"noon"}"#,
            "`time` is a text, and none that is known for a time; it should be a number of milliseconds",
        ),
    ] {
        let kept = crate::testing::take(system, body).remove(0);
        assert!(kept.at("message").starts_with(said), "{system} {body}: {}", kept.at("message"));
    }
}

#[test]
fn a_session_was_revoked() {
    let sent = token(
        &json!({"event_timestamp": 1_795_176_000, "initiating_entity": "admin", "reason_admin": {"en": "Stolen laptop"}}),
    );
    one(NAME, &sent.to_string()).expect(&[
        ("log", "event"),
        ("time", "2026-11-20T12:00:00.000000Z"),
        ("action", REVOKED),
        ("outcome", "success"),
        ("actor.type", "admin"),
        ("message", "Stolen laptop"),
        ("request_id", "t8675309"),
        ("target.id", "ann-1"),
        ("attributes.jti", "24c63fb5"),
        ("attributes.iss", "https://idp.example.com/"),
    ]);
    keeps_everything(NAME, &sent.to_string());
}

#[test]
fn as_it_is_pushed() {
    let sent = token(&json!({}));
    let pushed = compact(&sent.to_string());
    assert_eq!(payload(&pushed).unwrap(), sent.to_string());
    let stored = take_with(&crate::Memory::default(), NAME, pushed.as_bytes());
    assert_eq!(stored.len(), 1);
    stored[0].expect(&[("action", REVOKED), ("id", one(NAME, &sent.to_string()).at("id"))]);
    assert_eq!(crate::detect(format!("{pushed}\n").as_bytes()), [("set", 97)]);
    // A token that cannot be opened is kept, as far as redaction lets it.
    assert_eq!(reason(NAME, "a.b.c"), "invalid_json");
    for broken in ["", "a.b", &format!("{pushed}.x"), &compact("7"), &compact("[]"), &pushed.replacen('.', "", 1)] {
        assert_eq!(payload(broken), None, "{broken}");
    }
}

#[test]
fn times_in_their_order() {
    let mut sent = token(&json!({"event_timestamp": 1_795_176_000}));
    one(NAME, &sent.to_string()).expect(&[("time", "2026-11-20T12:00:00.000000Z")]);
    sent["toe"] = json!(1_795_175_990.5);
    one(NAME, &sent.to_string()).expect(&[("time", "2026-11-20T11:59:50.500000Z")]);
    one(NAME, &token(&json!({})).to_string()).expect(&[("time", "2026-11-20T12:00:10.000000Z")]);
}

#[test]
fn subjects_in_every_format() {
    for (subject, id, kind) in [
        (json!({"format": "email", "email": "ann@example.com"}), "ann@example.com", ""),
        (json!({"format": "opaque", "id": "11112222"}), "11112222", ""),
        (json!({"format": "account", "uri": "acct:ann@example.com"}), "acct:ann@example.com", ""),
        (json!({"format": "phone_number", "phone_number": "+12065550100"}), "+12065550100", ""),
        (json!({"format": "did", "url": "did:example:123"}), "did:example:123", ""),
        (
            json!({"format": "aliases", "identifiers": [{"format": "opaque", "id": "1"}, {"format": "opaque", "id": "2"}]}),
            "1",
            "",
        ),
        (
            json!({"format": "complex", "session": {"format": "opaque", "id": "s1"}, "user": {"format": "opaque", "id": "u1"}}),
            "u1",
            "user",
        ),
        (json!({"format": "complex", "session": {"format": "opaque", "id": "s1"}}), "s1", "session"),
        (json!("odd"), "", ""),
    ] {
        let mut sent = token(&json!({}));
        sent["sub_id"] = subject.clone();
        one(NAME, &sent.to_string()).expect(&[("target.id", id), ("target.type", kind)]);
        keeps_everything(NAME, &sent.to_string());
        // As older events have it.
        let mut sent = token(&json!({"subject": subject}));
        sent.as_object_mut().unwrap().remove("sub_id");
        one(NAME, &sent.to_string()).expect(&[("target.id", id), ("target.type", kind)]);
    }
    let sent = json!({"iss": "i", "jti": "1", "sub": "ann", "events": {REVOKED: {}}});
    one(NAME, &sent.to_string()).expect(&[("target.id", "ann"), ("attributes._indelible.time", "arrival")]);
}

#[test]
fn sessions_end_one_by_one_or_all_at_once() {
    let (user, session) =
        (json!({"format": "iss_sub", "iss": "i", "sub": "u1"}), json!({"format": "opaque", "id": "s1"}));
    let tenant = json!({"format": "opaque", "id": "t1"});
    let (of_user, of_tenant) = (json!(["session.user_id"]), json!(["source", "/iss", "/sub_id/tenant"]));
    for (subject, status, id, owner, ends) in [
        (
            json!({"format": "complex", "user": user, "session": session, "tenant": tenant}),
            "revoked",
            "s1",
            "u1",
            json!(null),
        ),
        (json!({"user": user, "session": session}), "revoked", "s1", "u1", json!(null)),
        (json!({"session": {"format": "jwt_id", "iss": "i", "jti": "j1"}}), "revoked", "j1", "", json!(null)),
        (json!({"format": "complex", "user": user, "tenant": tenant}), "revoked", "", "u1", of_user.clone()),
        (user.clone(), "revoked", "", "u1", of_user.clone()),
        (json!({"format": "opaque", "id": 7}), "revoked", "", "7", of_user.clone()),
        (json!({"format": "complex", "tenant": tenant}), "revoked", "", "", of_tenant),
        // On one device only, and nobody says which sessions those are.
        (
            json!({"format": "complex", "user": user, "device": {"format": "opaque", "id": "d1"}}),
            "",
            "",
            "",
            json!(null),
        ),
    ] {
        let mut sent = token(&json!({}));
        sent["sub_id"] = subject.clone();
        let stored = one(NAME, &sent.to_string());
        stored.expect(&[("session.status", status), ("session_id", id), ("session.user_id", owner)]);
        assert_eq!(stored.value("attributes._indelible.ends"), &ends, "{subject}");
        keeps_everything(NAME, &sent.to_string());
    }
    // As older events have it, and as the oldest.
    let older =
        |event: Value, sub: Value| json!({"iss": "i", "jti": "1", "iat": 1, "sub": sub, "events": {REVOKED: event}});
    let tenant_in_event = one(NAME, &older(json!({"subject": {"tenant": tenant}}), json!(null)).to_string());
    let ends = tenant_in_event.value("attributes._indelible.ends");
    assert_eq!(tenant_in_event.value("attributes").pointer(ends[2].as_str().unwrap()), Some(&tenant));
    one(NAME, &older(json!({}), json!("ann")).to_string())
        .expect(&[("session.status", "revoked"), ("session.user_id", "ann")]);
    // What says nothing of sessions ends none.
    let mut other = token(&json!({}));
    other["events"] = json!({"urn:a": {}});
    one(NAME, &other.to_string()).expect(&[("session.status", ""), ("session.user_id", "")]);
    let begun = REVOKED.replace("revoked", "established");
    other["events"] = json!({begun: {}});
    other["sub_id"] = json!({"format": "complex", "user": user, "session": session});
    one(NAME, &other.to_string()).expect(&[
        ("session.status", "active"),
        ("session_id", "s1"),
        ("session.user_id", "u1"),
    ]);
}

#[test]
fn facets_of_one_event_are_one_record() {
    let mut sent = token(&json!({}));
    sent["events"] = json!({"urn:a": {"x": 1}, "urn:b": {}});
    let stored = take(NAME, &sent.to_string());
    assert_eq!(stored.len(), 1);
    stored[0].expect(&[("action", "urn:a")]);
    assert_eq!(stored[0].value("attributes.events"), &json!({"urn:a": {"x": 1}, "urn:b": {}}));
}

#[test]
fn ids_count_within_their_issuer() {
    let mut other = token(&json!({}));
    other["iss"] = json!("https://other.example.com/");
    assert_ne!(one(NAME, &token(&json!({})).to_string()).at("id"), one(NAME, &other.to_string()).at("id"));
    other["jti"] = json!("");
    assert_eq!(one(NAME, &other.to_string()).at("id").len(), 64);
}

#[test]
fn every_uri_of_the_catalogue() {
    for known in catalog::entries().iter().filter(|e| e.system == NAME) {
        let sent = json!({"iss": "i", "jti": "1", "iat": 1, "events": {known.name.clone(): {}}});
        one(NAME, &sent.to_string()).expect(&[("action", &known.name), ("log", &known.log), ("level", &known.level)]);
    }
}

#[test]
fn what_is_not_understood_is_kept() {
    for other in [r#"{"iss":"i"}"#, r#"{"events":{}}"#, r#"{"events":[]}"#, r#"{"events":{"":{}}}"#] {
        assert_eq!(reason(NAME, other), "missing_field", "{other}");
    }
    assert_eq!(reason(NAME, r#"{"iat":"noon","events":{"urn:a":{}}}"#), "invalid_time");
    assert_eq!(reason(NAME, r#"{"events":{"urn:a":{"event_timestamp":{}}}}"#), "invalid_time");
    assert_eq!(reason(NAME, r#"{"events":{"urn:a":{}},"events":{"urn:b":{}}}"#), "duplicate_key");
    assert_eq!(reason(NAME, r#"{"events":{"urn:a":{},"urn:a":{}}}"#), "duplicate_key");
}

proptest! {
    #[test]
    fn never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in r#"\{"iss":"i","(events|sub_id|toe|iat|jti)":[\PC]{0,60}\}"#,
        event in r#"\{"(subject|event_timestamp|reason_admin)":[\PC]{0,40}\}"#,
    ) {
        survives(NAME, &bytes);
        survives(NAME, text.as_bytes());
        survives(NAME, compact(&text).as_bytes());
        survives(NAME, format!(r#"{{"events":{{"urn:a":{event}}}}}"#).as_bytes());
    }
}

#[test]
fn milliseconds_of_older_drafts_and_the_second_of_two_facets() {
    let revoked = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
    let subject = json!({"format": "email", "email": "ann@example.com"});
    let token = |events: serde_json::Value| {
        json!({"iss": "i", "jti": "j", "iat": 1795176000, "sub_id": subject, "events": events}).to_string()
    };
    for at in [json!(1795176000123i64), json!("1795176000123")] {
        one(NAME, &token(json!({revoked: {"event_timestamp": at}}))).expect(&[("time", "2026-11-20T12:00:00.123000Z")]);
    }
    let two = json!({"https://schemas.openid.net/secevent/risc/event-type/account-enabled": {}, revoked: {}});
    let alone = one(NAME, &token(json!({revoked: {}})));
    assert_eq!(one(NAME, &token(two)).value("attributes._indelible.ends"), alone.value("attributes._indelible.ends"));
    assert!(!alone.value("attributes._indelible.ends").is_null());
}
