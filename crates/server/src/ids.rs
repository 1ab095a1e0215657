//! UUIDv7 ids (RFC 9562) for records and requests that come without one.
//!
//! Random bits are drawn in blocks: an id per record must not cost a system call.

use std::sync::Mutex;

/// Makes ids.
#[derive(Debug, Default)]
pub struct Ids(Mutex<Pool>);

#[derive(Debug, Default)]
struct Pool {
    bytes: Vec<u8>,
}

impl Ids {
    /// A new id for this time, microseconds since 1970.
    pub fn next(&self, now: i64) -> String {
        let mut random = [0u8; 10];
        {
            let mut pool = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if pool.bytes.len() < 10 {
                let mut fresh = vec![0; 4000];
                if getrandom::fill(&mut fresh).is_err() {
                    // Ids need be unique, not secret: without random bytes the address of a fresh block and the
                    // clock still tell two ids apart, and the ledger refuses a repetition.
                    let salt = (now as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ fresh.as_ptr() as u64;
                    fresh.iter_mut().enumerate().for_each(|(i, b)| *b = (salt.rotate_left(i as u32) >> 7) as u8);
                }
                pool.bytes = fresh;
            }
            let at = pool.bytes.len() - 10;
            random.copy_from_slice(&pool.bytes[at..]);
            pool.bytes.truncate(at);
        }
        let millis = (now / 1000).max(0) as u64;
        let mut b = [0u8; 16];
        b[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        b[6..].copy_from_slice(&random);
        b[6] = 0x70 | (b[6] & 0x0f);
        b[8] = 0x80 | (b[8] & 0x3f);
        let hex = crate::hex(&b);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}
