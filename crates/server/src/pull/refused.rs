//! Records of a page that cannot be stored: which they are, when they happened, and why not.

use super::walk::{End, Walk};
use crate::app::App;
use crate::native::{Posted, Reader};
use catalog::Tenant;
use event::Field;
use event::parse::Found;
use std::collections::BTreeMap;
use std::sync::Arc;
use systems::pull::Window;

/// Of so many records a window has a gap each; of more the rest is one gap.
const MOST: usize = 100;
/// The longest id that is quoted.
const MAX_ID: usize = 100;

/// A record that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// When it happened, microseconds, where it says so.
    at: Option<i64>,
    /// Its id, where it says one.
    id: Option<String>,
    /// What is to be said of it.
    cause: String,
}

/// What is known of these refused records (line, code, field, detail) of a body.
pub(super) fn of(
    app: &App,
    tenant: &Tenant,
    reader: &Reader,
    body: String,
    refused: &[&(usize, &'static str, String, String)],
) -> Vec<Refused> {
    let mut seen: BTreeMap<usize, (Option<i64>, Option<String>)> = BTreeMap::new();
    let read = reader.read(app, tenant, &Posted::inside(body), 0, |natives| {
        for (n, read) in natives.list.iter().enumerate() {
            if let Ok(place) = &read.envelope
                && refused.iter().any(|r| r.0 == read.line)
            {
                let id = natives.filled.fields(place).find(|(field, _)| *field == Field::Id).map(|(_, found)| found);
                let id = id.and_then(|found| match found {
                    Found::Text(text) | Found::Json(text) => Some(text.trim_matches('"').to_owned()),
                    _ => None,
                });
                seen.insert(read.line, (natives.time(n), id));
            }
        }
        Ok(())
    });
    if let Err(problem) = read {
        tracing::warn!(problem = problem.detail(), "a page with refused records could not be read again");
    }
    refused
        .iter()
        .map(|(line, code, field, detail)| {
            let (at, id) = seen.remove(line).unwrap_or_default();
            // An id that is itself in the way, or might be something else, is not quoted.
            let quoted = id
                .as_ref()
                .filter(|id| field != "id" && id.len() <= MAX_ID && id.bytes().all(|b| b.is_ascii_graphic()));
            let which = quoted.map_or_else(|| "a record".to_owned(), |id| format!("the record {id}"));
            Refused { at, id, cause: format!("{which} cannot be stored ({code}): {detail}") }
        })
        .collect()
}

impl Walk {
    /// Those of them that are not here either. One that was sent here in another form is.
    async fn missing(&mut self, refused: Vec<Refused>) -> Result<Vec<Refused>, End> {
        if refused.iter().all(|refused| refused.id.is_none()) {
            return Ok(refused);
        }
        let (app, tenant) = (self.app.clone(), Arc::clone(&self.tenant));
        let looked = tokio::task::spawn_blocking(move || {
            let (mut missing, mut here) = (Vec::new(), Vec::new());
            for refused in refused {
                let index = match &refused.id {
                    Some(id) => app.store().index_of(&tenant, id)?,
                    None => None,
                };
                match (index, refused.at) {
                    (Some(index), Some(at)) => here.push((at, index)),
                    (Some(_), None) => {}
                    (None, _) => missing.push(refused),
                }
            }
            Ok::<_, store::Error>((missing, here))
        });
        let (missing, here) = looked
            .await
            .map_err(|_| End::Stopping)?
            .map_err(|e| End::Ours(format!("it could not be looked up whether a record is here: {e}")))?;
        for (at, index) in here {
            self.open.came(at, index);
        }
        Ok(missing)
    }

    /// Tells of what was refused since the last time, each record at its own moment; of one that says none, in all of the window.
    pub(super) async fn tell_refused(&mut self, window: Window) -> Result<(), End> {
        let refused = std::mem::take(&mut self.refused);
        let mut told = self.missing(refused).await?;
        let rest = told.split_off(told.len().min(MOST));
        let mut gaps: BTreeMap<(i64, i64), Vec<String>> = BTreeMap::new();
        let bounds = |at: Option<i64>| at.map_or((window.from, window.to), |at| (at, at.saturating_add(1)));
        for Refused { at, cause, .. } in told {
            let causes = gaps.entry(bounds(at)).or_default();
            if !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        for ((from, to), causes) in gaps {
            self.gap(Window { from, to }, &causes.join("; ")).await?;
        }
        let ends = rest.iter().map(|refused| bounds(refused.at)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        if let Some((from, to)) = ends {
            let cause =
                format!("{} more records cannot be stored; indelible_records_rejected_total says why", rest.len());
            self.gap(Window { from, to }, &cause).await?;
        }
        Ok(())
    }
}
