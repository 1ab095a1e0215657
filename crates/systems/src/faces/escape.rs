//! What both text faces share: characters that could end a line, or look as if they did.

use super::{kind, people};
use std::fmt::Write;

/// Whether a character must not stand in a line as it is: every control character, and the two separators of Unicode that
/// some readers take for line ends.
pub(super) fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Writes such a character as `\uXXXX`. A backslash of the text itself is always written twice, so the two cannot be confused.
pub(super) fn write_control(out: &mut String, c: char) {
    let _ = write!(out, "\\u{:04x}", u32::from(c));
}

/// A name in printable ASCII without spaces, at most `most` characters long; `-` for an empty one.
pub(super) fn token(text: &str, most: usize) -> String {
    let token: String = text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(most).collect();
    if token.is_empty() { "-".to_owned() } else { token }
}

/// A sentence for people: what was said, or what happened, who did it, and to what.
pub(super) fn sentence(record: super::Record<'_>) -> String {
    use event::Field::{
        ActorId, ActorIdentityId, Comments, ImpersonatorId, ImpersonatorName, Message, Outcome, TargetId, TargetName,
    };
    if let Some(said) = record.first(&[Message, Comments]) {
        return said.to_owned();
    }
    let mut out = record.action().to_owned();
    if let Some(outcome) = record.text(Outcome).filter(|outcome| *outcome != "unknown") {
        let _ = write!(out, " ({outcome})");
    }
    let who = people::actors_name(record, kind::of(record)).or_else(|| record.first(&[ActorId, ActorIdentityId]));
    // Who really did it comes before whom they did it as.
    match (record.first(&[ImpersonatorName, ImpersonatorId]), who) {
        (Some(who), Some(whom)) => {
            let _ = write!(out, " by {who} as {whom}");
        }
        (None, Some(who)) | (Some(who), None) => {
            let _ = write!(out, " by {who}");
        }
        (None, None) => {}
    }
    if let Some(what) = record.first(&[TargetName, TargetId]) {
        let _ = write!(out, " on {what}");
    }
    out
}
