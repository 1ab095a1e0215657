//! Records that end many sessions or grants at once: all of a user's, all of a realm's, or several that they name.
//!
//! One that names them has their ids in `attributes._indelible.sessions`, because the field has room for one. One that names none of
//! them says what the sessions (or grants) it ends have in common with it (`attributes._indelible.ends`): paths of the envelope, and JSON
//! pointers into the attributes, each with the same value in both. Where that is whose they are, a session of that very name ends
//! too: a token may have an opaque subject, and not say whether it is a person or a session. Another source's user of the same id is
//! another user, but for a security event token: that is the word of an identity provider about users whose sessions others tell of.
//! Not here: which records say so (`systems`).

use super::row::{Row, one};
use super::{Seen, Standing};
use crate::engine::Result;
use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::TimestampMicrosecondType;
use event::Field;
use segments::columns;
use std::collections::HashMap;
use std::sync::Arc;

/// The mark by which a record says what it has in common with the sessions that it ends.
const ENDS: &str = "ends";
/// The mark by which it names them.
const SESSIONS: &str = "sessions";

/// Where a record says whose sessions end.
const USER: &str = "session.user_id";
/// Which source a record is from, and the one that speaks of the sessions of others.
const SOURCE: &str = "source";
const TOKENS: &str = "set";
/// Sets of places that are looked for. Systems have four; each is looked up for every session.
const MOST: usize = 16;

/// When sessions or grants ended that are not the one of a record.
#[derive(Debug)]
pub(super) struct Ends {
    /// Where the view's records have the status, and where the time after which it is over anyway.
    status: Field,
    expires: Field,
    /// For each set of places, the latest end of the sessions that have these values there.
    alike: HashMap<Vec<String>, HashMap<String, Standing>>,
    /// The latest end of those that were named.
    named: HashMap<String, Standing>,
}

fn note_at(at: &mut HashMap<String, Standing>, name: String, standing: Standing) {
    let latest = at.entry(name).or_insert(standing);
    *latest = standing.max(*latest);
}

impl Ends {
    /// None yet, of a view whose status stands in these fields.
    pub(super) fn new(status: Field, expires: Field) -> Ends {
        Ends { status, expires, alike: HashMap::new(), named: HashMap::new() }
    }

    /// Whether none was noted.
    pub(super) fn is_empty(&self) -> bool {
        self.alike.is_empty() && self.named.is_empty()
    }

    /// Notes what a record ends beside the one that it may be about.
    pub(super) fn note(&mut self, record: &Row<'_>, standing: Standing) {
        let named = record.mark(SESSIONS).and_then(|named| named.as_array()).into_iter().flatten();
        for id in named.filter_map(|id| id.as_str()) {
            note_at(&mut self.named, id.to_owned(), standing);
        }
        let said = record.mark(ENDS).and_then(|places| {
            let places = places.as_array()?;
            let mut places: Vec<String> =
                places.iter().map(|place| place.as_str().map(str::to_owned)).collect::<Option<_>>()?;
            if !places.is_empty() && !places.iter().any(|p| p == SOURCE) && record.text(Field::Source) != Some(TOKENS) {
                places.insert(0, SOURCE.to_owned());
            }
            Some(places)
        });
        let Some((places, values)) = said.and_then(|places| record.values(&places).map(|values| (places, values)))
        else {
            return;
        };
        if self.alike.len() < MOST || self.alike.contains_key(&places) {
            note_at(self.alike.entry(places).or_default(), values, standing);
        }
    }

    /// When a session ended that this is the latest record of, if it did.
    fn of(&self, session: &Row<'_>) -> Option<Standing> {
        // A grant may tell which session it was given in, and is not that one.
        let name = session.text(Field::SessionRefId).or_else(|| session.text(Field::SessionId));
        let name = name.filter(|_| self.status == Field::SessionStatus);
        let end = |(places, ended): (&Vec<String>, &HashMap<String, Standing>)| {
            let named = name.and_then(|name| match places.as_slice() {
                [user] if user == USER => Some(one(vec![name.into()])),
                [source, user] if source == SOURCE && user == USER => {
                    Some(one(vec![session.text(Field::Source)?.into(), name.into()]))
                }
                _ => None,
            });
            let values = session.values(places).into_iter().chain(named);
            values.filter_map(|values| ended.get(&values).copied()).max()
        };
        self.alike.iter().filter_map(end).chain(name.and_then(|name| self.named.get(name).copied())).max()
    }

    /// The latest rows of sessions or grants, with those as revoked that lived when they were ended.
    ///
    /// # Errors
    /// A column of another length, which none is.
    pub(super) fn apply(&self, latest: RecordBatch, projection: &[usize], rows: &[Seen]) -> Result<RecordBatch> {
        let column = |field| projection.iter().position(|p| *p == columns::of(field));
        let Some(at) = column(self.status) else { return Ok(latest) };
        let statuses: StringArray = rows
            .iter()
            .enumerate()
            .map(|(n, seen)| {
                let row = Row::new(&latest, projection, n);
                let said = row.text(self.status);
                if !matches!(said, None | Some("active")) {
                    return said;
                }
                let expires = row.array(self.expires).and_then(|a| a.as_primitive_opt::<TimestampMicrosecondType>());
                let over = |end: &Standing| expires.is_some_and(|a| a.value(n) <= end.happened);
                match self.of(&row).filter(|end| *end > seen.standing && !over(end)) {
                    Some(_) => Some("revoked"),
                    None => said,
                }
            })
            .collect();
        let mut arrays = latest.columns().to_vec();
        if let Some(array) = arrays.get_mut(at) {
            *array = Arc::new(statuses);
        }
        Ok(RecordBatch::try_new(latest.schema(), arrays)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::ArrayRef;
    use serde_json::{Value, json};

    const PROJECTION: [usize; 4] = [
        columns::of(Field::Source),
        columns::of(Field::SessionUserId),
        columns::of(Field::Attributes),
        columns::of(Field::SessionId),
    ];

    fn record(source: &str, user: Option<&str>, attributes: &Value) -> RecordBatch {
        let session = attributes.get("session").and_then(Value::as_str).map(str::to_owned);
        let texts = [Some(source.to_owned()), user.map(str::to_owned), Some(attributes.to_string()), session];
        let arrays = texts.map(|text| Arc::new(StringArray::from(vec![text])) as ArrayRef).to_vec();
        RecordBatch::try_new(Arc::new(segments::schema().project(&PROJECTION).unwrap()), arrays).unwrap()
    }

    fn ends(ending: &RecordBatch, session: &RecordBatch) -> bool {
        let mut all = Ends::new(Field::SessionStatus, Field::SessionExpiresAt);
        all.note(&Row::new(ending, &PROJECTION, 0), Standing::new(5, 5, 1, Some("revoked")));
        all.of(&Row::new(session, &PROJECTION, 0)).is_some()
    }

    #[test]
    fn a_session_ends_that_has_the_same_in_every_place() {
        let login = record("keycloak", Some("u1"), &json!({ "realmId": "shop", "session": "s1" }));
        let user = |id| record("set", id, &json!({ "_indelible": { "ends": ["session.user_id"] } }));
        assert!(ends(&user(Some("u1")), &login), "a token speaks of the sessions of others");
        let of = |source| record(source, Some("u1"), &json!({ "_indelible": { "ends": ["session.user_id"] } }));
        assert!(ends(&of("keycloak"), &login));
        assert!(!ends(&of("okta"), &login), "another source's user of the same id is another user");
        assert!(!ends(&user(Some("u2")), &login));
        assert!(!ends(&user(None), &login));
        assert!(ends(&user(Some("s1")), &login), "it may be the session that is meant");
        let realm = |source, realm: Value| {
            record(source, None, &json!({ "realmId": realm, "_indelible": { "ends": ["source", "/realmId"] } }))
        };
        assert!(ends(&realm("keycloak", json!("shop")), &login));
        for (source, other) in [("keycloak", json!("other")), ("auth0", json!("shop")), ("keycloak", Value::Null)] {
            assert!(!ends(&realm(source, other.clone()), &login), "{source} {other}");
        }
        let named = |ids: Value| record("asgardeo", None, &json!({ "_indelible": { "sessions": ids } }));
        assert!(ends(&named(json!(["s0", "s1"])), &login), "it names it, among others");
        assert!(!ends(&named(json!(["s0", "s2", 1, null])), &login) && !ends(&named(json!("s1")), &login));
        for odd in [json!({}), json!({ "_indelible": { "ends": [] } }), json!({ "_indelible": { "ends": [1] } })] {
            assert!(!ends(&record("keycloak", Some("u1"), &odd), &login), "{odd}");
        }
    }
}
