//! Views, filter text, the time grammar, questions: the same answers from the tail and from segments.

use crate::server::{Server, at};
use serde_json::{Value, json};

/// One record of every log, and a few events to tell apart.
fn sample() -> Vec<Value> {
    vec![
        json!({ "id": "audit-1", "log": "audit", "time": at(-600), "action": "update user", "outcome": "success",
            "actor": { "id": "u-1", "name": "Ann", "email": "ann@example.org" }, "target": { "id": "u-2", "name": "Bob", "type": "user" },
            "subject": { "name": "Group A" }, "client_actor": { "name": "console" }, "comments": "as asked", "ip": "192.0.2.1",
            "request_id": "req-1", "source": "contember", "old": { "role": "a" }, "new": { "role": "b" }, "attributes": { "flow": { "id": "f-1" }, "n": 7 } }),
        json!({ "id": "event-1", "log": "event", "time": at(-500), "action": "login", "outcome": "failure", "email": "bob@example.org",
            "username": "bob", "client": { "name": "shop" }, "provider": { "name": "google" }, "ip": "192.0.2.7", "user_agent": "Mozilla/5.0 (X11)",
            "error_code": "bad_credentials", "session_id": "s-1", "request_id": "req-2", "source": "ory-network", "attributes": { "flow": { "id": "f-2" } } }),
        json!({ "id": "event-2", "log": "event", "time": at(-400), "action": "password_reset_init", "outcome": "success", "email": "Ann@Example.org" }),
        json!({ "id": "event-3", "log": "event", "time": at(-300), "action": "login", "outcome": "success", "email": "ann@example.org", "ip": "192.0.2.1" }),
        json!({ "id": "job-1a", "log": "job", "time": at(-290), "job": { "id": "j-1", "name": "sync", "type": "ldap", "status": "running" } }),
        json!({ "id": "job-1b", "log": "job", "time": at(-280), "message": "no route", "job": { "id": "j-1", "name": "sync", "type": "ldap", "status": "failed", "stacktrace": "at x" } }),
        json!({ "id": "job-2", "log": "job", "time": at(-270), "job": { "id": "j-2", "name": "sync", "type": "ldap", "status": "success" } }),
        json!({ "id": "mail-1a", "log": "notification", "time": at(-260), "notification": { "id": "n-1", "subject": "Welcome", "recipient": ["ann@example.org", "bob@example.org"], "cc": "c@example.org", "status": "pending", "category": "onboarding", "body": "Dear Ann" } }),
        json!({ "id": "mail-1b", "log": "notification", "time": at(-250), "notification": { "id": "n-1", "subject": "Welcome", "recipient": ["ann@example.org", "bob@example.org"], "cc": "c@example.org", "status": "sent", "category": "onboarding", "body": "Dear Ann" } }),
        json!({ "id": "session-1", "log": "session", "time": at(-240), "client": { "id": "shop" }, "session": { "id": "s-1", "protocol": "oidc", "user_id": "u-2", "status": "active", "expires_at": at(-10) } }),
        json!({ "id": "session-2", "log": "session", "time": at(-230), "session": { "id": "s-2", "protocol": "saml", "user_id": "u-1", "status": "active", "expires_at": at(3600) } }),
        json!({ "id": "session-3a", "log": "session", "time": at(-220), "session": { "id": "s-3", "user_id": "u-1", "status": "active", "expires_at": at(-5) } }),
        json!({ "id": "session-3b", "log": "session", "time": at(-210), "session": { "id": "s-3", "user_id": "u-1", "status": "revoked", "expires_at": at(-5) } }),
        json!({ "id": "grant-1", "log": "grant", "time": at(-200), "email": "bob@example.org", "provider": { "name": "google" }, "client": { "name": "shop" }, "session_id": "s-1", "grant": { "id": "g-1", "status": "active", "expires_at": at(-3) } }),
    ]
}

/// Runs a check while the records are in the tail, and again when they are in segments.
fn everywhere(check: impl Fn(&Server)) {
    let server = Server::start(&[("FLUSH_SECONDS", "3600")]);
    server.admin.write("acme", &sample());
    check(&server);
    assert!(server.metric("indelible_tail_bytes") > 0.0 && server.metric("indelible_segments") == 0.0);
    let server = Server::start(&[("FLUSH_SECONDS", "0")]);
    server.admin.write("acme", &sample());
    server.flushed();
    check(&server);
}

#[test]
fn every_view_shows_its_columns_with_their_values() {
    everywhere(|server| {
        let item = |view: &str, id: &str| -> Value {
            let page = server.admin.page("acme", view, &[]);
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .find(|i| i["id"] == id)
                .unwrap_or_else(|| panic!("{id} is not in {page}"))
                .clone()
        };
        let same = |view: &str, id: &str, expected: Value| {
            let item = item(view, id);
            for (name, value) in expected.as_object().unwrap() {
                assert_eq!(item[name], *value, "{view}.{name}: {item}");
            }
            assert!(item["index"].is_u64() && item["recorded_at"].is_string(), "{item}");
        };
        same(
            "audit_logs",
            "audit-1",
            json!({ "action": "update user", "target": "Bob", "actor": "ann@example.org", "subject": "Group A",
            "client_actor": "console", "comments": "as asked", "old_entity": { "role": "a" }, "new_entity": { "role": "b" },
            "diff": { "role": { "__old": "a", "__new": "b" } }, "outcome": "success", "ip_address": "192.0.2.1", "request_id": "req-1",
            "source": "contember", "details": { "flow": { "id": "f-1" }, "n": 7 } }),
        );
        same(
            "event-logs",
            "event-1",
            json!({ "event_type": "login", "client_name": "shop", "provider_name": "google", "email": "bob@example.org",
            "username": "bob", "ip_address": "192.0.2.7", "user_agent": "Mozilla/5.0 (X11)", "outcome": "failure",
            "error_code": "bad_credentials", "session_id": "s-1", "request_id": "req-2", "source": "ory-network", "details": { "flow": { "id": "f-2" } } }),
        );
        same(
            "job_logs",
            "job-1b",
            json!({ "job_id": "j-1", "job_name": "sync", "job_type": "ldap", "message": "no route",
            "latest_status": "failed", "stacktrace": "at x", "details": null }),
        );
        same(
            "notification-logs",
            "mail-1b",
            json!({ "subject": "Welcome", "recipient": ["ann@example.org", "bob@example.org"],
            "cc": ["c@example.org"], "bcc": null, "status": "sent", "category": "onboarding", "body": "Dear Ann" }),
        );
        same(
            "sessions",
            "session-1",
            json!({ "session_id": "s-1", "protocol": "oidc", "client_id": "shop", "user_id": "u-2" }),
        );
        same(
            "grants",
            "grant-1",
            json!({ "grant_id": "g-1", "email": "bob@example.org", "provider": "google", "client": "shop", "session_id": "s-1" }),
        );
        let record = item("records", "event-1");
        assert_eq!(record["client"]["name"], "shop", "the whole envelope: {record}");
        let all = server.admin.column("acme", "records", &[("q", "-source:indelible")], "id");
        assert_eq!(all.len(), sample().len(), "every log");
        server.admin.get("/v1/t/acme/audits").problem(404, "not_found");
    });
}

#[test]
fn folded_views_show_the_latest_state_once_and_expiry_without_a_record() {
    everywhere(|server| {
        let pairs = |view: &str, id: &str, status: &str| -> Vec<(String, String)> {
            let ids = server.admin.column("acme", view, &[], id);
            ids.into_iter().zip(server.admin.column("acme", view, &[], status)).collect()
        };
        let expect = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        assert_eq!(pairs("job_logs", "job_id", "latest_status"), expect(&[("j-2", "success"), ("j-1", "failed")]));
        assert_eq!(
            pairs("sessions", "session_id", "status"),
            expect(&[("s-3", "revoked"), ("s-2", "active"), ("s-1", "expired")])
        );
        assert_eq!(pairs("grants", "grant_id", "status"), expect(&[("g-1", "expired")]));
        assert_eq!(pairs("notification_logs", "subject", "status"), expect(&[("Welcome", "sent")]));
        let expired = server.admin.column("acme", "sessions", &[("q", "status:expired")], "session_id");
        assert_eq!(expired, ["s-1"], "a filter sees the status that is shown");
        let jobs = server.admin.page("acme", "job_logs", &[("q", "job_id:j-1")]);
        let job = &jobs["items"][0];
        let raw = |id: &str| server.admin.get(&format!("/v1/t/acme/records/{id}")).ok()["time"].clone();
        assert_eq!((&job["created_at"], &job["updated_at"]), (&raw("job-1a"), &raw("job-1b")), "first and latest");
        assert_eq!(
            server.admin.column("acme", "job_logs", &[("q", "latest_status:running")], "job_id").len(),
            0,
            "only the latest counts"
        );
        // A later record changes the state at once, wherever the earlier ones are.
        server
            .admin
            .write("acme", &[json!({ "log": "job", "time": at(-1), "job": { "id": "j-1", "status": "success" } })]);
        assert_eq!(pairs("job_logs", "job_id", "latest_status"), expect(&[("j-1", "success"), ("j-2", "success")]));
    });
}

#[test]
fn filter_text_means_what_the_contract_says() {
    let e123 = ["event-3", "event-2", "event-1"];
    let cases: &[(&str, &str, &[&str])] = &[
        ("event_logs", "", &e123),
        ("event_logs", "event_type:login", &["event-3", "event-1"]),
        ("event_logs", "event_type:LOGIN", &["event-3", "event-1"]),
        ("event_logs", "Event-Type:login outcome:failure", &["event-1"]),
        ("event_logs", r#"user_agent:"Mozilla/5.0 (X11)""#, &["event-1"]),
        ("event_logs", "-event_type:login", &["event-2"]),
        ("event_logs", "!event_type:login", &["event-2"]),
        ("event_logs", "NOT event_type:login", &["event-2"]),
        ("event_logs", "email:ann*", &["event-3", "event-2"]),
        ("event_logs", "email:*@example.org", &e123),
        ("event_logs", "ip_address:[192.0.2.7,192.0.2.9]", &["event-1"]),
        ("event_logs", "ip:*", &["event-3", "event-1"]),
        ("event_logs", "-ip:*", &["event-2"]),
        ("event_logs", "event_type~reset", &["event-2"]),
        ("event_logs", r#"event_type~"password reset""#, &["event-2"]),
        ("event_logs", "bob", &["event-1"]),
        ("event_logs", r#""bad_cred""#, &["event-1"]),
        ("event_logs", "outcome:failure OR event_type:password_reset_init", &["event-2", "event-1"]),
        ("event_logs", "(outcome:failure OR event_type~reset) AND email:ann@example.org", &["event-2"]),
        ("event_logs", "email:ann@example.org", &["event-3", "event-2"]),
        ("event_logs", "created_on:>=now-450s", &["event-3", "event-2"]),
        ("event_logs", "created_on:now-550s..now-350s", &["event-2", "event-1"]),
        ("event_logs", "created_on:<now-450s", &["event-1"]),
        ("event_logs", "details.flow.id:f-2", &["event-1"]),
        ("event_logs", "attributes.flow.id:f-2", &["event-1"]),
        ("event_logs", "nobody", &[]),
        ("audit_logs", "actor.id:u-1", &["audit-1"]),
        ("audit_logs", "attributes.n:>5", &["audit-1"]),
        ("audit_logs", "attributes.n:>50", &[]),
        ("audit_logs", "target:bob actor:ann@example.org", &["audit-1"]),
        ("audit_logs", "new.role:b", &["audit-1"]),
        ("records", "log:[audit,grant]", &["grant-1", "audit-1"]),
        ("records", "index:0", &["audit-1"]),
        ("records", "index:>=12", &["grant-1", "session-3b"]),
        ("notification_logs", "recipient:bob@example.org", &["mail-1b"]),
        ("notification_logs", "body~dear", &["mail-1b"]),
    ];
    everywhere(|server| {
        for (view, filter, expected) in cases {
            let ids = server.admin.column("acme", view, &[("q", filter)], "id");
            assert_eq!(ids, *expected, "{view}: {filter}");
        }
    });
}

#[test]
fn a_mistake_in_a_filter_is_pointed_at_and_the_nearest_key_suggested() {
    let server = Server::start(&[]);
    server.admin.write("acme", &sample());
    let get = |view: &str, query: &[(&str, &str)]| {
        server.admin.get(&format!("/v1/t/acme/{view}{}", crate::http::encode_query(query)))
    };
    let problem = get("event_logs", &[("q", "outcome:failure emial:x")]).problem(400, "unknown_key");
    assert_eq!(problem["errors"][0]["suggestion"], "email", "{problem}");
    assert_eq!(problem["errors"][0]["span"], json!([16, 21]), "it points at the key: {problem}");
    assert!(problem["detail"].as_str().unwrap().contains("email"), "{problem}");
    for (query, code) in [
        (("q", "outcome:(("), "syntax"),
        (("q", "created_on:>=soon"), "bad_time"),
        (("from", "1700000000"), "bad_time"),
        (("to", "tomorrowish"), "bad_time"),
        (("limit", "0"), "invalid_parameter"),
        (("limit", "1001"), "invalid_parameter"),
        (("limit", "many"), "invalid_parameter"),
        (("cursor", "bm9uc2Vuc2U"), "invalid_cursor"),
        (("diff", "html"), "invalid_parameter"),
    ] {
        let problem = get("event_logs", &[query]).problem(400, code);
        assert_eq!(problem["errors"][0]["pointer"], query.0, "{problem}");
    }
    let backwards = [("from", "now-1d"), ("to", "now-2d")];
    let body = json!({ "view": "event_logs", "from": "now-1d", "to": "now-2d" });
    for reply in [get("event_logs", &backwards), server.admin.post("/v1/t/acme/query", body.to_string())] {
        let problem = reply.problem(400, "invalid_parameter");
        assert_eq!(
            (&problem["errors"][0]["pointer"], &problem["errors"][1]["pointer"]),
            (&json!("from"), &json!("to"))
        );
    }
    let settings = json!({ "redaction": { "keys": [7] } }).to_string();
    let problem = server.admin.put("/v1/t/acme", &settings).problem(400, "invalid_settings");
    assert_eq!(problem["errors"][0]["pointer"], "redaction.keys", "{problem}");
    get("event_logs", &[("q", &"(".repeat(5000))]).problem(400, "too_deep");
    let long = json!({ "view": "event_logs", "q": "x ".repeat(20_000) });
    server.admin.post("/v1/t/acme/query", long.to_string()).problem(400, "too_long");
}

#[test]
fn times_are_rfc_3339_dates_or_relative_and_views_begin_seven_days_back() {
    let server = Server::start(&[]);
    let day = 86_400;
    let records: Vec<Value> = [(1, "d1"), (3 * day, "d3"), (8 * day, "d8"), (400 * day, "d400")]
        .iter()
        .map(|(ago, id)| json!({ "id": id, "log": "event", "action": "x", "time": at(-ago) }))
        .collect();
    server.admin.write("acme", &records);
    let ids = |view: &str, query: &[(&str, &str)]| server.admin.column("acme", view, query, "id");
    assert_eq!(ids("event_logs", &[]), ["d1", "d3"], "the default view is the last seven days, newest first");
    assert_eq!(ids("records", &[]), ["d1", "d3", "d8", "d400"], "records show everything, backfill too");
    assert_eq!(ids("event_logs", &[("from", "now-30d")]), ["d1", "d3", "d8"]);
    assert_eq!(ids("event_logs", &[("to", "now-2d")]), ["d3", "d8", "d400"], "one bound given is the only bound");
    assert_eq!(ids("event_logs", &[("from", "now-10d"), ("to", "now-2d")]), ["d3", "d8"]);
    assert_eq!(ids("event_logs", &[("from", &at(-4 * day)), ("to", &at(-2 * day))]), ["d3"]);
    assert_eq!(ids("event_logs", &[("from", &at(-9 * day)[..10]), ("to", "now-2d")]), ["d3", "d8"], "a date");
    assert_eq!(
        ids("event_logs", &[("q", "created_on:>=now-30d")]),
        ["d1", "d3", "d8"],
        "a time in the filter is a bound too"
    );
    assert_eq!(ids("event_logs", &[("from", "now-3d/d"), ("to", "now-1d/d")]), ["d3"]);
    let page = server.admin.page(
        "acme",
        "event_logs",
        &[("from", "2020-01-01T00:00:00Z"), ("to", "2020-01-02T00:00:00+02:00")],
    );
    assert_eq!(
        (&page["from"], &page["to"]),
        (&json!("2020-01-01T00:00:00.000000Z"), &json!("2020-01-01T22:00:00.000000Z")),
        "the bounds in force"
    );
    assert_eq!(page["items"], json!([]));
}

#[test]
fn questions_become_a_query_that_is_shown_and_can_be_run() {
    let server = Server::start(&[]);
    server.admin.write("acme", &sample());
    let ask = |run: &str, body: Value| server.admin.post(&format!("/v1/t/acme/ask{run}"), body.to_string());
    let answer = ask("", json!({ "view": "event_logs", "question": "failed logins in the last 7 days", "now": "2026-11-20T12:00:00Z", "tz": "UTC" })).ok();
    let filter = answer["filter"].to_string();
    assert!(filter.contains("outcome") && filter.contains("failure") && filter.contains("login"), "{answer}");
    assert_eq!(answer["from"], "2026-11-13T12:00:00Z", "{answer}");
    assert_eq!(answer["ignored"], json!([]), "{answer}");
    assert!(!answer["explanation"].as_str().unwrap().is_empty(), "{answer}");
    let answer = ask("?run=true", json!({ "view": "event_logs", "question": "failed logins in the last hour" })).ok();
    assert_eq!(answer["items"][0]["id"], "event-1", "{answer}");
    let answer =
        ask("?run=true", json!({ "view": "event_logs", "question": "top 3 ip addresses in the last hour" })).ok();
    assert!(answer["result"]["groups"].is_array(), "{answer}");
    // A count says what it counted: without a time that is the last seven days.
    let answer = ask("?run=true", json!({ "view": "event_logs", "question": "how many logins" })).ok();
    assert!(answer["result"]["count"].is_u64() && answer["from"].is_string(), "{answer}");
    let said = server.cli(&["ask", "acme", "how many logins", "--run"]).ok();
    assert!(said.lines().any(|l| l.split_whitespace().eq(["count", &answer["result"]["count"].to_string()])), "{said}");
    // By its own name too, wherever the records are.
    let of = |q: &str| server.admin.page("acme", "records", &[("q", q)])["items"].as_array().unwrap().len();
    let all = of("log:event");
    assert!(all > 0);
    let named = |q: &str| of(&format!("log:event {q}"));
    assert_eq!((named("tenant:acme"), named("tenant~acm"), named("tenant:other")), (all, all, 0));
    let problem = ask("", json!({ "view": "event_logs", "question": "qwrt zxcv" }));
    let problem = problem.problem(400, "not_understood");
    assert_eq!(problem["examples"].as_array().unwrap().len(), 3, "three examples: {problem}");
    ask("", json!({ "view": "nothing", "question": "logins" })).problem(400, "unknown_view");
    ask("", json!({ "view": "event_logs", "question": "logins", "tz": "Moon/Base" })).problem(400, "unknown_zone");
    ask("", json!({ "view": "event_logs" })).problem(400, "missing_field");
    for member in ["view", "log", "now", "tz", "question"] {
        let mut body = json!({ "question": "failed logins" });
        body[member] = 5.into();
        let problem = ask("", body).problem(400, "wrong_type");
        assert!(problem["detail"].as_str().unwrap().contains(&format!("`{member}`")), "{problem}");
    }
    ask("?run=maybe", json!({ "question": "failed logins" })).problem(400, "invalid_parameter");
}
