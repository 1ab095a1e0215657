//! Taking records in: every shape of a body, receipts, idempotency.

use crate::ledger::{Ledger, Seen};
use crate::server::{Server, at, eventually};
use serde_json::{Value, json};
use std::io::Write;

fn login(id: &str) -> Value {
    json!({ "id": id, "log": "event", "time": at(-60), "action": "login", "outcome": "success", "email": "ann@example.org" })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

const RECORDS: &str = "/v1/t/acme/records";

#[test]
fn an_object_an_array_and_lines_are_taken_and_visible_at_once() {
    let server = Server::start(&[]);
    let one = login("one").to_string();
    let pretty = format!("{:#}", login("pretty"));
    let array = json!([login("array-1"), login("array-2")]).to_string();
    let lines = format!("{}\r\n\n{}\n", login("line-1"), login("line-2"));
    let unended = format!("{}\n{}", login("line-3"), login("line-4"));
    let bom = format!("\u{feff}{}", login("bom"));
    let mut size = 0;
    for (body, count) in [(one, 1), (pretty, 1), (array, 2), (lines, 2), (unended, 2), (bom, 1)] {
        let answer = server.admin.post(RECORDS, &body).ok();
        assert_eq!(answer["accepted"], count, "{body}: {answer}");
        assert_eq!(answer["first_index"], size, "{answer}");
        size += count;
        assert_eq!(answer["tree_size"], size, "{answer}");
        assert_eq!((&answer["duplicate"], &answer["rejected"]), (&json!(0), &json!(0)), "{answer}");
        assert_eq!(answer["results"], json!([]), "only rejected records are listed unless receipts=full");
        let ids = server.admin.column("acme", "records", &[], "id");
        assert_eq!(ids.len(), usize::try_from(size).unwrap(), "a record is visible as soon as its write is answered");
    }
}

#[test]
fn gzip_and_zstd_bodies_are_taken_with_and_without_their_header() {
    let server = Server::start(&[]);
    let lines = |n: usize| (0..3).map(|i| format!("{}\n", login(&format!("{n}-{i}")))).collect::<String>();
    let mut n = 0;
    for name in ["gzip", "zstd"] {
        for header in [None, Some(("content-encoding", name))] {
            n += 1;
            let headers: Vec<_> = header.into_iter().collect();
            let body = lines(n);
            let body =
                if name == "gzip" { gzip(body.as_bytes()) } else { zstd::encode_all(body.as_bytes(), 3).unwrap() };
            let answer = server.admin.post_with(RECORDS, &headers, body).ok();
            assert_eq!(answer["accepted"], 3, "{name} {header:?}: {answer}");
        }
    }
    // Several gzip members, as `cat a.gz b.gz` makes them.
    let members = [gzip(lines(10).as_bytes()), gzip(lines(11).as_bytes())].concat();
    assert_eq!(server.admin.post(RECORDS, members).ok()["accepted"], 6);
    let said = |name, body: &[u8]| server.admin.post_with(RECORDS, &[("content-encoding", name)], body);
    said("gzip", lines(90).as_bytes()).problem(400, "invalid_encoding");
    said("br", lines(91).as_bytes()).problem(415, "unsupported_encoding");
    let mut damaged = gzip(lines(92).as_bytes());
    damaged.truncate(damaged.len() / 2);
    said("gzip", &damaged).problem(400, "invalid_encoding");
    assert_eq!(server.admin.column("acme", "records", &[], "id").len(), 18, "nothing of a refused body is stored");
}

#[test]
fn full_receipts_name_every_record_with_its_index_and_leaf() {
    let server = Server::start(&[]);
    let body = format!("{}\n{}\n{}\n", login("a"), json!({"log": "nonsense"}), json!({"log": "event", "action": "x"}));
    let answer = server.admin.post(&format!("{RECORDS}?receipts=full"), body).ok();
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(2), &json!(1)), "{answer}");
    let results = answer["results"].as_array().unwrap();
    let lines: Vec<_> = results.iter().map(|r| r["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [1, 2, 3]);
    assert_eq!(results[0]["id"], "a");
    assert_eq!(results[1]["code"], "unknown_value");
    let made = results[2]["id"].as_str().unwrap();
    assert_eq!((made.len(), made.as_bytes()[14]), (36, b'7'), "a record without an id gets a UUIDv7: {made}");
    let ledger = Ledger::new(&server.admin, "acme");
    let leaves = ledger.leaves(&ledger.checkpoint_of(2));
    for (n, result) in [(0, &results[0]), (1, &results[2])] {
        assert_eq!(result["index"], n);
        let record = server.admin.get(&format!("{RECORDS}/{}", result["id"].as_str().unwrap())).ok();
        assert_eq!(record["index"], n, "{record}");
        assert_eq!(record["leaf_hash"], result["leaf_hash"], "{record}");
        let hex: String = leaves[n].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(result["leaf_hash"], hex, "the receipt's leaf is the one in the published tree");
    }
    server.admin.post(&format!("{RECORDS}?receipts=some"), login("b").to_string()).problem(400, "invalid_parameter");
}

#[test]
fn an_id_that_the_server_made_is_an_id_like_any_other() {
    let server = Server::start(&[("FLUSH_SECONDS", "1")]);
    let made = server.admin.write("acme", &[json!({ "log": "event", "action": "x", "time": at(-9) })]);
    let id = made["results"][0]["id"].as_str().unwrap();
    for when in ["in the tail", "in a segment"] {
        let record = server.admin.get(&format!("{RECORDS}/{id}"));
        assert_eq!(record.status, 200, "{when}: {record}");
        let other = json!({ "id": id, "log": "event", "action": "y", "time": at(-9) }).to_string();
        let reply = server.admin.post(RECORDS, other);
        assert_eq!(reply.status, 409, "{when}: no id stands for two records: {reply}");
        server.flushed();
    }
}

#[test]
fn wait_checkpoint_answers_with_a_signed_checkpoint_that_covers_the_batch() {
    let server = Server::start(&[("CHECKPOINT_MS", "100")]);
    server.admin.write("acme", &[login("a"), login("b")]);
    let answer = server.admin.post(&format!("{RECORDS}?wait=checkpoint"), login("c").to_string()).ok();
    let key = Ledger::new(&server.admin, "acme").vkey();
    let seen = Seen::open(answer["checkpoint"].as_str().unwrap().to_owned(), &key);
    assert!(seen.size >= 3, "{answer}");
}

#[test]
fn the_same_id_and_content_gets_the_first_receipt_and_other_content_is_a_conflict() {
    let server = Server::start(&[]);
    let first = server.admin.write("acme", &[login("a"), login("b")]);
    let mut repeated = login("a");
    repeated["time"] = "2026-01-02T03:04:05Z".into();
    let mut changed = repeated.clone();
    server.admin.write("beta", &[repeated.clone()]);
    // The same record spelled in another way is the same record.
    let spelled = r#"{ "email":"ann@example.org", "outcome":"success", "action":"login",
        "time":"2026-01-02T04:04:05.000+01:00", "log":"event", "id":"\u0061" }"#;
    let answer = server.admin.post("/v1/t/beta/records?receipts=full", spelled.replace('\n', " ")).ok();
    assert_eq!((&answer["accepted"], &answer["duplicate"]), (&json!(0), &json!(1)), "{answer}");
    assert_eq!(answer["tree_size"], 1, "a repetition adds nothing: {answer}");

    changed["action"] = "logout".into();
    let reply = server.admin.post("/v1/t/beta/records", changed.to_string());
    let problem = reply.problem(409, "id_conflict");
    assert!(problem["detail"].as_str().unwrap().contains("index 0"), "the conflict says where: {problem}");
    let batch = format!("{changed}\n{}\n{spelled}\n", login("c")).replace("          ", " ");
    let batch = batch.replace(spelled, &spelled.replace('\n', " "));
    let answer = server.admin.post("/v1/t/beta/records?receipts=full", batch).ok();
    assert_eq!([&answer["accepted"], &answer["duplicate"], &answer["rejected"]], [1, 1, 1], "{answer}");
    let results = answer["results"].as_array().unwrap();
    assert_eq!(
        (&results[0]["line"], &results[0]["code"], &results[0]["field"]),
        (&json!(1), &json!("id_conflict"), &json!("id"))
    );
    assert_eq!((&results[2]["index"], &results[2]["status"]), (&json!(0), &json!("duplicate")), "the first receipt");
    // Ids are a tenant's own.
    let record = server.admin.get("/v1/t/acme/records/a").ok();
    assert_eq!(record["leaf_hash"], first["results"][0]["leaf_hash"]);
    // Twice in one batch.
    let twice = login("twice").to_string();
    let answer = server.admin.post("/v1/t/acme/records?receipts=full", format!("{twice}\n{twice}\n")).ok();
    assert_eq!((&answer["accepted"], &answer["duplicate"]), (&json!(1), &json!(1)), "{answer}");
    assert_eq!(answer["results"][0]["index"], answer["results"][1]["index"], "{answer}");
    assert_eq!(answer["results"][0]["leaf_hash"], answer["results"][1]["leaf_hash"], "{answer}");
}

#[test]
fn ids_are_known_after_a_flush_a_crash_and_a_stop() {
    let records: Vec<Value> = (0..300).map(|i| login(&format!("r-{i}"))).collect();
    // No time: the ledger gave it one, and a repetition must not be another record for that.
    let timeless = json!({ "id": "timeless", "log": "audit", "action": "update user", "new": { "a": 1 } });
    let all: Vec<Value> = records.iter().chain([&timeless]).cloned().collect();
    let server = Server::start(&[("FLUSH_SECONDS", "1")]);
    let first = server.admin.write("acme", &all);
    let again = |server: &Server, when: &str| {
        let answer = server.admin.write("acme", &all);
        assert_eq!((&answer["accepted"], &answer["duplicate"]), (&json!(0), &json!(301)), "{when}: {answer}");
        for (one, two) in first["results"].as_array().unwrap().iter().zip(answer["results"].as_array().unwrap()) {
            let parts = |v: &Value| (v["id"].clone(), v["index"].clone(), v["leaf_hash"].clone());
            assert_eq!(parts(one), parts(two), "{when}: the first receipt again");
        }
        let mut other = timeless.clone();
        other["new"]["a"] = 2.into();
        server.admin.post(RECORDS, other.to_string()).problem(409, "id_conflict");
        let mut other = records[7].clone();
        other["outcome"] = "failure".into();
        server.admin.post(RECORDS, other.to_string()).problem(409, "id_conflict");
        let size = server.admin.get("/v1/t/acme").ok()["records"].clone();
        assert_eq!(size, 301, "{when}");
    };
    again(&server, "in the tail");
    server.flushed();
    again(&server, "in a segment");
    let server = server.kill().start();
    again(&server, "after kill -9");
    let server = server.stop().start();
    again(&server, "after a stop");
}

#[test]
fn unknown_fields_are_kept_in_attributes_and_nothing_a_source_sent_is_dropped() {
    let server = Server::start(&[]);
    let record = json!({
        "id": "x", "log": "audit", "action": "update", "flow": { "id": 7, "n": [1.5, null, true, "ž"] },
        "actor": { "id": "u", "department": "Ops" }, "attributes": { "kept": "yes" },
        "old": { "a": 1, "same": [1, 2] }, "new": { "a": 2, "same": [1, 2] },
    });
    server.admin.write("acme", &[record]);
    let stored = server.admin.get(&format!("{RECORDS}/x")).ok();
    let attributes =
        json!({ "actor.department": "Ops", "flow": { "id": 7, "n": [1.5, null, true, "ž"] }, "kept": "yes" });
    assert_eq!(stored["attributes"], attributes, "{stored}");
    assert_eq!(stored["diff"], json!({ "a": { "__old": 1, "__new": 2 } }), "the diff is derived: {stored}");
    let guide = server.admin.get(&format!("{RECORDS}/x?diff=guide")).ok();
    assert_eq!(guide["diff"], json!({ "a": { "_old": 1, "_new": 2 } }), "{guide}");
    for member in ["tenant", "index", "recorded_at", "leaf_hash"] {
        assert!(!stored[member].is_null(), "{member}: {stored}");
    }
}

#[test]
fn a_full_tail_answers_503_with_retry_after_and_never_half_a_batch() {
    // The journal takes no more than the tail may hold; the flush is slowed by nothing, so push hard.
    let server = Server::start(&[("FLUSH_MIB", "1"), ("TAIL_MIB", "2")]);
    let filler = "x".repeat(3000);
    let batch = |writer: usize, n: usize| -> String {
        let one = |i: usize| json!({ "id": format!("{writer}/{n}/{i}"), "log": "event", "action": "fill", "message": format!("{filler}{i}") });
        (0..150).map(|i| format!("{}\n", one(i))).collect()
    };
    let (taken, refused) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (client, batch) = (server.admin.clone(), &batch);
                scope.spawn(move || {
                    let (mut taken, mut refused) = (Vec::new(), 0);
                    for n in 0..12 {
                        let reply = client.post(RECORDS, batch(writer, n));
                        if reply.status == 200 {
                            taken.push(n);
                            assert_eq!(reply.json()["accepted"], 150, "{reply}");
                        } else {
                            reply.problem(503, "busy");
                            let wait: u32 = reply.header("retry-after").parse().unwrap();
                            assert!((1..=60).contains(&wait));
                            refused += 1;
                        }
                    }
                    (writer, taken, refused)
                })
            })
            .collect();
        let done: Vec<_> = writers.into_iter().map(|w| w.join().unwrap()).collect();
        let refused: usize = done.iter().map(|d| d.2).sum();
        (done.into_iter().flat_map(|(w, taken, _)| taken.into_iter().map(move |n| (w, n))).collect::<Vec<_>>(), refused)
    });
    let count = server.admin.get("/v1/t/acme").ok()["records"].as_u64().unwrap();
    assert_eq!(
        count,
        150 * u64::try_from(taken.len()).unwrap(),
        "batches taken whole, refused whole ({refused} refused)"
    );
    assert!(refused > 0, "the tail was never full: the test proves nothing; make its batches larger");
    eventually("the server takes records again", || server.admin.post(RECORDS, batch(9, 9)).status == 200);
}
