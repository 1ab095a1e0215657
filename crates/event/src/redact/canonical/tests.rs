use super::*;
use proptest::prelude::*;

fn plain(path: &'static str, context: Context) -> Canonical<'static> {
    static RULES: std::sync::LazyLock<Rules> = std::sync::LazyLock::new(Rules::default);
    Canonical { path, depth: 1, context, rules: &RULES }
}

fn run(text: &str, context: Context) -> (String, Vec<(String, String)>) {
    let mut marks = Vec::new();
    let mut out = String::new();
    plain("attributes", context).write(text, &mut marks, &mut out).unwrap();
    (out, marks.into_iter().map(|m| (m.pointer, m.rule.into_owned())).collect())
}

#[test]
fn a_value_is_that_of_the_name_beside_it() {
    for (text, clean, at) in [
        (r#"{"value": "S", "name": "Authorization"}"#, r#"{"name":"Authorization","value":"***"}"#, "/value"),
        (
            r#"{"a":[{"type":"password","value":["S",{"b":1}],"z":1.50}]}"#,
            r#"{"a":[{"type":"password","value":"***","z":1.5}]}"#,
            "/a/0/value",
        ),
        (
            r#"{"z":{"key":"cookie","x":"a","value":"a long one, longer than the mark"},"b":1}"#,
            r#"{"b":1,"z":{"key":"cookie","value":"***","x":"a"}}"#,
            "/z/value",
        ),
        (r#"{"value":1,"type":"password"}"#, r#"{"type":"password","value":"***"}"#, "/value"),
        (r#"{"Name":"clientSecret","Value":"S"}"#, r#"{"Name":"clientSecret","Value":"***"}"#, "/Value"),
        (
            r#"{"value":"a long one, longer than the mark","Type":"otp","VALUE":"S","x":1}"#,
            r#"{"Type":"otp","VALUE":"***","value":"***","x":1}"#,
            "/VALUE",
        ),
    ] {
        let (out, marks) = run(text, Context::of("", ""));
        assert_eq!(out, clean);
        assert!(marks.iter().any(|mark| mark.0.ends_with(at)), "{marks:?}");
        assert_eq!(run(&out, Context::of("", "")), (out, Vec::new()), "a mark is no secret");
    }
    for text in [
        r#"{"name":"color","value":"red"}"#,
        r#"{"type":"password","value":null}"#,
        r#"{"type":"password","value":true}"#,
    ] {
        assert_eq!(run(text, Context::of("", "")), (text.to_owned(), Vec::new()));
    }
}

/// JSON with this text as its only member, `a`.
fn holding(text: &str) -> String {
    serde_json::json!({ "a": text }).to_string()
}

#[test]
fn json_that_stands_as_text_is_redacted_as_json() {
    let credentials = r#"{"username":"ann","credentials":[{"type":"password","value":"S", "n":1.0}]}"#;
    let clean = r#"{"credentials":[{"n":1,"type":"password","value":"***"}],"username":"ann"}"#;
    for (text, clean) in [
        (credentials.to_owned(), clean.to_owned()),
        (format!(" \n[{credentials}] "), format!("[{clean}]")),
        (r#"{"name":"clientSecret","value":{"a":"S"}}"#.into(), r#"{"name":"clientSecret","value":"***"}"#.into()),
        (
            r#"{"value":"S","type":"p\u0061ssword","x":"token"}"#.into(),
            r#"{"type":"password","value":"***","x":"token"}"#.into(),
        ),
        (holding(credentials), holding(clean)),
        (holding(&holding(credentials)), holding(&holding(clean))),
        // Not sound as it comes: the name is there twice, and a text is none.
        (r#"{"a":1,"a":2,"password":"S"}"#.into(), r#"{"a":1,"a":2,"password":"***"}"#.into()),
        (
            r#"{"value":"S","type":"password","password":"\ud800"}"#.into(),
            r#"{"password":"***","type":"password","value":"***"}"#.into(),
        ),
    ] {
        let (out, marks) = run(&holding(&text), Context::default());
        assert_eq!(out, holding(&clean));
        assert!(!marks.is_empty() && marks.iter().all(|(pointer, _)| pointer == "/attributes/a"), "{marks:?}");
        assert_eq!(run(&out, Context::default()), (out, Vec::new()), "a mark is no secret");
    }
    let (_, marks) = run(&holding(r#"[{"password":"S"},{"token":"S"},{"password":"S"}]"#), Context::default());
    assert_eq!(marks.iter().map(|mark| mark.1.as_str()).collect::<Vec<_>>(), ["password", "token"]);
    for text in [
        r#" { "token_type": "Bearer", "b": 1.0, "a": "password reset" } "#,
        r#"{"type": "password", "value": null}"#,
        r#"[ "password", "secret" ]"#,
        r#"{"authorization": null, "user": "ann"}"#,
    ] {
        assert_eq!(run(&holding(text), Context::default()), (holding(text), Vec::new()), "it stays as it came");
    }
}

#[test]
fn what_is_secret_by_context_or_for_a_tenant_is_so_in_json_that_stands_as_text() {
    let text = holding(r#"{"config":{"url":"u","x":"S"}}"#);
    let provider = Context::of("update IdentityProvider", "");
    assert_eq!(run(&text, provider).0, holding(r#"{"config":["url","x"]}"#));
    assert_eq!(run(&text, Context::default()), (text, Vec::new()), "only for identity providers");

    let rules = Rules::new(false, &["employee_number".into()], &[r#""ssn":"\d+""#.into()]).unwrap();
    let how = Canonical { path: "attributes", depth: 1, context: Context::default(), rules: &rules };
    for (text, clean) in [
        (r#"{"employeeNumber":7,"b":"x"}"#, r#"{"b":"x","employeeNumber":"***"}"#),
        (r#"{"b":"x","ssn":"123"}"#, r#"{"b":"x",***}"#),
        (r#"{"ssn":"123","password":"S"}"#, r#"{"password":"***",***}"#),
    ] {
        let mut out = String::new();
        how.write(&holding(text), &mut vec![], &mut out).unwrap();
        assert_eq!(out, holding(clean));
    }
}

#[test]
fn json_in_text_in_text_is_looked_at_a_few_times_and_no_deeper_than_a_record() {
    // Past the last level it is a text as any other, in which a value is found right behind its name.
    let (mut text, mut clean) =
        (r#"{"type":"password","value":"S"}"#.to_owned(), r#"{"type":"password","value":"***"}"#.to_owned());
    for _ in 0..6 {
        (text, clean) = (holding(&text), holding(&clean));
    }
    assert_eq!(run(&text, Context::default()).0, clean);
    let deep = |n: usize| holding(&format!(r#"{}{{"value":"S","type":"password"}}{}"#, "[".repeat(n), "]".repeat(n)));
    assert!(!run(&deep(61), Context::default()).0.contains('S'));
    let too_deep = deep(62);
    assert_eq!(run(&too_deep, Context::default()).0, too_deep, "only a text");
}

#[test]
fn a_header_in_a_list_of_pairs_is_one_too() {
    for (text, clean, at) in [
        (
            r#"{"headers": [["Host","h"], ["Cookie", "a=b"] ,["X-Api-Key" , ["S","T"]]], "b": 1}"#,
            r#"{"b":1,"headers":[["Host","h"],["Cookie","***"],["X-Api-Key","***"]]}"#,
            &["/attributes/headers/1/1", "/attributes/headers/2/1"][..],
        ),
        (r#"[["Author\u0069zation",{"b":1,"a":2}]]"#, r#"[["Authorization","***"]]"#, &["/attributes/0/1"]),
        (r#"[[1.50,"x"],["otp",123456]]"#, r#"[[1.5,"x"],["otp","***"]]"#, &["/attributes/1/1"]),
        // Its value has secrets of its own, which are marked where they were.
        (r#"[["password",[["token","S"]]]]"#, r#"[["password","***"]]"#, &["/attributes/0/1/0/1", "/attributes/0/1"]),
    ] {
        let (out, marks) = run(text, Context::default());
        assert_eq!(out, clean);
        assert_eq!(marks.iter().map(|mark| mark.0.as_str()).collect::<Vec<_>>(), at, "{text}");
        assert_eq!(run(&out, Context::default()), (out, Vec::new()), "a mark is no secret");
    }
    for text in [
        r#"{"changed":["password","email"]}"#,
        r#"[["Host","Cookie"],["password",null],["otp",true],["token"],["cookie","a","b"],[],[["password"],"x"]]"#,
    ] {
        assert_eq!(run(text, Context::default()), (text.to_owned(), Vec::new()));
    }
}

#[test]
fn a_key_with_a_secret_keeps_its_number() {
    let (out, marks) = run(r#"{"zz apikey:'a b c, open":1,"a long name and more":2}"#, Context::default());
    assert_eq!((out.as_str(), marks.len()), (r#"{"a long name and more":2,"zz apikey:'*** #0":1}"#, 1));
    assert_eq!(run(&out, Context::default()), (out, Vec::new()));
    // The number is only one behind a mark.
    let (out, _) = run(r#"{"my password: #123456":1}"#, Context::default());
    assert!(!out.contains("123456"), "{out}");
}

#[test]
fn sorts_and_masks_with_pointers() {
    let (out, marks) =
        run(r#"{ "z": 1.0, "a/b": {"Access-Token":"x", "k":[{"password":"y"}]}, "c":"***" }"#, Context::default());
    assert_eq!(out, r#"{"a/b":{"Access-Token":"***","k":[{"password":"***"}]},"c":"***","z":1}"#);
    assert_eq!(
        marks,
        [
            ("/attributes/a~1b/Access-Token".into(), "token".into()),
            ("/attributes/a~1b/k/0/password".into(), "password".into())
        ]
    );
}

#[test]
fn provider_configuration_and_api_keys_are_reduced() {
    let provider = Context::of("update IdentityProvider", "");
    let (out, marks) = run(
        r#"{"configuration":{"url":"u","clientSecret":"s"},"x":{"apiKey":{"id":"1","identityId":"2","v":"s"}}}"#,
        provider,
    );
    assert_eq!(out, r#"{"configuration":["clientSecret","url"],"x":{"apiKey":{"id":"1","identityId":"2"}}}"#);
    assert_eq!(marks.len(), 2);
    let (out, marks) = run(&out, provider);
    assert!(out.contains(r#"["clientSecret","url"]"#), "the reduced form stays: {out}");
    assert_eq!(marks.len(), 1, "and the id-only object is marked again at most once");
    let (out, _) = run(r#"{"configuration":{"token=S":1,"a long one with cookie: S":2}}"#, provider);
    assert_eq!(out, r#"{"configuration":["a long one with cookie: ***","token=***"]}"#);
    assert_eq!(run(&out, provider).0, out);
    let (out, _) = run(r#"{"configuration":{"url":"u"}}"#, Context::default());
    assert_eq!(out, r#"{"configuration":{"url":"u"}}"#, "only for identity providers");
}

#[test]
fn a_masked_value_is_still_checked_and_not_marked_twice() {
    let mut out = String::new();
    let err = plain("new", Context::default()).write(r#"{"password":"\ud800"}"#, &mut vec![], &mut out);
    assert_eq!(err.unwrap_err().code, "lone_surrogate");
    assert_eq!(run(r#"{"password":"***"}"#, Context::default()).1, []);
}

#[test]
fn a_value_that_is_there_many_times_is_refused_in_time() {
    let text = format!(r#"{{{}"type":"password"}}"#, r#""value":"S","a":1,"#.repeat(200_000));
    let began = std::time::Instant::now();
    let err = plain("new", Context::default()).write(&text, &mut vec![], &mut String::new());
    assert_eq!(err.unwrap_err().code, "duplicate_key");
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}

#[test]
fn what_passwords_have_to_be_like_is_no_password() {
    for text in [
        r#"{"password":{"checkHibp":true,"minLength":12,"pattern":null,"require":{"digit":1}}}"#,
        r#"{"a":[{"name":"password","value":"[redacted]"}],"password":{}}"#,
    ] {
        assert_eq!(run(text, Context::default()), (text.to_owned(), Vec::new()));
    }
    for secret in
        [r#"{"value":"x"}"#, r#"{"a":{"b":[1]}}"#, r#"{"pin":1234}"#, r#"{"n":-12}"#, r#"{"n":1.5}"#, "[1]", "12"]
    {
        let (out, marks) = run(&format!(r#"{{"password":{secret}}}"#), Context::default());
        assert_eq!((out.as_str(), marks.len()), (r#"{"password":"***"}"#, 1), "{secret}");
    }
    let (out, _) = run(r#"{"token":{"n":1}}"#, Context::default());
    assert_eq!(out, r#"{"token":"***"}"#, "of no other name");
    let (_, marks) = run(r#"{"password":{"otp":7,"n":1}}"#, Context::default());
    assert_eq!(marks.len(), 1, "what is secret in it by its own name");
}

#[test]
fn the_marks_of_others_stay() {
    for mark in ["***", "[redacted]", "[REDACTED_TOKEN]", "<redacted>"] {
        let text =
            format!(r#"{{"cookie":"{mark}","headers":[["Cookie","{mark}"]],"x":{{"name":"token","value":"{mark}"}}}}"#);
        assert_eq!(run(&text, Context::default()), (text, Vec::new()));
    }
    assert_eq!(run(r#"{"token":"[redacted] S"}"#, Context::default()).0, r#"{"token":"***"}"#);
}

#[test]
fn duplicate_keys_in_any_order_are_refused() {
    for text in [r#"{"a":1,"a":2}"#, r#"{"b":1,"a":2,"b":3}"#, r#"{"x":{"a":1,"\u0061":2}}"#] {
        let err = plain("new", Context::default()).write(text, &mut vec![], &mut String::new());
        assert_eq!(err.unwrap_err().code, "duplicate_key", "{text}");
    }
}

fn arbitrary_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        (-(1i64 << 53)..(1i64 << 53)).prop_map(Into::into),
        any::<f64>()
            .prop_filter("finite, and no integer that prints with more digits than a double has", |f| f.is_finite()
                && f.abs() < 1e15)
            .prop_map(|f| serde_json::json!(f)),
        "[^\u{0}]*".prop_map(Into::into),
        Just("password".into()),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map("[^\u{0}]{0,8}", inner, 0..6)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn agrees_with_an_independent_canonicalizer(value in arbitrary_json()) {
        let mut marks = Vec::new();
        let mut out = String::new();
        plain("new", Context::default()).write(&value.to_string(), &mut marks, &mut out).unwrap();
        if marks.is_empty() {
            prop_assert_eq!(&out, &serde_json_canonicalizer::to_string(&value).unwrap());
        }
        let mut again = String::new();
        plain("new", Context::default()).write(&out, &mut vec![], &mut again).unwrap();
        prop_assert_eq!(out, again);
    }

    #[test]
    fn json_in_text_is_a_fixed_point(
        parts in prop::collection::vec("(\\{\"type\":\"password\",\"value\":\"x1\"\\}|\"(name|Value|token|pass|config|apiKey|b)\":(\"(x1|Cookie|otp|\\*\\*\\*)\"|1|null|\\{\"id\":1\\}|\\[\"x\",2\\]|\\{\"a\":\"S\")|[{}, a])[,}]?", 0..6),
        level in 0usize..5,
        provider: bool,
    ) {
        let context = Context { provider, project_secret: false };
        let mut text = format!("{{{}}}", parts.join(","));
        for _ in 0..level {
            text = holding(&text);
        }
        let text = holding(&text);
        let once = run(&text, context).0;
        prop_assert_eq!(&run(&once, context).0, &once);
    }

    #[test]
    fn is_a_fixed_point_and_never_panics(text in "[\\[\\]{}\",:a-c0-9.eE+ \\\\tpasword-]{0,60}") {
        let mut out = String::new();
        if plain("new", Context::default()).write(&text, &mut vec![], &mut out).is_ok() {
            let mut again = String::new();
            plain("new", Context::default()).write(&out, &mut vec![], &mut again).unwrap();
            prop_assert_eq!(out, again);
        }
    }
}
