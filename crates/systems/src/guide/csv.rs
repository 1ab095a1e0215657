//! An exported CSV file into records: each row the JSON object that its header makes of it.
//!
//! Owns: rows, and how much text they may become. Not here: what a column means.

use super::labels::Labels;
use crate::Reason;
use crate::split::{MAX_MADE, Piece};
use event::json::write_string;
use std::borrow::Cow;

/// The columns' names, if this is the first line of a CSV file.
pub(super) fn header(first: &str) -> Option<csv::StringRecord> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(first.as_bytes());
    let header = reader.records().next()?.ok()?;
    (header.len() > 1).then_some(header)
}

/// The rows of a CSV file that has the labels of one of the logs; `None` for anything else.
///
/// Empty cells are left out; cells past the header's end are called by their number.
pub(super) fn rows(text: &str) -> Option<Vec<Piece<'_>>> {
    if text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut rows = reader.records();
    let header = rows.next()?.ok()?;
    Labels::new(header.iter().map(Cow::Borrowed)).log()?;
    let (mut left, mut lines) = (MAX_MADE, Lines { text, at: 0, line: 1 });
    let pieces = rows.map(|row| {
        let row = row.map_err(|e| Reason::new("invalid_csv", format!("the row cannot be read: {e}")));
        let line = row.as_ref().ok().and_then(|row| row.position()).map_or(lines.line, |at| lines.of(at.byte()));
        let made = row.and_then(|row| {
            let text = object(&header, &row);
            left = left.checked_sub(text.len()).ok_or_else(|| {
                Reason::new("body_too_large", format!("the rows become more than {MAX_MADE} bytes; send fewer at once"))
            })?;
            Ok(Cow::Owned(text))
        });
        Piece::new(line, made)
    });
    Some(pieces.collect())
}

/// Which line a row begins on, as an editor counts. The reader's own count is one short where lines end in `\r\n`.
struct Lines<'t> {
    text: &'t str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of a row whose text begins at this byte, or behind the line breaks that stand there. Asked in order.
    fn of(&mut self, byte: u64) -> usize {
        let byte = usize::try_from(byte).unwrap_or(usize::MAX);
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
