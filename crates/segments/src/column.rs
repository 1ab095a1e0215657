//! Chosen rows of one column of one row group, as an Arrow array.
//!
//! Owns: which pages hold the rows, values out of unpacked pages in each encoding, and nulls between them.
//! Only what is asked for is unpacked, and a page that needs a dictionary finds it ready. A property test
//! compares it with the `parquet` crate's reader, which takes over where an encoding is not known here. Not
//! here: unpacking ([`crate::page`]), caching ([`crate::pages`]).

use crate::columns::{self, CODED, INDEX, KIND};
use crate::decode::Rows;
use crate::error::{Error, Result};
use crate::packed::{Delta, Hybrid};
use crate::page::{Coding, Page};
use crate::pages::Dictionary;
use crate::segment::Segment;
use arrow::array::{
    ArrayRef, BooleanArray, BooleanBufferBuilder, DictionaryArray, Int32Array, StringArray, TimestampMicrosecondArray,
    UInt8Array, UInt64Array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Int32Type};
use parquet::file::page_index::offset_index::PageLocation;
use std::ops::Range;
use std::sync::Arc;

/// Why a column was not read here.
pub(crate) enum Stop {
    /// Its encoding is not known here; the library reads it.
    Unknown,
    /// It does not hold what it should.
    Damaged(&'static str),
    /// Reading failed.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(e: Error) -> Stop {
        Stop::Failed(e)
    }
}

impl From<&'static str> for Stop {
    fn from(what: &'static str) -> Stop {
        Stop::Damaged(what)
    }
}

/// So many rows of a page are few.
const FEW: usize = 256;

/// One column chunk being read: its dictionary, and the page used last, since runs of rows go on in it.
pub(crate) struct Chunk<'a> {
    pub(crate) segment: &'a Segment,
    pub(crate) number: usize,
    pub(crate) column: usize,
    /// Whether what is unpacked goes into the cache.
    pub(crate) keep: bool,
    pub(crate) last: &'a mut Last,
}

/// What a reader of a column chunk holds on to from one read to the next.
#[derive(Default)]
pub(crate) struct Last {
    page: Option<(usize, Arc<Page>)>,
    dictionary: Option<Arc<Dictionary>>,
}

impl Chunk<'_> {
    /// Data page `at`, which must have so many rows.
    pub(crate) fn page(&mut self, at: usize, rows: usize) -> Result<Arc<Page>, Stop> {
        let page = match &self.last.page {
            Some((known, page)) if *known == at => Arc::clone(page),
            _ => self.segment.page(self.number, self.column, at, self.keep)?,
        };
        if page.rows != rows || page.dictionary {
            return Err(Stop::Damaged("a page does not have its rows"));
        }
        self.last.page = Some((at, Arc::clone(&page)));
        Ok(page)
    }

    /// The dictionary, which must be there, at least its first `entries`.
    pub(crate) fn dictionary(&mut self, entries: usize) -> Result<Arc<Dictionary>, Stop> {
        if let Some(dictionary) = self.last.dictionary.as_ref().filter(|d| d.has(entries)) {
            return Ok(Arc::clone(dictionary));
        }
        let dictionary = self.segment.dictionary(self.number, self.column, self.keep, entries)?;
        Ok(Arc::clone(self.last.dictionary.insert(dictionary.ok_or("a dictionary is missing")?)))
    }

    /// Rows of the column chunk, which has values. `coded` asks for a dictionary array where that is possible.
    pub(crate) fn read(&mut self, rows: &Rows, coded: bool) -> Result<ArrayRef, Stop> {
        let field = CODED.fields().get(self.column).ok_or("a column has no place")?;
        let group = self.segment.groups.get(self.number).ok_or("a row group is missing")?;
        let locations = self.segment.locations(self.number, self.column).ok_or("the places of pages are missing")?;
        let coded = coded && columns::is_coded(self.column) && self.segment.only_coded(self.number, self.column);
        let mut out = Out::new(self.column, coded);
        let mut dictionary = if coded { Some(self.dictionary(usize::MAX)?) } else { None };
        for (at, page_rows, wanted) in pages_of(locations, group.rows as usize, rows) {
            let page = self.page(at, page_rows)?;
            let values = page.values(field.is_nullable())?;
            let picks = out.valid.add(values.valid.as_ref(), &wanted);
            let coding = page.coding.ok_or(Stop::Unknown)?;
            if coding == Coding::Dictionary && !coded && !picks.is_empty() {
                // A few rows seldom need the whole dictionary: its entries stand in order of first use.
                let mut entries = usize::MAX;
                if crate::decode::count(&picks) <= FEW {
                    entries = 0;
                    codes(values.data, &picks, |code| entries = entries.max(code as usize + 1))?;
                }
                dictionary = Some(self.dictionary(entries)?);
            }
            out.values.add(coding, values.data, values.count, &picks, dictionary.as_deref())?;
        }
        out.finish(self.column, dictionary.as_deref())
    }
}

/// Pages that hold some of `rows`: their numbers, and the rows counted from each page's first.
pub(crate) fn pages_of<'a>(
    locations: &'a [PageLocation],
    group_rows: usize,
    rows: &'a Rows,
) -> impl Iterator<Item = (usize, usize, Vec<Range<usize>>)> + 'a {
    let first_row = move |at: usize| {
        locations.get(at).map_or(group_rows, |l| usize::try_from(l.first_row_index).unwrap_or(usize::MAX))
    };
    let mut rest = rows;
    let mut passed = 0;
    let mut at = 0;
    std::iter::from_fn(move || {
        while rest.first().is_some_and(|r| r.start.max(passed) >= r.end) {
            rest = rest.get(1..)?;
        }
        let next = rest.first()?.start.max(passed);
        at = locations.partition_point(|l| (l.first_row_index as u64) <= next as u64).checked_sub(1)?.max(at);
        let (start, end) = (first_row(at), first_row(at + 1));
        let mut found = Vec::new();
        while let Some(range) = rest.first().filter(|r| r.start < end) {
            let from = range.start.max(passed);
            if from < range.end.min(end) {
                found.push(from - start..range.end.min(end) - start);
            }
            if range.end > end {
                break;
            }
            rest = rest.get(1..)?;
        }
        passed = end;
        at += 1;
        Some((at - 1, end.saturating_sub(start), found))
    })
}

/// Which rows have a value, page after page.
struct Valid {
    bits: BooleanBufferBuilder,
    nulls: bool,
}

impl Valid {
    /// Adds a page's chosen rows; gives where their values stand among the page's.
    fn add(&mut self, valid: Option<&BooleanBuffer>, wanted: &Rows) -> Vec<Range<usize>> {
        let Some(valid) = valid else {
            wanted.iter().for_each(|r| self.bits.append_n(r.len(), true));
            return wanted.to_vec();
        };
        self.nulls = true;
        let mut picks: Vec<Range<usize>> = Vec::with_capacity(wanted.len());
        let (mut passed, mut rank) = (0, 0);
        for range in wanted {
            rank += valid.slice(passed, range.start - passed).count_set_bits();
            let part = valid.slice(range.start, range.len());
            let n = part.count_set_bits();
            self.bits.append_buffer(&part);
            if n > 0 {
                match picks.last_mut() {
                    Some(last) if last.end == rank => last.end += n,
                    _ => picks.push(rank..rank + n),
                }
            }
            rank += n;
            passed = range.end;
        }
        picks
    }
}

/// Values without nulls, in the form of the column.
enum Values {
    /// Where each text ends, and the texts.
    Texts(Vec<i32>, Vec<u8>),
    /// Dictionary entries.
    Codes(Vec<i32>),
    Numbers(Vec<i64>),
    Truths(Vec<bool>),
}

struct Out {
    valid: Valid,
    values: Values,
}

const CUT: Stop = Stop::Damaged("a page's values are cut off");

impl Out {
    fn new(column: usize, coded: bool) -> Out {
        let values = match columns::schema().fields().get(column).map(|f| f.data_type()) {
            _ if coded => Values::Codes(Vec::new()),
            Some(DataType::Utf8) => Values::Texts(Vec::new(), Vec::new()),
            Some(DataType::Boolean) => Values::Truths(Vec::new()),
            _ => Values::Numbers(Vec::new()),
        };
        Out { valid: Valid { bits: BooleanBufferBuilder::new(0), nulls: false }, values }
    }

    fn finish(mut self, column: usize, dictionary: Option<&Dictionary>) -> Result<ArrayRef, Stop> {
        let bits = self.valid.bits.finish();
        let rows = bits.len();
        let nulls = self.valid.nulls.then(|| NullBuffer::new(bits)).filter(|n| n.null_count() > 0);
        let arrow = |_| Stop::Damaged("a column's values do not fit together");
        Ok(match self.values {
            Values::Texts(ends, data) => {
                let mut offsets = Vec::with_capacity(rows + 1);
                offsets.push(0);
                let ends = spread(ends, nulls.as_ref(), rows, |last| last)?;
                offsets.extend(ends);
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                Arc::new(StringArray::try_new(offsets, Buffer::from_vec(data), nulls).map_err(arrow)?)
            }
            Values::Codes(codes) => {
                let texts = match dictionary {
                    Some(Dictionary::Texts(texts, _)) => texts.clone(),
                    Some(_) => return Err(Stop::Damaged("a dictionary has other values")),
                    None => StringArray::new_null(0),
                };
                let codes = spread(codes, nulls.as_ref(), rows, |_| 0)?;
                let keys = Int32Array::try_new(codes.into(), nulls).map_err(arrow)?;
                Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(texts)).map_err(arrow)?)
            }
            Values::Numbers(numbers) => {
                let numbers = spread(numbers, nulls.as_ref(), rows, |_| 0)?;
                match column {
                    INDEX => {
                        let numbers: Vec<u64> = numbers.into_iter().map(|n| n as u64).collect();
                        Arc::new(UInt64Array::try_new(numbers.into(), nulls).map_err(arrow)?)
                    }
                    KIND => {
                        let kinds: Vec<u8> = numbers.into_iter().map(|n| n as u8).collect();
                        Arc::new(UInt8Array::try_new(kinds.into(), nulls).map_err(arrow)?)
                    }
                    _ => {
                        let times = TimestampMicrosecondArray::try_new(numbers.into(), nulls).map_err(arrow)?;
                        Arc::new(times.with_timezone("UTC"))
                    }
                }
            }
            Values::Truths(truths) => {
                let truths = spread(truths, nulls.as_ref(), rows, |_| false)?;
                Arc::new(BooleanArray::new(BooleanBuffer::from(truths), nulls))
            }
        })
    }
}

/// Values with something in the place of every null.
fn spread<T: Copy + Default>(
    values: Vec<T>,
    nulls: Option<&NullBuffer>,
    rows: usize,
    between: impl Fn(T) -> T,
) -> Result<Vec<T>, Stop> {
    let given = nulls.map_or(rows, |n| rows - n.null_count());
    if values.len() != given {
        return Err(CUT);
    }
    let Some(nulls) = nulls else { return Ok(values) };
    let mut out = Vec::with_capacity(rows);
    let mut last = T::default();
    let mut next = values.into_iter();
    for valid in nulls.inner().iter() {
        last = if valid { next.next().unwrap_or_default() } else { between(last) };
        out.push(last);
    }
    Ok(out)
}

impl Values {
    /// Adds the values at `picks` of a page that holds `count`.
    fn add(
        &mut self,
        coding: Coding,
        data: &[u8],
        count: usize,
        picks: &Rows,
        dictionary: Option<&Dictionary>,
    ) -> Result<(), Stop> {
        if picks.is_empty() {
            return Ok(());
        }
        match (self, coding) {
            (Values::Codes(out), Coding::Dictionary) => codes(data, picks, |code| out.push(code as i32)),
            (Values::Texts(ends, out), Coding::Dictionary) => {
                let Some(Dictionary::Texts(texts, _)) = dictionary else { return Err(CUT) };
                let (offsets, values) = (texts.value_offsets(), texts.value_data());
                let mut unknown = false;
                codes(data, picks, |code| {
                    let at = code as usize;
                    let text = match (offsets.get(at), offsets.get(at + 1)) {
                        (Some(from), Some(to)) => values.get(*from as usize..*to as usize),
                        _ => None,
                    };
                    unknown |= text.is_none();
                    out.extend_from_slice(text.unwrap_or_default());
                    ends.push(out.len() as i32);
                })?;
                if unknown { Err(Stop::Damaged("a dictionary lacks an entry")) } else { Ok(()) }
            }
            (Values::Texts(ends, out), coding) => {
                let mut at = 0;
                texts(coding, data, count, picks, |n, text| {
                    while picks.get(at).is_some_and(|p| p.end <= n) {
                        at += 1;
                    }
                    if picks.get(at).is_some_and(|p| p.start <= n) {
                        out.extend_from_slice(text);
                        ends.push(out.len() as i32);
                    }
                })?;
                if out.len() > i32::MAX as usize { Err(Stop::Damaged("its texts are too long")) } else { Ok(()) }
            }
            (Values::Numbers(out), Coding::DeltaPacked) => {
                let mut all = Vec::with_capacity(count);
                Delta::new(data, count).and_then(|d| d.all(|n| all.push(n))).ok_or(CUT)?;
                for pick in picks {
                    out.extend_from_slice(all.get(pick.clone()).ok_or(CUT)?);
                }
                Ok(())
            }
            (Values::Numbers(out), Coding::Dictionary) => {
                let Some(Dictionary::Numbers(numbers)) = dictionary else { return Err(CUT) };
                let before = out.len();
                codes(data, picks, |code| out.extend(numbers.get(code as usize).map(|n| i64::from(*n))))?;
                if out.len() - before == crate::decode::count(picks) { Ok(()) } else { Err(CUT) }
            }
            (Values::Truths(out), Coding::Plain) => {
                for at in picks.iter().flat_map(Clone::clone) {
                    out.push(data.get(at / 8).ok_or(CUT)? >> (at % 8) & 1 == 1);
                }
                Ok(())
            }
            _ => Err(Stop::Unknown),
        }
    }
}

/// Calls `each` with the dictionary entries at `picks`.
fn codes(data: &[u8], picks: &Rows, mut each: impl FnMut(u32)) -> Result<(), Stop> {
    let mut hybrid = hybrid(data)?;
    let mut passed = 0;
    for pick in picks {
        hybrid.skip(pick.start - passed).ok_or(CUT)?;
        hybrid.each(pick.len(), &mut each).ok_or(CUT)?;
        passed = pick.end;
    }
    Ok(())
}

/// The dictionary entries of a page.
pub(crate) fn hybrid(data: &[u8]) -> Result<Hybrid<'_>, Stop> {
    let (width, packed) = data.split_first().ok_or(CUT)?;
    Hybrid::new(packed, *width).ok_or(Stop::Damaged("a page's entries are too wide"))
}

/// Calls `each` with the number and bytes of every text, at least as far as the last pick.
pub(crate) fn texts(
    coding: Coding,
    data: &[u8],
    count: usize,
    picks: &Rows,
    mut each: impl FnMut(usize, &[u8]),
) -> Result<(), Stop> {
    let end = picks.last().map_or(0, |p| p.end).min(count);
    match coding {
        Coding::Plain => {
            let mut rest = data;
            for n in 0..end {
                let (length, later) = rest.split_first_chunk().ok_or(CUT)?;
                let (text, later) = later.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(CUT)?;
                each(n, text);
                rest = later;
            }
        }
        Coding::DeltaLength => {
            let (lengths, mut rest) = lengths_of(data, count)?;
            for (n, length) in lengths.iter().take(end).enumerate() {
                let (text, later) = rest.split_at_checked(*length).ok_or(CUT)?;
                each(n, text);
                rest = later;
            }
        }
        Coding::DeltaText => {
            let (shared, rest) = lengths_of(data, count)?;
            let (lengths, mut rest) = lengths_of(rest, count)?;
            let mut text = Vec::new();
            for (n, (shared, length)) in shared.iter().zip(&lengths).take(end).enumerate() {
                let (own, later) = rest.split_at_checked(*length).ok_or(CUT)?;
                if *shared > text.len() {
                    return Err(CUT);
                }
                text.truncate(*shared);
                text.extend_from_slice(own);
                each(n, &text);
                rest = later;
            }
        }
        _ => return Err(Stop::Unknown),
    }
    Ok(())
}

/// `count` lengths, and what follows them.
pub(crate) fn lengths_of(data: &[u8], count: usize) -> Result<(Vec<usize>, &[u8]), Stop> {
    let mut lengths = Vec::with_capacity(count);
    // Lengths are 32-bit numbers whose differences may wrap.
    let end = Delta::new(data, count).and_then(|d| d.all(|n| lengths.push(n as u32 as usize))).ok_or(CUT)?;
    if lengths.len() != count {
        return Err(CUT);
    }
    Ok((lengths, data.get(end..).ok_or(CUT)?))
}
