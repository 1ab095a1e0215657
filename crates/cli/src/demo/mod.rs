//! Data for `indelible demo`: five tenants that do not exist, and a month of what their identity systems wrote.
//!
//! Owns: the tenants, and making their records from a seed: the same seed and moment give the same text, byte for byte.
//! Not here: writing them anywhere. Every record is in the envelope, as a sender would post it; `recorded_at`, `index` and
//! redaction are the ledger's. Two or three records carry something that looks like a secret, so that its redaction can be seen.
//!
//! | file | what it makes |
//! | --- | --- |
//! | `guide`, `directory` | the monitoring guide's service: sign-ins, sessions, grants, mail; administration and jobs |
//! | `ory`, `contember`, `asgardeo`, `keycloak` | records in each system's own spelling |
//! | `incidents` | what there is to find |
//! | `people`, `entities`, `record`, `random` | what the others are made of |

mod asgardeo;
mod contember;
mod directory;
mod entities;
mod guide;
mod incidents;
mod keycloak;
mod ory;
mod people;
mod random;
mod record;
#[cfg(test)]
mod tests;

pub use incidents::incidents;

use people::{APPS, App, PROVIDERS, Person, Place, Provider};
use random::{DAY, Random, Rhythm};
use record::Record;

/// How many days of records there are.
const DAYS: i64 = 30;

/// A system that writes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// The service of the monitoring guide; it fills all six logs.
    AuthService,
    /// Ory Network event streams.
    OryNetwork,
    /// The audit sink of ory-nestjs.
    OryNestjs,
    /// Contember's `person_auth_log`.
    Contember,
    /// Asgardeo's audit log.
    Asgardeo,
    /// Keycloak's user and admin events.
    Keycloak,
}

/// What a tenant of the demo is like.
#[derive(Clone, Debug)]
pub struct TenantPlan {
    /// The tenant's slug.
    pub slug: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// Domain of its people's e-mail addresses.
    pub domain: &'static str,
    /// Its systems, each with how often something happens there; one happening writes between one and a dozen records.
    pub systems: &'static [(usize, System)],
    /// How many people it has.
    pub people: usize,
    /// About how many records there are.
    pub records: usize,
    /// How many hours its clocks are ahead of UTC.
    pub zone: i64,
}

/// The demo's tenants.
pub fn tenants() -> Vec<TenantPlan> {
    use System::{Asgardeo, AuthService, Contember, Keycloak, OryNestjs, OryNetwork};
    let plan = |slug, name, domain, systems, people, records, zone| TenantPlan {
        slug,
        name,
        domain,
        systems,
        people,
        records,
        zone,
    };
    vec![
        plan(
            "acme",
            "Acme Corporation",
            "example.com",
            &[(52, AuthService), (26, OryNetwork), (14, OryNestjs), (8, Contember)],
            180,
            20_000,
            1,
        ),
        plan("globex-bank", "Globex Bank", "globex.example.com", &[(60, Keycloak), (40, AuthService)], 90, 8_000, 0),
        plan(
            "northwind",
            "Northwind Traders",
            "northwind.example.com",
            &[(45, OryNetwork), (30, OryNestjs), (25, AuthService)],
            60,
            5_000,
            1,
        ),
        plan(
            "umbrella-health",
            "Umbrella Health",
            "umbrella.example.com",
            &[(45, Contember), (25, Asgardeo), (30, AuthService)],
            50,
            4_000,
            2,
        ),
        plan("initech", "Initech", "initech.example.com", &[(60, Asgardeo), (40, Keycloak)], 30, 2_500, 0),
    ]
}

/// A tenant's records of the last 30 days up to `now_us` (microseconds since 1970), oldest first, each as JSON text.
pub fn records(tenant: &TenantPlan, now_us: i64, seed: u64) -> impl Iterator<Item = String> + use<> {
    let mut world = World::new(tenant, now_us, seed);
    for (_, system) in tenant.systems {
        if *system == System::AuthService {
            directory::jobs(&mut world);
        }
    }
    incidents::play(&mut world, seed);
    while world.written.len() < tenant.records {
        let time = world.rhythm.moment(&mut world.random);
        match world.random.weighted(tenant.systems) {
            System::AuthService => guide::happen(&mut world, time),
            System::OryNetwork => ory::network(&mut world, time),
            System::OryNestjs => ory::nestjs(&mut world, time),
            System::Contember => contember::happen(&mut world, time),
            System::Asgardeo => asgardeo::happen(&mut world, time),
            System::Keycloak => keycloak::happen(&mut world, time),
        }
    }
    let World { mut written, mut random, .. } = world;
    written.sort_by_key(|record| record.time);
    written.into_iter().map(move |record| {
        let id = random.uuid_at(record.time);
        record.json(id)
    })
}

/// A tenant while its records are made.
struct World {
    slug: &'static str,
    domain: &'static str,
    now: i64,
    random: Random,
    rhythm: Rhythm,
    people: Vec<Person>,
    apps: &'static [App],
    /// Id of the project, realm or organisation that the systems know the tenant by.
    project: String,
    written: Vec<Record>,
}

impl World {
    fn new(tenant: &TenantPlan, now: i64, seed: u64) -> World {
        let mut random = Random::new(seed, tenant.slug);
        let people = people::people(&mut random, tenant.people, tenant.domain);
        World {
            slug: tenant.slug,
            domain: tenant.domain,
            now,
            rhythm: Rhythm::new(now, DAYS, tenant.zone),
            people,
            apps: &APPS[..(3 + tenant.people / 20).min(APPS.len())],
            project: random.uuid(),
            random,
            written: Vec::with_capacity(tenant.records + 64),
        }
    }

    /// Writes a record, unless it lies outside of the month: what is still to come has not happened.
    fn write(&mut self, record: Record) {
        if (self.now - DAYS * DAY..=self.now).contains(&record.time) {
            self.written.push(record);
        }
    }

    /// Someone; some are far more active than others.
    fn person(&mut self) -> Person {
        let end = 1 + self.random.below(self.people.len());
        let at = self.random.below(end);
        self.people[at].clone()
    }

    /// One of the administrators.
    fn admin(&mut self) -> Person {
        let at = self.random.below(3 + self.people.len() / 60);
        self.people[at].clone()
    }

    /// Where someone is, mostly at the usual place.
    fn place(&mut self, person: &Person) -> Place {
        let at = if self.random.percent(65) { 0 } else { self.random.below(person.places.len()) };
        person.places[at].clone()
    }

    fn app(&mut self) -> App {
        self.random.pick(self.apps)
    }

    fn provider(&mut self) -> Provider {
        self.random.weighted(&[(55, PROVIDERS[0]), (25, PROVIDERS[1]), (15, PROVIDERS[2]), (5, PROVIDERS[3])])
    }

    fn uuid(&mut self) -> String {
        self.random.uuid()
    }

    /// Moves on by a few seconds, at most `seconds`.
    fn soon(&mut self, time: &mut i64, seconds: i64) -> i64 {
        *time += self.random.between(random::SECOND / 20, seconds * random::SECOND);
        *time
    }
}
