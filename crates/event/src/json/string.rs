//! Texts in quotes: taken, decoded, and stepped over.
//!
//! Not here: where a text ends ([`scan`](super::scan)) and all other tokens (`super`).

use super::scan::{plain_run, text_end};
use super::{JsonError, Reader, Result};
use std::borrow::Cow;

impl<'a> Reader<'a> {
    /// Takes a string and decodes it; borrowed where it has no escapes.
    #[inline]
    pub fn string(&mut self) -> Result<Cow<'a, str>> {
        match self.plain_string() {
            Some(text) => Ok(Cow::Borrowed(text)),
            None => self.any_string(),
        }
    }

    /// As [`string`](Self::string), of a text without blanks before it and escapes in it, as most are. `None`, with the cursor where it
    /// was, for what `string` has to look at.
    #[inline]
    pub fn plain_string(&mut self) -> Option<&'a str> {
        let (start, len) = self.plain()?;
        self.text.get(start + 1..)?.get(..len)
    }

    /// As [`plain_string`](Self::plain_string), with its quotes.
    #[inline]
    pub fn plain_raw(&mut self) -> Option<&'a str> {
        let (start, len) = self.plain()?;
        self.text.get(start..)?.get(..len + 2)
    }

    /// Steps over such a text. Gives where its first quote is, and its length without the two.
    #[inline]
    fn plain(&mut self) -> Option<(usize, usize)> {
        let [b'"', rest @ ..] = self.text.as_bytes().get(self.at..)? else { return None };
        let len = plain_run(rest);
        if rest.get(len) != Some(&b'"') {
            return None;
        }
        let start = self.at;
        self.at = start + len + 2;
        Some((start, len))
    }

    fn any_string(&mut self) -> Result<Cow<'a, str>> {
        self.space();
        if !self.take(b'"') {
            return Err(self.unexpected("text in quotes"));
        }
        let start = self.at;
        let bytes = self.text.as_bytes();
        let at = start + plain_run(bytes.get(start..).unwrap_or_default());
        match bytes.get(at) {
            Some(b'"') => {
                self.at = at + 1;
                return Ok(Cow::Borrowed(&self.text[start..at]));
            }
            Some(b'\\') | None => {}
            Some(b) => {
                self.at = at;
                return Err(control(*b, at));
            }
        }
        // All of it may be in quotes once more, which is long; what is decoded is no longer than that.
        let end = text_end(bytes, at).unwrap_or(at);
        let mut out = String::with_capacity(end - start);
        out.push_str(&self.text[start..at]);
        self.at = at;
        self.string_tail(&mut out)?;
        Ok(Cow::Owned(out))
    }

    fn string_tail(&mut self, out: &mut String) -> Result<()> {
        let bytes = self.text.as_bytes();
        loop {
            let run = self.at;
            self.at += plain_run(bytes.get(run..).unwrap_or_default());
            out.push_str(&self.text[run..self.at]);
            match self.peek() {
                None => return Err(self.unexpected("the end of a text in quotes")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(out)?;
                }
                Some(b) => return Err(control(b, self.at)),
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<()> {
        let from = self.at - 1;
        let Some(b) = self.peek() else { return Err(self.unexpected("an escape")) };
        self.at += 1;
        out.push(match b {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.hex4(from)?;
                let lone = || {
                    JsonError::new(
                        "lone_surrogate",
                        from,
                        "a \\u escape is half of a surrogate pair; send whole characters",
                    )
                };
                let code = match high {
                    0 => {
                        return Err(JsonError::new(
                            "nul_byte",
                            from,
                            "the text has a NUL character (\\u0000); remove it",
                        ));
                    }
                    0xdc00..=0xdfff => return Err(lone()),
                    0xd800..=0xdbff => {
                        if self.text.as_bytes().get(self.at..self.at + 2) != Some(b"\\u") {
                            return Err(lone());
                        }
                        self.at += 2;
                        match self.hex4(from)? {
                            low @ 0xdc00..=0xdfff => 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00),
                            _ => return Err(lone()),
                        }
                    }
                    other => other,
                };
                char::from_u32(code).ok_or_else(lone)?
            }
            _ => {
                return Err(JsonError::new(
                    "invalid_json",
                    from,
                    "an escape that JSON does not have; escape `\\` as `\\\\`",
                ));
            }
        });
        Ok(())
    }

    fn hex4(&mut self, from: usize) -> Result<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or_default();
        if digits.len() != 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(JsonError::new("invalid_json", from, "a \\u escape needs four hexadecimal digits"));
        }
        let value = digits.iter().fold(0, |n, d| n * 16 + (*d as char).to_digit(16).unwrap_or(0));
        self.at += 4;
        Ok(value)
    }

    pub(super) fn skip_string(&mut self) -> Result<()> {
        self.at = text_end(self.text.as_bytes(), self.at + 1).map_err(|end| self.open_text(end))?;
        Ok(())
    }

    /// The error of a text in quotes that goes on to the end of everything, at `end`.
    pub(super) fn open_text(&mut self, end: usize) -> JsonError {
        self.at = end;
        self.unexpected("the end of a text in quotes")
    }
}

fn control(byte: u8, at: usize) -> JsonError {
    if byte == 0 {
        JsonError::new("nul_byte", at, "the text has a NUL byte; remove it")
    } else {
        JsonError::new("invalid_json", at, format!("control character 0x{byte:02x} inside quotes; escape it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_decode() {
        let mut r = Reader::new(r#" "a\n\u00e4\ud83d\ude00\/" "#);
        assert_eq!(r.string().unwrap(), "a\nä😀/");
        r.end().unwrap();
    }

    #[test]
    fn strings_refuse() {
        for (text, code) in [
            (r#""\ud800""#, "lone_surrogate"),
            (r#""\ude00x""#, "lone_surrogate"),
            (r#""\ud800A""#, "lone_surrogate"),
            (r#""\u0000""#, "nul_byte"),
            ("\"\0\"", "nul_byte"),
            ("\"\n\"", "invalid_json"),
            (r#""\x""#, "invalid_json"),
            (r#""\u12"#, "invalid_json"),
            (r#""abc"#, "invalid_json"),
            ("\"abc\\", "invalid_json"),
        ] {
            assert_eq!(Reader::new(text).string().unwrap_err().code, code, "{text}");
        }
    }

    #[test]
    fn a_backslash_at_the_very_end_is_an_error() {
        assert!(Reader::new("{\"a\":\"b\\").skip(0).is_err());
        assert!(Reader::new("\"ü\\ü").skip(0).is_err());
    }
}
