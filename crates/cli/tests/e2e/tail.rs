//! The live tail: what is sealed from now on, resumable without loss.

use crate::server::Server;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read};

/// Reads `n` events: id and data.
fn read(stream: impl Read, n: usize) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    let mut id = String::new();
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        if let Some(text) = line.strip_prefix("id:") {
            text.trim().clone_into(&mut id);
        } else if let Some(data) = line.strip_prefix("data:") {
            out.push((id.clone(), serde_json::from_str(data).unwrap()));
        }
        if out.len() == n {
            break;
        }
    }
    assert_eq!(out.len(), n, "the stream ended early");
    out
}

fn event(id: &str, outcome: &str) -> Value {
    json!({ "id": id, "log": "event", "action": "login", "outcome": outcome })
}

#[test]
fn the_tail_streams_what_is_sealed_from_now_on_and_resumes_without_loss() {
    let server = Server::start(&[("FLUSH_SECONDS", "1")]);
    server.admin.write("acme", &[event("before", "failure")]);
    let stream = server.admin.stream("/v1/t/acme/tail?q=outcome:failure", &[]);
    server
        .admin
        .write("acme", &[event("a", "failure"), event("b", "success"), event("c", "failure"), event("d", "failure")]);
    server.admin.write("beta", &[event("theirs", "failure")]);
    let seen = read(stream, 2);
    assert_eq!((&seen[0].1["id"], &seen[1].1["id"]), (&json!("a"), &json!("c")));
    // The connection broke after `c`; meanwhile more came, part of it in segments.
    let more: Vec<Value> = (0..2500).map(|i| event(&format!("m-{i}"), "failure")).collect();
    server.admin.write("acme", &more);
    server.flushed();
    server.admin.write("acme", &[event("last", "failure")]);
    let resumed = server.admin.stream("/v1/t/acme/tail?q=outcome:failure", &[("last-event-id", &seen[1].0)]);
    let ids: Vec<String> = read(resumed, 2502).iter().map(|(_, e)| e["id"].as_str().unwrap().to_owned()).collect();
    let expected: Vec<String> =
        ["d".to_owned()].into_iter().chain((0..2500).map(|i| format!("m-{i}"))).chain(["last".to_owned()]).collect();
    assert_eq!(ids, expected, "each once, in the order of the ledger");
    for id in ["nonsense", "i999999", "i18446744073709551615"] {
        server.admin.get_with("/v1/t/acme/tail", &[("last-event-id", id)]).problem(400, "invalid_cursor");
    }
    server.admin.get("/v1/t/acme/tail?q=nokey:x").problem(400, "unknown_key");
}

#[test]
fn the_tail_as_csv_has_the_columns_of_a_search() {
    let server = Server::start(&[]);
    server.admin.write("acme", &[event("a", "failure"), event("b", "failure"), event("c", "success")]);
    let followed = server.cli(&["tail", "acme", "-o", "csv", "-n", "2", "--after", "i0"]).ok();
    let found = server.cli(&["search", "acme", "-o", "csv"]).ok();
    let rows: Vec<&str> = followed.split("\r\n").collect();
    assert_eq!(rows.len(), 4, "a header, two rows, and the end of the last: {followed}");
    // A search shows the newest first.
    let newest_first: Vec<&str> = found.split("\r\n").collect();
    assert_eq!([rows[0], rows[2], rows[1]], newest_first[..3]);
}

#[test]
fn the_tail_ends_when_its_key_is_revoked_and_shows_no_bodies() {
    let server = Server::start(&[]);
    let mail =
        json!({ "log": "notification", "notification": { "id": "n", "subject": "Hi", "body": "private words" } });
    server.admin.put("/v1/t/acme", "{}");
    let reader = server.tenant_key("acme", &["read", "read_body"]);
    let mut stream = reader.stream("/v1/t/acme/tail", &[]);
    server.admin.write("acme", &[mail]);
    let seen = read(&mut stream, 1);
    assert_eq!(seen[0].1["notification"]["subject"], "Hi", "{seen:?}");
    let keys = server.admin.get("/v1/t/acme/keys").ok();
    let id = keys["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(server.admin.delete(&format!("/v1/t/acme/keys/{id}")).status, 204);
    let later = json!({ "log": "event", "action": "after" });
    server.admin.write("acme", &[later]);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    // What is done is recorded first, so its own end may be the last that a key sees.
    let (events, ends) = (rest.matches("data:").count(), rest.matches("indelible.key.revoke").count());
    assert!(events == ends && ends <= 1 && !rest.contains("after"), "{rest}");
    assert!(!rest.contains("private words") && !seen[0].1.to_string().contains("private words"));
}

#[test]
fn a_tail_ends_in_order_when_the_server_stops() {
    let server = Server::start(&[]);
    server.admin.write("acme", &[event("before", "failure")]);
    let mut stream = server.admin.stream("/v1/t/acme/tail", &[]);
    server.admin.write("acme", &[event("a", "failure")]);
    assert_eq!(read(&mut stream, 1)[0].1["id"], "a");
    server.terminate();
    // Cut off, as after the time that open requests have, it would end with an error.
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    let (code, home) = server.ended();
    assert_eq!(code, Some(0));
    let server = home.start();
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], 2);
}
