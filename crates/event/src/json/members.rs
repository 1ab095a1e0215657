//! The members of an object, one after the other.
//!
//! Owns names, and the short ways over what machines write: names and texts with nothing escaped in them and no blanks around them.
//! Not here: what a value is (`super`).

use super::scan::plain_run;
use super::{Reader, Result};
use std::borrow::Cow;

/// A member of an object, whose value was stepped over.
#[derive(Debug, Clone)]
pub struct Member<'a> {
    /// Its name.
    pub key: Cow<'a, str>,
    /// The value's text, as [`Reader::skip`] gives it.
    pub raw: &'a str,
    /// Whether the value is a text in quotes that says what stands between them: nothing in it is escaped.
    pub plain: bool,
    /// Name and value as they stand, where that is how [`super::write_string`] and a colon would write the name; else nothing.
    pub whole: &'a str,
}

/// A member's name, and where it begins.
#[derive(Debug, Clone)]
pub struct Name<'a> {
    /// The name.
    pub key: Cow<'a, str>,
    from: usize,
}

impl Name<'_> {
    /// Whether it stands as [`super::write_string`] and a colon would write it, up to `to`, where the value begins.
    #[inline]
    pub fn as_written(&self, to: usize) -> bool {
        // Two quotes and a colon, and neither escapes nor blanks.
        matches!(self.key, Cow::Borrowed(_)) && to - self.from == self.key.len() + 3
    }
}

impl<'a> Reader<'a> {
    /// Moves to the next member of an object: its key, with the cursor before its value; `None` at the end.
    /// `first` is true right after [`open`](Self::open).
    #[inline]
    pub fn key(&mut self, first: bool) -> Result<Option<Cow<'a, str>>> {
        match self.plain_key(first) {
            Some(key) => Ok(Some(Cow::Borrowed(key))),
            None => self.any_key(first),
        }
    }

    /// As [`key`](Self::key), of a key without blanks around it and escapes in it: machines write nearly no other. `None`, with the
    /// cursor where it was, for what `key` has to look at.
    #[inline]
    pub(crate) fn plain_key(&mut self, first: bool) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let start = match (first, bytes.get(self.at..)?) {
            (true, [b'"', ..]) => self.at + 1,
            (false, [b',', b'"', ..]) => self.at + 2,
            _ => return None,
        };
        let rest = bytes.get(start..)?;
        let len = plain_run(rest);
        let [b'"', b':', ..] = rest.get(len..)? else { return None };
        self.at = start + len + 2;
        self.text.get(start..)?.get(..len)
    }

    /// As [`plain_key`](Self::plain_key), of a key of this length, whose quote is at `from`. `None` where it can be seen not to be there.
    #[inline]
    pub(crate) fn jump_key(&mut self, from: usize, length: usize) -> Option<&'a str> {
        let rest = self.text.get(from..)?;
        let (name, behind) = rest.strip_prefix('"')?.split_at_checked(length)?;
        if !behind.starts_with("\":") {
            return None;
        }
        self.at = from + length + 3;
        Some(name)
    }

    /// As [`plain_string`](Self::plain_string), of a text of this length. `None` where it can be seen not to be there.
    #[inline]
    pub(crate) fn jump_text(&mut self, length: usize) -> Option<&'a str> {
        let (text, behind) = self.text.get(self.at..)?.strip_prefix('"')?.split_at_checked(length)?;
        if !behind.starts_with('"') {
            return None;
        }
        self.at += length + 2;
        Some(text)
    }

    /// As [`name`](Self::name), of a name without escapes and with no blanks around it.
    #[inline]
    pub fn plain_name(&mut self, first: bool) -> Option<Name<'a>> {
        let from = self.at + usize::from(!first);
        self.plain_key(first).map(|key| Name { key: Cow::Borrowed(key), from })
    }

    /// The text without escapes that is the very next after `name`, as it stands; and that with its name.
    #[inline]
    pub fn plain_value(&mut self, name: &Name<'a>) -> Option<(&'a str, &'a str)> {
        let raw = self.plain_raw()?;
        Some((raw, self.since(name)))
    }

    /// Leaves the object whose closing bracket is the very next byte. Tells whether it is.
    #[inline]
    pub(crate) fn closes(&mut self) -> bool {
        self.take(b'}')
    }

    /// Takes a member: what [`key`](Self::key) and [`skip`](Self::skip) give in turn, and what is known by then. `None` at the end.
    ///
    /// # Errors
    /// Theirs.
    pub fn member(&mut self, first: bool, depth: usize) -> Result<Option<Member<'a>>> {
        let Some(name) = self.name(first)? else { return Ok(None) };
        self.member_of(name, depth).map(Some)
    }

    /// The first half of [`member`](Self::member), with the cursor before the value.
    ///
    /// # Errors
    /// As [`key`](Self::key).
    #[inline]
    pub fn name(&mut self, first: bool) -> Result<Option<Name<'a>>> {
        if self.closes() {
            return Ok(None);
        }
        let from = self.at + usize::from(!first);
        Ok(self.key(first)?.map(|key| Name { key, from }))
    }

    /// What stands from the beginning of a name up to the cursor.
    #[inline]
    pub fn since(&self, name: &Name<'a>) -> &'a str {
        self.part(name.from, self.at)
    }

    /// The other half.
    ///
    /// # Errors
    /// As [`skip`](Self::skip).
    #[inline]
    pub fn member_of(&mut self, name: Name<'a>, depth: usize) -> Result<Member<'a>> {
        let start = self.at;
        let text = if self.peek() == Some(b'"') { self.plain_raw() } else { None };
        let (raw, plain) = match text {
            Some(raw) => (raw, true),
            None => (self.skip(depth)?, false),
        };
        let as_written = name.as_written(start) && self.at - start == raw.len();
        let whole = if as_written { self.since(&name) } else { "" };
        Ok(Member { key: name.key, raw, plain, whole })
    }

    /// Whether the very next byte opens an object.
    #[inline]
    pub fn at_object(&self) -> bool {
        self.peek() == Some(b'{')
    }

    fn any_key(&mut self, first: bool) -> Result<Option<Cow<'a, str>>> {
        self.space();
        if self.take(b'}') {
            return Ok(None);
        }
        if !first {
            if !self.take(b',') {
                return Err(self.unexpected("`,` or `}`"));
            }
            self.space();
        }
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key in quotes"));
        }
        let key = self.string()?;
        self.expect(b':', "`:`")?;
        Ok(Some(key))
    }

    /// Takes a member that is the very next, with the comma before it if it has one, where it stands just like this one and ends there.
    #[inline]
    pub fn takes_member(&mut self, member: &str) -> bool {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let found = rest.starts_with(member.as_bytes()) && matches!(rest.get(member.len()), Some(b',' | b'}'));
        if found {
            self.at += member.len();
        }
        found
    }
}
