//! A disk on which every sync takes its time: writers are made to wait, memory stays within its limits, and nothing
//! is lost. With the store's own threads, so not a schedule.

use crate::common::{NOW, record};
use crate::model::{self, Model, Records, Sent};
use crate::vfs;
use crate::world::World;
use ledger::SubmitError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use store::{Folder, Settings, Store};
use testdisk::FaultyDisk;

const WRITERS: usize = 3;
const BATCHES: usize = 25;
const ROWS: usize = 20;
const TAIL: usize = 96 << 10;

#[test]
fn a_slow_disk_makes_writers_wait_and_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("data")).unwrap();
    let disk = vfs::mount(root.path(), FaultyDisk::new(1));
    let folder = || Folder::new(&root.path().join("data"), None).on(Arc::new(disk.clone()));
    let settings = Settings {
        flush_bytes: TAIL / 2,
        tail_bytes: TAIL,
        pool_bytes: 32 << 10,
        checkpoint_every: Duration::from_millis(20),
        merge_at: 3,
        ..Settings::default()
    };
    let store = Store::open(folder(), settings.clone(), Arc::new(|| NOW)).unwrap().0;
    disk.slow_down(Duration::from_millis(4));
    let (waits, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let write = |slug: String| {
        let tenant = store.catalog().create_tenant(&slug, "{}", NOW).unwrap().0;
        let mut records = Records::default();
        for n in 0..BATCHES {
            let texts: Vec<_> = (n * ROWS..(n + 1) * ROWS).map(|i| (format!("{slug}-{i}"), record(&slug, i))).collect();
            let (sent, receipt): (Vec<Sent>, _) = loop {
                let (sent, batch) = World::prepare(&store, &tenant, &texts).unwrap();
                match World::submit(&store, batch) {
                    Ok(receipt) => break (sent, receipt),
                    Err(SubmitError::Full(_) | SubmitError::Stale) => {
                        waits.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    Err(e) => panic!("{e}"),
                }
            };
            most.fetch_max(store.ledger().tail_bytes(), Ordering::Relaxed);
            assert_eq!(receipt.outcomes, records.seal(&sent, receipt.recorded_at));
        }
        (slug, records)
    };
    let model: Model = std::thread::scope(|scope| {
        let write = &write;
        let writers: Vec<_> = (0..WRITERS).map(|n| scope.spawn(move || write(format!("t{n}")))).collect();
        writers.into_iter().map(|w| w.join().unwrap()).collect()
    });
    let (waits, most) = (waits.into_inner(), most.into_inner());
    println!("{waits} times a writer had to wait; at most {most} bytes in the tail");
    assert!(waits > 0, "the disk was not slow enough to prove anything");
    assert!(most <= TAIL, "{most} bytes in the tail, and {TAIL} are the limit");
    model::check(&store, &model).unwrap();
    store.close().unwrap();
    drop(store);
    assert_eq!(store::verify::verify(&folder(), &|_| {}).unwrap().findings, []);
    disk.mend();
    let store = Store::open(folder(), settings, Arc::new(|| NOW)).unwrap().0;
    model::check(&store, &model).unwrap();
    store.close().unwrap();
    vfs::unmount(root.path());
}
