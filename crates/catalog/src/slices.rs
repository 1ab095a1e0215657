//! The blob that says which rows of a segment belong to which tenant, with their ranges of time and index.
//!
//! ```text
//! "ISLC" | version u8 = 1 | count varint | count x slice | SHA-256 of all before, first 8 bytes
//! slice := tenant - previous tenant      zigzag varint
//!          row_start - previous row end  zigzag varint     (0 when slices touch)
//!          rows                          varint
//!          min_time - previous min_time  zigzag varint
//!          max_time - min_time           zigzag varint
//!          min_index                     varint
//!          max_index - min_index         zigzag varint
//! ```
//!
//! Differences wrap around 2^64, so every slice has an encoding, and the previous of the first is all zeros.
//! About 15 bytes for a usual slice. This module does not judge what slices say; `segments.rs` does.

use crate::segments::Slice;
use crate::sum::short_hash;

const MAGIC: &[u8; 4] = b"ISLC";
const VERSION: u8 = 1;
pub(crate) const CHECK_BYTES: usize = 8;
/// Seven numbers of one byte each.
const SMALLEST_SLICE: usize = 7;

/// Why bytes are not a slices blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlicesError {
    /// Shorter than an empty blob.
    #[error("the slices are cut short")]
    CutShort,
    /// Not this format.
    #[error("the slices do not begin with their magic")]
    Magic,
    /// A version from the future.
    #[error("the slices have version {0}, and this program knows 1")]
    Version(u8),
    /// Changed since they were written.
    #[error("the checksum of the slices does not match")]
    Checksum,
    /// The checksum holds, but what is inside is not the format.
    #[error("the slices are malformed")]
    Malformed,
}

/// The blob of these slices.
pub fn encode_slices(slices: &[Slice]) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + slices.len() * 24);
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    put(&mut out, slices.len() as u64);
    let (mut tenant, mut row_end, mut min_time) = (0u64, 0u64, 0u64);
    for slice in slices {
        let this_tenant = u64::from(slice.tenant);
        let this_min_time = slice.min_time as u64;
        put_difference(&mut out, this_tenant, tenant);
        put_difference(&mut out, slice.row_start, row_end);
        put(&mut out, slice.rows);
        put_difference(&mut out, this_min_time, min_time);
        put_difference(&mut out, slice.max_time as u64, this_min_time);
        put(&mut out, slice.min_index);
        put_difference(&mut out, slice.max_index, slice.min_index);
        (tenant, row_end, min_time) = (this_tenant, slice.row_start.wrapping_add(slice.rows), this_min_time);
    }
    let check = short_hash(&out);
    out.extend_from_slice(&check);
    out
}

/// The slices of this blob.
///
/// # Errors
///
/// When a single byte of it is not what was written. Allocates at most a small multiple of the blob.
pub fn decode_slices(blob: &[u8]) -> Result<Vec<Slice>, SlicesError> {
    let (content, check) = blob.split_last_chunk::<CHECK_BYTES>().ok_or(SlicesError::CutShort)?;
    let body = content.strip_prefix(MAGIC).ok_or(SlicesError::Magic)?;
    let (&version, body) = body.split_first().ok_or(SlicesError::CutShort)?;
    if version != VERSION {
        return Err(SlicesError::Version(version));
    }
    if short_hash(content) != *check {
        return Err(SlicesError::Checksum);
    }
    decode_body(body).ok_or(SlicesError::Malformed)
}

fn decode_body(body: &[u8]) -> Option<Vec<Slice>> {
    let mut rest = body;
    let count = usize::try_from(take(&mut rest)?).ok()?;
    if count > rest.len() / SMALLEST_SLICE {
        return None;
    }
    let mut slices = Vec::with_capacity(count);
    let (mut tenant, mut row_end, mut min_time) = (0u64, 0u64, 0u64);
    for _ in 0..count {
        tenant = take_difference(&mut rest, tenant)?;
        let row_start = take_difference(&mut rest, row_end)?;
        let rows = take(&mut rest)?;
        min_time = take_difference(&mut rest, min_time)?;
        let max_time = take_difference(&mut rest, min_time)?;
        let min_index = take(&mut rest)?;
        let max_index = take_difference(&mut rest, min_index)?;
        row_end = row_start.wrapping_add(rows);
        slices.push(Slice {
            tenant: u32::try_from(tenant).ok()?,
            row_start,
            rows,
            min_time: min_time as i64,
            max_time: max_time as i64,
            min_index,
            max_index,
        });
    }
    rest.is_empty().then_some(slices)
}

/// LEB128.
fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_difference(out: &mut Vec<u8>, value: u64, previous: u64) {
    let difference = value.wrapping_sub(previous) as i64;
    put(out, ((difference << 1) ^ (difference >> 63)) as u64);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        let bits = u64::from(byte & 0x7F);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take_difference(rest: &mut &[u8], previous: u64) -> Option<u64> {
    let zigzag = take(rest)?;
    Some(previous.wrapping_add((zigzag >> 1) ^ (zigzag & 1).wrapping_neg()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slice() -> impl Strategy<Value = Slice> {
        let edge = || prop_oneof![3 => 0u64..1000, 1 => any::<u64>(), 1 => Just(u64::MAX)];
        (any::<u32>(), edge(), edge(), any::<i64>(), any::<i64>(), edge(), edge()).prop_map(
            |(tenant, row_start, rows, min_time, max_time, min_index, max_index)| Slice {
                tenant,
                row_start,
                rows,
                min_time,
                max_time,
                min_index,
                max_index,
            },
        )
    }

    proptest! {
        #[test]
        fn any_slices_round_trip(slices in proptest::collection::vec(slice(), 0..50)) {
            prop_assert_eq!(decode_slices(&encode_slices(&slices)), Ok(slices));
        }

        #[test]
        fn any_corruption_is_an_error(
            slices in proptest::collection::vec(slice(), 0..20),
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
            extra in proptest::collection::vec(any::<u8>(), 1..9),
        ) {
            let good = encode_slices(&slices);
            let mut flipped = good.clone();
            flipped[at.index(good.len())] ^= flip;
            prop_assert!(decode_slices(&flipped).is_err());
            prop_assert!(decode_slices(&good[..at.index(good.len())]).is_err());
            prop_assert!(decode_slices(&[&good[..], &extra].concat()).is_err());
        }

        #[test]
        fn bytes_with_a_right_checksum_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut blob = [&MAGIC[..], &[VERSION], &body].concat();
            blob.extend_from_slice(&short_hash(&blob));
            if let Ok(slices) = decode_slices(&blob) {
                prop_assert_eq!(decode_slices(&encode_slices(&slices)), Ok(slices));
            }
        }
    }

    /// Frozen: a change here is a new version of the format.
    #[test]
    fn golden() {
        let slices = [
            Slice { tenant: 1, row_start: 0, rows: 300, min_time: -5, max_time: 1_000, min_index: 7, max_index: 306 },
            Slice { tenant: 9, row_start: 300, rows: 1, min_time: 20, max_time: 20, min_index: 0, max_index: 0 },
        ];
        let hex: String = encode_slices(&slices).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "49534c4301020200ac0209da0f07d604100001320000006b8e46c6908b178b");
    }
}
