//! A body's compression: gzip or zstd, by name or by its first bytes, and never more than a limit of what comes out.
//!
//! Owns the limit: a small body that unpacks to gigabytes is refused after the first bytes too many. Not here:
//! what the caller is told (`intake`).

use std::borrow::Cow;
use std::io::Read;

/// Why a body was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It is longer than the limit: its length, or that it is where it was not unpacked to the end.
    TooLarge(String),
    /// It is not what it is said to be, or damaged; what is wrong.
    Broken(String),
    /// An encoding that is not known.
    Unsupported,
}

/// The body as it was before compression, at most `most` bytes.
///
/// # Errors
/// [`Refused`].
pub fn decompress<'a>(body: &'a [u8], encoding: Option<&str>, most: usize) -> Result<Cow<'a, [u8]>, Refused> {
    let gzip = body.starts_with(&[0x1f, 0x8b]);
    let zstd = body.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    let named = match encoding.map(str::to_ascii_lowercase).as_deref() {
        None | Some("identity") => None,
        Some("gzip" | "x-gzip") if gzip => Some("gzip"),
        Some("zstd") if zstd => Some("zstd"),
        Some(name @ ("gzip" | "x-gzip" | "zstd")) => {
            return Err(Refused::Broken(format!("the body says it is {name} and is not")));
        }
        Some(_) => return Err(Refused::Unsupported),
    };
    // By its first bytes where nothing was said: no JSON begins like that.
    let kind = named.or(if gzip {
        Some("gzip")
    } else if zstd {
        Some("zstd")
    } else {
        None
    });
    let broken = |e: std::io::Error| Refused::Broken(format!("the compressed body is damaged: {e}"));
    let read = most as u64 + 1;
    let mut out = Vec::new();
    match kind {
        None if body.len() > most => return Err(Refused::TooLarge(format!("{} bytes", body.len()))),
        None => return Ok(Cow::Borrowed(body)),
        Some("gzip") => flate2::read::MultiGzDecoder::new(body).take(read).read_to_end(&mut out).map_err(broken)?,
        Some(_) => {
            zstd::stream::read::Decoder::new(body).map_err(broken)?.take(read).read_to_end(&mut out).map_err(broken)?
        }
    };
    if out.len() > most {
        return Err(Refused::TooLarge("too large once it is decompressed".to_owned()));
    }
    Ok(Cow::Owned(out))
}
