//! Golden vectors, byte for byte. They were made and checked with other implementations (Go's `sumdb`, OpenSSL):
//! a change here is a change of format, which is never right.
#![allow(missing_docs)]

mod common;

use common::{Log, RFC_LEAVES, hex, seed};
use merkle::checkpoint::Checkpoint;
use merkle::note::{self, CosigningKey, KeyKind, SigningKey, VerifyingKey};
use merkle::tile::{self, Tile};
use merkle::tlog_proof::TlogProof;
use merkle::{Hash, bundle, empty_root, leaf_hash, proof, root_of};
use sha2::{Digest, Sha256};

const ORIGIN: &str = "audit.example/t/acme";
const TIME: u64 = 1_700_000_000;
const LOG_VKEY: &str = "audit.example/t/acme+0bb29b72+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
const WITNESS_VKEY: &str = "witness.example/w1+20324abe+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X";
const CHECKPOINT: &str = "\
audit.example/t/acme
8
XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=

— audit.example/t/acme C7Kbcp7cBYFQivcZttKEg+swFdJ1Z5cvTUG8hV9duU8BCCQlai84LKWzvnAQ13wmGANyIXY5bNXaiR/XO6Ygov+5jg0=
";
const COSIGNATURE: &str = "\
— witness.example/w1 IDJKvgAAAABlU/EAGiUc2WmnQ1OMDmNj//PU1S5uulnhXFVB5CenneY3pls8r7XM0RdKwtssfb0N5X4bv7LnSx+25SOTabe6tnLaBQ==
";
const CONSISTENCY_6_8: &str = "\
DrxdNDf74tsVi58Sah0RjjCBgQMdCpSfje3t68VY72o=
yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=
037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=
";
const TLOG_PROOF_HEAD: &str = "\
c2sp.org/tlog-proof@v1
index 5
vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=
yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=
037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=

";
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn log_key() -> SigningKey {
    SigningKey::new(ORIGIN, &seed(0x00)).unwrap()
}

fn witness_key() -> CosigningKey {
    CosigningKey::new("witness.example/w1", &seed(0x20)).unwrap()
}

fn cosigned() -> String {
    format!("{CHECKPOINT}{COSIGNATURE}")
}

#[test]
fn roots_of_every_size_by_every_way() {
    let mut log = Log::default();
    let mut leaves: Vec<Hash> = Vec::new();
    for (size, want) in ROOTS.iter().enumerate() {
        assert_eq!(hex(&log.root()), *want, "frontier, size {size}");
        assert_eq!(hex(&root_of(&leaves)), *want, "slice, size {size}");
        assert_eq!(hex(&tile::root(&mut log, size as u64).unwrap()), *want, "tiles, size {size}");
        if let Some(entry) = RFC_LEAVES.get(size) {
            log.push(leaf_hash(entry));
            leaves.push(leaf_hash(entry));
        }
    }
    assert_eq!(hex(&empty_root()), ROOTS[0]);
}

#[test]
fn keys() {
    assert_eq!(log_key().vkey(), LOG_VKEY);
    assert_eq!(witness_key().vkey(), WITNESS_VKEY);
    for (vkey, kind) in [(LOG_VKEY, KeyKind::Ed25519), (WITNESS_VKEY, KeyKind::CosignatureV1)] {
        let key = VerifyingKey::parse(vkey).unwrap();
        assert_eq!((key.vkey().as_str(), key.kind()), (vkey, kind));
    }
}

#[test]
fn checkpoint_and_cosignature() {
    let log = Log::of(&RFC_LEAVES);
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: log.size(), root: log.root() };
    let signed = checkpoint.sign(&log_key()).unwrap();
    assert_eq!(signed, CHECKPOINT);

    let mut note = note::Note::parse(signed.as_bytes()).unwrap();
    note.add(witness_key().cosign(&checkpoint.to_text().unwrap(), TIME).unwrap()).unwrap();
    assert_eq!(note.to_string(), cosigned());

    let keys = [LOG_VKEY, WITNESS_VKEY].map(|vkey| VerifyingKey::parse(vkey).unwrap());
    let (opened, verdict) = Checkpoint::open(cosigned(), &keys).unwrap();
    assert_eq!(opened, checkpoint);
    assert_eq!(verdict.ignored, 0);
    let times: Vec<_> = verdict.verified.iter().map(|key| (key.kind, key.time)).collect();
    assert_eq!(times, [(KeyKind::Ed25519, None), (KeyKind::CosignatureV1, Some(TIME))]);
}

#[test]
fn consistency_proof_from_6_to_8() {
    let mut log = Log::of(&RFC_LEAVES);
    let hashes = tile::consistency_proof(&mut log, 6, 8).unwrap();
    assert_eq!(proof::to_lines(&hashes), CONSISTENCY_6_8);
    assert_eq!(proof::from_lines(CONSISTENCY_6_8).unwrap(), hashes);
    proof::verify_consistency(6, 8, &log.root_at(6), &log.root(), &hashes).unwrap();
}

#[test]
fn tlog_proof_of_index_5() {
    let mut log = Log::of(&RFC_LEAVES);
    let made = TlogProof {
        extra: None,
        index: 5,
        hashes: tile::inclusion_proof(&mut log, 5, 8).unwrap(),
        checkpoint: cosigned(),
    };
    let file = format!("{TLOG_PROOF_HEAD}{}", cosigned());
    assert_eq!(made.to_text(), file);
    let read = TlogProof::parse(&file).unwrap();
    assert_eq!(read, made);
    let checkpoint = read.verify_entry(RFC_LEAVES[5], &[VerifyingKey::parse(LOG_VKEY).unwrap()]).unwrap();
    assert_eq!((checkpoint.origin.as_str(), checkpoint.size), (ORIGIN, 8));
}

#[test]
fn tile_and_entry_bundle() {
    let log = Log::of(&RFC_LEAVES);
    let tile = Tile::in_tree(0, 0, 8).unwrap();
    assert_eq!(tile.path(), "tile/0/000.p/8");
    assert_eq!(tile.entries_path(), "tile/entries/000.p/8");
    let bytes = &log.tiles[&(0, 0)];
    assert_eq!(bytes.len(), 256);
    assert_eq!(hex(&Sha256::digest(bytes)), "aea2f1bbb5140fd5f8eacb503fdf54c00c3d860c72588e40233addd416bc8f10");

    let bundle = bundle::encode(RFC_LEAVES).unwrap();
    assert_eq!(
        hex(&bundle),
        "00000001000001100002202100023031000440414243000850515253545556570010606162636465666768696a6b6c6d6e6f"
    );
    assert_eq!(bundle::decode_exact(&bundle, tile.width).unwrap(), RFC_LEAVES);
}

/// From golang/mod `sumdb/note/note_test.go`.
#[test]
fn the_note_of_the_go_tests() {
    let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    let private = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    let key = SigningKey::parse_private_text(private).unwrap();
    assert_eq!(key.vkey(), "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
    assert_eq!(key.to_private_text(), private);
    let signed = note::sign(text, &[&key]).unwrap();
    let line =
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
    assert_eq!(signed, format!("{text}\n{line}\n"));
    assert_eq!(note::open(&signed, &[key.verifying_key().clone()]).unwrap().text, text);
}

/// The crate `signed_note` reads what we write, and ignores the witness line that it does not know.
#[test]
fn another_rust_implementation_opens_the_checkpoint() {
    let verifier = signed_note::StandardVerifier::new(LOG_VKEY).unwrap();
    let known = signed_note::VerifierList::new(vec![Box::new(verifier)]);
    let note = signed_note::Note::from_bytes(cosigned().as_bytes()).unwrap();
    let (verified, ignored) = note.verify(&known).unwrap();
    assert_eq!((verified.len(), ignored.len()), (1, 1));
}
