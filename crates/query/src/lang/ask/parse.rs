//! The reading of a question from left to right.
//!
//! Owns: the order in which readings are tried at each word, negation, counting and "top N". Not here:
//! columns with operators (`clause`), prepositions, nouns and verbs (`phrases`), combining (`build`).

use super::{
    build::{Condition, Link, Maker, Reading, test},
    lexicon,
    time::Phrase,
    words::{Shape, Word},
};
use crate::lang::{
    filter::{Filter, Op},
    views::{Key, View},
};

/// The state of a reading.
pub(super) struct Parser<'a> {
    pub words: &'a [Word],
    pub phrases: &'a [Phrase],
    pub view: View,
    pub out: Reading,
    /// How the next condition hangs on to the one before.
    pub link: Link,
    /// The word that negates the next condition.
    pub negation: Option<usize>,
    /// "top N" has been read and waits for its column.
    pub top: bool,
    /// A column named without a condition, and whether as a plural.
    pub named: Option<(&'static str, bool)>,
    /// The last verb of change was the word before here: what follows is its object.
    pub verb_end: usize,
    /// How many states were just read, that a noun after them goes before.
    pub states: usize,
}

/// Reads a question whose time phrases are cut out already.
pub(super) fn read(words: &[Word], phrases: &[Phrase], view: View) -> Reading {
    let out = Reading {
        view,
        conditions: Vec::new(),
        from: None,
        to: None,
        count: false,
        count_by: None,
        limit: None,
        interval: None,
        columns_first: Vec::new(),
        used: vec![false; words.len()],
        rows: false,
        timed: false,
    };
    let mut parser = Parser {
        words,
        phrases,
        view,
        out,
        link: Link::Near,
        negation: None,
        top: false,
        named: None,
        verb_end: usize::MAX,
        states: 0,
    };
    let mut at = 0;
    while at < words.len() {
        at = parser.step(at).max(at + 1);
    }
    parser.out
}

impl<'a> Parser<'a> {
    /// The word there in lower case; nothing for anything but a plain word.
    pub fn low(&self, at: usize) -> &'a str {
        self.words.get(at).filter(|w| w.shape == Shape::Plain).map_or("", |w| w.low.as_str())
    }

    pub fn is(&self, at: usize, any: &[&str]) -> bool {
        any.contains(&self.low(at))
    }

    pub fn shape(&self, at: usize) -> Option<Shape> {
        self.words.get(at).map(|w| w.shape)
    }

    pub fn entity(&self, at: usize) -> bool {
        self.words.get(at).is_some_and(Word::entity)
    }

    pub fn used(&mut self, from: usize, to: usize) -> usize {
        for flag in self.out.used.iter_mut().take(to).skip(from) {
            *flag = true;
        }
        to
    }

    /// Two or three words as one phrase.
    pub fn phrase(&self, at: usize, len: usize) -> Option<String> {
        let words = self.words.get(at..at + len)?;
        if words.iter().any(|w| w.shape != Shape::Plain) {
            return None;
        }
        Some(words.iter().map(|w| w.low.as_str()).collect::<Vec<_>>().join(" "))
    }

    /// Adds a condition, turned round if a negation waits for one.
    pub fn add(&mut self, column: &'static str, op: Op, value: &str, maker: Maker) {
        let Some(key) = self.out.key(column) else { return };
        let filter = test(key, op, value);
        self.add_filter(column, filter, maker, op.negative());
    }

    pub fn add_filter(&mut self, column: &'static str, filter: Filter, maker: Maker, negative: bool) {
        let mut condition = Condition { column, filter, link: self.link, maker, negative };
        if let Some(word) = self.negation.take() {
            self.used(word, word + 1);
            condition.filter = condition.filter.negated();
            condition.negative = !negative;
        }
        self.link = Link::Near;
        // "failed logins": what happened comes before how it went.
        let behind = if maker == Maker::Noun && condition.link == Link::Near { self.states } else { 0 };
        self.states = if maker == Maker::State { self.states + 1 } else { 0 };
        let place = self.out.conditions.len().saturating_sub(behind);
        self.out.conditions.insert(place, condition);
    }

    fn step(&mut self, at: usize) -> usize {
        match self.words[at].shape {
            Shape::Comma => {
                self.link = Link::Near;
                return self.used(at, at + 1);
            }
            Shape::Time(n) => {
                self.time(at, n, None);
                return at + 1;
            }
            _ => {}
        }
        if let Some(next) = self.connective(at) {
            return next;
        }
        let readings: [fn(&mut Self, usize) -> Option<usize>; 19] = [
            Self::who,
            Self::count,
            Self::top_of,
            Self::latest,
            Self::top_person,
            Self::grouped,
            Self::negate,
            Self::event_noun,
            Self::json_clause,
            Self::clause,
            Self::timed_word,
            Self::preposition,
            Self::known_provider,
            Self::named_kind,
            Self::verb,
            Self::typed_rows,
            Self::state,
            Self::bare_entity,
            Self::row,
        ];
        for reading in readings {
            if let Some(next) = reading(self, at) {
                return next;
            }
        }
        if lexicon::FILLERS.contains(&self.low(at)) || lexicon::own_time(self.view, self.low(at)) {
            if self.is(at, &["everything", "anything"]) {
                self.out.rows = true;
            }
            return self.used(at, at + 1);
        }
        at + 1
    }

    fn connective(&mut self, at: usize) -> Option<usize> {
        let link = match self.low(at) {
            "and" | "&" | "plus" => Link::And,
            "or" | "nor" => Link::Or,
            "but" => Link::And,
            _ => return None,
        };
        self.link = link;
        let repeats = self.out.conditions.last().is_some_and(|c| c.negative && c.maker != Maker::Clause);
        if self.is(at, &["nor"]) || link == Link::Or && repeats {
            self.negation = Some(at);
            self.link = Link::And;
        }
        Some(self.used(at, at + 1))
    }

    fn who(&mut self, at: usize) -> Option<usize> {
        let asks = self.is(at, &["who", "whom"])
            || self.is(at, &["which", "what"])
                && self.is(at + 1, &["user", "users", "admin", "admins", "actor", "actors", "person", "people"]);
        if !asks {
            return None;
        }
        // "users who failed": not a question of who.
        let relative = at > 0
            && (lexicon::row(self.view, self.low(at - 1))
                || self.is(at - 1, &["users", "user", "people", "anyone", "someone", "everyone", "admins", "those"]));
        let next = if self.is(at, &["who", "whom"]) { at + 1 } else { at + 2 };
        if next == at + 2 && (self.kind_asked(at + 1) || self.op_follows(at + 2)) {
            return None;
        }
        if let (false, Some(column)) = (relative, lexicon::person(self.view)) {
            if !self.out.columns_first.contains(&column) {
                self.out.columns_first.push(column);
            }
            self.named = Some((column, false));
        }
        Some(self.used(at, next))
    }

    /// "which users were deleted" asks for targets, not for actors.
    fn kind_asked(&self, at: usize) -> bool {
        self.view == View::AuditLogs
            && self.is(at, &["user", "users"])
            && self.is(at + 1, &["was", "were", "got", "have", "has", "is", "are"])
    }

    fn negate(&mut self, at: usize) -> Option<usize> {
        let two = |a: &str, b: &[&str]| self.is(at, &[a]) && self.is(at + 1, b);
        let len = if two("other", &["than"])
            || two("apart", &["from"])
            || two("aside", &["from"])
            || two("but", &["not"])
            || two("rather", &["than"])
        {
            2
        } else if lexicon::NEGATIONS.contains(&self.low(at)) {
            1
        } else {
            return None;
        };
        self.used(at, at + len);
        // Until a condition takes it, it counts as not used.
        self.out.used[at] = false;
        self.negation = Some(at);
        Some(at + len)
    }

    /// "created", "started", "updated", "expires" with a time after it.
    fn timed_word(&mut self, at: usize) -> Option<usize> {
        let low = self.low(at);
        let time = self.time_after(at + 1)?;
        let Some(Shape::Time(n)) = self.shape(time) else { return None };
        let column = if low.starts_with("expir") && matches!(self.view, View::Sessions | View::Grants) {
            Some(if self.view == View::Sessions { "expires_at" } else { "grant.expires_at" })
        } else if self.view == View::JobLogs
            && matches!(low, "updated" | "finished" | "ended" | "completed" | "changed" | "modified" | "stopped")
        {
            Some("updated_at")
        } else if lexicon::own_time(self.view, low) {
            let verb = matches!(self.view, View::AuditLogs) && low == "created";
            if verb
                && !(self.is(at.wrapping_sub(1), &["was", "were", "is", "are"]) && self.log_noun(at.wrapping_sub(2)))
            {
                return None;
            }
            None
        } else {
            return None;
        };
        self.used(at, time);
        if low == "completed" {
            self.add("latest_status", Op::Is, "success", Maker::State);
        }
        self.time(time, n, column);
        Some(time + 1)
    }

    fn log_noun(&self, at: usize) -> bool {
        self.is(
            at,
            &[
                "log", "logs", "record", "records", "entry", "entries", "event", "events", "action", "actions", "it",
                "that", "which",
            ],
        )
    }

    /// The time phrase a little after here, past words that only lead to it.
    pub fn time_after(&self, at: usize) -> Option<usize> {
        for i in at..at + 4 {
            if matches!(self.shape(i), Some(Shape::Time(_))) {
                return Some(i);
            }
            if !self.is(
                i,
                &[
                    "is", "was", "were", "are", "be", "been", "from", "on", "at", "in", "of", "the", "=", "sometime",
                    "falls", "only",
                ],
            ) {
                return None;
            }
        }
        None
    }

    /// Takes a time phrase as bounds of the view's own time column, or as tests of another.
    pub fn time(&mut self, at: usize, n: usize, column: Option<&'static str>) {
        let Some(phrase) = self.phrases.get(n).cloned() else { return };
        let own = self.view.time_column();
        let other = column.filter(|c| *c != own.name);
        if let Some(column) = other {
            let Some(key) = self.out.key(column) else { return };
            let bound = |op, t: i64, key: &Key| Filter::time_test(key.clone(), op, t);
            let mut parts = Vec::new();
            parts.extend(phrase.from.map(|t| bound(Op::After, t, &key)));
            parts.extend(phrase.to.map(|t| bound(Op::Before, t, &key)));
            let filter = if parts.len() == 1 { parts.swap_remove(0) } else { Filter::And(parts) };
            self.add_filter(column, filter, Maker::Clause, false);
            self.used(at, at + 1);
            return;
        }
        // A time that is excluded cannot be said by bounds: it stays among what was not used.
        if let Some(word) = self.negation.take() {
            self.out.used[word] = false;
            return;
        }
        self.used(at, at + 1);
        self.out.timed = true;
        self.out.from = self.out.from.max(phrase.from);
        self.out.to = match (self.out.to, phrase.to) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    fn row(&mut self, at: usize) -> Option<usize> {
        let low = self.low(at);
        let known = lexicon::row(self.view, low) || self.is(at, &["logs", "records", "entries"]);
        if !known {
            return None;
        }
        self.out.rows = true;
        if self.is(at, &["user", "users"]) && self.named.is_none() {
            self.named = lexicon::person(self.view).map(|c| (c, low == "users"));
        }
        Some(self.used(at, at + 1))
    }
}
