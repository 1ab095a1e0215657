//! A body into the texts of its log records, each with its resource and scope.
//!
//! Owns: where records stand, and how much all of their texts together may be.

use crate::Reason;
use crate::split::{self, MAX_MADE, Piece};
use event::json::{JsonError, Reader};
use std::borrow::Cow;

/// The records of a body. One text per record where it is an export request or several, one per line; any other body is taken
/// apart as usual, for `read` to say what is wrong with it.
pub(super) fn records(text: &str) -> Vec<Piece<'_>> {
    let mut made = Made { pieces: Vec::new(), left: MAX_MADE };
    for piece in split::records(text) {
        match &piece.text {
            Ok(Cow::Borrowed(request)) if split::wrapped(request, &["resourceLogs"]).is_some() => {
                let before = made.pieces.len();
                if resources(request, &mut made).is_err() {
                    // Whatever could not be walked is kept as one text rather than in parts.
                    made.pieces.truncate(before);
                    made.pieces.push(piece);
                }
            }
            _ => made.pieces.push(piece),
        }
    }
    // Several requests in one body count on.
    for (i, piece) in made.pieces.iter_mut().enumerate() {
        piece.line = i + 1;
    }
    made.pieces
}

struct Made<'a> {
    pieces: Vec<Piece<'a>>,
    /// How much text may still be made, in bytes.
    left: usize,
}

impl Made<'_> {
    fn push(&mut self, resource: &str, scope: &str, record: &str) {
        let text = format!("{{\"resource\":{resource},\"scope\":{scope},\"logRecord\":{record}}}");
        let text = match self.left.checked_sub(text.len()) {
            Some(left) => {
                self.left = left;
                Ok(Cow::Owned(text))
            }
            None => Err(Reason::new(
                "body_too_large",
                format!(
                    "the records with their resources and scopes are more than {MAX_MADE} bytes; send smaller batches"
                ),
            )),
        };
        self.pieces.push(Piece { line: 0, text });
    }
}

fn resources(request: &str, made: &mut Made<'_>) -> Result<(), JsonError> {
    each(request, "resourceLogs", &mut |logs| {
        let resource = with_url(logs, "resource")?;
        each(logs, "scopeLogs", &mut |logs| {
            let scope = with_url(logs, "scope")?;
            each(logs, "logRecords", &mut |record| {
                made.push(&resource, &scope, record);
                Ok(())
            })
        })
    })
}

/// A member that is an object, with the `schemaUrl` that stands beside it; `{}` where there is none.
fn with_url(holder: &str, name: &str) -> Result<String, JsonError> {
    let mut text = member(holder, name)?.filter(|raw| raw.starts_with('{')).unwrap_or("{}").to_owned();
    if let Some(url) = member(holder, "schemaUrl")?.filter(|raw| raw.len() > 2) {
        text.pop();
        let comma = if text.trim_end().ends_with('{') { "" } else { "," };
        text.push_str(&format!("{comma}\"schemaUrl\":{url}}}"));
    }
    Ok(text)
}

fn member<'t>(object: &'t str, name: &str) -> Result<Option<&'t str>, JsonError> {
    let mut r = Reader::new(object);
    r.open(b'{')?;
    let (mut first, mut found) = (true, None);
    while let Some(key) = r.key(first)? {
        first = false;
        let value = r.skip(1)?;
        if key == name {
            found = Some(value);
        }
    }
    Ok(found)
}

/// Calls `take` with every element of a list in an object. No such member, or null, is an empty list.
fn each(object: &str, name: &str, take: &mut dyn FnMut(&str) -> Result<(), JsonError>) -> Result<(), JsonError> {
    let Some(list) = member(object, name)?.filter(|raw| *raw != "null") else { return Ok(()) };
    let mut r = Reader::new(list);
    r.open(b'[')?;
    let mut first = true;
    while r.element(first)? {
        first = false;
        take(r.skip(1)?)?;
    }
    Ok(())
}
