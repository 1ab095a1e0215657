//! The little text grammar that all the formats here share: base64 hashes and canonical decimals.
//!
//! Owns strictness: every value has exactly one accepted spelling.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hash::Hash;

/// Standard base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Strict inverse of [`base64`]: padding required, trailing bits zero, no white space.
pub(crate) fn unbase64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// One base64 hash of exactly 32 bytes.
pub(crate) fn unbase64_hash(text: &str) -> Option<Hash> {
    // 44 characters; checked first so that a long line is not decoded for nothing.
    if text.len() != 44 {
        return None;
    }
    unbase64(text)?.try_into().ok()
}

/// An ASCII decimal without sign or leading zero (except `0` itself), at most `max`.
pub(crate) fn decimal(text: &str, max: u64) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    if !canonical || text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|value| *value <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_has_one_spelling() {
        for (text, want) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("100", Some(100)),
            ("101", None),
            ("", None),
            ("00", None),
            ("07", None),
            ("+7", None),
            ("-0", None),
            ("7 ", None),
            ("٧", None),
            ("18446744073709551616", None),
        ] {
            assert_eq!(decimal(text, 100), want, "{text:?}");
        }
        assert_eq!(decimal("18446744073709551615", u64::MAX), Some(u64::MAX));
    }

    #[test]
    fn base64_has_one_spelling() {
        assert_eq!(unbase64("AA=="), Some(vec![0]));
        for bad in ["AA", "AA=", "AB==", "AA==\n", " AA==", "A_==", "AA==="] {
            assert_eq!(unbase64(bad), None, "{bad:?}");
        }
    }
}
