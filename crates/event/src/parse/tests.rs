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

/// What is found of a field, in all kinds, sound or not.
fn found(kind: u8, text: &str, at: i64) -> Found<'_> {
    match kind {
        0 => Found::Json(text),
        1 => Found::Text(text),
        _ => Found::Time(at),
    }
}

/// The text of a record with these fields, in groups as they come.
fn as_text(fields: &[(Field, Found<'_>)]) -> String {
    let mut out = String::from("{");
    for (i, (field, found)) in fields.iter().enumerate() {
        let (group, name) = field.spec().path.split_once('.').unwrap_or(("", field.spec().path));
        let before = (i > 0).then(|| fields[i - 1].0.spec().path.split_once('.').map_or("", |(group, _)| group));
        let goes_on = !group.is_empty() && before == Some(group);
        if !goes_on && before.is_some_and(|before| !before.is_empty()) {
            out.push('}');
        }
        out.push_str(if i > 0 { "," } else { "" });
        if !goes_on && !group.is_empty() {
            out.push_str(&format!("\"{group}\":{{"));
        }
        out.push_str(&format!("\"{name}\":"));
        match found {
            Found::Json(raw) | Found::Object(raw, _) => out.push_str(raw),
            Found::Text(text) => json::write_string(&mut out, text),
            Found::Time(at) => json::write_string(&mut out, &time::format(*at)),
        }
    }
    out.push_str(if fields.last().is_some_and(|(field, _)| field.spec().path.contains('.')) { "}}" } else { "}" });
    out
}

fn take(fields: &[(Field, Found<'_>)]) -> Option<(ValidEvent, Vec<u8>)> {
    let rules = Rules::default();
    let mut out = b"before".to_vec();
    let parser = Parser { rules: &rules, tenant: "acme", now: NOW };
    let event = parser.take(fields.iter().copied(), &mut || "fresh".into(), &mut out);
    let row = out.split_off(6);
    assert_eq!(out, b"before");
    match event {
        None => assert_eq!(row, b"", "what is refused leaves nothing"),
        Some(_) => assert_eq!(event.as_ref().unwrap().row, 6..6 + row.len()),
    }
    event.map(|event| {
        let back = |range: Range<usize>| range.start - 6..range.end - 6;
        (ValidEvent { row: back(event.row.clone()), id: back(event.id.clone()), ..event }, row)
    })
}

#[test]
fn fields_that_were_found_are_the_record_that_their_text_is() {
    let fields = [
        (F::Log, Found::Text("event")),
        (F::Time, Found::Time(NOW - 1)),
        (F::Action, Found::Json(r#" "sign\u002din" "#)),
        (F::Irreversible, Found::Json("true")),
        (F::SessionExpiresAt, Found::Json(r#""2026-11-20T12:00:00+01:00""#)),
        (F::SessionScopes, Found::Json(r#"["b","a"]"#)),
        (F::NotificationRecipient, Found::Json(r#"["x@e.org","y@e.org"]"#)),
        (F::Message, Found::Text("a \"quoted\"\n\u{1} password=hunter2")),
        (F::Attributes, Found::Json(r#"{"b":1.0,"a":{"token":"x"}}"#)),
        (F::Old, Found::Json(r#"{"n":1}"#)),
        (F::New, Found::Json(r#"{"n":2}"#)),
        (F::Ip, Found::Json("null")),
    ];
    let (event, row) = take(&fields).unwrap();
    assert_eq!(Ok((event, row.clone())), parse(&as_text(&fields)));
    assert_eq!(get(&row, F::Diff).unwrap(), r#"{"n":{"__old":1,"__new":2}}"#);
    assert_eq!(get(&row, F::Action).unwrap(), "sign-in");
}

#[test]
fn json_that_stands_as_text_is_redacted_wherever_it_stands() {
    let text = r#"{"log":"event","action":"x","message":"{\"value\":\"S1\",\"type\":\"password\"}",
        "attributes":{"body":"{\"Name\":\"clientSecret\",\"Value\":\"S2\"}",
            "native":{"representation":"{\"credentials\":[{\"type\":\"password\",\"value\":\"S3\"}]}"}}}"#;
    let (_, row) = parse(text).unwrap();
    assert_eq!(get(&row, F::Message).unwrap(), r#"{"type":"password","value":"***"}"#);
    assert_eq!(
        get(&row, F::Attributes).unwrap(),
        r#"{"body":"{\"Name\":\"clientSecret\",\"Value\":\"***\"}","native":{"representation":"{\"credentials\":[{\"type\":\"password\",\"value\":\"***\"}]}"}}"#
    );
    let marks = get(&row, F::Redactions).unwrap();
    for pointer in ["/message", "/attributes/body", "/attributes/native/representation"] {
        assert!(marks.contains(&format!("\"{pointer}\"")), "{marks}");
    }
}

#[test]
fn codes_and_passwords_in_messages_to_people_are_not_kept() {
    let (_, row) = parse(
        r#"{"log":"notification","notification":{"subject":"493817 is your verification code","body":"<td>Password</td><td>Tmp1pass</td> token=S"}}"#,
    )
    .unwrap();
    assert_eq!(get(&row, F::NotificationSubject).unwrap(), "*** is your verification code");
    assert_eq!(get(&row, F::NotificationBody).unwrap(), "<td>Password</td><td>***</td> token=***");
}

#[test]
fn a_difference_that_does_not_fit_is_left_out_and_the_record_is_kept() {
    let side =
        |n: u32| (0..9_000).map(|i| format!("\"k{i:05}\":\"{n}{}\"", "v".repeat(30))).collect::<Vec<_>>().join(",");
    let text = format!(r#"{{"log":"audit","action":"a","old":{{{}}},"new":{{{}}}}}"#, side(1), side(2));
    assert!(text.len() < MAX_RECORD);
    let (_, row) = parse(&text).unwrap();
    assert_eq!(get(&row, F::Diff), None);
    assert_eq!(get(&row, F::Redactions).unwrap(), r#"[{"pointer":"/diff","rule":"too_large"}]"#);
    assert!(get(&row, F::Old).is_some() && get(&row, F::New).is_some());
}

#[test]
fn fields_that_are_not_in_order_are_for_the_text_to_explain() {
    let log = (F::Log, Found::Text("job"));
    assert!(take(&[log]).is_some());
    for other in [
        (F::Log, Found::Text("job")),
        (F::Log, Found::Json("null")),
        (F::Message, Found::Text("a\0b")),
        (F::Message, Found::Json("\"a\" ")),
        (F::Message, Found::Json("\"a\",\"email\":\"b\"")),
        (F::Message, Found::Json("7")),
        (F::Message, Found::Json("")),
        (F::Message, Found::Time(0)),
        (F::Time, Found::Time(253_402_300_800_000_000)),
        (F::Time, Found::Time(NOW + 2 * DAY)),
        (F::Attributes, Found::Json("[]")),
        (F::Attributes, Found::Json("{\"a\":1}}")),
        (F::Attributes, Found::Text("a")),
        (F::Redactions, Found::Json("[]")),
        (F::Id, Found::Text("")),
    ] {
        let refused = take(&[log, other]).is_none();
        assert_eq!(refused, other != (F::Message, Found::Json("\"a\" ")), "{other:?}");
    }
}

proptest::proptest! {
    #[test]
    fn what_is_taken_is_what_its_text_says(
        fields in proptest::collection::vec(
            (0..crate::fields::COUNT, 0u8..4, 0usize..12, "[a-z\"\\\\{}\\[\\]:,0-9\u{0}\u{1}é ]{0,12}", -70_000_000_000_000_000i64..260_000_000_000_000_000), 0..10),
    ) {
        const SOUND: [&str; 12] = ["\"a\"", "\"b\\u00e9\"", "\"\"", "null", "true", "7", "{\"b\":1,\"a\":[2]}", "[]", "[\"x\"]",
            "\"2026-11-20T12:00:00Z\"", "\"active\"", "{\"password\":\"x\"}"];
        let mut sent = vec![(F::Log, Found::Text("job"))];
        for (field, kind, sound, text, at) in &fields {
            // Half of them as they should be, so that whole records are.
            let found = if *kind == 3 { Found::Json(SOUND[*sound]) } else { found(*kind, text, *at) };
            sent.push((crate::FIELDS[*field].field, found));
        }
        if let Some(taken) = take(&sent) {
            let once: HashSet<Field> = sent.iter().map(|(field, _)| *field).collect();
            proptest::prop_assert_eq!(once.len(), sent.len());
            sent.sort_by_key(|(field, _)| field.spec().path.split_once('.').map_or("", |(group, _)| group));
            proptest::prop_assert_eq!(Ok(taken), parse(&as_text(&sent)));
        }
    }
}
