//! A file into the texts of its records, as a stream: a JSON array, NDJSON, or objects printed over several lines.
//!
//! Owns where one record ends and the next begins, with bounded memory whatever the input. A text that is no record
//! never hides the ones beside it. Not here: what a record is (`prepare`) and decompression (`open`).

use std::collections::VecDeque;
use std::io::{self, BufRead, Read as _};

use event::json::Reader;

/// The longest text of a record that is taken. The server takes bodies of 16 MiB and records of 1 MiB *after*
/// redaction, so what is longer than this has no chance.
pub(super) const MAX_TEXT: usize = 15 << 20;

/// Why a text cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: String,
    pub(super) detail: String,
}

impl Refused {
    pub(super) fn new(code: &str, detail: impl Into<String>) -> Refused {
        Refused { code: code.to_owned(), detail: detail.into() }
    }

    fn too_large() -> Refused {
        let limit = event::size::in_words(MAX_TEXT);
        Refused::new("record_too_large", format!("the record is longer than {limit}; shorten it or split it"))
    }
}

/// One record's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Line of the file where it begins, from 1.
    pub(super) line: u64,
    /// Its bytes, or why there are none.
    pub(super) text: Result<Vec<u8>, Refused>,
}

enum Shape {
    /// Nothing read yet.
    Unknown,
    /// One record per line.
    Lines,
    /// Objects over several lines.
    Objects,
    /// Inside an array; false before its first element.
    Array(bool),
    /// One text that cannot be taken apart here.
    Whole,
    /// Nothing more comes.
    Done,
}

/// The records of a stream, in order.
pub(super) struct Pieces<R> {
    reader: R,
    shape: Shape,
    /// Lines read so far.
    line: u64,
    /// Lines that were read while looking for the end of an object and found to be records of their own.
    again: VecDeque<Line>,
    native: Native,
}

/// What is known of records that are a system's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Native {
    /// They are JSON.
    No,
    /// They may be lines of a log, and those may begin with a bracket.
    Lines,
    /// They may be a table, whose first line names the columns of all others and whose cells may hold line breaks.
    Table,
}

struct Line {
    number: u64,
    text: Result<Vec<u8>, Refused>,
}

/// How far into brackets and quotes a scan is.
#[derive(Default)]
struct Depth {
    open: usize,
    in_text: bool,
    escaped: bool,
    /// A bracket was closed and none is open.
    closed: bool,
}

impl Depth {
    fn feed(&mut self, byte: u8) {
        if self.in_text {
            self.in_text = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return;
        }
        match byte {
            b'"' => self.in_text = true,
            b'{' | b'[' => {
                self.open += 1;
                self.closed = false;
            }
            b'}' | b']' => {
                self.open = self.open.saturating_sub(1);
                self.closed = self.open == 0;
            }
            _ => {}
        }
    }
}

impl<R: BufRead> Pieces<R> {
    pub(super) fn new(reader: R, native: Native) -> Pieces<R> {
        Pieces { reader, shape: Shape::Unknown, line: 1, again: VecDeque::new(), native }
    }

    /// The next record; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        loop {
            if let Shape::Unknown = self.shape {
                self.begin()?;
            }
            let next = match self.shape {
                Shape::Array(any) => self.element(any)?,
                Shape::Done | Shape::Unknown => None,
                Shape::Lines => self.line()?.map(|line| Piece { line: line.number, text: line.text }),
                Shape::Objects => self.object()?,
                Shape::Whole => Some(self.whole()?),
            };
            // An array ended, and what follows it begins anew.
            if next.is_some() || !matches!(self.shape, Shape::Unknown) {
                return Ok(next);
            }
        }
    }

    /// Finds out the shape from the first text.
    fn begin(&mut self) -> io::Result<()> {
        self.shape = Shape::Lines;
        // A byte order mark says nothing; half of one begins no record that could be lost.
        for mark in [0xef, 0xbb, 0xbf] {
            if self.reader.fill_buf()?.first() != Some(&mark) {
                break;
            }
            self.reader.consume(1);
        }
        match self.skip_space()? {
            None => self.shape = Shape::Done,
            // A time or an id in brackets begins a line of a log, and no list of objects.
            Some(b'[')
                if self.native != Native::No
                    && self.reader.fill_buf()?.get(1).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'-') => {}
            Some(b'[') => {
                self.reader.consume(1);
                self.shape = Shape::Array(false);
            }
            Some(b'{') => {
                let Some(first) = self.line()? else { return Ok(()) };
                let whole = first.text.as_deref().is_ok_and(is_whole);
                self.again.push_back(first);
                if !whole && self.is_object_over_lines()? {
                    self.shape = Shape::Objects;
                }
            }
            Some(_) if self.native == Native::Table => self.shape = Shape::Whole,
            Some(_) => {}
        }
        Ok(())
    }

    /// All that is left, as it is.
    fn whole(&mut self) -> io::Result<Piece> {
        let mut text = Vec::new();
        self.reader.by_ref().take(MAX_TEXT as u64 + 1).read_to_end(&mut text)?;
        self.shape = Shape::Done;
        let too_large = || {
            let detail = format!(
                "the table is longer than {}; send it in parts, each with the headings",
                event::size::in_words(MAX_TEXT)
            );
            Refused::new("record_too_large", detail)
        };
        Ok(Piece { line: self.line, text: if text.len() > MAX_TEXT { Err(too_large()) } else { Ok(text) } })
    }

    /// Whether the lines from here make one object together. They are kept in `again` either way.
    fn is_object_over_lines(&mut self) -> io::Result<bool> {
        let mut lines = std::mem::take(&mut self.again);
        let mut text = Vec::new();
        let mut depth = Depth::default();
        let mut looked_at = 0;
        let found = loop {
            while let Some(line) = lines.get(looked_at) {
                let Ok(bytes) = &line.text else { break };
                bytes.iter().for_each(|byte| depth.feed(*byte));
                text.extend_from_slice(bytes);
                text.push(b'\n');
                looked_at += 1;
            }
            if depth.closed || text.len() > MAX_TEXT || looked_at < lines.len() {
                break depth.closed && is_whole(&text);
            }
            match self.line()? {
                Some(line) => lines.push_back(line),
                None => break false,
            }
        };
        self.again = lines;
        Ok(found)
    }

    /// The next line that is not blank.
    fn line(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.again.pop_front() {
            return Ok(Some(line));
        }
        loop {
            let mut bytes = Vec::new();
            let number = self.line;
            let read = self.reader.by_ref().take(MAX_TEXT as u64 + 2).read_until(b'\n', &mut bytes)?;
            if read == 0 {
                return Ok(None);
            }
            let finished = bytes.last() == Some(&b'\n');
            let text = if !finished && bytes.len() > MAX_TEXT {
                self.drop_line()?;
                Err(Refused::too_large())
            } else {
                Ok(bytes.trim_ascii().to_vec())
            };
            self.line += 1;
            if text.as_ref().is_ok_and(Vec::is_empty) {
                continue;
            }
            return Ok(Some(Line { number, text }));
        }
    }

    fn drop_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            let (taken, end) = match buffer.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            self.reader.consume(taken);
            if end {
                return Ok(());
            }
        }
    }

    /// The next object over several lines.
    fn object(&mut self) -> io::Result<Option<Piece>> {
        let mut piece: Option<Piece> = None;
        let mut depth = Depth::default();
        while let Some(line) = self.line()? {
            let piece = piece.get_or_insert(Piece { line: line.number, text: Ok(Vec::new()) });
            match (&mut piece.text, line.text) {
                (Ok(text), Ok(more)) if text.len() + more.len() < MAX_TEXT => {
                    more.iter().for_each(|byte| depth.feed(*byte));
                    if !text.is_empty() {
                        text.push(b'\n');
                    }
                    text.extend_from_slice(&more);
                }
                (Err(_), Ok(more)) => more.iter().for_each(|byte| depth.feed(*byte)),
                _ => piece.text = Err(Refused::too_large()),
            }
            if depth.closed {
                break;
            }
        }
        Ok(piece)
    }

    /// The next element of the array.
    fn element(&mut self, any: bool) -> io::Result<Option<Piece>> {
        let next = self.skip_space()?;
        match (next, any) {
            (Some(b']'), _) => {
                self.reader.consume(1);
                return self.after_array();
            }
            (Some(b','), true) => {
                self.reader.consume(1);
                self.skip_space()?;
            }
            (Some(_), false) => {}
            (Some(_), true) => return Ok(Some(self.broken("`,` or `]` was expected"))),
            (None, _) => return Ok(Some(self.broken("the file ends inside it"))),
        }
        self.shape = Shape::Array(true);
        let line = self.line;
        let mut text = Ok(Vec::new());
        let mut depth = Depth::default();
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(Some(self.tail(line, text)));
            }
            let mut taken = 0;
            let mut end = false;
            for byte in buffer {
                if depth.open == 0 && !depth.in_text && matches!(byte, b',' | b']') {
                    end = true;
                    break;
                }
                depth.feed(*byte);
                self.line += u64::from(*byte == b'\n');
                taken += 1;
            }
            if let Ok(bytes) = &mut text {
                if bytes.len() + taken > MAX_TEXT {
                    text = Err(Refused::too_large());
                } else {
                    bytes.extend_from_slice(&buffer[..taken]);
                }
            }
            self.reader.consume(taken);
            if end {
                break;
            }
        }
        Ok(Some(Piece { line, text: text.map(|bytes| bytes.trim_ascii().to_vec()) }))
    }

    /// What is left where the file ends inside the array. The last element may be whole all the same; one that is not is kept by the
    /// server where it is a system's own.
    fn tail(&mut self, line: u64, text: Result<Vec<u8>, Refused>) -> Piece {
        let text = text.map(|bytes| bytes.trim_ascii().to_vec());
        // That the array is not closed is said next.
        if text.as_deref().is_ok_and(is_whole) {
            return Piece { line, text };
        }
        if self.native == Native::No || text.as_ref().is_ok_and(Vec::is_empty) {
            return self.broken("the file ends inside it");
        }
        self.shape = Shape::Done;
        Piece { line, text }
    }

    fn after_array(&mut self) -> io::Result<Option<Piece>> {
        let rest = self.skip_space()?;
        if self.native != Native::No {
            // Answers of several pages, one behind the other; and the server keeps what it does not understand.
            if rest == Some(b'[') || rest == Some(b'{') {
                self.shape = Shape::Unknown;
                return Ok(None);
            }
            self.shape = Shape::Lines;
            return Ok(self.line()?.map(|line| Piece { line: line.number, text: line.text }));
        }
        self.shape = Shape::Done;
        Ok(rest.map(|_| Piece {
            line: self.line,
            text: Err(Refused::new("invalid_json", "there is more text after the array; it was not read")),
        }))
    }

    /// An array that cannot be read on.
    fn broken(&mut self, why: &str) -> Piece {
        self.shape = Shape::Done;
        let detail = format!("the array breaks off here, and nothing after it was read: {why}");
        Piece { line: self.line, text: Err(Refused::new("invalid_json", detail)) }
    }

    /// Skips white space and gives the byte after it, without taking it.
    fn skip_space(&mut self) -> io::Result<Option<u8>> {
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let space = buffer.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
            self.line += buffer.iter().take(space).filter(|byte| **byte == b'\n').count() as u64;
            let found = buffer.get(space).copied();
            self.reader.consume(space);
            if found.is_some() {
                return Ok(found);
            }
        }
    }
}

/// Whether these bytes are one value with its brackets closed.
fn is_whole(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut reader = Reader::new(text);
    // However deep: the server says of which record that is too much.
    reader.skip_whole().is_ok() && reader.end().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn split(bytes: &[u8]) -> Vec<(u64, Result<String, String>)> {
        split_as(bytes, Native::No)
    }

    fn split_as(bytes: &[u8], native: Native) -> Vec<(u64, Result<String, String>)> {
        let all = |capacity| {
            let mut pieces = Pieces::new(BufReader::with_capacity(capacity, bytes), native);
            std::iter::from_fn(|| pieces.next().unwrap())
                .map(|p| (p.line, p.text.map(|t| String::from_utf8_lossy(&t).into_owned()).map_err(|r| r.code)))
                .collect::<Vec<_>>()
        };
        let found = all(1 << 16);
        assert_eq!(found, all(1), "the size of the buffer does not matter");
        found
    }

    fn ok(line: u64, text: &str) -> (u64, Result<String, String>) {
        (line, Ok(text.to_owned()))
    }

    #[test]
    fn arrays_of_a_system_stand_one_behind_the_other() {
        let text = b"[{\"a\":1}]\n[]\n[\n{\"b\":2},\n{\"c\":3}]\n{\"d\":\n4}\n";
        let wanted = [ok(1, "{\"a\":1}"), ok(4, "{\"b\":2}"), ok(5, "{\"c\":3}"), ok(6, "{\"d\":\n4}")];
        assert_eq!(split_as(text, Native::Lines), wanted);
    }

    fn broken(line: u64) -> (u64, Result<String, String>) {
        (line, Err("invalid_json".to_owned()))
    }

    #[test]
    fn the_shapes() {
        assert_eq!(split(b"\xef\xbb\xbf{\"a\":1}\r\n\n{\"b\":2}"), [ok(1, "{\"a\":1}"), ok(3, "{\"b\":2}")]);
        assert_eq!(
            split(b"\n [{\"a\":[1,\"]\"]} ,\n {\"b\":\"\\\",\"}\n]\n"),
            [ok(2, "{\"a\":[1,\"]\"]}"), ok(3, "{\"b\":\"\\\",\"}")]
        );
        assert_eq!(
            split(b"{\n \"a\": 1\n}\n{\n \"b\": 2\n}\n{\"c\":3}"),
            [ok(1, "{\n\"a\": 1\n}"), ok(4, "{\n\"b\": 2\n}"), ok(7, "{\"c\":3}")]
        );
        let deep = format!("{{\"logs\":[\n{{\"a\":1}},\n{}{}\n]}}", "[".repeat(100), "]".repeat(100));
        assert_eq!(split(deep.as_bytes()), [ok(1, &deep)], "one that is too deep in it does not break it");
        assert_eq!(split(b"[]"), []);
        assert_eq!(split(b" \n\n"), []);
        assert_eq!(split(b""), []);
    }

    #[test]
    fn what_is_broken_spoils_only_itself() {
        assert_eq!(split(b"{\"a\":\n{\"b\":2}\n{\"c\":3}"), [ok(1, "{\"a\":"), ok(2, "{\"b\":2}"), ok(3, "{\"c\":3}")]);
        assert_eq!(split(b"{\"a\":1}\n{\"b\":\n{\"c\":3}"), [ok(1, "{\"a\":1}"), ok(2, "{\"b\":"), ok(3, "{\"c\":3}")]);
        assert_eq!(split(b"oops\n{\"a\":1}"), [ok(1, "oops"), ok(2, "{\"a\":1}")]);
        assert_eq!(split(b"{\"a\":\"\n{\"b\":2}"), [ok(1, "{\"a\":\""), ok(2, "{\"b\":2}")]);
        assert_eq!(split(b"[1,\n\"x\"]"), [ok(1, "1"), ok(2, "\"x\"")]);
        assert_eq!(split(b"[{\"a\":1}\n{\"b\":2}]"), [ok(1, "{\"a\":1}\n{\"b\":2}")], "refused as a whole by its text");
        assert_eq!(split(b"[{\"a\":1},{\"b\":"), [ok(1, "{\"a\":1}"), broken(1)]);
        assert_eq!(split(b"[{\"a\":1}] x"), [ok(1, "{\"a\":1}"), broken(1)]);
        assert_eq!(split(b"["), [broken(1)]);
        assert_eq!(split(b"[{\"a\":1}"), [ok(1, "{\"a\":1}"), broken(1)], "what is whole is taken");
    }

    #[test]
    fn of_a_system_s_own_records_nothing_is_left_unsent() {
        for native in [Native::Lines, Native::Table] {
            let split = |bytes: &[u8]| split_as(bytes, native);
            assert_eq!(split(b"[{\"a\":1},\n{\"b\":"), [ok(1, "{\"a\":1}"), ok(2, "{\"b\":")]);
            assert_eq!(split(b"[{\"a\":1}] x\n{\"b\":2}"), [ok(1, "{\"a\":1}"), ok(1, "x"), ok(2, "{\"b\":2}")]);
            assert_eq!(split(b"[{\"a\":1}"), [ok(1, "{\"a\":1}"), broken(1)]);
            assert_eq!(split(b"[{\"a\":1},"), [ok(1, "{\"a\":1}"), broken(1)]);
            assert_eq!(split(b"[{\"a\":1}]\n"), [ok(1, "{\"a\":1}")]);
        }
    }

    #[test]
    fn a_huge_line_is_dropped_and_its_neighbours_kept() {
        let mut bytes = b"{\"a\":1}\n{\"b\":\"".to_vec();
        bytes.resize(MAX_TEXT + 100, b'x');
        bytes.extend_from_slice(b"\"}\n{\"c\":3}\n");
        let found = split_fast(&bytes);
        assert_eq!(found, [ok(1, "{\"a\":1}"), (2, Err("record_too_large".into())), ok(3, "{\"c\":3}")]);
        let mut array = b"[{\"a\":1},{\"b\":\"".to_vec();
        array.resize(MAX_TEXT + 100, b'x');
        array.extend_from_slice(b"\"},\n{\"c\":3}]");
        assert_eq!(split_fast(&array), [ok(1, "{\"a\":1}"), (1, Err("record_too_large".into())), ok(2, "{\"c\":3}")]);
    }

    fn split_fast(bytes: &[u8]) -> Vec<(u64, Result<String, String>)> {
        let mut pieces = Pieces::new(bytes, Native::No);
        std::iter::from_fn(|| pieces.next().unwrap())
            .map(|p| (p.line, p.text.map(|t| String::from_utf8_lossy(&t).into_owned()).map_err(|r| r.code)))
            .collect()
    }

    #[test]
    fn any_bytes_end_and_lose_no_line() {
        // Every string of up to five of the characters that matter.
        let alphabet = b"{}[]\",:\n1\\";
        for length in 0..=5u32 {
            for mut n in 0..10usize.pow(length) {
                let text: Vec<u8> = (0..length)
                    .map(|_| {
                        let c = alphabet[n % 10];
                        n /= 10;
                        c
                    })
                    .collect();
                let found = split_fast(&text);
                assert!(found.len() <= text.len() + 1, "{}", String::from_utf8_lossy(&text));
            }
        }
    }
}
