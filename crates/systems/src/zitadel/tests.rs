//! Every quirk of ZITADEL.

use crate::catalog;
use crate::testing::{keeps_everything, one, reason, survives, take};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

const NAME: &str = super::NAME;

/// `{"userName":"ann","password":"hunter2"}`
const PAYLOAD: &str = "eyJ1c2VyTmFtZSI6ImFubiIsInBhc3N3b3JkIjoiaHVudGVyMiJ9";

fn pushed(kind: &str, payload: &str) -> Value {
    json!({
        "aggregateID": "3130148", "aggregateType": "user", "resourceOwner": "3129090", "instanceID": "3129091", "version": "v2",
        "sequence": 7, "event_type": kind, "created_at": "2026-11-20T13:00:00.262665+01:00", "userID": "3129092",
        "event_payload": payload,
    })
}

fn searched(kind: &str) -> Value {
    json!({
        "editor": {"userId": "3129092", "displayName": "Ann", "service": "Admin-API"},
        "aggregate": {"id": "3130148", "type": {"type": "user", "localized": {"key": "AggregateTypes.user"}}, "resourceOwner": "3129090"},
        "sequence": "7", "creationDate": "2026-11-20T12:00:00.262665Z", "payload": {"userName": "ann"},
        "type": {"type": kind, "localized": {"key": "EventTypes.user.human.added", "localizedMessage": "Person added"}},
    })
}

#[test]
fn what_actions_send() {
    let stored = one(NAME, &pushed("user.human.added", PAYLOAD).to_string());
    stored.expect(&[
        ("log", "audit"),
        ("time", "2026-11-20T12:00:00.262665Z"),
        ("attributes.created_at", "2026-11-20T13:00:00.262665+01:00"),
        ("action", "user.human.added"),
        ("outcome", "success"),
        ("actor.id", "3129092"),
        ("target.id", "3130148"),
        ("target.type", "user"),
        ("attributes.instanceID", "3129091"),
        ("attributes._indelible.shape", "actions"),
    ]);
}

/// Whoever reads the database instead of the documentation sends it without padding, and a record that is not understood is kept whole.
#[test]
fn a_payload_without_padding_or_of_a_record_that_is_not_understood_is_opened() {
    let secret = r#"{"password":"hunter2","n":1}"#;
    let payload = STANDARD.encode(secret);
    let bare = payload.trim_end_matches('=');
    assert_ne!(bare, payload);
    let wanted = json!({"password": "***", "n": 1});
    let stored = one(NAME, &pushed("user.human.added", bare).to_string());
    assert_eq!(stored.value("attributes.event_payload"), &wanted);
    let mut sent = pushed("user.human.added", &payload);
    sent["created_at"] = json!("noon");
    for payload in [&payload, bare] {
        sent["event_payload"] = json!(payload);
        let kept = take(NAME, &sent.to_string()).remove(0);
        kept.expect(&[("action", "unparsed"), ("error_code", "invalid_time")]);
        assert_eq!(kept.value("attributes.native.event_payload"), &wanted);
    }
    // What was cut is a text, in which the secret is found by its name.
    let stored = one(NAME, &pushed("user.human.added", &STANDARD.encode(r#"{"password":"hunter2","n":"#)).to_string());
    stored.expect(&[("attributes.event_payload", r#"{"password":"***","n":"#)]);
}

#[test]
fn a_payload_is_opened_and_redacted() {
    let stored = one(NAME, &pushed("user.human.added", PAYLOAD).to_string());
    assert_eq!(stored.value("attributes.event_payload"), &json!({"userName": "ann", "password": "***"}));
    for odd in ["", "no base64!", "/w==", "bnVs"] {
        let sent = pushed("user.human.added", odd).to_string();
        one(NAME, &sent).expect(&[("attributes.event_payload", odd)]);
        keeps_everything(NAME, &sent);
    }
}

#[test]
fn whom_a_role_was_given_to_is_in_the_grant() {
    let payload = json!({"userId": "u9", "projectId": "p1", "roleKeys": ["buyer"]});
    let mut sent = pushed("user.grant.added", &STANDARD.encode(payload.to_string()));
    (sent["aggregateID"], sent["aggregateType"]) = (json!("g1"), json!("usergrant"));
    let mut found = searched("org.member.added");
    (found["aggregate"]["id"], found["payload"]) = (json!("g1"), payload);
    for sent in [sent, found].map(|sent| sent.to_string()) {
        one(NAME, &sent).expect(&[("target.id", "g1"), ("subject.id", "u9"), ("subject.type", "user")]);
    }
}

#[test]
fn whose_a_session_is_is_known_once_its_user_was_found() {
    let payload = json!({"userID": "3129092", "userResourceOwner": "3129090", "checkedAt": "2026-11-20T12:00:00Z"});
    let kind = "session.user.checked";
    let mut sent = pushed(kind, &STANDARD.encode(payload.to_string()));
    (sent["aggregateID"], sent["aggregateType"]) = (json!("s1"), json!("session"));
    // Who checks is the sign-in page's own service account.
    sent["userID"] = json!("login");
    let mut found = searched(kind);
    (found["payload"], found["aggregate"]["id"], found["editor"]["userId"]) = (payload, json!("s1"), json!("login"));
    for sent in [sent, found] {
        one(NAME, &sent.to_string()).expect(&[
            ("session_id", "s1"),
            ("session.status", "active"),
            ("session.user_id", "3129092"),
            ("actor.id", "login"),
        ]);
    }
    one(NAME, &pushed("session.added", "").to_string()).expect(&[("session.user_id", "")]);
}

#[test]
fn a_session_ends_when_its_lifetime_is_over() {
    for (lifetime, end) in [
        (json!(3_600_000_000_000_i64), "2026-11-20T13:00:00.262665Z"),
        (json!("3600000000000"), "2026-11-20T13:00:00.262665Z"),
        (json!(0), ""),
        (json!("1h"), ""),
        (json!(null), ""),
    ] {
        let payload = json!({"lifetime": lifetime});
        let mut found = searched("session.lifetime.set");
        found["payload"] = payload.clone();
        for sent in [pushed("session.lifetime.set", &STANDARD.encode(payload.to_string())), found] {
            one(NAME, &sent.to_string()).expect(&[
                ("session_id", "3130148"),
                ("session.status", "active"),
                ("session.expires_at", end),
            ]);
            keeps_everything(NAME, &searched("session.lifetime.set").to_string());
        }
    }
}

#[test]
fn what_a_search_finds() {
    let sent = searched("user.human.added").to_string();
    one(NAME, &sent).expect(&[
        ("time", "2026-11-20T12:00:00.262665Z"),
        ("action", "user.human.added"),
        ("message", "Person added"),
        ("actor.id", "3129092"),
        ("actor.name", "Ann"),
        ("client_actor.name", "Admin-API"),
        ("target.id", "3130148"),
        ("target.type", "user"),
        ("attributes.payload.userName", "ann"),
        ("attributes.sequence", "7"),
    ]);
    keeps_everything(NAME, &sent);
}

#[test]
fn both_shapes_of_one_event_have_one_id() {
    let pushed = one(NAME, &pushed("user.human.added", PAYLOAD).to_string());
    let found = one(NAME, &searched("user.human.added").to_string());
    assert_eq!(pushed.at("id"), found.at("id"));
    let mut next = searched("user.human.added");
    next["sequence"] = json!("8");
    assert_ne!(one(NAME, &next.to_string()).at("id"), found.at("id"));
    // Without a number the record itself is its name.
    for sequence in [json!(null), json!(""), json!({})] {
        next["sequence"] = sequence;
        assert_eq!(one(NAME, &next.to_string()).at("id").len(), 64);
    }
}

#[test]
fn an_answer_is_unwrapped() {
    let body = json!({"events": [searched("user.human.added"), searched("user.locked")]});
    let stored = take(NAME, &body.to_string());
    assert_eq!((stored.len(), stored[1].at("action")), (2, "user.locked"));
    assert_eq!(crate::detect(body.to_string().as_bytes()), [("zitadel", 98)]);
}

#[test]
fn every_name_and_new_ones() {
    for known in catalog::entries().iter().filter(|e| e.system == NAME) {
        let stored = one(NAME, &searched(&known.name).to_string());
        stored.expect(&[("action", &known.name), ("log", &known.log), ("level", &known.level)]);
    }
    for (kind, log, outcome) in [
        ("user.human.something.check.failed", "event", "failure"),
        ("session.something.checked", "event", "success"),
        ("project.something.changed", "audit", "success"),
    ] {
        one(NAME, &searched(kind).to_string()).expect(&[("log", log), ("outcome", outcome)]);
    }
}

#[test]
fn what_is_not_understood_is_kept() {
    assert_eq!(reason(NAME, r#"{"aggregate":{}}"#), "missing_field");
    assert_eq!(reason(NAME, r#"{"event_type":"x","created_at":"noon"}"#), "invalid_time");
    assert_eq!(reason(NAME, r#"{"event_type":"x","event_type":"y"}"#), "duplicate_key");
    assert_eq!(reason(NAME, "7"), "wrong_type");
}

proptest! {
    #[test]
    fn never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in r#"\{"event_type":"[a-z.]{0,12}","(event_payload|sequence|aggregateID|created_at)":[\PC]{0,60}\}"#,
        payload in "[A-Za-z0-9+/=]{0,24}",
    ) {
        survives(NAME, &bytes);
        survives(NAME, text.as_bytes());
        survives(NAME, pushed("x", &payload).to_string().as_bytes());
    }
}

#[test]
fn address_and_browser_are_in_the_payload() {
    for payload in [
        json!({"browserInfo": {"userAgent": "Mozilla", "remoteIP": "192.0.2.7"}}),
        json!({"user_agent": {"ip": "192.0.2.7", "description": "Mozilla"}}),
    ] {
        let sent = json!({"aggregate": {"id": "1", "type": {"type": "user"}}, "sequence": "1", "creationDate": "2026-11-20T12:00:00Z",
            "type": {"type": "user.human.password.check.failed"}, "payload": payload});
        one(NAME, &sent.to_string()).expect(&[("ip", "192.0.2.7"), ("user_agent", "Mozilla")]);
    }
}

/// After a restore numbers begin anew.
#[test]
fn the_same_number_at_another_time_is_another_event() {
    let first = pushed("user.human.added", PAYLOAD);
    let mut second = first.clone();
    second["created_at"] = json!("2026-11-19T18:30:00.222222Z");
    assert_ne!(one(NAME, &first.to_string()).at("id"), one(NAME, &second.to_string()).at("id"));
}
