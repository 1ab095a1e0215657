//! Identity systems in their own words: native records in, envelope out, and back again.
//!
//! One folder per system, each with the same files: `mod.rs` (what the system sends, in words), `read.rs` (native →
//! envelope), `native.rs` (envelope → native, where it is asked for) and `tests.rs` (every quirk). [`SYSTEMS`] lists
//! them. What they share: [`object`] looks into a native record without building it, [`envelope`] has what was
//! found, [`filled`] keeps it for `event`, [`moment`] reads times, [`catalog`] knows the events' names, [`memory`] what a record needs to know of those before
//! it, [`change`] what it says about an entity's state, `sessions` what it means for a session or grant, [`mod@detect`]
//! tells systems apart, and [`mod@convert`] drives it all for one request body. `sns`, `set` and `asgardeo::websub` check
//! what their senders sign, with keys that they are given.
//!
//! Not here: whether an envelope may be stored, what is secret in it, and its canonical form (`event::parse`); HTTP, where keys
//! come from, clocks. An adapter validates and redacts nothing: it moves texts.
//!
//! **Nothing is lost.** A member that an adapter takes fills a field of the envelope; every other member goes to
//! `attributes` as it stands, under its native name and in its native place. A record that is not understood becomes an
//! [`unparsed`] one with its text.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod asgardeo;
pub mod auth0;
pub mod authentik;
pub mod catalog;
pub mod change;
pub mod cloudevents;
pub mod contember;
pub mod convert;
pub mod detect;
pub mod envelope;
pub mod faces;
pub mod filled;
pub mod guide;
pub mod kanidm;
pub mod keycloak;
pub mod mapping;
pub mod memory;
pub mod moment;
mod named;
pub mod native;
pub mod object;
pub mod okta;
pub mod ory;
pub mod ory_nestjs;
pub mod ory_network;
pub mod otlp;
mod pairs;
pub mod protobuf;
pub mod pull;
pub mod revoke;
mod sessions;
pub mod set;
pub mod shapes;
mod shipped;
pub mod sns;
pub mod split;
#[cfg(test)]
mod testing;
pub mod twins;
pub mod wso2;
pub mod zitadel;

pub use convert::{Converted, Origin, Read, again, convert, convert_from, decode, fill, unparsed};
pub use detect::detect;
pub use filled::Filled;
pub use mapping::Mapping;
pub use memory::Memory;

use envelope::Envelope;
use serde_json::{Map, Value};
use split::Piece;
use std::borrow::Cow;

/// Every system, by name. A new one: its folder, its line here, its names in `catalog.csv`, its fuzz target.
pub static SYSTEMS: &[&dyn System] = &[
    &asgardeo::Asgardeo,
    &auth0::Auth0,
    &authentik::Authentik,
    &cloudevents::CloudEvents,
    &contember::Contember,
    &guide::Guide,
    &kanidm::Kanidm,
    &keycloak::Keycloak,
    &okta::Okta,
    &ory::Ory,
    &ory_nestjs::OryNestjs,
    &ory_network::OryNetwork,
    &otlp::Otlp,
    &set::Set,
    &wso2::Wso2,
    &zitadel::Zitadel,
];

/// The system of this name, spelled as in [`System::name`].
pub fn find(name: &str) -> Option<&'static dyn System> {
    SYSTEMS.iter().copied().find(|s| s.name() == name)
}

/// What one identity system sends, and how it is read.
///
/// The methods are called in this order: [`decode`](System::decode) once per body, [`split`](System::split) once per
/// text, [`foresee`](System::foresee) once per record, then [`read`](System::read) once per record.
pub trait System: Sync {
    /// Its name in `POST …/ingest/{system}`, in `source`, and in the catalogue.
    fn name(&self) -> &str;

    /// How surely the first record of a body is this system's, 0 to 100.
    ///
    /// MUST be cheap and MUST give 0 for anything it would not understand. 90 and more: by names that no other system has
    /// together.
    fn looks_like(&self, sample: &detect::Sample<'_>) -> u8;

    /// The body as text. Only systems with a binary form have their own.
    ///
    /// # Errors
    /// A body that cannot be taken apart at all; nothing of it is kept.
    fn decode<'a>(&self, body: &'a [u8], _content_type: &str) -> Result<Cow<'a, str>, Reason> {
        Ok(split::text(body))
    }

    /// The text's records: by default an object, an array, or one per line. Systems that wrap their records unwrap them here.
    fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        split::records(text)
    }

    /// As [`split`](System::split), of the records from this one on (from 0), as many as may be held at once. Most records lie in the
    /// body's own text, and there is one part.
    fn part<'a>(&self, text: &'a str, _from: usize) -> split::Part<'a> {
        self.split(text).into()
    }

    /// Whether a text in which there is no record says that there is none: an answer with an empty list does, and an empty list by
    /// itself, as some APIs answer; an empty text does not.
    fn says_none(&self, text: &str) -> bool {
        text.trim_start().starts_with(['{', '['])
    }

    /// Remembers what a record says of others in the same body, those before it too: called for every record before the first is
    /// read.
    fn foresee(&self, _text: &str, _context: &Context<'_>) {}

    /// Reads one record into the envelope. `source` is set already.
    ///
    /// MUST give the same envelope for the same text and the same [`Memory`], and MUST NOT look at any clock.
    ///
    /// # Errors
    /// Why it cannot be understood; the record is then kept as an [`unparsed`] one.
    fn read<'a>(&self, text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason>;

    /// A record that is kept as it came, with what it has in base64 opened: redaction does not see what that hides.
    fn opened<'a>(&self, native: &'a str) -> Cow<'a, str> {
        native.into()
    }

    /// Whether one action may come in two shapes, put together as one record or each alone.
    fn writes_twice(&self) -> bool {
        false
    }

    /// The part of a native record put together of two that is not the record itself: what is left to store where the record is
    /// stored already without it. It is a native record too, and names the one that it belongs to.
    fn twin(&self, _native: &str) -> Option<String> {
        None
    }

    /// Whether its senders sign what they send: the same record may then come signed, and once more without.
    fn signs(&self) -> bool {
        false
    }

    /// Whether one event may come under one id in several shapes, told apart by the mark of their shape: [`shapes`].
    fn shapes(&self) -> bool {
        false
    }

    /// Writes the attributes of a stored record of this id as they would be in any of the system's shapes, so that two records of one
    /// event can be compared.
    fn plain(&self, _attributes: &mut Map<String, Value>, _shape: &str, _id: &str) {}

    /// What the system takes out of its records or words anew, so that a record that comes again says less, or the same otherwise.
    fn amends(&self) -> shapes::Amended {
        shapes::Amended::default()
    }

    /// What a stored envelope says about the state of an entity: what [`read`](System::read) put into
    /// [`Envelope::change`], from the envelope alone.
    fn change(&self, _envelope: &Value) -> Option<change::Change> {
        None
    }

    /// The stored records of this source that may say something about the state of an entity, as filter text over
    /// envelopes; `None` where none does.
    fn states(&self) -> Option<&'static str> {
        None
    }

    /// The native record that this envelope was made of; `None` where the system has no such form.
    /// Equal to the original as JSON, save what redaction took.
    fn to_native(&self, _envelope: &Value) -> Option<Value> {
        None
    }
}

/// What a record is read in the light of.
#[derive(Debug, Clone, Copy)]
pub struct Context<'m> {
    /// What is remembered of the tenant's earlier records.
    pub memory: &'m Memory,
    /// The zone of times that name none: the source's clock, as configured; UTC if nobody said.
    pub zone: &'m jiff::tz::TimeZone,
    /// The project whose events these are, as configured, for systems that may leave it out.
    pub project: Option<&'m str>,
    /// What the request that brought the record is called by its sender, where a header says that.
    pub request: Option<&'m str>,
}

impl<'m> Context<'m> {
    /// One that says no more than that.
    pub fn new(memory: &'m Memory, zone: &'m jiff::tz::TimeZone) -> Context<'m> {
        Context { memory, zone, project: None, request: None }
    }
}

/// What a JSON text is, in words.
pub(crate) fn kind_of(raw: &str) -> &'static str {
    match raw.as_bytes() {
        [] => "nothing",
        b"\"\"" => "an empty text",
        [b'"', ..] => "a text",
        [b'{', ..] => "an object",
        [b'[', ..] => "a list",
        [b'n', ..] => "null",
        [b't' | b'f', ..] => "true or false",
        _ => "a number",
    }
}

/// Why a record could not be understood, or a body not be taken apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Reason {
    /// Stable code for programs.
    pub code: &'static str,
    /// What is wrong and what to do. Never carries a value of the record.
    pub detail: String,
}

impl Reason {
    /// A reason with its code.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// A member without which a record means nothing, and what stands in its place, as JSON text.
    pub fn missing(name: &str, stands: Option<&str>) -> Self {
        let came = stands.map_or("missing", kind_of);
        Self::new(
            "missing_field",
            format!("`{name}` is {came}; it is the text by which the record is known for what it is"),
        )
    }

    /// A time that is written in no form we know, given what stands there, as JSON text, and what should.
    pub fn time(name: &str, stands: &str, wanted: &str) -> Self {
        let came = kind_of(stands);
        Self::new(
            "invalid_time",
            format!("`{name}` is {came}, and none that is known for a time; it should be {wanted}"),
        )
    }
}
