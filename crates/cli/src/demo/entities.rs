//! Things that administrators change, before and after.
//!
//! Owns: snapshots of identity providers, applications, users, groups, roles and settings. Not here: who changed them,
//! or in whose spelling. Snapshots carry no secrets.

use super::people::{App, GROUPS, Person, Provider, ROLES};
use super::random::Random;
use serde_json::{Value, json};

/// A snapshot before and after one change.
pub(super) type Change = (Value, Value);

const SCOPES: [&str; 6] = ["openid", "profile", "email", "offline_access", "reports:read", "billing:write"];

/// Some scopes, `openid` first.
pub(super) fn scopes(random: &mut Random) -> Vec<&'static str> {
    let mut scopes = vec!["openid"];
    scopes.extend(SCOPES.iter().skip(1).filter(|_| random.percent(45)));
    scopes
}

/// An identity provider as it usually is.
pub(super) fn provider(provider: Provider, domain: &str) -> Value {
    json!({
        "id": provider.id,
        "name": provider.name,
        "type": provider.kind,
        "enabled": true,
        "issuer": format!("https://{}.idp.{domain}", provider.kind),
        "allowedDomains": [domain],
        "scopes": ["openid", "email"],
        "requireVerifiedEmail": true,
        "claims": [{"name": "email", "mapTo": "email"}, {"name": "groups", "mapTo": "roles"}],
    })
}

pub(super) fn provider_change(random: &mut Random, which: Provider, domain: &str) -> Change {
    let old = provider(which, domain);
    let mut new = old.clone();
    match random.below(5) {
        0 => new["enabled"] = json!(false),
        1 => new["scopes"] = json!(["openid", "email", "profile"]),
        2 => new["claims"][1]["mapTo"] = json!("groups"),
        3 => new["allowedDomains"] = json!([domain, format!("partner.{domain}")]),
        _ => new["name"] = json!(format!("{} (new)", which.name)),
    }
    (old, new)
}

pub(super) fn app_change(random: &mut Random, app: App, domain: &str) -> Change {
    let old = json!({
        "clientId": app.id,
        "name": app.name,
        "protocol": app.protocol,
        "redirectUris": [format!("https://{}.{domain}/callback", app.id), "http://localhost:3000/callback"],
        "grantTypes": ["authorization_code", "refresh_token"],
        "accessTokenLifetime": 3600,
        "pkceRequired": true,
        "contacts": [format!("owner@{domain}")],
    });
    let mut new = old.clone();
    match random.below(4) {
        0 => new["accessTokenLifetime"] = json!([900, 1800, 7200][random.below(3)]),
        1 => new["redirectUris"] = json!([format!("https://{}.{domain}/callback", app.id)]),
        2 => new["grantTypes"] = json!(["authorization_code", "refresh_token", "client_credentials"]),
        _ => {
            new["contacts"] = json!([format!("owner@{domain}"), format!("security@{domain}")]);
            new["logoutUri"] = json!(format!("https://{}.{domain}/logout", app.id));
        }
    }
    (old, new)
}

/// A user as the directory shows one.
pub(super) fn user(person: &Person) -> Value {
    json!({
        "id": person.number,
        "email": person.email,
        "username": person.username,
        "displayName": person.name,
        "enabled": true,
        "emailVerified": true,
        "mfa": ["totp"],
        "roles": ["viewer"],
        "locale": "en",
    })
}

pub(super) fn user_change(random: &mut Random, person: &Person) -> Change {
    let old = user(person);
    let mut new = old.clone();
    match random.below(5) {
        0 => new["enabled"] = json!(false),
        1 => new["roles"] = json!(["viewer", random.pick(&ROLES)]),
        2 => new["mfa"] = json!([]),
        3 => new["locale"] = json!(random.pick(&["de", "fr", "cs", "ja"])),
        _ => {
            new["displayName"] = json!(format!("{} (external)", person.name));
            new["expiresAt"] = json!("2027-01-01T00:00:00Z");
        }
    }
    (old, new)
}

/// A group whose members changed; `moved` joins or leaves.
pub(super) fn group_change(random: &mut Random, name: &str, staying: &[&Person], moved: &Person) -> Change {
    let member = |person: &Person| json!({"id": person.number, "email": person.email});
    let fewer: Vec<Value> = staying.iter().map(|person| member(person)).collect();
    let mut more = fewer.clone();
    more.push(member(moved));
    let group = |members: Vec<Value>| json!({"name": name, "members": members, "roles": ["viewer"]});
    let (joined, left) = (group(more), group(fewer));
    if random.percent(60) { (left, joined) } else { (joined, left) }
}

pub(super) fn role_change(random: &mut Random, name: &str) -> Change {
    let all =
        ["users.list", "users.update", "clients.list", "clients.update", "audit.list", "audit.export", "jobs.list"];
    let old: Vec<&str> = all.iter().copied().filter(|_| random.percent(50)).collect();
    let mut new = old.clone();
    match all.iter().find(|permission| !old.contains(permission)) {
        Some(missing) if random.percent(60) || new.is_empty() => new.push(missing),
        _ => drop(new.pop()),
    }
    (json!({"name": name, "permissions": old}), json!({"name": name, "permissions": new}))
}

pub(super) fn settings_change(random: &mut Random) -> Change {
    let old = json!({
        "sessionLifetime": 28_800,
        "trimByDate": 90,
        "trimBySize": 5_000_000,
        "passwordPolicy": {"minLength": 12, "history": 5, "lockAfter": 10},
        "mfa": {"required": false, "methods": ["totp", "webauthn"]},
    });
    let mut new = old.clone();
    match random.below(4) {
        0 => new["sessionLifetime"] = json!(14_400),
        1 => new["passwordPolicy"]["minLength"] = json!(14),
        2 => new["mfa"]["required"] = json!(true),
        _ => new["trimByDate"] = json!(180),
    }
    (old, new)
}

/// A name of a group.
pub(super) fn group(random: &mut Random) -> &'static str {
    random.pick(&GROUPS)
}

/// A name of a role.
pub(super) fn role(random: &mut Random) -> &'static str {
    random.pick(&ROLES)
}
