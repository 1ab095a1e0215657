//! Records in the own words of identity systems, taken in by the real binary.

use crate::server::Server;
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
fn a_system_nobody_knows_is_a_problem_that_names_those_known() {
    let server = Server::start(&[]);
    let problem = server.admin.post("/v1/t/acme/ingest/keykloak", "{}").problem(404, "unknown_system");
    assert!(problem["detail"].as_str().unwrap().contains("keycloak"), "{problem}");
    server.admin.post("/v1/t/acme/ingest/auto", "{\"a\":1}").problem(400, "unknown_system");
    server.admin.post("/v1/t/acme/ingest/keycloak", "").problem(400, "empty_body");
    server.admin.anonymous().post("/v1/t/acme/ingest/keycloak", "{}").problem(401, "unauthorized");
}
