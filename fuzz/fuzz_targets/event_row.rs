//! Stored bytes: every field found is where it says, and the parts are the row.
#![no_main]
use event::encode::{FIELD_HEADER, fields, parts, put};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut again = Vec::new();
    let mut sound = true;
    for field in fields(data) {
        match field {
            Ok(field) => {
                assert_eq!(field.at, again.len());
                assert_eq!(&data[field.at + FIELD_HEADER..][..field.value.len()], field.value);
                let _ = (field.text(), field.time());
                put(&mut again, field.field, field.value);
            }
            Err(_) => sound = false,
        }
    }
    let mut whole = Vec::new();
    let split = parts(data, |part| {
        let _ = event::commit::person_of(&part);
        whole.extend_from_slice(part.bytes);
    });
    assert_eq!(split.is_ok(), sound);
    if sound {
        assert_eq!(again, data);
        assert_eq!(whole, data);
    }
});
