//! What is going on with each source that is fetched from, in memory: when it is due, how it went, and what lets us in.

use super::AT_ONCE;
use catalog::{Job, SecretText, Source};
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Notify, Semaphore};

/// What is going on with the sources.
pub struct Pulls {
    pub(super) slots: Mutex<HashMap<(u32, String), Slot>>,
    pub(super) list: Mutex<(i64, Vec<Source>)>,
    /// The systems of which it was said how far behind they are.
    pub(super) lagged: Mutex<BTreeSet<&'static str>>,
    pub(super) wake: Notify,
    pub(super) turns: Arc<Semaphore>,
    pub(super) stopping: AtomicBool,
}

impl Default for Pulls {
    fn default() -> Pulls {
        Pulls {
            slots: Mutex::default(),
            list: Mutex::new((i64::MIN, Vec::new())),
            lagged: Mutex::default(),
            wake: Notify::new(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            stopping: AtomicBool::new(false),
        }
    }
}

/// What is going on with one source.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) running: bool,
    /// Somebody waits for what it will say: the run after this one is due at once.
    pub(super) again: bool,
    /// The source was changed while it was being looked at: what the run knew of it, and when it wanted to look next, is of yesterday.
    changed: bool,
    /// When it is looked at next, microseconds.
    pub(super) due: i64,
    /// When it was last compared by itself.
    pub(super) compared: i64,
    /// How often it was, since the start.
    pub(super) comparisons: usize,
    pub(super) failures: u32,
    pub(super) last_error: Option<String>,
    /// Its system said to come back later, and that is waited for.
    waits: Option<String>,
    /// Jobs that somebody asked for.
    pub(super) wanted: Vec<Job>,
    /// Jobs that the last process left: gone on with as soon as the source is not paused.
    pub(super) left: Vec<Job>,
    /// That they wait was said.
    pub(super) said: bool,
    /// Kept from run to run: a system may record each time that one is asked for. In memory only.
    token: Option<Token>,
}

/// What lets us in until its time is over.
#[derive(Debug)]
struct Token {
    text: SecretText,
    until: i64,
    /// The version of the source that it was asked for with.
    of: i64,
}

impl Slot {
    fn told(&self) -> Option<String> {
        self.waits.clone().or_else(|| self.last_error.clone())
    }

    /// A run is over, which would look again at `next`.
    pub(super) fn ended(&mut self, next: i64) {
        let asked = std::mem::take(&mut self.again) && self.failures == 0;
        let changed = std::mem::take(&mut self.changed);
        self.running = false;
        self.due = if asked || changed { 0 } else { next };
    }
}

impl Pulls {
    /// A source was made, changed or removed: the list is read anew, and the source looked at and compared now, whatever it waited for.
    pub(crate) fn changed(&self, tenant: u32, name: &str) {
        if let Some(slot) = self.slots.lock().get_mut(&(tenant, name.to_owned())) {
            (slot.due, slot.token, slot.changed) = (0, None, slot.running);
            // It may be another system now, which has what nobody compared.
            slot.compared = 0;
        }
        self.list.lock().0 = i64::MIN;
        self.wake.notify_one();
    }

    /// The clock was set back: what was to be done at a time that is far ahead now is done at once.
    pub(super) fn set_back(&self) {
        for slot in self.slots.lock().values_mut() {
            (slot.due, slot.compared) = (0, 0);
        }
        self.list.lock().0 = i64::MIN;
    }

    /// Looks at these sources now, as somebody waits for what they will say. Not at one that fails: it has its own pace.
    pub(crate) fn hurry(&self, tenant: u32, names: &[String]) {
        let mut slots = self.slots.lock();
        for name in names {
            if let Some(slot) = slots.get_mut(&(tenant, name.clone())).filter(|slot| slot.failures == 0) {
                (slot.due, slot.again) = (0, slot.running);
            }
        }
        drop(slots);
        self.wake.notify_one();
    }

    /// The token that was kept for a source, as long as it is good.
    pub(super) fn token(&self, source: &Source, now: i64) -> Option<String> {
        let slots = self.slots.lock();
        let token = slots.get(&(source.tenant, source.name.clone()))?.token.as_ref()?;
        (token.of == source.updated_at && now < token.until).then(|| token.text.expose().to_owned())
    }

    pub(super) fn keep_token(&self, source: &Source, text: &str, until: i64) {
        let token = Token { text: SecretText::new(text), until, of: source.updated_at };
        self.slots.lock().entry((source.tenant, source.name.clone())).or_default().token = Some(token);
    }

    /// Forgets it; says whether there was one.
    pub(super) fn drop_token(&self, source: &Source) -> bool {
        let mut slots = self.slots.lock();
        slots.get_mut(&(source.tenant, source.name.clone())).is_some_and(|slot| slot.token.take().is_some())
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Whether a source was changed since the run that is under way began.
    pub(super) fn is_changed(&self, source: &Source) -> bool {
        self.slots.lock().get(&(source.tenant, source.name.clone())).is_some_and(|slot| slot.changed)
    }

    /// A source's system is waited for, as this says; or not any more.
    pub(super) fn waits(&self, source: &Source, note: Option<String>) {
        self.slots.lock().entry((source.tenant, source.name.clone())).or_default().waits = note;
    }

    /// Why a source could not be asked, if the last run failed, or what it waits for.
    pub(super) fn last_error(&self, source: &Source) -> Option<String> {
        self.slots.lock().get(&(source.tenant, source.name.clone()))?.told()
    }

    /// How it goes with a source, as it is shown.
    pub(super) fn status(&self, source: &Source, paused: bool, out: &mut Map<String, Value>) {
        let slots = self.slots.lock();
        let slot = slots.get(&(source.tenant, source.name.clone()));
        let state = match slot {
            _ if paused => "paused",
            Some(slot) if slot.waits.is_some() => "waiting",
            Some(slot) if slot.running => "running",
            Some(slot) if slot.failures > 0 => "failing",
            _ => "waiting",
        };
        out.insert("state".into(), state.into());
        out.insert("failures".into(), slot.map_or(0, |s| s.failures).into());
        out.insert("last_error".into(), slot.and_then(Slot::told).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_is_changed_while_it_is_looked_at_is_looked_at_again() {
        let pulls = Pulls::default();
        let key = (1, "kc".to_owned());
        for (running, failures, due) in [(true, 0, 0), (true, 3, 0), (false, 0, 77)] {
            let slot = Slot { running, failures, due: 5, compared: 4, ..Slot::default() };
            pulls.slots.lock().insert(key.clone(), slot);
            pulls.changed(1, "kc");
            assert_eq!(pulls.slots.lock().get(&key).map(|slot| (slot.due, slot.compared)), Some((0, 0)));
            pulls.slots.lock().get_mut(&key).unwrap().ended(77);
            assert_eq!(pulls.slots.lock()[&key].due, due, "running {running}, failures {failures}");
        }
        // Who waits for one that fails is not waited for.
        pulls.slots.lock().insert(key.clone(), Slot { running: true, ..Slot::default() });
        pulls.hurry(1, std::slice::from_ref(&key.1));
        pulls.slots.lock().get_mut(&key).unwrap().failures = 1;
        pulls.slots.lock().get_mut(&key).unwrap().ended(77);
        assert_eq!(pulls.slots.lock()[&key].due, 77);
    }
}
