//! Secrets inside free text: tokens by their shape, and values that stand after a secret's name.
//!
//! One Aho-Corasick pass finds the few places worth a look; each is then read forward once. Text that cannot have
//! any such place (`filter`), nearly all of it, costs less than that pass and no allocation.

mod filter;

pub(super) use filter::suspicious;

use super::{MARK, Rules};
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

/// Shortest token body taken for a session token after its `ory_…_` prefix, as ory-nestjs has it.
const TOKEN_MIN: usize = 16;

/// Shortest word with a digit in it that is taken for a secret where prose names one: "access token: 8f3a9b2c".
const PROSE_MIN: usize = 6;

/// Bytes of a name that are looked at on either side of an anchor.
const NAME_MOST: usize = 48;

/// What an anchor found in the text leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Jwt,
    Ory,
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
    ("code", Anchor::Part),
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

/// Takes secrets out of `text`; `None` where nothing was found.
pub(super) fn scrub(text: &str, rules: &Rules, rule: &mut dyn FnMut(Cow<'static, str>)) -> Option<String> {
    let mut cuts: Vec<(Range<usize>, Cow<'static, str>)> = Vec::new();
    // A name inside a value that goes is none. Two inside one name (`api_key_cookie`) may each say how far its value goes.
    let mut cut = 0..0;
    for found in ANCHOR_SEARCH.find_iter(text) {
        if cut.contains(&found.start()) {
            continue;
        }
        let Some((_, anchor)) = ANCHORS.get(found.pattern().as_usize()) else { continue };
        if let Some((range, name)) = secret_at(text, found.range(), *anchor, rules)
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
            // The whole word: `recovery_codes` is a name of its own, `tokens_issued` is none.
            // No name is longer, and a text of nothing but names is looked at once, not as often as it has names.
            let start = hit.start.saturating_sub(NAME_MOST);
            let before = bytes.get(start..hit.start)?.iter().rposition(|b| !is_base64url(*b));
            let from = before.map_or(start, |i| start + i + 1);
            let to = run(bytes.get(..bytes.len().min(hit.end + NAME_MOST))?, hit.end, is_base64url);
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
            // In prose ("invalid token: expired", "the password is wrong") a word is not a secret; one with a digit in it is. After a
            // colon and a name that is written as one word, a password's or a code's, anything is.
            let prose = value.loose && from == hit.start && (spoken || matches!(name, "token" | "secret"));
            if prose && !(said.len() >= PROSE_MIN && has_digit(said)) {
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
    let yours = text.get(first..word.start - 1).is_some_and(|w| w.eq_ignore_ascii_case("your")).then_some("otp");
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

/// The value after "is": "the password is hunter2".
fn value_after_is(bytes: &[u8], from: usize) -> Option<Value> {
    bytes.get(from..from + 4)?.eq_ignore_ascii_case(b" is ").then(|| Value {
        start: run(bytes, from + 4, |b| b == b' '),
        quote: None,
        escapes: 0,
        loose: true,
        encoded: false,
    })
}

/// A value that stands after a name.
struct Value {
    start: usize,
    /// The quote it is in.
    quote: Option<u8>,
    /// Backslashes before that quote: JSON in a text of JSON has one, the next level three.
    escapes: usize,
    /// Only prose punctuation (`: `) led to it.
    loose: bool,
    /// It stands in a percent-encoded text.
    encoded: bool,
}

impl Value {
    /// Where a value ends that begins with a bracket: what goes on behind the closing one without a sign is a part of it.
    fn end_of_bracketed(self, bytes: &[u8]) -> usize {
        Value { start: closing(bytes, self.start), ..self }.end_of_word(bytes)
    }

    /// Where a value without quotes ends.
    fn end_of_word(&self, bytes: &[u8]) -> usize {
        let ends = |b: u8| {
            b.is_ascii_whitespace() || matches!(b, b'&' | b',' | b';' | b'"' | b'\'' | b')' | b'}' | b']' | b'<')
        };
        let mut end = run(bytes, self.start, |b| !ends(b));
        if self.encoded {
            let ampersand = bytes.get(self.start..end).and_then(|value| value.windows(3).position(|w| w == b"%26"));
            end = ampersand.map_or(end, |at| self.start + at);
        }
        // The backslashes of the quote around all of it are not the value's.
        let backslashes = backslashes(bytes, self.start..end);
        if matches!(bytes.get(end), Some(b'"' | b'\'')) { end - backslashes } else { end }
    }

    /// Where a quoted value ends: before its closing quote and that quote's own backslashes.
    fn end_of_quoted(&self, bytes: &[u8]) -> usize {
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

/// The value after a name: over closing quotes (escaped ones too) and brackets, `space`, and what says that one follows: `=`, `:`,
/// `=>`, `:=`, or a percent-encoded one.
fn value_after(bytes: &[u8], from: usize, space: impl Fn(u8) -> bool) -> Option<Value> {
    let mut at = from;
    let quoted_name = matches!(bytes.get(at), Some(b'"' | b'\'' | b'\\'));
    while matches!(bytes.get(at), Some(b'"' | b'\'' | b'\\' | b'[' | b']')) && at < from + 4 {
        at += 1;
    }
    at = run(bytes, at, &space);
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
    at = run(bytes, after, &space);
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
mod tests {
    use super::*;

    fn scrubbed(text: &str) -> String {
        scrub(text, &Rules::default(), &mut |_| {}).unwrap_or_else(|| text.to_owned())
    }

    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn shapes() {
        assert_eq!(scrubbed(&format!("got {JWT} from client")), "got *** from client");
        assert_eq!(scrubbed("x ory_st_abcdefghijklmnop1234 y"), "x *** y");
        assert_eq!(scrubbed("ory_at_abcdefghijklmnop.1234"), "***");
        assert_eq!(scrubbed("Authorization: Bearer abc.def\nnext"), "Authorization: ***\nnext");
        assert_eq!(scrubbed("sent Bearer abcdefghijklmnop123 ok"), "sent Bearer *** ok");
        assert_eq!(scrubbed("Set-Cookie: a=b; Path=/"), "Set-Cookie: ***");
        assert_eq!(scrubbed("password=hunter2&user=ann"), "password=***&user=ann");
        assert_eq!(scrubbed("Your password: hunter2"), "Your password: ***");
        assert_eq!(scrubbed(r#"{"newPassword":"hunter 2","a":1}"#), r#"{"newPassword":"***","a":1}"#);
        assert_eq!(scrubbed(r#"{\"password\":\"hunter2\",\"a\":1}"#), r#"{\"password\":\"***\",\"a\":1}"#);
        let twice = r#"{\\\"password\\\":\\\"hunter\\\\\\\"2\\\",\\\"a\\\":1}"#;
        assert_eq!(scrubbed(twice), r#"{\\\"password\\\":\\\"***\\\",\\\"a\\\":1}"#);
        assert_eq!(scrubbed("postgres://app:s3cr3t@db/x"), "postgres://app:***@db/x");
        assert_eq!(scrubbed(r#"x "traits":{"email":"a@b"} y"#), r#"x "traits":*** y"#);
        assert_eq!(scrubbed("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\nrest"), "***\nrest");
    }

    #[test]
    fn a_value_goes_whole_however_it_is_written() {
        for (text, clean) in [
            (r#"{"password": "ab\"S\\", "a": 1}"#, r#"{"password": "***", "a": 1}"#),
            (r#"{"client_secret": {"v}": "S"}, "a": 1}"#, r#"{"client_secret": ***, "a": 1}"#),
            (r#"{"password": ["S", "T"], "a": 1}"#, r#"{"password": ***, "a": 1}"#),
            (r#"{\"tokens\": [\"]S\"], \"a\": 1}"#, r#"{\"tokens\": ***, \"a\": 1}"#),
            ("token:[S]T, a", "token:***, a"),
            (r#"{\"token\":[\"S\"]T\"}"#, r#"{\"token\":***\"}"#),
            ("password => S, a", "password => ***, a"),
            (r#"apikey90cookie:S" T"#, "apikey90cookie:***"),
            ("password := S", "password := ***"),
            ("password== S", "password== ***"),
            ("{\"password\":\t\"S\"}", "{\"password\":\t\"***\"}"),
            ("password:\n  S\nnext", "password:\n  ***\nnext"),
            ("X-Api-Key: QWERTY", "X-Api-Key: ***"),
            ("Client-Secret: S", "Client-Secret: ***"),
            ("X-Session-Token: S\nHost: h", "X-Session-Token: ***\nHost: h"),
            ("recovery_code=S&mfa_code=T", "recovery_code=***&mfa_code=***"),
            ("Verification code: 123456", "Verification code: ***"),
            ("sent: your code is 123456. Bye", "sent: your code is ***. Bye"),
            ("Your code IS \"123456\"", "Your code IS \"***\""),
            ("Your one-time code is: 1234-5678\n", "Your one-time code is: ***\n"),
            ("use one time code 'A1B2 C3' (sms code=12345)", "use one time code 'A1B2 C3' (sms code=***)"),
            ("one time code: 12345; backup codes: \"ab12, cd34\"", "one time code: ***; backup codes: \"***\""),
            (r#"{"mfaCode":"S","backup_codes":["T"]}"#, r#"{"mfaCode":"***","backup_codes":***}"#),
            ("passphrase=S code_verifier=T", "passphrase=*** code_verifier=***"),
            ("private_key=S SAMLResponse=T", "private_key=*** SAMLResponse=***"),
            ("ory_kratos_session=S; ory_session_ab=T", "ory_kratos_session=***; ory_session_ab=***"),
            ("refresh_tokens=S passwords=T", "refresh_tokens=*** passwords=***"),
            ("user[password]=S&password[]=T", "user[password]=***&password[]=***"),
            (r#"{"m":"password=p%40s\\s"}"#, r#"{"m":"password=***"}"#),
            (r#"{\"m\":\"password=S\"}"#, r#"{\"m\":\"password=***\"}"#),
            ("access token: abcdef123456", "access token: ***"),
            ("token: 8f3a9b2c, api key: sk_live_4eC39", "token: ***, api key: ***"),
            ("client secret: s3cr3t", "client secret: ***"),
            ("the password is hunter2.", "the password is ***"),
            ("sent Bearer abc123def456 ok", "sent Bearer *** ok"),
            (
                "https://x/cb?code=SplxlOBe&state=1 /verify?flow=f&code=123456",
                "https://x/cb?code=***&state=1 /verify?flow=f&code=***",
            ),
            ("?return_to=%2Fa%3Faccess_token%3DS%26b%3D1", "?return_to=%2Fa%3Faccess_token%3D***%26b%3D1"),
        ] {
            assert_eq!(scrubbed(text), clean);
        }
    }

    #[test]
    fn prose_stays() {
        for text in [
            "invalid token: expired",
            "passwordless login for ann",
            "tokens_issued=3",
            "cookie_policy_version: 4",
            "authorization_model: 01H",
            "story_st_abcdefghijklmnop1234",
            "https://example.org/a:b@c",
            "the bearer of news",
            "password: ***",
            "token=true",
            "error code: 17",
            "error code: 123456, status code is 4040, code: 123456",
            "verification code: expired, your code is valid for 10 minutes",
            "your code is 5 days old, your code isolates 12345",
            "\u{e4}\u{e4} code is 123456",
            "a recovery_code_used event",
            "status_code=200&zip_code=60200",
            "code_id: 7 private: yes",
            "invalid access token: expired, client secret: unknown, api key: none given",
            "the password is wrong, the secret is out, its token is 7 days old",
            "/status?code=404&n=1",
            "a bearer certificate, a basic plan12345",
        ] {
            assert_eq!(scrubbed(text), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_not_suspicious_is_left_alone(text in "[a-z_:/=\"{} .-]{0,90}(password=x1|eyJ|private_key=x|code_verifier=x1|SAMLResponse=abc|client_assertion=x|passphrase: y|otp: 1234|ory_st_abcdefghijklmnop1|://a:b@c)?[ -~]{0,70}") {
            if !suspicious(&text) {
                proptest::prop_assert_eq!(scrub(&text, &Rules::default(), &mut |_| {}), None);
            }
        }

        #[test]
        fn any_text_is_scrubbed_to_a_fixed_point(text in ".*(password|token|eyJ|ory_st_|://|cookie|traits|your code is|sms code)?[\":= a-z0-9äöü@/.]*.*") {
            let once = scrubbed(&text);
            let twice = scrubbed(&once);
            proptest::prop_assert_eq!(scrubbed(&twice), twice);
        }
    }
}
