//! Ory: event streams of Ory Network, and the audit sink of ory-nestjs.
//!
//! Owns: their names and attributes as the servers send them; of Ory's attributes those with a field of the envelope go
//! there. ory-nestjs names an actor only where a guard acted, so a change shares its `request_id` with the guard's success.
//! Not here: delivery.

use super::World;
use super::people::{App, Person, Place};
use super::random::{HOUR, MINUTE, SECOND};
use super::record::Record;
use serde_json::{Value, json};

pub(super) const NETWORK: &str = "ory-network";
pub(super) const NESTJS: &str = "ory-nestjs";

/// An event of Ory Network.
fn event(world: &World, time: i64, name: &str, mut attributes: Value) -> Record {
    attributes["version"] = json!("1");
    attributes["projectId"] = json!(world.project);
    let outcome = if name.ends_with("Failed") || name.ends_with("Rejected") || name.ends_with("Error") {
        "failure"
    } else {
        "success"
    };
    Record::new(time, NETWORK, "event", name).outcome(outcome).set("attributes", attributes)
}

/// An event of somebody's session.
pub(super) fn session_event(world: &World, time: i64, name: &str, person: &Person, ip: &str, session: &str) -> Record {
    event(world, time, name, json!({"GeoLocationCountry": country(ip)}))
        .set("actor.id", person.identity.as_str())
        .set("ip", ip)
        .set("session_id", session)
}

/// The country that Ory's edge would print for an address.
fn country(ip: &str) -> &'static str {
    match ip.split(['.', ':']).next() {
        Some("203") => "BR",
        Some("198") => "DE",
        Some("192") => "CZ",
        _ => "US",
    }
}

/// Lets something happen at Ory Network.
pub(super) fn network(world: &mut World, time: i64) {
    let person = world.person();
    let place = world.place(&person);
    match world.random.below(100) {
        0..=59 => sign_in(world, time, &person, &place),
        60..=67 => refused(world, time, &person, &place),
        68..=73 => registration(world, time, &person, &place),
        74..=78 => recovery(world, time, &person, &place),
        79..=84 => permissions(world, time),
        85..=90 => webhook(world, time),
        91..=94 => tokens(world, time),
        _ => administration(world, time),
    }
}

fn flow(world: &mut World) -> Value {
    json!({"FlowID": world.uuid(), "SelfServiceFlowType": "browser"})
}

fn sign_in(world: &mut World, mut time: i64, person: &Person, place: &Place) {
    let (session, app) = (world.uuid(), world.app());
    let mut details = flow(world);
    world.write(event(world, time, "LoginInitiated", details.clone()).from(place));
    world.soon(&mut time, 30);
    details["SelfServiceMethodUsed"] = json!(world.random.pick(&["password", "password", "oidc", "passkey", "code"]));
    details["LoginRequestedAAL"] = json!("aal1");
    details["LoginRequestedPrivilegedSession"] = json!("false");
    let of_person = |record: Record| {
        record.set("actor.id", person.identity.as_str()).set("session_id", session.as_str()).from(place)
    };
    world.write(of_person(event(world, time, "LoginSucceeded", details)));
    time += SECOND / 10;
    world.write(of_person(event(world, time, "SessionIssued", json!({"SessionAAL": "aal1"}))));
    if world.random.percent(50) {
        for name in
            ["OAuth2LoginAccepted", "OAuth2ConsentAccepted", "OAuth2AccessTokenIssued", "OIDCIdentityTokenIssued"]
        {
            world.soon(&mut time, 3);
            let granted = json!({"OAuth2Subject": person.identity, "OAuth2GrantType": "authorization_code"});
            world.write(of_client(event(world, time, name, granted), app).set("ip", place.ip.as_str()));
        }
    }
    for _ in 0..world.random.below(5) {
        time += world.random.between(MINUTE, HOUR);
        world.write(session_event(world, time, "SessionChecked", person, &place.ip, &session));
    }
    if world.random.percent(10) {
        let template = json!({"TokenizedSessionTTL": "1h0m0s"});
        world.write(of_person(event(world, time, "SessionTokenizedAsJWT", template)));
    }
    if world.random.percent(35) {
        time += world.random.between(MINUTE, 3 * HOUR);
        world.write(session_event(world, time, "SessionRevoked", person, &place.ip, &session));
    }
}

fn of_client(record: Record, app: App) -> Record {
    record.set("client.id", app.id).set("client.name", app.name)
}

fn refused(world: &mut World, mut time: i64, person: &Person, place: &Place) {
    for _ in 0..=world.random.below(3) {
        let mut details = flow(world);
        details["SelfServiceMethodUsed"] = json!("password");
        details["ErrorReason"] = json!("The provided credentials are invalid, check for spelling mistakes.");
        world.write(
            event(world, time, "LoginFailed", details)
                .from(place)
                .set("identifier", person.email.as_str())
                .set("error_code", "invalid_credentials"),
        );
        world.soon(&mut time, 25);
    }
}

fn registration(world: &mut World, mut time: i64, person: &Person, place: &Place) {
    let mut details = flow(world);
    world.write(event(world, time, "RegistrationInitiated", details.clone()).from(place));
    world.soon(&mut time, 60);
    details["SelfServiceMethodUsed"] = json!("password");
    if world.random.percent(20) {
        details["ErrorReason"] = json!("An account with the same identifier exists already.");
        return world.write(event(world, time, "RegistrationFailed", details).from(place));
    }
    let of_person = |record: Record| record.set("actor.id", person.identity.as_str()).from(place);
    world.write(of_person(event(world, time, "RegistrationSucceeded", details)));
    world.write(event(world, time, "IdentityCreated", json!({"IdentityActive": "true"})).target(
        "identity",
        &person.identity,
        &person.email,
    ));
    world.soon(&mut time, 4);
    let message = json!({"CourierMessageID": world.uuid(), "CourierMessageChannel": "email", "CourierMessageTemplateType": "verification_code_valid"});
    world.write(event(world, time, "CourierMessageDispatched", message));
    time += world.random.between(MINUTE, 10 * MINUTE);
    let name = if world.random.percent(90) { "VerificationSucceeded" } else { "VerificationFailed" };
    let details = flow(world);
    world.write(of_person(event(world, time, name, details)));
}

fn recovery(world: &mut World, mut time: i64, person: &Person, place: &Place) {
    for (name, share) in [("RecoverySucceeded", 80), ("SettingsSucceeded", 95)] {
        let done = world.random.percent(share);
        let mut details = flow(world);
        details["SelfServiceMethodUsed"] = json!("code");
        let name = if done { name.to_owned() } else { name.replace("Succeeded", "Failed") };
        world.write(event(world, time, &name, details).set("actor.id", person.identity.as_str()).from(place));
        if !done {
            return;
        }
        world.soon(&mut time, 90);
    }
    world.write(event(world, time, "IdentityUpdated", json!({"IdentityActive": "true"})).target(
        "identity",
        &person.identity,
        &person.email,
    ));
}

fn permissions(world: &mut World, mut time: i64) {
    for _ in 0..=world.random.below(5) {
        let name = world.random.weighted(&[
            (80, "PermissionsChecked"),
            (8, "PermissionsExpanded"),
            (8, "RelationtuplesCreated"),
            (4, "RelationtuplesDeleted"),
        ]);
        world.write(event(world, time, name, json!({"ProjectEnvironment": "production"})));
        world.soon(&mut time, 2);
    }
}

fn webhook(world: &mut World, time: i64) {
    let mut details = json!({"WebhookID": world.uuid(), "WebhookTriggerID": world.uuid()});
    if world.random.percent(85) {
        return world.write(event(world, time, "WebhookSucceeded", details));
    }
    details["Error"] = json!("upstream answered 503");
    details["ErrorReason"] = json!("service unavailable");
    world.write(event(world, time, "WebhookFailed", details).set("error_code", "503"));
}

fn tokens(world: &mut World, time: i64) {
    let app = world.app();
    let name = world.random.pick(&[
        "OAuth2AccessTokenInspected",
        "OAuth2RefreshTokenIssued",
        "OAuth2TokenExchangeError",
        "OAuth2AccessTokenRevoked",
    ]);
    let details = if name.ends_with("Error") {
        json!({"ErrorReason": "invalid_grant"})
    } else {
        json!({"OAuth2GrantType": "refresh_token"})
    };
    world.write(of_client(event(world, time, name, details), app));
}

fn administration(world: &mut World, time: i64) {
    let admin = world.admin();
    let name = world.random.pick(&[
        "ProjectUpdated",
        "APIKeyCreated",
        "APIKeyDeleted",
        "OIDCProviderUpdated",
        "SAMLProviderCreated",
        "CustomDomainUpdated",
        "ProjectMemberInviteCreated",
        "ProjectMemberInviteAccepted",
        "ProjectMemberRemoved",
        "SCIMClientUpdated",
    ]);
    let project = world.project.clone();
    let kind = name.trim_end_matches(|c: char| c.is_lowercase()).trim_end_matches(char::is_uppercase);
    let kind = if kind.is_empty() { "Project" } else { kind };
    let place = world.place(&admin);
    world.write(
        event(world, time, name, json!({"ProjectEnvironment": "production"}))
            .set("log", "audit")
            .set("actor.id", admin.identity.as_str())
            .from(&place)
            .target(kind, &project, world.slug),
    );
}

/// An event of ory-nestjs.
fn audited(world: &World, time: i64, name: &str, result: &str, request: &str, mut attributes: Value) -> Record {
    let log = if name.starts_with("iam.") || name.starts_with("oauth2.") { "audit" } else { "event" };
    attributes["tenant"] = json!(world.slug);
    Record::new(time, NESTJS, log, name).outcome(result).set("request_id", request).set("attributes", attributes)
}

/// Lets somebody work with an API that ory-nestjs guards.
pub(super) fn nestjs(world: &mut World, mut time: i64) {
    let person = world.person();
    let place = world.place(&person);
    for _ in 0..=world.random.below(4) {
        request(world, time, &person, &place);
        world.soon(&mut time, 90);
    }
}

fn request(world: &mut World, mut time: i64, person: &Person, place: &Place) {
    let request = world.random.uuid_at(time);
    let (trace, span) = (world.random.hex(32), world.random.hex(16));
    let route =
        world.random.pick(&["listReports", "getReport", "updateProfile", "createInvoice", "exportLedger", "listUsers"]);
    let seen = |record: Record| record.from(place).set("trace_id", trace.as_str()).set("span_id", span.as_str());
    if world.random.percent(12) {
        let (name, reason) = world.random.pick(&[
            ("auth.failure.missing_credential", ""),
            ("auth.failure.expired", "session expired"),
            ("auth.failure.token_inactive", ""),
            ("auth.failure.malformed", "malformed_envelope"),
            ("auth.failure.invalid_signature", "signature mismatch"),
            ("auth.failure.replay", "replay"),
            ("auth.failure.unsigned_header", "unsigned_header"),
        ]);
        let details =
            if reason.is_empty() { json!({"route": route}) } else { json!({"route": route, "reason": reason}) };
        return world.write(seen(audited(world, time, name, "failure", &request, details)));
    }
    let details = json!({"route": route, "transport": "cookie", "latencyMs": 2 + world.random.below(60)});
    let by = |record: Record| seen(record).set("actor.id", person.identity.as_str());
    world.write(by(audited(world, time, "auth.success", "success", &request, details)));
    time += world.random.between(SECOND / 100, SECOND / 4);
    match world.random.below(100) {
        0..=44 => {
            let denied = world.random.percent(14);
            let (name, result) =
                if denied { ("authz.permission.deny", "deny") } else { ("authz.permission.grant", "success") };
            let object = format!("report-{}", 1 + world.random.below(400));
            let details = json!({"namespace": "reports", "relation": "view", "object": object, "route": route});
            world.write(by(audited(world, time, name, result, &request, details)));
        }
        45..=50 => {
            let details = json!({"requiredRoles": ["admin"], "route": "deleteTenant"});
            world.write(by(audited(world, time, "authz.role.deny", "deny", &request, details)));
        }
        51..=53 => {
            let details = json!({"product": world.random.pick(&["keto_read", "kratos_admin", "hydra_admin"])});
            world.write(
                audited(world, time, "health.probe_failure", "failure", &request, details)
                    .set("error_code", "probe_timeout"),
            );
        }
        54..=79 => mutation(world, time, &request),
        _ => {}
    }
}

/// A change made through ory-nestjs; it names no actor.
fn mutation(world: &mut World, time: i64, request: &str) {
    let (person, app) = (world.person(), world.app());
    let id = world.uuid();
    let member = format!("user:{}", person.identity);
    let (name, target, details) = match world.random.below(12) {
        0 | 1 => {
            ("iam.identity.patch", person.identity.clone(), json!({"paths": ["/metadata_public/roles"], "opCount": 1}))
        }
        2 => ("iam.identity.create", person.identity.clone(), json!({})),
        3 => ("iam.identity.updateTraits", person.identity.clone(), json!({})),
        4 => (
            "authz.permission.grant",
            String::new(),
            json!({"namespace": "groups", "relation": "member", "object": "billing", "subject": member}),
        ),
        5 => (
            "authz.permission.revoke",
            String::new(),
            json!({"namespace": "groups", "relation": "member", "object": "billing", "subject": member}),
        ),
        6 => ("authz.session.revoke", id, json!({})),
        7 => ("oauth2.client.create", app.id.to_owned(), json!({"clientName": app.name})),
        8 => ("iam.jwk.updateSet", "hydra.openid.id-token".to_owned(), json!({"keyCount": 2})),
        9 => ("iam.courier.message.access", id, json!({"includedBody": true})),
        10 => ("iam.network.project.apiKey.create", format!("{}/{id}", world.project), json!({"keyName": "ci"})),
        _ if world.random.percent(15) => ("iam.network.project.purge", id, json!({})),
        _ => ("iam.session.extend", id, json!({})),
    };
    let record = audited(world, time, name, "success", request, details);
    let record = if name.ends_with("purge") { record.set("irreversible", true) } else { record };
    world.write(if target.is_empty() { record } else { record.set("target.id", target) });
}
