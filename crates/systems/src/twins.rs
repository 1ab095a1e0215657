//! Two stored forms of one action that its system wrote in two shapes: with one of them only, or with both.
//!
//! Owns telling whether two rows are that, for systems that write twice ([`crate::System::writes_twice`]). Not here: how the two are put together
//! (`asgardeo::pair`), and what is stored of them (the server).

use crate::envelope::MARKS;
use event::Field;
use event::encode::fields;
use serde_json::Value;

/// The member of the attributes that has the other shape.
const OTHER: &str = "legacy";
/// The mark that names it.
const TWIN: &str = "twin";
/// The one that has what stood before a record in its line, and the one that has what the line's shipper added: it is no part of
/// the record, which is the same without it.
const LINE: &str = "line";
const SHIPPER: &str = "log";

/// What a row says, without the other shape; and the other shape.
fn apart(row: &[u8]) -> Option<(Vec<(Field, Value)>, Value)> {
    let mut other = Value::Null;
    let mut rest = Vec::new();
    for stored in fields(row) {
        let stored = stored.ok()?;
        let mut value: Value = match stored.field {
            Field::Attributes | Field::Redactions => serde_json::from_str(stored.text()?).ok()?,
            // Of a field that is no text its bytes are as good.
            _ => stored.value.into(),
        };
        if stored.field == Field::Attributes {
            if let Some(members) = value.as_object_mut() {
                other = members.remove(OTHER).unwrap_or_default();
                if members.contains_key(LINE) {
                    members.remove(SHIPPER);
                }
                // Which shape it came in is said there as well.
                if let Some(marks) = members.get_mut(MARKS).and_then(Value::as_object_mut) {
                    marks.remove("shape");
                    // And by what name the other is known, if it is by any.
                    marks.remove(TWIN);
                }
            }
        } else if let (Field::Redactions, Some(list)) = (stored.field, value.as_array_mut()) {
            let aside = ["/attributes/legacy", "/attributes/log/"];
            list.retain(|redaction| aside.iter().all(|place| !redaction.to_string().contains(place)));
            if list.is_empty() {
                continue;
            }
        }
        rest.push((stored.field, value));
    }
    Some((rest, other))
}

/// Whether a row is a record of both shapes, and this id is what the other of them would have by itself.
pub fn holds(row: &[u8], other: &str) -> bool {
    let attributes = fields(row).map_while(Result::ok).find(|stored| stored.field == Field::Attributes);
    let members: Option<Value> = attributes.and_then(|stored| serde_json::from_str(stored.text()?).ok());
    members.is_some_and(|members| {
        let named = members.get(MARKS).and_then(|marks| marks.get(TWIN)).and_then(Value::as_str);
        members.get(OTHER).is_some() && named == Some(other)
    })
}

/// Whether two rows are one record but for the other shape, and then whether that of `sent` is still to be stored.
pub fn same(stored: &[u8], sent: &[u8]) -> Option<bool> {
    let ((stored, theirs), (sent, ours)) = (apart(stored)?, apart(sent)?);
    (stored == sent).then(|| !ours.is_null() && ours != theirs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::parse::Parser;
    use event::redact::Rules;
    use serde_json::json;

    fn row(attributes: Value, action: &str) -> Vec<u8> {
        let text = json!({ "id": "e", "time": "2026-11-20T12:00:00Z", "log": "audit", "action": action, "attributes": attributes });
        let rules = Rules::default();
        let mut out = Vec::new();
        let parser = Parser { rules: &rules, tenant: "t", now: 1_795_178_096_000_000 };
        parser.parse(&text.to_string(), &mut || "made".into(), &mut out).unwrap();
        out
    }

    #[test]
    fn a_record_with_its_twin_is_the_same_and_the_twin_is_left() {
        let alone = row(json!({ "data": 1, "_indelible": { "inferred": ["outcome"] } }), "add-user");
        let marks = json!({ "inferred": ["outcome"], "shape": "v2 and legacy" });
        let both = |legacy: Value| row(json!({ "data": 1, "_indelible": marks, "legacy": legacy }), "add-user");
        let pair = both(json!({ "action": "Add-User", "data": { "password": "hunter2" } }));
        assert_eq!(same(&alone, &pair), Some(true), "it is not stored yet");
        assert_eq!(same(&pair, &alone), Some(false), "all of it is stored");
        assert_eq!(same(&pair, &pair), Some(false));
        assert_eq!(same(&pair, &both(json!("another line"))), Some(true), "another twin");
        assert_eq!(
            same(&alone, &row(json!({ "data": 2, "_indelible": { "inferred": ["outcome"] } }), "add-user")),
            None
        );
        assert_eq!(same(&pair, &row(json!({ "data": 1 }), "delete-user")), None);
        assert_eq!(same(b"\xff\xff", &pair), None);
        let named = json!({ "inferred": ["outcome"], "shape": "v2 and legacy", "twin": "line-1" });
        let held = row(json!({ "data": 1, "_indelible": named, "legacy": "a line" }), "add-user");
        assert!(holds(&held, "line-1") && !holds(&held, "line-2") && !holds(&pair, "line-1"));
        let named = row(json!({ "data": 1, "_indelible": { "inferred": ["outcome"], "twin": "line-1" } }), "add-user");
        assert!(!holds(&named, "line-1"), "it names the line and does not have it");
        assert_eq!((same(&alone, &named), same(&alone, &held)), (Some(false), Some(true)));
        assert!(!holds(b"\xff\xff", ""));
        let line = |log: Value| row(json!({ "data": 1, "line": "TID: [1]", "log": log }), "add-user");
        let bare = row(json!({ "data": 1, "line": "TID: [1]" }), "add-user");
        let shipped = line(json!({ "host": "a", "token": "hunter2" }));
        assert_eq!((same(&bare, &shipped), same(&shipped, &bare)), (Some(false), Some(false)), "a shipper's words");
        let own = |log: u8| row(json!({ "data": 1, "log": log }), "add-user");
        assert_eq!(same(&own(1), &own(2)), None, "without a line it is the record's own");
    }
}
