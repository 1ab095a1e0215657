//! Fetching what does not come at once: pages that are too large, systems that say to come back later, sources that are paused.

use crate::peer::{Peer, Said};
use crate::pull::{ended, millis, okta, okta_event, okta_source, run, source, stored, with_tenant};
use crate::server::{Server, at, eventually};
use crate::sources::put;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A System Log that is asked with `since`, `until`, `limit` and `after`, as Okta's is.
fn log(events: Vec<(i64, Value)>) -> Peer {
    // Written once: they are large, and are asked for many times.
    let events: Vec<(i64, String)> = events.into_iter().map(|(time, event)| (time, event.to_string())).collect();
    Peer::start(move |asked| {
        let bound = |name: &str| asked.param(name).parse::<jiff::Timestamp>().unwrap().as_microsecond();
        let (since, until) = (bound("since"), bound("until"));
        let found: Vec<_> = events.iter().filter(|(time, _)| (since..until).contains(&(time * 1000))).collect();
        let after: usize = asked.param("after").parse().unwrap_or(0);
        let limit: usize = asked.param("limit").parse().unwrap();
        let page: Vec<&str> = found.iter().skip(after).take(limit).map(|(_, event)| event.as_str()).collect();
        let mut headers = Vec::new();
        if after + page.len() < found.len() {
            headers.push(("Link".into(), format!("<https://x.example/?after={}>; rel=\"next\"", after + page.len())));
        }
        Said::Answer(200, headers, format!("[{}]", page.join(",")))
    })
}

#[test]
fn a_page_that_is_too_large_comes_in_parts_and_a_record_that_is_is_a_gap() {
    let start = millis(-1800);
    let mut events: Vec<(i64, Value)> = (0..40)
        .map(|n| {
            let mut event = okta_event(n, start + n as i64 * 1000);
            event["debugContext"] = json!({ "debugData": { "much": "x ".repeat(230 << 10) } });
            (start + n as i64 * 1000, event)
        })
        .collect();
    let huge = start + 20_500;
    let mut event = okta_event(77, huge);
    event["debugContext"] = json!({ "debugData": { "much": "x".repeat(17 << 20) } });
    events.insert(21, (huge, event));
    let peer = log(events);
    let server = with_tenant();
    put(&server, "acme", "okta", &okta_source(&peer, "hush-hush"));
    eventually("all but the one are here", || stored(&server, "okta").0 >= 40);
    let job = run(&server, "okta/check", "");
    assert_eq!(job["status"], "success", "{job}");
    assert_eq!(stored(&server, "okta"), (40, 40));
    let shown = source(&server, "okta");
    assert_eq!((&shown["failures"], &shown["last_error"]), (&json!(0), &Value::Null), "{shown}");
    let answer = server.admin.get(&format!("/v1/t/acme/completeness?from={}&to={}", at(-3500), at(-60))).ok();
    assert_eq!(answer["complete"], "no", "{answer}");
    let gaps = answer["sources"][0]["gaps"].as_array().unwrap();
    let bound = |name: &str| gaps[0][name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_microsecond();
    assert_eq!((gaps.len(), bound("from"), bound("to")), (1, huge * 1000, huge * 1000 + 1000), "{answer}");
    assert!(gaps[0]["why"].as_str().unwrap().contains("larger than 16 MiB"), "{answer}");
    // Fetched and compared, and told once.
    let told = server.admin.page("acme", "audit-logs", &[("q", "action:indelible.gap")]);
    assert_eq!(told["items"].as_array().unwrap().len(), 1, "{told}");
}

#[test]
fn a_system_that_says_to_come_back_much_later_is_waited_for() {
    let busy = Arc::new(AtomicBool::new(true));
    let is_busy = Arc::clone(&busy);
    let peer = Peer::start(move |_| {
        if is_busy.load(Ordering::Relaxed) {
            return Said::Answer(429, vec![("Retry-After".into(), "90".into())], "{}".into());
        }
        Said::ok(json!([okta_event(1, millis(-60))]))
    });
    let server = with_tenant();
    let mut body = okta_source(&peer, "hush-hush");
    body["settings"]["paused"] = true.into();
    put(&server, "acme", "okta", &body);
    let made = server.admin.post("/v1/t/acme/sources/okta/fetch", "").json();
    let id = made["id"].as_str().unwrap();
    let job = || server.admin.get(&format!("/v1/t/acme/jobs/{id}")).ok();
    eventually("it says what it waits for", || job()["message"].as_str().unwrap().contains("waiting until 20"));
    assert_eq!((&job()["status"], &job()["stacktrace"]), (&json!("running"), &json!("")), "{}", job());
    let shown = source(&server, "okta");
    assert!(shown["last_error"].as_str().unwrap().contains("status 429"), "{shown}");
    assert_eq!(shown["failures"], 0, "{shown}");
    // It can be stopped meanwhile.
    let other = server.admin.post("/v1/t/acme/sources/okta/fetch", "").json();
    assert_eq!(server.admin.post(&format!("/v1/t/acme/jobs/{id}/cancel"), "").status, 202);
    assert_eq!(ended(&server, id)["status"], "cancelled");
    // And a source that is changed is not waited for any longer: the job is begun anew.
    let id = other["id"].as_str().unwrap();
    let job = || server.admin.get(&format!("/v1/t/acme/jobs/{id}")).ok();
    eventually("the next waits", || job()["message"].as_str().unwrap().contains("waiting until"));
    busy.store(false, Ordering::Relaxed);
    body["settings"]["overlap_seconds"] = 60.into();
    assert_eq!(put(&server, "acme", "okta", &body).status, 200);
    let job = ended(&server, id);
    assert_eq!((&job["status"], &job["tries"]), (&json!("success"), &json!(2)), "{job}");
    assert_eq!(stored(&server, "okta"), (1, 1));
}

#[test]
fn a_job_of_a_paused_source_waits_after_a_restart() {
    let peer = okta(400, millis(-3500), Duration::from_millis(400));
    let mut server = with_tenant();
    let mut body = okta_source(&peer, "hush-hush");
    put(&server, "acme", "okta", &body);
    eventually("a part is here", || stored(&server, "okta").0 >= 100);
    let list = server.admin.get("/v1/t/acme/jobs").ok();
    let id = list["items"][0]["id"].as_str().unwrap().to_owned();
    // Killed before the run sees that its source is paused.
    body["settings"]["paused"] = true.into();
    put(&server, "acme", "okta", &body);
    let made = server.admin.post("/v1/t/acme/sources/okta/fetch", "").json();
    server = server.kill().start();
    let asked = peer.asked();
    let job = |id: &str| server.admin.get(&format!("/v1/t/acme/jobs/{id}")).ok();
    let by_hand = made["id"].as_str().unwrap();
    eventually("it says why it waits", || job(by_hand)["message"].as_str().unwrap().contains("paused"));
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!((peer.asked(), &source(&server, "okta")["state"]), (asked, &json!("paused")));
    assert!(stored(&server, "okta").0 < 400);
    body["settings"]["paused"] = false.into();
    put(&server, "acme", "okta", &body);
    assert_eq!(ended(&server, by_hand)["status"], "success");
    assert!(["success", "cancelled"].contains(&ended(&server, &id)["status"].as_str().unwrap()));
    assert_eq!(stored(&server, "okta"), (400, 400));
}

#[test]
fn a_record_that_cannot_be_stored_is_a_gap_and_those_beside_it_are_here() {
    let times = [millis(-600), millis(-599), millis(-598)];
    let peer = Peer::start(move |_| {
        let mut list: Vec<Value> = times.iter().enumerate().map(|(n, time)| okta_event(n, *time)).collect();
        list[1]["debugContext"] = json!({ "debugData": { "much": "x".repeat(3 << 20) } });
        Said::ok(json!(list))
    });
    let server = with_tenant();
    put(&server, "acme", "okta", &okta_source(&peer, "hush-hush"));
    eventually("the others are here", || stored(&server, "okta").0 == 2);
    run(&server, "okta/check", &json!({ "from": at(-3000), "to": at(-60) }).to_string());
    let answer = server.admin.get(&format!("/v1/t/acme/completeness?from={}&to={}", at(-2900), at(-100))).ok();
    assert_eq!(answer["complete"], "no", "{answer}");
    // Told of at its own moment, by its name, with the reason; beside it nothing is missing.
    let gaps = answer["sources"][0]["gaps"].as_array().unwrap();
    let moment: jiff::Timestamp = gaps[0]["from"].as_str().unwrap().parse().unwrap();
    assert_eq!((gaps.len(), moment.as_millisecond()), (1, times[1]), "{answer}");
    let why = gaps[0]["why"].as_str().unwrap();
    assert!(why.starts_with("the record okta-1 cannot be stored (record_too_large): "), "{why}");
    let other = format!("from={}&to={}", at(-2900), at(-600));
    assert_eq!(server.admin.get(&format!("/v1/t/acme/completeness?{other}")).ok()["complete"], "yes");
    let told = server.admin.page("acme", "records", &[("q", "action:indelible.gap")]);
    assert!(told["items"][0]["message"].as_str().unwrap().contains("okta-1"), "{told}");
    assert!(source(&server, "okta")["refused"].as_u64().unwrap() >= 1);
}

#[test]
fn a_gap_is_filled_by_a_push_of_the_record_and_by_the_source_itself() {
    let times = [millis(-600), millis(-599), millis(-598)];
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = Arc::clone(&is_mended);
    let peer = Peer::start(move |_| {
        let mut list: Vec<Value> = times.iter().enumerate().map(|(n, time)| okta_event(n, *time)).collect();
        let much = json!({ "debugData": { "much": "x".repeat(3 << 20) } });
        list[1]["debugContext"] = much.clone();
        if !mended.load(Ordering::Relaxed) {
            list[2]["debugContext"] = much;
        }
        Said::ok(json!(list))
    });
    let server = with_tenant();
    put(&server, "acme", "okta", &okta_source(&peer, "hush-hush"));
    let span = json!({ "from": at(-3000), "to": at(-60) }).to_string();
    let range = format!("from={}&to={}", at(-2900), at(-100));
    let of = |server: &Server| server.admin.get(&format!("/v1/t/acme/completeness?{range}")).ok();
    let count = |answer: &Value, what: &str| answer["sources"][0][what].as_array().unwrap().len();
    run(&server, "okta/check", &span);
    assert_eq!((count(&of(&server), "gaps"), count(&of(&server), "filled")), (2, 0), "{}", of(&server));
    // Compared again with nothing new, it is as before.
    run(&server, "okta/check", &span);
    assert_eq!((count(&of(&server), "gaps"), count(&of(&server), "filled")), (2, 0), "{}", of(&server));
    // Somebody sends the first in a form that can be stored; the source still gives the other.
    let sent = server.admin.post("/v1/t/acme/ingest/okta", okta_event(1, times[1]).to_string()).ok();
    assert_eq!(sent["accepted"], 1, "{sent}");
    let job = run(&server, "okta/check", &span);
    let answer = of(&server);
    assert_eq!(
        (&answer["complete"], count(&answer, "gaps"), count(&answer, "filled")),
        (&json!("no"), 1, 1),
        "{answer}"
    );
    let filled = &answer["sources"][0]["filled"][0];
    assert!(filled["why"].as_str().unwrap().contains("okta-1"), "{filled}");
    assert!(filled["filled_by"].as_str().unwrap().contains(job["id"].as_str().unwrap()), "{filled}");
    // The source gives the second in a form that can be stored.
    is_mended.store(true, Ordering::Relaxed);
    let server = server.kill().start();
    run(&server, "okta/check", &span);
    let answer = of(&server);
    assert_eq!((&answer["complete"], count(&answer, "filled")), (&json!("yes"), 2), "{answer}");
    let told = server.admin.page("acme", "audit-logs", &[("q", "action:indelible.gap.filled")]);
    assert_eq!(told["items"].as_array().unwrap().len(), 2, "{told}");
    is_mended.store(false, Ordering::Relaxed);
    run(&server, "okta/check", &span);
    assert_eq!(of(&server)["complete"], "yes", "what is here stays here, however the source writes it now");
    server.stop().verify().ok();
}

/// A server that has what Okta has of the thirty days it was asked for, of which that keeps two; the source as it was put, too.
fn with_short_memory(peer: &Peer) -> (Server, Value) {
    let server = with_tenant();
    let mut body = okta_source(peer, "hush-hush");
    body["settings"]["since"] = at(-30 * 86_400).into();
    body["settings"]["retention_days"] = 2.into();
    put(&server, "acme", "okta", &body);
    eventually("what there is is here", || stored(&server, "okta").0 == 10);
    (server, body)
}

#[test]
fn a_gap_from_which_nothing_comes_stays_one() {
    let peer = okta(10, millis(-600), Duration::ZERO);
    let (server, mut body) = with_short_memory(&peer);
    let range = format!("from={}&to={}", at(-10 * 86_400), at(-5 * 86_400));
    let complete = || server.admin.get(&format!("/v1/t/acme/completeness?{range}")).ok()["complete"].clone();
    assert_eq!(complete(), "no");
    // The settings say by now that all of it could be had. What was there may be gone all the same.
    body["settings"]["retention_days"] = 60.into();
    put(&server, "acme", "okta", &body);
    let span = json!({ "from": at(-31 * 86_400), "to": at(-86_400) }).to_string();
    assert_eq!(run(&server, "okta/check", &span)["status"], "success");
    assert_eq!(complete(), "no");
}

#[test]
fn open_gaps_are_looked_at_again_with_every_comparison() {
    let times = [millis(-600), millis(-599)];
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = Arc::clone(&is_mended);
    let peer = Peer::start(move |_| {
        let mut list: Vec<Value> = times.iter().enumerate().map(|(n, time)| okta_event(n, *time)).collect();
        if !mended.load(Ordering::Relaxed) {
            list[1]["debugContext"] = json!({ "debugData": { "much": "x".repeat(3 << 20) } });
        }
        Said::ok(json!(list))
    });
    let server = with_tenant();
    put(&server, "acme", "okta", &okta_source(&peer, "hush-hush"));
    let range = format!("from={}&to={}", at(-2900), at(-100));
    let of = |server: &Server| server.admin.get(&format!("/v1/t/acme/completeness?{range}")).ok();
    run(&server, "okta/check", &json!({ "from": at(-3000), "to": at(-60) }).to_string());
    assert_eq!(of(&server)["complete"], "no", "{}", of(&server));
    is_mended.store(true, Ordering::Relaxed);
    // The first comparison of a process is made at once.
    let server = server.stop().start();
    eventually("it is found to be here", || of(&server)["complete"] == "yes");
    server.stop().verify().ok();
}

#[test]
fn answers_that_are_all_too_large_are_a_failure_and_not_a_gap_for_each_millisecond() {
    let body = format!("[\"{}\"]", "x".repeat(17 << 20));
    let peer = Peer::start(move |_| Said::Answer(200, Vec::new(), body.clone()));
    let server = with_tenant();
    put(&server, "acme", "okta", &okta_source(&peer, "hush-hush"));
    eventually("it is told", || source(&server, "okta")["failures"].as_u64().is_some_and(|failures| failures > 0));
    let shown = source(&server, "okta");
    assert!(shown["last_error"].as_str().unwrap().contains("every answer is larger"), "{shown}");
    let told = server.admin.page("acme", "audit-logs", &[("q", "action:indelible.gap")]);
    assert_eq!(told["items"], json!([]), "nothing that could be read says that a record is too large");
    assert_eq!(run(&server, "okta/check", "")["status"], "failed");
    let told = server.admin.page("acme", "audit-logs", &[("q", "action:indelible.gap")]);
    assert_eq!(told["items"], json!([]), "{told}");
}

#[test]
fn what_a_system_says_of_a_secret_is_not_said_again() {
    let peer = Peer::start(|_| Said::ok(json!({ "errors": [{ "message": "no such thing for Bearer hush-hush" }] })));
    let server = with_tenant();
    let body = json!({ "system": "contember", "kind": "pull", "settings": { "url": peer.url, "interval_seconds": 1, "since": at(-3600) },
        "secrets": { "token": "hush-hush" } });
    put(&server, "acme", "audit", &body);
    eventually("it is told", || source(&server, "audit")["last_error"].is_string());
    let shown = source(&server, "audit");
    assert!(shown["last_error"].as_str().unwrap().contains("no such thing"), "{shown}");
    let jobs = server.admin.get("/v1/t/acme/jobs").ok();
    for told in [shown, jobs] {
        assert!(!told.to_string().contains("hush-hush"), "{told}");
    }
}

#[test]
fn what_a_source_does_not_keep_so_long_is_a_gap() {
    let peer = okta(10, millis(-600), Duration::ZERO);
    let (server, _) = with_short_memory(&peer);
    let answer =
        server.admin.get(&format!("/v1/t/acme/completeness?from={}&to={}", at(-10 * 86_400), at(-5 * 86_400))).ok();
    assert_eq!(answer["complete"], "no", "{answer}");
    assert!(answer["sources"][0]["gaps"][0]["why"].as_str().unwrap().contains("does not keep"), "{answer}");
}

#[test]
fn a_job_of_a_source_that_is_gone_ends() {
    let peer = okta(4000, millis(-3500), Duration::from_millis(30));
    let server = with_tenant();
    put(&server, "acme", "okta", &okta_source(&peer, "hush-hush"));
    eventually("a part is here", || stored(&server, "okta").0 >= 100);
    let waits = server.admin.post("/v1/t/acme/sources/okta/fetch", "").json();
    assert_eq!(server.admin.delete("/v1/t/acme/sources/okta").status, 204);
    let job = ended(&server, waits["id"].as_str().unwrap());
    assert_eq!(job["status"], "failed", "{job}");
    assert!(job["message"].as_str().unwrap().contains("no such source"), "{job}");
    let all = server.admin.get("/v1/t/acme/jobs").ok();
    let before = all["items"].as_array().unwrap().iter().find(|j| j["id"] != waits["id"]).unwrap().clone();
    assert_eq!(ended(&server, before["id"].as_str().unwrap())["status"], "cancelled");
}
