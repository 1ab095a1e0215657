//! Scans against a plain model in memory.

mod common;

use arrow::array::{Array, BooleanArray, RecordBatch, StringArray};
use arrow::error::ArrowError;
use common::{Row, sample, write};
use disk::Dir;
use event::Field;
use proptest::prelude::*;
use segments::{Error, IdKey, Predicate, Probe, ScanRequest, Segment, batch_to_rows, columns, write_merged};
use std::sync::{Arc, OnceLock};

/// Some column equals one of some texts, ignoring case.
#[derive(Debug)]
struct OneOf {
    column: [usize; 1],
    field: Field,
    values: Vec<String>,
    probes: Vec<Vec<Probe>>,
}

impl OneOf {
    fn new(field: Field, values: Vec<String>) -> OneOf {
        let column = columns::of(field);
        let probes = vec![values.iter().map(|v| Probe { column, value: v.to_lowercase() }).collect()];
        OneOf { column: [column], field, values, probes }
    }

    fn matches(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.values.iter().any(|v| {
            let v = v.to_lowercase();
            if self.field == Field::NotificationRecipient { text.contains(&format!("\"{v}\"")) } else { text == v }
        })
    }
}

impl Predicate for OneOf {
    fn columns(&self) -> &[usize] {
        &self.column
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        assert_eq!(batch.num_columns(), 1);
        let texts = batch.column(0).as_any().downcast_ref::<StringArray>().unwrap();
        // Null stays null: it must count as false.
        Ok(texts.iter().map(|t| t.map(|t| self.matches(t))).collect())
    }

    fn probes(&self) -> &[Vec<Probe>] {
        &self.probes
    }
}

#[derive(Clone, Debug)]
struct Query {
    tenant: u32,
    time: std::ops::Range<i64>,
    index_below: Option<u64>,
    index_range: Option<std::ops::Range<u64>>,
    before: Option<usize>,
    limit: Option<usize>,
    batch_rows: usize,
    field: Option<(Field, Vec<usize>)>,
}

impl Query {
    fn all(tenant: u32) -> Query {
        Query {
            tenant,
            time: i64::MIN..i64::MAX,
            index_below: None,
            index_range: None,
            before: None,
            limit: None,
            batch_rows: 8000,
            field: None,
        }
    }
}

fn model(rows: &[Row], q: &Query, predicate: Option<&OneOf>, before: Option<&(i64, String)>) -> Vec<Row> {
    rows.iter()
        .filter(|r| r.tenant == q.tenant && q.time.contains(&r.time))
        .filter(|r| q.index_below.is_none_or(|n| r.index < n))
        .filter(|r| q.index_range.as_ref().is_none_or(|n| n.contains(&r.index)))
        .filter(|r| before.is_none_or(|(t, id)| r.time < *t || (r.time == *t && r.id < *id)))
        .filter(|r| {
            predicate.is_none_or(|p| {
                if p.field == Field::NotificationRecipient {
                    let all: Vec<String> = event::encode::fields(&r.bytes)
                        .map(Result::unwrap)
                        .filter(|s| s.field == p.field)
                        .map(|s| s.text().unwrap().to_lowercase())
                        .collect();
                    return p.values.iter().any(|v| all.contains(&v.to_lowercase()));
                }
                r.text(p.field).is_some_and(|t| p.matches(&t))
            })
        })
        .take(q.limit.unwrap_or(usize::MAX))
        .cloned()
        .collect()
}

struct Fixture {
    dir: tempfile::TempDir,
    rows: Vec<Row>,
    segment: Arc<Segment>,
}

impl Fixture {
    /// The same segment, opened by nobody else: what it reads can be counted.
    fn alone(&self) -> Arc<Segment> {
        Segment::open(&Dir::local(self.dir.path()), self.segment.info().clone()).unwrap()
    }
}

/// Three tenants, several row groups, in one file.
fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let rows = sample(11, 160_000, 3);
        let info = write(dir.path(), 1, &rows);
        let segment = Segment::open(&Dir::local(dir.path()), info).unwrap();
        assert!(segment.row_groups().count() > 2);
        Fixture { dir, rows, segment }
    })
}

fn query() -> impl Strategy<Value = Query> {
    let span = 0..550_000i64;
    let time = prop_oneof![
        Just(i64::MIN..i64::MAX),
        (span.clone(), span.clone()).prop_map(|(a, b)| a.min(b)..a.max(b)),
        (span, 0..300i64).prop_map(|(a, n)| a..a + n),
    ];
    let field = prop_oneof![
        Just(Field::ActorEmail),
        Just(Field::ActorId),
        Just(Field::Action),
        Just(Field::Id),
        Just(Field::RequestId),
        Just(Field::NotificationRecipient),
    ];
    (
        0..4u32,
        time,
        prop::option::of(0..60_000u64),
        prop::option::of((0..60_000u64, 0..3000u64).prop_map(|(a, n)| a..a + n)),
        prop::option::of(0..160_000usize),
        prop::option::of(prop_oneof![0..5usize, 0..3000usize]),
        prop_oneof![1..50usize, 1000..9000usize],
        prop::option::of((field, prop::collection::vec(0..160_000usize, 0..3))),
    )
        .prop_map(|(tenant, time, index_below, index_range, before, limit, batch_rows, field)| {
            // Small batches of a whole file take long and show nothing more.
            let batch_rows = if limit.is_none() { batch_rows.max(1000) } else { batch_rows };
            Query { tenant, time, index_below, index_range, before, limit, batch_rows, field }
        })
}

fn run(segment: &Arc<Segment>, request: &ScanRequest<'_>, tenant: u32) -> Vec<Row> {
    let mut got = Vec::new();
    for batch in segment.scan(request).unwrap() {
        let batch = batch.unwrap();
        assert!(batch.num_rows() <= request.batch_rows);
        batch_to_rows(&batch, |row| {
            got.push(Row::owned(tenant, row));
            Ok::<(), Error>(())
        })
        .unwrap();
    }
    got
}

fn check(f: &Fixture, q: &Query) {
    let all: Vec<usize> = (0..columns::COUNT).collect();
    let mut predicate = None;
    if let Some((field, picks)) = &q.field {
        let values = picks.iter().filter_map(|i| f.rows[*i].text(*field)).map(|v| v.to_uppercase()).collect();
        predicate = Some(OneOf::new(*field, values));
    }
    let before = q.before.map(|i| (f.rows[i].time, f.rows[i].id.clone()));
    let want = model(&f.rows, q, predicate.as_ref(), before.as_ref());
    let mut request = ScanRequest::new(q.tenant, &all);
    request.time = q.time.clone();
    request.index_below = q.index_below;
    request.index_range = q.index_range.clone();
    request.before = before;
    request.limit = q.limit;
    request.batch_rows = q.batch_rows;
    request.predicate = predicate.map(|p| Arc::new(p) as Arc<dyn Predicate>);
    let got = run(&f.segment, &request, q.tenant);
    assert!(got == want, "{q:?}: {} rows, not {}", got.len(), want.len());
    if q.limit.is_none() {
        let mut parts = Vec::new();
        for part in f.segment.parts(q.tenant, 3) {
            request.rows = Some(part);
            parts.extend(run(&f.segment, &request, q.tenant));
        }
        assert!(parts == want, "{q:?}: parts give {} rows, not {}", parts.len(), want.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn scans_give_what_the_model_gives(q in query()) {
        check(fixture(), &q);
    }
}

#[test]
fn pages_yield_every_row_once() {
    let f = fixture();
    let all: Vec<usize> = (0..columns::COUNT).collect();
    let mut request = ScanRequest::new(1, &all);
    request.time = 1000..60_000;
    request.index_below = Some(5000);
    let want = run(&f.segment, &request, 1);
    assert!(want.len() > 1000);
    request.limit = Some(97);
    let mut got: Vec<Row> = Vec::new();
    loop {
        let page = run(&f.segment, &request, 1);
        let Some(last) = page.last() else { break };
        request.before = Some((last.time, last.id.clone()));
        got.extend(page);
        assert!(got.len() <= want.len(), "pages give rows twice");
    }
    assert!(got == want);
}

#[test]
fn bounds_that_fall_on_page_boundaries() {
    let f = fixture();
    for at in (0..f.rows.len()).step_by(4096) {
        let row = &f.rows[at];
        for time in [row.time..row.time + 1, row.time - 9..row.time, row.time + 1..row.time + 9] {
            let q = Query { time, ..Query::all(row.tenant) };
            check(f, &q);
        }
        let before = Some(at);
        check(f, &Query { before, limit: Some(3), ..Query::all(row.tenant) });
    }
    for tenant in 0..3 {
        let last = f.segment.slice(tenant).unwrap().max_index;
        for n in [last, last + 1] {
            check(f, &Query { index_below: Some(n), ..Query::all(tenant) });
        }
    }
}

#[test]
fn projections_come_in_the_order_asked_for() {
    let f = fixture();
    let wanted = [
        columns::of(Field::Message),
        columns::TENANT,
        columns::of(Field::Old),
        columns::of(Field::ActorEmail),
        columns::TIME,
    ];
    let mut request = ScanRequest::new(2, &wanted);
    request.limit = Some(10);
    request.predicate = Some(Arc::new(OneOf::new(Field::ActorEmail, vec!["user7@example.äö".into()])));
    for dictionaries in [false, true] {
        request.dictionaries = dictionaries;
        let batches: Vec<RecordBatch> = f.segment.scan(&request).unwrap().map(Result::unwrap).collect();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 10);
        for batch in batches {
            let names: Vec<String> = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
            assert_eq!(names, ["message", "tenant", "old", "actor_email", "time"]);
            assert_eq!(batch.column(2).null_count(), batch.num_rows());
            assert_eq!(matches!(batch.column(1).data_type(), arrow::datatypes::DataType::Dictionary(..)), dictionaries);
            let emails = arrow::compute::cast(batch.column(3), &arrow::datatypes::DataType::Utf8).unwrap();
            let emails = emails.as_any().downcast_ref::<StringArray>().unwrap();
            assert!(emails.iter().all(|e| e == Some("User7@Example.ÄÖ")));
        }
    }
    // No column at all: only how many.
    let request = ScanRequest { limit: None, predicate: None, ..ScanRequest::new(2, &[]) };
    let n: usize = f.segment.scan(&request).unwrap().map(|b| b.unwrap().num_rows()).sum();
    assert_eq!(n as u64, f.segment.slice(2).unwrap().rows);
    assert!(f.segment.scan(&ScanRequest::new(2, &[columns::COUNT])).is_err());
}

#[test]
fn the_newest_page_reads_one_row_group_and_little_of_it() {
    let segment = fixture().alone();
    let all: Vec<usize> = (0..columns::COUNT).collect();
    let mut request = ScanRequest::new(0, &all);
    request.limit = Some(100);
    let before = segment.bytes_read();
    let mut scan = segment.scan(&request).unwrap();
    assert_eq!(scan.by_ref().map(|b| b.unwrap().num_rows()).sum::<usize>(), 100);
    assert_eq!(scan.row_groups_read(), 1);
    let read = segment.bytes_read() - before;
    assert!(read < segment.info().bytes / 10, "{read} of {} bytes", segment.info().bytes);
    // A value that is nowhere: no row group is opened (but for one filter in 256).
    request.predicate = Some(Arc::new(OneOf::new(Field::RequestId, vec!["nowhere".into()])));
    let mut scan = segment.scan(&request).unwrap();
    assert_eq!(scan.by_ref().count(), 0);
    assert_eq!(scan.row_groups_read(), 0);
}

#[test]
fn filters_never_miss_and_ignore_case() {
    let f = fixture();
    for (i, row) in f.rows.iter().enumerate().step_by(1999) {
        assert!(f.segment.may_contain_id(IdKey::new(row.tenant, &row.id)));
        for field in [Field::Id, Field::ActorEmail, Field::RequestId] {
            let Some(value) = row.text(field) else { continue };
            for value in [value.to_uppercase(), value.to_lowercase()] {
                let wanted = [columns::INDEX];
                let mut request = ScanRequest::new(row.tenant, &wanted);
                request.index_range = Some(row.index..row.index + 1);
                request.predicate = Some(Arc::new(OneOf::new(field, vec![value.clone()])));
                let n: usize = f.segment.scan(&request).unwrap().map(|b| b.unwrap().num_rows()).sum();
                assert_eq!(n, 1, "row {i}, {field:?} {value}");
            }
        }
    }
    let wrong = (0..20_000).filter(|i| f.segment.may_contain_id(IdKey::new(1, &format!("absent-{i}")))).count();
    assert!(wrong <= 8, "{wrong} of 20,000 absent ids pass a filter that lets 1 of 65,536 pass");
    assert!(!f.segment.may_contain_id(IdKey::new(9, &f.rows[0].id)));
}

#[test]
fn rows_by_index_reads_little() {
    let f = fixture();
    let segment = f.alone();
    for (tenant, range) in [(0, 0..1), (1, 700..956), (2, 20_000..20_256), (0, 0..u64::MAX), (2, 5..5), (7, 0..9)] {
        let mut want: Vec<&Row> = f.rows.iter().filter(|r| r.tenant == tenant && range.contains(&r.index)).collect();
        want.sort_by_key(|r| r.index);
        let before = segment.bytes_read();
        let mut got = Vec::new();
        let n = segment
            .rows_by_index(tenant, range.clone(), |row| {
                got.push(Row::owned(tenant, row));
                Ok::<(), Error>(())
            })
            .unwrap();
        let read = segment.bytes_read() - before;
        got.sort_by_key(|r| r.index);
        assert_eq!(n as usize, got.len());
        assert!(got.iter().eq(want.iter().copied()), "{tenant} {range:?}");
        if want.len() < 1000 {
            assert!(read < segment.info().bytes / 8, "{read} of {} bytes", segment.info().bytes);
        }
    }
}

#[test]
fn scans_side_by_side_do_not_disturb_each_other() {
    let f = fixture();
    let want: Vec<u64> = (0..3).map(|t| f.segment.slice(t).unwrap().rows).collect();
    std::thread::scope(|s| {
        for worker in 0..6usize {
            let want = &want;
            s.spawn(move || {
                let tenant = worker % 3;
                let wanted = [columns::INDEX, columns::of(Field::Message)];
                let scan = f.segment.scan(&ScanRequest::new(tenant as u32, &wanted)).unwrap();
                let n: usize = scan.map(|b| b.unwrap().num_rows()).sum();
                assert_eq!(n as u64, want[tenant]);
            });
        }
    });
}

#[test]
fn a_merged_segment_answers_the_same() {
    let f = fixture();
    let dir = tempfile::tempdir().unwrap();
    // Deal the rows out to four segments, as flushes with overlapping times would.
    let inputs: Vec<Arc<Segment>> = (0..4)
        .map(|n| {
            let part: Vec<Row> =
                f.rows.iter().enumerate().filter(|(i, _)| (i / 7) % 4 == n).map(|(_, r)| r.clone()).collect();
            let info = write(dir.path(), n as u64, &part);
            Segment::open(&Dir::local(dir.path()), info).unwrap()
        })
        .collect();
    let mut id = 100;
    let mut new_id = || {
        id += 1;
        id
    };
    let infos = write_merged(&Dir::local(dir.path()), &mut new_id, &inputs, 1 << 30, &mut |_| Ok(())).unwrap();
    // Three tenants of about 53,000: they share one file.
    assert_eq!(infos.len(), 1);
    let rows = f.rows.clone();
    let segment = Segment::open(&Dir::local(dir.path()), infos[0].clone()).unwrap();
    let merged = Fixture { dir, rows, segment };
    check(
        &merged,
        &Query {
            tenant: 1,
            time: i64::MIN..i64::MAX,
            index_below: None,
            index_range: None,
            before: None,
            limit: None,
            batch_rows: 8000,
            field: None,
        },
    );
    check(
        &merged,
        &Query {
            tenant: 2,
            time: 5000..90_000,
            index_below: Some(9000),
            index_range: None,
            before: Some(5),
            limit: Some(200),
            batch_rows: 50,
            field: Some((Field::ActorId, vec![3])),
        },
    );
}
