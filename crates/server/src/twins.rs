//! One action that its system wrote twice, in two shapes: a record that is stored with one of them only, or with both, and comes
//! again otherwise.
//!
//! Owns storing what is left of it. How the two are put together, told from other records ([`systems::twins`]) and taken apart is
//! `systems`' matter. Without this it would be a conflict of ids, and the part that is new would be lost.

use crate::app::App;
use crate::intake::{self, Taken};
use crate::native::{Posted, Reader};
use crate::prepare::{self, Prepared};
use crate::problem::Problem;
use catalog::Tenant;
use parking_lot::Mutex;
use std::sync::Arc;

/// Stores what is left of records of the body `posted` whose first shape was there already (`taken.apart`), each as a record of its
/// own.
///
/// # Errors
/// A problem with the rest of the body stored; sent again, that is known by its ids.
pub(crate) async fn rest(
    app: &App,
    tenant: &Arc<Tenant>,
    reader: Reader,
    posted: Posted,
    taken: &mut Taken,
) -> Result<(), Problem> {
    let mut lines = std::mem::take(&mut taken.apart);
    if lines.is_empty() {
        return Ok(());
    }
    lines.sort_unstable();
    let found = Arc::new(Mutex::new(Vec::new()));
    let of = Arc::clone(&found);
    let mut next = intake::take_with(app, Arc::clone(tenant), move |app, tenant| {
        let twins = reader.twins(&posted, &lines)?;
        if twins.is_empty() {
            return Ok(Prepared::default());
        }
        let (lines, texts): (Vec<usize>, Vec<String>) = twins.into_iter().unzip();
        *of.lock() = lines;
        let posted = posted.holding(format!("[{}]", texts.join(",")));
        reader.read(app, tenant, &posted, 0, |natives| prepare::native(app, tenant, &natives, 0..natives.list.len()))
    })
    .await
    .map_err(|problem| {
        problem.adding("the rest of this body was taken before; with all of it sent again it is a duplicate")
    })?;
    // They are told of under the lines that they came in.
    let of = found.lock();
    let line = |n: usize| n.checked_sub(1).and_then(|n| of.get(n)).copied().unwrap_or(n);
    next.sealed.iter_mut().for_each(|sealed| sealed.0 = line(sealed.0));
    next.refused.iter_mut().for_each(|refused| refused.0 = line(refused.0));
    next.unparsed.iter_mut().for_each(|unparsed| unparsed.0 = line(unparsed.0));
    taken.add(next);
    Ok(())
}
