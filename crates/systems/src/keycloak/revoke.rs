//! Keycloak's admin interface: sessions and consents.
//!
//! Needs a client with a service account that may manage users (`realm-management: manage-users`). Its settings are `url`,
//! `realm`, `client_id`, and `auth_realm` where the client is in another realm; its secret is `client_secret`.
//! Keycloak says what it did with an admin event, if these are recorded in the realm.

use crate::revoke::{Access, Aim, Call, Cannot, Connector, MOST, Plan, call, encode, is, revoked};

pub(crate) fn plan(connector: &Connector<'_>, aim: &Aim) -> Result<Plan, Cannot> {
    let (url, realm) = (connector.url()?, connector.text("realm")?);
    let base = format!("{url}/admin/realms/{}", encode(realm));
    // One that failed names the same path.
    let by_path = |path: String| format!("source:keycloak outcome:success {}", is("attributes.resourcePath", &path));
    let consent = |user: &str, client: &str| {
        let request = call("DELETE", format!("{base}/users/{}/consents/{}", encode(user), encode(client)));
        (request, by_path(format!("users/{user}/consents/{client}")))
    };
    let (calls, confirm, effect) = match aim {
        Aim::Session { id, .. } => (
            vec![call("DELETE", format!("{base}/sessions/{}", encode(id)))],
            vec![revoked(id)],
            "the session ends in every client it was used for; access tokens are good until they expire",
        ),
        Aim::Sessions { user, .. } => (
            vec![call("POST", format!("{base}/users/{}/logout", encode(user)))],
            vec![by_path(format!("users/{user}/logout"))],
            "all sessions of the user end; access tokens are good until they expire",
        ),
        Aim::Grant { user, client, .. } => {
            let (request, confirm) = consent(user, client);
            (
                vec![request],
                vec![confirm],
                "the consent and the offline tokens of the client are gone; it has to ask again",
            )
        }
        Aim::Grants { known, .. } if known.is_empty() => {
            return Err(Cannot::NotIts("Keycloak withdraws consents one by one, and none of this user is known"));
        }
        Aim::Grants { user, known } => {
            let (calls, confirm) = known.iter().take(MOST).map(|client| consent(user, client)).unzip();
            (calls, confirm, "the consents that are known are gone; each client has to ask again")
        }
    };
    Ok(Plan { access: Access::Token(token(connector, url, realm)?), calls, confirm, shown: None, effect })
}

/// The request for a token of the service account.
fn token(connector: &Connector<'_>, url: &str, realm: &str) -> Result<Call, Cannot> {
    let realm = connector.text("auth_realm").unwrap_or(realm);
    let (id, secret) = (connector.text("client_id")?, connector.secret("client_secret")?);
    let form = format!("grant_type=client_credentials&client_id={}&client_secret={}", encode(id), encode(secret));
    Ok(Call {
        body: Some(("application/x-www-form-urlencoded", form)),
        ..call("POST", format!("{url}/realms/{}/protocol/openid-connect/token", encode(realm)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revoke::tests::{planned, session};
    use serde_json::json;

    #[test]
    fn what_is_asked_of_the_admin_interface() {
        let settings = json!({"url": "https://kc.example/", "realm": "shop", "client_id": "us"});
        let asked = |aim: &Aim| {
            let plan = planned("keycloak", &settings, aim).unwrap();
            let calls: Vec<String> = plan.calls.iter().map(|c| format!("{} {}", c.method, c.url)).collect();
            (calls, plan)
        };
        let (calls, plan) = asked(&session());
        assert_eq!(calls, ["DELETE https://kc.example/admin/realms/shop/sessions/s%2F1"]);
        let Access::Token(token) = &plan.access else { panic!("it asks for a token first") };
        assert_eq!(token.url, "https://kc.example/realms/shop/protocol/openid-connect/token");
        assert_eq!(token.body.as_ref().unwrap().1, "grant_type=client_credentials&client_id=us&client_secret=c0");
        assert!(!format!("{plan:?}").contains("c0"), "no secret where a plan is printed");
        let user = Aim::Sessions { user: "u1".into(), known: vec!["s1".into()] };
        let (calls, plan) = asked(&user);
        assert_eq!(calls, ["POST https://kc.example/admin/realms/shop/users/u1/logout"]);
        assert_eq!(plan.confirm, [r#"source:keycloak outcome:success attributes.resourcePath:"users/u1/logout""#]);
        let (calls, _) = asked(&Aim::Grants { user: "u1".into(), known: vec!["a".into(), "b".into()] });
        assert_eq!(calls.len(), 2);
        assert!(calls[1].ends_with("users/u1/consents/b"));
        let none = Aim::Grants { user: "u1".into(), known: vec![] };
        assert!(matches!(planned("keycloak", &settings, &none), Err(Cannot::NotIts(_))));
        let error = planned("keycloak", &json!({"url": "https://kc.example"}), &session()).unwrap_err();
        assert!(error.to_string().contains("`realm`"), "{error}");
    }
}
