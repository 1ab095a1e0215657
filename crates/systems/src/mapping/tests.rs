//! What a mapping file may say, and what its rules do.

use super::Mapping;
use crate::{Memory, System, convert};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::{Value, json};

const FILE: &str = r#"
name = "billing"
records = "/data/events"

[fields]
log = { value = "audit" }
id = "/id"
action = "/type"
actor.id = ["/user/id", "/sub"]
actor.name = "/user/full.name"
target.id = "/targets/0/id"
time = { from = "/at", format = "unix-ms" }
outcome = { from = "/ok", words = { true = "success", false = "failure" }, otherwise = "unknown" }
old = { from = "/before", format = "json" }
new = "/after"
irreversible = "/final"
"#;

fn mapping(text: &str) -> Mapping {
    Mapping::parse(text).unwrap()
}

fn applied(file: &str, record: &Value) -> (Value, Vec<&'static str>) {
    let applied = mapping(file).apply(&record.to_string(), &TimeZone::UTC).unwrap();
    (serde_json::from_str(&applied.envelope).unwrap(), applied.empty)
}

#[test]
fn rules_fill_the_envelope() {
    let record = json!({
        "id": "b-1", "type": "invoice.void", "user": {"id": 7, "full.name": "Ann", "team": "x"}, "targets": [{"id": "inv-9"}],
        "at": 1_795_176_000_123_u64, "ok": true, "before": "{\"paid\":false}", "after": {"paid": true}, "final": true, "note": "n",
    });
    let (envelope, empty) = applied(FILE, &record);
    assert_eq!(
        envelope,
        json!({
            "id": "b-1", "log": "audit", "source": "billing", "action": "invoice.void", "outcome": "success", "level": "info",
            "time": "2026-11-20T12:00:00.123000Z", "actor": {"id": "7", "name": "Ann"}, "target": {"id": "inv-9"},
            "old": {"paid": false}, "new": {"paid": true}, "irreversible": true,
            // A number, a word of theirs and what stands in a list stay.
            "attributes": {"user": {"id": 7, "team": "x"}, "targets": [{"id": "inv-9"}], "ok": true, "note": "n"},
        })
    );
    assert!(empty.is_empty());
}

#[test]
fn what_is_not_there_is_said() {
    let (envelope, empty) =
        applied(FILE, &json!({"type": "x", "sub": "s-1", "user": {"id": null}, "before": "{", "final": "maybe"}));
    assert_eq!(empty, ["id", "time", "irreversible", "actor.name", "target.id", "old", "new"]);
    assert_eq!(envelope["actor"]["id"], "s-1", "the next pointer");
    assert_eq!(envelope["outcome"], "unknown", "otherwise");
    assert_eq!(envelope["attributes"]["before"], "{");
    assert_eq!(envelope["attributes"]["final"], "maybe");
    assert_eq!(envelope["attributes"]["_indelible"], json!({"time": "arrival"}));
    assert_eq!(envelope["id"].as_str().unwrap().len(), 64);
}

#[test]
fn a_value_of_two_rules_stays_for_both() {
    let file = "name = 'x'\n[fields]\naction = '/a'\nactor.id = '/u/id'\nsession.user_id = '/u/id'\nnew = '/u'";
    let (envelope, empty) = applied(file, &json!({"a": "login", "u": {"id": "ann"}}));
    assert_eq!((&envelope["actor"]["id"], &envelope["session"]["user_id"]), (&json!("ann"), &json!("ann")));
    assert_eq!(envelope["attributes"]["u"], json!({"id": "ann"}));
    assert_eq!((&envelope["new"], empty), (&json!({"id": "ann"}), vec![]));
}

#[test]
fn json_says_the_same() {
    let as_json = json!({"name": "billing", "records": "/data/events", "fields": {
        "log": {"value": "audit"}, "id": "/id", "action": "/type", "actor.id": ["/user/id", "/sub"], "actor.name": "/user/full.name",
        "target": {"id": "/targets/0/id"}, "time": {"from": "/at", "format": "unix-ms"},
        "outcome": {"from": "/ok", "words": {"true": "success", "false": "failure"}, "otherwise": "unknown"},
        "old": {"from": "/before", "format": "json"}, "new": "/after", "irreversible": "/final",
    }});
    assert_eq!(mapping(&as_json.to_string()), mapping(FILE));
}

#[test]
fn kinds_take_what_they_can() {
    let file = |rule: &str| format!("name = 'x'\n[fields]\nlog = {{ value = 'notification' }}\n{rule}");
    for (rule, given, path, wanted, stays) in [
        ("notification.recipient = '/r'", json!("a@b"), "/notification/recipient", json!("a@b"), false),
        ("notification.recipient = '/r'", json!(["a", "b"]), "/notification/recipient", json!(["a", "b"]), false),
        ("notification.recipient = '/r'", json!(7), "/notification/recipient", json!("7"), true),
        ("notification.recipient = '/r'", json!([7]), "/notification/recipient", Value::Null, true),
        ("message = '/r'", json!({"a": 1}), "/message", Value::Null, true),
        ("message = '/r'", json!(true), "/message", json!("true"), true),
        ("irreversible = { from = '/r', words = { Y = 'true' } }", json!("Y"), "/irreversible", json!(true), true),
        ("irreversible = { from = '/r', words = { Y = 'true' } }", json!("N"), "/irreversible", Value::Null, true),
        (
            "session.expires_at = { from = '/r', format = 'unix-s' }",
            json!(1_795_176_000),
            "/session/expires_at",
            json!("2026-11-20T12:00:00.000000Z"),
            false,
        ),
        ("time = '/r'", json!("2026-11-20 12:00:00+02"), "/time", json!("2026-11-20T10:00:00.000000Z"), true),
        (
            "time = { from = '/r', format = 'unix-ns' }",
            json!("1795176000000000001"),
            "/time",
            json!("2026-11-20T12:00:00.000000Z"),
            true,
        ),
        ("id = '/r'", json!(17), "/id", json!("17"), true),
    ] {
        let (envelope, _) = applied(&file(rule), &json!({"r": given}));
        assert_eq!(envelope.pointer(path).unwrap_or(&Value::Null), &wanted, "{rule}");
        assert_eq!(envelope["attributes"].get("r").is_some(), stays, "{rule}: {envelope}");
    }
    let long = json!({"r": "é".repeat(200)});
    let (envelope, _) = applied(&file("id = '/r'"), &long);
    assert_eq!((envelope["id"].as_str().unwrap().len(), &envelope["attributes"]["r"]), (64, &long["r"]));
}

#[test]
fn pointers_are_those_of_rfc_6901() {
    let file = "name = 'x'\n[fields]\naction = '/a~1b/m~0n/1/c.d'";
    let (envelope, _) = applied(file, &json!({"a/b": {"m~n": [0, {"c.d": "act"}]}}));
    assert_eq!(envelope["action"], "act");
    let (envelope, _) = applied("name = 'x'\n[fields]\naction = '/'", &json!({"": "act"}));
    assert_eq!(envelope["action"], "act");
}

#[test]
fn a_mapping_is_a_system() {
    let mapping = mapping(FILE);
    let body = json!({"data": {"events": [{"type": "a"}, {"type": ""}, {"type": "b", "at": "noon"}]}}).to_string();
    let (mut envelopes, mut reasons) = (Vec::new(), Vec::new());
    convert(&mapping, body.as_bytes(), "", &Memory::default(), &TimeZone::UTC, &mut |piece| {
        envelopes.push(serde_json::from_str::<Value>(piece.envelope.unwrap()).unwrap());
        reasons.push(piece.unparsed.map(|reason| (reason.code, reason.detail.clone())));
    })
    .unwrap();
    assert_eq!(mapping.name(), "billing");
    assert!(envelopes.iter().all(|envelope| envelope["source"] == "billing"));
    assert_eq!(reasons[0], None);
    assert_eq!(
        reasons[1],
        Some((
            "missing_field",
            "`action` is empty: there is an empty text at /type; correct the rule, or say what it is `otherwise`"
                .into()
        ))
    );
    let (code, detail) = reasons[2].as_ref().unwrap();
    assert_eq!(*code, "invalid_time");
    let wanted = "`/at` is a text, and none that is known for a time; it should be a number of milliseconds since 1970";
    assert!(detail.starts_with(wanted), "{detail}");
    assert_eq!(envelopes[1]["attributes"]["native"], json!({"type": ""}));
}

#[test]
fn mistakes_are_named_with_what_to_write() {
    let with = |fields: &str| format!("name = 'x'\n[fields]\naction = '/a'\n{fields}");
    for (file, message) in [
        ("", "`name`: is missing or no text; it becomes the records' source, such as name = \"billing\""),
        ("name = 'Big Name'", "`name`: is 1 to 64 small letters, digits, `-`, `_` and `.`"),
        ("name = 'okta'", "`name`: `okta` is a system that is read without a mapping; choose another name"),
        ("name = 'x'", "`fields`: is missing or empty; it says where each field of the envelope comes from"),
        (
            "name = 'x'\nfeilds = {}\n[fields]\naction = '/a'",
            "`feilds`: is nothing that a mapping has; it has name, records and fields",
        ),
        (
            "name = 'x'\nrecords = 'events'\n[fields]\naction = '/a'",
            "`records`: \"events\" is no JSON pointer, which begins with `/`; write \"/events\"",
        ),
        (
            "name = 'x'\nrecords = ''\n[fields]\naction = '/a'",
            "`records`: \"\" is no JSON pointer, which begins with `/`; \"/id\" is the member `id` of the record",
        ),
        (
            &with("actor.id = { from = \"$.user['id']\" }"),
            "`fields.actor.id.from`: \"$.user['id']\" is no JSON pointer, which begins with `/`; write \"/user/id\"",
        ),
        (
            &with("message = 'it is done'"),
            "`fields.message`: \"it is done\" is no JSON pointer, which begins with `/`; a fixed text is written { value = \"it is done\" }",
        ),
        (
            "name = 'x'\n[fields]\nmessage = '/a'",
            "`fields.action`: is missing; an audit or event record says what happened",
        ),
        (&with("actor.idd = '/x'"), "`fields.actor.idd`: is no field of the envelope; did you mean `actor.id`?"),
        (&with("actr.id = '/x'"), "`fields.actr`: is no field of the envelope; did you mean `actor.id`?"),
        (&with("wholly_else = '/x'"), "`fields.wholly_else`: is no field of the envelope"),
        (&with("source = '/x'"), "`fields.source`: is the mapping's `name`; leave it out"),
        (&with("attributes = '/x'"), "`fields.attributes`: is filled by us, with all that no rule takes; leave it out"),
        (
            &with("log = 'audit'"),
            "`fields.log`: \"audit\" is no JSON pointer, which begins with `/`; write \"/audit\", or a fixed text as { value = \"audit\" }",
        ),
        (
            &with("log = { value = 'adit' }"),
            "`fields.log.value`: is one of audit, event, job, notification, session, grant",
        ),
        (
            &with("outcome = { from = '/x', words = { a = 'good' } }"),
            "`fields.outcome.words.a`: is one of success, failure, deny, unknown",
        ),
        (
            &with("level = 7"),
            "`fields.level`: is a JSON pointer such as \"/user/id\", or a table of from, format, words, otherwise, or value",
        ),
        (&with("level = []"), "`fields.level`: is a JSON pointer such as \"/user/id\", or a list of them"),
        (
            &with("level = { frm = '/x' }"),
            "`fields.level.frm`: is nothing that a rule has; it has from, format, words, otherwise, or value",
        ),
        (&with("level = { words = {} }"), "`fields.level`: says neither `from` nor `value`"),
        (
            &with("level = { value = 'info', from = '/x' }"),
            "`fields.level`: a fixed `value` stands alone; for a value in case there is none, write `otherwise`",
        ),
        (
            &with("time = { from = '/x', format = 'iso' }"),
            "`fields.time.format`: a time's format is text, unix-s, unix-ms or unix-ns",
        ),
        (
            &with("time = { value = 'now' }"),
            "`fields.time.value`: this field holds no fixed text; say where it comes `from`",
        ),
        (&with("ip = { from = '/x', format = 'json' }"), "`fields.ip.format`: this field has no format; leave it out"),
        (&with("ip = '/a~b'"), "`fields.ip`: `~` is written ~0 in a JSON pointer, and `/` in a name ~1"),
        (&with("irreversible = { value = 'yes' }"), "`fields.irreversible.value`: is true or false"),
        ("[]", "`name`: is missing or no text; it becomes the records' source, such as name = \"billing\""),
        (
            r#"{"name":"x","fields":{"action":"/a","actor.id":"/x","actor":{"id":"/y"}}}"#,
            "`fields.actor.id`: stands there twice; keep one",
        ),
    ] {
        if file == "[]" {
            assert!(Mapping::parse(file).unwrap_err().detail.contains("neither TOML nor JSON"));
            continue;
        }
        assert_eq!(Mapping::parse(file).unwrap_err().to_string(), message, "{file}");
    }
    let broken = Mapping::parse("name = 'x'\n[fields\n").unwrap_err().to_string();
    assert!(broken.contains("neither TOML nor JSON") && broken.contains("line 2"), "{broken}");
    let broken = Mapping::parse("{\"name\":").unwrap_err().to_string();
    assert!(broken.contains("line 1"), "{broken}");
    assert!(Mapping::parse(&" ".repeat(super::MAX_FILE + 1)).unwrap_err().detail.contains("limit of 65536"));
}

proptest! {
    #[test]
    fn never_panics(
        file in "[\\PC\n]{0,80}",
        key in "[a-z.]{0,12}",
        rule in "(\"/[\\PC]{0,8}\"|\\{ ?[a-z]{0,8} = \"[\\PC]{0,8}\" \\}|[\\PC]{0,12})",
        record in r#"\{"(type|user|targets|at|ok|before)":[\PC]{0,40}\}"#,
    ) {
        let _ = Mapping::parse(&file);
        let _ = Mapping::parse(&format!("name = \"x\"\n[fields]\naction = \"/a\"\n{key} = {rule}\n"));
        let _ = mapping(FILE).apply(&record, &TimeZone::UTC);
        let _ = mapping(FILE).apply(&file, &TimeZone::UTC);
    }
}

#[test]
fn a_field_has_so_many_places_and_no_more() {
    let file = |most: usize| {
        let places: Vec<String> = (0..most).map(|n| format!("'/p{n}'")).collect();
        format!("name = 'x'\n[fields]\naction = [{}]", places.join(","))
    };
    assert!(Mapping::parse(&file(32)).is_ok());
    let error = Mapping::parse(&file(33)).unwrap_err().to_string();
    assert!(error.contains("33") && error.contains("32 at most"), "{error}");
}
