//! Faces: a stored record in the words that another program reads.
//!
//! One file per face, each a pure function of a [`Record`] and what [`Given`] says around it. [`kind`] knows what an event is,
//! whatever its system calls it, and `people` whom it is about, so that every face says the same of it. A record of a system shown as that very system is the
//! record it was made of (`System::to_native`), save what redaction took.
//!
//! Not here: which records, who may see them, HTTP. A face reads the envelope that its caller was given, so what was redacted
//! or may not be seen is in no face.

mod asgardeo;
mod cef;
mod cloudevents;
mod contember;
mod escape;
pub mod kind;
mod ocsf;
mod ory;
mod people;
mod record;
mod syslog;
#[cfg(test)]
mod tests;

pub use ocsf::Schema;
pub use record::Record;

use crate::convert::convert;
use crate::envelope::text_at;
use crate::memory::Memory;
use crate::native::Native;
use crate::{SYSTEMS, System};
use event::Field;
use jiff::tz::TimeZone;
use record::set;
use serde_json::{Value, json};

/// The words that records can be shown in.
#[derive(Clone, Copy)]
pub enum Face {
    /// The Open Cybersecurity Schema Framework.
    Ocsf,
    /// CloudEvents 1.0, structured.
    CloudEvents,
    /// An event of Ory Network's stream.
    Ory,
    /// A row of Contember's `person_auth_log`.
    Contember,
    /// An Asgardeo audit record, v2.
    Asgardeo,
    /// Syslog, RFC 5424: one line.
    Syslog,
    /// ArcSight's Common Event Format: one line.
    Cef,
    /// A system that only its own records can be shown as.
    Own(&'static dyn System),
}

impl std::fmt::Debug for Face {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

const EVERY: [Face; 7] =
    [Face::Asgardeo, Face::Cef, Face::CloudEvents, Face::Contember, Face::Ocsf, Face::Ory, Face::Syslog];

impl Face {
    /// The face of this name: a system's, or `ocsf`, `syslog`, `cef`.
    pub fn find(name: &str) -> Option<Face> {
        let every = EVERY.into_iter().find(|face| face.name() == name);
        every.or_else(|| owns().find(|system| system.name() == name).map(Face::Own))
    }

    /// The names that [`find`](Self::find) knows, in order.
    pub fn names() -> Vec<&'static str> {
        let mut names: Vec<&str> = EVERY.iter().map(Face::name).chain(owns().map(|s| s.name())).collect();
        names.sort_unstable();
        names
    }

    /// Its name in addresses.
    pub fn name(&self) -> &'static str {
        match self {
            Face::Ocsf => "ocsf",
            Face::CloudEvents => "cloudevents",
            Face::Ory => "ory-network",
            Face::Contember => "contember",
            Face::Asgardeo => "asgardeo",
            Face::Syslog => "syslog",
            Face::Cef => "cef",
            Face::Own(system) => system.name(),
        }
    }

    /// The system whose records this face gives back as they came, if it is one's.
    fn system(&self) -> Option<&'static dyn System> {
        match self {
            Face::Own(system) => Some(*system),
            Face::Ocsf | Face::Syslog | Face::Cef => None,
            _ => crate::find(self.name()),
        }
    }

    /// Whether a record is one line of text, and not JSON.
    pub fn is_text(&self) -> bool {
        matches!(self, Face::Syslog | Face::Cef)
    }

    /// The system whose records alone this face can show; none where it shows all.
    pub fn only(&self) -> Option<&'static str> {
        match self {
            Face::Own(system) => Some(system.name()),
            _ => None,
        }
    }

    /// Whether a reader of this face can take what came from its own system. What was not understood may be no event at all, and no
    /// object even: it is shown as a record of any other system is, with its text inside.
    fn may_show(&self, native: &Value, record: Record<'_>) -> bool {
        let unparsed = record.text(Field::Action) == Some("unparsed");
        !unparsed || self.only().is_some() || (native.is_object() && !matches!(self, Face::CloudEvents))
    }

    /// The record in this face: JSON text, or one line without its end. `None` where this face shows other systems' records only.
    pub fn render(&self, record: Record<'_>, given: &Given<'_>) -> Option<String> {
        if let Some(system) = self.system().filter(|system| record.is_of(system.name())) {
            let native = original(system, record).filter(|native| self.may_show(native, record));
            if native.is_some() || self.only().is_some() {
                return native.map(|native| native.to_string());
            }
        }
        Some(match self {
            Face::Ocsf => ocsf::render(record, given).to_string(),
            Face::CloudEvents => cloudevents::render(record, given).to_string(),
            Face::Ory => ory::render(record, given).to_string(),
            Face::Contember => contember::render(record, given).to_string(),
            Face::Asgardeo => asgardeo::render(record, given).to_string(),
            Face::Syslog => syslog::render(record, given),
            Face::Cef => cef::render(record, given),
            Face::Own(_) => return None,
        })
    }
}

/// Systems that give their own records back and are no face for all.
fn owns() -> impl Iterator<Item = &'static dyn System> {
    let empty = json!({});
    SYSTEMS
        .iter()
        .copied()
        .filter(move |system| system.to_native(&empty).is_some())
        .filter(|system| EVERY.iter().all(|face| face.name() != system.name()))
}

/// What a system sent. One that was not understood was kept as it came.
fn original(system: &dyn System, record: Record<'_>) -> Option<Value> {
    if record.text(Field::Action) == Some("unparsed") {
        return record.attribute("native").cloned();
    }
    system.to_native(record.envelope()).filter(|native| says_the_same(system, native, record))
}

/// What has a place in every system's records that have it at all.
const TOLD: &[Field] = &[
    Field::Action,
    Field::Outcome,
    Field::ActorId,
    Field::ActorName,
    Field::TargetId,
    Field::TargetName,
    Field::Message,
    Field::Ip,
    Field::SessionId,
    Field::RequestId,
];

/// Whether a system's own record says what ours does. It does not where somebody gave the system's name to an envelope of theirs, which
/// has no more of its shape than the name.
fn says_the_same(system: &dyn System, native: &Value, record: Record<'_>) -> bool {
    let ours = Native::new(record.envelope());
    let told = |envelope: &Value| {
        let said = TOLD.iter().filter(|field| !ours.concluded(field.spec().path));
        said.map(|field| text_at(envelope, field.spec().path).unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let mut read = Vec::new();
    let body = native.to_string();
    let converted = convert(system, body.as_bytes(), "", &Memory::default(), &TimeZone::UTC, &mut |one| {
        let envelope = one.envelope.ok().filter(|_| one.unparsed.is_none());
        read.push(envelope.and_then(|text| serde_json::from_str::<Value>(text).ok()));
    });
    converted.is_ok() && matches!(read.as_slice(), [Some(envelope)] if told(envelope) == told(record.envelope()))
}

/// What is said around the records of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Given<'g> {
    /// The tenant's name.
    pub tenant: &'g str,
    /// The name of the tenant's ledger: `logs.example.com/t/acme`.
    pub origin: &'g str,
    /// Which edition of OCSF the reader knows.
    pub schema: Schema,
    /// Where the record stands in the ledger, if it was looked up.
    pub proof: Option<Proof<'g>>,
}

impl Given<'_> {
    /// The host of the ledger's name.
    fn host(&self) -> &str {
        self.origin.split('/').next().unwrap_or_default()
    }
}

/// Where a record stands in the ledger: what its inclusion proof is about.
#[derive(Debug, Clone, Copy)]
pub struct Proof<'p> {
    /// Its index.
    pub index: u64,
    /// The hash of its leaf, 64 hex digits.
    pub leaf: &'p str,
    /// The size of a signed tree that holds it, once there is one.
    pub tree_size: Option<u64>,
}

impl Proof<'_> {
    fn json(&self, origin: &str) -> Value {
        let mut out = json!({ "origin": origin, "index": self.index, "leaf_hash": self.leaf });
        if let Some(size) = self.tree_size {
            set(&mut out, "tree_size", size);
        }
        out
    }
}
