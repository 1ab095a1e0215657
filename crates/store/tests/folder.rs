//! The data folder at a start: who may open it, what is refused, what is mended and cleaned up.
#![allow(missing_docs)]

mod common;

use common::{World, files};
use std::fs;

fn refused(world: &mut World, want: &[&str]) {
    let e = world.open().expect_err(want[0]).to_string();
    for part in want {
        assert!(e.contains(part), "`{part}` is not in: {e}");
    }
}

#[test]
fn one_process_at_a_time_and_it_is_named() {
    let mut world = World::new();
    world.more("acme", 3);
    let mut second = world.crashed();
    // Another look at the same folder, not at a copy.
    let clock: ledger::Clock = std::sync::Arc::new(|| 0);
    let e = store::Store::open(world.folder(), common::quiet(), clock).unwrap_err().to_string();
    assert!(e.contains("is in use by process") && e.contains(&std::process::id().to_string()), "{e}");
    let e = store::verify::verify(&world.folder(), &|_| {}).unwrap_err().to_string();
    assert!(e.contains("is in use by process"), "{e}");
    second.open().expect("a copy is another folder");
    world.reopen();
    world.check();
}

#[test]
fn an_old_copy_of_the_folder_is_refused() {
    let mut world = World::new();
    world.more("acme", 300);
    let mut before_flush = world.crashed();
    before_flush.open().unwrap();
    before_flush.close();
    world.store().flush().unwrap();
    let after_flush = world.crashed();
    world.more("acme", 20);
    world.close();
    let newest = world.crashed();
    for old in [&before_flush, &after_flush] {
        world.restore(old);
        refused(&mut world, &["tenant acme: the data folder has 300 records, and 320 were signed", "high-water"]);
        let report = world.verify();
        assert!(report.findings.iter().any(|f| f.what.contains("320 records were signed and 300 are here")));
    }
    world.restore(&newest);
    world.open().unwrap();
    world.check();
}

#[test]
fn a_missing_or_foreign_mark_is_refused() {
    let mut world = World::new();
    world.more("acme", 5);
    world.close();
    let mark = world.folder().high_water;
    let bytes = fs::read(&mark).unwrap();
    fs::remove_file(&mark).unwrap();
    refused(&mut world, &["high-water mark", "is missing", "--new-high-water"]);

    let mut other = World::new();
    other.more("acme", 5);
    other.close();
    fs::copy(other.folder().high_water, &mark).unwrap();
    refused(&mut world, &["not this ledger's"]);

    fs::remove_file(&mark).unwrap();
    store::repair::new_high_water(&world.folder()).unwrap();
    world.open().unwrap();
    world.check();
    world.close();
    assert_eq!(fs::read(&mark).unwrap(), bytes, "the new mark says what the old one said");
}

/// All files under a folder, and the mark beside it, without those that only say who has it open.
fn contents(world: &World) -> std::collections::BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    let mut folders = vec![world.folder().dir];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(|e| e.unwrap()) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if !name.ends_with("-shm") && !name.to_lowercase().contains("lock") {
                found.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    let mark = world.folder().high_water;
    found.insert(mark.clone(), fs::read(&mark).unwrap());
    found
}

fn beside(path: &std::path::Path, end: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// A first start would set the mark aside, and remove segments that no catalog names.
#[test]
fn records_without_their_catalog_are_refused_and_left_as_they_are() {
    let mut world = World::new();
    world.more("acme", 300);
    world.store().flush().unwrap();
    world.more("acme", 5);
    let crashed = || world.crashed();
    let (no_log, no_catalog, damaged) = (crashed(), crashed(), crashed());
    let catalog = |world: &World| world.folder().catalog();
    fs::remove_file(beside(&catalog(&no_log), "-wal")).unwrap();
    for end in ["", "-wal"] {
        fs::remove_file(beside(&catalog(&no_catalog), end)).unwrap();
    }
    let log = beside(&catalog(&damaged), "-wal");
    let mut bytes = fs::read(&log).unwrap();
    bytes[40] ^= 1;
    fs::write(&log, bytes).unwrap();
    let no_journal = {
        let mut still = world.crashed();
        still.open().unwrap();
        still.close();
        fs::remove_file(catalog(&still)).unwrap();
        fs::remove_file(still.folder().catalog_sum()).unwrap();
        fs::remove_dir_all(still.folder().journal()).unwrap();
        still
    };
    let uncounted = no_log.crashed();
    fs::remove_file(catalog::Catalog::changes_path(&catalog(&uncounted))).unwrap();
    // Neither does `verify` call such a folder sound, nor does `repair` give up what was in its catalog.
    for world in [&no_log, &no_catalog, &uncounted] {
        let before = contents(world);
        let findings = world.verify().findings;
        assert!(findings.iter().any(|f| f.file == catalog(world)), "{findings:?}");
        if fs::exists(catalog(world)).unwrap() {
            let mended = store::repair::mend_catalog_log(&world.folder(), 1).unwrap();
            assert_eq!(mended, store::repair::LogMended::Sound);
        }
        assert_eq!(contents(world), before);
    }
    for (world, why) in [
        (no_log, "is not empty. Nothing was changed."),
        (no_catalog, "is not empty. Nothing was changed."),
        (damaged, "is damaged at byte 32"),
        (no_journal, "is not empty. Nothing was changed."),
    ]
    .iter_mut()
    {
        let before = contents(world);
        refused(world, &[why]);
        assert_eq!(contents(world), before);
    }
}

#[test]
fn records_of_a_tenant_that_the_catalog_forgot_are_refused() {
    let mut world = World::new();
    world.more("acme", 3);
    let before = world.crashed();
    world.more("beta", 3);
    let mut after = world.crashed();
    let log = |world: &World| beside(&world.folder().catalog(), "-wal");
    fs::copy(log(&before), log(&after)).unwrap();
    refused(&mut after, &["has lost the last 1 changes that were answered"]);
    assert!(store::repair::needs_copy(&after.verify()), "the tenant was made in what is lost");
    // Also where nothing counts the changes, as before that was done.
    fs::remove_file(catalog::Catalog::changes_path(&after.folder().catalog())).unwrap();
    refused(&mut after, &["records of a tenant, number 2,", "the catalog has lost what was written last"]);
}

#[test]
fn a_log_that_is_gone_or_whose_end_is_changed_is_refused_and_can_be_given_up() {
    let mut world = World::new();
    world.more("acme", 3);
    world.store().flush().unwrap();
    world.reopen();
    // Nothing of this is a record: a key that was given out.
    world.store().catalog().set_meta("given-out", &[7; 5000]).unwrap();
    let log = |world: &World| beside(&world.folder().catalog(), "-wal");
    let gone = |world: &World| fs::remove_file(log(world)).unwrap();
    let changed = |world: &World| {
        let mut bytes = fs::read(log(world)).unwrap();
        let at = bytes.len() - 100;
        bytes[at] ^= 1;
        fs::write(log(world), bytes).unwrap();
    };
    for (damage, kept) in [(&gone as &dyn Fn(&World), false), (&changed, true)] {
        let mut crashed = world.crashed();
        damage(&crashed);
        let before = contents(&crashed);
        refused(&mut crashed, &["has lost the last 1 changes that were answered", "repair --data"]);
        let report = crashed.verify();
        assert!(report.findings.iter().any(|f| f.file == log(&crashed) && f.what.contains("the last 1 changes")));
        assert!(store::rebuild::rebuild(&crashed.folder(), &|_| {}).is_err());
        assert_eq!(contents(&crashed), before);
        let mended = store::repair::mend_catalog_log(&crashed.folder(), 17).unwrap();
        let aside = beside(&log(&crashed), ".damaged-17");
        assert_eq!(mended, store::repair::LogMended::GivenUp(kept.then(|| aside.clone())));
        assert_eq!(aside.try_exists().unwrap(), kept);
        assert_eq!(crashed.verify().findings, []);
        crashed.open().unwrap();
        crashed.check();
        assert_eq!(crashed.store().catalog().meta("given-out").unwrap(), None);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_not_called_damaged() {
    let mut world = World::new();
    world.more("acme", 600);
    world.store().flush().unwrap();
    world.close();
    for path in [world.segment_files("parquet").remove(0), world.folder().high_water] {
        let aside = path.with_extension("aside");
        fs::rename(&path, &aside).unwrap();
        // What stands in for a file without permission, for a test that may run as root.
        std::os::unix::fs::symlink(&path, &path).unwrap();
        let report = world.verify();
        assert!(!report.findings.is_empty(), "{}", path.display());
        assert!(report.findings.iter().all(|f| f.unreadable), "{:?}", report.findings);
        assert_eq!(report.lost, []);
        let diagnosis = store::repair::examine(&world.folder(), &|_| {}).unwrap();
        assert_eq!(diagnosis.journal, None);
        fs::remove_file(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
    }
    assert_eq!(world.verify().findings, []);
}

#[test]
fn a_segment_that_is_gone_or_cut_is_refused_with_what_to_do() {
    let mut world = World::new();
    world.more("acme", 600);
    world.store().flush().unwrap();
    world.close();
    let parquet = world.segment_files("parquet").remove(0);
    let sound = fs::read(&parquet).unwrap();
    fs::remove_file(&parquet).unwrap();
    refused(&mut world, &["Put the file back from any copy", "repair --data"]);
    for cut in [sound.len() / 2, sound.len() - 3] {
        fs::write(&parquet, &sound[..cut]).unwrap();
        refused(&mut world, &["Put the file back from any copy", "repair --data"]);
    }
    fs::write(&parquet, sound).unwrap();
    world.open().unwrap();
    world.check();
}

#[test]
fn an_empty_folder_beside_a_mark_of_records_is_a_disk_that_is_not_mounted() {
    let mut world = World::new();
    world.more("acme", 3);
    world.close();
    let dir = world.folder().dir.clone();
    let elsewhere = dir.with_extension("elsewhere");
    fs::rename(&dir, &elsewhere).unwrap();
    fs::create_dir(&dir).unwrap();
    fs::create_dir(dir.join("lost+found")).unwrap();
    refused(&mut world, &["is empty", "mount it", "Nothing was changed"]);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing was changed");
    fs::remove_dir_all(&dir).unwrap();
    fs::rename(&elsewhere, &dir).unwrap();
    world.open().unwrap();
    world.check();
    // Taken away as a whole it is a first start, and the mark is kept.
    world.close();
    fs::remove_dir_all(&dir).unwrap();
    world.open().unwrap();
    let beside = fs::read_dir(dir.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name());
    assert_eq!(beside.filter(|name| name.to_string_lossy().contains("high-water")).count(), 2);
}

#[test]
fn a_damaged_catalog_is_not_opened_after_a_crash_either() {
    let mut world = World::new();
    world.more("acme", 200);
    world.store().flush().unwrap();
    world.more("acme", 20);
    let sound = {
        // What the log holds goes into the file first, so that all of it is in one place.
        let mut crashed = world.crashed();
        crashed.open().unwrap();
        crashed.crashed()
    };
    let bytes = fs::read(sound.folder().catalog()).unwrap();
    let (mut refusals, mut harmless) = (0, 0);
    for at in (100..bytes.len()).step_by(bytes.len() / 120) {
        let mut damaged = sound.crashed();
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        fs::write(damaged.folder().catalog(), bytes).unwrap();
        match damaged.open() {
            Err(_) => refusals += 1,
            Ok(()) => {
                damaged.check();
                harmless += 1;
            }
        }
    }
    assert!(refusals > 10 && harmless > 0, "{refusals} {harmless}");
    let mut cut = sound.crashed();
    fs::write(cut.folder().catalog(), &bytes[..bytes.len() - 4096]).unwrap();
    cut.open().unwrap_err();
}

#[test]
fn a_key_that_did_not_sign_this_ledger_signs_nothing_here() {
    let (mut world, mut other) = (World::new(), World::new());
    for world in [&mut world, &mut other] {
        world.more("acme", 3);
        world.close();
    }
    let own = fs::read(world.folder().ledger_key()).unwrap();
    fs::copy(other.folder().ledger_key(), world.folder().ledger_key()).unwrap();
    refused(&mut world, &["is not the key that signed this ledger"]);
    fs::write(world.folder().ledger_key(), own).unwrap();
    world.open().unwrap();
    world.check();
}

#[test]
fn a_damaged_key_of_secrets_is_found() {
    let mut world = World::new();
    world.more("acme", 3);
    let secrets = [("token".to_owned(), catalog::SecretText::new("hush"))].into();
    let spec = catalog::SourceSpec { name: "a", system: "okta", kind: "pull", settings: "{}", secrets: &secrets };
    world.store().catalog().put_source(world.tenant("acme").number, &spec, 1).unwrap();
    world.close();
    assert_eq!(world.verify().findings, []);
    let key = world.folder().catalog_key();
    let mut bytes = fs::read(&key).unwrap();
    bytes[9] ^= 1;
    fs::write(&key, bytes).unwrap();
    assert!(world.verify().findings.iter().any(|f| f.file == key && f.what.contains("source \"a\"")));
}

#[test]
fn what_is_made_anew_after_a_crash_is_not_closed_in_order_by_that() {
    let mut world = World::new();
    world.more("acme", 300);
    world.store().flush().unwrap();
    world.more("acme", 5);
    let crashed = world.crashed();
    store::rebuild::rebuild(&crashed.folder(), &|_| {}).unwrap();
    assert!(!fs::exists(crashed.folder().catalog_sum()).unwrap());
    // A log that is damaged in its middle is for `repair`: to build on what is left would throw away the rest.
    for n in 0..20 {
        world.more(&format!("t{n}"), 1);
    }
    let damaged = world.crashed();
    let log = beside(&damaged.folder().catalog(), "-wal");
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let e = store::rebuild::rebuild(&damaged.folder(), &|_| {}).unwrap_err().to_string();
    assert!(e.contains("damaged at byte"), "{e}");
    assert_eq!(fs::read(&log).unwrap(), bytes);
}

#[test]
fn a_neighbour_of_the_mark_is_left_alone() {
    let mut world = World::new();
    world.close();
    let neighbour = world.folder().dir.with_extension("new");
    fs::write(&neighbour, "somebody's").unwrap();
    world.open().unwrap();
    assert_eq!(fs::read(&neighbour).unwrap(), b"somebody's");
}

#[test]
fn missing_and_damaged_filters_are_made_anew() {
    let mut world = World::new();
    world.more("acme", 600);
    world.store().flush().unwrap();
    world.close();
    let idx = world.segment_files("idx").remove(0);
    let sound = fs::read(&idx).unwrap();
    fs::remove_file(&idx).unwrap();
    assert!(world.verify().findings.iter().any(|f| f.file == idx), "verify says that it is missing");
    world.open().unwrap();
    world.check();
    world.close();
    assert_eq!(fs::read(&idx).unwrap(), sound, "byte for byte");
    for at in (0..sound.len()).step_by(sound.len() / 9) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x20;
        fs::write(&idx, bytes).unwrap();
        assert!(world.verify().findings.iter().all(|f| f.file == idx));
        assert!(!world.verify().findings.is_empty(), "byte {at}");
        world.open().unwrap();
        world.check();
        world.close();
        assert_eq!(fs::read(&idx).unwrap(), sound);
    }
    assert_eq!(world.verify().findings, []);
}

/// What a crash between the steps of a flush or a merge leaves in the folder.
#[test]
fn orphans_are_removed_at_a_start() {
    let mut world = World::new();
    world.more("acme", 40);
    world.store().flush().unwrap();
    world.close();
    let dir = world.folder().segments().path;
    let known = fs::read_dir(&dir).unwrap().count();
    let parquet = world.segment_files("parquet").remove(0);
    for name in ["00000000000000ff.parquet", "00000000000000ff.idx", "00000000000000fe.parquet.tmp", "half"] {
        fs::copy(&parquet, dir.join(name)).unwrap();
    }
    world.open().unwrap();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), known);
    world.check();
    // The number of an orphan is not taken again while its file is there.
    world.more("acme", 5);
    world.store().flush().unwrap();
    world.check();
    assert_eq!(files(&dir, "parquet").len(), 2);
}

#[test]
fn a_merge_removes_its_inputs() {
    let mut world = World::new();
    for _ in 0..8 {
        world.more("acme", 20);
        world.store().flush().unwrap();
    }
    world.store().compact().unwrap();
    assert_eq!((world.segment_files("parquet").len(), world.segment_files("idx").len()), (1, 1));
    world.check();
}

#[test]
fn a_damaged_or_missing_segment_is_refused_by_name() {
    let mut world = World::new();
    world.more("acme", 40);
    world.store().flush().unwrap();
    world.close();
    let path = world.segment_files("parquet").remove(0);
    let sound = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    refused(&mut world, &[path.to_str().unwrap()]);
    fs::write(&path, &sound[..sound.len() - 9]).unwrap();
    refused(&mut world, &[path.to_str().unwrap()]);
    fs::write(&path, &sound).unwrap();
    world.open().unwrap();
    world.check();
}
