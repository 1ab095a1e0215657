//! A body into the texts of its log records, each with its resource and scope.
//!
//! Owns: where records stand, and how much all of their texts together may be.

use super::request::{Lists, Scope, walk};
use crate::Reason;
use crate::object::has_list;
use crate::split::{self, MAX_MADE, MAX_MADE_IN_ALL, Part, Piece};
use event::json::{JsonError, Reader};
use std::borrow::Cow;

/// The records of a body from this one on, as many as may be held at once. One text per record where it is an export request or several,
/// one per line; any other body is taken apart as usual, for `read` to say what is wrong with it.
pub(super) fn records(text: &str, from: usize) -> Part<'_> {
    let mut made = Made { from, ..Made::default() };
    for piece in split::records(text) {
        match &piece.text {
            Ok(Cow::Borrowed(request)) if has_list(request, "resourceLogs") => {
                let before = made.mark();
                if resources(request, &mut made).is_err() {
                    // Whatever could not be walked is kept as one text rather than in parts. All parts of a body agree on that: each
                    // walks all of it.
                    made.back_to(before);
                    made.add(piece);
                }
            }
            _ => made.add(piece),
        }
    }
    let Made { mut pieces, next, seen: all, .. } = made;
    // Several requests in one body count on.
    for (i, piece) in pieces.iter_mut().enumerate() {
        piece.line = from + i + 1;
    }
    Part { pieces, next, all }
}

#[derive(Default)]
struct Made<'a> {
    pieces: Vec<Piece<'a>>,
    /// Records before this one are of an earlier part.
    from: usize,
    /// How many were met.
    seen: usize,
    /// The first one for which there was no room.
    next: Option<usize>,
    /// How much text was made, in bytes.
    held: usize,
    /// The same of all parts up to here.
    all: usize,
}

impl<'a> Made<'a> {
    /// Whether the record that comes next is of this part, given the text that is made for it.
    fn takes(&mut self, length: usize) -> bool {
        let place = self.seen;
        self.seen += 1;
        if place < self.from || self.next.is_some() {
            return false;
        }
        // One at least, or there would be no end of it.
        if self.held + length > MAX_MADE && !self.pieces.is_empty() {
            self.next = Some(place);
            return false;
        }
        self.held += length;
        true
    }

    /// Adds what lies in the body.
    fn add(&mut self, piece: Piece<'a>) {
        if self.takes(0) {
            self.pieces.push(piece);
        }
    }

    fn push(&mut self, resource: &str, scope: &str, record: &str) {
        let parts = ["{\"resource\":", resource, ",\"scope\":", scope, ",\"logRecord\":", record, "}"];
        let length = parts.iter().map(|part| part.len()).sum();
        self.all = self.all.saturating_add(length);
        let whole = self.all <= MAX_MADE_IN_ALL;
        if !self.takes(if whole { length } else { 0 }) {
            return;
        }
        let text = if whole {
            Ok(Cow::Owned(parts.concat()))
        } else {
            let detail = format!(
                "the records with their resources and scopes are more than {MAX_MADE_IN_ALL} bytes; send smaller batches"
            );
            Err(Reason::new("body_too_large", detail))
        };
        self.pieces.push(Piece::new(0, text));
    }

    /// What [`back_to`](Self::back_to) goes back to.
    fn mark(&self) -> Made<'a> {
        Made { pieces: Vec::new(), ..*self }
    }

    fn back_to(&mut self, mark: Made<'a>) {
        self.pieces.truncate(mark.seen.saturating_sub(mark.from).min(self.pieces.len()));
        *self = Made { pieces: std::mem::take(&mut self.pieces), ..mark };
    }
}

const LISTS: Lists =
    Lists { resources: "resourceLogs", scopes: ["scopeLogs", "instrumentationLibraryLogs"], items: "logRecords" };

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
