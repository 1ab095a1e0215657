//! Page cursors: opaque to the caller, bound to one tenant and query, carrying the snapshot.

use crate::lang::Query;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Where a page goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
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

/// Why a cursor was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not made by this server.
    #[error("the cursor is not one that this server gave out; start again without it")]
    Malformed,
    /// Made for another query.
    #[error(
        "the cursor belongs to another query; send the same view, filter and bounds as on the first page, or start again without it"
    )]
    OtherQuery,
}

const VERSION: u8 = 1;

/// What a query is recognised by: view, filter, and whether it has bounds. Not where they lie: "now-7d" is
/// another instant on every page, and the cursor carries the first page's.
pub fn fingerprint(tenant: u32, query: &Query) -> u64 {
    let text = format!(
        "{tenant}/{}/{}/{:?}/{:?}",
        query.view.name(),
        query.filter.to_json(query.view),
        query.from.is_some(),
        query.to.is_some()
    );
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}

impl Cursor {
    /// As text for the caller.
    pub fn encode(&self, fingerprint: u64) -> String {
        let mut out = vec![VERSION];
        out.extend_from_slice(&fingerprint.to_le_bytes());
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

    /// Reads a cursor of this query.
    ///
    /// # Errors
    /// [`CursorError`].
    pub fn decode(text: &str, fingerprint: u64) -> Result<Cursor, CursorError> {
        Self::read(text, fingerprint).ok_or(CursorError::Malformed)?
    }

    fn read(text: &str, fingerprint: u64) -> Option<Result<Cursor, CursorError>> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if crc32c::crc32c(body).to_le_bytes() != sum || *body.first()? != VERSION {
            return None;
        }
        let long = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
        if long(1)? != fingerprint {
            return Some(Err(CursorError::OtherQuery));
        }
        let bound = |at: usize| Some((*body.get(at)? == 1).then_some(long(at + 1)? as i64));
        Some(Ok(Cursor {
            size: long(9)?,
            from: bound(17)?,
            to: bound(26)?,
            time: long(35)? as i64,
            id: String::from_utf8(body.get(43..)?.to_vec()).ok()?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn comes_back_and_is_bound_to_its_query(size: u64, from: Option<i64>, to: Option<i64>, time: i64, id in "[ -~]{1,128}", f: u64) {
            let cursor = Cursor { size, from, to, time, id };
            let text = cursor.encode(f);
            prop_assert_eq!(Cursor::decode(&text, f), Ok(cursor));
            prop_assert_eq!(Cursor::decode(&text, f ^ 1), Err(CursorError::OtherQuery));
        }

        #[test]
        fn anything_else_is_refused(text in ".{0,80}") {
            prop_assert!(Cursor::decode(&text, 7).is_err());
        }
    }
}
