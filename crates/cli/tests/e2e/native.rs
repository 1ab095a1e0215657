//! Records in the own words of identity systems, taken in by the real binary.

use crate::server::Server;
use base64::Engine as _;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Every sample of our own: the system's name (its folder), and the file's bytes.
fn samples() -> Vec<(String, PathBuf, Vec<u8>)> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../systems/samples"));
    let mut found = Vec::new();
    for system in std::fs::read_dir(root).unwrap().map(Result::unwrap) {
        for file in std::fs::read_dir(system.path()).unwrap().map(Result::unwrap) {
            let bytes = std::fs::read(file.path()).unwrap();
            found.push((system.file_name().into_string().unwrap(), file.path(), bytes));
        }
    }
    assert!(found.len() >= 7, "the samples are where they were");
    found
}

#[test]
fn every_sample_is_known_by_its_shape_and_taken_in_whole() {
    let server = Server::start(&[]);
    for (n, (system, file, bytes)) in samples().into_iter().enumerate() {
        let tenant = format!("t{n}");
        let answer = server.admin.post(&format!("/v1/t/{tenant}/ingest/auto"), &bytes).ok();
        assert_eq!(answer["system"], json!(system), "{}: {answer}", file.display());
        assert_eq!((&answer["rejected"], &answer["unparsed"]), (&json!(0), &json!(0)), "{}: {answer}", file.display());
        let all = [("from", "2000-01-01T00:00:00Z"), ("limit", "1000")];
        let sources = server.admin.column(&tenant, "records", &all, "source");
        assert_eq!(json!(sources.len()), answer["accepted"], "{}", file.display());
        assert!(sources.iter().all(|s| *s == system), "{}: {sources:?}", file.display());
    }
}

#[test]
fn what_is_sent_again_is_not_stored_again() {
    let server = Server::start(&[]);
    let events = json!([
        { "id": "e-1", "time": 1_763_640_000_000_u64, "type": "LOGIN", "realmId": "r", "clientId": "web", "userId": "u-1", "ipAddress": "192.0.2.7", "details": { "username": "ann" } },
        { "id": "e-2", "time": 1_763_640_001_000_u64, "type": "LOGIN_ERROR", "realmId": "r", "clientId": "web", "error": "invalid_user_credentials" },
    ])
    .to_string();
    let first = server.admin.post("/v1/t/acme/ingest/keycloak", &events).ok();
    assert_eq!((&first["accepted"], &first["duplicate"]), (&json!(2), &json!(0)), "{first}");
    let again = server.admin.post("/v1/t/acme/ingest/keycloak?receipts=full", &events).ok();
    assert_eq!((&again["accepted"], &again["duplicate"]), (&json!(0), &json!(2)), "{again}");
    assert_eq!(again["results"][0]["index"], 0, "the first receipt: {again}");
}

#[test]
fn a_record_that_is_not_understood_is_kept_as_it_came_and_its_neighbours_too() {
    let server = Server::start(&[]);
    let body = format!(
        "{}\n{}\n{}\n",
        json!({ "id": "e-1", "time": 1_763_640_000_000_u64, "type": "LOGIN", "realmId": "r" }),
        json!({ "nobody": "knows", "password": "hunter2" }),
        json!({ "id": "e-3", "time": 1_763_640_001_000_u64, "type": "LOGOUT", "realmId": "r" }),
    );
    let answer = server.admin.post("/v1/t/acme/ingest/keycloak", &body).ok();
    assert_eq!((&answer["accepted"], &answer["unparsed"]), (&json!(3), &json!(1)), "{answer}");
    assert_eq!(answer["results"][0]["line"], 2, "{answer}");
    let found = server.admin.page("acme", "records", &[("q", "action:unparsed"), ("from", "2000-01-01T00:00:00Z")]);
    let native: &Value = &found["items"][0]["attributes"]["native"];
    assert_eq!(native, &json!({ "nobody": "knows", "password": "***" }), "verbatim, and redacted: {found}");
    let metrics = server.admin.get("/metrics").text();
    assert!(metrics.contains("indelible_records_unparsed_total{system=\"keycloak\"} 1"), "counted");
}

#[test]
fn what_is_broken_in_a_list_is_kept_and_spoils_nothing_beside_it() {
    let server = Server::start(&[]);
    let unparsed = |tenant: &str| -> Vec<Value> {
        let found = server.admin.page(tenant, "records", &[("q", "action:unparsed"), ("from", "2000-01-01T00:00:00Z")]);
        found["items"].as_array().unwrap().iter().map(|item| item["attributes"]["native"].clone()).collect()
    };
    let entry = |n: u32| {
        json!({ "id": format!("c-{n}"), "createdAt": "2026-11-20T12:00:00Z", "type": "login", "success": true })
            .to_string()
    };
    for (tenant, around) in [
        ("deep", [r#"{"data":{"tenant":{"authLog":{"entries":["#, "]}}}}"]),
        ("wrapped", [r#"{"data":{"authLog":{"entries":["#, "]}}}"]),
        ("list", ["[", "]"]),
    ] {
        let body = format!("{}{},oops,{}{}", around[0], entry(1), entry(2), around[1]);
        let answer = server.admin.post(&format!("/v1/t/{tenant}/ingest/contember"), &body).ok();
        let counts = ["accepted", "rejected", "unparsed"].map(|name| answer[name].as_u64().unwrap());
        assert_eq!((counts, &answer["results"][0]["line"]), ([3, 0, 1], &json!(2)), "{answer}");
        assert_eq!(unparsed(tenant), [json!("oops")]);
    }
    // The connection of a source was cut: what came is kept, without its secrets.
    let cut = format!(
        "[{},{{\"id\":\"c-9\",\"authorization\":\"Bearer abcdefghijklmnopqrstuvwxyz012345\",\"type\":",
        entry(1)
    );
    let answer = server.admin.post("/v1/t/cut/ingest/contember", &cut).ok();
    let counts = ["accepted", "rejected", "unparsed"].map(|name| answer[name].as_u64().unwrap());
    assert_eq!((counts, &answer["results"][0]["code"]), ([2, 0, 1], &json!("invalid_json")), "{answer}");
    assert!(answer["results"][0]["detail"].as_str().unwrap().contains("breaks off in element 2"), "{answer}");
    let kept = unparsed("cut");
    let kept = kept[0].as_str().unwrap();
    assert!(kept.starts_with(r#"{"id":"c-9","authorization":"#) && kept.ends_with(r#","type":"#), "{kept}");
    assert!(!kept.contains("abcdefghijklmnop"), "{kept}");
    // What is too long to be kept is refused, and says so.
    let long = format!("[{},{{\"id\":\"{}", entry(2), "x".repeat(2 << 20));
    let answer = server.admin.post("/v1/t/cut/ingest/contember", &long).ok();
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(1), &json!(1)), "{answer}");
    assert_eq!(answer["results"][0]["code"], "record_too_large", "{answer}");
}

/// As a spreadsheet exports it, and as people send it without knowing what it is.
#[test]
fn a_table_of_the_guide_is_known_by_its_headings() {
    let server = Server::start(&[]);
    let headings = "Event Type;Client Name;Provider Name;Created On;Email";
    for (n, (path, body, counts)) in [
        ("guide", format!("{headings}\nlogin;;;;\nlogout;;;2026-11-20T12:00:00Z;\n"), [2, 0, 0]),
        ("auto", format!("{headings}\nlogin;;;;\n"), [1, 0, 0]),
        ("guide", format!("{headings}\n"), [0, 0, 0]),
        ("guide", format!("{headings}\nlogin;\"web;;;\nlogout;;;;\n"), [1, 0, 1]),
        ("guide", "Name;Value\na;b\n".to_owned(), [2, 0, 2]),
        (
            "auto",
            r#"{"Action":"update","Target":"t","Actor":"a","TimeStamp":"2026-11-20T12:00:00Z"}"#.to_owned(),
            [1, 0, 0],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let tenant = format!("t{n}");
        server.admin.put(&format!("/v1/t/{tenant}"), "{}");
        let answer = server.admin.post(&format!("/v1/t/{tenant}/ingest/{path}"), &body).ok();
        let found = ["accepted", "rejected", "unparsed"].map(|name| answer[name].as_u64().unwrap());
        assert_eq!((found, &answer["system"]), (counts, &json!("guide")), "{body}: {answer}");
        for result in answer["results"].as_array().unwrap() {
            assert!(matches!(result["code"].as_str(), Some("invalid_csv" | "unknown_log")), "{answer}");
        }
    }
}

#[test]
fn jobs_without_an_id_are_seen_with_their_latest_status() {
    let server = Server::start(&[]);
    let job = |name: &str, status: &str, at: u32| json!({ "Job Name": name, "Latest Status": status, "Created At": "2026-11-20T12:00:00Z", "Updated At": format!("2026-11-20T12:00:0{at}Z") });
    let body = json!([job("a", "running", 1), job("b", "failed", 2), job("a", "success", 3)]).to_string();
    let answer = server.admin.post("/v1/t/acme/ingest/auto", &body).ok();
    assert_eq!((&answer["system"], &answer["accepted"], &answer["unparsed"]), (&json!("guide"), &json!(3), &json!(0)));
    let all = [("from", "2000-01-01T00:00:00Z")];
    assert_eq!(server.admin.column("acme", "job_logs", &all, "latest_status"), ["success", "failed"]);
}

#[test]
fn a_system_nobody_knows_is_a_problem_that_names_those_known() {
    let server = Server::start(&[]);
    let problem = server.admin.post("/v1/t/acme/ingest/keykloak", "{}").problem(404, "unknown_system");
    assert!(problem["detail"].as_str().unwrap().contains("keycloak"), "{problem}");
    server.admin.post("/v1/t/acme/ingest/auto", "{\"a\":1}").problem(400, "unknown_system");
    server.admin.post("/v1/t/acme/ingest/auto", " \n").problem(400, "empty_body");
    server.admin.post("/v1/t/acme/ingest/keycloak", "").problem(400, "empty_body");
    server.admin.anonymous().post("/v1/t/acme/ingest/keycloak", "{}").problem(401, "unauthorized");
}

#[test]
fn an_answer_without_a_record_is_no_record_and_lists_may_have_lines() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    for (system, body) in [
        ("asgardeo", r#"{"logs":[]}"#),
        ("wso2", " {\n  \"logs\": []\n}\n"),
        ("auth0", r#"{"start":0,"limit":50,"logs":[],"total":0}"#),
        ("okta", r#"{"eventType":"com.okta.event_hook","data":{"events":[]}}"#),
        ("zitadel", r#"{"events":[]}"#),
        ("ory-network", r#"{"events":[],"page_token":""}"#),
        ("authentik", r#"{"pagination":{"next":0},"results":[]}"#),
        ("contember", r#"{"data":{"authLog":{"entries":[],"hasMore":false}}}"#),
    ] {
        let answer = server.admin.post(&format!("/v1/t/acme/ingest/{system}?receipts=full"), body).ok();
        let counts = ["accepted", "duplicate", "rejected", "unparsed"].map(|name| answer[name].as_u64());
        assert_eq!(counts, [Some(0); 4], "{system}: {answer}");
    }
    for system in ["okta", "keycloak", "cloudevents", "guide"] {
        let answer = server.admin.post(&format!("/v1/t/acme/ingest/{system}"), " [ ]\n").ok();
        assert_eq!((&answer["accepted"], &answer["unparsed"]), (&json!(0), &json!(0)), "{system}: {answer}");
    }
    server.admin.post("/v1/t/acme/ingest/okta", " ").problem(400, "empty_body");
    let ory = json!({ "events": [
        { "name": "SessionIssued", "timestamp": "2026-11-20T12:00:00Z", "attributes": [{ "key": "IdentityID", "value": "i1" }, { "key": "SessionID", "value": "s1" }] },
        { "name": "LoginFailed", "timestamp": "2026-11-20T12:00:01Z", "eventAttributes": { "ClientIP": "192.0.2.1" } },
    ], "page_token": "x" });
    for path in ["ory-network", "auto"] {
        let answer =
            server.admin.post(&format!("/v1/t/acme/ingest/{path}"), serde_json::to_string_pretty(&ory).unwrap()).ok();
        assert_eq!((&answer["system"], &answer["unparsed"]), (&json!("ory-network"), &json!(0)), "{answer}");
        assert_eq!(answer["accepted"].as_u64().unwrap() + answer["duplicate"].as_u64().unwrap(), 2, "{answer}");
    }
    // One that is too deep says so itself, and its neighbours are stored.
    let deep = format!(r#"{{"logs":[{},{}{},{}]}}"#, auth0(1), "[".repeat(200), "]".repeat(200), auth0(2));
    let answer = server.admin.post("/v1/t/acme/ingest/auth0?receipts=full", deep).ok();
    assert_eq!((&answer["accepted"], &answer["unparsed"]), (&json!(3), &json!(1)), "{answer}");
    let line = r#"[2026-11-20 12:00:00,214]  INFO {AUDIT_LOG}-  Initiator : a | Action : create | Target : 3 | Data : { a } | Result : Success"#;
    let shipped =
        serde_json::to_string_pretty(&json!([{ "log": format!("{line}\n"), "time": "2026-11-20T12:00:01Z" }])).unwrap();
    for path in ["wso2", "auto"] {
        let answer = server.admin.post(&format!("/v1/t/acme/ingest/{path}"), &shipped).ok();
        assert_eq!((&answer["system"], &answer["unparsed"]), (&json!("wso2"), &json!(0)), "{answer}");
    }
    assert_eq!(
        server.admin.post("/v1/t/acme/ingest/wso2", line).ok()["duplicate"],
        1,
        "the same line without its shipper"
    );
}

#[test]
fn an_event_that_comes_again_in_another_shape_is_stored_once() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    let send = |system: &str, body: &Value| {
        let answer = server.admin.post(&format!("/v1/t/acme/ingest/{system}?receipts=full"), body.to_string()).json();
        ["accepted", "duplicate", "rejected"].map(|name| answer[name].as_u64().unwrap_or_default())
    };
    let pulled = |n: u32| {
        let mut entry = auth0(n);
        entry["_id"] = entry["log_id"].clone();
        entry
    };
    let streamed = |n: u32| json!({ "log_id": auth0(n)["log_id"], "data": auth0(n) });
    assert_eq!(send("auth0", &streamed(1)), [1, 0, 0]);
    assert_eq!(send("auth0", &pulled(1)), [0, 1, 0]);
    assert_eq!(send("auth0", &json!([pulled(2), streamed(2), streamed(1)])), [1, 2, 0], "in one body too");
    let mut other = pulled(1);
    other["user_id"] = json!("auth0|u2");
    assert_eq!(send("auth0", &other), [0, 0, 1], "another content is a conflict still");
    let row = json!({ "id": "e-1", "created_at": "2026-11-20T12:00:00.250Z", "type": "login", "success": true, "person_id": "p",
        "ip_address": "192.0.2.1", "metadata": {}, "event_data": null, "geo_country": "CZ" });
    let entry = json!({ "id": "e-1", "createdAt": "2026-11-20T12:00:00.250Z", "type": "login", "success": true, "personId": "p",
        "ipAddress": "192.0.2.1", "metadata": {}, "eventData": null });
    assert_eq!(send("contember", &row), [1, 0, 0]);
    let answer = json!({ "data": { "authLog": { "hasMore": false, "entries": [entry] } } });
    assert_eq!(send("contember", &answer), [0, 1, 0], "it says nothing more");
    let found =
        server.admin.column("acme", "records", &[("q", "source:contember"), ("from", "2000-01-01T00:00:00Z")], "id");
    assert_eq!(found, ["e-1"]);
}

#[test]
fn a_job_began_when_its_source_says_so() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    let send = |at: &str, status: &str, created: Value| {
        let sent = json!({ "jobId": 812, "jobName": "trim", "jobType": "Trim", "latestStatus": status, "createdAt": created,
            "updatedAt": format!("2026-11-20T12:{at}Z") });
        assert_eq!(server.admin.post("/v1/t/acme/ingest/guide", sent.to_string()).ok()["accepted"], 1);
        let page = server.admin.page("acme", "job_logs", &[("q", "job_id:812"), ("from", "2000-01-01T00:00:00Z")]);
        ["created_at", "updated_at", "latest_status"].map(|name| page["items"][0][name].as_str().unwrap().to_owned())
    };
    let time = |at: &str| format!("2026-11-20T{at}.000000Z");
    let first = send("05:00", "pending", Value::Null);
    assert_eq!(first, [time("12:05:00"), time("12:05:00"), "pending".into()], "its first record is all that is known");
    let next = send("10:00", "running", json!("2026-11-20T11:59:00.000Z"));
    assert_eq!(next, [time("11:59:00"), time("12:10:00"), "running".into()]);
    let last = send("20:00", "success", Value::Null);
    assert_eq!(last, [time("11:59:00"), time("12:20:00"), "success".into()], "an older record said it");
}

fn auth0(n: u32) -> Value {
    json!({ "log_id": format!("90020{n}"), "date": "2026-11-20T12:00:00.000Z", "type": "s", "user_id": "auth0|u1" })
}

/// As Ory Network calls an address that has the key in it, and as SNS asks for it first.
#[test]
fn a_key_may_come_as_the_password_of_any_user() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    let made = server.admin.post("/v1/t/acme/keys", r#"{"name":"ory","scopes":["write"]}"#).json();
    let key = made["key"].as_str().unwrap();
    let basic = |pair: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    let event = include_str!("../../../systems/samples/ory-network/events.ndjson").lines().next().unwrap();
    let path = "/v1/t/acme/ingest/ory-network";
    let nobody = server.admin.anonymous();
    for user in ["ory", "", "any:body"] {
        // The first colon ends the user's name.
        let right = basic(&format!("{user}:{key}"));
        let status = nobody.post_with(path, &[("authorization", &right)], event).status;
        assert_eq!(status, if user.contains(':') { 401 } else { 200 }, "{user}");
    }
    for wrong in
        [basic("ory:wrong"), basic("ory"), basic(""), "Basic".into(), "Basic !".into(), format!("Digest {key}")]
    {
        let reply = nobody.post_with(path, &[("authorization", &wrong)], event);
        reply.problem(401, "unauthorized");
        let offered: Vec<_> = reply.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(offered, ["Bearer realm=\"indelible\"", "Basic realm=\"indelible\""]);
    }
    let page = nobody.get("/v1/t/acme/records");
    assert_eq!(page.headers.get_all("www-authenticate").iter().count(), 1, "browsers open no window");
    let logs = server.stop().logs();
    assert!(!logs.contains(key) && !logs.contains(&basic(&format!("ory:{key}"))), "no key in the log");
}

#[test]
fn a_source_and_a_header_say_what_the_record_does_not() {
    let server = Server::start(&[]);
    let stream = json!({ "system": "ory-network", "kind": "push", "settings": { "project": "p-1" } });
    let made = server.admin.put("/v1/t/acme", "{}");
    assert!(made.status < 300, "{made}");
    assert_eq!(server.admin.put("/v1/t/acme/sources/stream", &stream.to_string()).status, 201);
    for settings in [json!({ "project": "" }), json!({ "project": 1 })] {
        let wrong = json!({ "system": "ory-network", "kind": "push", "settings": settings });
        server.admin.put("/v1/t/acme/sources/wrong", &wrong.to_string()).problem(400, "invalid_source");
    }
    let other = json!({ "system": "okta", "kind": "push", "settings": { "project": "p-1" } });
    server.admin.put("/v1/t/acme/sources/wrong", &other.to_string()).problem(400, "invalid_source");
    let event = r#"{"name":"SessionIssued","version":"1","timestamp":"2026-11-20T12:00:00Z","eventAttributes":{"SessionID":"s"}}"#;
    assert_eq!(server.admin.post("/v1/t/acme/ingest/stream", event).ok()["accepted"], 1);
    // Each try of a webhook has the same trigger, which the traces name as well.
    let action = r#"{"flow":{"id":"f"},"event":"login","identity":{"id":"i"}}"#;
    let trigger = [("ory-webhook-trigger-id", "t-1"), ("ory-webhook-request-id", "r-1")];
    assert_eq!(server.admin.post_with("/v1/t/acme/ingest/ory", &trigger, action).ok()["accepted"], 1);
    assert_eq!(server.admin.post_with("/v1/t/acme/ingest/ory", &trigger, action).ok()["duplicate"], 1);
    for q in ["attributes._indelible.project:p-1", "request_id:t-1", "actionId:SessionIssued", "action_id:login"] {
        let found = server.admin.page("acme", "records", &[("q", q), ("from", "2000-01-01T00:00:00Z")]);
        assert_eq!(found["items"].as_array().unwrap().len(), 1, "{q}: {found}");
    }
}

/// The records that were kept, and what they are once an adapter knows them: here by one that does.
#[test]
fn what_was_not_understood_is_listed_and_read_again_once() {
    let server = Server::start(&[]);
    let login = json!({ "id": "e-9", "time": 1_763_640_000_000_u64, "type": "LOGIN", "realmId": "r", "userId": "u-1" });
    // Sent to the wrong address: authentik knows no such record.
    let lines = format!("{login}\n{}\n", json!({ "nobody": "knows" }));
    let answer = server.admin.post("/v1/t/acme/ingest/authentik", &lines).ok();
    assert_eq!(answer["unparsed"], 2, "{answer}");
    let listed = [("q", "action:unparsed source:authentik"), ("from", "2000-01-01T00:00:00Z")];
    let kept = server.admin.column("acme", "records", &listed, "id");
    assert_eq!(kept.len(), 2);

    let replay = |body: &Value| server.admin.post("/v1/t/acme/unparsed/replay", body.to_string());
    let same = replay(&json!({})).ok();
    assert_eq!((&same["read"], &same["stored"], &same["still_unparsed"]), (&json!(2), &json!(0), &json!(2)), "{same}");
    let first = replay(&json!({ "with": "keycloak", "q": "source:authentik" })).ok();
    assert_eq!(
        (&first["read"], &first["stored"], &first["still_unparsed"]),
        (&json!(2), &json!(1), &json!(1)),
        "{first}"
    );
    assert!(kept.contains(&first["results"][0]["id"].as_str().unwrap().to_owned()), "{first}");
    let again = replay(&json!({ "with": "keycloak" })).ok();
    assert_eq!((&again["stored"], &again["known"]), (&json!(0), &json!(1)), "once: {again}");
    let record = server.admin.get("/v1/t/acme/records/e-9").ok();
    assert_eq!((&record["action"], &record["source"]), (&json!("LOGIN"), &json!("keycloak")), "{record}");
    assert!(
        kept.iter().any(|id| record["attributes"]["_indelible"]["unparsed"] == json!(id)),
        "it refers to it: {record}"
    );

    // Where it belongs it is known, and with other content refused as ever.
    let answer = server.admin.post("/v1/t/acme/ingest/keycloak", login.to_string()).ok();
    assert_eq!((&answer["accepted"], &answer["duplicate"]), (&json!(0), &json!(1)), "{answer}");
    let mut other = login.clone();
    other["ipAddress"] = json!("192.0.2.99");
    server.admin.post("/v1/t/acme/ingest/keycloak", other.to_string()).problem(409, "id_conflict");

    // By pages, and with what is wrong with a request.
    let page = replay(&json!({ "with": "keycloak", "limit": 1 })).ok();
    assert_eq!(page["read"], 1, "{page}");
    let rest = replay(&json!({ "with": "keycloak", "limit": 1, "cursor": page["next_cursor"] })).ok();
    assert_eq!((&rest["read"], &rest["next_cursor"]), (&json!(1), &Value::Null), "{rest}");
    replay(&json!({ "with": "keykloak" })).problem(404, "unknown_system");
    replay(&json!({ "limit": 0 })).problem(400, "invalid_parameter");
    replay(&json!({ "q": "nonsense:1" })).problem(400, "unknown_key");
    replay(&json!({ "what": 1 })).problem(400, "invalid_json");
    replay(&json!({ "cursor": "x" })).problem(400, "invalid_cursor");
    server.tenant_key("acme", &["write"]).post("/v1/t/acme/unparsed/replay", "{}").problem(403, "missing_scope");
    let audit = server.admin.column("acme", "audit_logs", &[("q", "action:indelible.unparsed.replay")], "action");
    assert!(audit.len() >= 5, "each is a record of its own");
}

/// As somebody does who has a file, or what another program writes, and does not say what it is.
#[test]
fn the_command_line_tells_by_its_beginning_whose_records_it_is_given() {
    let server = Server::start(&[]);
    for (n, (system, file, bytes)) in samples().into_iter().enumerate() {
        let wanted = server.admin.post(&format!("/v1/t/wanted-{n}/ingest/auto"), &bytes).ok();
        let path = file.to_str().unwrap();
        let done = server.cli(&["ingest", path, "--tenant", &format!("t{n}"), "--json", "--no-resume"]);
        assert!(done.err.contains(&format!("look like {system}'s (")), "{path}: {}", done.err);
        let said: Value = serde_json::from_str(&done.ok()).unwrap();
        assert_eq!((&said["system"], &said["confidence"]), (&json!(system), &wanted["confidence"]), "{path}: {said}");
        assert_eq!((&said["rejected"], &said["unparsed"]), (&json!(0), &json!(0)), "{path}: {said}");
        let (ours, theirs) = (&said["accepted"], &wanted["accepted"]);
        assert_eq!(ours, theirs, "{path}: {said}");
        let tenant = format!("t{n}");
        for asked in [&[] as &[&str], &["--system", "auto"]] {
            let args = [&["ingest", "-", "--tenant", &tenant, "--json"], asked].concat();
            let piped = server.cli_with(&server.key(), &args, &bytes);
            assert!(piped.err.contains(&format!("look like {system}'s (")), "{path}: {}", piped.err);
            let piped: Value = serde_json::from_str(&piped.ok()).unwrap();
            let same =
                ["system", "confidence", "records", "rejected", "unparsed"].map(|name| (&piped[name], &said[name]));
            assert!(same.iter().all(|(piped, said)| piped == said), "{path}: {piped} {said}");
        }
    }
    // Said to be another's: kept as they came, told one by one, and nothing is refused.
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../systems/samples/keycloak/events.json"));
    let done = server.cli(&["ingest", file.to_str().unwrap(), "--tenant", "other", "--system", "okta", "--no-resume"]);
    assert!(done.err.contains("kept as it came: "), "{}", done.err);
    assert!(done.ok().contains("0 rejected; "), "and counted");
}

#[test]
fn the_command_line_says_what_to_do_where_it_knows_no_system() {
    let server = Server::start(&[]);
    let file = server.home.path().join("events.json");
    for (text, exit) in [
        ("{\"what\":\"login\",\"who\":\"ann\"}\n", 1),
        ("Name,Value\na,b\n", 1),
        ("{\"what\":\"login\"}\n{\"log\":\"event\",\"action\":\"login\"}\n", 6),
    ] {
        std::fs::write(&file, text).unwrap();
        let path = file.to_str().unwrap();
        let of_file = server.cli(&["ingest", path, "--tenant", "acme", "--no-resume"]);
        let piped = server.cli_with(&server.key(), &["ingest", "-", "--tenant", "acme"], text.as_bytes());
        for done in [of_file, piped] {
            assert_eq!(done.code, Some(exit), "{}", done.err);
            for part in ["no system is recognised", "plain records, such as {\"log\":", "--system NAME", "keycloak"] {
                assert!(done.err.contains(part), "{part}: {}", done.err);
            }
        }
    }
    // Plain records are known, and of nothing nothing is said.
    for text in ["{\"log\":\"event\",\"action\":\"logout\"}\n", ""] {
        let done = server.cli_with(&server.key(), &["ingest", "-", "--tenant", "acme", "--quiet"], text.as_bytes());
        assert_eq!(done.err, "", "{text}");
        done.ok();
    }
}

/// What PowerShell writes, and a list that a source's connection did not bring whole.
#[test]
fn the_command_line_sends_utf_16_and_what_breaks_off() {
    let server = Server::start(&[]);
    let login = |n: u32| {
        json!({ "id": format!("e-{n}"), "time": 1_763_640_000_000_u64, "type": "LOGIN", "realmId": "zoë" }).to_string()
    };
    let text = format!("{}\r\n{}\r\n", login(1), login(2));
    let utf_16: Vec<u8> = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let done = server.cli_with(&server.key(), &["ingest", "-", "--tenant", "acme"], &utf_16);
    assert_eq!(done.ok().trim_end(), "2 records: 2 accepted, 0 duplicate, 0 rejected");
    let cut = format!("[{},{{\"id\":\"e-4\",\"type\":", login(3));
    let done = server.cli_with(&server.key(), &["ingest", "-", "--tenant", "acme"], cut.as_bytes());
    assert!(done.err.contains("kept as it came"), "{}", done.err);
    assert!(done.ok().starts_with("2 records: 2 accepted, 0 duplicate, 0 rejected; 1 not understood"));
    let found = server.admin.column(
        "acme",
        "records",
        &[("q", "action:unparsed"), ("from", "2000-01-01T00:00:00Z")],
        "attributes",
    );
    assert_eq!(found, [json!({ "native": "{\"id\":\"e-4\",\"type\":" }).to_string()]);
}

#[test]
fn who_is_known_by_an_identity_only_is_the_actor_of_the_audit_log() {
    let server = Server::start(&[]);
    let row = |id: &str, kind: &str, more: Value| {
        let mut row = json!({ "id": id, "created_at": "2026-11-20T12:00:00.000Z", "type": kind, "success": true });
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row
    };
    let rows = json!([
        row("e-1", "person_disable", json!({ "person_id": "bob", "invoked_by_id": "i-admin" })),
        row(
            "e-2",
            "idp_enable",
            json!({ "person_id": "ann", "invoked_by_id": "i-ann", "event_data": { "slug": "google" } })
        ),
    ]);
    assert_eq!(server.admin.post("/v1/t/acme/ingest/contember", rows.to_string()).ok()["accepted"], 2);
    let found = server
        .admin
        .sql("acme", "SELECT action, actor, target FROM audit_logs WHERE source = 'contember' ORDER BY action");
    assert_eq!(json!(found), json!([["idp_enable", "ann", "google"], ["person_disable", "i-admin", "bob"]]));
    let by = server.admin.page("acme", "audit-logs", &[("q", "actor:i-admin"), ("from", "2026-01-01T00:00:00Z")]);
    assert_eq!(by["items"].as_array().unwrap().len(), 1, "{by}");
}

/// By a switch of the server WSO2 writes an action in v2 and in an older line; whether both are in one body is chance.
#[test]
fn an_action_that_was_written_twice_is_one_record_whichever_part_of_it_came_first() {
    let prefix = |request: &str| format!("TID: [-1234] [2026-11-20 12:00:00,214] [{request}]  INFO {{AUDIT_LOG}} - ");
    let v2 = |n: usize, target: &str| {
        let record = json!({ "id": format!("v2-{n}"), "recordedAt": "2026-11-20T12:00:00.200000Z", "requestId": format!("r{n}"),
            "initiatorId": "i", "initiatorType": "User", "targetId": target, "targetType": "User", "action": "delete-user" });
        format!("{}{record}", prefix(&format!("r{n}")))
    };
    let old = |n: usize| {
        format!(
            "{}Initiator=admin Action=Delete-User Target=ann Data={{\"password\":\"hunter2\"}} Outcome=Success",
            prefix(&format!("r{n}"))
        )
    };
    let server = Server::start(&[]);
    let send = |lines: &[String]| {
        let answer = server.admin.post("/v1/t/acme/ingest/wso2", lines.join("\n")).ok();
        assert_eq!((&answer["rejected"], &answer["unparsed"]), (&json!(0), &json!(0)), "{answer}");
        (answer["accepted"].as_u64().unwrap(), answer["duplicate"].as_u64().unwrap())
    };
    // v2 alone, then both: v2 is a repetition, and the line is kept as a record that names it.
    assert_eq!(send(&[v2(1, "t")]), (1, 0));
    let both = [v2(1, "t"), old(1)];
    assert_eq!(send(&both), (1, 1));
    let twins = server.admin.page("acme", "records", &[("q", "target.id:ann"), ("from", "2020-01-01T00:00:00Z")]);
    let [twin] = twins["items"].as_array().unwrap().as_slice() else { panic!("{twins}") };
    assert_eq!((&twin["attributes"]["_indelible"]["twin"], &twin["actor"]["id"]), (&json!("v2-1"), &json!("admin")));
    assert!(!server.admin.get("/v1/t/acme/records/v2-1").ok().to_string().contains("admin"), "it stays as it was");
    for _ in 0..2 {
        assert_eq!(send(&both), (0, 2), "all of it is there");
    }
    assert_eq!(send(&[old(1)]), (0, 1), "the line alone as well");
    // After a start nothing is remembered, and it is the same.
    let server = server.stop().start();
    let send = |lines: &[String]| server.admin.post("/v1/t/acme/ingest/wso2?receipts=full", lines.join("\n"));
    let answer = send(&both).ok();
    assert_eq!((&answer["accepted"], &answer["duplicate"]), (&json!(0), &json!(2)), "{answer}");
    let lines: Vec<&Value> = answer["results"].as_array().unwrap().iter().map(|r| &r["line"]).collect();
    assert_eq!(lines, [&json!(1), &json!(1)], "both under the line of the record");

    // Both, then each alone: nothing is new but the line, which could not be told from that of another action.
    assert_eq!(send(&[v2(2, "t"), old(2)]).ok()["accepted"], 1);
    let answer = send(&[v2(2, "t")]).ok();
    assert_eq!((&answer["accepted"], &answer["duplicate"]), (&json!(0), &json!(1)), "{answer}");
    // The same id with other content is another record, with a twin or without.
    assert_eq!(send(&[v2(2, "somebody else")]).problem(409, "id_conflict")["rejected"], 1);
    let answer = send(&[v2(2, "somebody else"), old(2)]);
    assert_eq!(answer.problem(409, "id_conflict")["rejected"], 1);

    // The line alone is the one that the record has, where it is remembered which record that may be.
    let answer = send(&[old(2)]).ok();
    assert_eq!((&answer["accepted"], &answer["duplicate"]), (&json!(0), &json!(1)), "{answer}");
    let record = server.admin.get("/v1/t/acme/records/v2-2").ok();
    let said = &answer["results"][0];
    assert_eq!((&said["index"], &said["leaf_hash"]), (&record["index"], &record["leaf_hash"]), "{answer}");
    assert_eq!(record["attributes"]["_indelible"]["twin"], said["id"], "by the name that it would have");
    let other = old(2).replace("Target=ann", "Target=eve");
    assert_eq!(send(&[other]).ok()["accepted"], 1, "another line of the same request is another record");
    // A line that comes before its v2 record is named by that.
    assert_eq!(send(&[old(5)]).ok()["accepted"], 1);
    let line = send(&[old(5)]).ok()["results"][0]["id"].clone();
    assert_eq!(send(&[v2(5, "t")]).ok()["accepted"], 1);
    assert_eq!(server.admin.get("/v1/t/acme/records/v2-5").ok()["attributes"]["_indelible"]["twin"], line);

    // A shipper sends the same lines, in its own words and without a space at their ends: nothing is new.
    let shipped = |line: &str| json!({ "message": line, "host": "is-1", "time": 1 }).to_string();
    let spaced = format!("{} ", old(3));
    assert_eq!(send(&[v2(3, "t")]).ok()["accepted"], 1);
    assert_eq!(send(std::slice::from_ref(&spaced)).ok()["accepted"], 1);
    for line in [v2(3, "t"), old(3), spaced] {
        let answer = send(&[shipped(&line)]).ok();
        assert_eq!((&answer["accepted"], &answer["duplicate"]), (&json!(0), &json!(1)), "{line}: {answer}");
    }
    assert_eq!(send(&[shipped(&v2(4, "t"))]).ok()["accepted"], 1);
    assert_eq!(send(&[v2(4, "t")]).ok()["duplicate"], 1, "the other way round as well");

    // Asgardeo's legacy records have no line to be named by: the record that they belong to tells them apart.
    let new = json!({ "id": "a-1", "recordedAt": "2026-11-20T12:00:00.200000Z", "initiatorId": "i", "initiatorType": "User",
        "targetId": "t", "targetType": "User", "action": "add-user" });
    let legacy = json!({ "initiatorId": "i", "action": "Add User", "target": "ann", "data": { "Claims": {} } });
    let send = |list: Value| server.admin.post("/v1/t/acme/ingest/asgardeo", list.to_string()).ok();
    assert_eq!(send(json!([new]))["accepted"], 1);
    let first = send(json!([new, legacy]));
    assert_eq!((&first["accepted"], &first["duplicate"]), (&json!(1), &json!(1)), "{first}");
    let again = send(json!([new, legacy]));
    assert_eq!((&again["accepted"], &again["duplicate"]), (&json!(0), &json!(2)), "{again}");
    server.stop().verify().ok();
}
