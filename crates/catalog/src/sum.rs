//! The checksum that every row carries over all its other columns.
//!
//! SQLite's pages have none, so a flipped bit in a salt key would read as a good key and make a sound record
//! look tampered with. This finds rot, not an attacker: whoever can write the file can write sums too, and what
//! protects against him is the ledger.

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Built column by column, in the table's order.
pub(crate) struct Sum(Sha256);

impl Sum {
    pub(crate) fn of(table: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"indelible/catalog/row/v1/");
        hash.update(table.as_bytes());
        hash.update([0]);
        Self(hash)
    }

    pub(crate) fn int(mut self, value: i64) -> Self {
        self.0.update([1]);
        self.0.update(value.to_le_bytes());
        self
    }

    pub(crate) fn opt(mut self, value: Option<i64>) -> Self {
        match value {
            Some(value) => self.int(value),
            None => {
                self.0.update([0]);
                self
            }
        }
    }

    pub(crate) fn bytes(mut self, value: &[u8]) -> Self {
        self.0.update([2]);
        self.0.update((value.len() as u64).to_le_bytes());
        self.0.update(value);
        self
    }

    pub(crate) fn text(self, value: &str) -> Self {
        self.bytes(value.as_bytes())
    }

    /// The first 8 bytes of the hash as a little-endian integer.
    pub(crate) fn done(self) -> i64 {
        let digest: [u8; 32] = self.0.finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        i64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// # Errors
    ///
    /// [`Error::Damaged`] when the row does not have this sum.
    pub(crate) fn expect(self, stored: i64, what: impl FnOnce() -> String) -> Result<()> {
        if self.done() == stored { Ok(()) } else { Err(Error::damaged(what(), "its checksum does not match")) }
    }
}

/// The first 8 bytes of SHA-256, as trailing checksum of a blob or a small file.
pub(crate) fn short_hash(bytes: &[u8]) -> [u8; 8] {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    [a, b, c, d, e, f, g, h]
}
