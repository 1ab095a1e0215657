//! Counts and limits: "how many", "top 10 X", "last 20", "per client", "by day".

use super::{lexicon, parse::Parser, words::Shape};
use crate::lang::time::{Interval, Unit};

impl Parser<'_> {
    pub fn count(&mut self, at: usize) -> Option<usize> {
        let how = self.is(at, &["how"]) && self.is(at + 1, &["many", "often", "much"]);
        let of = self.is(at, &["number", "count"]) && self.is(at + 1, &["of"]);
        if !how && !of && !self.is(at, &["count", "counts", "tally"]) {
            return None;
        }
        let len = if how || of { 2 } else { 1 };
        self.out.count = true;
        Some(self.used(at, at + len))
    }

    fn number(&self, at: usize) -> Option<u32> {
        const WORDS: [&str; 12] =
            ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
        let low = self.low(at);
        let named = match low {
            "fifteen" => Some(15),
            "twenty" => Some(20),
            "fifty" => Some(50),
            "hundred" => Some(100),
            _ => WORDS.iter().position(|w| *w == low).map(|p| p + 1),
        };
        let n = named.and_then(|n| u32::try_from(n).ok()).or_else(|| low.parse().ok())?;
        (1..=1000).contains(&n).then_some(n)
    }

    /// "top 10 X", "the 5 most common X", "most active X", "X with the most".
    pub fn top_of(&mut self, at: usize) -> Option<usize> {
        const MOST: &[&str] =
            &["common", "frequent", "active", "popular", "used", "often", "frequently", "affected", "targeted", "seen"];
        let number = self.number(at);
        if self.is(at, &["busiest", "noisiest", "commonest"]) {
            self.top = true;
            return Some(self.used(at, at + 1));
        }
        if self.is(at, &["distinct", "unique"]) && self.column(at + 1).is_some() && !self.top {
            self.top = true;
            return Some(self.used(at, at + 1));
        }
        if self.is(at, &["top"]) {
            let number = self.number(at + 1);
            let mut next = at + 1 + usize::from(number.is_some());
            if self.is(next, &["most"]) {
                next += 1;
            }
            if self.is(next, MOST) {
                next += 1;
            }
            self.out.limit = number.or(self.out.limit);
            self.top = true;
            return Some(self.used(at, next));
        }
        let most = if number.is_some() { at + 1 } else { at };
        if !self.is(most, &["most"]) {
            return None;
        }
        if self.out.count_by.is_some() && number.is_none() {
            return Some(self.used(most, most + 1));
        }
        if self.is(most + 1, MOST) {
            self.out.limit = number.or(self.out.limit);
            self.top = true;
            return Some(self.used(at, most + 2));
        }
        if self.is(most + 1, &["recent"]) {
            return None;
        }
        // "which ip has the most failed logins"
        let (column, plural) = self.named?;
        self.out.count_by = Some(column);
        if !plural && self.out.limit.is_none() {
            self.out.limit = Some(1);
        }
        Some(self.used(at, most + 1))
    }

    pub fn top_person(&mut self, at: usize) -> Option<usize> {
        let person = self.is(at, &["user", "users", "people", "persons", "admins", "administrators", "accounts"]);
        let longer = self.column(at).is_some_and(|(_, _, end)| end > at + 1);
        if !self.top || self.out.count_by.is_some() || !person || longer {
            return None;
        }
        self.out.count_by = Some(lexicon::person(self.view)?);
        self.top = false;
        Some(self.used(at, at + 1))
    }

    /// "last 20 logins", "latest 5", "10 most recent".
    pub fn latest(&mut self, at: usize) -> Option<usize> {
        let (number, len) = if self.is(at, &["last", "latest", "newest"]) {
            (self.number(at + 1)?, 2)
        } else if self.is(at, &["most"]) && self.is(at + 1, &["recent"]) {
            (self.number(at + 2)?, 3)
        } else if self.is(at + 1, &["most"]) && self.is(at + 2, &["recent"]) {
            (self.number(at)?, 3)
        } else if self.is(at + 1, &["latest", "newest"]) {
            (self.number(at)?, 2)
        } else if self.is(at, &["limit"]) {
            let to = if self.is(at + 1, &["to"]) { 2 } else { 1 };
            (self.number(at + to)?, to + 1)
        } else {
            return None;
        };
        self.out.limit = Some(number);
        Some(self.used(at, at + len))
    }

    /// "per client", "by client", "for each client", "grouped by day".
    pub fn grouped(&mut self, at: usize) -> Option<usize> {
        let (first, sure) = if self.is(at, &["per"]) {
            (at + 1, true)
        } else if self.is(at, &["grouped", "group", "broken", "split", "counted", "count", "counts", "aggregated"]) {
            let by = if self.is(at + 1, &["down"]) { at + 2 } else { at + 1 };
            if !self.is(by, &["by", "per"]) {
                return None;
            }
            self.out.count |= self.is(at, &["count", "counts", "counted"]);
            (by + 1, true)
        } else if self.is(at, &["for"]) && self.is(at + 1, &["each", "every"]) {
            (at + 2, true)
        } else if self.is(at, &["by"]) {
            (if self.is(at + 1, &["each"]) { at + 2 } else { at + 1 }, false)
        } else {
            return None;
        };
        // "top 10 users by logins": what is counted, not what it is counted by.
        if !sure && self.out.count_by.is_some() {
            return None;
        }
        let first = if self.is(first, &["the"]) { first + 1 } else { first };
        let unit = match self.low(first) {
            "minute" => Some(Unit::Minute),
            "hour" => Some(Unit::Hour),
            "day" => Some(Unit::Day),
            "week" => Some(Unit::Week),
            "month" => Some(Unit::Month),
            "year" => Some(Unit::Year),
            _ => None,
        };
        if let Some(unit) = unit {
            self.out.interval = Some(Interval { n: 1, unit });
            return Some(self.used(at, first + 1));
        }
        let (column, next) = match self.column(first) {
            Some((column, _, next)) => (column, next),
            None if self.is(first, &["user", "users", "person", "account", "recipient"])
                // "deleted by admin" says who did it.
                || sure && self.is(first, &["admin", "administrator"]) =>
            {
                (lexicon::person(self.view)?, first + 1)
            }
            None => return None,
        };
        let ends = next >= self.words.len()
            || matches!(self.shape(next), Some(Shape::Time(_) | Shape::Comma))
            || lexicon::STOPS.contains(&self.low(next))
            || self.is(next, &["in", "on", "over", "of", "is", "are"]);
        let shy = self.column(first).is_some_and(|(_, name, _)| {
            lexicon::shy(self.view, name)
                && !matches!(
                    name,
                    "action" | "event" | "user" | "job" | "type" | "error" | "client" | "application" | "app"
                )
        });
        if !sure && (shy || self.negation.is_some() || !ends || self.top || self.op_follows(next)) {
            return None;
        }
        self.out.count_by = Some(column);
        Some(self.used(at, next))
    }
}
