//! One page of a Parquet column chunk, unpacked.
//!
//! Owns: the page header (Thrift's compact protocol, the few fields that are needed), unpacking, and where in
//! the unpacked bytes levels and values lie. Not here: values ([`crate::column`]), which page, caching
//! ([`crate::pages`]).
//!
//! Why not the `parquet` crate's reader: it makes a decoder with a zstd context per column and unpacks and
//! copies every value up to the wanted one; reading one row took 2 of 3 ms that way.

use crate::packed::{Hybrid, Run, varint, zigzag};
use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;
use std::cell::RefCell;
use zstd::bulk::Decompressor;
use zstd::stream::raw::{Decoder, Operation};

/// How the values of a page are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As they are: texts after their length in four bytes, booleans as bits.
    Plain,
    /// As numbers of dictionary entries.
    Dictionary,
    /// Integers as packed differences.
    DeltaPacked,
    /// All lengths, then all texts.
    DeltaLength,
    /// What each text shares with the one before, then the rest of it.
    DeltaText,
}

/// An unpacked page.
#[derive(Debug)]
pub(crate) struct Page {
    bytes: Vec<u8>,
    /// Whether that is all of it.
    pub(crate) whole: bool,
    /// Rows of a data page, entries of a dictionary.
    pub(crate) rows: usize,
    /// `None`: an encoding that this code does not know.
    pub(crate) coding: Option<Coding>,
    pub(crate) dictionary: bool,
}

/// A data page with its nulls.
pub(crate) struct Values<'a> {
    /// Which rows have a value; `None` where all have.
    pub(crate) valid: Option<BooleanBuffer>,
    /// How many values there are.
    pub(crate) count: usize,
    /// The encoded values.
    pub(crate) data: &'a [u8],
}

/// Largest page that is unpacked: its texts must have offsets of 32 bits.
const MOST: usize = i32::MAX as usize;

impl Page {
    /// Unpacks a page from its bytes in the file, header and all. `most` is how many rows it can have.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub(crate) fn read(raw: &[u8], most: usize) -> Result<Page, &'static str> {
        Page::read_first(raw, most, usize::MAX)
    }

    /// Like [`Page::read`], but of a dictionary only so much that most likely the first `entries` are there.
    pub(crate) fn read_first(raw: &[u8], most: usize, entries: usize) -> Result<Page, &'static str> {
        let (head, at) = Header::read(raw).ok_or("a page header cannot be read")?;
        let packed = raw.get(at..).and_then(|rest| rest.get(..head.packed)).ok_or("a page is cut off")?;
        if head.unpacked > MOST || head.rows > most {
            return Err("a page is larger than it can be");
        }
        let part = match head.dictionary {
            // By their mean length and a little more.
            true => entries.saturating_mul(head.unpacked / head.rows.max(1) + 1).saturating_add(1024),
            false => usize::MAX,
        };
        let bytes = if part < head.unpacked / 2 { unpack_first(packed, part)? } else { unpack(packed, head.unpacked)? };
        if bytes.len() != head.unpacked.min(part) && bytes.len() != head.unpacked {
            return Err("a page does not have its length");
        }
        let coding = match head.coding {
            0 => Some(Coding::Plain),
            2 | 8 => Some(if head.dictionary { Coding::Plain } else { Coding::Dictionary }),
            5 => Some(Coding::DeltaPacked),
            6 => Some(Coding::DeltaLength),
            7 => Some(Coding::DeltaText),
            _ => None,
        };
        let whole = bytes.len() == head.unpacked;
        Ok(Page { bytes, whole, rows: head.rows, coding, dictionary: head.dictionary })
    }

    /// Bytes it holds in memory.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Levels and values of a data page; `optional` where its column may be null.
    pub(crate) fn values(&self, optional: bool) -> Result<Values<'_>, &'static str> {
        if !optional {
            return Ok(Values { valid: None, count: self.rows, data: &self.bytes });
        }
        let short = "a page's levels are cut off";
        let length = self.bytes.first_chunk().map(|c| u32::from_le_bytes(*c) as usize).ok_or(short)?;
        let levels = self.bytes.get(4..).and_then(|b| b.get(..length)).ok_or(short)?;
        let data = self.bytes.get(4 + length..).ok_or(short)?;
        let valid = valid(levels, self.rows).ok_or("a page's levels cannot be read")?;
        let count = valid.count_set_bits();
        Ok(Values { valid: (count < self.rows).then_some(valid), count, data })
    }
}

/// Which rows have a value.
fn valid(levels: &[u8], rows: usize) -> Option<BooleanBuffer> {
    let mut hybrid = Hybrid::new(levels, 1)?;
    let mut out = BooleanBufferBuilder::new(rows);
    while out.len() < rows {
        match hybrid.run(rows - out.len())? {
            Run::Same(n, level) => out.append_n(n, level == 1),
            Run::Packed(n, bit) => {
                if bit + n > levels.len() * 8 {
                    return None;
                }
                out.append_packed_range(bit..bit + n, levels);
            }
        }
    }
    Some(out.finish())
}

thread_local! {
    // Making a context costs as much as unpacking a page.
    static ZSTD: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    static ZSTD_FIRST: RefCell<Option<Decoder<'static>>> = const { RefCell::new(None) };
}

/// The first `length` bytes of a longer page.
fn unpack_first(packed: &[u8], length: usize) -> Result<Vec<u8>, &'static str> {
    let failed = "a page cannot be unpacked";
    ZSTD_FIRST.with_borrow_mut(|kept| {
        let context = match kept {
            Some(context) => context,
            None => kept.insert(Decoder::new().map_err(|_| failed)?),
        };
        context.reinit().map_err(|_| failed)?;
        let mut out = vec![0; length];
        let (mut read, mut written) = (0, 0);
        while written < length {
            let (rest, room) = (packed.get(read..).unwrap_or_default(), out.get_mut(written..).unwrap_or_default());
            let step = context.run_on_buffers(rest, room).map_err(|_| failed)?;
            if step.bytes_read == 0 && step.bytes_written == 0 {
                return Err(failed);
            }
            read += step.bytes_read;
            written += step.bytes_written;
        }
        Ok(out)
    })
}

fn unpack(packed: &[u8], length: usize) -> Result<Vec<u8>, &'static str> {
    let failed = "a page cannot be unpacked";
    if length == 0 && packed.is_empty() {
        return Ok(Vec::new());
    }
    ZSTD.with_borrow_mut(|kept| {
        let context = match kept {
            Some(context) => context,
            None => kept.insert(Decompressor::new().map_err(|_| failed)?),
        };
        context.decompress(packed, length).map_err(|_| failed)
    })
}

/// What of a page header is needed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Header {
    unpacked: usize,
    packed: usize,
    rows: usize,
    coding: i64,
    dictionary: bool,
}

/// Thrift's compact types.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const STRUCT: u8 = 12;
/// Page headers nest three deep.
const DEPTH: u32 = 8;

impl Header {
    /// The header, and where it ends.
    fn read(bytes: &[u8]) -> Option<(Header, usize)> {
        let mut at = 0;
        let mut head = Header::default();
        let mut kind = None;
        let mut inner = false;
        let mut field = 0;
        while let Some(of) = next_field(bytes, &mut at, &mut field)? {
            match (field, of) {
                (1, I32) => kind = Some(zigzag(bytes, &mut at)?),
                (2, I32) => head.unpacked = usize::try_from(zigzag(bytes, &mut at)?).ok()?,
                (3, I32) => head.packed = usize::try_from(zigzag(bytes, &mut at)?).ok()?,
                // Of a data page and of a dictionary page: both begin with count and encoding.
                (5 | 7, STRUCT) => {
                    inner = true;
                    let mut part = 0;
                    while let Some(of) = next_field(bytes, &mut at, &mut part)? {
                        match (part, of) {
                            (1, I32) => head.rows = usize::try_from(zigzag(bytes, &mut at)?).ok()?,
                            (2, I32) => head.coding = zigzag(bytes, &mut at)?,
                            _ => skip(bytes, &mut at, of, DEPTH)?,
                        }
                    }
                }
                _ => skip(bytes, &mut at, of, DEPTH)?,
            }
        }
        head.dictionary = match kind? {
            0 => false,
            2 => true,
            // A version 2 data page: nobody writes one here.
            _ => return None,
        };
        inner.then_some((head, at))
    }
}

/// The next field's type; the inner `None` ends the struct.
fn next_field(bytes: &[u8], at: &mut usize, field: &mut i64) -> Option<Option<u8>> {
    let head = *bytes.get(*at)?;
    *at += 1;
    if head == 0 {
        return Some(None);
    }
    *field = match head >> 4 {
        0 => zigzag(bytes, at)?,
        more => field.checked_add(i64::from(more))?,
    };
    Some(Some(head & 15))
}

fn skip(bytes: &[u8], at: &mut usize, of: u8, depth: u32) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    match of {
        TRUE | FALSE => {}
        BYTE => *at += 1,
        I16 | I32 | I64 => {
            varint(bytes, at)?;
        }
        DOUBLE => *at += 8,
        BINARY => {
            let n = usize::try_from(varint(bytes, at)?).ok()?;
            *at = at.checked_add(n)?;
        }
        LIST | SET => {
            let head = *bytes.get(*at)?;
            *at += 1;
            let n = match head >> 4 {
                15 => varint(bytes, at)?,
                n => u64::from(n),
            };
            for _ in 0..n {
                // Truth values stand as a byte of their own in a list.
                match head & 15 {
                    TRUE | FALSE => *at += 1,
                    of => skip(bytes, at, of, depth)?,
                }
                if *at > bytes.len() {
                    return None;
                }
            }
        }
        STRUCT => {
            let mut field = 0;
            while let Some(of) = next_field(bytes, at, &mut field)? {
                skip(bytes, at, of, depth)?;
            }
        }
        _ => return None,
    }
    (*at <= bytes.len()).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, most in 0usize..5000) {
            if let Some((_, end)) = Header::read(&bytes) {
                prop_assert!(end <= bytes.len());
            }
            if let Ok(page) = Page::read(&bytes, most) {
                let _ = page.values(true);
            }
        }

        #[test]
        fn a_page_of_any_bytes_has_levels_or_none(bytes: Vec<u8>, rows in 0usize..5000) {
            let page = Page { bytes, whole: true, rows, coding: None, dictionary: false };
            if let Ok(values) = page.values(true) {
                prop_assert!(values.count <= rows);
                prop_assert_eq!(values.valid.is_none(), values.count == rows);
            }
        }
    }
}
