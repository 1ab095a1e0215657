//! Contember's table over a real PostgreSQL: every row is here once, whatever happens on the way, and what is missing is told.

use crate::postgres::{PASSWORD, Postgres, Relay};
use crate::pull::{ended, run, source, stored, with_tenant};
use crate::server::{Server, at, eventually};
use crate::sources::put;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A source on this port, its settings changed by `more`.
fn table(port: u16, more: Value) -> Value {
    let mut settings = json!({ "url": format!("postgresql://127.0.0.1:{port}/tenant"), "user": "indelible", "sslmode": "disable",
        "interval_seconds": 1, "settle_seconds": 0, "since": at(-7200) });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "system": "contember", "kind": "pull", "settings": settings, "secrets": { "password": PASSWORD } })
}

/// So many rows, a second apart, the last a minute ago.
fn rows(postgres: &Postgres, count: usize) {
    postgres.sql(&format!(
        "INSERT INTO tenant.person_auth_log (id, created_at, person_id, type, success, ip_address, user_agent, metadata)
         SELECT gen_random_uuid(), now() - interval '1 minute' - n * interval '1 second', '5b0c3f3e-0d7e-4a53-8f1a-00000000b001',
         'login', true, '192.0.2.1', repeat('browser ', 20), '{{}}' FROM generate_series(0, {count} - 1) n"
    ));
}

fn first_job(server: &Server) -> String {
    let mut id = String::new();
    eventually("there is a job", || {
        let jobs = server.admin.get("/v1/t/acme/jobs").ok();
        id = jobs["items"][0]["id"].as_str().unwrap_or_default().to_owned();
        !id.is_empty()
    });
    id
}

#[test]
fn every_row_of_contembers_table_is_here_once_as_it_is_there() {
    let postgres = Postgres::with_role();
    // One of every type, half of them with every column filled, in the order of the type, a second apart, an hour ago.
    postgres.sql(
        "INSERT INTO tenant.person_auth_log
         SELECT md5(t::text)::uuid, now() - interval '1 hour' + o * interval '1 second' + interval '123456 microseconds',
         i, p, k, CASE WHEN f THEN 'ann@example.org' END, t, o % 3 > 0, CASE WHEN f THEN 'INVALID_PASSWORD' END, CASE WHEN f THEN 'no' END,
         CASE WHEN f THEN CASE WHEN o % 4 = 0 THEN inet '192.0.2.7' ELSE inet '2001:db8::7' END END, CASE WHEN f THEN 'Ünïcode \"q\"' END, d,
         CASE WHEN f THEN jsonb '{\"forwarderIp\": \"203.0.113.7\", \"n\": 1.50}' ELSE '{}' END, q,
         CASE WHEN f THEN jsonb '{\"before\": {\"roles\": []}, \"after\": {\"roles\": [\"admin\"]}}' END, CASE WHEN f THEN 'CZ' END,
         CASE WHEN f THEN encode(sha256('x'), 'hex') END
         FROM unnest(enum_range(NULL::tenant.auth_log_type)) WITH ORDINALITY AS u(t, o), LATERAL (SELECT o % 2 = 0 AS f) g
         LEFT JOIN tenant.identity ii(i) ON f LEFT JOIN tenant.person pp(p) ON f AND p::text LIKE '%b001'
         LEFT JOIN tenant.person_token kk(k) ON f LEFT JOIN tenant.identity_provider dd(d) ON f
         LEFT JOIN tenant.person qq(q) ON f AND q::text LIKE '%b002'",
    );
    let server = with_tenant();
    // Five of them were pushed before, as the guide has it.
    let pushed = postgres.sql("SET TimeZone = 'UTC'; SELECT json_agg(r) FROM (SELECT * FROM tenant.person_auth_log ORDER BY created_at LIMIT 5) r");
    assert_eq!(server.admin.post("/v1/t/acme/ingest/contember", pushed).ok()["accepted"], 5);
    let made = put(&server, "acme", "db", &table(postgres.port, json!({})));
    assert_eq!(made.status, 201, "{made}");
    eventually("all rows are here", || stored(&server, "contember").0 >= 54);
    assert_eq!(stored(&server, "contember"), (54, 54));

    // The same columns and values as there.
    let theirs =
        postgres.sql("SET TimeZone = 'UTC'; SELECT row_to_json(r) FROM tenant.person_auth_log r ORDER BY created_at");
    for row in theirs.lines() {
        let mut row: Value = serde_json::from_str(row).unwrap();
        let path = format!("/v1/t/acme/as/contember/records/{}?proof=false", row["id"].as_str().unwrap());
        let mut ours = server.admin.get(&path).ok();
        // One moment, two ways of writing it.
        for side in [&mut row, &mut ours] {
            let time: jiff::Timestamp = side["created_at"].as_str().unwrap().parse().unwrap();
            side["created_at"] = time.as_microsecond().into();
        }
        assert_eq!(ours, row);
    }

    // Somebody is deleted there: the rows lose their actor, the records do not, and none comes twice.
    postgres.sql("DELETE FROM tenant.person; DELETE FROM tenant.identity");
    // A row is deleted there: it stays here.
    postgres.sql("DELETE FROM tenant.person_auth_log WHERE type = 'login'");
    let job = run(&server, "db/check", "");
    assert_eq!(job["status"], "success", "{job}");
    assert!(job["message"].as_str().unwrap().starts_with("53 records compared, 0 were missing"), "{job}");
    assert_eq!(stored(&server, "contember"), (54, 54));
    let sql = "SELECT count(*) AS n FROM records WHERE source = 'contember' AND actor_id IS NOT NULL";
    assert!(server.admin.sql("acme", sql)[0][0].as_u64().unwrap() >= 26);

    let shown = source(&server, "db");
    assert!(shown["lag_seconds"].as_u64().unwrap() < 10 && shown["refused"] == 0, "{shown}");
    assert_eq!(shown["secrets"], json!({ "password": "***" }));
    let gaps = server.cli(&["gaps", "acme", "--from", &at(-7000), "--to", &at(-20)]);
    assert!(gaps.ok().contains("db (contember): nothing is missing"));

    // As it was asked there: reading only, and never by offset.
    let log = postgres.log();
    assert!(log.contains("default_transaction_read_only = on") && !log.to_lowercase().contains("offset"), "{log}");
    assert!(!server.home.logs().contains(PASSWORD));
    server.stop().verify().ok();
}

#[test]
fn a_row_that_commits_late_is_found() {
    let postgres = Postgres::with_role();
    let server = with_tenant();
    put(&server, "acme", "db", &table(postgres.port, json!({})));
    let insert = "INSERT INTO tenant.person_auth_log (id, type, success) VALUES (gen_random_uuid(), 'login', true)";
    // Its time is when the transaction began; the looks pass over it until it is told to commit.
    postgres.sql("CREATE TABLE tenant.told (go bool)");
    let told = "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM tenant.told) LOOP PERFORM pg_sleep(0.05); END LOOP; END $$";
    let mut late = postgres.sql_meanwhile(&format!("BEGIN; {insert}; {told}; COMMIT"));
    eventually("it was inserted", || {
        postgres.sql("SELECT count(*) FROM pg_locks WHERE mode = 'RowExclusiveLock' AND relation = 'tenant.person_auth_log'::regclass") == "1"
    });
    postgres.sql(insert);
    eventually("the other is here", || stored(&server, "contember").0 == 1);
    postgres.sql("INSERT INTO tenant.told VALUES (true)");
    assert!(late.wait().unwrap().success());
    eventually("the late one is here", || stored(&server, "contember").0 == 2);
    // Later than the looks go back: a comparison finds it.
    postgres.sql("INSERT INTO tenant.person_auth_log (id, created_at, type, success) VALUES (gen_random_uuid(), now() - interval '1 hour', 'login', true)");
    let job = run(&server, "db/check", "");
    assert!(job["message"].as_str().unwrap().contains("1 were missing"), "{job}");
    assert_eq!(stored(&server, "contember"), (3, 3));
}

#[test]
fn a_fetch_from_the_table_that_is_killed_goes_on_without_loss_and_without_doubles() {
    let postgres = Postgres::with_role();
    rows(&postgres, 4000);
    let relay = Relay::start(postgres.port, Duration::from_millis(40));
    let mut server = with_tenant();
    put(&server, "acme", "db", &table(relay.port, json!({ "since": at(-6000) })));
    for (life, part) in (1..).zip([300, 1500, 2500]) {
        eventually("a part is here", || stored(&server, "contember").0 >= part);
        // On a busy machine a part may be here before this life has begun its run.
        eventually("this life is at it", || {
            let jobs = server.admin.get("/v1/t/acme/jobs").ok();
            jobs["items"].as_array().unwrap().iter().any(|j| j["type"] == "fetch" && j["tries"] == life)
        });
        server = server.kill().start();
    }
    eventually("all of it is here", || stored(&server, "contember").0 >= 4000);
    assert_eq!(stored(&server, "contember"), (4000, 4000));
    let jobs = server.admin.get("/v1/t/acme/jobs").ok();
    let first = jobs["items"].as_array().unwrap().iter().rev().find(|j| j["type"] == "fetch").unwrap().clone();
    let job = ended(&server, first["id"].as_str().unwrap());
    assert_eq!((&job["status"], &job["tries"]), (&json!("success"), &json!(4)), "{job}");
    server.stop().verify().ok();
}

#[test]
fn a_cancelled_fetch_from_the_table_ends_also_while_the_database_keeps_it_waiting() {
    let postgres = Postgres::with_role();
    rows(&postgres, 4000);
    let relay = Relay::start(postgres.port, Duration::from_millis(40));
    let server = with_tenant();
    put(&server, "acme", "db", &table(relay.port, json!({ "since": at(-6000) })));
    eventually("a part is here", || stored(&server, "contember").0 >= 500);
    let id = first_job(&server);
    // One that is made and not begun yet ends at once, which is another answer.
    eventually("it was begun", || !server.admin.get(&format!("/v1/t/acme/jobs/{id}")).ok()["started_at"].is_null());
    assert_eq!(server.admin.post(&format!("/v1/t/acme/jobs/{id}/cancel"), "").status, 202);
    let job = ended(&server, &id);
    assert_eq!(job["status"], "cancelled", "{job}");
    assert!(stored(&server, "contember").0 >= 500, "what it has stays");
    eventually("the source goes on by itself", || stored(&server, "contember").0 >= 4000);
    assert_eq!(stored(&server, "contember"), (4000, 4000));

    // Somebody holds the table: the statement waits, and the job ends all the same.
    put(&server, "acme", "db", &table(relay.port, json!({ "since": at(-6000), "paused": true })));
    let mut holder = postgres
        .sql_meanwhile("BEGIN; LOCK TABLE tenant.person_auth_log IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(9); COMMIT");
    eventually("it is held", || {
        postgres.sql("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'tenant.person_auth_log'::regclass") == "1"
    });
    let before = relay.connections();
    let job = server.admin.post("/v1/t/acme/sources/db/fetch", "").json();
    let id = job["id"].as_str().unwrap();
    eventually("it is asked", || relay.connections() > before);
    let asked = Instant::now();
    assert_eq!(server.admin.post(&format!("/v1/t/acme/jobs/{id}/cancel"), "").status, 202);
    assert_eq!(ended(&server, id)["status"], "cancelled");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    holder.wait().unwrap();
}

#[test]
fn what_is_in_the_way_of_a_database_is_told_and_no_password_with_it() {
    let postgres = Postgres::with_role();
    rows(&postgres, 3);
    postgres.sql("CREATE ROLE nobody LOGIN PASSWORD 'hush-hush'");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = with_tenant();
    let port = postgres.port;
    let with_password = |password: &str| {
        let mut body = table(port, json!({}));
        body["secrets"]["password"] = password.into();
        body
    };
    for (n, (body, says)) in [
        (with_password("wrong-one"), "secrets.password"),
        (table(closed, json!({})), "refuses connections"),
        (table(port, json!({ "url": format!("postgresql://127.0.0.1:{port}/other") })), "no such database"),
        (table(port, json!({ "user": "nobody" })), "may not read"),
        (
            table(port, json!({ "url": format!("postgresql://127.0.0.1:{port}/postgres"), "schema": "public" })),
            "table is not there",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("s{n}");
        let made = put(&server, "acme", &name, &body);
        assert_eq!(made.status, 201, "{made}");
        eventually("it is known to fail", || source(&server, &name)["failures"].as_u64().unwrap() >= 1);
        let shown = source(&server, &name);
        assert!(shown["last_error"].as_str().unwrap().contains(says), "{says}: {shown}");
        let mut job = Value::Null;
        eventually("its failure is a job", || {
            let jobs = server.admin.get("/v1/t/acme/jobs").ok();
            let mut all = jobs["items"].as_array().unwrap().iter();
            all.find(|j| j["name"] == format!("Fetch {name}") && j["status"] == "failed").is_some_and(|j| {
                job = j.clone();
                true
            })
        });
        assert!(job["message"].as_str().unwrap().contains(says), "{job}");
        let answer = server.admin.get(&format!("/v1/t/acme/completeness?from={}", at(-600))).ok();
        let answer =
            answer["sources"].as_array().unwrap().iter().find(|s| s["source"] == name.as_str()).unwrap().clone();
        assert_eq!(answer["complete"], "unknown", "{answer}");
        server.admin.delete(&format!("/v1/t/acme/sources/{name}"));
    }
    for text in
        [server.admin.get("/v1/t/acme/jobs").text(), server.home.logs(), server.admin.get("/v1/t/acme/job-logs").text()]
    {
        assert!(!text.contains("wrong-one") && !text.contains(PASSWORD), "{text}");
    }
    // Settings that cannot work are refused at once, by name.
    for (more, says) in [
        (json!({ "url": "postgresql://me:hush-hush@127.0.0.1/tenant" }), "secrets"),
        (json!({ "sslmode": "allow" }), "verify-full"),
        (json!({ "sslmode": "verify-full", "ca": "none" }), "settings.ca"),
        (json!({ "path": "/tenant" }), "settings.path"),
    ] {
        let refused = put(&server, "acme", "x", &table(port, more));
        let problem = refused.problem(400, "invalid_source");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(says) && !detail.contains(PASSWORD), "{detail}");
    }
}

#[test]
fn a_connection_is_protected_as_sslmode_says() {
    let postgres = Postgres::with_role();
    rows(&postgres, 3);
    let server = with_tenant();
    let ca = std::fs::read_to_string(postgres.ca()).unwrap();
    let works = |name: &str, more: Value| {
        let made = put(&server, "acme", name, &table(postgres.port, more));
        assert!(made.status < 300, "{made}");
        let job = run(&server, &format!("{name}/fetch"), "");
        (job["status"] == "success", job["message"].as_str().unwrap().to_owned())
    };
    let host = |host: &str| format!("postgresql://{host}:{}/tenant", postgres.port);
    let full = |at: &str| json!({ "sslmode": "verify-full", "ca": ca, "url": host(at) });
    for (name, more) in [
        ("plain", json!({ "sslmode": "disable" })),
        ("prefer", json!({ "sslmode": "prefer" })),
        ("require", json!({ "sslmode": "require" })),
        ("full", full("localhost")),
    ] {
        let (good, why) = works(name, more);
        assert!(good, "{name}: {why}");
    }
    // The certificate is for `localhost`, and of no public authority.
    let (good, why) = works("address", full("127.0.0.1"));
    assert!(!good && why.contains("certificate"), "{why}");
    let (good, why) = works("public", json!({ "sslmode": "verify-full", "url": host("localhost") }));
    assert!(!good && why.contains("certificate"), "{why}");
    // A server that speaks TLS only lets no other in.
    let rules = postgres.sql("SHOW hba_file");
    std::fs::write(&rules, "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n").unwrap();
    postgres.sql("SELECT pg_reload_conf()");
    let (good, why) = works("plain", json!({ "sslmode": "disable" }));
    assert!(!good && why.contains("sslmode"), "{why}");
    assert!(works("prefer", json!({ "sslmode": "prefer" })).0);
    // And one without TLS is for those who do not insist.
    std::fs::write(&rules, "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n").unwrap();
    postgres.sql("ALTER SYSTEM SET ssl = off");
    postgres.sql("SELECT pg_reload_conf()");
    eventually("it has no TLS any more", || {
        works("prefer", json!({ "sslmode": "prefer" })).0 && !works("require", json!({ "sslmode": "require" })).0
    });
    let (good, why) = works("require", json!({ "sslmode": "require" }));
    assert!(!good && why.contains("has no TLS"), "{why}");
}

#[test]
fn rows_that_vanished_before_they_were_read_are_a_gap_where_that_can_be_known() {
    let postgres = Postgres::with_role();
    rows(&postgres, 10);
    let server = with_tenant();
    // The table is emptied of what is older than two days, and nothing was read for thirty.
    put(&server, "acme", "db", &table(postgres.port, json!({ "since": at(-30 * 86_400), "retention_days": 2 })));
    eventually("what there is is here", || stored(&server, "contember").0 == 10);
    let range = format!("from={}&to={}", at(-10 * 86_400), at(-5 * 86_400));
    let answer = server.admin.get(&format!("/v1/t/acme/completeness?{range}")).ok();
    assert_eq!(answer["complete"], "no", "{answer}");
    assert!(answer["sources"][0]["gaps"][0]["why"].as_str().unwrap().contains("does not keep"), "{answer}");
    assert_eq!(server.cli(&["gaps", "acme", "--from", &at(-10 * 86_400), "--to", &at(-5 * 86_400)]).code, Some(6));
    let page = server.admin.page("acme", "audit-logs", &[("q", "action:indelible.gap")]);
    assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");

    // A row that is too large is a gap of its moment, and those around it are here.
    postgres.sql(
        "INSERT INTO tenant.person_auth_log (id, created_at, type, success, user_agent)
         SELECT gen_random_uuid(), now() - interval '20 seconds' + n * interval '1 second', 'login', true,
         CASE WHEN n = 1 THEN repeat('x', 5 << 20) END FROM generate_series(0, 2) n",
    );
    eventually("the other two are here", || stored(&server, "contember").0 == 12);
    let answer = server.admin.get(&format!("/v1/t/acme/completeness?from={}", at(-60))).ok();
    assert_eq!(answer["complete"], "no", "{answer}");
    assert!(answer["sources"][0]["gaps"][0]["why"].as_str().unwrap().contains("larger than 4 MiB"), "{answer}");
}
