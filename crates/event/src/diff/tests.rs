//! The library's own cases, the properties, and the bound.

use super::*;
use proptest::prelude::*;
use std::time::{Duration, Instant};

const PUBLISHED: &str = include_str!("../../tests/data/json-diff/vectors.json");
const PRODUCED: &str = include_str!("../../tests/data/json-diff/produced.json");

/// A text as the arena prints it: compact, keys in their order.
fn normal(text: &str) -> String {
    let mut docs = Docs::default();
    let id = docs.read(text, None).expect("a vector is JSON");
    let mut out = String::new();
    docs.print(id, &mut out);
    out
}

/// The parts of one vector as normalised texts; found by the arena, because serde_json would sort the keys.
fn vectors(text: &str) -> Vec<[Option<String>; 4]> {
    let mut docs = Docs::default();
    let root = docs.read(text, None).expect("the vectors are JSON");
    let Node::Array(cases) = docs.node(root) else { panic!("not a list") };
    let part = |case: doc::Id, name: &str| {
        let Node::Object { members, .. } = docs.node(case) else { panic!("not an object") };
        members.iter().find(|&&(key, _)| docs.key(key) == name).map(|&(_, value)| {
            let mut out = String::new();
            docs.print(value, &mut out);
            out
        })
    };
    cases.iter().map(|&case| ["\"old\"", "\"new\"", "\"diff\"", "\"options\""].map(|name| part(case, name))).collect()
}

fn agree(text: &str) -> usize {
    let cases = vectors(text);
    for [old, new, expected, options] in &cases {
        let (Some(old), Some(new)) = (old, new) else { panic!("a vector without states") };
        let options = options.as_deref().unwrap_or("{}");
        let keep = if options.contains("\"full\":true") {
            Keep::Everything
        } else if options.contains("\"keepUnchangedValues\":true") {
            Keep::Elements
        } else {
            Keep::Changes
        };
        let found = diff_keeping(old, new, keep).expect("the states are JSON");
        assert!(found.as_ref().is_none_or(|d| !d.positional));
        let found = match found {
            Some(diff) => Some(diff.json),
            None if keep == Keep::Everything => Some(old.clone()), // the library prints the whole
            None => None,
        };
        assert_eq!(&found, expected, "{old} -> {new} {options}");
        if let Some(found) = found {
            assert_eq!(normal(&found), found);
        }
    }
    cases.len()
}

#[test]
fn published_and_produced_vectors_agree_byte_for_byte() {
    assert_eq!(agree(PUBLISHED), 34);
    assert_eq!(agree(PRODUCED), 98);
}

fn json_of(old: &str, new: &str) -> String {
    diff(old, new).unwrap().map_or_else(|| "equal".to_owned(), |d| d.json)
}

#[test]
fn key_order_and_collisions_are_javascripts() {
    // Each as json-diff 1.0.6 prints it.
    assert_eq!(
        json_of(r#"{"b":1,"a":1,"9":1,"1":2}"#, r#"{"1":3,"c":0,"a":2,"9":2}"#),
        r#"{"1":{"__old":2,"__new":3},"9":{"__old":1,"__new":2},"b__deleted":1,"c__added":0,"a":{"__old":1,"__new":2}}"#
    );
    assert_eq!(
        json_of(r#"{"a":1,"z":1,"a__deleted":1}"#, r#"{"a__deleted":2}"#),
        r#"{"a__deleted":{"__old":1,"__new":2},"z__deleted":1}"#
    );
    assert_eq!(
        json_of(r#"{"a":1}"#, r#"{"a":{"y":1,"10":2,"2":3}}"#),
        r#"{"a":{"__old":1,"__new":{"2":3,"10":2,"y":1}}}"#
    );
}

#[test]
fn equal_is_equal_however_it_is_written() {
    for (old, new) in
        [("1", "1.0"), ("0", "-0"), (r#"{"a":1,"b":2}"#, r#"{ "b":2, "a":1e0 }"#), (r#""é""#, r#""\u00e9""#)]
    {
        assert_eq!(diff(old, new).unwrap(), None, "{old} {new}");
    }
    // The library calls this array different from itself.
    let row = vec!["1"; 20].join(",");
    let rows = format!("[[{row}],[{row},1]]");
    assert_eq!(json_of(&format!("[0,{rows}]"), &format!("[{rows}]")), r#"[["-",0],[" "]]"#);
}

#[test]
fn names_that_mean_something_to_javascript_are_text() {
    assert_eq!(
        json_of(r#"{"constructor":1,"r":["toString","__next"]}"#, r#"{"__proto__":1,"r":[]}"#),
        r#"{"constructor__deleted":1,"__proto____added":1,"r":[["-","toString"],["-","__next"]]}"#
    );
}

#[test]
fn a_changed_secret_is_shown_as_changed() {
    let text = r#"{"a":"***","list":[{"k/~":"***"},{"k/~":"***"}],"s":"***"}"#;
    assert_eq!(diff_with(text, text, &|_| false).unwrap(), None);
    let found = diff_with(text, text, &|p| p == "/s" || p == "/list/1/k~1~0").unwrap().unwrap();
    assert_eq!(
        found.json,
        r#"{"list":[[" "],["~",{"k/~":{"__old":"***","__new":"***"}}]],"s":{"__old":"***","__new":"***"}}"#
    );
    // A value redacted to the list of its key names is shown whole.
    let found = diff_with(r#"{"c":["a"]}"#, r#"{"c":["a"]}"#, &|p| p == "/c").unwrap().unwrap();
    assert_eq!(found.json, r#"{"c":{"__old":["a"],"__new":["a"]}}"#);
}

#[test]
fn the_guides_spelling_changes_marks_only() {
    let plain = r#"{"x__added":{"__old":1,"__new":2},"f":{"__old":{"__old":1,"__new":2},"__new":"__old"},"l":[[" "],["~",{"g":{"__old":1,"__new":2}}],["+",{"__old":1,"__new":2}]]}"#;
    let guide = r#"{"x__added":{"__old":1,"__new":2},"f":{"_old":{"__old":1,"__new":2},"_new":"__old"},"l":[[" "],["~",{"g":{"_old":1,"_new":2}}],["+",{"__old":1,"__new":2}]]}"#;
    assert_eq!(to_guide(plain), guide);
    assert_eq!(to_guide(r#"{"__old":1,"__new":2}"#), r#"{"_old":1,"_new":2}"#);
    // A diff that a source sent is stored with its keys in order.
    assert_eq!(to_guide(r#"{"__new":2,"__old":1}"#), r#"{"_old":1,"_new":2}"#);
    assert_eq!(to_guide("no json"), "no json");
}

#[test]
fn what_is_no_json_or_too_deep_is_an_error() {
    let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
    for bad in [
        "",
        "{",
        "[1,]",
        "01",
        "1.",
        "+1",
        "nul",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\u{1}\"",
        "1 2",
        "{\"a\" 1}",
        "1e999",
        "{a:1}",
    ] {
        assert!(diff(bad, "1").is_err(), "{bad}");
        assert!(diff(bad, bad).is_err(), "{bad}");
        assert!(serde_json::from_str::<serde_json::Value>(bad).is_err(), "{bad}");
    }
    assert!(diff(&deep(127), "1").is_ok());
    assert!(diff(&deep(128), "1").is_err());
    assert!(diff(&deep(1_000_000), "1").unwrap_err().to_string().contains("recursion limit"));
}

#[test]
fn deep_arrays_do_not_take_exponential_time() {
    let deep = |x: &str| format!("{}{x}{}", "[".repeat(120), "]".repeat(120));
    let found = diff(&deep("1"), &deep("2")).unwrap().unwrap();
    assert!(!found.positional);
    assert!(found.json.ends_with(&format!(r#"["~",[["-",1],["+",2]]{}"#, "]]".repeat(119))));
}

/// Documents of about 1 MiB that ask for as much matching as possible.
fn hostile() -> Vec<(&'static str, String, String)> {
    let list = |n: usize, item: &dyn Fn(usize) -> String| {
        let items: Vec<String> = (0..n).map(item).collect();
        format!("[{}]", items.join(","))
    };
    vec![
        (
            "small objects",
            list(100_000, &|n| format!("{{\"a\":{n}}}")),
            list(100_000, &|n| format!("{{\"a\":{}}}", n + 200_000)),
        ),
        (
            "wide objects",
            list(60, &|n| {
                format!("{{{}}}", (0..1500).map(|k| format!("\"k{k}\":{}", n * k)).collect::<Vec<_>>().join(","))
            }),
            list(60, &|n| {
                format!("{{{}}}", (0..1500).map(|k| format!("\"k{k}\":{}", n * k + 1)).collect::<Vec<_>>().join(","))
            }),
        ),
        ("few scalars", list(500_000, &|n| (n * 7 % 10).to_string()), list(500_000, &|n| (n * 3 % 10).to_string())),
        (
            "near-unique scalars",
            list(150_000, &|n| (n * 7919 % 5000).to_string()),
            list(150_000, &|n| (n * 104_729 % 5000).to_string()),
        ),
        ("reversed scalars", list(150_000, &|n| n.to_string()), list(150_000, &|n| (150_000 - n).to_string())),
        ("arrays", list(60_000, &|n| format!("[{n},1,2]")), list(60_000, &|n| format!("[{},1,2]", n + 70_000))),
        ("equal arrays", list(300_000, &|_| "[]".to_owned()), list(299_999, &|_| "[]".to_owned())),
        ("one against many", list(100_000, &|_| "{\"b\":1}".to_owned()), list(4_000, &|n| format!("{{\"a\":[{n}]}}"))),
        ("many against one", list(4_000, &|n| format!("{{\"a\":[{n}]}}")), list(100_000, &|_| "{\"b\":1}".to_owned())),
        (
            "nested",
            list(40, &|i| list(40, &|j| list(40, &|k| format!("{{\"a\":{}}}", i + j + k)))),
            list(40, &|i| list(40, &|j| list(40, &|k| format!("{{\"a\":{}}}", i * j + k)))),
        ),
        (
            "identical objects",
            list(100_000, &|n| format!("{{\"a\":{}}}", n % 2)),
            list(100_000, &|n| format!("{{\"a\":{}}}", n % 3)),
        ),
        (
            "names of marks",
            format!(
                "{{{}}}",
                (0..40_000).map(|n| format!("\"{n}\":1,\"k{n}__deleted\":1")).collect::<Vec<_>>().join(",")
            ),
            format!(
                "{{{}}}",
                (0..40_000).map(|n| format!("\"{n}\":2,\"k{n}__deleted\":2")).collect::<Vec<_>>().join(",")
            ),
        ),
    ]
}

#[test]
fn hostile_documents_are_answered_in_bounded_time() {
    let mut positional = 0;
    for (name, old, new) in hostile() {
        let started = Instant::now();
        let found = diff(&old, &new).unwrap().unwrap();
        let took = started.elapsed();
        eprintln!("{name}: {} and {} bytes, {took:?}, positional {}", old.len(), new.len(), found.positional);
        positional += usize::from(found.positional);
        let limit = if cfg!(debug_assertions) { Duration::from_secs(20) } else { Duration::from_secs(1) };
        assert!(took < limit, "{name} took {took:?}");
        assert!(serde_json::from_str::<serde_json::Value>(&found.json).is_ok());
    }
    assert!(positional >= 4);
}

#[test]
fn by_position_once_the_budget_is_spent() {
    let old = r#"{"a":[{"x":1},2,[1],3],"b":[[1,2]]}"#;
    let new = r#"{"a":[{"x":2},"2",[2],3,4],"b":[]}"#;
    let found = run(old, new, Keep::Changes, None, 3).unwrap().unwrap();
    assert!(found.positional);
    assert_eq!(
        found.json,
        r#"{"a":[["~",{"x":{"__old":1,"__new":2}}],["-",2],["+","2"],["~",[["-",1],["+",2]]],[" "],["+",4]],"b":[["-",[1,2]]]}"#
    );
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        (-3i32..20).prop_map(|n| n.to_string()),
        prop::sample::select(vec!["1.5", "1e3", "\"a\"", "\"b\"", "\"***\"", "\"\\n\"", "\"__old\""])
            .prop_map(str::to_owned),
    ];
    let key = prop::sample::select(vec!["a", "b", "c", "1", "20", "a__deleted", "__old", "__new", "é"]);
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Two texts that have most in common: the same names, mostly, with values that may be others.
fn twins() -> impl Strategy<Value = (String, String)> {
    let leaf = || {
        prop::sample::select(vec![
            "1",
            "-0",
            "0",
            "1.0",
            "12345678901234567890",
            "true",
            "null",
            "\"x\"",
            "\"\\u0078\"",
            "\"é\"",
            "[]",
            "[1]",
            "[\"x\"]",
            "[[1]]",
            "[1,2]",
            "{}",
            " 7",
        ])
    };
    let pair = prop_oneof![
        (leaf(), leaf()).prop_map(|(a, b)| (a.to_owned(), b.to_owned())),
        leaf().prop_map(|a| (a.to_owned(), a.to_owned())),
    ];
    pair.prop_recursive(4, 24, 4, |inner| {
        let name = prop::sample::select(vec!["a", "b", "c", "1", "b__added", "é", "a\\n"]);
        let object = |members: &[(&str, (String, String))], second: bool| {
            let texts = members.iter().map(|(k, (a, b))| format!("\"{k}\":{}", if second { b } else { a }));
            format!("{{{}}}", texts.collect::<Vec<_>>().join(","))
        };
        let members = prop_oneof![
            prop::collection::btree_map(name.clone(), inner.clone(), 0..4)
                .prop_map(|m| m.into_iter().collect::<Vec<_>>()),
            prop::collection::vec((name, inner.clone()), 0..3),
        ];
        prop_oneof![
            4 => members.prop_map(move |m| (object(&m, false), object(&m, true))),
            1 => (inner.clone(), inner).prop_map(|((a, _), (_, b))| (a, b)),
        ]
    })
}

#[test]
fn what_is_usual_is_plain() {
    let (old, new) = (r#"{"a":1,"b":{"c":["x"],"d":null},"e":[1,2]}"#, r#"{"a":2,"b":{"c":["y"],"d":true},"e":[1,2]}"#);
    assert_eq!(plain::diff(old, new), None, "two lists of two have to be looked through");
    let (old, new) = (old.replace(r#","e":[1,2]"#, ""), new.replace(r#","e":[1,2]"#, ""));
    let json = r#"{"a":{"__old":1,"__new":2},"b":{"c":[["-","x"],["+","y"]],"d":{"__old":null,"__new":true}}}"#;
    assert_eq!(plain::diff(&old, &new).as_deref(), Some(json));
    for (old, new) in [
        (r#"{"a":1}"#, r#"{"b":1}"#),
        (r#"{"1":1}"#, r#"{"1":2}"#),
        (r#"{"a":1}"#, r#"{"a":1.0}"#),
        ("1", "2"),
        ("{", "{"),
    ] {
        assert_eq!(plain::diff(old, new), None, "{old} {new}");
    }
}

proptest! {
    #[test]
    fn a_plain_difference_is_the_one_that_is_found_at_length((old, new) in twins()) {
        if let Some(json) = plain::diff(&old, &new) {
            let found = run(&old, &new, Keep::Changes, None, BUDGET).unwrap();
            prop_assert_eq!(Some(json), found.map(|found| found.json), "{} {}", old, new);
        }
    }

    #[test]
    fn anything_differs_from_another_or_equals_itself(old in any_json(), new in any_json(), budget in 0u64..200) {
        prop_assert_eq!(diff(&old, &old).unwrap(), None);
        prop_assert_eq!(diff_with(&old, &old, &|_| false).unwrap(), None);
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        for keep in [Keep::Changes, Keep::Elements, Keep::Everything] {
            for budget in [budget, BUDGET] {
                let found = run(&old, &new, keep, None, budget).unwrap();
                if let Some(found) = &found {
                    value(&found.json);
                    value(&to_guide(&found.json));
                    prop_assert_eq!(&normal(&found.json), &found.json);
                }
            }
        }
        // Equal as the library sees it: numbers by value.
        let same = normal_numbers(value(&old)) == normal_numbers(value(&new));
        prop_assert_eq!(diff(&old, &new).unwrap().is_none(), same);
    }

    #[test]
    fn any_text_is_judged_as_serde_json_judges_it(text in "[\\[\\]{}\",:0-9a-e\\\\.tru\\- ]{0,24}") {
        let known = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        prop_assert_eq!(diff(&text, "7").is_ok(), known, "{}", text);
    }
}

fn normal_numbers(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Number(n) => Value::from(n.as_f64()),
        Value::Array(items) => items.into_iter().map(normal_numbers).collect(),
        Value::Object(members) => members.into_iter().map(|(k, v)| (k, normal_numbers(v))).collect(),
        other => other,
    }
}
