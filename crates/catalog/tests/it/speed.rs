//! Figures, printed and not asserted: `cargo test -p catalog speed -- --nocapture`.

use std::time::Instant;

use catalog::{Scopes, StoreCommit, TileRow, encode_slices};
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use crate::{Folder, segment};

#[test]
fn speed_of_a_flush_of_ten_thousand_tenants() {
    const TENANTS: u32 = 10_000;
    let folder = Folder::new();
    write_tenants(&folder, TENANTS);
    let start = Instant::now();
    let catalog = folder.open();
    println!("open with {TENANTS} tenants: {:.3} ms", start.elapsed().as_secs_f64() * 1e3);
    assert_eq!(catalog.tenant("t777").unwrap().number, 777);
    let tenants: Vec<u32> = (1..=TENANTS).collect();
    let print = |what: &str, start: Instant| println!("{what}: {:.3} ms", start.elapsed().as_secs_f64() * 1e3);

    let person = |at: u32| [at.to_le_bytes(); 4].concat().try_into().unwrap();
    for round in 0..3u32 {
        let tiles = tenants.iter().take(1_000);
        let commit = StoreCommit {
            add: vec![segment(catalog.next_segment_id().unwrap(), &tenants, 7)],
            flushed_seq: Some(u64::from(round)),
            person_keys: (0..1_000).map(|at| (at + 1, person(round << 16 | at), [3; 32])).collect(),
            ..StoreCommit::default()
        };
        let with_trees = StoreCommit {
            frontiers: tenants.iter().map(|&t| (t, u64::from(round), vec![1; 320])).collect(),
            tiles: tiles.map(|&tenant| TileRow { tenant, level: 1, index: 0, hashes: vec![1; 4096] }).collect(),
            ..StoreCommit::default()
        };
        println!("slices blob of {TENANTS}: {} bytes", encode_slices(&commit.add[0].slices).len());
        let start = Instant::now();
        catalog.commit_store(commit).unwrap();
        print("commit_store of 10,000 slices and 1,000 personal keys", start);
        let start = Instant::now();
        catalog.commit_store(with_trees).unwrap();
        print("commit_store of 10,000 frontiers and 1,000 tiles", start);
    }

    let start = Instant::now();
    catalog.set_meta("x", b"y").unwrap();
    print("one small durable write", start);
    let start = Instant::now();
    assert_eq!(catalog.segments().unwrap().len(), 3);
    print("segments() of 3 x 10,000 slices", start);
    let wanted: Vec<_> = (0..1_000).map(|at| (at + 1, person(at))).collect();
    let start = Instant::now();
    assert!(catalog.person_keys(&wanted).unwrap().iter().all(Option::is_some));
    print("person_keys of 1,000", start);
    let (_, key) = catalog.create_key(Some(7), "key", Scopes::READ, 1).unwrap();
    let start = Instant::now();
    for _ in 0..10_000 {
        assert!(catalog.authenticate(&key).is_some() && catalog.tenant("t777").is_some());
    }
    print("10,000 x authenticate and tenant", start);
    drop(catalog);
    let start = Instant::now();
    let catalog = folder.open();
    print("open again", start);
    let start = Instant::now();
    assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
    print("check()", start);
}

/// Tenants written as `docs/formats/catalog.md` says, by other code than ours, in one transaction: through the
/// catalog each would cost a sync.
fn write_tenants(folder: &Folder, count: u32) {
    drop(folder.open());
    let mut conn = Connection::open(folder.db()).unwrap();
    let tx = conn.transaction().unwrap();
    for number in 1..=count {
        let (slug, settings, secret, created_at) = (format!("t{number}"), "{}", [number as u8; 32], 9i64);
        let mut hash = Sha256::new();
        hash.update(b"indelible/catalog/row/v1/tenant\0");
        hash.update([&[1][..], &i64::from(number).to_le_bytes()].concat());
        for bytes in [slug.as_bytes(), settings.as_bytes(), &secret] {
            hash.update([&[2][..], &(bytes.len() as u64).to_le_bytes(), bytes].concat());
        }
        hash.update([&[1][..], &created_at.to_le_bytes()].concat());
        let sum = i64::from_le_bytes(hash.finalize()[..8].try_into().unwrap());
        tx.execute(
            "INSERT INTO tenant (number, slug, settings, secret, created_at, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (number, slug, settings, secret, created_at, sum),
        )
        .unwrap();
    }
    tx.commit().unwrap();
}
