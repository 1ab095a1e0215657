//! A large file goes in once, whoever is killed on the way: the client, the server, or both in turn.

use crate::server::{PATIENCE, Server};
use serde_json::json;
use std::io::{BufWriter, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Records that have one time, so that they can be counted apart: a statement has 256 MiB and 10 s.
const SLICE: usize = 100_000;

/// Records of the file. `INDELIBLE_IMPORT` raises it, to ten million for the figure in the guide.
fn records() -> usize {
    std::env::var("INDELIBLE_IMPORT").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000)
}

/// The time of the record with this number.
fn time(n: usize) -> String {
    format!("2026-11-20T10:{:02}:{:02}Z", n / SLICE / 60, n / SLICE % 60)
}

/// Records in the tenant, and how many different ones.
fn stored(server: &Server, count: usize) -> (u64, u64) {
    let mut all = (0, 0);
    for first in (0..count).step_by(SLICE) {
        let sql = format!(
            "SELECT count(*) AS n, count(DISTINCT message) AS d FROM records WHERE source = 'import' AND time >= '{0}' AND time <= '{0}'",
            time(first)
        );
        let row = &server.admin.sql("acme", &sql)[0];
        all = (all.0 + row[0].as_u64().unwrap(), all.1 + row[1].as_u64().unwrap());
    }
    all
}

/// Waits until the server has so many, as long as it goes on.
fn until(server: &Server, enough: usize, also: impl Fn() -> bool) {
    let (mut known, mut since) = (size(server), Instant::now());
    while known < enough as u64 || !also() {
        assert!(since.elapsed() < PATIENCE, "it does not go on after {known} records, of {enough}");
        std::thread::sleep(Duration::from_millis(10));
        let now = size(server);
        if now > known {
            (known, since) = (now, Instant::now());
        }
    }
}

fn size(server: &Server) -> u64 {
    server.admin.get("/v1/t/acme").ok()["records"].as_u64().unwrap()
}

/// An address that stays while servers come and go behind it, as a load balancer's does.
struct Front {
    url: String,
    behind: Arc<Mutex<String>>,
}

impl Front {
    fn of(server: &Server) -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let behind = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&behind);
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let Ok(near) = near else { return };
                // Nobody there: the client is hung up on, and comes again.
                let Ok(far) = TcpStream::connect(shared.lock().unwrap().as_str()) else { continue };
                for (mut from, mut to) in [
                    (near.try_clone().unwrap(), far.try_clone().unwrap()),
                    (far.try_clone().unwrap(), near.try_clone().unwrap()),
                ] {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        let front = Front { url, behind };
        front.point_at(server);
        front
    }

    fn point_at(&self, server: &Server) {
        *self.behind.lock().unwrap() = server.url().trim_start_matches("http://").to_owned();
    }
}

/// The client at work, with what it says kept in a file.
fn client(server: &Server, front: &Front, file: &str) -> Child {
    let mut command: Command = server.home.command();
    command.env("INDELIBLE_URL", &front.url).env("INDELIBLE_KEY", server.key());
    command.args(["ingest", file, "--tenant", "acme", "--json", "--in-flight", "1", "--resume", "progress.json"]);
    let open = |name: &str| std::fs::File::create(server.home.path().join(name)).unwrap();
    command.stdout(open("killed.out")).stderr(open("killed.err")).spawn().unwrap()
}

/// The same on a terminal, where it shows how far it is.
fn on_a_terminal(server: &Server, front: &Front, file: &str) -> Child {
    let plain = server.home.command();
    let program = plain.get_program().to_str().unwrap();
    let mut command = Command::new("script");
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(server.home.path()).env("INDELIBLE_URL", &front.url).env("INDELIBLE_KEY", server.key());
    let ingest = format!("exec {program} ingest {file} --tenant acme --in-flight 1 --resume progress.json");
    command.args(["--quiet", "--return", "--flush", "--command", &ingest, "/dev/null"]);
    let shown = std::fs::File::create(server.home.path().join("shown")).unwrap();
    command.stdin(Stdio::null()).stdout(shown).stderr(Stdio::inherit()).spawn().unwrap()
}

#[test]
fn an_import_whose_client_and_server_are_killed_goes_on_and_doubles_nothing() {
    let count = records();
    // As many segments for ten million as for a hundred thousand, about.
    let flush = (count / 25_000).clamp(4, 128).to_string();
    let mut server = Server::start(&[("FLUSH_MIB", &flush)]);
    let front = Front::of(&server);
    server.admin.put("/v1/t/acme", "{}");
    let file = server.home.path().join("import.ndjson");
    // Without ids: those are made from the content and the place, or nothing could be known again.
    let mut text = BufWriter::new(std::fs::File::create(&file).unwrap());
    for n in 0..count {
        let record = json!({ "time": time(n), "log": "event", "action": "login", "outcome": "success", "source": "import", "message": format!("number {n}") });
        writeln!(text, "{record}").unwrap();
    }
    text.flush().unwrap();
    drop(text);
    let file = file.to_str().unwrap().to_owned();

    // The client is killed twice.
    for part in [1, 2] {
        let mut child = client(&server, &front, &file);
        let progress = server.home.path().join("progress.json");
        until(&server, count * part / 8, || progress.try_exists().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // The server is killed under the third, which waits for it and goes on.
    let mut child = on_a_terminal(&server, &front, &file);
    for part in [4, 6] {
        until(&server, count * part / 8, || true);
        server = server.kill().start();
        front.point_at(&server);
    }
    let status = child.wait().unwrap();
    let shown = std::fs::read_to_string(server.home.path().join("shown")).unwrap();
    assert!(status.success(), "{shown}");
    assert!(shown.contains("going on after"), "{shown}");
    // The bar, drawn over and over: bytes of all bytes, records, how fast, how long still.
    let drawn =
        shown.split('\r').filter(|line| line.contains(" records, ") && line.contains("/s, ") && line.contains(" left"));
    assert!(drawn.count() > 3, "{shown}");
    // Before the looks with SQL, which are records themselves.
    assert_eq!(size(&server), count as u64);
    assert_eq!(stored(&server, count), (count as u64, count as u64));
    server.stop().verify().ok();
}

/// Two equal ones may be two acts, so their ids are made; of a request that is tried again they are the same.
#[test]
fn records_of_a_system_without_ids_are_in_once_however_often_a_file_is_sent() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    let event = |n: usize| json!({ "time": 1_795_176_000_000_u64 + n as u64 / 2, "type": "LOGIN", "realmId": "shop" });
    let file: String = (0..2500).map(|n| format!("{}\n", event(n))).collect();
    std::fs::write(server.home.path().join("events.ndjson"), file).unwrap();
    let args = ["ingest", "events.ndjson", "--tenant", "acme", "--system", "keycloak", "--json", "--no-resume"];
    for (accepted, duplicate) in [(2500, 0), (0, 2500)] {
        let done: serde_json::Value = serde_json::from_str(&server.cli(&args).ok()).unwrap();
        assert_eq!((&done["accepted"], &done["duplicate"]), (&json!(accepted), &json!(duplicate)), "{done}");
    }
    assert_eq!(size(&server), 2500, "equal ones of one file are two");
    let send = |key: &str| {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        let body = json!([event(1), event(1)]).to_string();
        server.admin.post_with("/v1/t/acme/ingest/keycloak", &headers, body).ok()
    };
    for (key, accepted) in [("one", 2), ("one", 0), ("two", 2), ("", 2), ("", 2)] {
        assert_eq!(send(key)["accepted"], accepted, "{key}");
    }
}
