//! Which events begin, prolong and end sessions and grants.
//!
//! Owns: one table, and filling `session` and `grant` from it, so that the views of the same names show what lives. Not
//! here: where a system's events have the session's id (each system's folder), and what the latest state is (whoever reads).
//!
//! Only events that are about the session are here. One that merely happened within it (a token was refreshed) says nothing of
//! what it is now, and may well happen after it was revoked: that is for people to find. What comes late does no harm: the
//! latest state is what happened last, so an event needs the time at which it happened, not that of its arrival.

use crate::catalog;
use crate::envelope::{Envelope, hash};
use event::Field;
use std::borrow::Cow;

/// What an event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// The session begins or goes on; whoever acts is whose it is.
    Lives,
    /// The session goes on; whose it is was said before.
    GoesOn,
    /// It was ended before its time.
    Ends,
    /// Every session ended of whom this field names.
    EndsAll(Field),
    /// It came to its end.
    Expires,
    /// A grant of the actor to the client begins or goes on.
    Grants,
    /// It was withdrawn.
    Withdraws,
}

use Does::{Ends, EndsAll, Expires, GoesOn, Grants, Lives, Withdraws};

/// The events of systems that share them.
type Row = (&'static [&'static str], &'static [(&'static str, Does)]);

const EVENTS: &[Row] = &[
    (
        &["asgardeo", "wso2"],
        &[
            ("sessionEstablished", Lives),
            ("sessionRevoked", Ends),
            ("TerminateSession", Ends),
            ("terminate-session", Ends),
        ],
    ),
    (&["auth0"], &[("s", Lives), ("slo", Ends)]),
    (
        &["contember"],
        &[
            ("session_policy_applied", Lives),
            ("session_revoked_by_user", Ends),
            ("idp_session_revoked", Ends),
            ("session_expired_idle", Expires),
        ],
    ),
    (
        &["keycloak"],
        &[
            ("LOGIN", Lives),
            // An administrator's session as somebody else, without a sign-in of that person.
            ("IMPERSONATE", Lives),
            ("LOGOUT", Ends),
            ("DELETE_ACCOUNT", EndsAll(Field::ActorId)),
            ("USER_SESSION_DELETED", Ends),
            ("DELETE USER_SESSION", Ends),
            ("GRANT_CONSENT", Grants),
            ("UPDATE_CONSENT", Grants),
            ("REVOKE_GRANT", Withdraws),
        ],
    ),
    (
        &["okta"],
        &[("user.session.start", Lives), ("user.session.end", Ends), ("user.session.clear", EndsAll(Field::TargetId))],
    ),
    (&["ory-nestjs"], &[("authz.session.revoke", Ends), ("iam.session.extend", GoesOn)]),
    (
        &["ory", "ory-network"],
        &[
            ("SessionIssued", Lives),
            ("SessionChanged", Lives),
            ("SessionLifespanExtended", Lives),
            ("LoginSucceeded", Lives),
            ("SessionRevoked", Ends),
            ("IdentityDeleted", EndsAll(Field::TargetId)),
            ("OAuth2ConsentAccepted", Grants),
            ("OAuth2ConsentRevoked", Withdraws),
        ],
    ),
    (
        &["set"],
        &[
            ("https://schemas.openid.net/secevent/caep/event-type/session-established", GoesOn),
            ("https://schemas.openid.net/secevent/caep/event-type/session-presented", GoesOn),
            ("https://schemas.openid.net/secevent/caep/event-type/session-revoked", Ends),
            ("https://schemas.openid.net/secevent/risc/event-type/sessions-revoked", Ends),
        ],
    ),
    (
        &["zitadel"],
        &[
            ("session.added", GoesOn),
            ("session.user.checked", GoesOn),
            ("session.lifetime.set", GoesOn),
            ("session.terminated", Ends),
        ],
    ),
];

/// Fills what an event means for a session or grant, where it succeeded and says which.
pub(crate) fn fill(system: &str, out: &mut Envelope<'_>) {
    let Some((_, events)) = EVENTS.iter().find(|(systems, _)| systems.contains(&system)) else { return };
    let does = {
        let Some(action) = out.text(Field::Action) else { return };
        events.iter().find(|(name, _)| catalog::alike(name, &action)).map(|(_, does)| *does)
    };
    // An end that came by itself nobody tried, so that it can be none that failed, whatever its record says (Contember: no success).
    let counts = |does: &Does| *does == Expires || out.text(Field::Outcome).is_some_and(|outcome| outcome == "success");
    let Some(does) = does.filter(counts) else { return };
    match does {
        Lives => session(out, "active", true),
        GoesOn => session(out, "active", false),
        Ends => session(out, "revoked", false),
        EndsAll(whose) => {
            let user = out.text(whose).map(|user| user.into_owned());
            end_all_of(&user.unwrap_or_default(), out);
        }
        Expires => session(out, "expired", false),
        Grants | Withdraws => {
            let status = if does == Grants { "active" } else { "revoked" };
            let said = [Field::ActorId, Field::ClientId].map(|field| out.text(field).map(|text| text.into_owned()));
            if let [Some(user), Some(client)] = said {
                grant(system, &user, &client, status, out);
            }
        }
    }
}

/// Says that the session of the record is in this status; `own` where the actor is whose it is.
pub(crate) fn session(out: &mut Envelope<'_>, status: &'static str, own: bool) {
    if out.is_empty(Field::SessionId) && out.is_empty(Field::SessionRefId) {
        return;
    }
    if out.is_empty(Field::SessionStatus) {
        out.set(Field::SessionStatus, status);
    }
    if own && out.is_empty(Field::SessionUserId) {
        let actor = out.text(Field::ActorId).map(|id| id.into_owned());
        if let Some(actor) = actor {
            out.set(Field::SessionUserId, actor);
        }
    }
}

/// Says that every session of a user ended: the record names none of them.
pub(crate) fn end_all_of(user: &str, out: &mut Envelope<'_>) {
    if !user.is_empty() {
        out.set(Field::SessionUserId, user.to_owned());
        end_all([Field::SessionUserId.spec().path], out);
    }
}

/// Says that every session ended that has the same in these places as the record ([`Envelope::ends`]).
pub(crate) fn end_all(places: impl IntoIterator<Item = impl Into<Cow<'static, str>>>, out: &mut Envelope<'_>) {
    out.set(Field::SessionStatus, "revoked");
    out.ends(places);
}

/// Says that everything was withdrawn that a user had granted: the record names no client.
pub(crate) fn withdraw_all_of(user: &str, out: &mut Envelope<'_>) {
    if !user.is_empty() {
        out.set(Field::GrantStatus, "revoked");
        out.set(Field::GrantUserId, user.to_owned());
        out.ends([Field::GrantUserId.spec().path]);
    }
}

/// Says that each of these sessions ended, by their ids.
pub(crate) fn end_each(sessions: Vec<String>, out: &mut Envelope<'_>) {
    out.set(Field::SessionStatus, "revoked");
    out.ends_each(sessions);
}

/// Says that what this user granted this client is in this status. These systems have no id for it, so it is made of
/// both, in a form that tells neither: it must not keep a person from being erased.
pub(crate) fn grant(system: &str, user: &str, client: &str, status: &'static str, out: &mut Envelope<'_>) {
    if user.is_empty() || client.is_empty() || !out.is_empty(Field::GrantStatus) {
        return;
    }
    let id = hash(&[b"grant\0", system.as_bytes(), b"\0", user.as_bytes(), b"\0", client.as_bytes()]);
    out.infer(Field::GrantId, format!("\"{}\"", id.get(..32).unwrap_or_default()));
    out.set(Field::GrantStatus, status);
    out.set(Field::GrantUserId, user.to_owned());
    if out.is_empty(Field::ClientId) {
        out.set(Field::ClientId, client.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use crate::catalog;
    use crate::testing::one;
    use serde_json::json;

    #[test]
    fn names_are_those_of_the_catalogue() {
        for (systems, events) in super::EVENTS {
            for (name, _) in *events {
                // Admin events of Keycloak have two words, and are not in it; neither is what other versions spell differently.
                let known = systems.iter().any(|system| catalog::of(system).get_loose(name).is_some());
                assert!(known || name.contains(' ') || name.contains('-'), "{systems:?} {name}");
            }
        }
    }

    #[test]
    fn the_catalogue_says_what_they_fill() {
        for (systems, events) in super::EVENTS {
            for (name, does) in *events {
                let fills: &[&str] = match does {
                    super::Grants | super::Withdraws => &["grant.id", "grant.status", "grant.user_id"],
                    super::Lives | super::EndsAll(_) => &["session.status", "session.user_id"],
                    super::GoesOn | super::Ends | super::Expires => &["session.status"],
                };
                for entry in systems.iter().filter_map(|system| catalog::of(system).get_loose(name)) {
                    let unsaid = |field: &&&str| !entry.fills.iter().any(|said| said == **field);
                    let unsaid: Vec<_> = fills.iter().filter(unsaid).collect();
                    assert!(unsaid.is_empty(), "{} {name}: {unsaid:?}", entry.system);
                }
            }
        }
    }

    #[test]
    fn keycloak() {
        let user = |kind: &str, more: serde_json::Value| {
            let mut event =
                json!({"time": 1, "type": kind, "realmId": "r", "clientId": "web", "userId": "u1", "sessionId": "s1"});
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            one("keycloak", &event.to_string())
        };
        user("LOGIN", json!({"details": {"auth_method": "openid-connect"}})).expect(&[
            ("session.status", "active"),
            ("session.user_id", "u1"),
            ("session.protocol", "openid-connect"),
            ("session_id", "s1"),
        ]);
        user("IMPERSONATE", json!({"details": {"impersonator": "admin"}})).expect(&[
            ("session.status", "active"),
            ("session.user_id", "u1"),
            ("session_id", "s1"),
        ]);
        user("LOGIN_ERROR", json!({"error": "x"})).expect(&[("session.status", "")]);
        user("REFRESH_TOKEN", json!({})).expect(&[("session.status", "")]);
        let gone = user("DELETE_ACCOUNT", json!({}));
        gone.expect(&[("session.status", "revoked"), ("session.user_id", "u1"), ("session_id", "s1")]);
        assert_eq!(gone.value("attributes._indelible.ends"), &json!(["session.user_id"]));
        user("DELETE_ACCOUNT_ERROR", json!({"error": "x"})).expect(&[("session.status", "")]);
        user("LOGOUT", json!({})).expect(&[("session.status", "revoked"), ("session.user_id", "")]);
        let given = user("GRANT_CONSENT", json!({}));
        given.expect(&[("grant.status", "active"), ("grant.user_id", "u1"), ("client.id", "web")]);
        let taken = user("REVOKE_GRANT", json!({"clientId": "account", "details": {"revoked_client": "web"}}));
        taken.expect(&[
            ("grant.status", "revoked"),
            ("grant.id", given.at("grant.id")),
            ("client.id", "web"),
            ("session_id", ""),
        ]);
        taken.expect(&[("attributes.clientId", "account"), ("attributes.sessionId", "s1")]);
        let itself = user("REVOKE_GRANT", json!({"details": {"revoked_client": "web"}}));
        itself.expect(&[("grant.id", given.at("grant.id")), ("client.id", "web"), ("session_id", "s1")]);
        user("REVOKE_GRANT", json!({"clientId": null})).expect(&[("grant.status", "")]);
        let admin = |operation: &str, resource: &str, path: &str| {
            let event = json!({"time": 1, "realmId": "r", "operationType": operation, "resourceType": resource,
                "resourcePath": path, "authDetails": {"userId": "root"}});
            one("keycloak", &event.to_string())
        };
        admin("DELETE", "USER_SESSION", "sessions/s1").expect(&[
            ("session_id", "s1"),
            ("session.status", "revoked"),
            ("session.user_id", ""),
        ]);
        admin("ACTION", "USER", "users/u1/consents/web").expect(&[
            ("grant.id", given.at("grant.id")),
            ("grant.status", "revoked"),
            ("client.id", "web"),
        ]);
        let all = |event: &crate::testing::Stored| event.value("attributes._indelible.ends").clone();
        for (operation, path) in [("ACTION", "users/u1/logout"), ("DELETE", "users/u1")] {
            let ended = admin(operation, "USER", path);
            ended.expect(&[("session.status", "revoked"), ("session.user_id", "u1"), ("actor.id", "root")]);
            assert_eq!(all(&ended), json!(["session.user_id"]), "{path}");
        }
        let realm = admin("ACTION", "REALM", "logout-all");
        realm.expect(&[("session.status", "revoked"), ("session.user_id", "")]);
        assert_eq!(all(&realm), json!(["source", "/realmId"]));
        for (operation, path) in
            [("UPDATE", "users/u1"), ("ACTION", "users/u1/reset-password"), ("ACTION", "users//logout")]
        {
            admin(operation, "USER", path).expect(&[("session.status", "")]);
        }
        let failed = json!({"time": 1, "realmId": "r", "operationType": "ACTION", "resourceType": "USER",
            "resourcePath": "users/u1/logout", "error": "not_allowed"});
        one("keycloak", &failed.to_string()).expect(&[("outcome", "failure"), ("session.status", "")]);
    }

    #[test]
    fn ory() {
        let event = |name: &str, attributes: serde_json::Value| {
            let event = json!({"name": name, "timestamp": "2026-11-20T12:00:00Z", "eventAttributes": attributes});
            one("ory-network", &event.to_string())
        };
        event("SessionIssued", json!({"IdentityID": "i1", "SessionID": "s1"}))
            .expect(&[("session.status", "active"), ("session.user_id", "i1")]);
        event(
            "SessionLifespanExtended",
            json!({"IdentityID": "i1", "SessionID": "s1", "SessionExpiresAt": "2026-12-01 10:00:00 +0000 UTC"}),
        )
        .expect(&[("session.status", "active"), ("session.expires_at", "2026-12-01T10:00:00.000000Z")]);
        event("SessionChecked", json!({"IdentityID": "i1", "SessionID": "s1"})).expect(&[("session.status", "")]);
        event("SessionRevoked", json!({"IdentityID": "i1", "SessionID": "s1"}))
            .expect(&[("session.status", "revoked")]);
        let accepted = event("OAuth2ConsentAccepted", json!({"OAuth2ClientID": "c", "OAuth2Subject": "i1"}));
        accepted.expect(&[("grant.status", "active"), ("grant.user_id", "i1")]);
        event("OAuth2ConsentRevoked", json!({"OAuth2ClientID": "c", "OAuth2Subject": "i1"}))
            .expect(&[("grant.status", "revoked"), ("grant.id", accepted.at("grant.id"))]);
        for (name, subject) in [("OAuth2ConsentRevoked", "OAuth2Subject"), ("oauth2 consent revoked", "oauth2subject")]
        {
            let all = event(name, json!({subject: "i1"}));
            all.expect(&[("grant.status", "revoked"), ("grant.user_id", "i1"), ("grant.id", "")]);
            assert_eq!(all.value("attributes._indelible.ends"), &json!(["grant.user_id"]));
        }
        for one in
            [json!({"OAuth2ConsentRequestID": "r1"}), json!({"OAuth2Subject": "i1", "OAuth2ConsentRequestID": "r1"})]
        {
            let asked = event("OAuth2ConsentRevoked", one);
            asked.expect(&[("grant.status", "revoked"), ("grant.id", ""), ("grant.user_id", "")]);
            let alike = json!(["source", "/eventAttributes/OAuth2ConsentRequestID"]);
            assert_eq!(asked.value("attributes._indelible.ends"), &alike);
        }
        // A request that is named and empty is none: others' grants may have none either.
        let all = event("OAuth2ConsentRevoked", json!({"OAuth2Subject": "i1", "OAuth2ConsentRequestID": ""}));
        assert_eq!(all.value("attributes._indelible.ends"), &json!(["grant.user_id"]));
        let asked = json!({"OAuth2Subject": "i1", "OAuth2ClientID": "c", "OAuth2ConsentRequestID": "r1"});
        event("OAuth2ConsentRevoked", asked)
            .expect(&[("grant.id", accepted.at("grant.id")), ("attributes._indelible.ends", "")]);
        let deleted = event("IdentityDeleted", json!({"IdentityID": "i1"}));
        deleted.expect(&[("session.status", "revoked"), ("session.user_id", "i1")]);
        assert_eq!(deleted.value("attributes._indelible.ends"), &json!(["session.user_id"]));
        let span = json!({"name": "IdentityDeleted", "timeUnixNano": "1795176000000000000", "attributes": {"IdentityID": "i1"}});
        one("ory", &span.to_string()).expect(&[("session.status", "revoked"), ("session.user_id", "i1")]);
        for (name, status) in [
            ("Session Revoked", "revoked"),
            ("SESSIONREVOKED", "revoked"),
            ("session issued", "active"),
            ("Session Checked", ""),
        ] {
            event(name, json!({"IdentityID": "i1", "SessionID": "s1"})).expect(&[
                ("action", name),
                ("session.status", status),
                ("session_id", "s1"),
            ]);
        }
        event("oauth2 consent accepted", json!({"OAuth2ClientID": "c", "OAuth2Subject": "i1"}))
            .expect(&[("grant.status", "active"), ("grant.id", accepted.at("grant.id"))]);
    }

    #[test]
    fn others() {
        let okta = json!({"uuid": "1", "published": "2026-11-20T12:00:00Z", "eventType": "user.session.start",
            "actor": {"id": "u1", "type": "User"}, "outcome": {"result": "SUCCESS"},
            "authenticationContext": {"externalSessionId": "s1"}});
        one("okta", &okta.to_string()).expect(&[("session.status", "active"), ("session.user_id", "u1")]);
        let mut clear = okta;
        clear["eventType"] = json!("user.session.clear");
        clear["target"] = json!([{"id": "u2", "type": "User", "displayName": "Bob"}]);
        let cleared = one("okta", &clear.to_string());
        cleared.expect(&[("session.status", "revoked"), ("session.user_id", "u2"), ("session_id", "")]);
        cleared.expect(&[("attributes.authenticationContext.externalSessionId", "s1"), ("log", "audit")]);
        assert_eq!(cleared.value("attributes._indelible.ends"), &json!(["session.user_id"]));
        let auth0 = json!({"log_id": "1", "date": "2026-11-20T12:00:00.000Z", "type": "slo", "user_id": "u1",
            "details": {"session_id": "s1"}});
        one("auth0", &auth0.to_string()).expect(&[("session.status", "revoked"), ("session_id", "s1")]);
        let zitadel = json!({"aggregateID": "s1", "aggregateType": "session", "sequence": 1, "event_type": "session.terminated",
            "created_at": "2026-11-20T12:00:00Z", "userID": "u1"});
        one("zitadel", &zitadel.to_string()).expect(&[("session_id", "s1"), ("session.status", "revoked")]);
        let asgardeo = json!({"id": "1", "recordedAt": "2026-11-20T12:00:00Z", "requestId": "r", "initiatorId": "a",
            "initiatorType": "User", "targetId": "u1", "targetType": "User", "action": "TerminateSession",
            "data": {"SessionContextId": "s1"}});
        one("asgardeo", &asgardeo.to_string()).expect(&[("session_id", "s1"), ("session.status", "revoked")]);
    }
}
