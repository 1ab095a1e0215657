//! Sources that send: they are counted and listed by themselves, and of those that number their records it is known what did
//! not come.

use crate::pull::source;
use crate::server::{Server, at, eventually};
use crate::sources::put;
use serde_json::{Value, json};

fn login(n: usize) -> String {
    json!({ "id": format!("kc-{n}"), "time": 1_795_176_000_000u64 + n as u64, "type": "LOGIN", "realmId": "acme", "clientId": "app", "userId": "u" })
        .to_string()
}

/// What is answered of one source for the last two hours, up to ten seconds ago.
fn of(server: &Server, name: &str) -> Value {
    let range = format!("from={}&to={}", at(-7200), at(-10));
    let answer = server.admin.get(&format!("/v1/t/acme/completeness?{range}")).ok();
    let all = answer["sources"].as_array().unwrap();
    all.iter().find(|s| s["source"] == name).cloned().unwrap_or(Value::Null)
}

fn why(answer: &Value) -> String {
    answer["unknown"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["why"].as_str().unwrap().to_owned())
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn who_sends_is_counted_and_listed_and_nobody_claims_to_know_more() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    assert_eq!(of(&server, "keycloak"), Value::Null);
    let other = server.tenant_key("acme", &["write"]);
    server.admin.post("/v1/t/acme/ingest/keycloak", [login(1), login(2)].join("\n")).ok();
    other.post("/v1/t/acme/ingest/keycloak", [login(2), login(3)].join("\n")).ok();
    let log = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [{ "timeUnixNano": "1795176000000000000", "body": { "stringValue": "hello" } }] }] }] });
    other.post("/v1/t/acme/otlp/v1/logs", log.to_string()).ok();
    eventually("both are listed", || of(&server, "keycloak")["sequence"] == 4 && of(&server, "otlp")["sequence"] == 1);
    let told = of(&server, "keycloak");
    assert_eq!((&told["complete"], &told["kind"]), (&json!("unknown"), &json!("push")), "{told}");
    let words = why(&told);
    let seen = told["last_seen"].as_str().unwrap().to_owned();
    assert!(words.contains("4 records were counted here from 2 senders") && words.contains(&seen), "{words}");
    let shown = source(&server, "keycloak");
    assert_eq!(
        (&shown["received"], &shown["duplicate"], &shown["refused"]),
        (&json!(4), &json!(1), &json!(0)),
        "{shown}"
    );
    let senders: Vec<&Value> = shown["senders"].as_object().unwrap().values().collect();
    assert_eq!(senders.iter().map(|s| s["received"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 2], "by key: {shown}");
    assert!(senders.iter().all(|s| s["last_seen"].as_str().unwrap() <= seen.as_str()), "{shown}");
    assert_eq!(shown["position"], Value::Null, "how it is counted is nobody's matter: {shown}");
    let gaps = server.cli(&["gaps", "acme", "--from", &at(-7200)]);
    assert_eq!(gaps.code, Some(1), "{}", gaps.out);
    assert!(gaps.out.contains("keycloak (keycloak): it cannot be known"), "{}", gaps.out);

    // Both kinds of an end keep what was written.
    let server = server.kill().start();
    assert_eq!(of(&server, "keycloak")["sequence"], 4);
    server.admin.post("/v1/t/acme/ingest/keycloak", login(4)).ok();
    // An end in order writes what is left, however fresh.
    let server = server.stop().start();
    assert_eq!(of(&server, "keycloak")["sequence"], 5);

    // Where the system is fetched from as well, that source is asked what there is, and no other is made.
    server.admin.put("/v1/t/both", "{}");
    let body = json!({ "system": "okta", "kind": "pull", "settings": { "url": "http://127.0.0.1:9", "paused": true }, "secrets": { "token": "t" } });
    put(&server, "both", "org", &body);
    let event = r#"{"uuid":"o1","published":"2026-11-20T12:00:00.000Z","eventType":"user.session.start","outcome":{"result":"SUCCESS"}}"#;
    server.admin.post("/v1/t/both/ingest/okta", event).ok();
    server.admin.post("/v1/t/both/ingest/keycloak", login(9)).ok();
    eventually("the other system is listed", || {
        let all = server.admin.get("/v1/t/both/sources").ok();
        let names: Vec<&str> = all["items"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
        names == ["keycloak", "org"]
    });
    server.stop().verify().ok();
}

/// The time of the event with this number.
fn moment(base: &str, n: i64) -> String {
    let base: jiff::Timestamp = base.parse().unwrap();
    format!("{:.6}", base.checked_add(jiff::Span::new().seconds(n)).unwrap())
}

/// An event of so many seconds after `base`, with its number.
fn event(base: &str, seconds: i64, number: i64) -> String {
    json!({
        "aggregateID": "a1", "aggregateType": "user", "resourceOwner": "o", "instanceID": "i", "version": "v2", "sequence": number,
        "event_type": "user.human.added", "created_at": moment(base, seconds), "userID": "u", "event_payload": "e30=",
    })
    .to_string()
}

/// Events with these numbers, a second apart by their number.
fn send(server: &Server, base: &str, numbers: impl IntoIterator<Item = i64>) {
    let lines: Vec<String> = numbers.into_iter().map(|n| event(base, n, n)).collect();
    let answer = server.admin.post("/v1/t/acme/ingest/z", lines.join("\n")).ok();
    assert_eq!((&answer["rejected"], &answer["unparsed"]), (&json!(0), &json!(0)), "{answer}");
}

fn numbered() -> Server {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    let body =
        json!({ "system": "zitadel", "kind": "push", "settings": { "sequence": "/sequence", "settle_seconds": 2 } });
    let made = put(&server, "acme", "z", &body);
    assert_eq!(made.status, 201, "{made}");
    server
}

fn highest(server: &Server) -> i64 {
    source(server, "z")["highest_number"].as_i64().unwrap_or(0)
}

#[test]
fn a_number_that_does_not_come_is_a_gap_signed_into_the_ledger() {
    let server = numbered();
    let base = at(-3600);
    assert!(why(&of(&server, "z")).contains("none with a number came yet"));
    // Late and out of order, but there: no hole.
    send(&server, &base, [1, 2, 3, 7, 5, 4]);
    send(&server, &base, [6, 8]);
    eventually("they are counted", || highest(&server) == 8);
    let answer = |from: i64, to: i64| {
        let range = format!("from={}&to={}", moment(&base, from), moment(&base, to));
        let answer = server.admin.get(&format!("/v1/t/acme/completeness?{range}")).ok();
        (answer["complete"].as_str().unwrap().to_owned(), answer["sources"][0].clone())
    };
    eventually("between the first and the last nothing is missing", || answer(3, 6).0 == "yes");
    let (word, told) = answer(-5, 60);
    assert_eq!(word, "unknown", "{told}");
    let words = why(&told);
    assert!(words.contains("before number 1") && words.contains("newer than its number 8"), "{words}");

    send(&server, &base, (21..=30).chain(40..=44));
    eventually("what did not come is missing", || answer(3, 43).1["gaps"].as_array().unwrap().len() == 2);
    let (word, told) = answer(3, 41);
    assert_eq!(word, "no", "{told}");
    assert!(told["gaps"][0]["why"].as_str().unwrap().contains("numbers 9 to 20 did not come"), "{told}");
    assert_eq!(answer(23, 28).0, "yes");
    let gaps = server.cli(&["gaps", "acme", "--from", &moment(&base, 10), "--to", &moment(&base, 30)]);
    assert_eq!(gaps.code, Some(6), "{}", gaps.out);
    assert!(gaps.out.contains("z (zitadel): records are missing") && gaps.out.contains("9 to 20"), "{}", gaps.out);
    // Each is one entry of the ledger, of the kind gap.
    let page = server.admin.page("acme", "audit-logs", &[("q", "action:indelible.gap")]);
    let items = page["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{page}");
    let id = crate::http::encode(items[0]["id"].as_str().unwrap());
    let proof = server.admin.get(&format!("/v1/t/acme/records/{id}/proof")).ok();
    use base64::Engine as _;
    let entry = base64::engine::general_purpose::STANDARD.decode(proof["entry"].as_str().unwrap()).unwrap();
    assert_eq!((entry.len(), entry[1]), (47, 5), "{proof}");
    let file = server.home.path().join("gap.json");
    server.cli(&["prove", "acme", items[0]["id"].as_str().unwrap(), "--out-file", file.to_str().unwrap()]).ok();
    server.home.run(&["verify", file.to_str().unwrap()]).ok();
    let said = std::fs::read_to_string(&file).unwrap().replace("indelible.gap", "indelible.got");
    std::fs::write(&file, said).unwrap();
    server.home.run(&["verify", file.to_str().unwrap()]).failed(5);
    // An end in order loses no count: the next number follows, and one that is left out is a gap again.
    let server = server.stop().start();
    send(&server, &base, [45, 47]);
    eventually("the third is told", || of(&server, "z")["gaps"].as_array().unwrap().len() == 3);
    server.stop().verify().ok();
}

#[test]
fn numbers_that_come_after_all_fill_their_gap() {
    let server = numbered();
    let base = at(-3600);
    send(&server, &base, (1..=3).chain(10..=12).chain([20]));
    eventually("both are told", || of(&server, "z")["gaps"].as_array().unwrap().len() == 2);
    // A part of them is not enough, and is remembered over a restart.
    send(&server, &base, 4..=7);
    let server = server.stop().start();
    assert_eq!((of(&server, "z")["gaps"].as_array().unwrap().len(), highest(&server)), (2, 20));
    send(&server, &base, [9, 8]);
    eventually("one is filled", || of(&server, "z")["gaps"].as_array().unwrap().len() == 1);
    let range = format!("from={}&to={}", moment(&base, 2), moment(&base, 11));
    let answer = server.admin.get(&format!("/v1/t/acme/completeness?{range}")).ok();
    assert_eq!(answer["complete"], "yes", "{answer}");
    let filled = &answer["sources"][0]["filled"];
    assert_eq!(filled.as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(filled[0]["filled_by"], "its numbers 4 to 9 came", "{answer}");
    let gaps = server.cli(&["gaps", "acme", "--from", &moment(&base, 2), "--to", &moment(&base, 11)]);
    let told = gaps.ok();
    assert!(told.contains("nothing is missing") && told.contains("4 to 9 did not come; here since"), "{told}");
    // It is an entry of its own that names the gap's, which stays as it is.
    let page = server.admin.page("acme", "audit-logs", &[("q", "action:indelible.gap.filled")]);
    assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
    let id = crate::http::encode(page["items"][0]["id"].as_str().unwrap());
    let record = server.admin.get(&format!("/v1/t/acme/records/{id}")).ok();
    let gap = record["attributes"]["gap"].as_str().unwrap();
    assert_eq!(gap, filled[0]["gap"]);
    let told = server.admin.get(&format!("/v1/t/acme/records/{}", crate::http::encode(gap))).ok();
    assert_eq!((&told["action"], &told["outcome"]), (&json!("indelible.gap"), &json!("unknown")), "{told}");
    // And of what is sealed.
    let file = server.home.path().join("filled.json");
    server.cli(&["prove", "acme", page["items"][0]["id"].as_str().unwrap(), "--out-file", file.to_str().unwrap()]).ok();
    server.home.run(&["verify", file.to_str().unwrap()]).ok();
    let server = server.kill().start();
    assert_eq!(of(&server, "z")["filled"].as_array().unwrap().len(), 1);
    server.stop().verify().ok();
}

/// A source whose times are whole seconds can leave several numbers out within one.
#[test]
fn a_number_counts_without_a_time_and_where_it_is_not_understood() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    let body = json!({ "system": "keycloak", "kind": "push", "settings": { "sequence": "/n", "settle_seconds": 1 } });
    assert_eq!(put(&server, "acme", "z", &body).status, 201);
    let numbered = |n: u64| json!({ "type": "LOGIN", "realmId": "r", "n": n }).to_string();
    let lines = [numbered(1), numbered(2), json!({ "n": 3 }).to_string(), numbered(4), numbered(7)];
    let answer = server.admin.post("/v1/t/acme/ingest/z", lines.join("\n")).ok();
    assert_eq!((&answer["accepted"], &answer["unparsed"]), (&json!(5), &json!(1)), "{answer}");
    eventually("they are counted", || highest(&server) == 7);
    let gaps = || server.admin.get(&format!("/v1/t/acme/completeness?from={}", at(-600))).ok()["sources"][0].clone();
    eventually("the hole is told", || gaps()["gaps"].as_array().unwrap().len() == 1);
    assert!(gaps()["gaps"].to_string().contains("5 to 6"), "{}", gaps());
}

#[test]
fn holes_that_begin_at_the_same_moment_are_all_told() {
    let server = numbered();
    let base = at(-3600);
    for part in [vec![1, 2, 3], vec![5, 6], vec![9]] {
        let lines: Vec<String> = part.into_iter().map(|n| event(&base, 0, n)).collect();
        server.admin.post("/v1/t/acme/ingest/z", lines.join("\n")).ok();
    }
    eventually("both are told", || {
        let told = of(&server, "z");
        let words: Vec<&str> = told["gaps"].as_array().unwrap().iter().filter_map(|gap| gap["why"].as_str()).collect();
        let words = words.join("; ");
        words.contains("its number 4 did not come") && words.contains("its numbers 7 to 8 did not come")
    });
    let page = server.admin.page("acme", "audit-logs", &[("q", "action:indelible.gap")]);
    assert_eq!(page["items"].as_array().unwrap().len(), 2, "{page}");
}

#[test]
fn what_was_not_counted_before_a_kill_is_not_known_and_no_gap() {
    let server = numbered();
    let base = at(-3600);
    send(&server, &base, 1..=5);
    eventually("they are counted", || highest(&server) == 5);
    // These are stored; whether they were counted when the server dies, nobody can say.
    send(&server, &base, 6..=9);
    let server = server.kill().start();
    let counted = highest(&server);
    send(&server, &base, 15..=20);
    eventually("they are counted", || highest(&server) == 20);
    eventually("the hole is not waited for any more", || !why(&of(&server, "z")).contains("not here yet"));
    let told = of(&server, "z");
    assert_eq!(
        (&told["complete"], told["gaps"].as_array().unwrap().len()),
        (&json!("unknown"), 0),
        "{counted}: {told}"
    );
    assert!(why(&told).contains("counting was broken off"), "{told}");
    server.stop().verify().ok();
}

#[test]
fn a_source_that_was_removed_is_forgotten_until_it_is_heard_again() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    let listed = || server.admin.get("/v1/t/acme/sources").ok()["items"].as_array().unwrap().len();
    server.admin.post("/v1/t/acme/ingest/keycloak", [login(1), login(2)].join("\n")).ok();
    eventually("it is listed", || listed() == 1);
    // What was noted and not written yet is forgotten as well.
    server.admin.post("/v1/t/acme/ingest/keycloak", login(3)).ok();
    assert_eq!(server.admin.delete("/v1/t/acme/sources/keycloak").status, 204);
    let record = &server.admin.page("acme", "audit-logs", &[("q", "action:indelible.source.delete")])["items"][0];
    let record = server.admin.get(&format!("/v1/t/acme/records/{}", record["id"].as_str().unwrap())).ok();
    assert!(record["attributes"]["note"].as_str().unwrap().contains("listed again"), "{record}");
    // Longer than between two writings; another source shows that there was one.
    server.admin.post("/v1/t/acme/ingest/okta", r#"{"uuid":"o1","published":"2026-11-20T12:00:00.000Z","eventType":"user.session.start","outcome":{"result":"SUCCESS"}}"#).ok();
    eventually("the other is listed", || listed() == 1);
    assert_eq!(source(&server, "okta")["received"], 1);
    assert_eq!(server.admin.get("/v1/t/acme/sources/keycloak").status, 404, "it sent nothing since");

    server.admin.post("/v1/t/acme/ingest/keycloak", [login(3), login(4)].join("\n")).ok();
    eventually("it is listed again", || listed() == 2);
    let shown = source(&server, "keycloak");
    assert_eq!((&shown["received"], &shown["duplicate"], &shown["settings"]), (&json!(2), &json!(1), &json!({})));
    server.stop().verify().ok();
}
