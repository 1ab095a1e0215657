//! The column tables, in the order of `spec/records.md`.

use event::fields::{COUNT, FIELDS, Field};

use super::{Column, ColumnKind, Source};

use ColumnKind as K;
use Field as F;
use Source as S;

pub(super) static AUDIT: [Column; 15] = [
    Column::of("action", &[F::Action]),
    Column::of("target", &[F::TargetName, F::TargetId]),
    Column::of("actor", &[F::ActorEmail, F::ActorName, F::ActorId, F::ActorIdentityId]),
    Column::of("subject", &[F::SubjectName, F::SubjectId]),
    Column::of("client_actor", &[F::ClientActorName, F::ClientActorId]),
    Column::of("comments", &[F::Comments]),
    Column::of("timestamp", &[F::Time]),
    Column::of("old_entity", &[F::Old]),
    Column::of("new_entity", &[F::New]),
    Column::of("diff", &[F::Diff]),
    Column::of("outcome", &[F::Outcome]),
    Column::of("ip_address", &[F::Ip]),
    Column::of("request_id", &[F::RequestId]),
    Column::of("source", &[F::Source]),
    Column::of("details", &[F::Attributes]),
];

pub(super) static EVENT: [Column; 14] = [
    Column::of("event_type", &[F::Action]),
    Column::of("client_name", &[F::ClientName, F::ClientId]),
    Column::of("provider_name", &[F::ProviderName, F::ProviderId]),
    Column::of("created_on", &[F::Time]),
    Column::of("email", &[F::Email, F::ActorEmail]),
    Column::of("username", &[F::Username, F::ActorName]),
    Column::of("ip_address", &[F::Ip]),
    Column::of("user_agent", &[F::UserAgent]),
    Column::of("outcome", &[F::Outcome]),
    Column::of("error_code", &[F::ErrorCode]),
    Column::of("session_id", &[F::SessionId]),
    Column::of("request_id", &[F::RequestId]),
    Column::of("source", &[F::Source]),
    Column::of("details", &[F::Attributes]),
];

pub(super) static JOB: [Column; 9] = [
    Column::of("job_id", &[F::JobId]),
    Column::of("job_name", &[F::JobName]),
    Column::of("job_type", &[F::JobType]),
    Column::of("message", &[F::Message]),
    Column::of("latest_status", &[F::JobStatus]),
    Column::computed("created_at", S::CreatedAt, K::Time),
    Column::computed("updated_at", S::UpdatedAt, K::Time),
    Column::of("stacktrace", &[F::JobStacktrace]),
    Column::of("details", &[F::Attributes]),
];

pub(super) static NOTIFICATION: [Column; 9] = [
    Column::of("subject", &[F::NotificationSubject]),
    Column::of("recipient", &[F::NotificationRecipient]),
    Column::of("cc", &[F::NotificationCc]),
    Column::of("bcc", &[F::NotificationBcc]),
    Column::of("timestamp", &[F::Time]),
    Column::of("status", &[F::NotificationStatus]),
    Column::of("category", &[F::NotificationCategory]),
    Column::of("body", &[F::NotificationBody]),
    Column::of("details", &[F::Attributes]),
];

pub(super) static SESSIONS: [Column; 8] = [
    Column::of("session_id", &[F::SessionRefId, F::SessionId]),
    Column::of("protocol", &[F::SessionProtocol]),
    Column::of("client_id", &[F::ClientId]),
    // Not the actor: an administrator who ends somebody's session is not its owner.
    Column::of("user_id", &[F::SessionUserId]),
    Column::computed("created_at", S::CreatedAt, K::Time),
    Column::of("expires_at", &[F::SessionExpiresAt]),
    Column::computed("status", S::Status(F::SessionStatus, F::SessionExpiresAt), K::Text),
    Column::of("details", &[F::Attributes]),
];

pub(super) static GRANTS: [Column; 8] = [
    Column::of("grant_id", &[F::GrantId]),
    Column::of("email", &[F::Email, F::ActorEmail]),
    Column::of("provider", &[F::ProviderName, F::ProviderId]),
    Column::of("client", &[F::ClientName, F::ClientId]),
    Column::of("session_id", &[F::SessionId, F::SessionRefId]),
    Column::computed("created_at", S::CreatedAt, K::Time),
    Column::computed("status", S::Status(F::GrantStatus, F::GrantExpiresAt), K::Text),
    Column::of("details", &[F::Attributes]),
];

static SINGLE: [[Field; 1]; COUNT] = {
    let mut out = [[Field::Id]; COUNT];
    let mut i = 0;
    while i < COUNT {
        out[i] = [FIELDS[i].field];
        i += 1;
    }
    out
};

pub(super) static RECORDS: [Column; COUNT + 3] = {
    let mut out = [Column::computed("index", S::Index, K::Int); COUNT + 3];
    let mut i = 0;
    while i < COUNT {
        out[i] = Column::of(FIELDS[i].column, &SINGLE[i]);
        i += 1;
    }
    out[COUNT + 1] = Column::computed("recorded_at", S::RecordedAt, K::Time);
    out[COUNT + 2] = Column::computed("tenant", S::Tenant, K::Text);
    out
};

/// A notification's own id, else the record's: a key of `notification_logs` that is no column.
pub(super) static NOTIFICATION_ID: Column = Column::of("id", &[F::NotificationId, F::Id]);
