//! The columns of a segment, derived from the field table.
//!
//! Owns: the Arrow schema, column numbers, which columns are looked up by value and which repeat few values.
//! Not here: bytes of any kind.

use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use event::{FIELDS, Field, Kind};
use std::sync::{Arc, LazyLock};

/// Name of the tenant.
pub const TENANT: usize = 0;
/// The record's index in its tenant's ledger.
pub const INDEX: usize = 1;
/// When it was sealed, in microseconds.
pub const RECORDED_AT: usize = 2;
/// Kind of ledger entry (`event::EntryKind`).
pub const KIND: usize = 3;
/// Where the columns of `event::FIELDS` begin.
pub const FIRST_FIELD: usize = 4;
/// How many columns there are.
pub const COUNT: usize = FIRST_FIELD + event::fields::COUNT;
/// The record's id.
pub const ID: usize = of(Field::Id);
/// When it happened.
pub const TIME: usize = of(Field::Time);

/// The column of a field.
pub const fn of(field: Field) -> usize {
    FIRST_FIELD + field as usize
}

/// The field of a column; `None` for the first four and for numbers past the last.
pub fn field(column: usize) -> Option<Field> {
    FIELDS.get(column.checked_sub(FIRST_FIELD)?).map(|spec| spec.field)
}

/// The type of times in segments.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut fields = vec![
        ArrowField::new("tenant", DataType::Utf8, false),
        ArrowField::new("index", DataType::UInt64, false),
        ArrowField::new("recorded_at", time_type(), false),
        ArrowField::new("kind", DataType::UInt8, false),
    ];
    for spec in FIELDS {
        let data_type = match spec.kind {
            Kind::Text | Kind::Json | Kind::List => DataType::Utf8,
            Kind::Time => time_type(),
            Kind::Bool => DataType::Boolean,
        };
        fields.push(ArrowField::new(spec.column, data_type, !matches!(spec.field, Field::Id | Field::Time)));
    }
    Arc::new(Schema::new(fields))
});

/// The schema with columns that are stored with a dictionary as dictionaries.
pub(crate) static CODED: LazyLock<SchemaRef> = LazyLock::new(|| {
    let fields = SCHEMA.fields().iter().enumerate().map(|(column, field)| {
        let data_type = if is_coded(column) {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
        } else {
            field.data_type().clone()
        };
        ArrowField::new(field.name(), data_type, field.is_nullable())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
});

/// The Arrow schema of every segment and every batch: `tenant`, `index`, `recorded_at`, `kind`, then the
/// fields in table order.
pub fn schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// Fields whose values the look-up filters know. Part of the format: a new one means a new filter version.
pub const LOOKUP: &[Field] = &[
    Field::Id,
    Field::RequestId,
    Field::TraceId,
    Field::JobId,
    Field::NotificationId,
    Field::SessionRefId,
    Field::GrantId,
    Field::ActorId,
    Field::ActorEmail,
    Field::ActorIdentityId,
    Field::Identifier,
    Field::Email,
    Field::Username,
    Field::Ip,
    Field::SessionId,
    Field::TargetId,
    Field::TargetName,
    Field::SubjectId,
    Field::SessionUserId,
    Field::NotificationRecipient,
    Field::NotificationCc,
    Field::NotificationBcc,
];

/// Fields of free text whose grams the look-up filters know: a part of such a text is looked for only where it
/// can be. Part of the format like [`LOOKUP`].
pub const GRAMS: &[Field] = &[Field::Message, Field::Comments, Field::Attributes];

/// Whether the look-up filters know this column's values, so that a [`crate::Probe`] on it can exclude rows.
pub fn is_lookup(column: usize) -> bool {
    field(column).is_some_and(|f| LOOKUP.contains(&f))
}

/// Whether a column holds text, JSON and lists among it.
pub fn is_text(column: usize) -> bool {
    SCHEMA.fields().get(column).is_some_and(|f| f.data_type() == &DataType::Utf8)
}

/// Columns of texts that are stored with a dictionary, and read as one where a scan asks for it.
pub fn is_coded(column: usize) -> bool {
    is_dictionary(column) || is_repeated(column)
}

/// Columns of few distinct values.
pub(crate) fn is_dictionary(column: usize) -> bool {
    if column == TENANT {
        return true;
    }
    matches!(
        field(column),
        Some(
            Field::Log
                | Field::Source
                | Field::Action
                | Field::Outcome
                | Field::Level
                | Field::ActorType
                | Field::TargetType
                | Field::SubjectType
                | Field::ClientActorId
                | Field::ClientActorName
                | Field::ClientId
                | Field::ClientName
                | Field::ProviderId
                | Field::ProviderName
                | Field::ErrorCode
                | Field::JobName
                | Field::JobType
                | Field::JobStatus
                | Field::NotificationStatus
                | Field::NotificationCategory
                | Field::SessionProtocol
                | Field::SessionStatus
                | Field::SessionScopes
                | Field::GrantProtocol
                | Field::GrantStatus
                | Field::GrantScopes
                | Field::Redactions
                | Field::UserAgent
                | Field::ForwarderIp
                | Field::ForwarderUserAgent
                | Field::NotificationSubject
        )
    )
}

/// Columns of many values that come back within a row group: people, addresses, sessions, targets. Stored
/// with a dictionary of their own size, which takes a sixth off a segment.
pub(crate) fn is_repeated(column: usize) -> bool {
    matches!(
        field(column),
        Some(
            Field::ActorId
                | Field::ActorName
                | Field::ActorEmail
                | Field::ActorIdentityId
                | Field::ImpersonatorId
                | Field::ImpersonatorName
                | Field::Identifier
                | Field::Email
                | Field::Username
                | Field::Ip
                | Field::SessionId
                | Field::SessionRefId
                | Field::TargetId
                | Field::TargetName
                | Field::SubjectId
                | Field::SubjectName
                | Field::SessionUserId
                | Field::GrantUserId
                | Field::GrantId
                | Field::JobId
                | Field::NotificationRecipient
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_the_schema() {
        let s = schema();
        assert_eq!(s.fields().len(), COUNT);
        for spec in FIELDS {
            assert_eq!(s.field(of(spec.field)).name(), spec.column);
            assert_eq!(field(of(spec.field)), Some(spec.field));
        }
        assert_eq!(s.field(ID).name(), "id");
        assert_eq!(s.field(TIME).name(), "time");
        assert_eq!(field(KIND), None);
        assert_eq!(field(COUNT), None);
    }
}
