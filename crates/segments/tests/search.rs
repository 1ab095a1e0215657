//! What queries read page by page and search in encoded bytes, beside what the library and a look at every row find.
#![allow(missing_docs)]

mod common;

use arrow::array::{Array, BooleanArray, RecordBatch, StringArray, UInt64Array};
use arrow::error::ArrowError;
use common::{Row, sample, write};
use disk::Dir;
use event::Field;
use proptest::prelude::*;
use segments::{Error, Need, Predicate, Probe, ScanRequest, Segment, columns};
use std::sync::{Arc, OnceLock};

struct Mixed {
    dir: tempfile::TempDir,
    rows: Vec<Row>,
    segment: Arc<Segment>,
}

/// Rows whose index is in a set, by a column that is always there.
struct Indexes(std::collections::HashSet<u64>);

impl Predicate for Indexes {
    fn columns(&self) -> &[usize] {
        &[columns::INDEX]
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let indexes = batch.column(0).as_any().downcast_ref::<UInt64Array>().unwrap();
        Ok(indexes.iter().map(|i| Some(self.0.contains(&i.unwrap()))).collect())
    }

    fn probes(&self) -> &[Vec<Probe>] {
        &[]
    }
}

/// A segment of one tenant with every kind of page: dictionaries that were given up in the middle, columns
/// that begin or end with nulls, long texts, pages without a value.
fn mixed() -> &'static Mixed {
    static FIXTURE: OnceLock<Mixed> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let mut rows = sample(5, 70_000, 1);
        for (i, row) in rows.iter_mut().enumerate() {
            let mut extra = Vec::new();
            if (20_000..40_000).contains(&i) {
                // More distinct values than a small dictionary holds.
                extra.push((Field::ErrorCode, format!("code-{i}-{:030}", i % 5000)));
            }
            if i % 3 == 0 {
                extra.push((Field::TargetId, format!("t{:040}", i * 7)));
            }
            if i > 60_000 {
                extra.push((Field::Comments, "ÄÖ é".repeat(i % 40)));
            }
            let mut fields: Vec<(Field, Vec<u8>)> = event::encode::fields(&row.bytes)
                .map(|f| f.map(|f| (f.field, f.value.to_vec())).unwrap())
                .chain(extra.into_iter().map(|(field, text)| (field, text.into_bytes())))
                .collect();
            if i % 11 == 0 {
                fields.push((Field::Irreversible, vec![u8::from(i % 2 == 0)]));
                fields.push((Field::GrantExpiresAt, (i as i64 * -77).to_le_bytes().to_vec()));
            }
            fields.sort_by_key(|(field, _)| *field);
            row.bytes.clear();
            fields.iter().for_each(|(field, value)| event::encode::put(&mut row.bytes, *field, value));
        }
        let info = write(dir.path(), 1, &rows);
        let segment = Segment::open(&Dir::local(dir.path()), info).unwrap();
        Mixed { dir, rows, segment }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// What queries read page by page is what the library reads from the same file.
    #[test]
    fn every_column_is_read_as_the_library_reads_it(
        start in 0..69_000u64, length in 1..9000u64, step in 1..400u64, run in 1..40u64, dictionaries: bool,
        chosen in prop::collection::btree_set(0..columns::COUNT, 1..12), batch_rows in 50..5000usize,
    ) {
        let f = mixed();
        let mut projection: Vec<usize> = chosen.into_iter().collect();
        projection.extend([Field::ErrorCode, Field::TargetId, Field::Comments, Field::Irreversible, Field::GrantExpiresAt].map(columns::of));
        projection.sort_unstable();
        projection.dedup();
        let rows = start..(start + length).min(70_000);
        let wanted = |row: u64| rows.contains(&row) && (row / run).is_multiple_of(step);
        let mut expected = Vec::new();
        let mut indexes = std::collections::HashSet::new();
        f.segment.walk(|at, batch| -> Result<(), Error> {
            let mask: BooleanArray = (0..batch.num_rows()).map(|i| Some(wanted(at + i as u64))).collect();
            let kept = arrow::compute::filter_record_batch(batch, &mask)?;
            let of = kept.column(columns::INDEX).as_any().downcast_ref::<UInt64Array>().unwrap();
            indexes.extend(of.values().iter().copied());
            expected.push(kept.project(&projection)?);
            Ok(())
        }).unwrap();
        let schema = Arc::new(segments::schema().project(&projection).unwrap());
        let expected = arrow::compute::concat_batches(&schema, &expected).unwrap();
        let mut request = ScanRequest::new(0, &projection);
        request.rows = Some(rows.clone());
        request.batch_rows = batch_rows;
        request.dictionaries = dictionaries;
        request.predicate = Some(Arc::new(Indexes(indexes)));
        let got: Vec<RecordBatch> = f.segment.scan(&request).unwrap().map(|batch| {
            let batch = batch.unwrap();
            let plain = batch.columns().iter().zip(schema.fields());
            let plain = plain.map(|(a, field)| arrow::compute::cast(a, field.data_type()).unwrap()).collect();
            RecordBatch::try_new(Arc::clone(&schema), plain).unwrap()
        }).collect();
        prop_assert_eq!(arrow::compute::concat_batches(&schema, &got).unwrap(), expected);
    }

    /// Searching encoded bytes, and filters on parts of texts, change nothing but the time.
    #[test]
    fn a_search_finds_what_a_look_at_every_row_finds(
        which in 0..6usize, row in 0..70_000usize, cut in 0..8usize, keep in 1..12usize, whole: bool,
        limit in prop::option::of(1..200usize),
    ) {
        let f = mixed();
        let field = [Field::Message, Field::ActorEmail, Field::ErrorCode, Field::TargetId, Field::Comments, Field::Id][which];
        let Some(text) = f.rows[row].text(field) else { return Ok(()) };
        let text: String = if whole { text } else { text.chars().skip(cut).take(keep).collect() };
        prop_assume!(!text.is_empty());
        let fold = |t: &str| t.chars().flat_map(char::to_lowercase).collect::<String>();
        let text = fold(&text);
        let matches = |r: &Row| r.text(field).is_some_and(|t| if whole { fold(&t) == text } else { fold(&t).contains(&text) });
        let expected: Vec<u64> = f.rows.iter().filter(|r| matches(r)).map(|r| r.index).take(limit.unwrap_or(usize::MAX)).collect();
        let needs = vec![vec![Need { column: columns::of(field), text: text.clone(), whole, loose: false }]];
        let test = Holds { column: [columns::of(field)], text, whole, needs };
        let mut request = ScanRequest::new(0, &[columns::INDEX]);
        request.predicate = Some(Arc::new(test));
        request.limit = limit;
        let mut got = Vec::new();
        for batch in f.segment.scan(&request).unwrap() {
            got.extend(batch.unwrap().column(0).as_any().downcast_ref::<UInt64Array>().unwrap().values().iter().copied());
        }
        prop_assert_eq!(&got, &expected);
        // The same in pieces.
        let mut pieces = Vec::new();
        for rows in f.segment.pieces(&request).unwrap() {
            request.rows = Some(rows);
            for batch in f.segment.scan(&request).unwrap() {
                pieces.extend(batch.unwrap().column(0).as_any().downcast_ref::<UInt64Array>().unwrap().values().iter().copied());
            }
        }
        pieces.truncate(limit.unwrap_or(usize::MAX));
        prop_assert_eq!(pieces, expected);
    }
}

/// A column is, or has in it, a text, whatever the case.
struct Holds {
    column: [usize; 1],
    text: String,
    whole: bool,
    needs: Vec<Vec<Need>>,
}

impl Predicate for Holds {
    fn columns(&self) -> &[usize] {
        &self.column
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let texts = batch.column(0).as_any().downcast_ref::<StringArray>().unwrap();
        let fold = |t: &str| t.chars().flat_map(char::to_lowercase).collect::<String>();
        let holds = |t: &str| if self.whole { fold(t) == self.text } else { fold(t).contains(&self.text) };
        Ok(texts.iter().map(|t| t.map(holds)).collect())
    }

    fn probes(&self) -> &[Vec<Probe>] {
        &[]
    }

    fn needs(&self) -> &[Vec<Need>] {
        &self.needs
    }
}

#[test]
fn a_part_of_a_text_that_is_nowhere_is_excluded_without_reading() {
    let segment = Segment::open(&Dir::local(mixed().dir.path()), mixed().segment.info().clone()).unwrap();
    let absent = |text: &str| {
        let needs =
            vec![vec![Need { column: columns::of(Field::Message), text: text.into(), whole: false, loose: false }]];
        let mut request = ScanRequest::new(0, &[columns::INDEX]);
        request.predicate =
            Some(Arc::new(Holds { column: [columns::of(Field::Message)], text: text.into(), whole: false, needs }));
        let before = segment.bytes_read();
        assert_eq!(segment.scan(&request).unwrap().count(), 0);
        segment.bytes_read() - before
    };
    assert_eq!(absent("zebra crossing"), 0);
    // Its grams are all there, the text is not.
    assert!(absent("number 7777777") > 0);
}
