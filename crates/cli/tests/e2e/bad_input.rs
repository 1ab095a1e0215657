//! Bad input: refused by line with field, limit and what to do; its good neighbours are stored.

use crate::server::{Server, at};
use serde_json::{Value, json};
use std::io::Write;
use std::time::Instant;

const RECORDS: &str = "/v1/t/acme/records";

fn good(id: &str) -> String {
    json!({ "id": id, "log": "event", "action": "login", "time": at(-5) }).to_string()
}

/// What is wrong, the record, the code, the field, and words that the detail must have.
type Case = (&'static str, Vec<u8>, &'static str, &'static str, &'static [&'static str]);

fn with(member: &str) -> Vec<u8> {
    format!(r#"{{"log":"event","action":"login",{member}}}"#).into_bytes()
}

fn cases() -> Vec<Case> {
    let deep = |n: usize| format!(r#""attributes":{{"a":{}{}}}"#, "[".repeat(n), "]".repeat(n));
    let big = "b".repeat(1 << 20);
    let far = at(25 * 3600);
    vec![
        ("a record over 1 MiB", with(&format!(r#""message":"{big}""#)), "record_too_large", "", &["1048576"]),
        ("5,000-deep JSON", with(&deep(5000)), "too_deep", "attributes", &["64"]),
        ("65-deep JSON", with(&deep(64)), "too_deep", "attributes", &["64"]),
        ("5,000-deep JSON in an unknown field", with(&deep(5000).replace("attributes", "x")), "too_deep", "x", &["64"]),
        ("invalid UTF-8", [&with(r#""message":"#)[..], b"\"\xff\xfe\"}"].concat(), "invalid_utf8", "", &["UTF-8"]),
        ("a lone high surrogate", with(r#""message":"\ud83d""#), "lone_surrogate", "message", &["surrogate"]),
        (
            "a lone low surrogate",
            with(r#""attributes":{"a":"\ude00"}"#),
            "lone_surrogate",
            "attributes",
            &["surrogate"],
        ),
        ("a NUL byte, escaped", with(r#""message":"a\u0000b""#), "nul_byte", "message", &["NUL"]),
        ("a NUL byte in attributes", with(r#""attributes":{"a":"\u0000"}"#), "nul_byte", "attributes", &["NUL"]),
        ("a NUL byte, raw", with("\"message\":\"a\u{0}b\""), "nul_byte", "message", &["NUL"]),
        ("a duplicate key", with(r#""action":"logout""#), "duplicate_key", "action", &["twice"]),
        (
            "a duplicate key below",
            with(r#""attributes":{"a":1,"b":2,"a":1}"#),
            "duplicate_key",
            "attributes",
            &["twice"],
        ),
        (
            "a duplicate key, escaped",
            with(r#""attributes":{"a":1,"\u0061":2}"#),
            "duplicate_key",
            "attributes",
            &["twice"],
        ),
        ("a duplicate key in a group", with(r#""actor":{"id":"a","id":"b"}"#), "duplicate_key", "actor.id", &["twice"]),
        ("a number past a double", with(r#""attributes":{"n":1e400}"#), "number_out_of_range", "attributes", &["text"]),
        (
            "an integer past 2^53",
            with(r#""attributes":{"n":9007199254740993}"#),
            "number_out_of_range",
            "attributes",
            &["text"],
        ),
        (
            "a time 25 hours ahead",
            with(&format!(r#""time":"{far}""#)),
            "time_in_future",
            "time",
            &["24 hours", "clock"],
        ),
        ("a time that is none", with(r#""time":"yesterday""#), "invalid_time", "time", &["RFC 3339"]),
        ("a Unix time", with(r#""time":1700000000"#), "wrong_type", "time", &["RFC 3339"]),
        ("an unknown log", br#"{"log":"syslog","action":"x"}"#.to_vec(), "unknown_value", "log", &["audit", "grant"]),
        ("no log", br#"{"action":"x"}"#.to_vec(), "missing_field", "log", &["audit"]),
        ("no action", br#"{"log":"audit"}"#.to_vec(), "missing_field", "action", &["action"]),
        ("an unknown outcome", with(r#""outcome":"ok""#), "unknown_value", "outcome", &["success", "deny"]),
        ("an empty object", b"{}".to_vec(), "missing_field", "log", &["log"]),
        ("no object", b"17".to_vec(), "wrong_type", "", &["object"]),
        ("no JSON", b"hello".to_vec(), "invalid_json", "", &[]),
        ("an unfinished line", br#"{"log":"event","action":"lo"#.to_vec(), "invalid_json", "action", &[]),
        ("two records on a line", format!("{} {}", good("p"), good("q")).into_bytes(), "invalid_json", "", &[]),
        ("an id of 129 bytes", with(&format!(r#""id":"{}""#, "i".repeat(129))), "invalid_id", "id", &["128"]),
        ("an empty id", with(r#""id":"""#), "invalid_id", "id", &["128"]),
        ("an id that is not printable", with(r#""id":"a\tb""#), "invalid_id", "id", &["printable"]),
        (
            "a field of the ledger",
            with(r#""recorded_at":"2026-01-01T00:00:00Z""#),
            "reserved_field",
            "recorded_at",
            &["leave it out"],
        ),
        ("another tenant's name", with(r#""tenant":"beta""#), "tenant_mismatch", "tenant", &["acme"]),
        ("text where an object is due", with(r#""actor":"ann""#), "wrong_type", "actor", &["object"]),
        ("a number where text is due", with(r#""message":5"#), "wrong_type", "message", &["text"]),
        ("attributes that are a list", with(r#""attributes":[1]"#), "wrong_type", "attributes", &["object"]),
    ]
}

#[test]
fn every_bad_record_is_refused_by_line_with_field_and_advice_and_its_neighbours_are_stored() {
    let server = Server::start(&[]);
    let mut stored = 0;
    for (n, (name, record, code, field, words)) in cases().into_iter().enumerate() {
        let body = [
            good(&format!("{n}-before")).as_bytes(),
            b"\n",
            &record,
            b"\n",
            good(&format!("{n}-after")).as_bytes(),
            b"\n",
        ]
        .concat();
        let started = Instant::now();
        let reply = server.admin.post(&format!("{RECORDS}?receipts=full"), body);
        assert_eq!(reply.status, 200, "{name}: {reply}");
        assert!(started.elapsed().as_secs() < 15, "{name} took {:?}", started.elapsed());
        let answer = reply.json();
        stored += 2;
        assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(2), &json!(1)), "{name}: {answer}");
        let results = answer["results"].as_array().unwrap();
        assert_eq!(results[1]["line"], 2, "{name}: {answer}");
        check(name, &results[1], code, field, words);
        // Alone: the same words as a problem document.
        let status = match code {
            "record_too_large" => 413,
            _ => 400,
        };
        let reply = server.admin.post(RECORDS, [record, b"\n".to_vec()].concat());
        let problem = reply.problem(status, code);
        assert_eq!(problem["errors"].as_array().unwrap().len(), 1, "{name}: {problem}");
        assert_eq!(problem["rejected"], 1, "{name}: {problem}");
    }
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], stored, "every good neighbour, and nothing else");
}

#[track_caller]
fn check(name: &str, result: &Value, code: &str, field: &str, words: &[&str]) {
    assert_eq!(result["code"], code, "{name}: {result}");
    assert_eq!(result["field"].as_str().unwrap_or_default(), field, "{name}: {result}");
    let detail = result["detail"].as_str().unwrap_or_default();
    assert!(detail.len() > 10 && detail.len() < 400, "{name}: {detail}");
    for word in words {
        assert!(detail.contains(word), "{name}: {word:?} is not in {detail:?}");
    }
}

#[test]
fn bad_records_in_an_array_do_not_spoil_the_others() {
    let server = Server::start(&[]);
    let body = [
        b"[".as_slice(),
        good("a").as_bytes(),
        b", {\"log\":\"event\",\"action\":\"\xff\"}, 5, ",
        good("b").as_bytes(),
        b"]",
    ]
    .concat();
    let answer = server.admin.post(RECORDS, body).ok();
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(2), &json!(2)), "{answer}");
    let lines: Vec<_> = answer["results"].as_array().unwrap().iter().map(|r| r["line"].clone()).collect();
    assert_eq!(lines, [2, 3]);
    // An array that breaks off: what came before is stored, and the rest is said to be lost.
    let answer = server.admin.post(RECORDS, format!("[{}, {}, {{\"log\":", good("c"), good("d"))).ok();
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(2), &json!(1)), "{answer}");
    assert!(answer["results"][0]["detail"].as_str().unwrap().contains("breaks off"), "{answer}");
}

#[test]
fn an_empty_body_is_refused_with_what_to_send() {
    let server = Server::start(&[]);
    for body in ["", "\n\n \n", "[]", "\u{feff}"] {
        let problem = server.admin.post(RECORDS, body).problem(400, "empty_body");
        assert!(problem["detail"].as_str().unwrap().contains("JSON object"), "{problem}");
    }
}

#[test]
fn a_record_of_just_1_mib_is_stored_and_read_back() {
    let server = Server::start(&[]);
    let text = "m".repeat((1 << 20) - 500);
    server.admin.write("acme", &[json!({ "id": "big", "log": "event", "action": "big", "message": text })]);
    assert_eq!(server.admin.get(&format!("{RECORDS}/big")).ok()["message"], text);
    let deep = format!("{}1{}", "[".repeat(62), "]".repeat(62));
    let record = format!(r#"{{"id":"deep","log":"event","action":"x","attributes":{{"a":{deep}}}}}"#);
    let answer = server.admin.post(RECORDS, record).ok();
    assert_eq!(answer["accepted"], 1, "64 levels are within the limit: {answer}");
    assert_eq!(server.admin.get(&format!("{RECORDS}/deep")).ok()["attributes"]["a"].to_string(), deep);
}

#[test]
fn a_batch_has_at_most_10_000_records_and_16_mib_and_a_compression_bomb_is_refused_whole() {
    let server = Server::start(&[]);
    let small = r#"{"log":"event","action":"x"}"#;
    let lines = |n: usize| format!("{small}\n").repeat(n);
    assert_eq!(server.admin.post(RECORDS, lines(10_000)).ok()["accepted"], 10_000);
    let problem = server.admin.post(RECORDS, lines(10_001)).problem(413, "batch_too_large");
    assert!(problem["detail"].as_str().unwrap().contains("10000"), "{problem}");
    let large = |bytes: usize| lines(1) + &" ".repeat(bytes - small.len() - 1);
    assert_eq!(server.admin.post(RECORDS, large(16 << 20)).ok()["accepted"], 1);
    for compress in [false, true] {
        let mut body = large((16 << 20) + 1).into_bytes();
        if compress {
            body = zstd::encode_all(&body[..], 1).unwrap();
        }
        let problem = server.admin.post(RECORDS, body).problem(413, "batch_too_large");
        assert!(problem["detail"].as_str().unwrap().contains("16777216"), "{problem}");
    }
    // 8 GiB of spaces behind a record, in a few MiB of zstd, and 1 GiB in gzip.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let spaces = vec![b' '; 16 << 20];
    gzip.write_all(small.as_bytes()).unwrap();
    zstd.write_all(small.as_bytes()).unwrap();
    for n in 0..64 {
        if n < 8 {
            gzip.write_all(&spaces).unwrap();
        }
        zstd.write_all(&spaces).unwrap();
    }
    for bomb in [gzip.finish().unwrap(), zstd.finish().unwrap()] {
        assert!(bomb.len() < 4 << 20);
        let started = Instant::now();
        server.admin.post(RECORDS, bomb).problem(413, "batch_too_large");
        assert!(started.elapsed().as_secs() < 15, "a bomb takes {:?}", started.elapsed());
    }
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], 10_001, "nothing of a refused batch is stored");
}

/// A MiB of one hostile thing, refused in a moment, beside good neighbours.
#[test]
fn a_mebibyte_of_hostile_json_is_refused_in_a_moment_and_its_neighbours_are_stored() {
    let server = Server::start(&[]);
    let size = (1 << 20) - 4096;
    let attributes = |value: String| with(&format!(r#""attributes":{{"a":{value}}}"#));
    let many_keys: Vec<String> = (0..size / 12).map(|i| format!(r#""k{i:06}":1"#)).collect();
    let one_key: Vec<String> = (0..size / 6).map(|_| r#""k":1"#.to_owned()).collect();
    let hostile: Vec<(&str, Vec<u8>, &str)> = vec![
        ("brackets that open", attributes("[".repeat(size)), "too_deep"),
        ("brackets and braces", attributes("[{\"a\":".repeat(size / 6)), "too_deep"),
        ("brackets in an unknown field", with(&format!(r#""x":{}"#, "[".repeat(size))), "too_deep"),
        ("a number of a million digits", attributes("9".repeat(size)), "number_out_of_range"),
        ("a fraction of a million digits", attributes(format!("1e{}", "9".repeat(size))), "number_out_of_range"),
        ("a text that never ends", with(&format!(r#""message":"{}"#, "a".repeat(size))), "invalid_json"),
        (
            "a text of escaped quotes that never ends",
            with(&format!(r#""message":"{}"#, "\\\"".repeat(size / 2))),
            "invalid_json",
        ),
        ("the same key a hundred thousand times", attributes(format!("{{{}}}", one_key.join(","))), "duplicate_key"),
        ("a NUL at the very end", with(&format!(r#""message":"{}\u0000""#, "a".repeat(size))), "nul_byte"),
        (
            "invalid UTF-8 at the very end",
            [&with(&format!(r#""message":"{}"#, "a".repeat(size)))[..], b"\xff\"}"].concat(),
            "invalid_utf8",
        ),
        (
            "a lone surrogate at the very end",
            with(&format!(r#""message":"{}\ud800""#, "a".repeat(size))),
            "lone_surrogate",
        ),
        ("commas", attributes(format!("[{}]", ",".repeat(size))), "invalid_json"),
        (
            "white space and nothing else of a record",
            " ".repeat(size).into_bytes().into_iter().chain(*b"x").collect(),
            "invalid_json",
        ),
    ];
    let mut stored = 0;
    for (n, (name, record, code)) in hostile.into_iter().enumerate() {
        let body =
            [good(&format!("{n}-a")).as_bytes(), b"\n", &record, b"\n", good(&format!("{n}-b")).as_bytes(), b"\n"]
                .concat();
        let started = Instant::now();
        let answer = server.admin.post(RECORDS, body).ok();
        let took = started.elapsed();
        stored += 2;
        assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(2), &json!(1)), "{name}: {answer}");
        assert_eq!(answer["results"][0]["code"], code, "{name}: {answer}");
        assert!(answer.to_string().len() < 2_000, "{name}: what is refused is not sent back");
        assert!(took.as_secs_f64() < 10.0, "{name} took {took:?}");
    }
    // A hundred thousand different keys are odd and no harm: stored or refused for their size, in a moment.
    let started = Instant::now();
    let answer = server.admin.post(RECORDS, attributes(format!("{{{}}}", many_keys.join(",")))).json();
    assert!(started.elapsed().as_secs_f64() < 10.0, "many keys took {:?}: {answer}", started.elapsed());
    stored += u64::from(answer["accepted"] == 1);
    // So are as many members of a system's own record.
    let started = Instant::now();
    let native = format!(r#"{{"type":"LOGIN","time":1700000000000,{}}}"#, many_keys.join(","));
    let answer = server.admin.post("/v1/t/acme/ingest/keycloak", native).json();
    assert!(started.elapsed().as_secs_f64() < 10.0, "many members took {:?}: {answer}", started.elapsed());
    stored += u64::from(answer["accepted"] == 1);
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], stored);
}

/// What goes into addresses and headers rather than into records.
#[test]
fn hostile_addresses_headers_and_queries_are_refused_and_nothing_ends() {
    let server = Server::start(&[]);
    server.admin.write("acme", &[json!({ "id": "one", "log": "event", "action": "x", "time": at(-5) })]);
    let long = "a".repeat(40_000);
    for (path, statuses) in [
        ("/v1/t/%00/records".to_owned(), &[400, 404][..]),
        ("/v1/t/%ff%fe/records".to_owned(), &[400, 404]),
        ("/v1/t/..%2f..%2fetc/records".to_owned(), &[400, 404]),
        (format!("/v1/t/{long}/records"), &[400, 404, 414, 431]),
        ("/v1/t/acme/records/%00".to_owned(), &[400, 404]),
        // Read as the replacement character, which is in no record.
        ("/v1/t/acme/records?q=%ff".to_owned(), &[200, 400]),
        ("/v1/t/acme/records?q=%00".to_owned(), &[200, 400]),
        ("/v1/t/acme/records?limit=99999999999999999999999".to_owned(), &[400]),
        ("/v1/t/acme/records?limit=-1".to_owned(), &[400]),
        (format!("/v1/t/acme/records?cursor={long}"), &[400, 414]),
        (format!("/v1/t/acme/records?q={}", "%28".repeat(5_000)), &[400]),
        (format!("/v1/t/acme/records?q={}", "not%20".repeat(2_000)), &[200, 400]),
        ("/t/acme/log/tile/0/x999999999999999999999999/000".to_owned(), &[400, 404]),
        ("/t/acme/log/tile/99/000".to_owned(), &[400, 404]),
    ] {
        let reply = server.admin.get(&path);
        let shown: String = path.chars().take(80).collect();
        assert!(statuses.contains(&reply.status), "{shown}: {reply}");
    }
    for body in ["[".repeat(1 << 20), format!("{{\"filter\":{}", "{\"not\":".repeat(100_000)), "\u{0}".into()] {
        for path in ["/v1/t/acme/query", "/v1/t/acme/ask", "/v1/t/acme/sql", "/v1/t/acme/keys"] {
            let reply = server.admin.post(path, &body);
            assert!((400..500).contains(&reply.status), "{path}: {reply}");
        }
    }
    assert_eq!(server.admin.get("/v1/t/acme/records/one").status, 200);
    server.stop().verify().ok();
}

#[test]
fn a_parameter_given_twice_is_refused_by_name() {
    let server = Server::start(&[]);
    server.admin.post(RECORDS, good("a"));
    let get = |path: &str, name: &str| {
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{separator}{name}=1&{name}=2");
        let problem = server.admin.get(&path).problem(400, "invalid_parameter");
        assert!(problem["detail"].as_str().unwrap().contains(&format!("`{name}`")), "{path}: {problem}");
    };
    for view in ["records", "audit_logs", "event-logs", "job-logs", "notification-logs", "sessions", "grants"] {
        for name in ["q", "from", "to", "limit", "cursor", "diff"] {
            get(&format!("/v1/t/acme/{view}"), name);
            if name != "diff" {
                get(&format!("/v1/t/acme/as/ocsf/{view}"), name);
            }
        }
    }
    get("/v1/t/acme/records/a", "diff");
    for (path, names) in [
        ("/v1/t/acme/as/ocsf/records/a", &["schema", "proof"][..]),
        ("/v1/t/acme/as/ocsf/records", &["schema", "proof"]),
        ("/v1/t/acme/tail", &["q", "view"]),
        ("/v1/t/acme/completeness", &["from", "to"]),
        ("/v1/t/acme/revocations", &["since"]),
        ("/v1/catalog", &["system", "q"]),
    ] {
        names.iter().for_each(|name| get(path, name));
    }
    let asked = server.admin.post("/v1/t/acme/ask?run=1&run=1", json!({ "question": "failed logins" }).to_string());
    assert!(asked.problem(400, "invalid_parameter")["detail"].as_str().unwrap().contains("`run`"));
}

#[test]
fn a_parameter_that_is_not_taken_is_refused_by_name() {
    let server = Server::start(&[]);
    server.admin.post(RECORDS, good("a"));
    for (path, name) in [
        ("/v1/t/acme/records?q=a&form=now-7d", "form"),
        ("/v1/t/acme/as/ocsf/records/a?version=1.8", "version"),
        ("/v1/t/acme?all=1", "all"),
    ] {
        let problem = server.admin.get(path).problem(400, "unknown_parameter");
        assert!(problem["detail"].as_str().unwrap().starts_with(&format!("`{name}` is no parameter")), "{problem}");
    }
    server.admin.post(&format!("{RECORDS}?recipts=full"), good("b")).problem(400, "unknown_parameter");
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], 1, "nothing is stored of what was not understood");
    // Whoever sends what its system says, asks what a probe asks, or follows a link of its own is let be.
    for path in ["/health/ready?from=probe", "/metrics?name[]=up"] {
        assert_eq!(server.admin.get(path).status, 200, "{path}");
    }
    let event = json!({ "uuid": "7a1c0f9e-0001-11f0-a000-000000000001", "published": "2026-11-20T12:00:00.123Z",
        "eventType": "user.session.start", "actor": { "id": "00u1" }, "outcome": { "result": "SUCCESS" } });
    assert_eq!(server.admin.post("/v1/t/acme/ingest/okta?tag=hook", event.to_string()).ok()["accepted"], 1);
}
