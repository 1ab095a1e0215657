//! Which system a body is from, by the shape of its first record.
//!
//! Owns: the order of the answers. Each system says itself how sure it is ([`crate::System::looks_like`]).

use crate::object::Object;
use crate::{SYSTEMS, split};
use event::json::Next;

/// The beginning of a body, as the systems look at it.
#[derive(Debug)]
pub struct Sample<'a> {
    /// The whole text.
    pub body: &'a str,
    /// The first record's text, or the first line.
    pub first: &'a str,
    /// The first record's members, if it is an object.
    pub object: Option<Object<'a>>,
}

impl<'a> Sample<'a> {
    /// Looks at the first record of a text.
    pub fn new(body: &'a str) -> Sample<'a> {
        let first = first(body);
        Sample { body, first, object: Object::parse(first).ok() }
    }

    /// Whether the record has all these members. Paths are of one or two names.
    pub fn has(&self, paths: &[&str]) -> bool {
        let Some(mut object) = self.object.clone() else { return false };
        paths.iter().all(|path| object.has(path))
    }

    /// The text in quotes at a path.
    pub fn text(&self, path: &str) -> Option<String> {
        self.object.clone()?.text(path).map(|t| t.into_owned())
    }
}

/// The first element of a list that says something, or the one object, or the first line.
fn first(body: &str) -> &str {
    let start = body.trim_start();
    let mut r = event::json::Reader::new(start);
    let inside = match r.next_kind() {
        Ok(Next::Array) => element(&mut r),
        // One that is not closed may be an answer of which one entry is broken.
        Ok(Next::Object) => Some(r.skip_whole().unwrap_or(start)),
        _ => None,
    };
    inside.unwrap_or_else(|| start.lines().next().unwrap_or_default())
}

/// The first element that can be read as an object, of those that are looked at; else the first, or nothing where there is none.
fn element<'t>(r: &mut event::json::Reader<'t>) -> Option<&'t str> {
    r.open(b'[').ok()?;
    let mut first = None;
    for n in 0..split::LOOKED_AT {
        if !r.element(n == 0).unwrap_or(false) {
            return Some(first.unwrap_or_default());
        }
        let Ok(text) = r.skip_whole() else { break };
        if Object::parse(text).is_ok() {
            return Some(text);
        }
        first = first.or(Some(text));
    }
    first
}

/// The systems this body may be from, surest first, each with how sure that is (1 to 100). Empty where none knows it.
pub fn detect(body: &[u8]) -> Vec<(&'static str, u8)> {
    let text = split::text(body);
    let sample = Sample::new(&text);
    let found = told_by(&sample);
    // What begins with an object knows best itself what it is; what begins with anything else may have one in a later line.
    if !found.is_empty() || sample.object.is_some_and(|object| !object.is_empty()) {
        return found;
    }
    let later = text.match_indices("\n{").take(LINES).filter_map(|(end, _)| text.get(end + 1..));
    later.map(|rest| told_by(&Sample::new(rest))).find(|found| !found.is_empty()).unwrap_or_default()
}

/// Lines that begin an object and are looked at where the first one says nothing: `null`, the end of a line that was cut, a greeting.
const LINES: usize = 4;

fn told_by(sample: &Sample<'_>) -> Vec<(&'static str, u8)> {
    let mut found: Vec<(&'static str, u8)> =
        SYSTEMS.iter().map(|s| (s.name(), s.looks_like(sample).min(100))).filter(|(_, sure)| *sure > 0).collect();
    found.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_that_says_nothing_leaves_it_to_those_behind_it() {
        let event =
            r#"{"id":"1","time":1795176000000,"type":"LOGIN","realmId":"r","clientId":"c","userId":"u","details":{}}"#;
        let known = detect(event.as_bytes());
        assert_eq!(known.first().map(|found| found.0), Some("keycloak"));
        let cut = event.split_at(event.len() / 2).1;
        for first in ["null", "{}", "[]", "\"\"", "7", "\r", cut, "Attaching to keycloak-1", "null\n{}\n"] {
            assert_eq!(detect(format!("{first}\n{event}\n").as_bytes()), known, "{first}");
        }
        // An object that nobody knows is not told by what stands inside it.
        assert_eq!(detect(format!("{{\"events\":[\n{event}\n],\"n\":1}}").as_bytes()), []);
        assert_eq!(detect(b"null\nnull\n"), []);
    }
}
