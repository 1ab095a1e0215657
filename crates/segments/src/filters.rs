//! Which values may be in which rows: the look-up filters and the id filter.
//!
//! Owns: hashing of values and of grams ([`crate::grams`]), building, probing. Binary fuse filters (xorf)
//! give no false negatives and wrong positives in 1 of 256 (look-ups and grams, per block of rows) or 1 of
//! 65,536 (ids, per segment). Not here: the file they are kept in ([`crate::idx`]).

use crate::batch::{RunRef, text};
use crate::columns::{self, GRAMS, LOOKUP};
use crate::error::{Error, Result};
use crate::grams::{self, Grams, gram};
use crate::list;
use crate::search::Need;
use arrow::array::{Array, RecordBatch};
use event::{Field, Kind};
use std::ops::Range;
use xorf::{BinaryFuse8, BinaryFuse16, Filter};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Rows covered by one look-up filter.
pub(crate) const BLOCK_ROWS: u64 = 16_384;
/// Keys of one part of the id filter: small enough to be built inside the processor's cache.
const ID_PART: usize = 1 << 18;
/// In place of a field's tag in the hash of an id, which is compared exactly.
const EXACT_ID: u64 = 0x100;
/// Added to a field's tag in the key of three bytes of its texts.
const GRAM: u64 = 0x200;

/// A value that a matching row must have in a column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    /// Column number. Probes on columns that are not [`columns::is_lookup`] exclude nothing.
    pub column: usize,
    /// The value in lower case (`str::to_lowercase`); for lists, one element.
    pub value: String,
}

fn seed(tenant: u32, tag: u64) -> u64 {
    u64::from(tenant) << 32 | tag
}

/// The key of a lower-cased value.
fn key(tenant: u32, field: Field, value: &[u8]) -> u64 {
    xxh3_64_with_seed(value, seed(tenant, u64::from(field.spec().tag)))
}

fn id_key(tenant: u32, id: &[u8]) -> u64 {
    xxh3_64_with_seed(id, seed(tenant, EXACT_ID))
}

/// The key of a value as it stands, lower-cased on the way. `scratch` spares an allocation per value.
fn folded_key(tenant: u32, field: Field, value: &[u8], scratch: &mut Vec<u8>) -> u64 {
    if !value.is_ascii() {
        if let Ok(text) = std::str::from_utf8(value) {
            return key(tenant, field, text.to_lowercase().as_bytes());
        }
    } else if value.iter().any(u8::is_ascii_uppercase) {
        scratch.clear();
        scratch.extend(value.iter().map(u8::to_ascii_lowercase));
        return key(tenant, field, scratch);
    }
    key(tenant, field, value)
}

/// An id of a tenant, hashed once for all segments.
#[derive(Clone, Copy, Debug)]
pub struct IdKey(u64);

impl IdKey {
    /// The key of this id.
    pub fn new(tenant: u32, id: &str) -> IdKey {
        IdKey(id_key(tenant, id.as_bytes()))
    }
}

/// Look-up values of rows that are not in a segment yet.
#[derive(Debug)]
pub struct TailFilter {
    tenant: u32,
    /// `None` holds everything.
    filter: BlockFilter,
}

impl TailFilter {
    /// The filter of a tenant's rows in stored form.
    pub fn new<'a>(tenant: u32, rows: impl Iterator<Item = &'a [u8]>) -> TailFilter {
        let mut keys = Vec::new();
        let mut scratch = Vec::new();
        for row in rows {
            for stored in event::encode::fields(row).map_while(std::result::Result::ok) {
                if columns::is_lookup(columns::of(stored.field)) {
                    keys.push(folded_key(tenant, stored.field, stored.value, &mut scratch));
                }
            }
        }
        keys.sort_unstable();
        keys.dedup();
        TailFilter { tenant, filter: BinaryFuse8::try_from(keys.as_slice()).ok() }
    }

    /// Whether there may be a row with a value of every clause; never `false` where there is.
    pub fn may_match(&self, clauses: &[Vec<Probe>]) -> bool {
        let probes = Probes::new(self.tenant, clauses, &[]);
        self.filter.as_ref().is_none_or(|filter| probes.may_match(filter))
    }
}

/// Collects keys while rows are written.
#[derive(Default)]
pub(crate) struct FilterBuilder {
    rows: u64,
    keys: Vec<u64>,
    ids: Vec<u64>,
    done: Vec<BlockFilter>,
    scratch: Vec<u8>,
    element: Vec<u8>,
    grams: Grams,
}

fn gram_key(tenant: u32, field: Field, gram: u32) -> u64 {
    xxh3_64_with_seed(&gram.to_le_bytes(), seed(tenant, GRAM | u64::from(field.spec().tag)))
}

/// One filter; `None` holds everything (building failed, which the construction makes all but impossible).
pub(crate) type BlockFilter = Option<BinaryFuse8>;
/// One part of the id filter.
pub(crate) type IdFilter = Option<BinaryFuse16>;

impl FilterBuilder {
    /// Adds the rows of a batch; `runs` says whose they are, in order.
    pub(crate) fn add(&mut self, batch: &RecordBatch, runs: &[RunRef]) -> Result<()> {
        let mut at = 0;
        while at < batch.num_rows() {
            let room = BLOCK_ROWS - self.rows % BLOCK_ROWS;
            let n = ((batch.num_rows() - at) as u64).min(room) as usize;
            self.add_part(batch, at..at + n, runs)?;
            at += n;
            self.rows += n as u64;
            if self.rows.is_multiple_of(BLOCK_ROWS) {
                self.close_block();
            }
        }
        Ok(())
    }

    fn add_part(&mut self, batch: &RecordBatch, rows: Range<usize>, runs: &[RunRef]) -> Result<()> {
        for field in LOOKUP {
            let column = text(batch, columns::of(*field))?;
            if column.null_count() == column.len() {
                continue;
            }
            let list = field.spec().kind == Kind::List;
            let mut start = 0;
            for run in runs {
                let end = start + run.rows;
                for at in start.max(rows.start)..end.min(rows.end) {
                    if column.is_null(at) {
                        continue;
                    }
                    let value = column.value(at).as_bytes();
                    if list {
                        let (keys, scratch) = (&mut self.keys, &mut self.scratch);
                        list::each(value, &mut self.element, |e| keys.push(folded_key(run.tenant, *field, e, scratch)))
                            .ok_or_else(|| Error::Refused {
                                row: self.rows + at as u64,
                                what: format!("`{}` is not a list", field.spec().path),
                            })?;
                        continue;
                    }
                    if *field == Field::Id {
                        self.ids.push(id_key(run.tenant, value));
                    }
                    self.keys.push(folded_key(run.tenant, *field, value, &mut self.scratch));
                }
                start = end;
            }
        }
        for field in GRAMS {
            let column = text(batch, columns::of(*field))?;
            if column.null_count() == column.len() {
                continue;
            }
            let mut start = 0;
            for run in runs {
                let end = start + run.rows;
                for at in start.max(rows.start)..end.min(rows.end) {
                    if column.is_valid(at) {
                        self.grams.add(column.value(at));
                    }
                }
                let keys = &mut self.keys;
                self.grams.take(|gram| keys.push(gram_key(run.tenant, *field, gram)));
                start = end;
            }
        }
        Ok(())
    }

    fn close_block(&mut self) {
        // Sorted: the same rows give the same bytes, whoever builds the filter.
        self.keys.sort_unstable();
        self.keys.dedup();
        self.done.push(BinaryFuse8::try_from(self.keys.as_slice()).ok());
        self.keys.clear();
    }

    pub(crate) fn finish(mut self) -> Filters {
        if !self.rows.is_multiple_of(BLOCK_ROWS) {
            self.close_block();
        }
        self.ids.sort_unstable();
        self.ids.dedup();
        let parts = self.ids.len().div_ceil(ID_PART).max(1);
        let mut ids = Vec::with_capacity(parts);
        let mut rest = self.ids.as_slice();
        for part in 0..parts {
            let end = rest.partition_point(|k| part_of(*k, parts) <= part);
            let (now, later) = rest.split_at(end);
            ids.push(BinaryFuse16::try_from(now).ok());
            rest = later;
        }
        Filters { blocks: self.done, ids }
    }
}

/// Which of `parts` a key belongs to: by its high bits, so that sorted keys stay together.
fn part_of(key: u64, parts: usize) -> usize {
    ((u128::from(key) * parts as u128) >> 64) as usize
}

/// The filters of one segment, in memory.
#[derive(Debug)]
pub(crate) struct Filters {
    pub(crate) blocks: Vec<BlockFilter>,
    pub(crate) ids: Vec<IdFilter>,
}

/// Probes made ready for one tenant. Of each clause, one alternative must have all its keys in a filter.
#[derive(Debug, Default)]
pub(crate) struct Probes(Vec<Vec<Vec<u64>>>);

impl Probes {
    /// A clause that names a column without filter, or nothing at all, cannot exclude rows and is left out.
    pub(crate) fn new(tenant: u32, clauses: &[Vec<Probe>], needs: &[Vec<Need>]) -> Probes {
        let values = clauses.iter().map(|clause| clause.iter().map(|p| Probes::value(tenant, p)).collect());
        let texts = needs.iter().map(|clause| clause.iter().map(|n| Probes::text(tenant, n)).collect());
        let ready = values.chain(texts).filter_map(|clause: Option<Vec<Vec<u64>>>| clause.filter(|c| !c.is_empty()));
        Probes(ready.collect())
    }

    fn value(tenant: u32, probe: &Probe) -> Option<Vec<u64>> {
        let field = columns::field(probe.column).filter(|f| LOOKUP.contains(f))?;
        Some(vec![key(tenant, field, probe.value.as_bytes())])
    }

    fn text(tenant: u32, need: &Need) -> Option<Vec<u64>> {
        let field = columns::field(need.column).filter(|f| GRAMS.contains(f) && !need.loose)?;
        let mut grams: Vec<u32> = need.text.as_bytes().windows(grams::BYTES).map(gram).collect();
        grams.sort_unstable();
        grams.dedup();
        (!grams.is_empty()).then(|| grams.into_iter().map(|g| gram_key(tenant, field, g)).collect())
    }

    fn may_match(&self, filter: &BinaryFuse8) -> bool {
        self.0.iter().all(|any| any.iter().any(|all| all.iter().all(|k| filter.contains(k))))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Filters {
    /// Whether the block may hold a row with a value of every clause.
    pub(crate) fn may_match(&self, block: u64, probes: &Probes) -> bool {
        match self.blocks.get(block as usize) {
            Some(Some(filter)) => probes.may_match(filter),
            _ => true,
        }
    }

    pub(crate) fn may_contain_id(&self, id: IdKey) -> bool {
        let key = id.0;
        match self.ids.get(part_of(key, self.ids.len())) {
            Some(Some(filter)) => filter.contains(&key),
            _ => true,
        }
    }

    /// Bytes held in memory.
    pub(crate) fn memory(&self) -> usize {
        self.blocks.iter().flatten().map(|f| f.fingerprints.len()).sum::<usize>()
            + self.ids.iter().flatten().map(|f| f.fingerprints.len() * 2).sum::<usize>()
    }
}
