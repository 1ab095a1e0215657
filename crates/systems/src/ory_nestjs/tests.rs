//! Every quirk of ory-nestjs.

use crate::testing::{comes_back, one, reason, survives, take, take_with};
use crate::{Memory, catalog};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAME: &str = super::NAME;

/// An event with these members beside the usual ones.
fn event(name: &str, result: &str, more: &Value) -> String {
    let mut event = json!({"timestamp": "2026-11-20T12:00:00.000Z", "event": name, "tenant": "demo", "result": result, "attributes": {}});
    for (key, value) in more.as_object().unwrap() {
        event[key] = value.clone();
    }
    event.to_string()
}

#[test]
fn a_signed_in_request() {
    let sent = event(
        "auth.success",
        "success",
        &json!({"actorId": "ann", "correlationId": "r1", "attributes": {"transport": "cookie", "route": "list", "latencyMs": 3}}),
    );
    let stored = one(NAME, &sent);
    stored.expect(&[
        ("log", "event"),
        ("time", "2026-11-20T12:00:00.000000Z"),
        ("source", NAME),
        ("action", "auth.success"),
        ("outcome", "success"),
        ("level", "info"),
        ("actor.id", "ann"),
        ("actor.type", "identity"),
        ("request_id", "r1"),
    ]);
    let attributes = json!({"tenant": "demo", "attributes": {"transport": "cookie", "route": "list", "latencyMs": 3}});
    assert_eq!(stored.value("attributes"), &attributes, "what the envelope does not hold, in its native place");
    let machine = event("auth.success", "success", &json!({"actorId": "ci", "attributes": {"transport": "oauth2"}}));
    one(NAME, &machine).expect(&[("actor.id", "ci"), ("actor.type", "client")]);
}

/// As `LoggerAuditSink` has it written by Nest's logger.
#[test]
fn an_event_that_was_logged_is_the_event() {
    let more = json!({"actorId": "ann", "correlationId": "r1"});
    let sent = event("auth.success", "success", &more);
    let logged =
        format!(r#"{{"level":"log","pid":1,"timestamp":1795176000001,"message":{sent},"context":"OryNestjs.Audit"}}"#);
    let (known, stored) = (one(NAME, &sent), one(NAME, &logged));
    for path in ["id", "time", "action", "outcome", "level", "actor.id", "request_id", "attributes.tenant"] {
        assert_eq!(stored.at(path), known.at(path), "{path}");
    }
    let log = json!({"level": "log", "pid": 1, "timestamp": 1_795_176_000_001_i64, "context": "OryNestjs.Audit"});
    assert_eq!(stored.value("attributes.log"), &log);
    assert_eq!(crate::detect(logged.as_bytes()), [(NAME, 90)]);
    // And tells who made the change that stands before it.
    let change = event("iam.identity.create", "success", &json!({"targetId": "bob", "correlationId": "r1"}));
    let both = take(NAME, &format!("{}\n{logged}", logged.replace(&sent, &change)));
    both[0].expect(&[("action", "iam.identity.create"), ("actor.id", "ann")]);
    assert_eq!(reason(NAME, r#"{"level":"log","message":{"a":1}}"#), "missing_field");
}

#[test]
fn levels_follow_from_the_result() {
    for (name, result, log, level) in [
        ("auth.failure.invalid_signature", "failure", "event", "warn"),
        ("auth.failure.audience_mismatch", "failure", "event", "warn"),
        ("auth.failure.replay", "failure", "event", "warn"),
        ("authz.role.deny", "deny", "event", "warn"),
        ("iam.courier.message.access", "success", "audit", "info"),
        ("config.boot_failure", "failure", "event", "error"),
        ("iam.something.new", "success", "audit", "info"),
        ("something.new", "success", "event", "info"),
    ] {
        one(NAME, &event(name, result, &json!({}))).expect(&[("log", log), ("outcome", result), ("level", level)]);
    }
}

#[test]
fn levels_are_those_of_the_catalogue() {
    for entry in catalog::entries().iter().filter(|e| e.system == NAME) {
        let wrong =
            ["failure", "mismatch", "upstream_unavailable", "deny"].iter().any(|word| entry.name.contains(word));
        let result = if wrong { "failure" } else { "success" };
        // Documented as a warning; the library sends it as a success, and says no level.
        let level = if entry.name == "iam.courier.message.access" { "info" } else { &entry.level };
        one(NAME, &event(&entry.name, result, &json!({}))).expect(&[("action", &entry.name), ("level", level)]);
    }
}

#[test]
fn a_result_we_do_not_know_is_kept() {
    let sent = event("auth.success", "maybe", &json!({}));
    one(NAME, &sent).expect(&[("outcome", "unknown"), ("attributes.result", "maybe")]);
    comes_back(NAME, &sent);
}

#[test]
fn a_check_is_not_a_grant() {
    let relation = json!({"namespace": "reports", "relation": "view", "object": "q3", "route": "get"});
    let check = event("authz.permission.grant", "success", &json!({"actorId": "ann", "attributes": relation}));
    one(NAME, &check).expect(&[
        ("action", "authz.permission.grant"),
        ("target.type", "permission check"),
        ("target.id", "reports:q3#view"),
        ("subject.id", ""),
    ]);
    let relation = json!({"namespace": "groups", "relation": "member", "object": "billing", "subject": "user:bob"});
    for name in ["authz.permission.grant", "authz.permission.revoke"] {
        let written = event(name, "success", &json!({"attributes": relation}));
        one(NAME, &written).expect(&[
            ("action", name),
            ("target.type", "permission"),
            ("target.id", "groups:billing#member"),
            ("subject.id", "user:bob"),
        ]);
        comes_back(NAME, &written);
    }
    comes_back(NAME, &check);
}

#[test]
fn a_subject_that_is_an_object_is_written_as_keto_writes_it() {
    let set = json!({"namespace": "groups", "object": "admins", "relation": "member"});
    for (subject, id, kind) in [
        (set.clone(), "groups:admins#member", "subject set"),
        (json!({"subject_set": set}), "groups:admins#member", "subject set"),
        (json!("groups:admins#member"), "groups:admins#member", "subject set"),
        (json!({"namespace": "user", "object": "bob", "relation": ""}), "user:bob", ""),
        (json!({"id": "bob"}), "bob", ""),
        (json!({"subject_id": "user:bob"}), "user:bob", ""),
        // What says nobody is kept and names nobody.
        (json!({}), "", ""),
        (json!({"namespace": "groups"}), "", ""),
        (json!({"subject_set": "x"}), "", ""),
        (json!(["bob"]), "", ""),
        (json!(7), "", ""),
    ] {
        let relation = json!({"namespace": "groups", "relation": "member", "object": "billing", "subject": subject});
        let sent = event("authz.permission.grant", "success", &json!({"attributes": relation}));
        let stored = one(NAME, &sent);
        stored.expect(&[("target.id", "groups:billing#member"), ("target.type", "permission")]);
        stored.expect(&[("subject.id", id), ("subject.type", kind)]);
        if !subject.is_string() {
            assert_eq!(stored.value("attributes.attributes.subject"), &subject, "it stays as it came");
        }
        comes_back(NAME, &sent);
    }
}

#[test]
fn whoever_was_signed_in_made_the_change() {
    let by = |name: &str, at: &str, more: Value| {
        let mut event: Value = serde_json::from_str(&event(name, "success", &more)).unwrap();
        event["timestamp"] = json!(at);
        event.to_string()
    };
    let change =
        by("iam.identity.delete", "2026-11-20T12:00:01.000Z", json!({"targetId": "bob", "correlationId": "r"}));
    one(NAME, &change).expect(&[("actor.id", ""), ("target.id", "bob"), ("target.type", "identity")]);

    let memory = Memory::default();
    let signed_in = by("auth.success", "2026-11-20T12:00:00.000Z", json!({"actorId": "ann", "correlationId": "r"}));
    let stored = take_with(&memory, NAME, format!("{signed_in}\n{change}").as_bytes());
    stored[1].expect(&[("actor.id", "ann")]);
    assert_eq!(stored[1].value("attributes._indelible.inferred"), &json!(["actor.id"]));
    assert_eq!(stored[0].value("attributes._indelible"), &Value::Null, "the source said it itself");
    assert_eq!(crate::find(NAME).unwrap().to_native(&stored[1].envelope).unwrap().get("actorId"), None);

    // Whichever of the two stands first, in the body or in time.
    let before = by("iam.identity.patch", "2026-11-20T11:59:59.000Z", json!({"targetId": "bob", "correlationId": "r"}));
    for body in [format!("{change}\n{signed_in}"), format!("{before}\n{signed_in}"), format!("{signed_in}\n{before}")] {
        let stored = take_with(&Memory::default(), NAME, body.as_bytes());
        let changed = stored.iter().find(|one| one.at("log") == "audit").unwrap();
        changed.expect(&[("actor.id", "ann")]);
        assert_eq!(changed.value("attributes._indelible.inferred"), &json!(["actor.id"]));
    }
    // Two people under one request are nobody, wherever the second stands.
    let another = by("auth.success", "2026-11-20T12:00:02.000Z", json!({"actorId": "eve", "correlationId": "r"}));
    let body = format!("{signed_in}\n{change}\n{another}");
    take_with(&Memory::default(), NAME, body.as_bytes())[1].expect(&[("actor.id", "")]);

    let other = [
        ("another request", json!({"correlationId": "other"}), "iam.identity.delete"),
        ("another tenant", json!({"correlationId": "r", "tenant": "else"}), "iam.identity.delete"),
        ("no request", json!({}), "iam.identity.delete"),
        ("a failure is nobody's act", json!({"correlationId": "r"}), "auth.failure.expired"),
    ];
    for (why, more, name) in other {
        let sent = by(name, "2026-11-20T12:00:01.000Z", more);
        take_with(&memory, NAME, sent.as_bytes())[0].expect(&[("actor.id", "")]);
        assert!(!why.is_empty());
    }
    let late = by("iam.identity.delete", "2026-11-20T13:00:00.000Z", json!({"correlationId": "r"}));
    take_with(&memory, NAME, late.as_bytes())[0].expect(&[("actor.id", "")]);
}

#[test]
fn what_cannot_be_undone_says_so() {
    let sent =
        event("iam.network.project.purge", "success", &json!({"targetId": "p1", "attributes": {"irreversible": true}}));
    let stored = one(NAME, &sent);
    stored.expect(&[("log", "audit"), ("target.type", "project")]);
    assert_eq!(stored.value("irreversible"), &json!(true));
    comes_back(NAME, &sent);
    let not = event("iam.network.project.set", "success", &json!({"attributes": {"irreversible": false}}));
    assert_eq!(one(NAME, &not).value("irreversible"), &Value::Null);
    comes_back(NAME, &not);
}

#[test]
fn the_transports_reason_is_the_error_code() {
    for reason in ["replay", "replay_jti_missing", "replay_cache_unavailable", "replay_cache_error"] {
        let sent = event("auth.failure.replay", "failure", &json!({"attributes": {"route": "x", "reason": reason}}));
        one(NAME, &sent).expect(&[("error_code", reason)]);
        comes_back(NAME, &sent);
    }
}

#[test]
fn every_target_has_its_type_and_name() {
    for (name, more, kind, called) in [
        ("authz.session.revoke", json!({"targetId": "s1"}), "session", ""),
        ("iam.session.extend", json!({"targetId": "s1"}), "session", ""),
        ("oauth2.client.create", json!({"targetId": "c1", "attributes": {"clientName": "shop"}}), "client", "shop"),
        ("iam.jwk.updateKey", json!({"targetId": "set/kid"}), "key", ""),
        (
            "iam.oauth2.trustedIssuer.trust",
            json!({"targetId": "i", "attributes": {"issuer": "https://i"}}),
            "trusted issuer",
            "",
        ),
        (
            "iam.network.project.create",
            json!({"targetId": "p", "attributes": {"name": "eu", "workspaceId": "w"}}),
            "project",
            "eu",
        ),
        (
            "iam.network.project.apiKey.create",
            json!({"targetId": "p/k", "attributes": {"keyName": "ci"}}),
            "API key",
            "ci",
        ),
        (
            "iam.network.workspace.create",
            json!({"targetId": "w", "attributes": {"workspaceName": "acme"}}),
            "workspace",
            "acme",
        ),
        ("iam.network.workspace.apiKey.delete", json!({"targetId": "w/k"}), "API key", ""),
        (
            "iam.network.events.create",
            json!({"targetId": "p/s", "attributes": {"streamType": "https"}}),
            "event stream",
            "",
        ),
        ("iam.courier.message.access", json!({"targetId": "m", "attributes": {"includedBody": true}}), "message", ""),
    ] {
        let sent = event(name, "success", &more);
        one(NAME, &sent).expect(&[
            ("target.type", kind),
            ("target.name", called),
            ("target.id", more["targetId"].as_str().unwrap()),
        ]);
        comes_back(NAME, &sent);
    }
    one(NAME, &event("authz.session.revoke", "success", &json!({"targetId": "s1"}))).expect(&[("session_id", "s1")]);
}

#[test]
fn every_known_name_is_read_and_comes_back() {
    for entry in catalog::entries().iter().filter(|e| e.system == NAME) {
        let sent = event(&entry.name, "success", &json!({"targetId": "t", "extra": {"a": [1]}}));
        one(NAME, &sent).expect(&[("log", &entry.log), ("action", &entry.name)]);
        comes_back(NAME, &sent);
    }
}

#[test]
fn the_record_is_its_own_id() {
    let (a, b) =
        (event("auth.success", "success", &json!({})), event("auth.success", "success", &json!({"tenant": "b"})));
    assert_eq!(one(NAME, &a).at("id"), one(NAME, &a).at("id"));
    assert_ne!(one(NAME, &a).at("id"), one(NAME, &b).at("id"));
    assert_eq!(one(NAME, &a).at("id").len(), 64);
}

#[test]
fn times_in_other_spellings_are_not_lost() {
    let sent = event("auth.success", "success", &json!({"timestamp": "2026-11-20T13:00:00.5+01:00"}));
    one(NAME, &sent)
        .expect(&[("time", "2026-11-20T12:00:00.500000Z"), ("attributes.timestamp", "2026-11-20T13:00:00.5+01:00")]);
    comes_back(NAME, &sent);
}

#[test]
fn what_is_not_understood_is_kept_beside_the_rest() {
    assert_eq!(reason(NAME, r#"{"timestamp":"2026-11-20T12:00:00.000Z"}"#), "missing_field");
    assert_eq!(reason(NAME, r#"{"event":7}"#), "missing_field");
    assert_eq!(reason(NAME, &event("x", "success", &json!({"timestamp": "noon"}))), "invalid_time");
    assert_eq!(reason(NAME, &event("x", "success", &json!({"_indelible": 1}))), "reserved_field");
    assert_eq!(reason(NAME, r#"{"event":"a","event":"b"}"#), "duplicate_key");
    assert_eq!(reason(NAME, r#"{"event":"a","attributes":{"n":"\u0000"}}"#), "nul_byte");
    assert_eq!(reason(NAME, "{\"event\":"), "invalid_json");
    assert_eq!(reason(NAME, "null"), "wrong_type");
    assert_eq!(
        reason(NAME, &event("x", "success", &json!({"timestamp": "2099-01-01T00:00:00.000Z"}))),
        "time_in_future"
    );
    let body = format!("{}\nnot JSON\n{}", event("a", "success", &json!({})), event("b", "success", &json!({})));
    let stored = take(NAME, &body);
    let actions: Vec<(usize, &str)> = stored.iter().map(|s| (s.line, s.at("action"))).collect();
    assert_eq!(actions, [(1, "a"), (2, "unparsed"), (3, "b")]);
    stored[1].expect(&[("attributes.native", "not JSON")]);
}

#[test]
fn secrets_are_redacted_in_what_was_understood_and_what_was_not() {
    let more =
        json!({"attributes": {"authorization": "Bearer abcdefghijklmnopqrstuvwxyz", "traits": {"email": "a@b"}}});
    for sent in [event("auth.success", "success", &more), event("", "success", &more)] {
        let stored = take(NAME, &sent).remove(0).envelope.to_string();
        assert!(!stored.contains("abcdefghij") && !stored.contains("a@b"), "{stored}");
    }
}

proptest! {
    #[test]
    fn never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in r#"\{("event":"[a-z.]{0,12}",)?"(result|attributes|timestamp|tenant|event)":[\PC]{0,40}\}"#,
    ) {
        survives(NAME, &bytes);
        survives(NAME, text.as_bytes());
    }

    #[test]
    fn whatever_it_says_comes_back(
        name in "(authz\\.permission\\.grant|auth\\.success|iam\\.identity\\.patch|[a-z.]{1,12})",
        actor in proptest::option::of("[a-z\"é]{0,8}"),
        target in proptest::option::of("[a-z]{0,8}"),
        key in "(route|subject|reason|namespace|object|relation|irreversible|x)",
        value in "[a-z \\n\"]{0,9}",
    ) {
        let mut sent: Value = serde_json::from_str(&event(&name, "success", &json!({"attributes": {key: value}}))).unwrap();
        if let Some(actor) = actor { sent["actorId"] = json!(actor); }
        if let Some(target) = target { sent["targetId"] = json!(target); }
        comes_back(NAME, &sent.to_string());
    }
}
