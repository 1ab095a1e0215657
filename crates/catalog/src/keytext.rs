//! The text of an API key: `ind_<id>_<secret>`, 60 characters.
//!
//! The id (12 characters of a-z and 2-7, 60 random bits) finds the key and is no secret. The secret is 256
//! random bits as 43 characters of base64url. What is stored is SHA-256 of those 43 characters: with 256 random
//! bits there is nothing for a slow hash to slow down.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use disk::Disk;
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::secret::random;

pub(crate) const ID_CHARS: usize = 12;
const SECRET_CHARS: usize = 43;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

pub(crate) struct NewKey {
    pub(crate) id: String,
    pub(crate) hash: [u8; 32],
    pub(crate) last4: String,
    pub(crate) text: String,
}

pub(crate) fn new_key(disk: &dyn Disk) -> Result<NewKey> {
    let id: String = random::<ID_CHARS>(disk)?
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)))
        .map(|&c| char::from(c))
        .collect();
    let secret = URL_SAFE_NO_PAD.encode(random::<32>(disk)?);
    let last4 = secret.chars().skip(SECRET_CHARS - 4).collect();
    Ok(NewKey { hash: hash(&secret), last4, text: format!("ind_{id}_{secret}"), id })
}

/// The id and the hash of the secret, if the text has the shape of a key.
pub(crate) fn parse(text: &str) -> Option<(&str, [u8; 32])> {
    let (id, rest) = text.strip_prefix("ind_")?.split_at_checked(ID_CHARS)?;
    let secret = rest.strip_prefix('_')?;
    let shaped = id.bytes().all(|b| ALPHABET.contains(&b))
        && secret.len() == SECRET_CHARS
        && secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    shaped.then(|| (id, hash(secret)))
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_parses_to_its_own_id_and_hash() {
        for _ in 0..200 {
            let key = new_key(&disk::LocalDisk).unwrap();
            assert_eq!(key.text.len(), 60);
            assert_eq!(key.id.len(), ID_CHARS);
            assert!(key.text.ends_with(&key.last4) && key.last4.len() == 4);
            assert_eq!(parse(&key.text), Some((key.id.as_str(), key.hash)));
        }
    }

    #[test]
    fn other_texts_do_not_parse() {
        let key = new_key(&disk::LocalDisk).unwrap().text;
        let upper = key.to_uppercase();
        let (long, padded) = (format!("{key}A"), format!("{key}="));
        for bad in ["", "ind_", "ind_é234567aaaaa_x", &upper, &long, &padded, &key[1..], &key[..59], "ind__"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
