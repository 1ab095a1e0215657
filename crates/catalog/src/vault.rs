//! Secrets that must be read again (a password for another system), sealed for the file they lie in.
//!
//! Owns `catalog.key` beside the catalog, made with the first secret, and the sealed form: ChaCha20-Poly1305 with a
//! random nonce, bound to the place it was made for. A copy of `catalog.db` alone gives no secret away; whoever has both
//! files has them all. Not here: API keys, of which only a hash is kept, and salt keys, without which proofs are nothing.

use std::fmt;
use std::path::{Path, PathBuf};

use disk::Disk;
use parking_lot::Mutex;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::db::sync_folder_of;
use crate::error::{Error, Result};
use crate::secret;
use crate::sum::short_hash;

const MAGIC: &[u8; 5] = b"INDK\x01";
const KEY_LEN: usize = 32;

/// A secret's text. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; the one way to it, so that every use can be found.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(redacted)")
    }
}

/// The key, once it was needed.
#[derive(Default)]
pub(crate) struct Vault(Mutex<Option<LessSafeKey>>);

impl Vault {
    /// Seals a text for `place`. The key is durable before anything sealed with it exists.
    pub(crate) fn seal(&self, disk: &dyn Disk, catalog: &Path, place: &str, text: &str) -> Result<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = secret::random(disk)?;
        let mut sealed = text.as_bytes().to_vec();
        self.with_key(disk, catalog, true, |key| {
            key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut sealed)
                .map_err(|_| Error::damaged("a secret", "it is too long to be sealed"))
        })?;
        sealed.splice(0..0, nonce);
        Ok(sealed)
    }

    /// The text that was sealed for `place`.
    pub(crate) fn open(&self, disk: &dyn Disk, catalog: &Path, place: &str, sealed: &[u8]) -> Result<SecretText> {
        let damaged =
            || Error::damaged(format!("the secrets of {place}"), "they do not open with catalog.key; give them again");
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(damaged)?;
        let mut body = body.to_vec();
        self.with_key(disk, catalog, false, |key| {
            let text = key
                .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place), &mut body)
                .map_err(|_| damaged())?;
            std::str::from_utf8(text).map(SecretText::new).map_err(|_| damaged())
        })
    }

    fn with_key<T>(
        &self,
        disk: &dyn Disk,
        catalog: &Path,
        may_create: bool,
        f: impl FnOnce(&LessSafeKey) -> Result<T>,
    ) -> Result<T> {
        let mut held = self.0.lock();
        if let Some(key) = held.as_ref() {
            return f(key);
        }
        let path = catalog.with_extension("key");
        let bytes = match disk.read(&path) {
            Ok(file) => parse(&file).ok_or_else(|| {
                Error::damaged(
                    path.display().to_string(),
                    "it is not what was written; restore it from a copy, or remove it and give the secrets of all sources again",
                )
            })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && may_create => create(disk, &path)?,
            Err(source) => return Err(Error::File { action: "read", path, source }),
        };
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes)
            .map_err(|_| Error::damaged("catalog.key", "it is not a key"))?;
        f(held.insert(LessSafeKey::new(key)))
    }
}

fn parse(file: &[u8]) -> Option<[u8; KEY_LEN]> {
    let (body, sum) = file.split_last_chunk::<8>()?;
    if short_hash(body) != *sum {
        return None;
    }
    body.strip_prefix(MAGIC)?.try_into().ok()
}

/// Written aside and renamed: a crash leaves no half a key.
fn create(disk: &dyn Disk, path: &Path) -> Result<[u8; KEY_LEN]> {
    let key: [u8; KEY_LEN] = secret::random(disk)?;
    let mut file = MAGIC.to_vec();
    file.extend(key);
    file.extend(short_hash(&file));
    let aside = PathBuf::from(format!("{}.tmp", path.display()));
    let failed = |action, path: &Path| {
        let path = path.to_path_buf();
        move |source| Error::File { action, path, source }
    };
    match disk.remove(&aside) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed("remove", &aside)(e)),
        _ => {}
    }
    let mut out = disk.create(&aside).map_err(failed("create", &aside))?;
    out.append(&file).and_then(|()| out.sync()).map_err(failed("write", &aside))?;
    disk.rename(&aside, path).map_err(failed("rename", &aside))?;
    sync_folder_of(disk, path)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, path) = (disk::LocalDisk, folder.path().join("catalog.db"));
        let vault = Vault::default();
        let sealed = vault.seal(&disk, &path, "1/a", "hush").unwrap();
        assert!(!sealed.windows(4).any(|w| w == b"hush"));
        let again = Vault::default();
        assert_eq!(again.open(&disk, &path, "1/a", &sealed).unwrap().expose(), "hush");
        assert!(again.open(&disk, &path, "1/b", &sealed).unwrap_err().is_damage());
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert!(again.open(&disk, &path, "1/a", &bad).is_err(), "{at}");
            assert!(again.open(&disk, &path, "1/a", &sealed[..at]).is_err(), "{at}");
        }
        assert_eq!(format!("{:?}", SecretText::new("hush")), "SecretText(redacted)");
    }

    #[test]
    fn a_damaged_key_is_no_other_key() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, path) = (disk::LocalDisk, folder.path().join("catalog.db"));
        let sealed = Vault::default().seal(&disk, &path, "p", "hush").unwrap();
        let key = path.with_extension("key");
        let good = std::fs::read(&key).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            std::fs::write(&key, bad).unwrap();
            let error = Vault::default().open(&disk, &path, "p", &sealed).unwrap_err();
            assert!(error.to_string().contains("catalog.key"), "{error}");
        }
        std::fs::remove_file(&key).unwrap();
        assert!(Vault::default().open(&disk, &path, "p", &sealed).is_err());
        assert!(!std::fs::exists(&key).unwrap(), "reading makes no key");
    }
}
