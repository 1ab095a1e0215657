//! Rows for tests: arbitrary ones, and a plain model to compare with.
#![allow(dead_code)]

use disk::Dir;
use event::encode::{put, put_time};
use event::{FIELDS, Field, Kind};
use proptest::prelude::*;
use segments::{RowRef, SegmentInfo, write_segment};
use std::path::Path;

/// A row that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub tenant: u32,
    pub index: u64,
    pub recorded_at: i64,
    pub kind: u8,
    pub time: i64,
    pub id: String,
    pub bytes: Vec<u8>,
}

impl Row {
    pub fn name(&self) -> String {
        name(self.tenant)
    }

    pub fn owned(tenant: u32, row: RowRef<'_>) -> Row {
        assert_eq!(row.tenant, name(tenant));
        let (mut time, mut id) = (0, String::new());
        for field in event::encode::fields(row.row) {
            let field = field.unwrap();
            match field.field {
                Field::Id => id = field.text().unwrap().to_owned(),
                Field::Time => time = field.time().unwrap(),
                _ => {}
            }
        }
        Row {
            tenant,
            index: row.index,
            recorded_at: row.recorded_at,
            kind: row.kind,
            time,
            id,
            bytes: row.row.to_vec(),
        }
    }

    pub fn text(&self, field: Field) -> Option<String> {
        event::encode::fields(&self.bytes)
            .map(Result::unwrap)
            .find(|s| s.field == field)
            .map(|s| s.text().unwrap().to_owned())
    }
}

pub fn name(tenant: u32) -> String {
    format!("tenant-{}", 1000 - tenant)
}

/// Sorts as segments are: tenant number, newest first.
pub fn sort(rows: &mut [Row]) {
    rows.sort_by(|a, b| a.tenant.cmp(&b.tenant).then(b.time.cmp(&a.time)).then_with(|| b.id.cmp(&a.id)));
}

pub fn write(dir: &Path, id: u64, rows: &[Row]) -> SegmentInfo {
    let names: Vec<String> = rows.iter().map(Row::name).collect();
    let refs = rows.iter().zip(&names).map(|(r, name)| {
        (r.tenant, RowRef { tenant: name, index: r.index, recorded_at: r.recorded_at, kind: r.kind, row: &r.bytes })
    });
    write_segment(&Dir::local(dir), id, refs).unwrap()
}

/// Rows of `tenants` tenants that look a little like ours; few distinct values, so that queries match.
pub fn sample(seed: u64, n: usize, tenants: u32) -> Vec<Row> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move |below: u64| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) % below
    };
    let mut indexes = vec![0u64; tenants as usize];
    let mut rows: Vec<Row> = (0..n)
        .map(|i| {
            let tenant = next(u64::from(tenants)) as u32;
            let index = indexes[tenant as usize];
            indexes[tenant as usize] += 1;
            // Arrival is near the order of time, and many times are equal.
            let time = (i as i64 / 3) * 10 + next(40) as i64;
            let id = format!("{i:08x}-{:x}", next(1 << 30));
            let mut bytes = Vec::new();
            put(&mut bytes, Field::Id, id.as_bytes());
            put(&mut bytes, Field::Log, b"auth");
            put_time(&mut bytes, Field::Time, time);
            put(&mut bytes, Field::Action, format!("action.{}", next(5)).as_bytes());
            if next(3) == 0 {
                put(&mut bytes, Field::RequestId, format!("REQ-{:x}", next(1 << 40)).as_bytes());
            }
            let user = next(200);
            put(&mut bytes, Field::ActorId, format!("u{user}").as_bytes());
            put(&mut bytes, Field::ActorEmail, format!("User{user}@Example.ÄÖ").as_bytes());
            put(&mut bytes, Field::Message, format!("user {user} did number {i}").as_bytes());
            if next(10) == 0 {
                put(&mut bytes, Field::NotificationRecipient, format!("A{}@x", next(50)).as_bytes());
                put(&mut bytes, Field::NotificationRecipient, format!("B{}@x", next(50)).as_bytes());
            }
            Row { tenant, index, recorded_at: time + 5, kind: (next(20) == 0) as u8, time, id, bytes }
        })
        .collect();
    sort(&mut rows);
    rows
}

fn value(kind: Kind) -> BoxedStrategy<Vec<Vec<u8>>> {
    let text = prop_oneof![
        6 => "[a-zA-Z0-9@. -]{0,20}",
        2 => "\\PC{0,12}",
        1 => any::<String>(),
        1 => Just(String::new()),
        1 => "[\"\\\\\u{0}-\u{1f}\u{7f}/é😀]{0,12}",
    ]
    .prop_map(String::into_bytes);
    match kind {
        Kind::Text | Kind::Json => text.prop_map(|t| vec![t]).boxed(),
        Kind::List => prop::collection::vec(text, 1..4).boxed(),
        Kind::Time => any::<i64>().prop_map(|t| vec![t.to_le_bytes().to_vec()]).boxed(),
        Kind::Bool => any::<bool>().prop_map(|b| vec![vec![u8::from(b)]]).boxed(),
    }
}

prop_compose! {
    /// A row with any fields.
    pub fn any_row()(
        fields in prop::collection::btree_map(0..FIELDS.len(), any::<prop::sample::Index>(), 0..20)
            .prop_flat_map(|chosen| {
                chosen.into_keys().map(|i| (Just(i), value(FIELDS[i].kind))).collect::<Vec<_>>()
            }),
        id in "[a-z0-9-]{1,36}",
        time in prop_oneof![any::<i64>(), 0..1000i64],
        index in any::<u64>(),
        recorded_at in any::<i64>(),
        kind in any::<u8>(),
        tenant in 0..4u32,
        long in prop_oneof![9 => Just(0usize), 1 => 1..200_000usize],
    ) -> Row {
        let mut fields: Vec<(usize, Vec<Vec<u8>>)> =
            fields.into_iter().filter(|(i, _)| !matches!(FIELDS[*i].field, Field::Id | Field::Time | Field::Comments)).collect();
        fields.push((Field::Id as usize, vec![id.clone().into_bytes()]));
        fields.push((Field::Time as usize, vec![time.to_le_bytes().to_vec()]));
        if long > 0 {
            fields.push((Field::Comments as usize, vec![vec![b'x'; long]]));
        }
        fields.sort();
        let mut bytes = Vec::new();
        for (i, values) in &fields {
            for v in values {
                put(&mut bytes, FIELDS[*i].field, v);
            }
        }
        Row { tenant, index, recorded_at, kind, time, id, bytes }
    }
}
