//! Keycloak's admin API: `GET /admin/realms/{realm}/events` and `…/admin-events`.
//!
//! From 26.2 on both answer oldest first where `direction=asc` says so, and take moments as `dateFrom` and `dateTo`. That is asked for
//! first: so the state before a change was heard of before the change, however long the window is. A full page is followed by one that
//! begins with its last moment: no event is missed because others were removed meanwhile, as it would be by counting.
//!
//! Those before refuse such a moment, and answer newest first; `first` and `max` cut a page out, and `dateFrom`/`dateTo` are days whose
//! zone is the server's. So a walk begins at the window's end and stops at the first page that
//! reaches back before its beginning; what lies outside is dropped here. Events that arrive during a walk push others to later pages:
//! they come twice, never not at all.
//!
//! Only what the realm stores can be had (Realm settings → Events → Save events), which
//! `GET /admin/realms/{realm}/events/config` says.

use crate::Reason;
use crate::moment::Stamp;
use crate::pull::saving::{Saves, Saving};
use crate::pull::{self, Answer, Ask, Config, Page, Pull, Trouble, Window, size};
use serde_json::Value;
use std::borrow::Cow;

/// The admin API's lists of events.
#[derive(Debug)]
pub struct KeycloakEvents;

const EVENTS: &str = "events";
const ADMIN_EVENTS: &str = "admin-events";
/// Records of a page.
const MAX: usize = 500;
const DAY: i64 = 86_400_000_000;

impl Pull for KeycloakEvents {
    fn system(&self) -> &'static str {
        super::NAME
    }

    fn check(&self, config: &Config) -> Result<(), Reason> {
        let settings = ["realm", "login_realm", "client_id", "username", "events", "admin_events"];
        pull::only(config, &settings, &["client_secret", "password"])?;
        config.base()?;
        config.need("realm")?;
        for name in ["events", "admin_events"] {
            if config.settings.get(name).is_some_and(|v| !v.is_boolean()) {
                return Err(Reason::new("invalid_settings", format!("`settings.{name}` is true or false")));
            }
        }
        if self.streams(config).is_empty() {
            return Err(Reason::new(
                "invalid_settings",
                "`settings.events` and `settings.admin_events` are both false",
            ));
        }
        self.login(config).map(drop)
    }

    fn streams(&self, config: &Config) -> Vec<&'static str> {
        let on = |name: &str| config.settings.get(name).and_then(Value::as_bool).unwrap_or(true);
        [("events", EVENTS), ("admin_events", ADMIN_EVENTS)].iter().filter(|(n, _)| on(n)).map(|(_, s)| *s).collect()
    }

    fn step(&self) -> i64 {
        24 * 3600
    }

    fn most(&self) -> Option<usize> {
        Some(MAX)
    }

    fn divides(&self, page: Option<&str>) -> bool {
        // Days are the smallest that those before 26.2 know.
        !matches!(size::of(page, MAX).1.and_then(Place::parse), Some(Place::Back { .. }))
    }

    fn saves(&self) -> Option<&dyn Saves> {
        Some(self)
    }

    fn login(&self, config: &Config) -> Result<Option<Ask>, Reason> {
        let realm = pull::encoded(config.text("login_realm").map_or_else(|| config.need("realm"), Ok)?);
        let url = format!("{}/realms/{realm}/protocol/openid-connect/token", config.base()?);
        pull::oauth(config, url).map(Some)
    }

    fn ask(
        &self,
        config: &Config,
        token: &str,
        stream: &str,
        window: Window,
        page: Option<&str>,
    ) -> Result<Ask, Reason> {
        let (base, realm) = (config.base()?, pull::encoded(config.need("realm")?));
        let (max, page) = size::of(page, MAX);
        let place = Place::of(page, window);
        let (from, to, first, more) = match place {
            Place::Onward { from, first } => (from.to_string(), millis(window.to).to_string(), first, "&direction=asc"),
            // A day more at both ends, whatever the server's zone is and whether it counts the last day in.
            Place::Back { first } => {
                (day(window.from.saturating_sub(DAY)), day(window.to.saturating_add(DAY)), first, "")
            }
        };
        let url =
            format!("{base}/admin/realms/{realm}/{stream}?dateFrom={from}&dateTo={to}&first={first}&max={max}{more}");
        Ok(Ask::get(url, format!("Bearer {token}")))
    }

    fn read(&self, window: Window, page: Option<&str>, answer: &Answer<'_>, now: i64) -> Result<Page, Trouble> {
        let (max, page) = size::of(page, MAX);
        let place = Place::of(page, window);
        let onward = matches!(place, Place::Onward { .. });
        let next = |place: Place| size::with(max, MAX, Some(&place.to_string()));
        let back = Page { next: next(Place::Back { first: 0 }), ..Page::default() };
        if onward && answer.status == 400 {
            return Ok(back);
        }
        pull::good(answer, now)?;
        let text: Cow<'_, str> = crate::split::text(answer.body);
        let cut = pull::cut(&text, window, "time", Stamp::UnixMillis)?;
        if onward && cut.ends.is_some_and(|(first, last)| first > last) {
            return Ok(back);
        }
        let passed = match (place, cut.ends) {
            (Place::Onward { .. }, Some((_, last))) => Some(pull::onward(window, last)),
            _ => cut.passed(window),
        };
        let place = match place {
            _ if cut.all < max => None,
            Place::Back { .. } if cut.oldest.is_some_and(|oldest| oldest < window.from) => None,
            Place::Back { first } => first.checked_add(cut.all).map(|first| Place::Back { first }),
            Place::Onward { from, first } => match cut.ends.map(|(_, last)| millis(last)) {
                Some(last) if last > from => Some(Place::Onward { from: last, first: 0 }),
                // A page of one moment, and it may have more.
                _ => first.checked_add(cut.all).map(|first| Place::Onward { from, first }),
            },
        };
        let next = place.and_then(next);
        Ok(Page { body: cut.body, count: cut.count, next, passed, ..Page::default() })
    }
}

/// Where a page begins.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// So many events after the first of this millisecond, oldest first.
    Onward { from: i64, first: usize },
    /// So many events before the newest.
    Back { first: usize },
}

impl Place {
    fn of(page: Option<&str>, window: Window) -> Place {
        page.and_then(Place::parse).unwrap_or(Place::Onward { from: millis(window.from), first: 0 })
    }

    fn parse(page: &str) -> Option<Place> {
        let onward = |page: &str| {
            let (from, first) = page.strip_prefix("from:")?.split_once(':')?;
            Some(Place::Onward { from: from.parse().ok()?, first: first.parse().ok()? })
        };
        onward(page).or_else(|| Some(Place::Back { first: page.parse().ok()? }))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Onward { from, first } => write!(f, "from:{from}:{first}"),
            Place::Back { first } => write!(f, "{first}"),
        }
    }
}

/// Types without which nobody would know who came and went.
const SIGNING_IN: &[&str] = &["LOGIN", "LOGIN_ERROR", "LOGOUT"];

impl Saves for KeycloakEvents {
    fn ask(&self, config: &Config, token: &str) -> Result<Ask, Reason> {
        let (base, realm) = (config.base()?, pull::encoded(config.need("realm")?));
        Ok(Ask::get(format!("{base}/admin/realms/{realm}/events/config"), format!("Bearer {token}")))
    }

    fn read(&self, config: &Config, answer: &Answer<'_>, now: i64) -> Result<Saving, Trouble> {
        pull::good(answer, now)?;
        let said: Value = serde_json::from_slice(answer.body).unwrap_or_default();
        let asked = self.streams(config);
        let on = |stream: &str, name: &str| match said.get(name).and_then(Value::as_bool) {
            _ if !asked.contains(&stream) => Ok(true),
            Some(on) => Ok(on),
            None => Err(Trouble::Refused("its answer does not say so".into())),
        };
        let not = match (on(EVENTS, "eventsEnabled")?, on(ADMIN_EVENTS, "adminEventsEnabled")?) {
            (true, true) => None,
            (false, true) => Some("user events"),
            (true, false) => Some("admin events"),
            (false, false) if asked.len() == 1 => Some("events"),
            (false, false) => Some("events, neither those of users nor admin events"),
        };
        let not = not.map(|what| format!("the realm does not save its {what} (Realm settings, Events, Save events)"));
        let mut notes = Vec::new();
        if asked.contains(&ADMIN_EVENTS) && said.get("adminEventsDetailsEnabled") == Some(&Value::Bool(false)) {
            notes.push("admin events are saved without their representation: they do not say what was changed".into());
        }
        // No list, or an empty one, is all of them.
        let types = said.get("enabledEventTypes").and_then(Value::as_array).filter(|types| !types.is_empty());
        if let Some(types) = types.filter(|_| asked.contains(&EVENTS)) {
            let left: Vec<&str> = SIGNING_IN.iter().copied().filter(|kind| !types.iter().any(|t| t == kind)).collect();
            if !left.is_empty() {
                notes.push(format!("of user events it does not save {}", left.join(", ")));
            }
        }
        let keeps = said.get("eventsExpiration").and_then(Value::as_i64);
        let keeps = keeps.filter(|seconds| *seconds > 0 && asked.contains(&EVENTS));
        Ok(Saving { not, unknown: false, keeps, note: (!notes.is_empty()).then(|| notes.join("; ")) })
    }
}

/// Keycloak's moments, which are none before 1970.
fn millis(micros: i64) -> i64 {
    micros.div_euclid(1_000).max(0)
}

/// `2026-11-26`.
fn day(micros: i64) -> String {
    event::time::format(micros).chars().take(10).collect()
}
