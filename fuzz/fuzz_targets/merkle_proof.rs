//! Offline proofs: what reads writes back to something that reads the same; none is right without a signature.
#![no_main]
use libfuzzer_sys::fuzz_target;
use merkle::tlog_proof::TlogProof;

fuzz_target!(|data: &[u8]| {
    if let Ok(proof) = TlogProof::parse(data) {
        assert_eq!(TlogProof::parse(proof.to_text()).unwrap(), proof);
        assert!(proof.verify(&[1; 32], &[]).is_err());
    }
});
