//! Numbers of bytes in words, for messages about limits.

/// `16 MiB (16777216 bytes)` where it is a whole number of MiB or KiB, else `17 bytes`.
pub fn in_words(bytes: usize) -> String {
    for (unit, name) in [(1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes > 0 && bytes.is_multiple_of(unit) {
            return format!("{} {name} ({bytes} bytes)", bytes / unit);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    #[test]
    fn whole_units_are_said() {
        for (bytes, said) in [
            (16 << 20, "16 MiB (16777216 bytes)"),
            (64 << 10, "64 KiB (65536 bytes)"),
            (1 << 20, "1 MiB (1048576 bytes)"),
            ((1 << 20) + 1, "1048577 bytes"),
            (0, "0 bytes"),
        ] {
            assert_eq!(super::in_words(bytes), said);
        }
    }
}
