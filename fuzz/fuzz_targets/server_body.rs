//! Compressed bodies: never more than the limit comes out, and what was packed comes out as it was.
#![no_main]
use indelible_fuzz::decompress::{Refused, decompress};
use libfuzzer_sys::fuzz_target;
use std::io::Write;

const MOST: usize = 64 << 10;

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, data) = input;
    let names = [None, Some("gzip"), Some("zstd"), Some("identity"), Some("br")];
    let name = names[usize::from(choice) % names.len()];
    if let Ok(body) = decompress(data, name, MOST) {
        assert!(body.len() <= MOST);
    }
    // Repeated, so that it packs well and unpacks to more than the limit.
    let long = data.repeat(1 + usize::from(choice));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&long).unwrap();
    for (packed, name) in [(gzip.finish().unwrap(), "gzip"), (zstd::encode_all(&long[..], 1).unwrap(), "zstd")] {
        for said in [None, Some(name)] {
            match decompress(&packed, said, MOST) {
                Ok(body) => assert_eq!(body, &long[..]),
                Err(e) => assert!(long.len() > MOST && matches!(e, Refused::TooLarge(_)), "{e:?}"),
            }
        }
        let cut = &packed[..packed.len() - 1];
        let _ = decompress(cut, Some(name), MOST);
    }
});
