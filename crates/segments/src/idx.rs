//! The `.idx` file: filters and block checksums of one segment, as bytes.
//!
//! Owns its layout (`docs/formats/segment.md`). Everything in it is derived from the Parquet file beside it
//! and can be made anew ([`crate::rebuild_filters`]). Not here: what filters mean.

use crate::error::{Error, Result};
use crate::filters::{BLOCK_ROWS, Filters};
use std::path::Path;
use xorf::{BinaryFuse8, BinaryFuse16, Descriptor};

const MAGIC: &[u8; 8] = b"indl.idx";
const VERSION: u32 = 2;
const LOOKUPS: u32 = 1;
const IDS: u32 = 2;
const BLOCKS: u32 = 3;

/// What the file holds.
#[derive(Debug)]
pub(crate) struct Idx {
    pub(crate) id: u64,
    pub(crate) rows: u64,
    pub(crate) parquet_bytes: u64,
    pub(crate) filters: Filters,
    pub(crate) blocks: Vec<u32>,
}

/// The bytes of a whole file.
pub(crate) fn encode(id: u64, rows: u64, parquet_bytes: u64, filters: &Filters, blocks: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(filters.memory() + blocks.len() * 4 + 256);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(BLOCK_ROWS as u32).to_le_bytes());
    for n in [id, rows, parquet_bytes] {
        out.extend_from_slice(&n.to_le_bytes());
    }
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    section(&mut out, LOOKUPS, |out| {
        count(out, filters.blocks.len());
        for filter in &filters.blocks {
            descriptor(out, filter.as_ref().map(|f| &f.descriptor));
            let bytes = filter.as_ref().map_or(&[][..], |f| &f.fingerprints);
            count(out, bytes.len());
            out.extend_from_slice(bytes);
        }
    });
    section(&mut out, IDS, |out| {
        count(out, filters.ids.len());
        for filter in &filters.ids {
            descriptor(out, filter.as_ref().map(|f| &f.descriptor));
            let prints = filter.as_ref().map_or(&[][..], |f| &f.fingerprints);
            count(out, prints.len());
            prints.iter().for_each(|p| out.extend_from_slice(&p.to_le_bytes()));
        }
    });
    section(&mut out, BLOCKS, |out| {
        count(out, blocks.len());
        blocks.iter().for_each(|crc| out.extend_from_slice(&crc.to_le_bytes()));
    });
    out
}

fn section(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let mut payload = Vec::new();
    body(&mut payload);
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    out.extend_from_slice(&payload);
    let crc = crc32c::crc32c(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&crc.to_le_bytes());
}

fn count(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(&(n as u32).to_le_bytes());
}

fn descriptor(out: &mut Vec<u8>, d: Option<&Descriptor>) {
    out.extend_from_slice(&d.map_or(0, |d| d.seed).to_le_bytes());
    out.extend_from_slice(&d.map_or(0, |d| d.segment_length).to_le_bytes());
    out.extend_from_slice(&d.map_or(0, |d| d.segment_count_length).to_le_bytes());
}

/// Reads a whole file.
pub(crate) fn decode(path: &Path, bytes: &[u8]) -> Result<Idx> {
    parse(bytes).map_err(|what| Error::filters(path, what))
}

fn parse(bytes: &[u8]) -> Result<Idx, &'static str> {
    let mut r = Reader(bytes);
    if r.take(8)? != MAGIC {
        return Err("it is not an index of a segment");
    }
    if r.u32()? != VERSION {
        return Err("its version is not known");
    }
    let block_rows = r.u32()?;
    let (id, rows, parquet_bytes) = (r.u64()?, r.u64()?, r.u64()?);
    let head = bytes.len() - r.0.len();
    if r.u32()? != crc32c::crc32c(bytes.get(..head).unwrap_or_default()) {
        return Err("its head does not fit its checksum");
    }
    if u64::from(block_rows) != BLOCK_ROWS {
        return Err("its filters cover another number of rows");
    }
    let mut lookups = r.section(LOOKUPS)?;
    let mut ids = r.section(IDS)?;
    let mut sums = r.section(BLOCKS)?;
    if !r.0.is_empty() {
        return Err("bytes follow its end");
    }

    let mut filters = Filters { blocks: Vec::new(), ids: Vec::new() };
    for _ in 0..lookups.u32()? {
        let descriptor = lookups.descriptor()?;
        let n = lookups.u32()? as usize;
        let fingerprints: Box<[u8]> = lookups.take(n)?.into();
        filters.blocks.push(match fits(&descriptor, n)? {
            true => Some(BinaryFuse8 { descriptor, fingerprints }),
            false => None,
        });
    }
    for _ in 0..ids.u32()? {
        let descriptor = ids.descriptor()?;
        let n = ids.u32()? as usize;
        let raw = ids.take(n.checked_mul(2).ok_or("a filter is too long")?)?;
        let fingerprints = raw.as_chunks().0.iter().map(|c| u16::from_le_bytes(*c)).collect();
        filters.ids.push(match fits(&descriptor, n)? {
            true => Some(BinaryFuse16 { descriptor, fingerprints }),
            false => None,
        });
    }
    let n = sums.u32()? as usize;
    let raw = sums.take(n.checked_mul(4).ok_or("too many checksums")?)?;
    let blocks = raw.as_chunks().0.iter().map(|c| u32::from_le_bytes(*c)).collect();
    if [&lookups, &ids, &sums].iter().any(|r| !r.0.is_empty()) {
        return Err("a section is longer than its content");
    }
    if filters.blocks.len() as u64 != rows.div_ceil(BLOCK_ROWS) || filters.ids.is_empty() {
        return Err("filters are missing");
    }
    Ok(Idx { id, rows, parquet_bytes, filters, blocks })
}

/// Whether every probe of a filter stays inside its `n` fingerprints; none at all means "holds everything".
fn fits(d: &Descriptor, n: usize) -> Result<bool, &'static str> {
    if n == 0 {
        return Ok(false);
    }
    let length = u64::from(d.segment_length);
    let last = u64::from(d.segment_count_length) + 2 * length;
    let sound = d.segment_length.is_power_of_two()
        && d.segment_count_length > 0
        && u64::from(d.segment_count_length).is_multiple_of(length)
        && last <= n as u64
        && last < u64::from(u32::MAX);
    if sound { Ok(true) } else { Err("a filter is malformed") }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], &'static str> {
        let (now, later) = self.0.split_at_checked(n).ok_or("it ends too early")?;
        self.0 = later;
        Ok(now)
    }

    fn u32(&mut self) -> Result<u32, &'static str> {
        let bytes = self.take(4)?;
        Ok(bytes.first_chunk().map(|c| u32::from_le_bytes(*c)).unwrap_or_default())
    }

    fn u64(&mut self) -> Result<u64, &'static str> {
        let bytes = self.take(8)?;
        Ok(bytes.first_chunk().map(|c| u64::from_le_bytes(*c)).unwrap_or_default())
    }

    fn descriptor(&mut self) -> Result<Descriptor, &'static str> {
        let (seed, segment_length, segment_count_length) = (self.u64()?, self.u32()?, self.u32()?);
        Ok(Descriptor {
            seed,
            segment_length,
            segment_length_mask: segment_length.wrapping_sub(1),
            segment_count_length,
        })
    }

    /// The payload of the next section, which must be of this kind and fit its checksum.
    fn section(&mut self, kind: u32) -> Result<Reader<'a>, &'static str> {
        let whole = self.0;
        if self.u32()? != kind {
            return Err("a section is missing");
        }
        let n = usize::try_from(self.u64()?).map_err(|_| "a section is too long")?;
        let payload = self.take(n)?;
        let covered = whole.get(..12 + n).ok_or("it ends too early")?;
        if self.u32()? != crc32c::crc32c(covered) {
            return Err("a section does not fit its checksum");
        }
        Ok(Reader(payload))
    }
}
