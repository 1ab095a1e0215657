//! The one redactor: what must not be kept becomes `***` before anything is hashed or stored.
//!
//! Owns which keys and which shapes of text are secret ([`Rules`]), and the single pass that makes JSON
//! canonical while redacting it ([`Canonical`]). The same rules run again wherever data leaves the product.
//! Not here: reading the envelope (`parse`). Every step is linear in the text: no backtracking.

mod canonical;
mod context;
mod keys;
pub(crate) mod notice;
mod text;

pub use canonical::{Canonical, Known};
pub use context::Context;
pub use keys::KeyRule;

use regex::Regex;
use std::borrow::Cow;

/// What a removed value reads as.
pub const MARK: &str = "***";
/// That, and what ory-nestjs and Ory write in the place of what they take out.
pub(crate) const MARKS: [&str; 4] = [MARK, "[redacted]", "[REDACTED_TOKEN]", "<redacted>"];

/// One redaction: where, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redaction {
    /// JSON pointer into the record (RFC 6901).
    pub pointer: String,
    /// Name of the rule.
    pub rule: Cow<'static, str>,
}

/// The rules in force for a tenant: the built-in ones, which nobody can switch off, and what it added.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    keep_traits: bool,
    extra_keys: Vec<String>,
    patterns: Vec<(String, Regex)>,
}

/// Why a tenant's own rule was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Not a regular expression of the linear-time kind.
    #[error("redaction pattern `{pattern}` is not usable: {detail}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A key name without a letter or digit would match every key.
    #[error("redaction key `{0}` has no letter or digit")]
    Key(String),
}

impl Rules {
    /// The built-in rules plus a tenant's own: key names (case and separators do not matter) and regular
    /// expressions over text. `keep_traits` is the one built-in rule a tenant may opt out of.
    ///
    /// # Errors
    /// [`RuleError`] naming the key or pattern.
    pub fn new(keep_traits: bool, extra_keys: &[String], patterns: &[String]) -> Result<Rules, RuleError> {
        let extra_keys = extra_keys
            .iter()
            .map(|key| match keys::normal(key) {
                normal if normal.is_empty() => Err(RuleError::Key(key.clone())),
                normal => Ok(normal.into_owned()),
            })
            .collect::<Result<_, _>>()?;
        let patterns = patterns
            .iter()
            .map(|p| {
                regex::RegexBuilder::new(p)
                    .size_limit(1 << 20)
                    .build()
                    .map(|r| (p.clone(), r))
                    .map_err(|e| RuleError::Pattern { pattern: p.clone(), detail: e.to_string() })
            })
            .collect::<Result<_, _>>()?;
        Ok(Rules { keep_traits, extra_keys, patterns })
    }

    /// What to do with the value under this key, if anything.
    #[inline]
    pub fn key(&self, key: &str) -> Option<KeyRule> {
        if self.only_built_in_keys() && keys::harmless(key) { None } else { keys::rule(key, self) }
    }

    /// Whether the tenant has no key names of its own.
    pub(crate) fn only_built_in_keys(&self) -> bool {
        self.extra_keys.is_empty()
    }

    /// Whether [`text`](Self::text) has nothing to look for in a text, as in nearly all.
    #[inline]
    pub(crate) fn harmless(&self, text: &str) -> bool {
        self.patterns.is_empty() && !text::suspicious(text)
    }

    /// Whether a pattern of the tenant's own is found in a text.
    fn has_pattern_in(&self, text: &str) -> bool {
        self.patterns.iter().any(|(_, regex)| regex.is_match(text))
    }

    /// Free text with secrets taken out; `None` where there were none. `rule` is told each rule that fired.
    pub fn text(&self, text: &str, rule: &mut dyn FnMut(Cow<'static, str>)) -> Option<String> {
        if self.harmless(text) { None } else { text::scrub(text, self, rule) }
    }
}

/// Most redactions listed in one record; what goes past is redacted all the same and said in one last mark.
const MAX_MARKS: usize = 1_000;

/// Adds a redaction to the list, once for each place and rule.
pub(crate) fn add_mark(marks: &mut Vec<Redaction>, pointer: String, rule: Cow<'static, str>) {
    // The marks of one place follow one another.
    if marks.iter().rev().take(4).any(|m| m.pointer == pointer && m.rule == rule) || marks.len() > MAX_MARKS {
        return;
    }
    if marks.len() == MAX_MARKS {
        marks.push(Redaction { pointer: String::new(), rule: Cow::Borrowed("and_more") });
        return;
    }
    marks.push(Redaction { pointer, rule });
}

/// The JSON pointer of an envelope path.
pub(crate) fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

/// Appends one reference token to a JSON pointer.
pub(crate) fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}
