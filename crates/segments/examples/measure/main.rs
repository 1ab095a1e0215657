//! What a record costs: µs per hop, bytes per column, look-ups and pages.
//!
//! `cargo run --release -p segments --example measure [records] [row-limit of a merge]`

mod generate;

use arrow::array::{Array, BooleanArray, RecordBatch, StringArray};
use arrow::error::ArrowError;
use disk::Dir;
use event::Field;
use generate::{Generator, Random, Record};
use segments::{
    BatchBuilder, Error, Predicate, Probe, RowRef, ScanRequest, Segment, SegmentInfo, admit, columns, write_merged,
    write_segment,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Equals {
    column: [usize; 1],
    value: String,
    probes: Vec<Vec<Probe>>,
}

impl Equals {
    fn predicate(field: Field, value: &str) -> Arc<dyn Predicate> {
        let column = columns::of(field);
        let probes = vec![vec![Probe { column, value: value.to_lowercase() }]];
        Arc::new(Equals { column: [column], value: value.to_owned(), probes })
    }
}

impl Predicate for Equals {
    fn columns(&self) -> &[usize] {
        &self.column
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let texts = batch.column(0).as_any().downcast_ref::<StringArray>().unwrap();
        Ok(BooleanArray::from_unary(texts, |t| t.eq_ignore_ascii_case(&self.value)))
    }

    fn probes(&self) -> &[Vec<Probe>] {
        &self.probes
    }
}

struct Contains([usize; 1], String);

impl Predicate for Contains {
    fn columns(&self) -> &[usize] {
        &self.0
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let texts = batch.column(0).as_any().downcast_ref::<StringArray>().unwrap();
        Ok(BooleanArray::from_unary(texts, |t| t.contains(&self.1)))
    }

    fn probes(&self) -> &[Vec<Probe>] {
        &[]
    }
}

fn per_record(what: &str, took: Duration, n: usize) {
    println!("{what:<44} {:>8.3} µs/record", took.as_secs_f64() * 1e6 / n as f64);
}

fn median(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |q: usize| times[(times.len() - 1) * q / 100].as_secs_f64() * 1e3;
    println!("{what:<44} p10 {:>8.3} ms   p50 {:>8.3} ms   p99 {:>8.3} ms", at(10), at(50), at(99));
}

fn rows(records: &[Record]) -> impl Iterator<Item = (u32, RowRef<'_>)> {
    // Newest first; the last record sealed has the highest index.
    let mut order: Vec<usize> = (0..records.len()).collect();
    order.sort_by(|a, b| (records[*b].time, &records[*b].id).cmp(&(records[*a].time, &records[*a].id)));
    order.into_iter().map(|i| (1, row(records, i)))
}

fn row(records: &[Record], i: usize) -> RowRef<'_> {
    let r = &records[i];
    RowRef { tenant: "acme", index: i as u64, recorded_at: r.time + 40_000, kind: 0, row: &r.row }
}

fn main() {
    let arg = |n: usize, default: usize| std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(default);
    let n = arg(1, 1_000_000);
    let most = arg(2, 4_194_304);
    let mut generator = Generator::new(7, n, 30);
    let records: Vec<Record> = (0..n).map(|_| generator.record()).collect();
    let (stored, json) = records.iter().fold((0, 0), |(s, j), r| (s + r.row.len(), j + r.json));
    println!("{n} records of {} stored bytes, {} bytes as JSON", stored / n, json / n);
    let dir = tempfile::tempdir().unwrap();

    let start = Instant::now();
    let mut builder = BatchBuilder::new();
    for chunk in 0..n.div_ceil(16_384) {
        for i in chunk * 16_384..n.min((chunk + 1) * 16_384) {
            builder.push(row(&records, i)).unwrap();
        }
        std::hint::black_box(builder.finish().unwrap());
    }
    per_record("rows to batches", start.elapsed(), n);

    // As a server would: segments of 100,000 in the order of arrival, then merged.
    let sorted: Vec<_> = records.chunks(100_000).enumerate().collect();
    let start = Instant::now();
    let mut flushed: Vec<SegmentInfo> = Vec::new();
    for (i, part) in &sorted {
        let base = (i * 100_000) as u64;
        let moved = rows(part).map(|(t, r)| (t, RowRef { index: r.index + base, ..r }));
        flushed.push(write_segment(&Dir::local(dir.path()), *i as u64, moved).unwrap());
    }
    per_record("sort + batch + write, flushes of 100,000", start.elapsed(), n);

    let start = Instant::now();
    let mut seen = 0u64;
    for info in &flushed {
        admit(&Dir::local(dir.path()), info, &mut |r: RowRef<'_>| {
            seen += r.row.len() as u64;
            Ok::<(), Error>(())
        })
        .unwrap();
    }
    per_record("admission (read back, hash file, rows)", start.elapsed(), n);
    assert_eq!(seen, stored as u64);
    let bytes = |infos: &[SegmentInfo]| {
        let (p, f) = infos.iter().fold((0, 0), |(p, f), i| (p + i.bytes, f + i.filter_bytes));
        println!(
            "{:<44} {:>8.2} + {:.2} filter bytes/record",
            format!("{} files", infos.len()),
            p as f64 / n as f64,
            f as f64 / n as f64
        );
    };
    bytes(&flushed);

    let inputs: Vec<_> = flushed.iter().map(|i| Segment::open(&Dir::local(dir.path()), i.clone()).unwrap()).collect();
    let mut next = 1000;
    let start = Instant::now();
    let mut id = || {
        next += 1;
        next
    };
    let merged = write_merged(&Dir::local(dir.path()), &mut id, &inputs, most as u64, &mut |_| Ok(())).unwrap();
    per_record("merge", start.elapsed(), n);
    bytes(&merged);
    let segments: Vec<_> = merged.iter().map(|i| Segment::open(&Dir::local(dir.path()), i.clone()).unwrap()).collect();
    let start = Instant::now();
    Segment::open(&Dir::local(dir.path()), merged[0].clone()).unwrap();
    println!(
        "{:<44} {:>8.3} ms; filters in memory {:.2} B/record",
        "open",
        start.elapsed().as_secs_f64() * 1e3,
        segments.iter().map(|s| s.filter_memory()).sum::<usize>() as f64 / n as f64
    );

    let start = Instant::now();
    segments::rebuild_filters(&Dir::local(dir.path()), &merged[0]).unwrap();
    per_record("rebuild filters", start.elapsed(), merged[0].rows as usize);

    by_column(dir.path(), &merged);
    queries(&segments, &records);
    if arg(3, 0) > 0 {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(arg(3, 0) as u64) {
            lookups(&segments, &records, "e-mail", Field::ActorEmail);
        }
    }
}

fn by_column(dir: &std::path::Path, infos: &[SegmentInfo]) {
    use parquet::file::reader::FileReader;
    let mut sizes = vec![(0i64, 0i64, String::new()); columns::COUNT];
    let (mut total, mut data) = (0, 0);
    for info in infos {
        let file = std::fs::File::open(segments::parquet_path(dir, info.id)).unwrap();
        let reader = parquet::file::reader::SerializedFileReader::new(file).unwrap();
        for group in reader.metadata().row_groups() {
            for (i, chunk) in group.columns().iter().enumerate() {
                sizes[i].0 += chunk.compressed_size();
                sizes[i].1 += chunk.uncompressed_size();
                sizes[i].2 = format!("{} {:?}", chunk.column_path(), chunk.encodings().collect::<Vec<_>>());
                data += chunk.compressed_size();
            }
        }
        total += info.bytes as i64;
    }
    let n = infos.iter().map(|i| i.rows).sum::<u64>() as f64;
    sizes.sort_by_key(|s| -s.0);
    println!("bytes per record by column (stored, encoded):");
    for (size, plain, name) in sizes.iter().take(26) {
        println!("  {:>7.3} {:>8.2}  {name}", *size as f64 / n, *plain as f64 / n);
    }
    println!("  {:>7.3}           footer and page index", (total - data) as f64 / n);
}

fn scan(segments: &[Arc<Segment>], request: &ScanRequest<'_>) -> (usize, usize) {
    let (mut rows, mut groups) = (0, 0);
    for segment in segments {
        let mut request = request.clone();
        request.limit = request.limit.map(|l| l - rows);
        let mut scan = segment.scan(&request).unwrap();
        for batch in scan.by_ref() {
            rows += batch.unwrap().num_rows();
        }
        groups += scan.row_groups_read();
        if request.limit == Some(0) {
            break;
        }
    }
    (rows, groups)
}

fn lookups(segments: &[Arc<Segment>], records: &[Record], name: &str, field: Field) {
    let all: Vec<usize> = (0..columns::COUNT).collect();
    let mut random = Random::new(5);
    let value = |record: &Record, field: Field| {
        event::encode::fields(&record.row)
            .map(Result::unwrap)
            .find(|s| s.field == field)
            .map(|s| s.text().unwrap().to_owned())
    };
    for limit in [1, 100] {
        let (mut times, mut groups, mut found) = (Vec::new(), 0, 0);
        for _ in 0..200 {
            let record = &records[random.below(records.len() as u64) as usize];
            let Some(v) = value(record, field) else { continue };
            let mut request = ScanRequest::new(1, &all);
            request.predicate = Some(Equals::predicate(field, &v));
            request.limit = Some(limit);
            let start = Instant::now();
            let (rows, read) = scan(segments, &request);
            times.push(start.elapsed());
            groups += read;
            found += rows;
            assert!(rows > 0);
        }
        let n = times.len();
        median(
            &format!("{name}, limit {limit} ({} rows, {:.2} groups)", found / n, groups as f64 / n as f64),
            &mut times,
        );
    }
}

fn queries(segments: &[Arc<Segment>], records: &[Record]) {
    let all: Vec<usize> = (0..columns::COUNT).collect();
    let mut random = Random::new(3);
    for (name, field) in [
        ("request id", Field::RequestId),
        ("session id", Field::SessionId),
        ("e-mail", Field::ActorEmail),
        ("id", Field::Id),
    ] {
        lookups(segments, records, name, field);
    }
    let mut times = Vec::new();
    let mut request = ScanRequest::new(1, &all);
    request.limit = Some(100);
    for _ in 0..50 {
        let start = Instant::now();
        assert_eq!(scan(segments, &request), (100, 1));
        times.push(start.elapsed());
    }
    median("newest page of 100", &mut times);
    let mut times = Vec::new();
    for _ in 0..100 {
        let record = &records[random.below(records.len() as u64 - 200) as usize + 200];
        let mut request = ScanRequest::new(1, &all);
        request.limit = Some(100);
        request.before = Some((record.time, record.id.clone()));
        let start = Instant::now();
        assert_eq!(scan(segments, &request).0, 100);
        times.push(start.elapsed());
    }
    median("page of 100 somewhere", &mut times);
    for (what, word, limit) in
        [("contains common, 100", "signed in", Some(100)), ("contains rare, all", "opened document 1234", None)]
    {
        let mut times = Vec::new();
        let mut found = 0;
        for _ in 0..5 {
            let mut request = ScanRequest::new(1, &all);
            request.limit = limit;
            request.predicate = Some(Arc::new(Contains([columns::of(Field::Message)], word.to_owned())));
            let start = Instant::now();
            found = scan(segments, &request).0;
            times.push(start.elapsed());
        }
        median(&format!("{what} ({found} rows)"), &mut times);
    }
    for dictionaries in [false, true] {
        let mut times = Vec::new();
        for _ in 0..5 {
            let wanted = [columns::TIME, columns::of(Field::Action)];
            let mut request = ScanRequest::new(1, &wanted);
            request.dictionaries = dictionaries;
            let start = Instant::now();
            assert_eq!(scan(segments, &request).0, records.len());
            times.push(start.elapsed());
        }
        median(&format!("time and action of all, dictionaries {dictionaries}"), &mut times);
    }
    let mut times = Vec::new();
    for _ in 0..200 {
        let first = random.below((records.len() as u64 - 256) / 256) * 256;
        let start = Instant::now();
        let mut found = 0;
        for segment in segments {
            found += segment.rows_by_index(1, first..first + 256, |_| Ok::<(), Error>(())).unwrap();
        }
        times.push(start.elapsed());
        assert_eq!(found, 256);
    }
    median("256 consecutive indexes", &mut times);
    let mut times = Vec::new();
    for _ in 0..200 {
        let first = random.below(records.len() as u64);
        let start = Instant::now();
        for segment in segments {
            segment.rows_by_index(1, first..first + 1, |_| Ok::<(), Error>(())).unwrap();
        }
        times.push(start.elapsed());
    }
    median("one index", &mut times);
}
