//! A mapping file, then a NUL, then a record: whatever the file says, what it makes of sound JSON is sound. (What it makes of
//! other texts is read again before it is sealed, and kept as `unparsed`.)
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (file, record) = text.split_once('\0').unwrap_or((&text, "{}"));
    let Ok(mapping) = systems::Mapping::parse(file) else { return };
    let sound = serde_json::from_str::<&serde_json::value::RawValue>(record).is_ok();
    if let Ok(applied) = mapping.apply(record, &jiff::tz::TimeZone::UTC)
        && sound
    {
        serde_json::from_str::<serde_json::Value>(&applied.envelope).expect("an envelope is JSON");
    }
});
