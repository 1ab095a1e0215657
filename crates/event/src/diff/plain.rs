//! Most differences: the same names on both sides, and values without parts that are others now.
//!
//! Owns: writing such a difference while both texts are read, once and side by side; on whatever else it gives up, and `engine` says
//! what the difference is. What it writes is what `engine` writes.

use crate::json::{Next, Reader, key_order};

/// Objects inside of objects that are looked into.
const DEPTH: usize = 8;

/// The longest number whose text is its value: with so few digits no two that differ are the same as double precision has them.
const DIGITS: usize = 15;

/// The difference between two objects; `None` where it is not of this kind, or there is none.
pub(super) fn diff(old: &str, new: &str) -> Option<String> {
    let (mut a, mut b) = (Reader::new(old), Reader::new(new));
    let mut out = String::with_capacity(old.len() + new.len() + 64);
    let differ = objects(&mut a, &mut b, DEPTH, &mut out)?;
    (a.end().is_ok() && b.end().is_ok() && differ).then_some(out)
}

/// Writes the difference of two objects, and tells whether there is one.
fn objects<'a>(a: &mut Reader<'a>, b: &mut Reader<'a>, depth: usize, out: &mut String) -> Option<bool> {
    if depth == 0 {
        return None;
    }
    a.open(b'{').ok()?;
    b.open(b'{').ok()?;
    out.push('{');
    let (begin, mut last) = (out.len(), None);
    loop {
        let first = last.is_none();
        let Some(key) = a.plain_key(first) else { break };
        if b.plain_key(first)? != key || is_special(key) || last.is_some_and(|last| key_order(last, key).is_ge()) {
            return None;
        }
        last = Some(key);
        let before = out.len();
        if before > begin {
            out.push(',');
        }
        out.push('"');
        out.push_str(key);
        out.push_str("\":");
        if !values(a, b, depth, out)? {
            out.truncate(before);
        }
    }
    // Neither has another member, or one of them has what is not a plain name.
    (a.closes() && b.closes()).then_some(())?;
    let differ = out.len() > begin;
    out.push('}');
    Some(differ)
}

/// A name that JavaScript puts before others, or that looks like a mark.
fn is_special(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_digit()) || key.ends_with("__deleted") || key.ends_with("__added")
}

fn values<'a>(a: &mut Reader<'a>, b: &mut Reader<'a>, depth: usize, out: &mut String) -> Option<bool> {
    match (a.next_kind().ok()?, b.next_kind().ok()?) {
        (Next::Object, Next::Object) => objects(a, b, depth - 1, out),
        (Next::Array, Next::Array) => lists(a, b, out),
        _ => {
            let (old, new) = (scalar(a)?, scalar(b)?);
            if old == new {
                return Some(false);
            }
            [r#"{"__old":"#, old, r#","__new":"#, new, "}"].iter().for_each(|part| out.push_str(part));
            Some(true)
        }
    }
}

/// Two lists of one value each, as many systems write a single one.
fn lists<'a>(a: &mut Reader<'a>, b: &mut Reader<'a>, out: &mut String) -> Option<bool> {
    let one = |r: &mut Reader<'a>| {
        r.open(b'[').ok()?;
        let value = r.element(true).ok()?.then(|| scalar(r))??;
        (!r.element(false).ok()?).then_some(value)
    };
    let (old, new) = (one(a)?, one(b)?);
    if old == new {
        return Some(false);
    }
    [r#"[["-","#, old, r#"],["+","#, new, "]]"].iter().for_each(|part| out.push_str(part));
    Some(true)
}

/// A value without parts, of which no other text is the same value.
fn scalar<'a>(r: &mut Reader<'a>) -> Option<&'a str> {
    match r.next_kind().ok()? {
        Next::String => r.plain_raw(),
        Next::Number => {
            let number = r.number().ok()?;
            (number.len() <= DIGITS && number != "-0" && number.bytes().all(|b| b == b'-' || b.is_ascii_digit()))
                .then_some(number)
        }
        Next::Object | Next::Array => None,
        _ => r.skip(1).ok(),
    }
}
