use proptest::prelude::*;

use super::*;
use crate::lang::{Clock, Error, Filter, Key, Op, Test, Value, View, views::envelope};

const NOW: i64 = 1_795_176_000_000_000; // 2026-11-20T12:00:00Z

fn read(text: &str) -> Result<Filter, Error> {
    parse(text, View::EventLogs, &Clock::utc(NOW))
}

fn json(text: &str) -> String {
    read(text).unwrap().to_json(View::EventLogs).to_string()
}

#[test]
fn every_spelling_means_what_the_contract_says() {
    for (text, expected) in [
        ("", "[]"),
        ("event_type:login", r#"[["event_type","is","login"]]"#),
        ("eventType:login", r#"[["event_type","is","login"]]"#),
        ("actionId:login", r#"[["event_type","is","login"]]"#),
        (r#""Event Type":login"#, r#"[["event_type","is","login"]]"#),
        (r#"client:"auth ui""#, r#"[["client_name","is","auth ui"]]"#),
        ("-provider:google", r#"[["provider_name","is_not","google"]]"#),
        ("!provider:google", r#"[["provider_name","is_not","google"]]"#),
        ("NOT provider:google", r#"[["provider_name","is_not","google"]]"#),
        ("email:a*", r#"[["email","like","a*"]]"#),
        ("-email:*@example.com", r#"[["email","not_like","*@example.com"]]"#),
        ("outcome:[failure, deny]", r#"[["outcome","in",["failure","deny"]]]"#),
        ("-outcome:[failure,deny]", r#"[["outcome","not_in",["failure","deny"]]]"#),
        ("details.n:>=5", r#"[["attributes.n",">=","5"]]"#),
        ("details.n:>5 details.n:<9", r#"[["attributes.n",">","5"],["attributes.n","<","9"]]"#),
        ("details.n:5..9", r#"[["attributes.n",">=","5"],["attributes.n","<=","9"]]"#),
        ("details.n:5..", r#"[["attributes.n",">=","5"]]"#),
        ("details.n:..9", r#"[["attributes.n","<=","9"]]"#),
        ("error_code:*", r#"[["error_code","exists",true]]"#),
        ("-error_code:*", r#"[["error_code","exists",false]]"#),
        ("user_agent~Chrome", r#"[["user_agent","contains","Chrome"]]"#),
        ("-user_agent~Chrome", r#"[["user_agent","does_not_contain","Chrome"]]"#),
        ("alice", r#"[{"text":"alice"}]"#),
        ("\"two words\" -bob", r#"[{"text":"two words"},{"not":{"text":"bob"}}]"#),
        ("a OR b c", r#"[{"any":[{"text":"a"},{"all":[{"text":"b"},{"text":"c"}]}]}]"#),
        ("(a OR b) AND c", r#"[{"any":[{"text":"a"},{"text":"b"}]},{"text":"c"}]"#),
        ("NOT (a b)", r#"[{"not":{"all":[{"text":"a"},{"text":"b"}]}}]"#),
        ("actor.id:7", r#"[["actor.id","is","7"]]"#),
        ("attributes.Flow.id:x", r#"[["attributes.Flow.id","is","x"]]"#),
        ("10.0.0.1", r#"[{"text":"10.0.0.1"}]"#),
        ("ip:10.0.0.1", r#"[["ip_address","is","10.0.0.1"]]"#),
        (
            "created_on:2026-11-03",
            r#"[["created_on",">=","2026-11-03T00:00:00Z"],["created_on","<","2026-11-04T00:00:00Z"]]"#,
        ),
        (
            "created_on:2026-11-03..2026-11-05",
            r#"[["created_on",">=","2026-11-03T00:00:00Z"],["created_on","<","2026-11-06T00:00:00Z"]]"#,
        ),
        ("created_on:>=now-7d", r#"[["created_on",">=","2026-11-13T12:00:00Z"]]"#),
        ("created_on:>now-1d/d", r#"[["created_on",">=","2026-11-20T00:00:00Z"]]"#),
        (r"email:a\*b", r#"[["email","is","a*b"]]"#),
        (r#"email:"a*b""#, r#"[["email","is","a*b"]]"#),
        (r#"email:"a b".."c d""#, r#"[["email",">=","a b"],["email","<=","c d"]]"#),
        ("email:[a*,b]", r#"[{"any":[["email","like","a*"],["email","is","b"]]}]"#),
        ("NOT NOT a", r#"[{"text":"a"}]"#),
    ] {
        assert_eq!(json(text), expected, "{text}");
    }
}

#[test]
fn errors_point_at_what_is_wrong() {
    for (text, code, span) in [
        ("emial:x", "unknown_key", 0..5),
        ("a emial:x", "unknown_key", 2..7),
        ("email:", "syntax", 5..6),
        ("email: x", "syntax", 5..6),
        ("(a", "syntax", 0..1),
        ("a)", "syntax", 1..2),
        ("()", "syntax", 0..1),
        ("a OR", "syntax", 4..4),
        ("OR a", "syntax", 0..2),
        ("\"a", "syntax", 0..2),
        ("email:[a,b", "syntax", 6..10),
        ("email:[]", "syntax", 6..7),
        ("email:..", "syntax", 6..8),
        ("created_on:yesterdy", "bad_time", 11..19),
        ("created_on:1763640000", "bad_time", 11..21),
        ("created_on~2026", "bad_operator", 11..15),
        ("f(x)", "syntax", 0..2),
    ] {
        let error = read(text).unwrap_err();
        assert_eq!((error.code, error.span.clone()), (code, Some(span)), "{text}: {error}");
    }
    assert_eq!(read("emial:x").unwrap_err().suggestion.as_deref(), Some("email"));
    assert_eq!(read("evnt_type:x").unwrap_err().suggestion.as_deref(), Some("event_type"));
}

#[test]
fn limits_hold() {
    assert_eq!(read(&"(".repeat(5000)).unwrap_err().code, "too_deep");
    assert_eq!(read(&"NOT ".repeat(4000)).unwrap_err().code, "too_deep");
    assert_eq!(read(&"a".repeat(MAX_BYTES + 1)).unwrap_err().code, "too_long");
    let words = |n: usize| (0..n).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" OR ");
    assert!(read(&words(64)).is_ok());
    assert_eq!(read(&words(65)).unwrap_err().code, "too_long");
    assert!(read(&"ip:a ".repeat(3200)).is_ok());
    assert!(read("ip:a OR ".repeat(2000).trim_end_matches(" OR ")).is_ok());
    let nested = format!("{}a{}", "(".repeat(64), ")".repeat(64));
    assert!(read(&nested).is_ok());
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9@. _-]{1,12}",
        "[*%\\\\\".:~()\\[\\],<>= a-]{0,10}",
        "\\PC{0,8}",
        Just("AND".to_owned()),
        Just("..".to_owned()),
        Just("*".to_owned()),
    ]
}

fn any_key() -> impl Strategy<Value = Key> {
    let columns = View::EventLogs.columns().iter().collect::<Vec<_>>();
    let text =
        columns.into_iter().filter(|c| c.kind != crate::lang::ColumnKind::Time).map(Key::Column).collect::<Vec<_>>();
    prop_oneof![
        proptest::sample::select(text),
        Just(Key::Column(envelope(event::fields::Field::ActorId))),
        Just(Key::Column(envelope(event::fields::Field::SessionRefId))),
        proptest::collection::vec(any_text(), 1..4)
            .prop_map(|path| Key::Json { field: event::fields::Field::Attributes, path }),
        proptest::collection::vec(any_text(), 1..3)
            .prop_map(|path| Key::Json { field: event::fields::Field::SessionClaims, path }),
    ]
}

pub(crate) fn any_test() -> impl Strategy<Value = Filter> {
    let ops =
        [Op::Is, Op::IsNot, Op::Contains, Op::DoesNotContain, Op::Like, Op::NotLike, Op::Lt, Op::Le, Op::Gt, Op::Ge];
    let times = [Op::Is, Op::IsNot, Op::Before, Op::After, Op::Lt, Op::Le, Op::Gt, Op::Ge];
    prop_oneof![
        (any_key(), proptest::sample::select(ops.to_vec()), any_text())
            .prop_map(|(k, op, t)| Filter::text_test(k, op, t)),
        (any_key(), any::<bool>(), proptest::collection::vec(any_text(), 0..4)).prop_map(|(key, yes, list)| {
            Filter::Test(Test { key, op: if yes { Op::In } else { Op::NotIn }, value: Value::List(list) })
        }),
        any_key().prop_map(|key| Filter::Test(Test { key, op: Op::Exists, value: Value::None })),
        (proptest::sample::select(times.to_vec()), 0i64..4_000_000_000_000_000).prop_map(|(op, t)| Filter::time_test(
            Key::Column(View::EventLogs.time_column()),
            op,
            t
        )),
        any_text().prop_map(Filter::Text),
        Just(Filter::All),
    ]
}

pub(crate) fn any_filter() -> impl Strategy<Value = Filter> {
    any_test().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
            inner.prop_map(|f| Filter::Not(Box::new(f))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_printed_reads_back(filter in any_filter()) {
        let text = print(&filter, View::EventLogs);
        let again = read(&text).map_err(|e| TestCaseError::fail(format!("{text:?}: {e}")))?;
        prop_assert_eq!(again, filter.normalized(), "{}", text);
    }

    #[test]
    fn json_reads_back(filter in any_filter()) {
        let json = filter.to_json(View::EventLogs);
        let again = Filter::from_json(&json, View::EventLogs, &Clock::utc(NOW)).map_err(|e| TestCaseError::fail(format!("{json}: {e}")))?;
        prop_assert_eq!(again.normalized(), filter.normalized(), "{}", json);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = read(&text);
    }

    #[test]
    fn no_text_of_signs_panics(text in "[ab:~\"\\\\()\\[\\]*.<>=,! \\-é]{0,60}") {
        if let Ok(filter) = read(&text) {
            prop_assert_eq!(read(&print(&filter, View::EventLogs)).unwrap(), filter);
        }
    }
}
