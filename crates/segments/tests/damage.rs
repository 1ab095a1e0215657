//! Damaged files: always found, never a panic, never "no rows". And a file of format 1, kept for ever.

mod common;

use common::{Row, sample, write};
use disk::Dir;
use segments::{
    Error, IdKey, RowRef, ScanRequest, Segment, SegmentInfo, admit, columns, idx_path, parquet_path, rebuild_filters,
    verify_files, write_segment,
};
use std::path::Path;
use std::sync::Arc;
use testdisk::{Fault, FaultyDisk};

fn scan_all(dir: &Path, info: &SegmentInfo) -> Result<usize, Error> {
    let segment = Segment::open(&Dir::local(dir), info.clone())?;
    let all: Vec<usize> = (0..columns::COUNT).collect();
    let mut n = 0;
    for slice in &info.slices {
        for batch in segment.scan(&ScanRequest::new(slice.tenant, &all))? {
            n += batch?.num_rows();
        }
    }
    Ok(n)
}

#[test]
fn any_flipped_bit_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let rows = sample(3, 3000, 3);
    let info = write(dir.path(), 1, &rows);
    assert_eq!(scan_all(dir.path(), &info).unwrap(), 3000);
    for path in [parquet_path(dir.path(), 1), idx_path(dir.path(), 1)] {
        let good = std::fs::read(&path).unwrap();
        let step = (good.len() / 150).max(1);
        for at in (0..good.len()).step_by(step).chain([good.len() - 1, good.len() - 6]) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bad).unwrap();
            let found = verify_files(&Dir::local(dir.path()), &info);
            assert!(matches!(found, Err(Error::Damaged { .. } | Error::Filters { .. })), "byte {at}: {found:?}");
            let mut n = 0;
            let admitted = admit(&Dir::local(dir.path()), &info, &mut |_| {
                n += 1;
                Ok::<(), Error>(())
            });
            assert!(admitted.is_err());
            match scan_all(dir.path(), &info) {
                // A block that this scan does not read, such as the magic number in front.
                Ok(rows) => assert_eq!(rows, 3000, "byte {at} of {}", path.display()),
                Err(e) => assert!(e.to_string().contains(&path.display().to_string()), "{e}"),
            }
        }
        for length in [0, 1, 7, good.len() / 2, good.len() - 1] {
            std::fs::write(&path, &good[..length]).unwrap();
            assert!(scan_all(dir.path(), &info).is_err());
            assert!(verify_files(&Dir::local(dir.path()), &info).is_err());
        }
        std::fs::remove_file(&path).unwrap();
        assert!(scan_all(dir.path(), &info).is_err());
        assert!(verify_files(&Dir::local(dir.path()), &info).is_err());
        std::fs::write(&path, &good).unwrap();
    }
    assert_eq!(scan_all(dir.path(), &info).unwrap(), 3000);
}

#[test]
fn damage_under_fitting_checksums_does_not_panic() {
    // As if the file had been written wrongly: the checksums fit, the content does not.
    let dir = tempfile::tempdir().unwrap();
    let rows = sample(4, 500, 2);
    let info = write(dir.path(), 1, &rows);
    let path = parquet_path(dir.path(), 1);
    let good = std::fs::read(&path).unwrap();
    std::panic::set_hook(Box::new(|_| {}));
    for at in (0..good.len()).step_by(509) {
        for bit in [0, 6] {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            std::fs::write(&path, &bad).unwrap();
            let mut lie = info.clone();
            lie.sha256 = sha256(&bad);
            if let Ok((bytes, sum)) = rebuild_filters(&Dir::local(dir.path()), &lie) {
                lie.filter_bytes = bytes;
                lie.filter_sha256 = sum;
                let _ = admit(&Dir::local(dir.path()), &lie, &mut |_| Ok::<(), Error>(()));
                let _ = scan_all(dir.path(), &lie);
            }
        }
    }
    let _ = std::panic::take_hook();
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}

#[test]
fn filters_are_rebuilt_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let info = write(dir.path(), 1, &sample(9, 40_000, 5));
    let path = idx_path(dir.path(), 1);
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, b"nonsense").unwrap();
    assert!(matches!(Segment::open(&Dir::local(dir.path()), info.clone()), Err(Error::Filters { .. })));
    assert_eq!(rebuild_filters(&Dir::local(dir.path()), &info).unwrap(), (info.filter_bytes, info.filter_sha256));
    assert_eq!(std::fs::read(&path).unwrap(), good);
    Segment::open(&Dir::local(dir.path()), info.clone()).unwrap();
    // Not from rows that are themselves damaged.
    let rows = parquet_path(dir.path(), 1);
    let mut bad = std::fs::read(&rows).unwrap();
    bad[100] ^= 1;
    std::fs::write(&rows, bad).unwrap();
    assert!(matches!(rebuild_filters(&Dir::local(dir.path()), &info), Err(Error::Damaged { .. })));
}

#[test]
fn the_catalog_and_the_file_must_agree() {
    let dir = tempfile::tempdir().unwrap();
    let info = write(dir.path(), 1, &sample(2, 1000, 3));
    let mut moved = info.clone();
    moved.slices[0].tenant = 77;
    let mut shifted = info.clone();
    shifted.slices[1].row_start += 1;
    let mut fewer = info.clone();
    fewer.slices.pop();
    for lie in [moved, shifted, fewer] {
        assert!(matches!(Segment::open(&Dir::local(dir.path()), lie), Err(Error::Damaged { .. })));
    }
    // Another segment's files under this name.
    let other = write(dir.path(), 2, &sample(3, 1000, 3));
    std::fs::copy(idx_path(dir.path(), 2), idx_path(dir.path(), 1)).unwrap();
    assert!(Segment::open(&Dir::local(dir.path()), info).is_err());
    segments::remove(&Dir::local(dir.path()), 2).unwrap();
    segments::remove(&Dir::local(dir.path()), 2).unwrap();
    assert!(Segment::open(&Dir::local(dir.path()), other).is_err());
}

/// Written by format 1 and never again: `INDELIBLE_GOLDEN=1 cargo test -p segments` makes it anew only where
/// it is missing.
#[test]
fn format_1_keeps_reading() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let rows: Vec<Row> = sample(1, 300, 3);
    let make = |path: std::path::PathBuf| std::env::var_os("INDELIBLE_GOLDEN").is_some() && !path.try_exists().unwrap();
    if make(parquet_path(&golden, 1)) {
        std::fs::create_dir_all(&golden).unwrap();
        write(&golden, 1, &rows);
    }
    let bytes = std::fs::read(parquet_path(&golden, 1)).unwrap();
    // What the catalog would say: from the rows, and from the hashes of the kept files.
    let dir = tempfile::tempdir().unwrap();
    let slices = write(dir.path(), 1, &rows).slices;
    let mut info = SegmentInfo {
        id: 1,
        rows: 300,
        bytes: bytes.len() as u64,
        sha256: sha256(&bytes),
        filter_bytes: 0,
        filter_sha256: [0; 32],
        slices,
    };
    if make(idx_path(&golden, 1)) {
        rebuild_filters(&Dir::local(&golden), &info).unwrap();
    }
    let filters = std::fs::read(idx_path(&golden, 1)).unwrap();
    (info.filter_bytes, info.filter_sha256) = (filters.len() as u64, sha256(&filters));
    assert_eq!(hex(&info.sha256), include_str!("golden/0000000000000001.parquet.sha256").trim());
    let mut n = 0;
    admit(&Dir::local(&golden), &info, &mut |row| {
        assert_eq!(Row::owned(rows[n].tenant, row), rows[n]);
        n += 1;
        Ok::<(), Error>(())
    })
    .unwrap();
    assert_eq!(n, 300);
    // The filters mean today what they meant then.
    std::fs::copy(parquet_path(&golden, 1), parquet_path(dir.path(), 1)).unwrap();
    assert_eq!(rebuild_filters(&Dir::local(dir.path()), &info).unwrap(), (info.filter_bytes, info.filter_sha256));
    let segment = Segment::open(&Dir::local(&golden), info).unwrap();
    for row in &rows {
        assert!(segment.may_contain_id(IdKey::new(row.tenant, &row.id)));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A disk that fails at any call of any reader is an error of the disk, never damage.
#[test]
fn a_read_that_fails_is_not_damage() {
    let disk = FaultyDisk::new(1);
    let dir = Dir::new(Arc::new(disk.clone()), "/segments");
    let rows = sample(4, 3_000, 3);
    let names: Vec<String> = rows.iter().map(Row::name).collect();
    let refs = rows.iter().zip(&names).map(|(r, name)| {
        (r.tenant, RowRef { tenant: name, index: r.index, recorded_at: r.recorded_at, kind: r.kind, row: &r.bytes })
    });
    let info = write_segment(&dir, 1, refs).unwrap();
    let all: Vec<usize> = (0..columns::COUNT).collect();
    let read = |dir: &Dir| -> Result<usize, Error> {
        verify_files(dir, &info)?;
        let segment = Segment::open(dir, info.clone())?;
        let mut n = 0;
        segment.rows(&mut |_| {
            n += 1;
            Ok::<(), Error>(())
        })?;
        for batch in segment.scan(&ScanRequest::new(1, &all))? {
            n += batch?.num_rows();
        }
        segment.rows_by_index(1, 5..9, |_| Ok::<(), Error>(()))?;
        rebuild_filters(dir, &info)?;
        Ok(n)
    };
    let before = disk.calls();
    let whole = read(&dir).unwrap();
    let calls = disk.calls() - before;
    for call in 1..=calls {
        disk.fail_in(call, Fault::Before, false);
        match read(&dir) {
            Err(e) => assert!(e.is_io(), "call {call} of {calls}: {e}"),
            Ok(_) => panic!("call {call} of {calls} failed and nobody said so"),
        }
        disk.mend();
    }
    assert!(calls > 50, "{calls}");
    assert_eq!(read(&dir).unwrap(), whole);
}
