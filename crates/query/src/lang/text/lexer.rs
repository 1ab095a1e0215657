//! From filter text to its words: terms, parentheses and connectives, each with its bytes.
//!
//! Owns: quoting, escaping, and the spelling of values. Not here: which keys there are, what a term means.

use std::ops::Range;

use crate::lang::{error::Error, filter::Op, filter::escape_pattern};

/// A word of filter text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    Open,
    Close,
    And,
    Or,
    Not,
    /// A lone `*`: everything.
    Everything,
    /// A text to be found anywhere.
    Free(String),
    /// A key with a condition.
    Pair {
        key: String,
        key_span: Range<usize>,
        value: Spelled,
        value_span: Range<usize>,
    },
}

/// The condition of a pair, as spelled.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Spelled {
    Exists,
    Contains(String),
    One(Scalar),
    Compare(Op, String),
    Range(Option<String>, Option<String>),
    List(Vec<Scalar>),
}

/// A value: a text, or a pattern if it was bare and has a `*`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Text(String),
    Pattern(String),
}

/// Reads words one after another.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

/// A bare run of characters; `true` marks those that were escaped.
type Bare = Vec<(char, bool)>;

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Lexer<'a> {
        Lexer { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn error(&self, from: usize, message: impl Into<String>) -> Error {
        let end = self.text[self.at..].chars().next().map_or(self.at, |c| self.at + c.len_utf8());
        let end = if from < self.at { self.at } else { end };
        Error::new("syntax", message).span(from..end)
    }

    /// The next word and its bytes; none at the end.
    pub(super) fn next_word(&mut self) -> Result<Option<(Word, Range<usize>)>, Error> {
        while self.peek().is_some_and(char::is_whitespace) {
            self.bump();
        }
        let start = self.at;
        let Some(c) = self.peek() else { return Ok(None) };
        let word = match c {
            '(' | ')' => {
                self.bump();
                if c == '(' { Word::Open } else { Word::Close }
            }
            '-' | '!' if self.rest()[1..].chars().next().is_some_and(|n| !n.is_whitespace() && n != ')') => {
                self.bump();
                Word::Not
            }
            '"' => {
                let text = self.quoted()?;
                match self.peek() {
                    Some(':' | '~') => self.pair(text, start)?,
                    _ => Word::Free(text),
                }
            }
            _ => self.bare_word(start)?,
        };
        Ok(Some((word, start..self.at)))
    }

    fn bare_word(&mut self, start: usize) -> Result<Word, Error> {
        let rest = self.rest();
        let head =
            rest.find(|c: char| c.is_whitespace() || matches!(c, ':' | '~' | '(' | ')' | '"')).unwrap_or(rest.len());
        let named = rest.starts_with(|c: char| c.is_alphabetic() || c == '_');
        if named && matches!(rest[head..].chars().next(), Some(':' | '~')) {
            self.at += head;
            return self.pair(rest[..head].to_owned(), start);
        }
        let bare = self.bare(false)?;
        match &rest[..self.at - start] {
            "AND" => return Ok(Word::And),
            "OR" => return Ok(Word::Or),
            "NOT" => return Ok(Word::Not),
            "*" => return Ok(Word::Everything),
            _ => {}
        }
        let star = |&(c, escaped): &(char, bool)| c == '*' && !escaped;
        let trimmed = bare.iter().skip_while(|c| star(c)).copied().collect::<Bare>();
        let end = trimmed.iter().rposition(|c| !star(c)).map_or(0, |i| i + 1);
        if trimmed[..end].iter().any(star) {
            return Err(self.error(
                start,
                "a word without a key is looked for as it is; write key:a*b for a pattern, or \\* for a star",
            ));
        }
        Ok(Word::Free(trimmed[..end].iter().map(|(c, _)| c).collect()))
    }

    fn pair(&mut self, key: String, start: usize) -> Result<Word, Error> {
        let key_span = start..self.at;
        let separator = self.bump();
        let from = self.at;
        let value =
            if separator == Some('~') { Spelled::Contains(self.one(from, &key)?) } else { self.value(from, &key)? };
        Ok(Word::Pair { key, key_span, value, value_span: from..self.at })
    }

    fn value(&mut self, from: usize, key: &str) -> Result<Spelled, Error> {
        for (sign, op) in [(">=", Op::Ge), ("<=", Op::Le), (">", Op::Gt), ("<", Op::Lt)] {
            if self.rest().starts_with(sign) {
                self.at += sign.len();
                return Ok(Spelled::Compare(op, self.one(from, key)?));
            }
        }
        if self.peek() == Some('[') {
            return self.list();
        }
        let (first, quoted) = match self.peek() {
            Some('"') => (self.quoted()?.chars().map(|c| (c, true)).collect(), true),
            _ => (self.bare(true)?, false),
        };
        if self.rest().starts_with("..") {
            self.at += 2;
            let low = (quoted || !first.is_empty()).then(|| plain(&first));
            let high = match self.peek() {
                None => None,
                Some(c) if c.is_whitespace() || c == ')' => None,
                Some(_) => Some(self.one(from, key)?),
            };
            if low.is_none() && high.is_none() {
                return Err(
                    self.error(from, format!("a range needs at least one side: {key}:a..b, {key}:a.. or {key}:..b"))
                );
            }
            return Ok(Spelled::Range(low, high));
        }
        if quoted {
            self.ended(from)?;
            return Ok(Spelled::One(Scalar::Text(plain(&first))));
        }
        match first.as_slice() {
            [] => Err(self.missing(from, key)),
            [('*', false)] => Ok(Spelled::Exists),
            other => Ok(Spelled::One(scalar(other))),
        }
    }

    fn missing(&self, from: usize, key: &str) -> Error {
        let hint = if self.peek() == Some('(') {
            " (parentheses hold conditions, not values: write a list as [a,b])"
        } else {
            ""
        };
        let from = from.saturating_sub(1);
        self.error(from, format!("{key} has no value here; write {key}:value without a space, {key}:* for any value, or {key}:\"\" for the empty one{hint}"))
    }

    /// A quoted or bare text that cannot be a pattern.
    fn one(&mut self, from: usize, key: &str) -> Result<String, Error> {
        if self.peek() == Some('"') {
            let text = self.quoted()?;
            self.ended(from)?;
            return Ok(text);
        }
        let bare = self.bare(false)?;
        if bare.is_empty() {
            return Err(self.missing(from, key));
        }
        Ok(plain(&bare))
    }

    fn ended(&self, from: usize) -> Result<(), Error> {
        match self.peek() {
            Some(c) if !c.is_whitespace() && c != ')' => Err(self.error(from, "put a space after the closing quote")),
            _ => Ok(()),
        }
    }

    fn list(&mut self) -> Result<Spelled, Error> {
        let start = self.at;
        self.bump();
        let mut values = Vec::new();
        loop {
            while self.peek().is_some_and(char::is_whitespace) {
                self.bump();
            }
            match self.peek() {
                None => return Err(self.error(start, "this list is not closed; write key:[a,b]")),
                Some(']') if values.is_empty() => return Err(self.error(start, "this list is empty; write key:[a,b]")),
                Some('"') => values.push(Scalar::Text(self.quoted()?)),
                Some(_) => {
                    let mut run = Bare::new();
                    while let Some(c) = self.peek() {
                        match c {
                            ',' | ']' | '"' => break,
                            '\\' => {
                                self.bump();
                                run.push((self.bump().unwrap_or('\\'), true));
                            }
                            _ => run.push((self.bump().unwrap_or(c), false)),
                        }
                    }
                    while run.last().is_some_and(|(c, escaped)| c.is_whitespace() && !escaped) {
                        run.pop();
                    }
                    if run.is_empty() {
                        return Err(self.error(start, "a value of this list is empty; write \"\" if that is meant"));
                    }
                    values.push(scalar(&run));
                }
            }
            while self.peek().is_some_and(char::is_whitespace) {
                self.bump();
            }
            match self.bump() {
                Some(',') => {}
                Some(']') => return Ok(Spelled::List(values)),
                None => return Err(self.error(start, "this list is not closed; write key:[a,b]")),
                Some(_) => return Err(self.error(start, "expected , or ] after a value of this list")),
            }
        }
    }

    fn quoted(&mut self) -> Result<String, Error> {
        let start = self.at;
        self.bump();
        let mut out = String::new();
        loop {
            match self.bump() {
                Some('"') => return Ok(out),
                Some('\\') if matches!(self.peek(), Some('"' | '\\')) => out.extend(self.bump()),
                Some(c) => out.push(c),
                None => return Err(self.error(start, "this quote is not closed")),
            }
        }
    }

    fn bare(&mut self, stop_at_range: bool) -> Result<Bare, Error> {
        let start = self.at;
        let mut out = Bare::new();
        while let Some(c) = self.peek() {
            match c {
                c if c.is_whitespace() || c == ')' => break,
                '(' if out.is_empty() => break,
                '(' => {
                    self.bump();
                    return Err(self.error(start, "a bare word cannot hold a parenthesis; put it in quotes"));
                }
                '.' if stop_at_range && self.rest().starts_with("..") => break,
                '\\' => {
                    self.bump();
                    out.push((self.bump().unwrap_or('\\'), true));
                }
                c => {
                    self.bump();
                    out.push((c, false));
                }
            }
        }
        Ok(out)
    }
}

fn plain(bare: &[(char, bool)]) -> String {
    bare.iter().map(|(c, _)| c).collect()
}

/// A bare value is a pattern if it has a star that is not escaped; a `%` in it is an ordinary character.
fn scalar(bare: &[(char, bool)]) -> Scalar {
    if !bare.contains(&('*', false)) {
        return Scalar::Text(plain(bare));
    }
    let mut pattern = String::new();
    let mut buffer = [0u8; 4];
    for (c, escaped) in bare {
        if *c == '*' && !escaped {
            pattern.push('*');
        } else {
            pattern.push_str(&escape_pattern(c.encode_utf8(&mut buffer)));
        }
    }
    Scalar::Pattern(pattern)
}
