//! The high-water mark, behind a sound header: as it is, and with sound checksums on whatever its entries say.
#![no_main]
use ledger::highwater::parse;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|data: &[u8]| {
    let ledger = [7; 16];
    let _ = parse(Path::new("mark"), data, &ledger);
    let mut file = b"INDLHIGH\x01\0\0\0".to_vec();
    file.extend_from_slice(&ledger);
    file.extend_from_slice(&crc32c::crc32c(&file).to_le_bytes());
    let header = file.len();
    let mut raw = file.clone();
    raw.extend_from_slice(data);
    let _ = parse(Path::new("mark"), &raw, &ledger);

    let entries = data.chunks_exact(44);
    let (count, torn) = (entries.len(), entries.remainder());
    for entry in entries {
        file.extend_from_slice(entry);
        file.extend_from_slice(&crc32c::crc32c(entry).to_le_bytes());
    }
    file.extend_from_slice(torn);
    let (marks, whole) = parse(Path::new("mark"), &file, &ledger).unwrap();
    assert_eq!(whole, header + 48 * count);
    assert!(marks.len() <= count);
});
