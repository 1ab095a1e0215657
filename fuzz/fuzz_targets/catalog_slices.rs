//! Which rows of a segment are whose, as the catalog keeps it: as it is, and with a sound checksum on whatever is inside.
//! What is read writes back to something that reads the same.
#![no_main]
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

fuzz_target!(|data: &[u8]| {
    let _ = catalog::decode_slices(data);
    let mut blob = data.to_vec();
    blob.extend_from_slice(&Sha256::digest(data)[..8]);
    if let Ok(slices) = catalog::decode_slices(&blob) {
        assert_eq!(catalog::decode_slices(&catalog::encode_slices(&slices)), Ok(slices));
    }
});
