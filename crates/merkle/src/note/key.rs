//! Note keys: Ed25519 log keys (type 0x01) and cosignature/v1 witness keys (type 0x04).
//!
//! Owns key names, key IDs and the text forms of keys. Secrets are held, never printed except by
//! [`SigningKey::to_private_text`], and are never made here: seeds come from the caller.

use std::fmt;

use ed25519_dalek::Signer as _;
use sha2::{Digest as _, Sha256};

use super::{NoteError, SignatureLine, Verified, check_text};
use crate::encoding::{base64, unbase64};

/// What the signatures of a key mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Type 0x01: Ed25519 over the note text; a log's own signature.
    Ed25519,
    /// Type 0x04: Ed25519 over a time and the note text; a witness saw this as the largest consistent tree.
    CosignatureV1,
}

impl KeyKind {
    fn type_byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureV1 => 0x04,
        }
    }
}

/// Why a key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name is empty or holds white space, a control character or `+`.
    #[error("key name is empty or holds white space, a control character or +")]
    BadName,
    /// Not `<name>+<8 hex digits>+<base64>`.
    #[error("key is not of the form name+hash+base64")]
    Malformed,
    /// A key type that this crate does not verify.
    #[error("key type 0x{0:02x} is not supported")]
    UnsupportedType(u8),
    /// The key is not 32 bytes, or not a point of the curve.
    #[error("key is not an Ed25519 key")]
    BadKey,
    /// The key ID does not belong to the name and key.
    #[error("key ID is {got:08x}, the key has {want:08x}")]
    WrongKeyId {
        /// The key ID that the name and key have.
        want: u32,
        /// The key ID given.
        got: u32,
    },
}

/// A public key with its name.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    key_id: u32,
    kind: KeyKind,
    key: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    /// A key from its raw 32 bytes.
    ///
    /// # Errors
    ///
    /// If the name is not a key name or the bytes are not a curve point.
    pub fn new(name: &str, kind: KeyKind, public: &[u8; 32]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::BadName);
        }
        let key = ed25519_dalek::VerifyingKey::from_bytes(public).map_err(|_| KeyError::BadKey)?;
        Ok(Self { name: name.to_owned(), key_id: key_id(name, kind, public), kind, key })
    }

    /// Reads a vkey: `<name>+<8 hex key ID>+<base64(type || public key)>`.
    ///
    /// # Errors
    ///
    /// If it is malformed, of an unsupported type, or its key ID is not that of its name and key.
    pub fn parse(vkey: &str) -> Result<Self, KeyError> {
        let (name, got, kind, public) = split_key(vkey)?;
        let key = Self::new(name, kind, &public)?;
        check_id(key.key_id, got)?;
        Ok(key)
    }

    /// The key's vkey text, as [`VerifyingKey::parse`] reads it.
    pub fn vkey(&self) -> String {
        key_text(&self.name, self.key_id, self.kind, self.key.as_bytes())
    }

    /// The key name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key ID: the first four bytes of `SHA-256(name || 0x0A || type || public key)`, big-endian.
    pub fn key_id(&self) -> u32 {
        self.key_id
    }

    /// What the key's signatures mean.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The raw public key.
    pub fn public_key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Checks a line that is already known to carry this key's name and ID.
    pub(super) fn verify(&self, text: &str, line: &SignatureLine) -> Option<Verified> {
        let time = match self.kind {
            KeyKind::Ed25519 => {
                self.verify_bytes(text.as_bytes(), &line.signature)?;
                None
            }
            KeyKind::CosignatureV1 => {
                let (time, signature) = line.signature.split_first_chunk::<8>()?;
                let time = u64::from_be_bytes(*time);
                let message = cosigned_message(text, time).ok()?;
                self.verify_bytes(message.as_bytes(), signature)?;
                Some(time)
            }
        };
        Some(Verified { name: self.name.clone(), key_id: self.key_id, kind: self.kind, time })
    }

    fn verify_bytes(&self, message: &[u8], signature: &[u8]) -> Option<()> {
        let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
        // Strict: refuses keys and points of small order, which would verify more than one message.
        self.key.verify_strict(message, &signature).ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.vkey())
    }
}

/// A log's Ed25519 key (type 0x01). Cloning copies the secret; both copies are wiped when dropped.
#[derive(Clone)]
pub struct SigningKey {
    secret: ed25519_dalek::SigningKey,
    public: VerifyingKey,
}

impl SigningKey {
    /// A key from its name and 32-byte seed.
    ///
    /// # Errors
    ///
    /// If the name is not a key name.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let (secret, public) = key_pair(name, KeyKind::Ed25519, seed)?;
        Ok(Self { secret, public })
    }

    /// Reads Go's private form: `PRIVATE+KEY+<name>+<8 hex key ID>+<base64(type || seed)>`.
    ///
    /// # Errors
    ///
    /// If it is malformed, not of type 0x01, or its key ID is not that of its name and key.
    pub fn parse_private_text(text: &str) -> Result<Self, KeyError> {
        let rest = text.strip_prefix("PRIVATE+KEY+").ok_or(KeyError::Malformed)?;
        let (name, got, kind, seed) = split_key(rest)?;
        if kind != KeyKind::Ed25519 {
            return Err(KeyError::UnsupportedType(kind.type_byte()));
        }
        let key = Self::new(name, &seed)?;
        check_id(key.key_id(), got)?;
        Ok(key)
    }

    /// Go's private form of the key. This is the secret itself: for a key file, never for a log line.
    pub fn to_private_text(&self) -> String {
        let text = key_text(self.name(), self.key_id(), KeyKind::Ed25519, self.secret.as_bytes());
        format!("PRIVATE+KEY+{text}")
    }

    /// The public half.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// The public half as vkey text.
    pub fn vkey(&self) -> String {
        self.public.vkey()
    }

    /// The key name.
    pub fn name(&self) -> &str {
        self.public.name()
    }

    /// The key ID (see [`VerifyingKey::key_id`]).
    pub fn key_id(&self) -> u32 {
        self.public.key_id()
    }

    /// Signs a note text and gives the line to put under it.
    ///
    /// # Errors
    ///
    /// If the text cannot be a note text.
    pub fn sign(&self, text: &str) -> Result<SignatureLine, NoteError> {
        check_text(text)?;
        let signature = self.secret.sign(text.as_bytes()).to_bytes().to_vec();
        Ok(SignatureLine { name: self.name().to_owned(), key_id: self.key_id(), signature })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.vkey())
    }
}

/// A witness's cosignature/v1 key (type 0x04). Cloning copies the secret; both copies are wiped when dropped.
#[derive(Clone)]
pub struct CosigningKey {
    secret: ed25519_dalek::SigningKey,
    public: VerifyingKey,
}

impl CosigningKey {
    /// A key from its name and 32-byte seed.
    ///
    /// # Errors
    ///
    /// If the name is not a key name.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let (secret, public) = key_pair(name, KeyKind::CosignatureV1, seed)?;
        Ok(Self { secret, public })
    }

    /// The public half.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// The public half as vkey text.
    pub fn vkey(&self) -> String {
        self.public.vkey()
    }

    /// Cosigns a checkpoint text as of `time`, seconds since 1970.
    ///
    /// # Errors
    ///
    /// If the text cannot be a note text, or the time is 0 or above 2^63 - 1.
    pub fn cosign(&self, text: &str, time: u64) -> Result<SignatureLine, NoteError> {
        check_text(text)?;
        let message = cosigned_message(text, time)?;
        let mut signature = time.to_be_bytes().to_vec();
        signature.extend_from_slice(&self.secret.sign(message.as_bytes()).to_bytes());
        Ok(SignatureLine { name: self.public.name.clone(), key_id: self.public.key_id, signature })
    }
}

impl fmt::Debug for CosigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CosigningKey({})", self.vkey())
    }
}

/// Whether the text can be a key name.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+' || c < ' ')
}

fn cosigned_message(text: &str, time: u64) -> Result<String, NoteError> {
    if time == 0 || time > i64::MAX as u64 {
        return Err(NoteError::BadTime(time));
    }
    Ok(format!("cosignature/v1\ntime {time}\n{text}"))
}

fn key_pair(name: &str, kind: KeyKind, seed: &[u8; 32]) -> Result<(ed25519_dalek::SigningKey, VerifyingKey), KeyError> {
    let secret = ed25519_dalek::SigningKey::from_bytes(seed);
    let public = VerifyingKey::new(name, kind, secret.verifying_key().as_bytes())?;
    Ok((secret, public))
}

fn key_id(name: &str, kind: KeyKind, public: &[u8; 32]) -> u32 {
    let mut hasher = Sha256::new();
    hasher.update(name);
    hasher.update([b'\n', kind.type_byte()]);
    hasher.update(public);
    let digest: [u8; 32] = hasher.finalize().into();
    let [a, b, c, d, ..] = digest;
    u32::from_be_bytes([a, b, c, d])
}

fn check_id(want: u32, got: u32) -> Result<(), KeyError> {
    if want == got { Ok(()) } else { Err(KeyError::WrongKeyId { want, got }) }
}

fn key_text(name: &str, key_id: u32, kind: KeyKind, key: &[u8; 32]) -> String {
    let mut bytes = vec![kind.type_byte()];
    bytes.extend_from_slice(key);
    format!("{name}+{key_id:08x}+{}", base64(&bytes))
}

/// Splits `<name>+<8 hex>+<base64(type || 32 bytes)>`. Base64 itself may hold `+`, names may not.
fn split_key(text: &str) -> Result<(&str, u32, KeyKind, [u8; 32]), KeyError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(hex), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(KeyError::Malformed);
    };
    if hex.len() != 8 || !hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
        return Err(KeyError::Malformed);
    }
    let id = u32::from_str_radix(hex, 16).map_err(|_| KeyError::Malformed)?;
    let bytes = unbase64(encoded).ok_or(KeyError::Malformed)?;
    let (kind, key) = bytes.split_first().ok_or(KeyError::Malformed)?;
    let kind = match kind {
        0x01 => KeyKind::Ed25519,
        0x04 => KeyKind::CosignatureV1,
        other => return Err(KeyError::UnsupportedType(*other)),
    };
    let key = key.try_into().map_err(|_| KeyError::BadKey)?;
    Ok((name, id, kind, key))
}

#[cfg(test)]
impl VerifyingKey {
    /// The key of `self` under the name and ID of another: what a 32-bit clash would look like.
    pub(super) fn with_identity_of(key: &Self, other: &Self) -> Self {
        Self { name: other.name.clone(), key_id: other.key_id, ..key.clone() }
    }
}
