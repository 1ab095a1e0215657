use proptest::prelude::*;

use super::*;
use crate::node_hash;
use crate::note::SigningKey;

const LEAVES: [&[u8]; 2] = [b"left", b"right"];

fn key() -> SigningKey {
    SigningKey::new("example.com/log", &[1; 32]).unwrap()
}

fn known() -> [VerifyingKey; 1] {
    [key().verifying_key().clone()]
}

fn proof(index: u64, extra: Option<&[u8]>) -> TlogProof {
    let [left, right] = LEAVES.map(leaf_hash);
    let root = node_hash(&left, &right);
    let checkpoint = Checkpoint { origin: key().name().to_owned(), size: 2, root }.sign(&key()).unwrap();
    let hashes = vec![if index == 0 { right } else { left }];
    TlogProof { extra: extra.map(<[u8]>::to_vec), index, hashes, checkpoint }
}

#[test]
fn round_trips_and_verifies() {
    for (index, extra) in [(0, None), (1, Some(b"any bytes".as_slice())), (1, Some(b""))] {
        let made = proof(index, extra);
        let read = TlogProof::parse(made.to_text()).unwrap();
        assert_eq!(read, made);
        read.verify_entry(LEAVES[index as usize], &known()).unwrap();
        assert_eq!(read.verify_entry(b"another", &known()), Err(TlogProofError::Proof(ProofError::RootMismatch)));
        assert!(matches!(read.verify_entry(LEAVES[index as usize], &[]), Err(TlogProofError::Checkpoint(_))));
    }
}

#[test]
fn a_log_of_one_needs_no_hashes() {
    let checkpoint = Checkpoint { origin: key().name().to_owned(), size: 1, root: leaf_hash(b"only") };
    let made = TlogProof { extra: None, index: 0, hashes: vec![], checkpoint: checkpoint.sign(&key()).unwrap() };
    let text = made.to_text();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 0\n\nexample.com/log\n1\n"));
    let read = TlogProof::parse(&text).unwrap();
    assert_eq!(read, made);
    read.verify_entry(b"only", &known()).unwrap();
}

#[test]
fn malformed_files_are_refused() {
    let good = proof(1, None).to_text();
    let edit = |from: &str, to: &str| good.replacen(from, to, 1);
    for (bad, why) in [
        (edit("@v1", "@v2"), TlogProofError::BadHeader),
        (edit("@v1\n", "@v1\r\n"), TlogProofError::BadHeader),
        (format!("\n{good}"), TlogProofError::BadHeader),
        (edit("index 1", "index 01"), TlogProofError::BadIndex),
        (edit("index 1", "index -1"), TlogProofError::BadIndex),
        (edit("index 1", "index"), TlogProofError::BadIndex),
        (edit("index 1\n", ""), TlogProofError::BadIndex),
        (edit("index 1\n", "index 1\nindex 1\n"), TlogProofError::Proof(ProofError::BadLine { line: 1 })),
        (edit("index 1\n", "extra !\nindex 1\n"), TlogProofError::BadExtra),
        (edit("index 1\n", "extra AA\nindex 1\n"), TlogProofError::BadExtra),
        (edit("index 1\n", "extra AA==\nextra AA==\nindex 1\n"), TlogProofError::BadIndex),
        (edit("=\n\n", "=\n"), TlogProofError::Proof(ProofError::BadLine { line: 2 })),
        ("c2sp.org/tlog-proof@v1\nindex 1\n".to_owned(), TlogProofError::NoCheckpoint),
        ("c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n".to_owned(), TlogProofError::NoCheckpoint),
    ] {
        assert_eq!(TlogProof::parse(&bad), Err(why), "{bad}");
    }
    assert_eq!(TlogProof::parse([HEADER.as_bytes(), b"\xff"].concat()), Err(TlogProofError::NotUtf8));
    // An empty checkpoint is a well-formed file and a refused proof.
    let empty = TlogProof::parse("c2sp.org/tlog-proof@v1\nindex 1\n\n").unwrap();
    assert!(matches!(empty.verify_entry(b"right", &known()), Err(TlogProofError::Checkpoint(_))));
}

proptest! {
    #[test]
    fn one_changed_byte_never_verifies(position in any::<prop::sample::Index>(), change in 1u8..=255) {
        let mut file = proof(1, None).to_text().into_bytes();
        let position = position.index(file.len());
        file[position] ^= change;
        let verdict = TlogProof::parse(&file).and_then(|proof| proof.verify_entry(LEAVES[1], &known()));
        prop_assert!(verdict.is_err());
    }

    #[test]
    fn any_bytes_are_a_proof_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), headed in any::<bool>()) {
        let file = if headed { [HEADER.as_bytes(), &bytes].concat() } else { bytes };
        if let Ok(proof) = TlogProof::parse(&file) {
            prop_assert_eq!(proof.to_text().into_bytes(), file);
        }
    }
}
