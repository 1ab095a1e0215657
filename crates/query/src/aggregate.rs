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
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

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
    /// The bounds in time of what was counted, microseconds UTC: as the query says, or the last seven days.
    pub bounds: (Option<i64>, Option<i64>),
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
        // The time first, where it is asked for.
        let mut projection: Vec<usize> = query.interval.iter().map(|_| columns::TIME).collect();
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
        if projection.is_empty() {
            // Only the number of rows counts; this column costs next to nothing.
            projection.push(columns::KIND);
        }
        let empty = || Sums { tallies: keys.iter().map(|_| Tally::default()).collect(), ..Sums::default() };
        let sums =
            self.gather(tenant, query, &projection, &empty, &|sums, batch| sums.add(batch, &keys, &places, query))?;
        let mut sums = sums.into_iter();
        let mut all = sums.next().unwrap_or_default();
        for more in sums {
            all.merge(more)?;
        }
        let Sums { total, tallies, bars, .. } = all;
        let limit = query.limit.map_or(DEFAULT_GROUPS, |l| l as usize);
        let mut counts = Counts { bounds: self.bounds(query), total, ..Counts::default() };
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

/// What is counted.
#[derive(Default)]
struct Sums {
    total: u64,
    tallies: Vec<Tally>,
    /// By start of a bar and number of a value of the first key.
    bars: HashMap<(i64, u32), u64>,
    /// Of the bar being counted: rows by number, and which numbers are not 0.
    bar: Vec<u64>,
    inside: Vec<u32>,
}

/// Makes hashers of this process: quick, and nobody outside knows which values collide.
#[derive(Clone)]
struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Seeded {
        static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));
        Seeded(*SEED)
    }
}

impl BuildHasher for Seeded {
    type Hasher = Xxh3;

    fn build_hasher(&self) -> Xxh3 {
        Xxh3(self.0)
    }
}

/// The hash so far.
struct Xxh3(u64);

impl Hasher for Xxh3 {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u8(&mut self, byte: u8) {
        // What ends a text.
        self.0 = self.0.rotate_left(8) ^ u64::from(byte);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Counts of one key's values; each value has a number.
#[derive(Default)]
struct Tally {
    numbers: HashMap<String, u32, Seeded>,
    /// The number of "no value".
    none: Option<u32>,
    counts: Vec<u64>,
}

impl Tally {
    fn number(&mut self, value: Option<&str>) -> Result<u32> {
        if let Some(n) = value.map_or(self.none, |v| self.numbers.get(v).copied()) {
            return Ok(n);
        }
        if self.counts.len() >= MAX_VALUES {
            return Err(Error::Limit(format!("more than {MAX_VALUES} distinct values; narrow the filter or the time")));
        }
        let n = self.counts.len() as u32;
        match value {
            Some(value) => drop(self.numbers.insert(value.to_owned(), n)),
            None => self.none = Some(n),
        }
        self.counts.push(0);
        Ok(n)
    }

    fn count(&mut self, number: u32, rows: u64) {
        if let Some(count) = self.counts.get_mut(number as usize) {
            *count += rows;
        }
    }

    /// Every value with its number.
    fn values(&self) -> impl Iterator<Item = (Option<&str>, u32)> {
        let some = self.numbers.iter().map(|(v, n)| (Some(v.as_str()), *n));
        some.chain(self.none.map(|n| (None, n)))
    }

    fn groups(&self, limit: usize) -> Vec<Group> {
        let mut groups: Vec<(Option<&str>, u64)> =
            self.values().map(|(v, n)| (v, self.counts.get(n as usize).copied().unwrap_or(0))).collect();
        groups.retain(|g| g.1 > 0);
        let order = |a: &(Option<&str>, u64), b: &(Option<&str>, u64)| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0));
        if limit > 0 && limit < groups.len() {
            groups.select_nth_unstable_by(limit - 1, order);
        }
        groups.truncate(limit);
        groups.sort_unstable_by(order);
        groups.into_iter().map(|(v, n)| (v.map(str::to_owned), n)).collect()
    }
}

impl Sums {
    fn add(&mut self, batch: &RecordBatch, keys: &[&Key], places: &[Vec<usize>], query: &Query) -> Result<()> {
        let rows = batch.num_rows();
        self.total += rows as u64;
        let mut first = None;
        for ((key, places), tally) in keys.iter().zip(places).zip(&mut self.tallies) {
            let arrays: Vec<&ArrayRef> = places.iter().filter_map(|p| batch.columns().get(*p)).collect();
            let numbers = numbers(key, &arrays, rows, tally)?;
            numbers.iter().for_each(|n| tally.count(*n, 1));
            first.get_or_insert(numbers);
        }
        let Some(interval) = &query.interval else { return Ok(()) };
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>().values();
        let groups = first.filter(|_| query.count_by.is_some());
        let mut at = 0;
        while let Some(time) = times.get(at) {
            let (start, end) = bar_of(*time, interval);
            let n = times.iter().skip(at).take_while(|t| (start..end).contains(t)).count().max(1);
            match groups.as_ref().and_then(|g| g.get(at..at + n)) {
                Some(numbers) => self.add_bar(start, numbers),
                None => *self.bars.entry((start, 0)).or_default() += n as u64,
            }
            at += n;
            self.check()?;
        }
        Ok(())
    }

    fn add_bar(&mut self, start: i64, numbers: &[u32]) {
        for n in numbers {
            let at = *n as usize;
            if at >= self.bar.len() {
                self.bar.resize(at + 1, 0);
            }
            if let Some(count) = self.bar.get_mut(at) {
                if *count == 0 {
                    self.inside.push(*n);
                }
                *count += 1;
            }
        }
        for n in self.inside.drain(..) {
            if let Some(count) = self.bar.get_mut(n as usize) {
                *self.bars.entry((start, n)).or_default() += std::mem::take(count);
            }
        }
    }

    /// Adds what another thread counted.
    fn merge(&mut self, other: Sums) -> Result<()> {
        self.total += other.total;
        let mut of_first: Option<Vec<u32>> = None;
        for (tally, theirs) in self.tallies.iter_mut().zip(&other.tallies) {
            let mut numbers = vec![0; theirs.counts.len()];
            for (value, n) in theirs.values() {
                let number = tally.number(value)?;
                tally.count(number, theirs.counts.get(n as usize).copied().unwrap_or(0));
                if let Some(slot) = numbers.get_mut(n as usize) {
                    *slot = number;
                }
            }
            of_first.get_or_insert(numbers);
        }
        for ((start, n), count) in other.bars {
            let number = of_first.as_ref().and_then(|of| of.get(n as usize)).copied().unwrap_or(0);
            *self.bars.entry((start, number)).or_default() += count;
        }
        self.check()
    }

    fn check(&self) -> Result<()> {
        if self.bars.len() > MAX_BARS * 100 {
            return Err(Error::Limit(
                "the histogram has too many bars; take a wider interval or narrow the time".into(),
            ));
        }
        Ok(())
    }
}

/// The number of each row's value.
fn numbers(key: &Key, arrays: &[&ArrayRef], rows: usize, tally: &mut Tally) -> Result<Vec<u32>> {
    let mut out = Vec::with_capacity(rows);
    if let ([array], Key::Column(_)) = (arrays, key) {
        if let Some(dictionary) = array.as_any().downcast_ref::<DictionaryArray<Int32Type>>()
            && let Some(values) = dictionary.values().as_any().downcast_ref::<StringArray>()
        {
            const UNKNOWN: u32 = u32::MAX;
            let mut of_code = vec![UNKNOWN; values.len()];
            let codes = dictionary.keys();
            for (row, code) in codes.values().iter().enumerate() {
                if codes.is_null(row) {
                    out.push(tally.number(None)?);
                    continue;
                }
                let code = *code as usize;
                match of_code.get_mut(code) {
                    Some(n) if *n != UNKNOWN => out.push(*n),
                    Some(n) => {
                        *n = tally.number(Some(values.value(code)))?;
                        out.push(*n);
                    }
                    None => out.push(tally.number(None)?),
                }
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
    let mut names: HashMap<u32, Option<&str>> = HashMap::new();
    if let Some(tally) = by {
        names.extend(tally.values().map(|(v, n)| (n, v)));
    }
    let mut out: std::collections::BTreeMap<i64, Bar> = std::collections::BTreeMap::new();
    for ((from, number), count) in bars {
        let bar = out.entry(from).or_insert_with(|| Bar { from, count: 0, groups: Vec::new() });
        bar.count += count;
        if let Some(name) = names.get(&number) {
            bar.groups.push((name.map(str::to_owned), count));
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
