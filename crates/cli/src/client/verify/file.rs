//! The check of one saved `…/proof` answer, offline.
//!
//! Owns the chain from the record shown to the signed checkpoint: record = parts, parts → digests → commitment → entry →
//! leaf → root → signature. The first two steps are in `parts`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use event::commit::{COMMITMENT_AT, EntryKind, commitment_of, part_digest};
use merkle::leaf_hash;
use merkle::note::VerifyingKey;
use merkle::tlog_proof::TlogProof;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{entry, parts};
use crate::client::{Failure, hex};

/// A `…/proof` answer. Unknown members are left alone: nothing is concluded from them.
#[derive(Deserialize)]
struct Saved {
    record: Map<String, Value>,
    entry: String,
    index: u64,
    tlog_proof: String,
    #[serde(default)]
    vkey: Option<String>,
    parts: Vec<SavedPart>,
}

/// A part of the record: opened (salt and bytes), or only its digest where it was erased or is withheld.
#[derive(Deserialize)]
struct SavedPart {
    #[serde(default)]
    name: String,
    #[serde(default)]
    salt: Option<String>,
    #[serde(default)]
    bytes: Option<String>,
    #[serde(default)]
    digest: Option<String>,
}

/// What a check found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The record's id.
    pub id: String,
    /// Its place in the ledger.
    pub index: u64,
    /// When it was sealed, microseconds.
    pub recorded_at: i64,
    /// Name and size of the ledger that the checkpoint speaks of.
    pub origin: String,
    /// Entries in that ledger.
    pub size: u64,
    /// Fields compared with the record.
    pub fields: usize,
    /// Parts of which only the digest is given.
    pub closed: usize,
    /// The key that signed.
    pub vkey: String,
}

impl Checked {
    /// What was checked, in one sentence.
    pub fn sentence(&self) -> String {
        let closed = match self.closed {
            0 => String::new(),
            n => format!(" ({n} of its parts erased or withheld, proved by digest only)"),
        };
        format!(
            "the {} fields of record {} are what was sealed at {} as entry {}{closed}, one of the {} entries that {} signed for with {}",
            self.fields,
            self.id,
            event::time::format(self.recorded_at),
            self.index,
            self.size,
            self.origin,
            self.vkey
        )
    }
}

fn wrong(what: impl Into<String>) -> Failure {
    Failure::integrity(what)
}

fn unbase64(name: &str, text: &str) -> Result<Vec<u8>, Failure> {
    STANDARD.decode(text).map_err(|e| wrong(format!("{name} is not base64: {e}")))
}

/// Checks a saved proof, with this key or else with the one that the file names.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(text: &str, pinned: Option<&VerifyingKey>) -> Result<Checked, Failure> {
    let saved: Saved =
        serde_json::from_str(text).map_err(|e| wrong(format!("the file is not a proof of a record: {e}")))?;
    let key = match (pinned, &saved.vkey) {
        (Some(key), _) => key.clone(),
        (None, Some(text)) => {
            VerifyingKey::parse(text.trim()).map_err(|e| wrong(format!("the file's vkey is unusable: {e}")))?
        }
        (None, None) => return Err(Failure::other("the file names no vkey; give the ledger's with --vkey")),
    };

    let mut rows: Vec<parts::NamedPart> = Vec::new();
    let mut digests = Vec::new();
    for (n, part) in saved.parts.into_iter().enumerate() {
        let name = format!("part {n} ({})", part.name);
        match (&part.salt, &part.bytes, &part.digest) {
            (Some(salt), Some(bytes), _) => {
                let salt = unbase64(&format!("the salt of {name}"), salt)?;
                let salt = salt.try_into().map_err(|_| wrong(format!("the salt of {name} is not 16 bytes")))?;
                let bytes = unbase64(&name, bytes)?;
                digests.push(part_digest(&salt, &bytes));
                rows.push((part.name, Some(bytes)));
            }
            (None, None, Some(digest)) => {
                let digest = unbase64(&format!("the digest of {name}"), digest)?;
                digests.push(digest.try_into().map_err(|_| wrong(format!("the digest of {name} is not 32 bytes")))?);
                rows.push((part.name, None));
            }
            _ => return Err(wrong(format!("{name} has neither salt and bytes nor a digest"))),
        }
    }
    let bytes = unbase64("the entry", &saved.entry)?;
    let recorded_at = entry::read_entry(&bytes).map_err(|what| wrong(format!("the entry {what}")))?;
    let gap = match bytes.get(1).copied().and_then(EntryKind::from_byte) {
        Some(EntryKind::Record) => false,
        Some(EntryKind::Gap) => true,
        _ => return Err(wrong("the entry is not that of a record or of a gap")),
    };
    if gap != (saved.record.get("action").and_then(Value::as_str) == Some("indelible.gap")) {
        return Err(wrong("the entry and the record do not agree whether this is a gap"));
    }
    let commitment = commitment_of(digests);
    if bytes.get(COMMITMENT_AT..COMMITMENT_AT + 32) != Some(commitment.as_slice()) {
        return Err(wrong("the parts do not hash to the commitment in the entry: a part or its salt was changed"));
    }

    let proof = TlogProof::parse(&saved.tlog_proof).map_err(|e| wrong(format!("the proof is malformed: {e}")))?;
    if proof.index != saved.index {
        return Err(wrong(format!("the proof is for entry {}, the file says {}", proof.index, saved.index)));
    }
    let leaf = leaf_hash(&bytes);
    let checkpoint = proof.verify(&leaf, std::slice::from_ref(&key));
    let checkpoint = checkpoint
        .map_err(|e| wrong(format!("the entry is not proved to be in the ledger: {e} (key {})", key.vkey())))?;

    let fields = parts::compare(&rows, &saved.record)?;
    let set_by_ledger =
        SetByLedger { record: &saved.record, index: saved.index, recorded_at, leaf, origin: &checkpoint.origin };
    set_by_ledger.check()?;
    let id = saved.record.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let closed = rows.iter().filter(|(_, bytes)| bytes.is_none()).count();
    let (origin, size, vkey) = (checkpoint.origin, checkpoint.size, key.vkey());
    Ok(Checked { id, index: saved.index, recorded_at, origin, size, fields, closed, vkey })
}

/// The members of a record that are not in its parts, because the ledger sets them.
struct SetByLedger<'a> {
    record: &'a Map<String, Value>,
    index: u64,
    recorded_at: i64,
    leaf: [u8; 32],
    origin: &'a str,
}

impl SetByLedger<'_> {
    fn check(&self) -> Result<(), Failure> {
        let text = |name: &str| self.record.get(name).map(|value| value.as_str().unwrap_or_default());
        match text("recorded_at").map(event::time::parse) {
            None => return Err(wrong("the record has no recorded_at")),
            Some(shown) if shown != Some(self.recorded_at) => {
                let sealed = event::time::format(self.recorded_at);
                return Err(wrong(format!("the record's recorded_at is not the entry's, {sealed}")));
            }
            Some(_) => {}
        }
        if self.record.get("index").is_some_and(|shown| shown.as_u64() != Some(self.index)) {
            return Err(wrong(format!("the record's index is not the entry's, {}", self.index)));
        }
        if text("leaf_hash").is_some_and(|shown| shown != hex(&self.leaf) && shown != STANDARD.encode(self.leaf)) {
            return Err(wrong(format!("the record's leaf_hash is not the entry's, {}", hex(&self.leaf))));
        }
        if let Some(tenant) = text("tenant").filter(|tenant| !entry::is_of(self.origin, tenant)) {
            return Err(wrong(format!("the record says tenant {tenant:?}, the ledger is {}", self.origin)));
        }
        Ok(())
    }
}
