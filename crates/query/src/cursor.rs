//! Page cursors: opaque to the caller, bound to one tenant and query, carrying the snapshot.

use crate::lang::Query;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Where a page goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Whose query it is.
    pub print: Print,
    /// The clock at the first page, where it matters. By it all pages read times such as `now-7d`, so that they stay the same.
    pub clock: Option<i64>,
    /// The snapshot: only records with an index below.
    pub size: u64,
    /// Bounds of the first page.
    pub from: Option<i64>,
    /// See `from`.
    pub to: Option<i64>,
    /// The page goes on after this row: its time…
    pub time: i64,
    /// …and id.
    pub id: String,
}

/// What a query is recognised by, beside its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print {
    /// Tenant and view.
    view: u64,
    filter: u64,
}

/// Why a cursor was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not made by this server.
    #[error("the cursor is not one that this server gave out; start again without it")]
    Malformed,
    /// Made for another view or tenant.
    #[error("the cursor belongs to another query; send it to the view that gave it out, or start again without it")]
    OtherView,
    /// Made with another filter, `from` or `to`.
    #[error(
        "the cursor was made with another `{0}`; send the same `{0}` as on the first page, or start again without the cursor"
    )]
    Other(&'static str),
}

const VERSION: u8 = 2;

/// What a query is recognised by.
pub fn print(tenant: u32, query: &Query) -> Print {
    let hash = |text: String| xxhash_rust::xxh3::xxh3_64(text.as_bytes());
    Print {
        view: hash(format!("{tenant}/{}", query.view.name())),
        filter: hash(query.filter.to_json(query.view).to_string()),
    }
}

impl Cursor {
    /// As text for the caller.
    pub fn encode(&self) -> String {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.print.view.to_le_bytes());
        out.extend_from_slice(&self.print.filter.to_le_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        for time in [self.clock, self.from, self.to] {
            out.push(u8::from(time.is_some()));
            out.extend_from_slice(&time.unwrap_or(0).to_le_bytes());
        }
        out.extend_from_slice(&self.time.to_le_bytes());
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        URL_SAFE_NO_PAD.encode(out)
    }

    /// Reads a cursor.
    ///
    /// # Errors
    /// [`CursorError::Malformed`].
    pub fn decode(text: &str) -> Result<Cursor, CursorError> {
        Self::read(text).ok_or(CursorError::Malformed)
    }

    /// The clock by which the query of this cursor is to be read, where it matters; none of what is no cursor.
    pub fn clock(text: &str) -> Option<i64> {
        Self::read(text)?.clock
    }

    /// Whether this query, whose bounds these are, is the one that the cursor is of.
    ///
    /// # Errors
    /// What of it is another.
    pub fn check(&self, print: Print, from: Option<i64>, to: Option<i64>) -> Result<(), CursorError> {
        if self.print.view != print.view {
            return Err(CursorError::OtherView);
        }
        let same = [("q", self.print.filter == print.filter), ("from", self.from == from), ("to", self.to == to)];
        same.into_iter().find(|(_, same)| !same).map_or(Ok(()), |(name, _)| Err(CursorError::Other(name)))
    }

    fn read(text: &str) -> Option<Cursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if crc32c::crc32c(body).to_le_bytes() != sum || *body.first()? != VERSION {
            return None;
        }
        let long = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
        let maybe = |at: usize| Some((*body.get(at)? == 1).then_some(long(at + 1)? as i64));
        Some(Cursor {
            print: Print { view: long(1)?, filter: long(9)? },
            size: long(17)?,
            clock: maybe(25)?,
            from: maybe(34)?,
            to: maybe(43)?,
            time: long(52)? as i64,
            id: String::from_utf8(body.get(60..)?.to_vec()).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::View;
    use proptest::prelude::*;

    #[test]
    fn a_cursor_says_what_is_another_than_on_its_first_page() {
        let print = Print { view: 1, filter: 2 };
        let cursor = Cursor { print, clock: Some(3), size: 4, from: Some(5), to: None, time: 6, id: "a".into() };
        assert_eq!(cursor.check(print, Some(5), None), Ok(()));
        assert_eq!(cursor.check(Print { view: 9, ..print }, Some(5), None), Err(CursorError::OtherView));
        assert_eq!(cursor.check(Print { filter: 9, ..print }, Some(5), None), Err(CursorError::Other("q")));
        assert_eq!(cursor.check(print, Some(4), None), Err(CursorError::Other("from")));
        assert_eq!(cursor.check(print, None, None), Err(CursorError::Other("from")));
        assert_eq!(cursor.check(print, Some(5), Some(7)), Err(CursorError::Other("to")));
        assert_eq!(Cursor::clock(&cursor.encode()), Some(3));
        assert_eq!(Cursor::clock("x"), None);
        let (audit, event) = (Query::new(View::AuditLogs), Query::new(View::EventLogs));
        assert!(
            super::print(1, &audit) == super::print(1, &audit) && super::print(1, &audit) != super::print(2, &audit)
        );
        assert_ne!(super::print(1, &audit).view, super::print(1, &event).view);
    }

    proptest! {
        #[test]
        fn comes_back_as_it_was(
            size: u64, clock: Option<i64>, from: Option<i64>, to: Option<i64>, time: i64, id in "[ -~]{1,128}", view: u64, filter: u64,
        ) {
            let cursor = Cursor { print: Print { view, filter }, clock, size, from, to, time, id };
            prop_assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
        }

        #[test]
        fn anything_else_is_refused(text in ".{0,80}") {
            prop_assert_eq!(Cursor::decode(&text), Err(CursorError::Malformed));
        }
    }
}
