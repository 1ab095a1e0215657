//! Every quirk of authentik.

use crate::catalog;
use crate::testing::{keeps_everything, one, reason, survives, take};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAME: &str = super::NAME;

fn event(action: &str, context: &Value) -> Value {
    json!({
        "pk": "f00f54e7-2b38-421f-bc78-e61f950048d6", "user": {"pk": 7, "email": "ann@example.com", "username": "ann"},
        "action": action, "app": "authentik.events.signals", "context": context, "client_ip": "192.0.2.3",
        "created": "2026-11-20T12:00:00.123456Z", "expires": "2027-11-20T12:00:00.123456Z", "brand": {"pk": "b1", "name": "Default brand"},
    })
}

#[test]
fn what_a_change_was_from_and_to_is_told_member_by_member() {
    let diff = json!({"name": {"previous_value": "Shop", "new_value": "Store"}, "slug": {"new_value": "store"}, "groups": {"add": [1]}});
    let stored = one(NAME, &event("model_updated", &json!({"model": {"pk": 1}, "diff": diff})).to_string());
    assert_eq!(stored.value("old"), &json!({"name": "Shop"}));
    assert_eq!(stored.value("new"), &json!({"name": "Store", "slug": "store"}));
    assert_eq!(stored.value("diff"), &json!({"name": {"__old": "Shop", "__new": "Store"}, "slug__added": "store"}));
    assert_eq!(stored.value("attributes.context.diff"), &diff, "it stays");
    assert_eq!(stored.value("attributes._indelible.inferred"), &json!(["old", "new"]));
    for none in [json!({}), json!([]), json!("x"), json!({"groups": {"add": [1]}}), Value::Null] {
        let stored = one(NAME, &event("model_updated", &json!({"diff": none})).to_string());
        assert!(stored.value("old").is_null() && stored.value("new").is_null(), "{none}");
    }
}

#[test]
fn a_sign_in() {
    let sent = event(
        "login",
        &json!({"auth_method": "password", "http_request": {"user_agent": "curl/8", "request_id": "r1", "path": "/x"}}),
    );
    one(NAME, &sent.to_string()).expect(&[
        ("id", "f00f54e7-2b38-421f-bc78-e61f950048d6"),
        ("time", "2026-11-20T12:00:00.123456Z"),
        ("log", "event"),
        ("action", "login"),
        ("outcome", "success"),
        ("actor.id", "7"),
        ("username", "ann"),
        ("email", "ann@example.com"),
        ("ip", "192.0.2.3"),
        ("user_agent", "curl/8"),
        ("request_id", "r1"),
        ("attributes.context.auth_method", "password"),
        ("attributes.brand.name", "Default brand"),
    ]);
    keeps_everything(NAME, &sent.to_string());
}

#[test]
fn who_failed_to_sign_in_is_only_what_was_typed() {
    let mut sent = event("login_failed", &json!({"username": "akadmin", "password": "********************"}));
    sent["user"] = json!({"pk": 2, "email": "", "username": "AnonymousUser"});
    one(NAME, &sent.to_string()).expect(&[
        ("outcome", "failure"),
        ("level", "warn"),
        ("identifier", "akadmin"),
        ("actor.id", ""),
        ("username", "akadmin"),
        ("attributes.user.username", "AnonymousUser"),
    ]);
    sent["action"] = json!("suspicious_request");
    one(NAME, &sent.to_string()).expect(&[("outcome", "deny"), ("actor.id", ""), ("username", "")]);
}

#[test]
fn a_user_that_a_forwarder_made_a_text_of_is_read() {
    let mut sent = event("login", &json!({"auth_method": "password"}));
    let user = sent["user"].to_string();
    sent["user"] = user.clone().into();
    one(NAME, &sent.to_string()).expect(&[
        ("actor.id", "7"),
        ("username", "ann"),
        ("email", "ann@example.com"),
        ("attributes.user", &user),
    ]);
    keeps_everything(NAME, &sent.to_string());
    sent["action"] = json!("model_updated");
    sent["user"] = json!({"pk": 7, "username": "ann", "on_behalf_of": {"pk": 9, "username": "bob"}}).to_string().into();
    one(NAME, &sent.to_string()).expect(&[
        ("impersonator.id", "7"),
        ("impersonator.name", "ann"),
        ("actor.id", "9"),
        ("actor.name", "bob"),
    ]);
    for (text, name, email) in [("ann", "ann", ""), ("ann@example.com", "", "ann@example.com")] {
        sent["user"] = text.into();
        one(NAME, &sent.to_string()).expect(&[("actor.name", name), ("actor.email", email), ("attributes.user", text)]);
    }
    // Nobody, and what cannot be read, is nobody's name.
    for text in ["AnonymousUser", "", "{'pk': 7}", r#"{"pk": 2, "username": "AnonymousUser"}"#, "[]"] {
        sent["user"] = text.into();
        one(NAME, &sent.to_string()).expect(&[("actor.id", ""), ("actor.name", ""), ("attributes.user", text)]);
    }
}

#[test]
fn who_impersonates_is_told_from_whom() {
    let mut sent = event(
        "model_updated",
        &json!({"model": {"pk": 12, "app": "authentik_core", "name": "bob", "model_name": "user"}}),
    );
    sent["user"]["on_behalf_of"] = json!({"pk": 9, "email": "bob@example.com", "username": "bob"});
    one(NAME, &sent.to_string()).expect(&[
        ("log", "audit"),
        ("impersonator.id", "7"),
        ("impersonator.name", "ann"),
        ("actor.id", "9"),
        ("actor.name", "bob"),
        ("actor.email", "bob@example.com"),
        ("target.id", "12"),
        ("target.type", "user"),
        ("target.name", "bob"),
    ]);
    keeps_everything(NAME, &sent.to_string());
}

#[test]
fn a_secret_that_was_shown_is_the_target() {
    let key =
        json!({"pk": "9a1c", "app": "authentik_crypto", "name": "Signing key", "model_name": "certificatekeypair"});
    for action in ["secret_view", "secret_rotate"] {
        one(NAME, &event(action, &json!({"secret": key, "type": "private_key"})).to_string()).expect(&[
            ("log", "audit"),
            ("target.id", "9a1c"),
            ("target.type", "certificatekeypair"),
            ("target.name", "Signing key"),
        ]);
    }
    // The secret itself, where a version should ever send it.
    let stored = one(NAME, &event("secret_view", &json!({"secret": "hunter2"})).to_string());
    stored.expect(&[("target.id", ""), ("target.name", "")]);
    assert!(!stored.envelope.to_string().contains("hunter2"), "{}", stored.envelope);
}

#[test]
fn what_somebody_signed_in_to_is_the_client() {
    let sent = event(
        "authorize_application",
        &json!({"authorized_application": {"pk": "a1", "name": "Shop"}, "scopes": "openid"}),
    );
    one(NAME, &sent.to_string()).expect(&[
        ("client.id", "a1"),
        ("client.name", "Shop"),
        ("attributes.context.scopes", "openid"),
    ]);
    keeps_everything(NAME, &sent.to_string());
}

#[test]
fn every_action_and_a_sites_own() {
    for known in catalog::entries().iter().filter(|e| e.system == NAME) {
        let stored = one(NAME, &event(&known.name, &json!({})).to_string());
        stored.expect(&[("action", &known.name), ("log", &known.log), ("level", &known.level)]);
        assert_ne!(stored.at("outcome"), "unknown", "{}", known.name);
    }
    one(NAME, &event("custom_backup", &json!({})).to_string()).expect(&[("log", "event"), ("outcome", "unknown")]);
    one(NAME, &event("system_exception", &json!({"message": "boom"})).to_string()).expect(&[
        ("outcome", "failure"),
        ("level", "warn"),
        ("message", "boom"),
    ]);
}

#[test]
fn older_versions_say_tenant() {
    let mut sent = event("logout", &json!({}));
    sent["tenant"] = sent["brand"].take();
    one(NAME, &sent.to_string()).expect(&[("attributes.tenant.pk", "b1")]);
}

#[test]
fn a_page_of_the_api_is_unwrapped() {
    let body = json!({"pagination": {"next": 0}, "results": [event("login", &json!({})), event("logout", &json!({}))]});
    let stored = take(NAME, &body.to_string());
    assert_eq!((stored.len(), stored[1].at("action")), (2, "logout"));
    assert_eq!(crate::detect(body.to_string().as_bytes()), [("authentik", 96)]);
}

#[test]
fn what_is_not_understood_is_kept() {
    assert_eq!(reason(NAME, r#"{"pk":"1"}"#), "missing_field");
    assert_eq!(reason(NAME, r#"{"action":"login","created":"noon"}"#), "invalid_time");
    assert_eq!(reason(NAME, r#"{"action":"login","user":{"pk":1,"pk":2}}"#), "duplicate_key");
    assert_eq!(reason(NAME, "[7]"), "wrong_type");
}

proptest! {
    #[test]
    fn never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in r#"\{"action":"(login|login_failed|model_updated)","(user|context|results|created|pk)":[\PC]{0,60}\}"#,
    ) {
        survives(NAME, &bytes);
        survives(NAME, text.as_bytes());
    }
}

#[test]
fn a_policy_that_was_not_passed_is_a_denial() {
    for (passing, outcome) in [(true, "success"), (false, "deny")] {
        let sent = json!({"pk": "p", "action": "policy_execution", "created": "2026-11-20T12:00:00Z", "context": {"result": {"passing": passing}}});
        one(NAME, &sent.to_string()).expect(&[("outcome", outcome)]);
    }
}

/// Looking each member up from the beginning took seconds. Nothing here measures that: who brings it back waits.
#[test]
fn a_change_of_very_many_members_is_read() {
    let diff: serde_json::Map<String, Value> =
        (0..10_000).map(|n| (format!("k{n}"), json!({"new_value": 1}))).collect();
    let sent = event("model_updated", &json!({"diff": diff}));
    assert_eq!(one(NAME, &sent.to_string()).value("new")["k9999"], 1);
}

#[test]
fn a_line_of_the_servers_log_has_its_time_and_is_one_record() {
    let sent = json!({"action": "login", "client_ip": "192.0.2.17", "event": "Created Event", "logger": "authentik.events.models",
        "request_id": "r1", "timestamp": "2026-11-20T12:00:00.123456Z", "user": {"pk": 6, "username": "ann", "email": "ann@example.com"}});
    let stored = one(NAME, &sent.to_string());
    stored.expect(&[("time", "2026-11-20T12:00:00.123456Z"), ("request_id", "r1"), ("actor.id", "6")]);
    assert_eq!((stored.at("id").len(), stored.at("id")), (64, one(NAME, &sent.to_string()).at("id")));
}

#[test]
fn whom_somebody_began_to_act_as_is_the_target() {
    let sent = event("impersonation_started", &json!({"user": {"pk": 9, "username": "bob"}}));
    one(NAME, &sent.to_string()).expect(&[("target.id", "9"), ("target.name", "bob"), ("target.type", "user")]);
}
