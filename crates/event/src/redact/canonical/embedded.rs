//! JSON that stands as a text: `"representation": "{\"credentials\": …}"`.
//!
//! Owns: reaching into it with the rules for JSON, which know pairs of name and value and what a record is about. Not here: those
//! rules (`super`), and what is secret in any other text (`text`).

use super::{Canonical, Context, Pass};
use std::borrow::Cow;

/// How many such texts may stand in one another. Each is read at most twice for every one that it stands in.
const LEVELS: usize = 3;

impl Canonical<'_> {
    /// Whether [`text`](Self::text) has nothing to look for in a text, as in nearly all.
    #[inline]
    pub(crate) fn harmless(&self, text: &str) -> bool {
        // Other keys than those that always are may be secret in any JSON.
        self.rules.harmless(text) && (self.only_built_in() || !may_be_json(text))
    }

    /// No other keys are secret than those that always are.
    pub(super) fn only_built_in(&self) -> bool {
        self.rules.only_built_in_keys() && self.context == Context::default()
    }

    /// A text with secrets taken out, also where it is JSON; `None` where there were none. `rule` is told each rule that fired.
    pub(crate) fn text(&self, text: &str, rule: &mut dyn FnMut(Cow<'static, str>)) -> Option<String> {
        self.text_at(0, text, rule)
    }

    /// The same of a text that stands in so many texts that are JSON.
    pub(super) fn text_at(&self, level: usize, text: &str, rule: &mut dyn FnMut(Cow<'static, str>)) -> Option<String> {
        if self.harmless(text) {
            return None;
        }
        if level == LEVELS || !may_be_json(text) {
            return self.rules.text(text, rule);
        }
        if let Sound::Yes(clean) = self.json(level, text, rule) {
            return clean;
        }
        let clean = self.rules.text(text, rule)?;
        // What was no JSON may be without what was taken out.
        match self.json(level, &clean, rule) {
            Sound::Yes(Some(cleaner)) => Some(cleaner),
            _ => Some(clean),
        }
    }

    /// Redacts a text as JSON, where it is.
    fn json(&self, level: usize, text: &str, rule: &mut dyn FnMut(Cow<'static, str>)) -> Sound {
        let (mut marks, mut json) = (Vec::new(), String::with_capacity(text.len()));
        if Pass::new(self, level + 1, text, &mut marks).whole(&mut json).is_err() {
            return Sound::No;
        }
        // Where nothing was found it stays as it came.
        let clean = (!marks.is_empty()).then_some(json);
        let mut fired: Vec<Cow<'static, str>> = Vec::new();
        // The mark that says that there are more has no place.
        for mark in marks.into_iter().filter(|mark| !mark.pointer.is_empty()) {
            if !fired.contains(&mark.rule) {
                fired.push(mark.rule);
            }
        }
        fired.into_iter().for_each(&mut *rule);
        // A tenant's pattern may be about more than one text in it.
        let said = clean.as_deref().unwrap_or(text);
        let cut = if self.rules.has_pattern_in(said) { self.rules.text(said, rule) } else { None };
        Sound::Yes(cut.or(clean))
    }
}

/// Whether a text was sound JSON, and what is left of it where something was taken out.
enum Sound {
    Yes(Option<String>),
    No,
}

fn may_be_json(text: &str) -> bool {
    text.trim_ascii_start().starts_with(['{', '['])
}
