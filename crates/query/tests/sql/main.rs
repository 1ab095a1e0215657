//! SQL over a store that is half in segments, half in the tail, beside the same records counted by hand.

#[path = "../common/mod.rs"]
mod common;
mod limits;

use catalog::Tenant;
use common::{HOUR, NOW, World, records};
use query::{Access, Error, SqlAnswer, SqlLimits};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

const ALL: Access = Access { bodies: true };
const SOME: Access = Access { bodies: false };
const PER_TENANT: usize = 3_000;

struct Fixture {
    world: World,
    acme: Arc<Tenant>,
    other: Arc<Tenant>,
    records: Vec<Value>,
}

/// Two tenants; of each, half was flushed in two segments and half is in the tail.
static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let world = World::new();
    let (acme, other) = (world.tenant("acme"), world.tenant("other"));
    let ours = records("acme", PER_TENANT, 7);
    let theirs = records("other", PER_TENANT, 8);
    for part in 0..2 {
        let range = part * PER_TENANT / 4..(part + 1) * PER_TENANT / 4;
        world.put(&acme, &ours[range.clone()]);
        world.put(&other, &theirs[range]);
        world.store().flush().unwrap();
    }
    world.put(&acme, &ours[PER_TENANT / 2..]);
    world.put(&other, &theirs[PER_TENANT / 2..]);
    let snapshot = world.store().snapshot(&acme, None);
    assert!(snapshot.segments.len() == 2 && !snapshot.blocks.is_empty());
    let records = ours.iter().map(|r| serde_json::from_str(r).unwrap()).collect();
    Fixture { world, acme, other, records }
});

fn fixture() -> &'static Fixture {
    &FIXTURE
}

async fn ask_as(sql: &str, access: Access, limits: &SqlLimits) -> query::Result<SqlAnswer> {
    let f = fixture();
    f.world.engine.sql(&f.acme, sql, access, limits).await
}

async fn ask(sql: &str) -> Vec<Value> {
    let answer = ask_as(sql, ALL, &SqlLimits::default()).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let json: Value = serde_json::from_str(&answer.to_json()).unwrap();
    json["rows"].as_array().unwrap().clone()
}

async fn one(sql: &str) -> Value {
    ask(sql).await[0][0].clone()
}

async fn refused(sql: &str) -> String {
    match ask_as(sql, ALL, &SqlLimits::default()).await {
        Err(Error::Sql(text) | Error::Limit(text)) => text,
        Err(e) => panic!("{sql}: {e:?}"),
        Ok(a) => panic!("{sql}: {}", a.to_json()),
    }
}

fn count(test: impl Fn(&Value) -> bool) -> Value {
    json!(fixture().records.iter().filter(|r| test(r)).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn views_have_their_records_and_only_those() {
    assert_eq!(one("select count(*) from records").await, json!(PER_TENANT));
    assert_eq!(one("select count(id) from records").await, json!(PER_TENANT));
    assert_eq!(one("select count(*) from audit_logs").await, count(|r| r["log"] == "audit"));
    assert_eq!(one("select count(*) from event_logs").await, count(|r| r["log"] == "event"));
    for (view, log, group) in [
        ("job_logs", "job", "job"),
        ("notification_logs", "notification", "notification"),
        ("sessions", "session", "session"),
        ("grants", "grant", "grant"),
    ] {
        let ids: std::collections::HashSet<String> =
            fixture().records.iter().filter(|r| r["log"] == log).map(|r| r[group]["id"].to_string()).collect();
        assert_eq!(one(&format!("select count(*) from {view}")).await, json!(ids.len()), "{view}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_column_of_every_view_can_be_read() {
    for view in query::View::ALL {
        let name = view.name();
        let answer = ask_as(&format!("select * from {name} limit 5"), ALL, &SqlLimits::default()).await.unwrap();
        let names: Vec<&str> = answer.columns.iter().map(|c| c.0.as_str()).collect();
        for column in view.columns() {
            assert!(names.contains(&column.name), "{name}.{}", column.name);
            ask(&format!(
                "select {0}, count(*) from {name} where {0} is not null group by {0} order by 2, 1 limit 3",
                column.name
            ))
            .await;
        }
        for more in ["id", "index", "recorded_at"] {
            assert_eq!(names.iter().filter(|n| **n == more).count(), 1, "{name}.{more}");
        }
        assert_eq!(answer.rows(), 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_joins_are_those_of_a_naive_count() {
    let mut wanted: BTreeMap<(String, String), u64> = BTreeMap::new();
    for r in fixture().records.iter().filter(|r| r["log"] == "audit") {
        *wanted.entry((r["action"].as_str().unwrap().into(), r["outcome"].as_str().unwrap().into())).or_default() += 1;
    }
    let found = ask("select action, outcome, count(*) from audit_logs group by action, outcome order by 1, 2").await;
    let wanted: Vec<Value> = wanted.into_iter().map(|((a, o), n)| json!([a, o, n])).collect();
    assert_eq!(found, wanted);

    // Coalesced columns: the client has no name, only an id.
    assert_eq!(
        one("select count(*) from event_logs where client_name = 'c1'").await,
        count(|r| r["log"] == "event" && r["client"]["id"] == "c1")
    );
    assert_eq!(one("select count(distinct actor) from audit_logs").await, json!(40));

    // A join of the table with itself sees one state.
    let pairs = one("select count(*) from records a join records b on a.id = b.id and a.index = b.index").await;
    assert_eq!(pairs, json!(PER_TENANT));
    let by_actor: HashMap<String, u64> =
        fixture().records.iter().filter(|r| r["log"] == "audit").fold(HashMap::new(), |mut m, r| {
            *m.entry(r["actor"]["email"].as_str().unwrap().into()).or_default() += 1;
            m
        });
    let logins = fixture()
        .records
        .iter()
        .filter(|r| r["log"] == "event")
        .map(|r| by_actor.get(r["actor"]["email"].as_str().unwrap()).copied().unwrap_or(0))
        .sum::<u64>();
    assert_eq!(one("select count(*) from event_logs e join audit_logs a on a.actor = e.email").await, json!(logins));
    let sub =
        "select count(*) from audit_logs where actor in (select email from event_logs where event_type = 'login')";
    assert!(one(sub).await.as_u64().unwrap() > 0);
    assert_eq!(
        one("with a as (select * from records where log = 'job') select count(*) from a").await,
        count(|r| r["log"] == "job")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_down_filters_find_what_a_full_scan_finds() {
    // `|| ''` keeps a condition out of the scan.
    for (with, without) in [
        ("email = 'User3@Example.com'", "email || '' = 'User3@Example.com'"),
        (
            "email in ('User3@Example.com', 'User4@Example.com', 'nobody')",
            "email || '' in ('User3@Example.com', 'User4@Example.com', 'nobody')",
        ),
        ("lower(email) = 'user3@example.com'", "lower(email || '') = 'user3@example.com'"),
        ("request_id = 'req-acme-7'", "request_id || '' = 'req-acme-7'"),
        (
            "email = 'User3@Example.com' and outcome = 'failure'",
            "email || '' = 'User3@Example.com' and outcome || '' = 'failure'",
        ),
        (
            "email = 'User3@Example.com' or ip_address = '10.0.1.7'",
            "email || '' = 'User3@Example.com' or ip_address || '' = '10.0.1.7'",
        ),
        ("user_agent is not null", "user_agent || '' is not null"),
        ("email like '%ser1%@Ex%'", "email || '' like '%ser1%@Ex%'"),
        ("ip_address like '10.0._.7'", "ip_address || '' like '10.0._.7'"),
        ("email <> 'User3@Example.com'", "email || '' <> 'User3@Example.com'"),
        ("not email = 'User3@Example.com'", "not email || '' = 'User3@Example.com'"),
    ] {
        let found = one(&format!("select count(*) from event_logs where {with}")).await;
        assert_eq!(found, one(&format!("select count(*) from event_logs where {without}")).await, "{with}");
    }
    // Equality in SQL does not ignore case, though the filters that are probed do.
    assert_eq!(one("select count(*) from event_logs where email = 'user3@example.com'").await, json!(0));
    assert_eq!(
        one("select count(*) from event_logs where email ilike 'user3@example.com'").await,
        one("select count(*) from event_logs where email = 'User3@Example.com'").await
    );
    let f = count(|r| r["log"] == "event" && r["actor"]["email"] == "User3@Example.com");
    assert_eq!(one("select count(*) from event_logs where email = 'User3@Example.com'").await, f);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_bound_the_scan_and_compute() {
    let at = event::time::format(NOW - 30 * HOUR);
    let until = event::time::format(NOW - 20 * HOUR);
    let between = |r: &Value| (at.as_str()..until.as_str()).contains(&r["time"].as_str().unwrap());
    let wanted = count(between);
    assert_ne!(wanted, json!(0));
    for condition in [
        format!("time >= '{at}' and time < '{until}'"),
        format!("'{at}' <= time and '{until}' > time"),
        "time >= timestamp '2026-11-19 06:00:00' and time < timestamp '2026-11-19 16:00:00'".to_owned(),
        "time >= now() - interval '30 hours' and time < now() - interval '20 hours'".to_owned(),
        format!("time between '{at}' and '{until}' and time <> '{until}'"),
    ] {
        assert_eq!(one(&format!("select count(*) from records where {condition}")).await, wanted, "{condition}");
    }
    // `now()` is the store's clock.
    assert_eq!(one("select now()").await, json!("2026-11-20T12:00:00.000000Z"));
    let days = ask("select date_trunc('day', timestamp) d, count(*) from audit_logs group by 1 order by 1").await;
    assert!((4..=6).contains(&days.len()), "{days:?}");
    assert!(days[0][0].as_str().unwrap().ends_with("T00:00:00.000000Z"));
    assert_eq!(
        days.iter().map(|d| d[1].as_u64().unwrap()).sum::<u64>(),
        count(|r| r["log"] == "audit").as_u64().unwrap()
    );
    one("select count(*) from audit_logs where extract(hour from timestamp) = 3").await;
    one("select max(timestamp) - min(timestamp) from audit_logs").await;
    one("select round(avg(length(comments)), 1) from audit_logs").await;
    one("select to_char(timestamp, '%Y-%m') from audit_logs").await;
    one("select upper(substring(action from 1 for 3)) || '-' || split_part(action, '.', 2) from audit_logs where regexp_like(action, '^iam')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_come_first_without_sorting_everything() {
    let mut times: Vec<(String, String)> = fixture()
        .records
        .iter()
        .map(|r| (r["time"].as_str().unwrap().to_owned(), r["id"].as_str().unwrap().to_owned()))
        .collect();
    times.sort();
    times.reverse();
    let wanted: Vec<Value> = times.iter().map(|(t, id)| json!([id, t])).collect();
    assert_eq!(ask("select id, time from records order by time desc, id desc").await, wanted);
    assert_eq!(ask("select id, time from records order by time desc limit 25").await, wanted[..25]);
    assert_eq!(ask("select id, time from records order by time desc limit 25 offset 10").await, wanted[10..35]);
    let oldest: Vec<Value> = wanted.iter().rev().take(5).cloned().collect();
    assert_eq!(ask("select id, time from records order by time limit 5").await, oldest);
    let denied: Vec<Value> = {
        let by_id: HashMap<&str, &Value> = fixture().records.iter().map(|r| (r["id"].as_str().unwrap(), r)).collect();
        wanted.iter().filter(|w| by_id[w[0].as_str().unwrap()]["outcome"] == "deny").take(7).cloned().collect()
    };
    assert_eq!(ask("select id, time from records where outcome = 'deny' order by time desc limit 7").await, denied);
    assert_eq!(ask("select id from records limit 12").await.len(), 12);
    assert_eq!(ask("select id from records limit 0").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn folded_views_show_the_latest_state() {
    // They were sealed in another order than they happened in.
    let mut happened: Vec<(usize, &Value)> = fixture().records.iter().enumerate().collect();
    happened.sort_by_key(|(i, r)| (r["time"].as_str().unwrap(), *i));
    let mut latest: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for (i, r) in happened.iter().copied().filter(|(_, r)| r["log"] == "job") {
        latest.insert(r["job"]["id"].as_str().unwrap().into(), (i, r["job"]["status"].as_str().unwrap().into()));
    }
    let wanted: Vec<Value> = latest.iter().map(|(id, (i, status))| json!([id, status, i])).collect();
    assert_eq!(ask("select job_id, latest_status, index from job_logs order by job_id").await, wanted);
    assert_eq!(one("select count(*) from job_logs where created_at > updated_at").await, json!(0));
    assert_eq!(one("select count(*) from job_logs a join job_logs b using (job_id)").await, json!(latest.len()));

    let mut sessions: BTreeMap<String, String> = BTreeMap::new();
    for (_, r) in happened.iter().copied().filter(|(_, r)| r["log"] == "session") {
        let past = r["session"]["expires_at"].as_str().unwrap() <= event::time::format(NOW).as_str();
        let said = r["session"]["status"].as_str().unwrap();
        sessions.insert(
            r["session"]["id"].as_str().unwrap().into(),
            if past && said == "active" { "expired" } else { said }.into(),
        );
    }
    let wanted: Vec<Value> = sessions.iter().map(|(id, s)| json!([id, s])).collect();
    assert_eq!(ask("select session_id, status from sessions order by 1").await, wanted);
    assert!(sessions.values().any(|s| s == "expired"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_is_never_seen() {
    let f = fixture();
    assert_eq!(one("select count(*) from records where tenant <> 'acme' or id like 'other%'").await, json!(0));
    let answer = f
        .world
        .engine
        .sql(&f.other, "select min(tenant), max(tenant), count(*) from records", ALL, &SqlLimits::default())
        .await
        .unwrap();
    let json: Value = serde_json::from_str(&answer.to_json()).unwrap();
    assert_eq!(json["rows"], json!([["other", "other", PER_TENANT]]));
    for view in query::View::ALL {
        assert_eq!(one(&format!("select count(*) from {} where id like 'other%'", view.name())).await, json!(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_need_their_scope() {
    let sql = "select count(body), count(*) from notification_logs";
    let read = |access| async move {
        let answer = ask_as(sql, access, &SqlLimits::default()).await.unwrap();
        serde_json::from_str::<Value>(&answer.to_json()).unwrap()["rows"][0].clone()
    };
    let ids: std::collections::HashSet<String> = fixture()
        .records
        .iter()
        .filter(|r| r["log"] == "notification")
        .map(|r| r["notification"]["id"].to_string())
        .collect();
    assert_eq!(read(ALL).await, json!([ids.len(), ids.len()]));
    assert_eq!(read(SOME).await, json!([0, ids.len()]));
    for column in ["notification_body", "session_claims", "grant_claims"] {
        for condition in
            [format!("{column} is not null"), format!("{column} like '%secret%'"), format!("{column} <> 'x'")]
        {
            let answer =
                ask_as(&format!("select count(*) from records where {condition}"), SOME, &SqlLimits::default())
                    .await
                    .unwrap();
            assert!(answer.to_json().ends_with("[[0]]}"), "{condition}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_spelled_as_the_api_says() {
    let answer = ask_as(
        "select 1 as n, 18446744073709551615 as big, 1.5 as f, 'a\"b,c' as t, null as z, true as b, \
         timestamp '2026-01-02 03:04:05.678901' as at, date '2026-01-02' as d, make_array(1, null) as l, '' as e, \
         interval '1 day' as i, 0.0/0.0 as nan, cast(1.25 as decimal(10, 2)) as c",
        ALL,
        &SqlLimits::default(),
    )
    .await
    .unwrap();
    let json: Value = serde_json::from_str(&answer.to_json()).unwrap();
    let types: Vec<&str> = json["columns"].as_array().unwrap().iter().map(|c| c["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "integer",
            "integer",
            "float",
            "text",
            "null",
            "boolean",
            "timestamp",
            "date",
            "list",
            "text",
            "interval",
            "float",
            "decimal"
        ]
    );
    let row = &json["rows"][0];
    assert_eq!(row[1].to_string(), "18446744073709551615");
    assert_eq!(row[6], "2026-01-02T03:04:05.678901Z");
    assert_eq!(row[7], "2026-01-02");
    assert_eq!(row[8], json!([1, null]));
    assert_eq!(row[11], Value::Null);
    assert_eq!(row[12].to_string(), "1.25");
    let csv = answer.to_csv();
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines[0], "n,big,f,t,z,b,at,d,l,e,i,nan,c");
    assert!(
        lines[1].starts_with(
            "1,18446744073709551615,1.5,\"a\"\"b,c\",,true,2026-01-02T03:04:05.678901Z,2026-01-02,\"[1,null]\",\"\","
        ),
        "{}",
        lines[1]
    );

    let stream = answer.to_arrow_stream().unwrap();
    let reader = arrow::ipc::reader::StreamReader::try_new(stream.as_slice(), None).unwrap();
    assert_eq!(reader.map(|b| b.unwrap().num_rows()).sum::<usize>(), 1);
    let none = ask_as("select id, time from records where false", ALL, &SqlLimits::default()).await.unwrap();
    assert_eq!(
        none.to_json(),
        r#"{"columns":[{"name":"id","type":"text"},{"name":"time","type":"timestamp"}],"rows":[]}"#
    );
    assert_eq!(none.to_csv(), "id,time\r\n");
    assert!(!none.to_arrow_stream().unwrap().is_empty());
    // JSON is text in SQL.
    let old = ask("select old_entity, diff from audit_logs where id = 'acme-0'").await;
    assert_eq!(old[0][0], json!("{\"a\":0}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_and_constants_need_no_table() {
    assert_eq!(
        ask("select * from (values (1, 'a'), (2, 'b')) as t(n, s) order by n desc").await,
        vec![json!([2, "b"]), json!([1, "a"])]
    );
    assert_eq!(one("select 1").await, json!(1));
    assert_eq!(one("select count(*) from unnest(make_array(1, 2, 3))").await, json!(3));
    assert_eq!(one("SELECT COUNT(*) FROM Audit_Logs;").await, count(|r| r["log"] == "audit"));
    let window = ask(
        "select id, row_number() over (partition by log order by time desc) n from records order by n desc limit 1",
    )
    .await;
    assert_eq!(window.len(), 1);
    let lag = "select count(*) from (select created_on - lag(created_on) over (order by created_on) as gap from event_logs) where gap > interval '5 minutes'";
    one(lag).await;
}
