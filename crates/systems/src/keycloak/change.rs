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

/// What an admin event that did not fail says.
pub(super) fn of(operation: &str, resource: &str, path: &str, realm: &str) -> Option<Change> {
    let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
    let (entity, whole) = match (steps.as_slice(), resource) {
        // The settings of events are members of the realm, and an update of the realm names them alike.
        ([] | ["events", "config"], "REALM") => ("realm".to_owned(), true),
        (["users", id, rest @ ..], _) => (["users/", id].concat(), rest.is_empty() && resource == "USER"),
        (["clients", client, "roles", role, rest @ ..], "CLIENT_ROLE") => {
            (["clients/", client, "/roles/", role].concat(), rest.is_empty())
        }
        (["clients", id, rest @ ..], _) => (format!("clients/{id}"), rest.is_empty() && resource == "CLIENT"),
        (["groups", id, rest @ ..], _) => (format!("groups/{id}"), rest.is_empty() && resource == "GROUP"),
        (["client-scopes", id, rest @ ..], _) => {
            (format!("client-scopes/{id}"), rest.is_empty() && resource == "CLIENT_SCOPE")
        }
        (["roles", name, rest @ ..], _) => (format!("roles/{name}"), rest.is_empty() && resource == "REALM_ROLE"),
        (["roles-by-id", id, rest @ ..], _) => (format!("roles-by-id/{id}"), rest.is_empty()),
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
    Some(Change { entity: [realm, " ", &entity].concat(), says, inside, own: OWN, names: NAMES, at: None, words: None })
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
    let says = Says::Part;
    Some(Change { entity, says, inside: &["attributes"], own: OWN, names: NAMES, at: None, words: Some(&OWN_WORDS) })
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
    of(operation, resource, attribute("resourcePath").unwrap_or_default(), attribute("realmId").unwrap_or_default())
}
