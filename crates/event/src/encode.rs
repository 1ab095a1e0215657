//! The stored form of a record: its fields as tag, length, bytes, in table order.
//!
//! Owns the frozen byte layout (`docs/formats/record.md`) and nothing else: no JSON, no hashing. The same
//! bytes are written into the journal, hashed into the leaf, and given back by a Parquet row.

use crate::fields::{Field, Kind, Part};

/// Bytes before each value: tag and length.
pub const FIELD_HEADER: usize = 5;

/// Stored bytes that are not a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The bytes end inside a field.
    #[error("the row ends inside a field at byte {0}")]
    Truncated(usize),
    /// A tag this version does not know.
    #[error("the row has the unknown field tag {tag} at byte {at}")]
    UnknownTag {
        /// The tag found.
        tag: u8,
        /// Where, in bytes from the start.
        at: usize,
    },
    /// Fields out of table order, or one that is no list twice.
    #[error("the row has its fields out of order at byte {0}")]
    OutOfOrder(usize),
    /// A value that does not fit its kind (text that is not UTF-8, a time that is not 8 bytes).
    #[error("the row has a malformed value of `{field}` at byte {at}")]
    BadValue {
        /// Path of the field.
        field: &'static str,
        /// Where, in bytes from the start.
        at: usize,
    },
}

/// Appends one field. Callers append in table order; [`fields`] refuses anything else.
///
/// Values are at most 4 GiB; records are at most 1 MiB, so the length always fits.
pub fn put(out: &mut Vec<u8>, field: Field, value: &[u8]) {
    out.push(field.spec().tag);
    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    out.extend_from_slice(value);
}

/// Appends a time or other `i64` field.
pub fn put_time(out: &mut Vec<u8>, field: Field, micros: i64) {
    put(out, field, &micros.to_le_bytes());
}

/// One field of a stored row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<'a> {
    /// Which field.
    pub field: Field,
    /// Its value's bytes.
    pub value: &'a [u8],
    /// Where the field (its tag) begins, in bytes from the start of the row.
    pub at: usize,
}

impl<'a> Stored<'a> {
    /// The value as text; `None` for times and booleans or for bytes that are not UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        match self.field.spec().kind {
            Kind::Text | Kind::Json | Kind::List => std::str::from_utf8(self.value).ok(),
            Kind::Time | Kind::Bool => None,
        }
    }

    /// The value as microseconds; `None` for other kinds.
    pub fn time(&self) -> Option<i64> {
        match self.field.spec().kind {
            Kind::Time => self.value.try_into().ok().map(i64::from_le_bytes),
            _ => None,
        }
    }
}

/// Walks the fields of a row, checking layout and order as it goes.
pub fn fields(row: &[u8]) -> Fields<'_> {
    Fields { row, at: 0, last: None }
}

/// Iterator of [`fields`]. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    row: &'a [u8],
    at: usize,
    last: Option<Field>,
}

impl<'a> Fields<'a> {
    fn step(&mut self) -> Result<Stored<'a>, RowError> {
        let at = self.at;
        let rest = self.row.get(at..).unwrap_or_default();
        let (head, body) = rest.split_at_checked(FIELD_HEADER).ok_or(RowError::Truncated(at))?;
        let [tag, l0, l1, l2, l3] = *head else { return Err(RowError::Truncated(at)) };
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let value = body.get(..len).ok_or(RowError::Truncated(at))?;
        let field = Field::from_tag(tag).ok_or(RowError::UnknownTag { tag, at })?;
        let spec = field.spec();
        if let Some(last) = self.last
            && (field < last || (field == last && spec.kind != Kind::List))
        {
            return Err(RowError::OutOfOrder(at));
        }
        let fits = match spec.kind {
            Kind::Time => len == 8,
            Kind::Bool => matches!(value, [0] | [1]),
            Kind::Text | Kind::Json | Kind::List => true,
        };
        if !fits {
            return Err(RowError::BadValue { field: spec.path, at });
        }
        self.last = Some(field);
        self.at = at + FIELD_HEADER + len;
        Ok(Stored { field, value, at })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Stored<'a>, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.row.len() {
            return None;
        }
        let step = self.step();
        if step.is_err() {
            self.at = self.row.len();
        }
        Some(step)
    }
}

/// A part of a stored row: what is committed to, and erased, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartSlice<'a> {
    /// Which group of fields.
    pub part: Part,
    /// Place among the record's parts, from 0; goes into the salt.
    pub ordinal: u16,
    /// The part's bytes, fields and all.
    pub bytes: &'a [u8],
}

/// Splits a row into its parts, in stored order.
///
/// # Errors
/// [`RowError`] where the bytes are not a row.
pub fn parts<'a>(row: &'a [u8], each: impl FnMut(PartSlice<'a>)) -> Result<(), RowError> {
    struct Each<F>(F);
    impl<'a, F: FnMut(PartSlice<'a>)> Visit<'a> for Each<F> {
        fn field(&mut self, _: &Stored<'a>) {}
        fn part(&mut self, part: PartSlice<'a>) {
            (self.0)(part);
        }
    }
    walk(row, &mut Each(each))
}

/// What is told of a row by [`walk`].
pub(crate) trait Visit<'a> {
    /// A field of the part that ends next.
    fn field(&mut self, stored: &Stored<'a>);
    /// A part, behind its last field.
    fn part(&mut self, part: PartSlice<'a>);
}

/// Goes over a row once.
///
/// # Errors
/// [`RowError`] where the bytes are not a row.
#[inline]
pub(crate) fn walk<'a>(row: &'a [u8], visitor: &mut impl Visit<'a>) -> Result<(), RowError> {
    let mut start = 0;
    // The open part, and whether it is one list element.
    let mut open: Option<(Part, bool)> = None;
    let mut ordinal = 0u16;
    for stored in fields(row) {
        let stored = stored?;
        let spec = stored.field.spec();
        let list = spec.kind == Kind::List;
        if let Some((part, was_list)) = open
            && (part != spec.part || list || was_list)
        {
            visitor.part(PartSlice { part, ordinal, bytes: &row[start..stored.at] });
            ordinal = ordinal.saturating_add(1);
            start = stored.at;
        }
        open = Some((spec.part, list));
        visitor.field(&stored);
    }
    if let Some((part, _)) = open {
        visitor.part(PartSlice { part, ordinal, bytes: &row[start..] });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(list: &[(Field, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (f, v) in list {
            put(&mut out, *f, v);
        }
        out
    }

    #[test]
    fn parts_split_by_part_and_list_element() {
        let bytes = row(&[
            (Field::Id, b"1"),
            (Field::Action, b"send"),
            (Field::ActorId, b"a"),
            (Field::NotificationRecipient, b"x@e"),
            (Field::NotificationRecipient, b"y@e"),
            (Field::NotificationSubject, b"hello"),
            (Field::NotificationBody, b"text"),
        ]);
        let mut seen = Vec::new();
        parts(&bytes, |p| seen.push((p.part, p.ordinal, p.bytes.len()))).unwrap();
        assert_eq!(
            seen,
            [
                (Part::Core, 0, 15),
                (Part::Actor, 1, 6),
                (Part::Recipient, 2, 8),
                (Part::Recipient, 3, 8),
                (Part::Recipient, 4, 19)
            ]
        );
        assert_eq!(seen.iter().map(|p| p.2).sum::<usize>(), bytes.len());
    }

    #[test]
    fn body_without_subject_is_not_joined_to_an_address() {
        let bytes = row(&[(Field::NotificationRecipient, b"x@e"), (Field::NotificationBody, b"text")]);
        let mut n = 0;
        parts(&bytes, |_| n += 1).unwrap();
        assert_eq!(n, 2);
    }

    #[test]
    fn refuses_what_is_not_a_row() {
        assert_eq!(fields(&[1, 2]).next(), Some(Err(RowError::Truncated(0))));
        assert!(matches!(fields(&[0, 0, 0, 0, 0]).next(), Some(Err(RowError::UnknownTag { tag: 0, at: 0 }))));
        let twice = row(&[(Field::Action, b"a"), (Field::Action, b"b")]);
        assert!(fields(&twice).any(|f| f == Err(RowError::OutOfOrder(6))));
        let short_time = row(&[(Field::Time, b"abc")]);
        assert!(matches!(fields(&short_time).next(), Some(Err(RowError::BadValue { .. }))));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = fields(&bytes).count();
            let _ = parts(&bytes, |_| {});
        }
    }
}
