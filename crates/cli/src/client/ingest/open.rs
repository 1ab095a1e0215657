//! The input: a file or stdin, decompressed by its first bytes and made UTF-8, with a count of the bytes read from the disk.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::client::Failure;

/// An opened input.
pub(super) struct Input {
    pub(super) reader: Box<dyn BufRead>,
    /// Bytes taken from the file so far, compressed as they are.
    pub(super) taken: Arc<AtomicU64>,
    /// Size of the file, if it is one.
    pub(super) size: Option<u64>,
}

impl Input {
    /// How it begins, up to so many bytes. They are still to be read.
    pub(super) fn peek(&mut self, most: u64) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        self.reader.by_ref().take(most).read_to_end(&mut head)?;
        let rest = std::mem::replace(&mut self.reader, Box::new(io::empty()));
        self.reader = Box::new(io::Cursor::new(head.clone()).chain(rest));
        Ok(head)
    }
}

struct Counted<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.taken.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Opens a file; `-` is stdin.
pub(super) fn open(path: &Path) -> Result<Input, Failure> {
    let fail = |e: io::Error| Failure::file("read", path, &e);
    if path.as_os_str() == "-" {
        return decompress(io::stdin(), None).map_err(fail);
    }
    let file = File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if metadata.is_dir() {
        return Err(Failure::other(format!("{} is a folder; give a file, or - for stdin", path.display())));
    }
    decompress(file, metadata.is_file().then_some(metadata.len())).map_err(fail)
}

/// Decompresses by magic: gzip (several members too), zstd, or nothing.
pub(super) fn decompress(from: impl Read + 'static, size: Option<u64>) -> io::Result<Input> {
    let taken = Arc::new(AtomicU64::new(0));
    let counted = Counted { inner: from, taken: Arc::clone(&taken) };
    // The magic may come in pieces from a pipe.
    let mut magic = Vec::new();
    let mut counted = BufReader::with_capacity(256 << 10, counted);
    counted.by_ref().take(4).read_to_end(&mut magic)?;
    let raw = BufReader::with_capacity(256 << 10, io::Cursor::new(magic.clone()).chain(counted));
    let reader: Box<dyn BufRead> = match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(BufReader::with_capacity(256 << 10, MultiGzDecoder::new(raw))),
        [0x28, 0xb5, 0x2f, 0xfd] => {
            Box::new(BufReader::with_capacity(256 << 10, zstd::stream::read::Decoder::with_buffer(raw)?))
        }
        _ => Box::new(raw),
    };
    let mut input = Input { reader, taken, size };
    let unit = match input.peek(2)?.as_slice() {
        [0xff, 0xfe] => u16::from_le_bytes,
        [0xfe, 0xff] => u16::from_be_bytes,
        _ => return Ok(input),
    };
    input.reader.consume(2);
    let decoded = Utf16 { inner: input.reader, unit, out: Vec::new(), at: 0 };
    Ok(Input { reader: Box::new(BufReader::with_capacity(256 << 10, decoded)), ..input })
}

/// UTF-16 as UTF-8: what some shells and spreadsheets write.
struct Utf16<R> {
    inner: R,
    unit: fn([u8; 2]) -> u16,
    /// What was made, and how much of it was read.
    out: Vec<u8>,
    at: usize,
}

impl<R: BufRead> Utf16<R> {
    fn more(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.inner.by_ref().take(64 << 10).read_to_end(&mut bytes)?;
        // The second half of a pair comes with the first.
        if let [.., a, b] = bytes.as_slice()
            && matches!((self.unit)([*a, *b]), 0xd800..=0xdbff)
        {
            self.inner.by_ref().take(2).read_to_end(&mut bytes)?;
        }
        let unsound = || io::Error::new(io::ErrorKind::InvalidData, "it begins as UTF-16 and is not; save it as UTF-8");
        let (pairs, odd) = bytes.as_chunks();
        let chars = char::decode_utf16(pairs.iter().map(|pair| (self.unit)(*pair)));
        let text: Result<String, _> = chars.collect();
        self.out = text.ok().filter(|_| odd.is_empty()).ok_or_else(unsound)?.into_bytes();
        self.at = 0;
        Ok(())
    }
}

impl<R: BufRead> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.out.len() {
            self.more()?;
        }
        let mut left = self.out.get(self.at..).unwrap_or_default();
        let n = left.read(buffer)?;
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn read(bytes: Vec<u8>) -> io::Result<String> {
        let mut text = String::new();
        decompress(io::Cursor::new(bytes), None)?.reader.read_to_string(&mut text)?;
        Ok(text)
    }

    pub(crate) fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn utf_16_is_made_utf_8_and_a_look_takes_nothing_away() {
        let said = "{\"name\":\"Zoë 😀\"}\n".repeat(5000);
        for unit in [u16::to_le_bytes, u16::to_be_bytes] {
            let bytes: Vec<u8> = [0xfeff].into_iter().chain(said.encode_utf16()).flat_map(unit).collect();
            assert_eq!(read(bytes.clone()).unwrap(), said);
            let zipped = zstd::encode_all(&bytes[..], 1).unwrap();
            assert_eq!(read(zipped).unwrap(), said);
            assert!(read(bytes[..bytes.len() - 1].to_vec()).is_err(), "a cut file is not a short one");
        }
        let mut input = decompress(io::Cursor::new(said.clone().into_bytes()), None).unwrap();
        for most in [3, 0, 1 << 20] {
            assert_eq!(input.peek(most).unwrap(), said.as_bytes()[..said.len().min(most as usize)]);
        }
        let mut text = String::new();
        input.reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, said);
    }

    #[test]
    fn compression_is_told_by_the_first_bytes() {
        assert_eq!(read(b"{}".to_vec()).unwrap(), "{}");
        assert_eq!(read(Vec::new()).unwrap(), "");
        assert_eq!(read([gzip("a\n"), gzip("b\n")].concat()).unwrap(), "a\nb\n", "members one after the other");
        let frames = [zstd::encode_all(&b"a\n"[..], 1).unwrap(), zstd::encode_all(&b"b\n"[..], 1).unwrap()].concat();
        assert_eq!(read(frames).unwrap(), "a\nb\n");
        let whole = gzip(&"x".repeat(10_000));
        assert!(read(whole[..whole.len() - 9].to_vec()).is_err(), "a cut file is not a short one");
    }
}
