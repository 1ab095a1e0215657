//! Rows that can match, found in the encoded bytes of a text column.
//!
//! Owns: searching a dictionary once instead of every row, and the bytes of a page at one go. What is found
//! includes every row that matches; whether each does is for the predicate to say. Not here: what a
//! predicate means.

use crate::column::{Chunk, Last, Stop, hybrid, lengths_of, pages_of, texts};
use crate::columns;
use crate::decode::Rows;
use crate::error::{Error, Result};
use crate::packed::Run;
use crate::page::{Coding, Values};
use crate::pages::Dictionary;
use crate::segment::Segment;
use arrow::array::{Array, StringArray};
use memchr::memmem::Finder;
use std::ops::Range;

/// What a matching row must have in a text column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Need {
    /// Column number.
    pub column: usize,
    /// The text in lower case, character by character. Not empty.
    pub text: String,
    /// Whether it is the whole value and not a part of it.
    pub whole: bool,
    /// Whether `_`, `-` and `.` stand for a space, in the value as in the text.
    pub loose: bool,
}

/// A [`Need`], made ready.
struct Needle<'a> {
    need: &'a Need,
    finder: Finder<'a>,
    lower: Vec<u8>,
    /// Some value was let through without a look at it.
    unsure: bool,
}

impl<'a> Needle<'a> {
    fn new(need: &'a Need) -> Needle<'a> {
        Needle { need, finder: Finder::new(need.text.as_bytes()), lower: Vec::new(), unsure: false }
    }

    /// Makes bytes comparable with the text; `false` where they are not ASCII, whose case is not looked at here.
    fn fold(&mut self, bytes: &[u8]) -> bool {
        if !bytes.is_ascii() {
            return false;
        }
        self.lower.clear();
        self.lower.extend(bytes.iter().map(u8::to_ascii_lowercase));
        if self.need.loose {
            self.lower.iter_mut().filter(|b| matches!(b, b'_' | b'-' | b'.')).for_each(|b| *b = b' ');
        }
        true
    }

    /// Whether a value can match.
    fn holds(&mut self, value: &[u8]) -> bool {
        let text = self.need.text.as_bytes();
        if value.len() < text.len() && value.is_ascii() {
            return false;
        }
        if !value.is_ascii() {
            self.unsure = true;
            return true;
        }
        if self.need.whole && !self.need.loose {
            return value.eq_ignore_ascii_case(text);
        }
        self.fold(value);
        if self.need.whole { self.lower == self.need.text.as_bytes() } else { self.finder.find(&self.lower).is_some() }
    }

    /// Calls `each` with the number of every text that can match, ascending; `lengths` says where they end.
    fn search(
        &mut self,
        bytes: &[u8],
        lengths: impl FnOnce() -> Option<Vec<usize>>,
        mut each: impl FnMut(usize),
    ) -> Option<()> {
        if !self.fold(bytes) {
            let mut rest = bytes;
            for (n, length) in lengths()?.into_iter().enumerate() {
                let (text, later) = rest.split_at_checked(length)?;
                if self.holds(text) {
                    each(n);
                }
                rest = later;
            }
            return Some(());
        }
        let Some(mut at) = self.finder.find(&self.lower) else { return Some(()) };
        let mut start = 0;
        for (n, length) in lengths()?.into_iter().enumerate() {
            let end = start + length;
            while at < end {
                // A find that reaches into the next text, or is not the whole of this one, is none.
                let inside = at + self.need.text.len() <= end;
                let found = inside && (!self.need.whole || (at == start && length == self.need.text.len()));
                if found {
                    each(n);
                }
                let from = if found { end } else { at + 1 };
                match self.lower.get(from..).and_then(|rest| self.finder.find(rest)) {
                    Some(next) => at = from + next,
                    None => return Some(()),
                }
            }
            start = end;
        }
        Some(())
    }
}

/// Needs, made ready for rows in stored form.
pub struct RowTest<'a>(Vec<Vec<Needle<'a>>>);

impl std::fmt::Debug for RowTest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RowTest({})", self.0.len())
    }
}

impl<'a> RowTest<'a> {
    /// Of each inner list, a row must fulfil at least one.
    pub fn new(needs: &'a [Vec<Need>]) -> RowTest<'a> {
        RowTest(needs.iter().map(|any| any.iter().map(Needle::new).collect()).collect())
    }

    /// Whether a row can match; never `false` for one that does.
    pub fn can_match(&mut self, row: &[u8]) -> bool {
        self.0.iter_mut().all(|any| {
            event::encode::fields(row).map_while(std::result::Result::ok).any(|stored| {
                let column = columns::of(stored.field);
                // A list is one text in a column, and each element by itself in a row.
                let list = stored.field.spec().kind == event::Kind::List;
                any.iter_mut().any(|needle| needle.need.column == column && (list || needle.holds(stored.value)))
            })
        })
    }
}

impl Segment {
    /// Of `rows` of a row group, those that can match one of the needs; and whether each of them fulfils one
    /// for sure.
    pub(crate) fn search(
        &self,
        number: usize,
        rows: &Rows,
        any: &[Need],
        keep: bool,
    ) -> Result<(Vec<Range<usize>>, bool)> {
        let mut found: Vec<Range<usize>> = Vec::new();
        let mut sure = true;
        for need in any {
            match self.search_one(number, rows, need, keep) {
                Ok((some, one)) => {
                    found.extend(some);
                    sure &= one;
                }
                Err(Stop::Unknown) => return Ok((rows.to_vec(), false)),
                Err(Stop::Failed(e)) => return Err(e),
                Err(Stop::Damaged(what)) => {
                    let column = need.column;
                    return Err(Error::damaged(self.path(), format!("row group {number}, column {column}: {what}")));
                }
            }
        }
        found.sort_unstable_by_key(|r| r.start);
        let mut out: Vec<Range<usize>> = Vec::with_capacity(found.len());
        for range in found {
            match out.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => out.push(range),
            }
        }
        Ok((out, sure))
    }

    fn search_one(
        &self,
        number: usize,
        rows: &Rows,
        need: &Need,
        keep: bool,
    ) -> Result<(Vec<Range<usize>>, bool), Stop> {
        let column = need.column;
        let Some(group) = self.groups.get(number) else { return Ok((Vec::new(), true)) };
        let (Some(field), Some(locations)) = (columns::CODED.fields().get(column), self.locations(number, column))
        else {
            return Err(Stop::Unknown);
        };
        if !group.has(column) {
            return Ok((Vec::new(), true));
        }
        let mut needle = Needle::new(need);
        let mut last = Last::default();
        let mut chunk = Chunk { segment: self, number, column, keep, last: &mut last };
        let mut found = Found { rows: Vec::new(), first: 0 };
        // Which entries of the dictionary can match.
        let mut entries: Option<Vec<bool>> = None;
        if self.only_coded(number, column) {
            let known = entries.insert(matching(&*chunk.dictionary(usize::MAX)?, &mut needle)?);
            if !known.contains(&true) {
                return Ok((Vec::new(), true));
            }
        }
        for (at, page_rows, wanted) in pages_of(locations, group.rows as usize, rows) {
            let page = chunk.page(at, page_rows)?;
            let values = page.values(field.is_nullable())?;
            found.first = usize::try_from(locations.get(at).map_or(0, |l| l.first_row_index)).unwrap_or(0);
            let mut hits = Hits { values: &values, wanted: &wanted, found: &mut found, row: 0, value: 0 };
            match page.coding.ok_or(Stop::Unknown)? {
                _ if values.count == 0 => {}
                Coding::Dictionary => {
                    let entries = match &entries {
                        Some(entries) => entries,
                        None => entries.insert(matching(&*chunk.dictionary(usize::MAX)?, &mut needle)?),
                    };
                    let mut packed = hybrid(values.data)?;
                    let mut n = 0;
                    while n < values.count {
                        match packed.run(values.count - n).ok_or("a page's values are cut off")? {
                            Run::Same(many, entry) => {
                                if entries.get(entry as usize) == Some(&true) {
                                    (n..n + many).for_each(|n| hits.add(n));
                                }
                                n += many;
                            }
                            Run::Packed(many, bit) => {
                                let cut = packed.each_packed(many, bit, |i, entry| {
                                    if entries.get(entry as usize) == Some(&true) {
                                        hits.add(n + i);
                                    }
                                });
                                cut.ok_or("a page's values are cut off")?;
                                n += many;
                            }
                        }
                    }
                }
                Coding::DeltaLength => {
                    let from = crate::packed::Delta::new(values.data, values.count).and_then(|d| d.end());
                    let bytes =
                        from.and_then(|from| values.data.get(from..)).ok_or("a page's lengths cannot be read")?;
                    let lengths = || Some(lengths_of(values.data, values.count).ok()?.0);
                    needle.search(bytes, lengths, |n| hits.add(n)).ok_or("a page's texts are cut off")?;
                }
                coding => {
                    let all = 0..values.count;
                    texts(coding, values.data, values.count, std::slice::from_ref(&all), |n, text| {
                        if needle.holds(text) {
                            hits.add(n);
                        }
                    })?;
                }
            }
        }
        Ok((found.rows, !needle.unsure))
    }
}

fn matching(dictionary: &Dictionary, needle: &mut Needle<'_>) -> Result<Vec<bool>, Stop> {
    let Dictionary::Texts(texts, _) = dictionary else { return Err(Stop::Unknown) };
    let mut out = vec![false; texts.len()];
    let lengths = |texts: &StringArray| {
        let offsets = texts.value_offsets();
        Some(offsets.iter().zip(offsets.iter().skip(1)).map(|(from, to)| (to - from) as usize).collect())
    };
    needle
        .search(
            texts.value_data(),
            || lengths(texts),
            |n| {
                if let Some(slot) = out.get_mut(n) {
                    *slot = true;
                }
            },
        )
        .ok_or("a dictionary is cut off")?;
    Ok(out)
}

/// Rows of the row group found so far.
struct Found {
    rows: Vec<Range<usize>>,
    /// First row of the page.
    first: usize,
}

/// Turns numbers of values, ascending, into rows.
struct Hits<'a, 'b> {
    values: &'a Values<'b>,
    wanted: &'a Rows,
    found: &'a mut Found,
    /// A row of the page, and how many values stand before it.
    row: usize,
    value: usize,
}

impl Hits<'_, '_> {
    fn add(&mut self, value: usize) {
        let row = match &self.values.valid {
            None => value,
            Some(valid) => {
                let row = nth(valid, self.row, value - self.value);
                (self.row, self.value) = (row + 1, value + 1);
                row
            }
        };
        while self.wanted.first().is_some_and(|r| r.end <= row) {
            self.wanted = self.wanted.get(1..).unwrap_or_default();
        }
        if self.wanted.first().is_none_or(|r| row < r.start) {
            return;
        }
        let row = self.found.first + row;
        match self.found.rows.last_mut() {
            Some(last) if last.end == row => last.end += 1,
            _ => self.found.rows.push(row..row + 1),
        }
    }
}

/// The row of the value that `skip` others stand before, from `row` on.
fn nth(valid: &arrow::buffer::BooleanBuffer, mut row: usize, mut skip: usize) -> usize {
    // In steps of a word where many are passed.
    while skip >= 64 && row + 64 <= valid.len() {
        let n = valid.slice(row, 64).count_set_bits();
        if n > skip {
            break;
        }
        skip -= n;
        row += 64;
    }
    while row < valid.len() {
        if valid.value(row) {
            if skip == 0 {
                return row;
            }
            skip -= 1;
        }
        row += 1;
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_every_text_that_matches(
            texts in prop::collection::vec("[ab_.KÄ]{0,6}", 0..40), text in "[ab ]{1,3}", whole: bool, loose: bool,
        ) {
            let need = Need { column: 0, text: text.clone(), whole, loose };
            let mut needle = Needle::new(&need);
            let joined: String = texts.concat();
            let lengths = || Some(texts.iter().map(String::len).collect());
            let mut found = Vec::new();
            needle.search(joined.as_bytes(), lengths, |n| found.push(n)).unwrap();
            let folded = |t: &str| {
                let t: String = t.chars().flat_map(char::to_lowercase).collect();
                if loose { t.replace(['_', '-', '.'], " ") } else { t }
            };
            for (n, one) in texts.iter().enumerate() {
                let matches = if whole { folded(one) == text } else { folded(one).contains(&text) };
                prop_assert!(!matches || found.contains(&n), "{one:?}");
                prop_assert!(matches || !one.is_ascii() || !found.contains(&n), "{one:?}");
            }
            prop_assert!(found.is_sorted());
        }

        #[test]
        fn rows_of_values(bits in prop::collection::vec(any::<bool>(), 0..400)) {
            let valid = arrow::buffer::BooleanBuffer::from(bits.clone());
            let rows: Vec<usize> = (0..bits.len()).filter(|r| bits[*r]).collect();
            for (n, row) in rows.iter().enumerate() {
                prop_assert_eq!(nth(&valid, 0, n), *row);
                if n > 0 {
                    prop_assert_eq!(nth(&valid, rows[0] + 1, n - 1), *row);
                }
            }
        }
    }
}
