//! What an event is, whatever its system calls it: a sign-in, a user created, a role taken away.
//!
//! Owns: the kinds, `kinds.csv` (the kind of every name of the catalogue), and a guess by words for names that nobody knows.
//! What a kind is called elsewhere stands beside it, so that two faces never tell different stories.

use super::Record;
use event::Field;
use std::collections::HashMap;
use std::sync::LazyLock;

/// One kind of event.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name in `kinds.csv`.
    pub name: &'static str,
    /// Class and activity in OCSF 1.9.
    pub class: (u16, u8),
    /// Class and activity in OCSF 1.8, before users and roles had classes of their own.
    pub older: (u16, u8),
    /// What Ory's stream calls it when it went well, and when it did not.
    pub ory: (&'static str, &'static str),
    /// What Contember's `type` is.
    pub contember: &'static str,
    /// What Asgardeo calls it when it went well, and when it did not.
    pub asgardeo: (&'static str, &'static str),
}

/// A kind that no other system here has a name for.
const fn plain(name: &'static str, class: (u16, u8), older: (u16, u8)) -> Kind {
    Kind { name, class, older, ory: ("", ""), contember: "", asgardeo: ("", "") }
}

impl Kind {
    const fn ory(mut self, success: &'static str, failure: &'static str) -> Kind {
        self.ory = (success, failure);
        self
    }

    const fn contember(mut self, kind: &'static str) -> Kind {
        self.contember = kind;
        self
    }

    const fn asgardeo(mut self, success: &'static str, failure: &'static str) -> Kind {
        self.asgardeo = (success, failure);
        self
    }

    /// Whether its name begins so: `user-`, `client-`.
    pub fn is(&self, family: &str) -> bool {
        self.name.starts_with(family)
    }
}

/// Every kind. Activity 99 is OCSF's *Other*: the class has no word for it, and the source's own is given beside it.
pub static KINDS: &[Kind] = &[
    plain("sign-in", (3002, 1), (3002, 1))
        .ory("LoginSucceeded", "LoginFailed")
        .contember("login")
        .asgardeo("loginSuccess", "loginFailed"),
    plain("sign-out", (3002, 2), (3002, 2)).ory("SessionRevoked", ""),
    plain("session-start", (3002, 1), (3002, 1)).ory("SessionIssued", "").asgardeo("sessionEstablished", ""),
    plain("session-end", (3002, 2), (3002, 2))
        .ory("SessionRevoked", "")
        .contember("forced_sign_out")
        .asgardeo("TerminateSession", ""),
    plain("session-other", (3002, 99), (3002, 99)),
    plain("step", (3002, 6), (3002, 6)),
    plain("impersonate", (3002, 7), (3002, 7)).contember("create_session_token"),
    plain("token-issue", (3002, 99), (3002, 99))
        .ory("OAuth2AccessTokenIssued", "OAuth2TokenExchangeError")
        .asgardeo("issue-access-token", ""),
    plain("token-revoke", (3002, 99), (3002, 99))
        .ory("OAuth2AccessTokenRevoked", "")
        .asgardeo("accessTokenRevoked", ""),
    plain("token-other", (3002, 99), (3002, 99)),
    plain("consent-grant", (3003, 1), (3003, 1)).ory("OAuth2ConsentAccepted", "OAuth2ConsentRejected"),
    plain("consent-revoke", (3003, 99), (3003, 99)).ory("OAuth2ConsentRevoked", ""),
    plain("permission-check", (3003, 99), (3003, 99)).ory("PermissionsChecked", "PermissionsChecked"),
    plain("user-create", (3007, 1), (3001, 1)).ory("IdentityCreated", "").asgardeo("add-user", ""),
    plain("user-update", (3007, 2), (3001, 99)).ory("IdentityUpdated", "").asgardeo("set-user-claim-values", ""),
    plain("user-delete", (3007, 3), (3001, 6)).ory("IdentityDeleted", "").asgardeo("delete-user", ""),
    plain("user-enable", (3007, 4), (3001, 2)).asgardeo("Account Enable", ""),
    plain("user-disable", (3007, 5), (3001, 5)).contember("person_disable").asgardeo("Account Disable", ""),
    plain("user-lock", (3007, 6), (3001, 9)).asgardeo("userAccountLocked", ""),
    plain("user-unlock", (3007, 7), (3001, 12)).asgardeo("userAccountUnlocked", ""),
    plain("password-change", (3007, 8), (3001, 3))
        .ory("SettingsSucceeded", "SettingsFailed")
        .contember("password_change")
        .asgardeo("credential-update-by-user", ""),
    plain("password-reset", (3007, 9), (3001, 4))
        .ory("RecoverySucceeded", "RecoveryFailed")
        .contember("password_reset")
        .asgardeo("credential-update-by-administrator", ""),
    // Asked for, and not yet done.
    plain("password-reset-request", (3007, 9), (3001, 4)).ory("", "RecoveryFailed").contember("password_reset_init"),
    plain("mfa-enable", (3007, 12), (3001, 10)).contember("2fa_enable"),
    plain("mfa-disable", (3007, 13), (3001, 11)).contember("2fa_disable"),
    plain("privilege-grant", (3007, 14), (3005, 1))
        .ory("RelationtuplesCreated", "")
        .contember("project_membership_create"),
    plain("privilege-revoke", (3007, 15), (3005, 2))
        .ory("RelationtuplesDeleted", "")
        .contember("project_membership_remove"),
    plain("role-grant", (3007, 16), (3005, 1)).contember("global_role_grant").asgardeo("update-users-of-role", ""),
    plain("role-revoke", (3007, 17), (3005, 2)).contember("global_role_revoke").asgardeo("update-users-of-role", ""),
    plain("credential-add", (3007, 18), (3001, 99)).ory("APIKeyCreated", "").contember("api_key_create"),
    plain("credential-remove", (3007, 19), (3001, 99)).ory("APIKeyDeleted", "").contember("api_key_disable"),
    plain("group-grant", (3006, 1), (3006, 1)),
    plain("group-revoke", (3006, 2), (3006, 2)),
    plain("group-add-user", (3006, 3), (3006, 3)).ory("SCIMGroupUpdated", ""),
    plain("group-remove-user", (3006, 4), (3006, 4)).ory("SCIMGroupUpdated", ""),
    plain("group-delete", (3006, 5), (3006, 5)).ory("SCIMGroupDeleted", "").asgardeo("delete-group", ""),
    plain("group-create", (3006, 6), (3006, 6)).ory("SCIMGroupCreated", "").asgardeo("add-group", ""),
    plain("group-update", (3006, 9), (3006, 99)).ory("SCIMGroupUpdated", "").asgardeo("update-group-name", ""),
    plain("role-create", (3008, 1), (3004, 1)).asgardeo("add-role", ""),
    plain("role-update", (3008, 2), (3004, 3)).asgardeo("update-role-name", ""),
    plain("role-delete", (3008, 3), (3004, 4)).asgardeo("delete-role", ""),
    plain("role-grant-privilege", (3008, 4), (3004, 3)).asgardeo("update-permissions-of-role", ""),
    plain("role-read", (3008, 99), (3004, 2)).asgardeo("get-users-of-role", ""),
    plain("client-create", (3004, 1), (3004, 1)).ory("OAuth2ClientCreated", "").asgardeo("create-application", ""),
    plain("client-update", (3004, 3), (3004, 3)).ory("OAuth2ClientUpdated", "").asgardeo("update-application", ""),
    plain("client-delete", (3004, 4), (3004, 4)).ory("OAuth2ClientDeleted", "").asgardeo("delete-application", ""),
    plain("client-enable", (3004, 8), (3004, 8)),
    plain("client-disable", (3004, 9), (3004, 9)),
    plain("idp-create", (3004, 1), (3004, 1))
        .ory("OIDCProviderCreated", "")
        .contember("idp_create")
        .asgardeo("Add-IDP", ""),
    plain("idp-update", (3004, 3), (3004, 3))
        .ory("OIDCProviderUpdated", "")
        .contember("idp_update")
        .asgardeo("Update-IDP", ""),
    plain("idp-delete", (3004, 4), (3004, 4)).ory("OIDCProviderDeleted", "").asgardeo("Delete-IDP", ""),
    plain("idp-enable", (3004, 8), (3004, 8)).contember("idp_enable"),
    plain("idp-disable", (3004, 9), (3004, 9)).contember("idp_disable"),
    plain("tenant-create", (3004, 1), (3004, 1))
        .ory("ProjectCreated", "")
        .contember("project_create")
        .asgardeo("add-organization", ""),
    plain("tenant-update", (3004, 3), (3004, 3))
        .ory("ProjectUpdated", "")
        .contember("project_update")
        .asgardeo("update-organization", ""),
    plain("tenant-delete", (3004, 4), (3004, 4)).ory("ProjectDeleted", "").asgardeo("delete-organization", ""),
    plain("entity-create", (3004, 1), (3004, 1)),
    plain("entity-read", (3004, 2), (3004, 2)),
    plain("entity-update", (3004, 3), (3004, 3)),
    plain("entity-delete", (3004, 4), (3004, 4)),
    plain("entity-enable", (3004, 8), (3004, 8)),
    plain("entity-disable", (3004, 9), (3004, 9)),
    plain("entity-other", (3004, 99), (3004, 99)),
    plain("api-read", (6003, 2), (6003, 2)),
    plain("api-update", (6003, 3), (6003, 3)),
    plain("notification", (6003, 99), (6003, 99)),
    OTHER,
];

/// What is none of the others: a job, a webhook, a limit that was reached.
const OTHER: Kind = plain("other", (6003, 99), (6003, 99));
static ANY: Kind = OTHER;

/// The kinds of the catalogue's names, as they are committed.
pub const CSV: &str = include_str!("../../kinds.csv");

/// The kind of a record.
pub fn of(record: Record<'_>) -> &'static Kind {
    let action = record.text(Field::Action).unwrap_or_default();
    let source = record.text(Field::Source).unwrap_or_default();
    let kind = table(source, action).or_else(|| by_words(record, action)).and_then(find).unwrap_or(&ANY);
    // One name, two acts: a relation that was asked for, and one that was written.
    if let Some(inner) = part_of_an_entity(record, source, action) {
        return find(inner).unwrap_or(kind);
    }
    if kind.name == "privilege-grant" && record.text(Field::TargetType) == Some(crate::ory_nestjs::CHECK) {
        return find("permission-check").unwrap_or(kind);
    }
    kind
}

/// What a Keycloak administrator did to a part of a user, group or client, whose operation and resource are named as if it were all of it:
/// `DELETE USER` at `users/{id}/federated-identity/google` deletes no user.
fn part_of_an_entity(record: Record<'_>, source: &str, action: &str) -> Option<&'static str> {
    let path = record.attribute("resourcePath").filter(|_| source == "keycloak")?.as_str()?;
    let mut steps = path.split('/');
    let (entity, _, part) = (steps.next()?, steps.next()?, steps.next()?);
    Some(match (entity, part) {
        ("users", "federated-identity") => "user-update",
        ("users", "execute-actions-email" | "send-verify-email") => "notification",
        ("roles" | "roles-by-id", "composites") => "role-update",
        ("clients", "roles") if path.ends_with("/composites") => "role-update",
        ("users", "reset-password") => "password-reset",
        ("users", "logout") => "session-end",
        ("users", "impersonation") => "impersonate",
        ("users", "credentials" | "disable-credential-types") => "credential-remove",
        ("groups", "role-mappings") if action.starts_with("DELETE ") => "group-revoke",
        ("groups", "role-mappings") => "group-grant",
        ("clients", "client-secret") => "credential-add",
        _ => return None,
    })
}

/// The kind of a known event.
pub fn named(system: &str, name: &str) -> Option<&'static Kind> {
    table(system, name).and_then(find)
}

/// The kind of this name.
pub fn find(name: &str) -> Option<&'static Kind> {
    static BY_NAME: LazyLock<HashMap<&str, &Kind>> =
        LazyLock::new(|| KINDS.iter().map(|kind| (kind.name, kind)).collect());
    BY_NAME.get(name).copied()
}

/// What another system calls a record's event: its own name where it has that one, else the name it has for such an event when it
/// ended so. The source's name stays where the other system has none.
pub(super) fn called<'r>(record: Record<'r>, system: &str, (success, failure): (&'r str, &'r str)) -> &'r str {
    let action = record.action();
    if crate::catalog::of(system).get(action).is_some() {
        return action;
    }
    let name = match record.text(Field::Outcome) {
        Some("success") => success,
        Some("failure" | "deny") => failure,
        _ => "",
    };
    if name.is_empty() { action } else { name }
}

/// What `kinds.csv` says of a system's event.
fn table(source: &str, action: &str) -> Option<&'static str> {
    static TABLE: LazyLock<HashMap<(String, String), String>> = LazyLock::new(|| {
        let rows = csv::Reader::from_reader(CSV.as_bytes()).into_records().filter_map(Result::ok);
        rows.map(|row| {
            let column = |n: usize| row.get(n).unwrap_or_default().to_owned();
            ((column(0), column(1)), column(2))
        })
        .collect()
    });
    let entry = crate::catalog::find(source, action)?;
    TABLE.get(&(entry.system.clone(), entry.name.clone())).map(String::as_str)
}

/// What was done, by the words that say so.
const DEEDS: &[(&str, &[&str])] = &[
    ("create", &["create", "created", "add", "added", "insert", "register", "registered", "new", "invite", "import"]),
    (
        "update",
        &["update", "updated", "change", "changed", "modify", "edit", "set", "patch", "rename", "put", "action"],
    ),
    ("delete", &["delete", "deleted", "remove", "removed", "destroy", "purge", "purged"]),
    ("enable", &["enable", "enabled", "activate", "activated", "reactivate", "unsuspend"]),
    ("disable", &["disable", "disabled", "deactivate", "deactivated", "suspend", "suspended"]),
    ("lock", &["lock", "locked", "block", "blocked"]),
    ("unlock", &["unlock", "unlocked", "unblock", "unblocked"]),
    ("revoke", &["revoke", "revoked", "terminate", "terminated", "end", "ended", "expire", "expired"]),
    ("grant", &["grant", "granted", "assign", "assigned"]),
    ("read", &["read", "get", "list", "view", "viewed", "search", "export"]),
];

/// What it was done to. The first that fits counts, so `user role` is a role and `user session` a session.
const THINGS: &[(&str, &[&str])] = &[
    ("sign-out", &["logout", "signout", "logoff"]),
    ("sign-in", &["login", "signin", "logon", "authenticate", "authentication"]),
    ("session", &["session", "sessions"]),
    ("token", &["token", "tokens"]),
    ("password", &["password", "credential", "credentials"]),
    ("mfa", &["mfa", "2fa", "totp", "otp", "factor"]),
    ("consent", &["consent", "consents"]),
    ("membership", &["mapping", "membership", "member"]),
    ("role", &["role", "roles"]),
    ("group", &["group", "groups"]),
    ("idp", &["idp", "provider"]),
    ("client", &["client", "application", "app"]),
    ("tenant", &["tenant", "organization", "realm", "project", "workspace"]),
    ("user", &["user", "person", "identity", "account"]),
];

/// The kind of a name that no table has, by its words; what no word tells, by the log it is in.
fn by_words(record: Record<'_>, action: &str) -> Option<&'static str> {
    let mut words = words(action);
    let deed = said(DEEDS, &words);
    let thing = said(THINGS, &words).or_else(|| {
        words = self::words(record.text(Field::TargetType).unwrap_or_default());
        said(THINGS, &words)
    });
    let pair = match (thing, deed) {
        (Some("sign-in"), _) => "sign-in",
        (Some("sign-out"), _) => "sign-out",
        (Some("session"), Some("revoke" | "delete")) => "session-end",
        (Some("session"), Some("create")) => "session-start",
        (Some("session"), _) => "session-other",
        (Some("token"), Some("revoke" | "delete")) => "token-revoke",
        (Some("token"), Some("create" | "grant")) => "token-issue",
        (Some("token"), _) => "token-other",
        (Some("password"), _) if words.iter().any(|w| w == "reset") => "password-reset",
        (Some("password"), _) => "password-change",
        (Some("mfa"), Some("create" | "enable" | "update")) => "mfa-enable",
        (Some("mfa"), Some("delete" | "disable" | "revoke")) => "mfa-disable",
        (Some("mfa"), _) => "step",
        (Some("consent"), Some("revoke" | "delete")) => "consent-revoke",
        (Some("consent"), _) => "consent-grant",
        (Some("membership"), Some(deed)) if words.iter().any(|w| w == "group") => {
            if deed == "delete" {
                "group-remove-user"
            } else {
                "group-add-user"
            }
        }
        (Some("membership"), Some("read")) => "entity-read",
        (Some("membership" | "role"), Some("grant")) => "role-grant",
        (Some("membership" | "role"), Some("revoke")) => "role-revoke",
        (Some("membership"), Some("delete")) => "role-revoke",
        // A grant to a user is no user: `user.grant.added`.
        (Some("user"), Some(deed)) if words.iter().any(|w| w == "grant") => match deed {
            "delete" | "revoke" | "disable" => "role-revoke",
            _ => "role-grant",
        },
        (Some("membership"), Some(_)) => "role-grant",
        // A project's roles that another organization was given make no project: `project.grant.added`.
        (Some("tenant"), Some(deed)) if words.iter().any(|w| w == "grant") => match deed {
            "delete" | "revoke" | "disable" => "privilege-revoke",
            "update" => "entity-update",
            _ => "privilege-grant",
        },
        (Some(thing), Some(deed)) => {
            let name = format!("{thing}-{deed}");
            KINDS.iter().find(|kind| kind.name == name).map_or("entity-other", |kind| kind.name)
        }
        (_, Some(deed)) if record.text(Field::Log) == Some("audit") => {
            let name = format!("entity-{deed}");
            KINDS.iter().find(|kind| kind.name == name).map_or("entity-other", |kind| kind.name)
        }
        _ => return by_log(record),
    };
    Some(pair)
}

fn by_log(record: Record<'_>) -> Option<&'static str> {
    Some(match record.text(Field::Log)? {
        "audit" => "entity-other",
        "session" => match record.text(Field::SessionStatus) {
            Some("active") => "session-start",
            Some("revoked" | "expired") => "session-end",
            _ => "session-other",
        },
        "grant" if record.text(Field::GrantStatus) == Some("revoked") => "consent-revoke",
        "grant" => "consent-grant",
        "notification" => "notification",
        _ => return None,
    })
}

/// The first of a table's rows that one of these words stands in.
fn said(table: &[(&'static str, &[&str])], words: &[String]) -> Option<&'static str> {
    table.iter().find(|(_, said)| words.iter().any(|word| said.contains(&word.as_str()))).map(|(name, _)| *name)
}

/// The words of a name: `updateIdentityProvider`, `update IdentityProvider` and `UPDATE_IDENTITY_PROVIDER` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for c in name.chars().take(200) {
        if !c.is_alphanumeric() || (c.is_uppercase() && small) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        small = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_part_of_a_keycloak_user_is_not_the_user() {
        for (action, path, kind) in [
            ("DELETE USER", "users/u1", "user-delete"),
            ("DELETE USER", "users/u1/federated-identity/google", "user-update"),
            ("ACTION USER", "users/u1/reset-password", "password-reset"),
            ("ACTION CLIENT", "clients/c1/client-secret", "credential-add"),
            ("CREATE REALM_ROLE_MAPPING", "users/u1/role-mappings/realm", "role-grant"),
            ("CREATE REALM_ROLE_MAPPING", "groups/g1/role-mappings/realm", "group-grant"),
            ("DELETE CLIENT_ROLE_MAPPING", "groups/g1/role-mappings/clients/c1", "group-revoke"),
        ] {
            let envelope =
                serde_json::json!({ "source": "keycloak", "action": action, "attributes": { "resourcePath": path } });
            assert_eq!(of(Record::new(&envelope)).name, kind, "{action} {path}");
        }
    }

    #[test]
    fn every_name_of_the_catalogue_has_a_kind_and_every_kind_is_one() {
        let rows: Vec<csv::StringRecord> =
            csv::Reader::from_reader(CSV.as_bytes()).into_records().map(Result::unwrap).collect();
        let named: Vec<(&str, &str)> = rows.iter().map(|row| (&row[0], &row[1])).collect();
        let known: Vec<(&str, &str)> =
            crate::catalog::entries().iter().map(|e| (e.system.as_str(), e.name.as_str())).collect();
        assert_eq!(named, known, "kinds.csv has the catalogue's rows, in its order");
        for row in &rows {
            assert!(find(&row[2]).is_some(), "{row:?}");
        }
        for kind in KINDS {
            let made = kind.name == "entity-other" || rows.iter().any(|row| &row[2] == kind.name);
            assert!(made, "no event of the catalogue is a {}", kind.name);
            for (system, name) in [
                ("ory-network", kind.ory.0),
                ("ory-network", kind.ory.1),
                ("contember", kind.contember),
                ("asgardeo", kind.asgardeo.0),
                ("asgardeo", kind.asgardeo.1),
            ] {
                assert!(name.is_empty() || crate::catalog::of(system).get(name).is_some(), "{system} has no {name}");
            }
        }
    }

    #[test]
    fn names_that_no_table_has_are_told_by_their_words() {
        let told = |action: &str, log: &str, target: &str| {
            let envelope = json!({ "source": "x", "action": action, "log": log, "target": { "type": target } });
            of(Record::new(&envelope)).name
        };
        for (action, log, target, kind) in [
            ("CREATE USER", "audit", "USER", "user-create"),
            ("update IdentityProvider", "audit", "", "idp-update"),
            ("DELETE REALM_ROLE", "audit", "", "role-delete"),
            ("CREATE REALM_ROLE_MAPPING", "audit", "", "role-grant"),
            ("DELETE GROUP_MEMBERSHIP", "audit", "", "group-remove-user"),
            ("ACTION USER", "audit", "", "user-update"),
            ("com.example.account.locked", "event", "", "user-lock"),
            ("user.logout", "event", "", "sign-out"),
            ("resetPassword", "event", "", "password-reset"),
            ("added", "audit", "Group", "group-create"),
            ("user.grant.added", "audit", "usergrant", "role-grant"),
            ("user.grant.cascade.removed", "audit", "usergrant", "role-revoke"),
            ("org.member.added", "audit", "org", "role-grant"),
            ("project.grant.added", "audit", "project", "privilege-grant"),
            ("project.grant.cascade.changed", "audit", "project", "entity-update"),
            ("project.grant.deactivated", "audit", "project", "privilege-revoke"),
            ("project.grant.member.removed", "audit", "project", "role-revoke"),
            ("project.member.added", "audit", "project", "role-grant"),
            ("project.added", "audit", "project", "tenant-create"),
            ("list member", "audit", "", "entity-read"),
            ("indelible.revoke.requested", "audit", "session", "session-end"),
            ("UPDATE AUTH_FLOW", "audit", "AUTH_FLOW", "entity-update"),
            ("rotated", "audit", "", "entity-other"),
            ("nightly", "job", "", "other"),
            ("mail", "notification", "", "notification"),
            ("", "event", "", "other"),
        ] {
            assert_eq!(told(action, log, target), kind, "{action} in {log} on {target}");
        }
    }
}
