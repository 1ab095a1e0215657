use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::client::testing::{Asked, Fake, Says, connect};

/// A server that keeps records by id, rejects those with `"bad"`, and may be told to misbehave.
#[derive(Default)]
struct Store {
    records: BTreeMap<String, String>,
    posts: u64,
    largest: usize,
}

type Trick = fn(u64, &Asked) -> Option<Says>;

/// `before` may answer in place of the server; `after` may replace its answer once the records are in.
fn serving(before: Trick, after: Trick) -> (Fake, Arc<Mutex<Store>>) {
    let store = Arc::new(Mutex::new(Store::default()));
    let kept = Arc::clone(&store);
    let fake = Fake::new(move |asked: &Asked| {
        let mut store = kept.lock().unwrap();
        store.posts += 1;
        let n = store.posts;
        if let Some(says) = before(n, asked) {
            return says;
        }
        let says = take(&mut store, asked);
        after(n, asked).unwrap_or(says)
    });
    (fake, store)
}

fn take(store: &mut Store, asked: &Asked) -> Says {
    assert_eq!((asked.method.as_str(), asked.header("content-type")), ("POST", Some("application/x-ndjson")));
    let (mut accepted, mut duplicate) = (0, 0);
    let mut results = Vec::new();
    let text = asked.text();
    store.largest = store.largest.max(text.lines().count());
    for (n, line) in text.lines().enumerate() {
        let record: Value = serde_json::from_str(line).unwrap();
        if record.get("bad").is_some() {
            results.push(json!({"line": n + 1, "code": "missing_field", "field": "log", "detail": "`log` is missing"}));
            continue;
        }
        let id = record["id"].as_str().map_or(line, |id| id).to_owned();
        match store.records.insert(id, line.to_owned()) {
            None => accepted += 1,
            Some(_) => duplicate += 1,
        }
    }
    let answer = json!({
        "accepted": accepted, "duplicate": duplicate, "rejected": results.len(), "first_index": 0, "tree_size": store.records.len(), "results": results,
    });
    (200, answer.to_string()).into()
}

fn never(_: u64, _: &Asked) -> Option<Says> {
    None
}

struct Setup {
    folder: tempfile::TempDir,
    args: IngestArgs,
}

fn setup(url: &str, content: &[u8]) -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in.json");
    std::fs::write(&file, content).unwrap();
    let args = IngestArgs {
        file,
        tenant: "acme".into(),
        system: None,
        in_flight: 2,
        errors: Some(folder.path().join("errors.jsonl")),
        resume: Some(folder.path().join("progress.json")),
        no_resume: false,
        give_up_after: 5,
        quiet: true,
        json: true,
        connect: connect(url),
    };
    Setup { folder, args }
}

impl Setup {
    fn run(&self) -> (Outcome, Value) {
        self.run_until(Stop::default())
    }

    fn run_until(&self, stop: Stop) -> (Outcome, Value) {
        let mut out = Vec::new();
        let outcome = ingest(&self.args, stop, &mut Console::to(&mut out));
        (outcome, serde_json::from_slice(&out).unwrap_or_default())
    }

    fn errors(&self) -> Vec<(u64, String)> {
        let text = std::fs::read_to_string(self.args.errors.as_ref().unwrap()).unwrap();
        let one = |line: &str| {
            let value: Value = serde_json::from_str(line).unwrap();
            (value["line"].as_u64().unwrap(), value["code"].as_str().unwrap().to_owned())
        };
        text.lines().map(one).collect()
    }
}

fn lines(range: std::ops::Range<u32>) -> String {
    range.map(|n| format!("{{\"log\":\"event\",\"action\":\"login\",\"n\":{n}}}\n")).collect()
}

fn counts(summary: &Value) -> (u64, u64, u64) {
    let of = |name: &str| summary[name].as_u64().unwrap();
    (of("accepted"), of("duplicate"), of("rejected"))
}

#[test]
fn every_shape_and_compression_gives_the_same_records() {
    let ndjson = lines(0..2500);
    let array = format!("[{}]", ndjson.trim_end().replace('\n', ",\n"));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(ndjson.as_bytes()).unwrap();
    let inputs = [
        ndjson.clone().into_bytes(),
        array.clone().into_bytes(),
        gzip.finish().unwrap(),
        zstd::encode_all(ndjson.as_bytes(), 1).unwrap(),
        zstd::encode_all(array.as_bytes(), 1).unwrap(),
    ];
    let (fake, store) = serving(never, never);
    for (n, input) in inputs.iter().enumerate() {
        let setup = setup(&fake.url, input);
        let (outcome, summary) = setup.run();
        assert_eq!(outcome, Ok(Exit::Ok), "{n}");
        // The same ids every time: only the first run adds anything.
        assert_eq!(counts(&summary), if n == 0 { (2500, 0, 0) } else { (0, 2500, 0) }, "{n}");
        assert!(!setup.args.resume.as_ref().unwrap().try_exists().unwrap(), "a finished run leaves nothing behind");
    }
    assert_eq!(store.lock().unwrap().records.len(), 2500);
    assert_eq!(store.lock().unwrap().largest, 1000);
    assert!(fake.asked().iter().all(|asked| asked.path == "/v1/t/acme/records"));
}

#[test]
fn a_file_that_has_grown_adds_only_what_is_new() {
    let (fake, _) = serving(never, never);
    setup(&fake.url, lines(0..1500).as_bytes()).run().0.unwrap();
    let (_, summary) = setup(&fake.url, lines(0..1600).as_bytes()).run();
    assert_eq!(counts(&summary), (100, 1500, 0));
}

#[test]
fn a_batch_that_is_refused_whole_does_not_end_the_file() {
    // As the server answers such a batch: with a problem, longer than most.
    let refusing = |n: u64, asked: &Asked| {
        let refused = |field: &str| -> Vec<Value> {
            let detail = "`log` is missing; it is one of audit, event, job, notification, session, grant";
            let item = |line| json!({ "line": line, field: "log", "code": "missing_field", "detail": detail });
            (1..=asked.text().lines().count()).map(item).collect()
        };
        let (errors, results) = (refused("pointer"), refused("field"));
        let problem = json!({
            "status": 400, "code": "missing_field", "title": "Bad Request", "detail": "`log` is missing", "accepted": 0,
            "duplicate": 0, "rejected": results.len(), "errors": errors, "results": results,
        });
        (n == 1).then(|| (400, problem.to_string()).into())
    };
    let (fake, store) = serving(refusing, never);
    let setup = setup(&fake.url, lines(0..2500).as_bytes());
    let (outcome, summary) = setup.run();
    assert_eq!(outcome, Ok(Exit::Partial));
    assert_eq!(counts(&summary), (1500, 0, 1000));
    assert_eq!((store.lock().unwrap().records.len(), setup.errors().len()), (1500, 1000));
}

#[test]
fn rejected_records_are_named_by_their_line_in_the_file() {
    let mut text = lines(0..1200);
    text.push_str("{\"bad\":1}\nnot json\n\n[1]\n");
    text.push_str(&lines(1200..1300));
    text.push_str("{\"bad\":2,\"id\":\"x\"}");
    let (fake, store) = serving(never, never);
    let setup = setup(&fake.url, text.as_bytes());
    let (outcome, summary) = setup.run();
    assert_eq!(outcome, Ok(Exit::Partial));
    assert_eq!(counts(&summary), (1300, 0, 4));
    let want = [(1201, "missing_field"), (1202, "wrong_type"), (1204, "wrong_type"), (1305, "missing_field")];
    assert_eq!(setup.errors(), want.map(|(line, code)| (line, code.to_owned())));
    assert_eq!(store.lock().unwrap().records.len(), 1300);
}

#[test]
fn exit_codes_of_whole_runs() {
    let (fake, _) = serving(never, never);
    for (text, exit) in [
        ("", Exit::Ok),
        ("{\"id\":\"1\"}", Exit::Ok),
        ("{\"bad\":1}", Exit::Failure),
        ("x\ny", Exit::Failure),
        ("{\"id\":\"1\"}\nx", Exit::Partial),
    ] {
        assert_eq!(setup(&fake.url, text.as_bytes()).run().0, Ok(exit), "{text}");
    }
    for (status, exit) in [(401, Exit::Denied), (403, Exit::Denied), (404, Exit::NotFound), (500, Exit::Failure)] {
        let fake = Fake::new(move |_: &Asked| (status, String::new()));
        let (outcome, summary) = setup(&fake.url, lines(0..3).as_bytes()).run();
        assert_eq!(outcome.unwrap_err().exit, exit, "{status}");
        assert_eq!((counts(&summary), &summary["complete"]), ((0, 0, 0), &Value::Bool(false)));
        assert_eq!(fake.asked().len(), 1, "what will not change is not tried again");
    }
    let setup = setup("http://127.0.0.1:9", b"{}");
    let args = IngestArgs { file: setup.folder.path().join("none"), ..setup.args.clone() };
    assert_eq!(ingest(&args, Stop::default(), &mut Console::to(Vec::new())).unwrap_err().exit, Exit::Failure);
}

#[test]
fn a_busy_server_is_asked_again() {
    let busy = |n, _: &Asked| {
        (n <= 3).then(|| Says {
            status: if n == 2 { 429 } else { 503 },
            headers: vec![("retry-after", "0".into())],
            body: Vec::new(),
        })
    };
    let (fake, store) = serving(busy, never);
    let (outcome, summary) = setup(&fake.url, lines(0..1100).as_bytes()).run();
    assert_eq!((outcome, counts(&summary)), (Ok(Exit::Ok), (1100, 0, 0)));
    assert_eq!(store.lock().unwrap().posts, 5);
}

#[test]
fn retry_after_is_honoured_and_patience_ends() {
    let later = |n, _: &Asked| {
        (n == 1).then(|| Says { status: 503, headers: vec![("retry-after", "1".into())], body: Vec::new() })
    };
    let (fake, _) = serving(later, never);
    let begun = Instant::now();
    assert_eq!(setup(&fake.url, b"{}").run().0, Ok(Exit::Ok));
    assert!(begun.elapsed() >= Duration::from_secs(1));

    let never_again =
        |_, _: &Asked| Some(Says { status: 503, headers: vec![("retry-after", "3600".into())], body: Vec::new() });
    let (fake, _) = serving(never_again, never);
    let begun = Instant::now();
    assert_eq!(setup(&fake.url, b"{}").run().0.unwrap_err().exit, Exit::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(3), "there is no use in waiting past the end of patience");
}

#[test]
fn a_lost_answer_doubles_nothing() {
    // The records are in, the connection breaks before the answer.
    let lose = |n: u64, _: &Asked| n.is_multiple_of(2).then(Says::default);
    let (fake, store) = serving(never, lose);
    let mut setup = setup(&fake.url, lines(0..3000).as_bytes());
    setup.args.in_flight = 1;
    let (outcome, summary) = setup.run();
    assert_eq!(outcome, Ok(Exit::Ok));
    assert_eq!(store.lock().unwrap().records.len(), 3000);
    let (accepted, duplicate, rejected) = counts(&summary);
    assert_eq!((accepted + duplicate, rejected), (3000, 0));
    assert_eq!(summary["duplicate_after_retry"], summary["duplicate"]);
    assert!(duplicate > 0);
}

#[test]
fn an_ended_run_goes_on_where_it_was() {
    for at in [1, 2, 3, 4] {
        static STOP_AT: Mutex<u64> = Mutex::new(0);
        *STOP_AT.lock().unwrap() = at;
        let refuse = |n, _: &Asked| (n >= *STOP_AT.lock().unwrap()).then(|| (403, String::new()).into());
        let (fake, store) = serving(refuse, never);
        let mut text = lines(0..4200);
        text.push_str("broken\n");
        let mut setup = setup(&fake.url, text.as_bytes());
        setup.args.in_flight = 1;
        let (outcome, summary) = setup.run();
        assert_eq!(outcome.unwrap_err().exit, Exit::Denied);
        assert_eq!(counts(&summary).0, (at - 1) * 1000);
        let sent_before = store.lock().unwrap().posts;
        *STOP_AT.lock().unwrap() = u64::MAX;
        let (outcome, summary) = setup.run();
        assert_eq!((outcome, counts(&summary)), (Ok(Exit::Partial), (4200, 0, 1)), "the counts are of both runs");
        assert_eq!(store.lock().unwrap().posts - sent_before, 5 - (at - 1), "nothing is sent twice");
        assert!(!setup.args.resume.as_ref().unwrap().try_exists().unwrap());
    }
}

#[test]
fn progress_of_another_content_or_target_is_not_used() {
    let refuse = |n, _: &Asked| (n == 3).then(|| (403, String::new()).into());
    let (fake, store) = serving(refuse, never);
    let mut setup = setup(&fake.url, lines(0..3000).as_bytes());
    setup.args.in_flight = 1;
    setup.run().0.unwrap_err();
    std::fs::write(&setup.args.file, lines(1..3001)).unwrap();
    let (outcome, summary) = setup.run();
    assert_eq!((outcome, counts(&summary)), (Ok(Exit::Ok), (3000, 0, 0)));
    assert_eq!(store.lock().unwrap().records.len(), 5000);
    std::fs::write(setup.args.resume.as_ref().unwrap(), "{}").unwrap();
    assert_eq!(counts(&setup.run().1), (0, 3000, 0));
}

#[test]
fn batches_that_overtake_each_other_are_not_lost_from_the_count() {
    // The first batch is refused late, the second is in: the next run begins with the first.
    let refuse = |n, asked: &Asked| {
        let first = asked.text().contains("\"n\":0}");
        if first && n <= 2 {
            std::thread::sleep(Duration::from_millis(100));
        }
        (first && n <= 2).then(|| (403, String::new()).into())
    };
    // Not `serving`: its lock would keep the two apart.
    let store = Arc::new(Mutex::new(Store::default()));
    let kept = Arc::clone(&store);
    let posts = std::sync::atomic::AtomicU64::new(0);
    let fake = Fake::new(move |asked: &Asked| {
        let n = posts.fetch_add(1, Ordering::SeqCst) + 1;
        refuse(n, asked).unwrap_or_else(|| take(&mut kept.lock().unwrap(), asked))
    });
    let setup = setup(&fake.url, lines(0..2000).as_bytes());
    let (outcome, summary) = setup.run();
    assert_eq!(outcome.unwrap_err().exit, Exit::Denied);
    assert_eq!(counts(&summary), (1000, 0, 0));
    let (outcome, summary) = setup.run();
    assert_eq!((outcome, counts(&summary)), (Ok(Exit::Ok), (1000, 1000, 0)));
    assert_eq!(store.lock().unwrap().records.len(), 2000);
}

#[test]
fn an_interrupted_run_keeps_its_progress() {
    let stop = Stop::default();
    let (fake, _) = serving(|n, _| (n == 2).then(|| (503, String::new()).into()), never);
    let mut setup = setup(&fake.url, lines(0..3000).as_bytes());
    setup.args.in_flight = 1;
    let asked = stop.clone();
    let url = fake.url.clone();
    std::thread::spawn(move || {
        while fake.asked().len() < 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        asked.set();
    });
    let (outcome, summary) = setup.run_until(stop);
    assert_eq!(outcome.unwrap_err().exit, Exit::Interrupted);
    assert_eq!(counts(&summary), (1000, 0, 0));
    assert!(setup.args.resume.as_ref().unwrap().try_exists().unwrap(), "{url}");
}

#[test]
fn a_batch_that_is_too_large_is_halved() {
    let small = |_, asked: &Asked| {
        (asked.text().lines().count() > 300 || asked.text().contains("\"n\":77}"))
            .then(|| (413, r#"{"code":"too_large","detail":"too large"}"#.to_owned()).into())
    };
    let (fake, store) = serving(small, never);
    let setup = setup(&fake.url, lines(0..1000).as_bytes());
    let (outcome, summary) = setup.run();
    assert_eq!((outcome, counts(&summary)), (Ok(Exit::Partial), (999, 0, 1)));
    assert_eq!(setup.errors(), [(78, "too_large".to_owned())]);
    assert_eq!(store.lock().unwrap().records.len(), 999);
}

#[test]
fn an_answer_for_other_than_was_sent_is_an_error() {
    for body in [
        r#"{"accepted":1,"duplicate":0,"rejected":0}"#,
        "{}",
        "ok",
        r#"{"accepted":18446744073709551615,"duplicate":4,"rejected":0}"#,
    ] {
        let fake = Fake::new(move |_: &Asked| (200, body.to_owned()));
        assert_eq!(setup(&fake.url, lines(0..3).as_bytes()).run().0.unwrap_err().exit, Exit::Failure, "{body}");
    }
}

#[test]
fn native_records_go_to_their_system_unchanged() {
    let (fake, _) = serving(never, never);
    let mut setup = setup(&fake.url, b"{\"type\":\"LOGIN\"}\n");
    setup.args.system = Some("keycloak".into());
    assert_eq!(setup.run().0, Ok(Exit::Ok));
    assert_eq!(fake.asked()[0].path, "/v1/t/acme/ingest/keycloak");
    assert_eq!(fake.asked()[0].text(), "{\"type\":\"LOGIN\"}\n");
}

#[test]
fn bodies_stay_below_the_limit() {
    let big: String = (0..9).map(|n| format!("{{\"n\":{n},\"x\":\"{}\"}}\n", "x".repeat(1_000_000))).collect();
    let (fake, _) = serving(never, never);
    assert_eq!(setup(&fake.url, big.as_bytes()).run().0, Ok(Exit::Ok));
    let sizes: BTreeSet<usize> = fake.asked().iter().map(|asked| asked.body.len()).collect();
    assert!(sizes.iter().all(|size| *size < BATCH_BYTES + 1_100_000), "{sizes:?}");
    assert!(fake.asked().len() >= 2);
}

#[test]
fn a_damaged_input_ends_the_run_with_what_was_read() {
    let (fake, _) = serving(never, never);
    let whole = zstd::encode_all(lines(0..200_000).as_bytes(), 1).unwrap();
    let (outcome, summary) = setup(&fake.url, &whole[..whole.len() * 2 / 3]).run();
    assert_eq!(outcome.unwrap_err().exit, Exit::Failure);
    assert!(counts(&summary).0 > 0);
}
