//! Old states, differences and names that a source did not send, for the records of one batch.
//!
//! Owns: putting what follows from known states into a record's stored form, and telling a repetition of such a record
//! from another record. Not here: which record says what (`systems::change`), and keeping states (`states`).

use crate::app::App;
use crate::problem::Problem;
use crate::states::{Before, Known, State};
use catalog::Tenant;
use event::Field;
use event::encode::{fields, put};
use event::parse::MAX_RECORD;
use event::redact::Rules;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use systems::change::{self, Change, Derived, Says};
use systems::envelope::{KEPT, MARKS};
use systems::object;

/// The states as they are for one batch: what is known, and what the batch's own records say.
pub(crate) struct Deriving {
    rules: Arc<Rules>,
    known: Option<Arc<Mutex<Known>>>,
    ahead: HashMap<String, State>,
    /// What records of the batch say, by their place in it.
    pub(crate) learned: Vec<(usize, String, State)>,
}

/// What a row says that matters here.
#[derive(Default)]
struct Row<'a> {
    id: &'a str,
    at: i64,
    source: &'a str,
    old: Option<&'a str>,
    new: Option<&'a str>,
    attributes: Option<&'a str>,
    redactions: Option<&'a str>,
    diff: bool,
    name: bool,
}

impl<'a> Row<'a> {
    fn of(row: &'a [u8]) -> Row<'a> {
        let mut out = Row::default();
        for stored in fields(row).map_while(Result::ok) {
            match stored.field {
                Field::Id => out.id = stored.text().unwrap_or_default(),
                Field::Time => out.at = stored.time().unwrap_or_default(),
                Field::Source => out.source = stored.text().unwrap_or_default(),
                Field::Old => out.old = stored.text(),
                Field::New => out.new = stored.text(),
                Field::Attributes => out.attributes = stored.text(),
                Field::Redactions => out.redactions = stored.text(),
                Field::Diff => out.diff = true,
                Field::TargetName => out.name = true,
                _ => {}
            }
        }
        out
    }
}

impl Deriving {
    /// For a batch under these rules.
    pub(crate) fn new(rules: Arc<Rules>) -> Deriving {
        Deriving { rules, known: None, ahead: HashMap::new(), learned: Vec::new() }
    }

    /// Looks at the record in place `place` of the batch, and gives its stored form with what was derived, if anything was. `sent` is
    /// its new state as it came.
    ///
    /// # Errors
    /// Records that cannot be read to know states after a start.
    pub(crate) fn look(
        &mut self,
        app: &App,
        tenant: &Arc<Tenant>,
        change: &Change,
        row: &[u8],
        place: usize,
        sent: impl FnOnce() -> Option<String>,
    ) -> Result<Option<Vec<u8>>, Problem> {
        let known = match &self.known {
            Some(known) => Arc::clone(known),
            None => {
                let known = app.states.of(app, tenant, &self.rules)?;
                self.known = Some(Arc::clone(&known));
                known
            }
        };
        let said = Row::of(row);
        let at = change.at.unwrap_or(said.at);
        let Before { key, state: before, beside } = Before::of(said.source, change, at, said.id, &mut |key| {
            self.ahead.get(key).cloned().or_else(|| known.lock().get(key))
        });
        // The record that said it comes again, or one that happened before it comes late: what is known stays.
        if before.as_ref().is_some_and(|known| known.at > at || *known.id == *said.id) {
            return Ok(None);
        }
        let (text, was_hidden) = before.map(|state| (state.text, state.hidden)).unwrap_or_default();
        let redactions = said.redactions.filter(|list| list.contains("\"/new/"));
        let sent = redactions.and_then(|list| Some(app.states.hidden(&sent()?, list)));
        // Places of what was redacted are those of the record's own words.
        let hidden = sent.filter(|_| change.words.is_none()).unwrap_or_default();
        let state = change.words.and_then(|words| words.state(said.new?));
        let new = if change.words.is_some() { state.as_deref() } else { said.new };
        let (after, mut derived) = change::follow(change, text.as_deref(), new, &hidden.changed(&was_hidden));
        if change.words.is_some() {
            derived = Derived::default();
        }
        if change.says != Says::Nothing {
            let hidden = if change.says == Says::Part { hidden.over(was_hidden) } else { hidden };
            let state = State { at, id: said.id.into(), text: after.map(Arc::from), hidden, leads: None };
            for (key, state) in beside.into_iter().chain([(key, state)]) {
                self.ahead.insert(key.clone(), state.clone());
                self.learned.push((place, key, state));
            }
        }
        if said.old.is_some() || said.diff {
            (derived.old, derived.diff) = (None, None);
        }
        if said.name {
            derived.name = None;
        }
        Ok(with(row, said.attributes, &derived).filter(|row| row.len() <= MAX_RECORD))
    }
}

/// A row of these attributes with what was derived and the mark that says so; `None` where nothing was.
fn with(row: &[u8], attributes: Option<&str>, derived: &Derived<'_>) -> Option<Vec<u8>> {
    if derived.is_empty() {
        return None;
    }
    let mut new: Vec<(Field, &str)> = Vec::new();
    let Derived { old, diff, name } = derived;
    for (field, text) in
        [(Field::Old, old.as_deref()), (Field::Diff, diff.as_deref()), (Field::TargetName, name.as_deref())]
    {
        new.extend(text.map(|text| (field, text)));
    }
    let paths: Vec<&str> = new.iter().map(|(field, _)| field.spec().path).collect();
    let attributes = change::mark(attributes.unwrap_or("{}"), &paths)?;
    new.push((Field::Attributes, &attributes));
    new.sort_by_key(|(field, _)| *field);
    let mut out = Vec::with_capacity(row.len() + new.iter().map(|(_, text)| text.len() + 8).sum::<usize>());
    let mut new = new.into_iter().peekable();
    for stored in fields(row).map_while(Result::ok) {
        while let Some((field, text)) = new.next_if(|(field, _)| *field <= stored.field) {
            put(&mut out, field, text.as_bytes());
        }
        if stored.field != Field::Attributes {
            put(&mut out, stored.field, stored.value);
        }
    }
    new.for_each(|(field, text)| put(&mut out, field, text.as_bytes()));
    Some(out)
}

/// Whether a row was not understood when it came first.
pub(crate) fn was_kept(row: &[u8]) -> bool {
    let attributes = fields(row).map_while(Result::ok).find(|s| s.field == Field::Attributes);
    attributes.and_then(|s| object::at(s.text()?, &[MARKS, KEPT])).is_some()
}

/// A row's fields without what was derived, what is known of a signature, and what it was kept as: what its sender sent. `time` leaves
/// the time out as well.
pub(crate) fn as_sent(row: &[u8], time: bool) -> Vec<(Field, Vec<u8>)> {
    let stored = fields(row).map_while(Result::ok);
    let attributes = stored.clone().find(|s| s.field == Field::Attributes).and_then(|s| s.text());
    let (attributes, derived) = attributes.and_then(change::unmark).unzip();
    let derived = derived.unwrap_or_default();
    stored
        .filter(|s| !(time && s.field == Field::Time))
        .filter(|s| !derived.iter().any(|path| path == s.field.spec().path))
        .filter_map(|s| match (&attributes, s.field) {
            // Attributes that are there for the mark alone.
            (Some(text), Field::Attributes) if text == "{}" => None,
            (Some(text), Field::Attributes) => Some((s.field, text.as_bytes().to_vec())),
            _ => Some((s.field, s.value.to_vec())),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::parse::Parser;

    fn row(text: &str) -> Vec<u8> {
        let rules = Rules::default();
        let mut out = Vec::new();
        Parser { rules: &rules, tenant: "t", now: 0 }.parse(text, &mut || "made".into(), &mut out).unwrap();
        out
    }

    #[test]
    fn what_is_derived_stands_in_its_place_and_goes_away_again() {
        for attributes in ["", r#","attributes":{"~":1,"Z":2,"_indelible":{"id":"made"}}"#] {
            let sent = row(&format!(
                r#"{{"id":"e","time":"1970-01-01T00:00:00Z","log":"audit","action":"x","target":{{"id":"u"}},"new":{{"a":2}}{attributes}}}"#
            ));
            let derived = Derived {
                old: Some(r#"{"a":1}"#.into()),
                diff: Some(r#"{"a":{"__old":1,"__new":2}}"#.into()),
                name: Some("ann".into()),
            };
            let attributes = Row::of(&sent).attributes;
            let better = with(&sent, attributes, &derived).unwrap();
            assert!(fields(&better).all(|f| f.is_ok()), "fields in their order");
            let found = |field| fields(&better).flatten().find(|f| f.field == field).and_then(|f| f.text());
            assert_eq!(found(Field::Old), Some(r#"{"a":1}"#));
            assert_eq!(found(Field::Diff), Some(r#"{"a":{"__old":1,"__new":2}}"#));
            assert_eq!(found(Field::TargetName), Some("ann"));
            assert!(found(Field::Attributes).unwrap().contains(r#""derived":["old","diff","target.name"]"#));
            assert_ne!(better, sent);
            assert_eq!(as_sent(&better, false), as_sent(&sent, false), "a repetition is known");
            let other = row(r#"{"id":"e","time":"1970-01-01T00:00:00Z","log":"audit","action":"y","new":{"a":2}}"#);
            assert_ne!(as_sent(&better, false), as_sent(&other, false));
            assert_eq!(with(&sent, attributes, &Derived::default()), None);
        }
    }

    #[test]
    fn what_is_known_of_a_signature_is_not_what_was_sent() {
        let of = |attributes: &str| {
            let text = r#"{"id":"e","time":"1970-01-01T00:00:00Z","log":"event","action":"x","attributes":"#;
            as_sent(&row(&format!("{text}{attributes}}}")), false)
        };
        let plain = of(r#"{"b":{"z":1},"a":2,"_indelible":{"shape":"x"}}"#);
        let signed = of(r#"{"b":{"z":1},"a":2,"_indelible":{"shape":"x","signature":"verified"}}"#);
        assert_eq!(signed, plain);
        assert_ne!(of(r#"{"b":{"z":2},"a":2,"_indelible":{"shape":"x","signature":"verified"}}"#), plain);
        assert_eq!(of(r#"{"a":2,"_indelible":{"signature":"verified"}}"#), of(r#"{"a":2}"#));
        assert_eq!(
            of(r#"{"_indelible":{"signature":"not checked"}}"#),
            of(r#"{"_indelible":{"signature":"verified"}}"#)
        );
    }
}
