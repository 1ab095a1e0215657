//! Every quirk of Contember.

use crate::catalog;
use crate::testing::{comes_back, one, reason, survives, take};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAME: &str = super::NAME;

/// A row with every column of the table, these ones filled.
fn row(kind: &str, filled: &Value) -> String {
    let mut row = json!({
        "id": "5b0c3f3e-0d7e-4a53-8f1a-000000000001", "created_at": "2026-11-20T12:00:00.000Z", "invoked_by_id": null,
        "person_id": null, "person_token_id": null, "person_input_identifier": null, "type": kind, "success": true,
        "error_code": null, "error_message": null, "ip_address": null, "user_agent": null, "identity_provider_id": null,
        "metadata": {}, "target_person_id": null, "event_data": null, "geo_country": null, "device_fingerprint": null,
    });
    for (column, value) in filled.as_object().unwrap() {
        row[column] = value.clone();
    }
    row.to_string()
}

#[test]
fn every_type_is_read_and_comes_back() {
    let mut count = 0;
    for entry in catalog::entries().iter().filter(|e| e.system == NAME) {
        count += 1;
        let sent = row(
            &entry.name,
            &json!({"person_id": "p", "invoked_by_id": "i", "target_person_id": "t", "event_data": {"slug": "x"}}),
        );
        let stored = one(NAME, &sent);
        stored.expect(&[("log", &entry.log), ("level", &entry.level), ("action", &entry.name), ("outcome", "success")]);
        stored.expect(&[("id", "5b0c3f3e-0d7e-4a53-8f1a-000000000001"), ("time", "2026-11-20T12:00:00.000000Z")]);
        comes_back(NAME, &sent);
    }
    assert_eq!(count, 55);
}

/// A forwarder that has no objects makes pairs of them.
#[test]
fn data_that_became_a_list_of_pairs_is_read() {
    let update = json!({"event_data": [
        {"key": "slug", "value": "google"}, {"key": "before", "value": {"disabled": false}}, {"key": "after", "value": {"disabled": true}},
    ]});
    let sent = row("idp_update", &update);
    let stored = one(NAME, &sent);
    stored.expect(&[("target.id", "google"), ("target.type", "identity provider"), ("target.name", "google")]);
    assert_eq!(stored.value("old"), &json!({"disabled": false}));
    assert_eq!(stored.value("diff"), &json!({"disabled": {"__old": false, "__new": true}}));
    assert_eq!(stored.value("attributes.event_data"), &update["event_data"], "it stays as it came");
    comes_back(NAME, &sent);
    let member = json!({"event_data": [{"identityId": "i1"}, {"projectId": "p1"}]});
    let sent = row("project_membership_create", &member);
    one(NAME, &sent).expect(&[("target.id", "i1"), ("subject.id", "p1"), ("subject.type", "project")]);
    comes_back(NAME, &sent);
    // A list of anything else is kept, and the row is read all the same.
    for other in [json!([]), json!(["slug"]), json!([{"key": "slug", "value": 1}, {"key": "slug", "value": 2}])] {
        let sent = row("idp_update", &json!({"event_data": other}));
        let stored = one(NAME, &sent);
        stored.expect(&[("action", "idp_update"), ("outcome", "success"), ("target.id", "")]);
        assert_eq!(stored.value("attributes.event_data"), &other);
        comes_back(NAME, &sent);
    }
}

/// `\copy … csv` prints truth values as a letter, and `ip_address::text` has the length of the network.
#[test]
fn a_row_as_postgresql_prints_it() {
    for (said, outcome) in [
        (json!("t"), "success"),
        (json!("true"), "success"),
        (json!(1), "success"),
        (json!("f"), "failure"),
        (json!("false"), "failure"),
        (json!(0), "failure"),
        (json!("maybe"), "unknown"),
        (json!(null), "unknown"),
    ] {
        let sent =
            row("login", &json!({"success": said, "error_code": "X", "person_input_identifier": "ann@example.com"}));
        let stored = one(NAME, &sent);
        stored.expect(&[("outcome", outcome), ("error_code", "X")]);
        assert_eq!(stored.at("email"), if outcome == "failure" { "ann@example.com" } else { "" });
        comes_back(NAME, &sent);
    }
    for (said, address) in
        [("192.0.2.3/32", "192.0.2.3"), ("2001:db8::3/128", "2001:db8::3"), ("192.0.2.3", "192.0.2.3")]
    {
        let sent = row("login", &json!({"ip_address": said}));
        one(NAME, &sent).expect(&[("ip", address)]);
        comes_back(NAME, &sent);
    }
}

#[test]
fn columns_fill_the_envelope() {
    let stored = one(
        NAME,
        &row(
            "idp_login",
            &json!({
                "invoked_by_id": "i", "person_id": "p", "person_input_identifier": "ann@example.com", "success": false,
                "error_code": "IDP_VALIDATION_FAILED", "error_message": "no such claim", "ip_address": "192.0.2.1",
                "user_agent": "curl/8", "identity_provider_id": "google", "geo_country": "CZ", "person_token_id": "tok",
                "metadata": {"forwarderIp": "203.0.113.7", "forwarderUserAgent": "proxy/1", "more": 1},
                "event_data": {"reason": "idp_email_unverified"},
            }),
        ),
    );
    stored.expect(&[
        ("outcome", "failure"),
        ("level", "warn"),
        ("actor.id", "p"),
        ("actor.identity_id", "i"),
        ("identifier", "ann@example.com"),
        ("error_code", "IDP_VALIDATION_FAILED"),
        ("message", "no such claim"),
        ("ip", "192.0.2.1"),
        ("user_agent", "curl/8"),
        ("provider.id", "google"),
        ("forwarder_ip", "203.0.113.7"),
        ("forwarder_user_agent", "proxy/1"),
        ("attributes.geo_country", "CZ"),
        ("attributes.event_data.reason", "idp_email_unverified"),
    ]);
    assert_eq!(stored.value("attributes.metadata"), &json!({"more": 1}));
}

#[test]
fn the_documented_column_names_are_kept_though_no_table_has_them() {
    let sent = r#"{"type":"login","success":true,"identity_id":"i","client_ip":"192.0.2.1"}"#;
    one(NAME, sent).expect(&[("attributes.identity_id", "i"), ("attributes.client_ip", "192.0.2.1"), ("ip", "")]);
    comes_back(NAME, sent);
}

#[test]
fn an_actor_that_was_deleted_is_nobody() {
    let sent = row("global_role_revoke", &json!({"target_person_id": "t"}));
    one(NAME, &sent).expect(&[
        ("actor.id", ""),
        ("actor.identity_id", ""),
        ("target.id", "t"),
        ("target.type", "person"),
    ]);
    comes_back(NAME, &sent);
}

#[test]
fn states_before_and_after_become_a_diff() {
    let data =
        json!({"projectId": "x", "identityId": "y", "before": [], "after": [{"role": "editor", "variables": []}]});
    let sent = row("project_membership_create", &json!({"event_data": data}));
    let stored = one(NAME, &sent);
    assert_eq!(stored.value("new"), &json!([{"role": "editor", "variables": []}]));
    assert_eq!(stored.value("diff"), &json!([["+", {"role": "editor", "variables": []}]]));
    assert_eq!(stored.value("attributes.event_data"), &json!({"projectId": "x", "identityId": "y"}));
    comes_back(NAME, &sent);
    let created =
        row("idp_create", &json!({"event_data": {"slug": "google", "before": null, "after": {"slug": "google"}}}));
    let stored = one(NAME, &created);
    assert_eq!((stored.value("old"), stored.value("new")), (&Value::Null, &json!({"slug": "google"})));
    comes_back(NAME, &created);
}

#[test]
fn what_is_no_person_is_named_by_what_the_row_says_of_it() {
    let data = |kind: &str| match kind {
        "idp_create" | "idp_update" | "idp_enable" | "idp_disable" => json!({"slug": "google"}),
        "idp_disconnect" => json!({"id": "i-1", "slug": "google"}),
        "api_key_create" => {
            json!({"scope": "project", "projectSlug": "shop", "apiKeyId": "k-1", "identityId": "y", "description": "deploy"})
        }
        "api_key_disable" => json!({"apiKeyId": "k-1"}),
        "project_create" => json!({"slug": "shop", "name": "The shop", "secretKeys": ["dsn"]}),
        "project_update" => json!({"slug": "shop", "configChanged": true}),
        "project_secret_change" => json!({"slug": "shop", "key": "dsn"}),
        "mail_template_change" => {
            json!({"action": "add", "projectSlug": "shop", "mailType": "passwordReset", "variant": "cs"})
        }
        "tenant_config_change" => json!({"input": {"login": {}}}),
        "auth_policy_change" => json!({"operation": "update", "id": "a-1", "policy": {}}),
        _ => json!({}),
    };
    for (kind, id, what, name) in [
        ("idp_create", "google", "identity provider", "google"),
        ("idp_update", "google", "identity provider", "google"),
        ("idp_enable", "google", "identity provider", "google"),
        ("idp_disable", "google", "identity provider", "google"),
        ("idp_disconnect", "i-1", "identity provider", "google"),
        ("api_key_create", "k-1", "API key", "deploy"),
        ("api_key_disable", "k-1", "API key", ""),
        ("project_create", "shop", "project", "The shop"),
        ("project_update", "shop", "project", ""),
        ("project_secret_change", "shop", "project", ""),
        ("mail_template_change", "shop/passwordReset/cs", "mail template", "passwordReset"),
        ("tenant_config_change", "configuration", "tenant configuration", ""),
        ("auth_policy_change", "a-1", "authentication policy", ""),
    ] {
        let rows = row(kind, &json!({"invoked_by_id": "i", "event_data": data(kind)}));
        let graphql = json!({"id": "e", "type": kind, "success": true, "createdAt": "2026-11-20T12:00:00.000Z", "eventData": data(kind)});
        for sent in [rows, graphql.to_string()] {
            one(NAME, &sent).expect(&[
                ("target.id", id),
                ("target.type", what),
                ("target.name", name),
                ("subject.id", ""),
            ]);
            comes_back(NAME, &sent);
        }
        // The catalogue says so too, and a reader of OCSF is told of that and not of the tenant.
        let entry = catalog::of(NAME).get(kind).unwrap();
        for (path, said) in [("target.id", true), ("target.type", true), ("target.name", !name.is_empty())] {
            assert_eq!(entry.fills.iter().any(|fills| fills == path), said, "{kind} {path}");
        }
        let stored = one(NAME, &row(kind, &json!({"event_data": data(kind)})));
        let given = crate::faces::Given {
            tenant: "acme",
            origin: "x/t/acme",
            schema: crate::faces::Schema::default(),
            proof: None,
        };
        let shown = crate::faces::Face::Ocsf.render(crate::faces::Record::new(&stored.envelope), &given).unwrap();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert!(shown["entity"].is_null() || shown["entity"]["uid"] == id, "{kind}: {}", shown["entity"]);
        // Whatever was sent as such, nothing is made up.
        if kind != "tenant_config_change" {
            one(NAME, &row(kind, &json!({"event_data": null}))).expect(&[("target.id", ""), ("target.type", "")]);
        }
    }
    let provider = json!({"identity_provider_id": "i-1", "event_data": {"slug": "google"}});
    one(NAME, &row("idp_update", &provider)).expect(&[
        ("target.id", "i-1"),
        ("target.name", "google"),
        ("provider.id", "i-1"),
    ]);
    comes_back(NAME, &row("idp_update", &provider));
    // Of all templates of the tenant.
    let general =
        json!({"event_data": {"action": "remove", "projectSlug": null, "mailType": "newUserInvited", "variant": ""}});
    one(NAME, &row("mail_template_change", &general)).expect(&[("target.id", "newUserInvited")]);
    comes_back(NAME, &row("mail_template_change", &general));
    // A member is the person, where there is one, and else the identity; the project is the second entity.
    let member = |person: Value| {
        row(
            "project_membership_remove",
            &json!({"target_person_id": person,
        "event_data": {"projectId": "x", "identityId": "y", "before": [{"role": "editor"}], "after": []}}),
        )
    };
    one(NAME, &member(json!("p"))).expect(&[
        ("target.id", "p"),
        ("target.type", "person"),
        ("subject.id", "x"),
        ("subject.type", "project"),
    ]);
    one(NAME, &member(Value::Null)).expect(&[("target.id", "y"), ("target.type", "identity"), ("subject.id", "x")]);
    comes_back(NAME, &member(json!("p")));
    comes_back(NAME, &member(Value::Null));
}

#[test]
fn who_is_disabled_stands_where_the_actor_stands_elsewhere() {
    let sent = row("person_disable", &json!({"person_id": "bob", "invoked_by_id": "admin"}));
    one(NAME, &sent).expect(&[
        ("log", "audit"),
        ("actor.id", ""),
        ("actor.identity_id", "admin"),
        ("target.id", "bob"),
        ("target.type", "person"),
    ]);
    comes_back(NAME, &sent);
    comes_back(NAME, r#"{"type":"person_disable","success":true,"person_id":"bob"}"#);
    comes_back(NAME, r#"{"type":"person_disable","success":true,"target_person_id":"bob","person_id":"x"}"#);
    comes_back(NAME, r#"{"type":"person_disable","success":true,"target_person_id":"bob","person_id":null}"#);
}

#[test]
fn a_session_made_for_somebody_is_impersonation() {
    let sent = row("create_session_token", &json!({"person_id": "bob", "invoked_by_id": "admin"}));
    one(NAME, &sent).expect(&[("actor.id", "bob"), ("impersonator.id", "admin"), ("actor.identity_id", "")]);
    comes_back(NAME, &sent);
}

#[test]
fn metadata_says_which_session_and_why() {
    let sent = row("session_revoked_by_user", &json!({"metadata": {"sessionId": "s1"}}));
    one(NAME, &sent).expect(&[("session_id", "s1")]);
    comes_back(NAME, &sent);
    let sent = row("forced_sign_out", &json!({"metadata": {"reason": "stolen laptop", "requestedPersonId": "p"}}));
    one(NAME, &sent).expect(&[("comments", "stolen laptop"), ("attributes.metadata.requestedPersonId", "p")]);
    comes_back(NAME, &sent);
    comes_back(NAME, &row("login", &json!({"metadata": null})));
    // One that failed has nobody in its columns.
    let more = json!({"success": false, "metadata": {"reason": "stolen", "requestedPersonId": "p"}});
    let sent = row("forced_sign_out", &more);
    one(NAME, &sent).expect(&[("target.id", "p"), ("target.type", "person"), ("outcome", "failure")]);
    comes_back(NAME, &sent);
    let sent = row("idp_backchannel_logout", &json!({"event_data": {"sid": "x", "sub": "ann-1", "revokedCount": 2}}));
    one(NAME, &sent).expect(&[("subject.id", "ann-1"), ("session_id", "")]);
    comes_back(NAME, &sent);
}

/// It says that it did not succeed, as nobody did anything.
#[test]
fn a_session_that_nobody_used_expired() {
    let idle = json!({"success": false, "person_id": "p", "metadata": {"sessionId": "s1"},
        "event_data": {"lastUsedAt": "2026-11-20T11:00:00.000Z", "idleTimeout": 1800}});
    one(NAME, &row("session_expired_idle", &idle)).expect(&[("session_id", "s1"), ("session.status", "expired")]);
    let refused = json!({"success": false, "metadata": {"sessionId": "s1"}});
    one(NAME, &row("session_revoked_by_user", &refused)).expect(&[("session.status", "")]);
    comes_back(NAME, &row("session_expired_idle", &idle));
}

#[test]
fn a_type_we_do_not_know_is_taken_in() {
    let sent = row("quantum_login", &json!({"success": false}));
    one(NAME, &sent).expect(&[("action", "quantum_login"), ("log", "event"), ("outcome", "failure")]);
    one(NAME, &row("idp_disconnect", &json!({}))).expect(&[("log", "audit")]);
    comes_back(NAME, &sent);
}

#[test]
fn answers_of_graphql_are_unwrapped() {
    let body = include_str!("../../samples/contember/authlog.json");
    let stored = take(NAME, body);
    assert_eq!(stored.len(), 2);
    stored[0].expect(&[
        ("actor.identity_id", "5b0c3f3e-0d7e-4a53-8f1a-00000000a001"),
        ("forwarder_ip", "203.0.113.7"),
        ("attributes._indelible.shape", "graphql"),
    ]);
    stored[1].expect(&[("outcome", "failure"), ("attributes._indelible.time", "arrival")]);
    comes_back(NAME, body);
}

#[test]
fn times_of_postgres_are_read_and_kept() {
    for time in ["2026-11-20T12:00:00.123456+00:00", "2026-11-20 12:00:00.123456+00"] {
        let sent = row("login", &json!({"created_at": time}));
        one(NAME, &sent).expect(&[("time", "2026-11-20T12:00:00.123456Z"), ("attributes.created_at", time)]);
        comes_back(NAME, &sent);
    }
}

#[test]
fn secrets_go_as_contember_itself_takes_them() {
    let data = json!({"slug": "google", "after": {"configuration": {"clientSecret": "s3cr3t", "url": "https://x"}}, "before": {}});
    let stored = one(NAME, &row("idp_update", &json!({"event_data": data})));
    assert_eq!(stored.value("new"), &json!({"configuration": ["clientSecret", "url"]}));
}

#[test]
fn ids_that_cannot_be_one_are_hashed() {
    let sent = row("login", &json!({"id": "é"}));
    let stored = one(NAME, &sent);
    assert_eq!((stored.at("id").len(), stored.at("attributes.id")), (64, "é"));
    comes_back(NAME, &sent);
}

#[test]
fn what_is_not_understood_is_kept() {
    assert_eq!(reason(NAME, r#"{"success":true}"#), "missing_field");
    assert_eq!(reason(NAME, &row("login", &json!({"created_at": "noon"}))), "invalid_time");
    assert_eq!(reason(NAME, "7"), "wrong_type");
    assert_eq!(reason(NAME, r#"{"type":"login","type":"mfa_reset"}"#), "duplicate_key");
    one(NAME, r#"{"type":"login","success":"yes"}"#).expect(&[("outcome", "unknown"), ("attributes.success", "yes")]);
}

#[test]
fn who_is_invited_or_could_not_sign_in_is_found_by_the_address() {
    let invited = row("person_invite", &json!({"person_input_identifier": "ann@example.com"}));
    one(NAME, &invited).expect(&[
        ("target.name", "ann@example.com"),
        ("target.type", "person"),
        ("identifier", "ann@example.com"),
        ("email", ""),
    ]);
    comes_back(NAME, &invited);
    for (typed, email, username) in
        [("ann@example.com", "ann@example.com", ""), ("ann", "", "ann"), ("@ann", "", "@ann")]
    {
        let failed = row("login", &json!({"person_input_identifier": typed, "success": false}));
        let stored = one(NAME, &failed);
        stored.expect(&[("identifier", typed), ("email", email), ("username", username)]);
        let field = if email.is_empty() { "username" } else { "email" };
        assert_eq!(stored.value("attributes._indelible.inferred"), &json!([field]));
        comes_back(NAME, &failed);
    }
    one(NAME, &row("login", &json!({"person_input_identifier": "ann@example.com"}))).expect(&[("email", "")]);
}

proptest! {
    #[test]
    fn never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in r#"\{"type":"[a-z_]{0,12}","(success|metadata|event_data|createdAt|created_at|id)":[\PC]{0,40}\}"#,
    ) {
        survives(NAME, &bytes);
        survives(NAME, text.as_bytes());
    }

    #[test]
    fn whatever_a_row_says_comes_back(
        kind in "(login|person_disable|create_session_token|forced_sign_out|[a-z_]{1,12})",
        columns in proptest::collection::btree_map(
            "(person_id|invoked_by_id|target_person_id|error_code|error_message|ip_address|geo_country|new_column)",
            proptest::option::of("[a-z\"é ]{0,8}"), 0..6),
        success in any::<bool>(),
    ) {
        let mut filled = json!(columns);
        filled["success"] = json!(success);
        comes_back(NAME, &row(&kind, &filled));
    }
}

/// Some exporters write `jsonb` as a text.
#[test]
fn objects_that_became_texts_fill_the_same_fields() {
    let data = json!({"slug": "g", "before": {"disabled": false}, "after": {"disabled": true}}).to_string();
    let metadata = json!({"forwarderIp": "192.0.2.8"}).to_string();
    let sent = row("idp_update", &json!({"event_data": data, "metadata": metadata}));
    let stored = one(NAME, &sent);
    stored.expect(&[("forwarder_ip", "192.0.2.8"), ("target.name", "g"), ("attributes.event_data", &data)]);
    assert_eq!((stored.value("old"), stored.value("new")), (&json!({"disabled": false}), &json!({"disabled": true})));
}
