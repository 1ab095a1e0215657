//! Tests of `predicate`.

use super::*;
use crate::lang::{Clock, text};
use event::encode::{fields, put, put_time};
use proptest::prelude::*;
use segments::{BatchBuilder, RowRef, RowTest};

fn row(id: usize, message: &str, email: &str, action: &str, attributes: &str, recipients: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, Field::Id, format!("id-{id}").as_bytes());
    put(&mut out, Field::Log, b"event");
    put_time(&mut out, Field::Time, id as i64);
    put(&mut out, Field::Action, action.as_bytes());
    if !recipients.is_empty() {
        put(&mut out, Field::ActorEmail, email.as_bytes());
    }
    put(&mut out, Field::Message, message.as_bytes());
    put(&mut out, Field::Attributes, attributes.as_bytes());
    recipients.iter().for_each(|r| put(&mut out, Field::NotificationRecipient, r.as_bytes()));
    out
}

/// Patterns as the reference reads them, over a text, a loose text, several columns, a list and JSON.
#[test]
fn patterns_mean_the_same_wherever_they_are_made_ready() {
    let rows: Vec<Vec<u8>> = ["Abc def", "a_b-c", "", "ab*c", "ÄBC", "a\\b"]
        .iter()
        .enumerate()
        .map(|(i, text)| {
            let recipients = [text.to_uppercase(), "z".into()];
            row(i, text, "A@b.c", text, &serde_json::json!({ "k": [text, 7] }).to_string(), &recipients)
        })
        .collect();
    let mut builder = BatchBuilder::new();
    for (i, row) in rows.iter().enumerate() {
        builder.push(RowRef { tenant: "t", index: i as u64, recorded_at: 0, kind: 0, row }).unwrap();
    }
    let batch = builder.finish().unwrap();
    let get = |column: usize| batch.columns().get(column).cloned();
    for key in ["message", "action", "actor.email", "attributes.k", "notification.recipient"] {
        for pattern in ["a*", "*C", "a*c*f", "*b*", "*_b*", "*b c", "A%", r"*\**", r"a\\*", "z*", "*ä*", "a*a*a*a"] {
            for sign in ["", "-"] {
                let filter = text::parse(&format!("{sign}{key}:{pattern}"), View::Records, &Clock::utc(0)).unwrap();
                let matcher = Matcher::new(View::Records, filter.clone(), true);
                let found = matcher.evaluate_with(rows.len(), &get).unwrap();
                for at in 0..rows.len() {
                    let value = |key: &Key| {
                        let arrays: Vec<ArrayRef> = key_sources(key).into_iter().filter_map(get).collect();
                        value_at(key, &arrays, at)
                    };
                    let said = filter.matches(View::Records, &value);
                    assert_eq!(found.value(at), said, "{sign}{key}:{pattern} of row {at}");
                }
            }
        }
    }
}

#[test]
fn nothing_is_evaluated_after_the_time() {
    let rows = row(0, "a", "b", "c", "{}", &[]);
    let mut builder = BatchBuilder::new();
    builder.push(RowRef { tenant: "t", index: 0, recorded_at: 0, kind: 0, row: &rows }).unwrap();
    let batch = builder.finish().unwrap();
    let filter = text::parse("message:a* OR id:x", View::Records, &Clock::utc(0)).unwrap();
    let deadline = Deadline::while_wanted();
    let matcher = Matcher::new(View::Records, filter, true).within(&deadline);
    let evaluate = || matcher.evaluate_with(1, &|c| batch.columns().get(c).cloned());
    assert!(evaluate().unwrap().value(0));
    deadline.stop();
    let e = crate::Error::from(evaluate().unwrap_err());
    assert!(matches!(e, crate::Error::Ended(crate::Ended::Unwanted)), "{e:?}");
}

proptest! {
    /// What is left out before the filter is evaluated would not have matched.
    #[test]
    fn needs_leave_out_nothing_that_matches(
        rows in prop::collection::vec(
            ("[abKkÄ _.]{0,6}", "[abK@]{1,4}", "[ab_. -]{1,4}", "[abk]{1,3}", prop::collection::vec("[ab]{1,2}", 0..2)), 1..30),
        key in prop::sample::select(vec!["message", "actor.email", "action", "attributes.k", "id"]),
        test in prop::sample::select(vec![":", "~"]),
        value in "[abk ]{1,3}", other in "[abk]{1,2}", shape in 0..5usize,
    ) {
        let one = format!("{key}{test}\"{value}\"");
        let filter = match shape {
            0 => one,
            1 => format!("NOT {one}"),
            2 => format!("{one} OR message~\"{other}\""),
            3 => format!("{one} AND message~\"{other}\""),
            _ => format!("\"{other}\""),
        };
        let filter = text::parse(&filter, View::Records, &Clock::utc(0)).unwrap();
        let matcher = Matcher::new(View::Records, filter, true);
        let rows: Vec<Vec<u8>> = rows.iter().enumerate().map(|(i, (message, email, action, value, recipients))| {
            row(i, message, email, action, &format!("{{\"k\":\"{value}\"}}"), recipients)
        }).collect();
        let mut builder = BatchBuilder::new();
        for (i, row) in rows.iter().enumerate() {
            builder.push(RowRef { tenant: "t", index: i as u64, recorded_at: 0, kind: 0, row }).unwrap();
        }
        let batch = builder.finish().unwrap();
        let found = matcher.evaluate_with(rows.len(), &|c| batch.columns().get(c).cloned()).unwrap();
        let mut test = RowTest::new(matcher.needs());
        for (i, row) in rows.iter().enumerate() {
            prop_assert!(!found.value(i) || test.can_match(row), "{:?}", fields(row).collect::<Vec<_>>());
        }
    }
}
