//! Whom the faces say that an event is about, where an administrator did it to somebody else.

use super::{Definitions, shown_to};
use crate::faces::Schema;
use crate::testing::one;
use serde_json::{Value, json};

const ADMIN: &str = "admin-1";
const VICTIM: &str = "victim-1";

/// An event of a Keycloak administrator.
fn keycloak(operation: &str, resource: &str, path: &str) -> Value {
    one(
        "keycloak",
        &json!({
            "id": "e-1", "time": 1_763_640_000_000_i64, "realmId": "r", "authDetails": { "userId": ADMIN },
            "operationType": operation, "resourceType": resource, "resourcePath": path,
            "representation": r#"[{"id":"r-1","name":"buyer"}]"#,
        })
        .to_string(),
    )
    .envelope
}

/// An event of ZITADEL's, by the administrator.
fn zitadel(kind: &str, aggregate: (&str, &str), payload: &Value) -> Value {
    one(
        "zitadel",
        &json!({
            "editor": { "userId": ADMIN, "displayName": "Ann" }, "sequence": "7", "creationDate": "2026-11-20T12:00:00Z",
            "aggregate": { "id": aggregate.1, "type": { "type": aggregate.0 } }, "payload": payload, "type": { "type": kind },
        })
        .to_string(),
    )
    .envelope
}

fn asgardeo(action: &str) -> Value {
    one(
        "asgardeo",
        &json!({
            "id": "a-1", "recordedAt": "2026-11-20T12:00:00Z", "requestId": "r-1", "initiatorId": ADMIN, "initiatorType": "User",
            "targetId": VICTIM, "targetType": "User", "action": action,
        })
        .to_string(),
    )
    .envelope
}

fn contember(kind: &str) -> Value {
    one(
        "contember",
        &json!({
            "id": "c-1", "created_at": "2026-11-20T12:00:00Z", "type": kind, "success": true, "person_id": ADMIN,
            "target_person_id": VICTIM, "invoked_by_id": "identity-1",
        })
        .to_string(),
    )
    .envelope
}

fn okta(kind: &str) -> Value {
    one(
        "okta",
        &json!({
            "uuid": "o-1", "published": "2026-11-20T12:00:00Z", "eventType": kind, "actor": { "id": ADMIN, "type": "User" },
            "outcome": { "result": "SUCCESS" }, "target": [{ "id": VICTIM, "type": "User", "displayName": "Bob" }],
        })
        .to_string(),
    )
    .envelope
}

/// What is written where somebody asked for a session's end here.
fn revoke() -> Value {
    json!({
        "id": "i-1", "log": "audit", "source": "indelible", "time": "2026-11-20T12:00:00Z", "outcome": "success",
        "action": "indelible.revoke.requested", "actor": { "id": ADMIN }, "target": { "id": "s-1", "type": "session" },
        "subject": { "id": VICTIM, "type": "user" }, "attributes": { "kind": "session", "user_id": VICTIM },
    })
}

/// In both editions, which keep to what is published.
fn ocsf(envelope: &Value) -> [Value; 2] {
    let definitions = Definitions::new();
    [Schema::Newest, Schema::Older].map(|schema| {
        let event: Value = serde_json::from_str(&shown_to("ocsf", envelope, schema)).unwrap();
        definitions.check(&event).unwrap_or_else(|e| panic!("{e}\n{event:#}"));
        event
    })
}

fn shown(face: &str, envelope: &Value) -> Value {
    serde_json::from_str(&super::shown(face, envelope)).unwrap()
}

/// Fails where an event is not of this type, or names another user or actor.
#[track_caller]
fn about(envelope: &Value, types: [&str; 2], user: &str) {
    for (event, name) in ocsf(envelope).iter().zip(types) {
        assert_eq!(event["type_name"], name, "{event:#}");
        assert_eq!(event["user"]["uid"].as_str().unwrap_or_default(), user, "{event:#}");
        assert_eq!(event["actor"]["user"]["uid"], ADMIN, "{event:#}");
    }
}

#[test]
fn a_role_is_given_to_the_user_and_not_to_the_administrator() {
    for resource in ["REALM_ROLE_MAPPING", "CLIENT_ROLE_MAPPING"] {
        let path = format!("users/{VICTIM}/role-mappings/realm");
        let given = keycloak("CREATE", resource, &path);
        about(&given, ["User Management: Assign Roles", "User Access Management: Assign Privileges"], VICTIM);
        let [newest, older] = ocsf(&given);
        assert_eq!((&newest["iam_roles"], &older["privileges"]), (&json!([{ "name": "buyer" }]), &json!(["buyer"])));
        assert_eq!((&newest["user"]["type"], &newest["unmapped"]["target"]["id"]), (&json!("User"), &Value::Null));
        about(
            &keycloak("DELETE", resource, &path),
            ["User Management: Remove Roles", "User Access Management: Revoke Privileges"],
            VICTIM,
        );
    }
}

#[test]
fn a_groups_roles_are_the_groups() {
    for (operation, name) in [("CREATE", "Assign Privileges"), ("DELETE", "Revoke Privileges")] {
        let event = keycloak(operation, "REALM_ROLE_MAPPING", "groups/g1/role-mappings/realm");
        for event in ocsf(&event) {
            assert_eq!(event["type_name"], format!("Group Management: {name}"), "{event:#}");
            assert_eq!((&event["group"]["uid"], &event["privileges"]), (&json!("g1"), &json!(["buyer"])), "{event:#}");
            assert_eq!(event["actor"]["user"]["uid"], ADMIN, "{event:#}");
        }
    }
}

#[test]
fn a_group_and_its_member_are_not_swapped() {
    for (operation, name) in [("CREATE", "Add User"), ("DELETE", "Remove User")] {
        let envelope = keycloak(operation, "GROUP_MEMBERSHIP", "users/u3/groups/g1");
        let [newest, older] = ocsf(&envelope);
        assert_eq!((&newest["users"][0]["uid"], &older["user"]["uid"]), (&json!("u3"), &json!("u3")), "{newest:#}");
        for event in [newest, older] {
            assert_eq!(event["type_name"], format!("Group Management: {name}"));
            assert_eq!((&event["group"]["uid"], &event["actor"]["user"]["uid"]), (&json!("g1"), &json!(ADMIN)));
        }
        let ory = shown("ory-network", &envelope);
        assert_eq!((&ory["name"], &ory["eventAttributes"]["SCIMGroupID"]), (&json!("SCIMGroupUpdated"), &json!("g1")));
    }
}

#[test]
fn somebody_elses_session_is_not_the_administrators() {
    let logoff = ["Authentication: Logoff"; 2];
    let logout = keycloak("ACTION", "USER", &format!("users/{VICTIM}/logout"));
    for envelope in [
        &logout,
        &contember("forced_sign_out"),
        &asgardeo("terminate-session"),
        &zitadel("user.human.signed.out", ("user", VICTIM), &json!({})),
        &revoke(),
    ] {
        about(envelope, logoff, VICTIM);
    }
    // Whose it was is not said, so nobody is named.
    about(&keycloak("DELETE", "USER_SESSION", "sessions/s-1"), logoff, "");
    about(&zitadel("session.terminated", ("session", "s-1"), &json!({})), logoff, "");
    let ory = shown("ory-network", &logout);
    assert_eq!((&ory["name"], &ory["eventAttributes"]["IdentityID"]), (&json!("SessionRevoked"), &json!(VICTIM)));
    let ory = shown("ory-network", &keycloak("DELETE", "USER_SESSION", "sessions/s-1"));
    assert_eq!(
        (&ory["eventAttributes"]["IdentityID"], &ory["eventAttributes"]["ActorId"]),
        (&Value::Null, &json!(ADMIN))
    );
    // One's own, as before.
    let own = json!({"id": "e", "time": 1_763_640_000_000_i64, "type": "LOGOUT", "realmId": "r", "userId": ADMIN, "sessionId": "s"});
    about(&one("keycloak", &own.to_string()).envelope, logoff, ADMIN);
}

#[test]
fn who_signs_in_is_not_who_wrote_it_down() {
    for result in ["failed", "succeeded"] {
        let kind = format!("user.human.password.check.{result}");
        let envelope = zitadel(&kind, ("user", VICTIM), &json!({}));
        about(&envelope, ["Authentication: Logon"; 2], VICTIM);
        assert_eq!(shown("ory-network", &envelope)["eventAttributes"]["IdentityID"], VICTIM);
        assert_eq!(shown("contember", &envelope)["person_id"], VICTIM);
        let v2 = shown("asgardeo", &envelope);
        assert_eq!((&v2["initiatorId"], &v2["initiatorType"]), (&json!(VICTIM), &json!("User")));
        assert_eq!(v2["data"]["actor"]["id"], ADMIN);
    }
}

#[test]
fn a_grant_to_a_user_is_no_new_user() {
    let payload = json!({ "userId": VICTIM, "projectId": "p-1", "roleKeys": ["buyer"] });
    let types = ["User Management: Assign Roles", "User Access Management: Assign Privileges"];
    for aggregate in [("usergrant", "g-1"), ("user", VICTIM)] {
        let envelope = zitadel("user.grant.added", aggregate, &payload);
        about(&envelope, types, VICTIM);
        assert_eq!(ocsf(&envelope)[0]["iam_roles"], json!([{ "name": "buyer" }]));
        assert_eq!(shown("ory-network", &envelope)["name"], "user.grant.added");
    }
    // Its end does not say whose it was.
    let removed = zitadel("user.grant.removed", ("usergrant", "g-1"), &json!({}));
    about(&removed, ["User Management: Remove Roles", "Account Change: Other"], "");
}

#[test]
fn a_relation_of_keto_is_given_to_its_subject_whether_that_is_a_text_or_an_object() {
    let grant = |subject: Value| {
        one(
            "ory-nestjs",
            &json!({
                "timestamp": "2026-11-20T12:00:00.000Z", "event": "authz.permission.grant", "tenant": "demo", "actorId": ADMIN, "result": "success",
                "attributes": { "namespace": "reports", "relation": "view", "object": "q3", "subject": subject },
            })
            .to_string(),
        )
        .envelope
    };
    let types = ["User Management: Assign Privileges", "User Access Management: Assign Privileges"];
    for subject in [json!(VICTIM), json!({ "id": VICTIM }), json!({ "subject_id": VICTIM })] {
        about(&grant(subject), types, VICTIM);
    }
    let set = grant(json!({ "namespace": "groups", "object": "admins", "relation": "member" }));
    about(&set, types, "groups:admins#member");
    for event in ocsf(&set) {
        assert_eq!(
            (&event["user"]["type_id"], &event["user"]["type"]),
            (&json!(99), &json!("subject set")),
            "{event:#}"
        );
        assert_eq!(event["privileges"], json!(["view reports:q3#view"]), "{event:#}");
    }
    // One that names nobody is nobody, and not the administrator.
    about(&grant(json!({ "namespace": "groups" })), types, "");
}

#[test]
fn who_is_let_in_again_is_not_the_administrator() {
    let failures = |path: &str| keycloak("DELETE", "USER_LOGIN_FAILURE", path);
    let types = ["User Management: Unlock", "Account Change: Unlock"];
    about(&failures(&format!("attack-detection/brute-force/users/{VICTIM}")), types, VICTIM);
    about(&failures("attack-detection/brute-force/users"), types, "");
}

#[test]
fn orys_identity_is_whom_the_event_is_about() {
    for (envelope, name) in [
        (okta("user.account.update_password"), "SettingsSucceeded"),
        (okta("user.account.reset_password"), "RecoverySucceeded"),
        (asgardeo("change-password-by-admin"), "SettingsSucceeded"),
        (asgardeo("terminate-session"), "SessionRevoked"),
        (okta("user.lifecycle.suspend"), "user.lifecycle.suspend"),
    ] {
        // Asgardeo's own too: its records are another system's here.
        let ory = shown("ory-network", &envelope);
        assert_eq!((&ory["name"], &ory["eventAttributes"]["IdentityID"]), (&json!(name), &json!(VICTIM)), "{ory:#}");
        assert_eq!(ory["eventAttributes"]["ActorId"], ADMIN, "{ory:#}");
    }
    // What is only asked for is nothing that Ory has a name for.
    assert_eq!(shown("ory-network", &contember("password_reset_init"))["name"], "password_reset_init");
    assert_eq!(shown("ory-network", &contember("password_reset"))["name"], "RecoverySucceeded");
}

#[test]
fn who_is_named_is_no_system_to_asgardeo() {
    let v2 = shown("asgardeo", &keycloak("CREATE", "USER", &format!("users/{VICTIM}")));
    assert_eq!((&v2["initiatorId"], &v2["initiatorType"]), (&json!(ADMIN), &json!("User")));
    // Nor is one of whom only the identity is known.
    let mut row = contember("global_role_grant");
    row["actor"] = json!({ "identity_id": "identity-1" });
    let v2 = shown("asgardeo", &row);
    assert_eq!((&v2["initiatorId"], &v2["initiatorType"]), (&json!("identity-1"), &json!("User")), "{v2:#}");
    assert_eq!(v2["data"]["actor"], Value::Null, "it is not said twice");
    let v2 = shown("asgardeo", &json!({ "source": "x", "action": "nightly" }));
    assert_eq!((&v2["initiatorId"], &v2["initiatorType"]), (&json!("System"), &json!("System")));
}

#[test]
fn a_sentence_of_syslog_tells_a_backslash_from_a_control_character() {
    let sentence = |message: &str| {
        let line = super::shown("syslog", &json!({ "action": "x", "message": message }));
        line.rsplit_once("] ").unwrap().1.to_owned()
    };
    assert_eq!(sentence("a\nb"), "a\\u000ab");
    assert_eq!(sentence("a\\u000ab"), "a\\\\u000ab");
}

#[test]
fn a_line_of_cef_names_a_product_always() {
    let line = super::shown("cef", &json!({ "action": "login" }));
    assert!(line.starts_with("CEF:0|Indelible|unknown|"), "{line}");
}

/// Whom an event is about and who did it are two, and neither is a component or a session.
#[test]
fn names_are_those_of_whom_they_are() {
    let of = |face: &str, system: &str, body: &str| super::shown(face, &one(system, body).envelope);
    let json = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    // Invited by somebody else.
    let invite = r#"{"id":"e1","created_at":"2026-11-20T12:00:00Z","type":"person_invite","success":true,"invoked_by_id":"i","person_id":null,
        "person_input_identifier":"new@example.com"}"#;
    assert_eq!(json(of("ocsf", "contember", invite))["actor"]["user"]["name"], Value::Null);
    assert!(of("syslog", "contember", invite).contains("by i"), "{}", of("syslog", "contember", invite));
    // Disabled by nobody who is named.
    let disabled = r#"{"iss":"i","jti":"q","iat":1795176000,"sub_id":{"format":"email","email":"bob@example.com"},
        "events":{"https://schemas.openid.net/secevent/risc/event-type/account-disabled":{"initiating_entity":"admin"}}}"#;
    let ocsf = json(of("ocsf", "set", disabled));
    assert_eq!(ocsf["user"]["email_addr"], "bob@example.com", "{ocsf}");
    assert!(ocsf["actor"]["user"]["email_addr"].is_null() && ocsf["actor"]["user"]["name"].is_null(), "{ocsf}");
    assert!(!of("syslog", "set", disabled).contains("by bob"), "{}", of("syslog", "set", disabled));
    // A component is nobody.
    let component = "TID: [-1234] [2026-11-20 12:00:00,214] []  INFO {AUDIT_LOG} - Initiator : null | Action : Login | Target : ApplicationAuthenticationFramework | Data : {} | Result : Failed";
    assert_eq!(json(of("contember", "wso2", component))["person_id"], Value::Null);
    // A session that an administrator ended is not the administrator's, and no person.
    let ended = r#"{"id":"a","time":1795176000000,"realmId":"r","operationType":"DELETE","resourceType":"USER_SESSION","resourcePath":"sessions/s77",
        "authDetails":{"realmId":"r","clientId":"adm","userId":"boss"}}"#;
    assert_eq!(json(of("ocsf", "keycloak", ended))["actor"]["session"], Value::Null);
    assert_eq!(json(of("contember", "keycloak", ended))["target_person_id"], Value::Null);
    // A client is no SCIM client, who failed to sign in no system, and has a name in CEF.
    let update = r#"{"id":"b","time":1795176000000,"realmId":"r","operationType":"UPDATE","resourceType":"USER","resourcePath":"users/u1",
        "authDetails":{"realmId":"r","clientId":"adm","userId":"boss"}}"#;
    assert_eq!(json(of("ory-network", "keycloak", update))["eventAttributes"]["SCIMClient"], Value::Null);
    let failed = r#"{"id":"c","time":1795176000000,"realmId":"r","type":"LOGIN_ERROR","error":"x","details":{"username":"ann"}}"#;
    let v2 = json(of("asgardeo", "keycloak", failed));
    assert_eq!((&v2["initiatorId"], &v2["initiatorType"]), (&json!("ann"), &json!("User")), "{v2}");
    assert!(of("cef", "keycloak", failed).contains(" suser=ann "), "{}", of("cef", "keycloak", failed));
}

/// Somebody's own envelope that has a system's name as its source is not of that system's shape.
#[test]
fn an_envelope_with_a_systems_name_loses_nothing_in_that_systems_face() {
    let mut envelope = json!({"id": "e1", "time": "2026-11-20T12:00:00.000000Z", "log": "audit", "action": "login", "outcome": "failure",
        "actor": {"id": "a1", "name": "Ann"}, "target": {"id": "t1"}, "message": "what was said"});
    for system in ["cloudevents", "asgardeo", "contember", "ory-network"] {
        envelope["source"] = json!(system);
        let shown = super::shown(system, &envelope);
        assert!(shown.contains("what was said") && shown.contains("a1") && shown.contains("t1"), "{system}: {shown}");
    }
    envelope["source"] = json!("cloudevents");
    assert_eq!(shown("cloudevents", &envelope)["specversion"], "1.0");
}
