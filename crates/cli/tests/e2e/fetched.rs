//! Okta's System Log, Asgardeo's log search and Ory's project events, each by its own pages and tokens: what the system has is
//! here once, whatever happens on the way.
//!
//! The peers speak the recorded shapes; they are none of these systems. Keycloak and Contember are in `pull`.

use crate::peer::{Asked, Peer, Said};
use crate::pull::{ended, run, source, stored, with_tenant};
use crate::server::{Server, at, eventually};
use crate::sources::put;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Events that there are at first, and how many of them a page has.
const MANY: usize = 1000;
const PAGE: usize = 100;
/// Milliseconds between two of them.
const STEP: i64 = 3000;

/// How one system is played.
trait Played: Copy + Send + Sync + 'static {
    const SYSTEM: &'static str;
    /// The event with this number, as it is given out.
    fn event(self, n: usize, time: i64) -> Value;
    /// Begin and end of what was asked for, milliseconds, and the page's token. Checks all else of the request.
    fn asked(self, asked: &Asked) -> (i64, i64, String);
    /// A page, and the token of the next.
    fn page(self, list: Vec<Value>, next: Option<String>) -> Said;
    /// Settings and secrets of a source.
    fn source(self, url: &str) -> (Value, Value);
    /// What is answered that is not about events.
    fn login(self, _asked: &Asked) -> Option<Said> {
        None
    }
}

fn millis(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn written(millis: i64) -> String {
    format!("{:.3}", jiff::Timestamp::from_millisecond(millis).unwrap())
}

#[derive(Clone, Copy)]
struct Okta;

impl Played for Okta {
    const SYSTEM: &'static str = "okta";

    fn event(self, n: usize, time: i64) -> Value {
        let user = format!("00u{}", n % 9);
        json!({ "uuid": format!("0d1c-{n}"), "published": written(time), "version": "0", "severity": "INFO",
            "eventType": "user.session.start", "legacyEventType": "core.user_auth.login_success", "displayMessage": "User login to Okta",
            "actor": { "id": user, "type": "User", "alternateId": "ann@example.org", "displayName": "Ann", "detailEntry": null },
            "client": { "id": null, "device": "Computer", "ipAddress": "192.0.2.7", "zone": "null",
                "userAgent": { "rawUserAgent": "curl/8", "os": "Linux", "browser": "UNKNOWN" },
                "geographicalContext": { "city": "Brno", "state": null, "country": "CZ", "postalCode": 60200, "geolocation": { "lat": 49.19, "lon": 16.6 } } },
            "authenticationContext": { "externalSessionId": format!("102-{n}"), "authenticationStep": 0 },
            "outcome": { "result": "SUCCESS", "reason": null }, "target": null,
            "transaction": { "id": format!("T{n}"), "type": "WEB", "detail": {} }, "debugContext": { "debugData": { "requestUri": "/" } } })
    }

    fn asked(self, asked: &Asked) -> (i64, i64, String) {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", "/api/v1/logs"));
        assert_eq!((asked.authorization.as_str(), asked.param("sortOrder")), ("SSWS hush-hush", "ASCENDING"));
        (millis(asked.param("since")), millis(asked.param("until")), asked.param("after").to_owned())
    }

    fn page(self, list: Vec<Value>, next: Option<String>) -> Said {
        let link = |next| {
            ("Link".to_owned(), format!("<https://acme.okta.com/api/v1/logs?limit=100&after={next}>; rel=\"next\""))
        };
        let own = ("link".to_owned(), "<https://acme.okta.com/api/v1/logs>; rel=\"self\"".to_owned());
        Said::Answer(200, [own].into_iter().chain(next.map(link)).collect(), json!(list).to_string())
    }

    fn source(self, url: &str) -> (Value, Value) {
        (json!({ "url": url }), json!({ "token": "hush-hush" }))
    }
}

#[derive(Clone, Copy)]
struct Asgardeo;

impl Played for Asgardeo {
    const SYSTEM: &'static str = "asgardeo";

    fn event(self, n: usize, time: i64) -> Value {
        json!({ "id": format!("a1b2c3d4-e5f6-7890-abcd-{n:012}"), "recordedAt": written(time), "requestId": format!("r-{n}"),
            "initiatorId": "3c0dd3b7-f7f6-4e47-b6fc-3ea3cdbc6a4e", "initiatorType": "User", "targetId": format!("u{n}"),
            "targetType": "User", "action": "add-user", "data": { "Claims": { "country": "C*Z" } } })
    }

    fn login(self, asked: &Asked) -> Option<Said> {
        (asked.path == "/t/acme/oauth2/token").then(|| {
            assert_eq!(asked.body, "grant_type=client_credentials&client_id=indelible&client_secret=hush-hush");
            Said::ok(json!({ "access_token": "token-1", "token_type": "Bearer", "expires_in": 3600 }))
        })
    }

    /// Later pages name their token only, so that it has to know the span.
    fn asked(self, asked: &Asked) -> (i64, i64, String) {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/t/acme/api/asgardeo/v2/logs/audit/search"));
        assert_eq!(asked.authorization, "Bearer token-1");
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!((&body["limit"], &body["filter"]), (&json!(100), &json!("")));
        let Some(token) = body["nextToken"].as_str() else {
            assert_eq!(body["logType"], 1);
            let bound = |name: &str| body[name].as_str().unwrap().parse().unwrap();
            return (bound("startTime"), bound("endTime"), String::new());
        };
        assert_eq!(body.as_object().unwrap().len(), 3, "{body}");
        let parts: Vec<&str> = token.split('_').collect();
        (parts[0].parse().unwrap(), parts[1].parse().unwrap(), token.to_owned())
    }

    fn page(self, list: Vec<Value>, next: Option<String>) -> Said {
        let mut body = json!({ "logs": list, "previousToken": "before" });
        if let Some(next) = next {
            body["nextToken"] = next.into();
        }
        Said::ok(body)
    }

    fn source(self, url: &str) -> (Value, Value) {
        (json!({ "url": format!("{url}/t/acme"), "client_id": "indelible" }), json!({ "client_secret": "hush-hush" }))
    }
}

#[derive(Clone, Copy)]
struct Ory;

impl Played for Ory {
    const SYSTEM: &'static str = "ory-network";

    fn event(self, n: usize, time: i64) -> Value {
        let pairs =
            [("IdentityID", format!("i{}", n % 9)), ("SessionID", format!("s{n}")), ("ClientIP", "192.0.2.7".into())];
        let pairs: Vec<Value> = pairs.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
        json!({ "name": "SessionIssued", "timestamp": written(time), "attributes": pairs })
    }

    fn asked(self, asked: &Asked) -> (i64, i64, String) {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", "/projects/p1/events"));
        assert_eq!((asked.authorization.as_str(), asked.param("page_size")), ("Bearer hush-hush", "500"));
        (millis(asked.param("from")), millis(asked.param("to")), asked.param("page_token").to_owned())
    }

    fn page(self, list: Vec<Value>, next: Option<String>) -> Said {
        Said::ok(json!({ "events": list, "page_token": next }))
    }

    fn source(self, url: &str) -> (Value, Value) {
        (json!({ "url": url, "path": "/projects/p1/events" }), json!({ "token": "hush-hush" }))
    }
}

/// What the system keeps, and how its requests for events went.
#[derive(Default)]
struct Kept {
    events: Vec<(i64, Value)>,
    /// How many of the next requests are too many.
    limited: usize,
    /// It answers nothing any more, and always that there is more.
    hollow: bool,
    /// Its tokens are good no more.
    expired: bool,
    /// When it was asked, and whether that was too soon.
    asked: Vec<(Instant, bool)>,
}

/// A token is `{begin}_{end}_{offset}`. Before the offsets that end with 00 and begin with a 3, 6 or 9 comes a page with nothing on
/// it that leads on all the same: its offset begins with an `x`.
fn peer(played: impl Played, kept: &Arc<Mutex<Kept>>) -> Peer {
    let kept = Arc::clone(kept);
    Peer::start(move |asked| {
        if let Some(said) = played.login(asked) {
            return said;
        }
        std::thread::sleep(Duration::from_millis(30));
        let (begin, end, token) = played.asked(asked);
        let mut kept = kept.lock().unwrap();
        let limited = kept.limited > 0;
        kept.asked.push((Instant::now(), limited));
        if limited {
            kept.limited -= 1;
            return Said::Answer(429, vec![("Retry-After".into(), "1".into())], "{}".into());
        }
        let offset = token.rsplit('_').next().unwrap();
        if kept.expired && !offset.is_empty() {
            return Said::status(400);
        }
        if kept.hollow {
            let n: usize = offset.parse().unwrap_or(0);
            return played.page(Vec::new(), Some(format!("{begin}_{end}_{}", n + 1)));
        }
        if let Some(offset) = offset.strip_prefix('x') {
            return played.page(Vec::new(), Some(format!("{begin}_{end}_{offset}")));
        }
        let offset: usize = offset.parse().unwrap_or(0);
        let found: Vec<&Value> =
            kept.events.iter().filter(|(at, _)| (begin..=end).contains(at)).map(|e| &e.1).collect();
        let list: Vec<Value> = found.iter().skip(offset).take(PAGE).map(|e| (*e).clone()).collect();
        let next = offset + list.len();
        let empty = if next.is_multiple_of(300) { "x" } else { "" };
        let next = (next < found.len()).then(|| format!("{begin}_{end}_{empty}{next}"));
        played.page(list, next)
    })
}

fn jobs(server: &Server, kind: &str) -> Vec<Value> {
    let all = server.admin.get("/v1/t/acme/jobs").ok();
    all["items"].as_array().unwrap().iter().filter(|job| job["type"] == kind).cloned().collect()
}

/// `pushed` of them came before by themselves.
fn what_is_there_is_here_once<P: Played>(played: P, pushed: usize) {
    let start = millis(&at(-3600));
    let time = |n: usize| start + n as i64 * STEP;
    let events: Vec<(i64, Value)> = (0..MANY).map(|n| (time(n), played.event(n, time(n)))).collect();
    let mut server = with_tenant();
    if pushed > 0 {
        let lines: Vec<String> = events.iter().take(pushed).map(|e| e.1.to_string()).collect();
        let answer = server.admin.post(&format!("/v1/t/acme/ingest/{}", P::SYSTEM), lines.join("\n")).ok();
        assert_eq!((&answer["accepted"], &answer["unparsed"]), (&json!(pushed), &json!(0)), "{answer}");
    }
    let kept = Arc::new(Mutex::new(Kept { events, limited: 2, ..Kept::default() }));
    let peer = peer(played, &kept);
    let (mut settings, secrets) = played.source(&peer.url);
    let more = json!({ "interval_seconds": 1, "settle_seconds": 0, "since": at(-3700) });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let body = json!({ "system": P::SYSTEM, "kind": "pull", "settings": settings, "secrets": secrets });
    let made = put(&server, "acme", "theirs", &body);
    assert_eq!(made.status, 201, "{made}");

    // Killed in the middle, twice; the second time it is told to wait as well.
    for part in [250, 600] {
        eventually("a part is here", || stored(&server, P::SYSTEM).0 >= part);
        let home = server.kill();
        // What the one that was killed had asked is answered by then.
        std::thread::sleep(Duration::from_millis(200));
        kept.lock().unwrap().limited = 1;
        server = home.start();
    }
    let all = |n: usize| (n as u64, n as u64);
    eventually("all of it is here", || stored(&server, P::SYSTEM).0 >= MANY as u64);
    assert_eq!(stored(&server, P::SYSTEM), all(MANY), "each once, and those that were pushed no second time");
    let first = jobs(&server, "fetch").pop().unwrap();
    let job = ended(&server, first["id"].as_str().unwrap());
    assert_eq!((&job["status"], &job["tries"]), (&json!("success"), &json!(3)), "gone on with after each kill: {job}");
    {
        let kept = kept.lock().unwrap();
        let soon = kept.asked.windows(2).filter(|pair| pair[0].1 && !pair[1].1);
        let waits: Vec<Duration> = soon.map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(!waits.is_empty() && waits.iter().all(|wait| *wait >= Duration::from_millis(950)), "{waits:?}");
        let refused = kept.asked.iter().filter(|(_, limited)| *limited).count();
        assert!((3..=4).contains(&refused) && kept.limited == 0, "{refused}");
    }

    // The comparison that comes by itself is over. Then comes one that is an hour late: only another comparison finds it.
    let over = || jobs(&server, "check").iter().any(|job| job["status"] == "success");
    eventually("it was compared", over);
    kept.lock().unwrap().events.push((time(3) + 1, played.event(MANY, time(3) + 1)));
    let job = run(&server, "theirs/check", "");
    assert_eq!((&job["status"], &job["type"]), (&json!("success"), &json!("check")), "{job}");
    assert!(job["message"].as_str().unwrap().contains("1 were missing"), "{job}");
    assert_eq!(stored(&server, P::SYSTEM), all(MANY + 1));
    let range = format!("from={}&to={}", at(-3650), at(-30));
    let answer = server.admin.get(&format!("/v1/t/acme/completeness?{range}")).ok();
    let told = answer["sources"].as_array().unwrap().iter().find(|s| s["source"] == "theirs").unwrap();
    match P::SYSTEM {
        "asgardeo" => {
            assert_eq!(told["complete"], "unknown", "{told}");
            assert!(told["unknown"].to_string().contains("unofficial"), "{told}");
        }
        _ => assert_eq!(told["complete"], "yes", "{told}"),
    }

    // A source that is made anew reads all of it again: duplicates, none of them another record.
    assert_eq!(server.admin.delete("/v1/t/acme/sources/theirs").status, 204);
    put(&server, "acme", "theirs", &body);
    eventually("it is read again", || source(&server, "theirs")["received"].as_u64().unwrap() > MANY as u64);
    let shown = source(&server, "theirs");
    assert_eq!((&shown["duplicate"], &shown["refused"]), (&shown["received"], &json!(0)), "{shown}");
    assert_eq!(stored(&server, P::SYSTEM), all(MANY + 1));
    let metrics = server.admin.anonymous().get("/metrics").text();
    assert!(!metrics.contains("id_conflict"), "{metrics}");
    assert!(!server.home.logs().contains("hush-hush"));
    server.stop().verify().ok();
}

#[test]
fn okta() {
    what_is_there_is_here_once(Okta, 10);
}

#[test]
fn asgardeo() {
    what_is_there_is_here_once(Asgardeo, 10);
}

/// Its streamed events have another form than those it is asked for, so none is pushed (see the guide).
#[test]
fn ory() {
    what_is_there_is_here_once(Ory, 0);
}

/// Pages without an end are no end: that nothing is missing is not said of them.
#[test]
fn what_leads_on_for_ever_and_has_nothing_on_it_is_no_answer() {
    let server = with_tenant();
    let kept = Arc::new(Mutex::new(Kept { hollow: true, ..Kept::default() }));
    let peer = peer(Okta, &kept);
    let (settings, secrets) = Okta.source(&peer.url);
    let body = json!({ "system": "okta", "kind": "pull", "settings": settings, "secrets": secrets });
    assert_eq!(put(&server, "acme", "theirs", &body).status, 201);
    let mut shown = Value::Null;
    eventually("it is told", || {
        shown = source(&server, "theirs");
        shown["last_error"].as_str().is_some_and(|why| why.contains("100 empty pages"))
    });
    let range = format!("from={}&to={}", at(-3650), at(-30));
    let answer = server.admin.get(&format!("/v1/t/acme/completeness?{range}")).ok();
    assert_ne!(answer["complete"], "yes", "{answer}");
}

#[test]
fn a_token_that_is_good_no_more_is_given_up_and_the_window_asked_for_again() {
    let server = with_tenant();
    let start = millis(&at(-3600));
    let event = |n: usize| (start + n as i64 * STEP, Okta.event(n, start + n as i64 * STEP));
    let kept =
        Arc::new(Mutex::new(Kept { events: (0..3 * PAGE).map(event).collect(), expired: true, ..Kept::default() }));
    let peer = peer(Okta, &kept);
    let (mut settings, secrets) = Okta.source(&peer.url);
    settings["since"] = at(-3700).into();
    settings["interval_seconds"] = 1.into();
    let body = json!({ "system": "okta", "kind": "pull", "settings": settings, "secrets": secrets });
    assert_eq!(put(&server, "acme", "theirs", &body).status, 201);
    eventually("it fails", || source(&server, "theirs")["last_error"].is_string());
    assert_eq!(stored(&server, "okta").0, PAGE as u64, "the first page is here");
    kept.lock().unwrap().expired = false;
    run(&server, "theirs/fetch", "");
    assert_eq!(stored(&server, "okta"), (3 * PAGE as u64, 3 * PAGE as u64));
}
