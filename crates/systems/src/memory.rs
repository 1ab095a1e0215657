//! What a record needs to know of those before it. One [`Memory`] per tenant, kept by the caller and shared by all who read
//! the tenant's records at the same time: it is locked while something is looked up, not while records are read.
//!
//! Owns: bounded, forgettable facts about people and requests. It is not stored and nothing rests on it: after a
//! restart less is inferred, and that is all.
//!
//! Not here: the last known state of an entity. It is kept as it was stored, redacted, so the server keeps it
//! ([`crate::change`]).

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Requests remembered per tenant: at 150 bytes each about 1 MiB.
pub const MAX_REQUESTS: usize = 8192;
/// How far from a sign-in check in time a record still counts as of the same request, microseconds.
pub const SAME_REQUEST: i64 = 5 * 60 * 1_000_000;

/// How long after a record its twin in the system's other shape is looked for, microseconds.
pub const SAME_ACTION: i64 = 60 * 1_000_000;

/// What is remembered of one tenant's records.
#[derive(Debug, Default)]
pub struct Memory {
    actors: Mutex<Recent<Actor>>,
    twins: Mutex<Recent<Twin>>,
    names: Names,
}

/// What requests and actions are called here: a number made of their names with a key of this memory's own. A name has that of one
/// of [`MAX_REQUESTS`] others by chance once in 2^51 times, and nobody who does not know the key can look for one that has.
#[derive(Debug, Default)]
struct Names(RandomState);

impl Names {
    fn of(&self, parts: &[&str]) -> u64 {
        let mut state = self.0.build_hasher();
        for part in parts {
            state.write(part.as_bytes());
            state.write_u8(0);
        }
        state.finish()
    }
}

/// What is there may be read by anybody, whatever became of those who wrote it: each fact is put there whole.
fn locked<T>(facts: &Mutex<T>) -> MutexGuard<'_, T> {
    facts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Twin {
    /// Time of the record, microseconds UTC.
    at: i64,
    /// Its id; `None` where one request did the same to several targets.
    id: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Actor {
    /// Time of the record that named it, microseconds UTC.
    at: i64,
    /// JSON text of its id; `None` where one request named two people.
    id: Option<Box<str>>,
}

impl Memory {
    /// Remembers who was found signed in for a request. A request id is chosen by the caller of that API, so two people under one id
    /// make it worthless: nobody is inferred from it.
    pub fn signed_in(&self, request: &str, actor: &str, at: i64) {
        let request = self.names.of(&[request]);
        let mut actors = locked(&self.actors);
        let id = match actors.get(request) {
            Some(known) if at.abs_diff(known.at) <= SAME_REQUEST as u64 && known.id.as_deref() != Some(actor) => None,
            _ => Some(actor.into()),
        };
        actors.put(request, Actor { at, id }, MAX_REQUESTS);
    }

    /// Who was found signed in for this request at about this time, as JSON text. Which of the two came first does not matter: the
    /// request is one, and what its parts write down may overtake each other.
    pub fn actor_of(&self, request: &str, at: i64) -> Option<Cow<'static, str>> {
        let request = self.names.of(&[request]);
        let actors = locked(&self.actors);
        let known = actors.get(request)?;
        let soon = at.abs_diff(known.at) <= SAME_REQUEST as u64;
        known.id.as_deref().filter(|_| soon).map(|id| Cow::Owned(id.to_owned()))
    }

    /// Remembers the record that says an action in one of a system's two shapes. `action` names request and action, part by part.
    pub fn said(&self, action: &[&str], id: &str, at: i64) {
        let action = self.names.of(action);
        let mut twins = locked(&self.twins);
        let id = match twins.get(action) {
            Some(known) if at.abs_diff(known.at) <= SAME_ACTION as u64 && known.id.as_deref() != Some(id) => None,
            _ => Some(id.into()),
        };
        twins.put(action, Twin { at, id }, MAX_REQUESTS);
    }

    /// The id of the record that said this action in the other shape, at about the same time.
    pub fn twin_of(&self, action: &[&str], at: i64) -> Option<String> {
        let action = self.names.of(action);
        let twins = locked(&self.twins);
        let known = twins.get(action)?;
        known.id.as_deref().filter(|_| at.abs_diff(known.at) <= SAME_ACTION as u64).map(str::to_owned)
    }

    /// Forgets a person, whose id is `id`: what erasure calls.
    pub fn forget(&self, id: &str) {
        let mut raw = String::new();
        event::json::write_string(&mut raw, id);
        locked(&self.actors).retain(|actor| actor.id.as_deref() != Some(raw.as_str()));
    }
}

/// A map that forgets what was put first.
#[derive(Debug)]
struct Recent<T> {
    known: HashMap<u64, T>,
    order: VecDeque<u64>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { known: HashMap::default(), order: VecDeque::new() }
    }
}

impl<T> Recent<T> {
    fn get(&self, key: u64) -> Option<&T> {
        self.known.get(&key)
    }

    fn put(&mut self, key: u64, value: T, most: usize) {
        if let Some(known) = self.known.get_mut(&key) {
            *known = value;
            return;
        }
        while self.known.len() >= most {
            let Some(oldest) = self.order.pop_front() else { break };
            self.known.remove(&oldest);
        }
        self.known.insert(key, value);
        self.order.push_back(key);
    }

    fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.known.retain(|_, value| keep(value));
        let known = &self.known;
        self.order.retain(|key| known.contains_key(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_known_for_its_request_and_not_for_long() {
        let memory = Memory::default();
        memory.signed_in("r1", "\"ann\"", 1000);
        assert_eq!(memory.actor_of("r1", 2000).as_deref(), Some("\"ann\""));
        assert_eq!(memory.actor_of("r1", 999).as_deref(), Some("\"ann\""), "two writers are not in step");
        assert_eq!(memory.actor_of("r1", 999 - SAME_REQUEST), None, "too long before");
        assert_eq!(memory.actor_of("r1", 1001 + SAME_REQUEST), None, "too long after");
        assert_eq!(memory.actor_of("r2", 2000), None);
    }

    #[test]
    fn two_people_under_one_request_are_nobody() {
        let memory = Memory::default();
        memory.signed_in("r", "\"ann\"", 1000);
        memory.signed_in("r", "\"bob\"", 1001);
        memory.signed_in("r", "\"bob\"", 1002);
        assert_eq!(memory.actor_of("r", 1003), None);
        memory.signed_in("r", "\"bob\"", 1003 + SAME_REQUEST);
        assert_eq!(memory.actor_of("r", 1003 + SAME_REQUEST).as_deref(), Some("\"bob\""), "another request by then");
    }

    #[test]
    fn a_twin_is_known_for_a_while_and_only_where_it_is_certain() {
        let memory = Memory::default();
        memory.said(&["r", "adduser"], "v2-1", 1000);
        assert_eq!(memory.twin_of(&["r", "adduser"], 900).as_deref(), Some("v2-1"), "two writers are not in step");
        assert_eq!(memory.twin_of(&["r", "adduser"], 1001 + SAME_ACTION), None);
        assert_eq!(memory.twin_of(&["r", "deleteuser"], 1000), None);
        memory.said(&["r", "adduser"], "v2-1", 1000);
        assert!(memory.twin_of(&["r", "adduser"], 1000).is_some(), "the same one sent again");
        memory.said(&["r", "adduser"], "v2-2", 1001);
        assert_eq!(memory.twin_of(&["r", "adduser"], 1001), None, "which of two");
    }

    impl Memory {
        fn actors_held(&self) -> (usize, usize) {
            let actors = locked(&self.actors);
            (actors.known.len(), actors.order.len())
        }
    }

    #[test]
    fn it_is_bounded_and_forgets() {
        let memory = Memory::default();
        for n in 0..MAX_REQUESTS + 10 {
            memory.signed_in(&n.to_string(), "\"ann\"", 0);
        }
        assert_eq!(memory.actors_held(), (MAX_REQUESTS, MAX_REQUESTS));
        assert_eq!(memory.actor_of("9", 0), None);
        assert!(memory.actor_of("10", 0).is_some());
        memory.signed_in("last", "\"bob\"", 0);
        memory.forget("ann");
        assert_eq!(memory.actors_held(), (1, 1));
    }
}
