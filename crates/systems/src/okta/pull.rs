//! Okta's System Log: `GET /api/v1/logs` with `since`, `until` and `sortOrder=ASCENDING`.
//!
//! A query with an end ends: the last page has no `rel="next"` link. An empty one that has it is not the last. Of a link
//! only its `after` is believed; the address stays ours. The rate limit is in every answer (`x-rate-limit-remaining`, `x-rate-limit-reset`).

use crate::moment::Stamp;
use crate::pull::{self, Answer, Ask, Config, MAX_PAGE, Page, Pull, Trouble, Window, size};
use crate::{Reason, split};

/// The System Log.
#[derive(Debug)]
pub struct OktaLogs;

impl Pull for OktaLogs {
    fn system(&self) -> &'static str {
        "okta"
    }

    fn check(&self, config: &Config) -> Result<(), Reason> {
        pull::only(config, &[], &["token"])?;
        config.base()?;
        config.secret("token").map(drop)
    }

    fn keeps_days(&self) -> Option<u32> {
        Some(90)
    }

    fn most(&self) -> Option<usize> {
        Some(MAX_PAGE)
    }

    fn ask(
        &self,
        config: &Config,
        _token: &str,
        _stream: &str,
        window: Window,
        page: Option<&str>,
    ) -> Result<Ask, Reason> {
        let (most, page) = size::of(page, MAX_PAGE);
        let (since, until) = (event::time::format(window.from), event::time::format(window.to));
        let mut url = format!(
            "{}/api/v1/logs?since={}&until={}&sortOrder=ASCENDING&limit={most}",
            config.base()?,
            pull::encoded(&since),
            pull::encoded(&until)
        );
        if let Some(after) = page {
            url.push_str("&after=");
            url.push_str(after);
        }
        Ok(Ask::get(url, format!("SSWS {}", config.secret("token")?)))
    }

    fn read(&self, window: Window, page: Option<&str>, answer: &Answer<'_>, now: i64) -> Result<Page, Trouble> {
        pull::good(answer, now)?;
        let (most, page) = size::of(page, MAX_PAGE);
        let text = split::text(answer.body);
        let cut = pull::cut(&text, window, "published", Stamp::Millis)?;
        let next = pull::next_token(after(answer)?, page, cut.all == 0)?;
        if next.as_deref().is_some_and(|token| !token.bytes().all(in_query)) {
            return Err(Trouble::Refused("the link to the next page has an `after` that no address may have".into()));
        }
        let spent = answer.header("x-rate-limit-remaining").and_then(|t| t.trim().parse::<u64>().ok()) == Some(0);
        let wait = if spent { pull::retry_after(answer, now) } else { None };
        let passed = cut.ends.map(|(_, last)| pull::onward(window, last));
        let next = next.and_then(|token| size::with(most, MAX_PAGE, Some(&token)));
        Ok(Page { body: cut.body, count: cut.count, empty: cut.all == 0, next, wait, lost: None, passed })
    }
}

/// The `after` of the link to the next page, as it stands there; `None` where there is no such link.
///
/// # Errors
/// A link to the next page that has none: taking that for the end would leave out what follows without a word.
fn after(answer: &Answer<'_>) -> Result<Option<String>, Trouble> {
    let links = answer.headers.iter().filter(|(name, _)| name == "link");
    let Some(url) = links.flat_map(|(_, value)| links_of(value)).find_map(|(url, next)| next.then_some(url)) else {
        return Ok(None);
    };
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    match query.split('&').find_map(|pair| pair.strip_prefix("after=")).filter(|after| !after.is_empty()) {
        Some(after) => Ok(Some(after.to_owned())),
        None => Err(Trouble::Later(
            None,
            "the link to the next page has no `after`; what follows cannot be asked for".into(),
        )),
    }
}

/// The links of a header (RFC 8288, section 3), and whether each leads to the next page. An address may have commas and semicolons.
fn links_of(header: &str) -> impl Iterator<Item = (&str, bool)> {
    header.split('<').skip(1).filter_map(|link| {
        let (url, parameters) = link.split_once('>')?;
        let next = |parameter: &str| {
            let Some((name, value)) = parameter.split_once('=') else { return false };
            let mut relations = value.trim().trim_end_matches(',').trim().trim_matches('"').split_whitespace();
            name.trim().eq_ignore_ascii_case("rel") && relations.any(|one| one.eq_ignore_ascii_case("next"))
        };
        Some((url, parameters.split(';').any(next)))
    })
}

/// What may stand in an address's query as it is (RFC 3986, section 3.4), but for what ends a part of it.
fn in_query(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~%!$'()*+,;=:@/?".contains(&b)
}
