//! Ids, numbers, times and addresses as text, appended to bytes: what `generate` spends its time on.
//!
//! Owns: those spellings. Not here: which values there are.

use super::tables::{DOMAINS, FIRST, LAST, mix};

/// How many microseconds a day has.
pub const DAY: i64 = 86_400_000_000;

/// The e-mail address of person `user`.
pub fn email(user: usize, out: &mut Vec<u8>) {
    let spread = mix(user as u64);
    out.extend_from_slice(FIRST[(spread % 32) as usize].as_bytes());
    out.push(b'.');
    out.extend_from_slice(LAST[(spread >> 8) as usize % 32].as_bytes());
    decimal(user as u64, 1, out);
    out.push(b'@');
    out.extend_from_slice(DOMAINS[(spread >> 16) as usize % DOMAINS.len()].as_bytes());
}

/// A public-looking address, one in twelve of version 6.
pub fn address(bits: u64, out: &mut Vec<u8>) {
    let byte = |at: u32| bits >> (8 * at) & 0xFF;
    if byte(7) % 12 == 0 {
        out.extend_from_slice(b"2001:db8:");
        hex(bits & 0xFFFF | 0x1000, 4, out);
        out.push(b':');
        hex(bits >> 16 & 0xFFFF | 0x1000, 4, out);
        out.extend_from_slice(b"::");
        hex(bits >> 32 & 0xFF | 0x10, 2, out);
        return;
    }
    decimal(byte(0) % 190 + 20, 1, out);
    for at in 1..4 {
        out.push(b'.');
        decimal(byte(at), 1, out);
    }
}

/// The last `digits` hexadecimal digits of `bits`.
pub fn hex(bits: u64, digits: u32, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 16];
    for (at, place) in text.iter_mut().enumerate() {
        *place = DIGITS[(bits >> (60 - 4 * at) & 0xF) as usize];
    }
    out.extend_from_slice(&text[16 - digits as usize..]);
}

/// A UUID of these bits, with its version's digit and the variant set.
pub fn uuid(high: u64, low: u64, version: u8, out: &mut Vec<u8>) {
    let start = out.len();
    hex(high >> 32, 8, out);
    out.push(b'-');
    hex(high >> 16, 4, out);
    out.push(b'-');
    hex(high, 4, out);
    out.push(b'-');
    hex(low >> 48 & 0x3FFF | 0x8000, 4, out);
    out.push(b'-');
    hex(low, 12, out);
    out[start + 14] = version;
}

/// A decimal number with at least `digits` digits.
pub fn decimal(mut value: u64, digits: usize, out: &mut Vec<u8>) {
    let mut text = [b'0'; 20];
    let mut at = text.len();
    while value > 0 || at > text.len() - digits {
        at -= 1;
        text[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&text[at..]);
}

/// A time in microseconds since 1970 as RFC 3339, UTC, with all six digits (Hinnant's civil-from-days).
pub fn rfc3339(time: i64, out: &mut Vec<u8>) {
    let (days, micros) = (time.div_euclid(DAY) + 719_468, time.rem_euclid(DAY) as u64);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let seconds = micros / 1_000_000;
    for (value, digits, after) in [
        (year as u64, 4, b'-'),
        (month as u64, 2, b'-'),
        (day as u64, 2, b'T'),
        (seconds / 3_600, 2, b':'),
        (seconds / 60 % 60, 2, b':'),
        (seconds % 60, 2, b'.'),
        (micros % 1_000_000, 6, b'Z'),
    ] {
        decimal(value, digits, out);
        out.push(after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_read_as_they_should() {
        assert_eq!(text(|out| rfc3339(1_767_225_600_000_000, out)), "2026-01-01T00:00:00.000000Z");
        assert_eq!(text(|out| rfc3339(1_709_209_845_000_042, out)), "2024-02-29T12:30:45.000042Z");
        assert_eq!(text(|out| rfc3339(-1, out)), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn numbers_and_ids_have_their_form() {
        assert_eq!(text(|out| decimal(0, 1, out)), "0");
        assert_eq!(text(|out| decimal(42, 3, out)), "042");
        assert_eq!(text(|out| hex(0xAB, 4, out)), "00ab");
        let id = text(|out| uuid(u64::MAX, u64::MAX, b'7', out));
        assert_eq!(id, "ffffffff-ffff-7fff-bfff-ffffffffffff");
    }

    #[test]
    fn addresses_are_addresses() {
        let mut six = 0;
        for user in 0..5_000 {
            let ip: std::net::IpAddr = text(|out| address(mix(user), out)).parse().unwrap();
            six += u32::from(ip.is_ipv6());
            assert_eq!(text(|out| email(user as usize, out)).matches('@').count(), 1);
        }
        assert!((200..800).contains(&six), "{six}");
    }
}
