//! Mapping files: records of a system that nobody wrote an adapter for, read by rules that its users write without code.
//!
//! ```toml
//! name = "billing"                        # becomes the records' `source`
//! records = "/events"                     # where the list of records stands, if the body is not the list itself
//!
//! [fields]
//! log = { value = "audit" }               # a fixed text
//! action = "/type"                        # a JSON pointer (RFC 6901)
//! actor.id = ["/user/id", "/sub"]         # the first that is there
//! time = { from = "/at", format = "unix-ms" }
//! outcome = { from = "/ok", words = { true = "success", false = "failure" }, otherwise = "unknown" }
//! old = { from = "/before", format = "json" }
//! ```
//!
//! JSON says the same in braces. Fields are the envelope's paths; `format` is for times `text` (the default), `unix-s`, `unix-ms`
//! or `unix-ns`, and for JSON that stands in a text `json`. `otherwise` is for what is not there or is none of the `words`.
//!
//! Nothing is lost here either: what fills a field as it stands moves there, everything else stays in `attributes`: values
//! that were turned into other words or found inside a list, and all that no rule names. Without a rule for `log` a record is
//! an event, without an `id` its hash is its id.
//!
//! [`Mapping`] is a [`System`], so a body goes through [`crate::convert()`] like any other; [`Mapping::apply`] reads one record and
//! says which rules found nothing.

mod parse;
mod read;
#[cfg(test)]
mod tests;

pub use parse::{MappingError, distance};
pub use read::Applied;

use crate::detect::Sample;
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::split::{self, Piece};
use crate::{Context, Reason, System};
use event::Field;

/// The largest mapping file, in bytes.
pub const MAX_FILE: usize = 64 << 10;

/// A mapping file that was read and found sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    name: String,
    /// Names on the way to the list of records; empty where the body is the list.
    records: Vec<String>,
    rules: Vec<Rule>,
}

/// Where one field's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    field: Field,
    from: Vec<Pointer>,
    form: Form,
    words: Vec<(String, String)>,
    otherwise: Option<String>,
}

/// A JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pointer {
    /// As it was written.
    text: String,
    /// Its names, unescaped.
    steps: Vec<String>,
    /// No other rule looks there, so the value may move.
    alone: bool,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As the field's kind has it.
    Plain,
    /// A time in this form.
    Time(Stamp),
    /// JSON in a text in quotes.
    QuotedJson,
}

impl Mapping {
    /// Reads a mapping file, TOML or JSON.
    ///
    /// # Errors
    /// [`MappingError`], which names the place and says what to write there.
    pub fn parse(text: &str) -> Result<Mapping, MappingError> {
        parse::mapping(text)
    }

    /// Reads one record by the rules.
    ///
    /// # Errors
    /// Why it cannot be understood. Whether its envelope may be stored is for `event::parse` to say.
    pub fn apply(&self, text: &str, zone: &jiff::tz::TimeZone) -> Result<Applied, Reason> {
        read::apply(self, text, zone)
    }
}

impl System for Mapping {
    fn name(&self) -> &str {
        &self.name
    }

    /// A mapping is always named: any JSON might be what it was written for.
    fn looks_like(&self, _sample: &Sample<'_>) -> u8 {
        0
    }

    fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        if self.records.is_empty() {
            return split::records(text);
        }
        let steps: Vec<&str> = self.records.iter().map(String::as_str).collect();
        split::wrapped(text, &steps).unwrap_or_else(|| split::records(text))
    }

    fn read<'a>(&self, text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
        read::read(self, text, context, out).map(|_| ())
    }
}
