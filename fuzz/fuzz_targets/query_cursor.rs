//! Page cursors: what is read writes back to the same text, and is of its own query.
#![no_main]
use indelible_fuzz::cursor::{Cursor, print};
use indelible_fuzz::lang::{Query, View};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, Option<(u32, u64, i64, &str)>)| {
    let (text, made) = input;
    if let Ok(cursor) = Cursor::decode(text) {
        assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor.clone()));
        assert_eq!(cursor.check(cursor.print, cursor.from, cursor.to), Ok(()));
    }
    if let Some((tenant, size, time, id)) = made {
        let print = print(tenant, &Query::new(View::Records));
        let clock = (time % 2 == 0).then_some(time);
        let cursor = Cursor { print, clock, size, from: Some(time), to: None, time, id: id.to_owned() };
        assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor.clone()));
        assert!(cursor.check(print, None, None).is_err());
    }
});
