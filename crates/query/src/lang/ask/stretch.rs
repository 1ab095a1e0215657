//! Longer stretches of time: weeks, months, quarters and years, and clock hours some time ago.

use jiff::{ToSpan, civil};

use super::moment::{LAST, Moment, Reader, of};
use crate::lang::time::{Period, Unit, around, days, shift};

impl Reader<'_> {
    /// Longer stretches: weeks, months, quarters, years, and "3 hours ago".
    pub fn stretch(&self, at: usize, led: bool) -> Option<(Moment, usize)> {
        let now = &self.clock.now;
        let at = if self.is(at, &["the"]) { at + 1 } else { at };
        if let Some((n, unit, next)) = self.duration(at).filter(|(_, _, next)| self.is(*next, &["ago", "back"])) {
            return Some((of(around(&shift(now, n.checked_neg()?, unit)?, unit)?), next + 1));
        }
        if self.is(at, &["now"]) || self.is(at, &["right"]) && self.is(at + 1, &["now"]) {
            let at_now = Moment { instant: true, ..of(Period::at(self.clock.micros())) };
            return led.then_some((at_now, if self.is(at, &["now"]) { at + 1 } else { at + 2 }));
        }
        if self.is(at, &["start", "beginning"]) && self.is(at + 1, &["of"]) {
            let skip = if self.is(at + 2, &["the", "this"]) { at + 3 } else { at + 2 };
            if self.is(skip, &["start", "beginning"]) {
                return None;
            }
            if let Some((unit, 1)) = self.unit(skip) {
                let start = around(now, unit)?.start;
                return Some((Moment { instant: true, ..of(Period::at(start)) }, skip + 1));
            }
            let (inner, next) = self.stretch(skip, true).or_else(|| self.day(skip))?;
            return Some((Moment { instant: true, ..of(Period::at(inner.start)) }, next));
        }
        if self.is(at, &["week"]) {
            if self.is(at + 1, &["of", "starting", "beginning"]) {
                let (inner, next) = self.day(at + 2)?;
                let noon = inner.day?.at(12, 0, 0, 0).to_zoned(now.time_zone().clone()).ok()?;
                return Some((of(around(&noon, Unit::Week)?), next));
            }
            if self.is(at + 1, &["before"]) && self.is(at + 2, &["last"]) {
                return Some((of(around(&shift(now, -2, Unit::Week)?, Unit::Week)?), at + 3));
            }
        }
        let which = if self.is(at, LAST) {
            Some(-1)
        } else if self.is(at, &["this", "current"]) {
            Some(0)
        } else if self.is(at, &["next", "coming"]) {
            Some(1)
        } else {
            None
        };
        if let Some(which) = which {
            let noun = if self.is(at + 1, &["calendar", "whole", "entire"]) { at + 2 } else { at + 1 };
            if self.is(noun, &["quarter"]) {
                let first = (now.month() - 1) / 3 * 3 + 1;
                let start = civil::Date::new(now.year(), first, 1).ok()?;
                return Some((self.months(start.checked_add((which * 3).months()).ok()?, 3)?, noun + 1));
            }
            if let Some((unit, 1)) = self.unit(noun) {
                let then = if which == 0 { now.clone() } else { self.same_start(unit, which)? };
                return Some((of(around(&then, unit)?), noun + 1));
            }
            let month = self.month(noun)?;
            let this = civil::Date::new(now.year(), month, 1).ok()?;
            let current = now.date().first_of_month();
            let years = match which {
                -1 if this >= current => -1,
                1 if this <= current => 1,
                _ => 0,
            };
            return Some((self.months(this.checked_add(years.years()).ok()?, 1)?, noun + 1));
        }
        self.named_stretch(at, led)
    }

    /// The same moment one unit back or on, but never past the end of a shorter month.
    fn same_start(&self, unit: Unit, which: i64) -> Option<jiff::Zoned> {
        let now = &self.clock.now;
        let base = match unit {
            Unit::Month | Unit::Year => {
                now.date().first_of_month().at(12, 0, 0, 0).to_zoned(now.time_zone().clone()).ok()?
            }
            _ => now.clone(),
        };
        shift(&base, which, unit)
    }

    /// "October", "October 2025", "2025", "2026-10", "Q3 2026".
    fn named_stretch(&self, at: usize, led: bool) -> Option<(Moment, usize)> {
        let today = self.today();
        let low = self.low(at)?;
        if let Some(month) = self.month(at) {
            let of = if self.is(at + 1, &["of"]) { at + 2 } else { at + 1 };
            if let Some(year) = self.year(of) {
                return Some((self.months(civil::Date::new(year, month, 1).ok()?, 1)?, of + 1));
            }
            let capital = self.words[at].text.starts_with(char::is_uppercase);
            let verb = matches!(low, "may" | "mar" | "march");
            if !led && (!capital || verb) {
                return None;
            }
            let this = civil::Date::new(today.year(), month, 1).ok()?;
            let wrong = if self.future { this < today.first_of_month() } else { this > today };
            let years: i64 = if !wrong {
                0
            } else if self.future {
                1
            } else {
                -1
            };
            return Some((self.months(this.checked_add(years.years()).ok()?, 1)?, at + 1));
        }
        if let Some(quarter) = low.strip_prefix('q').and_then(|q| q.parse::<i8>().ok()).filter(|q| (1..=4).contains(q))
        {
            let year = self.year(at + 1);
            let start = civil::Date::new(year.unwrap_or(today.year()), quarter * 3 - 2, 1).ok()?;
            let start = if year.is_none() && start > today { start.checked_sub(1.year()).ok()? } else { start };
            return Some((self.months(start, 3)?, at + 1 + usize::from(year.is_some())));
        }
        if let Some((year, month)) = low.split_once('-').filter(|(y, m)| y.len() == 4 && m.len() == 2) {
            let first = civil::Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()?;
            return Some((self.months(first, 1)?, at + 1));
        }
        let said = self.is(at, &["year"]);
        let year = self.year(if said { at + 1 } else { at }).filter(|_| led || said)?;
        Some((self.months(civil::Date::new(year, 1, 1).ok()?, 12)?, at + 1 + usize::from(said)))
    }

    fn months(&self, first: civil::Date, n: i64) -> Option<Moment> {
        Some(of(days(first, first.checked_add(n.months()).ok()?, self.clock.now.time_zone())?))
    }
}
