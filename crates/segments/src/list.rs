//! The text of a list: a canonical JSON array of strings.
//!
//! Owns the escaping of RFC 8785 in both directions, byte for byte. Reading accepts only what writing makes,
//! because the stored row must come back exactly. Not here: JSON of any other shape.

/// Appends one string, quoted.
pub(crate) fn put(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\') {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((&byte, tail)) = tail.split_first() else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(hex(byte >> 4));
                out.push(hex(byte & 15));
            }
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

/// Calls `each` with every element, unescaped. `None` where the text is not what [`put`] makes.
pub(crate) fn each(text: &[u8], scratch: &mut Vec<u8>, mut each: impl FnMut(&[u8])) -> Option<()> {
    let mut rest = text.strip_prefix(b"[")?;
    loop {
        rest = rest.strip_prefix(b"\"")?;
        scratch.clear();
        loop {
            let at = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\')?;
            let (plain, tail) = rest.split_at(at);
            scratch.extend_from_slice(plain);
            let (&byte, tail) = tail.split_first()?;
            rest = tail;
            match byte {
                b'"' => break,
                b'\\' => {}
                _ => return None,
            }
            let (&code, tail) = rest.split_first()?;
            rest = tail;
            scratch.push(match code {
                b'"' | b'\\' => code,
                b'b' => 0x08,
                b't' => b'\t',
                b'n' => b'\n',
                b'f' => 0x0c,
                b'r' => b'\r',
                b'u' => {
                    let (digits, tail) = rest.split_at_checked(4)?;
                    rest = tail;
                    let [b'0', b'0', high, low] = *digits else { return None };
                    unhex(high)? << 4 | unhex(low)?
                }
                _ => return None,
            });
        }
        each(scratch);
        rest = match *rest {
            [b']'] => return Some(()),
            [b',', ref tail @ ..] => tail,
            _ => return None,
        };
    }
}

fn unhex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn write(elements: &[Vec<u8>]) -> Vec<u8> {
        let mut out = vec![b'['];
        for (i, e) in elements.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            put(&mut out, e);
        }
        out.push(b']');
        out
    }

    fn read(text: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut got = Vec::new();
        each(text, &mut Vec::new(), |e| got.push(e.to_vec()))?;
        Some(got)
    }

    #[test]
    fn escapes_as_rfc_8785() {
        assert_eq!(
            write(&[b"a\"\\\x08\t\n\x0c\r\x01\x1f\x7f/".to_vec()]),
            b"[\"a\\\"\\\\\\b\\t\\n\\f\\r\\u0001\\u001f\x7f/\"]"
        );
        for bad in
            ["", "[", "[]", "[\"a\"", "[\"a\",]", "[\"a\"]x", "[\"\\x\"]", "[\"\\u0100\"]", "[\"\\u000A\"]", "[1]"]
        {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(elements in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5)) {
            prop_assert_eq!(read(&write(&elements)), Some(elements));
        }

        #[test]
        fn never_panics(text in prop::collection::vec(prop_oneof![Just(b'['), Just(b'"'), Just(b'\\'), Just(b'u'), any::<u8>()], 0..30)) {
            let _ = read(&text);
        }
    }
}
