//! A filter, made ready to be evaluated on record batches.
//!
//! Owns the fast ways of the common tests and the look-up probes; whatever has no fast way falls back to
//! `lang::Test::matches`, the reference. Not here: what a test means (`lang::filter`).

use crate::deadline::Deadline;
use crate::lang::filter::{Pattern, fold, fold_for};
use crate::lang::views::envelope;
use crate::lang::{Column, ColumnKind, Filter, Key, Op, Source, Test, Value, View};
use arrow::array::{
    Array, ArrayRef, BooleanArray, BooleanBufferBuilder, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow::buffer::BooleanBuffer;
use arrow::error::ArrowError;
use event::Field;
use segments::{Need, Predicate, Probe, columns};
use std::borrow::Cow;

/// Computed columns of folded views, numbered past those of a segment.
pub const CREATED_AT: usize = columns::COUNT;
/// The status as it reads now.
pub const STATUS: usize = columns::COUNT + 1;

/// The columns a view's column is made of, first value first.
pub fn sources(column: &Column) -> Vec<usize> {
    match column.source {
        Source::First(fields) => fields.iter().map(|f| columns::of(*f)).collect(),
        Source::CreatedAt => vec![CREATED_AT],
        Source::UpdatedAt => vec![columns::TIME],
        Source::Status(..) => vec![STATUS],
        Source::Index => vec![columns::INDEX],
        Source::RecordedAt => vec![columns::RECORDED_AT],
        Source::Tenant => vec![columns::TENANT],
    }
}

fn key_sources(key: &Key) -> Vec<usize> {
    match key {
        Key::Column(column) => sources(column),
        Key::Json { field, .. } => vec![columns::of(*field)],
    }
}

/// A filter with the columns it reads.
pub struct Matcher {
    view: View,
    filter: Filter,
    columns: Vec<usize>,
    probes: Vec<Vec<Probe>>,
    needs: Vec<Vec<Need>>,
    deadline: Deadline,
}

impl Matcher {
    /// Prepares a filter of a view. `log` limits it to the view's own records, which a batch that was folded
    /// already is.
    pub fn new(view: View, filter: Filter, log: bool) -> Matcher {
        let filter = match view.log().filter(|_| log) {
            Some(log) => Filter::And(vec![own(view, log), filter]).normalized(),
            None => filter,
        };
        let mut used = Vec::new();
        collect(&filter, view, &mut used);
        used.sort_unstable();
        used.dedup();
        let mut probes = probes(&filter);
        probes.retain(|p| !p.is_empty());
        let needs = needs(&filter, view);
        Matcher { view, filter, columns: used, probes, needs, deadline: Deadline::default() }
    }

    /// The same until then: evaluating it fails afterwards.
    #[must_use]
    pub fn within(self, deadline: &Deadline) -> Matcher {
        Matcher { deadline: deadline.clone(), ..self }
    }

    /// Whether it lets everything through.
    pub fn is_all(&self) -> bool {
        self.filter == Filter::All
    }

    /// Evaluates on arrays given by column number.
    ///
    /// # Errors
    /// A column of an unexpected type.
    pub fn evaluate_with(
        &self,
        rows: usize,
        get: &dyn Fn(usize) -> Option<ArrayRef>,
    ) -> Result<BooleanArray, ArrowError> {
        Ok(BooleanArray::new(self.filter(&self.filter, rows, get)?, None))
    }

    fn filter(
        &self,
        filter: &Filter,
        rows: usize,
        get: &dyn Fn(usize) -> Option<ArrayRef>,
    ) -> Result<BooleanBuffer, ArrowError> {
        self.deadline.check()?;
        Ok(match filter {
            Filter::All => BooleanBuffer::new_set(rows),
            Filter::And(parts) => {
                let mut all = BooleanBuffer::new_set(rows);
                for part in parts {
                    if all.count_set_bits() == 0 {
                        break;
                    }
                    all = &all & &self.filter(part, rows, get)?;
                }
                all
            }
            Filter::Or(parts) => {
                let mut any = BooleanBuffer::new_unset(rows);
                for part in parts {
                    any = &any | &self.filter(part, rows, get)?;
                }
                any
            }
            Filter::Not(inner) => !&self.filter(inner, rows, get)?,
            Filter::Text(text) => {
                let wanted = fold(text);
                let mut any = BooleanBuffer::new_unset(rows);
                if wanted.is_empty() {
                    return Ok(BooleanBuffer::new_set(rows));
                }
                for column in self.view.searched().flat_map(sources) {
                    self.deadline.check()?;
                    if let Some(array) = texts(get, column)? {
                        any = &any | &contains(&array, &wanted, false);
                    }
                }
                any
            }
            Filter::Test(test) => self.test(test, rows, get)?,
        })
    }

    fn test(
        &self,
        test: &Test,
        rows: usize,
        get: &dyn Fn(usize) -> Option<ArrayRef>,
    ) -> Result<BooleanBuffer, ArrowError> {
        let positive = if test.op.negative() { test.op.opposite().unwrap_or(test.op) } else { test.op };
        let fast = match (&test.key, &test.value, positive) {
            (Key::Column(c), Value::Text(w), Op::Is) if c.kind == ColumnKind::Text => {
                let wanted = fold(w);
                Some(self.first_text(c, rows, get, &|v| folds_to(v, &wanted))?)
            }
            (Key::Column(c), Value::List(l), Op::In) if c.kind == ColumnKind::Text => {
                let wanted: Vec<String> = l.iter().map(|w| fold(w)).collect();
                Some(self.first_text(c, rows, get, &|v| wanted.iter().any(|w| folds_to(v, w)))?)
            }
            (Key::Column(c), Value::Text(w), Op::Contains) if c.kind == ColumnKind::Text => {
                let wanted = fold_for(w, c.loose());
                match sources(c).as_slice() {
                    [only] => Some(match texts(get, *only)? {
                        Some(array) => contains(&array, &wanted, c.loose()),
                        None => BooleanBuffer::new_unset(rows),
                    }),
                    _ => Some(self.first_text(c, rows, get, &|v| fold_for(v, c.loose()).contains(&wanted))?),
                }
            }
            (Key::Column(c), Value::Text(w), Op::Like) if c.kind == ColumnKind::Text => {
                // Read once, and not for every row: it may be as long as the filter.
                let pattern = Pattern::parse(w).folded(c.loose());
                Some(self.first_text(c, rows, get, &|v| pattern.fits(&fold_for(v, c.loose())))?)
            }
            (Key::Column(c), _, Op::Exists) => {
                let mut any = BooleanBuffer::new_unset(rows);
                for array in sources(c).into_iter().filter_map(get) {
                    any = &any | &array.nulls().map_or_else(|| BooleanBuffer::new_set(rows), |n| n.inner().clone());
                    if array.null_count() == rows {
                        continue;
                    }
                }
                Some(any)
            }
            (Key::Column(c), Value::Time(t), op) if c.kind == ColumnKind::Time => {
                let mut out = BooleanBufferBuilder::new(rows);
                let array = sources(c).first().and_then(|s| get(*s));
                let times = array.as_ref().and_then(|a| a.as_any().downcast_ref::<TimestampMicrosecondArray>());
                for i in 0..rows {
                    let holds = times.filter(|a| a.is_valid(i)).is_some_and(|a| {
                        let v = a.value(i);
                        match op {
                            Op::Is => v == *t,
                            Op::Before | Op::Lt => v < *t,
                            Op::Le => v <= *t,
                            Op::Gt => v > *t,
                            Op::After | Op::Ge => v >= *t,
                            _ => false,
                        }
                    });
                    out.append(holds);
                }
                Some(out.finish())
            }
            _ => None,
        };
        if let Some(mask) = fast {
            return Ok(if test.op.negative() { !&mask } else { mask });
        }
        let arrays: Vec<ArrayRef> = key_sources(&test.key).into_iter().filter_map(get).collect();
        let holds = test.prepared();
        let mut out = BooleanBufferBuilder::new(rows);
        for row in 0..rows {
            self.deadline.check_at(row)?;
            out.append(test.matches_by(&*holds, value_at(&test.key, &arrays, row).as_deref()));
        }
        Ok(out.finish())
    }

    /// A test of the first present value among a column's sources.
    fn first_text(
        &self,
        column: &Column,
        rows: usize,
        get: &dyn Fn(usize) -> Option<ArrayRef>,
        holds: &dyn Fn(&str) -> bool,
    ) -> Result<BooleanBuffer, ArrowError> {
        let mut arrays = Vec::new();
        for source in sources(column) {
            arrays.extend(texts(get, source)?.filter(|a| a.null_count() < rows));
        }
        let mut out = BooleanBufferBuilder::new(rows);
        // Neighbours are often equal: the last value's answer is kept.
        let mut last: Option<(&str, bool)> = None;
        for row in 0..rows {
            self.deadline.check_at(row)?;
            let value = arrays.iter().find(|a| a.is_valid(row)).map(|a| a.value(row));
            out.append(match (value, last) {
                (None, _) => false,
                (Some(v), Some((l, answer))) if v == l => answer,
                (Some(v), _) => {
                    let answer = holds(v);
                    last = Some((v, answer));
                    answer
                }
            });
        }
        Ok(out.finish())
    }
}

impl Predicate for Matcher {
    fn columns(&self) -> &[usize] {
        &self.columns
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        self.evaluate_with(batch.num_rows(), &|column| {
            self.columns.binary_search(&column).ok().map(|at| batch.column(at).clone())
        })
    }

    fn probes(&self) -> &[Vec<Probe>] {
        &self.probes
    }

    fn needs(&self) -> &[Vec<Need>] {
        &self.needs
    }

    fn only_needs(&self) -> bool {
        only_needs(&self.filter)
    }
}

/// The records of a view.
fn own(view: View, log: &str) -> Filter {
    let log = Filter::text_test(Key::Column(envelope(Field::Log)), Op::Is, log);
    let Some(status) = view.status() else { return log };
    // By their values, not by there being one: those can be searched for in encoded bytes.
    let words = event::parse::allowed(status).unwrap_or_default().iter().map(|word| (*word).to_owned()).collect();
    let told = Test { key: Key::Column(envelope(status)), op: Op::In, value: Value::List(words) };
    Filter::Or(vec![log, Filter::Test(told)])
}

fn collect(filter: &Filter, view: View, out: &mut Vec<usize>) {
    match filter {
        Filter::All => {}
        Filter::And(parts) | Filter::Or(parts) => parts.iter().for_each(|p| collect(p, view, out)),
        Filter::Not(inner) => collect(inner, view, out),
        Filter::Test(test) => out.extend(key_sources(&test.key)),
        Filter::Text(_) => out.extend(view.searched().flat_map(sources)),
    }
}

/// What of a filter the look-up filters can exclude rows by.
fn probes(filter: &Filter) -> Vec<Vec<Probe>> {
    match filter {
        Filter::And(parts) => parts.iter().flat_map(probes).collect(),
        Filter::Or(parts) => {
            let mut union = Vec::new();
            for part in parts {
                match probes(part).into_iter().next() {
                    Some(one) => union.extend(one),
                    None => return Vec::new(),
                }
            }
            vec![union]
        }
        Filter::Test(Test { key: Key::Column(c), op, value })
            if matches!(c.kind, ColumnKind::Text | ColumnKind::List) =>
        {
            let values: Vec<&String> = match (op, value) {
                (Op::Is, Value::Text(w)) => vec![w],
                (Op::In, Value::List(l)) => l.iter().collect(),
                _ => return Vec::new(),
            };
            let columns = sources(c);
            // A word-final sigma is the one letter that lower-cases by its place.
            let plain = values.iter().all(|v| !fold(v).contains(['σ', 'ς']));
            if !plain || !columns.iter().all(|c| columns::is_lookup(*c)) {
                return Vec::new();
            }
            vec![
                values
                    .iter()
                    .flat_map(|v| columns.iter().map(|c| Probe { column: *c, value: v.to_lowercase() }))
                    .collect(),
            ]
        }
        _ => Vec::new(),
    }
}

/// What of a filter can be searched for without decoding columns: texts that matching rows have somewhere.
fn needs(filter: &Filter, view: View) -> Vec<Vec<Need>> {
    let texts = |columns: Vec<usize>, text: String, whole: bool, loose: bool| {
        // The tenant's name stands in segments only, and not in the stored form of rows in the tail.
        let searchable = |c: &usize| columns::is_text(*c) && *c != columns::TENANT;
        let ready = !text.is_empty() && columns.iter().all(searchable);
        let one = |column| Need { column, text: text.clone(), whole, loose };
        if ready { columns.into_iter().map(one).collect() } else { Vec::new() }
    };
    match filter {
        Filter::And(parts) => parts.iter().flat_map(|p| needs(p, view)).collect(),
        Filter::Or(parts) => {
            let mut union = Vec::new();
            for part in parts {
                match needs(part, view).into_iter().next() {
                    Some(any) => union.extend(any),
                    None => return Vec::new(),
                }
            }
            vec![union]
        }
        Filter::Text(text) => vec![texts(view.searched().flat_map(sources).collect(), fold(text), false, false)],
        Filter::Test(Test { key: Key::Json { field, .. }, op: Op::Is | Op::Contains, value: Value::Text(w) })
            if stands_in_json(w) =>
        {
            vec![texts(vec![columns::of(*field)], fold(w), false, false)]
        }
        Filter::Test(Test { key: Key::Column(c), op, value }) if c.kind == ColumnKind::Text => match (op, value) {
            (Op::Is, Value::Text(w)) => vec![texts(sources(c), fold(w), true, false)],
            (Op::Contains, Value::Text(w)) => vec![texts(sources(c), fold_for(w, c.loose()), false, c.loose())],
            (Op::In, Value::List(l)) => {
                let all: Vec<Vec<Need>> = l.iter().map(|w| texts(sources(c), fold(w), true, false)).collect();
                // One that cannot be searched for leaves all rows.
                if all.iter().any(Vec::is_empty) { Vec::new() } else { vec![all.into_iter().flatten().collect()] }
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
    .into_iter()
    .filter(|any| !any.is_empty())
    .collect()
}

/// Whether a filter says no more than its [`needs`]: tests of single text columns, all of which must hold.
fn only_needs(filter: &Filter) -> bool {
    match filter {
        Filter::And(parts) => parts.iter().all(only_needs),
        Filter::Test(Test { key: Key::Column(c), op, value }) if c.kind == ColumnKind::Text => {
            let some = |w: &String| !w.is_empty();
            sources(c).len() == 1
                && match (op, value) {
                    (Op::Is | Op::Contains, Value::Text(w)) => some(w),
                    (Op::In, Value::List(l)) => l.iter().all(some),
                    _ => false,
                }
        }
        _ => false,
    }
}

/// Whether a JSON text in which some value is, or contains, this has it letter by letter: nothing that is written
/// with a backslash or has quotes around parts of it, and no number with a point or an exponent, which has
/// several spellings.
fn stands_in_json(text: &str) -> bool {
    let plain =
        text.bytes().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\' | b'{' | b'[' | b',' | b':'));
    plain && !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'e' | b'E' | b'.' | b'+' | b'-'))
}

fn texts(get: &dyn Fn(usize) -> Option<ArrayRef>, column: usize) -> Result<Option<StringArray>, ArrowError> {
    let Some(array) = get(column) else { return Ok(None) };
    match array.as_any().downcast_ref::<StringArray>() {
        Some(texts) => Ok(Some(texts.clone())),
        None => Err(ArrowError::SchemaError(format!("column {column} is no text"))),
    }
}

/// Whether a text folds to this folded text.
fn folds_to(value: &str, folded: &str) -> bool {
    if value.is_ascii() {
        return value.len() == folded.len() && value.eq_ignore_ascii_case(folded);
    }
    fold(value) == *folded
}

/// Which rows contain the folded text. Goes over the values' bytes once, not row by row.
fn contains(array: &StringArray, wanted: &str, loose: bool) -> BooleanBuffer {
    let rows = array.len();
    let mut out = BooleanBufferBuilder::new(rows);
    out.append_n(rows, false);
    if array.null_count() == rows {
        return out.finish();
    }
    let offsets = array.value_offsets();
    let (start, end) = (offsets.first().map_or(0, |o| *o as usize), offsets.last().map_or(0, |o| *o as usize));
    let bytes = array.values().get(start..end).unwrap_or_default();
    if !bytes.is_ascii() || wanted.is_empty() {
        for row in (0..rows).filter(|r| array.is_valid(*r)) {
            out.set_bit(row, fold_for(array.value(row), loose).contains(wanted));
        }
        return out.finish();
    }
    let mut lower = bytes.to_ascii_lowercase();
    if loose {
        lower.iter_mut().filter(|b| matches!(b, b'_' | b'-' | b'.')).for_each(|b| *b = b' ');
    }
    let mut row = 0;
    let mut from = 0;
    let finder = memchr::memmem::Finder::new(wanted.as_bytes());
    while let Some(at) = lower.get(from..).and_then(|rest| finder.find(rest)) {
        let at = from + at;
        while row + 1 < rows && offsets.get(row + 1).is_some_and(|o| *o as usize - start <= at) {
            row += 1;
        }
        let row_end = offsets.get(row + 1).map_or(0, |o| *o as usize - start);
        if at + wanted.len() <= row_end {
            out.set_bit(row, array.is_valid(row));
            // One hit is enough: go on with the next row.
            from = row_end;
        } else {
            from = at + 1;
        }
    }
    out.finish()
}

/// A key's value in a row, in the spelling of [`Filter::matches`].
pub fn value_at(key: &Key, arrays: &[ArrayRef], row: usize) -> Option<Cow<'static, str>> {
    let array = arrays.iter().find(|a| a.is_valid(row))?;
    let any = array.as_any();
    if let Some(texts) = any.downcast_ref::<StringArray>() {
        let text = texts.value(row);
        return match key {
            Key::Column(_) => Some(Cow::Owned(text.to_owned())),
            Key::Json { path, .. } => {
                // Most rows do not have the key at all.
                if path.first().is_some_and(|p| {
                    p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                        && memchr::memmem::find(text.as_bytes(), p.as_bytes()).is_none()
                }) {
                    return None;
                }
                let mut value: serde_json::Value = serde_json::from_str(text).ok()?;
                for part in path {
                    value = match value {
                        serde_json::Value::Object(mut map) => map.remove(part)?,
                        serde_json::Value::Array(list) => list.into_iter().nth(part.parse().ok()?)?,
                        _ => return None,
                    };
                }
                match value {
                    serde_json::Value::Null => None,
                    serde_json::Value::String(text) => Some(Cow::Owned(text)),
                    other => Some(Cow::Owned(other.to_string())),
                }
            }
        };
    }
    if let Some(times) = any.downcast_ref::<TimestampMicrosecondArray>() {
        return Some(Cow::Owned(times.value(row).to_string()));
    }
    if let Some(numbers) = any.downcast_ref::<UInt64Array>() {
        return Some(Cow::Owned(numbers.value(row).to_string()));
    }
    any.downcast_ref::<BooleanArray>().map(|b| Cow::Borrowed(if b.value(row) { "true" } else { "false" }))
}

#[cfg(test)]
mod tests;
