//! Every quirk of OTLP logs.

use super::{Otlp, protobuf};
use crate::System;
use crate::testing::{one, reason, survives, take, take_with};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

const NAME: &str = super::NAME;

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn record() -> Value {
    json!({
        "timeUnixNano": "1795176000123456789", "observedTimeUnixNano": "1795176001000000000", "severityNumber": 13, "severityText": "WARN",
        "eventName": "user.login", "body": {"stringValue": "ann signed in"}, "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "b7ad6b7169203331", "attributes": [text("user.id", "u1"), text("client.address", "192.0.2.5"), text("outcome", "success")],
    })
}

fn request(records: &Value) -> Value {
    json!({"resourceLogs": [{
        "resource": {"attributes": [text("service.name", "shop")]}, "schemaUrl": "https://opentelemetry.io/schemas/1.30.0",
        "scopeLogs": [{"scope": {"name": "auth", "version": "2"}, "logRecords": records}],
    }]})
}

#[test]
fn a_record_with_its_resource_and_scope() {
    one(NAME, &request(&json!([record()])).to_string()).expect(&[
        ("log", "event"),
        ("time", "2026-11-20T12:00:00.123456Z"),
        ("action", "user.login"),
        ("level", "warn"),
        ("outcome", "success"),
        ("message", "ann signed in"),
        ("actor.id", "u1"),
        ("ip", "192.0.2.5"),
        ("trace_id", "0af7651916cd43dd8448eb211c80319c"),
        ("span_id", "b7ad6b7169203331"),
        ("attributes.timeUnixNano", "1795176000123456789"),
        ("attributes.severityText", "WARN"),
        ("attributes.scope.name", "auth"),
        ("attributes.resource.schemaUrl", "https://opentelemetry.io/schemas/1.30.0"),
    ]);
    let stored = one(NAME, &request(&json!([record()])).to_string());
    assert_eq!(stored.value("attributes.resource")["attributes"]["service.name"], "shop");
}

/// So that whoever may not read claims does not find them in the attributes.
#[test]
fn claims_fill_their_field() {
    let mut sent = record();
    let claims = json!({"key": "session.claims", "value": {"kvlistValue": {"values": [text("role", "editor")]}}});
    sent["attributes"].as_array_mut().unwrap().push(claims);
    let stored = one(NAME, &request(&json!([sent])).to_string());
    assert_eq!(stored.value("session.claims"), &json!({"role": "editor"}));
    assert!(!stored.value("attributes").to_string().contains("editor"), "{}", stored.envelope);
}

#[test]
fn the_session_of_the_convention_is_the_one_something_happened_in() {
    let mut sent = record();
    sent["attributes"] = json!([text("session.id", "s1")]);
    one(NAME, &request(&json!([sent])).to_string()).expect(&[("session_id", "s1"), ("session.id", "")]);
    sent["attributes"] = json!([text("session.id", "s1"), text("log", "session"), text("session.status", "active")]);
    one(NAME, &request(&json!([sent])).to_string()).expect(&[("log", "session"), ("session.id", "s1")]);
}

#[test]
fn records_of_several_scopes_and_lines() {
    let body = json!({"resourceLogs": [
        {"scopeLogs": [{"logRecords": [record(), record()]}, {"logRecords": []}, {}]},
        {"resource": null, "scopeLogs": [{"scope": {}, "logRecords": [record()]}]},
        {"scopeLogs": null},
    ]});
    let stored = take(NAME, &format!("{body}\n{}\n", request(&json!([record()]))));
    assert_eq!(stored.iter().map(|s| s.line).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(take(NAME, &request(&json!([])).to_string()).is_empty());
    assert_eq!(stored[0].at("id"), stored[1].at("id"), "sent twice, one id");
    assert_ne!(stored[0].at("id"), stored[3].at("id"), "another resource, another record");
}

#[test]
fn a_resource_and_a_scope_may_stand_after_their_records() {
    let sent = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{}],"scope":{{"name":"auth"}}}}],"resource":{{"attributes":[{}]}}}}]}}"#,
        record(),
        text("service.name", "shop")
    );
    let stored = one(NAME, &sent);
    stored.expect(&[("actor.id", "u1"), ("attributes.scope.name", "auth")]);
    assert_eq!(stored.value("attributes.resource")["attributes"]["service.name"], "shop");
}

#[test]
fn a_level_may_be_a_word_and_a_user_a_number() {
    let of = |more: Value| {
        let mut sent = json!({"timeUnixNano": "1795176000000000000"});
        sent.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        one(NAME, &request(&json!([sent])).to_string())
    };
    for (text, level) in
        [("ERROR", "error"), ("Fatal", "error"), ("warning", "warn"), ("INFO", "info"), ("\u{e9}", "info")]
    {
        of(json!({"severityText": text})).expect(&[("level", level), ("attributes.severityText", text)]);
        of(json!({"severityText": text, "severityNumber": 9})).expect(&[("level", "info")]);
    }
    of(json!({"severityNumber": "17"})).expect(&[("level", "error")]);
    of(json!({"severityNumber": "SEVERITY_NUMBER_ERROR2"})).expect(&[("level", "error")]);
    of(json!({"severityNumber": "SEVERITY_NUMBER_UNSPECIFIED", "severityText": "WARN"})).expect(&[("level", "warn")]);
    let user = |value: Value| of(json!({"attributes": [{"key": "user.id", "value": value}]}));
    for value in [json!({"intValue": "5"}), json!({"intValue": 5})] {
        let stored = user(value);
        stored.expect(&[("actor.id", "5")]);
        assert_eq!(stored.value("attributes.attributes"), &json!({"user.id": 5}));
    }
    user(json!({"boolValue": true})).expect(&[("actor.id", "")]);
}

#[test]
fn values_become_plain() {
    let mut sent = record();
    sent["attributes"] = json!([
        {"key": "int", "value": {"intValue": "42"}}, {"key": "bare", "value": {"intValue": 7}},
        {"key": "big", "value": {"intValue": "9223372036854775807"}}, {"key": "float", "value": {"doubleValue": 1.5}},
        {"key": "nan", "value": {"doubleValue": "NaN"}}, {"key": "yes", "value": {"boolValue": true}}, {"key": "none", "value": {}},
        {"key": "null", "value": null}, {"key": "bytes", "value": {"bytesValue": "/w=="}},
        {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}]}}},
        {"key": "empty", "value": {"arrayValue": {}}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "password", "value": {"stringValue": "hunter2"}}, text("a", "b")]}}},
        text("api_key", "k-123456"),
    ]);
    sent["body"] = json!({"kvlistValue": {"values": [text("what", "x")]}});
    let stored = one(NAME, &request(&json!([sent])).to_string());
    assert_eq!(
        stored.value("attributes.attributes"),
        &json!({"int": 42, "bare": 7, "big": "9223372036854775807", "float": 1.5, "nan": "NaN", "yes": true, "none": null, "null": null,
            "bytes": "/w==", "list": ["a", 1], "empty": [], "map": {"password": "***", "a": "b"}, "api_key": "***"})
    );
    assert_eq!(stored.value("attributes.body"), &json!({"what": "x"}));
    // What is no list of OTLP's stays as it came.
    sent["attributes"] = json!([{"key": "a", "value": {"stringValue": "x"}}, 7]);
    let stored = one(NAME, &request(&json!([sent])).to_string());
    assert_eq!(stored.value("attributes.attributes"), &sent["attributes"]);
}

#[test]
fn times_and_severities() {
    for (time, observed, wanted) in [
        ("1795176000123456789", "1", "2026-11-20T12:00:00.123456Z"),
        ("0", "1795176000000000000", "2026-11-20T12:00:00.000000Z"),
        ("", "1795176000000000000", "2026-11-20T12:00:00.000000Z"),
        ("0", "0", "2026-11-20T12:34:56.000000Z"),
    ] {
        let mut sent = record();
        sent["timeUnixNano"] = json!(time);
        sent["observedTimeUnixNano"] = json!(observed);
        one(NAME, &request(&json!([sent])).to_string()).expect(&[("time", wanted)]);
    }
    for (number, level) in
        [(0, "info"), (9, "info"), (12, "info"), (13, "warn"), (16, "warn"), (17, "error"), (24, "error")]
    {
        let mut sent = record();
        sent["severityNumber"] = json!(number);
        if number == 0 {
            sent["severityText"] = json!("");
        }
        one(NAME, &request(&json!([sent])).to_string()).expect(&[("level", level)]);
    }
}

#[test]
fn a_record_without_a_name_is_a_log() {
    let mut sent = record();
    sent["eventName"] = json!("");
    one(NAME, &request(&json!([sent])).to_string()).expect(&[("action", "log")]);
    sent["attributes"] = json!([
        text("event.name", "old.style"),
        text("target.id", "t1"),
        text("actor.name", "Ann"),
        text("outcome", "maybe")
    ]);
    let stored = one(NAME, &request(&json!([sent])).to_string());
    stored.expect(&[("action", "old.style"), ("target.id", "t1"), ("actor.name", "Ann"), ("outcome", "unknown")]);
    assert_eq!(stored.value("attributes.attributes"), &json!({"outcome": "maybe"}));
}

/// Writes protobuf as an exporter does.
#[derive(Default)]
struct Wire(Vec<u8>);

impl Wire {
    fn varint(mut self, mut value: u64) -> Self {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }
    fn bytes(self, number: u64, bytes: &[u8]) -> Self {
        let mut out = self.varint(number << 3 | 2).varint(bytes.len() as u64);
        out.0.extend_from_slice(bytes);
        out
    }
    fn fixed64(self, number: u64, value: u64) -> Self {
        let mut out = self.varint(number << 3 | 1);
        out.0.extend_from_slice(&value.to_le_bytes());
        out
    }
    fn number(self, number: u64, value: u64) -> Self {
        self.varint(number << 3).varint(value)
    }
    fn message(self, number: u64, inside: Wire) -> Self {
        self.bytes(number, &inside.0)
    }
    fn pair(self, number: u64, key: &str, value: Wire) -> Self {
        self.message(number, Wire::default().bytes(1, key.as_bytes()).message(2, value))
    }
}

fn in_protobuf() -> Vec<u8> {
    let string = |text: &str| Wire::default().bytes(1, text.as_bytes());
    let record = Wire::default()
        .fixed64(1, 1_795_176_000_123_456_789)
        .number(2, 13)
        .bytes(3, b"WARN")
        .message(5, string("ann signed in"))
        .pair(6, "user.id", string("u1"))
        .pair(6, "n", Wire::default().number(3, -5i64 as u64))
        .pair(6, "f", Wire::default().fixed64(4, 1.5f64.to_bits()))
        .pair(6, "b", Wire::default().number(2, 1))
        .pair(6, "l", Wire::default().message(5, Wire::default().message(1, string("a")).message(1, string("b"))))
        .pair(6, "m", Wire::default().message(6, Wire::default().pair(1, "password", string("hunter2"))))
        .pair(6, "y", Wire::default().bytes(7, b"\xff"))
        .bytes(9, &[0x0a; 16])
        .bytes(10, &[0xb7; 8])
        .fixed64(11, 1_795_176_001_000_000_000)
        .bytes(12, b"user.login")
        .number(99, 1);
    let scope = Wire::default().message(1, Wire::default().bytes(1, b"auth")).message(2, record);
    let logs = Wire::default().message(1, Wire::default().pair(1, "service.name", string("shop"))).message(2, scope);
    Wire::default().message(1, logs).0
}

#[test]
fn protobuf_becomes_the_json_form() {
    let body = in_protobuf();
    let json: Value = serde_json::from_str(&protobuf::to_json(&body).unwrap()).unwrap();
    let record = &json["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    assert_eq!(record["timeUnixNano"], "1795176000123456789");
    assert_eq!(record["attributes"][1], json!({"key": "n", "value": {"intValue": "-5"}}));
    let decoded = Otlp.decode(&body, "Application/X-Protobuf; charset=x").unwrap();
    let stored = one(NAME, &decoded);
    stored.expect(&[
        ("time", "2026-11-20T12:00:00.123456Z"),
        ("action", "user.login"),
        ("level", "warn"),
        ("message", "ann signed in"),
        ("actor.id", "u1"),
        ("trace_id", "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"),
        ("span_id", "b7b7b7b7b7b7b7b7"),
    ]);
    assert_eq!(
        stored.value("attributes.attributes"),
        &json!({"n": -5, "f": 1.5, "b": true, "l": ["a", "b"], "m": {"password": "***"}, "y": "/w=="})
    );
    assert_eq!(stored.value("attributes.resource"), &json!({"attributes": {"service.name": "shop"}}));
}

#[test]
fn damaged_protobuf_is_refused_and_never_taken_for_less() {
    let body = in_protobuf();
    for cut in 1..body.len() {
        assert_eq!(protobuf::to_json(&body[..cut]).unwrap_err().code, "invalid_protobuf", "cut at {cut}");
    }
    assert_eq!(protobuf::to_json(b"").unwrap(), "{}");
    for broken in
        [&b"\x0b"[..], b"\x08\x01", b"\x0a\x05a", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x0a\x02\x0a\x7f"]
    {
        assert_eq!(protobuf::to_json(broken).unwrap_err().code, "invalid_protobuf", "{broken:?}");
    }
    let mut deep = Wire::default().bytes(1, b"x");
    for _ in 0..200 {
        deep = Wire::default().message(5, Wire::default().message(1, deep));
    }
    let record = Wire::default().message(5, deep);
    let body = Wire::default().message(1, Wire::default().message(2, Wire::default().message(2, record)));
    assert_eq!(protobuf::to_json(&body.0).unwrap_err().code, "invalid_protobuf");
    // Text that is none spoils its record only.
    let record = Wire::default().bytes(12, b"ok");
    let bad = Wire::default().bytes(12, b"\xff");
    let body =
        Wire::default().message(1, Wire::default().message(2, Wire::default().message(2, bad).message(2, record)));
    let mut kinds = Vec::new();
    crate::convert(
        &Otlp,
        &body.0,
        "application/protobuf",
        &crate::Memory::default(),
        &jiff::tz::TimeZone::UTC,
        &mut |c| {
            kinds.push(c.unparsed.map(|reason| reason.code));
        },
    )
    .unwrap();
    assert_eq!(kinds, [Some("invalid_utf8"), None]);
}

#[test]
fn a_resource_said_once_does_not_fill_the_memory() {
    let resource = "x".repeat(1 << 20);
    let records = vec![json!({}); 100];
    let body = json!({"resourceLogs": [{"resource": {"attributes": [text("a", &resource)]}, "scopeLogs": [{"logRecords": records}]}]});
    let body = body.to_string();
    let (mut next, mut lines, mut parts) = (Some(0), Vec::new(), 0);
    while let Some(from) = next {
        let part = Otlp.part(&body, from);
        assert_eq!((part.all, part.pieces.len() <= 63), (100, true));
        lines.extend(part.pieces.iter().filter(|p| p.text.is_ok()).map(|p| p.line));
        (next, parts) = (part.next, parts + 1);
    }
    assert_eq!((lines, parts), ((1..=100).collect(), 2));
}

#[test]
fn a_request_that_breaks_off_is_one_text_in_every_part() {
    let resource = "x".repeat(1 << 20);
    let records = vec![json!({}); 70];
    let whole = json!({"resourceLogs": [{"resource": {"attributes": [text("a", &resource)]}, "scopeLogs": [{"logRecords": records}]}]});
    let body =
        format!("{whole}\n{}\n{whole}\n", r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{},{},7]}],"scope":[}]}"#);
    let (mut next, mut lengths) = (Some(0), Vec::new());
    while let Some(from) = next {
        let part = Otlp.part(&body, from);
        assert!(part.all == 141 && part.pieces.iter().map(|p| p.line).eq(from + 1..=from + part.pieces.len()));
        lengths.extend(part.pieces.iter().map(|p| p.text.as_ref().unwrap().len() > 1 << 20));
        next = part.next;
    }
    assert_eq!(lengths.iter().enumerate().filter(|(_, long)| !**long).map(|(n, _)| n).collect::<Vec<_>>(), [70]);
    assert_eq!(lengths.len(), 141);
}

/// Sixteen times what is held at once, which takes a request that nobody sends.
#[test]
fn there_is_an_end_to_what_is_made_of_one_body() {
    let resource = "x".repeat(8 << 20);
    let records = vec![json!({}); 200];
    let body = json!({"resourceLogs": [{"resource": {"attributes": [text("a", &resource)]}, "scopeLogs": [{"logRecords": records}]}]});
    let body = body.to_string();
    let (before, after) = (Otlp.part(&body, 100), Otlp.part(&body, 130));
    assert!(before.pieces.iter().all(|p| p.text.is_ok()) && before.next.is_some_and(|next| next < 130));
    let refused = |p: &crate::split::Piece<'_>| p.text.as_ref().is_err_and(|e| e.code == "body_too_large");
    assert!(after.pieces.iter().all(refused) && after.pieces.len() == 70 && after.next.is_none());
}

#[test]
fn what_is_not_understood_is_kept() {
    assert_eq!(reason(NAME, r#"{"body":1}"#), "not_an_event");
    assert_eq!(reason(NAME, r#"{"resourceLogs":[7]}"#), "not_an_event");
    assert_eq!(reason(NAME, &request(&json!([7])).to_string()), "not_an_event");
    assert_eq!(reason(NAME, &request(&json!([{"timeUnixNano": "noon"}])).to_string()), "invalid_time");
    let twice = request(&json!([{"attributes": [text("a", "1"), text("a", "2")]}])).to_string();
    assert_eq!(reason(NAME, &twice), "duplicate_key");
    take_with(&crate::Memory::default(), NAME, b"\xff{}");
}

proptest! {
    #[test]
    fn never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        record in r#"\{"(timeUnixNano|body|attributes|severityNumber)":[\PC]{0,60}\}"#,
        value in r#"\{"(stringValue|intValue|arrayValue|kvlistValue|doubleValue)":[\PC]{0,30}\}"#,
        at in 0usize..300, byte in any::<u8>(),
    ) {
        survives(NAME, &bytes);
        survives(NAME, format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}"#).as_bytes());
        let record = format!(r#"{{"attributes":[{{"key":"a","value":{value}}}]}}"#);
        survives(NAME, format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}"#).as_bytes());
        let _ = protobuf::to_json(&bytes);
        let mut body = in_protobuf();
        if let Some(place) = body.get_mut(at) {
            *place = byte;
        }
        if let Ok(json) = protobuf::to_json(&body) {
            serde_json::from_str::<Value>(&json).unwrap();
            survives(NAME, json.as_bytes());
        }
    }
}

#[test]
fn one_odd_attribute_does_not_keep_the_others_from_being_read() {
    for (odd, kept) in [
        (json!({"doubleValue": null}), json!(null)),
        (json!({"stringValue": null}), json!(null)),
        (json!({"arrayValue": {"values": null}}), json!([])),
        (json!({"newValue": 1}), json!({"newValue": 1})),
        (json!({"stringValue": "a", "boolValue": true}), json!({"stringValue": "a", "boolValue": true})),
    ] {
        let sent = json!({"attributes": [text("user.id", "u9"), {"key": "n", "value": odd, "more": 1}, text("outcome", "failure")]});
        let stored = one(NAME, &request(&json!([sent])).to_string());
        stored.expect(&[("actor.id", "u9"), ("outcome", "failure")]);
        assert_eq!(stored.value("attributes.attributes")["n"], kept, "{odd}");
    }
}

/// Receivers that do not decode what they take send it as bytes.
#[test]
fn bytes_that_are_text_are_redacted_as_text() {
    let bytes = |text: &str| json!({"bytesValue": STANDARD.encode(text)});
    let sent = json!({"body": bytes(r#"{"password":"hunter2"}"#), "attributes": [{"key": "form", "value": bytes("password=hunter2")}]});
    let stored = one(NAME, &request(&json!([sent])).to_string());
    assert!(!stored.envelope.to_string().contains("hunter2"), "{}", stored.envelope);
    assert_eq!(stored.value("attributes.attributes")["form"], "password=***");
    assert_eq!(stored.at("message"), r#"{"password":"***"}"#);
}
