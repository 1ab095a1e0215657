//! The commitment over a record's parts, the 47-byte entry, and its leaf hash.
//!
//! Owns the frozen hashing rules (`docs/formats/entry.md`). Not here: where keys come from (the caller
//! gives them through [`Keys`]) and the tree that leaves go into (`merkle`).

mod many;

pub use many::commitments;
pub use sha::Hash;

use crate::encode::{PartSlice, RowError, Stored, Visit, fields, walk};
use crate::fields::{COUNT, FIELDS, Field, Part};
use sha::{BLOCK, START, State, after, bytes_of, finish, sha256, short};

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

/// A salt key made ready: HMAC-SHA-256 (RFC 2104) with both pads already absorbed, so that a salt costs two blocks,
/// not four. Two bare states are a third of the size of two hashers with their buffers, and thousands are remembered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SaltKey {
    inner: State,
    outer: State,
}

impl SaltKey {
    /// Makes a key ready.
    pub fn new(key: &[u8; 32]) -> SaltKey {
        let padded = |pad: u8| {
            let mut block = [pad; BLOCK];
            for (out, byte) in block.iter_mut().zip(key) {
                *out ^= byte;
            }
            after(START, &block)
        };
        SaltKey { inner: padded(0x36), outer: padded(0x5c) }
    }

    fn salt(&self, id: &[u8], ordinal: u16) -> [u8; 16] {
        let inner = finish(self.inner, BLOCK, &[id, &ordinal.to_be_bytes()]);
        salt_of(short(self.outer, BLOCK, &bytes_of(inner)))
    }
}

/// A salt is the beginning of the HMAC.
fn salt_of(full: State) -> [u8; 16] {
    let mut salt = [0; 16];
    salt.copy_from_slice(&bytes_of(full)[..16]);
    salt
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
    fn person(&mut self, reference: &str) -> Result<SaltKey, Self::Error>;
    /// This person's key is going to be asked for: where it lies far away in memory, it can be on its way.
    fn prefetch(&mut self, reference: &str) {
        let _ = reference;
    }
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
    let mut whose = Whose::default();
    fields(part.bytes).map_while(Result::ok).for_each(|stored| whose.field(&stored));
    let mut reference = String::new();
    whose.reference(part, &mut reference).then_some(reference)
}

/// The field of a part that says best whose it is, found as its fields go by.
#[derive(Default)]
struct Whose<'a>(Option<(u8, Field, &'a [u8])>);

impl<'a> Whose<'a> {
    #[inline]
    fn field(&mut self, stored: &Stored<'a>) {
        let mut rank = RANKS.get(stored.field as usize).copied().unwrap_or(NOBODY);
        if rank == NOBODY || stored.value.is_empty() {
            return;
        }
        if rank == NAME && stored.value.contains(&b'@') {
            rank = ADDRESS;
        }
        if self.0.is_none_or(|(best, ..)| rank < best) {
            self.0 = Some((rank, stored.field, stored.value));
        }
    }

    /// Writes the reference into a buffer that is used again; `false` where the part names nobody.
    fn reference(&self, part: &PartSlice<'a>, reference: &mut String) -> bool {
        let Some((_, field, value)) = self.0 else { return false };
        if let Ok(text) = std::str::from_utf8(value) {
            write_reference(field, text, reference);
            return true;
        }
        // What is no text names nobody. No row that was sealed has such a field, so it is looked for only now.
        let mut texts = Whose::default();
        let sound = |stored: &Stored<'_>| stored.text().is_some();
        fields(part.bytes).map_while(Result::ok).filter(sound).for_each(|stored| texts.field(&stored));
        texts.0.is_some() && texts.reference(part, reference)
    }
}

fn write_reference(field: Field, text: &str, reference: &mut String) {
    let (prefix, folds) = match field {
        Field::ActorEmail
        | Field::Email
        | Field::NotificationRecipient
        | Field::NotificationCc
        | Field::NotificationBcc => ("e:", true),
        Field::Username => ("u:", true),
        Field::Ip => ("a:", false),
        Field::Identifier | Field::ActorName | Field::TargetName | Field::SubjectName if text.contains('@') => {
            ("e:", true)
        }
        Field::Identifier | Field::ActorName | Field::TargetName | Field::SubjectName => ("n:", false),
        _ => ("i:", false),
    };
    reference.clear();
    reference.push_str(prefix);
    if folds && !text.is_ascii() {
        reference.push_str(&text.to_lowercase());
    } else {
        reference.push_str(text);
        if folds {
            reference.make_ascii_lowercase();
        }
    }
}

const ADDRESS: u8 = 0;
const NAME: u8 = 9;
const NOBODY: u8 = u8::MAX;

/// How well a field says whose part it is: the lowest present wins. Frozen.
const fn rank(field: Field) -> u8 {
    match field {
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
        _ => NOBODY,
    }
}

/// [`rank`] by field.
const RANKS: [u8; COUNT] = {
    let mut ranks = [NOBODY; COUNT];
    let mut n = 0;
    while n < COUNT {
        ranks[n] = rank(FIELDS[n].field);
        n += 1;
    }
    ranks
};

/// Digest of one part under its salt.
pub fn part_digest(salt: &[u8; 16], bytes: &[u8]) -> Hash {
    sha256(&[PART_DOMAIN, salt, bytes])
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
    let mut root = Root::default();
    keyed(row, &mut String::new(), |part, id, person| {
        let key = match person {
            None => *keys.tenant(),
            Some(reference) => keys.person(reference)?,
        };
        let salt = key.salt(id, part.ordinal);
        let digest = part_digest(&salt, part.bytes);
        each(&part, salt, digest);
        root.push(digest);
        Ok(())
    })?;
    Ok(root.finish())
}

/// Calls `each` with every part of a row, the record's id, and the reference of the person whose key its salt is made with; without
/// one it is the tenant's. References are written into `reference`, one after the other.
#[inline]
fn keyed<'a, E>(
    row: &'a [u8],
    reference: &mut String,
    each: impl FnMut(PartSlice<'a>, &'a [u8], Option<&str>) -> Result<(), E>,
) -> Result<(), CommitError<E>> {
    let mut keyed = Keyed { each, id: &[], whose: Whose::default(), first_recipient: None, reference, failed: None };
    walk(row, &mut keyed)?;
    match keyed.failed {
        _ if keyed.id.is_empty() => Err(CommitError::NoId),
        Some(e) => Err(CommitError::Key(e)),
        None => Ok(()),
    }
}

/// Finds whose key each part is salted with.
struct Keyed<'a, 'r, F, E> {
    each: F,
    id: &'a [u8],
    whose: Whose<'a>,
    /// The body and subject of a notification belong to its first addressee.
    first_recipient: Option<String>,
    reference: &'r mut String,
    failed: Option<E>,
}

impl<'a, E, F: FnMut(PartSlice<'a>, &'a [u8], Option<&str>) -> Result<(), E>> Visit<'a> for Keyed<'a, '_, F, E> {
    #[inline]
    fn field(&mut self, stored: &Stored<'a>) {
        if stored.field == Field::Id {
            self.id = stored.text().unwrap_or_default().as_bytes();
        } else {
            self.whose.field(stored);
        }
    }

    fn part(&mut self, part: PartSlice<'a>) {
        let whose = std::mem::take(&mut self.whose);
        // The id is the first field of all.
        if self.failed.is_some() || self.id.is_empty() {
            return;
        }
        let mut person = whose.reference(&part, self.reference).then_some(self.reference.as_str());
        if part.part == Part::Recipient {
            if self.first_recipient.is_none() {
                self.first_recipient = person.map(str::to_owned);
            }
            person = person.or(self.first_recipient.as_deref());
        }
        self.failed = (self.each)(part, self.id, person).err();
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
        let mut node = bytes_of(short(START, 0, &leaf_message(&digest)));
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
        bytes_of(short(START, 0, &node_message(left, right)))
    }

    fn finish(self) -> Hash {
        let complete = self.subtrees.iter().enumerate().filter(|(height, _)| self.parts >> height & 1 == 1);
        complete
            .fold(None, |right, (_, left)| Some(right.map_or(*left, |right| Self::node(left, &right))))
            .unwrap_or_else(|| sha256(&[]))
    }
}

/// What is hashed for a leaf of that tree.
fn leaf_message(digest: &Hash) -> [u8; 33] {
    let mut leaf = [0; 33];
    leaf[1..].copy_from_slice(digest);
    leaf
}

/// What is hashed for a node of it.
fn node_message(left: &Hash, right: &Hash) -> [u8; 65] {
    let mut node = [1; 65];
    node[1..33].copy_from_slice(left);
    node[33..].copy_from_slice(right);
    node
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
    sha256(&[&[0], entry])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::put;
    use sha2::{Digest, Sha256};

    struct Fixed(SaltKey);
    impl Keys for Fixed {
        type Error = std::convert::Infallible;
        fn tenant(&mut self) -> &SaltKey {
            &self.0
        }
        fn person(&mut self, reference: &str) -> Result<SaltKey, Self::Error> {
            Ok(SaltKey::new(&Sha256::digest(reference).into()))
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

    proptest::proptest! {
        #[test]
        fn what_is_no_text_names_nobody(values in proptest::collection::vec(proptest::option::of("[a@]{0,3}"), 4)) {
            let named = [Field::ActorId, Field::ActorName, Field::ActorEmail, Field::Username];
            let (mut row, mut texts) = (Vec::new(), Vec::new());
            for (field, value) in named.iter().zip(&values) {
                put(&mut row, *field, value.as_ref().map_or(&[0xff, b'@'], |text| text.as_bytes()));
                if let Some(text) = value {
                    put(&mut texts, *field, text.as_bytes());
                }
            }
            let of = |bytes: &[u8]| person_of(&PartSlice { part: Part::Actor, ordinal: 0, bytes });
            proptest::prop_assert_eq!(of(&row), of(&texts));
        }

        #[test]
        fn a_salt_is_the_beginning_of_an_hmac(key: [u8; 32], id in proptest::collection::vec(0u8.., 0..200), ordinal: u16) {
            use hmac::{Hmac, KeyInit, Mac};
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            mac.update(&id);
            mac.update(&ordinal.to_be_bytes());
            let full = mac.finalize().into_bytes();
            proptest::prop_assert_eq!(&SaltKey::new(&key).salt(&id, ordinal)[..], &full[..16]);
        }
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
