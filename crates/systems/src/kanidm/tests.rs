//! Every quirk of Kanidm.

use crate::testing::{one, reason, survives, take};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAME: &str = super::NAME;

fn denied(source: &Value) -> Value {
    json!({"AuthenticationDenied": {"source": source, "uuid": "0b4f-1", "spn": "ann@idm.example.com", "time": 1_795_176_000}})
}

#[test]
fn a_denial_from_each_source() {
    for (source, ip) in [
        (json!({"Https": "192.0.2.10"}), "192.0.2.10"),
        (json!({"Ldaps": "2001:db8::1"}), "2001:db8::1"),
        (json!("Internal"), ""),
    ] {
        let sent = denied(&source);
        let stored = one(NAME, &sent.to_string());
        stored.expect(&[
            ("log", "event"),
            ("time", "2026-11-20T12:00:00.000000Z"),
            ("action", "AuthenticationDenied"),
            ("outcome", "deny"),
            ("level", "warn"),
            ("actor.id", "0b4f-1"),
            ("username", "ann@idm.example.com"),
            ("ip", ip),
        ]);
        assert_eq!(stored.value("attributes.AuthenticationDenied"), &json!({"source": source}));
    }
}

#[test]
fn nothing_logged_is_no_record() {
    let body = format!("null\n{}\nnull\n", denied(&json!("Internal")));
    let stored = take(NAME, &body);
    assert_eq!((stored.len(), stored[0].line), (1, 2));
    assert!(take(NAME, "[null,null]").is_empty());
    let mut both = denied(&json!("Internal"));
    both["audit_event"] = json!(null);
    assert_eq!(take(NAME, &both.to_string()).len(), 1, "it says something all the same");
    for none in [
        "WARN audit_event: null",
        "WARN | audit_event=null uuid=1",
        r#"{"audit_event":null}"#,
        r#"{"level":"WARN","audit_event":"null"}"#,
        r#"{"level":"WARN","fields":{"audit_event":null,"message":"m"}}"#,
    ] {
        assert!(take(NAME, none).is_empty() && crate::find(NAME).unwrap().says_none(none), "{none}");
        assert_eq!(take(NAME, &format!("{none}\n{}", denied(&json!("Internal")))).len(), 1, "{none}");
    }
}

#[test]
fn lines_of_the_log() {
    let event = denied(&json!({"Https": "192.0.2.10"})).to_string();
    for between in [": ", "=", " = "] {
        let line = format!("00000000-0000-0000-0000-000000000000 WARN  🚧 [warn]:  | audit_event{between}{event}");
        one(NAME, &line).expect(&[
            ("actor.id", "0b4f-1"),
            ("ip", "192.0.2.10"),
            ("attributes.line", line.split_once(&event).unwrap().0.trim_end()),
        ]);
        assert_eq!(crate::detect(line.as_bytes()), [("kanidm", 95)]);
    }
}

#[test]
fn the_log_as_json() {
    let event = denied(&json!({"Https": "192.0.2.10"}));
    let as_text = json!({"timestamp": "2026-11-20T12:00:00Z", "level": "WARN", "audit_event": event.to_string()});
    let as_object = json!({"level": "WARN", "fields": {"audit_event": event, "message": "m"}});
    for sent in [as_text, as_object] {
        let stored = one(NAME, &sent.to_string());
        stored.expect(&[("actor.id", "0b4f-1"), ("ip", "192.0.2.10"), ("attributes.log.level", "WARN")]);
        assert_eq!(crate::detect(sent.to_string().as_bytes()), [("kanidm", 95)]);
    }
}

#[test]
fn what_is_not_understood_is_kept() {
    for other in [
        "INFO the server is up",
        r#"{"level":"WARN","audit_event":7}"#,
        "WARN audit_event: nullable",
        r#"{"SomethingElse":{}}"#,
        "WARN audit_event: {\"AuthenticationDenied\"",
    ] {
        assert_eq!(reason(NAME, other), "not_an_event", "{other}");
    }
    assert_eq!(reason(NAME, r#"{"AuthenticationDenied":[]}"#), "missing_field");
    assert_eq!(reason(NAME, r#"{"AuthenticationDenied":{"time":"noon"}}"#), "invalid_time");
}

proptest! {
    #[test]
    fn never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in r#"(x audit_event: )?\{"(AuthenticationDenied|audit_event|fields)":[\PC]{0,60}\}"#,
    ) {
        survives(NAME, &bytes);
        survives(NAME, text.as_bytes());
    }
}

/// Journald's export, and what logs in JSON with the event in quotes.
#[test]
fn a_line_that_a_shipper_passes_on_is_read() {
    let line = format!("WARN audit_event: {}", denied(&json!("Internal")));
    let quoted = format!("WARN audit_event: {}", json!(denied(&json!("Internal")).to_string()));
    for sent in [json!({"MESSAGE": line, "_PID": "7"}), json!({"MESSAGE": quoted, "_PID": "7"})] {
        let stored = one(NAME, &sent.to_string());
        stored.expect(&[("actor.id", "0b4f-1"), ("outcome", "deny"), ("attributes.log._PID", "7")]);
        assert_eq!(crate::detect(sent.to_string().as_bytes()).first().map(|(name, _)| *name), Some(NAME), "{sent}");
    }
    one(NAME, &quoted).expect(&[("actor.id", "0b4f-1"), ("attributes.line", "WARN audit_event:")]);
}
