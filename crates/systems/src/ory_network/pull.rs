//! Ory Network's project events. Their schemas are published and their path is not, so the path is a setting.
//!
//! A queried event has its attributes as a list of pairs where a streamed one has a map, and has neither `version` nor
//! `projectId`. It is written as a streamed one here, so that the same adapter reads it; what came in both ways is one record.

use crate::moment::Stamp;
use crate::object::{Object, at};
use crate::pull::{self, Answer, Ask, Config, Page, Pull, Trouble, Window, size};
use crate::{Reason, pairs, split};
use std::borrow::Cow;

/// The query of project events.
#[derive(Debug)]
pub struct OryEvents;

/// Events of a page.
const SIZE: usize = 500;

impl Pull for OryEvents {
    fn system(&self) -> &'static str {
        super::NAME
    }

    fn check(&self, config: &Config) -> Result<(), Reason> {
        pull::only(config, &["path", "project"], &["token"])?;
        config.base()?;
        pull::path(config, None)?;
        config.secret("token").map(drop)
    }

    fn most(&self) -> Option<usize> {
        Some(SIZE)
    }

    fn ask(
        &self,
        config: &Config,
        _token: &str,
        _stream: &str,
        window: Window,
        page: Option<&str>,
    ) -> Result<Ask, Reason> {
        let (most, page) = size::of(page, SIZE);
        let (from, to) = (event::time::format(window.from), event::time::format(window.to));
        let mut url = format!(
            "{}{}?from={}&to={}&page_size={most}",
            config.base()?,
            pull::path(config, None)?,
            pull::encoded(&from),
            pull::encoded(&to)
        );
        if let Some(token) = page {
            url.push_str("&page_token=");
            pull::encode(&mut url, token);
        }
        Ok(Ask::get(url, format!("Bearer {}", config.secret("token")?)))
    }

    fn read(&self, window: Window, page: Option<&str>, answer: &Answer<'_>, now: i64) -> Result<Page, Trouble> {
        pull::good(answer, now)?;
        let (most, page) = size::of(page, SIZE);
        let text = split::text(answer.body);
        pull::whole(&text)?;
        let list = at(&text, &["events"]).ok_or_else(|| Trouble::Refused("the answer has no `events`".into()))?;
        let cut = pull::cut(list, window, "timestamp", Stamp::Micros)?;
        let (passed, empty) = (cut.passed(window), cut.all == 0);
        let next = pull::next_token(pull::token_of(at(&text, &["page_token"]))?, page, empty)?;
        let next = next.and_then(|token| size::with(most, SIZE, Some(&token)));
        Ok(Page { body: streamed(&cut.body), count: cut.count, empty, next, passed, ..Page::default() })
    }
}

/// The events as they are streamed. One that is none is left as it is.
fn streamed(list: &str) -> String {
    let mut out = String::with_capacity(list.len() + 2);
    out.push('[');
    for piece in split::records(list) {
        let Ok(event) = piece.text else { return list.to_owned() };
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&as_streamed(&event).map_or(event, Cow::Owned));
    }
    out.push(']');
    out
}

/// A queried event as it is streamed, in the same words whether it was fetched or passed on; so is one whose attributes became a list on
/// their way here. `None` for anything else.
pub(super) fn as_streamed(event: &str) -> Option<String> {
    let mut event = Object::parse(event).ok()?;
    let place = if event.names().any(|name| name == super::ATTRIBUTES) { super::ATTRIBUTES } else { "attributes" };
    // A name that stands there twice would lose a value, and so would a pair of more than two.
    let attributes = pairs::object(event.member(place)?)?;
    event.take_member(place);
    event.add_object(super::ATTRIBUTES, attributes);
    let mut out = String::from("{");
    event.write_members(&mut out);
    out.push('}');
    Some(out)
}
