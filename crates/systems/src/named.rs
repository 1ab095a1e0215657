//! The fields that senders may fill by the envelope's own names.
//!
//! Owns: which those are, and what of a native record they can hold. Not here: systems with names of their own, which is nearly all.

use crate::envelope::Envelope;
use crate::object::{Glance, Object};
use event::fields::{FIELDS, Spec};
use event::{Field, Kind};
use std::borrow::Cow;
use std::sync::LazyLock;

impl<'a> Envelope<'a> {
    /// Moves what is named as a field of the envelope, for senders that use its words: `actor.id`, `ip`, `outcome`, `session.claims`.
    /// What its field could not hold stays; so do an id, a time and a source, which the system has its own of.
    pub fn take_named(&mut self, native: &mut Object<'a>) {
        for (name, glance, specs) in NAMED.iter() {
            if !native.may_have(*glance) || !native.has(name) {
                continue;
            }
            for spec in specs {
                if spec.kind != Kind::Text {
                    if self.is_empty(spec.field)
                        && native.raw(spec.path).is_some_and(|raw| holds(spec.kind, raw))
                        && let Some(raw) = native.take(spec.path)
                    {
                        self.set_raw(spec.field, raw);
                    }
                    continue;
                }
                let known =
                    |said: Option<Cow<'_, str>>, words: &[&str]| said.is_some_and(|t| words.contains(&t.as_ref()));
                if event::parse::allowed(spec.field).is_none_or(|words| known(native.text(spec.path), words)) {
                    // A number fills the field as well, and stays: as text it is none any more.
                    if !self.take(native, spec.path, spec.field)
                        && let Some(raw) = native.raw(spec.path)
                        && raw.starts_with(|c: char| c == '-' || c.is_ascii_digit())
                    {
                        let raw = raw.to_string();
                        self.copy_raw(&raw, spec.field);
                    }
                }
            }
        }
    }
}

/// The fields that a sender may name, by the first name of their paths: most records have none that begins with most of these.
static NAMED: LazyLock<Vec<(&str, Glance, Vec<&Spec>)>> = LazyLock::new(|| {
    let mut all: Vec<(&str, Glance, Vec<&Spec>)> = Vec::new();
    for spec in nameable().chain(holding()) {
        let name = spec.path.split_once('.').map_or(spec.path, |(name, _)| name);
        match all.iter_mut().find(|(known, ..)| *known == name) {
            Some((.., specs)) => specs.push(spec),
            None => all.push((name, Glance::of(name), vec![spec])),
        }
    }
    all
});

/// The fields that senders may fill by the envelope's own names: texts, but not what each system has its own of.
pub(crate) fn nameable() -> impl Iterator<Item = &'static Spec> {
    FIELDS.iter().filter(|s| s.kind == Kind::Text && !matches!(s.field, Field::Id | Field::Source))
}

/// The same of what is no text. A difference stays as it was sent: it may be derived, and nothing says then which it was.
pub(crate) fn holding() -> impl Iterator<Item = &'static Spec> {
    FIELDS.iter().filter(|s| {
        matches!(s.kind, Kind::Json | Kind::List | Kind::Bool)
            && !matches!(s.field, Field::Attributes | Field::Redactions | Field::Diff)
    })
}

/// Whether a field of this kind, which is no text, can hold a JSON value.
pub(crate) fn holds(kind: Kind, raw: &str) -> bool {
    match kind {
        Kind::Json => raw.starts_with(['{', '[']),
        Kind::List => raw.starts_with('"') || serde_json::from_str::<Vec<Cow<'_, str>>>(raw).is_ok(),
        Kind::Bool => matches!(raw, "true" | "false"),
        Kind::Text | Kind::Time => false,
    }
}
