//! Random bytes, and keys that do not print themselves.

use std::fmt;

use disk::Disk;
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};

/// 32 random bytes that are a key. `Debug` shows none of them; comparison takes constant time.
#[derive(Clone)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// Wraps key bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key itself; the one way to it, so that every use can be found.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn random(disk: &dyn Disk) -> Result<Self> {
        Ok(Self(random(disk)?))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(redacted)")
    }
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        bool::from(self.0.ct_eq(&other.0))
    }
}

impl Eq for SecretKey {}

pub(crate) fn random<const N: usize>(disk: &dyn Disk) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(disk, &mut bytes)?;
    Ok(bytes)
}

pub(crate) fn fill(disk: &dyn Disk, bytes: &mut [u8]) -> Result<()> {
    disk.random(bytes).map_err(|e| Error::Random { reason: e.to_string() })
}
