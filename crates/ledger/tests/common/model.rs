//! What the ledger must be, in the plainest words: lists, and a tree computed from them.
//!
//! [`Model::check`] gives the first invariant that a ledger breaks. That it does complain is tested too.

use super::{commitment_of, key_of};
use ledger::{Batch, Hash, Ledger, Outcome, PersonKey, leaf_of};
use std::collections::{BTreeMap, BTreeSet};

/// A record that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub kind: u8,
    pub recorded_at: i64,
    pub row: Vec<u8>,
}

impl Sealed {
    pub fn leaf(&self) -> Hash {
        leaf_of(self.kind, self.recorded_at, &commitment_of(&self.row))
    }
}

/// One tenant's records by index, and the root at every size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tenant {
    pub rows: Vec<Sealed>,
    pub leaves: Vec<Hash>,
    pub ids: BTreeMap<u128, u64>,
}

impl Tenant {
    fn push(&mut self, tenant: u32, sealed: Sealed) {
        if let Some(id) = key_of(tenant, &sealed.row) {
            self.ids.insert(id, self.rows.len() as u64);
        }
        self.leaves.push(sealed.leaf());
        self.rows.push(sealed);
    }
}

/// Everything that was answered, and what was signed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    pub tenants: BTreeMap<u32, Tenant>,
    /// Keys of answered batches that sealed something.
    pub keys: BTreeSet<(u32, PersonKey)>,
    /// Every checkpoint shown: tenant, size, root.
    pub signed: Vec<(u32, u64, Hash)>,
    pub recorded_at: i64,
}

impl Model {
    /// Takes a batch in and says what must be answered.
    pub fn seal(&mut self, batch: &Batch, recorded_at: i64) -> Vec<Outcome> {
        let tenant = self.tenants.entry(batch.tenant).or_default();
        let mut grown = false;
        let outcomes = batch
            .records
            .iter()
            .map(|record| {
                let row = batch.rows[record.row.clone()].to_vec();
                let earlier = record.id.and_then(|id| tenant.ids.get(&id).copied());
                match earlier {
                    Some(index) if tenant.rows[index as usize].row == row => {
                        Outcome::Duplicate { index, leaf: tenant.leaves[index as usize] }
                    }
                    Some(index) => Outcome::Conflict { index },
                    None => {
                        let sealed = Sealed { kind: record.kind, recorded_at, row };
                        let (index, leaf) = (tenant.rows.len() as u64, sealed.leaf());
                        tenant.push(batch.tenant, sealed);
                        grown = true;
                        Outcome::Sealed { index, leaf }
                    }
                }
            })
            .collect();
        if grown {
            self.recorded_at = recorded_at;
            self.keys.extend(batch.keys.iter().map(|k| (batch.tenant, *k)));
        }
        outcomes
    }

    /// Moves every record from index `from` of each tenant to another time: a frame whose answer never came is
    /// found again with the time it was given.
    pub fn recorded_from(&mut self, from: &Model, at: i64) {
        for (number, tenant) in &mut self.tenants {
            let known = from.tenants.get(number).map_or(0, |t| t.rows.len());
            for index in known..tenant.rows.len() {
                tenant.rows[index].recorded_at = at;
                tenant.leaves[index] = tenant.rows[index].leaf();
            }
        }
        self.recorded_at = at;
    }

    pub fn size(&self, tenant: u32) -> u64 {
        self.tenants.get(&tenant).map_or(0, |t| t.rows.len() as u64)
    }

    /// Compares a ledger, whose records below `stored` per tenant went to segments, with all this.
    ///
    /// # Errors
    /// The first difference, beginning with the invariant's name.
    pub fn check(&self, ledger: &Ledger, stored: &BTreeMap<u32, Vec<Sealed>>) -> Result<(), String> {
        for (number, tenant) in &self.tenants {
            let head = ledger.head(*number);
            let size = tenant.rows.len() as u64;
            if head.size != size {
                return Err(format!("I1: tenant {number} has {} records, {size} were answered", head.size));
            }
            let below = stored.get(number).map_or(&[][..], Vec::as_slice);
            let tail = ledger.rows(*number, 0, usize::MAX);
            if below.len() + tail.len() != tenant.rows.len() {
                return Err(format!("I2: {} stored and {} in the tail are not {size}", below.len(), tail.len()));
            }
            let mut last = 0;
            for (index, want) in tenant.rows.iter().enumerate() {
                let have = match index.checked_sub(below.len()) {
                    None => below[index].clone(),
                    Some(at) => {
                        let row = &tail[at];
                        if row.index != index as u64 {
                            return Err(format!("I2: index {} stands at {index}", row.index));
                        }
                        if row.leaf != tenant.leaves[index] || row.commitment != commitment_of(&row.row) {
                            return Err(format!("I4: tenant {number}, index {index} has another leaf"));
                        }
                        Sealed { kind: row.kind, recorded_at: row.recorded_at, row: row.row.to_vec() }
                    }
                };
                if have != *want {
                    return Err(format!("I1: tenant {number}, index {index} is {have:?} and was {want:?}"));
                }
                if have.recorded_at < last {
                    return Err(format!("I2: tenant {number}, index {index} was sealed before the one before it"));
                }
                last = have.recorded_at;
            }
            if head.root != merkle::root_of(&tenant.leaves) {
                return Err(format!("I3: tenant {number} has another root at {size}"));
            }
            let ids: BTreeSet<_> = tenant.rows.iter().filter_map(|r| key_of(*number, &r.row)).collect();
            let with_id = tenant.rows.iter().filter(|r| key_of(*number, &r.row).is_some()).count();
            if ids.len() != with_id {
                return Err(format!("an id of tenant {number} stands twice"));
            }
        }
        for (number, size, root) in &self.signed {
            let Some(leaves) = self.tenants.get(number).and_then(|t| t.leaves.get(..*size as usize)) else {
                return Err(format!("I3: size {size} of tenant {number} was signed and is not there"));
            };
            if merkle::root_of(leaves) != *root {
                return Err(format!("I3: at size {size} tenant {number} has another root than was signed"));
            }
        }
        if let Some(more) = ledger.tenants().into_iter().find(|t| ledger.size(*t) != self.size(*t)) {
            return Err(format!("tenant {more} has records that nobody sent"));
        }
        Ok(())
    }
}
