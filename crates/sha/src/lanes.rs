//! The rounds of SHA-256 (FIPS 180-4, 6.2.2) over sixteen messages at once, on processors with AVX-512.
//!
//! The rounds of one message wait for each other; sixteen side by side keep the processor busy (`cargo run --release -p event
//! --example record_cost`). Elsewhere, and for a handful of messages, `sha2` does it, which the tests compare this with.
//!
//! The one place with `unsafe`: the instructions may only be used where the processor has them, which is asked first, and
//! they read and write memory through pointers, made of arrays of the right size.
#![allow(unsafe_code)]

use crate::{Block, State};
use std::arch::x86_64::*;

/// Messages at once.
const LANES: usize = 16;
/// As few are worth a turn of sixteen: it takes what some eight blocks take one by one (`hash_side_by_side`, among the examples).
const WORTH: usize = 8;

/// Sixteen messages' word of one number.
type Words = __m512i;

/// Constants of the rounds (FIPS 180-4, 4.2.2).
const K: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

/// Takes states over their blocks, sixteen at a time, and gives those that are left.
pub(crate) fn compress_most<'s, 'b>(states: &'s mut [State], blocks: &'b [Block]) -> (&'s mut [State], &'b [Block]) {
    if states.len() < WORTH || !is_x86_feature_detected!("avx512f") || !is_x86_feature_detected!("avx512bw") {
        return (states, blocks);
    }
    let (sets, states) = states.as_chunks_mut::<LANES>();
    let (whole, blocks) = blocks.as_chunks::<LANES>();
    for (states, blocks) in sets.iter_mut().zip(whole) {
        // SAFETY: the processor has what the function is compiled for, as was just asked.
        unsafe { compress(states, blocks) };
    }
    if states.len() < WORTH {
        return (states, blocks);
    }
    let (mut some, mut their) = ([[0; 8]; LANES], [[0; 64]; LANES]);
    some.iter_mut().zip(states.iter()).for_each(|(lane, state)| *lane = *state);
    their.iter_mut().zip(blocks).for_each(|(lane, block)| *lane = *block);
    // SAFETY: as above.
    unsafe { compress(&mut some, &their) };
    states.iter_mut().zip(some).for_each(|(state, lane)| *state = lane);
    (&mut [], &[])
}

#[target_feature(enable = "avx512f,avx512bw")]
fn compress(states: &mut [State; LANES], blocks: &[Block; LANES]) {
    let before = turn(load(states, |lane: &State| lane.as_ptr().cast()));
    // The words of a block are big-endian.
    let swapped = _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
    let low = turn(load(blocks, |lane: &Block| lane[..32].as_ptr().cast()));
    let high = turn(load(blocks, |lane: &Block| lane[32..].as_ptr().cast()));
    let mut w: [Words; 16] = [_mm512_setzero_si512(); 16];
    for (word, turned) in w.iter_mut().zip(low.into_iter().chain(high)) {
        *word = _mm512_shuffle_epi8(turned, swapped);
    }
    let mut after = rounds(before, w);
    for (word, before) in after.iter_mut().zip(before) {
        *word = _mm512_add_epi32(*word, before);
    }
    for (n, pair) in turn(after).into_iter().enumerate() {
        // SAFETY: a state is as long as what is stored, and `n` and `n + 8` are below sixteen.
        unsafe {
            _mm256_storeu_si256(states[n].as_mut_ptr().cast(), _mm512_castsi512_si256(pair));
            _mm256_storeu_si256(states[n + 8].as_mut_ptr().cast(), _mm512_extracti64x4_epi64::<1>(pair));
        }
    }
}

/// 32 bytes of each lane: those of a lane and of the one eight further on side by side.
#[inline]
#[target_feature(enable = "avx512f")]
fn load<T>(lanes: &[T; LANES], at: impl Fn(&T) -> *const __m256i) -> [Words; 8] {
    let mut pairs = [_mm512_setzero_si512(); 8];
    for (n, pair) in pairs.iter_mut().enumerate() {
        // SAFETY: what `at` points to is 32 bytes of the lane.
        let (low, high) = unsafe { (_mm256_loadu_si256(at(&lanes[n])), _mm256_loadu_si256(at(&lanes[n + 8]))) };
        *pair = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
    }
    pairs
}

/// Eight rows of eight words, in both halves at once, become eight columns: lanes become words, or words lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn turn(r: [Words; 8]) -> [Words; 8] {
    let low = |a, b| _mm512_unpacklo_epi32(a, b);
    let high = |a, b| _mm512_unpackhi_epi32(a, b);
    let t = [
        low(r[0], r[1]),
        high(r[0], r[1]),
        low(r[2], r[3]),
        high(r[2], r[3]),
        low(r[4], r[5]),
        high(r[4], r[5]),
        low(r[6], r[7]),
        high(r[6], r[7]),
    ];
    let low = |a, b| _mm512_unpacklo_epi64(a, b);
    let high = |a, b| _mm512_unpackhi_epi64(a, b);
    let u = [
        low(t[0], t[2]),
        high(t[0], t[2]),
        low(t[1], t[3]),
        high(t[1], t[3]),
        low(t[4], t[6]),
        high(t[4], t[6]),
        low(t[5], t[7]),
        high(t[5], t[7]),
    ];
    // The quarters of a half: its first from both, or its second.
    let first = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
    let second = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    let pick = |n: usize, which| _mm512_permutex2var_epi64(u[n], which, u[n + 4]);
    [
        pick(0, first),
        pick(1, first),
        pick(2, first),
        pick(3, first),
        pick(0, second),
        pick(1, second),
        pick(2, second),
        pick(3, second),
    ]
}

/// Of three, whether an odd number is set.
#[inline]
#[target_feature(enable = "avx512f")]
fn odd(a: Words, b: Words, c: Words) -> Words {
    _mm512_ternarylogic_epi32::<0x96>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn rounds(state: [Words; 8], mut w: [Words; 16]) -> [Words; 8] {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
    macro_rules! round {
        ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $word:expr, $k:expr) => {{
            let mixed = odd(_mm512_ror_epi32::<6>($e), _mm512_ror_epi32::<11>($e), _mm512_ror_epi32::<25>($e));
            let chosen = _mm512_ternarylogic_epi32::<0xca>($e, $f, $g);
            let word = _mm512_add_epi32(w[$word], _mm512_set1_epi32(K[$k] as i32));
            let one = _mm512_add_epi32(_mm512_add_epi32($h, word), _mm512_add_epi32(mixed, chosen));
            let mixed = odd(_mm512_ror_epi32::<2>($a), _mm512_ror_epi32::<13>($a), _mm512_ror_epi32::<22>($a));
            let most = _mm512_ternarylogic_epi32::<0xe8>($a, $b, $c);
            $d = _mm512_add_epi32($d, one);
            $h = _mm512_add_epi32(one, _mm512_add_epi32(mixed, most));
        }};
    }
    macro_rules! eight {
        ($word:expr, $k:expr) => {
            round!(a b c d e f g h, $word, $k);
            round!(h a b c d e f g, $word + 1, $k + 1);
            round!(g h a b c d e f, $word + 2, $k + 2);
            round!(f g h a b c d e, $word + 3, $k + 3);
            round!(e f g h a b c d, $word + 4, $k + 4);
            round!(d e f g h a b c, $word + 5, $k + 5);
            round!(c d e f g h a b, $word + 6, $k + 6);
            round!(b c d e f g h a, $word + 7, $k + 7);
        };
    }
    macro_rules! next {
        ($($word:expr),*) => {$({
            let (early, late) = (w[($word + 1) & 15], w[($word + 14) & 15]);
            let early = odd(_mm512_ror_epi32::<7>(early), _mm512_ror_epi32::<18>(early), _mm512_srli_epi32::<3>(early));
            let late = odd(_mm512_ror_epi32::<17>(late), _mm512_ror_epi32::<19>(late), _mm512_srli_epi32::<10>(late));
            let sum = _mm512_add_epi32(w[($word + 9) & 15], late);
            w[$word] = _mm512_add_epi32(_mm512_add_epi32(w[$word], early), sum);
        })*};
    }
    eight!(0, 0);
    eight!(8, 8);
    for k in [16, 32, 48] {
        next!(0, 1, 2, 3, 4, 5, 6, 7);
        eight!(0, k);
        next!(8, 9, 10, 11, 12, 13, 14, 15);
        eight!(8, k + 8);
    }
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::block_api::compress256;

    proptest::proptest! {
        #[test]
        fn sixteen_at_once_are_each_by_itself(
            mut states in proptest::collection::vec(proptest::array::uniform8(0u32..), 0..50),
            bytes in proptest::collection::vec(0u8.., 50 * 64),
        ) {
            let blocks = &bytes.as_chunks().0[..states.len()];
            let mut want = states.clone();
            want.iter_mut().zip(blocks).for_each(|(state, block)| compress256(state, &[*block]));
            let (left, their) = compress_most(&mut states, blocks);
            proptest::prop_assert_eq!(left.len(), their.len());
            left.iter_mut().zip(their).for_each(|(state, block)| compress256(state, &[*block]));
            proptest::prop_assert_eq!(states, want);
        }
    }
}
