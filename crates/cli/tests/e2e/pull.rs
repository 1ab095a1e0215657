//! Fetching: what a system has is here once, whatever happens on the way; and what is missing is told.

use crate::peer::{Asked, Peer, Said};
use crate::server::{Server, at, eventually};
use crate::sources::put;
use base64::Engine as _;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Milliseconds since 1970, so many seconds from now.
pub fn millis(seconds: i64) -> i64 {
    let time: jiff::Timestamp = at(seconds).parse().unwrap();
    time.as_millisecond()
}

/// Records of a system that are stored, and how many different ids they have.
pub fn stored(server: &Server, source: &str) -> (u64, u64) {
    let sql = format!("SELECT count(*) AS n, count(DISTINCT id) AS d FROM records WHERE source = '{source}'");
    let row = &server.admin.sql("acme", &sql)[0];
    (row[0].as_u64().unwrap(), row[1].as_u64().unwrap())
}

pub fn source(server: &Server, name: &str) -> Value {
    server.admin.get(&format!("/v1/t/acme/sources/{name}")).ok()
}

/// Asks for a run and waits for its end.
pub fn run(server: &Server, what: &str, body: &str) -> Value {
    let made = server.admin.post(&format!("/v1/t/acme/sources/{what}"), body);
    assert_eq!(made.status, 202, "{made}");
    ended(server, made.json()["id"].as_str().unwrap())
}

pub fn ended(server: &Server, id: &str) -> Value {
    let mut job = Value::Null;
    eventually("the job is over", || {
        job = server.admin.get(&format!("/v1/t/acme/jobs/{id}")).ok();
        ["success", "failed", "cancelled"].contains(&job["status"].as_str().unwrap())
    });
    job
}

pub fn with_tenant() -> Server {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    server
}

/// A realm, and what goes wrong with the next requests for its events.
#[derive(Default)]
struct Realm {
    events: Vec<Value>,
    admin_events: Vec<Value>,
    trouble: VecDeque<&'static str>,
    /// Before 26.2: it knows days only, and one order.
    old: bool,
    tokens: u32,
    seen: Vec<String>,
    /// What it says of its saving of events, where it is not all of them; a number is a status.
    saving: Option<Value>,
}

fn login_event(n: usize, time: i64) -> Value {
    json!({ "id": format!("kc-{n}"), "time": time, "type": "LOGIN", "realmId": "acme", "clientId": "app", "userId": format!("u{}", n % 7),
        "ipAddress": "192.0.2.1", "details": { "username": format!("user{}", n % 7) } })
}

fn keycloak(realm: &Arc<Mutex<Realm>>) -> Peer {
    let realm = Arc::clone(realm);
    Peer::start(move |asked| {
        let mut realm = realm.lock().unwrap();
        if asked.path == "/realms/acme/protocol/openid-connect/token" {
            assert_eq!(asked.body, "grant_type=client_credentials&client_id=indelible&client_secret=hush-hush");
            realm.tokens += 1;
            return Said::ok(json!({ "access_token": format!("token-{}", realm.tokens), "expires_in": 300 }));
        }
        let kind = asked.path.strip_prefix("/admin/realms/acme/").unwrap().to_owned();
        if kind != "events/config" {
            realm.seen.push(format!("{kind} {}", asked.param("first")));
        }
        if asked.authorization != format!("Bearer token-{}", realm.tokens) {
            return Said::status(401);
        }
        if kind == "events/config" {
            return match &realm.saving {
                Some(Value::Number(status)) => Said::status(status.as_u64().unwrap() as u16),
                Some(saving) => Said::ok(saving.clone()),
                None => Said::ok(
                    json!({ "eventsEnabled": true, "adminEventsEnabled": true, "adminEventsDetailsEnabled": true }),
                ),
            };
        }
        let list = if kind == "events" { &realm.events } else { &realm.admin_events };
        let days = asked.param("dateFrom").contains('-');
        if realm.old && !days {
            return Said::status(400);
        }
        let within = |e: &&Value| {
            let time = e["time"].as_i64().unwrap();
            let moment = |name: &str| asked.param(name).parse::<i64>().unwrap();
            if days { in_days(asked, time) } else { moment("dateFrom") <= time && time <= moment("dateTo") }
        };
        let mut list: Vec<&Value> = list.iter().filter(within).collect();
        list.sort_by_key(|e| e["time"].as_i64());
        if realm.old || asked.param("direction") != "asc" {
            list.reverse();
        }
        let (first, max): (usize, usize) = (asked.param("first").parse().unwrap(), asked.param("max").parse().unwrap());
        let page: Vec<&Value> = list.into_iter().skip(first).take(max).collect();
        let body = json!(page).to_string();
        match realm.trouble.pop_front() {
            Some("limited") => Said::Answer(429, vec![("Retry-After".into(), "1".into())], "{}".into()),
            Some("broken") => Said::status(502),
            Some("cut") => Said::Cut(body),
            Some("closed") => Said::Closed,
            Some("revoked") => {
                realm.tokens += 1;
                Said::status(401)
            }
            Some(other) => panic!("{other}"),
            None => Said::ok(body),
        }
    })
}

/// Whether a time is within `dateFrom` and `dateTo`, both days included.
fn in_days(asked: &Asked, time: i64) -> bool {
    let day = jiff::Timestamp::from_millisecond(time).unwrap().to_string()[..10].to_owned();
    asked.param("dateFrom") <= day.as_str() && day.as_str() <= asked.param("dateTo")
}

fn keycloak_source(peer: &Peer, more: Value) -> Value {
    let mut settings = json!({ "url": peer.url, "realm": "acme", "client_id": "indelible", "interval_seconds": 1, "settle_seconds": 0, "since": at(-7200) });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "system": "keycloak", "kind": "pull", "settings": settings, "secrets": { "client_secret": "hush-hush" } })
}

#[test]
fn every_event_of_a_keycloak_is_here_once_whatever_goes_wrong_on_the_way() {
    every_event_is_here_once(false, &["events 0", "admin-events 0"]);
}

#[test]
fn every_event_of_an_older_keycloak_is_here_once_as_well() {
    // Newest first, in pages, by offset.
    every_event_is_here_once(true, &["events 0", "events 500", "events 1000", "admin-events 0"]);
}

fn every_event_is_here_once(old: bool, pages: &[&str]) {
    let start = millis(-3600);
    let realm = Arc::new(Mutex::new(Realm {
        events: (0..1200).map(|n| login_event(n, start + n as i64 * 2000)).collect(),
        admin_events: vec![
            json!({ "id": "adm-1", "time": start, "realmId": "acme", "operationType": "UPDATE", "resourceType": "USER",
                "resourcePath": "users/u1", "authDetails": { "userId": "boss", "realmId": "acme" }, "representation": "{\"username\":\"user1\"}" }),
        ],
        trouble: ["limited", "broken", "cut", "closed", "revoked"].into(),
        old,
        ..Realm::default()
    }));
    let peer = keycloak(&realm);
    let server = with_tenant();
    // Ten of them were pushed before.
    let pushed: Vec<String> = (0..10).map(|n| login_event(n, start + n as i64 * 2000).to_string()).collect();
    let answer = server.admin.post("/v1/t/acme/ingest/keycloak", pushed.join("\n")).ok();
    assert_eq!(answer["accepted"], 10);

    let made = put(&server, "acme", "kc", &keycloak_source(&peer, json!({})));
    assert_eq!(made.status, 201, "{made}");
    eventually("all events are here", || stored(&server, "keycloak").0 >= 1201);
    assert_eq!(stored(&server, "keycloak"), (1201, 1201));
    assert!(realm.lock().unwrap().trouble.is_empty(), "all of it went wrong");
    let seen = realm.lock().unwrap().seen.clone();
    for page in pages {
        assert!(seen.iter().any(|s| s == page), "{page}: {seen:?}");
    }
    // The first comparison, which comes by itself, is over: it would find what comes now.
    let first = format!("from={}&to={}", at(-7000), at(-60));
    eventually("it was compared", || {
        server.admin.get(&format!("/v1/t/acme/completeness?{first}")).ok()["complete"] == "yes"
    });
    // Late by half a minute: the next looks go back that far.
    realm.lock().unwrap().events.push(login_event(5000, millis(-30)));
    eventually("the late event is here", || stored(&server, "keycloak").0 == 1202);
    // Late by an hour: only a comparison finds it.
    realm.lock().unwrap().events.push(login_event(5001, start + 1));
    let job = run(&server, "kc/check", "");
    assert_eq!((&job["status"], &job["type"]), (&json!("success"), &json!("check")), "{job}");
    assert!(job["message"].as_str().unwrap().contains("1 were missing"), "{job}");
    assert_eq!(stored(&server, "keycloak"), (1203, 1203));

    let shown = source(&server, "kc");
    assert!(shown["lag_seconds"].as_u64().unwrap() < 10, "{shown}");
    assert_eq!((&shown["failures"], &shown["refused"]), (&json!(0), &json!(0)), "{shown}");
    assert!(server.metric("indelible_source_lag_seconds{system=\"keycloak\"}") < 10.0);
    // The comparison went from the beginning to now, so nothing is missing up to a moment ago.
    let range = format!("from={}&to={}", at(-7000), at(-20));
    eventually("nothing is missing", || {
        server.admin.get(&format!("/v1/t/acme/completeness?{range}")).ok()["complete"] == "yes"
    });
    let gaps = server.cli(&["gaps", "acme", "--from", &at(-7000), "--to", &at(-20)]);
    assert!(gaps.ok().contains("kc (keycloak): nothing is missing"));
    let before = server.admin.get(&format!("/v1/t/acme/completeness?from={}", at(-9000))).ok();
    assert_eq!(before["complete"], "unknown", "{before}");
    assert!(before["sources"][0]["unknown"][0]["why"].as_str().unwrap().contains("`since`"), "{before}");

    // Every run that did something is in the job log, and no secret is anywhere.
    let jobs = server.admin.page("acme", "job-logs", &[("q", "job_type:fetch")]);
    assert!(jobs["items"].as_array().unwrap().iter().any(|j| j["latest_status"] == "success"), "{jobs}");
    assert!(!server.home.logs().contains("hush-hush"));
    let home = server.stop();
    home.verify().ok();
}

#[test]
fn what_changed_is_known_over_all_pages_of_what_was_there_before() {
    let start = millis(-3600);
    let update = |n: i64| {
        json!({ "id": format!("adm-{n}"), "time": start + n, "realmId": "acme", "operationType": "UPDATE", "resourceType": "USER",
            "resourcePath": format!("users/u{}", n % 3), "authDetails": { "userId": "boss", "realmId": "acme" },
            "representation": json!({ "username": format!("user{}", n % 3), "email": format!("{n}@x.example") }).to_string() })
    };
    let admin_events: Vec<Value> = (0..1200).map(update).collect();
    let realm = Arc::new(Mutex::new(Realm { admin_events, ..Realm::default() }));
    let peer = keycloak(&realm);
    let server = with_tenant();
    assert_eq!(put(&server, "acme", "kc", &keycloak_source(&peer, json!({}))).status, 201);
    eventually("all events are here", || stored(&server, "keycloak").0 == 1200);
    let page = server.admin.page("acme", "records", &[("q", "source:keycloak"), ("limit", "1000")]);
    let items = page["items"].as_array().unwrap();
    assert_eq!(items.len(), 1000);
    for item in items {
        let new = item["new"]["email"].as_str().unwrap();
        let n: i64 = new.split('@').next().unwrap().parse().unwrap();
        let change = json!({ "email": { "__old": format!("{}@x.example", n - 3), "__new": new } });
        assert_eq!(item["diff"], change, "{item}");
    }
}

#[test]
fn of_what_a_realm_does_not_save_it_cannot_be_known_whether_it_is_missing() {
    let events = (0..10).map(|n| login_event(n, millis(-3600))).collect();
    let off = json!({ "eventsEnabled": false, "adminEventsEnabled": true });
    let realm = Arc::new(Mutex::new(Realm { events, saving: Some(off), ..Realm::default() }));
    let peer = keycloak(&realm);
    let server = with_tenant();
    assert_eq!(put(&server, "acme", "kc", &keycloak_source(&peer, json!({}))).status, 201);
    eventually("what there is is here", || stored(&server, "keycloak").0 == 10);
    let answer = |from: &str, to: &str| server.admin.get(&format!("/v1/t/acme/completeness?from={from}&to={to}")).ok();
    let why = |answer: &Value| {
        let parts = answer["sources"][0]["unknown"].as_array().unwrap();
        parts.iter().map(|p| p["why"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join("; ")
    };
    let (from, to) = (at(-7000), at(-20));
    eventually("it was compared", || !answer(&from, &to)["sources"][0]["compared"].as_array().unwrap().is_empty());
    let told = answer(&from, &to);
    assert_eq!(told["complete"], "unknown", "{told}");
    assert_eq!(why(&told), "the realm does not save its user events (Realm settings, Events, Save events)");
    let gaps = server.cli(&["gaps", "acme", "--from", &from, "--to", &to]);
    assert_eq!(gaps.code, Some(1));
    let shown = source(&server, "kc");
    assert_eq!((&shown["saves_events"], &shown["failures"]), (&json!("no"), &json!(0)), "{shown}");
    assert!(shown["saves_events_detail"].as_str().unwrap().contains("user events"), "{shown}");

    // Switched on: from the look that saw it on, but not of what was before.
    realm.lock().unwrap().saving = None;
    eventually("it is seen", || source(&server, "kc")["saves_events"] == "yes");
    let since = at(0);
    std::thread::sleep(Duration::from_millis(2500));
    let until = at(-1);
    run(&server, "kc/check", "");
    eventually("nothing is missing since then", || answer(&since, &until)["complete"] == "yes");
    assert_eq!(answer(&from, &until)["complete"], "unknown", "it stays so of the time before");

    // It may not be asked: records come all the same.
    realm.lock().unwrap().saving = Some(json!(403));
    realm.lock().unwrap().events.push(login_event(77, millis(-1)));
    eventually("it is here", || stored(&server, "keycloak").0 == 11);
    eventually("it is not known", || source(&server, "kc")["saves_events"] == "unknown");
    let shown = source(&server, "kc");
    assert_eq!((&shown["failures"], &shown["last_error"]), (&json!(0), &Value::Null), "{shown}");
    assert!(shown["saves_events_detail"].as_str().unwrap().contains("403"), "{shown}");
    let now = at(0);
    run(&server, "kc/check", "");
    assert!(
        why(&answer(&since, &now)).contains("cannot be known whether its events are saved"),
        "{}",
        answer(&since, &now)
    );

    // It removes its events sooner than they are compared.
    realm.lock().unwrap().saving =
        Some(json!({ "eventsEnabled": true, "adminEventsEnabled": true, "eventsExpiration": 1800 }));
    let body = keycloak_source(&peer, json!({ "since": at(-7100) }));
    assert_eq!(server.admin.delete("/v1/t/acme/sources/kc").status, 204);
    assert_eq!(put(&server, "acme", "kc", &body).status, 201);
    let recent = (at(-1700), at(-20));
    run(&server, "kc/check", "");
    eventually("it was compared", || answer(&recent.0, &recent.1)["complete"] == "yes");
    let told = answer(&from, &to);
    assert_eq!(told["complete"], "unknown", "{told}");
    assert!(why(&told).contains("keeps its events for 1800 seconds"), "{told}");
}

#[test]
fn a_token_is_kept_from_look_to_look_and_asked_for_anew_when_it_is_refused() {
    let realm = Arc::new(Mutex::new(Realm { events: vec![login_event(1, millis(-60))], ..Realm::default() }));
    let peer = keycloak(&realm);
    let server = with_tenant();
    assert_eq!(put(&server, "acme", "kc", &keycloak_source(&peer, json!({}))).status, 201);
    let looks = |more: usize| {
        let before = realm.lock().unwrap().seen.len();
        eventually("it is looked at", || realm.lock().unwrap().seen.len() >= before + 2 * more);
    };
    looks(4);
    assert_eq!(realm.lock().unwrap().tokens, 1, "one for all looks: each may be an event there");
    // It is revoked there: the next look signs in anew, and the one after it does not.
    realm.lock().unwrap().tokens = 7;
    looks(4);
    assert_eq!(realm.lock().unwrap().tokens, 8);
    assert_eq!(source(&server, "kc")["failures"], 0);
    // Other secrets, or settings, are another client.
    assert_eq!(put(&server, "acme", "kc", &keycloak_source(&peer, json!({ "overlap_seconds": 60 }))).status, 200);
    looks(2);
    assert_eq!(realm.lock().unwrap().tokens, 9);
    // A look that brings nothing is no job: one for the event, and a comparison at the start and after the change.
    let jobs = server.admin.get("/v1/t/acme/jobs").ok();
    assert_eq!(jobs["items"].as_array().unwrap().len(), 3, "{jobs}");
    assert!(!server.home.logs().contains("token-"), "it is told nowhere");
}

/// A System Log of so many events, given out a hundred at a time, slowly.
pub fn okta(count: usize, start: i64, pause: Duration) -> Peer {
    Peer::start(move |asked| {
        assert_eq!((asked.path.as_str(), asked.authorization.as_str()), ("/api/v1/logs", "SSWS hush-hush"));
        std::thread::sleep(pause);
        let bound = |name: &str| asked.param(name).parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let (since, until) = (bound("since"), bound("until"));
        let all: Vec<usize> = (0..count).filter(|n| (since..until).contains(&(start + *n as i64 * 100))).collect();
        let after: usize = asked.param("after").parse().unwrap_or(0);
        let page: Vec<Value> =
            all.iter().skip(after).take(100).map(|n| okta_event(*n, start + *n as i64 * 100)).collect();
        let mut headers = vec![("X-Rate-Limit-Remaining".to_owned(), "9".to_owned())];
        if after + page.len() < all.len() {
            let next = format!("<https://elsewhere.example/api/v1/logs?after={}>; rel=\"next\"", after + page.len());
            headers.push(("Link".into(), next));
        }
        Said::Answer(200, headers, json!(page).to_string())
    })
}

pub fn okta_event(n: usize, time: i64) -> Value {
    let published = jiff::Timestamp::from_millisecond(time).unwrap();
    json!({ "uuid": format!("okta-{n}"), "published": format!("{published:.3}"), "version": "0", "severity": "INFO", "eventType": "user.session.start",
        "displayMessage": "User login", "actor": { "id": format!("00u{}", n % 9), "type": "User", "alternateId": "a@example.org", "displayName": "A" },
        "outcome": { "result": "SUCCESS" }, "target": [] })
}

pub fn okta_source(peer: &Peer, secret: &str) -> Value {
    json!({ "system": "okta", "kind": "pull", "settings": { "url": peer.url, "interval_seconds": 1, "settle_seconds": 0, "since": at(-3600) },
        "secrets": { "token": secret } })
}

#[test]
fn a_fetch_that_is_killed_goes_on_without_loss_and_without_doubles() {
    let peer = okta(4000, millis(-3500), Duration::from_millis(20));
    let mut server = with_tenant();
    put(&server, "acme", "okta", &okta_source(&peer, "hush-hush"));
    for part in [300, 1200, 2500] {
        eventually("a part is here", || stored(&server, "okta").0 >= part);
        server = server.kill().start();
    }
    eventually("all of it is here", || stored(&server, "okta").0 >= 4000);
    assert_eq!(stored(&server, "okta"), (4000, 4000));
    // It went on where it was: of 40 pages, few came twice. The looks and the comparison afterwards are not counted in.
    let jobs = server.admin.get("/v1/t/acme/jobs").ok();
    let first = jobs["items"].as_array().unwrap().iter().rev().find(|j| j["type"] == "fetch").unwrap().clone();
    let job = ended(&server, first["id"].as_str().unwrap());
    assert_eq!(job["status"], "success", "{job}");
    assert_eq!(job["tries"], 4, "begun once, and again after each kill: {job}");
    let log = server.admin.page("acme", "job-logs", &[("q", &format!("job_id:{}", job["id"].as_str().unwrap()))]);
    assert_eq!(log["items"][0]["latest_status"], "success", "{log}");
    server.stop().verify().ok();
}

#[test]
fn a_wrong_token_is_told_and_a_retry_after_mending_it_works() {
    let peer = Peer::start(|asked| match asked.authorization.as_str() {
        "SSWS right-one" => Said::ok(json!([okta_event(1, millis(-60))])),
        _ => Said::status(401),
    });
    let server = with_tenant();
    put(&server, "acme", "okta", &okta_source(&peer, "wrong-one"));
    eventually("it is known to fail", || source(&server, "okta")["failures"].as_u64().unwrap() >= 1);
    let shown = source(&server, "okta");
    assert!(shown["last_error"].as_str().unwrap().contains("401"), "{shown}");
    let mut first = String::new();
    eventually("its job is there", || {
        let jobs = server.admin.get("/v1/t/acme/jobs").ok();
        first = jobs["items"][0]["id"].as_str().unwrap_or_default().to_owned();
        !first.is_empty()
    });
    let failed = ended(&server, &first);
    assert_eq!((&failed["status"], &failed["type"]), (&json!("failed"), &json!("fetch")), "{failed}");
    assert!(failed["stacktrace"].as_str().unwrap().contains("401"), "{failed}");
    let unknown = server.admin.get(&format!("/v1/t/acme/completeness?from={}", at(-600))).ok();
    assert_eq!(unknown["complete"], "unknown");
    assert!(unknown["sources"][0]["unknown"][0]["why"].as_str().unwrap().contains("never answered"), "{unknown}");
    assert_eq!(server.cli(&["gaps", "acme", "--from", &at(-600)]).code, Some(1));

    put(&server, "acme", "okta", &okta_source(&peer, "right-one"));
    let id = failed["id"].as_str().unwrap();
    let again = server.admin.post(&format!("/v1/t/acme/jobs/{id}/retry"), "");
    assert_eq!(again.status, 202, "{again}");
    let job = ended(&server, id);
    assert_eq!((&job["status"], &job["tries"]), (&json!("success"), &json!(2)), "{job}");
    assert_eq!(stored(&server, "okta"), (1, 1));
    // It is over now: neither again nor away.
    server.admin.post(&format!("/v1/t/acme/jobs/{id}/retry"), "").problem(409, "job_status");
    server.admin.post(&format!("/v1/t/acme/jobs/{id}/cancel"), "").problem(409, "job_status");
    assert_eq!(server.admin.get("/v1/t/acme/jobs/none").status, 404);
    for text in [server.admin.get("/v1/t/acme/jobs").text(), server.home.logs()] {
        assert!(!text.contains("wrong-one") && !text.contains("right-one"), "{text}");
    }
}

#[test]
fn a_job_stops_when_it_is_cancelled_and_keeps_what_it_has() {
    let peer = okta(4000, millis(-3500), Duration::from_millis(30));
    let server = with_tenant();
    put(&server, "acme", "okta", &okta_source(&peer, "hush-hush"));
    eventually("a part is here", || stored(&server, "okta").0 >= 200);
    let jobs = server.admin.get("/v1/t/acme/jobs").ok();
    let id = jobs["items"][0]["id"].as_str().unwrap();
    // For an administrator of the tenant only.
    assert_eq!(server.tenant_key("acme", &["read"]).post(&format!("/v1/t/acme/jobs/{id}/cancel"), "").status, 403);
    assert_eq!(server.admin.post(&format!("/v1/t/acme/jobs/{id}/cancel"), "").status, 202);
    let job = ended(&server, id);
    assert_eq!(job["status"], "cancelled", "{job}");
    assert!(stored(&server, "okta").0 >= 200);
    // The source goes on by itself, as another job, from where it was.
    eventually("all of it is here", || stored(&server, "okta").0 >= 4000);
    assert_eq!(stored(&server, "okta"), (4000, 4000));
}

/// An audit log of entries at these milliseconds, as `authLog` gives it out.
fn contember(times: Vec<i64>) -> Peer {
    Peer::start(move |asked| {
        assert_eq!((asked.path.as_str(), asked.method.as_str()), ("/tenant", "POST"));
        assert_eq!(asked.authorization, "Bearer hush-hush");
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        assert!(!body["query"].as_str().unwrap().contains("offset"));
        let bound =
            |name: &str| body["variables"][name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let (after, before) = (bound("after"), bound("before"));
        let mut found: Vec<(i64, usize)> =
            times.iter().copied().zip(0..).filter(|(t, _)| (after..before).contains(t)).collect();
        found.sort_by_key(|f| std::cmp::Reverse(*f));
        let more = found.len() > 500;
        found.truncate(500);
        let entries: Vec<Value> = found
            .iter()
            .map(|(time, n)| {
                let at = jiff::Timestamp::from_millisecond(*time).unwrap();
                json!({ "id": format!("00000000-0000-4000-8000-{n:012}"), "createdAt": format!("{at:.3}"), "type": "login", "success": true,
                    "personId": "p1", "invokedByIdentityId": null, "targetPersonId": null, "personInputIdentifier": "a@example.org",
                    "errorCode": null, "errorMessage": null, "ipAddress": "192.0.2.1", "userAgent": "t", "identityProviderId": null,
                    "metadata": {}, "eventData": null })
            })
            .collect();
        Said::ok(json!({ "data": { "authLog": { "hasMore": more, "entries": entries } } }))
    })
}

#[test]
fn what_cannot_be_had_is_a_gap_with_its_bounds_signed_into_the_ledger() {
    let start = millis(-1800);
    // 700 spread out, then 600 within one millisecond: of those the query gives out 500.
    let mut times: Vec<i64> = (0..700).map(|n| start + n * 10).collect();
    let stuck = start + 100_000;
    times.extend(std::iter::repeat_n(stuck, 600));
    times.extend((0..50).map(|n| stuck + 1000 + n));
    let peer = contember(times);
    let server = with_tenant();
    let body = json!({ "system": "contember", "kind": "pull", "settings": { "url": peer.url, "interval_seconds": 1, "settle_seconds": 0, "since": at(-3600) },
        "secrets": { "token": "hush-hush" } });
    let made = put(&server, "acme", "audit", &body);
    assert_eq!(made.status, 201, "{made}");
    eventually("all that can be had is here", || stored(&server, "contember").0 >= 1250);
    let job = run(&server, "audit/check", "");
    assert_eq!(job["status"], "success", "{job}");
    assert_eq!(stored(&server, "contember"), (1250, 1250));

    let range = format!("from={}&to={}", at(-3500), at(-30));
    let answer = server.admin.get(&format!("/v1/t/acme/completeness?{range}")).ok();
    assert_eq!(answer["complete"], "no", "{answer}");
    let gap = &answer["sources"][0]["gaps"][0];
    let from: jiff::Timestamp = gap["from"].as_str().unwrap().parse().unwrap();
    let to: jiff::Timestamp = gap["to"].as_str().unwrap().parse().unwrap();
    assert_eq!((from.as_millisecond(), to.as_millisecond()), (stuck, stuck + 1), "{gap}");
    assert!(gap["why"].as_str().unwrap().contains("one millisecond"), "{gap}");
    let told = server.cli(&["gaps", "acme", "--from", &at(-3500), "--to", &at(-30)]);
    assert_eq!(told.code, Some(6), "{}{}", told.out, told.err);
    assert!(told.out.contains("records are missing"), "{}", told.out);
    // Beside the gap nothing is.
    let other = format!("from={}&to={}", at(-3500), at(-1900));
    assert_eq!(server.admin.get(&format!("/v1/t/acme/completeness?{other}")).ok()["complete"], "yes");

    // One entry of the kind *gap*, however often it was told, and its proof holds.
    let page = server.admin.page("acme", "audit-logs", &[("q", "action:indelible.gap")]);
    assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
    let id = crate::http::encode(page["items"][0]["id"].as_str().unwrap());
    let proof = server.admin.get(&format!("/v1/t/acme/records/{id}/proof")).ok();
    let entry = base64::engine::general_purpose::STANDARD.decode(proof["entry"].as_str().unwrap()).unwrap();
    assert_eq!((entry.len(), entry[1]), (47, 5), "{proof}");
    server.stop().verify().ok();
}

/// Of a list that was not asked for before nothing was compared.
#[test]
fn a_list_that_is_asked_for_from_now_on_is_read_from_the_beginning() {
    let events = (0..3).map(|n| login_event(n, millis(-1800) + n as i64)).collect();
    let realm = Arc::new(Mutex::new(Realm { events, ..Realm::default() }));
    let peer = keycloak(&realm);
    let server = with_tenant();
    put(&server, "acme", "kc", &keycloak_source(&peer, json!({ "admin_events": false })));
    eventually("the events are here", || stored(&server, "keycloak").0 == 3);
    run(&server, "kc/check", &json!({ "from": at(-3000), "to": at(-900) }).to_string());
    let range = format!("/v1/t/acme/completeness?from={}&to={}", at(-2900), at(-1000));
    assert_eq!(server.admin.get(&range).ok()["complete"], "yes");
    put(&server, "acme", "kc", &keycloak_source(&peer, json!({ "paused": true })));
    let answer = server.admin.get(&range).ok();
    assert_eq!(answer["complete"], "unknown", "{answer}");
}

#[test]
fn another_address_is_another_system_and_is_read_from_the_beginning() {
    let first = Peer::start(|_| Said::ok(json!([okta_event(1, millis(-60))])));
    let second = Peer::start(|_| Said::ok(json!([okta_event(2, millis(-1800))])));
    let server = with_tenant();
    put(&server, "acme", "okta", &okta_source(&first, "hush-hush"));
    eventually("the first is read", || stored(&server, "okta").0 == 1);
    run(&server, "okta/check", &json!({ "from": at(-3000), "to": at(-900) }).to_string());
    let mut body = okta_source(&second, "hush-hush");
    body["settings"]["paused"] = true.into();
    put(&server, "acme", "okta", &body);
    // Of the second nothing was compared.
    let answer = server.admin.get(&format!("/v1/t/acme/completeness?from={}&to={}", at(-2900), at(-1000))).ok();
    assert_eq!(answer["complete"], "unknown", "{answer}");
    run(&server, "okta/fetch", "");
    assert_eq!(stored(&server, "okta"), (2, 2));
}

#[test]
fn settings_that_cannot_work_are_refused_and_a_paused_source_is_left_alone() {
    let peer = okta(5, millis(-60), Duration::ZERO);
    let server = with_tenant();
    for (settings, secrets, says) in [
        (json!({}), json!({ "token": "t" }), "url"),
        (json!({ "url": peer.url }), json!({}), "token"),
        (json!({ "url": peer.url, "intervall_seconds": 1 }), json!({ "token": "t" }), "intervall_seconds"),
        (json!({ "url": peer.url, "interval_seconds": 0 }), json!({ "token": "t" }), "interval_seconds"),
        (json!({ "url": "https://me:pass@x.example" }), json!({ "token": "t" }), "user"),
    ] {
        let body = json!({ "system": "okta", "kind": "pull", "settings": settings, "secrets": secrets });
        let refused = put(&server, "acme", "okta", &body);
        let problem = refused.problem(400, "invalid_source");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{refused}");
    }
    let auth0 = json!({ "system": "auth0", "kind": "pull", "settings": { "url": peer.url }, "secrets": {} });
    put(&server, "acme", "a", &auth0).problem(400, "invalid_source");
    let mut body = okta_source(&peer, "hush-hush");
    body["settings"]["paused"] = true.into();
    put(&server, "acme", "okta", &body);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!((peer.asked(), &source(&server, "okta")["state"]), (0, &json!("paused")));
    // Unless somebody asks.
    assert_eq!(run(&server, "okta/fetch", "")["status"], "success");
    assert_eq!(stored(&server, "okta"), (5, 5));
    // A source that pushes cannot be asked, and nobody claims to know.
    put(&server, "acme", "pusher", &json!({ "system": "keycloak", "kind": "push" }));
    server.admin.post("/v1/t/acme/sources/pusher/check", "").problem(400, "invalid_source");
    let answer = server.admin.get("/v1/t/acme/completeness").ok();
    let pusher = answer["sources"].as_array().unwrap().iter().find(|s| s["source"] == "pusher").unwrap();
    assert_eq!(pusher["complete"], "unknown", "{pusher}");
}
