//! One body into the texts of its records, on top of `event::batch`.
//!
//! Owns: where records stand, lines, and wrappers around lists. Not here: what a record means.

use crate::Reason;
use crate::object::Object;
use event::batch::Body;
use event::json::{JsonError, Next, Reader};
use std::borrow::Cow;

/// How much text of one body is held at once where its records are put together from several places, so that a few bytes said once for
/// many records are not a way to fill the memory: 64 MiB, four times the largest body.
pub const MAX_MADE: usize = 64 << 20;

/// How much text one body may become in all, where it is taken in several parts: 64 times the largest body.
pub const MAX_MADE_IN_ALL: usize = 16 * MAX_MADE;

/// Records of a list that are looked at before nobody knows its system.
pub(crate) const LOOKED_AT: usize = 16;

/// One record's text in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Line in NDJSON or a log, position in a list, from 1.
    pub line: usize,
    /// Its text, or why there is none.
    pub text: Result<Cow<'a, str>, Reason>,
    /// What stands in the body where no record could be read: it is kept as it is, with the reason. Empty where there is nothing to keep.
    pub rest: Cow<'a, str>,
}

/// Records of a text, as many as may be held at once.
#[derive(Debug)]
pub struct Part<'a> {
    /// The records.
    pub pieces: Vec<Piece<'a>>,
    /// Which record the next part begins with, from 0; `None` where this is the last.
    pub next: Option<usize>,
    /// How many records the text has in all.
    pub all: usize,
}

impl<'a> From<Vec<Piece<'a>>> for Part<'a> {
    /// All that a text has.
    fn from(pieces: Vec<Piece<'a>>) -> Part<'a> {
        Part { all: pieces.len(), pieces, next: None }
    }
}

impl<'a> Piece<'a> {
    /// A record's text, or why nothing of it can be kept.
    pub fn new(line: usize, text: Result<Cow<'a, str>, Reason>) -> Piece<'a> {
        Piece { line, text, rest: Cow::Borrowed("") }
    }

    /// Text that is no record, and why.
    pub fn broken(line: usize, rest: &'a str, detail: String) -> Piece<'a> {
        Piece { line, text: Err(Reason::new("invalid_json", detail)), rest: Cow::Borrowed(rest) }
    }
}

/// The body as text, without a byte order mark: UTF-8, or UTF-16 where its mark is there, as in what spreadsheets call Unicode text.
/// What is neither becomes U+FFFD; [`crate::convert()`] sees to the records it stands in.
pub fn text(body: &[u8]) -> Cow<'_, str> {
    // No UTF-8 begins with these.
    match body {
        [0xff, 0xfe, rest @ ..] => return Cow::Owned(utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => return Cow::Owned(utf16(rest, u16::from_be_bytes)),
        _ => {}
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // The usual answer first, because it is much faster found.
    std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed)
}

/// UTF-16 as text, half as long again at most.
fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, odd) = bytes.as_chunks();
    let chars = char::decode_utf16(pairs.iter().map(|pair| unit(*pair)));
    let odd = (!odd.is_empty()).then_some(char::REPLACEMENT_CHARACTER);
    chars.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).chain(odd).collect()
}

/// An object, the elements of an array, or one record per line.
pub fn records(text: &str) -> Vec<Piece<'_>> {
    let start = text.trim_start_matches(SPACE);
    if start.starts_with('[') {
        let List { mut pieces, mut behind } = list(start);
        // Answers of several pages, one behind the other.
        while behind.starts_with('[') {
            let more = list(behind);
            let counted = pieces.len();
            pieces.extend(more.pieces.into_iter().map(|piece| Piece { line: counted + piece.line, ..piece }));
            behind = more.behind;
        }
        if !behind.is_empty() {
            let detail = "the list ends before this text; send one list, or one record per line";
            pieces.push(Piece::broken(pieces.len() + 1, behind, detail.into()));
        }
        return pieces;
    }
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
            Piece::new(piece.line, text)
        })
        .collect()
}

const SPACE: [char; 4] = [' ', '\n', '\r', '\t'];

/// A list taken apart.
struct List<'a> {
    pieces: Vec<Piece<'a>>,
    /// What stands behind its end, without blanks before and behind it.
    behind: &'a str,
}

/// The elements of the list that a text begins with. What is no JSON between two commas is a piece of its own, and so is all that is
/// left where no end of it is found.
fn list(text: &str) -> List<'_> {
    let mut pieces = Vec::new();
    let mut left = text.strip_prefix('[').unwrap_or(text);
    let mut first = true;
    loop {
        let mut r = Reader::new(left);
        let after = |r: &Reader<'_>| left.get(r.at()..).unwrap_or_default();
        let (from, error) = match r.element(first) {
            Ok(false) => return List { pieces, behind: after(&r).trim_matches(SPACE) },
            Ok(true) => {
                let from = after(&r);
                match r.skip_whole() {
                    Ok(element) => {
                        pieces.push(Piece::new(pieces.len() + 1, Ok(Cow::Borrowed(element))));
                        (left, first) = (after(&r), false);
                        continue;
                    }
                    Err(e) => (from, e),
                }
            }
            Err(e) => (after(&r), e),
        };
        first = false;
        let (line, end) = (pieces.len() + 1, element_end(from));
        let rest = from.get(..end.unwrap_or(from.len())).unwrap_or(from).trim_matches(SPACE);
        let JsonError { detail: why, .. } = error;
        let detail = match (end, rest) {
            (Some(_), "") => format!("there is nothing where element {line} of the list should be: {why}"),
            (Some(_), _) => format!("element {line} of the list is no JSON: {why}"),
            (None, _) => {
                format!("the list breaks off in element {line}, or a bracket or quote in it is not closed: {why}")
            }
        };
        pieces.push(Piece::broken(line, rest, detail));
        match end {
            Some(end) => left = from.get(end..).unwrap_or_default(),
            None => return List { pieces, behind: "" },
        }
    }
}

/// Where the text up to the next comma, or to the list's end, ends: outside of quotes, and of brackets as far as they are in order.
fn element_end(text: &str) -> Option<usize> {
    let (mut open, mut quoted, mut escaped) = (0usize, false, false);
    text.bytes().position(|byte| {
        if quoted {
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            return false;
        }
        match byte {
            b'"' => quoted = true,
            b'{' | b'[' => open += 1,
            b',' | b']' if open == 0 => return true,
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        false
    })
}

/// One record per line, for logs whose lines may begin with a bracket. Blank lines are none.
pub fn lines(text: &str) -> Vec<Piece<'_>> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(i, line)| Piece::new(i + 1, Ok(Cow::Borrowed(line))))
        .collect()
}

/// The elements of the list at `path` inside one object, `["data", "authLog", "entries"]`, or inside several, one behind the other.
/// `None` where the text begins with something else.
pub fn wrapped<'a>(text: &'a str, path: &[&str]) -> Option<Vec<Piece<'a>>> {
    let List { mut pieces, mut behind } = answer(text, path)?;
    while !behind.is_empty() {
        let more = answer(behind, path).unwrap_or_else(|| List { pieces: records(behind), behind: "" });
        let counted = pieces.len();
        pieces.extend(more.pieces.into_iter().enumerate().map(|(i, piece)| Piece { line: counted + i + 1, ..piece }));
        behind = more.behind;
    }
    Some(pieces)
}

/// The list at `path` inside the object that a text begins with. What stands behind that is only known where the object ends.
///
/// The way goes into the objects, not over them: one record that is broken must not keep its neighbours from being found.
fn answer<'a>(text: &'a str, path: &[&str]) -> Option<List<'a>> {
    let mut r = Reader::new(text);
    for step in path {
        if r.next_kind().ok()? != Next::Object {
            return None;
        }
        r.open(b'{').ok()?;
        let mut first = true;
        while r.key(first).ok()?? != *step {
            first = false;
            // However deep, for the same reason.
            r.skip_whole().ok()?;
        }
    }
    if r.next_kind().ok()? != Next::Array {
        return None;
    }
    let List { mut pieces, behind } = list(text.get(r.at()..)?);
    let end = after_objects(behind, path.len());
    if end.is_none() && !behind.is_empty() {
        let detail = "the object around the list is not closed, or no JSON behind the list";
        pieces.push(Piece::broken(pieces.len() + 1, behind, detail.into()));
    }
    Some(List { pieces, behind: end.unwrap_or_default().trim_matches(SPACE) })
}

/// What stands behind the end of so many objects, of which a member was the last thing read. `None` where they do not end.
fn after_objects(text: &str, objects: usize) -> Option<&str> {
    let mut r = Reader::new(text);
    for _ in 0..objects {
        while r.key(false).ok()?.is_some() {
            r.skip_whole().ok()?;
        }
    }
    text.get(r.at()..)
}

/// The record by which a list's system is told: the first that can be read as an object, since one that is too deep says nothing.
/// Only so many are looked at.
pub fn telling(pieces: Vec<Piece<'_>>) -> Option<Cow<'_, str>> {
    pieces.into_iter().take(LOOKED_AT).filter_map(|piece| piece.text.ok()).find(|text| Object::parse(text).is_ok())
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

    /// The pieces, and what is kept of those that are none.
    fn kept(pieces: Vec<Piece<'_>>) -> Vec<String> {
        let one = |p: Piece<'_>| p.text.map_or_else(|_| format!("kept: {}", p.rest), Cow::into_owned);
        pieces.into_iter().map(one).collect()
    }

    const BROKEN: &[(&str, &[&str])] = &[
        (r#"{"id":},{"id":"3"}"#, &[r#"{"id":}"#, r#"{"id":"3"}"#]),
        (r#"oops,{"id":"3"}"#, &["kept: oops", r#"{"id":"3"}"#]),
        (r#"'x' {"a":"]"},{"id":"3"}"#, &[r#"kept: 'x' {"a":"]"}"#, r#"{"id":"3"}"#]),
        (r#"{"a":1}},{"id":"3"}"#, &[r#"{"a":1}"#, "kept: }", r#"{"id":"3"}"#]),
        (r#",{"id":"3"}"#, &["kept: ", r#"{"id":"3"}"#]),
    ];

    #[test]
    fn a_broken_element_spoils_only_itself_in_a_list_and_in_a_wrapped_one() {
        for (broken, wanted) in BROKEN {
            let list = format!(r#"[{{"id":"1"}},{broken}]"#);
            let wanted: Vec<&str> = [r#"{"id":"1"}"#].iter().chain(*wanted).copied().collect();
            assert_eq!(kept(records(&list)), wanted, "{list}");
            for path in [&["logs"] as &[&str], &["data", "authLog", "entries"]] {
                let before: String = path.iter().map(|name| format!(r#"{{"a":[],"{name}":"#)).collect();
                let text = format!("{before}{list},\n\"more\":[{{}}]{}", "}".repeat(path.len()));
                assert_eq!(kept(wrapped(&text, path).unwrap()), wanted, "{text}");
            }
        }
    }

    #[test]
    fn what_breaks_off_is_kept_with_what_came_before_it() {
        for (text, wanted) in [
            (r#"[{"a":1},{"b":"#, vec![r#"{"a":1}"#, r#"kept: {"b":"#]),
            (r#"[{"a":1},{"b":"x},{"c":1}]"#, vec![r#"{"a":1}"#, r#"kept: {"b":"x},{"c":1}]"#]),
            (r#"[{"a":1}"#, vec![r#"{"a":1}"#, "kept: "]),
            ("[{\"a\":1}]\n[]\n[{\"b\":2},3]", vec![r#"{"a":1}"#, r#"{"b":2}"#, "3"]),
            (r#"[{"a":1}] {"b":2} "#, vec![r#"{"a":1}"#, r#"kept: {"b":2}"#]),
            ("[", vec!["kept: "]),
        ] {
            assert_eq!(kept(records(text)), wanted, "{text}");
        }
        for (text, wanted) in [
            (r#"{"logs":[{"a":1},{"b":"#, vec![r#"{"a":1}"#, r#"kept: {"b":"#]),
            (r#"{"logs":[{"a":1},{"b":"x},{"c":1}]}"#, vec![r#"{"a":1}"#, r#"kept: {"b":"x},{"c":1}]}"#]),
            (r#"{"logs":[{"a":1}],"next":"x"#, vec![r#"{"a":1}"#, r#"kept: ,"next":"x"#]),
            (r#"{"logs":[{"a":1}]"#, vec![r#"{"a":1}"#]),
        ] {
            assert_eq!(kept(wrapped(text, &["logs"]).unwrap()), wanted, "{text}");
        }
    }

    #[test]
    fn answers_stand_one_behind_the_other() {
        let text = "{\"logs\":[1,2],\"next\":null}\n{\"logs\":[]}\n{\"logs\":[3]}\n{\"a\":4}\n{\"a\":5}\n";
        let found = texts(wrapped(text, &["logs"]).unwrap());
        let wanted = ["1", "2", "3", r#"{"a":4}"#, r#"{"a":5}"#];
        assert_eq!(found, wanted.iter().enumerate().map(|(i, t)| (i + 1, (*t).to_owned())).collect::<Vec<_>>());
    }

    #[test]
    fn text_is_utf_8_or_utf_16_with_its_mark() {
        let said = "Zoë 😀\n";
        let units: Vec<u16> = said.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for body in [[b"\xff\xfe", &little[..]].concat(), [b"\xfe\xff", &big[..]].concat(), said.into()] {
            assert_eq!(text(&body), said);
        }
        assert_eq!(text(b"\xff\xfea\0\x00\xd8b"), "a\u{fffd}\u{fffd}", "what is none is marked");
        assert_eq!(text(b"\xff"), "\u{fffd}");
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

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_of_a_list(inside in "[\\[\\]{}\",:\\\\ax1]{0,40}") {
            let text = format!("[{inside}");
            let of = |text: &str| text.chars().filter(|c| !matches!(c, ',' | '[' | ']')).collect::<String>();
            let all = records(&text).into_iter().map(|p| p.text.unwrap_or(p.rest)).collect::<String>();
            proptest::prop_assert_eq!(of(&all), of(&text));
            wrapped(&format!("{{\"logs\":{text}"), &["logs"]);
        }
    }

    #[test]
    fn lines_may_begin_with_brackets() {
        assert_eq!(texts(lines("[1] a\r\n\n[2] b")), [(1, "[1] a".into()), (3, "[2] b".into())]);
    }
}
