//! A JSON reader that goes over the text once: strings decoded, numbers made canonical, everything
//! malformed refused with its place.
//!
//! Owns tokens; `members` goes from name to name, `string` decodes texts, `scan` finds where they end, `write` has RFC 8785's rules for
//! strings and numbers. Not here: what fields mean (`parse`) and what must not be kept (`redact`). It never builds a tree: measured, that alone would cost more than all the
//! hashing and storing of a record together.

mod members;
mod scan;
mod string;
mod write;

pub use members::{Member, Name};
pub(crate) use write::is_canonical_number;
pub use write::{key_order, numbers_as_text, write_number, write_read, write_string};

pub(crate) use scan::has_nul;
use scan::text_end;
use std::borrow::Cow;

/// How deep objects and arrays may nest, the record itself included.
pub const MAX_DEPTH: usize = 64;

/// Why a text is not acceptable JSON. `at` is a byte offset into the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail} (byte {at})")]
pub struct JsonError {
    /// Stable code: `invalid_json`, `too_deep`, `duplicate_key`, `lone_surrogate`, `nul_byte`, `number_out_of_range`.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub detail: Cow<'static, str>,
    /// Where, in bytes.
    pub at: usize,
}

impl JsonError {
    pub(crate) fn new(code: &'static str, at: usize, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), at }
    }
}

type Result<T> = std::result::Result<T, JsonError>;

/// What kind of value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// A digit or `-`.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`.
    Null,
}

impl Next {
    /// The word for it in an error.
    pub fn name(self) -> &'static str {
        match self {
            Next::Object => "an object",
            Next::Array => "an array",
            Next::String => "text",
            Next::Number => "a number",
            Next::Bool => "true or false",
            Next::Null => "null",
        }
    }
}

/// A cursor over JSON text.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where the cursor is, in bytes.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The text from `from` to `to`, places where the cursor was or at which a token begins or ends.
    #[inline]
    pub(crate) fn part(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// An error at the cursor.
    pub fn error(&self, code: &'static str, detail: impl Into<Cow<'static, str>>) -> JsonError {
        JsonError::new(code, self.at, detail)
    }

    fn unexpected(&self, wanted: &str) -> JsonError {
        match self.text.get(self.at..).and_then(|t| t.chars().next()) {
            None => self.error("invalid_json", format!("the text ends where {wanted} was expected")),
            Some(c) => self.error("invalid_json", format!("{wanted} was expected, found {c:?}")),
        }
    }

    /// Looks at the next value without taking it.
    #[inline]
    pub fn next_kind(&mut self) -> Result<Next> {
        self.space();
        match self.peek() {
            Some(b'"') => Ok(Next::String),
            Some(b'{') => Ok(Next::Object),
            Some(b'[') => Ok(Next::Array),
            Some(b'-' | b'0'..=b'9') => Ok(Next::Number),
            Some(b't' | b'f') => Ok(Next::Bool),
            Some(b'n') => Ok(Next::Null),
            _ => Err(self.unexpected("a value")),
        }
    }

    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes a piece of JSON that is the very next; it MUST begin and end with whole tokens. Tells whether it was there, and leaves the
    /// cursor where it was if not.
    #[inline]
    pub fn takes(&mut self, piece: &str) -> bool {
        let found = self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(piece.as_bytes()));
        if found {
            self.at += piece.len();
        }
        found
    }

    #[inline]
    fn expect(&mut self, byte: u8, wanted: &str) -> Result<()> {
        self.space();
        if self.take(byte) { Ok(()) } else { Err(self.unexpected(wanted)) }
    }

    /// Enters an object or array.
    pub fn open(&mut self, bracket: u8) -> Result<()> {
        self.expect(bracket, if bracket == b'{' { "an object" } else { "an array" })
    }

    /// Moves to the next element of an array; false at the end.
    pub fn element(&mut self, first: bool) -> Result<bool> {
        self.space();
        if self.take(b']') {
            return Ok(false);
        }
        if !first && !self.take(b',') {
            return Err(self.unexpected("`,` or `]`"));
        }
        Ok(true)
    }

    /// Takes `true` or `false`.
    pub fn boolean(&mut self) -> Result<bool> {
        self.space();
        let rest = &self.text.as_bytes()[self.at..];
        let (value, len) = if rest.starts_with(b"true") {
            (true, 4)
        } else if rest.starts_with(b"false") {
            (false, 5)
        } else {
            return Err(self.unexpected("true or false"));
        };
        self.at += len;
        Ok(value)
    }

    /// Takes `null`.
    pub fn null(&mut self) -> Result<()> {
        self.space();
        if !self.text.as_bytes()[self.at..].starts_with(b"null") {
            return Err(self.unexpected("null"));
        }
        self.at += 4;
        Ok(())
    }

    /// Takes a number as it is written, checked against JSON's grammar.
    pub fn number(&mut self) -> Result<&'a str> {
        self.space();
        let start = self.at;
        self.take(b'-');
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.unexpected("a digit")),
        }
        if self.take(b'.') {
            if !matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.unexpected("a digit"));
            }
            self.digits();
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            if !matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.unexpected("a digit"));
            }
            self.digits();
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    /// Steps over one value and gives its text. Only brackets and quotes are looked at: whoever uses the
    /// text checks the rest. `depth` is how deep the value stands.
    pub fn skip(&mut self, depth: usize) -> Result<&'a str> {
        // In some systems that is what most members are that are no text.
        if self.takes("null") {
            return Ok(&self.text[self.at - 4..self.at]);
        }
        let kind = self.next_kind()?;
        let start = self.at;
        match kind {
            Next::String => {
                self.skip_string()?;
            }
            Next::Number => {
                self.number()?;
            }
            Next::Bool => {
                self.boolean()?;
            }
            Next::Null => self.null()?,
            Next::Object | Next::Array => self.skip_nested(MAX_DEPTH.saturating_sub(depth))?,
        }
        Ok(&self.text[start..self.at])
    }

    /// As [`skip`](Self::skip), however deep the value is: whoever reads it says that it is too deep, and what comes behind it is
    /// read all the same.
    ///
    /// # Errors
    /// As [`skip`](Self::skip).
    pub fn skip_whole(&mut self) -> Result<&'a str> {
        match self.next_kind()? {
            Next::Object | Next::Array => {
                let start = self.at;
                self.skip_nested(usize::MAX)?;
                Ok(&self.text[start..self.at])
            }
            _ => self.skip(0),
        }
    }

    /// `most` levels at most.
    fn skip_nested(&mut self, most: usize) -> Result<()> {
        let bytes = self.text.as_bytes();
        let (mut at, mut open) = (self.at, 0usize);
        while let Some(b) = bytes.get(at) {
            at += 1;
            match b {
                b'"' => loop {
                    match text_end(bytes, at) {
                        Ok(end) => at = end,
                        Err(end) => return Err(self.open_text(end)),
                    }
                    // The next is most often a text as well.
                    match bytes.get(at..) {
                        Some([b':' | b',', b'"', ..]) => at += 2,
                        _ => break,
                    }
                },
                b'{' | b'[' => {
                    open += 1;
                    if open > most {
                        return Err(too_deep(at - 1));
                    }
                }
                b'}' | b']' => {
                    open -= 1;
                    if open == 0 {
                        self.at = at;
                        return Ok(());
                    }
                }
                _ => {}
            }
        }
        self.at = at;
        Err(self.unexpected("a closing bracket"))
    }

    /// Checks that nothing but white space is left.
    pub fn end(&mut self) -> Result<()> {
        self.space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("the end of the record")),
        }
    }
}

pub(crate) fn too_deep(at: usize) -> JsonError {
    JsonError::new(
        "too_deep",
        at,
        format!("objects and arrays nest deeper than {MAX_DEPTH}; flatten the value or send it as text"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_canonical_or_refused() {
        for (text, want) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("1.0", "1"),
            ("1e3", "1000"),
            ("1E-7", "1e-7"),
            ("123456789012345", "123456789012345"),
            ("9007199254740992", "9007199254740992"),
            ("100000000000000000000", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("0.1", "0.1"),
        ] {
            let mut out = String::new();
            write_number(&mut out, text, 0).unwrap();
            assert_eq!(out, want, "{text}");
        }
        for text in ["9007199254740993", "18446744073709551616", "1e400", "-1e999", "12345678901234567890"] {
            assert_eq!(write_number(&mut String::new(), text, 0).unwrap_err().code, "number_out_of_range", "{text}");
        }
    }

    #[test]
    fn numbers_that_do_not_fit_become_the_texts_that_they_are() {
        for (json, held) in [
            (
                r#"{"a":9007199254740993,"b":[-12345678901234567890,1.5]}"#,
                Some(r#"{"a":"9007199254740993","b":["-12345678901234567890",1.5]}"#),
            ),
            (r#"{"a": 1e999 , "b":"9007199254740993"}"#, Some(r#"{"a": "1e999" , "b":"9007199254740993"}"#)),
            ("9007199254740993", Some(r#""9007199254740993""#)),
            (r#"{"a":9007199254740992,"9007199254740993":"\\\"9007199254740993"}"#, None),
            (r#"{"a":00009007199254740993,"b":9007199254740993-1,"c":"9007199254740993"#, None),
            ("", None),
        ] {
            assert_eq!(numbers_as_text(json), held.unwrap_or(json), "{json}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_becomes_text_leaves_nothing_that_does_not_fit(json in "([\\[{\",:0-9e.-]|\\\\|90071992547409[0-9]{2,4}|\u{e9}){0,24}") {
            let held = numbers_as_text(&json);
            proptest::prop_assert_eq!(numbers_as_text(&held), held.as_ref());
        }

        #[test]
        fn what_is_written_is_read_back(number in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,8})?(e[0-9]{1,2})?") {
            let mut once = String::new();
            if write_number(&mut once, &number, 0).is_ok() {
                let mut twice = String::new();
                write_number(&mut twice, &once, 0).unwrap();
                proptest::prop_assert_eq!(&once, &twice);
            }
            proptest::prop_assert!(!is_canonical_number(&number) || once == number, "{}", number);
        }

        #[test]
        fn a_number_that_is_known_to_stay_is_written_so(number in "-?(0|[1-9][0-9]{0,6}|[1-9][0-9]{7,16})(\\.(0{0,8}[0-9]{1,10}|[0-9]{8,16}))?") {
            let mut written = String::new();
            let result = write_number(&mut written, &number, 0);
            proptest::prop_assert!(!is_canonical_number(&number) || (result.is_ok() && written == number), "{}", written);
        }
    }

    proptest::proptest! {
        #[test]
        fn keys_are_in_the_order_of_their_utf_16(a in "[ab\u{e9}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}]{0,4}", b in "[ab\u{e9}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}]{0,4}") {
            proptest::prop_assert_eq!(key_order(&a, &b), a.encode_utf16().cmp(b.encode_utf16()));
        }

        #[test]
        fn a_text_that_was_read_is_written_as_any_other(raw in "\"([ -!#-\\[\\]-~\u{e9}\u{7f}]|\\\\[nt\"\\\\/]|\\\\u00[01][1-9a-f]){0,20}\"") {
            let read = Reader::new(&raw).string().unwrap();
            let (mut as_read, mut as_any) = (String::new(), String::new());
            write_read(&mut as_read, &read);
            write_string(&mut as_any, &read);
            proptest::prop_assert_eq!(as_read, as_any);
        }
    }

    #[test]
    fn skip_stops_at_the_depth_limit_without_recursion() {
        let deep = "[".repeat(5000) + &"]".repeat(5000);
        assert_eq!(Reader::new(&deep).skip(0).unwrap_err().code, "too_deep");
        let fine = "[".repeat(64) + &"]".repeat(64);
        assert_eq!(Reader::new(&fine).skip(0).unwrap(), fine);
    }

    proptest::proptest! {
        #[test]
        fn a_member_is_its_key_and_its_value(text in "\\{[ ]?\"[a\\\\n]{0,3}\"[ ]?:[ ]?(\"[a-z\\\\\"\u{1}]{0,9}\"|[0-9]|\\[\"a\",\"b\"\\]|\\{\"a\":\"\\\\\"\"\\})[ ]?,?\"b\":\"\"\\}?") {
            let (mut by_member, mut by_parts) = (Reader::new(&text), Reader::new(&text));
            by_member.open(b'{').unwrap();
            by_parts.open(b'{').unwrap();
            for first in [true, false, false] {
                let parts = by_parts.key(first).and_then(|key| key.map(|key| Ok((key, by_parts.skip(1)?))).transpose());
                let member = by_member.member(first, 1);
                proptest::prop_assert_eq!(&member.clone().map(|m| m.map(|m| (m.key, m.raw))), &parts);
                let Ok(Some(member)) = member else { break };
                proptest::prop_assert_eq!(by_member.at(), by_parts.at());
                let mut written = String::new();
                write_string(&mut written, &member.key);
                written = format!("{written}:{}", member.raw);
                proptest::prop_assert!(member.whole.is_empty() || member.whole == written);
                let said = Reader::new(member.raw).string();
                let as_it_stands = matches!(said, Ok(Cow::Borrowed(_)));
                proptest::prop_assert!(as_it_stands || !member.plain);
                proptest::prop_assert!(member.plain || !as_it_stands || text.contains(": "), "only behind a blank");
            }
        }
    }
}
