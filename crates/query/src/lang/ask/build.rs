//! From conditions in the order of a question to one filter.
//!
//! Owns: how "and", "or" and plain neighbourhood combine. "or" binds tightest between conditions of the
//! same column ("status is failed or status is bounced"); else it parts the conditions joined by "and".

use crate::lang::{
    filter::{Filter, Op, Query, Test, Value},
    time::Interval,
    views::{Key, View},
};

use super::Ignored;

/// How a condition hangs on to the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Near,
    And,
    Or,
}

/// What made a condition: the same makings next to each other with "and" are alternatives ("logins and logouts").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    Clause,
    Noun,
    State,
    Place,
}

/// One condition.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub column: &'static str,
    pub filter: Filter,
    pub link: Link,
    pub maker: Maker,
    pub negative: bool,
}

/// Everything read from a question.
#[derive(Debug)]
pub(super) struct Reading {
    pub view: View,
    pub conditions: Vec<Condition>,
    pub from: Option<i64>,
    pub to: Option<i64>,
    pub count: bool,
    pub count_by: Option<&'static str>,
    pub limit: Option<u32>,
    pub interval: Option<Interval>,
    pub columns_first: Vec<&'static str>,
    pub used: Vec<bool>,
    /// It names the rows themselves, or "everything".
    pub rows: bool,
    pub timed: bool,
}

impl Reading {
    /// Whether there is anything to run: a condition, a time, a count, or all rows asked for in so many words.
    pub fn understood(&self, ignored: &[Ignored]) -> bool {
        let asked = !self.conditions.is_empty()
            || self.timed
            || self.count_by.is_some()
            || self.limit.is_some()
            || self.interval.is_some();
        asked || (self.count || self.rows) && ignored.is_empty()
    }

    /// The key of one of the view's columns, or an envelope path.
    pub fn key(&self, column: &str) -> Option<Key> {
        self.view.key(column).ok()
    }

    /// The query that was read.
    pub fn into_query(self) -> Query {
        let mut query = Query::new(self.view);
        query.count_by = self.count_by.and_then(|c| self.key(c));
        (query.from, query.to, query.limit, query.count, query.interval) =
            (self.from, self.to, self.limit, self.count, self.interval);
        query.filter = combine(self.conditions);
        query
    }
}

fn combine(conditions: Vec<Condition>) -> Filter {
    // Neighbours of one column first.
    let mut units: Vec<Condition> = Vec::new();
    for condition in conditions {
        let union = |before: &Condition| {
            let same = before.column == condition.column && before.negative == condition.negative;
            let listed =
                condition.link == Link::And && before.maker == condition.maker && condition.maker != Maker::Clause;
            same && (condition.link == Link::Or || listed)
        };
        // A state moved behind its noun stands between two nouns: look past it.
        let place = units.iter().rposition(|u| u.maker != Maker::State || condition.maker == Maker::State);
        match place.filter(|p| union(&units[*p])) {
            Some(place) if !condition.negative => {
                let before = std::mem::replace(&mut units[place].filter, Filter::All);
                units[place].filter = match before {
                    Filter::Or(mut parts) => {
                        match condition.filter {
                            Filter::Or(more) => parts.extend(more),
                            other => parts.push(other),
                        }
                        Filter::Or(parts)
                    }
                    other => Filter::Or(vec![other, condition.filter]),
                };
                dedup(&mut units[place].filter);
            }
            // "not A or B" is neither.
            Some(_) => units.push(Condition { link: Link::And, ..condition }),
            None => units.push(condition),
        }
    }
    // Then what is left of "or": between runs joined by "and".
    let mut out: Vec<Filter> = Vec::new();
    let mut at = 0;
    while at < units.len() {
        let mut end = at + 1;
        while end < units.len() && units[end].link != Link::Near {
            end += 1;
        }
        let run = &units[at..end];
        if run.iter().skip(1).any(|u| u.link == Link::Or) {
            let mut sides: Vec<Vec<Filter>> = vec![Vec::new()];
            for (i, unit) in run.iter().enumerate() {
                if i > 0 && unit.link == Link::Or {
                    sides.push(Vec::new());
                }
                if let Some(side) = sides.last_mut() {
                    push(side, unit.filter.clone());
                }
            }
            let one = |mut side: Vec<Filter>| if side.len() == 1 { side.swap_remove(0) } else { Filter::And(side) };
            out.push(Filter::Or(sides.into_iter().map(one).collect()));
        } else {
            run.iter().for_each(|u| push(&mut out, u.filter.clone()));
        }
        at = end;
    }
    match out.len() {
        0 => Filter::All,
        1 => out.swap_remove(0),
        _ => Filter::And(out),
    }
}

fn push(out: &mut Vec<Filter>, filter: Filter) {
    match filter {
        Filter::And(parts) => parts.into_iter().for_each(|p| push(out, p)),
        Filter::All => {}
        other if out.contains(&other) => {}
        other => out.push(other),
    }
}

fn dedup(filter: &mut Filter) {
    let Filter::Or(parts) = filter else { return };
    let mut kept: Vec<Filter> = Vec::new();
    for part in parts.drain(..) {
        if !kept.contains(&part) {
            kept.push(part);
        }
    }
    *filter = if kept.len() == 1 { kept.swap_remove(0) } else { Filter::Or(kept) };
}

/// A test of a column by text.
pub(super) fn test(key: Key, op: Op, value: &str) -> Filter {
    Filter::Test(Test { key, op, value: Value::Text(value.to_owned()) })
}
