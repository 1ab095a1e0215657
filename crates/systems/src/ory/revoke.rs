//! The admin interfaces of Kratos (sessions) and Hydra (consents, and its own sign-in sessions).
//!
//! Both have the setting `url`, the address of the admin interface, and the secret `token` where something in front of it asks
//! for one. Hydra says with an event in its traces that a consent is gone, and nothing of its sign-in sessions. Kratos has an
//! event for a user who signs out; of sessions that its admin interface ends it says nothing (seen in 1.3.1), so it is asked
//! afterwards whether they are over.

use crate::revoke::{Aim, Cannot, Connector, Over, Plan, Shown, all_revoked, call, encode, is, revoked};

pub(crate) fn kratos(connector: &Connector<'_>, aim: &Aim) -> Result<Plan, Cannot> {
    let url = connector.url()?;
    let (request, confirm, over) = match aim {
        Aim::Session { id, .. } => (format!("{url}/admin/sessions/{}", encode(id)), vec![revoked(id)], Over::Inactive),
        Aim::Sessions { user, known } => {
            let confirm = match known.as_slice() {
                [] => vec![format!("action:SessionRevoked {}", is("actor.id", user))],
                known => all_revoked(known),
            };
            (format!("{url}/admin/identities/{}/sessions", encode(user)), confirm, Over::NoneLeft)
        }
        Aim::Grant { .. } | Aim::Grants { .. } => {
            return Err(Cannot::NotIts("Kratos has no grants; they are Hydra's"));
        }
    };
    let look = if over == Over::NoneLeft { format!("{request}?active=true") } else { request.clone() };
    Ok(Plan {
        access: connector.bearer(),
        calls: vec![call("DELETE", request)],
        confirm,
        shown: Some(Shown { call: call("GET", look), over }),
        effect: "the session is not accepted any more from the next request on; tokens made of it are good until they expire",
    })
}

pub(crate) fn hydra(connector: &Connector<'_>, aim: &Aim) -> Result<Plan, Cannot> {
    let base = format!("{}/admin/oauth2/auth/sessions", connector.url()?);
    let consent = |user: &str, rest: String| format!("{base}/consent?subject={}&{rest}", encode(user));
    let gone = |user: &str| format!("action:OAuth2ConsentRevoked {}", is("actor.id", user));
    let (request, confirm, effect) = match aim {
        Aim::Session { .. } => {
            return Err(Cannot::NotIts("a single session is Kratos's; Hydra ends all sign-in sessions of a user"));
        }
        Aim::Sessions { user, .. } => (
            format!("{base}/login?subject={}", encode(user)),
            Vec::new(),
            "the user has to sign in at the next authorization; tokens stay good, and Hydra sends no event for it",
        ),
        Aim::Grant { user, client, .. } => (
            consent(user, format!("client={}", encode(client))),
            vec![format!("{} {}", gone(user), is("client.id", client))],
            "the consent and every token given for it are gone; the client has to ask again",
        ),
        Aim::Grants { user, .. } => (
            consent(user, "all=true".into()),
            vec![gone(user)],
            "all consents of the user and every token given for them are gone; each client has to ask again",
        ),
    };
    Ok(Plan { access: connector.bearer(), calls: vec![call("DELETE", request)], confirm, shown: None, effect })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revoke::Access;
    use crate::revoke::tests::{planned, session};
    use serde_json::json;

    fn asked(system: &str, aim: &Aim) -> Result<(String, Vec<String>), Cannot> {
        let plan = planned(system, &json!({"url": "http://ory:4434/"}), aim)?;
        assert_eq!(plan.access, Access::Bearer("t0".into()));
        Ok((format!("{} {}", plan.calls[0].method, plan.calls[0].url), plan.confirm))
    }

    /// How Kratos is asked whether it is over.
    fn look(aim: &Aim) -> (String, Over) {
        let shown = planned("kratos", &json!({"url": "http://ory:4434/"}), aim).unwrap().shown.unwrap();
        (format!("{} {}", shown.call.method, shown.call.url), shown.over)
    }

    #[test]
    fn what_is_asked_of_kratos() {
        let (request, confirm) = asked("kratos", &session()).unwrap();
        assert_eq!(request, "DELETE http://ory:4434/admin/sessions/s%2F1");
        assert_eq!(confirm, [r#"(session_id:"s/1" OR session.id:"s/1") session.status:revoked"#]);
        assert_eq!(look(&session()), ("GET http://ory:4434/admin/sessions/s%2F1".into(), Over::Inactive));
        let all = Aim::Sessions { user: "i1".into(), known: vec!["s1".into(), "s2".into()] };
        let (request, confirm) = asked("kratos", &all).unwrap();
        assert_eq!(request, "DELETE http://ory:4434/admin/identities/i1/sessions");
        assert_eq!(confirm.len(), 2, "each of them says so");
        assert_eq!(look(&all), ("GET http://ory:4434/admin/identities/i1/sessions?active=true".into(), Over::NoneLeft));
        let grant = Aim::Grant { id: "g".into(), user: "i1".into(), client: "c".into() };
        assert!(matches!(asked("kratos", &grant), Err(Cannot::NotIts(_))));
    }

    #[test]
    fn what_is_asked_of_hydra() {
        let grant = Aim::Grant { id: "g".into(), user: "i&1".into(), client: "c".into() };
        let (request, confirm) = asked("hydra", &grant).unwrap();
        assert_eq!(request, "DELETE http://ory:4434/admin/oauth2/auth/sessions/consent?subject=i%261&client=c");
        assert_eq!(confirm, [r#"action:OAuth2ConsentRevoked actor.id:"i&1" client.id:"c""#]);
        let (request, _) = asked("hydra", &Aim::Grants { user: "i1".into(), known: vec![] }).unwrap();
        assert!(request.ends_with("/consent?subject=i1&all=true"));
        let (request, confirm) = asked("hydra", &Aim::Sessions { user: "i1".into(), known: vec![] }).unwrap();
        assert!(request.ends_with("/login?subject=i1") && confirm.is_empty());
        assert!(matches!(asked("hydra", &session()), Err(Cannot::NotIts(_))));
    }
}
