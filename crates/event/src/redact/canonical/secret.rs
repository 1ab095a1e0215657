//! What is written in place of a secret value.
//!
//! Not here: which values are secret (`keys`), and all others (`super`).

use super::super::{KeyRule, MARK};
use super::{Canonical, Pass};
use crate::json::{self, JsonError, Next};
use std::borrow::Cow;

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
                let already = was == format!("\"{MARK}\"");
                out.truncate(from);
                self.marks.truncate(marks);
                json::write_string(out, MARK);
                if already {
                    return Ok(());
                }
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
