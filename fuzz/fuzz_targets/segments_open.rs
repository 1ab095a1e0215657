//! Segment files: raw bytes, and a sound pair with some bytes changed and the checksums over them made right again, so that
//! what is behind the checksums is reached. Opening and reading every row never panics.
#![no_main]
use disk::Dir;
use indelible_fuzz::{edited, scratch};
use libfuzzer_sys::fuzz_target;
use segments::{IdKey, RowRef, Segment, SegmentInfo, SliceInfo, idx_path, parquet_path};
use std::sync::OnceLock;

const ROWS: u64 = 300;

struct Sound {
    info: SegmentInfo,
    parquet: Vec<u8>,
    idx: Vec<u8>,
}

fn local(dir: &std::path::Path) -> Dir {
    Dir::new(disk::local(), dir.to_owned())
}

/// A segment of three tenants, written once.
fn sound() -> &'static Sound {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    SOUND.get_or_init(|| {
        // The decoder of Parquet may panic on what passes its checksums; the segment makes an error of that. One that is not caught
        // still ends the run, but not before somebody could catch it.
        std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
        let dir = scratch().join("sound");
        std::fs::create_dir_all(&dir).unwrap();
        let rows: Vec<(u32, String, Vec<u8>, u64)> = (0..ROWS)
            .map(|n| {
                let tenant = 1 + (n / 100) as u32;
                let time = 1_790_000_000_000_000 - (n as i64) * 1_000_000;
                let mut row = Vec::new();
                event::encode::put(&mut row, event::Field::Id, format!("id-{n:04}").as_bytes());
                event::encode::put(&mut row, event::Field::Log, b"event");
                event::encode::put_time(&mut row, event::Field::Time, time);
                event::encode::put(&mut row, event::Field::Action, b"login");
                (tenant, format!("tenant-{tenant}"), row, n % 100)
            })
            .collect();
        let refs = rows.iter().map(|(tenant, name, row, index)| {
            (*tenant, RowRef { tenant: name, index: *index, recorded_at: 5, kind: 0, row })
        });
        let info = segments::write_segment(&local(&dir), 1, refs).unwrap();
        Sound {
            parquet: std::fs::read(parquet_path(&dir, 1)).unwrap(),
            idx: std::fs::read(idx_path(&dir, 1)).unwrap(),
            info,
        }
    })
}

/// Makes the checksums of an `.idx` file right: of its head, and of each section that lies inside it.
fn resum(idx: &mut [u8]) {
    const HEAD: usize = 40;
    if idx.len() < HEAD + 4 {
        return;
    }
    let crc = crc32c::crc32c(&idx[..HEAD]).to_le_bytes();
    idx[HEAD..HEAD + 4].copy_from_slice(&crc);
    let mut at = HEAD + 4;
    while let Some(head) = idx.get(at..at + 12) {
        let len = u64::from_le_bytes(head[4..12].try_into().unwrap());
        let Some(end) = usize::try_from(len).ok().and_then(|n| n.checked_add(at + 12)).filter(|e| *e + 4 <= idx.len())
        else {
            return;
        };
        let crc = crc32c::crc32c(&idx[at..end]).to_le_bytes();
        idx[end..end + 4].copy_from_slice(&crc);
        at = end + 4;
    }
}

fn read(parquet: &[u8], idx: &[u8], info: &SegmentInfo) {
    let dir = scratch();
    std::fs::write(parquet_path(&dir, 1), parquet).unwrap();
    std::fs::write(idx_path(&dir, 1), idx).unwrap();
    let Ok(segment) = Segment::open(&local(&dir), info.clone()) else { return };
    let mut rows = 0;
    let _ = segment.rows(&mut |row| {
        rows += 1;
        let _ = event::encode::fields(row.row).count();
        Ok::<(), segments::Error>(())
    });
    assert!(rows <= info.rows, "never more rows than the catalog has");
    for tenant in 0..4 {
        let _ = segment.may_contain_id(IdKey::new(tenant, "id-0007"));
        let _ = segment.rows_by_index(tenant, 0..50, |_| Ok::<(), segments::Error>(()));
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let sound = sound();
    match choice % 4 {
        0 => read(&sound.parquet, data, &sound.info),
        1 => {
            let mut idx = edited(&sound.idx, data);
            resum(&mut idx);
            read(&sound.parquet, &idx, &sound.info);
        }
        2 => {
            // The block checksums are in the last section of the `.idx`: those of the changed file are put there.
            let parquet = edited(&sound.parquet, data);
            let mut idx = sound.idx.clone();
            let sums: Vec<u8> = parquet.chunks(4096).flat_map(|b| crc32c::crc32c(b).to_le_bytes()).collect();
            let at = idx.len() - 4 - sums.len();
            idx[at..at + sums.len()].copy_from_slice(&sums);
            resum(&mut idx);
            read(&parquet, &idx, &sound.info);
        }
        _ => {
            // What the catalog says, from the input.
            let number = |at: usize| data.get(at).copied().map_or(0, u64::from);
            let slices = (0..number(0) % 4).map(|n| SliceInfo {
                tenant: n as u32,
                row_start: number(n as usize + 1) * 7,
                rows: number(n as usize + 2),
                min_time: 0,
                max_time: 0,
                min_index: number(n as usize + 3),
                max_index: number(n as usize + 4),
            });
            let info = SegmentInfo { rows: number(6) + number(7), slices: slices.collect(), ..sound.info.clone() };
            read(&sound.parquet, &sound.idx, &info);
        }
    }
});
