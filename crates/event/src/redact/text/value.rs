//! The value that stands after a secret's name, and where it ends.
//!
//! Not here: which names are secret, and what else is (`super`).

use super::run;
use std::ops::Range;

/// A value that stands after a name.
pub(super) struct Value {
    pub(super) start: usize,
    /// The quote it is in.
    pub(super) quote: Option<u8>,
    /// Backslashes before that quote: JSON in a text of JSON has one, the next level three.
    escapes: usize,
    /// Only prose punctuation (`: `) led to it.
    pub(super) loose: bool,
    /// It stands in a percent-encoded text.
    encoded: bool,
}

impl Value {
    /// Where a value ends that begins with a bracket: what goes on behind the closing one without a sign is a part of it.
    pub(super) fn end_of_bracketed(self, bytes: &[u8]) -> usize {
        Value { start: closing(bytes, self.start), ..self }.end_of_word(bytes)
    }

    /// Where a value without quotes ends.
    pub(super) fn end_of_word(&self, bytes: &[u8]) -> usize {
        let ends = |b: u8| {
            b.is_ascii_whitespace() || matches!(b, b'&' | b',' | b';' | b'"' | b'\'' | b')' | b'}' | b']' | b'<')
        };
        let mut end = run(bytes, self.start, |b| !ends(b) && b != ESCAPE);
        // Colours are none of it; the character alone may be.
        while bytes.get(end) == Some(&ESCAPE) && colour(bytes, end) == end {
            end = run(bytes, end + 1, |b| !ends(b) && b != ESCAPE);
        }
        if self.encoded {
            let ampersand = bytes.get(self.start..end).and_then(|value| value.windows(3).position(|w| w == b"%26"));
            end = ampersand.map_or(end, |at| self.start + at);
        }
        // The backslashes of the quote around all of it are not the value's.
        let backslashes = backslashes(bytes, self.start..end);
        if matches!(bytes.get(end), Some(b'"' | b'\'')) { end - backslashes } else { end }
    }

    /// Where a quoted value ends: before its closing quote and that quote's own backslashes.
    pub(super) fn end_of_quoted(&self, bytes: &[u8]) -> usize {
        let Some(quote) = self.quote else { return self.start };
        // A quote inside the value has twice as many and one more, and each backslash before it twice as many again.
        let inner = 2 * self.escapes + 1;
        let mut at = self.start;
        loop {
            at = run(bytes, at, |b| b != quote);
            if at >= bytes.len() {
                return at;
            }
            let backslashes = backslashes(bytes, self.start..at);
            if backslashes % (inner + 1) != inner {
                return at - backslashes.min(self.escapes);
            }
            at += 1;
        }
    }
}

/// How many backslashes stand at the end of a range.
fn backslashes(bytes: &[u8], range: Range<usize>) -> usize {
    bytes.get(range).map_or(0, |bytes| bytes.iter().rev().take_while(|b| **b == b'\\').count())
}

/// What begins a code that colours a text: `ESC [ 1 ; 32 m`.
const ESCAPE: u8 = 0x1b;

/// Where such a code ends that begins at `at`, or `at`.
fn colour(bytes: &[u8], at: usize) -> usize {
    let Some([ESCAPE, b'[', ..]) = bytes.get(at..) else { return at };
    let end = run(bytes, at + 2, |b| matches!(b, b'0'..=b'9' | b';'));
    if bytes.get(end).is_some_and(u8::is_ascii_alphabetic) { end + 1 } else { at }
}

/// Where the blanks end, and the codes for colours between them.
fn blanks(bytes: &[u8], from: usize, space: impl Fn(u8) -> bool) -> usize {
    let mut at = run(bytes, from, &space);
    loop {
        let behind = run(bytes, colour(bytes, at), &space);
        if behind == at {
            return at;
        }
        at = behind;
    }
}

/// Where a word begins that seems to begin at `from`: behind the letters of a code before it.
pub(super) fn behind_colour(bytes: &[u8], from: usize) -> usize {
    let least = from.saturating_sub(16);
    let before = bytes.get(least..from).unwrap_or_default();
    let code = before.iter().rposition(|b| !matches!(b, b'0'..=b'9' | b';')).map(|at| least + at);
    match code.and_then(|at| at.checked_sub(1)) {
        Some(at) if bytes.get(at..at + 2) == Some(&[ESCAPE, b'[']) => colour(bytes, at).max(from),
        _ => from,
    }
}

/// The value after a name: over closing quotes (escaped ones too) and brackets, `space`, and what says that one follows: `=`, `:`,
/// `=>`, `:=`, or a percent-encoded one.
pub(super) fn value_after(bytes: &[u8], from: usize, space: impl Fn(u8) -> bool) -> Option<Value> {
    let mut at = from;
    let quoted_name = matches!(bytes.get(at), Some(b'"' | b'\'' | b'\\'));
    while matches!(bytes.get(at), Some(b'"' | b'\'' | b'\\' | b'[' | b']')) && at < from + 4 {
        at += 1;
    }
    at = blanks(bytes, at, &space);
    let (mut colon, mut encoded) = (false, false);
    let signs = at;
    loop {
        match bytes.get(at..)? {
            [b':', ..] if at == signs => (colon, at) = (true, at + 1),
            [b'=' | b':', ..] | [b'>', ..] if at > signs || bytes.get(at) == Some(&b'=') => {
                (colon, at) = (false, at + 1)
            }
            [b'%', b'3', b'D' | b'd' | b'A' | b'a', ..] => (encoded, at) = (true, at + 3),
            _ => break,
        }
    }
    if at == signs {
        return None;
    }
    let after = at;
    at = blanks(bytes, after, &space);
    let loose = colon && at > after && !quoted_name;
    let (mut quote, mut escapes) = (None, 0);
    while let Some(b @ (b'"' | b'\'' | b'\\')) = bytes.get(at) {
        at += 1;
        if *b != b'\\' {
            quote = Some(*b);
            break;
        }
        escapes += 1;
    }
    (at < bytes.len()).then_some(Value { start: at, quote, escapes, loose: loose && quote.is_none(), encoded })
}

/// The end of the bracketed value that begins at `from`. Brackets in its quoted texts are none of it.
fn closing(bytes: &[u8], from: usize) -> usize {
    let mut open = 0usize;
    let mut at = from;
    while let Some(b) = bytes.get(at) {
        match b {
            b'{' | b'[' => open += 1,
            b'}' | b']' => {
                open = open.saturating_sub(1);
                if open == 0 {
                    return at + 1;
                }
            }
            b'"' => {
                let escapes = backslashes(bytes, from..at);
                let text = Value { start: at + 1, quote: Some(b'"'), escapes, loose: false, encoded: false };
                at = text.end_of_quoted(bytes) + escapes;
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// The value after "is": "the password is hunter2".
pub(super) fn value_after_is(bytes: &[u8], from: usize) -> Option<Value> {
    bytes.get(from..from + 4)?.eq_ignore_ascii_case(b" is ").then(|| Value {
        start: run(bytes, from + 4, |b| b == b' '),
        quote: None,
        escapes: 0,
        loose: true,
        encoded: false,
    })
}
