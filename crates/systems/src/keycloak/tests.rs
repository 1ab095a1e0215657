//! Every quirk of Keycloak.

use crate::catalog;
use crate::testing::{comes_back, one, reason, survives, take};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAME: &str = super::NAME;

fn admin(operation: &str, resource: &str, path: &str, representation: &Value) -> String {
    json!({
        "id": "a1", "time": 1_795_176_002_000_i64, "realmId": "r", "operationType": operation, "resourceType": resource, "resourcePath": path,
        "authDetails": {"realmId": "m", "clientId": "console", "userId": "root", "ipAddress": "192.0.2.4"},
        "representation": representation.to_string(),
    })
    .to_string()
}

/// RFC 8785 has no number that a double does not hold, and one of them is no reason not to understand the others.
#[test]
fn a_number_that_does_not_fit_is_kept_as_its_text() {
    let login = r#"{"type":"LOGIN","realmId":"r","time":1795176000000,"userId":"u","details":{"n":9007199254740993,"m":[1e400,2]}}"#;
    let stored = one(NAME, login);
    stored.expect(&[("action", "LOGIN"), ("actor.id", "u")]);
    assert_eq!(stored.value("attributes.details"), &json!({"n": "9007199254740993", "m": ["1e400", 2]}));
    // And where it is not understood for another reason, its secrets are found by their names.
    let kept = take(NAME, r#"{"type":7,"n":9007199254740993,"details":{"password":"x"}}"#).remove(0);
    assert_eq!(
        kept.value("attributes.native"),
        &json!({"type": 7, "n": "9007199254740993", "details": {"password": "***"}})
    );
}

#[test]
fn a_user_event() {
    let sent = r#"{"id":"e1","time":1795176000123,"type":"LOGIN","realmId":"r","clientId":"web","userId":"u1","sessionId":"s1","ipAddress":"192.0.2.17","details":{"username":"ann","auth_method":"openid-connect"}}"#;
    one(NAME, sent).expect(&[
        ("id", "e1"),
        ("log", "event"),
        ("time", "2026-11-20T12:00:00.123000Z"),
        ("action", "LOGIN"),
        ("outcome", "success"),
        ("level", "info"),
        ("client.id", "web"),
        ("actor.id", "u1"),
        ("session_id", "s1"),
        ("ip", "192.0.2.17"),
        ("username", "ann"),
        ("attributes.realmId", "r"),
        ("attributes.details.auth_method", "openid-connect"),
    ]);
    comes_back(NAME, sent);
}

#[test]
fn every_type_and_its_error_twin() {
    let types = catalog::entries().iter().filter(|e| e.system == NAME && e.log == "event");
    for entry in types.filter(|e| !e.name.ends_with("_ERROR")) {
        let sent = json!({"time": 1, "type": entry.name, "realmId": "r"}).to_string();
        one(NAME, &sent).expect(&[("action", &entry.name), ("outcome", "success"), ("level", &entry.level)]);
        comes_back(NAME, &sent);
        let failed = format!("{}_ERROR", entry.name);
        let twin = catalog::of(NAME).get(&failed).unwrap_or_else(|| panic!("the catalogue has no {failed}"));
        assert_eq!((twin.log.as_str(), twin.level.as_str()), ("event", "warn"), "{failed}");
        let kind = |name: &str| crate::faces::kind::named(NAME, name).map(|kind| kind.name);
        assert_eq!(kind(&failed), kind(&entry.name), "{failed}");
        let sent = json!({"time": 1, "type": failed, "realmId": "r", "error": "invalid_token"}).to_string();
        one(NAME, &sent).expect(&[
            ("action", &failed),
            ("outcome", "failure"),
            ("level", "warn"),
            ("error_code", "invalid_token"),
        ]);
        comes_back(NAME, &sent);
    }
    one(NAME, r#"{"time":1,"type":"SOMETHING_NEW","realmId":"r"}"#)
        .expect(&[("outcome", "success"), ("level", "info")]);
}

#[test]
fn an_event_without_an_id_gets_none() {
    let stored = one(NAME, r#"{"time":1700000002000,"type":"LOGIN","realmId":"r","userId":"u2"}"#);
    assert!(!stored.text.contains("\"id\":\"e"), "{}", stored.text);
    stored.expect(&[("id", "made")]);
}

#[test]
fn an_admin_event() {
    let sent = admin("UPDATE", "USER", "users/u7", &json!({"username": "bob", "enabled": false}));
    let stored = one(NAME, &sent);
    stored.expect(&[
        ("log", "audit"),
        ("action", "UPDATE USER"),
        ("outcome", "success"),
        ("actor.id", "root"),
        ("client_actor.id", "console"),
        ("ip", "192.0.2.4"),
        ("target.id", "u7"),
        ("target.type", "USER"),
        ("target.name", "bob"),
        ("attributes.resourcePath", "users/u7"),
        ("attributes.authDetails.realmId", "m"),
    ]);
    assert_eq!(stored.value("new"), &json!({"username": "bob", "enabled": false}));
    assert_eq!(stored.value("attributes.representation"), &Value::Null, "not kept twice");
}

#[test]
fn what_is_deleted_is_the_old_state() {
    let roles = json!([{"id": "r1", "name": "buyer", "composite": false}]);
    let stored = one(NAME, &admin("DELETE", "REALM_ROLE_MAPPING", "users/u7/role-mappings/realm", &roles));
    stored.expect(&[("action", "DELETE REALM_ROLE_MAPPING"), ("target.id", "u7")]);
    assert_eq!((stored.value("old"), stored.value("new")), (&roles, &Value::Null));
}

#[test]
fn a_representation_that_is_no_json_stays_a_text() {
    for broken in [r#"{"a":"#, "", r#"1,"log":"audit""#, "{]", "null"] {
        let mut sent: Value = serde_json::from_str(&admin("CREATE", "USER", "users/u7", &json!(1))).unwrap();
        sent["representation"] = json!(broken);
        let stored = one(NAME, &sent.to_string());
        stored.expect(&[("attributes.representation", broken), ("log", "audit")]);
        assert_eq!(stored.value("new"), &Value::Null, "{broken}");
        comes_back(NAME, &sent.to_string());
    }
}

#[test]
fn admin_events_come_back_with_an_equal_representation() {
    for (operation, resource, path) in [
        ("CREATE", "USER", "users/u7"),
        ("DELETE", "CLIENT_ROLE", "clients/c1/roles/x"),
        ("ACTION", "USER", "users/u7/execute-actions-email"),
        ("UPDATE", "IDENTITY_PROVIDER", "identity-provider/instances/google"),
    ] {
        comes_back(NAME, &admin(operation, resource, path, &json!({"alias": "x"})));
    }
    comes_back(
        NAME,
        r#"{"time":5,"operationType":"CREATE","resourceType":"USER","authDetails":{"userId":"u"},"error":"conflict","details":{"a":"b"}}"#,
    );
}

#[test]
fn paths_name_who_it_was_done_to() {
    for (path, target, subject) in [
        ("users/u7/groups/g1", "u7", "g1"),
        ("users/u7/federated-identity/google", "u7", "google"),
        ("users/u7/role-mappings/clients/c1", "u7", ""),
        ("identity-provider/instances/google", "google", ""),
        ("attack-detection/brute-force/users/u7", "u7", ""),
        ("attack-detection/brute-force/users", "", ""),
        ("clients/c1", "c1", ""),
        ("users", "", ""),
        ("", "", ""),
    ] {
        one(NAME, &admin("CREATE", "X", path, &json!([]))).expect(&[("target.id", target), ("subject.id", subject)]);
    }
}

#[test]
fn failures_to_sign_in_are_a_users() {
    let path = "attack-detection/brute-force/users/u7";
    one(NAME, &admin("DELETE", "USER_LOGIN_FAILURE", path, &json!({}))).expect(&[
        ("action", "DELETE USER_LOGIN_FAILURE"),
        ("target.id", "u7"),
        ("target.type", "USER"),
    ]);
}

#[test]
fn a_role_of_a_client_is_the_target_and_not_its_client() {
    let event = |operation: &str, path: &str, representation: &Value| {
        let stored = one(NAME, &admin(operation, "CLIENT_ROLE", path, representation));
        stored.expect(&[("target.type", "CLIENT_ROLE"), ("subject.id", "u1"), ("subject.type", "CLIENT")]);
        stored
    };
    let role = |id: &str, name: &str| json!({"id": id, "name": name, "clientRole": true, "containerId": "u1"});
    event("UPDATE", "clients/u1/roles/a", &role("r1", "a")).expect(&[("target.id", "r1"), ("target.name", "a")]);
    event("UPDATE", "clients/u1/roles/b", &role("r2", "b")).expect(&[("target.id", "r2"), ("target.name", "b")]);
    event("CREATE", "clients/u1/roles/a", &json!({"name": "a"})).expect(&[("target.id", "a"), ("target.name", "a")]);
    event("CREATE", "clients/u1/roles/a/composites", &json!([{"id": "r9", "name": "x"}]))
        .expect(&[("target.id", "a"), ("subject.name", "")]);
    event("CREATE", "clients/u1/roles", &json!({"name": "a"})).expect(&[("target.id", ""), ("target.name", "a")]);
    // Its mappings are the user's. What has an id of its own is not what it is in.
    for (resource, path, new, kind, outer, id) in [
        (
            "PROTOCOL_MAPPER",
            "clients/u1/protocol-mappers/models/m",
            json!({"id": "m", "name": "n"}),
            "CLIENT",
            "u1",
            "m",
        ),
        (
            "PROTOCOL_MAPPER",
            "client-scopes/s1/protocol-mappers/models",
            json!({"id": "m", "name": "n"}),
            "CLIENT_SCOPE",
            "s1",
            "m",
        ),
        (
            "AUTHORIZATION_POLICY",
            "clients/u1/authz/resource-server/policy/role/p",
            json!({"name": "n"}),
            "CLIENT",
            "u1",
            "p",
        ),
        (
            "IDENTITY_PROVIDER_MAPPER",
            "identity-provider/instances/google/mappers/m",
            json!({"name": "n"}),
            "IDENTITY_PROVIDER",
            "google",
            "m",
        ),
        ("GROUP", "groups/g1/children", json!({"id": "g2", "name": "n"}), "GROUP", "g1", "g2"),
    ] {
        one(NAME, &admin("CREATE", resource, path, &new)).expect(&[
            ("target.id", id),
            ("target.name", "n"),
            ("target.type", resource),
            ("subject.id", outer),
            ("subject.type", kind),
            ("subject.name", ""),
        ]);
    }
    let child = super::change::Role { id: Some("g2"), ..Default::default() };
    let child = super::change::of("CREATE", "GROUP", "groups/g1/children", "r", child).unwrap();
    assert_eq!((child.entity.as_str(), child.says), ("r groups/g2", crate::change::Says::Begin));
    let entity = |path: &str| {
        super::change::of("UPDATE", "CLIENT_ROLE", path, "r", super::change::Role::default()).unwrap().entity
    };
    assert_ne!(entity("clients/u1/roles/a"), entity("clients/u1/roles/b"), "each has a state of its own");
    assert_eq!(entity("clients/u1/roles/a/composites"), entity("clients/u1/roles/a"));
}

#[test]
fn lines_in_quotes() {
    let stored = take(NAME, include_str!("../../samples/keycloak/server.log"));
    stored[0].expect(&[
        ("time", "2026-11-20T12:00:00.123000Z"),
        ("action", "LOGIN_ERROR"),
        ("outcome", "failure"),
        ("error_code", "invalid_user_credentials"),
        ("username", "o\"neil"),
        ("actor.id", "3b1c2f6e-41d5-4c53-9c36-0f4fbb3a7a10"),
        ("attributes.realmName", "shop"),
        ("attributes.details.redirect_uri", "https://shop.example.com/cb?a=b, c=d"),
        ("attributes.line", "2026-11-20 12:00:00,123 WARN  [org.keycloak.events] (executor-thread-7)"),
        ("attributes._indelible.time", "no zone in the source"),
    ]);
    stored[1].expect(&[
        ("log", "audit"),
        ("action", "CREATE GROUP_MEMBERSHIP"),
        ("actor.id", "84e2038c-3726-463d-a131-0d09c08c0829"),
        ("target.id", "28396986-0c90-42be-b39b-73f4714debaf"),
        ("subject.id", "7a0f5f5e-2b84-4b4b-8f5e-64b3a26b4d11"),
    ]);
}

#[test]
fn lines_without_quotes_and_without_a_date() {
    let stored = one(NAME, include_str!("../../samples/keycloak/server-old.log"));
    stored.expect(&[
        ("action", "LOGIN_ERROR"),
        ("username", "Smith, Ann"),
        ("actor.id", ""),
        ("attributes.realmId", "test"),
        ("attributes._indelible.time", "arrival"),
    ]);
}

#[test]
fn a_user_name_cannot_pass_for_a_field() {
    let line = "type=LOGIN_ERROR, realmId=r, clientId=web, userId=null, ipAddress=192.0.2.1, error=x, username=eve, userId=admin";
    assert_eq!(reason(NAME, line), "duplicate_key");
    let line = r#"type="LOGIN_ERROR", realmId="r", userId="null", username="eve\", userId=\"admin""#;
    one(NAME, line).expect(&[("actor.id", ""), ("username", "eve\", userId=\"admin")]);
}

#[test]
fn the_servers_log_as_json() {
    let sent = json!({"timestamp": "2026-11-20T12:00:00.123Z", "level": "WARN", "loggerName": "org.keycloak.events",
        "message": r#"type="LOGIN_ERROR", realmId="r", userId="u1", error="x""#, "hostName": "kc-0"});
    one(NAME, &sent.to_string()).expect(&[
        ("time", "2026-11-20T12:00:00.123000Z"),
        ("action", "LOGIN_ERROR"),
        ("actor.id", "u1"),
        ("attributes.log.hostName", "kc-0"),
        ("attributes._indelible.time", ""),
    ]);
}

#[test]
fn a_line_that_is_sent_again_is_the_same_record() {
    let text = include_str!("../../samples/keycloak/server.log").lines().next().unwrap();
    let id = |text: &str| one(NAME, text).at("id").to_owned();
    assert_eq!(id(text), id(&format!("{text}  ")), "whoever sends it may add spaces");
    assert_ne!(id(text), id(&text.replace(",123", ",124")));
    let json = |time: &str, sequence: u64, more: Value| {
        let mut line = json!({"timestamp": time, "sequence": sequence, "loggerName": "org.keycloak.events", "level": "WARN",
            "message": r#"type="LOGIN_ERROR", realmId="r", userId="u1", error="x""#, "hostName": "kc-0", "processId": 7});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        id(&line.to_string())
    };
    let first = json("2026-11-20T12:00:00.123456789Z", 41, json!({}));
    assert_eq!(
        first,
        json("2026-11-20T12:00:00.123456789Z", 41, json!({"stream": "stdout"})),
        "with a shipper's words"
    );
    for other in [
        json("2026-11-20T12:00:00.123456789Z", 42, json!({})),
        json("2026-11-20T12:00:00.123456788Z", 41, json!({})),
        json("2026-11-20T12:00:00.123456789Z", 41, json!({"hostName": "kc-1"})),
    ] {
        assert_ne!(first, other);
    }
    // A line without its day may be said twice and be two.
    one(NAME, include_str!("../../samples/keycloak/server-old.log")).expect(&[("attributes._indelible.id", "made")]);
}

#[test]
fn what_a_shipper_or_a_console_adds_is_no_part_of_a_line() {
    let plain = include_str!("../../samples/keycloak/server.log").lines().next().unwrap();
    let known = one(NAME, plain);
    for before in [
        "keycloak-1  | ",
        "<13>Nov 20 12:00:00 host keycloak[123]: ",
        "<13>1 2026-11-20T13:00:00.123Z host keycloak 123 - - ",
        "2026-11-20T12:00:00.123456789Z stdout F ",
        "2026-11-20 13:00:00,999 ",
    ] {
        let stored = one(NAME, &format!("{before}{plain}"));
        for path in ["id", "time", "username", "attributes._indelible.time"] {
            assert_eq!(stored.at(path), known.at(path), "{path} of {before}");
        }
        assert_eq!(stored.at("attributes.line"), format!("{before}{}", known.at("attributes.line")));
    }
    let coloured = format!("\u{1b}[0m{plain}\u{1b}[0m").replacen("WARN", "\u{1b}[33mWARN\u{1b}[0;39m", 1);
    assert_eq!(one(NAME, &coloured).envelope, known.envelope);
    assert_eq!(crate::detect(coloured.as_bytes()), [(NAME, 95)]);
    // Without the server's own day it is known by nothing.
    let old = include_str!("../../samples/keycloak/server-old.log").lines().next().unwrap();
    one(NAME, &format!("keycloak-1  | {old}")).expect(&[("attributes._indelible.id", "made")]);
}

#[test]
fn a_persons_own_change_has_what_was_before() {
    let event = |kind: &str, details: Value| {
        one(NAME, &json!({"time": 1, "type": kind, "realmId": "r", "userId": "u1", "details": details}).to_string())
    };
    let email = event("UPDATE_EMAIL", json!({"previous_email": "a@x", "updated_email": "b@x", "context": "ACCOUNT"}));
    assert_eq!((email.value("old"), email.value("new")), (&json!({"email": "a@x"}), &json!({"email": "b@x"})));
    assert_eq!(email.value("diff"), &json!({"email": {"__old": "a@x", "__new": "b@x"}}));
    assert_eq!(email.at("attributes.details.previous_email"), "a@x");
    let profile = event(
        "UPDATE_PROFILE",
        json!({"updated_last_name": "B", "previous_first_name": "A", "updated_first_name": "B"}),
    );
    assert_eq!(profile.value("new"), &json!({"first_name": "B", "last_name": "B"}));
    assert_eq!(profile.value("old"), &json!({"first_name": "A"}));
    for (kind, details) in [
        ("UPDATE_EMAIL", json!({"context": "ACCOUNT"})),
        ("UPDATE_EMAIL_ERROR", json!({"previous_email": "a@x", "updated_email": "b@x"})),
        ("LOGIN", json!({"updated_email": "b@x"})),
    ] {
        assert!(event(kind, details).value("new").is_null(), "{kind}");
    }
    comes_back(NAME, &json!({"time": 1, "type": "UPDATE_EMAIL", "realmId": "r", "details": {"previous_email": "a@x", "updated_email": "b@x"}}).to_string());
}

#[test]
fn what_is_not_understood_is_kept() {
    assert_eq!(reason(NAME, r#"{"time":1,"realmId":"r"}"#), "missing_field");
    assert_eq!(reason(NAME, r#"{"operationType":"CREATE"}"#), "missing_field");
    assert_eq!(reason(NAME, r#"{"type":"LOGIN","time":"noon"}"#), "invalid_time");
    assert_eq!(reason(NAME, "2026-11-20 12:00:00,123 INFO  [io.quarkus] (main) Keycloak started"), "not_an_event");
    assert_eq!(reason(NAME, r#"{"loggerName":"org.keycloak.events","message":"hello"}"#), "not_an_event");
}

proptest! {
    #[test]
    fn never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in r#"\{"(type|operationType)":"[A-Z_]{0,9}","(representation|details|time|resourcePath|authDetails)":[\PC]{0,40}\}"#,
        line in "(type=|operationType=)[A-Z]{0,5}, realmId=[\\PC]{0,60}",
    ) {
        survives(NAME, &bytes);
        survives(NAME, text.as_bytes());
        survives(NAME, line.as_bytes());
    }

    #[test]
    fn whatever_an_event_says_comes_back(
        kind in "[A-Z_]{1,12}",
        members in proptest::collection::btree_map(
            "(userId|clientId|sessionId|ipAddress|error|realmName|new)", proptest::option::of("[a-z\"é ]{0,8}"), 0..6),
        details in proptest::collection::btree_map("(username|email|impersonator|identity_provider|x)", "[a-z ]{0,8}", 0..4),
        time in 0i64..1_795_176_000_000,
    ) {
        let mut sent = json!(members);
        sent["type"] = json!(kind);
        sent["realmId"] = json!("r");
        sent["time"] = json!(time);
        sent["details"] = json!(details);
        comes_back(NAME, &sent.to_string());
    }
}

#[test]
fn admin_events_say_what_state_an_entity_has() {
    use crate::change::Says;
    for (operation, resource, path, entity, says) in [
        ("CREATE", "USER", "users/u7", "r users/u7", Some(Says::Begin)),
        ("UPDATE", "USER", "users/u7", "r users/u7", Some(Says::Part)),
        ("DELETE", "USER", "users/u7", "r users/u7", Some(Says::Gone)),
        ("ACTION", "USER", "users/u7/reset-password", "r users/u7", Some(Says::Nothing)),
        ("CREATE", "REALM_ROLE_MAPPING", "users/u7/role-mappings/realm", "r users/u7", Some(Says::Nothing)),
        ("UPDATE", "CLIENT", "clients/c1", "r clients/c1", Some(Says::Part)),
        ("UPDATE", "CLIENT_ROLE", "clients/c1/roles/x", "r clients/c1/roles/x", Some(Says::Part)),
        ("UPDATE", "PROTOCOL_MAPPER", "clients/c1/protocol-mappers/models/m", "", None),
        (
            "CREATE",
            "CLIENT_SCOPE_CLIENT_MAPPING",
            "clients/c1/scope-mappings/realm",
            "r clients/c1",
            Some(Says::Nothing),
        ),
        ("UPDATE", "REALM_ROLE", "roles/x", "r roles/x", Some(Says::Part)),
        ("UPDATE", "REALM_ROLE", "roles-by-id/rrrr", "r roles/x", Some(Says::Part)),
        ("UPDATE", "CLIENT_ROLE", "roles-by-id/rrrr", "r roles-by-id/rrrr", Some(Says::Part)),
        ("CREATE", "REALM_ROLE", "roles-by-id/rrrr/composites", "r roles-by-id/rrrr", Some(Says::Nothing)),
        (
            "UPDATE",
            "IDENTITY_PROVIDER",
            "identity-provider/instances/google",
            "r identity-provider/google",
            Some(Says::Part),
        ),
        ("UPDATE", "REALM", "", "r realm", Some(Says::Part)),
        ("UPDATE", "REALM", "events/config", "r realm", Some(Says::Part)),
        ("UPDATE", "COMPONENT", "components/x", "", None),
    ] {
        let shown = super::change::Role { id: None, name: Some("x"), client: None };
        let change = super::change::of(operation, resource, path, "r", shown);
        assert_eq!(change.as_ref().map(|c| c.says), says, "{operation} {path}");
        assert_eq!(change.as_ref().map_or("", |c| &c.entity), entity, "{operation} {path}");
        let stored = one(NAME, &admin(operation, resource, path, &json!({"name": "x", "alias": "x"})));
        assert_eq!(super::change::of_stored(&stored.envelope), change, "the stored record says the same");
    }
    let mut failed: Value = serde_json::from_str(&admin("UPDATE", "USER", "users/u7", &json!({}))).unwrap();
    failed["error"] = json!("conflict");
    assert_eq!(super::change::of_stored(&one(NAME, &failed.to_string()).envelope), None, "it changed nothing");
}

/// The console changes a role by its id, and what made it named it.
#[test]
fn a_role_is_one_whichever_path_leads_to_it() {
    let entity = |stored: &crate::testing::Stored| super::change::of_stored(&stored.envelope).unwrap().entity;
    let realms = json!({"id": "rrrr", "name": "editor", "clientRole": false, "containerId": "realm-id"});
    let own = json!({"id": "q1", "name": "cr", "clientRole": true, "containerId": "cccc"});
    for (resource, role, named, by_id) in [
        ("REALM_ROLE", &realms, "roles/editor", "roles-by-id/rrrr"),
        ("CLIENT_ROLE", &own, "clients/cccc/roles/cr", "roles-by-id/q1"),
    ] {
        let [named, by_id] = [named, by_id].map(|path| one(NAME, &admin("UPDATE", resource, path, role)));
        assert_eq!(entity(&named), entity(&by_id));
        for path in ["target.id", "target.name", "subject.id", "subject.type"] {
            assert_eq!(named.at(path), by_id.at(path), "{path}");
        }
    }
}

#[test]
fn a_realm_is_its_own_target_and_a_group_is_not_its_members_name() {
    one(NAME, &admin("UPDATE", "REALM", "", &json!({"realm": "shop"})))
        .expect(&[("target.id", "r"), ("target.name", "shop")]);
    one(NAME, &admin("UPDATE", "REALM", "events/config", &json!({"eventsEnabled": false})))
        .expect(&[("target.id", "r"), ("target.type", "REALM")]);
    one(NAME, &admin("CREATE", "GROUP_MEMBERSHIP", "users/u7/groups/g1", &json!({"name": "buyers"}))).expect(&[
        ("target.id", "u7"),
        ("target.name", ""),
        ("subject.id", "g1"),
        ("subject.name", "buyers"),
    ]);
}

#[test]
fn a_line_may_say_its_zone_and_may_stand_in_a_shippers_object() {
    let line = |time: &str| {
        format!(
            r#"{time} DEBUG [org.keycloak.events] (e) type="LOGOUT", realmId="r", clientId="null", userId="u1", sessionId="s1", ipAddress="192.0.2.4""#
        )
    };
    for (time, wanted, zoned) in [
        ("2026-05-14 10:21:33,512", "10:21:33.512000Z", false),
        ("2026-05-14 10:21:33,512+0200", "08:21:33.512000Z", true),
        ("2026-05-14T10:21:33,512 +02:00", "08:21:33.512000Z", true),
        ("2026-05-14 10:21:33.512Z", "10:21:33.512000Z", true),
        ("2026-05-14 10:21:33,512 -1", "10:21:33.512000Z", false),
    ] {
        let stored = one(NAME, &line(time));
        stored.expect(&[("time", &format!("2026-05-14T{wanted}"))]);
        assert_eq!(stored.value("attributes._indelible.time").is_null(), zoned, "{time}");
    }
    let line = line("2026-05-14 10:21:33,512+0200");
    let bare = one(NAME, &line);
    let body = json!({"log": format!("{line}\n"), "stream": "stdout", "time": "2026-05-14T08:21:34Z"}).to_string();
    assert_eq!(crate::detect(body.as_bytes()).first().map(|found| found.0), Some(NAME));
    let carried = one(NAME, &body);
    carried.expect(&[
        ("action", "LOGOUT"),
        ("time", bare.at("time")),
        ("id", bare.at("id")),
        ("attributes.log.stream", "stdout"),
    ]);
    let message = r#"type="LOGIN_ERROR", realmId="r", clientId="c", userId="u1", ipAddress="192.0.2.4", error="x""#;
    one(
        NAME,
        &json!({"@timestamp": "2026-05-14T08:21:34Z", "message": message, "log.logger": "org.keycloak.events"})
            .to_string(),
    )
    .expect(&[("action", "LOGIN_ERROR"), ("outcome", "failure"), ("time", "2026-05-14T08:21:34.000000Z")]);
}

/// What a shipper calls `type` is no event, and what it wraps may be a line or the server's log as JSON.
#[test]
fn a_shippers_type_is_no_event_and_a_log_in_json_is_read_inside_its_object() {
    let line = r#"2026-11-20 12:00:00,123 WARN  [org.keycloak.events] (executor-thread-1) type="LOGIN_ERROR", realmId="r1", clientId="web", userId="null", ipAddress="192.0.2.4", error="invalid_user_credentials", username="bob""#;
    let alone = one(NAME, line);
    alone.expect(&[("action", "LOGIN_ERROR"), ("outcome", "failure"), ("time", "2026-11-20T12:00:00.123000Z")]);
    for kind in ["keycloak", "log"] {
        let sent =
            json!({"@timestamp": "2026-11-20T12:00:00Z", "type": kind, "host": "h", "message": line}).to_string();
        one(NAME, &sent).expect(&[("action", "LOGIN_ERROR"), ("outcome", "failure"), ("id", alone.at("id"))]);
        assert_eq!(crate::detect(sent.as_bytes()).first().map(|(name, _)| *name), Some(NAME));
        assert_eq!(reason(NAME, &json!({"type": kind, "message": "started"}).to_string()), "not_an_event");
    }
    let log = json!({"timestamp": "2026-11-20T12:00:00.123456+01:00", "sequence": 77, "loggerName": "org.keycloak.events", "level": "WARN",
        "message": line.split_once(") ").unwrap().1});
    let bare = one(NAME, &log.to_string());
    bare.expect(&[("action", "LOGIN_ERROR"), ("time", "2026-11-20T11:00:00.123456Z")]);
    let wrapped = json!({"log": format!("{log}\n"), "stream": "stdout", "time": "2026-11-20T11:00:01Z"}).to_string();
    let stored = one(NAME, &wrapped);
    stored.expect(&[("id", bare.at("id")), ("time", bare.at("time")), ("attributes.log.shipper.stream", "stdout")]);
    assert_eq!(crate::detect(wrapped.as_bytes()).first().map(|(name, _)| *name), Some(NAME));
}

#[test]
fn a_time_with_a_fraction_of_nothing_is_that_time() {
    let sent = r#"{"time":1795176000123.0,"type":"LOGIN","realmId":"r"}"#;
    one(NAME, sent).expect(&[("time", "2026-11-20T12:00:00.123000Z")]);
}
