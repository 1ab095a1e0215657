//! Every quirk of Ory's event streams.

use crate::catalog;
use crate::testing::{comes_back, one, reason, survives, take};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAME: &str = super::NAME;

fn event(name: &str, attributes: &Value) -> String {
    json!({"name": name, "version": "1", "timestamp": "2026-11-20T12:00:00.123456Z", "projectId": "p",
        "eventAttributes": attributes})
    .to_string()
}

#[test]
fn a_project_is_what_its_events_are_about() {
    for name in ["ProjectCreated", "ProjectUpdated", "ProjectDeleted", "project updated"] {
        let sent = event(name, &json!({"ClientIP": "192.0.2.1"}));
        one(NAME, &sent).expect(&[("target.id", "p"), ("target.type", "project"), ("attributes.projectId", "p")]);
        comes_back(NAME, &sent);
        let sent = event(name, &json!({"ProjectID": "p1"}));
        one(NAME, &sent).expect(&[("target.id", "p1"), ("target.type", "project"), ("attributes.projectId", "p")]);
        comes_back(NAME, &sent);
    }
    one(NAME, &event("SessionIssued", &json!({"ProjectID": "p1"}))).expect(&[("target.id", "")]);
}

/// Every attribute that the servers' code sets, each with a value of its own.
fn every_attribute() -> Value {
    let names = "IdentityID ProjectID ClientIP GeoLocationCity GeoLocationRegion GeoLocationCountry GeoLocationLatitude \
        GeoLocationLongitude WorkspaceID SubscriptionID ProjectEnvironment WorkspaceAPIKeyID ProjectAPIKeyID SessionID \
        SessionAAL SessionExpiresAt TokenizedSessionTTL SelfServiceFlowType SelfServiceMethodUsed \
        SelfServiceSSOProviderUsed LoginRequestedAAL LoginRequestedPrivilegedSession FlowID Reason ErrorReason FlowRefresh \
        FlowRequestedAAL OrganizationID SCIMClient WebhookRequestBody WebhookResponseBody \
        WebhookResponseStatusCode WebhookURL WebhookAttemptNumber WebhookRequestID WebhookID WebhookTriggerID Error \
        JsonnetInput JsonnetOutput CourierMessageID CourierMessageChannel CourierMessageTemplateType SCIMGroupID \
        SCIMGroupExternalID SCIMGroupDisplayName SCIMGroupAddedIdentityIDs SCIMGroupRemovedIdentityIDs \
        SCIMErrorStatusCode SCIMErrorStatusText SCIMErrorDetail OAuth2ClientID OAuth2ClientName OAuth2Subject \
        OAuth2GrantType OAuth2TokenFormat OAuth2ConsentRequestID";
    names
        .split_whitespace()
        .map(|name| (name.to_owned(), json!(format!("of {name}"))))
        // What is not a word of it says nothing of a state.
        .chain([("IdentityActive".to_owned(), json!("true"))])
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn every_name_is_read_with_every_attribute_and_comes_back() {
    let mut count = 0;
    for entry in catalog::entries().iter().filter(|e| e.system == NAME) {
        count += 1;
        let sent = event(&entry.name, &every_attribute());
        let stored = one(NAME, &sent);
        stored.expect(&[("log", &entry.log), ("level", &entry.level), ("action", &entry.name), ("ip", "of ClientIP")]);
        stored.expect(&[("time", "2026-11-20T12:00:00.123456Z"), ("attributes.projectId", "p")]);
        for field in &entry.fills {
            let timed = matches!(field.as_str(), "session.expires_at" | "grant.expires_at");
            assert!(timed || !stored.value(field).is_null(), "{} fills {field}: {}", entry.name, stored.envelope);
        }
        comes_back(NAME, &sent);
        comes_back(NAME, &event(&entry.name, &json!({})));
    }
    assert_eq!(count, 79);
}

#[test]
fn the_one_event_that_ory_publishes() {
    let sent = r#"{"name":"WebhookSucceeded","version":"1","timestamp":"2025-05-16 11:18:56","eventAttributes":{"GeoLocationCity":"Munich","WebhookID":"","WebhookTriggerID":"18093e08-0f72-445f-aacb-151fc777a232"}}"#;
    one(NAME, sent).expect(&[
        ("time", "2025-05-16T11:18:56.000000Z"),
        ("attributes._indelible.time", "no zone in the source"),
        ("attributes.timestamp", "2025-05-16 11:18:56"),
        ("attributes.projectId", ""),
        ("request_id", "18093e08-0f72-445f-aacb-151fc777a232"),
        ("target.id", ""),
        ("attributes.eventAttributes.GeoLocationCity", "Munich"),
    ]);
    comes_back(NAME, sent);
}

#[test]
fn a_time_without_a_zone_is_utc_whatever_is_configured() {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
    let memory = crate::Memory::default();
    let sent = r#"{"name":"SessionIssued","timestamp":"2025-05-16 11:18:56","eventAttributes":{}}"#;
    let mut found = String::new();
    crate::convert(&super::OryNetwork, sent.as_bytes(), "", &memory, &zone, &mut |piece| {
        found = piece.envelope.unwrap().to_owned();
    })
    .unwrap();
    assert!(found.contains("2025-05-16T11:18:56.000000Z"), "{found}");
}

#[test]
fn a_project_that_is_missing_may_stand_in_the_attributes() {
    let sent = r#"{"name":"SessionIssued","version":"1","timestamp":"2026-11-20T12:00:00Z","eventAttributes":{"ProjectID":"p"}}"#;
    let stored = one(NAME, sent);
    stored.expect(&[("attributes.projectId", ""), ("attributes.eventAttributes.ProjectID", "p")]);
    stored.expect(&[("attributes._indelible.project", "p")]);
    comes_back(NAME, sent);
}

/// The envelope of an event of a source that is set to this project.
fn of_project(project: &str, sent: &str) -> Value {
    let zone = jiff::tz::TimeZone::UTC;
    let origin = crate::Origin { project: Some(project), ..crate::Origin::new("", &zone) };
    let mut out = String::new();
    let system = crate::find(NAME).unwrap();
    crate::convert::convert_from(system, sent.as_bytes(), &origin, &crate::Memory::default(), &mut |record| {
        out = record.envelope.unwrap().to_owned();
    })
    .unwrap();
    serde_json::from_str(&out).unwrap()
}

/// What Ory's own example leaves out is what the stream is configured for.
#[test]
fn a_project_that_is_nowhere_is_that_of_the_stream() {
    let project = |sent: &str| {
        let envelope = of_project("stream", sent);
        (envelope["attributes"]["_indelible"]["project"].clone(), envelope["target"]["id"].clone())
    };
    let event = |name: &str, more: &str| {
        format!(r#"{{"name":"{name}","version":"1","timestamp":"2026-11-20T12:00:00Z",{more}"eventAttributes":{{}}}}"#)
    };
    assert_eq!(project(&event("SessionIssued", "")), (json!("stream"), Value::Null));
    assert_eq!(project(&event("SessionIssued", r#""projectId":"own","#)), (Value::Null, Value::Null));
    assert_eq!(project(&event("SessionIssued", r#""projectId":"","#)), (json!("stream"), Value::Null));
    assert_eq!(project(&event("ProjectUpdated", "")), (json!("stream"), json!("stream")));
    assert_eq!(project(&event("ProjectUpdated", r#""projectId":"own","#)), (Value::Null, json!("own")));
}

#[test]
fn attributes_fill_the_envelope() {
    let attributes = json!({"IdentityID": "ann", "SessionID": "s1", "SelfServiceSSOProviderUsed": "google", "ClientIP": "192.0.2.1",
        "LoginRequestedPrivilegedSession": "true", "GeoLocationLatitude": "48.13", "Empty": ""});
    let stored = one(NAME, &event("LoginSucceeded", &attributes));
    stored.expect(&[
        ("actor.id", "ann"),
        ("actor.type", "identity"),
        ("session_id", "s1"),
        ("provider.id", "google"),
        ("ip", "192.0.2.1"),
        ("outcome", "success"),
        ("attributes.eventAttributes.LoginRequestedPrivilegedSession", "true"),
    ]);
    assert_eq!(stored.value("attributes.eventAttributes.Empty"), &json!(""));
    one(NAME, &event("IdentityUpdated", &json!({"IdentityID": "ann"}))).expect(&[
        ("actor.id", ""),
        ("target.id", "ann"),
        ("target.type", "identity"),
    ]);
    one(
        NAME,
        &event("SCIMGroupUpdated", &json!({"SCIMGroupID": "g", "SCIMClient": "c", "SCIMGroupDisplayName": "Ops"})),
    )
    .expect(&[("target.id", "g"), ("target.type", "group"), ("target.name", "Ops"), ("client_actor.id", "c")]);
}

#[test]
fn how_it_ended_follows_from_the_name() {
    for (name, outcome, level) in [
        ("LoginFailed", "failure", "warn"),
        ("OAuth2TokenExchangeError", "failure", "warn"),
        ("CourierMessageAbandoned", "failure", "warn"),
        ("OAuth2ConsentRejected", "deny", "warn"),
        ("PermissionsChecked", "unknown", "info"),
        ("SessionRevoked", "success", "info"),
        ("ProjectMemberInviteDeclined", "success", "info"),
        ("SomethingNewFailed", "failure", "warn"),
        ("SomethingNew", "success", "info"),
    ] {
        one(NAME, &event(name, &json!({}))).expect(&[("outcome", outcome), ("level", level)]);
    }
}

#[test]
fn gos_times_and_lengths_of_time() {
    let extended = event("SessionLifespanExtended", &json!({"SessionExpiresAt": "2026-08-01 10:00:00 +0000 UTC"}));
    one(NAME, &extended).expect(&[
        ("session.expires_at", "2026-08-01T10:00:00.000000Z"),
        ("attributes.eventAttributes.SessionExpiresAt", "2026-08-01 10:00:00 +0000 UTC"),
    ]);
    comes_back(NAME, &extended);
    let token = event("SessionTokenizedAsJWT", &json!({"TokenizedSessionTTL": "1h0m0s"}));
    let stored = one(NAME, &token);
    stored.expect(&[
        ("grant.expires_at", "2026-11-20T13:00:00.123456Z"),
        ("attributes.eventAttributes.TokenizedSessionTTL", "1h0m0s"),
    ]);
    assert_eq!(stored.value("attributes._indelible.inferred"), &json!(["grant.expires_at"]));
    comes_back(NAME, &token);
    let odd = event("SessionTokenizedAsJWT", &json!({"TokenizedSessionTTL": "for long", "SessionExpiresAt": "later"}));
    one(NAME, &odd).expect(&[("grant.expires_at", ""), ("session.expires_at", "")]);
}

#[test]
fn a_subject_that_is_a_hash_is_not_taken_for_a_person() {
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    for (attributes, id, kind) in [
        (json!({"OAuth2Subject": "ann", "OAuth2ClientID": "web"}), "ann", "subject"),
        (json!({"OAuth2Subject": hash, "OAuth2ClientID": "web"}), hash, "hashed subject"),
        (
            json!({"OAuth2Subject": "web", "OAuth2ClientID": "web", "OAuth2GrantType": "client_credentials"}),
            "web",
            "client",
        ),
    ] {
        let sent = event("OAuth2AccessTokenIssued", &attributes);
        one(NAME, &sent).expect(&[("actor.id", id), ("actor.type", kind), ("client.id", "web")]);
        comes_back(NAME, &sent);
    }
    let both =
        event("OAuth2LoginAccepted", &json!({"OAuth2Subject": "ann", "IdentityID": "i", "OAuth2ClientID": "web"}));
    one(NAME, &both).expect(&[("actor.id", "ann"), ("actor.identity_id", "i")]);
    let client = event("OAuth2ClientUpdated", &json!({"OAuth2ClientID": "web", "OAuth2ClientName": "Shop"}));
    one(NAME, &client).expect(&[
        ("target.id", "web"),
        ("target.type", "client"),
        ("target.name", "Shop"),
        ("client.id", ""),
    ]);
}

#[test]
fn names_are_matched_without_case_and_spaces() {
    let sent = event(
        "scim provisioning error",
        &json!({"SCIMError Detail": "no such group", "ScimClient": "c", "scimerrorstatuscode": "404"}),
    );
    let stored = one(NAME, &sent);
    stored.expect(&[
        ("action", "scim provisioning error"),
        ("level", "warn"),
        ("outcome", "failure"),
        ("message", "no such group"),
        ("client_actor.id", "c"),
        ("error_code", "404"),
        ("attributes.eventAttributes.SCIMError Detail", "no such group"),
    ]);
    comes_back(NAME, &sent);
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let token = event("oauth2 access token issued", &json!({"oauth2subject": hash, "OAuth2ClientID": "w"}));
    one(NAME, &token).expect(&[("actor.id", hash), ("actor.type", "hashed subject")]);
    let machine = json!({"OAuth2Subject": "w", "OAuth2 Grant Type": "client_credentials"});
    one(NAME, &event("OAuth2AccessTokenIssued", &machine)).expect(&[("actor.type", "client")]);
    let issued =
        json!({"session id": "s", "session expires at": "2026-12-01 10:00:00 +0000 UTC", "client ip": "192.0.2.1:55"});
    one(NAME, &event("SessionLifespanExtended", &issued))
        .expect(&[("session.expires_at", "2026-12-01T10:00:00.000000Z"), ("ip", "192.0.2.1")]);
    let token = event("SessionTokenizedAsJWT", &json!({"SessionID": "s", "tokenized session ttl": "1h0m0s"}));
    assert!(!one(NAME, &token).at("grant.expires_at").is_empty());
    let updated = event("IdentityUpdated", &json!({"IdentityID": "i", "identity active": "false"}));
    assert_eq!(one(NAME, &updated).value("new"), &json!({"active": false}));
    let failed = event("LoginFailed", &json!({"reason": "wrong password"}));
    one(NAME, &failed).expect(&[("error_code", "wrong password")]);
    for sent in [token, updated, failed] {
        comes_back(NAME, &sent);
    }
    // Both spellings: the usual one counts.
    let both = event("LoginSucceeded", &json!({"identityid": "other", "IdentityID": "ann"}));
    one(NAME, &both).expect(&[("actor.id", "ann"), ("attributes.eventAttributes.identityid", "other")]);
    comes_back(NAME, &both);
    comes_back(NAME, &event("LoginFailed", &json!({"IdentityID": "same", "identity id": "same"})));
}

#[test]
fn older_reasons_are_reasons_too() {
    let old = event("LoginFailed", &json!({"Reason": "wrong password"}));
    one(NAME, &old).expect(&[("error_code", "wrong password"), ("attributes._indelible.shape", "reason")]);
    comes_back(NAME, &old);
    let new = event("LoginFailed", &json!({"Reason": "wrong password", "ErrorReason": "wrong password"}));
    one(NAME, &new)
        .expect(&[("error_code", "wrong password"), ("attributes.eventAttributes.Reason", "wrong password")]);
    comes_back(NAME, &new);
}

#[test]
fn the_same_event_twice_is_the_same_record() {
    let sent = event("SessionIssued", &json!({"SessionID": "s"}));
    let (a, b) = (one(NAME, &sent), one(NAME, &sent));
    assert_eq!((a.at("id").len(), a.at("id")), (64, b.at("id")));
    assert_ne!(a.at("id"), one(NAME, &event("SessionIssued", &json!({"SessionID": "t"}))).at("id"));
    // As a query answers it: without version and project, the attributes a list in some order; the source names the project.
    let streamed = r#"{"name":"SessionIssued","version":"1","timestamp":"2026-11-20T12:00:00.5Z","projectId":"p","eventAttributes":{"SessionID":"s","IdentityID":"i"}}"#;
    let id = |sent: &str| one(NAME, sent).at("id").to_owned();
    let known = id(streamed);
    for same in [
        r#"{"events":[{"name":"SessionIssued","timestamp":"2026-11-20T12:00:00.5Z","attributes":[{"key":"IdentityID","value":"i"},{"key":"SessionID","value":"s"}]}]}"#,
        r#"{ "timestamp": "2026-11-20 12:00:00.500", "name": "SessionIssued", "eventAttributes": { "IdentityID": "i", "SessionID": "s" } }"#,
    ] {
        assert_eq!(of_project("p", same)["id"], known, "{same}");
        // Another project may have an event that says the same in the same second.
        assert_ne!(of_project("q", same)["id"], known, "{same}");
        assert_ne!(id(same), known, "{same}");
    }
    assert_ne!(id(&streamed.replace(r#""projectId":"p""#, r#""projectId":"q""#)), known);
    let attribute =
        streamed.replace(r#""projectId":"p","#, "").replace("Attributes\":{", "Attributes\":{\"ProjectID\":\"p\",");
    assert_eq!(id(&attribute), of_project("q", &attribute)["id"], "what it says itself counts");
    for (was, other) in [
        (":00.5Z", ":00.500001Z"),
        ("SessionIssued", "SessionChanged"),
        (r#""SessionID":"s""#, r#""SessionID":"t""#),
        (r#","IdentityID":"i""#, ""),
        (r#""IdentityID""#, r#""identityID""#),
        (r#""version":"1""#, r#""sequence":7"#),
        (r#""eventAttributes":{"#, r#""eventAttributes":{"x":null,"#),
    ] {
        assert_ne!(id(&streamed.replace(was, other)), known, "{other}");
    }
}

/// Looking for each by its name took seconds. Nothing here measures that: who brings it back waits.
#[test]
fn an_event_with_very_many_attributes_is_read() {
    let attributes: serde_json::Map<String, Value> = (0..70_000).map(|n| (format!("a{n:05}"), json!(""))).collect();
    one(NAME, &event("SessionIssued", &Value::Object(attributes))).expect(&[("action", "SessionIssued")]);
}

#[test]
fn what_sns_wraps_is_unwrapped() {
    let wrapped = include_str!("../../samples/ory-network/sns.json");
    let stored = take(NAME, &format!("[{wrapped},{}]", event("SessionIssued", &json!({}))));
    assert_eq!(stored.len(), 2);
    stored[0].expect(&[("action", "SessionRevoked"), ("actor.id", "0f4ac1f2-6a1b-4b7c-9a52-3d1e5c6b7a88")]);
    let inside: Value = serde_json::from_str(wrapped).unwrap();
    let alone = one(NAME, inside["Message"].as_str().unwrap());
    assert_eq!(stored[0].at("id"), alone.at("id"), "the same record by either way");
    let confirmation = include_str!("../../testdata/sns/confirmation-v2.json");
    assert_eq!(reason(NAME, confirmation), "missing_field");
}

#[test]
fn a_message_of_sns_that_is_a_list_is_each_of_its_events() {
    let wrap = |message: String| {
        json!({"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-central-1:123456789012:ory", "Message": message})
            .to_string()
    };
    let events: Vec<String> =
        ["a", "b"].map(|id| event("SessionIssued", &json!({"IdentityID": id, "SessionID": id}))).into();
    let alone = take(NAME, &events.join("\n"));
    let sent = wrap(format!("[{}]", events.join(",")));
    assert!(crate::detect(sent.as_bytes()).first().is_some_and(|(name, sure)| *name == NAME && *sure > 90));
    let listed = take(NAME, &sent);
    assert_eq!(listed.iter().map(|s| s.at("session_id")).collect::<Vec<_>>(), ["a", "b"]);
    assert!(listed.iter().zip(&alone).all(|(one, other)| one.at("id") == other.at("id")), "the same records");
    // Beside others, each is one of the body's records; what is none is kept, and the rest is read.
    let sent = [wrap(format!("[{}, 7]", events.join(","))), events[1].clone(), wrap("[]".into())].join("\n");
    let taken = take(NAME, &sent);
    let actions: Vec<&str> = taken.iter().map(|s| s.at("action")).collect();
    assert_eq!(actions, ["SessionIssued", "SessionIssued", "unparsed", "SessionIssued"]);
}

#[test]
fn attributes_that_became_a_list_of_pairs_are_read() {
    let map = event("SessionIssued", &json!({"IdentityID": "i", "SessionID": "s", "ClientIP": "192.0.2.1"}));
    let pairs = json!([{"key": "IdentityID", "value": "i"}, {"key": "SessionID", "value": "s"}, {"key": "ClientIP", "value": "192.0.2.1"}]);
    let stored = one(NAME, &event("SessionIssued", &pairs));
    stored.expect(&[("actor.id", "i"), ("session_id", "s"), ("ip", "192.0.2.1")]);
    assert_eq!(stored.envelope["attributes"], one(NAME, &map).envelope["attributes"], "written as a streamed event");
    // A list of anything else is kept as it came, and the event is read all the same.
    for other in [
        json!([]),
        json!(["IdentityID"]),
        json!([{"key": "IdentityID", "value": "i"}, {"key": "IdentityID", "value": "j"}]),
    ] {
        let sent = event("SessionIssued", &other);
        let stored = one(NAME, &sent);
        stored.expect(&[("action", "SessionIssued"), ("outcome", "success"), ("actor.id", "")]);
        assert_eq!(stored.value("attributes.eventAttributes"), &other);
        comes_back(NAME, &sent);
    }
}

#[test]
fn what_is_not_understood_is_kept() {
    assert_eq!(reason(NAME, r#"{"timestamp":"2026-11-20T12:00:00Z"}"#), "missing_field");
    assert_eq!(reason(NAME, r#"{"name":"","timestamp":"2026-11-20T12:00:00Z"}"#), "missing_field");
    assert_eq!(reason(NAME, r#"{"name":"LoginFailed","timestamp":"noon"}"#), "invalid_time");
    assert_eq!(
        reason(NAME, r#"{"name":"LoginFailed","eventAttributes":{"IdentityID":"a","IdentityID":"b"}}"#),
        "duplicate_key"
    );
    assert_eq!(reason(NAME, "7"), "wrong_type");
    for odd in [
        r#"{"name":"LoginFailed"}"#,
        r#"{"name":"LoginFailed","eventAttributes":[1]}"#,
        r#"{"name":"LoginFailed","eventAttributes":null}"#,
    ] {
        one(NAME, odd).expect(&[("attributes._indelible.time", "arrival"), ("outcome", "failure")]);
        comes_back(NAME, odd);
    }
    comes_back(NAME, &event("LoginSucceeded", &json!({"IdentityID": 5, "SessionID": null, "ClientIP": {"a": 1}})));
}

proptest! {
    #[test]
    fn never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in r#"\{"name":"[A-Za-z ]{0,20}","(timestamp|eventAttributes|TopicArn|Message|Type)":[\PC]{0,60}\}"#,
        ttl in "[0-9hms.µ-]{0,12}",
    ) {
        survives(NAME, &bytes);
        survives(NAME, text.as_bytes());
        survives(NAME, event("SessionTokenizedAsJWT", &json!({"TokenizedSessionTTL": ttl, "SessionExpiresAt": ttl})).as_bytes());
    }

    #[test]
    fn whatever_an_event_says_comes_back(
        name in "(LoginFailed|OAuth2AccessTokenIssued|OAuth2ClientCreated|IdentityCreated|SCIMProvisioningError|webhook failed|[A-Z][a-z]{1,8})",
        attributes in proptest::collection::btree_map(
            "(IdentityID|identity id|SessionID|ClientIP|ErrorReason|Reason|OAuth2Subject|OAuth2ClientID|SCIMErrorDetail|Error|WebhookID|x\\.y)",
            "[a-z\"é ]{0,8}", 0..8),
        time in "(2026-11-20T12:00:00\\.[0-9]{6}Z|2026-11-20 12:00:0[0-9])",
    ) {
        let mut sent: Value = serde_json::from_str(&event(&name, &json!(attributes))).unwrap();
        sent["timestamp"] = json!(time);
        comes_back(NAME, &sent.to_string());
    }
}

#[test]
fn events_about_an_identity_say_whether_it_is_active() {
    use crate::System;
    use crate::change::Says;
    for (name, says) in [
        ("IdentityCreated", Says::Begin),
        ("IdentityUpdated", Says::Part),
        ("identity updated", Says::Part),
        ("IdentityDeleted", Says::Gone),
    ] {
        let stored = one(NAME, &event(name, &json!({"IdentityID": "i1", "IdentityActive": "false"})));
        stored.expect(&[("target.id", "i1"), ("attributes.eventAttributes.IdentityActive", "false")]);
        if says != Says::Gone {
            assert_eq!(stored.value("new"), &json!({"active": false}));
            assert_eq!(stored.value("attributes._indelible.inferred"), &json!(["new"]), "not in its words");
        } else {
            assert_eq!(stored.value("new"), &Value::Null, "nothing came of it");
        }
        let change = super::OryNetwork.change(&stored.envelope).unwrap();
        assert_eq!((change.entity.as_str(), change.says), ("identities/i1", says));
    }
    let stored = one(NAME, &event("IdentityUpdated", &json!({"IdentityID": "i1"})));
    assert_eq!(stored.value("new"), &Value::Null);
}
