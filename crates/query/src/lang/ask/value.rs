//! Where a value ends: unquoted runs of words, states of closed columns, and lists of values.

use super::{build::Link, clause::Said, lexicon, parse::Parser, words::Shape};
use crate::lang::{filter::Op, views::View};

impl Parser<'_> {
    /// A word that can be part of a name: none of those that mean something of their own.
    pub fn content(&self, at: usize) -> bool {
        let low = self.low(at);
        !low.is_empty()
            && !lexicon::FILLERS.contains(&low)
            && !lexicon::STOPS.contains(&low)
            && !lexicon::STRICT_STOPS.contains(&low)
            && !lexicon::NEGATIONS.contains(&low)
            && lexicon::verb(low).is_none()
            && lexicon::adjective(self.view, low).is_none()
            && lexicon::unadjective(self.view, low).is_none()
            && !low.starts_with("non-")
            && !lexicon::row(self.view, low)
            && !(self.view == View::EventLogs && lexicon::event(low).is_some())
            && !matches!(low, "top" | "most" | "per" | "grouped" | "count" | "number" | "many")
    }

    /// A value of a closed column: `failed` as the column itself spells it.
    pub fn state_value(&self, column: &str, at: usize) -> Option<String> {
        let low = self.low(at);
        let state = lexicon::states(self.view, column).iter().find(|s| **s == low).copied();
        let other = || lexicon::adjective(self.view, low).filter(|(c, _)| *c == column).map(|(_, v)| v);
        state.or_else(other).map(str::to_owned)
    }

    /// An unquoted run of words as one value, and where it ends.
    pub fn run(&self, at: usize, strict: bool) -> Option<(String, usize)> {
        let mut first = at;
        while self.is(first, &["the", "a", "an"]) && first + 1 < self.words.len() {
            first += 1;
        }
        let mut end = first;
        while let Some(word) = self.words.get(end) {
            let low = self.low(end);
            if word.shape != Shape::Plain || lexicon::STOPS.contains(&low) || end - first >= 12 {
                break;
            }
            if strict
                && (lexicon::STRICT_STOPS.contains(&low)
                    || !self.content(end)
                    || end > first && lexicon::kind(self.view, low).is_some())
            {
                break;
            }
            if end > first && (self.clause_starts(end) || strict && self.column(end).is_some()) {
                break;
            }
            if end > first && low == "to" && self.entity(end + 1) {
                break;
            }
            end += 1;
            if word.owner && strict {
                break;
            }
        }
        let text: Vec<&str> = self.words[first..end].iter().map(|w| w.text.as_str()).collect();
        (!text.is_empty()).then(|| (text.join(" "), end))
    }

    /// One value of a column: a state, a typed value, or a run of words.
    pub fn value(&self, column: &str, at: usize) -> Option<(String, usize)> {
        let mut first = at;
        while self.is(first, &["the", "a", "an", "user"])
            && (self.entity(first + 1) || self.state_value(column, first + 1).is_some())
        {
            first += 1;
        }
        if self.entity(first) {
            let drop = usize::from(lexicon::kind(self.view, self.low(first + 1)) == Some(column));
            return Some((self.words[first].text.clone(), first + 1 + drop));
        }
        if let Some(state) = self.state_value(column, first) {
            return Some((state, first + 1));
        }
        let (mut text, end) = self.run(at, false)?;
        // "provider is the google provider"
        let last = self.low(end - 1);
        if lexicon::kind(self.view, last) == Some(column) && end - at > 1 && column != "target" {
            text.truncate(text.len().saturating_sub(self.words[end - 1].text.len()));
            text = text.trim_end().to_owned();
        }
        (!text.is_empty()).then_some((text, end))
    }

    /// More values after the first: "a, b or c", "neither a nor b"; then the condition.
    pub fn values(&mut self, column: &'static str, said: Said, mut list: Vec<String>, after: usize) -> Option<usize> {
        let many = matches!(said, Said::Op(Op::In | Op::NotIn) | Said::Neither);
        let mut at = after;
        loop {
            let mut next = at;
            let (mut comma, mut word) = (false, "");
            while self.shape(next) == Some(Shape::Comma) || self.is(next, &["or", "and", "nor"]) {
                if self.shape(next) == Some(Shape::Comma) {
                    comma = true
                } else {
                    word = self.low(next)
                }
                next += 1;
            }
            if next == at || next >= self.words.len() || next - at > 3 {
                break;
            }
            if self.clause_starts(next) || self.is(next, lexicon::STOPS) || self.is(next, lexicon::NEGATIONS) {
                break;
            }
            let typed = self.entity(next) && (self.shape(next) == self.shape(at - 1) || many);
            let state = self.state_value(column, next).is_some();
            let closed = !lexicon::states(self.view, column).is_empty();
            let plain = !self.entity(next)
                && (self.content(next)
                    || many
                    || self.shape(at - 1) == Some(Shape::Plain) && word == "or" && self.loose(next));
            let takes = match word {
                "or" | "nor" => {
                    self.entity(next) && (typed || self.shape(at - 1) == Some(Shape::Plain))
                        || state
                        || plain && !(closed && !many && !state)
                }
                "and" => typed || state || many && plain,
                _ => comma && (typed || state || many && plain || plain && !closed && self.listed(next)),
            };
            if !takes || self.operator(next).is_some() {
                break;
            }
            let Some((value, end)) = self.value(column, next) else { break };
            list.push(value);
            at = end;
        }
        self.add_values(column, said, list)?;
        // "provider is google or contains azure", "and not X": the same column again.
        for _ in 0..8 {
            if !self.is(at, &["or", "and", "but"]) {
                break;
            }
            let Some((again, bare, value_at)) = self.operator(at + 1) else { break };
            let negates = self.is(at + 1, &["not", "never"]);
            if bare && !negates && !self.is(at + 1, &["is", "equals", "=", "isn't"])
                || matches!(self.shape(value_at), Some(Shape::Time(_)))
            {
                break;
            }
            let acts = matches!(column, "event_type" | "action")
                && self.loose(value_at)
                && lexicon::adjective(self.view, self.low(value_at)).is_none();
            let valued =
                self.entity(value_at) || self.content(value_at) || acts || self.state_value(column, value_at).is_some();
            // "and not Y is B" speaks of another column.
            if negates && bare && (!valued || self.clause_starts(value_at)) {
                break;
            }
            if !lexicon::states(self.view, column).is_empty() && self.state_value(column, value_at).is_none() {
                break;
            }
            let Some((value, end)) = (match again {
                Said::Exists(_) => None,
                _ => self.value(column, value_at),
            }) else {
                break;
            };
            self.link = if self.is(at, &["or"]) { Link::Or } else { Link::And };
            self.add_values(column, again, vec![value])?;
            self.used(at, end);
            at = end;
        }
        Some(at)
    }

    /// Whether a comma list goes on to an "or" or "and" soon.
    fn listed(&self, at: usize) -> bool {
        (at..(at + 24).min(self.words.len()))
            .take_while(|i| !matches!(self.shape(*i), Some(Shape::Time(_))))
            .any(|i| self.is(i, &["or"]))
    }

    /// A word that may be a value although it means something elsewhere: after "or" of the same column.
    fn loose(&self, at: usize) -> bool {
        let low = self.low(at);
        !low.is_empty()
            && !lexicon::STOPS.contains(&low)
            && !lexicon::STRICT_STOPS.contains(&low)
            && !matches!(low, "show" | "list" | "find" | "get" | "everything")
    }
}
