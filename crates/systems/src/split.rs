//! One body into the texts of its records, on top of `event::batch`.
//!
//! Owns: where records stand, lines, and wrappers around lists. Not here: what a record means.

use crate::Reason;
use crate::object::Object;
use event::batch::Body;
use event::json::{Next, Reader};
use std::borrow::Cow;

/// How much text one body may become where its records are put together from several places, so that a few bytes said once for
/// many records are not a way to fill the memory: 64 MiB, four times the largest body.
pub const MAX_MADE: usize = 64 << 20;

/// Records of a list that are looked at before nobody knows its system.
pub(crate) const LOOKED_AT: usize = 16;

/// One record's text in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Line in NDJSON or a log, position in a list, from 1.
    pub line: usize,
    /// Its text, or why there is none: then nothing of it can be kept.
    pub text: Result<Cow<'a, str>, Reason>,
}

/// The body as text, without a byte order mark. Bytes that are not UTF-8 become U+FFFD; [`crate::convert()`] sees to the
/// records they stand in.
pub fn text(body: &[u8]) -> Cow<'_, str> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // The usual answer first, because it is much faster found.
    std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed)
}

/// An object, the elements of an array, or one record per line.
pub fn records(text: &str) -> Vec<Piece<'_>> {
    let body = Body::of(text);
    let base = text.as_ptr() as usize;
    body.pieces()
        .into_iter()
        .map(|piece| {
            let text = match piece.text {
                // The body is `text` itself, so its pieces lie in it.
                Ok(part) => (part.as_ptr() as usize)
                    .checked_sub(base)
                    .and_then(|at| text.get(at..at + part.len()))
                    .map(Cow::Borrowed)
                    .ok_or_else(|| Reason::new("invalid_json", "the record's text could not be cut out of the body")),
                Err(e) => Err(Reason::new(e.code, e.detail)),
            };
            Piece { line: piece.line, text }
        })
        .collect()
}

/// One record per line, for logs whose lines may begin with a bracket. Blank lines are none.
pub fn lines(text: &str) -> Vec<Piece<'_>> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(i, line)| Piece { line: i + 1, text: Ok(Cow::Borrowed(line)) })
        .collect()
}

/// The elements of the list at `path` inside one object: `["data", "authLog", "entries"]`. `None` where the text is
/// something else.
pub fn wrapped<'a>(text: &'a str, path: &[&str]) -> Option<Vec<Piece<'a>>> {
    let mut inside = text;
    for step in path {
        inside = member(inside, step)?;
    }
    inside.starts_with('[').then(|| records(inside))
}

/// The record by which a list's system is told: the first that can be read as an object, since one that is too deep says nothing.
/// Only so many are looked at.
pub fn telling(pieces: Vec<Piece<'_>>) -> Option<Cow<'_, str>> {
    pieces.into_iter().take(LOOKED_AT).filter_map(|piece| piece.text.ok()).find(|text| Object::parse(text).is_ok())
}

/// The text of one member of an object.
fn member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut r = Reader::new(text);
    if r.next_kind().ok()? != Next::Object {
        return None;
    }
    r.open(b'{').ok()?;
    let mut first = true;
    while let Some(key) = r.key(first).ok()? {
        first = false;
        // However deep: one record that is too deep must not keep its neighbours from being found.
        let value = r.skip_whole().ok()?;
        if key == name {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pieces: Vec<Piece<'_>>) -> Vec<(usize, String)> {
        pieces.into_iter().map(|p| (p.line, p.text.map_or_else(|e| e.code.into(), Cow::into_owned))).collect()
    }

    #[test]
    fn records_lie_in_the_body() {
        assert_eq!(texts(records(" [{\"a\":1}, 2] ")), [(1, "{\"a\":1}".into()), (2, "2".into())]);
        assert_eq!(texts(records("{\"a\":1}\n\nb\n")), [(1, "{\"a\":1}".into()), (3, "b".into())]);
        assert_eq!(texts(records("[1,")), [(1, "1".into()), (2, "invalid_json".into())]);
    }

    #[test]
    fn lists_are_unwrapped_where_they_are() {
        let body = r#"{"extensions":{},"data":{"authLog":{"entries":[{"id":"1"},{"id":"2"}]}}}"#;
        let found = wrapped(body, &["data", "authLog", "entries"]).unwrap();
        assert_eq!(texts(found), [(1, r#"{"id":"1"}"#.into()), (2, r#"{"id":"2"}"#.into())]);
        let deep =
            format!(r#"{{"logs":[{{"id":"1"}},{}{},{{"id":"2"}}],"next":null}}"#, "[".repeat(200), "]".repeat(200));
        let found = texts(wrapped(&deep, &["logs"]).unwrap());
        assert_eq!((found.len(), found[2].1.as_str()), (3, r#"{"id":"2"}"#));
        for other in ["[]", "{}", r#"{"data":null}"#, r#"{"data":{"authLog":{"entries":{}}}}"#, "x"] {
            assert_eq!(wrapped(other, &["data", "authLog", "entries"]), None, "{other}");
        }
    }

    #[test]
    fn lines_may_begin_with_brackets() {
        assert_eq!(texts(lines("[1] a\r\n\n[2] b")), [(1, "[1] a".into()), (3, "[2] b".into())]);
    }
}
