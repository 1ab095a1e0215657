//! One request body of a system into envelopes, one record at a time.
//!
//! Owns: the order of things and what happens to a record that is not understood. The caller gives each envelope to
//! `event::parse::Parser`, as fields ([`fill`]) or as text ([`convert()`]); one that it refuses is made again with [`unparsed`], so that
//! the record is kept all the same.

use crate::change::Change;
use crate::envelope::{Envelope, hash};
use crate::filled::{Filled, Place};
use crate::memory::Memory;
use crate::split::{Part, Piece};
use crate::{Context, Reason, System, sessions};
use event::Field;
use event::json::{numbers_as_text, write_string};
use event::redact::{self, Rules};
use jiff::tz::TimeZone;
use std::borrow::Cow;

/// What one record of a body became.
#[derive(Debug)]
pub struct Converted<'a> {
    /// Line in NDJSON or a log, position in a list, from 1.
    pub line: usize,
    /// The native record's text; empty where there is none.
    pub native: &'a str,
    /// The envelope's JSON text; or why nothing of the record can be kept: to be reported as refused.
    pub envelope: Result<&'a str, &'a Reason>,
    /// Why the envelope is an `unparsed` one.
    pub unparsed: Option<&'a Reason>,
    /// The id is a hash of the record, so a stored record with this id is this one, even where more was inferred
    /// the first time: a repetition, never a conflict.
    pub by_content: bool,
    /// What the record says about the state of an entity.
    pub change: Option<Change>,
}

/// Converts a body and hands every record to `take`, in order. One that is not understood never keeps the next ones out.
///
/// # Errors
/// A body that cannot be taken apart at all.
pub fn convert(
    system: &dyn System,
    body: &[u8],
    content_type: &str,
    memory: &Memory,
    zone: &TimeZone,
    take: &mut dyn FnMut(Converted<'_>),
) -> Result<(), Reason> {
    convert_from(system, body, &Origin::new(content_type, zone), memory, take)
}

/// What is known of a body beside its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'o> {
    /// Its media type; empty where nothing says.
    pub content_type: &'o str,
    /// The zone of times that name none.
    pub zone: &'o TimeZone,
    /// What is known of its sender's signature; each record is marked with it.
    pub signature: Option<&'static str>,
    /// As [`Context`] has it.
    pub project: Option<&'o str>,
    /// As [`Context`] has it.
    pub request: Option<&'o str>,
}

impl<'o> Origin<'o> {
    /// A body of which no more is known.
    pub fn new(content_type: &'o str, zone: &'o TimeZone) -> Origin<'o> {
        Origin { content_type, zone, signature: None, project: None, request: None }
    }
}

/// As [`convert()`], with all that may be known.
///
/// # Errors
/// A body that cannot be taken apart at all.
pub fn convert_from(
    system: &dyn System,
    body: &[u8],
    origin: &Origin<'_>,
    memory: &Memory,
    take: &mut dyn FnMut(Converted<'_>),
) -> Result<(), Reason> {
    let text = decode(system, body, origin.content_type)?;
    let mut filled = Filled::default();
    let mut out = String::with_capacity(1024);
    let mut take = |filled: &mut Filled, read: Read<'_>| {
        out.clear();
        let Read { line, native, envelope, by_content, change, .. } = read;
        let native = match &native {
            Ok(native) => native.as_ref(),
            Err(reason) => {
                let envelope = Err(reason);
                return take(Converted { line, native: "", envelope, unparsed: None, by_content, change });
            }
        };
        match &envelope {
            Ok(place) => filled.write(place, &mut out),
            Err(reason) => write_unparsed(system, native, reason.code, &reason.detail, &mut out),
        }
        filled.clear();
        take(Converted { line, native, envelope: Ok(&out), unparsed: envelope.as_ref().err(), by_content, change });
    };
    let mut next = Some(0);
    while let Some(from) = next {
        let pieces = text.part(system, from);
        next = pieces.next();
        fill(system, pieces, origin, memory, &mut filled, &mut take);
    }
    Ok(())
}

/// A body as text.
#[derive(Debug)]
pub struct Decoded<'b> {
    text: Cow<'b, str>,
    /// Text was made out of bytes that were none: whatever holds a replacement was not sent like that.
    lossy: bool,
}

/// The texts of a body's records, or of a part of them.
#[derive(Debug)]
pub struct Pieces<'t> {
    part: Part<'t>,
    lossy: bool,
}

impl Pieces<'_> {
    /// How many the body has, those of its other parts too.
    pub fn count(&self) -> usize {
        self.part.all
    }

    /// Which of them the next part begins with, from 0.
    pub fn next(&self) -> Option<usize> {
        self.part.next
    }

    /// Those of which there is a text, by line.
    pub fn texts(&self) -> impl Iterator<Item = (usize, &str)> {
        self.part.pieces.iter().filter_map(|piece| Some((piece.line, piece.text.as_deref().ok()?)))
    }
}

/// A body as text.
///
/// # Errors
/// A body that cannot be taken apart at all.
pub fn decode<'b>(system: &dyn System, body: &'b [u8], content_type: &str) -> Result<Decoded<'b>, Reason> {
    let text = system.decode(body, content_type)?;
    let lossy = matches!(text, Cow::Owned(_)) && text.contains('\u{fffd}');
    Ok(Decoded { text, lossy })
}

impl Decoded<'_> {
    /// The texts of its records, as many as may be held at once: from this one on, from 0.
    pub fn part(&self, system: &dyn System, from: usize) -> Pieces<'_> {
        Pieces { part: system.part(&self.text, from), lossy: self.lossy }
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// What one record of a body was read as.
#[derive(Debug)]
pub struct Read<'t> {
    /// Line in NDJSON or a log, position in a list, from 1.
    pub line: usize,
    /// The native record's text; or why nothing of the record can be kept: to be reported as refused.
    pub native: Result<Cow<'t, str>, Reason>,
    /// Its envelope; or why it is not understood: then it is kept as an [`unparsed`] one.
    pub envelope: Result<Place, Reason>,
    /// See [`Converted`].
    pub by_content: bool,
    /// See [`Converted`].
    pub change: Option<Change>,
    /// The record that may have this one inside, as the other of its two shapes.
    pub twin: Option<Twin>,
}

/// A record that is known by what it says, and the one that says the same in another shape, by their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    /// The record's own id.
    pub id: String,
    /// That of the other.
    pub of: String,
}

impl Read<'_> {
    /// The same, without the body that it was read from.
    pub fn into_owned(self) -> Read<'static> {
        let native = self.native.map(|text| Cow::Owned(text.into_owned()));
        Read { native, ..self }
    }
}

/// Reads the records of a body into `filled`, and hands each to `take`, in order. One that is not understood never keeps the next
/// ones out.
pub fn fill<'t>(
    system: &dyn System,
    pieces: Pieces<'t>,
    origin: &Origin<'_>,
    memory: &Memory,
    filled: &mut Filled,
    take: &mut dyn FnMut(&mut Filled, Read<'t>),
) {
    let context = Context { memory, zone: origin.zone, project: origin.project, request: origin.request };
    for (_, text) in pieces.texts() {
        system.foresee(text, &context);
    }
    for Piece { line, text, rest } in pieces.part.pieces {
        let read = match &text {
            Ok(text) if pieces.lossy && text.contains('\u{fffd}') => {
                Err(Reason::new("invalid_utf8", "the record is not UTF-8; the bytes that are not are kept as U+FFFD"))
            }
            Ok(text) => one(system, text, origin, &context, filled),
            Err(reason) => Err(reason.clone()),
        };
        let (envelope, by_content, change, twin) = match read {
            Ok(Made { place, by_content, change, twin }) => (Ok(place), by_content, change, twin),
            Err(reason) => (Err(reason), text.is_ok() || !rest.is_empty(), None, None),
        };
        let native = text.or_else(|reason| if rest.is_empty() { Err(reason) } else { Ok(rest) });
        take(filled, Read { line, native, envelope, by_content, change, twin });
    }
}

/// What was made of one record.
struct Made {
    place: Place,
    by_content: bool,
    change: Option<Change>,
    twin: Option<Twin>,
}

fn one(
    system: &dyn System,
    native: &str,
    origin: &Origin<'_>,
    context: &Context<'_>,
    filled: &mut Filled,
) -> Result<Made, Reason> {
    let mut envelope = Envelope::new(system.name());
    system.read(native, context, &mut envelope)?;
    sessions::fill(system.name(), &mut envelope);
    if let Some(known) = origin.signature {
        envelope.signature(known);
    }
    let (by_content, change) = (envelope.by_content(), envelope.take_change());
    let of = envelope.twin_id().filter(|_| by_content);
    let twin = of.zip(envelope.text(Field::Id)).map(|(of, id)| Twin { id: id.into_owned(), of: of.to_owned() });
    Ok(Made { place: envelope.fill(filled)?, by_content, change, twin })
}

/// Reads one record again that was kept as an [`unparsed`] one, under `id` since `arrived` (microseconds UTC), and appends its
/// envelope, which refers to that one. The same record gives the same envelope each time.
///
/// # Errors
/// Why it still cannot be understood.
pub fn again(
    system: &dyn System,
    native: &str,
    (id, arrived): (&str, i64),
    zone: &TimeZone,
    out: &mut String,
) -> Result<(), Reason> {
    // What other records say is left aside: it may not be the same next time.
    let memory = Memory::default();
    let context = Context::new(&memory, zone);
    let mut envelope = Envelope::new(system.name());
    system.read(native, &context, &mut envelope)?;
    sessions::fill(system.name(), &mut envelope);
    envelope.kept_as(id, arrived, native);
    envelope.write(out)
}

/// The envelope of a record that was not understood, or that `event::parse` refused: its text, and why.
pub fn unparsed(system: &dyn System, native: &str, code: &str, detail: &str) -> String {
    let mut out = String::with_capacity(native.len() + 512);
    write_unparsed(system, native, code, detail, &mut out);
    out
}

fn write_unparsed(system: &dyn System, native: &str, code: &str, detail: &str, out: &mut String) {
    let (opened, system) = (system.opened(native), system.name());
    out.push_str(r#"{"log":"event","action":"unparsed","outcome":"unknown","level":"warn","source":"#);
    write_string(out, system);
    out.push_str(r#","id":""#);
    // Another id than the record will have once it is understood, or it could never be sent again.
    out.push_str(&hash(&[b"unparsed\0", system.as_bytes(), b"\0", native.as_bytes()]));
    out.push_str(r#"","error_code":"#);
    write_string(out, code);
    out.push_str(r#","message":"#);
    write_string(out, detail);
    out.push_str(r#","attributes":{"native":"#);
    // As JSON where it is sound, so that secrets are found by their names; else as text, where they are found by how they look.
    let attribute =
        redact::Canonical { path: "attributes", depth: 2, context: redact::Context::default(), rules: &PLAIN };
    let native = opened.as_ref();
    let json = native.trim_start().starts_with(['{', '[']).then(|| numbers_as_text(native));
    let sound = json.filter(|json| attribute.write(json, &mut Vec::new(), &mut String::new()).is_ok());
    if let Some(json) = sound {
        out.push_str(&json);
    } else if native.contains('\0') {
        // Which no record may hold; its picture may.
        write_string(out, &native.replace('\0', "\u{2400}"));
    } else {
        write_string(out, native);
    }
    out.push_str("}}");
}

static PLAIN: std::sync::LazyLock<Rules> = std::sync::LazyLock::new(Rules::default);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read_again(system: &str, native: &str, zone: &TimeZone) -> Result<Value, &'static str> {
        let system = crate::find(system).unwrap();
        let mut twice = [String::new(), String::new()];
        for out in &mut twice {
            again(system, native, ("kept-1", 1_795_176_000_000_000), zone, out).map_err(|e| e.code)?;
        }
        assert_eq!(twice[0], twice[1], "the same each time");
        Ok(serde_json::from_str(&twice[0]).unwrap())
    }

    #[test]
    fn a_kept_record_read_again_names_what_it_was_kept_as() {
        let event = r#"{"specversion":"1.0","type":"t","source":"s","id":"1"}"#;
        let made = read_again("cloudevents", event, &TimeZone::UTC).unwrap();
        let marks = json!({ "inferred": ["log", "outcome", "level"], "time": "arrival", "unparsed": "kept-1" });
        assert_eq!(made["attributes"]["_indelible"], marks, "{made}");
        assert_eq!(made["time"], "2026-11-20T12:00:00.000000Z", "when it came");
        // Without an id of its own its text is what names it, so that it is stored once.
        let login = r#"{"type":"LOGIN","realmId":"r","time":1795170000000}"#;
        let made = read_again("keycloak", login, &TimeZone::UTC).unwrap();
        assert_eq!(made["time"], "2026-11-20T10:20:00.000000Z", "its own time counts");
        assert!(made["id"].as_str().is_some_and(|id| id.len() >= 32), "{made}");
        let line = "[2026-11-20 12:00:02,567]  WARN {AUDIT_LOG}-  Initiator=bob Action=Delete-User Target=carl Data={} Outcome=Success";
        let made = read_again("wso2", line, &TimeZone::fixed(jiff::tz::offset(2))).unwrap();
        assert_eq!(made["time"], "2026-11-20T10:00:02.567000Z", "in the zone of the source");
        assert_eq!(read_again("cloudevents", "{}", &TimeZone::UTC), Err("missing_field"));
    }

    #[test]
    fn a_name_that_is_in_no_catalogue_is_shown_as_unknown() {
        for (system, native, known, guessed) in [
            ("keycloak", r#"{"type":"NAME","realmId":"r","time":1}"#, "LOGIN", false),
            ("contember", r#"{"id":"1","type":"NAME","success":true}"#, "login", false),
            (
                "asgardeo",
                r#"{"id":"1","recordedAt":"2026-11-20T12:00:00Z","initiatorType":"User","action":"NAME"}"#,
                "add-user",
                false,
            ),
            (
                "okta",
                r#"{"uuid":"1","eventType":"NAME","published":"2026-11-20T12:00:00Z"}"#,
                "user.session.start",
                false,
            ),
            ("auth0", r#"{"log_id":"1","date":"2026-11-20T12:00:00Z","type":"NAME"}"#, "s", true),
            (
                "ory-nestjs",
                r#"{"event":"NAME","timestamp":"2026-11-20T12:00:00Z","result":"success"}"#,
                "auth.success",
                false,
            ),
            (
                "ory-network",
                r#"{"name":"NAME","timestamp":"2026-11-20T12:00:00Z","eventAttributes":{}}"#,
                "SessionIssued",
                true,
            ),
            ("authentik", r#"{"pk":"1","action":"NAME","created":"2026-11-20T12:00:00Z"}"#, "login", false),
        ] {
            for (name, unknown) in [(known, false), ("Frobnicated", true)] {
                let made = read_again(system, &native.replace("NAME", name), &TimeZone::UTC).unwrap();
                let marks = &made["attributes"]["_indelible"];
                assert_eq!(marks["unknown"] == "action", unknown, "{made}");
                let inferred = marks["inferred"].as_array().is_some_and(|all| all.contains(&json!("outcome")));
                assert!(inferred || !(unknown && guessed), "{made}");
            }
        }
    }

    proptest! {
        #[test]
        fn reading_again_never_panics(n in 0..crate::SYSTEMS.len(), text in "\\PC{0,120}", object in "\\{\"[a-z]{1,8}\":[\\PC]{0,40}\\}") {
            for native in [text, object] {
                let _ = read_again(crate::SYSTEMS[n].name(), &native, &TimeZone::UTC);
            }
        }
    }
}
