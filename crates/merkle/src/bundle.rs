//! Entry bundles of tlog-tiles: up to 256 entries, each behind its big-endian u16 length.
//!
//! Owns the framing only. What an entry means, and whether its hash is in a tree, is decided elsewhere.

/// The most entries one bundle holds: those of one level-0 tile.
pub const MAX_ENTRIES: usize = 256;

/// The longest entry in bytes that the u16 length can name.
pub const MAX_ENTRY_LEN: usize = u16::MAX as usize;

/// Why entries cannot be bundled, or bytes are not a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// An entry to encode is longer than [`MAX_ENTRY_LEN`].
    #[error("entry {position} is {len} bytes, a bundle takes at most 65535")]
    EntryTooLong {
        /// Position of the entry within the bundle.
        position: usize,
        /// Its length in bytes.
        len: usize,
    },
    /// More entries than [`MAX_ENTRIES`].
    #[error("bundle holds more than 256 entries")]
    TooManyEntries,
    /// The bytes end inside a length or an entry.
    #[error("bundle ends inside entry {position}")]
    Truncated {
        /// Position of the entry that is cut.
        position: usize,
    },
    /// The number of entries is not the one that the tile width asks for.
    #[error("bundle holds {got} entries, want {want}")]
    WrongCount {
        /// Entries wanted.
        want: usize,
        /// Entries found.
        got: usize,
    },
}

/// Encodes entries, in index order, as one bundle.
///
/// # Errors
///
/// If an entry is longer than [`MAX_ENTRY_LEN`] or there are more than [`MAX_ENTRIES`].
pub fn encode<E: AsRef<[u8]>>(entries: impl IntoIterator<Item = E>) -> Result<Vec<u8>, BundleError> {
    let mut out = Vec::new();
    for (position, entry) in entries.into_iter().enumerate() {
        if position >= MAX_ENTRIES {
            return Err(BundleError::TooManyEntries);
        }
        let entry = entry.as_ref();
        let Ok(len) = u16::try_from(entry.len()) else {
            return Err(BundleError::EntryTooLong { position, len: entry.len() });
        };
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(entry);
    }
    Ok(out)
}

/// Splits a bundle into its entries without copying them.
///
/// # Errors
///
/// If the bytes end inside an entry or hold more than [`MAX_ENTRIES`].
pub fn decode(mut bytes: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let position = entries.len();
        if position >= MAX_ENTRIES {
            return Err(BundleError::TooManyEntries);
        }
        let (entry, rest) = bytes
            .split_first_chunk::<2>()
            .and_then(|(len, rest)| rest.split_at_checked(usize::from(u16::from_be_bytes(*len))))
            .ok_or(BundleError::Truncated { position })?;
        entries.push(entry);
        bytes = rest;
    }
    Ok(entries)
}

/// As [`decode`], for a bundle that must hold exactly `width` entries.
///
/// # Errors
///
/// As [`decode`], or if the number of entries differs.
pub fn decode_exact(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, BundleError> {
    let entries = decode(bytes)?;
    let (want, got) = (usize::from(width), entries.len());
    if want != got {
        return Err(BundleError::WrongCount { want, got });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits_are_refused_at_both_ends() {
        assert_eq!(encode([vec![0; MAX_ENTRY_LEN]]).map(|b| b.len()), Ok(65_537));
        assert_eq!(
            encode([vec![], vec![0; MAX_ENTRY_LEN + 1]]),
            Err(BundleError::EntryTooLong { position: 1, len: 65_536 })
        );
        assert!(encode(vec![[]; 256]).is_ok());
        assert_eq!(encode(vec![[]; 257]), Err(BundleError::TooManyEntries));
        assert_eq!(decode(&[0; 514]), Err(BundleError::TooManyEntries));
        assert_eq!(decode(&[0, 0, 0]), Err(BundleError::Truncated { position: 1 }));
        assert_eq!(decode(&[0, 2, 9]), Err(BundleError::Truncated { position: 0 }));
        assert_eq!(decode_exact(&[0, 0], 2), Err(BundleError::WrongCount { want: 2, got: 1 }));
    }

    proptest! {
        #[test]
        fn round_trips(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..=256)) {
            let bytes = encode(&entries).unwrap();
            prop_assert_eq!(decode_exact(&bytes, entries.len() as u16).unwrap(), entries);
        }

        #[test]
        fn any_bytes_decode_to_themselves_or_not_at_all(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(entries) = decode(&bytes) {
                prop_assert_eq!(encode(entries).unwrap(), bytes);
            }
        }
    }
}
