//! Running a typed query: pages, counts, histograms, facets, single records and their proofs.
//!
//! Every function takes the tenant and what the caller may see, and checks it here, not only at the route.
//! Not here: SQL (`sql`), and folding records to their latest state (`fold`).

use crate::cursor::{Cursor, CursorError, print};
use crate::deadline::{Deadline, Ended};
use crate::fold;
use crate::json::{Places, Row, is_body};
use crate::lang::{Filter, Key, Query, View};
use crate::predicate::{CREATED_AT, Matcher, STATUS, sources};
use crate::source::{Merge, Wanted};
use arrow::array::{Array, AsArray, RecordBatch, UInt64Array};
use arrow::datatypes::TimestampMicrosecondType;
use catalog::Tenant;
use event::Field;
use event::time::DAY;
use segments::columns;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::Store;

/// Rows of a page where the caller does not say.
pub const DEFAULT_LIMIT: u32 = 100;
/// Most rows of a page.
pub const MAX_LIMIT: u32 = 1_000;
/// Bytes of items after which a page ends, whatever its limit: a record may be 1 MiB.
const PAGE_BYTES: usize = 32 << 20;
/// How far back a view goes where the caller gives no bounds.
const DEFAULT_DAYS: i64 = 7;

/// Why a query was not answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The query is not one.
    #[error(transparent)]
    Query(#[from] crate::lang::Error),
    /// The cursor is not one.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// The caller lacks a scope that a column needs.
    #[error("`{0}` needs the scope `read_body`")]
    Scope(String),
    /// A limit of the request.
    #[error("{0}")]
    Limit(String),
    /// It took too long, or nobody waits for it any more.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// SQL that is not allowed or wrong.
    #[error("{0}")]
    Sql(String),
    /// Reading failed. Never said of what is simply not there.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<segments::Error> for Error {
    fn from(e: segments::Error) -> Self {
        let ended = if let segments::Error::Compute(e) = &e { Ended::of(e) } else { None };
        ended.map_or_else(|| Error::Store(e.into()), Error::Ended)
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(e: arrow::error::ArrowError) -> Self {
        segments::Error::Compute(e).into()
    }
}

/// Shorthand of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller may see of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Notification bodies and session claims.
    pub bodies: bool,
}

/// A page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The rows as JSON, newest first.
    pub items: Vec<String>,
    /// Where the next page goes on; none at the end.
    pub next_cursor: Option<String>,
    /// Bounds in force.
    pub from: Option<i64>,
    /// See `from`.
    pub to: Option<i64>,
    /// Rows in which a body or claims were shown.
    pub bodies: usize,
}

/// What the items of a page are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Items {
    /// Rows of the view.
    #[default]
    Rows,
    /// The whole envelopes of the same records; of a view of latest states, those of the latest records.
    Envelopes,
}

/// Everything that reads, over one store.
pub struct Engine {
    pub(crate) store: Arc<Store>,
    pub(crate) deadline: Deadline,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// An engine over this store.
    pub fn new(store: Arc<Store>) -> Engine {
        Engine { store, deadline: Deadline::default() }
    }

    /// The same for one query, which ends with [`Error::Ended`] once its time is over.
    #[must_use]
    pub fn within(&self, deadline: &Deadline) -> Engine {
        Engine { store: Arc::clone(&self.store), deadline: deadline.clone() }
    }

    /// A matcher of a query's filter, within its time.
    pub(crate) fn matcher(&self, query: &Query, log: bool) -> Matcher {
        Matcher::new(query.view, query.filter.clone(), log).within(&self.deadline)
    }

    /// The store beneath.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// A page of a view.
    ///
    /// # Errors
    /// [`Error`].
    pub fn page(&self, tenant: &Arc<Tenant>, query: &Query, access: Access) -> Result<Page> {
        self.page_of(tenant, query, access, Items::Rows)
    }

    /// As [`page`](Self::page), with the items asked for. Which records they are, and the cursors, are the same.
    ///
    /// # Errors
    /// [`Error`].
    pub fn page_of(&self, tenant: &Arc<Tenant>, query: &Query, access: Access, items: Items) -> Result<Page> {
        let view = match items {
            Items::Rows => query.view,
            Items::Envelopes => View::Records,
        };
        let limit = match query.limit {
            None => DEFAULT_LIMIT,
            Some(0) => return Err(Error::Limit(format!("`limit` is 0; it is from 1 to {MAX_LIMIT}"))),
            Some(n) if n > MAX_LIMIT => {
                return Err(Error::Limit(format!("`limit` is {n}; it is from 1 to {MAX_LIMIT}")));
            }
            Some(n) => n,
        } as usize;
        check_access(query, access)?;
        let print = print(tenant.number, query);
        let cursor = query.cursor.as_deref().map(Cursor::decode).transpose()?;
        let clock = match (&cursor, query.asked_at) {
            (Some(cursor), _) => cursor.clock,
            (None, Some(asked_at)) => Some(asked_at),
            (None, None) if is_bounded(query) => None,
            (None, None) => Some(self.store.now()),
        };
        let (from, to) = bounds_at(query, clock.unwrap_or_default());
        cursor.as_ref().map_or(Ok(()), |c| c.check(print, from, to))?;
        let snapshot = self.store.snapshot(tenant, cursor.as_ref().map(|c| c.size));
        let time = from.unwrap_or(i64::MIN)..to.unwrap_or(i64::MAX);
        let before = cursor.map(|c| (c.time, c.id));
        let mut page = Page { from, to, ..Page::default() };
        let mut last = None;
        let mut bytes = 0;
        if query.view.folded() {
            let state = fold::latest(&snapshot, query.view, self.store.now(), &self.deadline)?;
            let all = state.matching(&self.matcher(query, false), &time, before.as_ref())?;
            let all_rows = all.len();
            let places = Places::of(&state.columns);
            for row in all.into_iter().take(limit) {
                if bytes >= PAGE_BYTES {
                    break;
                }
                let mut out = String::with_capacity(512);
                let shown = Row { batch: &state.batch, places: &places, row, bodies: access.bodies };
                shown.view(view, &mut out);
                page.bodies += usize::from(shown.shows_body(view));
                bytes += out.len();
                page.items.push(out);
                last = Some(state.key(row));
            }
            last = last.filter(|_| all_rows > page.items.len());
        } else {
            let wanted = Wanted {
                projection: projection(view, access),
                matcher: Some(Arc::new(self.matcher(query, true))),
                time,
                before,
                limit: Some(limit + 1),
                deadline: self.deadline.clone(),
            };
            let places = Places::of(&wanted.projection);
            let mut merge = Merge::new(&snapshot, &wanted);
            let mut more = false;
            while let Some((batch, row)) = merge.next()? {
                if page.items.len() == limit || bytes >= PAGE_BYTES {
                    more = true;
                    break;
                }
                let mut out = String::with_capacity(512);
                let shown = Row { batch: &batch, places: &places, row, bodies: access.bodies };
                shown.view(view, &mut out);
                page.bodies += usize::from(shown.shows_body(view));
                bytes += out.len();
                page.items.push(out);
                last = Some(key(&batch, row));
            }
            last = last.filter(|_| more);
        }
        let at = |(time, id)| Cursor { print, clock, size: snapshot.size, from, to, time, id };
        page.next_cursor = last.map(|last| at(last).encode());
        Ok(page)
    }

    /// The bounds of a query: as given, or the last seven days of a view that shows one log.
    pub(crate) fn bounds(&self, query: &Query) -> (Option<i64>, Option<i64>) {
        bounds_at(query, query.asked_at.unwrap_or_else(|| self.store.now()))
    }

    /// Goes over the matching rows, as batches of `columns`, on several threads. Each begins with an `empty`
    /// result and adds to it; gives them all. Within a batch rows are newest first. Folded views give their
    /// latest rows. The bounds are those of [`page`](Self::page).
    pub(crate) fn gather<T: Send>(
        &self,
        tenant: &Arc<Tenant>,
        query: &Query,
        columns: &[usize],
        empty: &(dyn Fn() -> T + Sync),
        add: &(dyn Fn(&mut T, &RecordBatch) -> Result<()> + Sync),
    ) -> Result<Vec<T>> {
        let (from, to) = self.bounds(query);
        let time = from.unwrap_or(i64::MIN)..to.unwrap_or(i64::MAX);
        let snapshot = self.store.snapshot(tenant, None);
        let mut own = empty();
        if query.view.folded() {
            let state = fold::latest(&snapshot, query.view, self.store.now(), &self.deadline)?;
            let rows = state.matching(&self.matcher(query, false), &time, None)?;
            add(&mut own, &state.take(&rows, columns)?)?;
            return Ok(vec![own]);
        }
        let wanted = Wanted {
            projection: columns.to_vec(),
            matcher: Some(Arc::new(self.matcher(query, true))),
            time,
            before: None,
            limit: None,
            deadline: self.deadline.clone(),
        };
        let mut pieces = Vec::new();
        for segment in &snapshot.segments {
            let request = crate::source::request(&snapshot, &wanted);
            pieces.extend(segment.pieces(&request)?.into_iter().map(|rows| (segment, rows)));
        }
        let next = AtomicUsize::new(0);
        let work = |result: &mut T| -> Result<()> {
            while let Some((segment, rows)) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut request = crate::source::request(&snapshot, &wanted);
                request.rows = Some(rows.clone());
                request.dictionaries = true;
                for batch in segment.scan(&request)? {
                    self.deadline.check()?;
                    add(result, &batch?)?;
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..crate::source::threads().min(pieces.len()))
                .map(|_| {
                    scope.spawn(|| {
                        let mut result = empty();
                        work(&mut result).map(|()| result)
                    })
                })
                .collect();
            for block in &snapshot.blocks {
                self.deadline.check()?;
                add(&mut own, &crate::source::block_rows(block, &snapshot, &wanted)?)?;
            }
            work(&mut own)?;
            let mut results = vec![own];
            for other in others {
                match other.join() {
                    Ok(theirs) => results.push(theirs?),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Ok(results)
        })
    }

    /// One record by its id: its envelope as JSON with `leaf_hash`, and whether that shows a body or claims.
    ///
    /// # Errors
    /// [`Error`]; absent is `None`.
    pub fn record(&self, tenant: &Arc<Tenant>, id: &str, access: Access) -> Result<Option<(String, bool)>> {
        let Some(row) = self.row(tenant, id)? else { return Ok(None) };
        let bodies = access.bodies
            && event::encode::fields(&row.row).map_while(|f| f.ok()).any(|f| is_body(columns::of(f.field)));
        let mut json = self.envelope(tenant, &row, access)?;
        // These two are always there, also where there is nothing to say.
        let has = |field| event::encode::fields(&row.row).map_while(|f| f.ok()).any(|f| f.field == field);
        for (field, nothing) in [(Field::Redactions, ",\"redactions\":[]}"), (Field::Diff, ",\"diff\":null}")] {
            if !has(field) {
                json.pop();
                json.push_str(nothing);
            }
        }
        Ok(Some((json, bodies)))
    }

    /// The sealed row with this id.
    ///
    /// # Errors
    /// [`Error`]; absent is `None`.
    pub fn row(&self, tenant: &Arc<Tenant>, id: &str) -> Result<Option<store::Row>> {
        let Some(index) = self.store.index_of(tenant, id)? else { return Ok(None) };
        Ok(self.store.rows(tenant, index..index + 1)?.into_iter().next())
    }

    /// A sealed row as its envelope.
    ///
    /// # Errors
    /// A row that cannot be decoded.
    pub fn envelope(&self, tenant: &Tenant, row: &store::Row, access: Access) -> Result<String> {
        let mut builder = segments::BatchBuilder::new();
        builder.push(segments::RowRef {
            tenant: &tenant.slug,
            index: row.index,
            recorded_at: row.recorded_at,
            kind: row.kind,
            row: &row.row,
        })?;
        let batch = builder.finish()?;
        let places = Places::of(&(0..columns::COUNT).collect::<Vec<_>>());
        let leaf: String = row.leaf.iter().map(|b| format!("{b:02x}")).collect();
        let mut out = String::with_capacity(row.row.len() * 2);
        Row { batch: &batch, places: &places, row: 0, bodies: access.bodies }.envelope(Some(&leaf), &mut out);
        Ok(out)
    }
}

/// See [`Engine::bounds`].
fn bounds_at(query: &Query, now: i64) -> (Option<i64>, Option<i64>) {
    if is_bounded(query) { (query.from, query.to) } else { (Some(now - DEFAULT_DAYS * DAY), None) }
}

/// Whether a query needs no bounds beside its own.
fn is_bounded(query: &Query) -> bool {
    query.from.is_some() || query.to.is_some() || query.view == View::Records
}

/// Time and id first, then what the view shows.
fn projection(view: View, access: Access) -> Vec<usize> {
    let mut out = vec![columns::TIME, columns::ID];
    let mut add = |c: usize| {
        if !out.contains(&c) && (access.bodies || !is_body(c)) {
            out.push(c);
        }
    };
    view.columns().iter().flat_map(sources).filter(|c| *c < CREATED_AT).for_each(&mut add);
    add(columns::INDEX);
    add(columns::RECORDED_AT);
    debug_assert!(!out.contains(&STATUS));
    out
}

/// Refuses keys whose values the caller may not see: a filter on them would tell.
fn check_access(query: &Query, access: Access) -> Result<()> {
    if access.bodies {
        return Ok(());
    }
    fn walk(filter: &Filter, view: View) -> Result<()> {
        match filter {
            Filter::All | Filter::Text(_) => Ok(()),
            Filter::And(parts) | Filter::Or(parts) => parts.iter().try_for_each(|p| walk(p, view)),
            Filter::Not(inner) => walk(inner, view),
            Filter::Test(test) => visible(&test.key, view),
        }
    }
    walk(&query.filter, query.view)?;
    query.count_by.iter().chain(&query.facets).try_for_each(|k| visible(k, query.view))
}

fn visible(key: &Key, view: View) -> Result<()> {
    let hidden = match key {
        Key::Column(c) => sources(c).into_iter().any(is_body),
        Key::Json { field, .. } => is_body(columns::of(*field)),
    };
    if hidden { Err(Error::Scope(key.name(view))) } else { Ok(()) }
}

pub(crate) fn allowed(query: &Query, access: Access) -> Result<()> {
    check_access(query, access)
}

/// Whether what a query asks depends on notification bodies or claims: what only [`Access::bodies`] may ask.
pub fn asks_for_bodies(query: &Query) -> bool {
    check_access(query, Access { bodies: false }).is_err()
}

fn key(batch: &RecordBatch, row: usize) -> (i64, String) {
    let time = batch.column(0).as_primitive::<TimestampMicrosecondType>().value(row);
    (time, batch.column(1).as_string::<i32>().value(row).to_owned())
}

/// An unsigned column's values.
pub(crate) fn indexes(array: &dyn Array) -> Option<&UInt64Array> {
    array.as_any().downcast_ref::<UInt64Array>()
}
