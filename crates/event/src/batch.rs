//! One request body into the texts of its records: an object, an array, or NDJSON.
//!
//! Owns where one record ends and the next begins, and nothing about what a record may be (`parse`). A text
//! that is no record never hides the ones beside it.

use crate::json::Reader;
use std::borrow::Cow;

/// One record's text in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Line in NDJSON, position in an array, from 1.
    pub line: usize,
    /// Its text, or why there is none.
    pub text: Result<&'a str, SplitError>,
}

/// Why a piece has no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct SplitError {
    /// Stable code: `invalid_utf8` or `invalid_json`.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub detail: String,
}

/// A body checked for UTF-8, ready to be split.
#[derive(Debug)]
pub struct Body<'a> {
    text: Cow<'a, str>,
    /// Offsets of bytes that were not UTF-8, in order; a space stands in their place.
    bad: Vec<usize>,
}

impl<'a> Body<'a> {
    /// Checks the bytes; those that are not UTF-8 only spoil the record they stand in.
    pub fn new(bytes: &'a [u8]) -> Body<'a> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if let Ok(text) = simdutf8::basic::from_utf8(bytes) {
            return Body { text: Cow::Borrowed(text), bad: Vec::new() };
        }
        let mut text = String::with_capacity(bytes.len());
        let mut bad = Vec::new();
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                bad.push(text.len());
                // Same length, so that offsets stay true.
                text.extend(std::iter::repeat_n('?', chunk.invalid().len()));
            }
        }
        Body { text: Cow::Owned(text), bad }
    }

    /// The same of what is text already.
    pub fn of(text: &'a str) -> Body<'a> {
        Body { text: Cow::Borrowed(text), bad: Vec::new() }
    }

    /// The records' texts, in order. Blank lines are no records.
    pub fn pieces(&self) -> Vec<Piece<'_>> {
        let text = self.text.as_ref();
        let trimmed = text.trim_start_matches([' ', '\n', '\r', '\t']);
        if trimmed.starts_with('[') {
            return self.array(trimmed);
        }
        // Objects may be printed over several lines; anything else is one record per line.
        let first_line = trimmed.lines().next().unwrap_or_default();
        let mut pieces = Vec::new();
        let (left, line) = if trimmed.starts_with('{') && Reader::new(first_line).skip(0).is_err() {
            self.printed(text, trimmed, &mut pieces)
        } else {
            (text, 1)
        };
        // As `split` would, which looks at fewer bytes at a time.
        let ends = memchr::memchr_iter(b'\n', left.as_bytes()).chain([left.len()]);
        let mut from = 0;
        let lines = ends
            .map(|end| left.get(std::mem::replace(&mut from, end + 1)..end).unwrap_or_default())
            .enumerate()
            .map(|(i, text)| (i + line, text.trim_matches([' ', '\r', '\t'])))
            .filter(|(_, line)| !line.is_empty())
            .map(|(line, text)| self.piece(line, text));
        pieces.extend(lines);
        pieces
    }

    /// Objects one behind the other, each over several lines, as `jq` prints them. Gives what is left behind the last that is sound, and the
    /// line where that begins.
    fn printed<'t>(&'t self, text: &'t str, trimmed: &'t str, pieces: &mut Vec<Piece<'t>>) -> (&'t str, usize) {
        let lines = |text: &str| memchr::memchr_iter(b'\n', text.as_bytes()).count();
        let mut line = 1 + lines(text.get(..text.len() - trimmed.len()).unwrap_or_default());
        let mut left = trimmed;
        while left.starts_with('{') {
            let mut r = Reader::new(left);
            let Ok(object) = r.skip_whole() else { break };
            pieces.push(self.piece(line, object));
            let next = left.get(r.at()..).unwrap_or_default().trim_start_matches([' ', '\n', '\r', '\t']);
            line += lines(left.get(..left.len() - next.len()).unwrap_or_default());
            left = next;
        }
        (left, line)
    }

    fn piece<'t>(&'t self, line: usize, text: &'t str) -> Piece<'t> {
        if !self.bad.is_empty() {
            let start = text.as_ptr() as usize - self.text.as_ptr() as usize;
            let from = self.bad.partition_point(|at| *at < start);
            if let Some(at) = self.bad.get(from).filter(|at| **at < start + text.len()) {
                let detail = format!("the record is not UTF-8 at byte {}; send text as UTF-8", at - start);
                return Piece { line, text: Err(SplitError { code: "invalid_utf8", detail }) };
            }
        }
        Piece { line, text: Ok(text) }
    }

    fn array<'t>(&'t self, text: &'t str) -> Vec<Piece<'t>> {
        let mut pieces = Vec::new();
        let mut r = Reader::new(text);
        let mut step = || -> Result<(), crate::json::JsonError> {
            r.open(b'[')?;
            while r.element(pieces.is_empty())? {
                let element = r.skip_whole()?;
                pieces.push(self.piece(pieces.len() + 1, element));
            }
            r.end()
        };
        if let Err(e) = step() {
            let detail = format!("the array breaks off here, and nothing after it was read: {e}");
            pieces.push(Piece { line: pieces.len() + 1, text: Err(SplitError { code: "invalid_json", detail }) });
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(bytes: &[u8]) -> Vec<(usize, Result<String, &'static str>)> {
        let body = Body::new(bytes);
        body.pieces().into_iter().map(|p| (p.line, p.text.map(str::to_owned).map_err(|e| e.code))).collect()
    }

    #[test]
    fn the_three_shapes() {
        assert_eq!(split(b" {\"a\":\n1}\n "), [(1, Ok("{\"a\":\n1}".into()))]);
        assert_eq!(split(b"{\"a\":1}\r\n\n{\"b\":2}"), [(1, Ok("{\"a\":1}".into())), (3, Ok("{\"b\":2}".into()))]);
        assert_eq!(split(b"[{\"a\":[1,2]} , 3]"), [(1, Ok("{\"a\":[1,2]}".into())), (2, Ok("3".into()))]);
        assert_eq!(split(b"[]"), []);
        assert_eq!(split(b" \n"), []);
    }

    #[test]
    fn what_is_broken_spoils_only_itself() {
        assert_eq!(
            split(b"{\"a\":1}\n{\"b\":\xff}\n{\"c\":3}").iter().map(|p| p.1.is_ok()).collect::<Vec<_>>(),
            [true, false, true]
        );
        assert_eq!(
            split(b"[{\"a\":1},{\"b\":\"\xc3\"},{\"c\":3}]").iter().map(|p| p.1.is_ok()).collect::<Vec<_>>(),
            [true, false, true]
        );
        assert_eq!(split(b"{\"a\":1}\n{\"b\":"), [(1, Ok("{\"a\":1}".into())), (2, Ok("{\"b\":".into()))]);
        assert_eq!(split(b"[{\"a\":1},{\"b\":"), [(1, Ok("{\"a\":1}".into())), (2, Err("invalid_json"))]);
        let deep = format!("[{{\"a\":1}},{}{},{{\"b\":2}}]", "[".repeat(100), "]".repeat(100));
        assert_eq!(split(deep.as_bytes()).len(), 3, "one that is too deep is one");
        let deep = format!("{{\"a\":\n{}{}}}", "[".repeat(100), "]".repeat(100));
        assert_eq!(split(deep.as_bytes()).len(), 1, "over two lines too");
        assert_eq!(split(b"{\"a\":\n{\"b\":2}").len(), 2, "an unfinished line is a line of its own");
    }

    #[test]
    fn objects_one_behind_the_other_are_read_as_they_are_printed() {
        let (a, b) = ("{\n  \"a\": 1\n}", "{\n  \"b\": [\n    2\n  ]\n}");
        let whole = |text: &str| Ok(text.to_owned());
        assert_eq!(split(format!("\n{a}\n\n{b}\n").as_bytes()), [(2, whole(a)), (6, whole(b))]);
        assert_eq!(split(format!("{a}{b}\n{{}}\n").as_bytes()).len(), 3);
        let at = |text: String| split(text.as_bytes()).iter().map(|p| p.0).collect::<Vec<_>>();
        assert_eq!(at(format!("{a}\n{b}\n{{\n  \"c\":\n}}\n{{\"d\":4}}")), [1, 4, 9, 12], "a broken one is one too");
        assert_eq!(
            at(format!("{a}\n{{\n  \"c\": \"x\n}}\n{{\"d\":4}}")),
            [1, 4, 5, 6, 7],
            "where its end is not found it goes by lines"
        );
    }

    proptest::proptest! {
        #[test]
        fn lines_are_where_the_slow_way_says(text in "x[a \\n\\r\u{e9}]{0,40}") {
            let slow: Vec<_> = text
                .split('\n')
                .enumerate()
                .map(|(i, line)| (i + 1, Ok(line.trim_matches([' ', '\r', '\t']).to_owned())))
                .filter(|(_, line)| *line != Ok(String::new()))
                .collect();
            proptest::prop_assert_eq!(split(text.as_bytes()), slow);
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            Body::new(&bytes).pieces();
        }
    }
}
