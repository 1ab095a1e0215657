//! `POST …/query`: the typed form, counts, groups, histogram and facets.

use crate::server::Server;
use serde_json::{Value, json};

fn sample() -> Vec<Value> {
    let one = |n: usize, hour: usize, outcome: &str, ip: Option<&str>| {
        json!({ "id": format!("c-{n}"), "log": "event", "action": "login", "outcome": outcome, "ip": ip,
            "time": format!("2026-03-0{}T{hour:02}:15:00Z", 1 + n % 2), "attributes": { "tier": if n < 3 { "gold" } else { "base" } } })
    };
    vec![
        one(0, 1, "success", Some("192.0.2.1")),
        one(1, 1, "failure", Some("192.0.2.1")),
        one(2, 1, "failure", Some("192.0.2.1")),
        one(3, 2, "success", Some("192.0.2.2")),
        one(4, 23, "failure", None),
        json!({ "id": "audit", "log": "audit", "action": "update", "time": "2026-03-01T00:00:00Z" }),
    ]
}

fn everywhere(check: impl Fn(&dyn Fn(Value) -> crate::http::Reply)) {
    for flush in ["3600", "0"] {
        let server = Server::start(&[("FLUSH_SECONDS", flush)]);
        let (first, last) = (sample()[..3].to_vec(), sample()[3..].to_vec());
        server.admin.write("acme", &first);
        if flush == "0" {
            server.flushed();
        }
        server.admin.write("acme", &last);
        check(&|query| server.admin.post("/v1/t/acme/query", query.to_string()));
    }
}

const ALL: (&str, &str) = ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");

#[test]
fn the_typed_query_gives_the_same_rows_as_filter_text() {
    everywhere(|query| {
        let ids = |body: Value| -> Vec<String> {
            let page = query(body).ok();
            page["items"].as_array().unwrap().iter().map(|i| i["id"].as_str().unwrap().to_owned()).collect()
        };
        let base = |filter: Value| json!({ "view": "event_logs", "from": ALL.0, "to": ALL.1, "filter": filter });
        assert_eq!(ids(base(json!([["outcome", "is", "failure"]]))), ["c-1", "c-4", "c-2"]);
        assert_eq!(ids(json!({ "view": "event_logs", "from": ALL.0, "q": "outcome:failure" })), ["c-1", "c-4", "c-2"]);
        assert_eq!(ids(base(json!([["outcome", "is", "failure"], ["ip_address", "exists", true]]))), ["c-1", "c-2"]);
        assert_eq!(
            ids(base(json!([{ "any": [["ip_address", "is", "192.0.2.2"], ["ip_address", "exists", false]] }]))),
            ["c-3", "c-4"]
        );
        assert_eq!(ids(base(json!([{ "not": ["outcome", "in", ["failure", "deny"]] }]))), ["c-3", "c-0"]);
        assert_eq!(
            ids(base(json!([["details.tier", "is", "gold"], ["event_type", "like", "log%"]]))),
            ["c-1", "c-2", "c-0"]
        );
        assert_eq!(ids(base(json!([["created_on", "range", ["2026-03-02T00:00:00Z", null]]]))), ["c-3", "c-1"]);
        assert_eq!(ids(base(json!([["ip_address", "does_not_contain", "192.0.2.1"]]))), ["c-3", "c-4"]);
    });
}

#[test]
fn counts_groups_histograms_and_facets_add_up() {
    everywhere(|query| {
        let base = |more: Value| {
            let mut query = json!({ "view": "event_logs", "from": ALL.0, "to": ALL.1 });
            query.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            query
        };
        assert_eq!(query(base(json!({ "count": true }))).ok()["count"], 5);
        let answer = query(base(json!({ "count_by": "ip_address" }))).ok();
        let groups = json!([{ "value": "192.0.2.1", "count": 3 }, { "value": null, "count": 1 }, { "value": "192.0.2.2", "count": 1 }]);
        assert_eq!((&answer["groups"], &answer["count"]), (&groups, &json!(5)), "most frequent first: {answer}");
        let answer = query(base(json!({ "count_by": "ip_address", "limit": 1 }))).ok();
        assert_eq!(answer["groups"].as_array().unwrap().len(), 1, "{answer}");
        let answer = query(base(json!({ "interval": "1d" }))).ok();
        let bars = json!([{ "time": "2026-03-01T00:00:00.000000Z", "count": 3 }, { "time": "2026-03-02T00:00:00.000000Z", "count": 2 }]);
        assert_eq!(answer["histogram"], bars, "{answer}");
        let answer = query(base(json!({ "interval": "1h", "count_by": "outcome", "q": "ip:192.0.2.1" }))).ok();
        let first = &answer["histogram"][0];
        assert_eq!((&first["time"], &first["count"]), (&json!("2026-03-01T01:00:00.000000Z"), &json!(2)), "{answer}");
        assert_eq!(
            first["groups"],
            json!([{ "value": "failure", "count": 1 }, { "value": "success", "count": 1 }]),
            "{answer}"
        );
        let answer = query(base(json!({ "facets": ["outcome", "details.tier"], "limit": 2 }))).ok();
        assert_eq!(answer["items"].as_array().unwrap().len(), 2, "facets stand beside the page: {answer}");
        assert_eq!(answer["facets"]["outcome"][0], json!({ "value": "failure", "count": 3 }), "{answer}");
        let tiers: Vec<_> = answer["facets"].as_object().unwrap().iter().filter(|f| f.0.ends_with(".tier")).collect();
        assert_eq!(tiers[0].1, &json!([{ "value": "gold", "count": 3 }, { "value": "base", "count": 2 }]), "{answer}");
        let answer = query(json!({ "view": "records", "count_by": "log" })).ok();
        assert_eq!(answer["groups"][1], json!({ "value": "audit", "count": 1 }), "{answer}");
    });
}

#[test]
fn a_mistake_in_a_typed_query_is_pointed_at() {
    everywhere(|query| {
        for (body, code, place) in [
            (
                json!({ "view": "event_logs", "filter": [["outcome", "is", "x"], { "any": [["emial", "is", "x"]] }] }),
                "unknown_key",
                "filter[1].any[0]",
            ),
            (json!({ "view": "event_logs", "filter": [["outcome", "resembles", "x"]] }), "bad_operator", "filter[0]"),
            (json!({ "view": "event_logs", "count_by": "nope_at_all" }), "unknown_key", "count_by"),
            (json!({ "view": "event_logs", "facets": ["outcome", "emial"] }), "unknown_key", "facets[1]"),
            (json!({ "view": "event_logs", "interval": "soon" }), "bad_time", "interval"),
            (json!({ "view": "event_logs", "limit": 5000 }), "bad_value", "limit"),
            (json!({ "view": "event_logs", "fliter": [] }), "syntax", "fliter"),
            (json!({ "view": "events" }), "bad_value", "view"),
        ] {
            let problem = query(body.clone()).problem(400, code);
            let pointer = problem["errors"][0]["pointer"].as_str().unwrap_or_default();
            assert!(pointer.contains(place), "{body}: it points at {pointer:?}: {problem}");
        }
        query(json!([])).problem(400, "syntax");
    });
}
