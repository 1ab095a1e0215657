//! A body into the texts of its log records, each with its resource and scope.
//!
//! Owns: where records stand, and how much all of their texts together may be.

use super::request::{Lists, Scope, walk};
use crate::Reason;
use crate::object::has_list;
use crate::split::{self, MAX_MADE, Piece};
use event::json::{JsonError, Reader};
use std::borrow::Cow;

/// The records of a body. One text per record where it is an export request or several, one per line; any other body is taken
/// apart as usual, for `read` to say what is wrong with it.
pub(super) fn records(text: &str) -> Vec<Piece<'_>> {
    let mut made = Made { pieces: Vec::new(), left: MAX_MADE };
    for piece in split::records(text) {
        match &piece.text {
            Ok(Cow::Borrowed(request)) if has_list(request, "resourceLogs") => {
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
        let parts = ["{\"resource\":", resource, ",\"scope\":", scope, ",\"logRecord\":", record, "}"];
        let text = parts.concat();
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
        self.pieces.push(Piece::new(0, text));
    }
}

const LISTS: Lists = Lists { resources: "resourceLogs", scopes: "scopeLogs", items: "logRecords" };

fn resources(request: &str, made: &mut Made<'_>) -> Result<(), JsonError> {
    walk(&mut Reader::new(request), &LISTS, &mut |r| r.skip(1), &mut |sent| {
        let resource = with_url(sent.resource, sent.url);
        for Scope { scope, url, items } in sent.scopes {
            let scope = with_url(scope, url);
            items.into_iter().for_each(|record| made.push(&resource, &scope, record));
        }
    })
}

/// What is an object, with the `schemaUrl` that stands beside it; `{}` where there is none.
fn with_url<'t>(object: Option<&'t str>, url: Option<&str>) -> Cow<'t, str> {
    let object = object.filter(|raw| raw.starts_with('{')).unwrap_or("{}");
    let Some(url) = url.filter(|raw| raw.len() > 2) else { return Cow::Borrowed(object) };
    let open = object.strip_suffix('}').unwrap_or(object);
    let comma = if open.trim_end().ends_with('{') { "" } else { "," };
    Cow::Owned(format!("{open}{comma}\"schemaUrl\":{url}}}"))
}
