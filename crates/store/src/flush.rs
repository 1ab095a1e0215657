//! The tail into a segment: hop 5.
//!
//! Order, and what a crash means at each step: sign (nothing changes) → write files (orphans, removed at the
//! next start) → admit (the same) → one catalog transaction (**the commit**: from here the rows are stored)
//! → show the segment → let the tail go and cut the journal (a crash before: the next start skips the frames).

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::leaves::Leaves;
use crate::store::{Store, row_of};
use catalog::{StoreCommit, TileRow};
use event::Field;
use ledger::{Frozen, Hash, Ledger, PersonKey, TailPart, TailRow};
use merkle::Frontier;
use segments::{RowRef, Segment, write_segment};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Rows of one segment written from the tail; more become several.
const MAX_ROWS: usize = 1 << 20;
/// Rows after which a flush lets others work.
const REST_ROWS: usize = 4096;
/// Share of a core that a flush takes while there is room: enough for 40,000 records/s.
const UNHURRIED: f64 = 0.2;
/// How full the tail may be before a flush hurries, as a share of its limit.
const HURRIES_FROM: f64 = 0.5;
/// How full it is when a flush takes all it can get: where a core is left to it ([`Ledger::is_filling`]), well before writers are told
/// to wait.
const HURRIES_FULLY: f64 = 0.5625;

impl Store {
    /// Moves everything sealed so far to segments. Returns when it is there; writers go on meanwhile.
    ///
    /// # Errors
    /// Nothing is lost: the rows stay in the tail and the journal, and the next flush takes them.
    pub fn flush(&self) -> Result<()> {
        self.flush_at(Ledger::freeze, || 1.0)
    }

    /// Moves the next part of the tail, leaving writers the processor while the tail has room.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn flush_unhurried(&self) -> Result<()> {
        self.flush_at(Ledger::freeze_next, || self.flush_share())
    }

    /// `freeze` says what is moved. `share` is asked again and again for the part of a core that the work may take.
    fn flush_at(&self, freeze: impl Fn(&Ledger) -> Option<Frozen>, share: impl Fn() -> f64) -> Result<()> {
        let mut frontiers = self.frontiers.lock();
        let started = Instant::now();
        let Some(frozen) = freeze(&self.ledger) else { return Ok(()) };
        self.keys_to_store.lock().extend(frozen.keys.iter().copied());
        let mut tenants = Vec::with_capacity(frozen.tenants.len());
        for (number, _, size) in &frozen.tenants {
            // Of what was in the tail then, an earlier part may be in segments now.
            let first = frontiers.get(number).map_or(0, Frontier::size);
            if first < *size {
                tenants.push((self.tenant(*number)?, first, *size));
            }
        }
        if tenants.is_empty() {
            return Ok(());
        }
        // The mark is never behind what is stored: see `Ledger::open`.
        let named: Vec<_> = tenants.iter().map(|(t, ..)| (t.number, t.slug.clone())).collect();
        self.checkpoints.publish(&self.ledger, &named)?;

        tenants.sort_by_key(|(t, ..)| t.number);
        let parts: Vec<Vec<TailPart>> = tenants
            .iter()
            .map(|(tenant, first, size)| self.ledger.parts(tenant.number, *first, (size - first) as usize))
            .collect();
        let mut rows: Vec<OfTenant<'_>> = Vec::with_capacity(tenants.len());
        let mut leaves = Leaves::default();
        let mut tiles = Tiles::default();
        let mut grown = HashMap::new();
        for ((tenant, first, size), parts) in tenants.iter().zip(&parts) {
            let mut frontier = frontiers.get(&tenant.number).cloned().unwrap_or_default();
            let tail: Vec<&TailRow> = parts.iter().flat_map(|part| part.iter()).collect();
            let goes_on = tail.iter().zip(*first..).all(|(row, index)| row.index == index);
            if frontier.size() != *first || tail.len() as u64 != size - first || !goes_on {
                return Err(Error::Missing {
                    tenant: tenant.slug.clone(),
                    what: format!("the tail does not go on at index {}", frontier.size()),
                });
            }
            leaves.expect(tenant.number, *first..*size);
            for row in &tail {
                leaves.put(tenant.number, row.index, row.leaf);
                frontier.push_with(row.leaf, |height, index, hash| tiles.push(tenant.number, height, index, hash));
            }
            grown.insert(tenant.number, frontier);
            let order = order(&tail);
            rows.push(OfTenant { number: tenant.number, slug: &tenant.slug, tail, order });
        }
        let now = self.now();
        let dir = self.folder.segments();
        let mut ids = Vec::new();
        let mut infos = Vec::new();
        let keys: Vec<(u32, PersonKey)> = self.keys_to_store.lock().clone();
        let count: u64 = rows.iter().map(|of| of.tail.len() as u64).sum();
        let stored = (|| -> Result<Vec<Arc<Segment>>> {
            let mut budget = Budget::new(share());
            let mut sorted = rows
                .iter()
                .flat_map(|OfTenant { number, slug, tail, order }| {
                    order.iter().filter_map(|n| tail.get(*n as usize)).map(|r| {
                        let TailRow { index, recorded_at, kind, row, .. } = *r;
                        (*number, RowRef { tenant: slug, index: *index, recorded_at: *recorded_at, kind: *kind, row })
                    })
                })
                .enumerate()
                .map(|(n, row)| {
                    if n % REST_ROWS == REST_ROWS - 1 {
                        budget.rest_at(share());
                    }
                    row
                })
                .peekable();
            while sorted.peek().is_some() {
                let id = self.catalog.next_segment_id()?;
                ids.push(id);
                infos.push(write_segment(&dir, id, sorted.by_ref().take(MAX_ROWS))?);
            }
            drop(sorted);
            self.admit(&infos, &mut leaves, &|tenant, row| same_in_tail(&rows, tenant, row), &mut |_| {
                budget.rest_at(share());
                Ok(())
            })?;
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
            Ok(opened)
        })();
        // Shared with the tail: freed where the tail lets go of them.
        drop(parts);
        let opened = match stored {
            Ok(opened) => opened,
            Err(e) => {
                self.discard(&ids, &e);
                return Err(e);
            }
        };
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

impl Store {
    /// The share of a core that a flush takes now. Rows in the tail are durable and readable, so a burst of
    /// writes has the processor first, until the tail fills up.
    fn flush_share(&self) -> f64 {
        // A stop waits for it.
        if self.stopping() {
            return 1.0;
        }
        let full = self.ledger.tail_bytes() as f64 / self.settings.tail_bytes.max(1) as f64;
        UNHURRIED + (1.0 - UNHURRIED) * ((full - HURRIES_FROM) / (HURRIES_FULLY - HURRIES_FROM)).clamp(0.0, 1.0)
    }
}

/// What a flush takes of one tenant.
struct OfTenant<'a> {
    number: u32,
    slug: &'a str,
    /// Its rows by index, without a gap.
    tail: Vec<&'a TailRow>,
    /// Their places in the order of a segment.
    order: Vec<u32>,
}

/// The leaf of a row that was read back and is, byte for byte, the one that this process committed to. `rows` by tenant number.
fn same_in_tail(rows: &[OfTenant<'_>], tenant: u32, read: &RowRef<'_>) -> Option<Hash> {
    let OfTenant { tail, .. } = rows.get(rows.binary_search_by_key(&tenant, |of| of.number).ok()?)?;
    let sealed = tail.get(usize::try_from(read.index.checked_sub(tail.first()?.index)?).ok()?)?;
    let same = sealed.index == read.index
        && sealed.recorded_at == read.recorded_at
        && sealed.kind == read.kind
        && sealed.row == read.row
        && sealed.sum == Some(ledger::sum_of(read.row));
    same.then_some(sealed.leaf)
}

/// Where the rows come in the order of a segment, `(time DESC, id DESC)`.
fn order(rows: &[&TailRow]) -> Vec<u32> {
    let mut order: Vec<(i64, &[u8], u32)> = Vec::with_capacity(rows.len());
    for (row, n) in rows.iter().zip(0..) {
        let (time, id) = time_and_id(&row.row);
        order.push((time, id, n));
    }
    order.sort_unstable_by(|a, b| (b.0, b.1).cmp(&(a.0, a.1)));
    order.into_iter().map(|(_, _, n)| n).collect()
}

fn time_and_id(row: &[u8]) -> (i64, &[u8]) {
    let mut id: &[u8] = &[];
    for field in event::encode::fields(row).map_while(Result::ok) {
        match field.field {
            Field::Id => id = field.value,
            Field::Time => return (field.time().unwrap_or(0), id),
            _ => {}
        }
    }
    (0, id)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(index: u64, row: &'static [u8]) -> TailRow {
        let (commitment, leaf) = ([1; 32], [index as u8; 32]);
        let sum = Some(ledger::sum_of(row));
        TailRow { index, recorded_at: 7, kind: 1, commitment, leaf, sum, row: row.into() }
    }

    #[test]
    fn only_what_is_the_same_in_every_byte_is_known() {
        let mut unseen = sealed(11, b"c");
        unseen.sum = None;
        let mut moved = sealed(12, b"d");
        moved.sum = Some(ledger::sum_of(b"D"));
        let acme = vec![sealed(9, b"a"), sealed(10, b"b"), unseen, moved];
        let globex = [sealed(0, b"a")];
        fn of<'a>(number: u32, slug: &'a str, tail: &'a [TailRow]) -> OfTenant<'a> {
            OfTenant { number, slug, tail: tail.iter().collect(), order: Vec::new() }
        }
        let rows = [of(3, "acme", &acme), of(5, "globex", &globex)];
        let read = |index, row| RowRef { tenant: "acme", index, recorded_at: 7, kind: 1, row };
        let known = |tenant, read: RowRef<'_>| same_in_tail(&rows, tenant, &read);
        assert_eq!(known(3, read(9, b"a")), Some([9; 32]));
        assert_eq!(known(3, read(10, b"b")), Some([10; 32]));
        assert_eq!(known(5, read(0, b"a")), Some([0; 32]));
        assert_eq!(known(3, read(10, b"B")), None, "another byte");
        assert_eq!(known(3, RowRef { recorded_at: 8, ..read(10, b"b") }), None, "another time");
        assert_eq!(known(3, RowRef { kind: 0, ..read(10, b"b") }), None, "another kind");
        assert_eq!(known(3, read(11, b"c")), None, "from the journal");
        assert_eq!(known(3, read(12, b"d")), None, "not what was committed to");
        assert_eq!(known(3, read(8, b"a")).or(known(3, read(13, b"a"))), None, "outside of the tail");
        assert_eq!(known(4, read(9, b"a")), None, "another tenant");
    }
}
