//! Slow, silent, half-closed and too many connections: each is ended or refused in a known time, holds a known
//! amount of memory, and keeps nobody else waiting.

use crate::http::Client;
use crate::server::{Home, Server, at, eventually};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const RECORDS: &str = "/v1/t/acme/records";

/// A connection that is written to by hand.
struct Raw(TcpStream);

impl Raw {
    fn open(server: &Server) -> Raw {
        let stream = TcpStream::connect(server.url().strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Raw(stream)
    }

    /// From an address of loopback of one's own.
    fn open_from(address: &str, server: &Server) -> Raw {
        let to: SocketAddr = server.url().strip_prefix("http://").unwrap().parse().unwrap();
        let from = SocketAddr::new(address.parse().unwrap(), 0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let connected = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(from).unwrap();
            socket.connect(to).await.unwrap().into_std().unwrap()
        });
        connected.set_nonblocking(false).unwrap();
        connected.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Raw(connected)
    }

    fn send(&mut self, text: &str) -> &mut Raw {
        self.0.write_all(text.as_bytes()).unwrap();
        self
    }

    /// The header of a request with the administrator's key.
    fn header(&mut self, server: &Server, line: &str, more: &str) -> &mut Raw {
        let key = server.key();
        self.send(&format!("{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{more}\r\n"))
    }

    /// Everything until the server closes the connection.
    fn rest(&mut self) -> String {
        let mut out = Vec::new();
        match self.0.read_to_end(&mut out) {
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(e) => panic!("the connection is still open: {e}; so far: {}", String::from_utf8_lossy(&out)),
        }
        String::from_utf8_lossy(&out).into_owned()
    }
}

fn impatient() -> Server {
    Server::start(&[("CLIENT_SECONDS", "2"), ("SCRUB_SHARE", "0")])
}

fn good(id: &str) -> serde_json::Value {
    json!({ "id": id, "log": "event", "time": at(-5), "action": "login" })
}

#[test]
fn a_client_that_sends_its_header_byte_by_byte_is_cut_off_and_others_are_served_meanwhile() {
    let server = impatient();
    let mut slow: Vec<Raw> = (0..50).map(|_| Raw::open(&server)).collect();
    let started = Instant::now();
    let text = "GET /health/live HTTP/1.1\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let mut open = slow.len();
    for byte in text.bytes() {
        open = slow.iter_mut().filter_map(|c| c.0.write_all(&[byte]).ok()).count();
        server.admin.write("acme", &[good(&format!("s-{byte}-{}", started.elapsed().as_micros()))]);
        if open == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(150));
    }
    let took = started.elapsed();
    assert_eq!(open, 0, "all of them are closed");
    // Its last byte would have come after eleven seconds.
    assert!(took.as_secs_f64() > 1.5, "after {took:?}");
    eventually("they are gone", || server.metric("indelible_connections") < 10.0);
}

#[test]
fn a_body_that_does_not_arrive_in_time_is_refused_and_nothing_of_it_is_stored() {
    let server = impatient();
    let mut raw = Raw::open(&server);
    raw.header(&server, &format!("POST {RECORDS}"), "Content-Length: 5000\r\n");
    let started = Instant::now();
    for byte in good("slow").to_string().bytes() {
        if raw.0.write_all(&[byte]).is_err() || started.elapsed() > Duration::from_secs(6) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let said = raw.rest();
    assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("body_timeout"), "{said}");
    assert!(said.contains("nothing was stored"), "{said}");
    server.admin.write("acme", &[good("other")]);
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], 1);
    assert_eq!(server.metric("indelible_request_bytes"), 0.0);
}

/// An exporter throws away what got any other answer than one that says when to come back.
#[test]
fn a_body_of_an_exporter_that_does_not_arrive_is_told_to_come_later() {
    let server = impatient();
    server.admin.put("/v1/t/acme", "{}");
    let mut raw = Raw::open(&server);
    let more = "Content-Length: 5000\r\nContent-Type: application/json\r\n";
    raw.header(&server, "POST /v1/t/acme/otlp/v1/logs", more).send("{\"re");
    let said = raw.rest();
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("retry-after: 1"), "{said}");
    assert!(said.contains("content-type: application/json") && said.contains("\"code\":14"), "{said}");
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_cut_off_and_its_memory_let_go() {
    let server = impatient();
    let text = "m".repeat((1 << 20) - 500);
    for i in 0..30 {
        server.admin.write("acme", &[json!({ "id": format!("{i}"), "log": "event", "action": "x", "message": text })]);
    }
    let mut raw = Raw::open(&server);
    raw.header(&server, &format!("GET {RECORDS}?limit=100"), "");
    eventually("the answer waits", || server.metric("indelible_answer_bytes") > 20e6);
    let started = Instant::now();
    eventually("it is let go", || server.metric("indelible_answer_bytes") == 0.0);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let mut taken = Vec::new();
    let _ = raw.0.read_to_end(&mut taken);
    assert!(taken.len() < 30 << 20, "it did not get all of it");
    // Who reads gets it all.
    assert_eq!(server.admin.page("acme", "records", &[("limit", "100")])["items"].as_array().unwrap().len(), 30);
}

#[test]
fn a_half_closed_connection_gets_its_answer_and_half_a_request_none() {
    let server = impatient();
    server.admin.write("acme", &[good("one")]);
    let mut raw = Raw::open(&server);
    raw.header(&server, &format!("GET {RECORDS}/one"), "");
    raw.0.shutdown(Shutdown::Write).unwrap();
    let said = raw.rest();
    assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("\"one\""), "{said}");

    let body = good("two").to_string();
    let mut raw = Raw::open(&server);
    raw.header(&server, &format!("POST {RECORDS}"), &format!("Content-Length: {}\r\n", body.len())).send(&body);
    raw.0.shutdown(Shutdown::Write).unwrap();
    let said = raw.rest();
    assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("\"accepted\":1"), "{said}");

    // A body that ends early, and a header that does.
    let mut raw = Raw::open(&server);
    raw.header(&server, &format!("POST {RECORDS}"), &format!("Content-Length: {}\r\n", 2 * body.len()))
        .send(&good("three").to_string());
    raw.0.shutdown(Shutdown::Write).unwrap();
    let said = raw.rest();
    assert!(said.is_empty() || said.contains("incomplete_body"), "{said}");
    let mut raw = Raw::open(&server);
    raw.send("GET /health/live HTTP/1.1\r\nHos");
    raw.0.shutdown(Shutdown::Write).unwrap();
    let said = raw.rest();
    assert!(!said.contains("200 OK"), "{said}");
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], 2);
}

#[test]
fn an_idle_connection_is_closed_after_a_while_and_one_that_asks_is_kept() {
    let server = impatient();
    let mut idle = Raw::open(&server);
    let mut used = Raw::open(&server);
    let started = Instant::now();
    for _ in 0..5 {
        used.send("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut answer = [0; 15];
        used.0.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        std::thread::sleep(Duration::from_millis(800));
        // The rest of the answer.
        used.0.set_nonblocking(true).unwrap();
        let _ = used.0.read(&mut [0; 4096]);
        used.0.set_nonblocking(false).unwrap();
    }
    assert_eq!(idle.rest(), "", "nothing was asked, nothing is said");
    assert!(started.elapsed() >= Duration::from_secs(2));
    assert!(used.rest().is_empty(), "in the end it is idle too");
}

#[test]
fn without_a_key_no_long_body_is_read_and_who_sends_one_gets_to_its_answer() {
    let server = Server::start(&[("CLIENT_SECONDS", "60"), ("SCRUB_SHARE", "0")]);
    let ask = |more: &str| format!("POST {RECORDS} HTTP/1.1\r\nHost: x\r\n{more}\r\n");
    let refused = |said: &str| {
        assert!(said.starts_with("HTTP/1.1 401 ") && said.ends_with('}'), "{said}");
        assert!(said.to_lowercase().contains("connection: close"), "{said}");
    };
    let mut raw = Raw::open(&server);
    let started = Instant::now();
    refused(&raw.send(&ask("Content-Length: 16000000\r\n")).rest());
    assert!(started.elapsed() < Duration::from_secs(15), "at once: {:?}", started.elapsed());
    // Nor is one asked for.
    refused(&Raw::open(&server).send(&ask("Content-Length: 10\r\nExpect: 100-continue\r\n")).rest());
    // A client that sends all of it before it looks.
    for _ in 0..5 {
        let mut raw = Raw::open(&server);
        raw.send(&ask("Content-Length: 16000000\r\n"));
        for _ in 0..16 {
            raw.0.write_all(&[b' '; 1_000_000]).unwrap();
        }
        refused(&raw.rest());
    }
}

#[test]
fn without_a_key_a_short_body_that_comes_behind_its_header_does_not_end_the_connection() {
    let server = impatient();
    let mut raw = Raw::open(&server);
    for _ in 0..5 {
        raw.send(&format!("POST {RECORDS} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"));
        std::thread::sleep(Duration::from_millis(50));
        raw.send("0123456789");
    }
    let said = raw.send("GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").rest();
    assert_eq!((said.matches("HTTP/1.1 401 ").count(), said.matches("HTTP/1.1 200 ").count()), (5, 1), "{said}");
    // One that never comes keeps nobody waiting.
    let started = Instant::now();
    let mut raw = Raw::open(&server);
    let said = raw.send(&format!("POST {RECORDS} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")).rest();
    assert!(said.starts_with("HTTP/1.1 401 "), "{said}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

/// Bodies of 16 MiB of which half came, as many as room for all of them takes.
fn halves(server: &Server, key: &Client, tenant: &str, many: usize) -> Vec<Raw> {
    let half = vec![b' '; 8 << 20];
    let mut held: Vec<Raw> = (0..many).map(|_| Raw::open(server)).collect();
    for raw in &mut held {
        let key = key.key();
        raw.send(&format!(
            "POST /v1/t/{tenant}/records HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {}\r\n\r\n",
            2 * half.len()
        ));
        raw.0.write_all(&half).unwrap();
    }
    held
}

const MIB: f64 = 1_048_576.0;

#[test]
fn bodies_in_memory_have_a_budget_and_more_are_told_to_come_back() {
    let server = Server::start(&[("SCRUB_SHARE", "0")]);
    let mut held = Vec::new();
    for tenant in ["acme", "globex"] {
        server.admin.put(&format!("/v1/t/{tenant}"), "{}");
        for _ in 0..2 {
            held.extend(halves(&server, &server.tenant_key(tenant, &["write"]), tenant, 4));
        }
    }
    eventually("all the room is taken", || server.metric("indelible_request_bytes") == 256.0 * MIB);
    let reply = server.admin.post(RECORDS, good("one").to_string());
    reply.problem(503, "busy");
    assert_eq!(reply.header("retry-after"), "1");
    // Reading goes on.
    assert_eq!(server.admin.get("/health/ready").status, 200);
    assert_eq!(server.admin.get("/v1/t").status, 200);
    drop(held.pop());
    eventually("there is room again", || server.admin.post(RECORDS, good("one").to_string()).status == 200);
    drop(held);
    eventually("all of it", || server.metric("indelible_request_bytes") == 0.0);
}

#[test]
fn slow_bodies_of_one_key_or_one_tenant_leave_room_to_the_others() {
    let server = Server::start(&[("SCRUB_SHARE", "0")]);
    for tenant in ["acme", "globex"] {
        server.admin.put(&format!("/v1/t/{tenant}"), "{}");
    }
    let keys: Vec<Client> = (0..3).map(|_| server.tenant_key("acme", &["write"])).collect();
    let first = halves(&server, &keys[0], "acme", 4);
    eventually("one key has its part", || server.metric("indelible_request_bytes") == 64.0 * MIB);
    keys[0].post(RECORDS, good("one").to_string()).problem(503, "busy");
    assert_eq!(keys[1].post(RECORDS, good("two").to_string()).status, 200, "of the same tenant");
    let second = halves(&server, &keys[1], "acme", 4);
    eventually("one tenant has its part", || server.metric("indelible_request_bytes") == 128.0 * MIB);
    keys[2].post(RECORDS, good("three").to_string()).problem(503, "busy");
    let other = server.tenant_key("globex", &["write"]);
    assert_eq!(other.post("/v1/t/globex/records", good("four").to_string()).status, 200);
    assert_eq!(server.admin.post(RECORDS, good("five").to_string()).status, 200);
    drop((first, second));
    eventually("it is let go", || keys[0].post(RECORDS, good("one").to_string()).status == 200);
}

#[test]
fn a_large_body_that_stops_coming_is_let_go_long_before_a_small_one() {
    let server = Server::start(&[("SCRUB_SHARE", "0"), ("CLIENT_SECONDS", "600")]);
    let mut small = Raw::open(&server);
    small.header(&server, &format!("POST {RECORDS}"), "Content-Length: 5000\r\n").send("{");
    let mut large = Raw::open(&server);
    large.header(&server, &format!("POST {RECORDS}"), "Content-Length: 16000000\r\n").send("{");
    eventually("both are held", || server.metric("indelible_request_bytes") > 16e6);
    eventually("the large one is let go", || (1.0..6000.0).contains(&server.metric("indelible_request_bytes")));
    let said = large.rest();
    assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("too slowly"), "{said}");
}

#[test]
fn a_body_without_a_length_is_counted_as_it_grows_and_limited_all_the_same() {
    let server = impatient();
    let chunked = |raw: &mut Raw, text: &str| {
        raw.header(&server, &format!("POST {RECORDS}"), "Transfer-Encoding: chunked\r\nConnection: close\r\n");
        for part in text.as_bytes().chunks(60_000) {
            let sent = raw.0.write_all(format!("{:x}\r\n", part.len()).as_bytes()).is_ok()
                && raw.0.write_all(part).is_ok()
                && raw.0.write_all(b"\r\n").is_ok();
            if !sent {
                return;
            }
        }
        let _ = raw.0.write_all(b"0\r\n\r\n");
    };
    let mut raw = Raw::open(&server);
    chunked(&mut raw, &format!("{}{}", good("one"), " ".repeat(3 << 20)));
    let said = raw.rest();
    assert!(said.contains("\"accepted\":1"), "{said}");
    let mut raw = Raw::open(&server);
    chunked(&mut raw, &format!("{}{}", good("two"), " ".repeat(17 << 20)));
    let said = raw.rest();
    assert!(said.starts_with("HTTP/1.1 413 ") && said.contains("limit of 16 MiB (16777216 bytes)"), "{said}");
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], 1);
    eventually("all of it is let go", || server.metric("indelible_request_bytes") == 0.0);
}

#[test]
fn connections_beyond_the_limit_are_told_so_and_the_others_are_served() {
    let server = Server::start(&[("MAX_CONNECTIONS", "16"), ("SCRUB_SHARE", "0")]);
    let before = server.metric("indelible_connections") as usize;
    let mut idle: Vec<Raw> = (0..16 - before).map(|_| Raw::open(&server)).collect();
    eventually("all places are taken", || server.metric("indelible_connections") == 16.0);
    for _ in 0..5 {
        let said = Raw::open(&server).send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").rest();
        assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("too_many_connections"), "{said}");
        assert!(said.contains("Retry-After: 1") && said.contains("Connection: close"), "{said}");
        let (header, body) = said.split_once("\r\n\r\n").unwrap();
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        let id = problem["request_id"].as_str().unwrap();
        assert!(id.len() > 10 && header.contains(&format!("X-Request-Id: {id}")), "{said}");
    }
    assert!(server.metric("indelible_connections_refused_total") >= 5.0);
    server.admin.write("acme", &[good("one")]);
    drop(idle.pop());
    eventually("a place is free", || {
        let mut raw = Raw::open(&server);
        raw.send("GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").rest().starts_with("HTTP/1.1 200")
    });
}

#[test]
fn one_address_does_not_get_all_connections() {
    let server = Server::start(&[("MAX_CONNECTIONS", "16"), ("CONNECTIONS_PER_ADDRESS", "12"), ("SCRUB_SHARE", "0")]);
    let ask = "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut idle: Vec<Raw> = (0..12).map(|_| Raw::open_from("127.0.0.2", &server)).collect();
    // Accepted one after another: this one is behind them.
    let said = Raw::open_from("127.0.0.2", &server).send(ask).rest();
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("too_many_connections"), "{said}");
    assert!(server.metric("indelible_connections_refused_total") >= 1.0);
    server.admin.write("acme", &[good("one")]);
    let said = Raw::open_from("127.0.0.3", &server).send(ask).rest();
    assert!(said.starts_with("HTTP/1.1 200"), "others are served: {said}");
    drop(idle.pop());
    eventually("its place is its own again", || {
        Raw::open_from("127.0.0.2", &server).send(ask).rest().starts_with("HTTP/1.1 200")
    });
}

/// Resident memory of the server, MiB.
fn resident(server: &Server) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

#[test]
fn ten_thousand_idle_connections_are_held_while_writes_and_reads_go_on() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    assert!(limit.maximum.is_none_or(|n| n >= 13_000), "this test opens 10,000 connections: raise `ulimit -Hn`");
    let server = Server::start(&[("SCRUB_SHARE", "0"), ("CLIENT_SECONDS", "120")]);
    server.admin.write("acme", &[good("first")]);
    let before = resident(&server);
    let started = Instant::now();
    let mut idle: Vec<Raw> = (0..10_000).map(|_| Raw::open(&server)).collect();
    eventually("all are accepted", || server.metric("indelible_connections") >= 10_000.0);
    let opened = started.elapsed();
    // Half of them have asked something before, as connections that are kept alive have.
    for raw in idle.iter_mut().step_by(2) {
        raw.send("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for raw in idle.iter_mut().step_by(2) {
        let mut answer = [0; 15];
        raw.0.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }
    let mut slowest = Duration::ZERO;
    for i in 0..200 {
        let started = Instant::now();
        server.admin.write("acme", &[good(&format!("w-{i}"))]);
        assert_eq!(server.admin.get(&format!("{RECORDS}/w-{i}")).status, 200);
        slowest = slowest.max(started.elapsed());
    }
    let after = resident(&server);
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], 201);
    assert!(slowest < Duration::from_secs(15), "the slowest write and read took {slowest:?}");
    let each = (after - before) * 1024.0 / 10_000.0;
    eprintln!(
        "10,000 connections opened in {opened:?}; memory {before:.0} MiB before, {after:.0} MiB with them: {each:.1} KiB each; slowest of 200 writes with a read {slowest:?}"
    );
    assert!(each < 64.0, "a connection holds {each:.1} KiB");
    drop(idle);
    eventually("they are gone", || server.metric("indelible_connections") < 10.0);
}

#[test]
fn stopping_does_not_wait_for_idle_or_slow_clients() {
    let home: Home = {
        let server = Server::start(&[("SCRUB_SHARE", "0")]);
        server.admin.write("acme", &[good("one")]);
        let idle: Vec<Raw> = (0..100).map(|_| Raw::open(&server)).collect();
        let mut slow = Raw::open(&server);
        slow.send("GET / HTTP/1.1\r\nHo");
        let started = Instant::now();
        let home = server.stop();
        assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
        drop((idle, slow));
        home
    };
    home.verify().ok();
}

#[test]
fn a_second_signal_ends_a_server_that_still_waits_for_a_client() {
    let server = Server::start(&[("SCRUB_SHARE", "0"), ("CLIENT_SECONDS", "600")]);
    server.admin.write("acme", &[good("one")]);
    let mut slow = Raw::open(&server);
    slow.header(&server, &format!("POST {RECORDS}"), "Content-Length: 5000\r\n").send("{");
    eventually("it is under way", || server.metric("indelible_request_bytes") > 0.0);
    server.terminate();
    eventually("it is stopping", || server.home.logs().contains("stopping: open requests are finished first"));
    server.terminate();
    let (code, home) = server.ended();
    assert_eq!(code, Some(130));
    assert!(home.logs().contains("a second signal"), "{}", home.logs());
    let server = home.start();
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], 1);
}

/// A search that takes many seconds: each of its tests reads the attributes of every record anew.
fn long_search(server: &Server, many: usize) -> String {
    let records: Vec<serde_json::Value> = (0..many)
        .map(|i| {
            json!({ "id": format!("r-{i}"), "log": "event", "time": at(-5), "action": "login",
            "attributes": { "k": format!("{i} {}", "a".repeat(300)) } })
        })
        .collect();
    records.chunks(5_000).for_each(|some| drop(server.admin.write("acme", some)));
    let tests: Vec<String> = (0..600).map(|i| format!("attributes.k:*a*b{i}*")).collect();
    format!("{RECORDS}?q={}", tests.join("%20OR%20"))
}

#[test]
fn a_search_that_takes_too_long_ends_and_says_what_to_do() {
    let server = Server::start(&[("QUERY_SECONDS", "1"), ("SCRUB_SHARE", "0"), ("FLUSH_SECONDS", "0")]);
    let search = long_search(&server, 5_000);
    for _ in 0..2 {
        let problem = server.admin.get(&search).problem(503, "query_timeout");
        let said = problem["detail"].as_str().unwrap();
        assert!(said.contains("longer than 1 s") && said.contains("`from` and `to`"), "{said}");
        // In a segment as in memory.
        server.flushed();
    }
    let q = search.split_once("?q=").unwrap().1.replace("%20", " ");
    let count = json!({ "view": "records", "q": q, "count": true });
    server.admin.post("/v1/t/acme/query", count.to_string()).problem(503, "query_timeout");
    assert_eq!(server.admin.page("acme", "records", &[("limit", "1")])["items"].as_array().unwrap().len(), 1);
}

#[test]
fn searches_whose_clients_left_make_room_for_others() {
    let server = Server::start(&[("QUERY_SECONDS", "3600"), ("SCRUB_SHARE", "0")]);
    let search = long_search(&server, 20_000);
    // As many as are answered at a time.
    let mut left: Vec<Raw> = (0..16).map(|_| Raw::open(&server)).collect();
    for raw in &mut left {
        raw.header(&server, &format!("GET {search}"), "");
    }
    std::thread::sleep(Duration::from_millis(500));
    drop(left);
    eventually("others are answered", || server.admin.get(&format!("{RECORDS}?limit=1")).status == 200);
    // One that only said that it has nothing more to say is answered all the same.
    let mut raw = Raw::open(&server);
    raw.header(&server, &format!("GET {RECORDS}?limit=1"), "");
    raw.0.shutdown(Shutdown::Write).unwrap();
    assert!(raw.rest().starts_with("HTTP/1.1 200 "));
}

#[test]
fn slow_searches_of_one_key_or_tenant_leave_turns_to_the_others() {
    let server = Server::start(&[("QUERY_SECONDS", "3600"), ("SCRUB_SHARE", "0")]);
    let search = long_search(&server, 40_000);
    let asked = |key: &Client| {
        let line = format!("GET {search} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", key.key());
        let mut raws: Vec<Raw> = (0..16).map(|_| Raw::open(&server)).collect();
        raws.iter_mut().for_each(|raw| drop(raw.0.write_all(line.as_bytes())));
        std::thread::sleep(Duration::from_millis(500));
        raws
    };
    let keys: Vec<Client> = (0..2).map(|_| server.tenant_key("acme", &["read"])).collect();
    let one = format!("{RECORDS}?limit=1");
    let held = asked(&keys[0]);
    keys[0].get(&one).problem(503, "busy");
    assert_eq!(keys[1].get(&one).status, 200);
    let more = asked(&keys[1]);
    keys[1].get(&one).problem(503, "busy");
    assert_eq!(server.admin.get(&one).status, 200, "of an administrator, who is of no tenant");
    drop((held, more));
}
