//! Rot: a changed value in any row of any table is found where it is read and by the check, and is never
//! taken for "there is none".

use catalog::{Catalog, Error, Scopes, StoreCommit, TileRow};
use rusqlite::Connection;

use crate::{Folder, segment};

fn filled(folder: &Folder) {
    let catalog = folder.with_tenants(2);
    catalog.set_meta("name", b"value").unwrap();
    catalog.create_key(Some(1), "key", Scopes::READ, 5).unwrap();
    let ids: Vec<_> = (0..3).map(|_| catalog.next_segment_id().unwrap()).collect();
    catalog
        .commit_store(StoreCommit {
            add: ids.iter().map(|&id| segment(id, &[1, 2], 4)).collect(),
            flushed_seq: Some(9),
            person_keys: vec![(1, [1; 16], [2; 32])],
            frontiers: vec![(1, 5, vec![6; 32])],
            tiles: vec![TileRow { tenant: 1, level: 0, index: 0, hashes: vec![7; 64] }],
            ..StoreCommit::default()
        })
        .unwrap();
    catalog.commit_store(StoreCommit { retire: vec![ids[0]], ..StoreCommit::default() }).unwrap();
    catalog.put_checkpoints(&[(1, 5, [8; 32], "note".into())]).unwrap();
}

fn execute(folder: &Folder, sql: &str) {
    let conn = Connection::open(folder.db()).unwrap();
    conn.pragma_update(None, "foreign_keys", false).unwrap();
    assert!(conn.execute(sql, []).unwrap() > 0, "{sql}");
}

type Read = fn(&Catalog) -> Result<(), Error>;

#[test]
fn a_changed_value_is_an_error_and_a_finding() {
    let cases: [(&str, Read); 14] = [
        ("UPDATE meta SET value = x'00'", |c| c.meta("name").map(drop)),
        ("UPDATE position SET value = 8 WHERE name = 'flushed_seq'", |c| c.flushed_seq().map(drop)),
        ("UPDATE api_key SET scopes = 'admin'", |c| c.keys(1).map(drop)),
        ("UPDATE api_key SET revoked_at = 1", |c| c.keys(1).map(drop)),
        ("UPDATE person_key SET secret = zeroblob(32)", |c| c.person_key(1, &[1; 16]).map(drop)),
        ("UPDATE person_key SET secret = zeroblob(32)", |c| c.for_each_person_key(1, |_, _| ())),
        ("UPDATE segment SET sha256 = zeroblob(32)", |c| c.segments().map(drop)),
        ("UPDATE segment SET row_count = 9", |c| c.segments().map(drop)),
        ("UPDATE segment SET slices = substr(slices, 1, length(slices) - 1)", |c| c.segments().map(drop)),
        ("UPDATE retired SET id = 40", |c| c.retired().map(drop)),
        ("UPDATE frontier SET size = 4", |c| c.frontiers().map(drop)),
        ("UPDATE tile SET hashes = zeroblob(64)", |c| c.tile(1, 0, 0).map(drop)),
        ("UPDATE checkpoint SET root = zeroblob(32)", |c| c.checkpoint(1).map(drop)),
        ("UPDATE checkpoint SET note = 'other'", |c| c.checkpoint(1).map(drop)),
    ];
    for (sql, read) in cases {
        let folder = Folder::new();
        filled(&folder);
        let catalog = folder.open();
        read(&catalog).unwrap();
        execute(&folder, sql);
        let error = read(&catalog).unwrap_err();
        assert!(error.is_damage(), "{sql}: {error}");
        let findings = catalog.check().unwrap();
        assert!(!findings.is_empty() && findings.iter().all(|f| f.contains("damaged")), "{sql}: {findings:?}");
    }
}

#[test]
fn slices_that_changed_places_are_found() {
    let folder = Folder::new();
    filled(&folder);
    execute(&folder, "UPDATE segment SET slices = (SELECT slices FROM segment WHERE id = 1)");
    assert!(folder.open().segments().is_ok(), "these two are the same");
    let catalog = folder.open();
    let id = catalog.next_segment_id().unwrap();
    catalog.commit_store(StoreCommit { add: vec![segment(id, &[2, 1], 4)], ..StoreCommit::default() }).unwrap();
    execute(&folder, &format!("UPDATE segment SET slices = (SELECT slices FROM segment WHERE id = 1) WHERE id = {id}"));
    assert!(catalog.segments().unwrap_err().to_string().contains(&format!("segment {id}")));
}

#[test]
fn a_damaged_tenant_or_key_stops_the_start() {
    for sql in ["UPDATE tenant SET slug = 'tx' WHERE number = 1", "UPDATE api_key SET hash = zeroblob(32)"] {
        let folder = Folder::new();
        filled(&folder);
        execute(&folder, sql);
        let error = Catalog::open(&disk::local(), &folder.db()).unwrap_err();
        assert!(error.is_damage(), "{sql}: {error}");
    }
}

#[test]
fn a_row_without_its_tenant_is_found() {
    let folder = Folder::new();
    filled(&folder);
    execute(&folder, "DELETE FROM tenant WHERE number = 1");
    let findings = folder.open().check().unwrap();
    assert!(findings.iter().any(|f| f == "a row of tile belongs to no tenant"), "{findings:?}");
}

/// Whole pages of noise: some answers are errors, none is wrong, nothing panics.
#[test]
fn noise_in_any_page_is_found_or_harmless() {
    let folder = Folder::new();
    filled(&folder);
    folder.open().seal_file(&folder.sum()).unwrap();
    let good = std::fs::read(folder.db()).unwrap();
    let sound = Catalog::open_read_only(&disk::local(), &folder.db()).unwrap().segments().unwrap();
    for page in 0..good.len() / 4096 {
        let mut bad = good.clone();
        for (at, byte) in bad[page * 4096..(page + 1) * 4096].iter_mut().enumerate() {
            *byte = (at as u8).wrapping_mul(31) ^ 0xA5;
        }
        std::fs::write(folder.db(), &bad).unwrap();
        match Catalog::open_read_only(&disk::local(), &folder.db()) {
            Ok(catalog) => {
                let segments = catalog.segments();
                assert!(segments.is_err() || segments.unwrap() == sound, "page {page}");
                assert!(!catalog.check().unwrap().is_empty(), "page {page}");
            }
            Err(error) => assert!(error.is_damage() || matches!(error, Error::NotACatalog { .. }), "{page}: {error}"),
        }
    }
}
