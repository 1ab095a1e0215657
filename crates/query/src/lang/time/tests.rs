use proptest::prelude::*;

use super::*;

fn clock(now: &str, zone: &str) -> Clock {
    Clock::new(now.parse().unwrap(), TimeZone::get(zone).unwrap())
}

fn read(text: &str) -> String {
    read_in(text, &clock("2026-11-20T12:34:56Z", "UTC"))
}

fn read_in(text: &str, clock: &Clock) -> String {
    match parse(text, clock) {
        Ok(p) if p.is_instant() => rfc3339(p.start),
        Ok(p) => format!("{} {}", rfc3339(p.start), rfc3339(p.end)),
        Err(e) => e.code.to_owned(),
    }
}

#[test]
fn the_grammar() {
    for (text, expected) in [
        ("2026-11-03T10:00:00Z", "2026-11-03T10:00:00Z"),
        ("2026-11-03t10:00:00.25z", "2026-11-03T10:00:00.25Z"),
        ("2026-11-03T10:00:00+02:00", "2026-11-03T08:00:00Z"),
        ("2026-11-03 10:00:00-0530", "2026-11-03T15:30:00Z"),
        ("2026-11-03T10:00", "2026-11-03T10:00:00Z"),
        ("2026-06-30T23:59:60Z", "2026-06-30T23:59:59Z"),
        ("2026-11-03", "2026-11-03T00:00:00Z 2026-11-04T00:00:00Z"),
        ("2024-02-29", "2024-02-29T00:00:00Z 2024-03-01T00:00:00Z"),
        ("now", "2026-11-20T12:34:56Z"),
        ("now-7d", "2026-11-13T12:34:56Z"),
        ("now-90s", "2026-11-20T12:33:26Z"),
        ("now+1h", "2026-11-20T13:34:56Z"),
        ("now-1M", "2026-10-20T12:34:56Z"),
        ("now-1y+1w", "2025-11-27T12:34:56Z"),
        ("now-1d/d", "2026-11-19T00:00:00Z 2026-11-20T00:00:00Z"),
        ("now/h", "2026-11-20T12:00:00Z 2026-11-20T13:00:00Z"),
        ("now/m", "2026-11-20T12:34:00Z 2026-11-20T12:35:00Z"),
        ("now/w", "2026-11-16T00:00:00Z 2026-11-23T00:00:00Z"),
        ("now/M", "2026-11-01T00:00:00Z 2026-12-01T00:00:00Z"),
        ("now-1y/y", "2025-01-01T00:00:00Z 2026-01-01T00:00:00Z"),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn what_is_refused_says_why() {
    for text in [
        "",
        "yesterday",
        "2026-13-01",
        "2026-02-30",
        "2026-11-03T25:00:00Z",
        "2026-11-03T10:00:00+25:00",
        "2026-11-03T1:00",
        "now-",
        "now-7",
        "now-7x",
        "now7d",
        "now/d-1d",
        "now/",
        "now-99999999999999999999d",
        "now-9999999999d",
        "now-20000y",
        "1763640000",
        "1763640000000",
        "-5",
        "17.5",
        "2026-11-03T10:00:00.Z",
        "２０２６-11-03",
        "2026-11-0３",
    ] {
        assert_eq!(read(text), "bad_time", "{text}");
    }
    let epoch = parse("1763640000", &clock("2026-11-20T12:00:00Z", "UTC")).unwrap_err();
    assert_eq!(epoch.suggestion.as_deref(), Some("2025-11-20T12:00:00Z"));
    assert_eq!(parse("1763640000000", &Clock::utc(0)).unwrap_err().suggestion, epoch.suggestion);
}

#[test]
fn days_follow_the_zone_through_summer_time() {
    let new_york = clock("2026-11-01T17:00:00Z", "America/New_York");
    assert_eq!(read_in("now/d", &new_york), "2026-11-01T04:00:00Z 2026-11-02T05:00:00Z");
    assert_eq!(read_in("now-1d", &new_york), "2026-10-31T16:00:00Z");
    assert_eq!(read_in("now-24h", &new_york), "2026-10-31T17:00:00Z");
    assert_eq!(read_in("2026-03-08", &new_york), "2026-03-08T05:00:00Z 2026-03-09T04:00:00Z");
    let kolkata = clock("2026-11-20T12:10:00Z", "Asia/Kolkata");
    assert_eq!(read_in("now/h", &kolkata), "2026-11-20T11:30:00Z 2026-11-20T12:30:00Z");
    // The hour shown twice: each half is its own clock hour.
    assert_eq!(
        read_in("now/h", &clock("2026-11-01T05:30:00Z", "America/New_York")),
        "2026-11-01T05:00:00Z 2026-11-01T06:00:00Z"
    );
    assert_eq!(
        read_in("now/h", &clock("2026-11-01T06:30:00Z", "America/New_York")),
        "2026-11-01T06:00:00Z 2026-11-01T07:00:00Z"
    );
}

proptest! {
    #[test]
    fn nothing_panics(text in "\\PC{0,70}", now in any::<i64>()) {
        let _ = parse(&text, &Clock::utc(now));
        let _ = Interval::parse(&text);
    }

    #[test]
    fn nothing_like_a_time_panics(text in "(now)?[-+/0-9smhdwMyTZ:. ]{0,40}", now in any::<i64>()) {
        let _ = parse(&text, &Clock::utc(now));
    }

    #[test]
    fn an_instant_reads_back(micros in 0i64..200_000_000_000_000_000) {
        prop_assert_eq!(parse(&rfc3339(micros), &Clock::utc(0)).unwrap(), Period::at(micros));
    }
}
