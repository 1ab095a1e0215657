//! One action that its system wrote twice, in two shapes: a record that is stored with one of them only, or with both, and comes
//! again otherwise.
//!
//! Owns telling such a repetition from another record, and what is left to store of it. How the two are put together and taken
//! apart is `systems`' matter. Without this it would be a conflict of ids, and the part that is new would be lost.

use crate::app::App;
use crate::intake::{self, Taken};
use crate::native::{Natives, Posted, Reader};
use crate::prepare;
use crate::problem::Problem;
use catalog::Tenant;
use event::Field;
use event::encode::fields;
use serde_json::Value;
use std::sync::Arc;

/// The member of the attributes that has the other shape.
const OTHER: &str = "legacy";

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
                // Which shape it came in is said there as well.
                if let Some(marks) = members.get_mut("_indelible").and_then(Value::as_object_mut) {
                    marks.remove("shape");
                }
            }
        } else if let (Field::Redactions, Some(list)) = (stored.field, value.as_array_mut()) {
            list.retain(|redaction| !redaction.to_string().contains("/attributes/legacy"));
            if list.is_empty() {
                continue;
            }
        }
        rest.push((stored.field, value));
    }
    Some((rest, other))
}

/// Whether two rows are one record but for the other shape, and then whether that of `sent` is still to be stored.
pub(crate) fn same(stored: &[u8], sent: &[u8]) -> Option<bool> {
    let ((stored, theirs), (sent, ours)) = (apart(stored)?, apart(sent)?);
    (stored == sent).then(|| !ours.is_null() && ours != theirs)
}

/// Stores what is left of records whose first shape was there already (`taken.apart`), each as a record of its own.
///
/// # Errors
/// A problem with the rest of the body stored; sent again, that is known by its ids.
pub(crate) async fn rest(
    app: &App,
    tenant: &Arc<Tenant>,
    reader: Reader,
    signature: Option<&'static str>,
    natives: &Natives<'_>,
    taken: &mut Taken,
) -> Result<(), Problem> {
    let mut lines = std::mem::take(&mut taken.apart);
    lines.sort_unstable();
    let (mut texts, mut of) = (Vec::new(), Vec::new());
    for record in natives.list.iter().filter(|record| lines.binary_search(&record.line).is_ok()) {
        let Ok(native) = &record.native else { continue };
        if let Some(text) = natives.system.twin(native) {
            texts.push(text);
            of.push(record.line);
        }
    }
    if texts.is_empty() {
        return Ok(());
    }
    let posted = Posted::inside(format!("[{}]", texts.join(","))).with_signature(signature);
    let mut next = intake::take_with(app, Arc::clone(tenant), move |app, tenant| {
        reader.read(app, tenant, &posted, |natives| prepare::native(app, tenant, &natives, 0..natives.list.len()))
    })
    .await
    .map_err(|problem| {
        problem.adding("the rest of this body was taken before; with all of it sent again it is a duplicate")
    })?;
    // They are told of under the lines that they came in.
    let line = |n: usize| n.checked_sub(1).and_then(|n| of.get(n)).copied().unwrap_or(n);
    next.sealed.iter_mut().for_each(|sealed| sealed.0 = line(sealed.0));
    next.refused.iter_mut().for_each(|refused| refused.0 = line(refused.0));
    next.unparsed.iter_mut().for_each(|unparsed| unparsed.0 = line(unparsed.0));
    taken.add(next);
    Ok(())
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
    }
}
