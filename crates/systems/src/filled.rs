//! Filled envelopes of many records, in one buffer: between the adapter that found their fields and `event`, which checks them.
//!
//! Owns: how fields lie there, and an envelope's JSON text where one is asked for. What goes to `event` needs none: written as
//! text each field would be read once more. Not here: what stands in which field ([`crate::envelope`]), and whether it may
//! (`event::parse`).

use event::json::write_string;
use event::parse::Found;
use event::redact::Known;
use event::{FIELDS, Field};
use std::ops::Range;
use std::sync::LazyLock;

/// Envelopes, one after the other.
#[derive(Debug, Clone, Default)]
pub struct Filled {
    /// All values but times.
    text: String,
    values: Vec<Value>,
    /// What is known of the objects among them.
    known: Vec<Known>,
}

/// Where one envelope is among those of a [`Filled`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Of its values.
    values: Range<usize>,
    /// Where their text begins.
    text: usize,
    /// Where what is known of them begins.
    known: usize,
}

/// A field's value. Texts are given by where they end: each begins where the one before it does.
#[derive(Debug, Clone, Copy)]
enum Value {
    /// JSON text.
    Json(Field, usize),
    /// The same of an object, and where what is known of it ends.
    Object(Field, usize, usize),
    /// A text, not in quotes.
    Text(Field, usize),
    Time(Field, i64),
}

impl Filled {
    /// With room for so many bytes of text.
    pub fn with_capacity(bytes: usize) -> Filled {
        // A value is some tens of bytes.
        Filled {
            text: String::with_capacity(bytes),
            values: Vec::with_capacity(bytes / 32),
            known: Vec::with_capacity(bytes / 64),
        }
    }

    /// How many bytes of text there are.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Forgets all envelopes, and keeps the room for others.
    pub fn clear(&mut self) {
        self.text.clear();
        self.values.clear();
        self.known.clear();
    }

    /// Where the next envelope begins.
    pub(crate) fn begin(&self) -> Place {
        Place { values: self.values.len()..self.values.len(), text: self.text.len(), known: self.known.len() }
    }

    /// The envelope that began at `place` and has all values that came since.
    pub(crate) fn end(&self, place: Place) -> Place {
        Place { values: place.values.start..self.values.len(), ..place }
    }

    /// Adds a field whose value is JSON text.
    pub(crate) fn json(&mut self, field: Field, raw: &str) {
        self.text.push_str(raw);
        self.values.push(Value::Json(field, self.text.len()));
    }

    /// The same of an object, written by `write`, which says what it knows of the members.
    pub(crate) fn object(&mut self, field: Field, write: impl FnOnce(&mut String, &mut Vec<Known>)) {
        write(&mut self.text, &mut self.known);
        self.values.push(Value::Object(field, self.text.len(), self.known.len()));
    }

    /// Adds a field whose value is a text.
    pub(crate) fn text(&mut self, field: Field, text: &str) {
        self.text.push_str(text);
        self.values.push(Value::Text(field, self.text.len()));
    }

    /// Adds a field whose value is a time, microseconds UTC.
    pub(crate) fn time(&mut self, field: Field, at: i64) {
        self.values.push(Value::Time(field, at));
    }

    /// An envelope's fields, each once.
    pub fn fields(&self, place: &Place) -> impl Iterator<Item = (Field, Found<'_>)> {
        let (mut from, mut known_from) = (place.text, place.known);
        let mut part = move |to: usize| self.text.get(std::mem::replace(&mut from, to)..to).unwrap_or_default();
        self.values.get(place.values.clone()).unwrap_or_default().iter().map(move |value| match *value {
            Value::Json(field, end) => (field, Found::Json(part(end))),
            Value::Object(field, end, to) => {
                let known = self.known.get(std::mem::replace(&mut known_from, to)..to).unwrap_or_default();
                (field, Found::Object(part(end), known))
            }
            Value::Text(field, end) => (field, Found::Text(part(end))),
            Value::Time(field, at) => (field, Found::Time(at)),
        })
    }

    /// The record's time, microseconds UTC, where its source said one.
    pub fn at(&self, place: &Place) -> Option<i64> {
        self.fields(place).find(|(field, _)| *field == Field::Time).and_then(|(_, found)| match found {
            Found::Time(at) => Some(at),
            Found::Json(text) | Found::Object(text, _) | Found::Text(text) => {
                event::time::parse(text.trim_matches('"'))
            }
        })
    }

    /// Appends an envelope's JSON text, which `event::parse` reads as the same record.
    pub fn write(&self, place: &Place, out: &mut String) {
        let mut found = [None; FIELDS.len()];
        for (field, value) in self.fields(place) {
            if let Some(found) = found.get_mut(field as usize) {
                *found = Some(value);
            }
        }
        out.push('{');
        let mut group = 0;
        for key in KEYS.iter() {
            let Some(value) = found.get(key.field as usize).copied().flatten() else { continue };
            if group != key.group {
                if group > 0 {
                    out.push('}');
                }
                group = key.group;
                comma(out);
                out.push_str(&key.open);
            } else {
                comma(out);
            }
            out.push_str(&key.key);
            match value {
                Found::Json(raw) | Found::Object(raw, _) => out.push_str(raw),
                Found::Text(text) => write_string(out, text),
                Found::Time(at) => {
                    out.push('"');
                    event::time::write(at, out);
                    out.push('"');
                }
            }
        }
        if group > 0 {
            out.push('}');
        }
        if let Some(Some(Found::Json(attributes) | Found::Object(attributes, _))) =
            found.get(Field::Attributes as usize)
        {
            comma(out);
            out.push_str("\"attributes\":");
            out.push_str(attributes);
        }
        out.push('}');
    }
}

/// A comma, unless the next member is the first.
pub(crate) fn comma(out: &mut String) {
    if !out.ends_with(['{', '[']) {
        out.push(',');
    }
}

/// What a field's value has before it in the text.
struct Key {
    field: Field,
    /// The number of its group; 0 at the top.
    group: usize,
    /// What opens the group: `"actor":{`.
    open: String,
    /// `"id":`
    key: String,
}

/// The fields in written order: each group in one piece. The attributes come after all of them.
static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let mut groups = Vec::new();
    let mut order: Vec<Key> = FIELDS
        .iter()
        .filter(|spec| spec.field != Field::Attributes)
        .map(|spec| match spec.path.split_once('.') {
            None => Key { field: spec.field, group: 0, open: String::new(), key: format!("\"{}\":", spec.path) },
            Some((name, key)) => {
                let group = 1 + groups.iter().position(|known| *known == name).unwrap_or_else(|| {
                    groups.push(name);
                    groups.len() - 1
                });
                Key { field: spec.field, group, open: format!("\"{name}\":{{"), key: format!("\"{key}\":") }
            }
        })
        .collect();
    order.sort_by_key(|key| key.group);
    order
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Envelope;
    use crate::object::{Inside, Object};
    use event::parse::Parser;
    use event::redact::Rules;
    use proptest::prelude::*;

    /// Fields and text are one record.
    fn same(filled: &Filled, place: &Place) -> Result<(), TestCaseError> {
        let mut text = String::new();
        filled.write(place, &mut text);
        let rules = Rules::default();
        let parser = Parser { rules: &rules, tenant: "acme", now: crate::testing::NOW };
        let (mut of_text, mut of_fields) = (Vec::new(), Vec::new());
        let parsed = parser.parse(&text, &mut || "made".into(), &mut of_text);
        match parser.take(filled.fields(place), &mut || "made".into(), &mut of_fields) {
            Some(taken) => prop_assert_eq!((Ok(taken), of_fields), (parsed, of_text)),
            None => prop_assert!(of_fields.is_empty()),
        }
        Ok(())
    }

    const NAMES: [&str; 9] = [
        "a",
        "name",
        "value",
        "password",
        "o",
        "a\\u0062",
        "é",
        "a name of some length",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    ];
    const VALUES: [&str; 9] = [
        "1.0",
        "null",
        "\"x\"",
        "\"a\\u0062\"",
        "\"password=hunter2\"",
        "\"Authorization\"",
        "[{\"b\":1,\"a\":2}]",
        "{ \"b\":1}",
        "\"\u{1}\"",
    ];

    fn object(members: &[(usize, usize, bool)], inside: &str) -> String {
        let members = members.iter().map(|(name, value, blank)| {
            let value = VALUES.get(*value).copied().unwrap_or(inside);
            format!("\"{}\":{}{value}", NAMES[*name], if *blank { " " } else { "" })
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }

    proptest! {
        /// What is known of the members changes nothing.
        #[test]
        fn what_is_left_of_a_record_is_the_same_as_members_and_as_text(
            inner in proptest::collection::vec((0..NAMES.len(), 0..VALUES.len(), proptest::bool::weighted(0.1)), 0..5),
            outer in proptest::collection::vec((0..NAMES.len(), 0..=VALUES.len(), proptest::bool::weighted(0.1)), 0..6),
            taken in 0..NAMES.len(),
        ) {
            let text = object(&outer, &object(&inner, "0"));
            let inside = [Inside("o", &[Inside("o", &[])]), Inside("name", &[]), Inside("password", &[])];
            let Ok(mut native) = Object::parse_into(&text, &inside) else { return Ok(()) };
            let mut envelope = Envelope::new("here");
            envelope.set(Field::Log, "job");
            envelope.no_time();
            native.inner("a");
            envelope.take(&mut native, NAMES[taken], Field::Message);
            envelope.take(&mut native, "o.a", Field::Comments);
            envelope.rest(native);
            let mut filled = Filled::default();
            if let Ok(place) = envelope.fill(&mut filled) {
                same(&filled, &place)?;
            }
        }

        /// Whatever an adapter puts into an envelope, sound or not.
        #[test]
        fn an_envelope_is_the_same_record_as_fields_and_as_text(
            values in proptest::collection::vec((0..FIELDS.len(), 0u8..6, "[ -~\\x00-\\x1f\u{e9}]{0,16}", any::<i64>()), 0..12),
        ) {
            let mut envelope = Envelope::new("here");
            envelope.set(Field::Log, "job");
            for (field, kind, text, at) in &values {
                let field = FIELDS[*field].field;
                match kind {
                    0 => envelope.set_raw(field, text.as_str()),
                    1 => envelope.set_raw(field, serde_json::Value::from(text.as_str()).to_string()),
                    2 => envelope.infer(field, r#"{"token":"x","b":[1.0],"a":null}"#),
                    3 => envelope.set_time(field, *at),
                    4 => envelope.set_time(field, at / 40_000),
                    _ => envelope.set(field, text.as_str()),
                }
            }
            let mut filled = Filled::default();
            // Something before it, so that places are not beginnings.
            Envelope::new("before").fill(&mut filled).unwrap();
            let place = envelope.fill(&mut filled).unwrap();
            same(&filled, &place)?;
        }
    }
}
