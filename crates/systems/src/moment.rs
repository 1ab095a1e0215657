//! The forms that systems write times in, each read leniently and written in one way.
//!
//! Owns: native text or number ↔ microseconds UTC. Not here: which clock is right.

use event::time;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// How a system writes a time when nothing is unusual about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// `"2026-11-20T12:00:00.123Z"`, as JavaScript does.
    Millis,
    /// `"2026-11-20T12:00:00.123456Z"`.
    Micros,
    /// `1795176000123`: milliseconds since 1970, a number.
    UnixMillis,
    /// `1795176000`: seconds since 1970, a number, now and then with a fraction.
    UnixSeconds,
    /// `"1795176000123456789"`: nanoseconds since 1970, a number in quotes as OTLP writes it.
    UnixNanos,
    /// As [`Millis`](Self::Millis), out of a table that a person exported: it may as well be as a spreadsheet prints it, or be
    /// milliseconds since 1970.
    Table,
}

impl Stamp {
    /// What it is, in words.
    pub fn wanted(self) -> &'static str {
        match self {
            Stamp::UnixSeconds => "a number of seconds since 1970, or a text such as 2026-11-20T12:00:00Z",
            Stamp::UnixMillis => "a number of milliseconds since 1970, or a text such as 2026-11-20T12:00:00Z",
            Stamp::UnixNanos => "a number of nanoseconds since 1970, or a text such as 2026-11-20T12:00:00Z",
            Stamp::Millis | Stamp::Micros | Stamp::Table => "a text such as 2026-11-20T12:00:00Z",
        }
    }

    /// The JSON text of a time in this form.
    pub fn write(self, micros: i64) -> String {
        match self {
            Stamp::UnixMillis => return micros.div_euclid(1000).to_string(),
            Stamp::UnixSeconds => return micros.div_euclid(1_000_000).to_string(),
            Stamp::UnixNanos => {
                return match micros.checked_mul(1000) {
                    Some(nanos) => format!("\"{nanos}\""),
                    None => format!("\"{}\"", i128::from(micros) * 1000),
                };
            }
            Stamp::Millis | Stamp::Micros | Stamp::Table => {}
        }
        let mut out = String::with_capacity(32);
        out.push('"');
        time::write(micros, &mut out);
        if matches!(self, Stamp::Millis | Stamp::Table) {
            // The last three digits and the Z.
            out.truncate(out.len().saturating_sub(4));
            out.push('Z');
        }
        out.push('"');
        out
    }

    /// Whether [`write`](Self::write) gives just this JSON text, out of which the time was [`read`].
    pub fn writes(self, at: i64, raw: &str) -> bool {
        match self {
            Stamp::Millis | Stamp::Table => has_form(raw, br#""0000-00-00T00:00:00.000Z""#),
            Stamp::Micros => has_form(raw, br#""0000-00-00T00:00:00.000000Z""#),
            // Finer than microseconds, as clocks are that count nanoseconds.
            Stamp::UnixNanos if at != 0 && !raw.ends_with("000\"") => false,
            _ => self.write(at) == raw,
        }
    }
}

/// Whether a time that was read is written like this one, with digits for its zeros.
fn has_form<const N: usize>(raw: &str, form: &[u8; N]) -> bool {
    let Some(raw) = raw.as_bytes().as_array::<N>() else { return false };
    let fits = |(byte, form): (&u8, &u8)| (byte == form) | ((*form == b'0') & byte.is_ascii_digit());
    // A leap second is read as the second before it.
    raw.iter().zip(form).fold(true, |all, pair| all & fits(pair)) && raw.get(18..20) != Some(b"60")
}

/// A time out of its JSON text, and whether it said its zone itself. `None` for what is no time.
///
/// Texts are read in every form of [`text`], numbers as `stamp` has them, and what is the other of the two as whoever forwarded it made it.
pub fn read(raw: &str, stamp: Stamp, zone: &TimeZone) -> Option<(i64, bool)> {
    if raw.starts_with('"') {
        let inside = event::json::Reader::new(raw).string().ok()?;
        return match stamp {
            Stamp::Millis | Stamp::Micros => text(&inside, zone).or_else(|| Some((counted(&inside)?, true))),
            Stamp::Table => {
                let counted = || number(&inside, stamp).map(|at| (at, true));
                text(&inside, zone).or_else(|| printed(&inside, zone)).or_else(counted)
            }
            _ => number(&inside, stamp).map(|at| (at, true)).or_else(|| text(&inside, zone)),
        };
    }
    let other = || if matches!(stamp, Stamp::Millis | Stamp::Micros) { counted(raw) } else { None };
    number(raw, stamp).or_else(other).map(|at| (at, true))
}

/// Microseconds out of a number that stands where its system writes a text, as what forwards records may have made of it. How many digits
/// it has tells what it counts: so many have seconds, milliseconds, microseconds and nanoseconds between 2001 and 2286.
fn counted(digits: &str) -> Option<i64> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !whole.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match (whole.len(), fraction) {
        (10, _) => number(digits, Stamp::UnixSeconds),
        (13, _) => number(whole, Stamp::UnixMillis),
        (16, "") => whole.parse().ok(),
        (19, "") => number(whole, Stamp::UnixNanos),
        _ => None,
    }
}

/// Microseconds out of a number of seconds, milliseconds or nanoseconds.
fn number(digits: &str, stamp: Stamp) -> Option<i64> {
    let at = match stamp {
        // Some write every number with a fraction.
        Stamp::UnixMillis => digits.strip_suffix(".0").unwrap_or(digits).parse::<i64>().ok()?.checked_mul(1000)?,
        Stamp::UnixNanos => digits.parse::<i64>().ok()?.div_euclid(1000),
        Stamp::UnixSeconds => {
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
            if !fraction.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let given = fraction.get(..fraction.len().min(6))?;
            let missing = 6 - given.len() as u32;
            let micros = if given.is_empty() { 0 } else { given.parse::<u32>().ok()? * 10u32.pow(missing) };
            let whole = whole.parse::<i64>().ok()?.checked_mul(1_000_000)?;
            // Only times before 1970 have a sign, and none of those is written with a fraction.
            whole.checked_add(if digits.starts_with('-') { 0 } else { i64::from(micros) })?
        }
        // Fewer digits may be seconds, or the days that a spreadsheet counts; so many are of the years 1973 to 2286.
        Stamp::Table if !matches!(digits.len(), 12 | 13) => return None,
        Stamp::Table => digits.parse::<i64>().ok()?.checked_mul(1000)?,
        Stamp::Millis | Stamp::Micros => return None,
    };
    plausible(at).then_some(at)
}

/// Years 0 to 9999, which four digits can write.
pub(crate) fn plausible(micros: i64) -> bool {
    (-62_167_219_200_000_000..253_402_300_800_000_000).contains(&micros)
}

/// Reads a time as a log or a server prints it, and tells whether it named its zone.
///
/// RFC 3339; the same with a space for the `T`, with `+00` for `+00:00` (PostgreSQL), with ` +0000 UTC` (Go), with a comma
/// before the fraction (log4j), or without a zone: then it is read in `zone`.
pub fn text(given: &str, zone: &TimeZone) -> Option<(i64, bool)> {
    if let Some(at) = time::parse(given) {
        return Some((at, true));
    }
    let date = given.get(..10)?;
    let clock = given.get(11..)?;
    if !matches!(given.as_bytes().get(10), Some(b'T' | b' ')) {
        return None;
    }
    let digits = clock.bytes().position(|b| !matches!(b, b'0'..=b'9' | b':' | b'.' | b',')).unwrap_or(clock.len());
    let (clock, offset) = clock.split_at_checked(digits)?;
    let clock = clock.replace(',', ".");
    let offset = offset.trim();
    if !offset.is_empty() {
        // Go adds the zone's name and, to a running clock, what its monotonic part reads.
        let offset = offset.split(' ').next()?;
        let offset = match (offset, offset.len()) {
            ("Z" | "UTC", _) => "Z".to_owned(),
            (_, 3) => format!("{offset}:00"),
            (_, 5) => format!("{}:{}", offset.get(..3)?, offset.get(3..)?),
            _ => offset.to_owned(),
        };
        return time::parse(&format!("{date}T{clock}{offset}")).map(|at| (at, true));
    }
    if zone.to_fixed_offset().is_ok_and(|offset| offset.is_zero()) {
        return time::parse(&[date, "T", &clock, "Z"].concat()).map(|at| (at, false));
    }
    let civil: DateTime = format!("{date}T{clock}").parse().ok()?;
    let at = civil.to_zoned(zone.clone()).ok()?.timestamp().as_microsecond();
    plausible(at).then_some((at, false))
}

/// Reads a time as a spreadsheet prints it, and tells whether it named its zone: without seconds (`2026-11-27 10:00`), with the day
/// first between dots (`27.11.2026 10:00:00`), or with the month first where AM or PM says that it is America's
/// (`11/27/2026 10:00:00 AM`). Between slashes without that nobody can tell a day from a month.
fn printed(given: &str, zone: &TimeZone) -> Option<(i64, bool)> {
    // Some write a narrow space before AM.
    let given = given.trim().replace(['\u{202f}', '\u{a0}'], " ");
    let (date, rest) = given.split_once(['T', ' '])?;
    let (date, rest) = (date.trim_end_matches(','), rest.trim());
    let end = rest.bytes().position(|b| !matches!(b, b'0'..=b'9' | b':' | b'.')).unwrap_or(rest.len());
    let (clock, after) = rest.split_at_checked(end)?;
    let (hour, minute, second) = match clock.split(':').collect::<Vec<_>>().as_slice() {
        [hour, minute] => (*hour, *minute, "00"),
        [hour, minute, second] => (*hour, *minute, *second),
        _ => return None,
    };
    let mut hour: u8 = hour.parse().ok()?;
    let parts: Vec<&str> = date.split(['/', '.', '-']).collect();
    let separators: String = date.chars().filter(|c| matches!(c, '/' | '.' | '-')).collect();
    let (year, month, day, after) = match (separators.as_str(), parts.as_slice()) {
        ("--", [year, month, day]) => (year, month, day, after),
        ("..", [day, month, year]) => (year, month, day, after),
        ("//", [month, day, year]) => {
            hour = match (after.trim().to_ascii_uppercase().as_str(), hour) {
                ("AM", 1..=12) => hour % 12,
                ("PM", 1..=12) => hour % 12 + 12,
                _ => return None,
            };
            (year, month, day, "")
        }
        _ => return None,
    };
    text(&format!("{year}-{month:0>2}-{day:0>2}T{hour:02}:{minute}:{second}{after}"), zone)
}

/// A length of time as Go prints it (`1h0m0s`, `1.5s`, `250ms`), in microseconds. `None` for what is none, or is longer than
/// 292 years, as Go itself has it.
pub fn go_duration(given: &str) -> Option<i64> {
    let (sign, mut rest) = given.strip_prefix('-').map_or((1.0, given), |rest| (-1.0, rest));
    if rest == "0" {
        return Some(0);
    }
    let mut micros = 0.0;
    while !rest.is_empty() {
        let digits = rest.bytes().position(|b| !b.is_ascii_digit() && b != b'.').filter(|at| *at > 0)?;
        let (number, after) = rest.split_at_checked(digits)?;
        let number: f64 = number.parse().ok()?;
        let end = after.bytes().position(|b| b.is_ascii_digit() || b == b'.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        micros += number
            * match unit {
                "ns" => 1e-3,
                "us" | "µs" | "μs" => 1.0,
                "ms" => 1e3,
                "s" => 1e6,
                "m" => 60e6,
                "h" => 3600e6,
                _ => return None,
            };
        rest = after;
    }
    // As an i64 of nanoseconds at most.
    (!given.is_empty() && given != "-" && micros <= 9.3e15).then_some((sign * micros).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(given: &str) -> Option<(String, bool)> {
        text(given, &TimeZone::UTC).map(|(at, zoned)| (time::format(at), zoned))
    }

    #[test]
    fn every_form_is_read() {
        for (given, wanted, zoned) in [
            ("2026-11-20T12:00:00.123Z", "2026-11-20T12:00:00.123000Z", true),
            ("2025-05-16 11:18:56", "2025-05-16T11:18:56.000000Z", false),
            ("2026-08-01 10:00:00 +0000 UTC", "2026-08-01T10:00:00.000000Z", true),
            ("2026-08-01 12:00:00.5 +0200 CEST m=+0.1", "2026-08-01T10:00:00.500000Z", true),
            ("2026-11-20 12:00:00.123456+00", "2026-11-20T12:00:00.123456Z", true),
            ("2026-11-20 12:00:00+05:30", "2026-11-20T06:30:00.000000Z", true),
            ("2018-10-17 19:05:35,578", "2018-10-17T19:05:35.578000Z", false),
            ("2018-10-17 19:05:35 UTC", "2018-10-17T19:05:35.000000Z", true),
        ] {
            assert_eq!(utc(given), Some((wanted.to_owned(), zoned)), "{given}");
        }
        for other in [
            "",
            "yesterday",
            "2026-11-20",
            "2026-11-20 12",
            "2026-13-20 12:00:00",
            "2026-11-20 12:00:00 CEST",
            "é".repeat(12).as_str(),
        ] {
            assert_eq!(utc(other), None, "{other}");
        }
    }

    #[test]
    fn a_table_may_have_times_as_spreadsheets_print_them() {
        let table = |raw: &str| {
            let (at, zoned) = read(raw, Stamp::Table, &TimeZone::fixed(jiff::tz::offset(2)))?;
            Some((time::format(at), zoned))
        };
        for (raw, wanted, zoned) in [
            ("\"2026-11-27T10:00:00.000Z\"", "2026-11-27T10:00:00.000000Z", true),
            ("\"2026-11-27 10:00\"", "2026-11-27T08:00:00.000000Z", false),
            ("\"2026-11-27T10:00Z\"", "2026-11-27T10:00:00.000000Z", true),
            ("\"2026-11-27 10:00+01:00\"", "2026-11-27T09:00:00.000000Z", true),
            ("\"11/27/2026 10:00:00 AM\"", "2026-11-27T08:00:00.000000Z", false),
            ("\"1/2/2026, 9:05:00\u{202f}PM\"", "2026-01-02T19:05:00.000000Z", false),
            ("\"11/27/2026 12:30 am\"", "2026-11-26T22:30:00.000000Z", false),
            ("\"27.11.2026 10:00:00\"", "2026-11-27T08:00:00.000000Z", false),
            ("\"7.1.2026 9:00\"", "2026-01-07T07:00:00.000000Z", false),
            ("1795773600123", "2026-11-27T10:00:00.123000Z", true),
            ("\"1795773600123\"", "2026-11-27T10:00:00.123000Z", true),
        ] {
            assert_eq!(table(raw), Some((wanted.to_owned(), zoned)), "{raw}");
        }
        for other in [
            "\"11/27/2026 10:00:00\"",
            "\"11/27/2026 13:00:00 AM\"",
            "\"27/11/2026 10:00:00 AM\"",
            "\"27.11-2026 10:00\"",
            "\"27.11.26 10:00\"",
            "\"2026-11-27\"",
            "\"10:00 2026-11-27\"",
            "\"27.11.2026 25:00\"",
            "1795773600",
            "46353.4",
            "\"46353\"",
            "true",
        ] {
            assert_eq!(table(other), None, "{other}");
        }
        assert_eq!(utc("2026-11-27 10:00"), None, "systems that write their own times write them whole");
        assert!(Stamp::Table.writes(0, "\"1970-01-01T00:00:00.000Z\"") && !Stamp::Table.writes(0, "0"));
    }

    #[test]
    fn what_was_forwarded_may_count_where_a_text_was_and_the_other_way_round() {
        let at = |raw: &str, stamp| read(raw, stamp, &TimeZone::UTC).map(|(at, _)| time::format(at));
        for raw in [
            "1795176000.123456",
            "1795176000123456",
            "\"1795176000123456\"",
            "1795176000123456789",
            "\"1795176000123456789\"",
            "\"2026-11-20T12:00:00.123456Z\"",
        ] {
            for stamp in [Stamp::Millis, Stamp::Micros] {
                assert_eq!(at(raw, stamp).as_deref(), Some("2026-11-20T12:00:00.123456Z"), "{raw}");
            }
        }
        assert!(!Stamp::Millis.writes(1_795_176_000_123_456, "1795176000123456"), "it stays");
        assert_eq!(at("1795176000", Stamp::Micros).as_deref(), Some("2026-11-20T12:00:00.000000Z"));
        assert_eq!(at("1795176000123", Stamp::Millis).as_deref(), Some("2026-11-20T12:00:00.123000Z"));
        for stamp in [Stamp::UnixSeconds, Stamp::UnixMillis, Stamp::UnixNanos] {
            assert_eq!(at("\"2026-11-20T12:00:00Z\"", stamp).as_deref(), Some("2026-11-20T12:00:00.000000Z"));
        }
        for other in
            ["0", "17951760", "17951760001", "-1795176000", "1e9", "17951760001234567890", "1795176000.x", "true", "{}"]
        {
            assert_eq!(at(other, Stamp::Micros), None, "{other}");
        }
    }

    #[test]
    fn lengths_of_time_as_go_prints_them() {
        for (given, micros) in [
            ("1h0m0s", 3_600_000_000),
            ("24h", 86_400_000_000),
            ("1.5s", 1_500_000),
            ("250ms", 250_000),
            ("10µs", 10),
            ("1500ns", 2),
            ("0s", 0),
            ("0", 0),
            ("-1m", -60_000_000),
        ] {
            assert_eq!(go_duration(given), Some(micros), "{given}");
        }
        for other in ["", "-", "h", "1", "1x", "1h2", "1.2.3s", "one hour", "99999999h", ".s", "3600"] {
            assert_eq!(go_duration(other), None, "{other}");
        }
    }

    #[test]
    fn a_zone_that_was_configured_counts() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let (at, zoned) = text("2018-10-17 19:05:35,578", &zone).unwrap();
        assert_eq!((time::format(at).as_str(), zoned), ("2018-10-17T17:05:35.578000Z", false));
        assert!(text("2018-10-17 19:05:35Z", &zone).unwrap().1);
    }

    #[test]
    fn forms_write_what_they_read() {
        for (stamp, raw) in [
            (Stamp::Millis, "\"2026-11-20T12:00:00.120Z\""),
            (Stamp::Micros, "\"2026-11-20T12:00:00.123456Z\""),
            (Stamp::UnixMillis, "1727796557187"),
            (Stamp::UnixMillis, "-5"),
            (Stamp::UnixSeconds, "1700000000"),
            (Stamp::UnixNanos, "\"1795176000123456000\""),
        ] {
            let (at, _) = read(raw, stamp, &TimeZone::UTC).unwrap();
            assert_eq!(stamp.write(at), raw);
        }
        assert_eq!(read("99999999999999999", Stamp::UnixMillis, &TimeZone::UTC), None);
        assert_eq!(read("1.5", Stamp::UnixMillis, &TimeZone::UTC), None);
        assert_eq!(read("1.5", Stamp::UnixSeconds, &TimeZone::UTC), Some((1_500_000, true)));
        assert_eq!(read("\"1700000000\"", Stamp::UnixSeconds, &TimeZone::UTC), Some((1_700_000_000_000_000, true)));
        assert_eq!(read("1234567", Stamp::UnixNanos, &TimeZone::UTC), Some((1234, true)));
        for other in ["1.", "1.x", ".5", "1e9", "99999999999999", "true"] {
            assert!(read(other, Stamp::UnixSeconds, &TimeZone::UTC).is_none_or(|(at, _)| at == 1_000_000), "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_time_is_the_same_as_written_where_the_slow_way_says(
            raw in "\"(0000|0001|1969|2026|9999)-(02|12)-(01|28|29|31)[Tt ](00|23):(00|59):(00|59|60)(\\.[0-9]{3}|\\.[0-9]{6}|\\.1|\\.\\\\u0031|)(Z|z|[+]00:00|-01:00|)\"",
        ) {
            for stamp in [Stamp::Millis, Stamp::Micros] {
                if let Some((at, _)) = read(&raw, stamp, &TimeZone::UTC) {
                    proptest::prop_assert_eq!(stamp.writes(at, &raw), stamp.write(at) == raw, "{}", raw);
                }
            }
        }

        #[test]
        fn never_panics(given in ".{0,40}", cut in "[0-9T :.,+Z-]{0,40}") {
            for zone in [TimeZone::UTC, TimeZone::fixed(jiff::tz::offset(-11))] {
                for form in [&given, &cut] {
                    text(form, &zone);
                    go_duration(form);
                    for stamp in [Stamp::UnixMillis, Stamp::UnixSeconds, Stamp::UnixNanos, Stamp::Table] {
                        read(form, stamp, &zone);
                        read(&format!("{form:?}"), stamp, &zone);
                    }
                }
            }
        }
    }
}
