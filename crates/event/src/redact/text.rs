//! Secrets inside free text: tokens by their shape, and values that stand after a secret's name.
//!
//! One Aho-Corasick pass finds the few places worth a look; each is then read forward once. Text without
//! any such place, nearly all of it, costs that one pass and no allocation.

use super::{MARK, Rules};
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

/// Shortest token body taken for a session token after its `ory_…_` prefix, as ory-nestjs has it.
const TOKEN_MIN: usize = 16;

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
    ("password", Anchor::Named("password")),
    ("passwd", Anchor::Named("password")),
    ("pwd", Anchor::Named("password")),
    ("secret", Anchor::Named("secret")),
    ("token", Anchor::Named("token")),
    ("otp", Anchor::Named("otp")),
    ("otp_code", Anchor::Named("otp")),
    ("passcode", Anchor::Named("otp")),
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

/// The first three bytes of every anchor: byte `b` may stand at place `p` of group `g` where bit `g` of
/// `BEGINNINGS[p][b]` is set.
static BEGINNINGS: [[u8; 256]; 3] = {
    // Groups of anchors whose mixtures (`coo` and `tok` also let `cok` through) are rare in text.
    const GROUPS: [&[&str]; 8] = [
        &["eyj", "---"],
        &["ory", "://"],
        &["bea", "bas"],
        &["aut", "otp"],
        &["coo", "tok"],
        &["pas", "tra"],
        &["api"],
        &["pwd", "sec"],
    ];
    let mut table = [[0u8; 256]; 3];
    let mut group = 0;
    while group < GROUPS.len() {
        let mut word = 0;
        while word < GROUPS[group].len() {
            let bytes = GROUPS[group][word].as_bytes();
            let mut place = 0;
            while place < 3 {
                table[place][bytes[place] as usize] |= 1 << group;
                table[place][bytes[place].to_ascii_uppercase() as usize] |= 1 << group;
                place += 1;
            }
            word += 1;
        }
        group += 1;
    }
    table
};

/// Whether an anchor may stand somewhere in the text. Looks at three bytes at each place, independently of the
/// place before, which a processor does several times as fast as it walks an automaton; nearly every text
/// costs no more than this.
fn suspicious(text: &str) -> bool {
    let [first, second, third] = &BEGINNINGS;
    let bytes = text.as_bytes();
    let (Some(from_second), Some(from_third)) = (bytes.get(1..), bytes.get(2..)) else { return false };
    let mut places = bytes.iter().zip(from_second).zip(from_third);
    places.any(|((a, b), c)| first[usize::from(*a)] & second[usize::from(*b)] & third[usize::from(*c)] != 0)
}

/// Takes secrets out of `text`; `None` where nothing was found.
pub(super) fn scrub(text: &str, rules: &Rules, rule: &mut dyn FnMut(Cow<'static, str>)) -> Option<String> {
    if rules.patterns.is_empty() && !suspicious(text) {
        return None;
    }
    let mut cuts: Vec<(Range<usize>, Cow<'static, str>)> = Vec::new();
    let mut covered = 0;
    for found in ANCHOR_SEARCH.find_iter(text) {
        if found.start() < covered {
            continue;
        }
        let Some((_, anchor)) = ANCHORS.get(found.pattern().as_usize()) else { continue };
        if let Some((range, name)) = secret_at(text, found.range(), *anchor, rules)
            && !range.is_empty()
            && text.get(range.clone()).is_some_and(|t| t != MARK)
        {
            covered = range.end;
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
            (end - start >= TOKEN_MIN).then_some((start..end, "authorization"))
        }
        Anchor::Header(name) => {
            let (start, quote, _) = value_after(bytes, hit.end)?;
            let end = match quote {
                Some(q) => run(bytes, start, |b| b != q),
                None => run(bytes, start, |b| b != b'\n' && b != b'\r'),
            };
            Some((start..end, name))
        }
        Anchor::Named("traits") if rules.keep_traits => None,
        Anchor::Named("traits") => {
            // Only as a key of JSON kept in text: `"traits":{…}` goes up to its closing bracket.
            let (start, _, _) = value_after(bytes, hit.end)?;
            (bytes.get(hit.end).is_some_and(|b| matches!(b, b'"' | b'\'' | b'\\')) && bytes.get(start) == Some(&b'{'))
                .then(|| (start..closing(bytes, start), "traits"))
        }
        Anchor::Named(name) => {
            let (start, quote, loose) = value_after(bytes, hit.end)?;
            let end = match quote {
                Some(q) => run(bytes, start, |b| b != q),
                None => run(bytes, start, |b| {
                    !b.is_ascii_whitespace()
                        && !matches!(b, b'&' | b',' | b';' | b'"' | b'\'' | b')' | b'}' | b']' | b'<')
                }),
            };
            let value = text.get(start..end)?;
            // In prose ("invalid token: expired") a word after a colon is not a secret; a long run with a
            // digit is. After a password's or code's name, anything is.
            let prose = loose && matches!(name, "token" | "secret" | "api_key");
            if prose && !(value.len() >= TOKEN_MIN && value.bytes().any(|b| b.is_ascii_digit())) {
                return None;
            }
            let plain = matches!(value, "true" | "false" | "null" | "none" | "undefined");
            (!plain).then_some((start..end, name))
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

/// Where the value begins after a name: over closing quotes (escaped ones too), spaces, and one `=` or `:`.
/// Gives the start, the quote the value is in, and whether only prose punctuation (`: `) led to it.
fn value_after(bytes: &[u8], from: usize) -> Option<(usize, Option<u8>, bool)> {
    let mut at = from;
    let quoted_name = matches!(bytes.get(at), Some(b'"' | b'\'' | b'\\'));
    while matches!(bytes.get(at), Some(b'"' | b'\'' | b'\\')) && at < from + 4 {
        at += 1;
    }
    at = run(bytes, at, |b| b == b' ');
    let mark = *bytes.get(at).filter(|b| matches!(b, b'=' | b':'))?;
    let after = at + 1;
    at = run(bytes, after, |b| b == b' ');
    let loose = mark == b':' && at > after && !quoted_name;
    let mut quote = None;
    while let Some(b @ (b'"' | b'\'' | b'\\')) = bytes.get(at) {
        if *b != b'\\' {
            quote = Some(*b);
            at += 1;
            break;
        }
        at += 1;
    }
    (at < bytes.len()).then_some((at, quote, loose && quote.is_none()))
}

/// The end of the bracketed value that begins at `from`.
fn closing(bytes: &[u8], from: usize) -> usize {
    let mut open = 0usize;
    for (i, b) in bytes.iter().enumerate().skip(from) {
        match b {
            b'{' | b'[' => open += 1,
            b'}' | b']' => {
                open = open.saturating_sub(1);
                if open == 0 {
                    return i + 1;
                }
            }
            _ => {}
        }
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
        assert_eq!(
            scrubbed(r#"{\"password\":\"hunter2\",\"a\":1}"#),
            r#"{\"password\":\"***"#.to_owned() + r#"","a":1}"#.get(..0).unwrap_or("") + r#"",\"a\":1}"#
        );
        assert_eq!(scrubbed("postgres://app:s3cr3t@db/x"), "postgres://app:***@db/x");
        assert_eq!(scrubbed(r#"x "traits":{"email":"a@b"} y"#), r#"x "traits":*** y"#);
        assert_eq!(scrubbed("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\nrest"), "***\nrest");
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
        ] {
            assert_eq!(scrubbed(text), text);
        }
    }

    #[test]
    fn every_anchor_is_suspicious_wherever_it_stands() {
        for (anchor, _) in ANCHORS {
            for before in [0, 1, 3, 60, 61, 62, 63, 64, 65, 66, 67, 68, 130] {
                for after in [0, 1, 2, 70] {
                    for anchor in [(*anchor).to_owned(), anchor.to_uppercase()] {
                        let text = format!("{}{anchor}{}", ".".repeat(before), ".".repeat(after));
                        assert!(suspicious(&text), "{text}");
                    }
                }
            }
        }
        assert!(!suspicious(""));
        assert!(!suspicious(
            r#"{"log":"event","action":"LoginSucceeded","actor":{"email":"ann@example.org"},"ip":"192.0.2.7"}"#
        ));
    }

    proptest::proptest! {
        #[test]
        fn what_is_not_suspicious_is_left_alone(text in "[a-z_:/=\"{} .-]{0,90}(password=x1|eyJ|otp: 1234|ory_st_abcdefghijklmnop1|://a:b@c)?[ -~]{0,70}") {
            if !suspicious(&text) {
                proptest::prop_assert_eq!(scrub(&text, &Rules::default(), &mut |_| {}), None);
            }
        }

        #[test]
        fn any_text_is_scrubbed_to_a_fixed_point(text in ".*(password|token|eyJ|ory_st_|://|cookie|traits)?[\":= a-zäöü@/.]*.*") {
            let once = scrubbed(&text);
            let twice = scrubbed(&once);
            proptest::prop_assert_eq!(scrubbed(&twice), twice);
        }
    }
}
