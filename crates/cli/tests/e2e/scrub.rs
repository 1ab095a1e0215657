//! Scrubbing: rot in a running server's files is found and named, takes nothing down, and is well again when the
//! file is restored.

use crate::server::{Server, at, eventually};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::PathBuf;

fn events(tenant: &str, from: usize, to: usize) -> Vec<Value> {
    (from..to)
        .map(|i| json!({ "id": format!("{tenant}-{i}"), "log": "event", "time": at(-60), "action": "login", "email": format!("u{i}@example.org") }))
        .collect()
}

/// A server that scrubs about once a second as fast as it can, with 900 records in segments.
fn server() -> Server {
    let server = Server::start(&[
        ("FLUSH_SECONDS", "1"),
        ("CHECKPOINT_MS", "100"),
        ("SCRUB_SHARE", "1"),
        ("SCRUB_HOURS", "0.0002"),
    ]);
    server.admin.write("acme", &events("acme", 0, 300));
    server.flushed();
    server.admin.write("acme", &events("acme", 300, 600));
    server.admin.write("beta", &events("beta", 0, 300));
    server.flushed();
    server
}

fn files(server: &Server, extension: &str) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(server.data().join("segments")).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<_> = folder.filter(|p| p.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

/// Waits for a pass that began after this call.
fn a_whole_pass(server: &Server) {
    let before = server.metric("indelible_scrub_passes_total");
    eventually("two more passes are done", || server.metric("indelible_scrub_passes_total") >= before + 2.0);
}

fn flip(path: &PathBuf, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_pass_reads_every_row_and_its_figures_are_in_the_metrics() {
    let server = server();
    a_whole_pass(&server);
    assert_eq!(server.metric("indelible_scrub_last_pass_rows"), 900.0);
    assert_eq!(server.metric("indelible_scrub_last_pass_bytes"), server.metric("indelible_segment_bytes"));
    assert_eq!(server.metric("indelible_scrub_last_pass_findings"), 0.0);
    assert!(server.metric("indelible_scrub_last_pass_seconds") > 0.0);
    assert!(server.metric("indelible_scrub_last_pass_timestamp_seconds") > 1.7e9);
    assert_eq!(server.metric("indelible_scrub_damaged"), 0.0);
    assert_eq!(server.admin.anonymous().get("/health/ready").ok(), json!({ "status": "ok" }));
    server.stop().verify().ok();
}

#[test]
fn i4_a_flipped_bit_in_a_segment_of_a_running_server_is_found_and_named() {
    let server = server();
    a_whole_pass(&server);
    let path = files(&server, "parquet").pop().unwrap();
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let good = std::fs::read(&path).unwrap();
    flip(&path, good.len() / 3);
    eventually("it is found", || server.metric("indelible_scrub_damaged") >= 1.0);
    let line = server.home.logs().lines().find(|l| l.contains("damaged") && l.contains(&name)).unwrap().to_owned();
    assert!(line.contains("tenant ") && line.contains("index "), "{line}");
    assert!(!server.home.logs().contains("example.org"), "nobody is named");
    let ready = server.admin.anonymous().get("/health/ready").ok();
    assert_eq!(ready["status"], "ok", "what is sound is served: {ready}");
    assert!(ready["damaged"].as_u64() >= Some(1), "{ready}");
    assert!(server.metric("indelible_mismatches_total") >= 1.0);
    // Records of the other segment, and new ones, are as before.
    assert_eq!(server.admin.get("/v1/t/acme/records/acme-7").ok()["email"], "u7@example.org");
    server.admin.write("acme", &events("acme", 600, 610));
    let counted = server.metric("indelible_scrub_findings_total");
    a_whole_pass(&server);
    assert_eq!(server.metric("indelible_scrub_findings_total"), counted, "what lasts is counted once");
    std::fs::write(&path, good).unwrap();
    eventually("it is well again", || server.metric("indelible_scrub_damaged") == 0.0);
    assert_eq!(server.admin.anonymous().get("/health/ready").ok(), json!({ "status": "ok" }));
}

#[test]
fn a_missing_segment_is_found() {
    let server = server();
    let path = files(&server, "parquet").remove(0);
    std::fs::rename(&path, server.home.path().join("aside")).unwrap();
    eventually("it is found", || server.metric("indelible_scrub_damaged") >= 1.0);
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(server.home.logs().lines().any(|l| l.contains(name) && l.contains("No such file")));
    std::fs::rename(server.home.path().join("aside"), &path).unwrap();
    eventually("it is well again", || server.metric("indelible_scrub_damaged") == 0.0);
}

#[test]
fn i10_a_damaged_idx_file_of_a_running_server_is_made_anew() {
    let server = server();
    for path in files(&server, "idx") {
        let good = std::fs::read(&path).unwrap();
        flip(&path, good.len() / 2);
        eventually("it is made anew", || std::fs::read(&path).unwrap() == good);
        std::fs::remove_file(&path).unwrap();
        eventually("it is made anew", || std::fs::read(&path).is_ok_and(|b| b == good));
    }
    eventually("it is counted", || server.metric("indelible_scrub_findings_total") >= 4.0);
    a_whole_pass(&server);
    assert_eq!(server.metric("indelible_scrub_damaged"), 0.0, "what was mended is no damage");
    server.stop().verify().ok();
}

#[test]
fn a_changed_tile_or_row_of_the_catalog_is_found() {
    let server = server();
    a_whole_pass(&server);
    let catalog = Connection::open(server.data().join("catalog.db")).unwrap();
    let tile: Vec<u8> = catalog.query_row("SELECT hashes FROM tile WHERE tenant = 1", [], |r| r.get(0)).unwrap();
    catalog.execute("UPDATE tile SET hashes = zeroblob(?1) WHERE tenant = 1", [tile.len()]).unwrap();
    eventually("it is found", || server.metric("indelible_scrub_damaged") >= 1.0);
    assert!(server.home.logs().contains("tile 1/0 of tenant 1"), "{}", server.home.logs());
    catalog.execute("UPDATE tile SET hashes = ?1 WHERE tenant = 1", [tile]).unwrap();
    eventually("it is well again", || server.metric("indelible_scrub_damaged") == 0.0);
}
