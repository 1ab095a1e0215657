//! SQL reads nothing but the tenant's views: no files, no settings, no writes, no other tenant.

use crate::server::{Server, at};
use serde_json::{Value, json};
use std::time::Instant;

fn server() -> Server {
    let server = Server::start(&[("FLUSH_SECONDS", "1")]);
    let event = |i: usize| {
        json!({ "id": format!("e-{i}"), "log": "event", "time": at(-100 - i64::try_from(i).unwrap()), "action": if i.is_multiple_of(3) { "login" } else { "logout" },
        "email": format!("user{}@example.org", i % 7), "attributes": { "n": i } })
    };
    server.admin.write("acme", &(0..50).map(event).collect::<Vec<_>>());
    server.flushed();
    server.admin.write("acme", &(50..100).map(event).collect::<Vec<_>>());
    server.admin.write(
        "beta",
        &[json!({ "id": "theirs", "log": "event", "action": "beta-only", "email": "eve@beta.example" })],
    );
    server
}

fn post(server: &Server, tenant: &str, sql: &str) -> crate::http::Reply {
    server.admin.post(&format!("/v1/t/{tenant}/sql"), json!({ "sql": sql }).to_string())
}

#[test]
fn selects_over_the_views_are_answered_from_tail_and_segments_alike() {
    let server = server();
    let rows = |sql: &str| -> Value { server.admin.sql("acme", sql).into() };
    assert_eq!(rows("select count(*) from event_logs"), json!([[100]]));
    assert_eq!(
        rows("select event_type, count(*) as n from event_logs group by 1 order by n desc"),
        json!([["logout", 66], ["login", 34]])
    );
    assert_eq!(
        rows("select id from records where log = 'event' order by time desc limit 3"),
        json!([["e-0"], ["e-1"], ["e-2"]])
    );
    assert_eq!(rows("select min(\"index\"), max(\"index\") from records where source is null"), json!([[0, 99]]));
    assert_eq!(
        rows("with f as (select email from event_logs where email like 'user3%') select count(*) from f"),
        json!([[14]])
    );
    let joined = "select count(*) from event_logs a join records r on r.email = a.email and r.action = a.event_type where r.log = 'event' and a.event_type = 'login'";
    assert!(rows(joined)[0][0].as_u64().unwrap() >= 34);
    for view in ["records", "audit_logs", "event_logs", "job_logs", "notification_logs", "sessions", "grants"] {
        let reply = post(&server, "acme", &format!("select * from {view} limit 1")).ok();
        assert!(reply["columns"].as_array().unwrap().len() >= 8, "{view}: {reply}");
    }
}

#[test]
fn answers_come_as_json_csv_and_arrow() {
    let server = server();
    let body = json!({ "sql": "select id, created_on, event_type from event_logs order by created_on desc limit 2" })
        .to_string();
    let with = |accept: &str| server.admin.post_with("/v1/t/acme/sql", &[("accept", accept)], &body);
    let answer = with("application/json").ok();
    let names: Vec<_> = answer["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["id", "created_on", "event_type"]);
    assert!(answer["columns"].as_array().unwrap().iter().all(|c| c["type"].is_string()), "{answer}");
    assert_eq!(answer["rows"][1][0], "e-1");
    let csv = with("text/csv");
    assert!(csv.header("content-type").starts_with("text/csv"));
    let text = csv.text();
    assert!(text.starts_with("id,created_on,event_type") && text.lines().count() == 3, "{text}");
    assert!(with("text/csv;q=0.5, application/json").header("content-type").starts_with("application/json"));
    assert!(with("application/json;q=0.5, text/csv").header("content-type").starts_with("text/csv"));
    let arrow = with("application/vnd.apache.arrow.stream");
    assert_eq!(arrow.header("content-type"), "application/vnd.apache.arrow.stream");
    assert_eq!(arrow.body[..4], [0xff; 4], "an Arrow stream begins with its continuation marker");
}

#[test]
fn nothing_but_one_select_over_the_views_is_possible() {
    let server = server();
    let secret = server.home.path().join("secret.csv");
    std::fs::write(&secret, "a,b\nsecret-content,2\n").unwrap();
    let file = secret.to_str().unwrap();
    let out = server.home.path().join("out.parquet");
    for sql in [
        format!("select * from '{file}'"),
        format!("select * from \"{file}\""),
        format!("select * from read_csv('{file}')"),
        format!("create external table x stored as csv location '{file}'"),
        format!("copy (select * from records) to '{}'", out.display()),
        format!("copy records to '{}'", out.display()),
        "set datafusion.execution.batch_size = 1".into(),
        "show all".into(),
        "show tables".into(),
        "describe records".into(),
        "explain select 1 from records".into(),
        "explain analyze select * from records".into(),
        "insert into records values (1)".into(),
        "delete from records".into(),
        "update records set action = 'x'".into(),
        "drop table records".into(),
        "drop view records".into(),
        "create table t as select * from records".into(),
        "create view v as select 1".into(),
        "truncate table records".into(),
        "begin".into(),
        "prepare p as select 1".into(),
        "select 1; select 2".into(),
        "select * from information_schema.tables".into(),
        "select * from information_schema.df_settings".into(),
        "select * from beta.records".into(),
        "select * from datafusion.public.records".into(),
        "select * from catalog".into(),
        "select * from keys".into(),
        "select version()".into(),
        "with recursive r as (select 1 as n union all select n + 1 from r) select * from r".into(),
        "".into(),
        "selec id from records".into(),
    ] {
        let reply = post(&server, "acme", &sql);
        let problem = reply.problem(400, "invalid_sql");
        assert!(!reply.text().contains("secret-content"), "{sql}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.contains("DataFusion") && !detail.contains("panicked"), "{sql}: {detail}");
    }
    assert!(std::fs::metadata(&out).is_err(), "SQL writes no file");
    let problem = post(&server, "acme", "select emial from event_logs").problem(400, "invalid_sql");
    assert!(problem["detail"].as_str().unwrap().contains("did you mean `email`"), "{problem}");
    server.admin.post("/v1/t/acme/sql", "{}").problem(400, "missing_field");
    server.admin.post("/v1/t/acme/sql", "select 1").problem(400, "invalid_json");
}

#[test]
fn i6_sql_sees_one_tenant_and_its_use_is_recorded() {
    let server = server();
    let rows = server.admin.sql("acme", "select distinct tenant from records");
    assert_eq!(rows, [json!(["acme"])]);
    assert_eq!(server.admin.sql("acme", "select count(*) from records where action = 'beta-only'"), [json!([0])]);
    assert_eq!(server.admin.sql("beta", "select email from event_logs"), [json!(["eve@beta.example"])]);
    let token = "select id from records where message = 'ory_st_0123456789abcdefghij'";
    server.admin.sql("acme", token);
    let page = server.admin.page("acme", "audit_logs", &[("q", "action:indelible.sql")]);
    let uses = page["items"].as_array().unwrap();
    assert_eq!(uses.len(), 3, "every use of SQL is a record: {page}");
    let shown = uses[0]["details"]["sql"].as_str().unwrap();
    assert!(shown.contains("message") && !shown.contains("0123456789abcdefghij"), "recorded, and redacted: {shown}");
    assert_eq!(uses[2]["details"]["rows"], 1, "{page}");
}

#[test]
fn a_statement_past_its_limits_gets_a_clear_problem_and_the_server_goes_on() {
    let server = server();
    let many = "select count(*) from records a, records b, records c, records d, records e where a.id || b.id || c.id || d.id <> e.id";
    let started = Instant::now();
    let problem = post(&server, "acme", many).problem(400, "limit");
    assert!(started.elapsed().as_secs() < 20, "answered after {:?}", started.elapsed());
    assert!(problem["detail"].as_str().unwrap().contains("10 s"), "{problem}");
    let rows = "select a.id from records a join records b on a.tenant = b.tenant join records c on b.tenant = c.tenant";
    let problem = post(&server, "acme", rows).problem(400, "limit");
    assert!(problem["detail"].as_str().unwrap().contains("100000 rows"), "{problem}");
    for sql in [
        format!("select {}1{} from records", "(".repeat(3000), ")".repeat(3000)),
        format!("select id from records where {}", vec!["id = 'x'"; 20_000].join(" or ")),
        format!("select '{}'", "x".repeat(70_000)),
    ] {
        let reply = post(&server, "acme", &sql);
        assert!(reply.status == 400, "{reply}");
    }
    assert_eq!(server.admin.sql("acme", "select 1 + 1 from records limit 1"), [json!([2])]);
}

/// One long text put beside many rows: by joins, subqueries and windows.
#[test]
fn long_texts_beside_many_rows_end_no_thread() {
    let server = Server::start(&[("SCRUB_SHARE", "0")]);
    let long: Vec<Value> = (0..10)
        .map(|i| json!({ "id": format!("b{i}"), "log": "event", "action": "long", "message": "m".repeat((1 << 20) - 600) }))
        .collect();
    server.admin.write("acme", &long);
    let short: Vec<Value> = (0..2_500)
        .map(|i| json!({ "id": format!("s{i}"), "log": "event", "action": "short", "message": format!("s{i}") }))
        .collect();
    server.admin.write("acme", &short);
    let one = "(select message, log from records where id = 'b1')";
    for sql in [
        format!("select max(length(a.message)) from {one} a cross join records b"),
        format!("select max(length(b.message)) from {one} b join records a on a.log <= b.log"),
        format!("select max(length(b.message)) from records a left join {one} b on true"),
        format!("select max(length(b.message)) from records a join {one} b on a.log = b.log"),
        "select max(length(m)) from (select (select message from records where id = 'b1') || id m from records)".into(),
        "select max(length(m)) from (select case when \"index\" >= 0 then (select message from records where id = 'b1') else id end m from records)".into(),
    ] {
        let reply = post(&server, "acme", &sql);
        if reply.status != 200 {
            // On a machine that has much else to do it may take too long, and that is all.
            let problem = reply.problem(400, "limit");
            assert!(problem["detail"].as_str().unwrap().contains("took longer"), "{problem}");
            continue;
        }
        let rows = reply.json()["rows"].clone();
        assert!(rows[0][0].as_u64().unwrap() >= (1 << 20) - 600, "{sql}: {rows}");
    }
    for window in ["min(message) over ()", "first_value(message) over (order by message)"] {
        let sql = format!("select max(length(m)) from (select {window} m from records)");
        let problem = post(&server, "acme", &sql).problem(400, "limit");
        assert!(problem["detail"].as_str().unwrap().contains("256 MiB"), "{problem}");
    }
    // A text that is short may be repeated, whatever else is in the rows.
    let sql = "select length(m) n from (select lag(message) over (order by \"index\") m from records where log = 'event') order by 1 desc";
    assert_eq!(post(&server, "acme", sql).ok()["rows"].as_array().unwrap().len(), 2_510);
    let sql = "select message, max(action) over () from records where id = 'b1' or id = 's1'";
    assert_eq!(post(&server, "acme", sql).ok()["rows"].as_array().unwrap().len(), 2);
    let log = server.stop().logs();
    assert!(!log.contains("panicked"), "{log}");
}

/// Texts of 1 MiB made much longer: more than an array holds where all of a batch were made at once.
#[test]
fn long_texts_that_are_multiplied_end_no_thread() {
    let server = Server::start(&[("SCRUB_SHARE", "0")]);
    let size = (1 << 20) - 600;
    let long: Vec<Value> = (0..12)
        .map(|i| json!({ "id": format!("b{i}"), "log": "event", "action": "long", "message": "m".repeat(size) }))
        .collect();
    server.admin.write("acme", &long);
    let short: Vec<Value> =
        (0..500).map(|i| json!({ "id": format!("s{i}"), "log": "event", "action": "short", "message": "s" })).collect();
    server.admin.write("acme", &short);
    for (sql, answer) in [
        ("select max(length(repeat(message, 200))) from records", json!(200 * size)),
        (
            "select max(octet_length(rpad(message, 5000, action) || message || repeat(message, 100))) from records",
            json!(5_000 + 101 * size),
        ),
        ("select count(*) from (select repeat(message, 200) m from records) where m > 'a'", json!(512)),
        (
            "select count(*) from records where octet_length(replace(message, 'm', 'mmmmmmmmmmmmmmmmmmmmmmmm')) > 20000000",
            json!(12),
        ),
        (
            "select max(octet_length(coalesce(nullif(id, id), (select repeat(message, 200) from records where id = 'b1')))) from records",
            json!(200 * size),
        ),
        (
            "select max(octet_length(a.all) + octet_length(b.id)) from (select string_agg(message, '') as all from records where action = 'long') a cross join records b where b.action = 'long'",
            json!(12 * size + 3),
        ),
    ] {
        let reply = post(&server, "acme", sql);
        if reply.status == 200 {
            assert_eq!(reply.json()["rows"][0][0], answer, "{sql}");
            continue;
        }
        // On a machine that has much else to do it may take too long, and that is all.
        let problem = reply.problem(400, "limit");
        assert!(problem["detail"].as_str().unwrap().contains("took longer"), "{sql}: {problem}");
    }
    for (sql, why) in [
        ("select repeat(message, 30) from records", "256 MiB of memory"),
        (
            "select array_to_string(string_to_array(message, null), message) from records where id = 'b1'",
            "`array_to_string` could make",
        ),
        ("select replace(message, '', message) from records", "`replace` could make"),
        ("select regexp_replace(message, 'm', message, 'g') from records", "`regexp_replace` could make"),
        ("select message, unnest(string_to_array(message, null)) from records", "`unnest` could make"),
    ] {
        let problem = post(&server, "acme", sql).problem(400, "limit");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(why) || detail.contains("took longer"), "{sql}: {problem}");
        assert!(!detail.contains("could make") || detail.contains("length(message) < 10000"), "{sql}: {problem}");
    }
    let short = "select distinct upper(repeat(message, 3)) from records where length(message) < 10";
    assert_eq!(server.admin.sql("acme", short), [json!(["SSS"])]);
    let log = server.stop().logs();
    assert!(!log.contains("panicked"), "{log}");
}
