//! The envelope being filled: fields set in any order, for `event::parse`.
//!
//! Owns: which text stands in which field, the id, and the marks on what the source did not say itself. Not here:
//! whether a value may stand there; `event::parse` decides.

use crate::change::Change;
use crate::filled::{Filled, Place, comma};
use crate::moment::{self, Stamp};
use crate::object::{Object, Said, unescaped, unquoted};
use crate::{Context, Reason};
use event::json::write_string;
use event::parse::is_id;
use event::redact::Known;
use event::{Field, FieldMap, Kind};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// The one member of `attributes` that is ours and not the source's: what we added, and how the record came.
pub const MARKS: &str = "_indelible";

/// The mark of what is known of the sender's signature. The same record may come once with one and once by a key.
pub const SIGNATURE: &str = "signature";

/// The mark of a record that was not understood at first: the id of the one that it was kept as.
pub const KEPT: &str = "unparsed";

/// What the marks say of a time that was read in the configured zone.
const NO_ZONE: &str = "no zone in the source";

/// A record on its way from a native form to the envelope.
#[derive(Debug)]
pub struct Envelope<'a> {
    slots: FieldMap<Slot<'a>>,
    rest: Object<'a>,
    /// Envelope paths that were concluded, not said.
    inferred: Vec<&'static str>,
    /// Where the time is from, if not from the record.
    time_from: Option<&'static str>,
    shape: Option<&'static str>,
    twin: Option<String>,
    /// The id of the record that was kept because this one was not understood at first.
    kept_as: Option<String>,
    /// The name of what happened is in no catalogue.
    unknown: bool,
    /// The project whose event it is, where the record does not say it in its own place.
    project: Option<String>,
    /// Whether its sender's signature held.
    signature: Option<&'static str>,
    by_content: bool,
    change: Option<Change>,
    /// When what the record tells of began, where its own time is that of a later change.
    created: Option<String>,
    /// What the sessions that the record ends all at once have in common with it.
    ends: Vec<Cow<'static, str>>,
    /// The sessions that it ends and names, where they are several.
    sessions: Vec<String>,
}

#[derive(Debug, Clone)]
enum Slot<'a> {
    /// JSON text.
    Raw(Cow<'a, str>),
    /// A text still to be put in quotes.
    Text(Cow<'a, str>),
    Time(i64),
}

impl<'a> Envelope<'a> {
    /// An empty one of this source.
    pub fn new(source: impl Into<Cow<'a, str>>) -> Envelope<'a> {
        let mut out = Envelope {
            slots: FieldMap::default(),
            rest: Object::default(),
            inferred: Vec::new(),
            time_from: None,
            shape: None,
            twin: None,
            kept_as: None,
            unknown: false,
            project: None,
            signature: None,
            by_content: false,
            change: None,
            ends: Vec::new(),
            sessions: Vec::new(),
            created: None,
        };
        out.set(Field::Source, source);
        out
    }

    /// Whether a field has no value yet.
    pub fn is_empty(&self, field: Field) -> bool {
        !self.slots.has(field)
    }

    /// Sets a field to a text.
    pub fn set(&mut self, field: Field, text: impl Into<Cow<'a, str>>) {
        self.slots.set(field, Slot::Text(text.into()));
    }

    /// Sets a field to JSON text, which MUST be one sound value of the field's kind.
    pub fn set_raw(&mut self, field: Field, raw: impl Into<Cow<'a, str>>) {
        self.slots.set(field, Slot::Raw(raw.into()));
    }

    /// Moves a text of the native record into a field that is empty. What is no text, or an empty one, stays where it is.
    /// Tells whether it moved.
    pub fn take(&mut self, native: &mut Object<'a>, path: &str, field: Field) -> bool {
        self.is_empty(field) && self.set_said(field, native.take_text(path))
    }

    /// The same with a member whose name may have dots in it.
    pub fn take_member(&mut self, native: &mut Object<'a>, name: &str, field: Field) -> bool {
        self.is_empty(field) && self.set_said(field, native.take_member_text(name))
    }

    /// The same with a field that is empty, and gives what the text says.
    pub fn take_saying(&mut self, native: &mut Object<'a>, name: &str, field: Field) -> Option<Cow<'a, str>> {
        let said = native.take_member_text(name)?;
        let text = said.text();
        self.set_said(field, Some(said));
        text
    }

    fn set_said(&mut self, field: Field, said: Option<Said<'a>>) -> bool {
        let Some(said) = said else { return false };
        let slot = match said {
            Said::Raw(raw) => Slot::Raw(raw),
            // Read already, but for what is stored as something else than a text.
            Said::Plain(raw) if field.spec().kind == Kind::Text => Slot::Text(unquoted(raw).unwrap_or_default().into()),
            Said::Plain(raw) => Slot::Raw(raw.into()),
            Said::Text(text) => Slot::Text(text),
        };
        self.slots.set(field, slot);
        true
    }

    /// Fills an empty field with a text or a number that stays where it is: with a number because it is none any
    /// more in the field, with a text because it says more in its place.
    pub fn copy(&mut self, native: &mut Object<'_>, path: &str, field: Field) {
        if let Some(raw) = native.raw(path) {
            self.copy_raw(raw, field);
        }
    }

    /// The same with JSON text.
    pub fn copy_raw(&mut self, raw: &str, field: Field) {
        if self.is_empty(field) {
            self.copy_json(raw.to_owned(), field);
        }
    }

    /// The same with JSON text that lasts as long as the record's, or is made for this.
    pub fn copy_json(&mut self, raw: impl Into<Cow<'a, str>>, field: Field) {
        let raw = raw.into();
        if !self.is_empty(field) {
            return;
        }
        if raw.starts_with('"') && raw.len() > 2 {
            let plain = match &raw {
                Cow::Borrowed(raw) if field.spec().kind == Kind::Text => unescaped(raw),
                _ => None,
            };
            match plain {
                Some(text) => self.set(field, text),
                None => self.set_raw(field, raw),
            }
        } else if raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            self.set(field, raw);
        }
    }

    /// Moves the texts of a table of native paths and fields.
    pub fn take_all(&mut self, native: &mut Object<'a>, table: &[(&str, Field)]) {
        for (path, field) in table {
            self.take(native, path, *field);
        }
    }

    /// Moves texts of an object as a table of names says. Cheaper than [`take_all`](Self::take_all) where several come from one object
    /// inside of the record: that is looked for once.
    pub fn take_members(&mut self, object: &mut Object<'a>, table: &[(&str, Field)]) {
        for (name, field) in table {
            self.take_member(object, name, *field);
        }
    }

    /// Moves any JSON value but `null` into a field that holds JSON.
    pub fn take_json(&mut self, native: &mut Object<'a>, path: &str, field: Field) -> bool {
        if !self.is_empty(field) || native.raw(path).is_none_or(|raw| raw == "null") {
            return false;
        }
        native.take(path).map(|raw| self.slots.set(field, Slot::Raw(raw))).is_some()
    }

    /// Takes JSON that stands in a text in quotes, if it is sound; as text it stays where it is.
    pub fn take_quoted_json(&mut self, native: &mut Object<'a>, path: &str, field: Field) -> bool {
        native.text(path).is_some_and(|inside| self.take_decoded(native, path, inside, field))
    }

    /// The same where `inside`, the text at `path`, was looked at before.
    pub fn take_decoded(&mut self, native: &mut Object<'a>, path: &str, inside: Cow<'a, str>, field: Field) -> bool {
        if serde_json::from_str::<&serde_json::value::RawValue>(&inside).is_err() || inside.trim() == "null" {
            return false;
        }
        native.take(path);
        self.slots.set(field, Slot::Raw(inside));
        true
    }

    /// The time at `path`. It is taken away where `stamp` writes the very same; any other spelling stays in the
    /// attributes as well, so that it is not lost.
    ///
    /// # Errors
    /// Where there is a time that cannot be read. Where there is none the record's time will be that of its arrival, and
    /// is marked so.
    pub fn time(
        &mut self,
        native: &mut Object<'a>,
        path: &str,
        stamp: Stamp,
        context: &Context<'_>,
    ) -> Result<(), Reason> {
        let seen = native.take_if(path, |raw| {
            if raw == "null" || raw == "\"\"" {
                return (None, false);
            }
            match moment::read(raw, stamp, context.zone) {
                Some((at, zoned)) => (Some(Ok((at, zoned))), stamp.writes(at, raw)),
                None => (Some(Err(Reason::time(path, raw, stamp.wanted()))), false),
            }
        });
        let Some(read) = seen.flatten() else {
            self.no_time();
            return Ok(());
        };
        let (at, zoned) = read?;
        if !zoned {
            self.time_from = Some(NO_ZONE);
        }
        self.slots.set(Field::Time, Slot::Time(at));
        Ok(())
    }

    /// The text in a field, if it has one.
    pub fn text(&self, field: Field) -> Option<Cow<'_, str>> {
        match self.slots.get(field)? {
            Slot::Text(text) => Some(Cow::Borrowed(text.as_ref())),
            Slot::Raw(raw) => event::json::Reader::new(raw).string().ok(),
            Slot::Time(_) => None,
        }
    }

    /// Says that the record names no time: it will be that of its arrival, and is marked so.
    pub fn no_time(&mut self) {
        self.time_from = Some("arrival");
    }

    /// Sets the time to one that the record says of something else, and marks it so.
    pub fn infer_time(&mut self, at: i64) {
        self.slots.set(Field::Time, Slot::Time(at));
        self.time_from = None;
        self.inferred.push(Field::Time.spec().path);
    }

    /// The record's time, microseconds UTC, once it is set.
    pub fn at(&self) -> Option<i64> {
        match self.slots.get(Field::Time) {
            Some(Slot::Time(at)) => Some(*at),
            _ => None,
        }
    }

    /// Sets the time, microseconds UTC, to that of the log line the record came in; `zoned` where the line named its zone.
    pub fn set_line_time(&mut self, at: i64, zoned: bool) {
        self.time_from = (!zoned).then_some(NO_ZONE);
        self.slots.set(Field::Time, Slot::Time(at));
    }

    /// Sets a field that holds a time, microseconds UTC.
    pub fn set_time(&mut self, field: Field, at: i64) {
        self.slots.set(field, Slot::Time(at));
    }

    /// Moves the native event id to `id`. One that cannot be an id (too long, not printable) stays, and its hash becomes
    /// the id.
    pub fn id(&mut self, native: &mut Object<'a>, path: &str) {
        let Some(id) = native.text(path).filter(|id| !id.is_empty()) else { return };
        if is_id(&id) {
            self.take(native, path, Field::Id);
        } else {
            self.set(Field::Id, hash(&[id.as_bytes()]));
        }
    }

    /// Makes the id a hash of the whole record, for systems without event ids. The same id is then the same record.
    pub fn id_by_content(&mut self, text: &str) {
        self.by_content = true;
        self.set(Field::Id, hash(&[text.as_bytes()]));
    }

    /// The same of the parts that are its content, where the rest of it is not: the same id is then the same record, in whatever
    /// shape it comes.
    pub fn id_by_contents(&mut self, parts: &[&str]) {
        self.by_content = true;
        self.id_by(parts);
    }

    /// Makes the id a hash of what names the record: for systems whose ids count only within something else. The same id with other
    /// content is refused, as one that the system gave itself: a counter that begins anew must not lose what it counts.
    pub fn id_by(&mut self, parts: &[&str]) {
        self.set(Field::Id, hash_of(parts.iter().flat_map(|part| [part.as_bytes(), b"\0"])));
    }

    /// Whether the id is a hash of the record.
    pub fn by_content(&self) -> bool {
        self.by_content
    }

    /// Sets a field to JSON text that the source did not say, and marks it so.
    pub fn infer(&mut self, field: Field, raw: impl Into<Cow<'a, str>>) {
        self.set_raw(field, raw);
        self.inferred.push(field.spec().path);
    }

    /// Says what was before and what came of it, where the record has both value by value: names, and their JSON texts.
    pub fn states(&mut self, old: &[(String, String)], new: &[(String, String)]) {
        if old.is_empty() && new.is_empty() {
            return;
        }
        for (field, values) in [(Field::Old, old), (Field::New, new)] {
            let mut raw = String::from("{");
            for (name, value) in values {
                comma(&mut raw);
                write_string(&mut raw, name);
                raw.push(':');
                raw.push_str(value);
            }
            raw.push('}');
            self.infer(field, raw);
        }
    }

    /// Says what the record tells about the state of an entity.
    pub fn change(&mut self, change: Option<Change>) {
        self.change = change;
    }

    /// Takes that away.
    pub(crate) fn take_change(&mut self) -> Option<Change> {
        self.change.take()
    }

    /// Names which of a system's shapes this is, where the way back needs to know.
    pub fn shape(&mut self, shape: &'static str) {
        self.shape = Some(shape);
    }

    /// Names the record, by its id, that says the same in another of the system's shapes: one that is stored already, or what the
    /// other shape would be by itself where the record has both.
    pub fn twin(&mut self, id: String) {
        self.twin = Some(id);
    }

    /// The record that says the same in another shape, by its id, where it is known.
    pub fn twin_id(&self) -> Option<&str> {
        self.twin.as_deref()
    }

    /// Says that the record was not understood when it came, at `arrived` (microseconds UTC), and was kept under this id. What is
    /// made of it now is the same every time: where nothing names the record its text does, and its time is that of its arrival.
    pub fn kept_as(&mut self, id: &str, arrived: i64, text: &str) {
        self.kept_as = Some(id.to_owned());
        if self.is_empty(Field::Id) {
            self.id_by_content(text);
        }
        if self.is_empty(Field::Time) {
            self.no_time();
            self.slots.set(Field::Time, Slot::Time(arrived));
        }
    }

    /// Says that the record ends, all at once, every session that has the same in each of these places: a path of the envelope, or a
    /// JSON pointer into the attributes.
    pub fn ends(&mut self, places: impl IntoIterator<Item = impl Into<Cow<'static, str>>>) {
        self.ends = places.into_iter().map(Into::into).collect();
    }

    /// Says that the record ends these sessions, each by its id: the field has room for one.
    pub fn ends_each(&mut self, sessions: Vec<String>) {
        self.sessions = sessions;
    }

    /// Says when what the record tells of began (microseconds UTC), where the record's own time is that of a later change.
    pub fn created(&mut self, at: i64) {
        self.created = Some(event::time::format(at));
    }

    /// Says whether the name of what happened is in the catalogue of its system: one that is not is shown as unknown.
    pub fn known(&mut self, known: bool) {
        self.unknown = !known;
    }

    /// The same of a name that says how it ended: of one that is not known that is concluded, and marked so.
    pub fn known_with_outcome(&mut self, known: bool) {
        self.known(known);
        if !known {
            self.inferred.push(Field::Outcome.spec().path);
        }
    }

    /// Says whose event it is, where the record does not say it in its own place.
    pub fn project(&mut self, project: &str) {
        self.project = Some(project.to_owned());
    }

    /// Says what is known of its sender's signature, which is not kept itself.
    pub fn signature(&mut self, known: &'static str) {
        self.signature = Some(known);
    }

    /// What is left of the native record; it becomes `attributes`.
    pub fn rest(&mut self, native: Object<'a>) {
        self.rest = native;
    }

    /// Adds itself to those that are filled.
    ///
    /// # Errors
    /// Where a name that mattered stands twice, or the source uses the name of our own marks.
    pub fn fill(mut self, out: &mut Filled) -> Result<Place, Reason> {
        if self.rest.has(MARKS) {
            return Err(Reason::new("reserved_field", format!("`{MARKS}` is a name of ours; rename it in the source")));
        }
        if self.rest.ambiguous() {
            return Err(Reason::new("duplicate_key", "a name that decides what the record means stands in it twice"));
        }
        let place = out.begin();
        for field in self.slots.present().filter(|field| !matches!(field, Field::Attributes | Field::Redactions)) {
            match self.slots.get(field) {
                Some(Slot::Raw(raw)) => out.json(field, raw),
                Some(Slot::Text(text)) => out.text(field, text),
                Some(Slot::Time(at)) => out.time(field, *at),
                None => {}
            }
        }
        self.fill_attributes(out);
        Ok(out.end(place))
    }

    /// Appends the envelope's JSON text.
    ///
    /// # Errors
    /// As [`fill`](Self::fill).
    pub fn write(self, out: &mut String) -> Result<(), Reason> {
        let mut filled = Filled::default();
        let place = self.fill(&mut filled)?;
        filled.write(&place, out);
        Ok(())
    }

    fn fill_attributes(&self, out: &mut Filled) {
        // The server makes an id where there is none; the way back must know that it is not the source's.
        let id_from = self.is_empty(Field::Id).then_some("made");
        let marks = [
            ("created_at", self.created.as_deref()),
            ("id", id_from),
            ("project", self.project.as_deref()),
            ("shape", self.shape),
            (SIGNATURE, self.signature),
            ("time", self.time_from),
            ("twin", self.twin.as_deref()),
            ("unknown", self.unknown.then_some("action")),
            (KEPT, self.kept_as.as_deref()),
        ];
        let listed = !self.inferred.is_empty() || !self.ends.is_empty() || !self.sessions.is_empty();
        let marked = listed || marks.iter().any(|(_, value)| value.is_some());
        if !marked && self.rest.is_empty() {
            return;
        }
        out.object(Field::Attributes, |out, known| {
            out.push('{');
            self.rest.write_known(out, known);
            if marked {
                known.push(Known::Value(MARKS.len() as u32));
                self.write_marks(&marks, out);
            }
            out.push('}');
        });
    }

    fn write_marks(&self, marks: &[(&str, Option<&str>)], out: &mut String) {
        comma(out);
        out.push('"');
        out.push_str(MARKS);
        out.push_str("\":{");
        write_list("ends", self.ends.iter().map(AsRef::as_ref), out);
        write_list("inferred", self.inferred.iter().copied(), out);
        write_list("sessions", self.sessions.iter().map(String::as_str), out);
        for (name, value) in marks {
            if let Some(value) = value {
                comma(out);
                write_string(out, name);
                out.push(':');
                write_string(out, value);
            }
        }
        out.push('}');
    }
}

/// Appends a member that is a list of texts, unless the list is empty.
fn write_list<'t>(name: &str, texts: impl Iterator<Item = &'t str>, out: &mut String) {
    let mut texts = texts.peekable();
    if texts.peek().is_none() {
        return;
    }
    comma(out);
    write_string(out, name);
    out.push_str(":[");
    for text in texts {
        comma(out);
        write_string(out, text);
    }
    out.push(']');
}

/// SHA-256 in hex.
pub fn hash(parts: &[&[u8]]) -> String {
    hash_of(parts.iter().copied())
}

fn hash_of<'p>(parts: impl Iterator<Item = &'p [u8]>) -> String {
    let mut state = Sha256::new();
    parts.for_each(|part| state.update(part));
    let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' - 10 + half };
    let mut hex = [0; 64];
    for (byte, digits) in state.finalize().iter().zip(hex.chunks_exact_mut(2)) {
        digits.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    // Digits are UTF-8.
    std::str::from_utf8(&hex).unwrap_or_default().to_owned()
}

/// The text at an envelope path of one or two names, for the way back.
pub fn text_at<'v>(envelope: &'v serde_json::Value, path: &str) -> Option<&'v str> {
    path.split('.').try_fold(envelope, |value, name| value.get(name)).and_then(serde_json::Value::as_str)
}
