//! Which texts may have a secret in them at all.
//!
//! Owns the one look that nearly every text gets. Not here: what is looked for (`super`).

/// Three letters of each anchor, small ones, that little else has: `riz` and not `iza`, which stands in every organization.
const MARKS: [&[u8; 3]; 19] = [
    b"eyj", b"ry_", b"bea", b"bas", b"riz", b"oki", b"oke", b"key", b"ass", b"pwd", b"ecr", b"otp", b"cod", b"riv",
    b"mlr", b"rai", b"://", b"nd_", b"pin",
];
/// The mark of a PEM, of which a longer text is asked for than of the others.
const DASHES: &[u8; 3] = b"---";

/// Letter `b`, in either case, may stand at place `p` of mark `m` where bit `m` of `WHOLE[p][b]` is set.
static WHOLE: [[u32; 256]; 3] = {
    let mut table = [[0; 256]; 3];
    let mut mark = 0;
    while mark <= MARKS.len() {
        let mut place = 0;
        while place < 3 {
            let letter = mark_at(mark)[place];
            table[place][letter as usize] |= 1 << mark;
            table[place][letter.to_ascii_uppercase() as usize] |= 1 << mark;
            place += 1;
        }
        mark += 1;
    }
    table
};

/// Two letters that stand together in a mark: the same for each of [`pairs`], of which several marks share some.
static PAIRS: [[u64; 256]; 2] = {
    let mut table = [[0; 256]; 2];
    let (all, count) = pairs();
    let mut pair = 0;
    while pair < count {
        let mut place = 0;
        while place < 2 {
            let letter = all[pair][place];
            table[place][letter as usize] |= 1 << pair;
            table[place][letter.to_ascii_uppercase() as usize] |= 1 << pair;
            place += 1;
        }
        pair += 1;
    }
    table
};

const fn mark_at(mark: usize) -> &'static [u8; 3] {
    if mark < MARKS.len() { MARKS[mark] } else { DASHES }
}

/// The first two and the last two letters of every mark, each once, and how many they are.
const fn pairs() -> ([[u8; 2]; 64], usize) {
    let (mut all, mut count) = ([[0; 2]; 64], 0);
    let mut part = 0;
    while part < 2 * (MARKS.len() + 1) {
        let mark = mark_at(part / 2);
        let pair = [mark[part % 2], mark[part % 2 + 1]];
        let mut known = 0;
        while known < count && (all[known][0] != pair[0] || all[known][1] != pair[1]) {
            known += 1;
        }
        if known == count {
            // More than there is room for would not compile.
            all[count] = pair;
            count += 1;
        }
        part += 1;
    }
    (all, count)
}

/// Whether an anchor may stand somewhere in the text; nearly every text costs no more than this. Wherever a mark stands, two of its
/// letters are at an even place and the one behind it. So only those are looked at, and the third only where they fit.
pub(in crate::redact) fn suspicious(text: &str) -> bool {
    let bytes = text.as_bytes();
    let pair = |a: u8, b: u8| PAIRS[0][usize::from(a)] & PAIRS[1][usize::from(b)];
    let (words, tail) = bytes.as_chunks::<8>();
    for (i, [a, b, c, d, e, f, g, h]) in words.iter().enumerate() {
        if pair(*a, *b) | pair(*c, *d) | pair(*e, *f) | pair(*g, *h) != 0 && marked(bytes, 8 * i, 8) {
            return true;
        }
    }
    let from = 8 * words.len();
    tail.as_chunks::<2>().0.iter().enumerate().any(|(i, [a, b])| pair(*a, *b) != 0 && marked(bytes, from + 2 * i, 2))
}

/// Whether a mark stands at these places, or begins right before them, or ends right behind.
#[cold]
fn marked(bytes: &[u8], from: usize, len: usize) -> bool {
    let end = (from + len + 1).min(bytes.len());
    let [first, second, third] = &WHOLE;
    bytes.get(from.saturating_sub(1)..end).unwrap_or_default().windows(3).any(|window| match window {
        [a, b, c] => first[usize::from(*a)] & second[usize::from(*b)] & third[usize::from(*c)] != 0,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{ANCHOR_SEARCH, ANCHORS};
    use super::*;

    #[test]
    fn every_anchor_is_suspicious_wherever_it_stands() {
        for (anchor, _) in ANCHORS {
            for before in [0, 1, 3, 60, 61, 62, 63, 64, 65, 66, 67, 68, 130] {
                for after in [0, 1, 2, 70] {
                    for anchor in [(*anchor).to_owned(), anchor.to_uppercase()] {
                        let text = format!("{}{anchor}{}", ".".repeat(before), ".".repeat(after));
                        assert!(suspicious(&text), "{text}");
                    }
                }
            }
        }
        for (anchor, _) in ANCHORS {
            let marks = MARKS.iter().copied().chain([DASHES]);
            assert_eq!(
                marks.filter(|mark| anchor.as_bytes().windows(3).any(|w| w == *mark)).count().min(1),
                1,
                "{anchor}"
            );
        }
        assert!(!suspicious(""));
        assert!(!suspicious(
            r#"{"log":"event","action":"LoginSucceeded","actor":{"email":"ann@example.org"},"ip":"192.0.2.7"}"#
        ));
    }

    proptest::proptest! {
        #[test]
        fn a_text_is_suspicious_where_the_slow_way_says(text in "[eyjJrR_bBaszioOkKpPwWdcCtvmlnN:/. -]{0,30}(eYj|bea|---|://|sWd|nD_)?[a-zA-Z\u{e9}\u{212a}]{0,3}") {
            let small = text.to_ascii_lowercase();
            let marks = MARKS.iter().copied().chain([DASHES]).map(|mark| std::str::from_utf8(mark).unwrap());
            proptest::prop_assert_eq!(suspicious(&text), marks.into_iter().any(|mark| small.contains(mark)));
        }

        #[test]
        fn no_anchor_stands_in_a_text_that_is_not_suspicious(
            before in "[a-zA-Z_:/. -]{0,20}", after in "[a-zA-Z_:/. -]{0,20}", anchor in 0..ANCHORS.len(), from in 0usize..3, to in 0usize..3,
        ) {
            let anchor = ANCHORS[anchor].0;
            let part = anchor.get(from..anchor.len().saturating_sub(to)).unwrap_or_default();
            for text in [format!("{before}{part}{after}"), format!("{before}{}{after}", part.to_uppercase())] {
                proptest::prop_assert!(suspicious(&text) || ANCHOR_SEARCH.find(&*text).is_none(), "{}", text);
            }
        }
    }
}
