//! RFC 3339 instants to and from microseconds, without a time zone database.
//!
//! Owns the one format that records carry. Calendars, zones and relative times belong to `query`.

/// Microseconds in a day.
pub const DAY: i64 = 86_400_000_000;

/// Reads an RFC 3339 instant: date, `T` (or a space), time, optional fraction, `Z` or an offset.
///
/// Digits past microseconds are dropped; a leap second counts as the last second of its minute.
/// `None` where the text is anything else.
pub fn parse(text: &str) -> Option<i64> {
    let b = text.as_bytes();
    let digits = |from: usize, n: usize| -> Option<i64> {
        b.get(from..from + n)?.iter().try_fold(0i64, |v, d| d.is_ascii_digit().then(|| v * 10 + i64::from(d - b'0')))
    };
    let mark = |at: usize, set: &[u8]| b.get(at).is_some_and(|c| set.contains(c)).then_some(());
    let (year, month, day) = (digits(0, 4)?, digits(5, 2)?, digits(8, 2)?);
    mark(4, b"-")?;
    mark(7, b"-")?;
    mark(10, b"Tt ")?;
    let (hour, minute, second) = (digits(11, 2)?, digits(14, 2)?, digits(17, 2)?);
    mark(13, b":")?;
    mark(16, b":")?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut at = 19;
    let mut micros = 0;
    if b.get(at) == Some(&b'.') {
        let start = at + 1;
        at = start;
        while let Some(d) = b.get(at).filter(|d| d.is_ascii_digit()) {
            if at - start < 6 {
                micros = micros * 10 + i64::from(d - b'0');
            }
            at += 1;
        }
        if at == start {
            return None;
        }
        for _ in (at - start).min(6)..6 {
            micros *= 10;
        }
    }
    let offset = match b.get(at)? {
        b'Z' | b'z' if b.len() == at + 1 => 0,
        sign @ (b'+' | b'-') if b.len() == at + 6 => {
            mark(at + 3, b":")?;
            let (h, m) = (digits(at + 1, 2)?, digits(at + 4, 2)?);
            if h > 23 || m > 59 {
                return None;
            }
            let seconds = h * 3600 + m * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second.min(59) - offset;
    Some(seconds * 1_000_000 + micros)
}

/// Writes an instant as `2026-11-20T12:00:00.000000Z`, always with six digits, so that text order is time order.
pub fn format(micros: i64) -> String {
    let mut out = String::with_capacity(27);
    write(micros, &mut out);
    out
}

/// Appends what [`format()`] gives.
pub fn write(micros: i64, out: &mut String) {
    use std::fmt::Write;
    let (day, rest) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let (year, month, date) = civil_from_days(day);
    let (second, fraction) = (rest / 1_000_000, rest % 1_000_000);
    if (0..10_000).contains(&year) {
        // Every record has a time or two, and `fmt` would take longer over one than the parser over the fields around it.
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let parts = [
            (0..4, year),
            (5..7, month),
            (8..10, date),
            (11..13, second / 3600),
            (14..16, second / 60 % 60),
            (17..19, second % 60),
            (20..26, fraction),
        ];
        for (place, mut number) in parts {
            for digit in text.get_mut(place).unwrap_or_default().iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        out.push_str(std::str::from_utf8(&text).unwrap_or_default());
        return;
    }
    let _ = write!(
        out,
        "{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}.{fraction:06}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    );
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y - era * 400;
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z - era * 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants() {
        assert_eq!(parse("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse("2026-11-20T12:00:00.123456789+02:00"), parse("2026-11-20T10:00:00.123456Z"));
        assert_eq!(parse("2016-12-31T23:59:60Z"), parse("2016-12-31T23:59:59Z"));
        for bad in [
            "2026-02-29T00:00:00Z",
            "2026-11-20",
            "2026-11-20T12:00:00",
            "2026-11-20T24:00:00Z",
            "2026-11-20T12:00:00.Z",
            "2026-11-20T12:00:00+2:00",
            "",
            "１",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_past_four_digits_of_a_year_are_written_all_the_same() {
        assert_eq!(format(253_402_300_800_000_000), "10000-01-01T00:00:00.000000Z");
        assert_eq!(format(-62_167_219_200_000_000), "0000-01-01T00:00:00.000000Z");
        assert_eq!(format(-62_167_219_200_000_001), "-001-12-31T23:59:59.999999Z");
        assert_eq!(format(i64::MAX), "294247-01-10T04:00:54.775807Z");
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_jiff_and_comes_back(micros in -62_135_596_800_000_000i64..253_402_300_799_999_999) {
            let text = format(micros);
            proptest::prop_assert_eq!(parse(&text), Some(micros));
            let theirs: jiff::Timestamp = text.parse().unwrap();
            proptest::prop_assert_eq!(theirs.as_microsecond(), micros);
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
