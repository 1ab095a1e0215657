//! Asgardeo: audit records in the spelling of its catalogue.
//!
//! Owns: actions, initiators, targets and `data` (kept in `attributes`). Asgardeo masks values that identify somebody, names targets by
//! id, and says neither address nor browser. Not here: its diagnostic log.

use super::World;
use super::people::Person;
use super::record::Record;
use serde_json::{Value, json};

pub(super) const SOURCE: &str = "asgardeo";

/// A value as Asgardeo masks it: first and last character stay.
fn masked(text: &str) -> String {
    let (first, last) = (text.chars().next().unwrap_or('*'), text.chars().next_back().unwrap_or('*'));
    format!("{first}{}{last}", "*".repeat(text.chars().count().saturating_sub(2)))
}

/// A record of something that `who` did; nobody means the system itself.
pub(super) fn audit(world: &mut World, time: i64, action: &str, who: Option<&Person>, data: Value) -> Record {
    let request = world.uuid();
    let record = Record::new(time, SOURCE, "audit", action).outcome("success").set("request_id", request);
    let record = match who {
        Some(person) => record.set("actor.id", person.id.as_str()).set("actor.type", "User"),
        None => record.set("actor.id", "System").set("actor.type", "System"),
    };
    if data.is_null() { record } else { record.set("attributes", json!({"data": data})) }
}

/// Lets something happen at `time`.
pub(super) fn happen(world: &mut World, time: i64) {
    match world.random.below(100) {
        0..=39 => tokens(world, time),
        40..=69 => users(world, time),
        70..=80 => roles(world, time),
        81..=91 => applications(world, time),
        _ => organisation(world, time),
    }
}

fn tokens(world: &mut World, mut time: i64) {
    let (person, app) = (world.person(), world.app());
    let input = json!({"clientId": app.id, "grantType": "authorization_code"});
    for action in ["validate-scope", "issue-access-token", "PostTokenIssue"] {
        let fails = world.random.percent(5);
        let record = audit(world, time, action, Some(&person), input.clone()).client(app).target(
            "Application",
            app.id,
            app.name,
        );
        world.write(if fails {
            record.failed("invalid_scope").set("message", "the requested scope is not allowed for this application")
        } else {
            record
        });
        if fails {
            return;
        }
        world.soon(&mut time, 2);
    }
    if world.random.percent(20) {
        time += world.random.between(super::random::MINUTE, 5 * super::random::HOUR);
        let session = world.uuid();
        let record = audit(
            world,
            time,
            "TerminateSession",
            Some(&person),
            json!({"SessionContextId": session, "RevokeTokens": "true"}),
        );
        world.write(record.set("session_id", session).target("User", &person.id, &masked(&person.username)));
    }
}

fn users(world: &mut World, time: i64) {
    let (admin, person) = (world.admin(), world.person());
    let name = masked(&person.username);
    let upon = |record: Record| record.target("User", &person.id, &name);
    let claim = "http://wso2.org/claims/country";
    let record = match world.random.below(12) {
        0 | 1 => upon(audit(
            world,
            time,
            "add-user",
            Some(&admin),
            json!({"ProfileName": "default", "Claims": {claim: "a***a"}}),
        )),
        2 => upon(audit(world, time, "delete-user", Some(&admin), Value::Null)),
        3..=5 => upon(audit(world, time, "set-user-claim-values", Some(&person), json!({"Claims": {claim: "c***z"}}))),
        6 | 7 => upon(audit(world, time, "credential-update-by-user", Some(&person), Value::Null)),
        8 => upon(audit(world, time, "credential-update-by-administrator", Some(&admin), Value::Null)),
        9 => upon(audit(world, time, "Account Disable", Some(&admin), json!({"modifiedStatus": true})))
            .set("new", json!({"accountDisabled": true}))
            .set("old", json!({"accountDisabled": false})),
        10 => upon(audit(world, time, "Account Enable", Some(&admin), json!({"modifiedStatus": false})))
            .set("new", json!({"accountDisabled": false}))
            .set("old", json!({"accountDisabled": true})),
        _ => upon(audit(
            world,
            time,
            "create-federated-user-association",
            None,
            json!({"IdpId": "google", "FederatedUser": masked(&person.email)}),
        )),
    };
    world.write(record);
}

fn roles(world: &mut World, time: i64) {
    let (admin, person) = (world.admin(), world.person());
    let role = super::entities::role(&mut world.random);
    let id = format!("role-{}", role.replace(' ', "-"));
    let (action, data) = match world.random.below(6) {
        0 => (
            "add-role",
            json!({"RoleName": role, "Audience": "application", "Permissions": ["internal_user_mgt_view"]}),
        ),
        1 | 2 => ("update-users-of-role", json!({"AddedUsers": [person.id]})),
        3 => {
            ("update-permissions-of-role", json!({"Audience": "application", "DeletedPermissions": ["reports:export"]}))
        }
        4 => ("update-groups-of-role", json!({"AddedGroups": [world.uuid()]})),
        _ => ("get-users-of-role", json!({})),
    };
    let record = audit(world, time, action, Some(&admin), data).target("Role", &id, role);
    world.write(record);
}

fn applications(world: &mut World, time: i64) {
    let (admin, app) = (world.admin(), world.app());
    let old = json!({"name": app.name, "callbackUrl": format!("https://{}.{}/login", app.id, world.domain), "pkceMandatory": true, "idTokenExpiryTime": 3600.0});
    let mut new = old.clone();
    new["idTokenExpiryTime"] = json!(900.0);
    let record = match world.random.below(5) {
        0 => audit(world, time, "create-application", Some(&admin), json!({"templateId": "custom-application-oidc"})),
        1 => audit(
            world,
            time,
            "processing-share-application-with-selected-orgs",
            Some(&admin),
            json!({"parentAppId": app.id, "sharedTenantDomains": "[partner]"}),
        ),
        2 => audit(world, time, "delete-application", Some(&admin), Value::Null),
        _ => audit(world, time, "update-application", Some(&admin), Value::Null).set("old", old).set("new", new),
    };
    world.write(record.target("Application", app.id, app.name));
}

fn organisation(world: &mut World, time: i64) {
    let admin = world.admin();
    let id = world.uuid();
    let record = match world.random.below(6) {
        0 => {
            audit(world, time, "update-organization", Some(&admin), json!({"Replaced": {"Name": "partners"}, "Id": id}))
                .target("Organization", &id, "partners")
        }
        1 => audit(world, time, "update-flow-REGISTRATION", Some(&admin), Value::Null).target(
            "Flow",
            "REGISTRATION",
            "REGISTRATION",
        ),
        2 => audit(
            world,
            time,
            "activate-action",
            Some(&admin),
            json!({"ActionId": id, "ActionType": "preIssueAccessToken"}),
        )
        .target("Action", "System", "preIssueAccessToken"),
        3 => audit(world, time, "ISSUE-SYSTEM-TOKEN", None, json!({"grantType": "organization_switch"})).target(
            "Application",
            "system",
            "System",
        ),
        _ => audit(world, time, "Update-IDP", Some(&admin), json!({"Name": "Google", "Enabled": "true"})).target(
            "IdentityProvider",
            "idp-google",
            "Google",
        ),
    };
    world.write(record);
}
