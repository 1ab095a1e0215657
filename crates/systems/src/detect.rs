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
    let mut found: Vec<(&'static str, u8)> =
        SYSTEMS.iter().map(|s| (s.name(), s.looks_like(&sample).min(100))).filter(|(_, sure)| *sure > 0).collect();
    found.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    found
}
