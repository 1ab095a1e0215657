//! Results on stdout: tables that fit the terminal, JSON, JSON lines and CSV.
//!
//! Owns how values look. Not here: what is asked for (`read`, `admin`) and prose, which goes to stderr
//! ([`super::note`]). Tables shorten and clean what they show, because records hold text that strangers chose; the
//! other formats give values as the server sent them.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width};
use event::fields::FIELDS;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Failure, note};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Columns for people; shortens, never rely on it in scripts
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One JSON document per line
    Jsonl,
    /// Comma-separated values with a header (RFC 4180)
    Csv,
}

/// The flags that choose a [`Format`].
#[derive(Debug, Clone, Default, clap::Args)]
pub struct OutputArgs {
    /// How to write the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t, conflicts_with = "json")]
    pub output: Format,
    /// The same as --output json
    #[arg(long)]
    pub json: bool,
}

impl OutputArgs {
    /// The format chosen.
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

/// Where results go.
pub struct Console<'w> {
    out: Box<dyn Write + 'w>,
    /// Columns of the terminal; `None` where there is none, and nothing is cut.
    pub width: Option<usize>,
}

impl fmt::Debug for Console<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("width", &self.width).finish_non_exhaustive()
    }
}

impl<'w> Console<'w> {
    /// Stdout, buffered.
    pub fn stdout() -> Console<'static> {
        let out = io::stdout();
        let size = out.is_terminal().then(|| rustix::termios::tcgetwinsize(&out).ok()).flatten();
        let width = size.map(|size| usize::from(size.ws_col)).filter(|width| *width > 0);
        Console { out: Box::new(io::BufWriter::new(out)), width }
    }

    /// Another writer, as wide as one likes.
    #[cfg(test)]
    pub(crate) fn to(out: impl Write + 'w) -> Console<'w> {
        Console { out: Box::new(out), width: None }
    }

    /// Writes text as it is.
    ///
    /// # Errors
    /// As [`Failure::stdout`].
    pub fn write(&mut self, text: impl AsRef<[u8]>) -> Result<(), Failure> {
        self.out.write_all(text.as_ref()).map_err(|e| Failure::stdout(&e))
    }

    /// Writes a line.
    ///
    /// # Errors
    /// As [`Failure::stdout`].
    pub fn line(&mut self, text: impl AsRef<[u8]>) -> Result<(), Failure> {
        self.write(text)?;
        self.write("\n")
    }

    /// Hands everything on to the reader.
    ///
    /// # Errors
    /// As [`Failure::stdout`].
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|e| Failure::stdout(&e))
    }

    /// Writes a table. With `hide`, columns that do not fit are left out and named on stderr; otherwise they wrap.
    ///
    /// # Errors
    /// As [`Failure::stdout`].
    pub fn table(&mut self, names: &[String], rows: &[Vec<String>], hide: bool) -> Result<(), Failure> {
        let fitting = if hide { fitting(names, rows, self.width) } else { names.len() };
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        if let Some(width) = self.width {
            table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        }
        table.set_header(names.iter().take(fitting).map(|name| name.to_uppercase()));
        for row in rows {
            table.add_row(row.iter().take(fitting));
        }
        if hide {
            for column in table.column_iter_mut() {
                column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(WIDEST + 2)));
            }
        }
        for (i, column) in table.column_iter_mut().enumerate() {
            column.set_padding((if i == 0 { 0 } else { 1 }, 1));
        }
        for line in table.lines() {
            self.line(line.trim_end())?;
        }
        if let Some(hidden) = names.get(fitting..).filter(|hidden| !hidden.is_empty()) {
            note(&format!("not shown for want of width: {}; -o jsonl shows everything", hidden.join(", ")));
        }
        Ok(())
    }
}

/// The widest that a cell of a table with hidden columns gets.
const WIDEST: u16 = 40;

/// How many columns, from the left, fit into the width.
fn fitting(names: &[String], rows: &[Vec<String>], width: Option<usize>) -> usize {
    let Some(width) = width else { return names.len() };
    let mut used = 0;
    for (i, name) in names.iter().enumerate() {
        let cells = rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count());
        let widest = cells.chain([name.chars().count()]).max().unwrap_or(0).min(usize::from(WIDEST));
        used += widest + 2;
        if used > width + 1 {
            return i.max(1);
        }
    }
    names.len()
}

/// A JSON object whose members keep their order and their text.
#[derive(Debug, Clone, Default)]
pub struct Ordered(pub Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Ordered;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Ordered(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl Ordered {
    /// The object in this JSON text; empty if it is none.
    pub fn read(raw: &str) -> Ordered {
        serde_json::from_str(raw).unwrap_or_default()
    }

    /// The text of a member's value; `None` where it is missing or null.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name)?;
        Some(found.1.get()).filter(|raw| *raw != "null")
    }

    /// The text at a dotted path.
    pub fn at(&self, path: &str) -> Option<String> {
        if let Some(raw) = self.get(path) {
            return Some(raw.to_owned());
        }
        let (group, rest) = path.split_once('.')?;
        Ordered::read(self.get(group)?).at(rest)
    }

    /// What a person reads at a dotted path.
    pub fn plain(&self, path: &str) -> Option<String> {
        self.at(path).map(|raw| plain(&raw)).filter(|text| !text.is_empty())
    }
}

/// JSON as a person reads it: text without its quotes, everything else as it is, null as nothing.
pub fn plain(raw: &str) -> String {
    match raw {
        "null" => String::new(),
        _ if raw.starts_with('"') => serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned()),
        _ => raw.to_owned(),
    }
}

/// Text without what would move the cursor, hide text or start a new line.
pub fn printable(text: &str) -> String {
    let bad = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| {
            if c == '\n' || c == '\t' {
                ' '
            } else if bad(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// A table's cell: clean, times without fraction and zone, nothing longer than `max` characters.
pub fn cell(text: &str, max: usize) -> String {
    let mut text = printable(text);
    let bytes = text.as_bytes();
    if text.is_ascii() && bytes.len() >= 20 && bytes.ends_with(b"Z") && event::time::parse(&text).is_some() {
        text.truncate(19);
        return text.replace('T', " ");
    }
    if text.chars().count() > max {
        text = text.chars().take(max.saturating_sub(1)).chain(['…']).collect();
    }
    text
}

/// One CSV field.
pub fn csv_field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

fn csv_line(fields: impl IntoIterator<Item = String>) -> String {
    let fields: Vec<String> = fields.into_iter().map(|field| csv_field(&field)).collect();
    fields.join(",") + "\r\n"
}

/// JSON with line breaks and two spaces per level, in the order it has.
pub fn pretty(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    let mut chars = raw.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(c) = chars.next() {
        if in_text {
            out.push(c);
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => {
                in_text = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                match chars.next_if(|c| matches!(c, '}' | ']')) {
                    Some(close) => out.push(close),
                    None => {
                        depth += 1;
                        line(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

/// Writes records, one after the other, in the chosen format.
#[derive(Debug)]
pub struct Items<'c, 'w> {
    console: &'c mut Console<'w>,
    format: Format,
    /// Columns of a CSV, known after the first page.
    columns: Option<Vec<String>>,
    rows: Vec<Ordered>,
    written: u64,
    /// Columns that came after the CSV's header was written.
    late: Vec<String>,
}

impl<'c, 'w> Items<'c, 'w> {
    /// Begins.
    ///
    /// # Errors
    /// As [`Failure::stdout`].
    pub fn new(console: &'c mut Console<'w>, format: Format) -> Result<Self, Failure> {
        if format == Format::Json {
            console.write("[")?;
        }
        Ok(Items { console, format, columns: None, rows: Vec::new(), written: 0, late: Vec::new() })
    }

    /// Takes a page of records.
    ///
    /// # Errors
    /// As [`Failure::stdout`].
    pub fn page(&mut self, items: &[&RawValue]) -> Result<(), Failure> {
        match self.format {
            Format::Json | Format::Jsonl => {
                for item in items {
                    let one_line = item.get().replace(['\n', '\r'], " ");
                    let before = match (self.format, self.written) {
                        (Format::Jsonl, _) => "",
                        (_, 0) => "\n",
                        _ => ",\n",
                    };
                    self.console.write(before)?;
                    self.console.write(one_line)?;
                    if self.format == Format::Jsonl {
                        self.console.write("\n")?;
                    }
                    self.written += 1;
                }
            }
            Format::Table => self.rows.extend(items.iter().map(|item| Ordered::read(item.get()))),
            Format::Csv => self.csv(&items.iter().map(|item| Ordered::read(item.get())).collect::<Vec<_>>())?,
        }
        self.console.flush()
    }

    /// Takes a record of a list that has no end: as a page of its own, or, where columns would need to know all of them, as one line
    /// of what a person wants to see first.
    ///
    /// # Errors
    /// As [`Failure::stdout`].
    pub fn next(&mut self, item: &RawValue) -> Result<(), Failure> {
        if self.format != Format::Table {
            return self.page(&[item]);
        }
        let row = Ordered::read(item.get());
        let shown =
            ["time", "log", "outcome", "action", "actor", "target", "ip"].map(|name| cell(&summary(&row, name), 60));
        let line = shown.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join("  ");
        self.console.line(line)?;
        self.console.flush()
    }

    fn csv(&mut self, rows: &[Ordered]) -> Result<(), Failure> {
        let found = columns(rows);
        let columns = match self.columns.take() {
            Some(columns) => {
                let late = found.into_iter().filter(|name| !columns.contains(name) && !self.late.contains(name));
                self.late.extend(late.collect::<Vec<_>>());
                columns
            }
            None if rows.is_empty() => return Ok(()),
            None => {
                self.console.write(csv_line(found.iter().cloned()))?;
                found
            }
        };
        for row in rows {
            self.console
                .write(csv_line(columns.iter().map(|path| row.at(path).map(|raw| plain(&raw)).unwrap_or_default())))?;
        }
        self.columns = Some(columns);
        Ok(())
    }

    /// Ends. True if everything could be shown.
    ///
    /// # Errors
    /// As [`Failure::stdout`].
    pub fn finish(self) -> Result<bool, Failure> {
        match self.format {
            Format::Json => self.console.write(if self.written == 0 { "]\n" } else { "\n]\n" })?,
            Format::Table if self.rows.is_empty() => note("nothing found"),
            Format::Table => {
                let (names, rows) = overview(&self.rows);
                self.console.table(&names, &rows, true)?;
            }
            Format::Jsonl | Format::Csv => {}
        }
        self.console.flush()?;
        if !self.late.is_empty() {
            note(&format!(
                "columns that came after the header was written are missing: {}; use -o jsonl",
                self.late.join(", ")
            ));
        }
        Ok(self.late.is_empty())
    }
}

/// Every column of these rows. An envelope's groups (`actor`, `target` …) are taken apart into all their fields.
fn columns(rows: &[Ordered]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: String| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    if rows.iter().any(is_envelope) {
        ["index", "recorded_at"]
            .into_iter()
            .chain(FIELDS.iter().map(|field| field.path))
            .for_each(|name| add(name.to_owned()));
        let group =
            |key: &str| FIELDS.iter().any(|field| field.path.split_once('.').is_some_and(|(group, _)| group == key));
        rows.iter().flat_map(|row| &row.0).filter(|(key, _)| !group(key)).for_each(|(key, _)| add(key.clone()));
    } else {
        rows.iter().flat_map(|row| &row.0).for_each(|(key, _)| add(key.clone()));
    }
    names
}

fn is_envelope(row: &Ordered) -> bool {
    row.get("log").is_some() && row.get("id").is_some()
}

/// Names and cells of the columns that a person wants to see first.
fn overview(rows: &[Ordered]) -> (Vec<String>, Vec<Vec<String>>) {
    let names: Vec<String> = if rows.iter().any(is_envelope) {
        ["time", "log", "action", "outcome", "actor", "target", "ip", "source", "id"].map(str::to_owned).to_vec()
    } else {
        let blob = ["details", "diff", "old_entity", "new_entity", "stacktrace", "body", "claims"];
        columns(rows).into_iter().filter(|name| !blob.contains(&name.as_str())).collect()
    };
    let shown = |row: &Ordered, name: &str| cell(&summary(row, name), usize::from(WIDEST));
    let cells: Vec<Vec<String>> = rows.iter().map(|row| names.iter().map(|name| shown(row, name)).collect()).collect();
    let used: Vec<bool> = (0..names.len()).map(|i| cells.iter().any(|row| !row[i].is_empty())).collect();
    let keep = |row: Vec<String>| row.into_iter().zip(&used).filter(|(_, used)| **used).map(|(cell, _)| cell).collect();
    (keep(names), cells.into_iter().map(keep).collect())
}

/// What stands in a column of the overview; `actor` and `target` of an envelope are put together from their fields.
fn summary(row: &Ordered, name: &str) -> String {
    let first = |paths: &[&str]| paths.iter().find_map(|path| row.plain(path)).unwrap_or_default();
    match name {
        "actor" if is_envelope(row) => {
            first(&["actor.email", "actor.name", "actor.id", "email", "username", "identifier"])
        }
        "target" if is_envelope(row) => {
            first(&["target.name", "target.id", "session.id", "job.name", "notification.subject", "grant.id"])
        }
        _ => first(&[name]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn written(format: Format, pages: &[&[&str]], width: Option<usize>) -> (String, bool) {
        let mut out = Vec::new();
        let mut console = Console::to(&mut out);
        console.width = width;
        let mut items = Items::new(&mut console, format).unwrap();
        for page in pages {
            let page: Vec<Box<RawValue>> = page.iter().map(|item| raw(item)).collect();
            items.page(&page.iter().map(AsRef::as_ref).collect::<Vec<_>>()).unwrap();
        }
        let whole = items.finish().unwrap();
        drop(console);
        (String::from_utf8(out).unwrap(), whole)
    }

    #[test]
    fn json_keeps_order_and_numbers() {
        let row = r#"{"b":12345678901234567890,"a":1.0}"#;
        assert_eq!(written(Format::Jsonl, &[&[row], &[row]], None).0, format!("{row}\n{row}\n"));
        let all = written(Format::Json, &[&[row], &[row]], None).0;
        assert_eq!(all, format!("[\n{row},\n{row}\n]\n"));
        assert_eq!(written(Format::Json, &[], None).0, "[]\n");
    }

    #[test]
    fn csv_quotes_and_tells_of_late_columns() {
        let (text, whole) =
            written(Format::Csv, &[&[r#"{"a":"x,\"y\"","b":null}"#], &[r#"{"a":"l1\nl2","c":1}"#]], None);
        assert_eq!(text, "a,b\r\n\"x,\"\"y\"\"\",\r\n\"l1\nl2\",\r\n");
        assert!(!whole);
    }

    #[test]
    fn csv_of_envelopes_has_every_field() {
        let (text, whole) =
            written(Format::Csv, &[&[r#"{"id":"1","log":"audit","actor":{"email":"a@b"},"index":3}"#]], None);
        let (head, row) = text.trim_end().split_once("\r\n").unwrap();
        let at = head.split(',').position(|name| name == "actor.email").unwrap();
        assert_eq!(row.split(',').nth(at), Some("a@b"));
        assert!(head.starts_with("index,recorded_at,id,") && row.starts_with("3,,1,") && whole);
    }

    #[test]
    fn tables_fit_and_hold_no_escape_sequences() {
        let row = r#"{"id":"1","log":"event","time":"2026-11-20T12:00:00.123456Z","action":"login\u001b[31m\u202e","actor":{"email":"someone@example.org"},"ip":"203.0.113.7","source":"keycloak"}"#;
        for width in [20, 40, 60, 80, 200] {
            let text = written(Format::Table, &[&[row, row]], Some(width)).0;
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
            assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
            assert_eq!(text.lines().count(), 3, "{text}");
        }
        let text = written(Format::Table, &[&[row]], None).0;
        assert!(text.contains("2026-11-20 12:00:00  event  login"), "{text}");
        assert!(text.contains("someone@example.org"));
    }

    #[test]
    fn cells_are_shortened_in_tables_only() {
        assert_eq!(cell("2026-11-20T12:00:00.123456Z", 40), "2026-11-20 12:00:00");
        assert_eq!(cell("abcdef", 4), "abc…");
        assert_eq!(cell("a\nb\u{7}", 9), "a b\u{fffd}");
    }

    #[test]
    fn pretty_changes_white_space_only() {
        let raw = r#"{"z":[1,{"a":"q\"{,:"}],"y":{},"x":[]}"#;
        let text = pretty(raw);
        assert_eq!(
            text,
            "{\n  \"z\": [\n    1,\n    {\n      \"a\": \"q\\\"{,:\"\n    }\n  ],\n  \"y\": {},\n  \"x\": []\n}"
        );
        assert_eq!(pretty(&text), text);
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_failure() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let failure = Console::to(Closed).line("x").unwrap_err();
        assert_eq!(failure, Failure::new(crate::client::Exit::Ok, ""));
    }
}
