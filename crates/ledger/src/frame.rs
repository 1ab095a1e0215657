//! The bytes of the journal: file headers and frames (`docs/formats/journal.md`).
//!
//! Owns encoding and checking, no files. A frame is one commit: the records of every tenant that were
//! waiting, with the personal keys they are the first to use.

use crate::{Hash, LedgerId, PersonKey};
use bytes::Bytes;

/// Length of a file header.
pub const HEADER_LEN: usize = 48;
/// Length of a frame's own header.
pub const FRAME_HEADER: usize = 24;
/// Largest frame body. A frame closes well before (see `pool`); anything longer on disk is damage.
pub const MAX_BODY: usize = 256 << 20;
const FILE_MAGIC: &[u8; 8] = b"INDLJRNL";
const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"FRM1");
const VERSION: u32 = 1;

/// What is wrong with journal bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes end inside the frame.
    #[error("the bytes end inside the frame")]
    Short,
    /// A field or checksum that does not fit.
    #[error("{0}")]
    Damaged(&'static str),
    /// Written by a newer version.
    #[error("format version {0} is newer than this program knows; use a newer program")]
    Newer(u32),
}

/// What a file's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// Whose file it is.
    pub ledger: LedgerId,
    /// Number of the first frame.
    pub first_seq: u64,
    /// When the frame before the first was sealed; 0 where there is none. It keeps time from going back when
    /// all older files are gone.
    pub recorded_at: i64,
}

/// Header of a journal file: magic, version, ledger, the first frame's number, the time before it, checksum.
pub fn file_header(header: &FileHeader) -> [u8; HEADER_LEN] {
    let mut out = [0; HEADER_LEN];
    out[..8].copy_from_slice(FILE_MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[12..28].copy_from_slice(&header.ledger);
    out[28..36].copy_from_slice(&header.first_seq.to_le_bytes());
    out[36..44].copy_from_slice(&header.recorded_at.to_le_bytes());
    let crc = crc32c::crc32c(&out[..44]);
    out[44..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Reads a file header.
///
/// # Errors
/// [`FrameError`].
pub fn read_file_header(bytes: &[u8]) -> Result<FileHeader, FrameError> {
    let head = bytes.get(..HEADER_LEN).ok_or(FrameError::Short)?;
    if !head.starts_with(FILE_MAGIC) {
        return Err(FrameError::Damaged("not a journal file (wrong magic)"));
    }
    let mut r = Bite(head.get(8..).unwrap_or_default());
    let version = r.u32()?;
    if version > VERSION {
        return Err(FrameError::Newer(version));
    }
    let header = FileHeader { ledger: r.array()?, first_seq: r.u64()?, recorded_at: r.u64()? as i64 };
    if crc32c::crc32c(head.get(..44).unwrap_or_default()).to_le_bytes() != head.get(44..).unwrap_or_default() {
        return Err(FrameError::Damaged("the file header's checksum does not match"));
    }
    Ok(header)
}

/// Builds one frame in place: header, then groups.
#[derive(Debug)]
pub struct FrameWriter {
    /// The frame, behind a few bytes that are none of it.
    out: Vec<u8>,
    /// How many.
    lead: usize,
    groups: u32,
}

/// Where a record's row lies in the frame's bytes.
pub type RowAt = std::ops::Range<usize>;

impl FrameWriter {
    /// Starts a frame sealed at `recorded_at`, with room for groups of so many bytes, that goes to `place` in its file: a large
    /// one lies in memory as [`disk::COLD_ALIGN`] asks for.
    pub fn new(recorded_at: i64, capacity: usize, place: u64) -> Self {
        // A small frame would take several times the memory.
        let align = if capacity >= disk::COLD_LEAST { disk::COLD_ALIGN } else { 1 };
        let mut out: Vec<u8> = Vec::with_capacity(align + FRAME_HEADER + 12 + capacity);
        let lead = (place as usize).wrapping_sub(out.as_ptr().addr()) % align;
        out.resize(lead + FRAME_HEADER, 0);
        out.extend_from_slice(&recorded_at.to_le_bytes());
        out.extend_from_slice(&0u32.to_le_bytes());
        Self { out, lead, groups: 0 }
    }

    /// Starts the records of one tenant. Exactly `count` calls of [`record`](Self::record) follow.
    pub fn group(&mut self, tenant: u32, first_index: u64, count: u32, keys: &[PersonKey]) {
        self.groups += 1;
        self.out.extend_from_slice(&tenant.to_le_bytes());
        self.out.extend_from_slice(&first_index.to_le_bytes());
        self.out.extend_from_slice(&count.to_le_bytes());
        self.out.extend_from_slice(&(keys.len() as u32).to_le_bytes());
        for (person, key) in keys {
            self.out.extend_from_slice(person);
            self.out.extend_from_slice(key);
        }
    }

    /// Adds a record.
    pub fn record(&mut self, kind: u8, row: &[u8], commitment: &Hash) {
        self.out.push(kind);
        self.out.extend_from_slice(&(row.len() as u32).to_le_bytes());
        self.out.extend_from_slice(commitment);
        self.out.extend_from_slice(row);
    }

    /// Whether no group was added.
    pub fn is_empty(&self) -> bool {
        self.groups == 0
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.out.len() - self.lead
    }

    /// Closes the frame as number `seq` and gives all its bytes.
    pub fn finish(mut self, seq: u64) -> Bytes {
        let (head, body) = self.out[self.lead..].split_at_mut(FRAME_HEADER);
        body[8..12].copy_from_slice(&self.groups.to_le_bytes());
        let len = body.len() as u32;
        head[..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
        head[4..8].copy_from_slice(&len.to_le_bytes());
        head[8..16].copy_from_slice(&seq.to_le_bytes());
        head[16..20].copy_from_slice(&checksum(len, seq, body).to_le_bytes());
        Bytes::from(self.out).slice(self.lead..)
    }
}

fn checksum(len: u32, seq: u64, body: &[u8]) -> u32 {
    let mut head = [0; 12];
    head[..4].copy_from_slice(&len.to_le_bytes());
    head[4..].copy_from_slice(&seq.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&head), body)
}

/// A frame read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its number; they count up by one.
    pub seq: u64,
    /// When it was sealed, microseconds UTC.
    pub recorded_at: i64,
    /// The tenants' records. None in the frame that a clean shutdown writes.
    pub groups: Vec<Group>,
    /// All its bytes in the file, header included.
    pub len: usize,
}

/// The records of one tenant in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Which tenant.
    pub tenant: u32,
    /// Index of the first record.
    pub first_index: u64,
    /// Personal keys first used here.
    pub keys: Vec<PersonKey>,
    /// The records: kind, commitment, row.
    pub records: Vec<(u8, Hash, Bytes)>,
}

/// Reads the frame that begins at `at` in a file's bytes.
///
/// # Errors
/// [`FrameError`]; `Short` where the file ends inside it.
pub fn read_frame(file: &Bytes, at: usize) -> Result<Frame, FrameError> {
    let head = file.get(at..at + FRAME_HEADER).ok_or(FrameError::Short)?;
    let mut r = Bite(head);
    if r.u32()? != FRAME_MAGIC {
        return Err(FrameError::Damaged("no frame begins here (wrong magic)"));
    }
    let len = r.u32()?;
    let seq = r.u64()?;
    let crc = r.u32()?;
    if r.u32()? != 0 {
        return Err(FrameError::Damaged("a reserved field of the frame header is set"));
    }
    if len as usize > MAX_BODY {
        return Err(FrameError::Damaged("the frame's length is past the limit"));
    }
    let start = at + FRAME_HEADER;
    let end = start + len as usize;
    let body = file.get(start..end).ok_or(FrameError::Short)?;
    if checksum(len, seq, body) != crc {
        return Err(FrameError::Damaged("the frame's checksum does not match"));
    }
    let mut r = Bite(body);
    let recorded_at = r.u64()? as i64;
    let count = r.u32()?;
    let mut groups = Vec::new();
    for _ in 0..count {
        let tenant = r.u32()?;
        let first_index = r.u64()?;
        let records = r.u32()?;
        let keys = (0..r.u32()?).map(|_| Ok((r.array()?, r.array()?))).collect::<Result<Vec<_>, FrameError>>()?;
        let records = (0..records)
            .map(|_| {
                let kind = r.u8()?;
                let len = r.u32()? as usize;
                let commitment = r.array()?;
                let row = r.take(len)?;
                let from = row.as_ptr() as usize - file.as_ptr() as usize;
                Ok((kind, commitment, file.slice(from..from + len)))
            })
            .collect::<Result<Vec<_>, FrameError>>()?;
        groups.push(Group { tenant, first_index, keys, records });
    }
    if !r.0.is_empty() {
        return Err(FrameError::Damaged("the frame has bytes after its last record"));
    }
    Ok(Frame { seq, recorded_at, groups, len: FRAME_HEADER + len as usize })
}

/// The first place after `from` where a whole, sound frame begins.
pub fn next_frame(file: &Bytes, from: usize) -> Option<usize> {
    let magic = FRAME_MAGIC.to_le_bytes();
    let mut at = from;
    loop {
        at += file.get(at..)?.windows(4).position(|w| w == magic)?;
        if read_frame(file, at).is_ok() {
            return Some(at);
        }
        at += 1;
    }
}

/// Reads fixed fields off the front of bytes.
struct Bite<'a>(&'a [u8]);

impl<'a> Bite<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], FrameError> {
        let (head, rest) =
            self.0.split_at_checked(n).ok_or(FrameError::Damaged("a frame's record runs past its end"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        self.take(N)?.try_into().map_err(|_| FrameError::Short)
    }

    fn u8(&mut self) -> Result<u8, FrameError> {
        self.array::<1>().map(|[b]| b)
    }

    fn u32(&mut self) -> Result<u32, FrameError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, FrameError> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: FileHeader = FileHeader { ledger: [3; 16], first_seq: 11, recorded_at: 41 };

    fn frame(seq: u64) -> Vec<u8> {
        let mut w = FrameWriter::new(42, 0, 5);
        w.group(7, 3, 2, &[([1; 16], [2; 32])]);
        w.record(0, b"hello", &[9; 32]);
        w.record(5, b"", &[8; 32]);
        w.finish(seq).to_vec()
    }

    #[test]
    fn comes_back_as_written() {
        let bytes = Bytes::from(frame(11));
        let f = read_frame(&bytes, 0).unwrap();
        assert_eq!((f.seq, f.recorded_at, f.len), (11, 42, bytes.len()));
        let g = &f.groups[0];
        assert_eq!((g.tenant, g.first_index, g.keys.len()), (7, 3, 1));
        assert_eq!(g.records[0], (0, [9; 32], Bytes::from_static(b"hello")));
        assert_eq!(read_file_header(&file_header(&HEADER)), Ok(HEADER));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let sound = frame(11);
        for bit in 0..sound.len() * 8 {
            let mut bytes = sound.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(read_frame(&Bytes::from(bytes), 0).is_err(), "bit {bit}");
        }
        let header = file_header(&HEADER);
        for bit in 0..header.len() * 8 {
            let mut bytes = header;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(read_file_header(&bytes).is_err(), "header bit {bit}");
        }
    }

    #[test]
    fn golden_bytes_of_version_1() {
        let golden = include_bytes!("../tests/golden/journal-v1.log");
        let mut bytes = file_header(&HEADER).to_vec();
        bytes.extend(frame(11));
        assert_eq!(bytes, golden);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let mut framed = frame(1);
            framed.extend(&bytes);
            let bytes = Bytes::from(framed);
            let _ = read_file_header(&bytes);
            for at in 0..bytes.len() {
                let _ = read_frame(&bytes, at);
            }
        }
    }
}
