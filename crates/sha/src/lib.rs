//! SHA-256 of the short messages that commitments and trees are made of: one at a time, or many side by side.
//!
//! Owns how a message becomes padded blocks (FIPS 180-4, 5.1.1), and sixteen messages' rounds at once. Not here: the rounds of one
//! message, which are `sha2`'s, and what the messages say (`event`, `merkle`).

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(target_arch = "x86_64")]
mod lanes;
mod many;

pub use many::Messages;

use sha2::block_api::compress256;

/// SHA-256 output.
pub type Hash = [u8; 32];
/// The eight words between two blocks.
pub type State = [u32; 8];
/// A block of a message.
pub type Block = [u8; BLOCK];
/// Bytes of a block of SHA-256.
pub const BLOCK: usize = 64;
/// State of SHA-256 before the first block (FIPS 180-4, 5.3.3).
pub const START: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// SHA-256 of a message in pieces.
#[inline]
pub fn sha256(pieces: &[&[u8]]) -> Hash {
    bytes_of(finish(START, 0, pieces))
}

/// A state after one whole block.
pub fn after(mut state: State, block: &Block) -> State {
    compress256(&mut state, std::slice::from_ref(block));
    state
}

/// The hash of a message of which `state` has `absorbed` bytes already, whole blocks.
pub fn finish(mut state: State, absorbed: usize, rest: &[&[u8]]) -> State {
    padded(absorbed, rest, |blocks| compress256(&mut state, blocks));
    state
}

/// As [`finish`], for a message whose length, at most 119 bytes, is known when this is compiled: it is put together without a
/// copy of unknown length.
#[inline]
pub fn short<const N: usize>(mut state: State, absorbed: usize, message: &[u8; N]) -> State {
    let (blocks, count) = short_blocks(absorbed, message);
    compress256(&mut state, blocks.get(..count).unwrap_or_default());
    state
}

/// The blocks of a message of at most 119 bytes, and how many there are.
#[inline]
fn short_blocks<const N: usize>(absorbed: usize, message: &[u8; N]) -> ([Block; 2], usize) {
    const { assert!(N < 2 * BLOCK - 8) };
    let mut blocks = [[0; BLOCK]; 2];
    let bytes = blocks.as_flattened_mut();
    bytes[..N].copy_from_slice(message);
    bytes[N] = 0x80;
    let end = if N < BLOCK - 8 { BLOCK } else { 2 * BLOCK };
    bytes[end - 8..end].copy_from_slice(&((absorbed + N) as u64 * 8).to_be_bytes());
    (blocks, end / BLOCK)
}

/// Hands on the blocks of a message, padding and all, as many at a time as lie side by side.
#[inline]
fn padded(absorbed: usize, rest: &[&[u8]], mut each: impl FnMut(&[Block])) {
    let mut block = [0; BLOCK];
    let (mut filled, mut length) = (0, absorbed);
    for mut piece in rest.iter().copied() {
        length += piece.len();
        if filled > 0 {
            let (now, later) = piece.split_at(piece.len().min(BLOCK - filled));
            block[filled..filled + now.len()].copy_from_slice(now);
            filled += now.len();
            piece = later;
            if filled == BLOCK {
                each(std::slice::from_ref(&block));
                filled = 0;
            }
        }
        let (whole, left) = piece.as_chunks();
        if !whole.is_empty() {
            each(whole);
        }
        if !left.is_empty() {
            block[..left.len()].copy_from_slice(left);
            filled = left.len();
        }
    }
    let mut last = [0; BLOCK];
    last[..filled].copy_from_slice(&block[..filled]);
    last[filled] = 0x80;
    if filled >= BLOCK - 8 {
        each(std::slice::from_ref(&last));
        last = [0; BLOCK];
    }
    last[BLOCK - 8..].copy_from_slice(&(length as u64 * 8).to_be_bytes());
    each(std::slice::from_ref(&last));
}

/// A final state as the bytes of the hash.
pub fn bytes_of(state: State) -> Hash {
    let mut hash = [0; 32];
    for (out, word) in hash.as_chunks_mut().0.iter_mut().zip(state) {
        *out = word.to_be_bytes();
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    proptest::proptest! {
        #[test]
        fn a_hash_in_pieces_is_the_hash(message in proptest::collection::vec(0u8.., 0..300), cut: [proptest::sample::Index; 2]) {
            let (a, b) = (cut[0].index(message.len() + 1), cut[1].index(message.len() + 1));
            let (a, b) = (a.min(b), a.max(b));
            let want: Hash = Sha256::digest(&message).into();
            proptest::prop_assert_eq!(sha256(&[&message[..a], &message[a..b], &message[b..]]), want);
        }
    }

    #[test]
    fn a_short_message_has_the_same_hash() {
        let of = |hash: State| bytes_of(hash).to_vec();
        assert_eq!(of(short(START, 0, &[7; 32])), Sha256::digest([7; 32]).to_vec());
        assert_eq!(of(short(START, 0, &[7; 55])), Sha256::digest([7; 55]).to_vec());
        assert_eq!(of(short(START, 0, &[7; 56])), Sha256::digest([7; 56]).to_vec());
        assert_eq!(of(short(START, 0, &[7; 65])), Sha256::digest([7; 65]).to_vec());
        assert_eq!(
            of(short(after(START, &[9; 64]), 64, &[7; 3])),
            Sha256::digest([[9; 64].as_slice(), &[7; 3]].concat()).to_vec()
        );
    }
}
