//! The objects of OCSF that a record fills, and the list of fields that they took.

use super::Schema;
use crate::faces::kind::Kind;
use crate::faces::people::{self, Place};
use crate::faces::record::set;
use crate::faces::{Given, Record};
use event::Field;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// What a person is called, and the addresses: the actor's own first.
const NAMES: [Field; 3] = [Field::ActorName, Field::Username, Field::Identifier];
const EMAILS: [Field; 2] = [Field::ActorEmail, Field::Email];

/// A record that is taken apart; what nothing takes is unmapped.
pub(super) struct Parts<'r> {
    pub(super) record: Record<'r>,
    schema: Schema,
    kind: &'static Kind,
    placed: Vec<Field>,
}

/// An object of the texts that are there.
pub(super) fn object<const N: usize>(members: [(&str, Option<&str>); N]) -> Value {
    let there = members.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text?))));
    Value::Object(there.collect())
}

impl<'r> Parts<'r> {
    pub(super) fn new(record: Record<'r>, schema: Schema, kind: &'static Kind) -> Parts<'r> {
        Parts { record, schema, kind, placed: Vec::new() }
    }

    /// A field's text, which has its place now.
    pub(super) fn take(&mut self, field: Field) -> Option<&'r str> {
        let text = self.record.text(field)?;
        self.placed.push(field);
        Some(text)
    }

    fn first(&mut self, fields: &[Field]) -> Option<&'r str> {
        fields.iter().find_map(|field| self.take(*field))
    }

    /// The fields that have no place, nested as in the envelope.
    pub(super) fn unmapped(&self) -> Map<String, Value> {
        self.record.rest(&self.placed)
    }

    /// An OCSF user; the schema wants an id or a name of everybody.
    fn user(&mut self, id: &[Field], name: &[Field], email: &[Field], kind: Option<&'r str>) -> Option<Value> {
        let (uid, name, email) = (self.first(id), self.first(name), self.first(email));
        if uid.is_none() && name.is_none() && email.is_none() {
            return None;
        }
        let mut user = object([("uid", uid), ("name", name.or(email)), ("email_addr", email)]);
        let lower = kind.map(str::to_lowercase);
        let type_id = match lower.as_deref() {
            None => return Some(user),
            Some("user" | "person" | "identity" | "subject" | "spn") => 1,
            Some("admin" | "administrator") => 2,
            Some("system") => 3,
            Some("client" | "service" | "application") => 4,
            Some(_) => 99,
        };
        set(&mut user, "type_id", type_id);
        set(
            &mut user,
            "type",
            match type_id {
                1 => "User",
                2 => "Admin",
                3 => "System",
                4 => "Service",
                _ => kind.unwrap_or("Other"),
            },
        );
        Some(user)
    }

    fn acting_user(&mut self) -> Option<Value> {
        let kind = self.take(Field::ActorType);
        let most = if people::has_own_names(self.record, self.kind) { NAMES.len() } else { 1 };
        let names: Vec<Field> = NAMES.into_iter().take(most).collect();
        let emails: Vec<Field> = EMAILS.into_iter().take(most).collect();
        self.user(&[Field::ActorId, Field::ActorIdentityId], &names, &emails, kind)
    }

    fn nobody() -> Value {
        json!({ "name": "unknown", "type_id": 0, "type": "Unknown" })
    }

    /// The user that the event is about.
    pub(super) fn whom(&mut self) -> Value {
        self.user_there().unwrap_or_else(Self::nobody)
    }

    /// The same, where the record names one.
    pub(super) fn user_there(&mut self) -> Option<Value> {
        let place = people::user(self.record, self.kind)?;
        if place == Place::Actor {
            return self.acting_user();
        }
        let kind = people::what(self.record, place);
        // What stands beside an actor who did it to somebody else is that one's.
        let (mut names, mut emails) = (place.name().into_iter().collect::<Vec<_>>(), Vec::new());
        if !people::has_own_names(self.record, self.kind) {
            names.extend(NAMES.into_iter().skip(1));
            emails.extend(EMAILS.into_iter().skip(1));
        }
        let user = self.user(&[place.id()], &names, &emails, kind)?;
        self.take_said(place);
        Some(user)
    }

    /// What the record says that an entity is has its place beside it, unless it says something else than that.
    fn take_said(&mut self, place: Place) {
        let what = people::what(self.record, place);
        if let Some(said) = place.said().filter(|said| self.record.text(*said) == what) {
            self.take(said);
        }
    }

    /// Who acted, with the session and the application that it was done in. In an impersonation the user is whom they acted as,
    /// and the actor who really did.
    pub(super) fn actor(&mut self) -> Option<Value> {
        let impersonator = [Field::ImpersonatorId, Field::ImpersonatorName];
        let user = match self.record.first(&impersonator) {
            Some(_) => self.user(&impersonator[..1], &impersonator[1..], &[], None),
            None => self.acting_user(),
        };
        let mut actor = Map::new();
        let mut put = |name: &str, value| actor.insert(name.to_owned(), value);
        if let Some(user) = user {
            put("user", user);
        }
        // A session that somebody else ended is not the one it was ended from.
        let ended = self.kind.name == "session-end" && people::user(self.record, self.kind) != Some(Place::Actor);
        if let Some(session) = if ended { None } else { self.session() } {
            put("session", session);
        }
        if let Some(idp) = self.named(Field::ProviderId, Field::ProviderName) {
            put("idp", idp);
        }
        let (uid, name) = (self.take(Field::ClientActorId), self.take(Field::ClientActorName));
        if uid.is_some() || name.is_some() {
            self.application(&mut actor, uid, name);
        }
        // A provider alone is no actor to the schema.
        actor.keys().any(|name| name != "idp").then_some(Value::Object(actor))
    }

    /// The application that acts. The names that 1.9 deprecates stay where there is nobody else, for its constraint asks for them.
    fn application(&self, actor: &mut Map<String, Value>, uid: Option<&str>, name: Option<&str>) {
        let alone = !actor.contains_key("user") && !actor.contains_key("session");
        if alone || self.schema == Schema::Older {
            let names = [("app_uid", uid), ("app_name", name)];
            actor.extend(names.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?.into()))));
        }
        if self.schema == Schema::Newest {
            actor.insert("application".to_owned(), object([("uid", uid), ("name", name)]));
        }
    }

    /// For a class that wants an actor: the system that wrote the record.
    pub(super) fn unknown_actor(&mut self) -> Value {
        let mut actor = Map::new();
        self.application(&mut actor, None, self.record.text(Field::Source).or(Some("unknown")));
        Value::Object(actor)
    }

    fn named(&mut self, id: Field, name: Field) -> Option<Value> {
        let (uid, name) = (self.take(id), self.take(name));
        (uid.is_some() || name.is_some()).then(|| object([("uid", uid), ("name", name)]))
    }

    pub(super) fn session(&mut self) -> Option<Value> {
        let uid = self.first(&[Field::SessionId, Field::SessionRefId])?;
        let mut session = object([("uid", Some(uid))]);
        if let Some(at) = self.record.time(Field::SessionExpiresAt) {
            self.placed.push(Field::SessionExpiresAt);
            set(&mut session, "expiration_time", at.div_euclid(1000));
        }
        Some(session)
    }

    /// What was signed in to: the application, or the system that says so.
    pub(super) fn service(&mut self) -> Value {
        let source = self.record.text(Field::Source).unwrap_or("unknown");
        self.named(Field::ClientId, Field::ClientName).unwrap_or_else(|| json!({ "name": source }))
    }

    /// Where it came from. What is no address is a name.
    pub(super) fn endpoint(&mut self) -> Option<Value> {
        let text = self.take(Field::Ip)?;
        let is_ip = |text: &str| text.parse::<IpAddr>().is_ok();
        let mut endpoint = object([(if is_ip(text) { "ip" } else { "name" }, Some(text))]);
        if let Some(forwarder) = self.record.text(Field::ForwarderIp).filter(|text| is_ip(text)) {
            self.placed.push(Field::ForwarderIp);
            set(&mut endpoint, "intermediate_ips", json!([forwarder]));
        }
        Some(endpoint)
    }

    pub(super) fn unknown_endpoint(&mut self) -> Value {
        json!({ "svc_name": self.record.text(Field::Source).unwrap_or("unknown") })
    }

    pub(super) fn api(&mut self) -> Value {
        let mut api = object([("operation", Some(self.record.action()))]);
        if let Some(service) = self.named(Field::ClientId, Field::ClientName) {
            set(&mut api, "service", service);
        }
        api
    }

    /// What was managed: the target; of a kind that has a field of its own, else that; of none, the tenant.
    pub(super) fn entity(&mut self, given: &Given<'_>) -> Value {
        let said = self.record.text(Field::TargetType);
        let target = self.named(Field::TargetId, Field::TargetName);
        if target.is_some() {
            self.take(Field::TargetType);
        }
        let own = match self.kind.name.split('-').next() {
            Some("client") => Some((Field::ClientId, Field::ClientName)),
            Some("idp") => Some((Field::ProviderId, Field::ProviderName)),
            _ => None,
        };
        let of_tenant = target.is_none();
        let found = target.or_else(|| own.and_then(|(id, name)| self.named(id, name)));
        let of_tenant = of_tenant && found.is_none();
        let mut entity = found.unwrap_or_else(|| json!({ "uid": given.tenant }));
        let lower = said.map(str::to_lowercase).unwrap_or_default();
        let (type_id, name) = match lower.as_str() {
            _ if of_tenant => (4, "Organization"),
            "user" | "person" | "identity" => (2, "User"),
            "group" => (3, "Group"),
            "organization" | "project" | "workspace" | "tenant" | "realm" => (4, "Organization"),
            "policy" => (5, "Policy"),
            "zone" | "network zone" => (7, "Network Zone"),
            "" => match self.kind.name.split('-').next() {
                Some("client") => (99, "Application"),
                Some("idp") => (99, "Identity provider"),
                Some("role") => (99, "Role"),
                Some("tenant") => (4, "Organization"),
                _ => (0, "Unknown"),
            },
            _ => (99, said.unwrap_or_default()),
        };
        set(&mut entity, "type_id", type_id);
        set(&mut entity, "type", name);
        entity
    }

    fn entity_at(&mut self, place: Place) -> Value {
        let found = place.name().and_then(|name| self.named(place.id(), name));
        if found.is_some() {
            self.take_said(place);
        }
        found.unwrap_or_else(|| json!({ "name": "unknown" }))
    }

    pub(super) fn group(&mut self) -> Value {
        self.entity_at(people::group(self.record))
    }

    pub(super) fn role(&mut self) -> Value {
        self.entity_at(people::of_type(self.record, "role"))
    }

    /// Rights that the record names: scopes, or the relation of an access check. They stay in their fields as well.
    pub(super) fn privileges(&self) -> Vec<String> {
        for field in [Field::GrantScopes, Field::SessionScopes] {
            let scopes = self.record.value(field).map(texts).unwrap_or_default();
            if !scopes.is_empty() {
                return scopes;
            }
        }
        if let Some(relation) = self.record.attribute("attributes").and_then(|a| a.get("relation")?.as_str()) {
            let object = self.record.text(Field::TargetId).unwrap_or_default();
            return vec![format!("{relation} {object}").trim().to_owned()];
        }
        ["scope", "scopes", "permissions"]
            .iter()
            .find_map(|name| self.record.attribute(name).map(texts))
            .unwrap_or_default()
    }

    /// Roles that the record names: those that were not there before, or are not there any more; or those that were asked for.
    pub(super) fn roles(&self) -> Vec<String> {
        let state = |field| {
            let value: Option<&Value> = self.record.value(field);
            let roles = value.and_then(|value| value.get("roles").or(value.get("memberships")).or(Some(value)));
            roles.map(texts).unwrap_or_default()
        };
        let (before, after) = (state(Field::Old), state(Field::New));
        let differ = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|role| !those.contains(role)).cloned().collect()
        };
        let changed = match differ(&after, &before) {
            added if !added.is_empty() => added,
            _ => differ(&before, &after),
        };
        if !changed.is_empty() {
            return changed;
        }
        let asked = || self.record.attribute("attributes")?.get("requiredRoles");
        // ZITADEL's events say what is given, and no state.
        let given = |payload| {
            let payload = self.record.attribute(payload)?;
            payload.get("roleKeys").or_else(|| payload.get("roles"))
        };
        let named = asked().or_else(|| ["payload", "event_payload"].into_iter().find_map(given));
        named.map(texts).unwrap_or_default()
    }
}

/// The texts of a list, of objects with a `role` or `name`, or of a text with spaces between.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text.split_whitespace().map(str::to_owned).collect(),
        Value::Array(list) => list
            .iter()
            .filter_map(|one| {
                one.as_str()
                    .or_else(|| one.get("role")?.as_str())
                    .or_else(|| one.get("name")?.as_str())
                    .map(str::to_owned)
            })
            .collect(),
        _ => Vec::new(),
    }
}
