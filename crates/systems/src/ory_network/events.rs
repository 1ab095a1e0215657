//! The names of Ory's events and attributes, and what they fill. Kratos, Hydra, Keto and Ory Network share them.
//!
//! Owns: which attribute fills which field in which event. Not here: where a record has its attributes.

use super::NAME;
use crate::catalog::{self, Entry};
use crate::change::{Change, Says};
use crate::envelope::{Envelope, text_at};
use crate::moment;
use crate::native::Native;
use crate::object::Object;
use crate::sessions;
use event::Field;
use event::json::write_string;
use jiff::tz::TimeZone;
use serde_json::Value;
use std::borrow::Cow;
use std::net::SocketAddr;

/// Attributes that any event may have. A family's own come first and win.
const COMMON: &[(&str, Field)] = &[
    ("IdentityID", Field::ActorId),
    ("SessionID", Field::SessionId),
    ("ClientIP", Field::Ip),
    ("SelfServiceSSOProviderUsed", Field::ProviderId),
    ("SCIMClient", Field::ClientActorId),
    ("ErrorReason", Field::ErrorCode),
];

/// What older versions have in place of `ErrorReason`, and newer ones beside it; and the mark that it filled the field.
const OLD_REASON: &str = "Reason";
const OLD_REASON_MARK: &str = "reason";

/// The id of what is not stored yet: nobody's.
pub(crate) const NO_ID: &str = "00000000-0000-0000-0000-000000000000";

/// What events about projects are about.
const PROJECT: &str = "project";

/// A consent is gone: the one of a request, the one of a client, or all of a subject's.
const WITHDRAWN: &str = "OAuth2ConsentRevoked";

/// Events that use attributes in the same way. In a family each field is filled by one attribute, so that the way back knows it.
struct Family {
    /// Whether an event belongs to it.
    has: fn(&str) -> bool,
    /// What the target is.
    target: &'static str,
    fields: &'static [(&'static str, Field)],
}

const FAMILIES: &[Family] = &[
    Family {
        // Whom it was done to. Who did it is not said.
        has: |name| name.starts_with("Identity") || name == "RecoveryInitiatedByAdmin",
        target: "identity",
        fields: &[("IdentityID", Field::TargetId)],
    },
    Family {
        has: |name| name.starts_with("OAuth2Client"),
        target: "client",
        fields: &[("OAuth2ClientID", Field::TargetId), ("OAuth2ClientName", Field::TargetName)],
    },
    Family {
        // Any event may name the project that it happened in; of these it is what they are about.
        has: |name| matches!(name, "ProjectCreated" | "ProjectUpdated" | "ProjectDeleted"),
        target: PROJECT,
        fields: &[("ProjectID", Field::TargetId)],
    },
    Family {
        // The identity of the request that asked for the token, if any, is not the subject of it.
        has: |name| name.starts_with("OAuth2") || name.starts_with("OIDCIdentityToken"),
        target: "",
        fields: &[
            ("OAuth2Subject", Field::ActorId),
            ("IdentityID", Field::ActorIdentityId),
            ("OAuth2ClientID", Field::ClientId),
        ],
    },
    Family {
        has: |name| name.starts_with("SCIMGroup"),
        target: "group",
        fields: &[("SCIMGroupID", Field::TargetId), ("SCIMGroupDisplayName", Field::TargetName)],
    },
    Family {
        has: |name| name == "SCIMProvisioningError",
        target: "",
        fields: &[("SCIMErrorStatusCode", Field::ErrorCode), ("SCIMErrorDetail", Field::Message)],
    },
    Family {
        has: |name| name.starts_with("CourierMessage"),
        target: "message",
        fields: &[("CourierMessageID", Field::TargetId)],
    },
    Family {
        // Every try of one call has the same trigger.
        has: |name| name.starts_with("Webhook"),
        target: "webhook",
        fields: &[("WebhookID", Field::TargetId), ("WebhookTriggerID", Field::RequestId), ("Error", Field::Message)],
    },
];

const OTHERS: Family = Family { has: |_| true, target: "", fields: &[] };

/// The event's family, whatever the spelling of its name.
fn family(name: &str, known: Option<&Entry>) -> &'static Family {
    let name = known.map_or(name, |entry| entry.name.as_str());
    FAMILIES.iter().find(|family| (family.has)(name)).unwrap_or(&OTHERS)
}

impl Family {
    /// Its attributes and the common ones.
    fn table(&self) -> impl Iterator<Item = (&'static str, Field)> {
        let own = self.fields;
        let common = COMMON
            .iter()
            .filter(move |(attribute, field)| own.iter().all(|(taken, filled)| taken != attribute && filled != field));
        own.iter().chain(common).copied()
    }
}

/// Fills the envelope from an event's name and attributes; its time MUST be set before. What is taken leaves `attributes`.
/// They stand under `place` in the record.
pub(crate) fn fill<'a>(name: &str, place: &str, attributes: &mut Object<'a>, out: &mut Envelope<'a>) {
    let known = catalog::of(NAME).get_loose(name);
    out.known_with_outcome(known.is_some());
    let family = family(name, known);
    let (outcome, level) = outcome(known.map_or(name, |entry| entry.name.as_str()));
    out.set(Field::Log, known.map_or("event", |entry| entry.log.as_str()));
    out.set(Field::Outcome, outcome);
    out.set(Field::Level, level);

    address(attributes, out);
    let subject = said("OAuth2Subject", attributes);
    let machine = said("OAuth2GrantType", attributes).is_some_and(|grant| grant == "client_credentials");
    let others = other_spellings(family, attributes);
    for (attribute, field) in family.table() {
        let id = matches!(field, Field::ActorId | Field::TargetId | Field::SessionId);
        if id && attributes.member(attribute).is_some_and(|raw| raw.trim_matches('"') == NO_ID) {
            continue;
        }
        // A number fills the field as well, and stays: as text it is none any more.
        if others.iter().any(|(_, filled)| *filled == field) || !out.take(attributes, attribute, field) {
            out.copy(attributes, attribute, field);
        }
    }
    for (name, field) in others {
        if let Some(raw) = attributes.raw(&name) {
            out.copy_raw(raw, field);
        }
    }
    if out.is_empty(Field::ErrorCode) && outcome == "failure" {
        if out.take(attributes, OLD_REASON, Field::ErrorCode) {
            out.shape(OLD_REASON_MARK);
        } else {
            let other = attributes.keys().find(|name| same(OLD_REASON, name));
            let raw = other.and_then(|name| attributes.member(&name).cloned());
            if let Some(raw) = raw.filter(|raw| raw.starts_with('"') && raw.len() > 2) {
                // The way back must not take it for the newer one.
                out.infer(Field::ErrorCode, raw);
            }
        }
    }

    if !out.is_empty(Field::TargetId) && !family.target.is_empty() {
        out.set(Field::TargetType, family.target);
    }
    if !out.is_empty(Field::ActorId) {
        let of_subject = family.fields.iter().any(|(_, field)| *field == Field::ActorId);
        let kind = match subject {
            _ if !of_subject => "identity",
            Some(subject) if is_hash(&subject) => "hashed subject",
            _ if machine => "client",
            _ => "subject",
        };
        out.set(Field::ActorType, kind);
    }
    if known.is_some_and(|entry| entry.name == WITHDRAWN) {
        withdrawn(attributes, place, out);
    }
    times(attributes, out);
    if family.target == "identity" {
        identity(name, attributes, out);
    }
}

/// Says whose event it is where it does not say so itself: `project`, as [`project_of`] or the stream's own configuration has it. Of events
/// about a project it is what they are about, where no attribute names that.
pub(super) fn project(name: &str, project: &str, native: &mut Object<'_>, out: &mut Envelope<'_>) {
    if native.text("projectId").is_none_or(|own| own.is_empty()) {
        out.project(project);
    }
    if family(name, catalog::of(NAME).get_loose(name)).target == PROJECT && out.is_empty(Field::TargetId) {
        let mut raw = String::new();
        write_string(&mut raw, project);
        out.infer(Field::TargetId, raw);
        out.set(Field::TargetType, PROJECT);
    }
}

/// The project that an event names, itself or among its attributes.
pub(super) fn project_of(place: &str, native: &mut Object<'_>) -> Option<String> {
    let own = native.text("projectId").filter(|id| !id.is_empty()).map(Cow::into_owned);
    own.or_else(|| {
        native
            .inner(place)
            .and_then(|attributes| said("ProjectID", attributes))
            .filter(|id| !id.is_empty())
            .map(Cow::into_owned)
    })
}

/// A withdrawal that names the subject alone is of everything that the subject had consented to. One that names a request is of what was
/// consented to in that, where the consent said in which it was.
fn withdrawn(attributes: &mut Object<'_>, place: &str, out: &mut Envelope<'_>) {
    let subject = out.text(Field::ActorId).map(Cow::into_owned);
    if !out.is_empty(Field::ClientId) && subject.is_some() {
        return;
    }
    let request = attributes.names().find(|name| same("OAuth2ConsentRequestID", name)).map(str::to_owned);
    // One that is named and empty is none: whatever has none would be withdrawn with it.
    let request = request.filter(|name| attributes.member(name).is_some_and(|raw| raw.len() > 2 && raw != "null"));
    if let Some(name) = request {
        let pointer = format!("/{place}/{name}");
        out.set(Field::GrantStatus, "revoked");
        out.ends([Field::Source.spec().path.to_owned(), pointer]);
    } else if let (true, Some(subject)) = (out.is_empty(Field::ClientId), subject) {
        sessions::withdraw_all_of(&subject, out);
    }
}

/// What the events about an identity, and the Actions after a flow, say about its state. Its name in the ledger is the same
/// whichever way it was heard of.
pub(crate) fn change(name: &str, identity: &str) -> Option<Change> {
    let says = match catalog::squeeze(name).as_ref() {
        "identitycreated" | "registration" => Says::Begin,
        "identityupdated" | "settings" | "verification" | "recovery" => Says::Part,
        "identitydeleted" => Says::Gone,
        _ => return None,
    };
    Some(Change {
        entity: format!("identities/{identity}"),
        alias: None,
        becomes: None,
        says,
        inside: &[],
        own: &[],
        names: &[],
        at: None,
        words: None,
    })
}

/// The same of a stored record.
pub(crate) fn change_of_stored(envelope: &Value) -> Option<Change> {
    (text_at(envelope, "outcome") == Some("success")).then_some(())?;
    let change = change(text_at(envelope, "action")?, text_at(envelope, "target.id")?)?;
    let updated = text_at(envelope, "new.updated_at").and_then(|text| moment::text(text, &TimeZone::UTC));
    Some(Change { at: updated.map(|(at, _)| at), ..change })
}

/// The stored records that [`change_of_stored`] is for.
pub(crate) const STATES: &str =
    "action:[IdentityCreated,IdentityUpdated,IdentityDeleted,registration,settings,verification,recovery]";

/// Where no proxy stands before a server its `ClientIP` is the peer of the connection, with the port. The field has the address
/// alone; the attribute stays as it is.
fn address(attributes: &mut Object<'_>, out: &mut Envelope<'_>) {
    if let Some(address) = said("ClientIP", attributes).and_then(|text| without_port(&text)) {
        out.set(Field::Ip, address);
    }
}

/// What an event says about the identity it names: not much more than whether it is active.
fn identity(name: &str, attributes: &mut Object<'_>, out: &mut Envelope<'_>) {
    let Some(id) = out.text(Field::TargetId).map(Cow::into_owned) else { return };
    let change = change(name, &id);
    // Of one that is gone that is what it was, of which more may be known.
    let gone = change.as_ref().is_some_and(|change| change.says == Says::Gone);
    match said("IdentityActive", attributes).filter(|_| !gone).as_deref() {
        Some("true") => out.infer(Field::New, r#"{"active":true}"#),
        Some("false") => out.infer(Field::New, r#"{"active":false}"#),
        _ => {}
    }
    out.change(change);
}

/// Attributes that are spelled in another way, and what they fill where nothing in the usual spelling does. Every spelling of such
/// a name stays where it is, so that the way back need not guess which of them filled the field.
fn other_spellings(family: &Family, attributes: &Object<'_>) -> Vec<(String, Field)> {
    let mut table = Vec::with_capacity(2 * COMMON.len());
    table.extend(family.table());
    let other = |name: &str| {
        let (_, field) = table.iter().find(|(attribute, _)| *attribute != name && same(attribute, name))?;
        Some((name.to_owned(), *field))
    };
    attributes.names().filter_map(other).collect()
}

/// What an attribute says, in whatever spelling its name is, where it stays: a text, or the text of a number or of `true` or `false`, as
/// traces have them.
fn said<'a>(attribute: &str, attributes: &mut Object<'a>) -> Option<Cow<'a, str>> {
    let usual = attributes.has(attribute);
    let name = if usual { None } else { Some(attributes.keys().find(|name| same(attribute, name))?) };
    let name = name.as_deref().unwrap_or(attribute);
    if let Some(text) = attributes.member_text(name) {
        return Some(text);
    }
    let raw = attributes.member(name)?;
    let plain = raw != "null" && !raw.starts_with(['{', '[', '"']);
    plain.then(|| raw.clone())
}

/// Whether two names are one without case and spaces. Most names differ in length already.
#[inline]
fn same(known: &str, given: &str) -> bool {
    given.len() >= known.len()
        && known
            .bytes()
            .map(|b| b.to_ascii_lowercase())
            .eq(given.bytes().filter(|b| *b != b' ').map(|b| b.to_ascii_lowercase()))
}

/// How it ended, as the name says, and the level that follows.
fn outcome(name: &str) -> (&'static str, &'static str) {
    if name.ends_with("Failed") || name.ends_with("Error") || name.ends_with("Abandoned") {
        return ("failure", "warn");
    }
    match name {
        "OAuth2LoginRejected" | "OAuth2ConsentRejected" => ("deny", "warn"),
        "PermissionsChecked" => ("unknown", "info"),
        _ => ("success", "info"),
    }
}

/// The address of `192.0.2.9:4242` or `[2001:db8::9]:4242`; `None` where there is no port.
pub(crate) fn without_port(text: &str) -> Option<String> {
    text.parse::<SocketAddr>().ok().map(|peer| peer.ip().to_string())
}

/// A SHA-256 in hex.
fn is_hash(subject: &str) -> bool {
    subject.len() == 64 && subject.bytes().all(|b| b.is_ascii_hexdigit())
}

/// When a session ends, and when a token made of it does. They stay where they are: Go's spelling is not ours.
fn times(attributes: &mut Object<'_>, out: &mut Envelope<'_>) {
    let end = said("SessionExpiresAt", attributes).and_then(|end| moment::text(&end, &TimeZone::UTC));
    if let Some((end, _)) = end {
        out.set_time(Field::SessionExpiresAt, end);
    }
    let life = said("TokenizedSessionTTL", attributes).and_then(|life| moment::go_duration(&life));
    if let Some(end) =
        out.at().zip(life).and_then(|(at, life)| at.checked_add(life)).filter(|end| moment::plausible(*end))
    {
        out.infer(Field::GrantExpiresAt, format!("\"{}\"", event::time::format(end)));
    }
}

/// The attributes that hold the fields of an event of this name, for a record of another system.
pub(crate) fn attributes(name: &str) -> impl Iterator<Item = (&'static str, Field)> {
    family(name, catalog::of(NAME).get_loose(name)).table()
}

/// Puts the attributes back under `place`.
pub(crate) fn put_back(native: &mut Native<'_>, place: &str) {
    let name = native.said(Field::Action).unwrap_or_default();
    let family = family(name, catalog::of(NAME).get_loose(name));
    for (attribute, field) in family.table() {
        if field == Field::ErrorCode && native.shape() == Some(OLD_REASON_MARK) {
            native.field(&format!("{place}.{OLD_REASON}"), field);
            continue;
        }
        let left = native.members.get(place).and_then(Value::as_object);
        let elsewhere = left.is_some_and(|left| left.keys().any(|name| name != attribute && same(attribute, name)));
        if !elsewhere {
            native.field(&format!("{place}.{attribute}"), field);
        }
    }
}
