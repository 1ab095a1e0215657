//! Asgardeo's log search, as its console uses it. **Unofficial:** no specification of it is published, so it may change
//! without notice; that is why a source of this sort never says that nothing is missing.
//!
//! `POST /api/asgardeo/v2/logs/audit/search` with `startTime` and `endTime` in milliseconds as texts; later pages by
//! `nextToken`.

use crate::moment::Stamp;
use crate::object::at;
use crate::pull::{self, Answer, Ask, Config, Page, Pull, Trouble, Window, size};
use crate::{Reason, split};
use memchr::memmem;
use serde_json::json;

/// The search.
#[derive(Debug)]
pub struct AsgardeoSearch;

/// What the console asks for.
const LIMIT: usize = 100;
/// Audit logs.
const AUDIT: u8 = 1;

/// What it says to times that it does not search, and what that means.
const TIMES: [(&str, &str); 2] = [
    ("LM-10008", "they end before they begin (LM-10008)"),
    ("LM-10009", "they begin in its future (LM-10009); check this machine's clock"),
];

impl Pull for AsgardeoSearch {
    fn system(&self) -> &'static str {
        super::NAME
    }

    fn check(&self, config: &Config) -> Result<(), Reason> {
        pull::only(config, &["client_id", "token_url", "scope"], &["client_secret"])?;
        config.base()?;
        self.login(config).map(drop)
    }

    fn most(&self) -> Option<usize> {
        Some(LIMIT)
    }

    fn unknowable(&self) -> Option<&'static str> {
        Some("the log search is unofficial: nobody promises that it gives everything out")
    }

    fn login(&self, config: &Config) -> Result<Option<Ask>, Reason> {
        let url = match config.text("token_url") {
            Some(url) => pull::address("token_url", url)?.to_owned(),
            None => format!("{}/oauth2/token", config.base()?),
        };
        pull::oauth(config, url).map(Some)
    }

    fn ask(
        &self,
        config: &Config,
        token: &str,
        _stream: &str,
        window: Window,
        page: Option<&str>,
    ) -> Result<Ask, Reason> {
        let (most, page) = size::of(page, LIMIT);
        let url = format!("{}/api/asgardeo/v2/logs/audit/search", config.base()?);
        let body = match page {
            Some(next) => json!({ "limit": most, "filter": "", "nextToken": next }),
            None => json!({
                "limit": most,
                "filter": "",
                "startTime": window.from.div_euclid(1000).to_string(),
                "endTime": window.to.div_euclid(1000).to_string(),
                "logType": AUDIT,
            }),
        };
        Ok(Ask::post(url, format!("Bearer {token}"), &body))
    }

    fn read(&self, window: Window, page: Option<&str>, answer: &Answer<'_>, now: i64) -> Result<Page, Trouble> {
        if answer.status == 400
            && let Some((_, said)) = TIMES.iter().find(|(code, _)| memmem::find(answer.body, code.as_bytes()).is_some())
        {
            return Err(Trouble::Later(None, format!("the search refused the times that were asked for: {said}")));
        }
        pull::good(answer, now)?;
        let (most, page) = size::of(page, LIMIT);
        let text = split::text(answer.body);
        pull::whole(&text)?;
        let list = at(&text, &["logs"])
            .ok_or_else(|| Trouble::Refused("the answer has no `logs`; the log search is unofficial".into()))?;
        let cut = pull::cut(list, window, "recordedAt", Stamp::Micros)?;
        let (passed, empty) = (cut.passed(window), cut.all == 0);
        let next = pull::next_token(pull::token_of(at(&text, &["nextToken"]))?, page, empty)?;
        let next = next.and_then(|token| size::with(most, LIMIT, Some(&token)));
        Ok(Page { body: cut.body, count: cut.count, empty, next, passed, ..Page::default() })
    }
}
