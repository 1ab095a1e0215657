//! The typed query that filter text, the JSON form and questions all become.
//!
//! Owns: [`Query`], [`Filter`], what each operator means ([`Filter::matches`] is the reference that the
//! executor is tested against), and the normal form. Not here: the JSON spelling (`json`), the text
//! spelling (`text`), execution.
//!
//! Meaning, in short: comparison ignores case ([`fold`]). A missing value fails every test except the
//! negative ones (`is_not`, `does_not_contain`, `not_like`, `not_in`), each of which is exactly the
//! opposite of its positive. On a list, or a JSON array, a positive test holds if it holds for any element.

mod matches;
mod pattern;

use super::{
    error::Error,
    time::{self, Clock, Interval},
    views::{ColumnKind, Key, View, clip},
};

pub use pattern::{Pattern, escape_pattern, fold, fold_for};

/// How deep filters may nest, in text and in JSON.
pub const MAX_DEPTH: usize = 64;

/// A query: which view, which records, which page or count of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The view asked.
    pub view: View,
    /// Which of its records.
    pub filter: Filter,
    /// The view's own time column at or after this, in microseconds.
    pub from: Option<i64>,
    /// The view's own time column before this, in microseconds.
    pub to: Option<i64>,
    /// How many rows, or groups.
    pub limit: Option<u32>,
    /// Where a page goes on.
    pub cursor: Option<String>,
    /// The clock that its times were read by, microseconds, where another would read them otherwise: `now-7d` is another instant on
    /// every page, unless all are read by the first page's ([`crate::Cursor::clock`]).
    pub asked_at: Option<i64>,
    /// Only how many there are.
    pub count: bool,
    /// How many there are of each value, most frequent first.
    pub count_by: Option<Key>,
    /// How many there are in each stretch of time.
    pub interval: Option<Interval>,
    /// The most frequent values of these, beside the page.
    pub facets: Vec<Key>,
}

impl Query {
    /// Everything in a view.
    pub fn new(view: View) -> Query {
        Query {
            view,
            filter: Filter::All,
            from: None,
            to: None,
            limit: None,
            cursor: None,
            asked_at: None,
            count: false,
            count_by: None,
            interval: None,
            facets: Vec::new(),
        }
    }

    /// Moves bounds on the view's own time column from the top of the filter into `from` and `to`.
    pub fn lift_time(&mut self) {
        let own = Key::Column(self.view.time_column());
        let parts = match std::mem::replace(&mut self.filter, Filter::All) {
            Filter::And(parts) => parts,
            one => vec![one],
        };
        let mut kept = Vec::new();
        for part in parts {
            match &part {
                Filter::Test(Test { key, op, value: Value::Time(t) }) if *key == own => match op {
                    Op::After | Op::Ge => self.from = self.from.max(Some(*t)),
                    Op::Gt => self.from = self.from.max(Some(t.saturating_add(1))),
                    Op::Before | Op::Lt => self.to = Some(self.to.map_or(*t, |to| to.min(*t))),
                    Op::Le => self.to = Some(self.to.map_or(i64::MAX, |to| to).min(t.saturating_add(1))),
                    _ => kept.push(part),
                },
                _ => kept.push(part),
            }
        }
        self.filter = Filter::And(kept).normalized();
    }
}

/// Which records.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All of them.
    All,
    /// Those that all of these match.
    And(Vec<Filter>),
    /// Those that at least one of these matches.
    Or(Vec<Filter>),
    /// Those that this does not match.
    Not(Box<Filter>),
    /// Those that pass this test.
    Test(Test),
    /// Those with this text in any text column ([`View::searched`]).
    Text(String),
}

/// One test of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// What is tested.
    pub key: Key,
    /// How.
    pub op: Op,
    /// Against what: nothing for `exists`, a list for `in`, a time where the key is a time, text otherwise.
    pub value: Value,
}

/// What a test compares with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing: `exists`.
    None,
    /// A text; for numbers and booleans, their JSON spelling; for `like`, a pattern (see [`Pattern`]).
    Text(String),
    /// Several texts: `in` and `not_in`.
    List(Vec<String>),
    /// Microseconds since the Unix epoch: any comparison of a time.
    Time(i64),
}

/// How a value is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Equal.
    Is,
    /// Not equal, or missing.
    IsNot,
    /// Contains the text.
    Contains,
    /// Does not contain the text, or missing.
    DoesNotContain,
    /// Fits the whole pattern (`%` or `*` stand for any run of characters); contains it if it has neither.
    Like,
    /// Does not fit, or missing.
    NotLike,
    /// Equal to one of a list.
    In,
    /// Equal to none of a list, or missing.
    NotIn,
    /// Has a value.
    Exists,
    /// A time earlier than this.
    Before,
    /// A time at or later than this, as `from` is inclusive.
    After,
    /// Less: numerically if both are numbers, else as folded text.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

impl Op {
    /// Every operator.
    pub const ALL: [Op; 15] = [
        Op::Is,
        Op::IsNot,
        Op::Contains,
        Op::DoesNotContain,
        Op::Like,
        Op::NotLike,
        Op::In,
        Op::NotIn,
        Op::Exists,
        Op::Before,
        Op::After,
        Op::Lt,
        Op::Le,
        Op::Gt,
        Op::Ge,
    ];

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Op::Is => "is",
            Op::IsNot => "is_not",
            Op::Contains => "contains",
            Op::DoesNotContain => "does_not_contain",
            Op::Like => "like",
            Op::NotLike => "not_like",
            Op::In => "in",
            Op::NotIn => "not_in",
            Op::Exists => "exists",
            Op::Before => "before",
            Op::After => "after",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Gt => ">",
            Op::Ge => ">=",
        }
    }

    /// The operator of exactly the opposite meaning, if it has a name.
    pub const fn opposite(self) -> Option<Op> {
        match self {
            Op::Is => Some(Op::IsNot),
            Op::IsNot => Some(Op::Is),
            Op::Contains => Some(Op::DoesNotContain),
            Op::DoesNotContain => Some(Op::Contains),
            Op::Like => Some(Op::NotLike),
            Op::NotLike => Some(Op::Like),
            Op::In => Some(Op::NotIn),
            Op::NotIn => Some(Op::In),
            _ => None,
        }
    }

    /// Whether a missing value passes.
    pub const fn negative(self) -> bool {
        matches!(self, Op::IsNot | Op::DoesNotContain | Op::NotLike | Op::NotIn)
    }
}

/// Words without a key in one filter, at most: each is looked for in every text of every record that nothing else leaves out.
pub const MAX_WORDS: usize = 64;

impl Filter {
    /// Refuses a filter that would keep everybody else waiting.
    ///
    /// # Errors
    /// `too_long`, with what to write instead.
    pub(crate) fn bounded(self) -> Result<Filter, super::Error> {
        fn words(filter: &Filter) -> usize {
            match filter {
                Filter::Text(_) => 1,
                Filter::And(parts) | Filter::Or(parts) => parts.iter().map(words).sum(),
                Filter::Not(part) => words(part),
                Filter::All | Filter::Test(_) => 0,
            }
        }
        match words(&self) {
            0..=MAX_WORDS => Ok(self),
            many => Err(super::Error::new(
                "too_long",
                format!(
                    "{many} words may stand in any field, and {MAX_WORDS} are the most; name the field of some, as in `message:word`"
                ),
            )),
        }
    }

    /// A test of a text.
    pub fn text_test(key: Key, op: Op, value: impl Into<String>) -> Filter {
        Filter::Test(Test { key, op, value: Value::Text(value.into()) })
    }

    /// A test of a time.
    pub fn time_test(key: Key, op: Op, micros: i64) -> Filter {
        Filter::Test(Test { key, op, value: Value::Time(micros) })
    }

    /// A test from a value as a person wrote it: read as a time, a number or a boolean where the key is one.
    ///
    /// # Errors
    /// `bad_time`, `bad_value`, or `bad_operator` where key, operator and value do not go together.
    pub fn read(key: Key, op: Op, value: &str, clock: &Clock) -> Result<Filter, Error> {
        match key.kind() {
            ColumnKind::Time => read_time(key, op, value, clock),
            ColumnKind::Bool if matches!(op, Op::Is | Op::IsNot) => match fold(value).as_str() {
                v @ ("true" | "false") => Ok(Filter::text_test(key, op, v)),
                _ => Err(Error::new("bad_value", format!("{:?}: this key is true or false", clip(value)))),
            },
            ColumnKind::Int if matches!(op, Op::Is | Op::IsNot | Op::Lt | Op::Le | Op::Gt | Op::Ge) => {
                match value.parse::<u64>() {
                    Ok(n) => Ok(Filter::text_test(key, op, n.to_string())),
                    Err(_) => Err(Error::new("bad_value", format!("{:?}: this key is a whole number", clip(value)))),
                }
            }
            _ if matches!(op, Op::Before | Op::After) => Err(Error::new(
                "bad_operator",
                "before and after are for times; write < or >= to compare texts or numbers",
            )),
            _ => Ok(Filter::text_test(key, op, value)),
        }
    }

    /// The opposite of this filter, by the opposite operator where there is one.
    #[must_use]
    pub fn negated(self) -> Filter {
        match self {
            Filter::Not(inner) => *inner,
            Filter::Test(Test { key, op, value }) => match op.opposite() {
                Some(op) => Filter::Test(Test { key, op, value }),
                None => Filter::Not(Box::new(Filter::Test(Test { key, op, value }))),
            },
            other => Filter::Not(Box::new(other)),
        }
    }

    /// The one form of all filters that are trivially the same: flat, without empty parts, with `before`
    /// and `after` as `<` and `>=`, and `like` without a wildcard as `contains`.
    #[must_use]
    pub fn normalized(self) -> Filter {
        match self {
            Filter::All => Filter::All,
            Filter::Text(t) if t.is_empty() => Filter::All,
            Filter::Text(t) => Filter::Text(t),
            Filter::And(parts) => {
                let mut out = Vec::new();
                for part in parts {
                    match part.normalized() {
                        Filter::All => {}
                        Filter::And(inner) => out.extend(inner),
                        other => out.push(other),
                    }
                }
                match out.len() {
                    0 => Filter::All,
                    1 => out.swap_remove(0),
                    _ => Filter::And(out),
                }
            }
            Filter::Or(parts) => {
                let mut out = Vec::new();
                for part in parts {
                    match part.normalized() {
                        Filter::All => return Filter::All,
                        Filter::Or(inner) => out.extend(inner),
                        other => out.push(other),
                    }
                }
                match out.len() {
                    0 => Filter::Not(Box::new(Filter::All)),
                    1 => out.swap_remove(0),
                    _ => Filter::Or(out),
                }
            }
            Filter::Not(inner) => inner.normalized().negated(),
            Filter::Test(test) => test.normalized(),
        }
    }
}

impl Test {
    fn normalized(self) -> Filter {
        let Test { key, op, value } = self;
        let (op, value) = match (op, value) {
            (Op::Before, v) => (Op::Lt, v),
            (Op::After, v) => (Op::Ge, v),
            (Op::Exists, _) => (Op::Exists, Value::None),
            (Op::Like | Op::NotLike, Value::Text(t)) => {
                let pattern = Pattern::parse(&t);
                let positive = op == Op::Like;
                if !pattern.wild() {
                    let op = if positive { Op::Contains } else { Op::DoesNotContain };
                    (op, Value::Text(pattern.parts.concat()))
                } else if pattern.parts.iter().all(String::is_empty) {
                    let exists = Filter::Test(Test { key, op: Op::Exists, value: Value::None });
                    return if positive { exists } else { exists.negated() };
                } else {
                    (op, Value::Text(pattern.to_string()))
                }
            }
            (Op::In, Value::List(l)) if l.is_empty() => return Filter::Not(Box::new(Filter::All)),
            (Op::NotIn, Value::List(l)) if l.is_empty() => return Filter::All,
            (Op::In, Value::List(mut l)) if l.len() == 1 => (Op::Is, Value::Text(l.swap_remove(0))),
            (Op::NotIn, Value::List(mut l)) if l.len() == 1 => (Op::IsNot, Value::Text(l.swap_remove(0))),
            other => other,
        };
        Filter::Test(Test { key, op, value })
    }
}

fn read_time(key: Key, op: Op, value: &str, clock: &Clock) -> Result<Filter, Error> {
    if matches!(op, Op::Contains | Op::DoesNotContain | Op::Like | Op::NotLike | Op::In | Op::NotIn | Op::Exists) {
        let why = format!("{} does not go with a time; use is, before, after, <, <=, >, >= or a range", op.name());
        return Err(Error::new("bad_operator", why));
    }
    let period = time::parse(value, clock)?;
    let (start, end, instant) = (period.start, period.end, period.is_instant());
    let test = |op, t| Filter::time_test(key.clone(), op, t);
    Ok(match op {
        Op::Is | Op::IsNot if instant => test(op, start),
        Op::Is => Filter::And(vec![test(Op::Ge, start), test(Op::Lt, end)]),
        Op::IsNot => Filter::Not(Box::new(Filter::And(vec![test(Op::Ge, start), test(Op::Lt, end)]))),
        Op::Before | Op::Lt | Op::Ge => test(op, start),
        Op::After => test(op, end),
        Op::Gt if !instant => test(Op::Ge, end),
        Op::Le if !instant => test(Op::Lt, end),
        _ => test(op, start),
    })
}

#[cfg(test)]
mod tests;
