//! Attributes that come as a list where their system writes an object: forwarders and some storages make pairs of a map.
//!
//! Owns reading such a list. Only one that says what the object would is read: a list with a name that stands in it twice, or with anything
//! that is no pair, is left as it is.

use crate::object::Object;
use crate::split;
use std::collections::HashSet;

/// What the two members of a pair are called.
const NAMES: [[&str; 2]; 3] = [["key", "value"], ["name", "value"], ["Key", "Value"]];

/// The object that the pairs of a list make: `{key, value}` (or `{name, value}`), or objects of one member each.
pub(crate) fn object(list: &str) -> Option<Object<'static>> {
    if !list.starts_with('[') {
        return None;
    }
    let mut object = Object::default();
    let mut names = HashSet::new();
    for piece in split::records(list) {
        let text = piece.text.ok()?;
        let (name, value) = pair(&mut Object::parse(&text).ok()?)?;
        if !names.insert(name.clone()) {
            return None;
        }
        object.add(name, value);
    }
    (!names.is_empty()).then_some(object)
}

fn pair(pair: &mut Object<'_>) -> Option<(String, String)> {
    let members: Vec<String> = pair.names().map(str::to_owned).collect();
    let is_pair = |names: &&[&str; 2]| members.len() == 2 && names.iter().all(|name| members.iter().any(|m| m == name));
    if let Some([name, value]) = NAMES.iter().find(is_pair) {
        let said = pair.text(name)?.into_owned();
        return Some((said, pair.take_member(value)?.into_owned()));
    }
    match members.as_slice() {
        [name] => Some((name.clone(), pair.take_member(name)?.into_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(list: &str) -> Option<String> {
        let mut out = String::new();
        object(list)?.write_members(&mut out);
        Some(out)
    }

    #[test]
    fn a_list_of_pairs_is_an_object() {
        let made = Some(r#""a":"1","b.c":{"d":2}"#.to_owned());
        assert_eq!(written(r#"[{"key":"a","value":"1"},{"value":{"d":2},"key":"b.c"}]"#), made);
        assert_eq!(written(r#"[{"name":"a","value":"1"},{"b.c":{"d":2}}]"#), made);
    }

    #[test]
    fn what_would_lose_something_is_left() {
        for list in [
            "{}",
            "[]",
            "[1]",
            "[",
            "null",
            r#"[{"key":"a","value":1},{"key":"a","value":2}]"#,
            r#"[{"a":1},{"a":1}]"#,
            r#"[{"key":"a","value":1,"more":2}]"#,
            r#"[{"key":1,"value":1}]"#,
            r#"[{"key":"a","value":1},[]]"#,
            r#"[{"a":1,"b":2}]"#,
            "[{}]",
        ] {
            assert_eq!(written(list), None, "{list}");
        }
    }
}
