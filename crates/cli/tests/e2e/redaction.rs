//! I7: what redaction removes never reaches an answer, a file of the data folder, a log line or an error.
//!
//! Every secret here holds `zq7secret` (a one-time code apart), so one word is looked for everywhere.

use crate::http::encode;
use crate::server::{Home, Server, eventually};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

const WORD: &str = "zq7secret";
const SECRET: &str = "zq7secret0123456789abcdef";
const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.zq7secretsignature0123";
const SESSION: &str = "ory_st_zq7secret0123456789abc";
const CODE: &str = "739184";

/// Names whose values are secret: the floor of ory-nestjs, then what records.md adds.
const KEYS: &[&str] = &[
    "authorization",
    "Authorization",
    "cookie",
    "set-cookie",
    "Set-Cookie",
    "ory_kratos_session",
    "ory_session_token_x",
    "ory_kratos_session_id",
    "session_token",
    "x-session-token",
    "X-Session-Token",
    "apikey",
    "api_key",
    "api-key",
    "API-Key",
    "admin_token",
    "admin_api_token",
    "adminToken",
    "access_token",
    "accesstoken",
    "accessToken",
    "refresh_token",
    "refreshtoken",
    "token",
    "Token",
    "password",
    "PASSWORD",
    "traits",
    "client_secret",
    "Client-Secret",
    "clientSecret",
    "newPassword",
    "otp",
    "otp_code",
    "captcha_secret",
];
const LOOK_ALIKES: &[&str] =
    &["tokens_issued", "passwordless", "cookie_policy_version", "authorization_model", "story_session_id"];

fn secrets() -> Value {
    let mut out = Map::new();
    for key in KEYS {
        out.insert((*key).to_owned(), json!(SECRET));
    }
    for key in LOOK_ALIKES {
        out.insert((*key).to_owned(), json!("kept-as-it-is"));
    }
    Value::Object(out)
}

/// Texts with a secret in each.
fn texts() -> Vec<String> {
    let mut out = vec![
        format!("got {JWT} from the client"),
        format!("({JWT})"),
        format!("id-{JWT}"),
        format!("session {SESSION} ended"),
        format!("cookie-{SESSION}"),
        format!("Authorization: Bearer {SECRET}\r\nAccept: */*"),
        format!("authorization=Basic {SECRET}"),
        format!("curl -H 'Authorization: Bearer {SECRET}' https://x"),
        format!("Cookie: a=b; ory_kratos_session={SECRET}"),
        format!("Set-Cookie: {SECRET}; Path=/"),
        format!("X-Session-Token: {SECRET}"),
        format!("api_key={SECRET}&x=1"),
        format!("x-api-key: {SECRET}"),
        format!("https://x/cb?access_token={SECRET}&state=1"),
        format!("refresh_token={SECRET}"),
        format!("client_secret={SECRET}"),
        format!("password={SECRET}"),
        format!("Your password: {SECRET}"),
        format!("SMS: your code is {CODE}. Verification code: {CODE}"),
        format!("https://app:{SECRET}@db/x"),
    ];
    out.push(format!(r#"{{"password":"{SECRET}","a":1}}"#));
    out.push(format!(r#"{{\"accessToken\":\"{SECRET}\",\"a\":1}}"#));
    out.push(format!("{{'Client-Secret': '{SECRET}'}}"));
    out.push(format!(r#"identity: {{"id":"1","traits":{{"email":"{SECRET}"}}}}"#));
    out
}

fn records() -> Vec<Value> {
    let mut other = secrets();
    for key in KEYS {
        other[*key] = format!("{SECRET}-changed").into();
    }
    let mut out = vec![
        json!({ "id": "keys", "log": "audit", "action": "patch", "attributes": { "a": [{ "b": secrets() }] }, "old": secrets(), "new": other }),
        json!({ "id": "objects", "log": "audit", "action": "patch",
            "attributes": { "password": { "x": [SECRET] }, "traits": { "email": SECRET }, "token": 12_345_678_901_u64, "cookie": [SECRET] } }),
        json!({ "id": "top", "log": "event", "action": "login", "password": SECRET, "headers": { "Cookie": SECRET }, "actor": { "id": "u", "token": SECRET } }),
        json!({ "id": "idp", "log": "audit", "action": "update IdentityProvider",
            "new": { "slug": "google", "configuration": { "url": SECRET, "clientSecret": SECRET, "a": { "b": SECRET } } } }),
        json!({ "id": "project-secret", "log": "audit", "action": "set projectSecret", "attributes": { "key": "SMTP", "value": SECRET } }),
        json!({ "id": "api-key", "log": "audit", "action": "create", "new": { "apiKey": { "id": "k1", "identityId": "i1", "value": SECRET } } }),
        json!({ "id": "session", "log": "session", "session": { "id": "s", "status": "active", "claims": { "access_token": SECRET, "jwt": JWT } } }),
        json!({ "id": "mail", "log": "notification", "notification": { "id": "n", "subject": format!("Your code {CODE}"),
            "recipient": ["ann@example.org"], "status": "sent",
            "body": format!("Hello, your verification code is {CODE}. Or follow https://x/?token={SECRET}") } }),
        json!({ "id": "pairs", "log": "audit", "action": "patch", "attributes": { "headers": [["Host", "h"], ["Cookie", SECRET], ["otp", CODE]] },
            "old": [["Authorization", SECRET]], "new": [["Authorization", format!("{SECRET}-changed")]] }),
        json!({ "id": "key-is-a-token", "log": "audit", "action": "x", "attributes": { SESSION: 1, "n": { JWT: true } } }),
    ];
    for (n, text) in texts().into_iter().enumerate() {
        out.push(json!({ "id": format!("text-{n}"), "log": "job", "message": text, "comments": text, "user_agent": text,
            "job": { "id": format!("j-{n}"), "name": text, "status": "failed", "stacktrace": format!("at main\n{text}\nat exit") },
            "attributes": { "list": [text], "deep": { "er": { "text": text } } }, "target": { "name": text },
            "old": text, "new": [text], "error_code": text }));
    }
    out
}

/// A secret and what stands around it, where there is one.
fn secret_in(bytes: &[u8]) -> Option<String> {
    for word in [WORD, "eyJhbGciOi", CODE] {
        if let Some(at) = bytes.windows(word.len()).position(|w| w == word.as_bytes()) {
            let near = &bytes[at.saturating_sub(120)..(at + 60).min(bytes.len())];
            return Some(format!("…{}…", String::from_utf8_lossy(near)));
        }
    }
    None
}

#[track_caller]
fn clean(place: &str, bytes: &[u8]) {
    if let Some(near) = secret_in(bytes) {
        panic!("I7: {place} holds a secret: {near}");
    }
}

fn clean_folder(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if std::fs::metadata(&path).unwrap().is_dir() {
            clean_folder(&path);
        } else {
            clean(&path.display().to_string(), &std::fs::read(&path).unwrap());
        }
    }
}

fn clean_answers(server: &Server) {
    let get = |path: &str| {
        let reply = server.admin.get(path);
        assert_eq!(reply.status, 200, "{path}: {reply}");
        clean(path, &reply.body);
        reply
    };
    for view in ["records", "audit-logs", "event-logs", "job-logs", "notification-logs", "sessions", "grants"] {
        get(&format!("/v1/t/acme/{view}?limit=1000"));
        for accept in ["application/json", "text/csv"] {
            let sql = json!({ "sql": format!("select * from {}", view.replace('-', "_")) }).to_string();
            let reply = server.admin.post_with("/v1/t/acme/sql", &[("accept", accept)], sql);
            assert_eq!(reply.status, 200, "{reply}");
            clean(&format!("SQL of {view}"), &reply.body);
        }
    }
    for record in records() {
        let id = record["id"].as_str().unwrap();
        get(&format!("/v1/t/acme/records/{}", encode(id)));
        let proof = get(&format!("/v1/t/acme/records/{}/proof", encode(id))).json();
        for part in proof["parts"].as_array().unwrap() {
            clean("the bytes of a proof", &STANDARD.decode(part["bytes"].as_str().unwrap()).unwrap());
        }
    }
    let mut lines = BufReader::new(server.admin.stream("/v1/t/acme/tail", &[("last-event-id", "i0")])).lines();
    let last = format!("text-{}", texts().len() - 1);
    loop {
        let line = lines.next().unwrap().unwrap();
        clean("the tail", line.as_bytes());
        if line.contains(&last) {
            break;
        }
    }
}

#[test]
fn i7_secrets_are_in_no_answer_no_file_and_no_log() {
    let server = Server::start(&[("LOG_LEVEL", "debug"), ("FLUSH_SECONDS", "2"), ("CHECKPOINT_MS", "100")]);
    server.admin.write("acme", &records());
    clean_answers(&server);
    clean_folder(&server.data());
    server.flushed();
    clean_answers(&server);
    let home: Home = server.stop();
    clean_folder(&home.data());
    clean("the server's log", home.logs().as_bytes());
    home.verify().ok();
}

#[test]
fn i7_errors_about_a_record_hold_none_of_its_secrets() {
    let server = Server::start(&[("LOG_LEVEL", "debug")]);
    let mut leaks = Vec::new();
    for record in [
        json!({ "log": SESSION, "action": "x" }),
        json!({ "log": "event", "action": "x", "outcome": JWT }),
        json!({ "log": "event", "action": "x", "level": format!("password={SECRET}") }),
        json!({ "log": "event", "action": "x", "id": SESSION }),
        json!({ "log": "event", "action": "x", "time": SESSION }),
        json!({ "log": "event", "action": "x", "tenant": SESSION }),
        json!({ "log": "event", "action": "x", "message": 1, "password": SECRET }),
        json!({ "log": "event", "action": "x", "job": { "id": "j", "status": SESSION } }),
    ] {
        let reply = server.admin.post("/v1/t/acme/records", record.to_string());
        assert_eq!(reply.status, 400, "{record}: {reply}");
        leaks.extend(secret_in(&reply.body).map(|near| format!("{record}: {near}")));
    }
    for text in [
        format!(r#"{{"log":"event","action":"x","attributes":{{"{SESSION}":1,"{SESSION}":2}}}}"#),
        format!(r#"{{"log":"event","action":"x","{SESSION}":1,"{SESSION}":2}}"#),
        format!(r#"{{"log":"event","action":"x","attributes":{{"password":"{SECRET}" "x":1}}}}"#),
        format!(r#"{{"log":"event","action":"x","{SESSION}":[}}"#),
        format!(r#"{{"log":"event","action":"x","{SESSION}":{{"a":1e999}}}}"#),
        format!(r#"{{"log":"event","action":"x","{SESSION}":"\ud800"}}"#),
        format!(r#"{{"log":"event","action":"x","attributes":{{"{JWT}":"\ud800"}}}}"#),
    ] {
        let reply = server.admin.post("/v1/t/acme/records", &text);
        leaks.extend(secret_in(&reply.body).map(|near| format!("{text}: {near}")));
    }
    assert!(leaks.is_empty(), "I7: refusals hold secrets:\n{}", leaks.join("\n"));
    clean("the server's log", server.stop().logs().as_bytes());
}

#[test]
fn marks_say_what_was_removed_and_why_and_look_alikes_are_kept() {
    let server = Server::start(&[]);
    server.admin.write("acme", &records());
    let get = |id: &str| server.admin.get(&format!("/v1/t/acme/records/{id}")).ok();
    let keys = get("keys");
    let marks: Vec<(String, String)> = keys["redactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (m["pointer"].as_str().unwrap().to_owned(), m["rule"].as_str().unwrap().to_owned()))
        .collect();
    let mut missing = Vec::new();
    for place in ["/attributes/a/0/b", "/old", "/new"] {
        for key in KEYS {
            let pointer = format!("{place}/{key}");
            let marked = marks.iter().any(|m| m.0 == pointer && !m.1.is_empty());
            if !marked || keys.pointer(&pointer).unwrap() != "***" {
                missing.push(pointer);
            }
        }
        for key in LOOK_ALIKES {
            assert_eq!(keys.pointer(&format!("{place}/{key}")).unwrap(), "kept-as-it-is", "{key} only looks alike");
        }
    }
    assert_eq!(
        keys["diff"]["password"],
        json!({ "__old": "***", "__new": "***" }),
        "a secret that changed shows that it did"
    );
    assert_eq!(get("idp")["new"]["configuration"], json!(["a", "clientSecret", "url"]), "the sorted names of its keys");
    assert_eq!(get("idp")["new"]["slug"], "google");
    assert_eq!(get("project-secret")["attributes"], json!({ "key": "SMTP", "value": "***" }));
    assert_eq!(get("api-key")["new"]["apiKey"], json!({ "id": "k1", "identityId": "i1" }), "id and identity only");
    assert_eq!(
        get("objects")["attributes"],
        json!({ "password": "***", "traits": "***", "token": "***", "cookie": "***" })
    );
    assert_eq!(get("text-0")["message"], "got *** from the client");
    assert_eq!(get("text-0")["job"]["stacktrace"], "at main\ngot *** from the client\nat exit");
    for n in 0..texts().len() {
        let record = get(&format!("text-{n}"));
        let pointers: Vec<_> =
            record["redactions"].as_array().unwrap().iter().map(|m| m["pointer"].as_str().unwrap()).collect();
        for pointer in [
            "/message",
            "/comments",
            "/user_agent",
            "/job/stacktrace",
            "/attributes/list/0",
            "/attributes/deep/er/text",
            "/old",
            "/new/0",
        ] {
            if !pointers.contains(&pointer) {
                missing.push(format!("{pointer} in {:?}", texts()[n]));
            }
        }
    }
    assert!(missing.is_empty(), "{} secrets without a mark:\n{}", missing.len(), missing.join("\n"));
    assert_eq!(marks.len(), 3 * KEYS.len(), "no mark without a reason: {marks:?}");
}

#[test]
fn tenants_add_rules_and_cannot_remove_the_built_in_ones() {
    let server = Server::start(&[]);
    let settings =
        json!({ "redaction": { "keys": ["Employee-Number"], "patterns": ["EMP-[0-9]{4}"], "keep_traits": true } });
    assert_eq!(server.admin.put("/v1/t/acme", &settings.to_string()).status, 201);
    let record = json!({ "id": "x", "log": "audit", "action": "x", "message": "hired EMP-1234 today",
        "attributes": { "employee_number": 17, "password": SECRET, "traits": { "email": "ann@example.org", "password": SECRET } } });
    server.admin.write("acme", std::slice::from_ref(&record));
    let stored = server.admin.get("/v1/t/acme/records/x").ok();
    assert_eq!(stored["message"], "hired *** today");
    let traits = json!({ "email": "ann@example.org", "password": "***" });
    assert_eq!(stored["attributes"], json!({ "employee_number": "***", "password": "***", "traits": traits }));
    server.admin.write("beta", &[record]);
    let stored = server.admin.get("/v1/t/beta/records/x").ok();
    assert_eq!(stored["message"], "hired EMP-1234 today", "rules are a tenant's own");
    assert_eq!(stored["attributes"]["traits"], "***");
    for settings in [
        r#"{"redaction":{"patterns":["("]}}"#,
        r#"{"redaction":{"keys":[1]}}"#,
        r#"{"redaction":{"keys":["--"]}}"#,
        r#"{"redactions":{"keys":["x"]}}"#,
        r#"{"Redaction":{"keys":["x"]}}"#,
        "[]",
    ] {
        server.admin.put("/v1/t/acme", settings).problem(400, "invalid_settings");
    }
}

#[test]
fn redaction_takes_linear_time_on_hostile_text() {
    let server = Server::start(&[]);
    for (n, piece) in [
        "eyJ",
        "eyJa.",
        "-eyJa.b",
        "ory_st_",
        "password",
        "password=",
        "token: ",
        "cookie:",
        "://a:",
        "-----BEGIN ",
        r#"\"traits\":{"#,
        "code ",
        "code",
        "token",
        "password=%3D[]",
        r#"\"token\":[\""#,
        r#"secret:\\\"\\\\"#,
        "bearer ",
    ]
    .iter()
    .enumerate()
    {
        let text = piece.repeat(900_000 / piece.len());
        let body = format!(r#"{{"id":"h-{n}","log":"event","action":"x","message":"{text}"}}"#);
        let started = Instant::now();
        let reply = server.admin.post("/v1/t/acme/records", body);
        assert!(started.elapsed() < Duration::from_secs(20), "{piece:?} took {:?}", started.elapsed());
        assert!(matches!(reply.status, 200 | 413), "{piece:?}: {reply}");
    }
    eventually("the server is well", || server.admin.get("/health/ready").status == 200);
}
