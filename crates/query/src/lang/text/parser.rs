//! From the words of filter text to a [`Filter`]: a Pratt parser.
//!
//! Owns: precedence, and what each spelled condition means for a key of a view. Not here: quoting (`lexer`).

use std::ops::Range;

use super::{
    MAX_BYTES,
    lexer::{Lexer, Scalar, Spelled, Word},
};
use crate::lang::{
    error::Error,
    filter::{Filter, MAX_DEPTH, Op, Test, Value},
    time::Clock,
    views::{ColumnKind, Key, View},
};

/// How tightly `OR`, `AND` (written or not) and `NOT` bind.
const OR: u8 = 1;
const AND: u8 = 3;
const NOT: u8 = 5;

/// Reads filter text about a view; the result is in normal form. Empty text is every record.
///
/// # Errors
/// `syntax`, `unknown_key`, `bad_time`, `bad_value`, `bad_operator`, `too_long` or `too_deep`, each with the
/// bytes concerned and what to write instead.
pub fn parse(text: &str, view: View, clock: &Clock) -> Result<Filter, Error> {
    if text.len() > MAX_BYTES {
        return Err(Error::new(
            "too_long",
            format!("filter text is at most {}; this is {}", event::size::in_words(MAX_BYTES), text.len()),
        ));
    }
    let mut lexer = Lexer::new(text);
    let mut words = Vec::new();
    while let Some(word) = lexer.next_word()? {
        words.push(word);
    }
    if words.is_empty() {
        return Ok(Filter::All);
    }
    let mut parser = Parser { words: words.into_iter().peekable(), end: text.len(), view, clock };
    let filter = parser.expression(0, 0)?;
    match parser.words.next() {
        None => filter.normalized().bounded(),
        Some((_, span)) => Err(Error::new("syntax", "this parenthesis closes nothing").span(span)),
    }
}

struct Parser<'a> {
    words: std::iter::Peekable<std::vec::IntoIter<(Word, Range<usize>)>>,
    end: usize,
    view: View,
    clock: &'a Clock,
}

impl Parser<'_> {
    fn expression(&mut self, binding: u8, depth: usize) -> Result<Filter, Error> {
        let mut left = self.operand(depth)?;
        while let Some((word, _)) = self.words.peek() {
            let (power, written) = match word {
                Word::Close => break,
                Word::Or => (OR, true),
                Word::And => (AND, true),
                _ => (AND, false),
            };
            if power < binding {
                break;
            }
            if written {
                self.words.next();
            }
            let right = self.expression(power + 1, depth)?;
            left = match (power, left) {
                (OR, Filter::Or(mut parts)) => {
                    parts.push(right);
                    Filter::Or(parts)
                }
                (AND, Filter::And(mut parts)) => {
                    parts.push(right);
                    Filter::And(parts)
                }
                (OR, left) => Filter::Or(vec![left, right]),
                (_, left) => Filter::And(vec![left, right]),
            };
        }
        Ok(left)
    }

    fn operand(&mut self, depth: usize) -> Result<Filter, Error> {
        let Some((word, span)) = self.words.next() else {
            return Err(Error::new("syntax", "something is missing at the end: a condition such as key:value")
                .span(self.end..self.end));
        };
        if depth > MAX_DEPTH {
            return Err(Error::new("too_deep", format!("filter text nests at most {MAX_DEPTH} deep")).span(span));
        }
        match word {
            Word::Not => Ok(self.expression(NOT, depth + 1)?.negated()),
            Word::Open => {
                if matches!(self.words.peek(), Some((Word::Close, _))) {
                    return Err(Error::new("syntax", "these parentheses are empty").span(span));
                }
                let inner = self.expression(0, depth + 1)?;
                match self.words.next() {
                    Some((Word::Close, _)) => Ok(inner),
                    _ => Err(Error::new("syntax", "this parenthesis is not closed").span(span)),
                }
            }
            Word::Everything => Ok(Filter::All),
            Word::Free(text) => Ok(Filter::Text(text)),
            Word::Pair { key, key_span, value, value_span } => {
                let key = self.view.key(&key).map_err(|e| e.span(key_span))?;
                self.condition(key, value).map_err(|e| e.span(value_span))
            }
            Word::And | Word::Or | Word::Close => {
                let what = if word == Word::Close {
                    "this parenthesis closes nothing"
                } else {
                    "a condition is missing before this"
                };
                Err(Error::new("syntax", what).span(span))
            }
        }
    }

    fn condition(&self, key: Key, value: Spelled) -> Result<Filter, Error> {
        match value {
            Spelled::Exists => Ok(Filter::Test(Test { key, op: Op::Exists, value: Value::None })),
            Spelled::Contains(text) => Filter::read(key, Op::Contains, &text, self.clock),
            Spelled::Compare(op, text) => Filter::read(key, op, &text, self.clock),
            Spelled::One(one) => self.one(&key, one),
            Spelled::Range(low, high) => {
                let mut parts = Vec::new();
                for (op, side) in [(Op::Ge, low), (Op::Le, high)] {
                    if let Some(text) = side {
                        parts.push(Filter::read(key.clone(), op, &text, self.clock)?);
                    }
                }
                Ok(Filter::And(parts))
            }
            Spelled::List(values) => {
                let texts: Option<Vec<String>> =
                    values.iter().map(|v| if let Scalar::Text(t) = v { Some(t.clone()) } else { None }).collect();
                match texts {
                    Some(list) if matches!(key.kind(), ColumnKind::Text | ColumnKind::List | ColumnKind::Json) => {
                        Ok(Filter::Test(Test { key, op: Op::In, value: Value::List(list) }))
                    }
                    _ => Ok(Filter::Or(values.into_iter().map(|v| self.one(&key, v)).collect::<Result<_, _>>()?)),
                }
            }
        }
    }

    fn one(&self, key: &Key, value: Scalar) -> Result<Filter, Error> {
        match value {
            Scalar::Text(text) => Filter::read(key.clone(), Op::Is, &text, self.clock),
            Scalar::Pattern(pattern) => Filter::read(key.clone(), Op::Like, &pattern, self.clock),
        }
    }
}
