use std::borrow::Cow;

use serde_json::json;

use super::*;

fn read(view: View, json: serde_json::Value) -> Result<Filter, Error> {
    Filter::from_json(&json, view, &Clock::utc(1_795_176_000_000_000))
}

fn holds(json: serde_json::Value, name: &str, value: Option<&str>) -> bool {
    let view = View::AuditLogs;
    let filter = read(view, json).unwrap();
    let (name, value) = (name.to_owned(), value.map(str::to_owned));
    let get = move |key: &Key| if key.name(view) == name { value.clone().map(Cow::Owned) } else { None };
    let plain = filter.matches(view, &get);
    assert_eq!(plain, filter.clone().normalized().matches(view, &get), "{filter:?}");
    assert_eq!(!plain, filter.negated().matches(view, &get));
    plain
}

#[test]
fn operators_mean_what_they_say() {
    let action = |op: &str, w: &str, v: &str| holds(json!([["action", op, w]]), "action", Some(v));
    assert!(action("is", "UPDATE idp", "update IDP"));
    assert!(!action("is", "update_idp", "update idp"), "is does not treat separators alike");
    assert!(action("contains", "password reset", "PASSWORD_RESET_OK"));
    assert!(action("contains", "password-reset", "user.password.reset"));
    assert!(action("like", "reset", "password_reset"));
    assert!(action("like", "password res%", "password_reset"));
    assert!(!action("like", "res%", "password_reset"));
    assert!(action("like", "*res*t", "password_reset"));
    assert!(!action("not_like", "*reset", "password_reset"));
    assert!(action("is_not", "a", "b"));
    let comments = |op: &str, w: &str, v: &str| holds(json!([["comments", op, w]]), "comments", Some(v));
    assert!(!comments("contains", "a b", "a_b"), "only action treats separators alike");
    assert!(comments("like", "100\\%", "is 100% sure"));
    assert!(!comments("like", "aba*aba", "aba"), "parts do not overlap");
    assert!(comments("contains", "STRASSE", "hauptstrasse"));
}

fn missing(op: &str, value: serde_json::Value) -> bool {
    holds(json!([["comments", op, value]]), "comments", None)
}

#[test]
fn a_missing_value_passes_only_negative_tests() {
    assert!(missing("is_not", json!("a")) && missing("does_not_contain", json!("a")));
    assert!(missing("not_like", json!("a*")) && missing("not_in", json!(["a"])));
    assert!(!missing("is", json!("a")) && !missing("contains", json!("")) && !missing("exists", json!(true)));
    assert!(missing("exists", json!(false)));
}

#[test]
fn lists_and_numbers() {
    let details =
        |op: &str, w: serde_json::Value, v: &str| holds(json!([["details.x", op, w]]), "attributes.x", Some(v));
    assert!(details(">", json!(9), "10"));
    assert!(details("<", json!("b"), "A"));
    assert!(details("range", json!([5, 10]), "7.5"));
    assert!(!details("range", json!([5, null]), "4"));
    assert!(details("is", json!("b"), r#"["a","B"]"#));
    assert!(!details("is_not", json!("b"), r#"["a","B"]"#));
    assert!(details("in", json!(["A", "c"]), "a"));
    assert!(holds(json!([["timestamp", "is", "2026-11-20"]]), "timestamp", Some("1795176000000000")));
    assert!(!holds(json!([["timestamp", "after", "2026-11-20"]]), "timestamp", Some("1795176000000000")));
    assert!(holds(json!([["timestamp", "before", "2026-11-21"]]), "timestamp", Some("1795176000000000")));
    assert!(holds(json!({"text": "ALICE"}), "actor", Some("alice@x")));
}

#[test]
fn errors_name_the_place() {
    for (bad, code, at) in [
        (json!([["acton", "is", "x"]]), "unknown_key", "filter[0][0]"),
        (json!(["action", "iss", "x"]), "bad_operator", "filter[1]"),
        (json!([{"any": [["action", "is", "x"], ["action", "is", {}]]}]), "bad_value", "filter[0].any[1][2]"),
        (json!([["action", "is"]]), "syntax", "filter[0]"),
        (json!([["action", "in", "x"]]), "bad_value", "filter[0][2]"),
        (json!([7]), "syntax", "filter[0]"),
        (json!([{"some": []}]), "syntax", "filter[0].some"),
        (json!([{"any": [], "all": []}]), "syntax", "filter[0]"),
        (json!([["timestamp", "after", "soon"]]), "bad_time", "filter[0][2]"),
        (json!([["action", "before", "x"]]), "bad_operator", "filter[0][2]"),
    ] {
        let error = read(View::AuditLogs, bad.clone()).unwrap_err();
        assert_eq!((error.code, error.at.as_deref()), (code, Some(at)), "{bad}: {error}");
    }
    let mut deep = json!(["action", "is", "x"]);
    for _ in 0..100 {
        deep = json!({"not": deep});
    }
    assert_eq!(read(View::AuditLogs, deep).unwrap_err().code, "too_deep");
}

#[test]
fn a_query_reads_back_and_unknown_members_are_refused() {
    let clock = Clock::utc(1_795_176_000_000_000);
    let body = json!({
        "view": "event-logs", "filter": [["event_type", "is", "login"]], "q": "outcome:failure", "from": "now-1d", "to": "2026-11-20",
        "limit": 10, "count_by": "ip", "interval": "1h", "facets": ["client"], "cursor": "c", "count": true
    });
    let query = Query::from_json(&body, None, &clock).unwrap();
    assert_eq!(query.from, Some(1_795_176_000_000_000 - 86_400_000_000));
    assert_eq!(query.to_json()["filter"], json!([["event_type", "is", "login"], ["outcome", "is", "failure"]]));
    assert_eq!(Query::from_json(&query.to_json(), None, &clock).unwrap(), query);
    for (bad, at) in [
        (json!({"limt": 1}), "limt"),
        (json!({"limit": 0}), "limit"),
        (json!({"limit": 1001}), "limit"),
        (json!({"facets": ["x"]}), "facets[0]"),
        (json!({"q": "x:y"}), "q"),
        (json!({"view": "x"}), "view"),
    ] {
        assert_eq!(Query::from_json(&bad, Some(View::AuditLogs), &clock).unwrap_err().at.as_deref(), Some(at), "{bad}");
    }
}

#[test]
fn bounds_move_out_of_the_filter() {
    let clock = Clock::utc(1_795_176_000_000_000);
    let mut query = Query::new(View::AuditLogs);
    query.filter =
        super::super::text::parse("timestamp:2026-11-19 action:x timestamp:<now", View::AuditLogs, &clock).unwrap();
    query.lift_time();
    assert_eq!((query.from, query.to), (Some(1_795_046_400_000_000), Some(1_795_132_800_000_000)));
    assert_eq!(query.filter.to_json(View::AuditLogs), json!([["action", "is", "x"]]));
}

#[test]
fn keys_are_read_as_people_write_them() {
    let name = |view: View, text: &str| view.key(text).map(|k| k.name(view));
    assert_eq!(name(View::AuditLogs, "Old Entity").unwrap(), "old_entity");
    assert_eq!(name(View::AuditLogs, "actor.id").unwrap(), "actor.id");
    assert_eq!(name(View::AuditLogs, "actor_id").unwrap(), "actor.id");
    assert_eq!(name(View::Records, "actor.id").unwrap(), "actor_id");
    assert_eq!(name(View::Records, "recorded_at").unwrap(), "recorded_at");
    assert_eq!(name(View::Sessions, "session.id").unwrap(), "session.id");
    assert_eq!(name(View::Sessions, "session_id").unwrap(), "session_id");
    assert_ne!(View::Sessions.key("session.id").unwrap(), View::Sessions.key("session_id").unwrap());
    assert_eq!(name(View::EventLogs, "details.a.b").unwrap(), "attributes.a.b");
    assert_eq!(name(View::Sessions, "session.claims.sub").unwrap(), "session.claims.sub");
    assert_eq!(name(View::NotificationLogs, "id").unwrap(), "id");
    assert_eq!(name(View::JobLogs, "status").unwrap(), "latest_status");
    assert!(
        name(View::EventLogs, "").is_err()
            && name(View::EventLogs, ".").is_err()
            && name(View::EventLogs, "email.x").is_err()
    );
    for view in View::ALL {
        assert_eq!(View::parse(view.name()), Some(view));
        assert_eq!(View::parse(&view.name().replace('_', "-")), Some(view));
        for column in view.columns() {
            assert_eq!(view.key(column.name).unwrap(), Key::Column(column), "{column:?}");
            let key = Key::Column(column);
            assert_eq!(view.key(&key.name(view)).unwrap(), key);
        }
        assert_eq!(view.time_column().kind, ColumnKind::Time);
    }
}
