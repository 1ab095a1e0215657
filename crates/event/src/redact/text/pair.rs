//! A pair of members in JSON that is broken or cut, and so only a text: `{"type":"password","value":"…`.
//!
//! Owns: the value that stands right behind its name. Pairs in sound JSON are found in any order, by `canonical`.

use super::super::keys;
use super::value::value_after;
use super::{Rules, run, word_around};
use std::ops::Range;

/// The longest that is looked at before a word: `"header" : "`, with the backslashes of a text in a text.
const LOOK_BACK: usize = 40;

/// The value of the member right behind the one whose value is the secret's name that an anchor stands in.
pub(super) fn value(text: &str, hit: Range<usize>, rules: &Rules) -> Option<(Range<usize>, &'static str)> {
    let bytes = text.as_bytes();
    let word = word_around(bytes, &hit)?;
    let blanks = |at| run(bytes, at, |b| b.is_ascii_whitespace());
    let comma = blanks(quote(bytes, word.end)?);
    let key = (bytes.get(comma) == Some(&b',')).then(|| quote(bytes, blanks(comma + 1)))??;
    let key_end = run(bytes, key, |b| b.is_ascii_alphabetic());
    if !keys::is_named_value(text.get(key..key_end)?) || !names_a_value(text, word.start) {
        return None;
    }
    let name = keys::name_of(text.get(word)?, rules)?;
    let value = value_after(bytes, key_end, |b| b.is_ascii_whitespace())?;
    let end = match (value.quote, bytes.get(value.start)) {
        (Some(_), _) => value.end_of_quoted(bytes),
        (None, Some(b'{' | b'[')) => return Some((value.start..value.end_of_bracketed(bytes), name)),
        (None, _) => value.end_of_word(bytes),
    };
    let plain = matches!(text.get(value.start..end)?, "true" | "false" | "null");
    (!plain).then_some((value.start..end, name))
}

/// Behind a quote and its backslashes, if one is there.
fn quote(bytes: &[u8], at: usize) -> Option<usize> {
    let at = run(bytes.get(..bytes.len().min(at + LOOK_BACK))?, at, |b| b == b'\\');
    (bytes.get(at) == Some(&b'"')).then_some(at + 1)
}

/// Whether what begins at `at` is the value of a member that names another one: `"type":"`.
fn names_a_value(text: &str, at: usize) -> bool {
    let before = text.as_bytes().get(at.saturating_sub(LOOK_BACK)..at).unwrap_or_default();
    let key = || {
        let key = unquoted(unquoted(before)?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end())?;
        std::str::from_utf8(key.get(key.iter().rposition(|b| *b == b'"')? + 1..)?).ok()
    };
    key().is_some_and(keys::names_a_value)
}

/// What stands before the quote at the end, and before its backslashes.
fn unquoted(bytes: &[u8]) -> Option<&[u8]> {
    let bytes = bytes.strip_suffix(b"\"")?;
    let end = bytes.iter().rposition(|b| *b != b'\\').map_or(0, |last| last + 1);
    bytes.get(..end)
}
