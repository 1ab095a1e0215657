//! A request body: what passes is a row, whole and readable; what does not leaves nothing behind.
#![no_main]
use event::batch::Body;
use event::encode::{fields, parts};
use event::parse::{MAX_RECORD, Parser};
use event::redact::Rules;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let rules = Rules::default();
    let parser = Parser { rules: &rules, tenant: "acme", now: indelible_fuzz::NOW };
    let body = Body::new(data);
    let mut out = Vec::new();
    for piece in body.pieces() {
        let Ok(text) = piece.text else { continue };
        let before = out.len();
        match parser.parse(text, &mut || "made".to_owned(), &mut out) {
            Err(_) => assert_eq!(out.len(), before),
            Ok(valid) => {
                assert_eq!(valid.row, before..out.len());
                let row = &out[valid.row.clone()];
                assert!(row.len() <= MAX_RECORD);
                assert!(fields(row).all(|field| field.is_ok()));
                let id = fields(row).flatten().find(|f| f.field == event::Field::Id).and_then(|f| f.text());
                assert_eq!(id.map(str::as_bytes), Some(&out[valid.id]));
                let mut whole = Vec::new();
                parts(row, |part| whole.extend_from_slice(part.bytes)).unwrap();
                assert_eq!(whole, row);
            }
        }
    }
});
