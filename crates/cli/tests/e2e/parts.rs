//! Bodies with more records than one batch, in the shapes of systems that cannot send them in parts: all of it is stored, one
//! answer says so, and what was stored before a failure is not stored again.

use crate::http::Client;
use crate::server::{Home, Server};
use serde_json::{Value, json};

const LOGS: &str = "/v1/t/acme/otlp/v1/logs";
const MANY: u64 = 25_000;

/// An export request of so many log records, each its own by its number only.
fn logs(count: u64, text: &str) -> String {
    let record = |n: u64| {
        let time = (1_795_176_000_000_000_000 + n / 7).to_string();
        json!({ "timeUnixNano": time, "eventName": "line", "body": { "stringValue": format!("{n} {text}") } })
    };
    let list: Vec<Value> = (0..count).map(record).collect();
    json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": list }] }] }).to_string()
}

/// How many records there are of a source, and how many ids they have.
fn stored(client: &Client, source: &str) -> (u64, u64) {
    let sql = format!("SELECT count(*) AS n, count(DISTINCT id) AS d FROM records WHERE source = '{source}'");
    let row = &client.sql("acme", &sql)[0];
    (row[0].as_u64().unwrap(), row[1].as_u64().unwrap())
}

#[test]
fn an_export_request_of_25_000_records_is_stored_and_sent_again_is_the_same() {
    let server = Server::start(&[]);
    let body = logs(MANY, "");
    for _ in 0..2 {
        let answer = server.admin.post(LOGS, &body);
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
        assert_eq!(stored(&server.admin, "otlp"), (MANY, MANY));
    }
    let answer = server.admin.post("/v1/t/acme/ingest/otlp?receipts=full", &body).ok();
    assert_eq!((&answer["accepted"], &answer["duplicate"]), (&json!(0), &json!(MANY)));
    let results = answer["results"].as_array().unwrap();
    let lines: Vec<u64> = results.iter().map(|r| r["line"].as_u64().unwrap()).collect();
    assert!(lines.iter().copied().eq(1..=MANY), "each once and in order");
    server.stop().verify().ok();
}

/// What their resource says stands in each of them: together that is far more than is held at once.
#[test]
fn log_records_of_a_long_resource_are_all_stored() {
    let server = Server::start(&[]);
    let value = "x".repeat(60_000);
    let list: Vec<Value> =
        (0..1_500).map(|n| json!({ "timeUnixNano": (1_795_176_000_000_000_000_u64 + n).to_string() })).collect();
    let resource = json!({ "attributes": [{ "key": "process.command_line", "value": { "stringValue": value } }] });
    let body = json!({ "resourceLogs": [{ "resource": resource, "scopeLogs": [{ "logRecords": list }] }] }).to_string();
    for _ in 0..2 {
        let answer = server.admin.post(LOGS, &body);
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
        assert_eq!(stored(&server.admin, "otlp"), (1_500, 1_500));
    }
    let sql = "SELECT count(*) FROM records WHERE attributes LIKE '%command_line%xxx%'";
    assert_eq!(server.admin.sql("acme", sql)[0][0], 1_500);
}

#[test]
fn each_batch_says_what_was_refused_in_it_and_no_other_suffers() {
    let server = Server::start(&[]);
    let mut lines: Vec<String> = (0..21_000)
        .map(|n| {
            json!({ "id": format!("e{n}"), "time": 1_795_176_000_000_i64 + n, "type": "LOGIN", "realmId": "r" })
                .to_string()
        })
        .collect();
    lines[3] = "{".into();
    lines[15_000] =
        json!({ "id": "e15000", "time": 1, "type": "LOGIN", "details": { "much": "x".repeat(3 << 20) } }).to_string();
    lines[20_500] = json!({ "id": "e20500", "type": "LOGIN", "realmId": "r", "time": "noon" }).to_string();
    let answer = server.admin.post("/v1/t/acme/ingest/keycloak", lines.join("\n")).ok();
    assert_eq!((&answer["accepted"], &answer["rejected"], &answer["unparsed"]), (&json!(20_999), &json!(1), &json!(2)));
    let told: Vec<u64> = answer["results"].as_array().unwrap().iter().map(|r| r["line"].as_u64().unwrap()).collect();
    assert_eq!(told, [4, 15_001, 20_501]);
    assert_eq!(answer["first_index"], 0);
    assert_eq!(answer["tree_size"], 20_999);
}

#[test]
fn a_later_batch_that_cannot_be_stored_is_an_error_and_all_of_it_again_is_no_double() {
    let text = "x".repeat(200);
    // Keycloak's events may come without an id; nothing but their place in the body tells these apart.
    let event = json!({ "time": 1_795_176_000_000_i64, "type": "LOGIN", "realmId": "r", "details": { "text": text } });
    let (exported, events) = (logs(MANY, &text), vec![event.to_string(); 25_000].join("\n"));
    for (path, body, source) in [(LOGS, exported, "otlp"), ("/v1/t/acme/ingest/keycloak", events, "keycloak")] {
        // Room for the first batch and not for all three.
        let server = Home::new(&[("FLUSH_SECONDS", "3600")]).limited_to_files_of(10 << 20).start();
        let refused = server.admin.post(path, &body);
        assert_eq!((refused.status, refused.header("retry-after")), (503, "5"), "{refused}");
        assert!(refused.text().contains("records were taken before"), "{refused}");
        let first = stored(&server.admin, source);
        assert!((10_000..MANY).contains(&first.0) && first.0 == first.1, "{first:?}");

        let server = server.kill().unlimited().start();
        for _ in 0..2 {
            assert_eq!(server.admin.post(path, &body).status, 200);
            assert_eq!(stored(&server.admin, source), (MANY, MANY), "after {first:?}");
        }
        server.stop().verify().ok();
    }
}

#[test]
fn there_is_a_limit_all_the_same() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    // An object of which nothing is known.
    let body = "{}\n".repeat(262_145);
    let problem = server.admin.post("/v1/t/acme/ingest/keycloak", &body).problem(413, "batch_too_large");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("262145") && detail.contains("262144"), "{problem}");
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], 0);
    let plain = "{\"log\":\"event\"}\n".repeat(10_001);
    server.admin.post("/v1/t/acme/records", &plain).problem(413, "batch_too_large");
}
