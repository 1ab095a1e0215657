//! Counts: how many, how many of each value, how many in each stretch of time.

use crate::engine::{Access, Engine, Error, Result, allowed};
use crate::lang::{Interval, Key, Query, Unit};
use crate::predicate::{sources, value_at};
use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use catalog::Tenant;
use event::time::DAY;
use segments::columns;
use std::collections::HashMap;
use std::sync::Arc;

/// Groups given back where the caller does not say.
const DEFAULT_GROUPS: usize = 100;
/// Bars of a histogram, at most.
const MAX_BARS: usize = 10_000;
/// Distinct values counted before a count is refused: what is held in memory.
const MAX_VALUES: usize = 1_000_000;

/// One value and how often it occurs; `None` is the records without one.
pub type Group = (Option<String>, u64);

/// One bar of a histogram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// Where it begins, microseconds.
    pub from: i64,
    /// Records in it.
    pub count: u64,
    /// By value, where the query also counts by a key.
    pub groups: Vec<Group>,
}

/// The counts a query asks for.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Matching records.
    pub total: u64,
    /// By value, most frequent first.
    pub groups: Option<Vec<Group>>,
    /// By time, oldest first.
    pub histogram: Option<Vec<Bar>>,
    /// The most frequent values of each facet.
    pub facets: Vec<(String, Vec<Group>)>,
}

impl Engine {
    /// Counts what a query asks to be counted.
    ///
    /// # Errors
    /// [`Error`].
    pub fn counts(&self, tenant: &Arc<Tenant>, query: &Query, access: Access) -> Result<Counts> {
        allowed(query, access)?;
        let mut keys: Vec<&Key> = query.count_by.iter().collect();
        keys.extend(&query.facets);
        let mut projection = vec![columns::TIME];
        let mut places = Vec::new();
        for key in &keys {
            let from = match key {
                Key::Column(c) => sources(c),
                Key::Json { field, .. } => vec![columns::of(*field)],
            };
            places.push(
                from.into_iter()
                    .map(|c| {
                        projection.iter().position(|p| *p == c).unwrap_or_else(|| {
                            projection.push(c);
                            projection.len() - 1
                        })
                    })
                    .collect::<Vec<_>>(),
            );
        }
        let mut tallies: Vec<Tally> = keys.iter().map(|_| Tally::default()).collect();
        let mut bars: HashMap<(i64, u32), u64> = HashMap::new();
        let mut total = 0;
        let mut failed = None;
        self.each_batch(tenant, query, &projection, &mut |batch| {
            total += batch.num_rows() as u64;
            if failed.is_none()
                && let Err(e) = tally(batch, &keys, &places, query, &mut tallies, &mut bars)
            {
                failed = Some(e);
            }
        })?;
        if let Some(e) = failed {
            return Err(e);
        }
        let limit = query.limit.map_or(DEFAULT_GROUPS, |l| l as usize);
        let mut counts = Counts { total, ..Counts::default() };
        let by = query.count_by.is_some();
        if query.interval.is_some() {
            counts.histogram = Some(histogram(bars, by.then(|| &tallies[0]))?);
        }
        for (n, (key, tally)) in keys.iter().zip(tallies).enumerate() {
            let groups = tally.groups(limit);
            if by && n == 0 {
                counts.groups = Some(groups);
            } else {
                counts.facets.push((key.name(query.view), groups));
            }
        }
        Ok(counts)
    }
}

/// Counts of one key's values; each value has a number.
#[derive(Default)]
struct Tally {
    numbers: HashMap<Option<String>, u32>,
    counts: Vec<u64>,
}

impl Tally {
    fn number(&mut self, value: Option<&str>) -> Result<u32> {
        // `Option<String>` cannot be looked up by `Option<&str>`; the copy is made once per distinct value of a
        // batch, not per row.
        let key = value.map(str::to_owned);
        if let Some(n) = self.numbers.get(&key) {
            return Ok(*n);
        }
        let n = self.numbers.len() as u32;
        if self.numbers.len() >= MAX_VALUES {
            return Err(Error::Limit(format!("more than {MAX_VALUES} distinct values; narrow the filter or the time")));
        }
        self.numbers.insert(key, n);
        self.counts.push(0);
        Ok(n)
    }

    fn groups(self, limit: usize) -> Vec<Group> {
        let mut groups: Vec<Group> =
            self.numbers.into_iter().map(|(v, n)| (v, self.counts.get(n as usize).copied().unwrap_or(0))).collect();
        groups.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        groups.retain(|g| g.1 > 0);
        groups.truncate(limit);
        groups
    }
}

fn tally(
    batch: &RecordBatch,
    keys: &[&Key],
    places: &[Vec<usize>],
    query: &Query,
    tallies: &mut [Tally],
    bars: &mut HashMap<(i64, u32), u64>,
) -> Result<()> {
    let rows = batch.num_rows();
    let mut first_numbers: Option<Vec<u32>> = None;
    for ((key, places), tally) in keys.iter().zip(places).zip(tallies.iter_mut()) {
        let arrays: Vec<&ArrayRef> = places.iter().filter_map(|p| batch.columns().get(*p)).collect();
        let numbers = numbers(key, &arrays, rows, tally)?;
        for n in &numbers {
            if let Some(count) = tally.counts.get_mut(*n as usize) {
                *count += 1;
            }
        }
        first_numbers.get_or_insert(numbers);
    }
    let Some(interval) = &query.interval else { return Ok(()) };
    let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
    let grouped = query.count_by.is_some();
    let mut last: Option<(i64, i64, i64)> = None;
    let mut run: Option<((i64, u32), u64)> = None;
    for row in 0..rows {
        let time = times.value(row);
        let bar = match last {
            Some((start, end, bar)) if time >= start && time < end => bar,
            _ => {
                let (start, end) = bar_of(time, interval);
                last = Some((start, end, start));
                start
            }
        };
        let number = if grouped { first_numbers.as_ref().and_then(|n| n.get(row)).copied().unwrap_or(0) } else { 0 };
        match &mut run {
            Some((at, n)) if *at == (bar, number) => *n += 1,
            _ => {
                if let Some((at, n)) = run.replace(((bar, number), 1)) {
                    *bars.entry(at).or_default() += n;
                }
            }
        }
        if bars.len() > MAX_BARS * 100 {
            return Err(Error::Limit(
                "the histogram has too many bars; take a wider interval or narrow the time".into(),
            ));
        }
    }
    if let Some((at, n)) = run {
        *bars.entry(at).or_default() += n;
    }
    Ok(())
}

/// The number of each row's value.
fn numbers(key: &Key, arrays: &[&ArrayRef], rows: usize, tally: &mut Tally) -> Result<Vec<u32>> {
    let mut out = Vec::with_capacity(rows);
    if let ([array], Key::Column(_)) = (arrays, key) {
        if let Some(dictionary) = array.as_any().downcast_ref::<DictionaryArray<Int32Type>>()
            && let Some(values) = dictionary.values().as_any().downcast_ref::<StringArray>()
        {
            let mut of_code: Vec<Option<u32>> = vec![None; values.len()];
            let mut none = None;
            for row in 0..rows {
                let n = match dictionary.key(row) {
                    Some(code) => match of_code.get(code).copied().flatten() {
                        Some(n) => n,
                        None => {
                            let n = tally.number(Some(values.value(code)))?;
                            if let Some(slot) = of_code.get_mut(code) {
                                *slot = Some(n);
                            }
                            n
                        }
                    },
                    None => match none {
                        Some(n) => n,
                        None => *none.insert(tally.number(None)?),
                    },
                };
                out.push(n);
            }
            return Ok(out);
        }
        if let Some(texts) = array.as_any().downcast_ref::<StringArray>() {
            let mut known: HashMap<Option<&str>, u32> = HashMap::new();
            for row in 0..rows {
                let value = texts.is_valid(row).then(|| texts.value(row));
                let n = match known.get(&value) {
                    Some(n) => *n,
                    None => {
                        let n = tally.number(value)?;
                        known.insert(value, n);
                        n
                    }
                };
                out.push(n);
            }
            return Ok(out);
        }
    }
    let plain: Vec<ArrayRef> = arrays.iter().map(|a| plain(a)).collect::<Result<_>>()?;
    for row in 0..rows {
        let mut value = value_at(key, &plain, row).map(std::borrow::Cow::into_owned);
        if matches!(key, Key::Column(c) if c.kind == crate::lang::ColumnKind::Time) {
            value = value.and_then(|v| v.parse().ok()).map(event::time::format);
        }
        out.push(tally.number(value.as_deref())?);
    }
    Ok(out)
}

fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        arrow::datatypes::DataType::Dictionary(..) => {
            Ok(arrow::compute::cast(array, &arrow::datatypes::DataType::Utf8)?)
        }
        _ => Ok(Arc::clone(array)),
    }
}

/// Start and end of the bar a time falls in, UTC.
fn bar_of(time: i64, interval: &Interval) -> (i64, i64) {
    const SECOND: i64 = 1_000_000;
    let n = i64::from(interval.n);
    let fixed = |unit: i64, origin: i64| {
        let width = unit * n;
        let start = (time - origin).div_euclid(width) * width + origin;
        (start, start.saturating_add(width))
    };
    match interval.unit {
        Unit::Second => fixed(SECOND, 0),
        Unit::Minute => fixed(60 * SECOND, 0),
        Unit::Hour => fixed(3600 * SECOND, 0),
        Unit::Day => fixed(DAY, 0),
        // The epoch was a Thursday; weeks begin on Monday.
        Unit::Week => fixed(7 * DAY, -3 * DAY),
        Unit::Month | Unit::Year => {
            let months = if interval.unit == Unit::Year { 12 * n } else { n };
            calendar(time, months)
        }
    }
}

/// Bars of whole months, counted from January of the year 0.
fn calendar(time: i64, months: i64) -> (i64, i64) {
    let text = event::time::format(time);
    let part = |at: std::ops::Range<usize>| text.get(at).and_then(|t| t.parse::<i64>().ok()).unwrap_or(0);
    let month = part(0..4) * 12 + part(5..7) - 1;
    let first = month.div_euclid(months) * months;
    let start_of = |m: i64| {
        let text = format!("{:04}-{:02}-01T00:00:00Z", m.div_euclid(12), m.rem_euclid(12) + 1);
        event::time::parse(&text).unwrap_or(time)
    };
    (start_of(first), start_of(first + months))
}

fn histogram(bars: HashMap<(i64, u32), u64>, by: Option<&Tally>) -> Result<Vec<Bar>> {
    let mut names: HashMap<u32, &Option<String>> = HashMap::new();
    if let Some(tally) = by {
        names.extend(tally.numbers.iter().map(|(v, n)| (*n, v)));
    }
    let mut out: std::collections::BTreeMap<i64, Bar> = std::collections::BTreeMap::new();
    for ((from, number), count) in bars {
        let bar = out.entry(from).or_insert_with(|| Bar { from, count: 0, groups: Vec::new() });
        bar.count += count;
        if let Some(name) = names.get(&number) {
            bar.groups.push(((*name).clone(), count));
        }
    }
    if out.len() > MAX_BARS {
        return Err(Error::Limit(format!(
            "the histogram has {} bars, more than {MAX_BARS}; take a wider interval or narrow the time",
            out.len()
        )));
    }
    let mut bars: Vec<Bar> = out.into_values().collect();
    bars.iter_mut().for_each(|b| b.groups.sort_by(|x, y| y.1.cmp(&x.1).then_with(|| x.0.cmp(&y.0))));
    Ok(bars)
}
