//! A record's fields as its text has them: read once, nothing decided yet.
//!
//! Owns which key is which field, and the kinds of values each takes. Not here: which values a field may have,
//! what is filled in, and what is removed (`super`).

use super::{Found, Invalid, wrong_type};
use crate::field_map::{FieldMap, FieldSet, Present};
use crate::fields::{COUNT, FIELDS, Field, Kind};
use crate::json::{self, JsonError, Next, Reader};
use crate::redact::Known;
use crate::time;
use Field as F;
use std::borrow::Cow;
use std::ops::Range;

/// A field's value.
#[derive(Debug, Clone)]
pub(super) enum Slot<'a> {
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

/// A record being read.
pub(super) struct Draft<'a> {
    values: FieldMap<Slot<'a>>,
    /// Members that the envelope does not know, to be kept in `attributes`.
    extras: Vec<(Cow<'a, str>, &'a str)>,
    /// What is known of the members of the attributes; nothing of most.
    pub known: &'a [Known],
    /// What the sender says it had removed.
    pub redactions: Option<&'a str>,
    /// Which known keys were there, by [`Field`] or by [`group_bit`]: each may stand once.
    seen: FieldSet,
}

/// How deep the value of each field stands in a record's text: the members of a group one deeper.
pub(super) const DEPTHS: [u8; COUNT] = {
    let mut depths = [1; COUNT];
    let mut field = 0;
    while field < COUNT {
        let path = FIELDS[field].path.as_bytes();
        let mut at = 0;
        while at < path.len() {
            if path[at] == b'.' {
                depths[field] += 1;
            }
            at += 1;
        }
        field += 1;
    }
    depths
};

/// Times that their text gives back: the years 1 to 9999.
const TIMES: Range<i64> = -62_135_596_800_000_000..253_402_300_800_000_000;

/// An error of the record as a whole.
fn whole(e: JsonError) -> Invalid {
    Invalid::json("", e)
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

impl<'a> Draft<'a> {
    fn new() -> Draft<'a> {
        Draft {
            values: FieldMap::default(),
            extras: Vec::new(),
            known: &[],
            redactions: None,
            seen: FieldSet::default(),
        }
    }

    /// Takes fields that were found elsewhere; `None` where any of them is not as its place in a record's text has to be, or
    /// cannot be told to be.
    pub fn of(fields: impl Iterator<Item = (Field, Found<'a>)>) -> Option<Draft<'a>> {
        let mut draft = Draft::new();
        for (field, found) in fields {
            let found = match found {
                Found::Object(raw, known) => {
                    if field == F::Attributes {
                        draft.known = known;
                    }
                    Found::Json(raw)
                }
                found => found,
            };
            match (found, field.spec().kind) {
                // What stands there is said by whoever removed something, and read as part of a text only.
                _ if field == F::Redactions => return None,
                // The pass that makes it canonical looks at all of it, and finds what is wrong, its depth too.
                (Found::Json(raw), Kind::Json)
                    if raw.starts_with('{') || raw.starts_with('[') && field != F::Attributes =>
                {
                    draft.seen.insert(field as usize).then_some(())?;
                    draft.set(field, Slot::Raw(raw));
                }
                (Found::Json(raw), _) => {
                    let mut r = Reader::new(raw);
                    draft
                        .value(field, &mut r, DEPTHS[field as usize].into())
                        .and_then(|()| r.end().map_err(whole))
                        .ok()?;
                }
                (Found::Text(text), Kind::Text) if !json::has_nul(text) => {
                    draft.seen.insert(field as usize).then_some(())?;
                    draft.set(field, Slot::Text(Cow::Borrowed(text)));
                }
                (Found::Time(at), Kind::Time) if TIMES.contains(&at) => {
                    draft.seen.insert(field as usize).then_some(())?;
                    draft.set(field, Slot::Time(at));
                }
                _ => return None,
            }
        }
        Some(draft)
    }

    /// Reads a record's text into its fields; `tenant` is whose it must be, if it says so.
    pub fn read(text: &'a str, tenant: &str) -> Result<Draft<'a>, Invalid> {
        let mut draft = Draft::new();
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
                    if r.next_kind().map_err(whole)? != Next::String || r.string().map_err(whole)? != tenant {
                        return Err(Invalid::new(
                            "tenant_mismatch",
                            "tenant",
                            format!(
                                "`tenant` is not `{}`, which this address belongs to; leave it out or correct it",
                                tenant
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

    /// A field's value.
    pub fn get(&self, field: Field) -> Option<&Slot<'a>> {
        self.values.get(field)
    }

    /// As [`get`](Self::get), to be changed.
    pub fn get_mut(&mut self, field: Field) -> Option<&mut Slot<'a>> {
        self.values.get_mut(field)
    }

    /// Gives a field a value.
    #[inline]
    pub fn set(&mut self, field: Field, value: Slot<'a>) {
        self.values.set(field, value);
    }

    /// Takes a field's value away.
    pub fn unset(&mut self, field: Field) {
        self.values.unset(field);
    }

    /// The fields that have a value, in stored order.
    pub fn present(&self) -> Present {
        self.values.present()
    }

    /// A text that is not empty. (An empty id is a value: it is refused.)
    pub fn text(&self, field: Field) -> Option<&str> {
        match self.get(field) {
            Some(Slot::Text(t)) => Some(t.as_ref()).filter(|t| !t.is_empty() || field == F::Id),
            _ => None,
        }
    }

    /// JSON not looked at yet.
    pub fn raw(&self, field: Field) -> Option<&'a str> {
        match self.get(field) {
            Some(Slot::Raw(raw)) => Some(raw),
            _ => None,
        }
    }

    fn once(&mut self, field: &str, bit: u32, key: &str) -> Result<(), Invalid> {
        if self.seen.insert(bit as usize) { Ok(()) } else { Err(duplicate(field, key)) }
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
        let value = match (spec.kind, kind) {
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
        self.set(field, value);
        Ok(())
    }

    /// The attributes with everything the envelope does not know added, as JSON text not yet checked.
    /// A name that stands in both is found as a duplicate key by the pass that checks it.
    pub fn attributes(&mut self) -> Result<Option<String>, Invalid> {
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
            self.set(F::Attributes, Slot::Raw("{}"));
        }
        Ok(Some(all))
    }
}

fn duplicate(group: &str, key: &str) -> Invalid {
    let shown: String = key.chars().take(60).collect();
    Invalid::new("duplicate_key", group, format!("the key {shown:?} stands twice in one object; send it once"))
}
