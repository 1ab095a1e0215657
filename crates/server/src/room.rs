//! Room for what many share: how many bytes of bodies are in memory at once, how many queries run, and how much of that anybody may
//! have.
//!
//! There is one [`Room`] for what comes in and one for what goes out. Whoever holds its bytes long, as a client that sends one byte
//! a second, must not hold all of it, so that each has a part:
//!
//! | of 256 MiB | at most | which is |
//! | --- | --- | --- |
//! | one key | a quarter | 64 MiB: four of the largest bodies |
//! | all keys of one tenant | a half | 128 MiB |
//! | one address of a source that signs, without a key | a sixteenth | 16 MiB: sixteen of the largest such bodies |
//! | all who have no key | a quarter | 64 MiB |
//!
//! So one key leaves 192 MiB to the others, one tenant 128 MiB to the other tenants, and who has no key 192 MiB to who has one. It
//! takes two tenants, or four administrator's keys, to hold all of it.
//!
//! Queries, which are computed and not only held, run 16 at a time: eight of one key, twelve of one tenant, so that slow ones of a
//! tenant leave four turns to the others. Not here: how long a body may take ([`crate::body`]).

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Parts remembered before those that nobody holds are forgotten.
const REMEMBERED: usize = 4096;

/// Of whom bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Of {
    Key(Arc<str>),
    Tenant(u32),
    Address(Box<str>),
    NoKey,
}

/// Sixteenths of all room that are somebody's at most.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    key: usize,
    tenant: usize,
    address: usize,
}

/// Of bodies and answers.
pub const BODIES: Shares = Shares { key: 4, tenant: 8, address: 1 };
/// Of queries.
pub const QUERIES: Shares = Shares { key: 8, tenant: 12, address: 1 };

impl Shares {
    fn of(&self, of: &Of) -> usize {
        match of {
            Of::Key(_) | Of::NoKey => self.key,
            Of::Tenant(_) => self.tenant,
            Of::Address(_) => self.address,
        }
    }
}

tokio::task_local! {
    /// Whose the request being answered is.
    pub static WHOSE: Whose;
}

/// Whose a request is.
#[derive(Debug, Clone)]
pub struct Whose(Of, Option<Of>);

impl Whose {
    /// A key's, and its tenant's where it is not an administrator's.
    pub fn key(id: &Arc<str>, tenant: Option<u32>) -> Whose {
        Whose(Of::Key(Arc::clone(id)), tenant.map(Of::Tenant))
    }

    /// A source's that signs what it sends to this address.
    pub fn address(path: &str) -> Whose {
        Whose(Of::Address(path.into()), Some(Of::NoKey))
    }

    /// Anybody's.
    pub fn anybody() -> Whose {
        Whose(Of::NoKey, None)
    }

    /// Whose the request being answered is.
    pub fn now() -> Whose {
        WHOSE.try_with(Clone::clone).unwrap_or_else(|_| Whose::anybody())
    }
}

/// What there is at once.
#[derive(Debug)]
pub struct Room {
    /// Counted in units of so much.
    unit: usize,
    units: usize,
    shares: Shares,
    patience: Duration,
    all: Arc<Semaphore>,
    parts: Mutex<HashMap<Of, Arc<Semaphore>>>,
}

/// Room that is held until this is dropped.
#[derive(Debug)]
pub struct Held {
    whose: Whose,
    amount: usize,
    permits: Vec<OwnedSemaphorePermit>,
}

impl Held {
    /// How much it is.
    pub fn amount(&self) -> usize {
        self.amount
    }
}

impl Room {
    /// Room for so much, counted in units, which is waited for so long.
    pub fn new(amount: usize, unit: usize, shares: Shares, patience: Duration) -> Room {
        let units = amount / unit;
        Room { unit, units, shares, patience, all: Arc::new(Semaphore::new(units)), parts: Mutex::default() }
    }

    /// How much is held now.
    pub fn used(&self) -> usize {
        self.units.saturating_sub(self.all.available_permits()) * self.unit
    }

    /// Waits for room for so much. What is larger than a part waits for all of the part.
    pub async fn hold(&self, whose: &Whose, amount: usize) -> Option<Held> {
        let mut held = Held { whose: whose.clone(), amount: 0, permits: Vec::with_capacity(3) };
        self.grow(&mut held, amount).await.then_some(held)
    }

    /// Waits for room for so much more; whether it came.
    ///
    /// First in the parts and then in the whole: who waits for a part of its own stands in nobody else's way.
    pub async fn grow(&self, held: &mut Held, amount: usize) -> bool {
        let units = amount.div_ceil(self.unit).min(self.units);
        let Whose(one, group) = held.whose.clone();
        let more = async {
            let mut permits = Vec::with_capacity(3);
            for of in [Some(one), group].into_iter().flatten() {
                let most = self.units * self.shares.of(&of) / 16;
                permits.push(self.part(of, most).acquire_many_owned(units.min(most) as u32).await.ok()?);
            }
            permits.push(Arc::clone(&self.all).acquire_many_owned(units as u32).await.ok()?);
            Some(permits)
        };
        let Ok(Some(permits)) = tokio::time::timeout(self.patience, more).await else { return false };
        held.permits.extend(permits);
        held.amount += units * self.unit;
        true
    }

    fn part(&self, of: Of, most: usize) -> Arc<Semaphore> {
        let mut parts = self.parts.lock();
        if parts.len() >= REMEMBERED && !parts.contains_key(&of) {
            // Whoever holds or waits has one end of it.
            parts.retain(|_, part| Arc::strong_count(part) > 1);
        }
        Arc::clone(parts.entry(of).or_insert_with(|| Arc::new(Semaphore::new(most))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn key(name: &str, tenant: Option<u32>) -> Whose {
        Whose::key(&name.into(), tenant)
    }

    fn room() -> Room {
        Room::new(256 * MIB, 1 << 10, BODIES, Duration::from_millis(5))
    }

    #[tokio::test]
    async fn nobody_holds_more_than_a_part() {
        let room = room();
        let mut held = Vec::new();
        let mut holds = async |whose: &Whose, bytes: usize| {
            let got = room.hold(whose, bytes).await;
            let so = got.is_some();
            held.extend(got);
            so
        };
        for _ in 0..4 {
            assert!(holds(&key("a1", Some(1)), 16 * MIB).await);
        }
        assert!(!holds(&key("a1", Some(1)), 1).await, "a quarter is a key's");
        for _ in 0..4 {
            assert!(holds(&key("a2", Some(1)), 16 * MIB).await);
        }
        assert!(!holds(&key("a3", Some(1)), 1).await, "a half is a tenant's");
        for n in 0..4 {
            assert!(holds(&Whose::address(&format!("/{n}")), 16 * MIB).await);
            assert!(!holds(&Whose::address(&format!("/{n}")), 1).await, "a sixteenth is an address's");
        }
        assert!(!holds(&Whose::address("/5"), 1).await, "a quarter is of all that have no key");
        assert!(!holds(&Whose::anybody(), 1).await);
        assert!(holds(&key("b", Some(2)), 64 * MIB).await, "the rest is still for others");
        assert!(!holds(&key("c", Some(3)), 1).await, "now there is none");
        assert_eq!(room.used(), 256 * MIB);
        held.clear();
        assert_eq!(room.used(), 0);
        assert!(room.hold(&key("a1", Some(1)), 64 * MIB).await.is_some());
    }

    #[tokio::test]
    async fn what_grows_is_counted_and_what_is_larger_than_a_part_waits_for_all_of_it() {
        let room = room();
        let mut held = room.hold(&key("a", None), 1).await.unwrap();
        assert_eq!((held.amount(), room.used()), (1 << 10, 1 << 10));
        assert!(room.grow(&mut held, 63 * MIB).await);
        assert!(!room.grow(&mut held, MIB).await);
        assert_eq!(room.used(), 63 * MIB + (1 << 10));
        drop(held);
        let all = room.hold(&key("a", None), 500 * MIB).await.unwrap();
        assert_eq!(room.used(), 256 * MIB);
        drop(all);
        assert_eq!(room.used(), 0);
    }

    #[tokio::test]
    async fn queries_of_one_key_or_tenant_leave_turns_to_others() {
        let turns = Room::new(16, 1, QUERIES, Duration::from_millis(5));
        let mut held = Vec::new();
        for (key, tenant, got) in [("a1", 1, 8), ("a2", 1, 4), ("b", 2, 4)] {
            let whose = Whose::key(&key.into(), Some(tenant));
            for _ in 0..got {
                held.push(turns.hold(&whose, 1).await.expect(key));
            }
            assert!(turns.hold(&whose, 1).await.is_none(), "{key}");
        }
    }

    #[tokio::test]
    async fn parts_that_nobody_holds_are_forgotten() {
        let room = room();
        let kept = room.hold(&key("kept", None), 64 * MIB).await.unwrap();
        for n in 0..3 * REMEMBERED {
            drop(room.hold(&key(&n.to_string(), None), 1).await.unwrap());
        }
        assert!(room.parts.lock().len() <= REMEMBERED);
        let of = Of::Key("kept".into());
        assert_eq!(room.parts.lock()[&of].available_permits(), 0);
        drop(kept);
    }
}
