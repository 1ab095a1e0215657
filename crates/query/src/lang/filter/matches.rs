//! The reference meaning of filters: plain and slow, for tests of faster ways.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{Filter, Op, Pattern, Test, Value, fold, fold_for};
use crate::lang::views::{ColumnKind, Key, View};

impl Filter {
    /// Whether a record matches: the plain meaning, for tests of faster ways.
    ///
    /// `get` gives the value of a key, none if it is missing: text as it is, times as decimal
    /// microseconds, lists and JSON as JSON text, except that a JSON string gives its content.
    pub fn matches(&self, view: View, get: &dyn Fn(&Key) -> Option<Cow<'static, str>>) -> bool {
        match self {
            Filter::All => true,
            Filter::And(parts) => parts.iter().all(|p| p.matches(view, get)),
            Filter::Or(parts) => parts.iter().any(|p| p.matches(view, get)),
            Filter::Not(inner) => !inner.matches(view, get),
            Filter::Text(text) => {
                let wanted = fold(text);
                wanted.is_empty()
                    || view.searched().any(|c| get(&Key::Column(c)).is_some_and(|v| fold(&v).contains(&wanted)))
            }
            Filter::Test(test) => test.matches(get(&test.key).as_deref()),
        }
    }
}

impl Test {
    /// Whether a value passes; see [`Filter::matches`] for its spelling.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let positive = self.positive();
        self.matches_by(&|v| self.holds(positive, v), value)
    }

    fn positive(&self) -> Op {
        if self.op.negative() { self.op.opposite().unwrap_or(self.op) } else { self.op }
    }

    /// Whether one value passes the test or the one that it is the opposite of, with what the test says made ready once.
    pub(crate) fn prepared(&self) -> Box<dyn Fn(&str) -> bool + '_> {
        let (positive, loose) = (self.positive(), self.key.loose());
        match (&self.value, positive) {
            (Value::Text(w), Op::Like) => {
                let pattern = Pattern::parse(w).folded(loose);
                Box::new(move |v| pattern.fits(&fold_for(v, loose)))
            }
            (Value::List(list), op) if op != Op::Exists => {
                let list: HashSet<String> = list.iter().map(|w| fold(w)).collect();
                Box::new(move |v| list.contains(&fold(v)))
            }
            _ => Box::new(move |v| self.holds(positive, v)),
        }
    }

    /// As [`matches`](Self::matches), with what [`prepared`](Self::prepared) gives.
    pub(crate) fn matches_by(&self, holds: &dyn Fn(&str) -> bool, value: Option<&str>) -> bool {
        let Some(value) = value else { return self.op.negative() };
        let many = matches!(self.key.kind(), ColumnKind::List | ColumnKind::Json) && value.starts_with('[');
        let elements = match many.then(|| serde_json::from_str::<Vec<serde_json::Value>>(value)) {
            Some(Ok(list)) => {
                list.into_iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect()
            }
            _ => vec![value.to_owned()],
        };
        elements.iter().any(|v| holds(v)) != self.op.negative()
    }

    fn holds(&self, op: Op, value: &str) -> bool {
        let loose = self.key.loose();
        match (&self.value, op) {
            (_, Op::Exists) => true,
            (Value::Time(t), _) => {
                let Ok(v) = value.parse::<i64>() else { return false };
                ordered(op, v.cmp(t))
            }
            (Value::List(list), _) => list.iter().any(|w| fold(w) == fold(value)),
            (Value::Text(w), Op::Is) => fold(value) == fold(w),
            (Value::Text(w), Op::Contains) => fold_for(value, loose).contains(&fold_for(w, loose)),
            (Value::Text(w), Op::Like) => Pattern::parse(w).folded(loose).fits(&fold_for(value, loose)),
            (Value::Text(w), _) => match (number(value), number(w)) {
                (Some(a), Some(b)) => a.partial_cmp(&b).is_some_and(|o| ordered(op, o)),
                _ => ordered(op, fold(value).cmp(&fold(w))),
            },
            (Value::None, _) => false,
        }
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|n| n.is_finite())
}

fn ordered(op: Op, order: std::cmp::Ordering) -> bool {
    match op {
        Op::Is => order.is_eq(),
        Op::Before | Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
        Op::Gt => order.is_gt(),
        Op::After | Op::Ge => order.is_ge(),
        _ => false,
    }
}
