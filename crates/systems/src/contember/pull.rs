//! Contember's `authLog` over GraphQL: `POST /tenant`.
//!
//! It answers newest first and 500 at most, and an offset into a list that grows repeats and skips. So only time moves:
//! the next page ends where this one's oldest entry is. Times are in milliseconds, so entries of that millisecond are
//! asked for again; more than a page of them in one millisecond cannot be had, and is told as lost.

use crate::moment::Stamp;
use crate::object::{at, decode};
use crate::pull::{self, Answer, Ask, Config, Page, Pull, Trouble, Window};
use crate::{Reason, moment, split};
use serde_json::json;
use std::borrow::Cow;

/// The query `authLog`.
#[derive(Debug)]
pub struct ContemberAuthLog;

/// What the server gives at most, whatever is asked for.
const LIMIT: usize = 500;
const QUERY: &str = "query($after: DateTime, $before: DateTime, $limit: Int) { \
authLog(filter: {createdAfter: $after, createdBefore: $before}, limit: $limit) { hasMore entries { \
id createdAt type success invokedByIdentityId personId targetPersonId personInputIdentifier errorCode errorMessage \
ipAddress userAgent identityProviderId metadata eventData } } }";
/// What the server says to a token without the permission.
const FORBIDDEN: &str = "not allowed to view the audit log";
/// Characters of any other error that are told.
const SHOWN: usize = 200;
const PATH: &str = "/tenant";
const MILLI: i64 = 1000;

impl Pull for ContemberAuthLog {
    fn system(&self) -> &'static str {
        super::NAME
    }

    fn check(&self, config: &Config) -> Result<(), Reason> {
        pull::only(config, &["path"], &["token"])?;
        config.base()?;
        pull::path(config, Some(PATH))?;
        config.secret("token").map(drop)
    }

    fn ask(
        &self,
        config: &Config,
        _token: &str,
        _stream: &str,
        window: Window,
        page: Option<&str>,
    ) -> Result<Ask, Reason> {
        let before = end(window, page);
        let variables = json!({ "after": millis(floor(window.from)), "before": millis(before), "limit": LIMIT });
        let url = format!("{}{}", config.base()?, pull::path(config, Some(PATH))?);
        let body = json!({ "query": QUERY, "variables": variables });
        Ok(Ask::post(url, format!("Bearer {}", config.secret("token")?), &body))
    }

    fn read(&self, window: Window, page: Option<&str>, answer: &Answer<'_>, now: i64) -> Result<Page, Trouble> {
        pull::good(answer, now)?;
        let text = split::text(answer.body);
        pull::whole(&text)?;
        let Some(list) = at(&text, &["data", "authLog", "entries"]) else {
            let message = at(&text, &["errors", "0", "message"]).map(Cow::Borrowed);
            return Err(match message.as_ref().and_then(decode) {
                Some(said) if said.contains(FORBIDDEN) => Trouble::Refused(
                    "the token may not read authLog; it needs the permission system:viewAuthLog".into(),
                ),
                Some(said) => {
                    let shown: String = said.chars().take(SHOWN).collect();
                    Trouble::Later(None, format!("authLog was answered with the error {shown:?}"))
                }
                None => Trouble::Later(None, "the answer has no data.authLog.entries".into()),
            });
        };
        let before = end(window, page);
        // From the whole millisecond on: the server knows no smaller part.
        let asked = Window { from: floor(window.from), to: before };
        let cut = pull::cut(list, asked, "createdAt", Stamp::Millis)?;
        let passed = cut.oldest.map(|oldest| window.to.saturating_sub(oldest).max(0));
        let mut out = Page { body: cut.body, count: cut.count, passed, ..Page::default() };
        let more = match at(&text, &["data", "authLog", "hasMore"]) {
            Some("true") => true,
            Some("false") => false,
            _ => return Err(Trouble::Later(None, "the answer does not say whether there is more (`hasMore`)".into())),
        };
        if more {
            // Taken for the last page, what follows would be missing without a word.
            let Some(oldest) = cut.oldest else {
                let why = "the answer says that there is more, and has no entry with a time";
                return Err(Trouble::Later(None, why.into()));
            };
            // That millisecond once more, as it may go on.
            let next = floor(oldest).saturating_add(MILLI);
            if next < before {
                out.next = Some(next.to_string());
            } else {
                // Nothing but this one millisecond came, and the rest of it cannot be asked for.
                let stuck = floor(oldest);
                out.lost = Some((
                    Window { from: stuck, to: stuck.saturating_add(MILLI) },
                    "a whole page of authLog lies in one millisecond, and the rest of that cannot be asked for",
                ));
                out.next = (stuck < before && stuck > window.from).then(|| stuck.to_string());
            }
        }
        Ok(out)
    }
}

/// Where the page ends: inside the window, on a whole millisecond.
fn end(window: Window, page: Option<&str>) -> i64 {
    let to = floor(window.to.saturating_add(MILLI - 1));
    page.and_then(|p| p.parse().ok()).map_or(to, |before: i64| before.min(to))
}

fn floor(micros: i64) -> i64 {
    micros.div_euclid(MILLI).saturating_mul(MILLI)
}

fn millis(micros: i64) -> String {
    moment::Stamp::Millis.write(micros).trim_matches('"').to_owned()
}
