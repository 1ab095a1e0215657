//! Merging: every row goes on, sorted, and large tenants get files of their own.

mod common;

use common::{Row, sample, sort, write};
use disk::Dir;
use proptest::prelude::*;
use segments::{Error, Segment, SegmentInfo, admit, write_merged};
use std::path::Path;
use std::sync::Arc;

fn merge(dir: &Path, parts: &[Vec<Row>], max_rows: u64) -> (Vec<SegmentInfo>, u64) {
    let inputs: Vec<Arc<Segment>> = parts
        .iter()
        .enumerate()
        .map(|(n, part)| Segment::open(&Dir::local(dir), write(dir, n as u64, part)).unwrap())
        .collect();
    let mut id = 1000;
    let mut new_id = || {
        id += 1;
        id
    };
    let mut throttled = 0;
    let mut throttle = |n| {
        throttled += n;
        Ok(())
    };
    let infos = write_merged(&Dir::local(dir), &mut new_id, &inputs, max_rows, &mut throttle).unwrap();
    (infos, throttled)
}

fn read(dir: &Path, infos: &[SegmentInfo]) -> Vec<Vec<Row>> {
    infos
        .iter()
        .map(|info| {
            let tenants: Vec<u32> = info.slices.iter().flat_map(|s| vec![s.tenant; s.rows as usize]).collect();
            let mut rows = Vec::new();
            admit(&Dir::local(dir), info, &mut |row| {
                rows.push(Row::owned(tenants[rows.len()], row));
                Ok::<(), Error>(())
            })
            .unwrap();
            let mut sorted = rows.clone();
            sort(&mut sorted);
            assert!(rows == sorted, "a merged segment is sorted");
            rows
        })
        .collect()
}

fn multiset(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|a, b| (a.tenant, a.index, &a.id, &a.bytes).cmp(&(b.tenant, b.index, &b.id, &b.bytes)));
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_merge_is_the_union(seed in any::<u64>(), n in 0..4000usize, tenants in 1..40u32, deal in prop::collection::vec(1..500usize, 1..6)) {
        let rows = sample(seed, n, tenants);
        let mut parts: Vec<Vec<Row>> = vec![Vec::new(); deal.len()];
        for (i, row) in rows.iter().enumerate() {
            let part = (0..deal.len()).find(|p| (i / deal[*p]).is_multiple_of(deal.len() - p)).unwrap_or(0);
            parts[part].push(row.clone());
        }
        // The same row twice is two rows: a merge drops nothing.
        if let Some(first) = rows.first() {
            parts[0].push(first.clone());
            sort(&mut parts[0]);
        }
        let dir = tempfile::tempdir().unwrap();
        let (infos, throttled) = merge(dir.path(), &parts, 1 << 20);
        prop_assert!(infos.len() <= 1);
        let got = read(dir.path(), &infos).concat();
        prop_assert_eq!(throttled as usize, got.len());
        prop_assert!(multiset(got) == multiset(parts.concat()));
    }
}

#[test]
fn large_tenants_get_their_own_files_and_those_are_split() {
    let mut rows = sample(5, 150_000, 1);
    rows.iter_mut().for_each(|r| r.tenant = 4);
    rows.extend(sample(6, 3000, 4));
    rows.extend(sample(7, 2000, 3).into_iter().map(|r| Row { tenant: r.tenant + 5, ..r }));
    sort(&mut rows);
    let parts: Vec<Vec<Row>> = (0..3).map(|n| rows.iter().skip(n).step_by(3).cloned().collect()).collect();
    let dir = tempfile::tempdir().unwrap();
    let (infos, _) = merge(dir.path(), &parts, 100_000);
    let got = read(dir.path(), &infos);
    let tenants = |info: &SegmentInfo| info.slices.iter().map(|s| s.tenant).collect::<Vec<_>>();
    let own: Vec<&SegmentInfo> = infos.iter().filter(|i| tenants(i) == [4]).collect();
    // 100,000 rounds up to two row groups.
    assert_eq!(own.iter().map(|i| i.rows).collect::<Vec<_>>(), [131_072, 150_000 - 131_072]);
    let shared: Vec<&SegmentInfo> = infos.iter().filter(|i| tenants(i) != [4]).collect();
    assert_eq!(shared.len(), 1);
    assert_eq!(tenants(shared[0]), [0, 1, 2, 3, 5, 6, 7]);
    assert!(multiset(got.concat()) == multiset(rows));
}

#[test]
fn small_tenants_are_not_torn_where_a_shared_file_ends() {
    let rows = sample(8, 140_000, 7);
    let parts =
        [rows.iter().step_by(2).cloned().collect::<Vec<_>>(), rows.iter().skip(1).step_by(2).cloned().collect()];
    let dir = tempfile::tempdir().unwrap();
    let (infos, _) = merge(dir.path(), &parts, 65_536);
    assert!(infos.len() >= 3);
    let mut seen: Vec<u32> = infos.iter().flat_map(|i| i.slices.iter().map(|s| s.tenant)).collect();
    assert!(infos.iter().all(|i| i.rows <= 65_536));
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
    assert!(multiset(read(dir.path(), &infos).concat()) == multiset(rows));
}
