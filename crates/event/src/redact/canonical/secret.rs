//! What is written in place of a secret value.
//!
//! Not here: which values are secret (`keys`), and all others (`super`).

use super::super::{KeyRule, MARK, MARKS};
use super::{Canonical, Pass};
use crate::json::{self, JsonError, Next, Reader};
use std::borrow::Cow;

/// The rule for passwords.
const PASSWORD: &str = "password";
/// Digits of a number in the settings of passwords: so few are no secret.
const DIGITS: usize = 3;

/// Whether a JSON text is the mark of somebody who took a secret out, ourselves or another ([`MARKS`]): it says that, and stays.
pub(super) fn is_marked(raw: &str) -> bool {
    raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).is_some_and(|text| MARKS.contains(&text))
}

/// Whether an object says what passwords have to be like, and is none itself: `{"minLength": 12, "requireDigit": true}`. No text is in
/// it and no list, and no number that is long.
fn is_settings(raw: &str) -> bool {
    let all = |r: &mut Reader<'_>| -> Result<bool, JsonError> {
        r.open(b'{')?;
        let (mut open, mut first) = (1, true);
        while open > 0 {
            if r.key(first)?.is_none() {
                (open, first) = (open - 1, false);
                continue;
            }
            first = false;
            match r.next_kind()? {
                Next::Null => r.null()?,
                Next::Bool => drop(r.boolean()?),
                Next::Number => {
                    let number = r.number()?;
                    if number.len() > DIGITS || !number.bytes().all(|b| b.is_ascii_digit()) {
                        return Ok(false);
                    }
                }
                Next::Object => {
                    r.open(b'{')?;
                    (open, first) = (open + 1, true);
                }
                Next::String | Next::Array => return Ok(false),
            }
        }
        Ok(true)
    };
    all(&mut Reader::new(raw)).unwrap_or(false)
}

impl<'a> Pass<'a, '_> {
    /// Writes what is kept of a secret value. The value is still checked: redaction is no way around the
    /// rules for JSON.
    pub(super) fn secret(&mut self, rule: KeyRule, depth: usize, out: &mut String) -> Result<(), JsonError> {
        let start = self.reader.at();
        let kind = self.reader.next_kind()?;
        self.without_blanks(start, 0, out);
        let marks = self.marks.len();
        match (kind, &rule) {
            // Nothing secret fits in these.
            (Next::Null | Next::Bool, _) => return self.value(depth, out),
            (Next::Object, KeyRule::KeyNames(_)) => {
                self.copy(self.reader.at(), out);
                let names = self.key_names(depth)?;
                out.push_str(&names);
            }
            // Already reduced to its key names, by us or by the sender.
            (Next::Array, KeyRule::KeyNames(_)) => return self.value(depth, out),
            (Next::Object, KeyRule::IdOnly(_)) => {
                self.copy(self.reader.at(), out);
                self.id_only(depth, out)?;
            }
            _ => {
                self.copy(self.reader.at(), out);
                let from = out.len();
                self.apart(depth, out)?;
                let was = out.get(from..).unwrap_or_default();
                let settings = kind == Next::Object && rule.clone().name() == PASSWORD && is_settings(was);
                if settings || is_marked(was) {
                    return Ok(());
                }
                out.truncate(from);
                self.marks.truncate(marks);
                json::write_string(out, MARK);
            }
        }
        self.copied = self.reader.at();
        self.marks.truncate(marks);
        self.mark(rule.name());
        Ok(())
    }

    fn key_names(&mut self, depth: usize) -> Result<String, JsonError> {
        self.deeper(depth)?;
        self.reader.open(b'{')?;
        let mut names = Vec::new();
        let mut scratch = String::new();
        while let Some(key) = self.reader.key(names.is_empty())? {
            // From here on it is a text in a list.
            let how = Canonical { depth: depth + 1, ..self.how };
            names.push(how.text_at(self.level, &key, &mut |_| {}).map_or(key, Cow::Owned));
            scratch.clear();
            self.apart(depth + 1, &mut scratch)?;
        }
        names.sort_by(|a, b| json::key_order(a, b));
        let mut out = String::from("[");
        for (i, name) in names.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            json::write_string(&mut out, name);
        }
        out.push(']');
        Ok(out)
    }

    fn id_only(&mut self, depth: usize, out: &mut String) -> Result<(), JsonError> {
        self.deeper(depth)?;
        self.reader.open(b'{')?;
        let mut kept: Vec<(Cow<'a, str>, String)> = Vec::new();
        let mut first = true;
        while let Some(key) = self.reader.key(first)? {
            first = false;
            let mut value = String::new();
            self.apart(depth + 1, &mut value)?;
            let name = super::super::keys::normal(&key).into_owned();
            if matches!(name.as_str(), "id" | "identity" | "identityid" | "apikeyid") {
                kept.push((key, value));
            }
        }
        kept.sort_by(|a, b| json::key_order(&a.0, &b.0));
        out.push('{');
        for (i, (key, value)) in kept.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            json::write_string(out, key);
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
        Ok(())
    }
}
