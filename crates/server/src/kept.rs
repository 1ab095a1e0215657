//! Records that were not understood when they came first, were read again since ([`crate::replay`]), and are sent once more.
//!
//! Owns knowing them: what is stored names what it was kept as, so it is not the same in every byte. Without this it would be a conflict
//! of ids, and whoever sends it would be told so for ever. It is seldom, so the body is prepared a second time rather than kept aside
//! each time.

use crate::app::App;
use crate::deriving::{as_sent, was_kept};
use crate::intake::{MAX_RECORDS, Taken};
use crate::native::{Posted, Reader};
use crate::prepare;
use crate::problem::Problem;
use catalog::Tenant;
use ledger::Outcome;
use std::collections::HashMap;
use std::sync::Arc;

/// Rows that are read at once: each may have a mebibyte.
const RUN: usize = 64;

/// Takes records of the body `posted` that were refused as others of the same id, and are the same, for what they are.
///
/// # Errors
/// Records that cannot be read.
pub(crate) async fn known(
    app: &App,
    tenant: &Arc<Tenant>,
    reader: Reader,
    posted: Posted,
    taken: &mut Taken,
) -> Result<(), Problem> {
    if taken.others.is_empty() {
        return Ok(());
    }
    let _turn = app.reads.acquire().await.map_err(|e| Problem::internal("the server is stopping", &e))?;
    let (app, tenant, others) = (app.clone(), Arc::clone(tenant), taken.others.clone());
    let found = tokio::task::spawn_blocking(move || same(&app, &tenant, &reader, &posted, &others))
        .await
        .map_err(|e| Problem::internal("the records could not be compared", &e))??;
    for (line, id, outcome) in found {
        taken.refused.retain(|refused| (refused.0, refused.1) != (line, "id_conflict"));
        taken.others.retain(|other| other.0 != line);
        taken.sealed.push((line, id, outcome));
    }
    Ok(())
}

/// Those of the records in these lines, stored at these indexes, that are what is stored there: line, id, and that they are known.
fn same(
    app: &App,
    tenant: &Arc<Tenant>,
    reader: &Reader,
    posted: &Posted,
    others: &[(usize, u64)],
) -> Result<Vec<(usize, String, Outcome)>, Problem> {
    let mut others = others.to_vec();
    others.sort_unstable_by_key(|(_, index)| *index);
    let mut kept = HashMap::new();
    // What was read again together stands together.
    for run in others.chunk_by(|a, b| a.1 + 1 == b.1).flat_map(|run| run.chunks(RUN)) {
        let [(_, first), ..] = run else { continue };
        let rows = app.store().rows(tenant, *first..*first + run.len() as u64)?;
        let rows = run.iter().zip(rows).filter(|(_, row)| was_kept(&row.row));
        kept.extend(rows.map(|((line, index), row)| (*line, (*index, row))));
    }
    if kept.is_empty() {
        return Ok(Vec::new());
    }
    let prepared = reader.read(app, tenant, posted, 0, |natives| {
        prepare::native(app, tenant, &natives, 0..natives.list.len().min(MAX_RECORDS))
    })?;
    let rows = prepared.records.into_iter().zip(&prepared.batch.records);
    let found = rows.filter_map(|(sent, pending)| {
        let (index, stored) = kept.get(&sent.line)?;
        let row = prepared.batch.rows.get(pending.row.clone())?;
        let same = as_sent(&stored.row, sent.fresh_time) == as_sent(row, sent.fresh_time);
        same.then_some((sent.line, sent.id, Outcome::Duplicate { index: *index, leaf: stored.leaf }))
    });
    Ok(found.collect())
}
