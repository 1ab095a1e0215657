//! The field table: the one list from which the stored form, the Parquet schema, the filter keys and
//! the JSON envelope are all derived.
//!
//! Owns: names, kinds, and which *part* of a record a field belongs to. Not here: how values are parsed
//! (`parse`) or committed to (`encode`, `commit`).
//!
//! The tags are frozen: they are written into journals and hashed into leaves. A field may be added with
//! a new tag, never renumbered, moved to another part, or reused (`docs/formats/record.md`).

/// What a field's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text, as sent.
    Text,
    /// Canonical JSON text (RFC 8785), made once at intake.
    Json,
    /// A list of texts; stored as a canonical JSON array of strings.
    List,
    /// Microseconds since the Unix epoch, UTC.
    Time,
    /// `true` or `false`.
    Bool,
}

/// The group of fields that is committed to, and erased, together: one per person concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Part {
    /// What is nobody's personal data; salted from the tenant's own key.
    Core = 0,
    /// Who acted, from where, and the free-form context of it.
    Actor = 1,
    /// What was acted on, with its states before and after.
    Target = 2,
    /// The second entity concerned.
    Subject = 3,
    /// The person a session or grant belongs to.
    Holder = 4,
    /// Addressees of a notification; each list element is a part of its own.
    Recipient = 5,
}

macro_rules! fields {
    ($($variant:ident = $tag:literal, $part:ident, $kind:ident, $path:literal, $column:literal;)*) => {
        /// A field of the envelope. The discriminant is the field's position in [`FIELDS`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Field { $($variant),* }

        /// Every field, in stored order: by part, then by tag.
        pub const FIELDS: &[Spec] = &[
            $(Spec { field: Field::$variant, tag: $tag, part: Part::$part, kind: Kind::$kind, path: $path, column: $column }),*
        ];
    };
}

/// What is known of one field.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Which field this is.
    pub field: Field,
    /// Frozen number of the field in stored bytes.
    pub tag: u8,
    /// The part it is committed in.
    pub part: Part,
    /// Its kind of value.
    pub kind: Kind,
    /// Dotted path in the JSON envelope: `actor.id`.
    pub path: &'static str,
    /// Column name in Parquet, SQL and the `records` view: `actor_id`.
    pub column: &'static str,
}

fields! {
    Id = 1, Core, Text, "id", "id";
    Log = 2, Core, Text, "log", "log";
    Time = 3, Core, Time, "time", "time";
    Source = 4, Core, Text, "source", "source";
    Action = 5, Core, Text, "action", "action";
    Outcome = 6, Core, Text, "outcome", "outcome";
    Level = 7, Core, Text, "level", "level";
    ActorType = 8, Core, Text, "actor.type", "actor_type";
    TargetType = 9, Core, Text, "target.type", "target_type";
    SubjectType = 10, Core, Text, "subject.type", "subject_type";
    ClientActorId = 11, Core, Text, "client_actor.id", "client_actor_id";
    ClientActorName = 12, Core, Text, "client_actor.name", "client_actor_name";
    ClientId = 13, Core, Text, "client.id", "client_id";
    ClientName = 14, Core, Text, "client.name", "client_name";
    ProviderId = 15, Core, Text, "provider.id", "provider_id";
    ProviderName = 16, Core, Text, "provider.name", "provider_name";
    RequestId = 17, Core, Text, "request_id", "request_id";
    TraceId = 18, Core, Text, "trace_id", "trace_id";
    SpanId = 19, Core, Text, "span_id", "span_id";
    ErrorCode = 20, Core, Text, "error_code", "error_code";
    Irreversible = 21, Core, Bool, "irreversible", "irreversible";
    JobId = 22, Core, Text, "job.id", "job_id";
    JobName = 23, Core, Text, "job.name", "job_name";
    JobType = 24, Core, Text, "job.type", "job_type";
    JobStatus = 25, Core, Text, "job.status", "job_status";
    NotificationId = 26, Core, Text, "notification.id", "notification_id";
    NotificationStatus = 27, Core, Text, "notification.status", "notification_status";
    NotificationCategory = 28, Core, Text, "notification.category", "notification_category";
    SessionRefId = 29, Core, Text, "session.id", "session_ref_id";
    SessionProtocol = 30, Core, Text, "session.protocol", "session_protocol";
    SessionStatus = 31, Core, Text, "session.status", "session_status";
    SessionExpiresAt = 32, Core, Time, "session.expires_at", "session_expires_at";
    SessionScopes = 33, Core, Json, "session.scopes", "session_scopes";
    GrantId = 34, Core, Text, "grant.id", "grant_id";
    GrantProtocol = 35, Core, Text, "grant.protocol", "grant_protocol";
    GrantStatus = 36, Core, Text, "grant.status", "grant_status";
    GrantExpiresAt = 37, Core, Time, "grant.expires_at", "grant_expires_at";
    GrantScopes = 38, Core, Json, "grant.scopes", "grant_scopes";
    Redactions = 39, Core, Json, "redactions", "redactions";

    ActorId = 64, Actor, Text, "actor.id", "actor_id";
    ActorName = 65, Actor, Text, "actor.name", "actor_name";
    ActorEmail = 66, Actor, Text, "actor.email", "actor_email";
    ActorIdentityId = 67, Actor, Text, "actor.identity_id", "actor_identity_id";
    ImpersonatorId = 68, Actor, Text, "impersonator.id", "impersonator_id";
    ImpersonatorName = 69, Actor, Text, "impersonator.name", "impersonator_name";
    Identifier = 70, Actor, Text, "identifier", "identifier";
    Email = 71, Actor, Text, "email", "email";
    Username = 72, Actor, Text, "username", "username";
    Ip = 73, Actor, Text, "ip", "ip";
    UserAgent = 74, Actor, Text, "user_agent", "user_agent";
    ForwarderIp = 75, Actor, Text, "forwarder_ip", "forwarder_ip";
    ForwarderUserAgent = 76, Actor, Text, "forwarder_user_agent", "forwarder_user_agent";
    SessionId = 77, Actor, Text, "session_id", "session_id";
    Message = 78, Actor, Text, "message", "message";
    Comments = 79, Actor, Text, "comments", "comments";
    JobStacktrace = 80, Actor, Text, "job.stacktrace", "job_stacktrace";
    Attributes = 81, Actor, Json, "attributes", "attributes";

    TargetId = 96, Target, Text, "target.id", "target_id";
    TargetName = 97, Target, Text, "target.name", "target_name";
    Old = 98, Target, Json, "old", "old";
    New = 99, Target, Json, "new", "new";
    Diff = 100, Target, Json, "diff", "diff";

    SubjectId = 112, Subject, Text, "subject.id", "subject_id";
    SubjectName = 113, Subject, Text, "subject.name", "subject_name";

    SessionUserId = 128, Holder, Text, "session.user_id", "session_user_id";
    SessionClaims = 129, Holder, Json, "session.claims", "session_claims";
    GrantUserId = 130, Holder, Text, "grant.user_id", "grant_user_id";
    GrantClaims = 131, Holder, Json, "grant.claims", "grant_claims";

    NotificationRecipient = 144, Recipient, List, "notification.recipient", "notification_recipient";
    NotificationCc = 145, Recipient, List, "notification.cc", "notification_cc";
    NotificationBcc = 146, Recipient, List, "notification.bcc", "notification_bcc";
    NotificationSubject = 147, Recipient, Text, "notification.subject", "notification_subject";
    NotificationBody = 148, Recipient, Text, "notification.body", "notification_body";
}

/// How many fields there are.
pub const COUNT: usize = FIELDS.len();

impl Field {
    /// What is known of this field.
    pub const fn spec(self) -> &'static Spec {
        &FIELDS[self as usize]
    }

    /// The field with this frozen tag.
    pub fn from_tag(tag: u8) -> Option<Field> {
        match BY_TAG[tag as usize] {
            0 => None,
            n => Some(FIELDS[n as usize - 1].field),
        }
    }

    /// The field at this dotted envelope path, spelled exactly.
    pub fn from_path(path: &str) -> Option<Field> {
        FIELDS.iter().find(|s| s.path == path).map(|s| s.field)
    }

    /// The field with this column name, spelled exactly.
    pub fn from_column(column: &str) -> Option<Field> {
        FIELDS.iter().find(|s| s.column == column).map(|s| s.field)
    }
}

/// Position + 1 in [`FIELDS`] by tag; 0 where no field has the tag.
const BY_TAG: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut i = 0;
    while i < FIELDS.len() {
        table[FIELDS[i].tag as usize] = i as u8 + 1;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_unique_and_ordered_by_part_then_tag() {
        for pair in FIELDS.windows(2) {
            assert!(pair[0].part <= pair[1].part, "{} before {}", pair[0].path, pair[1].path);
            assert!(pair[0].tag < pair[1].tag, "{} before {}", pair[0].path, pair[1].path);
        }
        for (i, s) in FIELDS.iter().enumerate() {
            assert_eq!(s.field as usize, i);
            assert_eq!(Field::from_tag(s.tag), Some(s.field));
            assert_eq!(Field::from_path(s.path), Some(s.field));
            assert_eq!(Field::from_column(s.column), Some(s.field));
        }
    }
}
