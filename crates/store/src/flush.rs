//! The tail into a segment: hop 5.
//!
//! Order, and what a crash means at each step: sign (nothing changes) → write files (orphans, removed at the
//! next start) → admit (the same) → one catalog transaction (**the commit**: from here the rows are stored)
//! → show the segment → let the tail go and cut the journal (a crash before: the next start skips the frames).

use crate::admit::Leaves;
use crate::error::{Error, Result};
use crate::store::{Store, row_of};
use catalog::{StoreCommit, TileRow};
use event::Field;
use ledger::{PersonKey, TailRow};
use segments::{RowRef, Segment, write_segment};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Rows of one segment written from the tail; more become several.
const MAX_ROWS: usize = 1 << 20;

impl Store {
    /// Moves everything sealed so far to segments. Returns when it is there; writers go on meanwhile.
    ///
    /// # Errors
    /// Nothing is lost: the rows stay in the tail and the journal, and the next flush takes them.
    pub fn flush(&self) -> Result<()> {
        let mut frontiers = self.frontiers.lock();
        let started = Instant::now();
        let Some(frozen) = self.ledger.freeze() else { return Ok(()) };
        self.keys_to_store.lock().extend(frozen.keys.iter().copied());
        if frozen.tenants.is_empty() {
            return Ok(());
        }
        let mut tenants = Vec::with_capacity(frozen.tenants.len());
        for (number, first, size) in &frozen.tenants {
            tenants.push((self.tenant(*number)?, *first, *size));
        }
        // The mark is never behind what is stored: see `Ledger::open`.
        let named: Vec<_> = tenants.iter().map(|(t, ..)| (t.number, t.slug.clone())).collect();
        self.checkpoints.publish(&self.ledger, &named)?;

        tenants.sort_by_key(|(t, ..)| t.number);
        let mut rows: Vec<(u32, &str, TailRow)> = Vec::new();
        let mut leaves = Leaves::default();
        let mut tiles = Tiles::default();
        let mut grown = HashMap::new();
        for (tenant, first, size) in &tenants {
            let mut frontier = frontiers.get(&tenant.number).cloned().unwrap_or_default();
            let mut tail = self.ledger.rows(tenant.number, *first, (size - first) as usize);
            if frontier.size() != *first || tail.len() as u64 != size - first {
                return Err(Error::Missing {
                    tenant: tenant.slug.clone(),
                    what: format!("the tail does not go on at index {}", frontier.size()),
                });
            }
            leaves.expect(tenant.number, *first, size - first);
            for row in &tail {
                leaves.put(tenant.number, row.index, row.leaf);
                frontier.push_with(row.leaf, |height, index, hash| tiles.push(tenant.number, height, index, hash));
            }
            grown.insert(tenant.number, frontier);
            sort(&mut tail);
            rows.extend(tail.into_iter().map(|r| (tenant.number, tenant.slug.as_str(), r)));
        }
        let now = self.now();
        let dir = self.folder.segments();
        let mut infos = Vec::new();
        for part in rows.chunks(MAX_ROWS) {
            let id = self.catalog.next_segment_id()?;
            infos.push(write_segment(
                &dir,
                id,
                part.iter().map(|(number, slug, r)| {
                    (
                        *number,
                        RowRef { tenant: slug, index: r.index, recorded_at: r.recorded_at, kind: r.kind, row: &r.row },
                    )
                }),
            )?);
        }
        if let Err(e) = self.admit(&infos, &mut leaves) {
            self.counters.mismatches.fetch_add(1, Ordering::Relaxed);
            for info in &infos {
                segments::remove(&dir, info.id)?;
            }
            return Err(e);
        }
        let keys: Vec<(u32, PersonKey)> = self.keys_to_store.lock().clone();
        let count = rows.len() as u64;
        drop(rows);
        let opened = infos.iter().map(|i| Segment::open(&dir, i.clone())).collect::<Result<Vec<_>, _>>()?;
        self.catalog.commit_store(StoreCommit {
            add: infos.iter().map(|i| row_of(i, 0, now)).collect(),
            flushed_seq: Some(frozen.seq),
            person_keys: keys.iter().map(|(t, (p, k))| (*t, *p, *k)).collect(),
            frontiers: grown.iter().map(|(t, f)| (*t, f.size(), f.to_bytes())).collect(),
            tiles: tiles.rows(self)?,
            now,
            ..StoreCommit::default()
        })?;
        // Stored. What follows only shows it and frees what is not needed any more.
        {
            let _changing = self.changing.lock();
            let mut set = self.set.write();
            let mut next = set.as_ref().clone();
            next.extend(opened);
            *set = Arc::new(next);
        }
        frontiers.extend(grown);
        self.keys.stored(&keys);
        self.keys_to_store.lock().drain(..keys.len());
        self.ledger.stored(&frozen)?;
        for (tenant, _, size) in &tenants {
            self.blocks.trim(tenant.number, *size);
        }
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        self.counters.flushed_rows.fetch_add(count, Ordering::Relaxed);
        self.counters.flush_micros.fetch_add(started.elapsed().as_micros() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// `(time DESC, id DESC)`, the order of a segment.
fn sort(rows: &mut [TailRow]) {
    rows.sort_by_cached_key(|r| {
        let mut time = 0;
        let mut id: &[u8] = &[];
        for field in event::encode::fields(&r.row).map_while(Result::ok) {
            match field.field {
                Field::Id => id = field.value,
                Field::Time => {
                    time = field.time().unwrap_or(0);
                    break;
                }
                _ => {}
            }
        }
        std::cmp::Reverse((time, id.to_vec()))
    });
}

/// Hashes of tile levels from 1 up that a flush completes.
#[derive(Default)]
pub(crate) struct Tiles(BTreeMap<(u32, u8, u64), Vec<u8>>);

impl Tiles {
    /// A completed subtree. Those of one level come in order.
    pub fn push(&mut self, tenant: u32, height: u8, index: u64, hash: merkle::Hash) {
        if height.is_multiple_of(8) {
            self.0.entry((tenant, height / 8, index / 256)).or_default().extend_from_slice(&hash);
        }
    }

    /// As catalog rows: a tile begun earlier is taken up again.
    fn rows(self, store: &Store) -> Result<Vec<TileRow>> {
        self.0
            .into_iter()
            .map(|((tenant, level, index), new)| {
                let mut hashes = store.catalog.tile(tenant, level, index)?.unwrap_or_default();
                hashes.extend_from_slice(&new);
                Ok(TileRow { tenant, level, index, hashes })
            })
            .collect()
    }
}
