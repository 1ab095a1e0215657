//! The monitoring guide's service, as its users meet it: signing in, sessions, grants, mail.
//!
//! Owns: event, session, grant and notification logs of `auth-service`. Not here: administration and jobs (`directory`).
//! The guide prints column names but no record, so actions follow its words: `login`, `logout`, `mfa`, `password_reset`.

use super::people::{App, Person, Place, Provider};
use super::random::{HOUR, MINUTE, SECOND};
use super::record::{Record, rfc3339};
use super::{World, directory, entities};
use serde_json::json;

pub(super) const SOURCE: &str = "auth-service";

/// Lets something happen at `time`.
pub(super) fn happen(world: &mut World, time: i64) {
    match world.random.below(100) {
        0..=71 => sign_in(world, time),
        72..=77 => forgotten_password(world, time),
        78..=80 => access_request(world, time),
        _ => directory::administrate(world, time),
    }
}

/// An event of a person at an application.
pub(super) fn event(time: i64, action: &str, person: &Person, place: &Place, app: App, provider: Provider) -> Record {
    Record::new(time, SOURCE, "event", action)
        .set("email", person.email.as_str())
        .set("username", person.username.as_str())
        .from(place)
        .client(app)
        .provider(provider)
}

fn sign_in(world: &mut World, mut time: i64) {
    let person = world.person();
    let place = world.place(&person);
    let (app, provider) = (world.app(), world.provider());

    let failures = world.random.weighted(&[(86, 0), (9, 1), (3, 2), (2, 4)]);
    for _ in 0..failures {
        let code =
            world.random.weighted(&[(80, "invalid_credentials"), (12, "mfa_failed"), (8, "provider_unavailable")]);
        let request = world.random.uuid_at(time);
        world.write(
            event(time, "login_failed", &person, &place, app, provider)
                .failed(code)
                .set("message", format!("sign-in refused: {}", code.replace('_', " ")))
                .set("request_id", request)
                .set("attributes", json!({"method": "password"})),
        );
        world.soon(&mut time, 40);
    }
    if failures == 4 {
        world.write(event(time, "account_lockout", &person, &place, app, provider).failed("too_many_attempts"));
        let subject = format!("Your {} account was locked", app.name);
        notify(
            world,
            time,
            "alert",
            &subject,
            &person,
            &[],
            "Too many failed sign-ins. Ask your administrator to unlock it.",
        );
        return;
    }
    let session = world.uuid();
    signed_in(world, time, &person, &place, app, provider, &session);
}

/// A success and all that follows from it.
pub(super) fn signed_in(
    world: &mut World,
    mut time: i64,
    person: &Person,
    place: &Place,
    app: App,
    provider: Provider,
    session: &str,
) {
    let request = world.random.uuid_at(time);
    if provider.name == "Local" && world.random.percent(55) {
        let method = world.random.pick(&["totp", "webauthn"]);
        world.write(
            event(time, "mfa", person, place, app, provider)
                .outcome("success")
                .set("request_id", request.as_str())
                .set("attributes", json!({"method": method, "step": 2})),
        );
        world.soon(&mut time, 12);
    }
    world.write(
        event(time, "login", person, place, app, provider)
            .outcome("success")
            .set("session_id", session)
            .set("request_id", request.as_str()),
    );
    let scopes = entities::scopes(&mut world.random);
    let expires = time + 8 * HOUR;
    let begun = session_record(time, "session_created", session, "active", person, app, expires)
        .set("session.scopes", json!(scopes))
        .set("session.claims", json!({"sub": person.number, "name": person.name, "amr": ["pwd"]}))
        .set("request_id", request.as_str())
        .from(place);
    world.write(begun);

    let grant = world.uuid();
    let granted = world.random.percent(45);
    if granted {
        world.soon(&mut time, 5);
        world.write(
            grant_record(time, "grant_created", &grant, "active", person, app, provider, session)
                .set("grant.scopes", json!(scopes)),
        );
    }
    let ends = time + world.random.between(5 * MINUTE, 8 * HOUR);
    match world.random.below(100) {
        0..=34 => {
            world.write(
                event(ends, "logout", person, place, app, provider).outcome("success").set("session_id", session),
            );
            world.write(
                session_record(ends + SECOND, "session_revoked", session, "revoked", person, app, expires)
                    .set("message", "signed out"),
            );
        }
        35..=64 => {
            world.write(session_record(expires, "session_expired", session, "expired", person, app, expires));
        }
        65..=68 => {
            let admin = world.admin();
            world.write(
                session_record(ends, "session_revoked", session, "revoked", person, app, expires)
                    .actor(&admin)
                    .set("comments", "revoked on request of the user"),
            );
            if granted {
                world.write(
                    grant_record(ends + SECOND, "grant_revoked", &grant, "revoked", person, app, provider, session)
                        .actor(&admin),
                );
            }
        }
        _ => {}
    }
}

/// A state of a session.
pub(super) fn session_record(
    time: i64,
    action: &str,
    id: &str,
    status: &str,
    person: &Person,
    app: App,
    expires: i64,
) -> Record {
    Record::new(time, SOURCE, "session", action)
        .outcome("success")
        .set("session.id", id)
        .set("session_id", id)
        .set("session.protocol", app.protocol)
        .set("session.user_id", person.number.as_str())
        .set("session.status", status)
        .set("session.expires_at", rfc3339(expires))
        .client(app)
}

#[expect(clippy::too_many_arguments, reason = "each is a column of the view")]
fn grant_record(
    time: i64,
    action: &str,
    id: &str,
    status: &str,
    person: &Person,
    app: App,
    provider: Provider,
    session: &str,
) -> Record {
    Record::new(time, SOURCE, "grant", action)
        .outcome("success")
        .set("grant.id", id)
        .set("grant.protocol", app.protocol)
        .set("grant.user_id", person.number.as_str())
        .set("grant.status", status)
        .set("grant.expires_at", rfc3339(time + 30 * 24 * HOUR))
        .set("email", person.email.as_str())
        .set("session_id", session)
        .client(app)
        .provider(provider)
}

fn forgotten_password(world: &mut World, mut time: i64) {
    let person = world.person();
    let place = world.place(&person);
    let app = world.app();
    let local = super::PROVIDERS[0];
    world.write(
        event(time, "password_reset_requested", &person, &place, app, local)
            .outcome("success")
            .set("attributes", json!({"channel": "email"})),
    );
    world.soon(&mut time, 3);
    let body = format!(
        "Hello {}, somebody asked to reset your password. The link in this message works for 30 minutes.",
        person.name
    );
    let arrived = notify(world, time, "password reset", "password reset for your account", &person, &[], &body);
    if arrived && world.random.percent(80) {
        time += world.random.between(MINUTE, 20 * MINUTE);
        world.write(event(time, "password_reset", &person, &place, app, local).outcome("success"));
    }
}

fn access_request(world: &mut World, mut time: i64) {
    let (person, manager, app) = (world.person(), world.admin(), world.app());
    let subject = format!("{} asks for access to {}", person.name, app.name);
    let body = "Open the request in the console to approve or refuse it.";
    notify(world, time, "access request", &subject, &manager, std::slice::from_ref(&person), body);
    if world.random.percent(50) {
        time += world.random.between(10 * MINUTE, 20 * HOUR);
        notify(world, time, "welcome", &format!("Welcome to {}", app.name), &person, &[], "Your access was approved.");
    }
}

/// Sends mail: a record that it waits, then one of how it went. Answers whether it arrived.
pub(super) fn notify(
    world: &mut World,
    mut time: i64,
    category: &str,
    subject: &str,
    to: &Person,
    cc: &[Person],
    body: &str,
) -> bool {
    let id = world.uuid();
    let cc: Vec<&str> = cc.iter().map(|person| person.email.as_str()).collect();
    let record = |time: i64, status: &str| {
        let record = Record::new(time, SOURCE, "notification", &format!("notification_{status}"))
            .set("notification.id", id.as_str())
            .set("notification.subject", subject)
            .set("notification.recipient", json!([to.email]))
            .set("notification.status", status)
            .set("notification.category", category)
            .set("notification.body", body);
        if cc.is_empty() { record } else { record.set("notification.cc", json!(cc)) }
    };
    world.write(record(time, "pending").outcome("unknown").set("level", "info"));
    match world.random.weighted(&[(91, 0), (4, 1), (4, 2), (1, 3)]) {
        0 => {
            world.soon(&mut time, 30);
            world.write(record(time, "sent").outcome("success"));
            true
        }
        1 => {
            world.soon(&mut time, 120);
            let (code, message) = world.random.pick(&[
                ("smtp_550", "550 5.1.1 recipient address rejected"),
                ("smtp_421", "421 4.7.0 too many connections, try again later"),
                ("smtp_timeout", "no answer from mail.example.net:587 within 30 s"),
            ]);
            world.write(record(time, "failed").failed(code).set("message", message));
            false
        }
        2 => {
            time += world.random.between(MINUTE, 15 * MINUTE);
            world
                .write(record(time, "bounced").failed("mailbox_unavailable").set("message", "mailbox full or unknown"));
            false
        }
        _ => false, // waits to this day
    }
}
