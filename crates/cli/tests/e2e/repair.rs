//! `repair`: what is damaged and what is lost, in one report; nothing is changed without `--confirm`, and nothing
//! is deleted with it.

use crate::ledger::Ledger;
use crate::server::{Done, Home, Server, at};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn events(tenant: &str, from: usize, to: usize) -> Vec<Value> {
    (from..to)
        .map(|i| json!({ "id": format!("{tenant}-{i}"), "log": "event", "time": at(-60), "action": "login", "email": format!("{tenant}{i}@example.org") }))
        .collect()
}

/// Ten frames of ten records of `acme`, and ten of `beta` between them; all of it in the journal, all of it signed.
fn journalled() -> Home {
    let server = Server::start(&[("FLUSH_SECONDS", "3600"), ("CHECKPOINT_MS", "100"), ("SCRUB_SHARE", "0")]);
    for n in 0..10 {
        server.admin.write("acme", &events("acme", 10 * n, 10 * n + 10));
        server.admin.write("beta", &events("beta", 10 * n, 10 * n + 10));
    }
    Ledger::new(&server.admin, "acme").checkpoint_of(100);
    Ledger::new(&server.admin, "beta").checkpoint_of(100);
    server.kill()
}

fn repair(home: &Home, args: &[&str]) -> Done {
    let data = home.data();
    home.run(&[&["repair", "--data", data.to_str().unwrap()], args].concat())
}

fn report(done: &Done) -> Value {
    serde_json::from_str(&done.out).unwrap_or_else(|e| panic!("{e}: {}\n{}", done.out, done.err))
}

/// Every file of the folder and the mark, with its content; but for the lock, which a check takes.
fn everything(home: &Home) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(dir: &Path, out: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match std::fs::read(&path) {
                Ok(bytes) => drop(out.insert(path, bytes)),
                Err(_) => walk(&path, out),
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(&home.data(), &mut out);
    out.retain(|path, _| !path.ends_with("lock") && !path.to_string_lossy().ends_with("-shm"));
    if let Ok(mark) = std::fs::read(home.path().join("data.high-water")) {
        out.insert("mark".into(), mark);
    }
    out
}

fn journal_file(home: &Home) -> PathBuf {
    let files = std::fs::read_dir(home.data().join("journal")).unwrap().map(|e| e.unwrap().path());
    files.max_by_key(|p| std::fs::metadata(p).unwrap().len()).unwrap()
}

/// Where the frames of a journal file begin.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let found = bytes.windows(4).enumerate().filter(|(_, w)| *w == b"FRM1").map(|(at, _)| at);
    found.collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 4;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_sound_folder_has_nothing_to_repair() {
    let home = journalled();
    let said = repair(&home, &[]).ok();
    assert!(said.contains("nothing is damaged"), "{said}");
    assert_eq!(report(&repair(&home, &["--json", "--confirm"]))["ok"], true);
    assert_eq!(home.start().admin.get("/v1/t/acme").ok()["records"], 100);
}

#[test]
fn damage_in_the_middle_of_the_catalogs_log_is_no_torn_end() {
    let server = Server::start(&[("FLUSH_SECONDS", "3600"), ("SCRUB_SHARE", "0")]);
    for n in 0..20 {
        server.admin.put(&format!("/v1/t/tenant-{n}"), "{}");
    }
    let home = server.kill();
    let log = home.data().join("catalog.db-wal");
    let size = std::fs::metadata(&log).unwrap().len() as usize;
    flip(&log, size / 2);
    let verify = || home.run(&["verify", "--data", home.data().to_str().unwrap()]);
    let damaged = everything(&home);
    assert!(verify().failed(5).contains("catalog.db-wal"));
    let refused = home.start_refused();
    let why = refused.failed(1);
    assert!(why.contains("Nothing was changed") && why.contains("repair --data"), "{why}");
    let shown = repair(&home, &[]);
    assert_eq!(shown.code, Some(5), "{}", shown.err);
    assert!(shown.out.contains("The catalog's log is damaged") && shown.out.contains("--confirm"), "{}", shown.out);
    assert_eq!(everything(&home), damaged, "nothing was changed");
    let done = report(&repair(&home, &["--confirm", "--json"]));
    assert_eq!((&done["ok"], &done["findings"][0]["kind"]), (&json!(true), &json!("catalog_log")), "{done}");
    let kept = everything(&home);
    let aside = kept.keys().find(|path| path.to_string_lossy().contains("catalog.db-wal.damaged-")).unwrap();
    assert_eq!(kept[aside], damaged[&log], "nothing was deleted");
    let server = home.start();
    let left = server.admin.get("/v1/t").ok()["items"].as_array().unwrap().len();
    assert!((1..20).contains(&left), "those from before the damage: {left}");
}

#[test]
fn damage_in_the_journal_is_shown_record_by_record_and_cut_out_when_told_to_with_nothing_deleted() {
    let home = journalled();
    let path = journal_file(&home);
    let good = std::fs::read(&path).unwrap();
    let at = frames(&good);
    assert_eq!(at.len(), 20, "a frame per write");
    // The fifth write of `acme`.
    flip(&path, at[8] + 100);
    home.start_refused().failed(1);
    let damaged = everything(&home);

    let shown = repair(&home, &[]);
    assert_eq!(shown.code, Some(5), "{}", shown.err);
    assert!(shown.err.contains("nothing was changed"), "{}", shown.err);
    let name = path.file_name().unwrap().to_str().unwrap();
    for words in [
        name,
        &format!("bytes {} to {} cannot be read", at[8], at[9]),
        "frames 9 to 9 are missing",
        "known to be lost, 10 records: tenant acme, index 40 to 49",
        "not kept, 50 records: tenant acme, index 50 to 99",
        "kept: 140 records",
        "of tenant acme 100 records were signed and 40 are kept",
        "--confirm",
    ] {
        assert!(shown.out.contains(words), "{words:?} is not in:\n{}", shown.out);
    }
    let json = report(&repair(&home, &["--json"]));
    assert_eq!(json["ok"], false);
    let journal = &json["journal"];
    assert_eq!(journal["unreadable"][0]["from"], at[8]);
    assert_eq!(journal["lost"], json!([{ "tenant": "acme", "first": 40, "last": 49 }]));
    assert_eq!(journal["stranded"], json!([{ "tenant": "acme", "first": 50, "last": 99 }]));
    assert_eq!(journal["signed"], json!([{ "tenant": "acme", "signed": 100, "kept": 40 }]));
    assert_eq!((&journal["kept"], &json["done"]), (&json!(140), &json!([])));
    assert!(json["findings"].as_array().unwrap().iter().any(|f| f["kind"] == "journal"), "{json}");
    assert_eq!(everything(&home), damaged, "nothing is changed without --confirm");

    let done = repair(&home, &["--confirm"]);
    // What was signed and is lost stays a finding.
    assert_eq!(done.code, Some(5), "{}", done.err);
    assert!(
        done.out.contains("Done: the damage was cut out") && done.err.contains("100 records were signed"),
        "{}",
        done.err
    );
    let now = everything(&home);
    let aside: Vec<_> = now.keys().filter(|p| p.to_string_lossy().contains("journal.damaged-")).collect();
    assert_eq!(aside.len(), damaged.keys().filter(|p| p.starts_with(home.data().join("journal"))).count());
    for (path, bytes) in &damaged {
        let kept = aside.iter().find(|a| a.file_name() == path.file_name()).map_or(path, |a| *a);
        assert_eq!(now.get(kept), Some(bytes), "{} is kept as it was", path.display());
    }
    home.start_refused().failed(1);

    // The old mark is evidence: it is moved by hand, and a new one made.
    let mark = home.path().join("data.high-water");
    std::fs::rename(&mark, home.path().join("evidence")).unwrap();
    repair(&home, &["--new-high-water", "--confirm"]).ok();
    home.verify().ok();
    let server = home.start();
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], 40);
    assert_eq!(server.admin.get("/v1/t/beta").ok()["records"], 100, "a tenant that lost nothing keeps everything");
    for i in [0, 39] {
        assert_eq!(server.admin.get(&format!("/v1/t/acme/records/acme-{i}")).status, 200);
    }
    assert_eq!(server.admin.get("/v1/t/acme/records/acme-40").status, 404);
    assert_eq!(server.admin.get("/v1/t/beta/records/beta-99").status, 200);
    // What was lost can be sent again.
    server.admin.write("acme", &events("acme", 40, 60));
    server.stop().verify().ok();
}

#[test]
fn a_tenant_that_lost_nothing_keeps_its_checkpoint_across_the_repair() {
    let home = journalled();
    let server = home.start();
    let before = Ledger::new(&server.admin, "beta").checkpoint_of(100);
    let home = server.kill();
    let path = journal_file(&home);
    let at = frames(&std::fs::read(&path).unwrap());
    flip(&path, at[2] + 60);
    repair(&home, &["--confirm"]).failed(5);
    std::fs::rename(home.path().join("data.high-water"), home.path().join("evidence")).unwrap();
    repair(&home, &["--new-high-water", "--confirm"]).ok();
    let server = home.start();
    let after = Ledger::new(&server.admin, "beta").checkpoint_of(100);
    assert_eq!(format!("{after:?}"), format!("{before:?}"), "the same tree");
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], 10);
}

#[test]
fn a_journal_whose_header_or_middle_file_is_gone_is_repaired_too() {
    // A damaged header costs nothing: its frames say who they are.
    let home = journalled();
    let path = journal_file(&home);
    flip(&path, 30);
    home.start_refused().failed(1);
    let said = repair(&home, &["--confirm"]).ok();
    assert!(said.contains("kept: 200 records"), "{said}");
    let server = home.start();
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], 100);
    assert_eq!(server.admin.get("/v1/t/beta").ok()["records"], 100);
    // The last frames are unreadable, and nothing after them tells what they were: what was signed does.
    let home = server.stop();
    let server = home.start();
    server.admin.write("acme", &events("acme", 100, 110));
    Ledger::new(&server.admin, "acme").checkpoint_of(110);
    let home = server.stop();
    let path = journal_file_of(&home, "acme-109");
    let bytes = std::fs::read(&path).unwrap();
    flip(&path, frames(&bytes)[0] + 40);
    let shown = repair(&home, &[]);
    assert!(shown.out.contains("known to be lost, 10 records: tenant acme, index 100 to 109"), "{}", shown.out);
}

/// The journal file that holds this id.
fn journal_file_of(home: &Home, id: &str) -> PathBuf {
    let mut files = std::fs::read_dir(home.data().join("journal")).unwrap().map(|e| e.unwrap().path());
    let has = |p: &PathBuf| std::fs::read(p).unwrap().windows(id.len()).any(|w| w == id.as_bytes());
    files.find(has).unwrap()
}

/// Two segments, nothing in the journal.
fn segmented() -> Home {
    let server = Server::start(&[("FLUSH_SECONDS", "1"), ("CHECKPOINT_MS", "100"), ("SCRUB_SHARE", "0")]);
    for (from, to) in [(0, 600), (600, 1200)] {
        server.admin.write("acme", &events("acme", from, to));
        server.flushed();
    }
    server.stop()
}

fn segment_file(home: &Home, extension: &str) -> PathBuf {
    let files = std::fs::read_dir(home.data().join("segments")).unwrap().map(|e| e.unwrap().path());
    files.filter(|p| p.extension().is_some_and(|e| e == extension)).max().unwrap()
}

#[test]
fn a_damaged_or_missing_segment_is_shown_with_the_records_in_it_and_left_alone() {
    let home = segmented();
    let path = segment_file(&home, "parquet");
    let good = std::fs::read(&path).unwrap();
    for missing in [false, true] {
        match missing {
            true => std::fs::remove_file(&path).unwrap(),
            false => flip(&path, good.len() / 3),
        }
        let before = everything(&home);
        for args in [&[][..], &["--confirm"]] {
            let shown = repair(&home, args);
            assert_eq!(shown.code, Some(5), "{}", shown.err);
            assert!(shown.out.contains(path.file_name().unwrap().to_str().unwrap()), "{}", shown.out);
            assert!(shown.out.contains("tenant acme, index"), "{}", shown.out);
            assert!(shown.out.contains("Restore the file"), "{}", shown.out);
            assert!(shown.err.contains("nothing was changed"), "{}", shown.err);
        }
        if missing {
            let json = report(&repair(&home, &["--json"]));
            assert_eq!(json["lost"], json!([{ "tenant": "acme", "first": 600, "last": 1199 }]), "{json}");
        }
        assert_eq!(everything(&home), before, "nothing is changed");
        std::fs::write(&path, &good).unwrap();
        home.verify().ok();
    }
}

#[test]
fn a_damaged_or_missing_idx_is_shown_and_made_anew_when_told_to() {
    let home = segmented();
    let path = segment_file(&home, "idx");
    let good = std::fs::read(&path).unwrap();
    for missing in [false, true] {
        match missing {
            true => std::fs::remove_file(&path).unwrap(),
            false => flip(&path, good.len() / 2),
        }
        let before = everything(&home);
        let shown = repair(&home, &[]);
        assert_eq!(shown.code, Some(5));
        assert!(shown.out.contains("Derived data") && shown.out.contains("rebuild"), "{}", shown.out);
        assert_eq!(everything(&home), before);
        let json = report(&repair(&home, &["--json", "--confirm"]));
        assert_eq!((&json["ok"], &json["findings"][0]["kind"]), (&json!(true), &json!("derived")), "{json}");
        assert_eq!(std::fs::read(&path).unwrap(), good);
        home.verify().ok();
    }
}

#[test]
fn a_damaged_mark_is_kept_beside_the_new_one() {
    let home = segmented();
    let mark = home.path().join("data.high-water");
    flip(&mark, 40);
    let bad = std::fs::read(&mark).unwrap();
    let shown = repair(&home, &[]);
    assert_eq!(shown.code, Some(5), "{}", shown.err);
    assert!(shown.out.contains("high-water mark is missing or damaged"), "{}", shown.out);
    repair(&home, &["--new-high-water"]).failed(2);
    assert_eq!(std::fs::read(&mark).unwrap(), bad, "nothing is changed without --confirm");
    let said = repair(&home, &["--new-high-water", "--confirm"]).ok();
    assert!(said.contains("made anew"), "{said}");
    let aside = std::fs::read_dir(home.path()).unwrap().map(|e| e.unwrap().path());
    let aside = aside.filter(|p| p.to_string_lossy().contains("data.high-water.damaged-"));
    assert_eq!(aside.map(|p| std::fs::read(p).unwrap()).collect::<Vec<_>>(), [bad], "kept");
    home.verify().ok();
    home.start();
}

#[test]
fn several_kinds_of_damage_are_all_in_one_report() {
    let home = segmented();
    flip(&segment_file(&home, "parquet"), 2000);
    // Of the other segment: of one whose rows are damaged, that is all that is said.
    let mut others: Vec<_> =
        std::fs::read_dir(home.data().join("segments")).unwrap().map(|e| e.unwrap().path()).collect();
    others.sort();
    std::fs::remove_file(others.iter().find(|p| p.extension().is_some_and(|e| e == "idx")).unwrap()).unwrap();
    std::fs::remove_file(home.path().join("data.high-water")).unwrap();
    std::fs::write(home.data().join("ledger.key"), "no key").unwrap();
    let json = report(&repair(&home, &["--json"]));
    let kinds: std::collections::BTreeSet<_> =
        json["findings"].as_array().unwrap().iter().map(|f| f["kind"].as_str().unwrap().to_owned()).collect();
    for kind in ["segment", "derived", "high_water", "other"] {
        assert!(kinds.contains(kind), "{kind} is not in {kinds:?}");
    }
    let shown = repair(&home, &["--new-high-water", "--confirm"]);
    assert_eq!(shown.code, Some(5), "no new mark over other damage: {}", shown.err);
    assert!(std::fs::metadata(home.path().join("data.high-water")).is_err());
}
