//! CloudEvents as they come over HTTP: in both modes, in batches, and from senders that ask first.

use crate::server::Server;
use crate::sources::put;
use serde_json::json;
use ureq::http::Method;

#[test]
fn a_sender_of_cloud_events_asks_whether_it_may() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    let hook = json!({ "system": "cloudevents", "kind": "push" });
    assert!(put(&server, "acme", "grid", &hook).status < 300);
    let ask = |name: &str, origin: &[(&str, &str)]| {
        let path = format!("/v1/t/acme/ingest/{name}");
        server.admin.anonymous().send(Method::OPTIONS, &path, origin, b"").unwrap()
    };
    let origin = ("webhook-request-origin", "events.example.com");
    for name in ["cloudevents", "grid", "auto"] {
        let said = ask(name, &[origin, ("webhook-request-rate", "120")]);
        assert_eq!((said.status, said.header("allow")), (200, "POST"), "{said}");
        assert_eq!(said.header("webhook-allowed-origin"), "events.example.com");
        assert_eq!(said.header("webhook-allowed-rate"), "*");
    }
    // Whether it may send is still for its key to say.
    let event = r#"{"specversion":"1.0","type":"t","source":"s","id":"1"}"#;
    server.admin.anonymous().post("/v1/t/acme/ingest/cloudevents", event).problem(401, "unauthorized");
    for (name, origin) in [("okta", &[origin][..]), ("cloudevents", &[]), ("grid", &[("webhook-request-origin", "")])] {
        let said = ask(name, origin);
        assert!(said.header("allow").contains("POST"), "{said}");
        said.problem(405, "method_not_allowed");
    }
}

#[test]
fn cloudevents_come_in_binary_mode_structured_and_in_batches() {
    let server = Server::start(&[]);
    let path = "/v1/t/acme/ingest/cloudevents";
    let binary = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", "com.example.door.opened"),
        ("ce-source", "/sites/brno"),
        ("ce-id", "A-1"),
        ("ce-subject", "door%207"),
    ];
    let answer = server.admin.post_with(path, &binary, br#"{"actor":{"id":"ann"},"password":"hunter2"}"#).ok();
    assert_eq!((&answer["accepted"], &answer["unparsed"]), (&json!(1), &json!(0)), "{answer}");
    let structured = json!({ "specversion": "1.0", "type": "com.example.door.opened", "source": "/sites/brno", "id": "A-1",
        "subject": "door 7", "datacontenttype": "application/json", "data": { "actor": { "id": "ann" }, "password": "hunter2" } });
    let kind = [("content-type", "application/cloudevents+json"), ("ce-specversion", "0.1")];
    let answer = server.admin.post_with(path, &kind, structured.to_string()).ok();
    assert_eq!((&answer["accepted"], &answer["duplicate"]), (&json!(0), &json!(1)), "the same event: {answer}");
    let mut second = structured.clone();
    second["id"] = json!("A-2");
    let batch = json!([structured, second, { "specversion": "1.0", "id": "A-3" }]);
    let answer =
        server.admin.post_with(path, &[("content-type", "application/cloudevents-batch+json")], batch.to_string()).ok();
    assert_eq!(
        (&answer["accepted"], &answer["duplicate"], &answer["unparsed"]),
        (&json!(2), &json!(1), &json!(1)),
        "{answer}"
    );
    assert_eq!(answer["results"][0]["code"], "missing_field", "{answer}");
    // Told by its headers, as others are by their shape.
    let mut third = binary.to_vec();
    third[4] = ("ce-id", "A-4");
    let answer = server.admin.post_with("/v1/t/acme/ingest/auto", &third, b"{}").ok();
    assert_eq!((&answer["system"], &answer["accepted"]), (&json!("cloudevents"), &json!(1)), "{answer}");
    // What they say is there for a mapping too, which knows what else is in such an event.
    let rules = "name = \"doors\"\n[fields]\naction = \"/type\"\nactor.id = \"/data/who\"\n";
    let rules = json!({ "system": "mapping", "kind": "push", "settings": { "mapping": rules } });
    let made = server.admin.put("/v1/t/acme/sources/doors", &rules.to_string());
    assert_eq!(made.status, 201, "{made}");
    let answer = server.admin.post_with("/v1/t/acme/ingest/doors", &third, br#"{"who":"ann"}"#).ok();
    assert_eq!((&answer["accepted"], &answer["unparsed"]), (&json!(1), &json!(0)), "{answer}");
    // Headers that make no event leave a record that is not understood, and kept.
    let answer = server.admin.post_with(path, &[("ce-specversion", "1.0")], b"\xff\x00").ok();
    assert_eq!((&answer["unparsed"], &answer["results"][0]["code"]), (&json!(1), &json!("missing_field")), "{answer}");
    let found = server.admin.page(
        "acme",
        "records",
        &[("q", "action:com.example.door.opened source:cloudevents"), ("from", "2000-01-01T00:00:00Z")],
    );
    assert_eq!(found["items"].as_array().unwrap().len(), 3, "{found}");
    assert!(found.to_string().contains("door 7") && !found.to_string().contains("hunter2"), "{found}");
}
