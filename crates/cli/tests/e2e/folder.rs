//! One process per data folder, and a folder that is refused where it is not what was signed.

use crate::ledger::Ledger;
use crate::server::{Done, Home, Server, at};
use serde_json::{Value, json};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

fn events(from: usize, to: usize) -> Vec<Value> {
    (from..to).map(|i| json!({ "id": format!("f-{i}"), "log": "event", "time": at(-9), "action": "x", "email": "ann@example.org" })).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if std::fs::metadata(&path).unwrap().is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

fn journal(home: &Home) -> PathBuf {
    let files = std::fs::read_dir(home.data().join("journal")).unwrap().map(|e| e.unwrap().path());
    files.max_by_key(|p| std::fs::metadata(p).unwrap().len()).unwrap()
}

#[test]
fn the_first_start_makes_keys_that_only_their_owner_reads_and_prints_one_once() {
    let server = Server::start(&[]);
    let key = server.key();
    let home = server.stop().start().stop();
    for name in ["admin.key", "ledger.key"] {
        let mode = std::fs::metadata(home.data().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(std::fs::metadata(home.data()).unwrap().permissions().mode() & 0o077, 0, "the folder is its owner's");
    let out = std::fs::read_to_string(home.path().join("stdout.txt")).unwrap();
    assert_eq!(out.matches(&key).count(), 1, "printed at the first start and never again: {out}");
}

#[test]
fn the_first_start_on_a_relative_folder_works_as_the_default_is_one() {
    let home = Home::new(&[]);
    let mut command = home.command();
    command.args(["demo", "--fill-only", "--data", "demo-data"]);
    Done::of(command.output().unwrap()).ok();
    home.run(&["verify", "--data", "demo-data"]).ok();
    assert!(std::fs::metadata(home.path().join("demo-data.high-water")).is_ok(), "its mark is beside it");
}

#[test]
fn a_second_process_on_the_folder_is_refused_and_told_who_holds_it() {
    let server = Server::start(&[]);
    server.admin.write("acme", &events(0, 3));
    let holder = format!("process {}", server.id());
    let said = server.home.start_refused().failed(1);
    assert!(said.contains(&holder), "{said}");
    let said = server.home.verify().failed(1);
    assert!(said.contains(&holder), "{said}");
    server.admin.write("acme", &events(3, 6));
    // The lock of a process that was killed holds nobody up.
    let server = server.kill().start();
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], 6);
}

#[test]
fn i3_a_restored_old_copy_of_the_folder_refuses_to_start() {
    let server = Server::start(&[("FLUSH_SECONDS", "1"), ("CHECKPOINT_MS", "100")]);
    server.admin.write("acme", &events(0, 50));
    let home = server.stop();
    let copied = home.path().join("copy");
    copy(&home.data(), &copied);
    let server = home.start();
    server.admin.write("acme", &events(50, 60));
    Ledger::new(&server.admin, "acme").checkpoint_of(60);
    let home = server.stop();
    std::fs::rename(home.data(), home.path().join("newer")).unwrap();
    copy(&copied, &home.data());
    let said = home.start_refused().failed(1);
    assert!(said.contains("acme") || said.contains("tenant"), "it says which: {said}");
    assert!(said.contains("60") && said.contains("50"), "signed 60, here 50: {said}");
    let said = home.verify().failed(5);
    assert!(said.contains("old copy"), "{said}");
    // No repair goes past what was signed: the ledger would fork.
    let data = home.data();
    let repair = ["repair", "--data", data.to_str().unwrap(), "--new-high-water", "--confirm"];
    for args in [&repair[..3], &repair[..4], &repair[..]] {
        home.run(args).failed(5);
    }
    home.start_refused().failed(1);
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(home.path().join("newer"), &data).unwrap();
    assert_eq!(home.start().admin.get("/v1/t/acme").ok()["records"], 60, "the newer folder still starts");
}

#[test]
fn a_lost_high_water_mark_is_made_anew_by_repair_when_told_twice() {
    let server = Server::start(&[]);
    server.admin.write("acme", &events(0, 50));
    let home = server.stop();
    std::fs::remove_file(home.path().join("data.high-water")).unwrap();
    let data = home.data();
    let repair = ["repair", "--data", data.to_str().unwrap(), "--new-high-water", "--confirm"];
    home.run(&repair[..3]).failed(5);
    home.run(&repair[..4]).failed(2);
    home.start_refused().failed(1);
    home.run(&repair).ok();
    home.verify().ok();
    assert_eq!(home.start().admin.get("/v1/t/acme").ok()["records"], 50);
}

#[test]
fn a_folder_without_its_high_water_mark_refuses_to_start_and_says_what_to_do() {
    let server = Server::start(&[]);
    server.admin.write("acme", &events(0, 5));
    let home = server.stop();
    let mark = home.path().join("data.high-water");
    let kept = home.path().join("kept");
    std::fs::rename(&mark, &kept).unwrap();
    let said = home.start_refused().failed(1);
    assert!(said.contains("high-water") && said.contains("repair"), "{said}");
    std::fs::rename(&kept, &mark).unwrap();
    assert_eq!(home.start().admin.get("/v1/t/acme").ok()["records"], 5);
}

#[test]
fn a_torn_write_at_the_end_is_cut_and_damage_before_it_refuses_to_start() {
    let server = Server::start(&[("FLUSH_SECONDS", "3600"), ("CHECKPOINT_MS", "100")]);
    for n in 0..20 {
        server.admin.write("acme", &events(10 * n, 10 * n + 10));
    }
    Ledger::new(&server.admin, "acme").checkpoint_of(200);
    let home = server.kill();
    let path = journal(&home);
    let good = std::fs::read(&path).unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&good[..37]).unwrap();
    drop(file);
    let out = home.verify();
    assert!(out.err.contains("crash cut off"), "a torn tail is no damage, but it is said: {}", out.err);
    out.ok();
    let server = home.start();
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], 200);
    let home = server.kill();
    let path = journal(&home);
    let mut bad = std::fs::read(&path).unwrap();
    let middle = bad.len() / 2;
    bad[middle] ^= 4;
    std::fs::write(&path, &bad).unwrap();
    let said = home.start_refused().failed(1);
    assert!(said.contains("damaged") && said.contains(path.file_name().unwrap().to_str().unwrap()), "{said}");
    assert!(said.contains("repair"), "it says what to do: {said}");
    bad[middle] ^= 4;
    std::fs::write(&path, &bad).unwrap();
    assert_eq!(home.start().admin.get("/v1/t/acme").ok()["records"], 200);
}

#[test]
fn i3_a_journal_cut_below_what_was_signed_refuses_to_start() {
    let server = Server::start(&[("FLUSH_SECONDS", "3600"), ("CHECKPOINT_MS", "100")]);
    for n in 0..20 {
        server.admin.write("acme", &events(10 * n, 10 * n + 10));
    }
    Ledger::new(&server.admin, "acme").checkpoint_of(200);
    let home = server.kill();
    let path = journal(&home);
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..good.len() - 700]).unwrap();
    let said = home.start_refused().failed(1);
    assert!(said.contains("200"), "it says what was signed: {said}");
    home.verify().failed(5);
    std::fs::write(&path, &good).unwrap();
    home.start();
}
