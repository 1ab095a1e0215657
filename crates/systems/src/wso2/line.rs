//! One line of `audit.log`, or of the OAuth transactions, into the members of a record.
//!
//! Owns: where the prefix, the names and the values end. Not here: what the members mean (`asgardeo::read`).

use crate::Reason;
use crate::object::Object;
use memchr::memmem::{Finder, FinderRev};
use serde_json::value::RawValue;
use std::sync::LazyLock;

/// The logger of audit lines.
const LOGGER: &str = "{AUDIT_LOG}";
/// Where it stands. What is looked for in every line is made ready once.
static LOGGED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(LOGGER));
/// What OAuth transactions begin with, after the time.
const OAUTH: &str = "Type: ";

/// A line taken apart, its message not yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// What stands before the message.
    prefix: &'a str,
    time: Option<&'a str>,
    tenant: Option<&'a str>,
    domain: Option<&'a str>,
    request: Option<&'a str>,
    message: &'a str,
    /// The line without what a shipper wrote before it.
    own: &'a str,
}

impl<'a> Line<'a> {
    /// `None` where it is neither an audit line nor an OAuth transaction.
    pub(crate) fn parse(text: &'a str) -> Option<Line<'a>> {
        let text = text.trim();
        let (prefix, message) = match LOGGED.find(text.as_bytes()) {
            Some(at) => {
                let after = text.get(at + LOGGER.len()..)?.trim_start();
                (text.get(..at + LOGGER.len())?, after.strip_prefix('-').unwrap_or(after).trim_start())
            }
            None => {
                let (before, message) = text.split_once("] - ")?;
                (text.get(..before.len() + 1)?, message)
            }
        };
        let known = ["Initiator :", "Initiator=", "{"];
        let audit = prefix.ends_with(LOGGER) && known.iter().any(|start| message.starts_with(start));
        let oauth = message.starts_with(OAUTH) && message.contains(" | Info: ");
        if !audit && !oauth {
            return None;
        }
        let begin = begin(prefix);
        let own = text.get(begin..).unwrap_or(text);
        let mut line = Line { prefix, time: None, tenant: None, domain: None, request: None, message, own };
        line.brackets(prefix.get(begin..).unwrap_or(prefix));
        Some(line)
    }

    /// The line by itself, without what a shipper wrote before it.
    pub(crate) fn own(&self) -> &'a str {
        self.own
    }

    /// `TID: [tenant] Tenant: [domain] [time] [correlation id]`, each of them there or not.
    fn brackets(&mut self, mut rest: &'a str) {
        while let Some((before, after)) = rest.split_once('[') {
            let Some((value, after)) = after.split_once(']') else { return };
            let place = match before.trim() {
                "TID:" => &mut self.tenant,
                "Tenant:" => &mut self.domain,
                "" if is_time(value) && self.time.is_none() => &mut self.time,
                "" if self.time.is_some() && self.request.is_none() => &mut self.request,
                // A layout may have the application or the server there, or nothing.
                "" if self.time.is_none() => {
                    rest = after;
                    continue;
                }
                _ => return,
            };
            *place = Some(value).filter(|value| !value.is_empty());
            rest = after;
        }
    }

    /// When it was written, in the server's zone.
    pub(crate) fn time(&self) -> Option<&'a str> {
        self.time
    }

    /// The correlation id.
    pub(crate) fn request(&self) -> Option<&'a str> {
        self.request
    }
}

/// What a server writes first where it names the tenant.
const TENANT: &str = "TID: [";

/// Bytes of the longest time there is, and more.
const LONGEST_TIME: usize = 64;

/// Where the server's own words begin: with `TID: [`, or with the time in brackets. Before it a shipper may have written a container's
/// name, or the header of syslog.
fn begin(prefix: &str) -> usize {
    let time = || {
        let mut brackets = prefix.match_indices('[').map(|(at, _)| at);
        brackets.find(|at| {
            // A time is short, and a line of brackets only must not be read again for each of them.
            let end = prefix.bytes().skip(at + 1).take(LONGEST_TIME).position(|byte| byte == b']');
            end.and_then(|end| prefix.get(at + 1..at + 1 + end)).is_some_and(is_time)
        })
    };
    if prefix.starts_with(TENANT) {
        return 0;
    }
    prefix.find(TENANT).or_else(time).unwrap_or_default()
}

fn is_time(text: &str) -> bool {
    text.len() >= 19 && text.starts_with(|c: char| c.is_ascii_digit()) && text.contains(':')
}

/// How one of the two forms is written.
struct Form {
    start: &'static str,
    /// Before `Data`, in any order.
    names: [(Finder<'static>, &'static str); 2],
    data: Finder<'static>,
    /// After `Data`; the last one counts, since `Data` may hold anything.
    result: [FinderRev<'static>; 2],
}

static PIPES: LazyLock<Form> = LazyLock::new(|| Form {
    start: "Initiator :",
    names: [(Finder::new(" | Action :"), "action"), (Finder::new(" | Target :"), "target")],
    data: Finder::new(" | Data :"),
    result: [FinderRev::new(" | Result :"), FinderRev::new(" | Outcome :")],
});

static EQUALS: LazyLock<Form> = LazyLock::new(|| Form {
    start: "Initiator=",
    names: [(Finder::new(" Action="), "action"), (Finder::new(" Target="), "target")],
    data: Finder::new(" Data="),
    result: [FinderRev::new(" Outcome="), FinderRev::new(" Result=")],
});

static IMPERSONATOR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(" | Impersonator :"));

/// What stands before and after the first of what `mark` finds.
fn cut<'a>(text: &'a str, mark: &Finder<'_>) -> Option<(&'a str, &'a str)> {
    let at = mark.find(text.as_bytes())?;
    text.get(..at).zip(text.get(at + mark.needle().len()..))
}

/// The record that a line says: v2 as it is, or with the names of the legacy shape, and what stands before it.
pub(crate) fn object<'a>(line: &Line<'a>) -> Result<Object<'a>, Reason> {
    let mut record = if line.message.starts_with('{') {
        Object::parse(line.message)?
    } else if let Some(rest) = line.message.strip_prefix(OAUTH) {
        let (kind, info) = rest.split_once(" | Info: ").unwrap_or((rest, ""));
        let mut record = Object::roomy();
        record.add_text("action", kind.trim());
        json_or_text(&mut record, "data", info.trim());
        record
    } else {
        message(line.message)?
    };
    for (name, value) in [("tenantId", line.tenant), ("tenantDomain", line.domain), ("line", Some(line.prefix))] {
        if let Some(value) = value
            && !record.has(name)
        {
            record.add_text(name, value);
        }
    }
    if let Some(request) = line.request
        && !record.has("requestId")
    {
        record.add_text("requestId", request);
    }
    Ok(record)
}

fn message<'a>(text: &'a str) -> Result<Object<'a>, Reason> {
    let form: &Form = if text.starts_with(EQUALS.start) { &EQUALS } else { &PIPES };
    let mut record = Object::roomy();
    let rest = text.strip_prefix(form.start).unwrap_or(text);
    let (head, tail) = match cut(rest, &form.data) {
        Some((head, tail)) => (head, Some(tail)),
        None => (rest, None),
    };
    // The result is in the part after the data, or at the end of all where there is none.
    let searched = tail.unwrap_or(head);
    let marks = form.result.iter().filter_map(|mark| Some((mark.rfind(searched)?, mark.needle().len())));
    let (before, result) = match marks.max() {
        Some((at, length)) => (searched.get(..at).unwrap_or_default(), searched.get(at + length..)),
        None => (searched, None),
    };
    let head = if tail.is_some() { head } else { before };

    let mut marks = Vec::new();
    for (mark, name) in &form.names {
        let mut found = mark.find_iter(head.as_bytes());
        if let Some(at) = found.next() {
            if found.next().is_some() {
                return Err(Reason::new("duplicate_key", format!("`{name}` stands in the line twice before its data")));
            }
            marks.push((at, mark.needle().len(), *name));
        }
    }
    marks.sort_unstable();
    let mut start = 0;
    let mut name = "initiatorId";
    for (at, length, next) in marks {
        add(&mut record, name, head.get(start..at).unwrap_or_default());
        (start, name) = (at + length, next);
    }
    add(&mut record, name, head.get(start..).unwrap_or_default());
    if tail.is_some() {
        json_or_text(&mut record, "data", before.trim());
    }
    if let Some(result) = result {
        let (result, impersonator) = match cut(result, &IMPERSONATOR) {
            Some((result, impersonator)) => (result, Some(impersonator)),
            None => (result, None),
        };
        // With its spaces, as it stands; it is compared without.
        add(&mut record, "result", result);
        if let Some(impersonator) = impersonator {
            add(&mut record, "impersonatorId", impersonator);
        }
    }
    Ok(record)
}

fn add<'a>(record: &mut Object<'a>, name: &'static str, value: &'a str) {
    match value.trim() {
        "" => {}
        "null" => record.add(name, "null"),
        value => record.add_text(name, value),
    }
}

/// What is sound JSON, as that; anything else as a text.
fn json_or_text<'a>(record: &mut Object<'a>, name: &'static str, value: &'a str) {
    if value.is_empty() {
        return;
    }
    if value.starts_with('{') && serde_json::from_str::<&RawValue>(value).is_ok() {
        record.add(name, value);
        return;
    }
    record.add_text(name, value);
}
