//! A known state and a new one: what is derived and what is marked is sound JSON.
#![no_main]
use libfuzzer_sys::fuzz_target;
use systems::change::{Change, Says, follow, mark, unmark};

fuzz_target!(|texts: (&str, &str)| {
    let (known, new) = texts;
    let hidden: &[&str] = if known.len() % 2 == 0 { &[] } else { &["/secret", "/attributes/a"] };
    for says in [Says::Begin, Says::Part, Says::Gone, Says::Nothing] {
        let change = Change {
            entity: "r users/1".into(),
            alias: None,
            becomes: None,
            says,
            inside: &["attributes"],
            own: &["id"],
            names: &["username"],
            at: (new.len() % 3 == 0).then_some(new.len() as i64),
            words: None,
        };
        let (_, derived) = follow(&change, Some(known), Some(new), hidden);
        if let Some(diff) = derived.diff {
            serde_json::from_str::<&serde_json::value::RawValue>(&diff).unwrap();
        }
        follow(&change, None, Some(new), hidden);
    }
    let sound = |text: &str| serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
    if let Some(marked) = mark(known, &["old"]) {
        assert!(!sound(known) || sound(&marked));
    }
    unmark(known);
});
