//! Damage to journal files and marks: found, named by file and byte, and refused with nothing changed on disk.
#![allow(missing_docs)]

mod common;

use bytes::Bytes;
use common::{Fault, FaultyDisk};
use common::{LEDGER, TestClock, batch, config, journal, key_of, row};
use disk::Disk;
use ledger::frame::{FRAME_HEADER, FileHeader, FrameWriter, HEADER_LEN, file_header, read_frame};
use ledger::highwater::HighWater;
use ledger::journal::Replayed;
use ledger::{Hash, JournalError, Ledger};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Marks = HashMap<u32, (u64, Hash)>;

fn open(disk: &FaultyDisk, marks: &Marks) -> Result<(Ledger, Replayed), JournalError> {
    let clock = TestClock::default();
    clock.set(5_000);
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Ledger::open(config(&journal()), disk, clock.clock(), Vec::new(), 0, marks, key_of, |_, _| {})
}

fn write(ledger: &Ledger, tenant: u32, rows: std::ops::Range<u32>) {
    let rows: Vec<_> = rows.map(|n| row(&format!("id{n}"), "content")).collect();
    let (send, receive) = std::sync::mpsc::channel();
    ledger.submit(batch(tenant, ledger.id_epoch(), &rows), move |a| send.send(a).unwrap()).unwrap();
    receive.recv().unwrap().unwrap();
}

/// The process is gone without a word.
fn kill(disk: &FaultyDisk, ledger: Ledger) {
    disk.fail_in(1, Fault::Before, true);
    drop(ledger);
    disk.mend();
}

fn mark(ledger: &Ledger) -> Marks {
    ledger.tenants().into_iter().map(|t| (t, (ledger.head(t).size, ledger.head(t).root))).collect()
}

/// Three files: two frames; one and an orderly stop; two and no stop. And the mark of everything.
fn three_files() -> (FaultyDisk, Marks) {
    let disk = FaultyDisk::new(1);
    let (ledger, _) = open(&disk, &Marks::new()).unwrap();
    write(&ledger, 0, 0..3);
    write(&ledger, 1, 0..2);
    ledger.freeze().unwrap();
    write(&ledger, 0, 3..6);
    ledger.close();
    let (ledger, found) = open(&disk, &Marks::new()).unwrap();
    assert!(found.clean);
    write(&ledger, 1, 2..4);
    write(&ledger, 0, 6..8);
    let marks = mark(&ledger);
    kill(&disk, ledger);
    assert_eq!(disk.paths(&journal()).len(), 3);
    (disk, marks)
}

/// Where the header and the frames of a file begin.
fn starts(bytes: &Bytes) -> Vec<usize> {
    let mut starts = vec![0, HEADER_LEN];
    let mut at = HEADER_LEN;
    while let Ok(frame) = read_frame(bytes, at) {
        at += frame.len;
        starts.push(at);
    }
    assert_eq!(starts.pop(), Some(bytes.len()), "a sound file to begin with");
    starts
}

#[test]
fn a_flipped_bit_anywhere_is_refused_by_file_and_byte() {
    let (disk, marks) = three_files();
    let paths = disk.paths(&journal());
    for (n, path) in paths.iter().enumerate() {
        let sound = Bytes::from(disk.bytes(path));
        let starts = starts(&sound);
        for byte in 0..sound.len() {
            let part = *starts.iter().rfind(|s| **s <= byte).unwrap();
            let last = n + 1 == paths.len() && Some(&part) == starts.last();
            let bad = disk.copy();
            let mut bytes = sound.to_vec();
            bytes[byte] ^= 1 << (byte % 8);
            bad.put(path, bytes);
            let before = bad.content();
            match open(&bad, &Marks::new()) {
                Err(JournalError::Damage(d)) => {
                    assert_eq!((&d.path, d.at), (path, part), "byte {byte}: {d}");
                    assert_eq!(bad.content(), before, "a refusal changes nothing");
                }
                // A raised version number is what a newer program would write.
                Err(JournalError::Newer { path: named, .. }) => {
                    assert!(named == *path && (8..12).contains(&byte));
                    assert_eq!(bad.content(), before);
                }
                Ok((ledger, found)) => {
                    assert!(last, "{} byte {byte} went unnoticed", path.display());
                    assert_eq!(found.torn, sound.len() - part);
                    assert_eq!((ledger.size(0), ledger.size(1)), (6, 4));
                }
                Err(e) => panic!("byte {byte}: {e}"),
            }
            // What was signed is never cut.
            let bad = disk.copy();
            let mut bytes = sound.to_vec();
            bytes[byte] ^= 0x10;
            bad.put(path, bytes);
            let before = bad.content();
            let Err(e) = open(&bad, &marks) else { panic!("below the mark") };
            assert!(!last || matches!(e, JournalError::Behind { .. }), "{e}");
            assert_eq!(bad.content(), before, "{e}");
        }
    }
}

#[test]
fn a_flipped_bit_in_the_orderly_stop_loses_no_record() {
    let (disk, marks) = three_files();
    let (ledger, _) = open(&disk, &marks).unwrap();
    ledger.close();
    let path = disk.paths(&journal()).pop().unwrap();
    for byte in HEADER_LEN..HEADER_LEN + FRAME_HEADER + 12 {
        let bad = disk.copy();
        let mut bytes = bad.bytes(&path);
        bytes[byte] ^= 4;
        bad.put(&path, bytes);
        let (ledger, found) = open(&bad, &marks).unwrap();
        assert!(!found.clean);
        assert_eq!(mark(&ledger), marks);
    }
}

/// After an orderly stop nothing was being written: what follows it in the file was put there.
#[test]
fn bytes_after_an_orderly_stop_are_damage() {
    let (disk, marks) = three_files();
    open(&disk, &marks).unwrap().0.close();
    let path = disk.paths(&journal()).pop().unwrap();
    let mut bytes = disk.bytes(&path);
    let at = bytes.len();
    bytes.extend_from_slice(b"more");
    disk.put(&path, bytes);
    let Err(JournalError::Damage(d)) = open(&disk, &marks) else { panic!() };
    assert_eq!((d.path, d.at), (path, at));
}

/// The run after an orderly stop may be cut off in its first frame.
#[test]
fn a_torn_first_frame_after_an_orderly_stop_is_cut() {
    for keep in 0..100 {
        let (disk, marks) = three_files();
        open(&disk, &marks).unwrap().0.close();
        let (ledger, found) = open(&disk, &marks).unwrap();
        assert!(found.clean);
        write(&ledger, 0, 8..9);
        kill(&disk, ledger);
        let path = disk.paths(&journal()).pop().unwrap();
        let mut bytes = disk.bytes(&path);
        bytes.truncate((HEADER_LEN + keep).min(bytes.len() - 1));
        disk.put(&path, bytes);
        let (ledger, found) = open(&disk, &marks).unwrap_or_else(|e| panic!("{keep} bytes of the frame: {e}"));
        assert_eq!(mark(&ledger), marks);
        assert!(!found.clean);
    }
}

#[test]
fn missing_files_are_refused() {
    let (disk, marks) = three_files();
    let paths = disk.paths(&journal());
    for n in [0, 1] {
        let bad = disk.copy();
        bad.take(&paths[n]);
        let Err(JournalError::Damage(d)) = open(&bad, &Marks::new()) else { panic!("file {n} is gone") };
        assert_eq!(d.path, paths[n + 1]);
        assert!(d.what.contains("missing before this file"), "{d}");
    }
    disk.take(&paths[2]);
    assert!(matches!(open(&disk, &marks), Err(JournalError::Behind { .. })), "the end is gone, and was signed");
}

#[test]
fn foreign_and_newer_files_are_refused() {
    let (disk, marks) = three_files();
    let paths = disk.paths(&journal());
    let name = |n: u64| journal().join(format!("{n:016x}.log"));
    let header = |ledger, first_seq| file_header(&FileHeader { ledger, first_seq, recorded_at: 0 });
    let refused = |put: &dyn Fn(&FaultyDisk), want: &str| {
        let bad = disk.copy();
        put(&bad);
        let before = bad.content();
        let e = open(&bad, &marks).err().expect(want).to_string();
        assert!(e.contains(want), "{e}");
        assert_eq!(bad.content(), before);
    };
    let with_head = |path: &Path, head: &[u8]| {
        let mut bytes = disk.bytes(path);
        bytes[..HEADER_LEN].copy_from_slice(head);
        bytes
    };
    for path in &paths {
        let first = u64::from_str_radix(path.file_stem().unwrap().to_str().unwrap(), 16).unwrap();
        refused(&|d| d.put(path, with_head(path, &header([9; 16], first))), "belongs to another ledger");
        refused(&|d| d.put(path, with_head(path, &header(LEDGER, first + 1))), "the name");
        let mut newer = header(LEDGER, first);
        newer[8] = 2;
        let sum = crc32c(&newer[..44]).to_le_bytes();
        newer[44..].copy_from_slice(&sum);
        refused(&|d| d.put(path, with_head(path, &newer)), "newer");
    }
    refused(&|d| d.put(&name(3), disk.bytes(&paths[0])), "the header says frame 1, the name 3");
    // The last file under a name that comes before it is twice there.
    refused(&|d| d.put(&name(2), header(LEDGER, 2).to_vec()), "were in the file before");
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| (c >> 1) ^ (0x82F6_3B78 & 0u32.wrapping_sub(c & 1)))
    })
}

/// Frames that check and still cannot be right.
#[test]
fn sound_frames_that_do_not_follow_are_refused() {
    let refused = |frames: &[Vec<u8>], want: &str| {
        let disk = FaultyDisk::new(1);
        let mut bytes = file_header(&FileHeader { ledger: LEDGER, first_seq: 1, recorded_at: 50 }).to_vec();
        let at = bytes.len() + frames[..frames.len() - 1].iter().map(Vec::len).sum::<usize>();
        bytes.extend(frames.concat());
        let path = journal().join("0000000000000001.log");
        disk.put(&path, bytes);
        let Err(JournalError::Damage(d)) = open(&disk, &Marks::new()) else { panic!("{want}") };
        assert!(d.what.contains(want), "{d}");
        assert_eq!((d.path, d.at), (path, at));
    };
    let frame = |seq, time, first| {
        let mut w = FrameWriter::new(time, 0, 0);
        w.group(0, first, 1, &[]);
        w.record(0, b"a|b", &[1; 32]);
        w.finish(seq).to_vec()
    };
    let two = |second| vec![frame(1, 60, 0), second];
    refused(&two(frame(1, 60, 1)), "frame 1 stands where frame 2 was expected");
    refused(&two(frame(3, 60, 1)), "frame 3 stands where frame 2 was expected");
    refused(&two(frame(2, 59, 1)), "its time is before");
    refused(&[frame(1, 49, 0)], "its time is before");
    refused(&two(frame(2, 60, 0)), "index 0 follows a tree of 1");
    refused(&two(frame(2, 60, 2)), "index 2 follows a tree of 1");
}

#[test]
fn an_old_copy_and_another_history_are_refused() {
    let disk = FaultyDisk::new(1);
    let (ledger, _) = open(&disk, &Marks::new()).unwrap();
    write(&ledger, 0, 0..3);
    let old = disk.copy();
    write(&ledger, 0, 3..5);
    let marks = mark(&ledger);
    kill(&disk, ledger);

    let refused = |disk: &FaultyDisk, want: &str| {
        let before = disk.content();
        let e = match open(disk, &marks) {
            Err(e @ (JournalError::Fork(_) | JournalError::Behind { .. })) => e.to_string(),
            _ => panic!("{want}"),
        };
        assert!(e.contains(want), "{e}");
        assert_eq!(disk.content(), before);
    };
    refused(&old, "the data folder has 3 records, and 5 were signed");
    // The old copy goes on by itself, without its mark, as far as the other and past it.
    let (ledger, _) = open(&old, &Marks::new()).unwrap();
    write(&ledger, 0, 7..9);
    kill(&old, ledger);
    assert!(
        matches!(open(&old, &marks), Err(JournalError::Damage(d)) if d.what.contains("not the one that was signed"))
    );
    open(&disk, &marks).expect("the one that was signed goes on");
}

#[test]
fn a_mark_of_another_ledger_or_a_lost_one_is_refused() {
    let path = PathBuf::from("/mark/m");
    let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::new(1));
    let open = |ledger, may_create| HighWater::open(Arc::clone(&disk), &path, ledger, may_create);
    assert!(open(LEDGER, false).is_err());
    let mark = open(LEDGER, true).unwrap();
    mark.advance(&[(1, 5, [5; 32])]).unwrap();
    for (size, root) in [(4, [4; 32]), (5, [6; 32]), (0, [0; 32])] {
        let e = mark.advance(&[(2, 1, [1; 32]), (1, size, root)]).unwrap_err();
        assert!(e.to_string().contains("tenant 1: refusing to sign"), "{e}");
        assert_eq!(mark.get(2), None, "nothing is moved with it");
    }
    assert!(open([9; 16], true).is_err(), "another folder's mark");
    assert_eq!(open(LEDGER, false).unwrap().all(), [(1, 5, [5; 32])]);
}

/// The file holds a few thousand entries more than it needs and is then written anew.
#[test]
fn a_mark_does_not_grow_without_end() {
    let (faulty, path) = (FaultyDisk::new(1), PathBuf::from("/mark/m"));
    let disk: Arc<dyn Disk> = Arc::new(faulty.clone());
    let mark = HighWater::open(Arc::clone(&disk), &path, LEDGER, true).unwrap();
    for size in 1..10_000u64 {
        mark.advance(&[(1, size, [1; 32])]).unwrap();
        assert!(faulty.bytes(&path).len() <= 32 + 48 * 4_099);
    }
    drop(mark);
    assert_eq!(HighWater::open(disk, &path, LEDGER, false).unwrap().get(1), Some((9_999, [1; 32])));
}

/// A hundred tenants signed at once are an append of several sectors, which a power cut may leave in any order.
#[test]
fn a_mark_of_many_tenants_survives_a_power_cut_while_it_is_moved() {
    let path = Path::new("/mark/m");
    let heads = |size: u64| -> Vec<_> { (0..100).map(|t| (t, size, [size as u8; 32])).collect() };
    let mut moved = 0;
    for seed in 0..200 {
        let disk = FaultyDisk::new(seed);
        let on: Arc<dyn Disk> = Arc::new(disk.clone());
        let mark = HighWater::open(Arc::clone(&on), path, LEDGER, true).unwrap();
        mark.advance(&heads(1)).unwrap();
        mark.advance(&heads(2)[..7]).unwrap();
        // The machine stops at some call of the next move.
        disk.fail_in(1 + seed % 6, Fault::Short, true);
        let done = mark.advance(&heads(3)).is_ok();
        disk.power_cut();
        let mark = HighWater::open(on, path, LEDGER, false).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        for tenant in 0..100 {
            let (size, _) = mark.get(tenant).unwrap();
            let least = if done { 3 } else { 1 + u64::from(tenant < 7) };
            assert!((least..=3).contains(&size), "seed {seed}: tenant {tenant} is at {size}");
            moved += u64::from(size == 3);
        }
    }
    assert!(moved > 1_000 && moved < 20_000, "{moved} marks were moved: the cuts fell on one side");
}
