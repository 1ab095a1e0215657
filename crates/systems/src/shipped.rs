//! What a console or a log shipper adds to a line of a log: colours, and words before it.
//!
//! Owns: taking colours out, and finding the line in a shipper's object. Not here: where a system's own line begins (each system's folder).

use crate::object::{Object, decode};
use std::borrow::Cow;

const ESCAPE: char = '\u{1b}';

/// A line without the codes that colour it (`ESC [ … m`, and what else moves a cursor).
pub(crate) fn uncoloured(line: &str) -> Cow<'_, str> {
    let Some((plain, rest)) = line.split_once(ESCAPE) else { return Cow::Borrowed(line) };
    let mut out = String::with_capacity(line.len());
    out.push_str(plain);
    for part in rest.split(ESCAPE) {
        match part.strip_prefix('[') {
            // Parameters, and the letter that says what to do.
            Some(code) => {
                let rest = code.trim_start_matches(|c| matches!(c, ' '..='?'));
                out.push_str(rest.strip_prefix(|c| matches!(c, '@'..='~')).unwrap_or(rest));
            }
            None => {
                out.push(ESCAPE);
                out.push_str(part);
            }
        }
    }
    Cow::Owned(out)
}

/// Members of a shipper's object that are looked at for a line. They have a handful; each is looked up among all of the object's.
const LOOKED_AT: usize = 64;

/// The member in which a shipper passes a line on: `{"log": "…", "time": …}`, `{"message": "…"}`.
pub(crate) fn carried<'a>(object: &mut Object<'a>, is_line: impl Fn(&str) -> bool) -> Option<Cow<'a, str>> {
    let names: Vec<Cow<'a, str>> = object.keys().take(LOOKED_AT).collect();
    names.into_iter().find(|name| {
        let text = object.member(name).and_then(decode);
        text.is_some_and(|text| is_line(&uncoloured(&text)))
    })
}

#[cfg(test)]
mod tests {
    use super::uncoloured;

    #[test]
    fn colours_go_and_text_stays() {
        for (line, plain) in [
            ("INFO a", "INFO a"),
            ("\u{1b}[34m2026 \u{1b}[0;39mINFO\u{1b}[m b\u{1b}[0m", "2026 INFO b"),
            ("a\u{1b}[2K\u{1b}[1;31mb", "ab"),
            ("a\u{1b}b \u{1b}", "a\u{1b}b \u{1b}"),
            ("cut \u{1b}[3", "cut "),
        ] {
            assert_eq!(uncoloured(line), plain);
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(line in "(\u{1b}\\[?|[0-9;]|m|é|\\PC){0,20}") {
            uncoloured(&line);
        }
    }
}
