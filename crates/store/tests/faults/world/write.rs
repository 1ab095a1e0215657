//! Batches of chance on their way in, as the server makes them, and their answers.

use super::{TENANTS, World};
use crate::common::{NOW, record};
use crate::model::Sent;
use catalog::Tenant;
use event::commit;
use event::parse::Parser;
use event::redact::Rules;
use ledger::{Batch, Outcome, Pending, Receipt, SubmitError};
use std::sync::{Arc, mpsc};
use store::Store;

impl World {
    fn records(&mut self, slug: &str) -> Vec<(String, String)> {
        let known = self.model.get(slug).map_or(&[][..], |r| &r.rows);
        let mut records = Vec::new();
        for _ in 0..1 + self.rng.below(5) {
            self.next += 1;
            let earlier = (!known.is_empty()).then(|| &known[self.rng.below(known.len())]);
            records.push(match (self.rng.below(6), earlier) {
                (0, Some(earlier)) => (earlier.id.clone(), earlier.text.clone()),
                // The same id, other content.
                (1, Some(earlier)) => {
                    let text = earlier.text.replacen('{', &format!(r#"{{"trace_id":"x{}","#, self.next), 1);
                    (earlier.id.clone(), text)
                }
                // Now and then the same id twice in one batch.
                (2, _) => (format!("{slug}-{}", self.next / 4 * 4), record(slug, self.next / 4 * 4)),
                _ => (format!("{slug}-{}", self.next), record(slug, self.next)),
            });
        }
        records
    }

    /// Records as the server makes them ready, and their batch.
    pub fn prepare(
        store: &Store,
        tenant: &Arc<Tenant>,
        records: &[(String, String)],
    ) -> Result<(Vec<Sent>, Batch), String> {
        let rules = Rules::new(false, &[], &[]).map_err(|e| e.to_string())?;
        let parser = Parser { rules: &rules, tenant: &tenant.slug, now: NOW };
        let mut batch = Batch { tenant: tenant.number, id_epoch: store.ledger().id_epoch(), ..Batch::default() };
        let mut keys = store.keys().intake(tenant);
        let mut sent = Vec::new();
        let mut fresh = || panic!("every record of a test has its id");
        for (id, text) in records {
            let event = parser.parse(text, &mut fresh, &mut batch.rows).map_err(|e| format!("{e}: {text}"))?;
            let row = batch.rows[event.row.clone()].to_vec();
            let commitment = commit::commitment(&row, &mut keys).map_err(|e| e.to_string())?;
            let key = Some(store.id_key(tenant.number, id.as_bytes()));
            let sum = ledger::sum_of(&row);
            batch.records.push(Pending { kind: 0, row: event.row, commitment, sum, id: key, known: None });
            sent.push(Sent { id: id.clone(), text: text.clone(), row, commitment });
        }
        batch.keys = keys.finish();
        let ids: Vec<&str> = records.iter().map(|(id, _)| id.as_str()).collect();
        let found = store.find_ids(tenant, &ids).map_err(|e| e.to_string())?;
        for (id, pending) in ids.iter().zip(&mut batch.records) {
            pending.known = found.get(*id).copied();
        }
        Ok((sent, batch))
    }

    pub fn submit(store: &Store, batch: Batch) -> Result<Receipt, SubmitError> {
        let (keys, tenant) = (batch.keys.clone(), batch.tenant);
        let hand_in = |batch: Batch| {
            let (send, receive) = mpsc::channel();
            store.ledger().submit(batch, move |answer| {
                let _ = send.send(answer);
            })?;
            receive.recv().map_err(|_| SubmitError::Stopped("no answer".into()))?
        };
        let answer = hand_in(batch);
        // After an answer the commit thread may begin a new file. Whoever comes next waits for that: else it would be chance which call
        // of the two is the one that fails, and a seed no schedule.
        let _ = hand_in(Batch { tenant, ..Batch::default() });
        let receipt = answer?;
        if receipt.outcomes.iter().any(|o| matches!(o, Outcome::Sealed { .. })) {
            store.keys().durable(tenant, &keys);
        }
        Ok(receipt)
    }

    /// Sends a batch and takes its answer into the model.
    pub(super) fn write(&mut self) -> Result<(), String> {
        let Some(store) = self.open.clone() else { return Ok(()) };
        let slug = format!("t{}", self.rng.below(TENANTS));
        let tenant = match store.catalog().create_tenant(&slug, "{}", NOW) {
            Ok((tenant, _)) => tenant,
            Err(e) => return self.outcome("making a tenant", Err(e)).map(drop),
        };
        let records = self.records(&slug);
        let (sent, batch) = match World::prepare(&store, &tenant, &records) {
            Ok(ready) => ready,
            Err(e) => return self.outcome("preparing a batch", Err(e)).map(drop),
        };
        let known = self.model.entry(slug.clone()).or_default();
        let mut after = known.clone();
        match World::submit(&store, batch) {
            Ok(receipt) => {
                let want = after.seal(&sent, receipt.recorded_at);
                if want != receipt.outcomes {
                    return Err(format!("ids: answered {:?} instead of {want:?}", receipt.outcomes));
                }
                self.counts.records += (after.rows.len() - known.rows.len()) as u64;
                self.story.push(format!("{slug}: {} records, now {}", sent.len(), after.rows.len()));
                *known = after;
                Ok(())
            }
            Err(e) => {
                // After the stop nothing is taken any more, so the first batch without an answer is the one.
                after.seal(&sent, 0);
                if matches!(e, SubmitError::Stopped(_)) && self.maybe.is_none() && after.rows.len() > known.rows.len() {
                    self.maybe = Some((slug, sent));
                }
                self.outcome("writing", Err(e)).map(drop)
            }
        }
    }
}
