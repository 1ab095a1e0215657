//! `tail`: new records as they come, over Server-Sent Events, without loss over broken connections.
//!
//! Owns reading the event stream and reconnecting with the last id seen. The server decides what comes after it.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use serde_json::value::RawValue;

use super::http::{Ask, Client, Trouble, query, tenant_path};
use super::interrupt::Stop;
use super::output::{Console, Format, Items};
use super::{Connect, Exit, Failure, Outcome, note};

/// A connection without even a heartbeat for so long is given up.
const SILENCE: Duration = Duration::from_secs(90);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The longest line of an event stream: a record is at most 1 MiB before JSON escapes.
const MAX_LINE: u64 = 16 << 20;

/// Follow new records as they are sealed
#[derive(Debug, Clone, clap::Args)]
pub struct TailArgs {
    /// Tenant to follow
    pub tenant: String,
    /// Filter, as for `search`
    pub filter: Option<String>,
    /// How to write records: table (one line each), json and jsonl (one document per line), csv (a header, then a row each)
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t, conflicts_with = "json")]
    pub output: Format,
    /// The same as --output json
    #[arg(long)]
    pub json: bool,
    /// End after so many records
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Go on after this id of an earlier run
    #[arg(long, value_name = "CURSOR")]
    pub after: Option<String>,
    /// Which server.
    #[command(flatten)]
    pub connect: Connect,
}

/// `indelible tail`.
///
/// # Errors
/// The server's no (a broken connection is none: it is made again), or a failed write.
pub fn run_tail(args: &TailArgs) -> Outcome {
    Stop::at_once();
    tail(args, &Client::new(&args.connect)?, &mut Console::stdout(), FIRST_WAIT)
}

/// One event of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    id: Option<String>,
    kind: String,
    data: String,
}

/// The events of a stream, as the HTML standard reads them.
struct Events<R> {
    reader: R,
    /// What the server wants us to wait before the next connection.
    retry: Option<Duration>,
}

impl<R: BufRead> Events<R> {
    /// The next event; `None` at the end of the stream. An event that is not finished is not one.
    fn next(&mut self) -> std::io::Result<Option<Event>> {
        let mut event = Event::default();
        let mut has_data = false;
        loop {
            let mut line = Vec::new();
            let read = self.reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
            if line.pop() != Some(b'\n') {
                let cut = read as u64 == MAX_LINE;
                return if cut { Err(std::io::Error::other("a line of the stream is too long")) } else { Ok(None) };
            }
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned();
            if line.is_empty() {
                if has_data || event.id.is_some() {
                    return Ok(Some(event));
                }
                event = Event::default();
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "data" => {
                    if has_data {
                        event.data.push('\n');
                    }
                    has_data = true;
                    event.data.push_str(value);
                }
                "id" if !value.contains('\0') => event.id = Some(value.to_owned()),
                "event" => event.kind = value.to_owned(),
                "retry" => self.retry = value.parse().ok().map(Duration::from_millis).or(self.retry),
                _ => {}
            }
        }
    }
}

fn tail(args: &TailArgs, client: &Client, console: &mut Console<'_>, first_wait: Duration) -> Outcome {
    let format = if args.json || args.output == Format::Json { Format::Jsonl } else { args.output };
    // One for all records, however often the connection breaks: it knows what it wrote, such as a header.
    let mut items = Items::new(console, format)?;
    let path = tenant_path(&args.tenant, &["tail"]) + &query(&[("q", args.filter.as_deref())]);
    let mut last = args.after.clone();
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut wait = first_wait;
    loop {
        let ask = Ask {
            accept: "text/event-stream",
            last_event_id: last.as_deref(),
            patience: Duration::from_secs(30),
            silence: SILENCE,
            ..Ask::get(&path)
        };
        let why = match client.call(&ask) {
            Ok(reply) => {
                let mut events = Events { reader: BufReader::new(reply.reader()), retry: None };
                let ended = loop {
                    match events.next() {
                        Err(e) => break e.to_string(),
                        Ok(None) => break "the server ended the stream".to_owned(),
                        Ok(Some(event)) => {
                            wait = events.retry.unwrap_or(first_wait);
                            if show(&event, &mut items)? {
                                left -= 1;
                            }
                            last = event.id.or(last);
                            if left == 0 {
                                return Ok(Exit::Ok);
                            }
                        }
                    }
                };
                wait = wait.max(events.retry.unwrap_or_default());
                ended
            }
            Err(Trouble::Problem(problem)) if !problem.is_temporary() => return Err(Trouble::Problem(problem).into()),
            Err(Trouble::Problem(problem)) => {
                wait = wait.max(problem.retry_after.unwrap_or_default());
                problem.line()
            }
            Err(Trouble::Connection(why)) => why,
            Err(trouble) => return Err(trouble.into()),
        };
        note(&format!("{why}; going on in {} s", wait.as_secs_f32().ceil()));
        std::thread::sleep(wait);
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Writes the record of an event. False if it carries none.
fn show(event: &Event, items: &mut Items<'_, '_>) -> Result<bool, Failure> {
    if event.data.is_empty() {
        return Ok(false);
    }
    let Ok(record) = serde_json::from_str::<&RawValue>(&event.data) else {
        note(&format!("{}: {}", if event.kind.is_empty() { "event" } else { &event.kind }, event.data));
        return Ok(false);
    };
    match event.kind.as_str() {
        "" | "message" | "record" => {}
        "heartbeat" | "ping" => return Ok(false),
        other => {
            note(&format!("{other}: {}", event.data));
            return Ok(false);
        }
    }
    items.next(record)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::testing::{Asked, Fake, Says, connect};

    fn events(stream: &str) -> Vec<Event> {
        let mut events = Events { reader: stream.as_bytes(), retry: None };
        std::iter::from_fn(|| events.next().unwrap()).collect()
    }

    #[test]
    fn streams_are_read_as_the_standard_says() {
        let event = |id: Option<&str>, kind: &str, data: &str| Event {
            id: id.map(Into::into),
            kind: kind.into(),
            data: data.into(),
        };
        assert_eq!(
            events(": hello\r\n\r\nid: 1\r\ndata: a\r\ndata:b\r\n\r\nevent: gap\ndata\n\nretry: 7\n\nid: 2\ndata: cut"),
            [event(Some("1"), "", "a\nb"), event(None, "gap", "")]
        );
        assert_eq!(events("id: 5\n\n"), [event(Some("5"), "", "")], "an id alone is remembered");
    }

    fn args(url: &str, limit: u64, output: Format) -> TailArgs {
        TailArgs {
            tenant: "t".into(),
            filter: Some("log:event".into()),
            output,
            json: false,
            limit: Some(limit),
            after: None,
            connect: connect(url),
        }
    }

    #[test]
    fn goes_on_after_the_last_id_seen() {
        let fake = Fake::new(|asked: &Asked| {
            let from: u64 =
                asked.header("last-event-id").map_or(0, |id| id.strip_prefix("c").unwrap().parse().unwrap());
            let body = format!(
                ": heartbeat\n\nid: c{0}\ndata: {{\"id\":\"{0}\"}}\n\nid: c{1}\ndata: {{\"id\":\"{1}\"}}\n\nid: c9\ndata: {{\"id\"",
                from + 1,
                from + 2
            );
            Says { status: 200, headers: vec![("content-type", "text/event-stream".into())], body: body.into() }
        });
        let mut out = Vec::new();
        let args = args(&fake.url, 5, Format::Jsonl);
        let ended =
            tail(&args, &Client::new(&args.connect).unwrap(), &mut Console::to(&mut out), Duration::from_millis(1));
        assert_eq!(ended, Ok(Exit::Ok));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"id\":\"1\"}\n{\"id\":\"2\"}\n{\"id\":\"3\"}\n{\"id\":\"4\"}\n{\"id\":\"5\"}\n"
        );
        let asked = fake.asked();
        assert_eq!(asked[0].path, "/v1/t/t/tail?q=log%3Aevent");
        assert_eq!(asked.iter().map(|a| a.header("last-event-id")).collect::<Vec<_>>(), [None, Some("c2"), Some("c4")]);
    }

    #[test]
    fn a_csv_has_one_header_however_often_the_connection_breaks() {
        let fake = Fake::new(|asked: &Asked| {
            let id = if asked.header("last-event-id").is_none() { 1 } else { 2 };
            let record =
                format!(r#"{{"id":"{id}","log":"audit","actor":{{"email":"a@b"}},"action":"x,y","index":{id}}}"#);
            let body = format!("id: c{id}\ndata: {record}\n\n");
            Says { status: 200, headers: vec![("content-type", "text/event-stream".into())], body: body.into() }
        });
        let mut out = Vec::new();
        let args = args(&fake.url, 2, Format::Csv);
        let ended =
            tail(&args, &Client::new(&args.connect).unwrap(), &mut Console::to(&mut out), Duration::from_millis(1));
        assert_eq!(ended, Ok(Exit::Ok));
        let text = String::from_utf8(out).unwrap();
        let [head, first, second] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert!(head.starts_with("index,recorded_at,id,log,"), "as of `search`: {head}");
        assert!(first.starts_with("1,,1,audit,") && second.starts_with("2,,2,audit,"), "{text}");
        assert!(first.contains(r#","x,y","#), "{text}");
    }

    #[test]
    fn waits_for_a_busy_server_but_not_for_a_refusing_one() {
        let tries = std::sync::atomic::AtomicU32::new(0);
        let fake = Fake::new(move |_: &Asked| match tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => (503, String::new()),
            1 => (0, String::new()),
            _ => (403, r#"{"detail":"no"}"#.to_owned()),
        });
        let args = args(&fake.url, 1, Format::Table);
        let ended =
            tail(&args, &Client::new(&args.connect).unwrap(), &mut Console::to(Vec::new()), Duration::from_millis(1));
        assert_eq!(ended.unwrap_err().exit, Exit::Denied);
        assert!(fake.asked().len() >= 3);
    }

    #[test]
    fn one_line_per_record_for_people() {
        let event = Event {
            data:
                r#"{"id":"1","log":"event","time":"2026-11-20T12:00:00.5Z","action":"login\n","actor":{"name":"Ann"}}"#
                    .into(),
            ..Event::default()
        };
        let mut out = Vec::new();
        {
            let mut console = Console::to(&mut out);
            assert_eq!(show(&event, &mut Items::new(&mut console, Format::Table).unwrap()), Ok(true));
        }
        assert_eq!(String::from_utf8(out).unwrap(), "2026-11-20 12:00:00  event  login   Ann\n");
    }
}
