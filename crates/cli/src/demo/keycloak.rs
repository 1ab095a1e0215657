//! Keycloak: user events by type, admin events as operation and resource type.
//!
//! Owns: their names and details. An admin event's `representation`, JSON in a string on the wire, is given as `new`.
//! Not here: Keycloak's log lines.

use super::people::{App, Person, Place};
use super::random::{HOUR, MINUTE};
use super::record::Record;
use super::{World, entities};
use serde_json::json;

pub(super) const SOURCE: &str = "keycloak";

/// A user event.
pub(super) fn event(world: &World, time: i64, kind: &str, person: &Person, place: &Place, app: App) -> Record {
    Record::new(time, SOURCE, "event", kind)
        .outcome("success")
        .set("actor.id", person.id.as_str())
        .set("username", person.username.as_str())
        .set("ip", place.ip.as_str())
        .client(app)
        .set("attributes", json!({"realmId": world.project, "details": {"auth_method": "openid-connect", "username": person.username}}))
}

/// A sign-in that failed.
pub(super) fn refused(world: &World, time: i64, person: &Person, ip: &str, app: App, error: &str) -> Record {
    Record::new(time, SOURCE, "event", "LOGIN_ERROR")
        .failed(error)
        .set("email", person.email.as_str())
        .set("username", person.username.as_str())
        .set("ip", ip)
        .client(app)
        .set("attributes", json!({"realmId": world.project, "details": {"username": person.username}}))
}

/// An admin event.
pub(super) fn admin_event(world: &World, time: i64, action: &str, admin: &Person, ip: &str, path: &str) -> Record {
    let kind = action.split(' ').nth(1).unwrap_or_default();
    Record::new(time, SOURCE, "audit", action)
        .outcome("success")
        .set("actor.id", admin.id.as_str())
        .set("actor.name", admin.username.as_str())
        .set("ip", ip)
        .set("client.id", "security-admin-console")
        .target(kind, path, path.rsplit('/').next().unwrap_or(path))
        .set("attributes", json!({"realmId": world.project, "resourcePath": path}))
}

/// Lets something happen at `time`.
pub(super) fn happen(world: &mut World, time: i64) {
    let person = world.person();
    let place = world.place(&person);
    match world.random.below(100) {
        0..=69 => sign_in(world, time, &person, &place),
        70..=84 => account(world, time, &person, &place),
        _ => administrate(world, time, &person),
    }
}

fn sign_in(world: &mut World, mut time: i64, person: &Person, place: &Place) {
    let (app, session) = (world.app(), world.uuid());
    for _ in 0..world.random.weighted(&[(84, 0), (11, 1), (5, 2)]) {
        let error =
            world.random.weighted(&[(80, "invalid_user_credentials"), (15, "user_not_found"), (5, "user_disabled")]);
        world.write(refused(world, time, person, &place.ip, app, error));
        world.soon(&mut time, 30);
    }
    for kind in ["LOGIN", "CODE_TO_TOKEN"] {
        world.write(
            event(world, time, kind, person, place, app)
                .set("session_id", session.as_str())
                .set("email", person.email.as_str()),
        );
        world.soon(&mut time, 2);
    }
    for _ in 0..world.random.below(4) {
        time += world.random.between(4 * MINUTE, 50 * MINUTE);
        let record = event(world, time, "REFRESH_TOKEN", person, place, app);
        let fails = world.random.percent(3);
        world.write(if fails {
            record.set("action", "REFRESH_TOKEN_ERROR").failed("invalid_token")
        } else {
            record.set("session_id", session.as_str())
        });
    }
    if world.random.percent(40) {
        time += world.random.between(MINUTE, 3 * HOUR);
        world.write(event(world, time, "LOGOUT", person, place, app).set("session_id", session.as_str()));
    }
}

fn account(world: &mut World, time: i64, person: &Person, place: &Place) {
    let app = world.app();
    let kind = world.random.pick(&[
        "REGISTER",
        "UPDATE_PASSWORD",
        "UPDATE_PROFILE",
        "VERIFY_EMAIL",
        "SEND_RESET_PASSWORD",
        "RESET_PASSWORD",
        "UPDATE_TOTP",
        "REMOVE_TOTP",
        "GRANT_CONSENT",
        "REVOKE_GRANT",
        "IDENTITY_PROVIDER_LOGIN",
        "FEDERATED_IDENTITY_LINK",
        "INTROSPECT_TOKEN",
        "CLIENT_LOGIN",
        "USER_DISABLED_BY_TEMPORARY_LOCKOUT",
    ]);
    world.write(event(world, time, kind, person, place, app));
}

fn administrate(world: &mut World, time: i64, person: &Person) {
    let (admin, app, provider) = (world.admin(), world.app(), world.provider());
    let place = world.place(&admin);
    let of_user = format!("users/{}", person.id);
    let of_group = format!("{of_user}/groups/{}", entities::group(&mut world.random).replace(' ', "-"));
    let of_roles = format!("{of_user}/role-mappings/realm");
    let of_client = format!("clients/{}", app.id);
    let of_provider = format!("identity-provider/instances/{}", provider.id);
    let act = |world: &World, action: &str, path: &str| admin_event(world, time, action, &admin, &place.ip, path);
    let record = match world.random.below(12) {
        0 | 1 => act(world, "CREATE USER", &of_user).set("new", entities::user(person)),
        2..=4 => {
            let (old, new) = entities::user_change(&mut world.random, person);
            act(world, "UPDATE USER", &of_user).set("old", old).set("new", new)
        }
        5 => act(world, "DELETE USER", &of_user),
        6 => act(world, "CREATE GROUP_MEMBERSHIP", &of_group),
        7 | 8 => {
            let role = entities::role(&mut world.random);
            let action = world.random.pick(&["CREATE REALM_ROLE_MAPPING", "DELETE REALM_ROLE_MAPPING"]);
            act(world, action, &of_roles).set("new", json!([{"name": role, "composite": false}]))
        }
        9 => {
            let (old, new) = entities::app_change(&mut world.random, app, world.domain);
            act(world, "UPDATE CLIENT", &of_client).set("old", old).set("new", new)
        }
        10 => {
            let (old, new) = entities::provider_change(&mut world.random, provider, world.domain);
            act(world, "UPDATE IDENTITY_PROVIDER", &of_provider).set("old", old).set("new", new)
        }
        _ => act(world, "ACTION USER", &format!("{of_user}/execute-actions-email"))
            .set("new", json!(["UPDATE_PASSWORD"])),
    };
    world.write(record);
}
