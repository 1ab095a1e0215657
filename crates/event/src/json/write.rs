//! Writing JSON in its canonical form (RFC 8785): texts, numbers, and the order of keys.

use super::scan::{plain_run, text_end};
use super::{JsonError, Reader, Result};
use std::borrow::Cow;
use std::cmp::Ordering;

/// Appends `text` as a canonical JSON string (RFC 8785, 3.2.2.2).
pub fn write_string(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    loop {
        let (plain, after) = rest.split_at(plain_run(rest.as_bytes()));
        out.push_str(plain);
        let Some(b) = after.as_bytes().first() else { break };
        match b {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            0x08 => out.push_str("\\b"),
            0x09 => out.push_str("\\t"),
            0x0a => out.push_str("\\n"),
            0x0c => out.push_str("\\f"),
            0x0d => out.push_str("\\r"),
            _ => {
                use std::fmt::Write;
                let _ = write!(out, "\\u{b:04x}");
            }
        }
        // What is escaped is ASCII, so the rest begins with a whole character.
        rest = &after[1..];
    }
    out.push('"');
}

/// Appends a text that a [`Reader`](super::Reader) gave, as [`write_string`] would. One that it borrowed has nothing to escape; so one
/// that is borrowed MUST be its.
#[expect(clippy::ptr_arg, reason = "whether it is borrowed is what tells")]
#[inline]
pub fn write_read(out: &mut String, text: &Cow<'_, str>) {
    match text {
        Cow::Borrowed(plain) => {
            out.reserve(plain.len() + 2);
            out.push('"');
            out.push_str(plain);
            out.push('"');
        }
        Cow::Owned(text) => write_string(out, text),
    }
}

/// Whether [`write_number`] is known to write a number, read by a [`Reader`](super::Reader), as it is, without making a double of it.
#[inline]
pub(crate) fn is_canonical_number(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    if digits.len() > 16 {
        return false;
    }
    match digits.bytes().position(|b| !b.is_ascii_digit()) {
        None => digits.len() <= 15 && number != "-0",
        // Fifteen digits tell doubles apart, so none that is shorter stands for the same one. What is less than a millionth has
        // an exponent, and behind the point the last digit counts.
        Some(point) => {
            let bytes = digits.as_bytes();
            let fraction = bytes.get(point + 1..).unwrap_or_default();
            bytes.get(point) == Some(&b'.')
                && fraction.iter().all(u8::is_ascii_digit)
                && fraction.last().is_some_and(|last| *last != b'0')
                && !digits.starts_with("0.000000")
        }
    }
}

/// Appends a number in canonical form (RFC 8785, 3.2.2.3): as ECMAScript prints the double.
///
/// # Errors
/// Where the double is infinite, or where an integer is not exactly a double and would silently change.
pub fn write_number(out: &mut String, number: &str, at: usize) -> Result<()> {
    let digits = number.strip_prefix('-').unwrap_or(number);
    let integer = digits.bytes().all(|b| b.is_ascii_digit());
    if integer && digits.len() <= 15 {
        out.push_str(if digits == "0" { "0" } else { number });
        return Ok(());
    }
    let refuse = |what: &str| {
        let shown: String = number.chars().take(40).collect();
        Err(JsonError::new("number_out_of_range", at, format!("{shown} {what}; send it as text in quotes")))
    };
    let Ok(value) = number.parse::<f64>() else { return refuse("is not a number") };
    if !value.is_finite() {
        return refuse("is past what a double holds");
    }
    let mut buffer = ryu_js::Buffer::new();
    let canonical = buffer.format_finite(value);
    // An integer whose canonical form reads otherwise was not exactly this double. Comparing with that form
    // also makes it a fixed point: what was written is read back unchanged.
    if integer && canonical != number {
        return refuse("is an integer that a double cannot hold exactly");
    }
    out.push_str(canonical);
    Ok(())
}

/// A JSON text with the numbers that [`write_number`] refuses in quotes, as the texts that they are. Nothing else of it is looked at.
pub fn numbers_as_text(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let part = |from: usize, to: usize| json.get(from..to).unwrap_or_default();
    let (mut out, mut written, mut at) = (String::new(), 0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = text_end(bytes, at + 1).unwrap_or_else(|end| end),
            b'-' | b'0'..=b'9' => {
                let rest = bytes.get(at..).unwrap_or_default();
                let of_number = |b: &u8| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E');
                let end = at + rest.iter().position(|b| !of_number(b)).unwrap_or(rest.len());
                let number = part(at, end);
                if !is_canonical_number(number)
                    && Reader::new(number).number() == Ok(number)
                    && write_number(&mut String::new(), number, 0).is_err()
                {
                    out.extend([part(written, at), "\"", number, "\""]);
                    written = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    if written == 0 {
        return Cow::Borrowed(json);
    }
    out.push_str(part(written, json.len()));
    Cow::Owned(out)
}

/// The order of object keys: by UTF-16 code units (RFC 8785, 3.2.3).
#[inline]
pub fn key_order(a: &str, b: &str) -> Ordering {
    match (a.as_bytes().first(), b.as_bytes().first()) {
        // Most names differ in their first letter.
        (Some(x @ ..0xee), Some(y)) if x != y => x.cmp(y),
        _ => any_order(a, b),
    }
}

fn any_order(a: &str, b: &str) -> Ordering {
    match a.bytes().zip(b.bytes()).find(|(a, b)| a != b) {
        // UTF-8 orders as code points do, and only those past U+FFFF, in surrogates, come elsewhere: before U+E000 to U+FFFF.
        Some((0xee.., 0xee..)) => a.encode_utf16().cmp(b.encode_utf16()),
        Some((a, b)) => a.cmp(&b),
        None => a.len().cmp(&b.len()),
    }
}
