//! What a record says about the state of an entity, and what follows from the state known before it.
//!
//! Owns: the words for that ([`Change`]), how a part of a state is laid over the whole ([`after`]), what old state and
//! difference follow ([`derive()`]), and the mark on what was derived ([`mark`]). All of it is text in, text out. Not here:
//! which native records say something (each system's folder), and where states are kept and for how long (the caller).
//!
//! Identity systems tend to send the state after a change and never the one before. What they send is often a part: the
//! members that the request had. So a derived old state has only members that the record speaks of too, and a member that
//! was never heard of before is not called added.

use crate::envelope::MARKS;
use crate::object::Object;
use std::borrow::Cow;

/// What one record says about one entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The entity, unique within the source: `realm users/7f…`. States are kept under it.
    pub entity: String,
    /// What the record's `new` is.
    pub says: Says,
    /// Members of the state that are objects and are changed member by member as well.
    pub inside: &'static [&'static str],
    /// Members that hold what people call the entity, the best first.
    pub names: &'static [&'static str],
}

/// What a record's `new` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// The state at the beginning: whatever was known under this name was another entity.
    Begin,
    /// Members that have these values now; all others are as they were.
    Part,
    /// Nothing: the entity is gone.
    Gone,
    /// Nothing about the state; the record is about the entity all the same.
    Nothing,
}

/// What follows from the state before a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Derived {
    /// The old state, JSON: of the members that the record speaks of.
    pub old: Option<String>,
    /// The difference, in the notation of [`event::diff`].
    pub diff: Option<String>,
    /// What the entity is called.
    pub name: Option<String>,
}

impl Derived {
    /// Whether nothing follows.
    pub fn is_empty(&self) -> bool {
        self.old.is_none() && self.diff.is_none() && self.name.is_none()
    }
}

/// What follows from the state `known` before a record whose new state is `new`. Both MUST be redacted already, in the
/// canonical form: what is given back is stored as it is.
pub fn derive(change: &Change, known: &str, new: Option<&str>) -> Derived {
    let mut derived = Derived { name: name_in(known, change.names), ..Derived::default() };
    match (change.says, new) {
        (Says::Part, Some(new)) => {
            let Some(common) = common(known, new, change.inside) else { return derived };
            if let Some((was, is)) = &common.changed {
                derived.diff = event::diff::diff(was, is).ok().flatten().map(|diff| diff.json);
            }
            derived.old = Some(common.old);
        }
        (Says::Gone, None) => derived.old = Some(known.to_owned()),
        _ => {}
    }
    derived
}

/// The state after a record; `None` where none is known.
pub fn after(change: &Change, known: Option<&str>, new: Option<&str>) -> Option<String> {
    match (change.says, new) {
        (Says::Gone, _) | (Says::Begin, None) => None,
        (Says::Nothing, _) | (Says::Part, None) => known.map(str::to_owned),
        (Says::Begin, Some(new)) => is_object(new).then(|| new.to_owned()),
        (Says::Part, Some(new)) => match known {
            None => is_object(new).then(|| new.to_owned()),
            Some(known) => overlaid(known, new, change.inside).or_else(|| Some(known.to_owned())),
        },
    }
}

/// Attributes with the mark that these envelope paths were derived. Not canonical.
pub fn mark(attributes: &str, paths: &[&str]) -> Option<String> {
    let mut list = String::from("[");
    for path in paths {
        if list.len() > 1 {
            list.push(',');
        }
        event::json::write_string(&mut list, path);
    }
    list.push(']');
    let mut all = Object::parse(attributes).ok()?;
    match all.inner(MARKS) {
        Some(marks) => marks.add(DERIVED, list),
        None => {
            let mut marks = Object::default();
            marks.add(DERIVED, list);
            all.add_object(MARKS, marks);
        }
    }
    Some(text(&all))
}

/// The name of the mark inside [`MARKS`].
pub const DERIVED: &str = "derived";

/// Takes the mark away again: the attributes as they were, and the paths it named.
pub fn unmark(attributes: &str) -> Option<(String, Vec<String>)> {
    let mut all = Object::parse(attributes).ok()?;
    let marks = all.inner(MARKS)?;
    let paths: Vec<String> = serde_json::from_str(&marks.take(DERIVED)?).ok()?;
    if marks.is_empty() {
        all.take_object(MARKS);
    }
    Some((text(&all), paths))
}

/// What an entity is called by its own state.
pub fn name_in(state: &str, names: &[&str]) -> Option<String> {
    let mut state = Object::parse(state).ok()?;
    names.iter().find_map(|name| state.text(name).filter(|text| !text.is_empty()).map(Cow::into_owned))
}

fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// The members that both states have.
struct Common {
    /// With their old values.
    old: String,
    /// Of them those that are not the same text now: old and new. A state is canonical, so the same text is the same value,
    /// and only what differs needs to be compared.
    changed: Option<(String, String)>,
}

/// `None` where there are none, or one of the two is no object.
fn common(known: &str, new: &str, inside: &[&str]) -> Option<Common> {
    let (mut known, mut new) = (Object::parse(known).ok()?, Object::parse(new).ok()?);
    let (mut old, mut was_changed, mut is_changed) = (Object::default(), Object::default(), Object::default());
    let names: Vec<String> = new.names().map(str::to_owned).collect();
    for name in names {
        let Some((was, is)) = known.take_member(&name).zip(new.take_member(&name)) else { continue };
        let both = inside.contains(&name.as_str()).then(|| common(&was, &is, &[])).flatten();
        let (kept, changed) = match both {
            Some(both) => (Cow::Owned(both.old), both.changed.map(|(was, is)| (Cow::Owned(was), Cow::Owned(is)))),
            None if was == is => (was, None),
            None => (was.clone(), Some((was, is))),
        };
        if let Some((was, is)) = changed {
            was_changed.add(name.clone(), was);
            is_changed.add(name.clone(), is);
        }
        old.add(name, kept);
    }
    let changed = (!was_changed.is_empty()).then(|| (text(&was_changed), text(&is_changed)));
    (!old.is_empty()).then(|| Common { old: text(&old), changed })
}

/// `known` with the members of `new` in their place. `None` where one is no object.
fn overlaid(known: &str, new: &str, inside: &[&str]) -> Option<String> {
    let (mut state, mut new) = (Object::parse(known).ok()?, Object::parse(new).ok()?);
    let names: Vec<String> = new.names().map(str::to_owned).collect();
    for name in names {
        let Some(is) = new.take_member(&name) else { continue };
        let was = state.take_member(&name);
        let both = was.filter(|_| inside.contains(&name.as_str())).and_then(|was| overlaid(&was, &is, &[]));
        state.add(name, both.map_or(is, Cow::Owned));
    }
    Some(text(&sorted(state)))
}

/// The members in canonical order: both sides had it, and so has what is stored.
fn sorted(mut object: Object<'_>) -> Object<'_> {
    let mut names: Vec<String> = object.names().map(str::to_owned).collect();
    names.sort_by(|a, b| event::json::key_order(a, b));
    let mut out = Object::default();
    for name in names {
        if let Some(value) = object.take_member(&name) {
            out.add(name, value);
        }
    }
    out
}

fn text(object: &Object<'_>) -> String {
    let mut out = String::from("{");
    object.write_members(&mut out);
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn change(says: Says) -> Change {
        Change { entity: "r users/1".into(), says, inside: &["attributes"], names: &["username", "name"] }
    }

    fn value(text: Option<&str>) -> Value {
        text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
    }

    #[test]
    fn an_old_state_has_what_the_record_speaks_of() {
        let known = r#"{"email":"a@x","enabled":true,"username":"ann"}"#;
        let derived = derive(&change(Says::Part), known, Some(r#"{"access":{},"enabled":false}"#));
        assert_eq!(value(derived.old.as_deref()), json!({"enabled": true}));
        assert_eq!(value(derived.diff.as_deref()), json!({"enabled": {"__old": true, "__new": false}}));
        assert_eq!(derived.name.as_deref(), Some("ann"));
        let derived = derive(&change(Says::Part), known, Some(r#"{"email":"a@x"}"#));
        assert_eq!((value(derived.old.as_deref()), derived.diff), (json!({"email": "a@x"}), None));
        let derived = derive(&change(Says::Part), known, Some(r#"{"other":1}"#));
        assert_eq!((derived.old, derived.diff), (None, None), "nothing was known of it");
    }

    #[test]
    fn members_inside_are_compared_one_by_one_where_they_are_changed_so() {
        let known = r#"{"attributes":{"a":"1","b":"2"},"other":{"a":"1","b":"2"}}"#;
        let new = r#"{"attributes":{"b":"3"},"other":{"b":"3"}}"#;
        let derived = derive(&change(Says::Part), known, Some(new));
        assert_eq!(
            value(derived.diff.as_deref()),
            json!({"attributes": {"b": {"__old": "2", "__new": "3"}}, "other": {"a__deleted": "1", "b": {"__old": "2", "__new": "3"}}})
        );
        let state = after(&change(Says::Part), Some(known), Some(new));
        assert_eq!(state.as_deref(), Some(r#"{"attributes":{"a":"1","b":"3"},"other":{"b":"3"}}"#));
        let state = after(&change(Says::Part), Some(r#"{"b":1,"d":2}"#), Some(r#"{"a":0,"b":3,"c":4}"#));
        assert_eq!(state.as_deref(), Some(r#"{"a":0,"b":3,"c":4,"d":2}"#), "in canonical order");
    }

    #[test]
    fn a_state_begins_goes_on_and_ends() {
        let begin = after(&change(Says::Begin), Some(r#"{"x":1}"#), Some(r#"{"y":2}"#));
        assert_eq!(begin.as_deref(), Some(r#"{"y":2}"#), "another one of the same name");
        assert_eq!(after(&change(Says::Nothing), begin.as_deref(), Some("[1]")).as_deref(), Some(r#"{"y":2}"#));
        assert_eq!(after(&change(Says::Part), begin.as_deref(), Some("[1]")).as_deref(), Some(r#"{"y":2}"#));
        assert_eq!(after(&change(Says::Part), None, Some("[1]")), None);
        assert_eq!(after(&change(Says::Gone), begin.as_deref(), None), None);
        assert_eq!(derive(&change(Says::Gone), r#"{"name":"b"}"#, None).old.as_deref(), Some(r#"{"name":"b"}"#));
        assert_eq!(derive(&change(Says::Gone), r#"{"name":"b"}"#, Some("{}")).old, None);
    }

    #[test]
    fn a_mark_is_put_beside_others_and_taken_away_again() {
        for attributes in ["{}", r#"{"a":1}"#, r#"{"_indelible":{"id":"made"},"a":1}"#] {
            let marked = mark(attributes, &["old", "diff"]).unwrap();
            assert_eq!(value(Some(&marked))["_indelible"]["derived"], json!(["old", "diff"]), "{marked}");
            let (back, paths) = unmark(&marked).unwrap();
            assert_eq!((value(Some(&back)), paths), (value(Some(attributes)), vec!["old".into(), "diff".into()]));
            assert_eq!(unmark(attributes), None);
        }
    }

    proptest! {
        #[test]
        fn never_panics(known in "[\\PC]{0,60}", new in "\\{\"(a|attributes|name)\":[\\PC]{0,40}\\}") {
            for says in [Says::Begin, Says::Part, Says::Gone, Says::Nothing] {
                for (known, new) in [(&known, &new), (&new, &known)] {
                    derive(&change(says), known, Some(new));
                    after(&change(says), Some(known), Some(new));
                }
            }
            mark(&new, &["old"]);
            unmark(&known);
            unmark(&new);
        }
    }
}
