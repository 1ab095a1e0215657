//! Steps over the bytes of texts, eight at a time.
//!
//! Owns where a text in quotes ends and how far it has no escape. Not here: what escapes mean, and errors (`super`).

/// Where a text in quotes ends, after its closing quote, that goes on at `at`; or where the bytes end before it does.
#[inline]
pub(super) fn text_end(bytes: &[u8], mut at: usize) -> std::result::Result<usize, usize> {
    loop {
        at += run(bytes.get(at..).unwrap_or_default(), quotes, |b| b == b'"' || b == b'\\');
        match bytes.get(at) {
            None => return Err(at),
            Some(b'"') => return Ok(at + 1),
            Some(_) => at += 2,
        }
    }
}

/// How many bytes come before the first that JSON's strings do not have as they are: a quote, a backslash or
/// a control character.
#[inline]
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    run(bytes, |word| quotes(word) | word.wrapping_sub(ONES * 0x20), |b| b < 0x20 || b == b'"' || b == b'\\')
}

/// Whether a text has a NUL character. Texts of fields are so short that looking for it in a way made for long ones takes longer.
pub(crate) fn has_nul(text: &str) -> bool {
    let has = |word: &[u8; 8]| first(u64::from_le_bytes(*word), nul) != 0;
    let (words, tail) = text.as_bytes().as_chunks();
    match text.as_bytes().last_chunk() {
        Some(last) => words.iter().any(has) || has(last),
        None => tail.contains(&0),
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Has the high bit of each byte that is a quote or a backslash, as [`first`] takes it.
#[inline]
fn quotes(word: u64) -> u64 {
    nul(word ^ (ONES * b'"' as u64)) | nul(word ^ (ONES * b'\\' as u64))
}

/// Has the high bit of each byte of ASCII that is 0. What it borrows to have one taken away changes no byte before it.
#[inline]
fn nul(word: u64) -> u64 {
    word.wrapping_sub(ONES)
}

/// The high bits that `found` has of bytes of ASCII. That of the first is right, those behind it need not be.
#[inline]
fn first(word: u64, found: impl Fn(u64) -> u64) -> u64 {
    found(word) & !word & HIGH
}

/// How many bytes come before the first that `ends` names. Eight at a time, in which `found` marks it.
#[inline]
fn run(bytes: &[u8], found: impl Fn(u64) -> u64, ends: impl Fn(u8) -> bool) -> usize {
    let mut rest = bytes;
    while let Some((eight, after)) = rest.split_first_chunk() {
        let marks = first(u64::from_le_bytes(*eight), &found);
        if marks != 0 {
            return bytes.len() - rest.len() + marks.trailing_zeros() as usize / 8;
        }
        rest = after;
    }
    bytes.len() - rest.len() + rest.iter().take_while(|b| !ends(**b)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_plain_run_ends_where_the_slow_way_says(text in "[ -~\"\\\\\u{1}\u{1f}\u{20}\u{7f}äöü\u{10ffff}]{0,40}") {
            let slow = text.bytes().position(|b| b < 0x20 || b == b'"' || b == b'\\').unwrap_or(text.len());
            proptest::prop_assert_eq!(plain_run(text.as_bytes()), slow);
        }

        #[test]
        fn a_text_ends_where_the_slow_way_says(text in "[a-c\"\\\\\u{1}ä]{0,40}") {
            let (mut escaped, mut slow) = (false, Err(text.len()));
            for (i, b) in text.bytes().enumerate() {
                match b {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => {
                        slow = Ok(i + 1);
                        break;
                    }
                    _ => {}
                }
            }
            let found = text_end(text.as_bytes(), 0);
            proptest::prop_assert_eq!(found.is_ok(), slow.is_ok());
            if slow.is_ok() {
                proptest::prop_assert_eq!(found, slow);
            }
        }
    }
}
