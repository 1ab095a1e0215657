use super::*;
use crate::encode::fields;

const NOW: i64 = 1_763_640_000_000_000;

fn parse(text: &str) -> Result<(ValidEvent, Vec<u8>), Invalid> {
    let rules = Rules::default();
    let mut out = Vec::new();
    let event = Parser { rules: &rules, tenant: "acme", now: NOW }.parse(text, &mut || "fresh".into(), &mut out)?;
    Ok((event, out))
}

fn get(row: &[u8], field: Field) -> Option<String> {
    fields(row).map(Result::unwrap).find(|s| s.field == field).and_then(|s| s.text()).map(str::to_owned)
}

#[test]
fn a_record_of_every_kind_of_field() {
    let (event, row) = parse(
        r#"{"log":"notification","id":"n-1","time":"2025-11-20T12:00:00.5+01:00","action":"mail.send","actor":{"id":"a1","email":"Ann@Example.org"},
            "notification":{"subject":"Hi","recipient":["x@e.org","y@e.org"],"cc":"z@e.org","status":"sent"},"irreversible":true,"custom":{"b":1,"a":2},"actor_extra":null,
            "attributes":{"z":1e2}}"#,
    )
    .unwrap();
    assert_eq!(&row[event.id.clone()], b"n-1");
    assert_eq!(event.time, crate::time::parse("2025-11-20T11:00:00.500000Z").unwrap());
    assert!(!event.fresh_id && !event.fresh_time);
    assert_eq!(get(&row, F::Attributes).unwrap(), r#"{"actor_extra":null,"custom":{"a":2,"b":1},"z":100}"#);
    assert_eq!(fields(&row).filter(|s| s.as_ref().unwrap().field == F::NotificationRecipient).count(), 2);
    assert_eq!(get(&row, F::Redactions), None);
}

#[test]
fn what_is_left_out_is_filled_in() {
    let (event, row) = parse(r#"{"log":"job"}"#).unwrap();
    assert!(event.fresh_id && event.fresh_time);
    assert_eq!(&row[event.id], b"fresh");
    assert_eq!(event.time, NOW);
}

#[test]
fn refusals_name_the_field_and_what_to_do() {
    let deep =
        format!(r#"{{"log":"job","attributes":{}{}}}"#, r#"{"a":"#.repeat(5000), "1".to_owned() + &"}".repeat(5000));
    let wide = format!(r#"{{"log":"job","message":"{}"}}"#, "x".repeat(MAX_RECORD));
    let long_id = format!(r#"{{"log":"job","id":"{}"}}"#, "x".repeat(129));
    for (text, code, field) in [
        (r#"[]"#, "wrong_type", ""),
        (r#""#, "invalid_json", ""),
        (r#"{"log":"job""#, "invalid_json", ""),
        (r#"{"log":"job"} x"#, "invalid_json", ""),
        (r#"{"action":"x"}"#, "missing_field", "log"),
        (r#"{"log":"audits","action":"x"}"#, "unknown_value", "log"),
        (r#"{"log":"audit"}"#, "missing_field", "action"),
        (r#"{"log":"event","action":7}"#, "wrong_type", "action"),
        (r#"{"log":"event","action":"x","outcome":"maybe"}"#, "unknown_value", "outcome"),
        (r#"{"log":"job","job":{"status":"done"}}"#, "unknown_value", "job.status"),
        (r#"{"log":"job","job":[]}"#, "wrong_type", "job"),
        (r#"{"log":"job","time":"yesterday"}"#, "invalid_time", "time"),
        (r#"{"log":"job","time":1763640000}"#, "wrong_type", "time"),
        (r#"{"log":"job","time":"2030-01-01T00:00:00Z"}"#, "time_in_future", "time"),
        (r#"{"log":"job","tenant":"globex"}"#, "tenant_mismatch", "tenant"),
        (r#"{"log":"job","index":3}"#, "reserved_field", "index"),
        (r#"{"log":"job","log":"job"}"#, "duplicate_key", "log"),
        (r#"{"log":"job","job":null,"job":{}}"#, "duplicate_key", ""),
        (r#"{"log":"job","actor":{"id":null,"id":"x"}}"#, "duplicate_key", "actor.id"),
        (r#"{"log":"job","x":1,"x":2}"#, "duplicate_key", "attributes"),
        (r#"{"log":"job","x":1,"attributes":{"x":2}}"#, "duplicate_key", "attributes"),
        (r#"{"log":"job","attributes":{"a":1,"a":2}}"#, "duplicate_key", "attributes"),
        (r#"{"log":"job","attributes":[1]}"#, "wrong_type", "attributes"),
        (r#"{"log":"job","attributes":{"n":1e999}}"#, "number_out_of_range", "attributes"),
        (r#"{"log":"job","message":"\ud800"}"#, "lone_surrogate", "message"),
        (r#"{"log":"job","message":"\u0000"}"#, "nul_byte", "message"),
        (r#"{"log":"job","id":"ory_st_abcdefghijklmnop1234"}"#, "secret_in_id", "id"),
        (r#"{"log":"job","id":""}"#, "invalid_id", "id"),
        (&long_id, "invalid_id", "id"),
        (&deep, "too_deep", "attributes"),
        (&wide, "record_too_large", ""),
    ] {
        let shown: String = text.chars().take(80).collect();
        let e = parse(text).expect_err(&shown);
        assert_eq!((e.code, e.field.as_str()), (code, field), "{shown}: {}", e.detail);
        assert!(e.detail.len() < 400, "{}", e.detail);
    }
}

#[test]
fn a_refused_record_leaves_the_buffer_as_it_was() {
    let rules = Rules::default();
    let parser = Parser { rules: &rules, tenant: "acme", now: NOW };
    let mut out = b"before".to_vec();
    parser
        .parse(&format!(r#"{{"log":"job","message":"{}"}}"#, "x".repeat(MAX_RECORD)), &mut || "f".into(), &mut out)
        .unwrap_err();
    assert_eq!(out, b"before");
}

#[test]
fn secrets_never_reach_the_row() {
    let text = r#"{"log":"audit","action":"update IdentityProvider","message":"token=hunter2hunter2hunter2","password":"hunter2",
        "target":{"id":"idp-1","type":"IdentityProvider"},
        "old":{"configuration":{"clientSecret":"hunter2","url":"https://u:hunter2@h"},"password":"hunter2"},
        "new":{"configuration":{"clientSecret":"hunter22"},"password":"hunter3"},
        "job":{"stacktrace":"at x Authorization: Basic hunter2\n at y"},
        "notification":{"body":"Your code is 123456.","subject":"hello"}}"#;
    let (_, row) = parse(text).unwrap();
    let all = String::from_utf8_lossy(&row);
    assert!(!all.contains("hunter"), "{all}");
    assert!(!all.contains("123456"), "{all}");
    let marks = get(&row, F::Redactions).unwrap();
    for pointer in [
        "/attributes/password",
        "/old/configuration",
        "/old/password",
        "/message",
        "/job/stacktrace",
        "/notification/body",
    ] {
        assert!(marks.contains(&format!("\"{pointer}\"")), "{pointer} in {marks}");
    }
    assert_eq!(
        get(&row, F::Diff).unwrap(),
        r#"{"configuration":{"__old":["clientSecret","url"],"__new":["clientSecret"]},"password":{"__old":"***","__new":"***"}}"#
    );
}

#[test]
fn hostile_sizes_stay_linear() {
    let started = std::time::Instant::now();
    let many_keys: String = (0..60_000).map(|i| format!(r#","k{i}":1"#)).collect();
    parse(&format!(r#"{{"log":"job"{many_keys}}}"#)).unwrap();
    let many_secrets: String = (0..30_000).map(|i| format!(r#","k{i}":{{"password":"x"}}"#)).collect();
    parse(&format!(r#"{{"log":"job"{many_secrets}}}"#)).unwrap();
    for word in ["code ", "eyJ.", "://a:", "cookie", "token:", "-----BEGIN ", "\\\"traits\\\":{"] {
        let _ = parse(&format!(
            r#"{{"log":"notification","notification":{{"body":"{}"}}}}"#,
            word.repeat(90_000 / word.len() * 10)
        ));
    }
    // Far above what linear work takes and far below what quadratic work would.
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}

proptest::proptest! {
    #[test]
    fn never_panics(text in "\\{\"log\":\"(audit|job)\",?[\\[\\]{}\":,a-z0-9 \\\\u.]{0,80}\\}?") {
        let _ = parse(&text);
    }

    #[test]
    fn what_is_stored_parses_back_as_a_row(message in "[^\u{0}]{0,60}", email in "[^\u{0}]{0,20}") {
        let text = serde_json::json!({"log":"event","action":"a","message":message,"email":email,"attributes":{"m":message}}).to_string();
        let (event, row) = parse(&text).unwrap();
        proptest::prop_assert_eq!(event.row, 0..row.len());
        proptest::prop_assert!(fields(&row).all(|f| f.is_ok()));
    }
}

#[test]
fn a_difference_that_compared_arrays_by_position_says_so() {
    let state = |shift: u32| {
        let list: Vec<String> = (0..2500u32).map(|n| format!(r#"{{"a":{},"b":{n},"c":1}}"#, 2 * n + shift)).collect();
        format!(r#"{{"list":[{}]}}"#, list.join(","))
    };
    let record = |old: &str, new: &str| format!(r#"{{"log":"audit","action":"x","old":{old},"new":{new}}}"#);
    let (_, row) = parse(&record(&state(0), &state(1))).unwrap();
    assert_eq!(get(&row, F::Redactions).unwrap(), r#"[{"pointer":"/diff","rule":"positional_arrays"}]"#);
    let (_, row) = parse(&record(r#"{"list":[1,2]}"#, r#"{"list":[2,1]}"#)).unwrap();
    assert_eq!(get(&row, F::Redactions), None);
}
