//! A body in a system's own shape that has more records than one batch: taken in one batch after the other, answered once.
//!
//! Owns how many records such a body may have, and what its sender is told in the end. A sender of it cannot cut it: an exporter
//! drops what is refused for its size. Plain records are not taken like this (`intake`): whoever sends them can.
//!
//! **Invariant:** the answer is a success when all of it is durable. Where a later batch cannot be stored, the answer is that
//! error, and sending all of it again stores nothing twice: what is stored is known by its ids, and a record of such a body that
//! has none gets one from the body and its place in it.

use crate::app::App;
use crate::intake::{self, MAX_RECORDS, Taken};
use crate::native::Natives;
use crate::prepare;
use crate::problem::Problem;
use catalog::Tenant;
use std::sync::Arc;

/// Records of one body, at most: as many as 16 MiB hold of 64 bytes each.
pub const MOST: usize = 262_144;

/// A problem of a batch of which the body's first records are not.
pub(crate) fn after(problem: Problem, first: usize) -> Problem {
    problem.adding(&format!(
        "of this body the first {first} records were taken before; with all of it sent again they are duplicates"
    ))
}

/// Takes in what follows the first batch of a body, whose fate `taken` has. Returns when all of it is durable.
///
/// # Errors
/// A problem with at least the first batch stored, which it says.
pub(crate) async fn rest(
    app: &App,
    tenant: &Arc<Tenant>,
    natives: Arc<Natives<'static>>,
    taken: &mut Taken,
) -> Result<(), Problem> {
    let (mut from, before) = (MAX_RECORDS, natives.from);
    while from < natives.list.len() {
        let part = from..natives.list.len().min(from + MAX_RECORDS);
        let (natives, range) = (Arc::clone(&natives), part.clone());
        let next = intake::take_with(app, Arc::clone(tenant), move |app, tenant| {
            prepare::native(app, tenant, &natives, range)
        });
        let next = next.await.map_err(|problem| after(problem, before + from))?;
        taken.add(next);
        from = part.end;
    }
    Ok(())
}
