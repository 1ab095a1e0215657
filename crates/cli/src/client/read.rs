//! Reading commands: `search`, `get`, `ask`, `sql` and `prove`.
//!
//! Owns the requests and how pages follow each other. Not here: how results look (`output`), following new
//! records (`tail`), and checking what is read (`verify`).

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::value::RawValue;
use ureq::http::Method;

use super::http::{Ask, Client, encode, parse, query, tenant_path};
use super::interrupt::Stop;
use super::output::{Console, Format, Items, Ordered, OutputArgs, cell, csv_field, plain, pretty, printable};
use super::{Connect, Exit, Failure, Outcome, note};

/// The most records the server gives at once.
const PAGE: u64 = 1000;
/// Records shown when nobody says how many.
const DEFAULT_LIMIT: u64 = 100;

/// Find records: `indelible search acme 'action:login outcome:failure'`
#[derive(Debug, Clone, clap::Args)]
pub struct SearchArgs {
    /// Tenant to search in
    pub tenant: String,
    /// Filter, such as 'outcome:failure actor.email:ann@example.org'. Write a leading negation as !key:value
    pub filter: Option<String>,
    /// View: records, audit_logs, event_logs, job_logs, notification_logs, sessions or grants
    #[arg(long, default_value = "records")]
    pub view: String,
    /// Earliest time: RFC 3339, or such as now-7d
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Time at which to stop, not included
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Most records to show [default: 100]
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Show all records, or as many as --limit says, page by page
    #[arg(long)]
    pub all: bool,
    /// How to write the result.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Which server.
    #[command(flatten)]
    pub connect: Connect,
}

/// Show one record with everything that is known of it
#[derive(Debug, Clone, clap::Args)]
pub struct GetArgs {
    /// Tenant that the record belongs to
    pub tenant: String,
    /// Id of the record
    pub id: String,
    /// How to write the result.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Which server.
    #[command(flatten)]
    pub connect: Connect,
}

/// Ask in plain words: `indelible ask acme "failed logins yesterday"`
#[derive(Debug, Clone, clap::Args)]
pub struct AskArgs {
    /// Tenant to ask about
    pub tenant: String,
    /// The question
    pub question: String,
    /// View the question is about
    #[arg(long, default_value = "records")]
    pub view: String,
    /// Time zone that "yesterday" is meant in, such as Europe/Prague
    #[arg(long)]
    pub tz: Option<String>,
    /// Show the first page of what is found, too
    #[arg(long)]
    pub run: bool,
    /// How to write the result.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Which server.
    #[command(flatten)]
    pub connect: Connect,
}

/// Read with SQL: `indelible sql acme "SELECT action, count(*) FROM audit_logs GROUP BY 1"`
#[derive(Debug, Clone, clap::Args)]
pub struct SqlArgs {
    /// Tenant whose views are read
    pub tenant: String,
    /// One SELECT; - reads it from stdin
    pub sql: String,
    /// How to write the result.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Which server.
    #[command(flatten)]
    pub connect: Connect,
}

/// Fetch the proof that a record is in the ledger, for `indelible verify FILE`
#[derive(Debug, Clone, clap::Args)]
pub struct ProveArgs {
    /// Tenant that the record belongs to
    pub tenant: String,
    /// Id of the record
    pub id: String,
    /// Write the proof into this file instead of to stdout
    #[arg(long, value_name = "FILE")]
    pub out_file: Option<PathBuf>,
    /// Which server.
    #[command(flatten)]
    pub connect: Connect,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Answered<'a> {
    columns: Vec<Column>,
    #[serde(borrow)]
    rows: Vec<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
}

/// `indelible search`.
///
/// # Errors
/// The server's no, or a failed write.
pub fn run_search(args: &SearchArgs) -> Outcome {
    Stop::at_once();
    search(args, &Client::new(&args.connect)?, &mut Console::stdout())
}

fn search(args: &SearchArgs, client: &Client, console: &mut Console<'_>) -> Outcome {
    let mut left = match (args.limit, args.all) {
        (Some(limit), _) => limit,
        (None, true) => u64::MAX,
        (None, false) => DEFAULT_LIMIT,
    };
    let mut items = Items::new(console, args.output.format())?;
    let mut cursor: Option<String> = None;
    loop {
        let limit = left.min(PAGE).to_string();
        let path = tenant_path(&args.tenant, &[&args.view])
            + &query(&[
                ("q", args.filter.as_deref()),
                ("from", args.from.as_deref()),
                ("to", args.to.as_deref()),
                ("limit", Some(&limit)),
                ("cursor", cursor.as_deref()),
            ]);
        let text = client.call(&Ask::get(&path))?.text()?;
        let page: Page<'_> = parse(&text, &path)?;
        let wanted = page.items.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(&page.items);
        items.page(wanted)?;
        left = left.saturating_sub(wanted.len() as u64);
        let next = page.next_cursor.filter(|next| !next.is_empty());
        // A server that gives the same cursor again would be asked for ever.
        if next.is_some() && next == cursor {
            return Err(Failure::other("the server gave the same cursor twice; the result is not complete"));
        }
        cursor = next;
        if cursor.is_none() || left == 0 {
            break;
        }
    }
    let whole = items.finish()?;
    if cursor.is_some() {
        note("there are more; --limit N shows more of them, --all shows all");
    }
    Ok(if whole { Exit::Ok } else { Exit::Partial })
}

/// `indelible get`.
///
/// # Errors
/// The server's no, or a failed write.
pub fn run_get(args: &GetArgs) -> Outcome {
    Stop::at_once();
    get(args, &Client::new(&args.connect)?, &mut Console::stdout())
}

fn get(args: &GetArgs, client: &Client, console: &mut Console<'_>) -> Outcome {
    let path = tenant_path(&args.tenant, &["records", &args.id]);
    let text = client.call(&Ask::get(&path))?.text()?;
    let record: &RawValue = parse(&text, &path)?;
    show_one(record.get(), args.output.format(), console)?;
    Ok(Exit::Ok)
}

/// Shows one object: name and value per line, or in the chosen format.
fn show_one(raw: &str, format: Format, console: &mut Console<'_>) -> Result<(), Failure> {
    match format {
        Format::Json => console.line(pretty(raw))?,
        Format::Jsonl | Format::Csv => {
            let item = RawValue::from_string(raw.trim().to_owned()).map_err(|e| Failure::other(e.to_string()))?;
            let mut items = Items::new(console, format)?;
            items.page(&[&item])?;
            items.finish()?;
        }
        Format::Table => {
            let mut lines = Vec::new();
            flatten("", raw, &mut lines);
            let widest = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
            for (name, value) in lines {
                console.line(format!("{name:widest$}  {}", printable(&value)))?;
            }
        }
    }
    console.flush()
}

/// The leaves of an object with their dotted names; lists stay as they are.
fn flatten(prefix: &str, raw: &str, lines: &mut Vec<(String, String)>) {
    for (key, value) in Ordered::read(raw).0 {
        let name = if prefix.is_empty() { printable(&key) } else { format!("{prefix}.{}", printable(&key)) };
        let raw = value.get();
        match raw {
            "null" => {}
            _ if raw.starts_with('{') && !Ordered::read(raw).0.is_empty() => flatten(&name, raw, lines),
            _ => lines.push((name, plain(raw))),
        }
    }
}

/// `indelible ask`.
///
/// # Errors
/// The server's no, or a failed write.
pub fn run_ask(args: &AskArgs) -> Outcome {
    Stop::at_once();
    ask(args, &Client::new(&args.connect)?, &mut Console::stdout())
}

fn ask(args: &AskArgs, client: &Client, console: &mut Console<'_>) -> Outcome {
    let mut body = serde_json::json!({"view": args.view, "question": args.question});
    if let Some(tz) = &args.tz {
        body["tz"] = tz.as_str().into();
    }
    let path = tenant_path(&args.tenant, &["ask"]) + if args.run { "?run=true" } else { "" };
    let text = client.call(&Ask::json(Method::POST, &path, &body.to_string()))?.text()?;
    let answer: Ordered = parse(&text, &path)?;
    // The page stands in the answer itself or in a member of its own.
    let holder = answer.get("page").or_else(|| answer.get("result")).unwrap_or(&text);
    // A count gives groups, bars, or only a number.
    let list = answer.get("groups").or_else(|| answer.get("histogram")).map(str::to_owned);
    let number = Ordered::read(holder).get("count").filter(|n| n.parse::<u64>().is_ok()).map(str::to_owned);
    let only =
        || number.as_ref().filter(|_| args.output.format() != Format::Table).map(|n| format!("[{{\"count\":{n}}}]"));
    let counted = list.or_else(only).map(|items| format!("{{\"items\":{items}}}"));
    let page: Option<Page<'_>> = serde_json::from_str(counted.as_deref().unwrap_or(holder)).ok();
    match (args.output.format(), page) {
        (Format::Json, _) | (Format::Jsonl | Format::Csv, None) => show_one(&text, args.output.format(), console)?,
        (Format::Table, page) => {
            for name in ["explanation", "filter", "from", "to", "ignored", "count"] {
                let asked = number.as_deref().filter(|_| name == "count").or_else(|| answer.get(name));
                if let Some(value) = asked.map(plain).filter(|value| !value.is_empty() && value != "[]") {
                    console.line(format!("{name:11}  {}", printable(&value)))?;
                }
            }
            if let Some(page) = page {
                console.line("")?;
                print_page(&page, Format::Table, console)?;
            }
        }
        (format, Some(page)) => print_page(&page, format, console)?,
    }
    console.flush()?;
    Ok(Exit::Ok)
}

fn print_page(page: &Page<'_>, format: Format, console: &mut Console<'_>) -> Result<(), Failure> {
    let mut items = Items::new(console, format)?;
    items.page(&page.items)?;
    items.finish()?;
    if page.next_cursor.is_some() {
        note("there are more; search with the filter above to see them");
    }
    Ok(())
}

/// `indelible sql`.
///
/// # Errors
/// The server's no, or a failed write.
pub fn run_sql(args: &SqlArgs) -> Outcome {
    Stop::at_once();
    let mut args = args.clone();
    if args.sql == "-" {
        args.sql = std::io::read_to_string(std::io::stdin())
            .map_err(|e| Failure::other(format!("could not read the query from stdin: {e}")))?;
    }
    sql(&args, &Client::new(&args.connect)?, &mut Console::stdout())
}

fn sql(args: &SqlArgs, client: &Client, console: &mut Console<'_>) -> Outcome {
    let path = tenant_path(&args.tenant, &["sql"]);
    let body = serde_json::json!({"sql": args.sql}).to_string();
    let mut ask = Ask::json(Method::POST, &path, &body);
    ask.patience = std::time::Duration::from_secs(600);
    if args.output.format() == Format::Csv {
        ask.accept = "text/csv";
        let reply = client.call(&ask)?;
        if reply.header("content-type").is_some_and(|kind| kind.starts_with("text/csv")) {
            return copy(reply.reader(), console);
        }
        return table(&reply.text()?, &path, Format::Csv, console);
    }
    table(&client.call(&ask)?.text()?, &path, args.output.format(), console)
}

fn copy(mut from: impl std::io::Read, console: &mut Console<'_>) -> Outcome {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer);
        match read.map_err(|e| Failure::new(Exit::Unavailable, format!("the answer broke off: {e}")))? {
            0 => break,
            n => console.write(buffer.get(..n).unwrap_or_default())?,
        }
    }
    console.flush()?;
    Ok(Exit::Ok)
}

fn table(text: &str, from: &str, format: Format, console: &mut Console<'_>) -> Outcome {
    let answer: Answered<'_> = parse(text, from)?;
    let names: Vec<String> = answer.columns.into_iter().map(|column| column.name).collect();
    match format {
        Format::Json => console.line(text.trim_end())?,
        Format::Table => {
            let cells = |row: &Vec<&RawValue>| row.iter().map(|raw| cell(&plain(raw.get()), 200)).collect();
            console.table(&names, &answer.rows.iter().map(cells).collect::<Vec<_>>(), false)?;
        }
        Format::Csv => {
            let line = |fields: Vec<String>| fields.iter().map(|f| csv_field(f)).collect::<Vec<_>>().join(",") + "\r\n";
            console.write(line(names))?;
            for row in &answer.rows {
                console.write(line(row.iter().map(|raw| plain(raw.get())).collect()))?;
            }
        }
        Format::Jsonl => {
            for row in &answer.rows {
                let members = names.iter().zip(row).map(|(name, raw)| {
                    format!("{}:{}", serde_json::Value::from(name.as_str()), raw.get().replace(['\n', '\r'], " "))
                });
                console.line(format!("{{{}}}", members.collect::<Vec<_>>().join(",")))?;
            }
        }
    }
    console.flush()?;
    Ok(Exit::Ok)
}

/// `indelible prove`.
///
/// # Errors
/// The server's no, or a failed write.
pub fn run_prove(args: &ProveArgs) -> Outcome {
    Stop::at_once();
    prove(args, &Client::new(&args.connect)?, &mut Console::stdout())
}

fn prove(args: &ProveArgs, client: &Client, console: &mut Console<'_>) -> Outcome {
    let path = format!("{}/{}/proof", tenant_path(&args.tenant, &["records"]), encode(&args.id));
    let text = client.call(&Ask::get(&path))?.text()?;
    let _: &RawValue = parse(&text, &path)?;
    match &args.out_file {
        None => {
            console.line(text.trim_end())?;
            console.flush()?;
        }
        Some(file) => {
            std::fs::write(file, text.trim_end().to_owned() + "\n").map_err(|e| Failure::file("write", file, &e))?;
            note(&format!("wrote the proof; check it with: indelible verify {}", file.display()));
        }
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests;
