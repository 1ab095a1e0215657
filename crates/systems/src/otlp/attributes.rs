//! OTLP's values into plain JSON: `{"stringValue":"x"}` → `"x"`, a list of keys and values → an object.

use super::request::{usual_pair, usual_value};
use crate::object::{Object, from_base64};
use event::json::{JsonError, MAX_DEPTH, Next, Reader, write_string};
use std::borrow::Cow;

/// The largest whole number that a JSON number holds for certain.
const MAX_WHOLE: u64 = 1 << 53;

/// The members of a list of attributes, each value as JSON text. `None` for what is no such list.
pub(super) fn members(list: &str) -> Option<Object<'_>> {
    let mut object = Object::roomy();
    let mut r = Reader::new(list);
    pairs(&mut r, 0, &mut |pair| match pair {
        Pair::Plain(key, raw) => object.add_plain(key, raw),
        Pair::Made(key, raw) => object.add(key, raw),
    })
    .ok()?;
    r.end().ok()?;
    Some(object)
}

/// One value as JSON text. `None` for what is none of OTLP's.
pub(super) fn plain(value: &str) -> Option<Cow<'_, str>> {
    let mut r = Reader::new(value);
    let plain = match usual_value(&mut r) {
        Some(text) => Cow::Borrowed(text),
        None => {
            let mut out = String::with_capacity(value.len());
            any(&mut r, 0, &mut out).ok()?;
            Cow::Owned(out)
        }
    };
    r.end().ok()?;
    Some(plain)
}

/// A key, and its value as JSON text.
enum Pair<'t> {
    /// As they stand there: a text with nothing escaped in it.
    Plain(&'t str, &'t str),
    Made(Cow<'t, str>, String),
}

fn pairs<'t>(r: &mut Reader<'t>, depth: usize, take: &mut dyn FnMut(Pair<'t>)) -> Result<(), JsonError> {
    r.open(b'[')?;
    let mut first = true;
    while r.element(first)? {
        first = false;
        // Its value is one deeper.
        if depth < MAX_DEPTH
            && let Some((key, value)) = usual_pair(r)
        {
            take(Pair::Plain(key, value));
            continue;
        }
        r.open(b'{')?;
        let (mut key, mut value, mut first) = (Cow::Borrowed(""), String::new(), true);
        while let Some(name) = r.key(first)? {
            first = false;
            match name.as_ref() {
                "key" => key = r.string()?,
                "value" => {
                    value.clear();
                    let mut ahead = r.clone();
                    match any(&mut ahead, depth + 1, &mut value) {
                        Ok(()) => *r = ahead,
                        // One that is none of OTLP's stays as it is, and the others are read.
                        Err(_) => {
                            value.clear();
                            value.push_str(r.skip(depth + 1)?);
                        }
                    }
                }
                // Whoever reads OTLP passes over what it does not know.
                _ => {
                    r.skip(1)?;
                }
            }
        }
        if value.is_empty() {
            value.push_str("null");
        }
        take(Pair::Made(key, value));
    }
    Ok(())
}

/// `AnyValue`: an object with one member that says the kind; an empty one says nothing.
fn any(r: &mut Reader<'_>, depth: usize, out: &mut String) -> Result<(), JsonError> {
    if depth > MAX_DEPTH {
        return Err(r.error("too_deep", "values nest too deep"));
    }
    if r.next_kind()? == Next::Null {
        out.push_str("null");
        return r.null();
    }
    r.open(b'{')?;
    let Some(kind) = r.key(true)? else {
        out.push_str("null");
        return Ok(());
    };
    match kind.as_ref() {
        // What a number that is none becomes in JSON.
        _ if r.next_kind()? == Next::Null => {
            r.null()?;
            out.push_str("null");
        }
        "stringValue" => write_string(out, &r.string()?),
        // Base64 hides from redaction what is in it, so text takes its place. Other bytes stay.
        "bytesValue" => {
            let bytes = r.string()?;
            let is_text =
                |text: &String| !text.is_empty() && !text.chars().any(|c| c.is_control() && !c.is_whitespace());
            let text = from_base64(&bytes).filter(is_text);
            write_string(out, text.as_deref().unwrap_or(&bytes));
        }
        "boolValue" => out.push_str(if r.boolean()? { "true" } else { "false" }),
        "intValue" => {
            let quoted = r.next_kind()? == Next::String;
            let digits = if quoted { r.string()? } else { r.number()?.into() };
            match digits.parse::<i64>() {
                Ok(number) if number.unsigned_abs() <= MAX_WHOLE => out.push_str(&number.to_string()),
                _ => write_string(out, &digits),
            }
        }
        // `NaN` and the infinities come as texts.
        "doubleValue" if r.next_kind()? == Next::String => write_string(out, &r.string()?),
        "doubleValue" => out.push_str(r.number()?),
        "arrayValue" => {
            out.push('[');
            values(r, &mut |r| {
                r.open(b'[')?;
                let mut first = true;
                while r.element(first)? {
                    if !first {
                        out.push(',');
                    }
                    first = false;
                    any(r, depth + 1, out)?;
                }
                Ok(())
            })?;
            out.push(']');
        }
        "kvlistValue" => {
            out.push('{');
            let start = out.len();
            values(r, &mut |r| {
                pairs(r, depth + 1, &mut |pair| {
                    let (key, value) = match &pair {
                        Pair::Plain(key, raw) => (*key, *raw),
                        Pair::Made(key, raw) => (key.as_ref(), raw.as_str()),
                    };
                    if out.len() > start {
                        out.push(',');
                    }
                    write_string(out, key);
                    out.push(':');
                    out.push_str(value);
                })
            })?;
            out.push('}');
        }
        _ => return Err(r.error("invalid_json", "a value of a kind that OTLP does not have")),
    }
    if r.key(false)?.is_some() {
        return Err(r.error("invalid_json", "a value has one kind"));
    }
    Ok(())
}

/// Reads the list in `{"values":[…]}` with `read`; an empty one may be left out.
fn values<'t>(
    r: &mut Reader<'t>,
    read: &mut dyn FnMut(&mut Reader<'t>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let only = "a list has `values` and nothing else";
    r.open(b'{')?;
    match r.key(true)?.as_deref() {
        None => return Ok(()),
        Some("values") if r.next_kind()? == Next::Null => r.null()?,
        Some("values") => read(r)?,
        Some(_) => return Err(r.error("invalid_json", only)),
    }
    match r.key(false)? {
        None => Ok(()),
        Some(_) => Err(r.error("invalid_json", only)),
    }
}
