//! The monitoring guide's service behind the scenes: what administrators change and what runs by itself.
//!
//! Owns: audit and job logs of `auth-service`. Not here: what users do (`guide`).

use super::guide::{SOURCE, notify};
use super::people::{App, Person, Place};
use super::random::{DAY, HOUR, MINUTE, SECOND};
use super::record::Record;
use super::{DAYS, World, entities};
use serde_json::{Value, json};

/// The application through which administrators act.
const CONSOLE: App = App { id: "auth-ui", name: "auth ui", protocol: "OIDC" };

const COMMENTS: [&str; 6] = [
    "requested by the data protection officer",
    "quarterly access review",
    "ticket OPS-4127",
    "as agreed with the team lead",
    "vendor asked for it",
    "rollback of yesterday's change",
];

/// An administrator's act.
pub(super) fn audit(time: i64, action: &str, admin: &Person, place: &Place) -> Record {
    Record::new(time, SOURCE, "audit", action)
        .outcome("success")
        .actor(admin)
        .from(place)
        .set("client_actor.id", CONSOLE.id)
        .set("client_actor.name", CONSOLE.name)
}

/// Lets an administrator change something.
pub(super) fn administrate(world: &mut World, time: i64) {
    let (admin, person, app, provider) = (world.admin(), world.person(), world.app(), world.provider());
    let place = world.place(&admin);
    let domain = world.domain;
    let request = world.random.uuid_at(time);
    let act = |action: &str| audit(time, action, &admin, &place).set("request_id", request.as_str());
    let random = &mut world.random;
    let record = match random.below(100) {
        0..=11 => {
            let (old, new) = entities::provider_change(random, provider, domain);
            let record = act("update IdentityProvider").target("IdentityProvider", provider.id, provider.name);
            changed(record, old, new)
        }
        12..=29 => {
            let (old, new) = entities::app_change(random, app, domain);
            changed(act("update Client").target("Client", app.id, app.name), old, new)
        }
        30..=52 => {
            let (old, new) = entities::user_change(random, &person);
            changed(act("update User").target("User", &person.number, &person.email), old, new)
        }
        53..=58 => {
            let user = entities::user(&person);
            act("delete User").target("User", &person.number, &person.email).set("old", user)
        }
        59..=72 => {
            let name = entities::group(random);
            let staying: Vec<&Person> = world.people.iter().skip(3).take(1 + random.below(4)).collect();
            let (old, new) = entities::group_change(random, name, &staying, &person);
            let record = act("update Group").target("Group", &format!("group-{}", name.replace(' ', "-")), name);
            let subject = record.set("subject.id", person.number.as_str()).set("subject.type", "User");
            changed(subject.set("subject.name", person.email.as_str()), old, new)
        }
        73..=80 => {
            let name = entities::role(random);
            let (old, new) = entities::role_change(random, name);
            changed(act("update Role").target("Role", &format!("role-{}", name.replace(' ', "-")), name), old, new)
        }
        81..=84 => {
            let (old, new) = entities::settings_change(random);
            changed(act("update TenantSettings").target("TenantSettings", world.slug, world.slug), old, new)
        }
        85..=89 => {
            let name = random.pick(&["invitation", "password reset", "welcome"]);
            let (old, new) = (json!({"name": name, "version": 3}), json!({"name": name, "version": 4}));
            changed(
                act("update Template").target("Template", &format!("template-{}", name.replace(' ', "-")), name),
                old,
                new,
            )
        }
        90..=91 => {
            act("delete Role").target("Role", "role-test-role", "test role").set("old", json!({"name": "test role"}))
        }
        92..=95 => return totp_reset(world, time, &admin, &place, &person),
        _ => return invite(world, time, &admin, &place, &person),
    };
    let comments = world.random.percent(40).then(|| world.random.pick(&COMMENTS));
    world.write(match comments {
        Some(comments) => record.set("comments", comments),
        None => record,
    });
}

fn changed(record: Record, old: Value, new: Value) -> Record {
    record.set("old", old).set("new", new)
}

fn totp_reset(world: &mut World, mut time: i64, admin: &Person, place: &Place, person: &Person) {
    let mut new = entities::user(person);
    new["mfa"] = json!([]);
    let record = audit(time, "update User", admin, place)
        .target("User", &person.number, &person.email)
        .set("comments", "lost phone, identity checked by video call");
    world.write(changed(record, entities::user(person), new));
    world.soon(&mut time, 4);
    let body = format!("Hello {}, your second factor was removed. Set up a new one at your next sign-in.", person.name);
    notify(world, time, "totp reset", "totp reset for your account", person, &[], &body);
}

fn invite(world: &mut World, mut time: i64, admin: &Person, place: &Place, person: &Person) {
    world.write(
        audit(time, "create User", admin, place)
            .target("User", &person.number, &person.email)
            .set("new", entities::user(person)),
    );
    world.soon(&mut time, 4);
    let body = format!("{} invites you to {}. The invitation is valid for 7 days.", admin.name, world.domain);
    notify(world, time, "invitation", "You are invited", person, std::slice::from_ref(admin), &body);
}

/// A job that runs every day.
struct Job {
    name: &'static str,
    kind: &'static str,
    /// Hours of the day at which it starts, UTC.
    hours: &'static [i64],
    /// About how long it takes.
    lasts: i64,
    done: &'static str,
}

const JOBS: [Job; 7] = [
    Job {
        name: "audit log trim",
        kind: "trim",
        hours: &[2],
        lasts: 6 * MINUTE,
        done: "trimmed 0 records, none is older than 90 days",
    },
    Job { name: "archive audit logs", kind: "archive", hours: &[3], lasts: 11 * MINUTE, done: "archived one day" },
    Job {
        name: "expiration check",
        kind: "generic",
        hours: &[0],
        lasts: MINUTE,
        done: "checked accounts and certificates",
    },
    Job {
        name: "cleanup expired sessions",
        kind: "cleanup",
        hours: &[1, 13],
        lasts: 2 * MINUTE,
        done: "removed expired sessions",
    },
    Job { name: "directory sync", kind: "sync", hours: &[6, 18], lasts: 4 * MINUTE, done: "directory is up to date" },
    Job { name: "batch email: weekly digest", kind: "email", hours: &[7], lasts: 3 * MINUTE, done: "sent the digest" },
    Job { name: "user import", kind: "import", hours: &[5], lasts: 9 * MINUTE, done: "no new users" },
];

const FAULTS: [(&str, &str); 3] = [
    (
        "could not reach ldap.internal.example.com:636: connection timed out",
        "Error: connect ETIMEDOUT 10.0.8.14:636\n    at DirectoryClient.connect (/srv/auth/dist/directory/client.js:118:19)\n    at async SyncJob.run (/srv/auth/dist/jobs/sync.js:44:7)\n    at async Scheduler.execute (/srv/auth/dist/jobs/scheduler.js:91:5)",
    ),
    (
        "deadlock detected while deleting from event_log",
        "QueryFailedError: deadlock detected\n    at PostgresQueryRunner.query (/srv/auth/node_modules/typeorm/driver/postgres/PostgresQueryRunner.js:211:19)\n    at async TrimJob.deleteBatch (/srv/auth/dist/jobs/trim.js:72:9)\n    at async TrimJob.run (/srv/auth/dist/jobs/trim.js:39:5)\n    at async Scheduler.execute (/srv/auth/dist/jobs/scheduler.js:91:5)",
    ),
    (
        "row 311 has no e-mail address",
        "ValidationError: row 311: email is required\n    at parseRow (/srv/auth/dist/jobs/import.js:57:13)\n    at ImportJob.run (/srv/auth/dist/jobs/import.js:28:22)\n    at async Scheduler.execute (/srv/auth/dist/jobs/scheduler.js:91:5)",
    ),
];

/// Runs every job of the month: waiting, running, and how it ended. The newest trim has failed; in a large tenant, which
/// has more jobs, one sync hangs.
pub(super) fn jobs(world: &mut World) {
    let today = world.now.div_euclid(DAY) * DAY;
    let jobs = if world.people.len() > 100 { &JOBS[..] } else { &JOBS[..4] };
    for day in (0..=DAYS).rev() {
        for job in jobs {
            for &hour in job.hours {
                let mut time = today - day * DAY + hour * HOUR + world.random.between(0, 2 * SECOND);
                let id = world.uuid();
                let state = |time: i64, status: &str| {
                    Record::new(time, SOURCE, "job", &format!("job_{status}"))
                        .set("job.id", id.as_str())
                        .set("job.name", job.name)
                        .set("job.type", job.kind)
                        .set("job.status", status)
                };
                world.write(
                    state(time, "pending")
                        .outcome("unknown")
                        .set("level", "info")
                        .set("message", "waiting for a worker"),
                );
                world.soon(&mut time, 25);
                world.write(state(time, "running").outcome("unknown").set("level", "info").set("message", "started"));
                let age = world.now - time;
                if job.kind == "sync" && (2 * HOUR..14 * HOUR).contains(&age) {
                    continue; // hangs
                }
                time += job.lasts / 2 + world.random.between(0, job.lasts);
                let fails = world.random.percent(4) || (age < DAY && job.kind == "trim");
                let end = if fails {
                    let (message, stacktrace) = match job.kind {
                        "sync" => FAULTS[0],
                        "import" => FAULTS[2],
                        _ => FAULTS[1],
                    };
                    state(time, "failed")
                        .failed("job_failed")
                        .set("level", "error")
                        .set("message", message)
                        .set("job.stacktrace", stacktrace)
                } else {
                    state(time, "success").outcome("success").set("message", job.done)
                };
                world.write(end);
            }
        }
    }
}
