//! Time phrases of a question: found, resolved against the clock, and cut out before anything else is read.
//!
//! Owns: phrases around times ("since X", "between X and Y", "in the last N units", "older than N units").
//! Not here: single days, months and clock times (`moment`), or which column a time is about (`clause`).

use jiff::civil;

use super::{
    moment::{Moment, Reader},
    words::{Shape, Word},
};
use crate::lang::time::{Clock, Unit, around, shift};

/// A time phrase: from inclusive, to exclusive.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Phrase {
    pub from: Option<i64>,
    pub to: Option<i64>,
}

/// Replaces every time phrase by one word of shape [`Shape::Time`].
pub(super) fn cut(words: Vec<Word>, clock: &Clock, future: bool) -> (Vec<Word>, Vec<Phrase>) {
    let mut reader = Reader::new(&words, clock, future);
    // A clock time without a day belongs to the one day that is named, wherever that is.
    let mut days: Vec<civil::Date> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        match phrase(&reader, at) {
            Some((_, next)) => {
                let found = (at..next).find_map(|i| reader.day(i).filter(|(m, _)| m.day.is_some()));
                days.extend(found.and_then(|(m, _)| m.day));
                at = next;
            }
            None => at += 1,
        }
    }
    days.dedup();
    if let [one] = days.as_slice() {
        reader.named_day = Some(*one);
    }
    let (mut out, mut phrases) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < words.len() {
        match phrase(&reader, at) {
            Some((found, next)) => {
                let span = words[at].span.start..words[next - 1].span.end;
                let shape = Shape::Time(phrases.len());
                out.push(Word { text: String::new(), low: String::new(), shape, span, owner: false });
                phrases.push(found);
                at = next;
            }
            None => {
                out.push(words[at].clone());
                at += 1;
            }
        }
    }
    (out, phrases)
}

fn until(m: &Moment) -> i64 {
    if m.instant { m.start } else { m.end }
}

fn phrase(r: &Reader, at: usize) -> Option<(Phrase, usize)> {
    // "logged in yesterday": the "in" belongs to the verb.
    if at > 0
        && r.is(at, &["in", "on"])
        && r.is(at - 1, &["log", "logs", "logged", "logging", "sign", "signs", "signed", "signing"])
    {
        return None;
    }
    age(r, at).or_else(|| bounded(r, at)).or_else(|| rolling(r, at)).or_else(|| since(r, at)).or_else(|| plain(r, at))
}

/// "between X and Y", "from X to Y", "X to Y", "X - Y".
fn bounded(r: &Reader, at: usize) -> Option<(Phrase, usize)> {
    let between = r.is(at, &["between", "betwen"]);
    let from = r.is(at, &["from", "starting"]);
    let on = r.is(at, &["on", "in", "during"]);
    let first = if between || from || on { at + 1 } else { at };
    let joins: &[&str] = if between {
        &["and", "to", "until", "-", "–", "—", "&"]
    } else {
        &["to", "until", "till", "through", "thru", "-", "–", "—"]
    };
    let loose = between || from;
    let (mut x, mid) = r.moment(first, loose).or_else(|| r.bare_day(first))?;
    let join = if r.is(mid, &["up"]) { mid + 1 } else { mid };
    if !r.is(join, joins) {
        return None;
    }
    // "between 3 and 5 days ago"
    if let (Some(near), Some((n, unit, end))) =
        (x.number, r.duration(join + 1).filter(|(_, _, end)| r.is(*end, &["ago", "back"])))
    {
        let whole = |n: i64| {
            let part = if matches!(unit, Unit::Second | Unit::Minute | Unit::Hour) { unit } else { Unit::Day };
            around(&shift(&r.clock.now, n.checked_neg()?, unit)?, part)
        };
        let (a, b) = (whole(n)?, whole(i64::from(near))?);
        return Some((Phrase { from: Some(a.start.min(b.start)), to: Some(a.end.max(b.end)) }, end + 1));
    }
    let (mut y, next) = match r.moment(join + 1, loose || x.clock.is_some()) {
        Some(found) => found,
        None => {
            let (number, next) = r.bare_day(join + 1)?;
            let month = x.day?;
            let date = civil::Date::new(month.year(), month.month(), number.number?).ok()?;
            (r.of_day(date)?, next)
        }
    };
    if let Some(number) = x.number {
        let month = y.day?;
        x = r.of_day(civil::Date::new(month.year(), month.month(), number).ok()?)?;
    }
    // "between 9am and 5pm yesterday": both on that day.
    if let (Some(time), true, Some(day)) = (x.clock, x.bare_clock, y.day) {
        x = r.at_clock(day, time)?;
    } else if let (Some(time), true, Some(day)) = (y.clock, y.bare_clock, x.day) {
        y = r.at_clock(day, time)?;
    }
    if until(&y) < x.start && y.yearless {
        let day = y.day?;
        let later = civil::Date::new(day.year() + 1, day.month(), day.day()).ok()?;
        y = r.of_day(later)?;
    }
    Some((Phrase { from: Some(x.start), to: Some(until(&y)) }, next))
}

/// "older than 1 hour", "more than 2 days ago", "less than an hour old", "for over 3 hours".
fn age(r: &Reader, at: usize) -> Option<(Phrase, usize)> {
    let mut i = at;
    let negative = r.is(i, &["not", "no"]);
    if negative {
        i += 1;
    }
    if r.is(i, &["for", "since"]) {
        i += 1;
    }
    let (older, ages, next) = if r.is(i + 1, &["than"]) {
        let older = r.is(i, &["older", "longer", "more", "greater"]);
        if !older && !r.is(i, &["newer", "younger", "less", "fewer", "shorter"]) {
            return None;
        }
        (older, r.is(i, &["older", "newer", "younger", "longer", "shorter"]), i + 2)
    } else if r.is(i, &["over"]) {
        (true, false, i + 1)
    } else if r.is(i, &["under"]) {
        (false, false, i + 1)
    } else if r.is(i, &["at"]) && r.is(i + 1, &["least", "most"]) {
        (r.is(i + 1, &["least"]), false, i + 2)
    } else {
        return None;
    };
    let ages = ages || i > at && !negative;
    let Some((n, unit, mut end)) = r.duration(next) else {
        // "older than last week", "newer than yesterday".
        let (x, end) =
            if ages && r.is(i, &["older", "newer", "younger"]) { r.moment(next, true)? } else { return None };
        let now = r.now();
        let found = match older != negative {
            true => Phrase { from: None, to: Some(x.start) },
            false => Phrase { from: Some(until(&x)).filter(|f| *f <= now), to: Some(now) },
        };
        return Some((found, end));
    };
    if r.is(end, &["ago", "old", "back", "earlier"]) {
        end += 1;
    } else if !ages {
        return None;
    }
    let then = r.ago(n, unit)?;
    let found = if older != negative {
        Phrase { from: None, to: Some(then) }
    } else {
        Phrase { from: Some(then), to: Some(r.now()) }
    };
    Some((found, end))
}

/// "in the last 7 days", "past 24h", "over the last week", "in the next 3 days", "within 2 hours".
fn rolling(r: &Reader, at: usize) -> Option<(Phrase, usize)> {
    let mut i = at;
    let inside = r.is(i, &["in", "within", "over", "during", "for", "from", "of", "throughout", "since"]);
    let within = r.is(i, &["within"]);
    if inside {
        i += 1;
    }
    let the = r.is(i, &["the", "these", "those"]);
    if the {
        i += 1;
    }
    let now = r.now();
    if within
        && !the
        && let Some((n, unit, next)) = r.duration(i)
    {
        if r.is(next, &["ago"]) {
            return Some((Phrase { from: Some(r.ago(n, unit)?), to: Some(now) }, next + 1));
        }
        return if r.future {
            Some((Phrase { from: Some(now), to: Some(r.ago(-n, unit)?) }, next))
        } else {
            Some((Phrase { from: Some(r.ago(n, unit)?), to: Some(now) }, next))
        };
    }
    let past = r.is(i, &["last", "past", "previous", "preceding", "trailing"]);
    let coming = r.is(i, &["next", "coming", "following", "upcoming"]);
    if !past && !coming {
        return None;
    }
    let strict = r.is(i, &["past", "trailing"]);
    i += 1;
    if r.is(i, &["full", "whole", "rolling"]) {
        i += 1;
    }
    let (n, unit, next) = match r.duration(i) {
        Some(found) => found,
        None => {
            let (unit, times) = r.unit(i)?;
            let clock_unit = matches!(unit, Unit::Second | Unit::Minute | Unit::Hour | Unit::Day);
            // "last week" is the calendar week; "the last week" after "in" or "over" and "past week" roll.
            if !(clock_unit || strict || inside && the) || (coming && !the) {
                return None;
            }
            (times, unit, i + 1)
        }
    };
    let found = if past {
        Phrase { from: Some(r.ago(n, unit)?), to: Some(now) }
    } else {
        Phrase { from: Some(now), to: Some(r.ago(-n, unit)?) }
    };
    Some((found, next))
}

/// "since X", "before X", "after X", "until X", "from X onwards".
fn since(r: &Reader, at: usize) -> Option<(Phrase, usize)> {
    let now = r.now();
    let after_from = |from: i64| Phrase { from: Some(from), to: (from <= now).then_some(now) };
    let two = |a: &[&str], b: &[&str]| r.is(at, a) && r.is(at + 1, b);
    if r.is(at, &["since"])
        || two(&["starting", "beginning", "as"], &["from", "on", "of", "in", "at"])
        || two(&["ever"], &["since"])
    {
        let first = if r.is(at, &["since"]) { at + 1 } else { at + 2 };
        let (x, next) = r.moment(first, true)?;
        return Some((after_from(x.start), next));
    }
    if r.is(at, &["starting", "beginning"]) {
        let (x, next) = r.moment(at + 1, true)?;
        return Some((after_from(x.start), next));
    }
    if r.is(at, &["from"]) {
        let (x, next) = r.moment(at + 1, true)?;
        if r.is(next, &["on", "onward", "onwards", "forward", "forwards"]) && r.moment(next + 1, false).is_none() {
            return Some((after_from(x.start), next + 1));
        }
        if r.is(next, &["and"]) && r.is(next + 1, &["later", "after", "onwards"]) {
            return Some((after_from(x.start), next + 2));
        }
        return None;
    }
    let before = if r.is(at, &["before"]) {
        Some(at + 1)
    } else if two(&["prior"], &["to"]) || two(&["earlier"], &["than"]) || two(&["no", "not"], &["after", "later"]) {
        Some(at + 2)
    } else {
        None
    };
    if let Some(first) = before {
        let first = if r.is(first, &["than"]) { first + 1 } else { first };
        let (x, next) = r.moment(first, true)?;
        let to = if r.is(at, &["no", "not"]) { until(&x) } else { x.start };
        return Some((Phrase { from: None, to: Some(to) }, next));
    }
    let after = if r.is(at, &["after"]) {
        Some(at + 1)
    } else if two(&["later"], &["than"]) || two(&["more"], &["recently"]) {
        Some(at + 2)
    } else {
        None
    };
    if let Some(first) = after {
        let first = if r.is(first, &["than"]) { first + 1 } else { first };
        let (x, next) = r.moment(first, true)?;
        return Some((after_from(until(&x)), next));
    }
    let limit = if two(&["up"], &["to", "until", "till"]) {
        Some(at + 2)
    } else if r.is(at, &["until", "till", "til", "through", "by"]) {
        Some(at + 1)
    } else {
        None
    };
    let (x, next) = r.moment(limit?, true)?;
    Some((Phrase { from: None, to: Some(until(&x)) }, next))
}

/// A time alone, with or without a preposition; "today or yesterday" where they touch.
fn plain(r: &Reader, at: usize) -> Option<(Phrase, usize)> {
    let preposition = r.is(
        at,
        &[
            "on",
            "in",
            "at",
            "during",
            "from",
            "of",
            "for",
            "over",
            "throughout",
            "within",
            "around",
            "about",
            "dated",
            "as",
        ],
    );
    let first = if preposition { at + 1 } else { at };
    if r.is(first, &["or", "and"]) {
        return None;
    }
    let (x, mut next) = r.moment(first, preposition)?;
    let (mut start, mut end) = (x.start, x.end);
    while r.is(next, &["or", "and"]) {
        let skip = if r.is(next + 1, &["on", "in", "from", "during"]) { next + 2 } else { next + 1 };
        let Some((y, after)) = r.moment(skip, false) else { break };
        if y.instant || x.instant || y.start > end || y.end < start {
            break;
        }
        (start, end) = (start.min(y.start), end.max(y.end));
        next = after;
    }
    let mut to = end;
    if r.is(next, &["so"]) && r.is(next + 1, &["far"]) || r.is(next, &["to"]) && r.is(next + 1, &["date"]) {
        to = to.min(r.now());
        next += 2;
    }
    Some((Phrase { from: Some(start), to: Some(to) }, next))
}

impl Reader<'_> {
    fn now(&self) -> i64 {
        self.clock.micros()
    }

    fn ago(&self, n: i64, unit: Unit) -> Option<i64> {
        Some(shift(&self.clock.now, n.checked_neg()?, unit)?.timestamp().as_microsecond())
    }
}
