//! What the systems' tests share: a body through the adapter and through `event`, and back.

use crate::moment::{self, Stamp};
use crate::{Converted, Memory, convert, find, unparsed};
use event::parse::Parser;
use event::redact::Rules;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

/// 2026-11-20 12:34:56 UTC.
pub(crate) const NOW: i64 = 1_795_178_096_000_000;

/// One record as it would be stored.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) line: usize,
    pub(crate) native: String,
    /// The envelope's text, as the adapter wrote it.
    pub(crate) text: String,
    /// The envelope as it is stored: redacted, canonical.
    pub(crate) envelope: Value,
}

impl Stored {
    /// The text at a dotted path, `""` where there is none.
    pub(crate) fn at(&self, path: &str) -> &str {
        self.value(path).as_str().unwrap_or_default()
    }

    /// The value at a dotted path.
    pub(crate) fn value(&self, path: &str) -> &Value {
        path.split('.').fold(&self.envelope, |value, name| &value[name])
    }

    /// Fails where a value is not what it should be: `[("actor.id", "ann"), …]`; `""` for absent.
    #[track_caller]
    pub(crate) fn expect(&self, wanted: &[(&str, &str)]) -> &Self {
        for (path, value) in wanted {
            assert_eq!(self.at(path), *value, "{path} of {}", self.envelope);
        }
        self
    }
}

/// Takes a body in as the server does: what is not understood, or is refused, is kept as an unparsed record.
pub(crate) fn take(system: &str, body: &str) -> Vec<Stored> {
    take_with(&Memory::default(), system, body.as_bytes())
}

/// The same with a memory that stays.
pub(crate) fn take_with(memory: &Memory, system: &str, body: &[u8]) -> Vec<Stored> {
    let system = find(system).unwrap();
    let rules = Rules::default();
    let parser = Parser { rules: &rules, tenant: "acme", now: NOW };
    let mut stored = Vec::new();
    convert(system, body, "", memory, &TimeZone::UTC, &mut |piece: Converted<'_>| {
        let Ok(text) = piece.envelope else { return };
        let mut text = event::json::numbers_as_text(text).into_owned();
        let mut out = Vec::new();
        if let Err(e) = parser.parse(&text, &mut || "made".into(), &mut out) {
            text = unparsed(system, piece.native, e.code, &e.detail);
            parser.parse(&text, &mut || "made".into(), &mut out).unwrap();
        }
        stored.push(Stored { line: piece.line, native: piece.native.to_owned(), text, envelope: envelope(&out) });
    })
    .unwrap();
    stored
}

/// One record, which is understood.
#[track_caller]
pub(crate) fn one(system: &str, body: &str) -> Stored {
    let mut all = take(system, body);
    assert_eq!(all.len(), 1, "{body}");
    let one = all.remove(0);
    assert_ne!(one.at("action"), "unparsed", "{}", one.envelope);
    one
}

/// The reason that a record is not understood for.
#[track_caller]
pub(crate) fn reason(system: &str, body: &str) -> String {
    let all = take(system, body);
    assert_eq!(all.len(), 1, "{body}");
    all[0].expect(&[("action", "unparsed"), ("outcome", "unknown"), ("log", "event"), ("source", system)]);
    assert!(!all[0].value("attributes.native").is_null(), "its text is kept");
    all[0].at("error_code").to_owned()
}

/// A stored row as the envelope's JSON.
pub(crate) fn envelope(row: &[u8]) -> Value {
    let mut out = Value::Object(Map::new());
    for field in event::encode::fields(row) {
        let field = field.unwrap();
        let spec = field.field.spec();
        let value = match spec.kind {
            event::Kind::Text | event::Kind::List => json!(field.text().unwrap()),
            event::Kind::Json => serde_json::from_slice(field.value).unwrap(),
            event::Kind::Time => json!(event::time::format(field.time().unwrap())),
            event::Kind::Bool => json!(field.value == [1]),
        };
        let mut place = &mut out;
        for name in spec.path.split('.') {
            place = &mut place[name];
        }
        // Of a list each element is one.
        *place = match place.take() {
            Value::Null => value,
            Value::Array(mut list) => {
                list.push(value);
                list.into()
            }
            one => json!([one, value]),
        };
    }
    out
}

/// Fails where a value of a native record stands nowhere in its envelope; a time may be written differently.
#[track_caller]
pub(crate) fn keeps_everything(system: &str, body: &str) {
    for stored in take(system, body) {
        assert_ne!(stored.at("action"), "unparsed", "{}", stored.envelope);
        let (mut sent, mut kept) = (Vec::new(), Vec::new());
        values(&serde_json::from_str(&stored.native).unwrap(), &mut sent);
        values(&stored.envelope, &mut kept);
        let at = event::time::parse(stored.at("time"));
        for value in sent {
            let counted = [Stamp::UnixSeconds, Stamp::UnixMillis, Stamp::UnixNanos]
                .map(|stamp| moment::read(&value, stamp, &TimeZone::UTC));
            let mut times = counted.into_iter().chain([moment::text(&value, &TimeZone::UTC)]).flatten();
            assert!(
                kept.contains(&value) || times.any(|(time, _)| Some(time) == at),
                "{value} is lost in {}",
                stored.envelope
            );
        }
    }
}

/// Every text, number and truth value inside, as text.
fn values(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => out.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|inside| values(inside, out)),
        Value::Object(members) => members.values().for_each(|inside| values(inside, out)),
        Value::Number(_) | Value::Bool(_) => out.push(value.to_string()),
    }
}

/// Takes a body in and gives back what the records say they were; fails unless that is what was sent, as JSON. JSON that stands in
/// a text (Keycloak's `representation`) is compared as JSON.
#[track_caller]
pub(crate) fn comes_back(system: &str, body: &str) {
    let adapter = find(system).unwrap();
    for stored in take(system, body) {
        assert_ne!(stored.at("action"), "unparsed", "{}", stored.envelope);
        let native = adapter.to_native(&stored.envelope).unwrap();
        let sent: Value = serde_json::from_str(&stored.native).unwrap();
        assert_eq!(open(native), open(sent), "by way of {}", stored.envelope);
    }
}

/// Texts that hold an object or a list, as that.
fn open(mut record: Value) -> Value {
    for (_, member) in record.as_object_mut().into_iter().flatten() {
        let inside = member
            .as_str()
            .filter(|text| text.starts_with(['{', '[']))
            .and_then(|text| serde_json::from_str(text).ok());
        if let Some(inside) = inside {
            *member = inside;
        }
    }
    record
}

static UTC: TimeZone = TimeZone::UTC;

/// Fails where a body's records are others when their fields are handed over than when their text is.
#[track_caller]
pub(crate) fn both_ways(system: &str, body: &[u8]) {
    let system = find(system).unwrap();
    let rules = Rules::default();
    let parser = Parser { rules: &rules, tenant: "acme", now: NOW };
    let origin = crate::Origin::new("", &UTC);
    let mut texts = Vec::new();
    convert(system, body, "", &Memory::default(), &TimeZone::UTC, &mut |piece: Converted<'_>| {
        let because = piece.unparsed.or(piece.envelope.err()).cloned();
        texts.push((piece.line, piece.native.to_owned(), piece.envelope.ok().map(str::to_owned), because));
    })
    .unwrap();
    let text = crate::decode(system, body, "").unwrap();
    let (mut filled, mut reads) = (crate::Filled::default(), Vec::new());
    let pieces = text.part(system, 0);
    crate::fill(system, pieces, &origin, &Memory::default(), &mut filled, &mut |_, read| reads.push(read));
    assert_eq!(texts.len(), reads.len());
    for ((line, native, text, because), read) in texts.into_iter().zip(reads) {
        assert_eq!((line, native.as_str()), (read.line, read.native.as_deref().unwrap_or_default()));
        let place = match read.envelope {
            Ok(place) => place,
            Err(reason) => {
                assert_eq!(because, Some(reason));
                continue;
            }
        };
        let (text, mut written) = (text.unwrap(), String::new());
        filled.write(&place, &mut written);
        assert_eq!(text, written);
        let said = crate::object::at(&text, &["time"]).and_then(|raw| event::time::parse(raw.trim_matches('"')));
        assert!(filled.at(&place) == said || said.is_none(), "{text}");
        let (mut of_text, mut of_fields) = (Vec::new(), Vec::new());
        let parsed = parser.parse(&text, &mut || "made".into(), &mut of_text);
        match parser.take(filled.fields(&place), &mut || "made".into(), &mut of_fields) {
            Some(taken) => assert_eq!((Ok(taken), of_fields), (parsed, of_text), "{text}"),
            // Records that are in order are not to be read twice; what is wrong is said of the text.
            None => assert!(parsed.is_err() && of_fields.is_empty(), "{text}"),
        }
    }
}

/// Fails where any text makes the adapter panic, write a broken envelope, or say it was another system. Property tests and fuzz
/// targets give it what they like.
pub(crate) fn survives(system: &str, body: &[u8]) {
    crate::detect(body);
    both_ways(system, body);
    let first = take_with(&Memory::default(), system, body);
    let again = take_with(&Memory::default(), system, body);
    assert_eq!(first.len(), again.len());
    for (stored, again) in first.iter().zip(&again) {
        assert_eq!(stored.text, again.text, "the same record twice is the same twice");
        assert_eq!(stored.at("source"), system);
        find(system).unwrap().to_native(&stored.envelope);
    }
}

/// The files of `samples/{system}/`, by system.
pub(crate) fn samples() -> Vec<(String, std::path::PathBuf, Vec<u8>)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut found = Vec::new();
    for system in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        for file in std::fs::read_dir(system.path()).unwrap().map(Result::unwrap) {
            let bytes = std::fs::read(file.path()).unwrap();
            found.push((system.file_name().into_string().unwrap(), file.path(), bytes));
        }
    }
    found
}

#[test]
fn every_sample_is_recognised_understood_and_the_same_twice() {
    let samples = samples();
    for system in crate::SYSTEMS {
        assert!(samples.iter().any(|(name, ..)| name == system.name()), "{} has no sample", system.name());
    }
    for (system, file, bytes) in samples {
        let found = crate::detect(&bytes);
        let first = found.first().copied().unwrap_or_default();
        assert!(first.0 == system && first.1 >= 90, "{}: {found:?}", file.display());
        assert!(found.get(1).is_none_or(|second| second.1 + 20 <= first.1), "{}: {found:?}", file.display());
        survives(&system, &bytes);
        let stored = take_with(&Memory::default(), &system, &bytes);
        assert!(!stored.is_empty(), "{}", file.display());
        for record in &stored {
            assert_ne!(record.at("action"), "unparsed", "{}: {}", file.display(), record.envelope);
        }
        let whole = find(&system).unwrap().to_native(&stored[0].envelope).is_some();
        if whole && serde_json::from_str::<Value>(&stored[0].native).is_ok() {
            comes_back(&system, std::str::from_utf8(&bytes).unwrap());
        }
    }
}

#[test]
fn a_list_over_several_lines_is_a_list() {
    for (system, file, bytes) in samples() {
        let Ok(whole) = serde_json::from_slice::<Value>(&bytes) else { continue };
        let list = if whole.is_array() { whole } else { json!([whole]) };
        let read = |text: &str| -> Vec<String> {
            let stored = take_with(&Memory::default(), &system, text.as_bytes());
            stored.into_iter().map(|record| [record.at("action"), record.at("time")].join(" ")).collect()
        };
        let short = list.to_string();
        for long in [
            serde_json::to_string_pretty(&list).unwrap(),
            format!("\r\n[\r\n\t{}\r\n]\r\n", &short[1..short.len() - 1]),
        ] {
            assert_eq!(read(&long), read(&short), "{}", file.display());
            assert_eq!(crate::detect(long.as_bytes()), crate::detect(short.as_bytes()), "{}", file.display());
        }
    }
}

#[test]
fn what_is_wrapped_is_unwrapped_whatever_is_beside_it() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let okta = r#"{"uuid":"1","published":"2026-11-20T12:00:00Z","eventType":"user.session.start","actor":{"id":"u"},"outcome":{"result":"SUCCESS"}}"#;
    let auth0 = r#"{"log_id":"1","date":"2026-11-20T12:00:00.000Z","type":"s","user_id":"u"}"#;
    let v2 = r#"{"id":"1","recordedAt":"2026-11-20T12:00:00Z","requestId":"r","initiatorId":"a","initiatorType":"User","targetId":"u","targetType":"User","action":"add-user"}"#;
    let authentik =
        r#"{"pk":"1","user":{"pk":7},"action":"login","app":"a","context":{},"created":"2026-11-20T12:00:00.123456Z"}"#;
    let zitadel = r#"{"editor":{"userId":"3"},"aggregate":{"id":"4","type":{"type":"user"}},"sequence":"7","creationDate":"2026-11-20T12:00:00.262665Z","type":{"type":"user.human.added"}}"#;
    let contember =
        r#"{"id":"1","createdAt":"2026-11-20T12:00:00Z","type":"login","success":true,"ipAddress":"192.0.2.1"}"#;
    let ory = r#"{"name":"SessionIssued","timestamp":"2026-11-20T12:00:00Z","attributes":[{"key":"IdentityID","value":"i"}]}"#;
    for (system, before, record, after) in [
        ("okta", r#"{"eventType":"com.okta.event_hook","data":{"events":["#, okta, "]}}"),
        ("auth0", r#"{"logs":["#, auth0, r#"],"total":3}"#),
        ("asgardeo", r#"{"logs":["#, v2, "]}"),
        ("wso2", r#"{"logs":["#, v2, "]}"),
        ("authentik", r#"{"results":["#, authentik, "]}"),
        ("zitadel", r#"{"events":["#, zitadel, "]}"),
        ("contember", r#"{"data":{"authLog":{"entries":["#, contember, "]}}}"),
        ("ory-network", r#"{"events":["#, ory, r#"],"page_token":"x"}"#),
    ] {
        let body = format!("{before}{record},{{\"deep\":{deep}}},\n{record}{after}");
        let stored = take(system, &body);
        let actions: Vec<bool> = stored.iter().map(|record| record.at("action") == "unparsed").collect();
        assert_eq!(actions, [false, true, false], "{system}");
        let found = crate::detect(format!("{before}{record}{after}").as_bytes());
        // WSO2's records of this shape are Asgardeo's.
        assert_eq!(
            found.first().map(|found| found.0),
            Some(if system == "wso2" { "asgardeo" } else { system }),
            "{system}"
        );
        let late = crate::detect(format!("{before}{{\"deep\":{deep}}},{record}{after}").as_bytes());
        assert_eq!(
            late.first().map(|found| found.0),
            found.first().map(|found| found.0),
            "{system}: one that is too deep says nothing"
        );
        let list = |inside: &str| crate::detect(format!("[{inside}{record}]").as_bytes());
        assert_eq!(list(&format!("{{\"deep\":{deep}}},")), list(""), "{system}");
        assert!(take(system, &format!("{before}{after}")).is_empty(), "{system}");
        for broken in [r#"{"id":}"#, "oops", "{a:1}"] {
            let stored = take(system, &format!("{before}{record},{broken},\n{record}{after}"));
            let unparsed: Vec<bool> = stored.iter().map(|record| record.at("action") == "unparsed").collect();
            assert_eq!(unparsed, [false, true, false], "{system}: {broken}");
        }
        let open = format!("{before}{record},\n{{\"id\":\"x}},{record}{after}");
        let stored = take(system, &open);
        assert_eq!((stored.len(), stored[1].at("error_code")), (2, "invalid_json"), "{system}: {open}");
        assert!(stored[1].at("message").contains("element 2"), "{system}: {}", stored[1].envelope);
        let known = crate::detect(open.as_bytes());
        assert_eq!(known.first().map(|known| known.0), found.first().map(|found| found.0), "{system}: {open}");
    }
}

#[test]
fn other_things_are_nobodys() {
    for other in [
        "",
        "[]",
        "{}",
        "7",
        "hello",
        r#"{"type":"LOGIN"}"#,
        r#"{"active":true,"sub":"x"}"#,
        r#"[{"event":"x"}]"#,
        "type=LOGIN",
    ] {
        assert_eq!(crate::detect(other.as_bytes()), [], "{other}");
    }
}
