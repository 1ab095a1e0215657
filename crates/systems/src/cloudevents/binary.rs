//! Binary mode: headers and body into the JSON text that structured mode would have sent.
//!
//! Owns: which headers are the event's, and in which member its data stands. Not here: HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use event::json::write_string;
use std::borrow::Cow;

/// One event's JSON text out of a request in binary mode: its headers, by name and value, and its body. `None` where no
/// header says `ce-specversion`, so that the request is none in binary mode.
///
/// Values are unquoted and percent-decoded, in that order, as the HTTP binding asks. A JSON body becomes `data` as it is, other text `data` as
/// a text, and any other bytes `data_base64`. A header that stands twice counts once, as the first says.
pub fn structured<'h>(headers: impl IntoIterator<Item = (&'h str, &'h [u8])>, body: &[u8]) -> Option<String> {
    let mut members: Vec<(String, String)> = Vec::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        let name = match name.strip_prefix("ce-") {
            // What a header cannot be called in the JSON form: there the body fills them.
            Some("data" | "data_base64" | "") => continue,
            Some(attribute) => attribute.to_owned(),
            None if name == "content-type" => "datacontenttype".to_owned(),
            None => continue,
        };
        if members.iter().all(|(known, _)| *known != name) {
            let value =
                if name == "datacontenttype" { percent_decoded(value) } else { percent_decoded(&unquoted(value)) };
            members.push((name, value));
        }
    }
    members.iter().find(|(name, _)| name == "specversion")?;
    let json = members.iter().find(|(name, _)| name == "datacontenttype").is_none_or(|(_, kind)| is_json(kind));
    let mut out = String::with_capacity(body.len() + 512);
    for (name, value) in &members {
        out.push(if out.is_empty() { '{' } else { ',' });
        write_string(&mut out, name);
        out.push(':');
        write_string(&mut out, value);
    }
    match std::str::from_utf8(body) {
        Ok(text) if text.trim().is_empty() => {}
        Ok(text) if json && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok() => {
            out.push_str(",\"data\":");
            out.push_str(text.trim());
        }
        Ok(text) => {
            out.push_str(",\"data\":");
            write_string(&mut out, text);
        }
        Err(_) => {
            out.push_str(",\"data_base64\":\"");
            STANDARD.encode_string(body, &mut out);
            out.push('"');
        }
    }
    out.push('}');
    Some(out)
}

/// `application/json`, `text/json`, and anything that ends in `+json`.
fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.ends_with("/json") || kind.ends_with("+json")
}

/// What stands in the quotes of a value that has them, a backslash before a character taken away.
fn unquoted(value: &[u8]) -> Cow<'_, [u8]> {
    let Some(inside) = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else { return value.into() };
    let mut bytes = inside.iter();
    let mut out = Vec::with_capacity(inside.len());
    while let Some(byte) = bytes.next() {
        out.push(if *byte == b'\\' { *bytes.next().unwrap_or(byte) } else { *byte });
    }
    out.into()
}

/// `Euro%20%E2%82%AC` → `Euro €`; what is no such escape stays, and what is no UTF-8 becomes U+FFFD.
fn percent_decoded(value: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        let escape = (*first == b'%').then(|| after.split_at_checked(2)).flatten().and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
            u8::from_str_radix(digits, 16).ok().map(|byte| (byte, after))
        });
        let (byte, after) = escape.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
