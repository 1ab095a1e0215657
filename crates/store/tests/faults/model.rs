//! What a store must hold, in the plainest words: lists of records, and trees computed from them.

use catalog::Tenant;
use ledger::{Hash, Outcome};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Store;

/// A record that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub id: String,
    /// As it was sent.
    pub text: String,
    pub row: Vec<u8>,
    pub recorded_at: i64,
    pub leaf: Hash,
}

/// One record of a batch on its way: as sent, as stored, and the hash of its contents.
#[derive(Debug, Clone)]
pub struct Sent {
    pub id: String,
    pub text: String,
    pub row: Vec<u8>,
    pub commitment: Hash,
}

/// One tenant's records by index.
#[derive(Debug, Clone, Default)]
pub struct Records {
    pub rows: Vec<Sealed>,
    /// Every checkpoint shown: size, root.
    pub signed: Vec<(u64, Hash)>,
}

impl Records {
    /// Takes a batch in and says what must be answered.
    pub fn seal(&mut self, batch: &[Sent], recorded_at: i64) -> Vec<Outcome> {
        batch
            .iter()
            .map(|sent| match self.rows.iter().position(|r| r.id == sent.id) {
                Some(at) if self.rows[at].row == sent.row => {
                    Outcome::Duplicate { index: at as u64, leaf: self.rows[at].leaf }
                }
                Some(at) => Outcome::Conflict { index: at as u64 },
                None => {
                    let leaf = ledger::leaf_of(0, recorded_at, &sent.commitment);
                    let Sent { id, text, row, .. } = sent.clone();
                    self.rows.push(Sealed { id, text, row, recorded_at, leaf });
                    Outcome::Sealed { index: self.rows.len() as u64 - 1, leaf }
                }
            })
            .collect()
    }

    pub fn root(&self, size: u64) -> Option<Hash> {
        let leaves: Vec<Hash> = self.rows.get(..size as usize)?.iter().map(|r| r.leaf).collect();
        Some(merkle::root_of(&leaves))
    }
}

/// Everything that was answered, by the tenant's name.
pub type Model = BTreeMap<String, Records>;

/// Compares all that can be asked of a store with the model.
///
/// # Errors
/// The first difference, beginning with the invariant's name; or the read that failed.
pub fn check(store: &Arc<Store>, model: &Model) -> Result<(), Wrong> {
    for tenant in store.catalog().tenants() {
        if !model.contains_key(&tenant.slug) && store.ledger().size(tenant.number) > 0 {
            return Err(Wrong::Differs(format!("I6: tenant {} has records that nobody sent", tenant.slug)));
        }
    }
    for (slug, records) in model {
        match store.catalog().tenant(slug) {
            Some(tenant) => check_tenant(store, &tenant, records)?,
            None if records.rows.is_empty() => {}
            None => return Err(Wrong::Differs(format!("I1: tenant {slug} is lost"))),
        }
    }
    Ok(())
}

/// Why a check ended.
#[derive(Debug)]
pub enum Wrong {
    /// An answer was another one.
    Differs(String),
    /// There was no answer.
    Failed(store::Error),
}

impl From<store::Error> for Wrong {
    fn from(e: store::Error) -> Self {
        Wrong::Failed(e)
    }
}

fn check_tenant(store: &Arc<Store>, tenant: &Arc<Tenant>, records: &Records) -> Result<(), Wrong> {
    let differs = |what: String| Err(Wrong::Differs(format!("{what} (tenant {})", tenant.slug)));
    let size = records.rows.len() as u64;
    let head = store.ledger().head(tenant.number);
    if head.size != size {
        return differs(format!("I1: {} records instead of the {size} that were answered", head.size));
    }
    if Some(head.root) != records.root(size) {
        return differs(format!("I3: another root at {size}"));
    }
    let mut last = 0;
    for (index, (row, want)) in store.rows(tenant, 0..size)?.iter().zip(&records.rows).enumerate() {
        if row.index != index as u64 {
            return differs(format!("I2: index {} stands at {index}", row.index));
        }
        if row.row != want.row || row.recorded_at != want.recorded_at {
            return differs(format!("I1: another record at index {index}"));
        }
        if row.leaf != want.leaf || merkle::leaf_hash(&row.entry()) != want.leaf {
            return differs(format!("I4: another leaf at index {index}"));
        }
        if row.recorded_at < last {
            return differs(format!("I2: index {index} was sealed before the one before it"));
        }
        last = row.recorded_at;
    }
    for (index, want) in records.rows.iter().enumerate() {
        let found = store.index_of(tenant, &want.id)?;
        if found != Some(index as u64) {
            return differs(format!("ids: {} is at {found:?} instead of {index}", want.id));
        }
    }
    let seen = crate::common::indexes(store, tenant, None)?;
    if !seen.iter().copied().eq(0..size) {
        return differs(format!("I5: a query reads {seen:?} of {size}"));
    }
    for (size, root) in &records.signed {
        if records.root(*size) != Some(*root) {
            return differs(format!("I3: at size {size} another root was signed"));
        }
    }
    Ok(())
}
