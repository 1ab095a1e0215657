//! What is known of a source that is fetched from: its settings in numbers, and how far it was read.

use super::saved::Saved;
use crate::problem::Problem;
use catalog::Source;
use event::time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use systems::pull::Pull;

pub(super) const SECOND: i64 = 1_000_000;

/// The settings that every source has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// From when on its records are wanted, microseconds.
    pub since: i64,
    /// Between two looks for new records, seconds.
    pub interval: i64,
    /// How far each look goes back behind the one before, for records that come late, seconds.
    pub overlap: i64,
    /// How old records are before it is said that all of them are here, seconds.
    pub settle: i64,
    /// Between two comparisons, seconds.
    pub check: i64,
    /// How long it keeps its records, seconds.
    pub keeps: Option<i64>,
    /// Nothing is fetched.
    pub paused: bool,
}

impl Plan {
    /// Reads the settings. Without `since` a source begins when it was made.
    ///
    /// # Errors
    /// Names the setting and its limits.
    pub(super) fn of(settings: &Map<String, Value>, made: i64, pull: &dyn Pull) -> Result<Plan, Problem> {
        let bad = |what: String| Problem::bad("invalid_source", what);
        let number = |name: &str, default: i64, least: i64, most: i64| match settings.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(v) => v
                .as_i64()
                .filter(|n| (least..=most).contains(n))
                .ok_or_else(|| bad(format!("`settings.{name}` is a whole number from {least} to {most}"))),
        };
        let since = match settings.get("since") {
            None | Some(Value::Null) => made,
            Some(v) => v
                .as_str()
                .and_then(time::parse)
                .filter(|at| *at >= 0)
                .ok_or_else(|| bad("`settings.since` is a time as RFC 3339 writes it, from 1970 on".into()))?,
        };
        let paused = match settings.get("paused") {
            None | Some(Value::Null) => false,
            Some(v) => v.as_bool().ok_or_else(|| bad("`settings.paused` is true or false".into()))?,
        };
        let keeps = number("retention_days", pull.keeps_days().map_or(0, i64::from), 0, 36_500)?;
        Ok(Plan {
            since,
            interval: number("interval_seconds", 30, 1, 86_400)?,
            // No more than half a window, or a look would never get on.
            overlap: number("overlap_seconds", 120, 0, 86_400)?.min(pull.step() / 2),
            settle: number("settle_seconds", 300, 0, 86_400)?,
            check: number("check_minutes", 60, 1, 44_640)?.saturating_mul(60),
            keeps: (keeps > 0).then(|| keeps.saturating_mul(86_400)),
            paused,
        })
    }
}

/// How far a source was read, per stream. What the catalog keeps as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    pub streams: BTreeMap<String, Stream>,
    /// Whether it saves its events, where it was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub saved: Option<Saved>,
    /// From when on the second comparison of a day later is still to be done, where one did not come to its end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub again: Option<i64>,
}

/// How far one stream was read. Every record before all this is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stream {
    /// Where the window begins that is next, or under way.
    pub from: i64,
    /// Where the one under way ends.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<i64>,
    /// Its next page.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<String>,
    /// Everything before this was asked for.
    pub until: i64,
}

impl Position {
    /// Of a source; a text that is none begins again, which costs time and no record.
    pub(super) fn of(source: &Source) -> Position {
        source.position.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    pub(super) fn stream(&self, name: &str, since: i64) -> Stream {
        self.streams.get(name).cloned().unwrap_or(Stream { from: since, to: None, page: None, until: since })
    }

    /// Everything before this was asked for in every one of these streams.
    pub(super) fn until(&self, streams: &[&str], since: i64) -> i64 {
        streams.iter().map(|name| self.stream(name, since).until).min().unwrap_or(since)
    }
}
