//! An object of which it is known where its members stand: somebody read them before, and wrote it of them.
//!
//! Owns: reading such an object without looking for the ends of names and texts once more. What is done with a member is `super`'s.

use super::{Canonical, Pass, Redaction};
use crate::json::JsonError;
use std::borrow::Cow;

/// What is known of the next member of an object. A name or text is given by its length in bytes; there are no blanks around it, and
/// it has quotes around it and no escapes in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    Member,
    /// A name, and any value.
    Value(u32),
    /// A name, and a text.
    Text(u32, u32),
    /// A name, and an object. What is known of its members comes next, up to its [`End`](Known::End).
    Object(u32),
    /// The object ends here.
    End,
}

impl Canonical<'_> {
    /// As [`write`](Self::write), with what is known of the members of the object that `text` is. What is not so is not found out in
    /// every case.
    ///
    /// # Errors
    /// As [`write`](Self::write); and where it is found out.
    pub fn write_known(
        &self,
        text: &str,
        known: &[Known],
        marks: &mut Vec<Redaction>,
        out: &mut String,
    ) -> Result<(), JsonError> {
        let mut pass = Pass::new(self, 0, text, marks);
        pass.known_object(&mut known.iter(), self.depth, out)?;
        pass.copy(pass.reader.at(), out);
        pass.reader.end()
    }
}

type Rest<'k> = std::slice::Iter<'k, Known>;

impl<'a> Pass<'a, '_> {
    /// Writes the object that the reader is before.
    fn known_object(&mut self, known: &mut Rest<'_>, depth: usize, out: &mut String) -> Result<(), JsonError> {
        let mut object = self.begin_object(depth, out)?;
        while let Some(next) = known.next() {
            let length = match *next {
                Known::End => break,
                Known::Member if self.next_member(&mut object, depth, out)? => continue,
                Known::Member => return Err(self.mistaken()),
                Known::Value(name) | Known::Text(name, _) | Known::Object(name) => name as usize,
            };
            let from = self.reader.at();
            let begin = from + usize::from(self.members.len() > object.first);
            let Some(name) = self.reader.jump_key(begin, length) else { return Err(self.mistaken()) };
            let Some(order) = self.usual(name, object.first) else {
                if matches!(next, Known::Object(_)) {
                    pass_over(known);
                }
                self.member(name.into(), from, depth, &mut object, out)?;
                continue;
            };
            object.goes_on(name, order);
            match *next {
                Known::Text(_, length) if self.jump_harmless(length as usize) => {
                    let range = self.written(begin, out)..self.written(self.reader.at(), out);
                    self.members.push((Cow::Borrowed(name), range));
                }
                Known::Object(_) => {
                    let start = self.written(begin, out);
                    self.members.push((Cow::Borrowed(name), start..start));
                    self.known_object(known, depth + 1, out)?;
                    self.end_member(out);
                }
                _ => self.usual_member(name, begin, depth, out)?,
            }
        }
        if !self.reader.closes() {
            return Err(self.mistaken());
        }
        self.end_object(&object, out)
    }

    /// Takes a text of this length where it stays as it is. Tells whether it does.
    fn jump_harmless(&mut self, length: usize) -> bool {
        let mut ahead = self.reader.clone();
        let harmless = ahead.jump_text(length).is_some_and(|text| self.how.rules.harmless(text));
        if harmless {
            self.reader = ahead;
        }
        harmless
    }

    /// The error of what was said to be known and is not so.
    fn mistaken(&self) -> JsonError {
        self.reader.error("invalid_json", "the members are not where they were said to be")
    }
}

/// Leaves out what is known of an object, whose beginning was the last.
fn pass_over(known: &mut Rest<'_>) {
    let mut open = 1;
    while open > 0 {
        match known.next() {
            Some(Known::Object(_)) => open += 1,
            Some(Known::End) => open -= 1,
            Some(_) => {}
            None => return,
        }
    }
}
