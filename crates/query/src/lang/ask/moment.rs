//! Single times of a question: "last Friday", "Nov 3, 2025", "3 days ago", "yesterday at 17:30".
//!
//! Owns: reading one such expression into a stretch of time in the clock's zone. Not here: the phrases
//! around it (`time`).

use jiff::{ToSpan, civil};

use super::words::{Shape, Word};
use crate::lang::time::{Clock, Period, Unit, absolute, days, shift};

/// One time: a stretch, or an instant with the minute or second it stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub start: i64,
    pub end: i64,
    /// A clock time: `start` is meant.
    pub instant: bool,
    /// The day, if it is one or is on one.
    pub day: Option<civil::Date>,
    /// The clock time, if it has one.
    pub clock: Option<Time>,
    /// It is a clock time without a day.
    pub bare_clock: bool,
    /// The year was not said.
    pub yearless: bool,
    /// Only a day of the month was said.
    pub number: Option<i8>,
}

/// A clock time, how long it stands for in microseconds, and whether it was said to be in UTC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    time: civil::Time,
    length: i64,
    utc: bool,
}

/// The words of a question and the clock they are read against.
pub(super) struct Reader<'a> {
    pub words: &'a [Word],
    pub clock: &'a Clock,
    /// Times without a year or week lie ahead: the question is about expiry.
    pub future: bool,
    /// The day of clock times without one.
    pub named_day: Option<civil::Date>,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const NUMBERS: [&str; 20] = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
];
pub(super) const LAST: &[&str] = &["last", "past", "previous", "prior", "preceding"];

impl<'a> Reader<'a> {
    pub fn new(words: &'a [Word], clock: &'a Clock, future: bool) -> Reader<'a> {
        Reader { words, clock, future, named_day: None }
    }

    pub fn low(&self, at: usize) -> Option<&str> {
        self.words.get(at).filter(|w| w.shape == Shape::Plain).map(|w| w.low.as_str())
    }

    /// Whether the word there is one of these.
    pub fn is(&self, at: usize, any: &[&str]) -> bool {
        self.low(at).is_some_and(|w| any.contains(&w))
    }

    pub fn today(&self) -> civil::Date {
        self.clock.now.date()
    }

    pub fn of_day(&self, date: civil::Date) -> Option<Moment> {
        let period = days(date, date.tomorrow().ok()?, self.clock.now.time_zone())?;
        Some(Moment { day: Some(date), ..of(period) })
    }

    /// That clock time on that day.
    pub fn at_clock(&self, date: civil::Date, clock: Time) -> Option<Moment> {
        let zone = if clock.utc { jiff::tz::TimeZone::UTC } else { self.clock.now.time_zone().clone() };
        let start = date.to_datetime(clock.time).to_zoned(zone).ok()?.timestamp().as_microsecond();
        let period = Period { start, end: start + clock.length };
        Some(Moment { day: Some(date), instant: true, clock: Some(clock), ..of(period) })
    }

    /// A number: digits, a word, or "a", "an", "a couple of".
    pub fn count(&self, at: usize) -> Option<(i64, usize)> {
        let low = self.low(at)?;
        if let Some(n) = self.words[at].number() {
            return Some((n, at + 1));
        }
        if let Some(n) = NUMBERS.iter().position(|w| *w == low) {
            return Some((n as i64 + 1, at + 1));
        }
        match low {
            "thirty" => Some((30, at + 1)),
            "sixty" => Some((60, at + 1)),
            "ninety" => Some((90, at + 1)),
            "hundred" => Some((100, at + 1)),
            "a" | "an" if self.is(at + 1, &["couple", "dozen"]) => self.count(at + 1),
            "a" | "an" => Some((1, at + 1)),
            "couple" | "dozen" => {
                Some((if low == "couple" { 2 } else { 12 }, if self.is(at + 1, &["of"]) { at + 2 } else { at + 1 }))
            }
            _ => None,
        }
    }

    /// A unit, and how many of the grammar's units it is.
    pub fn unit(&self, at: usize) -> Option<(Unit, i64)> {
        unit(self.low(at)?)
    }

    /// "7 days", "24h", "two weeks", "an hour", "half an hour".
    pub fn duration(&self, at: usize) -> Option<(i64, Unit, usize)> {
        let low = self.low(at)?;
        if low == "half" && self.is(at + 1, &["an", "a"]) && self.is(at + 2, &["hour"]) {
            return Some((30, Unit::Minute, at + 3));
        }
        if low == "half" && self.is(at + 1, &["hour"]) {
            return Some((30, Unit::Minute, at + 2));
        }
        let digits = low.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && digits < low.len() && digits <= 6 {
            let (unit, times) = unit(low[digits..].trim_start_matches('-'))?;
            return Some((low[..digits].parse::<i64>().ok()? * times, unit, at + 1));
        }
        let (n, next) = self.count(at)?;
        if n == 1 && self.is(next, &["half"]) && self.is(next + 1, &["hour"]) {
            return Some((30, Unit::Minute, next + 2));
        }
        let (unit, times) = self.unit(next)?;
        Some((n * times, unit, next + 1))
    }

    /// A day of the month without a month, for "between 3 and 5 November".
    pub fn bare_day(&self, at: usize) -> Option<(Moment, usize)> {
        let number = ordinal(self.low(at)?)?;
        let never = Period { start: 0, end: 0 };
        Some((Moment { number: Some(number), ..of(never) }, at + 1))
    }

    /// One time at this word. `led` says that a preposition leads to it, which is what makes a lone year
    /// or a small month a time.
    pub fn moment(&self, at: usize, led: bool) -> Option<(Moment, usize)> {
        let at = if led && self.is(at, &["on", "in", "at", "during"]) && !self.is(at, &["at"]) { at + 1 } else { at };
        if let Some((clock, next)) = self.clock_time(at, led && at > 0 && self.is(at - 1, &["at"])) {
            let comma = if self.words.get(next).is_some_and(|w| w.shape == Shape::Comma) { next + 1 } else { next };
            let on = if self.is(comma, &["on", "of"]) { comma + 1 } else { comma };
            if let Some((day, after)) = self.day(on)
                && let Some(date) = day.day
            {
                return Some((Moment { yearless: day.yearless, ..self.at_clock(date, clock)? }, after));
            }
            let date = self.named_day.unwrap_or_else(|| self.today());
            return Some((Moment { bare_clock: true, day: None, ..self.at_clock(date, clock)? }, next));
        }
        let (day, next) = self.day(at).or_else(|| self.stretch(at, led))?;
        if let Some(date) = day.day {
            let comma = if self.words.get(next).is_some_and(|w| w.shape == Shape::Comma) { next + 1 } else { next };
            let said = self.is(comma, &["at", "around", "about", "@"]);
            let clock = if said { self.clock_time(comma + 1, true) } else { self.clock_time(comma, false) };
            if let Some((clock, after)) = clock {
                return Some((Moment { yearless: day.yearless, ..self.at_clock(date, clock)? }, after));
            }
        }
        Some((day, next))
    }

    /// "17:30", "5pm", "5:30 pm", "noon", "midnight"; a bare hour only where "at" leads to it.
    fn clock_time(&self, at: usize, led: bool) -> Option<(Time, usize)> {
        let at = if self.is(at, &["at"]) { at + 1 } else { at };
        let led = led || at > 0 && self.is(at - 1, &["at"]);
        let low = self.low(at)?;
        let minute = 60_000_000;
        let made = |hour: i8, minutes: i8, seconds: i8, length: i64, mut next: usize| {
            let utc = self.is(next, &["utc", "gmt", "z"]);
            next += usize::from(utc);
            Some((Time { time: civil::Time::new(hour, minutes, seconds, 0).ok()?, length, utc }, next))
        };
        match low {
            "noon" | "midday" => return made(12, 0, 0, minute, at + 1),
            "midnight" => return made(0, 0, 0, minute, at + 1),
            _ => {}
        }
        let (body, mut half) = match low.strip_suffix("am").or_else(|| low.strip_suffix("a.m")) {
            Some(body) => (body, Some(false)),
            None => match low.strip_suffix("pm").or_else(|| low.strip_suffix("p.m")) {
                Some(body) => (body, Some(true)),
                None => (low, None),
            },
        };
        let mut next = at + 1;
        if half.is_none() {
            half = self.low(next).and_then(|w| match w {
                "am" | "a.m" => Some(false),
                "pm" | "p.m" => Some(true),
                _ => None,
            });
            next += usize::from(half.is_some());
        }
        let zulu = body.strip_suffix('z').filter(|b| b.contains(':'));
        let body = zulu.unwrap_or(body);
        let mut parts = body.split(':');
        let two = |t: &str| {
            ((1..=2).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse::<i8>().ok())?
        };
        let hour = two(parts.next()?)?;
        let (minutes, seconds) = (parts.next().map(two), parts.next().map(two));
        if parts.next().is_some() || half.is_none() && minutes.is_none() && !led {
            return None;
        }
        if half.is_none() && minutes.is_none() && self.unit(next).is_some() {
            return None;
        }
        let hour = match half {
            Some(_) if !(1..=12).contains(&hour) => return None,
            Some(pm) => hour % 12 + if pm { 12 } else { 0 },
            None => hour,
        };
        let length = if seconds.is_some() { 1_000_000 } else { minute };
        let (mut time, next) = made(hour, minutes.unwrap_or(Some(0))?, seconds.unwrap_or(Some(0))?, length, next)?;
        time.utc |= zulu.is_some();
        Some((time, next))
    }

    /// A single day, or an absolute instant.
    pub fn day(&self, at: usize) -> Option<(Moment, usize)> {
        let at = if self.is(at, &["the", "this"]) && !self.is(at + 1, &["day"]) && self.weekday(at + 1).is_none() {
            at + 1
        } else {
            at
        };
        let low = self.low(at)?;
        let today = self.today();
        let found = |date: civil::Date, next: usize| Some((self.of_day(date)?, next));
        match low {
            "today" | "tonight" => return found(today, at + 1),
            "yesterday" => return found(today.yesterday().ok()?, at + 1),
            "tomorrow" => return found(today.tomorrow().ok()?, at + 1),
            "day" if self.is(at + 1, &["before"]) && self.is(at + 2, &["yesterday"]) => {
                return found(today.checked_sub(2.days()).ok()?, at + 3);
            }
            _ => {}
        }
        if let Some((n, unit, next)) = self.duration(at).filter(|(_, _, next)| self.is(*next, &["ago", "back"]))
            && !matches!(unit, Unit::Second | Unit::Minute | Unit::Hour)
        {
            let then = shift(&self.clock.now, n.checked_neg()?, unit)?;
            let next = if self.is(next + 1, &["today"]) { next + 2 } else { next + 1 };
            return found(then.date(), next);
        }
        if let Some(period) = self.iso(at) {
            return Some(period);
        }
        self.weekday_day(at).or_else(|| self.named_date(at))
    }

    fn weekday(&self, at: usize) -> Option<i8> {
        let low = self.low(at)?;
        let place = WEEKDAYS.iter().position(|d| {
            *d == low || low.len() >= 3 && low != "sun" && low != "sat" && low != "wed" && d.starts_with(low)
        })?;
        i8::try_from(place).ok()
    }

    fn weekday_day(&self, at: usize) -> Option<(Moment, usize)> {
        let today = self.today();
        let now = today.weekday().to_monday_zero_offset();
        let on = |days: i64, next: usize| Some((self.of_day(today.checked_add(days.days()).ok()?)?, next));
        let in_week = |day: i8, week: i64| i64::from(day - now) + week * 7;
        if self.is(at, LAST) {
            if self.is(at + 1, &["week"]) {
                let skip = if self.is(at + 2, &["on"]) { at + 3 } else { at + 2 };
                return on(in_week(self.weekday(skip)?, -1), skip + 1);
            }
            let day = self.weekday(at + 1)?;
            let back = (now - day + 6) % 7 + 1;
            return on(-i64::from(back), at + 2);
        }
        if self.is(at, &["this"]) {
            return on(in_week(self.weekday(at + 1)?, 0), at + 2);
        }
        if self.is(at, &["next", "coming"]) {
            let day = self.weekday(at + 1)?;
            return on(i64::from((day - now + 6) % 7 + 1), at + 2);
        }
        let day = self.weekday(at)?;
        let of = if self.is(at + 1, &["of", "in"]) { at + 2 } else { at + 1 };
        for (words, week) in [(LAST, -1), (&["this"][..], 0), (&["next"][..], 1)] {
            if self.is(of, words) && self.is(of + 1, &["week"]) {
                return on(in_week(day, week), of + 2);
            }
        }
        // "Friday, Nov 13": the date says which.
        let comma = if self.words.get(at + 1).is_some_and(|w| w.shape == Shape::Comma) { at + 2 } else { at + 1 };
        if let Some(dated) = self.named_date(comma).or_else(|| self.iso(comma)) {
            return Some(dated);
        }
        if self.future {
            return on(i64::from((day - now + 6) % 7 + 1), at + 1);
        }
        let back = (now - day + 6) % 7 + 1;
        on(-i64::from(back), at + 1)
    }

    /// `2026-11-03`, `2026/11/03`, `3.11.2026`, `2026-11-03T10:00:00Z`; also quoted.
    fn iso(&self, at: usize) -> Option<(Moment, usize)> {
        let word = self.words.get(at)?;
        if !matches!(word.shape, Shape::Plain) || !word.low.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let text = &word.text;
        if let Some(period) = absolute(text, &self.clock.now) {
            if !period.is_instant() {
                let date = text.parse().ok()?;
                return Some((Moment { day: Some(date), ..of(period) }, at + 1));
            }
            let length = if text.matches(':').count() > 1 { 1_000_000 } else { 60_000_000 };
            let instant =
                Moment { instant: true, ..of(Period { start: period.start, end: period.start.checked_add(length)? }) };
            return Some((instant, at + 1));
        }
        let separator = ['/', '.'].into_iter().find(|s| text.matches(*s).count() == 2)?;
        let parts: Vec<i16> = text.split(separator).filter_map(|p| p.parse().ok()).collect();
        let [a, b, c] = parts.as_slice() else { return None };
        let (year, month, day) = match (separator, *a > 31, *a > 12, *b > 12) {
            (_, true, _, _) => (*a, *b, *c),
            ('.', ..) => (*c, *b, *a),
            (_, _, true, false) => (*c, *b, *a),
            (_, _, false, true) => (*c, *a, *b),
            // 11/03/2026 may be March or November: not guessed.
            _ if a == b => (*c, *a, *b),
            _ => return None,
        };
        if year < 1900 {
            return None;
        }
        let date = civil::Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
        Some((self.of_day(date)?, at + 1))
    }

    pub fn month(&self, at: usize) -> Option<i8> {
        let low = self.low(at)?.trim_end_matches('.');
        let place = MONTHS
            .iter()
            .position(|m| *m == low || low.len() == 3 && m.starts_with(low) || *m == "september" && low == "sept")?;
        i8::try_from(place + 1).ok()
    }

    pub fn year(&self, at: usize) -> Option<i16> {
        let low = self.low(at)?;
        (low.len() == 4).then(|| low.parse::<i16>().ok())?.filter(|y| (1970..=2100).contains(y))
    }

    /// "Nov 3", "November 3rd, 2025", "3 Nov", "the 3rd of November 2025".
    fn named_date(&self, at: usize) -> Option<(Moment, usize)> {
        let at = if self.is(at, &["the"]) { at + 1 } else { at };
        let (day, month, next) = match self.month(at) {
            Some(month) => {
                let the = if self.is(at + 1, &["the"]) { at + 2 } else { at + 1 };
                (ordinal(self.low(the)?)?, month, the + 1)
            }
            None => {
                let low = self.low(at)?;
                let day = ordinal(low)?;
                let led = at > 0 && self.is(at - 1, &["the"]) && !low.ends_with(|c: char| c.is_ascii_digit());
                if led && self.month(at + 1).is_none() && !self.is(at + 1, &["of"]) {
                    let first = self.today().first_of_month();
                    let on = |back: i64| first.checked_sub(back.months()).ok()?.with().day(day).build().ok();
                    let date = (0..4).filter_map(on).find(|d| *d <= self.today())?;
                    return Some((self.of_day(date)?, at + 1));
                }
                let of = if self.is(at + 1, &["of"]) { at + 2 } else { at + 1 };
                (day, self.month(of)?, of + 1)
            }
        };
        let comma = if self.words.get(next).is_some_and(|w| w.shape == Shape::Comma) { next + 1 } else { next };
        if let Some(year) = self.year(comma) {
            return Some((self.of_day(civil::Date::new(year, month, day).ok()?)?, comma + 1));
        }
        let today = self.today();
        let fits = |d: &civil::Date| if self.future { *d >= today } else { *d <= today };
        let step = if self.future { 1 } else { -1 };
        // Feb 29 may need the leap year before last.
        let date = (0..9).filter_map(|i| civil::Date::new(today.year() + i * step, month, day).ok()).find(fits)?;
        Some((Moment { yearless: true, ..self.of_day(date)? }, next))
    }
}

pub(super) fn of(period: Period) -> Moment {
    Moment {
        start: period.start,
        end: period.end,
        instant: false,
        day: None,
        clock: None,
        bare_clock: false,
        yearless: false,
        number: None,
    }
}

/// `3`, `3rd`; a day of a month.
fn ordinal(low: &str) -> Option<i8> {
    let digits = low.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let ending = &low[digits.len()..];
    if !matches!(ending, "" | "st" | "nd" | "rd" | "th") || digits.len() > 2 {
        return None;
    }
    digits.parse::<i8>().ok().filter(|d| (1..=31).contains(d))
}

fn unit(low: &str) -> Option<(Unit, i64)> {
    Some(match low {
        "s" | "sec" | "secs" | "second" | "seconds" => (Unit::Second, 1),
        "m" | "min" | "mins" | "minute" | "minutes" => (Unit::Minute, 1),
        "h" | "hr" | "hrs" | "hour" | "hours" => (Unit::Hour, 1),
        "d" | "day" | "days" => (Unit::Day, 1),
        "w" | "wk" | "wks" | "week" | "weeks" => (Unit::Week, 1),
        "fortnight" | "fortnights" => (Unit::Week, 2),
        "month" | "months" | "mo" | "mos" => (Unit::Month, 1),
        "quarters" => (Unit::Month, 3),
        "y" | "yr" | "yrs" | "year" | "years" => (Unit::Year, 1),
        _ => return None,
    })
}
