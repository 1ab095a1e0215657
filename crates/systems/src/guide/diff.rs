//! The guide's diff into json-diff's: `{"_old":…,"_new":…}` → `{"__old":…,"__new":…}`.

use event::json::{JsonError, MAX_DEPTH, Next, Reader, write_string};

/// The same diff with both underscores. Only objects of exactly these two members are a mark; whatever else is called `_old` is
/// the entity's own. `None` where the text is no JSON.
pub(super) fn with_both_underscores(diff: &str) -> Option<String> {
    let mut out = String::with_capacity(diff.len() + 16);
    let mut r = Reader::new(diff);
    value(&mut r, 0, &mut out).ok()?;
    r.end().ok()?;
    Some(out)
}

fn value(r: &mut Reader<'_>, depth: usize, out: &mut String) -> Result<(), JsonError> {
    if depth > MAX_DEPTH {
        return Err(r.error("too_deep", "the diff nests too deep"));
    }
    match r.next_kind()? {
        Next::Object => {
            let mark = is_mark(r.clone())?;
            r.open(b'{')?;
            out.push('{');
            let mut first = true;
            while let Some(key) = r.key(first)? {
                if !first {
                    out.push(',');
                }
                first = false;
                write_string(out, &if mark { format!("_{key}").into() } else { key });
                out.push(':');
                value(r, depth + 1, out)?;
            }
            out.push('}');
        }
        Next::Array => {
            r.open(b'[')?;
            out.push('[');
            let mut first = true;
            while r.element(first)? {
                if !first {
                    out.push(',');
                }
                first = false;
                value(r, depth + 1, out)?;
            }
            out.push(']');
        }
        Next::String => write_string(out, &r.string()?),
        Next::Number => out.push_str(r.number()?),
        Next::Bool => out.push_str(if r.boolean()? { "true" } else { "false" }),
        Next::Null => {
            r.null()?;
            out.push_str("null");
        }
    }
    Ok(())
}

fn is_mark(mut r: Reader<'_>) -> Result<bool, JsonError> {
    r.open(b'{')?;
    let (mut old, mut new, mut others, mut first) = (0, 0, 0, true);
    while let Some(key) = r.key(first)? {
        first = false;
        r.skip(0)?;
        match key.as_ref() {
            "_old" => old += 1,
            "_new" => new += 1,
            _ => others += 1,
        }
    }
    Ok((old, new, others) == (1, 1, 0))
}
