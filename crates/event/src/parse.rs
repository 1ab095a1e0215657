//! The envelope: JSON text in, validated, redacted, canonical stored form out, in one typed pass.
//!
//! Owns what a record may be (required fields, values, limits) and every message
//! about one that may not. Not here: splitting a body into records (`batch`), identity over time (the ledger's
//! matter), and the rules of redaction (`redact`).

use crate::diff;
use crate::encode::{put, put_time};
use crate::fields::{COUNT, FIELDS, Field, Kind};
use crate::json::{self, JsonError, Next, Reader};
use crate::redact::{Context, Redaction, Rules, add_mark, canonical};
use crate::time::{self, DAY};
use regex::Regex;
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

/// Largest record in stored form, after redaction.
pub const MAX_RECORD: usize = 1 << 20;
/// Longest id in bytes.
pub const MAX_ID: usize = 128;

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

#[derive(Debug, Clone, Default)]
enum Slot<'a> {
    #[default]
    Empty,
    Text(Cow<'a, str>),
    /// JSON as it stands in the source, not looked at yet.
    Raw(&'a str),
    List(Vec<Cow<'a, str>>),
    Time(i64),
    Bool(bool),
}

/// What a key at the top of the envelope is.
enum Top {
    Field(Field),
    /// An object of fields, as `(key, field)`.
    Group(&'static [(&'static str, Field)]),
    Tenant,
    Redactions,
    /// Set by the ledger, never by the sender.
    Reserved,
    /// Not of the envelope: kept in `attributes`.
    Unknown,
}

use Field as F;

#[inline]
fn top(key: &str) -> Top {
    use Top::{Field, Group};
    match key {
        "id" => Field(F::Id),
        "log" => Field(F::Log),
        "time" => Field(F::Time),
        "source" => Field(F::Source),
        "action" => Field(F::Action),
        "outcome" => Field(F::Outcome),
        "level" => Field(F::Level),
        "identifier" => Field(F::Identifier),
        "email" => Field(F::Email),
        "username" => Field(F::Username),
        "ip" => Field(F::Ip),
        "user_agent" => Field(F::UserAgent),
        "forwarder_ip" => Field(F::ForwarderIp),
        "forwarder_user_agent" => Field(F::ForwarderUserAgent),
        "request_id" => Field(F::RequestId),
        "trace_id" => Field(F::TraceId),
        "span_id" => Field(F::SpanId),
        "session_id" => Field(F::SessionId),
        "error_code" => Field(F::ErrorCode),
        "message" => Field(F::Message),
        "comments" => Field(F::Comments),
        "old" => Field(F::Old),
        "new" => Field(F::New),
        "diff" => Field(F::Diff),
        "irreversible" => Field(F::Irreversible),
        "attributes" => Field(F::Attributes),
        "actor" => Group(&[
            ("id", F::ActorId),
            ("type", F::ActorType),
            ("name", F::ActorName),
            ("email", F::ActorEmail),
            ("identity_id", F::ActorIdentityId),
        ]),
        "impersonator" => Group(&[("id", F::ImpersonatorId), ("name", F::ImpersonatorName)]),
        "client_actor" => Group(&[("id", F::ClientActorId), ("name", F::ClientActorName)]),
        "target" => Group(&[("id", F::TargetId), ("type", F::TargetType), ("name", F::TargetName)]),
        "subject" => Group(&[("id", F::SubjectId), ("type", F::SubjectType), ("name", F::SubjectName)]),
        "client" => Group(&[("id", F::ClientId), ("name", F::ClientName)]),
        "provider" => Group(&[("id", F::ProviderId), ("name", F::ProviderName)]),
        "job" => Group(&[
            ("id", F::JobId),
            ("name", F::JobName),
            ("type", F::JobType),
            ("status", F::JobStatus),
            ("stacktrace", F::JobStacktrace),
        ]),
        "notification" => Group(&[
            ("id", F::NotificationId),
            ("subject", F::NotificationSubject),
            ("recipient", F::NotificationRecipient),
            ("cc", F::NotificationCc),
            ("bcc", F::NotificationBcc),
            ("status", F::NotificationStatus),
            ("category", F::NotificationCategory),
            ("body", F::NotificationBody),
        ]),
        "session" => Group(&[
            ("id", F::SessionRefId),
            ("protocol", F::SessionProtocol),
            ("user_id", F::SessionUserId),
            ("status", F::SessionStatus),
            ("expires_at", F::SessionExpiresAt),
            ("claims", F::SessionClaims),
            ("scopes", F::SessionScopes),
        ]),
        "grant" => Group(&[
            ("id", F::GrantId),
            ("protocol", F::GrantProtocol),
            ("user_id", F::GrantUserId),
            ("status", F::GrantStatus),
            ("expires_at", F::GrantExpiresAt),
            ("claims", F::GrantClaims),
            ("scopes", F::GrantScopes),
        ]),
        "tenant" => Top::Tenant,
        "redactions" => Top::Redactions,
        "index" | "recorded_at" | "leaf_hash" => Top::Reserved,
        _ => Top::Unknown,
    }
}

/// The values a field is limited to.
fn allowed(field: Field) -> Option<&'static [&'static str]> {
    Some(match field {
        F::Log => &["audit", "event", "job", "notification", "session", "grant"],
        F::Outcome => &["success", "failure", "deny", "unknown"],
        F::Level => &["info", "warn", "error"],
        F::JobStatus => &["pending", "running", "success", "failed"],
        F::NotificationStatus => &["pending", "sent", "failed", "bounced"],
        F::SessionStatus | F::GrantStatus => &["active", "expired", "revoked"],
        _ => return None,
    })
}

struct Draft<'a> {
    slots: [Slot<'a>; COUNT],
    /// Members that the envelope does not know, to be kept in `attributes`.
    extras: Vec<(Cow<'a, str>, &'a str)>,
    redactions: Option<&'a str>,
    /// Which known keys were there, by [`Field`] or by [`group_bit`]: each may stand once.
    seen: u128,
}

/// The bit of a group, past those of the fields.
fn group_bit(key: &str) -> u32 {
    COUNT as u32 + GROUPS.iter().position(|g| *g == key).unwrap_or(GROUPS.len()) as u32
}

const GROUPS: [&str; 13] = [
    "actor",
    "impersonator",
    "client_actor",
    "target",
    "subject",
    "client",
    "provider",
    "job",
    "notification",
    "session",
    "grant",
    "tenant",
    "redactions",
];
const _: () = assert!(COUNT + GROUPS.len() < 128);

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
        let start = out.len();
        let result = self.parse_into(text, fresh_id, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn parse_into(
        &self,
        text: &str,
        fresh_id: &mut dyn FnMut() -> String,
        out: &mut Vec<u8>,
    ) -> Result<ValidEvent, Invalid> {
        let mut draft = self.read(text)?;
        let mut marks = Vec::new();
        let fresh = self.check(&mut draft, fresh_id)?;
        self.redact(&mut draft, &mut marks)?;
        let start = out.len();
        let mut event = write(&draft, &marks, out);
        event.fresh_id = fresh.0;
        event.fresh_time = fresh.1;
        let len = out.len() - start;
        if len > MAX_RECORD {
            return Err(Invalid::new(
                "record_too_large",
                "",
                format!(
                    "the record is {len} bytes after redaction, more than the limit of {MAX_RECORD}; shorten it or split it"
                ),
            ));
        }
        Ok(event)
    }

    fn read<'a>(&self, text: &'a str) -> Result<Draft<'a>, Invalid> {
        let mut draft = Draft { slots: [const { Slot::Empty }; COUNT], extras: Vec::new(), redactions: None, seen: 0 };
        let whole = |e| Invalid::json("", e);
        let mut r = Reader::new(text);
        if r.next_kind().map_err(whole)? != Next::Object {
            return Err(Invalid::new("wrong_type", "", "a record is a JSON object"));
        }
        r.open(b'{').map_err(whole)?;
        let mut first = true;
        while let Some(key) = r.key(first).map_err(whole)? {
            first = false;
            let top = top(&key);
            if matches!(top, Top::Group(_) | Top::Tenant | Top::Redactions) {
                draft.once("", group_bit(&key), &key)?;
            }
            match top {
                Top::Field(field) => draft.value(field, &mut r, 1)?,
                Top::Group(members) => draft.group(&key, members, &mut r)?,
                Top::Tenant => {
                    if r.next_kind().map_err(whole)? != Next::String || r.string().map_err(whole)? != self.tenant {
                        return Err(Invalid::new(
                            "tenant_mismatch",
                            "tenant",
                            format!(
                                "`tenant` is not `{}`, which this address belongs to; leave it out or correct it",
                                self.tenant
                            ),
                        ));
                    }
                }
                Top::Redactions => {
                    let raw = r.skip(1).map_err(|e| Invalid::json("redactions", e))?;
                    if !raw.starts_with('[') && raw != "null" {
                        return Err(wrong_type("redactions", "a list"));
                    }
                    draft.redactions = (raw != "null").then_some(raw);
                }
                Top::Reserved => {
                    return Err(Invalid::new(
                        "reserved_field",
                        &key,
                        format!("`{key}` is set by the ledger; leave it out"),
                    ));
                }
                Top::Unknown => {
                    let raw = r.skip(1).map_err(|e| Invalid::json(&key, e))?;
                    draft.extras.push((key, raw));
                }
            }
        }
        r.end().map_err(whole)?;
        Ok(draft)
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
                draft.slots[F::Id as usize] = Slot::Text(Cow::Owned(fresh_id()));
                true
            }
            Some(id) if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(|b| (0x20..0x7f).contains(&b)) => {
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
        let fresh_time = match draft.slots[F::Time as usize] {
            Slot::Time(at) if at > self.now.saturating_add(DAY) => {
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
            Slot::Time(_) => false,
            _ => {
                draft.slots[F::Time as usize] = Slot::Time(self.now);
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
    fn redact(&self, draft: &mut Draft<'_>, marks: &mut Vec<Redaction>) -> Result<(), Invalid> {
        let context =
            Context::of(draft.text(F::Action).unwrap_or_default(), draft.text(F::TargetType).unwrap_or_default());
        let attributes = draft.attributes()?;
        let states = (draft.raw(F::Old), draft.raw(F::New));
        for spec in FIELDS {
            let slot = &mut draft.slots[spec.field as usize];
            match slot {
                Slot::Empty | Slot::Time(_) | Slot::Bool(_) => {}
                Slot::Text(_) if matches!(spec.field, F::Id | F::Log | F::Outcome | F::Level) => {}
                Slot::Text(text) => self.redact_text(spec.path, spec.field, text, marks),
                Slot::List(list) => {
                    for (i, text) in list.iter_mut().enumerate() {
                        self.redact_text(&format!("{}.{i}", spec.path), spec.field, text, marks);
                    }
                }
                Slot::Raw(raw) => {
                    let raw = if spec.field == F::Attributes { attributes.as_deref().unwrap_or(raw) } else { raw };
                    let depth = 1 + spec.path.matches('.').count();
                    let mut json = String::with_capacity(raw.len());
                    canonical(raw, &pointer(spec.path), depth, context, self.rules, marks, &mut json)
                        .map_err(|e| Invalid::json(spec.path, e))?;
                    *slot = Slot::Text(Cow::Owned(json));
                }
            }
        }
        if let Some(raw) = draft.redactions {
            let mut json = String::new();
            canonical(raw, "/redactions", 1, context, self.rules, &mut Vec::new(), &mut json)
                .map_err(|e| Invalid::json("redactions", e))?;
            draft.slots[F::Redactions as usize] = Slot::Text(Cow::Owned(json));
        }
        if let ((Some(old), Some(new)), Slot::Empty) = (states, &draft.slots[F::Diff as usize])
            && let (Some(o), Some(n)) = (draft.text(F::Old), draft.text(F::New))
        {
            let changed = Unredacted::new(old, new, marks);
            let diff = diff::diff_with(o, n, &|at| changed.differs(at))
                .map_err(|_| Invalid::new("invalid_json", "old", "`old` and `new` could not be compared"))?;
            if let Some(diff) = diff {
                draft.slots[F::Diff as usize] = Slot::Text(Cow::Owned(diff.json));
            }
        }
        Ok(())
    }

    fn redact_text(&self, path: &str, field: Field, text: &mut Cow<'_, str>, marks: &mut Vec<Redaction>) {
        let mut mark = |rule| add_mark(marks, pointer(path), rule);
        if let Some(clean) = self.rules.text(text, &mut mark) {
            *text = Cow::Owned(clean);
        }
        if matches!(field, F::NotificationBody | F::NotificationSubject)
            && let Some(clean) = mask_codes(text)
        {
            *text = Cow::Owned(clean);
            mark(Cow::Borrowed("otp"));
        }
    }
}

/// One-time codes in a message to a person: 4 to 8 digits shortly after the word that announces them.
fn mask_codes(text: &str) -> Option<String> {
    static CODE: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern")]
        Regex::new(r"(?i)\b(code|otp|pin|passcode)\b([^0-9]{0,24})[0-9]{4,8}\b").expect("constant pattern")
    });
    match CODE.replace_all(text, "${1}${2}***") {
        Cow::Borrowed(_) => None,
        Cow::Owned(masked) => Some(masked),
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

fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

fn wrong_type(path: &str, wanted: &str) -> Invalid {
    Invalid::new("wrong_type", path, format!("`{path}` is {wanted}"))
}

fn duplicate(group: &str, key: &str) -> Invalid {
    let shown: String = key.chars().take(60).collect();
    Invalid::new("duplicate_key", group, format!("the key {shown:?} stands twice in one object; send it once"))
}

impl<'a> Draft<'a> {
    fn text(&self, field: Field) -> Option<&str> {
        match &self.slots[field as usize] {
            Slot::Text(t) => Some(t.as_ref()).filter(|t| !t.is_empty() || field == F::Id),
            _ => None,
        }
    }

    fn raw(&self, field: Field) -> Option<&'a str> {
        match self.slots[field as usize] {
            Slot::Raw(raw) => Some(raw),
            _ => None,
        }
    }

    fn once(&mut self, field: &str, bit: u32, key: &str) -> Result<(), Invalid> {
        let bit = 1u128 << bit;
        if self.seen & bit != 0 {
            return Err(duplicate(field, key));
        }
        self.seen |= bit;
        Ok(())
    }

    fn group(
        &mut self,
        group: &str,
        members: &'static [(&'static str, Field)],
        r: &mut Reader<'a>,
    ) -> Result<(), Invalid> {
        let fail = |e| Invalid::json(group, e);
        match r.next_kind().map_err(fail)? {
            Next::Null => return r.null().map_err(fail),
            Next::Object => {}
            other => {
                return Err(Invalid::new("wrong_type", group, format!("`{group}` is an object, got {}", other.name())));
            }
        }
        r.open(b'{').map_err(fail)?;
        let mut first = true;
        while let Some(key) = r.key(first).map_err(fail)? {
            first = false;
            match members.iter().find(|m| m.0 == key) {
                Some((_, field)) => self.value(*field, r, 2)?,
                None => {
                    let raw = r.skip(2).map_err(fail)?;
                    self.extras.push((Cow::Owned(format!("{group}.{key}")), raw));
                }
            }
        }
        Ok(())
    }

    fn value(&mut self, field: Field, r: &mut Reader<'a>, depth: usize) -> Result<(), Invalid> {
        let spec = field.spec();
        let fail = |e| Invalid::json(spec.path, e);
        self.once(spec.path, field as u32, spec.path)?;
        let kind = r.next_kind().map_err(fail)?;
        if kind == Next::Null {
            return r.null().map_err(fail);
        }
        self.slots[field as usize] = match (spec.kind, kind) {
            (Kind::Text, Next::String) => Slot::Text(r.string().map_err(fail)?),
            (Kind::Text, other) => return Err(wrong_type(spec.path, &format!("text in quotes, got {}", other.name()))),
            (Kind::Time, Next::String) => {
                let text = r.string().map_err(fail)?;
                let at = time::parse(&text).ok_or_else(|| {
                    Invalid::new(
                        "invalid_time",
                        spec.path,
                        format!("`{}` is not an RFC 3339 time such as 2026-11-20T12:00:00.123456Z", spec.path),
                    )
                })?;
                Slot::Time(at)
            }
            (Kind::Time, other) => {
                return Err(wrong_type(
                    spec.path,
                    &format!("an RFC 3339 time in quotes such as \"2026-11-20T12:00:00Z\", got {}", other.name()),
                ));
            }
            (Kind::Bool, Next::Bool) => Slot::Bool(r.boolean().map_err(fail)?),
            (Kind::Bool, other) => return Err(wrong_type(spec.path, &format!("true or false, got {}", other.name()))),
            (Kind::List, Next::String) => Slot::List(vec![r.string().map_err(fail)?]),
            (Kind::List, Next::Array) => {
                r.open(b'[').map_err(fail)?;
                let mut list = Vec::new();
                while r.element(list.is_empty()).map_err(fail)? {
                    if r.next_kind().map_err(fail)? != Next::String {
                        return Err(wrong_type(spec.path, "a list of texts"));
                    }
                    list.push(r.string().map_err(fail)?);
                }
                Slot::List(list)
            }
            (Kind::List, other) => {
                return Err(wrong_type(spec.path, &format!("a text or a list of texts, got {}", other.name())));
            }
            (Kind::Json, other) => {
                if field == F::Attributes && other != Next::Object {
                    return Err(wrong_type(spec.path, &format!("an object, got {}", other.name())));
                }
                Slot::Raw(r.skip(depth).map_err(fail)?)
            }
        };
        Ok(())
    }

    /// The attributes with everything the envelope does not know added, as JSON text not yet checked.
    /// A name that stands in both is found as a duplicate key by the pass that checks it.
    fn attributes(&mut self) -> Result<Option<String>, Invalid> {
        if self.extras.is_empty() {
            return Ok(None);
        }
        let given = self.raw(F::Attributes).unwrap_or("{}");
        let inside = given.get(1..).unwrap_or("}").trim_start();
        let mut all =
            String::with_capacity(given.len() + self.extras.iter().map(|(k, v)| k.len() + v.len() + 8).sum::<usize>());
        all.push('{');
        for (i, (key, raw)) in self.extras.iter().enumerate() {
            if i > 0 {
                all.push(',');
            }
            json::write_string(&mut all, key);
            all.push(':');
            all.push_str(raw);
        }
        if !inside.starts_with('}') {
            all.push(',');
        }
        all.push_str(inside);
        if self.raw(F::Attributes).is_none() {
            self.slots[F::Attributes as usize] = Slot::Raw("{}");
        }
        Ok(Some(all))
    }
}

/// Appends the stored form.
fn write(draft: &Draft<'_>, marks: &[Redaction], out: &mut Vec<u8>) -> ValidEvent {
    let start = out.len();
    let mut id = 0..0;
    let mut time = 0;
    for spec in FIELDS {
        let field = spec.field;
        match &draft.slots[field as usize] {
            Slot::Empty if field == F::Redactions && !marks.is_empty() => {
                put(out, field, marks_json(None, marks).as_bytes());
            }
            Slot::Text(given) if field == F::Redactions && !marks.is_empty() => {
                put(out, field, marks_json(Some(given), marks).as_bytes());
            }
            Slot::Empty | Slot::Raw(_) => {}
            Slot::Text(text) => {
                if field == F::Id {
                    let at = out.len() + crate::encode::FIELD_HEADER;
                    id = at..at + text.len();
                }
                put(out, field, text.as_bytes());
            }
            Slot::Time(at) => {
                if field == F::Time {
                    time = *at;
                }
                put_time(out, field, *at);
            }
            Slot::Bool(b) => put(out, field, &[u8::from(*b)]),
            Slot::List(list) => list.iter().for_each(|text| put(out, field, text.as_bytes())),
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
