//! Conditions said in full: a column, an operator, one or more values.
//!
//! Owns: what a column is called in a question, operators in words, where an unquoted value ends, and
//! lists of values.

use super::{
    build::{Link, Maker, test},
    lexicon,
    parse::Parser,
    words::Shape,
};
use crate::lang::{
    filter::{Filter, Op, Test, Value},
    views::{ColumnKind, View},
};

/// An operator as said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Op(Op),
    /// `starts with`, `ends with`.
    Starts(bool),
    Ends(bool),
    /// `exists`, `is missing`.
    Exists(bool),
    /// `neither … nor`.
    Neither,
}

impl Parser<'_> {
    /// The column named here: its name, what it was called, and where the name ends.
    pub fn column(&self, at: usize) -> Option<(&'static str, &'static str, usize)> {
        for len in (1..=4).rev() {
            let Some(words) = self.words.get(at..at + len) else { continue };
            if words.iter().any(|w| w.shape != Shape::Plain || !w.low.contains(char::is_alphanumeric)) {
                continue;
            }
            let joined: String = words.iter().flat_map(|w| w.low.chars()).filter(|c| c.is_alphanumeric()).collect();
            let single = lexicon::singular(&joined);
            for (column, names) in lexicon::columns(self.view) {
                if let Some(name) = names.iter().find(|n| **n == joined || **n == single) {
                    return Some((column, name, at + len));
                }
            }
            // "target type": an envelope field that is no column of the view.
            if len > 1 {
                let field =
                    event::fields::FIELDS.iter().find(|s| s.column.chars().filter(|c| *c != '_').eq(joined.chars()));
                if let Some(spec) = field {
                    return Some((spec.path, spec.path, at + len));
                }
            }
            // `actor.id`, or any column by its exact name.
            if len == 1
                && (words[0].low.contains(['.', '_']))
                && let Ok(key) = self.view.key(&words[0].text)
            {
                let name = key.name(self.view);
                let known = self.view.columns().iter().find(|c| c.name == name).map(|c| c.name);
                let path = event::fields::FIELDS.iter().find(|s| s.path == name).map(|s| s.path);
                if let Some(name) = known.or(path) {
                    return Some((name, name, at + 1));
                }
            }
        }
        None
    }

    /// A clause would start here: a column with an operator or a typed value after it.
    pub fn clause_starts(&self, at: usize) -> bool {
        let at = if self.is(at, &["the", "its", "their", "whose", "where", "a", "an"]) { at + 1 } else { at };
        self.column(at).is_some_and(|(_, _, next)| self.op_follows(next) || self.entity(next))
    }

    /// "details.flow is login": a value inside JSON.
    pub fn json_clause(&mut self, at: usize) -> Option<usize> {
        if !self.low(at).contains('.') {
            return None;
        }
        let key = self.view.key(&self.words[at].text).ok().filter(|k| matches!(k, crate::lang::Key::Json { .. }))?;
        let (said, _, value_at) = self.operator(at + 1)?;
        if let Said::Exists(yes) = said {
            let filter = Filter::Test(Test { key, op: Op::Exists, value: Value::None });
            self.add_filter("", if yes { filter } else { filter.negated() }, Maker::Clause, !yes);
            return Some(self.used(at, value_at));
        }
        let Said::Op(op) = said else { return None };
        let (value, next) = self.value("", value_at)?;
        let op = if op == Op::In { Op::Is } else { op };
        let op = if op == Op::NotIn { Op::IsNot } else { op };
        self.add_filter("", test(key, op, &value), Maker::Clause, op.negative());
        Some(self.used(at, next))
    }

    pub fn clause(&mut self, at: usize) -> Option<usize> {
        let (column, name, after) = self.column(at)?;
        let kind = self.view.key(column).ok()?.kind();
        if kind == ColumnKind::Time {
            return self.time_clause(at, column, name, after);
        }
        let plural =
            self.low(after - 1).ends_with('s') && lexicon::singular(self.low(after - 1)) != self.low(after - 1);
        let shy = lexicon::shy(self.view, name);
        if self.top && self.out.count_by.is_none() && !self.op_follows(after) && !self.own_id(column) {
            self.out.count_by = Some(column);
            self.top = false;
            return Some(self.used(at, after));
        }
        // "which ip address has the most failed logins"
        let most = if self.is(after + 1, &["the"]) { after + 2 } else { after + 1 };
        if self.is(after, &["has", "have", "had", "with", "got"]) && self.is(most, &["most"]) {
            self.named = Some((column, plural));
            return Some(self.used(at, after + 1));
        }
        // "events except logins", "events in session X": said of the rows.
        let apart = ["in", "except", "excluding", "besides", "other", "apart"];
        if shy
            && plural
            && (self.is(after, &apart)
                || self.operator(after).is_some_and(|(_, bare, value)| bare && !self.entity(value)))
        {
            return None;
        }
        if let Some((said, bare, value_at)) = self.operator(after) {
            if !(bare && self.describes(column, shy, plural, value_at))
                && let Some(next) = self.condition(column, said, value_at)
            {
                return Some(self.used(at, next));
            }
        } else if let Some(next) = self.adjacent(column, shy, plural, at, after) {
            return Some(self.used(at, next));
        }
        if shy && !matches!(self.low(at), "ip" | "ips") {
            return None;
        }
        let without =
            self.negation.is_some_and(|n| self.is(n, &["no", "without"]) && n + 2 >= at) && !self.op_follows(after);
        let has =
            at > 0 && self.is(at - 1, &["with", "have", "has", "having", "a", "an", "any"]) && self.has_before(at);
        if without || has {
            self.add_exists(column, true);
        } else if lexicon::kind(self.view, self.low(after - 1)).is_some() && after == at + 1 && !plural {
            return None;
        } else {
            self.named = Some((column, plural));
        }
        Some(self.used(at, after))
    }

    /// The id that the rows of the view are about: nothing to count by.
    fn own_id(&self, column: &str) -> bool {
        matches!(
            (self.view, column),
            (View::Sessions, "session_id") | (View::Grants, "grant_id") | (View::JobLogs, "job_id")
        )
    }

    fn has_before(&self, at: usize) -> bool {
        let lead = if self.is(at - 1, &["a", "an", "any"]) { at.wrapping_sub(2) } else { at - 1 };
        self.is(lead, &["with", "have", "has", "having"])
    }

    /// "jobs are failed", "the client was deleted": a state or a verb said of a noun, not a value.
    fn describes(&self, column: &str, shy: bool, plural: bool, value: usize) -> bool {
        let low = self.low(value);
        if lexicon::adjective(self.view, low).is_some_and(|(c, _)| c == column) {
            return false;
        }
        let state = lexicon::adjective(self.view, low).is_some()
            || lexicon::unadjective(self.view, low).is_some()
            || low.starts_with("expir");
        let verb = lexicon::verb(low).is_some() || lexicon::own_time(self.view, low);
        let past = self.is(value.wrapping_sub(1), &["was", "were", "been"]);
        state && (shy || plural) || verb && (past || plural) || matches!(self.shape(value), Some(Shape::Time(_)))
    }

    fn time_clause(&mut self, at: usize, column: &'static str, name: &str, after: usize) -> Option<usize> {
        if name == "created" || name == "updated" {
            return None;
        }
        let time = self.time_after(after)?;
        let Some(Shape::Time(n)) = self.shape(time) else { return None };
        self.used(at, time);
        self.time(time, n, Some(column));
        Some(time + 1)
    }

    /// "provider google", "IP 10.0.0.1", "status failed".
    fn adjacent(&mut self, column: &'static str, shy: bool, plural: bool, at: usize, after: usize) -> Option<usize> {
        let after =
            if matches!(column, "cc" | "bcc" | "recipient") && self.is(after, &["to"]) { after + 1 } else { after };
        if self.entity(after) {
            let shape = self.shape(after);
            let addressed = matches!(shape, Some(Shape::Email))
                && !matches!(
                    column,
                    "email" | "recipient" | "cc" | "bcc" | "actor" | "user_id" | "target" | "username" | "subject"
                );
            if plural && shape != Some(Shape::Quoted) && shape != Some(Shape::Ip) || addressed {
                return None;
            }
            return self.condition(column, Said::Op(Op::Is), after);
        }
        if shy || plural {
            return None;
        }
        let low = self.low(after);
        let digits = low.contains(|c: char| c.is_ascii_digit());
        let fits = match column {
            "email" | "recipient" | "cc" | "bcc" => low.contains('@'),
            "ip_address" | "ip" => low.contains('.') && digits,
            "status" | "latest_status" | "outcome" | "protocol" | "level" => self.state_value(column, after).is_some(),
            "details" | "diff" | "old_entity" | "new_entity" | "body" | "stacktrace" | "comments" => false,
            "session_id" | "request_id" | "job_id" | "grant_id" => digits,
            _ => self.content(after) && (at == 0 || !self.is(at - 1, &["by", "per", "each"])),
        };
        fits.then(|| self.condition_strict(column, after)).flatten()
    }

    fn condition_strict(&mut self, column: &'static str, at: usize) -> Option<usize> {
        let (value, next) = match self.state_value(column, at) {
            Some(state) => (state, at + 1),
            None => self.run(at, true)?,
        };
        self.values(column, Said::Op(Op::Is), vec![value], next)
    }

    /// A column with an operator: reads the values and adds the condition.
    fn condition(&mut self, column: &'static str, said: Said, at: usize) -> Option<usize> {
        if let Said::Exists(yes) = said {
            self.add_exists(column, yes);
            return Some(at);
        }
        let (first, next) = self.value(column, at)?;
        self.values(column, said, vec![first], next)
    }

    fn add_exists(&mut self, column: &'static str, yes: bool) {
        let Some(key) = self.out.key(column) else { return };
        let filter = Filter::Test(Test { key, op: Op::Exists, value: Value::None });
        let filter = if yes { filter } else { filter.negated() };
        self.add_filter(column, filter, Maker::Clause, !yes);
    }

    /// Whether a column's values are compared as text.
    pub fn textual(&self, column: &str) -> bool {
        self.out.key(column).is_some_and(|k| matches!(k.kind(), ColumnKind::Text | ColumnKind::List | ColumnKind::Json))
    }

    pub fn add_values(&mut self, column: &'static str, said: Said, list: Vec<String>) -> Option<()> {
        let key = self.out.key(column).filter(|_| self.textual(column))?;
        let op = match said {
            Said::Op(op) => op,
            Said::Starts(true) | Said::Ends(true) => Op::Like,
            Said::Starts(false) | Said::Ends(false) => Op::NotLike,
            Said::Neither => Op::IsNot,
            Said::Exists(_) => return None,
        };
        let negated = self.negation.is_some();
        if matches!(op, Op::In | Op::NotIn) && (list.len() > 1 || op == Op::NotIn) {
            let filter = Filter::Test(Test { key, op, value: Value::List(list) });
            self.add_filter(column, filter, Maker::Clause, op == Op::NotIn);
            return Some(());
        }
        let one = |value: &str| {
            let wild = matches!(op, Op::Is | Op::IsNot) && value.contains(['*', '%']) && !value.contains(' ');
            let op = match op {
                Op::Is | Op::In if wild => Op::Like,
                Op::IsNot if wild => Op::NotLike,
                Op::In => Op::Is,
                other => other,
            };
            match said {
                Said::Starts(_) => test(key.clone(), op, &format!("{value}%")),
                Said::Ends(_) => test(key.clone(), op, &format!("%{value}")),
                _ => test(key.clone(), op, value),
            }
        };
        let mut parts: Vec<Filter> = list.iter().map(|v| one(v)).collect();
        if parts.len() == 1 {
            self.add_filter(column, parts.swap_remove(0), Maker::Clause, op.negative());
        } else if op.negative() || negated {
            let word = self.negation.take();
            for part in parts {
                let negative = op.negative();
                self.negation = word;
                self.add_filter(column, part, Maker::Clause, negative);
                self.link = Link::And;
            }
            self.link = Link::Near;
        } else {
            self.add_filter(column, Filter::Or(parts), Maker::Clause, false);
        }
        Some(())
    }
}
