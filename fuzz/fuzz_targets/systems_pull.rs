//! A status, a link, then a NUL, then a body: what a system that is asked may answer.
#![no_main]
use libfuzzer_sys::fuzz_target;
use systems::pull::{Answer, PULLS, Window, token};

fuzz_target!(|data: &[u8]| {
    let (head, body) =
        data.iter().position(|b| *b == 0).map_or((&data[..0], data), |at| (&data[..at], &data[at + 1..]));
    let link = String::from_utf8_lossy(head).into_owned();
    let headers = [("link", &link), ("retry-after", &link)].map(|(n, v)| (n.to_owned(), v.clone()));
    let answer = Answer { status: 200, headers: &headers, body };
    let now = 1_795_176_000_000_000;
    let _ = token(&answer, now);
    for pull in PULLS {
        for page in [None, Some("17")] {
            let window = Window { from: now - 86_400_000_000, to: now };
            if let Ok(got) = pull.read(window, page, &answer, now) {
                assert!(got.next.is_none() || got.next.as_deref() != page);
                assert_eq!(got.count == 0, got.body.is_empty());
            }
        }
    }
});
