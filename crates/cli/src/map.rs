//! `indelible map test`: what a mapping file makes of a sample, before it is installed.
//!
//! Owns: reading both files, and showing for each record what would be stored, where what no rule took stays, and what is
//! wrong. It is done by the same code as on the server ([`systems::Mapping`], then [`event::parse`]), so what is shown here is what
//! will be. Not here: installing a mapping (`PUT /v1/t/{tenant}/sources/{name}`).

use crate::client::output::Console;
use crate::client::{Exit, Failure, Outcome, ingest};
use crate::serve;
use event::parse::Parser;
use event::redact::Rules;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use systems::{Mapping, System as _};

/// The largest sample, as the largest batch of the server.
const MAX_SAMPLE: u64 = 16 << 20;

/// Work on mapping files: rules that turn records of any system into ours
#[derive(Debug, clap::Args)]
pub struct MapArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what a mapping file makes of a sample; nothing is sent
    Test {
        /// The mapping file, TOML or JSON
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Records as the system sends them: an object, an array, or one per line, plain, gzip or zstd; - reads stdin
        #[arg(value_name = "SAMPLE")]
        sample: PathBuf,
        /// Write one JSON object per record
        #[arg(long)]
        json: bool,
    },
}

/// What became of one record of the sample.
#[derive(Debug, PartialEq, Eq)]
struct Tried {
    line: usize,
    result: Result<Good, Bad>,
}

#[derive(Debug, PartialEq, Eq)]
struct Good {
    /// As it would be stored.
    envelope: Value,
    /// Pointers to what no rule took, in the attributes.
    stays: Vec<String>,
    /// Paths of fields whose rules found nothing.
    empty: Vec<&'static str>,
}

#[derive(Debug, PartialEq, Eq)]
struct Bad {
    code: String,
    /// The envelope's field; empty where the record as a whole is meant.
    field: String,
    detail: String,
}

/// `indelible map …`.
///
/// # Errors
/// A file that cannot be read, or a mapping that cannot be used: then the place in it and what to write there.
pub fn run(args: &MapArgs) -> Outcome {
    let Command::Test { file, sample, json } = &args.command;
    let mapping = mapping(file)?;
    let tried = tried(&mapping, &read(sample)?);
    let mut console = Console::stdout();
    for one in &tried {
        console.line(if *json { one.json().to_string() } else { one.shown() })?;
    }
    let understood = tried.iter().filter(|one| one.result.is_ok()).count();
    if !json {
        console.line(format!("{} records: {understood} understood, {} not", tried.len(), tried.len() - understood))?;
    }
    console.flush()?;
    match (tried.len(), understood) {
        (0, _) => Err(Failure::other(format!("{} has no record", sample.display()))),
        (all, good) if all == good => Ok(Exit::Ok),
        (_, 0) => Ok(Exit::Failure),
        _ => Ok(Exit::Partial),
    }
}

fn mapping(file: &Path) -> Result<Mapping, Failure> {
    let text =
        String::from_utf8(read(file)?).map_err(|e| Failure::other(format!("{} is not UTF-8: {e}", file.display())))?;
    Mapping::parse(&text).map_err(|e| Failure::other(format!("{}: {e}", file.display())))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let mut out = Vec::new();
    let mut reader = ingest::reader(path)?.take(MAX_SAMPLE + 1);
    reader.read_to_end(&mut out).map_err(|e| Failure::file("read", path, &e))?;
    if out.len() as u64 > MAX_SAMPLE {
        return Err(Failure::other(format!(
            "{} is longer than {MAX_SAMPLE} bytes; a sample is a part of it",
            path.display()
        )));
    }
    Ok(out)
}

/// Takes a sample in as the server would, and stores nothing.
fn tried(mapping: &Mapping, sample: &[u8]) -> Vec<Tried> {
    let rules = Rules::default();
    let parser = Parser { rules: &rules, tenant: "sample", now: serve::now() };
    let text = systems::split::text(sample);
    let pieces = mapping.split(&text);
    pieces
        .into_iter()
        .map(|piece| Tried {
            line: piece.line,
            result: match piece.text {
                Ok(native) => one(mapping, &native, &parser),
                Err(e) => Err(Bad { code: e.code.to_owned(), field: String::new(), detail: e.detail }),
            },
        })
        .collect()
}

fn one(mapping: &Mapping, native: &str, parser: &Parser<'_>) -> Result<Good, Bad> {
    let applied = mapping.apply(native, &TimeZone::UTC).map_err(|e| Bad {
        code: e.code.to_owned(),
        field: String::new(),
        detail: e.detail,
    })?;
    let mut row = Vec::new();
    parser
        .parse(&event::json::numbers_as_text(&applied.envelope), &mut || "made-when-it-arrives".into(), &mut row)
        .map_err(|e| Bad { code: e.code.to_owned(), field: e.field, detail: e.detail })?;
    let envelope = stored(&row);
    let mut stays = Vec::new();
    leaves(envelope.get("attributes").unwrap_or(&Value::Null), &mut String::new(), &mut stays);
    // An object of which all was taken is still there, but says nothing.
    let sent: Value = serde_json::from_str(native).unwrap_or_default();
    let emptied = |at: &str| {
        let now = envelope.get("attributes").and_then(|all| all.pointer(at)).and_then(Value::as_object);
        now.is_some_and(Map::is_empty) && sent.pointer(at).is_some_and(|was| was != &json!({}))
    };
    stays.retain(|at| !emptied(at));
    Ok(Good { envelope, stays, empty: applied.empty })
}

/// A stored row as the envelope's JSON.
fn stored(row: &[u8]) -> Value {
    let mut out = Value::Object(Map::new());
    for field in event::encode::fields(row).map_while(Result::ok) {
        let spec = field.field.spec();
        let value = match spec.kind {
            event::Kind::Text => json!(field.text()),
            // Each of its texts is a field of its own.
            event::Kind::List => {
                let texts = out.pointer_mut(&format!("/{}", spec.path.replace('.', "/"))).map(Value::take);
                let mut texts = texts.and_then(|texts| texts.as_array().cloned()).unwrap_or_default();
                texts.extend(field.text().map(Value::from));
                Value::Array(texts)
            }
            event::Kind::Json => serde_json::from_slice(field.value).unwrap_or_default(),
            event::Kind::Time => json!(field.time().map(event::time::format)),
            event::Kind::Bool => json!(field.value == [1]),
        };
        let mut place = &mut out;
        for name in spec.path.split('.') {
            place = &mut place[name];
        }
        *place = value;
    }
    out
}

/// Pointers to everything inside that is no object or list; our own marks are none of the sample's.
fn leaves(value: &Value, at: &mut String, out: &mut Vec<String>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(name, inside)| (name.replace('~', "~0").replace('/', "~1"), inside)).collect()
        }
        Value::Array(list) => list.iter().enumerate().map(|(i, inside)| (i.to_string(), inside)).collect(),
        _ => Vec::new(),
    };
    if members.is_empty() {
        if !at.is_empty() {
            out.push(at.clone());
        }
        return;
    }
    let before = at.len();
    for (name, inside) in members {
        if before == 0 && name == systems::envelope::MARKS {
            continue;
        }
        at.push('/');
        at.push_str(&name);
        leaves(inside, at, out);
        at.truncate(before);
    }
}

impl Tried {
    fn json(&self) -> Value {
        match &self.result {
            Ok(good) => json!({
                "line": self.line, "status": "understood", "envelope": good.envelope,
                "stays_in_attributes": good.stays, "rules_that_found_nothing": good.empty,
            }),
            Err(bad) => json!({
                "line": self.line, "status": "unparsed", "code": bad.code, "field": bad.field, "detail": bad.detail,
            }),
        }
    }

    fn shown(&self) -> String {
        let list = |what: &str, list: &[String]| {
            if list.is_empty() { String::new() } else { format!("\n  {what}: {}", list.join(", ")) }
        };
        match &self.result {
            Ok(good) => {
                let envelope = format!("{:#}", good.envelope).replace('\n', "\n  ");
                let empty: Vec<String> = good.empty.iter().map(|path| (*path).to_owned()).collect();
                format!(
                    "line {}\n  {envelope}{}{}",
                    self.line,
                    list("stays in attributes", &good.stays),
                    list("rules that found nothing", &empty)
                )
            }
            Err(bad) => {
                let field = if bad.field.is_empty() { String::new() } else { format!(" at {}", bad.field) };
                format!("line {}\n  not understood{field}: {} ({})", self.line, bad.detail, bad.code)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_shown_as_it_is_stored() {
        let rules = Rules::default();
        for (recipients, cc) in
            [(json!(["a@x", "b@x"]), json!(["c@x"])), (json!(["a@x"]), json!(["c@x", "d@x", "e@x"]))]
        {
            let sent = json!({ "id": "e", "log": "notification", "action": "x", "time": "2026-11-20T12:00:00Z",
                "notification": { "recipient": recipients, "cc": cc, "subject": "s" } });
            let mut row = Vec::new();
            let parser = Parser { rules: &rules, tenant: "t", now: 1_795_178_096_000_000 };
            parser.parse(&sent.to_string(), &mut || "made".into(), &mut row).unwrap();
            assert_eq!(stored(&row)["notification"], sent["notification"]);
        }
    }

    const MAPPING: &str = r#"
name = "billing"
[fields]
log = { value = "audit" }
action = "/type"
actor.id = ["/user/id", "/sub"]
time = { from = "/at", format = "unix-ms" }
outcome = { from = "/ok", words = { true = "success", false = "failure" } }
"#;

    fn sample(text: &str) -> Vec<Tried> {
        tried(&Mapping::parse(MAPPING).unwrap(), text.as_bytes())
    }

    #[test]
    fn shows_what_is_stored_what_stays_and_what_found_nothing() {
        let record = r#"{"type":"refund","user":{"id":"ann","plan":"pro"},"at":1795176000000,"ok":true,"a/b":[1,{"c":2}],"password":"hunter2"}"#;
        let all = sample(record);
        let good = all[0].result.as_ref().unwrap();
        assert_eq!(good.envelope["actor"]["id"], "ann");
        assert_eq!(good.envelope["source"], "billing");
        assert_eq!(good.envelope["time"], "2026-11-20T12:00:00.000000Z");
        assert_eq!(good.envelope["attributes"]["password"], "***", "redacted as it will be");
        assert_eq!(good.stays, ["/a~1b/0", "/a~1b/1/c", "/ok", "/password", "/user/plan"]);
        let taken = &sample(r#"{"type":"refund","user":{"id":"ann"},"at":1795176000000,"more":{}}"#)[0];
        assert_eq!(taken.result.as_ref().unwrap().stays, ["/more"], "all of `user` was taken");
        let empty = &sample(r#"{"type":"refund","at":1795176000000}"#)[0];
        assert_eq!(empty.result.as_ref().unwrap().empty, ["outcome", "actor.id"]);
        assert!(empty.shown().contains("rules that found nothing: outcome, actor.id"), "{}", empty.shown());
    }

    #[test]
    fn each_bad_record_is_named_by_its_line_and_keeps_no_other_out() {
        let text = "{\"type\":\"a\"}\n{\"at\":1}\n{\"type\":\"b\",\"at\":\"noon\"}\nnot json\n[1]\n{\"type\":\"c\",\"at\":9999999999999}\n{\"type\":\"d\"}";
        let codes: Vec<(usize, String)> = sample(text)
            .into_iter()
            .map(|one| (one.line, one.result.map_or_else(|bad| bad.code, |_| String::new())))
            .collect();
        let expected = [
            (1, ""),
            (2, "missing_field"),
            (3, "invalid_time"),
            (4, "wrong_type"),
            (5, "wrong_type"),
            (6, "time_in_future"),
            (7, ""),
        ];
        assert_eq!(codes, expected.map(|(line, code)| (line, code.to_owned())));
    }
}
