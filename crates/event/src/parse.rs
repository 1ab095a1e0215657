//! The envelope: JSON text in, validated, redacted, canonical stored form out, in one typed pass.
//!
//! Owns what a record may be (required fields, values, limits) and every message
//! about one that may not. Not here: splitting a body into records (`batch`), identity over time (the ledger's
//! matter), and the rules of redaction (`redact`).

use crate::diff;
use crate::encode::{put, put_time};
use crate::fields::Field;
use crate::json::{self, JsonError};
use crate::redact::{Canonical, Context, Known, Redaction, Rules, add_mark, notice, pointer};
use crate::size;
use crate::time::{self, DAY};
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

mod draft;
use Field as F;
use draft::{DEPTHS, Draft, Slot};

/// Largest record in stored form, after redaction.
pub const MAX_RECORD: usize = 1 << 20;
/// Longest id in bytes.
pub const MAX_ID: usize = 128;

/// Whether a text may be an id: printable ASCII, not too long.
pub fn is_id(text: &str) -> bool {
    // All of it at once: nearly every id is one.
    let printable = || text.bytes().fold(true, |all, b| all & (0x20..0x7f).contains(&b));
    (1..=MAX_ID).contains(&text.len()) && printable()
}

/// Why a record was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Invalid {
    /// Stable code for programs.
    pub code: &'static str,
    /// Envelope path of the field, empty for the record as a whole.
    pub field: String,
    /// What is wrong, the limit, and what to do. Never carries a value that could be a secret.
    pub detail: String,
}

impl Invalid {
    fn new(code: &'static str, field: &str, detail: impl Into<String>) -> Self {
        Self { code, field: field.to_owned(), detail: detail.into() }
    }

    fn json(field: &str, e: JsonError) -> Self {
        let detail = if field.is_empty() { e.to_string() } else { format!("`{field}`: {e}") };
        Self::new(e.code, field, detail)
    }
}

/// A record that passed: where it lies in the buffer it was written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidEvent {
    /// The stored form.
    pub row: Range<usize>,
    /// The id's bytes, inside `row`.
    pub id: Range<usize>,
    /// When it happened, microseconds UTC.
    pub time: i64,
    /// The sender gave no id: it cannot be a repetition.
    pub fresh_id: bool,
    /// The sender gave no time: a repetition is compared without it.
    pub fresh_time: bool,
}

/// A field's value as another reader than this one's found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// JSON text, not looked at yet.
    Json(&'a str),
    /// The same of an object, with what is known of its members.
    Object(&'a str, &'a [Known]),
    /// A text, decoded.
    Text(&'a str),
    /// Microseconds UTC.
    Time(i64),
}

/// What the records of one request are checked against.
#[derive(Debug)]
pub struct Parser<'r> {
    /// The tenant's redaction rules.
    pub rules: &'r Rules,
    /// The tenant's name; a record that names another is refused.
    pub tenant: &'r str,
    /// The caller's clock, microseconds UTC.
    pub now: i64,
}

/// The values a field is limited to.
pub fn allowed(field: Field) -> Option<&'static [&'static str]> {
    Some(match field {
        F::Log => &["audit", "event", "job", "notification", "session", "grant"],
        F::Outcome => &["success", "failure", "deny", "unknown"],
        F::Level => &["info", "warn", "error"],
        F::JobStatus => &["pending", "running", "success", "failed", "cancelled"],
        F::NotificationStatus => &["pending", "sent", "failed", "bounced"],
        F::SessionStatus | F::GrantStatus => &["active", "expired", "revoked"],
        _ => return None,
    })
}

impl Parser<'_> {
    /// Checks one record and appends its stored form to `out`; on an error `out` is as before.
    ///
    /// `fresh_id` makes an id for a record without one.
    ///
    /// # Errors
    /// [`Invalid`] naming the field, the limit and what to do.
    pub fn parse(
        &self,
        text: &str,
        fresh_id: &mut dyn FnMut() -> String,
        out: &mut Vec<u8>,
    ) -> Result<ValidEvent, Invalid> {
        self.finish(Draft::read(text, self.tenant)?, fresh_id, out)
    }

    /// Checks one record whose fields were found already, each once, and appends its stored form to `out`: the very same that
    /// [`parse`](Self::parse) makes of a text with these fields. `None`, with `out` as before, where anything about them is not
    /// in order: which it is, and what to do, `parse` says of the text.
    pub fn take<'f>(
        &self,
        fields: impl Iterator<Item = (Field, Found<'f>)>,
        fresh_id: &mut dyn FnMut() -> String,
        out: &mut Vec<u8>,
    ) -> Option<ValidEvent> {
        self.finish(Draft::of(fields)?, fresh_id, out).ok()
    }

    fn finish(
        &self,
        draft: Draft<'_>,
        fresh_id: &mut dyn FnMut() -> String,
        out: &mut Vec<u8>,
    ) -> Result<ValidEvent, Invalid> {
        let start = out.len();
        let result = self.finish_into(draft, fresh_id, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn finish_into(
        &self,
        mut draft: Draft<'_>,
        fresh_id: &mut dyn FnMut() -> String,
        out: &mut Vec<u8>,
    ) -> Result<ValidEvent, Invalid> {
        let mut marks = Vec::new();
        let fresh = self.check(&mut draft, fresh_id)?;
        let derived = self.redact(&mut draft, &mut marks)?;
        let given = draft.text(F::Redactions).map(str::to_owned);
        let start = out.len();
        let mut event = write_marked(&mut draft, given.as_deref(), &marks, out);
        let mut len = out.len() - start;
        if len > MAX_RECORD && derived {
            // What was sent may fit without what was made of it, and both states are there to be compared.
            out.truncate(start);
            draft.unset(F::Diff);
            marks.retain(|mark| mark.pointer != pointer("diff"));
            add_mark(&mut marks, pointer("diff"), Cow::Borrowed("too_large"));
            event = write_marked(&mut draft, given.as_deref(), &marks, out);
            len = out.len() - start;
        }
        event.fresh_id = fresh.0;
        event.fresh_time = fresh.1;
        if len > MAX_RECORD {
            return Err(Invalid::new(
                "record_too_large",
                "",
                format!(
                    "the record is {len} bytes after redaction, more than the limit of {}; shorten it or split it",
                    size::in_words(MAX_RECORD)
                ),
            ));
        }
        Ok(event)
    }

    /// Checks values and fills in what the sender left out. Tells whether id and time are ours.
    fn check(&self, draft: &mut Draft<'_>, fresh_id: &mut dyn FnMut() -> String) -> Result<(bool, bool), Invalid> {
        if draft.text(F::Log).is_none() {
            return Err(Invalid::new(
                "missing_field",
                "log",
                "`log` is missing; it is one of audit, event, job, notification, session, grant",
            ));
        }
        for field in
            [F::Log, F::Outcome, F::Level, F::JobStatus, F::NotificationStatus, F::SessionStatus, F::GrantStatus]
        {
            if let (Some(value), Some(allowed)) = (draft.text(field), allowed(field))
                && !allowed.contains(&value)
            {
                let shown = self.shown(value);
                let path = field.spec().path;
                return Err(Invalid::new(
                    "unknown_value",
                    path,
                    format!("`{path}` is {shown:?}; it is one of {}", allowed.join(", ")),
                ));
            }
        }
        if matches!(draft.text(F::Log), Some("audit" | "event")) && draft.text(F::Action).is_none() {
            return Err(Invalid::new(
                "missing_field",
                "action",
                "`action` is missing; an audit or event record says what happened",
            ));
        }
        let fresh_id = match draft.text(F::Id) {
            None => {
                draft.set(F::Id, Slot::Text(Cow::Owned(fresh_id())));
                true
            }
            Some(id) if !is_id(id) => {
                return Err(Invalid::new(
                    "invalid_id",
                    "id",
                    format!("`id` is {} bytes; it is 1 to {MAX_ID} printable ASCII characters", id.len()),
                ));
            }
            Some(id) if self.rules.text(id, &mut |_| {}).is_some() => {
                return Err(Invalid::new(
                    "secret_in_id",
                    "id",
                    "`id` looks like a token or password; an id is stored in clear, use another",
                ));
            }
            Some(_) => false,
        };
        let fresh_time = match draft.get(F::Time).cloned() {
            Some(Slot::Time(at)) if at > self.now.saturating_add(DAY) => {
                return Err(Invalid::new(
                    "time_in_future",
                    "time",
                    format!(
                        "`time` is {}, more than 24 hours ahead of the server's clock ({}); check the sender's clock",
                        time::format(at),
                        time::format(self.now)
                    ),
                ));
            }
            Some(_) => false,
            None => {
                draft.set(F::Time, Slot::Time(self.now));
                true
            }
        };
        Ok((fresh_id, fresh_time))
    }

    /// A refused value as an error may quote it: short, and without what redaction would remove.
    fn shown(&self, value: &str) -> String {
        let clean = self.rules.text(value, &mut |_| {});
        clean.as_deref().unwrap_or(value).chars().take(40).collect()
    }

    /// Redacts every text and makes every JSON value canonical.
    /// Takes secrets out and derives the difference. Whether there is one now that was not sent.
    fn redact(&self, draft: &mut Draft<'_>, marks: &mut Vec<Redaction>) -> Result<bool, Invalid> {
        let context =
            Context::of(draft.text(F::Action).unwrap_or_default(), draft.text(F::TargetType).unwrap_or_default());
        let attributes = draft.attributes()?;
        let states = (draft.raw(F::Old), draft.raw(F::New));
        for field in draft.present() {
            let spec = field.spec();
            let depth = usize::from(DEPTHS[field as usize]);
            let how = Canonical { path: spec.path, depth, context, rules: self.rules };
            match draft.get_mut(field) {
                None | Some(Slot::Time(_) | Slot::Bool(_)) => {}
                Some(Slot::Text(_)) if matches!(field, F::Id | F::Log | F::Outcome | F::Level) => {}
                Some(Slot::Text(text)) => Self::redact_text(&how, field, text, marks),
                Some(Slot::List(list)) => {
                    for (i, text) in list.iter_mut().enumerate() {
                        let path = format!("{}.{i}", spec.path);
                        Self::redact_text(&Canonical { path: &path, ..how }, field, text, marks);
                    }
                }
                Some(Slot::Raw(raw)) => {
                    let raw = if field == F::Attributes { attributes.as_deref().unwrap_or(raw) } else { raw };
                    let mut json = String::with_capacity(raw.len());
                    let known = if attributes.is_none() && field == F::Attributes { draft.known } else { &[] };
                    let written = match known {
                        [] => how.write(raw, marks, &mut json),
                        known => how.write_known(raw, known, marks, &mut json),
                    };
                    written.map_err(|e| Invalid::json(spec.path, e))?;
                    draft.set(field, Slot::Text(Cow::Owned(json)));
                }
            }
        }
        if let Some(raw) = draft.redactions {
            let mut json = String::new();
            let how = Canonical { path: "redactions", depth: 1, context, rules: self.rules };
            how.write(raw, &mut Vec::new(), &mut json).map_err(|e| Invalid::json("redactions", e))?;
            draft.set(F::Redactions, Slot::Text(Cow::Owned(json)));
        }
        if let ((Some(old), Some(new)), None) = (states, draft.get(F::Diff))
            && let (Some(o), Some(n)) = (draft.text(F::Old), draft.text(F::New))
        {
            let changed = Unredacted::new(old, new, marks);
            let diff = diff::diff_with(o, n, &|at| changed.differs(at))
                .map_err(|_| Invalid::new("invalid_json", "old", "`old` and `new` could not be compared"))?;
            if let Some(diff) = diff {
                if diff.positional {
                    // Said where the record says what else was done to it on its way in.
                    add_mark(marks, pointer("diff"), Cow::Borrowed("positional_arrays"));
                }
                draft.set(F::Diff, Slot::Text(Cow::Owned(diff.json)));
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn redact_text(how: &Canonical<'_>, field: Field, text: &mut Cow<'_, str>, marks: &mut Vec<Redaction>) {
        let to_people = matches!(field, F::NotificationBody | F::NotificationSubject);
        if !to_people && how.harmless(text) {
            return;
        }
        let mut mark = |rule| add_mark(marks, pointer(how.path), rule);
        // First, as it knows how far a code goes: "493 817".
        if to_people && let Some(clean) = notice::scrub(text, &mut mark) {
            *text = Cow::Owned(clean);
        }
        if let Some(clean) = how.text(text, &mut mark) {
            *text = Cow::Owned(clean);
        }
    }
}

/// The states before redaction, consulted only where both sides were redacted at the same place: whether
/// what was there really changed.
struct Unredacted(Option<(serde_json::Value, serde_json::Value, HashSet<String>)>);

impl Unredacted {
    fn new(old: &str, new: &str, marks: &[Redaction]) -> Self {
        let within = |side: &str| -> HashSet<String> {
            marks
                .iter()
                .filter_map(|m| m.pointer.strip_prefix(side))
                .filter(|p| p.starts_with('/'))
                .map(str::to_owned)
                .collect()
        };
        let both: HashSet<String> = within("/old").intersection(&within("/new")).cloned().collect();
        if both.is_empty() {
            return Self(None);
        }
        Self(serde_json::from_str(old).ok().zip(serde_json::from_str(new).ok()).map(|(o, n)| (o, n, both)))
    }

    fn differs(&self, pointer: &str) -> bool {
        self.0
            .as_ref()
            .is_some_and(|(old, new, both)| both.contains(pointer) && old.pointer(pointer) != new.pointer(pointer))
    }
}

fn wrong_type(path: &str, wanted: &str) -> Invalid {
    Invalid::new("wrong_type", path, format!("`{path}` is {wanted}"))
}

/// Appends the stored form, with what was done to the record beside what the sender said of that.
fn write_marked(draft: &mut Draft<'_>, given: Option<&str>, marks: &[Redaction], out: &mut Vec<u8>) -> ValidEvent {
    if !marks.is_empty() {
        draft.set(F::Redactions, Slot::Text(Cow::Owned(marks_json(given, marks))));
    }
    write(draft, out)
}

/// Appends the stored form.
fn write(draft: &Draft<'_>, out: &mut Vec<u8>) -> ValidEvent {
    let start = out.len();
    let mut id = 0..0;
    let mut time = 0;
    for field in draft.present() {
        match draft.get(field) {
            None | Some(Slot::Raw(_)) => {}
            Some(Slot::Text(text)) => {
                if field == F::Id {
                    let at = out.len() + crate::encode::FIELD_HEADER;
                    id = at..at + text.len();
                }
                put(out, field, text.as_bytes());
            }
            Some(Slot::Time(at)) => {
                if field == F::Time {
                    time = *at;
                }
                put_time(out, field, *at);
            }
            Some(Slot::Bool(b)) => put(out, field, &[u8::from(*b)]),
            Some(Slot::List(list)) => list.iter().for_each(|text| put(out, field, text.as_bytes())),
        }
    }
    ValidEvent { row: start..out.len(), id, time, fresh_id: false, fresh_time: false }
}

/// The redactions as canonical JSON, after those the sender had made already.
fn marks_json(given: Option<&str>, marks: &[Redaction]) -> String {
    let mut out = given.and_then(|g| g.strip_suffix(']')).unwrap_or("[").to_owned();
    for mark in marks {
        if !out.ends_with('[') {
            out.push(',');
        }
        out.push_str("{\"pointer\":");
        json::write_string(&mut out, &mark.pointer);
        out.push_str(",\"rule\":");
        json::write_string(&mut out, &mark.rule);
        out.push('}');
    }
    out.push(']');
    out
}

#[cfg(test)]
mod tests;
