//! C2SP signed-note: a text and the signature lines under it.
//!
//! Owns the note grammar and the verdict over its signatures; the keys are in `note/key.rs`. Does not know what the
//! text says: see [`crate::checkpoint`].
//!
//! ```text
//! text, ending in a newline
//!
//! — key.name base64(key ID, signature)
//! ```
//!
//! Stricter than Go's `sumdb/note` in two points: base64 must be canonical, and *every* line of a known key must
//! verify (Go looks at the first one only).

mod key;

use std::fmt;

pub use key::{CosigningKey, KeyError, KeyKind, SigningKey, VerifyingKey};

use crate::encoding::{base64, unbase64};

/// The most signature lines a note may have; Go refuses more as well.
pub const MAX_SIGNATURES: usize = 100;

const PREFIX: &str = "— ";

/// Why a note is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not UTF-8.
    #[error("note is not UTF-8")]
    NotUtf8,
    /// A control character other than newline.
    #[error("note holds a control character")]
    ControlCharacter,
    /// The text does not end in a newline.
    #[error("note text does not end in a newline")]
    UnfinishedText,
    /// No empty line, no line under it, or a last line without a newline.
    #[error("note has no complete signature block")]
    NoSignatureBlock,
    /// A line of the signature block is not a signature line.
    #[error("signature line {line} is malformed")]
    BadSignatureLine {
        /// Line number within the signature block, from 1.
        line: usize,
    },
    /// More than [`MAX_SIGNATURES`] signature lines.
    #[error("note has more than 100 signatures")]
    TooManySignatures,
    /// Two different known keys share a name and key ID, so a line cannot be told to be of either.
    #[error("two known keys are named {name} with key ID {key_id:08x}")]
    AmbiguousKey {
        /// Name of both keys.
        name: String,
        /// Key ID of both keys.
        key_id: u32,
    },
    /// A line claims to be of a known key but does not verify.
    #[error("signature of {name} with key ID {key_id:08x} does not verify")]
    InvalidSignature {
        /// Name of the key.
        name: String,
        /// Its key ID.
        key_id: u32,
    },
    /// No line is of a known key.
    #[error("note has no signature of a known key")]
    Unsigned,
    /// A cosignature time of 0 or above 2^63 - 1.
    #[error("{0} is not a cosignature time")]
    BadTime(u64),
}

/// One signature line, not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureLine {
    name: String,
    key_id: u32,
    signature: Vec<u8>,
}

impl SignatureLine {
    /// The key name on the line.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key ID on the line.
    pub fn key_id(&self) -> u32 {
        self.key_id
    }

    /// The signature after the key ID; for a cosignature it begins with the 8-byte time.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Reads one line, without its newline.
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(PREFIX)?.split_once(' ')?;
        let bytes = unbase64(encoded)?;
        let (key_id, signature) = bytes.split_first_chunk::<4>()?;
        if signature.is_empty() || !key::is_name(name) {
            return None;
        }
        Some(Self { name: name.to_owned(), key_id: u32::from_be_bytes(*key_id), signature: signature.to_vec() })
    }
}

impl fmt::Display for SignatureLine {
    /// The line without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.key_id.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.signature);
        write!(f, "{PREFIX}{} {}", self.name, base64(&bytes))
    }
}

/// A note that is well formed; nothing is known about its signatures until [`Note::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

/// A signature that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Name of the key.
    pub name: String,
    /// Its key ID.
    pub key_id: u32,
    /// What the signature means.
    pub kind: KeyKind,
    /// For a cosignature, its time in seconds since 1970.
    pub time: Option<u64>,
}

/// What [`open`] vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The signed text, ending in a newline.
    pub text: String,
    /// The verified signatures in the order of their lines, one per key; never empty.
    pub verified: Vec<Verified>,
    /// Lines of keys that are not known; they say nothing.
    pub ignored: usize,
}

impl Note {
    /// A note without signatures yet.
    ///
    /// # Errors
    ///
    /// If the text does not end in a newline or holds another control character.
    pub fn new(text: impl Into<String>) -> Result<Self, NoteError> {
        let text = text.into();
        check_text(&text)?;
        Ok(Self { text, signatures: Vec::new() })
    }

    /// Reads a note. The text is everything before the *last* empty line.
    ///
    /// # Errors
    ///
    /// If the bytes are not a well-formed note with at least one signature line.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::NotUtf8)?;
        check_characters(note)?;
        let (before, block) = note.rsplit_once("\n\n").ok_or(NoteError::NoSignatureBlock)?;
        let block = block.strip_suffix('\n').ok_or(NoteError::NoSignatureBlock)?;
        let mut signatures = Vec::new();
        for line in block.split('\n') {
            if signatures.len() == MAX_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            let bad = NoteError::BadSignatureLine { line: signatures.len() + 1 };
            signatures.push(SignatureLine::parse(line).ok_or(bad)?);
        }
        Ok(Self { text: format!("{before}\n"), signatures })
    }

    /// The signed text, ending in a newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, verified or not.
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// Adds a signature line, in place of one of the same key if there is one.
    ///
    /// # Errors
    ///
    /// If the note would have more than [`MAX_SIGNATURES`].
    pub fn add(&mut self, line: SignatureLine) -> Result<(), NoteError> {
        let same = |other: &&mut SignatureLine| other.name == line.name && other.key_id == line.key_id;
        if let Some(old) = self.signatures.iter_mut().find(same) {
            *old = line;
        } else if self.signatures.len() < MAX_SIGNATURES {
            self.signatures.push(line);
        } else {
            return Err(NoteError::TooManySignatures);
        }
        Ok(())
    }

    /// Verifies the lines of known keys and ignores the others.
    ///
    /// # Errors
    ///
    /// If any line of a known key does not verify, no line is of a known key, or two different known keys cannot
    /// be told apart.
    pub fn verify(&self, known: &[VerifyingKey]) -> Result<Opened, NoteError> {
        let mut verified: Vec<Verified> = Vec::new();
        let mut ignored = 0;
        for line in &self.signatures {
            let Some(key) = find_key(known, line)? else {
                ignored += 1;
                continue;
            };
            let invalid = || NoteError::InvalidSignature { name: line.name.clone(), key_id: line.key_id };
            let found = key.verify(&self.text, line).ok_or_else(invalid)?;
            if !verified.iter().any(|other| other.name == found.name && other.key_id == found.key_id) {
                verified.push(found);
            }
        }
        if verified.is_empty() {
            return Err(NoteError::Unsigned);
        }
        Ok(Opened { text: self.text.clone(), verified, ignored })
    }
}

impl fmt::Display for Note {
    /// The note as it is sent. Without any signature the result is not a note that [`Note::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Signs a text with the given keys, in their order, and gives the whole note.
///
/// # Errors
///
/// If the text does not end in a newline or holds another control character, or there are more than
/// [`MAX_SIGNATURES`] keys.
pub fn sign(text: &str, keys: &[&SigningKey]) -> Result<String, NoteError> {
    let mut note = Note::new(text)?;
    for key in keys {
        note.add(key.sign(text)?)?;
    }
    Ok(note.to_string())
}

/// Reads a note and verifies it: [`Note::parse`], then [`Note::verify`].
///
/// # Errors
///
/// As these two.
pub fn open(note: impl AsRef<[u8]>, known: &[VerifyingKey]) -> Result<Opened, NoteError> {
    Note::parse(note.as_ref())?.verify(known)
}

/// The one known key of the line's name and key ID.
fn find_key<'k>(known: &'k [VerifyingKey], line: &SignatureLine) -> Result<Option<&'k VerifyingKey>, NoteError> {
    let mut matching = known.iter().filter(|key| key.name() == line.name && key.key_id() == line.key_id);
    let Some(key) = matching.next() else {
        return Ok(None);
    };
    if matching.any(|other| other != key) {
        return Err(NoteError::AmbiguousKey { name: line.name.clone(), key_id: line.key_id });
    }
    Ok(Some(key))
}

fn check_text(text: &str) -> Result<(), NoteError> {
    check_characters(text)?;
    if text.ends_with('\n') { Ok(()) } else { Err(NoteError::UnfinishedText) }
}

/// UTF-8 has no byte below 0x20 other than the control characters themselves.
fn check_characters(text: &str) -> Result<(), NoteError> {
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(NoteError::ControlCharacter);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
