//! Page cursors: what is read writes back to the same text; nothing of another query is read.
#![no_main]
use indelible_fuzz::cursor::{Cursor, CursorError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, &str, Option<(u64, i64, &str)>)| {
    let (print, text, made) = input;
    if let Ok(cursor) = Cursor::decode(text, print) {
        assert_eq!(Cursor::decode(&cursor.encode(print), print), Ok(cursor.clone()));
        assert_eq!(Cursor::decode(text, print ^ 1), Err(CursorError::OtherQuery));
    }
    if let Some((size, time, id)) = made {
        let cursor = Cursor { size, from: Some(time), to: None, time, id: id.to_owned() };
        if let Ok(read) = Cursor::decode(&cursor.encode(print), print) {
            assert_eq!(read, cursor);
        }
    }
});
