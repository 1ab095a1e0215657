//! What a record is about, where that decides what is secret in it.
//!
//! Not here: keys that are secret in any record (`keys`).

use super::KeyRule;
use std::borrow::Cow;

/// What the record around the JSON is about, where that decides what is secret in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Context {
    /// An identity provider: values under `configuration` are kept as key names only.
    pub provider: bool,
    /// A project secret: only its name is kept.
    pub project_secret: bool,
}

impl Context {
    /// Reads it off a record's action and the type of its target.
    pub fn of(action: &str, target_type: &str) -> Context {
        let (action, target_type) = (Context::of_word(action), Context::of_word(target_type));
        Context {
            provider: action.provider || target_type.provider,
            project_secret: action.project_secret || target_type.project_secret,
        }
    }

    fn of_word(word: &str) -> Context {
        // Two short words per record, and nearly all name neither.
        let letters = word.bytes().fold(0, |all, b| all | LETTERS[usize::from(b)]);
        if letters & PROVIDER != PROVIDER && letters & SECRET != SECRET {
            return Context::default();
        }
        // Of those that have the letters, nearly none has any of them where a name does.
        let mut before = b' ';
        let pair = word.bytes().filter(|b| b.is_ascii_alphanumeric()).any(|b| {
            let pair = [std::mem::replace(&mut before, b.to_ascii_lowercase()), b.to_ascii_lowercase()];
            matches!(&pair, b"dp" | b"yp" | b"oj")
        });
        if !pair && word.is_ascii() {
            return Context::default();
        }
        let word = super::keys::normal(word);
        let mentions = |name: &str| memchr::memmem::find(word.as_bytes(), name.as_bytes()).is_some();
        Context { provider: mentions("idp") || mentions("identityprovider"), project_secret: mentions("projectsecret") }
    }

    /// What to do with the value under a key that is secret only in this context.
    pub(super) fn rule(self, key: &str) -> Option<KeyRule> {
        if self.provider && matches!(key, "configuration" | "config") {
            return Some(KeyRule::KeyNames("provider_configuration"));
        }
        let secret = self.project_secret && matches!(key, "value" | "plaintext");
        secret.then_some(KeyRule::Mask(Cow::Borrowed("project_secret")))
    }
}

/// The letters that the names of an identity provider have, and those of a project secret: some of them, a bit each.
const PROVIDER: u8 = 0b0111;
const SECRET: u8 = 0b1100;

/// Which of those a byte may be, in either case. What is not ASCII may become one, or several, as a small letter.
static LETTERS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match (byte as u8).to_ascii_lowercase() {
            b'i' => 0b0001,
            b'd' => 0b0010,
            b'p' => 0b0100,
            b'j' => 0b1000,
            0x80.. => 0b1111,
            _ => 0,
        };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_context_is_what_the_slow_way_says(word in "[a-zA-Z\u{130}\u{212a} _-]{0,4}(id-?[pP]|I[dD]entity ?Provider|project_?[sS]ecret|\u{130}dp|jpid)?[a-z]{0,3}") {
            let name = crate::redact::keys::normal(&word);
            let (provider, project_secret) = (["idp", "identityprovider"].iter().any(|w| name.contains(w)), name.contains("projectsecret"));
            prop_assert_eq!(Context::of(&word, ""), Context { provider, project_secret });
            prop_assert_eq!(Context::of("", &word), Context { provider, project_secret });
        }
    }
}
