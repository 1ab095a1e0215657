//! Sessions and grants are revoked where they came from, confirmed by the source's own word, and every step is a record.
//!
//! The peers here speak the shapes of the admin interfaces; they are no Kratos, Hydra or Keycloak. Those are in `real_ory` and
//! `keycloak`.

use crate::http::Client;
use crate::server::{Server, eventually};
use crate::upstream::{Answer, Asked, Peer};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SECRET: &str = "zq7connectorsecret";

fn done(status: u16) -> Answer {
    Answer { status, body: "", after: Duration::ZERO }
}

fn connector(server: &Server, name: &str, system: &str, settings: &Value, secret: &str) {
    let body = json!({ "system": system, "kind": "connector", "settings": settings, "secrets": { secret: SECRET } });
    let answer = server.admin.put(&format!("/v1/t/acme/sources/{name}"), &body.to_string());
    assert_eq!(answer.status, 201, "{answer}");
}

fn ory(name: &str, attributes: &Value) -> String {
    json!({ "name": name, "timestamp": crate::server::at(0), "eventAttributes": attributes }).to_string()
}

/// Sessions s1 and s2 of i1 and a consent of i1 to `app`, from Ory.
fn signed_in(server: &Server) {
    let events = [
        ory("SessionIssued", &json!({ "IdentityID": "i1", "SessionID": "s1" })),
        ory("SessionIssued", &json!({ "IdentityID": "i1", "SessionID": "s2" })),
        ory("OAuth2ConsentAccepted", &json!({ "OAuth2Subject": "i1", "OAuth2ClientID": "app" })),
    ];
    assert_eq!(server.admin.post("/v1/t/acme/ingest/ory-network", events.join("\n")).ok()["accepted"], 3);
}

/// What the source itself says, some time after it was asked.
fn says(client: &Client, events: &[String]) {
    std::thread::sleep(Duration::from_millis(300));
    client.post("/v1/t/acme/ingest/ory-network", events.join("\n")).ok();
}

fn steps(server: &Server, operation: &Value) -> Vec<String> {
    let shown = server.admin.get(&format!("/v1/t/acme/revocations/{}", operation.as_str().unwrap())).ok();
    shown["steps"].as_array().unwrap().iter().map(|s| s["step"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_session_is_revoked_and_confirmed_by_kratos() {
    let server = Server::start(&[]);
    signed_in(&server);
    let client = server.admin.clone();
    let peer = Peer::start(
        |_| done(204),
        move |asked| {
            if let Some(id) = asked.line.strip_prefix("DELETE /admin/sessions/") {
                says(&client, &[ory("SessionRevoked", &json!({ "IdentityID": "i1", "SessionID": id }))]);
            }
        },
    );
    connector(&server, "kratos", "kratos", &json!({ "url": peer.url }), "token");
    let preview = server.admin.post("/v1/t/acme/sessions/s1/revoke?preview=true", "").ok();
    assert_eq!((&preview["upstream"], &preview["irreversible"]), (&json!(true), &json!(true)), "{preview}");
    assert_eq!(preview["sessions"], json!([{ "session_id": "s1", "user_id": "i1", "status": "active" }]));
    assert_eq!(preview["connectors"][0]["requests"], json!([format!("DELETE {}/admin/sessions/s1", peer.url)]));
    assert!(peer.asked().is_empty(), "a preview does nothing");
    let nothing = [("q", "action:indelible.revoke.*")];
    assert_eq!(server.admin.page("acme", "records", &nothing)["items"], json!([]), "and is no step");

    let answer = server.admin.post("/v1/t/acme/sessions/s1/revoke?wait=20", "").ok();
    assert_eq!(
        (&answer["state"], &answer["detail"]),
        (&json!("confirmed"), &json!("revoked and confirmed")),
        "{answer}"
    );
    let asked = peer.asked();
    // It is asked what it shows, which here is nothing; the event says it.
    assert_eq!(peer.lines(), ["DELETE /admin/sessions/s1", "GET /admin/sessions/s1"]);
    assert!(asked.iter().all(|asked| asked.header("authorization") == format!("Bearer {SECRET}")));
    assert_eq!(steps(&server, &answer["operation"]), ["requested", "sent", "answered", "confirmed", "ended"]);
    let status = |id: &str| server.admin.column("acme", "sessions", &[("q", &format!("session_id:{id}"))], "status");
    assert_eq!((status("s1"), status("s2")), (vec!["revoked".to_owned()], vec!["active".to_owned()]));
    let list = server.admin.get("/v1/t/acme/revocations").ok();
    assert_eq!(
        (&list["items"][0]["session_id"], &list["items"][0]["kind"]),
        (&json!("s1"), &json!("session")),
        "{list}"
    );
    // In other words too it is the session's user who was signed out, and not who asked for it.
    let shown = server.admin.get("/v1/t/acme/as/ocsf/records?q=action:indelible.revoke.requested").ok();
    let event = &shown["items"][0];
    assert_eq!(
        (&event["type_name"], &event["user"]["uid"]),
        (&json!("Authentication: Logoff"), &json!("i1")),
        "{event}"
    );
    let audit = server.admin.page("acme", "audit_logs", &nothing);
    assert!(!audit.to_string().contains(SECRET) && !server.home.logs().contains(SECRET), "no secret anywhere");
}

#[test]
fn a_source_that_sends_no_event_is_asked_what_it_shows() {
    let server = Server::start(&[]);
    signed_in(&server);
    let peer = Peer::start(
        |asked| Answer {
            body: match asked.line.as_str() {
                "GET /admin/sessions/s1" => r#"{"id":"s1","active":false}"#,
                "GET /admin/identities/i1/sessions?active=true" => "[]",
                _ => "",
            },
            ..done(if asked.line.starts_with("GET") { 200 } else { 204 })
        },
        |_: &Asked| {},
    );
    connector(&server, "kratos", "kratos", &json!({ "url": peer.url }), "token");
    let started = Instant::now();
    let answer = server.admin.post("/v1/t/acme/sessions/s1/revoke?wait=20", "").ok();
    assert_eq!(answer["state"], "confirmed", "{answer}");
    assert_eq!(answer["detail"], "revoked and confirmed: asked afterwards, the system shows it as ended", "{answer}");
    assert!(started.elapsed() < Duration::from_secs(15), "no event is waited for");
    assert_eq!(steps(&server, &answer["operation"]), ["requested", "sent", "answered", "confirmed", "ended"]);
    let sessions = |member: &str| {
        let session = |id: &str| server.admin.column("acme", "sessions", &[("q", &format!("session_id:{id}"))], member);
        [session("s1"), session("s2")].concat()
    };
    assert_eq!(
        (sessions("status").join(" "), sessions("user_id").join(" ")),
        ("revoked active".into(), "i1 i1".into())
    );
    let preview = server.admin.post("/v1/t/acme/sessions/s1/revoke?preview=true", "").ok();
    assert_eq!(preview["sessions"][0]["status"], "revoked", "{preview}");
    assert_eq!(preview["connectors"].as_array().unwrap().len(), 1, "our own record is no source: {preview}");

    let all = server.admin.post("/v1/t/acme/sessions/revoke?wait=20", json!({ "user_id": "i1" }).to_string()).ok();
    assert_eq!(all["state"], "confirmed", "{all}");
    assert_eq!(
        (sessions("status").join(" "), sessions("user_id").join(" ")),
        ("revoked revoked".into(), "i1 i1".into())
    );
}

#[test]
fn all_of_a_users_sessions_and_a_grant() {
    let server = Server::start(&[]);
    signed_in(&server);
    let client = server.admin.clone();
    let peer = Peer::start(
        |_| done(204),
        move |asked| {
            let revoked = |id: &str| ory("SessionRevoked", &json!({ "SessionID": id }));
            match asked.line.as_str() {
                "DELETE /admin/identities/i1/sessions" => {
                    says(&client, &[revoked("s1")]);
                    says(&client, &[revoked("s2")]);
                }
                line if line.contains("/consent?") => {
                    says(
                        &client,
                        &[ory("OAuth2ConsentRevoked", &json!({ "OAuth2Subject": "i1", "OAuth2ClientID": "app" }))],
                    );
                }
                _ => {}
            }
        },
    );
    connector(&server, "kratos", "kratos", &json!({ "url": peer.url }), "token");
    connector(&server, "hydra", "hydra", &json!({ "url": peer.url }), "token");
    let body = json!({ "user_id": "i1" }).to_string();
    let preview = server.admin.post("/v1/t/acme/sessions/revoke?preview=true", &body).ok();
    assert_eq!(preview["sessions"].as_array().unwrap().len(), 2, "{preview}");
    assert_eq!(preview["connectors"].as_array().unwrap().len(), 2);
    let answer = server.admin.post("/v1/t/acme/sessions/revoke?wait=20", &body).ok();
    // Kratos confirmed both; of its own sign-in sessions Hydra never says anything.
    assert_eq!(answer["state"], "not_confirmable", "{answer}");
    assert_eq!(answer["connectors"][1]["state"], "confirmed", "{answer}");
    assert!(peer.lines().contains(&"DELETE /admin/oauth2/auth/sessions/login?subject=i1".to_owned()));

    let grant = server.admin.page("acme", "grants", &[("q", "client:app")])["items"][0]["grant_id"].clone();
    let path = format!("/v1/t/acme/grants/{}/revoke?wait=20", grant.as_str().unwrap());
    let answer = server.admin.post(&path, "").ok();
    assert_eq!(answer["state"], "confirmed", "{answer}");
    assert!(peer.lines().contains(&"DELETE /admin/oauth2/auth/sessions/consent?subject=i1&client=app".to_owned()));
    assert_eq!(server.admin.column("acme", "grants", &[], "status"), ["revoked"]);
}

/// As the monitoring guide has them: the person by an address, the client by its name.
#[test]
fn a_grant_that_names_address_and_client_is_revoked() {
    let server = Server::start(&[]);
    let grant = |id: &str, client: &Value| json!({ "Grant ID": id, "Email": "a@x.com", "Client": client, "Session ID": "s", "Status": "active", "Created At": crate::server::at(0) });
    let both = json!([grant("g1", &json!("app")), grant("g2", &json!({ "id": "c2", "name": "other" }))]);
    assert_eq!(server.admin.post("/v1/t/acme/ingest/guide", both.to_string()).ok()["accepted"], 2);
    let one = server.admin.post("/v1/t/acme/grants/g1/revoke?preview=true", "").ok();
    assert_eq!(
        one["grants"][0],
        json!({ "grant_id": "g1", "user_id": "a@x.com", "client_id": "app", "status": "active" })
    );
    let body = json!({ "user_id": "a@x.com" }).to_string();
    let all = server.admin.post("/v1/t/acme/grants/revoke?preview=true", &body).ok();
    let clients: Vec<_> = all["grants"].as_array().unwrap().iter().map(|g| g["client_id"].clone()).collect();
    assert_eq!(clients, ["app", "c2"], "{all}");
    let answer = server.admin.post("/v1/t/acme/grants/g1/revoke", "");
    assert_eq!((answer.status, &answer.json()["client_id"]), (202, &json!("app")), "{answer}");
}

#[test]
fn keycloak_by_its_service_account() {
    let server = Server::start(&[]);
    let event = |kind: &str, session: &str| {
        let now = jiff_millis();
        json!({ "time": now, "type": kind, "realmId": "shop", "userId": "u1", "clientId": "web", "sessionId": session })
            .to_string()
    };
    server.admin.post("/v1/t/acme/ingest/keycloak", event("LOGIN", "s1")).ok();
    let client = server.admin.clone();
    let peer = Peer::start(
        |asked| match asked.line.as_str() {
            "POST /realms/shop/protocol/openid-connect/token" => {
                Answer { status: 200, body: r#"{"access_token":"zq7accesstoken"}"#, after: Duration::ZERO }
            }
            _ if asked.header("authorization") == "Bearer zq7accesstoken" => done(204),
            _ => done(401),
        },
        move |asked| {
            if asked.line.starts_with("DELETE /admin") {
                let confirm = json!({ "time": jiff_millis(), "realmId": "shop", "operationType": "DELETE",
                    "resourceType": "USER_SESSION", "resourcePath": "sessions/s1", "authDetails": { "userId": "us" } });
                client.post("/v1/t/acme/ingest/keycloak", confirm.to_string()).ok();
            }
        },
    );
    let settings = json!({ "url": peer.url, "realm": "shop", "client_id": "indelible" });
    connector(&server, "kc", "keycloak", &settings, "client_secret");
    let answer = server.admin.post("/v1/t/acme/sessions/s1/revoke?wait=20", "").ok();
    assert_eq!(answer["state"], "confirmed", "{answer}");
    assert_eq!(
        peer.lines(),
        ["POST /realms/shop/protocol/openid-connect/token", "DELETE /admin/realms/shop/sessions/s1"]
    );
    assert!(peer.asked()[0].body.contains(&format!("client_secret={SECRET}")));
}

#[test]
fn of_many_grants_one_that_is_gone_keeps_no_other_from_being_withdrawn() {
    let server = Server::start(&[]);
    let grants: Vec<String> = ["app1", "app2", "app3"]
        .map(|app| {
            json!({ "time": jiff_millis(), "type": "GRANT_CONSENT", "realmId": "shop", "userId": "u1", "clientId": app,
                "details": { "granted_client": app } })
            .to_string()
        })
        .to_vec();
    server.admin.post("/v1/t/acme/ingest/keycloak", grants.join("\n")).ok();
    let peer = Peer::start(
        |asked| match asked.line.as_str() {
            line if line.starts_with("POST") => {
                Answer { status: 200, body: r#"{"access_token":"t"}"#, after: Duration::ZERO }
            }
            line if line.ends_with("app1") || line.ends_with("app2") => done(404),
            _ => done(204),
        },
        |_| {},
    );
    let settings = json!({ "url": peer.url, "realm": "shop", "client_id": "indelible" });
    connector(&server, "kc", "keycloak", &settings, "client_secret");
    let answer = server.admin.post("/v1/t/acme/grants/revoke?wait=20", json!({ "user_id": "u1" }).to_string()).ok();
    assert_eq!(answer["state"], "failed", "{answer}");
    let asked = peer.lines();
    for app in ["app1", "app2", "app3"] {
        assert!(asked.iter().any(|line| line.ends_with(&format!("consents/{app}"))), "{app}: {asked:?}");
    }
    let told = answer["connectors"][0]["detail"].as_str().unwrap();
    assert!(told.contains("404") && told.contains("1 of 3"), "{told}");
}

#[expect(clippy::disallowed_methods, reason = "a source has a clock of its own")]
fn jiff_millis() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[test]
fn one_that_says_nothing_is_not_confirmed_and_one_that_fails_is_told_so() {
    let server = Server::start(&[]);
    signed_in(&server);
    let peer = Peer::start(
        |asked| match asked.line.as_str() {
            "DELETE /admin/sessions/s1" => Answer { status: 204, body: "", after: Duration::from_millis(500) },
            _ => done(500),
        },
        |_: &Asked| {},
    );
    connector(&server, "kratos", "kratos", &json!({ "url": peer.url }), "token");
    let started = Instant::now();
    let answer = server.admin.post("/v1/t/acme/sessions/s1/revoke", "");
    assert_eq!(answer.status, 202, "answered at once: {answer}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    let operation = answer.json()["operation"].clone();
    let failed = server.admin.post("/v1/t/acme/sessions/s2/revoke?wait=true", "").ok();
    assert_eq!(failed["state"], "failed", "{failed}");
    assert!(failed["detail"].as_str().unwrap().contains("500"), "{failed}");
    let status = |id: &str| server.admin.column("acme", "sessions", &[("q", &format!("session_id:{id}"))], "status");
    assert_eq!(status("s1"), ["active"], "what the source did not say is not shown as done");
    let path = format!("/v1/t/acme/revocations/{}", operation.as_str().unwrap());
    let until = Instant::now() + Duration::from_secs(45);
    while server.admin.get(&path).ok()["state"] != "not_confirmed" {
        assert!(Instant::now() < until, "{}", server.admin.get(&path).text());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(started.elapsed() >= Duration::from_secs(30), "it was waited for");
    assert_eq!(server.admin.get(&path).ok()["detail"], "not confirmed after 30 s");
    let all = ["requested", "sent", "answered", "not_confirmed", "ended"];
    assert_eq!(steps(&server, &operation), all);
    let waited = server.admin.page("acme", "records", &[("q", "action:indelible.revoke.not_confirmed")]);
    let open = &waited["items"][0]["attributes"]["unconfirmed"];
    assert!(open[0].as_str().unwrap().contains("s1"), "which it was: {waited}");
    // Its word comes late: it is confirmed from then on, which is a step of its own, and what was recorded stays.
    says(&server.admin, &[ory("SessionRevoked", &json!({ "IdentityID": "i1", "SessionID": "s1" }))]);
    let late = server.admin.get(&path).ok();
    assert_eq!((&late["state"], &late["connectors"][0]["state"]), (&json!("confirmed"), &json!("confirmed")), "{late}");
    assert!(late["detail"].as_str().unwrap().contains("later"), "{late}");
    // All of it is found as the guide says.
    let found = server.cli(&["search", "acme", "session_id:s1 OR session.id:s1 OR target.id:s1", "-o", "jsonl"]).ok();
    for action in ["SessionIssued", "SessionRevoked", "indelible.revoke.requested", "indelible.revoke.ended"] {
        assert!(found.contains(action), "{action}: {found}");
    }
    assert_eq!(status("s1"), ["revoked"]);
    eventually("it is written down", || steps(&server, &operation).last().is_some_and(|step| step == "confirmed"));
    assert_eq!(steps(&server, &operation), [&all[..], &["confirmed"]].concat());
    let confirmed = server.admin.page("acme", "records", &[("q", "action:indelible.revoke.confirmed")]);
    let confirmed = &confirmed["items"][0];
    assert_eq!((&confirmed["target"]["id"], &confirmed["attributes"]["connector"]), (&json!("s1"), &json!("kratos")));
    assert!(
        confirmed["actor"]["id"].is_string() && confirmed["attributes"]["detail"].as_str().unwrap().contains("later")
    );
    assert_eq!(server.admin.get(&path).ok()["state"], "confirmed");
}

/// Nobody waits any more after a stop: what became of it is written down all the same.
#[test]
fn a_revocation_that_a_kill_cut_off_ends_after_the_start() {
    let server = Server::start(&[]);
    signed_in(&server);
    let peer = Peer::start(|_| done(204), |_: &Asked| {});
    connector(&server, "kratos", "kratos", &json!({ "url": peer.url }), "token");
    let answer = server.admin.post("/v1/t/acme/sessions/s1/revoke", "");
    let operation = answer.json()["operation"].clone();
    eventually("it was answered", || steps(&server, &operation).contains(&"answered".to_owned()));
    let server = server.kill().start();
    eventually("it ends", || steps(&server, &operation).contains(&"ended".to_owned()));
    let path = format!("/v1/t/acme/revocations/{}", operation.as_str().unwrap());
    let cut = server.admin.get(&path).ok();
    assert_eq!((&cut["state"], &cut["upstream"]), (&json!("not_confirmed"), &json!(true)), "{cut}");
    assert!(cut["detail"].as_str().unwrap().contains("cut"), "{cut}");
    says(&server.admin, &[ory("SessionRevoked", &json!({ "IdentityID": "i1", "SessionID": "s1" }))]);
    eventually("its late word is written down", || steps(&server, &operation).contains(&"confirmed".to_owned()));
    assert_eq!(server.admin.get(&path).ok()["state"], "confirmed");
    // Not once more with the next start.
    let before = steps(&server, &operation);
    let server = server.kill().start();
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(steps(&server, &operation), before);
}

#[test]
fn whoever_checks_misses_none_of_many_revocations() {
    let server = Server::start(&[]);
    signed_in(&server);
    let key = server.tenant_key("acme", &["revoke", "read"]);
    // More than a page of records has.
    let count = 1_003;
    std::thread::scope(|scope| {
        for part in 0..8 {
            let key = &key;
            scope.spawn(move || {
                for n in (part..count).step_by(8) {
                    let user = json!({ "user_id": format!("u{n}") }).to_string();
                    assert_eq!(key.post("/v1/t/acme/sessions/revoke?wait=0", &user).status, 202);
                }
            });
        }
    });
    let list = key.get("/v1/t/acme/revocations").ok();
    let users: std::collections::HashSet<_> =
        list["items"].as_array().unwrap().iter().map(|item| item["user_id"].as_str().unwrap()).collect();
    assert_eq!(users.len(), count, "each once");
    let since = list["next"].as_str().unwrap();
    assert_eq!(key.get(&format!("/v1/t/acme/revocations?since={since}")).ok()["items"], json!([]));
}

#[test]
fn without_a_connector_it_is_recorded_and_published_and_says_so() {
    let server = Server::start(&[]);
    signed_in(&server);
    let key = server.tenant_key("acme", &["revoke", "read"]);
    let answer = key.post("/v1/t/acme/sessions/s1/revoke?wait=5", "").ok();
    assert_eq!((&answer["state"], &answer["upstream"]), (&json!("recorded"), &json!(false)), "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("nothing upstream was told"), "{answer}");
    let list = key.get("/v1/t/acme/revocations");
    let etag = list.header("etag").to_owned();
    assert!(list.header("cache-control").contains("max-age"), "{list}");
    let list = list.ok();
    assert_eq!(list["items"][0]["session_id"], "s1", "{list}");
    let same = key.get_with("/v1/t/acme/revocations", &[("if-none-match", &etag)]);
    assert_eq!((same.status, same.body.len()), (304, 0));
    let since = list["next"].as_str().unwrap();
    assert_eq!(key.get(&format!("/v1/t/acme/revocations?since={since}")).ok()["items"], json!([]));
    let user = json!({ "user_id": "i1" }).to_string();
    key.post("/v1/t/acme/sessions/revoke?wait=5", &user).ok();
    let newer = key.get(&format!("/v1/t/acme/revocations?since={since}")).ok();
    assert_eq!(
        (&newer["items"][0]["kind"], &newer["items"][0]["user_id"]),
        (&json!("sessions"), &json!("i1")),
        "{newer}"
    );
    key.get("/v1/t/acme/revocations?since=nonsense").problem(400, "bad_time");
    assert_ne!(key.get("/v1/t/acme/revocations").header("etag"), etag);

    key.post("/v1/t/acme/sessions/nobody/revoke", "").problem(404, "not_found");
    key.post("/v1/t/acme/sessions/revoke", "{}").problem(400, "missing_field");
    key.post("/v1/t/acme/sessions/s1/revoke?wait=forever", "").problem(400, "invalid_parameter");
    server
        .tenant_key("acme", &["read", "write"])
        .post("/v1/t/acme/sessions/s1/revoke", "")
        .problem(403, "missing_scope");
    // Nobody else can put something on the list that services believe.
    let forged = json!({ "log": "audit", "action": "Indelible.revoke.requested",
        "attributes": { "kind": "sessions", "user_id": "i2" } });
    server.admin.post("/v1/t/acme/records", forged.to_string()).problem(400, "reserved_action");
    // Nor say what was done with keys, or that something is missing.
    let forged = json!({ "log": "audit", "action": "indelible.key.create", "source": "Indelible" });
    server.admin.post("/v1/t/acme/records", forged.to_string()).problem(400, "reserved_source");
    let forged = json!({ "log": "audit", "action": "Indelible.gap" });
    server.admin.post("/v1/t/acme/records", forged.to_string()).problem(400, "reserved_action");
    let forged = json!({ "log": "audit", "action": "x", "id": "gap:kc:1:2" });
    server.admin.post("/v1/t/acme/records", forged.to_string()).problem(400, "reserved_id");
}

#[test]
fn anything_else_is_told_by_a_signed_webhook() {
    let server = Server::start(&[]);
    let okta = json!({ "uuid": "o1", "published": crate::server::at(0), "eventType": "user.session.start",
        "actor": { "id": "u1", "type": "User" }, "outcome": { "result": "SUCCESS" },
        "authenticationContext": { "externalSessionId": "os1" } });
    server.admin.post("/v1/t/acme/ingest/okta", okta.to_string()).ok();
    let peer = Peer::start(|_| done(200), |_: &Asked| {});
    connector(&server, "hook", "webhook", &json!({ "url": format!("{}/revoke", peer.url) }), "secret");
    server.admin.post("/v1/t/acme/sessions/os1/revoke", "");
    eventually("it was told", || !peer.asked().is_empty());
    let asked = &peer.asked()[0];
    assert_eq!(asked.line, "POST /revoke");
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!((&body["session_id"], &body["user_id"], &body["tenant"]), (&json!("os1"), &json!("u1"), &json!("acme")));
    let (time, id) = (asked.header("indelible-timestamp"), asked.header("indelible-id"));
    assert_eq!(body["operation"], id);
    let message = format!("v1.{time}.{id}.{}", asked.body);
    assert_eq!(asked.header("indelible-signature"), format!("v1={}", hmac(SECRET, &message)), "as openssl signs it");
}

/// HMAC-SHA256 in hex by another program.
fn hmac(secret: &str, message: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), message).unwrap();
    let out = std::process::Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", secret])
        .arg(file.path())
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    text.trim().rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn the_command_revokes_and_says_how_it_ended() {
    let server = Server::start(&[]);
    signed_in(&server);
    let preview: Value =
        serde_json::from_str(&server.cli(&["revoke", "acme", "session", "s1", "--preview"]).ok()).unwrap();
    assert_eq!(preview["preview"], true);
    let done: Value = serde_json::from_str(&server.cli(&["revoke", "acme", "session", "s1"]).ok()).unwrap();
    assert_eq!(done["state"], "recorded");
    server.cli(&["revoke", "acme", "session", "nobody"]).failed(3);
    let all = server.cli(&["revoke", "acme", "user", "i1"]).ok();
    assert_eq!(all.matches("\"recorded\"").count(), 2, "sessions and grants: {all}");
    let peer = Peer::start(|_| Answer { status: 403, body: "", after: Duration::ZERO }, |_: &Asked| {});
    connector(&server, "kratos", "kratos", &json!({ "url": peer.url }), "token");
    let err = server.cli(&["revoke", "acme", "session", "s2"]).failed(1);
    assert!(err.contains("credentials"), "{err}");
}

#[test]
fn what_comes_late_does_not_bring_a_revoked_session_back() {
    let server = Server::start(&[]);
    let send = |system: &str, event: Value| {
        server.admin.post(&format!("/v1/t/acme/ingest/{system}"), event.to_string()).ok();
    };
    let event = |name: &str, second: u32, attributes: Value| {
        let time = format!("2026-11-20T12:00:{second:02}Z");
        send("ory-network", json!({ "name": name, "timestamp": time, "eventAttributes": attributes }));
    };
    let session = |member: &str| {
        let all = [("q", "session_id:s1"), ("from", "2020-01-01T00:00:00Z")];
        server.admin.column("acme", "sessions", &all, member).join(",")
    };
    let of = json!({ "IdentityID": "i1", "SessionID": "s1" });
    let preview = || server.admin.post("/v1/t/acme/sessions/s1/revoke?preview=true", "").ok()["sessions"][0].clone();

    event("SessionRevoked", 30, of.clone());
    // The webhook of the sign-in, and the event of it, come when all is over.
    send(
        "ory",
        json!({ "event": "login", "flow": { "id": "f" }, "identity": { "id": "i1" },
            "session": { "id": "s1", "active": true, "authenticated_at": "2026-11-20T12:00:10Z" } }),
    );
    event("SessionIssued", 10, of.clone());
    event("SessionLifespanExtended", 30, of.clone());
    assert_eq!(session("status"), "revoked");
    assert_eq!(session("user_id"), "i1", "what they alone know is taken from them");
    assert_eq!(session("created_at"), "2026-11-20T12:00:10.000000Z");
    assert_eq!(preview()["status"], "revoked");
    let sql = "SELECT status FROM sessions WHERE session_id = 's1'";
    assert_eq!(server.admin.sql("acme", sql), [json!(["revoked"])]);

    // Used after its end: it is found, and the session stays what its source said.
    event("SessionChecked", 40, of.clone());
    assert_eq!(session("status"), "revoked");
    let used = [("q", "session_id:s1 action:SessionChecked"), ("from", "2020-01-01T00:00:00Z")];
    assert_eq!(server.admin.column("acme", "records", &used, "action"), ["SessionChecked"]);
    // The source itself says that it lives again, later: that is shown.
    event("SessionLifespanExtended", 50, of);
    assert_eq!((session("status").as_str(), &preview()["status"]), ("active", &json!("active")));

    // A consent is withdrawn and given again; what is in between comes last.
    let consent = json!({ "OAuth2Subject": "i1", "OAuth2ClientID": "app" });
    let grant = || {
        let all = [("q", "client:app"), ("from", "2020-01-01T00:00:00Z")];
        server.admin.column("acme", "grants", &all, "status").join(",")
    };
    event("OAuth2ConsentRevoked", 20, consent.clone());
    event("OAuth2ConsentAccepted", 5, consent.clone());
    assert_eq!(grant(), "revoked");
    event("OAuth2ConsentAccepted", 25, consent.clone());
    event("OAuth2ConsentRevoked", 15, consent);
    assert_eq!(grant(), "active");
}

#[test]
fn a_source_whose_clock_is_ahead_is_revoked_all_the_same() {
    let server = Server::start(&[]);
    let ahead = json!({ "log": "session", "action": "session_created", "time": crate::server::at(7200),
        "session": { "id": "s1", "user_id": "i1", "status": "active" } });
    server.admin.write("acme", &[ahead]);
    server.admin.write(
        "acme",
        &[json!({ "log": "session", "action": "session_revoked", "time": crate::server::at(0),
            "session": { "id": "s1", "status": "revoked" } })],
    );
    assert_eq!(server.admin.column("acme", "sessions", &[], "status"), ["revoked"]);
}
