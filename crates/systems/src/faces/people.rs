//! Whom a record is about: whose sign-in or session it is, who was changed or was given a role, which group it was.
//!
//! Who acts is the actor. That somebody else is meant is said in many ways: by a session's owner, by a target or a second entity that
//! is a user, by the path of a Keycloak administrator's request. Every face asks here, so that no two name different persons.

use super::Record;
use super::kind::Kind;
use crate::ory_nestjs::SUBJECT_SET;
use event::Field;

/// Where a record names somebody or something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Actor,
    Target,
    Second,
    SessionOwner,
    GrantOwner,
}

use Place::{Actor, GrantOwner, Second, SessionOwner, Target};

impl Place {
    /// The field of the id.
    pub(super) fn id(self) -> Field {
        match self {
            Actor => Field::ActorId,
            Target => Field::TargetId,
            Second => Field::SubjectId,
            SessionOwner => Field::SessionUserId,
            GrantOwner => Field::GrantUserId,
        }
    }

    /// The field of the name, where there is one.
    pub(super) fn name(self) -> Option<Field> {
        match self {
            Actor => Some(Field::ActorName),
            Target => Some(Field::TargetName),
            Second => Some(Field::SubjectName),
            SessionOwner | GrantOwner => None,
        }
    }

    /// The field that says what it is, where there is one.
    pub(super) fn said(self) -> Option<Field> {
        match self {
            Actor => Some(Field::ActorType),
            Target => Some(Field::TargetType),
            Second => Some(Field::SubjectType),
            SessionOwner | GrantOwner => None,
        }
    }

    /// Whether the record names anything here.
    fn is_named(self, record: Record<'_>) -> bool {
        let who: &[Field] = match self {
            Actor => &[
                Field::ActorId,
                Field::ActorIdentityId,
                Field::ActorName,
                Field::Username,
                Field::Identifier,
                Field::ActorEmail,
                Field::Email,
            ],
            Target => &[Field::TargetId, Field::TargetName],
            Second => &[Field::SubjectId, Field::SubjectName],
            SessionOwner => &[Field::SessionUserId],
            GrantOwner => &[Field::GrantUserId],
        };
        record.first(who).is_some()
    }
}

/// What stands in a place: what the record says it is, but for Keycloak's administrators. Those events are named after the resource
/// that was dealt with (`REALM_ROLE_MAPPING`), and whose it is the path says: `users/{id}/role-mappings`, `users/{id}/groups/{id}`.
pub(super) fn what<'r>(record: Record<'r>, place: Place) -> Option<&'r str> {
    let path = record.attribute("resourcePath").filter(|_| record.is_of("keycloak")).and_then(|path| path.as_str());
    let mut steps = path.unwrap_or_default().split('/');
    let (first, third) = (steps.next(), steps.nth(1));
    match (place, first, third) {
        (Target, Some("users"), _) | (Second, _, Some("members")) => Some("User"),
        (Target, Some("groups"), _) | (Second, _, Some("groups")) => Some("Group"),
        _ => record.text(place.said()?),
    }
}

pub(super) fn is_user(kind: &str) -> bool {
    const WORDS: [&str; 8] = ["user", "person", "identity", "subject", "hashed subject", "account", "admin", "member"];
    WORDS.contains(&kind.to_lowercase().as_str())
}

/// Whether somebody is named in a place who is said to be a user.
fn has_user(record: Record<'_>, place: Place) -> bool {
    place.is_named(record) && what(record, place).is_some_and(is_user)
}

/// The user that an event of this kind is about; `None` where the kind is about none, or the record does not say who it was.
pub(super) fn user(record: Record<'_>, kind: &Kind) -> Option<Place> {
    match kind.class.0 {
        3002 | 3003 => session_owner(record, kind),
        3006 => member(record),
        3007 => account(record, kind),
        _ => None,
    }
}

/// The id that an event has which names one person: that of the user it is about, or of who acts where the kind is about none.
pub(super) fn one_person(record: Record<'_>, kind: &Kind) -> Option<Field> {
    let place = match kind.class.0 {
        3002 | 3003 | 3007 => user(record, kind)?,
        _ => user(record, kind).unwrap_or(Actor),
    };
    // What has credentials may be an application.
    let is_one = match place {
        Target => what(record, Target).is_none_or(is_account),
        Second => what(record, Second) != Some(SUBJECT_SET),
        _ => true,
    };
    is_one.then(|| place.id())
}

/// Whether the names and addresses that stand beside who acts are its own: of an event about somebody else they are that one's.
pub(super) fn has_own_names(record: Record<'_>, kind: &Kind) -> bool {
    let invited = record.is_of("contember") && crate::contember::people(record.action()).person == Field::TargetId;
    !invited && user(record, kind).is_none_or(|user| user == Actor)
}

/// What somebody is called, the best first: what is said of the actor alone, and what may be another's.
const OWN_NAMES: &[Field] = &[Field::ActorName, Field::ActorEmail];
const NAMES: &[Field] = &[Field::Username, Field::Identifier, Field::Email];

/// What who acts is called, if anything.
pub(super) fn actors_name<'r>(record: Record<'r>, kind: &Kind) -> Option<&'r str> {
    let others = || record.first(NAMES).filter(|_| has_own_names(record, kind));
    record.first(OWN_NAMES).or_else(others)
}

/// Whether what stands in a place is a person, or not said to be anything else.
pub(super) fn may_be_person(record: Record<'_>, place: Place) -> bool {
    what(record, place).is_none_or(is_account)
}

/// Who signs in, for kinds that are a sign-in: one's own act, whoever wrote it down. Else who acts.
pub(super) fn initiator(record: Record<'_>, kind: &Kind) -> Place {
    let signs_in = (kind.name == "sign-in").then(|| user(record, kind)).flatten();
    signs_in.unwrap_or(Actor)
}

/// Whose sign-in or session it is: the owner that the record names, else a user that it was done to, else who acts.
fn session_owner(record: Record<'_>, kind: &Kind) -> Option<Place> {
    if let Some(owner) = [SessionOwner, GrantOwner].into_iter().find(|owner| owner.is_named(record)) {
        // Where the same person stands in another place too, there is more about them.
        let same = [Actor, Target].into_iter().find(|place| record.text(place.id()) == record.text(owner.id()));
        return Some(same.unwrap_or(owner));
    }
    if let Some(user) = [Target, Second].into_iter().find(|place| has_user(record, *place)) {
        return Some(user);
    }
    // Who ends a session by its id may do that to anybody's. Signing in and out is one's own act.
    let of_session = what(record, Target).is_some_and(|kind| kind.to_lowercase().contains("session"));
    if of_session && !kind.is("sign-") {
        return None;
    }
    // What an audit trail names beside an action is as often a component as a person.
    let untyped = what(record, Target).is_none() && record.text(Field::Log) != Some("audit");
    [Actor, Target].into_iter().find(|place| place.is_named(record) && (*place == Actor || untyped))
}

/// Whether a target is the account of somebody. Okta calls those in an application so.
fn is_account(kind: &str) -> bool {
    is_user(kind) || kind.eq_ignore_ascii_case("AppUser")
}

/// The user whose account was changed: the target or the second entity if it is a user, else whoever did it to themselves.
fn account(record: Record<'_>, kind: &Kind) -> Option<Place> {
    let target = what(record, Target);
    // Applications have credentials too.
    if Target.is_named(record) && (target.is_none_or(is_account) || kind.is("credential-")) {
        return Some(Target);
    }
    // A set of Keto's is not one user, and is whom it was given to all the same.
    if Second.is_named(record) && what(record, Second).is_none_or(|kind| is_user(kind) || kind == SUBJECT_SET) {
        return Some(Second);
    }
    // A user that is not named is not who acts, nor is who gave away something that is named.
    let given = Target.is_named(record) && (kind.is("role-") || kind.is("privilege-"));
    (!given && !target.is_some_and(is_user)).then_some(Actor)
}

/// Which of target and second entity has a type with this word; the target where neither says.
pub(super) fn of_type(record: Record<'_>, word: &str) -> Place {
    let is = |place| what(record, place).is_some_and(|kind| kind.to_lowercase().contains(word));
    if is(Second) && !is(Target) { Second } else { Target }
}

/// The group that was changed.
pub(super) fn group(record: Record<'_>) -> Place {
    of_type(record, "group")
}

/// Who was put into a group or taken out of it: target or second entity, whichever is not the group.
fn member(record: Record<'_>) -> Option<Place> {
    let group = group(record);
    if group != Target && Target.is_named(record) && what(record, Target).is_none_or(is_user) {
        return Some(Target);
    }
    (group != Second && Second.is_named(record)).then_some(Second)
}
