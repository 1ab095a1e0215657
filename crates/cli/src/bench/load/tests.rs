use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use super::super::{
    generate::{END, SEED},
    http::Target,
};
use super::*;

/// A server that counts the lines it gets, refuses every `refuse`-th request, and closes connections when it likes.
#[derive(Default)]
struct Fake {
    ids: Mutex<HashSet<String>>,
    requests: AtomicU64,
    tenants: Mutex<HashSet<String>>,
    refuse: u64,
    reject: bool,
}

fn start(fake: Arc<Fake>) -> Side {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let fake = Arc::clone(&fake);
            thread::spawn(move || serve(&fake, stream.unwrap()));
        }
    });
    Side::Indelible(Target { address, key: "secret".into() }, "bench".into())
}

fn serve(fake: &Fake, stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let (mut length, mut let_in, mut line) = (0, false, String::new());
        reader.read_line(&mut line).ok().filter(|&read| read > 0)?;
        fake.tenants.lock().unwrap().insert(line.split(' ').nth(1)?.to_owned());
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).ok()?;
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().ok()?;
            }
            let_in |= line == "Authorization: Bearer secret\r\n";
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let request = fake.requests.fetch_add(1, Relaxed) + 1;
        if !let_in || fake.refuse > 0 && request.is_multiple_of(fake.refuse) {
            let status = if let_in { "503 Service Unavailable\r\nRetry-After: 0" } else { "401 Unauthorized" };
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nbusy").ok()?;
            continue;
        }
        let (mut accepted, mut duplicate) = (0, 0);
        for line in String::from_utf8(body).ok()?.lines() {
            let record: Value = serde_json::from_str(line).ok()?;
            let new = fake.ids.lock().unwrap().insert(record["id"].as_str()?.to_owned());
            accepted += u64::from(new);
            duplicate += u64::from(!new);
        }
        let rejected = u64::from(fake.reject);
        let answer = json!({"accepted": accepted - rejected, "duplicate": duplicate, "rejected": rejected,
            "results": [{"line": 1, "code": "bad_time", "detail": "too far ahead"}]})
        .to_string();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).ok()?;
    }
}

fn args(batch: u64, tenants: u64, hold: u64) -> IngestArgs {
    IngestArgs { batch, connections: 4, tenants, hold, patience: 5 }
}

#[test]
fn every_record_is_sent_once_made_before_or_during() {
    for hold in [0, 1_500, 1_000_000] {
        let fake = Arc::new(Fake::default());
        let side = start(Arc::clone(&fake));
        let line = ingest(&side, &Generator::new(SEED, END, 2_950), 2_950, &args(100, 1, hold)).unwrap();
        assert_eq!((line["accepted"].as_u64(), line["duplicate"].as_u64()), (Some(2_950), Some(0)), "hold {hold}");
        assert_eq!(fake.ids.lock().unwrap().len(), 2_950);
        assert_eq!(fake.requests.load(Relaxed), 30);
        assert_eq!(line["tenths_per_s"].as_array().unwrap().len(), 10);
        assert!(line["p99_ms"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn a_refusal_is_waited_for_and_tried_again() {
    let fake = Arc::new(Fake { refuse: 3, ..Fake::default() });
    let side = start(Arc::clone(&fake));
    let line = ingest(&side, &Generator::new(SEED, END, 2_000), 2_000, &args(100, 1, 2_000)).unwrap();
    assert_eq!(line["accepted"], 2_000);
    assert!(line["retries"].as_u64().unwrap() >= 6, "{}", line["retries"]);
    assert!(line["waited_s"].as_f64().unwrap() > 0.0);
}

#[test]
fn batches_go_round_the_tenants() {
    let fake = Arc::new(Fake::default());
    let side = start(Arc::clone(&fake));
    ingest(&side, &Generator::new(SEED, END, 100), 100, &args(10, 3, 100)).unwrap();
    let expected = ["/v1/t/bench-0/records", "/v1/t/bench-1/records", "/v1/t/bench-2/records"];
    assert_eq!(*fake.tenants.lock().unwrap(), expected.map(str::to_owned).into());
}

#[test]
fn a_record_that_is_not_taken_ends_the_run() {
    let side = start(Arc::new(Fake { reject: true, ..Fake::default() }));
    let generator = Generator::new(SEED, END, 2_000);
    let error = ingest(&side, &generator, 2_000, &args(100, 1, 2_000)).unwrap_err().to_string();
    assert!(error.contains("not all were taken") && error.contains("too far ahead"), "{error}");
    let Side::Indelible(target, tenant) = start(Arc::new(Fake::default())) else { return };
    let stranger = Side::Indelible(Target { key: String::new(), ..target }, tenant);
    let error = ingest(&stranger, &generator, 2_000, &args(100, 1, 2_000)).unwrap_err().to_string();
    assert!(error.contains("401"), "{error}");
}

#[test]
fn single_records_keep_their_rate_and_latency_counts_from_when_they_were_due() {
    let fake = Arc::new(Fake::default());
    let side = start(Arc::clone(&fake));
    let args = SingleArgs { rate: 200, seconds: 1, warm_up: 0, connections: 4, first: 0 };
    let line = single(&side, Generator::new(SEED, END, 2_000).live(), &args).unwrap();
    assert_eq!((line["counted"].as_u64(), line["accepted"].as_u64()), (Some(200), Some(200)));
    assert!(line["achieved_per_s"].as_f64().unwrap() < 260.0, "{}", line["achieved_per_s"]);
    assert!(line["p50_ms"].as_f64() >= line["service"]["p50_ms"].as_f64());
    assert!(fake.ids.lock().unwrap().len() == 200);
}
