//! Secrets inside free text: tokens by their shape, and values that stand after a secret's name.
//!
//! One Aho-Corasick pass finds the few places worth a look; each is then read forward once. Text that cannot have
//! any such place (`filter`), nearly all of it, costs less than that pass and no allocation.

mod filter;
mod pair;
mod value;

pub(super) use filter::suspicious;

use super::{MARK, Rules};
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;
use value::{Value, value_after, value_after_is};

/// Shortest token body taken for a session token after its `ory_…_` prefix, as ory-nestjs has it.
const TOKEN_MIN: usize = 16;

/// Characters of the id and of the secret in a key of Indelible, `ind_<id>_<secret>`.
const KEY_ID: usize = 12;
const KEY_SECRET: usize = 43;

/// Shortest word with a digit in it that is taken for a secret where prose names one: "access token: 8f3a9b2c".
const PROSE_MIN: usize = 6;

/// The same of a PIN: "your PIN is 1234".
const PIN_MIN: usize = 4;

/// Bytes of a name that are looked at on either side of an anchor.
const NAME_MOST: usize = 48;

/// What an anchor found in the text leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Jwt,
    Ory,
    /// A key of Indelible itself.
    Indelible,
    Bearer,
    /// A header whose whole value goes.
    Header(&'static str),
    /// A name whose value goes where one follows after `=` or `:`.
    Named(&'static str),
    /// What may be part of such a name.
    Part,
    /// `://`, perhaps with a password before the host.
    Url,
    Pem,
}

const ANCHORS: &[(&str, Anchor)] = &[
    ("eyj", Anchor::Jwt),
    ("ory_", Anchor::Ory),
    ("ind_", Anchor::Indelible),
    ("bearer ", Anchor::Bearer),
    ("basic ", Anchor::Bearer),
    ("authorization", Anchor::Header("authorization")),
    ("cookie", Anchor::Header("cookie")),
    ("api-key", Anchor::Named("api_key")),
    ("api_key", Anchor::Named("api_key")),
    ("apikey", Anchor::Named("api_key")),
    ("api key", Anchor::Named("api_key")),
    ("password", Anchor::Named("password")),
    ("passwd", Anchor::Named("password")),
    ("pwd", Anchor::Named("password")),
    ("secret", Anchor::Named("secret")),
    ("token", Anchor::Named("token")),
    ("passphrase", Anchor::Named("password")),
    ("otp", Anchor::Named("otp")),
    ("otp_code", Anchor::Named("otp")),
    ("passcode", Anchor::Named("otp")),
    ("pin", Anchor::Part),
    ("code", Anchor::Part),
    ("access_key", Anchor::Part),
    ("access-key", Anchor::Part),
    ("accesskey", Anchor::Part),
    ("pass", Anchor::Part),
    ("private", Anchor::Part),
    ("samlresponse", Anchor::Part),
    ("clientassertion", Anchor::Part),
    ("client_assertion", Anchor::Part),
    ("ory_kratos_session", Anchor::Named("session_token")),
    ("ory_session_", Anchor::Part),
    ("traits", Anchor::Named("traits")),
    ("://", Anchor::Url),
    ("-----begin ", Anchor::Pem),
];

static ANCHOR_SEARCH: LazyLock<AhoCorasick> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "the patterns are constants, far inside the builder's limits")]
    AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .kind(Some(AhoCorasickKind::DFA))
        .build(ANCHORS.iter().map(|a| a.0))
        .expect("constant patterns")
});

/// How often a text is looked at, at most, so that one that was made for it costs no more.
const LOOKS: usize = 16;

/// Takes secrets out of `text`; `None` where nothing was found.
///
/// What stands right behind a secret may be the rest of a longer one, which shows only when the mark is in its place: so what is found
/// in is looked at again until nothing is found, and scrubbing what is scrubbed changes nothing.
pub(super) fn scrub(text: &str, rules: &Rules, rule: &mut dyn FnMut(Cow<'static, str>)) -> Option<String> {
    let mut out = look(text, rules, rule)?;
    for _ in 1..LOOKS {
        match look(&out, rules, rule) {
            Some(next) if next != out => out = next,
            _ => break,
        }
    }
    Some(out)
}

/// Takes out what one look finds.
fn look(text: &str, rules: &Rules, rule: &mut dyn FnMut(Cow<'static, str>)) -> Option<String> {
    let mut cuts: Vec<(Range<usize>, Cow<'static, str>)> = Vec::new();
    // A name inside a value that goes is none. Two inside one name (`api_key_cookie`) may each say how far its value goes.
    let mut cut = 0..0;
    for found in ANCHOR_SEARCH.find_iter(text) {
        if cut.contains(&found.start()) {
            continue;
        }
        let Some((_, anchor)) = ANCHORS.get(found.pattern().as_usize()) else { continue };
        let secret = secret_at(text, found.range(), *anchor, rules).or_else(|| pair::value(text, found.range(), rules));
        if let Some((range, name)) = secret
            && !range.is_empty()
            && text.get(range.clone()).is_some_and(|t| t != MARK)
        {
            cut = if range.start < cut.end { cut.start..range.end.max(cut.end) } else { range.clone() };
            cuts.push((range, Cow::Borrowed(name)));
        }
    }
    for (pattern, regex) in &rules.patterns {
        let name = || Cow::Owned(format!("tenant:{pattern}"));
        cuts.extend(regex.find_iter(text).filter(|m| !m.is_empty()).map(|m| (m.range(), name())));
    }
    if cuts.is_empty() {
        return None;
    }
    cuts.sort_by_key(|(r, _)| r.start);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (range, name) in cuts {
        rule(name);
        // One that begins inside the last is part of it.
        if range.start >= at {
            out.push_str(text.get(at..range.start)?);
            out.push_str(MARK);
        }
        at = at.max(range.end);
    }
    out.push_str(text.get(at..)?);
    Some(out)
}

fn secret_at(text: &str, hit: Range<usize>, anchor: Anchor, rules: &Rules) -> Option<(Range<usize>, &'static str)> {
    let bytes = text.as_bytes();
    let before = hit.start.checked_sub(1).and_then(|i| bytes.get(i)).copied().unwrap_or(b' ');
    // As a regular expression's `\b` has it: a dash begins a new word.
    let starts_word = !(before.is_ascii_alphanumeric() || before == b'_');
    match anchor {
        Anchor::Jwt => {
            // The header of every JWT begins with `{"`, which base64url spells `eyJ`.
            if !starts_word || text.get(hit.start..hit.start + 3)? != "eyJ" {
                return None;
            }
            let head = run(bytes, hit.start, is_base64url);
            let payload = (bytes.get(head) == Some(&b'.')).then(|| run(bytes, head + 1, is_base64url))?;
            let signed = (bytes.get(payload) == Some(&b'.')).then(|| run(bytes, payload + 1, is_base64url))?;
            (head > hit.start + 3 && payload > head + 1).then_some((hit.start..signed, "jwt"))
        }
        Anchor::Ory => {
            if !starts_word {
                return None;
            }
            // `ory_st_…`, `ory_at_…`, `ory_rt_…`, `ory_ac_…`, `ory_wak_…`, and whatever kind comes next.
            let kind = run(bytes, hit.end, |b| b.is_ascii_alphabetic());
            let body = (bytes.get(kind) == Some(&b'_') && kind > hit.end && kind - hit.end <= 8).then_some(kind + 1)?;
            let end = run(bytes, body, |b| is_base64url(b) || b == b'.');
            (end - body >= TOKEN_MIN).then_some((hit.start..end, "ory_token"))
        }
        Anchor::Indelible => {
            // Whatever stands before it: behind the `\n` of a text in JSON it is a letter.
            let id = run(bytes, hit.end, |b| b.is_ascii_lowercase() || matches!(b, b'2'..=b'7'));
            let secret = (id - hit.end == KEY_ID && bytes.get(id) == Some(&b'_')).then_some(id + 1)?;
            let end = run(bytes, secret, is_base64url);
            (end - secret >= KEY_SECRET).then_some((hit.start..end, "indelible_key"))
        }
        Anchor::Bearer => {
            let start = run(bytes, hit.end, |b| b == b' ');
            let end = run(bytes, start, |b| is_base64url(b) || matches!(b, b'.' | b'~' | b'+' | b'/' | b'='));
            let said = text.get(start..end)?;
            // "the bearer of news", "basic plan": what a bearer shows has a digit, and the other is base64 of two words.
            let bearer = text.get(hit.clone())?.eq_ignore_ascii_case("bearer ") && said.len() >= 8 && has_digit(said);
            (bearer || said.len() >= TOKEN_MIN).then_some((start..end, "authorization"))
        }
        Anchor::Header(name) => {
            let value = value_after(bytes, hit.end, |b| b == b' ' || b == b'\t')?;
            let end = match value.quote {
                Some(_) => value.end_of_quoted(bytes),
                None => run(bytes, value.start, |b| b != b'\n' && b != b'\r'),
            };
            Some((value.start..end, name))
        }
        Anchor::Named("traits") if rules.keep_traits => None,
        Anchor::Named("traits") => {
            // Only as a key of JSON kept in text: `"traits":{…}` goes up to its closing bracket.
            let value = value_after(bytes, hit.end, |b| b.is_ascii_whitespace())?;
            (bytes.get(hit.end).is_some_and(|b| matches!(b, b'"' | b'\'' | b'\\'))
                && bytes.get(value.start) == Some(&b'{'))
            .then(|| (value.start..value.end_of_bracketed(bytes), "traits"))
        }
        Anchor::Named(_) | Anchor::Part => {
            let word = word_around(bytes, &hit)?;
            let (from, to) = (word.start, word.end);
            let name = match anchor {
                Anchor::Named(name) if to == hit.end => name,
                _ => match super::keys::name_of(text.get(from..to)?, rules) {
                    Some(name) => name,
                    None => return spoken_code(text, from..to, rules),
                },
            };
            let is = value_after_is(bytes, to);
            let spoken = is.is_some() || text.get(hit.clone())?.contains(' ');
            let value = value_after(bytes, to, |b| b.is_ascii_whitespace()).or(is)?;
            if value.quote.is_none() && matches!(bytes.get(value.start), Some(b'{' | b'[')) {
                return Some((value.start..value.end_of_bracketed(bytes), name));
            }
            let end = match value.quote {
                Some(_) => value.end_of_quoted(bytes),
                None => value.end_of_word(bytes),
            };
            let said = text.get(value.start..end)?;
            if text.get(word.clone())?.eq_ignore_ascii_case("pass") && is_count_or_verdict(bytes, from, &value, said) {
                return None;
            }
            // In prose ("invalid token: expired", "the password is wrong") a word is not a secret; one with a digit in it is. After a
            // colon and a name that is written as one word, a password's or a code's, anything is.
            // A pin may be one of a plug as well.
            let pin = text.get(word)?.eq_ignore_ascii_case("pin");
            let prose = value.loose && from == hit.start && (spoken || pin || matches!(name, "token" | "secret"));
            if prose && !(said.len() >= if pin { PIN_MIN } else { PROSE_MIN } && has_digit(said)) {
                return None;
            }
            let plain = matches!(said, "true" | "false" | "null" | "none" | "undefined");
            (!plain).then_some((value.start..end, name))
        }
        Anchor::Url => {
            let end = run(bytes, hit.end, |b| {
                !b.is_ascii_whitespace() && !matches!(b, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>')
            });
            let at = hit.end + bytes.get(hit.end..end)?.iter().rposition(|b| *b == b'@')?;
            let colon = hit.end + bytes.get(hit.end..at)?.iter().position(|b| *b == b':')?;
            Some((colon + 1..at, "url_password"))
        }
        Anchor::Pem => {
            let rest = text.get(hit.end..)?;
            let line = rest.get(..rest.find("-----")?)?;
            line.to_ascii_uppercase().contains("PRIVATE KEY").then(|| {
                let end = rest.find("-----END ").map_or(text.len(), |i| {
                    let tail = hit.end + i + 9;
                    text.get(tail..).and_then(|t| t.find("-----")).map_or(text.len(), |j| tail + j + 5)
                });
                (hit.start..end, "private_key")
            })
        }
    }
}

/// Whether a "pass", at `from`, is no password but what a test did: `PASS: sign_in`, `pass=12`.
fn is_count_or_verdict(bytes: &[u8], from: usize, value: &Value, said: &str) -> bool {
    let in_address = from.checked_sub(1).is_some_and(|at| matches!(bytes.get(at), Some(b'?' | b'&')));
    let is_count = value.quote.is_none() && said.bytes().all(|b| b.is_ascii_digit());
    value.loose || (is_count && !in_address)
}

/// The whole word that an anchor stands in: `recovery_codes` is a name of its own, `tokens_issued` is none.
fn word_around(bytes: &[u8], hit: &Range<usize>) -> Option<Range<usize>> {
    // No name is longer, and a text of nothing but names is looked at once, not as often as it has names.
    let start = hit.start.saturating_sub(NAME_MOST);
    let before = bytes.get(start..hit.start)?.iter().rposition(|b| !is_base64url(*b));
    let from = before.map_or(start, |i| value::behind_colour(bytes, start + i + 1)).min(hit.start);
    let to = run(bytes.get(..bytes.len().min(hit.end + NAME_MOST))?, hit.end, is_base64url);
    Some(from..to)
}

/// A code as people are told it: the last word of its name ("verification code", "your code"), `:` or "is", and what has a digit in it.
fn spoken_code(text: &str, word: Range<usize>, rules: &Rules) -> Option<(Range<usize>, &'static str)> {
    let bytes = text.as_bytes();
    let said = text.get(word.clone())?;
    if !said.eq_ignore_ascii_case("code") && !said.eq_ignore_ascii_case("codes") {
        return None;
    }
    if matches!(word.start.checked_sub(1).and_then(|at| bytes.get(at)), Some(b'?' | b'&')) {
        // In an address: a code of OAuth 2.0, or one that somebody was sent.
        let value = value_after(bytes, word.end, |_| false).filter(|value| value.quote.is_none())?;
        let end = value.end_of_word(bytes);
        return (end - value.start >= 4).then_some((value.start..end, "otp"));
    }
    let before = |at: usize| {
        let end = at.checked_sub(1).filter(|end| bytes.get(*end) == Some(&b' '))?;
        let least = end.saturating_sub(NAME_MOST);
        let start = bytes.get(least..end)?.iter().rposition(|b| !is_base64url(*b)).map_or(least, |i| least + i + 1);
        (start < end).then_some(start)
    };
    let first = before(word.start)?;
    let name = |from: usize| super::keys::name_of(text.get(from..word.end)?, rules);
    let is_one = |w: &str| w.eq_ignore_ascii_case("your") || w.eq_ignore_ascii_case("pin");
    let yours = text.get(first..word.start - 1).is_some_and(is_one).then_some("otp");
    // "one time code" is three words.
    let name = yours.or_else(|| name(first)).or_else(|| name(before(first)?))?;
    let is = bytes.get(word.end..word.end + 3).is_some_and(|b| b.eq_ignore_ascii_case(b" is"));
    let after = if is { word.end + 3 } else { word.end };
    let (start, end) = match value_after(bytes, after, |b| b.is_ascii_whitespace()) {
        Some(value) if value.quote.is_some() => (value.start, value.end_of_quoted(bytes)),
        Some(value) => (value.start, run(bytes, value.start, is_base64url)),
        None if is => {
            let start = run(bytes, after, |b| matches!(b, b' ' | b'"' | b'\''));
            (start, run(bytes, start, is_base64url))
        }
        None => return None,
    };
    let said = text.get(start..end)?;
    (said.len() >= 4 && has_digit(said)).then_some((start..end, name))
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
}

fn is_base64url(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
}

/// The first position from `from` on whose byte does not satisfy `keep`. Bytes past ASCII count as kept
/// only if `keep` says so, and every rule's stop bytes are ASCII, so ranges end on character boundaries
/// or at bytes ≥ 0x80 that `keep` let through.
fn run(bytes: &[u8], from: usize, keep: impl Fn(u8) -> bool) -> usize {
    bytes
        .get(from..)
        .map_or(from.min(bytes.len()), |rest| from + rest.iter().position(|b| !keep(*b)).unwrap_or(rest.len()))
}

#[cfg(test)]
mod tests;
