//! Ids of stored records: whether one was used before, and by which record.

use crate::error::Result;
use crate::store::Store;
use crate::tiles::Row;
use arrow::array::{Array, BooleanArray, RecordBatch, StringArray, UInt64Array};
use arrow::error::ArrowError;
use catalog::Tenant;
use event::Field;
use ledger::Known;
use segments::{IdKey, Need, Predicate, Probe, ScanRequest, columns};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The id in a stored row: its first field.
pub(crate) fn id_of(row: &[u8]) -> Option<&[u8]> {
    event::encode::fields(row).next()?.ok().filter(|f| f.field == Field::Id).map(|f| f.value)
}

/// Rows whose id is one of a set.
struct OneOf {
    ids: HashSet<String>,
    probes: Vec<Vec<Probe>>,
    needs: Vec<Vec<Need>>,
}

/// So many ids are searched for one after the other; more are compared with all at once.
const FEW: usize = 4;

impl Predicate for OneOf {
    fn columns(&self) -> &[usize] {
        &[columns::ID]
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let ids = batch
            .column(0)
            .as_any()
            .downcast_ref::<StringArray>()
            .ok_or_else(|| ArrowError::SchemaError("`id` is no text".into()))?;
        Ok(ids.iter().map(|id| Some(id.is_some_and(|id| self.ids.contains(id)))).collect())
    }

    fn probes(&self) -> &[Vec<Probe>] {
        &self.probes
    }

    fn needs(&self) -> &[Vec<Need>] {
        &self.needs
    }
}

impl Store {
    /// The stored records that have these ids, by id. Records still in the tail are the ledger's to find.
    ///
    /// # Errors
    /// Where a segment or key could not be read: never "not there".
    pub fn find_ids(&self, tenant: &Arc<Tenant>, ids: &[&str]) -> Result<HashMap<String, Known>> {
        let mut found = HashMap::new();
        let mut salts = self.keys.reader(tenant);
        // Hashed once for all segments.
        let keys: Vec<IdKey> = ids.iter().map(|id| IdKey::new(tenant.number, id)).collect();
        for segment in self.segments().iter() {
            if segment.slice(tenant.number).is_none() {
                continue;
            }
            let may = ids.iter().zip(&keys).filter(|(_, key)| segment.may_contain_id(**key));
            let here: HashSet<String> = may.map(|(id, _)| (*id).to_owned()).collect();
            if here.is_empty() {
                continue;
            }
            let mut rows = Vec::new();
            for index in self.indexes_of(segment, tenant.number, here)? {
                segment.rows_by_index(tenant.number, index..index + 1, |row| -> Result<()> {
                    rows.push(Row::read(&row));
                    Ok(())
                })?;
            }
            self.seal_again(tenant, &mut salts, &mut rows, segment.info().id)?;
            for Row { index, row, commitment, leaf, .. } in rows {
                if let Some(id) = id_of(&row).and_then(|id| std::str::from_utf8(id).ok()) {
                    found.insert(id.to_owned(), Known { index, commitment, leaf });
                }
            }
        }
        Ok(found)
    }

    fn indexes_of(&self, segment: &Arc<segments::Segment>, tenant: u32, ids: HashSet<String>) -> Result<Vec<u64>> {
        let probes = vec![ids.iter().map(|id| Probe { column: columns::ID, value: id.to_lowercase() }).collect()];
        let need = |id: &String| Need {
            column: columns::ID,
            text: id.chars().flat_map(char::to_lowercase).collect(),
            whole: true,
            loose: false,
        };
        let needs = if ids.len() <= FEW { vec![ids.iter().map(need).collect()] } else { Vec::new() };
        let mut request = ScanRequest::new(tenant, &[columns::INDEX]);
        request.predicate = Some(Arc::new(OneOf { ids, probes, needs }));
        let mut indexes = Vec::new();
        for batch in segment.scan(&request)? {
            let batch = batch?;
            if let Some(column) = batch.column(0).as_any().downcast_ref::<UInt64Array>() {
                indexes.extend(column.iter().flatten());
            }
        }
        Ok(indexes)
    }

    /// The index of the record with this id, in the tail or in a segment.
    ///
    /// # Errors
    /// As [`find_ids`](Self::find_ids).
    pub fn index_of(&self, tenant: &Arc<Tenant>, id: &str) -> Result<Option<u64>> {
        // The tail first: a record that moves meanwhile is found in its segment.
        if let Some(index) = self.ledger.find_id(self.id_key(tenant.number, id.as_bytes()), tenant.number) {
            return Ok(Some(index));
        }
        let key = IdKey::new(tenant.number, id);
        for segment in self.segments().iter() {
            if segment.slice(tenant.number).is_some() && segment.may_contain_id(key) {
                let indexes = self.indexes_of(segment, tenant.number, HashSet::from([id.to_owned()]))?;
                if let Some(index) = indexes.into_iter().next() {
                    return Ok(Some(index));
                }
            }
        }
        Ok(None)
    }
}
