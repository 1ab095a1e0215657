//! A record with everything needed to check it offline, and records in the order they were sealed.

use crate::engine::{Access, Engine, Error, Result};
use crate::json::{Places, Row, is_body};
use crate::lang::Query;
use arrow::array::Array;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog::Tenant;
use event::commit;
use event::fields::Part;
use ledger::checkpoints::Published;
use merkle::tlog_proof::TlogProof;
use segments::columns;
use serde_json::{Value, json};
use std::sync::Arc;

impl Engine {
    /// The proof of one record against a published checkpoint that covers it, and whether it shows a body or
    /// claims. Absent is `None`.
    ///
    /// # Errors
    /// [`Error::Scope`] where the record has a body or claims that the caller may not see: the parts of a
    /// proof are the record.
    pub fn proof(
        &self,
        tenant: &Arc<Tenant>,
        id: &str,
        access: Access,
        published: &dyn Fn(u64) -> Option<Arc<Published>>,
    ) -> Result<Option<(Value, bool)>> {
        let Some(index) = self.store().index_of(tenant, id)? else { return Ok(None) };
        let Some(checkpoint) = published(index + 1) else {
            return Err(Error::Limit("no signed checkpoint covers this record yet; ask again in a second".into()));
        };
        let row = self.store().row_of_tile(tenant, index, checkpoint.size)?;
        let hidden = event::encode::fields(&row.row).map_while(|f| f.ok()).any(|f| is_body(columns::of(f.field)));
        if hidden && !access.bodies {
            return Err(Error::Scope("this record's body".into()));
        }
        let hashes =
            merkle::tile::inclusion_proof(&mut self.store().tile_reader(tenant), row.index, checkpoint.size)
                .map_err(|e| store::Error::Missing { tenant: tenant.slug.clone(), what: format!("no proof: {e}") })?;
        // What is handed out is checked first: a proof that does not verify means damaged tiles or rows.
        if merkle::proof::verify_inclusion(row.index, checkpoint.size, &row.leaf, &hashes, &checkpoint.root).is_err() {
            return Err(store::Error::Missing {
                tenant: tenant.slug.clone(),
                what: format!("the tree no longer proves record {}: run `indelible verify`", row.index),
            }
            .into());
        }
        let mut parts = Vec::new();
        commit::commitment_with(&row.row, &mut self.store().keys().reader(tenant), |part, salt, _| {
            parts.push(json!({ "name": part_name(part.part), "salt": STANDARD.encode(salt), "bytes": STANDARD.encode(part.bytes) }));
        })
        .map_err(|e| store::Error::Missing { tenant: tenant.slug.clone(), what: e.to_string() })?;
        let key = self.store().checkpoints().key(tenant.number, &tenant.slug).map_err(store::Error::from)?;
        let proof = TlogProof { extra: None, index: row.index, hashes, checkpoint: checkpoint.note.clone() };
        let record: Value = serde_json::from_str(&self.envelope(tenant, &row, access)?)
            .map_err(|e| store::Error::Missing { tenant: tenant.slug.clone(), what: e.to_string() })?;
        Ok(Some((
            json!({
                "record": record,
                "entry": STANDARD.encode(row.entry()),
                "index": row.index,
                "tlog_proof": proof.to_text(),
                "vkey": key.vkey(),
                "parts": parts,
            }),
            hidden,
        )))
    }

    /// Records from index `from` on that match, in the order they were sealed: index and row as JSON. Looks
    /// at most at `most` records; gives the index to go on from.
    ///
    /// # Errors
    /// [`Error`].
    pub fn since(
        &self,
        tenant: &Arc<Tenant>,
        query: &Query,
        from: u64,
        most: u64,
        access: Access,
    ) -> Result<(Vec<(u64, String)>, u64)> {
        crate::engine::allowed(query, access)?;
        let to = self.store().ledger().size(tenant.number).min(from.saturating_add(most));
        if from >= to {
            return Ok((Vec::new(), from));
        }
        let mut builder = segments::BatchBuilder::new();
        for row in self.store().rows(tenant, from..to)? {
            builder.push(segments::RowRef {
                tenant: &tenant.slug,
                index: row.index,
                recorded_at: row.recorded_at,
                kind: row.kind,
                row: &row.row,
            })?;
        }
        let batch = builder.finish()?;
        let mask = self.matcher(query, true).evaluate_with(batch.num_rows(), &|c| batch.columns().get(c).cloned())?;
        let places = Places::of(&(0..columns::COUNT).collect::<Vec<_>>());
        let mut out = Vec::new();
        for row in (0..batch.num_rows()).filter(|r| mask.is_valid(*r) && mask.value(*r)) {
            let mut json = String::new();
            Row { batch: &batch, places: &places, row, bodies: access.bodies }.view(query.view, &mut json);
            out.push((from + row as u64, json));
        }
        Ok((out, to))
    }
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Core => "core",
        Part::Actor => "actor",
        Part::Target => "target",
        Part::Subject => "subject",
        Part::Holder => "holder",
        Part::Recipient => "recipient",
    }
}
