//! An exported CSV file into records: each row the JSON object that its header makes of it.
//!
//! Owns: headings, rows and quotes, and how much text the rows may become. Not here: what a column means.
//!
//! The headings tell which log all rows are of. A row whose own cells tell the same is a plain object, as if it had been sent as JSON;
//! any other stands in one that names the log, `{"log":"event","row":{…}}`, so that it can be understood by itself, later too.

use super::labels::{Labels, named};
use crate::Reason;
use crate::object::Object;
use crate::split::{MAX_MADE, Piece};
use event::json::write_string;
use std::borrow::Cow;

/// What stands between cells: what the format says, what spreadsheets write where a comma is in numbers, and what they call text.
const SEPARATORS: [u8; 3] = *b",;\t";

/// How the line begins by which Excel is told what stands between cells: `sep=;`. It is no row.
const HINT: &str = "sep=";

/// Of what can be kept of a text that is no record: what a record may have, less what is said about it.
const MAX_KEPT: usize = (1 << 20) - 4096;

/// The first line of a file that has the labels of one of the logs.
pub(super) struct Table {
    headings: csv::StringRecord,
    separator: u8,
    log: &'static str,
}

impl Table {
    /// The table that a text is; `None` for anything else.
    pub(super) fn of(text: &str) -> Option<Table> {
        if text.trim_start().starts_with(['{', '[']) {
            return None;
        }
        let (hint, table) = hinted(text);
        hint.into_iter().chain(SEPARATORS).find_map(|separator| {
            let headings = reader(table, separator).records().next()?.ok()?;
            let log = Labels::new(headings.iter().map(Cow::Borrowed)).log().ok()?;
            Some(Table { headings, separator, log })
        })
    }

    /// Its headings.
    pub(super) fn labels(&self) -> Labels<'_> {
        Labels::new(self.headings.iter().map(Cow::Borrowed))
    }

    /// The other table that begins with a row, given the text from there on: one that is headings. Without a blank line before it only a
    /// row of nothing but headings is, and any cell may say a word that is one.
    fn followed_by(&self, text: &str, row: &csv::StringRecord, behind_blank: bool) -> Option<Table> {
        // No heading has a digit, and nearly every row has one.
        let only_labels = || {
            let digit = row.iter().any(|cell| cell.bytes().any(|b| b.is_ascii_digit()));
            !digit && Labels::new(row.iter().map(Cow::Borrowed)).confidence() > 0
        };
        (behind_blank || row.get(0).is_some_and(is_hint) || only_labels()).then(|| Table::of(text))?
    }

    /// A row as the record that it is; `None` where no cell of it says anything.
    ///
    /// Empty cells are left out; cells past the header's end are called by their number.
    fn record(&self, labels: &Labels<'_>, row: &csv::StringRecord) -> Option<String> {
        if row.iter().all(str::is_empty) {
            return None;
        }
        let text = object(&self.headings, row);
        let tells = labels.of(|i| row.get(i).is_some_and(|cell| !cell.is_empty())).log();
        if tells.is_ok_and(|log| log == self.log) {
            return Some(text);
        }
        Some(format!("{{\"log\":\"{}\",\"row\":{text}}}", self.log))
    }
}

/// What the first line says of the separator, and the table behind that line; the whole text where it says nothing.
fn hinted(text: &str) -> (Option<u8>, &str) {
    let said = text.split_once('\n').and_then(|(line, table)| {
        match line.trim_end().trim_matches('"').strip_prefix(HINT)?.as_bytes() {
            [separator @ (b',' | b';' | b'\t' | b'|')] => Some((Some(*separator), table)),
            // A tab at the end of the line may not have outlived the way here.
            [] => Some((Some(b'\t'), table)),
            _ => None,
        }
    });
    said.unwrap_or((None, text))
}

/// Whether a line is such a hint.
pub(super) fn is_hint(line: &str) -> bool {
    line.trim_start_matches('"').starts_with(HINT)
}

/// The log and the row of a record that says both.
pub(super) fn row<'a>(native: &mut Object<'a>) -> Option<(&'static str, Object<'a>)> {
    if !native.names().eq(["log", "row"]) {
        return None;
    }
    let log = named(&native.text("log")?)?;
    Some((log, Object::parse(native.standing("row")?).ok()?))
}

fn reader(text: &str, separator: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator).from_reader(text.as_bytes())
}

/// The rows of a CSV file that has the labels of one of the logs; `None` for anything else. Behind a blank line, and where files were
/// put one behind the other, another table may begin, with headings of its own.
pub(super) fn rows(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut next = Some((Table::of(text)?, 0));
    let mut read = Rows { left: MAX_MADE, lines: Lines { text, at: 0, line: 1 }, pieces: Vec::new() };
    while let Some((table, from)) = next {
        next = read.table(text, &table, from);
    }
    Some(read.pieces)
}

/// The rows that were read so far.
struct Rows<'t> {
    pieces: Vec<Piece<'t>>,
    lines: Lines<'t>,
    /// How much text may still be made.
    left: usize,
}

impl<'t> Rows<'t> {
    /// Reads the rows of a table that begins at this byte, up to where another one does, which it gives.
    fn table(&mut self, text: &'t str, table: &Table, begins: usize) -> Option<(Table, usize)> {
        let labels = table.labels();
        let (_, rest) = hinted(text.get(begins..)?);
        let begins = text.len() - rest.len();
        let (mut reader, mut row) = (reader(rest, table.separator), csv::StringRecord::new());
        let at = |reader: &csv::Reader<&[u8]>| {
            usize::try_from(reader.position().byte()).map_or(usize::MAX, |at| begins.saturating_add(at))
        };
        let mut any = reader.read_record(&mut row).unwrap_or(false);
        let mut blank = false;
        loop {
            let from = at(&reader);
            any = any && reader.read_record(&mut row).unwrap_or(false);
            let raw = text.get(from..if any { at(&reader) } else { text.len() }).unwrap_or_default();
            let start = from + raw.len() - raw.trim_start_matches(['\r', '\n']).len();
            let raw = raw.trim_matches(['\r', '\n']);
            let line = self.lines.of(from);
            if !any {
                // A row that cannot be read has never been seen, and would not be lost.
                if !raw.trim().is_empty() {
                    self.pieces.push(broken(line, raw, format!("the row in line {line} cannot be read")));
                }
                return None;
            }
            let behind_blank = std::mem::take(&mut blank) || ends_blank(text.get(..start)?);
            if row.iter().map(str::trim).eq(table.headings.iter().map(str::trim)) {
                // The headings once more: the next of several files, or of several pages.
                continue;
            }
            if let Some(other) = table.followed_by(text.get(start..)?, &row, behind_blank) {
                return Some((other, start));
            }
            if let Some(why) = quotes(raw, table.separator).and_then(|quote| quote.wrong(raw, line)) {
                self.pieces.push(broken(line, raw, why));
            } else if let Some(record) = table.record(&labels, &row) {
                let made = self.left.checked_sub(record.len()).ok_or_else(|| {
                    let detail = format!("the rows become more than {MAX_MADE} bytes; send fewer at once");
                    Reason::new("body_too_large", detail)
                });
                self.left = made.as_ref().copied().unwrap_or(self.left);
                self.pieces.push(Piece::new(line, made.map(|_| Cow::Owned(record))));
            } else {
                blank = true;
            }
        }
    }
}

/// Whether a blank line stands at the end of a text.
fn ends_blank(text: &str) -> bool {
    text.bytes().rev().take_while(|b| matches!(b, b'\r' | b'\n')).filter(|b| *b == b'\n').nth(1).is_some()
}

/// What cannot be read, and is kept with the reason as far as one record may hold it.
fn broken(line: usize, raw: &str, why: String) -> Piece<'_> {
    let mut written = String::new();
    write_string(&mut written, raw);
    let (rest, detail) = match written.len() > MAX_KEPT {
        false => (raw, why),
        true => ("", format!("{why}; it is longer than a record may be (1 MiB), so none of it was kept")),
    };
    Piece { line, text: Err(Reason::new("invalid_csv", detail)), rest: Cow::Borrowed(rest) }
}

/// A quote that opens a cell and does not end it as it should.
enum Quote {
    /// It is not closed. Where it is opened.
    Open(usize),
    /// It is closed lines later in the middle of something: rather the quote that was to open another cell.
    Astray(usize),
}

impl Quote {
    /// What is said about it, of a row that begins in this line.
    fn wrong(self, raw: &str, line: usize) -> Option<String> {
        let (Quote::Open(at) | Quote::Astray(at)) = self;
        let line = line + raw.get(..at)?.matches('\n').count();
        let what = match self {
            Quote::Open(_) => "is never closed, so all that stands behind it would be one cell",
            Quote::Astray(_) => "is closed only lines later, before other text, so rows would be one cell",
        };
        let advice =
            "close it, write a quote inside a cell twice, and send what begins in that line again with the headings";
        Some(format!("the quote that is opened in line {line} {what}; {advice}"))
    }
}

/// The first quote of a row that is not closed, or closed where no cell ends after a line break. What is merely sloppy is read as it is.
fn quotes(raw: &str, separator: u8) -> Option<Quote> {
    let bytes = raw.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes.get(at) == Some(&b'"') {
            let open = at;
            at += 1;
            loop {
                at += memchr::memchr(b'"', bytes.get(at..)?).map_or(bytes.len(), |found| found + 1);
                match bytes.get(at) {
                    _ if at > bytes.len() => return Some(Quote::Open(open)),
                    Some(b'"') => at += 1,
                    None | Some(b'\r' | b'\n') => break,
                    Some(byte) if *byte == separator => break,
                    Some(_) if raw.get(open..at)?.contains('\n') => return Some(Quote::Astray(open)),
                    Some(_) => break,
                }
            }
        }
        // To the next cell.
        at += memchr::memchr(separator, bytes.get(at..)?)? + 1;
    }
    None
}

/// Which line a row begins on, as an editor counts. The reader's own count is one short where lines end in `\r\n`.
struct Lines<'t> {
    text: &'t str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of a row whose text begins at this byte, or behind the line breaks that stand there. Asked in order.
    fn of(&mut self, byte: usize) -> usize {
        let breaks = self.text.as_bytes().iter().skip(byte).take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let end = byte.saturating_add(breaks);
        let between = self.text.as_bytes().get(self.at..end).unwrap_or_default();
        self.line += between.iter().filter(|b| **b == b'\n').count();
        self.at = self.at.max(end);
        self.line
    }
}

fn object(header: &csv::StringRecord, row: &csv::StringRecord) -> String {
    let mut out = String::from("{");
    for (i, cell) in row.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
        if out.len() > 1 {
            out.push(',');
        }
        match header.get(i).map(str::trim).filter(|name| !name.is_empty()) {
            Some(name) => write_string(&mut out, name),
            None => write_string(&mut out, &format!("column {}", i + 1)),
        }
        out.push(':');
        write_string(&mut out, cell);
    }
    out.push('}');
    out
}
