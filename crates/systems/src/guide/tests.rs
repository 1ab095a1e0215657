//! Every quirk of the guide's logs.

use super::diff::with_both_underscores;
use crate::testing::{keeps_everything, one, reason, survives, take};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAME: &str = super::NAME;

fn audit() -> Value {
    json!({
        "action": "update IdentityProvider", "target": "Google IdP", "actor": "admin@example.com", "subject": "Employees",
        "clientActor": "auth ui", "comments": "ticket 7", "timestamp": "2026-11-20T12:00:00.123Z",
        "oldEntity": {"enabled": true, "name": "Google"}, "newEntity": {"enabled": false, "name": "Google"}, "details": {"ticket": 7},
    })
}

#[test]
fn an_audit_log() {
    let stored = one(NAME, &audit().to_string());
    stored.expect(&[
        ("log", "audit"),
        ("time", "2026-11-20T12:00:00.123000Z"),
        ("action", "update IdentityProvider"),
        ("outcome", "success"),
        ("actor.email", "admin@example.com"),
        ("target.name", "Google IdP"),
        ("target.type", "IdentityProvider"),
        ("subject.name", "Employees"),
        ("client_actor.name", "auth ui"),
        ("comments", "ticket 7"),
    ]);
    assert_eq!(stored.value("diff"), &json!({"enabled": {"__old": true, "__new": false}}));
    assert_eq!(stored.value("attributes._indelible.inferred"), &json!(["target.type"]));
    keeps_everything(NAME, &audit().to_string());
}

#[test]
fn labels_are_labels_however_they_are_spelled() {
    let squeezed = |s: &str| s.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    for spelling in [
        |label: &str| label.to_owned(),
        |label: &str| label.to_uppercase(),
        |label: &str| label.to_lowercase().replace(' ', "_"),
        |label: &str| label.replace(' ', "-"),
    ] {
        let labels = ["Event Type", "Client Name", "Provider Name", "Created On", "Email", "IP Address", "User Agent"];
        let mut sent: Value = labels.iter().map(|label| (spelling(label), json!(squeezed(label)))).collect();
        sent[spelling("Created On")] = json!("2026-11-20T12:00:00Z");
        one(NAME, &sent.to_string()).expect(&[
            ("log", "event"),
            ("action", "EventType"),
            ("client.name", "ClientName"),
            ("provider.name", "ProviderName"),
            ("email", "Email"),
            ("ip", "IPAddress"),
            ("user_agent", "UserAgent"),
        ]);
        assert_eq!(crate::detect(sent.to_string().as_bytes()), [("guide", 92)]);
    }
}

#[test]
fn diffs_are_read_with_one_underscore_and_with_two() {
    let printed = json!({"gone__deleted": 1, "name": {"_old": "a", "_new": {"_old": 1}}, "list": [["~", {"x": {"_old": 1, "_new": 2}}]], "entity": {"_old": 1}});
    let written = json!({"gone__deleted": 1, "name": {"__old": "a", "__new": {"_old": 1}}, "list": [["~", {"x": {"__old": 1, "__new": 2}}]], "entity": {"_old": 1}});
    for diff in [printed.clone(), written.clone(), json!(printed.to_string())] {
        let mut sent = audit();
        sent["diff"] = diff;
        assert_eq!(one(NAME, &sent.to_string()).value("diff"), &written);
    }
    for no_diff in ["", "{", "7", "none", "{}x"] {
        let mut sent = audit();
        sent["diff"] = json!(no_diff);
        one(NAME, &sent.to_string()).expect(&[("attributes.diff", no_diff)]);
    }
    assert_eq!(with_both_underscores(&"[".repeat(200)), None);
}

#[test]
fn people_are_texts_or_objects() {
    let mut sent = audit();
    sent["actor"] = json!({"id": 17, "email": "ann@example.com", "name": "Ann", "role": "admin"});
    sent["target"] = json!({"id": "g1", "name": "Google"});
    sent["clientActor"] = json!(5);
    let stored = one(NAME, &sent.to_string());
    stored.expect(&[
        ("actor.id", "17"),
        ("actor.email", "ann@example.com"),
        ("actor.name", "Ann"),
        ("attributes.actor.role", "admin"),
        ("target.id", "g1"),
        ("target.name", "Google"),
        ("client_actor.id", "5"),
    ]);
    keeps_everything(NAME, &sent.to_string());
    sent["actor"] = json!("root");
    one(NAME, &sent.to_string()).expect(&[("actor.name", "root"), ("actor.email", "")]);
}

#[test]
fn event_types_say_how_it_ended() {
    for (kind, outcome, level) in [
        ("login", "success", "info"),
        ("Login Failed", "failure", "warn"),
        ("failed", "failure", "warn"),
        ("account_lockout", "deny", "warn"),
        ("account unlocked", "success", "info"),
        ("mfa", "success", "info"),
    ] {
        let sent = json!({"eventType": kind, "createdOn": "2026-11-20T12:00:00Z", "email": "ann@example.com"});
        one(NAME, &sent.to_string()).expect(&[
            ("log", "event"),
            ("action", kind),
            ("outcome", outcome),
            ("level", level),
        ]);
    }
}

#[test]
fn a_job_log() {
    let mut sent = json!({
        "jobId": 812, "jobName": "audit log trim", "jobType": "Trim", "message": "disk full", "latestStatus": "Failed",
        "createdAt": "2026-11-20T11:00:00Z", "updatedAt": "2026-11-20T12:00:00.000Z", "stacktrace": "at trim()",
    });
    let failed = one(NAME, &sent.to_string());
    failed.expect(&[
        ("log", "job"),
        ("time", "2026-11-20T12:00:00.000000Z"),
        ("job.id", "812"),
        ("job.name", "audit log trim"),
        ("job.type", "Trim"),
        ("job.status", "failed"),
        ("attributes.latestStatus", "Failed"),
        ("message", "disk full"),
        ("outcome", "failure"),
        ("job.stacktrace", "at trim()"),
        ("attributes._indelible.created_at", "2026-11-20T11:00:00.000000Z"),
        ("attributes.createdAt", "2026-11-20T11:00:00Z"),
    ]);
    keeps_everything(NAME, &sent.to_string());
    sent["latestStatus"] = json!("running");
    let running = one(NAME, &sent.to_string());
    running.expect(&[("job.status", "running"), ("outcome", "unknown"), ("job.id", "812")]);
    assert_ne!(running.at("id"), failed.at("id"), "each status is a record");
    for (word, status) in [
        ("Completed", "success"),
        ("succeeded", "success"),
        ("DONE", "success"),
        ("Error", "failed"),
        ("Canceled", "cancelled"),
        ("queued", "pending"),
        ("Waiting", "pending"),
        ("In Progress", "running"),
        ("in_progress", "running"),
    ] {
        sent["latestStatus"] = json!(word);
        one(NAME, &sent.to_string()).expect(&[("job.status", status), ("attributes.latestStatus", word)]);
    }
    sent["latestStatus"] = json!("stuck");
    sent["updatedAt"] = json!(null);
    one(NAME, &sent.to_string()).expect(&[
        ("job.status", ""),
        ("attributes.latestStatus", "stuck"),
        ("time", "2026-11-20T11:00:00.000000Z"),
        ("attributes._indelible.created_at", ""),
    ]);
    sent["updatedAt"] = json!("2026-11-20T12:00:00.000Z");
    sent["createdAt"] = json!("yesterday");
    one(NAME, &sent.to_string())
        .expect(&[("attributes._indelible.created_at", ""), ("attributes.createdAt", "yesterday")]);
}

#[test]
fn a_notification_log() {
    let mut sent = json!({
        "subject": "TOTP reset", "recipient": "ann@example.com; bob@example.com", "cc": ["c@example.com"], "bcc": "",
        "timestamp": "2026-11-20T12:00:00.000Z", "status": "sent", "category": "mfa", "details": "Hello, your code is 123456.",
    });
    let stored = one(NAME, &sent.to_string());
    stored.expect(&[
        ("log", "notification"),
        ("notification.subject", "TOTP reset"),
        ("notification.status", "sent"),
        ("notification.category", "mfa"),
        ("notification.body", "Hello, your code is ***."),
        ("outcome", "success"),
    ]);
    assert!(
        stored.text.contains(r#""recipient":["ann@example.com","bob@example.com"],"cc":["c@example.com"]"#),
        "{}",
        stored.text
    );
    for (text, list) in [
        ("\"Doe, J\" <j@x>, k@x", json!(["\"Doe, J\" <j@x>", "k@x"])),
        (r#""a \"b\"; c" <j@x>;k@x"#, json!([r#""a \"b\"; c" <j@x>"#, "k@x"])),
        ("\"Doe, J <j@x>", json!(["\"Doe", "J <j@x>"])),
    ] {
        sent["recipient"] = json!(text);
        let stored = one(NAME, &sent.to_string());
        assert!(stored.text.contains(&format!("\"recipient\":{list},")), "{}", stored.text);
    }
    sent["recipient"] = json!([7]);
    sent["details"] = json!({"html": "x"});
    sent["status"] = json!("bounced");
    one(NAME, &sent.to_string()).expect(&[
        ("outcome", "failure"),
        ("notification.body", r#"{"html":"x"}"#),
        ("attributes.details", ""),
    ]);
    // Its status changes: another record of the same notification.
    sent["id"] = json!("n1");
    let bounced = one(NAME, &sent.to_string());
    sent["status"] = json!("sent");
    let resent = one(NAME, &sent.to_string());
    for stored in [&bounced, &resent] {
        stored.expect(&[("notification.id", "n1")]);
    }
    assert_ne!(bounced.at("id"), resent.at("id"));
    sent["id"] = json!(7);
    one(NAME, &sent.to_string()).expect(&[("notification.id", "7")]);
}

/// Not everybody who may read a record may read claims and scopes.
#[test]
fn claims_are_found_in_a_cell_as_well() {
    let cell = r#""{""claims"":{""nickname"":""annie""},""scopes"":[""openid""],""grantInfo"":""g""}""#;
    for (headings, row, of) in [
        (
            "Session ID,Protocol,Client ID,User ID,Created At,Status,Details",
            "s,OIDC,c,u,2026-11-20T12:00:00Z,active",
            "session",
        ),
        (
            "Grant ID,Email,Provider,Client,Session ID,Created At,Status,Details",
            "g,a@x.org,,c,s,2026-11-20T12:00:00Z,active",
            "grant",
        ),
    ] {
        let stored = one(NAME, &format!("{headings}\n{row},{cell}\n"));
        assert_eq!(stored.value(&format!("{of}.claims")), &json!({"nickname": "annie"}), "{}", stored.text);
        assert_eq!(stored.value(&format!("{of}.scopes")), &json!(["openid"]));
        assert_eq!(stored.value("attributes.Details"), &json!({"grantInfo": "g"}));
    }
    let grant = json!({"grantId": "g1", "status": "active", "details": {"claims": {"sub": "1"}, "text": "{ no JSON"}});
    let stored = one(NAME, &grant.to_string());
    assert_eq!(
        (stored.value("grant.claims"), stored.value("attributes.details.claims")),
        (&json!({"sub": "1"}), &Value::Null)
    );
    let broken = json!({"grantId": "g1", "status": "active", "details": "{ \"claims\": "});
    one(NAME, &broken.to_string()).expect(&[("attributes.details", "{ \"claims\": ")]);
}

#[test]
fn sessions_and_grants() {
    let session = json!({"sessionId": "s1", "protocol": "OIDC", "clientId": "web", "userId": 123, "createdAt": "2026-11-20T12:00:00.000Z",
        "status": "Active", "details": {"claims": {"sub": "123"}, "scopes": ["openid"], "grantInfo": "g"}});
    let stored = one(NAME, &session.to_string());
    stored.expect(&[
        ("log", "session"),
        ("session.id", "s1"),
        ("session.protocol", "OIDC"),
        ("session.user_id", "123"),
        ("session.status", "active"),
        ("client.id", "web"),
        ("attributes.details.grantInfo", "g"),
    ]);
    assert_eq!(stored.value("session.claims"), &json!({"sub": "123"}));
    assert_eq!(stored.value("session.scopes"), &json!(["openid"]));
    for label in ["Expires At", "expiresAt", "expires_at"] {
        let mut ending = session.clone();
        ending[label] = json!("2026-11-20T13:00:00.000Z");
        one(NAME, &ending.to_string()).expect(&[("session.expires_at", "2026-11-20T13:00:00.000000Z")]);
        let grant = json!({"grantId": "g1", "status": "active", label: "2026-11-20 13:00"});
        one(NAME, &grant.to_string()).expect(&[("grant.expires_at", "2026-11-20T13:00:00.000000Z")]);
        let odd = json!({"sessionId": "s1", "userId": "u", "status": "active", label: "never"});
        one(NAME, &odd.to_string()).expect(&[("session.expires_at", "")]);
    }
    let event = json!({"eventType": "login", "createdOn": "2026-11-20T12:00:00.000Z", "sessionId": "s1"});
    one(NAME, &event.to_string()).expect(&[("log", "event"), ("session_id", "s1")]);
    let grant = json!({"Grant ID": "g1", "Email": "ann@example.com", "Provider": "google", "Client": "Shop", "Session ID": "s1",
        "Created At": "2026-11-20T12:00:00.000Z", "Status": "revoked"});
    one(NAME, &grant.to_string()).expect(&[
        ("log", "grant"),
        ("grant.id", "g1"),
        ("grant.status", "revoked"),
        ("email", "ann@example.com"),
        ("provider.name", "google"),
        ("client.name", "Shop"),
        ("session_id", "s1"),
    ]);
    for sent in [session, grant] {
        keeps_everything(NAME, &sent.to_string());
    }
}

#[test]
fn an_exported_csv() {
    let body = "\u{feff}Action,Target,Actor,Subject,ClientActor,Comments,TimeStamp,Old Entity,New Entity,Diff,Details\r\n\
        update IdentityProvider,\"Google \"\"IdP\"\"\",admin@example.com,,auth ui,\"two\nlines\",2026-11-20 12:00:00,\"{\"\"a\"\":1}\",\"{\"\"a\"\":2}\",,\r\n\
        create User,bob@example.com,admin@example.com,,auth ui,,2026-11-20T12:00:01Z,,\"{\"\"cut\"\":\",,x,extra\r\n";
    let stored = take(NAME, body);
    assert_eq!(stored.iter().map(|s| s.line).collect::<Vec<_>>(), [2, 4], "rows are named by the line they begin on");
    stored[0].expect(&[
        ("log", "audit"),
        ("target.name", "Google \"IdP\""),
        ("comments", "two\nlines"),
        ("time", "2026-11-20T12:00:00.000000Z"),
        ("attributes._indelible.time", "no zone in the source"),
    ]);
    assert_eq!(stored[0].value("diff"), &json!({"a": {"__old": 1, "__new": 2}}));
    stored[1].expect(&[
        ("action", "create User"),
        ("attributes.New Entity", "{\"cut\":"),
        ("attributes.Details", "x"),
        ("attributes.column 12", "extra"),
    ]);
    assert_eq!(crate::detect(body.as_bytes()), [("guide", 92)]);
}

/// A sheet with two tables, and files that were put one behind the other.
#[test]
fn a_second_table_has_headings_of_its_own() {
    let events = "Event Type,Created On,Email\nlogin,2026-11-20T12:00:00Z,a@x\n";
    let jobs = "Job Id;Job Name;Latest Status;Created At\n1;trim;success;2026-11-20T12:00:01Z\n";
    let grants = "Grant ID,Status,Email\ng,active,b@x\n";
    for (body, lines) in [
        (format!("{events}\n{jobs}\n\n{grants}"), [2, 5, 9]),
        (format!("{events},,\n{jobs};;\n{grants}"), [2, 5, 8]),
        (format!("{events}\nsep=;\n{jobs}\n{grants}").replace('\n', "\r\n"), [2, 6, 9]),
    ] {
        let stored = take(NAME, &body);
        assert_eq!(stored.iter().map(|s| s.line).collect::<Vec<_>>(), lines, "{body}");
        stored[0].expect(&[("log", "event"), ("action", "login"), ("email", "a@x")]);
        stored[1].expect(&[("log", "job"), ("job.id", "1"), ("job.status", "success")]);
        stored[2].expect(&[("log", "grant"), ("grant.id", "g"), ("email", "b@x")]);
    }
    let again = take(NAME, &format!("{events}{events}{grants}"));
    assert_eq!(again.iter().map(|s| s.line).collect::<Vec<_>>(), [2, 4, 6]);
    assert!(again[0].at("id") == again[1].at("id") && again[2].at("log") == "grant");
    // A cell may say anything, and a blank line may stand between rows.
    let words = take(NAME, "Action,Actor,Target,Comments\nAction,Target,bob,Actor\n\nupdate,ann,bob,\n");
    words[0].expect(&[("action", "Action"), ("actor.name", "Target"), ("comments", "Actor")]);
    words[1].expect(&[("action", "update"), ("actor.name", "ann")]);
}

#[test]
fn csv_of_every_log() {
    for (header, row, log) in [
        (
            "Event Type,Client Name,Provider Name,Created On,Email,Username,IP Address,User Agent,Details",
            "login,Shop,google,2026-11-20T12:00:00Z,a@b,,192.0.2.1,curl,{}",
            "event",
        ),
        (
            "Job Id,Job Name,Job Type,Message,Latest Status,Created At,Updated At,Details,Stacktrace",
            "1,trim,Trim,ok,success,2026-11-20T12:00:00Z,2026-11-20T12:00:00Z,,",
            "job",
        ),
        (
            "Subject,Recipient,Timestamp,Status,Category,Details,CC,BCC",
            "Hi,a@b,2026-11-20T12:00:00Z,sent,invitation,text,,",
            "notification",
        ),
        (
            "Session ID,Protocol,Client ID,User ID,Created At,Status,Details",
            "s,SAML,c,1,2026-11-20T12:00:00Z,expired,",
            "session",
        ),
        (
            "Grant ID,Email,Provider,Client,Session ID,Created At,Status,Details",
            "g,a@b,google,Shop,s,2026-11-20T12:00:00Z,active,",
            "grant",
        ),
    ] {
        one(NAME, &format!("{header}\n{row}\n")).expect(&[("log", log), ("time", "2026-11-20T12:00:00.000000Z")]);
    }
}

/// A record with nothing but what it must have.
#[test]
fn a_log_is_told_by_the_labels_that_only_it_has() {
    let at = "2026-11-20T12:00:00Z";
    for (sent, log) in [
        (json!({"Action": "update", "Target": "t", "Actor": "a", "TimeStamp": at}), "audit"),
        (json!({"Subject": "Hi", "Recipient": "a@b", "Timestamp": at, "Status": "sent"}), "notification"),
        (json!({"Job Name": "trim", "Latest Status": "success", "Created At": at}), "job"),
        (json!({"Session ID": "s", "User ID": 1, "Status": "active", "Created At": at}), "session"),
        (json!({"Event Type": "login", "Created On": at}), "event"),
        (json!({"Grant ID": "g", "Status": "active", "Created At": at}), "grant"),
    ] {
        one(NAME, &sent.to_string()).expect(&[("log", log), ("time", "2026-11-20T12:00:00.000000Z")]);
        keeps_everything(NAME, &sent.to_string());
        let sure = crate::detect(sent.to_string().as_bytes());
        assert!(sure.first().is_some_and(|(name, sure)| *name == NAME && *sure >= 60), "{sent}: {sure:?}");
        // With names that the guide does not have it may be anybody's.
        let mut other = sent.clone();
        for name in ["realm", "hostname", "version"] {
            other[name] = json!("x");
        }
        one(NAME, &other.to_string()).expect(&[("log", log), ("attributes.realm", "x")]);
        let sure = crate::detect(other.to_string().as_bytes());
        assert_eq!(sure, [], "{other}");
    }
    for sent in
        [json!({"Session ID": "s", "Status": "active", "Created At": at}), json!({"action": "x", "timestamp": at})]
    {
        assert_eq!(reason(NAME, &sent.to_string()), "unknown_log");
        assert_eq!(crate::detect(sent.to_string().as_bytes()), [], "{sent}");
    }
    let both =
        json!({"Session ID": "s", "User ID": 1, "Status": "active", "Recipient": "a@b", "Category": "x"}).to_string();
    assert_eq!(reason(NAME, &both), "ambiguous_log");
    assert!(take(NAME, &both)[0].at("message").contains("(session, notification)"));
}

#[test]
fn a_job_without_its_id_is_known_by_its_name_and_when_it_was_made() {
    let job = |name: &str, status: &str| {
        let sent = json!({"Job Name": name, "Latest Status": status, "Created At": "2026-11-20T12:00:00Z", "Updated At": "2026-11-20T12:00:01Z"});
        one(NAME, &sent.to_string())
    };
    let (running, done) = (job("trim", "running"), job("trim", "success"));
    running.expect(&[("job.id", "trim 2026-11-20T12:00:00Z")]);
    assert_eq!(running.value("attributes._indelible.inferred"), &json!(["job.id"]));
    assert_eq!((running.at("job.id"), running.at("id") == done.at("id")), (done.at("job.id"), false));
    assert_ne!(job("archive", "success").at("job.id"), done.at("job.id"));
    let nameless = json!({"Job Type": "Trim", "Latest Status": "success"}).to_string();
    assert_eq!(reason(NAME, &nameless), "missing_field");
    assert!(take(NAME, &nameless)[0].at("message").starts_with("`Job Id` is missing"));
}

#[test]
fn the_headings_say_which_log_a_row_is_of() {
    for (headings, row, log) in [
        ("Event Type,Client Name,Provider Name,Created On,Email,IP Address", "login,,,,,", "event"),
        ("Job Id,Job Name,Job Type,Latest Status,Created At", "7,,,,2026-11-20T12:00:00Z", "job"),
        (
            "Session ID,Protocol,Client ID,User ID,Created At,Status,Details",
            "s,,,,2026-11-20T12:00:00Z,active,",
            "session",
        ),
        ("Grant ID,Email,Provider,Client,Session ID,Created At,Status", "g,,,,,,", "grant"),
        ("Subject,Recipient,Timestamp,Status,Category,CC,BCC", "Hi,,,sent,,,", "notification"),
        ("Action,Target,Actor,TimeStamp,Old Entity,New Entity,Diff", "start,,,2026-11-20T12:00:00Z,,,", "audit"),
    ] {
        let body = format!("{headings}\n{row}\n{}\n", row.replace(|c| c != ',', ""));
        let stored = one(NAME, &body);
        stored.expect(&[("log", log)]);
        assert!(
            stored.text.matches("\"\"").count() == 0 && stored.value("attributes.row").is_null(),
            "{}",
            stored.text
        );
        // What was kept of it can be read by itself, and says the same.
        assert_eq!(one(NAME, &stored.native).envelope, stored.envelope, "{}", stored.native);
        keeps_everything(NAME, &body);
    }
    // What the log must have is missed by its name, in the row that lacks it.
    let stored =
        take(NAME, "Action,Target,Actor,TimeStamp\n,t,a,2026-11-20T12:00:00Z\nupdate,t,a,2026-11-20T12:00:00Z\n");
    stored[0].expect(&[("action", "unparsed"), ("error_code", "missing_field")]);
    assert!(stored[0].at("message").starts_with("`Action` is missing"), "{}", stored[0].envelope);
    stored[1].expect(&[("action", "update"), ("log", "audit")]);
}

const AUDIT: &str = "Action,Target,Actor,TimeStamp,Comments\nupdate,t,a,2026-11-20T12:00:00Z,\"one, two\"\n";

#[test]
fn spreadsheets_write_semicolons_tabs_and_utf_16() {
    let comma = take(NAME, AUDIT);
    comma[0].expect(&[("log", "audit"), ("comments", "one, two")]);
    for separator in [";", "\t"] {
        let body = AUDIT.replace("one, two", "one~two").replace(',', separator).replace('~', ", ");
        let units: Vec<u8> = body.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for body in [body.clone().into_bytes(), [b"\xff\xfe", &units[..]].concat()] {
            let stored = crate::testing::take_with(&crate::Memory::default(), NAME, &body);
            assert_eq!(stored.len(), 1);
            assert_eq!(stored[0].envelope, comma[0].envelope);
            assert_eq!(crate::detect(&body), [(NAME, 92)]);
        }
    }
}

#[test]
fn the_line_that_tells_excel_the_separator_is_no_row() {
    let plain = take(NAME, AUDIT);
    for (hint, separator) in [("sep=;", ";"), ("\"sep=|\"", "|"), ("sep=\t", "\t"), ("sep=,", ",")] {
        let body = AUDIT.replace("one, two", "one~two").replace(',', separator).replace('~', ", ");
        let body = format!("{hint}\r\n{body}");
        let stored = take(NAME, &body);
        assert_eq!((stored.len(), stored[0].line), (1, plain[0].line + 1), "{hint}");
        assert_eq!(stored[0].envelope, plain[0].envelope, "{hint}");
        assert_eq!(crate::detect(body.as_bytes()), [(NAME, 92)], "{hint}");
    }
    assert!(crate::find(NAME).unwrap().says_none(&format!("sep=,\n{}", AUDIT.lines().next().unwrap())));
    let body = "sep=;\nEvent Type;Created On;Email\nlogin;20.11.2026 10:00:00;a@x\nlogin;11/20/2026 10:00 AM;a@x\nlogin;1795176000123;a@x\nlogin;11/20/2026 10:00;a@x\n";
    let stored = take(NAME, body);
    stored[0].expect(&[("time", "2026-11-20T10:00:00.000000Z"), ("attributes.Created On", "20.11.2026 10:00:00")]);
    stored[1].expect(&[("time", "2026-11-20T10:00:00.000000Z")]);
    stored[2].expect(&[("time", "2026-11-20T12:00:00.123000Z")]);
    stored[3].expect(&[("action", "unparsed"), ("error_code", "invalid_time")]);
}

#[test]
fn a_table_may_have_no_rows() {
    let headings = AUDIT.lines().next().unwrap();
    let system = crate::find(NAME).unwrap();
    for body in [headings.to_owned(), format!("{headings}\r\n\r\n"), format!("{headings}\n,,,,\n")] {
        assert!(take(NAME, &body).is_empty() && system.says_none(&body), "{body}");
    }
    assert!(!system.says_none("") && !system.says_none("Name,Value\n"));
}

#[test]
fn a_table_that_nobody_knows_is_told_what_it_should_have() {
    for line in take(NAME, "\"Name\";Value\na;b\n") {
        line.expect(&[("action", "unparsed"), ("error_code", "unknown_log")]);
        assert!(
            line.at("message").contains("headings") && line.at("message").contains("`Event Type`"),
            "{}",
            line.envelope
        );
    }
}

#[test]
fn a_quote_that_is_not_closed_takes_no_row_with_it() {
    // Never closed: what is left of the file is kept, and the rows before it are taken.
    let body = format!("{AUDIT}delete,\"t,b,2026-11-20T12:00:01Z,\ncreate,t,c,2026-11-20T12:00:02Z,\n");
    let stored = take(NAME, &body);
    assert_eq!((stored.len(), stored[1].line), (2, 3));
    stored[0].expect(&[("action", "update")]);
    stored[1].expect(&[("error_code", "invalid_csv"), ("attributes.native", body[AUDIT.len()..].trim_end())]);
    assert!(stored[1].at("message").contains("opened in line 3 is never closed"), "{}", stored[1].envelope);
    // Closed by the quote that was to open the next cell.
    let body = format!(
        "{AUDIT}delete,t,b,2026-11-20T12:00:01Z,\"x\ncreate,\"t\",c,2026-11-20T12:00:02Z,\nupdate,\"t\",a,2026-11-20T12:00:03Z,\n"
    );
    let stored = take(NAME, &body);
    assert_eq!(stored.iter().map(|s| s.at("action")).collect::<Vec<_>>(), ["update", "unparsed", "update"], "{body}");
    assert!(stored[1].at("message").contains("opened in line 3 is closed only lines later"), "{}", stored[1].envelope);
    assert!(stored[1].at("attributes.native").contains("\ncreate,\"t\",c"), "{}", stored[1].envelope);
    // More than a record may have: said, and not kept.
    let long = format!("{AUDIT}delete,\"{}", "x\n".repeat(600_000));
    let mut said = Vec::new();
    let taken = crate::convert(
        &super::Guide,
        long.as_bytes(),
        "",
        &crate::Memory::default(),
        &jiff::tz::TimeZone::UTC,
        &mut |piece| {
            said.push(piece.envelope.err().cloned());
        },
    );
    assert_eq!((taken, said.len(), said[0].as_ref()), (Ok(()), 2, None));
    let why = said.remove(1).unwrap();
    assert!(why.code == "invalid_csv" && why.detail.contains("line 3") && why.detail.contains("1 MiB"), "{why}");
    // Sloppy, and clear.
    let sloppy = take(NAME, &AUDIT.replace("\"one, two\"", "\"one\" two \"x\""));
    sloppy[0].expect(&[("action", "update"), ("comments", "one two \"x\"")]);
}

#[test]
fn ids_count_within_their_log() {
    let mut sent = audit();
    sent["id"] = json!(17);
    let numbered = one(NAME, &sent.to_string());
    assert_eq!((numbered.at("id").len(), numbered.value("attributes.id")), (64, &json!(17)));
    let event = json!({"id": 17, "eventType": "login", "createdOn": "2026-11-20T12:00:00Z", "email": "a@b"});
    assert_ne!(one(NAME, &event.to_string()).at("id"), numbered.at("id"));
    sent["id"] = json!("a-17");
    one(NAME, &sent.to_string()).expect(&[("id", "a-17")]);
}

#[test]
fn our_own_exports_come_back() {
    let sent = json!({"action": "delete User", "target": "bob", "actor": "ann", "timestamp": "2026-11-20T12:00:00.123456Z", "old_entity": {"a": 1},
        "new_entity": null, "diff": null, "client_actor": null, "outcome": "deny", "ip_address": "192.0.2.1", "request_id": "r1", "source": "keycloak"});
    let stored = one(NAME, &sent.to_string());
    stored.expect(&[
        ("outcome", "deny"),
        ("level", "warn"),
        ("ip", "192.0.2.1"),
        ("request_id", "r1"),
        ("attributes.source", "keycloak"),
    ]);
    assert_eq!(stored.value("old"), &json!({"a": 1}));
}

#[test]
fn what_is_not_understood_is_kept() {
    assert_eq!(reason(NAME, r#"{"action":"x"}"#), "unknown_log");
    assert_eq!(reason(NAME, r#"{"eventType":"x","createdOn":"noon","email":"a"}"#), "invalid_time");
    assert_eq!(reason(NAME, "7"), "wrong_type");
    assert_eq!(take(NAME, "Name,Value\na,b\n").len(), 2, "a table that is none of the logs is kept line by line");
    let mut sent = audit();
    sent["action"] = json!("");
    assert_eq!(reason(NAME, &sent.to_string()), "missing_field");
}

proptest! {
    #[test]
    fn never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        cells in "[\\PC\n\",]{0,80}",
        value in "[\\PC]{0,40}",
    ) {
        survives(NAME, &bytes);
        survives(NAME, format!("Grant ID,Email,Status,Created At\n{cells}").as_bytes());
        survives(NAME, format!("Action,Target,Actor,Timestamp,Diff\na b,t,a,2026-11-20T12:00:00Z,{cells}").as_bytes());
        for label in ["oldEntity", "diff", "actor", "timestamp"] {
            let text = format!(r#"{{"action":"a b","target":"t","comments":"c","actor":"x","timestamp":null,"{label}":{value}}}"#);
            survives(NAME, text.as_bytes());
        }
        with_both_underscores(&value);
    }

    #[test]
    fn nothing_of_a_table_is_lost(rows in "[z\",;\r\n ]{0,60}") {
        let body = format!("Grant ID,Email,Status,Created At\n{rows}");
        let all: String = take(NAME, &body).iter().map(|stored| stored.native.as_str()).collect();
        prop_assert_eq!(all.matches('z').count(), rows.matches('z').count(), "{}", all);
    }
}
