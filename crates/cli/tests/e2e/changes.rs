//! Who changed what, from what to what: where a source sends the new state and never the old one.

use crate::server::{Home, Server};
use serde_json::{Value, json};

const T0: i64 = 1_795_000_000_000;

pub fn admin(id: &str, at: i64, operation: &str, resource: &str, path: &str, new: &Value) -> Value {
    let mut event = json!({
        "id": id, "time": T0 + at, "realmId": "shop", "operationType": operation, "resourceType": resource,
        "resourcePath": path, "authDetails": { "realmId": "shop", "clientId": "console", "userId": "root" },
    });
    if !new.is_null() {
        event["representation"] = new.to_string().into();
    }
    event
}

fn user(id: &str, at: i64, operation: &str, new: &Value) -> Value {
    admin(id, at, operation, "USER", "users/u1", new)
}

pub fn send(server: &Server, events: &[Value]) -> Value {
    let body: Vec<String> = events.iter().map(Value::to_string).collect();
    server.admin.post("/v1/t/acme/ingest/keycloak?receipts=full", body.join("\n")).ok()
}

pub fn record(server: &Server, id: &str) -> Value {
    server.admin.get(&format!("/v1/t/acme/records/{id}")).ok()
}

/// The states of a user on its way through a life.
fn life() -> Vec<Value> {
    vec![
        user("e1", 1, "CREATE", &json!({ "username": "ann", "email": "ann@old.example", "enabled": true })),
        user(
            "e2",
            2,
            "UPDATE",
            &json!({ "username": "ann", "email": "ann@new.example", "enabled": true, "totp": false }),
        ),
        user("e3", 3, "UPDATE", &json!({ "enabled": false })),
        admin("e4", 4, "CREATE", "REALM_ROLE_MAPPING", "users/u1/role-mappings/realm", &json!([{ "name": "buyer" }])),
        user("e5", 5, "DELETE", &Value::Null),
    ]
}

fn check(server: &Server) {
    let created = record(server, "e1");
    assert_eq!((&created["old"], &created["diff"]), (&Value::Null, &Value::Null), "nothing was before: {created}");
    let moved = record(server, "e2");
    assert_eq!(
        moved["diff"],
        json!({ "email": { "__old": "ann@old.example", "__new": "ann@new.example" } }),
        "{moved}"
    );
    assert_eq!(moved["old"], json!({ "email": "ann@old.example", "enabled": true, "username": "ann" }));
    assert_eq!(moved["new"]["totp"], false, "what was sent stays as it was sent");
    assert_eq!(moved["attributes"]["_indelible"]["derived"], json!(["old", "diff"]), "and marked");
    let disabled = record(server, "e3");
    assert_eq!(disabled["diff"], json!({ "enabled": { "__old": true, "__new": false } }), "{disabled}");
    assert_eq!(disabled["old"], json!({ "enabled": true }), "the part that the request spoke of");
    assert_eq!(disabled["target"]["name"], "ann", "a name that the request did not have");
    assert_eq!(disabled["attributes"]["_indelible"]["derived"], json!(["old", "diff", "target.name"]));
    let role = record(server, "e4");
    assert_eq!((&role["target"]["name"], &role["old"]), (&json!("ann"), &Value::Null), "{role}");
    let deleted = record(server, "e5");
    assert_eq!(deleted["old"]["email"], "ann@new.example", "what is gone: {deleted}");
    assert_eq!(deleted["old"]["enabled"], false);
    let rows = server.admin.page("acme", "audit_logs", &[("q", "id:e3"), ("from", "2020-01-01T00:00:00Z")]);
    let row = &rows["items"][0];
    assert_eq!(row["actor"], "root", "{row}");
    assert_eq!(
        (&row["target"], &row["old_entity"], &row["new_entity"], &row["diff"]),
        (&json!("ann"), &disabled["old"], &json!({ "enabled": false }), &disabled["diff"])
    );
    let guide = server.admin.get("/v1/t/acme/records/e3?diff=guide").ok();
    assert_eq!(guide["diff"], json!({ "enabled": { "_old": true, "_new": false } }), "single underscores");
}

#[test]
fn old_states_differences_and_names_are_derived_and_marked() {
    let server = Server::start(&[]);
    assert_eq!(send(&server, &life())["accepted"], 5);
    check(&server);
    let again = send(&server, &life());
    assert_eq!((&again["accepted"], &again["duplicate"]), (&json!(0), &json!(5)), "a repetition is one: {again}");
    check(&server);
}

#[test]
fn what_was_not_there_reads_as_added_and_what_keycloak_fills_in_does_not() {
    let server = Server::start(&[]);
    let full = json!({
        "id": "u1", "createdTimestamp": T0, "username": "ann", "enabled": true, "emailVerified": false, "requiredActions": [],
        "access": { "manage": true }, "firstName": "Ann", "attributes": { "department": ["sales"] },
    });
    let created = user("e1", 1, "CREATE", &json!({ "username": "ann", "enabled": true }));
    send(&server, &[created, user("e2", 2, "UPDATE", &full), user("e3", 3, "UPDATE", &full)]);
    let changed = record(&server, "e2");
    assert_eq!(
        changed["diff"],
        json!({ "firstName__added": "Ann", "attributes__added": { "department": ["sales"] } }),
        "{changed}"
    );
    assert_eq!(changed["old"], json!({ "username": "ann", "enabled": true }));
    assert_eq!(record(&server, "e3")["diff"], Value::Null, "nothing changed");
}

#[test]
fn a_body_with_the_newest_first_comes_to_the_same() {
    let server = Server::start(&[]);
    let mut life = life();
    // Two of one moment, and one that nobody understands: each is told of under its own line.
    life.insert(3, user("e3b", 3, "UPDATE", &json!({ "enabled": true })));
    life.insert(4, user("e3c", 3, "UPDATE", &json!({ "enabled": false })));
    life.push(json!({ "id": "odd", "operationType": "UPDATE" }));
    life.reverse();
    let answer = server.admin.post("/v1/t/acme/ingest/keycloak?receipts=full", json!(life).to_string()).ok();
    assert_eq!((&answer["accepted"], &answer["unparsed"]), (&json!(8), &json!(1)), "{answer}");
    let results = answer["results"].as_array().unwrap();
    for (line, event) in life.iter().enumerate().skip(1) {
        let told = results.iter().find(|r| r["line"] == json!(line + 1)).unwrap();
        assert_eq!(told["id"], event["id"], "{answer}");
    }
    check(&server);
    let moment = |id: &str| record(&server, id)["diff"]["enabled"].clone();
    assert_eq!(moment("e3b"), json!({ "__old": false, "__new": true }));
    assert_eq!(moment("e3c"), json!({ "__old": true, "__new": false }));
    let again = server.admin.post("/v1/t/acme/ingest/keycloak", json!(life).to_string()).ok();
    assert_eq!((&again["accepted"], &again["rejected"]), (&json!(0), &json!(0)), "{again}");
}

#[test]
fn the_event_settings_of_a_realm_read_from_what_to_what() {
    let server = Server::start(&[]);
    let settings = |id: &str, at: i64, on: bool| {
        let new = json!({ "eventsEnabled": on, "adminEventsEnabled": true, "enabledEventTypes": ["LOGIN"] });
        admin(id, at, "UPDATE", "REALM", "events/config", &new)
    };
    let realm = admin("e1", 1, "UPDATE", "REALM", "", &json!({ "realm": "shop", "eventsEnabled": true }));
    send(&server, &[realm, settings("e2", 2, false), settings("e3", 3, true)]);
    let off = record(&server, "e2");
    let told = json!({ "__old": true, "__new": false });
    let added =
        json!({ "eventsEnabled": told, "adminEventsEnabled__added": true, "enabledEventTypes__added": ["LOGIN"] });
    assert_eq!(off["diff"], added, "{off}");
    assert_eq!((&off["target"]["id"], &off["target"]["name"]), (&json!("shop"), &json!("shop")), "{off}");
    assert_eq!(record(&server, "e3")["diff"], json!({ "eventsEnabled": { "__old": false, "__new": true } }));
}

#[test]
fn each_event_by_itself_and_across_kills_comes_to_the_same() {
    let mut home = Home::new(&[]);
    for (n, event) in life().into_iter().enumerate() {
        let server = home.start();
        if n == 2 {
            server.admin.post("/v1/t/acme/ingest/keycloak", life()[0].to_string()).ok();
        }
        assert_eq!(send(&server, &[event])["accepted"], 1);
        home = server.kill();
    }
    let server = home.start();
    check(&server);
    let again = send(&server, &life());
    assert_eq!(again["duplicate"], 5, "also where more or less would be derived today: {again}");
    let home = server.stop();
    home.verify().ok();
}

#[test]
fn late_and_repeated_events_do_not_spoil_what_is_known() {
    let server = Server::start(&[]);
    let state = |n: i64| json!({ "username": "ann", "n": n });
    send(&server, &[user("a", 1, "CREATE", &state(1)), user("d", 9, "UPDATE", &state(9))]);
    send(&server, &[user("b", 5, "UPDATE", &state(5))]);
    let late = record(&server, "b");
    assert_eq!((&late["old"], &late["diff"]), (&Value::Null, &Value::Null), "what was before it is not known: {late}");
    send(&server, &[user("a", 1, "CREATE", &state(1))]);
    send(&server, &[user("e", 10, "UPDATE", &state(10))]);
    assert_eq!(record(&server, "e")["diff"], json!({ "n": { "__old": 9, "__new": 10 } }));
    // A deletion clears it, and an event from before does not bring it back.
    send(&server, &[user("f", 20, "DELETE", &Value::Null), user("g", 15, "UPDATE", &state(15))]);
    send(&server, &[user("h", 30, "UPDATE", &state(30))]);
    assert_eq!(record(&server, "h")["old"], Value::Null, "of another life");
    // The same id with other content is another record, whatever is derived.
    let refused = server.admin.post("/v1/t/acme/ingest/keycloak", user("e", 10, "UPDATE", &state(11)).to_string());
    refused.problem(409, "id_conflict");
    send(&server, &[user("i", 31, "UPDATE", &state(31))]);
    assert_eq!(record(&server, "i")["diff"], json!({ "n": { "__old": 30, "__new": 31 } }), "and taught nothing");
}

#[test]
fn a_state_is_redacted_before_it_is_known_and_is_one_tenants_own() {
    let server = Server::start(&[]);
    let client = |id: &str, at: i64, secret: &str, uri: &str| {
        let new = json!({ "clientId": "web", "secret": "zq7", "clientSecret": secret, "baseUrl": uri });
        admin(id, at, "UPDATE", "CLIENT", "clients/c1", &new)
    };
    send(&server, &[client("a", 1, "zq7secret-one", "https://a"), client("b", 2, "zq7secret-two", "https://b")]);
    let changed = record(&server, "b");
    let (url, secret) =
        (json!({ "__old": "https://a", "__new": "https://b" }), json!({ "__old": "***", "__new": "***" }));
    assert_eq!(
        changed["diff"],
        json!({ "baseUrl": url, "clientSecret": secret }),
        "that it is another one shows: {changed}"
    );
    assert!(!changed.to_string().contains("zq7secret"), "{changed}");
    // Another tenant knows nothing of it; nor does another realm.
    let other = client("b", 2, "x", "https://b").to_string();
    server.admin.post("/v1/t/other/ingest/keycloak", &other).ok();
    assert_eq!(server.admin.get("/v1/t/other/records/b").ok()["old"], Value::Null);
    // Rules that came later hold for what was known before.
    server.admin.put("/v1/t/acme", &json!({ "redaction": { "keys": ["baseUrl"] } }).to_string()).ok();
    send(&server, &[client("c", 3, "x", "https://c")]);
    let hidden = record(&server, "c");
    assert!(!hidden.to_string().contains("https://"), "{hidden}");
}

#[test]
fn sessions_and_grants_are_told_of_by_events() {
    let server = Server::start(&[]);
    let event = |id: &str, at: i64, kind: &str, more: Value| {
        let mut event = json!({ "id": id, "time": T0 + at, "type": kind, "realmId": "shop", "userId": "u1" });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    send(
        &server,
        &[
            event(
                "l1",
                1,
                "LOGIN",
                json!({ "sessionId": "s1", "clientId": "web", "details": { "auth_method": "openid-connect" } }),
            ),
            event("l2", 2, "LOGIN", json!({ "sessionId": "s2", "clientId": "app" })),
            event("g1", 3, "GRANT_CONSENT", json!({ "clientId": "app" })),
            event("t1", 4, "REFRESH_TOKEN", json!({ "sessionId": "s1", "clientId": "web" })),
            admin("d1", 5, "DELETE", "USER_SESSION", "sessions/s1", &Value::Null),
        ],
    );
    let ory = |name: &str, second: u32, attributes: Value| json!({ "name": name, "timestamp": format!("2026-11-20T12:00:{second:02}Z"), "eventAttributes": attributes });
    let body = [
        ory("SessionIssued", 1, json!({ "IdentityID": "i1", "SessionID": "k1" })),
        ory(
            "SessionLifespanExtended",
            2,
            json!({ "IdentityID": "i1", "SessionID": "k1", "SessionExpiresAt": "2026-11-20 12:00:05 +0000 UTC" }),
        ),
        ory("SessionIssued", 1, json!({ "IdentityID": "i2", "SessionID": "k2" })),
        ory("SessionRevoked", 3, json!({ "SessionID": "k2" })),
    ];
    server.admin.post("/v1/t/acme/ingest/ory-network", json!(body).to_string()).ok();
    let shown = |view: &str, id: &str| {
        let page = server.admin.page("acme", view, &[("q", id), ("from", "2020-01-01T00:00:00Z")]);
        assert_eq!(page["items"].as_array().unwrap().len(), 1, "{id}: {page}");
        page["items"][0].clone()
    };
    let ended = shown("sessions", "session_id:s1");
    assert_eq!(ended["status"], "revoked", "{ended}");
    assert_eq!(
        (&ended["user_id"], &ended["client_id"]),
        (&json!("u1"), &json!("web")),
        "not the administrator: {ended}"
    );
    assert_eq!(ended["protocol"], "openid-connect");
    assert!(ended["created_at"].as_str().unwrap().ends_with(".001000Z"), "of its first record: {ended}");
    assert_eq!(shown("sessions", "session_id:s2")["status"], "active");
    let expired = shown("sessions", "session_id:k1");
    assert_eq!(
        (&expired["status"], &expired["expires_at"]),
        (&json!("expired"), &json!("2026-11-20T12:00:05.000000Z"))
    );
    let revoked = shown("sessions", "session_id:k2");
    assert_eq!((&revoked["status"], &revoked["user_id"]), (&json!("revoked"), &json!("i2")), "{revoked}");
    let given = shown("grants", "client:app");
    assert_eq!(given["status"], "active", "{given}");
    send(&server, &[admin("c1", 9, "ACTION", "USER", "users/u1/consents/app", &Value::Null)]);
    let taken = shown("grants", &format!("grant_id:{}", given["grant_id"].as_str().unwrap()));
    assert_eq!((&taken["status"], &taken["client"]), (&json!("revoked"), &json!("app")), "{taken}");
}

#[test]
fn what_ends_many_sessions_at_once_ends_those_that_lived() {
    let server = Server::start(&[]);
    let login = |at: i64, user: &str, session: &str, realm: &str| json!({ "id": format!("l-{session}-{at}"), "time": T0 + at, "type": "LOGIN", "realmId": realm, "userId": user, "sessionId": session });
    let status = |session: &str| {
        let page = server.admin.page(
            "acme",
            "sessions",
            &[("q", &format!("session_id:{session}")), ("from", "2020-01-01T00:00:00Z")],
        );
        page["items"][0]["status"].as_str().unwrap_or_default().to_owned()
    };
    let end = |id: &str, at: i64, operation: &str, resource: &str, path: &str, realm: &str| {
        let mut event = admin(id, at, operation, resource, path, &Value::Null);
        event["realmId"] = realm.into();
        send(&server, &[event]);
    };
    let sessions =
        [("u1", "a1", "shop"), ("u1", "a2", "shop"), ("u2", "b1", "shop"), ("u3", "c1", "shop"), ("u4", "d1", "other")];
    send(&server, &sessions.map(|(user, session, realm)| login(10, user, session, realm)));
    end("o1", 20, "ACTION", "USER", "users/u1/logout", "shop");
    send(&server, &[login(30, "u1", "a3", "shop"), login(15, "u1", "a4", "shop")]);
    assert_eq!(["a1", "a2", "a4", "a3", "b1"].map(status), ["revoked", "revoked", "revoked", "active", "active"]);
    assert_eq!(server.admin.post("/v1/t/acme/sessions/a1/revoke?preview=true", "").ok()["status"], "revoked");
    end("o2", 40, "DELETE", "USER", "users/u2", "shop");
    assert_eq!(["b1", "c1"].map(status), ["revoked", "active"]);
    // Somebody who is told of by a token, of one session and of all that are left.
    let token = |id: &str, subject: Value| {
        let uri = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
        json!({ "iss": "https://idp.example/", "jti": id, "iat": (T0 + 50_000) / 1000, "sub_id": subject, "events": { uri: {} } })
    };
    let user = json!({ "format": "iss_sub", "iss": "https://idp.example/", "sub": "u1" });
    send(&server, &[login(41, "u1", "a5", "shop")]);
    let one = json!({ "format": "complex", "user": user, "session": { "format": "opaque", "id": "a3" }, "tenant": { "format": "opaque", "id": "t" } });
    server.admin.post("/v1/t/acme/ingest/set", token("j1", one).to_string()).ok();
    assert_eq!(["a3", "a5"].map(status), ["revoked", "active"]);
    server
        .admin
        .post("/v1/t/acme/ingest/set", token("j2", json!({ "format": "complex", "user": user })).to_string())
        .ok();
    assert_eq!(["a5", "c1"].map(status), ["revoked", "active"]);
    end("o3", 60_000, "ACTION", "REALM", "logout-all", "shop");
    assert_eq!(["c1", "d1"].map(status), ["revoked", "active"], "of that realm only");
    let revoked = server.admin.column(
        "acme",
        "sessions",
        &[("q", "status:revoked"), ("from", "2020-01-01T00:00:00Z")],
        "session_id",
    );
    assert_eq!(revoked.len(), 7, "{revoked:?}");
}

#[test]
fn whoever_is_gone_has_no_session_and_a_subjects_consents_go_together() {
    let server = Server::start(&[]);
    let status = |view: &str, q: &str| {
        let page = server.admin.page("acme", view, &[("q", q), ("from", "2020-01-01T00:00:00Z")]);
        page["items"][0]["status"].as_str().unwrap_or_default().to_owned()
    };
    let user = |kind: &str, at: i64, session: &str| json!({ "id": format!("{kind}-{session}"), "time": T0 + at, "type": kind, "realmId": "shop", "userId": "u1", "sessionId": session, "clientId": "account" });
    send(&server, &[user("LOGIN", 1, "s1"), user("LOGIN", 2, "s2"), user("DELETE_ACCOUNT", 3, "s2")]);
    assert_eq!(["session_id:s1", "session_id:s2"].map(|q| status("sessions", q)), ["revoked", "revoked"]);
    let ory = |events: &[(&str, i64, Value)]| {
        let body: Vec<Value> = events
            .iter()
            .map(|(name, at, attributes)| json!({ "name": name, "timestamp": format!("2026-11-20T12:00:{at:02}Z"), "eventAttributes": attributes }))
            .collect();
        server.admin.post("/v1/t/acme/ingest/ory-network", json!(body).to_string()).ok();
    };
    let consent = |subject: &str, client: &str| json!({ "OAuth2Subject": subject, "OAuth2ClientID": client });
    let asked = |client: &str, request: &str| json!({ "OAuth2Subject": "i3", "OAuth2ClientID": client, "OAuth2ConsentRequestID": request });
    ory(&[
        ("SessionIssued", 1, json!({ "IdentityID": "i1", "SessionID": "k1" })),
        ("OAuth2ConsentAccepted", 1, consent("i1", "a")),
        ("OAuth2ConsentAccepted", 2, consent("i1", "b")),
        ("OAuth2ConsentAccepted", 2, consent("i2", "c")),
        ("OAuth2ConsentRevoked", 3, json!({ "OAuth2Subject": "i1" })),
        ("OAuth2ConsentAccepted", 4, consent("i1", "d")),
        ("IdentityDeleted", 5, json!({ "IdentityID": "i1" })),
        ("OAuth2ConsentAccepted", 6, asked("e", "r1")),
        ("OAuth2ConsentAccepted", 6, asked("f", "r2")),
        ("OAuth2ConsentRevoked", 7, json!({ "OAuth2ConsentRequestID": "r1" })),
    ]);
    assert_eq!(
        ["client:a", "client:b", "client:c", "client:d"].map(|q| status("grants", q)),
        ["revoked", "revoked", "active", "active"]
    );
    assert_eq!(["client:e", "client:f"].map(|q| status("grants", q)), ["revoked", "active"]);
    assert_eq!(status("sessions", "session_id:k1"), "revoked");
}

#[test]
fn a_job_keeps_its_last_known_status_where_a_word_is_not_known() {
    let server = Server::start(&[]);
    let mut shown = Vec::new();
    for (minute, word) in [(0, "running"), (1, "Retrying"), (2, "Completed"), (3, "archived")] {
        let job = json!({ "jobId": "j1", "jobName": "trim", "latestStatus": word, "createdAt": "2026-11-20T12:00:00Z", "updatedAt": format!("2026-11-20 12:{minute:02}") });
        assert_eq!(server.admin.post("/v1/t/acme/ingest/guide", job.to_string()).ok()["accepted"], 1);
        let page = server.admin.page("acme", "job_logs", &[("q", "job_id:j1"), ("from", "2020-01-01T00:00:00Z")]);
        let job = page["items"][0].clone();
        assert_eq!(job["details"]["latestStatus"].as_str().unwrap_or(word), word, "{job}");
        shown.push(job["latest_status"].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(shown, ["running", "running", "success", "success"]);
}

#[test]
fn every_session_that_a_webhook_names_ends() {
    let server = Server::start(&[]);
    let send = |name: &str, at: i64, event: Value| {
        let uri = format!("https://schemas.identity.wso2.org/events/session/event-type/{name}");
        let body = json!({ "iss": "https://api.asgardeo.io/t/shop", "jti": format!("{name}-{at}"), "iat": T0 + at, "events": { uri: event } });
        assert_eq!(server.admin.post("/v1/t/acme/ingest/asgardeo", body.to_string()).ok()["accepted"], 1);
    };
    for (at, session) in ["s1", "s2", "s3", "s4"].iter().enumerate() {
        send("sessionEstablished", at as i64, json!({ "user": { "id": "u1" }, "session": { "id": session } }));
    }
    let statuses = || {
        let all = [("from", "2020-01-01T00:00:00Z")];
        let names = server.admin.column("acme", "sessions", &all, "session_id");
        let mut found: Vec<_> =
            names.into_iter().zip(server.admin.column("acme", "sessions", &all, "status")).collect();
        found.sort();
        found.into_iter().map(|(_, status)| status).collect::<Vec<_>>()
    };
    assert_eq!(statuses(), ["active"; 4]);
    send("sessionRevoked", 10, json!({ "user": { "id": "u1" }, "sessions": [{ "id": "s1" }, { "id": "s2" }] }));
    assert_eq!(statuses(), ["revoked", "revoked", "active", "active"]);
    send("sessionRevoked", 11, json!({ "user": { "id": "u1" }, "sessionId": "s3" }));
    assert_eq!(statuses(), ["revoked", "revoked", "revoked", "active"]);
    // What went on after it is not ended by it, however late it is told.
    send("sessionEstablished", 20, json!({ "user": { "id": "u1" }, "session": { "id": "s1" } }));
    assert_eq!(statuses(), ["active", "revoked", "revoked", "active"]);
}

#[test]
fn ory_identities_too() {
    let server = Server::start(&[]);
    let keep = json!({ "redaction": { "keep_traits": true } });
    server.admin.put("/v1/t/acme", &keep.to_string());
    let action = |event: &str, second: u32, email: &str| {
        json!({
            "event": event, "timestamp": format!("2026-11-20T12:00:{second:02}.000Z"), "flow": { "id": format!("f{second}") },
            "identity": { "id": "i1", "state": "active", "traits": { "email": email } },
            "request_method": "POST", "request_url": "https://login.example/self-service/x", "request_headers": {},
        })
        .to_string()
    };
    for sent in [action("registration", 1, "ann@old.example"), action("settings", 2, "ann@new.example")] {
        assert_eq!(server.admin.post("/v1/t/acme/ingest/ory", sent).ok()["accepted"], 1);
    }
    let found = |q: &str| {
        let page = server.admin.page("acme", "records", &[("q", q)]);
        assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
        page["items"][0].clone()
    };
    let changed = found("action:settings");
    assert_eq!(
        changed["diff"],
        json!({ "traits": { "email": { "__old": "ann@old.example", "__new": "ann@new.example" } } }),
        "{changed}"
    );
    // Where traits are not kept it shows all the same that they are others.
    server.admin.put("/v1/t/shop", "{}");
    for (n, email) in [(1, "ann@old.example"), (2, "ann@new.example"), (3, "ann@new.example")] {
        let sent = action(if n == 1 { "registration" } else { "settings" }, n, email);
        assert_eq!(server.admin.post("/v1/t/shop/ingest/ory", sent).ok()["accepted"], 1);
    }
    let page = server.admin.page("shop", "records", &[("q", "action:settings")]);
    assert!(!page.to_string().contains("example\""), "{page}");
    let hidden = json!({ "traits": { "__old": "***", "__new": "***" } });
    assert_eq!([&page["items"][1]["diff"], &page["items"][0]["diff"]], [&hidden, &Value::Null], "{page}");
    let event = |name: &str, second: u32, active: &str| {
        json!({ "name": name, "timestamp": format!("2026-11-20T12:00:{second:02}Z"),
            "eventAttributes": { "IdentityID": "i2", "IdentityActive": active } })
    };
    let sent = json!([event("IdentityCreated", 1, "true"), event("IdentityUpdated", 2, "false")]);
    server.admin.post("/v1/t/acme/ingest/ory-network", sent.to_string()).ok();
    let off = found("action:IdentityUpdated");
    assert_eq!(off["diff"], json!({ "active": { "__old": true, "__new": false } }), "{off}");
    assert_eq!(off["attributes"]["_indelible"], json!({ "derived": ["old", "diff"], "inferred": ["new"] }));
}

#[test]
fn what_a_person_changed_itself_is_known_at_the_next_change() {
    let mut server = Server::start(&[]);
    let own = |id: &str, at: i64, kind: &str, details: Value| json!({ "id": id, "time": T0 + at, "type": kind, "realmId": "shop", "clientId": "account", "userId": "u1", "details": details });
    let before =
        json!({ "username": "ann", "email": "a@x", "lastName": "A", "attributes": { "team": ["red"], "room": ["1"] } });
    let email = json!({ "previous_email": "a@x", "updated_email": "b@x", "context": "ACCOUNT" });
    let profile = json!({ "previous_last_name": "A", "updated_last_name": "B", "updated_team": "blue" });
    send(
        &server,
        &[
            user("e1", 1, "CREATE", &before),
            own("e2", 2, "UPDATE_EMAIL", email),
            own("e3", 3, "UPDATE_PROFILE", profile),
        ],
    );
    // It keeps its own words, and nothing is derived for it.
    let changed = record(&server, "e3");
    assert_eq!(changed["old"], json!({ "last_name": "A" }), "{changed}");
    assert_eq!(changed["new"], json!({ "last_name": "B", "team": "blue" }), "{changed}");
    assert_eq!(changed["attributes"]["_indelible"]["derived"], Value::Null, "{changed}");
    let after =
        |email: &str| json!({ "email": email, "lastName": "B", "attributes": { "team": ["blue"], "room": ["1"] } });
    send(&server, &[user("e4", 4, "UPDATE", &after("c@x"))]);
    assert_eq!(record(&server, "e4")["diff"], json!({ "email": { "__old": "b@x", "__new": "c@x" } }));
    // Brought back from the records it is the same.
    send(&server, &[own("e5", 5, "UPDATE_EMAIL", json!({ "previous_email": "c@x", "updated_email": "d@x" }))]);
    server = server.kill().start();
    send(&server, &[user("e6", 6, "UPDATE", &after("e@x"))]);
    assert_eq!(record(&server, "e6")["diff"], json!({ "email": { "__old": "d@x", "__new": "e@x" } }));
}

#[test]
fn actions_of_ory_that_overtake_each_other_derive_nothing_the_wrong_way_round() {
    let mut server = Server::start(&[]);
    server.admin.put("/v1/t/acme", &json!({ "redaction": { "keep_traits": true } }).to_string());
    let action = |second: u32, email: &str| json!({ "event": "settings", "identity": { "id": "i1", "traits": { "email": email }, "updated_at": format!("2026-11-20T12:00:{second:02}Z") } });
    let post = |server: &Server, body: &Value| {
        let answer = server.admin.post("/v1/t/acme/ingest/ory?receipts=full", body.to_string()).ok();
        let id = answer["results"][0]["id"].as_str().unwrap().to_owned();
        record(server, &id)
    };
    post(&server, &action(1, "a@x"));
    let third = post(&server, &action(3, "c@x"));
    assert_eq!(third["diff"]["traits"], json!({ "email": { "__old": "a@x", "__new": "c@x" } }), "{third}");
    let late = post(&server, &action(2, "b@x"));
    assert_eq!((&late["old"], &late["diff"]), (&Value::Null, &Value::Null), "{late}");
    let fourth = post(&server, &action(4, "d@x"));
    assert_eq!(fourth["diff"]["traits"], json!({ "email": { "__old": "c@x", "__new": "d@x" } }), "{fourth}");
    // After a start, too; and within one body.
    post(&server, &action(3, "c2@x"));
    server = server.kill().start();
    let body = json!([action(6, "f@x"), action(5, "e@x")]);
    let sixth = post(&server, &body);
    assert_eq!(sixth["new"]["traits"]["email"], "f@x", "{sixth}");
    assert_eq!(sixth["diff"]["traits"], json!({ "email": { "__old": "e@x", "__new": "f@x" } }), "{sixth}");
    let fifth = server.admin.page("acme", "records", &[("q", "new.traits.email:e@x")]);
    assert_eq!(fifth["items"][0]["diff"]["traits"], json!({ "email": { "__old": "d@x", "__new": "e@x" } }), "{fifth}");
}
