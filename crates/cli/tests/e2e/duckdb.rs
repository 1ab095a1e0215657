//! Parquet segments, read by DuckDB: the same counts and values as our own SQL.

use crate::ledger::{tool, tools};
use crate::server::{Done, Server, at};
use serde_json::{Value, json};

const SCRIPT: &str = r#"
import duckdb, json, sys
files = sys.argv[1]
q = lambda sql: duckdb.sql(sql.replace("FILES", f"read_parquet('{files}')")).fetchall()
print(json.dumps({
    "logs": {log: n for log, n in q("select log, count(*) from FILES where tenant = 'acme' group by 1")},
    "beta": q("select count(*) from FILES where tenant = 'beta'")[0][0],
    "indexes": q("select min(\"index\"), max(\"index\"), count(distinct \"index\") from FILES where tenant = 'acme'")[0],
    "actions": q("select action, count(*) from FILES where tenant = 'acme' and log = 'event' group by 1 order by 1"),
    "one": q("select id, email, attributes from FILES where id = 'e-77'")[0],
    "times": q("select count(*) from FILES where time > recorded_at")[0][0],
}))
"#;

fn python() -> std::process::Command {
    let program = tools().join("python");
    assert!(std::fs::metadata(&program).is_ok(), "{} is missing; run scripts/prerequisites test", program.display());
    tool(program.to_str().unwrap())
}

#[test]
fn duckdb_reads_the_same_records_from_the_segments_as_our_sql() {
    let server = Server::start(&[("FLUSH_MIB", "1"), ("FLUSH_SECONDS", "1")]);
    let logs = ["audit", "event", "job", "notification", "session", "grant"];
    let mut written = 0;
    for batch in 0..6 {
        let records: Vec<Value> = (0..400)
            .map(|i| {
                let n: usize = batch * 400 + i;
                let log = if n.is_multiple_of(5) { logs[n / 5 % 6] } else { "event" };
                json!({ "id": format!("e-{n}"), "log": log, "time": at(-i64::try_from(n).unwrap()), "action": format!("a{}", n % 4),
                    "email": format!("u{n}@example.org"), "attributes": { "n": n, "ž": "x".repeat(600) }, "job": { "id": format!("j{n}") },
                    "session": { "id": format!("s{n}") }, "grant": { "id": format!("g{n}") } })
            })
            .collect();
        server.admin.write("acme", &records);
        written += records.len();
    }
    server.admin.write("beta", &[json!({ "log": "event", "action": "x" })]);
    let ours = server.admin.sql("acme", "select log, count(*) from records where source is null group by 1");
    let actions =
        server.admin.sql("acme", "select action, count(*) from records where log = 'event' group by 1 order by 1");
    server.flushed();
    let home = server.stop();
    let files = format!("{}/segments/*.parquet", home.data().display());
    let said = Done::of(python().args(["-c", SCRIPT, &files]).output().unwrap()).ok();
    let theirs: Value = serde_json::from_str(&said).unwrap();
    let mut logs = theirs["logs"].clone();
    // Our own SQL was recorded after it was counted.
    let own = usize::try_from(logs["audit"].as_u64().unwrap()).unwrap();
    for row in &ours {
        let (log, count) = (row[0].as_str().unwrap(), row[1].as_u64().unwrap());
        if log == "audit" {
            assert_eq!(own, usize::try_from(count).unwrap() + 2);
            logs["audit"] = count.into();
        }
        assert_eq!(logs[log], count, "{log}: {theirs}");
    }
    assert_eq!(ours.len(), 6);
    assert_eq!(theirs["beta"], 1);
    let total = written + 2;
    assert_eq!(theirs["indexes"], json!([0, total - 1, total]), "every index once");
    assert_eq!(theirs["actions"], Value::from(actions));
    assert_eq!(theirs["one"][1], "u77@example.org");
    assert!(theirs["one"][2].as_str().unwrap().starts_with(r#"{"n":77,"#), "{theirs}");
    assert_eq!(theirs["times"], 0);
}
