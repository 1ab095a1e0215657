//! Rows come back byte for byte: through a batch, and through a file.

mod common;

use common::{Row, any_row, name, sort, write};
use disk::Dir;
use event::encode::{put, put_time};
use event::{Field, Kind};
use proptest::prelude::*;
use segments::{BatchBuilder, Error, IdKey, RowRef, Segment, admit, batch_to_rows};

fn back(rows: &[Row]) -> Vec<Row> {
    let mut builder = BatchBuilder::new();
    for r in rows {
        let (name, tenant) = (r.name(), r.tenant);
        assert_eq!(name, common::name(tenant));
        builder
            .push(RowRef { tenant: &name, index: r.index, recorded_at: r.recorded_at, kind: r.kind, row: &r.bytes })
            .unwrap();
    }
    let batch = builder.finish().unwrap();
    assert_eq!(batch.schema(), segments::schema());
    let mut got = Vec::new();
    batch_to_rows(&batch, |row| {
        got.push(Row::owned(rows[got.len()].tenant, row));
        Ok::<(), Error>(())
    })
    .unwrap();
    got
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn through_a_batch(rows in prop::collection::vec(any_row(), 0..20)) {
        prop_assert_eq!(back(&rows), rows);
    }

    #[test]
    fn through_a_file(mut rows in prop::collection::vec(any_row(), 1..40)) {
        sort(&mut rows);
        let dir = tempfile::tempdir().unwrap();
        let info = write(dir.path(), 7, &rows);
        let mut got = Vec::new();
        admit(&Dir::local(dir.path()), &info, &mut |row: RowRef<'_>| {
            got.push(Row::owned(rows[got.len()].tenant, row));
            Ok::<(), Error>(())
        }).unwrap();
        prop_assert_eq!(&got, &rows);
        let segment = Segment::open(&Dir::local(dir.path()), info.clone()).unwrap();
        for tenant in 0..4 {
            let mine: Vec<&Row> = rows.iter().filter(|r| r.tenant == tenant).collect();
            let slice = segment.slice(tenant);
            prop_assert_eq!(slice.map_or(0, |s| s.rows), mine.len() as u64);
            for r in &mine {
                prop_assert!(segment.may_contain_id(IdKey::new(tenant, &r.id)));
            }
            if let Some(s) = slice {
                prop_assert_eq!(s.max_time, mine.iter().map(|r| r.time).max().unwrap());
                prop_assert_eq!(s.min_time, mine.iter().map(|r| r.time).min().unwrap());
                prop_assert_eq!(s.max_index, mine.iter().map(|r| r.index).max().unwrap());
                prop_assert_eq!(s.min_index, mine.iter().map(|r| r.index).min().unwrap());
            }
        }
    }
}

#[test]
fn lists_with_hostile_elements() {
    for elements in [vec![""], vec!["", ""], vec!["\"", "\\", "a,b]"], vec!["\u{1}\n\t\u{0}", "😀é", "[\"x\"]"]] {
        let mut bytes = Vec::new();
        put(&mut bytes, Field::Id, b"1");
        put_time(&mut bytes, Field::Time, 5);
        for field in [Field::NotificationRecipient, Field::NotificationCc, Field::NotificationBcc] {
            assert_eq!(field.spec().kind, Kind::List);
            elements.iter().for_each(|e| put(&mut bytes, field, e.as_bytes()));
        }
        let row = Row { tenant: 1, index: 0, recorded_at: 0, kind: 0, time: 5, id: "1".into(), bytes };
        assert_eq!(back(std::slice::from_ref(&row)), [row]);
    }
}

#[test]
fn a_refused_row_leaves_the_builder_as_it_was() {
    let good = |n: u8| {
        let mut bytes = Vec::new();
        put(&mut bytes, Field::Id, &[b'0' + n]);
        put_time(&mut bytes, Field::Time, 5);
        put(&mut bytes, Field::ActorId, b"ann");
        bytes
    };
    let mut no_time = Vec::new();
    put(&mut no_time, Field::Id, b"x");
    put(&mut no_time, Field::ActorId, b"bob");
    put(&mut no_time, Field::NotificationRecipient, b"bob@x");
    let mut torn = good(3);
    put(&mut torn, Field::NotificationRecipient, b"bob@x");
    torn.extend_from_slice(&[1, 2]);
    let mut builder = BatchBuilder::new();
    let push = |builder: &mut BatchBuilder, row: &[u8]| {
        builder.push(RowRef { tenant: "t", index: 1, recorded_at: 2, kind: 0, row })
    };
    push(&mut builder, &good(1)).unwrap();
    assert!(matches!(push(&mut builder, &no_time), Err(Error::Refused { .. })));
    assert!(matches!(push(&mut builder, &torn), Err(Error::Row { row: 1, .. })));
    push(&mut builder, &good(2)).unwrap();
    let mut rows = Vec::new();
    batch_to_rows(&builder.finish().unwrap(), |r| {
        rows.push(r.row.to_vec());
        Ok::<(), Error>(())
    })
    .unwrap();
    assert_eq!(rows, [good(1), good(2)]);
    assert_eq!(builder.finish().unwrap().num_rows(), 0);
}

#[test]
fn the_writer_refuses_what_is_not_sorted() {
    let dir = tempfile::tempdir().unwrap();
    let rows = common::sample(1, 10, 1);
    let mut other_tenant = rows.clone();
    other_tenant.insert(0, Row { tenant: 2, ..rows[0].clone() });
    let mut swapped = rows.clone();
    swapped.swap(3, 7);
    for bad in [swapped, other_tenant] {
        let names: Vec<String> = bad.iter().map(|r| name(r.tenant)).collect();
        let refs = bad
            .iter()
            .zip(&names)
            .map(|(r, n)| (r.tenant, RowRef { tenant: n, index: r.index, recorded_at: 0, kind: 0, row: &r.bytes }));
        assert!(matches!(segments::write_segment(&Dir::local(dir.path()), 1, refs), Err(Error::Refused { .. })));
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn an_empty_segment_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let info = write(dir.path(), 1, &[]);
    let segment = Segment::open(&Dir::local(dir.path()), info.clone()).unwrap();
    assert!(segment.parts(0, 4).is_empty());
    assert_eq!(segment.scan(&segments::ScanRequest::new(0, &[0])).unwrap().count(), 0);
    admit(&Dir::local(dir.path()), &info, &mut |_| Err(Error::Refused { row: 0, what: "no row expected".into() }))
        .unwrap();
}
