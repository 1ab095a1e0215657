//! Fetching by a clock that is wrong for a while: what it counted as asked for and compared is asked for and compared again.

use crate::peer::{Peer, Said};
use crate::pull::{millis, okta_event, okta_source, run, source, stored};
use crate::server::{Home, Server, at, eventually};
use crate::sources::put;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// A clock that is ahead by the seconds in a file, for a program that it is loaded into.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *out) {
    int done = syscall(SYS_clock_gettime, clock, out);
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return done;
    char text[32] = {0};
    int file = open(getenv("CLOCK_AHEAD"), O_RDONLY);
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) > 0) out->tv_sec += atol(text);
        close(file);
    }
    return done;
}
"#;

/// A server whose clock is ahead by what the file says.
fn with_clock(ahead: &str) -> (Server, PathBuf) {
    let home = Home::new(&[]);
    let (code, library, file) = (home.path().join("clock.c"), home.path().join("clock.so"), home.path().join("ahead"));
    std::fs::write(&code, CLOCK).unwrap();
    set(&file, ahead);
    let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&code).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let home = home.env("LD_PRELOAD", library.to_str().unwrap()).env("CLOCK_AHEAD", file.to_str().unwrap());
    (home.start(), file)
}

/// In one step: who reads it in between would see a clock that is right.
fn set(file: &Path, ahead: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, ahead).unwrap();
    std::fs::rename(&new, file).unwrap();
}

#[test]
fn what_was_asked_for_by_a_clock_that_was_ahead_is_asked_for_again() {
    let events: Arc<Mutex<Vec<i64>>> = Arc::new(Mutex::new(vec![millis(-600)]));
    let list = Arc::clone(&events);
    let peer = Peer::start(move |asked| {
        let bound = |name: &str| asked.param(name).parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let span = bound("since")..bound("until");
        let list = list.lock().unwrap();
        let found = list.iter().enumerate().filter(|(_, time)| span.contains(*time));
        Said::ok(found.map(|(n, time)| okta_event(n, *time)).collect::<Value>())
    });
    let (server, clock) = with_clock("7200");
    assert_eq!(server.admin.put("/v1/t/acme", "{}").status, 201);
    put(&server, "acme", "okta", &okta_source(&peer, "hush-hush"));
    let told = |to: &str| server.admin.get(&format!("/v1/t/acme/completeness?from={}&to={to}", at(-3000))).ok();
    eventually("it was compared, two hours too far", || told(&at(7100))["complete"] == "yes");
    assert_eq!(stored(&server, "okta"), (1, 1));

    // It is set right, and something happens.
    set(&clock, "0");
    events.lock().unwrap().push(millis(0));
    eventually("what happened is here", || stored(&server, "okta").0 == 2);
    let shown = source(&server, "okta");
    assert!(shown["lag_seconds"].as_u64().is_some_and(|lag| lag < 60), "{shown}");
    // Of what came since nobody knows yet.
    assert_eq!(told(&at(0))["complete"], "unknown", "{}", told(&at(0)));
    assert_eq!(run(&server, "okta/check", "")["status"], "success");
    let told = told(&at(-2));
    assert_eq!(told["complete"], "yes", "{told}");
    let compared = told["sources"][0]["compared"].as_array().unwrap();
    assert!(compared.iter().all(|span| span["checked_at"].as_str().unwrap() <= at(1).as_str()), "{told}");
    let told = server.admin.page("acme", "audit-logs", &[("q", "action:indelible.gap")]);
    assert_eq!(told["items"], json!([]), "{told}");
}
