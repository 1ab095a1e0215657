//! I5: a page plus its successors yields every matching record of the snapshot exactly once.

use crate::http::Client;
use crate::random::Random;
use crate::server::{Server, at};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

fn records(random: &mut Random, from: usize, count: usize) -> Vec<Value> {
    // Few different times, so that pages often end among equals.
    (from..from + count)
        .map(|i| {
            let ten_seconds = at(-1000 - 10 * i64::try_from(random.below(40)).unwrap())[..18].to_owned() + "0.000000Z";
            let log = ["event", "audit"][random.below(2)];
            let outcome = ["success", "failure", "deny"][random.below(3)];
            json!({ "id": format!("r-{i:06}"), "log": log, "action": "x", "outcome": outcome, "time": ten_seconds, "attributes": { "n": i } })
        })
        .collect()
}

/// All pages of a query from the first on; `between` runs after each.
fn pages(
    client: &Client,
    view: &str,
    query: &[(&str, &str)],
    limit: &str,
    mut between: impl FnMut(usize),
) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor: Option<String> = None;
    for n in 0.. {
        let mut query = query.to_vec();
        query.push(("limit", limit));
        query.extend(cursor.as_deref().map(|c| ("cursor", c)));
        let page = client.page("acme", view, &query);
        let found = page["items"].as_array().unwrap();
        assert!(found.len() <= limit.parse().unwrap());
        items.extend(found.iter().cloned());
        between(n);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    items
}

fn newest_first(items: &[Value], time: &str) {
    let keys: Vec<_> = items.iter().map(|i| (i[time].as_str().unwrap(), i["id"].as_str().unwrap())).collect();
    assert!(keys.windows(2).all(|w| w[0] > w[1]), "newest first, each once");
}

#[test]
fn i5_pages_of_every_size_give_every_record_once_newest_first_from_tail_and_segments() {
    let seed = Random::seed(51);
    let mut random = Random::new(seed);
    let server = Server::start(&[("FLUSH_SECONDS", "1")]);
    let mut all = records(&mut random, 0, 700);
    server.admin.write("acme", &all[..350]);
    server.flushed();
    server.admin.write("acme", &all[350..]);
    all.sort_by_key(|r| {
        std::cmp::Reverse((r["time"].as_str().unwrap().to_owned(), r["id"].as_str().unwrap().to_owned()))
    });
    let ids = |list: &[Value]| list.iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    for limit in ["1000", "700", "350", "97", "10"] {
        let items = pages(&server.admin, "records", &[], limit, |_| {});
        assert_eq!(ids(&items), ids(&all), "limit {limit}, seed {seed}");
        let failures: Vec<Value> =
            all.iter().filter(|r| r["outcome"] == "failure" && r["log"] == "event").cloned().collect();
        let items = pages(&server.admin, "event_logs", &[("q", "outcome:failure"), ("from", "now-1d")], limit, |_| {});
        assert_eq!(ids(&items), ids(&failures), "limit {limit}, seed {seed}");
        newest_first(&items, "created_on");
    }
    assert_eq!(server.admin.page("acme", "records", &[])["items"].as_array().unwrap().len(), 100, "100 by default");
}

#[test]
fn i5_pages_are_a_snapshot_while_others_write_flush_and_merge() {
    let seed = Random::seed(52);
    let mut random = Random::new(seed);
    let server = Server::start(&[("FLUSH_SECONDS", "0"), ("COMPACTION_SHARE", "1.0")]);
    let first = records(&mut random, 0, 1500);
    server.admin.write("acme", &first);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (client, stop) = (server.admin.clone(), &stop);
            let mut random = Random::new(seed + 1 + writer);
            scope.spawn(move || {
                let mut n = 100_000 * (1 + usize::try_from(writer).unwrap());
                while !stop.load(Ordering::Relaxed) {
                    client.write("acme", &records(&mut random, n, 40));
                    n += 40;
                }
            });
        }
        for round in 0..3 {
            // What is answered before the first page must be on the pages; what comes after it must not be.
            let before = server.admin.get("/v1/t/acme").ok()["records"].as_u64().unwrap();
            let mut after = 0;
            let items = pages(&server.admin, "records", &[("from", "now-2d")], "150", |n| {
                if n == 0 {
                    after = server.admin.get("/v1/t/acme").ok()["records"].as_u64().unwrap();
                }
            });
            newest_first(&items, "time");
            let indexes: BTreeSet<u64> = items.iter().map(|i| i["index"].as_u64().unwrap()).collect();
            assert_eq!(indexes.len(), items.len(), "each once; seed {seed}, round {round}");
            let size = u64::try_from(indexes.len()).unwrap();
            assert!(indexes.iter().copied().eq(0..size), "no gap in the snapshot; seed {seed}, round {round}");
            assert!((before..=after).contains(&size), "{before} ≤ {size} ≤ {after}; seed {seed}, round {round}");
        }
        stop.store(true, Ordering::Relaxed);
    });
    server.flushed();
    let all = pages(&server.admin, "records", &[], "1000", |_| {});
    assert_eq!(server.sql_count(), all.len(), "and in the end everything is there");
    server.stop().verify().ok();
}

impl Server {
    fn sql_count(&self) -> usize {
        let rows = self.admin.sql("acme", "select count(*) from records where source is null");
        usize::try_from(rows[0][0].as_u64().unwrap()).unwrap()
    }
}

#[test]
fn a_cursor_is_bound_to_its_query_and_tenant() {
    let server = Server::start(&[]);
    for tenant in ["acme", "beta"] {
        server.admin.write(tenant, &records(&mut Random::new(3), 0, 30));
    }
    let page = server.admin.page("acme", "records", &[("limit", "5"), ("q", "outcome:success OR outcome:failure")]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let get = |tenant: &str, view: &str, q: &str| {
        server.admin.get(&format!(
            "/v1/t/{tenant}/{view}{}",
            crate::http::encode_query(&[("limit", "5"), ("q", q), ("cursor", cursor)])
        ))
    };
    assert_eq!(get("acme", "records", "outcome:success OR outcome:failure").status, 200);
    for (tenant, view, q) in [
        ("beta", "records", "outcome:success OR outcome:failure"),
        ("acme", "event_logs", "outcome:success OR outcome:failure"),
        ("acme", "records", "outcome:deny"),
        ("acme", "records", ""),
    ] {
        get(tenant, view, q).problem(400, "invalid_cursor");
    }
    let bounded = |more: &[(&str, &str)]| {
        server
            .admin
            .get(&format!("/v1/t/acme/event_logs{}", crate::http::encode_query(&[&[("limit", "1")], more].concat())))
    };
    let first = bounded(&[("from", "now-300d"), ("q", "outcome:success")]).ok();
    let next = first["next_cursor"].as_str().unwrap();
    assert_eq!(bounded(&[("from", "now-300d"), ("q", "outcome:success"), ("cursor", next)]).status, 200);
    let shown = first["from"].as_str().unwrap();
    assert_eq!(bounded(&[("from", shown), ("q", "outcome:success"), ("cursor", next)]).status, 200);
    // Times of the filter are read as on the first page, too: those of other columns are part of what a query is recognised by.
    let recent = |more: &[(&str, &str)]| {
        let query = [&[("limit", "1"), ("q", "recorded_at:>=now-1h")], more].concat();
        server.admin.page("acme", "records", &query)
    };
    let first = recent(&[]);
    let second = recent(&[("cursor", first["next_cursor"].as_str().unwrap())]);
    assert_ne!(first["items"][0]["id"], second["items"][0]["id"]);
    for (from, to, q, wrong) in [
        ("now-200d", "", "outcome:success", "from"),
        ("", "", "outcome:success", "from"),
        ("now-300d", "now", "outcome:success", "to"),
        ("now-300d", "", "outcome:failure", "q"),
    ] {
        let reply = bounded(&[("from", from), ("to", to), ("q", q), ("cursor", next)]);
        let problem = reply.problem(400, "invalid_cursor");
        assert_eq!(problem["errors"][1]["pointer"], wrong, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(&format!("another `{wrong}`")), "{problem}");
    }
    let mut changed = cursor.to_owned();
    let last = if changed.ends_with('A') { "B" } else { "A" };
    changed.replace_range(changed.len() - 1.., last);
    let reply = server.admin.get(&format!("/v1/t/acme/records?limit=5&cursor={changed}"));
    reply.problem(400, "invalid_cursor");
}
