//! Every quirk of the guide's logs.

mod tables;

use super::diff::with_both_underscores;
use crate::testing::{keeps_everything, one, reason, survives, take};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAME: &str = super::NAME;

fn audit() -> Value {
    json!({
        "action": "update IdentityProvider", "target": "Google IdP", "actor": "admin@example.com", "subject": "Employees",
        "clientActor": "auth ui", "comments": "ticket 7", "timestamp": "2026-11-20T12:00:00.123Z",
        "oldEntity": {"enabled": true, "name": "Google"}, "newEntity": {"enabled": false, "name": "Google"}, "details": {"ticket": 7},
    })
}

#[test]
fn an_audit_log() {
    let stored = one(NAME, &audit().to_string());
    stored.expect(&[
        ("log", "audit"),
        ("time", "2026-11-20T12:00:00.123000Z"),
        ("action", "update IdentityProvider"),
        ("outcome", "success"),
        ("actor.email", "admin@example.com"),
        ("target.name", "Google IdP"),
        ("target.type", "IdentityProvider"),
        ("subject.name", "Employees"),
        ("client_actor.name", "auth ui"),
        ("comments", "ticket 7"),
    ]);
    assert_eq!(stored.value("diff"), &json!({"enabled": {"__old": true, "__new": false}}));
    assert_eq!(stored.value("attributes._indelible.inferred"), &json!(["target.type"]));
    keeps_everything(NAME, &audit().to_string());
}

#[test]
fn labels_are_labels_however_they_are_spelled() {
    let squeezed = |s: &str| s.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    for spelling in [
        |label: &str| label.to_owned(),
        |label: &str| label.to_uppercase(),
        |label: &str| label.to_lowercase().replace(' ', "_"),
        |label: &str| label.replace(' ', "-"),
    ] {
        let labels = ["Event Type", "Client Name", "Provider Name", "Created On", "Email", "IP Address", "User Agent"];
        let mut sent: Value = labels.iter().map(|label| (spelling(label), json!(squeezed(label)))).collect();
        sent[spelling("Created On")] = json!("2026-11-20T12:00:00Z");
        one(NAME, &sent.to_string()).expect(&[
            ("log", "event"),
            ("action", "EventType"),
            ("client.name", "ClientName"),
            ("provider.name", "ProviderName"),
            ("email", "Email"),
            ("ip", "IPAddress"),
            ("user_agent", "UserAgent"),
        ]);
        assert_eq!(crate::detect(sent.to_string().as_bytes()), [("guide", 92)]);
    }
}

#[test]
fn diffs_are_read_with_one_underscore_and_with_two() {
    let printed = json!({"gone__deleted": 1, "name": {"_old": "a", "_new": {"_old": 1}}, "list": [["~", {"x": {"_old": 1, "_new": 2}}]], "entity": {"_old": 1}});
    let written = json!({"gone__deleted": 1, "name": {"__old": "a", "__new": {"_old": 1}}, "list": [["~", {"x": {"__old": 1, "__new": 2}}]], "entity": {"_old": 1}});
    for diff in [printed.clone(), written.clone(), json!(printed.to_string())] {
        let mut sent = audit();
        sent["diff"] = diff;
        assert_eq!(one(NAME, &sent.to_string()).value("diff"), &written);
    }
    for no_diff in ["", "{", "7", "none", "{}x"] {
        let mut sent = audit();
        sent["diff"] = json!(no_diff);
        one(NAME, &sent.to_string()).expect(&[("attributes.diff", no_diff)]);
    }
    assert_eq!(with_both_underscores(&"[".repeat(200)), None);
}

#[test]
fn people_are_texts_or_objects() {
    let mut sent = audit();
    sent["actor"] = json!({"id": 17, "email": "ann@example.com", "name": "Ann", "role": "admin"});
    sent["target"] = json!({"id": "g1", "name": "Google"});
    sent["clientActor"] = json!(5);
    let stored = one(NAME, &sent.to_string());
    stored.expect(&[
        ("actor.id", "17"),
        ("actor.email", "ann@example.com"),
        ("actor.name", "Ann"),
        ("attributes.actor.role", "admin"),
        ("target.id", "g1"),
        ("target.name", "Google"),
        ("client_actor.id", "5"),
    ]);
    keeps_everything(NAME, &sent.to_string());
    sent["actor"] = json!("root");
    one(NAME, &sent.to_string()).expect(&[("actor.name", "root"), ("actor.email", "")]);
}

#[test]
fn event_types_say_how_it_ended() {
    for (kind, outcome, level) in [
        ("login", "success", "info"),
        ("Login Failed", "failure", "warn"),
        ("failed", "failure", "warn"),
        ("account_lockout", "deny", "warn"),
        ("account unlocked", "success", "info"),
        ("mfa", "success", "info"),
    ] {
        let sent = json!({"eventType": kind, "createdOn": "2026-11-20T12:00:00Z", "email": "ann@example.com"});
        one(NAME, &sent.to_string()).expect(&[
            ("log", "event"),
            ("action", kind),
            ("outcome", outcome),
            ("level", level),
        ]);
    }
}

#[test]
fn a_job_log() {
    let mut sent = json!({
        "jobId": 812, "jobName": "audit log trim", "jobType": "Trim", "message": "disk full", "latestStatus": "Failed",
        "createdAt": "2026-11-20T11:00:00Z", "updatedAt": "2026-11-20T12:00:00.000Z", "stacktrace": "at trim()",
    });
    let failed = one(NAME, &sent.to_string());
    failed.expect(&[
        ("log", "job"),
        ("time", "2026-11-20T12:00:00.000000Z"),
        ("job.id", "812"),
        ("job.name", "audit log trim"),
        ("job.type", "Trim"),
        ("job.status", "failed"),
        ("attributes.latestStatus", "Failed"),
        ("message", "disk full"),
        ("outcome", "failure"),
        ("job.stacktrace", "at trim()"),
        ("attributes._indelible.created_at", "2026-11-20T11:00:00.000000Z"),
        ("attributes.createdAt", "2026-11-20T11:00:00Z"),
    ]);
    keeps_everything(NAME, &sent.to_string());
    sent["latestStatus"] = json!("running");
    let running = one(NAME, &sent.to_string());
    running.expect(&[("job.status", "running"), ("outcome", "unknown"), ("job.id", "812")]);
    assert_ne!(running.at("id"), failed.at("id"), "each status is a record");
    for (word, status) in [
        ("Completed", "success"),
        ("succeeded", "success"),
        ("DONE", "success"),
        ("Error", "failed"),
        ("Canceled", "cancelled"),
        ("queued", "pending"),
        ("Waiting", "pending"),
        ("In Progress", "running"),
        ("in_progress", "running"),
    ] {
        sent["latestStatus"] = json!(word);
        one(NAME, &sent.to_string()).expect(&[("job.status", status), ("attributes.latestStatus", word)]);
    }
    sent["latestStatus"] = json!("stuck");
    sent["updatedAt"] = json!(null);
    one(NAME, &sent.to_string()).expect(&[
        ("job.status", ""),
        ("attributes.latestStatus", "stuck"),
        ("time", "2026-11-20T11:00:00.000000Z"),
        ("attributes._indelible.created_at", ""),
    ]);
    sent["updatedAt"] = json!("2026-11-20T12:00:00.000Z");
    sent["createdAt"] = json!("yesterday");
    one(NAME, &sent.to_string())
        .expect(&[("attributes._indelible.created_at", ""), ("attributes.createdAt", "yesterday")]);
}

#[test]
fn a_notification_log() {
    let mut sent = json!({
        "subject": "TOTP reset", "recipient": "ann@example.com; bob@example.com", "cc": ["c@example.com"], "bcc": "",
        "timestamp": "2026-11-20T12:00:00.000Z", "status": "sent", "category": "mfa", "details": "Hello, your code is 123456.",
    });
    let stored = one(NAME, &sent.to_string());
    stored.expect(&[
        ("log", "notification"),
        ("notification.subject", "TOTP reset"),
        ("notification.status", "sent"),
        ("notification.category", "mfa"),
        ("notification.body", "Hello, your code is ***."),
        ("outcome", "success"),
    ]);
    assert!(
        stored.text.contains(r#""recipient":["ann@example.com","bob@example.com"],"cc":["c@example.com"]"#),
        "{}",
        stored.text
    );
    for (text, list) in [
        ("\"Doe, J\" <j@x>, k@x", json!(["\"Doe, J\" <j@x>", "k@x"])),
        (r#""a \"b\"; c" <j@x>;k@x"#, json!([r#""a \"b\"; c" <j@x>"#, "k@x"])),
        ("\"Doe, J <j@x>", json!(["\"Doe", "J <j@x>"])),
    ] {
        sent["recipient"] = json!(text);
        let stored = one(NAME, &sent.to_string());
        assert!(stored.text.contains(&format!("\"recipient\":{list},")), "{}", stored.text);
    }
    sent["recipient"] = json!([7]);
    sent["details"] = json!({"html": "x"});
    sent["status"] = json!("bounced");
    one(NAME, &sent.to_string()).expect(&[
        ("outcome", "failure"),
        ("notification.body", r#"{"html":"x"}"#),
        ("attributes.details", ""),
    ]);
    // Its status changes: another record of the same notification.
    sent["id"] = json!("n1");
    let bounced = one(NAME, &sent.to_string());
    sent["status"] = json!("sent");
    let resent = one(NAME, &sent.to_string());
    for stored in [&bounced, &resent] {
        stored.expect(&[("notification.id", "n1")]);
    }
    assert_ne!(bounced.at("id"), resent.at("id"));
    sent["id"] = json!(7);
    one(NAME, &sent.to_string()).expect(&[("notification.id", "7")]);
}

/// Not everybody who may read a record may read claims and scopes.
#[test]
fn claims_are_found_in_a_cell_as_well() {
    let cell = r#""{""claims"":{""nickname"":""annie""},""scopes"":[""openid""],""grantInfo"":""g""}""#;
    for (headings, row, of) in [
        (
            "Session ID,Protocol,Client ID,User ID,Created At,Status,Details",
            "s,OIDC,c,u,2026-11-20T12:00:00Z,active",
            "session",
        ),
        (
            "Grant ID,Email,Provider,Client,Session ID,Created At,Status,Details",
            "g,a@x.org,,c,s,2026-11-20T12:00:00Z,active",
            "grant",
        ),
    ] {
        let stored = one(NAME, &format!("{headings}\n{row},{cell}\n"));
        assert_eq!(stored.value(&format!("{of}.claims")), &json!({"nickname": "annie"}), "{}", stored.text);
        assert_eq!(stored.value(&format!("{of}.scopes")), &json!(["openid"]));
        assert_eq!(stored.value("attributes.Details"), &json!({"grantInfo": "g"}));
    }
    let grant = json!({"grantId": "g1", "status": "active", "details": {"claims": {"sub": "1"}, "text": "{ no JSON"}});
    let stored = one(NAME, &grant.to_string());
    assert_eq!(
        (stored.value("grant.claims"), stored.value("attributes.details.claims")),
        (&json!({"sub": "1"}), &Value::Null)
    );
    let broken = json!({"grantId": "g1", "status": "active", "details": "{ \"claims\": "});
    one(NAME, &broken.to_string()).expect(&[("attributes.details", "{ \"claims\": ")]);
}

#[test]
fn sessions_and_grants() {
    let session = json!({"sessionId": "s1", "protocol": "OIDC", "clientId": "web", "userId": 123, "createdAt": "2026-11-20T12:00:00.000Z",
        "status": "Active", "details": {"claims": {"sub": "123"}, "scopes": ["openid"], "grantInfo": "g"}});
    let stored = one(NAME, &session.to_string());
    stored.expect(&[
        ("log", "session"),
        ("session.id", "s1"),
        ("session.protocol", "OIDC"),
        ("session.user_id", "123"),
        ("session.status", "active"),
        ("client.id", "web"),
        ("attributes.details.grantInfo", "g"),
    ]);
    assert_eq!(stored.value("session.claims"), &json!({"sub": "123"}));
    assert_eq!(stored.value("session.scopes"), &json!(["openid"]));
    for label in ["Expires At", "expiresAt", "expires_at"] {
        let mut ending = session.clone();
        ending[label] = json!("2026-11-20T13:00:00.000Z");
        one(NAME, &ending.to_string()).expect(&[("session.expires_at", "2026-11-20T13:00:00.000000Z")]);
        let grant = json!({"grantId": "g1", "status": "active", label: "2026-11-20 13:00"});
        one(NAME, &grant.to_string()).expect(&[("grant.expires_at", "2026-11-20T13:00:00.000000Z")]);
        let odd = json!({"sessionId": "s1", "userId": "u", "status": "active", label: "never"});
        one(NAME, &odd.to_string()).expect(&[("session.expires_at", "")]);
    }
    let event = json!({"eventType": "login", "createdOn": "2026-11-20T12:00:00.000Z", "sessionId": "s1"});
    one(NAME, &event.to_string()).expect(&[("log", "event"), ("session_id", "s1")]);
    let grant = json!({"Grant ID": "g1", "Email": "ann@example.com", "Provider": "google", "Client": "Shop", "Session ID": "s1",
        "Created At": "2026-11-20T12:00:00.000Z", "Status": "revoked"});
    one(NAME, &grant.to_string()).expect(&[
        ("log", "grant"),
        ("grant.id", "g1"),
        ("grant.status", "revoked"),
        ("email", "ann@example.com"),
        ("provider.name", "google"),
        ("client.name", "Shop"),
        ("session_id", "s1"),
    ]);
    for sent in [session, grant] {
        keeps_everything(NAME, &sent.to_string());
    }
}

#[test]
fn ids_count_within_their_log() {
    let mut sent = audit();
    sent["id"] = json!(17);
    let numbered = one(NAME, &sent.to_string());
    assert_eq!((numbered.at("id").len(), numbered.value("attributes.id")), (64, &json!(17)));
    let event = json!({"id": 17, "eventType": "login", "createdOn": "2026-11-20T12:00:00Z", "email": "a@b"});
    assert_ne!(one(NAME, &event.to_string()).at("id"), numbered.at("id"));
    sent["id"] = json!("a-17");
    one(NAME, &sent.to_string()).expect(&[("id", "a-17")]);
}

#[test]
fn our_own_exports_come_back() {
    let sent = json!({"action": "delete User", "target": "bob", "actor": "ann", "timestamp": "2026-11-20T12:00:00.123456Z", "old_entity": {"a": 1},
        "new_entity": null, "diff": null, "client_actor": null, "outcome": "deny", "ip_address": "192.0.2.1", "request_id": "r1", "source": "keycloak"});
    let stored = one(NAME, &sent.to_string());
    stored.expect(&[
        ("outcome", "deny"),
        ("level", "warn"),
        ("ip", "192.0.2.1"),
        ("request_id", "r1"),
        ("attributes.source", "keycloak"),
    ]);
    assert_eq!(stored.value("old"), &json!({"a": 1}));
}

#[test]
fn what_is_not_understood_is_kept() {
    assert_eq!(reason(NAME, r#"{"action":"x"}"#), "unknown_log");
    assert_eq!(reason(NAME, r#"{"eventType":"x","createdOn":"noon","email":"a"}"#), "invalid_time");
    assert_eq!(reason(NAME, "7"), "wrong_type");
    assert_eq!(take(NAME, "Name,Value\na,b\n").len(), 2, "a table that is none of the logs is kept line by line");
    let mut sent = audit();
    sent["action"] = json!("");
    assert_eq!(reason(NAME, &sent.to_string()), "missing_field");
}

proptest! {
    #[test]
    fn never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        cells in "[\\PC\n\",]{0,80}",
        value in "[\\PC]{0,40}",
    ) {
        survives(NAME, &bytes);
        survives(NAME, format!("Grant ID,Email,Status,Created At\n{cells}").as_bytes());
        survives(NAME, format!("Action,Target,Actor,Timestamp,Diff\na b,t,a,2026-11-20T12:00:00Z,{cells}").as_bytes());
        for label in ["oldEntity", "diff", "actor", "timestamp"] {
            let text = format!(r#"{{"action":"a b","target":"t","comments":"c","actor":"x","timestamp":null,"{label}":{value}}}"#);
            survives(NAME, text.as_bytes());
        }
        with_both_underscores(&value);
    }

    #[test]
    fn nothing_of_a_table_is_lost(rows in "[z\",;\r\n ]{0,60}") {
        let body = format!("Grant ID,Email,Status,Created At\n{rows}");
        let all: String = take(NAME, &body).iter().map(|stored| stored.native.as_str()).collect();
        prop_assert_eq!(all.matches('z').count(), rows.matches('z').count(), "{}", all);
    }
}

#[test]
fn how_it_ended_is_what_the_record_says() {
    for (said, wanted) in [
        (json!("Failed"), "failure"),
        (json!("error"), "failure"),
        (json!(false), "failure"),
        (json!("Denied"), "deny"),
        (json!("blocked"), "deny"),
        (json!("OK"), "success"),
        (json!(true), "success"),
        (json!("odd"), "unknown"),
        (json!(""), "success"),
        (json!(null), "success"),
    ] {
        let sent = json!({"Event Type": "login", "Created On": "2026-11-20T12:00:00Z", "Email": "a@example.com", "Outcome": said});
        let stored = one(NAME, &sent.to_string());
        stored.expect(&[
            ("outcome", wanted),
            ("level", if matches!(wanted, "failure" | "deny") { "warn" } else { "info" }),
        ]);
        assert_eq!(stored.value("attributes._indelible.inferred").is_null(), wanted != "unknown", "{sent}");
    }
}

/// By whole words: `Invalidate` is not invalid.
#[test]
fn how_an_event_ended_is_told_by_the_words_of_its_type() {
    for (kind, outcome) in [
        ("Login Failed", "failure"),
        ("LOGIN_ERROR", "failure"),
        ("tokenInvalid", "failure"),
        ("Access denied", "failure"),
        ("Account Locked", "deny"),
        ("accountLockout", "deny"),
        ("Invalidate Session", "success"),
        ("error_cleared", "success"),
        ("Failed Attempts Reset", "success"),
        ("unlock", "success"),
        ("clock skew", "success"),
    ] {
        let sent = format!("Created At,Event Type,Email\n2026-11-20T12:00:00Z,{kind},a@example.com\n");
        let stored = one(NAME, &sent);
        stored.expect(&[("outcome", outcome), ("level", if outcome == "success" { "info" } else { "warn" })]);
        let marked = stored.value("attributes._indelible.inferred").to_string().contains("\"outcome\"");
        assert_eq!(marked, outcome != "success", "{}", stored.envelope);
    }
}
