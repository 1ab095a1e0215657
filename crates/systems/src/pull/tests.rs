use super::*;
use proptest::prelude::*;
use serde_json::json;

const MS: i64 = 1_000;
const NOW: i64 = 1_795_176_000_000_000;

fn config(settings: Value, secrets: &[(&str, &str)]) -> Config {
    let Value::Object(settings) = settings else { panic!("settings are an object") };
    Config { settings, secrets: secrets.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect() }
}

fn answer<'a>(status: u16, headers: &'a [(String, String)], body: &'a str) -> Answer<'a> {
    Answer { status, headers, body: body.as_bytes() }
}

fn headers(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// Settings with which each system can be asked.
fn enough(system: &str) -> Config {
    match system {
        "keycloak" => config(
            json!({ "url": "https://kc.example/", "realm": "my realm", "client_id": "indelible" }),
            &[("client_secret", "hush")],
        ),
        "asgardeo" => {
            config(json!({ "url": "https://api.example/t/acme", "client_id": "c" }), &[("client_secret", "hush")])
        }
        "ory-network" => config(json!({ "url": "https://x.example", "path": "/events" }), &[("token", "hush")]),
        _ => config(json!({ "url": "https://x.example" }), &[("token", "hush")]),
    }
}

#[test]
fn settings_are_checked_and_a_secret_is_never_told() {
    for pull in PULLS {
        let good = enough(pull.system());
        pull.check(&good).unwrap();
        assert!(crate::find(pull.system()).is_some(), "{} is a system", pull.system());
        for (name, value) in [
            ("url", json!("ftp://x")),
            ("url", json!("https://user:hush@x")),
            ("url", json!("https://x?a=b")),
            ("url", json!(7)),
            ("intervall", json!(7)),
        ] {
            let mut bad = good.clone();
            bad.settings.insert(name.into(), value);
            let error = pull.check(&bad).unwrap_err();
            assert!(!error.detail.contains("hush") && error.detail.contains(name), "{}", error.detail);
        }
        let mut bad = good.clone();
        bad.secrets.clear();
        assert!(pull.check(&bad).is_err(), "{}", pull.system());
        assert!(!format!("{good:?}").contains("hush"));
        let window = Window { from: NOW - 1_000_000, to: NOW };
        let ask = pull.ask(&good, "hush-token", pull.streams(&good)[0], window, None).unwrap();
        assert!(!format!("{ask:?}").contains("hush") && !ask.url.contains("hush"));
    }
}

#[test]
fn statuses_mean_the_same_for_all() {
    let limit = headers(&[("retry-after", "7")]);
    let reset = headers(&[("x-rate-limit-reset", "1795176030")]);
    let date = headers(&[("retry-after", "Fri, 20 Nov 2026 12:01:00 GMT")]);
    let window = Window { from: 0, to: NOW };
    for pull in PULLS {
        let read = |status, headers: &[(String, String)]| {
            pull.read(window, None, &answer(status, headers, "no"), NOW).unwrap_err()
        };
        assert!(matches!(read(429, &limit), Trouble::Later(Some(7), _)));
        assert!(matches!(read(429, &reset), Trouble::Later(Some(31), _)));
        assert!(matches!(read(503, &date), Trouble::Later(Some(61), _)));
        assert!(matches!(read(502, &[]), Trouble::Later(None, _)));
        assert!(matches!(read(401, &[]), Trouble::Login(_)));
        assert!(matches!(read(403, &[]), Trouble::Refused(_)));
        assert!(matches!(read(302, &[]), Trouble::Refused(_)));
    }
}

#[test]
fn a_token_is_asked_for_and_read() {
    let ask = oauth(&enough("keycloak"), "https://t".into()).unwrap();
    assert_eq!(ask.body, "grant_type=client_credentials&client_id=indelible&client_secret=hush");
    let mut person = enough("keycloak");
    person.settings.insert("username".into(), json!("a&b"));
    person.secrets = [("password".to_owned(), "p w".to_owned())].into();
    let ask = oauth(&person, "https://t".into()).unwrap();
    assert_eq!(ask.body, "grant_type=password&username=a%26b&password=p%20w&client_id=indelible");
    let url = find("keycloak", &Map::new()).unwrap().login(&enough("keycloak")).unwrap().unwrap().url;
    assert_eq!(url, "https://kc.example/realms/my%20realm/protocol/openid-connect/token");
    assert_eq!(token(&answer(200, &[], r#"{"access_token":"t","expires_in":60}"#), NOW), Ok(("t".into(), 60)));
    assert!(matches!(token(&answer(401, &[], "{}"), NOW), Err(Trouble::Refused(_))));
    assert!(matches!(token(&answer(200, &[], "{}"), NOW), Err(Trouble::Refused(_))));
}

fn keycloak_events(times: impl Iterator<Item = i64>) -> String {
    let list: Vec<Value> = times.map(|t| json!({ "time": t / MS, "type": "LOGIN", "realmId": "r" })).collect();
    Value::from(list).to_string()
}

#[test]
fn keycloak_says_whether_it_saves_its_events() {
    let saves = find("keycloak", &Map::new()).unwrap().saves().unwrap();
    let ask = saves.ask(&enough("keycloak"), "hush-token").unwrap();
    assert_eq!(ask.url, "https://kc.example/admin/realms/my%20realm/events/config");
    let said = |config: &Config, body: Value| saves.read(config, &answer(200, &[], &body.to_string()), NOW);
    let settings = |users: bool, admins: bool| {
        json!({ "eventsEnabled": users, "adminEventsEnabled": admins, "adminEventsDetailsEnabled": true, "eventsExpiration": 0,
            "enabledEventTypes": ["LOGIN", "LOGIN_ERROR", "LOGOUT"] })
    };
    let all = enough("keycloak");
    assert_eq!(said(&all, settings(true, true)), Ok(saving::Saving::default()));
    for (users, admins, what) in
        [(false, true, "its user events"), (true, false, "its admin events"), (false, false, "neither")]
    {
        let not = said(&all, settings(users, admins)).unwrap().not.unwrap();
        assert!(not.contains(what), "{not}");
    }
    // What nobody asks for may be off.
    let mut users = all.clone();
    users.settings.insert("admin_events".into(), json!(false));
    assert_eq!(said(&users, settings(true, false)).unwrap().not, None);
    assert!(said(&users, settings(false, true)).unwrap().not.is_some());
    let mut less = settings(true, true);
    less["enabledEventTypes"] = json!(["LOGIN", "REGISTER"]);
    (less["adminEventsDetailsEnabled"], less["eventsExpiration"]) = (json!(false), json!(600));
    let less = said(&all, less).unwrap();
    let note = less.note.unwrap();
    assert!(note.contains("representation") && note.contains("LOGIN_ERROR, LOGOUT"), "{note}");
    assert_eq!((less.not, less.keeps), (None, Some(600)));
    assert!(matches!(said(&all, json!([])), Err(Trouble::Refused(_))));
    for (status, refused) in [(403, true), (404, true), (503, false)] {
        let error = saves.read(&all, &answer(status, &[], ""), NOW).unwrap_err();
        assert_eq!(matches!(error, Trouble::Refused(_)), refused, "{error}");
    }
}

#[test]
fn keycloak_goes_on_from_the_last_moment_of_a_page() {
    let pull = find("keycloak", &Map::new()).unwrap();
    let window = Window { from: NOW - 2_000 * MS, to: NOW };
    let ask = |page: Option<&str>| pull.ask(&enough("keycloak"), "t", "admin-events", window, page).unwrap().url;
    let url = "https://kc.example/admin/realms/my%20realm/admin-events";
    assert_eq!(ask(None), format!("{url}?dateFrom=1795175998000&dateTo=1795176000000&first=0&max=500&direction=asc"));
    let read = |page: Option<&str>, body: &str| pull.read(window, page, &answer(200, &[], body), NOW).unwrap();
    let page = read(None, &keycloak_events((1..=500).map(|n| NOW - 1_000 * MS + n * MS)));
    assert_eq!((page.count, page.next.as_deref()), (500, Some("from:1795175999500:0")));
    assert!(ask(page.next.as_deref()).contains("?dateFrom=1795175999500&dateTo=1795176000000&first=0&"));
    // A page of one moment: counted on within it.
    let same = keycloak_events((1..=500).map(|_| NOW - 500 * MS));
    let page = read(page.next.as_deref(), &same);
    assert_eq!(page.next.as_deref(), Some("from:1795175999500:500"));
    let page = read(page.next.as_deref(), &keycloak_events((1..=3).map(|n| NOW - 500 * MS + n * MS)));
    assert_eq!((page.count, page.next), (3, None));
    let page = read(None, "[]");
    assert_eq!((page.count, page.body.as_str(), page.next), (0, "", None));
}

#[test]
fn a_smaller_page_leads_to_pages_as_small() {
    let window = Window { from: NOW - 2_000 * MS, to: NOW };
    for pull in PULLS.iter().filter(|pull| pull.most().is_some()) {
        let usual = pull.most().unwrap();
        let ask = |page: Option<&str>| {
            let ask =
                pull.ask(&enough(pull.system()), "t", pull.streams(&enough(pull.system()))[0], window, page).unwrap();
            format!("{}{}", ask.url, ask.body)
        };
        let has = |asked: &str, most: usize| {
            ["max=", "limit=", "page_size=", "\"limit\":"].iter().any(|name| asked.contains(&format!("{name}{most}")))
        };
        let small = size::with(2, usual, None);
        assert!(has(&ask(None), usual) && has(&ask(small.as_deref()), 2), "{}", pull.system());
        let times = [NOW - 3 * MS, NOW - 2 * MS].map(event::time::format);
        let body = match pull.system() {
            "keycloak" => keycloak_events([NOW - 3 * MS, NOW - 2 * MS].into_iter()),
            "okta" => json!(times.clone().map(|t| json!({ "published": t }))).to_string(),
            "asgardeo" => {
                json!({ "logs": times.clone().map(|t| json!({ "recordedAt": t })), "nextToken": "n" }).to_string()
            }
            _ => json!({ "events": times.clone().map(|t| json!({ "timestamp": t })), "page_token": "n" }).to_string(),
        };
        let link = headers(&[("link", "<https://x.example/?after=n>; rel=\"next\"")]);
        let page = pull.read(window, small.as_deref(), &answer(200, &link, &body), NOW).unwrap();
        assert_eq!(size::of(page.next.as_deref(), usual).0, 2, "{}", pull.system());
        assert!(has(&ask(page.next.as_deref()), 2), "{}", pull.system());
        assert_eq!(page.passed, Some(1_998 * MS), "{}", pull.system());
    }
}

#[test]
fn an_older_keycloak_is_walked_back_until_it_is_past_the_beginning() {
    let pull = find("keycloak", &Map::new()).unwrap();
    let window = Window { from: NOW - 2_000 * MS, to: NOW };
    let read = |page: Option<&str>, status, body: &str| pull.read(window, page, &answer(status, &[], body), NOW);
    // It wants days; or takes the moment, and answers in its own order all the same.
    let newest = keycloak_events((1..=500).map(|n| NOW - n * MS));
    for (status, body) in [(400, "{}"), (200, newest.as_str())] {
        let page = read(None, status, body).unwrap();
        assert_eq!((page.count, page.next.as_deref()), (0, Some("0")));
    }
    assert!(read(Some("0"), 400, "{}").is_err());
    // A full page, all inside: on.
    let page = read(Some("0"), 200, &newest).unwrap();
    assert_eq!((page.count, page.next.as_deref()), (500, Some("500")));
    // A full page that reaches back before the window: done, and only the window's are kept.
    let page = read(Some("500"), 200, &keycloak_events((1801..=2300).map(|n| NOW - n * MS))).unwrap();
    assert_eq!((page.count, page.next), (200, None));
    // Its days cannot be divided.
    assert!(
        !pull.divides(Some("500")) && !pull.divides(size::with(1, 500, Some("7")).as_deref()) && pull.divides(None)
    );
    // An empty or short page: done.
    let page = read(Some("500"), 200, "[]").unwrap();
    assert_eq!((page.count, page.body.as_str(), page.next), (0, "", None));
    let ask = pull.ask(&enough("keycloak"), "t", "admin-events", window, Some("500")).unwrap();
    assert_eq!(
        ask.url,
        "https://kc.example/admin/realms/my%20realm/admin-events?dateFrom=2026-11-19&dateTo=2026-11-21&first=500&max=500"
    );
}

#[test]
fn okta_follows_the_cursor_and_never_the_address() {
    let pull = find("okta", &Map::new()).unwrap();
    let window = Window { from: NOW - 1_000 * MS, to: NOW };
    let body = json!([{ "uuid": "1", "published": event::time::format(NOW - MS) }]).to_string();
    let link = |next: &str| {
        headers(&[
            ("link", "<https://x.example/api/v1/logs>; rel=\"self\""),
            ("link", next),
            ("x-rate-limit-remaining", "0"),
            ("x-rate-limit-reset", "1795176009"),
        ])
    };
    let next = link("<https://evil.example/api/v1/logs?limit=1&after=17%3A4_a-b>; rel=\"next\"");
    let page = pull.read(window, None, &answer(200, &next, &body), NOW).unwrap();
    assert_eq!((page.count, page.next.as_deref(), page.wait), (1, Some("17%3A4_a-b"), Some(10)));
    let ask = pull.ask(&enough("okta"), "", "log", window, page.next.as_deref()).unwrap();
    assert!(ask.url.starts_with("https://x.example/api/v1/logs?") && ask.url.ends_with("&after=17%3A4_a-b"));
    // The same cursor again with nothing: done. With records it leads in a circle, and is no last page.
    let again = |body: &str| pull.read(window, Some("17%3A4_a-b"), &answer(200, &next, body), NOW);
    assert_eq!(again("[]").unwrap().next, None);
    assert!(matches!(again(&body), Err(Trouble::Later(None, why)) if why.contains("circle")));
    // However it is written; without a cursor it is no last page either. One that would break out of its place is refused.
    let read = |next: &str| pull.read(window, None, &answer(200, &link(next), &body), NOW);
    for written in [
        "<https://x.example/api/v1/logs?filter=a,b&after=c%2Cd>; rel=\"next\"",
        "<https://x.example/?after=c%2Cd#top>; title=x; REL = next , <https://x.example/>; rel=\"last\"",
        "<https://x.example/>; rel=\"self\", <https://x.example/?after=c%2Cd>; rel=\"more Next\"",
    ] {
        assert_eq!(read(written).unwrap().next.as_deref(), Some("c%2Cd"), "{written}");
    }
    for without in ["<https://x.example/?page=2>; rel=\"next\"", "<https://x.example/?after=>; rel=next"] {
        assert!(matches!(read(without), Err(Trouble::Later(None, _))), "{without}");
    }
    // A page with nothing on it is not the last where it leads on.
    let empty = pull.read(window, None, &answer(200, &next, "[]"), NOW).unwrap();
    assert_eq!((empty.count, empty.empty, empty.next.as_deref()), (0, true, Some("17%3A4_a-b")));
    let odd = link("<https://x.example/?after=a b>; rel=\"next\"");
    assert!(matches!(pull.read(window, None, &answer(200, &odd, &body), NOW), Err(Trouble::Refused(_))));
    let colon = link("<https://x.example/?after=ts:25&limit=1>; rel=\"next\"");
    assert_eq!(pull.read(window, None, &answer(200, &colon, &body), NOW).unwrap().next.as_deref(), Some("ts:25"));
}

#[test]
fn a_token_that_is_no_text_is_no_last_page() {
    let window = Window { from: NOW - 1_000 * MS, to: NOW };
    for (system, list, time, token) in
        [("ory-network", "events", "timestamp", "page_token"), ("asgardeo", "logs", "recordedAt", "nextToken")]
    {
        let pull = find(system, &Map::new()).unwrap();
        let body = |next: Value| json!({ list: [{ time: event::time::format(NOW - MS) }], token: next }).to_string();
        let read = |page: Option<&str>, next: Value| pull.read(window, page, &answer(200, &[], &body(next)), NOW);
        for none in [Value::Null, json!("")] {
            assert_eq!(read(None, none).unwrap().next, None, "{system}");
        }
        for odd in [json!(12345), json!({}), json!(true)] {
            assert!(matches!(read(None, odd.clone()), Err(Trouble::Later(None, _))), "{system} {odd}");
        }
        assert!(matches!(read(Some("same"), json!("same")), Err(Trouble::Later(None, _))), "{system}");
    }
}

fn contember_entries(times: &[i64], more: bool) -> String {
    let entries: Vec<Value> = times
        .iter()
        .map(|t| json!({ "id": "x", "createdAt": event::time::format(*t), "type": "login", "success": true }))
        .collect();
    json!({ "data": { "authLog": { "hasMore": more, "entries": entries } } }).to_string()
}

#[test]
fn contember_moves_by_time_and_tells_of_a_millisecond_it_cannot_read() {
    let pull = find("contember", &Map::new()).unwrap();
    let window = Window { from: NOW - 10 * MS, to: NOW };
    let read = |page: Option<&str>, times: &[i64], more| {
        pull.read(window, page, &answer(200, &[], &contember_entries(times, more)), NOW).unwrap()
    };
    let page = read(None, &[NOW - MS, NOW - 3 * MS], true);
    // That millisecond once more.
    assert_eq!(page.next.as_deref(), Some((NOW - 2 * MS).to_string().as_str()));
    let ask = pull.ask(&enough("contember"), "", "log", window, page.next.as_deref()).unwrap();
    let sent: Value = serde_json::from_str(&ask.body).unwrap();
    assert_eq!(sent["variables"]["before"], "2026-11-20T11:59:59.998Z");
    assert_eq!(sent["variables"]["after"], "2026-11-20T11:59:59.990Z");
    assert!(!ask.body.contains("offset"));
    // Nothing but that millisecond: told, and on behind it.
    let page = read(page.next.as_deref(), &[NOW - 3 * MS, NOW - 3 * MS], true);
    let (lost, _) = page.lost.unwrap();
    assert_eq!(lost, Window { from: NOW - 3 * MS, to: NOW - 2 * MS });
    assert_eq!(page.next.as_deref(), Some((NOW - 3 * MS).to_string().as_str()));
    assert_eq!(read(page.next.as_deref(), &[NOW - 4 * MS], false).next, None);
    let hollow = contember_entries(&[], true);
    assert!(matches!(pull.read(window, None, &answer(200, &[], &hollow), NOW), Err(Trouble::Later(None, _))));
    let denied = r#"{"errors":[{"message":"You are not allowed to view the audit log"}],"data":null}"#;
    let error = pull.read(window, None, &answer(200, &[], denied), NOW).unwrap_err();
    assert!(matches!(&error, Trouble::Refused(why) if why.contains("system:viewAuthLog")), "{error}");
    let broken = r#"{"errors":[{"message":"Internal server error"}],"data":null}"#;
    let error = pull.read(window, None, &answer(200, &[], broken), NOW).unwrap_err();
    assert!(matches!(&error, Trouble::Later(None, why) if why.contains("Internal server error")), "{error}");
}

#[test]
fn asgardeo_says_what_is_wrong_with_the_times() {
    let pull = find("asgardeo", &Map::new()).unwrap();
    let window = Window { from: NOW - 1_000 * MS, to: NOW };
    let said = r#"{"code":"LM-10009","message":"x"}"#;
    let error = pull.read(window, None, &answer(400, &[], said), NOW).unwrap_err();
    assert!(matches!(&error, Trouble::Later(None, why) if why.contains("clock")), "{error}");
    let error = pull.read(window, None, &answer(400, &[], "{}"), NOW).unwrap_err();
    assert!(matches!(error, Trouble::Refused(_)), "{error}");
}

#[test]
fn asgardeo_asks_with_milliseconds_in_quotes_and_goes_on_by_token() {
    let pull = find("asgardeo", &Map::new()).unwrap();
    let window = Window { from: NOW - 1_000 * MS, to: NOW };
    let ask = pull.ask(&enough("asgardeo"), "t", "log", window, None).unwrap();
    let sent: Value = serde_json::from_str(&ask.body).unwrap();
    assert_eq!((&sent["startTime"], &sent["logType"]), (&json!("1795175999000"), &json!(1)));
    let body = json!({ "logs": [{ "id": "1", "recordedAt": event::time::format(NOW - MS) }], "nextToken": "n" });
    let page = pull.read(window, None, &answer(200, &[], &body.to_string()), NOW).unwrap();
    assert_eq!((page.count, page.next.as_deref()), (1, Some("n")));
    let empty = r#"{"logs":[],"nextToken":"n"}"#;
    let page = pull.read(window, Some("m"), &answer(200, &[], empty), NOW).unwrap();
    assert_eq!((page.empty, page.next.as_deref()), (true, Some("n")), "what follows is not left out");
    assert_eq!(pull.read(window, Some("n"), &answer(200, &[], empty), NOW).unwrap().next, None);
    assert!(pull.unknowable().is_some());
}

#[test]
fn a_queried_event_of_ory_is_written_as_a_streamed_one() {
    let pull = find("ory-network", &Map::new()).unwrap();
    let window = Window { from: NOW - 1_000 * MS, to: NOW };
    let event = json!({ "name": "LoginSucceeded", "timestamp": event::time::format(NOW - MS),
        "attributes": [{ "key": "IdentityID", "value": "i1" }, { "key": "ClientIP", "value": "192.0.2.1" }] });
    let twice = json!({ "name": "X", "timestamp": event::time::format(NOW - MS),
        "attributes": [{ "key": "A", "value": "1" }, { "key": "A", "value": "2" }] });
    let body = json!({ "events": [event, twice], "page_token": "a b" }).to_string();
    let page = pull.read(window, None, &answer(200, &[], &body), NOW).unwrap();
    assert_eq!((page.count, page.next.as_deref()), (2, Some("a b")));
    let ask = pull.ask(&enough("ory-network"), "", "log", window, page.next.as_deref()).unwrap();
    assert!(ask.url.ends_with("&page_token=a%20b"), "{}", ask.url);
    // One that cannot be sent back is no last page.
    let long = json!({ "events": [event], "page_token": "x".repeat(MAX_TOKEN + 1) }).to_string();
    assert!(matches!(pull.read(window, None, &answer(200, &[], &long), NOW), Err(Trouble::Refused(_))));
    let made: Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!(made[0]["eventAttributes"], json!({ "IdentityID": "i1", "ClientIP": "192.0.2.1" }));
    assert!(made[0].get("attributes").is_none());
    assert_eq!(made[1], twice, "nothing of it is lost");
    // Passed on instead of fetched, and printed over several lines, it is the same record.
    let passed =
        serde_json::from_str::<Value>(&body).map(|answer| serde_json::to_string_pretty(&answer).unwrap()).unwrap();
    let ids = |body: &str| -> Vec<String> {
        let stored = crate::testing::take("ory-network", body);
        stored.iter().map(|record| record.at("id").to_owned()).collect()
    };
    assert_eq!(ids(&passed)[0], ids(&page.body)[0]);
    let more = json!([{ "name": "X", "timestamp": "2026-11-20T12:00:00Z", "attributes": [{ "key": "A", "value": "1", "type": "text" }] }]);
    assert!(
        crate::testing::take("ory-network", &more.to_string())[0].text.contains("\"type\":\"text\""),
        "nothing is lost here either"
    );
    let next = json!({ "events": [event], "page_token": "n/2" }).to_string();
    let page = pull.read(window, None, &answer(200, &[], &next), NOW).unwrap();
    let ask = pull.ask(&enough("ory-network"), "", "log", window, page.next.as_deref()).unwrap();
    assert!(
        ask.url.starts_with("https://x.example/events?from=") && ask.url.ends_with("&page_token=n%2F2"),
        "{}",
        ask.url
    );
}

proptest! {
    #[test]
    fn no_answer_panics_or_makes_a_walk_endless(
        status in prop_oneof![Just(200u16), any::<u16>()],
        body in prop_oneof![
            ".{0,200}",
            r#"\[(\{"(time|published|recordedAt)":("2026-11-20T12:00:0[0-9]Z"|[0-9]{0,14})\},?){0,5}\]"#,
            r#"\{"(logs|data)":(\[\]|\{"authLog":\{"hasMore":true,"entries":\[\{"createdAt":"2026-11-20T11:59:5[0-9]Z"\}\]\}\})(,"nextToken":"[a-z]")?\}"#,
        ],
        link in ".{0,60}", page in proptest::option::of("(from:)?[0-9]{1,19}(:[0-9]{1,19})?"),
    ) {
        let headers = headers(&[("link", &link), ("retry-after", &link), ("x-rate-limit-reset", &link)]);
        let window = Window { from: NOW - 10_000_000, to: NOW };
        for pull in PULLS {
            let answer = answer(status, &headers, &body);
            let _ = token(&answer, NOW);
            if let Ok(got) = pull.read(window, page.as_deref(), &answer, NOW) {
                prop_assert!(got.next.is_none() || got.next != page, "{}", pull.system());
                prop_assert_eq!(got.count == 0, got.body.is_empty());
                let ask = pull.ask(&enough(pull.system()), "t", "log", window, got.next.as_deref()).unwrap();
                prop_assert!(ask.url.bytes().all(|b| (0x21..0x7f).contains(&b)), "{}", ask.url);
            }
        }
    }
}

/// Where no length stands before a body, its end is where the connection ends.
#[test]
fn a_body_that_was_cut_off_is_no_last_page() {
    let window = Window { from: NOW - 1_000 * MS, to: NOW };
    for (system, body) in [
        (
            "ory-network",
            json!({ "events": [{ "name": "LoginSucceeded", "timestamp": event::time::format(NOW - MS) }], "page_token": "t" }),
        ),
        ("asgardeo", json!({ "logs": [{ "id": "1", "recordedAt": event::time::format(NOW - MS) }], "nextToken": "t" })),
        (
            "contember",
            json!({ "data": { "authLog": { "entries": [{ "id": "1", "createdAt": event::time::format(NOW - MS) }], "hasMore": true } } }),
        ),
    ] {
        let pull = find(system, &Map::new()).unwrap();
        let body = body.to_string();
        assert!(pull.read(window, None, &answer(200, &[], &body), NOW).unwrap().next.is_some(), "{body}");
        let list = body.find("}]").unwrap() + 2;
        for end in list..body.len() {
            let cut = pull.read(window, None, &answer(200, &[], &body[..end]), NOW);
            assert!(matches!(cut, Err(Trouble::Later(..))), "{}", &body[..end]);
        }
    }
    let silent = r#"{"data":{"authLog":{"entries":[]}}}"#;
    let read = find("contember", &Map::new()).unwrap().read(window, None, &answer(200, &[], silent), NOW);
    assert!(matches!(read, Err(Trouble::Later(..))), "it does not say whether there is more");
}
