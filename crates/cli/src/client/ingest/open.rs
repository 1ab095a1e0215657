//! The input: a file or stdin, decompressed by its first bytes, with a count of the bytes read from the disk.

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
    Ok(Input { reader, taken, size })
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
