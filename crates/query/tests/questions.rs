//! Every question of `tests/data/questions.jsonl` becomes exactly the query beside it.
//!
//! The first 24 are those of `spec/questions.jsonl`. A member that a line does not have must not be in the
//! answer either; `ignored` is compared as a list of texts.

use jiff::{Timestamp, tz::TimeZone};
use query::lang::{Clock, View, ask};
use serde_json::{Value, json};

fn answer(case: &Value) -> Value {
    let text = |name: &str| case[name].as_str().unwrap_or_else(|| panic!("{name} in {case}"));
    let view = View::parse(text("log")).unwrap();
    let now: Timestamp = text("now").parse().unwrap();
    let clock = Clock::new(now, TimeZone::get(text("tz")).unwrap());
    match ask::ask(text("question"), view, &clock) {
        Err(e) => json!({ "error": e.code }),
        Ok(answer) => {
            assert!(!answer.explanation.is_empty());
            let mut out = answer.to_json();
            let object = out.as_object_mut().unwrap();
            for name in ["log", "question", "now", "tz", "explanation"] {
                object.remove(name);
            }
            let ignored: Vec<Value> = answer.ignored.iter().map(|i| json!(i.text)).collect();
            for i in &answer.ignored {
                assert_eq!(i.text, text("question")[i.span.clone()]);
            }
            object.remove("ignored");
            if !ignored.is_empty() {
                object.insert("ignored".into(), json!(ignored));
            }
            out
        }
    }
}

#[test]
fn every_question_becomes_its_query() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/questions.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let (mut wrong, mut all) = (Vec::new(), 0);
    for (line, case) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let case: Value = serde_json::from_str(case).unwrap_or_else(|e| panic!("line {}: {e}", line + 1));
        all += 1;
        let mut expected = case.clone();
        let object = expected.as_object_mut().unwrap();
        for name in ["log", "question", "now", "tz"] {
            object.remove(name);
        }
        let got = answer(&case);
        if got != expected {
            let question = &case["question"];
            wrong.push(format!("{}: {} {question}\n  want {expected}\n  got  {got}", line + 1, case["log"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {all} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
