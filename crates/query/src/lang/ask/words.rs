//! From a question to its words: quoted names, addresses, numbers and plain words, each with its bytes.
//!
//! Owns: quoting, punctuation and the shapes of entities. Not here: what a word means.

use std::net::IpAddr;
use std::ops::Range;

/// What shape a word has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Plain,
    Quoted,
    Email,
    Ip,
    Uuid,
    Comma,
    /// A time phrase, by its number; made by `time::cut`.
    Time(usize),
}

/// A word of a question.
#[derive(Clone, Debug)]
pub(super) struct Word {
    /// As typed, without quotes and outer punctuation.
    pub text: String,
    /// In lower case, with straight apostrophes and without a possessive ending.
    pub low: String,
    pub shape: Shape,
    pub span: Range<usize>,
    /// It ended in `'s`.
    pub owner: bool,
}

impl Word {
    /// Whether it was typed as one value: quoted, or an address or id.
    pub fn entity(&self) -> bool {
        matches!(self.shape, Shape::Quoted | Shape::Email | Shape::Ip | Shape::Uuid)
    }

    /// How many: a number without a sign, for nothing is counted or dated by less than none.
    pub fn number(&self) -> Option<i64> {
        let digits = self.shape == Shape::Plain && self.low.bytes().all(|b| b.is_ascii_digit());
        (digits && self.low.len() <= 9).then(|| self.low.parse().ok()).flatten()
    }
}

/// Cuts a question into words.
pub(super) fn split(question: &str) -> Vec<Word> {
    let mut out = Vec::new();
    let mut at = 0;
    // Where a closing quote was last looked for in vain: keeps the whole linear.
    let mut unclosed: Vec<char> = Vec::new();
    while let Some(c) = question[at..].chars().next() {
        let start = at;
        at += c.len_utf8();
        if c.is_whitespace() {
            continue;
        }
        if let Some(close) = closing(c).filter(|close| !unclosed.contains(close)) {
            match find_close(&question[at..], close) {
                Some(len) => {
                    let inner = question[at..at + len].trim();
                    at += len + question[at + len..].chars().next().map_or(0, char::len_utf8);
                    if !inner.is_empty() {
                        out.push(word(inner, Shape::Quoted, start..at));
                    }
                    continue;
                }
                None => unclosed.push(close),
            }
        }
        if matches!(c, ',' | ';') {
            out.push(word(",", Shape::Comma, start..at));
            continue;
        }
        if edge(c) && !(c == '!' && question[at..].starts_with('=')) {
            continue;
        }
        let end = question[at..]
            .find(|n: char| n.is_whitespace() || matches!(n, ',' | ';' | '"' | '“' | '”' | '(' | ')' | '`'))
            .map_or(question.len(), |n| at + n);
        at = end;
        chunk(question, start..end, &mut out);
    }
    out
}

fn closing(open: char) -> Option<char> {
    match open {
        '"' => Some('"'),
        '“' | '”' => Some('”'),
        '\'' => Some('\''),
        '‘' => Some('’'),
        '`' => Some('`'),
        _ => None,
    }
}

fn find_close(rest: &str, close: char) -> Option<usize> {
    let single = matches!(close, '\'' | '’');
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == close && !(single && chars.peek().is_some_and(|(_, n)| n.is_alphanumeric())) {
            return Some(at);
        }
    }
    None
}

fn edge(c: char) -> bool {
    matches!(c, '.' | '?' | '!' | ':' | '(' | ')' | '[' | ']' | '{' | '}' | '"' | '“' | '”' | '`' | '\'' | '‘' | '’')
}

fn chunk(question: &str, span: Range<usize>, out: &mut Vec<Word>) {
    let mut text = &question[span.clone()];
    let mut start = span.start;
    if text == "!=" || text == "…" {
        out.push(word(text, Shape::Plain, span));
        return;
    }
    let trimmed = text.trim_end_matches(|c| edge(c) || c == '…');
    // `2026-11-20T12:00:00Z.` loses its full stop, `::1` keeps its colons.
    text = if text.parse::<IpAddr>().is_ok() { text } else { trimmed };
    if text.is_empty() {
        return;
    }
    if let Some(at) = text.find(['=', '<', '>']).filter(|_| text.len() > 2 && !text.contains("://")) {
        let sign = text[at..].chars().take_while(|c| matches!(c, '=' | '<' | '>')).count();
        let from = if at > 0 && text.as_bytes()[at - 1] == b'!' { at - 1 } else { at };
        for part in [0..from, from..at + sign, at + sign..text.len()] {
            if !part.is_empty() {
                let span = start + part.start..start + part.end;
                if part.start >= at + sign && text[part.clone()].contains(['=', '<', '>']) {
                    out.push(word(&text[part], Shape::Plain, span));
                } else {
                    push(&text[part], span, out);
                }
            }
        }
        return;
    }
    let named =
        |s: &str| s.len() > 1 && s.chars().all(|c| c.is_alphabetic() || c == '_') && s != "http" && s != "https";
    if let Some((left, right)) = text.split_once(':').filter(|(l, r)| named(l) && !r.is_empty() && !r.starts_with(':'))
    {
        push(left, start..start + left.len(), out);
        start += left.len() + 1;
        text = right;
    }
    push(text, start..start + text.len(), out);
}

fn push(text: &str, span: Range<usize>, out: &mut Vec<Word>) {
    let shape = shape(text);
    out.push(word(text, shape, span));
}

fn word(text: &str, shape: Shape, span: Range<usize>) -> Word {
    let mut low = text.to_lowercase().replace('’', "'");
    let mut text = text.to_owned();
    let mut owner = false;
    if shape != Shape::Quoted {
        for ending in ["'s", "'"] {
            if let Some(stem) = low.strip_suffix(ending).filter(|s| !s.is_empty()) {
                low = stem.to_owned();
                owner = true;
                let keep = text.chars().count().saturating_sub(ending.len());
                text = text.chars().take(keep).collect();
                break;
            }
        }
    }
    let shape = if owner { self::shape(&text) } else { shape };
    Word { text, low, shape, span, owner }
}

fn shape(text: &str) -> Shape {
    if text.parse::<IpAddr>().is_ok() {
        return Shape::Ip;
    }
    if text.split_once('@').is_some_and(|(l, r)| !l.is_empty() && !r.is_empty() && !r.contains('@')) {
        return Shape::Email;
    }
    let uuid = text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(i, b)| if matches!(i, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_hexdigit() });
    if uuid { Shape::Uuid } else { Shape::Plain }
}
