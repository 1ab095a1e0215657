//! What there is to find in the demo: attacks, a change at night, a session that outlived its revocation, secrets.
//!
//! Owns: which tenant has which incident, its records, and the filter that finds it. An incident is planned from the
//! seed alone, so [`incidents`] names exactly what [`records`](super::records) writes. Attackers come from 203.0.113.0/24, which
//! nobody else uses.

use super::people::{PROVIDERS, Person, Place, TOOLS};
use super::random::{DAY, HOUR, MINUTE, Random, SECOND};
use super::record::Record;
use super::{System, TenantPlan, World, contember, directory, entities, guide, keycloak, ory};
use serde_json::json;

/// Something to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Slug of the tenant.
    pub tenant: &'static str,
    /// What happened.
    pub title: String,
    /// The view to look at.
    pub view: &'static str,
    /// Filter text that finds it there.
    pub hint: String,
    /// When it began, in microseconds since 1970.
    pub at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    BruteForce,
    NightChange,
    ReusedSession,
    Secrets,
}

/// What happens where.
const PLANS: &[(&str, Kind, System)] = &[
    ("acme", Kind::BruteForce, System::AuthService),
    ("acme", Kind::NightChange, System::AuthService),
    ("acme", Kind::ReusedSession, System::AuthService),
    ("acme", Kind::Secrets, System::AuthService),
    ("globex-bank", Kind::BruteForce, System::Keycloak),
    ("globex-bank", Kind::NightChange, System::Keycloak),
    ("northwind", Kind::ReusedSession, System::OryNetwork),
    ("umbrella-health", Kind::NightChange, System::Contember),
];

/// An incident before its records are made.
struct Planned {
    kind: Kind,
    system: System,
    at: i64,
    /// The administrator or victim, by place in the tenant's people.
    person: usize,
    /// Last parts of the attackers' addresses.
    hosts: Vec<usize>,
    session: String,
    random: Random,
}

fn plan(slug: &str, people: usize, now: i64, seed: u64) -> Vec<Planned> {
    let midnight = now.div_euclid(DAY) * DAY;
    (PLANS.iter().filter(|plan| plan.0 == slug))
        .map(|&(_, kind, system)| {
            let mut random = Random::new(seed, &format!("{slug} {kind:?}"));
            let days = 2 + random.below(3) as i64;
            let at = match kind {
                Kind::BruteForce => midnight - days * DAY + random.between(19 * HOUR, 22 * HOUR),
                Kind::NightChange => midnight - days * DAY + 3 * HOUR + 12 * MINUTE + random.between(0, MINUTE),
                Kind::ReusedSession => midnight - days * DAY + random.between(9 * HOUR, 14 * HOUR),
                Kind::Secrets => midnight - DAY + random.between(10 * HOUR, 15 * HOUR),
            };
            let person = if kind == Kind::NightChange { random.below(3) } else { 4 + random.below(people - 4) };
            let hosts = (0..4).map(|n| 10 + 60 * n + random.below(50)).collect();
            Planned { kind, system, at, person, hosts, session: random.uuid_at(at), random }
        })
        .collect()
}

impl Planned {
    fn ip(&self, nth: usize) -> String {
        format!("203.0.113.{}", self.hosts[nth % self.hosts.len()])
    }

    /// A machine of the attackers.
    fn place(&self, nth: usize) -> Place {
        Place { ip: self.ip(nth), user_agent: TOOLS[nth % TOOLS.len()] }
    }

    fn describe(&self, world: &World) -> Incident {
        let person = &world.people[self.person];
        let (title, view, hint) = match (self.kind, self.system) {
            (Kind::BruteForce, _) => (
                format!("brute force: hundreds of failed sign-ins as {} within minutes, then a success", person.email),
                "event_logs",
                format!("email:{}", person.email),
            ),
            (Kind::NightChange, system) => {
                let action = match system {
                    System::Keycloak => "UPDATE IDENTITY_PROVIDER",
                    System::Contember => "idp_update",
                    _ => "update IdentityProvider",
                };
                (
                    format!("{} changed an identity provider at 03:12 from an address never seen before", person.name),
                    "audit_logs",
                    format!("action:\"{action}\" ip_address:{}", self.ip(0)),
                )
            }
            (Kind::ReusedSession, _) => {
                let title = format!("a revoked session of {} is used again hours later from elsewhere", person.name);
                (title, "event_logs", format!("session_id:{}", self.session))
            }
            (Kind::Secrets, _) => (
                "an administrator rotated a client's secret: shown as changed, never shown".to_owned(),
                "audit_logs",
                "action:\"update Client\" comments:\"secret rotated after the audit\"".to_owned(),
            ),
        };
        Incident { tenant: world.slug, title, view, hint, at: self.at }
    }
}

/// Everything there is to find in these tenants, for the same moment and seed as their records.
pub fn incidents(tenants: &[TenantPlan], now_us: i64, seed: u64) -> Vec<Incident> {
    let mut found = Vec::new();
    for tenant in tenants {
        let world = World::new(tenant, now_us, seed);
        let plans = plan(tenant.slug, tenant.people, now_us, seed);
        found.extend(plans.iter().map(|planned| planned.describe(&world)));
    }
    found
}

/// Writes the records of the tenant's incidents.
pub(super) fn play(world: &mut World, seed: u64) {
    for mut planned in plan(world.slug, world.people.len(), world.now, seed) {
        let person = world.people[planned.person].clone();
        match planned.kind {
            Kind::BruteForce => brute_force(world, &mut planned, &person),
            Kind::NightChange => night_change(world, &planned, &person),
            Kind::ReusedSession => reused_session(world, &planned, &person),
            Kind::Secrets => secrets(world, &planned, &person),
        }
    }
}

fn brute_force(world: &mut World, planned: &mut Planned, person: &Person) {
    let mut time = planned.at;
    let (app, local) = (world.apps[0], PROVIDERS[0]);
    let attempts = 340 + planned.random.below(120);
    for n in 0..attempts {
        let nth = planned.random.below(4);
        let place = planned.place(nth);
        let record = match planned.system {
            System::Keycloak => keycloak::refused(world, time, person, &place.ip, app, "invalid_user_credentials"),
            _ => guide::event(time, "login_failed", person, &place, app, local)
                .failed("invalid_credentials")
                .set("message", "sign-in refused: invalid credentials")
                .set("attributes", json!({"method": "password", "attempt": n + 1})),
        };
        world.write(record);
        time += planned.random.between(SECOND / 5, 3 * SECOND);
    }
    time += 2 * SECOND;
    let place = planned.place(1);
    let record = match planned.system {
        System::Keycloak => {
            keycloak::event(world, time, "LOGIN", person, &place, app).set("email", person.email.as_str())
        }
        _ => guide::event(time, "login", person, &place, app, local).outcome("success"),
    };
    world.write(record.set("session_id", planned.session.as_str()));
    if planned.system == System::AuthService {
        let session =
            guide::session_record(time, "session_created", &planned.session, "active", person, app, time + 8 * HOUR);
        world.write(session.from(&place));
    }
}

fn night_change(world: &mut World, planned: &Planned, admin: &Person) {
    let google = PROVIDERS[1];
    let place = planned.place(0);
    let old = entities::provider(google, world.domain);
    let mut new = old.clone();
    new["issuer"] = json!("https://login.g00gle.example.net");
    new["requireVerifiedEmail"] = json!(false);
    new["allowedDomains"] = json!([world.domain, "example.net"]);
    let record = match planned.system {
        System::Keycloak => {
            let path = format!("identity-provider/instances/{}", google.id);
            keycloak::admin_event(world, planned.at, "UPDATE IDENTITY_PROVIDER", admin, &place.ip, &path)
                .set("old", old)
                .set("new", new)
        }
        System::Contember => {
            let (old, mut new) = contember::idp_change(world, google.id);
            new["requireVerifiedEmail"] = json!(false);
            new["autoSignUp"] = json!(true);
            contember::admin_row(planned.at, "idp_update", admin, &place)
                .provider(google)
                .set("old", old)
                .set("new", new)
        }
        _ => directory::audit(planned.at, "update IdentityProvider", admin, &place)
            .target("IdentityProvider", google.id, google.name)
            .set("old", old)
            .set("new", new),
    };
    world.write(record);
}

fn reused_session(world: &mut World, planned: &Planned, person: &Person) {
    let (app, provider) = (world.apps[1], PROVIDERS[0]);
    let home = person.places[0].clone();
    let (begun, session) = (planned.at, planned.session.as_str());
    let (revoked, again) = (begun + HOUR, begun + 5 * HOUR + 17 * MINUTE);
    let thief = planned.place(2);
    if planned.system == System::OryNetwork {
        for (time, name, ip) in [
            (begun, "SessionIssued", &home.ip),
            (begun + 20 * MINUTE, "SessionChecked", &home.ip),
            (revoked, "SessionRevoked", &home.ip),
            (again, "SessionChecked", &thief.ip),
            (again + 40 * SECOND, "SessionChecked", &thief.ip),
        ] {
            world.write(ory::session_event(world, time, name, person, ip, session));
        }
        return;
    }
    let expires = begun + 8 * HOUR;
    let event = |time, action, place: &Place| {
        guide::event(time, action, person, place, app, provider).outcome("success").set("session_id", session)
    };
    world.write(event(begun, "login", &home));
    world.write(
        guide::session_record(begun + SECOND, "session_created", session, "active", person, app, expires).from(&home),
    );
    let admin = world.admin();
    world.write(
        guide::session_record(revoked, "session_revoked", session, "revoked", person, app, expires)
            .actor(&admin)
            .set("comments", "laptop reported stolen"),
    );
    world.write(event(again, "token_refresh", &thief));
    world.write(event(again + 40 * SECOND, "token_refresh", &thief));
}

/// The only values of the demo that look like secrets; none of them opens anything.
fn secrets(world: &mut World, planned: &Planned, person: &Person) {
    let (admin, app) = (world.admin(), world.apps[1]);
    let place = world.place(&admin);
    let client =
        |secret: &str| json!({"clientId": app.id, "name": app.name, "clientSecret": secret, "rotations": secret.len()});
    world.write(
        directory::audit(planned.at, "update Client", &admin, &place)
            .target("Client", app.id, app.name)
            .set("comments", "secret rotated after the audit")
            .set("old", client("demo-only-old-secret"))
            .set("new", client("demo-only-replacement-secret")),
    );
    // A careless application: a bearer token among the request's headers.
    let token = ["eyJhbGciOiJub25lIn0", "eyJzdWIiOiJkZW1vIn0", "ZGVtby1vbmx5LW5vLXNpZ25hdHVyZQ"].join(".");
    let headers = json!({"headers": {"accept": "application/json", "authorization": format!("Bearer {token}")}, "route": "exportLedger"});
    world.write(
        Record::new(planned.at + 7 * MINUTE, ory::NESTJS, "event", "auth.failure.expired")
            .outcome("failure")
            .from(&place)
            .set("attributes", headers),
    );
    // A form posted whole into a log.
    world.write(
        guide::event(planned.at + 9 * MINUTE, "login_failed", person, &person.places[0], app, PROVIDERS[0])
            .failed("invalid_credentials")
            .set(
                "attributes",
                json!({"form": {"username": person.username, "password": "demo-only-password", "remember": true}}),
            ),
    );
}
