//! The commitment over a record's parts, the 47-byte entry, and its leaf hash.
//!
//! Owns the frozen hashing rules (`docs/formats/entry.md`). Not here: where keys come from (the caller
//! gives them through [`Keys`]) and the tree that leaves go into (`merkle`).

use crate::encode::{PartSlice, RowError, fields, part_text, parts};
use crate::fields::{Field, Part};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// SHA-256 output.
pub type Hash = [u8; 32];
/// Length of an entry in bytes.
pub const ENTRY_LEN: usize = 47;
/// First byte of every entry.
pub const ENTRY_VERSION: u8 = 1;
/// Where the commitment begins in an entry.
pub const COMMITMENT_AT: usize = 10;
const PART_DOMAIN: &[u8] = b"indelible/part/v1";

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// A record.
    Record = 0,
    /// A person's data was erased.
    Erasure = 1,
    /// The signing key changed.
    KeyChange = 2,
    /// The retention setting changed.
    Retention = 3,
    /// Nothing happened, and the ledger is alive.
    Heartbeat = 4,
    /// Something is missing, with its bounds and cause.
    Gap = 5,
}

impl EntryKind {
    /// The kind with this number.
    pub fn from_byte(byte: u8) -> Option<EntryKind> {
        Some(match byte {
            0 => EntryKind::Record,
            1 => EntryKind::Erasure,
            2 => EntryKind::KeyChange,
            3 => EntryKind::Retention,
            4 => EntryKind::Heartbeat,
            5 => EntryKind::Gap,
            _ => return None,
        })
    }
}

/// A salt key made ready: HMAC with its pads already absorbed, so that a salt costs two blocks, not four.
#[derive(Clone)]
pub struct SaltKey(Hmac<Sha256>);

impl SaltKey {
    /// Makes a key ready.
    pub fn new(key: &[u8; 32]) -> SaltKey {
        // HMAC pads a short key with zeros to one block (RFC 2104); doing it here leaves no way to fail.
        let mut block = [0u8; 64];
        block[..32].copy_from_slice(key);
        SaltKey(Hmac::<Sha256>::new(&block.into()))
    }

    fn salt(&self, id: &[u8], ordinal: u16) -> [u8; 16] {
        let mut mac = self.0.clone();
        mac.update(id);
        mac.update(&ordinal.to_be_bytes());
        let full = mac.finalize().into_bytes();
        let mut salt = [0; 16];
        salt.copy_from_slice(&full[..16]);
        salt
    }
}

impl std::fmt::Debug for SaltKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SaltKey(…)")
    }
}

/// Where salt keys come from. One implementation per tenant.
pub trait Keys {
    /// Why a key could not be had.
    type Error;
    /// The tenant's own key.
    fn tenant(&mut self) -> &SaltKey;
    /// The key of the person known as `reference` (see [`person_of`]).
    ///
    /// # Errors
    /// A key that should exist and does not, or storage that failed.
    fn person(&mut self, reference: &str) -> Result<&SaltKey, Self::Error>;
}

/// Why a commitment could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError<E> {
    /// The bytes are not a row.
    #[error(transparent)]
    Row(#[from] RowError),
    /// A key could not be had.
    #[error("{0}")]
    Key(E),
    /// The row has no `id`, which every salt depends on.
    #[error("the row has no id")]
    NoId,
}

/// Whose part this is: a reference made from the part's own fields, or `None` where it names nobody.
///
/// Frozen: of the fields present, the one with the lowest rank (`docs/formats/entry.md`); e-mail addresses and user names in
/// lower case. The prefix keeps an id that looks like an address apart from the address.
pub fn person_of(part: &PartSlice<'_>) -> Option<String> {
    let mut best: Option<(u8, Field, &str)> = None;
    for stored in fields(part.bytes).map_while(Result::ok) {
        let Some(mut rank) = rank(stored.field) else { continue };
        let Some(text) = stored.text().filter(|t| !t.is_empty()) else { continue };
        if rank == NAME && text.contains('@') {
            rank = ADDRESS;
        }
        if best.is_none_or(|(r, ..)| rank < r) {
            best = Some((rank, stored.field, text));
        }
    }
    let (_, field, text) = best?;
    let named = |prefix: &str| {
        let mut reference = String::with_capacity(prefix.len() + text.len());
        reference.push_str(prefix);
        reference.push_str(text);
        reference
    };
    let folded = |prefix: &str| {
        if text.is_ascii() {
            let mut reference = named(prefix);
            reference.make_ascii_lowercase();
            reference
        } else {
            format!("{prefix}{}", text.to_lowercase())
        }
    };
    Some(match field {
        Field::ActorEmail
        | Field::Email
        | Field::NotificationRecipient
        | Field::NotificationCc
        | Field::NotificationBcc => folded("e:"),
        Field::Username => folded("u:"),
        Field::Ip => named("a:"),
        Field::Identifier | Field::ActorName | Field::TargetName | Field::SubjectName if text.contains('@') => {
            folded("e:")
        }
        Field::Identifier | Field::ActorName | Field::TargetName | Field::SubjectName => named("n:"),
        _ => named("i:"),
    })
}

const ADDRESS: u8 = 0;
const NAME: u8 = 9;

/// How well a field says whose part it is: the lowest present wins. Frozen.
fn rank(field: Field) -> Option<u8> {
    Some(match field {
        Field::ActorEmail => 0,
        Field::Email => 1,
        Field::ActorId | Field::TargetId | Field::SubjectId | Field::SessionUserId => 2,
        Field::ActorIdentityId | Field::GrantUserId => 3,
        Field::Username => 4,
        Field::Identifier => 5,
        Field::ActorName => 6,
        Field::Ip => 8,
        // An address here names the person better than an id does: see `ADDRESS`.
        Field::TargetName | Field::SubjectName => NAME,
        Field::NotificationRecipient | Field::NotificationCc | Field::NotificationBcc => 0,
        _ => return None,
    })
}

/// Digest of one part under its salt.
pub fn part_digest(salt: &[u8; 16], bytes: &[u8]) -> Hash {
    let mut h = Sha256::new();
    h.update(PART_DOMAIN);
    h.update(salt);
    h.update(bytes);
    h.finalize().into()
}

/// One opened part: what an outside verifier needs to recompute its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedPart {
    /// The salt.
    pub salt: [u8; 16],
    /// The part's bytes.
    pub bytes: Vec<u8>,
}

/// The commitment over a row, calling `each` with every part, its salt and its digest.
///
/// # Errors
/// [`CommitError`]: not a row, no id, or a key that could not be had.
pub fn commitment_with<K: Keys>(
    row: &[u8],
    keys: &mut K,
    mut each: impl FnMut(&PartSlice<'_>, [u8; 16], Hash),
) -> Result<Hash, CommitError<K::Error>> {
    let id = part_text(row, Field::Id).ok_or(CommitError::NoId)?.as_bytes();
    let mut failed = None;
    let mut root = Root::default();
    // The body and subject of a notification belong to its first addressee.
    let mut first_recipient: Option<String> = None;
    parts(row, |part| {
        if failed.is_some() {
            return;
        }
        let person = person_of(&part);
        if part.part == Part::Recipient && first_recipient.is_none() {
            first_recipient.clone_from(&person);
        }
        let person = match part.part {
            Part::Recipient => person.or_else(|| first_recipient.clone()),
            _ => person,
        };
        let salt = match person {
            None => keys.tenant().salt(id, part.ordinal),
            Some(reference) => match keys.person(&reference) {
                Ok(key) => key.salt(id, part.ordinal),
                Err(e) => {
                    failed = Some(e);
                    return;
                }
            },
        };
        let digest = part_digest(&salt, part.bytes);
        each(&part, salt, digest);
        root.push(digest);
    })?;
    match failed {
        Some(e) => Err(CommitError::Key(e)),
        None => Ok(root.finish()),
    }
}

/// The commitment over a row.
///
/// # Errors
/// As [`commitment_with`].
pub fn commitment<K: Keys>(row: &[u8], keys: &mut K) -> Result<Hash, CommitError<K::Error>> {
    commitment_with(row, keys, |_, _, _| {})
}

/// The RFC 6962 root over part digests, for verifiers that hold the digests.
pub fn commitment_of(digests: impl IntoIterator<Item = Hash>) -> Hash {
    let mut root = Root::default();
    for d in digests {
        root.push(d);
    }
    root.finish()
}

/// RFC 6962 tree over a handful of digests. `merkle` has the real tree; this crate may not depend on it
/// (the leaf encoding stands alone), and four lines of hashing are all it needs.
#[derive(Default)]
struct Root {
    /// Roots of the complete subtrees, by height: that of height `h` counts where bit `h` of `parts` is set.
    subtrees: Vec<Hash>,
    /// Digests so far.
    parts: u64,
}

impl Root {
    fn push(&mut self, digest: Hash) {
        let mut node = Sha256::new().chain_update([0]).chain_update(digest).finalize().into();
        let mut height = 0;
        while self.parts >> height & 1 == 1
            && let Some(left) = self.subtrees.get(height)
        {
            node = Self::node(left, &node);
            height += 1;
        }
        match self.subtrees.get_mut(height) {
            Some(place) => *place = node,
            None => self.subtrees.push(node),
        }
        self.parts += 1;
    }

    fn node(left: &Hash, right: &Hash) -> Hash {
        Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
    }

    fn finish(self) -> Hash {
        let complete = self.subtrees.iter().enumerate().filter(|(height, _)| self.parts >> height & 1 == 1);
        complete
            .fold(None, |right, (_, left)| Some(right.map_or(*left, |right| Self::node(left, &right))))
            .unwrap_or_else(|| Sha256::digest([]).into())
    }
}

/// The entry: 47 bytes in the tlog-addenda layout, one digest at offset 10.
pub fn entry(kind: EntryKind, recorded_at: i64, commitment: &Hash) -> [u8; ENTRY_LEN] {
    let mut out = [0; ENTRY_LEN];
    out[0] = ENTRY_VERSION;
    out[1] = kind as u8;
    out[2..10].copy_from_slice(&(recorded_at.max(0) as u64).to_be_bytes());
    out[10..42].copy_from_slice(commitment);
    out[42..46].copy_from_slice(&(COMMITMENT_AT as u32).to_be_bytes());
    out[46] = 1;
    out
}

/// The leaf hash of an entry: `SHA-256(0x00 | entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::put;

    struct Fixed(SaltKey);
    impl Keys for Fixed {
        type Error = std::convert::Infallible;
        fn tenant(&mut self) -> &SaltKey {
            &self.0
        }
        fn person(&mut self, reference: &str) -> Result<&SaltKey, Self::Error> {
            self.0 = SaltKey::new(&Sha256::digest(reference).into());
            Ok(&self.0)
        }
    }

    fn row() -> Vec<u8> {
        let mut r = Vec::new();
        put(&mut r, Field::Id, b"01");
        put(&mut r, Field::Action, b"login");
        put(&mut r, Field::ActorEmail, b"Ann@Example.org");
        put(&mut r, Field::TargetId, b"t1");
        r
    }

    #[test]
    fn golden_commitment_and_leaf() {
        // Frozen: made by this encoder once, and independently by the script in docs/formats/entry.md.
        let c = commitment(&row(), &mut Fixed(SaltKey::new(&[7; 32]))).unwrap();
        let e = entry(EntryKind::Record, 1_700_000_000_000_000, &c);
        assert_eq!(hex(&c), include_str!("../tests/golden/commitment.hex").trim());
        assert_eq!(hex(&leaf_hash(&e)), include_str!("../tests/golden/leaf.hex").trim());
    }

    #[test]
    fn every_byte_of_the_row_counts() {
        let base = row();
        let root = |r: &[u8]| commitment(r, &mut Fixed(SaltKey::new(&[7; 32]))).ok();
        let want = root(&base);
        for i in 0..base.len() {
            let mut changed = base.clone();
            changed[i] ^= 1;
            assert_ne!(root(&changed), want, "byte {i}");
        }
    }

    #[test]
    fn the_root_is_rfc_6962() {
        let digests: Vec<Hash> = (0..9u8).map(|i| [i; 32]).collect();
        fn naive(d: &[Hash]) -> Hash {
            match d.len() {
                0 => Sha256::digest([]).into(),
                1 => Sha256::new().chain_update([0]).chain_update(d[0]).finalize().into(),
                n => {
                    let k = n.next_power_of_two() / 2;
                    Root::node(&naive(&d[..k]), &naive(&d[k..]))
                }
            }
        }
        for n in 0..=digests.len() {
            assert_eq!(commitment_of(digests[..n].iter().copied()), naive(&digests[..n]));
        }
    }

    #[test]
    fn a_persons_reference_ignores_the_case_of_the_address() {
        let mut r = Vec::new();
        put(&mut r, Field::ActorEmail, b"Ann@Example.org");
        let p = PartSlice { part: Part::Actor, ordinal: 0, bytes: &r };
        assert_eq!(person_of(&p).as_deref(), Some("e:ann@example.org"));
    }

    fn hex(b: &[u8]) -> String {
        b.iter().map(|b| format!("{b:02x}")).collect()
    }
}
