//! Records in the words of other systems, and the catalogue of what systems say.

use crate::http::{Client, Reply, encode};
use crate::server::Server;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const FACES: [&str; 7] = ["asgardeo", "cef", "cloudevents", "contember", "ocsf", "ory-network", "syslog"];
const ALL: &str = "from=2000-01-01T00:00:00Z";

/// Sends a sample of ours; gives what was sent.
fn send(server: &Server, tenant: &str, system: &str, file: &str) -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../systems/samples");
    let bytes = std::fs::read(format!("{root}/{system}/{file}")).unwrap();
    let answer = server.admin.post(&format!("/v1/t/{tenant}/ingest/{system}"), &bytes).ok();
    assert_eq!((&answer["rejected"], &answer["unparsed"]), (&json!(0), &json!(0)), "{answer}");
    bytes
}

/// A tenant with records of several systems and logs.
fn mixed(server: &Server) {
    for (system, file) in [
        ("keycloak", "events.json"),
        ("keycloak", "admin-events.json"),
        ("okta", "logs.json"),
        ("contember", "rows.json"),
        ("ory-nestjs", "requests.ndjson"),
        ("asgardeo", "v2.json"),
        ("guide", "sessions.json"),
    ] {
        send(server, "acme", system, file);
    }
}

fn ids(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

fn lines(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{reply}");
    reply.text().lines().map(str::to_owned).collect()
}

#[test]
fn every_face_shows_the_records_of_the_ordinary_reads_page_by_page() {
    let server = Server::start(&[]);
    mixed(&server);
    // Who may see claims leaves a record with every look at them, and every page would be another.
    let reader = server.tenant_key("acme", &["read"]);
    let plain = reader.get(&format!("/v1/t/acme/records?{ALL}&limit=1000")).ok();
    let all = ids(&plain);
    assert!(all.len() > 15, "{all:?}");
    for face in FACES {
        let (mut seen, mut cursor, mut pages) = (0, String::new(), 0);
        loop {
            let path = format!("/v1/t/acme/as/{face}/records?{ALL}&limit=4&cursor={cursor}");
            let reply = reader.get(&path);
            let (count, next) = if matches!(face, "cef" | "syslog") {
                assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8", "{reply}");
                (lines(&reply).len(), reply.header("x-next-cursor").to_owned())
            } else {
                let page = reply.ok();
                (page["items"].as_array().unwrap().len(), page["next_cursor"].as_str().unwrap_or_default().to_owned())
            };
            // The ordinary page at the same cursor goes on at the same record.
            let same = reader.get(&format!("/v1/t/acme/records?{ALL}&limit=4&cursor={cursor}")).ok();
            assert_eq!(ids(&same), all[seen..seen + count], "{face}");
            assert_eq!(same["next_cursor"].as_str().unwrap_or_default(), next, "{face}: one cursor for both");
            if !next.is_empty() && matches!(face, "cef" | "syslog") {
                let link = reply.header("link").to_owned();
                let address = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
                assert!(!lines(&reader.get(&address)).is_empty(), "{link}");
            }
            seen += count;
            pages += 1;
            if next.is_empty() {
                break;
            }
            cursor = next;
        }
        assert_eq!((seen, pages > 3), (all.len(), true), "{face}");
    }
    // The filter is the same, and so is what is wrong with one.
    let failed = reader.get(&format!("/v1/t/acme/as/ocsf/event_logs?{ALL}&q=outcome:failure")).ok();
    let plain = reader.get(&format!("/v1/t/acme/event_logs?{ALL}&q=outcome:failure")).ok();
    let uids: Vec<&str> =
        failed["items"].as_array().unwrap().iter().map(|e| e["metadata"]["uid"].as_str().unwrap()).collect();
    assert_eq!(uids, ids(&plain));
    assert!(failed["items"].as_array().unwrap().iter().all(|e| e["status_id"] == 2), "{failed}");
    reader.get("/v1/t/acme/as/ocsf/records?q=colour:red").problem(400, "unknown_key");
    // A view of latest states shows the latest record of each, whatever log it is from.
    let sessions = reader.get(&format!("/v1/t/acme/as/cloudevents/sessions?{ALL}")).ok();
    let shown = sessions["items"].as_array().unwrap();
    assert!(shown.iter().any(|event| event["data"]["session"]["id"] == "s-1"), "{sessions}");
    assert!(shown.iter().all(|event| event["data"]["session"]["status"].is_string()), "{sessions}");
    // One per line, for programs that read as it comes.
    let reply =
        reader.get_with(&format!("/v1/t/acme/as/ocsf/records?{ALL}&limit=3"), &[("accept", "application/x-ndjson")]);
    assert_eq!(reply.header("content-type"), "application/x-ndjson", "{reply}");
    assert!(reply.header("link").contains("cursor="), "{reply}");
    let events: Vec<Value> = lines(&reply).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 3);
}

#[test]
fn a_record_as_its_own_system_is_what_was_sent() {
    let server = Server::start(&[]);
    let sent: Vec<Value> = serde_json::from_slice(&send(&server, "acme", "contember", "rows.json")).unwrap();
    for row in &sent {
        let id = encode(row["id"].as_str().unwrap());
        let shown = server.admin.get(&format!("/v1/t/acme/as/contember/records/{id}")).ok();
        assert_eq!(&shown, row);
    }
    send(&server, "acme", "okta", "logs.json");
    let shown = server.admin.get(&format!("/v1/t/acme/as/contember/records?{ALL}&q=source:contember")).ok();
    let mut shown = shown["items"].as_array().unwrap().clone();
    shown.sort_by_key(|row| sent.iter().position(|s| s["id"] == row["id"]));
    assert_eq!(shown, sent);
    // A system that is no face for others lists its own records only.
    let events: Vec<Value> = serde_json::from_slice(&send(&server, "acme", "keycloak", "admin-events.json")).unwrap();
    let own = server.admin.get(&format!("/v1/t/acme/as/keycloak/records?{ALL}")).ok();
    assert_eq!(own["items"].as_array().unwrap().len(), events.len(), "{own}");
    let other = encode(sent[0]["id"].as_str().unwrap());
    server.admin.get(&format!("/v1/t/acme/as/keycloak/records/{other}")).problem(404, "other_system");
    let names = server.admin.get("/v1/t/acme/as/splunk/records").problem(404, "unknown_face");
    assert!(names["detail"].as_str().unwrap().contains("ocsf"), "{names}");
    server.admin.get("/v1/t/acme/as/ocsf/records/nope").problem(404, "not_found");
    server.admin.get("/v1/t/acme/as/ocsf/nothing").problem(404, "not_found");
    server.admin.get("/v1/t/acme/as/ocsf/records?schema=2").problem(400, "invalid_parameter");
    server.admin.get("/v1/t/acme/as/ocsf/records?proof=maybe").problem(400, "invalid_parameter");
}

#[test]
fn the_proof_in_a_face_is_the_ledgers() {
    let server = Server::start(&[("FLUSH_SECONDS", "1")]);
    mixed(&server);
    let last = json!({ "id": "last", "log": "event", "action": "login", "time": "2026-11-20T12:00:00Z" }).to_string();
    server.admin.post("/v1/t/acme/records?wait=checkpoint", &last).ok();
    let check = |page: &Value| {
        let origin = server.admin.get("/t/acme/log/checkpoint").text().lines().next().unwrap().to_owned();
        for event in page["items"].as_array().unwrap() {
            let id = event["metadata"]["uid"].as_str().unwrap();
            let record = server.admin.get(&format!("/v1/t/acme/records/{}", encode(id))).ok();
            let proof = &event["unmapped"]["proof"];
            assert_eq!((&proof["leaf_hash"], &proof["index"]), (&record["leaf_hash"], &record["index"]), "{event}");
            assert_eq!(proof["origin"], origin, "{event}");
            assert!(proof["tree_size"].as_u64() > proof["index"].as_u64(), "{event}");
            assert_eq!(event["attestation_list"][0]["fingerprint"]["value"], record["leaf_hash"], "{event}");
        }
    };
    let path = format!("/v1/t/acme/as/ocsf/records?{ALL}");
    check(&server.admin.get(&path).ok());
    server.flushed();
    let page = server.admin.get(&path).ok();
    check(&page);
    let id = encode(page["items"][0]["metadata"]["uid"].as_str().unwrap());
    let one = server.admin.get(&format!("/v1/t/acme/as/ocsf/records/{id}")).ok();
    assert_eq!(one["unmapped"]["proof"]["leaf_hash"], page["items"][0]["unmapped"]["proof"]["leaf_hash"]);
    // One record that nobody signed yet is waited for.
    let fresh = json!({ "id": "fresh", "log": "event", "action": "login", "time": "2026-11-20T12:00:00Z" }).to_string();
    server.admin.post("/v1/t/acme/records", &fresh).ok();
    let fresh = server.admin.get("/v1/t/acme/as/ocsf/records/fresh").ok();
    let proof = &fresh["unmapped"]["proof"];
    assert!(proof["tree_size"].as_u64() > proof["index"].as_u64(), "{fresh}");
    let without = server.admin.get(&format!("{path}&proof=false")).ok();
    assert!(without["items"][0]["unmapped"]["proof"].is_null() && without["items"][0]["attestation_list"].is_null());
    let older = server.admin.get(&format!("{path}&schema=1.8")).ok();
    let classes: BTreeSet<u64> =
        older["items"].as_array().unwrap().iter().map(|e| e["class_uid"].as_u64().unwrap()).collect();
    assert!(classes.contains(&3001) && !classes.contains(&3007), "{classes:?}");
}

#[test]
fn i6_i7_faces_show_no_more_than_the_key_may_see() {
    let server = Server::start(&[]);
    let secret = "words for ann alone";
    server.admin.write(
        "acme",
        &[json!({ "id": "mail", "log": "notification", "action": "sent", "time": "2026-11-20T12:00:00Z", "attributes": { "password": "hunter2" },
                  "notification": { "id": "n-1", "subject": "Hello", "recipient": ["ann@example.org"], "status": "sent", "body": secret } })],
    );
    let reader = server.tenant_key("acme", &["read"]);
    let writer = server.tenant_key("acme", &["write"]);
    let every = |client: &Client, face: &str| {
        ["records/mail".to_owned(), format!("records?{ALL}"), format!("notification_logs?{ALL}")]
            .map(|path| client.get(&format!("/v1/t/acme/as/{face}/{path}")))
    };
    for face in FACES {
        for reply in every(&reader, face) {
            assert_eq!(reply.status, 200, "{face}: {reply}");
            assert!(!reply.text().contains(secret) && reply.text().contains("Hello"), "{face}: {reply}");
            assert!(!reply.text().contains("hunter2"), "{face}: {reply}");
        }
        for reply in every(&writer, face) {
            reply.problem(403, "missing_scope");
        }
    }
    server.admin.put("/v1/t/other", "{}");
    let other = server.tenant_key("other", &["read", "read_body"]);
    for reply in every(&other, "ocsf") {
        reply.problem(404, "not_found");
    }
    // Who may see bodies sees them here too, and that is a record.
    let uses = || {
        server.admin.page("acme", "records", &[("q", "action:indelible.body.read")])["items"].as_array().unwrap().len()
    };
    let before = uses();
    let sees = server.tenant_key("acme", &["read", "read_body"]);
    for reply in every(&sees, "cloudevents") {
        assert!(reply.text().contains(secret), "{reply}");
    }
    assert_eq!(uses(), before + 3);
    reader.get("/v1/t/acme/as/ocsf/records?q=notification.body:words").problem(403, "missing_scope");
}

#[test]
fn the_catalogue_needs_no_key_and_says_when_it_has_not_changed() {
    let server = Server::start(&[]);
    let anyone = server.admin.anonymous();
    let all = anyone.get("/v1/catalog");
    let catalog = all.ok();
    assert_eq!(catalog["count"], catalog["events"].as_array().unwrap().len());
    let of = |system: &str| anyone.get(&format!("/v1/catalog?system={system}")).ok()["count"].as_u64().unwrap();
    assert_eq!([of("ory-nestjs"), of("ory-network"), of("contember")], [48, 79, 55]);
    let found = anyone.get("/v1/catalog?system=keycloak&q=LOGIN").ok();
    let login = found["events"].as_array().unwrap().iter().find(|e| e["name"] == "LOGIN").unwrap();
    assert_eq!((&login["log"], &login["ocsf"]["class_uid"]), (&json!("event"), &json!(3002)), "{login}");
    for member in ["meaning", "level", "fills", "source", "kind"] {
        assert!(!login[member].is_null(), "{login}");
    }
    anyone.get("/v1/catalog?system=nobody").problem(404, "unknown_system");
    let tag = all.header("etag");
    let again = anyone.get_with("/v1/catalog", &[("if-none-match", tag)]);
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, tag));
    assert_ne!(anyone.get("/v1/catalog?q=login").header("etag"), tag);
    let csv = anyone.get_with("/v1/catalog", &[("accept", "text/csv")]);
    assert!(csv.text().starts_with("system,name,log,level,meaning,fills,source\n"), "{csv}");
}

#[test]
fn what_is_given_out_can_be_sent_in_again() {
    let server = Server::start(&[]);
    mixed(&server);
    send(&server, "acme", "cloudevents", "batch.json");
    send(&server, "acme", "ory-network", "events.ndjson");
    let reader = server.tenant_key("acme", &["read"]);
    for system in ["asgardeo", "cloudevents", "contember", "ory-network"] {
        let theirs = |tenant: &str| {
            let path = format!("/v1/t/{tenant}/as/{system}/records?{ALL}&limit=1000&proof=false&q=source:{system}");
            let mut items = server.admin.get(&path).ok()["items"].as_array().unwrap().clone();
            items.sort_by_key(Value::to_string);
            items
        };
        let items = theirs("acme");
        assert!(!items.is_empty(), "{system}");
        // Another tenant has the same records then.
        let other = format!("copy-{system}");
        let answer = server.admin.post(&format!("/v1/t/{other}/ingest/{system}"), json!(items).to_string()).ok();
        assert_eq!((&answer["rejected"], &answer["unparsed"]), (&json!(0), &json!(0)), "{system}: {answer}");
        assert_eq!(answer["accepted"], items.len(), "{system}: {answer}");
        assert_eq!(theirs(&other), items, "{system}");
        // This one has them already, where they have names of their own.
        if system != "ory-network" {
            let answer = server.admin.post(&format!("/v1/t/acme/ingest/{system}"), json!(items).to_string()).ok();
            assert_eq!(
                (&answer["accepted"], &answer["duplicate"]),
                (&json!(0), &json!(items.len())),
                "{system}: {answer}"
            );
        }
        // And so can the records of others that are shown in these words.
        let path = format!("/v1/t/acme/as/{system}/records?{ALL}&limit=1000&proof=false");
        let all = reader.get(&path).ok()["items"].clone();
        let answer = server.admin.post(&format!("/v1/t/all-{system}/ingest/{system}"), all.to_string()).ok();
        assert_eq!((&answer["rejected"], &answer["unparsed"]), (&json!(0), &json!(0)), "{system}: {answer}");
        assert_eq!(answer["accepted"], all.as_array().unwrap().len(), "{system}: {answer}");
    }
}
