//! The last known state of the entities that sources tell about.
//!
//! Owns: what is remembered per tenant, its bounds, and bringing it back after a start. Not here: what a record says about
//! a state (`systems::change`), and what is derived from it for one batch (`deriving`).
//!
//! Nothing of this is stored: the records are the only copy, and what is here can be had again from them at any time. So
//! a crash loses nothing, and what is erased from the records comes back from nowhere. A state is kept as it was stored:
//! redacted, canonical. It is taken over only once the record that says it is sealed. Beside it stands a fingerprint of each value
//! that was redacted, made with a key that this process alone has and forgets: enough to see that a secret is another one now.

use crate::app::App;
use crate::problem::Problem;
use catalog::Tenant;
use event::redact::{Canonical, Context, Rules};
use lru::LruCache;
use parking_lot::Mutex;
use query::lang::{Clock, text};
use query::{Access, View};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use systems::change::{self, Change, Says};

/// Tenants whose states are remembered.
const TENANTS: usize = 16;
/// Bytes of one tenant's states: some ten thousand users, or three thousand clients.
const TENANT_BYTES: usize = 16 << 20;
/// What a state costs beside its texts.
const OVERHEAD: usize = 160;
/// The longest state that is kept.
const MAX_STATE: usize = 256 << 10;
/// Records that are looked at, newest first, to know a tenant's states after a start; and how long that may take.
const LOOK_BACK: usize = 100_000;
const LOOK_TIME: Duration = Duration::from_secs(3);

/// Fingerprints of one state, at most.
const MAX_HIDDEN: usize = 64;

/// Every tenant's states; the one used longest ago goes.
pub struct States {
    tenants: Mutex<LruCache<u32, Arc<Mutex<Known>>>>,
    /// Of the fingerprints.
    key: RandomState,
}

impl Default for States {
    fn default() -> States {
        let tenants = LruCache::new(NonZeroUsize::new(TENANTS).unwrap_or(NonZeroUsize::MIN));
        States { tenants: Mutex::new(tenants), key: RandomState::new() }
    }
}

/// Fingerprints of the values that were redacted in a state, by JSON pointer. Sixty-four bits: that two secrets have the same is one
/// chance in 10¹⁹.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hidden(Vec<(String, u64)>);

impl Hidden {
    /// Of a state as it came, with the list of what was redacted in its record.
    fn of(state: &str, redactions: &str, key: &RandomState) -> Hidden {
        let marks: Vec<Mark<'_>> = serde_json::from_str(redactions).unwrap_or_default();
        let mut places: Vec<&str> = marks.iter().filter_map(|mark| mark.pointer.strip_prefix("/new")).collect();
        places.retain(|place| place.starts_with('/'));
        places.dedup();
        if places.is_empty() {
            return Hidden::default();
        }
        let state: Value = serde_json::from_str(state).unwrap_or_default();
        let found = places.into_iter().filter_map(|place| Some((place.to_owned(), state.pointer(place)?)));
        Hidden(found.take(MAX_HIDDEN).map(|(place, value)| (place, key.hash_one(value))).collect())
    }

    fn at(&self, place: &str) -> Option<u64> {
        self.0.iter().find(|(own, _)| own == place).map(|(_, print)| *print)
    }

    /// The places where another value stands than in the state before.
    pub(crate) fn changed(&self, before: &Hidden) -> Vec<&str> {
        let other = |(place, print): &&(String, u64)| before.at(place).is_some_and(|was| was != *print);
        self.0.iter().filter(other).map(|(place, _)| place.as_str()).collect()
    }

    /// With those of the state before of which this part of a state says nothing.
    pub(crate) fn over(mut self, before: Hidden) -> Hidden {
        let room = MAX_HIDDEN.saturating_sub(self.0.len());
        let rest: Vec<_> = before.0.into_iter().filter(|(place, _)| self.at(place).is_none()).take(room).collect();
        self.0.extend(rest);
        self
    }

    fn size(&self) -> usize {
        self.0.iter().map(|(place, _)| place.len() + OVERHEAD / 4).sum()
    }
}

/// An entry of the list of redactions.
#[derive(Deserialize)]
struct Mark<'a> {
    #[serde(borrow)]
    pointer: Cow<'a, str>,
}

/// What is known of one entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// When the record that said so happened, microseconds UTC.
    pub(crate) at: i64,
    /// That record's id.
    pub(crate) id: Arc<str>,
    /// Canonical JSON; `None` once it is gone.
    pub(crate) text: Option<Arc<str>>,
    /// What was redacted in it. Empty where it was brought back from the records, which do not have it.
    pub(crate) hidden: Hidden,
    /// The name under which the entity's state is, where this is only another name for it.
    pub(crate) leads: Option<Arc<str>>,
}

/// One tenant's states, by source and entity.
#[derive(Debug)]
pub(crate) struct Known {
    /// The rules they were redacted with; `None` before they were brought back.
    rules: Option<Arc<Rules>>,
    states: LruCache<Box<str>, State>,
    bytes: usize,
}

impl Default for Known {
    fn default() -> Known {
        Known { rules: None, states: LruCache::unbounded(), bytes: 0 }
    }
}

/// The name that a state is kept under.
pub(crate) fn key(source: &str, entity: &str) -> String {
    format!("{source} {entity}")
}

/// What is known before a record, and under which name it goes on.
pub(crate) struct Before {
    /// The name of its state from now on.
    pub(crate) key: String,
    /// The state before; that of another name where the record gives the entity a new one.
    pub(crate) state: Option<State>,
    /// What else is so once the record is sealed: where its other name leads, and that it has an old one no more.
    pub(crate) beside: Vec<(String, State)>,
}

impl Before {
    /// What `get` knows of the entity of a change that the record `id` of a source tells, at `at`.
    pub(crate) fn of(
        source: &str,
        change: &Change,
        at: i64,
        id: &str,
        get: &mut dyn FnMut(&str) -> Option<State>,
    ) -> Before {
        let mut key = key(source, &change.entity);
        let mut state = get(&key);
        if let Some(name) = state.as_ref().and_then(|state| state.leads.clone()) {
            state = get(&name);
            key = name.to_string();
        }
        let mut beside = Vec::new();
        let old = key.clone();
        if let Some(new) = change.becomes.as_deref().filter(|_| change.says == Says::Part) {
            key = self::key(source, new);
        }
        let other = |leads| State { at, id: id.into(), text: None, hidden: Hidden::default(), leads };
        if let Some(alias) = change.alias.as_deref().filter(|_| change.says != Says::Nothing) {
            let alias = self::key(source, alias);
            let led = get(&alias).filter(|known| known.at <= at).and_then(|known| known.leads);
            if let Some(old) = led.filter(|old| **old != *key && change.says == Says::Part) {
                state = state.filter(|known| known.text.is_some()).or_else(|| get(&old));
                beside.push((old.to_string(), other(None)));
            }
            beside.push((alias, other(Some(key.as_str().into()))));
        }
        if old != key {
            beside.retain(|(name, _)| *name != old);
            beside.push((old, other(None)));
        }
        Before { key, state, beside }
    }
}

impl States {
    /// A tenant's states, brought back from its records if that is due.
    ///
    /// # Errors
    /// Records that cannot be read.
    pub(crate) fn of(&self, app: &App, tenant: &Arc<Tenant>, rules: &Arc<Rules>) -> Result<Arc<Mutex<Known>>, Problem> {
        let known = Arc::clone(self.tenants.lock().get_or_insert(tenant.number, Arc::default));
        {
            let mut known = known.lock();
            // Other rules may remove what is kept here.
            if known.rules.as_ref().is_none_or(|had| !Arc::ptr_eq(had, rules)) {
                *known = Known::default();
                bring_back(app, tenant, rules, &mut known)?;
                known.rules = Some(Arc::clone(rules));
            }
        }
        Ok(known)
    }

    /// Fingerprints of what was redacted in a state as it came.
    pub(crate) fn hidden(&self, state: &str, redactions: &str) -> Hidden {
        Hidden::of(state, redactions, &self.key)
    }

    /// Takes over what sealed records say. A state that is newer stays.
    pub(crate) fn learn(&self, tenant: u32, learned: Vec<(String, State)>) {
        if learned.is_empty() {
            return;
        }
        let known = self.tenants.lock().get(&tenant).map(Arc::clone);
        if let Some(known) = known {
            let mut known = known.lock();
            learned.into_iter().for_each(|(key, state)| known.put(key, state));
        }
    }

    /// Forgets everything that names a person: what erasure calls. What the records still say may come back from them.
    pub(crate) fn forget(&self, tenant: u32, person: &str) {
        let known = self.tenants.lock().get(&tenant).map(Arc::clone);
        if let Some(known) = known {
            known.lock().forget(person);
        }
    }
}

impl Known {
    /// What is known under a key.
    pub(crate) fn get(&mut self, key: &str) -> Option<State> {
        self.states.get(key).cloned()
    }

    fn put(&mut self, key: String, state: State) {
        if self.states.peek(key.as_str()).is_some_and(|known| known.at > state.at) {
            return;
        }
        if state.text.as_ref().is_some_and(|text| text.len() > MAX_STATE) {
            // What was known is not true any more.
            self.remove(&key);
            return;
        }
        let key = key.into_boxed_str();
        self.bytes += size(&key, &state);
        if let Some((key, old)) = self.states.push(key, state) {
            self.bytes -= size(&key, &old).min(self.bytes);
        }
        while self.bytes > TENANT_BYTES {
            let Some((key, old)) = self.states.pop_lru() else { break };
            self.bytes -= size(&key, &old).min(self.bytes);
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some((key, old)) = self.states.pop_entry(key) {
            self.bytes -= size(&key, &old).min(self.bytes);
        }
    }

    fn forget(&mut self, person: &str) {
        let named: Vec<Box<str>> = self
            .states
            .iter()
            .filter(|(key, state)| key.contains(person) || state.text.as_ref().is_some_and(|t| t.contains(person)))
            .map(|(key, _)| key.clone())
            .collect();
        named.iter().for_each(|key| self.remove(key));
    }
}

fn size(key: &str, state: &State) -> usize {
    let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
    OVERHEAD + key.len() + state.id.len() + text(&state.text) + text(&state.leads) + state.hidden.size()
}

/// The members of a stored envelope that say a state.
#[derive(Deserialize)]
struct Said {
    id: String,
    time: String,
    index: u64,
    source: String,
    new: Option<Box<RawValue>>,
}

/// Brings back what the records say: the newest first up to the bounds, then in their order through the same function as
/// always.
fn bring_back(app: &App, tenant: &Arc<Tenant>, rules: &Arc<Rules>, known: &mut Known) -> Result<(), Problem> {
    if app.store().ledger().size(tenant.number) == 0 {
        return Ok(());
    }
    let started = Instant::now();
    for system in systems::SYSTEMS {
        let Some(filter) = system.states() else { continue };
        let mut query = query::Query::new(View::Records);
        query.filter =
            text::parse(&format!("source:{} ({filter})", system.name()), View::Records, &Clock::utc(app.store().now()))
                .map_err(query::Error::Query)?;
        query.limit = Some(query::MAX_LIMIT);
        let mut found: Vec<(i64, Change, Said)> = Vec::new();
        let (mut seen, mut bytes) = (0, 0);
        while seen < LOOK_BACK && bytes < 2 * TENANT_BYTES && started.elapsed() < LOOK_TIME {
            let page = app.engine.page(tenant, &query, Access { bodies: false })?;
            seen += page.items.len();
            for item in &page.items {
                let Ok(envelope) = serde_json::from_str::<Value>(item) else { continue };
                let Some(change) = system.change(&envelope).filter(|c| c.says != Says::Nothing) else {
                    continue;
                };
                let Ok(said) = serde_json::from_str::<Said>(item) else { continue };
                let Some(at) = change.at.or_else(|| event::time::parse(&said.time)) else { continue };
                bytes += said.new.as_ref().map_or(0, |new| new.get().len()) + OVERHEAD;
                found.push((at, change, said));
            }
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                break;
            }
        }
        // Sources count milliseconds; within one the order is that of sealing.
        found.sort_by_key(|(at, _, said)| (*at, said.index));
        for (at, change, said) in found {
            let new = said.new.as_ref().and_then(|new| redacted(new.get(), rules));
            let Before { key, state, beside } =
                Before::of(&said.source, &change, at, &said.id, &mut |key| known.get(key));
            let before = state.and_then(|state| state.text);
            let new = match change.words {
                Some(words) => new.and_then(|new| words.state(&new)),
                None => new,
            };
            let (text, _) = change::follow(&change, before.as_deref(), new.as_deref(), &[]);
            let text = text.map(Arc::from);
            beside.into_iter().for_each(|(key, state)| known.put(key, state));
            known.put(key, State { at, id: said.id.into(), text, hidden: Hidden::default(), leads: None });
        }
    }
    tracing::debug!(
        tenant = tenant.number,
        states = known.states.len(),
        millis = started.elapsed().as_millis() as u64,
        "states brought back from the records"
    );
    Ok(())
}

/// A stored state as the rules of today would store it.
fn redacted(text: &str, rules: &Rules) -> Option<String> {
    let how = Canonical { path: "new", depth: 1, context: Context::default(), rules };
    let mut out = String::with_capacity(text.len());
    how.write(text, &mut Vec::new(), &mut out).ok().map(|()| out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(at: i64, id: &str, text: &str) -> State {
        State { at, id: id.into(), text: Some(text.into()), hidden: Hidden::default(), leads: None }
    }

    #[test]
    fn the_newest_state_stays_and_one_that_is_gone_is_not_brought_back_by_an_older_one() {
        let mut known = Known::default();
        known.put("a".into(), state(5, "e5", "{}"));
        known.put("a".into(), state(4, "e4", "{\"x\":1}"));
        assert_eq!(known.get("a").unwrap().id.as_ref(), "e5");
        known.put("a".into(), State { text: None, ..state(6, "e6", "") });
        known.put("a".into(), state(5, "e5", "{}"));
        assert_eq!(known.get("a").unwrap().text, None);
    }

    #[test]
    fn a_secret_that_is_another_one_now_is_seen_and_nothing_is_kept_of_it() {
        let key = RandomState::new();
        let marks = |places: &[&str]| {
            let marks = places.iter().map(|place| serde_json::json!({ "pointer": place, "rule": "key:secret" }));
            Value::Array(marks.collect()).to_string()
        };
        let list = marks(&["/new/secret", "/new/a~1b/0", "/old/secret", "/new/gone", "/attributes/newest"]);
        let of = |state: &str| Hidden::of(state, &list, &key);
        let first = of(r#"{"secret":"hunter2","a/b":["x"]}"#);
        assert_eq!(first.0.len(), 2);
        assert!(!format!("{first:?}").contains("hunter2"));
        assert_eq!(of(r#"{"a/b":["x"], "secret":"hunter2"}"#).changed(&first), [""; 0]);
        let nested = [r#"{"secret":{"a":1,"b":2}}"#, r#"{"secret":{"b":2,"a":1}}"#].map(of);
        assert_eq!(nested[0], nested[1], "the order of members says nothing");
        let rotated = of(r#"{"secret":"hunter3"}"#);
        assert_eq!(rotated.changed(&first), ["/secret"]);
        assert_eq!(rotated.changed(&Hidden::default()), [""; 0], "what was there is not known");
        let after = rotated.over(first.clone());
        assert_eq!((after.at("/a~1b/0"), after.at("/secret") == first.at("/secret")), (first.at("/a~1b/0"), false));
        for (state, marks) in [("{", list.as_str()), ("{}", "x"), ("[1]", &list), ("{}", "")] {
            assert_eq!(Hidden::of(state, marks, &key), Hidden::default());
        }
    }

    #[test]
    fn it_is_bounded_counts_right_and_forgets() {
        let mut known = Known::default();
        let big = format!("\"{}\"", "x".repeat(MAX_STATE - 2));
        for n in 0..200 {
            known.put(n.to_string(), state(n, "e", &big));
            known.put(n.to_string(), state(n, "e", &big));
        }
        assert!(known.bytes <= TENANT_BYTES && known.states.len() >= 60, "{} {}", known.bytes, known.states.len());
        assert_eq!(known.bytes, known.states.iter().map(|(k, s)| size(k, s)).sum::<usize>());
        known.put("199".into(), state(300, "e", &format!("{big} ")));
        assert_eq!(known.get("199"), None, "too long to keep, and the one before is not true any more");
        known.put("users/u1".into(), state(1, "e", "{}"));
        known.put("groups/g".into(), state(1, "e", "{\"owner\":\"u1\"}"));
        let before = known.states.len();
        known.forget("u1");
        assert_eq!(known.states.len(), before - 2);
        assert_eq!(known.bytes, known.states.iter().map(|(k, s)| size(k, s)).sum::<usize>());
    }
}
