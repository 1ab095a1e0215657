//! Writing JSON in its canonical form (RFC 8785): texts, numbers, and the order of keys.

use super::{JsonError, Result, plain_run};

/// Appends `text` as a canonical JSON string (RFC 8785, 3.2.2.2).
pub fn write_string(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut clean = 0;
    let plain = plain_run(text.as_bytes());
    if plain == text.len() {
        out.push_str(text);
        out.push('"');
        return;
    }
    for (i, b) in text.bytes().enumerate().skip(plain) {
        let escape = match b {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            0x09 => "\\t",
            0x0a => "\\n",
            0x0c => "\\f",
            0x0d => "\\r",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[clean..i]);
        clean = i + 1;
        if escape.is_empty() {
            use std::fmt::Write;
            let _ = write!(out, "\\u{b:04x}");
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[clean..]);
    out.push('"');
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

/// The order of object keys: by UTF-16 code units (RFC 8785, 3.2.3).
pub fn key_order(a: &str, b: &str) -> std::cmp::Ordering {
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}
