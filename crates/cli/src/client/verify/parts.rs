//! The record shown against the bytes that were sealed: nothing added, nothing left out, nothing changed.
//!
//! Owns the reading of stored parts (`docs/formats/record.md`) as an outsider does it. Whether the bytes were
//! sealed at all is for [`super::file`].

use std::collections::BTreeMap;

use event::encode::{Stored, fields, parts};
use event::fields::{FIELDS, Field, Kind, Part};
use serde_json::{Map, Number, Value};

use crate::client::Failure;

/// Members of a record that the ledger sets; they are not in the parts.
const SET_BY_LEDGER: [&str; 4] = ["index", "recorded_at", "leaf_hash", "tenant"];

/// A part's label and its bytes; no bytes where only its digest is known.
pub(super) type NamedPart = (String, Option<Vec<u8>>);

/// Compares the fields in the parts with the record, both ways. Gives the number of fields.
pub(super) fn compare(rows: &[NamedPart], record: &Map<String, Value>) -> Result<usize, Failure> {
    let wrong = |what: String| Failure::integrity(what);
    let mut sealed: BTreeMap<Field, Value> = BTreeMap::new();
    let mut whole = Vec::new();
    let mut bounds = Vec::new();
    for (n, (name, bytes)) in rows.iter().enumerate() {
        let Some(bytes) = bytes else { continue };
        let mut part = None;
        for stored in fields(bytes) {
            let stored = stored.map_err(|e| wrong(format!("part {n} ({name}): {e}")))?;
            let spec = stored.field.spec();
            if *part.get_or_insert(spec.part) != spec.part {
                return Err(wrong(format!("part {n} ({name}) mixes fields of different parts")));
            }
            let value =
                value(&stored).ok_or_else(|| wrong(format!("part {n} ({name}) has a malformed {}", spec.path)))?;
            match (spec.kind, sealed.get_mut(&stored.field)) {
                (Kind::List, Some(Value::Array(list))) => list.push(value),
                (Kind::List, _) => drop(sealed.insert(stored.field, Value::Array(vec![value]))),
                (_, Some(_)) => return Err(wrong(format!("{} stands in two parts", spec.path))),
                (_, None) => drop(sealed.insert(stored.field, value)),
            }
        }
        let Some(part) = part else { return Err(wrong(format!("part {n} ({name}) is empty"))) };
        let label: String = name.chars().take_while(char::is_ascii_alphabetic).collect();
        if !label.is_empty() && label != part_name(part) {
            return Err(wrong(format!("part {n} is called {name} and holds the fields of {}", part_name(part))));
        }
        whole.extend_from_slice(bytes);
        bounds.push(bytes.len());
    }
    // All parts together are the stored record, and it falls into these parts and no others.
    let mut split = Vec::new();
    parts(&whole, |part| split.push(part.bytes.len()))
        .map_err(|e| wrong(format!("the parts are not in order: {e}")))?;
    if rows.iter().all(|(_, bytes)| bytes.is_some()) && split != bounds {
        return Err(wrong("the parts are not cut where a record's parts are".to_owned()));
    }

    let shown = shown(record)?;
    for (field, value) in &sealed {
        let path = field.spec().path;
        match shown.get(field) {
            None => return Err(wrong(format!("{path} was sealed and is missing in the record shown"))),
            Some(shown) if !same(field.spec().kind, value, shown) => {
                return Err(wrong(format!("{path} in the record shown is not what was sealed")));
            }
            Some(_) => {}
        }
    }
    if let Some(field) = shown.keys().find(|field| !sealed.contains_key(field)) {
        return Err(wrong(format!("{} is in the record shown and was not sealed", field.spec().path)));
    }
    Ok(sealed.len())
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Core => "core",
        Part::Actor => "actor",
        Part::Target => "target",
        Part::Subject => "subject",
        Part::Holder => "holder",
        Part::Recipient => "recipient",
    }
}

/// A stored field's value as the record shows it; a list field gives one element.
fn value(stored: &Stored<'_>) -> Option<Value> {
    Some(match stored.field.spec().kind {
        Kind::Text | Kind::List => Value::from(stored.text()?),
        Kind::Json => serde_json::from_str(stored.text()?).ok()?,
        Kind::Time => Value::from(stored.time()?),
        Kind::Bool => Value::from(*stored.value.first()? == 1),
    })
}

/// The record's members by field. Null, and a group or list without anything in it, say nothing.
fn shown(record: &Map<String, Value>) -> Result<BTreeMap<Field, &Value>, Failure> {
    let unknown = |path: &str| Failure::integrity(format!("{path} is in the record shown and was not sealed"));
    let mut found = BTreeMap::new();
    for (key, value) in record {
        if SET_BY_LEDGER.contains(&key.as_str()) || value.is_null() {
            continue;
        }
        let field = Field::from_path(key).filter(|field| !field.spec().path.contains('.'));
        if let Some(field) = field {
            found.insert(field, value);
            continue;
        }
        let group = FIELDS.iter().any(|spec| spec.path.split_once('.').is_some_and(|(group, _)| group == key));
        let members = value.as_object().filter(|_| group).ok_or_else(|| unknown(key))?;
        for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
            let path = format!("{key}.{name}");
            let field = Field::from_path(&path).ok_or_else(|| unknown(&path))?;
            if field.spec().kind != Kind::List || value.as_array().is_none_or(|list| !list.is_empty()) {
                found.insert(field, value);
            }
        }
    }
    Ok(found)
}

fn same(kind: Kind, sealed: &Value, shown: &Value) -> bool {
    match kind {
        Kind::Time => shown.as_str().and_then(event::time::parse).map(Value::from).as_ref() == Some(sealed),
        Kind::Json => same_json(sealed, shown),
        Kind::Text | Kind::List | Kind::Bool => sealed == shown,
    }
}

/// Equal as JSON values: the spelling of a number does not matter, its value does.
fn same_json(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same_json(a, b)))
        }
        _ => a == b,
    }
}

fn same_number(a: &Number, b: &Number) -> bool {
    // Whole numbers are compared as such: as doubles, two that differ past 2^53 would be equal.
    a == b || ((a.is_f64() || b.is_f64()) && a.as_f64().is_some() && a.as_f64() == b.as_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::encode::{put, put_time};

    fn row(list: &[(Field, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        list.iter().for_each(|(field, value)| put(&mut out, *field, value));
        out
    }

    fn record(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    fn rows() -> Vec<NamedPart> {
        let mut core = row(&[(Field::Id, b"1"), (Field::Log, b"notification")]);
        put_time(&mut core, Field::Time, 5);
        put(&mut core, Field::Irreversible, &[1]);
        vec![
            ("core".into(), Some(core)),
            (
                "actor".into(),
                Some(row(&[
                    (Field::Email, b"a@b"),
                    (Field::Attributes, br#"{"n":1e+21,"z":[1.5,12345678901234567]}"#),
                ])),
            ),
            ("recipient".into(), Some(row(&[(Field::NotificationRecipient, b"x@e")]))),
            ("recipient".into(), Some(row(&[(Field::NotificationRecipient, b"y@e")]))),
            ("recipient".into(), Some(row(&[(Field::NotificationBody, b"hello")]))),
        ]
    }

    const SHOWN: &str = r#"{"id":"1","log":"notification","time":"1970-01-01T00:00:00.000005Z","irreversible":true,"email":"a@b","index":0,
        "attributes":{"z":[15e-1,12345678901234567],"n":1000000000000000000000},"old":null,"tenant":"t",
        "notification":{"recipient":["x@e","y@e"],"body":"hello","cc":[],"subject":null}}"#;

    #[test]
    fn the_record_is_its_parts() {
        assert_eq!(compare(&rows(), &record(SHOWN)), Ok(8));
    }

    #[test]
    fn every_difference_is_named() {
        let cases = [
            (r#""email":"a@b""#, r#""email":"a@c""#, "email in the record"),
            (r#""email":"a@b","#, "", "email was sealed and is missing"),
            (r#""email":"a@b""#, r#""email":"a@b","username":"u""#, "username is in the record shown and was not"),
            (r#""email":"a@b""#, r#""email":"a@b","extra":1"#, "extra is in the record shown"),
            (r#""body":"hello""#, r#""body":"hello","colour":"red""#, "notification.colour is in"),
            (r#"["x@e","y@e"]"#, r#"["y@e","x@e"]"#, "notification.recipient in"),
            ("12345678901234567]", "12345678901234568]", "attributes in"),
            ("15e-1", "15e-2", "attributes in"),
            ("true", "false", "irreversible in"),
            ("000005Z", "000006Z", "time in"),
            (r#""id":"1""#, r#""id":1"#, "id in"),
        ];
        for (from, to, want) in cases {
            assert!(SHOWN.contains(from), "{from}");
            let failure = compare(&rows(), &record(&SHOWN.replace(from, to))).unwrap_err();
            assert!(failure.message.starts_with(want), "{to}: {failure}");
        }
    }

    #[test]
    fn parts_are_whole_and_in_place() {
        let check = |change: fn(&mut Vec<NamedPart>)| {
            let mut rows = rows();
            change(&mut rows);
            compare(&rows, &record(SHOWN)).unwrap_err().message
        };
        assert!(check(|rows| rows.swap(0, 1)).contains("not in order"));
        assert!(check(|rows| rows[1].0 = "target".into()).contains("is called target"));
        assert!(check(|rows| rows[2].1 = Some(Vec::new())).contains("is empty"));
        assert!(
            check(|rows| {
                rows[1].1.as_mut().unwrap().pop();
            })
            .contains("ends inside")
        );
        assert!(
            check(|rows| {
                let second = rows.remove(3).1.unwrap();
                rows[2].1.as_mut().unwrap().extend(second);
            })
            .contains("not cut where")
        );
    }

    #[test]
    fn a_closed_part_shows_nothing() {
        let mut rows = rows();
        rows[1].1 = None;
        let failure = compare(&rows, &record(SHOWN)).unwrap_err();
        assert!(failure.message.contains("was not sealed"), "{failure}");
        let mut shown = record(SHOWN);
        shown.remove("email");
        shown.remove("attributes");
        assert_eq!(compare(&rows, &shown), Ok(6));
    }
}
