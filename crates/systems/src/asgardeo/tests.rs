//! Every quirk of Asgardeo.

use crate::testing::{comes_back, one, reason, survives, take, take_with};
use crate::{System, catalog};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAME: &str = super::NAME;
const USER: &str = "3c0dd3b7-f7f6-4e47-b6fc-3ea3cdbc6a4e";
const ROLE: &str = "b2c3d4e5-f6a7-8901-bcde-f12345678901";

fn v2(action: &str, more: &Value) -> String {
    let mut record = json!({"id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890", "recordedAt": "2025-08-20T06:40:00.000000Z", "requestId": "r-1",
        "initiatorId": USER, "initiatorType": "User", "targetId": ROLE, "targetType": "Role", "action": action});
    for (name, value) in more.as_object().unwrap() {
        record[name] = value.clone();
    }
    record.to_string()
}

fn legacy(action: &str, more: &Value) -> String {
    let mut record = json!({"initiatorId": USER, "action": action, "target": ROLE, "data": {}, "result": "Success"});
    for (name, value) in more.as_object().unwrap() {
        record[name] = value.clone();
    }
    record.to_string()
}

fn webhook(part: &str, name: &str, event: &Value) -> String {
    let uri = format!("https://schemas.identity.wso2.org/events/{part}/event-type/{name}");
    json!({"iss": "https://api.asgardeo.io/t/myorg", "jti": "051f0c37-b689-44d4-b7d2-29b980ece273", "iat": 1_751_705_149_662_i64,
        "rci": "r-2", "events": {uri: event}})
    .to_string()
}

#[test]
fn every_action_in_every_shape() {
    let mut count = 0;
    for entry in catalog::entries().iter().filter(|e| e.system == NAME && e.source == "source document") {
        count += 1;
        let known = [("log", entry.log.as_str()), ("level", "info"), ("action", &entry.name), ("outcome", "success")];
        for sent in [v2(&entry.name, &json!({})), legacy(&entry.name, &json!({}))] {
            one(NAME, &sent).expect(&known).expect(&[("actor.id", USER), ("target.id", ROLE)]);
            comes_back(NAME, &sent);
        }
        let sent = json!({"logId": "l", "recordedAt": {"seconds": 1_755_421_321, "nanos": 635_198_000}, "requestId": "r",
            "resultStatus": "SUCCESS", "resultMessage": "done", "actionId": entry.name, "componentId": "c", "input": {"client id": "web"}});
        one(NAME, &sent.to_string()).expect(&known).expect(&[("client.id", "web")]);
        comes_back(NAME, &sent.to_string());
    }
    assert_eq!(count, 57);
}

#[test]
fn a_v2_record() {
    let sent = v2(
        "add-role",
        &json!({"data": {"RoleName": "Impersonator", "Audience": "application"}, "impersonatorId": "boss"}),
    );
    let stored = one(NAME, &sent);
    stored.expect(&[
        ("id", "a1b2c3d4-e5f6-7890-abcd-ef1234567890"),
        ("time", "2025-08-20T06:40:00.000000Z"),
        ("request_id", "r-1"),
        ("actor.id", USER),
        ("actor.type", "User"),
        ("target.id", ROLE),
        ("target.type", "Role"),
        ("target.name", "Impersonator"),
        ("impersonator.id", "boss"),
        ("attributes.data.RoleName", "Impersonator"),
    ]);
    assert_eq!(stored.value("attributes._indelible.inferred"), &json!(["outcome"]));
    comes_back(NAME, &sent);
}

#[test]
fn the_action_may_stand_under_action_id() {
    let mut sent: Value = serde_json::from_str(&v2("add-user", &json!({}))).unwrap();
    let name = sent.as_object_mut().unwrap().remove("action").unwrap();
    sent["actionId"] = name;
    one(NAME, &sent.to_string()).expect(&[("action", "add-user"), ("attributes.actionId", "")]);
    comes_back(NAME, &sent.to_string());
}

#[test]
fn early_records_shout() {
    let sent = r#"{"id":"480f5d52-509e-46d3-ba67-4a402b6c1f41","recordedAt":"2023-07-13T09:45:31.556519Z","requestId":"r","initiatorId":"708a5bf2-7252-4120-ad3f-6e8cdb40a0b5","initiatorType":"USER","targetId":"kqAE7cOqJCg8V50lY3YgOJ1ce1Ma","targetType":"APPLICATION","action":"DELETE OAUTH APPLICATION"}"#;
    one(NAME, sent).expect(&[
        ("action", "DELETE OAUTH APPLICATION"),
        ("actor.type", "User"),
        ("target.type", "Application"),
        ("attributes.initiatorType", "USER"),
        ("log", "audit"),
    ]);
    comes_back(NAME, sent);
}

#[test]
fn initiators_that_are_no_ids() {
    for (initiator, id, name) in [
        ("System", "System", ""),
        ("a***************************a", "", "a***************************a"),
        ("3c0dd3b7-f7f6-4e47-b6fc-3ea3cdbc6a4e@myorg", USER, ""),
        ("SAMPLE_SYSTEM_APP_GRANT_CLIENT", "SAMPLE_SYSTEM_APP_GRANT_CLIENT", ""),
        ("user@wso2.com@foo.com", "user@wso2.com@foo.com", ""),
    ] {
        for sent in
            [v2("add-user", &json!({"initiatorId": initiator})), legacy("Add-IDP", &json!({"initiatorId": initiator}))]
        {
            one(NAME, &sent).expect(&[("actor.id", id), ("actor.name", name)]);
            comes_back(NAME, &sent);
        }
    }
}

#[test]
fn targets_that_are_no_ids() {
    let action = v2(
        "activate-action",
        &json!({"targetId": "System", "targetType": "Action", "data": {"ActionId": "a-1", "ActionName": "Check"}}),
    );
    one(NAME, &action).expect(&[("target.id", "a-1"), ("target.name", "Check"), ("attributes.targetId", "System")]);
    comes_back(NAME, &action);
    let flow = v2("update-flow-REGISTRATION", &json!({"targetId": "REGISTRATION", "targetType": "Flow"}));
    one(NAME, &flow).expect(&[("target.id", "REGISTRATION"), ("target.type", "Flow")]);
    let masked =
        v2("create-federated-user-association", &json!({"targetId": "A*********************2", "targetType": "User"}));
    one(NAME, &masked).expect(&[("target.id", ""), ("target.name", "A*********************2")]);
    comes_back(NAME, &masked);
    let missing = legacy("TerminateSession", &json!({"target": null}));
    one(NAME, &missing).expect(&[("target.id", "")]);
    comes_back(NAME, &missing);
}

#[test]
fn how_a_legacy_record_ended_may_be_its_outcome() {
    for (word, outcome) in [("Failed", "failure"), ("Success", "success"), ("unauthorized", "deny"), ("x", "unknown")] {
        let sent = legacy("Add-IDP", &json!({"outcome": word})).replace(r#","result":"Success""#, "");
        one(NAME, &sent).expect(&[("outcome", outcome), ("attributes.outcome", word)]);
        comes_back(NAME, &sent);
    }
    one(NAME, &legacy("Add-IDP", &json!({"outcome": "Failed"}))).expect(&[("outcome", "success")]);
}

#[test]
fn a_legacy_record_has_neither_time_nor_id() {
    let stored = one(NAME, &legacy("Add-IDP", &json!({"data": {"Changed-State": {"Name": "Google"}}})));
    stored.expect(&[("id", "made"), ("attributes._indelible.time", "arrival"), ("attributes._indelible.id", "made")]);
    assert_eq!(stored.value("new"), &json!({"Name": "Google"}));
    let twice = format!("{}\n{}", legacy("Account Disable", &json!({})), legacy("Account Disable", &json!({})));
    assert_eq!(take(NAME, &twice).len(), 2, "two equal ones may be two acts");
}

#[test]
fn data_may_be_missing_or_empty_or_hold_nothing() {
    for data in [
        json!(null),
        json!({}),
        json!({"Changed-State": null}),
        json!("{ text }"),
        json!([1]),
        json!({"sharedTenantDomains": "[e5f6]"}),
    ] {
        for sent in [v2("delete-role", &json!({"data": data})), legacy("Delete-IDP", &json!({"data": data}))] {
            comes_back(NAME, &sent);
        }
    }
    comes_back(NAME, r#"{"initiatorId":"x","action":"Delete-IDP"}"#);
    // A number with a fraction of nothing is stored as the whole number that it is.
    let numbers = v2(
        "create-application",
        &json!({"data": {"id": 1_000_001.0, "http://wso2.org/claims/x.y": "z", "renew": "true", "a b": 1}}),
    );
    assert!(numbers.contains("1000001.0"));
    let numbers = one(NAME, &numbers).value("attributes.data").clone();
    assert_eq!(numbers, json!({"id": 1_000_001, "http://wso2.org/claims/x.y": "z", "renew": "true", "a b": 1}));
}

/// A forwarder that has no objects makes pairs of them.
#[test]
fn data_that_became_a_list_of_pairs_is_read() {
    let data = json!([{"key": "RoleName", "value": "Impersonator"}, {"key": "RemoteAddress", "value": "192.0.2.9"}, {"key": "Audience", "value": "application"}]);
    for sent in [v2("add-role", &json!({"data": data})), legacy("add-role", &json!({"data": data}))] {
        let stored = one(NAME, &sent);
        stored.expect(&[("target.name", "Impersonator"), ("ip", "192.0.2.9"), ("target.id", ROLE)]);
        assert_eq!(stored.value("attributes.data"), &data, "it stays as it came");
        comes_back(NAME, &sent);
    }
    let sent = legacy("update-user", &json!({"data": [{"name": "Changed-State", "value": {"locked": true}}]}));
    assert_eq!(one(NAME, &sent).value("new"), &json!({"locked": true}));
    comes_back(NAME, &sent);
    for other in
        [json!([]), json!(["x"]), json!([{"key": "RoleName", "value": "a"}, {"key": "RoleName", "value": "b"}])]
    {
        let sent = v2("add-role", &json!({"data": other}));
        let stored = one(NAME, &sent);
        stored.expect(&[("action", "add-role"), ("target.name", "")]);
        assert_eq!(stored.value("attributes.data"), &other);
        comes_back(NAME, &sent);
    }
}

#[test]
fn keys_with_spaces_and_addresses() {
    let numbers =
        v2("create-application", &json!({"data": {"http://wso2.org/claims/x.y": "z", "renew": "true", "a b": 1}}));
    comes_back(NAME, &numbers);
}

#[test]
fn accounts_are_disabled_and_enabled() {
    for (action, flag) in [("Account Disable", true), ("Account Enable", false)] {
        let sent = legacy(
            action,
            &json!({"target": "a***sample***a", "data": {"ServiceProviderName": "Console", "modifiedStatus": flag}}),
        );
        let stored = one(NAME, &sent);
        stored.expect(&[("action", action), ("target.name", "a***sample***a"), ("client.name", "Console")]);
        assert_eq!(
            stored.value("attributes.data.modifiedStatus"),
            &json!(flag),
            "the flag means disabled, and stays as it is"
        );
        comes_back(NAME, &sent);
    }
}

#[test]
fn a_session_that_was_ended_names_whose_it_was() {
    let data = json!({"traceId": "t-1", "sessionContextId": "s-1", "AuthenticatedUser": "b***b", "TerminatedTimestamp": 1_755_000_000_000_i64});
    let sent = legacy("TerminateSession", &json!({"data": data}));
    one(NAME, &sent).expect(&[
        ("session_id", "s-1"),
        ("request_id", "t-1"),
        ("subject.name", "b***b"),
        ("subject.type", "User"),
    ]);
    comes_back(NAME, &sent);
}

#[test]
fn results_in_other_words_stay() {
    for (result, outcome, level) in [
        ("Success", "success", "info"),
        ("Failed", "failure", "warn"),
        ("AUTHORIZED", "success", "info"),
        ("Success ", "success", "info"),
        ("Failed ", "failure", "warn"),
        ("Perhaps", "unknown", "info"),
    ] {
        let sent = legacy("Add-IDP", &json!({"result": result}));
        one(NAME, &sent).expect(&[("outcome", outcome), ("level", level)]);
        comes_back(NAME, &sent);
    }
    comes_back(NAME, &legacy("Add-IDP", &json!({"result": null})));
}

#[test]
fn a_diagnostic_record() {
    let sent = include_str!("../../samples/asgardeo/diagnostic.json");
    one(NAME, sent).expect(&[
        ("id", "e5f6a7b8-c9d0-1234-efab-234567890123"),
        ("time", "2026-11-20T12:00:00.635198Z"),
        ("outcome", "failure"),
        ("level", "warn"),
        ("message", "The client is unknown."),
        ("actor.id", "a1b2c3d4-e5f6-7890-abcd-ef1234567890"),
        ("client.id", "web"),
        ("attributes.componentId", "oauth-inbound-service"),
    ]);
    comes_back(NAME, sent);
    for time in [json!({"seconds": "x"}), json!({"seconds": i64::MAX}), json!("noon")] {
        let mut broken: Value = serde_json::from_str(sent).unwrap();
        broken["recordedAt"] = time;
        assert_eq!(reason(NAME, &broken.to_string()), "invalid_time");
    }
}

/// The log search has another name for a diagnostic record's id, and may have `null` for what there is not.
#[test]
fn entries_of_the_log_search_in_its_own_words() {
    let found = json!({"id": "d1", "recordedAt": "2026-11-20T12:00:00.000000Z", "requestId": "r", "actionId": "issue-access-token",
        "componentId": "oauth", "resultStatus": "SUCCESS", "resultMessage": "ok", "input": {}});
    one(NAME, &found.to_string()).expect(&[("id", "d1"), ("action", "issue-access-token"), ("message", "ok")]);
    comes_back(NAME, &found.to_string());
    let mut all: Value = serde_json::from_str(&v2("add-user", &json!({}))).unwrap();
    for name in ["actionId", "resultStatus", "logId", "componentId"] {
        all[name] = Value::Null;
    }
    one(NAME, &all.to_string()).expect(&[("action", "add-user"), ("outcome", "success"), ("log", "audit")]);
    comes_back(NAME, &all.to_string());
    all["actionId"] = json!("add-user");
    all["action"] = Value::Null;
    one(NAME, &all.to_string()).expect(&[("action", "add-user")]);
    all["actionId"] = Value::Null;
    assert_eq!(reason(NAME, &all.to_string()), "missing_field");
}

/// Whichever library wrote it, and in any of the shapes.
#[test]
fn a_time_may_be_javas_instant_taken_apart() {
    for (time, micros) in [
        (json!({"seconds": 1_755_421_321, "nanos": 635_198_000}), "635198"),
        (json!({"seconds": "1755421321", "nanos": "635198000"}), "635198"),
        (json!({"epochSecond": 1_755_421_321, "nano": 635_198_999}), "635198"),
        (json!({"seconds": 1_755_421_321, "nanos": null}), "000000"),
        (json!(1_755_421_321.635_198), "635198"),
        (json!(1_755_421_321), "000000"),
        (json!(1_755_421_321_635_i64), "635000"),
    ] {
        let at = format!("2025-08-17T09:02:01.{micros}Z");
        for sent in [v2("add-user", &json!({})), legacy("Add-IDP", &json!({}))] {
            let mut sent: Value = serde_json::from_str(&sent).unwrap();
            sent["recordedAt"] = time.clone();
            one(NAME, &sent.to_string()).expect(&[("time", &at)]);
            comes_back(NAME, &sent.to_string());
        }
    }
    let printed = v2("add-user", &json!({}))
        .replace("\"2025-08-20T06:40:00.000000Z\"", r#"{"seconds":1.755421321E9,"nanos":6.35198E8}"#);
    one(NAME, &printed).expect(&[("time", "2025-08-17T09:02:01.635198Z")]);
    for time in [json!({}), json!({"seconds": null}), json!([2025, 8, 17]), json!({"seconds": {}}), json!(1e300)] {
        assert_eq!(reason(NAME, &v2("add-user", &json!({"recordedAt": time}))), "invalid_time");
    }
}

#[test]
fn answers_of_the_log_search_are_unwrapped() {
    let body =
        format!(r#"{{"logs":[{},{}],"nextToken":"n"}}"#, v2("add-user", &json!({})), legacy("Add-IDP", &json!({})));
    assert_eq!(take(NAME, &body).len(), 2);
    assert_eq!(crate::detect(body.as_bytes())[0], (NAME, 98));
}

#[test]
fn both_shapes_of_one_action_become_one_record_with_both_originals() {
    let new = v2("add-user", &json!({}));
    let old = legacy("Add User", &json!({"target": "ann"}));
    for body in [format!("[{new},{old}]"), format!("[{old},{new}]"), format!("{old}\n{new}\n")] {
        let stored = take(NAME, &body);
        assert_eq!(stored.len(), 1, "{body}");
        stored[0].expect(&[
            ("id", "a1b2c3d4-e5f6-7890-abcd-ef1234567890"),
            ("action", "add-user"),
            ("attributes.legacy.target", "ann"),
            ("attributes._indelible.shape", "v2 and legacy"),
        ]);
        let back = crate::System::to_native(&super::Asgardeo, &stored[0].envelope).unwrap();
        assert_eq!(back, serde_json::from_str::<Value>(&new).unwrap());
        assert_eq!(stored[0].value("attributes.legacy"), &serde_json::from_str::<Value>(&old).unwrap());
    }
}

#[test]
fn what_is_not_certainly_one_action_stays_two_records() {
    let new = v2("add-user", &json!({}));
    for (old, why) in [
        (legacy("Add User", &json!({"initiatorId": "somebody else"})), "another initiator"),
        (legacy("Delete-User", &json!({})), "another action"),
        (legacy("Add User", &json!({"result": "Failed"})), "it failed, so nothing was written in v2"),
        (v2("add-user", &json!({"id": "other"})), "the same shape"),
    ] {
        assert_eq!(take(NAME, &format!("[{new},{old}]")).len(), 2, "{why}");
    }
    let between = v2("add-role", &json!({"id": "other"}));
    let old = legacy("Add User", &json!({}));
    assert_eq!(
        take(NAME, &format!("[{new},{between},{old}]")).len(),
        3,
        "without a request they have to stand side by side"
    );
    let two = format!("[{new},{old},{old}]");
    assert_eq!(take(NAME, &two).len(), 2, "each has one twin");
    let next = v2("add-user", &json!({"id": "next"}));
    for (body, count) in [
        (format!("[{old},{next},{old}]"), 3),
        (format!("[{new},{next},{old},{old}]"), 4),
        (format!("[{new},{old},{next},{old}]"), 2),
    ] {
        assert_eq!(take(NAME, &body).len(), count, "one between two that it may belong to: {body}");
    }
}

#[test]
fn each_of_a_run_of_one_action_has_its_own_twin_whichever_shape_is_first() {
    let new = |n: usize| v2("add-user", &json!({"id": format!("v2-{n}")}));
    let old = |n: usize| legacy("Add User", &json!({"target": format!("user-{n}")}));
    for legacy_first in [true, false] {
        let both = |n: usize| if legacy_first { [old(n), new(n)] } else { [new(n), old(n)] };
        let body: Vec<String> = (0..5).flat_map(both).collect();
        let stored = take(NAME, &body.join("\n"));
        assert_eq!(stored.len(), 5, "legacy first: {legacy_first}");
        for (n, stored) in stored.iter().enumerate() {
            stored.expect(&[("id", &format!("v2-{n}")), ("attributes.legacy.target", &format!("user-{n}"))]);
        }
        // One left over may be the first or the last, and nothing tells which.
        assert_eq!(take(NAME, &body[1..].join("\n")).len(), 9, "legacy first: {legacy_first}");
        assert_eq!(take(NAME, &body[..7].join("\n")).len(), 7, "legacy first: {legacy_first}");
        // One that failed has no twin, and stands in nobody's way.
        let failed = legacy("Add User", &json!({"result": "Failed"}));
        let mended = [&body[..2], &[failed], &body[2..]].concat();
        assert_eq!(take(NAME, &mended.join("\n")).len(), 6, "legacy first: {legacy_first}");
        // Beside another action it is a run of its own.
        let other = v2("add-role", &json!({"id": "role"}));
        let body = [&body[..4], &[other], &body[4..]].concat();
        assert_eq!(take(NAME, &body.join("\n")).len(), 6, "legacy first: {legacy_first}");
    }
}

#[test]
fn what_is_left_of_a_pair_is_a_legacy_record_of_its_own() {
    let (new, old) = (v2("add-user", &json!({})), legacy("Add User", &json!({})));
    let pair = take(NAME, &format!("[{new},{old}]")).remove(0);
    let left = super::Asgardeo.twin(&pair.native).unwrap();
    let [twin] = take(NAME, &left).try_into().unwrap();
    twin.expect(&[
        ("action", "Add User"),
        ("attributes._indelible.twin", pair.at("id")),
        ("attributes._indelible.shape", "legacy"),
        ("attributes._indelible.id", ""),
    ]);
    assert_eq!(twin.at("id"), take(NAME, &left)[0].at("id"), "once, however often it comes");
    let native = super::Asgardeo.to_native(&twin.envelope).unwrap();
    let alone = super::Asgardeo.to_native(&take(NAME, &old.to_string())[0].envelope).unwrap();
    assert_eq!(native, alone, "nothing of it is lost, and nothing is added");
}

#[test]
fn webhooks_have_milliseconds() {
    let event = json!({"initiatorType": "USER", "initiatorIpAddress": "203.0.113.10", "user": {"id": "d4", "claims": [
        {"uri": "http://wso2.org/claims/username", "value": "peter"}, {"uri": "http://wso2.org/claims/emailaddress", "value": "p@example.com"}]},
        "application": {"id": "app", "name": "MyApp"}, "authenticationMethods": ["BasicAuthenticator"]});
    let sent = webhook("login", "loginSuccess", &event);
    one(NAME, &sent).expect(&[
        ("id", "051f0c37-b689-44d4-b7d2-29b980ece273"),
        ("time", "2025-07-05T08:45:49.662000Z"),
        ("action", "loginSuccess"),
        ("outcome", "success"),
        ("request_id", "r-2"),
        ("actor.id", "d4"),
        ("actor.type", "User"),
        ("ip", "203.0.113.10"),
        ("username", "peter"),
        ("email", "p@example.com"),
        ("client.id", "app"),
        ("client.name", "MyApp"),
        ("attributes.iss", "https://api.asgardeo.io/t/myorg"),
    ]);
    comes_back(NAME, &sent);
    let seconds = sent.replace("1751705149662", "1751705149");
    one(NAME, &seconds).expect(&[("time", "2025-07-05T08:45:49.000000Z")]);
    comes_back(NAME, &seconds);
    comes_back(NAME, &sent.replace("1751705149662", "\"1751705149662\""));
}

#[test]
fn webhooks_of_every_kind() {
    let mut count = 0;
    for entry in catalog::entries().iter().filter(|e| e.system == NAME && e.source == "code") {
        count += 1;
        let sent = webhook("x", &entry.name, &json!({"user": {"id": "u"}}));
        one(NAME, &sent).expect(&[("action", &entry.name), ("log", &entry.log), ("level", &entry.level)]);
        comes_back(NAME, &sent);
    }
    assert_eq!(count, 17);
    let done = webhook("user", "userAccountLocked", &json!({"initiatorType": "ADMIN", "user": {"id": "u"}}));
    one(NAME, &done).expect(&[("actor.id", ""), ("actor.type", "ADMIN"), ("target.id", "u"), ("target.type", "User")]);
    let one_session = webhook("session", "sessionRevoked", &json!({"user": {"id": "u"}, "sessions": [{"id": "s"}]}));
    one(NAME, &one_session).expect(&[("session_id", "s")]);
    let several =
        webhook("session", "sessionRevoked", &json!({"user": {"id": "u"}, "sessions": [{"id": "s"}, {"id": "t"}]}));
    let several = one(NAME, &several);
    several.expect(&[("session_id", ""), ("session.status", "revoked")]);
    assert_eq!(several.value("attributes._indelible.sessions"), &json!(["s", "t"]), "each of them ended");
    let named = |event: Value| one(NAME, &webhook("session", "sessionRevoked", &event));
    for event in [
        json!({"sessionId": "s"}),
        json!({"session": {"id": "s"}, "sessions": [{"id": "s"}]}),
        json!({"sessionIds": ["s"]}),
    ] {
        named(event).expect(&[
            ("session_id", "s"),
            ("session.status", "revoked"),
            ("attributes._indelible.sessions", ""),
        ]);
    }
    let mixed = named(json!({"sessionId": "s", "sessions": [{"id": "t"}, {"id": 7}, {}, {"id": "t"}, "u"]}));
    assert_eq!(mixed.value("attributes._indelible.sessions"), &json!(["s", "t", "u"]));
    named(json!({"user": {"id": "u"}, "sessions": []})).expect(&[("session_id", ""), ("session.status", "")]);
    let begun = webhook("session", "sessionEstablished", &json!({"sessions": [{"id": "s"}, {"id": "t"}]}));
    one(NAME, &begun).expect(&[("session.status", "")]);
    comes_back(NAME, &webhook("session", "sessionRevoked", &json!({"sessions": [{"id": "s"}, {"id": "t"}]})));
    one(NAME, &webhook("login", "loginFailed", &json!({"reason": {"description": "wrong"}}))).expect(&[
        ("outcome", "failure"),
        ("level", "warn"),
        ("message", "wrong"),
    ]);
    let other = r#"{"iss":"x","jti":"y","iat":1,"events":{"https://schemas.openid.net/secevent/caep/event-type/session-revoked":{}}}"#;
    assert_eq!(reason(NAME, other), "not_an_event");
    assert_eq!(crate::detect(sent_by(NAME).as_bytes())[0].0, NAME);
}

fn sent_by(_: &str) -> String {
    webhook("login", "loginSuccess", &json!({}))
}

#[test]
fn what_is_not_understood_is_kept() {
    assert_eq!(reason(NAME, r#"{"initiatorId":"x"}"#), "missing_field");
    assert_eq!(reason(NAME, r#"{"initiatorType":"User","id":"x"}"#), "missing_field");
    assert_eq!(reason(NAME, r#"{"logId":"x"}"#), "missing_field");
    assert_eq!(reason(NAME, &v2("add-user", &json!({"recordedAt": "noon"}))), "invalid_time");
    assert_eq!(reason(NAME, "7"), "wrong_type");
}

#[test]
fn memory_is_the_same_whatever_came_before() {
    let memory = crate::Memory::default();
    let sent = v2("add-user", &json!({}));
    let first = take_with(&memory, NAME, sent.as_bytes());
    let again = take_with(&memory, NAME, sent.as_bytes());
    assert_eq!(first[0].text, again[0].text, "so that a record sent again is a repetition");
}

proptest! {
    #[test]
    fn never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in r#"\{"(action|actionId)":"[a-z-]{0,9}","(initiatorType|recordedAt|logId|data|events|legacy|result)":[\PC]{0,50}\}"#,
        pair in r#"\[\{"initiatorType":"User","action":"a"(,"requestId":"r")?\},\{"action":"A"[\PC]{0,30}\}\]"#,
    ) {
        survives(NAME, &bytes);
        survives(NAME, text.as_bytes());
        survives(NAME, pair.as_bytes());
    }

    #[test]
    fn whatever_a_record_says_comes_back(
        action in "(add-user|Add User|issue-access-token|[a-z-]{1,9})",
        members in proptest::collection::btree_map(
            "(initiatorId|targetId|target|targetType|impersonatorId|result|requestId|flowId|new)",
            proptest::option::of("(System|a\\*\\*\\*b|Success|[a-z\"é@ ]{0,8})"), 0..7),
        data in proptest::collection::btree_map("(ActionId|RoleName|AuthenticatedUser|Changed-State|User Agent|a\\.b)", "[a-z ]{0,6}", 0..4),
    ) {
        for base in [v2(&action, &json!({})), legacy(&action, &json!({}))] {
            let mut sent: Value = serde_json::from_str(&base).unwrap();
            for (name, value) in &members {
                sent[name] = json!(value);
            }
            sent["data"] = json!(data);
            comes_back(NAME, &sent.to_string());
        }
    }
}
