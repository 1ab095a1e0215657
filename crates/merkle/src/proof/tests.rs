use proptest::prelude::*;

use super::*;
use crate::MAX_SIZE;

#[test]
fn sizes_that_need_no_proof_take_none() {
    let (empty, other) = (empty_root(), [7; 32]);
    assert_eq!(verify_consistency(0, 0, &empty, &empty, &[]), Ok(()));
    assert_eq!(verify_consistency(0, 9, &empty, &other, &[]), Ok(()));
    assert_eq!(verify_consistency(9, 9, &other, &other, &[]), Ok(()));
    assert_eq!(verify_consistency(0, 0, &other, &other, &[]), Err(ProofError::EmptyRoot));
    assert_eq!(verify_consistency(0, 9, &other, &other, &[]), Err(ProofError::EmptyRoot));
    assert_eq!(verify_consistency(0, 0, &empty, &other, &[]), Err(ProofError::EmptyRoot));
    assert_eq!(verify_consistency(9, 9, &other, &empty, &[]), Err(ProofError::RootMismatch));
    let one = Err(ProofError::WrongLength { want: 0, got: 1 });
    assert_eq!(verify_consistency(0, 9, &empty, &other, &[other]), one);
    assert_eq!(verify_consistency(9, 9, &other, &other, &[other]), one);
    assert_eq!(verify_consistency(9, 8, &other, &other, &[]), Err(ProofError::SizesReversed { old: 9, new: 8 }));
    assert_eq!(verify_inclusion(0, 1, &other, &[], &other), Ok(()));
    assert_eq!(verify_inclusion(0, 0, &empty, &[], &empty), Err(ProofError::IndexOutOfRange { index: 0, size: 0 }));
}

#[test]
fn no_proof_is_longer_than_the_limit() {
    for size in [MAX_SIZE, MAX_SIZE - 1, 1 << 62, (1 << 62) + 1] {
        for index in [0, 1, size / 2, size - 2, size - 1] {
            let (inner, border) = shape(index, size);
            assert!(inner + border <= MAX_HASHES, "leaf {index} of {size}");
        }
    }
}

#[test]
fn lines_are_strict() {
    let two = [[1; 32], [2; 32]];
    let text = to_lines(&two);
    assert_eq!(from_lines(&text), Ok(two.to_vec()));
    assert_eq!(from_lines(""), Ok(vec![]));
    assert_eq!(from_lines("\n"), Err(ProofError::BadLine { line: 1 }));
    assert_eq!(from_lines(text.trim_end()), Err(ProofError::BadLine { line: 2 }));
    assert_eq!(from_lines(&text.replace('\n', "\r\n")), Err(ProofError::BadLine { line: 1 }));
    assert_eq!(from_lines(&text.replace('=', "")), Err(ProofError::BadLine { line: 1 }));
    assert_eq!(from_lines(&to_lines(&[[0; 32]; 65])), Err(ProofError::TooManyHashes));
}

proptest! {
    #[test]
    fn wild_numbers_never_panic(
        a in any::<u64>(), b in any::<u64>(), shift in 0u32..64,
        proof in prop::collection::vec(any::<[u8; 32]>(), 0..130),
    ) {
        for (x, y) in [(a, b), (a >> shift, b), (a, u64::MAX), (0, a), (a, a), (a, a.wrapping_add(1)), (1 << shift, a)] {
            prop_assert!(verify_inclusion(x, y, &[1; 32], &proof, &[2; 32]).is_err());
            prop_assert!(verify_consistency(x, y, &[1; 32], &[2; 32], &proof).is_err());
        }
    }
}
