//! OTLP traces, Protocol Buffers or JSON, into one JSON object per span event.
//!
//! Owns: where OTLP has its span events, and typed values as plain JSON. Not here: what an event means (`read`).

use super::{NAME, TRACES};
use crate::Reason;
use crate::catalog;
use crate::object::{self, each, members, pick};
use crate::otlp::request::{Lists, usual_pair, walk};
use crate::protobuf::{Fields, Value};
use crate::split::MAX_MADE;
use base64::Engine as _;
use event::json::{JsonError, Next, Reader, write_read, write_string};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

/// How deep lists and maps may stand in each other in a value. Ory's have none; OTLP has no limit.
const MAX_DEPTH: usize = 8;

/// So many names are compared one with another; of more a table is made.
const FEW: usize = 32;

/// The start of the names of a resource that a record keeps: which server it was.
const SERVICE: &str = "service.";

/// Names and their values as JSON text. A name that is borrowed was read out of JSON, as [`write_read`] has it; so are the texts of
/// [`Event`] and [`Place`], but for the time.
type Pairs<'t> = Vec<(Cow<'t, str>, Cow<'t, str>)>;

/// One span event.
#[derive(Debug, Default)]
struct Event<'t> {
    name: Cow<'t, str>,
    nanos: Cow<'t, str>,
    attributes: Pairs<'t>,
}

/// What an event's record also says.
#[derive(Debug, Default)]
struct Place<'t> {
    trace: Cow<'t, str>,
    span: Cow<'t, str>,
    span_name: Cow<'t, str>,
    /// Of the resource, what begins with [`SERVICE`].
    service: Pairs<'t>,
}

/// Whether a span event may be Ory's, by its name alone.
fn may_be_ours(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase()) || is_known(name)
}

/// Whether it is a name of Ory's, in any spelling.
fn is_known(name: &str) -> bool {
    catalog::find(NAME, name).is_some()
}

/// Words of which one is in the name of each of Ory's servers.
const SERVERS: &[&str] = &["ory", "kratos", "hydra", "keto", "oathkeeper", "polis"];

impl Place<'_> {
    /// Whether a span event is Ory's: by its name, or a new name that one of Ory's servers gave it. Anybody's service may have events
    /// that are named as Ory names its own.
    fn has(&self, name: &str) -> bool {
        let ory = || {
            let service = self.service.iter().filter(|(name, _)| name == "service.name");
            service
                .flat_map(|(_, value)| value.split(|c: char| !c.is_alphanumeric()))
                .any(|word| SERVERS.iter().any(|server| server.eq_ignore_ascii_case(word)))
        };
        is_known(name) || ory()
    }
}

/// The record, as one line of JSON.
fn record(event: &Event<'_>, place: &Place<'_>) -> String {
    let mut out = String::with_capacity(1024);
    out.push_str("{\"name\":");
    write_read(&mut out, &event.name);
    out.push_str(",\"timeUnixNano\":");
    // As it stands between its quotes, if it has any.
    write_string(&mut out, &event.nanos);
    write_members(&mut out, "attributes", &event.attributes);
    for (name, value) in
        [(",\"traceId\":", &place.trace), (",\"spanId\":", &place.span), (",\"span\":", &place.span_name)]
    {
        if !value.is_empty() {
            out.push_str(name);
            write_read(&mut out, value);
        }
    }
    write_members(&mut out, "resource", &place.service);
    out.push('}');
    out
}

/// Appends an object of values. Of a name that stands there more than once the last counts; the others get a number.
fn write_members(out: &mut String, name: &str, values: &Pairs<'_>) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":{");
    let each_once = values.len() <= FEW
        && values.iter().enumerate().all(|(i, (key, _))| values.iter().take(i).all(|(other, _)| other != key));
    if each_once {
        for (i, (key, value)) in values.iter().enumerate() {
            out.push_str(if i > 0 { "," } else { "" });
            write_read(out, key);
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
        return;
    }
    let mut left: HashMap<&str, usize> = HashMap::with_capacity(values.len());
    for (key, _) in values {
        *left.entry(key).or_default() += 1;
    }
    let mut numbered: HashMap<&str, usize> = HashMap::new();
    for (i, (key, value)) in values.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        let more = left.get_mut(key.as_ref()).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if more > 0 {
            let number = numbered.entry(key).or_default();
            *number += 1;
            write_string(out, &format!("{key}#{number}"));
        } else {
            write_read(out, key);
        }
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_string(&mut out, text);
    out
}

/// A whole number as JSON; in quotes where a reader might make another one of it.
fn whole(number: i64) -> String {
    if number.unsigned_abs() < 1 << 53 { number.to_string() } else { format!("\"{number}\"") }
}

fn fraction(number: f64) -> String {
    serde_json::Number::from_f64(number).map_or_else(|| format!("\"{number}\""), |number| number.to_string())
}

fn too_much() -> Reason {
    Reason::new("batch_too_large", "the span events of this request would be over 64 MiB; send fewer at once")
}

/// What stands in place of a value that is deeper than [`MAX_DEPTH`]: one attribute is no reason to lose its event or the others.
const TOO_DEEP: &str = "\"not kept: deeper than 8 lists or maps\"";

// JSON

/// Whether a record is a request of traces.
pub(super) fn is_traces(text: &str) -> bool {
    object::has_list(text, TRACES)
}

/// The span events of one request in JSON. `made` counts the bytes of all of a body.
pub(super) fn events<'t>(text: &str, made: &mut usize) -> Vec<Result<Cow<'t, str>, Reason>> {
    let mut all = Vec::new();
    if let Err(e) = read(text, made, &mut all) {
        all.push(Err(broken(e)));
    }
    all
}

fn broken(e: JsonError) -> Reason {
    Reason::new(e.code, e.to_string())
}

const LISTS: Lists = Lists { resources: TRACES, scopes: ["scopeSpans", "instrumentationLibrarySpans"], items: "spans" };

/// A span that has events, as JSON text.
struct Span<'t> {
    /// What `traceId`, `spanId` and `name` say.
    named: [Cow<'t, str>; 3],
    events: Vec<Result<Event<'t>, JsonError>>,
}

fn read(text: &str, made: &mut usize, all: &mut Vec<Result<Cow<'_, str>, Reason>>) -> Result<(), JsonError> {
    walk(&mut Reader::new(text), &LISTS, &mut span, &mut |sent| {
        let service = sent.resource.map_or(Ok(Vec::new()), service);
        let mut place = match service {
            Ok(service) => Place { service, ..Place::default() },
            Err(e) => return all.push(Err(broken(e))),
        };
        for span in sent.scopes.into_iter().flat_map(|scope| scope.items) {
            [place.trace, place.span, place.span_name] = span.named;
            // One event that is broken is no reason to lose the others.
            let ours =
                |event: &Result<Event<'_>, JsonError>| event.as_ref().map_or(true, |event| place.has(&event.name));
            all.extend(span.events.into_iter().filter(ours).map(|event| match event {
                Ok(event) => add(record(&event, &place), made).map(Cow::Owned),
                Err(e) => Err(broken(e)),
            }));
        }
    })
}

fn span<'t>(r: &mut Reader<'t>) -> Result<Span<'t>, JsonError> {
    let mut span = Span { named: [const { Cow::Borrowed("") }; 3], events: Vec::new() };
    members(r, &mut |name, r| {
        let place = match name {
            "traceId" => 0,
            "spanId" => 1,
            "name" => 2,
            "events" => {
                return each(r, &mut |r| {
                    span.events.extend(event(r)?);
                    Ok(())
                });
            }
            _ => return r.skip(1).map(|_| ()),
        };
        let said = said(r)?.unwrap_or_default();
        if let Some(named) = span.named.get_mut(place) {
            *named = said;
        }
        Ok(())
    })?;
    Ok(span)
}

/// What a resource says of the server that it is.
fn service(resource: &str) -> Result<Pairs<'_>, JsonError> {
    if !resource.starts_with('{') {
        return Ok(Vec::new());
    }
    let [attributes] = pick(&mut Reader::new(resource), ["attributes"])?;
    let mut service = listed(attributes, 0)?;
    service.retain(|(name, _)| name.starts_with(SERVICE));
    Ok(service)
}

/// Takes the value that the reader stands before, and gives what it says if it is a text in quotes: nothing where it is none that can
/// be read.
fn said<'t>(r: &mut Reader<'t>) -> Result<Option<Cow<'t, str>>, JsonError> {
    if r.next_kind()? != Next::String {
        return r.skip(1).map(|_| None);
    }
    let mut whole_text = r.clone();
    let read = r.string();
    if read.is_err() {
        whole_text.skip(1)?;
        *r = whole_text;
    }
    Ok(Some(read.unwrap_or_default()))
}

fn add(record: String, made: &mut usize) -> Result<String, Reason> {
    *made = made.saturating_add(record.len());
    if *made > MAX_MADE { Err(too_much()) } else { Ok(record) }
}

/// The event that the reader stands before, if it may be Ory's; or why it is broken, which does not break those around it.
///
/// # Errors
/// Where it cannot even be stepped over.
fn event<'t>(r: &mut Reader<'t>) -> Result<Option<Result<Event<'t>, JsonError>>, JsonError> {
    let mut whole_event = r.clone();
    let read = json_event(r);
    if read.is_err() {
        whole_event.skip(1)?;
        *r = whole_event;
    }
    Ok(read.transpose())
}

fn json_event<'t>(r: &mut Reader<'t>) -> Result<Option<Event<'t>>, JsonError> {
    let (mut name, mut nanos, mut attributes) = (None, None, Ok(Vec::new()));
    members(r, &mut |member, r| {
        match member {
            "name" => name = said(r)?,
            "timeUnixNano" => nanos = Some(r.skip(1)?),
            // What another library says of itself.
            "attributes" if name.as_ref().is_some_and(|name| !may_be_ours(name)) => {
                r.skip(1)?;
            }
            "attributes" => {
                let mut list = r.clone();
                attributes = pairs(r, 0);
                if attributes.is_err() {
                    list.skip(1)?;
                    *r = list;
                }
            }
            _ => {
                r.skip(1)?;
            }
        }
        Ok(())
    })?;
    let name = name.unwrap_or_default();
    if !may_be_ours(&name) {
        return Ok(None);
    }
    // A number in quotes, as the format has it; some exporters leave the quotes away.
    let nanos = nanos.filter(|raw| *raw != "null").map_or("", |raw| raw.trim_matches('"')).into();
    Ok(Some(Event { name, nanos, attributes: attributes? }))
}

/// `[{"key": …, "value": {"stringValue": …}}, …]`; what has no key is passed over, and what is no list has none.
fn pairs<'t>(r: &mut Reader<'t>, depth: usize) -> Result<Pairs<'t>, JsonError> {
    let mut all = Vec::new();
    if r.next_kind()? != Next::Array {
        r.skip(1)?;
        return Ok(all);
    }
    each(r, &mut |r| {
        if depth <= MAX_DEPTH
            && let Some((key, value)) = usual_pair(r)
        {
            all.push((key.into(), value.into()));
            return Ok(());
        }
        let (mut key, mut plain_value) = (None, Cow::Borrowed("null"));
        members(r, &mut |name, r| {
            match name {
                "key" => key = said(r)?,
                "value" => plain_value = plain(r, depth)?,
                _ => {
                    r.skip(1)?;
                }
            }
            Ok(())
        })?;
        if let Some(key) = key {
            all.push((key, plain_value));
        }
        Ok(())
    })?;
    Ok(all)
}

/// As [`pairs`], of a list that may be missing.
fn listed(list: Option<&str>, depth: usize) -> Result<Pairs<'_>, JsonError> {
    list.map_or(Ok(Vec::new()), |list| pairs(&mut Reader::new(list), depth))
}

/// The members of these names of the object that the reader stands before, which nearly always has one.
fn typed<'t, const N: usize>(r: &mut Reader<'t>, names: [&str; N]) -> Result<[Option<&'t str>; N], JsonError> {
    let mut several = r.clone();
    r.open(b'{')?;
    let mut found = [None; N];
    if let Some(name) = r.key(true)? {
        let value = r.skip(1)?;
        if r.key(false)?.is_some() {
            found = pick(&mut several, names)?;
            *r = several;
        } else if let Some(place) = names.iter().position(|known| name == *known).and_then(|n| found.get_mut(n)) {
            *place = Some(value);
        }
    }
    Ok(found)
}

/// A typed value as plain JSON; what is of no known type stays as it is.
fn plain<'t>(r: &mut Reader<'t>, depth: usize) -> Result<Cow<'t, str>, JsonError> {
    if depth > MAX_DEPTH {
        r.skip(1)?;
        return Ok(Cow::Borrowed(TOO_DEEP));
    }
    if r.next_kind()? != Next::Object {
        return r.skip(1).map(Cow::Borrowed);
    }
    const TYPES: [&str; 7] =
        ["stringValue", "boolValue", "bytesValue", "intValue", "doubleValue", "arrayValue", "kvlistValue"];
    let mut whole_value = r.clone();
    let [text, truth, bytes, int, double, list, pairs_of] = typed(r, TYPES)?;
    if let Some(raw) = text.or(truth).or(bytes) {
        return Ok(Cow::Borrowed(raw));
    }
    if let Some(raw) = int {
        return Ok(raw.trim_matches('"').parse().map_or(Cow::Borrowed(raw), |number| Cow::Owned(whole(number))));
    }
    if let Some(raw) = double {
        return Ok(Cow::Borrowed(raw));
    }
    if let Some(holder) = list {
        let mut out = String::from("[");
        if let Some(values) = inside(holder)? {
            each(&mut Reader::new(values), &mut |r| {
                if out.len() > 1 {
                    out.push(',');
                }
                out.push_str(&plain(r, depth + 1)?);
                Ok(())
            })?;
        }
        out.push(']');
        return Ok(Cow::Owned(out));
    }
    let Some(holder) = pairs_of else { return whole_value.skip(1).map(Cow::Borrowed) };
    Ok(Cow::Owned(map(&listed(inside(holder)?, depth + 1)?)))
}

/// The list in `{"values": […]}`.
fn inside(holder: &str) -> Result<Option<&str>, JsonError> {
    if !holder.starts_with('{') {
        return Ok(None);
    }
    let [values] = pick(&mut Reader::new(holder), ["values"])?;
    Ok(values.filter(|raw| raw.starts_with('[')))
}

/// An object of values, alone.
fn map(pairs: &Pairs<'_>) -> String {
    let mut out = String::new();
    write_members(&mut out, "", pairs);
    // Without the `,"":` that stands before it.
    out.split_off(4)
}

// Protocol Buffers. The numbers are those of opentelemetry-proto 1.x: trace.proto, common.proto, resource.proto.

/// The span events of a request in Protocol Buffers, one per line.
///
/// # Errors
/// `invalid_protobuf` where the body is not one, `batch_too_large` where its events would be over 64 MiB.
pub fn lines(body: &[u8]) -> Result<String, Reason> {
    let mut out = String::new();
    for field in Fields::new(body) {
        if let (1, resource) = field? {
            resource_spans(resource.bytes(), &mut out)?;
        }
    }
    Ok(out)
}

fn resource_spans(message: &[u8], out: &mut String) -> Result<(), Reason> {
    let mut place = Place::default();
    // The resource may stand after the spans that are its own.
    for field in Fields::new(message) {
        if let (1, resource) = field? {
            for field in Fields::new(resource.bytes()) {
                if let (1, attribute) = field? {
                    place
                        .service
                        .extend(Some(key_value(attribute.bytes(), 0)?).filter(|(name, _)| name.starts_with(SERVICE)));
                }
            }
        }
    }
    for field in Fields::new(message) {
        if let (2, scope) = field? {
            for field in Fields::new(scope.bytes()) {
                if let (2, span) = field? {
                    span_events(span.bytes(), &mut place, out)?;
                }
            }
        }
    }
    Ok(())
}

fn span_events(message: &[u8], place: &mut Place<'_>, out: &mut String) -> Result<(), Reason> {
    let (mut trace, mut span, mut name, mut events) = (&b""[..], &b""[..], &b""[..], Vec::new());
    for field in Fields::new(message) {
        match field? {
            (1, value) => trace = value.bytes(),
            (2, value) => span = value.bytes(),
            (5, value) => name = value.bytes(),
            (11, value) => events.push(value.bytes()),
            _ => {}
        }
    }
    if events.is_empty() {
        return Ok(());
    }
    (place.trace, place.span, place.span_name) = (hex(trace).into(), hex(span).into(), text(name).into());
    for event in events {
        let mut found = Event::default();
        for field in Fields::new(event) {
            match field? {
                (1, value) => found.nanos = value.number().to_string().into(),
                (2, value) => found.name = text(value.bytes()).into(),
                (3, value) => found.attributes.push(key_value(value.bytes(), 0)?),
                _ => {}
            }
        }
        if may_be_ours(&found.name) && place.has(&found.name) {
            out.push_str(&record(&found, place));
            out.push('\n');
            if out.len() > MAX_MADE {
                return Err(too_much());
            }
        }
    }
    Ok(())
}

fn key_value(message: &[u8], depth: usize) -> Result<(Cow<'static, str>, Cow<'static, str>), Reason> {
    let (mut key, mut value) = (String::new(), "null".to_owned());
    for field in Fields::new(message) {
        match field? {
            (1, name) => key = text(name.bytes()),
            (2, any) => value = any_value(any.bytes(), depth)?,
            _ => {}
        }
    }
    Ok((key.into(), value.into()))
}

fn any_value(message: &[u8], depth: usize) -> Result<String, Reason> {
    if depth > MAX_DEPTH {
        return Ok(TOO_DEEP.to_owned());
    }
    // Of a choice the last field counts.
    let mut out = "null".to_owned();
    for field in Fields::new(message) {
        out = match field? {
            (1, value) => quoted(&text(value.bytes())),
            (2, value) => (value.number() != 0).to_string(),
            (3, value) => whole(value.number().cast_signed()),
            (4, value) => fraction(f64::from_bits(value.number())),
            (5, value) => {
                let mut list = Vec::new();
                for field in Fields::new(value.bytes()) {
                    if let (1, element) = field? {
                        list.push(any_value(element.bytes(), depth + 1)?);
                    }
                }
                format!("[{}]", list.join(","))
            }
            (6, value) => {
                let mut pairs = Vec::new();
                for field in Fields::new(value.bytes()) {
                    if let (1, element) = field? {
                        pairs.push(key_value(element.bytes(), depth + 1)?);
                    }
                }
                map(&pairs)
            }
            (7, Value::Bytes(bytes)) => quoted(&base64::engine::general_purpose::STANDARD.encode(bytes)),
            _ => out,
        };
    }
    Ok(out)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
