//! Every quirk of WSO2 Identity Server's logs.

use crate::testing::{one, reason, survives, take, take_with};
use crate::{Memory, System};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAME: &str = super::NAME;
const PREFIX: &str = "TID: [-1234] [2026-11-20 12:00:00,214] [c-1]  INFO {AUDIT_LOG} - ";

fn line(message: &str) -> String {
    format!("{PREFIX}{message}")
}

#[test]
fn the_form_with_pipes() {
    one(
        NAME,
        &line(
            "Initiator : admin@carbon.super | Action : create | Target : 3 | Data : { TripAction3 } | Result : Success",
        ),
    )
    .expect(&[
        ("time", "2026-11-20T12:00:00.214000Z"),
        ("attributes._indelible.time", "no zone in the source"),
        ("attributes._indelible.shape", "line"),
        ("action", "create"),
        ("log", "audit"),
        ("actor.id", "admin@carbon.super"),
        ("target.id", "3"),
        ("outcome", "success"),
        ("request_id", "c-1"),
        ("attributes.data", "{ TripAction3 }"),
        ("attributes.tenantId", "-1234"),
        ("attributes.line", "TID: [-1234] [2026-11-20 12:00:00,214] [c-1]  INFO {AUDIT_LOG}"),
    ]);
}

#[test]
fn a_line_inside_an_object_of_a_shipper() {
    let plain = line("Initiator : admin@carbon.super | Action : create | Target : 3 | Data : { a } | Result : Success");
    let alone = one(NAME, &plain);
    for sent in [
        json!({"log": format!("{plain}\n"), "stream": "stdout", "time": "2026-11-20T12:00:01.5Z"}),
        json!({"@timestamp": "2026-11-20T12:00:01.5Z", "message": plain, "host": {"name": "is-1"}}),
        json!({"event.original": plain}),
    ] {
        let stored = one(NAME, &sent.to_string());
        stored.expect(&[
            ("time", "2026-11-20T12:00:00.214000Z"),
            ("action", "create"),
            ("actor.id", "admin@carbon.super"),
            ("target.id", "3"),
            ("outcome", "success"),
            ("id", alone.at("id")),
            ("attributes.log.stream", sent["stream"].as_str().unwrap_or_default()),
            ("attributes.log.host.name", sent["host"]["name"].as_str().unwrap_or_default()),
        ]);
        assert_eq!(crate::detect(sent.to_string().as_bytes()), [(NAME, 95)]);
    }
    let v2 = json!({"id": "v2-1", "recordedAt": "2026-11-20T12:00:00Z", "requestId": "r", "initiatorId": "a",
        "initiatorType": "User", "targetId": "u", "targetType": "User", "action": "add-user", "data": {"token": "hunter2"}});
    let sent = json!({"message": line(&v2.to_string()), "time": 1});
    let stored = one(NAME, &sent.to_string());
    stored.expect(&[("id", "v2-1"), ("action", "add-user"), ("target.id", "u"), ("attributes.data.token", "***")]);
    // Objects beside each other, and such lines in a list.
    let both = format!("{sent}\n{}", json!({"log": plain}));
    assert_eq!(take(NAME, &both).iter().map(|r| r.at("action").to_owned()).collect::<Vec<_>>(), ["add-user", "create"]);
    assert_eq!(take(NAME, &format!("[\n  {sent},\n  {}\n]", json!({"log": plain}))).len(), 2);
    assert_eq!(reason(NAME, r#"{"log":"started in 5 s"}"#), reason(NAME, r#"{"a":1}"#));
}

#[test]
fn the_form_with_equals_signs() {
    let message = r#"Initiator=0fa51985-d36d-4492-9ebd-298f9d68861f Action=resource-modification-via-impersonation Target=49de Data={"ResourcePath":"/scim2/Me","clientId":"web","impersonator":"0fa5","httpMethod":"PATCH"} Outcome=AUTHORIZED"#;
    one(NAME, &line(message)).expect(&[
        ("actor.id", "0fa51985-d36d-4492-9ebd-298f9d68861f"),
        ("action", "resource-modification-via-impersonation"),
        ("target.id", "49de"),
        ("outcome", "success"),
        ("client.id", "web"),
        ("impersonator.id", "0fa5"),
        ("attributes.result", "AUTHORIZED"),
        ("attributes.data.httpMethod", "PATCH"),
    ]);
    one(NAME, &line("Initiator=a Action=Update User Name Target=b Data={} Outcome=Success | Impersonator : boss"))
        .expect(&[("action", "Update User Name"), ("impersonator.id", "boss"), ("outcome", "success")]);
}

#[test]
fn prefixes_of_every_kind() {
    let message = "Initiator : a@b | Action : Add User | Target : dad111 | Data : { Roles : } | Result : Success ";
    for (prefix, tenant, domain, request) in [
        ("[2018-03-13 11:42:20,567]  INFO {AUDIT_LOG}-  ", "", "", ""),
        (
            "TID: [1] Tenant: [foo.com] [2018-03-13 11:42:20,567] [c-2] : iam-audit : INFO {AUDIT_LOG} - ",
            "1",
            "foo.com",
            "c-2",
        ),
        ("TID: [-1234] [2018-03-13 11:42:20,567] []  INFO {AUDIT_LOG} - ", "-1234", "", ""),
        ("TID: [-1234] [2018-03-13 11:42:20,567]  WARN {AUDIT_LOG} - ", "-1234", "", ""),
    ] {
        one(NAME, &format!("{prefix}{message}")).expect(&[
            ("time", "2018-03-13T11:42:20.567000Z"),
            ("action", "Add User"),
            ("outcome", "success"),
            ("level", "info"),
            ("attributes.data", "{ Roles : }"),
            ("attributes.tenantId", tenant),
            ("attributes.tenantDomain", domain),
            ("request_id", request),
        ]);
    }
    one(NAME, &format!("INFO {{AUDIT_LOG}} - {message}")).expect(&[("attributes._indelible.time", "arrival")]);
}

#[test]
fn the_zone_is_the_configured_one() {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
    let mut found = String::new();
    let sent = line("Initiator : a | Action : create | Result : Success");
    crate::convert(&super::Wso2, sent.as_bytes(), "", &Memory::default(), &zone, &mut |piece| {
        found = piece.envelope.unwrap().to_owned();
    })
    .unwrap();
    assert!(found.contains("2026-11-20T10:00:00.214000Z"), "{found}");
}

#[test]
fn what_is_null_is_nothing() {
    let message = r#"Initiator : null | Action : Login | Target : ApplicationAuthenticationFramework | Data : { "ServiceProviderName" : "sample-sp","RelyingParty" : "BGo","User Agent" : "null","RemoteAddress" : "null" } | Result : Failed "#;
    let stored = one(NAME, &line(message));
    stored.expect(&[
        ("actor.id", ""),
        ("action", "Login"),
        ("outcome", "failure"),
        ("level", "warn"),
        ("client.name", "sample-sp"),
        ("client.id", "BGo"),
        ("ip", ""),
        ("user_agent", ""),
        ("attributes.data.User Agent", "null"),
    ]);
    assert_eq!(stored.value("attributes.initiatorId"), &Value::Null);
}

#[test]
fn a_target_may_be_missing_and_data_too() {
    one(NAME, &line("Initiator=a Action=Login Data={} Outcome=Success")).expect(&[
        ("action", "Login"),
        ("target.id", ""),
        ("outcome", "success"),
    ]);
    one(NAME, &line("Initiator : a | Action : Login | Result : Failed"))
        .expect(&[("action", "Login"), ("outcome", "failure")]);
    one(NAME, &line("Initiator : a | Action : Login")).expect(&[("action", "Login"), ("outcome", "success")]);
}

#[test]
fn successes_are_written_as_warnings_too() {
    let sent = r#"TID: [-1234] [2026-11-20 12:00:00,214] [c]  WARN {AUDIT_LOG} - Initiator=user1@carbon.super Action=Delete-User Target=user4 Data={"Requester":"user1"} Outcome=Success"#;
    one(NAME, sent).expect(&[
        ("level", "info"),
        ("outcome", "success"),
        ("action", "Delete-User"),
        ("target.id", "user4"),
    ]);
}

#[test]
fn nobodys_name_passes_for_a_field() {
    assert_eq!(
        reason(
            NAME,
            &line("Initiator : eve | Action : Login | Action : create | Target : x | Data : {} | Result : Success")
        ),
        "duplicate_key"
    );
    assert_eq!(
        reason(NAME, &line("Initiator=eve Target=admin Action=a Target=b Data={} Outcome=Success")),
        "duplicate_key"
    );
    // What data say is data: the last result counts.
    one(NAME, &line(r#"Initiator=eve Action=Login Target=x Data={"u":"a Outcome=Success | Impersonator : boss"} Outcome=Failed"#)).expect(&[
        ("outcome", "failure"),
        ("impersonator.id", ""),
        ("attributes.data.u", "a Outcome=Success | Impersonator : boss"),
    ]);
}

#[test]
fn oauth_transactions() {
    let sent = r#"[2018-10-17 19:05:35,578] - Type: OAUTH TOKEN | Info: {"expires_in_seconds":3126,"grant_type":"client_credentials","success":true,"type":"oauth","user":"admin@carbon.super","client_id":"WIm"}"#;
    one(NAME, sent).expect(&[
        ("time", "2018-10-17T19:05:35.578000Z"),
        ("action", "OAUTH TOKEN"),
        ("log", "event"),
        ("outcome", "success"),
        ("actor.id", "admin@carbon.super"),
        ("client.id", "WIm"),
        ("attributes.data.grant_type", "client_credentials"),
    ]);
    one(NAME, &sent.replace("true", "false")).expect(&[("outcome", "failure"), ("level", "warn")]);
}

fn v2(request: &str, id: &str) -> String {
    let record = json!({"id": id, "recordedAt": "2026-11-20T12:00:00.200000Z", "requestId": request, "initiatorId": "i", "initiatorType": "User",
        "targetId": "t", "targetType": "User", "action": "delete-user"});
    line(&record.to_string()).replace("c-1", request)
}

fn old(request: &str) -> String {
    line("Initiator=admin@carbon.super Action=Delete-User Target=ann Data={} Outcome=Success").replace("c-1", request)
}

#[test]
fn what_a_shipper_or_a_console_adds_is_no_part_of_a_line() {
    for plain in [
        old("r"),
        "[2026-11-20 12:00:02,567]  WARN {AUDIT_LOG}-  Initiator=bob Action=Delete-User Target=carl Data={} Outcome=Success".into(),
        r#"[2026-11-20 12:00:04,578] - Type: OAUTH TOKEN | Info: {"success":true,"client_id":"c"}"#.into(),
        v2("r", "v2-1"),
    ] {
        let known = one(NAME, &plain);
        for before in ["wso2is-1  | ", "<13>Nov 20 12:00:00 host wso2[123]: ", "2026-11-20T12:00:09.1Z stdout F "] {
            let stored = one(NAME, &format!("{before}{plain}"));
            for path in ["id", "time", "request_id", "target.id", "outcome", "attributes.tenantId"] {
                assert_eq!(stored.at(path), known.at(path), "{path} of {before}{plain}");
            }
            assert_eq!(stored.at("attributes.line"), format!("{before}{}", known.at("attributes.line")));
        }
        let coloured = format!("\u{1b}[32m{plain}\u{1b}[0m").replacen("WARN", "\u{1b}[33mWARN\u{1b}[m", 1);
        assert_eq!(one(NAME, &coloured).envelope, known.envelope);
        let shipped = one(NAME, &json!({"log": coloured, "stream": "stdout"}).to_string());
        assert_eq!(shipped.at("id"), known.at("id"));
    }
    assert_eq!(crate::detect(format!("wso2is-1  | {}", old("r")).as_bytes()), [("wso2", 97)]);
}

#[test]
fn v2_may_be_the_message_of_a_line() {
    one(NAME, &v2("r", "v2-1")).expect(&[
        ("id", "v2-1"),
        ("time", "2026-11-20T12:00:00.200000Z"),
        ("attributes._indelible.time", ""),
        ("action", "delete-user"),
        ("source", "wso2"),
        ("attributes.line", "TID: [-1234] [2026-11-20 12:00:00,214] [r]  INFO {AUDIT_LOG}"),
    ]);
}

#[test]
fn both_forms_of_one_action_become_one_record_with_both_originals() {
    for body in [format!("{}\n{}", v2("r", "v2-1"), old("r")), format!("{}\n{}\n", old("r"), v2("r", "v2-1"))] {
        let stored = take(NAME, &body);
        assert_eq!(stored.len(), 1, "{body}");
        stored[0].expect(&[
            ("id", "v2-1"),
            ("action", "delete-user"),
            ("attributes._indelible.shape", "v2 and legacy"),
            ("attributes.legacy", &old("r")),
            ("attributes._indelible.twin", one(NAME, &old("r")).at("id")),
        ]);
    }
    // Several requests, not side by side.
    let body = [v2("a", "1"), v2("b", "2"), old("b"), old("a"), old("c")].join("\n");
    let stored = take(NAME, &body);
    assert_eq!(stored.iter().map(|s| s.at("id").len().min(2)).collect::<Vec<_>>(), [1, 1, 2]);
}

/// Lines that name no request. Their times are in milliseconds after the second.
#[test]
fn each_of_a_run_of_lines_has_its_own_twin_where_order_or_time_says_which() {
    let new = |at: u32| {
        let record = json!({"id": format!("v2-{at}"), "recordedAt": "2026-11-20T12:00:00.200000Z", "initiatorId": "i", "initiatorType": "User", "action": "delete-user"});
        format!("[2026-11-20 12:00:{:02},{:03}]  INFO {{AUDIT_LOG}} - {record}", at / 1000, at % 1000)
    };
    let old = |at: u32| {
        format!(
            "[2026-11-20 12:00:{:02},{:03}]  INFO {{AUDIT_LOG}} - Initiator=i Action=Delete-User Target=u-{at} Data={{}} Outcome=Success",
            at / 1000,
            at % 1000
        )
    };
    let pairs = |lines: &[String]| {
        let stored = take(NAME, &lines.join("\n"));
        let pair = |s: &crate::testing::Stored| {
            let legacy = s.at("attributes.legacy").split("Target=u-").nth(1).and_then(|rest| rest.split(' ').next());
            legacy.map(|at| format!("{} {at}", s.at("id")))
        };
        (stored.len(), stored.iter().filter_map(pair).collect::<Vec<_>>())
    };
    let expected = |pairs: &[&str]| pairs.iter().map(|pair| (*pair).to_owned()).collect::<Vec<_>>();
    // By their order, when the times say nothing.
    let run = [old(0), new(0), old(0), new(0)];
    assert_eq!(pairs(&run).0, 2);
    let run = [old(0), new(5), old(6), new(11)];
    assert_eq!(pairs(&run), (2, expected(&["v2-5 0", "v2-11 6"])));
    // One is left over: by their times, from either end.
    let run = [old(0), new(5), old(3000), new(3007), old(9000)];
    assert_eq!(pairs(&run), (3, expected(&["v2-5 0", "v2-3007 3000"])));
    let run = [new(0), old(2000), new(2004), old(5000), new(5001)];
    assert_eq!(pairs(&run), (3, expected(&["v2-2004 2000", "v2-5001 5000"])));
    // Cut at both ends.
    let run = [new(0), old(2000), new(2004), old(5000)];
    assert_eq!(pairs(&run), (3, expected(&["v2-2004 2000"])));
    // Nothing says which.
    assert_eq!(pairs(&[old(0), new(5), old(9)]), (3, vec![]));
    assert_eq!(pairs(&[new(0), old(0), new(0)]), (3, vec![]));
}

/// Application management writes the verb alone where v2 names what it did it to as well.
#[test]
fn a_verb_of_one_request_is_the_action_of_v2() {
    let new = |request: &str, action: &str, kind: &str| {
        let record = json!({"id": format!("v2-{request}"), "recordedAt": "2026-11-20T12:00:00.200000Z", "requestId": request, "initiatorId": "i",
            "initiatorType": "User", "targetId": "3", "targetType": kind, "action": action});
        line(&record.to_string()).replace("c-1", request)
    };
    let old = |request: &str, action: &str| {
        line(&format!("Initiator : i | Action : {action} | Target : 3 | Data : {{ TripAction3 }} | Result : Success"))
            .replace("c-1", request)
    };
    for (verb, action) in [("create", "create-application"), ("delete", "Delete-Application")] {
        for body in
            [[old("r", verb), new("r", action, "Application")], [new("r", action, "Application"), old("r", verb)]]
        {
            assert_eq!(take(NAME, &body.join("\n")).len(), 1, "{body:?}");
            let memory = Memory::default();
            let [first, later] = body.each_ref().map(|line| take_with(&memory, NAME, line.as_bytes()).remove(0));
            later.expect(&[("attributes._indelible.twin", first.at("id"))]);
        }
    }
    for (request, verb, action, kind) in [
        ("other", "create", "create-application", "Application"),
        ("r", "create", "create-application", "Role"),
        ("r", "update", "create-application", "Application"),
        ("r", "Application", "Application", "Application"),
    ] {
        let body = format!("{}\n{}", old("r", verb), new(request, action, kind));
        let one = usize::from(verb == action);
        assert_eq!(take(NAME, &body).len(), 2 - one, "{body}");
    }
}

#[test]
fn a_twin_in_a_later_body_is_named() {
    let memory = Memory::default();
    take_with(&memory, NAME, v2("r", "v2-1").as_bytes());
    let later = take_with(&memory, NAME, old("r").as_bytes());
    later[0].expect(&[("attributes._indelible.twin", "v2-1"), ("action", "Delete-User")]);
    // The other way round the v2 record names the line.
    let line = take_with(&memory, NAME, old("first").as_bytes());
    let later = take_with(&memory, NAME, v2("first", "v2-9").as_bytes());
    later[0].expect(&[("attributes._indelible.twin", line[0].at("id")), ("id", "v2-9")]);
    let other = take_with(&memory, NAME, old("other").as_bytes());
    other[0].expect(&[("attributes._indelible.twin", "")]);
    let failed = take_with(&memory, NAME, old("r").replace("=Success", "=Failed").as_bytes());
    failed[0].expect(&[("attributes._indelible.twin", "")]);
    take_with(&memory, NAME, v2("r", "v2-2").as_bytes());
    let which = take_with(&memory, NAME, old("r").as_bytes());
    which[0].expect(&[("attributes._indelible.twin", "")]);
}

#[test]
fn what_is_left_of_a_pair_is_the_other_line_and_names_its_twin() {
    let body = format!("{}\n{}", v2("r", "v2-1"), old("r"));
    let pair = take(NAME, &body).remove(0);
    let left = super::Wso2.twin(&pair.native).unwrap();
    let [twin] = take(NAME, &format!("[{left}]")).try_into().unwrap();
    twin.expect(&[
        ("action", "Delete-User"),
        ("attributes._indelible.twin", "v2-1"),
        ("attributes._indelible.shape", "line"),
        ("request_id", "r"),
        ("time", "2026-11-20T12:00:00.214000Z"),
    ]);
    assert_eq!(twin.at("id"), one(NAME, &old("r")).at("id"), "the same record as the line alone");
    // Without an id nothing could name it; and what is no pair leaves nothing.
    let pair = take(NAME, &body.replace("\"id\":\"v2-1\",", "")).remove(0);
    assert_eq!(super::Wso2.twin(&pair.native), None);
    assert_eq!(super::Wso2.twin(&old("r")), None);
    assert_eq!(reason(NAME, r#"{"legacy":"hello","twin":"v2-1"}"#), "not_an_event");
}

#[test]
fn other_lines_are_kept() {
    assert_eq!(
        reason(NAME, "TID: [-1234] [2026-11-20 12:00:00,214] [c]  INFO {org.wso2.carbon} - started"),
        "not_an_event"
    );
    assert_eq!(reason(NAME, &line("hello")), "not_an_event");
    assert_eq!(reason(NAME, &line("Initiator : a | Data : x")), "missing_field");
    assert_eq!(reason(NAME, &line("Initiator : a | Action : b").replace("2026-11", "2026-13")), "invalid_time");
    assert!(super::Wso2.to_native(&json!({})).is_none());
}

proptest! {
    #[test]
    fn never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        message in "(Initiator :|Initiator=|\\{|Type: )[\\PC]{0,30}( \\| Action :| Action=| \\| Data :| Data=| \\| Info: | \\| Result :| Outcome=)[\\PC]{0,40}",
        prefix in "(TID: )?(\\[[0-9 :,-]{0,25}\\] ?){0,3}[\\PC]{0,9}(\\{AUDIT_LOG\\}|\\] -) ",
    ) {
        survives(NAME, &bytes);
        survives(NAME, line(&message).as_bytes());
        for text in [&message, &format!("{{\"v2\":{message:?},\"legacy\":{prefix:?}}}")] {
            if let Some(left) = super::Wso2.twin(text) {
                survives(NAME, left.as_bytes());
            }
        }
        survives(NAME, format!("{prefix}{message}\n{}\n{}", v2("r", "1"), old("r")).as_bytes());
    }
}

#[test]
fn a_layout_may_have_more_in_brackets_before_the_time() {
    for before in ["", "[] ", "[IS] ", "[api/scim2] [] "] {
        let line = format!(
            "TID: [-1234] {before}[2026-11-20 12:00:00,298] [corr]  INFO {{AUDIT_LOG}} - Initiator : a | Action : Add User | Target : c | Data : {{}} | Result : Success"
        );
        one(NAME, &line).expect(&[("time", "2026-11-20T12:00:00.298000Z"), ("request_id", "corr")]);
    }
}

#[test]
fn its_webhooks_are_asgardeos() {
    let sent = include_str!("../../samples/asgardeo/webhook.json");
    let (here, there) = (take(NAME, sent), take("asgardeo", sent));
    assert_eq!(here.len(), there.len());
    for (here, there) in here.iter().zip(&there) {
        assert_ne!(here.at("action"), "unparsed");
        here.expect(&[("action", there.at("action")), ("outcome", there.at("outcome")), ("time", there.at("time"))]);
    }
}
