//! Every quirk of CloudEvents.

use super::structured;
use crate::testing::{comes_back, keeps_everything, one, reason, survives, take};
use base64::Engine as _;
use proptest::prelude::*;
use serde_json::{Value, json};

const NAME: &str = super::NAME;

fn event() -> Value {
    json!({
        "specversion": "1.0", "type": "com.example.door.opened", "source": "/sites/brno", "id": "A-1",
        "time": "2026-11-20T12:00:00.123456Z", "subject": "door/7", "datacontenttype": "application/json",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "sitename": "Brno",
        "data": {"actor": {"id": "ann", "badge": 4}, "outcome": "deny", "ip": "192.0.2.8", "reason": "late"},
    })
}

#[test]
fn one_in_structured_mode() {
    let stored = one(NAME, &event().to_string());
    stored.expect(&[
        ("log", "event"),
        ("time", "2026-11-20T12:00:00.123456Z"),
        ("action", "com.example.door.opened"),
        ("target.id", "door/7"),
        ("trace_id", "0af7651916cd43dd8448eb211c80319c"),
        ("span_id", "b7ad6b7169203331"),
        ("actor.id", "ann"),
        ("outcome", "deny"),
        ("level", "warn"),
        ("ip", "192.0.2.8"),
        ("attributes.source", "/sites/brno"),
        ("attributes.id", "A-1"),
        ("attributes.sitename", "Brno"),
        ("attributes.data.reason", "late"),
    ]);
    assert_eq!(stored.value("attributes.data.actor"), &json!({"badge": 4}));
    keeps_everything(NAME, &event().to_string());
}

#[test]
fn an_id_may_be_a_number() {
    let mut sent = event();
    sent["id"] = json!(17);
    one(NAME, &sent.to_string()).expect(&[("action", "com.example.door.opened"), ("target.id", "door/7")]);
    comes_back(NAME, &sent.to_string());
    keeps_everything(NAME, &sent.to_string());
}

#[test]
fn data_in_base64_of_an_event_that_is_not_understood_is_opened() {
    let mut sent = event();
    let data = base64::engine::general_purpose::STANDARD.encode(r#"{"password":"hunter2"}"#);
    sent.as_object_mut().unwrap().remove("data");
    (sent["data_base64"], sent["time"]) = (json!(data.trim_end_matches('=')), json!("noon"));
    let kept = take(NAME, &sent.to_string()).remove(0);
    kept.expect(&[("action", "unparsed"), ("error_code", "invalid_time"), ("attributes.native.data.password", "***")]);
}

#[test]
fn the_same_id_of_another_source_is_another_event() {
    let mut other = event();
    other["source"] = json!("/sites/oslo");
    let ids: Vec<String> =
        take(NAME, &json!([event(), other, event()]).to_string()).iter().map(|s| s.at("id").to_owned()).collect();
    assert_eq!(ids.len(), 3, "a batch is a list");
    assert!(ids[0] != ids[1] && ids[0] == ids[2]);
}

#[test]
fn only_words_that_a_field_knows_fill_it() {
    let mut sent = event();
    sent["data"] = json!({"log": "audit", "outcome": "maybe", "level": 3, "actor": "ann", "old": {"a": 1}, "new": {"a": 2}, "id": "x", "source": "y"});
    let stored = one(NAME, &sent.to_string());
    stored.expect(&[
        ("log", "audit"),
        ("outcome", "unknown"),
        ("attributes.data.outcome", "maybe"),
        ("level", "info"),
        ("attributes.data.actor", "ann"),
        ("attributes.data.id", "x"),
        ("attributes.data.source", "y"),
    ]);
    assert_eq!(stored.value("diff"), &json!({"a": {"__old": 1, "__new": 2}}));
    for data in [json!("text"), json!([1]), json!(null)] {
        sent["data"] = data;
        keeps_everything(NAME, &sent.to_string());
    }
    sent["traceparent"] = json!("00-xyz");
    one(NAME, &sent.to_string()).expect(&[("trace_id", ""), ("attributes.traceparent", "00-xyz")]);
}

#[test]
fn a_number_fills_a_field_and_a_failure_is_a_warning() {
    let mut sent = event();
    sent["data"] = json!({"actor": {"id": 7}, "error_code": 403, "outcome": "failure"});
    let stored = one(NAME, &sent.to_string());
    stored.expect(&[("actor.id", "7"), ("error_code", "403"), ("outcome", "failure"), ("level", "warn")]);
    assert_eq!(crate::find(NAME).unwrap().to_native(&stored.envelope).unwrap()["data"], sent["data"]);
}

/// So that whoever may not read claims and bodies does not find them elsewhere.
#[test]
fn what_a_field_holds_that_is_no_text_fills_it_too() {
    let mut sent = event();
    let data = json!({
        "log": "session", "irreversible": true, "session": {"id": "S", "status": "active", "claims": {"a": 1}, "scopes": ["x"]},
        "notification": {"body": "b", "recipient": ["a@example.com", "b@example.com"], "cc": "one", "bcc": [1]}, "grant": {"claims": "text"},
    });
    sent["data"] = data.clone();
    let stored = one(NAME, &sent.to_string());
    for (path, wanted) in [
        ("irreversible", json!(true)),
        ("session.claims", json!({"a": 1})),
        ("session.scopes", json!(["x"])),
        ("notification.recipient", json!(["a@example.com", "b@example.com"])),
    ] {
        assert_eq!(stored.value(path), &wanted, "{path}");
    }
    assert_eq!(
        stored.value("attributes.data"),
        &json!({"grant": {"claims": "text"}, "notification": {"bcc": [1]}, "session": {}})
    );
    assert_eq!(crate::find(NAME).unwrap().to_native(&stored.envelope).unwrap()["data"], data);
}

#[test]
fn what_base64_hides_is_opened_for_redaction() {
    let with = |data: &[u8]| {
        let mut sent = event();
        sent.as_object_mut().unwrap().remove("data");
        sent["data_base64"] = base64::engine::general_purpose::STANDARD.encode(data).into();
        one(NAME, &sent.to_string())
    };
    let stored = with(br#"{"actor":{"id":"ann"},"password":"hunter2","old":{"a":1},"new":{"a":2}}"#);
    stored.expect(&[("actor.id", "ann"), ("attributes.data.password", "***"), ("attributes.data_base64", "")]);
    assert_eq!(stored.value("diff"), &json!({"a": {"__old": 1, "__new": 2}}));
    let stored = with(b"signed in with password=hunter2hunter2\n");
    stored.expect(&[("attributes.data", "signed in with password=***\n")]);
    for bytes in [&b"\x00\x01"[..], b"\xff\xfe", b"a\x00b"] {
        let stored = with(bytes);
        assert_ne!(stored.at("attributes.data_base64"), "", "{bytes:?}");
    }
    let mut sent = event();
    // Before 1.0 it was said beside it.
    let data = base64::engine::general_purpose::STANDARD.encode(r#"{"password":"hunter2","actor":{"id":"ann"}}"#);
    let mut old = json!({"specversion": "0.3", "type": "t", "source": "s", "id": "1", "datacontentencoding": "Base64", "data": data});
    let stored = one(NAME, &old.to_string());
    stored.expect(&[("actor.id", "ann"), ("attributes.data.password", "***"), ("attributes.datacontentencoding", "")]);
    old["data"] = json!("/wA=");
    one(NAME, &old.to_string()).expect(&[("attributes.data", "/wA="), ("attributes.datacontentencoding", "Base64")]);
    sent["data_base64"] = json!("e30=");
    one(NAME, &sent.to_string()).expect(&[("attributes.data_base64", "e30="), ("actor.id", "ann")]);
}

#[test]
fn binary_mode_becomes_structured_mode() {
    let headers: Vec<(&str, &[u8])> = vec![
        ("Host", b"x"),
        ("Content-Type", b"application/json; charset=utf-8"),
        ("CE-SpecVersion", b"1.0"),
        ("ce-type", b"com.example.door.opened"),
        ("ce-source", b"/sites/brno"),
        ("ce-id", b"A-1"),
        ("ce-id", b"A-2"),
        ("ce-data", b"{}"),
        ("ce-subject", b"Euro%20%E2%82%AC%zz%"),
    ];
    let text = structured(headers.clone(), br#" {"outcome":"success"} "#).unwrap();
    one(NAME, &text).expect(&[
        ("action", "com.example.door.opened"),
        ("target.id", "Euro \u{20ac}%zz%"),
        ("outcome", "success"),
        ("attributes.id", "A-1"),
        ("attributes.datacontenttype", "application/json; charset=utf-8"),
    ]);
    let quoted =
        [("ce-specversion", &b"1.0"[..]), ("ce-subject", br#""a \"b\" %22c%22""#), ("ce-id", b"\"1"), ("ce-x", b"\"")];
    assert_eq!(
        structured(quoted, b"").unwrap(),
        r#"{"specversion":"1.0","subject":"a \"b\" \"c\"","id":"\"1","x":"\""}"#
    );
    let data = |body: &[u8]| -> Value { serde_json::from_str(&structured(headers.clone(), body).unwrap()).unwrap() };
    assert_eq!(data(b"no json")["data"], "no json");
    assert_eq!(data(b"\xff\x00")["data_base64"], "/wA=");
    assert_eq!(data(b"")["data"], Value::Null);
    let plain = structured([("ce-specversion", &b"1.0"[..]), ("content-type", b"text/plain")], b"{\"a\":1}");
    assert_eq!(plain.unwrap(), r#"{"specversion":"1.0","datacontenttype":"text/plain","data":"{\"a\":1}"}"#);
    assert_eq!(structured([("content-type", &b"application/json"[..])], b"{}"), None);
}

#[test]
fn what_is_not_understood_is_kept() {
    assert_eq!(reason(NAME, r#"{"specversion":"1.0","type":"x","id":"1"}"#), "missing_field");
    assert_eq!(reason(NAME, r#"{"specversion":"1.0","type":"","source":"s","id":"1"}"#), "missing_field");
    assert_eq!(reason(NAME, r#"{"specversion":"1.0","type":"x","source":"s","id":"1","time":"noon"}"#), "invalid_time");
    assert_eq!(reason(NAME, r#"{"type":"x","source":"s","source":"t","id":"1"}"#), "duplicate_key");
    assert_eq!(reason(NAME, "7"), "wrong_type");
}

proptest! {
    #[test]
    fn never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in r#"\{"specversion":"1.0","type":"t","source":"s","id":"1","(data|time|subject|traceparent)":[\PC]{0,60}\}"#,
        name in "(ce-)?[\\PC]{0,12}",
    ) {
        survives(NAME, &bytes);
        survives(NAME, text.as_bytes());
        let made = structured([("ce-specversion", &bytes[..]), (&name, &bytes)], &bytes).unwrap();
        serde_json::from_str::<Value>(&made).unwrap();
        survives(NAME, made.as_bytes());
    }
}

#[test]
fn events_come_back_wherever_they_said_it() {
    let event = |more: &str| {
        format!(r#"{{"specversion":"1.0","type":"t","source":"/s","id":"1","time":"2026-11-20T12:00:00Z",{more}}}"#)
    };
    for more in [
        r#""data":"bye""#,
        r#""data":{"target":{"id":"7","name":"seven"},"log":"audit","old":{"a":1},"new":{"a":2}}"#,
        r#""subject":"account/7","data":{"target":{"id":"7"},"actor":{"id":"u","email":"u@example.com"},"outcome":"unknown"}"#,
        r#""data":{"trace_id":"0af7651916cd43dd8448eb211c80319c","log":"no such log","level":"info"}"#,
        r#""datacontenttype":"text/plain","data_base64":"/wD/""#,
    ] {
        comes_back(NAME, &event(more));
    }
}
