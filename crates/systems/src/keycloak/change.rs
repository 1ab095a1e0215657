//! Which admin events say what state an entity has.
//!
//! Owns: resource paths → entities. A representation is what the request carried. Keycloak leaves what a request does not
//! name as it was, in `attributes` of clients and realms name by name; so it is a part of the state.

use super::NAME;
use crate::change::{Change, Says, Words};
use crate::envelope::{Envelope, text_at};
use crate::object::Object;
use serde_json::Value;
use std::borrow::Cow;

/// What people call an entity, by its own representation.
pub(super) const NAMES: &[&str] = &["username", "clientId", "alias", "name", "realm", "displayName"];

/// What a representation that was read back has and the request of a creation had not.
const OWN: &[&str] = &[
    "id",
    "createdTimestamp",
    "access",
    "userProfileMetadata",
    "clientAuthenticatorType",
    "defaultClientScopes",
    "optionalClientScopes",
    "nodeReRegistrationTimeout",
    "containerId",
    "internalId",
    "path",
];

/// What the representation of a role, or of a group, says of which it is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Role<'t> {
    /// Its id.
    pub(super) id: Option<&'t str>,
    /// Its name.
    pub(super) name: Option<&'t str>,
    /// The client that has it, where one does.
    pub(super) client: Option<&'t str>,
}

/// What an admin event that did not fail says. Keycloak leads to a role by its name or by its id, and which of the two a client
/// chooses says nothing of the role: it is known by its name, of which `shown` tells where the path has the id. Where one is
/// deleted by its id nothing tells: what told both before does.
pub(super) fn of(operation: &str, resource: &str, path: &str, realm: &str, shown: Role<'_>) -> Option<Change> {
    let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
    let (entity, whole) = match (steps.as_slice(), resource) {
        // The settings of events are members of the realm, and an update of the realm names them alike.
        ([] | ["events", "config"], "REALM") => ("realm".to_owned(), true),
        (["users", id, rest @ ..], _) => (["users/", id].concat(), rest.is_empty() && resource == "USER"),
        (["clients", client, "roles", role, rest @ ..], "CLIENT_ROLE") => {
            (["clients/", client, "/roles/", role].concat(), rest.is_empty())
        }
        // What has an id of its own there is no part of what it is in, and nothing is known of it.
        (["clients" | "client-scopes", _, "protocol-mappers", ..] | ["clients", _, "authz", _, _, ..], _) => {
            return None;
        }
        (["identity-provider", "instances", _, "mappers", ..], _) => return None,
        // But a group in another is a group as any.
        (["groups", _, "children"], _) => (format!("groups/{}", shown.id?), resource == "GROUP"),
        (["clients", id, rest @ ..], _) => (format!("clients/{id}"), rest.is_empty() && resource == "CLIENT"),
        (["groups", id, rest @ ..], _) => (format!("groups/{id}"), rest.is_empty() && resource == "GROUP"),
        (["client-scopes", id, rest @ ..], _) => {
            (format!("client-scopes/{id}"), rest.is_empty() && resource == "CLIENT_SCOPE")
        }
        (["roles", name, rest @ ..], _) => (format!("roles/{name}"), rest.is_empty() && resource == "REALM_ROLE"),
        (["roles-by-id", id, rest @ ..], _) => {
            let entity = match (resource, shown) {
                ("REALM_ROLE", Role { name: Some(name), .. }) if rest.is_empty() => format!("roles/{name}"),
                ("CLIENT_ROLE", Role { name: Some(name), client: Some(client), .. }) if rest.is_empty() => {
                    format!("clients/{client}/roles/{name}")
                }
                _ => format!("roles-by-id/{id}"),
            };
            (entity, rest.is_empty())
        }
        (["identity-provider", "instances", alias, rest @ ..], _) => {
            (format!("identity-provider/{alias}"), rest.is_empty() && resource == "IDENTITY_PROVIDER")
        }
        _ => return None,
    };
    let says = match operation {
        "CREATE" if whole => Says::Begin,
        "UPDATE" if whole => Says::Part,
        "DELETE" if whole => Says::Gone,
        _ => Says::Nothing,
    };
    let inside: &[&str] = if matches!(resource, "CLIENT" | "REALM") { &["attributes"] } else { &[] };
    let named = matches!(resource, "REALM_ROLE" | "CLIENT_ROLE") && whole;
    let id = match steps.as_slice() {
        ["roles-by-id", id] => Some(*id),
        _ => shown.id,
    };
    let id = id.filter(|_| named).map(|id| format!("roles-by-id/{id}")).filter(|id| *id != entity);
    // What is known by its name is known by the new one from then on.
    let renamed = match (steps.as_slice(), shown.name.filter(|_| says == Says::Part)) {
        (["roles", name], Some(new)) if new != *name => Some(format!("roles/{new}")),
        (["clients", client, "roles", name], Some(new)) if new != *name => {
            Some(format!("clients/{client}/roles/{new}"))
        }
        (["identity-provider", "instances", alias], Some(new)) if new != *alias => {
            Some(format!("identity-provider/{new}"))
        }
        _ => None,
    };
    let of_realm = |entity: String| [realm, " ", &entity].concat();
    let (entity, alias, becomes) = (of_realm(entity), id.map(of_realm), renamed.map(of_realm));
    Some(Change { entity, alias, becomes, says, inside, own: OWN, names: NAMES, at: None, words: None })
}

/// What the details of a person's own change call the members of its representation.
static OWN_WORDS: Words = Words {
    names: &[("email", "email"), ("first_name", "firstName"), ("last_name", "lastName"), ("username", "username")],
    others: "attributes",
};

/// Events by which a person changes its own account.
pub(super) const OF_PERSONS: &[&str] = &["UPDATE_EMAIL", "UPDATE_PROFILE"];

/// What such an event that did not fail says: the same person as admin events name it.
pub(super) fn of_person(realm: &str, user: &str) -> Option<Change> {
    (!user.is_empty()).then_some(())?;
    let entity = [realm, " users/", user].concat();
    let (says, inside): (_, &[_]) = (Says::Part, &["attributes"]);
    Some(Change {
        entity,
        alias: None,
        becomes: None,
        says,
        inside,
        own: OWN,
        names: NAMES,
        at: None,
        words: Some(&OWN_WORDS),
    })
}

/// What a person's own change was from and to: `details.previous_…` and `details.updated_…`. They stay where they are.
pub(super) fn own(native: &mut Object<'_>, out: &mut Envelope<'_>) {
    let Some(details) = native.inner("details") else { return };
    let names: Vec<String> = details.keys().map(Cow::into_owned).collect();
    let mut said = |begins: &str| -> Vec<(String, String)> {
        let values = names.iter().filter_map(|name| {
            let raw = details.member(name).filter(|raw| *raw != "null")?;
            Some((name.strip_prefix(begins)?.to_owned(), raw.as_ref().to_owned()))
        });
        values.collect()
    };
    let (old, new) = (said("previous_"), said("updated_"));
    out.states(&old, &new);
}

/// The same of a stored record.
pub(super) fn of_stored(envelope: &Value) -> Option<Change> {
    if text_at(envelope, "source") != Some(NAME) || text_at(envelope, "outcome") != Some("success") {
        return None;
    }
    let action = text_at(envelope, "action")?;
    let attribute = |name| text_at(envelope.get("attributes")?, name);
    if OF_PERSONS.contains(&action) {
        return of_person(attribute("realmId").unwrap_or_default(), text_at(envelope, "actor.id")?);
    }
    let (operation, resource) = action.split_once(' ')?;
    let state = envelope.get(if operation == "DELETE" { "old" } else { "new" });
    let said = |name| state.and_then(|state| text_at(state, name));
    let name = said(if resource == "IDENTITY_PROVIDER" { "alias" } else { "name" });
    let shown = Role { id: said("id"), name, client: said("containerId") };
    let path = attribute("resourcePath").unwrap_or_default();
    of(operation, resource, path, attribute("realmId").unwrap_or_default(), shown)
}
