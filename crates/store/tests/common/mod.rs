//! A store in a temporary folder, filled the way the server fills one, and a naive copy of its trees.
#![allow(dead_code)]

use catalog::Tenant;
use event::commit;
use event::parse::Parser;
use event::redact::Rules;
use ledger::{Batch, Hash, Outcome, Pending, Receipt, SubmitError};
use merkle::tile::{self, Tile, new_tiles};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use store::verify::{Report, verify};
use store::{Folder, Settings, Store};

/// 2026-11-20T12:00:00Z.
pub const NOW: i64 = 1_795_176_000_000_000;

/// What must be in a tenant's ledger: the stored form and leaf of every record.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    pub rows: Vec<(String, Vec<u8>)>,
    pub leaves: Vec<Hash>,
}

pub struct World {
    dir: tempfile::TempDir,
    pub clock: Arc<AtomicI64>,
    pub settings: Settings,
    open: Option<Arc<Store>>,
    pub expected: BTreeMap<String, Expected>,
}

/// No background work but what a test asks for; no waiting for the signer.
pub fn quiet() -> Settings {
    Settings {
        flush_after: Duration::from_secs(36_000),
        compaction_share: 0.0,
        checkpoint_every: Duration::from_secs(36_000),
        ..Settings::default()
    }
}

impl World {
    pub fn new() -> World {
        let mut world = World {
            dir: tempfile::tempdir().unwrap(),
            clock: Arc::new(AtomicI64::new(NOW)),
            settings: quiet(),
            open: None,
            expected: BTreeMap::new(),
        };
        world.open().unwrap();
        world
    }

    pub fn folder(&self) -> Folder {
        Folder::new(&self.dir.path().join("data"), None)
    }

    pub fn open(&mut self) -> store::Result<()> {
        let clock = Arc::clone(&self.clock);
        let clock: ledger::Clock = Arc::new(move || clock.fetch_add(7, Ordering::Relaxed));
        self.open = Some(Store::open(self.folder(), self.settings.clone(), clock)?.0);
        Ok(())
    }

    pub fn store(&self) -> &Arc<Store> {
        self.open.as_ref().expect("the store is open")
    }

    pub fn close(&mut self) {
        if let Some(store) = self.open.take() {
            store.close().unwrap();
        }
    }

    pub fn reopen(&mut self) {
        self.close();
        self.open().unwrap();
    }

    /// The folder and its mark as a crash at this moment would leave them: a copy, taken while the store is open.
    pub fn crashed(&self) -> World {
        let dir = tempfile::tempdir().unwrap();
        copy(self.dir.path(), dir.path());
        World {
            dir,
            clock: Arc::new(AtomicI64::new(self.clock.load(Ordering::Relaxed))),
            settings: self.settings.clone(),
            open: None,
            expected: self.expected.clone(),
        }
    }

    /// Puts the folder back from another world's, without the mark.
    pub fn restore(&mut self, from: &World) {
        let data = self.folder().dir;
        std::fs::remove_dir_all(&data).unwrap();
        copy(&from.folder().dir, &data);
    }

    pub fn tenant(&self, slug: &str) -> Arc<Tenant> {
        self.store().catalog().create_tenant(slug, "{}", NOW).unwrap().0
    }

    pub fn prepare(&self, slug: &str, records: &[String]) -> Batch {
        let (store, tenant) = (self.store(), self.tenant(slug));
        let rules = Rules::new(false, &[], &[]).unwrap();
        let parser = Parser { rules: &rules, tenant: slug, now: NOW };
        let mut batch = Batch { tenant: tenant.number, id_epoch: store.ledger().id_epoch(), ..Batch::default() };
        let mut keys = store.keys().intake(&tenant);
        let mut rows = Vec::new();
        let mut ids = Vec::new();
        for text in records {
            let mut fresh = || panic!("every record of a test has its id");
            let event = parser.parse(text, &mut fresh, &mut rows).unwrap_or_else(|e| panic!("{e}: {text}"));
            let commitment = commit::commitment(&rows[event.row.clone()], &mut keys).unwrap();
            let id = &rows[event.id];
            ids.push(String::from_utf8(id.to_vec()).unwrap());
            let id = Some(store.id_key(tenant.number, id));
            let sum = ledger::sum_of(&rows[event.row.clone()]);
            batch.records.push(Pending { kind: 0, row: event.row, commitment, sum, id, known: None });
        }
        batch.keys = keys.finish();
        batch.rows = rows;
        let found = store.find_ids(&tenant, &ids.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        for (id, pending) in ids.iter().zip(&mut batch.records) {
            pending.known = found.get(id).copied();
        }
        batch
    }

    pub fn submit(&self, batch: Batch) -> Result<Receipt, SubmitError> {
        let (keys, tenant) = (batch.keys.clone(), batch.tenant);
        let (send, receive) = std::sync::mpsc::channel();
        self.store().ledger().submit(batch, move |r| send.send(r).unwrap())?;
        let receipt = receive.recv().unwrap()?;
        if receipt.outcomes.iter().any(|o| matches!(o, Outcome::Sealed { .. })) {
            self.store().keys().durable(tenant, &keys);
        }
        Ok(receipt)
    }

    /// Seals new records.
    pub fn put(&mut self, slug: &str, records: &[String]) {
        for records in records.chunks(500) {
            let batch = self.prepare(slug, records);
            let rows: Vec<Vec<u8>> = batch.records.iter().map(|r| batch.rows[r.row.clone()].to_vec()).collect();
            let receipt = self.submit(batch).unwrap();
            let expected = self.expected.entry(slug.to_owned()).or_default();
            for ((text, row), outcome) in records.iter().zip(rows).zip(receipt.outcomes) {
                let Outcome::Sealed { index, leaf } = outcome else { panic!("{outcome:?}: {text}") };
                assert_eq!(index, expected.rows.len() as u64);
                let id = text.split('"').nth(3).unwrap().to_owned();
                expected.rows.push((id, row));
                expected.leaves.push(leaf);
            }
        }
    }

    /// `n` more records of a tenant.
    pub fn more(&mut self, slug: &str, n: usize) {
        let have = self.expected.get(slug).map_or(0, |e| e.rows.len());
        let records: Vec<String> = (have..have + n).map(|i| record(slug, i)).collect();
        self.put(slug, &records);
    }

    /// Everything of every tenant, read through the store and compared with the naive copy.
    pub fn check(&self) {
        for (slug, expected) in &self.expected {
            check_tenant(self.store(), &self.tenant(slug), expected);
        }
    }

    pub fn verify(&self) -> Report {
        verify(&self.folder(), &|_| {}).unwrap()
    }

    pub fn segment_files(&self, extension: &str) -> Vec<PathBuf> {
        files(&self.folder().segments().path, extension)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Its threads hold an open store.
        if let Some(store) = self.open.take() {
            let _ = store.close();
        }
    }
}

/// Files of a folder with this extension, by name.
pub fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut found: Vec<_> = entries.filter(|p| p.extension().is_some_and(|e| e == extension)).collect();
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Record `i` of a tenant: of all logs, with persons, lists and free text, times in no order.
pub fn record(slug: &str, i: usize) -> String {
    let at = NOW - (i as i64 * 7_919 % 10_000_019) * 1_000;
    let time = event::time::format(at);
    let user = i * 31 % 97;
    let head = format!(r#"{{"id":"{slug}-{i}","time":"{time}""#);
    match i % 4 {
        0 => format!(
            r#"{head},"log":"audit","action":"iam.patch","actor":{{"id":"u{user}","email":"User{user}@Example.com"}},"target":{{"id":"t{}","name":"Target"}},"old":{{"a":{i}}},"new":{{"a":{}}},"comments":"it is {i}"}}"#,
            i % 13,
            i + 1
        ),
        1 => format!(
            r#"{head},"log":"event","action":"login","outcome":"failure","identifier":"who{user}@example.com","ip":"10.0.{}.{}","message":"wrong password"}}"#,
            i % 5,
            i % 251
        ),
        2 => format!(
            r#"{head},"log":"notification","action":"mail","notification":{{"id":"n{i}","status":"sent","recipient":["a{user}@example.com","b@example.com"],"subject":"Hello {i}","body":"text"}}}}"#
        ),
        _ => format!(
            r#"{head},"log":"audit","action":"job.done","job":{{"id":"j{i}","status":"success"}},"request_id":"r{i}"}}"#
        ),
    }
}

/// A tree by its definition: tile hashes from the leaves below them.
fn naive_tile(leaves: &[Hash], tile: Tile) -> Vec<u8> {
    let span = 256usize.pow(u32::from(tile.level));
    let first = tile.index as usize * 256;
    (first..first + usize::from(tile.width)).flat_map(|i| merkle::root_of(&leaves[i * span..(i + 1) * span])).collect()
}

/// Rows, tiles, entry bundles, proofs, ids and the snapshot of one tenant.
pub fn check_tenant(store: &Arc<Store>, tenant: &Arc<Tenant>, expected: &Expected) {
    let size = expected.rows.len() as u64;
    let head = store.ledger().head(tenant.number);
    let root = merkle::root_of(&expected.leaves);
    assert_eq!((head.size, head.root), (size, root), "{}", tenant.slug);

    let rows = store.rows(tenant, 0..size).unwrap();
    for (index, (row, (want, leaf))) in rows.iter().zip(expected.rows.iter().zip(&expected.leaves)).enumerate() {
        assert_eq!((row.index, &row.row, &row.leaf), (index as u64, &want.1, leaf), "{} {index}", tenant.slug);
        assert_eq!(merkle::leaf_hash(&row.entry()), *leaf);
    }
    for i in (0..size).step_by(1 + size as usize / 7) {
        let some = store.rows(tenant, i..(i + 3).min(size)).unwrap();
        assert_eq!(some[0].row, expected.rows[i as usize].1);
    }
    assert!(store.rows(tenant, 0..size + 1).is_err(), "what is not there is an error, never a shorter answer");

    for tile in new_tiles(0, size) {
        assert_eq!(*store.tile(tenant, tile).unwrap(), naive_tile(&expected.leaves, tile), "{tile:?}");
        if tile.level == 0 {
            let bundle = store.bundle(tenant, tile).unwrap();
            let entries = merkle::bundle::decode_exact(&bundle, tile.width).unwrap();
            let first = tile.index as usize * 256;
            let leaves: Vec<Hash> = entries.iter().map(|e| merkle::leaf_hash(e)).collect();
            assert_eq!(leaves, expected.leaves[first..first + usize::from(tile.width)]);
        }
    }
    let mut reader = store.tile_reader(tenant);
    for index in [0, size / 3, 255, 256, size.saturating_sub(1)].into_iter().filter(|i| *i < size) {
        let proof = tile::inclusion_proof(&mut reader, index, size).unwrap();
        merkle::proof::verify_inclusion(index, size, &expected.leaves[index as usize], &proof, &root).unwrap();
    }
    for old in [1, size / 2, 256, 257, size].into_iter().filter(|old| (1..=size).contains(old)) {
        let proof = tile::consistency_proof(&mut reader, old, size).unwrap();
        let before = merkle::root_of(&expected.leaves[..old as usize]);
        merkle::proof::verify_consistency(old, size, &before, &root, &proof).unwrap();
    }

    let ids: Vec<usize> = (0..expected.rows.len()).step_by(1 + expected.rows.len() / 5).collect();
    for i in ids {
        let id = &expected.rows[i].0;
        assert_eq!(store.index_of(tenant, id).unwrap(), Some(i as u64), "{id}");
        let found = store.find_ids(tenant, &[id, "not there"]).unwrap();
        if let Some(known) = found.get(id.as_str()) {
            assert_eq!((known.index, known.leaf), (i as u64, expected.leaves[i]));
        } else {
            assert!(store.ledger().row(tenant.number, i as u64).is_some(), "{id} is neither in a segment nor the tail");
        }
    }
    assert_eq!(store.index_of(tenant, "not there").unwrap(), None);
    assert_eq!(snapshot_indexes(store, tenant, None), (0..size).collect::<Vec<_>>(), "{}", tenant.slug);
    assert_eq!(snapshot_indexes(store, tenant, Some(size / 2)), (0..size / 2).collect::<Vec<_>>());
}

/// The indexes that a query over a snapshot reads, sorted: each must be there once (I5).
pub fn snapshot_indexes(store: &Arc<Store>, tenant: &Arc<Tenant>, size: Option<u64>) -> Vec<u64> {
    indexes(store, tenant, size).unwrap()
}

/// The same, where reading may fail.
pub fn indexes(store: &Arc<Store>, tenant: &Arc<Tenant>, size: Option<u64>) -> store::Result<Vec<u64>> {
    let snapshot = store.snapshot(tenant, size);
    let mut indexes = Vec::new();
    for segment in &snapshot.segments {
        let mut request = segments::ScanRequest::new(tenant.number, &[segments::columns::INDEX]);
        request.index_below = Some(snapshot.size.min(snapshot.stored));
        for batch in segment.scan(&request)? {
            indexes.extend(column(&batch?, 0));
        }
    }
    for block in &snapshot.blocks {
        indexes.extend(column(block.batch()?, segments::columns::INDEX));
    }
    indexes.retain(|i| *i < snapshot.size);
    indexes.sort_unstable();
    Ok(indexes)
}

fn column(batch: &arrow::array::RecordBatch, at: usize) -> Vec<u64> {
    let column = batch.column(at).as_any().downcast_ref::<arrow::array::UInt64Array>().unwrap();
    column.values().to_vec()
}
