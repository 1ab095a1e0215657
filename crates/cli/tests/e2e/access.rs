//! Nobody else is let in: keys, scopes, tenants that cannot see each other, and the record of every sensitive use.

use crate::http::{Client, Reply};
use crate::server::Server;
use serde_json::{Value, json};

fn mail() -> Value {
    json!({ "id": "mail", "log": "notification", "notification": { "id": "n-1", "subject": "Hello", "recipient": ["ann@example.org"], "status": "sent", "body": "words for ann alone" } })
}

fn session() -> Value {
    json!({ "id": "session", "log": "session", "session": { "id": "s-1", "status": "active", "claims": { "note": "words for ann alone" } } })
}

fn event(id: &str) -> Value {
    json!({ "id": id, "log": "event", "action": "login", "email": "ann@example.org" })
}

/// Every address that needs a key, below a tenant.
fn every(client: &Client, tenant: &str) -> Vec<(String, Reply)> {
    let mut out = Vec::new();
    for path in [
        "",
        "/records",
        "/records/a",
        "/records/a/proof",
        "/as/ocsf/records",
        "/as/cef/records/a",
        "/audit_logs",
        "/event-logs",
        "/sessions",
        "/keys",
    ] {
        let path = format!("/v1/t/{tenant}{path}");
        out.push((format!("GET {path}"), client.get(&path)));
    }
    for (path, body) in [
        ("records", event("x").to_string()),
        ("query", json!({ "view": "records" }).to_string()),
        ("ask", json!({ "view": "event_logs", "question": "logins" }).to_string()),
        ("sql", json!({ "sql": "select 1 from records" }).to_string()),
        ("keys", json!({ "name": "n", "scopes": ["read"] }).to_string()),
    ] {
        let path = format!("/v1/t/{tenant}/{path}");
        out.push((format!("POST {path}"), client.post(&path, body)));
    }
    out.push((format!("PUT {tenant}"), client.put(&format!("/v1/t/{tenant}"), "{}")));
    out.push((format!("DELETE a key of {tenant}"), client.delete(&format!("/v1/t/{tenant}/keys/abc"))));
    out
}

#[test]
fn a_missing_or_wrong_key_is_401_everywhere() {
    let server = Server::start(&[]);
    server.admin.write("acme", &[event("a")]);
    let key = server.key();
    let last = if key.ends_with('A') { 'B' } else { 'A' };
    let changed = format!("{}{last}", &key[..key.len() - 1]);
    let wrong = [
        "",
        "nonsense",
        &key[..key.len() - 1],
        &changed,
        "ind_aaaaaaaaaaaa_0123456789012345678901234567890123456789012",
    ];
    for client in wrong.iter().map(|k| server.admin.with_key(k)).chain([server.admin.anonymous()]) {
        for (name, reply) in every(&client, "acme").into_iter().chain(every(&client, "nobody")) {
            assert_eq!(reply.status, 401, "{name}: {reply}");
            reply.problem(401, "unauthorized");
            assert!(reply.header("www-authenticate").starts_with("Bearer"), "{name}");
        }
        client.get("/v1/t").problem(401, "unauthorized");
    }
    let basic = server.admin.anonymous().get_with("/v1/t/acme", &[("authorization", &format!("Basic {key}"))]);
    basic.problem(401, "unauthorized");
    let lower = server.admin.anonymous().get_with("/v1/t/acme", &[("authorization", &format!("bearer {key}"))]);
    assert_eq!(lower.status, 200, "the scheme's case does not matter: {lower}");
}

#[test]
fn i6_another_tenants_anything_is_404_in_the_words_of_what_is_not_there() {
    let server = Server::start(&[]);
    server.admin.write("acme", &[event("a"), mail()]);
    server.admin.write("beta", &[event("b")]);
    let theirs = server.tenant_key("beta", &["read", "write", "read_body", "admin", "export", "restore", "revoke"]);
    let without_id = |reply: &Reply| {
        let mut problem = reply.problem(404, "not_found");
        problem.as_object_mut().unwrap().remove("request_id");
        problem
    };
    for ((name, there), (_, nowhere)) in every(&theirs, "acme").iter().zip(every(&theirs, "nobody")) {
        assert_eq!(there.status, 404, "{name}: {there}");
        assert_eq!(without_id(there), without_id(&nowhere), "{name}: no way to tell that the tenant exists");
    }
    assert_eq!(theirs.get("/v1/t").status, 404, "only an administrator lists tenants");
    assert_eq!(theirs.put("/v1/t/fresh", "{}").status, 404, "only an administrator makes tenants");
    assert_eq!(theirs.post("/v1/t/fresh/records", event("x").to_string()).status, 404);
    assert_eq!(theirs.get("/t/acme/log/checkpoint").status, 404, "a key that is sent must be one of the tenant's");
    assert_eq!(theirs.get("/v1/t/beta/records/a").status, 404, "another tenant's record");
    assert_eq!(theirs.column("beta", "records", &[("q", "log:event")], "id"), ["b"]);
    assert_eq!(server.admin.get("/v1/t/fresh").status, 404, "nothing came of it");
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], 2, "nothing was written");
}

#[test]
fn a_missing_scope_is_403_and_names_it() {
    let server = Server::start(&[]);
    server.admin.write("acme", &[event("a")]);
    let may = |scopes: &[&str]| -> Vec<(String, u16)> {
        every(&server.tenant_key("acme", scopes), "acme")
            .into_iter()
            .filter(|(name, _)| !name.starts_with("PUT"))
            .map(|(name, reply)| {
                if reply.status == 403 {
                    let problem = reply.problem(403, "missing_scope");
                    assert!(
                        problem["detail"].as_str().unwrap().contains("lacks the scope")
                            || name.contains("POST /v1/t/acme/keys"),
                        "{problem}"
                    );
                }
                (name, reply.status)
            })
            .collect()
    };
    for (name, status) in may(&["write"]) {
        assert_eq!(status == 200, name == "POST /v1/t/acme/records", "write only: {name} is {status}");
        assert!(matches!(status, 200 | 403), "{name} is {status}");
    }
    for (name, status) in may(&["read"]) {
        let refused = name.contains("keys") || name.contains("a key") || name == "POST /v1/t/acme/records";
        assert_eq!(status, if refused { 403 } else { 200 }, "read only: {name}");
    }
    for (name, status) in may(&["export", "restore", "revoke", "read_body"]) {
        assert_eq!(status, 403, "neither read nor write: {name}");
    }
    let admin = server.tenant_key("acme", &["admin", "read"]);
    admin.put("/v1/t/acme", "{}").problem(403, "administrator_only");
    let keys = |scopes: &[&str]| admin.post("/v1/t/acme/keys", json!({ "name": "n", "scopes": scopes }).to_string());
    assert_eq!(keys(&["read"]).status, 201);
    keys(&["read", "write"]).problem(403, "missing_scope");
    for body in [
        "",
        "[]",
        r#"{"name":"n"}"#,
        r#"{"name":"n","scopes":[]}"#,
        r#"{"name":"n","scopes":["root"]}"#,
        r#"{"name":"","scopes":["read"]}"#,
        r#"{"name":"n","scopes":"read"}"#,
    ] {
        let reply = admin.post("/v1/t/acme/keys", body);
        assert_eq!(reply.status, 400, "{body}: {reply}");
        assert!(!reply.json()["detail"].as_str().unwrap().is_empty());
    }
}

#[test]
fn tenants_are_made_by_an_administrator_with_settings_or_by_the_first_write() {
    let server = Server::start(&[]);
    assert_eq!(server.admin.put("/v1/t/acme", "{}").status, 201);
    assert_eq!(server.admin.put("/v1/t/acme", "{}").status, 200, "again is no error");
    assert_eq!(server.admin.post("/v1/t/by-write/records", event("a").to_string()).status, 200);
    let all = server.admin.get("/v1/t").ok();
    let names: Vec<_> = all["items"].as_array().unwrap().iter().map(|t| t["tenant"].as_str().unwrap()).collect();
    assert_eq!(names, ["acme", "by-write"]);
    for bad in ["A", "a%20b", "%2e%2e", "a%2Fb", "-a", &"x".repeat(200)] {
        let reply = server.admin.put(&format!("/v1/t/{bad}"), "{}");
        assert!(matches!(reply.status, 400 | 404), "{bad}: {reply}");
    }
    server.admin.put("/v1/t/new", "").problem(400, "invalid_settings");
    server.admin.put("/v1/t/acme", r#"{"redaction":{"kyes":["x"]}}"#).problem(400, "invalid_settings");
    server.admin.put("/v1/t/acme", r#"{"redaction":["x"]}"#).problem(400, "invalid_settings");
    let traced = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
    server.admin.put_with("/v1/t/acme", &traced, r#"{"redaction":{"keys":["x"]}}"#).ok();
    let page = server.admin.page("acme", "records", &[("q", "trace_id:0af7651916cd43dd8448eb211c80319c")]);
    assert_eq!(page["items"][0]["span_id"], "b7ad6b7169203331", "{page}");
    let page = server.admin.page("acme", "audit_logs", &[]);
    assert_eq!(page["items"][0]["action"], "indelible.tenant.settings", "a change of settings is a record: {page}");
}

#[test]
fn a_key_is_shown_once_stored_hashed_and_stops_at_once_when_revoked() {
    let server = Server::start(&[("LOG_LEVEL", "debug")]);
    server.admin.put("/v1/t/acme", "{}");
    let made = server.admin.post("/v1/t/acme/keys", r#"{"name":"shipper","scopes":["write","read"]}"#);
    assert_eq!(made.status, 201);
    let made = made.json();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert_eq!(made["scopes"], json!(["write", "read"]));
    let client = server.admin.with_key(key);
    client.write("acme", &[event("a")]);
    let list = server.admin.get("/v1/t/acme/keys");
    assert!(!list.text().contains(key) && list.ok()["items"][0]["key"].is_null(), "{list}");
    let list = server.admin.get("/v1/t/acme/keys").ok();
    assert_eq!((&list["items"][0]["id"], &list["items"][0]["name"]), (&json!(id), &json!("shipper")));

    assert_eq!(server.tenant_key("acme", &["read"]).delete(&format!("/v1/t/acme/keys/{id}")).status, 403);
    assert_eq!(server.admin.delete(&format!("/v1/t/acme/keys/{id}")).status, 204);
    client.post("/v1/t/acme/records", event("b").to_string()).problem(401, "unauthorized");
    client.get("/v1/t/acme/records").problem(401, "unauthorized");
    server.admin.delete("/v1/t/acme/keys/nosuchkey").problem(404, "not_found");
    let server = server.kill().start();
    client.with_base(&server.admin).get("/v1/t/acme/records").problem(401, "unauthorized");

    let page = server.admin.page("acme", "audit_logs", &[]);
    let uses: Vec<_> = page["items"].as_array().unwrap().iter().map(|i| i["action"].as_str().unwrap()).collect();
    assert_eq!(uses, ["indelible.key.revoke", "indelible.key.create", "indelible.key.create"], "{page}");
    let revoke = server.admin.get(&format!("/v1/t/acme/records/{}", page["items"][0]["id"].as_str().unwrap())).ok();
    assert_eq!(
        (&revoke["target"]["id"], &revoke["actor"]["name"]),
        (&json!(id), &json!("administrator")),
        "who did what: {revoke}"
    );

    // Not in any file, not in any log: neither key, nor the half of it that is secret.
    let admin = server.key();
    let home = server.stop();
    let mut folders = vec![home.data()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if std::fs::metadata(&path).unwrap().is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            for secret in [&key[17..], &admin[17..]] {
                let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
                let expected = path.ends_with("admin.key") && *secret == admin[17..];
                assert_eq!(found, expected, "{} holds a key", path.display());
            }
        }
    }
    assert!(!home.logs().contains(&key[17..]) && !home.logs().contains(&admin[17..]), "keys are not logged");
}

#[test]
fn bodies_and_claims_are_for_read_body_alone_and_every_look_is_recorded() {
    for flush in ["3600", "0"] {
        let server = Server::start(&[("FLUSH_SECONDS", flush)]);
        server.admin.write("acme", &[mail(), session()]);
        if flush == "0" {
            server.flushed();
        }
        let secret = "words for ann alone";
        let reader = server.tenant_key("acme", &["read"]);
        let sql = |client: &Client, sql: &str| client.post("/v1/t/acme/sql", json!({ "sql": sql }).to_string());
        for path in [
            "notification-logs",
            "sessions",
            "records",
            "records/mail",
            "records/session",
            "notification-logs?q=words",
            "records?q=words",
        ] {
            let reply = reader.get(&format!("/v1/t/acme/{path}"));
            assert_eq!(reply.status, 200, "{path}: {reply}");
            assert!(!reply.text().contains(secret), "{path}: {reply}");
            if path.contains("?q") {
                assert_eq!(reply.json()["items"], json!([]), "a search would give the body away word by word");
            }
        }
        for query in
            ["notification-logs?q=body~words", "records?q=notification.body:*", "sessions?q=session.claims.note:*"]
        {
            reader.get(&format!("/v1/t/acme/{query}")).problem(403, "missing_scope");
        }
        let query = json!({ "view": "notification_logs", "count_by": "body" }).to_string();
        reader.post("/v1/t/acme/query", query).problem(403, "missing_scope");
        for id in ["mail", "session"] {
            reader.get(&format!("/v1/t/acme/records/{id}/proof")).problem(403, "missing_scope");
        }
        for statement in [
            "select * from notification_logs",
            "select * from records",
            "select body from notification_logs",
            "select notification_body from records",
            "select count(*) from notification_logs where body like '%ann%'",
            "select session_claims from records",
        ] {
            let reply = sql(&reader, statement);
            assert!(!reply.text().contains(secret), "{statement}: {reply}");
            if statement.contains("count") && reply.status == 200 {
                assert_eq!(reply.json()["rows"], json!([[0]]), "{reply}");
            }
        }
        let uses = |action: &str| {
            server.admin.column("acme", "audit_logs", &[("q", &format!("action:{action}"))], "actor").len()
        };
        assert_eq!(uses("indelible.body.read"), 0, "nobody saw a body yet");
        let full = server.tenant_key("acme", &["read", "read_body"]);
        let mut looks = 0;
        for path in [
            "notification-logs",
            "records",
            "records/mail",
            "records/session",
            "notification-logs?q=body~words",
            "records/mail/proof",
        ] {
            let reply = full.get(&format!("/v1/t/acme/{path}"));
            let text = if path.ends_with("proof") { reply.ok()["record"].to_string() } else { reply.text() };
            assert!(text.contains(secret), "{path}: {reply}");
            looks += 1;
            assert_eq!(uses("indelible.body.read"), looks, "{path}: a look at a body is a record");
        }
        let before = uses("indelible.sql");
        assert!(sql(&full, "select body from notification_logs").text().contains(secret));
        assert_eq!(uses("indelible.sql"), before + 1);
        full.get("/v1/t/acme/event-logs");
        full.get("/v1/t/acme/job-logs");
        assert_eq!(uses("indelible.body.read"), looks, "where no body was shown, nothing is recorded");
    }
}

#[test]
fn the_ledger_is_public_unless_the_installation_says_otherwise() {
    let server = Server::start(&[]);
    server.admin.write("acme", &[event("a")]);
    assert_eq!(server.admin.anonymous().get("/t/acme/log/checkpoint").status, 200);
    let server = Server::start(&[("PUBLIC_LEDGER", "false")]);
    server.admin.write("acme", &[event("a")]);
    for path in ["checkpoint", "vkey", "tile/0/000.p/1", "tile/entries/000.p/1"] {
        server.admin.anonymous().get(&format!("/t/acme/log/{path}")).problem(401, "unauthorized");
        assert_eq!(
            server.tenant_key("acme", &["read"]).get(&format!("/t/acme/log/{path}")).status.max(200),
            200,
            "{path}"
        );
    }
}
