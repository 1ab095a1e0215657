//! The time grammar of filter text and parameters: RFC 3339, a date, `now`, `now-7d`, `now-1d/d`.
//!
//! Owns: reading such a text into the [`Period`] it names, given what time it is and in which zone.
//! Not here: times in plain English (`ask::time`). Never reads the clock, never overflows.

use jiff::{Span, Timestamp, Zoned, civil, tz::TimeZone};

use super::{error::Error, views::clip};

/// What time it is, and the zone in which days begin. Given, never read.
#[derive(Clone, Debug, PartialEq)]
pub struct Clock {
    /// The present, in the zone in which dates without an offset are read and rounding is done.
    pub now: Zoned,
}

impl Clock {
    /// A clock standing at this instant, in this zone.
    pub fn new(now: Timestamp, zone: TimeZone) -> Clock {
        Clock { now: now.to_zoned(zone) }
    }

    /// A clock from microseconds since the epoch, in UTC; the nearest representable time if out of range.
    pub fn utc(micros: i64) -> Clock {
        let edge = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Clock::new(Timestamp::from_microsecond(micros).unwrap_or(edge), TimeZone::UTC)
    }

    /// The present in microseconds since the epoch.
    pub fn micros(&self) -> i64 {
        self.now.timestamp().as_microsecond()
    }
}

/// A stretch of time: `start` inclusive, `end` exclusive; an instant has both the same. Microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// First microsecond.
    pub start: i64,
    /// First microsecond after it; equal to `start` for an instant.
    pub end: i64,
}

impl Period {
    /// An instant.
    pub fn at(micros: i64) -> Period {
        Period { start: micros, end: micros }
    }

    /// Whether it has no length.
    pub fn is_instant(&self) -> bool {
        self.start == self.end
    }
}

/// A unit of the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Unit {
    /// Every unit, shortest first.
    pub const ALL: [Unit; 7] = [Unit::Second, Unit::Minute, Unit::Hour, Unit::Day, Unit::Week, Unit::Month, Unit::Year];

    /// Its letter: `s m h d w M y`.
    pub const fn letter(self) -> char {
        match self {
            Unit::Second => 's',
            Unit::Minute => 'm',
            Unit::Hour => 'h',
            Unit::Day => 'd',
            Unit::Week => 'w',
            Unit::Month => 'M',
            Unit::Year => 'y',
        }
    }

    /// The unit of this letter.
    pub fn of(letter: char) -> Option<Unit> {
        Unit::ALL.into_iter().find(|u| u.letter() == letter)
    }

    /// `n` of it; none when jiff cannot hold so many.
    fn times(self, n: i64) -> Option<Span> {
        let span = Span::new();
        match self {
            Unit::Second => span.try_seconds(n),
            Unit::Minute => span.try_minutes(n),
            Unit::Hour => span.try_hours(n),
            Unit::Day => span.try_days(n),
            Unit::Week => span.try_weeks(n),
            Unit::Month => span.try_months(n),
            Unit::Year => span.try_years(n),
        }
        .ok()
    }
}

/// The width of a histogram's bars: `15m`, `1h`, `1d`, `1M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interval {
    /// How many units.
    pub n: u32,
    /// Of what.
    pub unit: Unit,
}

impl Interval {
    /// Reads `15m`.
    ///
    /// # Errors
    /// `bad_time` for anything else.
    pub fn parse(text: &str) -> Result<Interval, Error> {
        let refuse = || {
            Error::new(
                "bad_time",
                format!("{:?} is no interval; write a number and one of s m h d w M y, such as 1h", clip(text)),
            )
        };
        let letter = text.chars().next_back().ok_or_else(refuse)?;
        let unit = Unit::of(letter).ok_or_else(refuse)?;
        let digits = &text[..text.len() - letter.len_utf8()];
        let n: u32 = if digits.is_empty() { 1 } else { digits.parse().map_err(|_| refuse())? };
        if n == 0 || n > 10_000 || digits.starts_with('+') {
            return Err(refuse());
        }
        Ok(Interval { n, unit })
    }
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.n, self.unit.letter())
    }
}

/// Moves a time by `n` units: clock units by elapsed time, days and longer by the calendar of its zone.
pub fn shift(from: &Zoned, n: i64, unit: Unit) -> Option<Zoned> {
    from.checked_add(unit.times(n)?).ok()
}

/// The clock or calendar unit that holds this time: the hour, the day, the week from Monday.
pub fn around(time: &Zoned, unit: Unit) -> Option<Period> {
    let zone = time.time_zone();
    if matches!(unit, Unit::Second | Unit::Minute | Unit::Hour) {
        return clock_unit(time, unit);
    }
    let date = time.date();
    let first = match unit {
        Unit::Week => date.checked_sub(Span::new().days(i64::from(date.weekday().to_monday_zero_offset()))).ok()?,
        Unit::Month => date.first_of_month(),
        Unit::Year => date.first_of_year(),
        _ => date,
    };
    days(first, first.checked_add(unit.times(1)?).ok()?, zone)
}

/// The time from the start of one day to the start of another.
pub fn days(first: civil::Date, after: civil::Date, zone: &TimeZone) -> Option<Period> {
    let start = |d: civil::Date| Some(d.to_zoned(zone.clone()).ok()?.timestamp().as_microsecond());
    Some(Period { start: start(first)?, end: start(after)? })
}

/// Clock units are cut by elapsed time since the wall clock last showed a whole one, so the hour that is
/// shown twice in autumn is two hours.
fn clock_unit(time: &Zoned, unit: Unit) -> Option<Period> {
    let length: i64 = match unit {
        Unit::Second => 1_000_000,
        Unit::Minute => 60_000_000,
        _ => 3_600_000_000,
    };
    let wall = time.time();
    let into = (i64::from(wall.minute()) * 60 + i64::from(wall.second())) * 1_000_000
        + i64::from(wall.subsec_nanosecond() / 1000);
    let start = time.timestamp().as_microsecond().checked_sub(into % length)?;
    Some(Period { start, end: start.checked_add(length)? })
}

/// Reads a time: RFC 3339 (an instant), a date (that day), `now` with steps (`now-7d`, an instant) and
/// rounding (`now-1d/d`, that day). Dates and times without an offset are in the clock's zone.
///
/// # Errors
/// `bad_time`, saying what to write instead.
pub fn parse(text: &str, clock: &Clock) -> Result<Period, Error> {
    let text = text.trim();
    let bad = |why: String| Error::new("bad_time", why);
    if text.len() > 64 {
        return Err(bad(format!("{:?} is no time: too long", clip(text))));
    }
    if let Some(steps) = text.strip_prefix("now").or_else(|| text.strip_prefix("NOW")) {
        return relative(text, steps, clock);
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && digits.bytes().filter(|b| *b == b'.').count() < 2
    {
        return Err(epoch(text));
    }
    absolute(text, &clock.now).ok_or_else(|| {
        let hint = clip(text);
        bad(format!(
            "{hint:?} is no time; write 2026-11-20T12:00:00Z, a date such as 2026-11-20, now, now-7d, or now-1d/d"
        ))
    })
}

/// Reads a date or an RFC 3339 time; without an offset it is in the zone of `now`.
pub(crate) fn absolute(text: &str, now: &Zoned) -> Option<Period> {
    if !text.is_ascii() || text.len() < 10 || !text.as_bytes()[0].is_ascii_digit() {
        return None;
    }
    let date: civil::Date = {
        let part = &text[..10];
        let b = part.as_bytes();
        let shaped = b.iter().enumerate().all(|(i, c)| if i == 4 || i == 7 { *c == b'-' } else { c.is_ascii_digit() });
        if !shaped {
            return None;
        }
        part.parse().ok()?
    };
    if text.len() == 10 {
        return days(date, date.tomorrow().ok()?, now.time_zone());
    }
    if !matches!(text.as_bytes()[10], b'T' | b't' | b' ') {
        return None;
    }
    let (wall, offset) = wall_clock(&text[11..])?;
    let at = match offset {
        Some(seconds) => {
            let offset = jiff::tz::Offset::from_seconds(seconds).ok()?;
            offset.to_timestamp(date.to_datetime(wall)).ok()?
        }
        None => date.to_datetime(wall).to_zoned(now.time_zone().clone()).ok()?.timestamp(),
    };
    Some(Period::at(at.as_microsecond()))
}

/// `12:00`, `12:00:00.5`, then nothing, `Z`, or `+02:00`; the offset in seconds.
fn wall_clock(text: &str) -> Option<(civil::Time, Option<i32>)> {
    let split = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(split);
    let two = |t: &str| (t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse::<i8>().ok())?;
    let (hm, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = hm.split(':');
    let (hour, minute) = (two(parts.next()?)?, two(parts.next()?)?);
    let second = parts.next().map(two);
    if parts.next().is_some()
        || (clock.contains('.') && (second.is_none() || fraction.is_empty() || fraction.len() > 9))
    {
        return None;
    }
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let second = match second {
        None => 0,
        Some(s) => s?,
    };
    // A leap second is read as the last second of its minute.
    let second = if second == 60 { 59 } else { second };
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    let wall = civil::Time::new(hour, minute, second, nanos).ok()?;
    let offset = match zone {
        "" => None,
        "Z" | "z" => Some(0),
        z => {
            let sign = if z.starts_with('-') { -1 } else { 1 };
            let (h, m) = z[1..].split_once(':').or_else(|| (z.len() == 5).then(|| z[1..].split_at(2)))?;
            let (h, m) = (two(h)?, two(m)?);
            if h > 23 || m > 59 {
                return None;
            }
            Some(sign * (i32::from(h) * 3600 + i32::from(m) * 60))
        }
    };
    Some((wall, offset))
}

const OUTSIDE: &str = "that is outside the years 0 to 9999";

fn relative(text: &str, steps: &str, clock: &Clock) -> Result<Period, Error> {
    let bad = |why: &str| Error::new("bad_time", format!("{:?}: {why}", clip(text)));
    let mut time = clock.now.clone();
    let mut rest = steps;
    loop {
        let Some(sign) = rest.chars().next() else {
            return Ok(Period::at(time.timestamp().as_microsecond()));
        };
        rest = &rest[sign.len_utf8()..];
        match sign {
            '+' | '-' => {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                let (digits, tail) = rest.split_at(end);
                let n: i64 = digits.parse().map_err(|_| bad("after + or - comes a number, such as now-7d"))?;
                let letter = tail.chars().next().ok_or_else(|| bad("the number needs a unit: one of s m h d w M y"))?;
                let unit = unit_of(letter).ok_or_else(|| bad("units are s m h d w M y (m is minutes, M is months)"))?;
                rest = &tail[letter.len_utf8()..];
                let n = if sign == '-' { -n } else { n };
                time = shift(&time, n, unit).filter(|t| t.year() >= 0).ok_or_else(|| bad(OUTSIDE))?;
            }
            '/' => {
                let mut letters = rest.chars();
                let unit = letters
                    .next()
                    .and_then(unit_of)
                    .ok_or_else(|| bad("after / comes a unit to round down to, such as /d"))?;
                if letters.next().is_some() {
                    return Err(bad("rounding comes last: now-1d/d"));
                }
                return around(&time, unit).ok_or_else(|| bad(OUTSIDE));
            }
            _ => return Err(bad("after now comes +, - or /, such as now-7d or now/d")),
        }
    }
}

fn unit_of(letter: char) -> Option<Unit> {
    match letter {
        'D' => Some(Unit::Day),
        'H' => Some(Unit::Hour),
        'W' => Some(Unit::Week),
        'Y' => Some(Unit::Year),
        l => Unit::of(l),
    }
}

fn epoch(text: &str) -> Error {
    let error = Error::new(
        "bad_time",
        format!("{:?} looks like a Unix time, which does not say its unit; write RFC 3339", clip(text)),
    );
    let Ok(n) = text.split('.').next().unwrap_or_default().parse::<i64>() else { return error };
    let time = match n.unsigned_abs() {
        0..=99_999_999_999 => Timestamp::from_second(n),
        100_000_000_000..=99_999_999_999_999 => Timestamp::from_millisecond(n),
        100_000_000_000_000..=99_999_999_999_999_999 => Timestamp::from_microsecond(n),
        _ => Timestamp::from_nanosecond(i128::from(n)),
    };
    match time {
        Ok(t) if text.len() > 7 => {
            let mut error = error.suggest(t.to_string());
            error.message = format!("{}, such as {t}", error.message);
            error
        }
        _ => error,
    }
}

/// Microseconds as RFC 3339 in UTC, with a fraction only where there is one.
pub fn rfc3339(micros: i64) -> String {
    match Timestamp::from_microsecond(micros) {
        Ok(t) => t.to_string(),
        Err(_) if micros < 0 => Timestamp::MIN.to_string(),
        Err(_) => Timestamp::MAX.to_string(),
    }
}

#[cfg(test)]
mod tests;
