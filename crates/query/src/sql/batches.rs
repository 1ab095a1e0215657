//! How many rows a statement computes at a time, so that the texts of a batch fit into an array.
//!
//! A column of texts holds 2 GiB, DataFusion ends its thread where one would hold more, and nothing counts what is in the batches under way.
//! So whatever reads or makes texts says here how long they are *before* they are made or kept: where a batch full of the longest would be
//! more than [`LARGEST`], the statement ends and is run again with as many rows at a time as fit, down to one. Most statements meet no long text and never
//! notice. Not here: how long a function's output can be (`made`), where batches are looked at (`watch`, `scan`), the bounds of whole statements (`cost`).

use super::Run;
use crate::engine::Error;
use datafusion::arrow::array::{Array, AsArray, ListArray, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result as PlanResult};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that one column of a batch may come to if every text in it is as long as the longest.
pub(super) const LARGEST: usize = 256 << 20;
/// Of what is read: its rows are rarely all that long, and running a statement again costs time.
const LARGEST_READ: usize = 4 * LARGEST;
/// Rows of a batch to begin with.
pub(super) const ROWS: usize = 8192;
/// Rows of a batch where one value is put beside each of them, as in joins: of a text of 1 MiB, the longest that is read, that makes
/// [`LARGEST`].
pub(super) const REPEATING: usize = 256;
/// What a value of a type without a length is taken to be.
pub(super) const PLAIN: usize = 16;

/// The rows of a batch, in one run of a statement.
#[derive(Debug)]
pub(super) struct Batches {
    rows: AtomicUsize,
    /// What the next run is to take; as many as now where there is no need of one.
    fewer: AtomicUsize,
}

impl Batches {
    pub(super) fn of(rows: usize) -> Batches {
        Batches { rows: AtomicUsize::new(rows), fewer: AtomicUsize::new(rows) }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }

    /// No more rows than this.
    pub(super) fn at_most(&self, rows: usize) {
        self.rows.fetch_min(rows, Ordering::Relaxed);
        self.fewer.fetch_min(rows, Ordering::Relaxed);
    }

    /// The rows that it is to be run again with.
    pub(super) fn fewer(&self) -> Option<usize> {
        let fewer = self.fewer.load(Ordering::Relaxed);
        (fewer < self.rows()).then_some(fewer)
    }
}

impl Run {
    /// Whether `rows` values that `what` makes, the longest so long, fit into a batch.
    ///
    /// # Errors
    /// One that ends this run, for another with smaller batches, or for good where not even one value fits.
    pub(super) fn fits(&self, rows: usize, longest: usize, what: &str) -> PlanResult<()> {
        self.within(rows, longest, LARGEST, what)
    }

    /// The same of a batch that was read.
    pub(super) fn fits_read(&self, batch: &RecordBatch) -> PlanResult<()> {
        self.within(batch.num_rows(), longest_of(batch), LARGEST_READ, "the view")
    }

    fn within(&self, rows: usize, longest: usize, largest: usize, what: &str) -> PlanResult<()> {
        let now = self.batches.rows();
        if now.max(rows).saturating_mul(longest) <= largest {
            return Ok(());
        }
        if now == 1 {
            return Err(self.fail(Error::Limit(format!(
                "{what} could make {} MiB of text at once, and {} MiB is the most; concatenate, repeat, replace or unnest less, or leave long \
                 texts out, as in `where length(message) < 10000`",
                rows.saturating_mul(longest).div_ceil(1 << 20),
                largest >> 20
            ))));
        }
        // Always fewer than now, so that there is an end to it.
        let fit = (LARGEST / longest.max(1)).min(now / 2).max(1);
        self.batches.fewer.fetch_min(fit, Ordering::Relaxed);
        Err(DataFusionError::Execution("the texts of a batch are too long".to_owned()))
    }
}

/// The bytes of the longest value in any column.
pub(super) fn longest_of(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| longest(column.as_ref())).max().unwrap_or(0)
}

/// The bytes of the longest value.
pub(super) fn longest(array: &dyn Array) -> usize {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().offsets().lengths().max().unwrap_or(0),
        DataType::LargeUtf8 => array.as_string::<i64>().offsets().lengths().max().unwrap_or(0),
        DataType::Utf8View => array.as_string_view().iter().flatten().map(str::len).max().unwrap_or(0),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            ranges(list).map(|range| bytes(list.values().as_ref(), range)).max().unwrap_or(0)
        }
        DataType::Struct(_) => {
            let members = array.as_struct().columns().iter();
            members.map(|member| longest(member.as_ref())).fold(0, usize::saturating_add)
        }
        _ => PLAIN,
    }
}

/// The items of the longest list, those of the lists in it counted each; 1 of what is none.
pub(super) fn items(array: &dyn Array) -> usize {
    match array.as_list_opt::<i32>() {
        Some(list) => ranges(list).map(|range| leaves(list.values().as_ref(), range)).max().unwrap_or(0),
        None => 1,
    }
}

fn leaves(array: &dyn Array, range: Range<usize>) -> usize {
    let Some(list) = array.as_list_opt::<i32>() else { return range.len() };
    let at = |row: usize| list.offsets().get(row).and_then(|o| usize::try_from(*o).ok()).unwrap_or(0);
    range.len().max(leaves(list.values().as_ref(), at(range.start)..at(range.end)))
}

/// Where each list of an array is among its items.
fn ranges(list: &ListArray) -> impl Iterator<Item = Range<usize>> {
    let pairs = list.offsets().windows(2);
    pairs.filter_map(|w| Some(usize::try_from(*w.first()?).ok()?..usize::try_from(*w.last()?).ok()?))
}

/// The bytes of some values that follow each other.
fn bytes(array: &dyn Array, range: Range<usize>) -> usize {
    let part = array.slice(range.start.min(array.len()), range.end.min(array.len()).saturating_sub(range.start));
    let span = |first: Option<usize>, last: Option<usize>| last.zip(first).map_or(0, |(last, first)| last - first);
    let of = |offset: Option<&i32>| offset.and_then(|o| usize::try_from(*o).ok());
    let own = part.len() * PLAIN;
    match part.data_type() {
        DataType::Utf8 => {
            let offsets = part.as_string::<i32>().offsets();
            own + span(of(offsets.first()), of(offsets.last()))
        }
        DataType::List(_) => {
            let list = part.as_list::<i32>();
            let (first, last) = (of(list.offsets().first()), of(list.offsets().last()));
            own + bytes(list.values().as_ref(), first.unwrap_or(0)..last.unwrap_or(0))
        }
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Struct(_) => {
            part.len().saturating_mul(longest(part.as_ref()))
        }
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::Deadline;
    use datafusion::arrow::array::{ArrayRef, ListBuilder, StringArray, StringBuilder, UInt64Array};
    use parking_lot::Mutex;
    use std::sync::Arc;

    fn run(rows: usize) -> Run {
        Run { wanted: Deadline::while_wanted(), failed: Mutex::default(), batches: Batches::of(rows) }
    }

    #[test]
    fn the_longest_value_is_that_of_the_rows_there_are() {
        let texts = StringArray::from(vec![Some("abc"), None, Some("abcde"), Some("")]);
        assert_eq!((longest(&texts), longest(&texts.slice(0, 2)), longest(&texts.slice(1, 1))), (5, 3, 0));
        let mut lists = ListBuilder::new(StringBuilder::new());
        for list in [vec!["ab", "c"], vec![], vec!["defghi"; 3]] {
            list.into_iter().for_each(|text| lists.values().append_value(text));
            lists.append(true);
        }
        let lists = lists.finish();
        assert_eq!((longest(&lists), items(&lists)), (3 * PLAIN + 18, 3));
        assert_eq!((longest(&lists.slice(0, 2)), items(&lists.slice(1, 1))), (2 * PLAIN + 3, 0));
        assert_eq!((longest(&StringArray::from(Vec::<&str>::new())), items(&texts)), (0, 1));
        let numbers: ArrayRef = Arc::new(UInt64Array::from(vec![1, 2]));
        let batch =
            RecordBatch::try_from_iter([("n", numbers), ("t", Arc::new(texts.slice(2, 2)) as ArrayRef)]).unwrap();
        assert_eq!(longest_of(&batch), PLAIN);
    }

    #[test]
    fn a_run_asks_for_fewer_rows_until_one_value_is_too_much() {
        let first = run(ROWS);
        first.fits(10, LARGEST / ROWS, "it").unwrap();
        assert_eq!(first.batches.fewer(), None);
        first.fits(1, 30 << 20, "it").unwrap_err();
        first.fits(1, 1 << 20, "it").unwrap_err();
        assert_eq!(first.batches.fewer(), Some(8), "as many as the longest needs");
        let second = run(8);
        second.fits(8, 30 << 20, "it").unwrap();
        // More rows than a batch has are too many, too.
        second.fits(9, 30 << 20, "it").unwrap_err();
        assert_eq!(second.batches.fewer(), Some(4), "always fewer");
        second.fits(1, LARGEST + 1, "it").unwrap_err();
        assert_eq!(second.batches.fewer(), Some(1));
        assert!(second.failed.lock().is_none());
        let last = run(1);
        last.fits(1, LARGEST, "it").unwrap();
        last.fits(1, LARGEST + 1, "it").unwrap_err();
        assert_eq!(last.batches.fewer(), None);
        let Some(Error::Limit(detail)) = last.failed.lock().take() else { panic!("no limit is named") };
        assert!(detail.starts_with("it could make 257 MiB of text at once"), "{detail}");
    }

    #[test]
    fn joins_take_few_rows_from_the_start() {
        let run = run(ROWS);
        run.batches.at_most(REPEATING);
        assert_eq!((run.batches.rows(), run.batches.fewer()), (REPEATING, None));
        run.fits(1, 1 << 20, "it").unwrap();
        run.batches.at_most(ROWS);
        assert_eq!(run.batches.rows(), REPEATING);
    }
}
