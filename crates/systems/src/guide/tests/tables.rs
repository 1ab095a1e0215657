//! The guide's tables as they are exported.

use super::*;

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
        &crate::guide::Guide,
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
