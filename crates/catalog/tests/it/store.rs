//! The commit of a flush: all or nothing, and positions that never go back.

use std::collections::HashSet;

use catalog::{Catalog, Error, StoreCommit, TileRow};

use crate::{Folder, segment};

fn full_commit(catalog: &Catalog) -> StoreCommit {
    StoreCommit {
        add: vec![segment(catalog.next_segment_id().unwrap(), &[1, 2], 10)],
        retire: vec![],
        flushed_seq: Some(7),
        person_keys: vec![(1, [1; 16], [11; 32]), (2, [1; 16], [12; 32])],
        frontiers: vec![(1, 20, vec![1; 64]), (2, 20, vec![2; 64])],
        tiles: vec![TileRow { tenant: 1, level: 1, index: 0, hashes: vec![3; 96] }],
        now: 99,
    }
}

type State = (Vec<catalog::Segment>, Vec<u64>, u64, Vec<(u32, u64, Vec<u8>)>, Vec<Option<[u8; 32]>>, Option<Vec<u8>>);

fn state(catalog: &Catalog) -> State {
    let persons: Vec<_> = (0..20).map(|at| (1 + at % 2, [at as u8 / 2; 16])).collect();
    (
        catalog.segments().unwrap(),
        catalog.retired().unwrap(),
        catalog.flushed_seq().unwrap(),
        catalog.frontiers().unwrap(),
        catalog.person_keys(&persons).unwrap(),
        catalog.tile(1, 1, 0).unwrap(),
    )
}

#[test]
fn a_commit_is_there_after_a_restart() {
    let folder = Folder::new();
    let catalog = folder.with_tenants(2);
    let commit = full_commit(&catalog);
    catalog.commit_store(commit.clone()).unwrap();
    assert_eq!(catalog.segments().unwrap(), commit.add);
    assert_eq!(catalog.flushed_seq().unwrap(), 7);
    assert_eq!(catalog.frontiers().unwrap(), commit.frontiers);
    assert_eq!(catalog.tile(1, 1, 0).unwrap(), Some(vec![3; 96]));
    assert_eq!(catalog.tile(2, 1, 0).unwrap(), None);
    assert_eq!(catalog.tile(1, 1, u64::MAX).unwrap(), None);
    assert_eq!(catalog.person_key(1, &[1; 16]).unwrap(), Some([11; 32]));
    assert_eq!(catalog.person_key(1, &[2; 16]).unwrap(), None);
    let wanted = [(2, [1; 16]), (2, [9; 16]), (1, [1; 16]), (2, [1; 16])];
    assert_eq!(catalog.person_keys(&wanted).unwrap(), vec![Some([12; 32]), None, Some([11; 32]), Some([12; 32])]);
    let mut seen = vec![];
    catalog.for_each_person_key(2, |person, key| seen.push((*person, *key))).unwrap();
    assert_eq!(seen, vec![([1; 16], [12; 32])]);

    let before = state(&catalog);
    drop(catalog);
    let catalog = folder.open();
    assert_eq!(state(&catalog), before);
    assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_failing_commit_changes_nothing() {
    let folder = Folder::new();
    let catalog = folder.with_tenants(2);
    catalog.commit_store(full_commit(&catalog)).unwrap();
    let used = catalog.segments().unwrap()[0].id;
    let before = state(&catalog);

    let good = || {
        let id = catalog.next_segment_id().unwrap();
        StoreCommit {
            add: vec![segment(id, &[1], 5)],
            retire: vec![used],
            flushed_seq: Some(8),
            person_keys: vec![(1, [5; 16], [55; 32])],
            frontiers: vec![(1, 25, vec![9; 32])],
            tiles: vec![TileRow { tenant: 1, level: 1, index: 0, hashes: vec![4; 128] }],
            now: 100,
        }
    };
    type Break = fn(&mut StoreCommit);
    let breaks: [(&str, Break); 15] = [
        ("must not go back from 7 to 6", |c| c.flushed_seq = Some(6)),
        ("frontier of tenant 2 must not go back", |c| c.frontiers.push((2, 19, vec![]))),
        ("no segment 999", |c| c.retire.push(999)),
        ("used before", |c| c.add.push(c.add[0].clone())),
        ("used before", |c| c.add.push(segment(c.retire[0], &[1], 5))),
        ("no tenant 3", |c| c.person_keys.push((3, [1; 16], [1; 32]))),
        ("no tenant 3", |c| c.tiles.push(TileRow { tenant: 3, level: 0, index: 0, hashes: vec![0; 32] })),
        ("no tenant 3", |c| c.frontiers.push((3, 1, vec![]))),
        ("no tenant 3", |c| c.add.push(segment(1_000, &[3], 1))),
        ("1 to 256 hashes", |c| c.tiles.push(TileRow { tenant: 1, level: 0, index: 0, hashes: vec![0; 33] })),
        ("64 levels", |c| c.tiles.push(TileRow { tenant: 1, level: 64, index: 0, hashes: vec![0; 32] })),
        ("too large", |c| c.tiles.push(TileRow { tenant: 1, level: 0, index: u64::MAX, hashes: vec![0; 32] })),
        ("has 5 rows, not 6", |c| c.add[0].rows = 6),
        ("more rows than indexes", |c| c.add[0].slices[0].max_index -= 1),
        ("too large", |c| c.flushed_seq = Some(u64::MAX)),
    ];
    for (expected, break_it) in breaks {
        let mut commit = good();
        break_it(&mut commit);
        let error = catalog.commit_store(commit).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected) || text.replace("its slices have", "has").contains(expected), "{text}");
        assert!(!error.is_fatal());
        assert_eq!(state(&catalog), before, "{text}");
    }

    catalog.commit_store(good()).unwrap();
    assert_eq!(catalog.retired().unwrap(), vec![used]);
    assert_eq!(catalog.segments().unwrap().len(), 1);
    assert_eq!(catalog.tile(1, 1, 0).unwrap(), Some(vec![4; 128]));
    catalog.forget_retired(&[used, 12_345]).unwrap();
    assert_eq!(catalog.retired().unwrap(), Vec::<u64>::new());
    assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
}

#[test]
fn the_first_key_of_a_person_stands() {
    let folder = Folder::new();
    let catalog = folder.with_tenants(1);
    for key in [[1; 32], [2; 32]] {
        let person_keys = vec![(1, [7; 16], key)];
        catalog.commit_store(StoreCommit { person_keys, ..StoreCommit::default() }).unwrap();
    }
    assert_eq!(catalog.person_key(1, &[7; 16]).unwrap(), Some([1; 32]));
    let commit = StoreCommit { person_keys: vec![(1, [7; 16], [0xEE; 32])], ..StoreCommit::default() };
    assert!(!format!("{commit:?}").contains("238"));
}

#[test]
fn segment_ids_are_never_given_twice() {
    let folder = Folder::new();
    let mut seen = HashSet::new();
    for _ in 0..5 {
        let catalog = folder.open();
        let ids: Vec<u64> = std::thread::scope(|scope| {
            let run = || (0..50).map(|_| catalog.next_segment_id().unwrap()).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.into_iter().all(|id| seen.insert(id)));
    }
}

#[test]
fn ids_from_elsewhere_are_not_given_again() {
    for (given_before, foreign) in [(0, 5u64), (0, 500), (3, 10), (3, 63), (3, 64), (64, 64), (64, 1_000)] {
        let folder = Folder::new();
        let catalog = folder.with_tenants(1);
        let mut seen: HashSet<u64> = (0..given_before).map(|_| catalog.next_segment_id().unwrap()).collect();
        seen.insert(foreign);
        let add = vec![segment(foreign, &[1], 1)];
        catalog.commit_store(StoreCommit { add, ..StoreCommit::default() }).unwrap();
        assert!((0..200).all(|_| seen.insert(catalog.next_segment_id().unwrap())), "{foreign}");
        assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
        drop(catalog);
        let catalog = folder.open();
        assert!((0..100).all(|_| seen.insert(catalog.next_segment_id().unwrap())), "{foreign}");
    }
}

#[test]
fn checkpoints_never_go_back_and_never_fork() {
    let folder = Folder::new();
    let catalog = folder.with_tenants(2);
    let note = |text: &str| text.to_string();
    assert_eq!(catalog.checkpoint(1).unwrap(), None);
    catalog.put_checkpoints(&[(1, 10, [1; 32], note("a")), (2, 5, [2; 32], note("b"))]).unwrap();

    let error = catalog.put_checkpoints(&[(2, 6, [3; 32], note("c")), (1, 9, [4; 32], note("d"))]).unwrap_err();
    assert!(matches!(error, Error::WentBack { from: 10, to: 9, .. }), "{error}");
    let error = catalog.put_checkpoints(&[(2, 6, [3; 32], note("c")), (1, 10, [4; 32], note("d"))]).unwrap_err();
    assert!(matches!(error, Error::CheckpointConflict { tenant: 1, size: 10 }), "{error}");
    assert!(catalog.put_checkpoints(&[(2, 6, [3; 32], note("c")), (9, 1, [4; 32], note("d"))]).is_err());
    assert_eq!(catalog.checkpoint(2).unwrap(), Some((5, [2; 32], note("b"))), "none of a failing list");

    catalog.put_checkpoints(&[(1, 10, [1; 32], note("a, witnessed"))]).unwrap();
    drop(catalog);
    assert_eq!(folder.open().checkpoint(1).unwrap(), Some((10, [1; 32], note("a, witnessed"))));
}

#[test]
fn named_values() {
    let folder = Folder::new();
    let catalog = folder.open();
    assert_eq!(catalog.meta("x").unwrap(), None);
    catalog.set_meta("x", &[]).unwrap();
    assert_eq!(catalog.meta("x").unwrap(), Some(vec![]));
    catalog.set_meta("x", &[1, 2]).unwrap();
    drop(catalog);
    assert_eq!(folder.open().meta("x").unwrap(), Some(vec![1, 2]));
}
