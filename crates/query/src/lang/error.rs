//! What is wrong with a query, for a person to read and a program to point at.

use std::ops::Range;

/// A refusal of filter text, of the JSON form, of a time, or of a question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", at.as_deref().map(|a| format!("{a}: ")).unwrap_or_default())]
pub struct Error {
    /// Stable code: `unknown_key`, `syntax`, `bad_time`, `bad_value`, `bad_operator`, `too_long`, `too_deep`, `not_understood`.
    pub code: &'static str,
    /// What is wrong and what to do instead.
    pub message: String,
    /// Bytes of the text concerned, when the input was text.
    pub span: Option<Range<usize>>,
    /// Place in the JSON form: `filter[1].any[0]`.
    pub at: Option<String>,
    /// What was probably meant: a key, or a spelling that works.
    pub suggestion: Option<String>,
}

impl Error {
    /// An error without a place.
    pub fn new(code: &'static str, message: impl Into<String>) -> Error {
        Error { code, message: message.into(), span: None, at: None, suggestion: None }
    }

    /// The same error, about these bytes of the text.
    #[must_use]
    pub fn span(mut self, span: Range<usize>) -> Error {
        self.span = Some(span);
        self
    }

    /// The same error, at this place of the JSON form.
    #[must_use]
    pub fn at(mut self, at: impl Into<String>) -> Error {
        self.at = Some(at.into());
        self
    }

    /// The same error, with what was probably meant.
    #[must_use]
    pub fn suggest(mut self, what: impl Into<String>) -> Error {
        self.suggestion = Some(what.into());
        self
    }
}
