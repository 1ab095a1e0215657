//! Contember: rows of `person_auth_log` in its own type names.
//!
//! Owns: which columns a type fills. `invoked_by_id` is the actor's identity, `person_id` the actor's person; before and after go to `old`
//! and `new`, the rest of `event_data` and `metadata` stays in `attributes`. A row names nobody but by id, save for what was typed.

use super::people::{PROVIDERS, Person, Place};
use super::random::{HOUR, MINUTE};
use super::record::Record;
use super::{World, entities};
use serde_json::{Value, json};

pub(super) const SOURCE: &str = "contember";

fn row(time: i64, log: &str, kind: &str, person: &Person, place: &Place) -> Record {
    Record::new(time, SOURCE, log, kind)
        .outcome("success")
        .from(place)
        .set("actor.id", person.id.as_str())
        .set("actor.identity_id", person.identity.as_str())
        .set("attributes", json!({"metadata": {}}))
}

/// A row about somebody, written by an administrator. The address is the person's own; a trusted proxy forwarded it.
pub(super) fn admin_row(time: i64, kind: &str, admin: &Person, place: &Place) -> Record {
    row(time, "audit", kind, admin, place)
        .set("forwarder_ip", "10.0.0.7")
        .set("forwarder_user_agent", "admin-backend/2.2")
}

/// Lets something happen at `time`.
pub(super) fn happen(world: &mut World, time: i64) {
    let person = world.person();
    let place = world.place(&person);
    match world.random.below(100) {
        0..=44 => sign_in(world, time, &person, &place),
        45..=54 => provider_sign_in(world, time, &person, &place),
        55..=63 => passwordless(world, time, &person, &place),
        64..=70 => reset(world, time, &person, &place),
        71..=79 => account(world, time, &person, &place),
        _ => administrate(world, time, &person),
    }
}

fn sign_in(world: &mut World, mut time: i64, person: &Person, place: &Place) {
    for _ in 0..world.random.weighted(&[(80, 0), (15, 1), (5, 2)]) {
        let known = world.random.percent(85);
        let typed = if known { person.email.clone() } else { person.email.replacen('.', "", 1) };
        world.write(
            Record::new(time, SOURCE, "event", "login")
                .failed(if known { "INVALID_PASSWORD" } else { "UNKNOWN_EMAIL" })
                .set("identifier", typed)
                .from(place)
                .set("attributes", json!({"metadata": {}})),
        );
        world.soon(&mut time, 30);
    }
    world.write(row(time, "event", "login", person, place).set("identifier", person.email.as_str()));
    if world.random.percent(30) {
        let policy =
            json!({"tokenExpiration": "PT8H", "idleTimeout": "PT30M", "rememberMeAllowed": true, "mfaRequired": false});
        world.write(
            row(time + 1000, "event", "session_policy_applied", person, place)
                .set("attributes", json!({"event_data": policy})),
        );
    }
    if world.random.percent(4) {
        let risk = json!({"score": 60, "action": "step_up", "reasons": ["new_device", "new_ip_prefix"]});
        world.write(
            row(time + 2000, "event", "unusual_login_detected", person, place)
                .set("attributes", json!({"event_data": risk}))
                .set("level", "warn"),
        );
    }
    if world.random.percent(25) {
        time += world.random.between(20 * MINUTE, 7 * HOUR);
        let session = world.uuid();
        world.write(
            row(time, "event", "session_revoked_by_user", person, place)
                .set("session_id", session.as_str())
                .set("attributes", json!({"metadata": {"sessionId": session}})),
        );
    }
}

fn provider_sign_in(world: &mut World, time: i64, person: &Person, place: &Place) {
    let provider = world.random.pick(&PROVIDERS[1..]);
    let record = row(time, "event", "idp_login", person, place).provider(provider);
    let fails = world.random.percent(6);
    world.write(if fails {
        record
            .failed("IDP_VALIDATION_FAILED")
            .set("attributes", json!({"metadata": {"reason": "idp_email_unverified"}}))
    } else {
        record
    });
}

fn passwordless(world: &mut World, mut time: i64, person: &Person, place: &Place) {
    for kind in ["passwordless_login_init", "passwordless_login_exchange", "passwordless_login"] {
        world.write(row(time, "event", kind, person, place).set("identifier", person.email.as_str()));
        world.soon(&mut time, 120);
        if world.random.percent(8) {
            return;
        }
    }
}

fn reset(world: &mut World, mut time: i64, person: &Person, place: &Place) {
    world.write(
        Record::new(time, SOURCE, "event", "password_reset_init")
            .outcome("success")
            .set("identifier", person.email.as_str())
            .from(place)
            .set("attributes", json!({"metadata": {}})),
    );
    if world.random.percent(75) {
        time += world.random.between(MINUTE, 30 * MINUTE);
        let record = row(time, "event", "password_reset", person, place);
        let late = world.random.percent(10);
        world.write(if late { record.failed("TOKEN_EXPIRED") } else { record });
    }
}

fn account(world: &mut World, time: i64, person: &Person, place: &Place) {
    let kind = world.random.pick(&[
        "2fa_enable",
        "2fa_enable",
        "2fa_disable",
        "password_change",
        "email_change",
        "backup_code_generated",
        "email_otp_sent",
    ]);
    world.write(row(time, "event", kind, person, place));
}

fn administrate(world: &mut World, time: i64, person: &Person) {
    let admin = world.admin();
    let place = world.place(&admin);
    let act = |kind: &str| admin_row(time, kind, &admin, &place);
    let upon = |kind: &str| act(kind).set("target.id", person.id.as_str()).set("target.type", "person");
    let told = |record: Record, data: Value| record.set("attributes", json!({"metadata": {}, "event_data": data}));
    let (id, project) = (world.uuid(), world.project.clone());
    let role = world.random.pick(&["editor", "reviewer", "publisher"]);
    let membership = |role: &str| json!([{"role": role, "variables": [{"name": "language", "values": ["en"]}]}]);
    let of_project = json!({"projectId": project, "identityId": person.identity});
    let provider = world.random.pick(&PROVIDERS[1..]);
    let record = match world.random.below(16) {
        0 => {
            upon("global_role_grant").set("old", json!({"roles": []})).set("new", json!({"roles": ["project_creator"]}))
        }
        1 => upon("global_role_revoke")
            .set("old", json!({"roles": ["project_creator"]}))
            .set("new", json!({"roles": []})),
        2 | 3 => told(upon("project_membership_create"), of_project).set("old", json!([])).set("new", membership(role)),
        4 | 5 => told(upon("project_membership_update"), of_project)
            .set("old", membership("viewer"))
            .set("new", membership(role)),
        6 => told(upon("project_membership_remove"), of_project).set("old", membership(role)).set("new", json!([])),
        7 => told(
            act("api_key_create"),
            json!({"scope": "project", "projectSlug": world.slug, "apiKeyId": id, "identityId": person.identity, "description": "nightly export"}),
        ),
        8 => told(act("api_key_disable"), json!({"apiKeyId": id})),
        9 | 10 => {
            let (old, new) = idp_change(world, provider.id);
            told(act("idp_update"), json!({"slug": provider.id})).provider(provider).set("old", old).set("new", new)
        }
        11 => told(act(world.random.pick(&["idp_disable", "idp_enable"])), json!({"slug": provider.id}))
            .provider(provider),
        12 => upon("forced_sign_out").set("attributes", json!({"metadata": {"reason": "laptop reported stolen"}})),
        13 => told(
            act("mail_template_change"),
            json!({"action": "add", "projectSlug": world.slug, "mailType": "RESET_PASSWORD_REQUEST", "variant": ""}),
        ),
        14 => told(
            act("person_invite"),
            json!({"projectSlug": world.slug, "isNew": true, "unmanaged": false, "memberships": membership(role)}),
        )
        .set("identifier", person.email.as_str()),
        _ => {
            let (old, new) = entities::settings_change(&mut world.random);
            told(act("tenant_config_change"), json!({"input": new})).set("old", old).set("new", new)
        }
    };
    world.write(record);
}

/// Before and after of an identity provider, as Contember stores it: key names instead of values.
pub(super) fn idp_change(world: &mut World, slug: &str) -> (Value, Value) {
    let old = json!({
        "slug": slug,
        "type": "oidc",
        "disabledAt": null,
        "autoSignUp": false,
        "exclusive": false,
        "initReturnsConfig": false,
        "requireVerifiedEmail": true,
        "assumeEmailVerified": false,
        "configurationKeys": ["claimMapping", "clientId", "clientSecret", "url"],
    });
    let mut new = old.clone();
    match world.random.below(3) {
        0 => new["autoSignUp"] = json!(true),
        1 => new["exclusive"] = json!(true),
        _ => new["configurationKeys"] = json!(["claimMapping", "clientId", "clientSecret", "responseType", "url"]),
    }
    (old, new)
}
