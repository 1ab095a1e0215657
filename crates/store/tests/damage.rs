//! One flipped bit in any file of a stopped folder: `verify` names the file, and of a segment the tenant and a
//! record that cannot be read any more.
#![allow(missing_docs)]

mod common;

use common::World;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use store::verify::Finding;

/// Two tenants over several pages, one part in a segment and one in the journal, stopped in order.
fn stopped() -> World {
    let mut world = World::new();
    world.more("acme", 9_000);
    world.more("globex", 700);
    world.store().flush().unwrap();
    world.more("acme", 40);
    world.more("globex", 3);
    let (_, secret) = world.store().catalog().create_key(None, "admin", catalog::Scopes::ALL, common::NOW).unwrap();
    world.folder().write_secret(&world.folder().admin_key(), &format!("{secret}\n")).unwrap();
    world.close();
    let report = world.verify();
    assert_eq!(report.findings, []);
    assert_eq!((report.records, report.segments, report.tenants), (9_743, 1, 2));
    world
}

/// Flips one bit, asks, and puts it back.
fn flipped<T>(path: &Path, byte: usize, ask: impl FnOnce() -> T) -> T {
    let sound = fs::read(path).unwrap();
    let mut bytes = sound.clone();
    bytes[byte] ^= 1 << (byte % 8);
    fs::write(path, bytes).unwrap();
    let answer = ask();
    fs::write(path, sound).unwrap();
    answer
}

/// `n` places from the first byte to the last.
fn places(path: &Path, n: usize) -> impl Iterator<Item = usize> {
    let len = fs::metadata(path).unwrap().len() as usize;
    (0..n).map(move |i| if i + 1 == n { len - 1 } else { i * len / n + i * 7 % 13 }).filter(move |at| *at < len)
}

fn named(findings: &[Finding], path: &Path) -> bool {
    findings.iter().any(|f| f.file == path)
}

#[test]
fn in_a_segment_the_record_is_named() {
    let world = stopped();
    let path = world.segment_files("parquet").remove(0);
    let catalog = Arc::new(catalog::Catalog::open_read_only(&disk::local(), &world.folder().catalog()).unwrap());
    let row = catalog.segments().unwrap().remove(0);
    let numbers: Vec<u32> = row.slices.iter().map(|s| s.tenant).collect();
    let info = || segments::SegmentInfo {
        id: row.id,
        rows: row.rows,
        bytes: row.bytes,
        sha256: row.sha256,
        filter_bytes: row.filter_bytes,
        filter_sha256: row.filter_sha256,
        slices: row
            .slices
            .iter()
            .map(|s| segments::SliceInfo {
                tenant: s.tenant,
                row_start: s.row_start,
                rows: s.rows,
                min_time: s.min_time,
                max_time: s.max_time,
                min_index: s.min_index,
                max_index: s.max_index,
            })
            .collect(),
    };
    // A look-up may read the beginning of a damaged page only and find its record sound; a scan reads whole pages.
    let readable = |segment: &Arc<segments::Segment>, tenant: u32| {
        let all: Vec<usize> = (0..segments::columns::COUNT).collect();
        let scanned = segment.scan(&segments::ScanRequest::new(tenant, &all));
        scanned.is_ok_and(|mut batches| batches.all(|b| b.is_ok()))
    };
    let mut in_pages = 0;
    for byte in places(&path, 20) {
        flipped(&path, byte, || {
            let findings = world.verify().findings;
            let of_file: Vec<_> = findings.iter().filter(|f| f.file == path).collect();
            assert!(!of_file.is_empty(), "byte {byte} went unnoticed");
            for finding in of_file {
                let slug = finding.tenant.as_deref().unwrap_or_else(|| panic!("byte {byte}: no tenant: {finding}"));
                let index = finding.index.unwrap_or_else(|| panic!("byte {byte}: no index: {finding}"));
                let tenant = catalog.tenant(slug).unwrap().number;
                assert!(numbers.contains(&tenant));
                // The record's tenant is one that is really hit. (In the footer it is all of them.)
                if let Ok(segment) = segments::Segment::open(&world.folder().segments(), info()) {
                    in_pages += 1;
                    assert!(!readable(&segment, tenant), "byte {byte}: {finding} ({index})");
                }
            }
        });
    }
    assert!(in_pages > 10, "{in_pages}");
    assert_eq!(world.verify().findings, []);
}

#[test]
fn in_every_other_file_the_file_is_named() {
    let mut world = stopped();
    let folder = world.folder();
    let journal = common::files(&folder.journal(), "log");
    let filters = world.segment_files("idx");
    let files = [
        (&folder.catalog(), 24),
        (&folder.catalog_sum(), 12),
        (&folder.ledger_key(), 30),
        (&folder.admin_key(), 30),
        (&folder.high_water, 40),
        (&journal[0], 40),
        (&filters[0], 12),
    ];
    for (path, n) in files {
        for byte in places(path, n) {
            let findings = flipped(path, byte, || world.verify().findings);
            // Of the catalog and its checksum either may be the one that was changed; the words name both.
            let both = findings.iter().any(|f| f.what.contains(path.to_str().unwrap()));
            assert!(
                named(&findings, path) || (*path == folder.catalog_sum() && both),
                "{} byte {byte}: {findings:?}",
                path.display()
            );
        }
    }
    assert_eq!(world.verify().findings, []);
    world.open().unwrap();
    world.check();
}

/// The same flips at a start: nothing is opened, and so nothing sealed or signed, on what was changed.
#[test]
fn a_start_refuses_what_it_would_build_on() {
    let mut world = stopped();
    let folder = world.folder();
    let journal = common::files(&folder.journal(), "log").remove(0);
    // At the end of the journal stands the frame that says that the stop was in order; no record needs it.
    const STOP: usize = 36;
    for path in [folder.catalog(), folder.ledger_key(), folder.high_water, journal.clone()] {
        let sound = fs::read(&path).unwrap();
        let end = sound.len() - if path == journal { STOP } else { 0 };
        for byte in places(&path, 12).filter(|byte| *byte < end) {
            let mut bytes = sound.clone();
            bytes[byte] ^= 0x40;
            fs::write(&path, bytes).unwrap();
            assert!(world.open().is_err(), "{} byte {byte} went unnoticed", path.display());
        }
        fs::write(&path, &sound).unwrap();
    }
    world.open().unwrap();
    world.check();
}
