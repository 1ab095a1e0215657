//! Codes and passwords in messages to people, whose text is HTML as often as not.
//!
//! Owns: what is read only in the subject and body of a notification, where a number behind "code" is a code. Not here: what is secret
//! in any text (`text`). What is looked at for one label is bounded, so that all of it is linear.

use super::MARK;
use regex::Regex;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

/// What announces a code or password, and what stands between one and its name: "493817 is your verification code".
static LABEL: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern")]
    Regex::new(r"(?i)\b(?:code|otp|pin|passcode|password|passwd|passphrase|is your)\b").expect("constant pattern")
});

/// Most tags between a label and its value, and the longest of them: a mail's tables nest, and its tags have styles.
const TAGS: usize = 12;
const TAG_MOST: usize = 400;

/// Most characters between a label and a code: "Your code for signing in is".
const GAP: usize = 24;

/// The longest name behind "is your", and the longest text of several words that is taken for a password.
const NAME_MOST: usize = 48;
const PHRASE_MOST: usize = 64;

/// What is said of a password where it is not told.
const SAID_OF_ONE: &[&str] = &[
    "changed",
    "correct",
    "empty",
    "expired",
    "expiring",
    "hidden",
    "incorrect",
    "invalid",
    "missing",
    "new",
    "no",
    "none",
    "not",
    "required",
    "reset",
    "set",
    "strong",
    "unchanged",
    "updated",
    "weak",
    "wrong",
    "yes",
];

/// Takes codes and passwords out of a message; `None` where there were none.
pub(crate) fn scrub(text: &str, rule: &mut dyn FnMut(Cow<'static, str>)) -> Option<String> {
    let mut out = String::new();
    let mut at = 0;
    for label in LABEL.find_iter(text) {
        let Some((secret, name)) = announced(text, label.range()) else { continue };
        if label.start() < at || secret.start < at {
            continue;
        }
        out.push_str(text.get(at..secret.start)?);
        out.push_str(MARK);
        at = secret.end;
        rule(Cow::Borrowed(name));
    }
    if at == 0 {
        return None;
    }
    out.push_str(text.get(at..)?);
    Some(out)
}

fn announced(text: &str, label: Range<usize>) -> Option<(Range<usize>, &'static str)> {
    let said = text.get(label.clone())?;
    if said.contains(' ') {
        return told_before(text, label);
    }
    let name = rule_of(said);
    let number = if name == "otp" { number_after(text, label.end) } else { None };
    Some((number.or_else(|| value_behind_tags(text, label.end, name))?, name))
}

fn rule_of(label: &str) -> &'static str {
    let is_code = ["code", "otp", "pin", "passcode"].iter().any(|code| label.eq_ignore_ascii_case(code));
    if is_code { "otp" } else { "password" }
}

/// The value before "is your" and the name of a code or password.
fn told_before(text: &str, label: Range<usize>) -> Option<(Range<usize>, &'static str)> {
    let ends = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '\n');
    let behind = text.get(label.end..)?;
    let length = behind.char_indices().find(|(at, c)| *at >= NAME_MOST || ends(*c)).map_or(behind.len(), |(at, _)| at);
    let name = LABEL.find(behind.get(..length)?).map(|name| name.as_str()).filter(|name| !name.contains(' '))?;
    let mut before = text.get(..label.start)?.trim_end();
    for _ in 0..TAGS {
        let Some(open) = before.strip_suffix('>').and_then(|tag| {
            let from = tag.len().saturating_sub(TAG_MOST);
            Some(from + tag.as_bytes().get(from..)?.iter().rposition(|b| *b == b'<')?)
        }) else {
            break;
        };
        before = before.get(..open)?.trim_end();
    }
    let word = |text: &str| {
        let from = text.len().saturating_sub(NAME_MOST);
        let bytes = text.as_bytes().get(from..)?;
        Some(from + bytes.iter().rposition(|b| !is_word(*b)).map_or(0, |at| at + 1))
    };
    let mut start = word(before)?;
    let is_group = |part: &str| matches!(part.len(), 3 | 4) && part.bytes().all(|b| b.is_ascii_digit());
    if is_group(before.get(start..)?)
        && let Some(first) = before.get(..start)?.strip_suffix([' ', '\u{a0}'])
        && let Some(from) = word(first)
        && is_group(first.get(from..)?)
    {
        start = from;
    }
    let value = before.get(start..)?;
    (value.len() >= 4 && has_digit(value)).then_some((start..before.len(), rule_of(name)))
}

/// The number of 4 to 8 digits, or of two groups of them, shortly behind a label.
fn number_after(text: &str, from: usize) -> Option<Range<usize>> {
    let (mut at, mut left, mut tags) = (from, GAP, TAGS);
    loop {
        let rest = text.get(at..)?;
        let c = rest.chars().next()?;
        let (skipped, few) = match c {
            '0'..='9' => break,
            // It is taken out already.
            '*' => return None,
            '<' => (tag(rest)?.len(), &mut tags),
            '&' => (entity(rest).unwrap_or(1), &mut left),
            c => (c.len_utf8(), &mut left),
        };
        *few = few.checked_sub(1)?;
        at += skipped;
    }
    let digits =
        |at: usize| text.get(at..).map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).take(9).count());
    let ends = |at: usize| {
        let next = text.get(at..).and_then(|rest| rest.chars().next());
        next.is_none_or(|c| !c.is_alphanumeric() && c != '_').then_some(at)
    };
    let first = digits(at);
    let gap = text.get(at + first..)?.chars().next().filter(|c| matches!(c, ' ' | '-' | '\u{a0}'));
    let second = gap.map(|gap| at + first + gap.len_utf8()).filter(|_| matches!(first, 3 | 4));
    let grouped = second.filter(|at| matches!(digits(*at), 3 | 4)).and_then(|at| ends(at + digits(at)));
    let end = grouped.or_else(|| ends(at + first).filter(|_| (4..=8).contains(&first)))?;
    Some(at..end)
}

/// The value behind a label where tags stand between them: `Password: <b>…</b>`, `<td>Password</td><td>…</td>`. Without a tag it is a
/// text like any other.
fn value_behind_tags(text: &str, from: usize, name: &str) -> Option<Range<usize>> {
    let (mut at, mut tags, mut last) = (from, 0, "");
    let (mut colon, mut is) = (false, false);
    loop {
        let rest = text.get(at..)?;
        let c = rest.chars().next()?;
        at += match c {
            '<' if tags < TAGS => {
                (last, tags) = (tag(rest)?, tags + 1);
                last.len()
            }
            ':' if !colon => {
                colon = true;
                1
            }
            'i' | 'I' if !colon && !is && is_the_word_is(rest) => {
                is = true;
                2
            }
            '&' if entity(rest).is_some() => entity(rest)?,
            c if c.is_whitespace() => c.len_utf8(),
            _ => break,
        };
    }
    // A link is what to do about a password.
    if tags == 0 || is_tag(last, "a") {
        return None;
    }
    let content = text.get(at..)?.split('<').next()?.trim_end();
    let word = content.split(char::is_whitespace).next().filter(|word| !word.is_empty() && !word.starts_with(MARK))?;
    let plain = word.trim_end_matches(['.', ',', ';', '!']);
    let number = plain.bytes().all(|b| b.is_ascii_digit());
    let (alone, telling) = (word.len() == content.len(), plain.len() >= 4 && has_digit(plain));
    let only_said = alone && SAID_OF_ONE.iter().any(|said| plain.eq_ignore_ascii_case(said));
    if only_said || (number && plain.len() < 4) {
        return None;
    }
    let opened = !last.starts_with("</") && !is_tag(last, "br");
    let is_cell = is_tag(last, "td") || is_tag(last, "dd");
    if name == "otp" {
        return (alone && telling).then_some(at..at + word.len());
    }
    if (colon || is) && (alone || telling) || alone && (telling || is_cell) {
        return Some(at..at + word.len());
    }
    // Several words.
    (colon && opened && content.len() <= PHRASE_MOST).then_some(at..at + content.len())
}

fn is_the_word_is(rest: &str) -> bool {
    matches!(rest.as_bytes(), [b'i' | b'I', b's' | b'S', next, ..] if !is_word(*next))
}

/// The tag at the beginning.
fn tag(rest: &str) -> Option<&str> {
    let inside = rest.strip_prefix('<')?.bytes().take(TAG_MOST);
    let end = inside.take_while(|b| *b != b'<').position(|b| b == b'>')?;
    rest.get(..end + 2)
}

fn is_tag(tag: &str, name: &str) -> bool {
    let inside = tag.trim_start_matches('<');
    inside.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name))
        && inside.as_bytes().get(name.len()).is_some_and(|b| !b.is_ascii_alphanumeric())
}

/// How long the blank at the beginning is that is written as an entity.
fn entity(rest: &str) -> Option<usize> {
    let blank = ["&nbsp;", "&#160;", "&#xa0;"]
        .iter()
        .find(|blank| rest.get(..blank.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(blank)));
    blank.map(|blank| blank.len())
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubbed(text: &str) -> String {
        scrub(text, &mut |_| {}).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn what_people_are_told_goes() {
        for (text, clean) in [
            ("Your temporary password is <b>X</b>", "Your temporary password is <b>***</b>"),
            ("Password: <strong>Tmp1pass</strong>", "Password: <strong>***</strong>"),
            ("<b>Password:</b> Tmp1pass. Bye", "<b>Password:</b> *** Bye"),
            ("<b>Password:</b>&nbsp;hunter<br>", "<b>Password:</b>&nbsp;***<br>"),
            ("Password: <code>correct horse battery</code>", "Password: <code>***</code>"),
            ("<td>Password</td><td>Tmp1pass</td>", "<td>Password</td><td>***</td>"),
            ("<TD>Password</TD>\n <TD class=\"v\">hunter</TD>", "<TD>Password</TD>\n <TD class=\"v\">***</TD>"),
            ("493817 is your verification code", "*** is your verification code"),
            ("<b>493 817</b> is your Example code.", "<b>***</b> is your Example code."),
            ("G-493817 is your code", "*** is your code"),
            ("Tmp1pass is your new password", "*** is your new password"),
            ("Your code is 123456.", "Your code is ***."),
            ("Your verification code is 493 817", "Your verification code is ***"),
            ("code is: 493-817", "code is: ***"),
            ("Your code is 4938 1726.", "Your code is ***."),
            (
                "<p>Use this one-time code</p><h1 style=\"size:32px\">493817</h1>",
                "<p>Use this one-time code</p><h1 style=\"size:32px\">***</h1>",
            ),
            ("Your code is <b>A1B2C3</b>", "Your code is <b>***</b>"),
            ("PIN:&#160;1234, then OTP 567890", "PIN:&#160;***, then OTP ***"),
        ] {
            assert_eq!(scrubbed(text), clean);
            assert_eq!(scrubbed(clean), clean);
        }
    }

    #[test]
    fn what_is_only_said_stays() {
        for text in [
            "Reset your password</p><p>Click here",
            "<h1>Reset your password</h1><p>Hello</p>",
            "Your order 493817 is on its way",
            "493817 is your order number. The code comes later",
            "password must have 8 characters",
            "Your password is <b>expired</b>. It was <b>7</b> days old",
            "Your password is <b>about to expire</b>",
            "Forgot your password? <a href=\"https://example.org/1\">Click</a>",
            "New password: <a href=\"https://example.org/1\">Choose1</a>",
            "<td>Password</td><td>changed</td>",
            "the code *** and order 12345",
            "a code of a few words, and only then a number 12345",
            "encode 1234, code 123, code 123456789",
            "password",
            "code",
            "is your",
            "code <",
            "password<b>",
            "5 is your code",
            "\u{e9}1234\u{e9} is your code",
        ] {
            assert_eq!(scrubbed(text), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_message_is_scrubbed_to_a_fixed_point(
            text in "((code|Password|is your|pin|: ?|<b>|</b>|<td>|<br>|<a |&nbsp;|&|\u{e9}|\\*\\*\\*|is|12|345 |6789|[a-z0-9 <>.-]{0,3}) ?){0,14}",
        ) {
            let once = scrubbed(&text);
            proptest::prop_assert_eq!(scrubbed(&once), once);
        }
    }
}
