//! Latest-status views: the log only appends, the view shows each job, notification, session or grant once.
//!
//! The latest record of an id is the one that happened last ([`Standing`]), however late it came; `created_at` is the time
//! of its first, or what a source that names both says of it itself. So what arrives late changes nothing, and a session that its source
//! says is active after it was revoked is.
//! A session or grant is told of by events that each say a part: a sign-in whose it is and where to, a revocation often no
//! more than its id. So what the latest record does not say is filled in from the latest that did.
//! A session or grant past `expires_at` reads `expired` though no record says so. What ended many at once is the
//! record of none of them (`ends`): those read `revoked` if they lived by then.

mod ends;
mod row;

use crate::deadline::Deadline;
use crate::engine::{Error, Result};
use crate::lang::{Source, View};
use crate::predicate::{CREATED_AT, Matcher, STATUS};
use crate::source::{Merge, Wanted};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{interleave, interleave_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field as ArrowField, Schema, TimestampMicrosecondType};
use ends::Ends;
use event::Field;
use row::Row;
use segments::columns;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use store::Snapshot;

/// The latest rows of a folded view.
pub struct Latest {
    /// One row per id, newest first by the latest record's time, with computed columns at the end.
    pub batch: RecordBatch,
    /// Column numbers, [`CREATED_AT`] and [`STATUS`] among them.
    pub columns: Vec<usize>,
}

/// Where a record stands among those of the same id. The greatest is the latest.
///
/// What is said to have happened after it was sealed did so when it was sealed: a clock that is ahead must not outlast a
/// revocation. Of what happened in one microsecond, the end of a session or grant comes after its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    happened: i64,
    time: i64,
    ends: bool,
    index: u64,
}

impl Standing {
    /// Of a record's time and the time of its sealing (microseconds), its index, and the status of the session or grant
    /// that it tells of.
    pub fn new(time: i64, recorded_at: i64, index: u64, status: Option<&str>) -> Standing {
        Standing { happened: time.min(recorded_at), time, ends: status == Some("revoked"), index }
    }
}

struct Seen {
    batch: usize,
    row: usize,
    standing: Standing,
    created: i64,
    /// The earliest time that a record says itself it began at.
    begun: Option<i64>,
    /// Per carried column the latest row with a value: how it stands, its batch and row.
    carried: Vec<Option<(Standing, usize, usize)>>,
}

impl Seen {
    fn carry(&mut self, columns: &[usize], batch: &RecordBatch, number: usize, row: usize, standing: Standing) {
        for (at, held) in columns.iter().zip(&mut self.carried) {
            if held.is_none_or(|(known, ..)| standing > known)
                && batch.columns().get(*at).is_some_and(|array| array.is_valid(row))
            {
                *held = Some((standing, number, row));
            }
        }
    }
}

/// The columns that a view fills in from earlier records.
fn carried(view: View) -> Vec<usize> {
    let mut out: Vec<usize> = Vec::new();
    match view {
        // A status in a word that nobody knows, or none at all, does not take away the one that was known.
        View::JobLogs => return vec![columns::of(Field::JobStatus)],
        View::Sessions | View::Grants => {}
        _ => return out,
    }
    for column in view.columns() {
        match column.source {
            Source::First(fields) => {
                out.extend(fields.iter().filter(|f| **f != Field::Attributes).map(|f| columns::of(*f)));
            }
            Source::Status(status, expires) => out.extend([columns::of(status), columns::of(expires)]),
            _ => {}
        }
    }
    out.push(columns::of(if view == View::Sessions { Field::SessionScopes } else { Field::GrantScopes }));
    out.push(columns::of(Field::GrantUserId));
    out
}

/// Folds a snapshot's records of a view.
///
/// # Errors
/// What reading failed with, or that it takes too long.
pub fn latest(snapshot: &Snapshot, view: View, now: i64, deadline: &Deadline) -> Result<Latest> {
    let ids: Vec<usize> = view.fold_id().unwrap_or_default().iter().map(|f| columns::of(*f)).collect();
    // Every column: a filter may name any of the envelope's.
    let mut projection = vec![columns::TIME, columns::ID];
    projection.extend((0..columns::COUNT).filter(|c| !matches!(*c, columns::TIME | columns::ID)));
    let wanted = Wanted {
        projection: projection.clone(),
        matcher: Some(Arc::new(Matcher::new(view, crate::lang::Filter::All, true))),
        time: i64::MIN..i64::MAX,
        before: None,
        limit: None,
        deadline: deadline.clone(),
    };
    let place = |c: usize| projection.iter().position(|p| *p == c);
    let (Some(index_at), Some(recorded_at), Some(id_at)) =
        (place(columns::INDEX), place(columns::RECORDED_AT), ids.iter().map(|c| place(*c)).collect::<Option<Vec<_>>>())
    else {
        return Err(Error::Limit("the view cannot be folded".into()));
    };
    let status_at = view.status().and_then(|field| place(columns::of(field)));
    let carried: Vec<usize> = carried(view).into_iter().filter_map(place).collect();
    let mut batches: Vec<RecordBatch> = Vec::new();
    let mut seen: HashMap<String, Seen> = HashMap::new();
    let mut merge = Merge::new(snapshot, &wanted);
    let mut last: Option<(*const dyn Array, usize)> = None;
    // A job or a notification ends nothing but itself.
    let mut ends = view.columns().iter().find_map(|c| match c.source {
        Source::Status(status, expires) => Some(Ends::new(status, expires)),
        _ => None,
    });
    while let Some((batch, row)) = merge.next()? {
        let Some(index) = crate::engine::indexes(batch.column(index_at)).map(|a| a.value(row)) else { continue };
        let time = batch.column(0).as_primitive::<TimestampMicrosecondType>().value(row);
        let sealed = batch.column(recorded_at).as_primitive_opt::<TimestampMicrosecondType>();
        let said = status_at.and_then(|at| batch.columns().get(at)).and_then(|a| a.as_string_opt::<i32>());
        let said = said.filter(|a| a.is_valid(row)).map(|a| a.value(row));
        let standing = Standing::new(time, sealed.map_or(time, |a| a.value(row)), index, said);
        if let Some(ends) = ends.as_mut().filter(|_| standing.ends) {
            ends.note(&Row::new(&batch, &projection, row), standing);
        }
        let Some(id) = id_at
            .iter()
            .filter_map(|at| batch.columns().get(*at))
            .find(|a| a.is_valid(row))
            .and_then(|a| a.as_string_opt::<i32>())
        else {
            continue;
        };
        let pointer: *const dyn Array = Arc::as_ptr(batch.column(0));
        let number = match last {
            Some((p, n)) if std::ptr::addr_eq(p, pointer) => n,
            _ => {
                // Batches of several sources take turns; each is kept once.
                deadline.check()?;
                let known = batches.iter().rposition(|b| std::ptr::addr_eq(Arc::as_ptr(b.column(0)), pointer));
                known.unwrap_or_else(|| {
                    batches.push(RecordBatch::clone(&batch));
                    batches.len() - 1
                })
            }
        };
        last = Some((pointer, number));
        let begun = (view == View::JobLogs).then(|| begun(&Row::new(&batch, &projection, row))).flatten();
        let key = id.value(row);
        match seen.get_mut(key) {
            Some(s) => {
                s.created = s.created.min(time);
                s.begun = s.begun.into_iter().chain(begun).min();
                if standing > s.standing {
                    (s.batch, s.row, s.standing) = (number, row, standing);
                }
                s.carry(&carried, &batch, number, row, standing);
            }
            None => {
                let none = vec![None; carried.len()];
                let mut first = Seen { batch: number, row, standing, created: time, begun, carried: none };
                first.carry(&carried, &batch, number, row, standing);
                seen.insert(key.to_owned(), first);
            }
        }
    }
    let mut rows: Vec<Seen> = seen.into_values().collect();
    let order_of = |s: &Seen| {
        let batch = batches.get(s.batch);
        batch.map(|b| {
            (
                b.column(0).as_primitive::<TimestampMicrosecondType>().value(s.row),
                b.column(1).as_string::<i32>().value(s.row),
            )
        })
    };
    rows.sort_by(|a, b| order_of(b).cmp(&order_of(a)));
    let schema = Arc::new(segments::schema().project(&projection)?);
    let picked = if batches.is_empty() {
        RecordBatch::new_empty(schema)
    } else {
        let places: Vec<(usize, usize)> = rows.iter().map(|s| (s.batch, s.row)).collect();
        let latest = interleave_record_batch(&batches.iter().collect::<Vec<_>>(), &places)?;
        filled(latest, &batches, &rows, &carried)?
    };
    let picked = match ends.filter(|ends| !ends.is_empty()) {
        Some(ends) => ends.apply(picked, &projection, &rows)?,
        None => picked,
    };
    let created = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|s| s.begun.unwrap_or(s.created)))
        .with_timezone("UTC");
    let status = status(view, &picked, &projection, now);
    let mut fields: Vec<Arc<ArrowField>> = picked.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(ArrowField::new("created_at", created.data_type().clone(), false)));
    fields.push(Arc::new(ArrowField::new("status", DataType::Utf8, true)));
    let mut arrays: Vec<ArrayRef> = picked.columns().to_vec();
    arrays.push(Arc::new(created));
    arrays.push(Arc::new(status));
    projection.extend([CREATED_AT, STATUS]);
    Ok(Latest { batch: RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?, columns: projection })
}

/// The time that a record of something that changes says it began at, where it is the record of a later change.
fn begun(record: &Row<'_>) -> Option<i64> {
    record.mark("created_at")?.as_str().and_then(event::time::parse)
}

/// The latest rows with what earlier ones said in the carried columns.
fn filled(latest: RecordBatch, batches: &[RecordBatch], rows: &[Seen], carried: &[usize]) -> Result<RecordBatch> {
    let mut arrays = latest.columns().to_vec();
    for (slot, at) in carried.iter().enumerate() {
        let sources: Vec<&dyn Array> = batches.iter().filter_map(|b| b.columns().get(*at)).map(AsRef::as_ref).collect();
        let held = |s: &Seen| s.carried.get(slot).copied().flatten().map_or((s.batch, s.row), |(_, b, r)| (b, r));
        let places: Vec<(usize, usize)> = rows.iter().map(held).collect();
        if let Some(array) = arrays.get_mut(*at) {
            *array = interleave(&sources, &places)?;
        }
    }
    Ok(RecordBatch::try_new(latest.schema(), arrays)?)
}

fn status(view: View, batch: &RecordBatch, projection: &[usize], now: i64) -> StringArray {
    let sources = view.columns().iter().find_map(|c| match c.source {
        Source::Status(status, expires) => Some((columns::of(status), columns::of(expires))),
        _ => None,
    });
    let array = |c: usize| projection.iter().position(|p| *p == c).and_then(|at| batch.columns().get(at));
    let Some((Some(status), Some(expires))) = sources.map(|(s, e)| (array(s), array(e))) else {
        return StringArray::new_null(batch.num_rows());
    };
    let (Some(status), Some(expires)) =
        (status.as_string_opt::<i32>(), expires.as_primitive_opt::<TimestampMicrosecondType>())
    else {
        return StringArray::new_null(batch.num_rows());
    };
    (0..batch.num_rows())
        .map(|row| {
            let said = status.is_valid(row).then(|| status.value(row));
            let past = expires.is_valid(row) && expires.value(row) <= now;
            if past && matches!(said, None | Some("active")) { Some("expired") } else { said }
        })
        .collect()
}

impl Latest {
    fn array(&self, column: usize) -> Option<ArrayRef> {
        self.columns.iter().position(|c| *c == column).and_then(|at| self.batch.columns().get(at)).cloned()
    }

    /// Time and id of a row.
    pub fn key(&self, row: usize) -> (i64, String) {
        let time = self.batch.column(0).as_primitive::<TimestampMicrosecondType>().value(row);
        (time, self.batch.column(1).as_string::<i32>().value(row).to_owned())
    }

    /// The rows that match, newest first. `time` bounds the view's own time column.
    ///
    /// # Errors
    /// A column of an unexpected type.
    pub fn matching(&self, matcher: &Matcher, time: &Range<i64>, before: Option<&(i64, String)>) -> Result<Vec<usize>> {
        let rows = self.batch.num_rows();
        let mask = matcher.evaluate_with(rows, &|c| self.array(c))?;
        Ok((0..rows)
            .filter(|row| {
                let (at, id) = self.key(*row);
                mask.value(*row) && time.contains(&at) && before.is_none_or(|(t, last)| (at, &id) < (*t, last))
            })
            .collect())
    }

    /// Some rows with some columns.
    ///
    /// # Errors
    /// A column that is not there.
    pub fn take(&self, rows: &[usize], wanted: &[usize]) -> Result<RecordBatch> {
        let at: Option<Vec<usize>> = wanted.iter().map(|c| self.columns.iter().position(|have| have == c)).collect();
        let projected = self.batch.project(&at.ok_or_else(|| Error::Limit("no such column".into()))?)?;
        let rows = UInt32Array::from_iter_values(rows.iter().map(|r| *r as u32));
        Ok(take_record_batch(&projected, &rows)?)
    }
}

#[cfg(test)]
mod tests {
    use super::Standing;

    /// Time and time of sealing in seconds, status.
    fn latest(records: &[(i64, i64, &str)]) -> usize {
        let standing =
            |n: usize, (time, sealed, status): (i64, i64, &str)| Standing::new(time, sealed, n as u64, Some(status));
        (0..records.len()).max_by_key(|n| standing(*n, records[*n])).unwrap()
    }

    #[test]
    fn what_happened_last_counts_and_not_what_came_last() {
        assert_eq!(latest(&[(1, 1, "active"), (5, 5, "revoked"), (2, 9, "active")]), 1, "a sign-in that came late");
        assert_eq!(latest(&[(1, 1, "active"), (5, 5, "revoked"), (7, 9, "active")]), 2, "it came back");
        assert_eq!(latest(&[(5, 5, "revoked"), (5, 9, "active")]), 0, "begun and ended at the same time");
        assert_eq!(latest(&[(3, 5, "active"), (3, 6, "active")]), 1, "the later sealed");
    }

    #[test]
    fn a_clock_that_is_ahead_does_not_outlast_a_revocation() {
        assert_eq!(latest(&[(3600, 1, "active"), (20, 20, "revoked")]), 1);
        assert_eq!(latest(&[(3600, 1, "active"), (3700, 1, "active")]), 1, "in order beside each other");
    }
}
