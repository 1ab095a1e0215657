//! Opening, reading only, closing in good order, and the seal.

use std::fs;

use catalog::{APPLICATION_ID, Catalog, Error, SCHEMA_VERSION, SealState, StoreCommit};

use crate::{Folder, segment};

fn names(folder: &Folder) -> Vec<String> {
    let folder = folder.db().parent().unwrap().to_path_buf();
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn stored(catalog: &Catalog) {
    let add = vec![segment(catalog.next_segment_id().unwrap(), &[1], 3)];
    catalog.commit_store(StoreCommit { add, flushed_seq: Some(3), ..StoreCommit::default() }).unwrap();
}

#[test]
fn a_sealed_catalog_is_one_file_and_any_changed_byte_is_found() {
    let folder = Folder::new();
    let catalog = folder.with_tenants(1);
    stored(&catalog);
    assert_eq!(Catalog::verify_sealed(&disk::LocalDisk, &folder.db(), &folder.sum()).unwrap(), SealState::NotSealed);
    catalog.seal_file(&folder.sum()).unwrap();
    assert_eq!(names(&folder), ["catalog.db", "catalog.sum"]);
    assert_eq!(Catalog::verify_sealed(&disk::LocalDisk, &folder.db(), &folder.sum()).unwrap(), SealState::Sealed);

    assert!(catalog.tenant("t1").is_some(), "memory still answers");
    assert!(matches!(catalog.segments(), Err(Error::Closed { .. })));
    assert!(matches!(catalog.set_meta("a", b"b"), Err(Error::Closed { .. })));
    assert!(matches!(catalog.seal_file(&folder.sum()), Err(Error::Closed { .. })));

    for file in [folder.db(), folder.sum()] {
        let good = fs::read(&file).unwrap();
        for at in [0, 20, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, bad).unwrap();
            let state = Catalog::verify_sealed(&disk::LocalDisk, &folder.db(), &folder.sum()).unwrap();
            assert!(matches!(state, SealState::Damaged { .. }), "{} {at}", file.display());
        }
        fs::write(&file, &good[..good.len() - 1]).unwrap();
        let state = Catalog::verify_sealed(&disk::LocalDisk, &folder.db(), &folder.sum()).unwrap();
        assert!(matches!(state, SealState::Damaged { .. }));
        fs::write(&file, good).unwrap();
    }
    assert_eq!(Catalog::verify_sealed(&disk::LocalDisk, &folder.db(), &folder.sum()).unwrap(), SealState::Sealed);
    fs::write(folder.db().with_extension("db-wal"), [1]).unwrap();
    let state = Catalog::verify_sealed(&disk::LocalDisk, &folder.db(), &folder.sum()).unwrap();
    assert!(matches!(state, SealState::Damaged { .. }), "a log younger than the seal");
    fs::remove_file(folder.db().with_extension("db-wal")).unwrap();

    Catalog::unseal_file(&disk::LocalDisk, &folder.sum()).unwrap();
    Catalog::unseal_file(&disk::LocalDisk, &folder.sum()).unwrap();
    assert_eq!(Catalog::verify_sealed(&disk::LocalDisk, &folder.db(), &folder.sum()).unwrap(), SealState::NotSealed);
    assert_eq!(folder.open().flushed_seq().unwrap(), 3);
}

#[test]
fn a_missing_catalog_beside_a_seal_is_damage() {
    let folder = Folder::new();
    folder.open().seal_file(&folder.sum()).unwrap();
    fs::remove_file(folder.db()).unwrap();
    let state = Catalog::verify_sealed(&disk::LocalDisk, &folder.db(), &folder.sum()).unwrap();
    assert!(matches!(state, SealState::Damaged { .. }));
}

#[test]
fn looking_at_a_closed_catalog_touches_nothing() {
    let folder = Folder::new();
    let catalog = folder.with_tenants(1);
    stored(&catalog);
    let segments = catalog.segments().unwrap();
    catalog.seal_file(&folder.sum()).unwrap();

    let looked = Catalog::open_read_only(&disk::local(), &folder.db()).unwrap();
    assert_eq!(looked.segments().unwrap(), segments);
    assert_eq!(looked.check().unwrap(), Vec::<String>::new());
    assert!(looked.tenant("t1").is_some());
    assert!(matches!(looked.set_meta("a", b"b"), Err(Error::ReadOnly { .. })));
    assert!(matches!(looked.create_tenant("x", "{}", 1), Err(Error::ReadOnly { .. })));
    assert!(matches!(looked.next_segment_id(), Err(Error::ReadOnly { .. })));
    assert!(matches!(looked.seal_file(&folder.sum()), Err(Error::ReadOnly { .. })));
    assert_eq!(names(&folder), ["catalog.db", "catalog.sum"]);
    drop(looked);
    assert_eq!(Catalog::verify_sealed(&disk::LocalDisk, &folder.db(), &folder.sum()).unwrap(), SealState::Sealed);
}

#[test]
fn looking_at_a_crashed_catalog_sees_its_log() {
    let folder = Folder::new();
    let catalog = folder.with_tenants(1);
    stored(&catalog);
    // A crash: the files as they are while the catalog is open.
    let crashed = Folder::new();
    for end in ["db", "db-wal"] {
        fs::copy(folder.db().with_extension(end), crashed.db().with_extension(end)).unwrap();
    }
    let looked = Catalog::open_read_only(&disk::local(), &crashed.db()).unwrap();
    assert_eq!(looked.segments().unwrap(), catalog.segments().unwrap());
    assert_eq!(looked.flushed_seq().unwrap(), 3);
    drop(looked);
    assert_eq!(crashed.open().tenants(), catalog.tenants());
}

#[test]
fn a_torn_log_loses_only_what_was_not_answered() {
    let folder = Folder::new();
    let catalog = folder.with_tenants(1);
    let log = folder.db().with_extension("db-wal");
    let mut lengths = vec![];
    for value in 1u8..=5 {
        catalog.set_meta("x", &[value]).unwrap();
        lengths.push((fs::metadata(&log).unwrap().len() as usize, value));
    }
    let (file, full) = (fs::read(folder.db()).unwrap(), fs::read(&log).unwrap());
    let start = lengths[0].0;
    for cut in (start..=full.len()).step_by(97).chain(lengths.iter().map(|(length, _)| *length)) {
        let crashed = Folder::new();
        fs::write(crashed.db(), &file).unwrap();
        fs::write(crashed.db().with_extension("db-wal"), &full[..cut]).unwrap();
        let expected = lengths.iter().rev().find(|(length, _)| *length <= cut).unwrap().1;
        let catalog = crashed.open();
        assert_eq!(catalog.meta("x").unwrap(), Some(vec![expected]), "cut at {cut}");
        assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn other_files_are_refused_and_left_alone() {
    let folder = Folder::new();
    let missing = Catalog::open_read_only(&disk::local(), &folder.db()).unwrap_err();
    assert!(matches!(missing, Error::File { .. }), "{missing}");
    assert!(names(&folder).is_empty());

    let text = vec![b'x'; 5_000];
    fs::write(folder.db(), &text).unwrap();
    for error in [
        Catalog::open(&disk::local(), &folder.db()).unwrap_err(),
        Catalog::open_read_only(&disk::local(), &folder.db()).unwrap_err(),
    ] {
        assert!(matches!(error, Error::NotACatalog { .. }), "{error}");
    }
    assert_eq!(fs::read(folder.db()).unwrap(), text);
}

#[test]
fn a_newer_version_is_refused() {
    let folder = Folder::new();
    drop(folder.open());
    assert_eq!(names(&folder), ["catalog.changes", "catalog.db"], "closing without a seal leaves no log either");
    let patch = |at: usize, value: u32| {
        let mut bytes = fs::read(folder.db()).unwrap();
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        fs::write(folder.db(), &bytes).unwrap();
    };
    // The file format's header: user_version at 60, application_id at 68.
    patch(60, SCHEMA_VERSION + 1);
    for error in [
        Catalog::open(&disk::local(), &folder.db()).unwrap_err(),
        Catalog::open_read_only(&disk::local(), &folder.db()).unwrap_err(),
    ] {
        assert!(matches!(error, Error::TooNew { .. }) && error.to_string().contains("newer program"), "{error}");
    }
    patch(60, SCHEMA_VERSION);
    patch(68, APPLICATION_ID + 1);
    assert!(matches!(Catalog::open(&disk::local(), &folder.db()).unwrap_err(), Error::NotACatalog { .. }));
    patch(68, APPLICATION_ID);
    drop(folder.open());
}

#[cfg(unix)]
#[test]
fn only_its_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let _catalog = folder.with_tenants(1);
    for end in ["db", "db-wal"] {
        let mode = fs::metadata(folder.db().with_extension(end)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{end}");
    }
}
