//! Every quirk of Okta's System Log.

use crate::catalog;
use crate::testing::{keeps_everything, one, reason, survives, take};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAME: &str = super::NAME;

fn entry(kind: &str) -> Value {
    json!({
        "uuid": "dc9fd3c0-598c-11ef-8478-2b7584bf8d5a", "published": "2026-11-20T12:00:00.123Z", "version": "0", "severity": "INFO",
        "eventType": kind, "legacyEventType": "core.user_auth.login_success", "displayMessage": "User login to Okta",
        "actor": {"id": "00u1", "type": "User", "alternateId": "ann@example.com", "displayName": "Ann", "detailEntry": null},
        "client": {"id": null, "device": "Computer", "ipAddress": "192.0.2.4", "zone": "null",
            "userAgent": {"rawUserAgent": "curl/8", "os": "Linux", "browser": "UNKNOWN"},
            "geographicalContext": {"city": "Brno", "postalCode": 60200, "geolocation": {"lat": 49.2, "lon": 16.6}}},
        "authenticationContext": {"authenticationProvider": "FACTOR_PROVIDER", "externalSessionId": "idx1", "authenticationStep": 0},
        "outcome": {"result": "SUCCESS", "reason": null}, "target": null,
        "transaction": {"id": "t1", "type": "WEB", "detail": {}}, "request": {"ipChain": [{"ip": "192.0.2.4"}]},
        "securityContext": {"isProxy": false}, "debugContext": {"debugData": {"requestUri": "/api/v1/authn"}},
    })
}

#[test]
fn a_sign_in() {
    let sent = entry("user.session.start").to_string();
    let stored = one(NAME, &sent);
    stored.expect(&[
        ("id", "dc9fd3c0-598c-11ef-8478-2b7584bf8d5a"),
        ("time", "2026-11-20T12:00:00.123000Z"),
        ("log", "event"),
        ("action", "user.session.start"),
        ("message", "User login to Okta"),
        ("outcome", "success"),
        ("level", "info"),
        ("actor.id", "00u1"),
        ("actor.type", "User"),
        ("actor.name", "Ann"),
        ("email", "ann@example.com"),
        ("ip", "192.0.2.4"),
        ("user_agent", "curl/8"),
        ("session_id", "idx1"),
        ("request_id", "t1"),
        ("provider.name", "FACTOR_PROVIDER"),
        ("client_actor.id", ""),
        ("attributes.client.zone", "null"),
        ("attributes.outcome.result", "SUCCESS"),
        ("attributes.debugContext.debugData.requestUri", "/api/v1/authn"),
    ]);
    keeps_everything(NAME, &sent);
}

#[test]
fn every_word_of_an_outcome() {
    for (result, outcome) in [
        ("SUCCESS", "success"),
        ("ALLOW", "success"),
        ("FAILURE", "failure"),
        ("ABANDONED", "failure"),
        ("UNANSWERED", "failure"),
        ("DENY", "deny"),
        ("RATE_LIMIT", "deny"),
        ("SKIPPED", "unknown"),
        ("CHALLENGE", "unknown"),
        ("UNKNOWN", "unknown"),
        ("DEFERRED", "unknown"),
        ("SCHEDULED", "unknown"),
        ("SOMETHING_NEW", "unknown"),
    ] {
        let mut sent = entry("user.session.start");
        sent["outcome"] = json!({"result": result, "reason": "INVALID_CREDENTIALS"});
        let code = if matches!(outcome, "failure" | "deny") { "INVALID_CREDENTIALS" } else { "" };
        one(NAME, &sent.to_string()).expect(&[
            ("outcome", outcome),
            ("error_code", code),
            ("attributes.outcome.result", result),
        ]);
        keeps_everything(NAME, &sent.to_string());
    }
}

#[test]
fn severities_are_levels() {
    for (severity, level) in [("DEBUG", "info"), ("INFO", "info"), ("WARN", "warn"), ("ERROR", "error"), ("?", "info")]
    {
        let mut sent = entry("user.session.start");
        sent["severity"] = json!(severity);
        one(NAME, &sent.to_string()).expect(&[("level", level)]);
    }
}

#[test]
fn a_target_that_is_in_no_list_is_the_target() {
    let mut sent = entry("user.lifecycle.suspend");
    sent["target"] = json!({"id": "00u2", "type": "User", "alternateId": "bob@example.com", "displayName": "Bob"});
    let stored = one(NAME, &sent.to_string());
    stored.expect(&[("target.id", "00u2"), ("target.type", "User"), ("target.name", "Bob")]);
    assert_eq!(stored.value("attributes.target"), &sent["target"]);
}

#[test]
fn targets_are_named_and_stay_a_list() {
    let mut sent = entry("application.user_membership.add");
    sent["target"] = json!([
        {"id": "00u2", "type": "User", "alternateId": "bob@example.com", "displayName": "Bob", "detailEntry": null},
        {"id": "0oa1", "type": "AppInstance", "alternateId": "Shop", "displayName": "Shop"},
    ]);
    let stored = one(NAME, &sent.to_string());
    stored.expect(&[
        ("log", "audit"),
        ("actor.email", "ann@example.com"),
        ("target.id", "00u2"),
        ("target.type", "User"),
        ("target.name", "Bob"),
        ("subject.id", "0oa1"),
        ("subject.type", "AppInstance"),
        ("subject.name", "Shop"),
    ]);
    assert_eq!(stored.value("attributes.target"), &sent["target"]);
    sent["eventType"] = json!("user.authentication.sso");
    one(NAME, &sent.to_string()).expect(&[
        ("client.id", "0oa1"),
        ("client.name", "Shop"),
        ("target.id", "00u2"),
        ("subject.id", ""),
    ]);
    // As Okta writes them when somebody is given an application.
    sent["eventType"] = json!("application.user_membership.add");
    sent["target"] = json!([
        {"id": "0ua3", "type": "AppUser", "displayName": "Bob"}, {"id": "0oa1", "type": "AppInstance", "displayName": "Shop"},
        {"id": "00u2", "type": "User", "displayName": "Bob"},
    ]);
    one(NAME, &sent.to_string()).expect(&[("target.id", "00u2"), ("target.type", "User"), ("subject.id", "0oa1")]);
    for none in [json!(null), json!([]), json!("x"), json!([7])] {
        sent["target"] = none;
        one(NAME, &sent.to_string()).expect(&[("target.id", ""), ("client.id", "")]);
    }
}

#[test]
fn what_changed_is_old_and_new() {
    let mut sent = entry("policy.rule.update");
    sent["target"] = json!([{"id": "p1", "type": "PolicyRule",
        "changeDetails": {"from": {"state": "ACTIVE", "n": 1}, "to": {"state": "INACTIVE", "n": 1}}}]);
    let stored = one(NAME, &sent.to_string());
    assert_eq!(stored.value("diff"), &json!({"state": {"__old": "ACTIVE", "__new": "INACTIVE"}}));
}

#[test]
fn variations_seen_in_the_wild() {
    let mut sent = entry("user.session.start");
    sent["version"] = json!(0);
    sent["client"]["geographicalContext"]["postalCode"] = json!("602 00");
    sent["authenticationContext"]["externalSessionId"] = json!("unknown");
    sent["actor"]["alternateId"] = json!("unknown");
    one(NAME, &sent.to_string()).expect(&[("session_id", ""), ("email", ""), ("username", "")]);
    keeps_everything(NAME, &sent.to_string());
    sent["actor"]["alternateId"] = json!("ann");
    one(NAME, &sent.to_string()).expect(&[("username", "ann")]);
}

#[test]
fn a_hook_delivers_several() {
    let body = json!({"eventType": "com.okta.event_hook", "cloudEventsVersion": "0.1", "eventId": "e", "data": {
        "events": [entry("user.session.start"), entry("user.session.end")]}});
    let stored = take(NAME, &body.to_string());
    assert_eq!(stored.len(), 2);
    stored[1].expect(&[("action", "user.session.end")]);
    assert_eq!(crate::detect(body.to_string().as_bytes())[0], ("okta", 99));
}

#[test]
fn every_name_of_the_catalogue() {
    for known in catalog::entries().iter().filter(|e| e.system == NAME) {
        one(NAME, &entry(&known.name).to_string()).expect(&[("action", &known.name), ("log", &known.log)]);
    }
    for (kind, log) in
        [("user.authentication.new", "event"), ("security.new", "event"), ("group.new", "audit"), ("new", "audit")]
    {
        one(NAME, &entry(kind).to_string()).expect(&[("log", log)]);
    }
}

#[test]
fn what_is_not_understood_is_kept() {
    assert_eq!(reason(NAME, r#"{"uuid":"1"}"#), "missing_field");
    assert_eq!(reason(NAME, r#"{"eventType":"x","published":7}"#), "invalid_time");
    assert_eq!(reason(NAME, r#"{"eventType":"x","eventType":"y"}"#), "duplicate_key");
    assert_eq!(reason(NAME, "7"), "wrong_type");
}

proptest! {
    #[test]
    fn never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in r#"\{"eventType":"[a-z.]{0,12}","(target|actor|outcome|client|published|data)":[\PC]{0,60}\}"#,
    ) {
        survives(NAME, &bytes);
        survives(NAME, text.as_bytes());
    }
}

#[test]
fn whom_okta_does_not_know_is_nobody() {
    let mut sent = entry("user.session.start");
    sent["actor"] =
        json!({"id": "unknown", "type": "User", "alternateId": "bob@example.com", "displayName": "unknown"});
    let stored = one(NAME, &sent.to_string());
    stored.expect(&[("actor.id", ""), ("actor.name", ""), ("actor.type", "User"), ("email", "bob@example.com")]);
    stored.expect(&[("attributes.actor.id", "unknown")]);
}
