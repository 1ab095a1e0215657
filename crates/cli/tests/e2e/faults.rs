//! Faults of the machine under the real binary: a disk that is full, a record of 1 MiB among small ones, ten
//! thousand tenants. (Killed and stopped processes: `crash`. Copies, damage and a second process: `folder`.)

use crate::http::{Client, Reply};
use crate::server::{Home, PATIENCE, Server, at, eventually};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn records(tenant: &str, from: usize, count: usize) -> Vec<Value> {
    let record = |i| {
        json!({ "id": format!("{tenant}-{i:06}"), "log": "event", "action": "login", "time": at(-5),
            "email": format!("u{}@example.org", i % 50), "attributes": { "n": i, "text": "x".repeat(200 + i * 7 % 300) } })
    };
    (from..from + count).map(record).collect()
}

fn post(client: &Client, tenant: &str, records: &[Value]) -> Reply {
    let body: Vec<String> = records.iter().map(Value::to_string).collect();
    client.post(&format!("/v1/t/{tenant}/records"), body.join("\n"))
}

fn size(client: &Client, tenant: &str) -> u64 {
    client.get(&format!("/v1/t/{tenant}")).ok()["records"].as_u64().unwrap()
}

/// A file system of 16 MiB under a data folder, most of it taken by something else.
struct Small {
    data: PathBuf,
    ballast: PathBuf,
}

impl Small {
    /// Mounts it; `None` where this process may not, as in most containers and for ordinary users.
    fn mount(home: &Home) -> Option<Small> {
        let data = home.data();
        std::fs::create_dir(&data).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(&data).output();
        if !mount.is_ok_and(|out| out.status.success()) {
            return None;
        }
        let ballast = data.join("ballast");
        std::fs::write(&ballast, vec![1; 10 << 20]).unwrap();
        Some(Small { data, ballast })
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.data).status();
    }
}

/// Writes until the server says that it cannot. How many records it answered for.
fn until_full(server: &Server, mut sent: usize) -> usize {
    let until = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < until, "{sent} records and the disk is still not full");
        let reply = post(&server.admin, "acme", &records("acme", sent, 100));
        if reply.status != 200 {
            let problem = reply.problem(503, "busy");
            assert!(problem["detail"].as_str().unwrap().contains("disk"), "{problem}");
            assert_eq!(reply.header("retry-after"), "5");
            return sent;
        }
        sent += 100;
    }
}

/// Who looks whether the server takes records is told that it does not, and which part is to blame.
fn not_ready(server: &Server) {
    let ready = server.admin.anonymous().get("/health/ready");
    assert_eq!((ready.status, ready.json()), (503, json!({ "status": "failing", "failing": ["disk"] })));
    assert_eq!(server.admin.anonymous().get("/health/live").status, 200);
}

/// The room that a full disk leaves is on the disk itself, or, where no file system may be mounted, in the limit on a
/// file's length that this process sets: to the program both are a write that is refused.
#[test]
fn i1_a_full_disk_refuses_writes_loses_nothing_and_goes_on_when_there_is_room() {
    let home = Home::new(&[("FLUSH_SECONDS", "3600"), ("CHECKPOINT_MS", "100")]);
    let small = Small::mount(&home);
    let home = if small.is_some() { home } else { home.limited_to_files_of(3 << 20) };
    println!("{}", if small.is_some() { "16 MiB file system" } else { "files of at most 3 MiB" });
    let server = home.start();
    let sent = until_full(&server, 0);
    assert!(sent > 1_000, "only {sent} records fitted: the test proves little");
    // What was answered is there; reading and proving go on; and it stays refused as long as the disk is full.
    assert_eq!(size(&server.admin, "acme"), sent as u64);
    let last = format!("/v1/t/acme/records/acme-{:06}", sent - 1);
    assert_eq!(server.admin.get(&last).ok()["attributes"]["n"], sent - 1);
    assert_eq!(until_full(&server, sent), sent);
    not_ready(&server);
    // A crash on the full disk: the start needs no room to give everything back.
    let home = server.kill();
    let server = match &small {
        Some(small) => {
            std::fs::remove_file(&small.ballast).unwrap();
            home.start()
        }
        None => home.unlimited().start(),
    };
    assert_eq!(size(&server.admin, "acme"), sent as u64);
    server.admin.write("acme", &records("acme", sent, 500));
    let server = match small.is_some() {
        // Filled again, and room made while it runs: no restart is needed.
        true => {
            server.admin.write("beta", &records("beta", 0, 1));
            let filler = small.as_ref().unwrap().data.join("filler");
            let sent = sent + 500;
            std::fs::write(&filler, vec![1; 4 << 20]).unwrap();
            let more = until_full(&server, sent);
            not_ready(&server);
            std::fs::write(small.as_ref().unwrap().data.join("last"), vec![1; 16 << 20]).unwrap_err();
            // A small record may still fit into what the journal's last page has left.
            let sql = json!({ "sql": format!("select 1 -- {}", "x".repeat(1500)) }).to_string();
            let refused = (0..50).map(|_| server.admin.post("/v1/t/beta/sql", &sql)).find(|reply| reply.status != 200);
            for problem in [
                refused.expect("the disk is full"),
                server.admin.put("/v1/t/other", &json!({ "text": "x".repeat(100_000) }).to_string()),
                server
                    .admin
                    .post("/v1/t/acme/keys", json!({ "name": "n".repeat(100), "scopes": ["read"] }).to_string()),
            ] {
                let said = problem.problem(503, "busy")["detail"].as_str().unwrap().to_owned();
                assert!(said.contains("disk is full") && !said.contains("batch"), "{said}");
                assert_eq!(problem.header("retry-after"), "5");
            }
            std::fs::remove_file(small.as_ref().unwrap().data.join("last")).unwrap();
            std::fs::remove_file(&filler).unwrap();
            eventually("it is ready before anybody writes", || server.admin.get("/health/ready").status == 200);
            eventually("it goes on", || post(&server.admin, "acme", &records("acme", more, 100)).status == 200);
            assert_eq!(size(&server.admin, "acme"), more as u64 + 100);
            server
        }
        false => server,
    };
    let home = server.stop();
    let said = home.logs().lines().filter(|line| line.contains("frames could not be written")).count();
    assert!((1..20).contains(&said), "{said} lines of refused frames");
    home.verify().ok();
    drop(small);
}

#[test]
fn i9_a_record_of_1_mib_among_small_ones_holds_nobody_up() {
    let server = Server::start(&[("FLUSH_SECONDS", "0"), ("CHECKPOINT_MS", "100")]);
    let large = json!({ "id": "large", "log": "event", "action": "login", "time": at(-5), "message": "m".repeat((1 << 20) - 500) });
    let over =
        json!({ "id": "over", "log": "event", "action": "login", "time": at(-5), "message": "m".repeat(1 << 20) });
    let mut batch = records("acme", 0, 500);
    batch.insert(250, large.clone());
    batch.insert(100, over);
    let answer = post(&server.admin, "acme", &batch).ok();
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(501), &json!(1)), "{answer}");
    for n in 1..4 {
        server.admin.write("acme", &records("acme", 500 * n, 500));
        server.admin.write("beta", &[json!({ "id": format!("large-{n}"), "log": "event", "action": "login", "time": at(-5), "message": "b".repeat((1 << 20) - 500) })]);
    }
    server.flushed();
    assert_eq!(server.admin.get("/v1/t/acme/records/large").ok()["message"], large["message"]);
    for i in [0, 99, 100, 249, 250, 499, 1999] {
        assert_eq!(server.admin.get(&format!("/v1/t/acme/records/acme-{i:06}")).ok()["attributes"]["n"], i);
    }
    assert_eq!((size(&server.admin, "acme"), size(&server.admin, "beta")), (2_001, 3));
    server.stop().verify().ok();
}

#[test]
fn ten_thousand_tenants_are_made_written_to_stored_and_started_again_in_bounded_time() {
    const TENANTS: usize = 10_000;
    let server = Server::start(&[("FLUSH_SECONDS", "3600"), ("CHECKPOINT_MS", "1000")]);
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (client, next) = (server.admin.clone(), &next);
            scope.spawn(move || {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= TENANTS {
                        return;
                    }
                    let tenant = format!("tenant-{n:05}");
                    client.write(&tenant, &records(&tenant, 0, 1));
                }
            });
        }
    });
    let written = started.elapsed();
    // A crash with all of them in the journal, a start, an orderly stop, a start, and all in a segment.
    let server = server.kill().start();
    let after_crash = server.took;
    let server = server.stop().with("FLUSH_SECONDS", "0").start();
    let after_stop = server.took;
    server.flushed();
    for n in [0, 1, 4_999, TENANTS - 1] {
        let tenant = format!("tenant-{n:05}");
        assert_eq!(size(&server.admin, &tenant), 1);
        assert_eq!(server.admin.get(&format!("/v1/t/{tenant}/records/{tenant}-000000")).ok()["attributes"]["n"], 0);
    }
    let home = server.stop();
    let checked = Instant::now();
    home.verify().ok();
    let checked = checked.elapsed();
    println!("written {written:?}, started {after_crash:?} and {after_stop:?}, checked {checked:?}");
    assert!(written < Duration::from_secs(300), "writing to {TENANTS} tenants took {written:?}");
    for start in [after_crash, after_stop] {
        assert!(start < Duration::from_secs(5), "a start with {TENANTS} tenants took {start:?}");
    }
}
