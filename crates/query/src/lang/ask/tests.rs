use proptest::prelude::*;

use super::*;
use crate::lang::{Filter, Query};

fn clock() -> Clock {
    Clock::new("2026-11-20T12:00:00Z".parse().unwrap(), jiff::tz::TimeZone::UTC)
}

#[test]
fn what_is_not_used_is_shown_with_its_bytes() {
    let question = "failed logins with purple elephants yesterday";
    let answer = ask(question, View::EventLogs, &clock()).unwrap();
    assert_eq!(answer.ignored, [Ignored { text: "purple elephants".to_owned(), span: 19..35 }]);
    assert_eq!(
        answer.explanation,
        "Event logs where event type contains \"login\" and outcome is \"failure\", created on from 2026-11-19 00:00 UTC \
         to before 2026-11-20 00:00 UTC. Not used: \"purple elephants\"."
    );
}

#[test]
fn a_time_that_is_excluded_is_not_turned_into_its_opposite() {
    let answer = ask("logins but not yesterday", View::EventLogs, &clock()).unwrap();
    assert_eq!((answer.query.from, answer.query.to), (None, None));
    assert_eq!(answer.ignored.last().unwrap().text, "not yesterday");
}

#[test]
fn who_did_it_is_not_what_it_is_counted_by() {
    for question in ["deleted by admin", "updated by admin yesterday"] {
        let answer = ask(question, View::AuditLogs, &clock()).unwrap();
        assert!(answer.query.count_by.is_none() && answer.explanation.contains("actor is \"admin\""), "{answer:?}");
    }
    assert!(ask("deletions per admin", View::AuditLogs, &clock()).unwrap().query.count_by.is_some());
}

#[test]
fn nothing_understood_is_an_error_with_examples_that_work() {
    for view in View::ALL {
        let error = ask("colourless green ideas sleep furiously", view, &clock()).unwrap_err();
        assert_eq!(error.code, "not_understood");
        for example in examples(view) {
            assert!(error.message.contains(example));
            let answer = ask(example, view, &clock()).unwrap();
            assert!(answer.ignored.is_empty(), "{example}: {:?}", answer.ignored);
        }
    }
    assert_eq!(ask(&"a".repeat(MAX_BYTES + 1), View::AuditLogs, &clock()).unwrap_err().code, "too_long");
}

/// Every answer is a query that the JSON form and filter text can say too.
fn says_the_same(question: &str, view: View) {
    let clock = clock();
    let Ok(answer) = ask(question, view, &clock) else { return };
    for ignored in &answer.ignored {
        assert_eq!(&question[ignored.span.clone()], ignored.text);
    }
    let json = answer.query.to_json();
    let again = Query::from_json(&json, None, &clock).unwrap_or_else(|e| panic!("{question}: {json}: {e}"));
    let plain = |f: Filter| f.normalized();
    assert_eq!(plain(again.filter), plain(answer.query.filter.clone()), "{question}");
    let text = crate::lang::text::print(&answer.query.filter, view);
    let again = crate::lang::text::parse(&text, view, &clock).unwrap_or_else(|e| panic!("{question}: {text}: {e}"));
    assert_eq!(again, plain(answer.query.filter), "{question}");
}

fn vocabulary() -> Vec<&'static str> {
    let mut words: Vec<&'static str> = lexicon::FILLERS
        .iter()
        .chain(lexicon::STOPS)
        .chain(lexicon::STRICT_STOPS)
        .chain(lexicon::NEGATIONS)
        .copied()
        .collect();
    words.extend([
        "login",
        "logins",
        "failed",
        "success",
        "google",
        "auth",
        "ui",
        "client",
        "provider",
        "'quoted name'",
        "\"x",
        "a@b.c",
        "10.0.0.1",
        "10.0.0.*",
        ",",
        "top",
        "10",
        "most",
        "per",
        "between",
        "last",
        "week",
        "Monday",
        "Nov",
        "3",
        "3rd",
        "2026",
        "2026-11-03",
        "at",
        "17:30",
        "5pm",
        "ago",
        "since",
        "until",
        "than",
        "older",
        "days",
        "email",
        "status",
        "job",
        "name",
        "type",
        "subject",
        "recipient",
        "user",
        "session",
        "grant",
        "updated",
        "expires",
        "created",
        "contains",
        "starts",
        "ends",
        "like",
        "=",
        "!=",
        "active",
        "running",
        "bounced",
        "who",
        "how",
        "many",
        "details.flow",
        "target",
        "0192f3a0-1111-7222-8333-444455556666",
        "neither",
        "either",
        "one",
        "group",
        "next",
        "half",
        "hour",
        "start",
        "end",
        "quarter",
        "Q3",
        "May",
        "31",
        "February",
        "29",
        "30",
        "now",
        "9999999",
        "99999999999",
        "99999999d",
        "000001y",
        "month",
        "minutes",
    ]);
    words
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_panics(question in "\\PC{0,120}", view in proptest::sample::select(View::ALL.to_vec())) {
        says_the_same(&question, view);
    }

    #[test]
    fn no_words_panic(
        words in proptest::collection::vec(proptest::sample::select(vocabulary()), 0..16),
        view in proptest::sample::select(View::ALL.to_vec()),
    ) {
        says_the_same(&words.join(" "), view);
    }

    #[test]
    fn no_clock_panics(
        words in proptest::collection::vec(proptest::sample::select(vocabulary()), 0..10),
        now in any::<i64>(),
        zone in proptest::sample::select(vec!["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Australia/Lord_Howe"]),
    ) {
        let now = Clock::utc(now).now.timestamp();
        let clock = Clock::new(now, jiff::tz::TimeZone::get(zone).unwrap());
        let _ = ask(&words.join(" "), View::EventLogs, &clock);
    }
}
