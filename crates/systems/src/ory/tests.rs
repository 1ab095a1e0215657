//! Every quirk of self-hosted Ory. Protocol Buffers bodies are put together by hand, byte by byte as the format has them.

use super::otlp;
use crate::catalog;
use crate::testing::{one, reason, survives, take};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAME: &str = super::NAME;

fn traces(events: &Value) -> String {
    json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "Ory Hydra"}}, {"key": "host.name", "value": {"stringValue": "h"}}]},
        "scopeSpans": [{"scope": {"name": "ory"}, "spans": [
            {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "POST /oauth2/token", "events": events},
            {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "aaa19b7ec3c1b174", "name": "without events"},
        ]}],
    }]})
    .to_string()
}

fn attribute(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}

// Protocol Buffers, written.

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3 | 2, &mut out);
    varint(content.len() as u64, &mut out);
    out.extend(content);
    out
}

fn number(field: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3, &mut out);
    varint(value, &mut out);
    out
}

fn fixed(field: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3 | 1, &mut out);
    out.extend(value.to_le_bytes());
    out
}

fn key_value(key: &str, value: &[u8]) -> Vec<u8> {
    [bytes(1, key.as_bytes()), bytes(2, value)].concat()
}

fn text(value: &str) -> Vec<u8> {
    bytes(1, value.as_bytes())
}

/// A request with one span of these events; the resource stands after the spans.
fn request(events: &[Vec<u8>]) -> Vec<u8> {
    let mut span = [bytes(1, &[0x5b; 16]), bytes(2, &[0xee; 8]), bytes(5, b"POST /oauth2/token"), fixed(7, 1)].concat();
    events.iter().for_each(|event| span.extend(bytes(11, event)));
    let scope = [bytes(1, &bytes(1, b"ory")), bytes(2, &span)].concat();
    let resource =
        [bytes(1, &key_value("service.name", &text("Ory Kratos"))), bytes(1, &key_value("host.name", &text("h")))]
            .concat();
    bytes(1, &[bytes(2, &scope), bytes(1, &resource), bytes(3, b"https://opentelemetry.io/schemas/1.26.0")].concat())
}

fn event(name: &str, attributes: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = [fixed(1, 1_795_176_000_123_456_789), bytes(2, name.as_bytes())].concat();
    attributes.iter().for_each(|(key, value)| out.extend(bytes(3, &key_value(key, value))));
    out
}

fn convert(body: &[u8], content_type: &str) -> Result<Vec<Value>, crate::Reason> {
    let mut all = Vec::new();
    let memory = crate::Memory::default();
    crate::convert(&super::Ory, body, content_type, &memory, &jiff::tz::TimeZone::UTC, &mut |piece| {
        all.push(serde_json::from_str(piece.envelope.unwrap()).unwrap());
    })?;
    Ok(all)
}

#[test]
fn span_events_in_json() {
    let stored = take(NAME, include_str!("../../samples/ory/traces.json"));
    assert_eq!(stored.len(), 1, "other libraries' events and empty spans are no records");
    stored[0].expect(&[
        ("action", "LoginSucceeded"),
        ("log", "event"),
        ("outcome", "success"),
        ("time", "2026-11-20T12:00:00.123456Z"),
        ("attributes.timeUnixNano", "1795176000123456789"),
        ("actor.id", "0f4ac1f2-6a1b-4b7c-9a52-3d1e5c6b7a88"),
        ("session_id", "8d2f6b1c-3a4e-4c5d-9e6f-7a8b9c0d1e2f"),
        ("ip", "192.0.2.17"),
        ("trace_id", "5b8efff798038103d269b633813fc60c"),
        ("span_id", "eee19b7ec3c1b174"),
        ("attributes.span", "selfservice.login.http.submit"),
        ("attributes._indelible.shape", "trace, best effort"),
    ]);
    assert_eq!(stored[0].value("attributes.attributes.LoginRequestedPrivilegedSession"), &json!(false));
    assert_eq!(stored[0].value("attributes.attributes.GeoLocationLatitude"), &json!(49.19));
    assert_eq!(stored[0].value("attributes.resource"), &json!({"service.name": "Ory Kratos"}));
}

#[test]
fn span_events_in_protocol_buffers_are_the_same_records() {
    let sent = event(
        "LoginSucceeded",
        &[
            ("SelfServiceFlowType", text("browser")),
            ("LoginRequestedPrivilegedSession", number(2, 0)),
            ("IdentityID", text("0f4ac1f2-6a1b-4b7c-9a52-3d1e5c6b7a88")),
            ("GeoLocationLatitude", fixed(4, 49.19f64.to_bits())),
        ],
    );
    let binary = convert(&request(&[event("exception", &[]), sent]), "application/x-protobuf").unwrap();
    let json = json!({"resourceSpans": [{
        "resource": {"attributes": [attribute("service.name", "Ory Kratos")]},
        "scopeSpans": [{"spans": [{"traceId": "5b".repeat(16), "spanId": "ee".repeat(8), "name": "POST /oauth2/token", "events": [
            {"timeUnixNano": "1795176000123456789", "name": "LoginSucceeded", "attributes": [
                attribute("SelfServiceFlowType", "browser"),
                {"key": "LoginRequestedPrivilegedSession", "value": {"boolValue": false}},
                attribute("IdentityID", "0f4ac1f2-6a1b-4b7c-9a52-3d1e5c6b7a88"),
                {"key": "GeoLocationLatitude", "value": {"doubleValue": 49.19}},
            ]},
        ]}]}],
    }]});
    assert_eq!(binary, convert(json.to_string().as_bytes(), "application/json").unwrap());
    assert_eq!(binary.len(), 1);
}

/// Spans of Kratos 1.3.1 and Hydra 2.3.0 as their own exporter sent them, cut out of a run of each: those with an event named in
/// the test below, and one of another library's.
const RECORDED: &[u8] = include_bytes!("recorded.pb");

#[test]
fn what_kratos_and_hydra_really_sent() {
    let found = convert(RECORDED, "application/x-protobuf").unwrap();
    let text = |record: &Value, path: &str| record.pointer(path).and_then(Value::as_str).unwrap_or("-").to_owned();
    let mut found: Vec<String> = found
        .iter()
        .map(|record| {
            assert_eq!(text(record, "/ip"), "127.0.0.1", "without the port: {record}");
            assert!(text(record, "/attributes/attributes/ClientIP").starts_with("127.0.0.1:"), "as it came: {record}");
            assert!(text(record, "/time").starts_with("2026-11-26T18:5"), "{record}");
            let paths = ["/attributes/resource/service.name", "/action", "/actor/type", "/actor/id", "/session/status"];
            paths.map(|path| text(record, path)).join(" ")
        })
        .collect();
    let ann = "identity 0f7a8db0-94e0-4f44-bbe7-be000dd72a56";
    let mut wanted = [
        format!("kratos LoginSucceeded {ann} active"),
        format!("kratos SessionIssued {ann} active"),
        format!("kratos SessionRevoked {ann} revoked"),
        "kratos WebhookDelivered - - -".into(),
        "kratos WebhookSucceeded - - -".into(),
        "hydra OAuth2LoginAccepted - - -".into(),
        "hydra OAuth2ConsentAccepted subject ann -".into(),
        "hydra OAuth2AccessTokenIssued subject ann -".into(),
    ];
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
}

#[test]
fn anybodys_events_are_not_orys() {
    let events = json!([
        {"name": "UserClicked", "timeUnixNano": "1795176000123000000", "attributes": []},
        {"name": "SessionIssued", "timeUnixNano": "1795176000123000000", "attributes": []},
        {"name": "session revoked", "timeUnixNano": "1795176000123000000", "attributes": []},
        {"name": "exception", "timeUnixNano": "1795176000123000000", "attributes": []},
    ]);
    let names = |service: &str| -> Vec<String> {
        let stored = take(NAME, &traces(&events).replace("Ory Hydra", service));
        stored.iter().map(|stored| stored.at("action").to_owned()).collect()
    };
    for foreign in ["shop", "inventory", "history-service"] {
        assert_eq!(names(foreign), ["SessionIssued", "session revoked"], "{foreign}");
    }
    // A name that is new to us, of one of Ory's own servers.
    for own in ["Ory Hydra", "kratos", "acme-keto-1"] {
        assert_eq!(names(own), ["UserClicked", "SessionIssued", "session revoked"], "{own}");
    }
    let mut body = request(&[event("UserClicked", &[]), event("LoginSucceeded", &[])]);
    assert_eq!(convert(&body, "application/x-protobuf").unwrap().len(), 2);
    let at = body.windows(10).position(|window| window == b"Ory Kratos").unwrap();
    body[at..at + 10].copy_from_slice(b"story shop");
    assert_eq!(convert(&body, "application/x-protobuf").unwrap().len(), 1);
}

#[test]
fn an_address_with_a_port_is_the_address() {
    for (sent, ip) in [
        ("192.0.2.9:4242", "192.0.2.9"),
        ("[2001:db8::9]:4242", "2001:db8::9"),
        ("2001:db8::9", "2001:db8::9"),
        ("192.0.2.9", "192.0.2.9"),
        ("somewhere:80", "somewhere:80"),
        ("192.0.2.9:99999", "192.0.2.9:99999"),
    ] {
        let event = json!([{"timeUnixNano": "1795176000000000000", "name": "SessionIssued", "attributes": [attribute("ClientIP", sent)]}]);
        one(NAME, &traces(&event)).expect(&[("ip", ip)]);
        let action = json!({"flow": {}, "event": "login", "session": {"devices": [{"ip_address": sent}]}});
        let stored = one(NAME, &action.to_string());
        stored.expect(&[("ip", ip)]);
        assert_eq!(stored.value("attributes.session.devices")[0]["ip_address"], sent, "as it came");
    }
}

#[test]
fn every_name_of_the_servers() {
    for entry in catalog::entries().iter().filter(|e| e.system == "ory-network") {
        let sent = traces(
            &json!([{"timeUnixNano": "1795176000000000000", "name": entry.name, "attributes": [attribute("IdentityID", "i")]}]),
        );
        one(NAME, &sent).expect(&[
            ("action", &entry.name),
            ("log", &entry.log),
            ("level", &entry.level),
            ("source", "ory"),
        ]);
    }
}

#[test]
fn values_of_every_type() {
    let list = [bytes(1, &text("a")), bytes(1, &number(3, 5))].concat();
    let map = bytes(1, &key_value("k", &text("v")));
    let sent = event(
        "New",
        &[
            ("int", number(3, 42)),
            ("negative", number(3, (-7i64).cast_unsigned())),
            ("large", number(3, 1 << 60)),
            ("true", number(2, 1)),
            ("nan", fixed(4, f64::NAN.to_bits())),
            ("list", bytes(5, &list)),
            ("map", bytes(6, &map)),
            ("bytes", bytes(7, b"\x00\xff")),
            ("nothing", Vec::new()),
            ("quote\"", text("line\n\u{1}")),
        ],
    );
    let binary = convert(&request(&[sent]), "application/x-protobuf; charset=x").unwrap();
    let wanted = json!({"int": 42, "negative": -7, "large": "1152921504606846976", "true": true, "nan": "NaN", "list": ["a", 5],
        "map": {"k": "v"}, "bytes": "AP8=", "nothing": null, "quote\"": "line\n\u{1}"});
    assert_eq!(binary[0]["attributes"]["attributes"], wanted);
    let json = traces(&json!([{"timeUnixNano": 1_795_176_000_000_000_000_i64, "name": "New", "attributes": [
        {"key": "int", "value": {"intValue": "42"}}, {"key": "negative", "value": {"intValue": -7}},
        {"key": "large", "value": {"intValue": "1152921504606846976"}}, {"key": "true", "value": {"boolValue": true}},
        {"key": "nan", "value": {"doubleValue": "NaN"}},
        {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "5"}]}}},
        {"key": "map", "value": {"kvlistValue": {"values": [attribute("k", "v")]}}},
        {"key": "bytes", "value": {"bytesValue": "AP8="}}, {"key": "nothing"}, attribute("quote\"", "line\n\u{1}"),
    ]}]));
    assert_eq!(one(NAME, &json).value("attributes.attributes"), &wanted);
    assert_eq!(one(NAME, &json).at("time"), "2026-11-20T12:00:00.000000Z", "a number without quotes");
}

#[test]
fn a_subject_that_is_set_twice_keeps_both() {
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let sent =
        traces(&json!([{"timeUnixNano": "1795176000000000000", "name": "OAuth2AccessTokenIssued", "attributes": [
            attribute("OAuth2Subject", hash), attribute("OAuth2ClientID", "web"), attribute("OAuth2Subject", "ann"),
        ]}]));
    one(NAME, &sent).expect(&[
        ("actor.id", "ann"),
        ("actor.type", "subject"),
        ("client.id", "web"),
        ("attributes.attributes.OAuth2Subject#1", hash),
    ]);
}

#[test]
fn very_many_attributes_take_time_in_proportion() {
    let attributes: Vec<(String, Vec<u8>)> = (0..200_000).map(|n| (format!("k{}", n % 150_000), Vec::new())).collect();
    let attributes: Vec<(&str, Vec<u8>)> = attributes.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
    let lines = otlp::lines(&request(&[event("New", &attributes)])).unwrap();
    let read: Value = serde_json::from_str(&lines).unwrap();
    let all = read["attributes"].as_object().unwrap();
    // Compared one with another this would be minutes.
    assert_eq!((all.len(), all.contains_key("k0#1"), all.contains_key("k149999#1")), (200_000, true, false));
}

#[test]
fn one_broken_event_does_not_keep_the_others_out() {
    let deep = (0..12).fold(json!({"stringValue": "x"}), |inside, _| json!({"arrayValue": {"values": [inside]}}));
    let sent = traces(&json!([
        {"timeUnixNano": "1795176000000000000", "name": "SessionIssued", "attributes": [{"key": "deep", "value": deep}]},
        {"timeUnixNano": "later", "name": "SessionIssued"},
        {"timeUnixNano": "1795176000000000000", "name": "SessionRevoked"},
    ]));
    let mut found = Vec::new();
    let memory = crate::Memory::default();
    crate::convert(&super::Ory, sent.as_bytes(), "", &memory, &jiff::tz::TimeZone::UTC, &mut |piece| {
        found.push(match (piece.envelope, piece.unparsed) {
            (Err(reason), _) | (_, Some(reason)) => reason.code,
            _ => "taken",
        });
    })
    .unwrap();
    assert_eq!(found, ["taken", "invalid_time", "taken"]);
}

/// What collectors before 2022 call the scopes.
#[test]
fn older_names_of_the_scopes_are_read() {
    let event = json!([{"name": "LoginSucceeded", "timeUnixNano": "1795176000000000000", "attributes": []}]);
    let sent = traces(&event).replace("scopeSpans", "instrumentationLibrarySpans");
    one(NAME, &sent).expect(&[("action", "LoginSucceeded")]);
}

#[test]
fn what_was_read_before_a_trace_breaks_off_is_taken() {
    let good = traces(&json!([{"timeUnixNano": "1795176000000000000", "name": "SessionIssued"}]));
    // Between the spans a comma is missing; brackets and quotes are right.
    let broken = good.replace("},{\"name\":\"without events\"", "} {\"name\":\"without events\"");
    assert_ne!(broken, good);
    let (mut taken, mut refused) = (0, Vec::new());
    let memory = crate::Memory::default();
    let mut take = |piece: crate::Converted<'_>| match piece.envelope {
        Ok(_) => taken += 1,
        Err(reason) => refused.push(reason.code),
    };
    crate::convert(&super::Ory, broken.as_bytes(), "", &memory, &jiff::tz::TimeZone::UTC, &mut take).unwrap();
    assert_eq!((taken, refused), (1, vec!["invalid_json"]));
}

#[test]
fn bodies_that_cannot_be_taken_apart() {
    for broken in [&b"\x0a\x05ab"[..], b"\xff", b"{\"resourceSpans\":[]}"] {
        assert_eq!(convert(broken, "application/x-protobuf").unwrap_err().code, "invalid_protobuf", "{broken:?}");
    }
    let deep = (0..12).fold(text("x"), |inside, _| bytes(5, &bytes(1, &inside)));
    let sent = request(&[event("New", &[("deep", deep)])]);
    assert!(
        super::otlp::lines(&sent).unwrap().contains("\"deep\":[[[[[[[[[\"not kept: deeper than 8 lists or maps\"]"),
        "and no other is lost"
    );
    assert_eq!(convert(b"", "application/x-protobuf").unwrap(), [] as [Value; 0]);
    assert_eq!(take(NAME, &traces(&json!([]))).len(), 0);
}

#[test]
fn little_that_is_said_for_many_events_does_not_fill_the_memory() {
    let name = "n".repeat(1 << 20);
    let resource = bytes(1, &bytes(1, &key_value("service.name", &text(&name))));
    let span: Vec<u8> = std::iter::repeat_n(bytes(11, &bytes(2, b"SessionIssued")), 100).flatten().collect();
    let sent = bytes(1, &[resource, bytes(2, &bytes(2, &span))].concat());
    assert_eq!(otlp::lines(&sent).unwrap_err().code, "batch_too_large");
    let events: Vec<Value> = std::iter::repeat_n(json!({"name": "SessionIssued"}), 100).collect();
    let sent = json!({"resourceSpans": [{"resource": {"attributes": [attribute("service.name", &name)]}, "scopeSpans": [{"spans": [{"events": events}]}]}]});
    let body = sent.to_string();
    let pieces = crate::System::split(&super::Ory, &body);
    let made: usize = pieces.iter().filter_map(|piece| piece.text.as_ref().ok()).map(|text| text.len()).sum();
    assert!(
        made <= crate::split::MAX_MADE && pieces.last().unwrap().text.as_ref().unwrap_err().code == "batch_too_large"
    );
}

#[test]
fn an_action_with_the_whole_context() {
    let stored = one(NAME, include_str!("../../samples/ory/action.json"));
    stored.expect(&[
        ("action", "registration"),
        ("outcome", "success"),
        ("actor.id", "0f4ac1f2-6a1b-4b7c-9a52-3d1e5c6b7a88"),
        ("actor.type", "identity"),
        ("ip", "192.0.2.17"),
        ("user_agent", "curl/8"),
        ("attributes._indelible.shape", "action"),
        ("attributes._indelible.time", "arrival"),
        ("attributes.flow.id", "b1f0c5d2-7d8e-4f90-8a1b-2c3d4e5f6071"),
    ]);
    assert!(!stored.envelope.to_string().contains("ann@example.com"), "traits are redacted");
    assert_eq!(stored.at("new.id"), stored.at("target.id"), "the identity as it is after the flow");
    assert_eq!(stored.value("attributes.identity"), &Value::Null, "not kept twice");
}

#[test]
fn an_action_that_names_no_event_is_named_by_its_address() {
    for flow in ["login", "registration", "recovery", "verification", "settings"] {
        let url = format!("https://login.example.com/self-service/{flow}?flow=f");
        let sent = json!({"flow": {"id": "f"}, "request_method": "POST", "request_url": url, "request_headers": {},
            "session": {"id": "s", "devices": [{"ip_address": "192.0.2.9", "user_agent": "curl"}]}});
        let stored = one(NAME, &sent.to_string());
        stored.expect(&[
            ("action", flow),
            ("outcome", "unknown"),
            ("session_id", "s"),
            ("ip", "192.0.2.9"),
            ("user_agent", "curl"),
        ]);
        assert_eq!(stored.value("attributes._indelible.inferred"), &json!(["action"]));
    }
    // After a sign-in elsewhere the address is that of the way back: the flow's own says which it is, or what the flow has.
    let begun = |path: &str| json!({"id": "f", "request_url": format!("https://x/self-service/{path}"), "ui": {}});
    for (way, flow, action) in [
        ("methods/oidc/callback/google?code=c&state=s", begun("login/browser"), "login"),
        ("methods/saml/acs/okta", begun("registration/browser"), "registration"),
        ("fed-cm/token", begun("settings/browser"), "settings"),
        ("methods/oidc/callback/google", begun("methods/oidc/callback/google"), "registration"),
        ("methods/oidc/callback/google", json!({"id": "f", "refresh": false, "ui": {}}), "login"),
        ("methods/oidc/callback/google", json!({"id": "f", "identity": {}, "ui": {}}), "settings"),
    ] {
        let sent = json!({"flow": flow, "request_url": format!("https://x/self-service/{way}")});
        one(NAME, &sent.to_string()).expect(&[("action", action)]);
    }
    let sent = json!({"flow": {"id": "f"}, "request_method": "POST", "request_url": "https://x/self-service/loginx"});
    assert_eq!(reason(NAME, &sent.to_string()), "missing_field");
}

/// Somebody's Jsonnet may have made one text of each list.
#[test]
fn a_header_is_a_list_or_a_text() {
    for (address, agent) in [(json!(["192.0.2.9"]), json!(["curl"])), (json!("192.0.2.9"), json!("curl"))] {
        let sent = json!({"flow": {"id": "f"}, "event": "login", "request_headers": {"True-Client-Ip": address, "User-Agent": agent},
            "session": {"id": "s", "devices": [{"ip_address": "192.0.2.1", "user_agent": "other"}]}});
        one(NAME, &sent.to_string()).expect(&[("ip", "192.0.2.9"), ("user_agent", "curl")]);
    }
}

/// Kratos adds one each time that a session is used to sign in once more.
#[test]
fn of_several_devices_the_last_is_that_of_the_request() {
    let device = |address: &str, agent: &str| json!({"ip_address": address, "user_agent": agent});
    let sent = json!({"flow": {"id": "f"}, "event": "login", "session": {"id": "s",
        "devices": [device("192.0.2.1:4711", "Home"), device("198.51.100.9:4712", "Cafe")]}});
    one(NAME, &sent.to_string()).expect(&[("ip", "198.51.100.9"), ("user_agent", "Cafe")]);
}

#[test]
fn an_identity_that_is_not_stored_yet_is_nobody() {
    let zeros = "00000000-0000-0000-0000-000000000000";
    let sent = json!({"flow": {"id": "f"}, "event": "registration", "identity": {"id": zeros, "traits": {}}});
    let stored = one(NAME, &sent.to_string());
    stored.expect(&[("action", "registration"), ("outcome", "unknown"), ("actor.id", ""), ("target.id", "")]);
    stored.expect(&[("attributes.identity.id", zeros)]);
    assert_eq!(stored.value("new"), &Value::Null);
    let event = json!([{"name": "LoginSucceeded", "timeUnixNano": "1795176000000000000",
        "attributes": [attribute("SessionID", zeros), attribute("IdentityID", "i1")]}]);
    let stored = one(NAME, &traces(&event));
    stored.expect(&[
        ("actor.id", "i1"),
        ("session_id", ""),
        ("session.status", ""),
        ("attributes.attributes.SessionID", zeros),
    ]);
}

/// In the order in which Ory itself believes them.
#[test]
fn whose_request_it_was_the_headers_say() {
    let address = |headers: Value| {
        let sent = json!({"flow": {"id": "f"}, "event": "login", "request_headers": headers,
            "session": {"id": "s", "devices": [{"ip_address": "192.0.2.1", "user_agent": "other"}]}});
        one(NAME, &sent.to_string()).at("ip").to_owned()
    };
    for (headers, wanted) in [
        (json!({"True-Client-Ip": ["192.0.2.2"], "Cf-Connecting-Ip": ["192.0.2.3"]}), "192.0.2.2"),
        (json!({"X-Real-Ip": ["192.0.2.4"], "Cf-Connecting-Ip": ["192.0.2.3"]}), "192.0.2.3"),
        (json!({"X-Real-Ip": ["192.0.2.4"], "X-Forwarded-For": ["192.0.2.5"]}), "192.0.2.4"),
        (json!({"true-client-ip": ["192.0.2.2"]}), "192.0.2.2"),
        (json!({"True-Client-Ip": ["junk"], "X-Real-Ip": ["192.0.2.4"]}), "192.0.2.4"),
        (json!({"X-Forwarded-For": ["192.0.2.6, 203.0.113.5, 10.0.0.1"]}), "203.0.113.5"),
        (json!({"X-Forwarded-For": ["192.0.2.6", "2001:db8::5, fd00::1, ::ffff:10.0.0.1"]}), "2001:db8::5"),
        (json!({"x-forwarded-for": "203.0.113.5, junk"}), "203.0.113.5"),
        (json!({"X-Forwarded-For": ["10.0.0.1, 127.0.0.1"]}), "192.0.2.1"),
        (json!({"X-Forwarded-For": [1]}), "192.0.2.1"),
    ] {
        assert_eq!(address(headers.clone()), wanted, "{headers}");
    }
}

/// Traces have numbers and what is true as such.
#[test]
fn values_that_are_no_texts_fill_fields_too() {
    let span = |name: &str, attributes: Value| {
        json!({"name": name, "timeUnixNano": "1795176000000000000", "attributes": attributes}).to_string()
    };
    let stored = one(NAME, &span("SCIMProvisioningError", json!({"SCIMErrorStatusCode": 404})));
    stored.expect(&[("error_code", "404")]);
    assert_eq!(stored.value("attributes.attributes.SCIMErrorStatusCode"), &json!(404));
    for active in [true, false] {
        let stored = one(NAME, &span("IdentityUpdated", json!({"IdentityID": "i", "IdentityActive": active})));
        assert_eq!(stored.value("new"), &json!({ "active": active }));
    }
}

#[test]
fn a_span_event_without_a_time_came_when_it_arrived() {
    for time in ["null", "\"\"", "0", "\"0\""] {
        let event = format!(r#"{{"name":"LoginSucceeded","timeUnixNano":{time},"attributes":null}}"#);
        let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"events":[{event}]}}]}}]}}]}}"#);
        one(NAME, &body).expect(&[("action", "LoginSucceeded"), ("attributes._indelible.time", "arrival")]);
    }
}

#[test]
fn an_action_after_a_sign_in_changes_nothing() {
    let mut sent: Value = serde_json::from_str(include_str!("../../samples/ory/action.json")).unwrap();
    sent["event"] = json!("login");
    sent["session"] = json!({"id": "s1", "active": true, "expires_at": "2026-11-21T12:00:00Z",
        "authenticated_at": "2026-11-20T12:00:00.123456789Z"});
    let stored = one(NAME, &sent.to_string());
    stored.expect(&[
        ("time", "2026-11-20T12:00:00.123456Z"),
        ("attributes._indelible.time", ""),
        ("actor.id", "0f4ac1f2-6a1b-4b7c-9a52-3d1e5c6b7a88"),
        ("session.status", "active"),
        ("session.user_id", "0f4ac1f2-6a1b-4b7c-9a52-3d1e5c6b7a88"),
        ("session.expires_at", "2026-11-21T12:00:00.000000Z"),
    ]);
    assert_eq!(stored.value("new"), &Value::Null);
}

#[test]
fn an_action_says_that_a_session_lives_as_of_the_sign_in_and_only_then() {
    let sent = |event: &str, at: Value| {
        let mut sent = json!({"event": event, "flow": {"id": "f"}, "identity": {"id": "i1"},
            "session": {"id": "s1", "active": true, "authenticated_at": at}});
        sent["session"].as_object_mut().unwrap().retain(|_, value| !value.is_null());
        one(NAME, &sent.to_string())
    };
    for event in ["login", "registration", "recovery"] {
        let stored = sent(event, json!("2026-11-20T12:00:00Z"));
        stored.expect(&[("time", "2026-11-20T12:00:00.000000Z"), ("session.status", "active")]);
        let inferred = stored.value("attributes._indelible.inferred").to_string();
        assert!(inferred.contains("\"time\""), "{inferred}");
    }
    let arrived = [("attributes._indelible.time", "arrival"), ("session_id", "s1"), ("session.status", "")];
    // Within a session: nothing says that it still lives, whenever this comes.
    sent("settings", json!("2026-11-20T12:00:00Z")).expect(&arrived);
    // No time that could be compared with that of a revocation.
    sent("login", Value::Null).expect(&arrived);
    sent("login", json!("yesterday")).expect(&arrived);
}

#[test]
fn a_session_that_is_not_stored_yet_is_no_session() {
    let zeros = "00000000-0000-0000-0000-000000000000";
    let sent = json!({"flow": {"id": "f"}, "event": "login", "identity": {"id": "i1"},
        "session": {"id": zeros, "active": true, "expires_at": "2026-11-27T18:54:05.245805675Z"}});
    one(NAME, &sent.to_string()).expect(&[
        ("actor.id", "i1"),
        ("outcome", "success"),
        ("session_id", ""),
        ("session.status", ""),
        ("attributes.session.id", zeros),
    ]);
}

#[test]
fn a_try_of_an_action_again_is_the_same_record() {
    let body = include_str!("../../samples/ory/action.json");
    assert_eq!(one(NAME, body).at("id"), one(NAME, body).at("id"));
}

#[test]
fn what_is_not_understood_is_kept() {
    assert_eq!(reason(NAME, r#"{"userId":"ann"}"#), "not_an_event");
    assert_eq!(reason(NAME, r#"{"timeUnixNano":"1"}"#), "missing_field");
    assert_eq!(reason(NAME, "7"), "wrong_type");
}

#[test]
fn traces_of_others_are_less_certain() {
    let others = traces(&json!([])).replace("Ory", "Shop");
    assert_eq!(crate::detect(others.as_bytes()), [("ory", 40)]);
}

proptest! {
    #[test]
    fn never_panics(
        body in proptest::collection::vec(any::<u8>(), 0..300),
        inner in r#"[\PC]{0,80}"#,
        name in "(resourceSpans|flow|identity|timeUnixNano|request_url)",
    ) {
        survives(NAME, &body);
        survives(NAME, format!(r#"{{"{name}":{inner}}}"#).as_bytes());
        survives(NAME, format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"events":[{{"name":"A","attributes":[{inner}]}}]}}]}}]}}]}}"#).as_bytes());
        let _ = otlp::lines(&body);
        let _ = otlp::lines(&request(std::slice::from_ref(&body)));
        let _ = otlp::lines(&request(&[event("A", &[("k", body)])]));
    }
}
