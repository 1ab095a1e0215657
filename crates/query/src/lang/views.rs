//! The views: which columns each of the six logs (and the whole envelope) shows, and what they are made of.
//!
//! Owns: view names, column tables (`tables`), and the reading of a key that a
//! person typed (`keys`) (`Event Type`, `eventType`, `actor.id`, `attributes.flow.id`). Not here: how a column
//! is computed from rows (the executor), or what words mean in a question (`ask`).

use event::fields::{Field, Kind};

mod keys;
mod tables;

use ColumnKind as K;
use Field as F;
use Source as S;
use tables::{AUDIT, EVENT, GRANTS, JOB, NOTIFICATION, RECORDS, SESSIONS};

/// A view of the records: what a request names in its path, and SQL as a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// The whole envelope, every log.
    Records,
    /// Administrative actions and configuration changes.
    AuditLogs,
    /// Authentication events.
    EventLogs,
    /// Background jobs, latest state per job.
    JobLogs,
    /// Mail and other notifications, latest state per notification.
    NotificationLogs,
    /// Sessions, latest state per session.
    Sessions,
    /// Consent grants, latest state per grant.
    Grants,
}

/// What a column is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The first of these envelope fields that has a value: `coalesce` of them.
    First(&'static [Field]),
    /// Folded views: the time of the first record with this id.
    CreatedAt,
    /// Folded views: the time of the latest record with this id.
    UpdatedAt,
    /// The status field, read as `expired` when it says `active` and the second field is in the past.
    Status(Field, Field),
    /// The record's place in the ledger.
    Index,
    /// When the record was sealed.
    RecordedAt,
    /// The tenant's slug.
    Tenant,
}

/// What a column's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnKind {
    /// Text.
    Text,
    /// JSON text; keys below it can be named (`details.flow.id`).
    Json,
    /// A list of texts; a test holds if it holds for any element.
    List,
    /// Microseconds since the Unix epoch, UTC.
    Time,
    /// `true` or `false`.
    Bool,
    /// An unsigned number.
    Int,
}

/// One column of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    /// Its name in JSON, SQL and filters.
    pub name: &'static str,
    /// What it is made of.
    pub source: Source,
    /// What its values are.
    pub kind: ColumnKind,
}

impl Column {
    const fn of(name: &'static str, fields: &'static [Field]) -> Column {
        Column { name, source: Source::First(fields), kind: kind_of(fields[0]) }
    }

    const fn computed(name: &'static str, source: Source, kind: ColumnKind) -> Column {
        Column { name, source, kind }
    }

    /// Whether `contains` and `like` treat space, `_`, `-` and `.` alike here: the columns of `action`.
    pub fn loose(&self) -> bool {
        matches!(self.source, Source::First([Field::Action]))
    }
}

/// What a filter tests or a result is grouped by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A column of the view, or an envelope field in its `records` column.
    Column(&'static Column),
    /// A value below a JSON field.
    Json {
        /// The envelope field that holds the JSON.
        field: Field,
        /// The keys (or array positions) leading to the value; spelled exactly.
        path: Vec<String>,
    },
}

impl Key {
    /// What values behind this key are; a value inside JSON counts as `Json`.
    pub fn kind(&self) -> ColumnKind {
        match self {
            Key::Column(c) => c.kind,
            Key::Json { .. } => ColumnKind::Json,
        }
    }

    /// See [`Column::loose`].
    pub fn loose(&self) -> bool {
        matches!(self, Key::Column(c) if c.loose())
    }

    /// The spelling that [`View::key`] of this view reads back as this key.
    pub fn name(&self, view: View) -> String {
        match self {
            Key::Column(c) if view.columns().contains(c) => c.name.to_owned(),
            Key::Column(c) => envelope_path(c).unwrap_or(c.name).to_owned(),
            Key::Json { field, path } => {
                let mut out = field.spec().path.to_owned();
                for part in path {
                    out.push('.');
                    for c in part.chars() {
                        if matches!(c, '.' | '\\') {
                            out.push('\\');
                        }
                        out.push(c);
                    }
                }
                out
            }
        }
    }
}

const fn kind_of(field: Field) -> ColumnKind {
    match field.spec().kind {
        Kind::Text => ColumnKind::Text,
        Kind::Json => ColumnKind::Json,
        Kind::List => ColumnKind::List,
        Kind::Time => ColumnKind::Time,
        Kind::Bool => ColumnKind::Bool,
    }
}

/// The dotted path of a column of `records`; none for a view's own column.
fn envelope_path(column: &Column) -> Option<&'static str> {
    let Source::First([field]) = column.source else { return None };
    let spec = field.spec();
    (spec.column == column.name && spec.path.contains('.')).then_some(spec.path)
}

impl View {
    /// Every view.
    pub const ALL: [View; 7] = [
        View::Records,
        View::AuditLogs,
        View::EventLogs,
        View::JobLogs,
        View::NotificationLogs,
        View::Sessions,
        View::Grants,
    ];

    /// The name used as SQL table, GraphQL field and path: `audit_logs`.
    pub const fn name(self) -> &'static str {
        match self {
            View::Records => "records",
            View::AuditLogs => "audit_logs",
            View::EventLogs => "event_logs",
            View::JobLogs => "job_logs",
            View::NotificationLogs => "notification_logs",
            View::Sessions => "sessions",
            View::Grants => "grants",
        }
    }

    /// The view of this name, with `-` or `_`.
    pub fn parse(name: &str) -> Option<View> {
        View::ALL.into_iter().find(|v| {
            v.name().len() == name.len()
                && v.name().bytes().zip(name.bytes()).all(|(a, b)| a == b || (a == b'_' && b == b'-'))
        })
    }

    /// The `log` its records carry; `records` shows them all. Sessions and grants are told of by events as well
    /// ([`View::status`]).
    pub const fn log(self) -> Option<&'static str> {
        match self {
            View::Records => None,
            View::AuditLogs => Some("audit"),
            View::EventLogs => Some("event"),
            View::JobLogs => Some("job"),
            View::NotificationLogs => Some("notification"),
            View::Sessions => Some("session"),
            View::Grants => Some("grant"),
        }
    }

    /// The field that makes a record of another log one of this view too: what a session or grant is now.
    pub const fn status(self) -> Option<Field> {
        match self {
            View::Sessions => Some(F::SessionStatus),
            View::Grants => Some(F::GrantStatus),
            _ => None,
        }
    }

    /// Whether it shows only the latest record of each id.
    pub const fn folded(self) -> bool {
        self.fold_id().is_some()
    }

    /// The fields whose first value is the id that a folded view is folded by.
    pub const fn fold_id(self) -> Option<&'static [Field]> {
        match self {
            View::Records | View::AuditLogs | View::EventLogs => None,
            View::JobLogs => Some(&[F::JobId]),
            View::NotificationLogs => Some(&[F::NotificationId, F::Id]),
            View::Sessions => Some(&[F::SessionRefId, F::SessionId]),
            View::Grants => Some(&[F::GrantId]),
        }
    }

    /// Its columns, in the order of `spec/records.md`.
    pub fn columns(self) -> &'static [Column] {
        match self {
            View::Records => &RECORDS,
            View::AuditLogs => &AUDIT,
            View::EventLogs => &EVENT,
            View::JobLogs => &JOB,
            View::NotificationLogs => &NOTIFICATION,
            View::Sessions => &SESSIONS,
            View::Grants => &GRANTS,
        }
    }

    /// Its column of exactly this name.
    pub fn column(self, name: &str) -> Option<&'static Column> {
        self.columns().iter().find(|c| c.name == name)
    }

    /// The column that `from` and `to` are about.
    pub fn time_column(self) -> &'static Column {
        let at = match self {
            View::Records => return envelope(Field::Time),
            View::AuditLogs => 6,
            View::EventLogs => 3,
            View::JobLogs => 5,
            View::NotificationLogs | View::Sessions => 4,
            View::Grants => 5,
        };
        &self.columns()[at]
    }

    /// The columns a free word is looked for in: all text, but not what needs a scope of its own to
    /// be read (`body`), where a search would give it away word by word.
    pub fn searched(self) -> impl Iterator<Item = &'static Column> {
        self.columns().iter().filter(|c| {
            matches!(c.kind, K::Text | K::List) && !matches!(c.source, S::First([F::NotificationBody]) | S::Tenant)
        })
    }
}

/// The column of `records` that shows this field.
pub fn envelope(field: Field) -> &'static Column {
    &RECORDS[field as usize]
}

/// A name without what does not matter in it; dots stay, because `session.id` is not `session_id`.
pub(crate) fn squash(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// The start of a text, for messages.
pub(crate) fn clip(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
