//! What SQL refuses, and what it stops: not a query, too much, too long, hostile.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_query_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.csv");
    std::fs::write(&file, "a\n1\n").unwrap();
    let path = file.display();
    for sql in [
        "insert into records values (1)",
        "update records set id = '1'",
        "delete from records",
        "truncate table records",
        "merge into records using audit_logs on true when matched then delete",
        "drop table records",
        "create table t as select 1",
        "create view v as select 1",
        "create external table t stored as csv location '/etc/passwd'",
        "create function f() returns int return 1",
        "create schema s",
        "alter table records add column x int",
        &format!("copy records to '{path}.out'"),
        &format!("copy (select 1) to '{path}.out'"),
        &format!("select * from '{path}'"),
        &format!("select * from \"{path}\""),
        "select * from '/etc/passwd'",
        "select * from 'file:///etc/passwd'",
        "select * from read_csv('/etc/passwd')",
        "select * from read_parquet('x')",
        "select * from generate_series(1, 10)",
        "select * from range(1, 10)",
        "select generate_series(1, 10)",
        "select range(1, 10000000000)",
        "select array_repeat(1, 1000000000)",
        "select * from information_schema.tables",
        "select * from pg_catalog.pg_class",
        "select * from public.records",
        "set datafusion.execution.batch_size = 1",
        "set time zone 'Europe/Berlin'",
        "reset all",
        "show tables",
        "show all",
        "show columns from records",
        "describe records",
        "explain select 1",
        "explain analyze select 1",
        "prepare p as select 1",
        "execute p",
        "deallocate p",
        "begin",
        "commit",
        "use x",
        "kill 1",
        "vacuum",
        "call f()",
        "select 1; select 2",
        "select 1; drop table records",
        "",
        "   ;",
        "-- nothing",
        "select * into t from records",
        "select * from records for update",
        "with x as (insert into records values (1) returning id) select * from x",
        "with recursive t as (select 1 n union all select n + 1 from t where n < 5) select * from t",
        "select version()",
        "select arrow_cast(1, 'FixedSizeBinary(1000000000)')",
        "select $1",
        "select @@version",
        "select * from records where id = ?",
        "select levenshtein(old, new) from records",
        "select input_file_name() from records",
    ] {
        let text = refused(sql).await;
        assert!(
            !text.is_empty()
                && !text.contains("datafusion")
                && !text.contains("DataFusion")
                && !text.contains("Internal"),
            "{sql}: {text}"
        );
    }
    assert!(!folder.path().join("x.csv.out").try_exists().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_help() {
    for (sql, parts) in [
        ("select * from audit", vec!["no table `audit`", "`audit_logs`", "sessions"]),
        ("select * from nothing", vec!["no table `nothing`", "records, audit_logs, event_logs"]),
        ("select actoin from audit_logs", vec!["no column `actoin`", "`action`"]),
        ("select ip from audit_logs", vec!["`ip_address`"]),
        ("select old from audit_logs", vec!["`old_entity`"]),
        ("select actor.email from records", vec!["no column `actor.email`", "`actor_email`"]),
        ("select zzzzzz from audit_logs", vec!["no column `zzzzzz`", "action, target"]),
        ("selct 1", vec!["syntax", "line 1", "selct"]),
        ("select from from records", vec!["syntax", "line 1, column"]),
        ("select 'open from records", vec!["syntax", "line 1, column"]),
        ("select count(*) from audit_logs where", vec!["syntax"]),
        ("select frobnicate(1)", vec!["frobnicate"]),
        ("select 1 / 0", vec!["ivide"]),
        ("select id from records a join records b on a.id = b.id", vec!["more than one table"]),
        ("select action, count(*) from audit_logs", vec!["GROUP BY"]),
        ("drop table records", vec!["`drop` is not possible", "select"]),
        ("select repeat(id, index) from records", vec!["plain number"]),
    ] {
        let text = refused(sql).await;
        for part in parts {
            assert!(text.contains(part), "{sql}: {text}");
        }
        println!("{sql}\n    {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_named() {
    let limits = |time, memory_bytes, rows| SqlLimits { time: Duration::from_millis(time), memory_bytes, rows };
    let text = |r: query::Result<SqlAnswer>| match r {
        Err(Error::Limit(text)) => text,
        Err(e) => panic!("{e:?}"),
        Ok(a) => panic!("{:?}: {} rows", a.columns, a.rows()),
    };
    let rows = text(ask_as("select id from records", ALL, &limits(10_000, 256 << 20, 100)).await);
    assert!(rows.contains("more than 100 rows") && rows.contains("limit 100"), "{rows}");
    assert_eq!(
        ask_as("select id from records limit 100", ALL, &limits(10_000, 256 << 20, 100)).await.unwrap().rows(),
        100
    );

    // Each goes over billions of pairs; each is ended, and leaves its threads to others.
    for sql in [
        "select count(*) from records a, records b, records c where a.id || b.id || c.id = 'x'",
        "select count(*) from records a, records b, records c",
        "select sum(a.index * b.index * c.index) from records a cross join records b cross join records c",
        "select count(*) from records a join records b on a.tenant = b.tenant join records c on b.tenant = c.tenant where a.id || b.id || c.id = 'x'",
        "select count(*) from records a join records b on a.index < b.index join records c on b.index < c.index",
        "select * from records a, records b, records c where a.id || b.id || c.id = 'x' order by a.time desc limit 5",
        "select count(*) from records a where exists (select 1 from records b, records c, records d where b.id || c.id || d.id = a.id || 'x')",
    ] {
        let started = Instant::now();
        let time = text(ask_as(sql, ALL, &limits(300, 256 << 20, 100)).await);
        assert!(time.contains("longer than 300 ms") || time.contains("of memory"), "{sql}: {time}");
        assert!(started.elapsed() < Duration::from_secs(15), "{sql}: {:?}", started.elapsed());
        let after = Instant::now();
        assert_eq!(one("select count(*) from records").await, json!(PER_TENANT));
        println!("{:?} until others go on, after {sql}", after.elapsed());
    }

    for sql in [
        "select a.*, b.* from records a join records b on a.log = b.log order by a.id, b.index desc limit 100000",
        "select id || action, count(*) from records group by 1",
        "select array_agg(id) from records",
        "select string_agg(old_entity, ',') from audit_logs a cross join (values (1), (2), (3), (4), (5)) v",
    ] {
        let memory = text(ask_as(sql, ALL, &limits(10_000, 20_000, 100_000)).await);
        assert!(memory.contains("of memory"), "{sql}: {memory}");
    }
    let memory = text(ask_as("select count(*) from job_logs", ALL, &limits(10_000, 2_000, 100_000)).await);
    assert!(memory.contains("of memory"), "{memory}");
    assert_eq!(one("select count(*) from records").await, json!(PER_TENANT));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_refused_quickly() {
    let chain = |what: &str, n: usize| vec![what; n].join(" ");
    let nested =
        |n: usize, open: &str, inner: &str, close: &str| format!("{}{inner}{}", open.repeat(n), close.repeat(n));
    let mut doubling = String::from("with a0 as (select id || id as x from records)");
    let mut doubled_tables = String::from("with a0 as (select * from records)");
    for i in 1..40 {
        doubling.push_str(&format!(", a{i} as (select x || x as x from a{})", i - 1));
        doubled_tables.push_str(&format!(", a{i} as (select a.* from a{0} a, a{0} b)", i - 1));
    }
    doubling.push_str(" select count(*) from a39 where x = 'y'");
    doubled_tables.push_str(" select count(*) from a39");
    let mut summing = String::from("with a0 as (select index as x from records)");
    for i in 1..40 {
        summing.push_str(&format!(", a{i} as (select x + x as x from a{})", i - 1));
    }
    summing.push_str(" select count(*) from a39 where x = 7");
    for sql in [
        format!("select {}", nested(10_000, "(", "1", ")")),
        format!("select {}", nested(10_000, "[", "1", "]")),
        // What the parser tries in several ways at each level.
        format!("select * from {}", nested(24, "position(", "a b c", ")")),
        format!("select {}", nested(24, "position(", &"1, ".repeat(15_000), ")")),
        format!("select {}", nested(24, "substring(", "", "]")),
        format!("select {}", nested(24, "not(", "a b c", ")")),
        format!("select {}", nested(24, "cast(", "1", "]")),
        format!("select * from {}", nested(24, "(", "records a b c", ")")),
        format!("select {}", nested(24, "case (", "a b c", ")")),
        format!("select * from {}", nested(10_000, "(", "records", ")")),
        nested(5_000, "select * from (", "select 1", ")"),
        format!("select {} 1", chain("not", 15_000)),
        format!("select {} 1", chain("-", 20_000)),
        format!("select 1 {}", chain("+ 1", 15_000)),
        format!("select 1 {}", chain("::int", 10_000)),
        format!("select 1 {}", chain("is null", 8_000)),
        format!("select * from records where {} true", chain("id = 'x' or", 5_000)),
        format!("select 1 {}", chain("union all select 1", 3_000)),
        format!("select * from records {}", ", records".repeat(5_000)),
        format!("select * from records {}", chain("cross join records", 500)),
        format!("select {}", "(select 1),".repeat(5_000) + "1"),
        format!("select case {} end", chain("when true then case when true then 1 end", 900)),
        format!("select {}", nested(40, "case when true then ", "1", " end")) + &" + 1".repeat(3_000),
        format!("select '{}'", "x".repeat(70_000)),
        "select ".to_owned() + &"x".repeat(70_000),
        doubling,
        doubled_tables,
        summing,
        format!("select {} from records", nested(8, "replace(", "id", ", 'a', 'aaaaaaaaaaaaaaaaaaaa')")),
        "select repeat(repeat(repeat(id, 1000), 1000), 1000) from records".to_owned(),
        "select lpad(id, 1000000000) from records".to_owned(),
        "select repeat('x', 2000000000)".to_owned(),
        "select count(*) from records group by cube (id, log, time, source, action, outcome, level, message, email, ip)".to_owned(),
        "select '\0'; ".to_owned() + &"(".repeat(30),
        "\u{0}\u{1}\u{fffd}".to_owned(),
        "select \u{202e}1 from records where ''''''".to_owned(),
        "select make_array(1)::int[1000000000]".to_owned(),
    ] {
        let started = Instant::now();
        let text = refused(&sql).await;
        let head: String = sql.chars().take(50).collect();
        assert!(started.elapsed() < Duration::from_secs(15), "{head}: {:?} {text}", started.elapsed());
        println!("{:?} {head} -> {text}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_that_is_allowed_runs() {
    for (sql, wanted) in [
        (format!("select {}1{}", "(".repeat(24), ")".repeat(24)), json!(1)),
        (format!("select 1{}", " + 1".repeat(490)), json!(491)),
        (format!("select count(*) from records where {}id = 'acme-1'", "id = 'x' or ".repeat(480)), json!(1)),
        (
            format!("select count(*) from records where id in ('acme-1'{})", ", 'abcdefghijklmnop'".repeat(3_000)),
            json!(1),
        ),
        (format!("select count(*) from (select 1 {})", "union all select 1 ".repeat(500)), json!(501)),
        (format!("select count(*) from {}records{}", "(".repeat(24), ")".repeat(24)), json!(PER_TENANT)),
        (format!("select count(*) from {}select id from records{}", "(".repeat(24), ")".repeat(24)), json!(PER_TENANT)),
    ] {
        let started = Instant::now();
        let head: String = sql.chars().take(60).collect();
        assert_eq!(one(&sql).await, wanted, "{head}");
        println!("{:?} {head}", started.elapsed());
    }
    let many = (0..15).map(|i| format!("join records r{i} on r.id = r{i}.id")).collect::<Vec<_>>().join(" ");
    assert_eq!(one(&format!("select count(*) from records r {many}")).await, json!(PER_TENANT));
}

/// Each row would hold a copy of all before it, which the memory's limit does not see.
#[tokio::test]
async fn what_gathers_texts_is_refused_over_a_window() {
    for sql in [
        "select string_agg(id, ',') over (order by id) from records",
        "select max(length(x)) from (select string_agg(id, ',') over (order by id) as x from records) t",
        "select array_agg(id) over (partition by action order by id) from records",
    ] {
        let why = refused(sql).await;
        assert!(why.contains("does not work over a window here"), "{sql}: {why}");
    }
    ask("select string_agg(id, ',') from records").await;
}
