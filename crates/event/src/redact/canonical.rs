//! JSON made canonical (RFC 8785) and redacted in one pass over its text.
//!
//! Not here: the rules themselves (`keys`, `text`). Nothing is built but the output: members are written
//! as they come and put in order afterwards only where they did not come in order.

mod embedded;
mod known;
mod secret;

pub use known::Known;

use super::context::Context;
use super::{KeyRule, MARK, Redaction, Rules, add_mark, keys, push_token};
use crate::json::{self, JsonError, MAX_DEPTH, Next, Reader};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

/// How one JSON text of a record is to be written.
#[derive(Debug, Clone, Copy)]
pub struct Canonical<'r> {
    /// Envelope path of the field it is in (`attributes`, `session.claims`): redactions are named from there.
    pub path: &'r str,
    /// How deep it stands in the record.
    pub depth: usize,
    /// What the record is about.
    pub context: Context,
    /// The tenant's rules.
    pub rules: &'r Rules,
}

impl Canonical<'_> {
    /// Appends the canonical, redacted form of `text` to `out`. Each redaction is added to `marks`.
    ///
    /// # Errors
    /// [`JsonError`] with the byte offset into `text`.
    pub fn write(&self, text: &str, marks: &mut Vec<Redaction>, out: &mut String) -> Result<(), JsonError> {
        Pass::new(self, 0, text, marks).whole(out)
    }
}

/// Names shorter than that are no tokens.
const TOKEN: usize = 16;

/// How many spellings `value` has in either case.
const SPELLINGS: usize = 1 << "value".len();

/// An object or array that is open.
enum Step {
    /// Where in [`Pass::members`] its own begin. The last of them, before those of the next object, is the one being read.
    Object(usize),
    /// The element being read.
    Index(usize),
}

struct Pass<'a, 'r> {
    reader: Reader<'a>,
    /// What stands between here and the reader is as it has to be written, and not written yet. Most JSON is nearly canonical as it
    /// comes, and one long piece costs less to write than all its tokens.
    copied: usize,
    how: Canonical<'r>,
    /// In how many texts that are JSON it stands.
    level: usize,
    /// No other keys are secret than those that always are.
    only_built_in: bool,
    marks: &'r mut Vec<Redaction>,
    /// On the stack for what most records have: this is run for every record.
    path: SmallVec<[Step; 8]>,
    /// The members so far of all objects that are open, those of the innermost last: the name, and where the member is written.
    members: Vec<(Cow<'a, str>, Range<usize>)>,
}

/// An object that is being written.
struct Open {
    /// Where its members begin among all.
    first: usize,
    /// Where it is written.
    body: usize,
    /// Whether its members came in their order so far.
    sorted: bool,
    /// Whether one has the name that may be another's value.
    has_value: bool,
}

impl Open {
    /// The next member is this one, which is so in order with the last.
    #[inline(always)]
    fn goes_on(&mut self, name: &str, order: Ordering) {
        self.sorted &= order.is_lt();
        self.has_value |= keys::is_named_value(name);
    }
}

impl<'a, 'r> Pass<'a, 'r> {
    fn new(how: &Canonical<'r>, level: usize, text: &'a str, marks: &'r mut Vec<Redaction>) -> Self {
        let only_built_in = how.only_built_in();
        let (path, members) = (SmallVec::new(), Vec::with_capacity(16));
        Pass { reader: Reader::new(text), copied: 0, how: *how, level, only_built_in, marks, path, members }
    }
}

impl<'a> Pass<'a, '_> {
    /// Writes the whole text.
    fn whole(&mut self, out: &mut String) -> Result<(), JsonError> {
        self.value(self.how.depth, out)?;
        self.copy(self.reader.at(), out);
        self.reader.end()
    }

    fn mark(&mut self, rule: Cow<'static, str>) {
        let mut pointer = super::pointer(self.how.path);
        for (i, step) in self.path.iter().enumerate() {
            match step {
                Step::Object(_) => {
                    let inner = self.path.iter().skip(i + 1).find_map(|step| match step {
                        Step::Object(first) => Some(*first),
                        Step::Index(_) => None,
                    });
                    let place = inner.unwrap_or(self.members.len()).checked_sub(1);
                    let name = place.and_then(|place| self.members.get(place)).map_or("", |(name, _)| name.as_ref());
                    push_token(&mut pointer, name);
                }
                Step::Index(i) => push_token(&mut pointer, &i.to_string()),
            }
        }
        add_mark(self.marks, pointer, rule);
    }

    /// Writes what stands before `to` and is not written yet.
    fn copy(&mut self, to: usize, out: &mut String) {
        out.push_str(self.reader.part(self.copied, to));
        self.copied = to;
    }

    /// Where in `out` that is written which stands at `at`.
    fn written(&self, at: usize, out: &str) -> usize {
        out.len() + at.saturating_sub(self.copied)
    }

    /// The reader went on from `from`; what it took there besides blanks, in its last `taken` bytes, stays.
    fn without_blanks(&mut self, from: usize, taken: usize, out: &mut String) {
        let to = self.reader.at() - taken;
        if from != to {
            self.copy(from, out);
            self.copied = to;
        }
    }

    /// Writes a value into an `out` of its own.
    fn apart(&mut self, depth: usize, out: &mut String) -> Result<(), JsonError> {
        self.copied = self.reader.at();
        self.value(depth, out)?;
        self.copy(self.reader.at(), out);
        Ok(())
    }

    /// Takes what most values are: a text without escapes, and without blanks before it. Tells whether it was one.
    #[inline(always)]
    fn plain_text(&mut self, depth: usize, out: &mut String) -> bool {
        let from = self.reader.at();
        let Some(text) = self.reader.plain_string() else { return false };
        if !self.how.harmless(text) {
            self.text(Cow::Borrowed(text), depth, from, out);
        }
        true
    }

    fn value(&mut self, depth: usize, out: &mut String) -> Result<(), JsonError> {
        if self.plain_text(depth, out) { Ok(()) } else { self.other_value(depth, out) }
    }

    /// The same where it was found to be no such text.
    fn other_value(&mut self, depth: usize, out: &mut String) -> Result<(), JsonError> {
        let from = self.reader.at();
        let kind = self.reader.next_kind()?;
        self.without_blanks(from, 0, out);
        let from = self.reader.at();
        match kind {
            Next::String => {
                let text = self.reader.string()?;
                self.text(text, depth, from, out);
            }
            Next::Number => {
                let number = self.reader.number()?;
                if !json::is_canonical_number(number) {
                    self.copy(from, out);
                    json::write_number(out, number, from)?;
                    self.copied = self.reader.at();
                }
            }
            Next::Bool => {
                self.reader.boolean()?;
            }
            Next::Null => self.reader.null()?,
            Next::Array => self.array(depth, out)?,
            Next::Object => self.object(depth, out)?,
        }
        Ok(())
    }

    /// Writes a text, which was read from `from` on, where it cannot stay as it is.
    fn text(&mut self, text: Cow<'a, str>, depth: usize, from: usize, out: &mut String) {
        let mut fired: Vec<Cow<'static, str>> = Vec::new();
        let how = Canonical { depth, ..self.how };
        let written = match (how.text_at(self.level, &text, &mut |rule| fired.push(rule)), text) {
            // It has no escape, and needs none.
            (None, Cow::Borrowed(_)) => return,
            (None, Cow::Owned(text)) => text,
            (Some(scrubbed), _) => {
                fired.into_iter().for_each(|rule| self.mark(rule));
                scrubbed
            }
        };
        self.copy(from, out);
        json::write_string(out, &written);
        self.copied = self.reader.at();
    }

    fn array(&mut self, depth: usize, out: &mut String) -> Result<(), JsonError> {
        self.deeper(depth)?;
        self.reader.open(b'[')?;
        // Of a list in a list: where its two elements are written.
        let listed = matches!(self.path.last(), Some(Step::Index(_)));
        let mut pair = [0; 2];
        self.path.push(Step::Index(0));
        let mut n = 0;
        loop {
            let from = self.reader.at();
            let more = self.reader.element(n == 0)?;
            self.without_blanks(from, usize::from(n > 0 || !more), out);
            if !more {
                break;
            }
            if let Some(Step::Index(at)) = self.path.last_mut() {
                *at = n;
            }
            if listed && let Some(start) = pair.get_mut(n) {
                *start = self.written(self.reader.at(), out);
            }
            self.value(depth + 1, out)?;
            n += 1;
        }
        if listed && n == 2 {
            // Without the bracket.
            self.copy(self.reader.at() - 1, out);
            self.paired_value(pair, out);
        }
        self.path.pop();
        Ok(())
    }

    /// Of a list in a list such as `["Authorization", …]`, a header in a list of them: its second element is the value of the first.
    fn paired_value(&mut self, [name, value]: [usize; 2], out: &mut String) {
        // Between them is a comma.
        let name = out.get(name..value - 1).and_then(|name| name.strip_prefix('"')?.strip_suffix('"'));
        let Some(rule) = name.and_then(|name| self.how.rules.key(name)) else { return };
        if mask(value..out.len(), out) {
            self.mark(rule.name());
        }
    }

    fn deeper(&self, depth: usize) -> Result<(), JsonError> {
        if depth >= MAX_DEPTH { Err(json::too_deep(self.reader.at())) } else { Ok(()) }
    }

    fn object(&mut self, depth: usize, out: &mut String) -> Result<(), JsonError> {
        let mut object = self.begin_object(depth, out)?;
        while self.next_member(&mut object, depth, out)? {}
        self.end_object(&object, out)
    }

    #[inline(always)]
    fn begin_object(&mut self, depth: usize, out: &str) -> Result<Open, JsonError> {
        self.deeper(depth)?;
        self.reader.open(b'{')?;
        let (first, body) = (self.members.len(), self.written(self.reader.at(), out));
        self.path.push(Step::Object(first));
        Ok(Open { first, body, sorted: true, has_value: false })
    }

    /// Takes the next member, or the bracket behind the last one. Tells whether it was a member.
    #[inline(always)]
    fn next_member(&mut self, object: &mut Open, depth: usize, out: &mut String) -> Result<bool, JsonError> {
        if self.reader.closes() {
            return Ok(false);
        }
        let (from, is_first) = (self.reader.at(), self.members.len() == object.first);
        let name = self.reader.plain_key(is_first);
        if let Some(name) = name
            && let Some(order) = self.usual(name, object.first)
        {
            object.goes_on(name, order);
            self.usual_member(name, from + usize::from(!is_first), depth, out)?;
            return Ok(true);
        }
        let Some(name) = name.map_or_else(|| self.reader.key(is_first), |name| Ok(Some(name.into())))? else {
            self.without_blanks(from, 1, out);
            return Ok(false);
        };
        self.member(name, from, depth, object, out)?;
        Ok(true)
    }

    /// Does what can be done only behind the last member: the reader is behind the closing bracket.
    #[inline(always)]
    fn end_object(&mut self, object: &Open, out: &mut String) -> Result<(), JsonError> {
        let first = object.first;
        if object.has_value {
            // As below: without the bracket.
            self.copy(self.reader.at() - 1, out);
            self.named_value(first, out);
        }
        self.path.pop();
        if !object.sorted {
            // Without the bracket, which comes after the members in their order.
            self.copy(self.reader.at() - 1, out);
            self.arrange(first, object.body, out)?;
        }
        self.members.truncate(first);
        Ok(())
    }

    /// How the last member of the object, whose members begin at `first`, and the next one are in order, where the name of that stays
    /// and says nothing of its value: so that there is nothing to do but to read on, as with most.
    #[inline(always)]
    fn usual(&self, name: &str, first: usize) -> Option<Ordering> {
        let usual = self.only_built_in && (name.len() < TOKEN || self.how.rules.harmless(name)) && keys::harmless(name);
        let order = match self.members.get(first..)?.last() {
            Some((last, _)) => json::key_order(last, name),
            None => Ordering::Less,
        };
        (usual && order.is_ne()).then_some(order)
    }

    /// Takes the value of such a member, which begins at `from`. Most are a text without escapes or `null`, and stay too.
    #[inline(always)]
    fn usual_member(&mut self, name: &'a str, from: usize, depth: usize, out: &mut String) -> Result<(), JsonError> {
        let start = self.written(from, out);
        let value = self.reader.at();
        let text = self.reader.plain_string();
        let stays = match text {
            Some(text) => self.how.rules.harmless(text),
            None => self.reader.takes("null"),
        };
        if stays {
            self.members.push((Cow::Borrowed(name), start..self.written(self.reader.at(), out)));
            return Ok(());
        }
        self.members.push((Cow::Borrowed(name), start..start));
        match text {
            Some(text) => self.text(Cow::Borrowed(text), depth + 1, value, out),
            None => self.other_value(depth + 1, out)?,
        }
        self.end_member(out);
        Ok(())
    }

    /// The last member ends where the reader is.
    fn end_member(&mut self, out: &str) {
        let end = self.written(self.reader.at(), out);
        if let Some((_, range)) = self.members.last_mut() {
            range.end = end;
        }
    }

    /// Writes any member, of which the name was read from `from` on.
    fn member(
        &mut self,
        key: Cow<'a, str>,
        from: usize,
        depth: usize,
        object: &mut Open,
        out: &mut String,
    ) -> Result<(), JsonError> {
        object.has_value |= keys::is_named_value(&key);
        let (at, place, first) = (self.reader.at(), self.members.len(), object.first);
        let comma = usize::from(place > first);
        // A comma, two quotes and a colon, and nothing else around it.
        let plain = matches!(key, Cow::Borrowed(_)) && at - from == comma + key.len() + 3;
        let (key, kept) = if key.len() < TOKEN { (key, true) } else { self.clean_key(key, place - first) };
        if place > first
            && let Some((last, _)) = self.members.last()
        {
            match json::key_order(last, &key) {
                Ordering::Less => {}
                Ordering::Equal => return Err(duplicate(&key, at)),
                Ordering::Greater => object.sorted = false,
            }
        }
        let start = if plain && kept {
            self.written(from + comma, out)
        } else {
            self.copy(from, out);
            if comma == 1 {
                out.push(',');
            }
            let start = out.len();
            json::write_read(out, &key);
            out.push(':');
            self.copied = at;
            start
        };
        let rule = self.rule(&key);
        self.members.push((key, start..start));
        match rule {
            None => self.value(depth + 1, out)?,
            Some(rule) => self.secret(rule, depth + 1, out)?,
        }
        self.end_member(out);
        Ok(())
    }

    /// Of an object such as `{"name": "Authorization", "value": …}`, a header or a credential: its value is that of the name. The
    /// object's members are those from `first` on.
    fn named_value(&mut self, first: usize, out: &mut String) {
        let members = self.members.get(first..).unwrap_or_default();
        let mut secrets = members.iter().filter(|(key, _)| keys::names_a_value(key)).filter_map(|(key, range)| {
            let name = out.get(value_in(key, range))?.strip_prefix('"')?.strip_suffix('"')?;
            self.how.rules.key(name)
        });
        let Some(rule) = secrets.next().map(KeyRule::name) else { return };
        // `value` and `Value` may both be there. More than there are spellings are one twice, which is refused below, and each costs as
        // much as the object is long.
        let places = (first..self.members.len())
            .filter(|at| self.members.get(*at).is_some_and(|(key, _)| keys::is_named_value(key)))
            .take(SPELLINGS)
            .collect::<SmallVec<[usize; 2]>>();
        for at in places {
            let Some((key, range)) = self.members.get(at) else { continue };
            let (key, value) = (key.clone(), value_in(key, range));
            if self.mask_member(first, at, value, out) {
                self.members.push((key, 0..0));
                self.mark(rule.clone());
                self.members.pop();
            }
        }
    }

    /// Masks the value of the member at `at`, of an object whose members begin at `first`. Tells whether it held anything.
    fn mask_member(&mut self, first: usize, at: usize, value: Range<usize>, out: &mut String) -> bool {
        let before = out.len();
        if !mask(value.clone(), out) {
            return false;
        }
        let (longer, shorter) = (out.len().saturating_sub(before), before.saturating_sub(out.len()));
        for (n, (_, range)) in self.members.iter_mut().enumerate().skip(first) {
            let moved = |at: usize| at + longer - shorter;
            if n == at {
                range.end = moved(range.end);
            } else if range.start >= value.end {
                *range = moved(range.start)..moved(range.end);
            }
        }
        true
    }

    /// Puts the members from `first` on, written from `body` on, in their order.
    fn arrange(&mut self, first: usize, body: usize, out: &mut String) -> Result<(), JsonError> {
        let members = self.members.get_mut(first..).unwrap_or_default();
        members.sort_unstable_by(|a, b| json::key_order(&a.0, &b.0));
        // Behind themselves, with a comma for each; then what is before goes.
        let end = out.len();
        out.reserve(end - body + members.len());
        let mut last = None;
        for (key, range) in &*members {
            if last.is_some() {
                out.push(',');
            }
            if last == Some(key) {
                return Err(duplicate(key, self.reader.at()));
            }
            out.extend_from_within(range.clone());
            last = Some(key);
        }
        out.drain(body..end);
        Ok(())
    }

    /// A key that is itself a token is not kept either. Tells whether it was.
    fn clean_key(&mut self, key: Cow<'a, str>, position: usize) -> (Cow<'a, str>, bool) {
        if self.how.rules.harmless(&key) || self.is_cleaned(&key) {
            return (key, true);
        }
        let mut fired = None;
        match self.how.rules.text(&key, &mut |rule| fired = Some(rule)) {
            None => (key, true),
            Some(clean) => {
                let clean = format!("{clean} #{position}");
                self.members.push((Cow::Owned(clean), 0..0));
                self.mark(fired.unwrap_or(Cow::Borrowed("token")));
                (self.members.pop().map_or(Cow::Borrowed(""), |(clean, _)| clean), false)
            }
        }
    }

    /// Whether a key is what is left of one that was cleaned: it keeps its number, though its place may be another by now.
    fn is_cleaned(&self, key: &str) -> bool {
        key.rsplit_once(" #").is_some_and(|(clean, number)| {
            clean.ends_with(MARK)
                && number.bytes().all(|b| b.is_ascii_digit())
                && self.how.rules.text(clean, &mut |_| {}).is_none()
        })
    }

    /// What to do with the value under this key, if anything.
    fn rule(&self, key: &str) -> Option<KeyRule> {
        self.how.rules.key(key).or_else(|| self.how.context.rule(key))
    }
}

/// Where the value of a member is written: behind its key, which needs no escape, and a colon.
fn value_in(key: &str, member: &Range<usize>) -> Range<usize> {
    member.start + key.len() + 3..member.end
}

/// Writes the mark in place of a value that is written already. Tells whether it held anything.
fn mask(value: Range<usize>, out: &mut String) -> bool {
    // Nothing secret fits in the others.
    let holds =
        out.get(value.clone()).is_some_and(|was| !matches!(was, "null" | "true" | "false") && !secret::is_marked(was));
    if holds {
        out.replace_range(value, &format!("\"{MARK}\""));
    }
    holds
}

fn duplicate(key: &str, at: usize) -> JsonError {
    let shown: String = key.chars().take(60).collect();
    JsonError::new("duplicate_key", at, format!("the key {shown:?} stands twice in one object; send it once"))
}

#[cfg(test)]
mod tests;
