//! A large file goes in once, whoever is killed on the way: the client, the server, or both in turn.

use crate::server::{Server, eventually};
use serde_json::json;
use std::fmt::Write as _;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// Records of the file. `INDELIBLE_IMPORT` raises it, to ten million for the figure in the guide.
fn records() -> usize {
    std::env::var("INDELIBLE_IMPORT").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000)
}

/// Records in the tenant, and how many different ones.
fn stored(server: &Server) -> (u64, u64) {
    let sql = "SELECT count(*) AS n, count(DISTINCT message) AS d FROM records WHERE source = 'import'";
    let row = &server.admin.sql("acme", sql)[0];
    (row[0].as_u64().unwrap(), row[1].as_u64().unwrap())
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
fn client(server: &Server, front: &Front, file: &str, log: &str) -> Child {
    let mut command: Command = server.home.command();
    command.env("INDELIBLE_URL", &front.url).env("INDELIBLE_KEY", server.key());
    command.args(["ingest", file, "--tenant", "acme", "--json", "--in-flight", "1", "--resume", "progress.json"]);
    let open = |name: &str| std::fs::File::create(server.home.path().join(name)).unwrap();
    command.stdout(open(&format!("{log}.out"))).stderr(Stdio::from(open(&format!("{log}.err")))).spawn().unwrap()
}

#[test]
fn an_import_whose_client_and_server_are_killed_goes_on_and_doubles_nothing() {
    let count = records();
    // Without ids: those are made from the content and the place, or nothing could be known again.
    let mut text = String::new();
    for n in 0..count {
        let record = json!({ "time": "2026-11-20T10:00:00Z", "log": "event", "action": "login", "outcome": "success", "source": "import", "message": format!("number {n}") });
        writeln!(text, "{record}").unwrap();
    }
    let mut server = Server::start(&[("FLUSH_MIB", "4")]);
    let front = Front::of(&server);
    server.admin.put("/v1/t/acme", "{}");
    let file = server.home.path().join("import.ndjson");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap().to_owned();

    // The client is killed twice.
    for part in [1, 2] {
        let mut child = client(&server, &front, &file, "killed");
        let enough = (count * part / 8) as u64;
        let progress = server.home.path().join("progress.json");
        eventually("the client has sent a part, and noted it", || {
            size(&server) >= enough && progress.try_exists().unwrap()
        });
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // The server is killed under the third, which waits for it and goes on.
    let mut child = client(&server, &front, &file, "last");
    for part in [4, 6] {
        eventually("the server has a part", || size(&server) >= (count * part / 8) as u64);
        server = server.kill().start();
        front.point_at(&server);
    }
    let status = child.wait().unwrap();
    let log = |name: &str| std::fs::read_to_string(server.home.path().join(name)).unwrap();
    assert!(status.success(), "{}{}", log("last.out"), log("last.err"));
    assert!(log("last.err").contains("going on after"), "{}", log("last.err"));
    // Before the look with SQL, which is a record itself.
    assert_eq!(size(&server), count as u64);
    assert_eq!(stored(&server), (count as u64, count as u64));
    server.stop().verify().ok();
}
