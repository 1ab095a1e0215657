//! Ory Network's project events. Their schemas are published and their path is not, so the path is a setting.
//!
//! A queried event has its attributes as a list of pairs where a streamed one has a map, and has neither `version` nor
//! `projectId`. It is written as a streamed one here, so that the same adapter reads it; its id is made from its content,
//! which is not that of the streamed form.

use crate::moment::Stamp;
use crate::object::{at, decode};
use crate::pull::{self, Answer, Ask, Config, Page, Pull, Trouble, Window};
use crate::{Reason, split};
use serde_json::{Map, Value, json};
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
        pull::only(config, &["path"], &["token"])?;
        config.base()?;
        pull::path(config, None)?;
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
        let (from, to) = (event::time::format(window.from), event::time::format(window.to));
        let mut url = format!(
            "{}{}?from={}&to={}&page_size={SIZE}",
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
        let text = split::text(answer.body);
        let list = at(&text, &["events"]).ok_or_else(|| Trouble::Refused("the answer has no `events`".into()))?;
        let cut = pull::cut(list, window, "timestamp", Stamp::Micros)?;
        let next = at(&text, &["page_token"]).map(Cow::Borrowed).and_then(|raw| decode(&raw).map(Cow::into_owned));
        let next = next.filter(|n| cut.all > 0 && pull::believable(n) && Some(n.as_str()) != page);
        Ok(Page { body: streamed(&cut.body), count: cut.count, next, wait: None, lost: None })
    }
}

/// The events as they are streamed. One that is none is left as it is.
fn streamed(list: &str) -> String {
    let Ok(events) = serde_json::from_str::<Vec<Value>>(list) else { return list.to_owned() };
    let events: Vec<Value> = events.into_iter().map(event).collect();
    json!(events).to_string()
}

/// A queried event as it is streamed, the very text that fetching it makes; `None` for anything else.
pub(super) fn as_streamed(text: &str) -> Option<String> {
    let queried: Value = serde_json::from_str(text).ok().filter(|event: &Value| event["attributes"].is_array())?;
    Some(event(queried)).filter(|event| event.get(super::ATTRIBUTES).is_some()).map(|event| event.to_string())
}

fn event(mut event: Value) -> Value {
    let Some(members) = event.as_object_mut() else { return event };
    let Some(pairs) = members.get("attributes").and_then(Value::as_array) else { return event };
    let mut map = Map::new();
    for pair in pairs {
        let (Some(key), Some(value)) = (pair.get("key").and_then(Value::as_str), pair.get("value")) else {
            return event;
        };
        // A name that stands there twice would lose a value.
        if map.insert(key.to_owned(), value.clone()).is_some() {
            return event;
        }
    }
    members.remove("attributes");
    members.insert("eventAttributes".into(), Value::Object(map));
    event
}
