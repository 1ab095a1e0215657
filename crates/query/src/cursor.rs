//! Page cursors: opaque to the caller, bound to one tenant and query, carrying the snapshot.

use crate::lang::Query;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Where a page goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Whose query it is.
    pub print: Print,
    /// The snapshot: only records with an index below.
    pub size: u64,
    /// Bounds of the first page, so that "the last seven days" stays the same seven days.
    pub from: Option<i64>,
    /// See `from`.
    pub to: Option<i64>,
    /// The page goes on after this row: its time…
    pub time: i64,
    /// …and id.
    pub id: String,
}

/// What a query is recognised by. Not where its bounds lie: "now-7d" is another instant on every page, and the cursor carries the
/// first page's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print {
    /// Tenant and view.
    view: u64,
    filter: u64,
    /// How `from` and `to` were written.
    said: [u64; 2],
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
        said: query.said,
    }
}

impl Cursor {
    /// As text for the caller.
    pub fn encode(&self) -> String {
        let mut out = vec![VERSION];
        for print in [self.print.view, self.print.filter, self.print.said[0], self.print.said[1]] {
            out.extend_from_slice(&print.to_le_bytes());
        }
        out.extend_from_slice(&self.size.to_le_bytes());
        for bound in [self.from, self.to] {
            out.push(u8::from(bound.is_some()));
            out.extend_from_slice(&bound.unwrap_or(0).to_le_bytes());
        }
        out.extend_from_slice(&self.time.to_le_bytes());
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        URL_SAFE_NO_PAD.encode(out)
    }

    /// Reads the cursor of a query, which has to be the one of the first page. A bound is the same where it is the same instant,
    /// however it is written, or written in the same words.
    ///
    /// # Errors
    /// [`CursorError`].
    pub fn decode(text: &str, tenant: u32, query: &Query) -> Result<Cursor, CursorError> {
        let cursor = Self::read(text).ok_or(CursorError::Malformed)?;
        let now = print(tenant, query);
        if cursor.print.view != now.view {
            return Err(CursorError::OtherView);
        }
        if cursor.print.filter != now.filter {
            return Err(CursorError::Other("q"));
        }
        let bounds = [("from", cursor.from, query.from, 0), ("to", cursor.to, query.to, 1)];
        for (name, then, given, at) in bounds {
            let same_words = cursor.print.said[at] == now.said[at];
            // Without any bound the first page had some of its own, and the cursor carries them.
            if then != given && !same_words {
                return Err(CursorError::Other(name));
            }
        }
        Ok(cursor)
    }

    fn read(text: &str) -> Option<Cursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if crc32c::crc32c(body).to_le_bytes() != sum || *body.first()? != VERSION {
            return None;
        }
        let long = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
        let bound = |at: usize| Some((*body.get(at)? == 1).then_some(long(at + 1)? as i64));
        Some(Cursor {
            print: Print { view: long(1)?, filter: long(9)?, said: [long(17)?, long(25)?] },
            size: long(33)?,
            from: bound(41)?,
            to: bound(50)?,
            time: long(59)? as i64,
            id: String::from_utf8(body.get(67..)?.to_vec()).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::{Clock, View, text};
    use proptest::prelude::*;

    fn query(q: &str, from: &str, to: &str, now: i64) -> Query {
        let clock = Clock::utc(now);
        let mut query = Query::new(View::EventLogs);
        query.filter = text::parse(q, View::EventLogs, &clock).unwrap();
        query.lift_time();
        let bound = |text: &str| (!text.is_empty()).then(|| crate::lang::time::parse(text, &clock).unwrap().start);
        query.from = bound(from).or(query.from);
        query.to = bound(to).or(query.to);
        query.written(q, Some(from), Some(to));
        query
    }

    fn cursor(query: &Query) -> Cursor {
        let (from, to) = (query.from.or(Some(5)), query.to);
        Cursor { print: print(1, query), size: 9, from, to, time: 7, id: "a".into() }
    }

    #[test]
    fn a_cursor_goes_on_with_the_query_that_it_is_of_and_says_what_is_another() {
        const DAY: i64 = 86_400_000_000;
        let now = 1_700_000_000_000_000;
        let first = query("email:a", "now-7d", "2023-11-01T00:00:00Z", now);
        let text = cursor(&first).encode();
        let other = |query: &Query| Cursor::decode(&text, 1, query).map(drop);
        assert_eq!(other(&first), Ok(()));
        assert_eq!(other(&query("email:a", "now-7d", "2023-11-01T01:00:00+01:00", now + DAY)), Ok(()), "a day later");
        let exact = event::time::format(now - 7 * DAY);
        assert_eq!(other(&query("email:a", &exact, "2023-11-01T00:00:00Z", now)), Ok(()), "as the page says it");
        for (q, from, to, wrong) in [
            ("email:b", "now-7d", "2023-11-01T00:00:00Z", "q"),
            ("", "now-7d", "2023-11-01T00:00:00Z", "q"),
            ("email:a", "now-8d", "2023-11-01T00:00:00Z", "from"),
            ("email:a", "", "2023-11-01T00:00:00Z", "from"),
            ("email:a", "now-7d", "2023-11-02T00:00:00Z", "to"),
            ("email:a", "now-7d", "", "to"),
        ] {
            let e = other(&query(q, from, to, now));
            assert_eq!(e, Err(CursorError::Other(wrong)), "{q} {from} {to}");
        }
        assert_eq!(Cursor::decode(&text, 2, &first), Err(CursorError::OtherView));

        // The last seven days, which nobody wrote, and bounds in the filter.
        let bare = query("", "", "", now);
        let text = cursor(&bare).encode();
        assert!(Cursor::decode(&text, 1, &bare).is_ok());
        let later = query("", "now-1d", "", now);
        assert_eq!(Cursor::decode(&text, 1, &later), Err(CursorError::Other("from")));
        let text = cursor(&query("created_on:>=now-2d", "", "", now)).encode();
        assert!(Cursor::decode(&text, 1, &query("created_on:>=now-2d", "", "", now + DAY)).is_ok());
        let later = query("created_on:>=now-3d", "", "", now);
        assert_eq!(Cursor::decode(&text, 1, &later), Err(CursorError::Other("from")));
    }

    proptest! {
        #[test]
        fn comes_back_as_it_was(size: u64, from: Option<i64>, to: Option<i64>, time: i64, id in "[ -~]{1,128}", f: [u64; 4]) {
            let print = Print { view: f[0], filter: f[1], said: [f[2], f[3]] };
            let cursor = Cursor { print, size, from, to, time, id };
            prop_assert_eq!(Cursor::read(&cursor.encode()), Some(cursor));
        }

        #[test]
        fn anything_else_is_refused(text in ".{0,80}") {
            let query = Query::new(View::Records);
            prop_assert_eq!(Cursor::decode(&text, 1, &query), Err(CursorError::Malformed));
        }
    }
}
