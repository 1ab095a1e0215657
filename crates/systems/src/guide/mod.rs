//! The monitoring guide's logs: audit, event, job and notification logs, sessions and grants, as JSON and as exported CSV.
//!
//! The guide is that of Authifi. It publishes no record and no schema, only the labels of its columns, so a record is read by
//! those labels: in whatever case, with spaces, underscores, dashes or none (`Event Type`, `eventType`, `event_type`).
//!
//! ```text
//! audit         Action, Target, Actor, Subject, ClientActor, Comments, TimeStamp, Old Entity, New Entity, Diff, Details
//! event         Event Type, Client Name, Provider Name, Created On, Email, Username, IP Address, User Agent, Details
//! job           Job Id, Job Name, Job Type, Message, Latest Status, Created At, Updated At, Details, Stacktrace
//! notification  Subject, Recipient, Timestamp, Status, Category, Details, CC, BCC
//! session       Session ID, Protocol, Client ID, User ID, Created At, Status, Details
//! grant         Grant ID, Email, Provider, Client, Session ID, Created At, Status, Details
//! ```
//!
//! What makes it special:
//! * Which log a record is of is told by its labels alone; any of them may be left out but those that tell it. Where the labels are
//!   words that anybody may use, a record is taken for the guide's only if it has no others.
//! * Which log a row of CSV is of is told by the file's headings. Spreadsheets write semicolons or tabs where others write commas.
//! * CSV flattens: an entity is JSON in a cell, and may be cut off; then it stays a text. An empty cell says nothing.
//! * The line `sep=;` that Excel is told the separator by is no row. Times are read as spreadsheets print them, too.
//! * A quote that is never closed would make one cell of all that follows: then that is kept as it is, and is no row.
//! * The guide prints a diff with `_old` and `_new`, the library behind it writes `__old` and `__new`: both are read, the second
//!   is kept.
//! * Jobs, sessions and grants have an id of their own but each status is a record, so the record's id is a hash of it all. A job's
//!   time is its last change, that of the others when they began.
//! * `Details` of a notification is its body. Of everything else it is kept as it is.
//! * Our own exports have the same labels and come back the same way.

mod csv;
mod diff;
mod labels;
mod read;
#[cfg(test)]
mod tests;

use crate::detect::Sample;
use crate::envelope::Envelope;
use crate::split::{self, Piece};
use crate::{Context, Reason, System};

/// The adapter.
#[derive(Debug)]
pub struct Guide;

const NAME: &str = "guide";

impl System for Guide {
    fn name(&self) -> &'static str {
        NAME
    }

    fn looks_like(&self, sample: &Sample<'_>) -> u8 {
        match &sample.object {
            Some(object) => labels::Labels::new(object.keys()).confidence(),
            None if csv::is_hint(sample.first) => {
                csv::Table::of(sample.body.trim_start()).map_or(0, |table| table.labels().confidence())
            }
            None => csv::Table::of(sample.first).map_or(0, |table| table.labels().confidence()),
        }
    }

    fn says_none(&self, text: &str) -> bool {
        text.trim_start().starts_with(['{', '[']) || csv::Table::of(text).is_some()
    }

    fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        csv::rows(text).unwrap_or_else(|| split::records(text))
    }

    fn read<'a>(&self, text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
        read::read(text, context, out)
    }
}
