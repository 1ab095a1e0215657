//! Times and intervals: a stretch never ends before it begins.
#![no_main]
use indelible_fuzz::{NOW, lang};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = lang::Interval::parse(text);
    for zone in ["UTC", "Europe/Prague", "America/St_Johns"] {
        let Ok(zone) = lang_zone(zone) else { continue };
        let clock = lang::Clock::new(jiff::Timestamp::from_microsecond(NOW).unwrap(), zone);
        if let Ok(period) = lang::time::parse(text, &clock) {
            assert!(period.start <= period.end);
        }
    }
});

fn lang_zone(name: &str) -> Result<jiff::tz::TimeZone, jiff::Error> {
    jiff::tz::TimeZone::get(name)
}
