//! The line that Keycloak's log listener writes, into the members of the event it is about.
//!
//! Owns: where a value ends, in both forms. Not here: what the members mean (`read`).

use crate::object::Object;
use std::borrow::Cow;

/// The logger whose lines are events.
pub(super) const LOGGER: &str = "org.keycloak.events";

/// Names of a line that stand at the top of the event itself; those of an admin event's `authDetails`; all others are details.
const TOP: &[&str] = &[
    "type",
    "realmId",
    "realmName",
    "clientId",
    "userId",
    "sessionId",
    "ipAddress",
    "error",
    "operationType",
    "resourceType",
    "resourcePath",
    "representation",
];
const AUTH: &[&str] = &["clientId", "userId", "ipAddress"];

/// One line taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// What stands before the event: time, level, logger, thread.
    pub(super) prefix: &'a str,
    /// The event's names and values; the value is `None` where the line says `null`.
    pairs: Vec<(&'a str, Option<Cow<'a, str>>)>,
}

/// Takes a line apart; `None` where it is no event's.
pub(super) fn parse(text: &str) -> Option<Line<'_>> {
    let text = text.trim_end();
    let start = ["type=", "operationType="].iter().filter_map(|name| begins(text, name)).min()?;
    let (prefix, mut rest) = text.split_at_checked(start)?;
    let mut pairs = Vec::with_capacity(16);
    // Quotes that nothing closes any more: a look for the end of each would go over the rest of the line once more.
    let mut open = [false; 2];
    loop {
        let (name, after) = rest.split_once('=')?;
        if !is_name(name) {
            return None;
        }
        let (value, after) = value(after, &mut open)?;
        pairs.push((name, value));
        if after.is_empty() {
            break;
        }
        rest = after.strip_prefix(", ")?;
    }
    let has = |name| pairs.iter().any(|(known, _)| *known == name);
    has("realmId").then(|| Line { prefix: prefix.trim(), pairs })
}

/// Where a name stands as a word of its own.
fn begins(text: &str, name: &str) -> Option<usize> {
    text.match_indices(name)
        .map(|(at, _)| at)
        .find(|at| text.get(..*at).is_some_and(|before| before.is_empty() || before.ends_with([' ', '\t'])))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_name_byte)
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b':' | b'/')
}

/// The value at the beginning of `text`, and what follows it.
fn value<'a>(text: &'a str, open: &mut [bool; 2]) -> Option<(Option<Cow<'a, str>>, &'a str)> {
    for (quote, open) in ['"', '\''].into_iter().zip(open) {
        let Some(inside) = text.strip_prefix(quote).filter(|_| !*open) else { continue };
        // A quote ends the value unless it is escaped, and only where the next field or the end follows. Backslashes are not escaped, so
        // one before it may be the value's last character: no quote within a value stands without one, as that of the next value does.
        let end = inside.match_indices(quote).map(|(at, _)| at).find(|at| {
            let escaped = inside.get(..*at).is_some_and(|before| before.ends_with('\\'));
            inside.get(at + 1..).is_some_and(|rest| if escaped { ends_before(rest, quote) } else { ends(rest) })
        });
        let Some(end) = end else {
            *open = true;
            continue;
        };
        let (value, after) = (inside.get(..end)?, inside.get(end + 1..)?);
        let escaped = format!("\\{quote}");
        let value = if value.contains(&escaped) {
            Cow::Owned(value.replace(&escaped, &quote.to_string()))
        } else {
            Cow::Borrowed(value)
        };
        return Some(((value != "null").then_some(value), after));
    }
    let end =
        text.match_indices(", ").map(|(at, _)| at).find(|at| text.get(*at..).is_some_and(ends)).unwrap_or(text.len());
    let (value, after) = text.split_at_checked(end)?;
    Some(((value != "null").then_some(Cow::Borrowed(value)), after))
}

/// Whether a value may end here: at the end of the line, or before `, name=`.
fn ends(rest: &str) -> bool {
    let name = |next: &str| next.bytes().take_while(|b| is_name_byte(*b)).count();
    rest.is_empty()
        || rest.strip_prefix(", ").is_some_and(|next| name(next) > 0 && next.as_bytes().get(name(next)) == Some(&b'='))
}

/// The same where the next value has to be in quotes too.
fn ends_before(rest: &str, quote: char) -> bool {
    let name = |next: &str| next.bytes().take_while(|b| is_name_byte(*b)).count();
    let value = rest.strip_prefix(", ").and_then(|next| next.get(name(next)..)?.strip_prefix('='));
    ends(rest) && value.is_none_or(|value| value.starts_with(quote))
}

impl<'a> Line<'a> {
    /// The event as its JSON form would have it.
    pub(super) fn into_object(self) -> Object<'a> {
        let admin = self.pairs.iter().any(|(name, _)| *name == "operationType");
        let (mut event, mut auth, mut details) = (Object::default(), Object::default(), Object::default());
        for (name, value) in self.pairs {
            let place = if admin && AUTH.contains(&name) {
                &mut auth
            } else if TOP.contains(&name) {
                &mut event
            } else {
                &mut details
            };
            match value {
                Some(value) => place.add_text(name, value),
                None => place.add(name, "null"),
            }
        }
        if admin {
            event.add_object("authDetails", auth);
        }
        if !details.is_empty() {
            event.add_object("details", details);
        }
        if !self.prefix.is_empty() {
            event.add_text("line", self.prefix);
        }
        event
    }

    /// The server's own time in the prefix, and where it stands there. What a shipper writes before the line (a container's name, the
    /// header of syslog) may have a time as well, so the last counts.
    pub(super) fn time(&self) -> Option<(usize, &'a str)> {
        let form = b"0000-00-00 00:00:00,000";
        let fits = |(byte, form): (&u8, &u8)| match form {
            b'0' => byte.is_ascii_digit(),
            b' ' => matches!(byte, b' ' | b'T'),
            b',' => matches!(byte, b',' | b'.'),
            _ => byte == form,
        };
        let bytes = self.prefix.as_bytes();
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let at = bytes.windows(form.len()).enumerate().rposition(|(at, window)| {
            let whole = !digit(at + form.len()) && !at.checked_sub(1).is_some_and(digit);
            whole && window.iter().zip(form).all(fits)
        })?;
        let end = at + form.len();
        Some((at, self.prefix.get(at..end + zone(self.prefix.get(end..)?))?))
    }
}

/// How many bytes of a text are the zone of the time before it: `Z`, `+0200`, ` +02:00`.
fn zone(text: &str) -> usize {
    let sign = text.strip_prefix(' ').unwrap_or(text);
    if text.starts_with('Z') {
        return 1;
    }
    let Some(digits) = sign.strip_prefix(['+', '-']) else { return 0 };
    let fits = |form: &str| {
        let mut bytes = digits.bytes();
        let all =
            form.bytes().all(|f| bytes.next().is_some_and(|b| if f == b'0' { b.is_ascii_digit() } else { b == f }));
        all && !bytes.next().is_some_and(|b| b.is_ascii_digit())
    };
    let length = ["00:00", "0000"].into_iter().find(|form| fits(form)).map(str::len);
    length.map_or(0, |length| text.len() - digits.len() + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Option<Vec<(String, Option<String>)>> {
        Some(parse(text)?.pairs.into_iter().map(|(n, v)| (n.to_owned(), v.map(Cow::into_owned))).collect())
    }

    #[test]
    fn values_end_where_the_next_name_begins() {
        let some = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        assert_eq!(
            pairs("type=LOGIN_ERROR, realmId=test, userId=null, reason='a, b', username=Smith, Ann, x=").unwrap(),
            [
                some("type", "LOGIN_ERROR"),
                some("realmId", "test"),
                ("userId".into(), None),
                some("reason", "a, b"),
                some("username", "Smith, Ann"),
                some("x", "")
            ]
        );
        assert_eq!(
            pairs(r#"type="LOGIN", realmId="r", username="a\", userId=\"admin", redirect_uri="https://x/?a=b, c=d""#)
                .unwrap(),
            [
                some("type", "LOGIN"),
                some("realmId", "r"),
                some("username", "a\", userId=\"admin"),
                some("redirect_uri", "https://x/?a=b, c=d")
            ]
        );
        // What a person typed ends in a backslash, which is not escaped.
        assert_eq!(
            pairs(r#"type="LOGIN", realmId="r", username="eve\", authSessionParentId="p1", x="a\", y=\"b", z="c\""#)
                .unwrap(),
            [
                some("type", "LOGIN"),
                some("realmId", "r"),
                some("username", "eve\\"),
                some("authSessionParentId", "p1"),
                some("x", "a\", y=\"b"),
                some("z", "c\\")
            ]
        );
        for other in [
            "",
            "type=LOGIN",
            "started in 5 s",
            "type=LOGIN, realmId",
            "mytype=LOGIN, realmId=r",
            "type=\"LOGIN, realmId",
        ] {
            assert_eq!(pairs(other), None, "{other}");
        }
    }

    /// Each look for an end once went over the rest of the line, which took minutes for a megabyte. Nothing here measures that: who
    /// brings it back waits.
    #[test]
    fn a_line_is_read_once() {
        for part in [", ", ", x='a", ", x=\"a", ", a", ", x='"] {
            let text = format!("type=LOGIN, realmId=r, x={}", part.repeat((1 << 20) / part.len()));
            let pairs = parse(&text).map(|line| line.pairs.len());
            assert!(pairs.is_none_or(|pairs| pairs >= 3), "{part}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(type=|operationType=)?[ \\w=,\"'\\\\é]{0,80}") {
            if let Some(line) = parse(&text) {
                line.time();
                line.into_object();
            }
        }
    }
}
